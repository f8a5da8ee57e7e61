/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The bounds check before the IPv4 header is missing: a verifier must reject the program. */
#define CHECK_IPV4 0
#include "xdp_count_drop.h"
