//! Many clients, one coin, over real HTTP and on real databases: exactly one gets its outputs signed, all others learn that the coin is spent.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use semper_payment::ecash::keyset::Unit;
use semper_store::{PostgresArchive, PostgresOptions, SqliteArchive};
use semper_support::archive::Archive;

use crate::http::Served;
use crate::support::{World, swap_all};

#[path = "../../../store/tests/common/postgres.rs"]
pub(crate) mod postgres;

const CLIENTS: usize = 64;
const ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_clients_wins_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let archive = SqliteArchive::open(directory.path()).await.unwrap();
    race(Arc::new(archive)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_clients_wins_on_postgresql() {
    let server = tokio::task::spawn_blocking(postgres::Server::start).await.unwrap();
    let archive = PostgresArchive::open(&server.url("mint"), PostgresOptions::default()).await.unwrap();
    race(Arc::new(archive)).await;
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

async fn race(archive: Arc<dyn Archive>) {
    let world = World::on(archive, 0).await;
    // Two processes of one mint on one database: what one grants, the other must refuse.
    let servers = [Served::start(world.mint.clone()).await, Served::start(world.restarted().await).await];
    for round in 0..ROUNDS {
        let coins = world.coins(Unit::Eur, &[8]).await;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (request, _) = swap_all(world.active(Unit::Eur), &coins, 0);
                let body = serde_json::to_string(&request).unwrap();
                let server = servers[client % 2].clone();
                tokio::spawn(async move { server.post("/v1/swap", body).await })
            })
            .collect();
        let mut granted = 0;
        for client in clients {
            let (status, answer) = client.await.unwrap();
            match status {
                200 => granted += 1,
                400 => assert_eq!(answer["code"], 11001, "{answer}"),
                _ => panic!("{status} {answer}"),
            }
        }
        assert_eq!(granted, 1, "round {round}");
    }
    let redeemed: u64 = world.audit().await.iter().map(|one| one.redeemed).sum();
    assert_eq!((redeemed, world.outstanding().await), (8 * ROUNDS as u64, 8 * ROUNDS as i128));
}
