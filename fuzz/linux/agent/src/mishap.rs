//! What goes wrong on purpose: a host that never saw a guest die cannot be trusted with one that does.

use std::time::Duration;

use wire::{Answer, Mishap};

/// Keys that the kernel obeys (`Documentation/admin-guide/sysrq.rst`).
const SYSRQ: &str = "/proc/sysrq-trigger";

/// Before a job.
pub fn before(mishap: Option<Mishap>) {
    match mishap {
        Some(Mishap::Panic) => press("c"),
        Some(Mishap::Reset) => press("b"),
        Some(Mishap::Hang) => loop {
            std::thread::sleep(Duration::from_mins(1));
        },
        Some(Mishap::Exit) => std::process::exit(0),
        Some(Mishap::Warn) => warn(),
        _ => {}
    }
}

/// To the answer.
pub fn within(mishap: Option<Mishap>, answer: &mut Answer) {
    if let Some(Mishap::Swell(bytes)) = mishap {
        answer.messages.push("+".repeat(bytes as usize));
    }
}

/// To the answer's bytes, after their checksum was made.
pub fn on_the_way(mishap: Option<Mishap>, bytes: &mut Vec<u8>) {
    match mishap {
        Some(Mishap::Garble) => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        }
        Some(Mishap::Cut) => {
            bytes.pop();
        }
        _ => {}
    }
}

/// After the answer.
pub fn after(mishap: Option<Mishap>) {
    if mishap == Some(Mishap::PanicAfter) {
        press("c");
    }
}

fn press(key: &str) {
    if let Err(error) = std::fs::write(SYSRQ, key) {
        println!("touchstone-agent: {SYSRQ}: {error}");
    }
}

/// The kernel warns, once, of whoever uses a system call that it no longer has.
fn warn() {
    // SAFETY: there is nothing to remap at address 0, so nothing changes.
    unsafe { libc::syscall(libc::SYS_remap_file_pages, 0, 4096, 0, 0, 0) };
}
