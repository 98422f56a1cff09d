//! A node that somebody else has taken over. What could go wrong: it gets a signature that the user was not asked for, answers its own questions,
//! reads a key, or keeps the user from the vault.

use std::time::{Duration, Instant};

use semper_core::cbor::record;
use semper_core::contract::{Final, Promise};
use semper_core::cose::Statement as _;
use semper_core::cose::{Draft, Kind};
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId, KeySetId, Slot, StatementId};
use semper_core::party::Role;
use semper_exchange::arbiter::request::Abort;
use semper_support::approval::{Answer, ApprovalError, Exhibit, SignRequest};
use semper_support::crypto::{CryptoError, Signer as _};
use semper_vault::client::NodeSide;
use semper_vault::decisions::What;
use semper_vault::rules::UserAnswer;

use crate::world::{World, letter};

/// Questions by their numbers on the wire.
const HELLO: u8 = 1;
const LENT: u8 = 7;
const USER: u8 = 16;
const ANSWER: u8 = 20;
const STATE: u8 = 22;

fn everything(world: &World) -> Vec<(Draft, Exhibit)> {
    let (suite, signer) = (world.key_set().suite(), world.key_set().id());
    let bytes = || b"anything".to_vec();
    let exhibits = [
        Exhibit::Consequence,
        Exhibit::Statement,
        Exhibit::Contract { core: bytes(), document: bytes(), template: bytes() },
        Exhibit::Sale { core: bytes(), document: bytes(), template: bytes(), order: bytes() },
        Exhibit::Container { container: bytes() },
        Exhibit::Payment { request: bytes(), salt: [1; 32] },
        Exhibit::Credential { bundle: bytes() },
    ];
    let cid = Cid::from_digest(Digest::from_array([1; 32]));
    let promise = StatementId::from_digest(Digest::from_array([2; 32]));
    // Some that are what they should be, but follow from nothing.
    let sound = [
        Promise { cid, role: Role::ORIGINATOR, answers: None }.draft(suite, signer),
        Final { cid, slot: Slot::default(), role: Role::ORIGINATOR, promises: [promise; 2] }.draft(suite, signer),
        Abort { cid, slot: Slot::default(), promise }.draft(suite, signer),
    ];
    let unsound = Kind::ALL.iter().map(|kind| Draft { kind: *kind, suite, signer, payload: b"anything".to_vec() });
    let drafts = sound.into_iter().chain(unsound);
    drafts.flat_map(|draft| exhibits.clone().map(|exhibit| (draft.clone(), exhibit))).collect()
}

#[test]
fn it_gets_nothing_signed_that_the_user_did_not_see() {
    let world = World::open();
    let node = world.node();
    let mut tried = 0;
    for (draft, exhibit) in everything(&world) {
        let what = format!("{} with {exhibit:?}", draft.kind);
        let request = SignRequest { deal: DealId::from_array([1; 16]), draft, exhibit };
        assert!(!matches!(node.request(request), Ok(Answer::Signed(_))), "{what} was signed");
        tried += 1;
    }
    assert!(tried > 200);
    // What it could ask for properly is asked of the user, with the words that will be signed, and with no others.
    let asked = letter(world.key_set(), 1);
    let mut other = letter(world.key_set(), 2);
    other.exhibit = asked.exhibit.clone();
    assert!(matches!(node.request(other), Err(ApprovalError::Mismatch(_))));
    assert_eq!(node.request(asked.clone()).unwrap(), Answer::Waiting);
    let waiting = world.user().waiting().unwrap();
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].text.contains("This is letter 1."), "{}", waiting[0].text);
    let signed = world.user().history(0, 1000).unwrap();
    assert!(
        signed.iter().all(|entry| matches!(entry.decision.event.what, What::Unlocked | What::Asked)),
        "{signed:#?}"
    );
}

#[test]
fn it_does_not_answer_its_own_questions() {
    let world = World::open();
    let asked = letter(world.key_set(), 1);
    assert_eq!(world.node().request(asked.clone()).unwrap(), Answer::Waiting);
    let seen = world.user().waiting().unwrap()[0].text_hash();
    let answer = record().put_item(0, &asked.id()).put_item(1, &seen).build().encode();
    // Through its own socket: nothing of the user's is asked there.
    let mut raw = world.raw("node");
    for code in USER..=u8::MAX {
        assert_eq!(raw.ask(code, &answer).unwrap().0, 1, "{code}");
    }
    // Through the user's: not without the token, which the file system keeps from it (see `confine`).
    for (first, body) in [(ANSWER, answer.as_slice()), (USER, b""), (USER, &[0; 32]), (USER, &[7; 33]), (STATE, b"")] {
        let mut raw = world.raw("user");
        assert_eq!(raw.ask(first, body).unwrap().0, 1, "{first}");
        assert!(raw.has_ended(), "{first}: a second try on one connection");
    }
    assert_eq!(world.node().request(asked.clone()).unwrap(), Answer::Waiting);
    // The twin: with the token it is answered.
    let token = std::fs::read(world.path().join("user/token")).unwrap();
    let mut raw = world.raw("user");
    assert_eq!(raw.ask(USER, &token).unwrap(), (0, Vec::new()));
    assert_eq!(raw.ask(ANSWER, &answer).unwrap(), (0, Vec::new()));
    assert!(matches!(world.node().request(asked).unwrap(), Answer::Signed(_)));
}

#[test]
fn it_gets_the_same_answer_for_ever() {
    let mut world = World::open();
    let (yes, no) = (letter(world.key_set(), 1), letter(world.key_set(), 2));
    for request in [&yes, &no] {
        assert_eq!(world.node().request(request.clone()).unwrap(), Answer::Waiting);
    }
    for approval in world.user().waiting().unwrap() {
        let approve = approval.draft == yes.draft;
        let answer = if approve { UserAnswer::Approve { seen: approval.text_hash() } } else { UserAnswer::Decline };
        world.user().answer(approval.draft.id(), answer).unwrap();
    }
    let Answer::Signed(first) = world.node().request(yes.clone()).unwrap() else { panic!("not signed") };
    for round in 0..3 {
        let node = world.node();
        // It asks again, takes back, asks for another deal.
        for request in [&yes, &no] {
            node.withdraw(request.id()).unwrap();
        }
        let elsewhere = SignRequest { deal: DealId::from_array([9; 16]), ..no.clone() };
        assert_eq!(node.request(elsewhere).unwrap(), Answer::Declined, "{round}");
        let Answer::Signed(again) = node.request(yes.clone()).unwrap() else { panic!("not signed any more") };
        assert_eq!(again.bytes(), first.bytes(), "{round}: signed a second time");
        assert!(world.user().waiting().unwrap().is_empty());
        world.restart();
        world.user().unlock(crate::world::PASSPHRASE, None).unwrap();
    }
}

#[test]
fn it_reads_no_key() {
    let world = World::open();
    let secrets = [world.secrets.signer.export(), world.secrets.inbox.export(), world.secrets.transport.export()];
    // The seeds stand at the end, each 32 bytes long.
    let pieces: Vec<&[u8]> = secrets.iter().map(|export| &export[export.len() - 32..]).collect();
    let told = |answer: &[u8]| pieces.iter().any(|piece| answer.windows(piece.len()).any(|window| window == *piece));
    assert!(told(&secrets[0]), "the search would find nothing");
    for side in ["node", "user"] {
        for code in 0..=u8::MAX {
            for body in [b"".as_slice(), &[0; 32], &[0xa0], &[0; 9]] {
                // A question for news waits as long as it is told.
                let (_, answer) = world.raw(side).ask(code, body).unwrap();
                assert!(!told(&answer), "{side} {code}");
            }
        }
    }
    // What it is lent is what it is meant to have, and no key of the party.
    let (_, lent) = world.raw("node").ask(LENT, b"").unwrap();
    assert_eq!(lent, [world.secrets.replies.as_slice(), world.secrets.seed.as_slice()].concat());
}

// The keys of the inbox would otherwise sign a contact card, or a contract in the name of the inbox.
#[test]
fn the_keys_of_the_inbox_sign_receipts_only() {
    let world = World::open();
    let node = world.node();
    let keys = semper_support::crypto::Signer::key_set(&node).clone();
    assert_eq!(&keys, world.secrets.transport.key_set());
    for kind in Kind::ALL {
        let draft = Draft { kind: *kind, suite: keys.suite(), signer: keys.id(), payload: b"anything".to_vec() };
        let signed = node.sign(draft);
        assert_eq!(signed.is_ok(), matches!(kind, Kind::Receipt | Kind::MailboxRequest), "{kind}");
    }
    let (suite, signer) = (keys.suite(), KeySetId::from_digest(Digest::from_array([1; 32])));
    let foreign = Draft { kind: Kind::Receipt, suite, signer, payload: Vec::new() };
    assert_eq!(node.sign(foreign).unwrap_err(), CryptoError::WrongSigner);
}

// Whatever it sends, the vault goes on, and its user gets through.
#[test]
fn what_is_no_question_does_no_harm() {
    let world = World::open();
    let frames: [&[u8]; 7] = [
        &[0, 0, 0, 0],                   // empty
        &[0xff, 0xff, 0xff, 0xff, 2],    // four gigabytes
        &[2, 0x80, 0, 0, 2],             // forty megabytes, of which nothing comes
        &[0, 0, 0, 9, 2, 1, 2],          // ends in the middle
        &[0, 0, 0],                      // ends in its length
        &[0, 0, 0, 4, 2, 0x9f, 0xff, 0], // no CBOR
        &[0, 0, 0, 6, 4, 0xff, 0xff, 0xff, 0xff, 1],
    ];
    let mut held = Vec::new();
    for _ in 0..40 {
        for frame in frames {
            let mut raw = world.raw("node");
            let _ = raw.write(frame);
            held.push(raw);
        }
    }
    // All the places of the node's socket are taken; the user's has its own.
    let begun = Instant::now();
    assert!(world.user().waiting().unwrap().is_empty());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(held);
    // A place is free again when the vault has seen that its caller is gone.
    let free = || world.raw("node").ask(HELLO, b"").is_ok_and(|(outcome, _)| outcome == 0);
    while !free() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody gets a place again");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut deep = vec![0x81; 100_000];
    deep.push(0);
    for body in [deep, vec![0; 3_000_000]] {
        let answered = crate::world::Raw::ask(&mut world.raw("node"), 2, &body);
        assert!(answered.is_ok_and(|(outcome, _)| outcome == 1));
    }
    assert_eq!(world.raw("node").ask(HELLO, b"").unwrap().0, 0);
}

// As many questions as it can think of: there is an end, and no question of before is lost.
#[test]
fn a_flood_of_questions_has_an_end() {
    let world = World::open();
    let node: NodeSide = world.node();
    let answers: Vec<_> = (0..300).map(|number| node.request(letter(world.key_set(), number))).collect();
    let waiting = answers.iter().filter(|answer| matches!(answer, Ok(Answer::Waiting))).count();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(ApprovalError::TooMany))).count();
    assert_eq!((waiting, refused), (256, 44));
    assert_eq!(world.user().waiting().unwrap().len(), 256);
}
