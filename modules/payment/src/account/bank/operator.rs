//! What the operator does by hand: money in and out, accounts frozen and thawed, lists, and the audit.

use std::collections::BTreeMap;

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Decode;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::party::KeySet;
use semper_core::time::Time;

use super::ledger::{
    ACCOUNT, Account, HOLD, Hold, LINES, Leg, Work, account_key, change, damaged, line_key, outside, unread,
};
use super::{Bank, TRIES, busy};
use crate::account::answer::{Line, What};
use crate::account::number::{AccountNumber, is_reference};
use crate::account::problem::{ProblemKind, Refusal};

/// Rows that are read at once.
const PAGE: usize = 500;

/// Which way money goes by the operator's hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Onto the account.
    In,
    /// Off the account.
    Out,
}

/// Whether money may leave an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Open,
    /// It may not; what is held already is still paid.
    Frozen,
}

/// An account, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// The number.
    pub number: AccountNumber,
    /// Its owner.
    pub owner: KeySetId,
    /// The certified name of the owner.
    pub name: Option<String>,
    /// The currency.
    pub currency: Currency,
    /// The balance, what is held included, in minor units.
    pub balance: i64,
    /// What is held for payees, in minor units.
    pub held: u64,
    /// Whether money may leave it.
    pub access: Access,
    /// When it was opened.
    pub opened: Time,
}

/// What the books amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Accounts, the bank's own included.
    pub accounts: usize,
    /// Lines of all accounts.
    pub lines: u64,
    /// What the bank owes to its customers, by currency, in minor units.
    pub owed: BTreeMap<Currency, i128>,
    /// What is held, by currency, in minor units.
    pub held: BTreeMap<Currency, u128>,
    /// What does not add up, in words; empty if everything does.
    pub faults: Vec<String>,
}

impl Bank {
    /// Books money that came in or goes out by hand. `id` names the movement: the same again books nothing more.
    ///
    /// # Errors
    /// [`Refusal`]: `UnknownPayee`, `WrongCurrency`, `Limits`, `Insufficient`, `Conflict` (`id` was used for another account, amount or
    /// direction); nothing was booked. `Busy`: ask again with the same `id`.
    pub async fn by_hand(
        &self,
        id: [u8; 16],
        direction: Direction,
        number: AccountNumber,
        amount: Amount,
        note: &str,
    ) -> Result<(), Refusal> {
        if amount.minor() == 0 || !is_reference(note) {
            return Err(ProblemKind::Limits.because("an amount above zero and a note of one short line"));
        }
        let name = number.digits();
        let minor = change(amount.minor())?;
        let minor = if direction == Direction::In { minor } else { -minor };
        let entry = Digest::of_parts(domain::OPERATION, &[b"by-hand", &id]);
        let _gate = self.gates[super::gate(&name)].lock().await;
        for _ in 0..TRIES {
            let mut work = Work::new(&*self.parts.archive, self.now());
            if let Some(booked) = self.booked(&entry, &name).await? {
                let same = booked == minor;
                return if same { Ok(()) } else { Err(ProblemKind::Conflict.because("use a new id")) };
            }
            let account = work.account(&name).await?.ok_or_else(|| unknown(number))?;
            if account.currency != amount.currency() {
                return Err(ProblemKind::WrongCurrency.because(format!("the account is kept in {}", account.currency)));
            }
            let outside = outside(amount.currency());
            if work.account(&outside).await?.is_none() {
                work.open(outside.clone(), Account::own(amount.currency(), work.now));
            }
            let reference = (!note.is_empty()).then_some(note);
            let leg = |account, change| Leg { account, change, what: What::Operator, reference, order: None };
            work.post(entry, &[leg(&name, minor), leg(&outside, -minor)]).await?;
            if self.store(work.finish()).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// What an entry of the journal changed on an account; `None` if there is no such entry.
    async fn booked(&self, entry: &Digest, name: &str) -> Result<Option<i64>, Refusal> {
        let journal = self.parts.archive.fact(super::ledger::JOURNAL, entry.as_bytes()).await.map_err(unread)?;
        let Some(journal) = journal else { return Ok(None) };
        let legs = legs(&journal).map_err(damaged)?;
        Ok(Some(legs.iter().filter(|leg| leg.0 == name).map(|leg| leg.2).sum()))
    }

    /// Freezes an account, or thaws it.
    ///
    /// # Errors
    /// [`Refusal`]: `UnknownPayee`: there is no such account; `Busy`.
    pub async fn set_access(&self, number: AccountNumber, access: Access) -> Result<(), Refusal> {
        for _ in 0..TRIES {
            let mut work = Work::new(&*self.parts.archive, self.now());
            if work.account(&number.digits()).await?.is_none() {
                return Err(unknown(number));
            }
            work.change(&number.digits()).await?.frozen = access == Access::Frozen;
            if self.store(work.finish()).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// Customers' accounts in the order of their numbers, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Refusal`]: storage does not answer.
    pub async fn accounts(&self, after: Option<AccountNumber>, limit: usize) -> Result<Vec<AccountView>, Refusal> {
        let after = after.map(|number| account_key(&number.digits()));
        // The bank's own accounts sort behind all numbers.
        let states = self.parts.archive.states(ACCOUNT, after.as_deref(), limit.min(PAGE)).await.map_err(unread)?;
        let mut views = Vec::new();
        for stored in states {
            let name = String::from_utf8_lossy(&stored.key[ACCOUNT.len()..]).into_owned();
            let account = Account::from_bytes(&stored.bytes).map_err(damaged)?;
            views.extend(view(&name, account));
        }
        Ok(views)
    }

    /// Adds everything up: movements and balances sum to zero in each currency, every balance is the sum of its lines, every line
    /// follows from the one before, what is held is what the open holds reserve, and no customer's balance is below what is held.
    ///
    /// It reads everything, some rows at a time: what is booked meanwhile can look like a fault. Run it again, or while nothing is booked.
    ///
    /// # Errors
    /// [`Refusal`]: storage does not answer.
    pub async fn audit(&self) -> Result<Audit, Refusal> {
        let (owed, held) = (BTreeMap::new(), BTreeMap::new());
        let mut audit = Audit { accounts: 0, lines: 0, owed, held, faults: Vec::new() };
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        let mut holds = self.reserved(&mut audit).await?;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.parts.archive.states(ACCOUNT, after.as_deref(), PAGE).await.map_err(unread)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for stored in &page {
                let name = String::from_utf8_lossy(&stored.key[ACCOUNT.len()..]).into_owned();
                let account = Account::from_bytes(&stored.bytes).map_err(damaged)?;
                *sums.entry(account.currency).or_default() += i128::from(account.balance);
                self.add_up(&mut audit, &name, &account, holds.remove(&name).unwrap_or(0)).await?;
            }
        }
        for (currency, sum) in sums.into_iter().filter(|(_, sum)| *sum != 0) {
            audit.faults.push(format!("all balances in {currency} sum to {sum}"));
        }
        audit.faults.extend(holds.keys().map(|name| format!("a hold is paid from account {name}, which is not there")));
        self.check_journal(&mut audit).await?;
        Ok(audit)
    }

    async fn add_up(&self, audit: &mut Audit, name: &str, account: &Account, reserved: u64) -> Result<(), Refusal> {
        audit.accounts += 1;
        let mut balance: i64 = 0;
        for number in 0..account.lines {
            let bytes = self.parts.archive.fact(LINES, &line_key(name, number)).await.map_err(unread)?;
            let line = bytes.map(|bytes| Line::from_bytes(&bytes)).transpose().map_err(damaged)?;
            let Some(line) = line else {
                audit.faults.push(format!("account {name} lacks line {number}"));
                continue;
            };
            balance = balance.saturating_add(line.change);
            if line.balance != balance {
                audit.faults.push(format!("account {name}, line {number}: {} instead of {balance}", line.balance));
            }
            audit.lines += 1;
        }
        if balance != account.balance {
            audit.faults.push(format!("account {name} shows {}, its lines sum to {balance}", account.balance));
        }
        if account.held != reserved {
            audit.faults.push(format!("account {name} holds {}, its holds reserve {reserved}", account.held));
        }
        *audit.held.entry(account.currency).or_default() += u128::from(account.held);
        if account.owner.is_none() {
            return Ok(());
        }
        *audit.owed.entry(account.currency).or_default() += i128::from(account.balance);
        if i128::from(account.balance) < i128::from(account.held) {
            audit.faults.push(format!("account {name} holds more than it has"));
        }
        Ok(())
    }

    /// What the open holds reserve, by account.
    async fn reserved(&self, audit: &mut Audit) -> Result<BTreeMap<String, u64>, Refusal> {
        let mut reserved: BTreeMap<String, u64> = BTreeMap::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.parts.archive.states(HOLD, after.as_deref(), PAGE).await.map_err(unread)?;
            let Some(last) = page.last() else { return Ok(reserved) };
            after = Some(last.key.clone());
            for stored in &page {
                let id = stored.key[HOLD.len()..].try_into().map(Digest::from_array);
                let Ok(id) = id else {
                    audit.faults.push("a hold has a key that is none".to_owned());
                    continue;
                };
                let hold = Hold::decode(id, &stored.bytes).map_err(damaged)?;
                if hold.captured > hold.amount.minor() || hold.refunded > hold.captured {
                    audit.faults.push(format!("hold {id} has paid out more than there was"));
                }
                let sum = reserved.entry(hold.payer.clone()).or_default();
                *sum = sum.saturating_add(hold.reserved()?);
            }
            reserved.retain(|_, sum| *sum > 0);
        }
    }

    async fn check_journal(&self, audit: &mut Audit) -> Result<(), Refusal> {
        let (mut after, mut lines): (Option<Vec<u8>>, u64) = (None, 0);
        loop {
            let space = super::ledger::JOURNAL;
            let page = self.parts.archive.facts(space, after.as_deref(), PAGE).await.map_err(unread)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for fact in &page {
                let legs = legs(&fact.value).map_err(damaged)?;
                lines += legs.len() as u64;
                // All legs of one movement are in one currency: no module of the bank converts.
                let sum: i128 = legs.iter().map(|leg| i128::from(leg.2)).sum();
                if sum != 0 {
                    audit.faults.push(format!("an entry of the journal sums to {sum}"));
                }
            }
        }
        if lines != audit.lines {
            audit.faults.push(format!("the journal has {lines} lines, the accounts have {}", audit.lines));
        }
        Ok(())
    }
}

fn unknown(number: AccountNumber) -> Refusal {
    ProblemKind::UnknownPayee.because(format!("{number} is not an account of this bank"))
}

fn view(name: &str, account: Account) -> Option<AccountView> {
    Some(AccountView {
        number: AccountNumber::parse(name)?,
        owner: account.owner.as_ref().map(KeySet::id)?,
        name: account.certified,
        currency: account.currency,
        balance: account.balance,
        held: account.held,
        access: if account.frozen { Access::Frozen } else { Access::Open },
        opened: account.opened,
    })
}

/// The legs of a journal entry: account, line, change.
fn legs(bytes: &[u8]) -> Result<Vec<(String, u64, i64)>, semper_core::cbor::DecodeError> {
    use semper_core::cbor::{DecodeError, Fields, Problem, Value};
    let mut fields = Fields::open(semper_core::cbor::decode(bytes, 4096)?)?;
    fields.version(0, 1)?;
    fields.value(1, "time")?;
    let legs = fields.array(2, "legs", 16)?;
    fields.close()?;
    legs.into_iter()
        .map(|leg| match leg {
            Value::Array(parts) => match <[Value; 3]>::try_from(parts) {
                Ok([Value::Text(name), Value::Uint(line), Value::Uint(n)]) => Ok((name, line, n.cast_signed())),
                Ok([Value::Text(name), Value::Uint(line), Value::Nint(n)]) => Ok((name, line, -1 - n.cast_signed())),
                _ => Err(DecodeError::field("legs", Problem::Unsupported)),
            },
            _ => Err(DecodeError::field("legs", Problem::Unsupported)),
        })
        .collect()
}
