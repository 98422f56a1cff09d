//! Encapsulation whose randomness is an argument: whoever releases the seed shows what was encapsulated.
//!
//! ```text
//! suite       seed            secret key      shared secret
//! X25519      32: skE         32: skR         DHKEM(X25519, HKDF-SHA256) of RFC 9180 §4.1, with skE as ephemeral key
//! ML-KEM-768  32: m           64: d ‖ z       FIPS 203
//! X-Wing      64: m ‖ skE     32              draft-connolly-cfrg-xwing-kem
//! ```
//! Every shared secret is 32 bytes and binds public key and ciphertext. Points of low order are refused wherever they stand, so that
//! nobody can fix a shared secret alone. Never use one secret key here and in [`OpenKey`](crate::OpenKey): a decapsulation that is
//! shown would open a message.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use ml_kem::kem::{Decapsulate as _, KeyExport as _, TryKeyInit as _};
use ml_kem::ml_kem_768;
use semper_support::crypto::{CryptoError, Decapsulate, Encapsulate, KemSuite, Randomness as _, Secret};
use x_wing::{Decapsulator as _, TryDecapsulate as _};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::SystemRandom;

/// Encapsulates to any public key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encapsulator;

impl Encapsulate for Encapsulator {
    fn seed_len(&self, suite: KemSuite) -> usize {
        match suite {
            KemSuite::X25519 | KemSuite::MlKem768 => 32,
            KemSuite::XWing => x_wing::ENCAPSULATION_RANDOMNESS_SIZE,
        }
    }

    fn encapsulate(&self, suite: KemSuite, public_key: &[u8], seed: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        match suite {
            KemSuite::X25519 => dhkem_encapsulate(&exactly(public_key, "public key")?, &exactly(seed, "seed")?),
            KemSuite::MlKem768 => {
                let key = ml_kem_768::EncapsulationKey::new_from_slice(public_key).map_err(|_| bad_public_key())?;
                let seed = Zeroizing::new(exactly::<32>(seed, "seed")?);
                let (ciphertext, secret) = key.encapsulate_deterministic((&*seed).into());
                Ok((ciphertext.to_vec(), Zeroizing::new(secret.to_vec())))
            }
            KemSuite::XWing => {
                let key = x_wing::EncapsulationKey::try_from(public_key).map_err(|_| bad_public_key())?;
                let seed = Zeroizing::new(exactly::<64>(seed, "seed")?);
                let point = public_key.last_chunk().expect("the key was read, so it is long enough");
                // The crate does not look whether the X25519 half gives a secret at all.
                diffie_hellman(&StaticSecret::from([0; 32]), point).ok_or_else(bad_public_key)?;
                let (ciphertext, secret) = key.encapsulate_deterministic((&*seed).into());
                Ok((ciphertext.to_vec(), Zeroizing::new(secret.to_vec())))
            }
        }
    }

    fn can_be_opened(&self, suite: KemSuite, ciphertext: &[u8]) -> bool {
        // In both suites that have one, the point stands last.
        let point = ciphertext.last_chunk().filter(|_| ciphertext.len() == suite.ciphertext_len());
        point.is_some_and(|point| {
            suite == KemSuite::MlKem768 || diffie_hellman(&StaticSecret::from([0; 32]), point).is_some()
        })
    }
}

/// A secret key that recovers what was encapsulated to it.
pub struct DecapsulationKey {
    kept: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
    key: Key,
}

enum Key {
    X25519(StaticSecret),
    MlKem768(Box<ml_kem_768::DecapsulationKey>),
    XWing(Box<x_wing::DecapsulationKeyRejectNonContrib>),
}

impl DecapsulationKey {
    /// A fresh key.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate(suite: KemSuite) -> Result<Self, CryptoError> {
        let mut secret = Zeroizing::new(vec![0; secret_len(suite)]);
        SystemRandom.fill(&mut secret)?;
        Self::from_secret(suite, &secret)
    }

    /// The key as it is kept: the suite's number (one byte) and the secret key. Whoever has these bytes can decapsulate.
    pub fn export(&self) -> Zeroizing<Vec<u8>> {
        let code = u8::try_from(self.suite().code()).expect("the suites have small numbers");
        Zeroizing::new([&[code], self.kept.as_slice()].concat())
    }

    /// The key from the form in which it is kept.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn import(bytes: &[u8]) -> Result<Self, CryptoError> {
        let (code, secret) = bytes.split_first().ok_or_else(bad_secret_key)?;
        Self::from_secret(KemSuite::from_code((*code).into()).ok_or_else(bad_secret_key)?, secret)
    }

    fn from_secret(suite: KemSuite, secret: &[u8]) -> Result<Self, CryptoError> {
        let (key, public) = match suite {
            KemSuite::X25519 => {
                let key = StaticSecret::from(exactly::<32>(secret, "secret key")?);
                let public = PublicKey::from(&key).to_bytes().to_vec();
                (Key::X25519(key), public)
            }
            KemSuite::MlKem768 => {
                let seed = Zeroizing::new(exactly::<64>(secret, "secret key")?);
                let key = ml_kem_768::DecapsulationKey::from_seed((*seed).into());
                let public = key.encapsulation_key().to_bytes().to_vec();
                (Key::MlKem768(Box::new(key)), public)
            }
            KemSuite::XWing => {
                let seed = Zeroizing::new(exactly::<32>(secret, "secret key")?);
                let key = x_wing::DecapsulationKeyRejectNonContrib::from(*seed);
                let public = key.encapsulation_key().to_bytes().to_vec();
                (Key::XWing(Box::new(key)), public)
            }
        };
        Ok(Self { kept: Zeroizing::new(secret.to_vec()), public, key })
    }
}

impl Decapsulate for DecapsulationKey {
    fn suite(&self) -> KemSuite {
        match self.key {
            Key::X25519(_) => KemSuite::X25519,
            Key::MlKem768(_) => KemSuite::MlKem768,
            Key::XWing(_) => KemSuite::XWing,
        }
    }

    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        let malformed = || CryptoError::Malformed("ciphertext");
        match &self.key {
            Key::X25519(key) => {
                let ephemeral = exactly(ciphertext, "ciphertext")?;
                let dh = diffie_hellman(key, &ephemeral).ok_or_else(malformed)?;
                Ok(dhkem_secret(&dh, &ephemeral, &self.public))
            }
            Key::MlKem768(key) => {
                let ciphertext = ciphertext.try_into().map_err(|_| malformed())?;
                Ok(Zeroizing::new(key.decapsulate(ciphertext).to_vec()))
            }
            Key::XWing(key) => {
                let ciphertext = ciphertext.try_into().map_err(|_| malformed())?;
                let secret = key.try_decapsulate(ciphertext).map_err(|_| malformed())?;
                Ok(Zeroizing::new(secret.to_vec()))
            }
        }
    }
}

impl fmt::Debug for DecapsulationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecapsulationKey({:?})", self.suite())
    }
}

const fn secret_len(suite: KemSuite) -> usize {
    match suite {
        KemSuite::X25519 | KemSuite::XWing => 32,
        KemSuite::MlKem768 => 64,
    }
}

fn dhkem_encapsulate(public_key: &[u8; 32], seed: &[u8; 32]) -> Result<(Vec<u8>, Secret), CryptoError> {
    let ephemeral = StaticSecret::from(*seed);
    let dh = diffie_hellman(&ephemeral, public_key).ok_or_else(bad_public_key)?;
    let encapsulated = PublicKey::from(&ephemeral).to_bytes();
    let secret = dhkem_secret(&dh, &encapsulated, public_key);
    Ok((encapsulated.to_vec(), secret))
}

/// X25519; nothing if the point is of low order, which gives the all-zero secret with every key.
fn diffie_hellman(secret: &StaticSecret, point: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = secret.diffie_hellman(&PublicKey::from(*point));
    shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
}

/// `ExtractAndExpand` of RFC 9180 §4.1 for DHKEM(X25519, HKDF-SHA256), whose number is 0x0020.
fn dhkem_secret(dh: &[u8; 32], encapsulated: &[u8], public_key: &[u8]) -> Secret {
    const SUITE: &[u8] = b"HPKE-v1KEM\x00\x20";
    let labeled_ikm = Zeroizing::new([SUITE, b"eae_prk", dh.as_slice()].concat());
    let mut secret = Zeroizing::new(vec![0; 32]);
    let info = [b"\x00\x20", SUITE, b"shared_secret", encapsulated, public_key];
    hkdf(&[], &labeled_ikm, &info, &mut secret).expect("32 bytes are not too many for HKDF");
    secret
}

/// HKDF-SHA-256; nothing if `out` is longer than 255 hashes.
fn hkdf(salt: &[u8], ikm: &[u8], info: &[&[u8]], out: &mut [u8]) -> Option<()> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    Salt::new(HKDF_SHA256, salt).extract(ikm).expand(info, Length(out.len())).ok()?.fill(out).ok()
}

fn exactly<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], CryptoError> {
    bytes.try_into().map_err(|_| CryptoError::Malformed(what))
}

fn bad_public_key() -> CryptoError {
    CryptoError::Malformed("public key")
}

fn bad_secret_key() -> CryptoError {
    CryptoError::Malformed("secret key")
}

#[cfg(test)]
mod tests;
