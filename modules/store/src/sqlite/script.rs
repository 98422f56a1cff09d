//! What a commit says to SQLite, made by the task that commits, so that the one writer has only to run it.

use semper_core::time::Time;
use semper_support::archive::{Commit, CommitError, OutgoingId};
use sqlx::Sqlite;
use sqlx::sqlite::SqliteArguments;

use crate::engine::Engine;
use crate::rows::Column::{self, Bytes, Int};
use crate::rows::{Step, rows, seconds};

/// Most statements in one call to the database. Each call costs a change of threads; each different text of a call is kept
/// prepared by the connection.
const STATEMENTS_PER_BATCH: usize = 16;

/// Opens the transaction of a group. In it there is always a savepoint `one`, at the beginning of the commit that is being run, so that
/// one call can leave the commit before and run the next.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE; SAVEPOINT one";
/// Undoes the commit that is being run.
pub(super) const UNDO: &str = "ROLLBACK TO one";
/// Keeps the commit before, begins the next.
const NEXT: &str = "RELEASE one;SAVEPOINT one;";
/// Statements in [`NEXT`].
const NEXT_STATEMENTS: usize = 2;

/// The statements of one commit, in order, in batches.
#[derive(Debug)]
pub(super) struct Script {
    commit: Commit,
    pub(super) batches: Vec<Batch>,
    /// About how many bytes the script holds.
    pub(super) bytes: usize,
}

/// Statements that are sent to the database in one call.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) sql: String,
    pub(super) arguments: SqliteArguments,
    /// For each statement, what of the commit it decides. `None`: it may change no row.
    pub(super) decisions: Vec<Option<Decision>>,
}

/// A step, and the item of the commit that it is about.
pub(super) type Decision = (Step, usize);

impl Script {
    /// The script of a commit whose bounds were checked.
    pub(super) fn of(commit: Commit) -> Self {
        let mut script = Self::new();
        for row in rows(&commit) {
            script.push(sql(row.step), &row.columns, row.step.decides().then_some((row.step, row.nth)));
        }
        Self { commit, ..script }
    }

    /// The script that notes a failed attempt to send.
    pub(super) fn postpone(id: &OutgoingId, due: Time) -> Self {
        let mut script = Self::new();
        let sql = "UPDATE outbox SET due = ?, attempts = attempts + 1, due_check = ? + attempts + 1 WHERE id = ?";
        script.push(sql, &[Int(seconds(due)), Int(seconds(due)), Bytes(id.as_bytes())], None);
        script
    }

    /// Why the commit is refused if a decision went against it. For a fact it names the one that was offered.
    pub(super) fn refusal(&self, (step, nth): Decision) -> CommitError {
        step.refusal(&self.commit, nth).expect("only steps that decide are decisions")
    }

    fn new() -> Self {
        let first = Batch { sql: NEXT.to_owned(), decisions: vec![None; NEXT_STATEMENTS], ..Batch::default() };
        Self { commit: Commit::default(), batches: vec![first], bytes: 0 }
    }

    fn push(&mut self, sql: &'static str, columns: &[Column<'_>], decision: Option<Decision>) {
        if self.batches.last().is_none_or(|batch| batch.decisions.len() == STATEMENTS_PER_BATCH) {
            self.batches.push(Batch::default());
        }
        let batch = self.batches.last_mut().expect("there is a batch with room");
        batch.sql.push_str(sql);
        batch.sql.push(';');
        batch.decisions.push(decision);
        for column in columns {
            self.bytes += column.len();
            Sqlite::bind(&mut batch.arguments, column);
        }
    }
}

/// The statement of a step for one row.
fn sql(step: Step) -> &'static str {
    match step {
        Step::Consume => "INSERT INTO consumed (machine, input, sum) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        Step::CreateState => {
            "INSERT INTO states (machine, version, bytes, sum) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        }
        Step::ReplaceState => {
            "UPDATE states SET version = n.version, bytes = n.bytes, sum = n.sum
             FROM (SELECT ? AS machine, ? AS version, ? AS bytes, ? AS sum) AS n
             WHERE states.machine = n.machine AND states.version = n.version - 1"
        }
        Step::TakeFact => "INSERT INTO facts (space, key, value, sum) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        Step::RemoveMessage => "DELETE FROM outbox WHERE id = ?",
        Step::AddMessage => {
            "INSERT INTO outbox (id, machine, destination, bytes, sum, due, due_check, attempts)
             VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING"
        }
        Step::RemoveTimer => "DELETE FROM timers WHERE machine = ? AND name = ?",
        Step::SetTimer => {
            "INSERT INTO timers (machine, name, due, sum) VALUES (?, ?, ?, ?)
             ON CONFLICT (machine, name) DO UPDATE SET due = excluded.due, sum = excluded.sum"
        }
        // The writer is the only one that appends, so the place is free.
        Step::AppendEvidence => {
            "INSERT INTO evidence (machine, place, kind, bytes, time, sum)
             SELECT machine, coalesce((SELECT max(place) + 1 FROM evidence AS e WHERE e.machine = n.machine), 0), kind, bytes, time, sum
             FROM (SELECT ? AS machine, ? AS kind, ? AS bytes, ? AS time, ? AS sum) AS n"
        }
        Step::RemoveRecord => "DELETE FROM records WHERE space = ? AND key = ?",
        Step::SetRecord => {
            "INSERT INTO records (space, key, value, sum) VALUES (?, ?, ?, ?)
             ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, sum = excluded.sum"
        }
    }
}
