//! What travels between the parties.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};

use crate::gx::{Promised, REASON_MAX, cut};

/// A message of LX.
///
/// ```text
/// message = { 0: 1, 1: "promise", 2: promised } / { 0: 1, 1: "preimage", 4: preimage (32 bytes) } / { 0: 1, 1: "decline", 3: reason }
/// ```
/// In a promise the payout is empty: a hash lock pays to the keys that it names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Messages 1 and 2.
    Promise(Promised),
    /// Message 3.
    Preimage([u8; 32]),
    /// "I will not go on." A courtesy that saves waiting; it binds nobody.
    Decline(String),
}

impl Message {
    /// A decline, with its reason cut to what fits.
    pub fn decline(reason: &str) -> Self {
        Message::Decline(cut(reason))
    }
}

impl Encode for Message {
    fn to_value(&self) -> Value {
        let message = record().put(0, 1_u64);
        match self {
            Message::Promise(promised) => message.put(1, "promise").put_item(2, promised),
            Message::Preimage(preimage) => message.put(1, "preimage").put_bytes(4, preimage),
            Message::Decline(reason) => message.put(1, "decline").put(3, reason.as_str()),
        }
        .build()
    }
}

impl Decode for Message {
    const BYTES_MAX: usize = crate::gx::Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let kind = fields.text(1, "kind", 16)?;
        let message = match kind.as_str() {
            "promise" => Message::Promise(fields.item(2, "promise")?),
            "preimage" => Message::Preimage(fields.exact(4, "preimage")?),
            "decline" => Message::Decline(fields.text(3, "reason", REASON_MAX)?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of message", found: kind })),
        };
        fields.close()?;
        Ok(message)
    }
}
