//! The shortest encoding that iced's encoder knows of what its decoder has seen.

use std::collections::HashMap;

use iced_x86::{Code, Decoder, DecoderOptions, Encoder, Instruction, Mnemonic, OpKind};

const IMMEDIATES: [OpKind; 8] = [
    OpKind::Immediate8,
    OpKind::Immediate8to16,
    OpKind::Immediate8to32,
    OpKind::Immediate8to64,
    OpKind::Immediate16,
    OpKind::Immediate32,
    OpKind::Immediate32to64,
    OpKind::Immediate64,
];

/// An encoder, and what it could choose from.
pub struct Shortest {
    encoder: Encoder,
    codes: HashMap<Mnemonic, Vec<Code>>,
}

impl Shortest {
    pub fn new() -> Shortest {
        let mut codes: HashMap<Mnemonic, Vec<Code>> = HashMap::new();
        for code in Code::values() {
            codes.entry(code.mnemonic()).or_default().push(code);
        }
        Shortest { encoder: Encoder::new(64), codes }
    }

    /// Bytes that the same opcode takes with no prefix and no byte of displacement that it can do without.
    pub fn of_code(&mut self, seen: &Instruction) -> usize {
        let encoded = self.encode(seen).map(|code| code.len());
        encoded.unwrap_or_else(|| panic!("{seen} cannot be encoded"))
    }

    /// Bytes that the shortest instruction takes that reads the same, whatever its opcode and the width of its immediate.
    pub fn of_any(&mut self, seen: &Instruction) -> usize {
        let immediate = (0..seen.op_count()).find(|at| IMMEDIATES.contains(&seen.op_kind(*at)));
        let mut shortest = self.of_code(seen);
        for code in self.codes.get(&seen.mnemonic()).cloned().unwrap_or_default() {
            let mut other = *seen;
            other.set_code(code);
            if code.op_code().op_count() != seen.op_count() {
                continue;
            }
            let kinds = if immediate.is_some() { &IMMEDIATES[..] } else { &IMMEDIATES[..1] };
            for kind in kinds {
                if let Some(at) = immediate {
                    other.set_op_kind(at, *kind);
                    other.set_immediate_u64(at, seen.immediate(at));
                }
                let Some(bytes) = self.encode(&other) else { continue };
                let back = Decoder::with_ip(64, &bytes, seen.ip(), DecoderOptions::NONE).decode();
                if bytes.len() < shortest && reads_same(&back, seen) {
                    shortest = bytes.len();
                }
            }
        }
        shortest
    }

    fn encode(&mut self, instruction: &Instruction) -> Option<Vec<u8>> {
        let mut instruction = *instruction;
        if (0..instruction.op_count()).any(|at| instruction.op_kind(at) == OpKind::Memory) {
            // 1 stands for whatever is needed.
            instruction.set_memory_displ_size(u32::from(instruction.memory_displacement64() != 0));
        }
        let encoded = self.encoder.encode(&instruction, instruction.ip());
        let bytes = self.encoder.take_buffer();
        encoded.is_ok().then_some(bytes)
    }
}

/// An immediate as the operation takes it: iced sign-extends beyond the width.
fn immediate(instruction: &Instruction, at: u32) -> u64 {
    let value = instruction.immediate(at);
    match instruction.op_kind(at) {
        OpKind::Immediate8to16 => u64::from(value as u16),
        OpKind::Immediate8to32 => u64::from(value as u32),
        _ => value,
    }
}

/// Whether two instructions do the same by their operands.
fn reads_same(left: &Instruction, right: &Instruction) -> bool {
    let operand = |at: u32| match right.op_kind(at) {
        OpKind::Register => left.op_kind(at) == OpKind::Register && left.op_register(at) == right.op_register(at),
        OpKind::Memory => {
            left.op_kind(at) == OpKind::Memory
                && left.memory_size() == right.memory_size()
                && (left.memory_base(), left.memory_index()) == (right.memory_base(), right.memory_index())
                && left.memory_displacement64() == right.memory_displacement64()
        }
        OpKind::NearBranch64 => left.near_branch64() == right.near_branch64(),
        _ => left.try_immediate(at).is_ok() && immediate(left, at) == immediate(right, at),
    };
    !left.is_invalid()
        && left.mnemonic() == right.mnemonic()
        && left.op_count() == right.op_count()
        && left.has_lock_prefix() == right.has_lock_prefix()
        && (0..right.op_count()).all(operand)
}
