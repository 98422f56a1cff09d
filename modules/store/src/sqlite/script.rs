//! What a commit says to the database, made by the task that commits, so that the one writer has only to run it.

use semper_core::time::Time;
use semper_support::archive::{Commit, CommitError, NewEvidence, NewOutgoing, OutgoingId, PutState, SetTimer};
use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

use super::sum::row_sum;
use crate::MESSAGE_TAKEN;

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
    pub(super) batches: Vec<Batch>,
    /// About how many bytes the script holds.
    pub(super) bytes: usize,
}

/// Statements that are sent to the database in one call.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) sql: String,
    pub(super) arguments: SqliteArguments,
    /// For each statement, why the commit is refused if it changes no row. `None`: it may change none.
    pub(super) refusals: Vec<Option<CommitError>>,
}

/// A value that is bound to a statement.
enum Column<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
    Int(i64),
}
use Column::{Bytes, Int, Text};

impl Script {
    /// The script of a commit whose bounds were checked. What can be refused comes first, in the order in which refusals are
    /// named; removals come before additions.
    pub(super) fn of(commit: &Commit) -> Self {
        let mut script = Self::new();
        for consumed in &commit.consumed {
            let (key, input) = (&*consumed.key, consumed.input.as_bytes().as_slice());
            let sum = row_sum("consumed", &[key, input]);
            let sql = "INSERT INTO consumed (machine, input, sum) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
            let doubled = CommitError::Doubled { input: consumed.input };
            script.push(sql, &[Bytes(key), Bytes(input), Int(sum)], Some(doubled));
        }
        for state in &commit.states {
            script.put_state(state);
        }
        for fact in &commit.facts {
            let sum = row_sum("facts", &[fact.space.as_bytes(), &fact.key, &fact.value]);
            let sql = "INSERT INTO facts (space, key, value, sum) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
            let taken = CommitError::Taken { stands: fact.clone() };
            script.push(sql, &[Text(&fact.space), Bytes(&fact.key), Bytes(&fact.value), Int(sum)], Some(taken));
        }
        for id in &commit.sent {
            script.push("DELETE FROM outbox WHERE id = ?", &[Bytes(id.as_bytes())], None);
        }
        for message in &commit.outbox {
            script.add_message(message);
        }
        for (key, name) in &commit.timers_done {
            script.push("DELETE FROM timers WHERE machine = ? AND name = ?", &[Bytes(key), Text(name)], None);
        }
        for timer in &commit.timers {
            script.set_timer(timer);
        }
        for item in &commit.evidence {
            script.append_evidence(item);
        }
        for (space, key, value) in &commit.records {
            script.put_record(space, key, value.as_deref());
        }
        script
    }

    /// The script that notes a failed attempt to send.
    pub(super) fn postpone(id: &OutgoingId, due: Time) -> Self {
        let mut script = Self::new();
        let sql = "UPDATE outbox SET due = ?, attempts = attempts + 1, due_check = ? + attempts + 1 WHERE id = ?";
        script.push(sql, &[Int(seconds(due)), Int(seconds(due)), Bytes(id.as_bytes())], None);
        script
    }

    fn new() -> Self {
        let first = Batch { sql: NEXT.to_owned(), refusals: vec![None; NEXT_STATEMENTS], ..Batch::default() };
        Self { batches: vec![first], bytes: 0 }
    }

    fn put_state(&mut self, state: &PutState) {
        // A version beyond i64 was never stored; -1 finds no row either.
        let replaces = i64::try_from(state.replaces).unwrap_or(-1);
        let version = replaces.saturating_add(1);
        let sum = state_sum(&state.key, version, &state.bytes);
        let stale = Some(CommitError::Stale { key: state.key.clone() });
        if replaces == 0 {
            let sql = "INSERT INTO states (version, bytes, sum, machine) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
            self.push(sql, &[Int(version), Bytes(&state.bytes), Int(sum), Bytes(&state.key)], stale);
        } else {
            let sql = "UPDATE states SET version = ?, bytes = ?, sum = ? WHERE machine = ? AND version = ?";
            let columns = [Int(version), Bytes(&state.bytes), Int(sum), Bytes(&state.key), Int(replaces)];
            self.push(sql, &columns, stale);
        }
    }

    fn add_message(&mut self, message: &NewOutgoing) {
        let (id, due) = (message.id.as_bytes().as_slice(), seconds(message.due));
        let sum = message_sum(id, &message.key, &message.destination, &message.bytes);
        let sql = "INSERT INTO outbox (id, machine, destination, bytes, sum, due, attempts, due_check)
                   VALUES (?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT DO NOTHING";
        let (destination, bytes) = (Bytes(&message.destination), Bytes(&message.bytes));
        let columns = [Bytes(id), Bytes(&message.key), destination, bytes, Int(sum), Int(due), Int(due)];
        self.push(sql, &columns, Some(MESSAGE_TAKEN));
    }

    fn set_timer(&mut self, timer: &SetTimer) {
        let due = seconds(timer.due);
        let sql = "INSERT INTO timers (machine, name, due, sum) VALUES (?, ?, ?, ?)
                   ON CONFLICT (machine, name) DO UPDATE SET due = excluded.due, sum = excluded.sum";
        let sum = timer_sum(&timer.key, &timer.name, due);
        self.push(sql, &[Bytes(&timer.key), Text(&timer.name), Int(due), Int(sum)], None);
    }

    fn append_evidence(&mut self, item: &NewEvidence) {
        let time = seconds(item.time);
        let sum = evidence_sum(&item.key, &item.kind, &item.bytes, time);
        // The writer is the only one that appends, so the place is free.
        let sql = "INSERT INTO evidence (machine, place, kind, bytes, time, sum)
                   SELECT ?, coalesce((SELECT max(place) + 1 FROM evidence WHERE machine = ?), 0), ?, ?, ?, ?";
        let (key, kind, bytes) = (&*item.key, Text(&item.kind), Bytes(&item.bytes));
        self.push(sql, &[Bytes(key), Bytes(key), kind, bytes, Int(time), Int(sum)], None);
    }

    fn put_record(&mut self, space: &str, key: &[u8], value: Option<&[u8]>) {
        let Some(value) = value else {
            return self.push("DELETE FROM records WHERE space = ? AND key = ?", &[Text(space), Bytes(key)], None);
        };
        let sum = row_sum("records", &[space.as_bytes(), key, value]);
        let sql = "INSERT INTO records (space, key, value, sum) VALUES (?, ?, ?, ?)
                   ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, sum = excluded.sum";
        self.push(sql, &[Text(space), Bytes(key), Bytes(value), Int(sum)], None);
    }

    fn push(&mut self, sql: &'static str, columns: &[Column<'_>], refusal: Option<CommitError>) {
        if self.batches.last().is_none_or(|batch| batch.refusals.len() == STATEMENTS_PER_BATCH) {
            self.batches.push(Batch::default());
        }
        let batch = self.batches.last_mut().expect("there is a batch with room");
        batch.sql.push_str(sql);
        batch.sql.push(';');
        batch.refusals.push(refusal);
        for column in columns {
            self.bytes += column.len();
            let added = match column {
                Bytes(bytes) => batch.arguments.add(*bytes),
                Text(text) => batch.arguments.add(*text),
                Int(number) => batch.arguments.add(*number),
            };
            added.expect("bytes, text and integers can always be bound");
        }
    }
}

impl Column<'_> {
    fn len(&self) -> usize {
        match self {
            Bytes(bytes) => bytes.len(),
            Text(text) => text.len(),
            Int(_) => size_of::<i64>(),
        }
    }
}

pub(super) fn state_sum(key: &[u8], version: i64, bytes: &[u8]) -> i64 {
    row_sum("states", &[key, &version.to_be_bytes(), bytes])
}

/// The sum over what never changes in a message; when it is due has a check of its own, which SQL can keep up to date.
pub(super) fn message_sum(id: &[u8], key: &[u8], destination: &[u8], bytes: &[u8]) -> i64 {
    row_sum("outbox", &[id, key, destination, bytes])
}

pub(super) fn timer_sum(key: &[u8], name: &str, due: i64) -> i64 {
    row_sum("timers", &[key, name.as_bytes(), &due.to_be_bytes()])
}

/// The sum over a piece of evidence but its place, which is only known when it is stored; places have no gaps, so a wrong one is
/// seen.
pub(super) fn evidence_sum(key: &[u8], kind: &str, bytes: &[u8], time: i64) -> i64 {
    row_sum("evidence", &[key, kind.as_bytes(), bytes, &time.to_be_bytes()])
}

/// A time as it is stored: seconds since 1970.
pub(super) fn seconds(time: Time) -> i64 {
    i64::try_from(time.unix()).expect("the year is at most 9999")
}
