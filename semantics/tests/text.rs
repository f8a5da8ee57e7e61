//! Assembly and disassembly: each undoes the other, and both agree with LLVM where that is installed.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{IMMS, OFFS, any_program, fit, rows, slots};
use proptest::prelude::*;
use semantics::asm::{AsmErrorKind, Options, Syntax, assemble, assemble_with};
use semantics::disasm::{Linux, disassemble};
use semantics::encoding::encode;
use semantics::insn::{Insn, Mode, Op, Opcode, Reg, Size, Wide};

/// Every row with all registers, then with the edges of its other fields.
fn samples() -> impl Iterator<Item = Insn> {
    rows().flat_map(|row| {
        let registers = Reg::ALL.into_iter().flat_map(|dst| Reg::ALL.map(|src| (dst, src)));
        let registers = registers.map(move |(dst, src)| fit(row, dst, src, 4, -5, 0xdeadbeef));
        let edges = IMMS.into_iter().flat_map(|imm| OFFS.map(|off| (imm, off)));
        registers.chain(edges.map(move |(imm, off)| fit(row, Reg::R1, Reg::R2, off, imm, imm as u32)))
    })
}

#[test]
fn each_instruction_is_read_back_from_both_syntaxes() {
    let mut tried = 0;
    for insn in samples() {
        for text in [insn.to_string(), Linux(&insn).to_string()] {
            assert_eq!(assemble(&text), Ok(slots(insn)), "{text}");
        }
        tried += 1;
    }
    assert!(tried > 10_000, "{tried}");
}

proptest! {
    #[test]
    fn a_listing_is_read_back(program in any_program()) {
        let listing = disassemble(&program);
        prop_assert_eq!(assemble(&listing), Ok(program), "{}", listing);
    }
    #[test]
    fn any_text_gives_a_program_or_an_error(text in "[ -~\\n]{0,80}") {
        if let Err(error) = assemble(&text) {
            prop_assert!(error.line >= 1 && error.column >= 1);
        }
    }
    #[test]
    fn any_words_give_a_program_or_an_error(
        words in proptest::collection::vec(prop_oneof![
            "r[0-9]|r10|w[0-9]|=|\\+=|-=|\\(|\\)|\\*|u8|u32|if|goto|call|exit|ll|map|\\[|\\]|:|;|#|//|\\+|-|s>|&|pc|out|0x[0-9a-f]{1,17}|[0-9]{1,20}|é",
            Just("\n".to_owned()),
        ], 0..30)
    ) {
        for separator in [" ", ""] {
            if let Err(error) = assemble(&words.join(separator)) {
                prop_assert!(error.line >= 1 && error.column >= 1);
            }
        }
    }
}

/// Runs a tool of LLVM 19 on this input; `None`, with the reason printed, if it is not installed.
fn llvm(tool: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let run = Command::new(tool).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match run {
        Ok(child) => child,
        Err(reason) => {
            println!("skipped: {tool}: {reason}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{tool} failed");
    Some(output.stdout)
}

/// LLVM has no syntax of its own for references to maps and subprograms, 19 none for what Linux 6.15 brought.
fn llvm_samples() -> Vec<Insn> {
    let known = |op| match op {
        Op::Wide(kind) => kind == Wide::Imm64,
        Op::CallLocal | Op::CallKfunc | Op::LoadAcquire { .. } | Op::StoreRelease { .. } => false,
        // Nor for an offset behind the register.
        Op::Packet { mode, .. } => mode == Mode::Abs,
        _ => true,
    };
    samples().filter(|insn| known(insn.op())).collect()
}

/// What `llvm-objdump` prints of these instructions for this processor.
fn objdump(insns: &[Insn], cpu: &str) -> Option<Vec<String>> {
    let slots: Vec<Insn> = insns.iter().copied().flat_map(slots).collect();
    let bytes: Vec<String> = encode(&slots).iter().map(u8::to_string).collect();
    let source = format!("f:\n.byte {}\n", bytes.join(","));
    let args = ["-triple=bpfel", "-mcpu=v4", "-filetype=obj", "-o", "-", "-"];
    let object = llvm("llvm-mc-19", &args, source.as_bytes())?;
    let cpu = format!("--mcpu={cpu}");
    let args = ["-d", "--no-show-raw-insn", "--no-leading-addr", &cpu, "-"];
    let text = String::from_utf8(llvm("llvm-objdump-19", &args, &object)?).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("<f>")).skip(1);
    Some(lines.map(|line| line.trim().split(" <f").next().unwrap().to_owned()).collect())
}

#[test]
fn llvm_prints_the_same_text() {
    // Without a processor it takes atomic operations of 32 bits for others, with one it prints w1 where r1 would do.
    let is_word = |insn: &Insn| matches!(insn.op(), Op::Atomic { size: Size::W, .. });
    let (words, others): (Vec<Insn>, Vec<Insn>) = llvm_samples().into_iter().partition(is_word);
    for (insns, cpu) in [(words, "v4"), (others, "generic")] {
        let Some(theirs) = objdump(&insns, cpu) else { return };
        let ours: Vec<String> = insns.iter().map(Insn::to_string).collect();
        assert_eq!(theirs.len(), ours.len());
        for (theirs, ours) in theirs.iter().zip(&ours) {
            assert_eq!(theirs, ours);
        }
    }
}

#[test]
fn llvm_reads_our_text_as_the_same_bytes() {
    // LLVM 19 reads distances of more than 16 bits from labels only.
    let is_short = |insn: &Insn| insn.opcode != Opcode::Gotol || i16::try_from(insn.imm as i32).is_ok();
    let insns: Vec<Insn> = llvm_samples().into_iter().filter(is_short).collect();
    let text: Vec<String> = insns.iter().map(Insn::to_string).collect();
    let args = ["-triple=bpfel", "-mcpu=v4", "-filetype=obj", "-o", "-", "-"];
    let Some(object) = llvm("llvm-mc-19", &args, text.join("\n").as_bytes()) else { return };
    let bytes = encode(&insns.into_iter().flat_map(slots).collect::<Vec<_>>());
    assert!(object.windows(bytes.len()).any(|window| window == bytes), "other bytes");
}

/// The programs of `bpf_conformance` cases, if there is a sample beside the project.
#[test]
fn conformance_programs_assemble() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/suites/bpf_conformance");
    let Ok(files) = std::fs::read_dir(&directory) else {
        println!("skipped: there is no {}", directory.display());
        return;
    };
    let mut programs = 0;
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let Some((_, rest)) = text.split_once("-- asm\n") else { continue };
        let program: Vec<&str> = rest.lines().take_while(|line| !line.starts_with("--")).collect();
        let program = program.join("\n");
        let insns = assemble(&program).unwrap_or_else(|error| panic!("{error}\n{program}"));
        let options = Options { syntax: Syntax::Mnemonic, ..Options::default() };
        assert_eq!(assemble_with(&program, options).as_ref(), Ok(&insns));
        assert_eq!(assemble(&disassemble(&insns)), Ok(insns));
        programs += 1;
    }
    assert!(programs > 100, "{programs}");
}

#[test]
fn syntaxes_mix() {
    let text = "; source line of objdump
        entry: r1 = *(u32*)(r1+4); if w1 == 5 goto out // comment
        2: (07) r2 += -8      ; R2_w=fp-8
        (85) call bpf_map_lookup_elem#1
        call map_update_elem # by name
        call bpf_ktime_get_ns
        r3 = -1 ll
        r4 = map[counts] ll; r5 = counts ll
        *(u8 *)(r10) = w4
        w4 = *(u16 *)(r10 - 2)
        if r0 & 0xffffffff goto pc-3
        goto +0x0 <entry+0x58>
        (18) r9 = 0xffffffffffffffff
    out: exit;";
    let insns =
        assemble_with(text, Options { maps: &|name| (name == "counts").then_some(2), ..Options::default() }).unwrap();
    let expected = [
        "r1 = *(u32 *)(r1 + 0x4)",
        "if w1 == 0x5 goto +0x10",
        "r2 += -0x8",
        "call 0x1",
        "call 0x2",
        "call 0x5",
        "r3 = -0x1 ll",
        "r4 = map 2 ll",
        "r5 = map 2 ll",
        "*(u8 *)(r10 + 0x0) = r4",
        "r4 = *(u16 *)(r10 - 0x2)",
        "if r0 & -0x1 goto -0x3",
        "goto +0x0",
        "r9 = -0x1 ll",
        "exit",
    ];
    let lines = insns.iter().filter(|insn| insn.opcode != Opcode::WideTail).map(Insn::to_string);
    assert_eq!(lines.collect::<Vec<_>>(), expected);
}

#[test]
fn errors_have_place_and_reason() {
    const STATEMENT: &str = "a register, `*(`, `if`, `goto`, `call`, `exit`, `lock` or a mnemonic";
    let errors = [
        ("r0 = 0\n  r1 += q", "line 2, column 9: expected a register or a number, found `q`"),
        ("r0 =", "line 1, column 5: expected a value, found the end of the line"),
        ("exit 5", "line 1, column 6: expected the end of the statement, found `5`"),
        ("exti", "line 1, column 1: expected STATEMENT, found `exti`; did you mean `exit`?"),
        ("r11 = 0", "line 1, column 1: expected STATEMENT, found `r11`"),
        ("moov r1, 2", "line 1, column 1: expected STATEMENT, found `moov`; did you mean `mov`?"),
        ("goto out", "line 1, column 6: there is no label `out`"),
        ("outer: goto oter", "line 1, column 13: there is no label `oter`; did you mean `outer`?"),
        ("a: exit\na: exit", "line 2, column 1: label `a` stands already in line 1"),
        ("r1 = w2", "line 1, column 6: `w2` has another width than the first operand"),
        (
            "r1 = 0x1ffffffff",
            "line 1, column 6: 8589934591 is out of range for an immediate of 32 bits: -2147483648 to 4294967295",
        ),
        (
            "r1 = *(u8 *)(r2 + 40000)",
            "line 1, column 17: 40000 is out of range for an offset of 16 bits: -32768 to 32767",
        ),
        (
            "ldxw %r1, [%r2-32769]",
            "line 1, column 15: -32769 is out of range for an offset of 16 bits: -32768 to 32767",
        ),
        (
            "gotol +0x80000000",
            "line 1, column 7: 2147483648 is out of range for a distance of 32 bits: -2147483648 to 2147483647",
        ),
        ("r1 = 0x11112222333344445 ll", "line 1, column 6: `0x11112222333344445` is not a number of at most 64 bits"),
        ("r1 = map[m] ll", "line 1, column 10: there is no map `m`"),
        ("r1 = m ll", "line 1, column 6: there is no map and no label `m`"),
        ("call nothing", "line 1, column 6: there is no helper and no label `nothing`"),
        (
            "call bpf_map_lokup_elem",
            "line 1, column 6: there is no helper and no label `bpf_map_lokup_elem`; did you mean `bpf_map_lookup_elem`?",
        ),
        ("call bpf_map_lookup_elem#2", "line 1, column 26: `bpf_map_lookup_elem` is helper 1, not 2"),
        (
            "*(u64 *)(r1 + 0) += r2",
            "line 1, column 18: expected `=`; an atomic operation has `lock` in front, found `+=`",
        ),
        ("lock *(u8 *)(r1 + 0) += r2", "line 1, column 8: expected `u32` or `u64`, found `u8`"),
        (
            "lock swap [%r1], %r2",
            "line 1, column 6: expected `*(`, `fetch`, `add`, `or`, `and`, `xor`, `xchg` or `cmpxchg`, found `swap`",
        ),
        ("callx r3", "line 1, column 1: call by register is not modelled"),
        ("call r3", "line 1, column 6: call by register is not modelled"),
        ("may_goto +5", "line 1, column 1: may_goto is not modelled"),
        ("r1 = addr_space_cast(r2, 1, 0)", "line 1, column 6: addr_space_cast is not modelled"),
        ("if r1 = 2 goto +1", "line 1, column 7: expected a comparison, found `=`"),
        ("if r1 == 2 got +1", "line 1, column 12: expected goto, found `got`"),
        (
            "r1 = *(u7 *)(r2 + 0)",
            "line 1, column 8: expected `u8`, `u16`, `u32`, `u64`, `s8`, `s16` or `s32`, found `u7`",
        ),
        ("r1 = *(u8 *)(w2 + 0)", "line 1, column 14: expected a 64-bit register, found `w2`"),
        ("é = 1", "line 1, column 1: expected STATEMENT, found `é`"),
        ("r1 = -r2", "line 1, column 7: expected the register that is assigned to, found `r2`"),
        ("r1 = be16 r2", "line 1, column 11: expected the register that is assigned to, found `r2`"),
        (
            "r1 = atomic_fetch_ad((u64 *)(r2 + 0), r1)",
            "line 1, column 6: expected a value, found `atomic_fetch_ad`; did you mean `atomic_fetch_add`?",
        ),
        ("w1 = (s32)w2", "line 1, column 7: expected `s8`, `s16`, or, of 64 bits, `s32`, found `s32`"),
        ("r1 = *(u32 *)skb[4]", "line 1, column 6: expected r0 to be assigned to, found `r1`"),
        ("mov %r1", "line 1, column 8: expected ,, found the end of the line"),
        ("ldxw %r1, %r2", "line 1, column 11: expected [, found `%r2`"),
        ("3: (07) r1 = 5", "line 1, column 5: the code of this instruction is b7, not 07"),
        ("0: (b7) r1 = 5\n2: (95) exit", "line 2, column 9: slot 1 is missing before this one"),
        ("0: (b7) r1 = 5\n0: (95) exit", "line 2, column 9: slot 0 is another instruction in line 1"),
        ("0:\tb7 01 00 00 05 00 00 00\tr1 = 0x6", "line 1, column 28: the bytes in front are `r1 = 0x5`"),
        (
            "0:\tff 01 00 00 05 00 00 00\tr1 = 0x6",
            "line 1, column 28: the bytes in front are no instruction: unknown opcode ff",
        ),
    ];
    for (text, message) in errors {
        let message = message.replace("STATEMENT", STATEMENT);
        assert_eq!(assemble(text).unwrap_err().to_string(), message, "{text}");
    }
    let far = format!("goto end\n{}end: exit", "r0 = 0\n".repeat(40_000));
    let error = assemble(&far).unwrap_err();
    assert!(matches!(error.kind, AsmErrorKind::LabelTooFar { distance: 40_000, .. }), "{error}");
    assert_eq!((error.line, error.column), (1, 6));
}
