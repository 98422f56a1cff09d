//! Selling coins (NUT-05, NUT-08, NUT-23): a quote says what a payment takes; the coins are taken when the payment is ordered, and are free
//! again if it definitely failed.
//!
//! ```text
//!   idle ──(coins taken, order written down: one commit)──▶ pending ──(backend: paid)───▶ paid, with change
//!    ▲                                                        │
//!    └──────────(backend: failed; counts the attempt)─────────┘
//! ```
//!
//! The order is written down before it is given, with the coins that pay for it, and is given again after a crash under the same identifier.
//! So a crash can neither lose the coins (the state says pending until the backend says how it ended) nor double the money (the coins
//! are free only when the state counts the attempt as failed, and an order that failed is never given again: the next attempt has
//! another identifier).

use std::time::Duration;

use cashu::nut10::SpendingConditionVerification as _;
use cashu::quote_id::QuoteId;
use cashu::{BlindSignature, BlindedMessage, Id, MeltRequest, PublicKey};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::hash::Digest;
use semper_core::time::{Seconds, Time};
use semper_support::archive::{Commit, CommitError, PutState, SetTimer};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::backend::{Order, Outcome};
use super::issue::{REQUEST_BYTES_MAX, point, refused};
use super::keysets::unit;
use super::ledger::{Coin, Granted, Output, RETURNS_MAX, Spender, reading, storage};
use super::quotes::{Found, Shelf};
use super::refusal::Refusal;
use super::{Mint, Sent, request};
use crate::ecash::keyset::{AMOUNTS, Unit, split};

/// Where the quotes are.
pub(super) const QUOTES: Shelf = Shelf { space: "ecash-melt-quote", due: "ecash-melt-quote-due" };
/// Begins the machine key of a payment's state.
const MACHINE: &[u8] = b"ecash-melt/";
/// The timer of an unfinished payment.
const TIMER: &str = "poll";
/// How long a quote is good.
const LIFETIME: Seconds = Seconds(3600);
/// How long it is kept after that, to say so.
const KEPT: Seconds = Seconds(600);
/// Most unfinished payments that one round asks after.
const POLL_MAX: usize = 100;
/// Most blank outputs: an amount has no more powers of two.
const BLANKS_MAX: usize = 64;
/// How often a step is taken again because another request changed the state meanwhile.
const STALE_MAX: usize = 8;
/// How often a request that waits for its payment asks after it.
const ASK: Duration = Duration::from_millis(250);

/// What a wallet wants paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeltQuoteRequest {
    /// The payment request.
    pub request: String,
    /// The unit's name.
    pub unit: String,
}

/// What paying takes, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeltQuoteAnswer {
    /// Names the quote.
    pub quote: String,
    /// The payment request.
    pub request: String,
    /// What arrives.
    pub amount: u64,
    /// The unit's name.
    pub unit: String,
    /// Most that the payment may cost on top.
    pub fee_reserve: u64,
    /// `UNPAID`, `PENDING` or `PAID`.
    pub state: String,
    /// Until when the quote is good, in seconds since 1970.
    pub expiry: u64,
    /// Proof of the payment.
    pub payment_preimage: Option<String>,
    /// What was too much, on the blank outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Vec<BlindSignature>>,
}

/// The machine key of a payment's state.
pub(super) fn key(quote: &str) -> Vec<u8> {
    [MACHINE, quote.as_bytes()].concat()
}

/// How far a payment is: `{ 0: 1, 1: failed attempts, ? 2: the attempt that is not failed, ? 3: how it was paid }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MeltState {
    failed: u8,
    now: Now,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Now {
    #[default]
    Idle,
    Pending(Taken),
    Paid(Taken, Paid),
}

/// What was taken for an order: `{ 0: digest of the request, 1: sum of the coins, 2: fee for spending them, 3: blank outputs }`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Taken {
    request: Digest,
    inputs: u64,
    fee: u64,
    blanks: Vec<Blank>,
}

/// A blank output: `{ 0: keyset, 1: blinded message }`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Blank {
    keyset: Id,
    blinded: PublicKey,
}

/// How an order was paid: `{ ? 0: proof, 1: amounts of the first blank outputs }`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Paid {
    proof: Option<String>,
    change: Vec<u64>,
}

impl MeltState {
    /// How many attempts definitely failed. Coins of earlier attempts are free.
    pub(super) fn failed(&self) -> u8 {
        self.failed
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.now, Now::Pending(_))
    }

    /// The amount of a blank output; `None` if nothing was left for it, or the payment is not finished.
    pub(super) fn change_at(&self, place: u8) -> Option<u64> {
        if let Now::Paid(_, paid) = &self.now { paid.change.get(usize::from(place)).copied() } else { None }
    }

    fn request(&self) -> Option<Digest> {
        match &self.now {
            Now::Idle => None,
            Now::Pending(taken) | Now::Paid(taken, _) => Some(taken.request),
        }
    }

    /// The state when the order ended so; `None` if it has not ended.
    fn after(&self, outcome: &Outcome) -> Option<Self> {
        let Now::Pending(taken) = &self.now else { return None };
        let now = match outcome {
            Outcome::Pending => return None,
            Outcome::Failed { .. } => return Some(Self { failed: self.failed.saturating_add(1), now: Now::Idle }),
            Outcome::Paid { spent, proof } => {
                let kept = spent.saturating_add(taken.fee);
                if kept > taken.inputs {
                    tracing::error!(kept, inputs = taken.inputs, "a payment took more than the coins for it");
                }
                let change = change(taken.inputs.saturating_sub(kept), taken.blanks.len());
                Now::Paid(taken.clone(), Paid { proof: proof.clone(), change })
            }
        };
        Some(Self { failed: self.failed, now })
    }
}

/// The amounts that give back as much of `amount` as `places` coins can, smallest first.
fn change(amount: u64, places: usize) -> Vec<u64> {
    let top = 1 << (AMOUNTS - 1);
    let tops = std::iter::repeat_n(top, usize::try_from(amount / top).unwrap_or(usize::MAX));
    let mut change: Vec<u64> = tops.chain(split(amount % top).rev()).take(places).collect();
    change.reverse();
    change
}

impl Mint {
    /// Makes a quote for a payment with `method`.
    ///
    /// # Errors
    /// [`Refusal`]; nothing changed.
    pub async fn melt_quote(
        &self,
        method: &str,
        request: impl Sent<MeltQuoteRequest>,
    ) -> Result<MeltQuoteAnswer, Refusal> {
        let backend = self.backend(method)?;
        let request = request.receive()?;
        let unit = Unit::from_name(&request.unit).filter(|unit| backend.units().contains(unit));
        let unit = unit.ok_or(Refusal::UnknownUnit)?;
        if request.request.len() > REQUEST_BYTES_MAX {
            return Err(Refusal::BadRequest(format!("longer than {REQUEST_BYTES_MAX} bytes")));
        }
        let estimate = backend.quote_payment(&request.request, unit).await.map_err(refused)?;
        let (least, most) = backend.limits();
        if estimate.amount < least || estimate.amount > most {
            return Err(Refusal::Amount("the method's limits are in the mint's information"));
        }
        let quote = Quote {
            method: method.to_owned(),
            unit,
            amount: estimate.amount,
            fee_reserve: estimate.fee_reserve,
            request: request.request,
            expiry: self.now().after(LIFETIME),
        };
        let id = QuoteId::new().to_string();
        self.ledger.put_quote(&QUOTES, &id, &quote, quote.expiry.after(KEPT)).await?;
        self.melt_answer(id, quote, MeltState::default()).await
    }

    /// A quote and how far its payment is.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn melt_quote_state(&self, method: &str, id: &str) -> Result<MeltQuoteAnswer, Refusal> {
        let quote = self.melt_record(method, id).await?.quote;
        let (state, _) = self.ledger.melt(id).await?;
        self.melt_answer(id.to_owned(), quote, state).await
    }

    /// Pays a quote with coins, and waits for the payment as long as the settings say; then, or if the request prefers it at once, the
    /// answer is `PENDING`. The same request again waits again, and gets the same answer once it is paid, for ever.
    ///
    /// # Errors
    /// [`Refusal`]. `PaymentFailed`: the coins are free again. After `Unsure`, and after `Busy` too, ask for the quote's state.
    pub async fn melt(
        &self,
        method: &str,
        request: impl Sent<MeltRequest<String>>,
    ) -> Result<MeltQuoteAnswer, Refusal> {
        self.backend(method)?;
        let limits = self.settings.limits;
        let request = self.compute(move || {
            let request = request.receive()?;
            request::inputs_shape(request.inputs(), &limits)?;
            let blanks = request.outputs().as_deref().unwrap_or_default();
            if blanks.len() > BLANKS_MAX {
                return Err(Refusal::TooManyOutputs(BLANKS_MAX));
            }
            request::outputs_shape(blanks, &limits)?;
            Ok(request)
        });
        let request = request.await?;
        let id = request.quote().clone();
        let found = self.melt_record(method, &id).await?;
        let attempt = self.order(&id, &found, &request).await?;
        let quote = found.quote;
        if request.is_prefer_async() {
            self.unfinished.notify_one();
            let (state, _) = self.ledger.melt(&id).await?;
            return self.melt_answer(id, quote, state).await;
        }
        let state = self.wait(&id, &quote, attempt).await?;
        self.melt_answer(id, quote, state).await
    }

    /// Asks once after every unfinished payment that is due.
    pub async fn poll(&self) {
        let now = self.now();
        let due = match self.ledger.archive.timers_due(now, POLL_MAX).await {
            Ok(due) => due,
            Err(error) => return drop(reading(&error)),
        };
        for timer in due {
            let quote = timer.key.strip_prefix(MACHINE).and_then(|quote| std::str::from_utf8(quote).ok());
            let Some(quote) = quote.map(str::to_owned) else { continue };
            match self.ask_after(&quote).await {
                Ok(true) => {}
                Ok(false) => self.ask_later(timer, now).await,
                Err(error) => tracing::warn!(quote, %error, "an unfinished payment cannot be finished now"),
            }
        }
    }

    async fn ask_after(&self, id: &str) -> Result<bool, Refusal> {
        let found = self.ledger.quote::<Quote>(&QUOTES, id).await?.ok_or(Refusal::UnknownQuote)?;
        Ok(!self.drive(id, &found.quote).await?.0.is_pending())
    }

    async fn ask_later(&self, timer: SetTimer, now: Time) {
        let due = now.after(Seconds(self.settings.poll.as_secs().max(1)));
        let commit = Commit { timers: vec![SetTimer { due, ..timer }], ..Commit::default() };
        if let Err(error) = self.ledger.archive.commit(commit).await {
            drop(storage(&error));
        }
    }

    /// Takes the coins and writes the order down, unless this request did so before; the number of the attempt.
    async fn order(&self, id: &str, found: &Found<Quote>, request: &MeltRequest<String>) -> Result<u8, Refusal> {
        let blanks = request.outputs().as_deref().unwrap_or_default();
        let digest = request::digest("melt", id, request.inputs(), blanks);
        for _ in 0..STALE_MAX {
            let (state, version) = self.ledger.melt(id).await?;
            match &state.now {
                Now::Idle => {}
                _ if state.request() == Some(digest) => return Ok(state.failed),
                Now::Pending(_) => return Err(Refusal::QuotePending),
                Now::Paid(..) => return Err(Refusal::AlreadyPaid),
            }
            if state.failed >= RETURNS_MAX {
                return Err(Refusal::PaymentFailed("too many attempts; ask for a new quote".to_owned()));
            }
            let (coins, taken) = self.take(&found.quote, request, digest).await?;
            let outputs: Vec<Output> =
                taken.blanks.iter().map(|blank| Output::new(&blank.keyset, &blank.blinded, 1)).collect();
            let spender = Spender::Melt { quote: id.to_owned(), attempt: state.failed };
            let attempt = state.failed;
            let pending = MeltState { failed: attempt, now: Now::Pending(taken) };
            let mut with = Commit {
                states: vec![PutState { key: key(id), replaces: version, bytes: pending.to_bytes() }],
                timers: vec![SetTimer { key: key(id), name: TIMER.to_owned(), due: self.now() }],
                ..Commit::default()
            };
            // The first attempt makes the quote stay; without a state there was none.
            if found.is_open && version == 0 {
                QUOTES.keep(&mut with, id, &found.quote);
            }
            match self.ledger.grant(&spender, &coins, &outputs, with).await? {
                Granted::Now | Granted::Before => {
                    self.metrics
                        .redeemed(request.inputs().iter().map(|input| (input.keyset_id, input.amount.to_u64())));
                    return Ok(attempt);
                }
                Granted::Conflict => {}
            }
        }
        Err(Refusal::QuotePending)
    }

    /// Checks what is offered for an order.
    async fn take(
        &self,
        quote: &Quote,
        request: &MeltRequest<String>,
        digest: Digest,
    ) -> Result<(Vec<Coin>, Taken), Refusal> {
        let now = self.now();
        if quote.expiry < now {
            return Err(Refusal::QuoteExpired);
        }
        let (keysets, request) = (self.keysets(), request.clone());
        let (unit, needed) = (quote.unit, quote.amount.checked_add(quote.fee_reserve));
        let needed = needed.ok_or(Refusal::Amount("the sum overflows"))?;
        let work = move || {
            let offered = request::inputs_sum(request.inputs(), &keysets, now)?;
            if offered.unit != unit {
                return Err(Refusal::UnitMismatch);
            }
            let blank = |blank: &BlindedMessage| {
                let keyset = keysets.signing(&blank.keyset_id, now.unix())?;
                if keyset.terms().unit != unit {
                    return Err(Refusal::UnitMismatch);
                }
                Ok(Blank { keyset: blank.keyset_id, blinded: blank.blinded_secret })
            };
            let blanks = request.outputs().iter().flatten().map(blank).collect::<Result<_, _>>()?;
            if offered.amount < needed.saturating_add(offered.fee) {
                return Err(Refusal::Unbalanced { inputs: offered.amount, fee: offered.fee, outputs: needed });
            }
            let coins = request::prove(request.inputs(), &keysets, now, || request.sig_all_msg_to_sign())?;
            Ok((coins, Taken { request: digest, inputs: offered.amount, fee: offered.fee, blanks }))
        };
        self.compute(work).await
    }

    /// Drives an order until it has ended or patience has.
    async fn wait(&self, id: &str, quote: &Quote, attempt: u8) -> Result<MeltState, Refusal> {
        let end = Instant::now() + self.settings.melt_patience;
        loop {
            let (state, reason) = self.drive(id, quote).await?;
            if state.failed > attempt {
                return Err(Refusal::PaymentFailed(reason.unwrap_or_default()));
            }
            if !state.is_pending() || Instant::now() >= end {
                return Ok(state);
            }
            sleep(ASK.min(end.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Gives an order that is not finished, or asks after it, which is the same, and stores how it ended. The state after it, and why it
    /// failed if it did so now.
    async fn drive(&self, id: &str, quote: &Quote) -> Result<(MeltState, Option<String>), Refusal> {
        let backend = self.backend(&quote.method)?;
        for _ in 0..STALE_MAX {
            let (state, version) = self.ledger.melt(id).await?;
            if !state.is_pending() {
                return Ok((state, None));
            }
            let outcome = match backend.pay(&quote.order(id, state.failed)).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    tracing::warn!(quote = id, %error, "it is not known what became of a payment");
                    return Ok((state, None));
                }
            };
            let Some(next) = state.after(&outcome) else { return Ok((state, None)) };
            let commit = Commit {
                states: vec![PutState { key: key(id), replaces: version, bytes: next.to_bytes() }],
                timers_done: vec![(key(id), TIMER.to_owned())],
                ..Commit::default()
            };
            match self.ledger.archive.commit(commit).await {
                Ok(()) => {
                    self.count_change(&next);
                    let reason = if let Outcome::Failed { reason } = outcome { Some(reason) } else { None };
                    return Ok((next, reason));
                }
                // Somebody else stored the end, or this commit did and we could not hear it: the state says.
                Err(CommitError::Stale { .. } | CommitError::Unknown(_)) => {}
                Err(error) => return Err(storage(&error)),
            }
        }
        Err(Refusal::Busy("a payment cannot be finished now"))
    }

    fn count_change(&self, next: &MeltState) {
        if let Now::Paid(taken, paid) = &next.now {
            let change = taken.blanks.iter().zip(&paid.change);
            self.metrics.issued(change.map(|(blank, amount)| (blank.keyset, *amount)));
        }
    }

    async fn melt_record(&self, method: &str, id: &str) -> Result<Found<Quote>, Refusal> {
        self.backend(method)?;
        let found = if id.len() > 48 { None } else { self.ledger.quote::<Quote>(&QUOTES, id).await? };
        found.filter(|found| found.quote.method == method).ok_or(Refusal::UnknownQuote)
    }

    async fn melt_answer(&self, id: String, quote: Quote, state: MeltState) -> Result<MeltQuoteAnswer, Refusal> {
        let (name, proof, change) = match state.now {
            Now::Idle => ("UNPAID", None, None),
            Now::Pending(_) => ("PENDING", None, None),
            Now::Paid(taken, paid) => {
                let keysets = self.keysets();
                let sign = move || {
                    let places = taken.blanks.iter().zip(&paid.change);
                    let parts = places.map(|(blank, amount)| (&blank.keyset, &blank.blinded, *amount));
                    let change = request::sign(parts, &keysets);
                    Ok((paid.proof, (!taken.blanks.is_empty()).then_some(change)))
                };
                let (proof, change) = self.compute(sign).await?;
                ("PAID", proof, change)
            }
        };
        Ok(MeltQuoteAnswer {
            quote: id,
            request: quote.request,
            amount: quote.amount,
            unit: quote.unit.name().to_owned(),
            fee_reserve: quote.fee_reserve,
            state: name.to_owned(),
            expiry: quote.expiry.unix(),
            payment_preimage: proof,
            change,
        })
    }
}

/// A quote as it is stored: `{ 0: 1, 1: method, 2: unit, 3: amount, 4: fee reserve, 5: request, 6: expiry }`.
pub(super) struct Quote {
    method: String,
    unit: Unit,
    amount: u64,
    fee_reserve: u64,
    request: String,
    expiry: Time,
}

impl Quote {
    fn order(&self, id: &str, attempt: u8) -> Order {
        Order {
            id: if attempt == 0 { id.to_owned() } else { format!("{id}.{attempt}") },
            request: self.request.clone(),
            unit: self.unit,
            amount: self.amount,
            fee_max: self.fee_reserve,
        }
    }
}

impl Encode for Quote {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.method.as_str())
            .put(2, self.unit.name())
            .put(3, self.amount)
            .put(4, self.fee_reserve)
            .put(5, self.request.as_str())
            .put_item(6, &self.expiry)
            .build()
    }
}

impl Decode for Quote {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let method = fields.text(1, "method", 64)?;
        let unit = unit(&mut fields, 2)?;
        let amount = fields.uint(3, "amount")?;
        let fee_reserve = fields.uint(4, "fee reserve")?;
        let request = fields.text(5, "request", REQUEST_BYTES_MAX)?;
        let expiry = fields.item(6, "expiry")?;
        fields.close()?;
        Ok(Self { method, unit, amount, fee_reserve, request, expiry })
    }
}

impl Encode for MeltState {
    fn to_value(&self) -> Value {
        let (taken, paid) = match &self.now {
            Now::Idle => (None, None),
            Now::Pending(taken) => (Some(taken.to_value()), None),
            Now::Paid(taken, paid) => (Some(taken.to_value()), Some(paid.to_value())),
        };
        record().put(0, 1_u64).put(1, u64::from(self.failed)).put_some(2, taken).put_some(3, paid).build()
    }
}

impl Decode for MeltState {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let failed = fields.small(1, "failed attempts")?;
        let now = match (fields.optional_item(2, "order")?, fields.optional_item(3, "payment")?) {
            (None, None) => Now::Idle,
            (Some(taken), None) => Now::Pending(taken),
            (Some(taken), Some(paid)) => Now::Paid(taken, paid),
            (None, Some(_)) => return Err(DecodeError::field("order", Problem::Missing)),
        };
        fields.close()?;
        Ok(Self { failed, now })
    }
}

impl Encode for Taken {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.request).put(1, self.inputs).put(2, self.fee).put_list(3, &self.blanks).build()
    }
}

impl Decode for Taken {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let request = fields.item(0, "request")?;
        let inputs = fields.uint(1, "inputs")?;
        let fee = fields.uint(2, "fee")?;
        let blanks = fields.list(3, "blank outputs", BLANKS_MAX)?;
        fields.close()?;
        Ok(Self { request, inputs, fee, blanks })
    }
}

impl Encode for Blank {
    fn to_value(&self) -> Value {
        record().put_bytes(0, self.keyset.to_bytes()).put_bytes(1, self.blinded.to_bytes()).build()
    }
}

impl Decode for Blank {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let keyset = fields.bytes(0, "keyset", 33)?;
        let blinded = point(fields.value(1, "message")?, "message")?;
        fields.close()?;
        let keyset = Id::from_bytes(&keyset)
            .map_err(|_| DecodeError::field("keyset", Problem::OutOfRange("not a keyset's identifier")))?;
        Ok(Self { keyset, blinded })
    }
}

impl Encode for Paid {
    fn to_value(&self) -> Value {
        let change: Vec<Value> = self.change.iter().map(|amount| Value::Uint(*amount)).collect();
        record().put_some(0, self.proof.as_deref()).put(1, change).build()
    }
}

impl Decode for Paid {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let proof = fields.optional_item(0, "proof")?;
        let change = fields.list(1, "change", BLANKS_MAX)?;
        fields.close()?;
        Ok(Self { proof, change })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn taken() -> Taken {
        let blinded = crate::ecash::crypto::hash_to_curve(b"blank");
        let keyset = Id::from_bytes(&[0; 8]).unwrap();
        let blanks = vec![Blank { keyset, blinded }; 3];
        Taken { request: Digest::from_array([1; 32]), inputs: 100, fee: 1, blanks }
    }

    // A state that is not read back as it was written is a payment that nobody can finish.
    #[test]
    fn states_are_read_as_they_were_written() {
        let pending = MeltState { failed: 2, now: Now::Pending(taken()) };
        let paid = pending.after(&Outcome::Paid { spent: 92, proof: Some("proof".to_owned()) }).unwrap();
        assert_eq!(
            (paid.change_at(0), paid.change_at(1), paid.change_at(2), paid.change_at(3)),
            (Some(1), Some(2), Some(4), None)
        );
        let failed = pending.after(&Outcome::Failed { reason: String::new() }).unwrap();
        assert_eq!(failed, MeltState { failed: 3, now: Now::Idle });
        for state in [MeltState::default(), pending.clone(), paid.clone(), failed.clone()] {
            assert_eq!(MeltState::from_bytes(&state.to_bytes()).unwrap(), state);
        }
        assert_eq!(pending.after(&Outcome::Pending), None);
        assert_eq!(paid.after(&Outcome::Failed { reason: String::new() }), None, "a paid order stays paid");
        assert_eq!(failed.after(&Outcome::Paid { spent: 1, proof: None }), None, "a failed order stays failed");
    }

    #[test]
    fn change_gives_back_what_fits_the_largest_first() {
        assert_eq!(change(900, 10), [4, 128, 256, 512]);
        assert_eq!(change(900, 2), [256, 512]);
        assert_eq!(change(0, 5), [0_u64; 0]);
        assert_eq!(change(7, 0), [0_u64; 0]);
        assert_eq!(change(3 << 40, 9), [1 << 40; 3]);
        assert_eq!(change(u64::MAX, 2).len(), 2);
    }
}
