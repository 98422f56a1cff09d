//! What payer, payee and whoever may decide over locked money say to each other: signed, so that it proves something later.
//!
//! ```text
//! request = { 0: 1, 1: deal, 2: amount, 3: purpose, 4: system, 5: issuer, 6: details (bytes of the system), 7: expires }
//! order   = { 0: 1, 1: order hash, 2: amount, 3: system, 4: issuer, 5: instruction hash, 6: time }
//! receipt = { 0: 1, 1: deal, 2: statement id of the request, 3: amount, 4: time }
//! release = { 0: 1, 1: lock tag, 2: issuer, 3: to ("payee" / "payer"), 4: amount }
//! ```
//! The order is the dual signature of SET and iKP: it binds what is bought (a hash that only payer and payee can open) and how it is
//! paid (a hash that only payer and issuer can open) without showing either to the wrong side.
//!
//! Source: `spec/payment.md` §2.

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId, StatementId};
use semper_core::time::Time;

use super::means::{ISSUER_MAX, System};

/// Longest purpose of a payment, in bytes of UTF-8.
pub const PURPOSE_MAX: usize = 256;
/// Largest details of a payment request, in bytes.
pub const DETAILS_MAX: usize = 16 * 1024;

/// "Pay me this." By the payee.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaymentRequest {
    /// The deal that it belongs to.
    pub deal: DealId,
    /// How much.
    pub amount: Amount,
    /// What for, in one line.
    pub purpose: String,
    /// By which payment system.
    pub system: System,
    /// At which mint or bank: its address.
    pub issuer: String,
    /// Where to: in the form of the system (a lock key, an account).
    pub details: Vec<u8>,
    /// When the request is no longer honoured.
    pub expires: Time,
}

/// "Pay this." By the payer, after the user has approved it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaymentOrder {
    /// [`order_hash`] of what is paid for.
    pub order: Digest,
    /// How much.
    pub amount: Amount,
    /// By which payment system.
    pub system: System,
    /// At which mint or bank.
    pub issuer: String,
    /// [`instruction_hash`] of how it is paid.
    pub instruction: Digest,
    /// When it was given.
    pub time: Time,
}

/// "I have been paid." By the payee.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaymentReceipt {
    /// The deal.
    pub deal: DealId,
    /// The request that is fulfilled.
    pub request: StatementId,
    /// How much came.
    pub amount: Amount,
    /// When.
    pub time: Time,
}

/// "The money under this lock goes there." By whoever may decide: the payer in favour of the payee, the payee in favour of the
/// payer, the arbiter of the lock either way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Release {
    /// The lock.
    pub tag: Digest,
    /// The mint or bank that keeps it.
    pub issuer: String,
    /// Who gets the money.
    pub to: Side,
    /// How much of it; the rest goes to the other side.
    pub amount: Amount,
}

/// The sides of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Who pays.
    Payer,
    /// Who is paid.
    Payee,
}

/// What a payment is for, as its issuer sees it: nothing can be learnt from it without the salt.
pub fn order_hash(request: StatementId, salt: &[u8; 32]) -> Digest {
    Digest::of_parts(domain::ORDER, &[salt, request.as_bytes()])
}

/// How a payment is made, as its payee sees it. `instruction` is sealed for the issuer or contains a secret of at least 32 bytes.
pub fn instruction_hash(instruction: &[u8]) -> Digest {
    Digest::of(domain::INSTRUCTION, instruction)
}

/// The name of a lock at its issuer: nothing can be learnt about the contract from it without the salt.
pub fn lock_tag(cid: Cid, salt: &[u8; 32]) -> Digest {
    Digest::of_parts(domain::LOCK_TAG, &[salt, cid.as_bytes()])
}

impl Side {
    /// The name in statements.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Payer => "payer",
            Side::Payee => "payee",
        }
    }
}

impl Encode for Side {
    fn to_value(&self) -> Value {
        self.name().into()
    }
}

impl Decode for Side {
    const BYTES_MAX: usize = 16;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        match String::from_value(value)?.as_str() {
            "payer" => Ok(Side::Payer),
            "payee" => Ok(Side::Payee),
            other => Err(DecodeError::field("", Problem::Unknown { what: "side", found: other.to_owned() })),
        }
    }
}

impl Statement for PaymentRequest {
    const KIND: Kind = Kind::PaymentRequest;
}

impl Statement for PaymentOrder {
    const KIND: Kind = Kind::PaymentOrder;
}

impl Statement for PaymentReceipt {
    const KIND: Kind = Kind::PaymentReceipt;
}

impl Statement for Release {
    const KIND: Kind = Kind::Release;
}

impl Encode for PaymentRequest {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.deal)
            .put_item(2, &self.amount)
            .put(3, self.purpose.as_str())
            .put_item(4, &self.system)
            .put(5, self.issuer.as_str())
            .put_bytes(6, &self.details)
            .put_item(7, &self.expires)
            .build()
    }
}

impl Decode for PaymentRequest {
    const BYTES_MAX: usize = DETAILS_MAX + 2048;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let request = Self {
            deal: fields.item(1, "deal")?,
            amount: fields.item(2, "amount")?,
            purpose: fields.text(3, "purpose", PURPOSE_MAX)?,
            system: fields.item(4, "system")?,
            issuer: fields.text(5, "issuer", ISSUER_MAX)?,
            details: fields.bytes(6, "details", DETAILS_MAX)?,
            expires: fields.item(7, "expires")?,
        };
        fields.close()?;
        Ok(request)
    }
}

impl Encode for PaymentOrder {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.order)
            .put_item(2, &self.amount)
            .put_item(3, &self.system)
            .put(4, self.issuer.as_str())
            .put_item(5, &self.instruction)
            .put_item(6, &self.time)
            .build()
    }
}

impl Decode for PaymentOrder {
    const BYTES_MAX: usize = 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let order = Self {
            order: fields.item(1, "order")?,
            amount: fields.item(2, "amount")?,
            system: fields.item(3, "system")?,
            issuer: fields.text(4, "issuer", ISSUER_MAX)?,
            instruction: fields.item(5, "instruction")?,
            time: fields.item(6, "time")?,
        };
        fields.close()?;
        Ok(order)
    }
}

impl Encode for PaymentReceipt {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.deal)
            .put_item(2, &self.request)
            .put_item(3, &self.amount)
            .put_item(4, &self.time)
            .build()
    }
}

impl Decode for PaymentReceipt {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let receipt = Self {
            deal: fields.item(1, "deal")?,
            request: fields.item(2, "request")?,
            amount: fields.item(3, "amount")?,
            time: fields.item(4, "time")?,
        };
        fields.close()?;
        Ok(receipt)
    }
}

impl Encode for Release {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.tag)
            .put(2, self.issuer.as_str())
            .put_item(3, &self.to)
            .put_item(4, &self.amount)
            .build()
    }
}

impl Decode for Release {
    const BYTES_MAX: usize = 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let release = Self {
            tag: fields.item(1, "tag")?,
            issuer: fields.text(2, "issuer", ISSUER_MAX)?,
            to: fields.item(3, "to")?,
            amount: fields.item(4, "amount")?,
        };
        fields.close()?;
        Ok(release)
    }
}
