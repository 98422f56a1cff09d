//! An account as the till of somebody else's service: a mint asks for money under a reference, sees it come, and pays it out.
//!
//! Client logic over a `call` that is handed in. Every order is named by its giver; asked again with the same name, the bank answers what
//! became of the first. Nothing is kept here but what was asked for: the bank remembers the rest.
//!
//! [`Till`] implements the mint's [`Backend`]: method `account`, whose requests are addresses with a reference and an amount.
//!
//! Source: `spec/account.md` §6.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use semper_core::amount::{Amount, Currency};
use semper_core::cose::Statement;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::signature::{Verified, Verify};
use semper_core::time::Seconds;
use semper_support::crypto::{Seal, Signer};
use semper_transfer::payment::module::{IssuerReply, IssuerRequest, Purse};
use semper_transfer::payment::operation::{Failure, PurseId};

use super::SYSTEM;
use super::answer::{AccountStatement, BankTerms, Booking, What};
use super::bank::Clock;
use super::client::{derive, fee, post, read, read_terms, refusal, terms_url};
use super::number::{AccountNumber, Address, is_reference};
use super::problem::{Fate, Refusal};
use super::request::{AccountRequest, Action, LINES_MAX, RequestId};
use crate::ecash::keyset::Unit;
use crate::ecash::mint::backend::{Backend, BackendError, Closing, Estimate, Invoice, Order, Outcome};

/// How long the bank takes a request. An order that is asked again later is found by its id.
const REQUEST_LIFETIME: Seconds = Seconds(86_400);
/// How long a payer has, by an invoice.
const INVOICE_LIFETIME: u64 = 86_400;
/// How long after that a transfer is still waited for: a bank does not refuse one whose reference is old.
const INVOICE_LATE: u64 = 86_400;
/// Pages of lines with one reference that are looked at: 10,000 lines.
const PAGES_MAX: usize = 100;

/// What came of a call: the bank's answer, or why there is none.
pub type Called = Pin<Box<dyn Future<Output = Result<IssuerReply, String>> + Send>>;
/// Asks the bank, over a network.
pub type Call = Arc<dyn Fn(IssuerRequest) -> Called + Send + Sync>;

/// What a till needs from outside.
#[derive(Clone)]
pub struct TillParts {
    /// The bank's address.
    pub issuer: String,
    /// The account's currency.
    pub currency: Currency,
    /// The keys that own the account.
    pub signer: Arc<dyn Signer>,
    /// Their certificates (DER), where the bank demands some.
    pub certificates: Vec<Vec<u8>>,
    /// From which the account is found again.
    pub seed: [u8; 32],
    /// Seals for the bank.
    pub seal: Arc<dyn Seal>,
    /// Checks signatures.
    pub verify: Arc<dyn Verify>,
    /// The time.
    pub clock: Clock,
    /// Asks the bank.
    pub call: Call,
}

/// An account that is opened.
pub struct Till {
    parts: TillParts,
    terms: BankTerms,
    number: AccountNumber,
    units: Vec<Unit>,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paid {
    /// Paid, finally; with the bank's signed booking.
    Done(Box<Verified<Booking>>),
    /// The bank has decided not to, for ever under this id.
    Refused(Refusal),
    /// The bank has not heard of it.
    Unknown,
}

/// Why a till cannot say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TillError {
    /// The bank does not answer; ask again with the same id.
    #[error("the bank does not answer: {0}")]
    Unavailable(String),
    /// The bank's answer is not acceptable.
    #[error(transparent)]
    Answer(#[from] Failure),
    /// The keys do not sign.
    #[error("the keys do not sign: {0}")]
    Keys(String),
    /// The bank refuses a question.
    #[error("the bank refuses: {0}")]
    Refused(Refusal),
}

impl Till {
    /// Opens the account, or finds it again.
    ///
    /// # Errors
    /// [`TillError`].
    pub async fn open(parts: TillParts) -> Result<Self, TillError> {
        let purse = Purse {
            id: PurseId::from_array([0; 16]),
            system: semper_transfer::payment::means::System::parse(SYSTEM).expect("the name is one of a system"),
            issuer: parts.issuer.clone(),
            currency: parts.currency,
            records: std::collections::BTreeMap::new(),
        };
        let reply = ask(&parts, IssuerRequest::get(terms_url(&parts.issuer))).await?;
        let (_, terms) = read_terms(&*parts.verify, &purse, &reply)?;
        let derived = derive(&parts.seed, &parts.issuer, parts.currency);
        let context = Action::verifier_context(terms.key_set.id());
        let sealed = parts.seal.seal(terms.sealing_suite, &terms.sealing_key, &context, &*derived.mac_key);
        let action = Action::Open {
            currency: parts.currency,
            key_set: parts.signer.key_set().clone(),
            certificates: parts.certificates.clone(),
            verifier: sealed.map_err(|e| TillError::Keys(e.to_string()))?,
        };
        let units = Unit::ALL.into_iter().filter(|unit| unit.name().eq_ignore_ascii_case(parts.currency.code()));
        let units = units.collect();
        let mut till = Self { parts, terms, number: AccountNumber::from_body(0), units };
        let reply = till.request(derived.open_id, None, action).await?;
        let opened = read::<AccountStatement>(&*till.parts.verify, &till.terms, &reply)?;
        till.number = opened.statement().account;
        Ok(till)
    }

    /// The account.
    pub fn number(&self) -> AccountNumber {
        self.number
    }

    /// Where money with a reference is to be sent.
    pub fn address(&self, reference: &str, amount: Option<Amount>) -> Address {
        let (issuer, reference) = (self.parts.issuer.clone(), reference.to_owned());
        Address { number: self.number, issuer, reference, amount }
    }

    /// How much has come by transfers with a reference, in minor units.
    ///
    /// # Errors
    /// [`TillError`].
    pub async fn arrived(&self, reference: &str) -> Result<u64, TillError> {
        let (mut from, mut sum) = (0, 0_u64);
        for _ in 0..PAGES_MAX {
            let action = Action::Find { reference: reference.to_owned(), from, most: LINES_MAX };
            // A question has no effect: a name of its own for each moment is enough.
            let now = (self.parts.clock)().unix().to_be_bytes();
            let id = id(&[b"find", reference.as_bytes(), &from.to_be_bytes(), &now]);
            let page: AccountStatement = self.ask(id, action).await?;
            if page.request != id || page.account != self.number {
                return Err(super::client::mismatch().into());
            }
            let came = page.lines.iter().filter(|line| line.what == What::Transfer && line.change > 0);
            let came = came.filter(|line| line.reference.as_deref() == Some(reference));
            sum = came.fold(sum, |sum, line| sum.saturating_add(line.change.unsigned_abs()));
            match page.next {
                Some(next) if next > from => from = next,
                _ => return Ok(sum),
            }
        }
        Ok(sum)
    }

    /// What paying an amount costs on top.
    ///
    /// # Errors
    /// [`TillError`]: the amount is too large to be counted.
    pub fn fee(&self, amount: Amount) -> Result<Amount, TillError> {
        Ok(fee(self.terms.fees, amount)?)
    }

    /// Pays to an address of this bank, once for each `order`: asked again, it answers what became of the first.
    ///
    /// # Errors
    /// [`TillError`]: not known now; ask again with the same `order`.
    pub async fn pay(
        &self,
        order: &str,
        address: &Address,
        amount: Amount,
        fee_most: Amount,
    ) -> Result<Paid, TillError> {
        let (to, reference) = (address.number, address.reference.clone());
        let action = Action::Transfer { amount, to, reference, fee_most };
        let reply = self.request(order_id(order), Some(self.number), action).await?;
        match self.paid(&reply)? {
            Paid::Done(booking) if booking.statement().amount != amount => Err(super::client::mismatch().into()),
            paid => Ok(paid),
        }
    }

    /// What became of an order.
    ///
    /// # Errors
    /// [`TillError`]: not known now.
    pub async fn status(&self, order: &str) -> Result<Paid, TillError> {
        let now = (self.parts.clock)().unix().to_be_bytes();
        let asked = Action::Status { request: order_id(order) };
        let reply = self.request(id(&[b"status", order.as_bytes(), &now]), Some(self.number), asked).await?;
        self.paid(&reply)
    }

    fn paid(&self, reply: &IssuerReply) -> Result<Paid, TillError> {
        use super::problem::ProblemKind::{Expired, UnknownRequest};
        match refusal(reply) {
            Some(refusal) if refusal.kind == UnknownRequest => Ok(Paid::Unknown),
            // The bank looks for what it did before it looks at the date: an order that it finds expired was never carried out.
            Some(refusal) if refusal.kind.fate() == Fate::Decided || refusal.kind == Expired => {
                Ok(Paid::Refused(refusal))
            }
            Some(refusal) => Err(TillError::Refused(refusal)),
            None => Ok(Paid::Done(Box::new(read::<Booking>(&*self.parts.verify, &self.terms, reply)?))),
        }
    }

    async fn ask<T: Statement + Clone>(&self, id: RequestId, action: Action) -> Result<T, TillError> {
        let reply = self.request(id, Some(self.number), action).await?;
        if let Some(refusal) = refusal(&reply) {
            return Err(TillError::Refused(refusal));
        }
        Ok(read::<T>(&*self.parts.verify, &self.terms, &reply)?.statement().clone())
    }

    async fn request(
        &self,
        id: RequestId,
        account: Option<AccountNumber>,
        action: Action,
    ) -> Result<IssuerReply, TillError> {
        let (issuer, bank) = (self.parts.issuer.clone(), self.terms.key_set.id());
        let expires = (self.parts.clock)().after(REQUEST_LIFETIME);
        let request = AccountRequest { issuer, bank, id, account, expires, action };
        let keys = self.parts.signer.key_set();
        let signed = self.parts.signer.sign(request.draft(keys.suite(), keys.id()));
        let signed = signed.map_err(|e| TillError::Keys(e.to_string()))?;
        ask(&self.parts, post(&self.parts.issuer, &signed)).await
    }
}

async fn ask(parts: &TillParts, request: IssuerRequest) -> Result<IssuerReply, TillError> {
    let reply = (parts.call)(request).await.map_err(TillError::Unavailable)?;
    match reply.status {
        429 | 500..=599 => Err(TillError::Unavailable(format!("status {}", reply.status))),
        _ => Ok(reply),
    }
}

/// The parts are joined with their lengths, so that no two lists of parts have one name.
fn id(parts: &[&[u8]]) -> RequestId {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
        joined.extend_from_slice(part);
    }
    let digest = Digest::of(domain::OPERATION, &joined);
    let mut id = [0; 16];
    id.copy_from_slice(&digest.as_bytes()[..16]);
    id
}

fn order_id(order: &str) -> RequestId {
    id(&[b"order", order.as_bytes()])
}

impl Till {
    /// An amount of the mint's unit in the account's currency.
    fn amount(&self, minor: u64, unit: Unit) -> Result<Amount, BackendError> {
        if !self.units.contains(&unit) {
            return Err(BackendError::Refused(format!("the mint's account is in {}", self.parts.currency)));
        }
        Amount::new(minor, self.parts.currency).map_err(|e| BackendError::Refused(e.to_string()))
    }

    /// An address that this bank pays to.
    fn payable(&self, request: &str) -> Result<Address, BackendError> {
        let refused = |why: &str| BackendError::Refused(why.to_owned());
        let address = Address::parse(request).ok_or_else(|| refused("not an address of an account"))?;
        if address.issuer != self.parts.issuer {
            return Err(refused("the account is at another bank"));
        }
        if address.number == self.number {
            return Err(refused("this is the mint's own account"));
        }
        Ok(address)
    }
}

impl From<TillError> for BackendError {
    fn from(error: TillError) -> Self {
        BackendError::Unavailable(error.to_string())
    }
}

#[async_trait]
impl Backend for Till {
    fn method(&self) -> &str {
        SYSTEM
    }

    fn units(&self) -> &[Unit] {
        &self.units
    }

    fn limits(&self) -> (u64, u64) {
        (self.terms.limits.least, self.terms.limits.most)
    }

    async fn invoice(&self, quote: &str, amount: u64, unit: Unit) -> Result<Invoice, BackendError> {
        let amount = self.amount(amount, unit)?;
        if !is_reference(quote) || quote.is_empty() {
            return Err(BackendError::Refused("a quote's name must be one short line".to_owned()));
        }
        if amount.minor() == 0 {
            return Err(BackendError::Amountless);
        }
        let request = self.address(quote, Some(amount)).to_string();
        Ok(Invoice { request, lifetime: INVOICE_LIFETIME, late: INVOICE_LATE })
    }

    async fn paid(&self, quote: &str, amount: u64) -> Result<bool, BackendError> {
        Ok(self.arrived(quote).await? >= amount)
    }

    async fn close(&self, quote: &str) -> Result<Closing, BackendError> {
        Ok(if self.arrived(quote).await? == 0 { Closing::Closed } else { Closing::Paid })
    }

    async fn quote_payment(&self, request: &str, unit: Unit) -> Result<Estimate, BackendError> {
        let address = self.payable(request)?;
        let amount = address.amount.ok_or(BackendError::Amountless)?;
        self.amount(amount.minor(), unit)?;
        if amount.currency() != self.parts.currency {
            return Err(BackendError::Refused(format!("this mint pays in {} only", self.parts.currency)));
        }
        Ok(Estimate { amount: amount.minor(), fee_reserve: self.fee(amount)?.minor() })
    }

    async fn pay(&self, order: &Order) -> Result<Outcome, BackendError> {
        let address = self.payable(&order.request)?;
        let (amount, most) = (self.amount(order.amount, order.unit)?, self.amount(order.fee_max, order.unit)?);
        match Till::pay(self, &order.id, &address, amount, most).await? {
            Paid::Done(booking) => {
                let spent = amount.minor().saturating_add(self.fee(amount)?.minor());
                let proof = data_encoding::BASE64URL_NOPAD.encode(booking.signed().bytes());
                Ok(Outcome::Paid { spent, proof: Some(proof) })
            }
            Paid::Refused(refusal) => Ok(Outcome::Failed { reason: refusal.to_string() }),
            Paid::Unknown => Ok(Outcome::Pending),
        }
    }
}
