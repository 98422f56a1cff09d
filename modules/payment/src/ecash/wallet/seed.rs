//! The owner's seed, and everything that is derived from it: coins (NUT-13), keys of locks, keys of quotes.
//!
//! What is derived can be derived again after a crash, and coins of NUT-13 also in another wallet, from the words alone. Coins that were
//! locked to somebody are not of NUT-13: they are in the records of the purse only.

use bip39::Mnemonic;
use cashu::secret::Secret;
use cashu::{BlindedMessage, Id, SecretKey};
use semper_core::domain;
use semper_core::hash::Digest;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ecash::condition::Condition;
use crate::ecash::crypto::hash_to_curve;

/// The highest counter of a keyset, by BIP 32.
pub(super) const COUNTER_MAX: u32 = (1 << 31) - 1;

/// The seed of words (BIP-39, without a passphrase, as every wallet of this protocol has it); `None` if these are no such words.
pub fn seed_of_words(words: &str) -> Option<Zeroizing<[u8; 64]>> {
    let words: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
    Mnemonic::parse_normalized(&words.to_lowercase()).ok().map(|words| Zeroizing::new(words.to_seed_normalized("")))
}

/// The seed.
pub(super) struct Seed(pub(super) Zeroizing<[u8; 64]>);

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KeyUse {
    /// To be paid by, or to take part in a lock.
    Lock,
    /// To decide over the locks of others.
    Arbiter,
    /// To take a payment back.
    Refund,
    /// To use a quote that was paid.
    Quote,
    /// Not a key: what hides a payment instruction from the payee.
    Order,
}

/// A blinded message, and what turns its signature into a coin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Output {
    pub(super) message: BlindedMessage,
    pub(super) secret: Secret,
    pub(super) r: SecretKey,
}

impl Seed {
    /// The output of a counter (NUT-13); `amount` 0 for one that the mint fills in.
    pub(super) fn output(&self, id: Id, counter: u32, amount: u64) -> Output {
        // Fails for a hash that is no scalar, once in 2^127, and for counters above COUNTER_MAX, which nobody hands out.
        let secret = Secret::from_seed(&self.0, id, counter).expect("a counter is below 2^31");
        let r = SecretKey::from_seed(&self.0, id, counter).expect("a counter is below 2^31");
        Output::new(id, amount, secret, r)
    }

    /// The `place`-th output under a condition that an operation makes.
    pub(super) fn locked(
        &self,
        condition: &Condition,
        id: Id,
        amount: u64,
        operation: &[u8; 32],
        place: usize,
    ) -> Output {
        let place = (place as u64).to_be_bytes();
        let nonce = Digest::of_parts(domain::PURSE, &[&*self.0, operation, &place, b"nonce"]);
        let r = self.scalar(&[operation, &place, b"blinding"]);
        Output::new(id, amount, Secret::new(condition.secret(nonce.as_bytes())), r)
    }

    /// The key for `what` that belongs to `name`.
    pub(super) fn key(&self, what: KeyUse, name: &[u8; 32]) -> SecretKey {
        let what: &[u8] = match what {
            KeyUse::Lock => b"lock key",
            KeyUse::Arbiter => b"arbiter key",
            KeyUse::Refund => b"refund key",
            KeyUse::Quote => b"quote key",
            KeyUse::Order => b"order",
        };
        self.scalar(&[name, what])
    }

    /// The key that text tokens may be locked to.
    pub(super) fn receiving(&self) -> SecretKey {
        self.key(KeyUse::Lock, &[0; 32])
    }

    /// The long-term key of an arbiter: each lock is under a key that is made from it ([`crate::ecash::crypto::lock_key`]).
    pub(super) fn arbiter(&self) -> SecretKey {
        self.key(KeyUse::Arbiter, &[0; 32])
    }

    fn scalar(&self, parts: &[&[u8]]) -> SecretKey {
        let parts: Vec<&[u8]> = std::iter::once(self.0.as_slice()).chain(parts.iter().copied()).collect();
        let hash = Zeroizing::new(*Digest::of_parts(domain::PURSE, &parts).as_bytes());
        SecretKey::from_slice(&*hash).expect("a hash is a scalar but once in 2^127")
    }
}

impl Output {
    fn new(id: Id, amount: u64, secret: Secret, r: SecretKey) -> Self {
        let y = hash_to_curve(secret.as_bytes());
        let blinded = y.combine(&r.public_key()).expect("a hash is not the negative of a derived key").into();
        Self { message: BlindedMessage::new(amount.into(), id, blinded), secret, r }
    }

    pub(super) fn amount(&self) -> u64 {
        self.message.amount.to_u64()
    }
}
