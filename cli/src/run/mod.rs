//! `touchstone run`: a program on inputs, on one engine or on both; with the debugger's view of a run.
//!
//! [`view`] says addresses in the program's words, [`record`] what one instruction did, [`state`] what there is at one
//! moment; [`trace`] prints while a run goes, [`debug`] asks what to do. [`native`] keeps unverified programs in a process
//! of their own.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use corpus::text;
use fuzz::outside::LONG_RESULTS;
use linux::LinuxEngine;
use semantics::engine::{Engine, EngineId, Lack, Task};
use semantics::insn::Reg;
use semantics::interpreter::{self, Registers};
use semantics::memory::{Memory, layout};
use semantics::open::{Open, Origins};
use semantics::outcome::{Outcome, Sight};
use semantics::program::Program;
use semantics::program_type::ProgramType;
use semantics::trap::{Trap, Unsupported};
use semantics::world::{Input, World};
use serde_json::{Value, json};

use crate::engines::{self, Named};
use crate::input::{self, Loaded, Packet, Source};
use crate::{Format, Status, judge};
use breakpoint::{Break, Watch};
use expr::ExprError;
use state::State;
use trace::Monitor;
use view::View;

mod breakpoint;
mod debug;
mod expr;
mod hexdump;
mod native;
mod record;
mod state;
mod trace;
mod view;

pub use record::listing;
pub use trace::SourceLines;

/// What `--break`, `--watch` and `--format json` take and print.
const NOTES: &str = "\
WHERE is a slot (`12`, `pc==12`), a function, `FILE:LINE` or `helper:NAME`, and may have a condition: `12 if r1 > 5`.
WHAT is a register (`r3`), memory (`fp-8:8`, `packet+12:2`: ADDRESS:LENGTH), a map (`counts`), an element of it \
(`counts[00000000]`, the key in hexadecimal or as a number), or any expression.
Expressions have numbers, registers, `fp`, `packet`, `packet_end`, `ctx`, `ctx.FIELD`, `MAP[KEY]` (the value's address), \
`pc`, `depth`, `retired`, loads `*(u16 *)(packet + 12)`, `be16(..)`, and C's operators; `s<` and its like are signed.

JSON: {program, type, runs: [RUN], agree, difference}, a RUN being {input, from?, engine, result: {r0, name} | {trap, pc} | \
{stopped} | {error}, retired, pc, registers: {r0: {value, points_to}, ..}, packet, context: {FIELD: {value, points_to}}, \
frames: [{depth, function, slots: [{offset, bytes, points_to}]}], maps: {NAME: [{key, value}]}, \
effects: [{helper, args, result, class}]}. Numbers of 64 bits and bytes are hexadecimal strings; bytes are in memory order.

With --trace, --break or --watch it is JSON Lines, told apart by `type`: {type: \"insn\", input, n, pc, depth, insn, \
source: {file, line, column, text}, registers: {rN: {old, new, points_to}}, memory: [{object: packet | context | stack | \
map, offset, frame?, map?, key?, name, old, new}], call: {helper, args: [{name, value, points_to}], result, meaning}, \
taken, function}, {type: \"watch\", input, watch, what, n, pc, old, new}, {type: \"stop\", input, break | watch, and the fields \
of a state}, {type: \"run\", and the fields of a RUN}, and at last {type: \"end\", agree, difference}.";

#[derive(Debug, clap::Args)]
#[command(after_long_help = NOTES)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// A packet: hexadecimal digits, the path of a file with its bytes, or packets of a capture, all or number N; may be
    /// given several times
    #[arg(long = "packet", value_name = "HEX|FILE|PCAP[#N]")]
    packets: Vec<String>,
    /// Which link types of captures are run on; `any` does not ask whether packets begin as the program expects
    #[arg(long, value_enum, default_value_t = Link::Ethernet)]
    link: Link,
    /// Run on packets of which a capture has only the beginning
    #[arg(long)]
    cut: bool,
    /// Only input number N, counted from 0, where a case file or the packets give several
    #[arg(long, value_name = "N")]
    input: Option<usize>,
    /// A field of the context: NAME=VALUE
    #[arg(long = "context", value_name = "FIELD")]
    context: Vec<String>,
    /// A map element that exists before the run: MAP:KEY=VALUE, key and value in hexadecimal
    #[arg(long = "element", value_name = "ELEMENT")]
    elements: Vec<String>,
    /// The seed of all that the specification leaves open
    #[arg(long)]
    seed: Option<u64>,
    /// The monotonic clock at the start, in nanoseconds
    #[arg(long)]
    clock_ns: Option<u64>,
    /// What runs it: interpreter, jit, both, or a kernel such as linux-6.1-jit or linux-6.1-interpreter; several are compared.
    /// The JIT runs only what the verifier accepts, or with --unverified anything; a kernel what its own verifier accepts
    #[arg(long = "engine", value_name = "ENGINE", default_value = "interpreter", value_delimiter = ',', value_parser = engines::named)]
    engines: Vec<Named>,
    #[command(flatten)]
    codegen: judge::Codegen,
    #[command(flatten)]
    native: native::Native,
    #[command(flatten)]
    look: Look,
    /// The most instructions that the interpreter executes
    #[arg(long, default_value_t = 1 << 24)]
    fuel: u64,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How a run is looked at, on the interpreter.
#[derive(Debug, clap::Args)]
struct Look {
    /// One line per instruction: what it changed in registers and memory, its calls, its line of C
    #[arg(long)]
    trace: bool,
    /// Trace only the first N instructions
    #[arg(long, value_name = "N", requires = "trace", conflicts_with = "trace_last")]
    trace_limit: Option<u64>,
    /// Trace only the last N instructions
    #[arg(long, value_name = "N", requires = "trace")]
    trace_last: Option<u64>,
    /// Print the whole state whenever the run comes here; may be given several times
    #[arg(long = "break", value_name = "WHERE")]
    breaks: Vec<String>,
    /// Print every change of this; may be given several times
    #[arg(long = "watch", value_name = "WHAT")]
    watches: Vec<String>,
    /// End the run at the first breakpoint or change of what is watched
    #[arg(long)]
    stop: bool,
    /// Step through the run: commands are read from the standard input, `help` lists them
    #[arg(long, conflicts_with_all = ["trace", "stop"])]
    step: bool,
}

impl Look {
    fn is_asked_for(&self) -> bool {
        self.trace || self.step || !self.breaks.is_empty() || !self.watches.is_empty()
    }
}

/// Which engines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Which {
    interpreter: bool,
    jit: bool,
    /// Kernels.
    linux: Vec<EngineId>,
}

impl Which {
    fn of(named: &[Named]) -> Which {
        let mut which = Which::default();
        for named in named {
            match named {
                Named::Both => (which.interpreter, which.jit) = (true, true),
                Named::Engine(EngineId::Interpreter) => which.interpreter = true,
                Named::Engine(linux @ EngineId::Linux(..)) if !which.linux.contains(linux) => which.linux.push(*linux),
                Named::Engine(EngineId::Linux(..)) => {}
                Named::Engine(_) => which.jit = true,
            }
        }
        which
    }
    /// Whether the interpreter is the only one.
    fn is_interpreter(&self) -> bool {
        !self.jit && self.linux.is_empty()
    }
}

/// Which packets of captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Link {
    /// Those that begin with an Ethernet header.
    Ethernet,
    /// All.
    Any,
}

/// Something to run on.
struct Prepared {
    /// Counted from 0.
    number: usize,
    /// The packet of a capture, by file and number.
    from: Option<String>,
    input: anyhow::Result<Input>,
}

/// One run of one engine.
struct Ran {
    input: usize,
    from: Option<String>,
    engine: EngineId,
    /// Instructions begun, and the slot of the last one; only the interpreter knows.
    stop: Option<(u64, usize)>,
    outcome: Outcome,
    state: State,
}

impl Ran {
    /// The slot where it ended, if anybody knows.
    fn place(&self) -> Option<usize> {
        match (self.stop, self.outcome.result) {
            (Some((_, pc)), _) => Some(pc),
            (None, Err(Trap::Native { slot, .. })) => slot,
            (None, _) => None,
        }
    }
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let look = &args.look;
    let which = Which::of(&args.engines);
    if look.is_asked_for() && !which.interpreter {
        bail!("--trace, --break, --watch and --step are for the interpreter");
    }
    if args.codegen.is_asked_for() && !which.jit {
        bail!("--blind and --no-bmi2 are for the JIT: --engine jit or both");
    }
    if look.stop && look.breaks.is_empty() && look.watches.is_empty() {
        bail!("--stop needs a --break or a --watch");
    }
    if look.stop && !which.is_interpreter() {
        bail!("--stop is for the interpreter alone: nobody else stops there");
    }
    if look.step && args.source.path == std::path::Path::new("-") {
        bail!("--step reads commands from the standard input, so the program cannot come from there");
    }
    if args.native.is_unverified() && !which.jit {
        bail!("--unverified is for the JIT: --engine jit or both");
    }
    if args.native.is_to_be_contained() {
        return native::contain();
    }
    args.native.prepare()?;
    let loaded = args.source.load()?;
    let program = &loaded.program;
    let parse = |option: &str, text: &str, error: &ExprError| anyhow!("{option}: {}", error.shown(text));
    let breaks = look.breaks.iter().map(|text| Break::parse(text, program).map_err(|e| parse("--break", text, &e)));
    let breaks: Vec<Break> = breaks.collect::<anyhow::Result<_>>()?;
    let watches = look.watches.iter().map(|text| Watch::parse(text, program).map_err(|e| parse("--watch", text, &e)));
    let watches: Vec<Watch> = watches.collect::<anyhow::Result<_>>()?;
    let mut inputs = inputs(args, &loaded)?;
    if let Some(number) = args.input {
        let count = inputs.len();
        inputs.retain(|prepared| prepared.number == number);
        if inputs.is_empty() {
            bail!("--input {number}: there are inputs 0 to {}", count.saturating_sub(1));
        }
    }
    let native = if which.jit {
        // SAFETY: what is not verified runs in a process that may be lost.
        match unsafe { judge::fit(program, args.native.is_unverified()) } {
            Ok(verified) => {
                let mut jit = args.codegen.jit()?;
                jit.load(&verified).context("the JIT")?;
                Some(jit)
            }
            Err(refusal) => {
                let hint = "run it natively all the same with --unverified";
                return refusal.report("rejected, so the JIT does not run it", hint, out);
            }
        }
    } else {
        None
    };
    let mut kernels = engines::start(&which.linux)?;
    for kernel in &mut kernels {
        let usable: Vec<Input> = inputs.iter().filter_map(|prepared| prepared.input.as_ref().ok().cloned()).collect();
        if let Some(status) = load(kernel, program, usable, out)? {
            return Ok(status);
        }
    }
    let memory = if native.is_some() { Memory::native() } else { Memory::detached() };
    let mut world = World::new(memory.context("guest memory")?);
    world.load(program)?;
    if look.step {
        let [Prepared { input, .. }] = <[Prepared; 1]>::try_from(inputs)
            .map_err(|inputs| anyhow!("--step takes one packet, here are {}; choose with --input N", inputs.len()))?;
        if args.format == Format::Json || !which.is_interpreter() {
            bail!("--step is for text and for the interpreter alone");
        }
        return debug::run(program, &mut world, &input?, args.fuel, (breaks, watches), out);
    }
    let listing = if look.is_asked_for() { record::listing(program) } else { Vec::new() };
    let mut session = Session {
        args,
        program,
        world,
        which,
        native,
        kernels,
        listing,
        breaks,
        watches,
        pc: 0,
        failed: 0,
        refused: 0,
        difference: None,
        runs: Vec::new(),
        summary: (args.packets.iter().any(|packet| input::is_whole_capture(packet)) && !look.is_asked_for())
            .then(Vec::new),
    };
    session.all(inputs, out)
}

/// Loads the program into a kernel; how this ends, if it refuses it.
fn load(
    kernel: &mut LinuxEngine,
    program: &Arc<Program>,
    inputs: Vec<Input>,
    out: &mut dyn Write,
) -> anyhow::Result<Option<Status>> {
    kernel.ahead(&[Task { program: Arc::clone(program), inputs }]);
    match kernel.load_program(program) {
        Ok(()) => Ok(None),
        Err(Lack::Refused { engine, log }) => {
            writeln!(out, "{}\n{engine} refuses it", log.trim_end())?;
            Ok(Some(Status::Findings))
        }
        Err(lack) => bail!("{}: {lack}", kernel.id()),
    }
}

/// The inputs: packets of the command line, or those of the case, or one empty one.
fn inputs(args: &Args, loaded: &Loaded) -> anyhow::Result<Vec<Prepared>> {
    let mut inputs: Vec<(Option<String>, anyhow::Result<Input>)> = Vec::new();
    for packet in &args.packets {
        let packets = input::packets(packet, args.link == Link::Any, args.cut)?;
        let input = |packet| Input { packet, ..Input::default() };
        inputs.extend(packets.into_iter().map(|Packet { from, bytes }| (from, bytes.map(input))));
    }
    if args.packets.is_empty() {
        let runs = loaded.case.iter().flat_map(|case| &case.runs);
        inputs.extend(runs.map(|run| (None, Ok(run.input.clone()))));
        if inputs.is_empty() {
            inputs.push((None, Ok(Input::default())));
        }
    }
    for input in inputs.iter_mut().filter_map(|(_, input)| input.as_mut().ok()) {
        for field in &args.context {
            let (name, value) = field.split_once('=').ok_or_else(|| anyhow!("context `{field}`: write NAME=VALUE"))?;
            let value = text::number(value).ok_or_else(|| anyhow!("context `{field}`: `{value}` is not a number"))?;
            input.context.push((name.to_owned(), value));
        }
        for element in &args.elements {
            input.elements.push(self::element(element, &loaded.program)?);
        }
        input.world.seed = args.seed.unwrap_or(input.world.seed);
        input.world.clock_ns = args.clock_ns.unwrap_or(input.world.clock_ns);
    }
    Ok((0..).zip(inputs).map(|(number, (from, input))| Prepared { number, from, input }).collect())
}

fn element(text: &str, program: &Program) -> anyhow::Result<(usize, Vec<u8>, Vec<u8>)> {
    let parts = text.split_once(':').and_then(|(map, rest)| Some((map, rest.split_once('=')?)));
    let (map, (key, value)) = parts.ok_or_else(|| anyhow!("element `{text}`: write MAP:KEY=VALUE"))?;
    let index = program.maps().iter().position(|def| def.name == map);
    let index = index.ok_or_else(|| anyhow!("element `{text}`: the program has no map `{map}`"))?;
    let bytes = |hex: &str| text::bytes(hex).with_context(|| format!("element `{text}`"));
    Ok((index, bytes(key)?, bytes(value)?))
}

struct Session<'a> {
    args: &'a Args,
    program: &'a Program,
    world: World,
    which: Which,
    native: Option<jit::Jit>,
    kernels: Vec<LinuxEngine>,
    listing: Vec<String>,
    breaks: Vec<Break>,
    watches: Vec<Watch>,
    /// The slot of the interpreter's last instruction.
    pc: usize,
    /// Runs that ended in a trap.
    failed: usize,
    /// Inputs that were not run.
    refused: usize,
    /// The first place where two engines disagree.
    difference: Option<String>,
    /// Finished runs, where they are printed as one JSON object.
    runs: Vec<Value>,
    /// A row per packet of a capture, where only those are printed.
    summary: Option<Vec<[String; 4]>>,
}

impl Session<'_> {
    /// All inputs, and what there is to say at the end. What was run before an error is printed in any case.
    fn all(&mut self, inputs: Vec<Prepared>, out: &mut dyn Write) -> anyhow::Result<Status> {
        let mut result = Ok(());
        for Prepared { number: at, from, input } in inputs {
            let ran = input.and_then(|input| self.world.reset(&input).map(|()| input).map_err(Into::into));
            result = match ran {
                Ok(input) => self.run(at, from.as_deref(), &input, out),
                // One packet of a capture that cannot be run does not keep the others from it.
                Err(error) if from.is_some() => self.refuse(at, from, &error, out),
                Err(error) => Err(error),
            };
            if result.is_err() {
                break;
            }
        }
        self.finish(out)?;
        result?;
        if self.refused > 0 {
            bail!("{} packets were not run", self.refused);
        }
        Ok(Status::of(self.difference.is_none() && self.failed == 0))
    }

    fn run(&mut self, at: usize, from: Option<&str>, input: &Input, out: &mut dyn Write) -> anyhow::Result<()> {
        let open = self.open(input)?;
        let mut first: Option<(Outcome, EngineId, Sight)> = None;
        if self.which.interpreter {
            let (stop, callers) = if self.args.look.is_asked_for() {
                self.observe(at, input, out)?
            } else {
                (interpreter::run(self.program, &mut self.world, self.args.fuel, &mut ()), Vec::new())
            };
            let outcome = self.world.outcome(stop.result);
            let state = self.state(&stop.registers, stop.pc, stop.retired, &callers);
            first = Some((outcome.clone(), EngineId::Interpreter, Sight::WHOLE));
            self.pc = stop.pc;
            let (from, stop) = (from.map(str::to_owned), Some((stop.retired, stop.pc)));
            self.report(&Ran { input: at, from, engine: EngineId::Interpreter, stop, outcome, state }, out)?;
        }
        if let Some(jit) = &mut self.native {
            self.world.reset(input)?;
            let result = self.args.native.run(jit, &mut self.world, out)?;
            let ran = (self.world.outcome(result), jit.id(), Sight::WHOLE);
            self.ran(at, from, &mut first, &open, ran, out)?;
        }
        for number in 0..self.kernels.len() {
            self.world.reset(input)?;
            let kernel = &mut self.kernels[number];
            let result = kernel.run(&mut self.world);
            if let Some(complaint) = kernel.complaint() {
                writeln!(out, "{}: {complaint}", kernel.id())?;
                self.failed += 1;
            }
            let ran = (self.world.outcome(result), kernel.id(), kernel.sight());
            self.ran(at, from, &mut first, &open, ran, out)?;
        }
        Ok(())
    }

    /// What the specification leaves open of a run, where it is compared with what runs in another world.
    fn open(&mut self, input: &Input) -> anyhow::Result<Open> {
        if self.kernels.is_empty() {
            return Ok(Open::default());
        }
        let is_early = |id: EngineId| matches!(id, EngineId::Linux(version, _) if version < LONG_RESULTS);
        let has_int_errors = self.kernels.iter().any(|kernel| is_early(kernel.id()));
        let mut origins = if has_int_errors { Origins::with_int_errors() } else { Origins::default() };
        interpreter::run(self.program, &mut self.world, self.args.fuel, &mut origins);
        let open = origins.finish(&self.world);
        self.world.reset(input)?;
        Ok(open)
    }

    /// Another engine has run: it is compared with the first one.
    fn ran(
        &mut self,
        at: usize,
        from: Option<&str>,
        first: &mut Option<(Outcome, EngineId, Sight)>,
        open: &Open,
        (outcome, engine, sight): (Outcome, EngineId, Sight),
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        // A kernel that cannot make a run has nothing to compare.
        let is_lack = matches!(outcome.result, Err(Trap::Unsupported(Unsupported::Run { .. })));
        let difference = first.as_ref().filter(|_| !is_lack).and_then(|(ours, _, shown)| match (sight, *shown) {
            (Sight::WHOLE, Sight::WHOLE) => native::difference(ours, self.pc, &outcome),
            (sight, shown) => ours.difference_within(&outcome, sight.meet(shown), open),
        });
        if let (Some(difference), Some((_, other, _))) = (difference, &first) {
            let text = format!("input {at}: {other} and {engine} disagree: {difference}");
            self.difference.get_or_insert(text);
        }
        if first.is_none() && !is_lack {
            *first = Some((outcome.clone(), engine, sight));
        }
        let mut registers = [0; 11];
        registers[Reg::FP.index()] = layout::frame_top(0);
        let state = self.state(&registers, 0, 0, &[]);
        self.report(&Ran { input: at, from: from.map(str::to_owned), engine, stop: None, outcome, state }, out)
    }

    /// A run that is looked at, and the calls in it that wait for a return.
    fn observe(
        &mut self,
        at: usize,
        input: &Input,
        out: &mut dyn Write,
    ) -> anyhow::Result<(interpreter::Stop, Vec<usize>)> {
        let look = &self.args.look;
        let mut traced = if look.trace { 0..look.trace_limit.unwrap_or(u64::MAX) } else { u64::MAX..u64::MAX };
        if let Some(last) = look.trace_last {
            // Runs are deterministic: the first one tells where the last instructions are.
            let retired = interpreter::run(self.program, &mut self.world, self.args.fuel, &mut ()).retired;
            traced.start = retired.saturating_sub(last);
            self.world.reset(input)?;
            if traced.start > 0 && self.args.format == Format::Text {
                writeln!(out, "  ... {} instructions before", traced.start)?;
            }
        }
        let options = trace::Options { traced, stop: look.stop, format: self.args.format, input: at };
        let mut monitor = Monitor::new(self.program, &self.listing, (&self.breaks, &self.watches), options, out);
        let stop = interpreter::run(self.program, &mut self.world, self.args.fuel, &mut monitor);
        let callers = monitor.finish(&stop, &self.world)?;
        Ok((stop, callers))
    }

    fn state(&self, registers: &Registers, pc: usize, retired: u64, callers: &[usize]) -> State {
        State::of(&View { program: self.program, world: &self.world, registers, pc, retired }, callers)
    }

    /// Whether what is printed is JSON Lines.
    fn is_lines(&self) -> bool {
        self.args.format == Format::Json && self.args.look.is_asked_for()
    }

    fn report(&mut self, ran: &Ran, out: &mut dyn Write) -> anyhow::Result<()> {
        // That a run was stopped where it was asked to is no failure.
        let result = ran.outcome.result;
        self.failed += usize::from(!matches!(result, Ok(_) | Err(Trap::Stopped)));
        if self.args.format == Format::Json {
            return self.push(self.json(ran), out);
        }
        if let Some(rows) = &mut self.summary {
            let from = ran.from.clone().unwrap_or_else(|| format!("input {}", ran.input));
            let retired = ran.stop.map_or(ran.engine.to_string(), |(retired, _)| retired.to_string());
            let len = format!("{} bytes", ran.state.packet_len());
            rows.push([from, len, result_text(self.program, result), retired]);
            return Ok(());
        }
        // It was printed where it stopped.
        if result == Err(Trap::Stopped) {
            return Ok(());
        }
        if self.args.look.is_asked_for() && ran.stop.is_some() {
            writeln!(out)?;
        }
        let from = ran.from.as_ref().map_or(String::new(), |from| format!(" ({from})"));
        let mut rows = vec![
            ("input".to_owned(), format!("{} on the {}{from}", ran.input, ran.engine)),
            ("result".to_owned(), result_text(self.program, result)),
        ];
        if let Some((retired, _)) = ran.stop {
            rows.push(("executed".to_owned(), format!("{retired} instructions")));
        }
        if let Some(pc) = ran.place().filter(|_| result.is_err()) {
            rows.push(("at".to_owned(), format!("{pc}: {}", self.program.insns()[pc])));
        }
        rows.extend(ran.state.rows(ran.stop.is_some()));
        Ok(writeln!(out, "{}\n", state::table(rows))?)
    }

    /// An input that is not run.
    fn refuse(
        &mut self,
        at: usize,
        from: Option<String>,
        error: &anyhow::Error,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        self.refused += 1;
        if self.args.format == Format::Json {
            return self.push(json!({"input": at, "from": from, "result": {"error": format!("{error:#}")}}), out);
        }
        let from = from.unwrap_or_default();
        match &mut self.summary {
            Some(rows) => rows.push([from, String::new(), format!("not run: {error:#}"), String::new()]),
            None => writeln!(out, "input {at} ({from}): not run: {error:#}\n")?,
        }
        Ok(())
    }

    fn push(&mut self, mut run: Value, out: &mut dyn Write) -> anyhow::Result<()> {
        if self.is_lines() {
            run["type"] = "run".into();
            return Ok(writeln!(out, "{run}")?);
        }
        self.runs.push(run);
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let (agree, difference) = (self.difference.is_none(), &self.difference);
        if self.is_lines() {
            return Ok(writeln!(out, "{}", json!({"type": "end", "agree": agree, "difference": difference}))?);
        }
        if self.args.format == Format::Json {
            let whole = json!({
                "program": self.program.name(), "type": self.program.program_type().name(),
                "runs": std::mem::take(&mut self.runs), "agree": agree, "difference": difference,
            });
            return crate::json(out, &whole);
        }
        if let Some(rows) = &self.summary {
            write!(out, "{}", summary(rows))?;
        }
        if let Some(difference) = difference {
            writeln!(out, "{difference}")?;
        }
        Ok(())
    }

    fn json(&self, ran: &Ran) -> Value {
        let mut value = ran.state.json(ran.stop.is_some());
        let pc = ran.place();
        value["result"] = match ran.outcome.result {
            Ok(r0) => json!({"r0": format!("{r0:#x}"), "name": name_of(self.program.program_type(), r0)}),
            Err(Trap::Stopped) => json!({"stopped": pc}),
            Err(trap) => json!({"trap": trap.to_string(), "pc": pc}),
        };
        value["input"] = ran.input.into();
        value["from"] = ran.from.clone().into();
        value["engine"] = ran.engine.to_string().into();
        value["pc"] = pc.into();
        value["retired"] = ran.stop.map(|(retired, _)| retired).into();
        value
    }
}

/// A row per packet, and how often each result occurred.
fn summary(rows: &[[String; 4]]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["packet", "length", "result", "instructions"]);
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        table.add_row(row);
        match counts.iter_mut().find(|(result, _)| *result == row[2]) {
            Some((_, count)) => *count += 1,
            None => counts.push((&row[2], 1)),
        }
    }
    let counts: Vec<String> = counts.iter().map(|(result, count)| format!("{count} x {result}")).collect();
    format!("{}\n\n{}\n", table.trim_fmt(), counts.join("\n"))
}

/// How a run ended, in the words of its program type.
fn result_text(program: &Program, result: Result<u64, Trap>) -> String {
    match result {
        Ok(r0) => match name_of(program.program_type(), r0) {
            Some(name) => format!("{name} (r0 = {r0:#x})"),
            None => format!("r0 = {r0:#x}"),
        },
        Err(trap) => format!("trap: {trap}"),
    }
}

/// What a program of this type says with a result.
fn name_of(program_type: ProgramType, r0: u64) -> Option<String> {
    let named = |names: &[&str], number: u32| names.get(number as usize).map(|name| (*name).to_owned());
    match (program_type, r0 as u32) {
        (ProgramType::Xdp, action) => named(&["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"], action),
        (ProgramType::SchedCls | ProgramType::SchedAct, u32::MAX) => Some("TC_ACT_UNSPEC".to_owned()),
        (ProgramType::SchedCls | ProgramType::SchedAct, action) => named(
            &[
                "TC_ACT_OK",
                "TC_ACT_RECLASSIFY",
                "TC_ACT_SHOT",
                "TC_ACT_PIPE",
                "TC_ACT_STOLEN",
                "TC_ACT_QUEUED",
                "TC_ACT_REPEAT",
                "TC_ACT_REDIRECT",
                "TC_ACT_TRAP",
            ],
            action,
        ),
        (ProgramType::SkMsg | ProgramType::SkLookup | ProgramType::SkReuseport, action) => {
            named(&["SK_DROP", "SK_PASS"], action)
        }
        (ProgramType::SocketFilter, 0) => Some("drop".to_owned()),
        (ProgramType::SocketFilter, kept) => Some(format!("keep {kept} bytes")),
        _ => None,
    }
}
