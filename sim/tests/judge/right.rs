//! What the sale of a right leaves behind that came to the arbiter. What could go wrong: a contract counts as binding though its right was called back; who has shown its payment
//! cannot prove it afterwards, or somebody else's payment counts; whose the right is cannot be told from what its issuer has said.

use semper_core::cose::Statement as _;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_exchange::arbiter::request::{Resolve, Revocation};
use semper_exchange::evidence::{Finding, Standing};
use semper_sim::deal::{Deal, SALE, TICK};
use semper_sim::{issuer, mint};
use semper_transfer::credential::{Credential, CredentialTransfer};

use super::parties::DEAL;
use super::*;

/// A folder with both promises and finals, a verdict, what it rests on, and what the issuer of the right has said.
fn folder(outcome: verdict::Outcome, good: bool, back: bool) -> (Cast, Folder) {
    // Long enough after the time to show a payment.
    folder_of(outcome, good, back, 2 * TICK.0)
}

/// The same, with a verdict that was made so many seconds after the time to show a payment.
fn folder_of(outcome: verdict::Outcome, good: bool, back: bool, time: u64) -> (Cast, Folder) {
    let cast = Cast::default();
    let deal = Deal::new(&cast, SALE, None);
    let core = &deal.core;
    let proof = if good { deal.payment() } else { mint::other_proof(&deal).to_bytes() };
    let proof = Proof { body: PAID.to_vec(), ..Proof::from_bytes(&proof).unwrap() };
    let (cid, slot, promises) = (core.cid(), Slot::default(), cast.promise_ids(core));
    let named = Some(Digest::of(domain::PROOF, &proof.to_bytes()));
    let question = match outcome {
        verdict::Outcome::Revoked => cast.say(O, &Revocation { cid, slot, promises }, 0),
        _ => cast.say(R, &Resolve { cid, slot, promises, role: R, proof: named }, 0),
    };
    let time = core.terms.deadlines.not_after.after(Seconds(time));
    let arbiter = cast.arbiter.key_set();
    let basis = vec![question.id(), promises[0], promises[1]];
    let verdict = Verdict { cid, slot, outcome, basis, prior: Vec::new(), time, log_index: 0 };
    let verdict = cast.arbiter.sign(verdict.draft(arbiter.suite(), arbiter.id())).unwrap();
    let sold = deal.credential.clone().unwrap();
    let Ok([Leg::Right(right), _]) = Leg::of(core) else { panic!("a right is sold") };
    let CredentialTransfer { to, condition, .. } = right.request(core).unwrap();
    let passed = Credential { serial: issuer::serial(1), holder: to, condition, ..sold.clone() };
    let again = Credential { serial: issuer::serial(2), ..sold.clone() };
    let credentials = [Some(sold), Some(passed), Some(again).filter(|_| back)];
    let credentials = credentials.into_iter().flatten().map(|credential| issuer::say(&cast, &credential));
    let said = [O, R].into_iter().flat_map(|role| [cast.promise(core, role, 0), cast.completion(core, role)]);
    let said = said.chain([question, verdict, proof.request.clone()]).chain(credentials);
    let mut items: Vec<_> = said.map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())).collect();
    let [o, r] = cast.key_sets();
    let keys = [&o, &r, arbiter, issuer::hand(&cast).key_set()].map(|keys| item(EvidenceKind::KeySet, keys.to_bytes()));
    items.extend(keys);
    items.push(item(EvidenceKind::Core, core.to_bytes()));
    if outcome == verdict::Outcome::Resolved {
        items.push(item(EvidenceKind::Payment, proof.to_bytes()));
    }
    (cast, Folder { deal: DEAL, items })
}

/// One of each kind.
pub(super) fn folders() -> [(Cast, Folder); 2] {
    [folder(verdict::Outcome::Resolved, true, false), folder(verdict::Outcome::Revoked, true, true)]
}

#[test]
fn who_has_shown_its_payment_has_paid() {
    let (cast, folder) = folder(verdict::Outcome::Resolved, true, false);
    let table = [
        ("agreed(originator)", Proven),
        ("agreed(responder)", Proven),
        ("paid(responder, >= 1.00 EUR)", Proven),
        ("received-money(originator)", Proven),
        ("resolved(arbiter)", Proven),
    ];
    expect("resolved", &cast, std::slice::from_ref(&folder), &table);
    let report = report(&cast, &[folder]);
    assert!(!report.findings.iter().any(|finding| matches!(finding, Finding::WrongVerdict { .. })));
    let passed = report.contracts[0].passed.as_ref().unwrap();
    assert!(passed.offered && passed.passed && !passed.back, "{passed:?}");
}

// The arbiter has completed the sale on a proof of another payment: what shows that stands in the folder.
#[test]
fn a_sale_on_a_false_proof_is_the_arbiters_misconduct() {
    let (cast, folder) = folder(verdict::Outcome::Resolved, false, false);
    let report = report(&cast, &[folder]);
    assert!(report.findings.iter().any(|finding| matches!(finding, Finding::WrongVerdict { .. })));
}

// The buyer's final says that it has paid, and is signed: after the verdict it binds nobody.
#[test]
fn a_right_that_was_called_back_is_the_sellers_and_nobody_is_bound() {
    let (cast, folder) = folder(verdict::Outcome::Revoked, true, true);
    let table = [
        ("agreed(originator)", Refuted),
        ("agreed(responder)", Refuted),
        ("paid(responder)", Undecided),
        ("resolved(arbiter)", Refuted),
    ];
    expect("revoked", &cast, std::slice::from_ref(&folder), &table);
    let report = report(&cast, std::slice::from_ref(&folder));
    assert!(matches!(report.contracts[0].standing, Standing::Revoked { .. }));
    let passed = report.contracts[0].passed.as_ref().unwrap();
    assert!(passed.offered && passed.passed && passed.back, "{passed:?}");
    let stray = |finding: &Finding| matches!(finding, Finding::StrayStatement { .. });
    assert!(
        !report.findings.iter().any(stray),
        "what asks for the verdict belongs to the contract: {:?}",
        report.findings
    );
    // Revoked while the payment could still be shown: the arbiter's misconduct, and nothing more.
    let (cast, early) = folder_of(verdict::Outcome::Revoked, true, true, TICK.0);
    let seen = super::report(&cast, std::slice::from_ref(&early));
    assert!(seen.findings.iter().any(|finding| matches!(finding, Finding::WrongVerdict { .. })));
    assert_eq!(seen.contracts[0].standing, Standing::Complete);
    assert!(!report.findings.iter().any(|finding| matches!(finding, Finding::WrongVerdict { .. })));
    // Without the verdict both finals bind both.
    let unruled = without(&folder, Kind::Verdict, None);
    expect("unruled", &cast, &[unruled], &[("agreed(originator)", Proven), ("resolved(arbiter)", Undecided)]);
}
