//! `touchstone helpers`: every helper of Linux 6.8, and which are modelled.

use std::io::Write;
use std::time::Duration;

use anyhow::bail;
use comfy_table::{Table, presets};
use semantics::helper::{self, Arg, FACTS, Fact, Helper};
use semantics::program_type::ProgramType;
use serde_json::{Value, json};

use crate::{Format, Status};

pub mod coverage;

/// What `--format json` prints.
const JSON: &str = "JSON: [{id, name, prototype, topic, modelled, gpl_only, program_types, arguments: [{name, type, kind}], \
    result, changes, results}].";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON)]
pub struct Args {
    /// One helper, with or without `bpf_`; with --coverage also a topic
    name: Option<String>,
    /// Fuzz all helpers and say how often each ran and what it returned; what it never returned is a gap
    #[arg(long)]
    coverage: bool,
    /// For how many seconds, with --coverage
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    duration: u64,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    if args.coverage {
        let word = args.name.as_deref().unwrap_or("all");
        return coverage::run(word, Duration::from_secs(args.duration), args.format, out);
    }
    let chosen: Vec<&Fact> = match &args.name {
        None => FACTS.iter().collect(),
        Some(name) => {
            let short = name.strip_prefix("bpf_").unwrap_or(name);
            match FACTS.iter().find(|fact| fact.name == short) {
                Some(fact) => vec![fact],
                None => bail!("Linux has no helper `{name}`"),
            }
        }
    };
    match (args.format, &args.name) {
        (Format::Json, _) => crate::json(out, &chosen.into_iter().map(to_json).collect())?,
        (Format::Text, None) => table(out)?,
        (Format::Text, Some(_)) => chosen.into_iter().try_for_each(|fact| detail(fact, out))?,
    }
    Ok(Status::Fine)
}

/// The topic and the declaration of a modelled helper.
fn modelled(id: u32) -> Option<(&'static str, &'static Helper)> {
    helper::modelled().find(|(_, helper)| helper.id == id)
}

fn program_types(fact: &Fact) -> Vec<&'static str> {
    ProgramType::ALL.into_iter().filter(|of| fact.is_open_to(*of)).map(ProgramType::name).collect()
}

fn table(out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(["id", "helper", "topic", "results"]);
    for fact in FACTS {
        let (topic, results) = match modelled(fact.id) {
            Some((topic, helper)) => (topic, list(helper.results)),
            None => ("", "Unsupported".to_owned()),
        };
        table.add_row([fact.id.to_string(), fact.name.to_owned(), topic.to_owned(), results]);
    }
    let count = helper::modelled().count();
    Ok(writeln!(out, "{table}\n{count} modelled, {} Unsupported, {} in all", FACTS.len() - count, FACTS.len())?)
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn modifiers(arg: &Arg) -> String {
    let all = [
        (Arg::RDONLY, "only read"),
        (Arg::UNINIT, "written"),
        (Arg::OR_NULL, "or NULL"),
        (Arg::RELEASE, "released"),
        (Arg::FIXED_SIZE, "of fixed size"),
        (Arg::RINGBUF, "of a ring buffer"),
        (Arg::LOCAL, "of local memory"),
    ];
    all.into_iter().filter(|(bit, _)| arg.is(*bit)).fold(String::new(), |all, (_, text)| all + ", " + text)
}

fn detail(fact: &Fact, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{fact}\n  number         {}", fact.id)?;
    for (at, arg) in fact.args.iter().enumerate() {
        writeln!(out, "  argument {}     {}: {:?}{}", at + 1, arg.name, arg.kind, modifiers(arg))?;
    }
    writeln!(out, "  result         {:?}", fact.ret)?;
    let open = program_types(fact);
    let open = match open.len() {
        0 => "none".to_owned(),
        all if all == ProgramType::ALL.len() => "all".to_owned(),
        _ => open.join(", "),
    };
    writeln!(out, "  program types  {open}")?;
    let yes = |flag: bool| if flag { "yes" } else { "no" };
    writeln!(out, "  GPL only       {}", yes(fact.gpl_only()))?;
    writeln!(out, "  packet moves   {}", yes(fact.changes_packet()))?;
    writeln!(out, "  may sleep      {}", yes(fact.might_sleep()))?;
    match modelled(fact.id) {
        None => writeln!(out, "  model          Unsupported")?,
        Some((topic, helper)) => {
            let changes: Vec<String> = helper.changes.iter().map(|change| format!("{change:?}")).collect();
            let changes = if changes.is_empty() { "nothing".to_owned() } else { changes.join(", ") };
            writeln!(out, "  model          {topic}")?;
            writeln!(out, "  changes        {changes}")?;
            writeln!(out, "  results        {}", list(helper.results))?;
        }
    }
    Ok(())
}

fn to_json(fact: &Fact) -> Value {
    let argument = |arg: &Arg| json!({"name": arg.name, "type": arg.c_type, "kind": format!("{:?}", arg.kind)});
    let model = modelled(fact.id);
    json!({
        "id": fact.id, "name": fact.name, "prototype": fact.to_string(),
        "topic": model.map(|(topic, _)| topic), "modelled": model.is_some(), "gpl_only": fact.gpl_only(),
        "program_types": program_types(fact), "arguments": fact.args.iter().map(argument).collect::<Vec<_>>(),
        "result": format!("{:?}", fact.ret),
        "changes": model.map(|(_, helper)| helper.changes.iter().map(|change| format!("{change:?}")).collect::<Vec<_>>()),
        "results": model.map(|(_, helper)| helper.results.iter().map(ToString::to_string).collect::<Vec<_>>()),
    })
}
