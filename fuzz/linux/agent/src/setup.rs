//! What a first process does before it can work: file systems and settings of the kernel.

use std::ffi::{CStr, CString};
use std::io;

/// File systems: type and where they are mounted. Those that a kernel lacks are left out.
const MOUNTS: [(&str, &str); 7] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("bpf", "/sys/fs/bpf"),
    ("tracefs", "/sys/kernel/tracing"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("tmpfs", "/tmp"),
];

/// Settings under `/proc/sys`, with their values.
const SETTINGS: [(&str, &str); 6] = [
    ("kernel/kptr_restrict", "0"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/panic", "-1"),
    ("kernel/hung_task_timeout_secs", "0"),
    ("net/core/bpf_jit_harden", "0"),
    ("vm/panic_on_oom", "0"),
];

/// Mounts what there is; an error names the first that failed and is needed.
pub fn mount_all() -> io::Result<()> {
    for (kind, at) in MOUNTS {
        let _ = std::fs::create_dir_all(at);
        let (kind_c, at_c) = (CString::new(kind)?, CString::new(at)?);
        // SAFETY: strings that end with 0 and live through the call.
        let result = unsafe { libc::mount(kind_c.as_ptr(), at_c.as_ptr(), kind_c.as_ptr(), 0, std::ptr::null()) };
        if result != 0 && ["proc", "sysfs"].contains(&kind) {
            return Err(io::Error::last_os_error());
        }
    }
    for (name, value) in SETTINGS {
        let _ = std::fs::write(format!("/proc/sys/{name}"), value);
    }
    Ok(())
}

/// `uname -r`.
pub fn release() -> String {
    // SAFETY: a utsname of zeros is a value of its type.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the structure lives through the call, which fills it with strings that end with 0.
    let release = unsafe {
        libc::uname(&raw mut name);
        CStr::from_ptr(name.release.as_ptr())
    };
    release.to_string_lossy().into_owned()
}

/// Ends the guest.
pub fn power_off() -> ! {
    loop {
        // SAFETY: does not return where it works.
        unsafe { libc::reboot(libc::RB_AUTOBOOT) };
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}
