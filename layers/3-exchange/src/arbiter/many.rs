//! The arbiter's side of contracts that many parties sign ([`crate::cn`]).
//!
//! For each such contract the arbiter keeps a [`Record`]: who has asked in which round and was refused, and by whose request the contract
//! was resolved, if it was. Each verdict stands in the cell of the party that it was given to; [`follows`] is the whole decision.
//!
//! ```text
//! ask     = { 0: 1, 1: cid, 2: role, 3: round }
//! request = { 0: 1, 1: core, 2: [3*8 key set], 3: [* signed round], 4: signed ask }
//! answer  = { 0: 1, 1: signed verdict or status, 2: [* signed round], 3: [* signed ask], ? 4: log receipt }
//! ```
//! 3 of a request is the sheet of the round before the one in which its party waits; empty in round 1. With the verdict "resolved" comes
//! the sheet it rests on, which another party may have shown; with every verdict come the questions of those who were refused before. So
//! everything that a verdict says it rests on is in its reader's hands, and a wrong one is provable.
//!
//! Why an overturned refusal harms no honest party: who asks in round `a` signs no round after `a`. A sheet of a later round holds its
//! signature, so it has lied.
//!
//! Source: `spec/cn.md` §3 (design/exchange.md §3.3).

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::Core;
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::ids::{Cid, Slot, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verified, Verify, verify};
use semper_core::time::Time;
use semper_support::engine::{Effect, EvidenceKind};
use semper_support::flaws::{self, Flaw};

use super::log::LogReceipt;
use super::request::{Court, RequestError};
use super::verdict::{AnswerError, ClosedUnused, Outcome, Verdict};
use crate::cn::{Circle, Message, SIGNERS_MAX};
use crate::cn::{in_range, round_field};

/// "I wait in vain in this round. Complete the contract, or let me off." By a party, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The contract.
    pub cid: Cid,
    /// Who asks.
    pub role: Role,
    /// The round of which its asker lacks a signature.
    pub round: u8,
}

/// A request as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The contract.
    pub core: Core,
    /// The key sets of all parties, in the order of the roles.
    pub key_sets: Vec<KeySet>,
    /// The sheet of the round before; empty in round 1.
    pub sheet: Vec<Signed>,
    /// The signed [`Ask`].
    pub question: Signed,
}

/// A request whose every part was checked. Only [`Court::check_many`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    circle: Circle,
    by: Role,
    round: u8,
    basis: Vec<StatementId>,
}

/// A party that has asked and was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asker {
    /// Who.
    pub role: Role,
    /// In which round.
    pub round: u8,
}

/// What the arbiter keeps of a contract that many sign.
///
/// ```text
/// record = { 0: 1, 1: [* asker], ? 2: role }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Who has asked and was refused, and in which round.
    pub refused: BTreeMap<Role, u8>,
    /// By whose request the contract was resolved.
    pub resolved: Option<Role>,
}

/// What the arbiter does about a valid request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Answer with what stands in the cell of this party.
    Stands(Role),
    /// Write this outcome into the asker's cell, and into the record.
    Write(Outcome),
    /// Nobody has had the contract completed, and its time is over: nobody ever will.
    TooLate,
}

/// What the service does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Answer with what stands in the cell of this party, byte for byte.
    AnswerStored(Role),
    /// Sign this verdict, store it with this record in one commit, then answer with it.
    SignAndStore(Draft, Record),
    /// Sign this status and answer with it; nothing is changed.
    SignAndAnswer(Draft),
}

/// What follows for a party that asks in `round`, with the sheet of the round before, after `refused` have been refused.
pub fn follows(mut refused: impl Iterator<Item = u8>, round: u8) -> Outcome {
    if round < 2 {
        return Outcome::Aborted;
    }
    let shown = round - 1;
    let slack = u8::from(flaws::active(Flaw::OverturnOffByOne));
    let ignores = flaws::active(Flaw::IgnoreEarlierAsks);
    if ignores || refused.all(|asked| asked < shown + slack) { Outcome::Resolved } else { Outcome::Aborted }
}

/// Rules on a verified request.
pub fn rule(record: &Record, case: &Case, now: Time) -> Ruling {
    if record.refused.contains_key(&case.by) && !flaws::active(Flaw::DoubleAsk) {
        return Ruling::Stands(case.by);
    }
    if let Some(by) = record.resolved {
        return Ruling::Stands(by);
    }
    if now > case.circle.core().terms.deadlines.not_after {
        return Ruling::TooLate;
    }
    Ruling::Write(follows(record.refused.values().copied(), case.round))
}

/// Decides what to do about a valid request, given the record and the next free place in the log.
pub fn decide(record: &Record, case: &Case, arbiter: &KeySet, log_index: u64, now: Time) -> Next {
    let (cid, slot) = (case.cid(), slot_of(case.by));
    match rule(record, case, now) {
        Ruling::Stands(role) => Next::AnswerStored(role),
        Ruling::TooLate => {
            let status = ClosedUnused { cid, slot, request: case.question(), time: now };
            Next::SignAndAnswer(status.draft(arbiter.suite(), arbiter.id()))
        }
        Ruling::Write(outcome) => {
            let (basis, prior) = (case.basis.clone(), record.askers().collect());
            let verdict = Verdict { cid, slot, outcome, basis, prior, time: now, log_index };
            let draft = verdict.draft(arbiter.suite(), arbiter.id());
            Next::SignAndStore(draft, record.after(outcome, case))
        }
    }
}

/// The cell of a party: the slot with its role's number.
pub fn slot_of(role: Role) -> Slot {
    Slot(u16::from(role.number()))
}

/// The register's key of a party's cell: `cid ‖ slot (2 bytes, big-endian)`.
pub fn cell_key(cid: Cid, role: Role) -> Vec<u8> {
    [cid.as_bytes().as_slice(), &slot_of(role).0.to_be_bytes()].concat()
}

impl Record {
    /// Who was refused, in the order of the roles.
    pub fn askers(&self) -> impl Iterator<Item = Asker> + '_ {
        self.refused.iter().map(|(role, round)| Asker { role: *role, round: *round })
    }

    fn after(&self, outcome: Outcome, case: &Case) -> Self {
        let mut record = self.clone();
        if outcome == Outcome::Resolved {
            record.resolved = Some(case.by);
        } else {
            record.refused.insert(case.by, case.round);
        }
        record
    }
}

impl Court<'_> {
    /// Checks a request about a contract that many parties sign.
    ///
    /// # Errors
    /// [`RequestError`]: the request is not valid. Nothing may be decided from it.
    pub fn check_many(&self, request: &Request) -> Result<Case, RequestError> {
        let core = &request.core;
        self.admits(core)?;
        let circle = Circle::new(core.clone(), request.key_sets.clone()).map_err(RequestError::Circle)?;
        let by = circle.signer(&request.question).ok_or(RequestError::Foreign("question"))?;
        let asker = circle.key_set(by).ok_or(RequestError::Foreign("question"))?;
        let wrong = |error| RequestError::Signature { part: "question", error };
        let ask: Verified<Ask> = verify(self.verify, asker, &request.question).map_err(wrong)?;
        let Ask { cid, role, round } = *ask.statement();
        if (cid, role) != (circle.cid(), by) || round > circle.rounds() {
            return Err(RequestError::Foreign("question"));
        }
        let mut basis = vec![ask.id()];
        if round == 1 {
            if !request.sheet.is_empty() {
                return Err(RequestError::Foreign("sheet"));
            }
        } else {
            let shown = circle.check_sheet(self.verify, &request.sheet, round - 1);
            shown.map_err(|_| RequestError::Foreign("sheet"))?;
            basis.extend(request.sheet.iter().map(Signed::id));
        }
        Ok(Case { circle, by, round, basis })
    }
}

impl Case {
    /// The contract's identifier.
    pub fn cid(&self) -> Cid {
        self.circle.cid()
    }

    /// Who signs the contract.
    pub fn circle(&self) -> &Circle {
        &self.circle
    }

    /// Who asks.
    pub fn by(&self) -> Role {
        self.by
    }

    /// In which round.
    pub fn round(&self) -> u8 {
        self.round
    }

    /// The question.
    pub fn question(&self) -> StatementId {
        self.basis[0]
    }
}

/// Why a verdict does not follow from what it says it rests on, or contradicts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It names no question of the party that it was given to, or other signatures than those of the round before.
    Basis,
    /// The rules lead to the other outcome.
    Outcome,
}

/// The round in which the party of a verdict has asked, if the verdict follows from what it says it rests on.
pub(crate) fn check_verdict(circle: &Circle, verdict: &Verdict) -> Result<Asker, Wrong> {
    let role = circle.roles().find(|role| slot_of(*role) == verdict.slot).ok_or(Wrong::Basis)?;
    let key_set = circle.key_set(role).ok_or(Wrong::Basis)?;
    let (question, sheet) = verdict.basis.split_first().ok_or(Wrong::Basis)?;
    let asked = |round: &u8| {
        Ask { cid: circle.cid(), role, round: *round }.draft(key_set.suite(), key_set.id()).id() == *question
    };
    let round = (1..=circle.rounds()).find(asked).ok_or(Wrong::Basis)?;
    let shown = if round == 1 { Vec::new() } else { circle.sheet_ids(round - 1) };
    if sheet != shown {
        return Err(Wrong::Basis);
    }
    let expected = follows(verdict.prior.iter().map(|asker| asker.round), round);
    if verdict.outcome == expected { Ok(Asker { role, round }) } else { Err(Wrong::Outcome) }
}

/// What the arbiter answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// A signed [`Verdict`] or [`ClosedUnused`].
    pub statement: Signed,
    /// The sheet that the verdict "resolved" rests on; else nothing.
    pub sheet: Vec<Signed>,
    /// The questions of those who were refused before, in the order of the roles.
    pub asks: Vec<Signed>,
    /// Proof that the verdict stands in the arbiter's log.
    pub log: Option<LogReceipt>,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The contract's time is over, and nobody has had it completed.
    Unused,
    /// Its reader is not bound; nobody is, unless its reader goes on signing.
    Aborted,
    /// The contract is complete.
    Resolved,
}

impl Answer {
    /// Checks the arbiter's answer to the question `asked` of the party `by`, and says what it comes to.
    ///
    /// A verdict that does not follow from its basis is a verdict all the same, and is kept: `evidence` shows what is wrong with it.
    ///
    /// # Errors
    /// [`AnswerError`]: the arbiter has not answered, or holds back what its verdict rests on.
    pub fn read(
        &self,
        verifier: &dyn Verify,
        arbiter: &KeySet,
        circle: &Circle,
        by: Role,
        asked: StatementId,
    ) -> Result<Decision, AnswerError> {
        let wrong = |part| move |error| AnswerError::Signature { part, error };
        if self.statement.kind() == Kind::Status {
            let status: Verified<ClosedUnused> = verify(verifier, arbiter, &self.statement).map_err(wrong("status"))?;
            let status = status.statement();
            let ours = (status.cid, status.slot, status.request) == (circle.cid(), slot_of(by), asked);
            return if ours { Ok(Decision::Unused) } else { Err(AnswerError::Foreign("status")) };
        }
        let verdict: Verified<Verdict> = verify(verifier, arbiter, &self.statement).map_err(wrong("verdict"))?;
        let verdict = verdict.statement();
        if verdict.cid != circle.cid() {
            return Err(AnswerError::Foreign("verdict"));
        }
        self.read_asks(verifier, circle, verdict)?;
        match verdict.outcome {
            Outcome::Resolved => {
                let shown = Circle::round_of(&self.sheet).ok_or(AnswerError::Foreign("sheet"))?;
                circle.check_sheet(verifier, &self.sheet, shown).map_err(|_| AnswerError::Foreign("sheet"))?;
                let named = verdict.basis.get(1..).unwrap_or_default();
                let same = self.sheet.iter().map(Signed::id).eq(named.iter().copied());
                if same { Ok(Decision::Resolved) } else { Err(AnswerError::Foreign("sheet")) }
            }
            Outcome::Aborted if verdict.slot == slot_of(by) && verdict.basis.first() == Some(&asked) => {
                Ok(Decision::Aborted)
            }
            Outcome::Aborted | Outcome::Fault(_) | Outcome::Revoked => Err(AnswerError::Foreign("verdict")),
        }
    }

    /// Everybody who is said to have been refused has asked.
    fn read_asks(&self, verifier: &dyn Verify, circle: &Circle, verdict: &Verdict) -> Result<(), AnswerError> {
        const PART: &str = "question of somebody who was refused";
        if self.asks.len() != verdict.prior.len() {
            return Err(AnswerError::Foreign(PART));
        }
        verdict.prior.iter().zip(&self.asks).try_for_each(|(asker, signed)| {
            let key_set = circle.key_set(asker.role).ok_or(AnswerError::Foreign(PART))?;
            let wrong = |error| AnswerError::Signature { part: PART, error };
            let ask: Verified<Ask> = verify(verifier, key_set, signed).map_err(wrong)?;
            let expected = Ask { cid: circle.cid(), role: asker.role, round: asker.round };
            if *ask.statement() == expected { Ok(()) } else { Err(AnswerError::Foreign(PART)) }
        })
    }

    /// What of it proves something later.
    pub fn evidence(&self) -> Vec<Effect> {
        let signed = [&self.statement].into_iter().chain(&self.sheet).chain(&self.asks);
        let log = self.log.iter().map(|log| Effect::Keep { kind: EvidenceKind::LogReceipt, bytes: log.to_bytes() });
        signed.map(Effect::keep).chain(log).collect()
    }
}

impl Statement for Ask {
    const KIND: Kind = Kind::Ask;
}

impl Encode for Ask {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.role).put(3, u64::from(self.round)).build()
    }
}

impl Decode for Ask {
    const BYTES_MAX: usize = 128;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, role) = (fields.item(1, "cid")?, fields.item(2, "role")?);
        let ask = Self { cid, role, round: round_field(&mut fields, 3)? };
        fields.close()?;
        Ok(ask)
    }
}

impl Request {
    /// Whether these bytes are meant as such a request: its contract is one that many sign. Whether they are one, decoding says.
    pub fn is_meant(bytes: &[u8]) -> bool {
        // A request of an exchange has the two fields more for a proof and a payout, empty or not.
        match semper_core::cbor::decode(bytes, Self::BYTES_MAX) {
            Ok(Value::Map(map)) => map.get(5_u64).is_none(),
            _ => false,
        }
    }
}

impl Encode for Request {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.core)
            .put_list(2, &self.key_sets)
            .put_list(3, &self.sheet)
            .put_item(4, &self.question)
            .build()
    }
}

impl Decode for Request {
    const BYTES_MAX: usize = super::request::Request::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (core, key_sets) = (fields.item(1, "core")?, fields.list(2, "key sets", SIGNERS_MAX)?);
        let (sheet, question) = (fields.list(3, "sheet", SIGNERS_MAX)?, fields.item(4, "question")?);
        fields.close()?;
        Ok(Self { core, key_sets, sheet, question })
    }
}

impl Encode for Answer {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.statement)
            .put_list(2, &self.sheet)
            .put_list(3, &self.asks)
            .put_some(4, self.log.as_ref().map(Encode::to_value))
            .build()
    }
}

impl Decode for Answer {
    const BYTES_MAX: usize = 4 * SIGNERS_MAX * Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (statement, sheet) = (fields.item(1, "statement")?, fields.list(2, "sheet", SIGNERS_MAX)?);
        let (asks, log) = (fields.list(3, "asks", SIGNERS_MAX)?, fields.optional_item(4, "log receipt")?);
        fields.close()?;
        Ok(Self { statement, sheet, asks, log })
    }
}

impl Encode for Asker {
    fn to_value(&self) -> Value {
        Value::Array(vec![self.role.to_value(), u64::from(self.round).into()])
    }
}

impl Decode for Asker {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let Value::Array(pair) = value else {
            return Err(DecodeError::field("", Problem::WrongType { expected: "an array", found: value.type_name() }));
        };
        let [role, round]: [Value; 2] = pair
            .try_into()
            .map_err(|_| DecodeError::field("", Problem::OutOfRange("an asker is a role and a round")))?;
        let round = u8::try_from(u64::from_value(round)?).unwrap_or(u8::MAX);
        Ok(Self { role: Role::from_value(role)?, round: in_range(round)? })
    }
}

impl Encode for Record {
    fn to_value(&self) -> Value {
        let askers: Vec<_> = self.askers().collect();
        record().put(0, 1_u64).put_list(1, &askers).put_some(2, self.resolved.map(|role| role.to_value())).build()
    }
}

impl Decode for Record {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let askers: Vec<Asker> = fields.list(1, "askers", SIGNERS_MAX)?;
        let resolved = fields.optional_item(2, "resolved")?;
        fields.close()?;
        Ok(Self { refused: askers.into_iter().map(|asker| (asker.role, asker.round)).collect(), resolved })
    }
}
