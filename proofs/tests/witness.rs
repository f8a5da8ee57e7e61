//! Inputs that break refused accesses: the solver finds them, and the interpreter traps on them.

use proofs::witness::{Answer, Lack, Witness, find};
use semantics::asm::assemble;
use semantics::map::{MapDef, MapType};
use semantics::program::Program;
use semantics::program_type::ProgramType;
use semantics::trap::Trap;
use std::sync::Arc;
use std::time::Duration;
use verifier::{Options, Rejection, Verdict, verify};

fn program(text: &str) -> Arc<Program> {
    let insns = assemble(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let maps = vec![MapDef::new("array", MapType::ARRAY, 4, 48, 4), MapDef::new("hash", MapType::HASH, 4, 16, 4)];
    Arc::new(Program::new("test", ProgramType::Xdp, "GPL", maps, insns).unwrap())
}

fn rejection(program: &Arc<Program>) -> Rejection {
    match verify(program, &Options { explain: true, ..Options::default() }) {
        Verdict::Reject(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn answer(message: &str, text: &str) -> Answer {
    let program = program(text);
    let rejection = rejection(&program);
    assert!(rejection.message().contains(message), "{}\n{text}", rejection.message());
    find(&program, &rejection, Duration::from_mins(1))
}

/// The input; `find` has run the interpreter on it.
fn found(message: &str, text: &str) -> Witness {
    match answer(message, text) {
        Answer::Found(witness) => *witness,
        other => panic!("{other:?}\n{text}"),
    }
}

const PACKET: &str = "r2 = *(u32 *)(r1 + 0)\n r3 = *(u32 *)(r1 + 4)\n";
const LOOKUP: &str =
    "r6 = r1\n *(u32 *)(r10 - 4) = 0\n r2 = r10\n r2 += -4\n r1 = map 0 ll\n call 1\n if r0 == 0 goto out\n";
const OUT: &str = "\n out:\n r0 = 0\n exit";

#[test]
fn a_bound_that_is_missing() {
    let witness = found("invalid access to packet", &format!("{PACKET} r0 = *(u32 *)(r2 + 20)\n exit"));
    assert!((14..24).contains(&witness.input.packet.len()), "{witness:?}");
    assert!(matches!(witness.trap, Trap::Memory { write: false, .. }), "{witness:?}");
}

#[test]
fn a_bound_that_is_off_by_one() {
    let text = format!(
        "{PACKET} r4 = r2\n r4 += 14\n if r4 > r3 goto out\n r5 = *(u8 *)(r2 + 12)\n if r5 != 8 goto out\n r0 = *(u16 *)(r2 + 13){OUT}"
    );
    let witness = found("invalid access to packet, off=13 size=2", &text);
    assert_eq!((witness.input.packet.len(), witness.input.packet[12]), (14, 8), "only this length passes the check");
}

#[test]
fn an_index_into_a_value() {
    let text = format!("{LOOKUP} r7 = *(u32 *)(r6 + 12)\n r7 &= 255\n r0 += r7\n r0 = *(u64 *)(r0 + 0){OUT}");
    let witness = found("invalid access to map value", &text);
    let (name, index) = &witness.input.context[0];
    assert_eq!(name, "ingress_ifindex");
    assert!((index & 255) % 56 > 40, "{witness:?}");
}

#[test]
fn a_bound_with_the_wrong_sign() {
    let text = format!(
        "{LOOKUP} r7 = *(u32 *)(r6 + 12)\n r7 &= 255\n r7 += -128\n if r7 s> 40 goto out\n r0 += r7\n r0 = *(u64 *)(r0 + 0){OUT}"
    );
    let witness = found("min value is negative", &text);
    assert!(witness.input.context[0].1 & 255 < 128, "{witness:?}");
}

#[test]
fn an_access_that_never_breaks() {
    // 15 - x + x is 15; the verifier does not see that.
    let text = format!(
        "{LOOKUP} r7 = *(u32 *)(r6 + 12)\n r7 &= 40\n r8 = 40\n r8 -= r7\n r7 += r8\n r0 += r7\n r0 = *(u64 *)(r0 + 0){OUT}"
    );
    let none = answer("invalid access to map value", &text);
    assert!(matches!(none, Answer::None { feasible: true }), "{none:?}");
    // Twice a number is not odd; the verifier takes the path.
    let odd = answer(
        "invalid mem access 'scalar'",
        "r2 = *(u32 *)(r1 + 12)\n r2 &= 1\n r3 = r2\n r3 += r2\n r0 = 0\n if r3 == 1 goto +1\n exit\n r0 = *(u8 *)(r0 + 0)\n exit",
    );
    assert!(matches!(odd, Answer::None { feasible: false }), "{odd:?}");
}

#[test]
fn a_value_that_is_not_there() {
    let text = "*(u32 *)(r10 - 4) = 7\n r2 = r10\n r2 += -4\n r1 = map 1 ll\n call 1\n r0 = *(u64 *)(r0 + 8)\n exit";
    let witness = found("invalid mem access 'map_value_or_null'", text);
    assert!(witness.input.elements.is_empty() && matches!(witness.trap, Trap::Memory { addr: 8, .. }), "{witness:?}");
}

/// The input has the element that the path needs, with the contents that it needs.
#[test]
fn an_element_with_an_index_in_it() {
    let text = format!(
        "*(u32 *)(r10 - 4) = 7\n r2 = r10\n r2 += -4\n r1 = map 1 ll\n call 1\n if r0 == 0 goto out\n r7 = *(u8 *)(r0 + 3)\n
         if r7 > 17 goto out\n if r7 < 16 goto out\n r0 += r7\n *(u8 *)(r0 + 0) = 1{OUT}"
    );
    let witness = found("invalid access to map value", &text);
    let [(1, key, value)] = &witness.input.elements[..] else { panic!("{witness:?}") };
    assert_eq!((&key[..], value.len()), (&[7, 0, 0, 0][..], 16));
    assert!((16..18).contains(&value[3]) && matches!(witness.trap, Trap::Memory { write: true, .. }), "{witness:?}");
}

#[test]
fn through_the_stack_and_a_subprogram() {
    let text = format!(
        "{PACKET} *(u64 *)(r10 - 8) = r2\n *(u64 *)(r10 - 16) = r3\n r1 = r10\n call f\n exit\n
         f:\n r2 = *(u64 *)(r1 - 8)\n r3 = *(u64 *)(r1 - 16)\n r4 = r2\n r4 += 20\n if r4 > r3 goto out\n
         r5 = *(u8 *)(r2 + 19)\n *(u8 *)(r10 - 1) = r5\n r5 = *(u8 *)(r10 - 1)\n if r5 != 77 goto out\n r0 = *(u8 *)(r2 + 20){OUT}"
    );
    let witness = found("invalid access to packet, off=20 size=1", &text);
    assert_eq!((witness.input.packet.len(), witness.input.packet[19]), (20, 77));
}

#[test]
fn a_random_number_is_drawn_from_a_seed() {
    let text = format!("{LOOKUP} r6 = r0\n call 7\n r0 &= 127\n r6 += r0\n r0 = *(u8 *)(r6 + 0){OUT}");
    found("invalid access to map value", &text);
}

#[test]
fn the_stack_at_an_offset_that_varies() {
    let text =
        "r2 = *(u32 *)(r1 + 12)\n r2 &= 15\n r2 += -8\n r3 = r10\n r3 += r2\n *(u8 *)(r3 + 0) = 1\n r0 = 0\n exit";
    let witness = found("invalid variable-offset write to stack", text);
    assert!(witness.input.context[0].1 & 15 >= 8, "{witness:?}");
}

/// The next element lies there: leaving the value is a mistake, but no run of the model shows it.
#[test]
fn an_access_that_lands_elsewhere() {
    let text = format!("{LOOKUP} r0 += 56\n r0 = *(u64 *)(r0 + 0){OUT}");
    let elsewhere = answer("invalid access to map value", &text);
    assert!(matches!(elsewhere, Answer::Elsewhere(_)), "{elsewhere:?}");
}

#[test]
fn what_cannot_be_said() {
    let cannot = |message, text: &str| match answer(message, text) {
        Answer::Cannot(lack) => lack,
        other => panic!("{other:?}"),
    };
    assert_eq!(cannot("!read_ok", "r0 = r2\n exit"), Lack::NoAccess);
    // Without the path.
    let program = program(&format!("{PACKET} r0 = *(u8 *)(r2 + 0)\n exit"));
    let rejection = Rejection { way: None, ..rejection(&program) };
    assert!(matches!(find(&program, &rejection, Duration::from_secs(9)), Answer::Cannot(Lack::NoPath)));
}
