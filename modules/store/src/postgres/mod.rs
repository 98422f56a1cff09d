//! The archive in PostgreSQL: for third parties with many users, several servers, or a standby.
//!
//! Any number of processes may have one archive open; nothing about it is kept in memory, and what is unique is decided by the
//! database: each decision is one row under one key, which the statement that decides also writes. So READ COMMITTED is enough: a rival
//! for a key makes the statement wait until its transaction has ended, and nothing is decided by a row that is only read. Where an
//! engine on PostgreSQL's wire has nothing below SERIALIZABLE or snapshots, the same statements fail with 40001 instead, and are
//! tried again.
//!
//! Commits are stored in groups by a few writers (`writer.rs`), each with a connection of its own; what is refused is found out of one
//! snapshot (`judge.rs`). If a connection is lost during COMMIT, `mark.rs` finds out what became of it.
//!
//! Source: DESIGN §12, `spec/archive.md` §5.

mod address;
mod failure;
mod judge;
mod mark;
mod schema;
mod statements;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_support::archive::{
    Archive, Commit, CommitError, Evidence, Fact, Outgoing, OutgoingId, ReadError, SetTimer, StoredState,
};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{Arguments as _, ConnectOptions, PgConnection, PgPool, Pool, Postgres, Row as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::engine::{Engine, arguments};
use crate::queue::{Entrance, queue};
use crate::read;
use crate::rows::Column;
use crate::work::Work;
use failure::{Pause, lost, may_pass};
use writer::Writer;

/// Largest commit, in bytes: a message to PostgreSQL has at most 1 GiB.
const COMMIT_BYTES_MAX: usize = 512 * 1024 * 1024;

/// An archive in one schema of a PostgreSQL database.
///
/// Must be opened, and used, inside a tokio runtime. A commit whose caller stops waiting is stored nevertheless.
pub struct PostgresArchive {
    jobs: Entrance,
    server: Arc<Server>,
    readers: PgPool,
    writers: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
}

/// How an archive is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// Connections that write, each one group of commits at a time; at least 1. More of them help when the server is far away or waits
    /// for a standby, fewer make larger groups.
    pub writers: u32,
    /// Most connections that read; at least 1. They are made when needed.
    pub readers: u32,
    /// How long the server may work on one statement.
    pub statement_timeout: Duration,
    /// How long a call goes on trying while the server cannot be reached: a failover should fit in. A commit whose connection is lost
    /// at its end may take this long twice.
    pub patience: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        let (statement_timeout, patience) = (Duration::from_secs(10), Duration::from_secs(30));
        Self { writers: 2, readers: 8, statement_timeout, patience }
    }
}

/// Why an archive could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresOpenError {
    /// The address is not one of an archive; nothing was asked of any server.
    #[error("the database address is wrong: {0}")]
    Address(String),
    /// The archive was written by a newer program. An older one must not touch it.
    #[error("the archive has tables of version {found}, this program knows up to {known}: use a newer program")]
    Newer {
        /// The version of the archive's tables.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The schema holds tables that are not an archive's. Nothing was changed.
    #[error("the schema {0} is in use by another program")]
    Foreign(String),
    /// The server cannot be reached or refuses.
    #[error("the database cannot be opened: {0}")]
    Database(#[from] sqlx::Error),
}

/// A server and how long to bear with it.
struct Server {
    connect: PgConnectOptions,
    patience: Duration,
}

impl Server {
    /// A new connection. It is given up after the patience, whatever the network does.
    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        timeout(self.patience, self.connect.connect()).await.unwrap_or_else(|_| Err(lost("connecting took too long")))
    }
}

impl PostgresArchive {
    /// Opens the archive at `url`; makes its schema and tables if they are not there, and brings older tables to the newest version.
    ///
    /// `postgres://user:password@host:port/database?schema=arbiter&sslmode=verify-full`: `schema` is lower-case letters, digits and `_`, and
    /// `semper` if it is not named; several archives share a database by schemas of their own. Other parameters are those of PostgreSQL's
    /// own tools. Where `sslmode` is not named, a server on another machine must prove its name (`verify-full`).
    ///
    /// # Errors
    /// [`PostgresOpenError`]: each variant says what is wrong.
    pub async fn open(url: &str, options: PostgresOptions) -> Result<Self, PostgresOpenError> {
        let (connect, schema) = address::parse(url, options.statement_timeout)?;
        let server = Arc::new(Server { connect, patience: options.patience });
        schema::prepare(&server, &schema).await?;
        let (jobs, exit) = queue();
        let exit = Arc::new(tokio::sync::Mutex::new(exit));
        let writer = || tokio::spawn(Writer::new(server.clone(), exit.clone()).run());
        let readers = PgPoolOptions::new().max_connections(options.readers.max(1)).test_before_acquire(false);
        Ok(Self {
            jobs,
            readers: readers.acquire_timeout(options.patience).connect_lazy_with(server.connect.clone()),
            writers: tokio::sync::Mutex::new((0..options.writers.max(1)).map(|_| writer()).collect()),
            server,
        })
    }

    /// Stores what waits and closes all connections. Calls after it fail; closing twice does nothing.
    pub async fn close(&self) {
        self.jobs.close();
        for writer in self.writers.lock().await.drain(..) {
            if let Err(error) = writer.await {
                tracing::error!(%error, "a writer was lost");
            }
        }
        self.readers.close().await;
    }

    /// Reads everything and says what is damaged, in at most 100 lines; empty if nothing is: the sum of every row, and that no machine's
    /// evidence has gaps.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn integrity_check(&self) -> Result<Vec<String>, ReadError> {
        let mut connection = self.server.connect().await.map_err(read::failed)?;
        // One statement reads a whole table.
        sqlx::raw_sql("SET statement_timeout = 0").execute(&mut connection).await.map_err(read::failed)?;
        let mut problems = Vec::new();
        read::check_content::<Postgres>(&mut connection, &mut problems).await;
        Ok(problems)
    }
}

#[async_trait]
impl Archive for PostgresArchive {
    async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        commit.check()?;
        let work = Work::commit(commit);
        if work.bytes > COMMIT_BYTES_MAX {
            return Err(CommitError::Storage(
                "a commit of more than 512 MiB does not fit into a transaction".to_owned(),
            ));
        }
        self.jobs.submit(work).await
    }

    async fn state(&self, key: &[u8]) -> Result<Option<StoredState>, ReadError> {
        read::state(&self.readers, key).await
    }

    async fn states(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<StoredState>, ReadError> {
        read::states(&self.readers, prefix, after, limit).await
    }

    async fn is_consumed(&self, key: &[u8], input: &Digest) -> Result<bool, ReadError> {
        read::is_consumed(&self.readers, key, input).await
    }

    async fn outbox_due(&self, now: Time, limit: usize) -> Result<Vec<Outgoing>, ReadError> {
        read::outbox_due(&self.readers, now, limit).await
    }

    async fn outbox_postpone(&self, id: &OutgoingId, due: Time) -> Result<(), ReadError> {
        self.jobs.submit(Work::postpone(*id, due)).await.map_err(|error| ReadError(error.to_string()))
    }

    async fn outbox_of(&self, key: &[u8]) -> Result<Vec<Outgoing>, ReadError> {
        read::outbox_of(&self.readers, key).await
    }

    async fn timers_due(&self, now: Time, limit: usize) -> Result<Vec<SetTimer>, ReadError> {
        read::timers_due(&self.readers, now, limit).await
    }

    async fn timers_of(&self, key: &[u8]) -> Result<Vec<SetTimer>, ReadError> {
        read::timers_of(&self.readers, key).await
    }

    async fn next_due(&self) -> Result<Option<Time>, ReadError> {
        read::next_due(&self.readers).await
    }

    async fn evidence(&self, key: &[u8]) -> Result<Vec<Evidence>, ReadError> {
        read::evidence(&self.readers, key).await
    }

    async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        read::fact(&self.readers, space, key).await
    }

    async fn facts(&self, space: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Fact>, ReadError> {
        read::facts(&self.readers, space, after, limit).await
    }

    async fn record(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        read::record(&self.readers, space, key).await
    }

    async fn records(
        &self,
        space: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, ReadError> {
        read::records(&self.readers, space, after, limit).await
    }
}

impl fmt::Debug for PostgresArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the address: it holds a password.
        f.debug_struct("PostgresArchive").finish_non_exhaustive()
    }
}

impl Engine for Postgres {
    fn bind(arguments: &mut PgArguments, column: &Column<'_>) {
        let added = match column {
            Column::Bytes(bytes) => arguments.add(*bytes),
            // PostgreSQL's text cannot hold every character.
            Column::Text(text) => arguments.add(text.as_bytes()),
            Column::Int(number) => arguments.add(*number),
        };
        added.expect("bytes and integers can always be bound");
    }

    /// Tries again on another connection if one is lost, as long as a connection may be waited for.
    async fn fetch<'a>(
        pool: &'a Pool<Self>,
        sql: &'static str,
        columns: &'a [Column<'a>],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let deadline = Instant::now() + pool.options().get_acquire_timeout();
        let mut pause = Pause::until(deadline);
        loop {
            let query = sqlx::query_with(sql, arguments::<Self>(columns)).fetch_all(pool);
            match tokio::time::timeout_at(deadline, query).await {
                Err(_) => return Err(lost("the answer took too long")),
                Ok(Err(error)) if may_pass(&error) => pause.wait(error).await?,
                Ok(done) => return done,
            }
        }
    }

    fn stream<'a>(connection: &'a mut PgConnection, sql: &'static str) -> BoxStream<'a, Result<PgRow, sqlx::Error>> {
        sqlx::query(sql).fetch(connection)
    }

    fn bytes(row: &PgRow, column: &str) -> Result<Vec<u8>, sqlx::Error> {
        row.try_get(column)
    }

    fn text(row: &PgRow, column: &str) -> Result<String, sqlx::Error> {
        String::from_utf8(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(error.into()))
    }

    fn int(row: &PgRow, column: &str) -> Result<i64, sqlx::Error> {
        row.try_get(column)
    }
}
