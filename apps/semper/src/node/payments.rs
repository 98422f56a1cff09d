//! The payment manager at work: purses, and the operations on them, driven until they end. A node has one, and so has an arbiter.
//!
//! An intent is stored by whoever wants it (a deal's step, the owner). From then on one task at a time takes the operation from step
//! to step: it does what the stored step asks for, gives the module what came of it, and commits the next step. The last commit of
//! an operation that a deal waits for is the commit of the deal's own step: neither can be stored without the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Encode;
use semper_core::cose::{Draft, Kind};
use semper_core::ids::DealId;
use semper_core::signature::Verify;
use semper_support::approval::{Answer as Signature, ApprovalError, Exhibit, KeyHolder, SignRequest};
use semper_support::archive::{Archive, Commit, CommitError, PutState, ReadError};
use semper_support::crypto::{CryptoError, Randomness};
use semper_support::engine::Consent;
use semper_transfer::payment::Module;
use semper_transfer::payment::journal::{
    Advance, Entry, HISTORY_SPACE, OPEN_SPACE, Versions, load_entry, load_purse, purse_key, purse_prefix,
};
use semper_transfer::payment::means::{Means, System};
use semper_transfer::payment::module::{Context, Event as Happening, Funding, Next, Purse, StepError};
use semper_transfer::payment::operation::{Answer, Operation, OperationId, Outcome, PurseId, Task};
use semper_transfer::payment::pay::Offered;
use semper_vault::rules::Systems;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::issuer::Issuers;
use super::outbox::task_of;
use super::{Entry as DealEntry, LOOK_AGAIN, now, rest};

/// Record space of the operations that are no longer wanted: operation → nothing.
pub(super) const ABANDONED_SPACE: &str = "payment-abandoned";
/// Record space of the order in which purses are liked: purse → rank (8 bytes, big-endian), the lowest first.
const RANK_SPACE: &str = "purse-rank";
/// Record space of addresses that money is waited for at, for the user: operation → address.
const ADDRESS_SPACE: &str = "payment-address";
/// Most operations that are driven at once.
const PARALLEL: usize = 16;
/// Operations that are read at once.
const PAGE: usize = 256;
/// Most purses of one party.
const PURSES_MAX: usize = 32;
/// The pauses between requests that an issuer does not answer.
const PAUSES: [u64; 6] = [1, 2, 4, 8, 16, 30];
/// How long a look at a purse may take while its user waits for something else.
const REFRESH_MAX: Duration = Duration::from_secs(5);
/// Steps that one operation takes without a pause: an issuer that answers at once for ever does not keep us busy.
const STEPS_AT_ONCE: usize = 32;
/// Why an operation rests after a restore.
const UNSEEN: &str = "the purse comes from a backup and is looked through at its issuer first; no money moved";
/// How often a step is computed again when another one on the same purse was stored meanwhile.
const TRIES: usize = 16;

/// The means of payment of one party.
pub struct Payments {
    pub(super) parts: PaymentParts,
    /// Counts steps, so that whoever waits for an operation looks again.
    pub(super) changed: watch::Sender<u64>,
    /// Held while a purse is opened.
    opening: Mutex<()>,
    /// One step on a purse at a time.
    purses: Lock<HashMap<PurseId, Arc<Mutex<()>>>>,
    /// What operations rest for, in memory only: after a new start everything is tried at once.
    resting: Lock<HashMap<OperationId, Rest>>,
    /// Counts how often everything was roused: what lies down while that happens gets up again.
    roused: AtomicU64,
    pub(super) wake: Notify,
}

/// What a payment manager is made of.
pub struct PaymentParts {
    /// The payment systems.
    pub systems: Systems,
    /// The way to mints and banks.
    pub issuers: Arc<dyn Issuers>,
    /// Where purses and operations are stored.
    pub archive: Arc<dyn Archive>,
    /// The holder of the party's keys.
    pub keys: Arc<dyn KeyHolder>,
    /// Signature verification.
    pub verify: Arc<dyn Verify>,
    /// Randomness for identifiers and operations.
    pub random: Arc<dyn Randomness>,
    /// The party's own certificates, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// Whoever waits for the ends of operations that belong to deals.
#[async_trait]
pub trait Waiting: Send + Sync {
    /// Stores `commit`, which ends an operation, with what the deal makes of it, in one commit. If the deal does not want the answer, the
    /// operation ends alone.
    ///
    /// # Errors
    /// `Commit`, or `Waiting`: the deal cannot take its step now, and the operation stays open.
    async fn ended(&self, deal: DealId, answer: Answer, commit: Commit) -> Result<(), PaymentError>;
}

#[derive(Clone, Debug)]
struct Rest {
    until: Instant,
    attempts: usize,
    trouble: Option<String>,
}

/// An operation as it is shown.
#[derive(Clone, Debug)]
pub struct OperationView {
    /// The operation as it is stored.
    pub entry: Entry,
    /// Why it does not go on, if it does not.
    pub trouble: Option<String>,
    /// Where money is waited for, if it is.
    pub address: Option<String>,
}

/// Why an operation could not be begun or shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PaymentError {
    /// There is no such purse.
    #[error("there is no purse {0}; see `semper wallet balance`")]
    NoPurse(String),
    /// There is no such operation.
    #[error("there is no payment operation {0}")]
    NoOperation(OperationId),
    /// There are as many purses as there may be.
    #[error("there are {PURSES_MAX} purses already")]
    TooManyPurses,
    /// No module of this name.
    #[error("the payment system {0:?} is not known; known are {1}")]
    UnknownSystem(String, String),
    /// Storage failed. No money moved.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Storage failed. No money moved.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The deal that waits for an operation cannot go on now. The operation has not ended.
    #[error("the deal that waits for it cannot go on: {0}")]
    Waiting(String),
    /// A payment module does not accept what happened: a bug, or a stored stage that is damaged. The stored stage stands.
    #[error(transparent)]
    Step(#[from] StepError),
    /// No randomness.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl Payments {
    /// Over its parts. Nothing runs until [`Payments::run`].
    pub fn new(parts: PaymentParts) -> Arc<Self> {
        let (purses, resting) = (Lock::default(), Lock::default());
        let (changed, roused) = (watch::Sender::new(0), AtomicU64::new(0));
        Arc::new(Self { parts, changed, opening: Mutex::new(()), purses, resting, roused, wake: Notify::new() })
    }

    /// The modules of all payment systems.
    pub fn systems(&self) -> impl Iterator<Item = &dyn Module> {
        self.parts.systems.iter().map(AsRef::as_ref)
    }

    /// The module of a payment system.
    pub fn module(&self, system: &System) -> Option<&dyn Module> {
        self.parts.systems.iter().map(AsRef::as_ref).find(|module| module.system() == *system)
    }

    fn system(&self, name: &str) -> Result<System, PaymentError> {
        let known =
            || self.parts.systems.iter().map(|module| module.system().to_string()).collect::<Vec<_>>().join(", ");
        let system = System::parse(name).filter(|system| self.module(system).is_some());
        system.ok_or_else(|| PaymentError::UnknownSystem(name.to_owned(), known()))
    }

    pub(super) fn fresh<const N: usize>(&self) -> Result<[u8; N], CryptoError> {
        let mut bytes = [0; N];
        self.parts.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn purse_lock(&self, id: PurseId) -> Arc<Mutex<()>> {
        self.purses.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }

    fn rest(&self, id: OperationId) -> Option<Rest> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn clear_rest(&self, id: OperationId) {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Lets an operation rest for `span`, or not at all if everything was roused since `roused` was read.
    fn lie_down(&self, id: OperationId, span: Duration, trouble: Option<String>, roused: u64) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = resting.get(&id).map_or(0, |rest| rest.attempts) + 1;
        let span = if self.roused.load(Ordering::SeqCst) == roused { span } else { Duration::ZERO };
        resting.insert(id, Rest { until: Instant::now() + span, attempts, trouble });
    }

    /// Every operation is tried again at once.
    pub(super) fn rouse(&self) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        self.roused.fetch_add(1, Ordering::SeqCst);
        resting.values_mut().for_each(|rest| rest.until = Instant::now());
        drop(resting);
        self.wake.notify_one();
    }
}

/// What a drive of an operation came to.
enum Drive {
    /// It has taken a step; go on.
    On,
    /// It waits.
    Rest(Duration, Option<String>),
    /// It has ended.
    Ended,
}

impl Payments {
    /// Drives the operations until `stop` becomes true, what was begun before a crash first. `waiting` hears of the ends of those that
    /// belong to deals.
    pub async fn run(self: Arc<Self>, waiting: Option<Arc<dyn Waiting>>, mut stop: watch::Receiver<bool>) {
        let mut drives: JoinSet<()> = JoinSet::new();
        let mut busy: HashMap<tokio::task::Id, OperationId> = HashMap::new();
        loop {
            while let Some(finished) = drives.try_join_next_with_id() {
                busy.remove(&task_of(&finished));
            }
            match self.open_operations().await {
                Ok(open) => {
                    for id in open {
                        let rests = self.rest(id).is_some_and(|rest| rest.until > Instant::now());
                        if drives.len() < PARALLEL && !rests && !busy.values().any(|other| *other == id) {
                            let task = drives.spawn(self.clone().drive(id, waiting.clone()));
                            busy.insert(task.id(), id);
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "the open payment operations cannot be read"),
            }
            tokio::select! {
                Some(finished) = drives.join_next_with_id(), if !drives.is_empty() => {
                    busy.remove(&task_of(&finished));
                    if *stop.borrow() {
                        break;
                    }
                }
                go_on = rest(&self.wake, self.next_payment(&busy), &mut stop) => if !go_on { break },
            }
        }
        // What is under way may finish; what does not goes on after the next start.
        let finish = async { while drives.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), finish).await;
    }

    fn next_payment(&self, busy: &HashMap<tokio::task::Id, OperationId>) -> Duration {
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = resting.iter().filter(|(id, _)| !busy.values().any(|other| other == *id));
        let next = waiting.map(|(_, rest)| rest.until.saturating_duration_since(Instant::now())).min();
        next.unwrap_or(LOOK_AGAIN).max(Duration::from_millis(20))
    }

    /// How many operations have not ended; `most` at most.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn open_count(&self, most: usize) -> Result<usize, ReadError> {
        Ok(self.parts.archive.records(OPEN_SPACE, None, most).await?.len())
    }

    /// Whether an operation could take a step now: it waits neither for its user nor for an issuer that does not answer.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn could_go_on(&self) -> Result<bool, ReadError> {
        let rests = |id| self.rest(id).is_some_and(|rest| rest.until > Instant::now());
        Ok(self.open_operations().await?.into_iter().any(|id| !rests(id)))
    }

    async fn open_operations(&self) -> Result<Vec<OperationId>, ReadError> {
        let mut open = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.parts.archive.records(OPEN_SPACE, after.as_deref(), PAGE).await?;
            let ids = page.iter().filter_map(|(key, _)| Some(OperationId::from_array(key.as_slice().try_into().ok()?)));
            open.extend(ids);
            match page.last() {
                Some((key, _)) if page.len() == PAGE => after = Some(key.clone()),
                _ => return Ok(open),
            }
        }
    }

    /// Takes an operation as far as it goes now.
    async fn drive(self: Arc<Self>, id: OperationId, waiting: Option<Arc<dyn Waiting>>) {
        for _ in 0..STEPS_AT_ONCE {
            let roused = self.roused.load(Ordering::SeqCst);
            match self.drive_once(id, waiting.as_deref()).await {
                Ok(Drive::On) => self.clear_rest(id),
                Ok(Drive::Ended) => {
                    self.clear_rest(id);
                    // Whatever waited for it goes on.
                    self.rouse();
                    return;
                }
                Ok(Drive::Rest(span, trouble)) => {
                    if trouble.is_some() {
                        tracing::info!(operation = %id, ?trouble, "a payment operation waits");
                    }
                    self.lie_down(id, span, trouble, roused);
                    self.changed.send_modify(|count| *count += 1);
                    return;
                }
                Err(error) => {
                    tracing::error!(operation = %id, %error, "a payment operation cannot go on");
                    // Whatever it is, it is not mended by trying again at once.
                    let now = self.roused.load(Ordering::SeqCst);
                    self.lie_down(id, LOOK_AGAIN, Some(error.to_string()), now);
                    self.changed.send_modify(|count| *count += 1);
                    return;
                }
            }
        }
        let roused = self.roused.load(Ordering::SeqCst);
        self.lie_down(id, Duration::from_secs(1), None, roused);
    }

    async fn drive_once(&self, id: OperationId, waiting: Option<&dyn Waiting>) -> Result<Drive, PaymentError> {
        let Some((entry, _)) = load_entry(&*self.parts.archive, &id).await? else {
            return Ok(Drive::Ended);
        };
        if !entry.has_ended() && self.waits_for_look(&entry.operation).await? {
            return Ok(Drive::Rest(LOOK_AGAIN, Some(UNSEEN.to_owned())));
        }
        if !entry.has_ended() && self.parts.archive.record(ABANDONED_SPACE, id.as_bytes()).await?.is_some() {
            let gone = (ABANDONED_SPACE.to_owned(), id.as_bytes().to_vec(), None);
            let with = Commit { records: vec![gone], ..Commit::default() };
            return self.step(id, Happening::GiveUp, with, waiting).await;
        }
        let happening = match &entry.next {
            None => Happening::Begin,
            Some(Next::Done(_) | Next::Failed(_)) => return Ok(Drive::Ended),
            Some(Next::Ask(request)) => match self.parts.issuers.ask(request).await {
                Ok(reply) => Happening::Reply(reply),
                Err(silence) => {
                    let attempts = self.rest(id).map_or(0, |rest| rest.attempts);
                    let pause = PAUSES[attempts.min(PAUSES.len() - 1)];
                    return Ok(Drive::Rest(Duration::from_secs(pause), Some(silence)));
                }
            },
            Some(Next::Sign { draft, consent }) => match self.ask_for(&entry, draft, *consent).await? {
                Ok(happening) => happening,
                Err(rest) => return Ok(rest),
            },
            Some(Next::Fund(funding)) => match self.fund(&entry, funding).await? {
                Ok(happening) => happening,
                Err(rest) => return Ok(rest),
            },
            Some(Next::Wait(time)) if *time > now() => {
                let span = Duration::from_secs(time.unix() - now().unix());
                return Ok(Drive::Rest(span.min(LOOK_AGAIN), None));
            }
            Some(Next::Wait(_)) => Happening::Due,
            Some(Next::Look(other)) => match load_entry(&*self.parts.archive, other).await? {
                Some((other, _)) if other.has_ended() => Happening::Stage(other.stage),
                Some(_) => return Ok(Drive::Rest(Duration::from_secs(1), None)),
                None => Happening::Stage(Vec::new()),
            },
        };
        self.step(id, happening, Commit::default(), waiting).await
    }

    /// Asks the key holder; an error is what to do while it has not answered.
    async fn ask_for(
        &self,
        entry: &Entry,
        draft: &Draft,
        consent: Consent,
    ) -> Result<Result<Happening, Drive>, PaymentError> {
        let exhibit = match (&entry.operation.task, draft.kind, consent) {
            (Task::Pay { request, salt }, Kind::PaymentOrder, _) => {
                Exhibit::Payment { request: request.bytes().to_vec(), salt: *salt }
            }
            (_, _, Consent::Ask) => Exhibit::Statement,
            (_, _, Consent::Implied) => Exhibit::Consequence,
        };
        let request = SignRequest { deal: shown_under(&entry.operation), draft: draft.clone(), exhibit };
        Ok(match self.parts.keys.request(request).await {
            Ok(Signature::Signed(signed)) => Ok(Happening::Signed(signed)),
            Ok(Signature::Declined) => Ok(Happening::Declined),
            Ok(Signature::Waiting) => Err(Drive::Rest(LOOK_AGAIN, None)),
            Err(error @ (ApprovalError::Unavailable(_) | ApprovalError::TooMany)) => {
                Err(Drive::Rest(LOOK_AGAIN, Some(error.to_string())))
            }
            // Never to be signed.
            Err(error) => {
                tracing::error!(operation = %entry.operation.id, %error, "a payment is not signed");
                Ok(Happening::Declined)
            }
        })
    }

    /// Sends money that an operation needs from another purse, with an operation of its own.
    async fn fund(&self, entry: &Entry, funding: &Funding) -> Result<Result<Happening, Drive>, PaymentError> {
        let id = entry.operation.id.funding();
        if let Some((child, _)) = load_entry(&*self.parts.archive, &id).await? {
            return Ok(match child.next {
                Some(Next::Done(outcome)) => Ok(Happening::Funded(outcome)),
                Some(Next::Failed(failure)) => Ok(Happening::NotFunded(failure)),
                _ => Err(Drive::Rest(LOOK_AGAIN, None)),
            });
        }
        let purses = self.purses().await?;
        let fits = |purse: &&Purse| {
            purse.system.as_str() == funding.method
                && purse.currency == funding.amount.currency()
                && funding.address.contains(purse.issuer.as_str())
        };
        let Some(purse) = purses.iter().find(fits) else {
            // Somebody pays from outside: the address is shown, and the issuer says when the money has come.
            let address = funding.address.as_bytes().to_vec();
            let shown = (ADDRESS_SPACE.to_owned(), entry.operation.id.as_bytes().to_vec(), Some(address));
            let commit = Commit { records: vec![shown], ..Commit::default() };
            self.parts.archive.commit(commit).await.map_err(PaymentError::Commit)?;
            let zero = Amount::new(0, funding.amount.currency()).expect("zero is an amount");
            return Ok(Ok(Happening::Funded(Outcome { moved: zero, fee: zero, handover: Vec::new() })));
        };
        let task = Task::Transfer { amount: funding.amount, address: funding.address.clone() };
        let operation = Operation { id, purse: purse.id, deal: None, task };
        let mut commit = Commit::default();
        Entry::intent(operation, Some(entry.operation.id), now()).begin(&mut commit);
        match self.parts.archive.commit(commit).await {
            Ok(()) | Err(CommitError::Stale { .. }) => {}
            Err(error) => return Err(PaymentError::Commit(error)),
        }
        self.wake.notify_one();
        Ok(Err(Drive::Rest(LOOK_AGAIN, None)))
    }

    /// One step: computed, stored, and given to the deal that waits for it if it is the last.
    async fn step(
        &self,
        id: OperationId,
        happening: Happening,
        with: Commit,
        waiting: Option<&dyn Waiting>,
    ) -> Result<Drive, PaymentError> {
        for _ in 0..TRIES {
            let Some((entry, version)) = load_entry(&*self.parts.archive, &id).await? else { return Ok(Drive::Ended) };
            let lock = self.purse_lock(entry.operation.purse);
            let held = lock.lock().await;
            let Some((purse, purse_version)) = load_purse(&*self.parts.archive, &entry.operation.purse).await? else {
                return Err(PaymentError::NoPurse(entry.operation.purse.to_string()));
            };
            let versions = Versions { entry: version, purse: purse_version };
            let advance = self.compute(entry, &purse, happening.clone())?;
            let deal = advance.entry.operation.deal;
            let evidence_key = deal.map_or_else(|| Entry::key(&id), |deal| DealEntry::key(&deal));
            let mut commit = with.clone();
            advance.store(&purse, versions, &evidence_key, &mut commit);
            if advance.entry.has_ended() {
                commit.records.push((ADDRESS_SPACE.to_owned(), id.as_bytes().to_vec(), None));
                commit.records.retain(|(space, _, _)| space != ABANDONED_SPACE);
                commit.records.push((ABANDONED_SPACE.to_owned(), id.as_bytes().to_vec(), None));
            }
            let stored = match (waiting, deal, advance.entry.answer()) {
                (Some(waiting), Some(deal), Some(answer)) => waiting.ended(deal, answer, commit).await,
                _ => self.parts.archive.commit(commit).await.map_err(PaymentError::Commit),
            };
            drop(held);
            match stored {
                Ok(()) => {
                    self.changed.send_modify(|count| *count += 1);
                    return Ok(if advance.entry.has_ended() { Drive::Ended } else { Drive::On });
                }
                // Another step was first, or nobody knows: what is stored decides.
                Err(PaymentError::Commit(CommitError::Stale { .. } | CommitError::Unknown(_))) => {
                    let (now_stored, _) =
                        load_entry(&*self.parts.archive, &id).await?.ok_or(PaymentError::NoOperation(id))?;
                    if now_stored == advance.entry {
                        return Ok(if now_stored.has_ended() { Drive::Ended } else { Drive::On });
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Drive::Rest(Duration::from_secs(1), None))
    }

    fn compute(&self, entry: Entry, purse: &Purse, happening: Happening) -> Result<Advance, PaymentError> {
        let unknown = || PaymentError::UnknownSystem(purse.system.to_string(), String::new());
        let module = self.module(&purse.system).ok_or_else(unknown)?;
        let (entropy, me) = (self.fresh()?, self.parts.keys.key_set());
        let context = Context {
            now: now(),
            verify: &*self.parts.verify,
            entropy: &entropy,
            me: &me,
            certificates: &self.parts.certificates,
        };
        Ok(entry.advance(module, &context, purse, happening)?)
    }

    /// Begins an operation of the owner.
    ///
    /// # Errors
    /// There is no such purse, or storage failed; nothing was begun.
    pub async fn begin_operation(&self, purse: PurseId, task: Task) -> Result<OperationId, PaymentError> {
        if self.parts.archive.state(&purse_key(&purse)).await?.is_none() {
            return Err(PaymentError::NoPurse(purse.to_string()));
        }
        let id = OperationId::of_owner(self.fresh()?);
        self.begin(Operation { id, purse, deal: None, task }).await?;
        Ok(id)
    }

    /// Begins an operation, unless it was begun before.
    ///
    /// # Errors
    /// Storage failed; nothing was begun.
    pub async fn begin(&self, operation: Operation) -> Result<(), PaymentError> {
        let mut commit = Commit::default();
        Entry::intent(operation, None, now()).begin(&mut commit);
        match self.parts.archive.commit(commit).await {
            Ok(()) | Err(CommitError::Stale { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Operations were begun by somebody else's commit: they are driven at once.
    pub fn look(&self) {
        self.wake.notify_one();
    }

    /// How an operation has ended; `None` if it has not been begun, or has not ended after `patience`.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn end_of(&self, id: OperationId, patience: Duration) -> Result<Option<Answer>, PaymentError> {
        let until = Instant::now() + patience;
        let mut changes = self.changed.subscribe();
        loop {
            match load_entry(&*self.parts.archive, &id).await?.map(|(entry, _)| entry.answer()) {
                None => return Ok(None),
                Some(Some(answer)) => return Ok(Some(answer)),
                Some(None) => {}
            }
            if tokio::time::timeout_at(until, changes.changed()).await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Tells an operation that it is no longer wanted. It ends as soon as that loses no money.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn abandon_operation(&self, id: OperationId) -> Result<(), PaymentError> {
        let record = (ABANDONED_SPACE.to_owned(), id.as_bytes().to_vec(), Some(Vec::new()));
        self.parts.archive.commit(Commit { records: vec![record], ..Commit::default() }).await?;
        self.rouse();
        Ok(())
    }

    /// Opens a purse at an issuer unless there is one, and begins to ask for the issuer's terms.
    ///
    /// # Errors
    /// [`PaymentError`]; no purse was opened.
    pub async fn open_purse(
        &self,
        system: &str,
        issuer: &str,
        currency: Currency,
    ) -> Result<(PurseId, OperationId), PaymentError> {
        let id = self.purse_at(system, issuer, currency).await?;
        Ok((id, self.begin_operation(id, Task::Refresh).await?))
    }

    /// The purse at an issuer. A new one knows nothing of its issuer's terms.
    ///
    /// # Errors
    /// [`PaymentError`]; no purse was opened.
    pub async fn purse_at(&self, system: &str, issuer: &str, currency: Currency) -> Result<PurseId, PaymentError> {
        let system = self.system(system)?;
        // Two purses of one seed at one issuer would make the same coins.
        let _one_at_a_time = self.opening.lock().await;
        let purses = self.purses().await?;
        let issuer = issuer.trim_end_matches('/').to_owned();
        let same = |purse: &&Purse| (&purse.system, &purse.issuer, purse.currency) == (&system, &issuer, currency);
        if let Some(purse) = purses.iter().find(same) {
            return Ok(purse.id);
        }
        if purses.len() >= PURSES_MAX {
            return Err(PaymentError::TooManyPurses);
        }
        let id = PurseId::from_array(self.fresh()?);
        let purse = Purse { id, system, issuer, currency, records: BTreeMap::new() };
        let state = PutState { key: purse_key(&id), replaces: 0, bytes: purse.to_bytes() };
        // Behind all others, also those of the same second.
        let last = self.ranks().await?.into_values().max().map_or(0, |last| last.saturating_add(1));
        let rank = now().unix().max(last).to_be_bytes();
        let rank = (RANK_SPACE.to_owned(), id.as_bytes().to_vec(), Some(rank.to_vec()));
        self.parts.archive.commit(Commit { states: vec![state], records: vec![rank], ..Commit::default() }).await?;
        Ok(id)
    }

    /// Makes a purse the one that is liked best.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn prefer_purse(&self, id: PurseId) -> Result<(), PaymentError> {
        let least = self.ranks().await?.into_values().min().unwrap_or(1);
        let rank =
            (RANK_SPACE.to_owned(), id.as_bytes().to_vec(), Some(least.saturating_sub(1).to_be_bytes().to_vec()));
        Ok(self.parts.archive.commit(Commit { records: vec![rank], ..Commit::default() }).await?)
    }

    /// Every purse, the one that is liked best first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn purses(&self) -> Result<Vec<Purse>, ReadError> {
        let ranks = self.ranks().await?;
        let mut purses = Vec::new();
        for stored in self.parts.archive.states(purse_prefix(), None, PURSES_MAX).await? {
            let id =
                stored.key.strip_prefix(purse_prefix()).and_then(|id| Some(PurseId::from_array(id.try_into().ok()?)));
            if let Some(id) = id
                && let Some((purse, _)) = load_purse(&*self.parts.archive, &id).await?
            {
                purses.push(purse);
            }
        }
        purses.sort_by_key(|purse| ranks.get(purse.id.as_bytes().as_slice()).copied().unwrap_or_default());
        Ok(purses)
    }

    /// The place of each purse, by its identifier: the least is liked best.
    async fn ranks(&self) -> Result<BTreeMap<Vec<u8>, u64>, ReadError> {
        let ranks = self.parts.archive.records(RANK_SPACE, None, PURSES_MAX).await?.into_iter();
        Ok(ranks.filter_map(|(id, rank)| Some((id, u64::from_be_bytes(rank.try_into().ok()?)))).collect())
    }

    /// The purses as they are offered in a payment, the one that is liked best first.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn offered(&self) -> Result<Vec<Offered>, ReadError> {
        let purses = self.purses().await?;
        let offered = purses
            .iter()
            .filter_map(|purse| Some(Offered { purse: purse.id, means: self.module(&purse.system)?.means(purse)? }));
        Ok(offered.collect())
    }

    /// The means of the purses that hold at least `amount`, the one that is liked best first. One that is liked better than these and
    /// seems to hold too little is looked at anew: an account may have been paid into.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn holding(&self, amount: Amount) -> Result<Vec<Means>, PaymentError> {
        let mut looks = Vec::new();
        for purse in self.purses().await?.into_iter().filter(|purse| purse.currency == amount.currency()) {
            if self.holds(&purse, amount) {
                break;
            }
            looks.push(self.begin_operation(purse.id, Task::Refresh).await?);
        }
        for look in looks {
            self.end_of(look, REFRESH_MAX).await?;
        }
        let purses = self.purses().await?;
        let holding = purses.iter().filter(|purse| self.holds(purse, amount));
        Ok(holding.filter_map(|purse| self.module(&purse.system)?.means(purse)).collect())
    }

    fn holds(&self, purse: &Purse, amount: Amount) -> bool {
        self.module(&purse.system).is_some_and(|module| module.balance(purse).available.minus(amount).is_ok())
    }

    /// An operation, for the screen.
    ///
    /// # Errors
    /// There is no such operation, or storage failed.
    pub async fn operation(&self, id: OperationId) -> Result<OperationView, PaymentError> {
        let (entry, _) = load_entry(&*self.parts.archive, &id).await?.ok_or(PaymentError::NoOperation(id))?;
        let address = self.parts.archive.record(ADDRESS_SPACE, id.as_bytes()).await?;
        let trouble = self.rest(id).and_then(|rest| rest.trouble);
        Ok(OperationView { entry, trouble, address: address.and_then(|address| String::from_utf8(address).ok()) })
    }

    /// The last `limit` operations in the order of their beginning.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn history(&self, limit: usize) -> Result<Vec<OperationView>, PaymentError> {
        let youngest_first = self.parts.archive.records(HISTORY_SPACE, None, limit).await?;
        let mut views = Vec::new();
        for (place, _) in youngest_first.into_iter().rev() {
            if let Some(id) = place.get(8..).and_then(|id| id.try_into().ok()) {
                views.push(self.operation(OperationId::from_array(id)).await?);
            }
        }
        Ok(views)
    }
}

/// The deal under which the key holder shows a question of an operation.
fn shown_under(operation: &Operation) -> DealId {
    let id: &[u8; 32] = operation.id.as_bytes();
    operation.deal.unwrap_or_else(|| DealId::from_array(id[..16].try_into().expect("32 bytes begin with 16")))
}
