//! The tables, their version, and the check that a file is an archive of the version that this program knows.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::OpenError;

/// "SEMP": marks the file as an archive of Semper.
pub(super) const APPLICATION_ID: i64 = 0x5345_4d50;

/// The version of the tables that this program reads and writes. Those before it were never released.
const VERSION: i64 = 3;

/// Meanings: `spec/archive.md` §2. Rows that may be large have a rowid, because SQLite keeps whole rows without one in the inner nodes of
/// its trees. Facts have one too, although they are small: their keys are often random, then every fact changes a page of its own in the
/// tree that is in the order of keys, so that tree must be small. For the same reason names of spaces stand once; the view `facts` puts
/// them before each fact. `sum` is [`super::sum::row_sum`] over the other columns.
const TABLES: &str = "
    CREATE TABLE states (
        machine BLOB NOT NULL PRIMARY KEY, version INTEGER NOT NULL, bytes BLOB NOT NULL, sum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE consumed (
        machine BLOB NOT NULL, input BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (machine, input)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outbox (
        id BLOB NOT NULL PRIMARY KEY, machine BLOB NOT NULL, destination BLOB NOT NULL, bytes BLOB NOT NULL,
        sum INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL,
        due_check INTEGER NOT NULL CHECK (due_check = due + attempts)
    ) STRICT;
    CREATE INDEX outbox_by_due ON outbox (due, id);
    CREATE INDEX outbox_by_machine ON outbox (machine, due, id);
    CREATE TABLE timers (
        machine BLOB NOT NULL, name TEXT NOT NULL, due INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (machine, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX timers_by_due ON timers (due, machine, name);
    CREATE TABLE evidence (
        machine BLOB NOT NULL, place INTEGER NOT NULL, kind TEXT NOT NULL, bytes BLOB NOT NULL, time INTEGER NOT NULL,
        sum INTEGER NOT NULL, PRIMARY KEY (machine, place)
    ) STRICT;
    CREATE TABLE spaces (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE facts_by_space (
        space INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (space, key)
    ) STRICT;
    CREATE VIEW facts AS SELECT name AS space, key, value, sum FROM spaces JOIN facts_by_space ON space = id;
    CREATE TABLE records (
        space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (space, key)
    ) STRICT, WITHOUT ROWID;";

/// Size of a page, in bytes: the least that a change writes. Pages of 4 KiB write three times as much for a fact with a random key; an item of
/// a MiB takes half as long again with these.
pub(super) const PAGE_BYTES: u32 = 1024;

/// Whether the file is empty; if it is not, it must be an archive that this program may write. What it is not stays untouched.
pub(super) async fn check(connection: &mut SqliteConnection) -> Result<bool, OpenError> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    match (application, found, tables) {
        (0, 0, 0) => Ok(true),
        (APPLICATION_ID, VERSION, _) => Ok(false),
        (APPLICATION_ID, 1..VERSION, _) => Err(OpenError::Older { found, known: VERSION }),
        (APPLICATION_ID, VERSION.., _) => Err(OpenError::Newer { found, known: VERSION }),
        _ => Err(OpenError::Foreign),
    }
}

/// Makes the tables in an empty database.
pub(super) async fn make(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};");
    sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
    sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
