//! Unit tests of exchanges in which money is paid by plain transfer. What could go wrong: the payer pays after an abort, or too late, or aborts when it has
//! paid; it loses the proof of its payment on the way to the arbiter; the payee leaves while the money is on its way to it. Whole runs with a clock are
//! checked in `sim/tests/timed.rs`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{ArbiterRef, Core, Deadlines, Final, Item, ItemKind, PartyRef, Profile, Promise, Terms};
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, Slot};
use semper_core::machine::{Env, Fault, Machine, Step};
use semper_core::party::{KeySet, Role};
use semper_core::time::{Seconds, Time};
use semper_support::engine::{Effect, Ending, Input};
use semper_transfer::payment::means::System;
use semper_transfer::payment::operation::{Answer, Failure, Operation, OperationId, Outcome, PurseId, Task};
use semper_transfer::payment::statement::PaymentRequest;

use super::{
    Completed, DEADLINE, Gx, GxError, ItemsError, Leg, Message, Own, PATIENCE, Price, Promised, Question, Run, State,
    TransferDeposit, WINDOW, last_payment, pay_until,
};
use crate::arbiter::request::{Request, Resolve};
use crate::arbiter::rules_hash;
use crate::planner::{Engine, Which, plan_of};
use crate::testing::{self, Tags, key_set, say, text};

const NOW: Time = Time::from_unix(1000);
const NOT_AFTER: Time = Time::from_unix(10_000);
const DEAL: DealId = DealId::from_array([9; 16]);
const O: Role = Role::ORIGINATOR;
const R: Role = Role::RESPONDER;

fn deadlines() -> Deadlines {
    Deadlines { not_after: NOT_AFTER, complaints: None, refund_after: None, delta: Seconds(300), sigma: Seconds(60) }
}

fn asked() -> PaymentRequest {
    PaymentRequest {
        deal: DEAL,
        amount: Amount::parse("5.00 EUR").unwrap(),
        purpose: "rent".to_owned(),
        system: System::parse("account").unwrap(),
        issuer: "https://bank.example".to_owned(),
        details: vec![1],
        expires: pay_until(&deadlines()),
    }
}

fn core(request: Signed) -> Core {
    let arbiter = key_set(3).id();
    let price = Price {
        amount: Amount::parse("5.00 EUR").unwrap(),
        system: System::parse("account").unwrap(),
        issuer: "https://bank.example".to_owned(),
        lock: None,
    };
    let item = |kind, owner: Role, descriptor| Item {
        kind,
        owner,
        recipient: owner.peer(),
        descriptor,
        slot: Slot::default(),
    };
    Core {
        terms: Terms {
            profile: Profile::Gx,
            parties: vec![
                PartyRef { role: O, key_set: key_set(1).id() },
                PartyRef { role: R, key_set: key_set(2).id() },
            ],
            arbiter: Some(ArbiterRef { key_set: arbiter, deposit_key: None, log: arbiter, rules: rules_hash() }),
            items: vec![item(ItemKind::Money, O, price.to_bytes()), item(ItemKind::Signature, R, Vec::new())],
            deadlines: deadlines(),
            text: text(),
            links: Vec::new(),
            nonce: [1; 32],
        },
        deposits: BTreeMap::from([(Slot(0), TransferDeposit { request, salt: [7; 32] }.to_bytes())]),
    }
}

fn contract() -> Core {
    core(say(&key_set(2), &asked()))
}

fn party(role: Role) -> KeySet {
    key_set(role.number() + 1)
}

fn run_in(core: Core, role: Role) -> Run {
    let own = Own { purse: Some((DEAL, PurseId::from_array([role.number(); 16]))), ..Own::default() };
    let both = [key_set(1), key_set(2)];
    Run::new(core, &party(role), both, Some(key_set(3)), Seconds(30), own).unwrap()
}

fn run_of(role: Role) -> Run {
    run_in(contract(), role)
}

fn promises() -> [Promised; 2] {
    let cid = contract().cid();
    let first = say(&key_set(1), &Promise { cid, role: O, answers: None });
    let second = say(&key_set(2), &Promise { cid, role: R, answers: Some(first.id()) });
    [first, second].map(Promised::bare)
}

fn last(role: Role, release: &[u8]) -> Message {
    let [first, second] = promises().map(|promised| promised.promise.id());
    let said = Final { cid: contract().cid(), role, promises: [first, second], slot: Slot::default() };
    let completion = say(&party(role), &said);
    Message::Final(Completed { completion, release: release.to_vec(), payout: Vec::new() })
}

fn at(role: Role, state: State) -> Gx {
    Gx::at(run_of(role), state)
}

fn step_at(now: Time, state: &Gx, input: Input) -> Step<Gx> {
    let step = state.clone().handle(&Env { now, verify: &Tags }, input).unwrap();
    assert_eq!(Gx::from_bytes(&step.state.to_bytes()), Ok(step.state.clone()), "what is stored is read as it was");
    step
}

fn step(state: &Gx, input: Input) -> Step<Gx> {
    step_at(NOW, state, input)
}

fn message(message: &Message) -> Input {
    Input::Message(message.to_bytes())
}

fn operation(step: &Step<Gx>) -> Operation {
    let found = step.effects.iter().find_map(|e| if let Effect::Operate(bytes) = e { Some(bytes) } else { None });
    Operation::from_bytes(found.unwrap()).unwrap()
}

fn ended(verb: &str, result: Result<Outcome, Failure>) -> Input {
    Input::Operated(Answer { id: OperationId::of(DEAL, Slot::default(), verb), result }.to_bytes())
}

fn outcome(moved: &str, handover: &[u8]) -> Result<Outcome, Failure> {
    let amount = |text| Amount::parse(text).unwrap();
    Ok(Outcome { moved: amount(moved), fee: amount("0.00 EUR"), handover: handover.to_vec() })
}

fn asks(step: &Step<Gx>) -> Draft {
    let found =
        step.effects.iter().find_map(|e| if let Effect::Sign { draft, .. } = e { Some(draft.clone()) } else { None });
    found.unwrap()
}

fn timer(step: &Step<Gx>, name: &str) -> Option<Time> {
    let due = |e: &Effect| match e {
        Effect::SetTimer { name: set, due } if *set == name => Some(*due),
        _ => None,
    };
    step.effects.iter().find_map(due)
}

fn awaiting_promise() -> Gx {
    let [ours, _] = promises();
    at(O, State::AwaitPeerPromise { ours })
}

fn second() -> Input {
    let [_, theirs] = promises();
    message(&Message::Promise(theirs))
}

// The contract says itself that it is timed, and who gives first.
#[test]
fn the_plan_is_timed() {
    let plan = plan_of(&contract()).unwrap();
    assert_eq!((plan.engine, plan.first), (Engine::Timed, Which::First));
    assert_eq!((plan.may_abort, plan.may_resolve), (true, [true, false]));
}

#[test]
fn a_payer_pays_in_the_step_that_takes_the_promise() {
    let paying = step(&awaiting_promise(), second());
    let asked = operation(&paying);
    assert!(matches!(&asked.task, Task::Pay { salt, .. } if *salt == [7; 32]));
    assert_eq!(asked.id, OperationId::of(DEAL, Slot::default(), "pay"));
    assert_eq!(timer(&paying, DEADLINE), Some(pay_until(&deadlines()).after(Seconds(60))));
    // Then its final goes out with the token, however late it has become.
    let paid = step(&paying.state, ended("pay", outcome("5.00 EUR", b"token")));
    let final_of = asks(&paid);
    assert_eq!(final_of.kind, Kind::Final);
    let sent = step_at(NOT_AFTER, &paid.state, Input::Signed(testing::sign(&key_set(1), final_of)));
    let said = Effect::Send(last(O, b"token").to_bytes());
    assert!(sent.effects.contains(&said) && matches!(sent.state.state(), State::AwaitPeerFinal { .. }));
    let done = step(&sent.state, message(&last(R, b"")));
    assert_eq!(done.state.ending(), Some(Ending::Success));
}

// A second later it would be too late, and nothing is paid.
#[test]
fn whoever_is_late_aborts_and_never_pays() {
    let last = last_payment(&deadlines());
    assert!(matches!(operation(&step_at(last, &awaiting_promise(), second())).task, Task::Pay { .. }));
    let late = step_at(last.after(Seconds(1)), &awaiting_promise(), second());
    assert_eq!(asks(&late).kind, Kind::Abort);
    assert!(!late.effects.iter().any(|effect| matches!(effect, Effect::Operate(_))));
    // After it has asked for an abort, no promise makes it pay.
    let asked = step(&awaiting_promise(), Input::GiveUp);
    assert_eq!(asks(&asked).kind, Kind::Abort);
    let abort = step(&asked.state, Input::Signed(testing::sign(&key_set(1), asks(&asked))));
    let then = step(&abort.state, second());
    assert_eq!(then.state, abort.state);
}

#[test]
fn a_payer_never_aborts_once_it_has_asked_to_pay() {
    let paying = step(&awaiting_promise(), second()).state;
    for input in [Input::GiveUp, Input::Timer(PATIENCE), Input::Timer(DEADLINE)] {
        let waits = step(&paying, input);
        assert_eq!(waits.state, paying);
        assert!(matches!(waits.effects.as_slice(), [Effect::Abandon(_)]), "the payment is not wanted any more");
    }
    let unmoved = ended("pay", Err(Failure::unmoved(Fault::UserDeclined, "no")));
    assert_eq!(step(&paying, unmoved).state.ending(), Some(Ending::Lapsed));
    let unknown = ended("pay", Err(Failure::unknown(Fault::ThirdParty, "who knows")));
    // Its final is half of the receipt: it is signed before the issuer is asked, whatever happens.
    let unknown = step(&paying, unknown);
    assert_eq!(asks(&unknown).kind, Kind::Final);
    assert_eq!(step(&unknown.state, Input::GiveUp).state, unknown.state);
}

#[test]
fn a_payer_without_a_receipt_asks_its_issuer_first() {
    let waiting = at(O, State::AwaitPeerFinal { promises: promises() });
    let proving = step(&waiting, Input::Timer(PATIENCE));
    assert_eq!(operation(&proving).task, Task::Reclaim(OperationId::of(DEAL, Slot::default(), "pay")));
    let proving = proving.state;
    let ending = |result| step(&proving, ended("take-back", result)).state.ending();
    assert_eq!(ending(outcome("5.00 EUR", b"")), Some(Ending::Refunded));
    // A part of it is back: no arbiter completes that.
    assert_eq!(ending(outcome("1.00 EUR", b"proof")), Some(Ending::Unconfirmed));
    assert_eq!(ending(Err(Failure::unknown(Fault::ThirdParty, "silence"))), Some(Ending::Unconfirmed));
    assert_eq!(step(&proving, message(&last(R, b""))).state.ending(), Some(Ending::Success));

    let asking = step(&proving, ended("take-back", outcome("0.00 EUR", b"proof")));
    let question = asks(&asking);
    let resolve = Resolve::from_bytes(&question.payload).unwrap();
    assert_eq!(resolve.proof, Some(Digest::of(domain::PROOF, b"proof")));
    let asked = step(&asking.state, Input::Signed(testing::sign(&key_set(1), question)));
    let request = asked.effects.iter().find_map(|e| if let Effect::AskArbiter(bytes) = e { Some(bytes) } else { None });
    assert_eq!(Request::from_bytes(request.unwrap()).unwrap().proof, b"proof");
}

// The payee waits, whatever its user does: what comes is taken, what cannot be taken ends with the arbiter's word.
#[test]
fn a_payee_ends_nothing_alone() {
    let waiting = at(R, State::AwaitPeerFinal { promises: promises() });
    for input in [Input::GiveUp, Input::Timer(PATIENCE), Input::Timer(DEADLINE)] {
        assert_eq!(step(&waiting, input).state, waiting);
    }
    let taking = step(&waiting, message(&last(O, b"token")));
    assert!(matches!(&operation(&taking).task, Task::Receive { token, .. } if token == b"token"));
    assert_eq!(step(&taking.state, Input::GiveUp).state, taking.state);
    let receipt = step(&taking.state, ended("receive", outcome("5.00 EUR", b"")));
    assert_eq!(asks(&receipt).kind, Kind::Final);
    assert_eq!(step(&receipt.state, Input::GiveUp).state, receipt.state);
    let failed = step(&taking.state, ended("receive", Err(Failure::unmoved(Fault::PeerRefused, "taken back"))));
    let closed = NOT_AFTER.after(Seconds(61));
    assert_eq!(timer(&failed, WINDOW), Some(closed));
    assert_eq!((failed.state.waits_until(), waiting.waits_until()), (Some(closed), Some(closed)));
    for state in [&failed.state, &waiting] {
        let asked = step_at(closed, state, Input::Timer(WINDOW));
        assert_eq!(asks(&asked).kind, Kind::Inquiry);
        assert!(matches!(asked.state.state(), State::Asking { question: Question::Inquire, .. }));
    }
}

#[test]
fn a_contract_must_ask_for_its_own_payment_in_time() {
    let with = |change: fn(&mut PaymentRequest)| {
        let mut request = asked();
        change(&mut request);
        Leg::of(&core(say(&key_set(2), &request))).map(drop)
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|r| r.amount = Amount::parse("5.01 EUR").unwrap()), Err(ItemsError::Request("amounts")));
    assert_eq!(with(|r| r.issuer.push('x')), Err(ItemsError::Request("means")));
    assert_eq!(with(|r| r.expires = r.expires.after(Seconds(1))), Err(ItemsError::Request("dates")));
    let by_payer = core(say(&key_set(1), &asked()));
    assert_eq!(Leg::of(&by_payer), Err(ItemsError::Request("payees")));
    let mut turned = contract();
    turned.terms.items.iter_mut().for_each(|item| std::mem::swap(&mut item.owner, &mut item.recipient));
    turned.terms.items.swap(0, 1);
    assert!(Leg::of(&turned).is_err());
    let mut dated = contract();
    dated.terms.deadlines.refund_after = Some(NOT_AFTER.after(Seconds(100_000)));
    assert_eq!(Leg::of(&dated), Err(ItemsError::RefundDate));
}

// What looks like the payee's request must be signed by it: else nobody could prove a payment of it.
#[test]
fn a_forged_request_is_not_paid() {
    let good = say(&key_set(2), &asked());
    let draft =
        Draft { kind: good.kind(), suite: good.suite(), signer: good.signer(), payload: good.payload().to_vec() };
    let forged = Gx::new(run_in(core(draft.assemble(vec![vec![9; 64]]).unwrap()), O));
    let begun = forged.handle(&Env { now: NOW, verify: &Tags }, Input::Begin);
    assert!(matches!(begun, Err(GxError::PeerSignature { what: "payment request", .. })));
    assert!(step(&Gx::new(run_of(O)), Input::Begin).effects.contains(&Effect::keep(&good)));
}
