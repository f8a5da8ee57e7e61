//! `touchstone verify --statistics`: what verifying each program of objects takes, like veristat.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};
use verifier::{Options, Stats, Verdict, Verifier};

use crate::input::Source;
use crate::{Format, Status};

/// One program.
struct Row {
    file: String,
    program: String,
    verdict: &'static str,
    /// Why it is not accepted, one line.
    message: String,
    took: Duration,
    stats: Stats,
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "file": self.file, "program": self.program, "verdict": self.verdict, "message": self.message,
            "microseconds": self.took.as_micros() as u64, "insns": self.stats.insns, "states": self.stats.saved,
            "max_states_per_insn": self.stats.most_here,
        })
    }
}

/// Verifies every program of the objects at these paths, folders included; what cannot be loaded is an error.
pub fn run(
    source: &Source,
    more: &[PathBuf],
    options: &Options,
    format: Format,
    out: &mut dyn Write,
) -> anyhow::Result<Status> {
    let mut verifier = Verifier::default();
    let (mut rows, mut failed) = (Vec::new(), 0);
    for path in std::iter::once(&source.path).chain(more) {
        for file in files(path)? {
            let source = Source { path: file, ..source.clone() };
            match measure(&source, &mut verifier, options) {
                Ok(measured) => rows.extend(measured),
                Err(error) => {
                    eprintln!("{error:#}");
                    failed += 1;
                }
            }
        }
    }
    match format {
        Format::Text => text(&rows, failed, out)?,
        Format::Json => crate::json(
            out,
            &json!({"programs": rows.iter().map(Row::json).collect::<Vec<_>>(), "not_loaded": failed}),
        )?,
    }
    let any = |verdict| rows.iter().any(|row| row.verdict == verdict);
    Ok(if failed > 0 || any("reject") {
        Status::Findings
    } else if any("unsupported") {
        Status::Unsupported
    } else {
        Status::Fine
    })
}

/// The objects of a folder by name, or the file itself.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    use anyhow::Context as _;
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry?.path();
        if entry.is_dir() {
            all.extend(files(&entry)?);
        } else if entry.extension().is_some_and(|extension| extension == "o") {
            all.push(entry);
        }
    }
    all.sort();
    Ok(all)
}

fn measure(source: &Source, verifier: &mut Verifier, options: &Options) -> anyhow::Result<Vec<Row>> {
    let file = source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut rows = Vec::new();
    for (name, program) in source.load_all()? {
        let program = match program {
            Ok(program) => program,
            Err(error) => {
                eprintln!("{error:#}");
                continue;
            }
        };
        let start = Instant::now();
        let verdict = verifier.verify(&program, options);
        let took = start.elapsed();
        let (verdict, message, stats) = match verdict {
            Verdict::Accept(accepted) => ("accept", String::new(), accepted.stats),
            Verdict::Reject(rejection) => {
                let message = rejection.message();
                let line = message.lines().last().unwrap_or_default().to_owned();
                ("reject", format!("insn {}: {line}", rejection.insn), rejection.stats)
            }
            Verdict::Unsupported(what) => ("unsupported", what.to_string(), Stats::default()),
        };
        rows.push(Row { file: file.clone(), program: name, verdict, message, took, stats });
    }
    Ok(rows)
}

#[allow(clippy::cast_precision_loss)] // a rate for people
fn text(rows: &[Row], failed: usize, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["file", "program", "verdict", "us", "insns", "states", "most at one insn", ""]);
    for row in rows {
        let Stats { insns, saved, most_here } = row.stats;
        let numbers = [row.took.as_micros().to_string(), insns.to_string(), saved.to_string(), most_here.to_string()];
        let mut cells = vec![row.file.clone(), row.program.clone(), row.verdict.to_owned()];
        cells.extend(numbers);
        cells.push(row.message.clone());
        table.add_row(cells);
    }
    for column in 3..=6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(out, "{table}")?;
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let took: Duration = rows.iter().map(|row| row.took).sum();
    let insns: u64 = rows.iter().map(|row| u64::from(row.stats.insns)).sum();
    let rate = insns as f64 / took.as_secs_f64().max(1e-9) / 1e6;
    writeln!(
        out,
        "{} programs: {} accepted, {} rejected, {} not verified, {failed} files not loaded; {insns} insns in {:.3} s ({rate:.1} million/s)",
        rows.len(),
        count("accept"),
        count("reject"),
        count("unsupported"),
        took.as_secs_f64(),
    )?;
    Ok(())
}
