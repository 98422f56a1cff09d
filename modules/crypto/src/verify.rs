//! Checking signatures.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ML_DSA_65, UnparsedPublicKey, VerificationAlgorithm};
use semper_core::party::Algorithm;
use semper_core::signature::Verify;

/// Signature verification by aws-lc-rs; strict for Ed25519.
///
/// RFC 8032 leaves open what becomes of odd points. Here: the equation without cofactor; `s` below the order; `R` and the public key
/// in canonical form; neither of small order, because a key of small order has signatures that are good for many messages, and its
/// owner could say that he signed another. This accepts what `verify_strict` of ed25519-dalek accepts, less the keys in
/// non-canonical form.
///
/// Many signatures are checked one by one. The batch equation of ed25519-dalek takes 0.7 of the time, but it accepts some signatures
/// whose `R` has a component of small order and which the single equation refuses; a signer could then make a signature that counts
/// for one verifier and not for another. Refusing such points first takes a scalar multiplication per point, and with it the batch is
/// 1.8 to 3 times slower than one by one (`benches/crypto.rs` measures it, `tests/strict.rs` shows the points).
///
/// An ES256 signature (r, s) has a twin (r, n - s) that is good as well: never take the bytes of a signature as a name for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verifier;

impl Verify for Verifier {
    fn verify(&self, algorithm: Algorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        if public_key.len() != algorithm.public_key_len() || signature.len() != algorithm.signature_len() {
            return false;
        }
        let by: &dyn VerificationAlgorithm = match algorithm {
            Algorithm::Ed25519 if !has_strict_points(public_key, signature) => return false,
            Algorithm::Ed25519 => &ED25519,
            // aws-lc reads the hybrid form of SEC 1 (06, 07) as well. Then one key would have three key sets, and a party could be its
            // own peer under another name.
            Algorithm::Es256 if public_key.first() != Some(&4) => return false,
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::MlDsa65 => &ML_DSA_65,
        };
        UnparsedPublicKey::new(by, public_key).verify(message, signature).is_ok()
    }
}

/// Whether key and `R` are in canonical form and not of small order. That they are points is seen by the equation.
fn has_strict_points(public_key: &[u8], signature: &[u8]) -> bool {
    let (Some(key), Some(r)) = (public_key.first_chunk(), signature.first_chunk()) else {
        return false;
    };
    [key, r].into_iter().all(|point| is_canonical(point) && !is_of_small_order(point))
}

/// Whether the y-coordinate is below p = 2²⁵⁵ - 19.
fn is_canonical(point: &[u8; 32]) -> bool {
    point[31] & 0x7f != 0x7f || point[1..31].iter().any(|byte| *byte != 0xff) || point[0] < 0xed
}

/// Whether a point in canonical form is one of the eight of the small subgroup: these five y-coordinates, with either sign of x.
fn is_of_small_order(point: &[u8; 32]) -> bool {
    const MINUS_ONE: [u8; 32] = hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    const ONE: [u8; 32] = hex("0100000000000000000000000000000000000000000000000000000000000000");
    const ZERO: [u8; 32] = [0; 32];
    const EIGHTH: [u8; 32] = hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
    const MINUS_EIGHTH: [u8; 32] = hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
    let mut y = *point;
    y[31] &= 0x7f;
    [ZERO, ONE, MINUS_ONE, EIGHTH, MINUS_EIGHTH].contains(&y)
}

/// Lower-case hexadecimal at compile time; anything else does not compile.
const fn hex(text: &str) -> [u8; 32] {
    const fn digit(character: u8) -> u8 {
        match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            _ => panic!("not a hexadecimal digit"),
        }
    }
    assert!(text.len() == 64, "32 bytes are 64 digits");
    let mut bytes = [0; 32];
    let mut i = 0;
    while i < 32 {
        bytes[i] = digit(text.as_bytes()[2 * i]) << 4 | digit(text.as_bytes()[2 * i + 1]);
        i += 1;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::EIGHT_TORSION;

    // aws-lc refuses these forms by itself today; the rule must not hang on that.
    #[test]
    fn canonical_is_below_p() {
        let point = |low: u8, middle: u8, top: u8| {
            let mut point = [0xff; 32];
            (point[0], point[16], point[31]) = (low, middle, top);
            point
        };
        for top in [0x7f, 0xff] {
            assert!((0..=0xec).all(|low| is_canonical(&point(low, 0xff, top))));
            assert!((0xed..=0xff).all(|low| !is_canonical(&point(low, 0xff, top))));
            assert!(is_canonical(&point(0xff, 0xfe, top)));
        }
        assert!(is_canonical(&point(0xff, 0xff, 0x7e)) && is_canonical(&point(0xff, 0xff, 0xfe)));
    }

    #[test]
    fn the_eight_points_of_small_order_are_known() {
        for point in EIGHT_TORSION {
            let bytes = point.compress().to_bytes();
            assert!(is_of_small_order(&bytes));
            let mixed = (curve25519_dalek::constants::ED25519_BASEPOINT_POINT + point).compress().to_bytes();
            assert!(!is_of_small_order(&mixed));
        }
    }
}
