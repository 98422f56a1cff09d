//! What travels: the envelope to an inbox, the letter inside it, and the answer with the receipt.
//!
//! ```text
//! envelope = { 0: 1, 1: nonce (16 bytes), 2: bstr }   ; 2 = HPKE seal of the letter, info "semper/session-transport/1" ‖ nonce
//! letter   = { 0: 1, 1: frame, 2: reply key (32 bytes) }
//! answer   = { 0: 1, 1: signed receipt, 2: key set of its signer, ? 3: sealed reply }
//! ```
//! The envelope says nothing about its sender or its deal. A changed nonce is a changed HPKE context, so every byte of an envelope
//! is either framing, which has one form only, or under the seal.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::party::KeySet;
use semper_support::channel::{Frame, InboxAddress, MESSAGE_BYTES_MAX, Receipt, SealOpening};
use semper_support::crypto::{CryptoError, Open, Seal, Signer};
use zeroize::Zeroizing;

use crate::reply::ReplyKey;

/// Content type of a sealed envelope.
pub const SEALED_TYPE: &str = "application/vnd.semper.sealed";
/// Content type of an answer with a receipt.
pub const ANSWER_TYPE: &str = "application/vnd.semper.answer";
/// Largest answer: a reply as large as a message, and room for the receipt and the key set.
pub(crate) const ANSWER_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 64 * 1024;

/// A sealed message as it travels.
pub(crate) struct Envelope {
    pub(crate) nonce: [u8; 16],
    sealed: Vec<u8>,
}

/// What an envelope holds.
pub(crate) struct Letter {
    pub(crate) frame: Frame,
    pub(crate) reply_key: ReplyKey,
}

/// Why an envelope does not give a letter.
pub(crate) enum Unopened {
    Malformed(DecodeError),
    Sealed(CryptoError),
    /// The seal is for us, but what it holds is not a letter.
    BadLetter(DecodeError),
}

impl Envelope {
    /// Seals a letter for an inbox.
    pub(crate) fn seal(
        seal: &dyn Seal,
        to: &InboxAddress,
        nonce: [u8; 16],
        letter: &Letter,
    ) -> Result<Self, CryptoError> {
        let plaintext = Zeroizing::new(letter.to_bytes());
        let sealed = seal.seal(to.suite, &to.public_key, &context(&nonce), &plaintext)?;
        Ok(Self { nonce, sealed })
    }

    /// Seals a letter with the randomness of an opening.
    pub(crate) fn seal_from(seal: &dyn Seal, to: &InboxAddress, opening: &SealOpening) -> Result<Self, CryptoError> {
        let SealOpening { nonce, seed, letter } = opening;
        let sealed = seal.seal_from(to.suite, &to.public_key, &context(nonce), letter, seed)?;
        Ok(Self { nonce: *nonce, sealed })
    }

    /// The hash by which receipts name an envelope.
    pub(crate) fn digest(bytes: &[u8]) -> Digest {
        Digest::of(domain::SEALED, bytes)
    }
}

impl Letter {
    /// Opens an envelope that came over the network.
    pub(crate) fn open(open: &dyn Open, envelope: &[u8]) -> Result<Self, Unopened> {
        let Envelope { nonce, sealed } = Envelope::from_bytes(envelope).map_err(Unopened::Malformed)?;
        let plaintext = open.open(&context(&nonce), &sealed).map_err(Unopened::Sealed)?;
        Self::from_bytes(&plaintext).map_err(Unopened::BadLetter)
    }
}

/// A sealed message made again: the hash by which receipts name it, and what was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedAgain {
    /// `H("semper/sealed/1" ‖ envelope)`.
    pub digest: Digest,
    /// The message.
    pub frame: Frame,
}

impl SealedAgain {
    /// Seals once more what an opening says. Nothing else gives these bytes: the seed decides the key of the seal, and that with the nonce
    /// decides what stands under it.
    ///
    /// # Errors
    /// In words: the letter is none, key or seed do not have the form of the suite, or the message would be too large to be sent.
    pub fn of(seal: &dyn Seal, to: &InboxAddress, opening: &SealOpening) -> Result<Self, String> {
        let letter = Letter::from_bytes(&opening.letter).map_err(|error| format!("it holds no message: {error}"))?;
        let envelope =
            Envelope::seal_from(seal, to, opening).map_err(|error| format!("it cannot be sealed: {error}"))?;
        let envelope = envelope.to_bytes();
        if envelope.len() > MESSAGE_BYTES_MAX {
            return Err(format!("it would have more than {MESSAGE_BYTES_MAX} bytes"));
        }
        Ok(Self { digest: Envelope::digest(&envelope), frame: letter.frame })
    }
}

fn context(nonce: &[u8; 16]) -> Vec<u8> {
    [domain::TRANSPORT.as_bytes(), nonce].concat()
}

impl Encode for Envelope {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_bytes(1, self.nonce).put_bytes(2, &self.sealed).build()
    }
}

impl Decode for Envelope {
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let nonce = fields.exact(1, "nonce")?;
        let sealed = fields.bytes(2, "sealed", MESSAGE_BYTES_MAX)?;
        fields.close()?;
        Ok(Self { nonce, sealed })
    }
}

impl Encode for Letter {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.frame).put_bytes(2, self.reply_key.as_bytes()).build()
    }
}

impl Decode for Letter {
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let frame = fields.item(1, "frame")?;
        let reply_key = ReplyKey::from_array(fields.exact(2, "reply key")?);
        fields.close()?;
        Ok(Self { frame, reply_key })
    }
}

/// What an inbox or a relay answers when it has stored a message.
pub(crate) struct Answer {
    pub(crate) receipt: Signed,
    pub(crate) keys: KeySet,
    pub(crate) reply: Option<Vec<u8>>,
}

impl Answer {
    /// Signs a receipt and puts it into an answer.
    pub(crate) fn sign(signer: &dyn Signer, receipt: &Receipt, reply: Option<Vec<u8>>) -> Result<Self, CryptoError> {
        let keys = signer.key_set().clone();
        let receipt = signer.sign(receipt.draft(keys.suite(), keys.id()))?;
        Ok(Self { receipt, keys, reply })
    }
}

impl Encode for Answer {
    fn to_value(&self) -> Value {
        let reply = self.reply.as_deref().map(Value::bytes);
        record().put(0, 1_u64).put_item(1, &self.receipt).put_item(2, &self.keys).put_some(3, reply).build()
    }
}

impl Decode for Answer {
    const BYTES_MAX: usize = ANSWER_BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let receipt = fields.item(1, "receipt")?;
        let keys = fields.item(2, "keys")?;
        let reply = fields.optional_item(3, "reply")?;
        fields.close()?;
        Ok(Self { receipt, keys, reply })
    }
}
