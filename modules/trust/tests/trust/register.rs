//! What the authority refuses to certify, and that its state survives being stored.

use semper_core::cbor::{Decode, Encode, Value};
use semper_core::time::Seconds;
use semper_trust::armour::CERTIFICATE;
use semper_trust::authority::{Authority, AuthorityError};
use semper_trust::path::PathError;
use semper_trust::register::{Reason, Register, Serial};
use semper_trust::request::{self, RequestError, VerifiedRequest};
use semper_trust::{CertificateKey, KeyError, KeyType, NameError};

use crate::support::{Counted, DAY, NOW, OpenSsl, Party, Scene, authority, key, trust};

fn request(name: &str, party: &Party) -> VerifiedRequest {
    let der = request::make(&key(KeyType::P256, 9), name, None, party.key_set.id()).unwrap();
    VerifiedRequest::from_der(&der).unwrap()
}

// Mallory asks to have her name linked to Alice's keys, to claim later what Alice signed.
#[test]
fn nobody_gets_a_certificate_for_a_key_set_that_does_not_agree() {
    let mut authority = authority(KeyType::P256, 1);
    let (alice, mallory) = (Party::new(1), Party::new(66));
    let randomness = Counted::new(4);
    let mut issue = |request: &VerifiedRequest, party: &Party, card: &str, days: u64| {
        authority.issue(request, &party.verified_card(card), Seconds(days * DAY), NOW, &randomness)
    };
    let request = request("Mallory", &alice);
    assert_eq!(issue(&request, &mallory, "Mallory", 1), Err(AuthorityError::OtherKeySet));
    assert_eq!(issue(&request, &alice, "Alice", 1), Err(AuthorityError::OtherName));
    issue(&request, &alice, "Mallory", 1).unwrap();
    assert_eq!(authority.register().issued().len(), 1);
}

#[test]
fn lifetimes_are_bounded_by_the_rules_and_by_the_authority() {
    let mut authority = authority(KeyType::P256, 1);
    let alice = Party::new(1);
    let (request, card) = (request("Alice", &alice), alice.verified_card("Alice"));
    let max = Seconds(400 * DAY);
    for lifetime in [Seconds(0), Seconds(max.0 + 1), Seconds(u64::MAX)] {
        let refused = authority.issue(&request, &card, lifetime, NOW, &Counted::new(4));
        assert_eq!(refused, Err(AuthorityError::Lifetime { max }));
    }
    let until = NOW.after(Seconds(3650 * DAY));
    let late = until.before(Seconds(DAY));
    let refused = authority.issue(&request, &card, Seconds(DAY + 1), late, &Counted::new(4));
    assert_eq!(refused, Err(AuthorityError::OutlivesAuthority { until }));
    authority.issue(&request, &card, Seconds(DAY), late, &Counted::new(4)).unwrap();
}

#[test]
fn names_that_deceive_are_not_even_asked_for() {
    let key = key(KeyType::P256, 9);
    let alice = Party::new(1).key_set.id();
    for name in ["", "Ali\u{7}ce", "Ali\nce", "ecilA\u{202e}", &"a".repeat(65)] {
        let refused = request::make(&key, name, None, alice);
        assert_eq!(refused, Err(RequestError::Name(NameError::NotPlain)), "{name:?}");
    }
    let refused = request::make(&key, "Alice", Some("not an address"), alice);
    assert_eq!(refused, Err(RequestError::Name(NameError::BadEmail)));
}

#[test]
fn an_authority_goes_on_after_a_restart() {
    let scene = Scene::new(KeyType::P256);
    let stored = scene.authority.register().to_bytes();
    let pkcs8 = scene.authority.key().to_pkcs8();
    let register = Register::from_bytes(&stored).unwrap();
    assert_eq!(&register, scene.authority.register());
    let other = key(KeyType::P256, 77);
    assert_eq!(Authority::open(other, register.clone()).err(), Some(AuthorityError::OtherKey));

    let mut again = Authority::open(CertificateKey::from_pkcs8(&pkcs8).unwrap(), register).unwrap();
    let unknown = Serial::from_random([0; 16]);
    assert_eq!(again.revoke(unknown, Reason::Ceased, NOW), Err(AuthorityError::UnknownSerial(unknown)));
    let list = again.revoke(scene.serial(), Reason::Ceased, NOW).unwrap();
    let revoked =
        trust(again.register().certificate(), &[&list]).verify(&[scene.certificate], scene.alice.key_set.id(), NOW);
    assert!(matches!(revoked, Err(PathError::Revoked(r)) if r.reason == Reason::Ceased), "{revoked:?}");
    assert_eq!(Register::from_bytes(&again.register().to_bytes()).as_ref(), Ok(again.register()));
}

#[test]
fn a_register_has_one_encoding() {
    let mut authority = authority(KeyType::P256, 1);
    let alice = Party::new(1);
    let (request, card, randomness) = (request("Alice", &alice), alice.verified_card("Alice"), Counted::new(4));
    for _ in 0..2 {
        authority.issue(&request, &card, Seconds(DAY), NOW, &randomness).unwrap();
    }
    let Value::Map(mut map) = authority.register().to_value() else { panic!("a register is a record") };
    let Some(Value::Array(mut issued)) = map.remove(4_u64) else { panic!("4 is a list") };
    for order in ["backwards", "twice"] {
        issued.reverse();
        if order == "twice" {
            issued[1] = issued[0].clone();
        }
        map.remove(4_u64);
        map.insert(4_u64, issued.clone());
        assert!(Register::from_value(Value::Map(map.clone())).is_err(), "{order}");
    }
}

// A clock that was set back must not date a certificate before its authority.
#[test]
fn no_certificate_is_older_than_its_authority() {
    let mut authority = authority(KeyType::P256, 1);
    let alice = Party::new(1);
    let early = NOW.before(Seconds(200));
    let card = alice.verified_card("Alice");
    let certificate = authority.issue(&request("Alice", &alice), &card, Seconds(DAY), early, &Counted::new(4)).unwrap();
    let openssl = OpenSsl::new();
    openssl.write_pem("alice.pem", CERTIFICATE, &certificate);
    assert_eq!(openssl.must("x509 -in alice.pem -noout -startdate").trim(), "notBefore=Nov 21 07:25:00 2026 GMT");
}

#[test]
fn keys_and_serial_numbers_are_what_they_claim() {
    assert_eq!(CertificateKey::from_pkcs8(&[0; 40]).err(), Some(KeyError::Malformed));
    let (one, two) = (key(KeyType::Ed25519, 1), key(KeyType::Ed25519, 2));
    assert_ne!(one.public_key_info(), two.public_key_info());
    assert_eq!(key(KeyType::P256, 1).public_key_info(), key(KeyType::P256, 1).public_key_info());
    let serial = Serial::from_random([0xff; 16]);
    assert_eq!(Serial::parse(&serial.to_string().to_uppercase()), Some(serial));
    assert_eq!(Serial::parse(&"ff".repeat(16)), None);
}
