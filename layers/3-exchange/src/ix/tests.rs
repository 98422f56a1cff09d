//! Step by step. Every order of events is searched in `sim`; here stands what each step must and must not do.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, PartyRef, Profile, Terms};
use semper_core::cose::{Draft, Signed, Statement};
use semper_core::ids::{DealId, Slot};
use semper_core::machine::{Env, Fault, Machine, Step};
use semper_core::party::{KeySet, Role};
use semper_core::time::{Seconds, Time};
use semper_support::crypto::{CryptoError, Encapsulate, KemSuite, Secret};
use semper_support::engine::{Consent, Effect, Ending, Input};
use semper_transfer::payment::means::System;
use semper_transfer::payment::operation::{Answer as Operated, Failure, Operation, Outcome as Moved, PurseId, Task};
use semper_transfer::payment::statement::PaymentRequest;

use super::machine::TRIES_MAX;
use super::{Ix, State};
use crate::arbiter::hands::{self, Answer, Asked, Case, Duty, Event, Hands, Holding, rule, token_hash};
use crate::arbiter::request::{Court, Inquiry, Request, RequestError, Resolve};
use crate::arbiter::rules_hash;
use crate::arbiter::verdict::{Outcome, Verdict};
use crate::gx::{
    DEADLINE, Gx, GxError, HandsDeposit, ItemsError, Leg, Message, Own, PATIENCE, Price, Promised, REFUND, Run,
    paid_out_until,
};
use crate::planner::{Engine, Impossible, check_dates, plan_of};
use crate::testing::{Tags, key_set, say, sign, text};

const NOW: Time = Time::from_unix(1000);
const NOT_AFTER: Time = Time::from_unix(10_000);
const OVER: Time = Time::from_unix(10_001);
const LATE: Time = Time::from_unix(9_641);
const DEAL: DealId = DealId::from_array([4; 16]);
const ROLES: [Role; 2] = [Role::ORIGINATOR, Role::RESPONDER];

fn key_sets() -> [KeySet; 2] {
    [key_set(1), key_set(2)]
}

fn arbiter() -> KeySet {
    key_set(3)
}

fn place(role: Role) -> usize {
    usize::from(role.number())
}

fn price() -> Price {
    Price {
        amount: Amount::parse("1.00 EUR").unwrap(),
        system: System::parse("account").unwrap(),
        issuer: "https://bank.example".to_owned(),
        lock: None,
    }
}

fn deadlines() -> Deadlines {
    let (delta, sigma) = (Seconds(300), Seconds(60));
    Deadlines { not_after: NOT_AFTER, complaints: None, refund_after: None, delta, sigma }
}

/// "Pay me here what `owner` gives."
fn asks(payee: Role, owner: Role) -> PaymentRequest {
    let Price { amount, system, issuer, .. } = price();
    let (purpose, details) = (format!("what the {owner} gives"), vec![payee.number(), owner.number()]);
    PaymentRequest { deal: DEAL, amount, purpose, system, issuer, details, expires: paid_out_until(&deadlines()) }
}

fn deposit(owner: Role) -> HandsDeposit {
    let signed = |payee: Role| say(&key_sets()[place(payee)], &asks(payee, owner));
    HandsDeposit { onward: signed(owner.peer()), back: signed(owner), salt: [3; 32] }
}

/// Money for money.
fn change() -> Core {
    let item = |owner: Role| Item {
        kind: ItemKind::Money,
        owner,
        recipient: owner.peer(),
        descriptor: price().to_bytes(),
        slot: Slot(owner.number().into()),
    };
    let party = |role: Role| PartyRef { role, key_set: key_sets()[place(role)].id() };
    let deposit = |role: Role| (Slot(role.number().into()), deposit(role).to_bytes());
    let key_set = arbiter().id();
    Core {
        terms: Terms {
            profile: Profile::Ix,
            parties: ROLES.map(party).to_vec(),
            arbiter: Some(ArbiterRef { key_set, deposit_key: None, log: key_set, rules: rules_hash() }),
            items: ROLES.map(item).to_vec(),
            deadlines: deadlines(),
            text: text(),
            links: Vec::new(),
            nonce: [1; 32],
        },
        deposits: BTreeMap::from(ROLES.map(deposit)),
    }
}

fn run(core: Core, role: Role) -> Run {
    let purse = Some((DEAL, PurseId::from_array([role.number(); 16])));
    let own = Own { purse, comes_to: Some(PurseId::from_array([role.number() + 10; 16])), ..Own::default() };
    Run::new(core, &key_sets()[place(role)], key_sets(), Some(arbiter()), Seconds(30), own).unwrap()
}

fn step_at(now: Time, state: &Ix, input: Input) -> Result<Step<Ix>, GxError> {
    state.clone().handle(&Env { now, verify: &Tags }, input)
}

/// Takes a step; every state that is reached is read back from its bytes.
fn take(state: &mut Ix, now: Time, input: Input) -> Vec<Effect> {
    let step = step_at(now, state, input).unwrap();
    *state = Ix::from_bytes(&step.state.to_bytes()).unwrap();
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

fn asked(effects: &[Effect]) -> Vec<Request> {
    let asked = effects.iter().filter_map(|e| if let Effect::AskArbiter(bytes) = e { Some(bytes) } else { None });
    asked.map(|bytes| Request::from_bytes(bytes).unwrap()).collect()
}

fn draft(effects: &[Effect]) -> (Draft, Consent) {
    let drafts = effects.iter().filter_map(|e| match e {
        Effect::Sign { draft, consent } => Some((draft.clone(), *consent)),
        _ => None,
    });
    let [draft] = drafts.collect::<Vec<_>>().try_into().unwrap();
    draft
}

fn is_set(effects: &[Effect], timer: &str) -> Option<Time> {
    effects.iter().find_map(|e| match e {
        Effect::SetTimer { name, due } if *name == timer => Some(*due),
        _ => None,
    })
}

/// Has what the step asks for signed.
fn signs(state: &mut Ix, now: Time, effects: &[Effect]) -> Vec<Effect> {
    let signer = state.run().key_set(state.run().role()).clone();
    take(state, now, Input::Signed(sign(&signer, draft(effects).0)))
}

fn moved(operation: &Operation, moved: &str, handover: &[u8]) -> Input {
    let nothing = Amount::parse("0.00 EUR").unwrap();
    let outcome = Moved { moved: Amount::parse(moved).unwrap(), fee: nothing, handover: handover.to_vec() };
    Input::Operated(Operated { id: operation.id, result: Ok(outcome) }.to_bytes())
}

fn failed(operation: &Operation) -> Input {
    let failure = Failure::unmoved(Fault::ThirdParty, "refused");
    Input::Operated(Operated { id: operation.id, result: Err(failure) }.to_bytes())
}

/// The arbiter, whose issuers answer at once.
struct Arbiter {
    hands: Hands,
    verdict: Option<Signed>,
    begun: Vec<Duty>,
}

impl Arbiter {
    fn new() -> Self {
        let details = [vec![20], vec![21]];
        Self { hands: Hands::new(details, NOW), verdict: None, begun: Vec::new() }
    }

    fn check(request: &Request) -> Result<Case, RequestError> {
        let arbiter = arbiter();
        let court = Court { verify: &Tags, kem: &NoKem, arbiter: &arbiter, deposit_key: None, systems: &[] };
        court.check_hands(request)
    }

    fn happens(&mut self, case: &Case, event: Event, now: Time) {
        let ruling = rule(&self.hands, event, NOT_AFTER, now);
        if let Some(verdict) = case.verdict(&ruling, &arbiter(), 0) {
            assert_eq!(self.verdict, None, "one verdict");
            self.verdict = Some(sign(&arbiter(), verdict));
        }
        self.hands = Hands::from_bytes(&ruling.hands.to_bytes()).unwrap();
        assert_eq!(self.hands, ruling.hands);
        self.begun.extend(ruling.begin);
    }

    /// Hears a question; a token that begins with `t` is good. `None`: it answers later.
    fn hears(&mut self, request: &Request, now: Time) -> Option<Answer> {
        let case = Self::check(request).unwrap();
        let by = case.by();
        self.happens(&case, Event::Asked(by, case.asked().clone()), now);
        for duty in std::mem::take(&mut self.begun) {
            match duty {
                Duty::Take(by, token) if token.first() == Some(&b't') => {
                    assert!(self.hands.taking(case.cid(), by).is_some());
                    self.happens(&case, Event::Taken(by), now);
                }
                Duty::Take(by, _) => self.happens(&case, Event::Refused(by), now),
                Duty::Pay(to) => assert!(case.payment(&self.hands, to).is_some()),
            }
        }
        if self.hands.is_awaited(by, case.asked()) {
            return None;
        }
        let me = arbiter();
        let paid = match case.payment(&self.hands, by) {
            Some(Task::Pay { request, .. }) => [b"paid ", request.signer().as_bytes().as_slice()].concat(),
            _ => Vec::new(),
        };
        Some(Answer {
            requests: ROLES.map(|owner| sign(&me, case.request(&self.hands, owner, &me))).to_vec(),
            receipts: ROLES.iter().filter_map(|by| Some(sign(&me, case.receipt(&self.hands, *by, &me)?))).collect(),
            statement: self.verdict.clone(),
            log: None,
            token: paid,
            question: case.question(),
        })
    }
}

/// Both have promised and ask the arbiter how it stands.
fn promised() -> ([Ix; 2], [Request; 2]) {
    let [mut o, mut r] = ROLES.map(|role| Ix::new(run(change(), role)));
    let begun = take(&mut o, NOW, Input::Begin);
    assert!(matches!(begun[0], Effect::Once(_)), "the run is counted in the commit that begins it");
    assert_eq!(draft(&begun).1, Consent::Ask);
    let first = sent(&signs(&mut o, NOW, &begun));
    let heard = take(&mut r, NOW, Input::Message(first[0].to_bytes()));
    assert_eq!(draft(&heard).1, Consent::Ask);
    let answered = signs(&mut r, NOW, &heard);
    let second = sent(&answered);
    let theirs = asked(&signs(&mut r, NOW, &answered));
    let heard = take(&mut o, NOW, Input::Message(second[0].to_bytes()));
    let ours = asked(&signs(&mut o, NOW, &heard));
    ([o, r], [ours[0].clone(), theirs[0].clone()])
}

/// A party pays as the arbiter asks, and hands its token in.
fn pays(party: &mut Ix, arbiter: &mut Arbiter, inquiry: &Request, token: &[u8]) -> Request {
    let answer = arbiter.hears(inquiry, NOW).unwrap();
    let paying = take(party, NOW, Input::ArbiterSays(answer.to_bytes()));
    let [pay] = operations(&paying).try_into().unwrap();
    let Task::Pay { request, .. } = &pay.task else { panic!("{pay:?}") };
    assert_eq!(Some(request), answer.requests.get(place(party.run().role())), "the arbiter's own request is paid");
    let paid = take(party, NOW, moved(&pay, "1.00 EUR", token));
    assert_eq!(is_set(&paid, REFUND), Some(Time::from_unix(10_061)));
    let asking = signs(party, NOW, &paid);
    let [deposit] = asked(&asking).try_into().unwrap();
    deposit
}

/// What a party does about the arbiter's answer to its question.
fn hears(party: &mut Ix, arbiter: &mut Arbiter, question: &Request) -> Vec<Effect> {
    let answer = arbiter.hears(question, NOW).unwrap();
    take(party, NOW, Input::ArbiterSays(answer.to_bytes()))
}

#[test]
fn both_are_paid_what_the_other_has_given() {
    let (mut parties, inquiries) = promised();
    let mut arbiter = Arbiter::new();
    let [o, r] = &mut parties;
    let first = pays(o, &mut arbiter, &inquiries[0], b"t0");
    let taken = hears(o, &mut arbiter, &first);
    let waiting = signs(o, NOW, &taken);
    assert_eq!(is_set(&waiting, PATIENCE), Some(NOW.after(Seconds(30))));
    let [waiting] = asked(&waiting).try_into().unwrap();
    assert_eq!(arbiter.hears(&waiting, NOW), None, "it answers when it has decided");
    let second = pays(r, &mut arbiter, &inquiries[1], b"t1");
    let paid = hears(r, &mut arbiter, &second);
    let received = hears(o, &mut arbiter, &waiting);
    for (party, effects) in [(&mut *o, received), (r, paid)] {
        let [receive] = operations(&effects).try_into().unwrap();
        let Task::Receive { request, .. } = &receive.task else { panic!("{receive:?}") };
        let role = party.run().role();
        assert_eq!(*request, deposit(role.peer()).onward, "the peer's money, as we have asked for it");
        assert_eq!(receive.purse, PurseId::from_array([role.number() + 10; 16]), "into the purse that it comes to");
        take(party, NOW, moved(&receive, "1.00 EUR", b""));
        assert_eq!(party.ending(), Some(Ending::Success));
    }
}

#[test]
fn nobody_pays_before_the_arbiter_has_asked_it_to() {
    let (parties, inquiries) = promised();
    let good = Arbiter::new().hears(&inquiries[0], NOW).unwrap();
    let asks = |change: &dyn Fn(&mut PaymentRequest), by: &KeySet| {
        let mut request = PaymentRequest::from_bytes(good.requests[0].payload()).unwrap();
        change(&mut request);
        Answer { requests: vec![say(by, &request), good.requests[1].clone()], ..good.clone() }
    };
    let swapped = Answer { requests: good.requests.iter().rev().cloned().collect(), ..good.clone() };
    let wrong = [
        asks(&|_| {}, &key_set(2)),
        asks(&|request| request.amount = Amount::parse("2.00 EUR").unwrap(), &arbiter()),
        asks(&|request| request.issuer = "https://other.example".to_owned(), &arbiter()),
        asks(&|request| request.purpose = String::new(), &arbiter()),
        asks(&|request| request.expires = OVER, &arbiter()),
        Answer { requests: Vec::new(), ..good.clone() },
        swapped,
    ];
    for answer in wrong {
        let refused = step_at(NOW, &parties[0], Input::ArbiterSays(answer.to_bytes()));
        assert!(matches!(refused, Err(GxError::BadVerdict(_))), "{refused:?}");
    }
    let late = step_at(LATE, &parties[0], Input::ArbiterSays(good.to_bytes())).unwrap();
    assert_eq!(late.state.ending(), Some(Ending::Lapsed), "too late for the arbiter to take it");
    assert!(operations(&late.effects).is_empty());
}

#[test]
fn a_party_that_has_paid_nothing_leaves_alone() {
    let (parties, inquiries) = promised();
    for party in parties {
        for input in [Input::GiveUp, Input::Timer(DEADLINE), Input::Message(Message::decline("").to_bytes())] {
            let left = step_at(NOW, &party, input).unwrap();
            assert_eq!(left.state.ending(), Some(Ending::Lapsed));
            assert!(asked(&left.effects).is_empty());
        }
    }
    let case = Arbiter::check(&inquiries[0]).unwrap();
    let mut arbiter = Arbiter::new();
    arbiter.happens(&case, Event::Taken(Role::RESPONDER), NOW);
    assert_eq!(arbiter.hands.outcome, None, "without its deposit nobody is bound");
}

#[test]
fn whoever_waits_in_vain_has_its_money_back() {
    let (mut parties, inquiries) = promised();
    let mut arbiter = Arbiter::new();
    let [o, _] = &mut parties;
    let deposit_request = pays(o, &mut arbiter, &inquiries[0], b"t0");
    let taken = hears(o, &mut arbiter, &deposit_request);
    signs(o, NOW, &taken);
    let asking = take(o, NOW, Input::Timer(PATIENCE));
    let [abort] = asked(&signs(o, NOW, &asking)).try_into().unwrap();
    let back = hears(o, &mut arbiter, &abort);
    let [receive] = operations(&back).try_into().unwrap();
    let Task::Receive { request, .. } = &receive.task else { panic!("{receive:?}") };
    assert_eq!(*request, deposit(Role::ORIGINATOR).back);
    assert_eq!(receive.purse, PurseId::from_array([0; 16]), "into the purse that it came from");
    take(o, NOW, moved(&receive, "1.00 EUR", b""));
    assert_eq!(o.ending(), Some(Ending::Aborted));
}

// Its issuer has not taken the token to the arbiter's purse: whoever has paid takes it back there.
#[test]
fn a_payment_that_was_not_taken_is_taken_back() {
    let (mut parties, inquiries) = promised();
    let mut arbiter = Arbiter::new();
    let [o, _] = &mut parties;
    let deposit_request = pays(o, &mut arbiter, &inquiries[0], b"bad");
    let refused = hears(o, &mut arbiter, &deposit_request);
    let [abort] = asked(&signs(o, NOW, &refused)).try_into().unwrap();
    let back = hears(o, &mut arbiter, &abort);
    let [reclaim] = operations(&back).try_into().unwrap();
    assert!(matches!(reclaim.task, Task::Reclaim(_)));
    let mut vain = o.clone();
    take(o, NOW, moved(&reclaim, "1.00 EUR", b""));
    assert_eq!(o.ending(), Some(Ending::Aborted));
    // Where the issuer refuses again and again, a person must look.
    let mut operation = reclaim;
    for attempt in 1..TRIES_MAX {
        let resting = take(&mut vain, NOW, failed(&operation));
        assert_eq!(is_set(&resting, PATIENCE), Some(NOW.after(Seconds(30 << attempt))), "less and less often");
        let asking = take(&mut vain, NOW, Input::Timer(PATIENCE));
        let [inquiry] = asked(&signs(&mut vain, NOW, &asking)).try_into().unwrap();
        let [again] = operations(&hears(&mut vain, &mut arbiter, &inquiry)).try_into().unwrap();
        assert_ne!(again.id, operation.id, "each attempt is a new one");
        operation = again;
    }
    take(&mut vain, NOW, failed(&operation));
    assert_eq!(vain.ending(), Some(Ending::Unsettled));
}

#[test]
fn an_arbiter_that_says_nothing_costs_nothing_that_it_has_not_taken() {
    let (mut parties, inquiries) = promised();
    let mut arbiter = Arbiter::new();
    let [o, _] = &mut parties;
    let deposit_request = pays(o, &mut arbiter, &inquiries[0], b"t0");
    let mut told = o.clone();
    let silent = take(o, OVER, Input::Timer(REFUND));
    let [reclaim] = operations(&silent).try_into().unwrap();
    assert!(matches!(reclaim.task, Task::Reclaim(_)));
    take(o, OVER, moved(&reclaim, "1.00 EUR", b""));
    assert_eq!(o.ending(), Some(Ending::Aborted));
    let taken = hears(&mut told, &mut arbiter, &deposit_request);
    signs(&mut told, NOW, &taken);
    assert!(operations(&take(&mut told, OVER, Input::Timer(REFUND))).is_empty(), "the arbiter has said that it has it");
}

#[test]
fn a_verdict_counts_and_nothing_else() {
    let (mut parties, inquiries) = promised();
    let mut arbiter_side = Arbiter::new();
    let [o, r] = &mut parties;
    let deposits = [pays(o, &mut arbiter_side, &inquiries[0], b"t0"), pays(r, &mut arbiter_side, &inquiries[1], b"t1")];
    let stale = arbiter_side.hears(&inquiries[0], NOW).unwrap();
    let unmoved = step_at(NOW, o, Input::ArbiterSays(stale.to_bytes())).unwrap();
    assert_eq!(unmoved.state, *o, "the answer to an earlier question, once more");
    arbiter_side.hears(&deposits[0], NOW).unwrap();
    let good = arbiter_side.hears(&deposits[1], NOW).unwrap();
    let verdict = Verdict::from_bytes(good.statement.as_ref().unwrap().payload()).unwrap();
    assert_eq!(verdict.outcome, Outcome::Resolved);
    let said = |verdict: Verdict, by: &KeySet| Answer { statement: Some(say(by, &verdict)), ..good.clone() };
    let other = Core { deposits: BTreeMap::new(), ..change() }.cid();
    let wrong = [
        said(verdict.clone(), &key_set(2)),
        said(Verdict { cid: other, ..verdict.clone() }, &arbiter()),
        said(Verdict { basis: Vec::new(), ..verdict.clone() }, &arbiter()),
        said(Verdict { outcome: Outcome::Fault(Role::RESPONDER), ..verdict }, &arbiter()),
        Answer { token: Vec::new(), ..good.clone() },
        Answer { receipts: vec![good.requests[0].clone()], ..good.clone() },
    ];
    for answer in wrong {
        let refused = step_at(NOW, r, Input::ArbiterSays(answer.to_bytes()));
        assert!(matches!(refused, Err(GxError::BadVerdict(_))), "{refused:?}");
    }
    assert!(step_at(NOW, r, Input::ArbiterSays(good.to_bytes())).is_ok());
}

#[test]
fn the_arbiter_decides_once_and_pays_back_what_comes_late() {
    let (_, inquiries) = promised();
    let cases = inquiries.each_ref().map(|inquiry| Arbiter::check(inquiry).unwrap());
    let begun = |event: Event, arbiter: &mut Arbiter, now| {
        arbiter.happens(&cases[0], event, now);
        std::mem::take(&mut arbiter.begun)
    };
    let deposit = |role, token: &[u8]| Event::Asked(role, Asked::Deposit(token.to_vec()));
    let [o, r] = ROLES;
    // Both in time, the second one at the last moment.
    let mut both = Arbiter::new();
    assert_eq!(begun(deposit(o, b"t0"), &mut both, NOW), [Duty::Take(o, b"t0".to_vec())]);
    assert_eq!(begun(deposit(o, b"t1"), &mut both, NOW), [], "one token at a time");
    begun(Event::Taken(o), &mut both, NOW);
    assert_eq!(begun(deposit(o, b"t1"), &mut both, NOW), [], "one deposit is enough");
    begun(deposit(r, b"t2"), &mut both, NOW);
    assert_eq!(begun(Event::Taken(r), &mut both, NOT_AFTER), [Duty::Pay(o), Duty::Pay(r)]);
    assert_eq!(begun(Event::Asked(o, Asked::Abort), &mut both, NOT_AFTER), [], "what is decided stays");
    assert_eq!(both.hands.outcome, Some(Outcome::Resolved));
    assert_eq!(begun(Event::Unpaid(o), &mut both, OVER), [Duty::Pay(o)], "it is tried again");
    assert_ne!(both.hands.paying(cases[0].cid(), o), both.hands.paying(cases[0].cid(), r));
    // A moment later.
    let mut late = Arbiter::new();
    begun(deposit(o, b"t0"), &mut late, NOW);
    begun(Event::Taken(o), &mut late, NOW);
    begun(deposit(r, b"t2"), &mut late, NOW);
    assert_eq!(begun(Event::Taken(r), &mut late, OVER), []);
    assert_eq!(begun(Event::Asked(o, Asked::Inquire), &mut late, OVER), [Duty::Pay(o), Duty::Pay(r)]);
    assert_eq!(late.hands.outcome, Some(Outcome::Aborted));
    // Aborted while the second one is being taken; a third one is not taken any more.
    let mut racing = Arbiter::new();
    begun(deposit(r, b"t2"), &mut racing, NOW);
    assert_eq!(begun(Event::Asked(o, Asked::Abort), &mut racing, NOW), []);
    assert!(racing.hands.is_awaited(r, &Asked::Inquire), "it is not said yet what became of the deposit");
    assert_eq!(begun(deposit(o, b"t0"), &mut racing, NOW), []);
    assert_eq!(begun(Event::Taken(r), &mut racing, NOW), [Duty::Pay(r)]);
    // A clock that goes back takes nothing back.
    begun(Event::Asked(o, Asked::Inquire), &mut racing, Time::from_unix(1));
    assert_eq!(racing.hands.time, NOW);
    // Refused again and again.
    let mut refused = Arbiter::new();
    for attempt in 0..=hands::TRIES_MAX {
        let tokens = begun(deposit(o, &[attempt]), &mut refused, NOW).len();
        assert_eq!(tokens, usize::from(attempt < hands::TRIES_MAX));
        begun(Event::Refused(o), &mut refused, NOW);
        assert_eq!(begun(deposit(o, &[attempt]), &mut refused, NOW), [], "the same is refused for ever");
    }
    let last = Holding::Refused(token_hash(&[hands::TRIES_MAX - 1]), hands::TRIES_MAX - 1);
    assert_eq!(refused.hands.holding(o), last);
}

#[test]
fn other_questions_are_not_valid() {
    let (_, [inquiry, _]) = promised();
    let o = &key_sets()[0];
    let (core, role) = (change(), Role::ORIGINATOR);
    let (cid, slot) = (core.cid(), Slot::default());
    let with = |question: Signed| Request { question, ..inquiry.clone() };
    let promises = [inquiry.promises[0].promise.id(), inquiry.promises[1].promise.id()];
    let resolve = with(say(o, &Resolve { cid, slot, promises, role, proof: None }));
    assert_eq!(Arbiter::check(&resolve), Err(RequestError::OtherProfile));
    let arbiter = arbiter();
    let court = Court { verify: &Tags, kem: &NoKem, arbiter: &arbiter, deposit_key: None, systems: &[] };
    assert_eq!(court.check(&resolve).err(), Some(RequestError::OtherProfile), "promises alone complete nothing");
    assert_eq!(court.check(&inquiry).err(), Some(RequestError::OtherProfile));
    let foreign = with(say(o, &Inquiry { cid, slot, role: Role::RESPONDER }));
    assert_eq!(Arbiter::check(&foreign), Err(RequestError::Foreign("question")));
    let token = hands::Deposit { cid, role, token: token_hash(b"another") };
    assert_eq!(Arbiter::check(&with(say(o, &token))), Err(RequestError::Foreign("question")));
    let alone = Request { promises: inquiry.promises[..1].to_vec(), ..inquiry.clone() };
    assert_eq!(Arbiter::check(&alone), Err(RequestError::Promises));
    let mut forged = inquiry.clone();
    let back = sign(&key_set(9), asks(role, role).draft(o.suite(), o.id()));
    forged.core.deposits.insert(Slot(0), HandsDeposit { back, ..deposit(role) }.to_bytes());
    let part = "payment request";
    assert!(matches!(Arbiter::check(&forged), Err(RequestError::Signature { part: found, .. }) if found == part));
    assert!(Arbiter::check(&inquiry).is_ok());
}

#[test]
fn the_contract_says_that_everything_goes_through_its_hands() {
    let plan = plan_of(&change()).unwrap();
    assert_eq!((plan.engine, plan.may_resolve), (Engine::InLine, [false, false]));
    assert_eq!(check_dates(&deadlines(), NOW), Ok(()));
    let mut other = change();
    other.terms.profile = Profile::Gx;
    assert_eq!(plan_of(&other), Err(Impossible::OnlyWeak), "without consent it is not planned");
    let refused = |change_it: &dyn Fn(&mut Core)| {
        let mut core = change();
        change_it(&mut core);
        Leg::of(&core).err()
    };
    let with = |deposit: HandsDeposit| {
        move |core: &mut Core| {
            core.deposits.insert(Slot(0), deposit.to_bytes());
        }
    };
    let [o, r] = key_sets();
    let role = Role::ORIGINATOR;
    let request = |what| Some(ItemsError::Request(what));
    let swapped = HandsDeposit { onward: deposit(role).back, back: deposit(role).onward, ..deposit(role) };
    assert_eq!(refused(&with(swapped)), request("payees"));
    let onward = |change: &dyn Fn(&mut PaymentRequest)| {
        let mut asked = asks(Role::RESPONDER, role);
        change(&mut asked);
        refused(&with(HandsDeposit { onward: say(&r, &asked), ..deposit(role) }))
    };
    assert_eq!(onward(&|asked| asked.amount = Amount::parse("2.00 EUR").unwrap()), request("amounts"));
    assert_eq!(onward(&|asked| asked.issuer = String::new()), request("means"));
    assert_eq!(onward(&|asked| asked.expires = NOT_AFTER), request("dates"));
    assert_eq!(onward(&|asked| asked.purpose = String::new()), request("two requests"));
    assert_eq!(onward(&|_| {}), None);
    let dear = PaymentRequest { amount: Amount::parse("2.00 EUR").unwrap(), ..asks(role, role) };
    let dear = HandsDeposit { back: say(&o, &dear), ..deposit(role) };
    assert_eq!(refused(&with(dear)), request("two requests"));
    assert_eq!(refused(&|core| core.terms.deadlines.refund_after = Some(NOT_AFTER)), Some(ItemsError::Hands));
    assert_eq!(refused(&|core| core.terms.deadlines.complaints = Some(Seconds(1))), Some(ItemsError::Hands));
    let signature = |core: &mut Core| {
        let item = &mut core.terms.items[1];
        (item.kind, item.descriptor) = (ItemKind::Signature, Vec::new());
    };
    assert_eq!(refused(&signature), Some(ItemsError::Hands));
    let gx = Gx::new(run(change(), role));
    assert!(Gx::from_bytes(&gx.to_bytes()).is_err(), "another machine runs it");
    let bare = Promised::bare(say(&o, &asks(role, role)));
    let ready = Ix::at(run(change(), role), State::AwaitPeerPromise { ours: bare });
    assert_eq!(Ix::from_bytes(&ready.to_bytes()).as_ref(), Ok(&ready));
}

/// There is no information here.
struct NoKem;

impl Encapsulate for NoKem {
    fn seed_len(&self, _: KemSuite) -> usize {
        0
    }

    fn encapsulate(&self, _: KemSuite, _: &[u8], _: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        Err(CryptoError::Malformed("nothing is encapsulated here"))
    }

    fn can_be_opened(&self, _: KemSuite, _: &[u8]) -> bool {
        false
    }
}
