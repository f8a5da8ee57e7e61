//! A run that is looked at while it goes: a line per instruction, breakpoints and watchpoints.

use std::io::Write;
use std::ops::Range;

use semantics::insn::Insn;
use semantics::interpreter::{Observer, Registers, Stop};
use semantics::program::Program;
use semantics::world::World;
use serde_json::{Value, json};

use super::breakpoint::{Break, Difference, Watch};
use super::record::{Before, Record};
use super::state::{State, table};
use super::view::{self, View};
use crate::Format;

/// What is looked at.
#[derive(Debug)]
pub struct Options {
    /// The instructions that have a line, by number.
    pub traced: Range<u64>,
    /// End the run at the first breakpoint, or change of what is watched.
    pub stop: bool,
    pub format: Format,
    /// The number of the input.
    pub input: usize,
}

/// Follows the frames of subprograms.
#[derive(Debug, Default)]
pub struct Callers {
    /// The slots of the calls that wait for a return.
    pub slots: Vec<usize>,
    last: usize,
}

impl Callers {
    /// The run is at this slot in this frame.
    pub fn follow(&mut self, pc: usize, depth: u32) {
        while self.slots.len() < depth as usize {
            self.slots.push(self.last);
        }
        self.slots.truncate(depth as usize);
        self.last = pc;
    }
}

/// Prints the source line when it changes.
#[derive(Debug, Default)]
pub struct SourceLines {
    last: Option<(String, u32)>,
}

impl SourceLines {
    /// The line of the instruction at `slot`, if it is not the one of the call before.
    pub fn change(&mut self, program: &Program, slot: usize) -> Option<String> {
        let line = program.debug().line_at(slot)?;
        if self.last.as_ref().is_some_and(|(file, number)| *file == line.file && *number == line.line) {
            return None;
        }
        self.last = Some((line.file.clone(), line.line));
        Some(source_line(line))
    }
}

/// `; file.c:12  text`, the file without its folders.
pub fn source_line(line: &semantics::program::Line) -> String {
    let file = line.file.rsplit('/').next().unwrap_or(&line.file);
    format!("; {file}:{}  {}", line.line, line.text.trim()).trim_end().to_owned()
}

/// An instruction and what it did, on one line.
pub fn line(record: &Record, listing: &[String]) -> String {
    let insn = format!("{:5}: {}{}", record.pc, "  ".repeat(record.depth as usize), listing[record.pc]);
    format!("{insn:<46} {}", record.effects()).trim_end().to_owned()
}

/// Looks at a run and prints.
pub struct Monitor<'a> {
    pub program: &'a Program,
    pub listing: &'a [String],
    pub breaks: &'a [Break],
    pub watches: Vec<Watch>,
    pub options: Options,
    out: &'a mut dyn Write,
    retired: u64,
    before: Option<Before>,
    /// The slot of the instruction before.
    executed: Option<usize>,
    callers: Callers,
    source: SourceLines,
    stopped: bool,
    error: Option<anyhow::Error>,
}

impl<'a> Monitor<'a> {
    pub fn new(
        program: &'a Program,
        listing: &'a [String],
        (breaks, watches): (&'a [Break], &[Watch]),
        options: Options,
        out: &'a mut dyn Write,
    ) -> Monitor<'a> {
        Monitor {
            program,
            listing,
            breaks,
            watches: watches.to_vec(),
            options,
            out,
            retired: 0,
            before: None,
            executed: None,
            callers: Callers::default(),
            source: SourceLines::default(),
            stopped: false,
            error: None,
        }
    }

    /// The run has ended: what its last instruction did. The calls that wait for a return.
    pub fn finish(mut self, stop: &Stop, world: &World) -> anyhow::Result<Vec<usize>> {
        let view =
            View { program: self.program, world, registers: &stop.registers, pc: stop.pc, retired: self.retired };
        let result =
            self.look_back(&view, true).and_then(|()| match self.retired.saturating_sub(self.options.traced.end) {
                more @ 1.. if self.is_text() => Ok(writeln!(self.out, "  ... {more} instructions more")?),
                _ => Ok(()),
            });
        self.error.map_or(result, Err).map(|()| self.callers.slots)
    }

    fn is_text(&self) -> bool {
        self.options.format == Format::Text
    }

    /// Prints lines about the instruction at `slot`.
    fn print(&mut self, slot: usize, text: &str) -> anyhow::Result<()> {
        if self.is_text()
            && let Some(source) = self.source.change(self.program, slot)
        {
            writeln!(self.out, "{source}")?;
        }
        Ok(writeln!(self.out, "{text}")?)
    }

    /// The instruction before has been executed, and the run is at `view`.
    fn look_back(&mut self, view: &View<'_>, ended: bool) -> anyhow::Result<()> {
        let Some(slot) = self.executed else { return Ok(()) };
        let is_traced = self.before.is_some();
        if let Some(before) = self.before.take() {
            let record = before.record(view, ended);
            let text = match self.options.format {
                Format::Text => line(&record, self.listing),
                Format::Json => self.tagged(record.json(self.program, self.listing)),
            };
            self.print(slot, &text)?;
        }
        let mut changes: Vec<(String, Difference)> = Vec::new();
        for watch in &mut self.watches {
            changes.extend(watch.look(view, Some(slot)).into_iter().map(|change| (watch.text.clone(), change)));
        }
        if !changes.is_empty() && !is_traced && self.is_text() {
            self.print(slot, &format!("{slot:5}: {}", self.listing[slot]))?;
        }
        for (watch, change) in &changes {
            let text = match self.options.format {
                Format::Text => format!("  watch {change}"),
                Format::Json => self.tagged(json!({
                    "type": "watch", "watch": watch, "what": change.what, "n": self.retired - 1, "pc": slot,
                    "old": change.old, "new": change.new,
                })),
            };
            self.print(slot, &text)?;
        }
        if self.options.stop && !changes.is_empty() && !ended {
            self.stopped = true;
            self.show(view, "watch", &changes[0].0.clone())?;
        }
        Ok(())
    }

    fn tagged(&self, mut value: Value) -> String {
        value["input"] = self.options.input.into();
        value.to_string()
    }

    /// Prints the whole state.
    fn show(&mut self, view: &View<'_>, kind: &str, text: &str) -> anyhow::Result<()> {
        let state = State::of(view, &self.callers.slots);
        if !self.is_text() {
            let mut value = state.json(true);
            value["type"] = "stop".into();
            value[kind] = text.into();
            let value = self.tagged(value);
            return self.print(view.pc, &value);
        }
        let place = view::function(self.program, view.pc);
        let insn = &self.listing[view.pc];
        let head = format!("{kind} {text}: in {place}, after {} instructions\n{:5}: {insn}", view.retired, view.pc);
        self.print(view.pc, &format!("{head}\n{}\n", table(state.rows(true))))
    }

    fn look(&mut self, view: &View<'_>) -> anyhow::Result<()> {
        self.look_back(view, false)?;
        self.callers.follow(view.pc, view.depth());
        for at in 0..self.breaks.len() {
            if self.stopped {
                break;
            }
            let text = self.breaks[at].text.clone();
            match self.breaks[at].holds(view) {
                Ok(false) => continue,
                Ok(true) => self.show(view, "break", &text)?,
                Err(error) => self.show(view, "break", &format!("{text} ({error})"))?,
            }
            self.stopped = self.options.stop;
        }
        Ok(())
    }
}

impl Observer for Monitor<'_> {
    fn before(&mut self, pc: usize, insn: &Insn, registers: &Registers, world: &mut World) {
        let view = View { program: self.program, world, registers, pc, retired: self.retired };
        if self.retired == 0 {
            // What is watched is what it is now.
            self.watches.iter_mut().for_each(|watch| drop(watch.look(&view, None)));
        }
        if let Err(error) = self.look(&view) {
            self.error = Some(error);
            self.stopped = true;
        }
        if self.stopped {
            return;
        }
        if self.options.traced.contains(&self.retired) {
            self.before = Some(Before::new(pc, self.retired, insn, registers, world));
        }
        self.executed = Some(pc);
        self.retired += 1;
    }

    fn stops(&mut self) -> bool {
        self.stopped
    }
}
