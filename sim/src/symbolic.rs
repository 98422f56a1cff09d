//! Symbolic cryptography: signatures that nobody can forge by construction, and that cost one hash.
//!
//! A signature is a tag that an [`Oracle`] makes for the holder of a key and recognises later. The oracle's secret is not in any
//! key, message or signature, so whoever has only those (the adversary of a model) can repeat a signature but never make one for
//! another message. As with ML-DSA, one statement has many valid signatures: [`Hand::sign_again`] makes others.
//!
//! Encapsulation is of the same kind: the oracle makes a ciphertext of which only it, for the holder of a [`DepositHand`], finds the
//! secret again.

use semper_core::cose::{Draft, Signed};
use semper_core::party::{Algorithm, KeySet, Suite};
use semper_core::signature::Verify;
use semper_support::crypto::{CryptoError, Decapsulate, Encapsulate, KemSuite, Open, Seal, Secret, Signer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Where the variant of a signature stands in it: the first byte. The tag follows.
const TAG: usize = 1;
/// Longest message that can be sealed: as long as the mask.
const SEALED_MAX: usize = 256 * 32;

/// Who knows which signatures exist.
#[derive(Clone, Copy, Debug)]
pub struct Oracle {
    secret: [u8; 32],
}

/// The right to open what was encapsulated to one key.
#[derive(Clone, Debug)]
pub struct DepositHand {
    oracle: Oracle,
    suite: KemSuite,
    public_key: Vec<u8>,
}

/// The right to open what was sealed for one key.
#[derive(Clone, Debug)]
pub struct SealHand(DepositHand);

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

    /// The encapsulation key with a number, and the right to open what was encapsulated to it.
    pub fn deposit_hand(&self, suite: KemSuite, number: u8) -> DepositHand {
        DepositHand { oracle: *self, suite, public_key: vec![number; suite.public_key_len()] }
    }

    /// The sealing key with a number, and the right to open what was sealed for it.
    pub fn seal_hand(&self, suite: KemSuite, number: u8) -> SealHand {
        SealHand(self.deposit_hand(suite, number))
    }

    fn sign(&self, algorithm: Algorithm, public_key: &[u8], message: &[u8], variant: u8) -> Vec<u8> {
        let mut signature = vec![0; algorithm.signature_len()];
        signature[0] = variant;
        signature[TAG..TAG + 32].copy_from_slice(&self.hash([public_key, &[variant], message]));
        signature
    }

    fn hash(&self, parts: [&[u8]; 3]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for part in [self.secret.as_slice()].into_iter().chain(parts) {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    /// Hides a seed for the holder of a key, or finds it again.
    fn masked(&self, public_key: &[u8], seed: &[u8]) -> Vec<u8> {
        let masks = (0..=u8::MAX).flat_map(|block| self.hash([public_key, b"mask", &[block]]));
        seed.iter().zip(masks).map(|(byte, mask)| byte ^ mask).collect()
    }
}

impl Encapsulate for Oracle {
    fn seed_len(&self, suite: KemSuite) -> usize {
        if suite == KemSuite::XWing { 64 } else { 32 }
    }

    /// The hidden seed, and, where the suite's ciphertext is long enough, a tag over it: a changed one is then not the sender's.
    fn encapsulate(&self, suite: KemSuite, public_key: &[u8], seed: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        if public_key.len() != suite.public_key_len() {
            return Err(CryptoError::Malformed("public key"));
        }
        if seed.len() != self.seed_len(suite) {
            return Err(CryptoError::Malformed("seed"));
        }
        let mut ciphertext = self.masked(public_key, seed);
        ciphertext.extend(self.hash([public_key, b"tag", seed]));
        ciphertext.resize(suite.ciphertext_len(), u8::MAX);
        Ok((ciphertext, Zeroizing::new(self.hash([public_key, b"secret", seed]).to_vec())))
    }

    fn can_be_opened(&self, suite: KemSuite, ciphertext: &[u8]) -> bool {
        let low_order = suite != KemSuite::MlKem768 && ciphertext.last_chunk() == Some(&[0; 32]);
        ciphertext.len() == suite.ciphertext_len() && !low_order
    }
}

/// What is sealed is hidden by a mask and begins with a tag over context and content.
impl Seal for Oracle {
    fn seal(&self, suite: KemSuite, public_key: &[u8], context: &[u8], plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if public_key.len() != suite.public_key_len() || plain.len() > SEALED_MAX {
            return Err(CryptoError::Malformed("public key"));
        }
        let tag = self.hash([public_key, context, plain]);
        Ok([tag.as_slice(), &self.masked(public_key, plain)].concat())
    }

    fn seal_seed_len(&self, _: KemSuite) -> usize {
        0
    }

    /// This seal draws nothing.
    fn seal_from(
        &self,
        suite: KemSuite,
        public_key: &[u8],
        context: &[u8],
        plain: &[u8],
        seed: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        if seed.is_empty() { self.seal(suite, public_key, context, plain) } else { Err(CryptoError::Malformed("seed")) }
    }
}

impl Open for SealHand {
    fn suite(&self) -> KemSuite {
        self.0.suite
    }

    fn public_key(&self) -> &[u8] {
        &self.0.public_key
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let Self(DepositHand { oracle, public_key, .. }) = self;
        let (tag, masked) = sealed.split_at_checked(32).ok_or(CryptoError::Malformed("sealed message"))?;
        let plain = Zeroizing::new(oracle.masked(public_key, masked));
        let right = masked.len() <= SEALED_MAX && oracle.hash([public_key, context, &plain]) == tag;
        if right { Ok(plain) } else { Err(CryptoError::CannotOpen) }
    }
}

impl Decapsulate for DepositHand {
    fn suite(&self) -> KemSuite {
        self.suite
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, CryptoError> {
        let Self { oracle, suite, public_key } = self;
        if !oracle.can_be_opened(*suite, ciphertext) {
            return Err(CryptoError::Malformed("ciphertext"));
        }
        let seed = oracle.masked(public_key, &ciphertext[..oracle.seed_len(*suite)]);
        let (again, secret) = oracle.encapsulate(*suite, public_key, &seed)?;
        if again == ciphertext {
            return Ok(secret);
        }
        Ok(Zeroizing::new(oracle.hash([public_key, b"rejected", ciphertext]).to_vec()))
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

    // A deposit is opened by the arbiter or by the seed, and by nobody else; whatever is put in its place opens to something else.
    #[test]
    fn a_deposit_opens_for_its_holder_and_its_seed_only() {
        let oracle = Oracle::new([1; 32]);
        for suite in [KemSuite::X25519, KemSuite::MlKem768, KemSuite::XWing] {
            let (arbiter, other) = (oracle.deposit_hand(suite, 1), oracle.deposit_hand(suite, 2));
            let seed = vec![5; oracle.seed_len(suite)];
            let (ciphertext, secret) = oracle.encapsulate(suite, arbiter.public_key(), &seed).unwrap();
            assert_eq!(arbiter.decapsulate(&ciphertext).as_ref(), Ok(&secret));
            assert_ne!(other.decapsulate(&ciphertext).as_ref(), Ok(&secret));
            assert_ne!(Oracle::new([2; 32]).deposit_hand(suite, 1).decapsulate(&ciphertext).as_ref(), Ok(&secret));
            let again = oracle.encapsulate(suite, other.public_key(), &seed).unwrap();
            assert!(again.0 != ciphertext && again.1 != secret);
            for place in 0..ciphertext.len() {
                let mut changed = ciphertext.clone();
                changed[place] ^= 1;
                assert_ne!(arbiter.decapsulate(&changed).unwrap(), secret, "{suite:?} {place}");
            }
            let mut low = ciphertext.clone();
            let point = low.len() - 32;
            low[point..].fill(0);
            assert_eq!(arbiter.decapsulate(&low).is_err(), suite != KemSuite::MlKem768);
            assert!(arbiter.decapsulate(&ciphertext[1..]).is_err());
        }
    }
}
