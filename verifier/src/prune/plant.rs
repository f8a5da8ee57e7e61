//! Planted mistakes of rules that are not about numbers: what is followed back, what is still wanted, what a call leaves.

use super::precision::{Note, Traced, Wanted};
use crate::flow;
use crate::insn::jump;
use crate::plant::Plant;
use crate::rules::Rules;
use semantics::insn::{Cond, Insn, Op, Reg, Width};
use semantics::word::Algebra;

/// All of them.
pub fn all<A: Algebra>() -> [Plant<A>; 10] {
    [
        Plant {
            name: "prune_forgets_comparisons",
            story: "the other register of a comparison is not followed back (CVE-2023-2163)",
            apply: |rules| rules.backtrack = without_comparisons,
            only_newest: false,
        },
        Plant {
            name: "prune_forgets_stores",
            story: "what was stored is not followed back to the register that it came from",
            apply: |rules| rules.backtrack = without_stores,
            only_newest: false,
        },
        Plant {
            name: "prune_forgets_arguments",
            story: "what a subprogram was given is not followed back into its caller",
            apply: |rules| rules.backtrack = without_calls,
            only_newest: false,
        },
        Plant {
            name: "prune_forgets_results",
            story: "what a subprogram returned is not followed back into it, as if its exit were none (Linux d84b1a6708ee)",
            apply: |rules| rules.backtrack = without_exits,
            only_newest: false,
        },
        Plant {
            name: "prune_forgets_links",
            story: "a state covers another in which numbers are not linked that were linked in it (PREVAIL 7c70a26b)",
            apply: |rules| rules.stays_linked = |_, _| true,
            only_newest: false,
        },
        Plant {
            name: "prune_only_r10",
            story: "the stack is followed back where R10 itself is the base, not a copy of it (CVE-2023-52920)",
            apply: |rules| rules.backtrack = only_r10,
            only_newest: false,
        },
        Plant {
            name: "prune_atomic_as_store",
            story: "what an atomic operation fetched is not followed back to the slot (CVE-2026-43009)",
            apply: |rules| rules.backtrack = atomic_as_store,
            only_newest: false,
        },
        Plant {
            name: "prune_jset_falls_through",
            story: "of a jump on bits only the way not taken counts for what is still wanted (CVE-2025-38607)",
            apply: |rules| rules.successors = jset_falls_through,
            only_newest: false,
        },
        Plant {
            name: "call_keeps_arguments",
            story: "R1 to R5 are taken to survive the call of a subprogram (PREVAIL dfd26a57)",
            apply: |rules| rules.clobbered = 1,
            only_newest: false,
        },
        Plant {
            name: "jset64_unsynced",
            story: "bits found clear leave the ranges as they were, though the bits are all known now (CVE-2025-39748)",
            apply: jset64_unsynced,
            only_newest: false,
        },
    ]
}

/// Mistakes on the safe side, which nobody may object to: name, story, and how to make them.
pub fn harmless<A: Algebra>() -> [Plant<A>; 2] {
    [
        Plant {
            name: "packet_range_short",
            story: "a pointer strictly below the packet's end proves a byte less than it does (Linux 2fa7d94afc1a)",
            apply: |rules| rules.packet_range = |off, strictly| (off - i64::from(strictly)).max(0),
            only_newest: false,
        },
        Plant {
            name: "prune_follows_r0",
            story: "a change of byte order wants R0 as well (precision of BPF_END before 6.6)",
            apply: |rules| rules.backtrack = end_wants_r0,
            only_newest: false,
        },
    ]
}

fn without_comparisons(wanted: &mut Wanted, traced: Traced, insn: &Insn, next: usize, frame: &mut usize) {
    if !matches!(insn.op(), Op::Jump { .. }) {
        wanted.backtrack(traced, insn, next, frame);
    }
}

fn without_stores(wanted: &mut Wanted, traced: Traced, insn: &Insn, next: usize, frame: &mut usize) {
    if !matches!(insn.op(), Op::Store { .. }) {
        wanted.backtrack(traced, insn, next, frame);
    }
}

fn without_calls(wanted: &mut Wanted, traced: Traced, insn: &Insn, next: usize, frame: &mut usize) {
    match insn.op() {
        Op::CallLocal => *wanted = Wanted::regs(0, 0),
        _ => wanted.backtrack(traced, insn, next, frame),
    }
}

fn without_exits(wanted: &mut Wanted, traced: Traced, insn: &Insn, next: usize, frame: &mut usize) {
    wanted.backtrack(traced, insn, next, frame);
    if insn.op() == Op::Exit {
        *wanted = Wanted::regs(0, 0);
    }
}

fn only_r10(wanted: &mut Wanted, traced: Traced, insn: &Insn, next: usize, frame: &mut usize) {
    let base = match insn.op() {
        Op::Load { .. } | Op::LoadSx { .. } | Op::LoadAcquire { .. } => insn.src,
        Op::Store { .. } | Op::StoreRelease { .. } | Op::Atomic { .. } => insn.dst,
        _ => Reg::FP,
    };
    let traced = if base == Reg::FP { traced } else { Traced { note: Note::default(), ..traced } };
    wanted.backtrack(traced, insn, next, frame);
}

fn atomic_as_store(wanted: &mut Wanted, traced: Traced, insn: &Insn, next: usize, frame: &mut usize) {
    if !matches!(insn.op(), Op::Atomic { .. }) {
        wanted.backtrack(traced, insn, next, frame);
    }
}

fn end_wants_r0(wanted: &mut Wanted, traced: Traced, insn: &Insn, next: usize, frame: &mut usize) {
    let is_order = matches!(insn.op(), Op::Endian { .. });
    if is_order && !wanted.is_empty() {
        wanted.want(*frame, Reg::R0);
    }
    wanted.backtrack(traced, insn, next, frame);
}

fn jset_falls_through(insns: &[Insn], at: usize) -> [Option<usize>; 2] {
    match insns[at].op() {
        Op::Jump { cond: Cond::Set, .. } => [Some(at + 1), None],
        _ => flow::successors(insns, at),
    }
}

fn jset64_unsynced<A: Algebra>(rules: &mut Rules<A>) {
    rules.w64.branch[Cond::Set as usize].fails = |_, dst, src| jump::unsynced(Cond::Set, Width::W64, false, dst, src);
}
