//! The kernel's version and build options, as programs read them through `.kconfig`.
//!
//! The default is Linux 6.8 for x86-64 with what a distribution sets of the options that programs ask for. Options that are
//! not named are not set, as in a kernel built without them.

use std::collections::BTreeMap;

/// What an option is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// `y`: built in.
    Yes,
    /// `m`: a module.
    Module,
    /// `n`, or a comment `is not set`.
    No,
    /// A number; negative ones in two's complement.
    Number(u64),
    /// A text in quotes.
    Text(String),
}

/// A line of a configuration that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct KconfigError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// Version and options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kconfig {
    /// `KERNEL_VERSION(major, minor, patch)`: a byte for each of minor and patch.
    pub version: u32,
    /// Whether system calls get their arguments through a `struct pt_regs` (`CONFIG_ARCH_HAS_SYSCALL_WRAPPER`).
    pub has_syscall_wrapper: bool,
    /// Whether programs can ask for their attachment's cookie.
    pub has_bpf_cookie: bool,
    options: BTreeMap<String, Setting>,
}

/// Processors that the kernel can have.
pub const CPUS: u32 = 8;

/// `KERNEL_VERSION(6, 8, 0)`.
const VERSION: u32 = 6 << 16 | 8 << 8;

/// Options that are built in.
const YES: [&str; 48] = [
    "CONFIG_64BIT",
    "CONFIG_ARCH_HAS_SYSCALL_WRAPPER",
    "CONFIG_BLK_CGROUP",
    "CONFIG_BLK_DEV",
    "CONFIG_BPF",
    "CONFIG_BPF_EVENTS",
    "CONFIG_BPF_JIT",
    "CONFIG_BPF_JIT_ALWAYS_ON",
    "CONFIG_BPF_LSM",
    "CONFIG_BPF_SYSCALL",
    "CONFIG_BPF_UNPRIV_DEFAULT_OFF",
    "CONFIG_CGROUPS",
    "CONFIG_CGROUP_BPF",
    "CONFIG_CGROUP_NET_CLASSID",
    "CONFIG_CGROUP_SCHED",
    "CONFIG_DEBUG_INFO",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_DYNAMIC_FTRACE",
    "CONFIG_FTRACE",
    "CONFIG_FTRACE_SYSCALLS",
    "CONFIG_FUNCTION_TRACER",
    "CONFIG_INET",
    "CONFIG_IPC_NS",
    "CONFIG_IPV6",
    "CONFIG_KPROBES",
    "CONFIG_KPROBE_EVENTS",
    "CONFIG_MEMCG",
    "CONFIG_MMU",
    "CONFIG_NAMESPACES",
    "CONFIG_NET",
    "CONFIG_NETFILTER",
    "CONFIG_NET_NS",
    "CONFIG_NUMA",
    "CONFIG_PERF_EVENTS",
    "CONFIG_PID_NS",
    "CONFIG_SCHED_INFO",
    "CONFIG_SECURITY",
    "CONFIG_SMP",
    "CONFIG_SYSFS",
    "CONFIG_THREAD_INFO_IN_TASK",
    "CONFIG_TIME_NS",
    "CONFIG_TRACEPOINTS",
    "CONFIG_UPROBES",
    "CONFIG_USER_NS",
    "CONFIG_UTS_NS",
    "CONFIG_X86",
    "CONFIG_X86_64",
    "CONFIG_XDP_SOCKETS",
];

impl Default for Kconfig {
    fn default() -> Kconfig {
        let mut options: BTreeMap<String, Setting> =
            YES.iter().map(|name| ((*name).to_owned(), Setting::Yes)).collect();
        let others = [
            ("CONFIG_HZ", Setting::Number(1000)),
            ("CONFIG_NR_CPUS", Setting::Number(CPUS as u64)),
            ("CONFIG_PAGE_SHIFT", Setting::Number(12)),
            ("CONFIG_PGTABLE_LEVELS", Setting::Number(5)),
            ("CONFIG_DEFAULT_HOSTNAME", Setting::Text("(none)".to_owned())),
        ];
        options.extend(others.map(|(name, option)| (name.to_owned(), option)));
        Kconfig { version: VERSION, has_syscall_wrapper: true, has_bpf_cookie: true, options }
    }
}

impl Kconfig {
    /// The options of a kernel's `.config` file, for a kernel of this version.
    ///
    /// ```
    /// use semantics::world::kconfig::{Kconfig, Setting};
    /// let config = Kconfig::parse("# CONFIG_BPF_LSM is not set\nCONFIG_HZ=250\n", 0x060100).unwrap();
    /// assert_eq!(config.get("CONFIG_HZ"), Some(&Setting::Number(250)));
    /// assert_eq!(config.get("CONFIG_BPF"), None);
    /// assert_eq!(Kconfig::parse("CONFIG_HZ", 0).unwrap_err().to_string(), "line 1: a line is written CONFIG_NAME=value");
    /// ```
    pub fn parse(text: &str, version: u32) -> Result<Kconfig, KconfigError> {
        let mut config = Kconfig { version, options: BTreeMap::new(), ..Kconfig::default() };
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fail = |reason| KconfigError { line: at + 1, reason };
            let (name, value) = line.split_once('=').ok_or(fail("a line is written CONFIG_NAME=value"))?;
            if !name.starts_with("CONFIG_") {
                return Err(fail("a line is written CONFIG_NAME=value"));
            }
            let option = value_of(value).ok_or(fail("a value is y, m, n, a number, or a text in quotes"))?;
            config.options.insert(name.to_owned(), option);
        }
        Ok(config)
    }
    /// What an option is set to; `None` if it is not named.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.options.get(name)
    }
    /// Sets an option.
    pub fn set(&mut self, name: &str, option: Setting) {
        self.options.insert(name.to_owned(), option);
    }
}

fn value_of(text: &str) -> Option<Setting> {
    Some(match text {
        "y" => Setting::Yes,
        "m" => Setting::Module,
        "n" => Setting::No,
        _ => {
            if let Some(inner) = text.strip_prefix('"') {
                return inner.strip_suffix('"').map(|text| Setting::Text(text.to_owned()));
            }
            let (digits, negative) = text.strip_prefix('-').map_or((text, false), |digits| (digits, true));
            let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                Some(hex) => u64::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            let number = number.ok()?;
            Setting::Number(if negative { number.wrapping_neg() } else { number })
        }
    })
}
