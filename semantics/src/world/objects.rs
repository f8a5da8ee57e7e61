//! Objects of the kernel in guest memory: the current task and what hangs on it, laid out as the world's BTF says.
//!
//! They are made when a run first asks for one. Programs and the kernel's careful reads see their bytes; nothing writes them.

use std::sync::LazyLock;

use super::World;
use super::btf::btf;
use super::task::register;
use crate::loader::Btf;
use crate::loader::btf::Kind;
use crate::memory::{Object, Region, layout};
use crate::program_type::context::layout::PT_REGS_LEN;

/// An object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// The current task.
    Task,
    /// The task that its process began with, where that is another.
    Leader,
    /// The task of the process that made it.
    Parent,
    /// Its credentials.
    Cred,
    /// Its memory.
    Mm,
    /// Its namespaces.
    Nsproxy,
    /// Its namespace of process numbers.
    PidNamespace,
    /// Its number.
    Pid,
    /// What its threads share.
    Signal,
    /// Its cgroups.
    CssSet,
    /// The registers that it entered the kernel with.
    Regs,
    /// The cgroup with this number.
    Cgroup(u32),
    /// The file of the cgroup with this number.
    Node(u32),
    /// The mapping of user memory with this number.
    Vma(u32),
}

/// Distance between objects; none is larger.
const STRIDE: u64 = 4096;
/// How many there can be of a kind that is numbered.
const NUMBERED: u32 = 64;

impl Thing {
    const SINGLE: [Thing; 11] = [
        Thing::Task,
        Thing::Leader,
        Thing::Parent,
        Thing::Cred,
        Thing::Mm,
        Thing::Nsproxy,
        Thing::PidNamespace,
        Thing::Pid,
        Thing::Signal,
        Thing::CssSet,
        Thing::Regs,
    ];

    fn number(self) -> u32 {
        match self {
            Thing::Cgroup(at) => NUMBERED + at,
            Thing::Node(at) => 2 * NUMBERED + at,
            Thing::Vma(at) => 3 * NUMBERED + at,
            single => Thing::SINGLE.iter().position(|of| *of == single).unwrap_or(0) as u32,
        }
    }
    /// Its address.
    pub fn addr(self) -> u64 {
        layout::TASKS + u64::from(self.number()) * STRIDE
    }
    /// Its structure.
    pub fn structure(self) -> &'static str {
        match self {
            Thing::Task | Thing::Leader | Thing::Parent => "task_struct",
            Thing::Cred => "cred",
            Thing::Mm => "mm_struct",
            Thing::Nsproxy => "nsproxy",
            Thing::PidNamespace => "pid_namespace",
            Thing::Pid => "pid",
            Thing::Signal => "signal_struct",
            Thing::CssSet => "css_set",
            Thing::Regs => "pt_regs",
            Thing::Cgroup(_) => "cgroup",
            Thing::Node(_) => "kernfs_node",
            Thing::Vma(_) => "vm_area_struct",
        }
    }
}

/// A task that a helper is handed, as far as the world knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownTask {
    /// The current one, or another thread of its process: they share memory.
    Current,
    /// Another process, whose memory the world does not have.
    Other,
}

/// Member, and what it holds.
type Row = (&'static str, fn(&World, Thing) -> u64);

#[rustfmt::skip]
const TASK: &[Row] = &[
    ("thread_info.cpu", |w, _| w.cpus.current.into()),
    ("usage.refs.counter", |_, _| 2),
    ("flags", |w, of| if of == Thing::Task { w.task.config.flags().into() } else { 0 }),
    ("on_cpu", |_, of| u64::from(of == Thing::Task)),
    ("recent_used_cpu", |w, _| w.cpus.current.into()),
    ("prio", |_, _| 120),
    ("static_prio", |_, _| 120),
    ("normal_prio", |_, _| 120),
    ("nr_cpus_allowed", |w, _| w.cpus.count.into()),
    ("mm", |w, of| if of == Thing::Parent { 0 } else { w.mm() }),
    ("active_mm", |w, of| if of == Thing::Parent { 0 } else { w.mm() }),
    ("exit_signal", |_, _| 17),
    ("pid", |w, of| match of { Thing::Task => w.task.config.pid, Thing::Leader => w.task.config.tgid, _ => w.task.config.ppid }.into()),
    ("tgid", |w, of| if of == Thing::Parent { w.task.config.ppid } else { w.task.config.tgid }.into()),
    ("real_parent", |_, _| Thing::Parent.addr()),
    ("parent", |_, _| Thing::Parent.addr()),
    ("group_leader", |w, of| if of == Thing::Parent { of } else { w.leader() }.addr()),
    ("thread_pid", |w, of| if of == Thing::Task && !w.task.config.pid_namespace.gone { Thing::Pid.addr() } else { 0 }),
    ("real_cred", |_, _| Thing::Cred.addr()),
    ("cred", |_, _| Thing::Cred.addr()),
    ("nsproxy", |_, _| Thing::Nsproxy.addr()),
    ("signal", |_, of| if of == Thing::Parent { 0 } else { Thing::Signal.addr() }),
    ("loginuid.val", |_, _| u32::MAX.into()),
    ("sessionid", |_, _| u32::MAX.into()),
    ("cgroups", |_, of| if of == Thing::Parent { 0 } else { Thing::CssSet.addr() }),
];

#[rustfmt::skip]
const OTHERS: &[(&str, &[Row])] = &[
    ("task_struct", TASK),
    ("cred", &[
        ("usage.counter", |_, _| 2),
        ("uid.val", |w, _| w.task.config.uid.into()),
        ("gid.val", |w, _| w.task.config.gid.into()),
        ("suid.val", |w, _| w.task.config.uid.into()),
        ("sgid.val", |w, _| w.task.config.gid.into()),
        ("euid.val", |w, _| w.task.config.uid.into()),
        ("egid.val", |w, _| w.task.config.gid.into()),
        ("fsuid.val", |w, _| w.task.config.uid.into()),
        ("fsgid.val", |w, _| w.task.config.gid.into()),
    ]),
    ("mm_struct", &[
        ("task_size", |_, _| super::user::END),
        ("mm_users.counter", |_, _| 1),
        ("mm_count.counter", |_, _| 1),
        ("map_count", |w, _| w.user.ranges().len() as u64),
        ("owner", |w, _| w.leader().addr()),
    ]),
    ("nsproxy", &[
        ("count.refs.counter", |_, _| 1),
        ("pid_ns_for_children", |_, _| Thing::PidNamespace.addr()),
    ]),
    ("pid_namespace", &[
        ("level", |w, _| u64::from(w.task.config.namespace_numbers().0 != w.task.config.pid)),
        ("ns.inum", |w, _| w.task.config.pid_namespace.ino),
        ("ns.count.refs.counter", |_, _| 1),
    ]),
    ("pid", &[("count.refs.counter", |_, _| 1)]),
    ("signal_struct", &[
        ("live.counter", |_, _| 1),
        ("nr_threads", |w, _| 1 + u64::from(w.leader() == Thing::Leader)),
    ]),
    ("css_set", &[
        ("refcount.refs.counter", |_, _| 1),
        ("dfl_cgrp", |w, _| Thing::Cgroup(w.cgroups.of_task() as u32).addr()),
    ]),
    ("pt_regs", &[]),
    ("cgroup", &[
        ("self.cgroup", |_, of| of.addr()),
        ("level", |w, of| w.cgroups.level(of.place()) as u64),
        ("max_depth", |_, _| i32::MAX as u64),
        ("kn", |_, of| Thing::Node(of.place() as u32).addr()),
    ]),
    ("kernfs_node", &[
        ("count.counter", |_, _| 1),
        ("parent", |w, of| w.cgroups.parent(of.place()).map_or(0, |above| Thing::Node(above as u32).addr())),
        ("id", |w, of| w.cgroups.id(of.place())),
        ("priv", |_, of| Thing::Cgroup(of.place() as u32).addr()),
    ]),
    ("vm_area_struct", &[
        ("vm_start", |w, of| w.user.ranges()[of.place()].at),
        ("vm_end", |w, of| w.user.ranges()[of.place()].end()),
        ("vm_mm", |_, _| Thing::Mm.addr()),
        ("vm_flags", |w, of| {
            let range = &w.user.ranges()[of.place()];
            u64::from(range.readable) | u64::from(range.writable) << 1
        }),
    ]),
];

impl Thing {
    /// Its place among those of its kind.
    fn place(self) -> usize {
        match self {
            Thing::Cgroup(at) | Thing::Node(at) | Thing::Vma(at) => at as usize,
            _ => 0,
        }
    }
}

/// Offset and width in bytes of a member, and what it holds.
type Placed = (u64, usize, fn(&World, Thing) -> u64);

/// The structures, by name: their bytes, and their members.
struct Layouts(Vec<(&'static str, u64, Vec<Placed>)>);

impl Layouts {
    fn of(&self, structure: &str) -> (u64, &[Placed]) {
        let found = self.0.iter().find(|(name, ..)| *name == structure);
        found.map_or((0, &[]), |(_, size, members)| (*size, members))
    }
}

static LAYOUTS: LazyLock<Layouts> = LazyLock::new(|| {
    let layout = |(name, rows): &(&'static str, &'static [Row])| {
        let members = rows.iter().map(|(path, value)| {
            let (offset, size) = member(name, path).unwrap_or_else(|| panic!("{name}.{path} is not declared"));
            (offset, size as usize, *value)
        });
        let size = if *name == "pt_regs" { PT_REGS_LEN } else { size(name) };
        (*name, u64::from(size), members.collect())
    };
    Layouts(OTHERS.iter().map(layout).collect())
});

fn structure(name: &str) -> Option<u32> {
    let world = btf();
    let is_it = |of: &crate::loader::btf::Type| {
        matches!(of.kind, Kind::Struct { union: false, .. }) && world.string(of.name) == name
    };
    world.types().iter().position(is_it).map(|at| at as u32 + 1)
}

fn size(name: &str) -> u32 {
    structure(name).and_then(|number| btf().size(number)).unwrap_or(0)
}

/// Offset and width in bytes of a member of a structure, by its path.
fn member(name: &str, path: &str) -> Option<(u64, u32)> {
    let btf: &Btf = btf();
    let (mut of, mut offset) = (structure(name)?, 0);
    for step in path.split('.') {
        let Some(Kind::Struct { members, .. }) = btf.resolve(of) else { return None };
        let found = members.iter().find(|member| btf.string(member.name) == step)?;
        offset += u64::from(found.offset / 8);
        of = found.of;
    }
    Some((offset, btf.size(of)?))
}

impl World {
    /// The address of the current task's memory; 0 of a thread of the kernel.
    fn mm(&self) -> u64 {
        if self.task.config.kernel_thread { 0 } else { Thing::Mm.addr() }
    }
    /// The task that the current process began with.
    fn leader(&self) -> Thing {
        if self.task.config.pid == self.task.config.tgid { Thing::Task } else { Thing::Leader }
    }

    /// The address of an object; all of them are made if this is the first in a run.
    pub fn object(&mut self, thing: Thing) -> u64 {
        if !std::mem::replace(&mut self.has_objects, true) {
            let numbered = |count: usize, thing: fn(u32) -> Thing| (0..count as u32).map(thing);
            let cgroups = self.cgroups.tree.len();
            let all = Thing::SINGLE.into_iter().chain(numbered(cgroups, Thing::Cgroup));
            let all = all.chain(numbered(cgroups, Thing::Node)).chain(numbered(self.user.ranges().len(), Thing::Vma));
            all.collect::<Vec<_>>().into_iter().for_each(|thing| self.place_object(thing));
        }
        thing.addr()
    }

    fn place_object(&mut self, thing: Thing) {
        let (size, members) = LAYOUTS.of(thing.structure());
        let mut bytes = vec![0; size as usize];
        for (offset, width, value) in members {
            let at = *offset as usize;
            bytes[at..at + width].copy_from_slice(&value(self, thing).to_le_bytes()[..*width]);
        }
        match thing {
            Thing::Task | Thing::Leader | Thing::Parent => {
                let (at, width) = member("task_struct", "comm").unwrap_or_default();
                let init = *b"init\0\0\0\0\0\0\0\0\0\0\0\0";
                let comm = if thing == Thing::Parent { init } else { self.task.config.comm_bytes() };
                bytes[at as usize..][..width as usize].copy_from_slice(&comm[..width as usize]);
            }
            Thing::Regs => {
                for (name, value) in &self.task.config.regs {
                    if let Some(at) = register(name) {
                        bytes[at as usize..][..8].copy_from_slice(&value.to_le_bytes());
                    }
                }
            }
            // Arrays without a length of their own, behind the structure.
            Thing::Pid => {
                bytes.extend(self.task.config.namespace_numbers().0.to_le_bytes());
                bytes.extend([0; 4]);
                bytes.extend(Thing::PidNamespace.addr().to_le_bytes());
            }
            Thing::Cgroup(at) => {
                let ancestors = (0..=self.cgroups.level(at as usize)).map(|level| {
                    let ancestor = self.cgroups.ancestor(at as usize, level).unwrap_or(0);
                    Thing::Cgroup(ancestor as u32).addr()
                });
                bytes.extend(ancestors.flat_map(u64::to_le_bytes));
            }
            _ => {}
        }
        let (base, len) = (thing.addr(), bytes.len() as u64);
        let object = Object::Kernel(thing.number());
        self.memory.place_passing(Region { object, base, len, stride: len, count: 1, writable: false });
        self.memory.poke(base, &bytes);
    }

    /// The task whose address this is.
    pub fn task_at(&self, addr: u64) -> Option<KnownTask> {
        if !self.has_objects {
            return None;
        }
        match addr {
            of if of == Thing::Task.addr() || of == Thing::Leader.addr() => Some(KnownTask::Current),
            of if of == Thing::Parent.addr() => Some(KnownTask::Other),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insn::Size;
    use crate::memory::Memory;
    use crate::world::Input;

    fn read(world: &mut World, addr: u64, structure: &str, path: &str) -> u64 {
        let (offset, width) = member(structure, path).unwrap();
        let size = if width == 8 { Size::Dw } else { Size::W };
        world.memory.load(size, addr + offset).unwrap()
    }

    #[test]
    fn the_current_task_hangs_together() {
        let mut input = Input::default();
        (input.world.task.pid, input.world.task.tgid, input.world.task.uid) = (77, 70, 1000);
        let mut world = World::new(Memory::detached().unwrap());
        world.reset(&input).unwrap();
        assert_eq!(world.task_at(Thing::Task.addr()), None);
        let task = world.object(Thing::Task);
        let leader = read(&mut world, task, "task_struct", "group_leader");
        assert_eq!(read(&mut world, leader, "task_struct", "pid"), 70);
        assert_eq!(read(&mut world, task, "task_struct", "pid"), 77);
        let cred = read(&mut world, task, "task_struct", "cred");
        assert_eq!(read(&mut world, cred, "cred", "uid"), 1000);
        let set = read(&mut world, task, "task_struct", "cgroups");
        let cgroup = read(&mut world, set, "css_set", "dfl_cgrp");
        let node = read(&mut world, cgroup, "cgroup", "kn");
        assert_eq!(read(&mut world, node, "kernfs_node", "id"), 1);
        assert_eq!(world.task_at(leader), Some(KnownTask::Current));
        let pid = read(&mut world, task, "task_struct", "thread_pid");
        assert_eq!(world.memory.load(Size::W, pid + u64::from(size("pid"))).unwrap(), 77);
        assert!(world.memory.store(Size::W, task, 1).is_err());
        world.reset(&input).unwrap();
        assert!(world.memory.load(Size::W, task).is_err());
    }

    #[test]
    fn every_member_has_a_width_that_fits() {
        for (name, size, members) in &LAYOUTS.0 {
            assert!(*size > 0 && *size <= STRIDE / 2, "{name}");
            assert!(members.iter().all(|(at, width, _)| *width <= 8 && at + *width as u64 <= *size), "{name}");
        }
    }
}
