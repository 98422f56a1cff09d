//! What could go wrong: a buyer pays for a right that was not passed on to it, for less than was promised, or for one that somebody else than the contract's
//! arbiter calls back; a seller leaves while it can still be cheated; who has paid does not show it; the arbiter revokes what may still be paid, or says in
//! between that nothing will happen any more. Every refusal has its good twin beside it. Whole runs with a clock are in `sim/tests/revoke.rs`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use semper_core::amount::Amount;
use semper_core::contract::{
    ArbiterRef, Deadlines, Final, Item, ItemKind, PartyRef, Profile, Promise, Quittance, Terms,
};
use semper_core::cose::{Draft, Kind, Statement};
use semper_core::hash::Digest;
use semper_core::ids::{DealId, Slot};
use semper_core::machine::{Env, Fault, Machine, Step};
use semper_core::time::{Seconds, Time};
use semper_support::crypto::{CryptoError, Encapsulate, KemSuite, Secret};
use semper_support::engine::{Ending, Input};
use semper_transfer::credential::Reply;
use semper_transfer::payment::means::System;
use semper_transfer::payment::operation::{Answer, Failure, Operation, OperationId, Outcome, PurseId, Task};
use semper_transfer::payment::statement::PaymentRequest;

use super::*;
use crate::arbiter::request::{Abort, Asked, Court, Inquiry, Request, RequestError, Resolve, Revocation};
use crate::arbiter::verdict::{ArbiterAnswer, ClosedUnused, Outcome as Ruled, Verdict};
use crate::arbiter::{Cell, Ruling, rule, rules_hash};
use crate::gx::{
    Completed, DEADLINE, Gx, GxError, ItemsError, Leg, Message, Own, Price, Promised, Question, Run, State,
    TransferDeposit, WINDOW, earliest_recall, last_payment, pay_until, revoke_from, revoke_until,
};
use crate::planner::{Engine, Which, plan_of};
use crate::testing::{Tags, key_set, say, sign, text};

const NOW: Time = Time::from_unix(1000);
const NOT_AFTER: Time = Time::from_unix(10_000);
const DEAL: DealId = DealId::from_array([9; 16]);
const TWO: Uses = Uses::Counted(2);
const O: Role = Role::ORIGINATOR;
const R: Role = Role::RESPONDER;

fn party(role: Role) -> KeySet {
    key_set(role.number() + 1)
}

fn arbiter() -> KeySet {
    key_set(3)
}

fn issuer() -> KeySet {
    key_set(4)
}

fn deadlines() -> Deadlines {
    let open = Deadlines {
        not_after: NOT_AFTER,
        complaints: None,
        refund_after: None,
        delta: Seconds(300),
        sigma: Seconds(60),
    };
    Deadlines { refund_after: Some(earliest_recall(&open)), ..open }
}

fn credential() -> Credential {
    Credential {
        serial: Serial::from_array([7; 16]),
        issuer: "https://issuer.example".to_owned(),
        holder: party(O).id(),
        right: "one look".to_owned(),
        audience: Vec::new(),
        uses: Uses::Counted(3),
        transferable: true,
        from: NOW,
        until: NOT_AFTER.after(Seconds(100_000)),
        condition: None,
    }
}

fn offered(credential: &Credential) -> Vec<u8> {
    Bundle { issuer: issuer(), credential: say(&issuer(), credential), reservation: None }.to_bytes()
}

fn right() -> Right {
    Right {
        serial: credential().serial,
        issuer: issuer().id(),
        right: "one look".to_owned(),
        credential: say(&issuer(), &credential()).id(),
        uses: TWO,
        salt: [8; 32],
    }
}

fn core() -> Core {
    let price = Price {
        amount: Amount::parse("5.00 EUR").unwrap(),
        system: System::parse("account").unwrap(),
        issuer: "https://bank.example".to_owned(),
        lock: None,
    };
    let asked = PaymentRequest {
        deal: DEAL,
        amount: price.amount,
        purpose: "a right".to_owned(),
        system: price.system.clone(),
        issuer: price.issuer.clone(),
        details: vec![1],
        expires: pay_until(&deadlines()),
    };
    let item = |kind, owner: Role, descriptor, slot| Item { kind, owner, recipient: owner.peer(), descriptor, slot };
    let deposit = TransferDeposit { request: say(&party(O), &asked), salt: [7; 32] };
    let arbiter = arbiter().id();
    Core {
        terms: Terms {
            profile: Profile::Gx,
            parties: [O, R].map(|role| PartyRef { role, key_set: party(role).id() }).to_vec(),
            arbiter: Some(ArbiterRef { key_set: arbiter, deposit_key: None, log: arbiter, rules: rules_hash() }),
            items: vec![
                item(ItemKind::Right, O, right().to_bytes(), Slot(1)),
                item(ItemKind::Money, R, price.to_bytes(), Slot(2)),
            ],
            deadlines: deadlines(),
            text: text(),
            links: Vec::new(),
            nonce: [1; 32],
        },
        deposits: BTreeMap::from([(Slot(2), deposit.to_bytes())]),
    }
}

/// What the issuer makes for the buyer.
fn passed() -> Credential {
    let CredentialTransfer { to, condition, .. } = right().request(&core()).unwrap();
    Credential { serial: Serial::from_array([8; 16]), holder: to, condition, ..credential() }
}

fn run(role: Role) -> Run {
    let shows = if role == O { offered(&credential()) } else { Vec::new() };
    let own = Own { purse: Some((DEAL, PurseId::from_array([role.number(); 16]))), shows, ..Own::default() };
    Run::new(core(), &party(role), [party(O), party(R)], Some(arbiter()), Seconds(30), own).unwrap()
}

fn promises() -> [Promised; 2] {
    let cid = core().cid();
    let first = say(&party(O), &Promise { cid, role: O, answers: None });
    let second = say(&party(R), &Promise { cid, role: R, answers: Some(first.id()) });
    [Promised { token: offered(&credential()), ..Promised::bare(first) }, Promised::bare(second)]
}

/// The same, with what was passed on in the place of what was offered.
fn promises_after() -> [Promised; 2] {
    let [first, second] = promises();
    [Promised { token: offered(&passed()), ..first }, second]
}

fn ids() -> [StatementId; 2] {
    promises().map(|promised| promised.promise.id())
}

fn last(role: Role, release: &[u8]) -> Input {
    let said = Final { cid: core().cid(), role, promises: ids(), slot: Slot::default() };
    let completion = say(&party(role), &said);
    message(&Message::Final(Completed { completion, release: release.to_vec(), payout: Vec::new() }))
}

fn message(message: &Message) -> Input {
    Input::Message(message.to_bytes())
}

fn quittance() -> Signed {
    say(&party(O), &Quittance { cid: core().cid(), role: O })
}

fn at(role: Role, state: State) -> Gx {
    Gx::at(run(role), state)
}

fn try_at(now: Time, state: &Gx, input: Input) -> Result<Step<Gx>, GxError> {
    let step = state.clone().handle(&Env { now, verify: &Tags }, input)?;
    assert_eq!(Gx::from_bytes(&step.state.to_bytes()), Ok(step.state.clone()), "what is stored is read as it was");
    Ok(step)
}

fn step_at(now: Time, state: &Gx, input: Input) -> Step<Gx> {
    try_at(now, state, input).unwrap()
}

fn step(state: &Gx, input: Input) -> Step<Gx> {
    step_at(NOW, state, input)
}

fn asks(step: &Step<Gx>) -> Draft {
    let found = step.effects.iter().find_map(|e| if let Effect::Sign { draft, .. } = e { Some(draft) } else { None });
    found.unwrap().clone()
}

fn signed(role: Role, step: &Step<Gx>) -> Step<Gx> {
    self::step(&step.state, Input::Signed(sign(&party(role), asks(step))))
}

fn errand(step: &Step<Gx>) -> Option<Errand> {
    let found =
        |e: &Effect| if let Effect::Submit(bytes) = e { Some(Errand::from_bytes(bytes).unwrap()) } else { None };
    step.effects.iter().find_map(found)
}

fn sends(step: &Step<Gx>) -> Vec<Message> {
    let sent = |e: &Effect| if let Effect::Send(bytes) = e { Some(Message::from_bytes(bytes).unwrap()) } else { None };
    step.effects.iter().filter_map(sent).collect()
}

fn pays(step: &Step<Gx>) -> bool {
    step.effects.iter().any(|e| {
        matches!(e, Effect::Operate(bytes) if matches!(Operation::from_bytes(bytes).unwrap().task, Task::Pay { .. }))
    })
}

fn timer(step: &Step<Gx>, of: &str) -> Option<Time> {
    step.effects.iter().find_map(|e| match e {
        Effect::SetTimer { name, due } if *name == of => Some(*due),
        _ => None,
    })
}

fn said(to: StatementId, said: Result<Option<Signed>, String>) -> Input {
    Input::Said(Reply { to, said }.to_bytes())
}

fn ended(verb: &str, result: Result<Outcome, Failure>) -> Input {
    Input::Operated(Answer { id: OperationId::of(DEAL, Slot::default(), verb), result }.to_bytes())
}

fn outcome(moved: &str, handover: &[u8]) -> Result<Outcome, Failure> {
    let amount = |text| Amount::parse(text).unwrap();
    Ok(Outcome { moved: amount(moved), fee: amount("0.00 EUR"), handover: handover.to_vec() })
}

// The contract says itself that what is given first is called back, and both compute who may do what.
#[test]
fn the_plan_is_revocable() {
    let plan = plan_of(&core()).unwrap();
    assert_eq!((plan.engine, plan.first), (Engine::Revocable, Which::First));
    assert_eq!((plan.may_abort, plan.may_resolve), (false, [false, true]));
    assert!(matches!(Leg::of(&core()), Ok([Leg::Right(_), Leg::Transfer(_)])));
    let changed = |change: fn(&mut Core)| {
        let mut core = core();
        change(&mut core);
        Leg::of(&core).map(drop)
    };
    let early = |core: &mut Core| {
        let date = core.terms.deadlines.refund_after.unwrap();
        core.terms.deadlines.refund_after = Some(date.before(Seconds(1)));
    };
    assert_eq!(changed(early), Err(ItemsError::RefundDate));
    assert_eq!(changed(|core| core.terms.deadlines.refund_after = None), Err(ItemsError::RefundDate));
    assert_eq!(changed(|core| core.terms.deadlines.complaints = Some(Seconds(9))), Err(ItemsError::Complaints));
    let signature = |core: &mut Core| {
        (core.terms.items[1].kind, core.terms.items[1].descriptor) = (ItemKind::Signature, Vec::new());
        core.deposits.clear();
    };
    assert_eq!(changed(signature), Err(ItemsError::RightOrder));
    let uses =
        |core: &mut Core| core.terms.items[0].descriptor = Right { uses: Uses::Counted(0), ..right() }.to_bytes();
    assert!(matches!(changed(uses), Err(ItemsError::Malformed { .. })));
}

#[test]
fn a_seller_passes_on_when_both_have_promised_and_gives_what_its_issuer_made() {
    let [ours, theirs] = promises();
    let waits = at(O, State::AwaitPeerPromise { ours });
    let passing = step(&waits, message(&Message::Promise(theirs)));
    assert_eq!(asks(&passing).kind, Kind::CredentialTransfer);
    let passing = signed(O, &passing);
    let asked = errand(&passing).unwrap();
    assert_eq!((asked.issuer.as_str(), asked.submission.kept), ("https://issuer.example", None));
    let request = CredentialTransfer::from_bytes(asked.submission.statement.payload()).unwrap();
    assert_eq!(Some(request), right().request(&core()));
    // From here on it stays: whether the right is gone only the issuer knows.
    for input in [Input::GiveUp, Input::Timer(DEADLINE), Input::Timer(WINDOW)] {
        assert_eq!(step_at(NOT_AFTER, &passing.state, input).state, passing.state);
    }
    let to = asked.submission.statement.id();
    let made = say(&issuer(), &passed());
    let gives = signed(O, &step(&passing.state, said(to, Ok(Some(made.clone())))));
    let [Message::Final(Completed { release, .. })] = &sends(&gives)[..] else { panic!("{gives:?}") };
    assert_eq!(*release, made.bytes());
    let asks_at = revoke_from(&deadlines()).after(Seconds(61));
    assert_eq!(timer(&gives, WINDOW), Some(asks_at));
    // Refused: nothing was passed on, and the buyer is told.
    let refused = step(&passing.state, said(to, Err("a use is kept".to_owned())));
    assert_eq!(refused.state.ending(), Some(Ending::Lapsed));
    assert!(matches!(&sends(&refused)[..], [Message::Decline(_)]));
    // An answer that is not what was asked for goes to nobody, and is called back in time.
    for other in [Ok(None), Ok(Some(say(&issuer(), &Credential { uses: Uses::Counted(1), ..passed() })))] {
        let waits = step(&passing.state, said(to, other));
        assert!(sends(&waits).is_empty() && matches!(waits.state.state(), State::AwaitWindow { .. }));
        assert_eq!(timer(&waits, WINDOW), Some(asks_at));
    }
}

// Before its right has left, a seller ends alone: no abort is asked for, which could only hurt itself.
#[test]
fn a_seller_that_has_given_nothing_leaves() {
    let [ours, theirs] = promises();
    let waits = at(O, State::AwaitPeerPromise { ours });
    let late = last_payment(&deadlines()).after(Seconds(1));
    let inputs = [
        (NOW, Input::GiveUp),
        (NOW, message(&Message::Decline(String::new()))),
        (late, message(&Message::Promise(theirs))),
    ];
    for (now, input) in inputs {
        let left = step_at(now, &waits, input);
        assert_eq!(left.state.ending(), Some(Ending::Lapsed));
        assert!(errand(&left).is_none() && left.effects.iter().all(|e| !matches!(e, Effect::Sign { .. })));
    }
}

#[test]
fn a_buyer_pays_for_what_was_passed_on_as_the_contract_says() {
    let waits = at(R, State::AwaitPeerFinal { promises: promises() });
    let good = say(&issuer(), &passed());
    let paying = step(&waits, last(O, good.bytes()));
    assert!(pays(&paying) && matches!(paying.state.state(), State::Releasing { .. }));
    let kept = passed().condition.unwrap();
    let bad = [
        ("holders", Credential { holder: party(O).id(), ..passed() }),
        ("rights", Credential { right: "no look".to_owned(), ..passed() }),
        ("audiences", Credential { audience: vec![party(O).id()], ..passed() }),
        ("numbers of uses", Credential { uses: Uses::Counted(1), ..passed() }),
        ("numbers of uses", Credential { uses: Uses::Unlimited, ..passed() }),
        ("dates", Credential { until: NOT_AFTER, ..passed() }),
        ("issuers", Credential { transferable: false, ..passed() }),
        ("conditions", Credential { condition: None, ..passed() }),
        // An arbiter of the seller's, another contract, a longer time, another who has it back.
        ("conditions", Credential { condition: Some(Condition { arbiter: party(O).id(), ..kept }), ..passed() }),
        (
            "conditions",
            Credential { condition: Some(Condition { tag: Digest::from_array([1; 32]), ..kept }), ..passed() },
        ),
        (
            "conditions",
            Credential { condition: Some(Condition { until: kept.until.after(Seconds(1)), ..kept }), ..passed() },
        ),
        ("conditions", Credential { condition: Some(Condition { giver: issuer().id(), ..kept }), ..passed() }),
    ];
    for (what, other) in bad {
        let found = try_at(NOW, &waits, last(O, say(&issuer(), &other).bytes())).map(drop);
        assert_eq!(found, Err(GxError::NotShown(NotGood::Passed(what))));
    }
    let forged = try_at(NOW, &waits, last(O, say(&party(O), &passed()).bytes())).map(drop);
    assert!(matches!(forged, Err(GxError::NotShown(NotGood::Issuer(_)))));
    // Too late to be taken and proven: it keeps its money, and the right goes back.
    let late = step_at(last_payment(&deadlines()).after(Seconds(1)), &waits, last(O, good.bytes()));
    assert!(!pays(&late) && late.state.ending() == Some(Ending::Lapsed));
    for leaves in [Input::GiveUp, Input::Timer(DEADLINE), message(&Message::Decline(String::new()))] {
        assert_eq!(step(&waits, leaves).state.ending(), Some(Ending::Lapsed));
    }
}

#[test]
fn a_buyer_looks_at_the_credential_before_it_promises() {
    let ready = Gx::new(run(R));
    let [first, _] = promises();
    let sees = |token: Vec<u8>| {
        let promised = Promised { token, ..first.clone() };
        try_at(NOW, &ready, message(&Message::Promise(promised))).map(|step| asks(&step).kind)
    };
    assert_eq!(sees(offered(&credential())), Ok(Kind::Promise));
    let other = Credential { right: "no look".to_owned(), ..credential() };
    for (token, error) in [
        (Vec::new(), NotGood::Missing),
        (offered(&other), NotGood::Serial),
        (offered(&Credential { transferable: false, ..credential() }), NotGood::Serial),
    ] {
        assert_eq!(sees(token), Err(GxError::NotShown(error)));
    }
    // A contract over a credential that cannot be passed on, or has fewer uses than are sold.
    let over = |of: &Credential| {
        let names = Right { credential: say(&issuer(), of).id(), ..right() };
        names.check_offered(&Tags, &core(), &offered(of)).map(drop)
    };
    assert_eq!(over(&credential()), Ok(()));
    assert_eq!(over(&Credential { transferable: false, ..credential() }), Err(NotGood::Fixed));
    assert_eq!(over(&Credential { uses: Uses::Counted(1), ..credential() }), Err(NotGood::Number));
    assert_eq!(over(&Credential { holder: party(R).id(), ..credential() }), Err(NotGood::Holder));
    assert_eq!(over(&Credential { right: "no look".to_owned(), ..credential() }), Err(NotGood::Right));
}

/// The buyer has paid and waits for the quittance.
fn paid() -> Step<Gx> {
    let waits = at(R, State::AwaitPeerFinal { promises: promises() });
    let paying = step(&waits, last(O, say(&issuer(), &passed()).bytes()));
    let paid = signed(R, &step(&paying.state, ended("pay", outcome("5.00 EUR", b"token"))));
    assert!(matches!(&sends(&paid)[..], [Message::Final(Completed { release, .. })] if release == b"token"));
    paid
}

#[test]
fn a_buyer_tells_the_issuer_that_it_has_paid() {
    let waits = paid();
    assert!(matches!(waits.state.state(), State::AwaitQuittance { .. }));
    let done = step(&waits.state, message(&Message::Quittance(quittance())));
    assert_eq!(done.state.ending(), Some(Ending::Success));
    let told = errand(&done).unwrap().submission;
    assert_eq!((told.statement, told.signer), (quittance(), party(O)));
    assert_eq!(told.kept, Some((passed().serial, [8; 32])));
    let own = say(&party(R), &Quittance { cid: core().cid(), role: R });
    assert!(try_at(NOW, &waits.state, message(&Message::Quittance(own))).is_err());
    // Another final says nothing about money.
    let again = step(&waits.state, last(O, say(&issuer(), &passed()).bytes()));
    assert_eq!(again.state, waits.state);
}

// The seller is silent: the buyer finds out at its issuer where the money is, and shows the arbiter that the seller has it.
#[test]
fn a_buyer_that_has_paid_shows_it_in_time() {
    let waits = paid();
    assert_eq!(timer(&waits, DEADLINE), Some(pay_until(&deadlines()).after(Seconds(60))));
    let proving = step(&waits.state, Input::Timer(DEADLINE));
    assert!(matches!(proving.state.state(), State::Proving { .. }));
    let heard = step(&proving.state, message(&Message::Quittance(quittance())));
    assert_eq!(heard.state.ending(), Some(Ending::Success));
    let back = step(&proving.state, ended("take-back", outcome("5.00 EUR", b"")));
    assert_eq!(back.state.ending(), Some(Ending::Refunded));
    let asking = step(&proving.state, ended("take-back", outcome("0.00 EUR", b"proof")));
    assert_eq!(asks(&asking).kind, Kind::Resolve);
    let waits = signed(R, &asking);
    let State::AwaitVerdict { asked, .. } = waits.state.state() else { panic!("{waits:?}") };
    let [first, second] = ids();
    let resolved = verdict(Ruled::Resolved, vec![*asked, first, second]);
    let answer = ArbiterAnswer { promises: promises().into(), ..ArbiterAnswer::of(resolved.clone()) };
    let done = step(&waits.state, Input::ArbiterSays(answer.to_bytes()));
    assert_eq!(done.state.ending(), Some(Ending::Success));
    assert_eq!(errand(&done).unwrap().submission.statement, resolved);
    // The arbiter was reached too late.
    let revoked = ArbiterAnswer::of(verdict(Ruled::Revoked, vec![*asked, first, second]));
    let lost = step(&waits.state, Input::ArbiterSays(revoked.to_bytes()));
    assert_eq!(lost.state.ending(), Some(Ending::Unconfirmed));
}

fn verdict(outcome: Ruled, basis: Vec<StatementId>) -> Signed {
    let (cid, slot) = (core().cid(), Slot::default());
    say(&arbiter(), &Verdict { cid, slot, outcome, basis, prior: Vec::new(), time: NOT_AFTER, log_index: 0 })
}

#[test]
fn a_seller_takes_the_money_and_says_so() {
    let gave = at(O, State::AwaitPeerFinal { promises: promises_after() });
    for stays in [Input::GiveUp, Input::Timer(DEADLINE)] {
        assert_eq!(step(&gave, stays).state, gave);
    }
    let taking = step(&gave, last(R, b"token"));
    assert!(matches!(taking.state.state(), State::Taking { .. }));
    assert_eq!(step(&taking.state, Input::GiveUp).state, taking.state);
    let paid = step(&taking.state, ended("receive", outcome("5.00 EUR", b"")));
    assert_eq!(asks(&paid).kind, Kind::Quittance);
    let done = signed(O, &paid);
    assert_eq!(done.state.ending(), Some(Ending::Success));
    assert!(matches!(&sends(&done)[..], [Message::Quittance(said)] if *said == quittance()));
    // What comes when nothing can be taken any more is kept, and keeps nobody from having the right called back.
    let until = pay_until(&deadlines()).after(Seconds(60));
    assert!(matches!(step_at(until, &gave, last(R, b"token")).state.state(), State::Taking { .. }));
    assert_eq!(step_at(until.after(Seconds(1)), &gave, last(R, b"token")).state, gave);
    // It could not be taken: the right is called back, unless the arbiter knows better.
    let failed = step(&taking.state, ended("receive", Err(Failure::unmoved(Fault::PeerMisbehaved, "no"))));
    assert!(matches!(failed.state.state(), State::AwaitWindow { .. }));
    assert!(timer(&failed, WINDOW).is_some());
}

#[test]
fn a_seller_that_is_not_paid_has_its_right_called_back() {
    let gave = at(O, State::AwaitPeerFinal { promises: promises_after() });
    let asking = step(&gave, Input::Timer(WINDOW));
    assert_eq!(asks(&asking).kind, Kind::Revocation);
    assert!(matches!(asking.state.state(), State::Asking { question: Question::Revoke, .. }));
    let waits = signed(O, &asking);
    let State::AwaitVerdict { asked, .. } = *waits.state.state() else { panic!("{waits:?}") };
    let [first, second] = ids();
    let revoked = verdict(Ruled::Revoked, vec![asked, first, second]);
    let says = |answer: ArbiterAnswer| step(&waits.state, Input::ArbiterSays(answer.to_bytes()));
    let recalling = says(ArbiterAnswer::of(revoked.clone()));
    let told = errand(&recalling).unwrap().submission;
    assert_eq!((told.statement.clone(), told.signer), (revoked.clone(), arbiter()));
    assert_eq!(told.kept, Some((passed().serial, [8; 32])));
    let back = say(&issuer(), &Credential { serial: Serial::from_array([9; 16]), ..credential() });
    let answered = |said: Input| step(&recalling.state, said).state.ending();
    assert_eq!(answered(said(revoked.id(), Ok(Some(back)))), Some(Ending::Recalled));
    assert_eq!(answered(said(revoked.id(), Err("too late".to_owned()))), Some(Ending::Unsettled));
    assert_eq!(answered(said(first, Err("of something else".to_owned()))), None);
    // It was paid after all, and has only not heard of it.
    let resolved = verdict(Ruled::Resolved, vec![first, first, second]);
    let paid = says(ArbiterAnswer { promises: promises().into(), ..ArbiterAnswer::of(resolved) });
    assert_eq!(paid.state.ending(), Some(Ending::Success));
    let unused = ClosedUnused { cid: core().cid(), slot: Slot::default(), request: asked, time: NOT_AFTER };
    assert_eq!(says(ArbiterAnswer::of(say(&arbiter(), &unused))).state.ending(), Some(Ending::Unsettled));
}

struct NoKem;

impl Encapsulate for NoKem {
    fn seed_len(&self, _: KemSuite) -> usize {
        32
    }

    fn encapsulate(&self, _: KemSuite, _: &[u8], _: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        Err(CryptoError::CannotOpen)
    }

    fn can_be_opened(&self, _: KemSuite, _: &[u8]) -> bool {
        true
    }
}

fn checked(
    by: Role,
    question: &impl Statement,
    promises: &[Promised],
) -> Result<crate::arbiter::request::Case, RequestError> {
    let keys = arbiter();
    let court = Court { verify: &Tags, kem: &NoKem, arbiter: &keys, deposit_key: None, systems: &[] };
    court.check(&Request {
        core: core(),
        key_sets: [party(O), party(R)],
        promises: promises.to_vec(),
        question: say(&party(by), question),
        proof: Vec::new(),
        payout: Vec::new(),
    })
}

// Who may ask the arbiter for what, and when: nobody aborts, only the seller revokes, and not before the time to pay is over.
#[test]
fn the_arbiter_revokes_when_nobody_can_show_a_payment_any_more() {
    let (cid, slot) = (core().cid(), Slot::default());
    let revocation = Revocation { cid, slot, promises: ids() };
    let case = checked(O, &revocation, &promises()).unwrap();
    assert_eq!(case.asked(), Asked::Revoke);
    let (from, until) = (revoke_from(&deadlines()), revoke_until(&deadlines()));
    assert!(NOT_AFTER < from && from < until && until < deadlines().refund_after.unwrap());
    let at = |now| rule(None, &case, now);
    for early in [NOW, NOT_AFTER, from] {
        assert_eq!(at(early), Ruling::Early);
    }
    assert_eq!(at(from.after(Seconds(1))), Ruling::Write(Ruled::Revoked));
    assert_eq!(at(until), Ruling::Write(Ruled::Revoked));
    assert_eq!(at(until.after(Seconds(1))), Ruling::TooLate);
    let resolved = Cell { outcome: Ruled::Resolved, time: NOW, closing: None };
    assert_eq!(rule(Some(resolved), &case, until), Ruling::Stands, "who has shown its payment keeps the right");
    // While it may be revoked, nobody is told that the cell stays empty.
    let inquiry = checked(R, &Inquiry { cid, slot, role: R }, &promises()).unwrap();
    assert_eq!(rule(None, &inquiry, until), Ruling::Early);
    assert_eq!(rule(None, &inquiry, until.after(Seconds(1))), Ruling::TooLate);
    let [first, _] = ids();
    let abort = Abort { cid, slot, promise: first };
    assert_eq!(checked(O, &abort, &promises()[..1]).map(drop), Err(RequestError::NoRevocation));
    assert!(matches!(checked(R, &revocation, &promises()), Err(RequestError::Signature { .. })));
    let turned = Revocation { promises: [ids()[1], ids()[0]], ..revocation };
    assert_eq!(checked(O, &turned, &promises()).map(drop), Err(RequestError::Foreign("revocation")));
    assert_eq!(checked(O, &revocation, &promises()[..1]).map(drop), Err(RequestError::Promises));
    // Nobody completes it without a proof, and the seller never.
    for by in [O, R] {
        let resolve = Resolve { cid, slot, promises: ids(), role: by, proof: None };
        assert!(matches!(checked(by, &resolve, &promises()), Err(RequestError::Unpaid(_))), "{by}");
    }
}
