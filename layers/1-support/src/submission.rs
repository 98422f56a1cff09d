//! Port: proofs of submission, as evidence is read that carries them.
//!
//! An inbox or relay signs a receipt for sealed bytes and cannot say what is in them. The sender can: it keeps the randomness of the seal and the
//! letter, from which anybody makes the same bytes again for the recipient's key, and finds the receipt that names them. Whose key the receipt must be
//! signed with, the recipient's own contact card says, so the card is part of the proof.
//!
//! The formats of cards, envelopes and messages belong to others: whoever puts them together implements [`ReadSubmissions`].
//!
//! Source: `spec/submission.md` (design/exchange.md §5.11).

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::ids::{DealId, KeySetId, StatementId};
use semper_core::party::Suite;
use semper_core::time::Time;

use crate::channel::SealOpening;

/// Largest letter whose submission can be proven, in bytes: a proof holds it whole.
pub const LETTER_BYTES_MAX: usize = 1024 * 1024;
/// Largest proof, in bytes: a letter, a card, and the rest.
pub const SUBMISSION_BYTES_MAX: usize = LETTER_BYTES_MAX + CARD_BYTES_MAX + 1024;
/// Largest signed card, in bytes.
const CARD_BYTES_MAX: usize = 96 * 1024;

/// What a sender keeps of a message whose submission it wants to prove. With the receipt for it, it is the proof.
///
/// ```text
/// submission = { 0: 1, 1: signed contact card, 2: number of the inbox on it, 3: seal-opening }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmissionProof {
    /// The recipient's contact card as it was when the message was sealed.
    pub card: Vec<u8>,
    /// Which inbox on the card, from 0.
    pub inbox: u8,
    /// What gives the sealed message again.
    pub opening: SealOpening,
}

impl Encode for SubmissionProof {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_bytes(1, &self.card).put(2, u64::from(self.inbox)).put_item(3, &self.opening).build()
    }
}

impl Decode for SubmissionProof {
    const BYTES_MAX: usize = SUBMISSION_BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let card = fields.bytes(1, "card", CARD_BYTES_MAX)?;
        let inbox = u8::try_from(fields.uint(2, "inbox")?)
            .map_err(|_| DecodeError::field("inbox", Problem::OutOfRange("there are at most 256 inboxes")))?;
        let opening: SealOpening = fields.item(3, "opening")?;
        fields.close()?;
        if opening.letter.len() > LETTER_BYTES_MAX {
            return Err(DecodeError::field("letter", Problem::Oversized { limit: LETTER_BYTES_MAX }));
        }
        Ok(Self { card, inbox, opening })
    }
}

/// What a proof of submission shows. That the recipient has read the message it does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// For whom: who signed the card.
    pub recipient: KeySetId,
    /// The deal that the message belongs to.
    pub deal: DealId,
    /// The message of the deal's engine, as the recipient's node reads it.
    pub message: Vec<u8>,
    /// Who has it, and since when; `None` while there is no receipt.
    pub handed: Option<Handed>,
}

/// A receipt for a submitted message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Who signed it: the agent that the recipient's card names.
    pub agent: KeySetId,
    /// When the agent had stored the message, by its clock.
    pub time: Time,
    /// The receipt.
    pub receipt: StatementId,
    /// The card.
    pub card: StatementId,
    /// How receipt and card are signed.
    pub suites: [Suite; 2],
}

/// Reads proofs of submission.
pub trait ReadSubmissions: Send + Sync {
    /// Checks the card's signature, makes the sealed message again, and looks for the oldest receipt for it by the agent that the card names. Other
    /// receipts are passed over.
    ///
    /// # Errors
    /// In words why it proves nothing, whatever receipts there are.
    fn read(&self, submission: &[u8], receipts: &[Vec<u8>]) -> Result<Submitted, String>;
}
