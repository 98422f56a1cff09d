//! Both modules keep every promise of the port; and an archive that breaks one is found out.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_store::{MemoryArchive, SqliteArchive};
use semper_support::archive::contract::{self, Boxed, Factory, Outcome};
use semper_support::archive::{
    Archive, Commit, CommitError, Evidence, Fact, Outgoing, OutgoingId, ReadError, SetTimer, StoredState,
};

/// Runs tasks on the runtime of the test, which has several threads.
async fn spawn_all(tasks: Vec<Boxed<Outcome>>) -> Vec<Outcome> {
    let handles: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut outcomes = Vec::new();
    for handle in handles {
        outcomes.push(handle.await.unwrap());
    }
    outcomes
}

struct Memory;

#[async_trait]
impl Factory for Memory {
    async fn fresh(&self) -> Arc<dyn Archive> {
        Arc::new(MemoryArchive::new())
    }

    async fn reopen(&self, archive: Arc<dyn Archive>) -> Arc<dyn Archive> {
        archive
    }

    async fn together(&self, tasks: Vec<Boxed<Outcome>>) -> Vec<Outcome> {
        spawn_all(tasks).await
    }
}

/// Makes each archive in a directory of its own below `root`, and remembers the last one, to close it.
struct Sqlite {
    root: tempfile::TempDir,
    made: AtomicUsize,
    last: Mutex<Option<(PathBuf, Arc<SqliteArchive>)>>,
}

impl Sqlite {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap(), made: AtomicUsize::new(0), last: Mutex::new(None) }
    }

    async fn open(&self, dir: PathBuf) -> Arc<dyn Archive> {
        let archive = Arc::new(SqliteArchive::open(&dir).await.unwrap());
        *self.last.lock().unwrap() = Some((dir, archive.clone()));
        archive
    }
}

#[async_trait]
impl Factory for Sqlite {
    async fn fresh(&self) -> Arc<dyn Archive> {
        let dir = self.root.path().join(self.made.fetch_add(1, Ordering::Relaxed).to_string());
        self.open(dir).await
    }

    async fn reopen(&self, archive: Arc<dyn Archive>) -> Arc<dyn Archive> {
        let (dir, last) = self.last.lock().unwrap().take().unwrap();
        last.close().await.unwrap();
        assert!(archive.state(b"m").await.is_err(), "a closed archive must not answer");
        assert!(matches!(archive.commit(Commit::default()).await, Err(CommitError::Storage(_))));
        self.open(dir).await
    }

    async fn together(&self, tasks: Vec<Boxed<Outcome>>) -> Vec<Outcome> {
        spawn_all(tasks).await
    }
}

// A promise that one module keeps and the other does not would show only in production.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_archive_in_memory_keeps_the_contract() {
    contract::all(Arc::new(Memory)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_archive_in_sqlite_keeps_the_contract() {
    contract::all(Arc::new(Sqlite::new())).await.unwrap();
}

/// A mistake that a module could contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// A refused commit leaves its evidence.
    HalfCommit,
    /// A fact that is taken is overlooked.
    TakenIsFine,
    /// A taken fact is refused with the value that was offered.
    OfferedStands,
    /// A version is not compared.
    NoVersions,
    /// Inputs are not remembered.
    NoInputs,
    /// Evidence comes newest first.
    EvidenceBackwards,
    /// All messages are always due.
    AlwaysDue,
    /// Timers are never removed.
    TimersStay,
    /// A failed attempt to send is not counted.
    NotPostponed,
    /// A page begins with the key after which it should begin.
    PagesOverlap,
    /// Bounds are not checked.
    NoBounds,
    /// Nothing outlives the process.
    Forgets,
    /// Timers are forgotten when asked for the next due time.
    NextDueWithoutTimers,
}

/// A good archive but for one mistake.
struct Broken {
    flaw: Flaw,
    inner: MemoryArchive,
}

#[async_trait]
impl Archive for Broken {
    async fn commit(&self, mut commit: Commit) -> Result<(), CommitError> {
        match self.flaw {
            Flaw::TakenIsFine | Flaw::OfferedStands => {
                for fact in commit.facts.clone() {
                    if self.inner.fact(&fact.space, &fact.key).await.unwrap().is_some() {
                        if self.flaw == Flaw::OfferedStands {
                            return Err(CommitError::Taken { stands: fact });
                        }
                        commit.facts.retain(|other| *other != fact);
                    }
                }
            }
            Flaw::NoVersions => {
                for state in &mut commit.states {
                    state.replaces = self.inner.state(&state.key).await.unwrap().map_or(0, |stored| stored.version);
                }
            }
            Flaw::NoInputs => commit.consumed.clear(),
            Flaw::TimersStay => commit.timers_done.clear(),
            Flaw::NoBounds => {
                let mut seen = BTreeSet::new();
                commit.facts.retain(|fact| seen.insert((fact.space.clone(), fact.key.clone())));
                if commit.check().is_err() {
                    return Ok(());
                }
            }
            _ => {}
        }
        let evidence = Commit { evidence: commit.evidence.clone(), ..Commit::default() };
        let outcome = self.inner.commit(commit).await;
        if outcome.is_err() && self.flaw == Flaw::HalfCommit {
            // Fails only where the commit was malformed, and then nothing is left.
            let _ = self.inner.commit(evidence).await;
        }
        outcome
    }

    async fn state(&self, key: &[u8]) -> Result<Option<StoredState>, ReadError> {
        self.inner.state(key).await
    }

    async fn states(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<StoredState>, ReadError> {
        if self.flaw == Flaw::PagesOverlap {
            let all = self.inner.states(prefix, None, usize::MAX).await?;
            return Ok(all.into_iter().filter(|s| after.is_none_or(|after| *s.key >= *after)).take(limit).collect());
        }
        self.inner.states(prefix, after, limit).await
    }

    async fn is_consumed(&self, key: &[u8], input: &Digest) -> Result<bool, ReadError> {
        self.inner.is_consumed(key, input).await
    }

    async fn outbox_due(&self, now: Time, limit: usize) -> Result<Vec<Outgoing>, ReadError> {
        self.inner.outbox_due(if self.flaw == Flaw::AlwaysDue { Time::MAX } else { now }, limit).await
    }

    async fn outbox_postpone(&self, id: &OutgoingId, due: Time) -> Result<(), ReadError> {
        if self.flaw == Flaw::NotPostponed { Ok(()) } else { self.inner.outbox_postpone(id, due).await }
    }

    async fn outbox_of(&self, key: &[u8]) -> Result<Vec<Outgoing>, ReadError> {
        self.inner.outbox_of(key).await
    }

    async fn timers_due(&self, now: Time, limit: usize) -> Result<Vec<SetTimer>, ReadError> {
        self.inner.timers_due(now, limit).await
    }

    async fn timers_of(&self, key: &[u8]) -> Result<Vec<SetTimer>, ReadError> {
        self.inner.timers_of(key).await
    }

    async fn next_due(&self) -> Result<Option<Time>, ReadError> {
        if self.flaw == Flaw::NextDueWithoutTimers {
            let messages = self.inner.outbox_due(Time::MAX, 1).await?;
            return Ok(messages.first().map(|waiting| waiting.message.due));
        }
        self.inner.next_due().await
    }

    async fn evidence(&self, key: &[u8]) -> Result<Vec<Evidence>, ReadError> {
        let mut items = self.inner.evidence(key).await?;
        if self.flaw == Flaw::EvidenceBackwards {
            items.reverse();
        }
        Ok(items)
    }

    async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.inner.fact(space, key).await
    }

    async fn facts(&self, space: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Fact>, ReadError> {
        self.inner.facts(space, after, limit).await
    }

    async fn record(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.inner.record(space, key).await
    }

    async fn records(
        &self,
        space: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, ReadError> {
        self.inner.records(space, after, limit).await
    }
}

#[async_trait]
impl Factory for Flaw {
    async fn fresh(&self) -> Arc<dyn Archive> {
        Arc::new(Broken { flaw: *self, inner: MemoryArchive::new() })
    }

    async fn reopen(&self, archive: Arc<dyn Archive>) -> Arc<dyn Archive> {
        if *self == Flaw::Forgets { self.fresh().await } else { archive }
    }

    async fn together(&self, tasks: Vec<Boxed<Outcome>>) -> Vec<Outcome> {
        spawn_all(tasks).await
    }
}

// A kit that passes everything is worthless: each mistake must be found by the check that is about it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broken_archive_does_not_pass() {
    for (flaw, check) in [
        (Flaw::HalfCommit, "a_refused_commit_leaves_nothing"),
        (Flaw::TakenIsFine, "one_of_many_takes_a_fact"),
        (Flaw::OfferedStands, "a_taken_fact_is_refused_with_what_stands"),
        (Flaw::NoVersions, "a_stale_version_is_refused"),
        (Flaw::NoInputs, "a_doubled_input_is_refused"),
        (Flaw::EvidenceBackwards, "evidence_keeps_its_order"),
        (Flaw::AlwaysDue, "messages_are_due_postponed_and_sent"),
        (Flaw::TimersStay, "timers_are_replaced_and_removed"),
        (Flaw::NotPostponed, "messages_are_due_postponed_and_sent"),
        (Flaw::PagesOverlap, "states_are_listed_by_prefix_and_page"),
        (Flaw::NoBounds, "bounds_are_kept"),
        (Flaw::Forgets, "reopening_keeps_everything"),
        (Flaw::NextDueWithoutTimers, "the_next_due_time_is_known"),
    ] {
        let failures = contract::all(Arc::new(flaw)).await.expect_err("the kit passes a broken archive");
        assert!(
            failures.iter().any(|failure| failure.check == check),
            "{flaw:?} was not found by {check}: {failures:?}"
        );
    }
}
