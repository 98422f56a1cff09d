//! Port: the channel. Everything between parties is a sealed message posted to an inbox and answered with a signed receipt.
//!
//! Source: DESIGN §5, `spec/channel.md`.

use async_trait::async_trait;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Statement};
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId, Slot};
use semper_core::party::KeySet;
use semper_core::time::Time;
use zeroize::Zeroizing;

use crate::crypto::KemSuite;

/// Largest sealed message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 20 * 1024 * 1024;

/// Where a party takes its messages.
///
/// ```text
/// inbox = { 0: url, 1: kem suite, 2: kem public key, ? 3: key set (agent) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InboxAddress {
    /// `http://` or `https://` address that takes posts; for a mailbox at a relay, the mailbox's address.
    pub url: String,
    /// How to seal.
    pub suite: KemSuite,
    /// The key to seal for.
    pub public_key: Vec<u8>,
    /// Who takes messages in for the party here, a relay, and signs the receipts; by naming it the party says that what this agent has, it could
    /// have fetched. `None`: the party itself, with the keys that its card names for receipts, or a relay whose receipts prove nothing to strangers.
    pub agent: Option<KeySet>,
}

impl Encode for InboxAddress {
    fn to_value(&self) -> Value {
        let agent = self.agent.as_ref().map(Encode::to_value);
        record()
            .put(0, self.url.as_str())
            .put(1, self.suite.code())
            .put_bytes(2, &self.public_key)
            .put_some(3, agent)
            .build()
    }
}

impl Decode for InboxAddress {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let url = fields.text(0, "url", 2048)?;
        let code = fields.uint(1, "suite")?;
        let suite = KemSuite::from_code(code)
            .ok_or_else(|| DecodeError::field("suite", Problem::Unknown { what: "suite", found: code.to_string() }))?;
        let public_key = fields.bytes(2, "public key", 4096)?;
        let agent = fields.optional_item(3, "agent")?;
        fields.close()?;
        Ok(Self { url, suite, public_key, agent })
    }
}

/// What stands inside a sealed message.
///
/// ```text
/// frame = { 0: 1, 1: kind, 2: deal, 3: slot, 4: seq, 5: body }   ; seq is for diagnostics only
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which protocol the body belongs to, at most 64 bytes (`deal`, `arbiter`).
    pub kind: String,
    /// The deal.
    pub deal: DealId,
    /// The part of the deal.
    pub slot: Slot,
    /// The sender's count of messages in this deal; decides nothing.
    pub seq: u64,
    /// The message.
    pub body: Vec<u8>,
}

impl Encode for Frame {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.kind.as_str())
            .put_item(2, &self.deal)
            .put_item(3, &self.slot)
            .put(4, self.seq)
            .put_bytes(5, &self.body)
            .build()
    }
}

impl Decode for Frame {
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let kind = fields.text(1, "kind", 64)?;
        let deal = fields.item(2, "deal")?;
        let slot = fields.item(3, "slot")?;
        let seq = fields.uint(4, "seq")?;
        let body = fields.bytes(5, "body", MESSAGE_BYTES_MAX)?;
        fields.close()?;
        Ok(Self { kind, deal, slot, seq, body })
    }
}

/// An inbox's receipt: the sealed message with this hash was stored at this time.
///
/// ```text
/// receipt = { 0: 1, 1: H("semper/sealed/1" ‖ sealed message), 2: time, 3: inbox url }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// Hash of the sealed message.
    pub sealed: Digest,
    /// When it was stored.
    pub time: Time,
    /// The inbox.
    pub inbox: String,
}

impl Statement for Receipt {
    const KIND: Kind = Kind::Receipt;
}

impl Encode for Receipt {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.sealed).put_item(2, &self.time).put(3, self.inbox.as_str()).build()
    }
}

impl Decode for Receipt {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let sealed = fields.item(1, "sealed")?;
        let time = fields.item(2, "time")?;
        let inbox = fields.text(3, "inbox", 2048)?;
        fields.close()?;
        Ok(Self { sealed, time, inbox })
    }
}

/// What the receiving node did with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// An answer for the sender, in the clear; the channel seals it for the key that the sender gave.
    pub reply: Option<Vec<u8>>,
}

/// Why a receiving node does not take a message. The sender learns the variant and the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The message is malformed or breaks the protocol; sending it again is useless.
    #[error("{0}")]
    Malformed(String),
    /// The receiver does not want this message (unknown deal, closed deal, too many strangers); sending it again is useless.
    #[error("{0}")]
    Unwanted(String),
    /// The receiver is too busy or its storage failed; try again later.
    #[error("{0}")]
    Busy(String),
}

/// The receiving side of a node: takes opened messages.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// Takes a message and stores what follows from it before returning. The same message may come many times.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was stored.
    async fn deliver(&self, frame: Frame) -> Result<Delivered, Refusal>;
}

/// A sealed message was stored by the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The signed receipt, as it was received. The channel has checked that it names the message.
    pub receipt: Vec<u8>,
    /// Who signed the receipt.
    pub receipt_signer: KeySetId,
    /// The opened answer, if there was one.
    pub reply: Option<Vec<u8>>,
}

/// Why a message was not posted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// No connection, a time-out, an overloaded server: it may have arrived or not. Send it again later.
    #[error("not reachable now: {0}")]
    Unreachable(String),
    /// The other side refused it for good.
    #[error("refused: {0}")]
    Refused(String),
    /// The other side answered with something that is not a receipt for this message.
    #[error("the inbox misbehaved: {0}")]
    Misbehaved(String),
    /// The message or address is not usable; a bug or a bad contact card.
    #[error("cannot be sent: {0}")]
    Unusable(String),
}

/// What gives a sealed message again, byte for byte, with the address that it was sealed for.
///
/// ```text
/// seal-opening = { 0: nonce (16 bytes), 1: seed, 2: letter }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SealOpening {
    /// The nonce of the envelope.
    pub nonce: [u8; 16],
    /// The randomness of the seal; as long as its suite wants it.
    pub seed: Zeroizing<Vec<u8>>,
    /// What is under the seal: the encoded letter, with the frame in it.
    pub letter: Vec<u8>,
}

/// Longest seed of a seal, in bytes.
const SEED_BYTES_MAX: usize = 64;

impl std::fmt::Debug for SealOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealOpening({} bytes)", self.letter.len())
    }
}

impl Encode for SealOpening {
    fn to_value(&self) -> Value {
        record().put_bytes(0, self.nonce).put_bytes(1, &*self.seed).put_bytes(2, &self.letter).build()
    }
}

impl Decode for SealOpening {
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let nonce = fields.exact(0, "nonce")?;
        let seed = Zeroizing::new(fields.bytes(1, "seed", SEED_BYTES_MAX)?);
        let letter = fields.bytes(2, "letter", MESSAGE_BYTES_MAX)?;
        fields.close()?;
        Ok(Self { nonce, seed, letter })
    }
}

/// The sending side of a channel.
#[async_trait]
pub trait Post: Send + Sync {
    /// Seals a frame for an inbox and returns the bytes that go over the wire, to be stored and sent with [`Post::post`].
    ///
    /// # Errors
    /// `Unusable`.
    fn seal(&self, to: &InboxAddress, frame: &Frame) -> Result<Vec<u8>, PostError>;

    /// The same, and what shows later what is under the seal. Whoever has both can tell what was sent, and to whom: keep it only where somebody
    /// wants to prove that.
    ///
    /// # Errors
    /// `Unusable`.
    fn seal_openly(&self, to: &InboxAddress, frame: &Frame) -> Result<(Vec<u8>, SealOpening), PostError>;

    /// Posts sealed bytes once. Posting the same bytes again is harmless.
    ///
    /// # Errors
    /// [`PostError`] says whether to try again.
    async fn post(&self, url: &str, sealed: &[u8]) -> Result<Posted, PostError>;
}
