//! `touchstone run --step`: commands from the standard input, one per line, on a terminal or a pipe.
//!
//! The prompt is asked from inside the run, before an instruction. Runs are deterministic, so a step back is a new run up
//! to the instruction before.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use semantics::insn::Insn;
use semantics::interpreter::{self, Observer, Registers};
use semantics::program::Program;
use semantics::world::{Input, World};
use signal_hook::consts::SIGINT;

use super::breakpoint::{Break, Watch, show};
use super::expr::{self, EvalError, ExprError, Item};
use super::hexdump::hexdump;
use super::record::{self, Before};
use super::state::{State, table};
use super::trace::{Callers, SourceLines, line, source_line};
use super::view::{self, View};
use crate::Status;

const HELP: &str = "\
step, s [N]       execute one instruction, or N
next, n [N]       the same, over calls of subprograms
finish            to behind the call of this subprogram
continue, c       to the next breakpoint or change of what is watched
rs [N]            back by one instruction, or N
rc                back to the last breakpoint before
restart           to the beginning
break, b [WHERE]  SLOT, FUNCTION, FILE:LINE or helper:NAME, with ` if CONDITION`; without, list them
watch, w [WHAT]   REGISTER, ADDRESS:LENGTH, MAP, MAP[KEY] or an expression; without, list them
delete [NUMBER]   one breakpoint or watchpoint, or all
print, p WHAT     an expression, ADDRESS:LENGTH, MAP or MAP[KEY]
x ADDRESS LENGTH  memory in hexadecimal
registers, r      what they hold and point to
stack             slots that are not zero
state             all there is: registers, packet, context, stack, maps, calls
backtrace, bt     the calls that led here
list, l [SLOT]    instructions and source around
quit, q           end; so does the end of input
An empty line repeats the command before.
";

/// How far a run goes before it asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Go {
    /// Instructions.
    Step(u64),
    /// Instructions of frames not deeper than this.
    Next(u64, u32),
    /// Until a frame not deeper than this.
    Finish(u32),
    Continue,
    /// Until so many instructions are executed, in silence.
    To(u64),
    /// The same, noting breakpoints on the way.
    Scan(u64),
}

/// Why a run is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Quit,
    /// To run anew.
    Again(Go),
}

/// What the prompt came to.
enum Answer {
    /// Another command.
    Ask,
    Go(Go),
    Leave(Leave),
}

/// Why a command is not carried out.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("there is no command `{0}`; `help` lists them")]
    Unknown(String),
    #[error("`{0}` is not a number from 1 on")]
    Number(String),
    #[error("the run has ended; go back with `rs`, `rc` or `restart`")]
    Ended,
    #[error("this is the beginning")]
    Beginning,
    #[error("no breakpoint is passed before")]
    NoneBefore,
    #[error("there is no breakpoint or watchpoint {0}")]
    NoSuchPoint(u64),
    #[error("this is the program itself; `continue` runs it to its end")]
    Outermost,
    #[error("the program has no instruction at slot {0}")]
    NoSuchSlot(u64),
    #[error("write `{0}`")]
    Usage(&'static str),
    #[error("{}", .0.shown(.1))]
    Expr(ExprError, String),
    #[error(transparent)]
    Eval(#[from] EvalError),
}

/// A breakpoint or a watchpoint, by number.
enum Point {
    Break(Break),
    Watch(Watch),
}

struct Debugger<'a> {
    program: &'a Program,
    listing: Vec<String>,
    input: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
    /// Whether somebody sits there who wants a prompt.
    prompt: bool,
    interrupted: Arc<AtomicBool>,
    points: Vec<(u64, Point)>,
    numbers: u64,
    go: Go,
    leave: Option<Leave>,
    retired: u64,
    before: Option<Before>,
    /// The slot of the instruction before.
    executed: Option<usize>,
    callers: Callers,
    source: SourceLines,
    /// The last place of a scan where a breakpoint held.
    noted: Option<u64>,
    repeated: String,
    error: Option<anyhow::Error>,
}

/// Steps through a run on `input`.
pub fn run(
    program: &Program,
    world: &mut World,
    input: &Input,
    fuel: u64,
    (breaks, watches): (Vec<Break>, Vec<Watch>),
    out: &mut dyn Write,
) -> anyhow::Result<Status> {
    let interrupted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, Arc::clone(&interrupted))?;
    let points = breaks.into_iter().map(Point::Break).chain(watches.into_iter().map(Point::Watch));
    let points: Vec<(u64, Point)> = (1..).zip(points).collect();
    let numbers = points.len() as u64;
    let mut debugger = Debugger {
        program,
        listing: record::listing(program),
        input: &mut std::io::stdin().lock(),
        out,
        prompt: std::io::stdin().is_terminal(),
        interrupted,
        points,
        numbers,
        go: Go::To(0),
        leave: None,
        retired: 0,
        before: None,
        executed: None,
        callers: Callers::default(),
        source: SourceLines::default(),
        noted: None,
        repeated: String::new(),
        error: None,
    };
    loop {
        world.reset(input)?;
        debugger.begin();
        let stop = interpreter::run(program, world, fuel, &mut debugger);
        if let Some(error) = debugger.error {
            return Err(error);
        }
        if debugger.leave.is_none() {
            let view = View { program, world, registers: &stop.registers, pc: stop.pc, retired: debugger.retired };
            let result = super::result_text(program, stop.result);
            debugger.ended(&view, &result)?;
        }
        match debugger.leave {
            Some(Leave::Again(go)) => debugger.go = go,
            Some(Leave::Quit) | None => return Ok(Status::Fine),
        }
    }
}

impl Debugger<'_> {
    fn begin(&mut self) {
        self.leave = None;
        self.retired = 0;
        self.before = None;
        self.executed = None;
        self.callers = Callers::default();
        for (_, point) in &mut self.points {
            if let Point::Watch(watch) = point {
                watch.reset();
            }
        }
    }

    /// The run is at `view`: show what there is to show, and ask if it is time to.
    fn look(&mut self, view: &View<'_>) -> anyhow::Result<()> {
        self.callers.follow(view.pc, view.depth());
        let interrupted = self.interrupted.swap(false, Ordering::Relaxed);
        let before = self.before.take();
        match self.go {
            // What is watched is what it is there.
            Go::To(target) if view.retired == target => drop(self.watched(view)),
            Go::To(_) if !interrupted => return Ok(()),
            Go::Scan(end) if view.retired < end && !interrupted => {
                if !self.watched(view).is_empty() || !self.broken(view).is_empty() {
                    self.noted = Some(view.retired);
                }
                return Ok(());
            }
            Go::Scan(end) => return self.scanned(end),
            go => {
                let mut notes = self.watched(view);
                let is_shown = match go {
                    Go::Step(_) => true,
                    Go::Next(_, depth) => view.depth() <= depth,
                    _ => false,
                };
                match (before.filter(|_| is_shown), self.executed) {
                    (Some(before), _) => self.show(before, view, false)?,
                    (None, Some(slot)) if !notes.is_empty() => {
                        writeln!(self.out, "{slot:5}: {}", self.listing[slot])?;
                    }
                    _ => {}
                }
                notes.extend(self.broken(view));
                let asks = self.is_over(view) || !notes.is_empty() || interrupted;
                for note in notes {
                    writeln!(self.out, "{note}")?;
                }
                if !asks {
                    return Ok(());
                }
            }
        }
        if interrupted {
            writeln!(self.out, "interrupted")?;
        }
        self.place(view)?;
        self.ask(view, false)
    }

    /// A scan is over: on to the last place that it noted.
    fn scanned(&mut self, end: u64) -> anyhow::Result<()> {
        let noted = self.noted.take();
        if noted.is_none() {
            writeln!(self.out, "error: {}", CommandError::NoneBefore)?;
        }
        self.leave = Some(Leave::Again(Go::To(noted.unwrap_or(end))));
        Ok(())
    }

    /// Whether what was asked for is done; counts down.
    fn is_over(&mut self, view: &View<'_>) -> bool {
        match &mut self.go {
            Go::Step(left) => {
                *left -= 1;
                *left == 0
            }
            Go::Next(left, depth) if view.depth() <= *depth => {
                (*left, *depth) = (*left - 1, view.depth());
                *left == 0
            }
            Go::Finish(depth) => view.depth() <= *depth,
            Go::Next(..) | Go::Continue | Go::To(_) | Go::Scan(_) => false,
        }
    }

    /// Shows what an instruction did.
    fn show(&mut self, before: Before, view: &View<'_>, ended: bool) -> anyhow::Result<()> {
        let slot = before.pc;
        let record = before.record(view, ended);
        if let Some(source) = self.source.change(self.program, slot) {
            writeln!(self.out, "{source}")?;
        }
        Ok(writeln!(self.out, "{}", line(&record, &self.listing))?)
    }

    /// What changed of what is watched.
    fn watched(&mut self, view: &View<'_>) -> Vec<String> {
        let executed = self.executed;
        let points = self.points.iter_mut().filter_map(|(number, point)| match point {
            Point::Watch(watch) => Some((number, watch)),
            Point::Break(_) => None,
        });
        let changes = points.flat_map(|(number, watch)| {
            let changes = watch.look(view, executed).into_iter();
            changes.map(move |change| format!("watchpoint {number}, {change}"))
        });
        changes.collect()
    }

    /// The breakpoints that stand here.
    fn broken(&self, view: &View<'_>) -> Vec<String> {
        let points = self.points.iter().filter_map(|(number, point)| match point {
            Point::Break(point) => Some((number, point)),
            Point::Watch(_) => None,
        });
        let held = points.filter_map(|(number, point)| match point.holds(view) {
            Ok(false) => None,
            Ok(true) => Some(format!("breakpoint {number}, {}", point.text)),
            Err(error) => Some(format!("breakpoint {number}, {}: {error}", point.text)),
        });
        held.collect()
    }

    /// The instruction that comes next.
    fn place(&mut self, view: &View<'_>) -> anyhow::Result<()> {
        if let Some(source) = self.source.change(self.program, view.pc) {
            writeln!(self.out, "{source}")?;
        }
        Ok(writeln!(self.out, "=> {:3}: {}", view.pc, self.listing[view.pc])?)
    }

    /// The run has ended by itself.
    fn ended(&mut self, view: &View<'_>, result: &str) -> anyhow::Result<()> {
        if matches!(self.go, Go::Scan(_)) && self.noted.is_some() {
            return self.scanned(view.retired);
        }
        if let Go::Scan(_) = self.go {
            writeln!(self.out, "error: {}", CommandError::NoneBefore)?;
        }
        if let Some(before) = self.before.take() {
            self.show(before, view, true)?;
        }
        for note in self.watched(view) {
            writeln!(self.out, "{note}")?;
        }
        writeln!(self.out, "the run has ended after {} instructions: {result}", view.retired)?;
        self.ask(view, true)
    }

    /// Asks until an answer lets the run go on or ends it.
    fn ask(&mut self, view: &View<'_>, ended: bool) -> anyhow::Result<()> {
        loop {
            if self.prompt {
                write!(self.out, "(touchstone) ")?;
            }
            self.out.flush()?;
            let mut text = String::new();
            if self.input.read_line(&mut text)? == 0 {
                if self.prompt {
                    writeln!(self.out)?;
                }
                self.leave = Some(Leave::Quit);
                return Ok(());
            }
            self.interrupted.store(false, Ordering::Relaxed);
            if !text.trim().is_empty() {
                text.trim().clone_into(&mut self.repeated);
            }
            let command = self.repeated.clone();
            match self.command(&command, view, ended) {
                Ok(Answer::Ask) => {}
                Ok(Answer::Go(go)) => {
                    self.go = go;
                    return Ok(());
                }
                Ok(Answer::Leave(leave)) => {
                    self.leave = Some(leave);
                    return Ok(());
                }
                Err(error) => match error.downcast::<CommandError>() {
                    Ok(error) => writeln!(self.out, "error: {error}")?,
                    Err(error) => return Err(error),
                },
            }
        }
    }

    fn command(&mut self, text: &str, view: &View<'_>, ended: bool) -> anyhow::Result<Answer> {
        let (word, rest) = text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()));
        let go = |go| if ended { Err(CommandError::Ended) } else { Ok(Answer::Go(go)) };
        let depth = view.depth();
        match word {
            "" => {}
            "step" | "s" => return Ok(go(Go::Step(count(rest)?))?),
            "next" | "n" => return Ok(go(Go::Next(count(rest)?, depth))?),
            "finish" if depth == 0 && !ended => return Err(CommandError::Outermost.into()),
            "finish" => return Ok(go(Go::Finish(depth.saturating_sub(1)))?),
            "continue" | "c" => return Ok(go(Go::Continue)?),
            "rs" | "reverse-step" | "rc" | "reverse-continue" if view.retired == 0 => {
                return Err(CommandError::Beginning.into());
            }
            "rs" | "reverse-step" => {
                let target = view.retired.saturating_sub(count(rest)?);
                return Ok(Answer::Leave(Leave::Again(Go::To(target))));
            }
            "rc" | "reverse-continue" => return Ok(Answer::Leave(Leave::Again(Go::Scan(view.retired)))),
            "restart" => return Ok(Answer::Leave(Leave::Again(Go::To(0)))),
            "quit" | "q" => return Ok(Answer::Leave(Leave::Quit)),
            "break" | "b" if rest.is_empty() => self.list_points(false)?,
            "break" | "b" => {
                let point = Break::parse(rest, self.program).map_err(|e| CommandError::Expr(e, rest.to_owned()))?;
                let slots: Vec<String> = point.slots.iter().map(ToString::to_string).collect();
                self.add(Point::Break(point), &format!("at slot {}", slots.join(", ")))?;
            }
            "watch" | "w" if rest.is_empty() => self.list_points(true)?,
            "watch" | "w" => {
                let mut watch = Watch::parse(rest, self.program).map_err(|e| CommandError::Expr(e, rest.to_owned()))?;
                watch.look(view, None);
                self.add(Point::Watch(watch), rest)?;
            }
            "delete" => self.delete(rest)?,
            _ => self.inspect(word, rest, view)?,
        }
        Ok(Answer::Ask)
    }

    /// Commands that only show something.
    fn inspect(&mut self, word: &str, rest: &str, view: &View<'_>) -> anyhow::Result<()> {
        let state = || State::of(view, &self.callers.slots);
        let text = match word {
            "print" | "p" => self.print(rest, view)?,
            "x" => self.memory(rest, view)?,
            "registers" | "r" => table(state().registers()),
            "stack" => table(state().stack()),
            "state" => table(state().rows(true)),
            "backtrace" | "bt" => self.backtrace(view),
            "list" | "l" => self.list(rest, view)?,
            "help" | "h" => HELP.to_owned(),
            _ => return Err(CommandError::Unknown(word.to_owned()).into()),
        };
        let text = text.trim_end();
        if text.is_empty() { Ok(()) } else { Ok(writeln!(self.out, "{text}")?) }
    }

    fn add(&mut self, point: Point, place: &str) -> anyhow::Result<()> {
        self.numbers += 1;
        let kind = if matches!(point, Point::Break(_)) { "breakpoint" } else { "watchpoint" };
        writeln!(self.out, "{kind} {} {place}", self.numbers)?;
        self.points.push((self.numbers, point));
        Ok(())
    }

    fn list_points(&mut self, watches: bool) -> anyhow::Result<()> {
        for (number, point) in &self.points {
            match point {
                Point::Break(point) if !watches => {
                    let slots: Vec<String> = point.slots.iter().map(ToString::to_string).collect();
                    writeln!(self.out, "breakpoint {number}, {} (slot {})", point.text, slots.join(", "))?;
                }
                Point::Watch(watch) if watches => writeln!(self.out, "watchpoint {number}, {}", watch.text)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn delete(&mut self, rest: &str) -> Result<(), CommandError> {
        if rest.is_empty() {
            self.points.clear();
            return Ok(());
        }
        let number = count(rest)?;
        let at = self.points.iter().position(|(known, _)| *known == number);
        self.points.remove(at.ok_or(CommandError::NoSuchPoint(number))?);
        Ok(())
    }

    fn print(&self, rest: &str, view: &View<'_>) -> Result<String, CommandError> {
        if rest.is_empty() {
            return Err(CommandError::Usage("print WHAT"));
        }
        let item = expr::item(rest, self.program).map_err(|error| CommandError::Expr(error, rest.to_owned()))?;
        let Item::Value(expr) = &item else { return Ok(show(&item, view)) };
        let value = expr.eval(view)?;
        let decimal = value as i64;
        Ok(match view.name(value) {
            Some(name) => format!("{value:#x} ({name})"),
            None if (0..10).contains(&decimal) => decimal.to_string(),
            None => format!("{value:#x} = {decimal}"),
        })
    }

    fn memory(&self, rest: &str, view: &View<'_>) -> Result<String, CommandError> {
        let usage = CommandError::Usage("x ADDRESS LENGTH");
        let Some((text, len)) = rest.rsplit_once(char::is_whitespace) else { return Err(usage) };
        let addr = expr::expr(text, self.program).map_err(|error| CommandError::Expr(error, text.to_owned()))?;
        let (addr, len) = (addr.eval(view)?, count(len)?);
        let bytes = view.world.memory.read(addr, len).map_err(|_| EvalError::Unreadable { addr, len })?;
        Ok(hexdump(addr, bytes, view))
    }

    fn backtrace(&self, view: &View<'_>) -> String {
        let slots = self.callers.slots.iter().copied().chain([view.pc]);
        let slots: Vec<usize> = slots.collect();
        let lines = slots.iter().rev().enumerate().map(|(number, slot)| {
            let source = self.program.debug().line_at(*slot);
            let source = source.map_or(String::new(), |line| format!("  {}", source_line(line)));
            format!("#{number} {} at slot {slot}{source}\n", view::function(self.program, *slot))
        });
        lines.collect()
    }

    /// Instructions around a slot.
    fn list(&self, rest: &str, view: &View<'_>) -> Result<String, CommandError> {
        let centre = if rest.is_empty() { view.pc as u64 } else { number(rest)? };
        let centre = usize::try_from(centre).ok().filter(|slot| *slot < self.listing.len());
        let centre = centre.ok_or_else(|| CommandError::NoSuchSlot(number(rest).unwrap_or_default()))?;
        let mut source = SourceLines::default();
        let mut text = String::new();
        for (slot, _) in self.program.instructions().filter(|(slot, _)| slot.abs_diff(centre) <= 6) {
            if let Some(line) = source.change(self.program, slot) {
                text += &line;
                text.push('\n');
            }
            let mark = if slot == view.pc { "=>" } else { "  " };
            let _ = writeln!(text, "{mark} {slot:3}: {}", self.listing[slot]);
        }
        Ok(text)
    }
}

impl Observer for Debugger<'_> {
    fn before(&mut self, pc: usize, insn: &Insn, registers: &Registers, world: &mut World) {
        let view = View { program: self.program, world, registers, pc, retired: self.retired };
        if let Err(error) = self.look(&view) {
            self.error = Some(error);
            self.leave = Some(Leave::Quit);
        }
        if self.leave.is_some() {
            return;
        }
        if matches!(self.go, Go::Step(_) | Go::Next(..)) {
            self.before = Some(Before::new(pc, self.retired, insn, registers, world));
        }
        self.executed = Some(pc);
        self.retired += 1;
    }

    fn stops(&mut self) -> bool {
        self.leave.is_some()
    }
}

/// How often; once if nothing is said.
fn count(text: &str) -> Result<u64, CommandError> {
    if text.is_empty() {
        return Ok(1);
    }
    number(text).ok().filter(|count| *count > 0).ok_or_else(|| CommandError::Number(text.to_owned()))
}

fn number(text: &str) -> Result<u64, CommandError> {
    corpus::text::number(text).ok_or_else(|| CommandError::Number(text.to_owned()))
}
