//! `.BTF.ext`: what belongs to instructions: source lines, and CO-RE relocations (Linux: Documentation/bpf/btf.rst).

use std::collections::HashMap;

use super::btf::{Btf, BtfError, BtfErrorKind, Reader, header};

/// A source line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineInfo {
    /// Bytes from the start of the section.
    pub(super) offset: u32,
    /// Offset of the file's name among the strings.
    pub(super) file: u32,
    /// Offset of the line's text.
    pub(super) text: u32,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A CO-RE relocation (`struct bpf_core_relo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CoreRelocation {
    /// Bytes from the start of the section.
    pub(super) offset: u32,
    /// The type that is accessed.
    pub(super) of: u32,
    /// Offset of the access string.
    pub(super) access: u32,
    /// `enum bpf_core_relo_kind`.
    pub(super) kind: u32,
}

/// What is known of the instructions of each section, by the section's name and ascending offsets.
#[derive(Debug, Default)]
pub(super) struct BtfExt {
    lines: HashMap<Vec<u8>, Vec<LineInfo>>,
    relocations: HashMap<Vec<u8>, Vec<CoreRelocation>>,
}

impl BtfExt {
    /// Reads a `.BTF.ext` section, whose strings are those of `.BTF`.
    pub(super) fn parse(bytes: &[u8], btf: &Btf) -> Result<BtfExt, BtfError> {
        let (mut reader, base) = header(bytes, 24)?;
        let mut part = |what| Ok((what, reader.u32("header")?, reader.u32("header")?));
        let functions = part("section of functions")?;
        let lines = part("section of lines")?;
        // Headers of 24 bytes are older than CO-RE.
        let relocations = if base >= 32 { part("section of CO-RE relocations")? } else { ("", 0, 0) };
        let mut ext = BtfExt::default();
        // Names of functions come from the symbols; these records only have to be readable.
        records::<2>(bytes, base, functions, btf, |_, _| {})?;
        records(bytes, base, lines, btf, |section, [offset, file, text, place]| {
            let line = LineInfo { offset, file, text, line: place >> 10, column: place & 0x3ff };
            ext.lines.entry(section.to_vec()).or_default().push(line);
        })?;
        records(bytes, base, relocations, btf, |section, [offset, of, access, kind]| {
            let relocation = CoreRelocation { offset, of, access, kind };
            ext.relocations.entry(section.to_vec()).or_default().push(relocation);
        })?;
        ext.lines.values_mut().for_each(|lines| lines.sort_by_key(|line| line.offset));
        ext.relocations.values_mut().for_each(|all| all.sort_by_key(|relocation| relocation.offset));
        Ok(ext)
    }
    /// Lines of a section from `start` to before `end`.
    pub(super) fn lines(&self, section: &str, start: u64, end: u64) -> &[LineInfo] {
        let all = self.lines.get(section.as_bytes()).map_or(&[][..], Vec::as_slice);
        within(all, start, end, |line| u64::from(line.offset))
    }
    /// CO-RE relocations of a section from `start` to before `end`.
    pub(super) fn relocations(&self, section: &str, start: u64, end: u64) -> &[CoreRelocation] {
        let all = self.relocations.get(section.as_bytes()).map_or(&[][..], Vec::as_slice);
        within(all, start, end, |relocation| u64::from(relocation.offset))
    }
}

/// The items from `start` to before `end` of a list that ascends.
pub(super) fn within<T>(all: &[T], start: u64, end: u64, offset: impl Fn(&T) -> u64) -> &[T] {
    let (from, to) = (all.partition_point(|item| offset(item) < start), all.partition_point(|item| offset(item) < end));
    all.get(from..to).unwrap_or(&[])
}

/// Calls `each` with the section's name and the first `N` words of each record of one part: a record length, then for each
/// section name, count and records.
fn records<const N: usize>(
    bytes: &[u8],
    base: usize,
    (what, offset, len): (&'static str, u32, u32),
    btf: &Btf,
    mut each: impl FnMut(&[u8], [u32; N]),
) -> Result<(), BtfError> {
    let start = base.saturating_add(offset as usize);
    let mut reader = Reader { bytes, at: start };
    if len == 0 {
        return Ok(());
    }
    reader.part(what, start, len)?;
    reader.bytes = &bytes[..start + len as usize];
    let record = reader.u32(what)?;
    if (record as usize) < 4 * N {
        return Err(BtfError { offset: start, kind: BtfErrorKind::RecordLen(record) });
    }
    while reader.at < reader.bytes.len() {
        let [name, count] = [reader.u32(what)?, reader.u32(what)?];
        let section = btf.bytes(name);
        for _ in 0..count {
            let fields = reader.part(what, reader.at, record)?;
            let (words, _) = fields.as_chunks::<4>();
            each(section, std::array::from_fn(|at| u32::from_le_bytes(words[at])));
            reader.at += record as usize;
        }
    }
    Ok(())
}
