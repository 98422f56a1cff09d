//! Attacks on a payment by plain transfer, which is shown by a proof of it.

use semper_core::cbor::Encode;
use semper_core::contract::Core;
use semper_core::cose::Statement;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, Slot};
use semper_core::party::Role;
use semper_exchange::arbiter::request::{Request, RequestError, Resolve, Revocation};
use semper_exchange::arbiter::verdict::{Outcome, Verdict};
use semper_exchange::arbiter::{Cell, Ruling, rule};
use semper_exchange::evidence::{self, Finding, Folder, Item, Standing};
use semper_exchange::gx::{Gx, GxError, Leg, Own, Run, TransferDeposit, revoke_from, revoke_until};
use semper_sim::deal::{Deal, SALE, TRANSFER};
use semper_sim::mint;
use semper_sim::scenario::{Cast, PATIENCE};
use semper_support::crypto::Signer;
use semper_support::engine::{EvidenceKind, Input};
use semper_transfer::payment::operation::PurseId;
use semper_transfer::payment::statement::PaymentRequest;

use crate::{NOW, O, R, handle};

/// A request to complete a payment by plain transfer, with what is to prove that it was made.
fn paid_resolve(cast: &Cast, deal: &Deal, by: Role, proof: Vec<u8>) -> Request {
    let promises = cast.promised(&deal.core);
    let ids = promises.each_ref().map(|promised| promised.promise.id());
    let named = (!proof.is_empty()).then(|| Digest::of(domain::PROOF, &proof));
    let (cid, slot) = (deal.core.cid(), Slot::default());
    let question = cast.say(by, &Resolve { cid, slot, promises: ids, role: by, proof: named }, 0);
    Request { question, proof, ..cast.resolve(&deal.core, by, promises) }
}

fn unpaid(cast: &Cast, deal: &Deal, request: &Request) -> bool {
    matches!(deal.court(cast).check(request), Err(RequestError::Unpaid(_)))
}

// A payer shows a payment of the same amount to the same payee for the same deal, which is not the one that the contract asks for; or none at all. It would
// have one payment completed into two receipts.
#[test]
fn proof_of_another_payment() {
    let cast = Cast::default();
    let deal = Deal::new(&cast, TRANSFER, None);
    for proof in [Vec::new(), b"nothing".to_vec(), mint::other_proof(&deal).to_bytes()] {
        assert!(unpaid(&cast, &deal, &paid_resolve(&cast, &deal, O, proof)));
    }
    // The good one for another question than it was signed for.
    let good = paid_resolve(&cast, &deal, O, deal.payment());
    let swapped = Request { proof: deal.payment(), ..paid_resolve(&cast, &deal, O, b"nothing".to_vec()) };
    assert_eq!(deal.court(&cast).check(&swapped), Err(RequestError::Foreign("resolve request")));
    // The payee cannot have completed what it may not have been paid for, whatever it shows.
    assert!(unpaid(&cast, &deal, &paid_resolve(&cast, &deal, R, deal.payment())));
    assert!(deal.court(&cast).check(&good).is_ok());
}

// A payer shows the payment of a request that the same payee has signed for another deal.
#[test]
fn proof_of_another_deal() {
    let cast = Cast::default();
    let deal = Deal::new(&cast, TRANSFER, None);
    let Leg::Transfer(transfer) = Leg::of(&deal.core).unwrap()[0].clone() else { panic!("it is paid by transfer") };
    let other = PaymentRequest { deal: DealId::from_array([8; 16]), ..transfer.asked.clone() };
    let other = cast.say(R, &other, 0);
    let proof = mint::proof(other.clone()).to_bytes();
    assert!(unpaid(&cast, &deal, &paid_resolve(&cast, &deal, O, proof.clone())));
    // In a contract that asks for it, its payer does not begin: nobody could say later what it has paid for.
    let mut core = deal.core.clone();
    core.deposits.values_mut().for_each(|deposit| {
        *deposit = TransferDeposit { request: other.clone(), salt: transfer.salt }.to_bytes();
    });
    let purse = Some((DealId::from_array([9; 16]), PurseId::from_array([0; 16])));
    let run = |core: &Core| {
        let own = Own { purse, ..Own::default() };
        let arbiter = Some(cast.arbiter.key_set().clone());
        Gx::new(Run::new(core.clone(), cast.hand(O).key_set(), cast.key_sets(), arbiter, PATIENCE, own).unwrap())
    };
    let refused = handle(&cast, &run(&core), Input::Begin);
    assert_eq!(refused.unwrap_err(), GxError::PeerMismatch("payment request"));
    assert!(handle(&cast, &run(&deal.core), Input::Begin).is_ok());
    assert!(deal.court(&cast).check(&paid_resolve(&cast, &deal, O, deal.payment())).is_ok());
}

// An arbiter completes a receipt on a proof that does not hold: the folder of whoever has proof and question shows it. On one that holds, the receipt stands.
#[test]
fn receipt_on_a_false_proof() {
    let cast = Cast::default();
    let deal = Deal::new(&cast, TRANSFER, None);
    let standing = |proof: Vec<u8>| {
        let request = paid_resolve(&cast, &deal, O, proof.clone());
        let ids = request.promises.iter().map(|promised| promised.promise.id());
        let basis = [request.question.id()].into_iter().chain(ids).collect();
        let (cid, slot) = (deal.core.cid(), Slot::default());
        let outcome = Outcome::Resolved;
        let verdict = Verdict { cid, slot, outcome, basis, prior: Vec::new(), time: NOW, log_index: 0 };
        let arbiter = cast.arbiter.key_set();
        let verdict = cast.arbiter.sign(verdict.draft(arbiter.suite(), arbiter.id())).unwrap();
        let item = |kind, bytes| Item { kind, time: NOW, bytes };
        let [o, r] = cast.key_sets();
        let keys = [&o, &r, arbiter].map(|keys| item(EvidenceKind::KeySet, keys.to_bytes()));
        let said = request.promises.iter().map(|promised| &promised.promise).chain([&request.question, &verdict]);
        let said = said.map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec()));
        let mut items = vec![item(EvidenceKind::Core, deal.core.to_bytes()), item(EvidenceKind::Payment, proof)];
        items.extend(keys.into_iter().chain(said));
        let report =
            evidence::verify(&cast.oracle, mint::SYSTEMS, &Folder { deal: DealId::from_array([9; 16]), items });
        let wrong = report.findings.iter().any(|finding| matches!(finding, Finding::WrongVerdict { .. }));
        (report.contracts[0].standing, wrong)
    };
    assert_eq!(standing(mint::other_proof(&deal).to_bytes()), (Standing::Open { promised: [true, true] }, true));
    assert_eq!(standing(deal.payment()), (Standing::Resolved { time: NOW }, false));
}

// A seller that has the money asks to have its right called back all the same: before the time is over it is too early, after a proof the contract stands, however late that
// came. Without a proof the right comes back, and a proof after that is too late.
#[test]
fn revocation_of_a_right_that_was_paid() {
    let cast = Cast::default();
    let deal = Deal::new(&cast, SALE, None);
    let (cid, slot, promises) = (deal.core.cid(), Slot::default(), cast.promise_ids(&deal.core));
    let question = cast.say(O, &Revocation { cid, slot, promises }, 0);
    let revoke = Request { question, ..cast.resolve(&deal.core, O, cast.promised(&deal.core)) };
    let case = |request: &Request| deal.court(&cast).check(request).unwrap();
    let (revoke, paid) = (case(&revoke), case(&paid_resolve(&cast, &deal, R, deal.payment())));
    let (from, until) = (revoke_from(&deal.core.terms.deadlines), revoke_until(&deal.core.terms.deadlines));
    assert_eq!(rule(None, &revoke, from), Ruling::Early);
    for late in [deal.core.terms.deadlines.not_after, until] {
        assert_eq!(rule(None, &paid, late), Ruling::Write(Outcome::Resolved));
    }
    assert_eq!(rule(None, &revoke, until), Ruling::Write(Outcome::Revoked));
    let decided = |outcome| Some(Cell { outcome, time: until, closing: None });
    assert_eq!(rule(decided(Outcome::Resolved), &revoke, until), Ruling::Stands);
    assert_eq!(rule(decided(Outcome::Revoked), &paid, until), Ruling::Stands);
    // Nobody else has anything called back, and a seller completes nothing by the buyer's proof.
    let other = cast.say(R, &Revocation { cid, slot, promises }, 0);
    let other = Request { question: other, ..cast.resolve(&deal.core, R, cast.promised(&deal.core)) };
    assert!(matches!(deal.court(&cast).check(&other), Err(RequestError::Signature { .. })));
    assert!(unpaid(&cast, &deal, &paid_resolve(&cast, &deal, O, deal.payment())));
    let signing = Deal::new(&cast, TRANSFER, None);
    let (cid, promises) = (signing.core.cid(), cast.promise_ids(&signing.core));
    let question = cast.say(O, &Revocation { cid, slot, promises }, 0);
    let foreign = Request { question, ..cast.resolve(&signing.core, O, cast.promised(&signing.core)) };
    assert_eq!(signing.court(&cast).check(&foreign), Err(RequestError::NoRevocation));
}
