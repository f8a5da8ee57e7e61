//! A rejection beside its explanation: Linux's message, what is missing, where the register came from, the path.

use std::fmt::Write as _;

use semantics::program::{Line, Program};
use serde_json::{Value, json};
use verifier::Rejection;
use verifier::explain::{Change, Event, Held, Origin, Place, Way, advice};
use verifier::log::Shown;
use verifier::state::{Byte, Kind};

use crate::run::{SourceLines, listing};

/// The most instructions of a history that are printed as text, and in JSON: the last ones.
const TEXT_MAX: usize = 16;
const JSON_MAX: usize = 256;
/// The most jumps of a path that are printed as text: the last ones.
const JUMPS_MAX: usize = 24;
/// Where what is known begins, in columns.
const KNOWN: usize = 46;

/// The rejection as a card.
pub fn text(program: &Program, rejection: &Rejection) -> String {
    let mut card = Card { program, listing: listing(program), lines: SourceLines::default(), out: String::new() };
    let out = &mut card.out;
    let _ = writeln!(out, "rejected: {}\ninsn {}: {}", program.name(), rejection.insn, rejection.refusal);
    if rejection.insn < program.insns().len() {
        out.push('\n');
        card.insn(rejection.insn, 0, "");
    }
    let advice = advice(rejection, program);
    let _ = writeln!(card.out, "\n{}", advice.missing);
    if let Some(suggestion) = advice.suggestion {
        let _ = writeln!(card.out, "{suggestion}");
    }
    let history = history(program, rejection);
    if let (Some(way), false) = (&rejection.way, history.is_empty()) {
        card.history(way, &history, rejection);
    }
    card.path(rejection);
    card.out
}

/// The same as fields of an object.
pub fn to_json(program: &Program, rejection: &Rejection) -> Value {
    let advice = advice(rejection, program);
    let listing = listing(program);
    let history = history(program, rejection);
    let skipped = history.len().saturating_sub(JSON_MAX);
    let entry = |origin: &Origin<'_>| {
        let insn = origin.event.insn;
        json!({
            "insn": insn, "text": listing[insn], "place": place(origin.change.place), "frame": frame(origin.change.place),
            "value": held(program, origin.change), "source": source(program, insn),
        })
    };
    let step = |step: &verifier::Step| json!({"insn": step.insn, "taken": step.taken, "text": listing[step.insn], "source": source(program, step.insn)});
    json!({
        "register": rejection.register().map(|reg| reg.to_string()),
        "missing": advice.missing, "suggestion": advice.suggestion,
        "history": history[skipped..].iter().map(entry).collect::<Vec<_>>(), "history_skipped": skipped,
        "path": rejection.path.iter().map(step).collect::<Vec<_>>(),
        "source": source(program, rejection.insn),
    })
}

/// Where the register that the rejection is about got its value from.
fn history<'a>(program: &Program, rejection: &'a Rejection) -> Vec<Origin<'a>> {
    let (Some(way), Some(reg)) = (&rejection.way, rejection.register()) else { return Vec::new() };
    way.origin(program, Place::Reg(way.last.depth() as u8, reg))
}

struct Card<'a> {
    program: &'a Program,
    listing: Vec<String>,
    lines: SourceLines,
    out: String,
}

impl Card<'_> {
    /// An instruction under its line of C, where that is another than the one before.
    fn insn(&mut self, slot: usize, depth: u8, note: &str) {
        if let Some(line) = self.lines.change(self.program, slot) {
            let _ = writeln!(self.out, "{line}");
        }
        let insn = format!("{slot:5}: {}{}", "  ".repeat(depth.into()), self.listing[slot]);
        let _ = writeln!(self.out, "{}", format!("{insn:<KNOWN$} {note}").trim_end());
    }

    fn history(&mut self, way: &Way, history: &[Origin<'_>], rejection: &Rejection) {
        let Some(reg) = rejection.register() else { return };
        self.lines = SourceLines::default();
        let _ = writeln!(self.out, "\nWhere {reg} comes from");
        let skipped = history.len().saturating_sub(TEXT_MAX);
        if skipped > 0 {
            let _ = writeln!(self.out, "  ... {skipped} instructions before");
        }
        let mut shown = &history[skipped..];
        while let Some(first) = shown.first() {
            let count = shown.iter().take_while(|origin| origin.at == first.at).count();
            let known: Vec<String> = shown[..count].iter().map(|origin| known(self.program, origin)).collect();
            let way_taken = match way.taken(first.at, self.program) {
                Some(true) => "taken      ",
                Some(false) => "not taken  ",
                None => "",
            };
            let Event { insn, frame, .. } = *first.event;
            self.insn(insn, frame, &format!("{way_taken}{}", known.join(" ")));
            shown = &shown[count..];
        }
    }

    fn path(&mut self, rejection: &Rejection) {
        if rejection.path.is_empty() || !rejection.refusal.is_of_a_path() {
            return;
        }
        self.lines = SourceLines::default();
        self.out.push_str("\nThe path\n");
        let skipped = rejection.path.len().saturating_sub(JUMPS_MAX);
        if skipped > 0 {
            let _ = writeln!(self.out, "  ... {skipped} jumps before");
        }
        for step in &rejection.path[skipped..] {
            self.insn(step.insn, 0, if step.taken { "taken" } else { "not taken" });
        }
    }
}

/// `R1=pkt(r=0)`.
fn known(program: &Program, origin: &Origin<'_>) -> String {
    format!("{}={}", origin.change.place, held(program, origin.change))
}

/// What is known of a place, as in the log.
fn held(program: &Program, change: &Change) -> String {
    match &change.held {
        Held::Reg(reg) if reg.kind == Kind::NotInit => "?".to_owned(),
        Held::Reg(reg) => Shown(reg, program).to_string(),
        Held::Bytes(bytes) => bytes.iter().rev().copied().map(Byte::mark).collect(),
    }
}

fn place(place: Place) -> String {
    place.to_string().to_lowercase()
}

fn frame(place: Place) -> u8 {
    let (Place::Reg(frame, _) | Place::Slot(frame, _)) = place;
    frame
}

fn source(program: &Program, slot: usize) -> Option<Value> {
    let Line { file, line, column, text, .. } = program.debug().line_at(slot)?;
    Some(json!({"file": file, "line": line, "column": column, "text": text.trim()}))
}
