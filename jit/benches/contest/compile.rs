//! What it costs to compile, and to do everything with a small program.

use std::hint::black_box;
use std::sync::Arc;

use jit::image::Image;
use jit::{Code, Jit, Rules, compile};
use semantics::encoding::{decode, encode};
use semantics::engine::Engine;
use semantics::insn::Insn;
use semantics::interpreter;
use semantics::memory::Memory;
use semantics::program::{Program, Verified};
use semantics::program_type::ProgramType;
use semantics::world::{Input, World};

use super::programs::{PACKET, long, twenty, verified};
use super::template::Template;
use super::{Contest, Unit};

/// Compiling a program of some length.
pub struct Compile {
    name: String,
    program: Verified,
    insns: Vec<Insn>,
    bytes: Vec<u8>,
    rules: Rules,
    blinded: Rules,
    code: Code,
    image: Image,
}

impl Compile {
    /// A program of `len` instructions.
    pub fn new(len: usize) -> Compile {
        let insns = long(len);
        let image = Image::new(1 << 16).expect("an image");
        Compile {
            name: format!("compiling {len} instructions"),
            program: verified("compile", insns.clone()),
            bytes: encode(&insns),
            insns,
            rules: Rules::standard(),
            blinded: Rules::standard().blinded(1),
            code: Code::default(),
            image,
        }
    }
}

impl Contest for Compile {
    fn title(&self) -> (&str, Unit) {
        (&self.name, Unit { count: self.insns.len() as u64, name: "insn" })
    }
    fn runners(&self) -> &[&'static str] {
        // Longer code does not fit the memory that rbpf's JIT takes.
        let runners = &[
            "touchstone",
            "with loading into the image",
            "with constants blinded",
            "templates as ubpf's",
            "rbpf, with its memory",
        ];
        if self.insns.len() < 100 { runners } else { &runners[..4] }
    }
    fn run(&mut self, runner: usize) {
        match runner {
            0 => compile(&self.program, &self.rules, &mut self.code).expect("every opcode"),
            1 => {
                compile(&self.program, &self.rules, &mut self.code).expect("every opcode");
                self.image.load(self.code.bytes()).expect("room");
            }
            2 => compile(&self.program, &self.blinded, &mut self.code).expect("every opcode"),
            3 => {
                black_box(Template::bytes(&self.insns));
            }
            _ => {
                let mut vm = rbpf::EbpfVmRaw::new(None).expect("a machine");
                vm.set_verifier(|_| Ok(())).expect("no program yet");
                vm.set_program(&self.bytes).expect("a program");
                vm.jit_compile().expect("every opcode");
            }
        }
    }
}

/// Bytes to program, interpreted, compiled, loaded and run, as a fuzzer does without its oracles. The world is made ready
/// before: no reset between the two runs, which here write the same to the same places.
pub struct Whole {
    bytes: Vec<u8>,
    world: World,
    jit: Jit,
    last: Verified,
}

impl Whole {
    /// A program of 20 instructions.
    pub fn new() -> Whole {
        let bytes = encode(&twenty());
        let last = verified("whole", twenty());
        let mut world = World::new(Memory::native().expect("guest memory"));
        world.load(last.program()).expect("no maps");
        world.reset(&Input { packet: vec![0x5a; PACKET], ..Input::default() }).expect("an input");
        Whole { bytes, world, jit: Jit::new().expect("an image"), last }
    }
    fn decode(&self) -> Verified {
        let insns = decode(black_box(&self.bytes)).expect("instructions");
        let program = Program::new("whole", ProgramType::Xdp, "GPL", vec![], insns).expect("a program");
        // SAFETY: as in `verified`.
        unsafe { Verified::trust(Arc::new(program)) }
    }
}

const PARTS: [&str; 5] = ["touchstone", "of it: decoding", "interpreting", "compiling and loading", "running"];

impl Contest for Whole {
    fn title(&self) -> (&str, Unit) {
        ("20 instructions, everything", Unit::RUN)
    }
    fn runners(&self) -> &[&'static str] {
        &PARTS
    }
    fn run(&mut self, part: usize) {
        let whole = part == 0;
        if whole || part == 1 {
            let program = self.decode();
            self.last = program;
        }
        if whole {
            self.world.load(self.last.program()).expect("no maps");
        }
        let world = &mut self.world;
        if whole || part == 2 {
            black_box(interpreter::run(self.last.program(), world, u64::MAX, &mut ()).result).expect("a result");
        }
        if whole || part == 3 {
            self.jit.load(&self.last).expect("every opcode");
        }
        if whole || part == 4 {
            black_box(self.jit.run(world)).expect("a result");
        }
    }
}
