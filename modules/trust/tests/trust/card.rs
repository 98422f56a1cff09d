//! Contact cards.

use proptest::prelude::*;
use semper_core::cose::{Kind, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{KeySetId, StatementId};
use semper_core::signature::SignatureError;
use semper_core::time::{Seconds, Time};
use semper_trust::KeyType;
use semper_trust::card::{
    CARD_BYTES_MAX, CardError, ContactCard, Fingerprint, LockKey, NotCertified, Service, replaces,
};
use semper_trust::path::PathError;

use crate::support::{Ed25519Only, NOW, Party, Scene};

fn full_card(scene: &Scene) -> ContactCard {
    ContactCard {
        certificates: vec![scene.certificate.clone()],
        services: vec![
            arbiter(Digest::of(domain::RULES, b"rules")),
            Service::TimeStamps { url: "https://stamps.example/tsa".to_owned() },
            Service::Guarantor { url: "https://guarantor.example".to_owned() },
            Service::InLine { issuers: vec!["https://bank.example".to_owned()] },
        ],
        ..scene.alice.card("Alice")
    }
}

fn arbiter(rules: Digest) -> Service {
    let lock_key = |(system, byte): (&str, u8)| LockKey { system: system.to_owned(), key: vec![byte; 33] };
    let lock_keys = [("account", 5), ("ecash", 6)].map(lock_key).to_vec();
    Service::Arbiter { log: Party::new(201).key_set, rules, lock_keys }
}

#[test]
fn a_card_survives_both_forms() {
    let scene = Scene::new(KeyType::P256);
    let card = full_card(&scene);
    let signed = scene.alice.sign(&card);
    let text = ContactCard::to_text(&signed);
    assert!(text.starts_with("-----BEGIN SEMPER CONTACT-----\n"), "{text}");
    assert_eq!(ContactCard::verify(signed.bytes(), &Ed25519Only).unwrap().statement(), &card);
    assert_eq!(ContactCard::verify_text(&text, &Ed25519Only).unwrap().statement(), &card);
    let certified = card.certified(&scene.trust(), NOW).unwrap();
    assert_eq!((certified.name(), certified.key_set()), ("Alice", scene.alice.key_set.id()));
}

#[test]
fn a_card_speaks_only_for_its_own_key_set() {
    let (alice, mallory) = (Party::new(1), Party::new(66));
    let card = alice.card("Alice");
    // Signed by Mallory, who says so.
    let refused = ContactCard::verify(mallory.sign(&card).bytes(), &Ed25519Only);
    assert!(matches!(refused, Err(CardError::Signature(SignatureError::WrongSigner { .. }))), "{refused:?}");
    // Signed by Mallory in the name of Alice.
    let forged = card.draft(alice.key_set.suite(), alice.key_set.id());
    let (_, _, signature) = mallory.sign(&card).signatures().map(|(a, m, s)| (a, m, s.to_vec())).next().unwrap();
    let refused = ContactCard::verify(forged.assemble(vec![signature]).unwrap().bytes(), &Ed25519Only);
    assert!(matches!(refused, Err(CardError::Signature(SignatureError::BadSignature(_)))), "{refused:?}");
    // Another kind of statement with a card inside.
    let mut draft = card.draft(alice.key_set.suite(), alice.key_set.id());
    draft.kind = Kind::Container;
    let refused = ContactCard::verify(draft.assemble(vec![vec![0; 64]]).unwrap().bytes(), &Ed25519Only);
    assert!(matches!(refused, Err(CardError::Signature(SignatureError::WrongKind { .. }))), "{refused:?}");
    let refused = ContactCard::verify(&vec![0; CARD_BYTES_MAX + 1], &Ed25519Only);
    assert!(matches!(refused, Err(CardError::Malformed(_))), "{refused:?}");
}

#[test]
fn a_name_is_certified_only_if_the_certificate_says_the_same() {
    let scene = Scene::new(KeyType::P256);
    let trust = scene.trust();
    let card = full_card(&scene);
    let bare = scene.alice.card("Alice");
    assert_eq!(bare.certified(&trust, NOW), Err(NotCertified::NoCertificate));
    let renamed = ContactCard { name: "Alice Bank".to_owned(), ..card.clone() };
    let expected = NotCertified::OtherName { certified: "Alice".to_owned(), claimed: "Alice Bank".to_owned() };
    assert_eq!(renamed.certified(&trust, NOW), Err(expected));
    let stolen = ContactCard { key_set: Party::new(66).key_set, ..card };
    let refused = stolen.certified(&trust, NOW);
    assert!(matches!(refused, Err(NotCertified::Path(PathError::WrongKeySet { .. }))), "{refused:?}");
}

// A card that loses its agent on the way would let nobody prove that anything was handed in; one that gains another would let anybody.
#[test]
fn a_card_names_the_agent_of_an_inbox() {
    let (alice, relay) = (Party::new(1), Party::new(9));
    let mut card = alice.card("Alice");
    card.inboxes[0].agent = Some(relay.key_set.clone());
    let read = ContactCard::verify(alice.sign(&card).bytes(), &Ed25519Only).unwrap();
    assert_eq!(read.statement(), &card);
    // Another agent under the same signature.
    let at = alice.sign(&card).bytes().to_vec();
    let key = relay.key_set.keys().next().unwrap().1.to_vec();
    let place = at.windows(key.len()).position(|part| part == key).unwrap();
    let mut changed = at;
    changed[place] ^= 1;
    assert!(ContactCard::verify(&changed, &Ed25519Only).is_err());
}

#[test]
fn cards_that_break_a_rule_are_refused_even_if_signed() {
    let alice = Party::new(1);
    let good = alice.card("Alice");
    let mut bad_inbox = good.clone();
    bad_inbox.inboxes[0].url = "file:///etc/passwd".to_owned();
    let mut short_inbox_key = good.clone();
    short_inbox_key.inboxes[0].public_key.pop();
    let mut short_sealing_key = good.clone();
    short_sealing_key.sealing_key.public_key.pop();
    let many_inboxes = ContactCard { inboxes: vec![good.inboxes[0].clone(); 9], ..good.clone() };
    let long_certificate = ContactCard { certificates: vec![vec![0; 9000]], ..good.clone() };
    for bad in [
        alice.card("Ali\nce"),
        alice.card(""),
        bad_inbox,
        short_inbox_key,
        short_sealing_key,
        many_inboxes,
        long_certificate,
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
        let refused = ContactCard::verify(alice.sign(&bad).bytes(), &Ed25519Only);
        assert!(matches!(refused, Err(CardError::Malformed(_))), "{refused:?}");
    }
    good.check().unwrap();
}

#[test]
fn only_a_younger_card_of_the_same_key_set_replaces_one() {
    let (alice, mallory) = (Party::new(1), Party::new(66));
    let verified =
        |party: &Party, card: &ContactCard| ContactCard::verify(party.sign(card).bytes(), &Ed25519Only).unwrap();
    let old = verified(&alice, &alice.card("Alice"));
    let time = NOW.after(Seconds(1));
    let next =
        |party: &Party, replaces, time: Time| verified(party, &ContactCard { replaces, time, ..party.card("Alice") });
    assert!(replaces(&next(&alice, Some(old.id()), time), &old));
    assert!(!replaces(&next(&mallory, Some(old.id()), time), &old));
    assert!(!replaces(&next(&alice, None, time), &old));
    assert!(!replaces(&next(&alice, Some(old.id()), NOW), &old));
}

#[test]
fn fingerprints_are_read_out_in_groups() {
    let id = KeySetId::parse("0000010186a0ffffff0000000000000000000000000000000000000000000000").unwrap();
    let fingerprint = Fingerprint::of(id);
    // 0x000001, 0x0186a0 = 100000, 0xffffff = 16777215.
    assert_eq!(fingerprint.to_string(), "00001 00000 77215 00000 00000 00000 00000 00000 00000 00000");
    assert!(fingerprint.matches("00001-00000-77215 00000 00000\n00000 00000 00000 00000 00000"));
    assert!(!fingerprint.matches("00001 00000 77215"));
    assert!(!fingerprint.matches("00001 00000 77216 00000 00000 00000 00000 00000 00000 00000"));
}

// An address that is none would be asked all the same, or something else would be done with it.
#[test]
fn a_time_stamp_authority_has_an_address() {
    let alice = Party::new(1);
    let read = |url: &str| {
        let card = ContactCard { services: vec![Service::TimeStamps { url: url.to_owned() }], ..alice.card("Alice") };
        let read = ContactCard::verify(alice.sign(&card).bytes(), &Ed25519Only);
        assert_eq!(read.is_ok(), card.check().is_ok());
        read.is_ok_and(|read| *read.statement() == card)
    };
    assert!(read("https://stamps.example/tsa") && read("http://127.0.0.1:1/tsa"));
    assert!(!read("") && !read("file:///etc/passwd") && !read(&format!("https://{}", "a".repeat(2048))));
}

#[test]
fn a_guarantor_has_an_address() {
    let alice = Party::new(1);
    let read = |url: &str| {
        let card = ContactCard { services: vec![Service::Guarantor { url: url.to_owned() }], ..alice.card("Alice") };
        let read = ContactCard::verify(alice.sign(&card).bytes(), &Ed25519Only);
        assert_eq!(read.is_ok(), card.check().is_ok());
        read.is_ok_and(|read| *read.statement() == card)
    };
    assert!(read("https://guarantor.example") && read("http://127.0.0.1:1"));
    assert!(!read("") && !read("file:///etc/passwd") && !read(&format!("https://{}", "a".repeat(256))));
}

// Two keys for one system would let an arbiter show each side another one; an empty list would be a second encoding of none.
#[test]
fn an_arbiter_has_one_key_for_each_system() {
    let alice = Party::new(1);
    let read = |keys: &[(&str, usize)]| {
        let lock_keys = keys.iter().map(|(system, len)| LockKey { system: (*system).to_owned(), key: vec![1; *len] });
        let Service::Arbiter { log, rules, .. } = arbiter(Digest::from_array([7; 32])) else { unreachable!() };
        let services = vec![Service::Arbiter { log, rules, lock_keys: lock_keys.collect() }];
        let card = ContactCard { services, ..alice.card("Alice") };
        let read = ContactCard::verify(alice.sign(&card).bytes(), &Ed25519Only);
        assert_eq!(read.is_ok(), card.check().is_ok());
        read.is_ok_and(|read| *read.statement() == card)
    };
    assert!(read(&[]) && read(&[("ecash", 33)]) && read(&[("account", 8192), ("ecash", 1)]));
    let many: Vec<(String, usize)> = (0..9).map(|n| (format!("system{n}"), 1)).collect();
    let many: Vec<(&str, usize)> = many.iter().map(|(name, len)| (name.as_str(), *len)).collect();
    let bad: [&[(&str, usize)]; 6] = [
        &[("ecash", 33), ("ecash", 33)],
        &[("ecash", 33), ("account", 33)],
        &[("", 33)],
        &[("a-name-that-is-too-long", 33)],
        &[("ecash", 0)],
        &[("ecash", 8193)],
    ];
    for keys in bad.into_iter().chain([many.as_slice()]) {
        assert!(!read(keys), "{keys:?}");
    }
}

proptest! {
    // A changed card must never be read as another card of the same key set.
    #[test]
    fn a_changed_card_is_refused(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let alice = Party::new(1);
        let card = alice.card("Alice");
        let mut bytes = alice.sign(&card).bytes().to_vec();
        let i = place.index(bytes.len());
        bytes[i] ^= 1 << bit;
        prop_assert!(ContactCard::verify(&bytes, &Ed25519Only).is_err());
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(ContactCard::verify(&bytes, &Ed25519Only).is_err());
    }
}

// The vector of spec/certificates.md §5.3: another implementation must come to the same identifier.
#[test]
fn the_encoding_is_the_one_in_the_text() {
    let alice = Party::new(1);
    let card = full_card_without_certificates(&alice);
    let draft = card.draft(alice.key_set.suite(), alice.key_set.id());
    assert_eq!(draft.id().to_string(), "ddf0a847c05c3626a4ddf0ceededc4293e48913da55fe193a13e70c34aa9d96a");
    assert_eq!(card.fingerprint().to_string(), "60897 31222 21625 77735 12384 16899 98755 76527 17068 72282");
}

fn full_card_without_certificates(alice: &Party) -> ContactCard {
    ContactCard {
        services: vec![arbiter(Digest::from_array([7; 32]))],
        replaces: Some(StatementId::from_digest(Digest::from_array([8; 32]))),
        ..alice.card("Alice")
    }
}
