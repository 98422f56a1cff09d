//! What could go wrong: the screen says something else than the statement, or takes a stranger for somebody known.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use semper_commerce::contract_file::Draft as FileContract;
use semper_commerce::terms::Named;
use semper_core::container::Information;
use semper_core::contract::Promise;
use semper_core::cose::Statement as _;
use semper_core::ids::DealId;
use semper_core::party::{Role, Suite};
use semper_crypto::SecretKeys;
use semper_store::MemoryArchive;
use semper_support::approval::{Answer, KeyHolder as _};

use super::*;
use crate::rules::{Purpose, UserAnswer, Vault};

fn key(byte: u8) -> KeySetId {
    KeySetId::from_digest(Digest::from_array([byte; 32]))
}

/// Bob asks our user to sign a contract over a file; `nonce` makes it another one.
fn asked(me: KeySetId, bob: KeySetId, nonce: u8) -> (SignRequest, Agreement) {
    let named = |name: &str, key_set| Named { name: name.to_owned(), key_set };
    let file = Information::new("lease.pdf", "application/pdf", b"lease".to_vec()).unwrap();
    let draft = FileContract {
        signers: vec![named("Bob", bob), named("Alice", me)],
        arbiter: named("Carol", key(9)),
        log: key(9),
        rules: Digest::from_array([8; 32]),
        closes: Time::from_unix(2_000_000_000),
        files: vec![file],
        terms: String::new(),
        law: String::new(),
        locale: "en".to_owned(),
        nonce: [nonce; 32],
    };
    let agreement = draft.propose([nonce; 16]).unwrap().agreement;
    let promise = Promise { cid: agreement.core.cid(), role: Role::RESPONDER, answers: None };
    let draft = promise.draft(Suite::Ed25519, me);
    (SignRequest { deal: DealId::from_array([nonce; 16]), draft, exhibit: agreement.exhibit() }, agreement)
}

#[test]
fn a_sheet_says_what_its_contract_says() {
    let (request, agreement) = asked(key(1), key(2), 1);
    let sheet = Sheet::of(&request);
    let who = |part, name: &str, key_set| Who { part, key_set, name: Some(name.to_owned()), met: false };
    assert_eq!(sheet.who, [who(Part::Peer, "Bob", key(2)), who(Part::Arbiter, "Carol", key(9))]);
    assert_eq!((sheet.verb, sheet.what.as_str()), (Verb::Contract, "lease.pdf"));
    assert_eq!((sheet.gives, sheet.until), (None, Some(Time::from_unix(2_000_000_000))));
    assert_eq!(sheet.checked, Some(*agreement.core.cid().digest()), "both sides have these check words");
    let names: Vec<_> = sheet.pieces.iter().map(|piece| piece.name.as_str()).collect();
    assert_eq!(names, ["statement", "core", "document", "template"]);
    assert_eq!(sheet.pieces[0].bytes.as_deref(), Some(request.draft.payload.as_slice()));
    assert_eq!(Sheet::from_bytes(&sheet.to_bytes()).unwrap(), sheet);
    // The other side is asked about the same, and has the same words.
    let promise = Promise { cid: agreement.core.cid(), role: Role::ORIGINATOR, answers: None };
    let theirs = SignRequest { draft: promise.draft(Suite::Ed25519, key(2)), ..request };
    assert_eq!(Sheet::of(&theirs).checked, sheet.checked);
}

#[test]
fn what_is_not_readable_is_a_sheet_that_says_little() {
    let (mut request, _) = asked(key(1), key(2), 1);
    request.exhibit = Exhibit::Contract { core: vec![0], document: Vec::new(), template: Vec::new() };
    let sheet = Sheet::of(&request);
    assert_eq!((sheet.verb, sheet.who.len(), sheet.what.as_str()), (Verb::Contract, 0, ""));
    assert_eq!(sheet.checked, None, "nobody else sees the same");
}

#[test]
fn what_is_too_long_to_be_kept_is_named() {
    let (mut request, _) = asked(key(1), key(2), 1);
    request.exhibit = Exhibit::Container { container: vec![0; PIECES_MAX] };
    let kept: Vec<_> = Sheet::of(&request).pieces.iter().map(|piece| (piece.len, piece.bytes.is_some())).collect();
    assert_eq!(kept, [(request.draft.payload.len() as u64, true), (PIECES_MAX as u64, false)]);
}

#[tokio::test]
async fn a_stranger_is_one_until_something_with_them_was_approved() {
    let (keys, archive) = (SecretKeys::generate(Suite::Ed25519).unwrap(), Arc::new(MemoryArchive::new()));
    let vault = Vault::new(Box::new(keys), archive, Purpose::Party, None, Arc::from([]));
    let me = vault.key_set().id();
    let [first, second, third] = [(2, 1), (2, 2), (3, 3)].map(|(bob, nonce)| asked(me, key(bob), nonce).0);
    for request in [&first, &second] {
        assert_eq!(vault.request(request.clone()).await.unwrap(), Answer::Waiting);
    }
    let met = async || -> Vec<bool> {
        vault.waiting().await.unwrap().iter().map(|approval| approval.sheet.who[0].met).collect()
    };
    assert_eq!(met().await, [false, false]);
    let waiting = vault.waiting().await.unwrap();
    let seen = waiting.iter().find(|approval| approval.draft == first.draft).unwrap().text_hash();
    vault.answer(first.id(), UserAnswer::Approve { seen }).await.unwrap();
    assert_eq!(met().await, [true], "the question that waited before is no longer about a stranger");
    vault.answer(second.id(), UserAnswer::Decline).await.unwrap();
    vault.request(third).await.unwrap();
    assert_eq!(met().await, [false], "another key is another stranger, whatever it is called");
}
