//! What the bank's word on a hold shows to a stranger: which side has the money of a lock.
//!
//! ```text
//! taken = { 0: 1, 1: "account", 2: bank's key set, 3: signed booking / signed authorisation }
//! ```
//! The payee's details, which are in the contract, say which bank; booking and authorisation name the lock's tag. So nobody has to be believed
//! about which bank or which lock it is.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Signed};
use semper_core::party::KeySet;
use semper_core::signature::{Verify, verify};
use semper_transfer::payment::operation::{HANDOVER_MAX, Lock};
use semper_transfer::payment::statement::Side;

use super::SYSTEM;
use super::answer::{Authorisation, Booking, HoldState, What};
use super::payment::{Condition, Details};

/// The bank's word, with its keys.
pub(super) struct Taken {
    pub(super) bank: KeySet,
    /// A signed [`Booking`] or [`Authorisation`].
    pub(super) said: Signed,
}

/// Which side has taken the money of `lock`, if `shown` proves it.
pub(super) fn judge(verifier: &dyn Verify, lock: &Lock, condition: &Condition, shown: &[u8]) -> Option<Side> {
    let Taken { bank, said } = Taken::from_bytes(shown).ok()?;
    let payee = Details::from_bytes(&lock.payee).ok()?;
    if payee.bank != bank.id() {
        return None;
    }
    if said.kind() == Kind::Booking {
        let booking = verify::<Booking>(verifier, &bank, &said).ok()?;
        let booking = booking.statement();
        let paid = booking.what == What::Payment
            && booking.order == Some(lock.tag)
            && booking.payee == payee.owner.id()
            && booking.amount == lock.amount;
        return paid.then_some(Side::Payee);
    }
    let hold = verify::<Authorisation>(verifier, &bank, &said).ok()?;
    let hold = hold.statement();
    let of_lock = hold.order == lock.tag
        && hold.payee == payee.owner.id()
        && hold.amount == lock.amount
        && hold.condition == Some(condition.hash());
    let side = match hold.state {
        HoldState::Captured if hold.captured == lock.amount.minor() => Side::Payee,
        HoldState::Void | HoldState::Expired | HoldState::Revoked if hold.captured == 0 => Side::Payer,
        _ => return None,
    };
    of_lock.then_some(side)
}

impl Encode for Taken {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put(1, SYSTEM).put_item(2, &self.bank).put_item(3, &self.said).build()
    }
}

impl Decode for Taken {
    const BYTES_MAX: usize = HANDOVER_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        if fields.text(1, "system", 32)? != SYSTEM {
            return Err(DecodeError::field("system", Problem::OutOfRange("of another payment system")));
        }
        let taken = Self { bank: fields.item(2, "bank")?, said: fields.item(3, "statement")? };
        fields.close()?;
        Ok(taken)
    }
}
