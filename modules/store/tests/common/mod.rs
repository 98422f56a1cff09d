//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used)]

use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_support::archive::{Archive, Commit, Consumed, Fact, NewEvidence, NewOutgoing, PutState, SetTimer};

/// One of everything, all told apart by `n`, so that a half commit shows. `padding` bytes are added to each value.
pub(crate) fn numbered(n: u64, padding: usize) -> Commit {
    let key = n.to_be_bytes().to_vec();
    let value = value(n, padding);
    let (kind, time) = ("statement".to_owned(), Time::from_unix(n));
    let evidence = NewEvidence { key: key.clone(), kind, bytes: value.clone(), time };
    Commit {
        states: vec![PutState { key: key.clone(), replaces: 0, bytes: value.clone() }],
        consumed: vec![Consumed { key: key.clone(), input: digest(n) }],
        outbox: vec![NewOutgoing {
            id: digest(n),
            key: key.clone(),
            destination: b"Bob".to_vec(),
            bytes: value.clone(),
            due: Time::from_unix(n),
        }],
        timers: vec![SetTimer { key: key.clone(), name: "patience".to_owned(), due: Time::from_unix(n) }],
        evidence: vec![evidence; pieces_of_evidence(n)],
        facts: vec![Fact { space: "run".to_owned(), key: key.clone(), value: value.clone() }],
        records: vec![("deal".to_owned(), key, Some(value))],
        ..Commit::default()
    }
}

/// Whether commit `n` of [`numbered`] is in the archive: all of it, or nothing.
///
/// # Panics
/// A part of it is there, or something else is in its place.
pub(crate) async fn holds(archive: &dyn Archive, n: u64, padding: usize) -> bool {
    let (key, commit) = (n.to_be_bytes(), numbered(n, padding));
    let value = value(n, padding);
    let state = archive.state(&key).await.unwrap();
    let fact = archive.fact("run", &key).await.unwrap();
    let record = archive.record("deal", &key).await.unwrap();
    let outbox = archive.outbox_of(&key).await.unwrap();
    let timers = archive.timers_of(&key).await.unwrap();
    let evidence = archive.evidence(&key).await.unwrap();
    let consumed = archive.is_consumed(&key, &digest(n)).await.unwrap();
    let parts = [
        state.is_some(),
        fact.is_some(),
        record.is_some(),
        !outbox.is_empty(),
        !timers.is_empty(),
        !evidence.is_empty(),
        consumed,
    ];
    if parts == [false; 7] {
        return false;
    }
    assert_eq!(parts, [true; 7], "commit {n} is there only in parts");
    assert_eq!((&state.unwrap().bytes, &fact.unwrap(), &record.unwrap()), (&value, &value, &value));
    assert_eq!(outbox[0].message, commit.outbox[0]);
    assert_eq!(timers, commit.timers);
    let evidence: Vec<_> = evidence.into_iter().map(|stored| stored.item).collect();
    assert_eq!(evidence, commit.evidence);
    true
}

/// Every third commit has more than goes to the database in one call.
fn pieces_of_evidence(n: u64) -> usize {
    if n % 3 == 2 { 20 } else { 1 }
}

fn value(n: u64, padding: usize) -> Vec<u8> {
    [n.to_be_bytes().as_slice(), &vec![n.to_le_bytes()[0]; padding]].concat()
}

fn digest(n: u64) -> Digest {
    let mut bytes = [0x5e; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Digest::from_array(bytes)
}

/// A process of this test binary that runs one of its ignored tests, to be killed or starved, with `dir` as its archive.
pub(crate) fn child(test: &str, dir: &std::path::Path) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]).env(CHILD_DIR, dir);
    command
}

/// The archive's directory, for the tests that [`child`] runs.
pub(crate) fn child_dir() -> std::path::PathBuf {
    std::env::var_os(CHILD_DIR).expect("this test is run by another one").into()
}

/// Says something to the parent process, at once and as a whole line.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let line = format!("{line}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

const CHILD_DIR: &str = "SEMPER_STORE_TEST_DIR";
