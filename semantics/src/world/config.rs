//! What is fixed about a world before a run: a setting for each room, as YAML has it under `world:`.

use serde::{Deserialize, Serialize};

use super::cgroup::CgroupConfig;
use super::clock::ClockConfig;
use super::cpus::CpuConfig;
use super::device::{self, Device};
use super::perf::PerfConfig;
use super::skb::{SKB_MAX_CSUM_LEVEL, SkbConfig};
use super::symbols::{self, SymbolConfig};
use super::task::TaskConfig;
use super::timers::TimerConfig;
use super::trace::TraceConfig;
use super::traced::{RouteConfig, TracedConfig};
use super::user::UserConfig;
use super::xdp::XdpConfig;
use crate::map::ringbuf::RingbufConfig;
use crate::map::user_ringbuf::UserRingbufConfig;

/// What is fixed about a world before a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorldConfig {
    /// Monotonic clock at the start, in nanoseconds since boot.
    pub clock_ns: u64,
    /// By how much each reading of a clock moves it on, in nanoseconds.
    pub clock_step_ns: u64,
    /// Seed of all that the specification leaves open.
    pub seed: u64,
    /// The other clocks.
    pub clocks: ClockConfig,
    /// Processors.
    pub cpus: CpuConfig,
    /// The socket buffer, for programs that see one.
    pub skb: SkbConfig,
    /// The XDP buffer, for programs that see one.
    pub xdp: XdpConfig,
    /// Network devices.
    pub devices: Vec<Device>,
    /// By how much the clock is advanced once the program is done, in nanoseconds: the timers that are due meanwhile fire.
    pub advance_ns: u64,
    /// Timers.
    pub timers: TimerConfig,
    /// Ring buffers that programs write.
    pub ringbuf: RingbufConfig,
    /// Ring buffers that programs read.
    pub user_ringbuf: UserRingbufConfig,
    /// Perf events.
    pub perf: PerfConfig,
    /// The current task.
    pub task: TaskConfig,
    /// Cgroups.
    pub cgroups: CgroupConfig,
    /// Memory of the current process.
    pub user: UserConfig,
    /// Printing.
    pub trace: TraceConfig,
    /// What the program is attached to.
    pub traced: TracedConfig,
    /// Symbols of the kernel, besides those that are always there.
    pub symbols: Vec<SymbolConfig>,
    /// The way that the packet takes.
    pub route: RouteConfig,
}

impl Default for WorldConfig {
    /// One second after boot, a microsecond per reading, seed 0.
    fn default() -> Self {
        WorldConfig {
            clock_ns: 1_000_000_000,
            clock_step_ns: 1_000,
            seed: 0,
            clocks: ClockConfig::default(),
            cpus: CpuConfig::default(),
            skb: SkbConfig::default(),
            xdp: XdpConfig::default(),
            devices: vec![Device::default()],
            advance_ns: 0,
            timers: TimerConfig::default(),
            ringbuf: RingbufConfig::default(),
            user_ringbuf: UserRingbufConfig::default(),
            perf: PerfConfig::default(),
            task: TaskConfig::default(),
            cgroups: CgroupConfig::default(),
            user: UserConfig::default(),
            trace: TraceConfig::default(),
            traced: TracedConfig::default(),
            symbols: Vec::new(),
            route: RouteConfig::default(),
        }
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There are none, or more than there can be.
    #[error("cpus.count: {0}, but there are 1 to {max} processors", max = CpuConfig::MAX)]
    CpuCount(u32),
    /// The program runs on a processor that there is not.
    #[error("cpus.current: {current}, but there are {count} processors")]
    CurrentCpu {
        /// The number given.
        current: u32,
        /// How many there are.
        count: u32,
    },
    /// More room before the packet than there is.
    #[error("headroom: {0}, but there is room for {max} bytes", max = super::packet::HEADROOM_MAX)]
    Headroom(u32),
    /// No such level of a checksum that a device found to be right.
    #[error("skb.checksum: level {0}, but the highest is {SKB_MAX_CSUM_LEVEL}")]
    ChecksumLevel(u8),
    /// Metadata do not fit before the packet.
    #[error("xdp.meta: {0} bytes do not fit into the headroom")]
    Metadata(u32),
    /// The frame has no room for a packet.
    #[error("xdp.frame_size: {0} bytes leave no room for a packet")]
    FrameSize(u32),
    /// The packet has fewer bytes than what it is said to consist of.
    #[error("frags, meta: more bytes than the {0} of the packet")]
    Fragments(u64),
    /// No number of a device.
    #[error("devices: {0} is no number of a device")]
    DeviceNumber(u32),
    /// Two devices with this number.
    #[error("devices: number {0} occurs twice")]
    DeviceTwice(u32),
    /// A device takes no such packets.
    #[error("devices: {0} bytes are too many")]
    DeviceMtu(u32),
    /// Records begin at multiples of 8 bytes.
    #[error("{room}.position: {position} is no multiple of 8")]
    RingPosition {
        /// The setting.
        room: &'static str,
        /// The number given.
        position: u64,
    },
    /// A task's name is too long, or no text.
    #[error("task.comm: `{0}` is no name of at most 15 bytes")]
    Comm(String),
    /// There is no such register.
    #[error("task.regs: there is no register `{0}`")]
    Register(String),
    /// The first cgroup is not the root.
    #[error("cgroups.tree: the first one has to be the root, `/`")]
    NoRootCgroup,
    /// There are too many.
    #[error("cgroups.tree: {0} cgroups, the limit is {max}", max = CgroupConfig::MAX)]
    TooManyCgroups(usize),
    /// A cgroup's path is no path, comes before its parent or twice, or its id does.
    #[error("cgroups.tree: `{0}` has no parent before it, or is there twice")]
    Cgroup(String),
    /// Somebody is in a cgroup that there is not.
    #[error("cgroups: there is no `{0}`")]
    NoSuchCgroup(String),
    /// There are too many.
    #[error("user.ranges: {0} ranges, the limit is {max}", max = UserConfig::MAX)]
    TooManyRanges(usize),
    /// A range is empty or too long, lies outside user space, or before the end of the one before.
    #[error(
        "user.ranges: the range at {0:#x} is empty or longer than {max:#x} bytes, shorter than its bytes, outside user space, or before the end of another",
        max = UserConfig::LEN_MAX
    )]
    UserRange(u64),
    /// A symbol has no name, is there twice, or lies outside the kernel or in another.
    #[error("symbols: `{0}` is there twice, or lies outside the kernel's half or in another symbol")]
    Symbol(String),
}

impl WorldConfig {
    /// Whether timers, ring buffers and perf events are as a test run finds them.
    pub(super) fn has_usual_rooms(&self) -> bool {
        let default = WorldConfig::default();
        let no_time_passes = self.advance_ns == default.advance_ns && self.timers == default.timers;
        let rings = self.ringbuf == default.ringbuf && self.user_ringbuf == default.user_ringbuf;
        no_time_passes && rings && self.perf == default.perf
    }
    /// Whether there can be such a world: what the types of the settings cannot say.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.cpus.check()?;
        self.skb.check()?;
        self.xdp.check()?;
        device::check(&self.devices)?;
        self.task.check()?;
        self.cgroups.check()?;
        self.user.check()?;
        symbols::check(&self.symbols)?;
        let positions = [("ringbuf", self.ringbuf.position), ("user_ringbuf", self.user_ringbuf.position)];
        match positions.into_iter().find(|(_, position)| !position.is_multiple_of(8)) {
            Some((room, position)) => Err(ConfigError::RingPosition { room, position }),
            None => Ok(()),
        }
    }
}
