//! Storage that fails at every commit in turn, in three ways: it refuses, it loses the connection before the commit, it loses it after. A
//! wallet repeats its request as the refusal says. Whatever happens, money is neither made nor lost.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use cashu::MintRequest;
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::{Answer, Refusal};
use semper_store::MemoryArchive;
use semper_support::archive::intercept::{Intercept, Intercepted};
use semper_support::archive::{Archive, Commit, CommitError};

use crate::payments::{invoice, quote};
use crate::support::{METHOD, Wanted, World, melt_request, quote_request, state_of, swap_all, total};

/// How a commit goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Refused,
    LostBefore,
    LostAfter,
}

/// An archive whose commits number `first` to `first + count - 1` go wrong.
struct Faulty {
    inner: MemoryArchive,
    fault: Fault,
    first: AtomicUsize,
    count: usize,
    commits: AtomicUsize,
}

impl Faulty {
    fn new(fault: Fault, count: usize) -> Arc<Intercepted<Self>> {
        let first = AtomicUsize::new(usize::MAX);
        Arc::new(Intercepted(Self { inner: MemoryArchive::new(), fault, first, count, commits: AtomicUsize::new(0) }))
    }

    /// From now on the `nth` commit goes wrong.
    fn arm(&self, nth: usize) {
        self.first.store(self.commits.load(Ordering::SeqCst) + nth, Ordering::SeqCst);
    }

    /// Whether the faults are over.
    fn is_over(&self) -> bool {
        self.commits.load(Ordering::SeqCst) > self.first.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Intercept for Faulty {
    fn archive(&self) -> &dyn Archive {
        &self.inner
    }

    async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let first = self.first.load(Ordering::SeqCst);
        if number < first || number >= first.saturating_add(self.count) {
            return self.inner.commit(commit).await;
        }
        match self.fault {
            Fault::Refused => Err(CommitError::Storage("full".to_owned())),
            Fault::LostBefore => Err(CommitError::Unknown("lost".to_owned())),
            Fault::LostAfter => {
                // A lost connection hides refusals too.
                let _ = self.inner.commit(commit).await;
                Err(CommitError::Unknown("lost".to_owned()))
            }
        }
    }
}

/// Sends a request until it is answered, as a wallet does; how often it had to.
async fn insist<T>(mut send: impl AsyncFnMut() -> Result<T, Refusal>) -> T {
    for _ in 0..50 {
        match send().await {
            Ok(answer) => return answer,
            Err(refusal) => assert!(refusal.status().is_server_error(), "{refusal}"),
        }
    }
    panic!("never answered");
}

/// Buys, swaps and pays; the payment fails once first if it should. Everything is sent again until it is answered.
async fn live(world: &World, fails_first: bool) {
    let mint = &world.mint;
    let bought = insist(async || mint.mint_quote(METHOD, quote_request(128, Unit::Eur)).await).await;
    let wanted = Wanted::new(world.active(Unit::Eur), &[128]);
    let request = MintRequest { quote: bought.quote, outputs: wanted.outputs(), signature: None };
    let coins = wanted.coins(insist(async || mint.mint(METHOD, request.clone()).await).await.signatures);

    let (swap, wanted) = swap_all(world.active(Unit::Eur), &coins, 0);
    let coins = wanted.coins(insist(async || mint.swap(swap.clone()).await).await.signatures);
    assert_eq!(state_of(mint, &coins[0]).await, "UNSPENT");

    let asked = semper_payment::ecash::mint::MeltQuoteRequest { request: invoice(100).await, unit: "eur".to_owned() };
    let quoted = insist(async || mint.melt_quote(METHOD, asked.clone()).await).await;
    let blanks = Wanted::new(world.active(Unit::Eur), &[1; 8]);
    let melt = melt_request(&quoted.quote, &coins, Some(&blanks));
    if fails_first {
        world.money.answer(Answer::Failed);
        for _ in 0..50 {
            let refusal = mint.melt(METHOD, melt.clone()).await.unwrap_err();
            if refusal.code() == 20004 {
                break;
            }
            assert!(refusal.status().is_server_error(), "{refusal}");
        }
        assert_eq!(state_of(mint, &coins[0]).await, "UNSPENT");
        world.money.answer(Answer::Paid { fee: 0 });
    }
    let paid = insist(async || {
        let answer = mint.melt(METHOD, melt.clone()).await?;
        // Pending is an answer too: the request is sent again.
        if answer.state == "PENDING" { Err(Refusal::Unsure) } else { Ok(answer) }
    });
    let paid = paid.await;
    assert_eq!(paid.state, "PAID");
    let change = blanks.coins(paid.change.unwrap());
    assert_eq!((total(&change), world.money.spent(), world.outstanding().await), (28, 100, 28));
    assert_eq!(state_of(mint, &coins[0]).await, "SPENT");
}

#[tokio::test]
async fn money_is_conserved_whichever_commit_goes_wrong() {
    let mut reached = 0;
    for fault in [Fault::Refused, Fault::LostBefore, Fault::LostAfter] {
        // Twice in a row, and more often than the mint tries by itself.
        for count in [1, 2, 6] {
            for fails_first in [false, true] {
                for nth in 0.. {
                    let archive = Faulty::new(fault, count);
                    let world = World::on(archive.clone(), 0).await;
                    archive.arm(nth);
                    live(&world, fails_first).await;
                    if !archive.is_over() {
                        break;
                    }
                    reached += 1;
                }
            }
        }
    }
    assert!(reached >= 90, "only {reached} places were reached");
}

// Two payments of one quote at once, and two requests for one coin at once: one each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_payments_take_one_coin_and_pay_once() {
    for _ in 0..20 {
        let world = World::new().await;
        let coins = world.coins(Unit::Eur, &[128]).await;
        let quoted = quote(&world, invoice(100).await).await;
        let melt = melt_request(&quoted.quote, &coins, None);
        let (swap, _) = swap_all(world.active(Unit::Eur), &coins, 0);
        let (first, second, swapped) = tokio::join!(
            spawn(&world, {
                let melt = melt.clone();
                async move |mint| mint.melt(METHOD, melt).await.map(|answer| answer.state)
            }),
            spawn(&world, {
                let melt = melt.clone();
                async move |mint| mint.melt(METHOD, melt).await.map(|answer| answer.state)
            }),
            spawn(&world, async move |mint| mint.swap(swap).await.map(|_| "SWAPPED".to_owned())),
        );
        let paid = matches!(first.as_deref(), Ok("PAID")) || matches!(second.as_deref(), Ok("PAID"));
        assert_ne!(paid, swapped.is_ok(), "{first:?} {second:?} {swapped:?}");
        let expected = if paid { (100, 0) } else { (0, 128) };
        assert_eq!((world.money.spent(), world.outstanding().await), expected);
    }
}

async fn spawn<F>(world: &World, work: F) -> Result<String, Refusal>
where
    F: AsyncFnOnce(Arc<semper_payment::ecash::mint::Mint>) -> Result<String, Refusal>,
{
    work(world.mint.clone()).await
}
