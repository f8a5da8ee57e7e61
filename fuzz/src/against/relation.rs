//! How what two sides say of a program relates.

use serde::{Deserialize, Serialize};
use verifier::Dialect;
use verifier::explained::{self, Explained, Side};

use super::message::cause;
use super::opinion::{Ours, Theirs};

/// How two opinions relate, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// The guest was lost over the program.
    Lost,
    /// The kernel wrote a warning, or worse, to its own log.
    Warning,
    /// We accept, they reject: unsound, unless they are needlessly strict.
    OnlyWeAccept,
    /// We reject, they accept.
    OnlyTheyAccept,
    /// Both reject, with other words.
    OtherMessage,
    /// Both accept; a run ends with another result.
    OtherResult,
    /// Both accept; a run leaves other bytes in the packet.
    OtherPacket,
    /// Both accept; a run leaves other elements in a map.
    OtherMap,
    /// We cannot say.
    Unsupported,
    /// They were not asked, or said no before they looked at the program.
    Impossible,
    /// Both accept, and runs end alike.
    BothAccept,
    /// Both reject, with the same words.
    BothReject,
}

impl Relation {
    /// All of them, the gravest first.
    pub const ALL: [Relation; 12] = [
        Relation::Lost,
        Relation::Warning,
        Relation::OnlyWeAccept,
        Relation::OnlyTheyAccept,
        Relation::OtherMessage,
        Relation::OtherResult,
        Relation::OtherPacket,
        Relation::OtherMap,
        Relation::Unsupported,
        Relation::Impossible,
        Relation::BothAccept,
        Relation::BothReject,
    ];

    /// It in words.
    pub fn words(self) -> &'static str {
        match self {
            Relation::Lost => "the guest was lost",
            Relation::Warning => "the kernel warned",
            Relation::OnlyWeAccept => "we accept, they reject",
            Relation::OnlyTheyAccept => "we reject, they accept",
            Relation::OtherMessage => "both reject, with other words",
            Relation::OtherResult => "another result",
            Relation::OtherPacket => "another packet",
            Relation::OtherMap => "another map",
            Relation::Unsupported => "we cannot say",
            Relation::Impossible => "they were not asked",
            Relation::BothAccept => "both accept",
            Relation::BothReject => "both reject",
        }
    }
    /// Whether somebody is wrong.
    pub fn is_disagreement(self) -> bool {
        self < Relation::Unsupported
    }
    /// Whether both sides said the same.
    pub fn is_agreement(self) -> bool {
        self >= Relation::BothAccept
    }
    /// What the verifier's list of explained differences calls it.
    fn side(self) -> Option<Side> {
        match self {
            Relation::OnlyWeAccept => Some(Side::OnlyWeAccept),
            Relation::OnlyTheyAccept => Some(Side::OnlyTheyAccept),
            Relation::OtherMessage => Some(Side::OtherMessage),
            _ => None,
        }
    }
}

/// A relation with its cause: what both sides say, without particulars.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cause {
    /// The relation.
    pub relation: Relation,
    /// What we say.
    pub ours: String,
    /// What they say.
    pub theirs: String,
}

const ACCEPTED: &str = "accepted";

/// How verdicts and messages relate, and why.
pub fn relate(ours: &Ours, theirs: &Theirs) -> Cause {
    use Relation as R;
    let relation = match (ours, theirs) {
        (_, Theirs::Lost { .. }) => R::Lost,
        (_, Theirs::Impossible(_)) => R::Impossible,
        (Ours::Unsupported(_), _) => R::Unsupported,
        (Ours::Accept { .. }, Theirs::Accept { .. }) => R::BothAccept,
        (Ours::Accept { .. }, Theirs::Reject { .. }) => R::OnlyWeAccept,
        (Ours::Reject { .. }, Theirs::Accept { .. }) => R::OnlyTheyAccept,
        (Ours::Reject { message, is_longer }, Theirs::Reject { message: their, .. }) => {
            let is_same = message == their || *is_longer && message.starts_with(their.as_str());
            if is_same { R::BothReject } else { R::OtherMessage }
        }
    };
    // What cannot be compared is told apart by its own reason alone.
    let ours = match ours {
        _ if relation == R::Impossible => String::new(),
        Ours::Accept { .. } => ACCEPTED.to_owned(),
        Ours::Reject { message, .. } => cause(message),
        Ours::Unsupported(what) => what.to_string(),
    };
    let theirs = match theirs {
        _ if relation == R::Unsupported => String::new(),
        Theirs::Accept { .. } => ACCEPTED.to_owned(),
        Theirs::Reject { message, .. } => cause(message),
        Theirs::Impossible(what) => what.to_string(),
        Theirs::Lost { why } => cause(why.lines().next().unwrap_or_default()),
    };
    Cause { relation, ours, theirs }
}

/// Why the two differ, if that is known. `ask` is what we say of the program under other rules.
pub fn explain(
    cause: &Cause,
    (ours, theirs): (&Ours, &Theirs),
    dialect: Dialect,
    ask: &mut dyn FnMut(Dialect) -> Ours,
) -> Option<&'static Explained> {
    let side = cause.relation.side()?;
    let our_message = if let Ours::Reject { message, .. } = ours { message } else { "" };
    let their_message = if let Theirs::Reject { message, .. } = theirs { message } else { "" };
    let mut agrees = |dialect| relate(&ask(dialect), theirs).relation.is_agreement();
    explained::find(side, dialect.version, (our_message, their_message), &mut agrees)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::against::opinion::{Impossible, Unsupported};

    fn ours(message: &str) -> Ours {
        Ours::Reject { message: message.to_owned(), is_longer: false }
    }
    fn theirs(message: &str) -> Theirs {
        Theirs::Reject { message: message.to_owned(), errno: 13 }
    }

    #[test]
    fn relations() {
        let (we, they) = (Ours::Accept { insns: 3 }, Theirs::Accept { insns: Some(4) });
        let of = |ours: &Ours, theirs: &Theirs| relate(ours, theirs).relation;
        assert_eq!(of(&we, &they), Relation::BothAccept);
        assert_eq!(of(&we, &theirs("R0 !read_ok")), Relation::OnlyWeAccept);
        assert_eq!(of(&ours("R0 !read_ok"), &they), Relation::OnlyTheyAccept);
        assert_eq!(of(&ours("R0 !read_ok"), &theirs("R0 !read_ok")), Relation::BothReject);
        assert_eq!(of(&ours("R0 !read_ok"), &theirs("R1 !read_ok")), Relation::OtherMessage);
        let longer = Ours::Reject { message: "unknown opcode 8f: a shift".to_owned(), is_longer: true };
        assert_eq!(of(&longer, &theirs("unknown opcode 8f")), Relation::BothReject);
        assert_eq!(of(&longer, &theirs("unknown opcode 8e")), Relation::OtherMessage);
        assert_eq!(of(&we, &Theirs::Impossible(Impossible::TooLong)), Relation::Impossible);
        let unsupported = Ours::Unsupported(Unsupported::Insn("arsh64 K"));
        assert_eq!(of(&unsupported, &theirs("R0 !read_ok")), Relation::Unsupported);
        // A kernel that dies is a finding whatever we say of the program.
        assert_eq!(of(&unsupported, &Theirs::Lost { why: "it ended".to_owned() }), Relation::Lost);
    }

    #[test]
    fn causes_leave_particulars_out() {
        let cause = |register: u8| relate(&ours(&format!("R{register} !read_ok")), &theirs("misaligned access off 3"));
        assert_eq!(cause(1), cause(2));
        assert_eq!(cause(1).theirs, "misaligned access off N");
    }

    #[test]
    fn the_order_is_that_of_gravity() {
        assert!(Relation::ALL.is_sorted());
        let wrong: Vec<Relation> = Relation::ALL.into_iter().filter(|relation| relation.is_disagreement()).collect();
        assert_eq!(wrong.last(), Some(&Relation::OtherMap));
        assert!(Relation::ALL.iter().all(|relation| !(relation.is_disagreement() && relation.is_agreement())));
    }
}
