//! What the arbiter says.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::ids::{Cid, Slot, StatementId};
use semper_core::time::Time;

use super::log::LogReceipt;

/// How a contract was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Nobody is bound.
    Aborted,
    /// The contract is complete: the verdict stands in the place of both finals.
    Resolved,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Outcome::Aborted => "aborted",
            Outcome::Resolved => "resolved",
        }
    }
}

/// The arbiter's decision about one cell.
///
/// ```text
/// verdict = { 0: 1, 1: cid, 2: slot, 3: "aborted" / "resolved", 4: [+ statement id], 5: [], 6: time, 7: log index }
/// ```
/// 4 is the basis: the request and the promises it rests on. 5 is what the cell held before; a cell of this kind was empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The contract.
    pub cid: Cid,
    /// The part of the contract.
    pub slot: Slot,
    /// The decision.
    pub outcome: Outcome,
    /// The statements that the decision rests on.
    pub basis: Vec<StatementId>,
    /// When it was decided, by the arbiter's clock.
    pub time: Time,
    /// The place of the verdict in the arbiter's log, from 0.
    pub log_index: u64,
}

impl Statement for Verdict {
    const KIND: Kind = Kind::Verdict;
}

impl Encode for Verdict {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cid)
            .put_item(2, &self.slot)
            .put(3, self.outcome.name())
            .put_list(4, &self.basis)
            .put(5, Vec::new())
            .put_item(6, &self.time)
            .put(7, self.log_index)
            .build()
    }
}

impl Decode for Verdict {
    const BYTES_MAX: usize = 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, slot) = (fields.item(1, "cid")?, fields.item(2, "slot")?);
        let name = fields.text(3, "outcome", 16)?;
        let outcome = match name.as_str() {
            "aborted" => Outcome::Aborted,
            "resolved" => Outcome::Resolved,
            _ => return Err(DecodeError::field("outcome", Problem::Unknown { what: "outcome", found: name })),
        };
        let basis = fields.list(4, "basis", 8)?;
        fields.array(5, "prior", 0)?;
        let verdict =
            Self { cid, slot, outcome, basis, time: fields.item(6, "time")?, log_index: fields.uint(7, "log index")? };
        fields.close()?;
        Ok(verdict)
    }
}

/// "The contract's time is over and its cell is empty; it will stay so." The answer to a first request that comes too late.
///
/// ```text
/// status = { 0: 1, 1: cid, 2: slot, 3: "closed-unused", 4: request, 6: time }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClosedUnused {
    /// The contract.
    pub cid: Cid,
    /// The part of the contract.
    pub slot: Slot,
    /// The request that this answers.
    pub request: StatementId,
    /// When it was said.
    pub time: Time,
}

impl Statement for ClosedUnused {
    const KIND: Kind = Kind::Status;
}

impl Encode for ClosedUnused {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cid)
            .put_item(2, &self.slot)
            .put(3, "closed-unused")
            .put_item(4, &self.request)
            .put_item(6, &self.time)
            .build()
    }
}

impl Decode for ClosedUnused {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, slot) = (fields.item(1, "cid")?, fields.item(2, "slot")?);
        let name = fields.text(3, "state", 16)?;
        if name != "closed-unused" {
            return Err(DecodeError::field("state", Problem::Unknown { what: "state", found: name }));
        }
        let status = Self { cid, slot, request: fields.item(4, "request")?, time: fields.item(6, "time")? };
        fields.close()?;
        Ok(status)
    }
}

/// What the arbiter answers to a request.
///
/// ```text
/// answer = { 0: 1, 1: signed verdict or status, 2: [* signed promise], ? 3: log receipt }     ; 3 with a verdict
/// ```
/// The promises come with the verdict "resolved": an originator that asked for an abort may not have seen the responder's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArbiterAnswer {
    /// A signed [`Verdict`] or [`ClosedUnused`].
    pub statement: Signed,
    /// Both promises if the contract is resolved; else nothing.
    pub promises: Vec<Signed>,
    /// Proof that the verdict stands in the arbiter's log.
    pub log: Option<LogReceipt>,
}

impl Encode for ArbiterAnswer {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.statement)
            .put_list(2, &self.promises)
            .put_some(3, self.log.as_ref().map(Encode::to_value))
            .build()
    }
}

impl Decode for ArbiterAnswer {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (statement, promises) = (fields.item(1, "statement")?, fields.list(2, "promises", 2)?);
        let answer = Self { statement, promises, log: fields.optional_item(3, "log receipt")? };
        fields.close()?;
        Ok(answer)
    }
}
