//! Reading: the queries, and the check of every row against its sum.

use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_support::archive::{
    Evidence, Fact, NewEvidence, NewOutgoing, Outgoing, OutgoingId, ReadError, SetTimer, StoredState,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

use super::script::{evidence_sum, message_sum, seconds, state_sum, timer_sum};
use super::sum::row_sum;

type Found<T> = Result<T, ReadError>;

pub(super) async fn state(pool: &SqlitePool, key: &[u8]) -> Found<Option<StoredState>> {
    let query = sqlx::query("SELECT machine, version, bytes, sum FROM states WHERE machine = ?").bind(key);
    query.fetch_optional(pool).await.map_err(failed)?.as_ref().map(state_row).transpose()
}

pub(super) async fn states(
    pool: &SqlitePool,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Found<Vec<StoredState>> {
    let sql = "SELECT machine, version, bytes, sum FROM states WHERE machine >= ? AND (? IS NULL OR machine < ?)
               ORDER BY machine LIMIT ?";
    let from = first_after(after).max(prefix.to_vec());
    let end = end_of_prefix(prefix);
    let query = sqlx::query(sql).bind(from).bind(end.clone()).bind(end).bind(count(limit));
    all(query.fetch_all(pool).await, state_row)
}

pub(super) async fn is_consumed(pool: &SqlitePool, key: &[u8], input: &Digest) -> Found<bool> {
    let sql = "SELECT machine, input, sum FROM consumed WHERE machine = ? AND input = ?";
    let query = sqlx::query(sql).bind(key).bind(input.as_bytes().as_slice());
    let row = query.fetch_optional(pool).await.map_err(failed)?;
    row.as_ref().map(consumed_row).transpose().map(|row| row.is_some())
}

pub(super) async fn outbox_due(pool: &SqlitePool, now: Time, limit: usize) -> Found<Vec<Outgoing>> {
    let query = sqlx::query("SELECT * FROM outbox WHERE due <= ? ORDER BY due, id LIMIT ?");
    all(query.bind(seconds(now)).bind(count(limit)).fetch_all(pool).await, message_row)
}

pub(super) async fn outbox_of(pool: &SqlitePool, key: &[u8]) -> Found<Vec<Outgoing>> {
    let query = sqlx::query("SELECT * FROM outbox WHERE machine = ? ORDER BY due, id").bind(key);
    all(query.fetch_all(pool).await, message_row)
}

pub(super) async fn timers_due(pool: &SqlitePool, now: Time, limit: usize) -> Found<Vec<SetTimer>> {
    let query = sqlx::query("SELECT * FROM timers WHERE due <= ? ORDER BY due, machine, name LIMIT ?");
    all(query.bind(seconds(now)).bind(count(limit)).fetch_all(pool).await, timer_row)
}

pub(super) async fn timers_of(pool: &SqlitePool, key: &[u8]) -> Found<Vec<SetTimer>> {
    let query = sqlx::query("SELECT * FROM timers WHERE machine = ? ORDER BY name").bind(key);
    all(query.fetch_all(pool).await, timer_row)
}

pub(super) async fn next_due(pool: &SqlitePool) -> Found<Option<Time>> {
    let sql = "SELECT min(due) FROM (SELECT min(due) AS due FROM outbox UNION ALL SELECT min(due) FROM timers)";
    let due: Option<i64> = sqlx::query_scalar(sql).fetch_one(pool).await.map_err(failed)?;
    due.map(|due| stored_time(due, "due")).transpose()
}

pub(super) async fn evidence(pool: &SqlitePool, key: &[u8]) -> Found<Vec<Evidence>> {
    let query = sqlx::query("SELECT * FROM evidence WHERE machine = ? ORDER BY place").bind(key);
    let items = all(query.fetch_all(pool).await, evidence_row)?;
    if items.iter().zip(0..).any(|(item, place)| item.index != place) {
        return Err(ReadError("evidence of a machine is missing".to_owned()));
    }
    Ok(items)
}

pub(super) async fn fact(pool: &SqlitePool, space: &str, key: &[u8]) -> Found<Option<Vec<u8>>> {
    let query = sqlx::query("SELECT * FROM facts WHERE space = ? AND key = ?").bind(space).bind(key);
    let row = query.fetch_optional(pool).await.map_err(failed)?;
    row.as_ref().map(fact_row).transpose().map(|fact| fact.map(|fact| fact.value))
}

pub(super) async fn facts(pool: &SqlitePool, space: &str, after: Option<&[u8]>, limit: usize) -> Found<Vec<Fact>> {
    let query = sqlx::query("SELECT * FROM facts WHERE space = ? AND key >= ? ORDER BY key LIMIT ?");
    all(query.bind(space).bind(first_after(after)).bind(count(limit)).fetch_all(pool).await, fact_row)
}

pub(super) async fn record(pool: &SqlitePool, space: &str, key: &[u8]) -> Found<Option<Vec<u8>>> {
    let query = sqlx::query("SELECT * FROM records WHERE space = ? AND key = ?").bind(space).bind(key);
    let row = query.fetch_optional(pool).await.map_err(failed)?;
    row.as_ref().map(record_row).transpose().map(|record| record.map(|(_, value)| value))
}

pub(super) async fn records(
    pool: &SqlitePool,
    space: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Found<Vec<(Vec<u8>, Vec<u8>)>> {
    let query = sqlx::query("SELECT * FROM records WHERE space = ? AND key >= ? ORDER BY key LIMIT ?");
    all(query.bind(space).bind(first_after(after)).bind(count(limit)).fetch_all(pool).await, record_row)
}

/// Checks one row of a table.
pub(super) type RowCheck = fn(&SqliteRow) -> Found<()>;

/// For each table, how all its rows are read in order, and how one is checked.
pub(super) const TABLES: [(&str, &str, RowCheck); 7] = [
    ("states", "SELECT * FROM states", |row| state_row(row).map(drop)),
    ("consumed", "SELECT * FROM consumed", consumed_row),
    ("outbox", "SELECT * FROM outbox", |row| message_row(row).map(drop)),
    ("timers", "SELECT * FROM timers", |row| timer_row(row).map(drop)),
    ("evidence", "SELECT * FROM evidence", |row| evidence_row(row).map(drop)),
    ("facts", "SELECT * FROM facts", |row| fact_row(row).map(drop)),
    ("records", "SELECT * FROM records", |row| record_row(row).map(drop)),
];

fn state_row(row: &SqliteRow) -> Found<StoredState> {
    let (key, version, bytes): (Vec<u8>, i64, Vec<u8>) =
        (column(row, "machine")?, column(row, "version")?, column(row, "bytes")?);
    check_sum(row, "states", state_sum(&key, version, &bytes))?;
    let version = u64::try_from(version).map_err(|_| damaged("states"))?;
    Ok(StoredState { key, version, bytes })
}

fn consumed_row(row: &SqliteRow) -> Found<()> {
    let (key, input): (Vec<u8>, Vec<u8>) = (column(row, "machine")?, column(row, "input")?);
    check_sum(row, "consumed", row_sum("consumed", &[&key, &input]))
}

fn message_row(row: &SqliteRow) -> Found<Outgoing> {
    let (id, key): (Vec<u8>, Vec<u8>) = (column(row, "id")?, column(row, "machine")?);
    let (destination, bytes): (Vec<u8>, Vec<u8>) = (column(row, "destination")?, column(row, "bytes")?);
    check_sum(row, "outbox", message_sum(&id, &key, &destination, &bytes))?;
    let (due, attempts): (i64, i64) = (column(row, "due")?, column(row, "attempts")?);
    if due.checked_add(attempts) != Some(column(row, "due_check")?) {
        return Err(damaged("outbox"));
    }
    let id = OutgoingId::from_array(id.try_into().map_err(|_| damaged("outbox"))?);
    let message = NewOutgoing { id, key, destination, bytes, due: stored_time(due, "outbox")? };
    Ok(Outgoing { message, attempts: u32::try_from(attempts).unwrap_or(u32::MAX) })
}

fn timer_row(row: &SqliteRow) -> Found<SetTimer> {
    let (key, name, due): (Vec<u8>, String, i64) = (column(row, "machine")?, column(row, "name")?, column(row, "due")?);
    check_sum(row, "timers", timer_sum(&key, &name, due))?;
    Ok(SetTimer { key, name, due: stored_time(due, "timers")? })
}

fn evidence_row(row: &SqliteRow) -> Found<Evidence> {
    let (key, kind): (Vec<u8>, String) = (column(row, "machine")?, column(row, "kind")?);
    let (bytes, time): (Vec<u8>, i64) = (column(row, "bytes")?, column(row, "time")?);
    check_sum(row, "evidence", evidence_sum(&key, &kind, &bytes, time))?;
    let index = u64::try_from(column::<i64>(row, "place")?).map_err(|_| damaged("evidence"))?;
    Ok(Evidence { index, item: NewEvidence { key, kind, bytes, time: stored_time(time, "evidence")? } })
}

fn fact_row(row: &SqliteRow) -> Found<Fact> {
    let (space, key, value) = keyed_row(row, "facts")?;
    Ok(Fact { space, key, value })
}

fn record_row(row: &SqliteRow) -> Found<(Vec<u8>, Vec<u8>)> {
    keyed_row(row, "records").map(|(_, key, value)| (key, value))
}

fn keyed_row(row: &SqliteRow, table: &str) -> Found<(String, Vec<u8>, Vec<u8>)> {
    let (space, key, value): (String, Vec<u8>, Vec<u8>) =
        (column(row, "space")?, column(row, "key")?, column(row, "value")?);
    check_sum(row, table, row_sum(table, &[space.as_bytes(), &key, &value]))?;
    Ok((space, key, value))
}

fn all<T>(rows: Result<Vec<SqliteRow>, sqlx::Error>, read: fn(&SqliteRow) -> Found<T>) -> Found<Vec<T>> {
    rows.map_err(failed)?.iter().map(read).collect()
}

fn column<'r, T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
    row: &'r SqliteRow,
    name: &str,
) -> Found<T> {
    row.try_get(name).map_err(failed)
}

fn check_sum(row: &SqliteRow, table: &str, sum: i64) -> Found<()> {
    if column::<i64>(row, "sum")? == sum { Ok(()) } else { Err(damaged(table)) }
}

fn stored_time(seconds: i64, table: &str) -> Found<Time> {
    let unix = u64::try_from(seconds).ok().filter(|unix| *unix <= Time::MAX.unix());
    unix.map(Time::from_unix).ok_or_else(|| damaged(table))
}

pub(super) fn failed(error: sqlx::Error) -> ReadError {
    ReadError(error.to_string())
}

fn damaged(table: &str) -> ReadError {
    ReadError(format!("a row of table {table} is damaged"))
}

/// The first key after `after` in the order of bytes; of all keys if there is none.
fn first_after(after: Option<&[u8]>) -> Vec<u8> {
    after.map_or_else(Vec::new, |after| [after, &[0]].concat())
}

/// The first key after all that begin with `prefix`; `None` if there is none.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
