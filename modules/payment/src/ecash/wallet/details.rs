//! What each side says of itself before money is locked to it.
//!
//! ```text
//! details = { 0: 1, 1: lock key (33 bytes), 2: name of the key (32 bytes), 3: key set }
//! ```
//! The owner derives the secret key again from the name; to others the name says nothing. The key set is the one whose statements go with
//! the payment, so that a proof of it can be judged by itself.

use cashu::{PublicKey, SecretKey};
use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::party::KeySet;
use semper_transfer::payment::module::Step;

use super::seed::KeyUse;
use super::stage::{Run, Stop};

/// A side of a payment or lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Details {
    pub(super) key: PublicKey,
    pub(super) name: [u8; 32],
    pub(super) party: KeySet,
}

impl Run<'_> {
    /// Makes ready to be paid, or for a lock: a key of its own for each operation.
    pub(super) fn expect(&self, amount: Amount) -> Result<Step, Stop> {
        self.minor(amount)?;
        let (name, party) = (*self.id(), self.context.me.clone());
        let details = Details { key: self.seed.key(KeyUse::Lock, &name).public_key(), name, party };
        Ok(Step::to(Vec::new(), self.outcome(0, 0, details.to_bytes())))
    }

    /// The secret key of details, if they are this side's.
    pub(super) fn secret(&self, details: &Details) -> Option<SecretKey> {
        let secret = self.seed.key(KeyUse::Lock, &details.name);
        (secret.public_key() == details.key).then_some(secret)
    }
}

impl Encode for Details {
    fn to_value(&self) -> Value {
        let record = record().put(0, 1_u64).put_bytes(1, self.key.to_bytes()).put_bytes(2, self.name);
        record.put_item(3, &self.party).build()
    }
}

impl Decode for Details {
    const BYTES_MAX: usize = semper_transfer::payment::statement::DETAILS_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let key = fields.bytes(1, "key", 33)?;
        let key = PublicKey::from_slice(&key)
            .map_err(|_| DecodeError::field("key", Problem::OutOfRange("not a point of the curve")))?;
        let details = Self { key, name: fields.exact(2, "name")?, party: fields.item(3, "party")? };
        fields.close()?;
        Ok(details)
    }
}
