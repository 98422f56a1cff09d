//! What could go wrong: something in the log is changed and nobody notices; a power failure makes the log unusable, or loses what was
//! answered already.
#![allow(clippy::unwrap_used)]

use std::fs;

use semper_core::cose::Draft;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId};
use semper_core::party::Suite;
use tempfile::TempDir;

use super::*;
use crate::sheet::Sheet;

const KEY: [u8; 32] = [7; 32];

fn draft(byte: u8) -> Draft {
    let signer = KeySetId::from_digest(Digest::from_array([1; 32]));
    Draft { kind: Kind::Promise, suite: Suite::Ed25519, signer, payload: vec![byte] }
}

fn question(byte: u8, text: &str) -> Decision {
    let approval = Approval {
        deal: DealId::from_array([byte; 16]),
        draft: draft(byte),
        title: "Sign this?".to_owned(),
        text: text.to_owned(),
        since: Time::from_unix(1),
        approves: None,
        uncovered: String::new(),
        sheet: Sheet::of_draft(&draft(byte)),
    };
    Decision { event: Event::of(What::Asked, &draft(byte)), facts: Vec::new(), question: Some(approval) }
}

fn answer(byte: u8, len: usize) -> Decision {
    let fact = Fact { space: "answer".to_owned(), key: vec![byte], value: vec![byte; len] };
    Decision { event: Event::of(What::Approved, &draft(byte)), facts: vec![fact], question: None }
}

async fn value(log: &Log, byte: u8) -> Option<usize> {
    Decisions::fact(log, "answer", &[byte]).await.unwrap().map(|value| value.len())
}

/// A log with three entries: two questions, one of them answered.
async fn three(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("log");
    let log = Log::open(&path, &KEY).unwrap();
    log.decide(question(1, "one")).await.unwrap();
    log.decide(question(2, "two")).await.unwrap();
    log.decide(answer(1, 5000)).await.unwrap();
    path
}

fn is_refused(path: &Path) -> bool {
    let refused = Log::open(path, &KEY);
    if let Err(LogError::Damaged { .. }) = &refused {
        assert!(refused.unwrap_err().to_string().contains("was changed or damaged"));
        return true;
    }
    false
}

#[tokio::test]
async fn what_was_decided_is_there_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = three(&dir).await;
    for entries in 3..6 {
        let log = Log::open(&path, &KEY).unwrap();
        assert_eq!(log.len(), entries);
        assert_eq!(value(&log, 1).await, Some(5000));
        assert!(log.waiting(draft(1).id()).await.unwrap().is_none(), "it was answered");
        assert_eq!(log.waiting(draft(2).id()).await.unwrap().unwrap().text, "two");
        assert_eq!(log.all_waiting(9).await.unwrap().len(), 1);
        let history = log.history(1, 9).unwrap();
        assert_eq!(history.iter().map(|entry| entry.number).collect::<Vec<_>>(), (1..entries).collect::<Vec<_>>());
        assert_eq!(history[1].decision.event, Event::of(What::Approved, &draft(1)));
        // The next round finds a log that was written on after a start.
        log.decide(answer(u8::try_from(entries).unwrap(), 1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_fact_stands_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(&three(&dir).await, &KEY).unwrap();
    let again = log.decide(answer(1, 4)).await.unwrap_err();
    assert!(matches!(again, CommitError::Taken { stands } if stands.value.len() == 5000));
    assert_eq!(log.len(), 3, "nothing of it is kept");
}

// Text is kept in one of its Unicode forms. If what is remembered were another than what is read after a start, the hash that a user names
// would fit no more.
#[tokio::test]
async fn what_is_remembered_is_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = Log::open(&path, &KEY).unwrap();
    log.decide(question(1, "a\u{308}")).await.unwrap();
    let before = log.all_waiting(1).await.unwrap()[0].text_hash();
    drop(log);
    assert_eq!(Log::open(&path, &KEY).unwrap().all_waiting(1).await.unwrap()[0].text_hash(), before);
}

#[tokio::test]
async fn a_log_with_a_changed_byte_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = three(&dir).await;
    let good = fs::read(&path).unwrap();
    // The heads are looked at below: one of them may be damaged.
    let entries = usize::try_from(FIRST).unwrap()..good.len();
    let mut tried = 0;
    for place in entries.step_by(37).chain([good.len() - 1]) {
        let mut changed = good.clone();
        changed[place] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert!(is_refused(&path), "byte {place}");
        assert_eq!(fs::read(&path).unwrap(), changed, "nothing is lost of what is damaged");
        tried += 1;
    }
    assert!(tried > 100);
    fs::write(&path, &good).unwrap();
    assert!(Log::open(&path, &KEY).is_ok());
}

#[tokio::test]
async fn a_log_without_its_last_entry_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = three(&dir).await;
    let good = fs::read(&path).unwrap();
    for len in (usize::try_from(FIRST).unwrap()..good.len()).step_by(501) {
        fs::write(&path, &good[..len]).unwrap();
        assert!(is_refused(&path), "{len}");
    }
}

#[tokio::test]
async fn entries_that_change_places_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let log = Log::open(&path, &KEY).unwrap();
    for byte in 1..=3 {
        log.decide(answer(byte, 8)).await.unwrap();
    }
    let places = log.inner().places.clone();
    drop(log);
    let good = fs::read(&path).unwrap();
    let place = |n: usize| usize::try_from(places[n]).unwrap();
    let swapped = [&good[..place(0)], &good[place(1)..place(2)], &good[place(0)..place(1)], &good[place(2)..]].concat();
    assert_eq!(swapped.len(), good.len());
    fs::write(&path, swapped).unwrap();
    assert!(is_refused(&path));
}

// A power failure while an entry or a head is written. Nobody has heard of that entry: it may be there or not, and the log is good.
#[tokio::test]
async fn a_power_failure_loses_nothing_that_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = three(&dir).await;
    let before = fs::read(&path).unwrap();
    Log::open(&path, &KEY).unwrap().decide(answer(3, 100)).await.unwrap();
    let after = fs::read(&path).unwrap();
    let first = usize::try_from(FIRST).unwrap();
    for written in before.len()..=after.len() {
        let torn = [&before[..first], &after[first..written]].concat();
        fs::write(&path, &torn).unwrap();
        let log = Log::open(&path, &KEY).unwrap();
        assert_eq!(value(&log, 1).await, Some(5000));
        assert_eq!(value(&log, 3).await.is_some(), written == after.len(), "{written}");
        drop(log);
        assert_eq!(fs::read(&path).unwrap().len(), if written == after.len() { written } else { before.len() });
    }
    // The length of the file is stored before its bytes.
    fs::write(&path, [before.as_slice(), &vec![0; after.len() - before.len()]].concat()).unwrap();
    assert_eq!(Log::open(&path, &KEY).unwrap().len(), 3);
    // The head is written halfway: the other one is good, and the entry is there.
    let changed = (0..first).find(|place| before[*place] != after[*place]).unwrap();
    for written in changed..(changed / HEAD_LEN + 1) * HEAD_LEN {
        let torn = [&after[..written], &before[written..first], &after[first..]].concat();
        fs::write(&path, &torn).unwrap();
        let log = Log::open(&path, &KEY).unwrap();
        assert_eq!((log.len(), value(&log, 3).await), (4, Some(100)), "{written}");
    }
}

#[tokio::test]
async fn a_log_of_other_keys_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = three(&dir).await;
    assert!(matches!(Log::open(&path, &[8; 32]), Err(LogError::Damaged { .. })));
    fs::write(&path, b"").unwrap();
    assert!(is_refused(&path), "an empty file is no log that was just made");
}

// What was over would otherwise begin again: a mandate whose end the vault has seen.
#[tokio::test]
async fn time_does_not_go_back_when_the_clock_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = three(&dir).await;
    let log = Log::open(&path, &KEY).unwrap();
    let (before, future) = (log.now(), now().after(semper_core::time::Seconds(1_000_000)));
    assert!(before < future);
    log.write(answer(7, 1), future).unwrap();
    // The clock is back where it was; entries say what it says.
    log.decide(answer(8, 1)).await.unwrap();
    assert!(log.now() == future && log.history(4, 1).unwrap()[0].time < future);
    drop(log);
    assert_eq!(Log::open(&path, &KEY).unwrap().now(), future);
}

#[tokio::test]
async fn facts_of_a_space_come_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(&dir.path().join("log"), &KEY).unwrap();
    for byte in [3, 1, 2] {
        log.decide(answer(byte, usize::from(byte) * 200)).await.unwrap();
    }
    let keys = async |after: Option<&[u8]>, limit| {
        let facts = Decisions::facts(&log, "answer", after, limit).await.unwrap();
        facts.iter().map(|fact| (fact.key[0], fact.value.len())).collect::<Vec<_>>()
    };
    assert_eq!(keys(None, 9).await, [(1, 200), (2, 400), (3, 600)]);
    assert_eq!(keys(Some(&[1]), 1).await, [(2, 400)]);
    assert_eq!(keys(Some(&[0, 9]), 9).await.len(), 3);
    assert!(keys(Some(&[3]), 9).await.is_empty() && Decisions::facts(&log, "answe", None, 9).await.unwrap().is_empty());
}

// A backup is made while the vault writes: the copy must open, whatever comes in meanwhile, and be of one moment.
#[tokio::test]
async fn a_copy_made_while_entries_come_opens() {
    use std::io::Read as _;

    let dir = tempfile::tempdir().unwrap();
    let path = three(&dir).await;
    let log = Log::open(&path, &KEY).unwrap();
    let mut copy = LogCopy::of(&path, &KEY).unwrap();
    log.decide(question(3, "three")).await.unwrap();
    log.decide(answer(3, 9000)).await.unwrap();
    let mut bytes = Vec::new();
    copy.read_to_end(&mut bytes).unwrap();
    assert_eq!((bytes.len() as u64, copy.entries(), copy.is_empty()), (copy.len(), 3, false));
    let other = dir.path().join("copy");
    fs::write(&other, &bytes).unwrap();
    let opened = Log::open(&other, &KEY).unwrap();
    assert_eq!((opened.len(), value(&opened, 1).await, value(&opened, 3).await), (3, Some(5000), None));
    // Its end is cut off: it is no log.
    fs::write(&other, &bytes[..bytes.len() - 1]).unwrap();
    assert!(is_refused(&other));
    assert!(LogCopy::of(&path, &[8; 32]).is_err(), "it belongs to other keys");
}
