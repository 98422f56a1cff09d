//! Many at once: nothing is lost, nothing is booked twice, and no more is spent than there is.

use std::sync::Arc;

use semper_payment::account::bank::Bank;
use semper_payment::account::problem::ProblemKind;
use semper_payment::account::request::Action;
use semper_store::SqliteArchive;

use super::world::{World, eur, rules, takes};

const MANY: u64 = 64;

async fn worlds() -> Vec<(World, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteArchive::open(&folder.path().join("bank")).await.unwrap();
    let on_disk = World::with(Arc::new(sqlite), rules()).await;
    vec![(World::with_fees().await, None), (on_disk, Some(folder))]
}

/// Sends requests at once, over two bank processes on the same books; how many were carried out, and the refusals.
async fn at_once(world: &World, requests: Vec<Vec<u8>>) -> (u64, Vec<ProblemKind>) {
    let other = Bank::new(world.parts.clone(), world.rules.clone()).await.unwrap();
    let banks = [world.bank.clone(), other];
    let tasks = requests.into_iter().enumerate().map(|(n, bytes)| {
        let bank = banks[n % 2].clone();
        tokio::spawn(async move { bank.request(&bytes).await })
    });
    let (mut done, mut refused) = (0, Vec::new());
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(_) => done += 1,
            Err(refusal) => refused.push(refusal.kind),
        }
    }
    (done, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_payments_into_one_account_all_arrive() {
    for (world, _folder) in worlds().await {
        let bob = world.customer(0).await;
        let mut requests = Vec::new();
        for n in 0..MANY {
            let alice = world.customer(1000).await;
            let action = takes(world.pays(&alice, &bob, 10 + n), 10 + n);
            requests.push(world.request(&bob.keys, Some(bob.number), action).bytes().to_vec());
        }
        let (done, refused) = at_once(&world, requests).await;
        assert_eq!((done, refused.len()), (MANY, 0), "{refused:?}");
        let sum: u64 = (0..MANY).map(|n| 10 + n).sum();
        assert_eq!(world.money(&bob).await.0, i64::try_from(sum).unwrap());
        assert_eq!(world.statement(&bob, 0, 100).await.total, MANY);
        world.audit().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_is_spent_than_there_is() {
    for (world, _folder) in worlds().await {
        // Money for 21 payments of 30 with the fee of 2 and 1 (or none) each, and a little more.
        let fee = world.rules.fees.of(eur(30)).unwrap().minor();
        let (alice, bob) = (world.customer(21 * (30 + fee) + 7).await, world.customer(0).await);
        let mut requests = Vec::new();
        for n in 0..MANY {
            let action = if n % 2 == 0 {
                takes(world.pays(&alice, &bob, 30), 30)
            } else {
                Action::Authorise { token: world.pays(&alice, &bob, 30), capture: None }
            };
            requests.push(world.request(&bob.keys, Some(bob.number), action).bytes().to_vec());
        }
        let (done, refused) = at_once(&world, requests).await;
        assert_eq!(done, 21, "{refused:?}");
        assert!(refused.iter().all(|kind| *kind == ProblemKind::Declined), "{refused:?}");
        let (balance, held) = world.money(&alice).await;
        assert_eq!(balance.unsigned_abs() - held, 7);
        world.audit().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_request_sixty_four_times_is_done_once() {
    for (world, _folder) in worlds().await {
        let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
        let action = takes(world.pays(&alice, &bob, 30), 30);
        let bytes = world.request(&bob.keys, Some(bob.number), action).bytes().to_vec();
        let (done, refused) = at_once(&world, vec![bytes; 64]).await;
        assert_eq!((done, refused.len()), (MANY, 0));
        assert_eq!(world.money(&bob).await.0, 30);
        world.audit().await;
    }
}

// Two shops with one token, or one token handed in 64 times under different ids: it pays once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_token_sixty_four_times_pays_once() {
    for (world, _folder) in worlds().await {
        let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
        let token = world.pays(&alice, &bob, 30);
        let request = || world.request(&bob.keys, Some(bob.number), takes(token.clone(), 30)).bytes().to_vec();
        let (done, refused) = at_once(&world, (0..MANY).map(|_| request()).collect()).await;
        assert_eq!(done, 1);
        assert!(refused.iter().all(|kind| *kind == ProblemKind::TokenUsed), "{refused:?}");
        assert_eq!(world.money(&bob).await.0, 30);
        world.audit().await;
    }
}

// Money that runs in a circle needs both accounts of each transfer: nobody may wait for ever for somebody who waits for him.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transfers_in_a_circle_end() {
    for (world, _folder) in worlds().await {
        let mut people = Vec::new();
        for _ in 0..4 {
            people.push(world.customer(10_000).await);
        }
        let mut requests = Vec::new();
        for n in 0..64_usize {
            let (from, to) = (&people[n % 4], &people[(n + 1 + n / 4 % 3) % 4]);
            let reference = format!("round {n}");
            let action = Action::Transfer { amount: eur(5), to: to.number, reference, fee_most: eur(10) };
            requests.push(world.request(&from.keys, Some(from.number), action).bytes().to_vec());
        }
        let (done, refused) = at_once(&world, requests).await;
        assert_eq!((done, refused.len()), (64, 0), "{refused:?}");
        world.audit().await;
    }
}
