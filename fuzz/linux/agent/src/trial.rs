//! A job under each engine: load, steps, runs, and what is read back.

use std::io;
use std::time::Instant;

use wire::{Answer, Element, Engine, Job, Map, MapOp, Outcome, Ran, Run, Stage, Trial, Update, Value};

use crate::bpf::{Attr, Command, Errno};
use crate::info;
use crate::kmsg::Kmsg;
use crate::load::{Loader, Session};

/// Where the engine of programs loaded from then on is chosen.
const JIT_SWITCH: &str = "/proc/sys/net/core/bpf_jit_enable";
/// `BPF_MAP_TYPE_HASH`.
const HASH: u32 = 1;
/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// The most elements that are read back of a map.
const ELEMENTS_MAX: usize = 1 << 16;
/// Arrays up to so many elements are emptied in place, others are made again.
const EMPTIED_MAX: u32 = 64;
/// Room for what a run adds to its packet, in bytes.
const GROWTH: usize = 4096;

pub struct Agent {
    loader: Loader,
    kmsg: Kmsg,
    engine: Option<Engine>,
    /// Possible CPUs: per-CPU maps have a value for each.
    cpus: usize,
}

impl Agent {
    pub fn new() -> io::Result<Agent> {
        Ok(Agent { loader: Loader::new(), kmsg: Kmsg::open()?, engine: None, cpus: info::possible_cpus() })
    }

    pub fn answer(&mut self, job: &Job) -> Answer {
        let start = Instant::now();
        let trials = job.engines.iter().map(|engine| self.trial(job, *engine)).collect();
        Answer { trials, messages: self.kmsg.warnings(), nanoseconds: start.elapsed().as_nanos() as u64 }
    }

    fn trial(&mut self, job: &Job, engine: Engine) -> Trial {
        let switched = self.switch(engine);
        let (session, load) = self.loader.load(job, job.log_level);
        let mut trial = Trial::new(engine, load);
        if let Err(error) = switched {
            trial.load.result = Err((Stage::Engine, error.raw_os_error().unwrap_or(0)));
        }
        if trial.load.result.is_err() {
            return trial;
        }
        if let Some(program) = session.programs.first() {
            info::read(program, job.dump, &mut trial);
            if trial.load.result.is_err() {
                return trial;
            }
        }
        trial.steps = job.steps.iter().map(|step| self.step(job, &session, step.map, &step.op)).collect();
        self.runs(job, session, &mut trial);
        trial
    }

    fn switch(&mut self, engine: Engine) -> io::Result<()> {
        if self.engine != Some(engine) {
            std::fs::write(JIT_SWITCH, if engine == Engine::Jit { "1" } else { "0" })?;
            self.engine = Some(engine);
        }
        Ok(())
    }

    fn runs(&mut self, job: &Job, mut session: Session, trial: &mut Trial) {
        let mut clean = job.steps.is_empty();
        for run in &job.runs {
            if !clean && !Agent::empty(job, &session) {
                drop(session);
                let (again, load) = self.loader.load(job, 0);
                session = again;
                if let Err((_, errno)) = load.result {
                    trial.runs.push(Err(errno));
                    continue;
                }
            }
            clean = job.maps.is_empty();
            trial.runs.push(self.run(job, &session, run));
        }
    }

    /// Makes all maps as they were after creation, where that can be done in place.
    fn empty(job: &Job, session: &Session) -> bool {
        job.maps.iter().zip(0..).all(|(map, index)| match map.map_type {
            _ if map.freeze || map.btf != (0, 0) || map.flags != 0 => false,
            HASH => Agent::empty_hash(map, index, session).is_ok(),
            ARRAY if map.max_entries <= EMPTIED_MAX => empty_array(map, index, session).is_ok(),
            _ => false,
        })
    }

    fn empty_hash(map: &Map, index: u32, session: &Session) -> Result<(), Errno> {
        while let Ok(key) = Agent::next_key(map, index, session, None) {
            delete(session, index, &key)?;
        }
        fill(map, index, session)
    }

    fn run(&self, job: &Job, session: &Session, run: &Run) -> Result<Ran, Errno> {
        for (map, (key, value)) in &run.elements {
            let update = Update { key: Some(key.clone()), value: Value::Bytes(value.clone()), flags: 0 };
            session.update(*map, &update)?;
        }
        let mut ran = test_run(session, run)?;
        ran.maps = run.read_back.iter().map(|map| self.elements(job, session, *map)).collect();
        Ok(ran)
    }

    fn step(&self, job: &Job, session: &Session, map: u32, op: &MapOp) -> Outcome {
        let def = job.maps.get(map as usize).ok_or(libc::EBADF)?;
        match op {
            MapOp::Lookup { key, flags } => self.lookup(def, map, session, key.as_deref(), *flags, Command::MapLookup),
            MapOp::LookupAndDelete { key, flags } => {
                self.lookup(def, map, session, key.as_deref(), *flags, Command::MapLookupAndDelete)
            }
            MapOp::Update(update) => session.update(map, update).map(|()| Vec::new()),
            MapOp::Delete { key } => delete(session, map, key).map(|()| Vec::new()),
            MapOp::NextKey { key } => Agent::next_key(def, map, session, key.as_deref()),
            MapOp::Freeze => {
                Attr::new().fd(0, &session.maps[map as usize]).call(Command::MapFreeze).map(|_| Vec::new())
            }
        }
    }

    fn lookup(
        &self,
        def: &Map,
        map: u32,
        session: &Session,
        key: Option<&[u8]>,
        flags: u64,
        command: Command,
    ) -> Outcome {
        let mut value = vec![0; self.value_len(def)];
        let fd = &session.maps[map as usize];
        let attr = Attr::new().fd(0, fd).pointer(8, key.unwrap_or_default()).room(16, &mut value).u64(24, flags);
        attr.clone().call(command)?;
        Ok(value)
    }

    /// Bytes that the kernel copies for a value (`bpf_map_value_size`).
    fn value_len(&self, map: &Map) -> usize {
        let len = map.value_size as usize;
        match map.map_type {
            // Per-CPU maps, in the kernel's order: hash, array, LRU hash, cgroup storage.
            5 | 6 | 10 | 21 => len.next_multiple_of(8) * self.cpus,
            _ => len,
        }
    }

    fn next_key(def: &Map, map: u32, session: &Session, key: Option<&[u8]>) -> Outcome {
        let mut next = vec![0; def.key_size as usize];
        let attr = Attr::new().fd(0, &session.maps[map as usize]).pointer(8, key.unwrap_or_default());
        attr.room(16, &mut next).call(Command::MapNextKey)?;
        Ok(next)
    }

    fn elements(&self, job: &Job, session: &Session, map: u32) -> Result<Vec<Element>, Errno> {
        let def = job.maps.get(map as usize).ok_or(libc::EBADF)?;
        let (mut elements, mut last): (Vec<Element>, Option<Vec<u8>>) = (Vec::new(), None);
        while elements.len() < ELEMENTS_MAX {
            let key = match Agent::next_key(def, map, session, last.as_deref()) {
                Err(libc::ENOENT) => break,
                other => other?,
            };
            match self.lookup(def, map, session, Some(&key), 0, Command::MapLookup) {
                Ok(value) => elements.push((key.clone(), value)),
                Err(libc::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
            last = Some(key);
        }
        Ok(elements)
    }
}

fn delete(session: &Session, map: u32, key: &[u8]) -> Result<(), Errno> {
    Attr::new().fd(0, &session.maps[map as usize]).pointer(8, key).call(Command::MapDelete).map(|_| ())
}

fn fill(map: &Map, index: u32, session: &Session) -> Result<(), Errno> {
    map.elements.iter().try_for_each(|(key, value)| {
        session.update(index, &Update { key: Some(key.clone()), value: value.clone(), flags: 0 })
    })
}

fn empty_array(map: &Map, index: u32, session: &Session) -> Result<(), Errno> {
    let zeros = Value::Bytes(vec![0; map.value_size as usize]);
    for key in 0..map.max_entries {
        let key = key.to_le_bytes().to_vec();
        session.update(index, &Update { key: Some(key), value: zeros.clone(), flags: 0 })?;
    }
    fill(map, index, session)
}

fn test_run(session: &Session, run: &Run) -> Result<Ran, Errno> {
    let program = session.programs.first().ok_or(libc::EBADF)?;
    let mut data = vec![0; if run.data.is_empty() { 0 } else { run.data.len() + GROWTH }];
    let mut ctx = vec![0; run.ctx_out as usize];
    let mut attr = Attr::new()
        .fd(0, program)
        .u32(8, run.data.len() as u32)
        .u32(12, data.len() as u32)
        .pointer(16, &run.data)
        .room(24, &mut data)
        .u32(32, run.repeat)
        .u32(40, run.ctx.len() as u32)
        .u32(44, ctx.len() as u32)
        .pointer(48, &run.ctx)
        .room(56, &mut ctx)
        .u32(64, run.flags);
    attr.call(Command::ProgTestRun)?;
    data.truncate(attr.get(12) as usize);
    ctx.truncate(attr.get(44) as usize);
    Ok(Ran { retval: attr.get(4), data, ctx, duration: attr.get(36), maps: Vec::new() })
}
