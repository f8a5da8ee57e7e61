//! Both sides of a compiled program beside each other: BPF instructions and the x86-64 code of each.

use std::fmt;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter};
use semantics::insn::{Insn, Opcode};

use crate::layout::Code;
use crate::x64::Stub;

/// One machine instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// Its offset in the block.
    pub offset: usize,
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// Its text, Intel syntax.
    pub text: String,
}

/// One BPF instruction, or a part of the block that belongs to none, with its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The slot; `None` for trampoline and stubs.
    pub slot: Option<usize>,
    /// The text of the instruction, or the name of the part.
    pub bpf: String,
    /// The code.
    pub native: Vec<Native>,
}

/// All parts, in the order of their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing(pub Vec<Part>);

/// Lists the code that `insns` were compiled to.
pub fn listing(insns: &[Insn], code: &Code) -> Listing {
    let part = |slot, bpf, range| Part { slot, bpf, native: decode(code, range) };
    let mut parts = vec![part(None, "trampoline".into(), 0..code.stub(Stub::Helper).start)];
    for (stub, name) in [(Stub::Helper, "helper stub"), (Stub::Tail, "tail-call stub"), (Stub::Packet, "packet stub")] {
        parts.push(part(None, name.into(), code.stub(stub)));
    }
    parts.push(part(None, "trap exit".into(), code.trap_exit()..code.body()));
    for (slot, insn) in insns.iter().enumerate().filter(|(_, insn)| insn.opcode != Opcode::WideTail) {
        parts.push(part(Some(slot), insn.to_string(), code.slot(slot)..code.slot(slot + 1)));
    }
    Listing(parts)
}

fn decode(code: &Code, range: Range<usize>) -> Vec<Native> {
    let start = range.start;
    natives(&code.bytes()[range], start as u64)
}

/// The instructions in these bytes, which lie at the offset `start`.
pub fn natives(bytes: &[u8], start: u64) -> Vec<Native> {
    let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
    let mut formatter = IntelFormatter::new();
    let mut inst = Instruction::default();
    let mut natives = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut inst);
        let offset = inst.ip() as usize;
        let mut text = String::new();
        formatter.format(&inst, &mut text);
        let at = offset - start as usize;
        natives.push(Native { offset, bytes: bytes[at..at + inst.len()].to_vec(), text });
    }
    natives
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            let mut left = match part.slot {
                Some(slot) => format!("{slot:5}: {}", part.bpf),
                None => format!("       {}:", part.bpf),
            };
            if part.native.is_empty() {
                writeln!(f, "{left}")?;
            }
            for native in &part.native {
                writeln!(f, "{left:<48} {:5x}: {}", native.offset, native.text)?;
                left.clear();
            }
        }
        Ok(())
    }
}
