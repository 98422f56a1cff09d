//! Operations: what an application asks of a means of payment, in words that fit every payment system.
//!
//! An operation has an identifier that its asker derives from the deal, so that asking again after a crash is asking for the same
//! one. It ends with an [`Outcome`] or a [`Failure`]; both are stored and given again for ever.
//!
//! ```text
//! operation = { 0: 1, 1: id, 2: purse, ? 3: deal, 4: task }
//! task      = { 0: verb, … }                                        ; see Task
//! lock      = { 0: tag, 1: amount, 2: refund after, 3: kind, 4: payer's details, 5: payee's details, ? 6: arbiter's key, ? 7: hash }
//! outcome   = { 0: moved, 1: fee, 2: handover }
//! failure   = { 0: fault, 1: money, 2: reason }
//! ```
//! Source: `spec/payment.md` §3; `design/exchange.md` §7.

use std::fmt;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::Signed;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId, Slot};
use semper_core::machine::Fault;
use semper_core::time::Time;

use super::means::LockKind;
use super::statement::Side;

/// Largest token, details or authorisation that one side hands to the other, in bytes.
pub const HANDOVER_MAX: usize = 1024 * 1024;
/// Longest address that money is sent to, in bytes.
pub const ADDRESS_MAX: usize = 4096;
/// Longest reason of a failure, in bytes of UTF-8.
pub const REASON_MAX: usize = 1024;

/// Identifier of an operation: `H("semper/operation/1" ‖ deal ‖ slot ‖ verb)`, or over 16 random bytes where there is no deal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(Digest);

/// One purse of this party: money at one issuer in one currency. 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurseId([u8; 16]);

/// An operation on one purse.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operation {
    /// Its identifier.
    pub id: OperationId,
    /// The purse.
    pub purse: PurseId,
    /// The deal that waits for it, if one does.
    pub deal: Option<DealId>,
    /// What is to be done.
    pub task: Task,
}

/// What is to be done.
///
/// The *handover* of an outcome is what the other side of the payment, or a later operation, needs: the doc of each task names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Payee: makes ready to be paid. Handover: the details for the payment request.
    Expect(Amount),
    /// Payer: pays what a payment request asks for, once its user has approved. Handover: the token for the payee.
    Pay {
        /// The payee's signed request.
        request: Signed,
        /// Makes the [`super::statement::order_hash`] that the issuer sees.
        salt: [u8; 32],
    },
    /// Payee: takes a payer's token. The money moved is what arrived. Handover: nothing.
    Receive {
        /// The request that it fulfils.
        request: Signed,
        /// The token.
        token: Vec<u8>,
    },
    /// Payer: takes back a payment or lock that the payee has not taken and need not take any more. The money moved is what came back.
    /// Handover: the [`Proof`](super::claim::Proof) of the payment if the payee has taken it and the means can show that; else nothing.
    Reclaim(OperationId),
    /// Either side: makes ready for a lock. Handover: this side's details for it.
    Prepare(Amount),
    /// Payer: locks money. Handover: the token for the payee.
    Lock(Lock),
    /// Payee or arbiter: checks with the issuer that a token is the lock that was agreed. For the payee its money must still be there;
    /// for the arbiter it is enough that it was locked, because before its date nobody can have moved it but payer and payee together.
    /// Handover: nothing.
    VerifyLock {
        /// What was agreed.
        lock: Lock,
        /// The token.
        token: Vec<u8>,
    },
    /// Authorises that all money of a lock goes to a side: the payer to the payee, the payee to the payer, the arbiter to either. Nobody
    /// authorises in its own favour. Handover: the authorisation.
    Authorise {
        /// The lock.
        lock: Lock,
        /// The token.
        token: Vec<u8>,
        /// What that side wants signed: where its money is to go.
        payout: Vec<u8>,
        /// Whose money it becomes.
        to: Side,
    },
    /// Either side: says where its money is to go, for others to authorise. Handover: the payout.
    Payout {
        /// The lock.
        lock: Lock,
        /// The token.
        token: Vec<u8>,
        /// Which side this is.
        to: Side,
    },
    /// Either side: takes the money of a lock with an authorisation of the other side or of the arbiter, or with a preimage.
    ///
    /// It fails for good, with [`Fault::PeerRefused`] and [`Money::NotMoved`], if the money was taken before. The payer
    /// of a hash lock then asks for the preimage ([`Task::Learn`]): its date does not end the payee's right, and
    /// whoever is first after it has the money.
    ///
    /// A preimage is shown to the issuer, and the payer may learn it from there. What a payee may assume about it:
    /// - The operation has ended well: the payer can learn it.
    /// - It has failed with [`Fault::UserDeclined`]: nobody has seen it.
    /// - It has failed otherwise, or has not ended: the issuer may have seen it, even if no money moved, and may tell
    ///   anybody.
    ///
    /// A payee that gives up ([`super::module::Event::GiveUp`]) shows it to nobody any more from then on. The operation
    /// ends as soon as the issuer says what became of the request: well if the money had been taken, or else with
    /// [`Money::NotMoved`]. An issuer that takes a request after it has said so gives money that only [`Task::Restore`]
    /// finds.
    Redeem {
        /// The lock.
        lock: Lock,
        /// The token.
        token: Vec<u8>,
        /// Which side this is. The payer needs no authorisation after the lock's date.
        to: Side,
        /// The authorisation; the preimage of a hash lock; empty for a refund by date.
        authorisation: Vec<u8>,
    },
    /// Payer: asks the issuer for the preimage with which the payee has taken the money of a hash lock. It moves
    /// nothing, and can be asked by any number of operations. Handover: the 32 bytes of the preimage, checked against
    /// the lock's hash.
    ///
    /// It fails with [`Fault::PeerRefused`] if the issuer says that the money is still under the lock, with
    /// [`Fault::ThirdParty`] if the money is gone and the issuer shows no preimage for it, and with [`Fault::Misuse`]
    /// if this payer has taken the money back itself or the lock is no hash lock.
    Learn {
        /// The lock.
        lock: Lock,
        /// The token.
        token: Vec<u8>,
    },
    /// Owner: sends money to an address of the issuer's world. Handover: what proves it, if anything does.
    Transfer {
        /// How much arrives.
        amount: Amount,
        /// Where: in the form that the issuer understands.
        address: String,
    },
    /// Owner: puts money into the purse by `method`. Money is asked for with [`super::module::Next::Fund`].
    Deposit {
        /// How much arrives.
        amount: Amount,
        /// How: `account`, or a method of a foreign mint such as `bolt11`.
        method: String,
    },
    /// Owner: takes money out as something that can be handed to anybody. Handover: the token as text.
    Send(Amount),
    /// Owner: puts a token that anybody handed over into the purse.
    Accept(String),
    /// Owner: finds money again that belongs to the purse's seed words.
    Restore,
    /// Owner: asks the issuer for its terms and for what became of the purse's money.
    Refresh,
}

/// The terms of a lock, agreed by both sides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    /// Its name: [`super::statement::lock_tag`].
    pub tag: Digest,
    /// How much.
    pub amount: Amount,
    /// From when on the payer can take it back alone.
    pub refund_after: Time,
    /// Who decides.
    pub kind: LockKind,
    /// The payer's details, from its [`Task::Prepare`].
    pub payer: Vec<u8>,
    /// The payee's details, from its [`Task::Prepare`].
    pub payee: Vec<u8>,
    /// The arbiter's key for locks of this system ([`super::Module::arbiter_key`]); needed for [`LockKind::Arbiter`].
    pub arbiter: Vec<u8>,
    /// SHA-256 of the preimage; needed for [`LockKind::Hash`].
    pub hash: Option<[u8; 32]>,
}

/// How an operation ended well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// The money that moved; zero where none was to move.
    pub moved: Amount,
    /// What this party paid for it, on top.
    pub fee: Amount,
    /// What the other side or a later operation needs.
    pub handover: Vec<u8>,
}

/// How an operation ended badly.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{reason} ({money})")]
pub struct Failure {
    /// Who is at fault.
    pub fault: Fault,
    /// What became of the money.
    pub money: Money,
    /// What went wrong, in words.
    pub reason: String,
}

/// The end of an operation, as whoever wanted it hears of it.
///
/// ```text
/// answer = { 0: operation id, ? 1: outcome, ? 2: failure }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The operation.
    pub id: OperationId,
    /// How it ended.
    pub result: Result<Outcome, Failure>,
}

/// What became of the money of an operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Money {
    /// It is where it was.
    NotMoved,
    /// It left and came back, less the fee.
    Returned,
    /// It is gone, or nobody can tell: the transaction record says what can be done.
    Unknown,
}

impl OperationId {
    /// The operation that a deal asks for under `verb` for its part `slot`.
    pub fn of(deal: DealId, slot: Slot, verb: &str) -> Self {
        let parts = [deal.as_bytes().as_slice(), &slot.0.to_be_bytes(), verb.as_bytes()];
        Self(Digest::of_parts(domain::OPERATION, &parts))
    }

    /// An operation of an arbiter under `verb`, about one of the things that a contract is about. `attempt` counts those before it that
    /// failed for a reason that may pass.
    pub fn of_case(cid: Cid, verb: &str, about: &[u8], attempt: u8) -> Self {
        Self(Digest::of_parts(domain::OPERATION, &[cid.as_bytes(), verb.as_bytes(), about, &[attempt]]))
    }

    /// An operation of the owner, outside of any deal.
    pub fn of_owner(random: [u8; 16]) -> Self {
        Self(Digest::of_parts(domain::OPERATION, &[&random]))
    }

    /// The operation that another one needs for itself.
    pub fn child(&self, verb: &str) -> Self {
        Self(Digest::of_parts(domain::OPERATION, &[self.as_bytes(), verb.as_bytes()]))
    }

    /// The operation that brings the money for which this one waits, if one has to.
    pub fn funding(&self) -> Self {
        self.child("fund")
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Takes bytes that were made by [`OperationId::as_bytes`].
    pub fn from_array(bytes: [u8; 32]) -> Self {
        Self(Digest::from_array(bytes))
    }

    /// Reads the form that `Display` writes: 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        Digest::from_hex(text).map(Self)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationId({self})")
    }
}

impl PurseId {
    /// Takes 16 random bytes as a purse's identifier.
    pub const fn from_array(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the form that `Display` writes: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        DealId::parse(text).map(|id| Self(*id.as_bytes()))
    }
}

impl fmt::Display for PurseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&DealId::from_array(self.0), f)
    }
}

impl fmt::Debug for PurseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PurseId({self})")
    }
}

impl Task {
    /// The verb, as it is stored and shown.
    pub const fn verb(&self) -> &'static str {
        match self {
            Task::Expect(_) => "expect",
            Task::Pay { .. } => "pay",
            Task::Receive { .. } => "receive",
            Task::Reclaim(_) => "reclaim",
            Task::Prepare(_) => "prepare",
            Task::Lock(_) => "lock",
            Task::VerifyLock { .. } => "verify-lock",
            Task::Authorise { .. } => "authorise",
            Task::Payout { .. } => "payout",
            Task::Redeem { .. } => "redeem",
            Task::Learn { .. } => "learn",
            Task::Transfer { .. } => "transfer",
            Task::Deposit { .. } => "deposit",
            Task::Send(_) => "send",
            Task::Accept(_) => "accept",
            Task::Restore => "restore",
            Task::Refresh => "refresh",
        }
    }
}

impl Failure {
    /// A failure that moved no money.
    pub fn unmoved(fault: Fault, reason: impl Into<String>) -> Self {
        Self { fault, money: Money::NotMoved, reason: shortened(reason.into()) }
    }

    /// A failure after which nobody can tell where the money is.
    pub fn unknown(fault: Fault, reason: impl Into<String>) -> Self {
        Self { fault, money: Money::Unknown, reason: shortened(reason.into()) }
    }
}

/// Reasons may come from an issuer: nothing in them moves a cursor or fills a screen.
fn shortened(reason: String) -> String {
    reason.chars().filter(|c| !c.is_control()).take(REASON_MAX / 4).collect()
}

impl Money {
    /// The name in encodings.
    pub const fn name(self) -> &'static str {
        match self {
            Money::NotMoved => "not-moved",
            Money::Returned => "returned",
            Money::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Money::NotMoved => "no money moved",
            Money::Returned => "the money came back",
            Money::Unknown => "where the money is cannot be said yet",
        })
    }
}

impl Encode for OperationId {
    fn to_value(&self) -> Value {
        self.0.to_value()
    }
}

impl Decode for OperationId {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        Digest::from_value(value).map(Self)
    }
}

impl Encode for PurseId {
    fn to_value(&self) -> Value {
        Value::bytes(self.0)
    }
}

impl Decode for PurseId {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        DealId::from_value(value).map(|id| Self(*id.as_bytes()))
    }
}

impl Encode for Operation {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.id)
            .put_item(2, &self.purse)
            .put_some(3, self.deal.as_ref().map(Encode::to_value))
            .put_item(4, &self.task)
            .build()
    }
}

impl Decode for Operation {
    const BYTES_MAX: usize = 4 * HANDOVER_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let operation = Self {
            id: fields.item(1, "id")?,
            purse: fields.item(2, "purse")?,
            deal: fields.optional_item(3, "deal")?,
            task: fields.item(4, "task")?,
        };
        fields.close()?;
        Ok(operation)
    }
}

/// ```text
/// task = { 0: verb, ? 1: amount, ? 2: signed request, ? 3: salt, ? 4: token, ? 5: lock, ? 6: side, ? 7: payout,
///          ? 8: authorisation, ? 9: text (address, method, token), ? 10: operation }
/// ```
impl Encode for Task {
    fn to_value(&self) -> Value {
        let task = record().put(0, self.verb());
        match self {
            Task::Expect(amount) | Task::Prepare(amount) | Task::Send(amount) => task.put_item(1, amount),
            Task::Pay { request, salt } => task.put_item(2, request).put_bytes(3, salt),
            Task::Receive { request, token } => task.put_item(2, request).put_bytes(4, token),
            Task::Reclaim(operation) => task.put_item(10, operation),
            Task::Lock(lock) => task.put_item(5, lock),
            Task::VerifyLock { lock, token } | Task::Learn { lock, token } => {
                task.put_bytes(4, token).put_item(5, lock)
            }
            Task::Authorise { lock, token, payout, to } => {
                task.put_bytes(4, token).put_item(5, lock).put_item(6, to).put_bytes(7, payout)
            }
            Task::Payout { lock, token, to } => task.put_bytes(4, token).put_item(5, lock).put_item(6, to),
            Task::Redeem { lock, token, to, authorisation } => {
                task.put_bytes(4, token).put_item(5, lock).put_item(6, to).put_bytes(8, authorisation)
            }
            Task::Transfer { amount, address } => task.put_item(1, amount).put(9, address.as_str()),
            Task::Deposit { amount, method } => task.put_item(1, amount).put(9, method.as_str()),
            Task::Accept(token) => task.put(9, token.as_str()),
            Task::Restore | Task::Refresh => task,
        }
        .build()
    }
}

impl Decode for Task {
    const BYTES_MAX: usize = Operation::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let verb = fields.text(0, "verb", 16)?;
        let f = &mut fields;
        let task = match verb.as_str() {
            "expect" => Task::Expect(f.item(1, "amount")?),
            "prepare" => Task::Prepare(f.item(1, "amount")?),
            "send" => Task::Send(f.item(1, "amount")?),
            "pay" => Task::Pay { request: f.item(2, "request")?, salt: f.exact(3, "salt")? },
            "receive" => Task::Receive { request: f.item(2, "request")?, token: token(f)? },
            "reclaim" => Task::Reclaim(f.item(10, "operation")?),
            "lock" => Task::Lock(f.item(5, "lock")?),
            "verify-lock" => Task::VerifyLock { token: token(f)?, lock: f.item(5, "lock")? },
            "authorise" => Task::Authorise {
                token: token(f)?,
                lock: f.item(5, "lock")?,
                payout: f.bytes(7, "payout", HANDOVER_MAX)?,
                to: f.item(6, "side")?,
            },
            "payout" => Task::Payout { token: token(f)?, lock: f.item(5, "lock")?, to: f.item(6, "side")? },
            "redeem" => Task::Redeem {
                token: token(f)?,
                lock: f.item(5, "lock")?,
                to: f.item(6, "side")?,
                authorisation: f.bytes(8, "authorisation", HANDOVER_MAX)?,
            },
            "learn" => Task::Learn { token: token(f)?, lock: f.item(5, "lock")? },
            "transfer" => Task::Transfer { amount: f.item(1, "amount")?, address: f.text(9, "address", ADDRESS_MAX)? },
            "deposit" => Task::Deposit { amount: f.item(1, "amount")?, method: f.text(9, "method", 32)? },
            "accept" => Task::Accept(f.text(9, "token", HANDOVER_MAX)?),
            "restore" => Task::Restore,
            "refresh" => Task::Refresh,
            _ => return Err(DecodeError::field("verb", Problem::Unknown { what: "verb", found: verb })),
        };
        fields.close()?;
        Ok(task)
    }
}

fn token(fields: &mut Fields) -> Result<Vec<u8>, DecodeError> {
    fields.bytes(4, "token", HANDOVER_MAX)
}

impl Encode for Lock {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.tag)
            .put_item(1, &self.amount)
            .put_item(2, &self.refund_after)
            .put_item(3, &self.kind)
            .put_bytes(4, &self.payer)
            .put_bytes(5, &self.payee)
            .put_bytes(6, &self.arbiter)
            .put_some(7, self.hash.map(Value::bytes))
            .build()
    }
}

impl Decode for Lock {
    const BYTES_MAX: usize = 64 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        const DETAILS_MAX: usize = super::statement::DETAILS_MAX;
        let mut fields = Fields::open(value)?;
        let lock = Self {
            tag: fields.item(0, "tag")?,
            amount: fields.item(1, "amount")?,
            refund_after: fields.item(2, "refund after")?,
            kind: fields.item(3, "kind")?,
            payer: fields.bytes(4, "payer", DETAILS_MAX)?,
            payee: fields.bytes(5, "payee", DETAILS_MAX)?,
            arbiter: fields.bytes(6, "arbiter", DETAILS_MAX)?,
            hash: fields.optional_item::<Digest>(7, "hash")?.map(|hash| *hash.as_bytes()),
        };
        fields.close()?;
        let complete = match lock.kind {
            LockKind::Arbiter => !lock.arbiter.is_empty() && lock.hash.is_none(),
            LockKind::Hash => lock.hash.is_some() && lock.arbiter.is_empty(),
        };
        let problem = Problem::OutOfRange("a lock names an arbiter or a hash, as its kind says");
        if complete { Ok(lock) } else { Err(DecodeError::field("kind", problem)) }
    }
}

impl Encode for Outcome {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.moved).put_item(1, &self.fee).put_bytes(2, &self.handover).build()
    }
}

impl Decode for Outcome {
    const BYTES_MAX: usize = HANDOVER_MAX + 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let outcome = Self {
            moved: fields.item(0, "moved")?,
            fee: fields.item(1, "fee")?,
            handover: fields.bytes(2, "handover", HANDOVER_MAX)?,
        };
        fields.close()?;
        Ok(outcome)
    }
}

impl Encode for Answer {
    fn to_value(&self) -> Value {
        let answer = record().put_item(0, &self.id);
        match &self.result {
            Ok(outcome) => answer.put_item(1, outcome),
            Err(failure) => answer.put_item(2, failure),
        }
        .build()
    }
}

impl Decode for Answer {
    const BYTES_MAX: usize = Outcome::BYTES_MAX + 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let id = fields.item(0, "id")?;
        let result = match fields.optional_item(1, "outcome")? {
            Some(outcome) => Ok(outcome),
            None => Err(fields.item(2, "failure")?),
        };
        fields.close()?;
        Ok(Self { id, result })
    }
}

const FAULTS: [(Fault, &str); 6] = [
    (Fault::PeerMisbehaved, "peer-misbehaved"),
    (Fault::PeerRefused, "peer-refused"),
    (Fault::ThirdParty, "third-party"),
    (Fault::UserDeclined, "user-declined"),
    (Fault::Environment, "environment"),
    (Fault::Misuse, "misuse"),
];

const MONEY: [(Money, &str); 3] = [
    (Money::NotMoved, Money::NotMoved.name()),
    (Money::Returned, Money::Returned.name()),
    (Money::Unknown, Money::Unknown.name()),
];

impl Encode for Failure {
    fn to_value(&self) -> Value {
        let fault = FAULTS.iter().find(|(fault, _)| *fault == self.fault).expect("every fault is listed").1;
        record().put(0, fault).put(1, self.money.name()).put(2, self.reason.as_str()).build()
    }
}

impl Decode for Failure {
    const BYTES_MAX: usize = REASON_MAX + 128;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (fault, money) = (fields.text(0, "fault", 32)?, fields.text(1, "money", 32)?);
        let reason = fields.text(2, "reason", REASON_MAX)?;
        fields.close()?;
        let unknown = |what, found| DecodeError::field(what, Problem::Unknown { what, found });
        Ok(Self {
            fault: find(&FAULTS, &fault).ok_or_else(|| unknown("fault", fault))?,
            money: find(&MONEY, &money).ok_or_else(|| unknown("money", money))?,
            reason,
        })
    }
}

fn find<T: Copy>(names: &[(T, &str)], name: &str) -> Option<T> {
    names.iter().find(|(_, text)| *text == name).map(|(value, _)| *value)
}
