//! Secrets do not show: neither in `Debug` output nor, by their types, in memory after use.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use semper_core::party::{Algorithm, Suite};
use semper_core::signature::Verify as _;
use semper_crypto::{DecapsulationKey, Encapsulator, OpenKey, Sealer, SecretKeys, Verifier};
use semper_support::crypto::{Decapsulate as _, Encapsulate as _, KemSuite, Open as _, Seal as _, Signer as _};
use zeroize::{ZeroizeOnDrop, Zeroizing};

const SUITES: [Suite; 3] = [Suite::Ed25519, Suite::Hybrid, Suite::Es256];
const KEMS: [KemSuite; 3] = [KemSuite::X25519, KemSuite::MlKem768, KemSuite::XWing];

/// Whether any eight bytes of `secret` stand in `printed`, as numbers or as hexadecimal.
fn shows(printed: &str, secret: &[u8]) -> bool {
    secret.windows(8).any(|part| {
        let numbers = format!("{part:?}");
        printed.contains(numbers.trim_matches(['[', ']']))
            || printed.to_lowercase().contains(&data_encoding::HEXLOWER.encode(part))
    })
}

#[test]
fn secrets_are_not_in_debug_output() {
    for suite in SUITES {
        let keys = SecretKeys::generate(suite).unwrap();
        // The first bytes are version and suite, not secret.
        assert!(!shows(&format!("{keys:?}{keys:#?}"), &keys.export()[9..]));
    }
    for suite in KEMS {
        let key = OpenKey::generate(suite).unwrap();
        assert!(!shows(&format!("{key:?}{key:#?}"), &key.export()[1..]));
        let key = DecapsulationKey::generate(suite).unwrap();
        assert!(!shows(&format!("{key:?}{key:#?}"), &key.export()[1..]));
    }
    // The twin: it would be noticed.
    assert!(shows("Key([1, 2, 3, 4, 5, 6, 7, 8])", &[1, 2, 3, 4, 5, 6, 7, 8]));
    assert!(shows("Key(0102030405060708)", &[1, 2, 3, 4, 5, 6, 7, 8]));
}

// This test is its types: it compiles only if what holds a secret wipes it.
#[test]
fn what_leaves_as_a_secret_is_wiped() {
    fn wiped<T: ZeroizeOnDrop>(_: &T) {}
    wiped::<Zeroizing<Vec<u8>>>(&SecretKeys::generate(Suite::Ed25519).unwrap().export());
    let key = OpenKey::generate(KemSuite::X25519).unwrap();
    wiped(&key.export());
    let sealed = Sealer.seal(KemSuite::X25519, key.public_key(), b"", b"hello").unwrap();
    wiped(&key.open(b"", &sealed).unwrap());
    let key = DecapsulationKey::generate(KemSuite::XWing).unwrap();
    wiped(&key.export());
    let (ciphertext, secret) = Encapsulator.encapsulate(KemSuite::XWing, key.public_key(), &[1; 64]).unwrap();
    wiped(&secret);
    wiped(&key.decapsulate(&ciphertext).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    // A signature is good under its key and under no key that differs in a bit.
    #[test]
    fn a_flipped_bit_in_a_public_key_is_noticed(place: prop::sample::Index, bit in 0..8_u8) {
        for suite in SUITES {
            let keys = SecretKeys::generate(suite).unwrap();
            let signer = keys.key_set().id();
            let draft = semper_core::cose::Draft { kind: semper_core::cose::Kind::Receipt, suite, signer, payload: vec![1] };
            let signed = keys.sign(draft).unwrap();
            for ((algorithm, message, signature), (_, key)) in signed.signatures().zip(keys.key_set().keys()) {
                prop_assert!(Verifier.verify(algorithm, key, &message, signature));
                let mut other = key.to_vec();
                let at = place.index(other.len());
                other[at] ^= 1 << bit;
                prop_assert!(!Verifier.verify(algorithm, &other, &message, signature));
                prop_assert!(!Verifier.verify(algorithm, &key[1..], &message, signature));
                prop_assert!(!Verifier.verify(algorithm, key, &message, &signature[1..]));
                for wrong in [Algorithm::Ed25519, Algorithm::Es256, Algorithm::MlDsa65] {
                    prop_assert_eq!(Verifier.verify(wrong, key, &message, signature), wrong == algorithm);
                }
            }
        }
    }

    // Whatever is flipped in a sealed message, its context or the public key it was sealed for, it does not open.
    #[test]
    fn a_flipped_bit_keeps_a_message_shut(text in prop::collection::vec(any::<u8>(), 0..200), place: prop::sample::Index, bit in 0..8_u8) {
        for suite in KEMS {
            let key = OpenKey::generate(suite).unwrap();
            let flip = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                let at = place.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes
            };
            let sealed = Sealer.seal(suite, key.public_key(), b"context", &text).unwrap();
            prop_assert_eq!(&**key.open(b"context", &sealed).unwrap(), &text[..]);
            prop_assert!(key.open(b"context", &flip(&sealed)).is_err());
            prop_assert!(key.open(&flip(b"context"), &sealed).is_err());
            if let Ok(other) = Sealer.seal(suite, &flip(key.public_key()), b"context", &text) {
                prop_assert!(key.open(b"context", &other).is_err());
            }
        }
    }
}
