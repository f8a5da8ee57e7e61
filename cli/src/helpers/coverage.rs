//! `touchstone helpers --coverage`: how often each helper ran in a campaign, and which of its results were seen.

use std::io::Write;
use std::time::Duration;

use comfy_table::{Table, presets};
use fuzz::calls;
use fuzz::campaign::{Options, Report};
use fuzz::target::Target;
use fuzz::worker::Setup;
use semantics::helper::{self, Helper};
use serde_json::{Value, json};

use crate::{Format, Status, fuzz as campaign};

/// Fuzzes the helpers that a word stands for.
pub fn run(word: &str, duration: Duration, format: Format, out: &mut dyn Write) -> anyhow::Result<Status> {
    let helpers = campaign::helpers(word)?;
    let options = Options {
        setup: Setup { helpers: helpers.clone(), ..Setup::new(Target::Helper) },
        workers: campaign::workers(),
        duration: Some(duration),
        tests: None,
        findings: None,
        dir: None,
        launcher: campaign::launcher(false)?,
    };
    let report = campaign::campaign(&options)?;
    match format {
        Format::Text => {
            campaign::text(&report, out)?;
            text(&report, &helpers, out)?;
        }
        Format::Json => crate::json(out, &chosen(&helpers).map(|helper| to_json(&report, helper)).collect())?,
    }
    Ok(Status::of(report.findings.is_empty()))
}

/// The helpers with these numbers; all that are modelled if there are none.
fn chosen(helpers: &[u32]) -> impl Iterator<Item = &'static Helper> {
    helper::modelled().map(|(_, helper)| helper).filter(|helper| helpers.is_empty() || helpers.contains(&helper.id))
}

/// How often each of its results was seen.
fn counts(report: &Report, helper: &Helper) -> Vec<u64> {
    let mut counts = report.stats.results.get(&helper.id).cloned().unwrap_or_default();
    counts.resize(helper.results.len(), 0);
    counts
}

/// A table with a row per helper: calls, what was seen, what was not.
pub fn text(report: &Report, helpers: &[u32], out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(["helper", "calls", "results seen", "never seen"]);
    let (mut calls, mut unseen) = (0, 0);
    for helper in chosen(helpers) {
        let counts = counts(report, helper);
        let named = |seen: bool| {
            let all = helper.results.iter().zip(&counts).filter(|(_, count)| (**count > 0) == seen);
            let shown = all.map(|(result, count)| if seen { format!("{result}: {count}") } else { result.to_string() });
            shown.collect::<Vec<_>>().join(", ")
        };
        let total: u64 = counts.iter().sum();
        let never = if calls::is_written(helper) { named(false) } else { "no program calls it".to_owned() };
        unseen += usize::from(!never.is_empty());
        calls += total;
        table.add_row([helper.fact().name.to_owned(), total.to_string(), named(true), never]);
    }
    let count = chosen(helpers).count();
    Ok(writeln!(out, "{table}\n{calls} calls of {count} helpers; {unseen} of them lack a result")?)
}

fn to_json(report: &Report, helper: &Helper) -> Value {
    let counts = counts(report, helper);
    let results: Vec<Value> = helper
        .results
        .iter()
        .zip(&counts)
        .map(|(result, count)| json!({"result": result.to_string(), "count": count}))
        .collect();
    json!({
        "name": helper.fact().name, "calls": counts.iter().sum::<u64>(), "generated": calls::is_written(helper),
        "results": results,
    })
}
