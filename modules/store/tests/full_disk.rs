//! No room: a commit that does not fit leaves nothing, earlier ones stand, and work goes on when there is room.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use semper_store::{SqliteArchive, SqliteOptions};
use semper_support::archive::{Archive, CommitError};

const PADDING: usize = 4096;

/// Commits numbers from `first` on until one is refused; the refused one, and why.
async fn fill(archive: &SqliteArchive, first: u64) -> (u64, CommitError) {
    for n in first..first + 10_000 {
        if let Err(error) = archive.commit(common::numbered(n, PADDING)).await {
            return (n, error);
        }
    }
    panic!("it was never full");
}

/// Checks that exactly the numbers below `end` are in the archive.
async fn assert_holds_until(archive: &SqliteArchive, end: u64) {
    for n in 0..end {
        assert!(common::holds(archive, n, PADDING).await, "{n} was acknowledged and is lost");
    }
    assert!(!common::holds(archive, end, PADDING).await, "{end} was refused and is there");
    assert_eq!(archive.integrity_check().await.unwrap(), Vec::<String>::new());
}

// SQLite may end a transaction by itself when it is full: then the next commit would run without one.
#[tokio::test]
async fn beyond_its_largest_size_an_archive_refuses_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let small = SqliteOptions { bytes_max: Some(400 * 1024) };
    let archive = SqliteArchive::open_with(dir.path(), small).await.unwrap();
    let (refused, error) = fill(&archive, 0).await;
    assert!(matches!(&error, CommitError::Storage(why) if why.contains("full")), "{error}");
    assert!(refused > 5);
    assert_holds_until(&archive, refused).await;
    for _ in 0..3 {
        assert!(matches!(archive.commit(common::numbered(refused, PADDING)).await, Err(CommitError::Storage(_))));
    }
    archive.close().await.unwrap();

    let archive = SqliteArchive::open(dir.path()).await.unwrap();
    assert_holds_until(&archive, refused).await;
    archive.commit(common::numbered(refused, PADDING)).await.unwrap();
    assert_holds_until(&archive, refused + 1).await;
}

// One commit that does not fit must not spoil those that wait in the same group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_does_not_fit_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let small = SqliteOptions { bytes_max: Some(2 * 1024 * 1024) };
    let archive = Arc::new(SqliteArchive::open_with(dir.path(), small).await.unwrap());
    let commit = |n: u64| {
        let archive = archive.clone();
        let padding = if n.is_multiple_of(4) { 1024 * 1024 } else { 10 };
        async move { archive.commit(common::numbered(n, padding)).await }
    };
    let mut tasks = Vec::new();
    for n in 0..32 {
        tasks.push(tokio::spawn(commit(n)));
    }
    for (n, task) in (0..).zip(tasks) {
        let outcome = task.await.unwrap();
        let fits = n % 4 != 0;
        assert_eq!(outcome.is_ok(), fits, "{n}: {outcome:?}");
        assert_eq!(common::holds(&*archive, n, if fits { 10 } else { 1024 * 1024 }).await, fits);
    }
}

// A real disk refuses elsewhere than a page limit does: at COMMIT, when the log is written.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_refuses_and_works_again_when_there_is_room() {
    let root = tempfile::tempdir().unwrap();
    let child = common::child("fills_the_disk", root.path());
    // A file system of 6 MiB that only the child sees; needs root or user namespaces.
    let mount = r#"mount -t tmpfs -o size=6m tmpfs "$SEMPER_STORE_TEST_DIR" || exit 77; exec "$@""#;
    let output = std::process::Command::new("unshare")
        .args(["-Urm", "sh", "-c", mount, "sh"])
        .arg(child.get_program())
        .args(child.get_args())
        .envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output();
    match output {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("it was full"));
        }
        Ok(output) if output.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        refused => println!("NOT RUN: this system lets no test mount a small file system: {refused:?}"),
    }
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn fills_the_disk() {
    let dir = common::child_dir();
    let (filler, reserve) = (dir.join("filler"), dir.join("reserve"));
    std::fs::write(&filler, vec![1; 1024 * 1024]).unwrap();
    std::fs::write(&reserve, vec![1; 3 * 1024 * 1024]).unwrap();
    let archive = SqliteArchive::open(dir.join("archive")).await.unwrap();
    let (refused, error) = fill(&archive, 0).await;
    assert!(matches!(&error, CommitError::Storage(why) if why.contains("full")), "{error}");
    assert!(refused > 5);
    assert!(matches!(archive.commit(common::numbered(refused, PADDING)).await, Err(CommitError::Storage(_))));
    assert_holds_until(&archive, refused).await;
    std::fs::remove_file(filler).unwrap();
    let (next, _) = fill(&archive, refused).await;
    assert!(next > refused, "there was room again, and it was not used");
    assert_holds_until(&archive, next).await;
    std::fs::remove_file(reserve).unwrap();
    archive.close().await.unwrap();
    let archive = SqliteArchive::open(dir.join("archive")).await.unwrap();
    assert_holds_until(&archive, next).await;
    common::say(format_args!("it was full at {refused} and at {next}"));
}

// When the disk fails in the middle of a COMMIT, nobody knows what a crash would leave: the archive must say so and stop, because
// what it still shows may be undone by the next opening.
#[cfg(unix)]
#[tokio::test]
async fn an_unknown_outcome_is_called_unknown_and_stops_the_archive() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("archive");
    let child = common::child("meets_a_failing_disk", &dir);
    // Writes beyond the largest file size fail with EFBIG instead of a signal.
    let output = std::process::Command::new("sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 4096; exec "$@""#, "sh"])
        .arg(child.get_program())
        .args(child.get_args())
        .envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let unknown: u64 = said.lines().find_map(|line| line.strip_prefix("unknown ")).unwrap().parse().unwrap();

    let archive = SqliteArchive::open(&dir).await.unwrap();
    for n in 0..unknown {
        assert!(common::holds(&archive, n, PADDING).await, "{n} was acknowledged and is lost");
    }
    if !common::holds(&archive, unknown, PADDING).await {
        archive.commit(common::numbered(unknown, PADDING)).await.unwrap();
    }
    assert_holds_until(&archive, unknown + 1).await;
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn meets_a_failing_disk() {
    let archive = SqliteArchive::open(common::child_dir()).await.unwrap();
    let (unknown, error) = fill(&archive, 0).await;
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    assert!(unknown > 5);
    assert!(matches!(archive.commit(common::numbered(unknown, 0)).await, Err(CommitError::Storage(_))));
    archive.state(b"m").await.expect_err("reads of a stopped archive");
    archive.integrity_check().await.expect_err("the check of a stopped archive");
    common::say(format_args!("unknown {unknown}"));
}
