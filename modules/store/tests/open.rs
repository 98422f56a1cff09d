//! Opening, closing and copying an archive: who may, and what is refused.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use semper_store::{OpenError, SqliteArchive};
use semper_support::archive::{Archive, CommitError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

/// Runs SQL on a database file, as another program would.
async fn run_sql(path: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

// Two writers on one directory would each believe to be the only one.
#[tokio::test]
async fn a_directory_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let archive = SqliteArchive::open(dir.path()).await.unwrap();
    let second = SqliteArchive::open(dir.path()).await.unwrap_err();
    assert!(matches!(second, OpenError::InUse { holder: Some(pid), .. } if pid == std::process::id()), "{second}");
    assert!(second.to_string().contains(&format!("in use by process {}", std::process::id())));
    archive.close().await.unwrap();
    archive.close().await.unwrap();
    let again = SqliteArchive::open(dir.path()).await.unwrap();
    again.commit(common::numbered(1, 0)).await.unwrap();
}

// An older program that writes into newer tables destroys what it does not know.
#[tokio::test]
async fn a_newer_archive_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive.db");
    SqliteArchive::open(dir.path()).await.unwrap().close().await.unwrap();
    run_sql(&path, "PRAGMA user_version = 77").await;
    let before = fs::read(&path).unwrap();
    let refused = SqliteArchive::open(dir.path()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 77, known: 3 }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
    run_sql(&path, "PRAGMA user_version = 3").await;
    SqliteArchive::open(dir.path()).await.unwrap();
}

// Tables from before the first release have another shape: to write into them would destroy them.
#[tokio::test]
async fn an_older_archive_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive.db");
    SqliteArchive::open(dir.path()).await.unwrap().close().await.unwrap();
    run_sql(&path, "PRAGMA user_version = 2").await;
    let before = fs::read(&path).unwrap();
    let refused = SqliteArchive::open(dir.path()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Older { found: 2, known: 3 }), "{refused}");
    assert!(refused.to_string().contains("before the first release"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_untouched() {
    for sql in ["CREATE TABLE t (x)", "PRAGMA application_id = 5", "PRAGMA user_version = 1"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("archive.db");
        run_sql(&path, sql).await;
        let before = fs::read(&path).unwrap();
        let refused = SqliteArchive::open(dir.path()).await.unwrap_err();
        assert!(matches!(refused, OpenError::Foreign), "{sql}: {refused}");
        assert_eq!(fs::read(&path).unwrap(), before, "{sql}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("archive.db"), "this is a letter, not a database ".repeat(100)).unwrap();
    let refused = SqliteArchive::open(dir.path()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Database(_)), "{refused}");
}

// States hold what a party is about to do and what it paid: other users of the machine must not read them.
#[cfg(unix)]
#[tokio::test]
async fn files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("deep/er");
    let archive = SqliteArchive::open(&dir).await.unwrap();
    archive.commit(common::numbered(1, 0)).await.unwrap();
    assert!(common::holds(&archive, 1, 0).await);
    archive.backup_to(dir.join("backup.db")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["archive.db", "archive.db-shm", "archive.db-wal", "backup.db", "lock"]);
}

// A backup that is taken while commits go on must be whole, and must open like any archive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_an_archive() {
    let root = tempfile::tempdir().unwrap();
    let archive = std::sync::Arc::new(SqliteArchive::open(root.path().join("archive")).await.unwrap());
    for n in 0..20 {
        archive.commit(common::numbered(n, 100)).await.unwrap();
    }
    let more = tokio::spawn({
        let archive = archive.clone();
        async move {
            for n in 20..60 {
                archive.commit(common::numbered(n, 100)).await.unwrap();
            }
        }
    });
    let restored = root.path().join("restored");
    fs::create_dir(&restored).unwrap();
    archive.backup_to(restored.join("archive.db")).await.unwrap();
    more.await.unwrap();
    let refused = archive.backup_to(restored.join("archive.db")).await;
    assert!(refused.is_err(), "a backup must not replace a file");
    assert_eq!(fs::read_dir(&restored).unwrap().count(), 1, "a refused backup leaves no file");

    let copy = SqliteArchive::open(&restored).await.unwrap();
    assert_eq!(copy.integrity_check().await.unwrap(), Vec::<String>::new());
    let mut held = 0;
    for n in 0..60 {
        let holds = common::holds(&copy, n, 100).await;
        assert!(!holds || held == n, "a later commit is in the backup, but not an earlier one");
        held += u64::from(holds);
    }
    assert!(held >= 20);
    copy.commit(common::numbered(100, 100)).await.unwrap();
}

// After closing, an answer could only be a guess.
#[tokio::test]
async fn a_closed_archive_refuses_everything() {
    let dir = tempfile::tempdir().unwrap();
    let archive = SqliteArchive::open(dir.path()).await.unwrap();
    archive.close().await.unwrap();
    assert!(matches!(archive.commit(common::numbered(1, 0)).await, Err(CommitError::Storage(_))));
    assert!(archive.state(b"m").await.is_err());
    assert!(archive.next_due().await.is_err());
    assert!(archive.integrity_check().await.is_err());
    assert!(archive.backup_to(dir.path().join("backup.db")).await.is_err());
}
