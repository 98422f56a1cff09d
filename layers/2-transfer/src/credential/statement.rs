//! What issuer and holder say: signed, so that it proves something later.
//!
//! ```text
//! credential = { 0: 1, 1: serial (16 bytes), 2: issuer's address, 3: holder (key set id), 4: right, 5: [* key set id], ? 6: uses,
//!                7: transferable, 8: valid from, 9: valid until, ? 10: condition }
//!              ; 5: who honours it, anybody if empty; 6: none if it may be used freely; 10: if it was passed on under a contract
//! condition = { 0: tag, 1: arbiter (key set id), 2: until, 3: giver (key set id) }
//! credential-transfer = { 0: 1, 1: serial, 2: new holder (key set id), ? 3: condition }
//! reservation-request = { 0: 1, 1: serial, 2: tag, 3: arbiter (key set id), 4: until }
//! reservation         = { 0: 1, 1: serial, 2: tag, 3: arbiter (key set id), 4: until, ? 5: use }        ; 5 unless it may be used freely
//! spend               = { 0: 1, 1: serial, 2: tag, 3: use, 4: time }
//! bundle              = { 0: 1, 1: key set of the issuer, 2: signed credential, ? 3: signed reservation }
//! submission          = { 0: 1, 1: signed credential-transfer or reservation-request, 2: key set of its signer }
//!                     / { 0: 1, 1: signed final, quittance or verdict, 2: key set of its signer, 3: serial, 4: salt }
//! tag                 = H("semper/use-tag/1" ‖ salt ‖ cid)
//! ```
//! Source: `spec/credential.md` §2.

use std::fmt;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, KeySetId, StatementId};
use semper_core::party::KeySet;
use semper_core::signature::{SignatureError, Verified, Verify, verify};
use semper_core::text::is_plain_line;
use semper_core::time::Time;

use crate::payment::means::ISSUER_MAX;

/// Longest right, in bytes of UTF-8: one line.
pub const RIGHT_MAX: usize = 256;
/// Most key sets that a credential names as its audience.
pub const AUDIENCE_MAX: usize = 16;
/// Most uses of one credential.
pub const USES_MAX: u32 = 1000;

/// Longest file of a credential, in bytes of text.
pub const FILE_MAX: usize = 64 * 1024;

/// A credential's serial number: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; 16]);

/// "Whoever signs with these keys has this right." By the issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credential {
    /// Names it, for ever.
    pub serial: Serial,
    /// Where its issuer answers: an address.
    pub issuer: String,
    /// Whose it is.
    pub holder: KeySetId,
    /// The right, in one line.
    pub right: String,
    /// Who honours it; anybody if empty.
    pub audience: Vec<KeySetId>,
    /// How often it can be used.
    pub uses: Uses,
    /// Whether its holder may pass it on.
    pub transferable: bool,
    /// From when on it is valid.
    pub from: Time,
    /// The last second in which it is valid.
    pub until: Time,
    /// Under what it was passed on to its holder, if under a contract that had not ended.
    pub condition: Option<Condition>,
}

/// Under what a credential is passed on: a contract, whose arbiter may have it called back until a date.
///
/// ```text
/// condition = { 0: tag, 1: arbiter (key set id), 2: until, 3: giver (key set id) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The contract, as its issuer sees it: [`use_tag`].
    pub tag: Digest,
    /// The arbiter of the contract, whose verdict `revoked` has the credential called back, and whose verdict `resolved` ends the condition.
    pub arbiter: KeySetId,
    /// The last second in which it can be called back.
    pub until: Time,
    /// Who passes it on, and has it again if it is called back; whose quittance ends the condition.
    pub giver: KeySetId,
}

/// How often a credential can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Uses {
    /// As often as its holder likes, as long as it is valid.
    Unlimited,
    /// So many times, from 1 to [`USES_MAX`].
    Counted(u32),
}

/// "It is theirs now." By the holder of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialTransfer {
    /// The credential.
    pub serial: Serial,
    /// Who gets it.
    pub to: KeySetId,
    /// Under what; none if for ever, as a gift is.
    pub condition: Option<Condition>,
}

/// "Keep a use for this contract." By the holder of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReservationRequest {
    /// The credential.
    pub serial: Serial,
    /// The contract, as its issuer sees it: [`use_tag`].
    pub tag: Digest,
    /// The arbiter of the contract, whose verdict takes the use or frees it.
    pub arbiter: KeySetId,
    /// Until when it is to be kept.
    pub until: Time,
}

/// "A use is kept for this contract." By the issuer. For a credential without a number of uses: "it is good for this contract".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reservation {
    /// The credential.
    pub serial: Serial,
    /// The contract, as its issuer sees it.
    pub tag: Digest,
    /// Whose verdict takes the use or frees it.
    pub arbiter: KeySetId,
    /// Until when it is kept, this second included.
    pub until: Time,
    /// Which use, from 1; none if it may be used freely.
    pub number: Option<u32>,
}

/// "This use was taken." By the issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spend {
    /// The credential.
    pub serial: Serial,
    /// The contract that it was used for, as its issuer sees it.
    pub tag: Digest,
    /// Which use, from 1.
    pub number: u32,
    /// When.
    pub time: Time,
}

/// A credential with what is needed to check it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bundle {
    /// The issuer's keys. Whether they are the right ones is for whoever checks to say.
    pub issuer: KeySet,
    /// The credential.
    pub credential: Signed,
    /// What its issuer keeps for the contract that it is shown under.
    pub reservation: Option<Signed>,
}

/// What is sent to an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Submission {
    /// A [`CredentialTransfer`] or [`ReservationRequest`] of the holder; or its final, or an arbiter's verdict, on the contract that a use is kept for;
    /// or, on the contract that it was passed on under, an arbiter's verdict or the quittance of whoever has passed it on.
    pub statement: Signed,
    /// The keys of its signer.
    pub signer: KeySet,
    /// What finds the use or the condition of a contract that has ended: the credential, and the salt of the [`use_tag`].
    pub kept: Option<(Serial, [u8; 32])>,
}

/// A submission on its way. Between an engine and its driver only.
///
/// ```text
/// errand = { 0: issuer's address, 1: submission }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Errand {
    /// Where the issuer answers.
    pub issuer: String,
    /// What it is sent.
    pub submission: Submission,
}

/// What has become of an errand. Between an engine and its driver only.
///
/// ```text
/// reply = { 0: statement id of what was submitted, ? 1: signed statement, ? 2: reason }        ; 2 where the issuer refuses
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// What was submitted.
    pub to: StatementId,
    /// The issuer's statement, if it has something to say; or why it refuses, in words.
    pub said: Result<Option<Signed>, String>,
}

/// Longest reason of a refusal, in bytes of UTF-8.
const REASON_MAX: usize = 2048;

/// The name of a contract at an issuer: nothing can be learnt about the contract from it without the salt.
pub fn use_tag(cid: Cid, salt: &[u8; 32]) -> Digest {
    Digest::of_parts(domain::USE_TAG, &[salt, cid.as_bytes()])
}

/// Why a credential or a reservation is not honoured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotGood {
    /// Not signed by the issuer that is asked for.
    #[error("it is not signed by the issuer that is asked for: {0}")]
    Issuer(#[from] SignatureError),
    /// It belongs to somebody else.
    #[error("the credential belongs to somebody else")]
    Holder,
    /// It is not for this party.
    #[error("the credential is for others to honour")]
    Audience,
    /// It gives another right.
    #[error("the credential gives another right")]
    Right,
    /// It is not valid yet.
    #[error("the credential is valid from {0} on")]
    NotYet(Time),
    /// It is not valid any more.
    #[error("the credential was valid until {0}")]
    Expired(Time),
    /// Nothing is kept.
    #[error("the issuer keeps nothing for this contract")]
    Missing,
    /// It cannot be passed on, or not yet.
    #[error("the credential cannot be passed on")]
    Fixed,
    /// It was not passed on as the contract says.
    #[error("the credential was not passed on as the contract says: the {0} differ")]
    Passed(&'static str),
    /// The reservation is of another credential.
    #[error("the issuer's reservation is of another credential")]
    Serial,
    /// The reservation is for another contract.
    #[error("the issuer's reservation is for another contract")]
    Contract,
    /// The reservation leaves the decision to another arbiter.
    #[error("the issuer's reservation names another arbiter")]
    Arbiter,
    /// The reservation ends too early.
    #[error("the issuer's reservation ends too early, at {0}")]
    TooEarly(Time),
    /// The reservation does not say which use, or says it of a credential that may be used freely, or there is no such use.
    #[error("the issuer's reservation is of no use that the credential has")]
    Number,
}

/// What a reservation must be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The contract's tag.
    pub tag: Digest,
    /// The contract's arbiter.
    pub arbiter: KeySetId,
    /// The least time until which it must be kept.
    pub until: Time,
}

/// Whether `signed` gives `right` to `holder` now, by the word of `issuer`, where `honours` honours it.
///
/// # Errors
/// [`NotGood`].
pub fn check_credential(
    verifier: &dyn Verify,
    issuer: &KeySet,
    signed: &Signed,
    (holder, honours, right): (KeySetId, KeySetId, &str),
    now: Time,
) -> Result<Verified<Credential>, NotGood> {
    let checked: Verified<Credential> = verify(verifier, issuer, signed)?;
    let credential = checked.statement();
    match () {
        () if credential.holder != holder => Err(NotGood::Holder),
        () if !credential.audience.is_empty() && !credential.audience.contains(&honours) => Err(NotGood::Audience),
        () if credential.right != right => Err(NotGood::Right),
        () if now < credential.from => Err(NotGood::NotYet(credential.from)),
        () if now > credential.until => Err(NotGood::Expired(credential.until)),
        () => Ok(checked),
    }
}

/// Whether `signed` keeps a use of `credential` as it is wanted. Whether the credential is valid is not looked at again: its issuer has, and whoever
/// honours it judges that before the first promise.
///
/// # Errors
/// [`NotGood`].
pub fn check_reservation(
    verifier: &dyn Verify,
    issuer: &KeySet,
    signed: &Signed,
    credential: &Credential,
    wanted: &Wanted,
) -> Result<Verified<Reservation>, NotGood> {
    let checked: Verified<Reservation> = verify(verifier, issuer, signed)?;
    let kept = checked.statement();
    let numbered = match (credential.uses, kept.number) {
        (Uses::Unlimited, None) => true,
        (Uses::Counted(uses), Some(number)) => (1..=uses).contains(&number),
        _ => false,
    };
    match () {
        () if kept.serial != credential.serial => Err(NotGood::Serial),
        () if kept.tag != wanted.tag => Err(NotGood::Contract),
        () if kept.arbiter != wanted.arbiter => Err(NotGood::Arbiter),
        () if kept.until < wanted.until => Err(NotGood::TooEarly(kept.until)),
        () if !numbered => Err(NotGood::Number),
        () => Ok(checked),
    }
}

impl Serial {
    /// Takes 16 random bytes as a serial number.
    pub const fn from_array(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the form that `Display` writes: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        // The same form as a deal's, which has its digits checked.
        semper_core::ids::DealId::parse(text).map(|id| Self(*id.as_bytes()))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl fmt::Display for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uses::Unlimited => f.write_str("as often as its holder likes"),
            Uses::Counted(1) => f.write_str("once"),
            Uses::Counted(uses) => write!(f, "{uses} times"),
        }
    }
}

impl Statement for Credential {
    const KIND: Kind = Kind::Credential;
}

impl Statement for CredentialTransfer {
    const KIND: Kind = Kind::CredentialTransfer;
}

impl Statement for ReservationRequest {
    const KIND: Kind = Kind::ReservationRequest;
}

impl Statement for Reservation {
    const KIND: Kind = Kind::Reservation;
}

impl Statement for Spend {
    const KIND: Kind = Kind::Spend;
}

impl Encode for Serial {
    fn to_value(&self) -> Value {
        Value::bytes(self.0)
    }
}

impl Decode for Serial {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let bytes = Vec::<u8>::from_value(value)?;
        let found = bytes.len();
        bytes.try_into().map(Self).map_err(|_| DecodeError::field("", Problem::WrongLength { expected: 16, found }))
    }
}

impl Encode for Credential {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.serial)
            .put(2, self.issuer.as_str())
            .put_item(3, &self.holder)
            .put(4, self.right.as_str())
            .put_list(5, &self.audience)
            .put_some(6, self.uses.counted())
            .put(7, self.transferable)
            .put_item(8, &self.from)
            .put_item(9, &self.until)
            .put_some(10, self.condition.as_ref().map(Encode::to_value))
            .build()
    }
}

impl Decode for Credential {
    const BYTES_MAX: usize = 4096;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let credential = Self {
            serial: fields.item(1, "serial")?,
            issuer: fields.text(2, "issuer", ISSUER_MAX)?,
            holder: fields.item(3, "holder")?,
            right: fields.text(4, "right", RIGHT_MAX)?,
            audience: fields.list(5, "audience", AUDIENCE_MAX)?,
            uses: Uses::read(&mut fields, 6)?,
            transferable: fields.bool(7, "transferable")?,
            from: fields.item(8, "valid from")?,
            until: fields.item(9, "valid until")?,
            condition: fields.optional_item(10, "condition")?,
        };
        fields.close()?;
        if credential.right.is_empty() || !is_plain_line(&credential.right) {
            return Err(DecodeError::field("right", Problem::OutOfRange("one line that can be shown as it is")));
        }
        Ok(credential)
    }
}

impl Uses {
    /// Whether it can be used at least as often, in the same manner: what may be used freely is no number of uses.
    pub const fn covers(self, least: Self) -> bool {
        match (self, least) {
            (Uses::Unlimited, Uses::Unlimited) => true,
            (Uses::Counted(has), Uses::Counted(least)) => has >= least,
            _ => false,
        }
    }

    /// How many; `None`: as often as its holder likes. So it is written: a number, or nothing.
    pub fn counted(self) -> Option<u64> {
        match self {
            Uses::Unlimited => None,
            Uses::Counted(uses) => Some(u64::from(uses)),
        }
    }

    /// Reads it from a field of a record.
    ///
    /// # Errors
    /// It is no number from 1 to [`USES_MAX`].
    pub fn read(fields: &mut Fields, key: u64) -> Result<Self, DecodeError> {
        match fields.optional_item::<u64>(key, "uses")? {
            None => Ok(Uses::Unlimited),
            Some(uses) => Ok(Uses::Counted(number(uses).map_err(|e| e.within("uses"))?)),
        }
    }
}

/// A number of uses, or the number of a use.
fn number(n: u64) -> Result<u32, DecodeError> {
    let number = u32::try_from(n).ok().filter(|n| (1..=USES_MAX).contains(n));
    number.ok_or(DecodeError::field("", Problem::OutOfRange("a use is one of at most 1000")))
}

impl Encode for CredentialTransfer {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.serial)
            .put_item(2, &self.to)
            .put_some(3, self.condition.as_ref().map(Encode::to_value))
            .build()
    }
}

impl Decode for CredentialTransfer {
    const BYTES_MAX: usize = 512;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (serial, to) = (fields.item(1, "serial")?, fields.item(2, "new holder")?);
        let transfer = Self { serial, to, condition: fields.optional_item(3, "condition")? };
        fields.close()?;
        Ok(transfer)
    }
}

impl Encode for Condition {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.tag)
            .put_item(1, &self.arbiter)
            .put_item(2, &self.until)
            .put_item(3, &self.giver)
            .build()
    }
}

impl Decode for Condition {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let condition = Self {
            tag: fields.item(0, "tag")?,
            arbiter: fields.item(1, "arbiter")?,
            until: fields.item(2, "until")?,
            giver: fields.item(3, "giver")?,
        };
        fields.close()?;
        Ok(condition)
    }
}

impl Encode for ReservationRequest {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.serial)
            .put_item(2, &self.tag)
            .put_item(3, &self.arbiter)
            .put_item(4, &self.until)
            .build()
    }
}

impl Decode for ReservationRequest {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let request = Self {
            serial: fields.item(1, "serial")?,
            tag: fields.item(2, "tag")?,
            arbiter: fields.item(3, "arbiter")?,
            until: fields.item(4, "until")?,
        };
        fields.close()?;
        Ok(request)
    }
}

impl Encode for Reservation {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.serial)
            .put_item(2, &self.tag)
            .put_item(3, &self.arbiter)
            .put_item(4, &self.until)
            .put_some(5, self.number.map(u64::from))
            .build()
    }
}

impl Decode for Reservation {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let reservation = Self {
            serial: fields.item(1, "serial")?,
            tag: fields.item(2, "tag")?,
            arbiter: fields.item(3, "arbiter")?,
            until: fields.item(4, "until")?,
            number: fields.optional_item::<u64>(5, "use")?.map(number).transpose().map_err(|e| e.within("use"))?,
        };
        fields.close()?;
        Ok(reservation)
    }
}

impl Encode for Spend {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.serial)
            .put_item(2, &self.tag)
            .put(3, u64::from(self.number))
            .put_item(4, &self.time)
            .build()
    }
}

impl Decode for Spend {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let spend = Self {
            serial: fields.item(1, "serial")?,
            tag: fields.item(2, "tag")?,
            number: number(fields.uint(3, "use")?).map_err(|e| e.within("use"))?,
            time: fields.item(4, "time")?,
        };
        fields.close()?;
        Ok(spend)
    }
}

impl Encode for Bundle {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.issuer)
            .put_item(2, &self.credential)
            .put_some(3, self.reservation.as_ref().map(Encode::to_value))
            .build()
    }
}

impl Decode for Bundle {
    const BYTES_MAX: usize = 32 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let bundle = Self {
            issuer: fields.item(1, "issuer")?,
            credential: fields.item(2, "credential")?,
            reservation: fields.optional_item(3, "reservation")?,
        };
        fields.close()?;
        Ok(bundle)
    }
}

impl Encode for Submission {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.statement)
            .put_item(2, &self.signer)
            .put_some(3, self.kept.map(|(serial, _)| serial.to_value()))
            .put_some(4, self.kept.map(|(_, salt)| Value::bytes(salt)))
            .build()
    }
}

impl Decode for Submission {
    const BYTES_MAX: usize = 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (statement, signer) = (fields.item(1, "statement")?, fields.item(2, "signer")?);
        let serial = fields.optional_item(3, "serial")?;
        let kept = match serial {
            Some(serial) => Some((serial, fields.exact(4, "salt")?)),
            None => None,
        };
        fields.close()?;
        Ok(Self { statement, signer, kept })
    }
}

impl Encode for Errand {
    fn to_value(&self) -> Value {
        record().put(0, self.issuer.as_str()).put_item(1, &self.submission).build()
    }
}

impl Decode for Errand {
    const BYTES_MAX: usize = Submission::BYTES_MAX + 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let errand = Self { issuer: fields.text(0, "issuer", ISSUER_MAX)?, submission: fields.item(1, "submission")? };
        fields.close()?;
        Ok(errand)
    }
}

impl Encode for Reply {
    fn to_value(&self) -> Value {
        let said = self.said.as_ref().ok().and_then(Option::as_ref).map(Encode::to_value);
        let reason = self.said.as_ref().err().map(String::as_str);
        record().put_item(0, &self.to).put_some(1, said).put_some(2, reason).build()
    }
}

impl Decode for Reply {
    const BYTES_MAX: usize = 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (to, said) = (fields.item(0, "statement")?, fields.optional_item(1, "answer")?);
        let reason: Option<String> = fields.optional_item(2, "reason")?;
        fields.close()?;
        match (said, reason) {
            (said, None) => Ok(Self { to, said: Ok(said) }),
            (None, Some(reason)) if reason.len() <= REASON_MAX => Ok(Self { to, said: Err(reason) }),
            _ => Err(DecodeError::field("reason", Problem::OutOfRange("an answer or a short reason"))),
        }
    }
}

#[cfg(test)]
mod tests;
