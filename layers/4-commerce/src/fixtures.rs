//! What the tests of this crate share.

use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::time::Time;
use semper_exchange::goods::DepositKey;
use semper_support::crypto::{CryptoError, Encapsulate, KemSuite, Secret};

use crate::offer::ArbiterOffer;
use crate::terms::{Arbiter, Named};

/// The present time.
pub(crate) const NOW: Time = Time::from_unix(1_000_000);

/// Hides nothing; enough to see what goes where.
pub(crate) struct Open;

impl Encapsulate for Open {
    fn seed_len(&self, _: KemSuite) -> usize {
        32
    }

    fn encapsulate(&self, _: KemSuite, _: &[u8], seed: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        Ok((seed.to_vec(), Secret::new(seed.to_vec())))
    }

    fn can_be_opened(&self, _: KemSuite, _: &[u8]) -> bool {
        true
    }
}

pub(crate) fn key_set(byte: u8) -> KeySetId {
    KeySetId::from_digest(Digest::from_array([byte; 32]))
}

pub(crate) fn named(name: &str, byte: u8) -> Named {
    Named { name: name.to_owned(), key_set: key_set(byte) }
}

/// The arbiter of every contract here.
pub(crate) fn arbiter() -> Arbiter {
    let deposit_key = DepositKey { suite: KemSuite::X25519, public_key: vec![1; 32] };
    let rules = Digest::from_array([5; 32]);
    Arbiter { key_set: key_set(9), log: key_set(10), rules, deposit_key, lock_key: Vec::new() }
}

/// The same arbiter in an offer.
pub(crate) fn ann() -> ArbiterOffer {
    ArbiterOffer { name: "Ann".to_owned(), key_set: arbiter().key_set }
}
