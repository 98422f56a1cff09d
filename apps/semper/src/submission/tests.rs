//! What could go wrong: a proof of submission shows what was never handed in, or to somebody else, or to an agent that the recipient never named.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use data_encoding::HEXLOWER;
use semper_channel::{ClientOptions, HttpPost, ReplySecret};
use semper_core::cbor::Encode as _;
use semper_core::domain;
use semper_core::ids::{DealId, Slot};
use semper_core::party::Suite;
use semper_core::time::Time;
use semper_crypto::{OpenKey, SecretKeys, SystemRandom};
use semper_support::channel::{Frame, Post as _};
use semper_support::crypto::{KemSuite, Open as _, Signer as _};
use semper_trust::card::SealingKey;
use serde_json::{Value, json};

use super::*;
use crate::node::FRAME_ARBITER;

const URL: &str = "http://127.0.0.1:9/mail/bob";
const WHEN: u64 = 1_795_246_200;

/// A message to Bob, whose mail a relay takes in.
struct Scene {
    bob: SecretKeys,
    relay: SecretKeys,
    card: ContactCard,
    submission: SubmissionProof,
    sealed: Vec<u8>,
}

fn keys(suite: Suite) -> SecretKeys {
    SecretKeys::generate(suite).unwrap()
}

fn signed<T: semper_core::cose::Statement>(keys: &SecretKeys, said: &T) -> Signed {
    keys.sign(said.draft(keys.key_set().suite(), keys.key_set().id())).unwrap()
}

fn frame(kind: &str, body: Vec<u8>) -> Frame {
    Frame { kind: kind.to_owned(), deal: DealId::from_array([7; 16]), slot: Slot::default(), seq: 1, body }
}

fn message() -> Vec<u8> {
    Message { step: 1, body: b"a promise".to_vec(), opening: None }.to_bytes()
}

impl Scene {
    fn new() -> Self {
        Self::of(frame(FRAME_DEAL, message()))
    }

    fn of(frame: Frame) -> Self {
        let (bob, relay, transport) = (keys(Suite::Hybrid), keys(Suite::Ed25519), keys(Suite::Ed25519));
        let opener = OpenKey::generate(KemSuite::XWing).unwrap();
        let public_key = opener.public_key().to_vec();
        let agent = Some(relay.key_set().clone());
        let card = ContactCard {
            name: "Bob".to_owned(),
            key_set: bob.key_set().clone(),
            sealing_key: SealingKey { suite: KemSuite::X25519, public_key: vec![5; 32] },
            inboxes: vec![InboxAddress { url: URL.to_owned(), suite: KemSuite::XWing, public_key, agent }],
            transport: transport.key_set().clone(),
            certificates: Vec::new(),
            services: Vec::new(),
            time: Time::from_unix(WHEN - 10),
            replaces: None,
        };
        let replies = ReplySecret::from_array([3; 32]);
        let (seal, verify, random) = (Arc::new(Sealer), Arc::new(Verifier), Arc::new(SystemRandom));
        let post = HttpPost::new(seal, verify, random, replies, &ClientOptions::default()).unwrap();
        let (sealed, opening) = post.seal_openly(&card.inboxes[0], &frame).unwrap();
        let submission = SubmissionProof { card: signed(&bob, &card).bytes().to_vec(), inbox: 0, opening };
        Self { bob, relay, card, submission, sealed }
    }

    fn receipt(&self) -> Receipt {
        let sealed = Digest::of(domain::SEALED, &self.sealed);
        Receipt { sealed, time: Time::from_unix(WHEN), inbox: URL.to_owned() }
    }

    fn good(&self) -> Vec<u8> {
        signed(&self.relay, &self.receipt()).bytes().to_vec()
    }

    /// The proof with another card, which Bob signs as well.
    fn with_card(&self, change: impl FnOnce(&mut ContactCard)) -> SubmissionProof {
        let mut card = self.card.clone();
        change(&mut card);
        SubmissionProof { card: signed(&self.bob, &card).bytes().to_vec(), ..self.submission.clone() }
    }
}

fn read(submission: &SubmissionProof, receipts: &[Vec<u8>]) -> Result<Submitted, String> {
    SubmissionReader.read(&submission.to_bytes(), receipts)
}

/// It holds nothing, or shows no receipt.
#[track_caller]
fn shows_nothing(submission: &SubmissionProof, receipts: &[Vec<u8>], what: &str) {
    let read = read(submission, receipts);
    assert!(!matches!(read, Ok(Submitted { handed: Some(_), .. })), "{what}: {read:?}");
}

#[test]
fn a_stranger_sees_what_was_handed_in_for_whom_and_when() {
    let scene = Scene::new();
    let found = read(&scene.submission, &[scene.good()]).unwrap();
    assert_eq!((found.recipient, found.deal), (scene.bob.key_set().id(), DealId::from_array([7; 16])));
    assert_eq!(found.message, b"a promise");
    let handed = found.handed.unwrap();
    assert_eq!((handed.agent, handed.time), (scene.relay.key_set().id(), Time::from_unix(WHEN)));
    assert_eq!(handed.suites, [Suite::Ed25519, Suite::Hybrid]);
    // Without a receipt it says what would be proven, and that nothing is.
    assert_eq!(read(&scene.submission, &[]).unwrap().handed, None);
}

// Of many receipts the oldest that counts is taken, whatever is put beside it.
#[test]
fn foreign_receipts_change_nothing() {
    let scene = Scene::new();
    let (later, earlier) = [Time::from_unix(WHEN + 5), Time::from_unix(WHEN - 5)].into();
    let by = |keys: &SecretKeys, time| signed(keys, &Receipt { time, ..scene.receipt() }).bytes().to_vec();
    let foreign = [by(&scene.relay, later), by(&scene.bob, earlier), b"junk".to_vec(), scene.good()];
    assert_eq!(read(&scene.submission, &foreign), read(&scene.submission, &[scene.good()]));
}

#[test]
fn a_receipt_counts_only_for_these_bytes_at_this_inbox_by_this_agent() {
    let scene = Scene::new();
    let another = Scene::new();
    let (stranger, receipt) = (keys(Suite::Ed25519), scene.receipt());
    let says = |keys: &SecretKeys, receipt: &Receipt| vec![signed(keys, receipt).bytes().to_vec()];
    shows_nothing(&scene.submission, &[another.good()], "another message's receipt");
    shows_nothing(&scene.submission, &says(&stranger, &receipt), "a receipt by somebody else");
    shows_nothing(&scene.submission, &says(&scene.bob, &receipt), "a receipt by Bob's other key");
    let elsewhere = Receipt { inbox: "http://127.0.0.1:9/mail/carol".to_owned(), ..receipt.clone() };
    shows_nothing(&scene.submission, &says(&scene.relay, &elsewhere), "a receipt of another mailbox");
    let mut changed = scene.good();
    *changed.last_mut().unwrap() ^= 1;
    shows_nothing(&scene.submission, &[changed], "a changed receipt");
    // A card that names no agent, or another one: then the relay's receipt is a stranger's.
    let bare = scene.with_card(|card| card.inboxes[0].agent = None);
    shows_nothing(&bare, &[scene.good()], "a relay that the card does not name");
    let other = scene.with_card(|card| card.inboxes[0].agent = Some(stranger.key_set().clone()));
    shows_nothing(&other, &[scene.good()], "a card that names another agent");
}

#[test]
fn a_changed_proof_shows_nothing() {
    let (scene, another) = (Scene::new(), Scene::new());
    let receipts = [scene.good()];
    let with = |change: &dyn Fn(&mut SubmissionProof)| {
        let mut submission = scene.submission.clone();
        change(&mut submission);
        submission
    };
    shows_nothing(&with(&|s| s.card = another.submission.card.clone()), &receipts, "another recipient's card");
    shows_nothing(&with(&|s| s.card[100] ^= 1), &receipts, "a changed card");
    shows_nothing(&with(&|s| s.inbox = 1), &receipts, "an inbox that is not there");
    for place in 0..64 {
        shows_nothing(&with(&|s| s.opening.seed[place] ^= 0x10), &receipts, "another randomness");
    }
    shows_nothing(&with(&|s| s.opening.seed.truncate(63)), &receipts, "a short randomness");
    shows_nothing(&with(&|s| s.opening.nonce[0] ^= 1), &receipts, "another nonce");
    shows_nothing(
        &with(&|s| s.opening.letter.clone_from(&another.submission.opening.letter)),
        &receipts,
        "another message",
    );
    for place in 0..scene.submission.opening.letter.len() {
        shows_nothing(&with(&|s| s.opening.letter[place] ^= 1), &receipts, "another letter");
    }
    let key = scene.with_card(|card| card.inboxes[0].public_key.clone_from(&another.card.inboxes[0].public_key));
    shows_nothing(&key, &receipts, "another sealing key");
}

// What a relay takes unseen, no node of the recipient's would: it is no submission of anything.
#[test]
fn what_the_recipient_could_not_read_is_no_submission() {
    for frame in [frame(FRAME_ARBITER, message()), frame("post", message()), frame(FRAME_DEAL, b"a promise".to_vec())] {
        let scene = Scene::of(frame);
        assert!(read(&scene.submission, &[scene.good()]).is_err());
    }
    for junk in [Vec::new(), vec![0; 100]] {
        assert!(SubmissionReader.read(&junk, &[]).is_err());
    }
}

/// The vectors, from a scene whose keys nobody keeps.
fn vectors() -> Value {
    let (scene, another) = (Scene::new(), Scene::new());
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    let case = |meaning: &str, submission: &SubmissionProof, receipts: &[Vec<u8>]| {
        let receipts: Vec<_> = receipts.iter().map(|receipt| hex(receipt)).collect();
        json!({ "meaning": meaning, "hex": hex(&submission.to_bytes()), "receipts": receipts })
    };
    let found = read(&scene.submission, &[scene.good()]).unwrap();
    let mut good = case("a message to Bob, whose relay has it", &scene.submission, &[scene.good()]);
    good["recipient"] = found.recipient.to_string().into();
    good["agent"] = found.handed.as_ref().unwrap().agent.to_string().into();
    good["time"] = WHEN.into();
    good["deal"] = found.deal.to_string().into();
    good["message"] = hex(&found.message).into();
    good["envelope"] = hex(&scene.sealed).into();
    let (mut seed, mut letter) = (scene.submission.clone(), scene.submission.clone());
    seed.opening.seed[0] ^= 1;
    letter.opening.letter.clone_from(&another.submission.opening.letter);
    let of_another = SubmissionProof { card: another.submission.card.clone(), ..scene.submission.clone() };
    let bare = scene.with_card(|card| card.inboxes[0].agent = None);
    let no_inbox = SubmissionProof { inbox: 1, ..scene.submission.clone() };
    let refused = [
        case("another message's receipt", &scene.submission, &[another.good()]),
        case("another seed", &seed, &[scene.good()]),
        case("another letter", &letter, &[scene.good()]),
        case("another recipient's card", &of_another, &[scene.good()]),
        case("a card that names no agent", &bare, &[scene.good()]),
        case("an inbox that is not on the card", &no_inbox, &[scene.good()]),
    ];
    json!({ "about": "Proofs of submission: spec/submission.md. Bytes in hexadecimal.", "proofs": [good], "show_nothing": refused })
}

// A second implementation reads what this one has written, and refuses what it refuses.
#[test]
fn vectors_are_those_of_the_specification() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/submission.json");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(file, format!("{:#}\n", vectors())).unwrap();
    }
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let bytes = |value: &Value| HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
    let read = |case: &Value| {
        let receipts: Vec<_> = case["receipts"].as_array().unwrap().iter().map(bytes).collect();
        SubmissionReader.read(&bytes(&case["hex"]), &receipts)
    };
    for case in stored["proofs"].as_array().unwrap() {
        let found = read(case).unwrap();
        let handed = found.handed.unwrap();
        assert_eq!(found.recipient.to_string(), case["recipient"]);
        assert_eq!((handed.agent.to_string(), handed.time.unix()), (case["agent"].as_str().unwrap().to_owned(), WHEN));
        assert_eq!(
            (found.deal.to_string().as_str(), found.message),
            (case["deal"].as_str().unwrap(), bytes(&case["message"]))
        );
        let receipts: Vec<_> = case["receipts"].as_array().unwrap().iter().map(bytes).collect();
        let receipt = Receipt::from_bytes(Signed::from_bytes(&receipts[0]).unwrap().payload()).unwrap();
        assert_eq!(receipt.sealed, Digest::of(domain::SEALED, &bytes(&case["envelope"])));
    }
    let nothing = stored["show_nothing"].as_array().unwrap();
    assert_eq!(nothing.len(), 6);
    for case in nothing {
        assert!(!matches!(read(case), Ok(Submitted { handed: Some(_), .. })), "{}", case["meaning"]);
    }
}
