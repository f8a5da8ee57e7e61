//! The instruction set as one page that needs nothing else: a search box, a table by room, notes on demand.

use std::io::Write;

use super::{FLOORS, by_room};
use crate::isa::entry::Entry;

const HEAD: &str = include_str!("page_head.html");
const TAIL: &str = include_str!("page_tail.html");

/// Text in HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub fn page(entries: &[&Entry], out: &mut dyn Write) -> anyhow::Result<()> {
    write!(out, "{HEAD}")?;
    for (room, rows) in by_room(entries) {
        writeln!(out, "<section id=\"{}\"><h2>{}</h2>", room.name(), escape(room.title()))?;
        writeln!(out, "<table><thead><tr><th>instruction<th>meaning<th>encoding<th>where</tr></thead><tbody>")?;
        rows.into_iter().try_for_each(|entry| row(entry, out))?;
        writeln!(out, "</tbody></table></section>")?;
    }
    writeln!(out, "<p class=\"note\">{} rows. {}.</p>", entries.len(), escape(FLOORS))?;
    Ok(write!(out, "{TAIL}")?)
}

fn row(entry: &Entry, out: &mut dyn Write) -> anyhow::Result<()> {
    let (row, op) = (entry.row, entry.row.op);
    writeln!(out, "<tr id=\"{}\">", row.name)?;
    writeln!(out, "<td><code>{}</code><div class=\"name\">{}</div></td>", escape(&op.assembly()), row.name)?;
    let notes = op.notes().iter().fold(String::new(), |all, note| all + "<li>" + &escape(note) + "</li>");
    let notes =
        if notes.is_empty() { notes } else { format!("<details><summary>notes</summary><ul>{notes}</ul></details>") };
    let (words, formula) = (escape(&op.words()), escape(&entry.formula));
    writeln!(out, "<td>{words}<div><code class=\"formula\">{formula}</code></div>{notes}</td>")?;
    let parts = row.code_parts().join(" | ");
    let fixed = entry.fixed();
    writeln!(
        out,
        "<td><code>{:#04x}</code> {}<div class=\"name\">{}</div></td>",
        row.code,
        escape(&parts),
        escape(&fixed)
    )?;
    let (group, since) = (op.group().name(), op.since());
    writeln!(
        out,
        "<td>{}<div class=\"name\">{group}, Linux {since}, {}</div></td></tr>",
        escape(&entry.source()),
        entry.floors()
    )?;
    Ok(())
}
