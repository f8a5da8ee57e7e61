//! Two logs beside each other, each instruction of the one beside the same of the other.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::{Command, Stdio};

/// The least width of a terminal that two logs fit into, in characters.
const WIDTH_MIN: usize = 100;
/// Longer logs, in instructions, are put beside each other as they come.
const ALIGNED_MAX: usize = 2000;
/// Between the columns.
const GAP: &str = " │ ";

/// The width to print columns in: what `COLUMNS` says, or the terminal; `None` where that is too narrow, or no terminal.
pub fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    said.or_else(of_terminal).filter(|width| *width >= WIDTH_MIN)
}

/// As stty(1) says: rows and columns of the terminal that is its input.
fn of_terminal() -> Option<usize> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return None;
    }
    let output = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.split_whitespace().nth(1)?.parse().ok()
}

/// Both texts in columns, under their heads.
pub fn beside(heads: [&str; 2], texts: [&str; 2], width: usize) -> String {
    let width = width.saturating_sub(GAP.chars().count()) / 2;
    let mut out = String::new();
    row(&mut out, [&[heads[0]], &[heads[1]]], width);
    let [left, right] = texts.map(blocks);
    for (left, right) in aligned(&left, &right) {
        let lines = |block: Option<&Block<'_>>| block.map_or_else(Vec::new, |block| folded(&block.lines, width));
        let (left, right) = (lines(left), lines(right));
        let borrowed =
            [left.iter().map(String::as_str).collect::<Vec<_>>(), right.iter().map(String::as_str).collect()];
        row(&mut out, [&borrowed[0], &borrowed[1]], width);
    }
    out
}

fn row(out: &mut String, sides: [&[&str]; 2], width: usize) {
    for at in 0..sides[0].len().max(sides[1].len()) {
        let [left, right] = sides.map(|side| side.get(at).copied().unwrap_or_default());
        let _ = writeln!(out, "{}", format!("{left:width$}{GAP}{right}").trim_end());
    }
}

/// An instruction with what the log says after it.
struct Block<'a> {
    /// Its number and code; empty where the text begins with something else.
    key: &'a str,
    lines: Vec<&'a str>,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for line in text.trim_end().lines() {
        match (instruction(line), blocks.last_mut()) {
            (None, Some(block)) => block.lines.push(line),
            (key, _) => blocks.push(Block { key: key.unwrap_or_default(), lines: vec![line] }),
        }
    }
    blocks
}

/// `12: (07)` of a line about an instruction.
fn instruction(line: &str) -> Option<&str> {
    let digits = line.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
    let rest = line[digits..].strip_prefix(": (")?;
    Some(&line[..=digits + 3 + rest.find(')')?])
}

/// Blocks of both sides in pairs: the longest common sequence of instructions stands side by side.
fn aligned<'a, 'b>(
    left: &'a [Block<'b>],
    right: &'a [Block<'b>],
) -> Vec<(Option<&'a Block<'b>>, Option<&'a Block<'b>>)> {
    if left.len().max(right.len()) > ALIGNED_MAX {
        let longest = left.len().max(right.len());
        return (0..longest).map(|at| (left.get(at), right.get(at))).collect();
    }
    // By how many are passed on both sides, the length of the longest common sequence of the others.
    let columns = right.len() + 1;
    let mut common = vec![0u16; (left.len() + 1) * columns];
    for l in (0..left.len()).rev() {
        for r in (0..right.len()).rev() {
            common[l * columns + r] = if left[l].key == right[r].key {
                common[(l + 1) * columns + r + 1] + 1
            } else {
                common[(l + 1) * columns + r].max(common[l * columns + r + 1])
            };
        }
    }
    let (mut l, mut r, mut pairs) = (0, 0, Vec::new());
    while l < left.len() || r < right.len() {
        let both = l < left.len() && r < right.len();
        if both && left[l].key == right[r].key {
            pairs.push((Some(&left[l]), Some(&right[r])));
            (l, r) = (l + 1, r + 1);
        } else if r == right.len() || both && common[(l + 1) * columns + r] >= common[l * columns + r + 1] {
            pairs.push((Some(&left[l]), None));
            l += 1;
        } else {
            pairs.push((None, Some(&right[r])));
            r += 1;
        }
    }
    pairs
}

/// The lines in pieces of at most `width` characters.
fn folded(lines: &[&str], width: usize) -> Vec<String> {
    let mut out = Vec::new();
    for line in lines {
        let line: Vec<char> = line.replace('\t', "    ").chars().collect();
        if line.is_empty() {
            out.push(String::new());
        }
        out.extend(line.chunks(width.max(1)).map(|piece| piece.iter().collect::<String>()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_instruction_stands_in_the_same_row() {
        let ours = "0: R1=ctx\n0: (b7) r0 = 0\n1: (07) r0 += 1 ; R0=1\n2: (95) exit\n";
        let theirs = "func#0 @0\n0: R1=ctx()\n0: (b7) r0 = 0\n2: (95) exit\nprocessed 2 insns\n";
        let text = beside(["ours", "linux-6.1"], [ours, theirs], 43);
        let expected = "ours                 │ linux-6.1\n\
                        0: R1=ctx            │ func#0 @0\n\
                        \u{20}                    │ 0: R1=ctx()\n\
                        0: (b7) r0 = 0       │ 0: (b7) r0 = 0\n\
                        1: (07) r0 += 1 ; R0 │\n\
                        =1                   │\n\
                        2: (95) exit         │ 2: (95) exit\n\
                        \u{20}                    │ processed 2 insns\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_is_lost() {
        let long = (0..3000).map(|at| format!("{at}: (b7) r0 = 0\n")).collect::<Vec<_>>().concat();
        for (left, right) in [("", ""), ("a", ""), ("", "1: (95) exit"), (long.as_str(), "5: (b7) r0 = 0\nerror")] {
            let text = beside(["", ""], [left, right], 200);
            assert!(left.lines().chain(right.lines()).all(|line| text.contains(line)));
        }
    }
}
