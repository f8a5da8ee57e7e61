//! Real Linux kernels as engines and as judges.
//!
//! A [`Kernel`] is a Debian kernel that `make linux` unpacked into `.kernels/`. A [`Guest`] boots it in qemu, with one
//! process of ours in an initramfs written here, and answers [`wire::Job`]s. A [`Machine`] is a kernel whose guests are
//! replaced when they die. The machine's own `bpf(2)` is never used.

pub mod guest;
pub mod initramfs;
pub mod job;
pub mod kernel;
pub mod machine;

pub use guest::{Guest, GuestError, Loss, Lost, Settings};
pub use kernel::{Kernel, KernelError};
pub use machine::Machine;
