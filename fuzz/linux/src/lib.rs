//! Real Linux kernels as engines and as judges.
//!
//! A [`Kernel`] is a Debian kernel that `make linux` unpacked into `.kernels/`. A [`Guest`] boots it in qemu, with one
//! process of ours in an initramfs written here, and answers [`wire::Job`]s. A [`Machine`] is a kernel whose guests are
//! replaced when they die. The machine's own `bpf(2)` is never used.

pub mod accel;
mod console;
pub mod engine;
pub mod guest;
pub mod initramfs;
pub mod job;
pub mod kernel;
pub mod machine;
pub mod pool;
mod qemu;
pub mod sample;
mod shared;
pub mod widen;

pub use accel::Accel;
pub use engine::{EngineError, LinuxEngine, Machines};
pub use guest::{Given, Guest, GuestError, Loss, Lost, Settings, Stop, Unanswered};
pub use kernel::{Kernel, KernelError};
pub use machine::Machine;
pub use pool::{Order, Pool};
