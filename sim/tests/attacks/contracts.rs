//! Attacks on the signing of a contract by two, on its formats and on the arbiter's verdicts and log.

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, Encode, Value};
use semper_core::contract::{Core, Final, Promise, TextRef};
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::document::{Document, FieldValue};
use semper_core::ids::{Slot, StatementId};
use semper_core::machine::{Blame, Fault};
use semper_core::merkle::Frontier;
use semper_core::party::{KeySet, Role, Suite};
use semper_core::signature::{SignatureError, verify};
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::Seconds;
use semper_exchange::arbiter::log::{self, LogError, LogHead, LogReceipt};
use semper_exchange::arbiter::request::{Request, RequestError, Resolve};
use semper_exchange::arbiter::service::{Next, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, ClosedUnused, Outcome, Verdict};
use semper_exchange::arbiter::{Ruling, rule};
use semper_exchange::evidence::{self, Finding, Standing};
use semper_exchange::gx::{Gx, GxError, Message, Own, Promised, Question, Run, RunError, State};
use semper_sim::deal::SIGNING;
use semper_sim::model::search::World as _;
use semper_sim::model::{Action, Setup, World};
use semper_sim::scenario::{Cast, NOT_AFTER, PATIENCE};
use semper_sim::symbolic::Hand;
use semper_support::crypto::Signer;
use semper_support::engine::{Effect, Ending, EvidenceKind, Input};
use stateright::Model;

use crate::{NOW, O, R, case, handle, last, promises, receive, report, rule_on, stands};

fn message_of(promise: Signed) -> Message {
    Message::Promise(Promised::bare(promise))
}

fn awaiting_verdict(cast: &Cast, core: &Core, role: Role, asked: StatementId, promises: &[Signed]) -> Gx {
    let question = if promises.len() == 1 { Question::Abort } else { Question::Resolve { proof: Vec::new() } };
    let promises = promises.iter().cloned().map(Promised::bare).collect();
    Gx::at(cast.run(core, role), State::AwaitVerdict { question, asked, promises })
}

fn awaiting_promise(cast: &Cast, core: &Core) -> Gx {
    Gx::at(cast.run(core, O), State::AwaitPeerPromise { ours: Promised::bare(cast.promise(core, O, 0)) })
}

fn awaiting_final(cast: &Cast, core: &Core, role: Role) -> Gx {
    Gx::at(cast.run(core, role), State::AwaitPeerFinal { promises: cast.promised(core) })
}

// A receipt of the log that were good for another verdict, or under another key, would let the arbiter show a log to each party.
#[test]
fn log_receipt_for_other_verdict() {
    let cast = Cast::default();
    let (core, other) = (cast.core(0), cast.core(1));
    let [verdict, another] =
        [&core, &other].map(|core| rule_on(&cast, &cast.resolve(core, O, cast.promised(core))).statement);
    let mut log = Frontier::new();
    log::add(&mut log, &another, NOW).unwrap();
    let (head, inclusion) = log::add(&mut log, &verdict, NOW).unwrap();
    let sign = |head: LogHead, by: &Hand| by.sign(head.draft(by.key_set().suite(), by.key_set().id())).unwrap();
    let receipt = LogReceipt { head: sign(head, &cast.arbiter), inclusion: inclusion.clone() };
    assert_eq!(receipt.check(&cast.oracle, cast.arbiter.key_set(), &verdict), Ok(head));
    assert_eq!(receipt.check(&cast.oracle, cast.arbiter.key_set(), &another), Err(LogError::NotThere));
    let smaller = LogReceipt { head: sign(LogHead { size: 1, ..head }, &cast.arbiter), inclusion: inclusion.clone() };
    assert_eq!(smaller.check(&cast.oracle, cast.arbiter.key_set(), &verdict), Err(LogError::NotThere));
    let forged = LogReceipt { head: sign(head, cast.hand(O)), inclusion };
    assert!(matches!(forged.check(&cast.oracle, cast.arbiter.key_set(), &verdict), Err(LogError::Head(_))));
    assert_eq!(LogReceipt::from_bytes(&receipt.to_bytes()), Ok(receipt));
}

// A promise of an earlier contract is sent again in a new one with the same peer (Shmatikov and Mitchell).
#[test]
fn asw_replay_old_promise() {
    let cast = Cast::default();
    let (old, new) = (cast.core(1), cast.core(2));
    for (state, role) in [(Gx::new(cast.run(&new, R)), O), (awaiting_promise(&cast, &new), R)] {
        let error = receive(&cast, &state, &message_of(cast.promise(&old, role, 0))).unwrap_err();
        assert_eq!(error, GxError::PeerMismatch("promise"));
        assert!(receive(&cast, &state, &message_of(cast.promise(&new, role, 0))).is_ok());
    }
    let request = cast.resolve(&new, R, [cast.promise(&old, O, 0), cast.promise(&new, R, 0)].map(Promised::bare));
    assert_eq!(case(&cast, &request), Err(RequestError::Foreign("promise")));
}

// The responder signs its promise twice and gives one to the originator, the other to the arbiter: still one contract, one verdict.
#[test]
fn asw_inconsistent_contracts() {
    let cast = Cast::default();
    let core = cast.core(1);
    let [first, second] = promises(&cast, &core);
    let other = cast.promise(&core, R, 1);
    assert_ne!(second.bytes(), other.bytes());
    let request = cast.resolve(&core, R, [first.clone(), other].map(Promised::bare));
    let answer = rule_on(&cast, &request);
    let question = cast.resolve(&core, O, cast.promised(&core)).question.id();
    let waiting = awaiting_verdict(&cast, &core, O, question, &[first, second]);
    let heard = handle(&cast, &waiting, Input::ArbiterSays(answer.to_bytes())).unwrap();
    assert_eq!(heard.state.ending(), Some(Ending::Success));
}

// An arbiter gives each side another verdict: whoever holds both can prove it.
#[test]
fn gjm_ttp_unaccountable() {
    let cast = Cast::default();
    let core = cast.core(1);
    let [first, second] = promises(&cast, &core);
    let aborted = rule_on(&cast, &cast.abort(&core));
    let resolved = rule_on(&cast, &cast.resolve(&core, R, cast.promised(&core)));
    let both = report(&cast, &core, &[&first, &second, &aborted.statement, &resolved.statement]);
    let accused =
        |report: &evidence::Report| report.findings.iter().any(|f| matches!(f, Finding::ArbiterEquivocated { .. }));
    assert!(accused(&both), "{:?}", both.findings);
    assert!(!accused(&report(&cast, &core, &[&first, &second, &resolved.statement])));
}

#[test]
fn resolve_after_abort() {
    let cast = Cast::default();
    let core = cast.core(1);
    let resolve = case(&cast, &cast.resolve(&core, R, cast.promised(&core))).unwrap();
    let abort = case(&cast, &cast.abort(&core)).unwrap();
    assert_eq!(rule(stands(Outcome::Aborted), &resolve, NOW), Ruling::Stands);
    assert_eq!(rule(stands(Outcome::Resolved), &abort, NOW), Ruling::Stands);
    assert_eq!(rule(None, &resolve, NOW), Ruling::Write(Outcome::Resolved));
}

#[test]
fn abort_after_final() {
    let cast = Cast::default();
    let core = cast.core(1);
    let given_up = handle(&cast, &awaiting_final(&cast, &core, O), Input::GiveUp).unwrap();
    assert_eq!(given_up.state.state().name(), "await-resolve-signature");
    let given_up = handle(&cast, &awaiting_promise(&cast, &core), Input::GiveUp).unwrap();
    assert_eq!(given_up.state.state().name(), "await-abort-signature");
    // What a cheating originator signs against itself is seen by a stranger.
    let [first, second] = promises(&cast, &core);
    let (fin, abort) = (cast.completion(&core, O), cast.abort(&core).question);
    let report = report(&cast, &core, &[&first, &second, &fin, &abort]);
    assert!(report.findings.iter().any(|f| matches!(f, Finding::CompletedAfterAbort { role, .. } if *role == O)));
}

// A party's disk is set back to before its final, by itself or by a backup. Whatever it asks for then, its peer holds the contract; and a stranger sees
// who has done it.
#[test]
fn rollback_of_a_partys_archive() {
    let cast = Cast::default();
    let core = cast.core(1);
    let [first, second] = promises(&cast, &core);
    let before = awaiting_promise(&cast, &core);
    let completed = receive(&cast, &before, &message_of(second.clone())).unwrap();
    assert_eq!(completed.state.state().name(), "await-final-signature");
    let fin = cast.completion(&core, O);
    let went_out = handle(&cast, &completed.state, Input::Signed(fin.clone())).unwrap();
    assert!(went_out.effects.iter().any(|effect| matches!(effect, Effect::Send(_))));
    // The peer completes it. Then the older state is back, and its user loses patience.
    let peer = receive(&cast, &awaiting_final(&cast, &core, R), &last(fin.clone())).unwrap();
    let theirs = cast.completion(&core, R);
    assert!(peer.effects.iter().any(|effect| matches!(effect, Effect::Sign { .. })), "{:?}", peer.effects);
    let given_up = handle(&cast, &before, Input::GiveUp).unwrap();
    assert_eq!(given_up.state.state().name(), "await-abort-signature");
    let abort = cast.abort(&core);
    let answer = rule_on(&cast, &abort);
    let shown = [&first, &second, &fin, &theirs, &abort.question, &answer.statement];
    let report = report(&cast, &core, &shown);
    assert_eq!(report.contracts[0].standing, Standing::Complete, "{report:?}");
    assert!(report.findings.iter().any(|f| matches!(f, Finding::CompletedAfterAbort { role, .. } if *role == O)));
    // Nothing that its peer sends again makes it go on from there, and a run that has not been set back does not ask for an abort.
    let asking = handle(&cast, &given_up.state, Input::Signed(abort.question)).unwrap();
    let again = receive(&cast, &asking.state, &message_of(second)).unwrap();
    assert_eq!(again.state, asking.state);
    let patient = handle(&cast, &went_out.state, Input::GiveUp).unwrap();
    assert_eq!(patient.state.state().name(), "await-resolve-signature");
}

// The same party says that it comes from a backup: from no state does it ask for an abort, or sign a final. It inquires, or has completed what both have promised;
// and where it had asked for an abort that its keys do not sign any more, it inquires too.
#[test]
fn rollback_by_a_backup_that_is_restored() {
    let cast = Cast::default();
    let core = cast.core(1);
    let [first, second] = promises(&cast, &core);
    let asked = |state: State| {
        let step = handle(&cast, &Gx::at(cast.run(&core, O), state), Input::Restored).unwrap();
        let kinds: Vec<Kind> = step
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Sign { draft, .. } => Some(draft.kind),
                _ => None,
            })
            .collect();
        let again = handle(&cast, &step.state, Input::Restored).unwrap();
        assert_eq!((&again.state, again.effects.len()), (&step.state, 0), "to say it again changes nothing");
        (step.state, kinds)
    };
    let (ours, theirs) = (Promised::bare(first.clone()), Promised::bare(second.clone()));
    let both = [ours.clone(), theirs];
    for state in [
        State::Ready,
        State::AwaitPromiseSignature { theirs: None, payout: Vec::new() },
        State::AwaitPeerPromise { ours: ours.clone() },
        State::Asking { question: Question::Abort, promises: vec![ours] },
    ] {
        let name = state.name();
        assert_eq!(asked(state).1, [Kind::Inquiry], "{name}");
    }
    for state in [
        State::AwaitFinalSignature { promises: both.clone(), release: Vec::new(), payout: Vec::new() },
        State::AwaitPeerFinal { promises: both },
    ] {
        let name = state.name();
        assert_eq!(asked(state).1, [Kind::Resolve], "{name}");
    }
    // The final went out after the backup, and the peer has completed. The restored one inquires: nobody has contradicted itself, and the contract stands.
    let (fin, theirs) = (cast.completion(&core, O), cast.completion(&core, R));
    let (inquiring, _) = asked(State::AwaitPeerPromise { ours: Promised::bare(first.clone()) });
    let given_up = handle(&cast, &inquiring, Input::GiveUp).unwrap();
    assert_eq!(given_up.state, inquiring, "nor does its user's impatience");
    let report = report(&cast, &core, &[&first, &second, &fin, &theirs]);
    assert_eq!(report.contracts[0].standing, Standing::Complete, "{report:?}");
    let contradicts = |finding: &Finding| matches!(finding, Finding::CompletedAfterAbort { .. });
    assert!(!report.findings.iter().any(contradicts), "{report:?}");
}

#[test]
fn continue_after_abort() {
    let cast = Cast::default();
    let core = cast.core(1);
    let ours = cast.promise(&core, O, 0);
    let theirs = message_of(cast.promise(&core, R, 0));
    let asked = awaiting_verdict(&cast, &core, O, cast.abort(&core).question.id(), std::slice::from_ref(&ours));
    let asking = State::Asking { question: Question::Abort, promises: vec![Promised::bare(ours)] };
    for state in [Gx::at(cast.run(&core, O), asking), asked] {
        let step = receive(&cast, &state, &theirs).unwrap();
        assert_eq!(step.state, state);
        assert!(step.effects.iter().all(|e| matches!(e, Effect::Keep { kind: EvidenceKind::Late, .. })));
    }
    let step = receive(&cast, &awaiting_promise(&cast, &core), &theirs).unwrap();
    assert_eq!(step.state.state().name(), "await-final-signature");
}

#[test]
fn wrong_ttp_in_core() {
    let cast = Cast::default();
    let mut core = cast.core(1);
    let other = cast.oracle.hand(Suite::Ed25519, 9);
    core.terms.arbiter.as_mut().unwrap().key_set = other.key_set().id();
    let me = cast.hand(R).key_set();
    let arbiter = cast.arbiter.key_set();
    let run =
        |core: &Core| Run::new(core.clone(), me, cast.key_sets(), Some(arbiter.clone()), PATIENCE, Own::default());
    assert_eq!(run(&core), Err(RunError::Arbiter));
    assert_eq!(case(&cast, &cast.abort(&core)), Err(RequestError::NotMine));
    assert!(run(&cast.core(1)).is_ok());
    assert!(case(&cast, &cast.abort(&cast.core(1))).is_ok());
}

#[test]
fn resolve_by_a_stranger_or_abort_by_the_responder() {
    let cast = Cast::default();
    let core = cast.core(1);
    let [first, second] = promises(&cast, &core);
    let good = cast.resolve(&core, R, cast.promised(&core));
    let ids = [first.id(), second.id()];
    let ask = |role| Resolve { cid: core.cid(), slot: Slot::default(), promises: ids, role, proof: None };
    let stranger = cast.oracle.hand(Suite::Ed25519, 9);
    let outside = stranger.sign(ask(R).draft(Suite::Ed25519, stranger.key_set().id())).unwrap();
    let request = Request { question: outside, ..good.clone() };
    assert_eq!(case(&cast, &request), Err(RequestError::Foreign("resolve request")));
    let other_role = Request { question: cast.say(R, &ask(O), 0), ..good.clone() };
    assert_eq!(case(&cast, &other_role), Err(RequestError::Foreign("resolve request")));
    let abort =
        semper_exchange::arbiter::request::Abort { cid: core.cid(), slot: Slot::default(), promise: first.id() };
    let request = Request { question: cast.say(R, &abort, 0), promises: vec![Promised::bare(first)], ..good.clone() };
    assert!(matches!(case(&cast, &request), Err(RequestError::Signature { part: "abort request", .. })));
    assert!(case(&cast, &good).is_ok());
}

// A verdict about one slot does not decide another.
#[test]
fn slot_verdict_used_for_other_slot() {
    let cast = Cast::default();
    let core = cast.core(1);
    let [first, second] = promises(&cast, &core);
    let request = cast.resolve(&core, R, cast.promised(&core));
    let good = rule_on(&cast, &request);
    let verdict = Verdict { slot: Slot(1), ..Verdict::from_bytes(good.statement.payload()).unwrap() };
    let draft = verdict.draft(Suite::Ed25519, cast.arbiter.key_set().id());
    let swapped = ArbiterAnswer { statement: cast.arbiter.sign(draft).unwrap(), ..good.clone() };
    let waiting = awaiting_verdict(&cast, &core, R, request.question.id(), &[first, second]);
    let error = handle(&cast, &waiting, Input::ArbiterSays(swapped.to_bytes())).unwrap_err();
    assert_eq!(error.fault(), Fault::ThirdParty);
    assert!(handle(&cast, &waiting, Input::ArbiterSays(good.to_bytes())).is_ok());
}

#[test]
fn first_request_after_not_after() {
    let cast = Cast::default();
    let core = cast.core(1);
    let resolve = case(&cast, &cast.resolve(&core, R, cast.promised(&core))).unwrap();
    assert_eq!(rule(None, &resolve, NOT_AFTER), Ruling::Write(Outcome::Resolved));
    assert_eq!(rule(None, &resolve, NOT_AFTER.after(Seconds(1))), Ruling::TooLate);
    assert_eq!(rule(stands(Outcome::Aborted), &resolve, NOT_AFTER.after(Seconds(1))), Ruling::Stands);
}

#[test]
fn parallel_identical_requests_to_the_arbiter() {
    let cast = Cast::default();
    let core = cast.core(1);
    let request = cast.resolve(&core, R, cast.promised(&core));
    let first = case(&cast, &request).unwrap();
    assert!(matches!(decide(None, &first, cast.arbiter.key_set(), 0, NOW), Next::SignAndStore(_)));
    let cell = stands(Outcome::Resolved).map(|cell| (cell, first.question()));
    assert_eq!(decide(cell, &first, cast.arbiter.key_set(), 1, NOW), Next::AnswerStored);
}

fn hybrid_promise(cast: &Cast) -> (Signed, KeySet) {
    (cast.promise(&cast.core(1), O, 0), cast.hand(O).key_set().clone())
}

#[test]
fn signature_stripping() {
    let cast = Cast::new(Suite::Hybrid);
    let (signed, keys) = hybrid_promise(&cast);
    assert!(verify::<Promise>(&cast.oracle, &keys, &signed).is_ok());
    let Value::Tag(tag, inner) = semper_core::cbor::decode(signed.bytes(), Signed::BYTES_MAX).unwrap() else {
        panic!()
    };
    let Value::Array(mut items) = *inner else { panic!() };
    let Value::Array(signers) = &mut items[3] else { panic!() };
    let post_quantum = signers.pop();
    assert!(post_quantum.is_some());
    let stripped = Value::Tag(tag, Box::new(Value::Array(items))).encode();
    assert!(Signed::from_bytes(&stripped).is_err());
}

#[test]
fn suite_downgrade() {
    let cast = Cast::new(Suite::Hybrid);
    let (signed, keys) = hybrid_promise(&cast);
    let draft = Draft {
        kind: signed.kind(),
        suite: Suite::Ed25519,
        signer: signed.signer(),
        payload: signed.payload().to_vec(),
    };
    let ed25519 = signed.signatures().next().unwrap().2.to_vec();
    let downgraded = draft.assemble(vec![ed25519]).unwrap();
    assert_eq!(downgraded.id(), signed.id(), "the same words, weaker signed");
    let error = verify::<Promise>(&cast.oracle, &keys, &downgraded).unwrap_err();
    assert!(matches!(error, SignatureError::WrongSuite { .. }));
}

// A statement of one kind never stands for another, although the signer and the bytes are the same.
#[test]
fn cross_protocol() {
    let cast = Cast::default();
    let core = cast.core(1);
    let keys = cast.hand(O).key_set();
    let (promise, fin) = (cast.promise(&core, O, 0), cast.completion(&core, O));
    assert!(matches!(verify::<Final>(&cast.oracle, keys, &promise), Err(SignatureError::WrongKind { .. })));
    assert!(matches!(verify::<Promise>(&cast.oracle, keys, &fin), Err(SignatureError::WrongKind { .. })));
    let error = receive(&cast, &awaiting_final(&cast, &core, R), &last(promise.clone())).unwrap_err();
    assert_eq!(error.fault(), Fault::PeerMisbehaved);
    let status = ClosedUnused { cid: core.cid(), slot: Slot::default(), request: promise.id(), time: NOW };
    let status = cast.arbiter.sign(status.draft(Suite::Ed25519, cast.arbiter.key_set().id())).unwrap();
    assert!(verify::<Verdict>(&cast.oracle, cast.arbiter.key_set(), &status).is_err());
    assert!(verify::<Promise>(&cast.oracle, keys, &promise).is_ok());
}

// 0x18 0x00 is a longer way to write 0; a map out of order means the same. Neither is read.
#[test]
fn non_canonical_cbor_with_same_meaning() {
    let core = Cast::default().core(1).to_bytes();
    assert!(Core::from_bytes(&core).is_ok());
    assert_eq!(core[1], 0, "the first key of the core");
    let longer = [&core[..1], &[0x18, 0x00], &core[2..]].concat();
    assert!(Core::from_bytes(&longer).is_err());
    let trailing = [core.as_slice(), &[0]].concat();
    assert!(Core::from_bytes(&trailing).is_err());
    assert!(semper_core::cbor::decode(&[0xa2, 0x01, 0x00, 0x00, 0x00], 64).is_err());
    assert!(semper_core::cbor::decode(&[0xa2, 0x00, 0x00, 0x01, 0x00], 64).is_ok());
}

// A key set that shares one key with the signer's is another party.
#[test]
fn identity_misbinding() {
    let cast = Cast::new(Suite::Hybrid);
    let (signed, keys) = hybrid_promise(&cast);
    let mine: Vec<_> = keys.keys().map(|(_, key)| key.to_vec()).collect();
    let theirs: Vec<_> = cast.hand(R).key_set().keys().map(|(_, key)| key.to_vec()).collect();
    let mixed = KeySet::new(Suite::Hybrid, vec![mine[0].clone(), theirs[1].clone()]).unwrap();
    assert!(matches!(verify::<Promise>(&cast.oracle, &mixed, &signed), Err(SignatureError::WrongSigner { .. })));
    assert!(verify::<Promise>(&cast.oracle, &keys, &signed).is_ok());
}

// Nobody is both sides of a contract, not even with one key of a hybrid set.
#[test]
fn reflection() {
    let cast = Cast::new(Suite::Hybrid);
    let [o, r] = cast.key_sets();
    let key = |set: &KeySet, i: usize| set.keys().nth(i).unwrap().1.to_vec();
    let half = KeySet::new(Suite::Hybrid, vec![key(&o, 0), key(&r, 1)]).unwrap();
    for twin in [o.clone(), half] {
        let mut core = cast.core(1);
        core.terms.parties[1].key_set = twin.id();
        let run = Run::new(core, &o, [o.clone(), twin], Some(cast.arbiter.key_set().clone()), PATIENCE, Own::default());
        assert_eq!(run, Err(RunError::SelfDeal));
    }
    let cast = Cast::default();
    let core = cast.core(1);
    let mine = message_of(cast.promise(&core, O, 0));
    assert!(receive(&cast, &awaiting_promise(&cast, &core), &mine).is_err());
    let mine = last(cast.completion(&core, R));
    assert!(receive(&cast, &awaiting_final(&cast, &core, R), &mine).is_err());
}

#[test]
fn oversized_or_deep_input() {
    let deep = [vec![0x81; 100_000], vec![0]].concat();
    assert!(semper_core::cbor::decode(&deep, 1 << 20).is_err());
    assert!(semper_core::cbor::decode(&[vec![0x81; 16], vec![0]].concat(), 64).is_ok());
    // A length that promises 2^62 bytes or items must not be believed.
    for head in [0x5b, 0x7b, 0x9b, 0xbb] {
        assert!(semper_core::cbor::decode(&[head, 0x40, 0, 0, 0, 0, 0, 0, 0], 64).is_err());
    }
    let long = Message::Decline("x".repeat(2000)).to_bytes();
    assert!(Message::from_bytes(&long).is_err());
    assert!(Message::from_bytes(&Message::Decline("no".to_owned()).to_bytes()).is_ok());
}

// A complete contract stays complete beside an abort verdict, and is counted once however often it is shown.
#[test]
fn one_contract_however_often_it_is_shown() {
    let cast = Cast::default();
    let core = cast.core(1);
    let [first, second] = promises(&cast, &core);
    let again = cast.promise(&core, R, 1);
    let finals = [O, R].map(|role| cast.completion(&core, role));
    let all = [&first, &second, &again, &finals[0], &finals[1], &finals[1]];
    let shown = report(&cast, &core, &all);
    assert_eq!(shown.contracts.len(), 1);
    assert_eq!(shown.contracts[0].standing, Standing::Complete);
    let promised = report(&cast, &core, &[&first, &second, &finals[0]]);
    assert!(matches!(promised.contracts[0].standing, Standing::Open { .. }), "one final alone is no contract");
}

// A verdict of an arbiter that the contract does not name, about this very contract.
#[test]
fn two_ts_for_one_cid() {
    let cast = Cast::default();
    let core = cast.core(1);
    let [first, second] = promises(&cast, &core);
    let request = cast.resolve(&core, R, cast.promised(&core));
    let good = rule_on(&cast, &request);
    let other = cast.oracle.hand(Suite::Ed25519, 9);
    let verdict = Verdict { outcome: Outcome::Aborted, ..Verdict::from_bytes(good.statement.payload()).unwrap() };
    let foreign = other.sign(verdict.draft(Suite::Ed25519, other.key_set().id())).unwrap();
    let foreign = ArbiterAnswer::of(foreign);
    let waiting = awaiting_verdict(&cast, &core, R, request.question.id(), &[first, second]);
    let error = handle(&cast, &waiting, Input::ArbiterSays(foreign.to_bytes())).unwrap_err();
    assert_eq!(error.fault(), Fault::ThirdParty);
    assert!(handle(&cast, &waiting, Input::ArbiterSays(good.to_bytes())).is_ok());
    let mut elsewhere = core.clone();
    elsewhere.terms.arbiter.as_mut().unwrap().key_set = other.key_set().id();
    assert_ne!(elsewhere.cid(), core.cid(), "the arbiter stands under the identifier");
}

// Ed25519 and ES256 signatures have the same length: the algorithm is in what is signed, and fixed by the signer's suite.
#[test]
fn alg_confusion() {
    let cast = Cast::default();
    let keys = cast.hand(O).key_set();
    let good = cast.promise(&cast.core(1), O, 0);
    let draft =
        Draft { kind: good.kind(), suite: Suite::Es256, signer: good.signer(), payload: good.payload().to_vec() };
    let confused = draft.assemble(vec![good.signatures().next().unwrap().2.to_vec()]).unwrap();
    assert!(matches!(verify::<Promise>(&cast.oracle, keys, &confused), Err(SignatureError::WrongSuite { .. })));
    assert!(verify::<Promise>(&cast.oracle, keys, &good).is_ok());
}

// The text that was hashed is not the text that the fields give: another price is shown than is signed.
#[test]
fn rendered_text_differs_from_fields() {
    let texts = BTreeMap::from([("en".to_owned(), "Price: {price}".to_owned())]);
    let price = FieldDef::required("price", FieldKind::Uint).label("en", "Price");
    let template = Template::new("test.price", 1, vec![price], texts).unwrap();
    let filled = |price| Document::new(&template, "en").with("price", FieldValue::Uint(price));
    let (cheap, dear) = (filled(1), filled(1000));
    let honest = cheap.text_ref(&template).unwrap();
    let deceiving = TextRef { render: honest.render, ..dear.text_ref(&template).unwrap() };
    assert!(dear.check_text_ref(&template, &deceiving).is_err());
    assert!(dear.check_text_ref(&template, &honest).is_err());
    assert!(cheap.check_text_ref(&template, &honest).is_ok());
}

// Both complete although one of them crashes, whichever piece of its work comes next when it does.
#[test]
fn crash_at_every_effect_index() {
    let mut crashed = 0;
    for party in 0..2 {
        for index in 0..100 {
            let setup = Setup { crashes: 1, ..Setup::honest(SIGNING, &["completed without the arbiter"]) };
            let world = World::new(setup);
            let completed = world.property("completed without the arbiter").condition;
            let mut state = world.init_states().remove(0);
            let mut steps = 0;
            while !completed(&world, &state) {
                let mut actions = Vec::new();
                world.actions(&state, &mut actions);
                let crash = Action::Crash { party };
                let next = if steps >= index && actions.contains(&crash) {
                    crashed += 1;
                    world.next_state(&state, crash)
                } else {
                    actions.into_iter().filter(goes_on).find_map(|action| world.next_state(&state, action))
                };
                state = next.unwrap_or_else(|| panic!("stuck: {}", world.describe_state(&state)));
                steps += 1;
                assert!(steps < 200, "no end after a crash at step {index}");
            }
        }
    }
    assert!(crashed > 20, "only {crashed} crashes");
}

/// What happens when nobody gives up.
fn goes_on(action: &Action) -> bool {
    matches!(action, Action::Begin { .. } | Action::Deliver { .. } | Action::Sign { .. } | Action::Work { .. })
}
