//! What is said beside the message: what is missing, and where the register came from.

use semantics::asm::assemble;
use semantics::insn::Reg;
use semantics::map::{MapDef, MapType};
use semantics::program::Program;
use semantics::program_type::ProgramType;
use std::sync::Arc;
use verifier::explain::{Held, Place, advice};
use verifier::log::Shown;
use verifier::{Options, Pruning, Rejection, Verdict, verify};

fn program(text: &str) -> Arc<Program> {
    let insns = assemble(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let map = MapDef::new("m", MapType::ARRAY, 4, 48, 4);
    Arc::new(Program::new("test", ProgramType::Xdp, "GPL", vec![map], insns).unwrap())
}

fn rejection(program: &Arc<Program>, options: &Options) -> Rejection {
    match verify(program, options) {
        Verdict::Reject(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

const EXPLAIN: Options = Options { explain: true, ..OPTIONS };
const OPTIONS: Options = Options {
    dialect: verifier::Dialect::V6_8,
    record: false,
    pruning: Pruning::Linux,
    log: false,
    check_invariants: false,
    explain: false,
};

/// What is missing, what to do, and the history: `insn place=known`, a line each.
fn explained(text: &str) -> (String, String, Vec<String>) {
    let program = program(text);
    let rejection = rejection(&program, &EXPLAIN);
    let said = advice(&rejection, &program);
    let history = rejection.register().map_or(Vec::new(), |reg| history(&program, &rejection, reg));
    (said.missing, said.suggestion.unwrap_or_default(), history)
}

fn history(program: &Program, rejection: &Rejection, reg: Reg) -> Vec<String> {
    let way = rejection.way.as_ref().expect("the way is kept");
    let origin = way.origin(program, Place::Reg(way.last.depth() as u8, reg));
    let held = |held: &Held| match held {
        Held::Reg(reg) => Shown(reg, program).to_string(),
        Held::Bytes(_) => "bytes".to_owned(),
    };
    origin.iter().map(|of| format!("{} {}={}", of.event.insn, of.change.place, held(&of.change.held))).collect()
}

const LOOKUP: &str = "r6 = r1\n *(u32 *)(r10 - 4) = 0\n r2 = r10\n r2 += -4\n r1 = map 0 ll\n call 1\n";

#[test]
fn a_packet_that_may_be_too_short() {
    let (missing, suggestion, history) = explained(
        "r2 = *(u32 *)(r1 + 0)\n r3 = *(u32 *)(r1 + 4)\n r4 = r2\n r4 += 14\n if r4 > r3 goto +1\n
         r0 = *(u16 *)(r2 + 13)\n r0 = 0\n exit",
    );
    assert_eq!(
        missing,
        "The instruction accesses bytes 13 to 14 of the packet; on this path only its first 14 bytes are known to be there."
    );
    assert_eq!(suggestion, "Leave where `data + 15 > data_end`, before instruction 5.");
    assert_eq!(history, ["0 R2=pkt(r=0)", "4 R2=pkt(r=14)"]);
}

#[test]
fn a_packet_that_nobody_measured() {
    let (missing, suggestion, _) = explained("r2 = *(u32 *)(r1 + 0)\n r0 = *(u8 *)(r2 + 0)\n exit");
    assert!(missing.ends_with("on this path nothing was compared with data_end."), "{missing}");
    assert!(suggestion.contains("data + 1 > data_end"), "{suggestion}");
}

#[test]
fn an_index_that_is_too_large() {
    let text = format!(
        "{LOOKUP} if r0 == 0 goto +4\n r7 = *(u32 *)(r6 + 12)\n r7 &= 255\n r0 += r7\n r0 = *(u64 *)(r0 + 0)\n r0 = 0\n exit"
    );
    let (missing, suggestion, history) = explained(&text);
    assert_eq!(missing, "The offset can be 0..255, 8 bytes are accessed, the value has 48 bytes.");
    assert_eq!(suggestion, "Compare r7 with 40 before instruction 10: `if r7 > 40`, leave.");
    assert_eq!(history.len(), 5, "{history:?}");
    assert_eq!(history[0], "6 R0=map_value_or_null(id=1,map=m,ks=4,vs=48)");
    assert_eq!(history[1], "7 R0=map_value(map=m,ks=4,vs=48)");
    assert!(history[4].starts_with("10 R0=map_value(map=m,ks=4,vs=48,"), "{history:?}");
}

#[test]
fn an_index_that_may_be_negative() {
    let text = format!(
        "{LOOKUP} if r0 == 0 goto +6\n r7 = *(u32 *)(r6 + 12)\n r7 &= 255\n r7 += -128\n if r7 s> 40 goto +2\n r0 += r7\n r0 = *(u64 *)(r0 + 0)\n r0 = 0\n exit"
    );
    let (missing, suggestion, _) = explained(&text);
    assert!(missing.starts_with("The offset can be -"), "{missing}");
    assert!(suggestion.contains("Compare r7 with 40 as an unsigned number"), "{suggestion}");
}

#[test]
fn a_value_that_may_not_be_there() {
    let (missing, suggestion, _) = explained(&format!("{LOOKUP} r0 = *(u64 *)(r0 + 0)\n exit"));
    assert_eq!(missing, "r0 is what map_lookup_elem returned at instruction 6, which may be 0.");
    assert_eq!(suggestion, "Leave where `r0 == 0`, before instruction 7.");
}

#[test]
fn a_register_that_a_call_cleared() {
    let (missing, suggestion, history) = explained("call 7\n r0 = r1\n exit");
    assert_eq!(missing, "What was in r1 is gone since the call at instruction 0.");
    assert!(suggestion.contains("r6 to r9"));
    assert_eq!(history.len(), 1);
    let (missing, ..) = explained("r0 = r2\n exit");
    assert_eq!(missing, "No instruction on this path writes r2 before it is read.");
}

#[test]
fn the_stack() {
    let (missing, suggestion, _) = explained("*(u64 *)(r10 - 520) = 0\n r0 = 0\n exit");
    assert_eq!(missing, "8 bytes at r10-520: the frame is from r10-512 up to r10.");
    assert_eq!(suggestion, "8 bytes fit from r10-512 to r10-8.");
    let (missing, suggestion, _) = explained(
        "r2 = *(u32 *)(r1 + 12)\n r2 &= 15\n r2 += -8\n r3 = r10\n r3 += r2\n *(u8 *)(r3 + 0) = 1\n r0 = 0\n exit",
    );
    assert_eq!(missing, "The address can be r10-8 to r10+7, 1 byte is accessed; the frame is from r10-512 up to r10.");
    assert_eq!(suggestion, "Bound r2 to -512..-1 before instruction 4.");
}

#[test]
fn a_number_that_was_an_address() {
    let text = format!("{LOOKUP} if r0 != 0 goto +1\n r0 = *(u64 *)(r0 + 0)\n r0 = 0\n exit");
    let (missing, ..) = explained(&text);
    assert_eq!(missing, "On this path r0 is 0: it is what instruction 6 returned.");
}

/// Through spills, moves and subprograms.
#[test]
fn a_value_is_followed_back_through_the_stack_and_calls() {
    let (_, _, history) = explained(
        "r2 = *(u32 *)(r1 + 0)\n *(u64 *)(r10 - 8) = r2\n r1 = r10\n call f\n r0 = 0\n exit\n
         f:\n r3 = *(u64 *)(r1 - 8)\n r4 = r3\n r0 = *(u8 *)(r4 + 0)\n exit",
    );
    assert_eq!(history, ["0 R2=pkt(r=0)", "1 fp-8=pkt(r=0)", "6 R3=pkt(r=0)", "7 R4=pkt(r=0)"]);
}

/// The way is that of the rejection, whatever was followed before it: as the path of jumps has it.
#[test]
fn the_way_is_the_rejected_path() {
    let text = "r2 = *(u32 *)(r1 + 12)\n r0 = 0\n if r2 > 5 goto +2\n r0 = 1\n goto +1\n r0 = 2\n if r2 > 9 goto +1\n exit\n r0 = r5\n exit";
    for pruning in Pruning::ALL {
        for record in [false, true] {
            let program = program(text);
            let plain = rejection(&program, &Options { pruning, record, ..OPTIONS });
            assert!(plain.way.is_none());
            let with = rejection(&program, &Options { pruning, record, ..EXPLAIN });
            assert_eq!((with.insn, with.refusal, &with.path), (plain.insn, plain.refusal, &plain.path));
            let way = with.way.expect("kept");
            let jumps: Vec<(usize, bool)> =
                (0..way.events.len()).filter_map(|at| Some((way.events[at].insn, way.taken(at, &program)?))).collect();
            let path: Vec<(usize, bool)> = with.path.iter().map(|step| (step.insn, step.taken)).collect();
            assert_eq!(jumps, path, "{pruning:?} {record}");
            assert_eq!(way.events.last().map(|event| event.insn), Some(with.insn));
        }
    }
}

/// What is about the program as a whole has no path.
#[test]
fn no_way_where_there_is_none() {
    let program = program("goto +1\n r0 = 1\n r0 = 0\n exit");
    let rejection = rejection(&program, &EXPLAIN);
    assert!(rejection.way.is_none());
    assert_eq!(advice(&rejection, &program).missing, rejection.explanation());
}
