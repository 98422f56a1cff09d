//! Where an operation stands, and what moves it on.
//!
//! A stage is stored as `[version = 1: u8]` and JSON; coins, keysets and messages in it have the forms of the NUTs. It says what is asked next:
//! [`Stage::next`] makes the same bytes from it whenever it is asked.

use cashu::nuts::KeySet;
use cashu::{Id, Proof};
use semper_core::amount::Amount;
use semper_core::cose::{Draft, Kind};
use semper_core::machine::Fault;
use semper_core::time::Time;
use semper_support::engine::Consent;
use semper_transfer::payment::module::{Context, Event, Next, Purse, Quote, Step, StepError};
use semper_transfer::payment::operation::{Failure, Operation, OperationId, Outcome, Task};
use serde::{Deserialize, Serialize};

use super::deposit::Deposit;
use super::hand::{Hand, Handed};
use super::learn::Learn;
use super::lock::Verifying;
use super::money::{self, Short};
use super::pay::Reclaim;
use super::preimage::Asking;
use super::records::{self, Held};
use super::refresh::Refresh;
use super::restore::Restore;
use super::seed::{COUNTER_MAX, Output, Seed};
use super::take::Take;
use super::transfer::Transfer;
use super::unit;

/// Where an operation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// The mint's keysets are learnt; then it begins again, or goes on where it was.
    Learn(Learn),
    Refresh(Refresh),
    Restore(Restore),
    Deposit(Deposit),
    Transfer(Transfer),
    /// The payer's order is to be signed.
    Order {
        payload: Vec<u8>,
    },
    Hand(Hand),
    Take(Take),
    Reclaim(Reclaim),
    Verify(Verifying),
    /// The mint is asked with what the money of a lock was taken.
    Preimage(Asking),
    /// The end of an operation that handed coins out.
    Handed(Handed),
}

/// One step of one operation.
pub(super) struct Run<'a> {
    pub(super) seed: &'a Seed,
    pub(super) context: &'a Context<'a>,
    pub(super) purse: &'a Purse,
    pub(super) operation: &'a Operation,
    pub(super) held: Held,
}

impl Run<'_> {
    pub(super) fn step(mut self, stage: &[u8], event: Event) -> Result<Step, StepError> {
        let name = event.name();
        let misplaced = StepError { event: name, verb: self.operation.task.verb() };
        if self.held.damaged {
            return Err(misplaced);
        }
        if stage.is_empty() {
            return match event {
                Event::Begin => Ok(self.begin(true)),
                Event::GiveUp => Ok(Step::failed(unwanted())),
                _ => Err(misplaced),
            };
        }
        let stage: Stage = records::parse(stage).ok_or_else(|| misplaced.clone())?;
        if event == Event::GiveUp {
            return Ok(stage.give_up(&self));
        }
        stage.on(&mut self, event).ok_or(misplaced)
    }

    /// Begins the task. `may_learn`: whether unknown keysets may be asked for first.
    pub(super) fn begin(&self, may_learn: bool) -> Step {
        let begun = match &self.operation.task {
            Task::Expect(amount) | Task::Prepare(amount) => self.expect(*amount),
            Task::Pay { request, salt } => self.order(request, salt),
            Task::Receive { request, token } => self.receive(request, token),
            Task::Reclaim(other) => Ok(self.to(Stage::Reclaim(Reclaim::Looking(*other.as_bytes())))),
            Task::Lock(lock) => self.lock(lock),
            Task::VerifyLock { lock, token } => self.verify_lock(lock, token),
            Task::Authorise { lock, token, payout, to } => self.authorise(lock, token, payout, *to),
            Task::Payout { lock, token, to } => self.payout(lock, token, *to),
            Task::Redeem { lock, token, to, authorisation } => self.redeem(lock, token, *to, authorisation),
            Task::Learn { lock, token } => self.preimage(lock, token),
            Task::Transfer { amount, address } => self.transfer(*amount, address),
            Task::Deposit { amount, method } => self.deposit(*amount, method),
            Task::Send(amount) => self.send(*amount),
            Task::Accept(token) => self.accept(token),
            Task::Restore => self.restore(),
            Task::Refresh => Ok(self.to(Stage::Refresh(Refresh::Info))),
        };
        match begun {
            Ok(step) => step,
            Err(Stop::Unknown) if may_learn => self.to(Stage::Learn(Learn::new(None))),
            Err(Stop::Unknown) => Step::failed(no_keyset()),
            Err(Stop::Failed(failure)) => Step::failed(failure),
        }
    }

    /// The step to a stage.
    pub(super) fn to(&self, stage: Stage) -> Step {
        let next = stage.next(self);
        Step::to(records::write(&stage), next)
    }

    pub(super) fn now(&self) -> Time {
        self.context.now
    }

    pub(super) fn issuer(&self) -> &str {
        &self.purse.issuer
    }

    pub(super) fn unit(&self) -> String {
        unit(self.purse)
    }

    pub(super) fn id(&self) -> &[u8; 32] {
        self.operation.id.as_bytes()
    }

    /// An amount in the purse's currency; sums of coins are bounded where they are made.
    pub(super) fn amount(&self, minor: u64) -> Amount {
        Amount::new(minor.min(Amount::MINOR_MAX), self.purse.currency).expect("it is cut to what fits")
    }

    pub(super) fn outcome(&self, moved: u64, fee: u64, handover: Vec<u8>) -> Next {
        Next::Done(Outcome { moved: self.amount(moved), fee: self.amount(fee), handover })
    }

    /// Minor units of an amount in the purse's currency that is not zero.
    pub(super) fn minor(&self, amount: Amount) -> Result<u64, Stop> {
        minor(self.purse, amount).map_err(Stop::Failed)
    }

    /// The keyset for new coins.
    pub(super) fn active(&self) -> Result<&KeySet, Stop> {
        active(&self.held, self.now()).ok_or(Stop::Unknown)
    }

    /// Outputs of the purse's own, and the counter after them.
    pub(super) fn own(&self, id: Id, amounts: &[u64]) -> Result<(Vec<Output>, u32), Stop> {
        let first = self.held.counters.get(&id).copied().unwrap_or(0);
        let count = u32::try_from(amounts.len()).unwrap_or(u32::MAX);
        let next = first.checked_add(count).filter(|next| *next <= COUNTER_MAX);
        let next = next.ok_or_else(|| Stop::misuse("this keyset has no more counters"))?;
        let outputs = amounts.iter().zip(first..next).map(|(amount, counter)| self.seed.output(id, counter, *amount));
        Ok((outputs.collect(), next))
    }

    /// Coins of this purse that can be spent.
    pub(super) fn spendable(&self) -> Vec<Proof> {
        spendable(&self.held, self.now())
    }
}

/// Why a task does not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A keyset is needed that is not known.
    Unknown,
    /// It fails.
    Failed(Failure),
}

impl Stop {
    pub(super) fn misuse(reason: &str) -> Self {
        Self::Failed(Failure::unmoved(Fault::Misuse, reason))
    }

    pub(super) fn peer(reason: impl Into<String>) -> Self {
        Self::Failed(Failure::unmoved(Fault::PeerMisbehaved, reason))
    }

    pub(super) fn issuer(reason: impl Into<String>) -> Self {
        Self::Failed(Failure::unmoved(Fault::ThirdParty, reason))
    }
}

impl From<Short> for Stop {
    fn from(short: Short) -> Self {
        Self::misuse(match short {
            Short::Money => "there is too little in the purse",
            Short::SmallCoins => "the purse holds too many small coins; refresh it to join them",
        })
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Stage {
    /// What is to be done at this stage. Signatures are asked for and ends are announced once, by the step that leads there.
    pub(super) fn next(&self, run: &Run<'_>) -> Next {
        match self {
            Stage::Learn(learn) => Next::Ask(learn.request(run.issuer())),
            Stage::Refresh(refresh) => refresh.next(run),
            Stage::Restore(restore) => Next::Ask(restore.request(run)),
            Stage::Deposit(deposit) => deposit.next(run),
            Stage::Transfer(transfer) => transfer.next(run),
            Stage::Order { payload } => Next::Sign { draft: order_draft(run, payload.clone()), consent: Consent::Ask },
            Stage::Hand(hand) => hand.next(run),
            Stage::Take(take) => take.next(run),
            Stage::Reclaim(reclaim) => reclaim.next(run),
            Stage::Verify(verifying) => Next::Ask(verifying.request(run.issuer())),
            Stage::Preimage(asking) => asking.next(run),
            Stage::Handed(handed) => Next::Look(OperationId::from_array(handed.key)),
        }
    }

    /// Goes on where the keysets had to be learnt first.
    pub(super) fn go_on(self, run: &Run<'_>) -> Step {
        match self {
            Stage::Refresh(Refresh::States(todo)) => run.checking(todo),
            stage => run.to(stage),
        }
    }

    /// Goes on; `None` if the event does not fit.
    fn on(self, run: &mut Run<'_>, event: Event) -> Option<Step> {
        match (self, event) {
            (Stage::Learn(learn), Event::Reply(reply)) => Some(learn.on(run, &reply)),
            (Stage::Refresh(refresh), Event::Reply(reply)) => Some(refresh.on(run, &reply)),
            (Stage::Restore(restore), Event::Reply(reply)) => Some(restore.on(run, &reply)),
            (Stage::Deposit(deposit), event) => deposit.on(run, event),
            (Stage::Transfer(transfer), event) => transfer.on(run, event),
            (Stage::Order { payload }, event) => run.ordered(payload, event),
            (Stage::Hand(hand), Event::Reply(reply)) => Some(hand.on(run, &reply)),
            (Stage::Hand(hand), Event::Due) => Some(run.to(Stage::Hand(hand.again()))),
            (Stage::Take(take), Event::Reply(reply)) => Some(take.on(run, &reply)),
            (Stage::Take(take), Event::Due) => Some(run.to(Stage::Take(take.again()))),
            (Stage::Reclaim(reclaim), event) => reclaim.on(run, event),
            (Stage::Verify(verifying), Event::Reply(reply)) => Some(verifying.on(run, &reply)),
            (Stage::Preimage(asking), Event::Reply(reply)) => Some(asking.on(run, &reply)),
            (Stage::Preimage(asking), Event::Due) => Some(run.to(Stage::Preimage(asking.again()))),
            _ => None,
        }
    }

    /// Ends the operation if that loses nothing, and stays otherwise.
    fn give_up(self, run: &Run<'_>) -> Step {
        match self {
            Stage::Order { .. } | Stage::Preimage(_) => Step::failed(unwanted()),
            Stage::Learn(learn) => learn.give_up(run),
            Stage::Deposit(deposit) => deposit.give_up(run),
            Stage::Transfer(transfer) => transfer.give_up(run),
            Stage::Take(take) => take.give_up(run),
            Stage::Reclaim(reclaim) => reclaim.give_up(run),
            stage => run.to(stage),
        }
    }
}

pub(super) fn order_draft(run: &Run<'_>, payload: Vec<u8>) -> Draft {
    Draft { kind: Kind::PaymentOrder, suite: run.context.me.suite(), signer: run.context.me.id(), payload }
}

/// The operation is no longer wanted, and nothing has happened.
pub(super) fn unwanted() -> Failure {
    Failure::unmoved(Fault::UserDeclined, "it is no longer wanted")
}

fn no_keyset() -> Failure {
    Failure::unmoved(Fault::ThirdParty, "the mint has no keyset for this; refresh the purse")
}

fn minor(purse: &Purse, amount: Amount) -> Result<u64, Failure> {
    if amount.currency() != purse.currency {
        let reason = format!("the purse holds {}, not {}", purse.currency, amount.currency());
        return Err(Failure::unmoved(Fault::Misuse, reason));
    }
    match amount.minor() {
        0 => Err(Failure::unmoved(Fault::Misuse, "the amount is zero")),
        minor if minor > super::PAYMENT_MAX => Err(Failure::unmoved(Fault::Misuse, "the amount is too large")),
        minor => Ok(minor),
    }
}

fn active(held: &Held, now: Time) -> Option<&KeySet> {
    let usable = |keyset: &&KeySet| keyset.active == Some(true) && !expired(keyset, now);
    held.keysets.values().filter(usable).min_by_key(|keyset| (keyset.input_fee_ppk, keyset.id))
}

/// Whether a keyset's coins have lost their value.
pub(super) fn expired(keyset: &KeySet, now: Time) -> bool {
    keyset.final_expiry.is_some_and(|expiry| expiry != 0 && expiry <= now.unix())
}

fn spendable(held: &Held, now: Time) -> Vec<Proof> {
    let usable = |coin: &&Proof| held.keysets.get(&coin.keyset_id).is_some_and(|keyset| !expired(keyset, now));
    held.coins.iter().filter(usable).cloned().collect()
}

/// What a task would cost.
pub(super) fn quote(held: &Held, purse: &Purse, task: &Task) -> Result<Quote, Failure> {
    // Nobody tells the time here; a keyset that has expired meanwhile is left out by the operation itself.
    let earliest = Time::from_unix(0);
    let amount =
        |minor: u64| Amount::new(minor.min(Amount::MINOR_MAX), purse.currency).expect("it is cut to what fits");
    let failed = |stop: Stop| match stop {
        Stop::Failed(failure) => failure,
        Stop::Unknown => no_keyset(),
    };
    let keyset = || active(held, earliest).ok_or_else(no_keyset);
    let out = match task {
        Task::Pay { request, .. } => Some((super::pay::asked(request).map_err(failed)?.amount, true)),
        Task::Lock(lock) => Some((lock.amount, true)),
        Task::Send(amount) => Some((*amount, false)),
        _ => None,
    };
    if let Some((asked, always)) = out {
        let minor = minor(purse, asked)?;
        let plan = super::hand::plan(&spendable(held, earliest), &held.keysets, keyset()?, minor, always);
        let plan = plan.map_err(failed)?;
        return Ok(Quote { amount: asked, fee: amount(plan.fee(minor)) });
    }
    match task {
        Task::Transfer { amount: asked, .. } => {
            let minor = minor(purse, *asked)?;
            let coins =
                money::choose(&spendable(held, earliest), &held.keysets, minor).map_err(|e| failed(e.into()))?;
            Ok(Quote { amount: *asked, fee: amount(money::fee(&coins, &held.keysets).unwrap_or(0)) })
        }
        Task::Deposit { amount: asked, .. } | Task::Expect(asked) | Task::Prepare(asked) => {
            minor(purse, *asked)?;
            keyset()?;
            Ok(Quote { amount: *asked, fee: amount(0) })
        }
        Task::Accept(text) => {
            let coins = super::token::Coins::from_text(text, &purse.issuer, &unit(purse), &held.keysets);
            let coins = coins.map_err(|e| Failure::unmoved(Fault::PeerMisbehaved, e.to_string()))?.coins;
            let fee = money::fee(&coins, &held.keysets).unwrap_or(0);
            let sum = money::sum(&coins).unwrap_or(0);
            Ok(Quote { amount: amount(sum.saturating_sub(fee)), fee: amount(fee) })
        }
        Task::Receive { request, .. } => {
            Ok(Quote { amount: super::pay::asked(request).map_err(failed)?.amount, fee: amount(0) })
        }
        Task::Redeem { lock, .. } => Ok(Quote { amount: lock.amount, fee: amount(0) }),
        _ => Ok(Quote { amount: amount(0), fee: amount(0) }),
    }
}
