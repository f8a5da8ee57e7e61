//! What is said of one row of the instruction table, gathered from every floor.

use std::path::Path;

use semantics::encoding::{self, SLOT_LEN};
use semantics::insn::formula::Formula;
use semantics::insn::table::TABLE;
use semantics::insn::{Field, Insn, Op, Opcode, Reg, Room, Row, Wide};
use serde_json::{Value, json};

/// A row with what the floors have of it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub row: &'static Row,
    pub formula: String,
    /// Whether the verifier follows it.
    pub verifier: bool,
    /// Whether the JIT has a rule.
    pub jit: bool,
    /// The obligations about it; `None`: this build has no proofs.
    pub proofs: Option<Vec<String>>,
}

/// Every row, in the order of the table.
pub fn all() -> Vec<Entry> {
    let names = obligations();
    TABLE.iter().map(|row| Entry::new(row, names.as_deref())).collect()
}

impl Entry {
    fn new(row: &'static Row, obligations: Option<&[String]>) -> Self {
        let path = row.path();
        Entry {
            row,
            formula: Formula::of(row.op).to_string(),
            verifier: verifier::insn::is_followed(row.op),
            jit: jit::insn::is_lowered(row.op),
            proofs: obligations.map(|all| all.iter().filter(|name| is_about(name, &path)).cloned().collect()),
        }
    }

    /// The fields that must hold a number, as `off=1`.
    pub fn fixed(&self) -> String {
        let fields = self.row.fields.required();
        let fixed: Vec<String> =
            fields.iter().filter_map(|(name, only)| only.map(|value| format!("{name}={value}"))).collect();
        fixed.join(" ")
    }
    /// The section of the RFC, or which Linux added it.
    pub fn source(&self) -> String {
        match self.row.op.section() {
            Some(section) => format!("RFC 9669 section {section}"),
            None => format!("not in RFC 9669 (Linux {})", self.row.op.since()),
        }
    }
    /// A letter for each floor that has it: interpreter, verifier, JIT, proofs.
    pub fn floors(&self) -> String {
        let proven = self.proofs.as_ref().is_some_and(|proofs| !proofs.is_empty());
        let floors = [(self.is_executed(), 'I'), (self.verifier, 'V'), (self.jit, 'J'), (proven, 'P')];
        floors.iter().map(|(has, letter)| if *has { *letter } else { '-' }).collect()
    }
    fn is_executed(&self) -> bool {
        self.row.op != Op::WideTail
    }
    pub fn to_json(&self) -> Value {
        let row = self.row;
        let field = |only: Option<i32>| only.map_or(json!("any"), |value| json!(value));
        let fields: serde_json::Map<String, Value> =
            row.fields.required().iter().map(|(name, only)| ((*name).to_owned(), field(*only))).collect();
        json!({
            "name": row.name, "room": row.op.room().name(), "assembly": row.op.assembly(), "code": row.code,
            "code_parts": row.code_parts(), "fields": fields, "words": row.op.words(), "formula": self.formula,
            "rfc_section": row.op.section(), "group": row.op.group().name(), "since": row.op.since().to_string(),
            "floors": {
                "interpreter": self.is_executed(), "verifier": self.verifier, "jit": self.jit, "proofs": self.proofs,
            },
            "notes": row.op.notes(),
        })
    }
}

/// Whether the obligation is about the row: `insn::alu::meaning::formula_add64_k` is about `add64_k`.
fn is_about(obligation: &str, path: &str) -> bool {
    let last = obligation.rsplit("::").next().unwrap_or_default();
    let last = last.strip_suffix("_aliased").unwrap_or(last);
    obligation.starts_with("insn::")
        && last.strip_suffix(path).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
}

#[cfg(feature = "proofs")]
#[allow(clippy::unnecessary_wraps)] // the other build has none
fn obligations() -> Option<Vec<String>> {
    Some(proofs::obligations().into_iter().map(|obligation| obligation.name).collect())
}
#[cfg(not(feature = "proofs"))]
fn obligations() -> Option<Vec<String>> {
    None
}

/// Instructions of the row with telling operands.
pub fn examples(row: &Row) -> Vec<Insn> {
    let any = |field: Field, value: i32| if field == Field::Any { value } else { 0 };
    let example = |dst: Reg, src: Reg, off: i32, imm: i32, imm_hi: u32| Insn {
        dst: if row.fields.dst == Field::Any { dst } else { Reg::R0 },
        src: if row.fields.src == Field::Any { src } else { Reg::R0 },
        off: any(row.fields.off, off) as u16,
        imm: any(row.fields.imm, imm) as u32,
        imm_hi: if matches!(row.op, Op::Wide(kind) if kind.has_high_half()) { imm_hi } else { 0 },
        opcode: row.opcode,
    };
    let is_index = matches!(row.op, Op::Wide(kind) if kind != Wide::Imm64) || row.op.room() == Room::Call;
    let second = if is_index { 1 } else { -1 };
    let mut examples = vec![example(Reg::R1, Reg::R2, 4, 7, 1)];
    let other = example(Reg::R0, Reg::R9, -8, second, 0xff);
    if other != examples[0] && row.op != Op::WideTail {
        examples.push(other);
    }
    examples
}

/// The bytes of an instruction, both slots of a wide one.
pub fn bytes(insn: &Insn) -> Vec<u8> {
    let tail = (insn.slots() == 2).then(|| Insn::new(Opcode::WideTail));
    let insns: Vec<Insn> = [*insn].into_iter().chain(tail).collect();
    let bytes = encoding::encode(&insns);
    debug_assert_eq!(bytes.len() % SLOT_LEN, 0);
    bytes
}

/// The names of the cases in the room's file whose program has the instruction; an error names the file.
pub fn cases(corpus: &Path, row: &Row) -> anyhow::Result<Vec<String>> {
    let file = corpus.join("insn").join(format!("{}.yaml", row.op.room().name()));
    let cases = corpus::read::read(&file)?;
    let has = |case: &corpus::Case| {
        case.program().is_ok_and(|program| program.insns().iter().any(|insn| insn.opcode == row.opcode))
    };
    Ok(cases.iter().filter(|case| has(case)).map(|case| case.name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obligations_find_their_rows() {
        assert!(is_about("insn::alu::meaning::formula_add64_k", "add64_k"));
        assert!(is_about("insn::alu::transfer::or32_x_aliased", "or32_x"));
        assert!(!is_about("insn::alu::transfer::xor32_x", "or32_x"));
        assert!(!is_about("tnum::add64", "add64"));
    }
    #[test]
    fn examples_decode_to_their_row() {
        for row in TABLE.iter().filter(|row| row.op != Op::WideTail) {
            for insn in examples(row) {
                let decoded = encoding::decode(&bytes(&insn)).unwrap_or_else(|error| panic!("{}: {error}", row.name));
                assert_eq!(decoded[0], insn);
            }
        }
    }
}
