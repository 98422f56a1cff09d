//! What a guarantor, its customer, and whom a cover is for say to each other: signed, so that it proves something later.
//!
//! ```text
//! liability-agreement = { 0: 1, 1: guarantor (key set id), 2: limit, 3: per deal, 4: until, 5: issued }
//! cover-request = { 0: 1, 1: cover id (16 bytes), 2: guarantor (key set id), 3: tag, 4: amount, 5: subject (key set id),
//!                   6: accept before, 7: claim by }
//! cover         = { 0: 1, 1: cover id, 2: guarantor's address, 3: tag, 4: amount, 5: subject (key set id), 6: not revoked at,
//!                   7: accept before, 8: claim by, 9: answer (seconds) }
//! cover-release = { 0: 1, 1: cover id, 2: cid }
//! cover-claim   = { 0: 1, 1: cover id, 2: cid, 3: amount }
//! cover-ruling  = { 0: 1, 1: cover id, 2: "released" / "rejected" / "claimed" / "paid", 3: time, ? 4: amount, ? 5: to (key set id),
//!                   ? 6: answer by }        ; 4 and 5 if claimed or paid, 6 if claimed
//! cover-file    = { 0: 1, 1: key set of the guarantor, 2: signed cover, 3: opening (32 bytes) }
//! submission    = { 0: 1, 1: signed cover-request, 2: key set of its signer }
//!               / { 0: 1, 1: signed cover-release or cover-claim, 2: key set of its signer, 3: opening, 4: folder }
//! tag           = H("semper/cover-tag/1" ‖ opening ‖ cid)
//! ```
//! Source: `spec/cover.md` §2.

use std::fmt;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId, KeySetId};
use semper_core::party::KeySet;
use semper_core::time::{Seconds, Time};
use semper_transfer::payment::means::ISSUER_MAX;

/// Longest file of a cover, in bytes of text.
pub const FILE_MAX: usize = 64 * 1024;
/// Longest folder that a guarantor takes as evidence, in bytes. Goods and texts need not be in it.
pub const EVIDENCE_MAX: usize = 1024 * 1024;

/// A cover's name: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoverId([u8; 16]);

/// "I owe you what you pay for me, up to these limits." By the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Agreement {
    /// Whom it is with.
    pub guarantor: KeySetId,
    /// Most that the guarantor stands for at once.
    pub limit: Amount,
    /// Most of that for one contract.
    pub per_deal: Amount,
    /// The last second in which a cover can be asked for.
    pub until: Time,
    /// When it was written: a later agreement takes the place of an earlier one.
    pub issued: Time,
}

/// "Stand for me under this contract." By the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CoverRequest {
    /// Names the cover, for ever.
    pub cover: CoverId,
    /// Who is asked.
    pub guarantor: KeySetId,
    /// The contract, as the guarantor sees it: [`cover_tag`].
    pub tag: Digest,
    /// How much it is to pay at most.
    pub amount: Amount,
    /// The keys that sign the contract: the customer's, or a pseudonym's.
    pub subject: KeySetId,
    /// The last second in which somebody who is shown the cover accepts it.
    pub accept_before: Time,
    /// The last second in which the guarantor can be asked to pay.
    pub claim_by: Time,
}

/// "I stand for whoever has these keys under this contract." By the guarantor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cover {
    /// Its name.
    pub cover: CoverId,
    /// Where the guarantor answers.
    pub address: String,
    /// The contract, as the guarantor sees it.
    pub tag: Digest,
    /// How much it pays at most.
    pub amount: Amount,
    /// The keys that sign the contract.
    pub subject: KeySetId,
    /// When it knew of no revocation of its customer's keys.
    pub not_revoked_at: Time,
    /// The last second in which somebody who is shown the cover accepts it.
    pub accept_before: Time,
    /// The last second in which it can be asked to pay.
    pub claim_by: Time,
    /// How long its customer has to answer a claim.
    pub answer: Seconds,
}

/// "Nothing is owed any more under this cover." By whom the cover is for; or by the customer, with what shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CoverRelease {
    /// The cover.
    pub cover: CoverId,
    /// The contract.
    pub cid: Cid,
}

/// "I was not paid under this contract: pay." By whom the cover is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CoverClaim {
    /// The cover.
    pub cover: CoverId,
    /// The contract.
    pub cid: Cid,
    /// How much; at most what the cover says.
    pub amount: Amount,
}

/// What has become of a cover. By the guarantor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CoverRuling {
    /// The cover.
    pub cover: CoverId,
    /// What has become of it.
    pub outcome: Outcome,
    /// Since when.
    pub time: Time,
}

/// What becomes of a cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was given up, or nothing was owed: it is over.
    Released,
    /// It was claimed, and the customer has shown that nothing is owed: it is over.
    Rejected,
    /// It is claimed. The customer has until `answer_by` to show that nothing is owed.
    Claimed {
        /// How much.
        amount: Amount,
        /// By whom.
        to: KeySetId,
        /// The last second for an answer.
        answer_by: Time,
    },
    /// The guarantor pays, or has paid.
    Paid {
        /// How much.
        amount: Amount,
        /// Whom.
        to: KeySetId,
    },
}

/// A cover with what is needed to check it: what the customer hands to the other side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CoverFile {
    /// The guarantor's keys. Whether they are the right ones is for whoever checks to say.
    pub guarantor: KeySet,
    /// The cover.
    pub cover: Signed,
    /// Opens the cover's tag.
    pub opening: [u8; 32],
}

/// What is sent to a guarantor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Submission {
    /// A [`CoverRequest`], [`CoverRelease`] or [`CoverClaim`].
    pub statement: Signed,
    /// The keys of its signer.
    pub signer: KeySet,
    /// What opens the tag, and the folder of the contract; with a release or a claim, and with nothing else.
    pub opened: Option<([u8; 32], Vec<u8>)>,
}

/// The name of a contract at a guarantor: nothing can be learnt about the contract from it without the opening.
pub fn cover_tag(cid: Cid, opening: &[u8; 32]) -> Digest {
    Digest::of_parts(domain::COVER_TAG, &[opening, cid.as_bytes()])
}

impl Agreement {
    /// What is wrong with it, in words.
    ///
    /// # Errors
    /// Its limits contradict one another, or it is over before it begins.
    pub fn check(&self) -> Result<(), &'static str> {
        match () {
            () if self.limit.currency() != self.per_deal.currency() => {
                Err("the limit is in another currency than the amount for each deal")
            }
            () if self.per_deal.minor() == 0 => Err("a limit of nothing covers nothing"),
            () if self.per_deal.minor() > self.limit.minor() => Err("the limit is less than one deal may cost"),
            () if self.until <= self.issued => Err("it ends before it begins"),
            () => Ok(()),
        }
    }

    /// What it binds to, in words: what the customer reads before it is signed.
    pub fn describe(&self) -> String {
        format!(
            "Agree to be covered, up to {limit}\n\n  guarantor   {guarantor}\n  in total    at most {limit} at once\n  each deal   at most {per_deal}\n  \
             until       {until}\n\n\
             When you ask for it, the guarantor promises the other side of a contract to pay in your place. Each time you are asked.\n\
             What it pays for you, you owe to the guarantor.\n\
             If your keys are lost or stolen, tell the guarantor at once: it then makes no new promise. What it has promised before stays promised, \
             and you owe what it pays for that.\n",
            limit = self.limit,
            guarantor = self.guarantor,
            per_deal = self.per_deal,
            until = self.until,
        )
    }
}

impl CoverRequest {
    /// What it binds to, in words.
    pub fn describe(&self) -> String {
        format!(
            "Have a guarantor stand for you with {amount}\n\n  guarantor   {guarantor}\n  at most     {amount}\n  claims      until {claim_by}\n  \
             accepted    until {accept_before}\n  contract    {tag} (a hash: the guarantor does not see which)\n  cover       {cover}\n\n\
             If the other side of the contract says by then that you have not paid, and you cannot show that nothing is owed (a word of the other side \
             that it was paid, or that the contract binds nobody), the guarantor pays it, and you owe {amount} at most to the guarantor.\n\
             When you pay, ask the other side to release the cover.\n",
            amount = self.amount,
            guarantor = self.guarantor,
            claim_by = self.claim_by,
            accept_before = self.accept_before,
            tag = self.tag.to_hex(),
            cover = self.cover,
        )
    }
}

impl CoverRelease {
    /// What it says, in words.
    pub fn describe(&self) -> String {
        format!(
            "Release a cover\n\n  cover      {}\n  contract   {}\n\n\
             You say that nothing is owed any more under it. If it is for you, you cannot ask the guarantor for money any more.\n",
            self.cover, self.cid,
        )
    }
}

impl CoverClaim {
    /// What it says, in words.
    pub fn describe(&self) -> String {
        format!(
            "Ask a guarantor for {}\n\n  cover      {}\n  contract   {}\n\n\
             You say that you were not paid so much under this contract. The guarantor sees the contract, and asks its customer.\n",
            self.amount, self.cover, self.cid,
        )
    }
}

impl CoverId {
    /// Takes 16 random bytes as a name.
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
        DealId::parse(text).map(|id| Self(*id.as_bytes()))
    }
}

impl fmt::Display for CoverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CoverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CoverId({self})")
    }
}

impl Outcome {
    /// The word on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Outcome::Released => "released",
            Outcome::Rejected => "rejected",
            Outcome::Claimed { .. } => "claimed",
            Outcome::Paid { .. } => "paid",
        }
    }
}

impl Statement for Agreement {
    const KIND: Kind = Kind::LiabilityAgreement;
}

impl Statement for CoverRequest {
    const KIND: Kind = Kind::CoverRequest;
}

impl Statement for Cover {
    const KIND: Kind = Kind::Cover;
}

impl Statement for CoverRelease {
    const KIND: Kind = Kind::CoverRelease;
}

impl Statement for CoverClaim {
    const KIND: Kind = Kind::CoverClaim;
}

impl Statement for CoverRuling {
    const KIND: Kind = Kind::CoverRuling;
}

impl Encode for CoverId {
    fn to_value(&self) -> Value {
        Value::bytes(self.0)
    }
}

impl Decode for CoverId {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let bytes = Vec::<u8>::from_value(value)?;
        let found = bytes.len();
        bytes.try_into().map(Self).map_err(|_| DecodeError::field("", Problem::WrongLength { expected: 16, found }))
    }
}

impl Encode for Agreement {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.guarantor)
            .put_item(2, &self.limit)
            .put_item(3, &self.per_deal)
            .put_item(4, &self.until)
            .put_item(5, &self.issued)
            .build()
    }
}

impl Decode for Agreement {
    const BYTES_MAX: usize = 512;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let agreement = Self {
            guarantor: fields.item(1, "guarantor")?,
            limit: fields.item(2, "limit")?,
            per_deal: fields.item(3, "per deal")?,
            until: fields.item(4, "until")?,
            issued: fields.item(5, "issued")?,
        };
        fields.close()?;
        agreement.check().map_err(|rule| DecodeError::field("limit", Problem::OutOfRange(rule)))?;
        Ok(agreement)
    }
}

impl Encode for CoverRequest {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cover)
            .put_item(2, &self.guarantor)
            .put_item(3, &self.tag)
            .put_item(4, &self.amount)
            .put_item(5, &self.subject)
            .put_item(6, &self.accept_before)
            .put_item(7, &self.claim_by)
            .build()
    }
}

impl Decode for CoverRequest {
    const BYTES_MAX: usize = 512;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let request = Self {
            cover: fields.item(1, "cover")?,
            guarantor: fields.item(2, "guarantor")?,
            tag: fields.item(3, "tag")?,
            amount: fields.item(4, "amount")?,
            subject: fields.item(5, "subject")?,
            accept_before: fields.item(6, "accept before")?,
            claim_by: fields.item(7, "claim by")?,
        };
        fields.close()?;
        Ok(request)
    }
}

impl Encode for Cover {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cover)
            .put(2, self.address.as_str())
            .put_item(3, &self.tag)
            .put_item(4, &self.amount)
            .put_item(5, &self.subject)
            .put_item(6, &self.not_revoked_at)
            .put_item(7, &self.accept_before)
            .put_item(8, &self.claim_by)
            .put_item(9, &self.answer)
            .build()
    }
}

impl Decode for Cover {
    const BYTES_MAX: usize = 2048;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let cover = Self {
            cover: fields.item(1, "cover")?,
            address: fields.text(2, "address", ISSUER_MAX)?,
            tag: fields.item(3, "tag")?,
            amount: fields.item(4, "amount")?,
            subject: fields.item(5, "subject")?,
            not_revoked_at: fields.item(6, "not revoked at")?,
            accept_before: fields.item(7, "accept before")?,
            claim_by: fields.item(8, "claim by")?,
            answer: fields.item(9, "answer")?,
        };
        fields.close()?;
        Ok(cover)
    }
}

impl Encode for CoverRelease {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cover).put_item(2, &self.cid).build()
    }
}

impl Decode for CoverRelease {
    const BYTES_MAX: usize = 128;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let release = Self { cover: fields.item(1, "cover")?, cid: fields.item(2, "cid")? };
        fields.close()?;
        Ok(release)
    }
}

impl Encode for CoverClaim {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cover).put_item(2, &self.cid).put_item(3, &self.amount).build()
    }
}

impl Decode for CoverClaim {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let claim =
            Self { cover: fields.item(1, "cover")?, cid: fields.item(2, "cid")?, amount: fields.item(3, "amount")? };
        fields.close()?;
        Ok(claim)
    }
}

impl Encode for CoverRuling {
    fn to_value(&self) -> Value {
        let (amount, to, answer_by) = match self.outcome {
            Outcome::Released | Outcome::Rejected => (None, None, None),
            Outcome::Claimed { amount, to, answer_by } => (Some(amount), Some(to), Some(answer_by)),
            Outcome::Paid { amount, to } => (Some(amount), Some(to), None),
        };
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cover)
            .put(2, self.outcome.name())
            .put_item(3, &self.time)
            .put_some(4, amount.map(|amount| amount.to_value()))
            .put_some(5, to.map(|to| to.to_value()))
            .put_some(6, answer_by.map(|time| time.to_value()))
            .build()
    }
}

impl Decode for CoverRuling {
    const BYTES_MAX: usize = 512;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cover, name) = (fields.item(1, "cover")?, fields.text(2, "outcome", 16)?);
        let time = fields.item(3, "time")?;
        let outcome = match name.as_str() {
            "released" => Outcome::Released,
            "rejected" => Outcome::Rejected,
            "claimed" => Outcome::Claimed {
                amount: fields.item(4, "amount")?,
                to: fields.item(5, "to")?,
                answer_by: fields.item(6, "answer by")?,
            },
            "paid" => Outcome::Paid { amount: fields.item(4, "amount")?, to: fields.item(5, "to")? },
            _ => return Err(DecodeError::field("outcome", Problem::Unknown { what: "outcome", found: name })),
        };
        fields.close()?;
        Ok(Self { cover, outcome, time })
    }
}

impl Encode for CoverFile {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.guarantor).put_item(2, &self.cover).put_bytes(3, self.opening).build()
    }
}

impl Decode for CoverFile {
    const BYTES_MAX: usize = 32 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let file = Self {
            guarantor: fields.item(1, "guarantor")?,
            cover: fields.item(2, "cover")?,
            opening: fields.exact(3, "opening")?,
        };
        fields.close()?;
        Ok(file)
    }
}

impl Encode for Submission {
    fn to_value(&self) -> Value {
        let (opening, folder) = match &self.opened {
            None => (None, None),
            Some((opening, folder)) => (Some(Value::bytes(opening)), Some(Value::bytes(folder.as_slice()))),
        };
        record()
            .put(0, 1_u64)
            .put_item(1, &self.statement)
            .put_item(2, &self.signer)
            .put_some(3, opening)
            .put_some(4, folder)
            .build()
    }
}

impl Decode for Submission {
    const BYTES_MAX: usize = EVIDENCE_MAX + 32 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (statement, signer): (Signed, _) = (fields.item(1, "statement")?, fields.item(2, "signer")?);
        let opened = match statement.kind() {
            Kind::CoverRelease | Kind::CoverClaim => {
                Some((fields.exact(3, "opening")?, fields.bytes(4, "folder", EVIDENCE_MAX)?))
            }
            _ => None,
        };
        fields.close()?;
        Ok(Self { statement, signer, opened })
    }
}

#[cfg(test)]
mod tests;
