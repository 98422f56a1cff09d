//! The steps of many commits as few statements: what was a column of a row is an array of that column of all rows.

use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, PgConnection};

use crate::rows::{Column, Row, Step};

/// The rows of one step, in the order of their keys: transactions that write the same rows then wait for each other, instead of both for
/// both.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    step: Step,
    rows: Vec<&'a Row<'a>>,
}

impl<'a> Rows<'a> {
    /// The rows that belong to a step. Evidence of one machine keeps its order.
    pub(super) fn of(step: Step, all: &'a [Row<'a>]) -> Self {
        let mut rows: Vec<_> = all.iter().filter(|row| row.step == step).collect();
        rows.sort_by(|a, b| a.key().cmp(&b.key()));
        Self { step, rows }
    }

    /// Writes the rows. Returns whether every decision went for its commit.
    pub(super) async fn write(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let Some(first) = self.rows.first() else { return Ok(true) };
        let mut arguments = PgArguments::default();
        for column in 0..first.columns.len() {
            bind_array(&mut arguments, self.rows.iter().map(|row| &row.columns[column]));
        }
        let done = sqlx::query_with(sql(self.step), arguments).execute(connection).await?;
        Ok(!self.step.decides() || done.rows_affected() == self.rows.len() as u64)
    }
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
