//! `touchstone coverage`: what is covered on which floor, counted from the tables themselves, as Markdown.

use std::io::Write;
use std::path::{Path, PathBuf};

use semantics::helper::{self, FACTS};
use semantics::insn::table::TABLE;
use semantics::insn::{Op, Opcode, Room};
use semantics::interpreter;
use semantics::map::MapType;
use semantics::program_type::ProgramType;
use verifier::insn::is_followed;

use crate::Status;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory of the corpus, whose cases are counted
    #[arg(long, value_name = "DIR", default_value = "corpus")]
    corpus: PathBuf,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    instructions(args, out)?;
    let modelled = helper::modelled().count();
    let cases = helper::modelled().map(|(_, helper)| cases(&args.corpus, "helper", helper.fact().name)).sum::<usize>();
    let map_cases: usize = MapType::MODELLED.iter().map(|of| self::cases(&args.corpus, "map", of.name())).sum();
    let all_maps = (1..).map_while(MapType::from_id).count();
    writeln!(out, "\n| | modelled | of Linux 6.8 | cases |\n|---|---:|---:|---:|")?;
    writeln!(out, "| helpers | {modelled} | {} | {cases} |", FACTS.len())?;
    writeln!(out, "| map types | {} | {all_maps} | {map_cases} |", MapType::MODELLED.len())?;
    writeln!(out, "| program types | {} | {PROGRAM_TYPES} | |", ProgramType::ALL.len())?;
    let names = |names: Vec<&str>| names.join("`, `");
    writeln!(out, "\nHelpers: `{}`.", names(helper::modelled().map(|(_, helper)| helper.fact().name).collect()))?;
    writeln!(out, "Map types: `{}`.", names(MapType::MODELLED.iter().map(|of| of.name()).collect()))?;
    let (all, verified) = (&ProgramType::ALL, &verifier::PROGRAM_TYPES);
    writeln!(out, "Program types: `{}`;", names(all.iter().map(|of| of.name()).collect()))?;
    writeln!(out, "the verifier knows the rules of `{}`.", names(verified.iter().map(|of| of.name()).collect()))?;
    Ok(Status::Fine)
}

/// `enum bpf_prog_type` of Linux 6.8, without `BPF_PROG_TYPE_UNSPEC`.
const PROGRAM_TYPES: usize = 32;

/// Instructions by room and floor.
fn instructions(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let obligations = obligations();
    let shown = obligations.is_some();
    writeln!(out, "| room | instructions | interpreter | verifier | JIT | obligations | cases |")?;
    writeln!(out, "|---|---:|---:|---:|---:|---:|---:|")?;
    let mut sums = [0; 6];
    for room in Room::ALL {
        let rows: Vec<Opcode> = rows(room).collect();
        let jit = rows.iter().filter(|opcode| jit::insn::is_lowered(opcode.op())).count();
        let obligations = obligations.as_ref().map_or(0, |all| all.iter().filter(|of| **of == Some(room)).count());
        let have = |has: fn(Op) -> bool| rows.iter().filter(|opcode| has(opcode.op())).count();
        let (interpreter, verifier) = (have(interpreter::is_executed), have(is_followed));
        let cases = cases(&args.corpus, "insn", room.name());
        let counts = [rows.len(), interpreter, verifier, jit, obligations, cases];
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        line(room.name(), counts, shown, out)?;
    }
    line("all", sums, shown, out)
}

fn line(name: &str, counts: [usize; 6], obligations: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let [all, interpreter, verifier, jit, proofs, cases] = counts;
    let proofs = if obligations { proofs.to_string() } else { "-".to_owned() };
    Ok(writeln!(out, "| {name} | {all} | {interpreter} | {verifier} | {jit} | {proofs} | {cases} |")?)
}

/// The instructions of a room; the second slot of a wide one is none.
fn rows(room: Room) -> impl Iterator<Item = Opcode> {
    TABLE.iter().filter(move |row| row.op.room() == room && row.op != Op::WideTail).map(|row| row.opcode)
}

/// Cases in the file of that name; 0 if there is none.
fn cases(corpus: &Path, floor: &str, name: &str) -> usize {
    corpus::read::read(&corpus.join(floor).join(format!("{name}.yaml"))).map_or(0, |cases| cases.len())
}

/// The room of each obligation, if this was built with proofs.
#[cfg(feature = "proofs")]
#[allow(clippy::unnecessary_wraps)] // the other build has none
fn obligations() -> Option<Vec<Option<Room>>> {
    Some(proofs::obligations().iter().map(|obligation| obligation.room).collect())
}
#[cfg(not(feature = "proofs"))]
fn obligations() -> Option<Vec<Option<Room>>> {
    None
}
