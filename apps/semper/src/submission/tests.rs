//! What could go wrong: a proof of submission shows what was never handed in, or to somebody else, or to an agent that the recipient never named.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

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

use super::*;
use crate::node::FRAME_ARBITER;

const URL: &str = "http://127.0.0.1:9/mail/bob";
const WHEN: u64 = 1_795_246_200;

/// A message to Bob, whose mail a relay takes in.
struct Scene {
    bob: SecretKeys,
    relay: SecretKeys,
    card: ContactCard,
    submission: Submission,
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
            sealing_key: SealingKey { suite: KemSuite::XWing, public_key: public_key.clone() },
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
        let submission = Submission { card: signed(&bob, &card).bytes().to_vec(), inbox: 0, opening };
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
    fn with_card(&self, change: impl FnOnce(&mut ContactCard)) -> Submission {
        let mut card = self.card.clone();
        change(&mut card);
        Submission { card: signed(&self.bob, &card).bytes().to_vec(), ..self.submission.clone() }
    }
}

fn read(submission: &Submission, receipts: &[Vec<u8>]) -> Result<Submitted, String> {
    SubmissionReader.read(&submission.to_bytes(), receipts)
}

/// It holds nothing, or shows no receipt.
#[track_caller]
fn shows_nothing(submission: &Submission, receipts: &[Vec<u8>], what: &str) {
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
    let with = |change: &dyn Fn(&mut Submission)| {
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
