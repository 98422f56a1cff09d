//! What a durable commit costs, as ratios to the same rows written by plain SQL, and what a swap of a mint costs.
//!
//! `cargo bench -p semper-store`. Each commit has a state, an input, a message, a timer, a piece of evidence, a fact and a record, of 300
//! bytes where they have bytes. "raw" is one connection with the same settings that runs one prepared INSERT for each of the same rows
//! in one transaction a commit: no versions, no refusals, no sums. The ratios are printed at the end, from all iterations of the run.
//! PostgreSQL is left out where its programs are not installed.
//!
//! A swap is a commit of four facts with random keys of 40 bytes and values of 40 bytes, in two spaces. It is measured at 10^4 and at 10^6
//! stored facts: time, bytes that the process had written (`write_bytes` of /proc/self/io, which counts pages of 4 KiB), with everything
//! that is left over at closing. The directory is made in TMPDIR; on a file system in memory the figures mean nothing. `SWAPS=10000` leaves
//! out the rest, and what has more facts stored.
#![allow(missing_docs, reason = "criterion_group makes undocumented items")]
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
#[path = "../tests/common/postgres.rs"]
mod postgres;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group};
use rand::RngExt;
use semper_store::{PostgresArchive, PostgresOptions, SqliteArchive};
use semper_support::archive::{Archive, Commit, Fact};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};
use tokio::runtime::Runtime;

const PADDING: usize = 300;
const WRITERS: u64 = 64;

/// Every commit of a run has a number of its own, whatever criterion measures.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Time and number of commits by name.
static TOTALS: Mutex<BTreeMap<&str, (Duration, u64)>> = Mutex::new(BTreeMap::new());

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn sqlite(criterion: &mut Criterion) {
    let runtime = runtime();
    let root = tempfile::tempdir().unwrap();
    let archive = Arc::new(runtime.block_on(SqliteArchive::open(root.path().join("archive"))).unwrap());
    let mut raw = runtime.block_on(open_raw(&root.path().join("raw")));

    let names = ["SQLite, raw, one writer", "SQLite, archive, one writer", "SQLite, archive, 64 writers"];
    compare(criterion, &runtime, names, archive.clone(), |commits| runtime.block_on(write_raw(&mut raw, commits)));
    runtime.block_on(archive.close()).unwrap();
}

/// Raw, one writer, many writers.
fn compare(
    criterion: &mut Criterion,
    runtime: &Runtime,
    [raw, one, many]: [&'static str; 3],
    archive: Arc<dyn Archive>,
    mut write_raw: impl FnMut(u64),
) {
    let mut group = criterion.benchmark_group("commit");
    group.throughput(Throughput::Elements(1));
    group.bench_function(raw, |bencher| {
        bencher.iter_custom(|commits| timed(raw, commits, || write_raw(commits)));
    });
    for (name, writers) in [(one, 1), (many, WRITERS)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|commits| {
                timed(name, commits, || write(runtime, &archive, commits, writers, next_commit))
            });
        });
    }
    group.finish();
    let totals = TOTALS.lock().unwrap();
    let rate = |name| totals.get(name).map(|(time, commits)| *commits as f64 / time.as_secs_f64());
    if let (Some(raw), Some(one), Some(many)) = (rate(raw), rate(one), rate(many)) {
        println!("commits a second: raw {raw:.0}, one writer {one:.0}, 64 writers {many:.0}");
        let (one_raw, many_raw, many_one) = (one / raw, many / raw, many / one);
        println!("one writer / raw {one_raw:.2}, 64 writers / raw {many_raw:.2}, 64 writers / one {many_one:.2}");
    }
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
fn write(runtime: &Runtime, archive: &Arc<dyn Archive>, commits: u64, writers: u64, next: fn() -> Commit) {
    let left = Arc::new(AtomicU64::new(commits));
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..writers.min(commits) {
            let (archive, left) = (archive.clone(), left.clone());
            tasks.spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    archive.commit(next()).await.unwrap();
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
async fn open_raw(dir: &Path) -> SqliteConnection {
    SqliteArchive::open(dir).await.unwrap().close().await.unwrap();
    let options = SqliteConnectOptions::new().filename(dir.join("archive.db"));
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    options.disable_statement_logging().connect().await.unwrap()
}

/// The rows of a commit by one INSERT each, in one transaction.
macro_rules! write_raw {
    ($connection:expr, $commits:expr, $fact:literal) => {
        for _ in 0..$commits {
            let commit = next_commit();
            let (state, input, message) = (&commit.states[0], commit.consumed[0].input, &commit.outbox[0]);
            let (evidence, key) = (&commit.evidence[0], &state.key);
            let due = i64::try_from(message.due.unix()).unwrap();
            let mut transaction = $connection.begin().await.unwrap();
            let queries = [
                sqlx::query("INSERT INTO states VALUES ($1, 1, $2, 0)").bind(key).bind(&state.bytes),
                sqlx::query("INSERT INTO consumed VALUES ($1, $2, 0)").bind(key).bind(input.as_bytes().as_slice()),
                sqlx::query("INSERT INTO outbox VALUES ($1, $2, $3, $4, 0, $5, 0, $6)")
                    .bind(message.id.as_bytes().as_slice())
                    .bind(key)
                    .bind(&message.destination)
                    .bind(&message.bytes)
                    .bind(due)
                    .bind(due),
                sqlx::query("INSERT INTO timers VALUES ($1, 'patience', $2, 0)").bind(key).bind(due),
                sqlx::query("INSERT INTO evidence VALUES ($1, 0, 'statement', $2, $3, 0)")
                    .bind(key)
                    .bind(&evidence.bytes)
                    .bind(due),
                sqlx::query($fact).bind(key).bind(&commit.facts[0].value),
                sqlx::query("INSERT INTO records VALUES ('deal', $1, $2, 0)").bind(key).bind(&commit.records[0].2),
            ];
            for query in queries {
                query.execute(&mut *transaction).await.unwrap();
            }
            transaction.commit().await.unwrap();
        }
    };
}

async fn write_raw(connection: &mut SqliteConnection, commits: u64) {
    // The archive's tables need the space, which no commit of this connection adds.
    sqlx::query("INSERT INTO spaces (name) VALUES ('run') ON CONFLICT DO NOTHING")
        .execute(&mut *connection)
        .await
        .unwrap();
    write_raw!(connection, commits, "INSERT INTO facts_by_space SELECT id, $1, $2, 0 FROM spaces WHERE name = 'run'");
}

#[cfg(target_os = "linux")]
fn postgresql(criterion: &mut Criterion) {
    if !Path::new("/usr/lib/postgresql").exists() {
        return println!("PostgreSQL is left out: install the package postgresql-15");
    }
    let runtime = runtime();
    let server = postgres::Server::start();
    let open = async |schema| PostgresArchive::open(&server.url(schema), PostgresOptions::default()).await.unwrap();
    let archive = Arc::new(runtime.block_on(open("archive")));
    runtime.block_on(async { open("raw").await.close().await });
    let address = format!("postgres://postgres@127.0.0.1:{}/postgres?options[search_path]=raw", server.port);
    let mut raw: PgConnection = runtime.block_on(PgConnection::connect(&address)).unwrap();

    let names = ["PostgreSQL, raw, one writer", "PostgreSQL, archive, one writer", "PostgreSQL, archive, 64 writers"];
    let write_raw =
        |commits| runtime.block_on(async { write_raw!(raw, commits, "INSERT INTO facts VALUES ('run', $1, $2, 0)") });
    compare(criterion, &runtime, names, archive.clone(), write_raw);
    let archive: Arc<dyn Archive> = archive;
    for writers in [1, 8, WRITERS] {
        let swaps = if writers == 1 { 2_000 } else { 20_000 };
        let start = Instant::now();
        write(&runtime, &archive, swaps, writers, swap);
        println!("PostgreSQL, {writers} writers: {:.0} swaps a second", swaps as f64 / start.elapsed().as_secs_f64());
    }
}

/// What a mint writes when it takes two coins and signs two.
fn swap() -> Commit {
    facts(2)
}

fn facts(pairs: usize) -> Commit {
    let mut random = rand::rng();
    let mut fact = |space: &str| {
        let (key, value): ([u8; 40], [u8; 40]) = (random.random(), random.random());
        Fact { space: space.to_owned(), key: key.into(), value: value.into() }
    };
    let pair = |_| [fact("ecash-spent/00ad268c4d1f5826"), fact("ecash-signed/00ad268c4d1f5826")];
    Commit { facts: (0..pairs).flat_map(pair).collect(), ..Commit::default() }
}

/// What a swap costs in SQLite when this many facts are stored: the database doubles at most.
fn swaps_in_sqlite(stored: u64, swaps: u64, writers: u64) {
    let runtime = runtime();
    let root = tempfile::tempdir().unwrap();
    let open = || runtime.block_on(SqliteArchive::open(root.path())).unwrap();
    let archive = Arc::new(open());
    let filled: Arc<dyn Archive> = archive.clone();
    write(&runtime, &filled, stored / 1000, 1, || facts(500));
    runtime.block_on(archive.close()).unwrap();

    let archive = Arc::new(open());
    let used: Arc<dyn Archive> = archive.clone();
    let (before, start) = (written_bytes(), Instant::now());
    write(&runtime, &used, swaps, writers, swap);
    let took = start.elapsed();
    runtime.block_on(archive.close()).unwrap();
    let bytes = written_bytes() - before;
    let size = std::fs::metadata(root.path().join("archive.db")).unwrap().len();
    println!(
        "{stored} facts stored, {writers} writers: {:.0} swaps a second, {:.1} KB written a swap; the database has {:.0} bytes a fact",
        swaps as f64 / took.as_secs_f64(),
        bytes as f64 / swaps as f64 / 1000.0,
        size as f64 / (stored + 4 * swaps) as f64
    );
}

/// Bytes that this process had written to disks.
fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or_default()
}

#[cfg(target_os = "linux")]
criterion_group!(benches, sqlite, postgresql);
#[cfg(not(target_os = "linux"))]
criterion_group!(benches, sqlite);

fn main() {
    // `cargo test` runs this too, to see that it runs.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let stored_max = std::env::var("SWAPS").ok().map(|number| number.parse::<u64>().unwrap());
    if stored_max.is_none() {
        benches();
    }
    let sizes: &[(u64, u64)] = if is_measured { &[(10_000, 2_500), (1_000_000, 50_000)] } else { &[(1_000, 10)] };
    for (stored, swaps) in sizes.iter().filter(|(stored, _)| stored_max.is_none_or(|max| *stored <= max)) {
        for writers in [8, WRITERS] {
            swaps_in_sqlite(*stored, *swaps, writers);
        }
    }
}
