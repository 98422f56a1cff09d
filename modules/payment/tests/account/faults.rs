//! Storage that fails, answers nobody knows, and processes that die between commit and answer: money stays where one answer says.

use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use semper_payment::account::bank::Bank;
use semper_payment::account::payment::Level;
use semper_payment::account::problem::ProblemKind;
use semper_payment::account::request::{Action, Rest};
use semper_store::MemoryArchive;
use semper_support::archive::intercept::{Intercept, Intercepted};
use semper_support::archive::{Archive, Commit, CommitError};

use super::world::{World, eur, rules, takes};

/// What happens to the one commit that is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing is stored, and that is known.
    Fails,
    /// Nothing is stored, and nobody knows.
    UnknownNot,
    /// It is stored, and nobody knows.
    UnknownStored,
    /// It is stored, and the process dies before it hears of it.
    Dies,
}

struct Faulty {
    inner: MemoryArchive,
    fault: Fault,
    /// Commits until the one that is hit; `usize::MAX`: none.
    until: AtomicUsize,
}

#[async_trait]
impl Intercept for Faulty {
    fn archive(&self) -> &dyn Archive {
        &self.inner
    }

    async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        let left = self.until.load(Ordering::SeqCst);
        if left != usize::MAX {
            self.until.store(left.wrapping_sub(1), Ordering::SeqCst);
        }
        match self.fault {
            _ if left != 0 => self.inner.commit(commit).await,
            Fault::Fails => Err(CommitError::Storage("the disk is full".to_owned())),
            Fault::UnknownNot => Err(CommitError::Unknown("the connection was lost".to_owned())),
            Fault::UnknownStored => {
                self.inner.commit(commit).await?;
                Err(CommitError::Unknown("the connection was lost".to_owned()))
            }
            Fault::Dies => {
                self.inner.commit(commit).await?;
                std::future::pending().await
            }
        }
    }
}

/// Sends a request as a client does: until there is an answer. A process that dies is replaced.
async fn persist(world: &mut World, bytes: &[u8]) -> Result<Vec<u8>, ProblemKind> {
    for _ in 0..5 {
        let bank: Arc<Bank> = world.bank.clone();
        // Unconstrained: the runtime must not make it wait for its turn.
        let mut request = Box::pin(tokio::task::unconstrained(bank.request(bytes)));
        // A request that is not ready at once over an archive in memory never will be: its process is dead.
        let answer = std::future::poll_fn(|cx| std::task::Poll::Ready(request.as_mut().poll(cx))).await;
        match answer {
            std::task::Poll::Ready(Ok(answer)) => return Ok(answer),
            std::task::Poll::Ready(Err(refusal)) if refusal.kind == ProblemKind::Busy => {}
            std::task::Poll::Ready(Err(refusal)) => return Err(refusal.kind),
            std::task::Poll::Pending => {
                drop(request);
                world.restart().await;
            }
        }
    }
    panic!("no answer after five tries");
}

/// The whole life of two payments and a transfer, with one commit hit; whether one was.
async fn life(fault: Fault, at: usize) -> bool {
    let archive =
        Arc::new(Intercepted(Faulty { inner: MemoryArchive::new(), fault, until: AtomicUsize::new(usize::MAX) }));
    let mut world = World::with(archive.clone(), rules()).await;
    let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
    let plain = world.pays(&alice, &bob, 100);
    let held = world.token(&alice, &world.said(&alice, &bob, 300, Level::Three));
    let unused = world.pays(&alice, &bob, 50);
    let (hold, unused) = (held.hold(), unused.hold());
    let transfer = Action::Transfer { amount: eur(7), to: bob.number, reference: "x".to_owned(), fee_most: eur(0) };
    let story = [
        (&bob, takes(plain, 100)),
        (&bob, Action::Authorise { token: held, capture: None }),
        (&bob, Action::Capture { hold, amount: eur(120), rest: Rest::Keep }),
        (&bob, Action::Capture { hold, amount: eur(30), rest: Rest::Release }),
        (&bob, Action::Refund { hold, amount: eur(40) }),
        (&alice, Action::Revoke { hold: unused }),
        (&alice, transfer),
    ];
    archive.until.store(at, Ordering::SeqCst);
    for (who, action) in story {
        let request = world.request(&who.keys, Some(who.number), action);
        let first = persist(&mut world, request.bytes()).await.unwrap();
        assert_eq!(persist(&mut world, request.bytes()).await.unwrap(), first, "another answer the second time");
        world.audit().await;
    }
    assert_eq!((world.money(&alice).await, world.money(&bob).await), ((1000 - 217, 0), (217, 0)), "{fault:?} at {at}");
    // It was hit if the count went past nothing.
    archive.until.load(Ordering::SeqCst) > usize::MAX / 2
}

#[tokio::test]
async fn a_commit_that_fails_or_that_nobody_knows_of_moves_no_money_twice() {
    for fault in [Fault::Fails, Fault::UnknownNot, Fault::UnknownStored, Fault::Dies] {
        let mut hit = 0;
        for at in 0..7 {
            hit += usize::from(life(fault, at).await);
        }
        assert_eq!(hit, 7, "{fault:?}: the story has seven commits");
    }
}

// Storage that stays away: the client is told that nobody knows, and nothing has moved.
#[tokio::test]
async fn a_bank_without_storage_says_so() {
    let archive = Arc::new(Intercepted(Faulty {
        inner: MemoryArchive::new(),
        fault: Fault::Fails,
        until: AtomicUsize::new(usize::MAX),
    }));
    let world = World::with(archive.clone(), rules()).await;
    let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
    let before = world.audit().await;
    archive.until.store(0, Ordering::SeqCst);
    let refusal = world.ask(&bob, takes(world.pays(&alice, &bob, 100), 100)).await.unwrap_err();
    assert_eq!(refusal.kind, ProblemKind::Busy);
    assert!(refusal.to_json().contains("\"retry\":true"));
    assert_eq!(world.audit().await, before);
}
