//! One-time keys for answers: the sender of a message puts a fresh key inside the seal, and the inbox seals its answer with it.
//!
//! The key is symmetric: it travels inside the HPKE seal, so only the recipient learns it, and it is as strong as that seal. It is
//! derived from the sender's lasting secret and the envelope's public nonce, so that a sender who stored the sealed bytes and then
//! crashed can still open the answer, and so that two envelopes of one sender have nothing in common.
//!
//! ```text
//! key    = HMAC-SHA256(reply secret, "semper/reply/1" ‖ nonce)
//! answer = nonce (12 bytes) ‖ AES-256-GCM(key, nonce, reply, aad: "semper/reply/1" ‖ H("semper/sealed/1" ‖ envelope))
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_support::crypto::CryptoError;
use zeroize::Zeroizing;

/// The secret from which a sender derives the keys of its answers: 32 random bytes that must survive a restart. Lost, answers to
/// messages that were sealed before cannot be opened; nothing else depends on it.
pub struct ReplySecret(Zeroizing<[u8; 32]>);

impl ReplySecret {
    /// Takes 32 random bytes as the secret.
    pub fn from_array(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key of the envelope with this nonce.
    pub(crate) fn key_for(&self, nonce: &[u8; 16]) -> ReplyKey {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &*self.0));
        context.update(domain::REPLY.as_bytes());
        context.update(nonce);
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(context.sign().as_ref());
        ReplyKey(key)
    }
}

/// The key of the answers to one envelope.
#[derive(Clone)]
pub(crate) struct ReplyKey(Zeroizing<[u8; 32]>);

impl ReplyKey {
    pub(crate) fn from_array(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals an answer to the envelope with this hash.
    pub(crate) fn seal(&self, envelope: &Digest, reply: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut ciphertext = reply.to_vec();
        let nonce = self
            .cipher()?
            .seal_in_place_append_tag(aad(envelope), &mut ciphertext)
            .map_err(|_| CryptoError::NoRandomness)?;
        Ok([nonce.as_ref().as_slice(), &ciphertext].concat())
    }

    /// Opens what [`ReplyKey::seal`] made.
    pub(crate) fn open(&self, envelope: &Digest, sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(CryptoError::Malformed("answer"))?;
        let mut buffer = ciphertext.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let reply =
            self.cipher()?.open_in_place(nonce, aad(envelope), &mut buffer).map_err(|_| CryptoError::CannotOpen)?.len();
        buffer.truncate(reply);
        Ok(buffer)
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, CryptoError> {
        RandomizedNonceKey::new(&AES_256_GCM, &*self.0).map_err(|_| CryptoError::Malformed("reply key"))
    }
}

fn aad(envelope: &Digest) -> Aad<Vec<u8>> {
    Aad::from([domain::REPLY.as_bytes(), envelope.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::from_array([byte; 32])
    }

    // After a crash the sender has only its secret and the stored envelope; the answer must still open.
    #[test]
    fn the_key_comes_back_from_the_secret_and_the_nonce() {
        let sealed = ReplySecret::from_array([7; 32]).key_for(&[1; 16]).seal(&digest(5), b"resolved").unwrap();
        let again = ReplySecret::from_array([7; 32]).key_for(&[1; 16]);
        assert_eq!(again.open(&digest(5), &sealed).unwrap(), b"resolved");
    }

    // An answer to one message that opened for another would let a relay or inbox swap decisions.
    #[test]
    fn an_answer_opens_only_for_its_envelope_key_and_bytes() {
        let secret = ReplySecret::from_array([7; 32]);
        let key = secret.key_for(&[1; 16]);
        let sealed = key.seal(&digest(5), b"resolved").unwrap();
        assert_eq!(key.open(&digest(6), &sealed), Err(CryptoError::CannotOpen));
        assert_eq!(secret.key_for(&[2; 16]).open(&digest(5), &sealed), Err(CryptoError::CannotOpen));
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert_eq!(key.open(&digest(5), &changed), Err(CryptoError::CannotOpen), "byte {i}");
            assert!(key.open(&digest(5), &sealed[..i]).is_err(), "first {i} bytes");
        }
    }
}
