//! `touchstone precision`: how often each operator of the verifier's domain gives the best result there is.

use std::io::Write;

use comfy_table::{Table, presets};
use serde_json::json;
use verifier::precision::{self, Row};

use crate::{Format, Status};

/// What `--format json` prints.
const JSON: &str = "JSON: [{operator, operands, optimal: {domain: how often}}].";

#[derive(Debug, clap::Args)]
#[command(after_help = JSON)]
pub struct Args {
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Status> {
    let rows = precision::rows();
    match args.format {
        Format::Json => {
            let rows = rows.iter().map(|row| {
                let optimal: serde_json::Map<_, _> =
                    row.optimal.iter().map(|(domain, count)| ((*domain).to_owned(), json!(count))).collect();
                json!({ "operator": row.operator, "operands": row.operands, "optimal": optimal })
            });
            crate::json(out, &rows.collect())?;
        }
        Format::Text => {
            let (products, others): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.optimal.len() == 3);
            for rows in [products, others] {
                writeln!(out, "{}", table(&rows))?;
            }
        }
    }
    Ok(Status::Fine)
}

/// Of how many operands in a hundred the result is the best.
#[allow(clippy::cast_precision_loss)] // a share for people
fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    let domains =
        rows.first().map(|row| row.optimal.iter().map(|(domain, _)| (*domain).to_owned()).collect::<Vec<_>>());
    let header = ["operator".to_owned(), "operands".to_owned()].into_iter().chain(domains.unwrap_or_default());
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(header);
    for Row { operator, operands, optimal } in rows {
        let shares = optimal.iter().map(|(_, count)| format!("{:.1} %", *count as f64 * 100.0 / *operands as f64));
        table.add_row([operator.clone(), operands.to_string()].into_iter().chain(shares));
    }
    table
}
