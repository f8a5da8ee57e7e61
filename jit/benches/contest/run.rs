//! How fast compiled code runs: ours, rbpf's, that of templates as in ubpf, scalar Rust, and rbpf's interpreter.
//!
//! All run the same program on the same memory: that of the world, which lies at its own addresses.

use std::hint::black_box;

use jit::Jit;
use semantics::engine::Engine;
use semantics::insn::Insn;
use semantics::interpreter;
use semantics::memory::{Memory, layout};
use semantics::world::{Input, World};

use super::native::{self, Packet};
use super::programs::{self, PACKET, verified};
use super::template::Template;
use super::{Contest, Unit};

/// A program in Rust.
type Native = fn(&mut Packet) -> u64;

/// One program on all runners.
pub struct Code {
    name: &'static str,
    world: World,
    jit: Jit,
    peer: rbpf::EbpfVmRaw<'static>,
    template: Template,
    natives: &'static [Native],
    runners: Vec<&'static str>,
    retired: u64,
}

impl Code {
    /// [`programs::mixed_alu`].
    pub fn mixed_alu() -> Code {
        Code::new("mixed ALU loop", programs::mixed_alu, &[native::mixed_alu])
    }
    /// [`programs::alu_chain`].
    pub fn alu_chain() -> Code {
        Code::new("dependent ALU loop", programs::alu_chain, &[native::alu_chain])
    }
    /// [`programs::checksum`].
    pub fn checksum() -> Code {
        Code::new("checksum of 1500 bytes", programs::checksum, &[native::checksum::<false>, native::checksum::<true>])
    }
    /// [`programs::copy_words`].
    pub fn copy_words() -> Code {
        Code::new(
            "copy of 744 bytes by 8",
            programs::copy_words,
            &[native::copy::<u64, false>, native::copy::<u64, true>],
        )
    }
    /// [`programs::copy_bytes`].
    pub fn copy_bytes() -> Code {
        Code::new(
            "copy of 744 bytes by 1",
            programs::copy_bytes,
            &[native::copy::<u8, false>, native::copy::<u8, true>],
        )
    }
    /// [`programs::copy_unrolled`].
    pub fn copy_unrolled() -> Code {
        Code::new("copy of 744 bytes unrolled", programs::copy_unrolled, &[native::copy::<u64, false>])
    }
    /// [`programs::nothing`].
    pub fn nothing() -> Code {
        Code::new("enter and leave", programs::nothing, &[native::nothing])
    }
    /// [`programs::divisions`].
    pub fn divisions() -> Code {
        Code::new("division loop", programs::divisions, &[native::divisions])
    }

    fn new(name: &'static str, insns: fn() -> Vec<Insn>, natives: &'static [Native]) -> Code {
        let insns = insns();
        let program = verified(name, insns.clone());
        let mut world = World::new(Memory::native().expect("guest memory"));
        world.load(program.program()).expect("no maps");
        let bytes: [u8; PACKET] = std::array::from_fn(|at| (at * at / 7) as u8);
        world.reset(&Input { packet: bytes.to_vec(), ..Input::default() }).expect("an input");
        let stop = interpreter::run(program.program(), &mut world, u64::MAX, &mut ());
        let mut jit = Jit::new().expect("an image");
        jit.load(&program).expect("every opcode");

        let mut peer = rbpf::EbpfVmRaw::new(None).expect("a machine");
        peer.set_verifier(|_| Ok(())).expect("no program yet");
        peer.set_program(semantics::encoding::encode(&insns).leak()).expect("a program");
        peer.register_allowed_memory(layout::PACKET..layout::PACKET + PACKET as u64);
        peer.jit_compile().expect("every opcode");
        let template = Template::new(&insns);
        let runners = [&PEERS[..], &NATIVES[..natives.len()]].concat();
        let mut code = Code { name, world, jit, peer, template, natives, runners, retired: stop.retired };
        let expected = stop.result.expect("a result");
        for runner in 0..code.runners.len() {
            assert_eq!(code.result(runner), expected, "{}", code.runners[runner]);
        }
        code
    }

    #[inline(always)]
    fn result(&mut self, runner: usize) -> u64 {
        match runner {
            0 => self.jit.run(&mut self.world).expect("a result"),
            // SAFETY: the program stays within context and packet.
            1 => unsafe { self.peer.execute_program_jit(context()) }.expect("a result"),
            // SAFETY: as above.
            2 => unsafe { self.template.run(layout::CONTEXT) },
            // SAFETY: the interpreter looks.
            3 => self.peer.execute_program(unsafe { context() }).expect("a result"),
            // SAFETY: the packet of the world, which nothing else refers to while it is passed.
            _ => black_box(self.natives[runner - PEERS.len()])(unsafe { &mut *(layout::PACKET as *mut Packet) }),
        }
    }
}

/// The context of the program in guest memory.
///
/// # Safety
/// There is a world, and nothing else refers to its context.
unsafe fn context() -> &'static mut [u8] {
    // SAFETY: guest memory lies at its own addresses.
    unsafe { std::slice::from_raw_parts_mut(layout::CONTEXT as *mut u8, size_of::<[u32; 6]>()) }
}

const PEERS: [&str; 4] = ["touchstone", "rbpf", "templates as ubpf's", "rbpf interpreter"];
const NATIVES: [&str; 2] = ["scalar Rust", "scalar Rust, not unrolled"];

impl Contest for Code {
    fn title(&self) -> (&str, Unit) {
        (self.name, Unit { count: self.retired, name: "insn" })
    }
    fn runners(&self) -> &[&'static str] {
        &self.runners
    }
    fn run(&mut self, runner: usize) {
        black_box(self.result(runner));
    }
}
