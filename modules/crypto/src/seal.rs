//! Sealing and opening: HPKE (RFC 9180), base mode, HKDF-SHA-256, ChaCha20-Poly1305, with the KEM of the recipient's suite.

use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{MlKem768, X25519HkdfSha256, XWing};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal};
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
        match suite {
            KemSuite::X25519 => seal::<X25519HkdfSha256>(public_key, context, plaintext),
            KemSuite::MlKem768 => seal::<MlKem768>(public_key, context, plaintext),
            KemSuite::XWing => seal::<XWing>(public_key, context, plaintext),
        }
    }
}

fn seal<K: Kem>(public_key: &[u8], context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let public_key = K::PublicKey::from_bytes(public_key).map_err(|_| CryptoError::Malformed("public key"))?;
    let sealed =
        single_shot_seal::<ChaCha20Poly1305, HkdfSha256, K>(&OpModeS::Base, &public_key, context, plaintext, &[]);
    let (encapsulated, ciphertext) = sealed.map_err(|_| CryptoError::Malformed("public key"))?;
    Ok([encapsulated.to_bytes().as_slice(), &ciphertext].concat())
}

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
}
