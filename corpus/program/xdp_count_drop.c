/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define CHECK_IPV4 1
#include "xdp_count_drop.h"
