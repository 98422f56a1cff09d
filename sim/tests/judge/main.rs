//! Claims over folders that the real machines have made. What could go wrong: a claim is proven that is not true, one that is true is not
//! proven, evidence that somebody adds or leaves out makes a lie of it, two judges differ.
#![allow(clippy::unwrap_used)]

mod covered;
mod hands;
mod letter;
mod locks;
mod many;
mod notice;
mod parties;
mod right;
mod shown;
mod stamps;
mod submission;
mod till;
mod transfer;
mod vectors;

use std::collections::BTreeSet;

use parties::{DEAL, Exchange, O, R, Silent, exchange, item};
use proptest::prelude::*;
use proptest::sample::Index;
use semper_core::amount::Amount;
use semper_core::cbor::{Decode, Encode};
use semper_core::container::{Ack, Attributes, Container, ContainerStatement, Disposition, Information, Leaf, Node};
use semper_core::contract::{Final, Quittance};
use semper_core::cose::{Kind, Signed};
use semper_core::ids::{KeySetId, Slot, StatementId};
use semper_core::party::Role;
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::request::Abort;
use semper_exchange::arbiter::verdict::{self, ClosedUnused, Verdict};
use semper_exchange::claims::{
    Actor, Case, Claim, Decision, Did, Misconduct, Outcome, Period, Policy, Ruling, Uncheckable, Verb, bind, judge,
    positions, questions, rules,
};
use semper_exchange::evidence::{Checks, Folder, Item, Report, Source};
use semper_exchange::gx::Leg;
use semper_sim::deal::{MAIL, PURCHASE, RECEIPT, SIGNING, Thing, Things};
use semper_sim::scenario::Cast;
use semper_support::crypto::Signer as _;
use semper_support::engine::{Ending, EvidenceKind};
use semper_transfer::payment::claim::Proof;
use semper_transfer::payment::means::System;
use semper_transfer::payment::statement::{PaymentReceipt, PaymentRequest, Side};
use till::{PAID, SYSTEMS, taken};

use Outcome::{Proven, Refuted, Undecided};

const GARBAGE: Things = [Thing::BadInformation, Thing::Money];

fn checks(cast: &Cast) -> Checks<'_> {
    let (kem, stamps, submissions) = (Some(&cast.oracle as _), Some(&stamps::Clerk as _), Some(&submission::Desk as _));
    Checks { verify: &cast.oracle, kem, systems: &SYSTEMS, stamps, submissions }
}

fn late() -> Policy {
    Policy::at(Time::from_unix(100_000_000))
}

fn report(cast: &Cast, folders: &[Folder]) -> Report {
    Case::of(folders).unwrap().examine(&checks(cast))
}

/// Judges one claim, bound to the only thing that it can mean.
fn ruling(cast: &Cast, folders: &[Folder], text: &str) -> Ruling {
    let claim: Claim = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    let case = Case::of(folders).unwrap();
    let claim = bind(&case.examine(&checks(cast)), &claim);
    judge(&checks(cast), &case, &[claim], &late()).rulings.remove(0)
}

#[track_caller]
fn expect(name: &str, cast: &Cast, folders: &[Folder], table: &[(&str, Outcome)]) {
    for (text, outcome) in table {
        let ruling = ruling(cast, folders, text);
        assert_eq!(ruling.outcome, *outcome, "{name}: {text}: {ruling:#?}");
        assert_eq!(ruling.grounds.is_empty(), *outcome == Undecided, "{name}: {text}: {ruling:#?}");
    }
}

fn kind_of(item: &Item) -> Option<Kind> {
    (item.kind == EvidenceKind::Statement).then(|| Signed::from_bytes(&item.bytes).unwrap().kind())
}

/// The folder without the statements of a kind by one signer (or anybody).
fn without(folder: &Folder, kind: Kind, by: Option<KeySetId>) -> Folder {
    let mut folder = folder.clone();
    let goes = |item: &Item| {
        kind_of(item) == Some(kind) && by.is_none_or(|by| Signed::from_bytes(&item.bytes).unwrap().signer() == by)
    };
    let before = folder.items.len();
    folder.items.retain(|item| !goes(item));
    assert!(folder.items.len() < before, "the folder holds no {kind}");
    folder
}

fn id(cast: &Cast, role: Role) -> KeySetId {
    cast.hand(role).key_set().id()
}

/// An exchange, and what is true of it as each side can prove it.
struct Row {
    name: &'static str,
    things: Things,
    silent: Silent,
    endings: [Option<Ending>; 2],
    originator: &'static [(&'static str, Outcome)],
    responder: &'static [(&'static str, Outcome)],
}

const ROWS: &[Row] = &[
    Row {
        name: "a contract, signed by both",
        things: SIGNING,
        silent: None,
        endings: [Some(Ending::Success), Some(Ending::Success)],
        originator: &[
            ("offered(originator)", Proven),
            ("promised(responder)", Proven),
            ("agreed(originator)", Proven),
            ("agreed(responder)", Proven),
            ("aborted(arbiter)", Undecided),
            ("not(aborted(arbiter))", Undecided),
            ("and(agreed(originator), agreed(responder))", Proven),
            ("or(aborted(arbiter), agreed(responder))", Proven),
            // Nobody has said when.
            ("agreed(originator, before 2030-01-01T00:00:00Z)", Undecided),
        ],
        responder: &[("agreed(originator)", Proven), ("agreed(responder)", Proven), ("resolved(arbiter)", Undecided)],
    },
    Row {
        name: "a contract that the responder did not answer",
        things: SIGNING,
        silent: Some((R, 0)),
        endings: [Some(Ending::Aborted), None],
        originator: &[
            ("promised(originator)", Proven),
            ("agreed(responder)", Refuted),
            ("not(agreed(responder))", Proven),
            ("aborted(arbiter)", Proven),
            ("aborted(arbiter, before 2030-01-01T00:00:00Z by log)", Proven),
            ("aborted(arbiter, after 2030-01-01T00:00:00Z)", Undecided),
            ("resolved(arbiter)", Refuted),
        ],
        responder: &[],
    },
    Row {
        name: "a contract that the arbiter completed",
        things: SIGNING,
        silent: Some((R, 1)),
        endings: [Some(Ending::Success), None],
        originator: &[
            ("agreed(responder)", Proven),
            ("agreed(responder, before 2030-01-01T00:00:00Z by log)", Proven),
            ("resolved(arbiter)", Proven),
            ("aborted(arbiter)", Refuted),
        ],
        responder: &[("promised(originator)", Proven), ("agreed(originator)", Undecided)],
    },
    Row {
        name: "an honest purchase",
        things: PURCHASE,
        silent: None,
        endings: [Some(Ending::Success), Some(Ending::Success)],
        originator: &[
            ("agreed(responder)", Proven),
            ("delivered(originator)", Proven),
            ("delivered(sender)", Proven),
            ("received(responder)", Proven),
            ("received(receiver)", Proven),
            ("not(faulted(originator))", Proven),
            ("refunded(responder)", Refuted),
            ("paid(responder)", Proven),
            ("received-money(payee)", Proven),
        ],
        responder: &[
            ("agreed(originator)", Proven),
            ("delivered(originator)", Proven),
            ("paid(payer, >= 1.00 EUR)", Proven),
            ("paid(payer, >= 1.01 EUR)", Undecided),
            ("faulted(originator)", Refuted),
        ],
    },
    Row {
        name: "garbage for money",
        things: GARBAGE,
        silent: None,
        endings: [Some(Ending::Faulted), Some(Ending::Refunded)],
        originator: &[],
        responder: &[
            ("agreed(originator)", Refuted),
            ("faulted(originator)", Proven),
            ("delivered(originator)", Refuted),
            ("paid(responder)", Refuted),
            ("received-money(payee)", Refuted),
            ("refunded(responder)", Proven),
            ("refunded(payer, >= 1.00 EUR <= 1.00 EUR)", Proven),
            ("refunded(payer, >= 0.50 EUR)", Proven),
            ("refunded(payer, >= 2.00 EUR)", Undecided),
        ],
    },
    Row {
        name: "garbage from a seller that falls silent after its promise",
        things: GARBAGE,
        silent: Some((O, 1)),
        endings: [None, Some(Ending::Refunded)],
        originator: &[],
        responder: &[
            ("agreed(originator)", Proven),
            ("faulted(originator)", Proven),
            ("delivered(originator)", Refuted),
            ("paid(responder)", Refuted),
            ("refunded(responder, >= 1.00 EUR)", Proven),
        ],
    },
    Row {
        name: "a seller that falls silent after its promise",
        things: PURCHASE,
        silent: Some((O, 1)),
        endings: [None, Some(Ending::Success)],
        originator: &[],
        responder: &[
            ("agreed(originator)", Proven),
            ("resolved(arbiter)", Proven),
            ("delivered(originator)", Proven),
            ("received(responder)", Proven),
            ("paid(responder)", Undecided),
            ("faulted(originator)", Undecided),
        ],
    },
    Row {
        name: "a buyer that falls silent when it has the goods",
        things: PURCHASE,
        silent: Some((R, 1)),
        endings: [Some(Ending::Success), None],
        originator: &[
            ("agreed(responder)", Proven),
            ("delivered(originator)", Proven),
            ("paid(responder, >= 1.00 EUR)", Proven),
            ("received-money(originator)", Proven),
            ("not(faulted(originator))", Proven),
            ("refunded(responder)", Refuted),
        ],
        responder: &[],
    },
    Row {
        name: "a payment with receipt",
        things: RECEIPT,
        silent: None,
        endings: [Some(Ending::Success), Some(Ending::Success)],
        originator: &[
            ("paid(originator, >= 1.00 EUR)", Proven),
            ("received-money(responder, >= 1.00 EUR)", Proven),
            ("paid(payer, >= 1.01 EUR)", Undecided),
            ("refunded(originator)", Refuted),
        ],
        responder: &[("paid(payer)", Proven)],
    },
    Row {
        name: "a payment whose payee keeps the receipt",
        things: RECEIPT,
        silent: Some((R, 1)),
        endings: [Some(Ending::Success), None],
        originator: &[("paid(originator, >= 1.00 EUR)", Proven), ("agreed(responder)", Proven)],
        responder: &[("paid(originator)", Undecided)],
    },
    Row {
        name: "a payment that its payee did not answer",
        things: RECEIPT,
        silent: Some((R, 0)),
        endings: [Some(Ending::Aborted), None],
        originator: &[
            ("paid(originator)", Refuted),
            ("received-money(responder)", Refuted),
            ("refunded(originator, >= 1.00 EUR)", Proven),
        ],
        responder: &[],
    },
    Row {
        name: "certified mail",
        things: MAIL,
        silent: None,
        endings: [Some(Ending::Success), Some(Ending::Success)],
        originator: &[
            ("received(responder)", Proven),
            ("delivered(originator)", Proven),
            ("received(originator)", Undecided),
        ],
        responder: &[("delivered(sender)", Proven), ("received(receiver)", Proven)],
    },
    Row {
        name: "certified mail that nobody took",
        things: MAIL,
        silent: Some((R, 0)),
        endings: [Some(Ending::Aborted), None],
        originator: &[
            ("received(responder)", Refuted),
            ("delivered(originator)", Refuted),
            ("aborted(arbiter)", Proven),
        ],
        responder: &[],
    },
    Row {
        name: "certified mail whose receiver keeps the receipt",
        things: MAIL,
        silent: Some((R, 1)),
        endings: [Some(Ending::Success), None],
        originator: &[("received(responder)", Proven), ("delivered(originator)", Proven)],
        responder: &[("received(responder)", Undecided)],
    },
];

#[test]
fn what_happened_is_proven_and_what_did_not_is_not() {
    for row in ROWS {
        let made = exchange(row.things, row.silent);
        assert_eq!(made.endings, row.endings, "{}", row.name);
        for (role, table) in [(O, row.originator), (R, row.responder)] {
            expect(row.name, &made.cast, &[made.folder(role)], table);
            // Whatever one side can prove stands when the other shows its folder too.
            for (text, outcome) in table.iter().filter(|(_, outcome)| *outcome != Undecided) {
                let both = ruling(&made.cast, &made.folders, text);
                assert_eq!(both.outcome, *outcome, "{}, both folders: {text}", row.name);
            }
        }
    }
}

/// An exchange and who keeps the folder, a claim that it proves, and the statements without which it does not: their kind and signer.
type Removed = (Things, Silent, Role, &'static str, Kind, Option<Role>);

// Each decisive piece, left out: the claim must fall. A table in which nothing falls would show that the rules look at nothing.
#[test]
fn without_its_decisive_piece_a_claim_is_not_proven() {
    let cases: [Removed; 13] = [
        (SIGNING, None, O, "agreed(responder)", Kind::Final, Some(R)),
        (SIGNING, None, O, "agreed(responder)", Kind::Promise, Some(O)),
        (SIGNING, Some((R, 1)), O, "agreed(responder)", Kind::Verdict, None),
        (SIGNING, Some((R, 1)), O, "agreed(responder)", Kind::Promise, Some(R)),
        (SIGNING, Some((R, 0)), O, "not(agreed(responder))", Kind::Verdict, None),
        (PURCHASE, None, O, "received(responder)", Kind::Final, Some(R)),
        (PURCHASE, Some((O, 1)), R, "delivered(originator)", Kind::KeyAttestation, None),
        (PURCHASE, None, R, "paid(responder)", Kind::Quittance, Some(O)),
        (PURCHASE, Some((R, 1)), O, "not(faulted(originator))", Kind::Closing, None),
        (GARBAGE, None, R, "refunded(responder)", Kind::Settlement, None),
        (RECEIPT, None, O, "paid(originator)", Kind::Final, Some(R)),
        (MAIL, None, O, "received(responder)", Kind::Final, Some(R)),
        (MAIL, Some((R, 1)), O, "received(responder)", Kind::Verdict, None),
    ];
    for (things, silent, keeper, text, kind, by) in cases {
        let made = exchange(things, silent);
        let whole = made.folder(keeper);
        assert_eq!(ruling(&made.cast, std::slice::from_ref(&whole), text).outcome, Proven, "{text}");
        let less = without(&whole, kind, by.map(|role| id(&made.cast, role)));
        let found = ruling(&made.cast, &[less], text);
        assert_eq!(found.outcome, Undecided, "{text} without {kind}");
        assert!(!found.missing.is_empty(), "{text} without {kind}: what is missing is said");
    }
    // The proof against the seller, and the key without which nobody can try a seed.
    let made = exchange(GARBAGE, None);
    let mut folder = without(&made.folder(R), Kind::Verdict, None);
    let text = "faulted(originator)";
    assert_eq!(ruling(&made.cast, &[folder.clone()], text).outcome, Proven, "the proof speaks without the arbiter");
    let proofs = folder.items.iter().filter(|item| item.kind == EvidenceKind::Misbehaviour).count();
    folder.items.retain(|item| item.kind != EvidenceKind::Misbehaviour);
    assert_eq!((proofs, ruling(&made.cast, &[folder], text).outcome), (1, Undecided));
}

/// What somebody might slip into a folder: statements of strangers, of another contract, unsigned ones, altered ones.
fn foreign(made: &Exchange) -> Vec<Item> {
    let stranger = Cast { oracle: semper_sim::symbolic::Oracle::new([9; 32]), ..Cast::default() };
    let stranger =
        Cast { parties: [1, 2].map(|n| stranger.oracle.hand(semper_core::party::Suite::Ed25519, n)), ..stranger };
    let (core, other) = (&made.deal.core, made.cast.core(77));
    let signed = |signed: &Signed| item(EvidenceKind::Statement, signed.bytes().to_vec());
    let mut items = vec![
        // Signed by nobody who could: the same key sets, another algebra.
        signed(&stranger.promise(core, O, 0)),
        signed(&stranger.completion(core, O)),
        signed(&stranger.completion(core, R)),
        // Validly signed, about another contract.
        signed(&made.cast.completion(&other, O)),
        signed(&made.cast.completion(&other, R)),
        // The payer in the payee's place, and the payee about another contract.
        signed(&made.cast.say(R, &Quittance { cid: core.cid(), role: O }, 0)),
        signed(&made.cast.say(O, &Quittance { cid: other.cid(), role: O }, 0)),
        // A final over promises that nobody has made.
        signed(&made.cast.say(
            R,
            &Final {
                cid: core.cid(),
                role: R,
                promises: [StatementId::from_digest(*other.cid().digest()); 2],
                slot: Slot::default(),
            },
            0,
        )),
        item(EvidenceKind::Misbehaviour, b"junk".to_vec()),
        item(EvidenceKind::Payment, b"junk".to_vec()),
        item(EvidenceKind::Redemption, b"junk".to_vec()),
    ];
    // The party speaks as the arbiter.
    for outcome in [verdict::Outcome::Aborted, verdict::Outcome::Resolved, verdict::Outcome::Fault(R)] {
        let basis = made.cast.promise_ids(core).to_vec();
        let verdict = Verdict {
            cid: core.cid(),
            slot: Slot::default(),
            outcome,
            basis,
            prior: Vec::new(),
            time: Time::from_unix(5),
            log_index: 0,
        };
        items.push(signed(&made.cast.say(R, &verdict, 0)));
    }
    items
}

#[test]
fn foreign_and_forged_pieces_change_nothing() {
    for row in ROWS {
        let made = exchange(row.things, row.silent);
        for (role, table) in [(O, row.originator), (R, row.responder)] {
            let mut folder = made.folder(role);
            folder.items.extend(foreign(&made));
            expect(row.name, &made.cast, &[folder], table);
        }
    }
}

#[test]
fn an_arbiter_that_is_not_trusted_proves_nothing() {
    let made = exchange(SIGNING, Some((R, 1)));
    let case = Case::of(&[made.folder(O)]).unwrap();
    let claim = bind(&case.examine(&checks(&made.cast)), &"agreed(responder)".parse().unwrap());
    let decided = |arbiters| {
        let policy = Policy { arbiters, ..late() };
        judge(&checks(&made.cast), &case, std::slice::from_ref(&claim), &policy).rulings[0].outcome
    };
    assert_eq!(decided(Some(vec![made.cast.arbiter.key_set().id()])), Proven);
    assert_eq!(decided(Some(vec![id(&made.cast, O)])), Undecided);
    assert_eq!(decided(Some(Vec::new())), Undecided);
    // Finals need nobody's word.
    let made = exchange(SIGNING, None);
    let case = Case::of(&[made.folder(O)]).unwrap();
    let policy = Policy { arbiters: Some(Vec::new()), ..late() };
    assert_eq!(
        judge(&checks(&made.cast), &case, &[claim_of(&made, "agreed(responder)")], &policy).rulings[0].outcome,
        Proven
    );
}

// A proof of misbehaviour under a key that the arbiter attests is the arbiter's word; one under the seller's own seed is nobody's.
#[test]
fn an_arbiter_that_is_not_trusted_convicts_nobody() {
    for (silent, outcome) in [(None, Proven), (Some((O, 1)), Undecided)] {
        let made = exchange(GARBAGE, silent);
        let case = Case::of(&[made.folder(R)]).unwrap();
        let policy = Policy { arbiters: Some(Vec::new()), ..late() };
        let claim = claim_of(&made, "faulted(originator)");
        assert_eq!(judge(&checks(&made.cast), &case, &[claim], &policy).rulings[0].outcome, outcome, "{silent:?}");
    }
}

// "Somebody delivered something" is not proven by a delivery that was garbage.
#[test]
fn what_is_overturned_proves_nothing_in_general_either() {
    for (things, outcome) in [(PURCHASE, Proven), (GARBAGE, Refuted)] {
        let made = exchange(things, Some((O, 1)));
        let case = Case::of(&[made.folder(R)]).unwrap();
        let claims = ["delivered(sender)".parse().unwrap(), claim_of(&made, "delivered(sender)")];
        let found = judge(&checks(&made.cast), &case, &claims, &late()).rulings;
        assert_ne!(found[0].claim, found[1].claim);
        assert_eq!((found[0].outcome, found[1].outcome), (outcome, outcome));
    }
}

fn claim_of(made: &Exchange, text: &str) -> Claim {
    bind(&report(&made.cast, &made.folders), &text.parse().unwrap())
}

// What says of itself that it is younger than the judgement is not taken for the past.
#[test]
fn evidence_from_the_future_does_not_count() {
    let made = exchange(SIGNING, Some((R, 0)));
    let case = Case::of(&[made.folder(O)]).unwrap();
    let claim = claim_of(&made, "aborted(arbiter)");
    let at = |seconds| {
        let policy = Policy { skew: Seconds(0), ..Policy::at(Time::from_unix(seconds)) };
        judge(&checks(&made.cast), &case, std::slice::from_ref(&claim), &policy).rulings[0].outcome
    };
    assert_eq!((at(2000), at(200_000)), (Undecided, Proven));
}

/// The folder with an abort verdict beside whatever else is there.
fn aborted_too(made: &Exchange, requested: bool) -> Folder {
    let core = &made.deal.core;
    let mut folder = made.folder(R);
    let abort = Abort { cid: core.cid(), slot: Slot::default(), promise: made.cast.promise_ids(core)[0] };
    let abort = made.cast.say(O, &abort, 0);
    let basis = vec![abort.id(), made.cast.promise_ids(core)[0]];
    let outcome = verdict::Outcome::Aborted;
    let time = Time::from_unix(1500);
    let verdict =
        Verdict { cid: core.cid(), slot: Slot::default(), outcome, basis, prior: Vec::new(), time, log_index: 9 };
    let arbiter = made.cast.arbiter.key_set();
    let draft = semper_core::cose::Statement::draft(&verdict, arbiter.suite(), arbiter.id());
    folder.items.push(item(EvidenceKind::Statement, made.cast.arbiter.sign(draft).unwrap().bytes().to_vec()));
    if requested {
        folder.items.push(item(EvidenceKind::Statement, abort.bytes().to_vec()));
    }
    folder
}

fn decision(cast: &Cast, folders: &[Folder], text: &str) -> Decision {
    let case = Case::of(folders).unwrap();
    let claim = bind(&case.examine(&checks(cast)), &text.parse().unwrap());
    judge(&checks(cast), &case, &[claim], &late())
}

#[test]
fn two_finals_and_an_abort_show_misconduct() {
    let made = exchange(SIGNING, None);
    let cid = made.deal.core.cid();
    for (requested, misconduct) in
        [(true, Misconduct::CompletedAfterAbort(cid, O)), (false, Misconduct::AbortedAfterCompletion(cid))]
    {
        let found = decision(&made.cast, &[aborted_too(&made, requested)], "agreed(responder)");
        assert_eq!(found.rulings[0].outcome, Proven, "an abort never refutes two finals");
        assert_eq!(found.misconduct, [misconduct]);
    }
    assert_eq!(decision(&made.cast, &made.folders, "agreed(responder)").misconduct, []);
}

#[test]
fn two_verdicts_are_a_finding_against_the_arbiter() {
    let made = exchange(SIGNING, Some((R, 1)));
    let mut folder = made.folder(O);
    folder.items.extend(aborted_too(&made, false).items);
    let found = decision(&made.cast, &[folder], "agreed(responder)");
    assert_eq!(found.misconduct, [Misconduct::TwoVerdicts(made.deal.core.cid())]);
    assert_eq!(found.rulings[0].outcome, Proven, "both promises and a verdict on them are there");
}

/// The arbiter's word that nobody had asked in time.
fn unused(made: &Exchange) -> Item {
    let (core, arbiter) = (&made.deal.core, made.cast.arbiter.key_set());
    let request = made.cast.promise_ids(core)[0];
    let status = ClosedUnused { cid: core.cid(), slot: Slot::default(), request, time: Time::from_unix(3000) };
    let draft = semper_core::cose::Statement::draft(&status, arbiter.suite(), arbiter.id());
    item(EvidenceKind::Statement, made.cast.arbiter.sign(draft).unwrap().bytes().to_vec())
}

#[test]
fn a_verdict_beside_an_empty_cell_is_a_finding_against_the_arbiter() {
    let made = exchange(SIGNING, Some((R, 1)));
    let mut folder = made.folder(O);
    folder.items.push(unused(&made));
    let found = decision(&made.cast, &[folder], "agreed(responder)");
    assert_eq!(found.misconduct, [Misconduct::TwoVerdicts(made.deal.core.cid())]);
}

/// A deal that nobody answered, where the arbiter was asked only after the contract's time.
fn asked_too_late(things: Things) -> (Exchange, Folder) {
    let made = exchange(things, Some((R, 0)));
    let mut folder = without(&made.folder(O), Kind::Verdict, None);
    folder.items.push(unused(&made));
    (made, folder)
}

#[test]
fn what_nobody_asked_about_in_time_binds_nobody() {
    for (things, table) in [
        (
            SIGNING,
            &[("agreed(responder)", Refuted), ("resolved(arbiter)", Refuted), ("aborted(arbiter)", Undecided)][..],
        ),
        (
            RECEIPT,
            &[("paid(originator)", Refuted), ("received-money(responder)", Refuted), ("refunded(payer)", Proven)],
        ),
        (MAIL, &[("delivered(originator)", Refuted), ("received(responder)", Refuted)]),
    ] {
        let (made, folder) = asked_too_late(things);
        expect("asked too late", &made.cast, &[folder], table);
    }
}

// An abort refutes what rests on promises alone: the sender has the receiver's promise and aborts, and claims receipt.
#[test]
fn a_promise_is_no_receipt_and_an_abort_refutes_it() {
    let made = exchange(MAIL, Some((R, 1)));
    let promised_only = without(&made.folder(O), Kind::Verdict, None);
    assert_eq!(ruling(&made.cast, std::slice::from_ref(&promised_only), "received(responder)").outcome, Undecided);
    let mut aborted = promised_only;
    let verdict = aborted_too(&made, true).items.into_iter().filter(|item| kind_of(item) == Some(Kind::Verdict));
    aborted.items.extend(verdict);
    assert_eq!(ruling(&made.cast, &[aborted.clone()], "promised(responder)").outcome, Proven);
    assert_eq!(ruling(&made.cast, &[aborted], "received(responder)").outcome, Refuted);
}

fn letter(cast: &Cast, disposition: Disposition) -> Folder {
    let file = Information::new("a.txt", "text/plain", b"hello".to_vec()).unwrap();
    let leaf = Node::leaf(Attributes::default(), Leaf::Information(file));
    let container = Container::new([3; 16], leaf).unwrap();
    let sent = cast.say(O, &ContainerStatement { container: container.id() }, 0);
    let time = Time::from_unix(1_700_000_000 / 20);
    let ack = cast.say(R, &Ack { container: container.id(), disposition, time }, 0);
    let mut items = vec![item(EvidenceKind::Container, container.to_bytes())];
    items.extend(cast.key_sets().map(|keys| item(EvidenceKind::KeySet, keys.to_bytes())));
    items.extend([sent, ack].map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())));
    Folder { deal: DEAL, items }
}

#[test]
fn transfers_are_received_or_refused() {
    let cast = Cast::default();
    let taken = letter(&cast, Disposition::Accepted);
    let table = [
        ("offered(sender)", Proven),
        ("delivered(sender)", Proven),
        ("received(receiver)", Proven),
        ("received(receiver, before 1980-01-01T00:00:00Z)", Proven),
        ("received(receiver, before 1980-01-01T00:00:00Z by log)", Undecided),
        ("refused(receiver)", Refuted),
    ];
    expect("a letter", &cast, std::slice::from_ref(&taken), &table);
    let refused = letter(&cast, Disposition::Refused("too large".to_owned()));
    let table = [("refused(receiver)", Proven), ("received(receiver)", Refuted), ("delivered(sender)", Proven)];
    expect("a letter that was refused", &cast, &[refused], &table);
    let silent = without(&taken, Kind::Ack, None);
    let table = [("received(receiver)", Undecided), ("delivered(sender)", Undecided), ("offered(sender)", Proven)];
    expect("a letter without an answer", &cast, &[silent], &table);
}

// Anybody can sign that it took a letter. Whose word counts is for whoever judges to say; the grounds name the signer.
#[test]
fn strangers_take_no_letters() {
    let cast = Cast::default();
    let taken = letter(&cast, Disposition::Accepted);
    let case = Case::of(&[taken]).unwrap();
    let claim = bind(&case.examine(&checks(&cast)), &"received(receiver)".parse().unwrap());
    let decided = |signers| {
        let policy = Policy { signers, ..late() };
        judge(&checks(&cast), &case, std::slice::from_ref(&claim), &policy).rulings.remove(0)
    };
    let anybody = decided(None);
    assert_eq!(anybody.outcome, Proven);
    assert!(anybody.grounds[0].evidence.contains(id(&cast, R).digest()), "the grounds name the signer");
    assert_eq!(decided(Some(vec![id(&cast, O), id(&cast, R)])).outcome, Proven);
    assert_eq!(decided(Some(vec![id(&cast, O)])).outcome, Undecided);
}

fn payment(cast: &Cast, amount: &str) -> [Item; 2] {
    let request = PaymentRequest {
        deal: DEAL,
        amount: Amount::parse(amount).unwrap(),
        purpose: "a ticket".to_owned(),
        system: System::parse("ecash").unwrap(),
        issuer: "https://mint.example".to_owned(),
        details: vec![1],
        expires: Time::from_unix(5000),
    };
    let asked = cast.say(R, &request, 0);
    let receipt =
        PaymentReceipt { deal: DEAL, request: asked.id(), amount: request.amount, time: Time::from_unix(3000) };
    [asked, cast.say(R, &receipt, 0)].map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec()))
}

#[test]
fn less_money_than_was_claimed_is_proven_instead() {
    let cast = Cast::default();
    let keys = cast.key_sets().map(|keys| item(EvidenceKind::KeySet, keys.to_bytes()));
    let folder = Folder { deal: DEAL, items: keys.into_iter().chain(payment(&cast, "80.00 EUR")).collect() };
    let folders = [folder.clone()];
    let table = [
        ("paid(payer)", Proven),
        ("paid(payer, >= 20.00 EUR, before 2026-11-21T12:00:00Z)", Proven),
        ("paid(payer, >= 80.00 EUR <= 80.00 EUR)", Proven),
        ("received-money(payee, >= 80.00 EUR)", Proven),
        ("paid(payer, >= 100.00 EUR)", Undecided),
        ("paid(payer, >= 20.00 USD)", Undecided),
        ("paid(payer, after 2026-11-21T12:00:00Z)", Undecided),
        ("offered(payee)", Proven),
    ];
    expect("a payment", &cast, &folders, &table);
    let instead = |text: &str| ruling(&cast, &folders, text).instead.map(|claim| claim.to_string());
    let about = |text: &str| bind(&report(&cast, &folders), &text.parse().unwrap()).to_string();
    assert_eq!(instead("paid(payer, >= 100.00 EUR)"), Some(about("paid(payer, >= 80.00 EUR)")));
    assert_eq!(instead("paid(payer, <= 50.00 EUR)"), Some(about("paid(payer)")));
    assert_eq!(
        instead("paid(payer, >= 20.00 EUR, after 2026-11-21T12:00:00Z)"),
        Some(about("paid(payer, >= 20.00 EUR)"))
    );
    assert_eq!(
        instead("paid(payer, >= 100.00 EUR, before 2026-11-21T12:00:00Z by log)"),
        Some(about("paid(payer, >= 80.00 EUR, before 2026-11-21T12:00:00Z)"))
    );
    assert_eq!(
        instead("and(paid(payer, >= 100.00 EUR), offered(payee))"),
        Some(about("and(paid(payer, >= 80.00 EUR), offered(payee))"))
    );
    // What is proven instead is proven, and follows from nothing less.
    for text in ["paid(payer, >= 100.00 EUR)", "paid(payer, >= 20.00 EUR, after 2026-11-21T12:00:00Z)"] {
        let found = ruling(&cast, &folders, text);
        let (Claim::Did(asked), Some(Claim::Did(instead))) = (&found.claim, &found.instead) else {
            panic!("{found:?}")
        };
        assert!(asked.implies(instead) && !instead.implies(asked));
        assert_eq!(ruling(&cast, &folders, &instead.to_string()).outcome, Proven);
    }
    // Without the receipt nothing but the request is left.
    let bare = without(&folder, Kind::PaymentReceipt, None);
    expect("a request", &cast, &[bare], &[("paid(payer)", Undecided), ("offered(payee)", Proven)]);
    // With two requests "the payment" means neither of them in particular.
    let mut two = folder;
    two.items.extend(payment(&cast, "5.00 EUR"));
    expect(
        "two payments",
        &cast,
        &[two],
        &[("paid(payer, >= 80.00 EUR)", Proven), ("paid(payer, >= 81.00 EUR)", Undecided)],
    );
}

/// The request for a payment, without a receipt, and the payment system's own proof.
fn proven_by_the_system() -> Folder {
    let cast = Cast::default();
    let [asked, _] = payment(&cast, "80.00 EUR");
    let keys = cast.key_sets().map(|keys| item(EvidenceKind::KeySet, keys.to_bytes()));
    let request = Signed::from_bytes(&asked.bytes).unwrap();
    let system = System::parse("ecash").unwrap();
    let proof = Proof { system, issuer: "https://mint.example".to_owned(), request, body: PAID.to_vec() };
    let proof = item(EvidenceKind::Payment, proof.to_bytes());
    Folder { deal: DEAL, items: keys.into_iter().chain([asked, proof]).collect() }
}

#[test]
fn a_payment_system_proves_what_its_payee_denies() {
    let mut folder = proven_by_the_system();
    let table = [("paid(payer, >= 80.00 EUR)", Proven), ("received-money(payee)", Proven)];
    expect("a proof", &Cast::default(), std::slice::from_ref(&folder), &table);
    folder.items.retain(|item| item.kind != EvidenceKind::Payment);
    let table = [("paid(payer)", Undecided), ("received-money(payee)", Undecided)];
    expect("no proof", &Cast::default(), &[folder], &table);
}

/// A purchase that ended well, and what the payment system shows for its lock.
fn settled(by: Side) -> (Exchange, Folder) {
    let made = exchange(PURCHASE, None);
    let mut folder = without(&made.folder(O), Kind::Quittance, None);
    let legs = Leg::of(&made.deal.core).unwrap();
    let lock = legs.iter().find_map(Leg::lock).unwrap();
    folder.items.push(item(EvidenceKind::Redemption, taken(lock, by)));
    (made, folder)
}

#[test]
fn whoever_took_locked_money_has_it() {
    for (by, table) in [
        (
            Side::Payee,
            [
                ("paid(responder, >= 1.00 EUR)", Proven),
                ("received-money(originator)", Proven),
                ("refunded(responder)", Refuted),
            ],
        ),
        (
            Side::Payer,
            [
                ("paid(responder)", Undecided),
                ("received-money(originator)", Undecided),
                ("refunded(responder, >= 1.00 EUR)", Proven),
            ],
        ),
    ] {
        let (made, folder) = settled(by);
        expect("a lock", &made.cast, &[folder], &table);
    }
}

#[test]
fn a_decision_can_be_checked_by_anybody() {
    let made = exchange(GARBAGE, None);
    let found = decision(&made.cast, &made.folders, "refunded(responder, >= 1.00 EUR)");
    assert_eq!(Decision::from_bytes(&found.to_bytes()).unwrap(), found);
    let [o, r] = made.folders.clone();
    let case = Case::of(&[r.clone(), o.clone()]).unwrap();
    assert_eq!(found.again(&checks(&made.cast), &case), Ok(found.clone()), "the order of folders does not matter");
    let mut wrong = found.clone();
    wrong.rulings[0].outcome = Refuted;
    assert_ne!(wrong.again(&checks(&made.cast), &case), Ok(wrong.clone()));
    let less = Case::of(&[o]).unwrap();
    assert_eq!(found.again(&checks(&made.cast), &less), Err(Uncheckable::OtherCase));
    let other = Decision { rules: *made.deal.core.cid().digest(), ..found.clone() };
    assert_eq!(other.again(&checks(&made.cast), &case), Err(Uncheckable::OtherRules));
}

// Attack 37: a judge that leaves evidence out. Its decision names the case that it was made from, so it can be held against the whole, where
// anybody finds something else; and it cannot pass for a decision about the whole.
#[test]
fn judge_omits_evidence() {
    let made = exchange(SIGNING, None);
    let folder = made.folder(O);
    let cut = without(&folder, Kind::Final, Some(id(&made.cast, R)));
    let claim = "agreed(responder)";
    let [whole, part] = [&folder, &cut].map(|folder| decision(&made.cast, std::slice::from_ref(folder), claim));
    assert_eq!((whole.rulings[0].outcome, part.rulings[0].outcome), (Proven, Undecided));
    let cases = [&folder, &cut].map(|folder| Case::of(std::slice::from_ref(folder)).unwrap());
    let checks = checks(&made.cast);
    assert_eq!(part.again(&checks, &cases[1]), Ok(part.clone()), "it follows from what it was made from");
    assert_eq!(part.again(&checks, &cases[0]), Err(Uncheckable::OtherCase));
    let passed_off = Decision { case: whole.case, ..part };
    assert_ne!(passed_off.again(&checks, &cases[0]), Ok(passed_off.clone()));
    assert_eq!(whole.again(&checks, &cases[0]), Ok(whole.clone()));
}

#[test]
fn standard_questions_are_answered_for_both_sides() {
    let made = exchange(PURCHASE, Some((R, 1)));
    let report = report(&made.cast, &made.folders);
    let asked = questions(&report);
    let words: Vec<_> = asked.iter().map(|question| question.words.as_str()).collect();
    assert_eq!(
        words,
        [
            "does the contract bind both?",
            "did the seller deliver?",
            "did the buyer get it?",
            "was it what was promised?",
            "did the buyer pay 1.00 EUR?"
        ]
    );
    let claims: Vec<_> = asked.into_iter().map(|question| question.claim).collect();
    let case = Case::of(&made.folders).unwrap();
    let found = judge(&checks(&made.cast), &case, &claims, &late());
    let proven = found.rulings.iter().filter(|ruling| ruling.outcome == Proven).count();
    assert_eq!(proven, claims.len() - 1, "all but that the receiver has opened it: {:#?}", found.rulings);

    let seen = positions(&report, &late(), id(&made.cast, O));
    let said = |list: &[semper_exchange::claims::Position]| -> BTreeSet<(Verb, Actor)> {
        list.iter().map(|position| (position.claim.verb, position.claim.actor)).collect()
    };
    let (ours, theirs) = (said(&seen.ours), said(&seen.theirs));
    assert!(ours.contains(&(Verb::Agreed, Actor::Party(R))) && ours.contains(&(Verb::Delivered, Actor::Party(O))));
    assert!(
        theirs.contains(&(Verb::Paid, Actor::Party(R))) && theirs.contains(&(Verb::ReceivedMoney, Actor::Party(O)))
    );
    let mirrored = positions(&report, &late(), id(&made.cast, R));
    assert_eq!((said(&mirrored.ours), said(&mirrored.theirs)), (theirs, ours));
}

/// Every statement about everything, and some that are made of several.
fn all_claims(report: &Report) -> Vec<Claim> {
    let actors = [
        Actor::Party(O),
        Actor::Party(R),
        Actor::Arbiter,
        Actor::Payer,
        Actor::Payee,
        Actor::Sender,
        Actor::Receiver,
        Actor::Guarantor,
    ];
    let dids = actors.iter().flat_map(|actor| Verb::ALL.iter().map(|verb| Claim::Did(Did::new(*actor, *verb))));
    let dids: Vec<_> = dids.collect();
    let bound: Vec<_> = dids.iter().map(|claim| bind(report, claim)).collect();
    let negated = bound.iter().map(|claim| Claim::Not(Box::new(claim.clone())));
    let joined = bound.windows(2).map(|pair| Claim::And(pair.to_vec()));
    bound.iter().cloned().chain(negated).chain(joined).chain(dids).collect()
}

/// An exchange, everything that anybody may put into its case, and claims about it.
struct Heap {
    made: Exchange,
    items: Vec<Item>,
    claims: Vec<Claim>,
}

impl Heap {
    fn of(row: &Row) -> Self {
        let made = exchange(row.things, row.silent);
        let mut items: Vec<_> = made.folders.iter().flat_map(|folder| folder.items.clone()).collect();
        items.extend(aborted_too(&made, true).items);
        items.extend(foreign(&made));
        items.extend(stamps::all_dated(&made.folder(O)).items);
        items.extend(submission::all_handed_in(&made.cast, &made.folder(O)).items);
        let mut claims = all_claims(&report(&made.cast, &made.folders));
        let when = Period::new(None, Some(Time::from_unix(stamps::DATE)), Source::Stamp);
        let single = claims.iter().filter(|claim| matches!(claim, Claim::Did(_)));
        let dated: Vec<_> = single.map(|claim| claim.map(&|did| Did { when, ..*did })).collect();
        claims.extend(dated);
        Self { made, items, claims }
    }

    fn judged(&self, items: Vec<Item>) -> Decision {
        let case = Case::of(&[Folder { deal: DEAL, items }]).unwrap();
        judge(&checks(&self.made.cast), &case, &self.claims, &stamps::trusting())
    }
}

// A line of the rules that no exchange ever completes would be a line that nobody has seen at work.
#[test]
fn every_line_of_the_rules_is_at_work_somewhere() {
    let cast = Cast::default();
    let keys = cast.key_sets().map(|keys| item(EvidenceKind::KeySet, keys.to_bytes()));
    let paid = Folder { deal: DEAL, items: keys.into_iter().chain(payment(&cast, "80.00 EUR")).collect() };
    let plain = [letter(&cast, Disposition::Accepted), letter(&cast, Disposition::Refused("no".to_owned())), paid];
    let mut cases: Vec<_> = plain.into_iter().map(|folder| (Cast::default(), folder)).collect();
    for row in ROWS {
        for role in [O, R] {
            let made = exchange(row.things, row.silent);
            cases.push((Cast::default(), made.folder(role)));
        }
    }
    cases.extend([Side::Payer, Side::Payee].map(|by| (Cast::default(), settled(by).1)));
    cases.push((Cast::default(), proven_by_the_system()));
    cases.extend([SIGNING, RECEIPT, MAIL].map(|things| (Cast::default(), asked_too_late(things).1)));
    cases.extend(many::folders());
    cases.extend(locks::folders());
    cases.push(transfer::late(true));
    cases.extend(right::folders());
    cases.extend(hands::folders());
    cases.extend(shown::folders());
    cases.push(covered::folder());
    let signed = exchange(SIGNING, None);
    for folder in [signed.folder(O), letter(&signed.cast, Disposition::Accepted)] {
        let folder = submission::all_handed_in(&signed.cast, &folder);
        cases.push((Cast::default(), folder));
    }
    cases.push((Cast::default(), notice::everything(&signed.cast, &signed.folder(O))));
    let mut at_work = BTreeSet::new();
    for (cast, folder) in &cases {
        let claims = all_claims(&report(cast, std::slice::from_ref(folder)));
        let case = Case::of(std::slice::from_ref(folder)).unwrap();
        let dated = Case::of(&[stamps::all_dated(folder)]).unwrap();
        for (case, policy) in [(case, late()), (dated, stamps::trusting())] {
            let rulings = judge(&checks(cast), &case, &claims, &policy).rulings;
            at_work.extend(rulings.into_iter().flat_map(|ruling| ruling.grounds).map(|ground| ground.rule));
        }
    }
    let lines = rules::chapters().iter().flat_map(|chapter| &chapter.rules).map(|rule| rule.id);
    let idle: Vec<_> = lines.filter(|id| !at_work.contains(*id)).collect();
    assert_eq!(idle, Vec::<&str>::new());
}

thread_local! {
    static HEAPS: Vec<Heap> = ROWS.iter().map(Heap::of).collect();
}

/// One of the heaps, its items in any order, and how many of them there are at first, then, and at last.
fn growing() -> impl Strategy<Value = (usize, Vec<usize>, [Index; 2])> {
    let row = (0..ROWS.len()).prop_map(|row| (row, HEAPS.with(|heaps| heaps[row].items.len())));
    row.prop_flat_map(|(row, len)| {
        (Just(row), Just((0..len).collect::<Vec<_>>()).prop_shuffle(), [any::<Index>(), any::<Index>()])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    // More evidence of the same deal: what was proven is proven or refuted, and never open again. The order of evidence does not matter.
    #[test]
    fn more_evidence_never_makes_a_proven_claim_open((row, order, cuts) in growing()) {
        HEAPS.with(|heaps| {
            let heap = &heaps[row];
            let first = |count: usize| order[..count].iter().map(|place| heap.items[*place].clone()).collect::<Vec<_>>();
            let mut counts = cuts.map(|cut| cut.index(order.len())).to_vec();
            counts.push(order.len());
            counts.sort_unstable();
            let decisions: Vec<_> = counts.iter().map(|count| heap.judged(first(*count))).collect();
            for pair in decisions.windows(2) {
                for (before, after) in pair[0].rulings.iter().zip(&pair[1].rulings) {
                    let lost = before.outcome == Proven && after.outcome == Undecided;
                    prop_assert!(!lost, "{}: {}: {after:#?}", ROWS[row].name, before.claim);
                }
            }
            let mut turned = first(order.len());
            turned.reverse();
            prop_assert_eq!(heap.judged(turned).to_bytes(), decisions[2].to_bytes());
            Ok(())
        })?;
    }
}
