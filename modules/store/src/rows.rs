//! What a commit writes: rows of tables, step by step, the same for every database.
//!
//! A database module only says each [`Step`] in its SQL. Steps that can refuse a commit come first, in the order in which refusals are
//! named; removals come before additions.

use std::collections::BTreeSet;

use semper_core::time::Time;
use semper_support::archive::{Commit, NewOutgoing, OutgoingId, PutState};

use crate::sum::row_sum;

/// One kind of statement. [`Row::columns`] are the columns that are named here, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Into `consumed`: machine, input, sum. Refuses if it is there.
    Consume,
    /// Into `states`: machine, version, bytes, sum. Refuses if the machine has a state.
    CreateState,
    /// In `states`: machine, version, bytes, sum. Refuses unless the stored version is the one before.
    ReplaceState,
    /// Into `facts`: space, key, value, sum. Refuses if the key has a value.
    TakeFact,
    /// From `outbox`: id.
    RemoveMessage,
    /// In `outbox`: id, due. Counts a failed attempt to send.
    Postpone,
    /// Into `outbox`: id, machine, destination, bytes, sum, due, `due_check`; not tried yet. Refuses if the identifier waits.
    AddMessage,
    /// From `timers`: machine, name.
    RemoveTimer,
    /// Into `timers`, in place of what is there: machine, name, due, sum.
    SetTimer,
    /// Into `evidence`, at the machine's next place: machine, kind, bytes, time, sum.
    AppendEvidence,
    /// From `records`: space, key.
    RemoveRecord,
    /// Into `records`, in place of what is there: space, key, value, sum.
    SetRecord,
}
use Step::{
    AddMessage, AppendEvidence, Consume, CreateState, Postpone, RemoveMessage, RemoveRecord, RemoveTimer, ReplaceState,
    SetRecord, SetTimer, TakeFact,
};

/// A value that is bound to a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Column<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
    Int(i64),
}
use Column::{Bytes, Int, Text};

/// One row that a commit writes.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) step: Step,
    pub(crate) columns: Vec<Column<'a>>,
}

impl Step {
    /// Every step, in the order in which a commit is written.
    pub(crate) const ALL: [Self; 12] = [
        Consume,
        CreateState,
        ReplaceState,
        TakeFact,
        RemoveMessage,
        Postpone,
        AddMessage,
        RemoveTimer,
        SetTimer,
        AppendEvidence,
        RemoveRecord,
        SetRecord,
    ];

    /// Whether a row that changes nothing refuses the commit.
    pub(crate) fn decides(self) -> bool {
        matches!(self, Consume | CreateState | ReplaceState | TakeFact | AddMessage)
    }

    /// The table, by a name of its own, and how many of the first columns are its key.
    fn key(self) -> (&'static str, usize) {
        match self {
            Consume => ("consumed", 2),
            CreateState | ReplaceState => ("states", 1),
            TakeFact => ("facts", 2),
            RemoveMessage | Postpone | AddMessage => ("outbox", 1),
            RemoveTimer | SetTimer => ("timers", 2),
            AppendEvidence => ("evidence", 1),
            RemoveRecord | SetRecord => ("records", 2),
        }
    }
}

impl<'a> Row<'a> {
    /// The table and the key: what two commits have in common that must not be stored at the same time. Of evidence it is the machine.
    pub(crate) fn key(&self) -> (&'static str, &[Column<'a>]) {
        let (table, columns) = self.step.key();
        (table, &self.columns[..columns])
    }
}

impl Column<'_> {
    /// How many bytes it takes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Bytes(bytes) => bytes.len(),
            Text(text) => text.len(),
            Int(_) => size_of::<i64>(),
        }
    }
}

/// The rows of a commit whose bounds were checked, in the order of [`Step::ALL`] but that states are in their own order. No two rows of
/// one step have the same key, except removals and evidence.
pub(crate) fn rows(commit: &Commit) -> Vec<Row<'_>> {
    let consumed = commit.consumed.iter().map(|consumed| {
        let (key, input) = (&*consumed.key, consumed.input.as_bytes().as_slice());
        row(Consume, &[Bytes(key), Bytes(input), Int(row_sum("consumed", &[key, input]))])
    });
    let facts = commit.facts.iter().map(|fact| {
        let sum = keyed_sum("facts", &fact.space, &fact.key, &fact.value);
        row(TakeFact, &[Text(&fact.space), Bytes(&fact.key), Bytes(&fact.value), Int(sum)])
    });
    let sent = commit.sent.iter().map(|id| row(RemoveMessage, &[Bytes(id.as_bytes())]));
    let timers_done = commit.timers_done.iter().map(|(key, name)| row(RemoveTimer, &[Bytes(key), Text(name)]));
    let timers = last_of_each(&commit.timers, |timer| (&timer.key, &timer.name)).map(|timer| {
        let due = seconds(timer.due);
        let sum = timer_sum(&timer.key, &timer.name, due);
        row(SetTimer, &[Bytes(&timer.key), Text(&timer.name), Int(due), Int(sum)])
    });
    let evidence = commit.evidence.iter().map(|item| {
        let time = seconds(item.time);
        let sum = evidence_sum(&item.key, &item.kind, &item.bytes, time);
        row(AppendEvidence, &[Bytes(&item.key), Text(&item.kind), Bytes(&item.bytes), Int(time), Int(sum)])
    });
    let records = last_of_each(&commit.records, |(space, key, _)| (space, key));
    let mut rows: Vec<Row<'_>> = consumed
        .chain(commit.states.iter().map(state_row))
        .chain(facts)
        .chain(sent)
        .chain(commit.outbox.iter().map(message_row))
        .chain(timers_done)
        .chain(timers)
        .chain(evidence)
        .chain(records.map(|(space, key, value)| record_row(space, key, value.as_deref())))
        .collect();
    let first_record = rows.partition_point(|row| row.step < RemoveRecord);
    rows[first_record..].sort_by_key(|row| row.step);
    rows
}

/// The row that notes a failed attempt to send.
pub(crate) fn postponed(id: &OutgoingId, due: Time) -> Row<'_> {
    row(Postpone, &[Bytes(id.as_bytes()), Int(seconds(due))])
}

/// The rows of one step, in the order of their keys: writers that write the same rows then wait for each other, instead of both for both,
/// and neighbours are written after each other. Evidence of one machine keeps its order.
pub(crate) fn rows_of<'a>(step: Step, all: &'a [Row<'a>]) -> Vec<&'a Row<'a>> {
    let mut rows: Vec<_> = all.iter().filter(|row| row.step == step).collect();
    rows.sort_by(|a, b| a.key().cmp(&b.key()));
    rows
}

fn row<'a>(step: Step, columns: &[Column<'a>]) -> Row<'a> {
    Row { step, columns: columns.to_vec() }
}

fn state_row(state: &PutState) -> Row<'_> {
    // A version that does not fit was never stored; what replaces -1 finds no row either.
    let version = i64::try_from(state.replaces).ok().and_then(|replaces| replaces.checked_add(1)).unwrap_or(0);
    let sum = state_sum(&state.key, version, &state.bytes);
    let step = if state.replaces == 0 { CreateState } else { ReplaceState };
    row(step, &[Bytes(&state.key), Int(version), Bytes(&state.bytes), Int(sum)])
}

fn message_row(message: &NewOutgoing) -> Row<'_> {
    let (id, due) = (message.id.as_bytes().as_slice(), Int(seconds(message.due)));
    let sum = message_sum(id, &message.key, &message.destination, &message.bytes);
    let (destination, bytes) = (Bytes(&message.destination), Bytes(&message.bytes));
    row(AddMessage, &[Bytes(id), Bytes(&message.key), destination, bytes, Int(sum), due, due])
}

fn record_row<'a>(space: &'a str, key: &'a [u8], value: Option<&'a [u8]>) -> Row<'a> {
    match value {
        None => row(RemoveRecord, &[Text(space), Bytes(key)]),
        Some(value) => {
            let sum = keyed_sum("records", space, key, value);
            row(SetRecord, &[Text(space), Bytes(key), Bytes(value), Int(sum)])
        }
    }
}

/// Of items with the same key the last.
fn last_of_each<'a, T, K: Ord>(items: &'a [T], key: impl Fn(&'a T) -> K) -> impl Iterator<Item = &'a T> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<_> = items.iter().rev().filter(|item| seen.insert(key(item))).collect();
    kept.reverse();
    kept.into_iter()
}

pub(crate) fn state_sum(key: &[u8], version: i64, bytes: &[u8]) -> i64 {
    row_sum("states", &[key, &version.to_be_bytes(), bytes])
}

/// The sum over what never changes in a message; when it is due has a check of its own, which SQL can keep up to date.
pub(crate) fn message_sum(id: &[u8], key: &[u8], destination: &[u8], bytes: &[u8]) -> i64 {
    row_sum("outbox", &[id, key, destination, bytes])
}

pub(crate) fn timer_sum(key: &[u8], name: &str, due: i64) -> i64 {
    row_sum("timers", &[key, name.as_bytes(), &due.to_be_bytes()])
}

/// The sum over a piece of evidence but its place, which is only known when it is stored; places have no gaps, so a wrong one is
/// seen.
pub(crate) fn evidence_sum(key: &[u8], kind: &str, bytes: &[u8], time: i64) -> i64 {
    row_sum("evidence", &[key, kind.as_bytes(), bytes, &time.to_be_bytes()])
}

/// The sum over a row of `facts` or `records`.
pub(crate) fn keyed_sum(table: &str, space: &str, key: &[u8], value: &[u8]) -> i64 {
    row_sum(table, &[space.as_bytes(), key, value])
}

/// A time as it is stored: seconds since 1970.
pub(crate) fn seconds(time: Time) -> i64 {
    i64::try_from(time.unix()).expect("the year is at most 9999")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use semper_support::archive::SetTimer as NewTimer;

    // PostgreSQL refuses a statement that writes one key twice, and runs all removals before all additions: both would change what a
    // commit means.
    #[test]
    fn of_what_is_written_twice_only_the_last_is_a_row() {
        let timer = |due| NewTimer { key: b"m".to_vec(), name: "t".to_owned(), due: Time::from_unix(due) };
        let record = |key: &[u8], value: Option<&[u8]>| ("s".to_owned(), key.to_vec(), value.map(<[u8]>::to_vec));
        let commit = Commit {
            timers: vec![timer(1), timer(2)],
            records: vec![record(b"a", Some(b"x")), record(b"b", None), record(b"a", None), record(b"b", Some(b"y"))],
            ..Commit::default()
        };
        let rows = rows(&commit);
        let written: Vec<_> = rows.iter().map(|row| (row.step, row.columns.get(row.step.key().1).copied())).collect();
        assert_eq!(written, [(SetTimer, Some(Int(2))), (RemoveRecord, None), (SetRecord, Some(Bytes(b"y")))]);
    }
}
