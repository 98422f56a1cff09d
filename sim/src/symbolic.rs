//! Symbolic cryptography: signatures that nobody can forge by construction, and that cost one hash.
//!
//! A signature is a tag that an [`Oracle`] makes for the holder of a key and recognises later. The oracle's secret is not in any
//! key, message or signature, so whoever has only those (the adversary of a model) can repeat a signature but never make one for
//! another message. As with ML-DSA, one statement has many valid signatures: [`Hand::sign_again`] makes others.

use semper_core::cose::{Draft, Signed};
use semper_core::party::{Algorithm, KeySet, Suite};
use semper_core::signature::Verify;
use semper_support::crypto::{CryptoError, Signer};
use sha2::{Digest as _, Sha256};

/// Where the variant of a signature stands in it: the first byte. The tag follows.
const TAG: usize = 1;

/// Who knows which signatures exist.
#[derive(Clone, Copy, Debug)]
pub struct Oracle {
    secret: [u8; 32],
}

/// The right to sign with one key set.
#[derive(Clone, Debug)]
pub struct Hand {
    oracle: Oracle,
    key_set: KeySet,
}

impl Oracle {
    /// An oracle of its own algebra: signatures of one are nothing to another.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// The key set with a number, and the right to sign with it.
    pub fn hand(&self, suite: Suite, number: u8) -> Hand {
        let keys = suite.algorithms().iter().map(|algorithm| vec![number; algorithm.public_key_len()]).collect();
        let key_set = KeySet::new(suite, keys).expect("one key of the right length per algorithm");
        Hand { oracle: *self, key_set }
    }

    fn sign(&self, algorithm: Algorithm, public_key: &[u8], message: &[u8], variant: u8) -> Vec<u8> {
        let mut signature = vec![0; algorithm.signature_len()];
        signature[0] = variant;
        let mut hasher = Sha256::new();
        for part in [&self.secret, public_key, &[variant], message] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        signature[TAG..TAG + 32].copy_from_slice(&hasher.finalize());
        signature
    }
}

impl Verify for Oracle {
    fn verify(&self, algorithm: Algorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let variant = signature.first().copied().unwrap_or_default();
        public_key.len() == algorithm.public_key_len()
            && signature == self.sign(algorithm, public_key, message, variant)
    }
}

impl Hand {
    /// Signs as a randomised algorithm would: each `variant` gives other bytes, all of them valid.
    ///
    /// # Errors
    /// `WrongSigner`: the draft names another key set or suite.
    pub fn sign_again(&self, draft: Draft, variant: u8) -> Result<Signed, CryptoError> {
        if draft.signer != self.key_set.id() || draft.suite != self.key_set.suite() {
            return Err(CryptoError::WrongSigner);
        }
        let sign = |(algorithm, key): (Algorithm, &[u8])| {
            self.oracle.sign(algorithm, key, &draft.to_be_signed(algorithm), variant)
        };
        let signatures = self.key_set.keys().map(sign).collect();
        Ok(draft.assemble(signatures).expect("one signature of the right length per algorithm"))
    }
}

impl Signer for Hand {
    fn key_set(&self) -> &KeySet {
        &self.key_set
    }

    fn sign(&self, draft: Draft) -> Result<Signed, CryptoError> {
        self.sign_again(draft, 0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_core::contract::Promise;
    use semper_core::cose::Statement;
    use semper_core::hash::Digest;
    use semper_core::ids::Cid;
    use semper_core::party::Role;
    use semper_core::signature::verify;

    use super::*;

    // If the algebra accepted what nobody signed, every model over it would be worthless; so would one that accepts nothing.
    #[test]
    fn a_signature_is_valid_for_its_signer_and_message_only() {
        let oracle = Oracle::new([1; 32]);
        let (alice, bob) = (oracle.hand(Suite::Hybrid, 1), oracle.hand(Suite::Hybrid, 2));
        let promise =
            Promise { cid: Cid::from_digest(Digest::from_array([7; 32])), role: Role::ORIGINATOR, answers: None };
        let draft = promise.draft(Suite::Hybrid, alice.key_set().id());
        let signed = alice.sign(draft.clone()).unwrap();
        let again = alice.sign_again(draft.clone(), 1).unwrap();
        assert_ne!(signed.bytes(), again.bytes());
        assert_eq!(signed.id(), again.id());
        for good in [&signed, &again] {
            assert!(verify::<Promise>(&oracle, alice.key_set(), good).is_ok());
        }
        assert!(verify::<Promise>(&Oracle::new([2; 32]), alice.key_set(), &signed).is_err());
        assert_eq!(bob.sign(draft), Err(CryptoError::WrongSigner));
        let (algorithm, mut message, signature) = signed.signatures().next().unwrap();
        let (_, key) = alice.key_set().keys().next().unwrap();
        let (_, other) = bob.key_set().keys().next().unwrap();
        assert!(oracle.verify(algorithm, key, &message, signature));
        assert!(!oracle.verify(algorithm, other, &message, signature));
        message.push(0);
        assert!(!oracle.verify(algorithm, key, &message, signature));
    }
}
