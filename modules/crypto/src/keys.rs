//! Secret signature keys.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::agreement::{self, ECDH_P256};
use aws_lc_rs::rand::SystemRandom as AwsRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ML_DSA_65_SIGNING,
    PqdsaKeyPair, UnparsedPublicKey,
};
use semper_core::cbor::{Decode, DecodeError, Fields, Problem, Value};
use semper_core::cose::{Draft, Signed};
use semper_core::party::{Algorithm, KeySet, Suite};
use semper_support::crypto::{CryptoError, Randomness as _, Signer};
use zeroize::Zeroizing;

use crate::SystemRandom;

/// The secret keys of one party: one per algorithm of its suite, ready to sign.
pub struct SecretKeys {
    suite: Suite,
    keys: Vec<SecretKey>,
    public: KeySet,
}

/// An Ed25519 key on a security token, which signs with it and does not give it out.
pub trait TokenKey: Send + Sync {
    /// The public side.
    fn public_key(&self) -> [u8; 32];

    /// The signature over a message (RFC 8032, without pre-hash).
    ///
    /// # Errors
    /// `Unavailable`: the token was taken out, has forgotten its PIN, or does not sign so long a message.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError>;
}

/// One secret key, with the bytes that it is kept as: a seed of 32 bytes, PKCS#8 for P-256, nothing for a key on a token.
struct SecretKey {
    kept: Zeroizing<Vec<u8>>,
    pair: Pair,
}

enum Pair {
    Token(Arc<dyn TokenKey>),
    Ed25519(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    MlDsa65(PqdsaKeyPair),
}

impl SecretKeys {
    /// Fresh keys.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate(suite: Suite) -> Result<Self, CryptoError> {
        let keys =
            suite.algorithms().iter().map(|algorithm| SecretKey::generate(*algorithm)).collect::<Result<_, _>>()?;
        Self::join(suite, keys)
    }

    /// Fresh hybrid keys, of which that for Ed25519 is the token's: without the token nothing is signed, and without the other key neither.
    ///
    /// # Errors
    /// `NoRandomness`; `Malformed`: the token's public key is none.
    pub fn with_token(token: Arc<dyn TokenKey>) -> Result<Self, CryptoError> {
        Self::join(Suite::Hybrid, vec![SecretKey::on_token(token), SecretKey::generate(Algorithm::MlDsa65)?])
    }

    /// The keys that belong to secret seeds, one per algorithm in the suite's order: the seed of RFC 8032 or FIPS 204, or the secret
    /// scalar for P-256 (big-endian). The same seeds give the same keys, for ever.
    ///
    /// # Errors
    /// `Malformed`: not one seed per algorithm, or a scalar that is zero or not below the order.
    pub fn from_seeds(suite: Suite, seeds: &[[u8; 32]]) -> Result<Self, CryptoError> {
        if seeds.len() != suite.algorithms().len() {
            return Err(CryptoError::Malformed("number of seeds"));
        }
        let with = suite.algorithms().iter().zip(seeds);
        Self::join(
            suite,
            with.map(|(algorithm, seed)| SecretKey::from_seed(*algorithm, seed)).collect::<Result<_, _>>()?,
        )
    }

    /// The keys as they are kept. Whoever has these bytes, and the token if a key is on one, can sign.
    ///
    /// ```text
    /// secret-keys = { 0: 1, 1: suite, 2: [+ bstr] }   ; in the suite's order: a seed (32 bytes), PKCS#8 for P-256, nothing for a token's key
    /// ```
    pub fn export(&self) -> Zeroizing<Vec<u8>> {
        let small = |n: u64| {
            u8::try_from(n).expect("suites and their algorithms are few, and a kept key is shorter than 256 bytes")
        };
        // By hand: an encoder would leave copies of the keys in memory that nobody wipes.
        let most = 7 + self.keys.iter().map(|key| 2 + key.kept.len()).sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(most));
        out.extend([0xa3, 0, 1, 1, small(self.suite.code()), 2, 0x80 + small(self.keys.len() as u64)]);
        for key in &self.keys {
            match key.kept.len() {
                0 => out.push(0x40),
                len => out.extend([0x58, small(len as u64)]),
            }
            out.extend_from_slice(&key.kept);
        }
        out
    }

    /// The keys from the form in which they are kept.
    ///
    /// # Errors
    /// `Malformed`, also if a key is on a token.
    pub fn import(bytes: &[u8]) -> Result<Self, CryptoError> {
        Self::import_with(bytes, None)
    }

    /// The keys from the form in which they are kept, with the one that is on the token.
    ///
    /// # Errors
    /// `Malformed`, also if none of them is on a token.
    pub fn import_with_token(bytes: &[u8], token: Arc<dyn TokenKey>) -> Result<Self, CryptoError> {
        Self::import_with(bytes, Some(token))
    }

    fn import_with(bytes: &[u8], mut token: Option<Arc<dyn TokenKey>>) -> Result<Self, CryptoError> {
        let kept = Kept::from_bytes(bytes).map_err(|_| CryptoError::Malformed("secret keys"))?;
        let mut keys = Vec::new();
        for (algorithm, kept) in kept.suite.algorithms().iter().zip(kept.keys) {
            keys.push(match (algorithm, kept.is_empty()) {
                (Algorithm::Ed25519, true) => {
                    SecretKey::on_token(token.take().ok_or(CryptoError::Malformed("secret keys"))?)
                }
                _ => SecretKey::from_kept(*algorithm, kept)?,
            });
        }
        if token.is_some() {
            return Err(CryptoError::Malformed("secret keys"));
        }
        Self::join(kept.suite, keys)
    }

    fn join(suite: Suite, keys: Vec<SecretKey>) -> Result<Self, CryptoError> {
        let public = KeySet::new(suite, keys.iter().map(SecretKey::public_key).collect());
        Ok(Self { suite, public: public.map_err(|_| CryptoError::Malformed("secret keys"))?, keys })
    }
}

impl Signer for SecretKeys {
    fn key_set(&self) -> &KeySet {
        &self.public
    }

    fn sign(&self, draft: Draft) -> Result<Signed, CryptoError> {
        if draft.signer != self.public.id() || draft.suite != self.suite {
            return Err(CryptoError::WrongSigner);
        }
        let signed = self.suite.algorithms().iter().zip(&self.keys);
        let signatures =
            signed.map(|(algorithm, key)| key.sign(&draft.to_be_signed(*algorithm))).collect::<Result<_, _>>()?;
        draft.assemble(signatures).map_err(|_| CryptoError::Malformed("signature"))
    }
}

impl SecretKey {
    fn on_token(token: Arc<dyn TokenKey>) -> Self {
        Self { kept: Zeroizing::default(), pair: Pair::Token(token) }
    }

    fn generate(algorithm: Algorithm) -> Result<Self, CryptoError> {
        let kept = match algorithm {
            Algorithm::Ed25519 | Algorithm::MlDsa65 => {
                let mut seed = Zeroizing::new(vec![0; 32]);
                SystemRandom.fill(&mut seed)?;
                seed
            }
            Algorithm::Es256 => {
                let pair =
                    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| CryptoError::NoRandomness)?;
                let pkcs8 = pair.to_pkcs8v1().map_err(|_| CryptoError::NoRandomness)?;
                Zeroizing::new(pkcs8.as_ref().to_vec())
            }
        };
        Self::from_kept(algorithm, kept)
    }

    fn from_seed(algorithm: Algorithm, seed: &[u8; 32]) -> Result<Self, CryptoError> {
        let kept = match algorithm {
            Algorithm::Ed25519 | Algorithm::MlDsa65 => Zeroizing::new(seed.to_vec()),
            Algorithm::Es256 => pkcs8_of_scalar(seed).ok_or(CryptoError::Malformed("secret key"))?,
        };
        Self::from_kept(algorithm, kept)
    }

    fn from_kept(algorithm: Algorithm, kept: Zeroizing<Vec<u8>>) -> Result<Self, CryptoError> {
        let malformed = || CryptoError::Malformed("secret key");
        let pair = match algorithm {
            Algorithm::Ed25519 => Pair::Ed25519(Ed25519KeyPair::from_seed_unchecked(&kept).map_err(|_| malformed())?),
            Algorithm::MlDsa65 => {
                Pair::MlDsa65(PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, &kept).map_err(|_| malformed())?)
            }
            Algorithm::Es256 => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &kept).map_err(|_| malformed())?;
                // PKCS#8 has several forms; one key is kept in one.
                if pair.to_pkcs8v1().map_err(|_| malformed())?.as_ref() != kept.as_slice() {
                    return Err(malformed());
                }
                Pair::Es256(pair)
            }
        };
        Ok(Self { kept, pair })
    }

    fn public_key(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Token(token) => token.public_key().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Es256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::MlDsa65(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        // With a key that was read without complaint only the random numbers can fail, or a token.
        match &self.pair {
            Pair::Token(token) => {
                let signature = token.sign(message)?;
                // A token that fails in the middle must not put a statement into the world that nobody can check.
                let checked = UnparsedPublicKey::new(&ED25519, token.public_key()).verify(message, &signature);
                checked.map_err(|_| CryptoError::Unavailable)?;
                Ok(signature)
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Es256(pair) => {
                let signature = pair.sign(&AwsRandom::new(), message).map_err(|_| CryptoError::NoRandomness)?;
                Ok(signature.as_ref().to_vec())
            }
            Pair::MlDsa65(pair) => {
                let mut signature = vec![0; Algorithm::MlDsa65.signature_len()];
                pair.sign(message, &mut signature).map_err(|_| CryptoError::NoRandomness)?;
                Ok(signature)
            }
        }
    }
}

fn pkcs8_of_scalar(scalar: &[u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
    let public = agreement::PrivateKey::from_private_key(&ECDH_P256, scalar).ok()?.compute_public_key().ok()?;
    let signing = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, scalar, public.as_ref()).ok()?;
    Some(Zeroizing::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec()))
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({:?})", self.public)
    }
}

struct Kept {
    suite: Suite,
    keys: Vec<Zeroizing<Vec<u8>>>,
}

impl Decode for Kept {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let suite: Suite = fields.item(1, "suite")?;
        let keys: Vec<Vec<u8>> = fields.list(2, "keys", 4)?;
        let keys: Vec<_> = keys.into_iter().map(Zeroizing::new).collect();
        fields.close()?;
        if keys.len() != suite.algorithms().len() {
            return Err(DecodeError::field(
                "keys",
                Problem::OutOfRange("one secret key per algorithm of the suite is needed"),
            ));
        }
        Ok(Self { suite, keys })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Verifier;
    use proptest::prelude::*;
    use semper_core::cbor::record;
    use semper_core::cose::Kind;
    use semper_core::signature::Verify as _;

    const SUITES: [Suite; 3] = [Suite::Ed25519, Suite::Hybrid, Suite::Es256];

    fn draft(keys: &SecretKeys, payload: &[u8]) -> Draft {
        let signer = keys.key_set().id();
        Draft { kind: Kind::Receipt, suite: keys.key_set().suite(), signer, payload: payload.to_vec() }
    }

    fn is_good(keys: &SecretKeys, signed: &Signed) -> bool {
        let parts = signed.signatures().zip(keys.key_set().keys());
        parts
            .into_iter()
            .all(|((algorithm, message, signature), (_, key))| Verifier.verify(algorithm, key, &message, signature))
    }

    #[test]
    fn kept_keys_sign_as_before() {
        for suite in SUITES {
            let keys = SecretKeys::generate(suite).unwrap();
            let again = SecretKeys::import(&keys.export()).unwrap();
            assert_eq!(again.key_set(), keys.key_set());
            assert!(is_good(&keys, &again.sign(draft(&keys, b"x")).unwrap()));
            assert!(SecretKeys::import(&keys.export()[1..]).is_err());
        }
    }

    // What is written by hand must be what the encoder would write; the decoder takes nothing else.
    #[test]
    fn the_kept_form_is_deterministic_cbor() {
        for suite in SUITES {
            let keys = SecretKeys::generate(suite).unwrap();
            let secrets: Vec<Value> = keys.keys.iter().map(|key| Value::bytes(key.kept.as_slice())).collect();
            let value = record().put(0, 1_u64).put_item(1, &suite).put(2, secrets).build();
            assert_eq!(*keys.export(), value.encode());
            let other_version = [&[0xa3, 0, 2][..], &keys.export()[3..]].concat();
            assert!(SecretKeys::import(&other_version).is_err());
        }
    }

    // RFC 8032 §7.1 test 1 and RFC 6979 A.2.5: keys from seeds are the keys that everybody else derives.
    #[test]
    fn seeds_give_the_keys_of_the_standards() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let seed = |text: &str| <[u8; 32]>::try_from(hex(text)).unwrap();
        let seed_1 = seed("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let keys = SecretKeys::from_seeds(Suite::Ed25519, &[seed_1]).unwrap();
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(keys.key_set().keys().next().unwrap().1, public);
        assert_eq!(*keys.export(), [&hex("a30001010102815820")[..], &seed_1].concat());
        let scalar = seed("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
        let keys = SecretKeys::from_seeds(Suite::Es256, &[scalar]).unwrap();
        let x = hex("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
        assert_eq!(keys.key_set().keys().next().unwrap().1[1..33], x);
        assert_eq!(SecretKeys::import(&keys.export()).unwrap().key_set(), keys.key_set());
        for scalar in [[0; 32], [0xff; 32]] {
            assert!(SecretKeys::from_seeds(Suite::Es256, &[scalar]).is_err());
        }
        assert!(SecretKeys::from_seeds(Suite::Hybrid, &[seed_1]).is_err());
    }

    // A signer that signs for any name would let one key set speak for another.
    #[test]
    fn nothing_is_signed_for_another_key_set() {
        let (a, b) = (SecretKeys::generate(Suite::Ed25519).unwrap(), SecretKeys::generate(Suite::Ed25519).unwrap());
        assert_eq!(a.sign(draft(&b, b"x")), Err(CryptoError::WrongSigner));
        let other_suite = Draft { suite: Suite::Es256, ..draft(&a, b"x") };
        assert_eq!(a.sign(other_suite), Err(CryptoError::WrongSigner));
    }

    // One P-256 point has four forms; if two of them verified, one person could have two key sets.
    #[test]
    fn a_p256_key_has_one_form() {
        let keys = SecretKeys::generate(Suite::Es256).unwrap();
        let signed = keys.sign(draft(&keys, b"x")).unwrap();
        let (algorithm, message, signature) = signed.signatures().next().unwrap();
        let key = keys.key_set().keys().next().unwrap().1;
        let accepts = |key: &[u8]| Verifier.verify(algorithm, key, &message, signature);
        assert!(accepts(key));
        for form in (0..=255_u8).filter(|form| *form != 4) {
            assert!(!accepts(&[&[form], &key[1..]].concat()), "{form:02x}");
            assert!(!accepts(&[&[form], &key[1..33]].concat()), "{form:02x}");
        }
    }

    /// A token in software: right, or with a fault in what it signs.
    struct Token(Ed25519KeyPair, u8);

    impl TokenKey for Token {
        fn public_key(&self) -> [u8; 32] {
            self.0.public_key().as_ref().try_into().unwrap()
        }

        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
            let mut signature = self.0.sign(message).as_ref().to_vec();
            signature[5] ^= self.1;
            Ok(signature)
        }
    }

    fn token(seed: u8, fault: u8) -> Arc<dyn TokenKey> {
        Arc::new(Token(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(), fault))
    }

    // Keys of which one is on a token are kept without it, and come back with it and with no other.
    #[test]
    fn a_key_on_a_token_is_half_of_the_keys() {
        let keys = SecretKeys::with_token(token(1, 0)).unwrap();
        assert!(is_good(&keys, &keys.sign(draft(&keys, b"x")).unwrap()));
        let kept = keys.export();
        let again = SecretKeys::import_with_token(&kept, token(1, 0)).unwrap();
        assert_eq!(again.key_set(), keys.key_set());
        assert!(is_good(&keys, &again.sign(draft(&keys, b"x")).unwrap()));
        assert!(SecretKeys::import(&kept).is_err(), "read without the token");
        let other = SecretKeys::import_with_token(&kept, token(2, 0)).unwrap();
        assert_ne!(other.key_set().id(), keys.key_set().id());
        let whole = SecretKeys::generate(Suite::Hybrid).unwrap().export();
        assert!(SecretKeys::import_with_token(&whole, token(1, 0)).is_err(), "a token that nothing asks for");
        let value = record().put(0, 1_u64).put_item(1, &Suite::Hybrid);
        let places = vec![Value::bytes([]), Value::bytes(keys.keys[1].kept.as_slice())];
        assert_eq!(*kept, value.put(2, places).build().encode());
    }

    #[test]
    fn what_a_token_signs_wrongly_goes_nowhere() {
        let keys = SecretKeys::with_token(token(1, 4)).unwrap();
        assert_eq!(keys.sign(draft(&keys, b"x")), Err(CryptoError::Unavailable));
    }

    #[test]
    fn secrets_are_not_printed() {
        let keys = SecretKeys::generate(Suite::Ed25519).unwrap();
        let printed = format!("{keys:?}");
        assert!(!printed.contains(&format!("{:?}", &keys.keys[0].kept[..4])), "{printed}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        // One flipped bit anywhere in message or signature, and the signature is worth nothing.
        #[test]
        fn a_flipped_bit_is_noticed(payload in prop::collection::vec(any::<u8>(), 1..64), place: prop::sample::Index, bit in 0..8_u8) {
            for suite in SUITES {
                let keys = SecretKeys::generate(suite).unwrap();
                let signed = keys.sign(draft(&keys, &payload)).unwrap();
                prop_assert!(is_good(&keys, &signed));
                for ((algorithm, message, signature), (_, key)) in signed.signatures().zip(keys.key_set().keys()) {
                    let mut bad = signature.to_vec();
                    let at = place.index(bad.len());
                    bad[at] ^= 1 << bit;
                    prop_assert!(!Verifier.verify(algorithm, key, &message, &bad));
                    let mut bad = message.clone();
                    let at = place.index(bad.len());
                    bad[at] ^= 1 << bit;
                    prop_assert!(!Verifier.verify(algorithm, key, &bad, signature));
                }
            }
        }
    }
}
