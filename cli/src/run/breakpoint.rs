//! Breakpoints and watchpoints: where a run is looked at.

use corpus::text;
use semantics::helper;
use semantics::insn::{Op, Opcode};
use semantics::program::Program;

use super::expr::{self, EvalError, Expr, ExprError, ExprErrorKind, Item};
use super::record;
use super::view::View;

/// A place in the program, and a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// As it was written.
    pub text: String,
    /// The slots it stands at, ascending.
    pub slots: Vec<usize>,
    condition: Option<Expr>,
}

impl Break {
    /// Reads `SLOT`, `pc==SLOT`, `FUNCTION`, `FILE:LINE` or `helper:NAME`, with ` if CONDITION` behind it or not.
    pub fn parse(text: &str, program: &Program) -> Result<Break, ExprError> {
        let (place, condition) = match text.find(" if ") {
            Some(at) => (&text[..at], Some(at + 4)),
            None => (text, None),
        };
        let slots = slots(place, program)?;
        let condition = condition
            .map(|at| expr::expr(&text[at..], program).map_err(|error| error.moved(text[..at].chars().count())));
        Ok(Break { text: text.to_owned(), slots, condition: condition.transpose()? })
    }

    /// Whether the run is to be looked at here.
    pub fn holds(&self, view: &View<'_>) -> Result<bool, EvalError> {
        if self.slots.binary_search(&view.pc).is_err() {
            return Ok(false);
        }
        self.condition.as_ref().map_or(Ok(true), |condition| Ok(condition.eval(view)? != 0))
    }
}

/// The slots that a place stands for.
fn slots(text: &str, program: &Program) -> Result<Vec<usize>, ExprError> {
    let place = text.trim();
    let start = text.chars().take_while(|c| c.is_whitespace()).count();
    let fail = |by: usize, kind| Err(ExprError { column: start + by + 1, kind });
    if place.is_empty() {
        return fail(0, ExprErrorKind::Missing { expected: "a slot, a function, FILE:LINE or helper:NAME" });
    }
    let number = place.strip_prefix("pc").map(str::trim_start).and_then(|rest| rest.strip_prefix("=="));
    let number = number.map_or(place, str::trim);
    if number.starts_with(|c: char| c.is_ascii_digit()) {
        let by = place.chars().count() - number.chars().count();
        return match text::number(number) {
            None => fail(by, ExprErrorKind::Number(number.to_owned())),
            Some(slot) => match program.insns().get(slot as usize).filter(|_| usize::try_from(slot).is_ok()) {
                None => fail(by, ExprErrorKind::NoSuchSlot(slot)),
                Some(insn) if insn.opcode == Opcode::WideTail => fail(by, ExprErrorKind::SecondSlot(slot as usize)),
                Some(_) => Ok(vec![slot as usize]),
            },
        };
    }
    if let Some(name) = place.strip_prefix("helper:") {
        return calls(name, program).or_else(|kind| fail("helper:".len(), kind));
    }
    if let Some((file, line)) = place.rsplit_once(':') {
        let by = place.chars().count() - line.chars().count();
        return match line.trim().parse() {
            Ok(line) => lines(file, line, program).or_else(|kind| fail(0, kind)),
            Err(_) => fail(by, ExprErrorKind::Number(line.to_owned())),
        };
    }
    if let Some((slot, _)) = program.debug().functions.iter().find(|(_, name)| name == place) {
        return Ok(vec![*slot]);
    }
    if place == program.name() { Ok(vec![0]) } else { fail(0, ExprErrorKind::Where(place.to_owned())) }
}

/// The calls of a helper, named with or without `bpf_`.
fn calls(name: &str, program: &Program) -> Result<Vec<usize>, ExprErrorKind> {
    let name = name.trim();
    let name = name.strip_prefix("bpf_").unwrap_or(name);
    let fact = helper::FACTS.iter().find(|fact| fact.name == name);
    let fact = fact.ok_or_else(|| ExprErrorKind::NoSuchHelper(name.to_owned()))?;
    let calls = program.instructions().filter(|(_, insn)| insn.op() == Op::CallHelper && insn.imm == fact.id);
    let slots: Vec<usize> = calls.map(|(slot, _)| slot).collect();
    if slots.is_empty() { Err(ExprErrorKind::NotCalled(fact.name)) } else { Ok(slots) }
}

/// The first slots of a source line.
fn lines(file: &str, line: u32, program: &Program) -> Result<Vec<usize>, ExprErrorKind> {
    let lines = &program.debug().lines;
    let is_file = |path: &str| path == file || path.strip_suffix(file).is_some_and(|rest| rest.ends_with('/'));
    let of_file = || lines.iter().filter(|known| is_file(&known.file));
    if of_file().next().is_none() {
        return Err(ExprErrorKind::NoSuchFile(file.to_owned()));
    }
    let is_here = |at: usize| lines[at].line == line && is_file(&lines[at].file);
    let slots: Vec<usize> =
        (0..lines.len()).filter(|at| is_here(*at) && (*at == 0 || !is_here(at - 1))).map(|at| lines[at].slot).collect();
    if slots.is_empty() {
        let near = of_file().map(|known| known.line).filter(|known| *known > line).min();
        return Err(ExprErrorKind::NoSuchLine { file: file.to_owned(), line, near });
    }
    Ok(slots)
}

/// Something whose changes are shown.
#[derive(Clone, Debug)]
pub struct Watch {
    /// As it was written.
    pub text: String,
    item: Item,
    value: Option<Seen>,
}

/// What a watched thing was at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Value(u64),
    Bytes(Option<Vec<u8>>),
    Map(Vec<(Vec<u8>, Vec<u8>)>),
    Unreadable(EvalError),
}

impl Watch {
    /// Reads what `--watch` takes.
    pub fn parse(text: &str, program: &Program) -> Result<Watch, ExprError> {
        Ok(Watch { text: text.to_owned(), item: expr::item(text, program)?, value: None })
    }

    /// Looks again after the instruction at slot `executed`, if there was one: what it was and what it is, where that is
    /// something else. An address is worked out at the first look.
    pub fn look(&mut self, view: &View<'_>, executed: Option<usize>) -> Vec<Difference> {
        // Most instructions leave memory alone.
        let is_memory = !matches!(self.item, Item::Value(_));
        if is_memory
            && self.value.is_some()
            && executed.is_some_and(|slot| !record::writes(&view.program.insns()[slot]))
        {
            return Vec::new();
        }
        if self.value.is_none()
            && let Item::Bytes(addr, _) = &mut self.item
            && let Ok(value) = addr.eval(view)
        {
            *addr = Expr::Number(value);
        }
        let seen = Seen::of(&self.item, view);
        let before = self.value.replace(seen.clone());
        match (before, seen) {
            (None, _) => Vec::new(),
            (Some(before), now) if before == now => Vec::new(),
            (Some(Seen::Map(before)), Seen::Map(now)) => elements(&self.text, &before, &now),
            (Some(before), now) => {
                vec![Difference { what: self.text.clone(), old: before.text(view), new: now.text(view) }]
            }
        }
    }

    /// Forgets what it was.
    pub fn reset(&mut self) {
        self.value = None;
    }
}

/// A change of something that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub what: String,
    pub old: String,
    pub new: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} -> {}", self.what, self.old, self.new)
    }
}

/// What is printed where there is no element.
const ABSENT: &str = "none";

fn elements(map: &str, before: &[(Vec<u8>, Vec<u8>)], now: &[(Vec<u8>, Vec<u8>)]) -> Vec<Difference> {
    let find = |all: &[(Vec<u8>, Vec<u8>)], key: &[u8]| {
        all.iter().find(|(k, _)| k == key).map_or(ABSENT.to_owned(), |(_, value)| text::hex(value))
    };
    let difference = |key: &[u8]| {
        let (old, new) = (find(before, key), find(now, key));
        (old != new).then(|| Difference { what: format!("{map}[{}]", text::hex(key)), old, new })
    };
    let gone = before.iter().filter(|(key, _)| !now.iter().any(|(k, _)| k == key));
    gone.chain(now).filter_map(|(key, _)| difference(key)).collect()
}

impl Seen {
    fn of(item: &Item, view: &View<'_>) -> Seen {
        let bytes = |addr, len| view.world.memory.read(addr, len).map(<[u8]>::to_vec);
        match item {
            Item::Value(expr) => expr.eval(view).map_or_else(Seen::Unreadable, Seen::Value),
            Item::Bytes(addr, len) => match addr.eval(view) {
                Err(error) => Seen::Unreadable(error),
                Ok(addr) => match bytes(addr, *len) {
                    Ok(bytes) => Seen::Bytes(Some(bytes)),
                    Err(_) => Seen::Unreadable(EvalError::Unreadable { addr, len: *len }),
                },
            },
            Item::Element(map, key) => {
                let map = &view.world.maps[*map];
                let addr = map.ops.find(key);
                Seen::Bytes(addr.and_then(|addr| bytes(addr, u64::from(map.def.value_size)).ok()))
            }
            Item::Map(map) => {
                let map = &view.world.maps[*map];
                let mut all = Vec::new();
                map.each_value(&view.world.memory, &mut |key, value| all.push((key.to_vec(), value.to_vec())));
                Seen::Map(all)
            }
        }
    }

    fn text(&self, view: &View<'_>) -> String {
        match self {
            Seen::Value(value) => view.value(*value),
            Seen::Bytes(Some(bytes)) => text::hex(bytes),
            Seen::Bytes(None) => ABSENT.to_owned(),
            Seen::Map(all) => {
                let set = all.iter().filter(|(_, value)| value.iter().any(|byte| *byte != 0));
                let set: Vec<String> =
                    set.map(|(key, value)| format!("[{}] = {}", text::hex(key), text::hex(value))).collect();
                if set.is_empty() { "empty, or all zero".to_owned() } else { set.join("\n") }
            }
            Seen::Unreadable(error) => error.to_string(),
        }
    }
}

/// What `print` shows of an item.
pub fn show(item: &Item, view: &View<'_>) -> String {
    Seen::of(item, view).text(view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::program::{Debug, Line};
    use semantics::program_type::ProgramType;

    /// Two lines, the first in two pieces, and a function behind the program.
    fn program() -> Program {
        let insns = semantics::asm::assemble("r0 = 1\nr1 = 2\nr2 = 3\nr0 = 0\nexit").unwrap();
        let line = |slot, line| Line { slot, file: "src/a.c".into(), line, column: 1, text: format!("line {line};") };
        let debug = Debug {
            lines: vec![line(0, 7), line(1, 7), line(2, 9), line(3, 7)],
            functions: vec![(0, "main".into()), (3, "last".into())],
        };
        Program::new("p", ProgramType::SocketFilter, "GPL", vec![], insns).unwrap().with_debug(debug)
    }

    #[test]
    fn places_in_the_source() {
        let program = program();
        // A line is entered where the one before is another.
        for (text, slots) in [
            ("a.c:7", &[0, 3][..]),
            ("src/a.c:9", &[2]),
            ("last", &[3]),
            ("main if r1 == 2", &[0]),
            (" pc == 0x3 ", &[3]),
        ] {
            assert_eq!(Break::parse(text, &program).map(|point| point.slots).as_deref(), Ok(slots), "{text}");
        }
        for (text, column, message) in [
            ("a.c:8", 1, "no instruction comes from line 8 of a.c; the next is line 9"),
            ("c:7", 1, "no instruction comes from a file `c`: the program has no such debug information"),
            (" nowhere", 2, "`nowhere` is neither a slot nor a function, and neither FILE:LINE nor helper:NAME"),
            ("a.c:7 if ctx.none", 10, "the context has no field `none`"),
            ("", 1, "a slot, a function, FILE:LINE or helper:NAME is missing here"),
        ] {
            let error = Break::parse(text, &program).expect_err(text);
            assert_eq!((error.column, error.kind.to_string().as_str()), (column, message), "{text}");
        }
    }

    #[test]
    fn source_lines_are_printed_once() {
        let program = program();
        let mut source = crate::run::trace::SourceLines::default();
        let changes: Vec<Option<String>> = [0, 1, 2, 2, 3, 4].map(|slot| source.change(&program, slot)).into();
        let shown = |line| Some(format!("; a.c:{line}  line {line};"));
        assert_eq!(changes, [shown(7), None, shown(9), None, shown(7), None]);
    }
}
