//! The rules of evidence: which pieces of evidence prove or refute which claim. They stand in `rules.txt`, word for word as they are hashed,
//! and are read from there: there is no second place that could say something else.

use std::sync::LazyLock;

use semper_core::domain;
use semper_core::hash::Digest;

use super::claim::Verb;
use crate::notice::Sort;

/// The rules, word for word as they are hashed.
pub const RULES: &str = include_str!("rules.txt");

/// The hash of [`RULES`]: decisions name it.
pub fn rules_hash() -> Digest {
    Digest::of(domain::CLAIM_RULES, RULES.as_bytes())
}

/// The rules for one verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// The verb.
    pub verb: Verb,
    /// What it means.
    pub meaning: &'static str,
    /// The lines, in order.
    pub rules: Vec<Rule>,
    /// Who bears it if nothing is proven.
    pub default: &'static str,
}

/// One line: pieces of evidence that together prove or refute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in decisions.
    pub id: &'static str,
    /// What it does.
    pub effect: Effect,
    /// Its words.
    pub words: &'static str,
    /// What is needed, in order.
    pub pieces: Vec<Piece>,
}

impl Rule {
    /// The words of the pieces of evidence that it needs, in order; without what it is about.
    pub fn evidence(&self) -> impl Iterator<Item = &'static str> {
        self.pieces.iter().filter(|piece| matches!(piece.needs, Needs::Shown(_))).map(|piece| piece.words)
    }
}

/// What a complete line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It proves the claim.
    Proven,
    /// It refutes the claim, unless another line proves it.
    Refuted,
    /// It refutes the claim in any case.
    Overturned,
}

/// What a line needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its words.
    pub words: &'static str,
    /// What they mean.
    pub(super) needs: Needs,
}

/// A condition on what the claim is about, or a piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    If(Condition),
    Shown(Evidence),
    /// Shown, and dated by a time-stamp whose authority is trusted.
    Stamped(Evidence),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    IsParty,
    HasArbiter,
    HasNoArbiter,
    IsOneOfMany,
    IsOriginator,
    IsResponder,
    PeerIsResponder,
    IsArbiter,
    IsGuarantor,
    GivesMoney,
    GetsMoney,
    GivesInformation,
    GetsInformation,
    GivesSignature,
    PeerGivesSignature,
    IsOfRight,
    ThroughHands,
    ShowsRight,
    IsSender,
    IsReceiver,
    IsPayer,
    IsPayee,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    Promise(Who),
    Final(Who),
    Quittance(Who),
    Aborted,
    Revoked,
    Resolved,
    Closed,
    Unused,
    Fault(Who),
    Opened(Who),
    Attested(Who),
    Misbehaved(Who),
    AskedBack,
    Taken(Who),
    TakenBack,
    Signature,
    Acceptance,
    Refusal,
    Request,
    Receipt,
    SystemProof,
    SignedByAll,
    LetOff(Who),
    Preimage,
    Transferred,
    Asked,
    PromiseHandedIn,
    FinalHandedIn,
    ContainerHandedIn,
    RightKept,
    RightTaken,
    Deposited,
    DepositShown,
    PaidOn,
    PaidBack,
    Covered,
    Told(Notices),
    ToldHandedIn(Notices),
    ToldTaken(Notices),
}

/// Which notices a line of the rules is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notices {
    Withdrawals,
    Disputes,
    Answers,
    Concessions,
}

impl Notices {
    pub(super) fn holds(self, sort: Sort) -> bool {
        match self {
            Notices::Withdrawals => sort == Sort::Withdrawal,
            Notices::Disputes => sort == Sort::Dispute,
            Notices::Answers => matches!(sort, Sort::Denial | Sort::Concession),
            Notices::Concessions => sort == Sort::Concession,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Actor,
    Peer,
}

const fn condition(condition: Condition) -> Needs {
    Needs::If(condition)
}

const fn shown(evidence: Evidence) -> Needs {
    Needs::Shown(evidence)
}

const fn stamped(evidence: Evidence) -> Needs {
    Needs::Stamped(evidence)
}

/// The words that rules are made of.
const PIECES: [(&str, Needs); 84] = {
    use Condition as C;
    use Evidence as E;
    use Notices as N;
    use Who::{Actor, Peer};
    [
        ("the actor is a party", condition(C::IsParty)),
        ("the contract has an arbiter", condition(C::HasArbiter)),
        ("the contract has no arbiter", condition(C::HasNoArbiter)),
        ("the actor is one of many signers", condition(C::IsOneOfMany)),
        ("the actor is the originator", condition(C::IsOriginator)),
        ("the actor is the responder", condition(C::IsResponder)),
        ("the peer is the responder", condition(C::PeerIsResponder)),
        ("the actor is the arbiter", condition(C::IsArbiter)),
        ("the actor is the guarantor", condition(C::IsGuarantor)),
        ("the actor gives money", condition(C::GivesMoney)),
        ("the actor gets money", condition(C::GetsMoney)),
        ("the actor gives information", condition(C::GivesInformation)),
        ("the actor gets information", condition(C::GetsInformation)),
        ("the actor gives its signature", condition(C::GivesSignature)),
        ("the peer gives its signature", condition(C::PeerGivesSignature)),
        ("a right is passed on for the money", condition(C::IsOfRight)),
        ("money goes through the arbiter's hands", condition(C::ThroughHands)),
        ("the actor is the sender", condition(C::IsSender)),
        ("the actor is the receiver", condition(C::IsReceiver)),
        ("the actor is the payer of a payment", condition(C::IsPayer)),
        ("the actor is the payee of a payment", condition(C::IsPayee)),
        ("promise by the actor", shown(E::Promise(Actor))),
        ("promise by the peer", shown(E::Promise(Peer))),
        ("final by the actor", shown(E::Final(Actor))),
        ("final by the peer", shown(E::Final(Peer))),
        ("quittance by the actor", shown(E::Quittance(Actor))),
        ("quittance by the peer", shown(E::Quittance(Peer))),
        ("verdict \"aborted\"", shown(E::Aborted)),
        ("verdict \"revoked\"", shown(E::Revoked)),
        ("verdict \"resolved\"", shown(E::Resolved)),
        ("closing \"completed\"", shown(E::Closed)),
        ("status \"unused\"", shown(E::Unused)),
        ("ruling \"fault of the actor\"", shown(E::Fault(Actor))),
        ("ruling \"fault of the peer\"", shown(E::Fault(Peer))),
        ("seed by the actor that opens the deposit", shown(E::Opened(Actor))),
        ("key given in the actor's place", shown(E::Attested(Actor))),
        ("key given in the peer's place", shown(E::Attested(Peer))),
        ("proof that what the actor gave is not what was promised", shown(E::Misbehaved(Actor))),
        ("request by the actor for its money back", shown(E::AskedBack)),
        ("the actor's taking of the locked money", shown(E::Taken(Actor))),
        ("the peer's taking of the locked money", shown(E::Taken(Peer))),
        ("the actor's taking back of what it locked", shown(E::TakenBack)),
        ("signature of the sender", shown(E::Signature)),
        ("acceptance by the receiver", shown(E::Acceptance)),
        ("refusal by the receiver", shown(E::Refusal)),
        ("request of the payee", shown(E::Request)),
        ("receipt of the payee", shown(E::Receipt)),
        ("proof of the payment system", shown(E::SystemProof)),
        ("signatures of all on the last round", shown(E::SignedByAll)),
        ("verdict that lets the actor off", shown(E::LetOff(Actor))),
        ("preimage that opens what both give", shown(E::Preimage)),
        ("time-stamp of the promise by the actor", stamped(E::Promise(Actor))),
        ("time-stamp of the final by the actor", stamped(E::Final(Actor))),
        ("time-stamp of the signature of the sender", stamped(E::Signature)),
        ("time-stamp of the acceptance by the receiver", stamped(E::Acceptance)),
        ("time-stamp of the request of the payee", stamped(E::Request)),
        ("time-stamp of the receipt of the payee", stamped(E::Receipt)),
        ("time-stamp of the verdict \"aborted\"", stamped(E::Aborted)),
        ("time-stamp of the verdict \"resolved\"", stamped(E::Resolved)),
        ("proof that the payee's request in the contract was paid", shown(E::Transferred)),
        ("request to the arbiter by the actor", shown(E::Asked)),
        ("submission of the promise by the actor", shown(E::PromiseHandedIn)),
        ("submission of the final by the actor", shown(E::FinalHandedIn)),
        ("submission of the container", shown(E::ContainerHandedIn)),
        ("the actor shows a right", condition(C::ShowsRight)),
        ("use that the issuer keeps for the contract", shown(E::RightKept)),
        ("the issuer's word that the use was taken", shown(E::RightTaken)),
        ("receipt of the arbiter for the actor's deposit", shown(E::Deposited)),
        ("proof that the arbiter's request to the actor was paid", shown(E::DepositShown)),
        ("proof that the actor's request for it was paid", shown(E::PaidOn)),
        ("proof that the actor's request for its money back was paid", shown(E::PaidBack)),
        ("cover by a guarantor", shown(E::Covered)),
        ("withdrawal by the actor", shown(E::Told(N::Withdrawals))),
        ("submission of the withdrawal by the actor", shown(E::ToldHandedIn(N::Withdrawals))),
        ("acknowledgement by the peer of the withdrawal by the actor", shown(E::ToldTaken(N::Withdrawals))),
        ("dispute by the actor", shown(E::Told(N::Disputes))),
        ("submission of the dispute by the actor", shown(E::ToldHandedIn(N::Disputes))),
        ("acknowledgement by the peer of the dispute by the actor", shown(E::ToldTaken(N::Disputes))),
        ("answer by the actor", shown(E::Told(N::Answers))),
        ("submission of the answer by the actor", shown(E::ToldHandedIn(N::Answers))),
        ("acknowledgement by the peer of the answer by the actor", shown(E::ToldTaken(N::Answers))),
        ("answer by the actor that does not deny", shown(E::Told(N::Concessions))),
        ("submission of the answer by the actor that does not deny", shown(E::ToldHandedIn(N::Concessions))),
        (
            "acknowledgement by the peer of the answer by the actor that does not deny",
            shown(E::ToldTaken(N::Concessions)),
        ),
    ]
};

/// The rules, read.
pub fn chapters() -> &'static [Chapter] {
    static CHAPTERS: LazyLock<Vec<Chapter>> =
        LazyLock::new(|| read(RULES).expect("the rules that are compiled in are read by a test"));
    &CHAPTERS
}

/// The rules for a verb.
pub fn chapter(verb: Verb) -> &'static Chapter {
    chapters().iter().find(|chapter| chapter.verb == verb).expect("a test has found rules for every verb")
}

/// The line of a name.
pub fn rule(id: &str) -> Option<&'static Rule> {
    chapters().iter().flat_map(|chapter| &chapter.rules).find(|rule| rule.id == id)
}

fn read(text: &'static str) -> Result<Vec<Chapter>, String> {
    let mut chapters: Vec<Chapter> = Vec::new();
    for line in text.lines() {
        if let Some(claim) = line.strip_prefix("claim ") {
            let (verb, meaning) = claim.split_once(": ").ok_or_else(|| line.to_owned())?;
            let verb = Verb::from_name(verb).ok_or_else(|| line.to_owned())?;
            chapters.push(Chapter { verb, meaning, rules: Vec::new(), default: "" });
            continue;
        }
        let (Some(line), Some(chapter)) = (line.strip_prefix("  "), chapters.last_mut()) else { continue };
        match line.split_once(": ").ok_or_else(|| line.to_owned())? {
            ("default", words) => chapter.default = words,
            (name, words) => chapter.rules.push(read_rule(name, words)?),
        }
    }
    Ok(chapters)
}

fn read_rule(name: &'static str, words: &'static str) -> Result<Rule, String> {
    let (id, effect) = name.split_once(' ').ok_or_else(|| name.to_owned())?;
    let effect = match effect {
        "proven" => Effect::Proven,
        "refuted" => Effect::Refuted,
        "overturned" => Effect::Overturned,
        other => return Err(other.to_owned()),
    };
    let piece = |words: &'static str| {
        let (words, needs) = PIECES.iter().find(|(known, _)| *known == words).ok_or_else(|| words.to_owned())?;
        Ok(Piece { words, needs: *needs })
    };
    let pieces = words.split("; ").map(piece).collect::<Result<_, String>>()?;
    Ok(Rule { id, effect, words, pieces })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    // A rule that is not read, or read as something else, is a rule that nobody applies.
    #[test]
    fn the_rules_are_read_whole() {
        let chapters = read(RULES).unwrap();
        let verbs: Vec<_> = chapters.iter().map(|chapter| chapter.verb).collect();
        assert_eq!(verbs, Verb::ALL, "one chapter for each verb");
        let rules: Vec<_> = chapters.iter().flat_map(|chapter| &chapter.rules).collect();
        let lines = RULES.lines().filter(|line| line.starts_with("  ") && !line.starts_with("  default")).count();
        assert_eq!(rules.len(), lines);
        let ids: BTreeSet<_> = rules.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), rules.len(), "every line has its own name");
        for chapter in &chapters {
            assert!(!chapter.default.is_empty() && !chapter.meaning.is_empty());
            for rule in &chapter.rules {
                assert!(rule.id.starts_with(chapter.verb.name()), "{}", rule.id);
                let last = rule.pieces.last().unwrap();
                assert!(!matches!(last.needs, Needs::If(_)), "{}: the last piece is evidence", rule.id);
                assert!(matches!(rule.pieces[0].needs, Needs::If(_)), "{}: the first piece says about what", rule.id);
                // Else whoever reads what is missing of a contract with an arbiter is told of preimages.
                let has = |needs| rule.pieces.iter().any(|piece| piece.needs == needs);
                let (opened, none) = (Needs::Shown(Evidence::Preimage), Needs::If(Condition::HasNoArbiter));
                assert_eq!(has(opened), has(none), "{}: about contracts without an arbiter", rule.id);
            }
        }
        let used: BTreeSet<_> = rules.iter().flat_map(|rule| &rule.pieces).map(|piece| piece.words).collect();
        assert_eq!(used.len(), PIECES.len(), "every word is used");
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(read("claim paid: x\n  paid-1 proven: the actor is a party; hearsay").is_err());
        assert!(read("claim paid: x\n  paid-1 perhaps: the actor is a party").is_err());
        assert!(read("claim dreamt: x").is_err());
    }
}
