//! Programs that call helpers, made from the helpers' declarations: sequences of calls that share maps, memory and packet,
//! with arguments that are valid, at a boundary, or whatever an earlier call returned.
//!
//! What a declaration does not say (a lock that is taken is given back, a record that is reserved is submitted) is a
//! [`protocol`].

use std::sync::Arc;

use semantics::helper::{self, Helper};
use semantics::map::MapDef;
use semantics::program::{Load, Program};
use semantics::program_type::{AttachType, ProgramType};

use crate::dice::Dice;
use crate::generate;
use crate::test::Test;
use writer::Writer;

mod argument;
mod maps;
mod packet;
mod protocol;
mod writer;

/// Writes such programs.
#[derive(Debug)]
pub struct Generator {
    /// What is called; each program takes the first from here.
    chosen: Vec<&'static Helper>,
    /// What may be called beside it.
    all: Vec<&'static Helper>,
    /// The types of programs that are made.
    types: Vec<ProgramType>,
}

/// The helpers that a word stands for: a name, a topic, or `all`.
pub fn named(word: &str) -> Vec<&'static Helper> {
    let short = word.strip_prefix("bpf_").unwrap_or(word);
    let is_meant =
        |(topic, helper): &(&str, &'static Helper)| word == "all" || helper.fact().name == short || *topic == word;
    helper::modelled().filter(is_meant).map(|(_, helper)| helper).collect()
}

/// Whether there are programs that call it: its arguments can be had.
pub fn is_written(helper: &Helper) -> bool {
    protocol::of(helper.id).is_some() || helper.fact().args.iter().all(argument::is_had)
}

impl Generator {
    /// Programs about these helpers, by number; about all if there are none. With `run_by_kernels` of types that kernels have
    /// a test run for.
    pub fn new(helpers: &[u32], run_by_kernels: bool) -> Generator {
        let all: Vec<&'static Helper> =
            helper::modelled().map(|(_, helper)| helper).filter(|helper| is_written(helper)).collect();
        let chosen: Vec<_> =
            all.iter().copied().filter(|helper| helpers.is_empty() || helpers.contains(&helper.id)).collect();
        let runs = |of: &ProgramType| if run_by_kernels { RUN_BY_KERNELS.contains(of) } else { !needs_target(*of) };
        let types = ProgramType::ALL.into_iter().filter(runs).collect();
        Generator { chosen, all, types }
    }

    /// The test that these dice give; one that only returns where no helper can be called.
    pub fn test(&self, mut dice: Dice) -> Test {
        let first = (!self.chosen.is_empty()).then(|| dice.pick(&self.chosen));
        let program_type = first.map_or(ProgramType::Xdp, |helper| self.program_type(&mut dice, helper));
        let beside: Vec<_> =
            self.all.iter().copied().filter(|helper| protocol::is_open(helper, program_type)).collect();
        let mut writer = Writer::new(&mut dice, program_type);
        writer.prologue();
        for turn in 0..=writer.dice.below(4) {
            // Mostly what the campaign is about, now and then what shares its state.
            let about = || self.chosen.iter().filter(|helper| protocol::is_open(helper, program_type));
            let helper = match first {
                Some(first) if turn == 0 => first,
                _ if beside.is_empty() => break,
                _ if writer.dice.chance(1, 3) => writer.dice.pick(&beside),
                _ => {
                    let count = about().count();
                    match about().nth(writer.dice.below(count.max(1))) {
                        Some(helper) => helper,
                        None => break,
                    }
                }
            };
            writer.call(helper);
        }
        writer.epilogue();
        let (insns, maps) = (writer.insns, writer.maps);
        let mut input = generate::input(&mut dice, program_type.declaration(), &[]);
        elements(&mut dice, &maps, &mut input.elements);
        input.world.cpus.current = dice.below(input.world.cpus.count as usize) as u32;
        packet::vary(&mut dice, program_type, &mut input);
        let program = Program::new("calls", program_type, "GPL", maps, insns)
            .expect("the generator writes structurally sound programs")
            .with_load(load(&mut dice, program_type));
        Test { program: Arc::new(program), input }
    }

    /// A type of program that may call the helper.
    fn program_type(&self, dice: &mut Dice, helper: &Helper) -> ProgramType {
        // Those with a packet first: more can be called there.
        const OFTEN: [ProgramType; 4] =
            [ProgramType::SchedCls, ProgramType::Xdp, ProgramType::RawTracepoint, ProgramType::Syscall];
        let open: Vec<_> = self.types.iter().copied().filter(|of| protocol::is_open(helper, *of)).collect();
        let often: Vec<_> = OFTEN.into_iter().filter(|of| open.contains(of)).collect();
        match () {
            () if !often.is_empty() && dice.chance(3, 4) => dice.pick(&often),
            // For programs that are attached to a function only, which kernels do not run here.
            () if open.is_empty()
                && self.types.contains(&ProgramType::Kprobe)
                && helper.fact().is_open_to(ProgramType::Tracing) =>
            {
                ProgramType::Tracing
            }
            () if open.is_empty() => ProgramType::Xdp,
            () => dice.pick(&open),
        }
    }
}

/// Types of programs that kernels run on an input without more ado (`BPF_PROG_TEST_RUN`).
const RUN_BY_KERNELS: [ProgramType; 10] = [
    ProgramType::SocketFilter,
    ProgramType::SchedCls,
    ProgramType::SchedAct,
    ProgramType::CgroupSkb,
    ProgramType::LwtIn,
    ProgramType::LwtOut,
    ProgramType::LwtXmit,
    ProgramType::Xdp,
    ProgramType::RawTracepoint,
    ProgramType::Syscall,
];

/// What a program says at its load.
fn load(dice: &mut Dice, program_type: ProgramType) -> Load {
    if program_type != ProgramType::Tracing {
        return Load { sleepable: program_type == ProgramType::Syscall, ..Load::default() };
    }
    let attach_type = dice.pick(&[AttachType::TraceFentry, AttachType::TraceFexit]);
    let target = dice.pick(&["bpf_fentry_test1", "bpf_fentry_test2", "bpf_fentry_test6"]);
    Load { attach_type: Some(attach_type), attach_to: Some(target.to_owned()), ..Load::default() }
}

/// Whether programs of this type say what they are attached to, or are loaded in a way of their own.
fn needs_target(of: ProgramType) -> bool {
    matches!(of, ProgramType::Tracing | ProgramType::Lsm | ProgramType::StructOps | ProgramType::Ext)
}

/// What the data that arguments are drawn from hold, and some elements of the other maps.
fn elements(dice: &mut Dice, maps: &[MapDef], elements: &mut Vec<(usize, Vec<u8>, Vec<u8>)>) {
    for (index, map) in maps.iter().enumerate() {
        if index == 0 || (maps::is_filled(map) && dice.chance(1, 2)) {
            let mut value = Vec::with_capacity(map.value_size as usize + 8);
            while value.len() < map.value_size as usize {
                value.extend_from_slice(&argument::number(dice).to_le_bytes());
            }
            value.truncate(map.value_size as usize);
            elements.push((index, vec![0; map.key_size as usize], value));
        }
    }
}
