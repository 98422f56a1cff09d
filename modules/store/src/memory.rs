//! The archive in memory: nothing outlives the process.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_support::archive::{
    Archive, Commit, CommitError, Consumed, Evidence, Fact, MachineKey, NewEvidence, Outgoing, OutgoingId, ReadError,
    SetTimer, StoredState,
};

use crate::refusal::{Standing, refuse};

/// An archive in memory, for tests and the simulator. It keeps every promise of the port but durability.
///
/// Commits and reads take one lock and never wait for anything else, so a simulated run is deterministic.
#[derive(Debug, Default)]
pub struct MemoryArchive {
    tables: Mutex<Tables>,
}

/// Key and value by space and key.
type Spaces = BTreeMap<(String, Vec<u8>), Vec<u8>>;

#[derive(Clone, Debug, Default)]
struct Tables {
    states: BTreeMap<MachineKey, StoredState>,
    consumed: BTreeSet<(MachineKey, Digest)>,
    outbox: BTreeMap<OutgoingId, Outgoing>,
    timers: BTreeMap<(MachineKey, String), Time>,
    evidence: BTreeMap<MachineKey, Vec<NewEvidence>>,
    facts: Spaces,
    records: Spaces,
}

impl MemoryArchive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything and takes over what `other` holds now: many simulated runs begin with one archive.
    pub fn copy_from(&self, other: &Self) {
        let copy = other.tables().clone();
        *self.tables() = copy;
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // No code panics between two changes of one commit, so the tables are whole even if a holder of the lock panicked.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Archive for MemoryArchive {
    async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        commit.check()?;
        let mut tables = self.tables();
        refuse(&commit, &*tables)?;
        tables.apply(commit);
        Ok(())
    }

    async fn state(&self, key: &[u8]) -> Result<Option<StoredState>, ReadError> {
        Ok(self.tables().states.get(key).cloned())
    }

    async fn states(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<StoredState>, ReadError> {
        let tables = self.tables();
        let found = tables.states.values().filter(|s| s.key.starts_with(prefix) && is_after(&s.key, after));
        Ok(found.take(limit).cloned().collect())
    }

    async fn is_consumed(&self, key: &[u8], input: &Digest) -> Result<bool, ReadError> {
        Ok(self.tables().consumed.contains(&(key.to_vec(), *input)))
    }

    async fn outbox_due(&self, now: Time, limit: usize) -> Result<Vec<Outgoing>, ReadError> {
        let mut due = self.tables().outbox_where(|waiting| waiting.message.due <= now);
        due.truncate(limit);
        Ok(due)
    }

    async fn outbox_postpone(&self, id: &OutgoingId, due: Time) -> Result<(), ReadError> {
        if let Some(waiting) = self.tables().outbox.get_mut(id) {
            waiting.message.due = due;
            waiting.attempts = waiting.attempts.saturating_add(1);
        }
        Ok(())
    }

    async fn outbox_of(&self, key: &[u8]) -> Result<Vec<Outgoing>, ReadError> {
        Ok(self.tables().outbox_where(|waiting| waiting.message.key == key))
    }

    async fn timers_due(&self, now: Time, limit: usize) -> Result<Vec<SetTimer>, ReadError> {
        let mut due = self.tables().timers_where(|timer| timer.due <= now);
        due.sort_by(|a, b| (a.due, &a.key, &a.name).cmp(&(b.due, &b.key, &b.name)));
        due.truncate(limit);
        Ok(due)
    }

    async fn timers_of(&self, key: &[u8]) -> Result<Vec<SetTimer>, ReadError> {
        Ok(self.tables().timers_where(|timer| timer.key == key))
    }

    async fn next_due(&self) -> Result<Option<Time>, ReadError> {
        let tables = self.tables();
        Ok(tables.timers.values().copied().chain(tables.outbox.values().map(|waiting| waiting.message.due)).min())
    }

    async fn evidence(&self, key: &[u8]) -> Result<Vec<Evidence>, ReadError> {
        let tables = self.tables();
        let items = tables.evidence.get(key).into_iter().flatten().cloned();
        Ok((0..).zip(items).map(|(index, item)| Evidence { index, item }).collect())
    }

    async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.tables().facts.get(&(space.to_owned(), key.to_vec())).cloned())
    }

    async fn facts(&self, space: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Fact>, ReadError> {
        let page = page(&self.tables().facts, space, after, limit);
        Ok(page.into_iter().map(|(key, value)| Fact { space: space.to_owned(), key, value }).collect())
    }

    async fn record(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.tables().records.get(&(space.to_owned(), key.to_vec())).cloned())
    }

    async fn records(
        &self,
        space: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, ReadError> {
        Ok(page(&self.tables().records, space, after, limit))
    }
}

impl Tables {
    /// Stores a commit that is not refused. Removals come before additions: what a commit both removes and adds is there after it.
    fn apply(&mut self, commit: Commit) {
        self.consumed.extend(commit.consumed.into_iter().map(|consumed| (consumed.key, consumed.input)));
        for state in commit.states {
            let stored = StoredState { key: state.key, version: state.replaces + 1, bytes: state.bytes };
            self.states.insert(stored.key.clone(), stored);
        }
        self.facts.extend(commit.facts.into_iter().map(|fact| ((fact.space, fact.key), fact.value)));
        for id in commit.sent {
            self.outbox.remove(&id);
        }
        let outgoing = commit.outbox.into_iter().map(|message| (message.id, Outgoing { message, attempts: 0 }));
        self.outbox.extend(outgoing);
        for timer in commit.timers_done {
            self.timers.remove(&timer);
        }
        self.timers.extend(commit.timers.into_iter().map(|timer| ((timer.key, timer.name), timer.due)));
        for item in commit.evidence {
            self.evidence.entry(item.key.clone()).or_default().push(item);
        }
        for (space, key, value) in commit.records {
            match value {
                Some(value) => self.records.insert((space, key), value),
                None => self.records.remove(&(space, key)),
            };
        }
    }

    fn outbox_where(&self, wanted: impl Fn(&Outgoing) -> bool) -> Vec<Outgoing> {
        let mut found: Vec<_> = self.outbox.values().filter(|waiting| wanted(waiting)).cloned().collect();
        found.sort_by_key(|waiting| (waiting.message.due, waiting.message.id));
        found
    }

    fn timers_where(&self, wanted: impl Fn(&SetTimer) -> bool) -> Vec<SetTimer> {
        let all =
            self.timers.iter().map(|((key, name), due)| SetTimer { key: key.clone(), name: name.clone(), due: *due });
        all.filter(wanted).collect()
    }
}

impl Standing for Tables {
    fn is_consumed(&self, consumed: &Consumed) -> bool {
        self.consumed.contains(&(consumed.key.clone(), consumed.input))
    }

    fn version(&self, key: &[u8]) -> u64 {
        self.states.get(key).map_or(0, |stored| stored.version)
    }

    fn value(&self, fact: &Fact) -> Option<&[u8]> {
        self.facts.get(&(fact.space.clone(), fact.key.clone())).map(Vec::as_slice)
    }

    fn waits(&self, id: &Digest) -> bool {
        self.outbox.contains_key(id)
    }
}

fn is_after(key: &[u8], after: Option<&[u8]>) -> bool {
    after.is_none_or(|after| key > after)
}

fn page(spaces: &Spaces, space: &str, after: Option<&[u8]>, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let from = match after {
        Some(after) => Bound::Excluded((space.to_owned(), after.to_vec())),
        None => Bound::Included((space.to_owned(), Vec::new())),
    };
    let found = spaces.range((from, Bound::Unbounded)).take_while(|((of, _), _)| of == space);
    found.take(limit).map(|((_, key), value)| (key.clone(), value.clone())).collect()
}
