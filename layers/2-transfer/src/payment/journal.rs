//! The journal: what is stored of an operation, from its intent to its result.
//!
//! ```text
//! entry = { 0: 1, 1: operation, ? 2: parent, 3: begun, 4: touched, 5: stage, ? 6: next }
//! ```
//! | stored as | key | |
//! |---|---|---|
//! | state | `op/` ‖ operation id | the entry |
//! | state | `purse/` ‖ purse id | the purse; its version counts the changes of its records |
//! | record `purse` | purse id ‖ key | a record of the purse |
//! | record `payment-open` | operation id | stands while the operation has not ended |
//! | record `payment-history` | complement of begun (8 bytes, big-endian) ‖ operation id | purse id; stands for ever |
//!
//! An intent is stored in the commit of whoever wants it (a deal's step); the result in one commit with what it leads to. Between
//! them each step is one commit of the entry, the purse's records and evidence. Two steps on one purse at once cannot both be
//! stored: the second finds the purse's version changed.
//!
//! Source: `spec/payment.md` §4; `design/exchange.md` §12.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::time::Time;
use semper_support::archive::{Archive, Commit, MachineKey, NewEvidence, PutState, ReadError};
use semper_support::engine::EvidenceKind;

use super::module::{Context, Event, Module, Next, Purse, STAGE_MAX, Step, StepError};
use super::operation::{Answer, Operation, OperationId, PurseId};

/// Record space of the purses' records.
pub const PURSE_SPACE: &str = "purse";
/// Record space of the operations that have not ended.
pub const OPEN_SPACE: &str = "payment-open";
/// Record space of all operations, the youngest first.
pub const HISTORY_SPACE: &str = "payment-history";

const OPERATION_PREFIX: &[u8] = b"op/";
const PURSE_PREFIX: &[u8] = b"purse/";

/// What is stored of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The operation.
    pub operation: Operation,
    /// The operation that this one was begun for, if any.
    pub parent: Option<OperationId>,
    /// When it was begun.
    pub begun: Time,
    /// When it last took a step.
    pub touched: Time,
    /// Where it stands, in the module's words.
    pub stage: Vec<u8>,
    /// What it waits for; nothing before its first step.
    pub next: Option<Next>,
}

impl Entry {
    /// An operation that has not taken a step.
    pub fn intent(operation: Operation, parent: Option<OperationId>, now: Time) -> Self {
        Self { operation, parent, begun: now, touched: now, stage: Vec::new(), next: None }
    }

    /// The key of its state.
    pub fn key(id: &OperationId) -> MachineKey {
        [OPERATION_PREFIX, id.as_bytes()].concat()
    }

    /// The prefix of the keys of all operations.
    pub const fn prefix() -> &'static [u8] {
        OPERATION_PREFIX
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.next.as_ref().is_some_and(Next::is_end)
    }

    /// How it has ended, if it has.
    pub fn answer(&self) -> Option<Answer> {
        let id = self.operation.id;
        match self.next.as_ref()? {
            Next::Done(outcome) => Some(Answer { id, result: Ok(outcome.clone()) }),
            Next::Failed(failure) => Some(Answer { id, result: Err(failure.clone()) }),
            _ => None,
        }
    }

    /// Adds the intent to the commit of whoever wants it. If the operation stands already the commit is refused as stale, and
    /// whoever wants it reads what stands.
    pub fn begin(&self, commit: &mut Commit) {
        let id = self.operation.id.as_bytes();
        commit.states.push(PutState { key: Self::key(&self.operation.id), replaces: 0, bytes: self.to_bytes() });
        commit.records.push((OPEN_SPACE.to_owned(), id.to_vec(), Some(Vec::new())));
        let place = [&(!self.begun.unix()).to_be_bytes(), id.as_slice()].concat();
        let purse = self.operation.purse.as_bytes().to_vec();
        commit.records.push((HISTORY_SPACE.to_owned(), place, Some(purse)));
    }

    /// Takes a step. Nothing is stored yet: see [`Advance::store`].
    ///
    /// # Errors
    /// The event does not fit the stage.
    pub fn advance(
        self,
        module: &dyn Module,
        context: &Context<'_>,
        purse: &Purse,
        event: Event,
    ) -> Result<Advance, StepError> {
        let Step { stage, changes, evidence, next } =
            module.step(context, purse, &self.operation, &self.stage, event)?;
        let entry = Self { touched: context.now, stage, next: Some(next), ..self };
        Ok(Advance { entry, changes, evidence })
    }
}

/// A step that was taken and is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// The operation as it stands after the step.
    pub entry: Entry,
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    evidence: Vec<(EvidenceKind, Vec<u8>)>,
}

impl Advance {
    /// Adds everything that the step changes to a commit. `versions` are those of the stored entry and purse that the step was
    /// computed from; evidence goes under `evidence_key`.
    pub fn store(&self, purse: &Purse, versions: Versions, evidence_key: &MachineKey, commit: &mut Commit) {
        let id = &self.entry.operation.id;
        let bytes = self.entry.to_bytes();
        commit.states.push(PutState { key: Entry::key(id), replaces: versions.entry, bytes });
        if !self.changes.is_empty() {
            let key = purse_key(&purse.id);
            commit.states.push(PutState { key, replaces: versions.purse, bytes: purse.to_bytes() });
        }
        commit.records.extend(
            self.changes.iter().map(|(key, value)| (PURSE_SPACE.to_owned(), record_key(&purse.id, key), value.clone())),
        );
        commit.evidence.extend(self.evidence.iter().map(|(kind, bytes)| NewEvidence {
            key: evidence_key.clone(),
            kind: kind.name().to_owned(),
            bytes: bytes.clone(),
            time: self.entry.touched,
        }));
        if self.entry.has_ended() {
            commit.records.push((OPEN_SPACE.to_owned(), id.as_bytes().to_vec(), None));
        }
    }

    /// Brings the purse in memory, and its version, to what is stored now.
    pub fn apply(&self, purse: &mut Purse, version: &mut u64) {
        if !self.changes.is_empty() {
            purse.apply(&self.changes);
            *version += 1;
        }
    }
}

/// The stored versions that a step was computed from; 0 where nothing is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// Of the entry.
    pub entry: u64,
    /// Of the purse.
    pub purse: u64,
}

/// Pages in which a purse's records are read.
const PAGE: usize = 1024;

/// The operation as it is stored, and its version.
///
/// # Errors
/// Storage failed, or the stored entry is damaged.
pub async fn load_entry(archive: &dyn Archive, id: &OperationId) -> Result<Option<(Entry, u64)>, ReadError> {
    let Some(stored) = archive.state(&Entry::key(id)).await? else { return Ok(None) };
    let entry = Entry::from_bytes(&stored.bytes).map_err(|e| ReadError(format!("operation {id}: {e}")))?;
    Ok(Some((entry, stored.version)))
}

/// The purse as it is stored, with its records, and its version.
///
/// A step that is stored meanwhile makes the version too old for the next commit, never the records wrong.
///
/// # Errors
/// Storage failed, or the stored purse is damaged.
pub async fn load_purse(archive: &dyn Archive, id: &PurseId) -> Result<Option<(Purse, u64)>, ReadError> {
    let Some(stored) = archive.state(&purse_key(id)).await? else { return Ok(None) };
    let mut purse = Purse::from_bytes(&stored.bytes).map_err(|e| ReadError(format!("purse {id}: {e}")))?;
    let mut after = id.as_bytes().to_vec();
    loop {
        let page = archive.records(PURSE_SPACE, Some(&after), PAGE).await?;
        let full = page.len() == PAGE;
        for (key, value) in page {
            let Some(rest) = key.strip_prefix(id.as_bytes()) else { return Ok(Some((purse, stored.version))) };
            purse.records.insert(rest.to_vec(), value);
            after = key;
        }
        if !full {
            return Ok(Some((purse, stored.version)));
        }
    }
}

/// The key of a purse's state.
pub fn purse_key(id: &PurseId) -> MachineKey {
    [PURSE_PREFIX, id.as_bytes()].concat()
}

/// The prefix of the keys of all purses.
pub const fn purse_prefix() -> &'static [u8] {
    PURSE_PREFIX
}

/// The key of a purse's record in [`PURSE_SPACE`].
pub fn record_key(purse: &PurseId, key: &[u8]) -> Vec<u8> {
    [purse.as_bytes(), key].concat()
}

impl Encode for Entry {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.operation)
            .put_some(2, self.parent.as_ref().map(Encode::to_value))
            .put_item(3, &self.begun)
            .put_item(4, &self.touched)
            .put_bytes(5, &self.stage)
            .put_some(6, self.next.as_ref().map(Encode::to_value))
            .build()
    }
}

impl Decode for Entry {
    const BYTES_MAX: usize = Operation::BYTES_MAX + STAGE_MAX + Next::BYTES_MAX + 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let entry = Self {
            operation: fields.item(1, "operation")?,
            parent: fields.optional_item(2, "parent")?,
            begun: fields.item(3, "begun")?,
            touched: fields.item(4, "touched")?,
            stage: fields.bytes(5, "stage", STAGE_MAX)?,
            next: fields.optional_item(6, "next")?,
        };
        fields.close()?;
        Ok(entry)
    }
}
