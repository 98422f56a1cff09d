//! What travels between the parties, and what a party asks of its own driver.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::Core;
use semper_core::cose::Signed;
use semper_core::ids::Slot;
use semper_transfer::payment::operation::HANDOVER_MAX;

/// A message of GX.
///
/// ```text
/// message   = { 0: 1, 1: "promise", 2: promised } / { 0: 1, 1: "final", 2: completed } / { 0: 1, 1: "decline", 3: reason }
///           / { 0: 1, 1: "quittance", 4: signed quittance }
/// promised  = { 0: signed promise, 1: token, 2: payout }                    ; empty where there is none
/// completed = { 0: signed final, 1: release, 2: payout }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Messages 1 and 2.
    Promise(Promised),
    /// Messages 3 and 4.
    Final(Completed),
    /// "Your money has come." From the originator after message 4, from either party after a ruling. Nobody waits for it.
    Quittance(Signed),
    /// "I will not sign." A courtesy that saves waiting; it binds nobody.
    Decline(String),
}

/// A promise, and what its maker hands over with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Promised {
    /// The promise.
    pub promise: Signed,
    /// The token under the lock, if its maker gives money; else empty.
    pub token: Vec<u8>,
    /// Where its maker wants money to go that the peer has locked already; else empty.
    pub payout: Vec<u8>,
}

/// A final, and what its maker hands over with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Completed {
    /// The final.
    pub completion: Signed,
    /// The item: a disclosure for information, an authorisation for money; empty for a signature.
    pub release: Vec<u8>,
    /// As in [`Promised::payout`].
    pub payout: Vec<u8>,
}

/// Longest reason for declining, in bytes.
pub(crate) const REASON_MAX: usize = 1024;
/// Largest disclosure, attestation or authorisation, in bytes.
const RELEASE_MAX: usize = HANDOVER_MAX;
/// Largest proof that information is bad, in bytes.
pub const PROOF_MAX: usize = 64 * 1024;

/// A driver's task: is this the information that was promised? It tries the key on the goods that it has, and answers with [`Examined`].
///
/// ```text
/// examination = { 0: core, 1: slot, 2: release }        ; the peer's disclosure, or the arbiter's attestation
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Examination {
    /// The contract.
    pub core: Core,
    /// The item's slot in it.
    pub slot: Slot,
    /// What is to open it.
    pub release: Vec<u8>,
}

/// What came out.
///
/// ```text
/// examined = { 0: slot, 1: release, 2: "good" / "bad" / "useless", ? 3: proof }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Examined {
    /// The item's slot.
    pub slot: Slot,
    /// What was tried.
    pub release: Vec<u8>,
    /// What was found.
    pub found: Found,
}

/// What an examination found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// The information is here, as promised.
    Good,
    /// It is not what was promised; this proves it to anybody.
    Bad(Vec<u8>),
    /// What was sent opens nothing. Only the arbiter can say more.
    Useless,
}

impl Message {
    /// A refusal, with a reason for people that is cut to what fits.
    pub fn decline(reason: &str) -> Self {
        Message::Decline(cut(reason))
    }
}

/// As much of a reason as fits.
pub(crate) fn cut(reason: &str) -> String {
    let mut end = reason.len().min(REASON_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

impl Promised {
    /// A promise with nothing else.
    pub fn bare(promise: Signed) -> Self {
        Self { promise, token: Vec::new(), payout: Vec::new() }
    }
}

impl Encode for Message {
    fn to_value(&self) -> Value {
        let message = record().put(0, 1_u64);
        match self {
            Message::Promise(promised) => message.put(1, "promise").put_item(2, promised),
            Message::Final(completed) => message.put(1, "final").put_item(2, completed),
            Message::Decline(reason) => message.put(1, "decline").put(3, reason.as_str()),
            Message::Quittance(signed) => message.put(1, "quittance").put_item(4, signed),
        }
        .build()
    }
}

impl Decode for Message {
    const BYTES_MAX: usize = 2 * HANDOVER_MAX + 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let kind = fields.text(1, "kind", 16)?;
        let message = match kind.as_str() {
            "promise" => Message::Promise(fields.item(2, "promise")?),
            "final" => Message::Final(fields.item(2, "final")?),
            "decline" => Message::Decline(fields.text(3, "reason", REASON_MAX)?),
            "quittance" => Message::Quittance(fields.item(4, "quittance")?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of message", found: kind })),
        };
        fields.close()?;
        Ok(message)
    }
}

impl Encode for Promised {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.promise).put_bytes(1, &self.token).put_bytes(2, &self.payout).build()
    }
}

impl Decode for Promised {
    const BYTES_MAX: usize = Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let promised = Self {
            promise: fields.item(0, "promise")?,
            token: fields.bytes(1, "token", HANDOVER_MAX)?,
            payout: fields.bytes(2, "payout", HANDOVER_MAX)?,
        };
        fields.close()?;
        Ok(promised)
    }
}

impl Encode for Completed {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.completion).put_bytes(1, &self.release).put_bytes(2, &self.payout).build()
    }
}

impl Decode for Completed {
    const BYTES_MAX: usize = Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let completed = Self {
            completion: fields.item(0, "final")?,
            release: fields.bytes(1, "release", RELEASE_MAX)?,
            payout: fields.bytes(2, "payout", HANDOVER_MAX)?,
        };
        fields.close()?;
        Ok(completed)
    }
}

impl Encode for Examination {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.core).put_item(1, &self.slot).put_bytes(2, &self.release).build()
    }
}

impl Decode for Examination {
    const BYTES_MAX: usize = Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let core = fields.item(0, "core")?;
        let slot = fields.item(1, "slot")?;
        let release = fields.bytes(2, "release", RELEASE_MAX)?;
        fields.close()?;
        Ok(Self { core, slot, release })
    }
}

impl Encode for Examined {
    fn to_value(&self) -> Value {
        let (found, proof) = match &self.found {
            Found::Good => ("good", None),
            Found::Bad(proof) => ("bad", Some(Value::bytes(proof.as_slice()))),
            Found::Useless => ("useless", None),
        };
        record().put_item(0, &self.slot).put_bytes(1, &self.release).put(2, found).put_some(3, proof).build()
    }
}

impl Decode for Examined {
    const BYTES_MAX: usize = Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let slot = fields.item(0, "slot")?;
        let release = fields.bytes(1, "release", RELEASE_MAX)?;
        let name = fields.text(2, "found", 16)?;
        let found = match name.as_str() {
            "good" => Found::Good,
            "bad" => Found::Bad(fields.bytes(3, "proof", PROOF_MAX)?),
            "useless" => Found::Useless,
            _ => return Err(DecodeError::field("found", Problem::Unknown { what: "finding", found: name })),
        };
        fields.close()?;
        Ok(Self { slot, release, found })
    }
}
