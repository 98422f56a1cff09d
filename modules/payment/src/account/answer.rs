//! What a bank says, signed with its keys.
//!
//! ```text
//! terms         = { 0: 1, 1: issuer, 2: name, 3: key set, 4: KEM suite, 5: sealing key, 6: [+ currency], 7: fixed fee, 8: fee per million,
//!                   9: least, 10: most, 11: [+ level], 12: seconds of a hold, 13: seconds for a refund, 14: certified only, 15: time }
//! authorisation = { 0: 1, 1: issuer, 2: hold, 3: order hash, 4: amount, 5: payee's key set id, 6: expires, 7: state, 8: captured,
//!                   9: refunded, ? 10: hash of the condition, 11: bookings, 12: time }
//! booking       = { 0: 1, 1: issuer, 2: what, 3: entry, 4: amount, 5: payee's key set id, 6: time, ? 7: reference, ? 8: order hash,
//!                   ? 9: hold, ? 10: account }
//! account-statement = { 0: 1, 1: issuer, 2: account, 3: id of the request, 4: time, 5: currency, 6: balance, 7: held, 8: opening balance,
//!                   9: closing balance, 10: [* line], 11: lines of the account, ? 12: next line,
//!                   13: highest level of its owner }
//! line          = { 0: number, 1: entry, 2: time, 3: change, 4: balance after, 5: what, ? 7: reference, ? 8: order hash }
//! ```
//! Balances and changes are signed integers in minor units.

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Statement};
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::party::KeySet;
use semper_core::time::{Seconds, Time};
use semper_support::crypto::KemSuite;
use semper_transfer::payment::means::{Fees, ISSUER_MAX, Limits};

use super::number::AccountNumber;
use super::payment::Level;
use super::request::{LINES_MAX, RequestId, currency, reference};

/// Longest name of a bank, in bytes of UTF-8.
pub const NAME_MAX: usize = 100;
/// Most currencies of a bank.
pub const CURRENCIES_MAX: usize = 16;

/// A bank's keys and terms, for clients to keep and compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankTerms {
    /// The bank's address.
    pub issuer: String,
    /// Its name, for people.
    pub name: String,
    /// Its keys: it signs everything it says with them.
    pub key_set: KeySet,
    /// How to seal for it.
    pub sealing_suite: KemSuite,
    /// The key to seal for.
    pub sealing_key: Vec<u8>,
    /// Currencies of its accounts.
    pub currencies: Vec<Currency>,
    /// What a payment or transfer costs its payer.
    pub fees: Fees,
    /// Least and most of one payment or transfer.
    pub limits: Limits,
    /// Levels of payment that it takes, ascending.
    pub levels: Vec<Level>,
    /// Longest time that money is held.
    pub hold_longest: Seconds,
    /// How long after the last capture a payee can refund.
    pub refund_window: Seconds,
    /// Whether accounts are opened by certificate only.
    pub certified_only: bool,
    /// When this was said.
    pub time: Time,
}

/// Where a hold stands, and with it a bank's word that the money is there for the payee while it is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authorisation {
    /// The bank's address.
    pub issuer: String,
    /// The hold: [`super::payment::Token::hold`].
    pub hold: Digest,
    /// What for, for those who know the salt.
    pub order: Digest,
    /// How much was ordered to be paid.
    pub amount: Amount,
    /// Who may take it.
    pub payee: KeySetId,
    /// From when on it is no longer held.
    pub expires: Time,
    /// Where it stands.
    pub state: HoldState,
    /// How much the payee has taken.
    pub captured: u64,
    /// How much of that it has given back.
    pub refunded: u64,
    /// [`super::payment::Condition::hash`] of what its capture and return depend on.
    pub condition: Option<Digest>,
    /// How many bookings there are.
    pub bookings: u64,
    /// When this was said.
    pub time: Time,
}

/// Where a hold stands. All but `Held` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldState {
    /// The money, less what was captured, is held.
    Held,
    /// The payee has taken money; nothing is held any more.
    Captured,
    /// The payee let it go, or a release gave it back.
    Void,
    /// Its time was over before anything was taken.
    Expired,
    /// The payer took the instruction back before the payee used it.
    Revoked,
}

/// "This money was moved." Proves a payment to a stranger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Booking {
    /// The bank's address.
    pub issuer: String,
    /// What it was.
    pub what: What,
    /// The entry in the bank's journal: one for each movement.
    pub entry: Digest,
    /// How much was moved.
    pub amount: Amount,
    /// Who was paid, or who gave back.
    pub payee: KeySetId,
    /// When.
    pub time: Time,
    /// The reference of a transfer.
    pub reference: Option<String>,
    /// What was paid for.
    pub order: Option<Digest>,
    /// The hold that the money came from.
    pub hold: Option<Digest>,
    /// The account that a transfer went to.
    pub account: Option<AccountNumber>,
}

/// What a movement of money was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// A payment to a payee, captured from a hold.
    Payment,
    /// A payee gave a payment back.
    Refund,
    /// A transfer from account to account.
    Transfer,
    /// A fee.
    Fee,
    /// Money that came in or went out by the operator's hand.
    Operator,
}

/// Lines of an account, with the balances before and after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountStatement {
    /// The bank's address.
    pub issuer: String,
    /// The account.
    pub account: AccountNumber,
    /// The request that this answers.
    pub request: RequestId,
    /// When this was said.
    pub time: Time,
    /// The account's currency.
    pub currency: Currency,
    /// The balance, what is held included.
    pub balance: i64,
    /// What of it is held for payees.
    pub held: u64,
    /// The balance before the first line.
    pub opening: i64,
    /// The balance after the last line.
    pub closing: i64,
    /// The lines; those with another reference are left out where one was asked for.
    pub lines: Vec<Line>,
    /// How many lines the account has.
    pub total: u64,
    /// The line to ask for next; `None` if these are all.
    pub next: Option<u64>,
    /// The highest level that its owner's certificates allow: 1 or 3.
    pub level: Level,
}

/// A line of an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// Its number, from 0.
    pub number: u64,
    /// The entry in the bank's journal.
    pub entry: Digest,
    /// When.
    pub time: Time,
    /// The change, in minor units.
    pub change: i64,
    /// The balance after it.
    pub balance: i64,
    /// What it was.
    pub what: What,
    /// The reference of a transfer.
    pub reference: Option<String>,
    /// The order hash of a payment.
    pub order: Option<Digest>,
}

const STATES: [(HoldState, &str); 5] = [
    (HoldState::Held, "held"),
    (HoldState::Captured, "captured"),
    (HoldState::Void, "void"),
    (HoldState::Expired, "expired"),
    (HoldState::Revoked, "revoked"),
];

const WHATS: [(What, &str); 5] = [
    (What::Payment, "payment"),
    (What::Refund, "refund"),
    (What::Transfer, "transfer"),
    (What::Fee, "fee"),
    (What::Operator, "operator"),
];

impl HoldState {
    /// The name in encodings.
    pub fn name(self) -> &'static str {
        STATES[self as usize].1
    }
}

impl What {
    /// The name in encodings.
    pub fn name(self) -> &'static str {
        WHATS[self as usize].1
    }
}

impl Statement for BankTerms {
    const KIND: Kind = Kind::BankTerms;
}

impl Statement for Authorisation {
    const KIND: Kind = Kind::Authorisation;
}

impl Statement for Booking {
    const KIND: Kind = Kind::Booking;
}

impl Statement for AccountStatement {
    const KIND: Kind = Kind::AccountStatement;
}

impl Encode for BankTerms {
    fn to_value(&self) -> Value {
        let currencies: Vec<Value> = self.currencies.iter().map(|currency| currency.code().into()).collect();
        record()
            .put(0, 1_u64)
            .put(1, self.issuer.as_str())
            .put(2, self.name.as_str())
            .put_item(3, &self.key_set)
            .put(4, self.sealing_suite.code())
            .put_bytes(5, &self.sealing_key)
            .put(6, currencies)
            .put(7, self.fees.fixed)
            .put(8, self.fees.per_million)
            .put(9, self.limits.least)
            .put(10, self.limits.most)
            .put_list(11, &self.levels)
            .put_item(12, &self.hold_longest)
            .put_item(13, &self.refund_window)
            .put(14, self.certified_only)
            .put_item(15, &self.time)
            .build()
    }
}

impl Decode for BankTerms {
    const BYTES_MAX: usize = 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        f.version(0, 1)?;
        let suite = f.uint(4, "KEM suite")?;
        let unknown = || DecodeError::field("KEM suite", Problem::Unknown { what: "suite", found: suite.to_string() });
        let terms = Self {
            issuer: f.text(1, "issuer", ISSUER_MAX)?,
            name: f.text(2, "name", NAME_MAX)?,
            key_set: f.item(3, "key set")?,
            sealing_suite: KemSuite::from_code(suite).ok_or_else(unknown)?,
            sealing_key: f.bytes(5, "sealing key", 2048)?,
            currencies: currencies(&mut f)?,
            fees: Fees { fixed: f.uint(7, "fixed fee")?, per_million: f.small(8, "fee per million")? },
            limits: Limits { least: f.uint(9, "least")?, most: f.uint(10, "most")? },
            levels: f.list(11, "levels", 3)?,
            hold_longest: f.item(12, "longest hold")?,
            refund_window: f.item(13, "refund window")?,
            certified_only: f.bool(14, "certified only")?,
            time: f.item(15, "time")?,
        };
        f.close()?;
        Ok(terms)
    }
}

fn currencies(fields: &mut Fields) -> Result<Vec<Currency>, DecodeError> {
    let codes: Vec<String> = fields.list(6, "currencies", CURRENCIES_MAX)?;
    let all: Option<Vec<Currency>> = codes.iter().map(|code| Currency::parse(code)).collect();
    all.ok_or(DecodeError::field("currencies", Problem::OutOfRange("a currency is three capital letters")))
}

impl Encode for Authorisation {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.issuer.as_str())
            .put_item(2, &self.hold)
            .put_item(3, &self.order)
            .put_item(4, &self.amount)
            .put_item(5, &self.payee)
            .put_item(6, &self.expires)
            .put(7, self.state.name())
            .put(8, self.captured)
            .put(9, self.refunded)
            .put_some(10, self.condition.map(|hash| hash.to_value()))
            .put(11, self.bookings)
            .put_item(12, &self.time)
            .build()
    }
}

impl Decode for Authorisation {
    const BYTES_MAX: usize = 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        f.version(0, 1)?;
        let authorisation = Self {
            issuer: f.text(1, "issuer", ISSUER_MAX)?,
            hold: f.item(2, "hold")?,
            order: f.item(3, "order")?,
            amount: f.item(4, "amount")?,
            payee: f.item(5, "payee")?,
            expires: f.item(6, "expires")?,
            state: f.item(7, "state")?,
            captured: f.uint(8, "captured")?,
            refunded: f.uint(9, "refunded")?,
            condition: f.optional_item(10, "condition")?,
            bookings: f.uint(11, "bookings")?,
            time: f.item(12, "time")?,
        };
        f.close()?;
        Ok(authorisation)
    }
}

impl Encode for Booking {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.issuer.as_str())
            .put_item(2, &self.what)
            .put_item(3, &self.entry)
            .put_item(4, &self.amount)
            .put_item(5, &self.payee)
            .put_item(6, &self.time)
            .put_some(7, self.reference.as_deref())
            .put_some(8, self.order.map(|order| order.to_value()))
            .put_some(9, self.hold.map(|hold| hold.to_value()))
            .put_some(10, self.account.map(|account| account.to_value()))
            .build()
    }
}

impl Decode for Booking {
    const BYTES_MAX: usize = 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        f.version(0, 1)?;
        let booking = Self {
            issuer: f.text(1, "issuer", ISSUER_MAX)?,
            what: f.item(2, "what")?,
            entry: f.item(3, "entry")?,
            amount: f.item(4, "amount")?,
            payee: f.item(5, "payee")?,
            time: f.item(6, "time")?,
            reference: f.optional_item(7, "reference")?,
            order: f.optional_item(8, "order")?,
            hold: f.optional_item(9, "hold")?,
            account: f.optional_item(10, "account")?,
        };
        f.close()?;
        Ok(booking)
    }
}

impl Encode for AccountStatement {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.issuer.as_str())
            .put_item(2, &self.account)
            .put_bytes(3, self.request)
            .put_item(4, &self.time)
            .put(5, self.currency.code())
            .put(6, self.balance)
            .put(7, self.held)
            .put(8, self.opening)
            .put(9, self.closing)
            .put_list(10, &self.lines)
            .put(11, self.total)
            .put_some(12, self.next)
            .put_item(13, &self.level)
            .build()
    }
}

impl Decode for AccountStatement {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        f.version(0, 1)?;
        let statement = Self {
            issuer: f.text(1, "issuer", ISSUER_MAX)?,
            account: f.item(2, "account")?,
            request: f.exact(3, "request")?,
            time: f.item(4, "time")?,
            currency: currency(&mut f, 5)?,
            balance: int(&mut f, 6, "balance")?,
            held: f.uint(7, "held")?,
            opening: int(&mut f, 8, "opening balance")?,
            closing: int(&mut f, 9, "closing balance")?,
            lines: f.list(10, "lines", usize::try_from(LINES_MAX).expect("100 fits"))?,
            total: f.uint(11, "total")?,
            next: f.optional_item(12, "next")?,
            level: f.item(13, "level")?,
        };
        f.close()?;
        Ok(statement)
    }
}

impl Encode for Line {
    fn to_value(&self) -> Value {
        record()
            .put(0, self.number)
            .put_item(1, &self.entry)
            .put_item(2, &self.time)
            .put(3, self.change)
            .put(4, self.balance)
            .put_item(5, &self.what)
            .put_some(7, self.reference.as_deref())
            .put_some(8, self.order.map(|order| order.to_value()))
            .build()
    }
}

impl Decode for Line {
    const BYTES_MAX: usize = 512;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        let line = Self {
            number: f.uint(0, "number")?,
            entry: f.item(1, "entry")?,
            time: f.item(2, "time")?,
            change: int(&mut f, 3, "change")?,
            balance: int(&mut f, 4, "balance")?,
            what: f.item(5, "what")?,
            reference: optional_reference(&mut f)?,
            order: f.optional_item(8, "order")?,
        };
        f.close()?;
        Ok(line)
    }
}

fn optional_reference(fields: &mut Fields) -> Result<Option<String>, DecodeError> {
    match reference(fields) {
        Ok(text) => Ok(Some(text)),
        Err(error) if *error.problem() == Problem::Missing => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a signed integer.
pub(super) fn int(fields: &mut Fields, key: u64, name: &str) -> Result<i64, DecodeError> {
    let number = match fields.value(key, name)? {
        Value::Uint(n) => i64::try_from(n).ok(),
        Value::Nint(n) => i64::try_from(n).ok().map(|n| -1 - n),
        other => {
            let problem = Problem::WrongType { expected: "an integer", found: other.type_name() };
            return Err(DecodeError::field(name, problem));
        }
    };
    number.ok_or_else(|| DecodeError::field(name, Problem::OutOfRange("the number is too large for this field")))
}

impl Encode for HoldState {
    fn to_value(&self) -> Value {
        self.name().into()
    }
}

impl Decode for HoldState {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        find("state of a hold", &STATES, String::from_value(value)?)
    }
}

impl Encode for What {
    fn to_value(&self) -> Value {
        self.name().into()
    }
}

impl Decode for What {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        find("movement", &WHATS, String::from_value(value)?)
    }
}

fn find<T: Copy>(what: &'static str, names: &[(T, &str)], name: String) -> Result<T, DecodeError> {
    let found = names.iter().find(|(_, text)| *text == name).map(|(value, _)| *value);
    found.ok_or_else(|| DecodeError::field("", Problem::Unknown { what, found: name }))
}
