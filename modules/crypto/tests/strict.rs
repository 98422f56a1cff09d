//! Odd points in Ed25519. A signature that one verifier takes and another refuses lets its signer decide later whether he signed, so
//! each kind of odd point has one answer, the same alone and among others.
#![allow(clippy::unwrap_used)]

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as BASE, EIGHT_TORSION};
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Signature, VerifyingKey};
use semper_core::party::Algorithm;
use semper_core::signature::{Check, Verify as _};
use semper_crypto::Verifier;
use sha2::{Digest as _, Sha512};

/// A signature made with `key`, where points of the small subgroup are added to the public key and to `R`.
struct Odd {
    public: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
}

fn sign(key: Scalar, key_torsion: EdwardsPoint, nonce: Scalar, nonce_torsion: EdwardsPoint, message: &[u8]) -> Odd {
    let public = (BASE * key + key_torsion).compress().to_bytes();
    let r = (BASE * nonce + nonce_torsion).compress().to_bytes();
    let s = nonce + challenge(&r, &public, message) * key;
    Odd { public, message: message.to_vec(), signature: join(&r, s.as_bytes()) }
}

fn challenge(r: &[u8; 32], public: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(public).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

fn join(r: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    [r.as_slice(), s].concat().try_into().unwrap()
}

fn accepts(odd: &Odd) -> bool {
    Verifier.verify(Algorithm::Ed25519, &odd.public, &odd.message, &odd.signature)
}

fn strict_dalek_accepts(odd: &Odd) -> bool {
    let signature = Signature::from_bytes(&odd.signature);
    VerifyingKey::from_bytes(&odd.public).is_ok_and(|key| key.verify_strict(&odd.message, &signature).is_ok())
}

fn all_odd() -> Vec<Odd> {
    let (key, nonce) = (Scalar::from(0x1234_5678_u64), Scalar::from(0x9abc_def1_u64));
    let mut odd = Vec::new();
    for (i, a) in EIGHT_TORSION.into_iter().enumerate() {
        for (j, r) in EIGHT_TORSION.into_iter().enumerate() {
            // Different messages make the cofactorless equation hold for some mixed keys and fail for others.
            for k in 0..8_u8 {
                let message = [u8::try_from(8 * i + j).unwrap(), k];
                odd.push(sign(key, a, nonce, r, &message));
                odd.push(sign(Scalar::ZERO, a, nonce, r, &message));
                odd.push(sign(key, a, Scalar::ZERO, r, &message));
                odd.push(sign(Scalar::ZERO, a, Scalar::ZERO, r, &message));
            }
        }
    }
    odd
}

// The second opinion is `verify_strict`; and both answers must occur, or the test has seen nothing.
#[test]
fn odd_points_are_judged_as_by_verify_strict() {
    let odd = all_odd();
    let mut accepted = 0;
    for (i, odd) in odd.iter().enumerate() {
        assert_eq!(accepts(odd), strict_dalek_accepts(odd), "case {i}");
        accepted += usize::from(accepts(odd));
    }
    assert_eq!(odd.len(), 2048);
    assert!(accepted > 8 && accepted < odd.len() / 2, "{accepted} were accepted");
}

#[test]
fn one_by_one_and_together_agree() {
    let odd = all_odd();
    let check = |o: &'static Odd| Check {
        algorithm: Algorithm::Ed25519,
        public_key: &o.public,
        message: o.message.clone(),
        signature: &o.signature,
    };
    let odd: &'static [Odd] = odd.leak();
    let (good, bad): (Vec<&Odd>, Vec<&Odd>) = odd.iter().partition(|o| accepts(o));
    let good: Vec<_> = good.into_iter().map(check).collect();
    assert_eq!(Verifier.verify_batch(&good), Ok(()));
    assert_eq!(Verifier.verify_batch(&[]), Ok(()));
    for (i, bad) in bad.into_iter().enumerate().step_by(16) {
        let mut checks = good.clone();
        let at = i % (good.len() + 1);
        checks.insert(at, check(bad));
        assert_eq!(Verifier.verify_batch(&checks), Err(at));
    }
}

// Why there is no batch equation: it takes signatures with a mixed `R` that every single verification refuses. If this test ever
// fails, ed25519-dalek has changed and `Verifier` may think again.
#[test]
fn the_batch_equation_takes_what_single_verification_refuses() {
    let (key, nonce) = (Scalar::from(77_u64), Scalar::from(99_u64));
    let order_two = EIGHT_TORSION[4];
    let mut surprises = 0;
    for k in 0..64_u8 {
        let odd = sign(key, EIGHT_TORSION[0], nonce, order_two, &[k]);
        assert!(!accepts(&odd) && !strict_dalek_accepts(&odd));
        let public = VerifyingKey::from_bytes(&odd.public).unwrap();
        let batch = ed25519_dalek::verify_batch(&[&odd.message], &[Signature::from_bytes(&odd.signature)], &[public]);
        surprises += usize::from(batch.is_ok());
    }
    assert!(surprises > 8, "{surprises} of 64");
}

// With a public key of small order one signature is good for every message.
#[test]
fn a_key_of_small_order_signs_nothing() {
    for point in EIGHT_TORSION {
        for message in 0..=255_u8 {
            assert!(!accepts(&sign(Scalar::ZERO, point, Scalar::from(5_u64), EIGHT_TORSION[0], &[message])));
        }
    }
}

// y + p for y below 19 is a second form of the same point; s + order is a second form of the same scalar.
#[test]
fn only_canonical_forms_count() {
    let nonce = Scalar::from(5_u64);
    let mut forms = 0;
    for low in 0xed..=0xff_u8 {
        for top in [0x7f, 0xff] {
            let mut point = [0xff; 32];
            (point[0], point[31]) = (low, top);
            let Some(_) = curve25519_dalek::edwards::CompressedEdwardsY(point).decompress() else { continue };
            forms += 1;
            for message in 0..16_u8 {
                let r = (BASE * nonce).compress().to_bytes();
                let as_key = Odd { public: point, message: vec![message], signature: join(&r, nonce.as_bytes()) };
                assert!(!accepts(&as_key));
                let key = (BASE * nonce).compress().to_bytes();
                let s = challenge(&point, &key, &[message]) * nonce;
                let as_r = Odd { public: key, message: vec![message], signature: join(&point, s.as_bytes()) };
                assert!(!accepts(&as_r));
            }
        }
    }
    assert!(forms > 8, "{forms} forms");

    let good = sign(Scalar::from(7_u64), EIGHT_TORSION[0], nonce, EIGHT_TORSION[0], b"x");
    assert!(accepts(&good));
    let order =
        data_encoding::HEXLOWER.decode(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let (mut malleated, mut carry) = (good, 0_u16);
    for (byte, add) in malleated.signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert!(!accepts(&malleated));
}
