//! Drives the operations of one market as a node does: intent, step, commit, act, with one fault on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId};
use semper_core::machine::Fault;
use semper_core::time::Seconds;
use semper_support::archive::{Archive, Commit, CommitError, PutState};
use semper_support::engine::{Consent, EvidenceKind};

use super::{FaultPlan, Market, Party};
use crate::payment::claim::Proof;
use crate::payment::journal::{Entry, Versions, load_entry, load_purse, purse_key};
use crate::payment::module::{Balance, Context, Event, IssuerReply, IssuerRequest, Next, Purse};
use crate::payment::operation::{Failure, Operation, OperationId, Outcome, PurseId, Task};
use crate::payment::statement::PaymentRequest;

/// Steps after which an operation that does not end is broken.
const STEPS_MAX: usize = 200;

/// One run over one market.
pub(super) struct Run {
    pub(super) market: Arc<dyn Market>,
    fault: FaultPlan,
    /// Steps and requests so far: the places where a fault can happen.
    steps: AtomicUsize,
    asks: AtomicUsize,
    counter: AtomicU64,
}

/// What the user does when asked to approve a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    Approves,
    Declines,
}

impl Run {
    pub(super) fn new(market: Arc<dyn Market>, fault: FaultPlan) -> Self {
        let (steps, asks) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { market, fault, steps, asks, counter: AtomicU64::new(1) }
    }

    /// How many places there were for a fault.
    pub(super) fn places(&self) -> usize {
        self.steps.load(Ordering::Relaxed).max(self.asks.load(Ordering::Relaxed))
    }

    fn number(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn amount(&self, minor: u64) -> Amount {
        Amount::new(minor, self.market.currency()).expect("amounts of the kit are small")
    }

    pub(super) fn purse_id(party: Party) -> PurseId {
        PurseId::from_array([party as u8 + 1; 16])
    }

    pub(super) fn deal(&self) -> DealId {
        let mut id = [0xd0; 16];
        id[..8].copy_from_slice(&self.number().to_be_bytes());
        DealId::from_array(id)
    }

    /// The contract that money is locked for.
    pub(super) fn contract(&self) -> Cid {
        Cid::from_digest(Digest::of(domain::CID, self.deal().as_bytes()))
    }

    /// Opens a party's purse and learns the issuer's terms.
    pub(super) async fn open(&self, party: Party) -> Result<(), String> {
        let (id, module) = (Self::purse_id(party), self.market.module(party));
        let purse = Purse {
            id,
            system: module.system(),
            issuer: self.market.issuer(),
            currency: self.market.currency(),
            records: BTreeMap::new(),
        };
        let state = PutState { key: purse_key(&id), replaces: 0, bytes: purse.to_bytes() };
        let commit = Commit { states: vec![state], ..Commit::default() };
        self.market.archive(party).commit(commit).await.map_err(|e| e.to_string())?;
        self.done(party, Task::Refresh).await.map(drop)
    }

    /// Opens a purse with money in it.
    pub(super) async fn open_with(&self, party: Party, minor: u64) -> Result<(), String> {
        self.open(party).await?;
        if let Some(method) = self.market.deposit_method() {
            self.done(party, Task::Deposit { amount: self.amount(minor), method }).await?;
        } else {
            let details = self.done(party, Task::Expect(self.amount(minor))).await?.handover;
            self.market.credit(party, &details, minor).await;
            self.done(party, Task::Refresh).await?;
        }
        let available = self.balance(party).await?.available;
        if available == self.amount(minor) {
            Ok(())
        } else {
            Err(format!("{minor} were put in, {available} are there"))
        }
    }

    pub(super) async fn purse(&self, party: Party) -> Result<Purse, String> {
        let archive = self.market.archive(party);
        let loaded = load_purse(&*archive, &Self::purse_id(party)).await.map_err(|e| e.to_string())?;
        loaded.map(|(purse, _)| purse).ok_or_else(|| "the purse is gone".to_owned())
    }

    pub(super) async fn balance(&self, party: Party) -> Result<Balance, String> {
        Ok(self.market.module(party).balance(&self.purse(party).await?))
    }

    /// Runs a task that must end well.
    pub(super) async fn done(&self, party: Party, task: Task) -> Result<Outcome, String> {
        let verb = task.verb();
        self.end(party, task).await?.map_err(|failure| format!("{party:?} {verb}: {failure}"))
    }

    /// Runs a task that must fail.
    pub(super) async fn fails(&self, party: Party, task: Task) -> Result<Failure, String> {
        let verb = task.verb();
        match self.end(party, task).await? {
            Ok(outcome) => Err(format!("{party:?} {verb} must fail and moved {}", outcome.moved)),
            Err(failure) => Ok(failure),
        }
    }

    /// Runs a task to its end.
    pub(super) async fn end(&self, party: Party, task: Task) -> Result<Result<Outcome, Failure>, String> {
        let id = self.begin(party, task).await?;
        self.finish(party, id, User::Approves).await
    }

    /// Stores an intent.
    pub(super) async fn begin(&self, party: Party, task: Task) -> Result<OperationId, String> {
        let mut random = [party as u8; 16];
        random[..8].copy_from_slice(&self.number().to_be_bytes());
        let id = OperationId::of_owner(random);
        self.begin_as(party, id, task).await.map_err(|e| e.to_string())?;
        Ok(id)
    }

    pub(super) async fn begin_as(&self, party: Party, id: OperationId, task: Task) -> Result<(), CommitError> {
        let operation = Operation { id, purse: Self::purse_id(party), deal: None, task };
        let mut commit = Commit::default();
        Entry::intent(operation, None, self.market.now()).begin(&mut commit);
        self.market.archive(party).commit(commit).await
    }

    /// Drives an operation until it ends.
    pub(super) async fn finish(
        &self,
        party: Party,
        id: OperationId,
        user: User,
    ) -> Result<Result<Outcome, Failure>, String> {
        for _ in 0..STEPS_MAX {
            let (entry, _) = self.entry(party, &id).await?;
            let event = match entry.next {
                None => Event::Begin,
                Some(Next::Done(outcome)) => return Ok(Ok(outcome)),
                Some(Next::Failed(failure)) => return Ok(Err(failure)),
                Some(Next::Ask(request)) => match self.ask(request).await {
                    Some(reply) => Event::Reply(reply),
                    None => continue,
                },
                Some(Next::Sign { consent: Consent::Ask, .. }) if user == User::Declines => Event::Declined,
                Some(Next::Sign { draft, .. }) => Event::Signed(self.market.sign(party, draft)),
                Some(Next::Fund(funding)) => {
                    self.market.fund(&funding).await;
                    let zero = self.amount(0);
                    Event::Funded(Outcome { moved: funding.amount, fee: zero, handover: Vec::new() })
                }
                Some(Next::Wait(time)) => {
                    self.market.pass_until(time);
                    Event::Due
                }
                Some(Next::Look(other)) => Event::Stage(self.entry(party, &other).await?.0.stage),
            };
            self.step(party, &id, event).await?;
        }
        Err(format!("operation {id} of {party:?} does not end"))
    }

    /// Tells an operation that it is no longer wanted.
    pub(super) async fn give_up(&self, party: Party, id: OperationId) -> Result<(), String> {
        self.step(party, &id, Event::GiveUp).await
    }

    /// Takes an operation to its first request, which is left to the caller; nothing if it ends or waits before.
    pub(super) async fn until_first_ask(&self, party: Party, id: OperationId) -> Result<Option<IssuerRequest>, String> {
        for _ in 0..STEPS_MAX {
            let (entry, _) = self.entry(party, &id).await?;
            let event = match entry.next {
                None => Event::Begin,
                Some(Next::Sign { draft, .. }) => Event::Signed(self.market.sign(party, draft)),
                Some(Next::Ask(request)) => return Ok(Some(request)),
                Some(_) => return Ok(None),
            };
            self.step(party, &id, event).await?;
        }
        Err(format!("operation {id} asks nothing"))
    }

    async fn entry(&self, party: Party, id: &OperationId) -> Result<(Entry, u64), String> {
        let archive = self.market.archive(party);
        let loaded = load_entry(&*archive, id).await.map_err(|e| e.to_string())?;
        loaded.ok_or_else(|| format!("operation {id} is not stored"))
    }

    async fn step(&self, party: Party, id: &OperationId, event: Event) -> Result<(), String> {
        let archive = self.market.archive(party);
        let place = self.steps.fetch_add(1, Ordering::Relaxed);
        let crashes = self.fault == FaultPlan::CrashBeforeCommit { at: place };
        let tries = if crashes { 2 } else { 1 };
        for n in 1..=tries {
            let (entry, version) = self.entry(party, id).await?;
            let (purse, purse_version) = load_purse(&*archive, &Self::purse_id(party))
                .await
                .map_err(|e| e.to_string())?
                .ok_or("the purse is gone")?;
            let (module, me) = (self.market.module(party), self.market.keys(party));
            let mut entropy = [party as u8; 32];
            entropy[..8].copy_from_slice(&self.number().to_be_bytes());
            let certificates = self.market.certificates(party);
            let context = Context {
                now: self.market.now(),
                verify: self.market.verify(),
                entropy: &entropy,
                me: &me,
                certificates: &certificates,
            };
            let advance =
                entry.advance(&*module, &context, &purse, event.clone()).map_err(|error| error.to_string())?;
            if n < tries {
                continue;
            }
            let mut commit = Commit::default();
            let versions = Versions { entry: version, purse: purse_version };
            advance.store(&purse, versions, &Entry::key(id), &mut commit);
            archive.commit(commit).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    async fn ask(&self, request: IssuerRequest) -> Option<IssuerReply> {
        let place = self.asks.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            FaultPlan::RequestLost { at } if at == place => None,
            FaultPlan::AnswerLost { at } if at == place => {
                self.market.call(request).await;
                None
            }
            FaultPlan::RequestDoubled { at } if at == place => {
                self.market.call(request.clone()).await;
                self.market.call(request).await
            }
            _ => self.market.call(request).await,
        }
    }

    /// The proofs of payment that an operation has kept.
    pub(super) async fn proofs(&self, party: Party, id: &OperationId) -> Result<Vec<Proof>, String> {
        let evidence = self.market.archive(party).evidence(&Entry::key(id)).await.map_err(|e| e.to_string())?;
        let proofs = evidence.iter().filter(|kept| kept.item.kind == EvidenceKind::Payment.name());
        proofs.map(|kept| Proof::from_bytes(&kept.item.bytes).map_err(|e| e.to_string())).collect()
    }

    /// What an operation has kept to show which side took the money of a lock.
    pub(super) async fn redemptions(&self, party: Party, id: &OperationId) -> Result<Vec<Vec<u8>>, String> {
        let evidence = self.market.archive(party).evidence(&Entry::key(id)).await.map_err(|e| e.to_string())?;
        let shown = evidence.into_iter().filter(|kept| kept.item.kind == EvidenceKind::Redemption.name());
        Ok(shown.map(|kept| kept.item.bytes).collect())
    }

    /// A signed request of the payee for `minor`, made ready by its module.
    pub(super) async fn request(&self, minor: u64) -> Result<Signed, String> {
        let amount = self.amount(minor);
        let details = self.done(Party::Payee, Task::Expect(amount)).await?.handover;
        Ok(self.request_for(amount, details))
    }

    pub(super) fn request_for(&self, amount: Amount, details: Vec<u8>) -> Signed {
        let request = PaymentRequest {
            deal: self.deal(),
            amount,
            purpose: "a test".to_owned(),
            system: self.market.module(Party::Payee).system(),
            issuer: self.market.issuer(),
            details,
            expires: self.market.now().after(Seconds(900)),
        };
        let keys = self.market.keys(Party::Payee);
        self.market.sign(Party::Payee, request.draft(keys.suite(), keys.id()))
    }

    /// What all parties can spend and the issuer owes, once everything is settled.
    pub(super) async fn count(&self) -> Result<(), String> {
        let mut held = 0;
        for party in [Party::Payer, Party::Payee, Party::Stranger, Party::Arbiter] {
            let archive: Arc<dyn Archive> = self.market.archive(party);
            let opened = archive.state(&purse_key(&Self::purse_id(party))).await.map_err(|e| e.to_string())?;
            if opened.is_none() {
                continue;
            }
            self.done(party, Task::Refresh).await?;
            let balance = self.balance(party).await?;
            held += balance.available.minor() + balance.pending.minor();
        }
        let owed = self.market.owed().await;
        if held == owed { Ok(()) } else { Err(format!("the issuer owes {owed}, the parties hold {held}")) }
    }
}

/// Where the money of a failed operation is.
pub(super) fn at_fault(failure: &Failure, fault: Fault) -> Result<(), String> {
    if failure.fault == fault {
        Ok(())
    } else {
        Err(format!("the fault is {:?}, not {fault:?}: {failure}", failure.fault))
    }
}
