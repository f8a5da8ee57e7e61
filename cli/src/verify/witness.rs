//! `touchstone verify --witness`: an input that breaks the access that was refused, and how to see it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use corpus::case::{Case, Ending, Expected, Run, Verdict};
use corpus::text::hex;
use proofs::witness::{Answer, Witness, find};
use semantics::program::Program;
use semantics::world::{Input, WorldConfig};
use serde_json::{Map, Value, json};
use verifier::Rejection;

use super::{Args, Sought};

/// Asks the solver; writes the case, if one is wanted.
pub fn seek(args: &Args, program: &Arc<Program>, rejection: &Rejection) -> anyhow::Result<Sought> {
    let answer = find(program, rejection, Duration::from_secs(args.timeout));
    if let Some(file) = &args.out {
        let Answer::Found(witness) = &answer else { bail!("there is no input to write to {}", file.display()) };
        std::fs::write(file, case(program, rejection, witness).to_yaml())
            .with_context(|| file.display().to_string())?;
    }
    Ok(match answer {
        Answer::Found(witness) => found(args, program, rejection, &witness),
        Answer::None { feasible: true } => {
            nothing("none", "no input on this path breaks it: the verifier could have been more precise")
        }
        Answer::None { feasible: false } => {
            nothing("none", "no input takes this path: the verifier could have been more precise")
        }
        Answer::Elsewhere(input) => {
            let reason = "this input leaves the object, but lands in another one of the model, where nothing traps";
            let (text, json) = shown(&input, program);
            let mut sought = nothing("elsewhere", reason);
            sought.text.push_str(&text);
            merge(&mut sought.json, json);
            sought
        }
        Answer::Cannot(lack) => nothing("cannot", &format!("cannot say: {lack}")),
        Answer::Unknown(reason) => nothing("unknown", &format!("the solver does not know: {reason}")),
    })
}

fn nothing(answer: &str, reason: &str) -> Sought {
    Sought { text: format!("\nWitness: {reason}\n"), json: json!({"answer": answer, "reason": reason}) }
}

fn found(args: &Args, program: &Program, rejection: &Rejection, witness: &Witness) -> Sought {
    let (input, mut json) = shown(&witness.input, program);
    let command = command(args, program, &witness.input);
    let text = format!(
        "\nWitness: with this input the run traps at instruction {}, after {} instructions\n  trap       {}\n{input}  {command}\n",
        rejection.insn, witness.retired, witness.trap
    );
    json.insert("answer".to_owned(), "found".into());
    json.insert("trap".to_owned(), witness.trap.to_string().into());
    json.insert("insns".to_owned(), witness.retired.into());
    json.insert("command".to_owned(), command.into());
    Sought { text, json: Value::Object(json) }
}

fn merge(value: &mut Value, more: Map<String, Value>) {
    if let Some(object) = value.as_object_mut() {
        object.extend(more);
    }
}

/// An input, a line per part.
fn shown(input: &Input, program: &Program) -> (String, Map<String, Value>) {
    let mut text = String::new();
    let map_name = |map: usize| program.maps()[map].name.clone();
    let _ = writeln!(text, "  packet     {} ({} bytes)", or_none(hex(&input.packet)), input.packet.len());
    for (name, value) in &input.context {
        let _ = writeln!(text, "  context    {name} = {value:#x}");
    }
    for (map, key, value) in &input.elements {
        let _ = writeln!(text, "  element    {}[{}] = {}", map_name(*map), hex(key), hex(value));
    }
    let default = WorldConfig::default();
    if input.world.clock_ns != default.clock_ns {
        let _ = writeln!(text, "  clock      {} ns", input.world.clock_ns);
    }
    if input.world.seed != default.seed {
        let _ = writeln!(text, "  seed       {}", input.world.seed);
    }
    let elements: Vec<Value> = input
        .elements
        .iter()
        .map(|(map, key, value)| json!({"map": map_name(*map), "key": hex(key), "value": hex(value)}))
        .collect();
    let context: Map<String, Value> =
        input.context.iter().map(|(name, value)| (name.clone(), format!("{value:#x}").into())).collect();
    let json = json!({
        "packet": hex(&input.packet), "context": context, "elements": elements, "clock_ns": input.world.clock_ns,
        "seed": input.world.seed,
    });
    let Value::Object(json) = json else { unreachable!("an object was written") };
    (text, json)
}

fn or_none(hex: String) -> String {
    if hex.is_empty() { "-".to_owned() } else { hex }
}

/// The command that shows the trap.
fn command(args: &Args, program: &Program, input: &Input) -> String {
    let source = &args.source;
    let mut words = vec!["touchstone".to_owned(), "run".to_owned(), source.path.display().to_string()];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), quoted(value)]);
    if let Some(section) = &source.section {
        option("--section", section.clone());
    }
    if let Some(btf) = &source.btf {
        option("--btf", btf.display().to_string());
    }
    if let Some(case) = &source.case {
        option("--case", case.clone());
    }
    if let Some(program_type) = source.program_type {
        option("--type", program_type.name().to_owned());
    }
    for map in &source.maps {
        let (name, kind) = (&map.name, map.map_type);
        option("--map", format!("{name}={kind},{},{},{}", map.key_size, map.value_size, map.max_entries));
    }
    option("--packet", hex(&input.packet));
    for (name, value) in &input.context {
        option("--context", format!("{name}={value:#x}"));
    }
    for (map, key, value) in &input.elements {
        option("--element", format!("{}:{}={}", program.maps()[*map].name, hex(key), hex(value)));
    }
    let default = WorldConfig::default();
    if input.world.clock_ns != default.clock_ns {
        option("--clock-ns", input.world.clock_ns.to_string());
    }
    if input.world.seed != default.seed {
        option("--seed", input.world.seed.to_string());
    }
    words.join(" ")
}

/// As a shell takes it for one word.
fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The case that shows it: rejected with this message, and a run that traps.
fn case(program: &Program, rejection: &Rejection, witness: &Witness) -> Case {
    let mut case = Case::of_program(program.name(), program);
    case.verdict = Verdict::Reject;
    case.message = rejection.message().lines().map(str::to_owned).collect();
    case.runs = vec![Run {
        input: witness.input.clone(),
        expect: Expected { result: Some(Ending::Trap(witness.trap.to_string())), ..Expected::default() },
    }];
    case
}
