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

/// The group of processes that this one joins.
const GROUP: &str = "/sys/fs/cgroup/jobs";
/// Bytes of this process's memory that are there from the start: room for the largest messages and logs.
const HEAP: usize = 64 << 20;

/// Limits what maps and programs may take, so that too large ones are refused (`ENOMEM`) and the kernel, which would
/// otherwise look for a process to kill and find only this one, lives on. Memory of this process is taken before.
pub fn limit_memory() -> io::Result<()> {
    keep_heap();
    std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")?;
    std::fs::create_dir_all(GROUP)?;
    let limit = available_memory().ok_or(io::ErrorKind::InvalidData)? / 2;
    std::fs::write(format!("{GROUP}/memory.max"), limit.to_string())?;
    std::fs::write(format!("{GROUP}/cgroup.procs"), "0")
}

/// Has the allocator keep what it once had, and gives it [`HEAP`] bytes.
fn keep_heap() {
    // SAFETY: settings of the allocator; no other thread is there.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
    let mut heap = Vec::<u8>::with_capacity(HEAP);
    heap.resize(HEAP, 1);
    std::hint::black_box(&heap);
}

/// Bytes that the kernel could still give away.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
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
