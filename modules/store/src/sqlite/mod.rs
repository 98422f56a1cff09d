//! The archive in one SQLite database: embedded, durable, for one party or a small third party.
//!
//! Commits are stored by one writer in groups (`writer.rs`), by a few statements each (`statements.rs`); reads go through a few
//! connections of their own, and see every commit that was answered; what is asked for again and again is remembered (`memory.rs`). Nothing
//! here may answer before the sync.
//!
//! Source: DESIGN §12, `spec/archive.md`.

mod directory;
mod judge;
mod memory;
mod schema;
mod statements;
mod writer;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_support::archive::{
    Archive, Commit, CommitError, Evidence, Fact, Outgoing, OutgoingId, ReadError, SetTimer, StoredState,
};
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{Arguments as _, ConnectOptions, Pool, Row as _, Sqlite, SqliteConnection, SqlitePool};
use tokio::task::JoinHandle;

use directory::DirectoryLock;
use memory::{Known, Memory, RECORDS_MAX, Recalled, Thing};
use writer::{Stopped, Writer, stopped_message};

use crate::engine::{Engine, arguments};
use crate::queue::{Entrance, queue};
use crate::read;
use crate::rows::Column;
use crate::work::Work;

/// Connections that read.
const READERS_MAX: u32 = 4;
/// How long a connection waits for another one. Only backups and other programs can make it wait at all.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages that the writer keeps in memory, in KiB, as the pragma wants it: the inner nodes of the tree of 10^6 facts, and those that change.
const WRITER_CACHE: &str = "-32768";
/// What a log that has been written back may keep on the disk, in bytes.
const LOG_BYTES_KEPT: &str = "67108864";

/// An archive in one directory: the database `archive.db`, SQLite's log beside it, and the file `lock`.
///
/// Must be opened, and used, inside a tokio runtime. A commit whose caller stops waiting is stored nevertheless.
#[derive(Debug)]
pub struct SqliteArchive {
    jobs: Entrance,
    stopped: Stopped,
    memory: Arc<Memory>,
    readers: SqlitePool,
    writer: tokio::sync::Mutex<Option<JoinHandle<Result<(), sqlx::Error>>>>,
}

/// How an archive is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The largest that the database may become, in bytes, rounded up to pages of 1 KiB; the log comes on top. Beyond it commits
    /// fail with [`CommitError::Storage`] and nothing of them is stored. `None`: as much as the disk holds.
    pub bytes_max: Option<u64>,
}

/// Why an archive could not be opened. Nothing was changed but what the text says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another place in this one, has the archive open.
    #[error("the archive in {dir} is in use by {}", holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")), dir = dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process that has it, if it could be read.
        holder: Option<u32>,
    },
    /// The archive was written by a program from before the first release, whose tables this one cannot read.
    #[error(
        "the archive has tables of version {found}, from before the first release: this program knows {known} only"
    )]
    Older {
        /// The version of the archive's tables.
        found: i64,
        /// The version that this program knows.
        known: i64,
    },
    /// The archive was written by a newer program. An older one must not touch it.
    #[error("the archive has tables of version {found}, this program knows up to {known}: use a newer program")]
    Newer {
        /// The version of the archive's tables.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The database is not an archive.
    #[error("archive.db is a database of another program")]
    Foreign,
    /// The directory or its files cannot be used.
    #[error("the data directory cannot be used: {0}")]
    Directory(#[from] std::io::Error),
    /// The database refuses: it is damaged, or the disk is full. New files may have been made.
    #[error("the database cannot be opened: {0}")]
    Database(#[from] sqlx::Error),
}

impl SqliteArchive {
    /// Opens the archive in `dir`; makes both if they are not there, readable by their owner only.
    ///
    /// # Errors
    /// [`OpenError`]: each variant says what is wrong.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(dir, SqliteOptions::default()).await
    }

    /// Opens the archive in `dir` with options.
    ///
    /// # Errors
    /// As [`SqliteArchive::open`].
    pub async fn open_with(dir: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        let dir = dir.as_ref();
        directory::make_private_dir(dir)?;
        let lock = DirectoryLock::take(dir)?;
        let path = dir.join("archive.db");
        directory::make_private_file(&path)?;
        let connection = open_writer(&path, options).await?;
        let (entrance, jobs) = queue();
        let stopped = Stopped::new(OnceLock::new());
        let memory = Arc::new(Memory::default());
        let writer = Writer { connection, jobs, stopped: stopped.clone(), memory: memory.clone(), lock };
        let readers = SqlitePoolOptions::new().max_connections(READERS_MAX).test_before_acquire(false);
        Ok(Self {
            jobs: entrance,
            stopped,
            memory,
            readers: readers.connect_lazy_with(connect_options(&path).read_only(true)),
            writer: tokio::sync::Mutex::new(Some(tokio::spawn(writer.run()))),
        })
    }

    /// Stores what waits, writes the log back into the database and gives the directory free. Calls after it fail; closing twice
    /// does nothing.
    ///
    /// Without it everything that was answered is stored too, but the directory is given free a little later.
    ///
    /// # Errors
    /// The log could not be written back. Nothing is lost: the next opening does it.
    pub async fn close(&self) -> Result<(), ReadError> {
        self.jobs.close();
        self.readers.close().await;
        let Some(writer) = self.writer.lock().await.take() else { return Ok(()) };
        let closed = writer.await.map_err(|error| ReadError(format!("the writer was lost: {error}")))?;
        closed.map_err(read::failed)
    }

    /// Writes a copy of the archive, as it is now, to the new file `path`, readable by its owner only. Commits go on meanwhile. To
    /// restore it, put the file as `archive.db` into a new directory and open that.
    ///
    /// # Errors
    /// There is a file of this name, its directory cannot be written, or the archive cannot be read. No file is left behind.
    pub async fn backup_to(&self, path: impl AsRef<Path>) -> Result<(), ReadError> {
        self.check_running()?;
        let path = path.as_ref();
        let io = |error: std::io::Error| ReadError(format!("backup to {}: {error}", path.display()));
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let copy = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
        let target = copy.path().to_str().ok_or_else(|| ReadError("the backup's path is not Unicode".to_owned()))?;
        sqlx::query("VACUUM INTO ?").bind(target).execute(&self.readers).await.map_err(read::failed)?;
        copy.as_file().sync_all().map_err(io)?;
        copy.persist_noclobber(path).map_err(|failed| io(failed.error))?;
        directory::sync_dir(dir).map_err(io)
    }

    /// Reads everything and says what is damaged, in at most 100 lines; empty if nothing is.
    ///
    /// Checks the shape of the database, the sum of every row, and that no machine's evidence has gaps. Takes as long as reading the
    /// whole file.
    ///
    /// # Errors
    /// The archive is closed or so damaged that it cannot be read at all.
    pub async fn integrity_check(&self) -> Result<Vec<String>, ReadError> {
        self.check_running()?;
        let mut problems: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&self.readers).await.map_err(read::failed)?;
        problems.retain(|line| line != "ok");
        let nameless = "SELECT count(*) FROM facts_by_space WHERE space NOT IN (SELECT id FROM spaces)";
        match sqlx::query_scalar(nameless).fetch_one(&self.readers).await {
            Ok(0) => {}
            Ok::<i64, _>(facts) => problems.push(format!("the space of {facts} facts is missing")),
            Err(error) => problems.push(format!("table facts_by_space: {error}")),
        }
        let mut connection = self.readers.acquire().await.map_err(read::failed)?;
        read::check_content::<Sqlite>(&mut connection, &mut problems).await;
        Ok(problems)
    }

    /// What a reader sees may be undone by the next opening once the outcome of a commit is unknown.
    fn check_running(&self) -> Result<(), ReadError> {
        self.stopped.get().map_or(Ok(()), |why| Err(ReadError(stopped_message(why))))
    }

    fn readers(&self) -> Result<&SqlitePool, ReadError> {
        if self.readers.is_closed() {
            return Err(ReadError("the archive is closed".to_owned()));
        }
        self.check_running().map(|()| &self.readers)
    }

    /// Whether any timer or message is due at `now`.
    async fn is_due(&self, now: Time) -> Result<bool, ReadError> {
        Ok(self.next_due().await?.is_some_and(|due| due <= now))
    }

    /// What `pick` finds in the records of a space, from memory if they are few. `None`: they are too many, and the database has to be asked.
    async fn in_space<T>(
        &self,
        space: &str,
        pick: impl Fn(&BTreeMap<Vec<u8>, Vec<u8>>) -> T + Send,
    ) -> Result<Option<T>, ReadError> {
        let readers = self.readers()?;
        let in_known = |known: &Known| if let Known::Records(records) = known { Some(pick(records)) } else { None };
        match self.memory.recall(Thing::Space(space.to_owned()), in_known) {
            Recalled::Known(found) => Ok(found),
            Recalled::Ask(None) => Ok(None),
            Recalled::Ask(Some(look)) => {
                let records = read::records(readers, space, None, RECORDS_MAX + 1).await?;
                let known = Known::Records(records.into_iter().collect());
                let all = if known.is_small() { in_known(&known) } else { None };
                look.found(known);
                Ok(all)
            }
        }
    }
}

#[async_trait]
impl Archive for SqliteArchive {
    async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        commit.check()?;
        self.jobs.submit(Work::commit(commit)).await
    }

    async fn state(&self, key: &[u8]) -> Result<Option<StoredState>, ReadError> {
        let readers = self.readers()?;
        let found = |known: &Known| if let Known::State(state) = known { state.clone() } else { None };
        match self.memory.recall(Thing::State(key.to_vec()), found) {
            Recalled::Known(state) => Ok(state),
            Recalled::Ask(look) => {
                let state = read::state(readers, key).await?;
                look.into_iter().for_each(|look| look.found(Known::State(state.clone())));
                Ok(state)
            }
        }
    }

    async fn states(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<StoredState>, ReadError> {
        read::states(self.readers()?, prefix, after, limit).await
    }

    async fn is_consumed(&self, key: &[u8], input: &Digest) -> Result<bool, ReadError> {
        read::is_consumed(self.readers()?, key, input).await
    }

    async fn outbox_due(&self, now: Time, limit: usize) -> Result<Vec<Outgoing>, ReadError> {
        if !self.is_due(now).await? {
            return Ok(Vec::new());
        }
        read::outbox_due(self.readers()?, now, limit).await
    }

    async fn outbox_postpone(&self, id: &OutgoingId, due: Time) -> Result<(), ReadError> {
        self.jobs.submit(Work::postpone(*id, due)).await.map_err(|error| ReadError(error.to_string()))
    }

    async fn outbox_of(&self, key: &[u8]) -> Result<Vec<Outgoing>, ReadError> {
        read::outbox_of(self.readers()?, key).await
    }

    async fn timers_due(&self, now: Time, limit: usize) -> Result<Vec<SetTimer>, ReadError> {
        if !self.is_due(now).await? {
            return Ok(Vec::new());
        }
        read::timers_due(self.readers()?, now, limit).await
    }

    async fn timers_of(&self, key: &[u8]) -> Result<Vec<SetTimer>, ReadError> {
        read::timers_of(self.readers()?, key).await
    }

    async fn next_due(&self) -> Result<Option<Time>, ReadError> {
        let readers = self.readers()?;
        let found = |known: &Known| if let Known::Due(due) = known { *due } else { None };
        match self.memory.recall(Thing::Due, found) {
            Recalled::Known(due) => Ok(due),
            Recalled::Ask(look) => {
                let due = read::next_due(readers).await?;
                look.into_iter().for_each(|look| look.found(Known::Due(due)));
                Ok(due)
            }
        }
    }

    async fn evidence(&self, key: &[u8]) -> Result<Vec<Evidence>, ReadError> {
        read::evidence(self.readers()?, key).await
    }

    async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        read::fact(self.readers()?, space, key).await
    }

    async fn facts(&self, space: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Fact>, ReadError> {
        read::facts(self.readers()?, space, after, limit).await
    }

    async fn record(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match self.in_space(space, |records| records.get(key).cloned()).await? {
            Some(found) => Ok(found),
            None => read::record(self.readers()?, space, key).await,
        }
    }

    async fn records(
        &self,
        space: &str,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, ReadError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = |records: &BTreeMap<Vec<u8>, Vec<u8>>| {
            let found = records.range::<[u8], _>((from, Bound::Unbounded)).take(limit);
            found.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        match self.in_space(space, page).await? {
            Some(found) => Ok(found),
            None => read::records(self.readers()?, space, after, limit).await,
        }
    }
}

impl Engine for Sqlite {
    fn bind(arguments: &mut SqliteArguments, column: &Column<'_>) {
        let added = match column {
            Column::Bytes(bytes) => arguments.add(*bytes),
            Column::Text(text) => arguments.add(*text),
            Column::Int(number) => arguments.add(*number),
        };
        added.expect("bytes, text and integers can always be bound");
    }

    async fn fetch<'a>(
        pool: &'a Pool<Self>,
        sql: &'static str,
        columns: &'a [Column<'a>],
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        sqlx::query_with(sql, arguments::<Self>(columns)).fetch_all(pool).await
    }

    fn stream<'a>(
        connection: &'a mut SqliteConnection,
        sql: &'static str,
    ) -> BoxStream<'a, Result<SqliteRow, sqlx::Error>> {
        sqlx::query(sql).fetch(connection)
    }

    fn bytes(row: &SqliteRow, column: &str) -> Result<Vec<u8>, sqlx::Error> {
        row.try_get(column)
    }

    fn text(row: &SqliteRow, column: &str) -> Result<String, sqlx::Error> {
        row.try_get(column)
    }

    fn int(row: &SqliteRow, column: &str) -> Result<i64, sqlx::Error> {
        row.try_get(column)
    }
}

/// Opens the connection that writes. Nothing is changed before the file is known to be an archive.
async fn open_writer(path: &Path, options: SqliteOptions) -> Result<SqliteConnection, OpenError> {
    let writes = connect_options(path).pragma("cache_size", WRITER_CACHE).pragma("temp_store", "MEMORY");
    let mut connection = writes.connect().await?;
    let is_new = schema::check(&mut connection).await?;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(&mut connection).await?;
    if mode != "wal" {
        return Err(OpenError::Database(sqlx::Error::Protocol(format!("no write-ahead log here, only {mode}"))));
    }
    if is_new {
        schema::make(&mut connection).await?;
    }
    if let Some(bytes) = options.bytes_max {
        let sql = format!("PRAGMA max_page_count = {}", bytes.div_ceil(schema::PAGE_BYTES.into()));
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await?;
    }
    Ok(connection)
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .page_size(schema::PAGE_BYTES)
        .pragma("journal_size_limit", LOG_BYTES_KEPT)
        .disable_statement_logging()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use semper_support::archive::PutState;

    use super::*;

    // Without a full sync at each COMMIT a power cut takes back what was answered, and no test that only kills processes would see it.
    #[tokio::test]
    async fn the_writer_syncs_at_every_commit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive.db");
        directory::make_private_file(&path).unwrap();
        let mut connection = open_writer(&path, SqliteOptions::default()).await.unwrap();
        let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut connection).await.unwrap();
        let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
        assert_eq!((synchronous, journal.as_str()), (2, "wal"));
    }

    // What is remembered must be what the database says, whoever reads while others write. Each task writes its own state and a few records that
    // all share, and reads what all have written.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_is_remembered_is_what_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Arc::new(SqliteArchive::open(dir.path()).await.unwrap());
        let write = |task: u8| {
            let archive = archive.clone();
            async move {
                for version in 1..=40_u64 {
                    let other = [(task + 1) % 8];
                    let seen = archive.state(&other).await.unwrap().map_or(0, |state| state.version);
                    let state = PutState { key: vec![task], replaces: version - 1, bytes: vec![task; 9] };
                    let value = (!version.is_multiple_of(3)).then(|| version.to_be_bytes().to_vec());
                    let record = ("shared".to_owned(), vec![task], value.clone());
                    let due = Time::from_unix(1000 + version);
                    let timer = SetTimer { key: vec![task], name: "timer".to_owned(), due };
                    let (states, records, timers) = (vec![state], vec![record], vec![timer]);
                    archive.commit(Commit { states, records, timers, ..Commit::default() }).await.unwrap();
                    // What was answered is seen, and nobody's state goes back.
                    assert_eq!(archive.state(&[task]).await.unwrap().unwrap().version, version);
                    assert_eq!(archive.record("shared", &[task]).await.unwrap(), value);
                    assert!(archive.next_due().await.unwrap().unwrap() <= due);
                    let now = archive.state(&other).await.unwrap().map_or(0, |state| state.version);
                    assert!(now >= seen, "{now} after {seen}");
                }
            }
        };
        let tasks: Vec<_> = (0..8).map(|task| tokio::spawn(write(task))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        for key in 0..9_u8 {
            let stored = read::state(&archive.readers, &[key]).await.unwrap();
            assert_eq!(archive.state(&[key]).await.unwrap(), stored);
        }
        let stored = read::records(&archive.readers, "shared", Some(&[2]), 3).await.unwrap();
        assert_eq!(archive.records("shared", Some(&[2]), 3).await.unwrap(), stored);
        assert_eq!(archive.next_due().await.unwrap(), read::next_due(&archive.readers).await.unwrap());
        // Nothing is read from a closed archive, remembered or not.
        archive.close().await.unwrap();
        assert!(archive.state(&[0]).await.is_err());
    }

    // A reader that could write would be a second writer, beside the groups.
    #[tokio::test]
    async fn readers_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let archive = SqliteArchive::open(dir.path()).await.unwrap();
        let written = sqlx::query("DELETE FROM records").execute(&archive.readers).await;
        assert!(written.unwrap_err().to_string().contains("readonly"));
    }
}
