//! The named attacks on the exchange, its formats and the arbiter (design/exchange.md §14.6), one test each. Every test ends with a twin: the
//! same thing honestly done is accepted, so that a check which refuses everything fails too.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, Encode, Value};
use semper_core::contract::{Core, Deadlines, Final, Promise, TextRef};
use semper_core::cose::{Draft, Signed, Statement};
use semper_core::document::{Document, FieldValue};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, Slot, StatementId};
use semper_core::machine::{Blame, Env, Fault, Machine, Step};
use semper_core::merkle::Frontier;
use semper_core::party::{KeySet, Role, Suite};
use semper_core::signature::{SignatureError, verify};
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::hands;
use semper_exchange::arbiter::log::{self, LogError, LogHead, LogReceipt};
use semper_exchange::arbiter::request::{Case, Complaint, Inquiry, Request, RequestError, Resolve, Revocation};
use semper_exchange::arbiter::service::{Next, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, ClosedUnused, ClosingOutcome, Outcome, Verdict};
use semper_exchange::arbiter::{Cell, Ruling, rule};
use semper_exchange::evidence::{self, Finding, Folder, Item, Standing};
use semper_exchange::goods::{Claim, Pom};
use semper_exchange::gx::{
    self, Completed, Examination, Found, Gx, GxError, ItemsError, Leg, Message, Own, Promised, Question, Run, RunError,
    State, TransferDeposit, responder, revoke_from, revoke_until,
};
use semper_exchange::planner::{DatesError, check_lock_dates};
use semper_sim::deal::{
    CHANGE, COMPLAINTS, Deal, MAIL, NOT_AFTER as NOT_AFTER_TICK, PURCHASE, SALE, SIGNING, TICK, TRANSFER, Thing,
    Things, letter, moment, tick,
};
use semper_sim::mint;
use semper_sim::model::search::World as _;
use semper_sim::model::{Action, Setup, World, cn, lx};
use semper_sim::scenario::{Cast, NOT_AFTER, PATIENCE};
use semper_sim::signers::Three;
use semper_sim::symbolic::Hand;
use semper_support::crypto::Signer;
use semper_support::engine::{Effect, Ending, EvidenceKind, Input};
use semper_transfer::payment::operation::PurseId;
use semper_transfer::payment::statement::PaymentRequest;
use stateright::{Expectation, Model};

const O: Role = Role::ORIGINATOR;
const R: Role = Role::RESPONDER;
const NOW: Time = Time::from_unix(1000);

fn handle(cast: &Cast, state: &Gx, input: Input) -> Result<Step<Gx>, GxError> {
    state.clone().handle(&Env { now: NOW, verify: &cast.oracle }, input)
}

fn receive(cast: &Cast, state: &Gx, message: &Message) -> Result<Step<Gx>, GxError> {
    handle(cast, state, Input::Message(message.to_bytes()))
}

fn case(cast: &Cast, request: &Request) -> Result<Case, RequestError> {
    cast.court().check(request)
}

fn promises(cast: &Cast, core: &Core) -> [Signed; 2] {
    [O, R].map(|role| cast.promise(core, role, 0))
}

fn message_of(promise: Signed) -> Message {
    Message::Promise(Promised::bare(promise))
}

fn last(completion: Signed) -> Message {
    Message::Final(Completed { completion, release: Vec::new(), payout: Vec::new() })
}

fn awaiting_verdict(cast: &Cast, core: &Core, role: Role, asked: StatementId, promises: &[Signed]) -> Gx {
    let question = if promises.len() == 1 { Question::Abort } else { Question::Resolve { proof: Vec::new() } };
    let promises = promises.iter().cloned().map(Promised::bare).collect();
    Gx::at(cast.run(core, role), State::AwaitVerdict { question, asked, promises })
}

fn stands(outcome: Outcome) -> Option<Cell> {
    Some(Cell { outcome, time: NOW, closing: None })
}

fn awaiting_promise(cast: &Cast, core: &Core) -> Gx {
    Gx::at(cast.run(core, O), State::AwaitPeerPromise { ours: Promised::bare(cast.promise(core, O, 0)) })
}

fn awaiting_final(cast: &Cast, core: &Core, role: Role) -> Gx {
    Gx::at(cast.run(core, role), State::AwaitPeerFinal { promises: cast.promised(core) })
}

fn rule_on(cast: &Cast, request: &Request) -> ArbiterAnswer {
    let case = case(cast, request).unwrap();
    let Next::SignAndStore(draft) = decide(None, &case, cast.arbiter.key_set(), 0, NOW) else { panic!("not ruled") };
    let promises = if request.promises.len() == 2 { request.promises.clone() } else { Vec::new() };
    ArbiterAnswer { promises, ..ArbiterAnswer::of(cast.arbiter.sign(draft).unwrap()) }
}

fn report(cast: &Cast, core: &Core, statements: &[&Signed]) -> evidence::Report {
    let item = |kind, bytes| Item { kind, time: NOW, bytes };
    let [o, r] = cast.key_sets();
    let mut items = vec![item(EvidenceKind::Core, core.to_bytes())];
    items.extend([&o, &r, cast.arbiter.key_set()].map(|keys| item(EvidenceKind::KeySet, keys.to_bytes())));
    items.extend(statements.iter().map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())));
    evidence::verify(&cast.oracle, &[], &Folder { deal: DealId::from_array([0; 16]), items })
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

/// A contract of more than signatures, and both promises with whatever tokens.
fn deal(things: Things) -> (Cast, Deal, [Promised; 2]) {
    let cast = Cast::default();
    let deal = Deal::new(&cast, things, None);
    let promised = |role: Role| {
        let pays = things[usize::from(role.number())] == Thing::Money;
        let token = if pays { mint::token(role.number(), 0) } else { Vec::new() };
        Promised { token, ..Promised::bare(cast.promise(&deal.core, role, 0)) }
    };
    let promises = [promised(O), promised(R)];
    (cast, deal, promises)
}

fn decided(outcome: Outcome) -> Option<Cell> {
    Some(Cell { outcome, time: moment(0), closing: None })
}

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

/// Plays a run under one hash to its end: everybody does what there is to do, the malicious party whatever of its possibilities `wants` says, at
/// the ticks at which it says so, before or after the honest one. Every property must hold after every event. No message but a promise arrives.
fn race(
    world: &lx::World,
    from: &lx::State,
    villain_first: bool,
    wants: impl Fn(u8, &lx::Action) -> bool,
) -> lx::State {
    use lx::Action::{Back, Decline, Deliver, Drop, Fire, GiveUp, Hear, Lock, Take, Tick};
    let good = [0, 1].map(|owner| format!("hears a promise with {:?}", mint::token(owner, 0)));
    let place = |action: &lx::Action, now: u8| match action {
        Lock => Some(1),
        Take | Back => Some(if villain_first { 1 } else { 4 }).filter(|_| wants(now, action)),
        Deliver { .. } => {
            let said = world.format_action(action);
            let promise = said.ends_with("hears a promise with []") || good.iter().any(|good| said.ends_with(good));
            Some(2).filter(|_| promise && wants(now, action))
        }
        // What may not wait any longer is heard all the same.
        Hear { .. } => Some(if wants(now, action) { 2 } else { 7 }),
        GiveUp { .. } | Decline { .. } => None,
        Fire { .. } => Some(3),
        Drop { .. } => Some(5),
        Tick => Some(6),
        _ => Some(2),
    };
    let mut state = from.clone();
    loop {
        let (now, mut actions) = (lx::World::tick(&state), Vec::new());
        world.actions(&state, &mut actions);
        let mut placed: Vec<_> = actions.iter().filter_map(|action| Some((place(action, now)?, action))).collect();
        placed.sort_by_key(|(place, _)| *place);
        let next = placed.iter().find_map(|(_, action)| Some((action, world.next_state(&state, **action)?)));
        let Some((action, next)) = next else { return state };
        for property in world.properties() {
            let holds = property.expectation != Expectation::Always || (property.condition)(world, &next);
            let words = world.describe_state(&next);
            assert!(holds, "{} after: {}: {words}", property.name, world.format_action(action));
        }
        state = next;
    }
}

fn under_hash(things: Things, malicious: Role) -> lx::World {
    lx::World::new(lx::Setup { things, malicious: Some(malicious), reaches: &[] })
}

// 20. Whoever knows the preimage claims the money when its date has passed, while its payer takes it back. Under a hash lock the issuer gives it to
// the one or the other; a payer that comes second has the preimage for it. An honest originator does not come so late: it asks for the
// money by its last step or not at all, however long its issuer takes, and shows nobody what it knows.
#[test]
fn late_claim_after_locktime_racing_refund() {
    use lx::Action::{Deliver, Hear, Take};
    let receipt = [Thing::Signature, Thing::Money];
    for things in [PURCHASE, receipt] {
        let world = under_hash(things, O);
        let date =
            tick(Leg::of(&Deal::under_hash(&Cast::default(), things).core).unwrap()[1].lock().unwrap().refund_after);
        let mut ends = Vec::new();
        for from in world.init_states() {
            for (at, villain_first) in (0..date + 4).flat_map(|at| [(at, true), (at, false)]) {
                let end = race(&world, &from, villain_first, |now, action| !matches!(action, Take) || now == at);
                ends.push((at, world.ending(&end, 1).unwrap()));
            }
        }
        let either = [Ending::Success, Ending::Refunded];
        let races = (date..date + 4).filter(|at| either.iter().all(|ending| ends.contains(&(*at, *ending))));
        assert!(races.count() > 0, "there is a race, and either may win: {ends:?}");
        assert!(ends.iter().all(|(_, ending)| matches!(ending, Ending::Success | Ending::Refunded)));
    }
    for things in [PURCHASE, CHANGE, receipt] {
        let world = under_hash(things, R);
        let mut ends = Vec::new();
        for from in world.init_states() {
            // The promise comes late, or the issuer hears late what is asked; and the responder takes its money back as soon as it can.
            for (slow, at) in [true, false].into_iter().flat_map(|slow| (0..8).map(move |at| (slow, at))) {
                let end = race(&world, &from, true, |now, action| match action {
                    Deliver { .. } => slow || now >= at,
                    Hear { .. } => !slow || now >= at,
                    _ => true,
                });
                ends.push((at, world.ending(&end, 0)));
            }
        }
        assert!(ends.contains(&(0, Some(Ending::Success))), "who is in time has the money: {ends:?}");
        let late: Vec<_> =
            ends.iter().filter(|(at, _)| *at > NOT_AFTER_TICK).map(|(_, ending)| ending.unwrap()).collect();
        assert!(late.iter().all(|ending| matches!(ending, Ending::Lapsed | Ending::Refunded)), "{late:?}");
        assert_eq!(late.contains(&Ending::Refunded), things == CHANGE, "who has locked money has it back");
    }
}

// 21. Dates under one hash the wrong way round, or so near that the responder could not learn the preimage and use it. The contract states one date only,
// the responder's, and it is not before what is locked must be opened; the originator's follows from it.
#[test]
fn hash_lock_deadline_inversion() {
    use lx::Action::Take;
    let cast = Cast::default();
    for things in [CHANGE, PURCHASE] {
        let Deadlines { not_after, delta, sigma, .. } = Deal::under_hash(&cast, things).core.terms.deadlines;
        let dated = |date: Option<Time>| {
            let mut deal = Deal::under_hash(&cast, things);
            deal.core.terms.deadlines.refund_after = date;
            deal
        };
        let early = [not_after.before(delta), not_after, not_after.after(Seconds(sigma.0 - 1))];
        for date in early.into_iter().map(Some).chain([None]) {
            let deal = dated(date);
            assert_eq!(Leg::of(&deal.core), Err(ItemsError::RefundDate), "{date:?}");
            assert_eq!(check_lock_dates(&deal.core.terms.deadlines, NOW), Err(DatesError::Refund), "{date:?}");
            for role in [O, R] {
                assert_eq!(deal.run(&cast, role).unwrap_err(), RunError::Items(ItemsError::RefundDate), "{date:?}");
            }
        }
        for later in [0, 1, 1000 * TICK.0] {
            let deal = dated(Some(not_after.after(Seconds(sigma.0 + later))));
            let [first, second] = Leg::of(&deal.core).unwrap().map(|leg| leg.lock().map(|lock| lock.refund_after));
            let margin = Seconds(6 * delta.0 + 3 * sigma.0);
            assert!(first.is_none_or(|first| second.is_some_and(|second| first >= second.after(margin))));
            assert_eq!(check_lock_dates(&deal.core.terms.deadlines, NOW), Ok(()));
            assert!([O, R].into_iter().all(|role| deal.run(&cast, role).is_ok()));
        }
    }
    // An originator that takes the money at any tick, however late, and its own back as soon as it can: the responder has the one or the other.
    let world = under_hash(CHANGE, O);
    let date = tick(Leg::of(&Deal::under_hash(&cast, CHANGE).core).unwrap()[1].lock().unwrap().refund_after);
    let mut taken_late = 0;
    for from in world.init_states() {
        for (at, villain_first) in (0..date + 6).flat_map(|at| [(at, true), (at, false)]) {
            let end = race(&world, &from, villain_first, |now, action| !matches!(action, Take) || now == at);
            let ending = world.ending(&end, 1).unwrap();
            assert!(matches!(ending, Ending::Success | Ending::Refunded), "{ending:?}");
            taken_late += u32::from(ending == Ending::Success && at >= date);
        }
    }
    assert!(taken_late > 0, "somebody comes late and is paid for it");
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

/// A world in which some of many signers are honest.
fn signing(parties: u8, honest: &'static [u8]) -> cn::World {
    cn::World::new(cn::Setup { parties, honest, grain: cn::Grain::Coarse, deadlines: false, reaches: &[] })
}

/// What comes of these events, after each of which every property must hold.
fn play(world: &cn::World, events: impl IntoIterator<Item = cn::Action>) -> cn::State {
    events.into_iter().fold(world.init_states().remove(0), |state, event| {
        let next = world.next_state(&state, event);
        let next = next.unwrap_or_else(|| panic!("{} cannot happen", world.format_action(&event)));
        for property in world.properties() {
            if property.expectation == Expectation::Always {
                let words = world.describe_state(&next);
                assert!(
                    (property.condition)(world, &next),
                    "{} after: {}: {words}",
                    property.name,
                    world.format_action(&event)
                );
            }
        }
        next
    })
}

/// One honest signer is in round N when it gives up. `liars` have asked the arbiter before, each in the next round.
fn chain_of_refusals(parties: u8, liars: u8) -> Option<Ending> {
    let world = signing(parties, &[0]);
    let begin = [cn::Action::Begin, cn::Action::Sign { party: 0 }];
    let rounds = (1..parties).map(|_| cn::Action::Fill { party: 0 });
    let lies = (1..=liars).map(|round| cn::Action::Lie { party: usize::from(parties - round), round });
    let asks = [cn::Action::GiveUp { party: 0 }, cn::Action::Take { party: 0 }];
    let end = play(&world, begin.into_iter().chain(rounds).chain(lies).chain(asks));
    world.ending(&end, 0)
}

// 7. Each malicious signer has itself refused in the next round, so that the honest one is refused too. It has not signed the last round, so
// nobody holds the contract. With a liar less the chain is broken, and the contract complete.
#[test]
fn abort_chaining_n3() {
    assert_eq!(chain_of_refusals(3, 2), Some(Ending::Aborted));
    assert_eq!(chain_of_refusals(3, 1), Some(Ending::Success));
}

#[test]
fn abort_chaining_n4() {
    assert_eq!(chain_of_refusals(4, 3), Some(Ending::Aborted));
    assert_eq!(chain_of_refusals(4, 2), Some(Ending::Success));
}

#[test]
fn abort_chaining_n5() {
    assert_eq!(chain_of_refusals(5, 4), Some(Ending::Aborted));
    assert_eq!(chain_of_refusals(5, 3), Some(Ending::Success));
}

/// What a stranger finds in what three signers and their arbiter have said.
fn seen(three: &Three, statements: impl IntoIterator<Item = Signed>) -> evidence::Report {
    evidence::verify(&three.cast.oracle, &[], &three.folder(statements))
}

fn misconduct(three: &Three, statements: impl IntoIterator<Item = Signed>) -> Vec<Finding> {
    seen(three, statements).findings.into_iter().filter(|finding| !finding.is_fault()).collect()
}

// 8. With as many rounds as parties an honest one could be refused and the others hold the contract: N rounds are no contract, N + 1 are.
#[test]
fn mpcs_round_too_few() {
    let three = Three::default();
    let standing = |round| seen(&three, (1..=round).flat_map(|round| three.sheet(round))).contracts[0].standing;
    assert_eq!(standing(3), Standing::Rounds { complete: 3, of: 4 });
    assert_eq!(standing(4), Standing::Signed { parties: 3 });
    assert_eq!(seen(&three, three.sheet(4)).contracts[0].standing, Standing::Signed { parties: 3 });
    let short = three.sheet(4).into_iter().skip(1);
    assert_eq!(seen(&three, short).contracts[0].standing, Standing::Rounds { complete: 0, of: 4 });
}

// 9. A refusal in round 1 is not overturned by the signatures of round 1: whoever was refused there has sent them honestly. An arbiter
// that does so shows it by its own verdict.
#[test]
fn mpcs_overturn_off_by_one() {
    use cn::Action::{Begin, Deliver, Fill, GiveUp, Lie, Sign, Take};
    let world = signing(3, &[0, 1]);
    let first = Deliver { party: 1, from: 0, round: 1 };
    let begun = [Begin, Sign { party: 0 }, first, Sign { party: 1 }, Fill { party: 0 }, GiveUp { party: 0 }];
    let refused = [GiveUp { party: 1 }, Lie { party: 2, round: 1 }, Take { party: 1 }, Take { party: 0 }];
    let end = play(&world, begun.into_iter().chain(refused));
    assert_eq!([0, 1].map(|party| world.ending(&end, party)), [Some(Ending::Aborted); 2]);

    let three = Three::default();
    let because = |outcome| {
        let said = [three.ask(1, 1), three.ask(0, 2), three.verdict((0, 2), outcome, &[(1, 1)], 1)];
        misconduct(&three, said.into_iter().chain(three.sheet(1)))
    };
    let (cid, role) = (three.core.cid(), Some(O));
    assert_eq!(because(Outcome::Resolved), [Finding::WrongVerdict { cid, role }]);
    assert_eq!(because(Outcome::Aborted), []);
    // One that leaves out a refusal that stands before it in the log shows it as well, by both verdicts.
    let earlier = three.verdict((1, 1), Outcome::Aborted, &[], 0);
    let overturns = |refused: &[(u8, u8)], outcome| {
        let said = [three.ask(1, 1), three.ask(0, 2), earlier.clone(), three.verdict((0, 2), outcome, refused, 1)];
        misconduct(&three, said.into_iter().chain(three.sheet(1)))
    };
    assert_eq!(overturns(&[], Outcome::Resolved), [Finding::WrongVerdict { cid, role }]);
    assert_eq!(overturns(&[(1, 1)], Outcome::Aborted), []);
}

// 10. Who was refused asks again in a later round, to be refused there again or to have the contract completed after it was let off.
#[test]
fn mpcs_double_ask() {
    use cn::Action::{Begin, Fill, GiveUp, Lie, Sign, Take};
    let world = signing(3, &[0]);
    let begun = [Begin, Sign { party: 0 }, Fill { party: 0 }, Fill { party: 0 }, Lie { party: 1, round: 1 }];
    let state = play(&world, begun);
    assert_eq!(world.next_state(&state, Lie { party: 1, round: 3 }), None, "the arbiter gives its first answer again");
    assert!(world.next_state(&state, Lie { party: 2, round: 3 }).is_some());
    let asks = [Lie { party: 2, round: 3 }, GiveUp { party: 0 }, Take { party: 0 }];
    let end = play(&world, begun.into_iter().chain(asks));
    assert_eq!(world.ending(&end, 0), Some(Ending::Success));

    let three = Three::default();
    let (cid, role) = (three.core.cid(), R);
    let twice = [three.ask(1, 1), three.ask(1, 3)].into_iter().chain((1..=2).flat_map(|round| three.sheet(round)));
    let twice = misconduct(&three, twice);
    assert_eq!(twice, [Finding::SignedAfterAsking { cid, role }, Finding::AskedTwice { cid, role }]);
    assert_eq!(misconduct(&three, [three.ask(1, 2)].into_iter().chain(three.sheet(2))), []);
    let verdicts = [Outcome::Aborted, Outcome::Resolved].map(|outcome| three.verdict((1, 3), outcome, &[], 0));
    let both = misconduct(&three, verdicts.into_iter().chain([three.ask(1, 3)]).chain(three.sheet(2)));
    assert!(both.contains(&Finding::ArbiterEquivocated { cid }), "{both:?}");
}

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

/// A question about an exchange through the hands of the arbiter.
fn of_hands(cast: &Cast, deal: &Deal, by: Role, question: &impl Statement, token: &[u8]) -> Request {
    let mut promises = cast.promised(&deal.core).to_vec();
    promises[usize::from(by.number())].token = token.to_vec();
    let question = cast.say(by, question, 0);
    let (core, key_sets) = (deal.core.clone(), cast.key_sets());
    Request { core, key_sets, promises, question, proof: Vec::new(), payout: Vec::new() }
}

// Both promises of an exchange through the arbiter's hands are shown in the way that completes every other contract: its party would get the verdict "resolved", and with it the
// proof that it has paid, for nothing.
#[test]
fn promises_without_deposits() {
    let cast = Cast::default();
    let deal = Deal::through_hands(&cast);
    let resolve = cast.resolve(&deal.core, R, cast.promised(&deal.core));
    assert_eq!(deal.court(&cast).check(&resolve), Err(RequestError::OtherProfile));
    assert_eq!(deal.court(&cast).check_hands(&resolve), Err(RequestError::OtherProfile));
    assert_eq!(deal.court(&cast).check(&cast.abort(&deal.core)), Err(RequestError::OtherProfile));
    let token = b"token";
    let good = hands::Deposit { cid: deal.core.cid(), role: R, token: hands::token_hash(token) };
    let case = deal.court(&cast).check_hands(&of_hands(&cast, &deal, R, &good, token)).unwrap();
    assert_eq!((case.by(), case.asked()), (R, &hands::Asked::Deposit(token.to_vec())));
    // Nor is an exchange by other means led through the arbiter's hands.
    let locked = Deal::new(&cast, CHANGE, None);
    let inquiry = Inquiry { cid: locked.core.cid(), slot: Slot::default(), role: R };
    let request = of_hands(&cast, &locked, R, &inquiry, b"");
    assert_eq!(locked.court(&cast).check_hands(&request), Err(RequestError::OtherProfile));
}

// A party hands in what its peer has paid, or what was paid under another contract: as its own deposit, in its own name.
#[test]
fn deposit_under_another_contract() {
    let cast = Cast::default();
    let deal = Deal::through_hands(&cast);
    let cid = deal.core.cid();
    let checked = |by, question: hands::Deposit| {
        deal.court(&cast).check_hands(&of_hands(&cast, &deal, by, &question, b"token")).map(drop)
    };
    let token = hands::token_hash(b"token");
    let other = Deal::new(&cast, CHANGE, None).core.cid();
    let foreign = Err(RequestError::Foreign("question"));
    assert_eq!(checked(O, hands::Deposit { cid: other, role: O, token }), foreign);
    assert_eq!(checked(O, hands::Deposit { cid, role: R, token }), foreign);
    assert_eq!(checked(O, hands::Deposit { cid, role: O, token: hands::token_hash(b"other") }), foreign);
    assert_eq!(checked(O, hands::Deposit { cid, role: O, token }), Ok(()));
    // What the arbiter asks for names the contract and the party, so that a payment for one is none for another.
    let legs = Leg::of(&deal.core).unwrap();
    let asked = [O, R].map(|owner| {
        let handed = legs[usize::from(owner.number())].handed().unwrap();
        hands::deposit_request(&deal.core, owner, handed, vec![1])
    });
    assert_ne!(asked[0], asked[1]);
    let mut twin = deal.core.clone();
    twin.terms.nonce = [2; 32];
    assert_ne!(hands::deposit_request(&twin, O, legs[0].handed().unwrap(), vec![1]), asked[0]);
}
