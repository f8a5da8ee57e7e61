//! qemu: its command line, and processes that never outlive ours.
//!
//! A guest is killed with its parent (`PR_SET_PDEATHSIG`), but to Linux the parent is the thread that forked: a guest of a
//! short-lived thread would die with that thread. So one thread, which lives as long as the process, starts all of them.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use wire::SHARED_LEN;

use crate::accel::Accel;
use crate::guest::Settings;
use crate::kernel::Kernel;

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";

/// What the guest's kernel is told. Reboots end the guest; addresses are the same in each.
const KERNEL_WORDS: &str = "console=ttyS0 panic=-1 loglevel=5 nokaslr mitigations=off";

/// The command that boots a kernel.
pub fn command(
    kernel: &Kernel,
    settings: &Settings,
    accel: &Accel,
    memory: &File,
    signals: &UnixStream,
) -> io::Result<Command> {
    let (memory, signals) = (memory.as_raw_fd(), signals.as_raw_fd());
    let backend = format!("memory-backend-file,id=shared,size={SHARED_LEN},mem-path=/proc/self/fd/{memory},share=on");
    // qemu takes a file that is not there for a disk to boot from, some versions without a word.
    kernel.check()?;
    let mut command = Command::new(QEMU);
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc"])
        .args(accel.words())
        .args(["-m", &settings.memory.to_string()])
        .args([OsString::from("-kernel"), kernel.image.clone().into()])
        .args([OsString::from("-initrd"), kernel.initramfs.clone().into()])
        .args(["-append", &format!("{KERNEL_WORDS} {}", settings.command_line)])
        .args(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"])
        .args(["-chardev", &format!("socket,id=signals,fd={signals}"), "-serial", "chardev:signals"])
        .args(["-object", &backend, "-device", "ivshmem-plain,memdev=shared"])
        .stdin(Stdio::null());
    let parent = std::process::id();
    // SAFETY: the calls are safe between fork and exec: they touch this child's own descriptors and settings only.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // The parent may have died before that.
            if libc::getppid() as u32 != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            // Ctrl-C at the terminal is for the campaign, which ends its guests itself.
            libc::setpgid(0, 0);
            for fd in [memory, signals] {
                if libc::fcntl(fd, libc::F_SETFD, 0) != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    Ok(command)
}

type Order = (Command, Sender<io::Result<Child>>);

/// The thread that starts guests, and the process it belongs to: a fork has none.
static STARTER: Mutex<Option<(u32, Sender<Order>)>> = Mutex::new(None);

/// Starts a command from the thread that lives as long as this process.
pub fn spawn(command: Command) -> io::Result<Child> {
    let (result, child) = channel();
    {
        let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
        let here = std::process::id();
        if starter.as_ref().is_none_or(|(process, _)| *process != here) {
            *starter = Some((here, start_starter()?));
        }
        let (_, orders) = starter.as_ref().expect("it was just made");
        orders.send((command, result)).map_err(|_| gone())?;
    }
    child.recv().map_err(|_| gone())?
}

fn start_starter() -> io::Result<Sender<Order>> {
    let (orders, to_do) = channel::<Order>();
    std::thread::Builder::new().name("guests".to_owned()).spawn(move || {
        for (mut command, result) in to_do {
            let _ = result.send(command.spawn());
        }
    })?;
    Ok(orders)
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts guests is gone")
}

#[cfg(test)]
mod tests {
    use super::spawn;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// The planted mistake is the first half: a child of a thread that ends is killed with it.
    #[test]
    fn children_outlive_the_threads_that_ask_for_them() {
        let sleeper = || {
            let mut command = Command::new("sleep");
            command.arg("60");
            // SAFETY: safe between fork and exec.
            unsafe {
                command.pre_exec(|| {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    Ok(())
                });
            }
            command
        };
        let mut mistaken = std::thread::spawn(move || sleeper().spawn().unwrap()).join().unwrap();
        assert!(!mistaken.wait().unwrap().success(), "the kernel kills it when its thread ends");
        let mut child = std::thread::spawn(move || spawn(sleeper()).unwrap()).join().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(child.try_wait().unwrap().is_none(), "it lives on");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
