//! Making what a job declares: BTF, maps with what they hold, programs.

use std::os::fd::OwnedFd;

use wire::{Fd, Job, Load, Map, Program, Stage, Update, Value};

use crate::bpf::{Attr, Command, Errno};
use crate::btf::KernelBtf;

/// Bytes of the verifier's log that are kept: of a longer one the middle is left out.
const LOG_KEPT: usize = 1 << 20;
/// Bytes of the log at level 2: writing a longer one takes a kernel in emulation minutes, and of that nothing would be kept.
const LOG_DETAILED: usize = LOG_KEPT;
/// What goes into a slot that names no open file.
const BAD_FD: u32 = i32::MAX as u32;

/// All that a loaded job holds. What fails leaves what was made before it.
#[derive(Default)]
pub struct Session {
    pub maps: Vec<OwnedFd>,
    pub programs: Vec<OwnedFd>,
    btf: Option<OwnedFd>,
}

/// Buffers that are used again from job to job.
pub struct Loader {
    /// The log of the verifier.
    log: Vec<u8>,
    kernel_btf: Option<KernelBtf>,
}

type Failure = (Stage, Errno);

impl Loader {
    pub fn new() -> Loader {
        Loader { log: vec![0; 1 << 24], kernel_btf: None }
    }

    /// Makes everything; the log is that of the first program, or of what failed.
    pub fn load(&mut self, job: &Job, log_level: u32) -> (Session, Load) {
        let mut session = Session::default();
        let mut load = Load { result: Ok(()), log: String::new(), log_level, verified_insns: 0 };
        load.result = self.make(job, &mut session, &mut load);
        (session, load)
    }

    fn make(&mut self, job: &Job, session: &mut Session, load: &mut Load) -> Result<(), Failure> {
        if !job.btf.is_empty() {
            session.btf = Some(self.btf(&job.btf, load).map_err(|errno| (Stage::Btf, errno))?);
        }
        create_all(&job.maps, session)?;
        for (map, index) in job.maps.iter().zip(0..) {
            fill(map, index, session, |value| !matches!(value, Value::Program(_)))?;
        }
        // Programs that arrays hold must be there before the arrays can hold them; the first one is the one with the log.
        for (program, index) in job.programs.iter().zip(0..) {
            let fd = self.program(program, index, session, load)?;
            session.programs.push(fd);
        }
        for (map, index) in job.maps.iter().zip(0..) {
            fill(map, index, session, |value| matches!(value, Value::Program(_)))?;
            if map.freeze {
                let mut attr = Attr::new().fd(0, &session.maps[index as usize]);
                attr.call(Command::MapFreeze).map_err(|errno| (Stage::Element(index), errno))?;
            }
        }
        Ok(())
    }

    fn btf(&mut self, bytes: &[u8], load: &mut Load) -> Result<OwnedFd, Errno> {
        let attr = Attr::new().pointer(0, bytes).u32(16, bytes.len() as u32);
        attr.clone().open(Command::BtfLoad).inspect_err(|_| {
            self.log[0] = 0;
            let len = self.log.len() as u32;
            let _ = attr.room(8, &mut self.log).u32(20, len).u32(24, 1).open(Command::BtfLoad);
            load.log = text(&self.log);
        })
    }

    fn program(
        &mut self,
        program: &Program,
        index: u32,
        session: &Session,
        load: &mut Load,
    ) -> Result<OwnedFd, Failure> {
        let fail = |errno| (Stage::Program(index), errno);
        let insns = with_fds(program, session);
        let fd_array: Vec<u8> = program.fd_array.iter().flat_map(|fd| descriptor(*fd, session).to_le_bytes()).collect();
        let license = [program.license.as_bytes(), b"\0"].concat();
        let mut attr = Attr::new()
            .u32(0, program.prog_type)
            .u32(4, (insns.len() / 8) as u32)
            .pointer(8, &insns)
            .pointer(16, &license)
            .u32(44, program.flags)
            .name(48, &program.name)
            .u32(68, program.attach_type)
            .pointer(120, &fd_array);
        if let (Some(btf), false) = (&session.btf, program.func_info.is_empty()) {
            attr = attr
                .fd(72, btf)
                .u32(76, 8)
                .pointer(80, &program.func_info)
                .u32(88, (program.func_info.len() / 8) as u32)
                .u32(92, 16)
                .pointer(96, &program.line_info)
                .u32(104, (program.line_info.len() / 16) as u32);
        }
        if let Some(attach) = &program.attach {
            let found = self.kernel_btf().and_then(|btf| btf.find(attach.kind, &attach.name));
            let id = found.ok_or_else(|| (Stage::Attach(attach.name.clone()), libc::ENOENT))?;
            attr = attr.u32(108, id);
        }
        // Of a long program the log would not fit, and to find that out takes an emulated kernel minutes.
        if load.log_level > 0 && insns.len() / 8 > LOGGED_SLOTS {
            load.log_level = LOG_REASON;
        }
        if index > 0 {
            return attr.open(Command::ProgLoad).map_err(fail);
        }
        self.with_log(&attr, load).map_err(fail)
    }

    /// A log that does not fit is asked for again at a lower level.
    fn with_log(&mut self, attr: &Attr, load: &mut Load) -> Result<OwnedFd, Errno> {
        loop {
            let mut attr = attr.clone();
            if load.log_level > 0 {
                self.log[0] = 0;
                let len = if load.log_level & 2 == 0 { self.log.len() } else { LOG_DETAILED };
                let len = len.min(self.log.len());
                attr = attr.u32(24, load.log_level).u32(28, len as u32).room(32, &mut self.log[..len]);
            }
            let result = attr.open(Command::ProgLoad);
            load.log = if load.log_level > 0 { text(&self.log) } else { String::new() };
            match result {
                Err(libc::ENOSPC) if load.log_level > 0 => load.log_level = lower(load.log_level),
                other => return other,
            }
        }
    }

    fn kernel_btf(&mut self) -> Option<&KernelBtf> {
        if self.kernel_btf.is_none() {
            self.kernel_btf = KernelBtf::read().ok();
        }
        self.kernel_btf.as_ref()
    }
}

/// Slots of the longest program whose instructions are logged.
const LOGGED_SLOTS: usize = 4096;
/// `BPF_LOG_STATS` alone: what the verifier says, without the instructions that it follows.
const LOG_REASON: u32 = 4;

/// The level that takes less room: all paths, the last path, no path, nothing.
fn lower(log_level: u32) -> u32 {
    match log_level {
        level if level & 2 != 0 => 1,
        level if level & 1 != 0 => LOG_REASON,
        _ => 0,
    }
}

/// Makes all maps; those that say what the inner maps of others look like come first.
fn create_all(maps: &[Map], session: &mut Session) -> Result<(), Failure> {
    let mut made: Vec<Option<OwnedFd>> = maps.iter().map(|_| None).collect();
    let is_inner = |at: usize| maps.iter().any(|map| map.inner == Some(at as u32));
    let (first, then): (Vec<usize>, Vec<usize>) = (0..maps.len()).partition(|at| is_inner(*at));
    for at in first.into_iter().chain(then) {
        let inner = maps[at].inner.and_then(|inner| made.get(inner as usize)?.as_ref());
        let fd = create(&maps[at], inner, session.btf.as_ref());
        made[at] = Some(fd.map_err(|errno| (Stage::Map(at as u32), errno))?);
    }
    session.maps = made.into_iter().flatten().collect();
    Ok(())
}

fn create(map: &Map, inner: Option<&OwnedFd>, btf: Option<&OwnedFd>) -> Result<OwnedFd, Errno> {
    let mut attr = Attr::new()
        .u32(0, map.map_type)
        .u32(4, map.key_size)
        .u32(8, map.value_size)
        .u32(12, map.max_entries)
        .u32(16, map.flags)
        .name(28, &map.name)
        .u64(64, map.extra);
    if let Some(inner) = inner {
        attr = attr.fd(20, inner);
    }
    if let (Some(btf), true) = (btf, map.btf != (0, 0)) {
        attr = attr.fd(48, btf).u32(52, map.btf.0).u32(56, map.btf.1);
    }
    attr.open(Command::MapCreate)
}

/// Puts those elements into a map that are wanted now.
fn fill(map: &Map, index: u32, session: &Session, wanted: impl Fn(&Value) -> bool) -> Result<(), Failure> {
    for (key, value) in map.elements.iter().filter(|(_, value)| wanted(value)) {
        let update = Update { key: Some(key.clone()), value: value.clone(), flags: 0 };
        session.update(index, &update).map_err(|errno| (Stage::Element(index), errno))?;
    }
    Ok(())
}

impl Session {
    pub fn update(&self, map: u32, update: &Update) -> Result<(), Errno> {
        use std::os::fd::AsRawFd;
        let descriptor = |fd: Option<&OwnedFd>| fd.map_or(BAD_FD, |fd| fd.as_raw_fd() as u32).to_le_bytes().to_vec();
        let value = match &update.value {
            Value::Bytes(bytes) => bytes.clone(),
            Value::Map(map) => descriptor(self.maps.get(*map as usize)),
            Value::Program(program) => descriptor(self.programs.get(*program as usize)),
        };
        let fd = self.maps.get(map as usize).ok_or(libc::EBADF)?;
        let key = update.key.as_deref().unwrap_or_default();
        let mut attr = Attr::new().fd(0, fd).pointer(8, key).pointer(16, &value).u64(24, update.flags);
        attr.call(Command::MapUpdate).map(|_| ())
    }
}

/// The guest's file descriptor of this.
fn descriptor(fd: Fd, session: &Session) -> u32 {
    use std::os::fd::AsRawFd;
    match fd {
        Fd::Map(map) => session.maps.get(map as usize).map_or(BAD_FD, |fd| fd.as_raw_fd() as u32),
        Fd::Bad => BAD_FD,
    }
}

/// The instructions with the guest's file descriptors in them.
fn with_fds(program: &Program, session: &Session) -> Vec<u8> {
    let mut insns = program.insns.clone();
    for field in &program.fds {
        let fd = descriptor(field.fd, session);
        let at = 8 * field.slot as usize + 4;
        if let Some(imm) = insns.get_mut(at..at + 4) {
            imm.copy_from_slice(&fd.to_le_bytes());
        }
    }
    insns
}

/// The text in a buffer, without its middle if it is long.
fn text(buffer: &[u8]) -> String {
    let len = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
    if len <= LOG_KEPT {
        return String::from_utf8_lossy(&buffer[..len]).into_owned();
    }
    let (head, tail) = (&buffer[..LOG_KEPT / 2], &buffer[len - LOG_KEPT / 2..len]);
    let left_out = len - LOG_KEPT;
    format!("{}\n[{left_out} bytes]\n{}", String::from_utf8_lossy(head), String::from_utf8_lossy(tail))
}
