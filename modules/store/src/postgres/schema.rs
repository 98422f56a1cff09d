//! The tables, their versions, and the check that a schema holds an archive of a version that this program knows.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::failure::{Pause, code, may_pass};
use super::{PostgresOpenError, Server};

/// Step `n` leads from version `n` to version `n + 1`. Steps that were released are never changed, only added to.
const MIGRATIONS: &[&str] = &[VERSION_1];

/// The version of the tables that this program reads and writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// Meanings: `spec/archive.md` §2. Names are bytes: PostgreSQL's text cannot hold every character, and compares by language.
const VERSION_1: &str = "
    CREATE TABLE IF NOT EXISTS states (
        machine BYTEA NOT NULL PRIMARY KEY, version BIGINT NOT NULL, bytes BYTEA NOT NULL, sum BIGINT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS consumed (
        machine BYTEA NOT NULL, input BYTEA NOT NULL, sum BIGINT NOT NULL, PRIMARY KEY (machine, input)
    );
    CREATE TABLE IF NOT EXISTS outbox (
        id BYTEA NOT NULL PRIMARY KEY, machine BYTEA NOT NULL, destination BYTEA NOT NULL, bytes BYTEA NOT NULL,
        sum BIGINT NOT NULL, due BIGINT NOT NULL, attempts BIGINT NOT NULL,
        due_check BIGINT NOT NULL CHECK (due_check = due + attempts)
    );
    CREATE INDEX IF NOT EXISTS outbox_by_due ON outbox (due, id);
    CREATE INDEX IF NOT EXISTS outbox_by_machine ON outbox (machine, due, id);
    CREATE TABLE IF NOT EXISTS timers (
        machine BYTEA NOT NULL, name BYTEA NOT NULL, due BIGINT NOT NULL, sum BIGINT NOT NULL, PRIMARY KEY (machine, name)
    );
    CREATE INDEX IF NOT EXISTS timers_by_due ON timers (due, machine, name);
    CREATE TABLE IF NOT EXISTS evidence (
        machine BYTEA NOT NULL, place BIGINT NOT NULL, kind BYTEA NOT NULL, bytes BYTEA NOT NULL, time BIGINT NOT NULL,
        sum BIGINT NOT NULL, PRIMARY KEY (machine, place)
    );
    CREATE TABLE IF NOT EXISTS facts (
        space BYTEA NOT NULL, key BYTEA NOT NULL, value BYTEA NOT NULL, sum BIGINT NOT NULL, PRIMARY KEY (space, key)
    );
    CREATE TABLE IF NOT EXISTS records (
        space BYTEA NOT NULL, key BYTEA NOT NULL, value BYTEA NOT NULL, sum BIGINT NOT NULL, PRIMARY KEY (space, key)
    );
    CREATE TABLE IF NOT EXISTS marks (
        id BYTEA NOT NULL PRIMARY KEY, stored BOOLEAN NOT NULL, made TIMESTAMPTZ NOT NULL DEFAULT now()
    );";

/// Makes the schema and its tables, or brings them to the newest version; what is not an archive of a known version stays untouched.
/// Any number of processes may do this at the same time.
pub(super) async fn prepare(server: &Server, schema: &str) -> Result<(), PostgresOpenError> {
    let mut pause = Pause::until(Instant::now() + server.patience);
    loop {
        match prepare_once(server, schema).await {
            Err(PostgresOpenError::Database(error)) if may_pass(&error) || is_there_already(&error) => {
                pause.wait(error).await?;
            }
            done => return done,
        }
    }
}

async fn prepare_once(server: &Server, schema: &str) -> Result<(), PostgresOpenError> {
    let mut connection = server.connect().await?;
    let found = check(&mut connection, schema).await?;
    for (step, sql) in (0..).zip(MIGRATIONS).filter(|(step, _)| found.is_none_or(|found| *step >= found)) {
        let mut transaction = connection.begin().await?;
        if step == 0 {
            make_schema(&mut transaction, schema).await?;
        }
        sqlx::raw_sql(*sql).execute(&mut *transaction).await?;
        let mark = sqlx::query("UPDATE archive SET version = $1 WHERE version = $2").bind(step + 1).bind(step);
        if mark.execute(&mut *transaction).await?.rows_affected() == 1 {
            transaction.commit().await?;
        }
    }
    // Marks of processes that are gone. Nobody asks for a mark of yesterday.
    let old = "DELETE FROM marks WHERE made < now() - INTERVAL '1 day'";
    sqlx::query(old).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// The version of the tables; `None` if there are none.
async fn check(connection: &mut PgConnection, schema: &str) -> Result<Option<i64>, PostgresOpenError> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE table_name = 'archive')
               FROM information_schema.tables WHERE table_schema = $1";
    let (tables, archives): (i64, i64) = sqlx::query_as(sql).bind(schema).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(None);
    }
    let foreign = || PostgresOpenError::Foreign(schema.to_owned());
    if archives == 0 {
        return Err(foreign());
    }
    let sql = "SELECT version FROM archive WHERE program = 'semper'";
    let version: Option<i64> = match sqlx::query_scalar(sql).fetch_optional(connection).await {
        // There is no such column.
        Err(error) if has_code(&error, "42703") => None,
        found => found?,
    };
    let found = version.ok_or_else(foreign)?;
    let known = i64::try_from(VERSION).expect("the migrations are few");
    if found > known { Err(PostgresOpenError::Newer { found, known }) } else { Ok(Some(found)) }
}

/// Makes the schema with the table that says its version: 0, as long as there are no others.
async fn make_schema(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let exists = "SELECT count(*) FROM information_schema.schemata WHERE schema_name = $1";
    let schemas: i64 = sqlx::query_scalar(exists).bind(schema).fetch_one(&mut *connection).await?;
    // To make one needs a right that is not needed if the operator has made it.
    if schemas == 0 {
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut *connection).await?;
    }
    let table = "CREATE TABLE IF NOT EXISTS archive (program TEXT NOT NULL PRIMARY KEY, version BIGINT NOT NULL);
                 INSERT INTO archive (program, version) VALUES ('semper', 0) ON CONFLICT DO NOTHING";
    sqlx::raw_sql(table).execute(connection).await.map(drop)
}

/// Whether another process made the same thing at the same moment.
fn is_there_already(error: &sqlx::Error) -> bool {
    ["42P06", "42P07", "42710"].iter().any(|code| has_code(error, code))
}

fn has_code(error: &sqlx::Error, wanted: &str) -> bool {
    code(error).is_some_and(|code| code == wanted)
}
