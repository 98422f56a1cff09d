//! Mandates from outside. What could go wrong: a node grants or revokes one, or gets more signed than one allows; a process that is killed forgets a use;
//! a revocation is lost because the keys were locked.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use semper_commerce::mandate::{Mandate, Matter, Scope};
use semper_core::amount::Amount;
use semper_core::cbor::Encode as _;
use semper_core::cose::Statement as _;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId, StatementId};
use semper_core::party::{KeySet, Suite};
use semper_core::time::{Seconds, Time};
use semper_support::approval::{Answer, Exhibit, SignRequest};
use semper_transfer::payment::means::System;
use semper_transfer::payment::statement::{PaymentOrder, PaymentRequest, order_hash};
use semper_vault::client::{NodeSide, Revoked, UserSide};
use semper_vault::decisions::What;
use semper_vault::log::LogEntry;
use semper_vault::rules::{MandateUse, UserAnswer};
use semper_vault::serve::Settings;
use semper_vault::wire::Code;

use crate::process::Process;
use crate::world::{PASSPHRASE, World};

/// Questions by their numbers on the wire.
const MANDATES: u8 = 40;
const PROPOSE: u8 = 41;
const REVOKE: u8 = 42;
const MANDATE: u8 = 43;

/// Payments to anybody for a day, up to 1 euro each.
fn payments(total: &str) -> Mandate {
    let now = semper_vault::now();
    let scope = Scope::of(Matter::Payment, Amount::parse("1.00 EUR").ok());
    let until = now.after(Seconds(86_400));
    Mandate { scope, total: Amount::parse(total).ok(), uses: None, from: now, until, issued: now }
}

/// A payment of one euro; every number is another one.
fn payment(keys: &KeySet, number: u64) -> SignRequest {
    let (system, issuer) = (System::parse("account").unwrap(), "https://bank.example".to_owned());
    let (deal, amount) = (DealId::from_array(u128::from(number).to_be_bytes()), Amount::parse("1.00 EUR").unwrap());
    let asked = PaymentRequest {
        deal,
        amount,
        purpose: format!("payment {number}"),
        system: system.clone(),
        issuer: issuer.clone(),
        details: Vec::new(),
        expires: Time::from_unix(1_900_000_000),
    };
    let payee = KeySetId::from_digest(Digest::from_array([1; 32]));
    let asked = asked.draft(Suite::Ed25519, payee).assemble(vec![vec![0; 64]]).unwrap();
    let salt = [1; 32];
    let (order, instruction) = (order_hash(asked.id(), &salt), Digest::from_array([2; 32]));
    let order = PaymentOrder { order, amount, system, issuer, instruction, time: Time::from_unix(1) };
    let exhibit = Exhibit::Payment { request: asked.bytes().to_vec(), salt };
    SignRequest { deal, draft: order.draft(keys.suite(), keys.id()), exhibit }
}

fn grant(user: &UserSide, mandate: &Mandate) -> StatementId {
    let id = user.propose(mandate).unwrap();
    let waiting = user.waiting().unwrap();
    let asked = waiting.iter().find(|asked| asked.draft.id() == id).unwrap();
    user.answer(id, UserAnswer::Approve { seen: asked.text_hash() }).unwrap();
    id
}

fn history(user: &UserSide) -> Vec<LogEntry> {
    let mut history = Vec::new();
    while let Some(page) = Some(user.history(history.len() as u64, 64).unwrap()).filter(|page| !page.is_empty()) {
        history.extend(page);
    }
    history
}

fn uses(history: &[LogEntry]) -> Vec<MandateUse> {
    let uses = history.iter().filter(|entry| entry.decision.event.what == What::ByMandate);
    uses.map(|entry| entry.decision.facts.iter().find_map(MandateUse::read).unwrap()).collect()
}

// What is asked again within the second in which it was declined is another statement: else the answer of before would be its answer, for ever.
#[test]
fn a_mandate_that_was_declined_can_be_asked_for_again_at_once() {
    let world = World::open();
    let user = world.user();
    let mut declined = Vec::new();
    for _ in 0..3 {
        let id = user.propose(&payments("2.00 EUR")).unwrap();
        assert!(!declined.contains(&id), "the same statement again");
        user.answer(id, UserAnswer::Decline).unwrap();
        declined.push(id);
    }
    let granted = grant(&user, &payments("2.00 EUR"));
    assert_eq!(user.mandates().unwrap().iter().map(|mandate| mandate.id).collect::<Vec<_>>(), [granted]);
    for id in declined {
        assert!(user.mandate(id).is_err(), "granted although it was declined");
    }
}

#[test]
fn a_node_grants_and_revokes_nothing() {
    let world = World::open();
    let mandate = payments("2.00 EUR");
    let id = grant(&world.user(), &mandate);
    for (code, body) in [(MANDATES, Vec::new()), (PROPOSE, mandate.to_bytes())] {
        assert_eq!(world.raw("node").ask(code, &body).unwrap().0, 1, "{code}");
        assert_eq!(world.raw("user").ask(code, &body).unwrap().0, 1, "{code} without the token");
    }
    for code in [REVOKE, MANDATE] {
        assert_eq!(world.raw("node").ask(code, id.as_bytes()).unwrap().0, 1, "{code}");
        assert_eq!(world.raw("user").ask(code, id.as_bytes()).unwrap().0, 1, "{code} without the token");
    }
    // The question about one is not among those that the node hears of, and not one that it takes back.
    let waits = world.user().propose(&payments("3.00 EUR")).unwrap();
    let node = world.node();
    assert!(node.pending().unwrap().is_empty());
    assert!(node.withdraw(waits).is_err());
    assert_eq!(world.user().waiting().unwrap().len(), 1);
    // Nor does it use one that its user has not approved, or more than that: each payment once, however often it asks.
    for number in [1, 2, 1, 2, 1] {
        assert!(matches!(node.request(payment(world.key_set(), number)).unwrap(), Answer::Signed(_)));
    }
    for number in 3..9 {
        assert_eq!(node.request(payment(world.key_set(), number)).unwrap(), Answer::Waiting);
    }
    assert_eq!(uses(&history(&world.user())).len(), 2);
    world.user().revoke(id).unwrap();
    assert_eq!(world.user().mandates().unwrap()[0].standing(), "revoked");
}

#[test]
fn a_mandate_is_revoked_while_the_keys_are_locked() {
    let mut world = World::open();
    let (first, second) = (grant(&world.user(), &payments("9.00 EUR")), grant(&world.user(), &payments("8.00 EUR")));
    assert!(matches!(world.node().request(payment(world.key_set(), 1)).unwrap(), Answer::Signed(_)));
    world.user().lock().unwrap();
    let unknown = StatementId::from_digest(Digest::from_array([9; 32]));
    for id in [first, unknown, first] {
        assert_eq!(world.user().revoke(id).unwrap(), Revoked::WhenUnlocked);
    }
    // The machine is switched off before the passphrase is given again.
    world.restart();
    assert_eq!(world.user().revoke(second).unwrap(), Revoked::WhenUnlocked);
    world.user().unlock(PASSPHRASE, None).unwrap();
    assert_eq!(world.node().request(payment(world.key_set(), 2)).unwrap(), Answer::Waiting);
    assert!(world.user().mandates().unwrap().iter().all(|granted| granted.standing() == "revoked"));
    assert_eq!(world.user().revoke(unknown).unwrap_err().code(), Some(Code::NoMandate));
    // It is done once: what is granted after that stands.
    grant(&world.user(), &payments("7.00 EUR"));
    world.restart();
    world.user().unlock(PASSPHRASE, None).unwrap();
    assert!(matches!(world.node().request(payment(world.key_set(), 3)).unwrap(), Answer::Signed(_)));
}

// Granting needs the passphrase after a long silence, revoking does not.
#[test]
fn a_mandate_is_revoked_after_a_long_silence() {
    let world = World::locked(Settings { idle: Duration::from_millis(800), ..Settings::default() });
    let user = world.user();
    user.unlock(PASSPHRASE, None).unwrap();
    let id = grant(&user, &payments("9.00 EUR"));
    std::thread::sleep(Duration::from_millis(900));
    assert!(matches!(world.node().request(payment(world.key_set(), 1)).unwrap(), Answer::Signed(_)));
    let more = user.propose(&payments("8.00 EUR")).unwrap();
    let seen = user.waiting().unwrap()[0].text_hash();
    assert_eq!(user.answer(more, UserAnswer::Approve { seen }).unwrap_err().code(), Some(Code::Idle));
    assert_eq!(user.revoke(id).unwrap(), Revoked::InTheLog);
    assert_eq!(world.node().request(payment(world.key_set(), 2)).unwrap(), Answer::Waiting);
}

const ROUNDS: u64 = 10;
const EACH: u64 = 12;
const TOTAL: u64 = 60;

/// Asks for payments, two at a time, and is killed in the middle.
fn pay_and_die(dir: &Path, keys: &KeySet, round: u64, signed: &Mutex<Vec<u64>>) {
    let process = Process::start(dir);
    let before = signed.lock().unwrap().len();
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                let Ok(node) = NodeSide::connect(dir) else { return };
                for number in (0..EACH).filter(|number| number % 2 == half).map(|number| round * EACH + number) {
                    match node.request(payment(keys, number)) {
                        Ok(Answer::Signed(_)) => signed.lock().unwrap().push(number),
                        Ok(_) => {}
                        Err(_) => return,
                    }
                }
            });
        }
        let until = Instant::now() + Duration::from_secs(5);
        let done = || (signed.lock().unwrap().len() - before) as u64;
        while done() < round % EACH && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(50));
        }
        std::thread::sleep(Duration::from_micros(round * 197 % 1300));
        drop(process);
    });
}

// A use that was signed and not counted would be spent again; one that was counted and not signed would be lost, and is not: the same question gets it.
#[test]
fn sum_and_signatures_agree_whenever_it_is_killed() {
    let world = World::new();
    let (dir, keys) = (world.path(), world.key_set());
    let id = {
        let _process = Process::start(dir);
        grant(&UserSide::connect(dir).unwrap(), &payments(&format!("{TOTAL}.00 EUR")))
    };
    let signed: Mutex<Vec<u64>> = Mutex::default();
    let mut in_the_middle = 0;
    for round in 0..ROUNDS {
        let before = signed.lock().unwrap().len();
        pay_and_die(dir, keys, round, &signed);
        let done = (signed.lock().unwrap().len() - before) as u64;
        in_the_middle += usize::from((1..EACH).contains(&done));
        let _again = Process::start(dir);
        let user = UserSide::connect(dir).unwrap();
        let used = uses(&history(&user));
        assert!(used.iter().enumerate().all(|(place, used)| used.number == place as u64 + 1), "round {round}");
        assert!(used.len() as u64 <= TOTAL && used.iter().all(|used| used.mandate == id));
        for number in signed.lock().unwrap().iter() {
            let id = payment(keys, *number).id();
            assert_eq!(used.iter().filter(|used| used.signed == id).count(), 1, "round {round}, payment {number}");
        }
    }
    assert!(in_the_middle >= 3, "it was hardly ever killed in the middle of its uses: {in_the_middle}");
    // What is left is just what was not signed.
    let _process = Process::start(dir);
    let node = NodeSide::connect(dir).unwrap();
    let answers: Vec<_> = (0..ROUNDS * EACH).map(|number| node.request(payment(keys, number)).unwrap()).collect();
    let paid = answers.iter().filter(|answer| matches!(answer, Answer::Signed(_))).count() as u64;
    let used = uses(&history(&UserSide::connect(dir).unwrap()));
    assert_eq!((paid, used.len() as u64), (TOTAL, TOTAL));
    assert_eq!(used.last().unwrap().left(), Amount::parse("0.00 EUR").ok());
}
