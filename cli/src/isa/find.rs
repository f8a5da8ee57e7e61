//! Which instructions a word of the command line means.

use anyhow::bail;
use semantics::insn::table::TABLE;
use semantics::insn::{Insn, Op, Room, Row};
use semantics::{asm, encoding};

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// One instruction with its operands.
    Insn(Insn),
    /// Rows of the table, at least one.
    Rows(Vec<&'static str>),
}

/// The instructions that `text` means: a row's name, a mnemonic, a room, a code byte (`0x07`), the bytes of a slot in
/// hexadecimal, or assembly.
pub fn find(text: &str) -> anyhow::Result<Found> {
    let word = normal(text);
    if word.is_empty() {
        bail!("no instruction is named");
    }
    let rows = |matches: &dyn Fn(&Row) -> bool| -> Option<Found> {
        let names: Vec<_> = TABLE.iter().filter(|row| matches(row)).map(|row| row.name).collect();
        (!names.is_empty()).then_some(Found::Rows(names))
    };
    if let Some(code) = text.trim().strip_prefix("0x").filter(|code| code.len() <= 2) {
        let Ok(code) = u8::from_str_radix(code, 16) else { bail!("`{text}` is no code byte") };
        let found = rows(&|row| row.code == code && row.op != Op::WideTail);
        return found.ok_or_else(|| anyhow::anyhow!("no instruction has the code {code:#04x}"));
    }
    if let Some(found) = rows(&|row| normal(row.name) == word) {
        return Ok(found);
    }
    if let Some(insn) = from_hex(text)? {
        return Ok(Found::Insn(insn));
    }
    if let Some(found) = rows(&|row| mnemonics(row).contains(&word)) {
        return Ok(found);
    }
    if let Some(room) = Room::ALL.into_iter().find(|room| normal(room.name()) == word) {
        return Ok(rows(&|row| row.op.room() == room).expect("no room is empty"));
    }
    from_assembly(text, &word)
}

/// Lower case, without what only separates.
fn normal(text: &str) -> String {
    text.trim().chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

/// The shorter names of a row: `Add64K` is also `add64` and `add`.
fn mnemonics(row: &Row) -> Vec<String> {
    let name = normal(row.name);
    let form = name.strip_suffix(['k', 'x']).filter(|form| form.ends_with(char::is_numeric)).unwrap_or(&name);
    let operation = form.strip_suffix("32").or_else(|| form.strip_suffix("64")).unwrap_or(form);
    let short = operation.strip_prefix("atomic").unwrap_or(operation);
    let family = operation.trim_end_matches(|c: char| c.is_numeric());
    let mut names = vec![form.to_owned(), operation.to_owned(), short.to_owned(), family.to_owned()];
    // A move with sign extension and its source's width: `Movsx8To64` is `movsx`, accesses lose their size.
    names.extend(name.starts_with("movsx").then(|| "movsx".to_owned()));
    names.extend(
        ["ldxs", "ldx", "stx", "st", "ldabs", "ldind", "lddw"]
            .iter()
            .find(|n| name.starts_with(**n))
            .map(|n| (*n).to_owned()),
    );
    names
}

/// The instruction of one slot, or of two.
fn from_hex(text: &str) -> anyhow::Result<Option<Insn>> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let is_slot = matches!(digits.len(), 16 | 32) && digits.chars().all(|c| c.is_ascii_hexdigit());
    if !is_slot {
        return Ok(None);
    }
    let insns = encoding::decode(&corpus::text::bytes(&digits)?)?;
    match &insns[..] {
        [insn] => Ok(Some(*insn)),
        [insn, _] if insn.slots() == 2 => Ok(Some(*insn)),
        _ => bail!("these are two instructions; give one"),
    }
}

fn from_assembly(text: &str, word: &str) -> anyhow::Result<Found> {
    let is_name = word.chars().all(|c| c.is_ascii_alphanumeric());
    match asm::assemble_with(text, asm::Options { maps: &|_| Some(0), ..asm::Options::default() }).as_deref() {
        Ok([insn]) => Ok(Found::Insn(*insn)),
        Ok([insn, _]) if insn.slots() == 2 => Ok(Found::Insn(*insn)),
        Ok([]) => bail!("no instruction is named"),
        Ok(_) => bail!("these are several instructions; give one"),
        Err(_) if is_name => match near(word)[..] {
            [] => bail!("there is no instruction `{text}`; `touchstone isa` lists all"),
            ref names => bail!("there is no instruction `{text}`; near are: {}", names.join(", ")),
        },
        Err(error) => bail!("`{text}`: column {}: {}", error.column, error.kind),
    }
}

/// The names that look most like this one.
fn near(word: &str) -> Vec<&'static str> {
    let distance = |row: &Row| {
        let names = mnemonics(row).into_iter().chain([normal(row.name)]);
        names.map(|name| edits(&name, word)).min().unwrap_or(usize::MAX)
    };
    let mut names: Vec<(usize, &'static str)> = TABLE.iter().map(|row| (distance(row), row.name)).collect();
    let nearest = names.iter().map(|(distance, _)| *distance).min().unwrap_or(usize::MAX);
    names.retain(|(distance, _)| *distance == nearest && nearest <= 1 + word.len() / 4);
    names.into_iter().map(|(_, name)| name).take(6).collect()
}

/// How many letters must be changed, added or removed.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use semantics::insn::{Opcode, Reg};

    fn names(text: &str) -> Vec<&'static str> {
        match find(text).unwrap() {
            Found::Rows(names) => names,
            Found::Insn(insn) => vec![insn.opcode.row().name],
        }
    }

    #[test]
    fn every_row_is_found_by_its_name() {
        for row in TABLE {
            assert_eq!(names(row.name), [row.name]);
            assert_eq!(names(&row.name.to_lowercase()), [row.name]);
            assert_eq!(names(&row.path()), [row.name]);
        }
    }
    #[test]
    fn mnemonics_codes_rooms_and_bytes() {
        assert_eq!(names("add"), ["Add32K", "Add32X", "Add64K", "Add64X", "AtomicAdd32", "AtomicAdd64"]);
        assert_eq!(names("sdiv64"), ["Sdiv64K", "Sdiv64X"]);
        assert_eq!(names("0x37"), ["Div64K", "Sdiv64K"]);
        assert_eq!(names("be"), ["Be16", "Be32", "Be64"]);
        assert_eq!(names("movsx").len(), 5);
        assert_eq!(names("packet").len(), 6);
        assert_eq!(names("jset32"), ["Jset32K", "Jset32X"]);
        let insn = Insn::new(Opcode::Add64K).dst(Reg::R1).imm(-7);
        assert_eq!(find("07 01 00 00 f9 ff ff ff").unwrap(), Found::Insn(insn));
        assert_eq!(find("r1 += -7").unwrap(), Found::Insn(insn));
        assert_eq!(
            find("r1 = 0x100000007 ll").unwrap(),
            Found::Insn(Insn::new(Opcode::Lddw).dst(Reg::R1).wide(0x1_0000_0007))
        );
    }
    #[test]
    fn what_is_none_gets_a_reason() {
        let error = |text: &str| find(text).unwrap_err().to_string();
        assert_eq!(error("ad64k"), "there is no instruction `ad64k`; near are: Add64K, And64K");
        assert_eq!(error("nonsense"), "there is no instruction `nonsense`; `touchstone isa` lists all");
        assert_eq!(error("0xff"), "no instruction has the code 0xff");
        assert_eq!(error("r1 += q"), "`r1 += q`: column 7: expected a register or a number, found `q`");
        assert_eq!(error("r1 += 1; r2 += 1"), "these are several instructions; give one");
        assert_eq!(error("0701010000000000"), "insn 0: BPF_ALU uses reserved fields: off is 1 in Add64K");
        assert_eq!(error(""), "no instruction is named");
    }
}
