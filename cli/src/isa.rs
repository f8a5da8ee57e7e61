//! `touchstone isa`: the instruction set as a document: how every instruction is written, encoded, and what it means, in
//! words, as a formula and as SMT-LIB.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use comfy_table::{Table, presets};
use semantics::insn::{Insn, Room, Row};
use serde_json::json;

use crate::Status;
use entry::Entry;
use find::Found;

mod entry;
mod find;
mod html;

/// What `--format json` prints.
const JSON: &str = "Without INSN, or where it means several, JSON is: [{name, room, assembly, code, code_parts, fields, \
    words, formula, rfc_section, group, since, floors, notes}]; one instruction is such an object with examples and cases.\n\n\
    Formulas: steps happen in order; low16(x) are the low 16 bits; zext16 and sext16 extend 16 bits to 64 with zeros or the \
    sign; s/ s% s>> s< are signed; + - * wrap around; pc counts slots; open is any value.";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON)]
pub struct Args {
    /// One instruction: a row's name (`Add64K`), a mnemonic (add, `jslt32`), a room (atomic), a code byte (0x37), the bytes of
    /// a slot, or assembly ('r1 s/= r2')
    insn: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = IsaFormat::Text)]
    format: IsaFormat,
    /// The meaning as an SMT-LIB 2 script; operands that are given are fixed
    #[arg(long, conflicts_with = "format")]
    smt2: bool,
    /// With --smt2: every row, one file each in the directory --out
    #[arg(long, requires = "smt2", requires = "out", conflicts_with = "insn")]
    all: bool,
    /// Where --all puts its files
    #[arg(long, value_name = "DIR", requires = "all")]
    out: Option<PathBuf>,
    /// The directory of the corpus, whose cases are named
    #[arg(long, value_name = "DIR", default_value = "corpus")]
    corpus: PathBuf,
}

/// How to print the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum IsaFormat {
    Text,
    Markdown,
    Json,
    /// One page with a search box, for a browser
    Html,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    if args.smt2 {
        return smt2(args, out);
    }
    let found = args.insn.as_deref().map(find::find).transpose()?;
    let all = entry::all();
    let (chosen, insn): (Vec<&Entry>, Option<Insn>) = match &found {
        None => (all.iter().collect(), None),
        Some(Found::Insn(insn)) => (vec![&all[insn.opcode as usize]], Some(*insn)),
        Some(Found::Rows(names)) => (all.iter().filter(|entry| names.contains(&entry.row.name)).collect(), None),
    };
    match (args.format, &chosen[..], &found) {
        (IsaFormat::Text, [entry], Some(_)) => detail(entry, insn.as_ref(), &args.corpus, out)?,
        (IsaFormat::Json, [entry], Some(_)) => crate::json(out, &detail_json(entry, insn.as_ref(), &args.corpus))?,
        (IsaFormat::Text, chosen, _) => text(chosen, out)?,
        (IsaFormat::Json, chosen, _) => crate::json(out, &chosen.iter().map(|entry| entry.to_json()).collect())?,
        (IsaFormat::Markdown, chosen, _) => markdown(chosen, out)?,
        (IsaFormat::Html, chosen, _) => html::page(chosen, out)?,
    }
    Ok(Status::Fine)
}

/// The entries of each room that has any.
fn by_room<'a>(entries: &'a [&'a Entry]) -> impl Iterator<Item = (Room, Vec<&'a Entry>)> + 'a {
    Room::ALL.into_iter().filter_map(|room| {
        let rows: Vec<&Entry> = entries.iter().copied().filter(|entry| entry.row.op.room() == room).collect();
        (!rows.is_empty()).then_some((room, rows))
    })
}

/// What the letters stand for.
const FLOORS: &str = "I interpreter, V verifier, J JIT, P proofs";

/// Three lines per instruction: how it is written and encoded, the formula, the words.
fn text(entries: &[&Entry], out: &mut dyn Write) -> anyhow::Result<()> {
    for (room, rows) in by_room(entries) {
        writeln!(out, "{} ({}.rs)", room.title(), room.name())?;
        for entry in rows {
            let (row, op) = (entry.row, entry.row.op);
            writeln!(out, "\n  {:<18}{:<46}{}", row.name, op.assembly(), entry.formula)?;
            writeln!(out, "  {:<18}{}", "", op.words())?;
            let section = op.section().map_or_else(|| "not in the RFC".to_owned(), |section| format!("RFC {section}"));
            let fixed = entry.fixed();
            let code = format!("code {:#04x}{}{fixed}", row.code, if fixed.is_empty() { "" } else { " " });
            let (group, since) = (op.group().name(), op.since());
            writeln!(out, "  {:<18}{code:<46}{section}  {group}  Linux {since}  {}", "", entry.floors())?;
        }
        writeln!(out)?;
    }
    Ok(writeln!(out, "{} rows; fields without a number may hold any value. {FLOORS}", entries.len())?)
}

/// A table per room.
fn markdown(entries: &[&Entry], out: &mut dyn Write) -> anyhow::Result<()> {
    let cell = |text: &str| text.replace('|', "\\|");
    for (room, rows) in by_room(entries) {
        writeln!(out, "## {}\n", room.title())?;
        writeln!(out, "| row | assembly | code | fields | formula | meaning | RFC 9669 | group | Linux | floors |")?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|---|")?;
        for entry in rows {
            let op = entry.row.op;
            let (assembly, formula) = (cell(&op.assembly()), cell(&entry.formula));
            writeln!(
                out,
                "| {} | `{assembly}` | `{:#04x}` | {} | `{formula}` | {} | {} | {} | {} | {} |",
                entry.row.name,
                entry.row.code,
                entry.fixed(),
                cell(&op.words()),
                op.section().unwrap_or("-"),
                op.group().name(),
                op.since(),
                entry.floors()
            )?;
        }
        writeln!(out)?;
    }
    Ok(writeln!(out, "Floors: {FLOORS}.")?)
}

/// One instruction, in full.
fn detail(entry: &Entry, insn: Option<&Insn>, corpus: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let (row, op) = (entry.row, entry.row.op);
    match insn {
        Some(insn) => writeln!(out, "{insn}\n{}: {}\n", row.name, op.assembly())?,
        None => writeln!(out, "{}: {}\n", row.name, op.assembly())?,
    }
    writeln!(out, "{}\n", op.words())?;
    writeln!(out, "    {}\n", entry.formula)?;
    writeln!(out, "{}", layout(row, insn))?;
    writeln!(out, "code    {:#04x} = {}", row.code, row.code_parts().join(" | "))?;
    writeln!(out, "source  {}", entry.source())?;
    writeln!(out, "group   {}; Linux {} and later", op.group().name(), op.since())?;
    writeln!(out, "floors  {} ({FLOORS})", entry.floors())?;
    if !op.notes().is_empty() {
        writeln!(out, "\nNotes")?;
    }
    op.notes().iter().try_for_each(|note| writeln!(out, "  - {note}"))?;
    let shown = insn.map_or_else(|| entry::examples(row), |insn| vec![*insn]);
    writeln!(out, "\n{}", if insn.is_some() { "Bytes" } else { "Examples" })?;
    for insn in shown {
        writeln!(out, "  {:<48}  {insn}", corpus::text::hex(&entry::bytes(&insn)))?;
    }
    if let Some(proofs) = &entry.proofs {
        writeln!(out, "\nObligations ({})", proofs.len())?;
        proofs.iter().try_for_each(|name| writeln!(out, "  {name}"))?;
    }
    match entry::cases(corpus, row) {
        Ok(cases) => {
            writeln!(out, "\nCases in {} ({})", corpus.join("insn").display(), cases.len())?;
            cases.iter().take(20).try_for_each(|name| writeln!(out, "  {name}"))?;
            if cases.len() > 20 {
                writeln!(out, "  and {} more", cases.len() - 20)?;
            }
        }
        Err(error) => writeln!(out, "\nNo cases are named: {error:#}")?,
    }
    Ok(())
}

/// The fields of the slot in the order of their bits, with what they hold; two slots of a wide instruction.
fn layout(row: &Row, insn: Option<&Insn>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL);
    table.set_header(["bits", "0-7", "8-11", "12-15", "16-31", "32-63"]);
    table.add_row(["field", "code", "dst", "src", "off", "imm"]);
    let given = insn.map(|insn| {
        let (off, imm) = (insn.off as i16, insn.imm as i32);
        [i32::from(insn.dst.number()), i32::from(insn.src.number()), i32::from(off), imm]
    });
    let fields = row.fields.required();
    let holds = (0..4).map(|at| match (fields[at].1, given) {
        (Some(only), _) => only.to_string(),
        (None, Some(given)) => given[at].to_string(),
        (None, None) => "any".to_owned(),
    });
    let holds: Vec<String> = ["holds".to_owned(), format!("{:#04x}", row.code)].into_iter().chain(holds).collect();
    table.add_row(holds);
    if let semantics::insn::Op::Wide(kind) = row.op {
        let high = match (kind.has_high_half(), insn) {
            (false, _) => "0".to_owned(),
            (true, Some(insn)) => (insn.imm_hi as i32).to_string(),
            (true, None) => "any".to_owned(),
        };
        table.add_row(["second slot".to_owned(), "0x00".into(), "0".into(), "0".into(), "0".into(), high]);
    }
    table
}

fn detail_json(entry: &Entry, insn: Option<&Insn>, corpus: &Path) -> serde_json::Value {
    let show = |insn: &Insn| json!({"assembly": insn.to_string(), "bytes": corpus::text::hex(&entry::bytes(insn))});
    let mut value = entry.to_json();
    value["examples"] = entry::examples(entry.row).iter().map(show).collect();
    value["insn"] = insn.map_or(serde_json::Value::Null, show);
    value["cases"] = entry::cases(corpus, entry.row).map_or(serde_json::Value::Null, |cases| json!(cases));
    value
}

/// The SMT-LIB script of what was found.
#[cfg(feature = "proofs")]
fn smt2(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    use anyhow::Context;
    use semantics::insn::table::TABLE;
    if let Some(directory) = &args.out {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let rows = TABLE.iter().filter(|row| row.op != semantics::insn::Op::WideTail);
        let mut count = 0;
        for row in rows {
            let file = directory.join(format!("{}.smt2", row.path()));
            std::fs::write(&file, proofs::isa::script(row)).with_context(|| file.display().to_string())?;
            count += 1;
        }
        writeln!(out, "{count} scripts in {}", directory.display())?;
        return Ok(Status::Fine);
    }
    let Some(text) = &args.insn else { bail!("--smt2 wants an instruction, or --all --out DIR") };
    let script = match find::find(text)? {
        Found::Insn(insn) => proofs::isa::script_of(&insn),
        Found::Rows(names) => match names[..] {
            [name] => {
                let row = TABLE.iter().find(|row| row.name == name).expect("a row's name");
                if row.op == semantics::insn::Op::WideTail {
                    bail!("{name} is never executed: it has no meaning of its own");
                }
                proofs::isa::script(row)
            }
            _ => bail!("`{text}` means several instructions, name one: {}", names.join(", ")),
        },
    };
    write!(out, "{script}")?;
    Ok(Status::Fine)
}
#[cfg(not(feature = "proofs"))]
fn smt2(_: &Args, _: &mut dyn Write) -> anyhow::Result<Status> {
    bail!("this build has no proofs, of which --smt2 is a part: build with the feature `proofs`")
}
