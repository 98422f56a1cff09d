//! Attacks on certified mail.

use semper_core::cbor::Encode;
use semper_core::contract::{Core, Final, Promise};
use semper_core::ids::Slot;
use semper_core::machine::{Env, Machine};
use semper_core::time::Seconds;
use semper_exchange::arbiter::request::{Request, RequestError, Resolve};
use semper_exchange::arbiter::verdict::Outcome;
use semper_exchange::arbiter::{Ruling, rule};
use semper_exchange::evidence::Standing;
use semper_exchange::gx::{self, Gx, GxError, ItemsError, Own, Promised, Question, Run, RunError, State, responder};
use semper_sim::deal::{MAIL, letter, moment};
use semper_sim::scenario::{Cast, PATIENCE};
use semper_support::crypto::Signer;
use semper_support::engine::{Effect, Ending, Input};

use crate::{O, R, case, deal, decided, handle, last, receive, report, rule_on};

// 15. The sender of certified mail aborts and has the receiver's promise: no receipt comes of it.
#[test]
fn certified_mail_abort_with_a_promise_in_hand() {
    let (cast, deal, promises) = deal(MAIL);
    let resolve = deal.court(&cast).check(&cast.resolve(&deal.core, O, promises)).unwrap();
    assert_eq!(rule(decided(Outcome::Aborted), &resolve, moment(0)), Ruling::Stands);
    assert_eq!(rule(None, &resolve, moment(0)), Ruling::Write(Outcome::Resolved));
}

/// Both promises of a part.
fn of_part(cast: &Cast, core: &Core, part: Slot) -> [Promised; 2] {
    let first = cast.promise(core, O, 0);
    let answer = Promise { cid: core.cid(), role: responder(part), answers: Some(first.id()) };
    [first, cast.say(R, &answer, 0)].map(Promised::bare)
}

/// The recipient's request to resolve a part, which says that it is about another.
fn resolve_of_part(cast: &Cast, core: &Core, part: Slot, said: Slot) -> Request {
    let promises = of_part(cast, core, part);
    let ids = promises.each_ref().map(|promised| promised.promise.id());
    let question = Resolve { cid: core.cid(), slot: said, promises: ids, role: responder(part), proof: None };
    Request { question: cast.say(R, &question, 0), ..cast.resolve(core, R, promises) }
}

// 16. What was said about one recipient of certified mail is used for another: by the sender as a receipt, before the arbiter, in a final.
#[test]
fn certified_mail_slot_verdict_used_for_other_slot() {
    let ([bob, carol], core) = letter();
    let [to_bob, to_carol] = [Slot(0), Slot(1)];
    let asked = resolve_of_part(&bob, &core, to_bob, to_bob);
    let verdict = rule_on(&bob, &asked);
    let sender = |cast: &Cast, part| {
        let (me, arbiter) = (cast.hand(O).key_set(), cast.arbiter.key_set().clone());
        let own = Own { seed: vec![1; 32], ..Own::default() };
        let run = Run::new(core.clone(), me, cast.key_sets(), Some(arbiter), PATIENCE, own).unwrap();
        assert_eq!(run.part(), part);
        let promises = of_part(cast, &core, part).to_vec();
        Gx::at(
            run,
            State::AwaitVerdict {
                question: Question::Resolve { proof: Vec::new() },
                asked: asked.question.id(),
                promises,
            },
        )
    };
    let hears = |state: &Gx| handle(&bob, state, Input::ArbiterSays(verdict.to_bytes()));
    assert!(matches!(hears(&sender(&carol, to_carol)), Err(GxError::BadVerdict(_))));
    assert_eq!(hears(&sender(&bob, to_bob)).unwrap().state.ending(), Some(Ending::Success));
    // A stranger who is shown Carol's promise with Bob's verdict sees no receipt of anybody's.
    let shown = |cast: &Cast, part| {
        let [first, second] = of_part(cast, &core, part).map(|promised| promised.promise);
        let report = report(cast, &core, &[&first, &second, &verdict.statement]);
        report.contracts.into_iter().map(|contract| (contract.part, contract.standing)).collect::<Vec<_>>()
    };
    let carols = shown(&carol, to_carol);
    assert!(carols.iter().all(|(_, standing)| matches!(standing, Standing::Open { .. })), "{carols:?}");
    assert!(matches!(shown(&bob, to_bob)[..], [(Slot(0), Standing::Resolved { .. })]));
    // The arbiter has a cell for each.
    let other = resolve_of_part(&carol, &core, to_carol, to_bob);
    assert_eq!(case(&carol, &other), Err(RequestError::Foreign("resolve request")));
    assert_eq!(case(&carol, &resolve_of_part(&carol, &core, to_carol, to_carol)).unwrap().slot(), to_carol);
    // The sender's final for Bob does not complete Carol's part.
    let promises = of_part(&carol, &core, to_carol);
    let ids = promises.each_ref().map(|promised| promised.promise.id());
    let (me, arbiter) = (carol.hand(R).key_set(), carol.arbiter.key_set().clone());
    let run = Run::new(core.clone(), me, carol.key_sets(), Some(arbiter), PATIENCE, Own::default()).unwrap();
    let waiting = Gx::at(run, State::AwaitPeerFinal { promises });
    let completion = |slot| last(carol.say(O, &Final { cid: core.cid(), role: O, promises: ids, slot }, 0));
    assert_eq!(receive(&carol, &waiting, &completion(to_bob)).unwrap_err(), GxError::PeerMismatch("final"));
    assert!(receive(&carol, &waiting, &completion(to_carol)).is_ok());
}

// Whoever signs a part signs the whole contract: one in which another recipient gets another letter, or nothing, is not run.
#[test]
fn certified_mail_with_different_letters() {
    let ([bob, _], core) = letter();
    let run = |core: &Core| {
        let (me, arbiter) = (bob.hand(R).key_set(), bob.arbiter.key_set().clone());
        Run::new(core.clone(), me, bob.key_sets(), Some(arbiter), PATIENCE, Own::default()).map(drop)
    };
    let mut other = core.clone();
    other.terms.items[2].descriptor.push(0);
    let mut fewer = core.clone();
    fewer.terms.items.truncate(2);
    for wrong in [other, fewer] {
        assert_eq!(run(&wrong), Err(RunError::Items(ItemsError::Parts)));
    }
    assert_eq!(run(&core), Ok(()));
}

// A recipient has the sender's promise from another recipient and has the arbiter complete its part, which the sender has given up or let lapse: it
// would read without a receipt. One promise for all parts ends with its user's refusal or with an abort, never before.
#[test]
fn certified_mail_given_up_after_its_promise() {
    let ([_, carol], core) = letter();
    let own = Own { seed: vec![1; 32], ..Own::default() };
    let (me, arbiter) = (carol.hand(O).key_set(), carol.arbiter.key_set().clone());
    let run = |core: &Core| {
        Run::new(core.clone(), me, carol.key_sets(), Some(arbiter.clone()), PATIENCE, own.clone()).unwrap()
    };
    let asked = |core: &Core| Gx::at(run(core), State::AwaitPromiseSignature { theirs: None, payout: Vec::new() });
    for state in [Gx::new(run(&core)), asked(&core)] {
        assert_eq!(handle(&carol, &state, Input::GiveUp).unwrap().state, state);
    }
    let late = |core: &Core| {
        let env = Env { now: core.terms.deadlines.last_step().after(Seconds(1)), verify: &carol.oracle };
        asked(core).handle(&env, Input::Signed(carol.promise(core, O, 0))).unwrap().state
    };
    assert_eq!(late(&core).state().name(), "await-abort-signature");
    // When the arbiter completes nothing any more, nobody needs the answer.
    let unanswered = handle(&carol, &asked(&core), Input::Timer(gx::DEADLINE)).unwrap().state;
    assert_eq!(unanswered.ending(), Some(Ending::Lapsed));
    let begun = handle(&carol, &Gx::new(run(&core)), Input::Begin).unwrap().effects;
    let not_after = core.terms.deadlines.not_after;
    let until = |effect: &Effect| matches!(effect, Effect::SetTimer { name: gx::DEADLINE, due } if *due > not_after);
    assert!(begun.iter().any(until), "{begun:?}");
    let statement = carol.promise(&core, O, 0).id();
    let declined = handle(&carol, &asked(&core), Input::Declined { statement }).unwrap().state;
    assert_eq!(declined.ending(), Some(Ending::Lapsed));
    // Between two, nobody else has the promise.
    let (cast, two, _) = deal(MAIL);
    let waiting = State::AwaitPromiseSignature { theirs: None, payout: Vec::new() };
    let waiting = Gx::at(two.run(&cast, O).unwrap(), waiting);
    assert_eq!(handle(&cast, &waiting, Input::GiveUp).unwrap().state.ending(), Some(Ending::Lapsed));
}
