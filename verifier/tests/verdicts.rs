//! What is accepted, and what is rejected in which words.

use semantics::asm::assemble;
use semantics::insn::{Insn, Opcode};
use semantics::map::{MapDef, MapType};
use semantics::program::Program;
use semantics::program_type::{AttachType, ProgramType};
use std::sync::Arc;
use verifier::{Dialect, Options, Refusal, Rejection, Verdict, verify};

fn map() -> MapDef {
    MapDef::new("m", MapType::ARRAY, 4, 16, 4)
}

fn program(text: &str, program_type: ProgramType, license: &str) -> Arc<Program> {
    let insns = assemble(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Arc::new(Program::new("test", program_type, license, vec![map()], insns).unwrap())
}

fn verdict(text: &str) -> Verdict {
    verify(&program(text, ProgramType::Xdp, "GPL"), &Options::default())
}

fn rejection(text: &str) -> Rejection {
    match verdict(text) {
        Verdict::Reject(rejection) => rejection,
        other => panic!("{other:?}\n{text}"),
    }
}

fn accepts(text: &str) {
    match verdict(text) {
        Verdict::Accept(_) => {}
        Verdict::Reject(rejection) => panic!("{rejection}\n{text}"),
        Verdict::Unsupported(unsupported) => panic!("{unsupported}\n{text}"),
    }
}

fn rejects(message: &str, text: &str) {
    let rejection = rejection(text);
    assert_eq!(rejection.message(), message, "{text}");
    assert!(rejection.explanation().ends_with('.'), "{}", rejection.explanation());
}

const LOOKUP: &str = "*(u32 *)(r10 - 4) = 1\n r2 = r10\n r2 += -4\n r1 = map 0 ll\n call 1\n";
const PACKET: &str = "r6 = *(u32 *)(r1 + 0)\n r7 = *(u32 *)(r1 + 4)\n r0 = 0\n";

#[test]
fn registers() {
    accepts("r0 = 0; exit");
    rejects("R2 !read_ok", "r0 = r2; exit");
    rejects("R0 !read_ok", "exit");
    rejects("frame pointer is read only", "r10 = 0; r0 = 0; exit");
    rejects("R1 !read_ok", &format!("{LOOKUP} r0 = r1; exit"));
    rejects("R0 invalid mem access 'scalar'", "r0 = 0\n r0 = *(u8 *)(r0 + 0)\n exit");
    // The destination is looked at first.
    rejects("R3 !read_ok", "if w3 <= w2 goto +0\n r0 = 0\n exit");
    rejects("unreachable insn 1", "goto +1\n r0 = 1\n r0 = 0\n exit");
}

#[test]
fn context() {
    accepts("r0 = *(u32 *)(r1 + 12)\n exit");
    rejects("invalid bpf_context access off=12 size=2", "r0 = *(u16 *)(r1 + 12)\n exit");
    rejects("invalid bpf_context access off=24 size=4", "r0 = *(u32 *)(r1 + 24)\n exit");
    rejects("dereference of modified ctx ptr R1 off=4 disallowed", "r1 += 4\n r0 = *(u32 *)(r1 + 8)\n exit");
    rejects("negative offset ctx ptr R1 off=-4 disallowed", "r1 += -4\n r0 = *(u32 *)(r1 + 4)\n exit");
    let variable = "r2 = *(u32 *)(r1 + 12)\n r2 &= 4\n r1 += r2\n r0 = *(u32 *)(r1 + 12)\n exit";
    rejects("variable ctx access var_off=(0x0; 0x4) disallowed", variable);
    let both = "r2 = *(u32 *)(r1 + 12)\n r3 = r10\n *(u64 *)(r10 - 8) = 0\n if r2 == 0 goto skip\n r3 = r1\n goto read\n \
                skip: r3 += -8\n read: r0 = *(u32 *)(r3 + 0)\n r0 = 0\n exit";
    rejects("same insn cannot be used with different pointers", both);
}

#[test]
fn stack() {
    accepts("*(u64 *)(r10 - 8) = r1\n r1 = *(u64 *)(r10 - 8)\n r0 = *(u32 *)(r1 + 12)\n exit");
    rejects("invalid write to stack R10 off=0 size=8", "*(u64 *)(r10 + 0) = r1\n r0 = 0\n exit");
    rejects("invalid write to stack R10 off=-520 size=8", "*(u64 *)(r10 - 520) = r1\n r0 = 0\n exit");
    rejects("misaligned stack access off 0+0+-4 size 8", "r0 = *(u64 *)(r10 - 4)\n exit");
    rejects("invalid size of register spill", "*(u32 *)(r10 - 8) = r1\n r0 = 0\n exit");
    rejects("invalid size of register fill", "*(u64 *)(r10 - 8) = r1\n r0 = *(u32 *)(r10 - 8)\n exit");
    let overwritten =
        "*(u64 *)(r10 - 8) = r1\n *(u8 *)(r10 - 8) = 0\n r1 = *(u64 *)(r10 - 8)\n r0 = *(u32 *)(r1 + 0)\n exit";
    rejects("R1 invalid mem access 'scalar'", overwritten);
    let index = |mask| {
        format!(
            "r2 = *(u32 *)(r1 + 12)\n r2 &= {mask}\n r3 = r10\n r3 += -16\n r3 += r2\n *(u8 *)(r3 + 0) = 0\n r0 = 0\n exit"
        )
    };
    accepts(&index(15));
    rejects("invalid variable-offset write to stack R3 var_off=(0x0; 0x1f) off=-16 size=1", &index(31));
}

#[test]
fn spilled_numbers_keep_their_range() {
    let text = |bound| {
        format!(
            "r6 = r1\n {LOOKUP} if r0 == 0 goto out\n r1 = *(u32 *)(r6 + 12)\n r1 &= {bound}\n *(u64 *)(r10 - 16) = r1\n \
             r2 = *(u64 *)(r10 - 16)\n r0 += r2\n r0 = *(u8 *)(r0 + 0)\n out: r0 = 0\n exit"
        )
    };
    accepts(&text(15));
    rejects(
        "invalid access to map value, value_size=16 off=31 size=1\nR0 max value is outside of the allowed memory range",
        &text(31),
    );
}

#[test]
fn packet() {
    let checked = |compare: &str, access: &str| {
        format!("{PACKET} r2 = r6\n r2 += 14\n if {compare} goto out\n r0 = *({access})\n out: exit")
    };
    for compare in ["r2 > r7", "r7 < r2"] {
        accepts(&checked(compare, "u16 *)(r6 + 12"));
        rejects(
            "invalid access to packet, off=13 size=2, R6(id=0,off=13,r=14)\nR6 offset is outside of the packet",
            &checked(compare, "u16 *)(r6 + 13"),
        );
    }
    // Strictly below the end: one byte more.
    for compare in ["r2 >= r7", "r7 <= r2"] {
        accepts(&checked(compare, "u16 *)(r6 + 13"));
    }
    rejects(
        "invalid access to packet, off=0 size=1, R6(id=0,off=0,r=0)\nR6 offset is outside of the packet",
        &format!("{PACKET} r0 = *(u8 *)(r6 + 0)\n exit"),
    );
    rejects("R7 pointer arithmetic on pkt_end prohibited", &format!("{PACKET} r7 += 1\n exit"));
    let rejection = rejection(&checked("r2 > r7", "u16 *)(r6 + 13"));
    assert_eq!((rejection.insn, rejection.path.len()), (6, 1));
    assert!(rejection.explanation().contains("only 14 bytes of the packet"), "{rejection}");
}

#[test]
fn packet_with_a_variable_offset() {
    let text = |mask| {
        format!(
            "{PACKET} r3 = *(u32 *)(r1 + 12)\n r3 &= {mask}\n r6 += r3\n r2 = r6\n r2 += 4\n if r2 > r7 goto out\n \
             r0 = *(u32 *)(r6 + 0)\n out: exit"
        )
    };
    accepts(&text(0xfff));
    // Beyond the longest packet the addresses might wrap.
    rejects(
        "invalid access to packet, off=0 size=4, R6(id=1,off=0,r=0)\nR6 offset is outside of the packet",
        &text(0xf_ffff),
    );
}

#[test]
fn map_values() {
    accepts(&format!("{LOOKUP} if r0 == 0 goto out\n *(u64 *)(r0 + 8) = 1\n out: r0 = 0\n exit"));
    rejects("R0 invalid mem access 'map_value_or_null'", &format!("{LOOKUP} r0 = *(u8 *)(r0 + 0)\n exit"));
    rejects(
        "R0 pointer arithmetic on map_value_or_null prohibited, null-check it first",
        &format!("{LOOKUP} r0 += 8\n exit"),
    );
    rejects(
        "invalid access to map value, value_size=16 off=12 size=8\nR0 min value is outside of the allowed memory range",
        &format!("{LOOKUP} if r0 == 0 goto out\n *(u64 *)(r0 + 12) = 1\n out: r0 = 0\n exit"),
    );
    let indexed = |learn: &str| {
        format!(
            "r6 = r1\n {LOOKUP} if r0 == 0 goto out\n r1 = *(u64 *)(r0 + 0)\n {learn}\n r0 += r1\n \
             r0 = *(u8 *)(r0 + 0)\n out: r0 = 0\n exit"
        )
    };
    accepts(&indexed("if r1 > 15 goto out"));
    rejects("math between map_value pointer and register with unbounded min value is not allowed", &indexed(""));
    rejects(
        "R0 min value is negative, either use unsigned index or do a if (index >=0) check.",
        &indexed("if r1 s> 15 goto out\n if r1 s< -5 goto out"),
    );
    rejects("R0 unbounded memory access, make sure to bounds check any such access", &indexed("if r1 s< 0 goto out"));
    rejects(
        "value -4294967296 makes map_value pointer be out of bounds",
        &indexed("r2 = -0x100000000 ll\n if r1 s< r2 goto out\n if r1 s> 15 goto out"),
    );
}

#[test]
fn linked_numbers_learn_together() {
    let text = "r6 = *(u32 *)(r1 + 12)\n r7 = r6\n *(u32 *)(r10 - 4) = 0\n r2 = r10\n r2 += -4\n r1 = map 0 ll\n call 1\n \
                if r0 == 0 goto out\n if r6 > 15 goto out\n r0 += r7\n r0 = *(u8 *)(r0 + 0)\n out: r0 = 0\n exit";
    accepts(text);
}

#[test]
fn pointer_arithmetic() {
    rejects("R1 32-bit pointer arithmetic prohibited", "w1 += 1\n r0 = 0\n exit");
    rejects("R1 bitwise operator &= on pointer prohibited", "r1 &= 7\n r0 = 0\n exit");
    rejects("R1 pointer += pointer prohibited", "r1 += r10\n r0 = 0\n exit");
    rejects("R2 tried to subtract pointer from scalar", "r2 = 1\n r2 -= r1\n r0 = 0\n exit");
    rejects("R2 subtraction from stack pointer prohibited", "r2 = r10\n r2 -= 8\n r0 = 0\n exit");
    rejects(
        "fp pointer offset 1073741822 is not allowed",
        "r2 = r10\n r2 += 0x1fffffff\n r2 += 0x1fffffff\n r2 += 0x1fffffff\n r0 = 0\n exit",
    );
    rejects("math between fp pointer and 2147483647 is not allowed", "r2 = r10\n r2 += 0x7fffffff\n r0 = 0\n exit");
    rejects("R1 pointer arithmetic on map_ptr prohibited", "r1 = map 0 ll\n r1 += 8\n r0 = 0\n exit");
    accepts("r2 = r10\n r2 -= r1\n r0 = r2\n exit");
    accepts("r0 = r10\n w0 = w0\n exit");
}

#[test]
fn calls() {
    rejects("invalid func unknown#1234567", "call 1234567\n r0 = 0\n exit");
    rejects("R1 type=ctx expected=map_ptr", "call 1\n exit");
    rejects(
        "R2 type=ctx expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_",
        "r2 = r1\n r1 = map 0 ll\n call 1\n r0 = 0\n exit",
    );
    rejects("R2 !read_ok", "r1 = map 0 ll\n call 1\n exit");
    rejects("invalid indirect access to stack R2 off=-2 size=4", "r2 = r10\n r2 += -2\n r1 = map 0 ll\n call 1\n exit");
    accepts("call 8\n exit");
}

#[test]
fn licenses_and_program_types() {
    let run =
        |text: &str, program_type, license: &str| verify(&program(text, program_type, license), &Options::default());
    let gpl_only = "r1 = r10\n r1 += -8\n r2 = 8\n r3 = 0\n call 4\n r0 = 0\n exit";
    let closed = run("r2 = 4\n call 65\n r0 = 0\n exit", ProgramType::SocketFilter, "GPL");
    assert!(matches!(closed, Verdict::Reject(r) if matches!(r.refusal, Refusal::ClosedHelper { .. })));
    assert!(!run(gpl_only, ProgramType::SocketFilter, "MIT").is_accept());
    let data = "r0 = *(u32 *)(r1 + 76)\n exit";
    let Verdict::Reject(rejection) = run(data, ProgramType::SocketFilter, "GPL") else { panic!() };
    assert_eq!(rejection.message(), "invalid bpf_context access off=76 size=4");
}

/// Types whose rules are not known are never accepted, nor are those that lack what they are attached to.
#[test]
fn unknown_types_and_fields_are_unsupported() {
    for of in ProgramType::ALL {
        let verdict = verify(&program("r0 = 0\n exit", of, "GPL"), &Options::default());
        let message = match &verdict {
            Verdict::Accept(_) => String::new(),
            Verdict::Reject(rejection) => rejection.message(),
            Verdict::Unsupported(unsupported) => unsupported.to_string(),
        };
        let expected = match of {
            ProgramType::Ext => "programs of type ext are not modelled",
            ProgramType::Tracing | ProgramType::Lsm => "Tracing programs must provide btf_id",
            ProgramType::Syscall => "Syscall programs can only be sleepable",
            _ => "",
        };
        assert_eq!(message, expected, "{of}");
        assert_eq!(matches!(verdict, Verdict::Unsupported(_)), !verifier::PROGRAM_TYPES.contains(&of), "{of}");
    }
}

#[test]
fn fields_depend_on_the_attach_type() {
    let egress = program("r0 = *(u32 *)(r1 + 20)\n exit", ProgramType::Xdp, "GPL");
    let Verdict::Reject(rejection) = verify(&egress, &Options::default()) else { panic!() };
    assert_eq!(rejection.message(), "invalid bpf_context access off=20 size=4");
    let devmap = Arc::new(Program::clone(&egress).with_attach(Some(AttachType::XdpDevmap)));
    assert!(verify(&devmap, &Options::default()).is_accept());
}

#[test]
fn loops() {
    accepts("r0 = 0\n again: r0 += 1\n if r0 < 1000 goto again\n exit");
    rejects("infinite loop detected at insn 1", "r0 = 0\n again: if r0 == r1 goto again\n goto again\n");
    let endless = rejection("r0 = 0\n again: r0 += 1\n r0 -= 1\n if r0 == 0 goto again\n exit");
    assert!(matches!(endless.refusal, Refusal::InfiniteLoop { .. }), "{endless}");
    let too_long = rejection("r0 = 0\n again: r0 += 1\n goto again");
    assert!(matches!(too_long.refusal, Refusal::TooLarge { .. }), "{too_long}");
    let undecided =
        "r0 = 0\n r6 = r1\n again: r0 += 1\n r2 = *(u32 *)(r6 + 12)\n if r2 == 7 goto out\n goto again\n out: exit";
    rejects("The sequence of 8193 jumps is too complex.", undecided);
}

#[test]
fn paths_that_join_are_followed_once() {
    let mut text = "r6 = *(u32 *)(r1 + 12)\n r0 = 0\n".to_owned();
    for bit in 0..40 {
        use std::fmt::Write;
        writeln!(
            text,
            "r2 = r6\n r2 &= {}\n if r2 == 0 goto skip{bit}\n r3 = {bit}\n r3 += 1\n skip{bit}: r4 = 1",
            1u64 << (bit % 31)
        )
        .unwrap();
    }
    text.push_str("exit");
    let Verdict::Accept(accepted) = verdict(&text) else { panic!() };
    assert!(accepted.stats.insns < 100_000, "{}", accepted.stats);
}

#[test]
fn log_reads_like_the_kernels() {
    let options = Options { log: true, ..Options::default() };
    let text = "r0 = *(u32 *)(r1 + 12)\n r0 &= 255\n if r0 == 7 goto +1\n exit\n r0 = r2\n exit";
    let Verdict::Reject(rejection) = verify(&program(text, ProgramType::Xdp, "GPL"), &options) else { panic!() };
    for line in [
        " R1=ctx() R10=fp0",
        "1: (57) r0 &= 0xff ; R0=scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))",
        "from 2 to 4: R0=7 R1=ctx() R10=fp0",
        "R2 !read_ok",
        "processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 0",
    ] {
        assert!(rejection.log.lines().any(|l| l == line), "{line}\n{}", rejection.log);
    }
    assert_eq!(rejection.to_string().lines().last(), Some("Path: 2 taken"));
}

/// What each dialect says: nothing where it accepts. Real kernels of these versions say the same.
fn messages(text: &str) -> [String; 4] {
    let program = program(text, ProgramType::Xdp, "GPL");
    Dialect::ALL.map(|dialect| match verify(&program, &Options { dialect, ..Options::default() }) {
        Verdict::Accept(_) => String::new(),
        Verdict::Reject(rejection) => rejection.message(),
        Verdict::Unsupported(unsupported) => panic!("{unsupported}\n{text}"),
    })
}

#[test]
fn dialects_differ() {
    // Early versions of 6.1 forgot stored immediates.
    let spilled = "*(u64 *)(r10 - 8) = 8\n r1 = *(u64 *)(r10 - 8)\n r2 = r10\n r2 += -16\n r2 += r1\n \
                   *(u8 *)(r2 + 0) = 0\n r0 = 0\n exit";
    assert_eq!(messages(spilled), [""; 4]);
    let zero = "r1 = 0\n *(u64 *)(r10 - 8) = r1\n r1 = *(u32 *)(r10 - 4)\n r2 = r10\n r2 += r1\n *(u8 *)(r2 - 1) = 0\n \
                r0 = 0\n exit";
    assert_eq!(messages(zero), [""; 4]);
    // A 0 that was spilled and then cut is nothing; zeros stay zeros.
    let cut = "r1 = 0\n *(u64 *)(r10 - 8) = r1\n *(u8 *)(r10 - 8) = 0\n r1 = *(u64 *)(r10 - 8)\n r0 = 0\n if r1 == 0 goto out\n \
               *(u8 *)(r10 - 520) = 0\n out: exit";
    let found = "invalid write to stack R10 off=-520 size=1";
    assert_eq!(messages(cut), ["", found, found, found]);
}

/// The way that a comparison cannot go is not followed, if the version knows that it cannot.
#[test]
fn ways_that_cannot_be_gone() {
    let outside = "*(u8 *)(r10 - 520) = 0\n out: exit";
    let found = "invalid write to stack R10 off=-520 size=1";
    let apart = format!("r2 = *(u32 *)(r1 + 12)\n r0 = 0\n if r2 > 7 goto out\n if r2 != 9 goto out\n {outside}");
    assert_eq!(messages(&apart), [found, "", "", ""]);
    // In the order of versions: bits decide since late versions of 6.12.
    let bits = format!("r2 = *(u32 *)(r1 + 12)\n r0 = 0\n r2 |= 1\n if r2 != 8 goto out\n {outside}");
    assert_eq!(messages(&bits), [found, found, "", ""]);
    let low = format!("r2 = *(u32 *)(r1 + 12)\n r0 = 0\n w2 |= 1\n if w2 == 8 goto +1\n goto out\n {outside}");
    assert_eq!(messages(&low), [found, found, "", ""]);
}

#[test]
fn an_instruction_to_come_matters_where_it_is_followed() {
    let verdict = |first| {
        let text = format!("r0 = {first}\n if r0 == 0 goto out\n r0 = (s8)r0\n out: exit");
        let options = Options { dialect: Dialect::V6_1, ..Options::default() };
        match verify(&program(&text, ProgramType::Xdp, "GPL"), &options) {
            Verdict::Reject(rejection) => rejection.message(),
            verdict => verdict.is_accept().to_string(),
        }
    };
    assert_eq!(verdict(0), "true");
    assert_eq!(verdict(1), "BPF_MOV uses reserved fields");
}

#[test]
fn what_a_key_may_lie_in() {
    let [v6_1, v6_8, v6_12, v7_2] = messages("r2 = 1\n r1 = map 0 ll\n call 1\n r0 = 0\n exit");
    assert_eq!(v6_1, "R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value");
    assert_eq!((v6_8.strip_prefix(&v6_1), &v6_8), (Some(", mem, ringbuf_mem, buf, trusted_ptr_"), &v6_12));
    assert_eq!(v7_2.strip_prefix(&v6_12), Some(", ctx"));
    let [.., v6_12, v7_2] = messages("r2 = r1\n r1 = map 0 ll\n call 1\n r0 = 0\n exit");
    assert_eq!(
        v6_12,
        "R2 type=ctx expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"
    );
    assert_eq!(v7_2, "R2 type=ctx expected=fp");
}

/// What a later version brought is refused by an earlier one, in its words.
#[test]
fn an_older_linux_does_not_have_newer_instructions() {
    let verdict = |insn: Insn, dialect| {
        let insns = vec![Insn::new(Opcode::Mov64K), insn, Insn::new(Opcode::Exit)];
        let program = Program::new("p", ProgramType::Xdp, "GPL", vec![], insns).unwrap().into();
        match verify(&program, &Options { dialect, ..Options::default() }) {
            Verdict::Reject(rejection) => (rejection.insn, rejection.message()),
            other => panic!("{other:?}"),
        }
    };
    let cases = [
        (Opcode::Movsx8To64, "BPF_MOV uses reserved fields"),
        (Opcode::Sdiv64K, "BPF_ALU uses reserved fields"),
        (Opcode::LdxsB, "BPF_LDX uses reserved fields"),
        (Opcode::Bswap16, "unknown opcode d7"),
    ];
    for (opcode, message) in cases {
        assert_eq!(verdict(Insn::new(opcode), Dialect::V6_1), (1, message.to_owned()));
    }
    let message = "BPF_ATOMIC uses invalid atomic opcode 100".to_owned();
    assert_eq!(verdict(Insn::new(Opcode::LoadAcquireW), Dialect::V6_8), (1, message));
    assert_eq!(verdict(Insn::new(Opcode::StoreReleaseB), Dialect::V6_8), (1, "unknown opcode d3".to_owned()));
}

#[test]
fn loops_that_are_fallen_into() {
    let middle = "r0 = 0\n goto +1\n r0 += 1\n if r0 < 4 goto -2\n exit";
    assert_eq!(messages(middle), ["back-edge from insn 2 to 3", "", "", ""]);
    let itself = "call pc+1\n exit\n call pc-1\n exit";
    let deep = "the call stack of 9 frames is too deep";
    assert_eq!(messages(itself), ["back-edge from insn 2 to 2", deep, deep, deep]);
}

#[test]
fn zeros_beside_a_narrow_spill() {
    let text = "r2 = *(u32 *)(r1 + 12)\n r2 &= 255\n *(u64 *)(r10 - 8) = 0\n *(u32 *)(r10 - 8) = r2\n \
                r0 = *(u64 *)(r10 - 8)\n exit";
    assert_eq!(messages(text), ["", "", "", ""]);
}
