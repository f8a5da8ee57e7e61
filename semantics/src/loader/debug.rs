//! Names of subprograms and source lines of a linked program, from symbols and `.BTF.ext`.

use super::btf::Btf;
use super::btf_ext::LineInfo;
use super::functions::Function;
use crate::encoding::SLOT_LEN;
use crate::program::{Debug, Line};

/// The most bytes of file names and lines of one program; what is beyond has empty texts. Compilers stay far below it, and
/// records that all name one long string do not fill the memory.
const TEXT_MAX: usize = 64 << 20;

/// Gathers what is known of a program as its functions are placed.
#[derive(Default)]
pub(super) struct Gathered {
    debug: Debug,
    text: usize,
}

impl Gathered {
    /// Adds a function that was placed at `base`, and its lines.
    pub(super) fn add(&mut self, function: &Function<'_>, base: usize, btf: Option<&Btf>, lines: &[LineInfo]) {
        self.debug.functions.push((base, function.name.clone().into_owned()));
        let Some(btf) = btf else { return };
        for info in lines {
            let at = u64::from(info.offset).saturating_sub(function.start);
            let (file, text) = (btf.string(info.file), btf.string(info.text));
            self.text += file.len() + text.len();
            let (file, text) = if self.text > TEXT_MAX { Default::default() } else { (file, text) };
            self.debug.lines.push(Line {
                slot: base + at as usize / SLOT_LEN,
                file: file.into_owned(),
                line: info.line,
                column: info.column,
                text: text.trim().to_owned(),
            });
        }
    }
    /// All of it, by slot; of several lines at one slot the first.
    pub(super) fn finish(mut self) -> Debug {
        self.debug.lines.sort_by_key(|line| line.slot);
        self.debug.lines.dedup_by_key(|line| line.slot);
        self.debug
    }
}
