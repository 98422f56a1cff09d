//! What a durable commit costs, as ratios to the same rows written by plain SQL.
//!
//! `cargo bench -p semper-store`. Each commit has a state, an input, a message, a timer, a piece of evidence, a fact and a record, of 300
//! bytes where they have bytes. "raw" is one connection with the same settings that runs one prepared INSERT for each of the same rows
//! in one transaction a commit: no versions, no refusals, no sums. The ratios are printed at the end, from all iterations of the run.
#![allow(missing_docs, reason = "criterion_group makes undocumented items")]
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use semper_store::SqliteArchive;
use semper_support::archive::{Archive, Commit};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::runtime::Runtime;

const PADDING: usize = 300;
const WRITERS: u64 = 64;

/// Every commit of a run has a number of its own, whatever criterion measures.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Time and number of commits by name.
static TOTALS: Mutex<BTreeMap<&str, (Duration, u64)>> = Mutex::new(BTreeMap::new());

fn store(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let root = tempfile::tempdir().unwrap();
    let archive = Arc::new(runtime.block_on(SqliteArchive::open(root.path().join("archive"))).unwrap());
    let raw_dir = root.path().join("raw");
    let mut raw = runtime.block_on(open_raw(&raw_dir));

    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(1));
    group.bench_function("raw, one writer", |bencher| {
        bencher.iter_custom(|commits| {
            timed("raw, one writer", commits, || runtime.block_on(write_raw(&mut raw, commits)))
        });
    });
    group.bench_function("archive, one writer", |bencher| {
        bencher.iter_custom(|commits| timed("archive, one writer", commits, || write(&runtime, &archive, commits, 1)));
    });
    group.bench_function("archive, 64 writers", |bencher| {
        bencher.iter_custom(|commits| {
            timed("archive, 64 writers", commits, || write(&runtime, &archive, commits, WRITERS))
        });
    });
    group.finish();
    print_ratios();
    runtime.block_on(archive.close()).unwrap();
}

fn timed(name: &'static str, commits: u64, run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    let took = start.elapsed();
    let mut totals = TOTALS.lock().unwrap();
    let total = totals.entry(name).or_default();
    *total = (total.0 + took, total.1 + commits);
    took
}

/// Stores `commits` commits from `writers` tasks; each waits for its answer before it commits again.
fn write(runtime: &Runtime, archive: &Arc<SqliteArchive>, commits: u64, writers: u64) {
    let left = Arc::new(AtomicU64::new(commits));
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..writers.min(commits) {
            let (archive, left) = (archive.clone(), left.clone());
            tasks.spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    archive.commit(next_commit()).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
    });
}

fn next_commit() -> Commit {
    let mut commit = common::numbered(NEXT.fetch_add(1, Ordering::Relaxed), PADDING);
    commit.evidence.truncate(1);
    commit
}

/// A database with the archive's tables, opened as plainly as can be.
async fn open_raw(dir: &std::path::Path) -> SqliteConnection {
    SqliteArchive::open(dir).await.unwrap().close().await.unwrap();
    let options = SqliteConnectOptions::new().filename(dir.join("archive.db"));
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    options.disable_statement_logging().connect().await.unwrap()
}

async fn write_raw(connection: &mut SqliteConnection, commits: u64) {
    for _ in 0..commits {
        let commit = next_commit();
        let (state, input, message) = (&commit.states[0], commit.consumed[0].input, &commit.outbox[0]);
        let (evidence, key) = (&commit.evidence[0], &state.key);
        let due = i64::try_from(message.due.unix()).unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let queries = [
            sqlx::query("INSERT INTO states VALUES (?, 1, ?, 0)").bind(key).bind(&state.bytes),
            sqlx::query("INSERT INTO consumed VALUES (?, ?, 0)").bind(key).bind(input.as_bytes().as_slice()),
            sqlx::query("INSERT INTO outbox VALUES (?, ?, x'', ?, 0, ?, 0, ?)")
                .bind(message.id.as_bytes().as_slice())
                .bind(key)
                .bind(&message.bytes)
                .bind(due)
                .bind(due),
            sqlx::query("INSERT INTO timers VALUES (?, 'patience', ?, 0)").bind(key).bind(due),
            sqlx::query("INSERT INTO evidence VALUES (?, 0, 'statement', ?, ?, 0)")
                .bind(key)
                .bind(&evidence.bytes)
                .bind(due),
            sqlx::query("INSERT INTO facts VALUES ('run', ?, ?, 0)").bind(key).bind(&commit.facts[0].value),
            sqlx::query("INSERT INTO records VALUES ('deal', ?, ?, 0)").bind(key).bind(&commit.records[0].2),
        ];
        for query in queries {
            query.execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }
}

fn print_ratios() {
    let totals = TOTALS.lock().unwrap();
    for (name, (time, commits)) in totals.iter() {
        println!("{name}: {commits} commits, {:.0} a second", *commits as f64 / time.as_secs_f64());
    }
    let rate = |name| totals.get(name).map(|(time, commits)| *commits as f64 / time.as_secs_f64());
    let (raw, one, many) = (rate("raw, one writer"), rate("archive, one writer"), rate("archive, 64 writers"));
    if let (Some(raw), Some(one), Some(many)) = (raw, one, many) {
        println!(
            "one writer / raw {:.2}, 64 writers / raw {:.2}, 64 writers / one {:.2}",
            one / raw,
            many / raw,
            many / one
        );
    }
}

criterion_group!(benches, store);
criterion_main!(benches);
