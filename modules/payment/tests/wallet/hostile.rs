//! Mints that lie: at every answer of every task, in every way that we could think of. Whatever they say, the wallet ends or waits, takes nothing
//! for a coin that is none, and does not say that money is where it was when it is not.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use semper_core::machine::Fault;
use semper_payment::ecash::keyset::Unit;
use semper_transfer::payment::module::{IssuerReply, IssuerRequest};
use semper_transfer::payment::operation::{Failure, Money, Outcome, Task};
use semper_transfer::payment::statement::Side;
use serde_json::{Value, json};

use super::world::{Clock, Issuer, OurMint, Party, START, hash_locked, learn, pay, redeem};

/// A way to lie in an answer; `None`: the answer has no place for this lie.
type Lie = fn(Value) -> Option<Value>;

/// Our mint, with one lie.
struct Liar {
    honest: Arc<OurMint>,
    lie: Option<Lie>,
    /// Answers that are refused or garbage, whatever was asked.
    instead: Option<IssuerReply>,
    /// Which answer, from 0; counted since the lie was told to the liar.
    at: usize,
    /// Whether it does what it was asked before it lies.
    does: bool,
    /// Whether it lies from there on.
    always: bool,
    answers: AtomicUsize,
    lied: AtomicUsize,
}

impl Liar {
    fn new(honest: Arc<OurMint>) -> Self {
        let (answers, lied) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { honest, lie: None, instead: None, at: 0, does: true, always: false, answers, lied }
    }
}

#[async_trait]
impl Issuer for Liar {
    async fn ask(&self, request: IssuerRequest) -> IssuerReply {
        let place = self.answers.fetch_add(1, Ordering::SeqCst);
        if place < self.at || (place > self.at && !self.always) {
            return self.honest.ask(request).await;
        }
        if let Some(instead) = &self.instead {
            if self.does {
                self.honest.ask(request).await;
            }
            self.lied.fetch_add(1, Ordering::SeqCst);
            return instead.clone();
        }
        let reply = self.honest.ask(request).await;
        let told = self.lie.and_then(|lie| lie(serde_json::from_slice(&reply.body).ok()?));
        match told {
            Some(told) if reply.status == 200 => {
                self.lied.fetch_add(1, Ordering::SeqCst);
                IssuerReply { status: 200, body: serde_json::to_vec(&told).unwrap() }
            }
            _ => reply,
        }
    }
}

fn signatures(answer: &mut Value) -> Option<&mut Vec<Value>> {
    answer.get_mut("signatures")?.as_array_mut().filter(|list| !list.is_empty())
}

/// Other witnesses, made from the place and the true one.
fn witnesses(mut answer: Value, make: fn(usize, &Value) -> Value) -> Option<Value> {
    let states = answer.get_mut("states")?.as_array_mut()?;
    let shown = states.iter_mut().enumerate().filter(|(_, state)| !state["witness"].is_null());
    shown.map(|(place, state)| state["witness"] = make(place, &state["witness"])).last()?;
    Some(answer)
}

fn states(mut answer: Value, said: &str) -> Option<Value> {
    answer.get_mut("states")?.as_array_mut()?.iter_mut().for_each(|state| state["state"] = json!(said));
    Some(answer)
}

const LIES: &[(&str, Lie)] = &[
    ("no proofs", |mut answer| {
        signatures(&mut answer)?.iter_mut().for_each(|one| drop(one.as_object_mut().unwrap().remove("dleq")));
        Some(answer)
    }),
    ("a wrong proof", |mut answer| {
        let first = &mut signatures(&mut answer)?[0];
        first["dleq"]["e"] = first["dleq"]["s"].clone();
        Some(answer)
    }),
    ("another signature", |mut answer| {
        signatures(&mut answer)?[0]["C_"] = json!("02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5");
        Some(answer)
    }),
    ("a smaller amount", |mut answer| {
        let first = &mut signatures(&mut answer)?[0];
        first["amount"] = json!(first["amount"].as_u64().unwrap() * 2);
        Some(answer)
    }),
    ("fewer signatures", |mut answer| {
        signatures(&mut answer)?.pop();
        Some(answer)
    }),
    ("more signatures", |mut answer| {
        let list = signatures(&mut answer)?;
        list.push(list[0].clone());
        Some(answer)
    }),
    ("another order", |mut answer| {
        let list = signatures(&mut answer)?;
        list.reverse();
        (list.len() > 1).then_some(answer)
    }),
    ("another keyset", |mut answer| {
        signatures(&mut answer)?[0]["id"] = json!("00ffffffffffffff");
        Some(answer)
    }),
    ("another key", |mut answer| {
        let keys = answer.get_mut("keysets")?.get_mut(0)?.get_mut("keys")?.as_object_mut()?;
        keys.insert("1".to_owned(), json!("02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"));
        Some(answer)
    }),
    ("a fee that nobody would pay", |mut answer| {
        answer.get_mut("keysets")?.get_mut(0)?["input_fee_ppk"] = json!(u64::MAX);
        Some(answer)
    }),
    ("thousands of keysets", |mut answer| {
        let list = answer.get_mut("keysets")?.as_array_mut()?;
        *list = vec![list[0].clone(); 5000];
        Some(answer)
    }),
    ("a quote for more", |mut answer| {
        answer.get("quote")?;
        answer["amount"] = json!(answer["amount"].as_u64()? * 2);
        Some(answer)
    }),
    ("a quote that leads elsewhere", |mut answer| {
        answer.get("quote")?;
        answer["quote"] = json!("../../admin?x=");
        Some(answer)
    }),
    ("states of nothing", |mut answer| {
        answer.get("states")?;
        answer["states"] = json!([]);
        Some(answer)
    }),
    ("no witnesses", |answer| witnesses(answer, |_, _| Value::Null)),
    ("another preimage", |answer| {
        witnesses(answer, |_, _| json!(json!({ "preimage": "00".repeat(32), "signatures": [] }).to_string()))
    }),
    ("witnesses that nobody can read", |answer| {
        witnesses(answer, |place, _| if place == 0 { json!(7) } else { json!("{") })
    }),
    ("everything is pending", |answer| states(answer, "PENDING")),
    ("nothing is spent", |answer| states(answer, "UNSPENT")),
    ("a flood", |_| Some(Value::Array(vec![json!("x".repeat(1000)); 3000]))),
    ("nothing", |_| Some(Value::Null)),
    ("an empty object", |_| Some(json!({}))),
];

fn refusal(status: u16, code: u32) -> IssuerReply {
    let body = json!({ "detail": "no\u{1b}[2J way", "code": code });
    IssuerReply { status, body: body.to_string().into_bytes() }
}

fn instead() -> Vec<IssuerReply> {
    let mut replies: Vec<IssuerReply> =
        [0, 10001, 11001, 11003, 11005, 12001, 12002, 20001, 20002, 20006].map(|code| refusal(400, code)).to_vec();
    let garbage = ["", "<html>", "null", "{\"signatures\":[{}]}"];
    replies.extend(
        [200, 404]
            .into_iter()
            .flat_map(|status| garbage.iter().map(move |body| IssuerReply { status, body: body.as_bytes().to_vec() })),
    );
    replies
}

struct World {
    mint: Arc<OurMint>,
    alice: Party,
    bob: Party,
}

async fn world() -> World {
    let clock = Clock::at(START);
    let mint = Arc::new(OurMint::open(clock.clone(), 100).await);
    let alice = Party::new(1, "EUR", mint.clone(), &clock).with(300).await;
    let bob = Party::new(2, "EUR", mint.clone(), &clock).with(0).await;
    World { mint, alice, bob }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    Deposit,
    Send,
    Accept,
    Pay,
    Receive,
    Reclaim,
    Transfer,
    Restore,
    Refresh,
    Learn,
}

const PREIMAGE: [u8; 32] = [5; 32];

const PLAYS: [Play; 10] = [
    Play::Deposit,
    Play::Send,
    Play::Accept,
    Play::Pay,
    Play::Receive,
    Play::Reclaim,
    Play::Transfer,
    Play::Restore,
    Play::Refresh,
    Play::Learn,
];

/// Plays a task against a liar, and afterwards asks an honest mint what was held all the time. How often it was answered, and lied to.
async fn play(play: Play, make: impl Fn(Arc<OurMint>) -> Liar, name: &str) -> (usize, usize) {
    let World { mint, mut alice, mut bob } = world().await;
    let task = match play {
        Play::Deposit => Task::Deposit { amount: alice.amount(100), method: "bolt11".to_owned() },
        Play::Send => Task::Send(alice.amount(33)),
        Play::Accept => Task::Accept(String::from_utf8(bob_sends(&mint).await).unwrap()),
        Play::Pay => Task::Pay { request: bob.request(33).await, salt: [7; 32] },
        Play::Receive => {
            let request = alice.request(33).await;
            let mut payer = Party::new(3, "EUR", mint.clone(), &mint.clock).with(100).await;
            let (_, paid) = pay(&mut payer, &request).await;
            Task::Receive { request, token: paid.handover }
        }
        Play::Reclaim => {
            let request = bob.request(33).await;
            Task::Reclaim(pay(&mut alice, &request).await.0)
        }
        Play::Transfer => {
            let quote =
                semper_payment::ecash::mint::MintQuoteRequest { amount: 50, unit: "eur".to_owned(), pubkey: None };
            let address = mint.mint.mint_quote("bolt11", quote).await.unwrap().request;
            Task::Transfer { amount: alice.amount(50), address }
        }
        Play::Restore => Task::Restore,
        Play::Refresh => {
            alice.done(Task::Send(alice.amount(20))).await;
            Task::Refresh
        }
        Play::Learn => taken_lock(&mut alice, &mut bob).await,
    };
    let before = alice.available() + alice.pending();
    let liar = Arc::new(make(mint.clone()));
    alice.issuer = liar.clone();
    let ended = alice.run(task).await;
    alice.issuer = mint.clone();
    let counts = (liar.answers.load(Ordering::SeqCst), liar.lied.load(Ordering::SeqCst));
    check(play, &mint, alice, before, &ended, name).await;
    counts
}

/// Asks for the preimage with which the payee has taken the money of a lock.
async fn taken_lock(alice: &mut Party, bob: &mut Party) -> Task {
    let (_, lock, token) = hash_locked(alice, bob, 33, PREIMAGE).await;
    bob.done(redeem(&lock, &token, Side::Payee, &PREIMAGE)).await;
    alice.done(Task::Refresh).await;
    learn(&lock, &token)
}

async fn bob_sends(mint: &Arc<OurMint>) -> Vec<u8> {
    let mut sender = Party::new(3, "EUR", mint.clone(), &mint.clock).with(100).await;
    sender.done(Task::Send(sender.amount(33))).await.handover
}

/// With an honest mint again: what the purse counts can be spent, and what the operation said of the money is true.
async fn check(
    play: Play,
    mint: &Arc<OurMint>,
    mut alice: Party,
    before: u64,
    ended: &Result<Outcome, Failure>,
    name: &str,
) {
    let what = format!("{play:?}, {name}: {ended:?}");
    alice.done(Task::Refresh).await;
    let held = alice.available();
    let pending = alice.pending();
    match (play, ended) {
        (Play::Deposit, Ok(_)) => assert_eq!(held, before + 100, "{what}"),
        (Play::Send | Play::Pay, Ok(outcome)) => {
            assert_eq!(held, before - 33 - outcome.fee.minor(), "{what}");
            assert!((33..=33 + outcome.fee.minor()).contains(&pending), "{pending} is on the way: {what}");
        }
        (Play::Accept | Play::Receive, Ok(outcome)) => assert_eq!(held, before + outcome.moved.minor(), "{what}"),
        (Play::Learn, Ok(outcome)) => assert_eq!((held, &outcome.handover[..]), (before, &PREIMAGE[..]), "{what}"),
        (Play::Transfer, Ok(outcome)) => assert_eq!(held, before - 50 - outcome.fee.minor(), "{what}"),
        (_, Err(failure)) if failure.money == Money::NotMoved => {
            assert_eq!(held + pending, before, "it says that nothing moved: {what}");
        }
        _ => assert!(held <= before + 100, "{what}"),
    }
    // Every coin that is counted is one: the mint takes all of them.
    if held > 10 {
        let mut other = Party::new(9, "EUR", mint.clone(), &mint.clock).with(0).await;
        let token = alice.done(Task::Send(alice.amount(held - 5))).await.handover;
        other.done(Task::Accept(String::from_utf8(token).unwrap())).await;
        assert_eq!(other.available(), held - 5, "{what}");
    }
}

// A lie that is told where nothing was asked tests nothing: each lie must have been told somewhere.
#[tokio::test(flavor = "multi_thread")]
async fn lies_are_not_believed() {
    for (name, lie) in LIES {
        let mut told = 0;
        for play_ in PLAYS {
            for at in 0..5 {
                let make = |honest| Liar { lie: Some(*lie), at, ..Liar::new(honest) };
                let (answers, lied) = play(play_, make, name).await;
                told += lied;
                if answers <= at {
                    break;
                }
            }
        }
        assert!(told > 0, "{name} was never told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_garbage_lose_nothing() {
    for instead in instead() {
        let name = format!("{} {}", instead.status, String::from_utf8_lossy(&instead.body));
        for play_ in PLAYS {
            for (at, does) in [(0, true), (1, false), (1, true)] {
                let make = |honest| Liar { instead: Some(instead.clone()), at, does, ..Liar::new(honest) };
                play(play_, make, &format!("{name} at {at}, {does}")).await;
            }
        }
    }
}

// A mint that never says anything useful again: the operation ends, and does not say that the money is where it was if that is not known.
#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_has_gone_mad_ends_every_operation() {
    for play_ in PLAYS {
        for (status, body) in [(200, "null"), (400, "{\"detail\":\"no\",\"code\":11001}"), (404, "")] {
            let instead = IssuerReply { status, body: body.as_bytes().to_vec() };
            for does in [false, true] {
                let make = |honest| Liar { instead: Some(instead.clone()), does, always: true, ..Liar::new(honest) };
                play(play_, make, &format!("mad: {status} {body} {does}")).await;
            }
        }
    }
}

// A preimage proves itself. Whatever else the mint says, the payer has it, or knows that the mint does not show it.
#[tokio::test(flavor = "multi_thread")]
async fn a_preimage_is_believed_for_its_hash_alone() {
    let lies: [(&str, Lie, Option<Fault>); 6] = [
        ("no witnesses", |answer| witnesses(answer, |_, _| Value::Null), Some(Fault::ThirdParty)),
        (
            "another preimage",
            |answer| witnesses(answer, |_, _| json!(json!({ "preimage": "00".repeat(32) }).to_string())),
            Some(Fault::ThirdParty),
        ),
        ("unreadable witnesses", |answer| witnesses(answer, |_, _| json!("{")), Some(Fault::ThirdParty)),
        (
            "nothing is spent, without witnesses",
            |answer| states(witnesses(answer, |_, _| Value::Null)?, "UNSPENT"),
            Some(Fault::PeerRefused),
        ),
        (
            "one witness is left",
            |answer| witnesses(answer, |place, true_one| if place == 1 { true_one.clone() } else { json!(7) }),
            None,
        ),
        ("everything is pending, with witnesses", |answer| states(answer, "PENDING"), None),
    ];
    for (name, lie, fault) in lies {
        let World { mint, mut alice, mut bob } = world().await;
        let task = taken_lock(&mut alice, &mut bob).await;
        let liar = Arc::new(Liar { lie: Some(lie), always: true, ..Liar::new(mint.clone()) });
        alice.issuer = liar.clone();
        let learnt = alice.run(task.clone()).await;
        assert!(liar.lied.load(Ordering::SeqCst) > 0, "{name} was never told");
        match (learnt, fault) {
            (Ok(outcome), None) => assert_eq!(outcome.handover, PREIMAGE, "{name}"),
            (Err(failure), Some(fault)) => {
                assert_eq!((failure.fault, failure.money), (fault, Money::NotMoved), "{name}: {failure}");
            }
            (learnt, _) => panic!("{name}: {learnt:?}"),
        }
        alice.issuer = mint;
        assert_eq!(alice.done(task).await.handover, PREIMAGE, "{name}");
    }
}

// A mint that shows other keys for a keyset that is in use could mark its coins.
#[tokio::test]
async fn changed_keys_are_reported() {
    let World { mint, mut alice, .. } = world().await;
    let lie: Lie = |mut answer| {
        let key = json!("02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5");
        answer.get_mut("keysets")?.get_mut(0)?.get_mut("keys")?["1"] = key;
        Some(answer)
    };
    alice.issuer = Arc::new(Liar { lie: Some(lie), always: true, ..Liar::new(mint.clone()) });
    let failure = alice.run(Task::Refresh).await.unwrap_err();
    assert!(failure.reason.contains("keys"), "{failure}");
    let mut fresh = Party::new(4, "EUR", alice.issuer.clone(), &mint.clock);
    assert!(fresh.run(Task::Refresh).await.is_err());
    assert!(mint.mint.keysets().active(Unit::Eur).is_some());
}

// What a mint says ends up on a screen.
#[tokio::test]
async fn control_characters_of_a_mint_are_not_passed_on() {
    let World { mint, mut alice, .. } = world().await;
    alice.issuer = Arc::new(Liar { instead: Some(refusal(400, 0)), ..Liar::new(mint) });
    let failure = alice.run(Task::Refresh).await.unwrap_err();
    assert!(failure.reason.contains("way") && !failure.reason.contains('\u{1b}'), "{failure}");
}
