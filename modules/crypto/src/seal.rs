//! Sealing and opening: HPKE (RFC 9180), base mode, HKDF-SHA-256, ChaCha20-Poly1305, with the KEM of the recipient's suite.
//!
//! The seed of a seal is the randomness that the KEM draws: `ikmE` of RFC 9180 for X25519 (32 bytes), `m` of FIPS 203 for ML-KEM-768 (32), `eseed`
//! of the X-Wing draft (64).

use std::convert::Infallible;
use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{MlKem768, X25519HkdfSha256, XWing};
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng};
use semper_support::crypto::{CryptoError, KemSuite, Open, Randomness as _, Seal};
use zeroize::Zeroizing;

use crate::SystemRandom;

/// Seals for any recipient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sealer;

impl Seal for Sealer {
    fn seal(
        &self,
        suite: KemSuite,
        public_key: &[u8],
        context: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let mut seed = Zeroizing::new(vec![0; self.seal_seed_len(suite)]);
        SystemRandom.fill(&mut seed)?;
        self.seal_from(suite, public_key, context, plaintext, &seed)
    }

    fn seal_seed_len(&self, suite: KemSuite) -> usize {
        match suite {
            KemSuite::X25519 | KemSuite::MlKem768 => 32,
            KemSuite::XWing => 64,
        }
    }

    fn seal_from(
        &self,
        suite: KemSuite,
        public_key: &[u8],
        context: &[u8],
        plaintext: &[u8],
        seed: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        if seed.len() != self.seal_seed_len(suite) {
            return Err(CryptoError::Malformed("seed"));
        }
        match suite {
            KemSuite::X25519 => seal::<X25519HkdfSha256>(public_key, context, plaintext, seed),
            KemSuite::MlKem768 => seal::<MlKem768>(public_key, context, plaintext, seed),
            KemSuite::XWing => seal::<XWing>(public_key, context, plaintext, seed),
        }
    }
}

fn seal<K: Kem>(public_key: &[u8], context: &[u8], plaintext: &[u8], seed: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let public_key = K::PublicKey::from_bytes(public_key).map_err(|_| CryptoError::Malformed("public key"))?;
    let mut drawn = Drawn { rest: seed, all: true };
    let mode = OpModeS::Base;
    let sealed = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, K>(
        &mode,
        &public_key,
        context,
        plaintext,
        &[],
        &mut drawn,
    );
    let (encapsulated, ciphertext) = sealed.map_err(|_| CryptoError::Malformed("public key"))?;
    // A KEM that draws otherwise than its text says would not give these bytes again elsewhere.
    if !drawn.all || !drawn.rest.is_empty() {
        return Err(CryptoError::Malformed("seed"));
    }
    Ok([encapsulated.to_bytes().as_slice(), &ciphertext].concat())
}

/// The seed as the source of what the KEM draws: each byte once, in order.
struct Drawn<'a> {
    rest: &'a [u8],
    /// Whether there was enough of it.
    all: bool,
}

impl TryRng for Drawn<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        match self.rest.split_at_checked(out.len()) {
            Some((first, rest)) => {
                out.copy_from_slice(first);
                self.rest = rest;
            }
            None => self.all = false,
        }
        Ok(())
    }
}

impl TryCryptoRng for Drawn<'_> {}

/// A secret key that opens what was sealed for it.
pub struct OpenKey {
    suite: KemSuite,
    secret: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

impl OpenKey {
    /// A fresh key.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate(suite: KemSuite) -> Result<Self, CryptoError> {
        match suite {
            KemSuite::X25519 => Self::fresh::<X25519HkdfSha256>(suite),
            KemSuite::MlKem768 => Self::fresh::<MlKem768>(suite),
            KemSuite::XWing => Self::fresh::<XWing>(suite),
        }
    }

    fn fresh<K: Kem>(suite: KemSuite) -> Result<Self, CryptoError> {
        let mut material = Zeroizing::new([0; 64]);
        SystemRandom.fill(&mut *material)?;
        let (secret, public) = K::derive_keypair(&*material);
        let secret = Zeroizing::new(secret.to_bytes().to_vec());
        Ok(Self { suite, secret, public: public.to_bytes().to_vec() })
    }

    /// The key as it is kept: the suite's number (one byte) and the secret key. Whoever has these bytes can open.
    pub fn export(&self) -> Zeroizing<Vec<u8>> {
        let code = u8::try_from(self.suite.code()).expect("the suites have small numbers");
        Zeroizing::new([&[code], self.secret.as_slice()].concat())
    }

    /// The key from the form in which it is kept.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn import(bytes: &[u8]) -> Result<Self, CryptoError> {
        let malformed = || CryptoError::Malformed("secret key");
        let (code, secret) = bytes.split_first().ok_or_else(malformed)?;
        let suite = KemSuite::from_code((*code).into()).ok_or_else(malformed)?;
        let public = match suite {
            KemSuite::X25519 => public_of::<X25519HkdfSha256>(secret),
            KemSuite::MlKem768 => public_of::<MlKem768>(secret),
            KemSuite::XWing => public_of::<XWing>(secret),
        };
        Ok(Self { suite, secret: Zeroizing::new(secret.to_vec()), public: public.ok_or_else(malformed)? })
    }
}

fn public_of<K: Kem>(secret: &[u8]) -> Option<Vec<u8>> {
    let secret = K::PrivateKey::from_bytes(secret).ok()?;
    Some(K::sk_to_pk(&secret).to_bytes().to_vec())
}

impl Open for OpenKey {
    fn suite(&self) -> KemSuite {
        self.suite
    }

    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match self.suite {
            KemSuite::X25519 => open::<X25519HkdfSha256>(&self.secret, context, sealed),
            KemSuite::MlKem768 => open::<MlKem768>(&self.secret, context, sealed),
            KemSuite::XWing => open::<XWing>(&self.secret, context, sealed),
        }
    }
}

fn open<K: Kem>(secret: &[u8], context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let secret = K::PrivateKey::from_bytes(secret).map_err(|_| CryptoError::Malformed("secret key"))?;
    let Some((encapsulated, ciphertext)) = sealed.split_at_checked(K::EncappedKey::size()) else {
        return Err(CryptoError::Malformed("sealed message"));
    };
    let encapsulated = K::EncappedKey::from_bytes(encapsulated).map_err(|_| CryptoError::CannotOpen)?;
    let mode = OpModeR::Base;
    let opened =
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, K>(&mode, &secret, &encapsulated, context, ciphertext, &[]);
    opened.map(Zeroizing::new).map_err(|_| CryptoError::CannotOpen)
}

impl fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenKey({:?})", self.suite)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SUITES: [KemSuite; 3] = [KemSuite::X25519, KemSuite::MlKem768, KemSuite::XWing];

    #[test]
    fn what_was_sealed_is_opened_and_nothing_else() {
        for suite in SUITES {
            let key = OpenKey::generate(suite).unwrap();
            let sealed = Sealer.seal(suite, key.public_key(), b"context", b"hello").unwrap();
            assert_eq!(&**key.open(b"context", &sealed).unwrap(), b"hello");
            assert_eq!(&**OpenKey::import(&key.export()).unwrap().open(b"context", &sealed).unwrap(), b"hello");
            assert!(key.open(b"another context", &sealed).is_err());
            assert!(OpenKey::generate(suite).unwrap().open(b"context", &sealed).is_err());
            for place in 0..sealed.len() {
                let mut bad = sealed.clone();
                bad[place] ^= 0x10;
                assert!(key.open(b"context", &bad).is_err(), "{suite:?} byte {place}");
            }
            for len in [0, 1, 31, sealed.len() - 1] {
                assert!(key.open(b"context", &sealed[..len]).is_err());
            }
            assert!(Sealer.seal(suite, &key.public_key()[1..], b"", b"").is_err());
        }
    }

    // What a sender shows to a judge is believed because the same seed gives the same bytes, here and in any other implementation.
    #[test]
    fn published_vectors_come_out() {
        let file: serde_json::Value = serde_json::from_str(include_str!("../tests/vectors/hpke.json")).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let bytes =
                |field: &str| data_encoding::HEXLOWER.decode(vector[field].as_str().unwrap().as_bytes()).unwrap();
            let suite = KemSuite::from_code(vector["suite"].as_u64().unwrap()).unwrap();
            let (public, info, plaintext, seed) = (bytes("public"), bytes("info"), bytes("plaintext"), bytes("seed"));
            let sealed = Sealer.seal_from(suite, &public, &info, &plaintext, &seed).unwrap();
            let (encapsulated, ciphertext) = sealed.split_at(suite.ciphertext_len());
            assert_eq!(encapsulated, bytes("encapsulated"), "{}", vector["name"]);
            // Our associated data is empty, which the tag shows and nothing before it.
            let expected = bytes("ciphertext");
            assert_eq!(ciphertext.len(), expected.len());
            assert_eq!(ciphertext[..plaintext.len()], expected[..plaintext.len()], "{}", vector["name"]);
            assert_ne!(ciphertext, expected);
            let kept = [&[u8::try_from(suite.code()).unwrap()], bytes("secret").as_slice()].concat();
            assert_eq!(**OpenKey::import(&kept).unwrap().open(&info, &sealed).unwrap(), *plaintext);
        }
    }

    // Whoever shows a seed shows what is under the seal: if another seed, key, context or text gave the same bytes, it would show nothing.
    #[test]
    fn a_seed_decides_every_byte() {
        for suite in SUITES {
            let (key, other) = (OpenKey::generate(suite).unwrap(), OpenKey::generate(suite).unwrap());
            let seed: Vec<u8> = (0..Sealer.seal_seed_len(suite)).map(|byte| u8::try_from(byte).unwrap()).collect();
            let seal = |key: &OpenKey, context: &[u8], text: &[u8], seed: &[u8]| {
                Sealer.seal_from(suite, key.public_key(), context, text, seed)
            };
            let sealed = seal(&key, b"context", b"hello", &seed).unwrap();
            assert_eq!(seal(&key, b"context", b"hello", &seed).unwrap(), sealed);
            assert_eq!(&**key.open(b"context", &sealed).unwrap(), b"hello");
            assert_ne!(seal(&other, b"context", b"hello", &seed).unwrap(), sealed);
            assert_ne!(seal(&key, b"Context", b"hello", &seed).unwrap(), sealed);
            assert_ne!(seal(&key, b"context", b"hallo", &seed).unwrap(), sealed);
            for place in 0..seed.len() {
                let mut changed = seed.clone();
                // Not a bit that X25519 leaves out of account: with those the secret is the same, and so is what is under the seal.
                changed[place] ^= 0x10;
                assert_ne!(seal(&key, b"context", b"hello", &changed).unwrap(), sealed, "{suite:?} byte {place}");
            }
            for wrong in [&seed[1..], &[seed.as_slice(), &[0]].concat()] {
                assert_eq!(seal(&key, b"context", b"hello", wrong), Err(CryptoError::Malformed("seed")));
            }
            let fresh = Sealer.seal(suite, key.public_key(), b"context", b"hello").unwrap();
            assert_ne!(fresh, Sealer.seal(suite, key.public_key(), b"context", b"hello").unwrap());
        }
    }
}
