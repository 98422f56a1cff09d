//! Claims about what was handed in. What could go wrong: it is proven of another statement, for somebody else, by a receipt that is not the agent's, at
//! a time that nobody has said, or of a statement that its signer has not signed.

use semper_core::cbor::Encode;
use semper_core::container::Disposition;
use semper_core::contract::Promise;
use semper_core::cose::{Kind, Signed};
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId, Slot, StatementId};
use semper_core::party::{Algorithm, Suite};
use semper_core::time::Time;
use semper_exchange::claims::{Case, Claim, Policy, Ruling, Sunset, bind, judge, questions};
use semper_exchange::evidence::{Finding, Folder, Item};
use semper_exchange::gx::{Completed, Message, Promised, responder};
use semper_sim::deal::{SIGNING, letter as letter_to_two};
use semper_sim::scenario::Cast;
use semper_support::crypto::Signer as _;
use semper_support::engine::EvidenceKind;
use semper_support::submission::{Handed, ReadSubmissions, Submitted};
use semper_transfer::tx;

use super::{DEAL, O, Outcome, R, checks, exchange, expect, id, item, late, letter, report, ruling};
use Outcome::{Proven, Undecided};

/// A reader whose proofs are what they say: for whom, what is in it, and under which name receipts know it. Real ones are tested in `apps/semper`.
pub(crate) struct Desk;

impl ReadSubmissions for Desk {
    fn read(&self, submission: &[u8], receipts: &[Vec<u8>]) -> Result<Submitted, String> {
        let (recipient, rest) = submission.split_first_chunk::<32>().ok_or("too short")?;
        let (name, rest) = rest.split_first_chunk::<32>().ok_or("too short")?;
        let (deal, message) = rest.split_first_chunk::<16>().ok_or("too short")?;
        let handed = receipts.iter().filter_map(|receipt| {
            let time = receipt.strip_prefix(name)?.strip_prefix(AGENT)?;
            Some(Handed {
                agent: KeySetId::from_digest(Digest::from_array([8; 32])),
                time: Time::from_unix(u64::from_be_bytes(time.try_into().ok()?)),
                receipt: StatementId::from_digest(Digest::from_array(*name)),
                card: StatementId::from_digest(Digest::from_array([9; 32])),
                suites: [Suite::Ed25519, Suite::Hybrid],
            })
        });
        Ok(Submitted {
            recipient: KeySetId::from_digest(Digest::from_array(*recipient)),
            deal: DealId::from_array(*deal),
            message: message.to_vec(),
            handed: handed.min_by_key(|handed| handed.time),
        })
    }
}

pub(crate) const AGENT: &[u8] = b"the agent on the card";
/// 1971-01-01T00:00:00Z.
pub(crate) const TIME: u64 = 31_536_000;
pub(crate) const BEFORE: &str = "before 1971-01-01T00:00:00Z";
pub(crate) const TOO_EARLY: &str = "before 1970-12-31T00:00:00Z";

/// A proof for a recipient, under a name.
pub(crate) fn proof(recipient: KeySetId, name: u8, deal: DealId, message: &[u8]) -> Item {
    let head = [recipient.digest().as_bytes().as_slice(), &[name; 32], deal.as_bytes()].concat();
    item(EvidenceKind::Submission, [head.as_slice(), message].concat())
}

pub(crate) fn receipt(name: u8, by: &[u8], time: u64) -> Item {
    item(EvidenceKind::Receipt, [&[name; 32], by, &time.to_be_bytes()].concat())
}

fn promise(signed: &Signed) -> Vec<u8> {
    Message::Promise(Promised { promise: signed.clone(), token: Vec::new(), payout: Vec::new() }).to_bytes()
}

fn completion(signed: &Signed) -> Vec<u8> {
    let completion = signed.clone();
    Message::Final(Completed { completion, release: Vec::new(), payout: Vec::new() }).to_bytes()
}

/// The statement of a kind by one signer.
fn said(folder: &Folder, kind: Kind, by: KeySetId) -> Signed {
    let statements = folder.items.iter().filter(|item| item.kind == EvidenceKind::Statement);
    let mut signed = statements.map(|item| Signed::from_bytes(&item.bytes).unwrap());
    signed.find(|signed| (signed.kind(), signed.signer()) == (kind, by)).unwrap()
}

pub(crate) fn with(folder: &Folder, more: impl IntoIterator<Item = Item>) -> Folder {
    Folder { deal: folder.deal, items: folder.items.iter().cloned().chain(more).collect() }
}

/// Proofs of submission that prove nothing, whatever receipts there are.
pub(crate) fn faults(cast: &Cast, folders: &[Folder]) -> usize {
    let findings = report(cast, folders).findings;
    findings.iter().filter(|found| matches!(found, Finding::Submission { .. })).count()
}

/// Proofs that every promise and final of a contract between two, and its container if it is a transfer, were handed in for the other one.
pub(crate) fn all_handed_in(cast: &Cast, folder: &Folder) -> Folder {
    let [mine, peer] = [O, R].map(|role| id(cast, role));
    let mut more = vec![receipt(1, AGENT, TIME)];
    for statement in folder.items.iter().filter(|item| item.kind == EvidenceKind::Statement) {
        let signed = Signed::from_bytes(&statement.bytes).unwrap();
        let to = if signed.signer() == mine { peer } else { mine };
        let message = match signed.kind() {
            Kind::Promise => promise(&signed),
            Kind::Final => completion(&signed),
            Kind::Container => {
                tx::Message::Container { container: container_of(folder), origin: Some(signed.clone()) }.to_bytes()
            }
            _ => continue,
        };
        more.push(proof(to, 1, folder.deal, &message));
    }
    with(folder, more)
}

/// A contract that both have signed, as its originator keeps it.
pub(crate) fn signed_contract() -> (Cast, Folder) {
    let made = exchange(SIGNING, None);
    let folder = made.folder(O);
    (made.cast, folder)
}

#[test]
fn a_promise_and_a_final_are_handed_in_each_for_itself() {
    let (cast, folder) = signed_contract();
    let [mine, peer] = [O, R].map(|role| id(&cast, role));
    let first = proof(peer, 1, DEAL, &promise(&said(&folder, Kind::Promise, mine)));
    let last = proof(peer, 2, DEAL, &completion(&said(&folder, Kind::Final, mine)));
    let claims = |promise, completed| {
        vec![
            (format!("submitted(originator, {BEFORE})"), promise),
            (format!("submitted(originator, {TOO_EARLY})"), Undecided),
            (format!("submitted(originator, after 1970-06-01T00:00:00Z {BEFORE} by log)"), Undecided),
            (format!("submitted-final(originator, {BEFORE})"), completed),
            (format!("submitted-final(originator, {TOO_EARLY})"), Undecided),
            ("submitted(responder)".to_owned(), Undecided),
            ("submitted-final(responder)".to_owned(), Undecided),
            ("submitted(arbiter)".to_owned(), Undecided),
        ]
    };
    let receipts = [receipt(1, AGENT, TIME), receipt(2, AGENT, TIME)];
    for (name, items, promised, completed) in [
        ("both", vec![first.clone(), last.clone(), receipts[0].clone(), receipts[1].clone()], Proven, Proven),
        ("the promise", vec![first.clone(), receipts[0].clone(), receipts[1].clone()], Proven, Undecided),
        ("the final", vec![last.clone(), receipts[0].clone(), receipts[1].clone()], Undecided, Proven),
        ("each with the other's receipt", vec![first.clone(), receipts[1].clone()], Undecided, Undecided),
        ("no receipt", vec![first.clone(), last], Undecided, Undecided),
        ("a receipt by somebody else", vec![first.clone(), receipt(1, b"a stranger", TIME)], Undecided, Undecided),
        ("receipts alone", receipts.to_vec(), Undecided, Undecided),
    ] {
        let folder = [with(&folder, items)];
        for (text, outcome) in claims(promised, completed) {
            expect(name, &cast, &folder, &[(text.as_str(), outcome)]);
        }
        assert_eq!(faults(&cast, &folder), 0, "{name}");
    }
    // The grounds name the receipt, so that whoever checks finds what was relied on.
    let ruling = ruling(&cast, &[with(&folder, [first, receipts[0].clone()])], "submitted(originator)");
    assert_eq!(ruling.grounds[0].rule, "submitted-1");
    assert!(ruling.grounds[0].evidence.contains(&Digest::from_array([1; 32])), "{ruling:#?}");
}

// For the arbiter, for oneself, in another deal, another statement in the same place: all this was handed in, and none of it for the peer.
#[test]
fn what_was_handed_in_for_somebody_else_is_not_handed_in() {
    let (cast, folder) = signed_contract();
    let [mine, peer] = [O, R].map(|role| id(&cast, role));
    let message = promise(&said(&folder, Kind::Promise, mine));
    let undecided = |items: Vec<Item>, sound: bool, what: &str| {
        let folder = [with(&folder, items.into_iter().chain([receipt(1, AGENT, TIME)]))];
        for verb in ["submitted", "submitted-final"] {
            expect(what, &cast, &folder, &[(&format!("{verb}(originator)"), Undecided)]);
        }
        assert_eq!(faults(&cast, &folder) == 0, sound, "{what}");
    };
    let arbiter = cast.arbiter.key_set().id();
    undecided(vec![proof(arbiter, 1, DEAL, &message)], true, "for the arbiter");
    undecided(vec![proof(mine, 1, DEAL, &message)], true, "for oneself");
    undecided(vec![proof(peer, 1, DealId::from_array([5; 16]), &message)], false, "in another deal");
    undecided(vec![proof(peer, 1, DEAL, b"words")], false, "what no node reads");
    undecided(vec![item(EvidenceKind::Submission, vec![1; 40])], false, "no proof");
    // The peer's own promise, sent back to it.
    let back = promise(&said(&folder, Kind::Promise, peer));
    undecided(vec![proof(peer, 1, DEAL, &back)], true, "another statement");
    // The right words without a signature that holds.
    let mut forged = said(&folder, Kind::Promise, mine).bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Signed::from_bytes(&forged).unwrap();
    assert_eq!(forged.id(), said(&folder, Kind::Promise, mine).id(), "an identifier leaves the signature out");
    undecided(vec![proof(peer, 1, DEAL, &promise(&forged))], false, "a promise whose signature does not hold");
    // The twin: everything right.
    let whole = [with(&folder, [proof(peer, 1, DEAL, &message), receipt(1, AGENT, TIME)])];
    expect("the twin", &cast, &whole, &[("submitted(originator)", Proven)]);
}

// A promise of a letter to several goes to each of them: one recipient's agent says nothing about the others.
#[test]
fn what_one_recipient_was_sent_the_other_was_not() {
    let (casts, core) = letter_to_two();
    let first = casts[0].promise(&core, O, 0);
    let hands = [casts[0].hand(O), casts[0].hand(R), casts[1].hand(R), &casts[0].arbiter];
    let keys = hands.map(|hand| item(EvidenceKind::KeySet, hand.key_set().to_bytes()));
    let answers = [Slot(0), Slot(1)].map(|slot| {
        let answer = Promise { cid: core.cid(), role: responder(slot), answers: Some(first.id()) };
        casts[usize::from(slot.0)].say(R, &answer, 0)
    });
    let said = std::iter::once(&first).chain(&answers);
    let said = said.map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec()));
    let items = keys.into_iter().chain([item(EvidenceKind::Core, core.to_bytes())]).chain(said);
    let folder = Folder { deal: DEAL, items: items.collect() };
    let [bob, carol] = [0, 1].map(|part| core.party(responder(Slot(part))).unwrap());
    for (recipient, outcomes) in [(bob, [Proven, Undecided]), (carol, [Undecided, Proven])] {
        let folder = [with(&folder, [proof(recipient, 1, DEAL, &promise(&first)), receipt(1, AGENT, TIME)])];
        for (number, outcome) in (1..).zip(outcomes) {
            let text = format!("submitted(originator, contract {} recipient {number})", core.cid());
            expect("a letter to two", &casts[0], &folder, &[(&text, outcome)]);
        }
    }
}

fn container_of(folder: &Folder) -> Vec<u8> {
    folder.items.iter().find(|item| item.kind == EvidenceKind::Container).unwrap().bytes.clone()
}

// No contract says who was to get a container. The grounds name whose card named the agent, and a judge may say whose cards count.
#[test]
fn a_container_is_handed_in_for_whom_the_grounds_name() {
    let cast = Cast::default();
    let taken = letter(&cast, Disposition::Accepted);
    let [sender, receiver] = [O, R].map(|role| id(&cast, role));
    let origin = said(&taken, Kind::Container, sender);
    let message = tx::Message::Container { container: container_of(&taken), origin: Some(origin) }.to_bytes();
    let folder = with(&taken, [proof(receiver, 1, DEAL, &message), receipt(1, AGENT, TIME)]);
    let text = format!("submitted(sender, {BEFORE})");
    let found = ruling(&cast, std::slice::from_ref(&folder), &text);
    assert_eq!(found.outcome, Proven);
    assert!(found.grounds[0].evidence.contains(receiver.digest()), "{found:#?}");
    expect(
        "a letter",
        &cast,
        std::slice::from_ref(&folder),
        &[(&format!("submitted(sender, {TOO_EARLY})"), Undecided)],
    );
    let known = |signers: &[KeySetId]| {
        let policy = Policy { signers: Some(signers.to_vec()), ..late() };
        decided(&cast, &folder, &text, &policy).outcome
    };
    assert_eq!([known(&[sender, receiver]), known(&[sender]), known(&[receiver])], [Proven, Undecided, Undecided]);
    // What nobody has signed was handed in by whomever.
    let bare = super::without(&folder, Kind::Container, None);
    expect("an unsigned letter", &cast, &[bare], &[("submitted(sender)", Undecided)]);
}

fn decided(cast: &Cast, folder: &Folder, text: &str, policy: &Policy) -> Ruling {
    let case = Case::of(std::slice::from_ref(folder)).unwrap();
    let claim: Claim = text.parse().unwrap();
    let claim = bind(&case.examine(&checks(cast)), &claim);
    judge(&checks(cast), &case, &[claim], policy).rulings.remove(0)
}

// An agent whose clock is ahead of the judgement dates nothing, and a receipt whose algorithm has fallen proves nothing.
#[test]
fn receipts_are_judged_like_other_evidence() {
    let (cast, folder) = signed_contract();
    let [mine, peer] = [O, R].map(|role| id(&cast, role));
    let message = promise(&said(&folder, Kind::Promise, mine));
    let folder = with(&folder, [proof(peer, 1, DEAL, &message), receipt(1, AGENT, TIME)]);
    let judged = |at: u64, sunsets: Vec<Sunset>| {
        let policy = Policy { sunsets, ..Policy::at(Time::from_unix(at)) };
        decided(&cast, &folder, "submitted(originator)", &policy).outcome
    };
    let fallen = |from| vec![Sunset { algorithm: Algorithm::Ed25519, from: Time::from_unix(from) }];
    assert_eq!(judged(TIME, Vec::new()), Proven);
    assert_eq!(judged(TIME - 601, Vec::new()), Undecided, "later than the judgement and the clocks' difference");
    assert_eq!(judged(2 * TIME, fallen(TIME)), Undecided, "the receipt is signed with nothing else");
    assert_eq!(judged(2 * TIME, fallen(3 * TIME)), Proven);
}

#[test]
fn a_proof_that_proves_nothing_is_a_fault() {
    let (cast, folder) = signed_contract();
    let report = report(&cast, &[with(&folder, [item(EvidenceKind::Submission, vec![1; 8])])]);
    assert!(
        report
            .findings
            .iter()
            .any(|found| matches!(found, Finding::Submission { reason, .. } if reason == "too short"))
    );
    assert!(!questions(&report).is_empty());
}
