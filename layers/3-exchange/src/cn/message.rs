//! What travels between the parties.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::Signed;

/// A message of CN, to every other party.
///
/// ```text
/// message = { 0: 1, 1: "round", 2: signed round } / { 0: 1, 1: "decline", 3: reason }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// The sender's signature on a round.
    Round(Signed),
    /// "I will not sign." A courtesy that saves waiting; it binds nobody.
    Decline(String),
}

/// Longest reason for declining, in bytes.
const REASON_MAX: usize = 1024;

impl Encode for Message {
    fn to_value(&self) -> Value {
        let message = record().put(0, 1_u64);
        match self {
            Message::Round(signed) => message.put(1, "round").put_item(2, signed),
            Message::Decline(reason) => message.put(1, "decline").put(3, reason.as_str()),
        }
        .build()
    }
}

impl Decode for Message {
    const BYTES_MAX: usize = 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let kind = fields.text(1, "kind", 16)?;
        let message = match kind.as_str() {
            "round" => Message::Round(fields.item(2, "round")?),
            "decline" => Message::Decline(fields.text(3, "reason", REASON_MAX)?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of message", found: kind })),
        };
        fields.close()?;
        Ok(message)
    }
}
