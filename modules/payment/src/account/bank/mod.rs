//! The bank: accounts, holds and a journal over an archive; decisions in, signed answers out.
//!
//! ```text
//! request ─ read ─ owner's signature ─ asked before? ─ act ─ sign ─ one commit ─ answer
//!                                       └ the same bytes   └ refused: the refusal is stored
//! ```
//! No answer leaves before the commit that holds it is durable. Whoever loses an answer asks again with the same bytes, or with
//! another request for its status; a commit whose outcome is unknown is looked up, never guessed.
//!
//! | file | what |
//! |---|---|
//! | [`self`] | what a bank is made of; how one request is answered |
//! | `act` | what each request does |
//! | `ledger` | accounts, holds and movements as they are stored |
//! | [`operator`] | what the operator does by hand; the audit |
//! | [`http`] | routes |
//!
//! Source: `spec/account.md`.

mod act;
pub mod http;
mod ledger;
pub mod operator;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use semper_core::amount::Currency;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::{Draft, Signed, Statement};
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::party::KeySet;
use semper_core::signature::{Verified, Verify, verify};
use semper_core::time::{Seconds, Time};
use semper_support::archive::{Archive, Commit, CommitError};
use semper_support::crypto::{Open, Signer};
use semper_transfer::payment::means::{Fees, Limits};

use super::answer::{Authorisation, BankTerms, Booking, HoldState};
use super::number::AccountNumber;
use super::payment::Level;
use super::problem::{Fate, ProblemKind, Refusal};
use super::request::{AccountRequest, Action, REQUEST_MAX, RequestId};
use ledger::{ANSWERS, HOLD, Work, damaged, unread};

/// How often a decision is tried again when what it was made from was changed meanwhile.
const TRIES: usize = 64;
/// Locks that keep decisions on one account from being made in vain. Only speed depends on them: other processes have their own.
const GATES: usize = 256;
/// Holds that are closed at once when their time is over.
const DUE_MAX: usize = 256;

/// The bank's keys: they sign by rule whatever the bank has decided.
#[async_trait]
pub trait BankKeys: Send + Sync {
    /// The public side.
    fn key_set(&self) -> KeySet;

    /// Signs a statement of the bank.
    ///
    /// # Errors
    /// The keys are not available now, in words for the log; nothing was signed.
    async fn sign(&self, draft: Draft) -> Result<Signed, String>;
}

/// Keys in this process.
pub struct LocalKeys(pub Arc<dyn Signer>);

#[async_trait]
impl BankKeys for LocalKeys {
    fn key_set(&self) -> KeySet {
        self.0.key_set().clone()
    }

    async fn sign(&self, draft: Draft) -> Result<Signed, String> {
        self.0.sign(draft).map_err(|error| error.to_string())
    }
}

/// Checks certificates of those who open accounts.
pub trait Certify: Send + Sync {
    /// The name that a chain of certificates (DER, the holder's own first) proves for a key set at a time.
    ///
    /// # Errors
    /// Why it proves none, in words for the asker.
    fn certified(&self, chain: &[Vec<u8>], key_set: KeySetId, now: Time) -> Result<String, String>;
}

/// Who may open an account.
#[derive(Clone)]
pub enum Opening {
    /// Whoever shows a certificate.
    Certified(Arc<dyn Certify>),
    /// Anyone. Certificates that come along are still checked, where there is something to check them with.
    Anyone(Option<Arc<dyn Certify>>),
}

/// A bound on how often a key set may ask: how long to wait, or nothing. Asked once for each request whose signature is good.
pub type Admit = Arc<dyn Fn(KeySetId) -> Option<Seconds> + Send + Sync>;
/// A clock.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// What the operator decides about its bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The bank's address.
    pub issuer: String,
    /// Its name, for people.
    pub name: String,
    /// Currencies of its accounts.
    pub currencies: BTreeSet<Currency>,
    /// What a payment or transfer costs its payer.
    pub fees: Fees,
    /// Least and most of one payment or transfer.
    pub limits: Limits,
    /// Levels of payment that it takes.
    pub levels: BTreeSet<Level>,
    /// Longest time that money is held.
    pub hold_longest: Seconds,
    /// How long after the last capture a payee can refund.
    pub refund_window: Seconds,
}

impl Rules {
    /// No fees, payments of 1 to 10^12 minor units, all levels, holds of 90 days, refunds within 180 days.
    pub fn new(issuer: String, name: String, currencies: BTreeSet<Currency>) -> Self {
        Self {
            issuer,
            name,
            currencies,
            fees: Fees::default(),
            limits: Limits { least: 1, most: 1_000_000_000_000 },
            levels: BTreeSet::from([Level::One, Level::Two, Level::Three]),
            hold_longest: Seconds(90 * 86_400),
            refund_window: Seconds(180 * 86_400),
        }
    }
}

/// What a bank needs from outside.
#[derive(Clone)]
pub struct Parts {
    /// Where everything is stored.
    pub archive: Arc<dyn Archive>,
    /// The keys that sign.
    pub keys: Arc<dyn BankKeys>,
    /// The key that opens instructions.
    pub open: Arc<dyn Open>,
    /// Checks signatures.
    pub verify: Arc<dyn Verify>,
    /// The time.
    pub clock: Clock,
    /// Who may open an account.
    pub opening: Opening,
    /// A bound on how often one may ask.
    pub admit: Option<Admit>,
}

/// A bank.
pub struct Bank {
    parts: Parts,
    rules: Rules,
    key_set: KeySet,
    id: KeySetId,
    terms: Signed,
    gates: Vec<tokio::sync::Mutex<()>>,
    counters: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

/// Why a bank does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its keys do not sign.
    #[error("the bank's keys are not available: {0}")]
    Keys(String),
}

/// What was decided about a request, as it is stored.
///
/// ```text
/// answer = { 0: hash of what was asked, ? 1: signed statement, ? 2: kind of problem, ? 3: detail }
/// ```
#[derive(Clone, Debug)]
struct Answer {
    asked: Digest,
    said: Result<Vec<u8>, Refusal>,
}

/// A statement that an action ends with.
enum Said {
    /// To be signed.
    Draft(Draft),
    /// A booking of a hold, to be signed and kept under its number too.
    HoldBooking { draft: Draft, hold: Digest, number: u64 },
}

impl Bank {
    /// A bank over its books.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn new(parts: Parts, rules: Rules) -> Result<Arc<Self>, StartError> {
        let key_set = parts.keys.key_set();
        let terms = terms(&parts, &rules, key_set.clone());
        let draft = terms.draft(key_set.suite(), key_set.id());
        let terms = parts.keys.sign(draft).await.map_err(StartError::Keys)?;
        let gates = (0..GATES).map(|_| tokio::sync::Mutex::new(())).collect();
        let (id, counters) = (key_set.id(), Mutex::default());
        Ok(Arc::new(Self { parts, rules, key_set, id, terms, gates, counters }))
    }

    /// Its terms, signed.
    pub fn terms(&self) -> &Signed {
        &self.terms
    }

    /// Its rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Answers a signed [`AccountRequest`] with a signed statement. The same decision is answered with the same bytes for ever; what
    /// only asks is answered as things stand.
    ///
    /// # Errors
    /// [`Refusal`]: its kind says what happened to the money.
    pub async fn request(&self, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        let read = self.read(bytes).await;
        let (verb, said) = match read {
            Ok(request) => (request.statement().action.verb(), self.answer(&request).await),
            Err(refusal) => ("unread", Err(refusal)),
        };
        self.count(verb, said.as_ref().map_or_else(|refusal| refusal.kind.name(), |_| "done"));
        said
    }

    /// Closes holds whose time is over, some at once; how many were due.
    ///
    /// # Errors
    /// [`Refusal`]: storage does not answer. Those that are not closed are still due.
    pub async fn close_due(&self) -> Result<usize, Refusal> {
        let due = self.parts.archive.timers_due(self.now(), DUE_MAX).await.map_err(unread)?;
        for timer in &due {
            let Some(id) = timer.key.strip_prefix(HOLD).and_then(|id| id.try_into().ok()) else { continue };
            self.close_one(Digest::from_array(id)).await?;
        }
        Ok(due.len())
    }

    /// When [`Bank::close_due`] has something to do.
    ///
    /// # Errors
    /// [`Refusal`]: storage does not answer.
    pub async fn next_due(&self) -> Result<Option<Time>, Refusal> {
        self.parts.archive.next_due().await.map_err(unread)
    }

    async fn close_one(&self, id: Digest) -> Result<(), Refusal> {
        for _ in 0..TRIES {
            let mut work = Work::new(&*self.parts.archive, self.now());
            match work.hold(&id).await {
                Err(_) if !work.is_current().await? => continue,
                closed => drop(closed?),
            }
            if work.is_idle() || self.store(work.finish()).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// Reads a request and checks that the owner of its account signed it.
    async fn read(&self, bytes: &[u8]) -> Result<Verified<AccountRequest>, Refusal> {
        if bytes.len() > REQUEST_MAX {
            return Err(ProblemKind::TooLarge.because(format!("a request has at most {REQUEST_MAX} bytes")));
        }
        let malformed = |error: DecodeError| ProblemKind::Malformed.because(error);
        let signed = Signed::from_bytes(bytes).map_err(malformed)?;
        let request = <AccountRequest as Decode>::from_bytes(signed.payload()).map_err(malformed)?;
        if request.bank != self.id || request.issuer != self.rules.issuer {
            return Err(
                ProblemKind::WrongBank.because(format!("this is {} with the keys {}", self.rules.issuer, self.id))
            );
        }
        let not_owner =
            || ProblemKind::NotOwner.because("the account, its owner and the signature do not fit together");
        let owner = match (&request.action, request.account) {
            (Action::Open { key_set, .. }, _) => key_set.clone(),
            (_, Some(account)) => {
                let mut work = Work::new(&*self.parts.archive, self.now());
                let account = work.account(&account.digits()).await?;
                account.and_then(|account| account.owner.clone()).ok_or_else(not_owner)?
            }
            (_, None) => return Err(not_owner()),
        };
        let verified = verify(&*self.parts.verify, &owner, &signed).map_err(|_| not_owner())?;
        match self.parts.admit.as_ref().and_then(|admit| admit(owner.id())) {
            Some(wait) => Err(ProblemKind::TooMany.because(format!("wait {} seconds", wait.0))),
            None => Ok(verified),
        }
    }

    async fn answer(&self, request: &Verified<AccountRequest>) -> Result<Vec<u8>, Refusal> {
        if request.statement().is_question() {
            if self.now() >= request.statement().expires {
                return Err(expired(request.statement()));
            }
            return self.look_up(request).await;
        }
        self.decide(request).await
    }

    /// Decides a request once.
    async fn decide(&self, request: &Verified<AccountRequest>) -> Result<Vec<u8>, Refusal> {
        let key = answer_key(request.signer(), &request.statement().id);
        let asked = asked(request);
        let _gates = self.enter(request.statement()).await;
        for _ in 0..TRIES {
            if let Some(stands) = self.stored(&key).await? {
                let same = stands.asked == asked;
                return if same { stands.said } else { Err(ProblemKind::Conflict.because("use a new id")) };
            }
            let now = self.now();
            if now >= request.statement().expires {
                return Err(expired(request.statement()));
            }
            let mut work = Work::new(&*self.parts.archive, now);
            let said = match self.act(&mut work, request).await {
                Ok(said) => Ok(self.sign(&mut work, said).await?),
                Err(_) if !work.is_current().await? => continue,
                // Strangers store nothing. No money hangs on an opening, and a better certificate may come under the same id.
                Err(refusal) if matches!(request.statement().action, Action::Open { .. }) => return Err(refusal),
                Err(refusal) if refusal.kind.fate() == Fate::Decided => {
                    work = Work::new(&*self.parts.archive, now);
                    Err(refusal)
                }
                Err(refusal) => return Err(refusal),
            };
            let answer = Answer { asked, said };
            work.once(ANSWERS, key.clone(), answer.to_bytes());
            if self.store(work.finish()).await? {
                return answer.said;
            }
        }
        Err(busy())
    }

    /// Signs what was decided, before it is stored.
    async fn sign(&self, work: &mut Work<'_>, said: Said) -> Result<Vec<u8>, Refusal> {
        match said {
            Said::Draft(draft) => self.signed(draft).await,
            Said::HoldBooking { draft, hold, number } => {
                let bytes = self.signed(draft).await?;
                work.once(ledger::BOOKINGS, ledger::booking_key(&hold, number), bytes.clone());
                Ok(bytes)
            }
        }
    }

    async fn signed(&self, draft: Draft) -> Result<Vec<u8>, Refusal> {
        let signed = self.parts.keys.sign(draft).await.map_err(|error| {
            tracing::error!(%error, "the bank's keys do not sign");
            ProblemKind::Busy.because("the bank's keys are not available")
        })?;
        Ok(signed.bytes().to_vec())
    }

    /// Stores a commit: whether it was stored. If not, what it was made from has changed, or nobody can tell: read again.
    async fn store(&self, commit: Commit) -> Result<bool, Refusal> {
        match self.parts.archive.commit(commit).await {
            Ok(()) => Ok(true),
            Err(CommitError::Stale { .. } | CommitError::Taken { .. } | CommitError::Unknown(_)) => Ok(false),
            Err(error) => {
                tracing::error!(%error, "the bank's storage failed");
                Err(ProblemKind::Busy.because("the bank's storage failed"))
            }
        }
    }

    async fn stored(&self, key: &[u8]) -> Result<Option<Answer>, Refusal> {
        let bytes = self.parts.archive.fact(ANSWERS, key).await.map_err(unread)?;
        bytes.map(|bytes| Answer::from_bytes(&bytes).map_err(damaged)).transpose()
    }

    /// Waits for decisions of this process on the same accounts, in one order for all so that nobody waits for ever.
    async fn enter(&self, request: &AccountRequest) -> Vec<tokio::sync::MutexGuard<'_, ()>> {
        let mut names: Vec<String> = request.account.iter().map(AccountNumber::digits).collect();
        if let Action::Transfer { to, .. } = &request.action {
            names.push(to.digits());
        }
        if self.rules.fees != Fees::default() {
            names.push("fees".to_owned());
        }
        let gates: BTreeSet<usize> = names.iter().map(|name| gate(name)).collect();
        let mut held = Vec::with_capacity(gates.len());
        for gate in gates {
            held.push(self.gates[gate].lock().await);
        }
        held
    }

    fn now(&self) -> Time {
        (self.parts.clock)()
    }

    fn count(&self, verb: &'static str, outcome: &'static str) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.entry((verb, outcome)).or_default() += 1;
    }

    fn draft(&self, statement: &impl Statement) -> Draft {
        statement.draft(self.key_set.suite(), self.id)
    }
}

fn terms(parts: &Parts, rules: &Rules, key_set: KeySet) -> BankTerms {
    BankTerms {
        issuer: rules.issuer.clone(),
        name: rules.name.clone(),
        key_set,
        sealing_suite: parts.open.suite(),
        sealing_key: parts.open.public_key().to_vec(),
        currencies: rules.currencies.iter().copied().collect(),
        fees: rules.fees,
        limits: rules.limits,
        levels: rules.levels.iter().copied().collect(),
        hold_longest: rules.hold_longest,
        refund_window: rules.refund_window,
        certified_only: matches!(parts.opening, Opening::Certified(_)),
        time: (parts.clock)(),
    }
}

fn gate(name: &str) -> usize {
    let sum = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    sum % GATES
}

fn answer_key(signer: KeySetId, id: &RequestId) -> Vec<u8> {
    [signer.as_bytes().as_slice(), id].concat()
}

/// What was asked, without when it expires: asking for the same again later is asking for the same. The key that comes with an
/// opening is sealed anew each time, and the certificates may be newer.
fn asked(request: &Verified<AccountRequest>) -> Digest {
    let request = request.statement();
    let action = match &request.action {
        Action::Open { currency, key_set, .. } => record().put(1, currency.code()).put_item(2, key_set).build(),
        action => action.to_value(),
    };
    let said = Value::Array(vec![request.account.map_or(Value::Null, |account| account.to_value()), action]);
    Digest::of(semper_core::domain::INPUT, &said.encode())
}

fn expired(request: &AccountRequest) -> Refusal {
    ProblemKind::Expired.because(format!("it was good until {}", request.expires))
}

fn busy() -> Refusal {
    ProblemKind::Busy.because("too many decisions at once")
}

impl Encode for Answer {
    fn to_value(&self) -> Value {
        let answer = record().put_item(0, &self.asked);
        match &self.said {
            Ok(bytes) => answer.put_bytes(1, bytes),
            Err(refusal) => answer.put(2, refusal.kind.name()).put(3, refusal.detail.as_str()),
        }
        .build()
    }
}

impl Decode for Answer {
    const BYTES_MAX: usize = 256 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let asked = fields.item(0, "asked")?;
        let said = match fields.optional_item::<Vec<u8>>(1, "statement")? {
            Some(bytes) => Ok(bytes),
            None => Err(refusal(&mut fields)?),
        };
        fields.close()?;
        Ok(Self { asked, said })
    }
}

fn refusal(fields: &mut Fields) -> Result<Refusal, DecodeError> {
    let name = fields.text(2, "kind", 64)?;
    let detail = fields.text(3, "detail", 4096)?;
    let unknown = semper_core::cbor::Problem::Unknown { what: "kind of problem", found: name.clone() };
    let kind = ProblemKind::from_name(&name).ok_or_else(|| DecodeError::field("kind", unknown))?;
    Ok(kind.because(detail))
}
