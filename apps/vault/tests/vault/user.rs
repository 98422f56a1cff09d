//! The user's side. What could go wrong: somebody else answers in the user's place, guesses the passphrase, or changes what was decided.

use std::time::{Duration, Instant};

use semper_core::hash::Digest;
use semper_crypto::Sealer;
use semper_support::approval::{Answer, ApprovalError};
use semper_support::crypto::{CryptoError, Open as _, Seal as _};
use semper_vault::client::{CallError, NodeSide};
use semper_vault::decisions::What;
use semper_vault::rules::UserAnswer;
use semper_vault::serve::Settings;
use semper_vault::wire::{Code, Condition};

use crate::world::{PASSPHRASE, World, letter};

#[track_caller]
fn assert_code<T: std::fmt::Debug>(answered: Result<T, CallError>, code: Code) {
    assert_eq!(answered.unwrap_err().code(), Some(code));
}

#[test]
fn a_locked_vault_does_nothing() {
    let world = World::locked(Settings::default());
    let user = world.user();
    assert_eq!(user.state().unwrap().condition, Condition::Locked);
    assert_code(NodeSide::connect(world.path()), Code::Locked);
    assert_code(user.waiting(), Code::Locked);
    assert_code(user.history(0, 1), Code::Locked);
    user.unlock(PASSPHRASE, None).unwrap();
    let (node, asked) = (world.node(), letter(world.key_set(), 1));
    let sealed = Sealer.seal(node.suite(), node.public_key(), b"context", b"for us").unwrap();
    assert_eq!(node.open(b"context", &sealed).unwrap().as_slice(), b"for us");
    assert_eq!(node.open(b"another", &sealed).unwrap_err(), CryptoError::CannotOpen);
    assert_eq!(node.request(asked.clone()).unwrap(), Answer::Waiting);
    user.lock().unwrap();
    // A message that cannot be opened now is no message that cannot be opened: its sender is to try again.
    assert_eq!(node.open(b"context", &sealed).unwrap_err(), CryptoError::Unavailable);
    assert!(matches!(node.request(asked.clone()), Err(ApprovalError::Unavailable(_))));
    assert_code(user.answer(asked.id(), UserAnswer::Decline), Code::Locked);
    user.unlock(PASSPHRASE, None).unwrap();
    assert_eq!(user.waiting().unwrap().len(), 1, "the question still waits");
}

#[test]
fn a_wrong_passphrase_opens_nothing_and_costs_time() {
    let world = World::locked(Settings::default());
    let user = world.user();
    for _ in 0..4 {
        assert_code(user.unlock(b"wrong horse", None), Code::WrongPassphrase);
    }
    // From now on each one has to wait, the right one too.
    assert_code(user.unlock(PASSPHRASE, None), Code::TooOften);
    assert_code(world.user().unlock(PASSPHRASE, None), Code::TooOften);
    assert_eq!(user.state().unwrap().condition, Condition::Locked);
    let begun = Instant::now();
    while user.unlock(PASSPHRASE, None).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the right one is never taken");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(user.state().unwrap().condition, Condition::Open);
}

// Somebody sits down before a machine that its user has left.
#[test]
fn after_a_long_silence_an_answer_needs_the_passphrase() {
    let idle = Duration::from_millis(1500);
    let world = World::locked(Settings { idle, ..Settings::default() });
    let (user, rules) = (world.user(), "[[allow]]\nwhat = \"acknowledgement\"");
    user.unlock(PASSPHRASE, Some(rules)).unwrap();
    let (first, second) = (letter(world.key_set(), 1), letter(world.key_set(), 2));
    let node = world.node();
    for request in [&first, &second] {
        assert_eq!(node.request(request.clone()).unwrap(), Answer::Waiting);
    }
    let approve = |request: &semper_support::approval::SignRequest| {
        let waiting = user.waiting().unwrap();
        let approval = waiting.iter().find(|approval| approval.draft == request.draft).unwrap();
        user.answer(request.id(), UserAnswer::Approve { seen: approval.text_hash() })
    };
    approve(&first).unwrap();
    std::thread::sleep(idle + Duration::from_millis(100));
    assert_eq!(user.state().unwrap().condition, Condition::Idle);
    assert_code(approve(&second), Code::Idle);
    assert_code(user.answer(second.id(), UserAnswer::Decline), Code::Idle);
    assert_code(user.unlock(b"wrong horse", None), Code::WrongPassphrase);
    assert_code(approve(&second), Code::Idle);
    // What was approved stands, and the vault goes on with what needs no answer.
    assert!(matches!(node.request(first).unwrap(), Answer::Signed(_)));
    user.unlock(PASSPHRASE, None).unwrap();
    approve(&second).unwrap();
    let history = user.history(0, 100).unwrap();
    assert_eq!(history[0].decision.event.text, rules, "the rules that the vault was opened with stand in its log");
}

#[test]
fn what_is_signed_is_what_was_seen() {
    let world = World::open();
    let asked = letter(world.key_set(), 1);
    world.node().request(asked.clone()).unwrap();
    let other = UserAnswer::Approve { seen: Digest::from_array([1; 32]) };
    assert_code(world.user().answer(asked.id(), other), Code::NotSeen);
    assert_code(world.user().answer(letter(world.key_set(), 2).id(), other), Code::NotWaiting);
    assert_eq!(world.node().request(asked.clone()).unwrap(), Answer::Waiting);
    let seen = world.user().waiting().unwrap()[0].text_hash();
    world.user().answer(asked.id(), UserAnswer::Approve { seen }).unwrap();
    let history = world.user().history(0, 100).unwrap();
    let whats: Vec<What> = history.iter().map(|entry| entry.decision.event.what).collect();
    assert_eq!(whats, [What::Unlocked, What::Asked, What::Approved]);
    assert!(history[1].decision.question.as_ref().unwrap().text.contains("This is letter 1."), "what was shown");
    assert_eq!(history[2].decision.event.seen, Some(seen), "what was answered");
}

// A node that waits for the answer hears of it at once, not when it looks again.
#[test]
fn the_node_hears_of_an_answer() {
    let world = World::open();
    let asked = letter(world.key_set(), 1);
    world.node().request(asked.clone()).unwrap();
    assert_eq!(world.node().news(1, 0).unwrap(), 0, "there is no news yet");
    std::thread::scope(|scope| {
        let heard = scope.spawn(|| world.node().news(0, 20).unwrap());
        world.user().answer(asked.id(), UserAnswer::Decline).unwrap();
        assert_eq!(heard.join().unwrap(), 1);
    });
}

// A window that is open must show at once what waits, and that the keys were locked.
#[test]
fn the_user_hears_of_what_changes() {
    let world = World::open();
    let (user, node) = (world.user(), world.node());
    let mut known = user.watch(0, 0).unwrap();
    assert_eq!(user.watch(known, 0).unwrap(), known, "nothing has changed");
    let asked = letter(world.key_set(), 1);
    let mut told = |what: &dyn Fn()| {
        let now = std::thread::scope(|scope| {
            let heard = scope.spawn(|| world.user().watch(known, 20).unwrap());
            what();
            heard.join().unwrap()
        });
        assert!(now > known);
        known = now;
    };
    told(&|| drop(node.request(asked.clone()).unwrap()));
    told(&|| user.answer(asked.id(), UserAnswer::Decline).unwrap());
    told(&|| drop(node.request(letter(world.key_set(), 2)).unwrap()));
    told(&|| node.withdraw(letter(world.key_set(), 2).id()).unwrap());
    told(&|| user.lock().unwrap());
    told(&|| user.unlock(PASSPHRASE, None).unwrap());
}

#[test]
fn a_log_that_was_changed_keeps_the_vault_closed() {
    let mut world = World::open();
    world.node().request(letter(world.key_set(), 1)).unwrap();
    let mut log = std::fs::read(world.log()).unwrap();
    let last = log.len() - 40;
    log[last] ^= 1;
    std::fs::write(world.log(), log).unwrap();
    world.restart();
    let refused = world.user().unlock(PASSPHRASE, None).unwrap_err();
    assert!(refused.to_string().contains("was changed or damaged"), "{refused}");
    assert_eq!(world.user().state().unwrap().condition, Condition::Locked);
}

// Two vaults over one log would each write what the other does not know.
#[test]
fn a_directory_has_one_vault() {
    let world = World::open();
    let second = semper_vault::process::bind(world.path(), Settings::default());
    assert!(matches!(second, Err(semper_vault::serve::ServeError::InUse(_))));
}
