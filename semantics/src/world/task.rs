//! The task that the program runs in: who it is, and the signals that wait for it (`kernel/signal.c`).

use serde::{Deserialize, Serialize};

use super::config::ConfigError;
use super::room::{Observation, Room};
use crate::errno::Errno;
use crate::outcome::Outcome;

/// Bytes of a task's name, with its NUL (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;
/// The highest number of a signal (`_NSIG`).
pub const SIGNAL_MAX: u32 = 64;

/// The current task, and in what state the processor interrupted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a bit of the kernel's")]
pub struct TaskConfig {
    /// Number of the thread, in the first namespace.
    pub pid: u32,
    /// Number of its process.
    pub tgid: u32,
    /// Number of the process that made it.
    pub ppid: u32,
    /// User, in the first namespace; `u32::MAX` where it has none there.
    pub uid: u32,
    /// Group, likewise.
    pub gid: u32,
    /// Its name, at most 15 bytes.
    pub comm: String,
    /// A thread of the kernel (`PF_KTHREAD`), which has no memory of its own.
    pub kernel_thread: bool,
    /// On its way out (`PF_EXITING`).
    pub exiting: bool,
    /// The processor serves an interrupt, and this task just happens to be there.
    pub in_interrupt: bool,
    /// The processor serves a soft interrupt, as where a packet comes in.
    pub in_softirq: bool,
    /// Interrupts are off, so that signals wait for them to be on again.
    pub irqs_off: bool,
    /// Its namespace of process numbers.
    pub pid_namespace: PidNamespaceConfig,
    /// The registers that it entered the kernel with, by name (`ip`, `sp`, `di`, ...); 0 where not named.
    pub regs: std::collections::BTreeMap<String, u64>,
}

/// A namespace of process numbers, and the task in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PidNamespaceConfig {
    /// Device of its file.
    pub dev: u32,
    /// Number of its file.
    pub ino: u64,
    /// The thread's number in it; 0 for the number in the first one.
    pub pid: u32,
    /// The process's number in it; 0 for the number in the first one.
    pub tgid: u32,
    /// The task has left it already.
    pub gone: bool,
}

impl Default for PidNamespaceConfig {
    /// The first one, as the kernel makes it.
    fn default() -> Self {
        PidNamespaceConfig { dev: 4, ino: 0xefff_fffc, pid: 0, tgid: 0, gone: false }
    }
}

impl Default for TaskConfig {
    /// A process of one thread, run by root.
    fn default() -> Self {
        TaskConfig {
            pid: 1000,
            tgid: 1000,
            ppid: 1,
            uid: 0,
            gid: 0,
            comm: "touchstone".to_owned(),
            kernel_thread: false,
            exiting: false,
            in_interrupt: false,
            in_softirq: false,
            irqs_off: false,
            pid_namespace: PidNamespaceConfig::default(),
            regs: std::collections::BTreeMap::new(),
        }
    }
}

impl TaskConfig {
    /// Whether there can be such a task.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.comm.len() >= COMM_LEN || self.comm.contains('\0') {
            return Err(ConfigError::Comm(self.comm.clone()));
        }
        match self.regs.keys().find(|name| register(name).is_none()) {
            Some(name) => Err(ConfigError::Register(name.clone())),
            None => Ok(()),
        }
    }

    /// The bytes of its name, filled up with NUL.
    pub fn comm_bytes(&self) -> [u8; COMM_LEN] {
        let mut bytes = [0; COMM_LEN];
        let len = self.comm.len().min(COMM_LEN - 1);
        bytes[..len].copy_from_slice(&self.comm.as_bytes()[..len]);
        bytes
    }
    /// Whether it may be written to and sent signals (`PF_KTHREAD | PF_EXITING`).
    pub fn is_sound(&self) -> bool {
        !(self.kernel_thread || self.exiting)
    }
    /// `task_struct.flags`.
    pub fn flags(&self) -> u32 {
        const PF_EXITING: u32 = 0x4;
        const PF_KTHREAD: u32 = 0x0020_0000;
        (if self.exiting { PF_EXITING } else { 0 }) | if self.kernel_thread { PF_KTHREAD } else { 0 }
    }
    /// Numbers of thread and process in the task's own namespace.
    pub fn namespace_numbers(&self) -> (u32, u32) {
        let PidNamespaceConfig { pid, tgid, .. } = self.pid_namespace;
        (if pid == 0 { self.pid } else { pid }, if tgid == 0 { self.tgid } else { tgid })
    }
}

/// Where a register lies in `struct pt_regs`, in bytes.
pub(super) fn register(name: &str) -> Option<u64> {
    use crate::program_type::context::layout::PT_REGS;
    PT_REGS.iter().find(|(row, ..)| *row == name).map(|(_, offset, ..)| u64::from(*offset))
}

/// Whom a signal is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The process: any of its threads takes it.
    Process,
    /// The thread.
    Thread,
}

/// The current task in a run.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// What was set.
    pub config: TaskConfig,
    /// Signals that wait, in the order they came.
    pending: Vec<(Target, u32)>,
    /// A signal waits for interrupts to be on again.
    is_deferred: bool,
}

/// Signals that stop a process: SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU.
const STOPS: std::ops::RangeInclusive<u32> = 19..=22;
const SIGCONT: u32 = 18;
/// Signals from here on queue up; below, one that waits already is lost.
const SIGRTMIN: u32 = 32;
/// Signals that nobody notices who has set nothing else: SIGCHLD, SIGCONT, SIGURG, SIGWINCH.
const IGNORED: [u32; 4] = [17, SIGCONT, 23, 28];

impl Task {
    /// As it is before a run.
    pub fn reset(&mut self, config: &TaskConfig) {
        if self.config != *config {
            self.config.clone_from(config);
        }
        self.pending.clear();
        self.is_deferred = false;
    }

    /// Sends the task a signal (`bpf_send_signal_common`); signal 0 only asks whether one could be sent.
    pub fn send(&mut self, signal: u32, to: Target) -> Result<(), Errno> {
        const INIT: u32 = 1;
        if !self.config.is_sound() || self.config.tgid == INIT {
            return Err(Errno::Eperm);
        }
        if signal > SIGNAL_MAX {
            return Err(Errno::Einval);
        }
        if self.config.irqs_off {
            // One place per processor, which is free again when interrupts are on.
            if std::mem::replace(&mut self.is_deferred, true) {
                return Err(Errno::Ebusy);
            }
        }
        if signal != 0 {
            self.queue(signal, to);
        }
        Ok(())
    }

    /// `prepare_signal`, `__send_signal_locked`: every signal has its default action, none is blocked.
    fn queue(&mut self, signal: u32, to: Target) {
        if STOPS.contains(&signal) {
            self.pending.retain(|(_, waiting)| *waiting != SIGCONT);
        } else if signal == SIGCONT {
            self.pending.retain(|(_, waiting)| !STOPS.contains(waiting));
        }
        let is_lost = IGNORED.contains(&signal) || signal < SIGRTMIN && self.pending.contains(&(to, signal));
        if !is_lost {
            self.pending.push((to, signal));
        }
    }

    /// Signals that wait.
    pub(super) fn observe(&self, outcome: &mut Outcome) {
        let mut observation = Observation::new(outcome, Room::Task);
        for (at, (target, signal)) in self.pending.iter().enumerate() {
            let whom = if *target == Target::Process { "process" } else { "thread" };
            observation.text(&format!("signal {at}"), &format!("{signal} to the {whom}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_wait_as_the_kernel_has_them() {
        let mut task = Task::default();
        for signal in [10, 10, 19, 18, 40, 40, 17, 0] {
            assert_eq!(task.send(signal, Target::Process), Ok(()));
        }
        // 18 takes 19 back, and is ignored itself.
        assert_eq!(task.pending, [10, 40, 40].map(|signal| (Target::Process, signal)));
        assert_eq!(task.send(10, Target::Thread), Ok(()));
        assert_eq!(task.send(65, Target::Thread), Err(Errno::Einval));
        assert_eq!(task.pending.len(), 4);
        task.reset(&TaskConfig { tgid: 1, ..TaskConfig::default() });
        assert!(task.pending.is_empty());
        assert_eq!(task.send(10, Target::Thread), Err(Errno::Eperm));
    }

    #[test]
    fn one_signal_waits_for_interrupts() {
        let mut task = Task::default();
        task.reset(&TaskConfig { irqs_off: true, ..TaskConfig::default() });
        assert_eq!(task.send(65, Target::Process), Err(Errno::Einval));
        assert_eq!(task.send(9, Target::Process), Ok(()));
        assert_eq!(task.send(9, Target::Process), Err(Errno::Ebusy));
    }
}
