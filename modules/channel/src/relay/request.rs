//! What the owner of a mailbox and its relay say to each other.
//!
//! ```text
//! mailbox-request = { 0: 1, 1: mailbox url, 2: number, 3: [* H(envelope)], 4: wait in seconds, 5: most items }
//! signed-request  = { 0: 1, 1: signed mailbox-request, 2: key set of the owner }
//! mail            = { 0: 1, 1: [* { 0: envelope, 1: time of deposit }], 2: how many more wait }
//! ```

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::hash::Digest;
use semper_core::party::KeySet;
use semper_core::time::{Seconds, Time};
use semper_support::channel::MESSAGE_BYTES_MAX;

/// Content type of a signed mailbox request.
pub const MAILBOX_REQUEST_TYPE: &str = "application/vnd.semper.mailbox-request";
/// Content type of mail.
pub const MAIL_TYPE: &str = "application/vnd.semper.mail";
/// Most envelopes that one request removes or fetches.
pub(crate) const ITEMS_MAX: usize = 64;
/// Most bytes of envelopes in one answer: any single one fits.
pub(crate) const MAIL_BYTES_MAX: u64 = MESSAGE_BYTES_MAX as u64;

/// "I have stored these; give me what else there is."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxRequest {
    /// The mailbox's address: a request cannot be used at another relay.
    pub mailbox: String,
    /// Higher than in every earlier request.
    pub number: u64,
    /// Envelopes that the owner has and the relay may forget, by their hashes, at most 64. Unknown ones are passed over.
    pub stored: Vec<Digest>,
    /// How long to wait while the mailbox is empty; the relay may wait less.
    pub wait: Seconds,
    /// Most envelopes in the answer, 0 to 64; with 0 the request only removes.
    pub items_max: usize,
}

impl Statement for MailboxRequest {
    const KIND: Kind = Kind::MailboxRequest;
}

impl Encode for MailboxRequest {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.mailbox.as_str())
            .put(2, self.number)
            .put_list(3, &self.stored)
            .put_item(4, &self.wait)
            .put(5, self.items_max as u64)
            .build()
    }
}

impl Decode for MailboxRequest {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let mailbox = fields.text(1, "mailbox", 2048)?;
        let number = fields.uint(2, "number")?;
        let stored = fields.list(3, "stored", ITEMS_MAX)?;
        let wait = fields.item(4, "wait")?;
        let items_max = usize::from(fields.small::<u8>(5, "items")?).min(ITEMS_MAX);
        fields.close()?;
        Ok(Self { mailbox, number, stored, wait, items_max })
    }
}

/// A signed mailbox request with the keys that it is checked with; their thumbprint is the name of the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// The signed [`MailboxRequest`].
    pub signed: Signed,
    /// The owner's keys.
    pub keys: KeySet,
}

impl Encode for SignedRequest {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.signed).put_item(2, &self.keys).build()
    }
}

impl Decode for SignedRequest {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let signed = fields.item(1, "request")?;
        let keys = fields.item(2, "keys")?;
        fields.close()?;
        Ok(Self { signed, keys })
    }
}

/// What a relay answers.
pub(crate) struct Mail {
    pub(crate) letters: Vec<Letter>,
    /// How many more wait in the mailbox.
    pub(crate) left: u64,
}

/// One envelope from a mailbox.
pub(crate) struct Letter {
    pub(crate) sealed: Vec<u8>,
    pub(crate) time: Time,
}

impl Encode for Mail {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_list(1, &self.letters).put(2, self.left).build()
    }
}

impl Decode for Mail {
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX + 64 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let letters = fields.list(1, "letters", ITEMS_MAX)?;
        let left = fields.uint(2, "left")?;
        fields.close()?;
        Ok(Self { letters, left })
    }
}

impl Encode for Letter {
    fn to_value(&self) -> Value {
        record().put_bytes(0, &self.sealed).put_item(1, &self.time).build()
    }
}

impl Decode for Letter {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let sealed = fields.bytes(0, "sealed", MESSAGE_BYTES_MAX)?;
        let time = fields.item(1, "time")?;
        fields.close()?;
        Ok(Self { sealed, time })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    // An owner and a relay of different versions must mean the same bytes.
    #[test]
    fn the_layouts_stand() {
        let stored = vec![Digest::from_array([0xaa; 32])];
        let request = MailboxRequest { mailbox: "m".to_owned(), number: 7, stored, wait: Seconds(25), items_max: 64 };
        let expected = format!("a6000101616d0207038158 20{}0418 19051840", "aa".repeat(32)).replace(' ', "");
        assert_eq!(hex(&request.to_bytes()), expected);
        assert_eq!(MailboxRequest::from_bytes(&request.to_bytes()).unwrap(), request);

        let letter = Letter { sealed: vec![1, 2], time: Time::from_unix(3) };
        let mail = Mail { letters: vec![letter], left: 4 };
        assert_eq!(hex(&mail.to_bytes()), "a300010181a20042010201030204");
    }

    // More names than the bound would let one request do unbounded work.
    #[test]
    fn a_request_is_bounded() {
        let stored = vec![Digest::from_array([0; 32]); ITEMS_MAX + 1];
        let request = MailboxRequest { mailbox: "m".to_owned(), number: 7, stored, wait: Seconds(0), items_max: 64 };
        assert!(MailboxRequest::from_bytes(&request.to_bytes()).is_err());
    }
}
