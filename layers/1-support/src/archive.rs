//! Port: the archive, where every state, message and proof is kept.
//!
//! One call, [`Archive::commit`], stores everything that one event changes: the new state, the input that was consumed, what is
//! to be sent, timers, evidence, and facts that must be unique. It is stored as a whole or not at all, and durable when the call
//! returns. A decision is one fact under one key, so it can be asked for again after a lost connection, with the same answer.
//!
//! Modules are in `modules/store`; each passes the kit `contract` (feature of the same name).
//!
//! Source: DESIGN §12, `spec/archive.md`.

#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "contract")]
pub mod intercept;

use async_trait::async_trait;
use semper_core::hash::Digest;
use semper_core::time::Time;

/// Name of a machine's state: 1 to 64 bytes, chosen by the driver (a deal's identifier, a role's name).
pub type MachineKey = Vec<u8>;

/// Everything that one event changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// New states, each with the version that it replaces.
    pub states: Vec<PutState>,
    /// Inputs that are consumed by this event; each is consumed once, ever.
    pub consumed: Vec<Consumed>,
    /// Messages to be sent until they are acknowledged.
    pub outbox: Vec<NewOutgoing>,
    /// Messages that need no more sending.
    pub sent: Vec<OutgoingId>,
    /// Timers to set; a timer of the same machine and name is replaced.
    pub timers: Vec<SetTimer>,
    /// Timers to remove; a timer that is not there is no error.
    pub timers_done: Vec<(MachineKey, String)>,
    /// Evidence to append.
    pub evidence: Vec<NewEvidence>,
    /// Write-once facts.
    pub facts: Vec<Fact>,
    /// Small records that may change; `None` removes one.
    pub records: Vec<(String, Vec<u8>, Option<Vec<u8>>)>,
}

/// A state to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutState {
    /// The machine.
    pub key: MachineKey,
    /// The stored version that this state was computed from; 0 when nothing is stored yet. The new version is one more.
    pub replaces: u64,
    /// The state, encoded by its machine.
    pub bytes: Vec<u8>,
}

/// A stored state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The machine.
    pub key: MachineKey,
    /// Its version, from 1.
    pub version: u64,
    /// The state.
    pub bytes: Vec<u8>,
}

/// An input that a machine has taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// The machine.
    pub key: MachineKey,
    /// The input, by its hash.
    pub input: Digest,
}

/// Identifier of an outgoing message: 32 bytes, chosen by the driver, unique in the archive.
pub type OutgoingId = Digest;

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOutgoing {
    /// Its identifier.
    pub id: OutgoingId,
    /// The machine that sends it.
    pub key: MachineKey,
    /// Where to: encoded by the driver.
    pub destination: Vec<u8>,
    /// The message as it goes out.
    pub bytes: Vec<u8>,
    /// When it is first due.
    pub due: Time,
}

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The message.
    pub message: NewOutgoing,
    /// How often sending was tried.
    pub attempts: u32,
}

/// A timer to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetTimer {
    /// The machine.
    pub key: MachineKey,
    /// The timer's name, unique within the machine, at most 64 bytes.
    pub name: String,
    /// When it fires.
    pub due: Time,
}

/// A piece of evidence to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvidence {
    /// The machine it belongs to.
    pub key: MachineKey,
    /// What it is: a name of the evidence format, at most 64 bytes.
    pub kind: String,
    /// The bytes as they were received or made.
    pub bytes: Vec<u8>,
    /// When it came.
    pub time: Time,
}

/// Stored evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its place among the machine's evidence, from 0, without gaps.
    pub index: u64,
    /// The evidence.
    pub item: NewEvidence,
}

/// A write-once fact: the first value under a key stands for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fact {
    /// What kind of fact, at most 64 bytes (`verdict`, `run`, `serial`).
    pub space: String,
    /// The key, at most 256 bytes.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// Why a commit was not stored. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A state was changed meanwhile: read it again, take the step again.
    #[error("the state was changed meanwhile")]
    Stale {
        /// The machine.
        key: MachineKey,
    },
    /// An input was consumed before: a double. Answer as before, do nothing.
    #[error("the input was consumed before")]
    Doubled {
        /// The input.
        input: Digest,
    },
    /// A fact stands under this key already.
    #[error("a fact stands under this key already")]
    Taken {
        /// The fact as it stands, which may be equal to the one that was offered.
        stands: Fact,
    },
    /// The commit breaks a bound of this port (a key too long, the same key twice in one commit).
    #[error("malformed commit: {0}")]
    Malformed(&'static str),
    /// The disk is full, or the database refuses. Nothing was stored; earlier commits stand.
    #[error("storage failed: {0}")]
    Storage(String),
    /// The connection was lost during the commit: it may be stored or not. Ask for the state again before acting.
    #[error("the outcome of the commit is unknown: {0}")]
    Unknown(String),
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("storage failed: {0}")]
pub struct ReadError(pub String);

/// The archive of one party or third party.
///
/// Calls may come from many tasks at once; commits that do not conflict are stored in groups.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Stores a commit as a whole, durably.
    ///
    /// # Errors
    /// [`CommitError`]: each variant says what is stored.
    async fn commit(&self, commit: Commit) -> Result<(), CommitError>;

    /// The state of a machine.
    ///
    /// # Errors
    /// [`ReadError`], as for all reads.
    async fn state(&self, key: &[u8]) -> Result<Option<StoredState>, ReadError>;

    /// The states of all machines whose key begins with `prefix`, in key order, at most `limit`, after the key `after`.
    async fn states(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<StoredState>, ReadError>;

    /// Whether an input was consumed.
    async fn is_consumed(&self, key: &[u8], input: &Digest) -> Result<bool, ReadError>;

    /// Messages that are due at `now`, the longest due first, at most `limit`.
    async fn outbox_due(&self, now: Time, limit: usize) -> Result<Vec<Outgoing>, ReadError>;

    /// Notes that sending was tried without success, and when to try again. Losing this note in a crash is harmless.
    async fn outbox_postpone(&self, id: &OutgoingId, due: Time) -> Result<(), ReadError>;

    /// Messages of one machine that are not sent yet.
    async fn outbox_of(&self, key: &[u8]) -> Result<Vec<Outgoing>, ReadError>;

    /// Timers that are due at `now`, the longest due first, at most `limit`. They stay until a commit removes them.
    async fn timers_due(&self, now: Time, limit: usize) -> Result<Vec<SetTimer>, ReadError>;

    /// Timers of one machine.
    async fn timers_of(&self, key: &[u8]) -> Result<Vec<SetTimer>, ReadError>;

    /// When the next timer or message is due.
    async fn next_due(&self) -> Result<Option<Time>, ReadError>;

    /// All evidence of one machine, in order.
    async fn evidence(&self, key: &[u8]) -> Result<Vec<Evidence>, ReadError>;

    /// The fact under a key.
    async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Facts of a space in key order, after the key `after`, at most `limit`.
    async fn facts(&self, space: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Fact>, ReadError>;

    /// The record under a key.
    async fn record(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Records of a space in key order: key and value, after the key `after`, at most `limit`.
    async fn records(
        &self,
        space: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, ReadError>;
}

/// Largest machine key, in bytes.
pub const MACHINE_KEY_MAX: usize = 64;
/// Largest name of a timer, kind or space, in bytes.
pub const NAME_MAX: usize = 64;
/// Largest key of a fact or record, in bytes.
pub const KEY_MAX: usize = 256;
/// Largest single value, in bytes.
pub const VALUE_MAX: usize = 64 * 1024 * 1024;
/// Most items in one commit.
pub const ITEMS_MAX: usize = 4096;

impl Commit {
    /// Checks the bounds that every module keeps.
    ///
    /// # Errors
    /// `Malformed`: a key, name or value is empty or too long, there are too many items, or one commit writes the same state,
    /// input, message or fact twice.
    pub fn check(&self) -> Result<(), CommitError> {
        let machine = |key: &[u8]| !key.is_empty() && key.len() <= MACHINE_KEY_MAX;
        let name = |name: &str| !name.is_empty() && name.len() <= NAME_MAX;
        let keys = (self.states.iter().map(|s| &s.key))
            .chain(self.consumed.iter().map(|c| &c.key))
            .chain(self.outbox.iter().map(|o| &o.key))
            .chain(self.timers.iter().map(|t| &t.key))
            .chain(self.timers_done.iter().map(|t| &t.0))
            .chain(self.evidence.iter().map(|e| &e.key));
        let names = (self.timers.iter().map(|t| &t.name))
            .chain(self.timers_done.iter().map(|t| &t.1))
            .chain(self.evidence.iter().map(|e| &e.kind))
            .chain(self.facts.iter().map(|f| &f.space))
            .chain(self.records.iter().map(|r| &r.0));
        let items = keys.clone().count() + names.clone().count() + self.sent.len();
        if items > ITEMS_MAX {
            return Err(CommitError::Malformed("too many items in one commit"));
        }
        if !keys.clone().all(|key| machine(key)) {
            return Err(CommitError::Malformed("a machine key must have 1 to 64 bytes"));
        }
        if !names.clone().all(|n| name(n)) {
            return Err(CommitError::Malformed("a name must have 1 to 64 bytes"));
        }
        if !self.facts.iter().map(|f| &f.key).chain(self.records.iter().map(|r| &r.1)).all(|key| key.len() <= KEY_MAX) {
            return Err(CommitError::Malformed("a key must have at most 256 bytes"));
        }
        let values = (self.states.iter().map(|s| s.bytes.len()))
            .chain(self.outbox.iter().flat_map(|o| [o.destination.len(), o.bytes.len()]))
            .chain(self.evidence.iter().map(|e| e.bytes.len()))
            .chain(self.facts.iter().map(|f| f.value.len()))
            .chain(self.records.iter().filter_map(|r| r.2.as_ref()).map(Vec::len));
        if values.into_iter().any(|len| len > VALUE_MAX) {
            return Err(CommitError::Malformed("a value must have at most 64 MiB"));
        }
        let twice = has_double(self.states.iter().map(|s| &s.key))
            || has_double(self.consumed.iter().map(|c| (&c.key, c.input)))
            || has_double(self.outbox.iter().map(|o| o.id))
            || has_double(self.facts.iter().map(|f| (&f.space, &f.key)));
        if twice {
            return Err(CommitError::Malformed("the same key twice in one commit"));
        }
        Ok(())
    }
}

fn has_double<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    !items.into_iter().all(|item| seen.insert(item))
}
