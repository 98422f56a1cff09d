//! An archive whose commits pass through a test's hands: to lose one, to delay one, to look at what is written.
//!
//! Everything else goes to the archive behind it as it is.

use std::ops::Deref;

use async_trait::async_trait;
use semper_core::hash::Digest;
use semper_core::time::Time;

use super::{Archive, Commit, CommitError, Evidence, Fact, Outgoing, OutgoingId, ReadError, SetTimer, StoredState};

/// What a test does with commits.
#[async_trait]
pub trait Intercept: Send + Sync {
    /// The archive behind.
    fn archive(&self) -> &dyn Archive;

    /// Stores a commit, or does not.
    ///
    /// # Errors
    /// Whatever the test wants its caller to believe.
    async fn commit(&self, commit: Commit) -> Result<(), CommitError>;
}

/// The archive that results.
#[derive(Debug)]
pub struct Intercepted<I>(pub I);

impl<I> Deref for Intercepted<I> {
    type Target = I;

    fn deref(&self) -> &I {
        &self.0
    }
}

#[async_trait]
impl<I: Intercept> Archive for Intercepted<I> {
    async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        self.0.commit(commit).await
    }

    async fn state(&self, key: &[u8]) -> Result<Option<StoredState>, ReadError> {
        self.0.archive().state(key).await
    }

    async fn states(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<StoredState>, ReadError> {
        self.0.archive().states(prefix, after, limit).await
    }

    async fn is_consumed(&self, key: &[u8], input: &Digest) -> Result<bool, ReadError> {
        self.0.archive().is_consumed(key, input).await
    }

    async fn outbox_due(&self, now: Time, limit: usize) -> Result<Vec<Outgoing>, ReadError> {
        self.0.archive().outbox_due(now, limit).await
    }

    async fn outbox_postpone(&self, id: &OutgoingId, due: Time) -> Result<(), ReadError> {
        self.0.archive().outbox_postpone(id, due).await
    }

    async fn outbox_of(&self, key: &[u8]) -> Result<Vec<Outgoing>, ReadError> {
        self.0.archive().outbox_of(key).await
    }

    async fn timers_due(&self, now: Time, limit: usize) -> Result<Vec<SetTimer>, ReadError> {
        self.0.archive().timers_due(now, limit).await
    }

    async fn timers_of(&self, key: &[u8]) -> Result<Vec<SetTimer>, ReadError> {
        self.0.archive().timers_of(key).await
    }

    async fn next_due(&self) -> Result<Option<Time>, ReadError> {
        self.0.archive().next_due().await
    }

    async fn evidence(&self, key: &[u8]) -> Result<Vec<Evidence>, ReadError> {
        self.0.archive().evidence(key).await
    }

    async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.archive().fact(space, key).await
    }

    async fn facts(&self, space: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Fact>, ReadError> {
        self.0.archive().facts(space, after, limit).await
    }

    async fn record(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.0.archive().record(space, key).await
    }

    async fn records(
        &self,
        space: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, ReadError> {
        self.0.archive().records(space, after, limit).await
    }
}
