//! What `make linux` does last: `touchstone-linux-pack AGENT FOLDER` writes the initramfs with the agent into the folder
//! of kernels, and finds out once whether a guest boots with KVM.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use linux::accel::{self, Accel, KVM_CPUS};
use linux::{Guest, GuestError, Kernel, Settings, initramfs};

/// How long a guest has that is tried with KVM. One that works takes a second.
const PROBE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [agent, folder] = &arguments[..] else {
        eprintln!("usage: touchstone-linux-pack AGENT FOLDER");
        return ExitCode::from(2);
    };
    let done = pack(agent, folder).and_then(|()| probe(folder));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((path, error)) => {
            eprintln!("touchstone-linux-pack: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

type Failure = (PathBuf, std::io::Error);

fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| (path.to_owned(), error))
}

/// Writes the initramfs, unless it is there with these bytes: a guest may be reading it.
fn pack(agent: &Path, folder: &Path) -> Result<(), Failure> {
    let program = at(agent, std::fs::read(agent))?;
    let archive = initramfs::with_init(&program);
    let path = folder.join("initramfs");
    if std::fs::read(&path).is_ok_and(|there| there == archive) {
        return Ok(());
    }
    let new = folder.join("initramfs.new");
    at(&new, std::fs::write(&new, &archive))?;
    at(&path, std::fs::rename(&new, &path))?;
    println!("agent: {} ({} KiB, version {})", path.display(), archive.len() >> 10, wire::VERSION);
    Ok(())
}

/// Tries processors with KVM until a guest boots, and writes down which one that was.
fn probe(folder: &Path) -> Result<(), Failure> {
    let file = folder.join(accel::FILE);
    let Some(kernel) = Kernel::all(folder).into_iter().next() else { return Ok(()) };
    if file.exists() {
        return Ok(());
    }
    let found = KVM_CPUS.iter().map(|cpu| Accel::Kvm((*cpu).to_owned())).find(|accel| boots(&kernel, accel));
    let found = found.unwrap_or_default();
    println!("accelerator: {found}");
    at(&file, std::fs::write(&file, format!("{found}\n")))
}

fn boots(kernel: &Kernel, accel: &Accel) -> bool {
    if !accel.is_there() {
        return false;
    }
    let settings = Settings { accel: Some(accel.clone()), boot: PROBE, ..Settings::default() };
    match Guest::start(kernel, &settings) {
        Ok(guest) => {
            println!("{accel}: {} boots in {:.1} s", guest.release, guest.boot_time.as_secs_f64());
            true
        }
        Err(GuestError::Boot { why, console, .. }) => {
            println!("{accel}: {why}: {}", console.lines().next().unwrap_or_default());
            false
        }
        Err(error) => {
            println!("{accel}: {error}");
            false
        }
    }
}
