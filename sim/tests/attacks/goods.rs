//! Attacks on an exchange of money and information: tokens that there are not, dates, keys, complaints.

use semper_core::cbor::Encode;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::time::Seconds;
use semper_exchange::arbiter::request::{Complaint, Request, RequestError};
use semper_exchange::arbiter::service::{Next, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, ClosingOutcome, Outcome};
use semper_exchange::arbiter::{Ruling, rule};
use semper_exchange::goods::{Claim, Pom};
use semper_exchange::gx::{Examination, Found, Gx, ItemsError, Promised, Question, RunError, State};
use semper_sim::deal::{COMPLAINTS, Deal, NOT_AFTER as NOT_AFTER_TICK, PURCHASE, Thing, moment};
use semper_sim::scenario::Cast;
use semper_support::crypto::Signer;
use semper_support::engine::Input;

use crate::{O, R, deal, decided, handle};

// The seller resolves with a token of the buyer's that there is not. The buyer, who asks later, still has its own money to ask for.
#[test]
fn foreign_token_for_the_buyers_money() {
    let (cast, deal, [first, second]) = deal(PURCHASE);
    let swapped = Promised { token: b"none".to_vec(), ..second.clone() };
    let answer = {
        let case = deal.court(&cast).check(&cast.resolve(&deal.core, O, [first.clone(), swapped.clone()])).unwrap();
        let Next::SignAndStore(draft) = decide(None, &case, cast.arbiter.key_set(), 0, moment(0)) else { panic!() };
        let promises = vec![first.clone(), swapped];
        let attestation = deal.attestation(&cast, O);
        ArbiterAnswer { promises, attestation, ..ArbiterAnswer::of(cast.arbiter.sign(draft).unwrap()) }
    };
    let asked = cast.resolve(&deal.core, R, [first.clone(), second.clone()]).question.id();
    let promises = vec![first, second.clone()];
    let waiting = State::AwaitVerdict { question: Question::Resolve { proof: Vec::new() }, asked, promises };
    let waiting = Gx::at(deal.run(&cast, R).unwrap(), waiting);
    let heard = handle(&cast, &waiting, Input::ArbiterSays(answer.to_bytes())).unwrap().state;
    let State::Examining { promises, .. } = heard.state() else { panic!("{}", heard.state().name()) };
    assert_eq!(promises[1], second);
}

// 19. Money that could be taken back too early, or be asked for without a token.
#[test]
fn lock_date_too_near_or_token_absent() {
    let cast = Cast::default();
    let early = Deal::new(&cast, PURCHASE, Some(NOT_AFTER_TICK + 1));
    assert_eq!(early.run(&cast, R).unwrap_err(), RunError::Items(ItemsError::RefundDate));
    let (cast, deal, [first, second]) = deal(PURCHASE);
    let without = cast.resolve(&deal.core, R, [first.clone(), Promised::bare(second.promise.clone())]);
    assert_eq!(deal.court(&cast).check(&without), Err(RequestError::Token));
    assert!(deal.court(&cast).check(&cast.resolve(&deal.core, R, [first, second])).is_ok());
    assert!(deal.run(&cast, R).is_ok());
}

// 23. The buyer aborts while the key is in flight.
#[test]
fn buyer_abort_while_key_in_flight() {
    let (cast, deal, promises) = deal(PURCHASE);
    let waiting = Gx::at(deal.run(&cast, R).unwrap(), State::AwaitPeerFinal { promises: promises.clone() });
    let given_up = handle(&cast, &waiting, Input::GiveUp).unwrap();
    assert_eq!(given_up.state.state().name(), "await-resolve-signature");
    let abort = semper_exchange::arbiter::request::Abort {
        cid: deal.core.cid(),
        slot: Slot::default(),
        promise: promises[0].promise.id(),
    };
    let good = cast.resolve(&deal.core, R, promises.clone());
    let asked = Request { question: cast.say(R, &abort, 0), promises: vec![promises[0].clone()], ..good.clone() };
    assert!(deal.court(&cast).check(&asked).is_err());
    assert!(deal.court(&cast).check(&good).is_ok());
}

// 25. A complaint counts until the date of the contract, however early the seller had it resolved; not a second longer.
#[test]
fn complaint_after_window() {
    let (cast, deal, promises) = deal([Thing::BadInformation, Thing::Money]);
    let release = deal.attestation(&cast, O).unwrap().bytes().to_vec();
    let Found::Bad(proof) = deal.examine(&cast, &Examination { core: deal.core.clone(), slot: Slot(1), release }).found
    else {
        panic!("the goods are bad")
    };
    let complain = |proof: Vec<u8>| {
        let digest = Digest::of(domain::MISBEHAVIOUR, &proof);
        let complaint = Complaint { cid: deal.core.cid(), slot: Slot::default(), role: R, proof: digest };
        let resolve = cast.resolve(&deal.core, R, promises.clone());
        deal.court(&cast).check(&Request { question: cast.say(R, &complaint, 0), proof, ..resolve })
    };
    let complaint = complain(proof).unwrap();
    let end = moment(NOT_AFTER_TICK + COMPLAINTS);
    let ruled = |now| rule(decided(Outcome::Resolved), &complaint, now);
    assert_eq!(ruled(end), Ruling::Close(ClosingOutcome::Fault(O)));
    assert_eq!(ruled(end.after(Seconds(1))), Ruling::Stands);
    // 24. A proof that proves nothing.
    let made_up = Pom { cid: deal.core.cid(), slot: Slot(1), claim: Claim::NoKey }.to_bytes();
    assert!(matches!(complain(made_up), Err(RequestError::Unproven(_))));
}
