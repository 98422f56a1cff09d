//! The steps of many commits as few statements: what was a column of a row is an array of that column of all rows.

use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, PgConnection};

use crate::rows::{Column, Row, Step, rows_of};

/// Writes the rows of a step. Returns whether every decision went for its commit.
pub(super) async fn write(connection: &mut PgConnection, step: Step, all: &[Row<'_>]) -> Result<bool, sqlx::Error> {
    let rows = rows_of(step, all);
    let Some(first) = rows.first() else { return Ok(true) };
    let mut arguments = PgArguments::default();
    for column in 0..first.columns.len() {
        bind_array(&mut arguments, rows.iter().map(|row| &row.columns[column]));
    }
    let done = sqlx::query_with(sql(step), arguments).execute(connection).await?;
    Ok(!step.decides() || done.rows_affected() == rows.len() as u64)
}

/// Binds a column of all rows: of bytes, or of integers.
fn bind_array<'a>(arguments: &mut PgArguments, column: impl Iterator<Item = &'a Column<'a>>) {
    let (mut bytes, mut numbers): (Vec<&[u8]>, Vec<i64>) = (Vec::new(), Vec::new());
    for value in column {
        match value {
            Column::Bytes(value) => bytes.push(value),
            Column::Text(value) => bytes.push(value.as_bytes()),
            Column::Int(value) => numbers.push(*value),
        }
    }
    let added = if numbers.is_empty() { arguments.add(bytes) } else { arguments.add(numbers) };
    added.expect("bytes and integers can always be bound");
}

/// The statement of a step for arrays of its columns.
fn sql(step: Step) -> &'static str {
    match step {
        Step::Consume => {
            "INSERT INTO consumed (machine, input, sum)
             SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[]) ON CONFLICT DO NOTHING"
        }
        Step::CreateState => {
            "INSERT INTO states (machine, version, bytes, sum)
             SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[]) ON CONFLICT DO NOTHING"
        }
        Step::ReplaceState => {
            "UPDATE states SET version = n.version, bytes = n.bytes, sum = n.sum
             FROM unnest($1::bytea[], $2::bigint[], $3::bytea[], $4::bigint[]) AS n (machine, version, bytes, sum)
             WHERE states.machine = n.machine AND states.version = n.version - 1"
        }
        Step::TakeFact => {
            "INSERT INTO facts (space, key, value, sum)
             SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[]) ON CONFLICT DO NOTHING"
        }
        Step::RemoveMessage => "DELETE FROM outbox WHERE id = ANY ($1::bytea[])",
        Step::Postpone => {
            "UPDATE outbox SET due = n.due, attempts = attempts + 1, due_check = n.due + attempts + 1
             FROM unnest($1::bytea[], $2::bigint[]) AS n (id, due) WHERE outbox.id = n.id"
        }
        Step::AddMessage => {
            "INSERT INTO outbox (id, machine, destination, bytes, sum, due, due_check, attempts)
             SELECT *, 0 FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[], $7::bigint[])
             ON CONFLICT DO NOTHING"
        }
        Step::RemoveTimer => {
            "DELETE FROM timers USING unnest($1::bytea[], $2::bytea[]) AS n (machine, name)
             WHERE timers.machine = n.machine AND timers.name = n.name"
        }
        Step::SetTimer => {
            "INSERT INTO timers (machine, name, due, sum)
             SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[])
             ON CONFLICT (machine, name) DO UPDATE SET due = excluded.due, sum = excluded.sum"
        }
        // The place may be taken meanwhile by another transaction: the key is met then, and all is tried again.
        Step::AppendEvidence => {
            "INSERT INTO evidence (machine, place, kind, bytes, time, sum)
             SELECT machine, coalesce((SELECT max(place) + 1 FROM evidence AS e WHERE e.machine = n.machine), 0)
                 + row_number() OVER (PARTITION BY machine ORDER BY nth) - 1, kind, bytes, time, sum
             FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[], $5::bigint[])
                 WITH ORDINALITY AS n (machine, kind, bytes, time, sum, nth)"
        }
        Step::RemoveRecord => {
            "DELETE FROM records USING unnest($1::bytea[], $2::bytea[]) AS n (space, key)
             WHERE records.space = n.space AND records.key = n.key"
        }
        Step::SetRecord => {
            "INSERT INTO records (space, key, value, sum)
             SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[])
             ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, sum = excluded.sum"
        }
    }
}
