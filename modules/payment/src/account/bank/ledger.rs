//! The bank's books: double entry, over an archive.
//!
//! ```text
//! state `account/NAME`         account  ; NAME: 16 digits, or "outside:CUR" and "fees:CUR" for the bank's own
//! state `hold/` ‖ hold         hold
//! fact  bank-journal           entry (32 bytes) → movement: lines that sum to zero in each currency
//! fact  bank-line              NAME ‖ 0 ‖ number (8 bytes, big-endian) → line
//! fact  bank-reference         NAME ‖ 0 ‖ H(reference) ‖ number → nothing
//! fact  bank-booking           hold ‖ number → signed booking
//! fact  bank-instruction       H(instruction) → hold
//! fact  bank-owner             owner's key set id ‖ currency → NAME of its first account in this currency
//! fact  bank-answer            signer's key set id ‖ request id → answer
//! timer `hold/` ‖ hold, expiry
//! ```
//! Every movement is one commit of the accounts' states, each with the version that it replaces, the journal's entry, a line for each
//! account, and the answer. So two movements at once cannot both be stored from the same balance, and nothing is booked twice.
//!
//! Balances are what [`Work`] computes; nothing else writes them.

use std::collections::BTreeMap;

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::party::KeySet;
use semper_core::time::Time;
use semper_support::archive::{Archive, Commit, Fact, PutState, ReadError, SetTimer, StoredState};
use semper_transfer::payment::means::Fees;

use crate::account::answer::{Authorisation, HoldState, Line, What, int};
use crate::account::payment::{Capture, Condition};
use crate::account::problem::{ProblemKind, Refusal};
use crate::account::request::currency;

/// Fact space of the journal.
pub(super) const JOURNAL: &str = "bank-journal";
/// Fact space of the lines.
pub(super) const LINES: &str = "bank-line";
/// Fact space of the references.
pub(super) const REFERENCES: &str = "bank-reference";
/// Fact space of the bookings.
pub(super) const BOOKINGS: &str = "bank-booking";
/// Fact space of the instructions that were used.
pub(super) const INSTRUCTIONS: &str = "bank-instruction";
/// Fact space of the first accounts of their owners.
pub(super) const OWNERS: &str = "bank-owner";
/// Fact space of the answers.
pub(super) const ANSWERS: &str = "bank-answer";
/// Prefix of the accounts' states.
pub(super) const ACCOUNT: &[u8] = b"account/";
/// Prefix of the holds' states.
pub(super) const HOLD: &[u8] = b"hold/";
/// Timer of a hold.
pub(super) const EXPIRY: &str = "expiry";

/// An account, as it is stored. It has no `Debug`: it holds the key of its owner's MACs.
///
/// ```text
/// account = { 0: 1, 1: currency, 2: balance, 3: held, 4: lines, 5: frozen, 6: opened, ? 7: owner's key set, ? 8: MAC key, ? 9: name }
/// ```
#[derive(Clone)]
pub(super) struct Account {
    pub(super) currency: Currency,
    pub(super) balance: i64,
    pub(super) held: u64,
    pub(super) lines: u64,
    pub(super) frozen: bool,
    pub(super) opened: Time,
    /// `None` for the bank's own accounts.
    pub(super) owner: Option<KeySet>,
    pub(super) verifier: Option<[u8; 32]>,
    /// The certified name of the owner.
    pub(super) certified: Option<String>,
}

impl Account {
    pub(super) fn own(currency: Currency, now: Time) -> Self {
        let (owner, verifier, certified) = (None, None, None);
        Self { currency, balance: 0, held: 0, lines: 0, frozen: false, opened: now, owner, verifier, certified }
    }

    /// What can be spent.
    pub(super) fn available(&self) -> u64 {
        u64::try_from(self.balance).unwrap_or(0).saturating_sub(self.held)
    }
}

/// A hold, as it is stored.
///
/// ```text
/// hold = { 0: 1, 1: payer's account, 2: payee's account, 3: payee's key set id, 4: order, 5: amount, 6: fixed fee, 7: fee per million,
///          8: captured, 9: fee charged, 10: refunded, 11: bookings, 12: expires, 13: state, ? 14: condition, 15: last capture,
///          ? 16: true }
/// ```
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) id: Digest,
    pub(super) payer: String,
    pub(super) payee: String,
    pub(super) payee_owner: KeySetId,
    pub(super) order: Digest,
    pub(super) amount: Amount,
    pub(super) fees: Fees,
    pub(super) captured: u64,
    pub(super) charged: u64,
    pub(super) refunded: u64,
    pub(super) bookings: u64,
    pub(super) expires: Time,
    pub(super) state: HoldState,
    pub(super) condition: Option<Condition>,
    pub(super) last_capture: Time,
    pub(super) capture: Capture,
}

impl Hold {
    pub(super) fn key(id: &Digest) -> Vec<u8> {
        [HOLD, id.as_bytes()].concat()
    }

    /// What is still reserved of the payer's money, the fee included.
    pub(super) fn reserved(&self) -> Result<u64, Refusal> {
        if self.state != HoldState::Held {
            return Ok(0);
        }
        let most = self.fee_for(self.amount.minor())?;
        Ok(self.amount.minor() - self.captured + (most - self.charged))
    }

    /// The whole fee when `captured` is taken in all. It only grows with it.
    pub(super) fn fee_for(&self, captured: u64) -> Result<u64, Refusal> {
        if captured == 0 {
            return Ok(0);
        }
        let amount = Amount::new(captured, self.amount.currency()).map_err(limits)?;
        self.fees.of(amount).map(|fee| fee.minor()).map_err(limits)
    }

    /// What the bank says about it.
    pub(super) fn authorisation(&self, issuer: &str, now: Time) -> Authorisation {
        Authorisation {
            issuer: issuer.to_owned(),
            hold: self.id,
            order: self.order,
            amount: self.amount,
            payee: self.payee_owner,
            expires: self.expires,
            state: self.state,
            captured: self.captured,
            refunded: self.refunded,
            condition: self.condition.as_ref().map(Condition::hash),
            bookings: self.bookings,
            time: now,
        }
    }
}

/// One leg of a movement.
#[derive(Clone, Debug)]
pub(super) struct Leg<'a> {
    pub(super) account: &'a str,
    pub(super) change: i64,
    pub(super) what: What,
    pub(super) reference: Option<&'a str>,
    pub(super) order: Option<Digest>,
}

/// Everything that one decision reads and changes, until it is one commit.
pub(super) struct Work<'a> {
    archive: &'a dyn Archive,
    pub(super) now: Time,
    accounts: BTreeMap<String, Loaded<Account>>,
    holds: BTreeMap<Digest, Loaded<Hold>>,
    /// Every state that was read, with its version; 0: there was none.
    seen: BTreeMap<Vec<u8>, u64>,
    commit: Commit,
}

struct Loaded<T> {
    value: T,
    version: u64,
    changed: bool,
}

/// Refuses because storage does not answer.
pub(super) fn unread(error: ReadError) -> Refusal {
    tracing::error!(%error, "the bank's storage failed");
    ProblemKind::Busy.because("the bank's storage does not answer")
}

/// Refuses because what is stored cannot be read.
pub(super) fn damaged(error: DecodeError) -> Refusal {
    tracing::error!(%error, "what the bank has stored is damaged");
    ProblemKind::Busy.because("the bank's storage is damaged")
}

fn limits(_: semper_core::amount::AmountError) -> Refusal {
    ProblemKind::Limits.because("the amount is too large to be counted")
}

/// Minor units as a change of a balance.
pub(super) fn change(minor: u64) -> Result<i64, Refusal> {
    i64::try_from(minor).map_err(|_| ProblemKind::Limits.because("the amount is too large to be counted"))
}

/// The bank's own account for money that comes in and goes out by the operator's hand.
pub(super) fn outside(currency: Currency) -> String {
    format!("outside:{currency}")
}

/// The bank's own account for fees.
pub(super) fn fees(currency: Currency) -> String {
    format!("fees:{currency}")
}

pub(super) fn owner_key(owner: KeySetId, currency: Currency) -> Vec<u8> {
    [owner.as_bytes().as_slice(), currency.code().as_bytes()].concat()
}

fn is_own(name: &str) -> bool {
    name.contains(':')
}

pub(super) fn account_key(name: &str) -> Vec<u8> {
    [ACCOUNT, name.as_bytes()].concat()
}

pub(super) fn line_key(name: &str, number: u64) -> Vec<u8> {
    [name.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

pub(super) fn reference_key(name: &str, reference: &str, number: u64) -> Vec<u8> {
    let hash = Digest::of(domain::INFORMATION, reference.as_bytes());
    [name.as_bytes(), &[0], hash.as_bytes(), &number.to_be_bytes()].concat()
}

pub(super) fn booking_key(hold: &Digest, number: u64) -> Vec<u8> {
    [hold.as_bytes().as_slice(), &number.to_be_bytes()].concat()
}

impl<'a> Work<'a> {
    pub(super) fn new(archive: &'a dyn Archive, now: Time) -> Self {
        let (accounts, holds, seen) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { archive, now, accounts, holds, seen, commit: Commit::default() }
    }

    async fn read(&mut self, key: Vec<u8>) -> Result<Option<StoredState>, Refusal> {
        let stored = self.archive.state(&key).await.map_err(unread)?;
        self.seen.insert(key, stored.as_ref().map_or(0, |stored| stored.version));
        Ok(stored)
    }

    /// Whether everything that was read is still as it was. If so, it all stood at one moment, and a refusal that follows from it is
    /// just; what is carried out needs no such look, because its commit fails if a state has changed.
    pub(super) async fn is_current(&self) -> Result<bool, Refusal> {
        for (key, version) in &self.seen {
            let stored = self.archive.state(key).await.map_err(unread)?;
            if stored.map_or(0, |stored| stored.version) != *version {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// An account by its name; `None` if there is none.
    pub(super) async fn account(&mut self, name: &str) -> Result<Option<&mut Account>, Refusal> {
        if !self.accounts.contains_key(name) {
            let Some(stored) = self.read(account_key(name)).await? else { return Ok(None) };
            let value = Account::from_bytes(&stored.bytes).map_err(damaged)?;
            self.accounts.insert(name.to_owned(), Loaded { value, version: stored.version, changed: false });
        }
        Ok(self.accounts.get_mut(name).map(|loaded| &mut loaded.value))
    }

    /// An account that is known to be there.
    pub(super) async fn known(&mut self, name: &str) -> Result<&mut Account, Refusal> {
        self.account(name).await?.ok_or_else(|| {
            tracing::error!(name, "an account is missing");
            ProblemKind::Busy.because("the bank's storage is damaged")
        })
    }

    /// The same, to be changed.
    pub(super) async fn change(&mut self, name: &str) -> Result<&mut Account, Refusal> {
        self.known(name).await?;
        let loaded = self.accounts.get_mut(name).expect("loaded just now");
        loaded.changed = true;
        Ok(&mut loaded.value)
    }

    /// Opens an account under a name that is free.
    pub(super) fn open(&mut self, name: String, account: Account) {
        self.accounts.insert(name, Loaded { value: account, version: 0, changed: true });
    }

    /// A hold, as it stands now: one whose time is over is closed first.
    pub(super) async fn hold(&mut self, id: &Digest) -> Result<Option<Hold>, Refusal> {
        if !self.holds.contains_key(id) {
            let Some(stored) = self.read(Hold::key(id)).await? else { return Ok(None) };
            let value = Hold::decode(*id, &stored.bytes).map_err(damaged)?;
            self.holds.insert(*id, Loaded { value, version: stored.version, changed: false });
        }
        let hold = self.holds[id].value.clone();
        if hold.state == HoldState::Held && self.now >= hold.expires {
            return Ok(Some(self.close(hold, HoldState::Expired).await?));
        }
        Ok(Some(hold))
    }

    /// Ends a hold and lets what is left of it go: captured, if anything was taken, else as `unused` says.
    pub(super) async fn close(&mut self, mut hold: Hold, unused: HoldState) -> Result<Hold, Refusal> {
        let reserved = hold.reserved()?;
        let payer = hold.payer.clone();
        self.let_go(&payer, reserved).await?;
        hold.state = if hold.captured > 0 { HoldState::Captured } else { unused };
        self.commit.timers_done.push((Hold::key(&hold.id), EXPIRY.to_owned()));
        self.put(hold.clone());
        Ok(hold)
    }

    /// Stores a hold. A new one gets its timer, unless it is over already.
    pub(super) fn put(&mut self, hold: Hold) {
        let version = self.holds.get(&hold.id).map_or(0, |loaded| loaded.version);
        if version == 0 && hold.state == HoldState::Held {
            let (key, name) = (Hold::key(&hold.id), EXPIRY.to_owned());
            self.commit.timers.push(SetTimer { key, name, due: hold.expires });
        }
        self.holds.insert(hold.id, Loaded { value: hold, version, changed: true });
    }

    /// Lets reserved money of an account go. Account and hold are read one after the other: if the hold was moved in between, its
    /// reservation is gone already, and the decision is made again.
    pub(super) async fn let_go(&mut self, name: &str, minor: u64) -> Result<(), Refusal> {
        let account = self.change(name).await?;
        let held = account.held.checked_sub(minor);
        account.held = held.ok_or_else(|| ProblemKind::Busy.because("the hold was moved meanwhile"))?;
        Ok(())
    }

    /// Reserves money on an account.
    pub(super) async fn reserve(&mut self, name: &str, minor: u64) -> Result<(), Refusal> {
        let account = self.change(name).await?;
        if account.available() < minor {
            return Err(ProblemKind::Insufficient.because("the balance, less what is held, is too small"));
        }
        account.held += minor;
        Ok(())
    }

    /// Moves money: all legs or none, summing to zero in each currency. Balances of customers, less what is held, stay at zero or
    /// above. `entry` names the movement for ever.
    pub(super) async fn post(&mut self, entry: Digest, legs: &[Leg<'_>]) -> Result<(), Refusal> {
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        let mut lines = Vec::with_capacity(legs.len());
        let now = self.now;
        for leg in legs.iter().filter(|leg| leg.change != 0) {
            let account = self.change(leg.account).await?;
            *sums.entry(account.currency).or_default() += i128::from(leg.change);
            let balance = account.balance.checked_add(leg.change);
            account.balance = balance.ok_or_else(|| ProblemKind::Limits.because("a balance would be too large"))?;
            let covered = account.balance >= 0 && account.balance.unsigned_abs() >= account.held;
            if leg.change < 0 && !is_own(leg.account) && !covered {
                return Err(ProblemKind::Insufficient.because("the balance, less what is held, is too small"));
            }
            let line = Line {
                number: account.lines,
                entry,
                time: now,
                change: leg.change,
                balance: account.balance,
                what: leg.what,
                reference: leg.reference.map(str::to_owned),
                order: leg.order,
            };
            account.lines += 1;
            lines.push((leg.account, line));
        }
        if sums.values().any(|sum| *sum != 0) {
            tracing::error!(%entry, "a movement does not sum to zero");
            return Err(ProblemKind::Busy.because("the bank refuses its own movement"));
        }
        let movement: Vec<Value> = lines
            .iter()
            .map(|(name, line)| Value::Array(vec![(*name).into(), line.number.into(), line.change.into()]))
            .collect();
        let journal = record().put(0, 1_u64).put_item(1, &now).put(2, movement).build().encode();
        self.once(JOURNAL, entry.as_bytes().to_vec(), journal);
        for (name, line) in lines {
            if let Some(reference) = &line.reference {
                self.once(REFERENCES, reference_key(name, reference, line.number), Vec::new());
            }
            self.once(LINES, line_key(name, line.number), line.to_bytes());
        }
        Ok(())
    }

    /// A fact that must be new.
    pub(super) fn once(&mut self, space: &str, key: Vec<u8>, value: Vec<u8>) {
        self.commit.facts.push(Fact { space: space.to_owned(), key, value });
    }

    /// Whether it changes nothing.
    pub(super) fn is_idle(&self) -> bool {
        let changed = self.accounts.values().any(|a| a.changed) || self.holds.values().any(|h| h.changed);
        !changed && self.commit == Commit::default()
    }

    /// The commit.
    pub(super) fn finish(mut self) -> Commit {
        for (name, loaded) in self.accounts.into_iter().filter(|(_, loaded)| loaded.changed) {
            let (key, bytes) = (account_key(&name), loaded.value.to_bytes());
            self.commit.states.push(PutState { key, replaces: loaded.version, bytes });
        }
        for (id, loaded) in self.holds.into_iter().filter(|(_, loaded)| loaded.changed) {
            let (key, bytes) = (Hold::key(&id), loaded.value.to_bytes());
            self.commit.states.push(PutState { key, replaces: loaded.version, bytes });
        }
        self.commit
    }
}

impl Encode for Account {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.currency.code())
            .put(2, self.balance)
            .put(3, self.held)
            .put(4, self.lines)
            .put(5, self.frozen)
            .put_item(6, &self.opened)
            .put_some(7, self.owner.as_ref().map(Encode::to_value))
            .put_some(8, self.verifier.map(Value::bytes))
            .put_some(9, self.certified.as_deref())
            .build()
    }
}

impl Decode for Account {
    const BYTES_MAX: usize = 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        f.version(0, 1)?;
        let account = Self {
            currency: currency(&mut f, 1)?,
            balance: int(&mut f, 2, "balance")?,
            held: f.uint(3, "held")?,
            lines: f.uint(4, "lines")?,
            frozen: f.bool(5, "frozen")?,
            opened: f.item(6, "opened")?,
            owner: f.optional_item(7, "owner")?,
            verifier: f.optional_item::<Digest>(8, "MAC key")?.map(|key| *key.as_bytes()),
            certified: f.optional_item(9, "name")?,
        };
        f.close()?;
        Ok(account)
    }
}

impl Encode for Hold {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.payer.as_str())
            .put(2, self.payee.as_str())
            .put_item(3, &self.payee_owner)
            .put_item(4, &self.order)
            .put_item(5, &self.amount)
            .put(6, self.fees.fixed)
            .put(7, self.fees.per_million)
            .put(8, self.captured)
            .put(9, self.charged)
            .put(10, self.refunded)
            .put(11, self.bookings)
            .put_item(12, &self.expires)
            .put_item(13, &self.state)
            .put_some(14, self.condition.as_ref().map(Encode::to_value))
            .put_item(15, &self.last_capture)
            .put_some(16, self.capture.written())
            .build()
    }
}

impl Hold {
    pub(super) fn decode(id: Digest, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut f = Fields::open(semper_core::cbor::decode(bytes, 32 * 1024)?)?;
        f.version(0, 1)?;
        let hold = Self {
            id,
            payer: f.text(1, "payer", 32)?,
            payee: f.text(2, "payee", 32)?,
            payee_owner: f.item(3, "payee's key set")?,
            order: f.item(4, "order")?,
            amount: f.item(5, "amount")?,
            fees: Fees { fixed: f.uint(6, "fixed fee")?, per_million: f.small(7, "fee per million")? },
            captured: f.uint(8, "captured")?,
            charged: f.uint(9, "charged")?,
            refunded: f.uint(10, "refunded")?,
            bookings: f.uint(11, "bookings")?,
            expires: f.item(12, "expires")?,
            state: f.item(13, "state")?,
            condition: f.optional_item(14, "condition")?,
            last_capture: f.item(15, "last capture")?,
            capture: Capture::read(f.optional(16))?,
        };
        f.close()?;
        Ok(hold)
    }
}
