//! The mint's operations on points of secp256k1 (NUT-00, NUT-12), and keys of locks that are derived per contract.
//!
//! Only what [`cashu`] lacks or does slowly is here: its `verify_message` builds a context per call, its DLEQ proofs compute the public
//! key anew each time. A wallet checks proofs of equality with `cashu`'s own `verify_dleq`, and signatures are made and checked with
//! its `SecretKey::sign` and `PublicKey::verify`: these use one static context already.
//!
//! Secret scalars meet points that a stranger chose, so every product here is computed in constant time (the ECDH of libsecp256k1,
//! not its tweak function), and what a coin ought to be is compared with what came in constant time: an early exit would let a stranger
//! find a valid coin byte by byte. Secret scalars are wiped when dropped ([`SecretKey`]).

use bitcoin::hashes::cmp::fixed_time_eq;
use bitcoin::hashes::{Hash, HashEngine, Hmac, HmacEngine, sha256};
use bitcoin::secp256k1::ecdh::shared_secret_point;
use bitcoin::secp256k1::{PublicKey as Point, Scalar};
use cashu::{BlindSignatureDleq, PublicKey, SECP256K1, SecretKey};
use data_encoding::HEXLOWER;
use semper_core::domain;
use semper_core::hash::Digest;

/// Domain separator of [`hash_to_curve`].
const TO_CURVE: &[u8] = b"Secp256k1_HashToCurve_Cashu_";
/// Domain separator of the nonces of proofs of equality.
const NONCE: &[u8] = b"Cashu_DLEQ_R_v1";

/// The point `Y` of a secret. Half of all hashes are no point; the first of a series that is one is taken.
///
/// Source: NUT-00.
pub fn hash_to_curve(secret: &[u8]) -> PublicKey {
    let message = sha256::Hash::hash_byte_chunks([TO_CURVE, secret]);
    let candidate = |counter: u32| {
        let hash = sha256::Hash::hash_byte_chunks([message.as_byte_array().as_slice(), &counter.to_le_bytes()]);
        let mut compressed = [2; 33];
        compressed[1..].copy_from_slice(hash.as_byte_array());
        Point::from_slice(&compressed).ok()
    };
    (0..=u32::from(u16::MAX)).find_map(candidate).expect("of 65536 hashes one is a point").into()
}

/// A mint's key for coins of one amount.
pub struct AmountKey {
    secret: SecretKey,
    public: PublicKey,
    public_bytes: [u8; 65],
}

impl AmountKey {
    /// The key with this secret scalar.
    pub fn new(secret: SecretKey) -> Self {
        let public = secret.public_key();
        Self { public_bytes: public.to_uncompressed_bytes(), secret, public }
    }

    /// The public key `K = kG`.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs a blinded message: `C_ = kB_`, and a proof that the same `k` made `K` and `C_`.
    ///
    /// The same message gives the same bytes, for ever: the nonce of the proof is derived from the key, the message and the signature, so
    /// two proofs with one nonce are one proof, and a mint need store neither signature nor proof to give them again.
    ///
    /// Source: NUT-00, NUT-12.
    pub fn sign(&self, blinded: &PublicKey) -> (PublicKey, BlindSignatureDleq) {
        let signature = product(&self.secret, blinded);
        let dleq = self.prove(blinded, &signature);
        (parse(&signature), dleq)
    }

    /// Whether `signature` is this key's on `secret`: `C = kY`.
    pub fn verify(&self, secret: &[u8], signature: &PublicKey) -> bool {
        self.verify_point(&hash_to_curve(secret), signature)
    }

    /// [`AmountKey::verify`] for a caller that has computed `Y` already.
    pub fn verify_point(&self, y: &PublicKey, signature: &PublicKey) -> bool {
        let expected = product(&self.secret, y);
        fixed_time_eq(&expected, &signature.to_uncompressed_bytes())
    }

    fn prove(&self, blinded: &PublicKey, signature: &[u8; 65]) -> BlindSignatureDleq {
        let blinded_bytes = blinded.to_uncompressed_bytes();
        let attempt = |counter: u8| {
            let nonce = self.nonce(&blinded_bytes, signature, counter)?;
            let (r1, r2) = (nonce.public_key().to_uncompressed_bytes(), product(&nonce, blinded));
            let e = SecretKey::from_slice(&challenge([&r1, &r2, &self.public_bytes, signature])).ok()?;
            let ek = SecretKey::from(e.mul_tweak(&Scalar::from(*self.secret)).ok()?);
            let s = nonce.add_tweak(&Scalar::from(*ek)).ok()?;
            Some(BlindSignatureDleq { e, s: s.into() })
        };
        (0..=u8::MAX).find_map(attempt).expect("a hash is a scalar but once in 2^127")
    }

    fn nonce(&self, blinded: &[u8; 65], signature: &[u8; 65], counter: u8) -> Option<SecretKey> {
        let mut hmac = HmacEngine::<sha256::Hash>::new(self.secret.as_secret_bytes());
        for part in [NONCE, &self.public_bytes, blinded.as_slice(), signature, &[counter]] {
            hmac.input(part);
        }
        SecretKey::from_slice(Hmac::from_engine(hmac).as_byte_array()).ok()
    }
}

/// The secret key whose public key is [`lock_key`] of the long-term key's public key.
pub fn lock_secret(long_term: &SecretKey, tag: &Digest) -> SecretKey {
    let tweak = lock_tweak(&long_term.public_key(), tag);
    long_term.add_tweak(&tweak).expect("a hash is not the negative of a key").into()
}

/// The key that a holder of a long-term key `T` uses in the locks of one contract: `T' = T + H(T ‖ tag)G`.
///
/// Anybody who knows `T` and the tag can compute it; only the holder of `T` can sign for it, and needs nothing but the tag for that. Who
/// sees `T'` without the tag can link it neither to `T` nor to another contract, so the tag must not be guessable: it is a hash over
/// the contract and a salt.
///
/// Source: `design/exchange.md` §7.1.
pub fn lock_key(long_term: &PublicKey, tag: &Digest) -> PublicKey {
    let tweak = lock_tweak(long_term, tag);
    long_term.add_exp_tweak(&SECP256K1, &tweak).expect("a hash is not the negative of a key").into()
}

fn lock_tweak(long_term: &PublicKey, tag: &Digest) -> Scalar {
    let hash = Digest::of_parts(domain::LOCK_TAG, &[&long_term.to_bytes(), tag.as_bytes()]);
    Scalar::from_be_bytes(*hash.as_bytes()).expect("a hash is a scalar but once in 2^127")
}

/// `scalar · point`, uncompressed, in constant time.
fn product(scalar: &SecretKey, point: &PublicKey) -> [u8; 65] {
    let mut bytes = [4; 65];
    bytes[1..].copy_from_slice(&shared_secret_point(point, scalar));
    bytes
}

fn parse(uncompressed: &[u8; 65]) -> PublicKey {
    Point::from_slice(uncompressed).expect("a product of a point and a scalar is a point").into()
}

/// The hash of points that NUT-12 calls `hash_e`: over their uncompressed form in hexadecimal digits.
fn challenge(points: [&[u8; 65]; 4]) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    let mut digits = [0; 130];
    for point in points {
        HEXLOWER.encode_mut(point, &mut digits);
        engine.input(&digits);
    }
    sha256::Hash::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key(hex: &str) -> AmountKey {
        AmountKey::new(SecretKey::from_hex(hex).unwrap())
    }

    fn tag(byte: u8) -> Digest {
        Digest::from_array([byte; 32])
    }

    // Our operations replace those of the crate: any difference would split our mint from every wallet.
    #[test]
    fn operations_equal_those_of_the_crate() {
        for i in 1..50_u8 {
            let secret = SecretKey::from_slice(&[i; 32]).unwrap();
            let ours = AmountKey::new(secret.clone());
            let message = [i; 40];
            assert_eq!(hash_to_curve(&message), cashu::dhke::hash_to_curve(&message).unwrap());

            let (blinded, r) = cashu::dhke::blind_message(&message, None).unwrap();
            let (signature, dleq) = ours.sign(&blinded);
            assert_eq!(signature, cashu::dhke::sign_message(&secret, &blinded).unwrap());
            let id = cashu::Id::from_bytes(&[0; 8]).unwrap();
            let theirs = cashu::BlindSignature::new(1.into(), signature, id, &blinded, &secret).unwrap();
            assert_eq!(theirs.dleq, Some(dleq));
            theirs.verify_dleq(ours.public(), blinded).unwrap();

            let coin = cashu::dhke::unblind_message(&signature, &r, &ours.public()).unwrap();
            assert!(ours.verify(&message, &coin));
            assert!(!ours.verify(&message, &signature) && !ours.verify(b"another", &coin));
            assert!(!ours.verify(&message, &PublicKey::from(coin.negate(&SECP256K1))), "the other y is another point");
        }
    }

    // One nonce under two challenges gives the key away.
    #[test]
    fn every_message_has_its_own_nonce() {
        let key = key("0000000000000000000000000000000000000000000000000000000000000002");
        let (a, b) = (hash_to_curve(b"a"), hash_to_curve(b"b"));
        assert_eq!(key.sign(&a), key.sign(&a));
        let nonce = |of: &PublicKey, counter| {
            let signature = product(&key.secret, of);
            key.nonce(&of.to_uncompressed_bytes(), &signature, counter).unwrap()
        };
        assert_ne!(nonce(&a, 0), nonce(&b, 0));
        assert_ne!(nonce(&a, 0), nonce(&a, 1));
    }

    // The payer computes the arbiter's lock key alone; the arbiter must be able to sign for it, and nobody who lacks the tag.
    #[test]
    fn a_lock_key_has_the_secret_that_its_holder_computes() {
        let long_term = SecretKey::from_slice(&[7; 32]).unwrap();
        let public = lock_key(&long_term.public_key(), &tag(1));
        assert_eq!(lock_secret(&long_term, &tag(1)).public_key(), public);
        assert_ne!(lock_secret(&long_term, &tag(2)).public_key(), public);
        let signature = lock_secret(&long_term, &tag(1)).sign(b"payout").unwrap();
        assert!(public.verify(b"payout", &signature).is_ok());
        assert!(long_term.public_key().verify(b"payout", &signature).is_err());
    }
}
