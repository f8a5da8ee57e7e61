//! The kernels that there are.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A kernel in `.kernels/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `6.1`, `6.12`, ...: its folder, and how engines are called after it.
    pub version: String,
    /// The compressed kernel.
    pub image: PathBuf,
    /// The initramfs with the agent.
    pub initramfs: PathBuf,
}

/// Where a kernel comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Debian's suite.
    pub suite: String,
    /// The package that it was in.
    pub package: String,
    /// The version of the package.
    pub version: String,
    /// `uname -r`.
    pub release: String,
}

impl Package {
    /// Reads lines such as `suite: sid`; `None` if there is none of them.
    fn from_text(text: &str) -> Option<Package> {
        let mut package = Package::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
            let field = match name {
                "suite" => &mut package.suite,
                "package" => &mut package.package,
                "version" => &mut package.version,
                "release" => &mut package.release,
                _ => continue,
            };
            value.trim().clone_into(field);
        }
        (package != Package::default()).then_some(package)
    }
}

/// Why there is no such kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Nothing is there at all.
    #[error("there are no kernels in {0}: `make linux` gets them")]
    None(PathBuf),
    /// Not this one.
    #[error("there is no kernel {wanted} in {folder}; there are: {there}", there = there.join(", "))]
    NotThere {
        /// The version asked for.
        wanted: String,
        /// Where kernels are.
        folder: PathBuf,
        /// The versions that are there.
        there: Vec<String>,
    },
    /// There is no agent.
    #[error("{path}: {error}; `make linux` builds it")]
    Agent {
        /// Where it should be.
        path: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
}

/// Where kernels are: `TOUCHSTONE_KERNELS`, else `.kernels` in this folder or the nearest one above it that has it.
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("TOUCHSTONE_KERNELS") {
        return folder.into();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let found = here.ancestors().map(|folder| folder.join(".kernels")).find(|folder| folder.is_dir());
    found.unwrap_or_else(|| here.join(".kernels"))
}

impl Kernel {
    /// All kernels of a folder, oldest first.
    pub fn all(folder: &Path) -> Vec<Kernel> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut kernels: Vec<Kernel> = entries
            .filter_map(|entry| {
                let version = entry.file_name().into_string().ok()?;
                let image = entry.path().join("vmlinuz");
                image.is_file().then(|| Kernel { version, image, initramfs: folder.join("initramfs") })
            })
            .collect();
        kernels.sort_by_key(Kernel::number);
        kernels
    }

    /// The kernel of this version.
    pub fn find(folder: &Path, version: &str) -> Result<Kernel, KernelError> {
        let all = Kernel::all(folder);
        if all.is_empty() {
            return Err(KernelError::None(folder.to_owned()));
        }
        let there = all.iter().map(|kernel| kernel.version.clone()).collect();
        let found = all.into_iter().find(|kernel| kernel.version == version);
        found.ok_or_else(|| KernelError::NotThere { wanted: version.to_owned(), folder: folder.to_owned(), there })
    }

    /// The folder of kernels that it lies in.
    pub fn folder(&self) -> &Path {
        self.initramfs.parent().unwrap_or(Path::new("."))
    }

    /// Where it comes from, if that is written down beside it.
    pub fn package(&self) -> Option<Package> {
        let text = std::fs::read_to_string(self.image.with_file_name("package")).ok()?;
        Package::from_text(&text)
    }

    /// The value of an option that it was configured with (`BPF_JIT`, without `CONFIG_`): `y`, `m`, a number; `n` if it is
    /// not set, `None` if the configuration is not known.
    pub fn option(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.image.with_file_name("config")).ok()?;
        Some(option(&text, name))
    }

    /// Whether the files can be opened, and the image is a whole kernel: an emulator would take anything, and wait.
    pub fn check(&self) -> io::Result<()> {
        let failed =
            |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        File::open(&self.initramfs).map_err(|error| failed(&self.initramfs, error))?;
        let mut image = File::open(&self.image).map_err(|error| failed(&self.image, error))?;
        let mut head = Vec::new();
        let read = image.by_ref().take(HEAD_LEN).read_to_end(&mut head).and_then(|_| image.metadata());
        let len = read.map_err(|error| failed(&self.image, error))?.len();
        let flaw = flaw(&head, len).map(|flaw| io::Error::new(io::ErrorKind::InvalidData, flaw));
        flaw.map_or(Ok(()), |flaw| Err(failed(&self.image, flaw)))
    }

    /// The version as numbers, to compare by.
    pub fn number(&self) -> (u32, u32) {
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

/// Bytes up to the end of what is looked at of a kernel's header.
const HEAD_LEN: u64 = 0x206;

/// What is wrong with an image that begins like this and has so many bytes (Documentation/arch/x86/boot.rst): `None` if it is
/// a whole kernel.
fn flaw(head: &[u8], len: u64) -> Option<String> {
    const SETUP_SECTORS: usize = 0x1f1;
    const PARAGRAPHS: std::ops::Range<usize> = 0x1f4..0x1f8;
    const MAGIC: std::ops::Range<usize> = 0x202..0x206;
    if head.get(MAGIC) != Some(b"HdrS") {
        return Some("this is no kernel image".to_owned());
    }
    let paragraphs = head[PARAGRAPHS].iter().rfold(0, |value, byte| value << 8 | u64::from(*byte));
    let whole = 512 * (u64::from(head[SETUP_SECTORS]) + 1) + 16 * paragraphs;
    (len < whole).then(|| format!("the kernel image is cut: {len} bytes of {whole}"))
}

fn option(config: &str, name: &str) -> String {
    let value = |line: &str| Some(line.strip_prefix("CONFIG_")?.strip_prefix(name)?.strip_prefix('=')?.to_owned());
    config.lines().find_map(value).unwrap_or_else(|| "n".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Kernel, KernelError, Package, flaw, option};
    use std::path::Path;

    #[test]
    fn options_are_those_of_their_name() {
        let config = "CONFIG_BPF=y\n# CONFIG_BPF_JIT_ALWAYS_ON is not set\nCONFIG_BPF_JIT=m\nCONFIG_HZ=250\n";
        let values = ["BPF", "BPF_JIT", "BPF_JIT_ALWAYS_ON", "HZ"].map(|name| option(config, name));
        assert_eq!(values, ["y", "m", "n", "250"]);
    }

    #[test]
    fn packages_are_read() {
        let text = "suite: sid\npackage: linux-binary-7.2.13\nversion: 7.2.13-1\nother: x\nnonsense\n";
        let package = Package::from_text(text).unwrap();
        assert_eq!((&*package.suite, &*package.version, &*package.release), ("sid", "7.2.13-1", ""));
        assert_eq!(Package::from_text("nonsense"), None);
    }

    #[test]
    fn images_are_whole() {
        let mut head = vec![0; 0x206];
        assert_eq!(flaw(&head, 1 << 20), Some("this is no kernel image".to_owned()));
        assert_eq!(flaw(&[], 0), Some("this is no kernel image".to_owned()));
        head[0x202..].copy_from_slice(b"HdrS");
        (head[0x1f1], head[0x1f5]) = (3, 1);
        assert_eq!(flaw(&head, 6143), Some("the kernel image is cut: 6143 bytes of 6144".to_owned()));
        assert_eq!(flaw(&head, 6144), None);
    }

    #[test]
    fn a_missing_kernel_is_named_with_those_that_are_there() {
        assert!(matches!(Kernel::find(Path::new("/nowhere"), "6.1"), Err(KernelError::None(_))));
    }
}
