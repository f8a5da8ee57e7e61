//! The kernels that there are.

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
        kernels.sort_by_key(|kernel| kernel.number());
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

    /// The version as numbers, to compare by.
    pub fn number(&self) -> (u32, u32) {
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}
