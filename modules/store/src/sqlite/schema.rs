//! The tables, their versions, and the check that a file is an archive of a version that this program knows.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::OpenError;

/// "SEMP": marks the file as an archive of Semper.
pub(super) const APPLICATION_ID: i64 = 0x5345_4d50;

/// Step `n` leads from version `n` to version `n + 1`. Steps that were released are never changed, only added to.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2];

/// Meanings: `spec/archive.md` §2. Rows that may be large have a rowid, because SQLite keeps whole rows without one in the inner
/// nodes of its trees. `sum` is [`super::sum::row_sum`] over the other columns.
const VERSION_1: &str = "
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
    CREATE TABLE facts (
        space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (space, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE records (
        space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (space, key)
    ) STRICT, WITHOUT ROWID;";

/// Facts in the order in which they came, with an index beside them. Their keys are often random: then every fact changes a page of its own in
/// the tree that is in the order of keys, so that tree must be small. In version 1 it held the values too.
const VERSION_2: &str = "
    CREATE TABLE facts_2 (
        space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (space, key)
    ) STRICT;
    INSERT INTO facts_2 SELECT * FROM facts ORDER BY space, key;
    DROP TABLE facts;
    ALTER TABLE facts_2 RENAME TO facts;";

/// Size of a page, in bytes: the least that a change writes. Pages of 4 KiB write three times as much for a fact with a random key; an item of
/// a MiB takes half as long again with these.
pub(super) const PAGE_BYTES: u32 = 1024;

/// Whether the file is an archive that this program may write; what it is not stays untouched. Returns the version of its tables,
/// 0 for an empty database.
pub(super) async fn check(connection: &mut SqliteConnection) -> Result<i64, OpenError> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?;
    let known = i64::try_from(MIGRATIONS.len()).expect("the migrations are few");
    match (application, found, tables) {
        (0, 0, 0) => Ok(0),
        (APPLICATION_ID, 1.., _) if found <= known => Ok(found),
        (APPLICATION_ID, 1.., _) => Err(OpenError::Newer { found, known }),
        _ => Err(OpenError::Foreign),
    }
}

/// Gives an archive that has larger pages, as those of version 1, pages of [`PAGE_BYTES`]: copies it within itself, safely. Must be called before
/// the database has a log.
pub(super) async fn make_pages_small(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let bytes: u32 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut *connection).await?;
    if check(connection).await? == 0 || bytes == PAGE_BYTES {
        return Ok(());
    }
    let sql = format!("PRAGMA journal_mode = DELETE; PRAGMA page_size = {PAGE_BYTES}; VACUUM");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// Leads an empty or older database to the newest version, each step as a whole.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let found = check(connection).await?;
    for (step, sql) in (0..).zip(MIGRATIONS).filter(|(step, _)| *step >= found) {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};", step + 1);
        sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
        sqlx::raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}
