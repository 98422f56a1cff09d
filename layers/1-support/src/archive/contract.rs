//! The contract kit that every module of [`super::Archive`] must pass: each promise of the port is one named check.
//!
//! A module's test implements [`Factory`] and calls [`all`]. The kit needs no runtime of its own; the factory brings the one that the
//! module needs. It cannot see what only a crash shows (durability, torn writes): a durable module tests that itself.
//!
//! Start reading at [`CHECKS`].
//!
//! Source: `spec/archive.md` §3.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use semper_core::hash::Digest;
use semper_core::time::Time;

use super::{
    Archive, Commit, CommitError, Consumed, Evidence, Fact, ITEMS_MAX, KEY_MAX, MACHINE_KEY_MAX, NAME_MAX, NewEvidence,
    NewOutgoing, Outgoing, OutgoingId, PutState, ReadError, SetTimer, StoredState, VALUE_MAX,
};

/// A future on the heap.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Makes the archives that are checked.
#[async_trait]
pub trait Factory: Send + Sync + 'static {
    /// A new, empty archive.
    async fn fresh(&self) -> Arc<dyn Archive>;

    /// Closes an archive in order and opens it again. A module that keeps nothing beyond the process returns what it is given.
    async fn reopen(&self, archive: Arc<dyn Archive>) -> Arc<dyn Archive>;

    /// Runs tasks at the same time, each on its own task of a runtime with several threads; their results in the same order.
    async fn together(&self, tasks: Vec<Boxed<Outcome>>) -> Vec<Outcome>;
}

/// What a commit returned.
pub type Outcome = Result<(), CommitError>;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name of the check in [`CHECKS`].
    pub check: &'static str,
    /// What was expected and what was found.
    pub found: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.found)
    }
}

/// Runs every check, each on an archive of its own.
///
/// # Errors
/// The broken promises, in the order of [`CHECKS`].
pub async fn all(factory: Arc<dyn Factory>) -> Result<(), Vec<Failure>> {
    let mut failures = Vec::new();
    for (check, run) in CHECKS {
        if let Err(Broken(found)) = run(factory.clone()).await {
            failures.push(Failure { check, found });
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}

/// A check: an error says what was expected and what was found.
pub type Check = fn(Arc<dyn Factory>) -> Boxed<Result<(), Broken>>;

/// Why a check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(String);

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Every check by name.
        pub const CHECKS: &[(&str, Check)] = &[$((stringify!($name), |factory| Box::pin($name(factory)))),*];
    };
}

checks! {
    a_new_archive_is_empty,
    what_is_committed_can_be_read,
    a_stale_version_is_refused,
    a_doubled_input_is_refused,
    a_taken_fact_is_refused_with_what_stands,
    a_message_that_waits_keeps_its_identifier,
    refusals_are_named_in_order,
    a_refused_commit_leaves_nothing,
    evidence_keeps_its_order,
    messages_are_due_postponed_and_sent,
    timers_are_replaced_and_removed,
    the_next_due_time_is_known,
    removals_come_before_additions,
    states_are_listed_by_prefix_and_page,
    facts_are_listed_by_page,
    records_change_and_are_listed_by_page,
    odd_bytes_are_kept,
    bounds_are_kept,
    one_of_many_takes_a_fact,
    one_of_many_changes_a_state,
    appends_at_the_same_time_leave_no_gap,
    reopening_keeps_everything,
}

type Checked = Result<(), Broken>;

async fn a_new_archive_is_empty(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    same("the content", &Content::of(&*archive, &[b"a"]).await?, &Content::default())?;
    same("state", &archive.state(b"a").await?, &None)?;
    same("is_consumed", &archive.is_consumed(b"a", &digest(1)).await?, &false)?;
    same("fact", &archive.fact("verdict", b"k").await?, &None)?;
    same("record", &archive.record("contact", b"k").await?, &None)
}

async fn what_is_committed_can_be_read(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let commit = full(b"deal", 0, 1);
    archive.commit(commit.clone()).await?;
    same("the content", &Content::of(&*archive, &[b"deal"]).await?, &Content::after(&commit))?;
    same("state", &archive.state(b"deal").await?, &Some(stored(b"deal", 1, &[1])))?;
    same("the state of another machine", &archive.state(b"dea").await?, &None)?;
    same("is_consumed", &archive.is_consumed(b"deal", &digest(1)).await?, &true)?;
    same("is_consumed of another machine", &archive.is_consumed(b"dea", &digest(1)).await?, &false)?;
    same("is_consumed of another input", &archive.is_consumed(b"deal", &digest(2)).await?, &false)?;
    same("fact", &archive.fact("verdict", &[1]).await?, &Some(b"stands".to_vec()))?;
    same("fact in another space", &archive.fact("run", &[1]).await?, &None)?;
    same("record", &archive.record("contact", &[1]).await?, &Some(b"Bob".to_vec()))?;
    same("record in another space", &archive.record("verdict", &[1]).await?, &None)
}

async fn a_stale_version_is_refused(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let stale = Err(CommitError::Stale { key: b"m".to_vec() });
    same("version 1 of nothing", &archive.commit(put(b"m", 1, b"x")).await, &stale)?;
    archive.commit(put(b"m", 0, b"first")).await?;
    same("a second beginning", &archive.commit(put(b"m", 0, b"x")).await, &stale)?;
    archive.commit(put(b"m", 1, b"second")).await?;
    for replaces in [0, 1, 3, u64::MAX] {
        same("a version that is not stored", &archive.commit(put(b"m", replaces, b"x")).await, &stale)?;
    }
    same("the state", &archive.state(b"m").await?, &Some(stored(b"m", 2, b"second")))
}

async fn a_doubled_input_is_refused(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    archive.commit(consume(b"m", 1)).await?;
    let doubled = Err(CommitError::Doubled { input: digest(1) });
    same("the same input again", &archive.commit(consume(b"m", 1)).await, &doubled)?;
    same("another input", &archive.commit(consume(b"m", 2)).await, &Ok(()))?;
    same("the same input of another machine", &archive.commit(consume(b"n", 1)).await, &Ok(()))
}

async fn a_taken_fact_is_refused_with_what_stands(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let first = fact("verdict", b"cid", b"resolved");
    archive.commit(facts(&[&first])).await?;
    let taken = Err(CommitError::Taken { stands: first.clone() });
    same("another value", &archive.commit(facts(&[&fact("verdict", b"cid", b"aborted")])).await, &taken)?;
    same("the same value", &archive.commit(facts(&[&first])).await, &taken)?;
    same("another space", &archive.commit(facts(&[&fact("run", b"cid", b"x")])).await, &Ok(()))?;
    same("another key", &archive.commit(facts(&[&fact("verdict", b"ci", b"x")])).await, &Ok(()))?;
    same("the fact", &archive.fact("verdict", b"cid").await?, &Some(b"resolved".to_vec()))
}

async fn a_message_that_waits_keeps_its_identifier(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let first = message(1, b"m", 10);
    let commit = |message: &NewOutgoing| Commit { outbox: vec![message.clone()], ..Commit::default() };
    archive.commit(commit(&first)).await?;
    let second = NewOutgoing { bytes: b"another".to_vec(), ..first.clone() };
    let refused = archive.commit(commit(&second)).await;
    holds(
        "a message with the identifier of one that waits is malformed",
        matches!(refused, Err(CommitError::Malformed(_))),
    )?;
    same("the outbox", &archive.outbox_of(b"m").await?, &vec![Outgoing { message: first, attempts: 0 }])?;
    archive.commit(Commit { sent: vec![digest(1)], ..Commit::default() }).await?;
    same("the identifier after the message was sent", &archive.commit(commit(&second)).await, &Ok(()))
}

async fn refusals_are_named_in_order(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let first = full(b"m", 0, 1);
    archive.commit(first.clone()).await?;
    // Everything in it is refused. Doubled comes first: it needs no second look at the state.
    let mut again = first.clone();
    same("all", &archive.commit(again.clone()).await, &Err(CommitError::Doubled { input: digest(1) }))?;
    again.consumed.clear();
    same("without inputs", &archive.commit(again.clone()).await, &Err(CommitError::Stale { key: b"m".to_vec() }))?;
    again.states.clear();
    let taken = Err(CommitError::Taken { stands: first.facts[0].clone() });
    same("without states", &archive.commit(again.clone()).await, &taken)?;
    again.timers[0].name.clear();
    let malformed = archive.commit(again).await;
    holds("a malformed commit is malformed before all else", matches!(malformed, Err(CommitError::Malformed(_))))
}

async fn a_refused_commit_leaves_nothing(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let mut first = full(b"m", 0, 1);
    first.outbox.push(message(9, b"m", 109));
    archive.commit(first.clone()).await?;
    let good = full(b"n", 0, 2);
    let spoilers: [(&str, Commit); 6] = [
        ("an input", consume(b"m", 1)),
        ("a state", put(b"m", 0, b"x")),
        ("a fact", facts(&[&first.facts[0]])),
        ("a message", Commit { outbox: first.outbox.clone(), ..Commit::default() }),
        ("a bound", facts(&[&fact("", b"k", b"v")])),
        ("a double", facts(&[&fact("run", b"k", b"v"), &fact("run", b"k", b"w")])),
    ];
    for (name, spoiler) in spoilers {
        for spoiled in [joined(&good, &spoiler), joined(&spoiler, &good)] {
            // What the first commit left is offered for removal too: a refused commit must not remove anything either.
            let removing = Commit {
                sent: vec![digest(9)],
                timers_done: vec![(b"m".to_vec(), "patience".to_owned())],
                records: [spoiled.records.clone(), vec![("contact".to_owned(), vec![1], None)]].concat(),
                ..spoiled
            };
            holds(&format!("a commit spoiled by {name} is refused"), archive.commit(removing).await.is_err())?;
            let found = Content::of(&*archive, &[b"m", b"n"]).await?;
            same(&format!("the content after a commit spoiled by {name}"), &found, &Content::after(&first))?;
            same("is_consumed", &archive.is_consumed(b"n", &digest(2)).await?, &false)?;
        }
    }
    same("the good commit", &archive.commit(good).await, &Ok(()))
}

async fn evidence_keeps_its_order(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let items: Vec<_> = [(b"m", 3), (b"n", 9), (b"m", 1), (b"m", 1), (b"m", 2)].map(|(key, n)| evidence(key, n)).into();
    archive.commit(Commit { evidence: items[..3].to_vec(), ..Commit::default() }).await?;
    archive.commit(Commit { evidence: items[3..].to_vec(), ..Commit::default() }).await?;
    let expected: Vec<_> =
        (0..).zip([3, 1, 1, 2]).map(|(index, n)| Evidence { index, item: evidence(b"m", n) }).collect();
    same("evidence of m", &archive.evidence(b"m").await?, &expected)?;
    same("evidence of n", &archive.evidence(b"n").await?, &vec![Evidence { index: 0, item: evidence(b"n", 9) }])
}

async fn messages_are_due_postponed_and_sent(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let messages = vec![message(1, b"m", 30), message(2, b"n", 10), message(3, b"m", 20), message(4, b"m", 20)];
    archive.commit(Commit { outbox: messages, ..Commit::default() }).await?;
    same("before the first", &due(&*archive, 9, 10).await?, &vec![])?;
    same("at 10", &due(&*archive, 10, 10).await?, &vec![(2, 0)])?;
    same(
        "at 20, two of one time in the order of identifiers",
        &due(&*archive, 20, 10).await?,
        &vec![(2, 0), (3, 0), (4, 0)],
    )?;
    same("at most two", &due(&*archive, 30, 2).await?, &vec![(2, 0), (3, 0)])?;
    same("at most none", &due(&*archive, 30, 0).await?, &vec![])?;
    same("no bound", &due(&*archive, 30, usize::MAX).await?.len(), &4)?;
    archive.outbox_postpone(&digest(2), at(25)).await?;
    archive.outbox_postpone(&digest(2), at(40)).await?;
    archive.outbox_postpone(&digest(99), at(1)).await?;
    same("after postponing", &due(&*archive, 40, 10).await?, &vec![(3, 0), (4, 0), (1, 0), (2, 2)])?;
    same(
        "messages of n",
        &archive.outbox_of(b"n").await?,
        &vec![Outgoing { message: message(2, b"n", 40), attempts: 2 }],
    )?;
    archive.commit(Commit { sent: vec![digest(3), digest(2), digest(99)], ..Commit::default() }).await?;
    same("after sending", &due(&*archive, 40, 10).await?, &vec![(4, 0), (1, 0)])?;
    same("messages of n after sending", &archive.outbox_of(b"n").await?, &vec![])
}

async fn timers_are_replaced_and_removed(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let set = |timers: &[&SetTimer]| Commit { timers: timers.iter().copied().cloned().collect(), ..Commit::default() };
    let (a, b, other) = (timer(b"m", "a", 30), timer(b"m", "b", 10), timer(b"n", "a", 20));
    archive.commit(set(&[&a, &b, &other])).await?;
    same("due at 9", &archive.timers_due(at(9), 10).await?, &vec![])?;
    same("due at 30", &archive.timers_due(at(30), 10).await?, &vec![b.clone(), other.clone(), a.clone()])?;
    same("due at 30, at most two", &archive.timers_due(at(30), 2).await?, &vec![b.clone(), other.clone()])?;
    same("asked again, they are still there", &archive.timers_of(b"m").await?, &vec![a, b])?;
    let moved = timer(b"m", "a", 5);
    archive.commit(set(&[&moved])).await?;
    same("after moving", &archive.timers_due(at(9), 10).await?, &vec![moved.clone()])?;
    let names = ["b", "never set"].map(|name| (b"m".to_vec(), name.to_owned()));
    archive.commit(Commit { timers_done: names.into(), ..Commit::default() }).await?;
    same("after removing", &archive.timers_of(b"m").await?, &vec![moved])?;
    same("timers of the other machine", &archive.timers_of(b"n").await?, &vec![other])
}

async fn the_next_due_time_is_known(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    archive.commit(Commit { outbox: vec![message(1, b"m", 20)], ..Commit::default() }).await?;
    same("with a message", &archive.next_due().await?, &Some(at(20)))?;
    archive.commit(Commit { timers: vec![timer(b"m", "t", 10)], ..Commit::default() }).await?;
    same("with an earlier timer", &archive.next_due().await?, &Some(at(10)))?;
    archive.commit(Commit { timers: vec![timer(b"m", "t", 253_402_300_799)], ..Commit::default() }).await?;
    same("with a timer at the end of time", &archive.next_due().await?, &Some(at(20)))?;
    archive.commit(Commit { sent: vec![digest(1)], ..Commit::default() }).await?;
    same("without messages", &archive.next_due().await?, &Some(Time::MAX))
}

async fn removals_come_before_additions(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let commit = Commit {
        outbox: vec![message(1, b"m", 10)],
        sent: vec![digest(1)],
        timers: vec![timer(b"m", "t", 10)],
        timers_done: vec![(b"m".to_vec(), "t".to_owned())],
        ..Commit::default()
    };
    for _ in 0..2 {
        archive.commit(commit.clone()).await?;
        same("a message that was removed and added", &due(&*archive, 10, 10).await?, &vec![(1, 0)])?;
        same("a timer that was removed and set", &archive.timers_of(b"m").await?, &commit.timers)?;
    }
    Ok(())
}

/// Prefix, key to start after, most states, expected keys.
type Listing<'a> = (&'a [u8], Option<&'a [u8]>, usize, &'a [&'a [u8]]);

async fn states_are_listed_by_prefix_and_page(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let keys: [&[u8]; 8] = [b"a", b"a\x00", b"a\xff", b"a\xff\xff", b"ab", b"b", b"\xff", b"\xff\xff\x01"];
    for key in keys {
        archive.commit(put(key, 0, key)).await?;
    }
    let all: [&[u8]; 8] = [b"a", b"a\x00", b"ab", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff\x01"];
    let cases: [Listing<'_>; 12] = [
        (b"", None, 100, &all),
        (b"", None, 3, &all[..3]),
        (b"", Some(b"ab"), 2, &all[3..5]),
        (b"a", None, 100, &all[..5]),
        (b"a", Some(b"a"), 100, &all[1..5]),
        (b"a", Some(b"a\x00"), 1, &all[2..3]),
        (b"a\xff", None, 100, &all[3..5]),
        (b"b", Some(b"a"), 100, &all[5..6]),
        (b"b", Some(b"c"), 100, &[]),
        (b"\xff", None, 100, &all[6..]),
        (b"\xff\xff", None, usize::MAX, &all[7..]),
        (b"a", None, 0, &[]),
    ];
    for (prefix, after, limit, expected) in cases {
        let found = archive.states(prefix, after, limit).await?;
        let expected: Vec<_> = expected.iter().map(|key| stored(key, 1, key)).collect();
        same(&format!("states with prefix {prefix:?} after {after:?}, at most {limit}"), &found, &expected)?;
    }
    Ok(())
}

async fn facts_are_listed_by_page(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let expected = [b"".as_slice(), b"\x00", b"a", b"a\x00", b"b"].map(|key| fact("s", key, key));
    archive
        .commit(facts(&[&expected[4], &expected[1], &expected[0], &fact("r", b"a", b""), &fact("t", b"a", b"")]))
        .await?;
    archive.commit(facts(&[&expected[3], &expected[2]])).await?;
    same("all", &archive.facts("s", None, 10).await?, &expected.to_vec())?;
    same("the first two", &archive.facts("s", None, 2).await?, &expected[..2].to_vec())?;
    same("after the empty key", &archive.facts("s", Some(b""), 2).await?, &expected[1..3].to_vec())?;
    same("after a", &archive.facts("s", Some(b"a"), usize::MAX).await?, &expected[3..].to_vec())?;
    same("after the last", &archive.facts("s", Some(b"b"), 10).await?, &vec![])?;
    same("at most none", &archive.facts("s", None, 0).await?, &vec![])
}

/// Space, key, new value.
type RecordEntry<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);

async fn records_change_and_are_listed_by_page(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    archive.commit(records(&[("s", b"b", Some(b"1")), ("s", b"a", Some(b"1")), ("t", b"a", Some(b"1"))])).await?;
    archive.commit(records(&[("s", b"a", Some(b"2")), ("s", b"c", Some(b"")), ("s", b"never", None)])).await?;
    let pair = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
    let expected = vec![pair(b"a", b"2"), pair(b"b", b"1"), pair(b"c", b"")];
    same("all", &archive.records("s", None, 10).await?, &expected)?;
    same("one after a", &archive.records("s", Some(b"a"), 1).await?, &expected[1..2].to_vec())?;
    same("one", &archive.record("s", b"c").await?, &Some(Vec::new()))?;
    archive.commit(records(&[("s", b"a", None), ("s", b"b", None), ("s", b"b", Some(b"3"))])).await?;
    same("a removed one", &archive.record("s", b"a").await?, &None)?;
    same("one that is written twice has the last value", &archive.record("s", b"b").await?, &Some(b"3".to_vec()))?;
    same("the other space", &archive.record("t", b"a").await?, &Some(b"1".to_vec()))
}

async fn odd_bytes_are_kept(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let every: Vec<u8> = (0..=255).collect();
    let long = vec![0xa5; 1024 * 1024];
    let name = "\u{0}'; DROP TABLE facts; --\u{e9}\u{65}\u{301}";
    let commit = Commit {
        states: vec![
            PutState { key: vec![0], replaces: 0, bytes: Vec::new() },
            PutState { key: vec![0, 0], replaces: 0, bytes: long.clone() },
        ],
        outbox: vec![NewOutgoing { destination: Vec::new(), bytes: every.clone(), ..message(1, &[0], 0) }],
        timers: vec![timer(&[0], name, 0)],
        evidence: vec![NewEvidence { kind: name.to_owned(), bytes: every.clone(), ..evidence(&[0], 0) }],
        facts: vec![fact(name, b"", b""), fact(name, &every, &long)],
        records: vec![(name.to_owned(), Vec::new(), Some(Vec::new()))],
        ..Commit::default()
    };
    archive.commit(commit.clone()).await?;
    same("an empty state", &archive.state(&[0]).await?, &Some(stored(&[0], 1, b"")))?;
    same("a long state", &archive.state(&[0, 0]).await?, &Some(stored(&[0, 0], 1, &long)))?;
    same("a message", &archive.outbox_of(&[0]).await?.remove(0).message, &commit.outbox[0])?;
    same("a timer", &archive.timers_of(&[0]).await?, &commit.timers)?;
    same("evidence", &archive.evidence(&[0]).await?.remove(0).item, &commit.evidence[0])?;
    same("facts", &archive.facts(name, None, 10).await?, &commit.facts)?;
    same("a name that looks alike", &archive.fact("\u{0}'; DROP TABLE facts; --\u{e9}\u{e9}", b"").await?, &None)?;
    same("a record", &archive.record(name, b"").await?, &Some(Vec::new()))
}

async fn bounds_are_kept(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let (key, name, long_key) = (vec![b'k'; MACHINE_KEY_MAX], "n".repeat(NAME_MAX), vec![b'k'; KEY_MAX]);
    let items = |count| Commit { sent: vec![digest(1); count], ..Commit::default() };
    let largest =
        Commit { timers: vec![timer(&key, &name, 1)], facts: vec![fact(&name, &long_key, b"")], ..put(&key, 0, b"") };
    same("the longest keys and names", &archive.commit(largest).await, &Ok(()))?;
    same("the most items", &archive.commit(items(ITEMS_MAX)).await, &Ok(()))?;
    let before = Content::of(&*archive, &[&key]).await?;
    let (key, name, long_key) = ([key, vec![0]].concat(), name + "n", [long_key, vec![0]].concat());
    let (value, machine) = (vec![0; VALUE_MAX + 1], b"m".to_vec());
    let broken: [(&str, Commit); 19] = [
        ("too many items", items(ITEMS_MAX + 1)),
        ("a state without a key", put(b"", 0, b"")),
        ("a state with a long key", put(&key, 0, b"")),
        ("an input with a long key", consume(&key, 1)),
        ("a message with a long key", Commit { outbox: vec![message(1, &key, 1)], ..Commit::default() }),
        ("a timer with a long key", Commit { timers: vec![timer(&key, "t", 1)], ..Commit::default() }),
        ("a timer with a long name", Commit { timers: vec![timer(b"m", &name, 1)], ..Commit::default() }),
        (
            "a removal with a long name",
            Commit { timers_done: vec![(machine.clone(), name.clone())], ..Commit::default() },
        ),
        (
            "evidence with a long kind",
            Commit { evidence: vec![NewEvidence { kind: name.clone(), ..evidence(b"m", 1) }], ..Commit::default() },
        ),
        ("a fact in a long space", facts(&[&fact(&name, b"k", b"")])),
        ("a fact with a long key", facts(&[&fact("s", &long_key, b"")])),
        ("a record with a long key", Commit { records: vec![("s".to_owned(), long_key, None)], ..Commit::default() }),
        ("a state twice", joined(&put(b"m", 0, b"a"), &put(b"m", 0, b"b"))),
        ("an input twice", joined(&consume(b"m", 1), &consume(b"m", 1))),
        ("a message twice", Commit { outbox: vec![message(1, b"m", 1), message(1, b"n", 2)], ..Commit::default() }),
        ("a fact twice", facts(&[&fact("s", b"k", b"a"), &fact("s", b"k", b"a")])),
        ("a large state", put(b"m", 0, &value)),
        (
            "a large destination",
            Commit {
                outbox: vec![NewOutgoing { destination: value.clone(), ..message(1, b"m", 1) }],
                ..Commit::default()
            },
        ),
        ("a large record", Commit { records: vec![("s".to_owned(), machine, Some(value))], ..Commit::default() }),
    ];
    for (name, commit) in broken {
        let refused = archive.commit(commit).await;
        holds(&format!("{name} is malformed"), matches!(refused, Err(CommitError::Malformed(_))))?;
    }
    same("the content", &Content::of(&*archive, &[b"m"]).await?, &before)
}

/// How many tasks race.
const RACERS: u64 = 32;

async fn one_of_many_takes_a_fact(factory: Arc<dyn Factory>) -> Checked {
    for _ in 0..4 {
        let archive = factory.fresh().await;
        let offer =
            |n: u64| joined(&facts(&[&fact("serial", b"coin", &n.to_be_bytes())]), &put(&n.to_be_bytes(), 0, b"mine"));
        let outcomes = race(&*factory, &archive, offer).await;
        let winner = only_winner(&outcomes)?;
        let stands = fact("serial", b"coin", &winner.to_be_bytes());
        for lost in outcomes.iter().filter(|outcome| outcome.is_err()) {
            same("a loser's answer", lost, &Err(CommitError::Taken { stands: stands.clone() }))?;
        }
        same("the fact", &archive.fact("serial", b"coin").await?, &Some(stands.value))?;
        same("the states", &archive.states(b"", None, 100).await?, &vec![stored(&winner.to_be_bytes(), 1, b"mine")])?;
    }
    Ok(())
}

async fn one_of_many_changes_a_state(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    for version in 0..4 {
        let outcomes = race(&*factory, &archive, |n| put(b"m", version, &n.to_be_bytes())).await;
        let winner = only_winner(&outcomes)?;
        for lost in outcomes.iter().filter(|outcome| outcome.is_err()) {
            same("a loser's answer", lost, &Err(CommitError::Stale { key: b"m".to_vec() }))?;
        }
        same("the state", &archive.state(b"m").await?, &Some(stored(b"m", version + 1, &winner.to_be_bytes())))?;
    }
    Ok(())
}

async fn appends_at_the_same_time_leave_no_gap(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    let append = |n: u64| {
        // Every fourth commit is refused after its evidence was offered.
        let taken = if n.is_multiple_of(4) { facts(&[&fact("serial", b"coin", b"")]) } else { Commit::default() };
        joined(&Commit { evidence: vec![evidence(b"m", n), evidence(b"m", n)], ..Commit::default() }, &taken)
    };
    let outcomes = race(&*factory, &archive, append).await;
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    same("the commits that were stored", &stored, &25)?;
    let found = archive.evidence(b"m").await?;
    holds("places have no gaps", found.iter().zip(0..).all(|(item, place)| item.index == place))?;
    holds("what was committed together stands together", found.chunks(2).all(|pair| pair[0].item == pair[1].item))?;
    same("the pieces of evidence", &found.len(), &50)
}

async fn reopening_keeps_everything(factory: Arc<dyn Factory>) -> Checked {
    let archive = factory.fresh().await;
    for n in 0..50 {
        archive.commit(full(&[b'm', n], 0, n)).await?;
    }
    archive.commit(Commit { sent: vec![digest(7)], ..put(&[b'm', 7], 1, b"again") }).await?;
    archive.outbox_postpone(&digest(8), at(99)).await?;
    let keys: Vec<_> = (0..50).map(|n| vec![b'm', n]).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let before = Content::of(&*archive, &keys).await?;
    let archive = factory.reopen(archive).await;
    same("the content", &Content::of(&*archive, &keys).await?, &before)?;
    same(
        "the same input again",
        &archive.commit(consume(&[b'm', 3], 3)).await,
        &Err(CommitError::Doubled { input: digest(3) }),
    )?;
    same("the next version", &archive.commit(put(&[b'm', 7], 2, b"more")).await, &Ok(()))
}

/// What the kit can see of an archive whose names are those of [`full`].
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    states: Vec<StoredState>,
    outbox: Vec<Outgoing>,
    timers: Vec<SetTimer>,
    next_due: Option<Time>,
    /// One list for each machine that was asked for.
    evidence: Vec<Vec<Evidence>>,
    facts: Vec<Fact>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Content {
    async fn of(archive: &dyn Archive, machines: &[&[u8]]) -> Result<Self, ReadError> {
        let mut evidence = Vec::new();
        for key in machines {
            evidence.push(archive.evidence(key).await?);
        }
        // Machines without evidence at the end are left out, so that an archive can be compared with what one machine committed.
        while evidence.last().is_some_and(Vec::is_empty) {
            evidence.pop();
        }
        Ok(Self {
            states: archive.states(b"", None, usize::MAX).await?,
            outbox: archive.outbox_due(Time::MAX, usize::MAX).await?,
            timers: archive.timers_due(Time::MAX, usize::MAX).await?,
            next_due: archive.next_due().await?,
            evidence,
            facts: archive.facts("verdict", None, usize::MAX).await?,
            records: archive.records("contact", None, usize::MAX).await?,
        })
    }

    /// What is there after one commit of [`full`] to an empty archive.
    fn after(commit: &Commit) -> Self {
        let next_due = commit.outbox.iter().map(|m| m.due).chain(commit.timers.iter().map(|t| t.due)).min();
        let evidence = commit.evidence.iter().cloned().zip(0..).map(|(item, index)| Evidence { index, item }).collect();
        let records = commit.records.iter().filter_map(|(_, key, value)| Some((key.clone(), value.clone()?)));
        Self {
            states: commit.states.iter().map(|state| stored(&state.key, state.replaces + 1, &state.bytes)).collect(),
            outbox: commit.outbox.iter().cloned().map(|message| Outgoing { message, attempts: 0 }).collect(),
            timers: commit.timers.clone(),
            next_due,
            evidence: vec![evidence],
            facts: commit.facts.clone(),
            records: records.collect(),
        }
    }
}

/// A commit with one of everything, told apart by `n`.
fn full(key: &[u8], replaces: u64, n: u8) -> Commit {
    Commit {
        consumed: vec![Consumed { key: key.to_vec(), input: digest(n) }],
        outbox: vec![message(n, key, 100 + u64::from(n))],
        timers: vec![timer(key, "patience", 200 + u64::from(n))],
        evidence: vec![evidence(key, n.into())],
        facts: vec![fact("verdict", &[n], b"stands")],
        records: vec![("contact".to_owned(), vec![n], Some(b"Bob".to_vec()))],
        ..put(key, replaces, &[n])
    }
}

fn put(key: &[u8], replaces: u64, bytes: &[u8]) -> Commit {
    Commit { states: vec![PutState { key: key.to_vec(), replaces, bytes: bytes.to_vec() }], ..Commit::default() }
}

fn consume(key: &[u8], n: u8) -> Commit {
    Commit { consumed: vec![Consumed { key: key.to_vec(), input: digest(n) }], ..Commit::default() }
}

fn facts(facts: &[&Fact]) -> Commit {
    Commit { facts: facts.iter().copied().cloned().collect(), ..Commit::default() }
}

fn fact(space: &str, key: &[u8], value: &[u8]) -> Fact {
    Fact { space: space.to_owned(), key: key.to_vec(), value: value.to_vec() }
}

fn records(entries: &[RecordEntry<'_>]) -> Commit {
    let owned = |(space, key, value): &RecordEntry<'_>| ((*space).to_owned(), key.to_vec(), value.map(<[u8]>::to_vec));
    Commit { records: entries.iter().map(owned).collect(), ..Commit::default() }
}

fn message(n: u8, key: &[u8], due: u64) -> NewOutgoing {
    NewOutgoing { id: digest(n), key: key.to_vec(), destination: b"Bob".to_vec(), bytes: vec![n; 3], due: at(due) }
}

fn timer(key: &[u8], name: &str, due: u64) -> SetTimer {
    SetTimer { key: key.to_vec(), name: name.to_owned(), due: at(due) }
}

fn evidence(key: &[u8], n: u64) -> NewEvidence {
    NewEvidence { key: key.to_vec(), kind: "statement".to_owned(), bytes: n.to_be_bytes().to_vec(), time: at(n) }
}

fn stored(key: &[u8], version: u64, bytes: &[u8]) -> StoredState {
    StoredState { key: key.to_vec(), version, bytes: bytes.to_vec() }
}

fn digest(n: u8) -> OutgoingId {
    Digest::from_array([n; 32])
}

fn at(seconds: u64) -> Time {
    Time::from_unix(seconds)
}

/// Both commits as one.
fn joined(first: &Commit, second: &Commit) -> Commit {
    Commit {
        states: [first.states.clone(), second.states.clone()].concat(),
        consumed: [first.consumed.clone(), second.consumed.clone()].concat(),
        outbox: [first.outbox.clone(), second.outbox.clone()].concat(),
        sent: [first.sent.clone(), second.sent.clone()].concat(),
        timers: [first.timers.clone(), second.timers.clone()].concat(),
        timers_done: [first.timers_done.clone(), second.timers_done.clone()].concat(),
        evidence: [first.evidence.clone(), second.evidence.clone()].concat(),
        facts: [first.facts.clone(), second.facts.clone()].concat(),
        records: [first.records.clone(), second.records.clone()].concat(),
    }
}

/// The messages that are due, by the number they were made from, with their attempts.
async fn due(archive: &dyn Archive, now: u64, limit: usize) -> Result<Vec<(u8, u32)>, ReadError> {
    let found = archive.outbox_due(at(now), limit).await?;
    Ok(found.iter().map(|waiting| (waiting.message.id.as_bytes()[0], waiting.attempts)).collect())
}

async fn race(factory: &dyn Factory, archive: &Arc<dyn Archive>, commit: impl Fn(u64) -> Commit) -> Vec<Outcome> {
    let task = |n| -> Boxed<Outcome> {
        let (archive, commit) = (archive.clone(), commit(n));
        Box::pin(async move { archive.commit(commit).await })
    };
    factory.together((0..RACERS).map(task).collect()).await
}

/// The number of the one racer that won.
fn only_winner(outcomes: &[Outcome]) -> Result<u64, Broken> {
    let winners: Vec<u64> = (0..).zip(outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(n, _)| n).collect();
    match winners[..] {
        [winner] if outcomes.len() as u64 == RACERS => Ok(winner),
        _ => Err(Broken(format!("of {} racers, these won: {winners:?}", outcomes.len()))),
    }
}

fn same<T: PartialEq + Debug>(what: &str, found: &T, expected: &T) -> Checked {
    if found == expected {
        return Ok(());
    }
    // Values may be megabytes; the beginning tells enough.
    let short = |value: &T| format!("{value:?}").chars().take(400).collect::<String>();
    Err(Broken(format!("{what}: found {}, expected {}", short(found), short(expected))))
}

fn holds(what: &str, truth: bool) -> Checked {
    if truth { Ok(()) } else { Err(Broken(format!("not true: {what}"))) }
}

impl From<CommitError> for Broken {
    fn from(error: CommitError) -> Self {
        Self(format!("a good commit was refused: {error}"))
    }
}

impl From<ReadError> for Broken {
    fn from(error: ReadError) -> Self {
        Self(error.to_string())
    }
}
