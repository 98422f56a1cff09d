//! Unit tests of the machine: every state with every input. What could go wrong: a message, a timer or a late answer moves a state
//! that it must not move, and an originator that has asked for an abort sends its final. Whole runs with loss, crashes and a
//! malicious peer are checked in `sim/`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{
    ArbiterRef, Core, Deadlines, Final, Item, ItemKind, PartyRef, Profile, Promise, Quittance, Terms,
};
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Slot, StatementId};
use semper_core::machine::{Blame, Env, Fault, Machine, Step};
use semper_core::party::{KeySet, Role, Suite};
use semper_core::time::{Seconds, Time};
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};

use super::{
    Completed, DEADLINE, Gx, GxError, ItemsError, Message, Own, PATIENCE, Promised, Question, Run, RunError, State,
};
use crate::arbiter::request::{Abort, Request, Resolve};
use crate::arbiter::rules_hash;
use crate::arbiter::verdict::{ArbiterAnswer, ClosedUnused, Outcome, Verdict};
use crate::testing::{self, Tags, key_set, say, text};

const ROLES: [Role; 2] = [Role::ORIGINATOR, Role::RESPONDER];
const NOW: Time = Time::from_unix(1000);
const LAST_STEP: Time = Time::from_unix(9_640);
const NOT_AFTER: Time = Time::from_unix(10_000);

fn key_sets() -> [KeySet; 2] {
    [key_set(1), key_set(2)]
}

fn arbiter() -> KeySet {
    key_set(3)
}

/// What the key holder answers: the statement, signed by whoever is to sign it.
fn sign(draft: Draft) -> Signed {
    let all = [key_set(1), key_set(2), arbiter()];
    let signer = all.iter().find(|k| k.id() == draft.signer).unwrap();
    testing::sign(signer, draft)
}

fn forged(signed: &Signed) -> Signed {
    let draft = Draft {
        kind: signed.kind(),
        suite: signed.suite(),
        signer: signed.signer(),
        payload: signed.payload().to_vec(),
    };
    draft.assemble(vec![vec![9; 64]]).unwrap()
}

fn core(nonce: u8) -> Core {
    let [o, r] = key_sets();
    let item = |owner: Role| Item {
        kind: ItemKind::Signature,
        owner,
        recipient: owner.peer(),
        descriptor: Vec::new(),
        slot: Slot::default(),
    };
    let t = arbiter().id();
    Core {
        terms: Terms {
            profile: Profile::C2,
            parties: vec![
                PartyRef { role: Role::ORIGINATOR, key_set: o.id() },
                PartyRef { role: Role::RESPONDER, key_set: r.id() },
            ],
            arbiter: Some(ArbiterRef { key_set: t, deposit_key: None, log: t, rules: rules_hash() }),
            items: ROLES.map(item).to_vec(),
            deadlines: Deadlines {
                not_after: NOT_AFTER,
                complaints: None,
                refund_after: None,
                delta: Seconds(300),
                sigma: Seconds(60),
            },
            text: text(),
            links: Vec::new(),
            nonce: [nonce; 32],
        },
        deposits: BTreeMap::new(),
    }
}

fn run_of(role: Role) -> Run {
    let me = key_sets()[usize::from(role.number())].clone();
    Run::new(core(1), &me, key_sets(), Some(arbiter()), Seconds(30), Own::default()).unwrap()
}

fn promise(role: Role) -> Signed {
    let answers = (role == Role::RESPONDER).then(|| promise(Role::ORIGINATOR).id());
    say(&key_sets()[usize::from(role.number())], &Promise { cid: core(1).cid(), role, answers })
}

fn promises() -> [Promised; 2] {
    ROLES.map(|role| Promised::bare(promise(role)))
}

fn promise_ids() -> [StatementId; 2] {
    ROLES.map(|role| promise(role).id())
}

/// Message 1 or 2 where only signatures are exchanged.
fn first(promise: Signed) -> Message {
    Message::Promise(Promised::bare(promise))
}

/// Message 3 or 4 where only signatures are exchanged.
fn last(completion: Signed) -> Message {
    Message::Final(Completed { completion, release: Vec::new(), payout: Vec::new() })
}

fn asking(role: Role, question: Question, promises: Vec<Promised>) -> Gx {
    Gx::at(run_of(role), State::Asking { question, promises })
}

fn waiting(role: Role, question: Question, asked: StatementId, promises: Vec<Promised>) -> Gx {
    Gx::at(run_of(role), State::AwaitVerdict { question, asked, promises })
}

fn signing(role: Role) -> Gx {
    let theirs = (role == Role::RESPONDER).then(|| Promised::bare(promise(Role::ORIGINATOR)));
    Gx::at(run_of(role), State::AwaitPromiseSignature { theirs, payout: Vec::new() })
}

fn completing(role: Role) -> Gx {
    let (release, payout) = (Vec::new(), Vec::new());
    Gx::at(run_of(role), State::AwaitFinalSignature { promises: promises(), release, payout })
}

fn awaiting_final(role: Role) -> Gx {
    Gx::at(run_of(role), State::AwaitPeerFinal { promises: promises() })
}

fn awaiting_promise() -> Gx {
    let ours = Promised::bare(promise(Role::ORIGINATOR));
    Gx::at(run_of(Role::ORIGINATOR), State::AwaitPeerPromise { ours })
}

fn completion(role: Role) -> Signed {
    say(
        &key_sets()[usize::from(role.number())],
        &Final { cid: core(1).cid(), role, promises: promise_ids(), slot: Slot::default() },
    )
}

fn quittance(role: Role) -> Signed {
    say(&key_sets()[usize::from(role.number())], &Quittance { cid: core(1).cid(), role })
}

fn abort() -> Signed {
    say(&key_sets()[0], &Abort { cid: core(1).cid(), slot: Slot::default(), promise: promise_ids()[0] })
}

fn resolve(role: Role) -> Signed {
    let resolve = Resolve { cid: core(1).cid(), slot: Slot::default(), promises: promise_ids(), role, proof: None };
    say(&key_sets()[usize::from(role.number())], &resolve)
}

fn verdict(outcome: Outcome) -> ArbiterAnswer {
    let (question, promises) = match outcome {
        Outcome::Aborted => (abort(), Vec::new()),
        Outcome::Resolved => (resolve(Role::ORIGINATOR), promises().to_vec()),
        Outcome::Fault(_) | Outcome::Revoked => panic!("there is neither where signatures are exchanged"),
    };
    let rests_on = if outcome == Outcome::Aborted { vec![promise_ids()[0]] } else { promise_ids().to_vec() };
    let basis = std::iter::once(question.id()).chain(rests_on).collect();
    let verdict = Verdict {
        cid: core(1).cid(),
        slot: Slot::default(),
        outcome,
        basis,
        prior: Vec::new(),
        time: NOW,
        log_index: 0,
    };
    ArbiterAnswer { promises, ..ArbiterAnswer::of(say(&arbiter(), &verdict)) }
}

fn unused(question: StatementId) -> ArbiterAnswer {
    let status = ClosedUnused { cid: core(1).cid(), slot: Slot::default(), request: question, time: NOT_AFTER };
    ArbiterAnswer::of(say(&arbiter(), &status))
}

fn step_at(now: Time, state: &Gx, input: Input) -> Result<Step<Gx>, GxError> {
    state.clone().handle(&Env { now, verify: &Tags }, input)
}

fn step(state: &Gx, input: Input) -> Step<Gx> {
    step_at(NOW, state, input).unwrap()
}

fn message(message: &Message) -> Input {
    Input::Message(message.to_bytes())
}

fn says(answer: &ArbiterAnswer) -> Input {
    Input::ArbiterSays(answer.to_bytes())
}

/// Every state of a role in the exchange of two signatures, as it is reached.
fn states(role: Role) -> Vec<Gx> {
    let mut all = vec![
        Gx::new(run_of(role)),
        signing(role),
        completing(role),
        awaiting_final(role),
        Gx::at(run_of(role), State::AwaitQuittanceSignature),
        asking(role, Question::Resolve { proof: Vec::new() }, promises().into()),
        waiting(role, Question::Resolve { proof: Vec::new() }, resolve(role).id(), promises().into()),
    ];
    if role == Role::ORIGINATOR {
        let ours = vec![Promised::bare(promise(role))];
        all.push(awaiting_promise());
        all.push(asking(role, Question::Abort, ours.clone()));
        all.push(waiting(role, Question::Abort, abort().id(), ours));
    }
    let endings = [Ending::Success, Ending::Aborted, Ending::Lapsed];
    all.extend(endings.map(|ending| Gx::at(run_of(role), State::Ended { ending })));
    all
}

fn all_states() -> Vec<Gx> {
    ROLES.into_iter().flat_map(states).collect()
}

/// The one statement that a step asks the key holder for.
fn asked(step: &Step<Gx>) -> (Draft, Consent) {
    let mut drafts = step.effects.iter().filter_map(|effect| match effect {
        Effect::Sign { draft, consent } => Some((draft.clone(), *consent)),
        _ => None,
    });
    let found = drafts.next().unwrap();
    assert!(drafts.next().is_none());
    found
}

fn sent(step: &Step<Gx>) -> Vec<Message> {
    let sent = step.effects.iter().filter_map(|e| if let Effect::Send(bytes) = e { Some(bytes) } else { None });
    sent.map(|bytes| Message::from_bytes(bytes).unwrap()).collect()
}

fn requested(step: &Step<Gx>) -> Request {
    let mut asked =
        step.effects.iter().filter_map(|e| if let Effect::AskArbiter(bytes) = e { Some(bytes) } else { None });
    Request::from_bytes(asked.next().unwrap()).unwrap()
}

fn timers(step: &Step<Gx>) -> Vec<(&'static str, Time)> {
    let set = |e: &Effect| if let Effect::SetTimer { name, due } = e { Some((*name, *due)) } else { None };
    step.effects.iter().filter_map(set).collect()
}

fn kept(step: &Step<Gx>, kind: EvidenceKind) -> Vec<Vec<u8>> {
    let kept = |e: &Effect| match e {
        Effect::Keep { kind: k, bytes } if *k == kind => Some(bytes.clone()),
        _ => None,
    };
    step.effects.iter().filter_map(kept).collect()
}

/// The step changed nothing and wants nothing but to keep what came.
fn ignored(state: &Gx, step: &Step<Gx>) -> bool {
    let late = |e: &Effect| matches!(e, Effect::Keep { kind: EvidenceKind::Late, .. });
    step.state == *state && step.effects.iter().all(late)
}

#[test]
fn two_honest_parties_complete_without_the_arbiter() {
    let [mut o, mut r] = ROLES.map(|role| Gx::new(run_of(role)));
    let begun = step(&o, Input::Begin);
    assert!(matches!(begun.effects[0], Effect::Once(_)), "the run is counted in the commit that begins it");
    let (draft, consent) = asked(&begun);
    assert_eq!((draft.kind, consent), (Kind::Promise, Consent::Ask));
    o = begun.state;
    let first = step(&o, Input::Signed(sign(draft)));
    assert_eq!(timers(&first), [(PATIENCE, Time::from_unix(1030))]);
    o = first.state.clone();

    let answered = step(&r, message(&sent(&first)[0]));
    assert!(matches!(answered.effects[0], Effect::Once(_)));
    let (draft, consent) = asked(&answered);
    assert_eq!(consent, Consent::Ask);
    r = answered.state;
    let second = step(&r, Input::Signed(sign(draft)));
    assert_eq!(timers(&second), [(PATIENCE, Time::from_unix(1030)), (DEADLINE, LAST_STEP)]);
    r = second.state.clone();

    let both = step(&o, message(&sent(&second)[0]));
    // The peer can now have the contract completed: the originator must not sleep through the deadline, whatever it still waits for.
    assert_eq!(timers(&both), [(DEADLINE, LAST_STEP)]);
    let (draft, consent) = asked(&both);
    assert_eq!((draft.kind, consent), (Kind::Final, Consent::Implied));
    o = both.state;
    let third = step(&o, Input::Signed(sign(draft)));
    o = third.state.clone();
    assert_eq!(o.ending(), None);

    let completing = step(&r, message(&sent(&third)[0]));
    let (draft, _) = asked(&completing);
    let fourth = step(&completing.state, Input::Signed(sign(draft)));
    assert_eq!(fourth.state.ending(), Some(Ending::Success));
    assert!(fourth.effects.contains(&Effect::Ended(Ending::Success)));
    let done = step(&o, message(&sent(&fourth)[0]));
    assert_eq!(done.state.ending(), Some(Ending::Success));
    assert_eq!(kept(&done, EvidenceKind::Statement), [completion(Role::RESPONDER).bytes().to_vec()]);
}

// `begin` and the arbiter's answer have one place each; everywhere else they are refused or change nothing.
#[test]
fn begin_belongs_to_an_originator_that_is_ready() {
    for state in all_states() {
        let may = state.state().name() == "ready" && state.run().role() == Role::ORIGINATOR;
        match step_at(NOW, &state, Input::Begin) {
            Ok(_) => assert!(may, "{}", state.state().name()),
            Err(error) => {
                assert!(!may);
                assert_eq!(error, GxError::OutOfPlace { state: state.state().name(), input: "begin" });
                assert_eq!(error.fault(), Fault::Misuse);
            }
        }
    }
}

#[test]
fn every_message_moves_only_the_state_that_awaits_it() {
    for state in all_states() {
        let role = state.run().role();
        let peer = role.peer();
        for (sent, moves) in [
            (first(promise(peer)), if role == Role::ORIGINATOR { "await-peer-promise" } else { "ready" }),
            (last(completion(peer)), "await-peer-final"),
        ] {
            let step = step(&state, message(&sent));
            let expected = state.state().name() == moves;
            assert_eq!(!ignored(&state, &step), expected, "{role} {} {sent:?}", state.state().name());
            if !expected {
                assert_eq!(kept(&step, EvidenceKind::Late), [sent.to_bytes()], "a late statement is kept");
            }
        }
        let declined = step(&state, message(&Message::Decline("no".to_owned())));
        if state.state().name() == "await-peer-promise" {
            assert_eq!(asked(&declined).0, abort_draft());
        } else {
            assert!(ignored(&state, &declined), "{role} {}", state.state().name());
        }
    }
}

fn abort_draft() -> Draft {
    let abort = Abort { cid: core(1).cid(), slot: Slot::default(), promise: promise_ids()[0] };
    abort.draft(Suite::Ed25519, key_sets()[0].id())
}

#[test]
fn giving_up_and_every_timer_lead_towards_an_end() {
    for state in all_states() {
        let role = state.run().role();
        let by_user = step(&state, Input::GiveUp);
        for timer in [PATIENCE, DEADLINE] {
            assert_eq!(step(&state, Input::Timer(timer)), by_user);
        }
        match state.state().name() {
            "ready" => {
                assert_eq!(by_user.state.ending(), Some(Ending::Lapsed));
                assert!(sent(&by_user).is_empty());
            }
            "await-promise-signature" => {
                assert_eq!(by_user.state.ending(), Some(Ending::Lapsed));
                let told = if role == Role::RESPONDER { vec![Message::Decline(String::new())] } else { Vec::new() };
                assert_eq!(sent(&by_user), told);
            }
            "await-peer-promise" => {
                assert_eq!(by_user.state.state().name(), "await-abort-signature");
                assert_eq!(asked(&by_user), (abort_draft(), Consent::Implied));
            }
            "await-final-signature" | "await-peer-final" => {
                assert_eq!(by_user.state.state().name(), "await-resolve-signature");
                assert_eq!(asked(&by_user).0.id(), resolve(role).id());
            }
            _ => assert!(ignored(&state, &by_user), "{}", state.state().name()),
        }
    }
}

#[test]
fn the_arbiter_is_asked_with_everything_that_its_answer_rests_on() {
    let ours = vec![Promised::bare(promise(Role::ORIGINATOR))];
    let request = requested(&step(&asking(Role::ORIGINATOR, Question::Abort, ours.clone()), Input::Signed(abort())));
    assert_eq!((request.question, request.promises), (abort(), ours));
    for role in ROLES {
        let asking = asking(role, Question::Resolve { proof: Vec::new() }, promises().into());
        let asked = step(&asking, Input::Signed(resolve(role)));
        assert_eq!(asked.state.state().name(), "await-verdict");
        let request = requested(&asked);
        assert_eq!((request.question, request.promises), (resolve(role), promises().to_vec()));
    }
}

#[test]
fn only_a_verdict_ends_a_run_before_the_arbiter() {
    for state in all_states() {
        let question = if let State::AwaitVerdict { asked, .. } = state.state() { *asked } else { abort().id() };
        for (answer, ending) in [
            (verdict(Outcome::Aborted), Ending::Aborted),
            (verdict(Outcome::Resolved), Ending::Success),
            (unused(question), Ending::Lapsed),
        ] {
            let step = step(&state, says(&answer));
            if state.state().name() == "await-verdict" {
                assert_eq!(step.state.ending(), Some(ending));
                assert!(kept(&step, EvidenceKind::Statement).contains(&answer.statement.bytes().to_vec()));
            } else {
                assert!(ignored(&state, &step), "{}", state.state().name());
            }
        }
    }
}

// An originator that asked for an abort and hears "resolved" holds a contract, whose second promise it had not seen.
#[test]
fn a_resolved_answer_to_an_abort_brings_the_missing_promise() {
    let ours = vec![Promised::bare(promise(Role::ORIGINATOR))];
    let waiting = waiting(Role::ORIGINATOR, Question::Abort, abort().id(), ours);
    let heard = step(&waiting, says(&verdict(Outcome::Resolved)));
    let expected = [promise(Role::RESPONDER).bytes().to_vec(), verdict(Outcome::Resolved).statement.bytes().to_vec()];
    assert_eq!(kept(&heard, EvidenceKind::Statement), expected);
}

#[test]
fn a_wrong_verdict_is_refused() {
    let asked = resolve(Role::RESPONDER).id();
    let waiting = waiting(Role::RESPONDER, Question::Resolve { proof: Vec::new() }, asked, promises().into());
    let good = verdict(Outcome::Resolved);
    let other = |change: fn(&mut Verdict)| {
        let mut verdict = Verdict::from_bytes(good.statement.payload()).unwrap();
        change(&mut verdict);
        ArbiterAnswer { statement: say(&arbiter(), &verdict), ..good.clone() }
    };
    let by_a_party = Verdict::from_bytes(good.statement.payload()).unwrap();
    for bad in [
        ArbiterAnswer { promises: Vec::new(), ..good.clone() },
        ArbiterAnswer { promises: promises().into_iter().rev().collect(), ..good.clone() },
        ArbiterAnswer { statement: forged(&good.statement), ..good.clone() },
        ArbiterAnswer { statement: say(&key_sets()[0], &by_a_party), ..good.clone() },
        other(|v| v.cid = core(2).cid()),
        other(|v| v.slot = Slot(1)),
        other(|v| v.basis.swap(1, 2)),
        unused(abort().id()),
    ] {
        let error = step_at(NOW, &waiting, says(&bad)).unwrap_err();
        assert_eq!(error.fault(), Fault::ThirdParty, "{error}");
    }
    let error = step_at(NOW, &waiting, Input::ArbiterSays(vec![0xff])).unwrap_err();
    assert_eq!(error.fault(), Fault::ThirdParty);
}

#[test]
fn a_peer_that_misbehaves_does_not_move_the_state() {
    let [o, r] = key_sets();
    let cid = core(1).cid();
    let ids = promise_ids();
    let ready = Gx::new(run_of(Role::RESPONDER));
    let peer_promise = awaiting_promise();
    let [o_final, r_final] = ROLES.map(awaiting_final);
    let from_o = |answers| Promise { cid, role: Role::ORIGINATOR, answers };
    let from_r = |answers| Promise { cid, role: Role::RESPONDER, answers };
    let fin = |role, promises| Final { cid, role, promises, slot: Slot::default() };
    for (state, bad) in [
        (&ready, first(forged(&promise(Role::ORIGINATOR)))),
        (&ready, first(say(&o, &from_o(Some(ids[1]))))),
        (&ready, first(say(&o, &from_r(None)))),
        (&ready, first(say(&o, &Promise { cid: core(2).cid(), ..from_o(None) }))),
        (&ready, first(promise(Role::RESPONDER))),
        (&ready, first(completion(Role::ORIGINATOR))),
        (&peer_promise, first(forged(&promise(Role::RESPONDER)))),
        (&peer_promise, first(say(&r, &from_r(None)))),
        (&peer_promise, first(say(&r, &from_r(Some(ids[1]))))),
        (&peer_promise, first(promise(Role::ORIGINATOR))),
        (&o_final, last(forged(&completion(Role::RESPONDER)))),
        (&o_final, last(say(&r, &fin(Role::RESPONDER, [ids[1], ids[0]])))),
        (&o_final, last(say(&r, &fin(Role::ORIGINATOR, ids)))),
        (&o_final, last(completion(Role::ORIGINATOR))),
        (&r_final, last(forged(&completion(Role::ORIGINATOR)))),
        (&r_final, last(say(&o, &Final { cid: core(2).cid(), ..fin(Role::ORIGINATOR, ids) }))),
        (&r_final, last(promise(Role::ORIGINATOR))),
    ] {
        let error = step_at(NOW, state, message(&bad)).unwrap_err();
        assert_eq!(error.fault(), Fault::PeerMisbehaved, "{} {bad:?}: {error}", state.state().name());
    }
    let error = step_at(NOW, &ready, Input::Message(b"nonsense".to_vec())).unwrap_err();
    assert!(matches!(error, GxError::Malformed(_)));
}

#[test]
fn the_key_holder_must_return_what_was_asked_for() {
    for state in all_states() {
        let wanted = match state.state().name() {
            "await-promise-signature" => promise(state.run().role()),
            "await-final-signature" => completion(state.run().role()),
            "await-quittance-signature" => quittance(state.run().role()),
            "await-abort-signature" => abort(),
            "await-resolve-signature" => resolve(state.run().role()),
            _ => {
                // The answer to a request that was overtaken.
                let role = state.run().role();
                for stale in [promise(role), completion(role), resolve(role)] {
                    assert!(ignored(&state, &step(&state, Input::Signed(stale))));
                }
                continue;
            }
        };
        assert_ne!(step(&state, Input::Signed(wanted.clone())).state, state);
        let foreign = say(&arbiter(), &Abort { cid: core(2).cid(), slot: Slot::default(), promise: promise_ids()[0] });
        for wrong in [forged(&wanted), foreign] {
            assert_eq!(step_at(NOW, &state, Input::Signed(wrong)).unwrap_err(), GxError::WrongSignature);
        }
    }
}

// The money is here: the run ends well with the peer's proof of it or without, and not before the key holder has answered.
#[test]
fn whoever_has_the_money_says_so() {
    for role in ROLES {
        let state = Gx::at(run_of(role), State::AwaitQuittanceSignature);
        assert!(ignored(&state, &step(&state, Input::GiveUp)));
        let said = step(&state, Input::Signed(quittance(role)));
        assert_eq!(said.state.ending(), Some(Ending::Success));
        assert_eq!(sent(&said), [Message::Quittance(quittance(role))]);
        assert_eq!(kept(&said, EvidenceKind::Statement), [quittance(role).bytes().to_vec()]);
        let declined = step(&state, Input::Declined { statement: quittance(role).id() });
        assert_eq!((declined.state.ending(), sent(&declined)), (Some(Ending::Success), Vec::new()));
        // Where no money goes the way it is no answer to anything.
        let peer = Gx::at(run_of(role.peer()), State::Ended { ending: Ending::Success });
        let heard = step_at(NOW, &peer, message(&Message::Quittance(quittance(role))));
        assert_eq!(heard.unwrap_err(), GxError::PeerMismatch("quittance"));
    }
}

#[test]
fn declining_ends_only_a_run_that_has_promised_nothing() {
    for state in all_states() {
        let role = state.run().role();
        let declined = step_at(NOW, &state, Input::Declined { statement: promise(role).id() }).unwrap();
        if state.state().name() == "await-promise-signature" {
            assert_eq!(declined.state.ending(), Some(Ending::Lapsed));
            assert_eq!(sent(&declined).len(), usize::from(role == Role::RESPONDER));
            let other = Input::Declined { statement: completion(role).id() };
            assert_eq!(step_at(NOW, &state, other).unwrap_err(), GxError::WrongSignature);
        } else {
            assert!(ignored(&state, &declined), "{}", state.state().name());
        }
    }
}

// Nothing may be signed that could not be defended before the arbiter: the last step is `not after` less delta less sigma.
#[test]
fn after_the_last_step_nobody_begins_or_completes() {
    let [o, r] = ROLES.map(|role| Gx::new(run_of(role)));
    let late = LAST_STEP.after(Seconds(1));
    let offered = message(&first(promise(Role::ORIGINATOR)));
    for (now, fine) in [(LAST_STEP, true), (late, false)] {
        assert_eq!(step_at(now, &o, Input::Begin).is_ok(), fine);
        assert_eq!(step_at(now, &r, offered.clone()).is_ok(), fine);
        for role in ROLES {
            let signed = step_at(now, &signing(role), Input::Signed(promise(role))).unwrap();
            assert_eq!(signed.state.ending(), (!fine).then_some(Ending::Lapsed));
            assert_eq!(sent(&signed).is_empty(), !fine);
        }
        let answered = step_at(now, &awaiting_promise(), message(&first(promise(Role::RESPONDER)))).unwrap();
        let next = if fine { "await-final-signature" } else { "await-abort-signature" };
        assert_eq!(answered.state.state().name(), next);
        let signed = step_at(now, &completing(Role::ORIGINATOR), Input::Signed(completion(Role::ORIGINATOR))).unwrap();
        let next = if fine { "await-peer-final" } else { "await-resolve-signature" };
        assert_eq!(signed.state.state().name(), next);
        // Who holds the peer's final already has nothing to lose by answering it.
        let signed = step_at(now, &completing(Role::RESPONDER), Input::Signed(completion(Role::RESPONDER))).unwrap();
        assert_eq!(signed.state.ending(), Some(Ending::Success));
    }
    let near = LAST_STEP.before(Seconds(5));
    let signed = step_at(near, &signing(Role::ORIGINATOR), Input::Signed(promise(Role::ORIGINATOR))).unwrap();
    assert_eq!(timers(&signed), [(PATIENCE, LAST_STEP)], "patience ends at the last step");
}

#[test]
fn every_state_is_read_back_as_it_was_stored() {
    for state in all_states() {
        let bytes = state.to_bytes();
        assert_eq!(Gx::from_bytes(&bytes).unwrap(), state);
        for cut in 0..bytes.len() {
            assert!(Gx::from_bytes(&bytes[..cut]).is_err());
        }
    }
}

#[test]
fn a_run_needs_two_different_parties_and_the_trusted_arbiter() {
    let [o, r] = key_sets();
    let with = |core, me: &KeySet, sets, t| Run::new(core, me, sets, Some(t), Seconds(30), Own::default()).unwrap_err();
    assert_eq!(with(core(1), &o, [r.clone(), o.clone()], arbiter()), RunError::Parties);
    assert_eq!(with(core(1), &o, key_sets(), key_set(4)), RunError::Arbiter);
    assert_eq!(with(core(1), &key_set(4), key_sets(), arbiter()), RunError::NotMine);
    let mut reflected = core(1);
    reflected.terms.parties[1].key_set = o.id();
    assert_eq!(with(reflected, &o, [o.clone(), o.clone()], arbiter()), RunError::SelfDeal);
    let mut ruled = core(1);
    ruled.terms.arbiter.as_mut().unwrap().rules = Digest::of(domain::RULES, b"whatever the arbiter likes");
    assert_eq!(with(ruled, &r, key_sets(), arbiter()), RunError::Rules);
    // What this protocol does not exchange must not look as if it did.
    let mut sale = core(1);
    sale.terms.items[1].kind = ItemKind::Information;
    assert_eq!(with(sale, &r, key_sets(), arbiter()), RunError::Items(ItemsError::OnlySignatures));
}
