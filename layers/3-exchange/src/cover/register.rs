//! The rules by which a guarantor keeps its word: what may be done under one customer's account, from what was done before.
//!
//! An [`Account`] is all that a guarantor remembers of a customer but what is over. Each rule takes the account, a request that was found to be signed as
//! it says, what a folder was found to show, and the time; it gives the account that follows, and the covers that are over. Whoever serves requests
//! stores both, in the place of exactly the account that they were computed from, and only then says something. So of two requests for the last of a
//! limit one finds another account and is decided again.
//!
//! ```text
//! account = { 0: 1, 1: customer (key set id), 2: liability-agreement, ? 3: revoked since, 4: [* open] }       ; in the order of the covers' names
//! open    = { 0: cover, ? 1: claim, ? 2: [paid out, repaid] }                      ; 2 if it is paid
//! claim   = { 0: amount, 1: to (key set id), 2: since, 3: answer by }
//! closed  = { 0: 1, 1: customer (key set id), 2: cover, 3: "released" / "rejected" / "expired" / "repaid", 4: since, ? 5: claim }
//!
//! reserved ──release──▶ released                    claimed ──release──▶ released
//!    │  └──claim by + clocks──▶ expired                │  └──answer──▶ rejected
//!    └──claim──▶ claimed                               └──answer by──▶ paid ──paid out and repaid──▶ repaid
//! ```
//! What is reserved, claimed or paid and not repaid counts towards the limit. What was claimed does not expire.
//!
//! Source: `spec/cover.md` §3.

use std::collections::BTreeMap;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::ids::KeySetId;
use semper_core::time::{Seconds, Time};
use semper_support::flaws::{self, Flaw};

use super::debt::Debt;
use super::statement::{Agreement, Cover, CoverId, CoverRequest, CoverRuling, Outcome};

/// The longest time from a request to the last second for claims.
pub const SPAN_MAX: Seconds = Seconds(400 * 24 * 3600);
/// By how much honest clocks differ: so long after its date a claim is still taken, and nothing is freed.
pub const CLOCKS: Seconds = Seconds(120);
/// Most covers of one customer that are not over.
pub const OPEN_MAX: usize = 256;

/// What a guarantor remembers of a customer, but what is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    customer: KeySetId,
    agreement: Agreement,
    revoked: Option<Time>,
    open: BTreeMap<CoverId, Open>,
}

/// A cover that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    /// What was certified.
    pub cover: Cover,
    /// What has become of it.
    pub standing: Standing,
}

/// What has become of a cover that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nobody has asked for money.
    Reserved,
    /// Somebody has, and the customer may still show that nothing is owed.
    Claimed(Claimed),
    /// The guarantor owes the claimant, and the customer owes the guarantor, each unless it was booked.
    Paid {
        /// What was claimed. It fell due at the end of the time for an answer.
        claim: Claimed,
        /// Whether the operator has paid the claimant.
        paid_out: bool,
        /// Whether the customer has paid the guarantor.
        repaid: bool,
    },
}

/// A claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claimed {
    /// How much.
    pub amount: Amount,
    /// Who asks for it.
    pub to: KeySetId,
    /// Since when.
    pub since: Time,
    /// The last second for an answer of the customer.
    pub answer_by: Time,
}

/// A cover that is over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Closed {
    /// Whose it was.
    pub customer: KeySetId,
    /// What was certified.
    pub cover: Cover,
    /// How it ended.
    pub end: End,
    /// Since when.
    pub since: Time,
}

/// How a cover ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It was given up, or nothing was owed.
    Released,
    /// It was claimed and nothing was owed.
    Rejected,
    /// Nobody claimed it in time.
    Expired,
    /// It was paid, and its customer has paid the guarantor.
    Repaid(Claimed),
}

/// Who says that nothing is owed under a cover. That it is signed so was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// Whom the cover is for.
    Beneficiary,
    /// The customer, and this is what its folder shows.
    Customer(Debt),
}

/// A side of a paid cover that the operator books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Booking {
    /// The claimant has its money.
    PaidOut,
    /// The customer has paid the guarantor.
    Repaid,
}

/// What follows from a request: what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The account from now on.
    pub account: Account,
    /// The covers that are over by this.
    pub closed: Vec<Closed>,
}

/// The sums of an account, in minor units of its currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Certified, and nobody has asked for it.
    pub reserved: u64,
    /// Claimed and not decided.
    pub claimed: u64,
    /// Paid, and not repaid by the customer.
    pub paid: u64,
}

/// Why a guarantor does not do what it is asked to. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// An agreement that is older than the one that stands, or in another currency.
    #[error("a later agreement stands, or one in another currency")]
    Superseded,
    /// The agreement is over.
    #[error("the liability agreement was over at {0}")]
    Over(Time),
    /// The customer's keys were reported as lost or stolen.
    #[error("the customer's keys were revoked at {0}: no new cover is given")]
    Revoked(Time),
    /// Another currency than the limit's, or nothing.
    #[error("a cover is for an amount in the currency of the limit, which is {0}")]
    Currency(Amount),
    /// More than one contract may cost.
    #[error("the agreement allows {0} for each deal")]
    PerDeal(Amount),
    /// More than is left.
    #[error("the limit is {limit}, and {left} are left of it")]
    Limit {
        /// What was agreed.
        limit: Amount,
        /// What nobody else relies on.
        left: Amount,
    },
    /// A date is over, too far away, or before the other one.
    #[error("a cover is accepted from now on until it can be claimed, and claimed within {} days", SPAN_MAX.0 / 86400)]
    Dates,
    /// Another request has this name.
    #[error("another cover has this name")]
    Conflict,
    /// The contract has a cover.
    #[error("this contract has a cover already")]
    Taken,
    /// Too many covers that are not over.
    #[error("no more than {OPEN_MAX} covers of one customer can be open")]
    TooMany,
    /// It is over.
    #[error("the cover is over: nothing can be claimed or released under it any more")]
    Ended,
    /// More than was certified, or another currency.
    #[error("the cover is for {0} at most")]
    TooMuch(Amount),
    /// The folder does not show that the contract binds.
    #[error("the folder does not show a contract that binds both: the guarantor pays for nothing else")]
    NotBound,
    /// The folder shows that nothing is owed.
    #[error("the folder shows that nothing is owed: the contract binds nobody, or its money has come")]
    NothingOwed,
    /// The folder does not show that nothing is owed.
    #[error(
        "the folder does not show that nothing is owed: it needs the arbiter's word that nobody is bound, or the other side's that its money has come"
    )]
    Owed,
    /// It was claimed otherwise.
    #[error("it was claimed before, by somebody else or for another amount")]
    Claimed,
    /// It is paid.
    #[error("the guarantor pays: the time for an answer is over")]
    Paid,
    /// It is not paid.
    #[error("nothing was paid under this cover")]
    NotPaid,
}

impl Account {
    /// The account of a customer that has signed an agreement.
    pub fn new(customer: KeySetId, agreement: Agreement) -> Self {
        Self { customer, agreement, revoked: None, open: BTreeMap::new() }
    }

    /// Whose it is.
    pub fn customer(&self) -> KeySetId {
        self.customer
    }

    /// The limits.
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Since when the customer's keys are revoked.
    pub fn revoked(&self) -> Option<Time> {
        self.revoked
    }

    /// The covers that are not over, as they were stored last.
    pub fn open(&self) -> impl Iterator<Item = &Open> {
        self.open.values()
    }

    /// One of them.
    pub fn cover(&self, id: CoverId) -> Option<&Open> {
        self.open.get(&id)
    }

    /// What counts towards the limit.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for Open { cover, standing } in self.open.values() {
            let (sum, amount) = match standing {
                Standing::Reserved => (&mut totals.reserved, cover.amount),
                Standing::Claimed(_) => (&mut totals.claimed, cover.amount),
                Standing::Paid { repaid: true, .. } => continue,
                Standing::Paid { claim, .. } => (&mut totals.paid, claim.amount),
            };
            *sum = sum.saturating_add(amount.minor());
        }
        totals
    }

    /// What is left of the limit.
    pub fn left(&self) -> Amount {
        let limit = self.agreement.limit;
        let left = limit.minor().saturating_sub(self.totals().sum());
        Amount::new(left, limit.currency()).unwrap_or(limit)
    }

    /// Takes another agreement in the place of the one that stands. What was certified stays.
    ///
    /// # Errors
    /// `Superseded`.
    pub fn agree(&self, agreement: Agreement) -> Result<Self, Refusal> {
        let same = agreement == self.agreement;
        let later = agreement.issued > self.agreement.issued;
        if !same && !later || agreement.limit.currency() != self.agreement.limit.currency() {
            return Err(Refusal::Superseded);
        }
        Ok(Self { agreement, ..self.clone() })
    }

    /// Gives no new cover from now on. What was certified stays.
    pub fn revoke(&self, now: Time) -> Self {
        Self { revoked: self.revoked.or(Some(now)), ..self.clone() }
    }

    /// Frees what nobody has claimed in time, and makes due what nobody has answered.
    pub fn at(&self, now: Time) -> Step {
        let (mut account, mut closed) = (self.clone(), Vec::new());
        for (id, Open { cover, standing }) in &self.open {
            let margin = if flaws::active(Flaw::NoMargin) { Seconds(0) } else { CLOCKS };
            let late = now > cover.claim_by.after(margin);
            let freed = late && (*standing == Standing::Reserved || flaws::active(Flaw::ClaimedExpires));
            match standing {
                _ if freed => account.close(*id, End::Expired, cover.claim_by, &mut closed),
                Standing::Claimed(claim) if now > claim.answer_by => {
                    let standing = Standing::Paid { claim: *claim, paid_out: false, repaid: false };
                    account.open.insert(*id, Open { cover: cover.clone(), standing });
                }
                _ => {}
            }
        }
        Step { account, closed }
    }

    /// Certifies a cover, if the limits allow it. `address` is where the guarantor answers, `answer` how long the customer has to answer a claim.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn reserve(
        &self,
        asked: &CoverRequest,
        address: &str,
        answer: Seconds,
        now: Time,
    ) -> Result<(Step, Cover), Refusal> {
        let Step { mut account, closed } = self.at(now);
        account.admits(asked, now)?;
        let CoverRequest { cover: id, tag, amount, subject, accept_before, claim_by, .. } = *asked;
        let (address, not_revoked_at) = (address.to_owned(), now);
        let cover = Cover { cover: id, address, tag, amount, subject, not_revoked_at, accept_before, claim_by, answer };
        account.open.insert(id, Open { cover: cover.clone(), standing: Standing::Reserved });
        Ok((Step { account, closed }, cover))
    }

    fn admits(&self, asked: &CoverRequest, now: Time) -> Result<(), Refusal> {
        let Agreement { limit, per_deal, until, .. } = self.agreement;
        if let Some(since) = self.revoked {
            return Err(Refusal::Revoked(since));
        }
        let left = self.left();
        match () {
            () if now > until => Err(Refusal::Over(until)),
            () if self.open.contains_key(&asked.cover) => Err(Refusal::Conflict),
            () if self.open.values().any(|open| open.cover.tag == asked.tag) => Err(Refusal::Taken),
            () if asked.amount.currency() != limit.currency() || asked.amount.minor() == 0 => {
                Err(Refusal::Currency(limit))
            }
            () if asked.amount.minor() > per_deal.minor() => Err(Refusal::PerDeal(per_deal)),
            () if asked.accept_before < now || asked.claim_by < asked.accept_before => Err(Refusal::Dates),
            () if asked.claim_by > now.after(SPAN_MAX) => Err(Refusal::Dates),
            () if self.open.len() >= OPEN_MAX => Err(Refusal::TooMany),
            () if flaws::active(Flaw::UncountedCover) => Ok(()),
            () if asked.amount.minor() > left.minor() => Err(Refusal::Limit { limit, left }),
            () => Ok(()),
        }
    }

    /// Ends a cover under which nothing is owed.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn release(&self, id: CoverId, word: Word, now: Time) -> Result<Step, Refusal> {
        let Step { mut account, mut closed } = self.at(now);
        let standing = account.standing(id)?;
        if matches!(word, Word::Customer(Debt::Owed | Debt::NotShown)) {
            return Err(Refusal::Owed);
        }
        let end = match (standing, word) {
            (Standing::Paid { .. }, _) => return Err(Refusal::Paid),
            (Standing::Claimed(_), Word::Customer(_)) => End::Rejected,
            (Standing::Reserved | Standing::Claimed(_), _) => End::Released,
        };
        account.close(id, end, now, &mut closed);
        Ok(Step { account, closed })
    }

    /// Takes a claim of whom the cover is for, `to`, with what its folder shows. The same claim again changes nothing.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn claim(&self, id: CoverId, amount: Amount, to: KeySetId, debt: Debt, now: Time) -> Result<Step, Refusal> {
        let Step { mut account, closed } = self.at(now);
        let standing = account.standing(id)?;
        if let Standing::Claimed(claim) | Standing::Paid { claim, .. } = standing {
            let same = (claim.amount, claim.to) == (amount, to);
            return if same { Ok(Step { account, closed }) } else { Err(Refusal::Claimed) };
        }
        let cover = account.open[&id].cover.clone();
        let most = cover.amount;
        match debt {
            _ if amount.currency() != most.currency() || amount.minor() > most.minor() || amount.minor() == 0 => {
                return Err(Refusal::TooMuch(most));
            }
            Debt::NotShown => return Err(Refusal::NotBound),
            Debt::Nothing => return Err(Refusal::NothingOwed),
            Debt::Owed => {}
        }
        let standing = Standing::Claimed(Claimed { amount, to, since: now, answer_by: now.after(cover.answer) });
        account.open.insert(id, Open { cover, standing });
        Ok(Step { account, closed })
    }

    /// Books that a claimant was paid, or that the customer has repaid what was paid for it. Twice is once.
    ///
    /// # Errors
    /// `NotPaid`, `Ended`.
    pub fn book(&self, id: CoverId, booking: Booking, now: Time) -> Result<Step, Refusal> {
        let Step { mut account, mut closed } = self.at(now);
        let Standing::Paid { claim, paid_out, repaid } = account.standing(id)? else { return Err(Refusal::NotPaid) };
        let (paid_out, repaid) = (paid_out || booking == Booking::PaidOut, repaid || booking == Booking::Repaid);
        if paid_out && repaid {
            account.close(id, End::Repaid(claim), now, &mut closed);
        } else if let Some(open) = account.open.get_mut(&id) {
            open.standing = Standing::Paid { claim, paid_out, repaid };
        }
        Ok(Step { account, closed })
    }

    fn standing(&self, id: CoverId) -> Result<Standing, Refusal> {
        self.open.get(&id).map(|open| open.standing).ok_or(Refusal::Ended)
    }

    fn close(&mut self, id: CoverId, end: End, since: Time, closed: &mut Vec<Closed>) {
        if let Some(Open { cover, .. }) = self.open.remove(&id) {
            closed.push(Closed { customer: self.customer, cover, end, since });
        }
    }
}

impl Totals {
    /// All together.
    pub fn sum(&self) -> u64 {
        self.reserved.saturating_add(self.claimed).saturating_add(self.paid)
    }
}

impl Open {
    /// What the guarantor says of it, once somebody has asked for money.
    pub fn ruling(&self) -> Option<CoverRuling> {
        let (outcome, time) = match self.standing {
            Standing::Reserved => return None,
            Standing::Claimed(Claimed { amount, to, since, answer_by }) => {
                (Outcome::Claimed { amount, to, answer_by }, since)
            }
            Standing::Paid { claim, .. } => (claim.due(), claim.answer_by),
        };
        Some(CoverRuling { cover: self.cover.cover, outcome, time })
    }
}

impl Claimed {
    /// What it becomes when nobody has answered it.
    fn due(&self) -> Outcome {
        Outcome::Paid { amount: self.amount, to: self.to }
    }
}

impl End {
    /// The word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            End::Released => "released",
            End::Rejected => "rejected",
            End::Expired => "expired",
            End::Repaid(_) => "repaid",
        }
    }
}

impl Closed {
    /// What the guarantor says of it, unless it ended by its date.
    pub fn ruling(&self) -> Option<CoverRuling> {
        let (outcome, time) = match self.end {
            End::Expired => return None,
            End::Released => (Outcome::Released, self.since),
            End::Rejected => (Outcome::Rejected, self.since),
            End::Repaid(claim) => (claim.due(), claim.answer_by),
        };
        Some(CoverRuling { cover: self.cover.cover, outcome, time })
    }
}

impl Encode for Claimed {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.amount)
            .put_item(1, &self.to)
            .put_item(2, &self.since)
            .put_item(3, &self.answer_by)
            .build()
    }
}

impl Decode for Claimed {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let claim = Self {
            amount: fields.item(0, "amount")?,
            to: fields.item(1, "to")?,
            since: fields.item(2, "since")?,
            answer_by: fields.item(3, "answer by")?,
        };
        fields.close()?;
        Ok(claim)
    }
}

impl Encode for Open {
    fn to_value(&self) -> Value {
        let (claim, booked) = match self.standing {
            Standing::Reserved => (None, None),
            Standing::Claimed(claim) => (Some(claim), None),
            Standing::Paid { claim, paid_out, repaid } => (Some(claim), Some([paid_out, repaid])),
        };
        let booked = booked.map(|booked| Value::Array(booked.into_iter().map(Value::from).collect()));
        record().put_item(0, &self.cover).put_some(1, claim.map(|claim| claim.to_value())).put_some(2, booked).build()
    }
}

impl Decode for Open {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let cover = fields.item(0, "cover")?;
        let claim: Option<Claimed> = fields.optional_item(1, "claim")?;
        let standing = match claim {
            None => Standing::Reserved,
            Some(claim) => match fields.optional_item::<Booked>(2, "booked")? {
                None => Standing::Claimed(claim),
                Some(Booked([paid_out, repaid])) => Standing::Paid { claim, paid_out, repaid },
            },
        };
        fields.close()?;
        Ok(Self { cover, standing })
    }
}

/// What was booked of a paid cover: paid out, repaid.
struct Booked([bool; 2]);

impl Decode for Booked {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        match value {
            Value::Array(items) => match items.as_slice() {
                [Value::Bool(paid_out), Value::Bool(repaid)] => Ok(Self([*paid_out, *repaid])),
                _ => Err(DecodeError::field("", Problem::OutOfRange("two truth values"))),
            },
            other => Err(DecodeError::field("", Problem::WrongType { expected: "array", found: other.type_name() })),
        }
    }
}

impl Encode for Account {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.customer)
            .put_item(2, &self.agreement)
            .put_some(3, self.revoked.map(|time| time.to_value()))
            .put(4, self.open.values().map(Encode::to_value).collect::<Vec<_>>())
            .build()
    }
}

impl Decode for Account {
    const BYTES_MAX: usize = 1024 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (customer, agreement) = (fields.item(1, "customer")?, fields.item(2, "agreement")?);
        let revoked = fields.optional_item(3, "revoked")?;
        let mut open = BTreeMap::new();
        for one in fields.list::<Open>(4, "covers", OPEN_MAX)? {
            if open.last_key_value().is_some_and(|(last, _)| *last >= one.cover.cover) {
                return Err(DecodeError::field("covers", Problem::OutOfRange("the names of covers must rise")));
            }
            open.insert(one.cover.cover, one);
        }
        fields.close()?;
        Ok(Self { customer, agreement, revoked, open })
    }
}

impl Encode for Closed {
    fn to_value(&self) -> Value {
        let claim = match self.end {
            End::Repaid(claim) => Some(claim.to_value()),
            _ => None,
        };
        record()
            .put(0, 1_u64)
            .put_item(1, &self.customer)
            .put_item(2, &self.cover)
            .put(3, self.end.name())
            .put_item(4, &self.since)
            .put_some(5, claim)
            .build()
    }
}

impl Decode for Closed {
    const BYTES_MAX: usize = 8192;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (customer, cover) = (fields.item(1, "customer")?, fields.item(2, "cover")?);
        let (name, since) = (fields.text(3, "end", 16)?, fields.item(4, "since")?);
        let end = match name.as_str() {
            "released" => End::Released,
            "rejected" => End::Rejected,
            "expired" => End::Expired,
            "repaid" => End::Repaid(fields.item(5, "claim")?),
            _ => return Err(DecodeError::field("end", Problem::Unknown { what: "end", found: name })),
        };
        fields.close()?;
        Ok(Self { customer, cover, end, since })
    }
}

#[cfg(test)]
mod tests;
