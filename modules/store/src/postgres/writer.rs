//! The writers: each takes what waits and stores it in one transaction with one COMMIT.
//!
//! The commits of a group have no key in common but machines of evidence, so that none decides about another. All are written by a few
//! statements; if one of them changes fewer rows than it should, somebody else was first: the transaction is rolled back, those that must be refused
//! are answered, and the others are tried again. Nobody is answered before it is durable or known to be refused.

use std::sync::Arc;

use futures_util::TryStreamExt;
use semper_support::archive::CommitError;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::failure::{Pause, is_about_content, is_rolled_back, lost, may_pass};
use super::judge::read_standings;
use super::mark::Mark;
use super::schema::VERSION;
use super::{Server, statements};
use crate::queue::{Exit, Group, Job, answer_all};
use crate::rows::{Row, Step};
use crate::work::{Standings, answer_refused};

pub(super) struct Writer {
    server: Arc<Server>,
    jobs: Arc<Mutex<Exit>>,
    /// Not in a transaction. None before the first, and after one was lost.
    connection: Option<PgConnection>,
    /// The mark of the last transaction, which the next removes.
    mark: Option<Mark>,
}

/// What became of a transaction.
enum Outcome {
    Stored,
    /// Somebody else was first with a key. Nothing was stored.
    Conflict,
}

/// Why a transaction was not stored.
enum Failure {
    /// Nothing of it was stored.
    Nothing(sqlx::Error),
    /// It may be stored or not.
    Unknown(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Nothing(error)
    }
}

impl Writer {
    pub(super) fn new(server: Arc<Server>, jobs: Arc<Mutex<Exit>>) -> Self {
        Self { server, jobs, connection: None, mark: None }
    }

    /// Stores what comes until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        while let Some(group) = self.next_group().await {
            self.store(group.jobs).await;
        }
    }

    async fn next_group(&self) -> Option<Group> {
        self.jobs.lock().await.next_group().await
    }

    /// Stores a group and answers it.
    async fn store(&mut self, mut group: Vec<Job>) {
        let mut pause = Pause::until(Instant::now() + self.server.patience);
        while !group.is_empty() {
            let error = match self.attempt(&group).await {
                Ok(Outcome::Stored) => return group.into_iter().for_each(|job| job.answer(Ok(()))),
                Ok(Outcome::Conflict) => match self.standings(&group).await {
                    Ok(standings) => {
                        let found = group.len();
                        answer_refused(&mut group, &standings);
                        if group.len() < found {
                            continue;
                        }
                        // What was in the way is gone again: a message that was sent meanwhile.
                        lost("others were always first")
                    }
                    Err(error) => error,
                },
                Err(Failure::Unknown(error)) => {
                    tracing::error!(%error, commits = group.len(), "the outcome of commits is unknown");
                    return answer_all(group, &CommitError::Unknown(error.to_string()));
                }
                Err(Failure::Nothing(error)) => error,
            };
            if may_pass(&error) {
                if let Err(error) = pause.wait(error).await {
                    return answer_all(group, &CommitError::Storage(error.to_string()));
                }
            } else if is_about_content(&error) && group.len() > 1 {
                tracing::warn!(%error, commits = group.len(), "a group of commits was not stored; each is tried alone");
                for job in group {
                    Box::pin(self.store(vec![job])).await;
                }
                return;
            } else {
                return answer_all(group, &CommitError::Storage(error.to_string()));
            }
        }
    }

    /// Tries to store a group in one transaction, durably.
    async fn attempt(&mut self, group: &[Job]) -> Result<Outcome, Failure> {
        let mut connection = self.take_connection().await?;
        let mark = Mark::fresh();
        let rows: Vec<Row<'_>> = group.iter().flat_map(|job| job.work.rows()).collect();
        let writing = timeout(self.server.patience, write(&mut connection, self.mark, mark, &rows));
        let written = writing.await.unwrap_or_else(|_| Err(lost("writing took too long")));
        if !matches!(written, Ok(true)) {
            // The connection is only used again if it is known to be out of the transaction; dropping it ends the transaction too.
            if timeout(self.server.patience, execute(&mut connection, "ROLLBACK")).await.is_ok_and(|done| done.is_ok())
            {
                self.connection = Some(connection);
            }
            written?;
            return Ok(Outcome::Conflict);
        }
        let committing = timeout(self.server.patience, execute(&mut connection, "COMMIT"));
        match committing.await.unwrap_or_else(|_| Err(lost("COMMIT took too long"))) {
            Ok(()) => {
                self.mark = Some(mark);
                self.connection = Some(connection);
                Ok(Outcome::Stored)
            }
            Err(error) if is_rolled_back(&error) => Err(Failure::Nothing(error)),
            Err(error) => {
                drop(connection);
                self.find_out(mark, error).await
            }
        }
    }

    /// What became of a transaction whose COMMIT failed.
    async fn find_out(&mut self, mark: Mark, error: sqlx::Error) -> Result<Outcome, Failure> {
        tracing::warn!(%error, "a COMMIT was not answered");
        self.mark = Some(mark);
        match mark.is_stored(&self.server).await {
            Ok(true) => Ok(Outcome::Stored),
            Ok(false) => Err(Failure::Nothing(lost("the connection was lost before the transaction was stored"))),
            Err(reason) => {
                tracing::error!(%reason, "what became of it could not be found out");
                Err(Failure::Unknown(error))
            }
        }
    }

    /// What stands of what a group touches.
    async fn standings(&mut self, group: &[Job]) -> Result<Standings, sqlx::Error> {
        let mut connection = self.take_connection().await?;
        let commits = group.iter().filter_map(|job| job.work.as_commit());
        let reading = timeout(self.server.patience, read_standings(&mut connection, commits));
        let standings = reading.await.unwrap_or_else(|_| Err(lost("reading took too long")))?;
        self.connection = Some(connection);
        Ok(standings)
    }

    /// Whoever takes the connection puts it back when it is out of its transaction.
    async fn take_connection(&mut self) -> Result<PgConnection, sqlx::Error> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.server.connect().await,
        }
    }
}

/// Opens a transaction and writes everything but the end of it. Returns whether every decision went for its commit.
async fn write(
    connection: &mut PgConnection,
    last: Option<Mark>,
    mark: Mark,
    all: &[Row<'_>],
) -> Result<bool, sqlx::Error> {
    begin(connection, last, mark).await?;
    for step in Step::ALL {
        if !statements::write(connection, step, all).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens a transaction and marks it, in one call. Without tables of the version that this program knows there is no mark.
async fn begin(connection: &mut PgConnection, last: Option<Mark>, mark: Mark) -> Result<(), sqlx::Error> {
    let remove = last.map_or_else(String::new, |last| format!("DELETE FROM marks WHERE id = {};", last.sql()));
    let sql = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {remove}
         INSERT INTO marks (id, stored) SELECT {}, TRUE FROM archive WHERE program = 'semper' AND version = {VERSION}",
        mark.sql()
    );
    let results: Vec<_> = sqlx::raw_sql(AssertSqlSafe(sql)).execute_many(connection).try_collect().await?;
    if results.last().is_some_and(|marked| marked.rows_affected() == 1) {
        return Ok(());
    }
    Err(sqlx::Error::Configuration(
        "the archive was brought to another version meanwhile, which needs a newer program".into(),
    ))
}

async fn execute(connection: &mut PgConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sql).execute(connection).await.map(drop)
}
