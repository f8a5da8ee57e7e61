//! `touchstone run`: a program on inputs, on one engine or on both.

use std::io::Write;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use comfy_table::{Table, presets};
use corpus::text::{self, hex};
use semantics::engine::Engine;
use semantics::insn::Insn;
use semantics::interpreter::{self, Observer, Registers};
use semantics::memory::{Memory, Object};
use semantics::outcome::Outcome;
use semantics::program::Program;
use semantics::program_type::ProgramType;
use semantics::trap::Trap;
use semantics::world::{Effect, Input, World};
use serde_json::{Value, json};
use verifier::Dialect;

use crate::input::{self, Loaded, Source};
use crate::{Format, Status, judge};

/// What `--format json` prints.
const JSON: &str = "JSON: {program, type, runs: [{input, engine, result: {r0, name} | {trap}, retired?, packet, maps: {name: \
    [{key, value}]}, effects: [{helper, args, result, class}]}], agree}; numbers of 64 bits and bytes are \
    hexadecimal strings.";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON)]
pub struct Args {
    #[command(flatten)]
    source: Source,
    /// A packet: hexadecimal digits or the path of a file with its bytes; may be given several times
    #[arg(long = "packet", value_name = "HEX|FILE")]
    packets: Vec<String>,
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
    /// What runs it. The JIT runs only what the verifier accepts
    #[arg(long, value_enum, default_value_t = Which::Interpreter)]
    engine: Which,
    /// One line per instruction with the registers that it changed (interpreter)
    #[arg(long)]
    trace: bool,
    /// The most instructions that the interpreter executes
    #[arg(long, default_value_t = 1 << 24)]
    fuel: u64,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Which engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Interpreter,
    Jit,
    Both,
}

/// One run of one engine.
struct Ran {
    input: usize,
    engine: &'static str,
    retired: Option<u64>,
    outcome: Outcome,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let loaded = args.source.load()?;
    let program = &loaded.program;
    if args.trace && (args.engine == Which::Jit || args.format == Format::Json) {
        bail!("--trace is for the interpreter and for text");
    }
    let inputs = inputs(args, &loaded)?;
    let native = match args.engine {
        Which::Interpreter => None,
        Which::Jit | Which::Both => match judge::verified(program, Dialect::default())? {
            Ok(verified) => {
                let mut jit = judge::jit()?;
                jit.load(&verified).context("the JIT")?;
                Some(jit)
            }
            Err(reason) => {
                writeln!(out, "rejected, so the JIT does not run it\n{reason}")?;
                return Ok(Status::Findings);
            }
        },
    };
    let memory = if native.is_some() { Memory::native() } else { Memory::detached() };
    let mut world = World::new(memory.context("guest memory")?);
    world.load(program)?;
    let mut session = Session { program, world, native, ran: Vec::new() };
    for (at, input) in inputs.iter().enumerate() {
        session.run(args, at, input, out)?;
    }
    session.report(args, out)
}

/// The inputs: packets of the command line, or those of the case, or one empty one.
fn inputs(args: &Args, loaded: &Loaded) -> anyhow::Result<Vec<Input>> {
    let mut inputs: Vec<Input> = match (&loaded.case, args.packets.is_empty()) {
        (Some(case), true) if !case.runs.is_empty() => case.runs.iter().map(|run| run.input.clone()).collect(),
        (_, true) => vec![Input::default()],
        (_, false) => args
            .packets
            .iter()
            .map(|packet| Ok(Input { packet: input::packet(packet)?, ..Input::default() }))
            .collect::<anyhow::Result<_>>()?,
    };
    for input in &mut inputs {
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
    Ok(inputs)
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
    program: &'a Program,
    world: World,
    native: Option<jit::Jit>,
    ran: Vec<Ran>,
}

impl Session<'_> {
    fn run(&mut self, args: &Args, at: usize, input: &Input, out: &mut dyn Write) -> anyhow::Result<()> {
        if args.engine != Which::Jit {
            self.world.reset(input)?;
            let stop = if args.trace {
                let mut trace = Trace { out, last: None, error: None };
                let stop = interpreter::run(self.program, &mut self.world, args.fuel, &mut trace);
                trace.line(&stop.registers);
                trace.error.map_or(Ok(stop), Err)?
            } else {
                interpreter::run(self.program, &mut self.world, args.fuel, &mut ())
            };
            let outcome = self.world.outcome(stop.result);
            self.ran.push(Ran { input: at, engine: "interpreter", retired: Some(stop.retired), outcome });
        }
        if let Some(jit) = &mut self.native {
            self.world.reset(input)?;
            let result = jit.run(&mut self.world);
            self.ran.push(Ran { input: at, engine: jit.name(), retired: None, outcome: self.world.outcome(result) });
        }
        Ok(())
    }

    /// Where two engines came to different outcomes on one input.
    fn difference(&self) -> Option<String> {
        self.ran.windows(2).find_map(|pair| match pair {
            [a, b] if a.input == b.input => {
                let difference = a.outcome.difference(&b.outcome)?;
                Some(format!("input {}: {} and {} disagree: {difference}", a.input, a.engine, b.engine))
            }
            _ => None,
        })
    }

    fn report(&self, args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
        let difference = self.difference();
        match args.format {
            Format::Json => {
                let runs: Vec<Value> = self.ran.iter().map(|ran| self.json(ran)).collect();
                let program_type = self.program.program_type().name();
                let whole = json!({
                    "program": self.program.name(), "type": program_type, "runs": runs,
                    "agree": difference.is_none(), "difference": difference,
                });
                crate::json(out, &whole)?;
            }
            Format::Text => {
                for ran in &self.ran {
                    self.text(ran, out)?;
                }
                if let Some(difference) = &difference {
                    writeln!(out, "{difference}")?;
                }
            }
        }
        Ok(Status::of(difference.is_none() && self.ran.iter().all(|ran| ran.outcome.result.is_ok())))
    }

    fn text(&self, ran: &Ran, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        let mut row = |name: &str, value: String| {
            table.add_row(vec![name.to_owned(), value]);
        };
        row("input", format!("{} on the {}", ran.input, ran.engine));
        row("result", self.result(ran.outcome.result));
        if let Some(retired) = ran.retired {
            row("executed", format!("{retired} instructions"));
        }
        for (object, name) in [(Object::Packet, "packet"), (Object::Context, "context")] {
            if let Some(piece) = ran.outcome.objects().find(|piece| piece.object == object) {
                row(name, shorten(&hex(piece.bytes)));
            }
        }
        for (map, key, value) in self.elements(&ran.outcome) {
            row(&format!("{map}[{}]", hex(key)), hex(value));
        }
        for Effect::Call { helper, args, result, class } in &ran.outcome.effects {
            let fact = semantics::helper::fact(*helper);
            let (name, count) = fact.map_or(("?", 5), |fact| (fact.name, fact.args.len()));
            let args: Vec<String> = args.iter().take(count).map(|arg| format!("{arg:#x}")).collect();
            row("call", format!("{name}({}) = {result:#x} ({class})", args.join(", ")));
        }
        Ok(writeln!(out, "{}\n", table.trim_fmt())?)
    }

    /// Map elements that are not all zero, of all maps.
    fn elements<'a>(&'a self, outcome: &'a Outcome) -> impl Iterator<Item = (&'a str, &'a [u8], &'a [u8])> {
        outcome.objects().filter_map(|piece| match piece.object {
            Object::MapValue(map) if piece.bytes.iter().any(|byte| *byte != 0) => {
                Some((self.program.maps().get(map as usize)?.name.as_str(), piece.key, piece.bytes))
            }
            _ => None,
        })
    }

    fn result(&self, result: Result<u64, Trap>) -> String {
        match result {
            Ok(r0) => match name_of(self.program.program_type(), r0) {
                Some(name) => format!("{name} (r0 = {r0:#x})"),
                None => format!("r0 = {r0:#x}"),
            },
            Err(trap) => format!("trap: {trap}"),
        }
    }

    fn json(&self, ran: &Ran) -> Value {
        let result = match ran.outcome.result {
            Ok(r0) => json!({"r0": format!("{r0:#x}"), "name": name_of(self.program.program_type(), r0)}),
            Err(trap) => json!({"trap": trap.to_string()}),
        };
        let packet = ran.outcome.objects().find(|piece| piece.object == Object::Packet).map(|piece| hex(piece.bytes));
        let mut maps = serde_json::Map::new();
        for def in self.program.maps() {
            maps.insert(def.name.clone(), json!([]));
        }
        for (map, key, value) in self.elements(&ran.outcome) {
            if let Some(Value::Array(elements)) = maps.get_mut(map) {
                elements.push(json!({"key": hex(key), "value": hex(value)}));
            }
        }
        let effects: Vec<Value> = ran.outcome.effects.iter().map(effect).collect();
        json!({
            "input": ran.input, "engine": ran.engine, "result": result, "retired": ran.retired,
            "packet": packet, "maps": maps, "effects": effects,
        })
    }
}

fn effect(effect: &Effect) -> Value {
    let Effect::Call { helper, args, result, class } = effect;
    let fact = semantics::helper::fact(*helper);
    let args: Vec<String> =
        args.iter().take(fact.map_or(5, |fact| fact.args.len())).map(|arg| format!("{arg:#x}")).collect();
    json!({
        "helper": fact.map(|fact| fact.name), "args": args,
        "result": format!("{result:#x}"), "class": class.to_string(),
    })
}

/// What a program of this type says with a result.
fn name_of(program_type: ProgramType, r0: u64) -> Option<String> {
    match (program_type, r0 as u32) {
        (ProgramType::Xdp, action) => {
            let names = ["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"];
            names.get(action as usize).map(|name| (*name).to_owned())
        }
        (ProgramType::SocketFilter, 0) => Some("drop".to_owned()),
        (ProgramType::SocketFilter, kept) => Some(format!("keep {kept} bytes")),
        _ => None,
    }
}

/// A long text, its middle left out.
fn shorten(text: &str) -> String {
    if text.len() <= 160 { text.to_owned() } else { format!("{}... ({} bytes)", &text[..144], text.len() / 2) }
}

/// Prints each instruction with the registers that it changed.
struct Trace<'o> {
    out: &'o mut dyn Write,
    last: Option<(usize, Insn, Registers)>,
    error: Option<std::io::Error>,
}

impl Trace<'_> {
    /// The line of the last instruction, now that it is known what it did.
    fn line(&mut self, now: &Registers) {
        let Some((pc, insn, before)) = self.last.take() else { return };
        let changed = (0..now.len()).filter(|at| now[*at] != before[*at]);
        let changed: Vec<String> = changed.map(|at| format!("r{at}={:#x}", now[at])).collect();
        let line = format!("{pc:5}: {:<40} {}", insn.to_string(), changed.join(" "));
        if let Err(error) = writeln!(self.out, "{}", line.trim_end()) {
            self.error.get_or_insert(error);
        }
    }
}

impl Observer for Trace<'_> {
    fn before(&mut self, pc: usize, insn: &Insn, registers: &Registers, _: &mut World) {
        self.line(registers);
        self.last = Some((pc, *insn, *registers));
    }
}
