//! How a guest's processor is made: emulated, or the host's own.

use std::fmt;
use std::fs::OpenOptions;
use std::path::Path;
use std::str::FromStr;

/// All that is emulated but `cmpxchg16b`: qemu 7.2 now and then leaves garbage in EFLAGS after it, which the kernel's slab
/// allocator does not survive.
const TCG_CPU: &str = "max,-cx16";
/// Processors that a probe tries with KVM, best first.
pub const KVM_CPUS: [&str; 3] = ["host", "max", "qemu64"];
/// The file in the folder of kernels that keeps what a probe found.
pub const FILE: &str = "accelerator";
/// The variable that says otherwise: `tcg`, or `kvm` with or without a processor (`kvm qemu64`).
pub const VARIABLE: &str = "TOUCHSTONE_ACCEL";

/// An accelerator of qemu.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Accel {
    /// Emulation: it needs nothing from the host.
    #[default]
    Tcg,
    /// Hardware virtualisation, with this model of a processor.
    Kvm(String),
}

/// What names no accelerator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no accelerator: `tcg`, `kvm`, or `kvm` and a processor such as `kvm qemu64`")]
pub struct NoAccel(String);

impl FromStr for Accel {
    type Err = NoAccel;
    fn from_str(text: &str) -> Result<Accel, NoAccel> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["tcg"] => Ok(Accel::Tcg),
            ["kvm"] => Ok(Accel::Kvm(KVM_CPUS[0].to_owned())),
            ["kvm", cpu] => Ok(Accel::Kvm(cpu.to_owned())),
            _ => Err(NoAccel(text.to_owned())),
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Accel::Tcg => out.write_str("tcg"),
            Accel::Kvm(cpu) => write!(out, "kvm {cpu}"),
        }
    }
}

impl Accel {
    /// The one to use with the kernels of this folder: what [`VARIABLE`] says, else what a probe found, else emulation.
    pub fn of(folder: &Path) -> Result<Accel, NoAccel> {
        match std::env::var(VARIABLE) {
            Ok(text) => text.parse(),
            Err(_) => Ok(Accel::probed(folder).filter(Accel::is_there).unwrap_or_default()),
        }
    }

    /// What a probe found, if there was one.
    pub fn probed(folder: &Path) -> Option<Accel> {
        std::fs::read_to_string(folder.join(FILE)).ok()?.parse().ok()
    }

    /// Whether the host has what it takes. That a guest boots with it is for a probe to find out.
    pub fn is_there(&self) -> bool {
        *self == Accel::Tcg || OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok()
    }

    /// The words of qemu's command line.
    pub fn words(&self) -> [&str; 4] {
        match self {
            Accel::Tcg => ["-accel", "tcg", "-cpu", TCG_CPU],
            Accel::Kvm(cpu) => ["-accel", "kvm", "-cpu", cpu],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Accel;

    #[test]
    fn text_gives_the_accelerator_back() {
        for accel in [Accel::Tcg, Accel::Kvm("host".to_owned()), Accel::Kvm("EPYC,-svm".to_owned())] {
            assert_eq!(accel.to_string().parse(), Ok(accel));
        }
        assert_eq!("kvm".parse(), Ok(Accel::Kvm("host".to_owned())));
        for wrong in ["", "hvf", "tcg 1", "kvm a b"] {
            assert!(wrong.parse::<Accel>().is_err(), "{wrong}");
        }
    }
}
