//! The one writer: what waits is stored in one transaction with one sync.
//!
//! The commits of a group have no key in common but machines of evidence, so that none decides about another. All are written by a few
//! statements, and those that come while these run join them. If a statement changes fewer rows than it should, the transaction is rolled
//! back, those that must be refused are answered, and the others are tried again. Nobody is answered before the transaction is durable. If
//! the transaction cannot be stored for a known reason, each commit gets another try alone, so that one that is too large for the disk does
//! not spoil the others. If it cannot be known whether it was stored, the writer stops for good: only opening the archive again finds out.

use std::sync::{Arc, OnceLock};

use futures_util::TryStreamExt;
use semper_support::archive::CommitError;
use sqlx::{AssertSqlSafe, Connection, Either, Executor, SqliteConnection};

use super::directory::DirectoryLock;
use super::judge::read_standings;
use super::memory::Memory;
use super::statements::{self, Batch};
use crate::queue::{Exit, Group, Job, answer_all};
use crate::rows::Row;
use crate::work::answer_refused;

/// Set when the outcome of a transaction is unknown; holds why.
pub(super) type Stopped = Arc<OnceLock<String>>;

/// The log is written back when it has four times as many pages as the database, and these bounds (32 MiB, 256 MiB): then a page that changes often
/// is written back once for many changes, whatever the size of the database.
const LOG_PAGES: (i64, i64) = (32 * 1024, 256 * 1024);
/// After so many groups the length of the log is adapted to the size of the database.
const GROUPS_PER_LOG_LENGTH: u32 = 1024;

pub(super) struct Writer {
    pub(super) connection: SqliteConnection,
    pub(super) jobs: Exit,
    pub(super) stopped: Stopped,
    pub(super) memory: Arc<Memory>,
    /// Held until the last commit is stored.
    pub(super) lock: DirectoryLock,
}

/// What became of a transaction.
enum Outcome {
    Stored,
    /// A commit must be refused. Nothing was stored.
    Conflict,
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
        while let Some(group) = self.jobs.next_group().await {
            if groups.next().is_some_and(|group: u32| group.is_multiple_of(GROUPS_PER_LOG_LENGTH)) {
                self.adapt_log_length().await;
            }
            if let Some(why) = self.stopped.get() {
                answer_all(group.jobs, &CommitError::Storage(stopped_message(why)));
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
        let length = pages.unwrap_or(0_i64).saturating_mul(4).clamp(LOG_PAGES.0, LOG_PAGES.1);
        let sql = format!("PRAGMA wal_autocheckpoint = {length}");
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await {
            tracing::warn!(%error, "the length of the log could not be set");
        }
    }

    /// Stores a group and answers it.
    async fn store(&mut self, mut group: Group) {
        while !group.jobs.is_empty() {
            let error = match self.attempt(&mut group).await {
                Ok(Outcome::Stored) => return self.answer_stored(group.jobs),
                Ok(Outcome::Conflict) => match self.answer_refused(&mut group).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(Failure::Nothing(error)) => error,
                Err(Failure::Unknown(error)) => return self.stop(group.jobs, &error),
            };
            if group.jobs.len() == 1 {
                return answer_all(group.jobs, &CommitError::Storage(error.to_string()));
            }
            tracing::warn!(%error, commits = group.jobs.len(), "a group of commits was not stored; each is tried alone");
            return Box::pin(self.store_one_by_one(group.jobs)).await;
        }
    }

    /// Tells the memory before anybody can know of what was stored.
    fn answer_stored(&self, jobs: Vec<Job>) {
        for job in &jobs {
            match job.work.as_commit() {
                Some(commit) => self.memory.stored(commit),
                None => self.memory.postponed(),
            }
        }
        jobs.into_iter().for_each(|job| job.answer(Ok(())));
    }

    async fn store_one_by_one(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            match self.stopped.get() {
                Some(why) => job.answer(Err(CommitError::Storage(stopped_message(why)))),
                None => self.store(Group::alone(job)).await,
            }
        }
    }

    /// Answers those of a group that must be refused; the others stay in it.
    async fn answer_refused(&mut self, group: &mut Group) -> Result<(), sqlx::Error> {
        let commits = group.jobs.iter().filter_map(|job| job.work.as_commit());
        let standings = read_standings(&mut self.connection, commits).await?;
        // Else a stream of commits that must be refused could keep the others from ever being stored.
        group.close();
        let found = group.jobs.len();
        answer_refused(&mut group.jobs, &standings);
        if group.jobs.len() == found {
            return Err(sqlx::Error::Protocol(
                "a commit was refused by the database for no reason that can be found".to_owned(),
            ));
        }
        Ok(())
    }

    fn stop(&mut self, jobs: Vec<Job>, error: &sqlx::Error) {
        tracing::error!(%error, "the outcome of a commit is unknown; the archive must be opened again");
        let why = self.stopped.get_or_init(|| error.to_string()).clone();
        answer_all(jobs, &CommitError::Unknown(why));
    }

    /// Tries to store a group in one transaction, durably, with what comes meanwhile.
    async fn attempt(&mut self, group: &mut Group) -> Result<Outcome, Failure> {
        match self.write(group).await {
            Ok(true) => match self.execute("COMMIT").await {
                Ok(()) => Ok(Outcome::Stored),
                Err(error) => Err(self.failed_commit(error).await),
            },
            written => {
                self.roll_back().await;
                written.map(|_| Outcome::Conflict).map_err(Failure::Nothing)
            }
        }
    }

    /// Opens a transaction and writes everything but the end of it. Returns whether every decision went for its commit.
    async fn write(&mut self, group: &mut Group) -> Result<bool, sqlx::Error> {
        let mut batches = statements::opening(&rows(&group.jobs));
        loop {
            for batch in batches {
                if !self.run_batch(batch).await? {
                    return Ok(false);
                }
            }
            let written = group.jobs.len();
            self.jobs.join(group);
            if group.jobs.len() == written {
                return Ok(true);
            }
            batches = statements::following(&rows(&group.jobs[written..]));
        }
    }

    /// Runs the statements of a batch; returns whether every decision went for its commit.
    async fn run_batch(&mut self, batch: Batch) -> Result<bool, sqlx::Error> {
        let query = sqlx::query_with(AssertSqlSafe(batch.sql), batch.arguments);
        let mut expected = batch.expected.into_iter();
        let mut results = self.connection.fetch_many(query);
        while let Some(result) = results.try_next().await? {
            let Either::Left(done) = result else { continue };
            if expected.next().flatten().is_some_and(|rows| rows != done.rows_affected()) {
                return Ok(false);
            }
        }
        Ok(true)
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

/// What jobs write.
fn rows(jobs: &[Job]) -> Vec<Row<'_>> {
    jobs.iter().flat_map(|job| job.work.rows()).collect()
}

/// What an archive says that has stopped.
pub(super) fn stopped_message(why: &str) -> String {
    format!("the archive stopped, because the outcome of a commit is unknown ({why}); open it again")
}
