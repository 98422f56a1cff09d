//! Quotes that nobody used go, so that strangers cannot fill the disk with them; quotes that somebody paid stay, so that nobody loses money to
//! the broom. The races are over two servers of one mint on real databases.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cashu::MintRequest;
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::{Answer, MintQuote, SWEEP_MAX};
use semper_store::{PostgresArchive, PostgresOptions, SqliteArchive};
use semper_support::archive::Archive;
use tokio::task::JoinHandle;

use crate::payments::{invoice, quote as melt_quote};
use crate::race::postgres;
use crate::support::{METHOD, START, Wanted, World, code, melt_request, quote_request};

/// When a quote of the test money may go: its hour, and ten minutes more.
const OVER: u64 = 3600 + 600 + 1;
/// Quotes in a race.
const MANY: usize = 48;
/// Races on one database.
const ROUNDS: usize = 4;

impl World {
    async fn quote(&self, amount: u64) -> MintQuote {
        self.mint.mint_quote(METHOD, quote_request(amount, Unit::Eur)).await.unwrap()
    }

    /// A request that uses a quote for 8.
    fn buys(&self, quote: &MintQuote) -> MintRequest<String> {
        let wanted = Wanted::new(self.active(Unit::Eur), &[8]);
        MintRequest { quote: quote.quote.clone(), outputs: wanted.outputs(), signature: None }
    }

    /// Sweeps until nothing is due any more.
    async fn sweep(&self) {
        while self.mint.sweep().await.unwrap() > 0 {}
    }

    /// Rows that stand for quotes which nobody used.
    async fn open_rows(&self) -> usize {
        let mut rows = 0;
        for space in ["ecash-mint-quote", "ecash-mint-quote-due", "ecash-melt-quote", "ecash-melt-quote-due"] {
            rows += self.archive.records(space, None, 10_000).await.unwrap().len();
        }
        rows
    }
}

#[tokio::test]
async fn what_nobody_used_in_time_is_refused_and_then_forgotten() {
    let world = World::new().await;
    world.money.wait_for_payers();
    let (bought, sold) = (world.quote(8).await, melt_quote(&world, invoice(100).await).await);
    let request = world.buys(&bought);
    assert_eq!((bought.expiry, world.open_rows().await), (START + 3600, 4));
    assert_eq!(code(world.mint.mint(METHOD, request.clone()).await), 20001);
    world.later(3601);
    world.sweep().await;
    assert_eq!(code(world.mint.mint(METHOD, request.clone()).await), 20007, "kept for a while, to say so");
    assert_eq!(world.open_rows().await, 4);
    world.later(OVER - 3601);
    world.sweep().await;
    assert_eq!(world.open_rows().await, 0);
    assert_eq!(world.mint.mint(METHOD, request).await.unwrap_err().name(), "unknown-quote");
    assert_eq!(world.mint.melt_quote_state(METHOD, &sold.quote).await.unwrap_err().name(), "unknown-quote");
    // Whoever pays now is refused by the payment system.
    assert!(!world.money.settle(&bought.quote));
}

// Money came and nobody has fetched the coins: they are there a year later. Used quotes leave no rows that the broom would look at for ever.
#[tokio::test]
async fn a_paid_quote_is_never_forgotten() {
    let world = World::new().await;
    world.money.wait_for_payers();
    let quote = world.quote(8).await;
    assert!(world.money.settle(&quote.quote));
    for _ in 0..365 {
        world.later(86_400);
        world.sweep().await;
    }
    assert_eq!(world.mint.mint_quote_state(METHOD, &quote.quote).await.unwrap().state, "PAID");
    let request = world.buys(&quote);
    let first = world.mint.mint(METHOD, request.clone()).await.unwrap();
    world.later(86_400 + 1);
    world.sweep().await;
    assert_eq!(world.open_rows().await, 0);
    assert_eq!(world.mint.mint(METHOD, request).await.unwrap(), first);
    assert_eq!(code(world.mint.mint(METHOD, world.buys(&quote)).await), 20002);
    assert_eq!(world.mint.mint_quote_state(METHOD, &quote.quote).await.unwrap().state, "ISSUED");
}

// A payment that is not finished, or failed once, or is done, is found by its quote for ever: the loop needs it, and the wallet that lost the answer.
#[tokio::test]
async fn the_quote_of_a_payment_stays() {
    let world = World::new().await;
    let coins = world.coins(Unit::Eur, &[128]).await;
    let quoted = melt_quote(&world, invoice(100).await).await;
    world.money.answer(Answer::Failed);
    let request = melt_request(&quoted.quote, &coins, None);
    assert_eq!(code(world.mint.melt(METHOD, request.clone()).await), 20004);
    world.money.answer(Answer::Pending);
    assert_eq!(world.mint.melt(METHOD, request.clone()).await.unwrap().state, "PENDING");
    world.later(OVER + 86_400);
    world.sweep().await;
    assert_eq!(world.open_rows().await, 0);
    world.money.answer(Answer::Paid { fee: 0 });
    world.mint.poll().await;
    assert_eq!(world.mint.melt_quote_state(METHOD, &quoted.quote).await.unwrap().state, "PAID");
    assert_eq!(world.mint.melt(METHOD, request).await.unwrap().state, "PAID");
}

#[tokio::test]
async fn one_round_looks_at_a_bounded_number_of_quotes() {
    let world = World::new().await;
    for _ in 0..SWEEP_MAX + 1 {
        world.quote(8).await;
    }
    assert_eq!(world.mint.sweep().await.unwrap(), 0, "before their time");
    world.later(OVER);
    assert_eq!(world.mint.sweep().await.unwrap(), SWEEP_MAX);
    assert_eq!(world.mint.sweep().await.unwrap(), 1);
    assert_eq!(world.open_rows().await, 0);
}

// The payer comes at the moment at which the quote goes. Either the payment system refuses it, or its money buys coins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_payment_that_meets_the_broom_is_refused_or_buys_coins() {
    for archive in archives().await {
        let (mut came, mut refused) = (0, 0);
        let world = Arc::new(World::on(archive.open.clone(), 0).await);
        world.money.wait_for_payers();
        for _ in 0..ROUNDS {
            let quotes = due(&world).await;
            let brooms = brooms(&world).await;
            for quote in &quotes {
                // One read is about as long as the broom takes for one quote, so that they meet.
                world.mint.melt_quote_state(METHOD, "no such quote").await.unwrap_err();
                let is_taken = world.money.settle(&quote.quote);
                let bought = world.mint.mint(METHOD, world.buys(quote)).await;
                assert_eq!(bought.is_ok(), is_taken, "{bought:?}");
                if is_taken { came += 1 } else { refused += 1 }
            }
            for broom in brooms {
                broom.await.unwrap();
            }
        }
        assert!(came > 0 && refused > 0, "the race was not met: {came} came, {refused} were refused");
        assert_eq!(world.outstanding().await, 8 * came);
        archive.close().await;
    }
}

// The coins are fetched at the moment at which the quote goes. What was granted is granted again to whoever lost the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn coins_that_meet_the_broom_are_given_again() {
    for archive in archives().await {
        let world = Arc::new(World::on(archive.open.clone(), 0).await);
        let mut granted = 0;
        for _ in 0..ROUNDS {
            let quotes = due(&world).await;
            let brooms = brooms(&world).await;
            let buyers = quotes.iter().map(|quote| {
                let (world, request) = (world.clone(), world.buys(quote));
                tokio::spawn(async move { (world.mint.mint(METHOD, request.clone()).await, request) })
            });
            let mut answers = Vec::new();
            for buyer in buyers.collect::<Vec<_>>() {
                answers.push(buyer.await.unwrap());
            }
            for broom in brooms {
                broom.await.unwrap();
            }
            for (answer, request) in answers {
                let again = world.mint.mint(METHOD, request).await;
                if answer.is_ok() {
                    granted += 1;
                }
                assert_eq!(again, answer);
            }
        }
        assert!(granted > 0);
        assert_eq!(world.outstanding().await, 8 * granted);
        archive.close().await;
    }
}

/// Quotes for 8 that may go now, in the opposite of the order in which the broom comes to them.
async fn due(world: &World) -> Vec<MintQuote> {
    let mut quotes = Vec::new();
    for _ in 0..MANY {
        quotes.push(world.quote(8).await);
    }
    world.later(OVER);
    quotes.sort_by(|a, b| b.quote.cmp(&a.quote));
    quotes
}

/// Two servers of the mint that sweep at the same time.
async fn brooms(world: &World) -> Vec<JoinHandle<usize>> {
    let servers = [world.mint.clone(), world.restarted().await];
    servers.into_iter().map(|mint| tokio::spawn(async move { mint.sweep().await.unwrap() })).collect()
}

struct Opened {
    open: Arc<dyn Archive>,
    directory: Option<tempfile::TempDir>,
    server: Option<postgres::Server>,
}

impl Opened {
    async fn close(self) {
        drop((self.open, self.directory));
        tokio::task::spawn_blocking(move || drop(self.server)).await.unwrap();
    }
}

/// SQLite and PostgreSQL.
async fn archives() -> [Opened; 2] {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = Arc::new(SqliteArchive::open(directory.path()).await.unwrap());
    let server = tokio::task::spawn_blocking(postgres::Server::start).await.unwrap();
    let postgres = Arc::new(PostgresArchive::open(&server.url("quotes"), PostgresOptions::default()).await.unwrap());
    [
        Opened { open: sqlite, directory: Some(directory), server: None },
        Opened { open: postgres, directory: None, server: Some(server) },
    ]
}
