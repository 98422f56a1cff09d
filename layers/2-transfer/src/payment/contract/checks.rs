//! The checks, one promise each.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Decode;
use semper_core::cose::Signed;
use semper_core::machine::Fault;
use semper_core::time::{Seconds, Time};
use semper_support::archive::CommitError;

use super::player::{Run, User, at_fault};
use super::{Broken, Factory, FaultPlan, Party};
use crate::payment::claim::{Claim, Finding, Proof};
use crate::payment::means::{LockKind, ReceiptKind};
use crate::payment::module::IssuerRequest;
use crate::payment::operation::{Lock, Money, OperationId, Outcome, Task};
use crate::payment::statement::{PaymentRequest, Side, lock_tag};

/// Money that the payer begins with, in minor units.
const FUNDS: u64 = 1000;
/// A payment, in minor units: with many bits, so that it needs several coins.
const PRICE: u64 = 365;
/// The preimage of the kit's hash locks, and its SHA-256.
const PREIMAGE: [u8; 32] = [1; 32];
const HASH: [u8; 32] = [
    0x72, 0xcd, 0x6e, 0x84, 0x22, 0xc4, 0x07, 0xfb, 0x6d, 0x09, 0x86, 0x90, 0xf1, 0x13, 0x0b, 0x7d, 0xed, 0x7e, 0xc2,
    0xf7, 0xf5, 0xe1, 0xd3, 0x0b, 0xd9, 0xd5, 0x21, 0xf0, 0x15, 0x36, 0x37, 0x93,
];
/// How long a lock holds.
const LOCKED: Seconds = Seconds(7200);

type Boxed<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// A promise, and how it is tested.
#[derive(Clone, Copy)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    run: for<'a> fn(&'a Run) -> Boxed<'a>,
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Check {
    /// Tests the promise on a fresh market with a fault, and counts the money afterwards. How many places there were for a fault.
    ///
    /// # Errors
    /// The promise was broken.
    pub async fn run(&self, factory: &dyn Factory, fault: FaultPlan) -> Result<usize, Broken> {
        let run = Run::new(factory.fresh().await, fault);
        let result = match (self.run)(&run).await {
            Ok(()) => run.count().await,
            Err(found) => Err(found),
        };
        let broken = |found| Broken { check: self.name, fault: format!("{fault:?}"), found };
        result.map(|()| run.places()).map_err(broken)
    }
}

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Every check; the documentation of each function says what it promises.
        pub const CHECKS: &[Check] = &[$(Check { name: stringify!($name), run: |run| Box::pin($name(run)) }),*];
    };
}

checks! {
    money_that_is_put_in_can_be_spent,
    a_payment_moves_exactly_its_amount,
    a_payment_is_quoted_as_it_costs,
    an_operation_is_begun_once,
    a_token_is_taken_once,
    nobody_else_can_take_a_token,
    a_token_must_be_worth_its_request,
    another_currency_is_refused,
    more_than_there_is_is_refused,
    a_declined_payment_moves_nothing,
    an_expired_request_is_not_paid,
    giving_up_loses_nothing,
    what_was_not_taken_comes_back,
    what_was_taken_does_not_come_back,
    a_payment_can_be_proven,
    a_lock_is_released_by_the_payer,
    a_lock_is_given_back_by_the_payee,
    the_arbiter_pays_the_payee,
    the_arbiter_refunds_the_payer,
    the_arbiter_sees_a_lock_that_the_payee_has_not_seen,
    the_arbiter_sees_a_lock_that_was_settled_without_it,
    the_arbiter_refunds_a_lock_that_the_payee_has_not_seen,
    the_arbiter_refuses_a_token_that_is_not_the_lock,
    nobody_authorises_in_its_own_favour,
    a_payout_that_is_changed_is_not_authorised,
    a_lock_comes_back_by_its_date_and_not_before,
    a_lock_that_is_not_as_agreed_is_refused,
    a_lock_is_redeemed_once,
    a_lock_that_is_redeemed_twice_over_counts_once,
    a_hash_lock_opens_with_its_preimage,
    a_payer_learns_the_preimage,
    a_payer_that_comes_too_late_learns_the_preimage,
    a_payer_that_has_its_money_back_learns_no_preimage,
    only_a_hash_lock_has_a_preimage,
    a_preimage_that_is_given_up_leaves_the_money_locked,
    a_preimage_that_is_given_up_too_late_has_moved_the_money,
}

async fn money_that_is_put_in_can_be_spent(run: &Run) -> Result<(), String> {
    run.open_with(Party::Payer, FUNDS).await
}

/// Both purses open, the payer's with money.
async fn two(run: &Run) -> Result<(), String> {
    run.open_with(Party::Payer, FUNDS).await?;
    run.open(Party::Payee).await
}

/// A payment up to the payer's token.
async fn pay(run: &Run, minor: u64) -> Result<(Signed, Outcome), String> {
    let request = run.request(minor).await?;
    let task = Task::Pay { request: request.clone(), salt: [7; 32] };
    Ok((request, run.done(Party::Payer, task).await?))
}

async fn available(run: &Run, party: Party) -> Result<u64, String> {
    Ok(run.balance(party).await?.available.minor())
}

fn equal<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} instead of {expected:?}")) }
}

async fn a_payment_moves_exactly_its_amount(run: &Run) -> Result<(), String> {
    two(run).await?;
    let (request, paid) = pay(run, PRICE).await?;
    let received = run.done(Party::Payee, Task::Receive { request, token: paid.handover }).await?;
    equal("received", received.moved, run.amount(PRICE))?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)?;
    run.done(Party::Payer, Task::Refresh).await?;
    equal("the payer's purse", available(run, Party::Payer).await?, FUNDS - PRICE - paid.fee.minor())
}

async fn a_payment_is_quoted_as_it_costs(run: &Run) -> Result<(), String> {
    two(run).await?;
    let request = run.request(PRICE).await?;
    let task = Task::Pay { request: request.clone(), salt: [7; 32] };
    let module = run.market.module(Party::Payer);
    let quote = module.quote(&run.purse(Party::Payer).await?, &task).map_err(|e| e.to_string())?;
    let paid = run.done(Party::Payer, task).await?;
    run.done(Party::Payee, Task::Receive { request, token: paid.handover.clone() }).await?;
    equal("the quoted fee", quote.fee, paid.fee)?;
    equal("the quoted amount", quote.amount, run.amount(PRICE))
}

async fn an_operation_is_begun_once(run: &Run) -> Result<(), String> {
    two(run).await?;
    let request = run.request(PRICE).await?;
    let id = OperationId::of_owner([0xee; 16]);
    let task = || Task::Pay { request: request.clone(), salt: [7; 32] };
    run.begin_as(Party::Payer, id, task()).await.map_err(|e| e.to_string())?;
    let first = run.finish(Party::Payer, id, User::Approves).await?;
    match run.begin_as(Party::Payer, id, task()).await {
        Err(CommitError::Stale { .. }) => {}
        other => return Err(format!("the same operation was begun again: {other:?}")),
    }
    equal("asked again", run.finish(Party::Payer, id, User::Approves).await?, first.clone())?;
    let token = first.map_err(|e| e.to_string())?.handover;
    run.done(Party::Payee, Task::Receive { request: request.clone(), token }).await.map(drop)
}

async fn a_token_is_taken_once(run: &Run) -> Result<(), String> {
    two(run).await?;
    let (request, paid) = pay(run, PRICE).await?;
    let task = || Task::Receive { request: request.clone(), token: paid.handover.clone() };
    run.done(Party::Payee, task()).await?;
    let failure = run.fails(Party::Payee, task()).await?;
    equal("the money of the second taking", failure.money, Money::NotMoved)?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)
}

async fn nobody_else_can_take_a_token(run: &Run) -> Result<(), String> {
    two(run).await?;
    run.open(Party::Stranger).await?;
    let (request, paid) = pay(run, PRICE).await?;
    let task = Task::Receive { request: request.clone(), token: paid.handover.clone() };
    run.fails(Party::Stranger, task.clone()).await?;
    equal("the stranger's purse", available(run, Party::Stranger).await?, 0)?;
    run.done(Party::Payee, task).await.map(drop)
}

async fn a_token_must_be_worth_its_request(run: &Run) -> Result<(), String> {
    two(run).await?;
    let (small, paid) = pay(run, PRICE - 1).await?;
    let details = PaymentRequest::from_bytes(small.payload()).map_err(|e| e.to_string())?.details;
    let larger = run.request_for(run.amount(PRICE), details);
    let failure = run.fails(Party::Payee, Task::Receive { request: larger, token: paid.handover.clone() }).await?;
    at_fault(&failure, Fault::PeerMisbehaved)?;
    equal("the money", failure.money, Money::NotMoved)?;
    run.done(Party::Payee, Task::Receive { request: small, token: paid.handover }).await.map(drop)
}

async fn another_currency_is_refused(run: &Run) -> Result<(), String> {
    two(run).await?;
    let details = run.done(Party::Payee, Task::Expect(run.amount(PRICE))).await?.handover;
    let other = Currency::parse("XTS").ok_or("XTS is a currency")?;
    let amount = Amount::new(PRICE, other).map_err(|e| e.to_string())?;
    let request = run.request_for(amount, details);
    let failure = run.fails(Party::Payer, Task::Pay { request, salt: [7; 32] }).await?;
    equal("the money", failure.money, Money::NotMoved)?;
    equal("the payer's purse", available(run, Party::Payer).await?, FUNDS)
}

async fn more_than_there_is_is_refused(run: &Run) -> Result<(), String> {
    two(run).await?;
    let request = run.request(FUNDS + 1).await?;
    // A system whose payer learns it only from the payee's answer fails there.
    let payment = run.end(Party::Payer, Task::Pay { request: request.clone(), salt: [7; 32] }).await?;
    let failure = match payment {
        Err(failure) => failure,
        Ok(paid) => run.fails(Party::Payee, Task::Receive { request, token: paid.handover }).await?,
    };
    equal("the money", failure.money, Money::NotMoved)?;
    equal("the payee's purse", available(run, Party::Payee).await?, 0)?;
    run.done(Party::Payer, Task::Refresh).await?;
    equal("the payer's purse", available(run, Party::Payer).await?, FUNDS)
}

async fn a_declined_payment_moves_nothing(run: &Run) -> Result<(), String> {
    two(run).await?;
    let request = run.request(PRICE).await?;
    let id = run.begin(Party::Payer, Task::Pay { request, salt: [7; 32] }).await?;
    match run.finish(Party::Payer, id, User::Declines).await? {
        Err(failure) => {
            at_fault(&failure, Fault::UserDeclined)?;
            equal("the money", failure.money, Money::NotMoved)?;
        }
        Ok(_) => return Err("a payment was made without its user's approval".to_owned()),
    }
    equal("the payer's purse", available(run, Party::Payer).await?, FUNDS)
}

async fn an_expired_request_is_not_paid(run: &Run) -> Result<(), String> {
    two(run).await?;
    let request = run.request(PRICE).await?;
    run.market.pass_until(run.market.now().after(Seconds(901)));
    let failure = run.fails(Party::Payer, Task::Pay { request, salt: [7; 32] }).await?;
    equal("the money", failure.money, Money::NotMoved)
}

/// The issuer is silent after the payer's request for money that is to leave. Giving up then either ends without moving money, or
/// goes on until the issuer is back.
async fn giving_up_loses_nothing(run: &Run) -> Result<(), String> {
    two(run).await?;
    let request = run.request(PRICE).await?;
    let id = run.begin(Party::Payer, Task::Pay { request: request.clone(), salt: [7; 32] }).await?;
    if let Some(ask) = run.until_first_ask(Party::Payer, id).await? {
        // It reaches the issuer, the answer does not come back.
        run.market.call(ask).await;
        run.give_up(Party::Payer, id).await?;
    }
    match run.finish(Party::Payer, id, User::Approves).await? {
        Ok(paid) => run.done(Party::Payee, Task::Receive { request, token: paid.handover }).await.map(drop),
        Err(failure) if failure.money == Money::Unknown => Err(format!("giving up lost the money: {failure}")),
        Err(_) => {
            run.done(Party::Payer, Task::Refresh).await?;
            equal("the payee's purse", available(run, Party::Payee).await?, 0)
        }
    }
}

async fn what_was_not_taken_comes_back(run: &Run) -> Result<(), String> {
    two(run).await?;
    let (request, id) = paid_as(run).await?;
    let token = match run.finish(Party::Payer, id, User::Approves).await? {
        Ok(paid) => paid.handover,
        Err(failure) => return Err(failure.to_string()),
    };
    let back = run.done(Party::Payer, Task::Reclaim(id)).await?;
    let fees = FUNDS - available(run, Party::Payer).await?;
    if back.moved.minor() == 0 || fees > FUNDS / 10 {
        return Err(format!("{} came back, {fees} are missing", back.moved));
    }
    run.fails(Party::Payee, Task::Receive { request, token }).await?;
    equal("the payee's purse", available(run, Party::Payee).await?, 0)
}

async fn paid_as(run: &Run) -> Result<(Signed, OperationId), String> {
    let request = run.request(PRICE).await?;
    let id = run.begin(Party::Payer, Task::Pay { request: request.clone(), salt: [7; 32] }).await?;
    Ok((request, id))
}

async fn what_was_taken_does_not_come_back(run: &Run) -> Result<(), String> {
    two(run).await?;
    let (request, id) = paid_as(run).await?;
    let paid = run.finish(Party::Payer, id, User::Approves).await?.map_err(|e| e.to_string())?;
    run.done(Party::Payee, Task::Receive { request, token: paid.handover }).await?;
    let back = run.done(Party::Payer, Task::Reclaim(id)).await?;
    equal("what came back", back.moved, run.amount(0))?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)
}

/// Whoever holds the proof convinces a stranger; a proof of another payment does not.
async fn a_payment_can_be_proven(run: &Run) -> Result<(), String> {
    two(run).await?;
    let module = run.market.module(Party::Stranger);
    let means = module.means(&run.purse(Party::Payer).await?).ok_or("no means after a refresh")?;
    let (request, id) = paid_as(run).await?;
    let paid = run.finish(Party::Payer, id, User::Approves).await?.map_err(|e| e.to_string())?;
    let receive = run.begin(Party::Payee, Task::Receive { request: request.clone(), token: paid.handover }).await?;
    run.finish(Party::Payee, receive, User::Approves).await?.map_err(|e| e.to_string())?;
    if means.receipt == ReceiptKind::Payee {
        return Ok(());
    }
    // The payer learns what was taken from the issuer; the payee knows it from its own operation.
    let reclaim = run.begin(Party::Payer, Task::Reclaim(id)).await?;
    run.finish(Party::Payer, reclaim, User::Approves).await?.map_err(|e| e.to_string())?;
    let asked = PaymentRequest::from_bytes(request.payload()).map_err(|e| e.to_string())?;
    let claim =
        Claim { deal: asked.deal, payee: run.market.keys(Party::Payee).id(), amount: asked.amount, before: None };
    let mut proofs = Vec::new();
    for (party, operation) in [(Party::Payer, reclaim), (Party::Payer, id), (Party::Payee, receive)] {
        proofs.extend(run.proofs(party, &operation).await?);
    }
    let proven = |claim: &Claim| {
        let judged = proofs.iter().map(|proof: &Proof| module.judge(run.market.verify(), claim, proof));
        judged.filter(|finding| matches!(finding, Finding::Proven { .. })).count()
    };
    if proven(&claim) == 0 {
        return Err(format!("{} proofs, and none proves the payment", proofs.len()));
    }
    let more = Claim { amount: run.amount(PRICE + 1), ..claim.clone() };
    let other_deal = Claim { deal: run.deal(), ..claim.clone() };
    let other_payee = Claim { payee: run.market.keys(Party::Stranger).id(), ..claim };
    for (what, claim) in [("a larger amount", more), ("another deal", other_deal), ("another payee", other_payee)] {
        equal(what, proven(&claim), 0)?;
    }
    Ok(())
}

/// An agreed lock that the payee has seen, and the payer's token for it; nothing where the system cannot lock in this way.
async fn locked(run: &Run, kind: LockKind) -> Result<Option<(Lock, Vec<u8>)>, String> {
    let Some((lock, token)) = handed_out(run, kind).await? else { return Ok(None) };
    run.done(Party::Payee, verify(&lock, &token)).await?;
    Ok(Some((lock, token)))
}

/// An agreed lock and the payer's token for it, which nobody has seen yet.
async fn handed_out(run: &Run, kind: LockKind) -> Result<Option<(Lock, Vec<u8>)>, String> {
    two(run).await?;
    let module = run.market.module(Party::Payer);
    let means = module.means(&run.purse(Party::Payer).await?).ok_or("no means after a refresh")?;
    if !means.locks.contains(&kind) {
        return Ok(None);
    }
    let amount = run.amount(PRICE);
    let lock = Lock {
        tag: lock_tag(run.contract(), &[3; 32]),
        amount,
        refund_after: run.market.now().after(LOCKED),
        kind,
        payer: run.done(Party::Payer, Task::Prepare(amount)).await?.handover,
        payee: run.done(Party::Payee, Task::Prepare(amount)).await?.handover,
        arbiter: if kind == LockKind::Arbiter { arbiter_key(run) } else { Vec::new() },
        hash: (kind == LockKind::Hash).then_some(HASH),
    };
    let token = run.done(Party::Payer, Task::Lock(lock.clone())).await?.handover;
    Ok(Some((lock, token)))
}

fn arbiter_key(run: &Run) -> Vec<u8> {
    run.market.module(Party::Arbiter).arbiter_key(&run.market.keys(Party::Arbiter))
}

fn verify(lock: &Lock, token: &[u8]) -> Task {
    Task::VerifyLock { lock: lock.clone(), token: token.to_vec() }
}

async fn payout(run: &Run, party: Party, lock: &Lock, token: &[u8], to: Side) -> Result<Vec<u8>, String> {
    let task = Task::Payout { lock: lock.clone(), token: token.to_vec(), to };
    Ok(run.done(party, task).await?.handover)
}

fn redeem(lock: &Lock, token: &[u8], to: Side, authorisation: Vec<u8>) -> Task {
    Task::Redeem { lock: lock.clone(), token: token.to_vec(), to, authorisation }
}

fn authorise(lock: &Lock, token: &[u8], payout: Vec<u8>, to: Side) -> Task {
    Task::Authorise { lock: lock.clone(), token: token.to_vec(), payout, to }
}

/// Takes the money of a lock. Whatever the purse keeps to show that must show just that, and nothing about any other lock.
async fn take(run: &Run, party: Party, lock: &Lock, task: Task, to: Side) -> Result<Outcome, String> {
    let id = run.begin(party, task).await?;
    let outcome = run.finish(party, id, User::Approves).await?.map_err(|failure| failure.to_string())?;
    let others = [
        Lock { tag: lock_tag(run.contract(), &[4; 32]), ..lock.clone() },
        Lock { amount: run.amount(PRICE + 1), ..lock.clone() },
        Lock { payee: lock.payer.clone(), payer: lock.payee.clone(), ..lock.clone() },
    ];
    let module = run.market.module(Party::Stranger);
    for shown in run.redemptions(party, &id).await? {
        let judge = |lock: &Lock| module.judge_lock(run.market.verify(), lock, &shown);
        equal("who took the lock", judge(lock), Some(to))?;
        for other in &others {
            equal("who took another lock", judge(other), None)?;
        }
    }
    Ok(outcome)
}

async fn a_lock_is_released_by_the_payer(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    let wanted = payout(run, Party::Payee, &lock, &token, Side::Payee).await?;
    run.fails(Party::Payee, redeem(&lock, &token, Side::Payee, Vec::new())).await?;
    let authorisation = run.done(Party::Payer, authorise(&lock, &token, wanted, Side::Payee)).await?.handover;
    take(run, Party::Payee, &lock, redeem(&lock, &token, Side::Payee, authorisation), Side::Payee).await?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)
}

async fn a_lock_is_given_back_by_the_payee(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    let wanted = payout(run, Party::Payer, &lock, &token, Side::Payer).await?;
    let authorisation = run.done(Party::Payee, authorise(&lock, &token, wanted, Side::Payer)).await?.handover;
    let back = take(run, Party::Payer, &lock, redeem(&lock, &token, Side::Payer, authorisation), Side::Payer).await?;
    if back.moved.minor() == 0 {
        return Err("nothing came back".to_owned());
    }
    equal("the payee's purse", available(run, Party::Payee).await?, 0)
}

async fn decided(run: &Run, party: Party, side: Side) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    run.open(Party::Arbiter).await?;
    let wanted = payout(run, party, &lock, &token, side).await?;
    let authorisation = run.done(Party::Arbiter, authorise(&lock, &token, wanted, side)).await?.handover;
    let moved = take(run, party, &lock, redeem(&lock, &token, side, authorisation), side).await?.moved;
    if moved.minor() > 0 { Ok(()) } else { Err("the arbiter's word moved nothing".to_owned()) }
}

async fn the_arbiter_pays_the_payee(run: &Run) -> Result<(), String> {
    decided(run, Party::Payee, Side::Payee).await
}

async fn the_arbiter_refunds_the_payer(run: &Run) -> Result<(), String> {
    decided(run, Party::Payer, Side::Payer).await
}

/// The payer asks the arbiter before the payee has the token: the money is held from then on, and the payee gets it.
async fn the_arbiter_sees_a_lock_that_the_payee_has_not_seen(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = handed_out(run, LockKind::Arbiter).await? else { return Ok(()) };
    run.open(Party::Arbiter).await?;
    run.done(Party::Arbiter, verify(&lock, &token)).await?;
    run.done(Party::Arbiter, verify(&lock, &token)).await?;
    run.done(Party::Payee, verify(&lock, &token)).await?;
    let wanted = payout(run, Party::Payee, &lock, &token, Side::Payee).await?;
    let authorisation = run.done(Party::Arbiter, authorise(&lock, &token, wanted, Side::Payee)).await?.handover;
    run.done(Party::Payee, redeem(&lock, &token, Side::Payee, authorisation)).await?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)
}

/// The payee has taken the money that the payer let go of, and gives nothing for it: the payer must not be refused for that.
async fn the_arbiter_sees_a_lock_that_was_settled_without_it(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    run.open(Party::Arbiter).await?;
    let wanted = payout(run, Party::Payee, &lock, &token, Side::Payee).await?;
    let authorisation = run.done(Party::Payer, authorise(&lock, &token, wanted, Side::Payee)).await?.handover;
    run.done(Party::Payee, redeem(&lock, &token, Side::Payee, authorisation)).await?;
    run.done(Party::Arbiter, verify(&lock, &token)).await?;
    run.fails(Party::Payee, verify(&lock, &token)).await.map(drop)
}

/// The payee has never answered: the payer gets its money back all the same, and the token is worth nothing afterwards.
async fn the_arbiter_refunds_a_lock_that_the_payee_has_not_seen(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = handed_out(run, LockKind::Arbiter).await? else { return Ok(()) };
    run.open(Party::Arbiter).await?;
    let wanted = payout(run, Party::Payer, &lock, &token, Side::Payer).await?;
    let authorisation = run.done(Party::Arbiter, authorise(&lock, &token, wanted, Side::Payer)).await?.handover;
    let back = run.done(Party::Payer, redeem(&lock, &token, Side::Payer, authorisation)).await?;
    if back.moved.minor() == 0 {
        return Err("nothing came back".to_owned());
    }
    run.fails(Party::Payee, verify(&lock, &token)).await.map(drop)
}

async fn the_arbiter_refuses_a_token_that_is_not_the_lock(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = handed_out(run, LockKind::Arbiter).await? else { return Ok(()) };
    run.open(Party::Arbiter).await?;
    run.open(Party::Stranger).await?;
    let mut broken = token.clone();
    broken[token.len() / 2] ^= 1;
    for wrong in [
        verify(&Lock { amount: run.amount(PRICE + 1), ..lock.clone() }, &token),
        verify(&Lock { tag: lock_tag(run.contract(), &[4; 32]), ..lock.clone() }, &token),
        verify(&lock, &broken),
        verify(&lock, &[]),
    ] {
        at_fault(&run.fails(Party::Arbiter, wrong).await?, Fault::PeerMisbehaved)?;
    }
    // Whoever is neither payee nor arbiter learns nothing about it.
    run.fails(Party::Stranger, verify(&lock, &token)).await?;
    run.done(Party::Arbiter, verify(&lock, &token)).await.map(drop)
}

async fn nobody_authorises_in_its_own_favour(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    run.open(Party::Stranger).await?;
    for (party, to) in [(Party::Payee, Side::Payee), (Party::Payer, Side::Payer)] {
        let wanted = payout(run, party, &lock, &token, to).await?;
        for by in [party, Party::Stranger] {
            run.fails(by, authorise(&lock, &token, wanted.clone(), to)).await?;
        }
    }
    Ok(())
}

/// An authorisation is good for one payout: with another one than was signed, nothing reaches whoever changed it.
async fn a_payout_that_is_changed_is_not_authorised(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    run.open(Party::Arbiter).await?;
    let wanted = payout(run, Party::Payee, &lock, &token, Side::Payee).await?;
    for place in [0, wanted.len() / 2, wanted.len() - 1] {
        let mut changed = wanted.clone();
        changed[place] ^= 1;
        if let Ok(signed) = run.end(Party::Arbiter, authorise(&lock, &token, changed, Side::Payee)).await? {
            run.fails(Party::Payee, redeem(&lock, &token, Side::Payee, signed.handover)).await?;
        }
    }
    equal("the payee's purse", available(run, Party::Payee).await?, 0)?;
    let authorisation = run.done(Party::Arbiter, authorise(&lock, &token, wanted, Side::Payee)).await?.handover;
    run.done(Party::Payee, redeem(&lock, &token, Side::Payee, authorisation)).await?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)
}

async fn a_lock_comes_back_by_its_date_and_not_before(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    run.fails(Party::Payer, redeem(&lock, &token, Side::Payer, Vec::new())).await?;
    run.market.pass_until(Time::from_unix(lock.refund_after.unix() + 1));
    let back = run.done(Party::Payer, redeem(&lock, &token, Side::Payer, Vec::new())).await?;
    if back.moved.minor() == 0 {
        return Err("nothing came back".to_owned());
    }
    Ok(())
}

async fn a_lock_that_is_not_as_agreed_is_refused(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    let wrong = [
        ("amount", Lock { amount: run.amount(PRICE + 1), ..lock.clone() }),
        ("date", Lock { refund_after: lock.refund_after.after(Seconds(1)), ..lock.clone() }),
        ("tag", Lock { tag: lock_tag(run.contract(), &[4; 32]), ..lock.clone() }),
    ];
    for (what, lock) in wrong {
        let verified = run.end(Party::Payee, Task::VerifyLock { lock, token: token.clone() }).await?;
        if verified.is_ok() {
            return Err(format!("a lock with another {what} passes for the one that was agreed"));
        }
    }
    Ok(())
}

async fn a_lock_is_redeemed_once(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    let wanted = payout(run, Party::Payee, &lock, &token, Side::Payee).await?;
    let authorisation = run.done(Party::Payer, authorise(&lock, &token, wanted, Side::Payee)).await?.handover;
    run.done(Party::Payee, redeem(&lock, &token, Side::Payee, authorisation)).await?;
    run.market.pass_until(Time::from_unix(lock.refund_after.unix() + 1));
    run.fails(Party::Payer, redeem(&lock, &token, Side::Payer, Vec::new())).await?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)
}

/// The payee has heard nothing of its first redemption and redeems with the arbiter's word too. Both operations end well; the money came once.
async fn a_lock_that_is_redeemed_twice_over_counts_once(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    run.open(Party::Arbiter).await?;
    let wanted = payout(run, Party::Payee, &lock, &token, Side::Payee).await?;
    let authorisation = run.done(Party::Payer, authorise(&lock, &token, wanted, Side::Payee)).await?.handover;
    let first = run.begin(Party::Payee, redeem(&lock, &token, Side::Payee, authorisation)).await?;
    if let Some(ask) = run.until_first_ask(Party::Payee, first).await? {
        run.market.call(ask).await;
    }
    let wanted = payout(run, Party::Payee, &lock, &token, Side::Payee).await?;
    let authorisation = run.done(Party::Arbiter, authorise(&lock, &token, wanted, Side::Payee)).await?.handover;
    let second = run.done(Party::Payee, redeem(&lock, &token, Side::Payee, authorisation)).await?;
    let first = run.finish(Party::Payee, first, User::Approves).await?.map_err(|failure| failure.to_string())?;
    equal("what both have moved", first.moved.minor() + second.moved.minor(), PRICE)?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)
}

async fn a_hash_lock_opens_with_its_preimage(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Hash).await? else { return Ok(()) };
    run.fails(Party::Payee, redeem(&lock, &token, Side::Payee, vec![2; 32])).await?;
    run.fails(Party::Payer, redeem(&lock, &token, Side::Payer, Vec::new())).await?;
    run.done(Party::Payee, redeem(&lock, &token, Side::Payee, PREIMAGE.to_vec())).await?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)
}

fn learn(lock: &Lock, token: &[u8]) -> Task {
    Task::Learn { lock: lock.clone(), token: token.to_vec() }
}

/// Asks for the preimage, which must be shown; nothing moves.
async fn learns(run: &Run, lock: &Lock, token: &[u8]) -> Result<OperationId, String> {
    let before = available(run, Party::Payer).await?;
    let id = run.begin(Party::Payer, learn(lock, token)).await?;
    let first = run.finish(Party::Payer, id, User::Approves).await?;
    equal("asked again", run.finish(Party::Payer, id, User::Approves).await?, first.clone())?;
    let learnt = first.map_err(|failure| failure.to_string())?;
    equal("the preimage", learnt.handover, PREIMAGE.to_vec())?;
    equal("what asking has moved", (learnt.moved, learnt.fee), (run.amount(0), run.amount(0)))?;
    equal("the payer's purse", available(run, Party::Payer).await?, before)?;
    Ok(id)
}

/// Asks for the preimage, which must fail for `fault`; nothing moves.
async fn learns_nothing(run: &Run, lock: &Lock, token: &[u8], fault: Fault) -> Result<(), String> {
    let before = available(run, Party::Payer).await?;
    let failure = run.fails(Party::Payer, learn(lock, token)).await?;
    at_fault(&failure, fault)?;
    equal("the money", failure.money, Money::NotMoved)?;
    equal("the payer's purse", available(run, Party::Payer).await?, before)
}

/// Before the payee took the money there is nothing to learn; afterwards there is, for any number of operations.
async fn a_payer_learns_the_preimage(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Hash).await? else { return Ok(()) };
    learns_nothing(run, &lock, &token, Fault::PeerRefused).await?;
    at_fault(&run.fails(Party::Payee, learn(&lock, &token)).await?, Fault::Misuse)?;
    run.done(Party::Payee, redeem(&lock, &token, Side::Payee, PREIMAGE.to_vec())).await?;
    let first = learns(run, &lock, &token).await?;
    run.done(Party::Payer, Task::Refresh).await?;
    let second = learns(run, &lock, &token).await?;
    if first == second { Err("it was one operation".to_owned()) } else { Ok(()) }
}

/// The payee takes the money after the date; the payer, who wanted it back, is told for good that it has gone.
async fn a_payer_that_comes_too_late_learns_the_preimage(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Hash).await? else { return Ok(()) };
    run.market.pass_until(Time::from_unix(lock.refund_after.unix() + 1));
    run.done(Party::Payee, redeem(&lock, &token, Side::Payee, PREIMAGE.to_vec())).await?;
    let late = run.fails(Party::Payer, redeem(&lock, &token, Side::Payer, Vec::new())).await?;
    at_fault(&late, Fault::PeerRefused)?;
    equal("the money", late.money, Money::NotMoved)?;
    learns(run, &lock, &token).await?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)
}

async fn a_payer_that_has_its_money_back_learns_no_preimage(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Hash).await? else { return Ok(()) };
    run.market.pass_until(Time::from_unix(lock.refund_after.unix() + 1));
    run.done(Party::Payer, redeem(&lock, &token, Side::Payer, Vec::new())).await?;
    let late = run.fails(Party::Payee, redeem(&lock, &token, Side::Payee, PREIMAGE.to_vec())).await?;
    equal("the money", late.money, Money::NotMoved)?;
    learns_nothing(run, &lock, &token, Fault::Misuse).await
}

/// Also where there are no hash locks at all.
async fn only_a_hash_lock_has_a_preimage(run: &Run) -> Result<(), String> {
    let Some((lock, token)) = locked(run, LockKind::Arbiter).await? else { return Ok(()) };
    learns_nothing(run, &lock, &token, Fault::Misuse).await
}

/// A redemption up to its first request; nothing where the system cannot lock in this way, or asks nobody.
async fn redeeming(run: &Run) -> Result<Option<(Lock, Vec<u8>, OperationId, IssuerRequest)>, String> {
    let Some((lock, token)) = locked(run, LockKind::Hash).await? else { return Ok(None) };
    let id = run.begin(Party::Payee, redeem(&lock, &token, Side::Payee, PREIMAGE.to_vec())).await?;
    let ask = run.until_first_ask(Party::Payee, id).await?;
    Ok(ask.map(|ask| (lock, token, id, ask)))
}

/// The payee gives up while the issuer is silent, before a request has reached it: the operation ends, and the payer
/// gets its money back.
async fn a_preimage_that_is_given_up_leaves_the_money_locked(run: &Run) -> Result<(), String> {
    let Some((lock, token, id, _)) = redeeming(run).await? else { return Ok(()) };
    run.give_up(Party::Payee, id).await?;
    match run.finish(Party::Payee, id, User::Approves).await? {
        Err(failure) => equal("the money", failure.money, Money::NotMoved)?,
        Ok(outcome) => return Err(format!("{} moved after giving up", outcome.moved)),
    }
    learns_nothing(run, &lock, &token, Fault::PeerRefused).await?;
    run.market.pass_until(Time::from_unix(lock.refund_after.unix() + 1));
    run.done(Party::Payer, redeem(&lock, &token, Side::Payer, Vec::new())).await.map(drop)
}

/// The payee gives up while the issuer is silent, after it has done what it was asked: the money is there, and the
/// payer learns why.
async fn a_preimage_that_is_given_up_too_late_has_moved_the_money(run: &Run) -> Result<(), String> {
    let Some((lock, token, id, ask)) = redeeming(run).await? else { return Ok(()) };
    if run.market.call(ask.clone()).await.is_none() {
        // An issuer that turns requests away takes the same one the next time.
        run.market.call(ask).await.ok_or("the issuer does not answer")?;
    }
    run.give_up(Party::Payee, id).await?;
    run.finish(Party::Payee, id, User::Approves).await?.map_err(|failure| failure.to_string())?;
    equal("the payee's purse", available(run, Party::Payee).await?, PRICE)?;
    learns(run, &lock, &token).await.map(drop)
}
