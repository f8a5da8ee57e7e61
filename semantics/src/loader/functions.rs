//! Where functions lie in an object: its programs and their subprograms.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::elf::{Elf, Section, Symbol};
use super::error::LoadError;
use crate::encoding::SLOT_LEN;

/// The section of subprograms, beside those of programs.
const TEXT: &str = ".text";

/// A function of an executable section.
pub(super) struct Function<'a> {
    pub(super) section: Section<'a>,
    pub(super) section_name: Cow<'a, str>,
    /// The section's name if no symbol names it.
    pub(super) name: Cow<'a, str>,
    /// Bytes from the start of the section.
    pub(super) start: u64,
    pub(super) code: &'a [u8],
    /// Whether it is a program, and no mere subprogram.
    pub(super) is_program: bool,
}

impl Function<'_> {
    /// Bytes from the start of the section to the end of the function.
    pub(super) fn end(&self) -> u64 {
        self.start + self.code.len() as u64
    }
    pub(super) fn slots(&self) -> usize {
        self.code.len() / SLOT_LEN
    }
}

/// The number of the function that begins at a place.
pub(super) fn at(functions: &[Function<'_>], section: usize, start: u64) -> Option<usize> {
    functions.binary_search_by_key(&(section, start), |function| (function.section.number, function.start)).ok()
}

/// All functions, by section and offset.
pub(super) fn functions<'a>(elf: &Elf<'a>) -> Result<Vec<Function<'a>>, LoadError> {
    let mut functions = Vec::new();
    for section in elf.sections().filter(|section| Elf::is_executable(*section)) {
        in_section(elf, section, &mut functions)?;
    }
    // What lies in `.text` beside other sections are their subprograms.
    if functions.iter().any(|function: &Function<'_>| function.section_name != TEXT) {
        for function in functions.iter_mut().filter(|function| function.section_name == TEXT) {
            function.is_program = false;
        }
    }
    Ok(functions)
}

/// Where a function starts: its name, bytes (0 if the symbol does not say), and whether others see it.
struct Start<'a> {
    name: Cow<'a, str>,
    size: u64,
    is_global: bool,
}

fn in_section<'a>(elf: &Elf<'a>, section: Section<'a>, functions: &mut Vec<Function<'a>>) -> Result<(), LoadError> {
    let data = elf.data(section)?;
    let len = data.len() as u64;
    let section_name = elf.name(section);
    let mut starts = starts(elf, section, len);
    if starts.is_empty() {
        starts.insert(0, Start { name: section_name.clone(), size: 0, is_global: true });
    }
    let has_global = starts.values().any(|start| start.is_global);
    let ends: Vec<u64> = starts.keys().skip(1).copied().chain([len]).collect();
    for ((start, Start { name, size, is_global }), next) in starts.into_iter().zip(ends) {
        let end = if size == 0 { Some(next) } else { start.checked_add(size) };
        let code = end.and_then(|end| data.get(start as usize..end as usize));
        let Some(code) = code else {
            let (section, symbol) = (section_name.into_owned(), name.into_owned());
            return Err(LoadError::Function { section, offset: start, symbol, size, len });
        };
        // Static functions beside global ones are their subprograms.
        let is_program = is_global || !has_global;
        functions.push(Function { section, section_name: section_name.clone(), name, start, code, is_program });
    }
    Ok(())
}

/// Where functions start in a section of `len` bytes. Old compilers did not mark functions as such, but only they are
/// global.
fn starts<'a>(elf: &Elf<'a>, section: Section<'a>, len: u64) -> BTreeMap<u64, Start<'a>> {
    let symbols = || elf.symbols_in(section).iter().copied().filter(|symbol| symbol.value() < len);
    let start = |symbol: Symbol<'a>| {
        let is_global = symbol.is_global();
        (symbol.value(), Start { name: elf.symbol_name(symbol), size: symbol.size(), is_global })
    };
    let marked: BTreeMap<_, _> = symbols().filter(|symbol| symbol.is_function()).map(start).collect();
    if !marked.is_empty() {
        return marked;
    }
    symbols().filter(|symbol| symbol.is_object() && symbol.is_global()).map(start).collect()
}
