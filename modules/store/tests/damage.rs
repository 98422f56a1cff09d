//! Files that were cut or changed: never half a commit, never a wrong value, never a panic.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semper_core::time::Time;
use semper_store::SqliteArchive;
use semper_support::archive::{Archive, ReadError};

const COMMITS: u64 = 30;
const PADDING: usize = 200;

/// An archive in a new directory with the given files.
fn put_files(root: &Path, name: &str, database: &[u8], log: &[u8]) -> std::path::PathBuf {
    let dir = root.join(name);
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("archive.db"), database).unwrap();
    fs::write(dir.join("archive.db-wal"), log).unwrap();
    dir
}

/// How many of the commits are there; they must be the first ones.
async fn prefix_of(dir: &Path) -> u64 {
    let archive = SqliteArchive::open(dir).await.unwrap();
    let mut count = 0;
    for n in 0..COMMITS {
        if common::holds(&archive, n, PADDING).await {
            assert_eq!(count, n, "commit {n} is there, but not the one before it");
            count += 1;
        }
    }
    assert_eq!(archive.integrity_check().await.unwrap(), Vec::<String>::new());
    archive.commit(common::numbered(COMMITS + 1, PADDING)).await.unwrap();
    archive.close().await.unwrap();
    count
}

// After a power cut the log ends anywhere, and its end may be garbage. What is left must be the beginning of what was committed, each
// commit whole. (What was synced is not cut by a power cut; that acknowledged commits were synced is not visible here.)
#[tokio::test]
async fn a_torn_log_leaves_the_first_commits_whole() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("source");
    let archive = SqliteArchive::open(&source).await.unwrap();
    for n in 0..COMMITS {
        archive.commit(common::numbered(n, PADDING)).await.unwrap();
    }
    let database = fs::read(source.join("archive.db")).unwrap();
    let log = fs::read(source.join("archive.db-wal")).unwrap();
    archive.close().await.unwrap();

    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (header, frame) = (32, 24 + 1024);
    let ends = (0..).map(|n| header + n * frame).take_while(|end| *end <= log.len()).step_by(13);
    let mut cuts: Vec<usize> = ends.flat_map(|end| [end - 1, end, end + 1]).chain([0, log.len()]).collect();
    cuts.extend((0..40).map(|_| random.random_range(0..log.len())));
    cuts.retain(|cut| *cut <= log.len());
    cuts.sort_unstable();
    let mut found = Vec::new();
    for (n, cut) in cuts.into_iter().enumerate() {
        let dir = put_files(root.path(), &format!("cut-{n}"), &database, &log[..cut]);
        let count = prefix_of(&dir).await;
        // The same end, but overwritten with garbage instead of cut off.
        let mut garbage = log.clone();
        random.fill(&mut garbage[cut..]);
        let torn = put_files(root.path(), &format!("torn-{n}"), &database, &garbage);
        assert_eq!(prefix_of(&torn).await, count, "cut at {cut}");
        found.push(count);
        fs::remove_dir_all(dir).unwrap();
        fs::remove_dir_all(torn).unwrap();
    }
    assert!(found.is_sorted(), "a longer log must not hold fewer commits");
    assert_eq!((found.first(), found.last()), (Some(&0), Some(&COMMITS)));
    found.dedup();
    assert!(found.len() > 10, "the cuts met too few commits: {found:?}");
}

/// Everything in the archive as text.
async fn content(archive: &SqliteArchive) -> Result<String, ReadError> {
    let mut evidence = Vec::new();
    let mut consumed = Vec::new();
    for n in 0..COMMITS {
        let commit = common::numbered(n, PADDING);
        evidence.push(archive.evidence(&n.to_be_bytes()).await?);
        consumed.push(archive.is_consumed(&commit.consumed[0].key, &commit.consumed[0].input).await?);
    }
    let states = archive.states(b"", None, usize::MAX).await?;
    let outbox = archive.outbox_due(Time::MAX, usize::MAX).await?;
    let timers = archive.timers_due(Time::MAX, usize::MAX).await?;
    let facts = archive.facts("run", None, usize::MAX).await?;
    let records = archive.records("deal", None, usize::MAX).await?;
    Ok(format!("{states:?}{outbox:?}{timers:?}{evidence:?}{consumed:?}{facts:?}{records:?}"))
}

/// What became of a byte that was changed.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Refused,
    Reported,
    Harmless,
}

async fn fate(dir: &Path, original: &str) -> Fate {
    let Ok(archive) = SqliteArchive::open(dir).await else { return Fate::Refused };
    let sound = archive.integrity_check().await.is_ok_and(|problems| problems.is_empty());
    let read = content(&archive).await;
    if sound {
        assert_eq!(read.as_deref(), Ok(original), "the check finds nothing, but the content is another");
    }
    // Whatever it answers, it answers.
    let _ = archive.commit(common::numbered(COMMITS + 1, PADDING)).await;
    let _ = archive.close().await;
    if sound { Fate::Harmless } else { Fate::Reported }
}

// Disks flip bits. A changed value that is read as if it were stored would be signed, sent or paid.
#[tokio::test]
async fn a_changed_byte_is_refused_or_reported_or_harmless() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("source");
    let archive = SqliteArchive::open(&source).await.unwrap();
    for n in 0..COMMITS {
        archive.commit(common::numbered(n, PADDING)).await.unwrap();
    }
    let original = content(&archive).await.unwrap();
    archive.close().await.unwrap();
    let database = fs::read(source.join("archive.db")).unwrap();

    let mut random = ChaCha8Rng::seed_from_u64(11);
    let anywhere: Vec<usize> = (0..300).map(|_| random.random_range(100..database.len())).collect();
    let mut fates = Vec::new();
    for (n, at) in (0..100).chain(anywhere).enumerate() {
        let mut changed = database.clone();
        changed[at] ^= 1 << random.random_range(0..8);
        let dir = put_files(root.path(), &n.to_string(), &changed, &[]);
        fates.push(fate(&dir, &original).await);
        fs::remove_dir_all(dir).unwrap();
    }
    let count = |fate| fates.iter().filter(|found| **found == fate).count();
    println!(
        "refused {}, reported {}, harmless {}",
        count(Fate::Refused),
        count(Fate::Reported),
        count(Fate::Harmless)
    );
    assert!(count(Fate::Refused) > 10 && count(Fate::Reported) > 50 && count(Fate::Harmless) > 10);
}
