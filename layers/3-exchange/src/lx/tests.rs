//! Step by step. Every order of events is searched in `sim`; here stands what each step must and must not do.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use semper_core::amount::Amount;
use semper_core::cbor::{self, Decode, Encode, Map, Value};
use semper_core::contract::{Core, Deadlines, Item, ItemKind, PartyRef, Profile, Terms};
use semper_core::ids::{DealId, Slot};
use semper_core::machine::{Env, Fault, Machine, Step};
use semper_core::party::{KeySet, Role};
use semper_core::time::{Seconds, Time};
use semper_support::engine::{Effect, Ending, EvidenceKind, Input};
use semper_transfer::payment::means::{LockKind, System};
use semper_transfer::payment::operation::{Answer, Failure, Money, Operation, Outcome, PurseId, Task};
use semper_transfer::payment::statement::Side;

use super::{Lx, Message, State};
use crate::goods::preimage_hash;
use crate::gx::{
    DEADLINE, Decides, Gx, GxError, ItemsError, Leg, LockDeposit, Own, PATIENCE, Price, REFUND, Run, RunError,
    originators_refund,
};
use crate::testing::{Tags, key_set, sign, text};

const NOW: Time = Time::from_unix(1000);
const NOT_AFTER: Time = Time::from_unix(10_000);
const DATE: Time = Time::from_unix(10_060);
const LATE: Time = Time::from_unix(9_641);
const PREIMAGE: [u8; 32] = [7; 32];
const ROLES: [Role; 2] = [Role::ORIGINATOR, Role::RESPONDER];

fn key_sets() -> [KeySet; 2] {
    [key_set(1), key_set(2)]
}

/// Money for money.
fn change() -> Core {
    let price = Price {
        amount: Amount::parse("1.00 EUR").unwrap(),
        system: System::parse("ecash").unwrap(),
        issuer: "https://mint.example".to_owned(),
        lock: Some(LockKind::Hash),
    };
    let item = |owner: Role| Item {
        kind: ItemKind::Money,
        owner,
        recipient: owner.peer(),
        descriptor: price.to_bytes(),
        slot: Slot(owner.number().into()),
    };
    let decides = Decides::Hash(preimage_hash(&PREIMAGE));
    let deposit = LockDeposit { payer: vec![1], payee: vec![2], decides, salt: [3; 32] };
    let [o, r] = key_sets();
    Core {
        terms: Terms {
            profile: Profile::Lx,
            parties: vec![
                PartyRef { role: Role::ORIGINATOR, key_set: o.id() },
                PartyRef { role: Role::RESPONDER, key_set: r.id() },
            ],
            arbiter: None,
            items: ROLES.map(item).to_vec(),
            deadlines: Deadlines {
                not_after: NOT_AFTER,
                complaints: None,
                refund_after: Some(DATE),
                delta: Seconds(300),
                sigma: Seconds(60),
            },
            text: text(),
            links: Vec::new(),
            nonce: [1; 32],
        },
        deposits: BTreeMap::from([(Slot(0), deposit.to_bytes()), (Slot(1), deposit.to_bytes())]),
    }
}

/// A receipt for money.
fn receipt() -> Core {
    let mut core = change();
    let item = &mut core.terms.items[0];
    (item.kind, item.descriptor) = (ItemKind::Signature, Vec::new());
    core.deposits.remove(&Slot(0));
    core
}

fn own(role: Role) -> Own {
    let purse = Some((DealId::from_array([4; 16]), PurseId::from_array([role.number(); 16])));
    let seed = if role == Role::ORIGINATOR { PREIMAGE.to_vec() } else { Vec::new() };
    Own { purse, seed, ..Own::default() }
}

fn run(core: Core, role: Role) -> Result<Run, RunError> {
    let me = key_sets()[usize::from(role.number())].clone();
    Run::new(core, &me, key_sets(), None, Seconds(30), own(role))
}

fn step_at(now: Time, state: &Lx, input: Input) -> Result<Step<Lx>, GxError> {
    state.clone().handle(&Env { now, verify: &Tags }, input)
}

/// Takes a step; every state that is reached is read back from its bytes.
fn take(state: &mut Lx, now: Time, input: Input) -> Vec<Effect> {
    let step = step_at(now, state, input).unwrap();
    *state = Lx::from_bytes(&step.state.to_bytes()).unwrap();
    assert_eq!(*state, step.state);
    step.effects
}

fn operations(effects: &[Effect]) -> Vec<Operation> {
    let asked = effects.iter().filter_map(|e| if let Effect::Operate(bytes) = e { Some(bytes) } else { None });
    asked.map(|bytes| Operation::from_bytes(bytes).unwrap()).collect()
}

fn sent(effects: &[Effect]) -> Vec<Message> {
    let sent = effects.iter().filter_map(|e| if let Effect::Send(bytes) = e { Some(bytes) } else { None });
    sent.map(|bytes| Message::from_bytes(bytes).unwrap()).collect()
}

fn is_set(effects: &[Effect], timer: &str) -> Option<Time> {
    effects.iter().find_map(|e| match e {
        Effect::SetTimer { name, due } if *name == timer => Some(*due),
        _ => None,
    })
}

fn message(message: &Message) -> Input {
    Input::Message(message.to_bytes())
}

fn done(operation: &Operation, handover: &[u8]) -> Input {
    let nothing = Amount::parse("0.00 EUR").unwrap();
    let outcome = Outcome { moved: nothing, fee: nothing, handover: handover.to_vec() };
    Input::Operated(Answer { id: operation.id, result: Ok(outcome) }.to_bytes())
}

fn failed(operation: &Operation, money: Money) -> Input {
    let failure = Failure { money, ..Failure::unmoved(Fault::ThirdParty, "refused") };
    Input::Operated(Answer { id: operation.id, result: Err(failure) }.to_bytes())
}

/// Has the user agree and the money locked; what then goes out.
fn promise(state: &mut Lx, effects: &[Effect]) -> Vec<Effect> {
    let draft =
        effects.iter().find_map(|e| if let Effect::Sign { draft, .. } = e { Some(draft.clone()) } else { None });
    let signer = state.run().key_set(state.run().role()).clone();
    let effects = take(state, NOW, Input::Signed(sign(&signer, draft.unwrap())));
    match operations(&effects).as_slice() {
        [] => effects,
        [lock] => {
            assert!(matches!(lock.task, Task::Lock(_)));
            assert!(sent(&effects).is_empty(), "nothing is promised to the peer before the money is locked");
            take(state, NOW, done(lock, b"token"))
        }
        _ => panic!("one thing at a time"),
    }
}

/// Both have promised; the responder's message is on its way to the originator.
fn locked(core: &Core) -> ([Lx; 2], Vec<Message>) {
    let [mut o, mut r] = ROLES.map(|role| Lx::new(run(core.clone(), role).unwrap()));
    let begun = take(&mut o, NOW, Input::Begin);
    assert!(matches!(begun[0], Effect::Once(_)), "the run is counted in the commit that begins it");
    let first = sent(&promise(&mut o, &begun));
    let mut heard = take(&mut r, NOW, message(&first[0]));
    if let [verify] = operations(&heard).as_slice() {
        assert!(matches!(verify.task, Task::VerifyLock { .. }), "the peer's money is looked at before ours is locked");
        heard = take(&mut r, NOW, done(verify, b""));
    }
    let answered = promise(&mut r, &heard);
    assert_eq!(is_set(&answered, REFUND), Some(Time::from_unix(10_121)));
    ([o, r], sent(&answered))
}

/// The originator has seen the responder's money; what it does about it.
fn verified(o: &mut Lx, promise: &Message, now: Time) -> Vec<Effect> {
    let heard = take(o, now, message(promise));
    let [verify] = operations(&heard).try_into().unwrap();
    take(o, now, done(&verify, b""))
}

#[test]
fn both_get_what_they_are_due_and_nobody_else_is_asked() {
    let ([mut o, mut r], promised) = locked(&change());
    let opening = verified(&mut o, &promised[0], NOW);
    assert!(sent(&opening).is_empty(), "nobody is told the preimage before the money is here");
    let [redeem] = operations(&opening).try_into().unwrap();
    let Task::Redeem { to, authorisation, .. } = &redeem.task else { panic!("{redeem:?}") };
    assert_eq!((*to, authorisation.as_slice()), (Side::Payee, PREIMAGE.as_slice()));
    let opened = take(&mut o, NOW, done(&redeem, b""));
    assert_eq!(o.ending(), Some(Ending::Success));
    let said = sent(&opened);
    assert_eq!(said, [Message::Preimage(PREIMAGE)]);
    let taking = take(&mut r, NOW, message(&said[0]));
    let [redeem] = operations(&taking).try_into().unwrap();
    take(&mut r, NOW, done(&redeem, b""));
    assert_eq!(r.ending(), Some(Ending::Success));
    for effects in [&opened, &taking] {
        let kept = Effect::Keep { kind: EvidenceKind::Preimage, bytes: PREIMAGE.to_vec() };
        assert!(effects.contains(&kept), "both keep the preimage: it is the proof");
    }
}

#[test]
fn the_responder_asks_the_issuer_when_nobody_tells_it() {
    for core in [change(), receipt()] {
        let ([_, mut r], _) = locked(&core);
        let mut learned = Vec::new();
        for asked in 1..=3_u8 {
            let asking = take(&mut r, NOW, Input::Timer(PATIENCE));
            let [learn] = operations(&asking).try_into().unwrap();
            assert!(matches!(learn.task, Task::Learn { .. }));
            learned.push(learn.id);
            let refused = take(&mut r, NOW, failed(&learn, Money::NotMoved));
            let patience = NOW.after(Seconds(30 << asked));
            assert_eq!(is_set(&refused, PATIENCE), Some(patience), "it asks less and less often");
        }
        assert_ne!(learned[0], learned[1], "each question is a new one");
        let gone = take(&mut r, DATE, Input::Timer(REFUND));
        let [reclaim] = operations(&gone).try_into().unwrap();
        assert!(matches!(reclaim.task, Task::Redeem { to: Side::Payer, .. }));
        let asking = take(&mut r, DATE, failed(&reclaim, Money::NotMoved));
        let [learn] = operations(&asking).try_into().unwrap();
        assert!(matches!(learn.task, Task::Learn { .. }), "its money is gone, so somebody has shown the preimage");
        let accepted = take(&mut r, DATE, done(&learn, &PREIMAGE));
        match operations(&accepted).as_slice() {
            [redeem] => {
                assert!(matches!(redeem.task, Task::Redeem { to: Side::Payee, .. }));
                take(&mut r, DATE, done(redeem, b""));
            }
            none => assert!(none.is_empty()),
        }
        assert_eq!(r.ending(), Some(Ending::Success));
    }
}

#[test]
fn money_that_nobody_took_comes_back() {
    let ([mut o, mut r], _) = locked(&change());
    let given_up = take(&mut o, NOW, Input::Timer(PATIENCE));
    assert_eq!(o.state().name(), "await-refund");
    let later = originators_refund(&change().terms.deadlines, DATE);
    assert_eq!(is_set(&given_up, REFUND), Some(later.after(Seconds(61))));
    for party in [&mut o, &mut r] {
        let taking = take(party, later, Input::Timer(REFUND));
        let [reclaim] = operations(&taking).try_into().unwrap();
        take(party, later, done(&reclaim, b""));
        assert_eq!(party.ending(), Some(Ending::Refunded));
    }
}

// The one thing that the originator must never do: show the preimage when the responder may already have its money back.
#[test]
fn the_preimage_is_not_shown_late() {
    let ([mut o, _], promised) = locked(&change());
    let heard = take(&mut o, LATE, message(&promised[0]));
    let [verify] = operations(&heard).try_into().unwrap();
    let late = take(&mut o, LATE, done(&verify, b""));
    assert!(operations(&late).is_empty());
    assert_eq!(o.state().name(), "await-refund");

    let ([mut o, _], promised) = locked(&change());
    let opening = verified(&mut o, &promised[0], NOW);
    let [redeem] = operations(&opening).try_into().unwrap();
    let given_up = take(&mut o, LATE, Input::Timer(DEADLINE));
    assert!(given_up.contains(&Effect::Abandon(*redeem.id.as_bytes())), "nothing more is sent after the last step");
    take(&mut o, LATE, failed(&redeem, Money::NotMoved));
    assert_eq!(o.state().name(), "await-refund");
}

#[test]
fn what_is_not_the_preimage_opens_nothing() {
    let ([_, mut r], _) = locked(&receipt());
    take(&mut r, NOW, message(&Message::Preimage([8; 32])));
    assert_eq!(r.state().name(), "await-preimage");
    let asking = take(&mut r, NOW, Input::GiveUp);
    let [learn] = operations(&asking).try_into().unwrap();
    take(&mut r, NOW, done(&learn, &[8; 32]));
    assert_eq!(r.state().name(), "await-preimage", "an issuer that says something else has said nothing");
}

// However often an impatient user has asked: when the money is gone, the question is a new one, which the issuer answers as it is then.
#[test]
fn the_last_question_was_never_asked_before() {
    let ([_, mut r], _) = locked(&receipt());
    let mut asked = Vec::new();
    while let [learn] = operations(&take(&mut r, NOW, Input::GiveUp)).as_slice() {
        asked.push(learn.id);
        take(&mut r, NOW, failed(learn, Money::NotMoved));
    }
    assert_eq!((asked.len(), r.state().name()), (254, "await-preimage"));
    let [reclaim] = operations(&take(&mut r, DATE, Input::Timer(REFUND))).try_into().unwrap();
    let [learn] = operations(&take(&mut r, DATE, failed(&reclaim, Money::NotMoved))).try_into().unwrap();
    assert!(!asked.contains(&learn.id));
    take(&mut r, DATE, done(&learn, &PREIMAGE));
    assert_eq!(r.ending(), Some(Ending::Success));
}

// The responder tries to take its money back, and meanwhile the originator says the preimage: it has the one or the other, never neither.
#[test]
fn a_preimage_that_comes_while_money_is_taken_back_is_not_lost() {
    for came_back in [true, false] {
        let ([_, mut r], _) = locked(&receipt());
        let taking = take(&mut r, DATE, Input::Timer(REFUND));
        let [reclaim] = operations(&taking).try_into().unwrap();
        take(&mut r, DATE, message(&Message::Preimage(PREIMAGE)));
        assert_eq!(r.ending(), None);
        let answer = if came_back { done(&reclaim, b"") } else { failed(&reclaim, Money::NotMoved) };
        take(&mut r, DATE, answer);
        assert_eq!(r.ending(), Some(if came_back { Ending::Refunded } else { Ending::Success }));
    }
}

#[test]
fn whoever_declines_has_given_nothing() {
    let [mut o, mut r] = ROLES.map(|role| Lx::new(run(receipt(), role).unwrap()));
    let begun = take(&mut o, NOW, Input::Begin);
    let first = sent(&promise(&mut o, &begun));
    let heard = take(&mut r, NOW, message(&first[0]));
    let draft = heard.iter().find_map(|e| if let Effect::Sign { draft, .. } = e { Some(draft.id()) } else { None });
    let declined = take(&mut r, NOW, Input::Declined { statement: draft.unwrap() });
    assert_eq!(r.ending(), Some(Ending::Lapsed));
    take(&mut o, NOW, message(&sent(&declined)[0]));
    assert_eq!(o.ending(), Some(Ending::Lapsed));
}

// An originator that has given up says so, and its message comes before its promise: money that is locked then lies there until its date.
#[test]
fn a_responder_that_is_declined_before_the_promise_locks_nothing() {
    let mut o = Lx::new(run(receipt(), Role::ORIGINATOR).unwrap());
    let begun = take(&mut o, NOW, Input::Begin);
    let promised = sent(&promise(&mut o, &begun));
    let declined = sent(&take(&mut o, NOW, Input::GiveUp));
    let mut r = Lx::new(run(receipt(), Role::RESPONDER).unwrap());
    take(&mut r, NOW, message(&declined[0]));
    assert_eq!(r.ending(), Some(Ending::Lapsed));
    let effects = take(&mut r, NOW, message(&promised[0]));
    assert!(operations(&effects).is_empty() && !effects.iter().any(|effect| matches!(effect, Effect::Sign { .. })));
    assert_eq!(r.ending(), Some(Ending::Lapsed));
}

#[test]
fn contracts_that_one_hash_does_not_lock_are_refused() {
    let refused = |change_it: &dyn Fn(&mut Core)| {
        let mut core = change();
        change_it(&mut core);
        Leg::of(&core).unwrap_err()
    };
    let other = |core: &mut Core| {
        let decides = Decides::Hash([9; 32]);
        let deposit = LockDeposit { payer: vec![1], payee: vec![2], decides, salt: [3; 32] };
        core.deposits.insert(Slot(0), deposit.to_bytes());
    };
    assert_eq!(refused(&other), ItemsError::OneHash);
    let nothing_for_it = |core: &mut Core| {
        let item = &mut core.terms.items[1];
        (item.kind, item.descriptor) = (ItemKind::Signature, Vec::new());
    };
    assert_eq!(refused(&nothing_for_it), ItemsError::OneHash);
    assert_eq!(refused(&|core| core.terms.deadlines.refund_after = None), ItemsError::RefundDate);
    let early = Some(Time::from_unix(10_059));
    assert_eq!(refused(&|core| core.terms.deadlines.refund_after = early), ItemsError::RefundDate);
    assert_eq!(refused(&|core| core.terms.profile = Profile::Gx), ItemsError::LockKind);
    let complaints = Some(Seconds(100_000));
    assert_eq!(refused(&|core| core.terms.deadlines.complaints = complaints), ItemsError::Complaints);
    let [first, second] = Leg::of(&change()).unwrap();
    let dates = [&first, &second].map(|leg| leg.lock().unwrap().refund_after);
    assert!(dates[0] > dates[1], "whoever knows the preimage gets its money back last");
}

#[test]
fn an_originator_without_the_preimage_cannot_run() {
    let me = key_sets()[0].clone();
    let with = |seed: &[u8]| {
        let own = Own { seed: seed.to_vec(), ..own(Role::ORIGINATOR) };
        Run::new(change(), &me, key_sets(), None, Seconds(30), own).map(drop)
    };
    assert_eq!(with(&PREIMAGE), Ok(()));
    for wrong in [[8; 32].as_slice(), &[], &[7; 31]] {
        assert!(matches!(with(wrong), Err(RunError::Own(_))));
    }
    assert_eq!(run(change(), Role::RESPONDER).map(|run| run.preimage()), Ok(None));
    let arbiter = Run::new(change(), &me, key_sets(), Some(key_set(9)), Seconds(30), own(Role::ORIGINATOR));
    assert_eq!(arbiter.unwrap_err(), RunError::Arbiter, "there is nobody to ask");
}

// A question that was answered, a message that comes twice, the arbiter that is none: nothing moves.
#[test]
fn what_is_not_awaited_changes_nothing() {
    let ([o, r], promised) = locked(&change());
    for state in [o, r.clone()] {
        for input in [Input::ArbiterSays(vec![1]), Input::Delivered, message(&Message::Decline(String::new()))] {
            let step = step_at(NOW, &state, input.clone()).unwrap();
            let left = state.run().role() == Role::ORIGINATOR && matches!(input, Input::Message(_));
            assert_eq!(step.state == state, !left);
        }
    }
    let again = step_at(NOW, &r, message(&promised[0])).unwrap();
    assert_eq!(again.state, r);
    assert!(matches!(r.state(), State::AwaitPreimage { asked: 0, .. }));
    assert!(matches!(step_at(NOW, &r, Input::Begin), Err(GxError::OutOfPlace { .. })));
}

// Two encodings of one state: a role that no side of a run has, a promise more than the state holds.
#[test]
fn what_a_state_does_not_hold_is_not_read() {
    let ([o, r], _) = locked(&change());
    let State::AwaitPreimage { promises: [theirs, ours], .. } = r.state().clone() else { panic!("{:?}", r.state()) };
    let changed = |state: &Lx, change: &dyn Fn(&mut Map)| {
        let bytes = state.to_bytes();
        let Ok(Value::Map(mut map)) = cbor::decode(&bytes, bytes.len()) else { panic!("a state is a map") };
        change(&mut map);
        Lx::from_bytes(&Value::Map(map).encode())
    };
    let role = |number: u64| {
        move |map: &mut Map| {
            let Some(Value::Map(mut run)) = map.remove(2_u64) else { panic!("a state has a run") };
            run.insert(1_u64, number);
            map.insert(2_u64, Value::Map(run));
        }
    };
    assert_eq!(changed(&o, &role(0)), Ok(o.clone()));
    for number in [2, 4] {
        assert!(changed(&o, &role(number)).is_err(), "role {number}");
    }
    let two = vec![theirs.to_value(), ours.to_value()];
    let one = theirs.clone();
    let signing = State::AwaitPromiseSignature { theirs: Some(one.clone()) };
    let locking = State::Locking { promise: ours.promise, theirs: Some(one) };
    for state in [signing, locking] {
        let state = Lx::at(r.run().clone(), state);
        assert_eq!(changed(&state, &|_| ()), Ok(state.clone()));
        assert!(changed(&state, &|map| map.insert(3_u64, two.clone())).is_err(), "{}", state.state().name());
    }
}

// The other machine would ask an arbiter that the contract does not have.
#[test]
fn a_run_is_read_by_the_machine_of_its_contract() {
    let run = run(receipt(), Role::ORIGINATOR).unwrap();
    assert!(Lx::from_bytes(&Lx::new(run.clone()).to_bytes()).is_ok());
    let error = Gx::from_bytes(&Gx::new(run).to_bytes()).unwrap_err();
    assert!(error.to_string().contains("another machine"), "{error}");
}
