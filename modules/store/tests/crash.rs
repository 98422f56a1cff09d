//! A process dies at any moment: what it acknowledged is there, and nothing is there by half.
//!
//! Killing a process does not empty the system's caches, so this cannot see a missing sync; `torn_log.rs` cuts the log instead.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semper_store::SqliteArchive;
use semper_support::archive::Archive;

const ROUNDS: u64 = 20;
/// Tasks that commit at the same time, so that groups have several commits.
const COMMITTERS: u64 = 4;
const NUMBERS_PER_ROUND: u64 = 1_000_000;
const PADDING: usize = 300;

// If a commit were answered before it is stored, or stored in parts, then after some kill an acknowledged number would be missing or
// a number would have a state but no evidence.
#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("archive");
    let mut acknowledged = Vec::new();
    let mut unacknowledged = 0;
    for round in 0..ROUNDS {
        let first = round * NUMBERS_PER_ROUND;
        let mut child = common::child("commits_until_killed", &dir);
        let mut child = child.env("FIRST", first.to_string()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let new = kill_after(&mut child, lines, random.random_range(1..120), random.random_range(0..3000));
        let last = *new.iter().max().unwrap();
        acknowledged.extend(new);

        let archive = SqliteArchive::open(&dir).await.unwrap();
        for n in &acknowledged {
            assert!(
                common::holds(&archive, *n, PADDING).await,
                "seed {seed}, round {round}: {n} was acknowledged and is lost"
            );
        }
        // Beyond the last acknowledged number each committer may have had one commit on the way.
        for n in first..=last + 2 * COMMITTERS {
            if common::holds(&archive, n, PADDING).await && !acknowledged.contains(&n) {
                unacknowledged += 1;
                acknowledged.push(n);
            }
        }
        let states = archive.states(b"", None, usize::MAX).await.unwrap();
        assert_eq!(states.len(), acknowledged.len(), "there are states that nobody committed");
        assert_eq!(archive.integrity_check().await.unwrap(), Vec::<String>::new());
        archive.close().await.unwrap();
    }
    println!(
        "{} acknowledged, {unacknowledged} stored but not acknowledged",
        acknowledged.len() as u64 - unacknowledged
    );
}

/// Reads what the child acknowledges, kills it after `lines` lines and a moment more, and returns every number it acknowledged.
fn kill_after(child: &mut Child, output: BufReader<ChildStdout>, lines: usize, spins: u32) -> Vec<u64> {
    let mut numbers = Vec::new();
    for line in output.lines() {
        if let Some(number) = line.unwrap().strip_prefix("stored ") {
            numbers.push(number.parse().unwrap());
        }
        if numbers.len() == lines {
            // So that the kill does not always meet the child right after an answer.
            (0..spins).for_each(|_| std::hint::spin_loop());
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "the child ended by itself");
    assert!(numbers.len() >= lines);
    numbers
}

#[test]
#[ignore = "run by the test above"]
fn commits_until_killed() {
    let first: u64 = std::env::var("FIRST").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let archive = Arc::new(SqliteArchive::open(common::child_dir()).await.unwrap());
        let mut committers = tokio::task::JoinSet::new();
        for committer in 0..COMMITTERS {
            let archive = archive.clone();
            committers.spawn(async move {
                for n in (first..first + NUMBERS_PER_ROUND).filter(|n| n % COMMITTERS == committer) {
                    archive.commit(common::numbered(n, PADDING)).await.unwrap();
                    common::say(format_args!("stored {n}"));
                }
            });
        }
        committers.join_all().await;
    });
}
