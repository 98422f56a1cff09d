//! The messages of PAY.

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::Signed;

use super::REFUSAL_MAX;
use crate::payment::means::{Means, PayerAnonymity};
use crate::payment::negotiation::{Demand, MEANS_MAX};
use crate::payment::operation::HANDOVER_MAX;
use crate::payment::statement::PURPOSE_MAX;

/// A message of PAY.
///
/// ```text
/// message = { 0: 1, 1: "offer", 2: amount, 3: purpose, 4: [* means], 5: anonymity }
///         / { 0: 1, 1: "request", 4: [* means], 6: signed request }
///         / { 0: 1, 1: "refusal", 7: reason }
///         / { 0: 1, 1: "payment", 8: token, 9: salt }
///         / { 0: 1, 1: "receipt", 10: signed receipt }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Message 1.
    Offer(Offer),
    /// Message 2: yes.
    Request {
        /// The payee's signed request.
        request: Signed,
        /// The payee's means, the one it likes best first.
        means: Vec<Means>,
    },
    /// Message 2: no, and why.
    Refusal(String),
    /// Message 3.
    Payment {
        /// What the payee's means takes the money from.
        token: Vec<u8>,
        /// Opens the order's hash.
        salt: [u8; 32],
    },
    /// Message 4.
    Receipt(Signed),
}

/// What the payer offers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// How much.
    pub amount: Amount,
    /// What for, in one line.
    pub purpose: String,
    /// What must stay unknown about the payer.
    pub anonymity: PayerAnonymity,
    /// The payer's means, the one it likes best first.
    pub means: Vec<Means>,
}

impl Offer {
    /// What the payment demands of its means.
    pub fn demand(&self) -> Demand {
        Demand { amount: self.amount, anonymity: self.anonymity, lock: None }
    }
}

impl Encode for Offer {
    fn to_value(&self) -> Value {
        record()
            .put_item(2, &self.amount)
            .put(3, self.purpose.as_str())
            .put_list(4, &self.means)
            .put_item(5, &self.anonymity)
            .build()
    }
}

impl Decode for Offer {
    const BYTES_MAX: usize = MEANS_MAX * Means::BYTES_MAX + 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let offer = Self::from_fields(&mut fields)?;
        fields.close()?;
        Ok(offer)
    }
}

impl Offer {
    fn from_fields(fields: &mut Fields) -> Result<Self, DecodeError> {
        Ok(Self {
            amount: fields.item(2, "amount")?,
            purpose: fields.text(3, "purpose", PURPOSE_MAX)?,
            means: fields.list(4, "means", MEANS_MAX)?,
            anonymity: fields.item(5, "anonymity")?,
        })
    }
}

impl Encode for Message {
    fn to_value(&self) -> Value {
        let message = record().put(0, 1_u64);
        match self {
            Message::Offer(offer) => message
                .put(1, "offer")
                .put_item(2, &offer.amount)
                .put(3, offer.purpose.as_str())
                .put_list(4, &offer.means)
                .put_item(5, &offer.anonymity),
            Message::Request { request, means } => message.put(1, "request").put_list(4, means).put_item(6, request),
            Message::Refusal(reason) => message.put(1, "refusal").put(7, reason.as_str()),
            Message::Payment { token, salt } => message.put(1, "payment").put_bytes(8, token).put_bytes(9, salt),
            Message::Receipt(receipt) => message.put(1, "receipt").put_item(10, receipt),
        }
        .build()
    }
}

impl Decode for Message {
    const BYTES_MAX: usize = HANDOVER_MAX + 128 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let kind = fields.text(1, "kind", 16)?;
        let f = &mut fields;
        let message = match kind.as_str() {
            "offer" => Message::Offer(Offer::from_fields(f)?),
            "request" => Message::Request { means: f.list(4, "means", MEANS_MAX)?, request: f.item(6, "request")? },
            "refusal" => Message::Refusal(f.text(7, "reason", REFUSAL_MAX)?),
            "payment" => Message::Payment { token: f.bytes(8, "token", HANDOVER_MAX)?, salt: f.exact(9, "salt")? },
            "receipt" => Message::Receipt(f.item(10, "receipt")?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of message", found: kind })),
        };
        fields.close()?;
        Ok(message)
    }
}
