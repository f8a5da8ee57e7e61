//! Where instructions come from: functions and source lines, as an object's BTF states them.

/// Names and source lines of a program. Empty for programs that bring none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Debug {
    /// Source lines, ascending by slot; each holds up to the next.
    pub lines: Vec<Line>,
    /// First slots and names of functions, ascending.
    pub functions: Vec<(usize, String)>,
}

/// The source line of instructions from a slot on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The first slot.
    pub slot: usize,
    /// The file, as the compiler was given it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1; 0 if it is not stated.
    pub column: u32,
    /// The line's text; empty if it is not stated.
    pub text: String,
}

impl Debug {
    /// The source line of the instruction at `slot`, if its function has any.
    pub fn line_at(&self, slot: usize) -> Option<&Line> {
        let line = self.lines[..self.lines.partition_point(|line| line.slot <= slot)].last()?;
        // A line does not reach into the next function.
        let start = self.function_at(slot).map_or(0, |(start, _)| start);
        (line.slot >= start).then_some(line)
    }
    /// Adds those of instructions that lie `start` slots behind the first.
    pub(super) fn append(&mut self, other: &Debug, start: usize) {
        self.lines.extend(other.lines.iter().map(|line| Line { slot: line.slot + start, ..line.clone() }));
        self.functions.extend(other.functions.iter().map(|(slot, name)| (slot + start, name.clone())));
    }
    /// Those of the instructions in `start..end`, counted from `start`.
    pub(super) fn part(&self, start: usize, end: usize) -> Debug {
        let holds = |slot: &usize| (start..end).contains(slot);
        let lines = self.lines.iter().filter(|line| holds(&line.slot));
        let functions = self.functions.iter().filter(|(slot, _)| holds(slot));
        Debug {
            lines: lines.map(|line| Line { slot: line.slot - start, ..line.clone() }).collect(),
            functions: functions.map(|(slot, name)| (slot - start, name.clone())).collect(),
        }
    }
    /// First slot and name of the function that holds `slot`.
    pub fn function_at(&self, slot: usize) -> Option<(usize, &str)> {
        let (start, name) = self.functions[..self.functions.partition_point(|(start, _)| *start <= slot)].last()?;
        Some((*start, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_its_function() {
        let line = |slot, line| Line { slot, file: "a.c".into(), line, column: 1, text: String::new() };
        let debug =
            Debug { lines: vec![line(0, 3), line(2, 4)], functions: vec![(0, "main".into()), (5, "sub".into())] };
        assert_eq!(debug.line_at(1).map(|line| line.line), Some(3));
        assert_eq!(debug.line_at(4).map(|line| line.line), Some(4));
        assert_eq!(debug.line_at(5), None);
        assert_eq!(debug.function_at(6), Some((5, "sub")));
        let mut whole = Debug::default();
        whole.append(&debug, 3);
        assert_eq!(whole.line_at(5).map(|line| line.line), Some(4));
        assert_eq!(whole.part(3, 20), debug);
    }
}
