//! Where a vault keeps what it has decided, and what waits for its user.
//!
//! A party's vault keeps its decisions in its own log ([`crate::log`]). A third party's are rows of that party's archive, because several
//! processes may decide there at once; it has no user, so it keeps no log of what was shown.

use async_trait::async_trait;
use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::cose::{Draft, Kind};
use semper_core::hash::Digest;
use semper_core::ids::StatementId;
use semper_core::time::Time;
use semper_support::archive::{Archive, Commit, CommitError, Fact, ReadError};

use crate::now;
use crate::rules::Approval;

/// One thing that a vault has done, with everything that stands from then on. It is kept as a whole or not at all.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What happened. Whether the question waits after it follows from that.
    pub event: Event,
    /// What stands from now on, for ever.
    pub facts: Vec<Fact>,
    /// The question that waits from now on.
    pub question: Option<Approval>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub what: What,
    /// To which statement, and its kind; to none if the vault was unlocked or its decisions were brought over.
    pub statement: Option<(StatementId, Kind)>,
    /// The hash of the whole text that the user had seen, or that a mandate or a rule covered.
    pub seen: Option<Digest>,
    /// What nobody was shown: the text that a mandate or a rule covered, as far as [`TEXT_MAX`]; the policy that the vault was unlocked
    /// with. What was shown stands in the question.
    pub text: String,
}

/// Most bytes that are kept of a text that nobody was shown.
pub const TEXT_MAX: usize = 64 * 1024;

/// See [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The user is to be asked.
    Asked,
    /// The user has approved it; it was signed.
    Approved,
    /// The user has declined it.
    Declined,
    /// A rule of the policy that the vault was unlocked with covers it; it was signed.
    ByRule,
    /// A mandate of the user covers it; it was signed and counted, see [`MandateUse`](crate::rules::MandateUse).
    ByMandate,
    /// The user has revoked a mandate.
    Revoked,
    /// It follows from what was approved before; it was signed.
    Followed,
    /// Nobody needs the signature any more.
    Withdrawn,
    /// The passphrase was given, and with it the policy that holds from now on.
    Unlocked,
    /// Facts from the archive of the party's node, which kept them before the vault had a log.
    BroughtOver,
    /// The log comes from a backup: for the contracts of before, nothing that excludes anything is signed.
    Restored,
}

impl What {
    /// Everything that can happen.
    pub const ALL: [What; 11] = [
        What::Asked,
        What::Approved,
        What::Declined,
        What::ByRule,
        What::ByMandate,
        What::Revoked,
        What::Followed,
        What::Withdrawn,
        What::Unlocked,
        What::BroughtOver,
        What::Restored,
    ];

    /// The name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            What::Asked => "asked",
            What::Approved => "approved",
            What::Declined => "declined",
            What::ByRule => "by-rule",
            What::ByMandate => "by-mandate",
            What::Revoked => "revoked",
            What::Followed => "followed",
            What::Withdrawn => "withdrawn",
            What::Unlocked => "unlocked",
            What::BroughtOver => "brought-over",
            What::Restored => "restored",
        }
    }
}

impl Event {
    /// Something happened to the statement of a draft.
    pub fn of(what: What, draft: &Draft) -> Self {
        Self { what, statement: Some((draft.id(), draft.kind)), seen: None, text: String::new() }
    }

    /// A statement with this text was signed, and nobody was shown it.
    pub fn unasked(what: What, draft: &Draft, seen: Digest, mut text: String) -> Self {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        Self { seen: Some(seen), text, ..Self::of(what, draft) }
    }

    /// Something happened to the vault itself.
    pub fn of_vault(what: What, text: String) -> Self {
        Self { what, statement: None, seen: None, text }
    }
}

/// Keeps decisions.
#[async_trait]
pub trait Decisions: Send + Sync {
    /// Keeps a decision, durably. What was asked waits; after anything else the statement's question waits no more.
    ///
    /// # Errors
    /// `Taken`: one of its facts stands with another value, and nothing was kept. Else as [`Archive::commit`].
    async fn decide(&self, decision: Decision) -> Result<(), CommitError>;

    /// The fact under a key.
    ///
    /// # Errors
    /// Storage failed, as for all that follow.
    async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Facts of a space in key order, after the key `after`, at most `limit`.
    async fn facts(&self, space: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Fact>, ReadError>;

    /// The present time, and never before what was kept: what is over stays over when a clock is set back.
    fn now(&self) -> Time;

    /// The question about a statement, if it waits.
    async fn waiting(&self, statement: StatementId) -> Result<Option<Approval>, ReadError>;

    /// The questions that wait, at most `limit`.
    async fn all_waiting(&self, limit: usize) -> Result<Vec<Approval>, ReadError>;
}

/// Record space of what waits for the user: statement → [`Approval`].
const WAITING: &str = "vault-waiting";

#[async_trait]
impl<A: Archive + ?Sized> Decisions for A {
    async fn decide(&self, decision: Decision) -> Result<(), CommitError> {
        let Decision { event, facts, question } = decision;
        let waits =
            |(id, _): (StatementId, Kind)| (WAITING.to_owned(), id.as_bytes().to_vec(), question.map(|q| q.to_bytes()));
        let records = event.statement.map(waits).into_iter().collect();
        self.commit(Commit { facts, records, ..Commit::default() }).await
    }

    async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Archive::fact(self, space, key).await
    }

    async fn facts(&self, space: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Fact>, ReadError> {
        Archive::facts(self, space, after, limit).await
    }

    /// The time of this machine: a third party has no mandates.
    fn now(&self) -> Time {
        now()
    }

    async fn waiting(&self, statement: StatementId) -> Result<Option<Approval>, ReadError> {
        self.record(WAITING, statement.as_bytes()).await?.as_deref().map(read).transpose()
    }

    async fn all_waiting(&self, limit: usize) -> Result<Vec<Approval>, ReadError> {
        self.records(WAITING, None, limit).await?.iter().map(|(_, bytes)| read(bytes)).collect()
    }
}

fn read(bytes: &[u8]) -> Result<Approval, ReadError> {
    Approval::from_bytes(bytes).map_err(|error| ReadError(format!("a stored approval: {error}")))
}
