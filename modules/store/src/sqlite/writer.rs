//! The one writer: what waits is stored in one transaction with one sync, each commit under a savepoint of its own.
//!
//! Nobody is answered before the transaction is durable. If the transaction cannot be stored for a known reason, each commit gets
//! another try alone, so that one that is too large for the disk does not spoil the others. If it cannot be known whether it was
//! stored, the writer stops for good: only opening the archive again finds out.

use std::sync::{Arc, OnceLock};

use futures_util::TryStreamExt;
use semper_support::archive::{CommitError, Fact};
use sqlx::{AssertSqlSafe, Connection, Either, Executor, SqliteConnection};

use super::directory::DirectoryLock;
use super::script::{self, Batch, Decision, Script};
use crate::queue::{self, Exit, answer_all};

/// A commit that waits for the writer.
pub(super) type Job = queue::Job<Script>;

/// Set when the outcome of a transaction is unknown; holds why.
pub(super) type Stopped = Arc<OnceLock<String>>;

/// The log is written back when it has as many pages as the database, and these bounds (4 MiB, 256 MiB): then a page that changes often is
/// written back once for many changes, whatever the size of the database.
const LOG_PAGES: (i64, i64) = (4 * 1024, 256 * 1024);
/// After so many groups the length of the log is adapted to the size of the database.
const GROUPS_PER_LOG_LENGTH: u32 = 1024;

pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    pub(super) jobs: Exit<Script>,
    pub(super) stopped: Stopped,
    /// Held until the last commit is stored.
    pub(super) lock: DirectoryLock,
}

/// Why a transaction was not stored.
enum Failure {
    /// Nothing of it was stored.
    Nothing(sqlx::Error),
    /// It may be stored or not.
    Unknown(sqlx::Error),
}

impl Writer {
    /// Stores what comes until all senders are gone, then closes the database and gives the directory free.
    ///
    /// # Errors
    /// The database could not be closed in order; every commit that was answered is stored nevertheless.
    pub(super) async fn run(mut self) -> Result<(), sqlx::Error> {
        let mut groups = 0..;
        while let Some(group) = self.jobs.next_group(|_| true).await {
            if groups.next().is_some_and(|group: u32| group.is_multiple_of(GROUPS_PER_LOG_LENGTH)) {
                self.adapt_log_length().await;
            }
            if let Some(why) = self.stopped.get() {
                answer_all(group, &CommitError::Storage(stopped_message(why)));
            } else {
                self.store(group).await;
            }
        }
        let emptied = sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await;
        let closed = self.connection.close().await;
        drop(self.lock);
        emptied.and(closed)
    }

    /// An archive whose log has the wrong length is only slower.
    async fn adapt_log_length(&mut self) {
        let pages = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut self.connection).await;
        let length = pages.unwrap_or(0).clamp(LOG_PAGES.0, LOG_PAGES.1);
        let sql = format!("PRAGMA wal_autocheckpoint = {length}");
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await {
            tracing::warn!(%error, "the length of the log could not be set");
        }
    }

    async fn store(&mut self, group: Vec<Job>) {
        match self.attempt(&group).await {
            Ok(outcomes) => {
                for (job, outcome) in group.into_iter().zip(outcomes) {
                    job.answer(outcome);
                }
            }
            Err(Failure::Nothing(error)) if group.len() == 1 => {
                answer_all(group, &CommitError::Storage(error.to_string()));
            }
            Err(Failure::Nothing(error)) => {
                tracing::warn!(%error, commits = group.len(), "a group of commits was not stored; each is tried alone");
                self.store_one_by_one(group).await;
            }
            Err(Failure::Unknown(error)) => self.stop(group, &error),
        }
    }

    async fn store_one_by_one(&mut self, group: Vec<Job>) {
        for job in group {
            if let Some(why) = self.stopped.get() {
                job.answer(Err(CommitError::Storage(stopped_message(why))));
                continue;
            }
            match self.attempt(std::slice::from_ref(&job)).await {
                Ok(outcomes) => job.answer(outcomes.into_iter().next().expect("one commit has one outcome")),
                Err(Failure::Nothing(error)) => job.answer(Err(CommitError::Storage(error.to_string()))),
                Err(Failure::Unknown(error)) => self.stop(vec![job], &error),
            }
        }
    }

    fn stop(&mut self, group: Vec<Job>, error: &sqlx::Error) {
        tracing::error!(%error, "the outcome of a commit is unknown; the archive must be opened again");
        let why = self.stopped.get_or_init(|| error.to_string()).clone();
        answer_all(group, &CommitError::Unknown(why));
    }

    /// Stores a group in one transaction, durably. The outcomes are those of the commits, in order.
    async fn attempt(&mut self, group: &[Job]) -> Result<Vec<Result<(), CommitError>>, Failure> {
        match self.run_scripts(group).await {
            Ok(outcomes) => match self.execute("COMMIT").await {
                Ok(()) => Ok(outcomes),
                Err(error) => Err(self.failed_commit(error).await),
            },
            Err(error) => {
                self.roll_back().await;
                Err(Failure::Nothing(error))
            }
        }
    }

    async fn run_scripts(&mut self, group: &[Job]) -> Result<Vec<Result<(), CommitError>>, sqlx::Error> {
        self.execute(script::BEGIN).await?;
        let mut outcomes = Vec::with_capacity(group.len());
        for job in group {
            outcomes.push(self.run_script(&job.work).await?);
        }
        Ok(outcomes)
    }

    /// Runs one commit inside the transaction; nothing of it stays if it is refused.
    async fn run_script(&mut self, script: &Script) -> Result<Result<(), CommitError>, sqlx::Error> {
        for batch in &script.batches {
            if let Some(decision) = self.run_batch(batch).await? {
                self.execute(script::UNDO).await?;
                return Ok(Err(self.with_what_stands(script.refusal(decision)).await?));
            }
        }
        Ok(Ok(()))
    }

    /// Runs the statements of a batch; returns the first decision that went against the commit.
    async fn run_batch(&mut self, batch: &Batch) -> Result<Option<Decision>, sqlx::Error> {
        let query = sqlx::query_with(AssertSqlSafe(batch.sql.as_str()), batch.arguments.clone());
        let mut decisions = batch.decisions.iter();
        let mut refused = None;
        let mut results = self.connection.fetch_many(query);
        while let Some(result) = results.try_next().await? {
            if let Either::Left(done) = result {
                let decision = decisions.next().copied().flatten();
                if done.rows_affected() == 0 && refused.is_none() {
                    refused = decision;
                }
            }
        }
        Ok(refused)
    }

    /// Puts the fact that stands into a refusal that was prepared with the one that was offered.
    async fn with_what_stands(&mut self, refusal: CommitError) -> Result<CommitError, sqlx::Error> {
        let CommitError::Taken { stands } = refusal else { return Ok(refusal) };
        let sql = "SELECT value FROM facts WHERE space = ? AND key = ?";
        let query = sqlx::query_scalar(sql).bind(&stands.space).bind(&stands.key);
        let value = query.fetch_one(&mut self.connection).await?;
        Ok(CommitError::Taken { stands: Fact { value, ..stands } })
    }

    /// What a failed COMMIT means. A full disk is met before the mark that ends a transaction is whole in the log, and a busy
    /// database before anything is written. After any other error the mark may be on the disk although this process does not see it.
    async fn failed_commit(&mut self, error: sqlx::Error) -> Failure {
        const BUSY: i32 = 5;
        const FULL: i32 = 13;
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
        // The low byte is the primary code, the rest says where it happened.
        if !matches!(code.map(|code| code & 0xff), Some(BUSY | FULL)) {
            return Failure::Unknown(error);
        }
        self.roll_back().await;
        Failure::Nothing(error)
    }

    /// Ends the transaction. SQLite may have done so by itself, which is no failure; if it cannot be ended, the next one cannot
    /// begin, and says so.
    async fn roll_back(&mut self) {
        if let Err(error) = self.execute("ROLLBACK").await {
            tracing::debug!(%error, "there was nothing to roll back");
        }
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(sql).execute(&mut self.connection).await.map(|_| ())
    }
}

/// What an archive says that has stopped.
pub(super) fn stopped_message(why: &str) -> String {
    format!("the archive stopped, because the outcome of a commit is unknown ({why}); open it again")
}
