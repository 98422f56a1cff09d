//! The steps of many commits as few statements: each writes many rows, and one call to the database runs many of them.

use std::collections::BTreeSet;

use sqlx::Sqlite;
use sqlx::sqlite::SqliteArguments;

use crate::engine::Engine;
use crate::rows::{Column, Row, Step, rows_of};

/// Most statements in one call to the database. Each call costs a change of threads; each different text of a call is kept
/// prepared by the connection.
const STATEMENTS_PER_BATCH: usize = 16;
/// Most rows in one statement; a power of two.
const ROWS_MAX: usize = 64;

/// Opens the transaction of a group.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// Statements that are sent to the database in one call.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) sql: String,
    pub(super) arguments: SqliteArguments,
    /// For each statement, how many rows it must change for its commits to stay. `None`: any number.
    pub(super) expected: Vec<Option<u64>>,
}

/// A statement for any number of rows: what comes before them, one row, what comes after.
pub(super) struct Template {
    pub(super) head: &'static str,
    pub(super) row: &'static str,
    pub(super) tail: &'static str,
}

/// What opens a transaction and writes rows in it.
pub(super) fn opening(all: &[Row<'_>]) -> Vec<Batch> {
    let mut batches = vec![Batch { sql: format!("{BEGIN};"), expected: vec![None], ..Batch::default() }];
    add_steps(&mut batches, all);
    batches
}

/// What writes rows in the transaction that is open.
pub(super) fn following(all: &[Row<'_>]) -> Vec<Batch> {
    let mut batches = Vec::new();
    add_steps(&mut batches, all);
    batches
}

fn add_steps(batches: &mut Vec<Batch>, all: &[Row<'_>]) {
    let spaces: BTreeSet<Column<'_>> = rows_of(Step::TakeFact, all).iter().map(|row| row.columns[0]).collect();
    let spaces: Vec<[Column<'_>; 1]> = spaces.into_iter().map(|space| [space]).collect();
    let spaces: Vec<&[Column<'_>]> = spaces.iter().map(<[_; 1]>::as_slice).collect();
    add(batches, &ADD_SPACE, &spaces, false);
    for step in Step::ALL {
        let rows: Vec<&[Column<'_>]> = rows_of(step, all).iter().map(|row| row.columns.as_slice()).collect();
        add(batches, &template(step), &rows, step.decides());
    }
}

/// Adds the statements for some rows to the last batches. The numbers of rows in a statement are powers of two, so that there are few texts.
fn add(batches: &mut Vec<Batch>, template: &Template, mut rows: &[&[Column<'_>]], decides: bool) {
    while !rows.is_empty() {
        let (now, later) = rows.split_at(chunk(rows.len()));
        rows = later;
        if batches.last().is_none_or(|batch| batch.expected.len() == STATEMENTS_PER_BATCH) {
            batches.push(Batch::default());
        }
        let batch = batches.last_mut().expect("there is a batch with room");
        template.write(&mut batch.sql, now.len());
        batch.sql.push(';');
        batch.expected.push(decides.then_some(now.len() as u64));
        for column in now.iter().copied().flatten() {
            Sqlite::bind(&mut batch.arguments, column);
        }
    }
}

/// How many of `rows` rows go into the next statement.
pub(super) fn chunk(rows: usize) -> usize {
    (1 << rows.ilog2()).min(ROWS_MAX)
}

impl Template {
    /// Writes the statement for some rows. `#` in a row is its place.
    pub(super) fn write(&self, sql: &mut String, rows: usize) {
        sql.push_str(self.head);
        for place in 0..rows {
            if place > 0 {
                sql.push(',');
            }
            match self.row.split_once('#') {
                Some((before, after)) => sql.push_str(&format!("{before}{place}{after}")),
                None => sql.push_str(self.row),
            }
        }
        sql.push_str(self.tail);
    }
}

const ADD_SPACE: Template = Template { head: "INSERT OR IGNORE INTO spaces (name) VALUES ", row: "(?)", tail: "" };

/// The statement of a step. One that skips what is taken cannot fail after some of its rows, so SQLite need not copy each page before it changes it.
fn template(step: Step) -> Template {
    let (head, row, tail) = match step {
        Step::Consume => ("INSERT OR IGNORE INTO consumed (machine, input, sum) VALUES ", "(?, ?, ?)", ""),
        Step::CreateState => {
            ("INSERT OR IGNORE INTO states (machine, version, bytes, sum) VALUES ", "(?, ?, ?, ?)", "")
        }
        Step::ReplaceState => (
            "UPDATE states SET version = n.column2, bytes = n.column3, sum = n.column4 FROM (VALUES ",
            "(?, ?, ?, ?)",
            ") AS n WHERE states.machine = n.column1 AND states.version = n.column2 - 1",
        ),
        Step::TakeFact => (
            "INSERT OR IGNORE INTO facts_by_space (space, key, value, sum) VALUES ",
            "((SELECT id FROM spaces WHERE name = ?), ?, ?, ?)",
            "",
        ),
        Step::RemoveMessage => ("DELETE FROM outbox WHERE id IN (VALUES ", "(?)", ")"),
        Step::Postpone => (
            "UPDATE outbox SET due = n.column2, attempts = attempts + 1, due_check = n.column2 + attempts + 1 FROM (VALUES ",
            "(?, ?)",
            ") AS n WHERE outbox.id = n.column1",
        ),
        Step::AddMessage => (
            "INSERT OR IGNORE INTO outbox (id, machine, destination, bytes, sum, due, due_check, attempts) VALUES ",
            "(?, ?, ?, ?, ?, ?, ?, 0)",
            "",
        ),
        Step::RemoveTimer => ("DELETE FROM timers WHERE (machine, name) IN (VALUES ", "(?, ?)", ")"),
        Step::SetTimer => (
            "INSERT INTO timers (machine, name, due, sum) VALUES ",
            "(?, ?, ?, ?)",
            " ON CONFLICT (machine, name) DO UPDATE SET due = excluded.due, sum = excluded.sum",
        ),
        // The writer is the only one that appends, so the places are free.
        Step::AppendEvidence => (
            "INSERT INTO evidence (machine, place, kind, bytes, time, sum)
             SELECT column2, coalesce((SELECT max(place) + 1 FROM evidence AS e WHERE e.machine = column2), 0)
                 + row_number() OVER (PARTITION BY column2 ORDER BY column1) - 1, column3, column4, column5, column6
             FROM (VALUES ",
            "(#, ?, ?, ?, ?, ?)",
            ")",
        ),
        Step::RemoveRecord => ("DELETE FROM records WHERE (space, key) IN (VALUES ", "(?, ?)", ")"),
        Step::SetRecord => (
            "INSERT INTO records (space, key, value, sum) VALUES ",
            "(?, ?, ?, ?)",
            " ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, sum = excluded.sum",
        ),
    };
    Template { head, row, tail }
}
