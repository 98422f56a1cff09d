//! Notices: what one party of a contract formally tells the other about it: that it withdraws, that it disputes, or what it answers to that.
//!
//! A notice is a file in a container that its sender signs (TX): the signature is the proof of origin, the receiver's inbox says when it came, the
//! receiver signs that it has it. Nothing here decides: a notice is a declaration, and an exchange that runs goes on. Whether it has effect, the
//! law and whoever judges say.
//!
//! ```text
//! notice     = { 0: 1, 1: deal, 2: cid, ? 3: part, 4: to, 5: title, 6: time, 7: saying, ? 8: words }
//! saying     = withdrawal / dispute / answer
//! withdrawal = { 0: "withdrawal", 1: name, ? 2: channel }
//! dispute    = { 0: "dispute", 1: [* claim], ? 2: relief, ? 3: amount, 4: answer by }
//! answer     = { 0: "answer", 1: container id, 2: "acknowledge" / "deny" / "no-contest" }
//! ```
//! Source: `spec/notice.md` (design/exchange.md §11, design/ecosystem.md §A.2.2).

use std::fmt;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::container::{Container, Information, Leaf};
use semper_core::contract::{Core, Profile};
use semper_core::ids::{Cid, ContainerId, DealId, KeySetId, Slot};
use semper_core::party::Role;
use semper_core::text::{escape, is_plain_line};
use semper_core::time::Time;

use crate::claims::Claim;
use crate::gx;

/// The media type of a notice in a container.
pub const MEDIA_TYPE: &str = "application/vnd.semper.notice";
/// The media type of a deal folder that is sent along as evidence.
pub const FOLDER_MEDIA_TYPE: &str = "application/vnd.semper.folder";
/// What the file of a notice is called.
const FILE_NAME: &str = "notice.cbor";
/// Longest title, name or channel, in bytes of UTF-8.
pub const LINE_MAX: usize = 256;
/// Longest words of the sender, in bytes of UTF-8.
pub const WORDS_MAX: usize = 4096;
/// Longest relief, in bytes of UTF-8.
pub const RELIEF_MAX: usize = 1024;
/// Most claims of one dispute.
pub const CLAIMS_MAX: usize = 8;

/// What one party of a contract tells the other about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The deal in which the contract was made.
    pub deal: DealId,
    /// The contract.
    pub cid: Cid,
    /// Which part of it: 0, unless the contract has several recipients.
    pub part: Slot,
    /// Whom it is for: the other party.
    pub to: KeySetId,
    /// What the sender calls the contract, in one line that hides nothing.
    pub title: String,
    /// When it was written, by the sender's clock.
    pub time: Time,
    /// What it says.
    pub saying: Saying,
    /// The sender's own words; empty if there are none.
    pub words: String,
}

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// "I withdraw from the contract."
    Withdrawal {
        /// What the sender calls itself.
        name: String,
        /// Where it wants the withdrawal to be acknowledged, in words; empty: at its inbox.
        channel: String,
    },
    /// "I dispute."
    Dispute {
        /// What is claimed, in the language of claims.
        claims: Vec<Claim>,
        /// What is wanted, in words; empty if nothing is said.
        relief: String,
        /// How much money is wanted.
        amount: Option<Amount>,
        /// Until when an answer is expected.
        answer_by: Time,
    },
    /// The answer to a dispute.
    Answer {
        /// The container of the dispute.
        to: ContainerId,
        /// What is answered.
        how: How,
    },
}

/// What is answered to a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// What is claimed is so.
    Acknowledge,
    /// What is claimed is not so.
    Deny,
    /// The sender does not say whether it is so, and does not contest it.
    NoContest,
}

/// What sort of declaration a notice is, as evidence counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// A withdrawal.
    Withdrawal,
    /// A dispute.
    Dispute,
    /// An answer that denies.
    Denial,
    /// An answer that acknowledges, or does not contest.
    Concession,
}

impl How {
    /// All of them.
    pub const ALL: [How; 3] = [How::Acknowledge, How::Deny, How::NoContest];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            How::Acknowledge => "acknowledge",
            How::Deny => "deny",
            How::NoContest => "no-contest",
        }
    }

    /// The answer with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|how| how.name() == name)
    }
}

impl Saying {
    /// The name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Saying::Withdrawal { .. } => "withdrawal",
            Saying::Dispute { .. } => "dispute",
            Saying::Answer { .. } => "answer",
        }
    }

    /// What sort of declaration it is.
    pub const fn sort(&self) -> Sort {
        match self {
            Saying::Withdrawal { .. } => Sort::Withdrawal,
            Saying::Dispute { .. } => Sort::Dispute,
            Saying::Answer { how: How::Deny, .. } => Sort::Denial,
            Saying::Answer { how: How::Acknowledge | How::NoContest, .. } => Sort::Concession,
        }
    }
}

impl Notice {
    /// Whether it keeps the bounds of this module.
    ///
    /// # Errors
    /// `Oversized`, `OutOfRange`: a text is too long or deceives, a dispute says nothing, or its answer is due before it was written.
    pub fn check(&self) -> Result<(), DecodeError> {
        line("title", &self.title)?;
        bounded("words", &self.words, WORDS_MAX)?;
        match &self.saying {
            Saying::Withdrawal { name, channel } => {
                line("name", name)?;
                if channel.is_empty() { Ok(()) } else { line("channel", channel) }
            }
            Saying::Dispute { claims, relief, answer_by, .. } => {
                bounded("relief", relief, RELIEF_MAX)?;
                if claims.len() > CLAIMS_MAX {
                    return Err(DecodeError::field("claims", Problem::Oversized { limit: CLAIMS_MAX }));
                }
                if claims.is_empty() && self.words.is_empty() && relief.is_empty() {
                    return Err(wrong("dispute", "a dispute says what is claimed, what is wanted, or why"));
                }
                let late = *answer_by > self.time;
                if late { Ok(()) } else { Err(wrong("answer by", "an answer is due after the dispute was written")) }
            }
            Saying::Answer { .. } => Ok(()),
        }
    }

    /// The notice as a file of a container.
    ///
    /// # Errors
    /// As [`Notice::check`].
    pub fn information(&self) -> Result<Information, DecodeError> {
        self.check()?;
        Information::new(FILE_NAME, MEDIA_TYPE, self.to_bytes())
    }

    /// The notice in a container, if there is one. What else is in the container is its evidence.
    ///
    /// # Errors
    /// There is a file that says to be a notice and is none, or there are two.
    pub fn of(container: &Container) -> Result<Option<Self>, DecodeError> {
        let mut notices = container.leaves().into_iter().filter_map(|(_, leaf)| match leaf {
            Leaf::Information(file) if is_notice(file) => Some(Notice::from_bytes(file.bytes())),
            _ => None,
        });
        match (notices.next(), notices.next()) {
            (_, Some(_)) => Err(wrong("container", "a container holds one notice at most")),
            (notice, None) => notice.transpose(),
        }
    }

    /// Whether it is about this contract, by a party with these keys and for the other one; in which role of the part it was sent.
    pub fn sender_in(&self, core: &Core, sender: KeySetId) -> Option<Role> {
        let sides = sides(core, self.part)?;
        let place = sides.iter().position(|(_, party)| *party == sender)?;
        let fits = self.cid == core.cid() && sides[1 - place].1 == self.to && sender != self.to;
        fits.then_some([Role::ORIGINATOR, Role::RESPONDER][place])
    }
}

/// Whether a file says to be a notice.
pub fn is_notice(file: &Information) -> bool {
    file.media_type() == MEDIA_TYPE
}

/// The part of a contract that two of its parties share; nothing among many signers, or if they share none.
pub fn part_between(core: &Core, one: KeySetId, other: KeySetId) -> Option<Slot> {
    let is = |part: &Slot| {
        let both = sides(core, *part).map(|sides| sides.map(|(_, party)| party));
        both.is_some_and(|both| both == [one, other] || both == [other, one])
    };
    (0..gx::parts(core)).map(Slot).find(is)
}

/// Originator and responder of a part, with their roles in the contract.
fn sides(core: &Core, part: Slot) -> Option<[(Role, KeySetId); 2]> {
    if core.terms.profile == Profile::Cn || part.0 >= gx::parts(core) {
        return None;
    }
    let side = |role| Some((role, core.party(role)?));
    Some([side(Role::ORIGINATOR)?, side(gx::responder(part))?])
}

/// What it says, for people: in lines that hide nothing.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.saying {
            Saying::Withdrawal { .. } => writeln!(f, "I withdraw from the contract: {}", self.title)?,
            Saying::Dispute { .. } => writeln!(f, "I open a dispute about the contract: {}", self.title)?,
            Saying::Answer { how, .. } => {
                let what = match how {
                    How::Acknowledge => "I acknowledge what is claimed",
                    How::Deny => "I deny what is claimed",
                    How::NoContest => "I do not contest what is claimed",
                };
                writeln!(f, "{what} in the dispute about the contract: {}", self.title)?;
            }
        }
        writeln!(f, "  contract    {}", self.cid)?;
        if self.part.0 > 0 {
            writeln!(f, "  recipient   {}", self.part.0 + 1)?;
        }
        writeln!(f, "  deal        {}", self.deal)?;
        writeln!(f, "  to          key {}", self.to)?;
        match &self.saying {
            Saying::Withdrawal { name, channel } => {
                writeln!(f, "  my name     {name}")?;
                if !channel.is_empty() {
                    writeln!(f, "  acknowledge {channel}")?;
                }
            }
            Saying::Dispute { claims, relief, amount, answer_by } => {
                claims.iter().try_for_each(|claim| writeln!(f, "  claim       {claim}"))?;
                quoted(f, "I want", relief)?;
                if let Some(amount) = amount {
                    writeln!(f, "  I want      {amount}")?;
                }
                writeln!(f, "  answer by   {answer_by}")?;
            }
            Saying::Answer { to, .. } => writeln!(f, "  dispute     {to}")?,
        }
        quoted(f, "words", &self.words)?;
        write!(f, "  written     {}", self.time)
    }
}

/// Words of several lines, each marked as such.
fn quoted(f: &mut fmt::Formatter<'_>, name: &str, words: &str) -> fmt::Result {
    words.lines().enumerate().try_for_each(|(place, words)| {
        let name = if place == 0 { name } else { "" };
        writeln!(f, "  {name:<11} | {}", escape(words, 8))
    })
}

fn wrong(field: &str, rule: &'static str) -> DecodeError {
    DecodeError::field(field, Problem::OutOfRange(rule))
}

fn bounded(name: &str, text: &str, limit: usize) -> Result<(), DecodeError> {
    if text.len() > limit { Err(DecodeError::field(name, Problem::Oversized { limit })) } else { Ok(()) }
}

fn line(name: &str, text: &str) -> Result<(), DecodeError> {
    bounded(name, text, LINE_MAX)?;
    if is_plain_line(text) { Ok(()) } else { Err(wrong(name, "one line, not empty, that is shown as it stands")) }
}

/// A text that is left out where it is empty.
fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn read_some(fields: &mut Fields, key: u64, name: &str) -> Result<String, DecodeError> {
    match fields.optional_item::<String>(key, name)? {
        Some(text) if text.is_empty() => Err(wrong(name, "what is empty is left out")),
        text => Ok(text.unwrap_or_default()),
    }
}

impl Encode for Notice {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.deal)
            .put_item(2, &self.cid)
            .put_some(3, (self.part.0 > 0).then(|| self.part.to_value()))
            .put_item(4, &self.to)
            .put(5, self.title.as_str())
            .put_item(6, &self.time)
            .put_item(7, &self.saying)
            .put_some(8, some(&self.words))
            .build()
    }
}

impl Decode for Notice {
    /// The texts and the claims, and 1 KiB for the rest.
    const BYTES_MAX: usize = 1024 + 3 * LINE_MAX + WORDS_MAX + RELIEF_MAX + CLAIMS_MAX * Claim::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let notice = Self {
            deal: fields.item(1, "deal")?,
            cid: fields.item(2, "cid")?,
            part: match fields.optional_item(3, "part")? {
                Some(Slot(0)) => return Err(wrong("part", "the first part is left out")),
                part => part.unwrap_or_default(),
            },
            to: fields.item(4, "to")?,
            title: fields.text(5, "title", LINE_MAX)?,
            time: fields.item(6, "time")?,
            saying: fields.item(7, "saying")?,
            words: read_some(&mut fields, 8, "words")?,
        };
        fields.close()?;
        notice.check()?;
        Ok(notice)
    }
}

impl Encode for Saying {
    fn to_value(&self) -> Value {
        let saying = record().put(0, self.name());
        match self {
            Saying::Withdrawal { name, channel } => saying.put(1, name.as_str()).put_some(2, some(channel)),
            Saying::Dispute { claims, relief, amount, answer_by } => saying
                .put_list(1, claims)
                .put_some(2, some(relief))
                .put_some(3, amount.as_ref().map(Encode::to_value))
                .put_item(4, answer_by),
            Saying::Answer { to, how } => saying.put_item(1, to).put(2, how.name()),
        }
        .build()
    }
}

impl Decode for Saying {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let unknown = |field: &str, what, found| DecodeError::field(field, Problem::Unknown { what, found });
        let mut fields = Fields::open(value)?;
        let saying = match fields.text(0, "saying", 16)?.as_str() {
            "withdrawal" => Saying::Withdrawal {
                name: fields.text(1, "name", LINE_MAX)?,
                channel: read_some(&mut fields, 2, "channel")?,
            },
            "dispute" => Saying::Dispute {
                claims: fields.list(1, "claims", CLAIMS_MAX)?,
                relief: read_some(&mut fields, 2, "relief")?,
                amount: fields.optional_item(3, "amount")?,
                answer_by: fields.item(4, "answer by")?,
            },
            "answer" => {
                let to = fields.item(1, "dispute")?;
                let how = fields.text(2, "answer", 16)?;
                Saying::Answer { to, how: How::from_name(&how).ok_or_else(|| unknown("answer", "answer", how))? }
            }
            other => return Err(unknown("saying", "saying", other.to_owned())),
        };
        fields.close()?;
        Ok(saying)
    }
}

#[cfg(test)]
mod tests;
