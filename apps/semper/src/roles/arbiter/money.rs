//! The arbiter's own purses: its hand on locks, for which they hold no money, and what goes through its hands ([`super::hands`]).
//!
//! Whatever is asked of an issuer is an operation with an identifier that follows from the case, so that the same request finds the same
//! operation again, and is answered as soon as that has ended. A purse is opened when an issuer is named for the first time.

use std::sync::Arc;
use std::time::Duration;

use semper_channel::ServiceClient;
use semper_core::amount::Currency;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::Cid;
use semper_core::machine::Fault;
use semper_core::party::Role;
use semper_exchange::arbiter::request::Case;
use semper_exchange::arbiter::service::cell_key;
use semper_exchange::gx::Price;
use semper_support::archive::{Archive, Commit, CommitError, Fact, ReadError};
use semper_transfer::payment::operation::{Answer, Failure, Lock, Operation, OperationId, Outcome, PurseId, Task};
use semper_transfer::payment::statement::Side;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::node::{PaymentError, Payments};

/// How long a request waits for an issuer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How often an issuer is asked anew about the same thing after it has failed.
const ATTEMPTS: u8 = 8;
/// Most requests that wait for issuers at once.
const WAITING_MAX: usize = 32;
/// Most operations that wait for issuers that do not answer.
const OPEN_MAX: usize = 1000;
/// Fact space of the side that the locked money of a contract was let go to: cell → side.
const SETTLED_SPACE: &str = "settled";

/// The arbiter's purses.
pub(super) struct Money {
    archive: Arc<dyn Archive>,
    payments: Arc<Payments>,
    issuers: Vec<String>,
    waiting: Semaphore,
}

/// Why the money of a case was not confirmed or let go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum MoneyError {
    /// It never will be: the issuer or the payment system refuses the token or the payout.
    #[error("{0}")]
    Refused(String),
    /// The issuer has not answered yet, or failed to. The same request may be answered later.
    #[error("the issuer of the locked money is awaited")]
    Awaited,
    /// The money went to the other side before.
    #[error("the locked money of this contract was let go to the other side")]
    OtherSide,
    /// The purses do not work now.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Storage failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why a purse is not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum OpenError {
    /// The issuer refuses.
    #[error("{0}")]
    Failed(Failure),
    /// It has not answered yet. It is asked on.
    #[error("the issuer has not answered yet, and is asked again: {0}")]
    Silent(String),
    /// The purses do not work now, or there are too many.
    #[error(transparent)]
    Payment(#[from] PaymentError),
}

impl Money {
    pub(super) fn new(archive: Arc<dyn Archive>, payments: Arc<Payments>, issuers: Vec<String>) -> Self {
        let issuers = issuers.iter().map(|issuer| issuer.trim_end_matches('/').to_owned()).collect();
        Self { archive, payments, issuers, waiting: Semaphore::new(WAITING_MAX) }
    }

    /// Has the issuer confirm that a payer's token is the lock of the contract.
    ///
    /// # Errors
    /// [`MoneyError`]; nothing may be ruled in the payer's favour.
    pub(super) async fn confirm(&self, case: &Case, payer: Role, token: &[u8]) -> Result<(), MoneyError> {
        let (price, lock) = locked(case, payer)?;
        let task = Task::VerifyLock { lock, token: token.to_vec() };
        self.perform(case.cid(), &price, &[token], task).await.map(drop)
    }

    /// The authorisation that the payer's money goes to a side. The money of a contract goes to one side, for ever.
    ///
    /// # Errors
    /// [`MoneyError`]; nothing was let go.
    pub(super) async fn authorise(
        &self,
        case: &Case,
        payer: Role,
        token: &[u8],
        payout: &[u8],
        to: Side,
    ) -> Result<Vec<u8>, MoneyError> {
        let (price, lock) = locked(case, payer)?;
        self.only(case, to).await?;
        let task = Task::Authorise { lock, token: token.to_vec(), payout: payout.to_vec(), to };
        let about = [token, payout, to.name().as_bytes()];
        Ok(self.perform(case.cid(), &price, &about, task).await?.handover)
    }

    /// Stores the side that the money goes to. Rules and clock say the same side each time; if a clock was wrong, this stands.
    async fn only(&self, case: &Case, to: Side) -> Result<(), MoneyError> {
        let (cell, value) = (cell_key(case), to.name().as_bytes().to_vec());
        if self.archive.fact(SETTLED_SPACE, &cell).await?.is_none() {
            let fact = Fact { space: SETTLED_SPACE.to_owned(), key: cell.clone(), value: value.clone() };
            match self.archive.commit(Commit { facts: vec![fact], ..Commit::default() }).await {
                Ok(()) | Err(CommitError::Taken { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let stands = self.archive.fact(SETTLED_SPACE, &cell).await?;
        if stands == Some(value) { Ok(()) } else { Err(MoneyError::OtherSide) }
    }

    /// Does a task with the purse at the issuer of a price, once for what it is about. Each attempt that fails for a reason that may
    /// pass ends one request; the next request makes the next attempt, with what the issuer then says of itself.
    pub(super) async fn perform(
        &self,
        cid: Cid,
        price: &Price,
        about: &[&[u8]],
        task: Task,
    ) -> Result<Outcome, MoneyError> {
        let _permit = self.waiting.try_acquire().map_err(|_| MoneyError::Awaited)?;
        let until = Instant::now() + PATIENCE;
        let purse = self.purse(price).await?;
        let about = Digest::of_parts(domain::INPUT, about);
        for attempt in 0..ATTEMPTS {
            let id = |verb| OperationId::of_case(cid, verb, about.as_bytes(), attempt);
            // What the issuer says of itself is asked once for a purse, and again after something has failed.
            let terms = if attempt == 0 { first_terms(&purse) } else { id("refresh") };
            let mut outcome = None;
            for (id, task) in [(terms, Task::Refresh), (id(task.verb()), task.clone())] {
                outcome = match self.outcome(id, purse, task, until).await? {
                    Ended::Well(outcome) => Some(outcome),
                    Ended::Refused(reason) => return Err(MoneyError::Refused(reason)),
                    Ended::Failed(When::Now) => return Err(MoneyError::Awaited),
                    Ended::Failed(When::Before) => {
                        outcome = None;
                        break;
                    }
                };
            }
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
        Err(MoneyError::Refused("the issuer of the locked money has failed to confirm it".to_owned()))
    }

    /// Opens a purse, and has its issuer say what it is to know of it before any contract names it. What has failed before is tried again.
    ///
    /// # Errors
    /// The issuer refuses, or does not answer in time: then it is asked on.
    pub(super) async fn open(&self, system: &str, issuer: &str, currency: Currency) -> Result<(), OpenError> {
        let purse = self.payments.purse_at(system, issuer, currency).await?;
        let first = first_terms(&purse);
        self.payments.begin(Operation { id: first, purse, deal: None, task: Task::Refresh }).await?;
        let mut look = first;
        if let Some(Answer { result: Err(_), .. }) = self.payments.end_of(first, Duration::ZERO).await? {
            look = self.payments.begin_operation(purse, Task::Refresh).await?;
        }
        match self.payments.end_of(look, PATIENCE).await? {
            Some(answer) => answer.result.map(drop).map_err(OpenError::Failed),
            None => Err(OpenError::Silent(self.payments.operation(look).await?.trouble.unwrap_or_default())),
        }
    }

    pub(super) async fn purse(&self, price: &Price) -> Result<PurseId, MoneyError> {
        let refused = |error: &dyn std::fmt::Display| MoneyError::Refused(error.to_string());
        ServiceClient::check(&price.issuer).map_err(|e| refused(&e))?;
        if !self.issuers.is_empty() && !self.issuers.iter().any(|known| known == price.issuer.trim_end_matches('/')) {
            return Err(refused(&"this arbiter does not decide over money at this issuer"));
        }
        let purse = self.payments.purse_at(price.system.as_str(), &price.issuer, price.amount.currency()).await;
        purse.map_err(|error| match error {
            PaymentError::UnknownSystem(..) => refused(&error),
            error => error.into(),
        })
    }

    /// Begins an operation if it was not, and waits for its end.
    async fn outcome(&self, id: OperationId, purse: PurseId, task: Task, until: Instant) -> Result<Ended, MoneyError> {
        let earlier = self.payments.end_of(id, Duration::ZERO).await?;
        let when = if earlier.is_some() { When::Before } else { When::Now };
        let answer = match earlier {
            Some(answer) => answer,
            None if self.payments.open_count(OPEN_MAX).await? == OPEN_MAX => return Err(MoneyError::Awaited),
            None => {
                self.payments.begin(Operation { id, purse, deal: None, task }).await?;
                let patience = until.saturating_duration_since(Instant::now());
                self.payments.end_of(id, patience).await?.ok_or(MoneyError::Awaited)?
            }
        };
        Ok(match answer.result {
            Ok(outcome) => Ended::Well(outcome),
            Err(failure) if is_final(&failure) => Ended::Refused(failure.reason),
            Err(failure) => {
                tracing::warn!(operation = %id, %failure, "an issuer has failed");
                Ended::Failed(when)
            }
        })
    }
}

/// How an operation has ended.
enum Ended {
    Well(Outcome),
    Refused(String),
    /// For a reason that may pass.
    Failed(When),
}

/// Whether an operation has ended during this request or before it.
enum When {
    Now,
    Before,
}

/// Whether another attempt would fail in the same way.
fn is_final(failure: &Failure) -> bool {
    matches!(failure.fault, Fault::PeerMisbehaved | Fault::PeerRefused | Fault::Misuse)
}

/// The operation that asks for an issuer's terms when a purse is new.
fn first_terms(purse: &PurseId) -> OperationId {
    OperationId::of_owner(*purse.as_bytes())
}

/// The money that a party gives.
fn locked(case: &Case, payer: Role) -> Result<(Price, Lock), MoneyError> {
    let locked = case.price(payer).zip(case.gives(payer).lock().cloned());
    locked.ok_or_else(|| MoneyError::Refused("no money is locked in this contract".to_owned()))
}
