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

/// What a text assembles to, in LLVM's syntax.
fn normal(text: &str) -> Vec<String> {
    let maps = |name: &str| ["counts", ".rodata"].iter().position(|map| *map == name).map(|at| at as u32);
    let options = Options { maps: &maps, ..Options::default() };
    let insns = assemble_with(text, options).unwrap_or_else(|error| panic!("{error}\n{text}"));
    insns.iter().filter(|insn| insn.opcode != Opcode::WideTail).map(Insn::to_string).collect()
}

#[test]
fn mnemonics_stand_for_their_instructions() {
    let pairs = [
        ("mov %r0, -1", "r0 = -0x1"),
        ("mov64 r0, r1", "r0 = r1"),
        ("mov32 %r0, 0xffffffff", "w0 = -0x1"),
        ("add32 %r0, %r10", "w0 += w10"),
        ("arsh %r1, 63", "r1 s>>= 0x3f"),
        ("sdiv32 %r0, %r1", "w0 s/= w1"),
        ("smod %r0, -3", "r0 s%= -0x3"),
        ("neg32 %r0", "w0 = -w0"),
        ("movsx832 %r0, %r1", "w0 = (s8)w1"),
        ("movsx1664 %r0, %r1", "r0 = (s16)r1"),
        ("movsx3264 %r0, %r1", "r0 = (s32)r1"),
        ("le64 %r3", "r3 = le64 r3"),
        ("be16 %r3", "r3 = be16 r3"),
        ("swap32 %r3", "r3 = bswap32 r3"),
        ("bswap32 %r3", "r3 = bswap32 r3"),
        ("ldxsw %r0, [%r10-4]", "r0 = *(s32 *)(r10 - 0x4)"),
        ("ldxb %r0, [%r1]", "r0 = *(u8 *)(r1 + 0x0)"),
        ("sth [%r10-2], 0x8001", "*(u16 *)(r10 - 0x2) = 0x8001"),
        ("stxdw [%r10-8], %r1", "*(u64 *)(r10 - 0x8) = r1"),
        ("lddw %r0, 0xffffffffffffffff", "r0 = -0x1 ll"),
        ("jsgt32 %r0, 1, +3", "if w0 s> 0x1 goto +0x3"),
        ("jset %r0, %r1, exit", "if r0 & r1 goto -0x1"),
        ("ja32 -2", "gotol -0x2"),
        ("ja 3", "goto +0x3"),
        ("lock add [%r10-8], %r1", "lock *(u64 *)(r10 - 0x8) += r1"),
        ("lock fetch add32 [%r10-8], %r1", "w1 = atomic_fetch_add((u32 *)(r10 - 0x8), w1)"),
        ("lock fetch_or [%r1], %r2", "r2 = atomic_fetch_or((u64 *)(r1 + 0x0), r2)"),
        ("lock xchg [%r1], %r2", "r2 = xchg_64(r1 + 0x0, r2)"),
        ("lock cmpxchg32 [%r1], %r2", "w0 = cmpxchg32_32(r1 + 0x0, w0, w2)"),
        ("call 5", "call 0x5"),
        ("call local f", "call pc-0x2"),
        ("ldabsh 12", "r0 = *(u16 *)skb[0xc]"),
        ("ldindw %r2, 4", "r0 = *(u32 *)skb[r2 + 0x4]"),
    ];
    for (text, llvm) in pairs {
        // `exit` and `f` stand in front.
        let program = format!("f: exit # the first\n{text} # remark");
        assert_eq!(normal(&program), ["exit".to_owned(), llvm.replace("goto -0x1", "goto -0x2")], "{text}");
    }
}

#[test]
fn variants_of_llvm_and_linux_are_read() {
    let pairs = [
        ("r1=r2", "r1 = r2"),
        ("r1 = (s8) r2", "r1 = (s8)r2"),
        ("r1 = 0b101", "r1 = 0x5"),
        ("r1 = 017", "r1 = 0xf"),
        ("r1 = 1 + 0x10 - 2", "r1 = 0xf"),
        ("w1 = *(u8*)(r2+4)", "r1 = *(u8 *)(r2 + 0x4)"),
        ("*(u32 *)(r1 - 4) = w5", "*(u32 *)(r1 - 0x4) = r5"),
        ("lock *(u32 *)(r1 +0) |= r2", "lock *(u32 *)(r1 + 0x0) |= w2"),
        ("r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)", "r2 = atomic_fetch_add((u64 *)(r1 + 0x0), r2)"),
        ("r0 = atomic_cmpxchg((u32 *)(r1 +0), r0, r2)", "w0 = cmpxchg32_32(r1 + 0x0, w0, w2)"),
        ("r2 = atomic64_xchg((u64 *)(r1 -8), r2)", "r2 = xchg_64(r1 - 0x8, r2)"),
        ("w1 = load_acquire((u8 *)(r2 + 0))", "w1 = load_acquire((u8 *)(r2 + 0x0))"),
        ("store_release((u64 *)(r2 + 0), r1)", "store_release((u64 *)(r2 + 0x0), r1)"),
        ("r0 = *(u8 *)skb[r1 + -4]", "r0 = *(u8 *)skb[r1 + -0x4]"),
        ("goto 5", "goto +0x5"),
        ("goto pc-1", "goto -0x1"),
        ("call pc+10#bpf_prog_abc_F", "call pc+0xa"),
        ("call bpf_ktime_get_ns#192800", "call 0x5"),
        ("(85) call bpf_cpumask_create#72912", "call kfunc#72912"),
        ("(18) r1 = map[id:1][0]+8", "r1 = map[1][0]+0x8 ll"),
        ("r1 = map[.rodata][0]+0x8 ll", "r1 = map[1][0]+0x8 ll"),
        ("r1 = counts+8 ll", "r1 = map[0][0]+0x8 ll"),
        ("r1 = map_idx[counts] ll", "r1 = map_idx[0] ll"),
        ("ld_pseudo r1, 1, 5", "r1 = map 5 ll"),
        ("f: r1 = f ll", "r1 = subprog[-0x1] ll"),
        ("f: r1 = subprog[f] ll", "r1 = subprog[-0x1] ll"),
        ("map_lookup_elem: call map_lookup_elem", "call pc-0x1"),
    ];
    for (text, llvm) in pairs {
        assert_eq!(normal(text), [llvm], "{text}");
    }
}

#[test]
fn listings_of_objdump_are_read_whole() {
    let text = "
x.o:\tfile format elf64-bpf

Disassembly of section .text:

0000000000000000 <sub>:
; \treturn x;
       0:\tbf 10 00 00 00 00 00 00\tr0 = r1
       1:\t95 00 00 00 00 00 00 00\texit

Disassembly of section xdp:

0000000000000000 <prog>:
       0:\t18 01 00 00 08 00 00 00 00 00 00 00 00 00 00 00\tr1 = 0x8 ll
\t\t0000000000000000:  R_BPF_64_64\t.rodata
       2:\t18 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00\tr2 = 0x0 ll
\t\t0000000000000010:  R_BPF_64_64\tcounts
       4:\t85 10 00 00 ff ff ff ff\tcall -0x1
\t\t0000000000000020:  R_BPF_64_32\tsub
       5:\t85 10 00 00 ff ff ff ff\tcall -0x1
\t\t0000000000000028:  R_BPF_64_32\t.text
       6:\tc3 21 04 00 41 00 00 00\t<unknown>
       7:\t50 20 00 00 40 00 00 00\tr0 = *(u8 *)skb[r2]
       8:\t15 00 01 00 00 00 00 00\tif r0 == 0x0 goto +0x1 <LBB1_2>
       9:\tb7 00 00 00 01 00 00 00\tr0 = 0x1
0000000000000050 <LBB1_2>:
      10:\t95 00 00 00 00 00 00 00\texit
";
    let expected = [
        "r0 = r1",
        "exit",
        "r1 = map[1][0]+0x8 ll",
        "r2 = map 0 ll",
        "call pc-0x7",
        "call pc-0x8",
        "w2 = atomic_fetch_or((u32 *)(r1 + 0x4), w2)",
        "r0 = *(u8 *)skb[r2 + 0x40]",
        "if r0 == 0x0 goto +0x1",
        "r0 = 0x1",
        "exit",
    ];
    assert_eq!(normal(text), expected);
}

#[test]
fn logs_of_the_verifier_are_read_whole() {
    let text = "func#0 @0
0: R1=ctx(off=0,imm=0) R10=fp0
; int x = 0; @ prog.c:3
0: (b7) r0 = 0                        ; R0_w=0
1: (15) if r1 == 0x0 goto pc+2        ; frame1: R1=ctx()
4: (95) exit

from 1 to 2: R0_w=0 R1=ctx(off=0,imm=0) R10=fp0
2: (bf) r2 = r1
mark_precise: frame0: last_idx 2 first_idx 0 subseq_idx -1
3: (85) call bpf_get_prandom_u32#7
4: (95) exit
processed 6 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
";
    assert_eq!(normal(text), ["r0 = 0x0", "if r1 == 0x0 goto +0x2", "r2 = r1", "call 0x7", "exit"]);
    let xlated = "int handle(void * ctx):
; int pid = bpf_get_current_pid_tgid();
   0: (85) call bpf_get_current_pid_tgid#192800
   1: (18) r2 = map[id:3]
   3: (95) exit
";
    assert_eq!(normal(xlated), ["call 0xe", "r2 = map 3 ll", "exit"]);
}

/// Texts of every syntax with some of their characters replaced, dropped, doubled or swapped.
#[test]
fn mutated_texts_are_read_or_refused() {
    let mut seeds: Vec<String> = samples().step_by(61).map(|insn| insn.to_string()).collect();
    seeds.extend(samples().step_by(67).map(|insn| format!("{}: {}", insn.imm, Linux(&insn))));
    seeds.extend(
        ["jeq %r0, %r1, exit", "lock fetch add32 [%r10-8], %r1", "lddw %r0, 0x8877665544332211", "<f>:", "a: goto a"]
            .map(str::to_owned),
    );
    seeds.push("0:\tb7 01 00 00 05 00 00 00\tr1 = 0x5\n\t\t0000:  R_BPF_64_64\tf".to_owned());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut read, mut refused) = (0, 0);
    for _ in 0..40_000 {
        let mut text: Vec<char> = seeds[random(seeds.len())].chars().collect();
        for _ in 0..=random(3) {
            let at = random(text.len());
            match random(5) {
                0 => text[at] = [' ', '\n', ';', '#', '0', '9', '-', '+', ':', 'r', '[', ')', 'é', '<'][random(14)],
                1 => text.insert(at, ['%', '1', 'f', 'w', '\t', '(', '=', ',', '*', '>'][random(10)]),
                2 if text.len() > 1 => drop(text.remove(at)),
                3 => text.swap(at, 0),
                _ => text.extend(['\n'].into_iter().chain(seeds[random(seeds.len())].chars())),
            }
        }
        let text: String = text.into_iter().collect();
        match assemble(&text) {
            Ok(insns) => {
                assert_eq!(assemble(&disassemble(&insns)), Ok(insns), "{text}");
                read += 1;
            }
            Err(error) => {
                let line = text.lines().nth(error.line - 1).unwrap();
                assert!((1..=line.chars().count() + 1).contains(&error.column), "{text:?}: {error}");
                refused += 1;
            }
        }
    }
    assert!(read > 5_000 && refused > 5_000, "{read} read, {refused} refused");
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
        ("callx r3", "line 1, column 1: call by register is reserved"),
        ("call r3", "line 1, column 6: call by register is reserved"),
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
