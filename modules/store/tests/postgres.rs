//! The archive in PostgreSQL: it keeps the contract, and what happens when servers and connections die. Real servers are started.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/postgres.rs"]
mod postgres;
#[path = "common/proxy.rs"]
mod proxy;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use postgres::{Server, wait_until};
use proxy::{AtCommit, Proxy};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semper_store::{PostgresArchive, PostgresOpenError, PostgresOptions};
use semper_support::archive::contract::{self, Boxed, Factory, Outcome};
use semper_support::archive::{Archive, Commit, CommitError, Fact};
use tokio::task::JoinSet;

const PADDING: usize = 100;

/// The server of all tests that leave it alive; each has a schema of its own.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// A schema that no other test uses.
fn new_schema() -> String {
    static SCHEMAS: AtomicUsize = AtomicUsize::new(0);
    format!("test_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed))
}

async fn open(url: &str) -> PostgresArchive {
    PostgresArchive::open(url, PostgresOptions::default()).await.unwrap()
}

/// Makes each archive in a schema of its own, and remembers the last one, to close it.
#[derive(Default)]
struct Schemas {
    last: Mutex<Option<(String, Arc<PostgresArchive>)>>,
}

impl Schemas {
    async fn open(&self, url: String) -> Arc<dyn Archive> {
        let archive = Arc::new(open(&url).await);
        *self.last.lock().unwrap() = Some((url, archive.clone()));
        archive
    }
}

#[async_trait]
impl Factory for Schemas {
    async fn fresh(&self) -> Arc<dyn Archive> {
        self.open(server().url(&new_schema())).await
    }

    async fn reopen(&self, archive: Arc<dyn Archive>) -> Arc<dyn Archive> {
        let (url, last) = self.last.lock().unwrap().take().unwrap();
        last.close().await;
        assert!(archive.state(b"m").await.is_err(), "a closed archive must not answer");
        assert!(matches!(archive.commit(Commit::default()).await, Err(CommitError::Storage(_))));
        self.open(url).await
    }

    async fn together(&self, tasks: Vec<Boxed<Outcome>>) -> Vec<Outcome> {
        let handles: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
        let mut outcomes = Vec::new();
        for handle in handles {
            outcomes.push(handle.await.unwrap());
        }
        outcomes
    }
}

// A promise that one module keeps and the other does not would show only in production.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_archive_in_postgresql_keeps_the_contract() {
    contract::all(Arc::new(Schemas::default())).await.unwrap();
}

// An older program that writes into newer tables destroys what it does not know; and while it has them open, a newer one may come.
#[tokio::test]
async fn a_newer_archive_is_refused_untouched() {
    let schema = new_schema();
    let url = server().url(&schema);
    let old = open(&url).await;
    old.commit(common::numbered(1, 0)).await.unwrap();
    server().psql(&format!("UPDATE {schema}.archive SET version = 77"));
    let refused = PostgresArchive::open(&url, PostgresOptions::default()).await.unwrap_err();
    assert!(matches!(refused, PostgresOpenError::Newer { found: 77, known: 1 }), "{refused}");
    assert!(matches!(old.commit(common::numbered(2, 0)).await, Err(CommitError::Storage(_))));
    assert!(!common::holds(&old, 2, 0).await);
    server().psql(&format!("UPDATE {schema}.archive SET version = 1"));
    assert!(common::holds(&open(&url).await, 1, 0).await);
}

#[tokio::test]
async fn a_schema_of_another_program_is_refused_untouched() {
    for table in ["facts (key BYTEA)", "archive (letters TEXT)"] {
        let schema = new_schema();
        server().psql(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.{table}"));
        let refused = PostgresArchive::open(&server().url(&schema), PostgresOptions::default()).await.unwrap_err();
        assert!(matches!(&refused, PostgresOpenError::Foreign(name) if *name == schema), "{refused}");
        let tables = format!("SELECT count(*) FROM information_schema.tables WHERE table_schema = '{schema}'");
        assert_eq!(server().psql(&tables), "1");
    }
}

// A third party with several servers starts them all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_make_the_same_archive_at_once() {
    let url = server().url(&new_schema());
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        opening.spawn(async move { open(&url).await });
    }
    for (n, archive) in (0..).zip(opening.join_all().await) {
        archive.commit(common::numbered(n, PADDING)).await.unwrap();
    }
}

// A flipped bit that is read as if it were stored would be signed, sent or paid.
#[tokio::test]
async fn a_changed_value_is_refused_and_reported() {
    let schema = new_schema();
    let archive = open(&server().url(&schema)).await;
    for n in 0..3 {
        archive.commit(common::numbered(n, PADDING)).await.unwrap();
    }
    assert_eq!(archive.integrity_check().await.unwrap(), Vec::<String>::new());
    server().psql(&format!("UPDATE {schema}.facts SET value = value || '\\x00' WHERE key = '\\x0000000000000001'"));
    server().psql(&format!("DELETE FROM {schema}.evidence WHERE place = 3"));
    assert!(archive.fact("run", &1_u64.to_be_bytes()).await.is_err());
    assert!(archive.evidence(&2_u64.to_be_bytes()).await.is_err());
    let found = archive.integrity_check().await.unwrap();
    assert_eq!(found, ["a row of table facts is damaged", "evidence is missing of 1 machines"]);
}

// Two servers of a third party must not both believe to have been first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_archives_on_one_database_exactly_one_task_wins_each_round() {
    const ROUNDS: u64 = 20;
    const TASKS: u64 = 64;
    let url = server().url(&new_schema());
    let archives = [Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let mut won_by = [0; 2];
    for round in 0..ROUNDS {
        let mut racers = JoinSet::new();
        for n in 0..TASKS {
            for (side, archive) in (0..).zip(&archives) {
                let racer = n * 2 + side;
                let fact =
                    Fact { space: "serial".into(), key: round.to_be_bytes().into(), value: racer.to_be_bytes().into() };
                let mut commit = common::numbered(round * 1000 + racer, PADDING);
                commit.facts.push(fact);
                let archive = archive.clone();
                racers.spawn(async move { (racer, archive.commit(commit).await) });
            }
        }
        let outcomes = racers.join_all().await;
        let winners: Vec<u64> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(n, _)| *n).collect();
        let [winner] = winners[..] else { panic!("round {round}: these won: {winners:?}") };
        won_by[usize::from(winner % 2 == 1)] += 1;
        for (racer, outcome) in &outcomes {
            if let Err(refused) = outcome {
                let stands = Fact {
                    space: "serial".into(),
                    key: round.to_be_bytes().into(),
                    value: winner.to_be_bytes().into(),
                };
                assert_eq!(*refused, CommitError::Taken { stands });
            }
            let mine = archives[0].state(&(round * 1000 + racer).to_be_bytes()).await.unwrap();
            assert_eq!(mine.is_some(), *racer == winner, "round {round}: a loser left something");
        }
    }
    println!("won by each archive: {won_by:?}");
}

// Commits that share facts in every order lock rows against each other: a deadlock must end, and must not be answered as a refusal.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_that_cross_are_each_stored_or_refused_for_what_stands() {
    const KEYS: u8 = 40;
    let seed = rand::random();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let url = server().url(&new_schema());
    let archives = [Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let mut racers = JoinSet::new();
    for n in 0..400_u64 {
        let mut keys: Vec<u8> = (0..4).map(|_| random.random_range(0..KEYS)).collect();
        keys.sort_unstable();
        keys.dedup();
        if n % 2 == 0 {
            keys.reverse();
        }
        let mut commit = common::numbered(n, PADDING);
        let fact = |key: &u8| Fact { space: "coin".into(), key: vec![*key], value: n.to_be_bytes().into() };
        commit.facts.extend(keys.iter().map(fact));
        let archive = archives[usize::from(n % 3 == 0)].clone();
        racers.spawn(async move { (n, keys, archive.commit(commit).await) });
    }
    let (mut stored, mut taken) = (0, BTreeSet::new());
    for (n, keys, outcome) in racers.join_all().await {
        match outcome {
            Ok(()) => {
                stored += 1;
                for key in keys {
                    assert!(taken.insert(key), "seed {seed}: coin {key} was spent twice");
                    let value = archives[0].fact("coin", &[key]).await.unwrap();
                    assert_eq!(
                        value,
                        Some(n.to_be_bytes().to_vec()),
                        "seed {seed}: {n} does not have what it was given"
                    );
                }
            }
            Err(CommitError::Taken { stands }) => {
                assert!(keys.contains(&stands.key[0]), "seed {seed}: {n} was refused for what it did not ask for");
                assert_ne!(stands.value, n.to_be_bytes());
                assert_eq!(archives[1].fact("coin", &stands.key).await.unwrap(), Some(stands.value));
                assert!(!common::holds(&*archives[0], n, PADDING).await, "seed {seed}: {n} was refused and is there");
            }
            other => panic!("seed {seed}: {n}: {other:?}"),
        }
    }
    assert!(stored > 5 && taken.len() > 15);
}

/// Tasks that commit numbers until they are told to stop.
struct Committers {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<u64>>>,
    /// Unknown, or refused by an archive that gave up.
    failed: Arc<Mutex<Vec<(u64, CommitError)>>>,
}

impl Committers {
    const TASKS: usize = 8;

    fn start(archive: &Arc<PostgresArchive>) -> Self {
        let next = Arc::new(AtomicU64::new(0));
        let mut committers =
            Self { tasks: JoinSet::new(), stop: Arc::default(), acknowledged: Arc::default(), failed: Arc::default() };
        for _ in 0..Self::TASKS {
            let (archive, next, stop) = (archive.clone(), next.clone(), committers.stop.clone());
            let (acknowledged, failed) = (committers.acknowledged.clone(), committers.failed.clone());
            committers.tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    match archive.commit(common::numbered(n, PADDING)).await {
                        Ok(()) => acknowledged.lock().unwrap().push(n),
                        Err(error) => failed.lock().unwrap().push((n, error)),
                    }
                }
            });
        }
        committers
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits for this many more acknowledged commits.
    fn wait_for(&self, more: usize) {
        let enough = self.acknowledged() + more;
        tokio::task::block_in_place(|| wait_until("enough commits are stored", || self.acknowledged() >= enough));
    }

    /// Ends the tasks; what was acknowledged, and what was answered with an error.
    async fn end(mut self) -> (Vec<u64>, Vec<(u64, CommitError)>) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        (std::mem::take(&mut self.acknowledged.lock().unwrap()), std::mem::take(&mut self.failed.lock().unwrap()))
    }
}

/// Checks every answer against what is stored, and that nothing else is.
async fn assert_answers(archive: &PostgresArchive, acknowledged: &[u64], failed: &[(u64, CommitError)]) {
    let mut stored = 0;
    for n in acknowledged {
        assert!(common::holds(archive, *n, PADDING).await, "{n} was acknowledged and is lost");
        stored += 1;
    }
    for (n, error) in failed {
        let holds = common::holds(archive, *n, PADDING).await;
        match error {
            CommitError::Storage(_) => assert!(!holds, "{n} was refused ({error}) and is there"),
            CommitError::Unknown(_) => stored += usize::from(holds),
            other => panic!("{n}: {other}"),
        }
    }
    assert_eq!(archive.states(b"", None, usize::MAX).await.unwrap().len(), stored, "there is what nobody committed");
    assert_eq!(archive.integrity_check().await.unwrap(), Vec::<String>::new());
}

// If a commit were answered before it is durable, or in doubt were taken for stored, it would be missing after the server's death. Here the
// server comes back in time, so that every commit can be answered for sure.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_survives_kill_9_of_the_server() {
    const ROUNDS: usize = 4;
    let mut server = tokio::task::block_in_place(Server::start);
    let archive = Arc::new(open(&server.url("a")).await);
    let committers = Committers::start(&archive);
    for _ in 0..ROUNDS {
        committers.wait_for(100);
        tokio::task::block_in_place(|| {
            server.kill();
            server.restart();
        });
    }
    committers.wait_for(100);
    let (acknowledged, failed) = committers.end().await;
    println!("{} acknowledged, {} failed", acknowledged.len(), failed.len());
    assert_eq!(failed.first(), None, "a commit could have been tried again");
    assert_answers(&archive, &acknowledged, &failed).await;
}

// With a synchronous standby, what was acknowledged must be on the standby when the first server is gone for good. Commits that were on
// their way may be on it or not, and are answered by the standby after it was promoted: the address leads to it then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_on_the_synchronous_standby() {
    let (mut first, standby) = tokio::task::block_in_place(|| {
        let first = Server::start();
        let standby = first.synchronous_standby();
        (first, standby)
    });
    let proxy = Proxy::start(first.port).await;
    let archive = Arc::new(open(&postgres::url(proxy.port, "a")).await);
    let committers = Committers::start(&archive);
    committers.wait_for(300);
    tokio::task::block_in_place(|| {
        first.kill();
        standby.promote();
    });
    proxy.lead_to(standby.port);
    committers.wait_for(100);
    let (acknowledged, failed) = committers.end().await;
    println!("{} acknowledged, {} failed", acknowledged.len(), failed.len());
    assert_eq!(failed.first(), None, "a commit could have been tried again");
    let promoted = open(&standby.url("a")).await;
    assert_answers(&promoted, &acknowledged, &failed).await;
}

// The answer to a COMMIT is lost. Taken for stored, a commit that is not would be lost; taken for refused, one that is would be done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_lost_at_commit_does_not_spoil_the_answer() {
    for at_commit in [AtCommit::CutBefore, AtCommit::CutAfter] {
        let schema = new_schema();
        let proxy = Proxy::start(server().port).await;
        let archive = Arc::new(open(&postgres::url(proxy.port, &schema)).await);
        let committers = Committers::start(&archive);
        for cuts in 1..=10 {
            committers.wait_for(10);
            proxy.at_next_commit(at_commit);
            tokio::task::block_in_place(|| wait_until("the connection is cut", || proxy.cuts() == cuts));
        }
        let (acknowledged, failed) = committers.end().await;
        assert_eq!(failed.first(), None, "{at_commit:?}: it could have been found out");
        assert_answers(&archive, &acknowledged, &failed).await;
    }
}

// The worst case: the connection is lost, the COMMIT is still on its way, and arrives after the question what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_that_arrives_after_the_question_is_found() {
    let schema = new_schema();
    let proxy = Proxy::start(server().port).await;
    let archive = Arc::new(open(&postgres::url(proxy.port, &schema)).await);
    proxy.at_next_commit(AtCommit::Hold);
    let commit = tokio::spawn({
        let archive = archive.clone();
        async move { archive.commit(common::numbered(1, PADDING)).await }
    });
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO marks%'";
    tokio::task::block_in_place(|| wait_until("the question waits", || server().psql(waits) == "1"));
    assert!(!commit.is_finished(), "it was answered before it can be known");
    proxy.release();
    assert_eq!(commit.await.unwrap(), Ok(()));
    assert!(common::holds(&*archive, 1, PADDING).await);
    // Stored once, not once more.
    assert_eq!(archive.state(&1_u64.to_be_bytes()).await.unwrap().unwrap().version, 1);
}

// If it cannot be found out, the only right answer is that it is unknown: what then arrives late is no lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_found_out_in_time_is_unknown() {
    let schema = new_schema();
    let proxy = Proxy::start(server().port).await;
    let patience = Duration::from_millis(500);
    let options = PostgresOptions { patience, ..PostgresOptions::default() };
    let archive = PostgresArchive::open(&postgres::url(proxy.port, &schema), options).await.unwrap();
    proxy.at_next_commit(AtCommit::Hold);
    let start = Instant::now();
    let outcome = archive.commit(common::numbered(1, PADDING)).await;
    assert!(matches!(outcome, Err(CommitError::Unknown(_))), "{outcome:?}");
    assert!(start.elapsed() < patience * 20, "it took {:?}", start.elapsed());
    assert!(!common::holds(&archive, 1, PADDING).await);
    proxy.release();
    let state = format!("SELECT count(*) FROM {schema}.states");
    tokio::task::block_in_place(|| wait_until("the commit arrives", || server().psql(&state) == "1"));
    // Who now does what the port says, asks, sees it.
    assert!(common::holds(&archive, 1, PADDING).await);
    let again = archive.commit(common::numbered(1, PADDING)).await;
    assert!(matches!(again, Err(CommitError::Doubled { .. })), "{again:?}");
}

// A server that does not come back must not keep callers waiting for ever, and nothing may turn up that was called not stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_server_calls_end() {
    let schema = new_schema();
    let proxy = Proxy::start(server().port).await;
    let options = PostgresOptions { patience: Duration::from_millis(300), ..PostgresOptions::default() };
    let archive = PostgresArchive::open(&postgres::url(proxy.port, &schema), options).await.unwrap();
    archive.commit(common::numbered(1, PADDING)).await.unwrap();
    proxy.refuse_all();
    assert!(matches!(archive.commit(common::numbered(2, PADDING)).await, Err(CommitError::Storage(_))));
    assert!(archive.state(b"m").await.is_err());
    proxy.lead_to(server().port);
    assert!(!common::holds(&archive, 2, PADDING).await);
    archive.commit(common::numbered(2, PADDING)).await.unwrap();
    assert!(common::holds(&archive, 2, PADDING).await);
    let refused = PostgresArchive::open("postgres://127.0.0.1:1/postgres", options).await.unwrap_err();
    assert!(matches!(refused, PostgresOpenError::Database(_)), "{refused}");
}
