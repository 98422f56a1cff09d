//! Reading: the queries, and the check of every row against its sum.

use futures_util::TryStreamExt;
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_support::archive::{
    Evidence, Fact, MACHINE_KEY_MAX, NewEvidence, NewOutgoing, Outgoing, OutgoingId, ReadError, SetTimer, StoredState,
};
use sqlx::Pool;

use crate::engine::Engine;
use crate::rows::Column::{Bytes, Int, Text};
use crate::rows::{Column, evidence_sum, keyed_sum, message_sum, seconds, state_sum, timer_sum};
use crate::sum::row_sum;

type Found<T> = Result<T, ReadError>;

pub(crate) async fn state<E: Engine>(pool: &Pool<E>, key: &[u8]) -> Found<Option<StoredState>> {
    one(pool, "SELECT * FROM states WHERE machine = $1", &[Bytes(key)], state_row::<E>).await
}

pub(crate) async fn states<E: Engine>(
    pool: &Pool<E>,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Found<Vec<StoredState>> {
    let sql = "SELECT * FROM states WHERE machine >= $1 AND machine < $2 ORDER BY machine LIMIT $3";
    let from = first_after(after).max(prefix.to_vec());
    all(pool, sql, &[Bytes(&from), Bytes(&end_of_prefix(prefix)), count(limit)], state_row::<E>).await
}

pub(crate) async fn is_consumed<E: Engine>(pool: &Pool<E>, key: &[u8], input: &Digest) -> Found<bool> {
    let sql = "SELECT * FROM consumed WHERE machine = $1 AND input = $2";
    let row = one(pool, sql, &[Bytes(key), Bytes(input.as_bytes())], consumed_row::<E>).await?;
    Ok(row.is_some())
}

pub(crate) async fn outbox_due<E: Engine>(pool: &Pool<E>, now: Time, limit: usize) -> Found<Vec<Outgoing>> {
    let sql = "SELECT * FROM outbox WHERE due <= $1 ORDER BY due, id LIMIT $2";
    all(pool, sql, &[Int(seconds(now)), count(limit)], message_row::<E>).await
}

pub(crate) async fn outbox_of<E: Engine>(pool: &Pool<E>, key: &[u8]) -> Found<Vec<Outgoing>> {
    let sql = "SELECT * FROM outbox WHERE machine = $1 ORDER BY due, id";
    all(pool, sql, &[Bytes(key)], message_row::<E>).await
}

pub(crate) async fn timers_due<E: Engine>(pool: &Pool<E>, now: Time, limit: usize) -> Found<Vec<SetTimer>> {
    let sql = "SELECT * FROM timers WHERE due <= $1 ORDER BY due, machine, name LIMIT $2";
    all(pool, sql, &[Int(seconds(now)), count(limit)], timer_row::<E>).await
}

pub(crate) async fn timers_of<E: Engine>(pool: &Pool<E>, key: &[u8]) -> Found<Vec<SetTimer>> {
    all(pool, "SELECT * FROM timers WHERE machine = $1 ORDER BY name", &[Bytes(key)], timer_row::<E>).await
}

pub(crate) async fn next_due<E: Engine>(pool: &Pool<E>) -> Found<Option<Time>> {
    let sql = "SELECT due FROM (SELECT min(due) AS due FROM outbox UNION ALL SELECT min(due) FROM timers) AS waiting
               WHERE due IS NOT NULL ORDER BY due LIMIT 1";
    one(pool, sql, &[], |row| stored_time(E::int(row, "due").map_err(failed)?, "due")).await
}

pub(crate) async fn evidence<E: Engine>(pool: &Pool<E>, key: &[u8]) -> Found<Vec<Evidence>> {
    let sql = "SELECT * FROM evidence WHERE machine = $1 ORDER BY place";
    let items = all(pool, sql, &[Bytes(key)], evidence_row::<E>).await?;
    if items.iter().zip(0..).any(|(item, place)| item.index != place) {
        return Err(ReadError("evidence of a machine is missing".to_owned()));
    }
    Ok(items)
}

pub(crate) async fn fact<E: Engine>(pool: &Pool<E>, space: &str, key: &[u8]) -> Found<Option<Vec<u8>>> {
    let sql = "SELECT * FROM facts WHERE space = $1 AND key = $2";
    Ok(one(pool, sql, &[Text(space), Bytes(key)], fact_row::<E>).await?.map(|fact| fact.value))
}

pub(crate) async fn facts<E: Engine>(
    pool: &Pool<E>,
    space: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Found<Vec<Fact>> {
    let sql = "SELECT * FROM facts WHERE space = $1 AND key >= $2 ORDER BY key LIMIT $3";
    all(pool, sql, &[Text(space), Bytes(&first_after(after)), count(limit)], fact_row::<E>).await
}

pub(crate) async fn record<E: Engine>(pool: &Pool<E>, space: &str, key: &[u8]) -> Found<Option<Vec<u8>>> {
    let sql = "SELECT * FROM records WHERE space = $1 AND key = $2";
    Ok(one(pool, sql, &[Text(space), Bytes(key)], record_row::<E>).await?.map(|(_, value)| value))
}

pub(crate) async fn records<E: Engine>(
    pool: &Pool<E>,
    space: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Found<Vec<(Vec<u8>, Vec<u8>)>> {
    let sql = "SELECT * FROM records WHERE space = $1 AND key >= $2 ORDER BY key LIMIT $3";
    all(pool, sql, &[Text(space), Bytes(&first_after(after)), count(limit)], record_row::<E>).await
}

/// Most lines in a report on damage.
const PROBLEMS_MAX: usize = 100;

/// Adds to `problems` what is wrong with the content: the sum of each row, gaps in evidence; at most 100 lines in all.
pub(crate) async fn check_content<E: Engine>(connection: &mut E::Connection, problems: &mut Vec<String>) {
    for (table, sql, check) in tables::<E>() {
        let limit = PROBLEMS_MAX.saturating_sub(problems.len());
        match damaged_rows::<E>(connection, sql, check, limit).await {
            Ok(damaged) => problems.extend(damaged),
            Err(error) => problems.push(format!("table {table}: {error}")),
        }
    }
    let gaps = "SELECT machine FROM evidence GROUP BY machine HAVING max(place) + 1 <> count(*)";
    match E::stream(connection, gaps).try_fold(0, |machines, _| std::future::ready(Ok(machines + 1))).await {
        Ok(0) => {}
        Ok(machines) => problems.push(format!("evidence is missing of {machines} machines")),
        Err(error) => problems.push(error.to_string()),
    }
    problems.truncate(PROBLEMS_MAX);
}

/// What is wrong with the rows of a table, at most `limit` lines.
async fn damaged_rows<E: Engine>(
    connection: &mut E::Connection,
    sql: &'static str,
    check: RowCheck<E>,
    limit: usize,
) -> Result<Vec<String>, sqlx::Error> {
    let mut rows = E::stream(connection, sql);
    let mut problems = Vec::new();
    while let Some(row) = rows.try_next().await? {
        if problems.len() == limit {
            break;
        }
        problems.extend(check(&row).err().map(|error| error.0));
    }
    Ok(problems)
}

/// Checks one row of a table.
type RowCheck<E> = fn(&<E as sqlx::Database>::Row) -> Found<()>;

/// For each table, how all its rows are read, and how one is checked.
fn tables<E: Engine>() -> [(&'static str, &'static str, RowCheck<E>); 7] {
    [
        ("states", "SELECT * FROM states", |row| state_row::<E>(row).map(drop)),
        ("consumed", "SELECT * FROM consumed", consumed_row::<E>),
        ("outbox", "SELECT * FROM outbox", |row| message_row::<E>(row).map(drop)),
        ("timers", "SELECT * FROM timers", |row| timer_row::<E>(row).map(drop)),
        ("evidence", "SELECT * FROM evidence", |row| evidence_row::<E>(row).map(drop)),
        ("facts", "SELECT * FROM facts", |row| fact_row::<E>(row).map(drop)),
        ("records", "SELECT * FROM records", |row| record_row::<E>(row).map(drop)),
    ]
}

fn state_row<E: Engine>(row: &E::Row) -> Found<StoredState> {
    let (key, version, bytes) = (bytes::<E>(row, "machine")?, int::<E>(row, "version")?, bytes::<E>(row, "bytes")?);
    check_sum::<E>(row, "states", state_sum(&key, version, &bytes))?;
    let version = u64::try_from(version).map_err(|_| damaged("states"))?;
    Ok(StoredState { key, version, bytes })
}

fn consumed_row<E: Engine>(row: &E::Row) -> Found<()> {
    let (key, input) = (bytes::<E>(row, "machine")?, bytes::<E>(row, "input")?);
    check_sum::<E>(row, "consumed", row_sum("consumed", &[&key, &input]))
}

fn message_row<E: Engine>(row: &E::Row) -> Found<Outgoing> {
    let (id, key) = (bytes::<E>(row, "id")?, bytes::<E>(row, "machine")?);
    let (destination, bytes) = (bytes::<E>(row, "destination")?, bytes::<E>(row, "bytes")?);
    check_sum::<E>(row, "outbox", message_sum(&id, &key, &destination, &bytes))?;
    let (due, attempts) = (int::<E>(row, "due")?, int::<E>(row, "attempts")?);
    if due.checked_add(attempts) != Some(int::<E>(row, "due_check")?) {
        return Err(damaged("outbox"));
    }
    let id = OutgoingId::from_array(id.try_into().map_err(|_| damaged("outbox"))?);
    let message = NewOutgoing { id, key, destination, bytes, due: stored_time(due, "outbox")? };
    Ok(Outgoing { message, attempts: u32::try_from(attempts).unwrap_or(u32::MAX) })
}

fn timer_row<E: Engine>(row: &E::Row) -> Found<SetTimer> {
    let (key, name, due) = (bytes::<E>(row, "machine")?, text::<E>(row, "name")?, int::<E>(row, "due")?);
    check_sum::<E>(row, "timers", timer_sum(&key, &name, due))?;
    Ok(SetTimer { key, name, due: stored_time(due, "timers")? })
}

fn evidence_row<E: Engine>(row: &E::Row) -> Found<Evidence> {
    let (key, kind) = (bytes::<E>(row, "machine")?, text::<E>(row, "kind")?);
    let (bytes, time) = (bytes::<E>(row, "bytes")?, int::<E>(row, "time")?);
    check_sum::<E>(row, "evidence", evidence_sum(&key, &kind, &bytes, time))?;
    let index = u64::try_from(int::<E>(row, "place")?).map_err(|_| damaged("evidence"))?;
    Ok(Evidence { index, item: NewEvidence { key, kind, bytes, time: stored_time(time, "evidence")? } })
}

fn fact_row<E: Engine>(row: &E::Row) -> Found<Fact> {
    let (space, key, value) = keyed_row::<E>(row, "facts")?;
    Ok(Fact { space, key, value })
}

fn record_row<E: Engine>(row: &E::Row) -> Found<(Vec<u8>, Vec<u8>)> {
    keyed_row::<E>(row, "records").map(|(_, key, value)| (key, value))
}

fn keyed_row<E: Engine>(row: &E::Row, table: &str) -> Found<(String, Vec<u8>, Vec<u8>)> {
    let (space, key, value) = (text::<E>(row, "space")?, bytes::<E>(row, "key")?, bytes::<E>(row, "value")?);
    check_sum::<E>(row, table, keyed_sum(table, &space, &key, &value))?;
    Ok((space, key, value))
}

async fn all<E: Engine, T>(
    pool: &Pool<E>,
    sql: &'static str,
    columns: &[Column<'_>],
    read: fn(&E::Row) -> Found<T>,
) -> Found<Vec<T>> {
    E::fetch(pool, sql, columns).await.map_err(failed)?.iter().map(read).collect()
}

/// The row under a whole key.
async fn one<E: Engine, T>(
    pool: &Pool<E>,
    sql: &'static str,
    columns: &[Column<'_>],
    read: fn(&E::Row) -> Found<T>,
) -> Found<Option<T>> {
    E::fetch(pool, sql, columns).await.map_err(failed)?.first().map(read).transpose()
}

fn bytes<E: Engine>(row: &E::Row, column: &str) -> Found<Vec<u8>> {
    E::bytes(row, column).map_err(failed)
}

fn text<E: Engine>(row: &E::Row, column: &str) -> Found<String> {
    E::text(row, column).map_err(failed)
}

fn int<E: Engine>(row: &E::Row, column: &str) -> Found<i64> {
    E::int(row, column).map_err(failed)
}

fn check_sum<E: Engine>(row: &E::Row, table: &str, sum: i64) -> Found<()> {
    if int::<E>(row, "sum")? == sum { Ok(()) } else { Err(damaged(table)) }
}

fn stored_time(seconds: i64, table: &str) -> Found<Time> {
    let unix = u64::try_from(seconds).ok().filter(|unix| *unix <= Time::MAX.unix());
    unix.map(Time::from_unix).ok_or_else(|| damaged(table))
}

pub(crate) fn failed(error: sqlx::Error) -> ReadError {
    ReadError(error.to_string())
}

fn damaged(table: &str) -> ReadError {
    ReadError(format!("a row of table {table} is damaged"))
}

/// The first key after `after` in the order of bytes; of all keys if there is none.
fn first_after(after: Option<&[u8]>) -> Vec<u8> {
    after.map_or_else(Vec::new, |after| [after, &[0]].concat())
}

/// The first key after all that begin with `prefix`; a key that is too long to be one if none comes after them.
fn end_of_prefix(prefix: &[u8]) -> Vec<u8> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != 0xff) else { return vec![0xff; MACHINE_KEY_MAX + 1] };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    end
}

fn count(limit: usize) -> Column<'static> {
    Int(i64::try_from(limit).unwrap_or(i64::MAX))
}
