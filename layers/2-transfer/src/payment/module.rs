//! What a payment system is to this block: a [`Module`], the parties' half of it.
//!
//! A module computes. It is handed a purse, an operation, where the operation stands and what happened; it gives back where the
//! operation stands now, which records of the purse change, and what to do next. Whoever drives it stores all of that in one commit
//! and only then does it, again and again until it is answered: a request goes out as the bytes that were stored. So a module must
//! make requests that an issuer answers twice with the same answer, and must never need an answer that can be lost.
//!
//! Money must be conserved by every commit: a coin leaves a purse's records in the commit that stores the request which spends it,
//! and that request can be repeated from the stored stage.
//!
//! A new payment system is a folder in `modules/payment/src`, one line in its `all()`, and it passes the kit `contract`.
//!
//! Source: `spec/payment.md` §4; DESIGN §3, §7.

use std::collections::BTreeMap;

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::ids::KeySetId;
use semper_core::party::{KeySet, Suite};
use semper_core::signature::Verify;
use semper_core::time::Time;
use semper_support::engine::{Consent, EvidenceKind};

use super::claim::{Claim, Finding, Proof};
use super::means::{ISSUER_MAX, Means, System};
use super::operation::{ADDRESS_MAX, Failure, HANDOVER_MAX, Lock, Operation, Outcome, PurseId, Task};
use super::statement::Side;

/// Largest stage of an operation, in bytes.
pub const STAGE_MAX: usize = 4 * HANDOVER_MAX;
/// Largest body of a request to an issuer or of its answer, in bytes.
pub const BODY_MAX: usize = 4 * HANDOVER_MAX;
/// Longest address of a request to an issuer, in bytes.
pub const URL_MAX: usize = 1024;
/// Longest key of a purse's record, in bytes.
pub const RECORD_KEY_MAX: usize = 200;

/// The parties' half of a payment system.
pub trait Module: Send + Sync {
    /// Its name: that of its folder.
    fn system(&self) -> System;

    /// What the purse's means can promise; `None` before the issuer's terms are known ([`Task::Refresh`]).
    fn means(&self, purse: &Purse) -> Option<Means>;

    /// What is in the purse.
    fn balance(&self, purse: &Purse) -> Balance;

    /// What parties put into [`Lock::arbiter`](super::operation::Lock::arbiter) so that this party is the arbiter of their lock. The same
    /// for ever; `me` is this party's key set.
    fn arbiter_key(&self, me: &KeySet) -> Vec<u8>;

    /// What a task would cost, before it is begun. Asks nobody.
    ///
    /// # Errors
    /// The task cannot be done with this purse now; no money moves.
    fn quote(&self, purse: &Purse, task: &Task) -> Result<Quote, Failure>;

    /// Takes one step of an operation. `stage` is what the last step left, empty before the first.
    ///
    /// # Errors
    /// The event does not fit: a bug of the driver. The stored stage stands. How an operation fails is not an error but
    /// [`Next::Failed`].
    fn step(
        &self,
        context: &Context<'_>,
        purse: &Purse,
        operation: &Operation,
        stage: &[u8],
        event: Event,
    ) -> Result<Step, StepError>;

    /// Where money can be sent to from outside, with a reference that its receiver recognises it by (none if empty) and the amount
    /// that is wanted, if one is; `None` where that is not possible.
    fn address(&self, _purse: &Purse, _reference: &str, _amount: Option<Amount>) -> Option<String> {
        None
    }

    /// What signing a statement would mean, for the holder of the keys, who believes nobody else about it.
    fn wording(&self, _draft: &Draft) -> Wording {
        Wording::Foreign
    }

    /// Whether `proof` proves `claim`; a pure function of its arguments, for a stranger.
    fn judge(&self, verify: &dyn Verify, claim: &Claim, proof: &Proof) -> Finding;

    /// Which side has taken the money of `lock`, if `shown`, which a purse kept when it redeemed, proves that to a stranger; a pure
    /// function. A system that shows nothing proves nothing. The preimage of a hash lock and the payee's own signature show nothing: it can make both
    /// without its issuer.
    fn judge_lock(&self, _verify: &dyn Verify, _lock: &Lock, _shown: &[u8]) -> Option<Side> {
        None
    }
}

/// What signing a statement would mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wording {
    /// The statement is not of this system, or not readable: it is not signed on this module's word.
    Foreign,
    /// It asks something, or takes money in: it may be signed without asking the user.
    Harmless,
    /// It binds, or moves money out: the user is asked, unless it is within a limit.
    Binding {
        /// What the user is asked over: who, what, how much, until when.
        text: String,
        /// The most that it can cost, with everything on top; none if the statement does not say it: then it is within no limit.
        most: Option<Amount>,
    },
}

/// What a module may look at besides the purse and the operation.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The present time.
    pub now: Time,
    /// Signature verification.
    pub verify: &'a dyn Verify,
    /// Fresh random bytes, never used before; stored in the stage by whoever needs them again.
    pub entropy: &'a [u8; 32],
    /// The party's own key set.
    pub me: &'a KeySet,
    /// The party's certificates (DER), its own first.
    pub certificates: &'a [Vec<u8>],
}

/// Money of this party at one issuer in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purse {
    /// Its identifier.
    pub id: PurseId,
    /// The payment system.
    pub system: System,
    /// The mint or bank: its address.
    pub issuer: String,
    /// The currency.
    pub currency: Currency,
    /// What the module keeps of it, in the module's own layout.
    pub records: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What is in a purse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What can be spent now.
    pub available: Amount,
    /// What has left and may come back: payments on the way, locks, holds.
    pub pending: Amount,
}

/// What a task would cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// What arrives.
    pub amount: Amount,
    /// What it costs on top.
    pub fee: Amount,
}

/// What happened to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It begins. Given once.
    Begin,
    /// The issuer answered the last [`Next::Ask`].
    Reply(IssuerReply),
    /// The key holder signed what was asked for.
    Signed(Signed),
    /// The user declined.
    Declined,
    /// The money asked for with [`Next::Fund`] was sent.
    Funded(Outcome),
    /// The money asked for was not sent.
    NotFunded(Failure),
    /// The time of [`Next::Wait`] has come.
    Due,
    /// The user, or the deal that waited, wants no more of it. A module ends the operation if that loses no money, and goes on
    /// as before if it would.
    GiveUp,
    /// What the other operation that [`Task::Reclaim`] names had reached: its stage when it ended.
    Stage(Vec<u8>),
}

/// A step of an operation: stored as a whole, then performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where the operation stands.
    pub stage: Vec<u8>,
    /// Records of the purse that change; `None` removes one.
    pub changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Evidence to keep.
    pub evidence: Vec<(EvidenceKind, Vec<u8>)>,
    /// What to do next.
    pub next: Next,
}

/// What an operation waits for, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A request to the issuer, repeated until it is answered.
    Ask(IssuerRequest),
    /// A signature of this party.
    Sign {
        /// The statement.
        draft: Draft,
        /// Whether the user is to be asked.
        consent: Consent,
    },
    /// Money from another purse of this party.
    Fund(Funding),
    /// The passing of time.
    Wait(Time),
    /// The last stage of another operation of this purse, which has ended.
    Look(super::operation::OperationId),
    /// It ended well.
    Done(Outcome),
    /// It ended badly.
    Failed(Failure),
}

/// Money that an operation needs from outside of its purse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funding {
    /// How: the payment system or method that understands the address.
    pub method: String,
    /// Where to.
    pub address: String,
    /// How much.
    pub amount: Amount,
}

/// A request to an issuer: HTTP, `POST` with a body and `GET` without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerRequest {
    /// The whole address.
    pub url: String,
    /// Media type and body.
    pub body: Option<(String, Vec<u8>)>,
}

/// An issuer's answer. Answers 429 and 5xx never get here: the request is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerReply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// An event that does not fit the stage: a bug of the driver, or a stored stage that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot happen to a payment operation {verb} at this stage")]
pub struct StepError {
    /// What came.
    pub event: &'static str,
    /// The operation's verb.
    pub verb: &'static str,
}

impl Step {
    /// A step that changes nothing but the stage.
    pub fn to(stage: Vec<u8>, next: Next) -> Self {
        Self { stage, changes: Vec::new(), evidence: Vec::new(), next }
    }

    /// The operation has failed.
    pub fn failed(failure: Failure) -> Self {
        Self::to(Vec::new(), Next::Failed(failure))
    }

    /// Puts a record.
    #[must_use]
    pub fn put(mut self, key: Vec<u8>, value: Vec<u8>) -> Self {
        self.changes.push((key, Some(value)));
        self
    }

    /// Removes a record.
    #[must_use]
    pub fn remove(mut self, key: Vec<u8>) -> Self {
        self.changes.push((key, None));
        self
    }

    /// Keeps evidence.
    #[must_use]
    pub fn keep(mut self, kind: EvidenceKind, bytes: Vec<u8>) -> Self {
        self.evidence.push((kind, bytes));
        self
    }
}

impl Purse {
    /// The records whose keys begin with `prefix`, in key order: rest of the key and value.
    pub fn under<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.records
            .range(prefix.to_vec()..)
            .map_while(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_slice())))
    }

    /// Applies the changes of a step that was stored.
    pub fn apply(&mut self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) {
        for (key, value) in changes {
            match value {
                Some(value) => self.records.insert(key.clone(), value.clone()),
                None => self.records.remove(key),
            };
        }
    }
}

impl IssuerRequest {
    /// A question without a body.
    pub fn get(url: String) -> Self {
        Self { url, body: None }
    }

    /// A request with a JSON body.
    pub fn json(url: String, body: Vec<u8>) -> Self {
        Self { url, body: Some(("application/json".to_owned(), body)) }
    }
}

impl Event {
    /// Its name in errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Event::Begin => "a beginning",
            Event::Reply(_) => "an answer of the issuer",
            Event::Signed(_) => "a signature",
            Event::Declined => "a refusal of the user",
            Event::Funded(_) => "money",
            Event::NotFunded(_) => "missing money",
            Event::Due => "a timer",
            Event::GiveUp => "giving up",
            Event::Stage(_) => "the stage of another operation",
        }
    }
}

impl Next {
    /// Whether the operation has ended.
    pub const fn is_end(&self) -> bool {
        matches!(self, Next::Done(_) | Next::Failed(_))
    }
}

/// ```text
/// next = { 0: kind, ? 1: url, ? 2: media type, ? 3: body, ? 4: statement kind, ? 5: suite, ? 6: signer, ? 7: payload, ? 8: ask,
///          ? 9: method, ? 10: address, ? 11: amount, ? 12: time, ? 13: operation, ? 14: outcome, ? 15: failure }
/// ```
impl Encode for Next {
    fn to_value(&self) -> Value {
        match self {
            Next::Ask(IssuerRequest { url, body }) => {
                let ask = record().put(0, "ask").put(1, url.as_str());
                match body {
                    Some((media_type, body)) => ask.put(2, media_type.as_str()).put_bytes(3, body),
                    None => ask,
                }
            }
            Next::Sign { draft, consent } => record()
                .put(0, "sign")
                .put(4, draft.kind.name())
                .put_item(5, &draft.suite)
                .put_item(6, &draft.signer)
                .put_bytes(7, &draft.payload)
                .put(8, *consent == Consent::Ask),
            Next::Fund(funding) => record()
                .put(0, "fund")
                .put(9, funding.method.as_str())
                .put(10, funding.address.as_str())
                .put_item(11, &funding.amount),
            Next::Wait(time) => record().put(0, "wait").put_item(12, time),
            Next::Look(operation) => record().put(0, "look").put_item(13, operation),
            Next::Done(outcome) => record().put(0, "done").put_item(14, outcome),
            Next::Failed(failure) => record().put(0, "failed").put_item(15, failure),
        }
        .build()
    }
}

impl Decode for Next {
    const BYTES_MAX: usize = BODY_MAX + 4096;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let kind = fields.text(0, "kind", 16)?;
        let f = &mut fields;
        let next = match kind.as_str() {
            "ask" => {
                let url = f.text(1, "url", URL_MAX)?;
                let media_type = f.optional_item::<String>(2, "media type")?;
                let body = match media_type {
                    Some(media_type) => Some((media_type, f.bytes(3, "body", BODY_MAX)?)),
                    None => None,
                };
                Next::Ask(IssuerRequest { url, body })
            }
            "sign" => Next::Sign {
                draft: draft(f)?,
                consent: if f.bool(8, "ask")? { Consent::Ask } else { Consent::Implied },
            },
            "fund" => Next::Fund(Funding {
                method: f.text(9, "method", 32)?,
                address: f.text(10, "address", ADDRESS_MAX)?,
                amount: f.item(11, "amount")?,
            }),
            "wait" => Next::Wait(f.item(12, "time")?),
            "look" => Next::Look(f.item(13, "operation")?),
            "done" => Next::Done(f.item(14, "outcome")?),
            "failed" => Next::Failed(f.item(15, "failure")?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "next", found: kind })),
        };
        fields.close()?;
        Ok(next)
    }
}

fn draft(fields: &mut Fields) -> Result<Draft, DecodeError> {
    let name = fields.text(4, "statement kind", 32)?;
    let kind = Kind::ALL.iter().copied().find(|kind| kind.name() == name);
    Ok(Draft {
        kind: kind.ok_or(DecodeError::field("statement kind", Problem::Unknown { what: "kind", found: name }))?,
        suite: fields.item::<Suite>(5, "suite")?,
        signer: fields.item::<KeySetId>(6, "signer")?,
        payload: fields.bytes(7, "payload", BODY_MAX)?,
    })
}

/// A purse without its records: what is stored under its own key.
///
/// ```text
/// purse = { 0: 1, 1: id, 2: system, 3: issuer, 4: currency }
/// ```
impl Encode for Purse {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.id)
            .put_item(2, &self.system)
            .put(3, self.issuer.as_str())
            .put(4, self.currency.code())
            .build()
    }
}

impl Decode for Purse {
    const BYTES_MAX: usize = 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (id, system) = (fields.item(1, "id")?, fields.item(2, "system")?);
        let issuer = fields.text(3, "issuer", ISSUER_MAX)?;
        let code = fields.text(4, "currency", 3)?;
        fields.close()?;
        let capitals = Problem::OutOfRange("a currency is three capital letters");
        let currency = Currency::parse(&code).ok_or_else(|| DecodeError::field("currency", capitals))?;
        Ok(Self { id, system, issuer, currency, records: BTreeMap::new() })
    }
}
