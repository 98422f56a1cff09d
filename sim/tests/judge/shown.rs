//! Claims about the use of a right. What could go wrong: a right counts as used that its issuer kept for another contract, or that nobody showed; an issuer
//! that gives one use twice is not found out, or one that does nothing wrong is blamed.

use std::collections::BTreeMap;

use semper_core::cbor::Encode;
use semper_core::contract::{Core, Item as Given, ItemKind, Profile};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::party::{Role, Suite};
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::verdict::{self, Verdict};
use semper_exchange::claims::{Case, Decision, Misconduct, judge};
use semper_exchange::evidence::{Finding, Folder};
use semper_exchange::gx::Show;
use semper_sim::scenario::Cast;
use semper_sim::symbolic::Hand;
use semper_support::crypto::Signer;
use semper_support::engine::EvidenceKind;
use semper_transfer::credential::{Credential, Reservation, ReservationRequest, Serial, Spend, Uses};

use super::{DEAL, O, Outcome, R, checks, expect, id, item, late, report, without};
use Outcome::{Proven, Refuted, Undecided};

const RIGHT: &str = "one look";
const TAKEN: u64 = 31_536_000;

/// Information for the show of a right: the responder holds it.
struct Scene {
    cast: Cast,
    issuer: Hand,
    credential: Signed,
    show: Show,
    core: Core,
}

fn by(hand: &Hand, statement: &impl Statement) -> Signed {
    hand.sign(statement.draft(hand.key_set().suite(), hand.key_set().id())).unwrap()
}

impl Scene {
    fn new(uses: Uses) -> Self {
        let cast = Cast::default();
        let issuer = cast.oracle.hand(Suite::Ed25519, 7);
        let serial = Serial::from_array([7; 16]);
        let credential = by(
            &issuer,
            &Credential {
                serial,
                issuer: "https://issuer.example".to_owned(),
                holder: id(&cast, R),
                right: RIGHT.to_owned(),
                audience: vec![id(&cast, O)],
                uses,
                transferable: false,
                from: Time::from_unix(1),
                until: Time::from_unix(2 * TAKEN),
                condition: None,
            },
        );
        let show = Show {
            serial,
            issuer: issuer.key_set().id(),
            right: RIGHT.to_owned(),
            credential: credential.id(),
            salt: [8; 32],
        };
        let mut core = cast.core(1);
        core.terms.profile = Profile::Gx;
        let given =
            |kind, owner: Role, descriptor, slot| Given { kind, owner, recipient: owner.peer(), descriptor, slot };
        core.terms.items = vec![
            given(ItemKind::Information, O, Vec::new(), Slot(0)),
            given(ItemKind::Signature, R, show.to_bytes(), Slot(1)),
        ];
        core.deposits = BTreeMap::from([(Slot(0), vec![1])]);
        if let Some(arbiter) = &mut core.terms.arbiter {
            arbiter.deposit_key = Some(Digest::from_array([1; 32]));
        }
        Self { cast, issuer, credential, show, core }
    }

    fn kept(&self, number: Option<u32>) -> Reservation {
        let ReservationRequest { serial, tag, arbiter, until } = self.show.request(&self.core).unwrap();
        Reservation { serial, tag, arbiter, until, number }
    }

    fn spend(&self, number: u32) -> Spend {
        let Reservation { serial, tag, .. } = self.kept(None);
        Spend { serial, tag, number, time: Time::from_unix(TAKEN) }
    }

    fn promises(&self) -> [Signed; 2] {
        [O, R].map(|role| self.cast.promise(&self.core, role, 0))
    }

    fn finals(&self) -> [Signed; 2] {
        [O, R].map(|role| self.cast.completion(&self.core, role))
    }

    fn verdict(&self, outcome: verdict::Outcome) -> Signed {
        let [first, second] = self.promises().map(|promise| promise.id());
        let (cid, basis, time) = (self.core.cid(), vec![first, first, second], Time::from_unix(1000));
        let verdict = Verdict { cid, slot: Slot(0), outcome, basis, prior: Vec::new(), time, log_index: 0 };
        by(&self.cast.arbiter, &verdict)
    }

    fn folder(&self, said: impl IntoIterator<Item = Signed>) -> Folder {
        let mut items = vec![item(EvidenceKind::Core, self.core.to_bytes())];
        for hand in [self.cast.hand(O), self.cast.hand(R), &self.cast.arbiter, &self.issuer] {
            items.push(item(EvidenceKind::KeySet, hand.key_set().to_bytes()));
        }
        let said = [self.credential.clone()].into_iter().chain(self.promises()).chain(said);
        items.extend(said.map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())));
        Folder { deal: DEAL, items }
    }

    #[track_caller]
    fn expect(&self, name: &str, said: Vec<Signed>, outcome: Outcome) {
        expect(name, &self.cast, &[self.folder(said)], &[("used-right(responder)", outcome)]);
    }
}

/// Folders in which a right was used, for the test that every line of the rules is at work.
pub(crate) fn folders() -> Vec<(Cast, Folder)> {
    let scene = Scene::new(Uses::Counted(3));
    let kept = by(&scene.issuer, &scene.kept(Some(2)));
    let [first, last] = scene.finals();
    let verdict = |outcome| vec![kept.clone(), scene.verdict(outcome)];
    let unused = by(
        &scene.cast.arbiter,
        &verdict::ClosedUnused {
            cid: scene.core.cid(),
            slot: Slot(0),
            request: first.id(),
            time: Time::from_unix(1000),
        },
    );
    let said = [
        vec![kept.clone(), first, last, by(&scene.issuer, &scene.spend(2))],
        verdict(verdict::Outcome::Resolved),
        verdict(verdict::Outcome::Aborted),
        vec![unused],
    ];
    said.into_iter().map(|said| (Cast::default(), scene.folder(said))).collect()
}

#[test]
fn a_right_is_used_by_its_holders_final_or_the_arbiters_word() {
    for (uses, number) in [(Uses::Counted(3), Some(2)), (Uses::Unlimited, None)] {
        let scene = Scene::new(uses);
        let kept = by(&scene.issuer, &scene.kept(number));
        let [first, last] = scene.finals();
        let whole = vec![kept.clone(), first.clone(), last.clone()];
        scene.expect("finals", whole.clone(), Proven);
        scene.expect("resolved", vec![kept.clone(), scene.verdict(verdict::Outcome::Resolved)], Proven);
        scene.expect("aborted", vec![kept.clone(), scene.verdict(verdict::Outcome::Aborted)], Refuted);
        scene.expect("kept alone", vec![kept.clone()], Undecided);
        scene.expect("the seller's final alone", vec![kept, first.clone()], Undecided);
        scene.expect("nothing kept", vec![first, last], Undecided);
        // Whoever gives something for a right uses none, and without its credential there is none.
        let folder = scene.folder(whole);
        let table = [("used-right(originator)", Undecided), ("used-right(arbiter)", Undecided)];
        expect("the seller", &scene.cast, std::slice::from_ref(&folder), &table);
        let bare = [without(&folder, Kind::Credential, None)];
        expect("no credential", &scene.cast, &bare, &[("used-right(responder)", Undecided)]);
    }
}

// Each reservation differs in one thing from the one that the arbiter would look at; none of them is what it asks for.
#[test]
fn what_is_kept_for_something_else_is_not_used() {
    let scene = Scene::new(Uses::Counted(3));
    let good = scene.kept(Some(2));
    let stranger = scene.cast.oracle.hand(Suite::Ed25519, 8);
    let [first, last] = scene.finals();
    let with = |kept: Signed| vec![kept, first.clone(), last.clone()];
    scene.expect("the twin", with(by(&scene.issuer, &good)), Proven);
    scene.expect("by somebody else", with(by(&stranger, &good)), Undecided);
    let early = Time::from_unix(good.until.unix() - 1);
    for (name, kept) in [
        ("another contract", Reservation { tag: Digest::from_array([9; 32]), ..good }),
        ("another credential", Reservation { serial: Serial::from_array([9; 16]), ..good }),
        ("another arbiter", Reservation { arbiter: id(&scene.cast, O), ..good }),
        ("not for long enough", Reservation { until: early, ..good }),
        ("a use that there is not", Reservation { number: Some(4), ..good }),
        ("no use", Reservation { number: None, ..good }),
    ] {
        scene.expect(name, with(by(&scene.issuer, &kept)), Undecided);
    }
}

#[test]
fn the_issuer_says_when_the_use_was_taken() {
    let scene = Scene::new(Uses::Counted(3));
    let [first, last] = scene.finals();
    let said = |spend: Spend| {
        [scene.folder([
            by(&scene.issuer, &scene.kept(Some(2))),
            first.clone(),
            last.clone(),
            by(&scene.issuer, &spend),
        ])]
    };
    let (in_time, too_early) =
        ("used-right(responder, before 1971-01-01T00:00:00Z)", "used-right(responder, before 1970-12-31T00:00:00Z)");
    let table = [(in_time, Proven), (too_early, Undecided), ("used-right(responder)", Proven)];
    expect("taken", &scene.cast, &said(scene.spend(2)), &table);
    // Of another use nobody asks.
    expect(
        "another use",
        &scene.cast,
        &said(scene.spend(3)),
        &[(in_time, Undecided), ("used-right(responder)", Proven)],
    );
}

fn blamed(scene: &Scene, said: Vec<Signed>) -> bool {
    let report = report(&scene.cast, &[scene.folder(said)]);
    let cid = scene.core.cid();
    let found =
        report.findings.iter().filter(|finding| matches!(finding, Finding::UseGivenTwice { cid: of } if *of == cid));
    assert!(found.clone().all(|finding| !finding.is_fault()));
    found.count() == 1
}

// One use for two contracts is what an issuer is trusted not to do. What it may do in the course of its business must not convict it.
#[test]
fn an_issuer_that_gives_one_use_twice_is_found_out() {
    let scene = Scene::new(Uses::Counted(3));
    let (kept, spend) = (scene.kept(Some(2)), scene.spend(2));
    let elsewhere = Digest::from_array([9; 32]);
    let stranger = scene.cast.oracle.hand(Suite::Ed25519, 8);
    let mine = || vec![by(&scene.issuer, &kept), by(&scene.issuer, &spend)];
    let and = |other: Signed| [mine(), vec![other]].concat();
    let twice = Spend { tag: elsewhere, ..spend };
    assert!(blamed(&scene, and(by(&scene.issuer, &twice))), "one use for two contracts");
    assert!(blamed(&scene, and(by(&scene.issuer, &Spend { number: 3, ..spend }))), "two uses for one contract");
    // The twins.
    assert!(!blamed(&scene, mine()));
    assert!(!blamed(&scene, and(by(&stranger, &twice))), "somebody else's word");
    let later = Spend { time: Time::from_unix(TAKEN + 1), ..spend };
    assert!(!blamed(&scene, and(by(&scene.issuer, &later))), "the same, said again");
    let next = Spend { tag: elsewhere, number: 3, ..spend };
    assert!(!blamed(&scene, and(by(&scene.issuer, &next))), "the next use for the next contract");
    let foreign = Spend { serial: Serial::from_array([9; 16]), tag: elsewhere, ..spend };
    assert!(!blamed(&scene, and(by(&scene.issuer, &foreign))), "another credential");
    let again = Reservation { tag: elsewhere, until: kept.until.after(Seconds(1)), ..kept };
    assert!(!blamed(&scene, and(by(&scene.issuer, &again))), "kept again after it was freed");

    // A decision says so, whatever was asked, and is read again as it stands.
    let case = Case::of(&[scene.folder(and(by(&scene.issuer, &twice)))]).unwrap();
    let decision = judge(&checks(&scene.cast), &case, &[], &late());
    assert_eq!(decision.misconduct, [Misconduct::UseGivenTwice(scene.core.cid())]);
    assert_eq!(<Decision as semper_core::cbor::Decode>::from_bytes(&decision.to_bytes()).unwrap(), decision);
    let cddl = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/semper.cddl");
    let cddl = format!("root = decision\n{}", std::fs::read_to_string(cddl).unwrap());
    cddl::validate_cbor_from_slice(&cddl, &decision.to_bytes(), None).unwrap();
    assert!(decision.misconduct[0].to_string().contains("misconduct of the issuer"));
}
