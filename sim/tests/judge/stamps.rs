//! Claims about times that a time-stamp authority has said. What could go wrong: the word of an authority counts that the judge does not
//! trust; a date is proven of a contract of which only a part is dated; a time-stamp proves "after"; a broken algorithm's signature counts on,
//! or one that was dated in time does not.

use proptest::prelude::*;
use semper_core::cbor::{Decode, Encode};
use semper_core::container::{Ack, Disposition};
use semper_core::cose::{Kind, Signed};
use semper_core::hash::Digest;
use semper_core::ids::ContainerId;
use semper_core::imprint::Imprint;
use semper_core::party::{Algorithm, Suite};
use semper_core::time::Time;
use semper_exchange::claims::{Case, Claim, Decision, Outcome, Policy, Revocation, Ruling, Sunset, bind, judge};
use semper_exchange::evidence::{Finding, Folder, Item};
use semper_sim::deal::SIGNING;
use semper_sim::scenario::Cast;
use semper_support::crypto::Signer as _;
use semper_support::engine::EvidenceKind;
use semper_support::stamp::{CertificateId, ReadStamps, Stamp};

use super::{checks, late, letter};
use crate::parties::{O, exchange, item};
use Outcome::{Proven, Undecided};

/// An authority whose tokens are what they say: an imprint, a time, and by whom. Real ones are tested in `modules/trust`.
pub(crate) struct Clerk;

impl ReadStamps for Clerk {
    fn read(&self, token: &[u8], _certificates: &[Vec<u8>]) -> Result<Stamp, String> {
        let (imprint, rest) = token.split_first_chunk::<32>().ok_or("too short")?;
        let (before, by) = rest.split_first_chunk::<8>().ok_or("too short")?;
        let before = Time::from_unix(u64::from_be_bytes(*before));
        let vouchers = vec![CertificateId::of(by)];
        Ok(Stamp { imprint: Imprint::from_array(*imprint), before, name: "a clerk".to_owned(), vouchers })
    }
}

/// Whom [`trusting`] trusts.
pub(crate) const CLERK: &[u8] = b"clerk";
/// 1980-01-01T00:00:00Z, before any of these exchanges is judged.
pub(crate) const DATE: u64 = 315_532_800;
const NEW_YEAR: &str = "1980-01-01T00:00:00Z";
const DAY_BEFORE: &str = "1979-12-31T00:00:00Z";

pub(crate) fn trusting() -> Policy {
    Policy { stampers: vec![CertificateId::of(CLERK)], ..Policy::at(Time::from_unix(2 * DATE)) }
}

fn token(signed: &Signed, before: u64, by: &[u8]) -> Item {
    let bytes = [signed.imprint().as_bytes().as_slice(), &before.to_be_bytes(), by].concat();
    item(EvidenceKind::TimeStamp, bytes)
}

/// The folder with tokens for the statements that `which` picks.
fn dated(folder: &Folder, before: u64, by: &[u8], which: impl Fn(&Signed) -> bool) -> Folder {
    let statements = folder.items.iter().filter(|item| item.kind == EvidenceKind::Statement);
    let signed: Vec<_> = statements.map(|item| Signed::from_bytes(&item.bytes).unwrap()).collect();
    let tokens = signed.iter().filter(|signed| which(signed)).map(|signed| token(signed, before, by));
    Folder { items: folder.items.iter().cloned().chain(tokens).collect(), ..folder.clone() }
}

/// The folder with a token for every statement.
pub(crate) fn all_dated(folder: &Folder) -> Folder {
    dated(folder, DATE, CLERK, |_| true)
}

fn decided(cast: &Cast, folder: &Folder, text: &str, policy: &Policy) -> Ruling {
    let case = Case::of(std::slice::from_ref(folder)).unwrap();
    let claim: Claim = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    let claim = bind(&case.examine(&checks(cast)), &claim);
    judge(&checks(cast), &case, &[claim], policy).rulings.remove(0)
}

fn before(verb: &str, time: &str, by: &str) -> String {
    format!("{verb}, before {time}{by})")
}

#[test]
fn a_contract_is_dated_by_an_authority_that_is_trusted() {
    let made = exchange(SIGNING, None);
    let folder = all_dated(&made.folder(O));
    let of = |text: &str, policy: &Policy| decided(&made.cast, &folder, text, policy).outcome;
    for verb in
        ["agreed(originator", "agreed(responder", "promised(originator", "stamped(originator", "stamped(responder"]
    {
        for by in ["", " by stamp"] {
            assert_eq!(of(&before(verb, NEW_YEAR, by), &trusting()), Proven, "{verb}{by}");
            // One day earlier is another claim, and without trust there is no date.
            assert_eq!(of(&before(verb, DAY_BEFORE, by), &trusting()), Undecided, "{verb}{by}");
            assert_eq!(of(&before(verb, NEW_YEAR, by), &late()), Undecided, "{verb}{by}");
        }
    }
    assert_eq!(of("stamped(originator)", &trusting()), Proven);
    assert_eq!(of("stamped(originator)", &late()), Undecided);
    // It existed before; how long before, nobody says.
    assert_eq!(of("agreed(originator, after 1970-01-02T00:00:00Z)", &trusting()), Undecided);
    // The grounds name the token as well, so that whoever checks finds what was relied on.
    let ruling = |text: &str| decided(&made.cast, &folder, text, &trusting()).grounds[0].evidence.len();
    assert_eq!(ruling(&before("promised(originator", NEW_YEAR, "")), ruling("promised(originator)") + 1);
    // A token of another authority, beside it, takes nothing away.
    let both = dated(&folder, 5, b"somebody else", |_| true);
    let text = before("agreed(originator", NEW_YEAR, " by stamp");
    assert_eq!(decided(&made.cast, &both, &text, &trusting()).outcome, Proven);
    let earlier = before("agreed(originator", "1971-01-01T00:00:00Z", "");
    assert_eq!(decided(&made.cast, &both, &earlier, &trusting()).outcome, Undecided);
}

// "Agreed before" needs both finals before; the one that is dated last would prove what was made yesterday.
#[test]
fn a_contract_of_which_a_part_is_dated_has_no_date() {
    let made = exchange(SIGNING, None);
    let text = before("agreed(originator", NEW_YEAR, "");
    for lacking in [Kind::Final, Kind::Promise] {
        for party in made.cast.key_sets().map(|keys| keys.id()).into_iter().take(2) {
            let all_but = |signed: &Signed| (signed.kind(), signed.signer()) != (lacking, party);
            let folder = dated(&made.folder(O), DATE, CLERK, all_but);
            assert!(folder.items.len() < all_dated(&made.folder(O)).items.len());
            assert_eq!(decided(&made.cast, &folder, &text, &trusting()).outcome, Undecided, "without {lacking}");
        }
    }
    assert_eq!(decided(&made.cast, &all_dated(&made.folder(O)), &text, &trusting()).outcome, Proven);
}

// What a signer says of its own clock stands beside the time-stamp; neither makes the other unproven.
#[test]
fn a_time_stamp_counts_beside_the_signers_own_word() {
    let cast = Cast::default();
    let folder = letter(&cast, Disposition::Accepted);
    let of = |folder: &Folder, text: &str| decided(&cast, folder, text, &trusting()).outcome;
    let said = ["received(receiver, after 1972-01-01T00:00:00Z before 1973-01-01T00:00:00Z)"];
    let stamped = all_dated(&folder);
    assert_eq!((of(&folder, said[0]), of(&stamped, said[0])), (Proven, Proven));
    let by_stamp = before("received(receiver", NEW_YEAR, " by stamp");
    assert_eq!((of(&folder, &by_stamp), of(&stamped, &by_stamp)), (Undecided, Proven));
    assert_eq!(of(&stamped, "received(receiver, before 1973-01-01T00:00:00Z by stamp)"), Undecided);
    // The strongest part that is proven is told.
    let ruling = decided(
        &cast,
        &stamped,
        "received(receiver, after 1971-01-01T00:00:00Z before 1972-06-01T00:00:00Z)",
        &trusting(),
    );
    let instead = ruling.instead.map(|claim| claim.to_string()).unwrap_or_default();
    assert!(ruling.outcome == Undecided && instead.contains("after 1971-01-01T00:00:00Z"), "{instead}");
}

#[test]
fn signatures_past_their_algorithms_time_count_if_they_were_dated_before() {
    for suite in [Suite::Ed25519, Suite::Hybrid] {
        let cast = Cast::new(suite);
        let folder = letter(&cast, Disposition::Accepted);
        let of = |folder: &Folder, sunsets: &[(Algorithm, u64)], trusts: bool| {
            let sunsets =
                sunsets.iter().map(|(algorithm, from)| Sunset { algorithm: *algorithm, from: Time::from_unix(*from) });
            let stampers = if trusts { trusting().stampers } else { Vec::new() };
            let policy = Policy { sunsets: sunsets.collect(), stampers, ..trusting() };
            decided(&cast, folder, "received(receiver)", &policy).outcome
        };
        let stamped = all_dated(&folder);
        let both = |from| [(Algorithm::Ed25519, from), (Algorithm::MlDsa65, from)];
        assert_eq!(of(&folder, &[], false), Proven);
        assert_eq!(of(&folder, &both(DATE), true), Undecided, "{suite:?}: past its time, and not dated");
        assert_eq!(of(&stamped, &both(DATE), true), Proven, "{suite:?}: dated at the last moment");
        assert_eq!(of(&stamped, &both(DATE - 1), true), Undecided, "{suite:?}: dated too late");
        assert_eq!(of(&stamped, &both(DATE), false), Undecided, "{suite:?}: dated by somebody who is not trusted");
        // Judged before that time comes, and with one algorithm of two that stands.
        assert_eq!(of(&folder, &both(3 * DATE), false), Proven);
        let one = of(&folder, &[(Algorithm::Ed25519, 1)], false);
        assert_eq!(one, if suite == Suite::Hybrid { Proven } else { Undecided }, "{suite:?}");
    }
}

// Attack 33: a thief signs with keys that their owner has revoked, or an owner revokes them to be rid of what it has signed. What was dated
// before counts, and nothing else, whichever half of the contract it is.
#[test]
fn key_revoked_between_promise_and_final() {
    let made = exchange(SIGNING, None);
    let folder = made.folder(O);
    let theirs = super::id(&made.cast, crate::parties::R);
    let kind = |signed: &Signed| signed.kind() == Kind::Promise;
    let of = |folder: &Folder, from: u64| {
        let revoked = vec![Revocation { key_set: theirs, from: Time::from_unix(from) }];
        decided(&made.cast, folder, "agreed(responder)", &Policy { revoked, ..trusting() }).outcome
    };
    assert_eq!(of(&all_dated(&folder), DATE), Proven, "all of it was dated before");
    assert_eq!(of(&dated(&folder, DATE, CLERK, kind), DATE), Undecided, "the final came after, for all that is known");
    assert_eq!(of(&folder, DATE), Undecided, "nothing is dated");
    assert_eq!(of(&all_dated(&folder), DATE - 1), Undecided, "dated when the key was revoked already");
    assert_eq!(of(&dated(&folder, DATE, b"crony", |_| true), DATE), Undecided, "dated by somebody who is not trusted");
    assert_eq!(of(&folder, 3 * DATE), Proven, "judged before it was revoked");
    let others = vec![Revocation { key_set: super::id(&made.cast, O), from: Time::from_unix(0) }];
    let judged = |text| decided(&made.cast, &folder, text, &Policy { revoked: others.clone(), ..trusting() }).outcome;
    assert_eq!(judged("promised(responder)"), Proven, "somebody else's keys");
    assert_eq!(judged("promised(originator)"), Undecided);
}

// Attack 36: an arbiter that does not answer. Whoever has asked it in time shows that by somebody else's clock, and by nobody's word alone; that
// it has asked about this contract, and not about another one.
#[test]
fn arbiter_silent_and_request_witnessed() {
    let made = exchange(SIGNING, Some((crate::parties::R, 1)));
    let folder = made.folder(O);
    let folder =
        Folder { items: folder.items.into_iter().filter(|item| !is_by_arbiter(&made.cast, item)).collect(), ..folder };
    let questions = [Kind::Abort, Kind::Resolve];
    let question = |signed: &Signed| questions.contains(&signed.kind());
    let asked = before("asked(originator", NEW_YEAR, " by stamp");
    let of = |folder: &Folder, text: &str| decided(&made.cast, folder, text, &trusting()).outcome;
    assert_eq!(of(&folder, "asked(originator)"), Proven);
    assert_eq!(of(&folder, &asked), Undecided, "by its own clock");
    let witnessed = dated(&folder, DATE, CLERK, question);
    assert_eq!(of(&witnessed, &asked), Proven);
    assert_eq!(of(&witnessed, &before("asked(originator", DAY_BEFORE, " by stamp")), Undecided, "too late");
    assert_eq!(of(&witnessed, &before("asked(responder", NEW_YEAR, " by stamp")), Undecided, "somebody else's request");
    assert_eq!(of(&dated(&folder, DATE, b"crony", question), &asked), Undecided, "by somebody who is not trusted");
    assert_eq!(
        of(&dated(&folder, DATE, CLERK, |signed| !question(signed)), &asked),
        Undecided,
        "dated is something else"
    );
    // The answer, when it comes, changes nothing about who asked.
    assert_eq!(of(&dated(&made.folder(O), DATE, CLERK, question), &asked), Proven);
}

fn is_by_arbiter(cast: &Cast, item: &Item) -> bool {
    let signed = Signed::from_bytes(&item.bytes).ok().filter(|_| item.kind == EvidenceKind::Statement);
    signed.is_some_and(|signed| signed.signer() == cast.arbiter.key_set().id())
}

// A policy that loses its trust on the way would make another judge find something else.
#[test]
fn a_decision_carries_whom_it_trusted_and_is_checked_with_that() {
    let made = exchange(SIGNING, None);
    let sunsets = vec![Sunset { algorithm: Algorithm::MlDsa65, from: Time::from_unix(7) }];
    let revoked = vec![Revocation { key_set: super::id(&made.cast, O), from: Time::from_unix(3 * DATE) }];
    let policy = Policy { sunsets, revoked, ..trusting() };
    assert_eq!(Policy::from_bytes(&policy.to_bytes()).unwrap(), policy);
    let case = Case::of(&[all_dated(&made.folder(O))]).unwrap();
    let claim = before("agreed(originator", NEW_YEAR, " by stamp").parse().unwrap();
    let decision = judge(&checks(&made.cast), &case, &[claim], &policy);
    assert_eq!(decision.rulings[0].outcome, Proven);
    let cddl = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/semper.cddl");
    let cddl = format!("root = decision\n{}", std::fs::read_to_string(cddl).unwrap());
    cddl::validate_cbor_from_slice(&cddl, &decision.to_bytes(), None).unwrap();
    let read = Decision::from_bytes(&decision.to_bytes()).unwrap();
    assert_eq!(read.again(&checks(&made.cast), &case).unwrap(), decision);
    let lied = Decision { policy: late(), ..decision };
    assert_ne!(lied.again(&checks(&made.cast), &case).unwrap(), lied);
}

// A token that dates nothing in the folder, or is none, is a fault of the folder and no evidence.
#[test]
fn what_dates_nothing_is_a_fault() {
    let made = exchange(SIGNING, None);
    let other = exchange(SIGNING, Some((O, 1)));
    let folder = made.folder(O);
    let ack = Ack {
        container: ContainerId::from_digest(Digest::from_array([9; 32])),
        disposition: Disposition::Accepted,
        time: Time::from_unix(1),
    };
    let stranger = other.cast.say(O, &ack, 0);
    for (bad, words) in [
        (token(&stranger, DATE, CLERK), "dates the signature of no statement"),
        (item(EvidenceKind::TimeStamp, vec![1; 8]), "too short"),
    ] {
        let mut folder = folder.clone();
        folder.items.push(bad);
        let report = Case::of(&[folder]).unwrap().examine(&checks(&made.cast));
        assert!(report.stamps.is_empty());
        assert!(report.findings.iter().any(|finding| finding.to_string().contains(words)), "{:?}", report.findings);
    }
    let report = Case::of(&[all_dated(&folder)]).unwrap().examine(&checks(&made.cast));
    assert_eq!(report.stamps.len(), 4);
    let faults = |finding: &&Finding| matches!(finding, Finding::TimeStamp { .. });
    assert_eq!(report.findings.iter().filter(faults).count(), 0, "{:?}", report.findings);
}

proptest! {
    // Whatever is dated, and however early or late: nobody proves a time that no trusted authority has said.
    #[test]
    fn nothing_is_proven_before_the_time_that_was_said(at in 86_400_u64..DATE, said in 86_400_u64..DATE) {
        let cast = Cast::default();
        let folder = dated(&letter(&cast, Disposition::Accepted), said, CLERK, |_| true);
        let day = |time: u64| {
            let text = Time::from_unix(time).to_string();
            text.trim_end_matches(" UTC").replace(' ', "T") + "Z"
        };
        let text = before("offered(sender", &day(at), " by stamp");
        let outcome = decided(&cast, &folder, &text, &trusting()).outcome;
        prop_assert_eq!(outcome == Proven, said <= at);
    }
}
