//! Where verdicts and messages differ from those of a Linux, knowingly: each difference with its reason.

use semantics::insn::Version;

use crate::dialect::Dialect;

/// Who says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This verifier accepts, Linux rejects.
    OnlyWeAccept,
    /// This verifier rejects, Linux accepts.
    OnlyTheyAccept,
    /// Both reject, with other words.
    OtherMessage,
}

/// A difference that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its name.
    pub name: &'static str,
    /// Who says what.
    pub side: Side,
    /// The first version that it is seen on.
    pub since: Version,
    /// The first version that it is no longer seen on.
    pub before: Option<Version>,
    /// A part of this verifier's message; empty where it accepts or says various things.
    pub ours: &'static str,
    /// A part of Linux's message; the same.
    pub theirs: &'static str,
    /// Rules under which this verifier must say what Linux says, too, for this to be the reason.
    pub under: Option<Dialect>,
    /// Why it is so.
    pub reason: &'static str,
}

const FIELDS: &str = "Fields are checked when a program is read. Linux looks at most of them when a path comes to the \
    instruction: another mistake may come first, and an instruction on no path may have any.";
const ORDER: &str = "What is no program is refused when it is read, whichever mistake comes first in it; Linux looks for jumps \
    and subprograms first, then for opcodes and 64-bit immediates, then for what is never reached.";

const UNINIT: &str = "Privileged programs may read bytes of the stack that were never written since 6.3, and in 6.1 since one of \
    its later stable versions (`allow_uninit_stack`); the dialect is the later one.";

const CONFIG: &str =
    "The kernels at hand are built without `CONFIG_BPF_KPROBE_OVERRIDE`: no program may call this helper.";

const FRAMES: &str = "Linux 7.2 lets a chain of calls have 16 frames, before it was 8, which is what there is here.";
const RECURSION: &str = "Linux 7.2 looks for functions that call themselves before it follows any path, and names them where it \
    knows their types; here, as before, it is the number of frames that ends recursion.";

/// A difference that is seen since 7.2.
const fn since_7_2(
    name: &'static str,
    side: Side,
    ours: &'static str,
    theirs: &'static str,
    reason: &'static str,
) -> Explained {
    Explained { since: Version(7, 0), ..always(name, side, ours, theirs, reason) }
}

/// A difference that is seen on all versions.
const fn always(
    name: &'static str,
    side: Side,
    ours: &'static str,
    theirs: &'static str,
    reason: &'static str,
) -> Explained {
    Explained { name, side, since: Version(0, 0), before: None, ours, theirs, under: None, reason }
}

/// A read that only early versions of 6.1 refuse.
const fn uninit(name: &'static str, side: Side, theirs: &'static str) -> Explained {
    let (since, before, under) = (Version(6, 1), Some(Version(6, 2)), Some(Dialect::V6_1_EARLY));
    Explained { name, side, since, before, ours: "", theirs, under, reason: UNINIT }
}

/// All of them.
pub const ALL: [Explained; 22] = [
    always("reserved fields first", Side::OtherMessage, " uses reserved fields: ", "", FIELDS),
    always("reserved fields on no path", Side::OnlyTheyAccept, " uses reserved fields: ", "", FIELDS),
    always("register numbers first", Side::OtherMessage, " is invalid: ", "", FIELDS),
    always("register numbers on no path", Side::OnlyTheyAccept, " is invalid: ", "", FIELDS),
    always("opcodes first", Side::OtherMessage, "unknown opcode ", "", ORDER),
    always("64-bit immediates first", Side::OtherMessage, "invalid bpf_ld_imm64 insn: ", "", ORDER),
    always(
        "jumps into 64-bit immediates first",
        Side::OtherMessage,
        "jump into the middle of ldimm64 insn ",
        "",
        ORDER,
    ),
    always(
        "calls to nowhere first",
        Side::OtherMessage,
        "call to invalid destination: ",
        "last insn is not an exit or jmp",
        ORDER,
    ),
    always("override_return", Side::OnlyWeAccept, "", "bpf_override_return#58", CONFIG),
    always("override_return, before another mistake", Side::OtherMessage, "", "bpf_override_return#58", CONFIG),
    always(
        "maps by index",
        Side::OtherMessage,
        " is not pointing to valid bpf_map",
        " is not pointing to valid bpf_map",
        "A map is its index in the program, in a guest it is an open file.",
    ),
    Explained {
        name: "callbacks before what is behind them",
        side: Side::OtherMessage,
        since: Version(6, 1),
        before: Some(Version(6, 7)),
        ours: "At callback return the register R",
        theirs: "the call stack of ",
        under: None,
        reason: "Before 6.7 Linux followed a callback at once and one time; since then, as here in all dialects, it follows what \
            is behind the call first, and the callback any number of times.",
    },
    always("maps first", Side::OtherMessage, " is not pointing to valid bpf_map", "call to invalid destination", ORDER),
    since_7_2("16 frames", Side::OnlyTheyAccept, " frames is too deep", "", FRAMES),
    since_7_2(
        "16 frames, in other words",
        Side::OtherMessage,
        " frames is too deep",
        "the call stack of 17 frames",
        FRAMES,
    ),
    since_7_2("recursion first", Side::OtherMessage, " frames is too deep", "recursive call from ", RECURSION),
    uninit("reads of bytes never written", Side::OnlyWeAccept, "invalid read from stack"),
    uninit("helpers' reads of bytes never written", Side::OnlyWeAccept, "invalid indirect read from stack"),
    uninit("reads of bytes never written, before another mistake", Side::OtherMessage, "invalid read from stack"),
    uninit("reads somewhere among bytes never written", Side::OnlyWeAccept, "invalid variable-offset read from stack"),
    uninit(
        "reads somewhere among bytes never written, before another mistake",
        Side::OtherMessage,
        "invalid variable-offset read from stack",
    ),
    uninit(
        "helpers' reads of bytes never written, before another mistake",
        Side::OtherMessage,
        "invalid indirect read from stack",
    ),
];

/// The reason of a difference, if it is known: which side, on which version, with these messages. `agrees` is asked whether
/// under other rules there is none.
pub fn find(
    side: Side,
    version: Version,
    (ours, theirs): (&str, &str),
    agrees: &mut dyn FnMut(Dialect) -> bool,
) -> Option<&'static Explained> {
    ALL.iter().find(|known| {
        known.side == side
            && known.since <= version
            && known.before.is_none_or(|before| version < before)
            && ours.contains(known.ours)
            && theirs.contains(known.theirs)
            && known.under.is_none_or(&mut *agrees)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_for_its_side_its_versions_and_its_words() {
        let find = |side, version, theirs| find(side, version, ("", theirs), &mut |_| true).map(|known| known.name);
        let message = "invalid read from stack R6 off=-8 size=8";
        assert_eq!(find(Side::OnlyWeAccept, Version(6, 1), message), Some("reads of bytes never written"));
        assert_eq!(find(Side::OnlyWeAccept, Version(6, 2), message), None);
        assert_eq!(find(Side::OnlyTheyAccept, Version(6, 1), message), None);
        assert_eq!(find(Side::OnlyWeAccept, Version(6, 1), "invalid write to stack R6 off=-8 size=8"), None);
    }

    #[test]
    fn what_other_rules_explain_they_must_agree_on() {
        let message = "invalid indirect read from stack R2 off -8+0 size 8";
        let find = |agrees: bool| {
            let mut asked = Vec::new();
            let found = find(Side::OnlyWeAccept, Version(6, 1), ("", message), &mut |dialect| {
                asked.push(dialect);
                agrees
            });
            (found.map(|known| known.name), asked)
        };
        assert_eq!(find(true), (Some("helpers' reads of bytes never written"), vec![Dialect::V6_1_EARLY]));
        assert_eq!(find(false), (None, vec![Dialect::V6_1_EARLY]));
    }

    #[test]
    fn names_are_unique_and_acceptance_is_never_explained_by_anything_at_all() {
        for (at, known) in ALL.iter().enumerate() {
            assert!(ALL[..at].iter().all(|other| other.name != known.name), "{}", known.name);
            assert!(known.side != Side::OnlyWeAccept || !known.theirs.is_empty(), "{}", known.name);
            assert!(!(known.ours.is_empty() && known.theirs.is_empty()), "{}", known.name);
        }
    }
}
