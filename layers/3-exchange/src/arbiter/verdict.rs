//! What the arbiter says.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::ids::{Cid, Slot, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{SignatureError, Verified, Verify, verify};
use semper_core::time::Time;
use semper_support::engine::{Effect, EvidenceKind};
use semper_transfer::payment::operation::HANDOVER_MAX;

use super::log::LogReceipt;
use super::many::Asker;
use crate::cn::SIGNERS_MAX;
use crate::gx::{Message, Promised};

/// How a contract was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Nobody is bound.
    Aborted,
    /// The contract is complete: the verdict stands in the place of both finals.
    Resolved,
    /// This party's item is provably not what was promised. Nobody is bound to pay for it.
    Fault(Role),
    /// Nothing has come for the right that was passed on: its issuer is to call it back. Nobody is bound.
    Revoked,
}

/// The last word on a contract that was completed subject to complaints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClosingOutcome {
    /// Nobody has complained with reason.
    Completed,
    /// This party's item is provably not what was promised.
    Fault(Role),
}

/// The arbiter's decision about one cell.
///
/// ```text
/// verdict = { 0: 1, 1: cid, 2: slot, 3: "aborted" / "resolved" / "fault" / "revoked", 4: [+ statement id], 5: [* asker], 6: time, 7: log index, ? 8: role }
/// asker   = [role, round]
/// ```
/// 4 is the basis: the request and the promises or signatures it rests on. 5 is what stood before: who had asked and was refused, where many
/// parties sign; a cell of two parties was empty. 8 is whose fault.
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
    /// Who had asked before and was refused, where many parties sign; in the order of the roles.
    pub prior: Vec<Asker>,
    /// When it was decided, by the arbiter's clock.
    pub time: Time,
    /// The place of the verdict in the arbiter's log, from 0.
    pub log_index: u64,
}

/// The arbiter's last word on a cell that it has resolved subject to complaints.
///
/// ```text
/// closing = { 0: 1, 1: cid, 2: slot, 3: "completed" / "fault", 4: [+ statement id], 5: verdict, 6: time, 7: log index, ? 8: role }
/// ```
/// 4 is the basis: the request, and nothing else; 5 is the statement id of the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Closing {
    /// The contract.
    pub cid: Cid,
    /// The part of the contract.
    pub slot: Slot,
    /// The decision.
    pub outcome: ClosingOutcome,
    /// The request that it rests on.
    pub basis: Vec<StatementId>,
    /// The verdict that it closes.
    pub verdict: StatementId,
    /// When it was decided, by the arbiter's clock.
    pub time: Time,
    /// The place of the closing in the arbiter's log, from 0.
    pub log_index: u64,
}

impl Statement for Verdict {
    const KIND: Kind = Kind::Verdict;
}

impl Statement for Closing {
    const KIND: Kind = Kind::Closing;
}

impl Encode for Verdict {
    fn to_value(&self) -> Value {
        let (name, fault) = match self.outcome {
            Outcome::Aborted => ("aborted", None),
            Outcome::Resolved => ("resolved", None),
            Outcome::Fault(role) => ("fault", Some(role.to_value())),
            Outcome::Revoked => ("revoked", None),
        };
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cid)
            .put_item(2, &self.slot)
            .put(3, name)
            .put_list(4, &self.basis)
            .put_list(5, &self.prior)
            .put_item(6, &self.time)
            .put(7, self.log_index)
            .put_some(8, fault)
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
            "revoked" => Outcome::Revoked,
            "fault" => Outcome::Fault(fields.item(8, "whose fault")?),
            _ => return Err(DecodeError::field("outcome", Problem::Unknown { what: "outcome", found: name })),
        };
        let (basis, prior) = (fields.list(4, "basis", 1 + SIGNERS_MAX)?, fields.list(5, "prior", SIGNERS_MAX - 1)?);
        let (time, log_index) = (fields.item(6, "time")?, fields.uint(7, "log index")?);
        fields.close()?;
        Ok(Self { cid, slot, outcome, basis, prior, time, log_index })
    }
}

impl Encode for Closing {
    fn to_value(&self) -> Value {
        let (name, fault) = match self.outcome {
            ClosingOutcome::Completed => ("completed", None),
            ClosingOutcome::Fault(role) => ("fault", Some(role.to_value())),
        };
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cid)
            .put_item(2, &self.slot)
            .put(3, name)
            .put_list(4, &self.basis)
            .put_item(5, &self.verdict)
            .put_item(6, &self.time)
            .put(7, self.log_index)
            .put_some(8, fault)
            .build()
    }
}

impl Decode for Closing {
    const BYTES_MAX: usize = 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, slot) = (fields.item(1, "cid")?, fields.item(2, "slot")?);
        let name = fields.text(3, "outcome", 16)?;
        let outcome = match name.as_str() {
            "completed" => ClosingOutcome::Completed,
            "fault" => ClosingOutcome::Fault(fields.item(8, "whose fault")?),
            _ => return Err(DecodeError::field("outcome", Problem::Unknown { what: "outcome", found: name })),
        };
        let closing = Self {
            cid,
            slot,
            outcome,
            basis: fields.list(4, "basis", 8)?,
            verdict: fields.item(5, "verdict")?,
            time: fields.item(6, "time")?,
            log_index: fields.uint(7, "log index")?,
        };
        fields.close()?;
        Ok(closing)
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
/// answer = { 0: 1, 1: signed verdict or status, 2: [* promised], ? 3: log receipt, ? 4: signed closing, ? 5: its log receipt,
///            ? 6: signed key attestation, 7: authorisation }
/// ```
/// The promises come with the verdict "resolved": an originator that asked for an abort may not have seen the responder's, and with them
/// the token of locked money. 6 opens information for the party that gets it. 7 lets go of locked money, and is empty if it was not asked for or
/// if it is not due.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArbiterAnswer {
    /// A signed [`Verdict`] or [`ClosedUnused`].
    pub statement: Signed,
    /// Both promises if the contract is resolved; else nothing.
    pub promises: Vec<Promised>,
    /// Proof that the verdict stands in the arbiter's log.
    pub log: Option<LogReceipt>,
    /// A signed [`Closing`], and the proof that it stands in the log.
    pub closing: Option<(Signed, LogReceipt)>,
    /// A signed [`crate::goods::KeyAttestation`].
    pub attestation: Option<Signed>,
    /// For the payment block.
    pub authorisation: Vec<u8>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The contract's time is over, and nobody has asked before.
    Unused,
    /// Nobody is bound.
    Aborted,
    /// The contract is complete.
    Resolved {
        /// When that was decided.
        time: Time,
        /// What the verdict rests on.
        basis: Vec<StatementId>,
    },
    /// This party's item is provably not what was promised.
    Fault(Role),
    /// The right that was passed on is to be called back.
    Revoked,
}

/// Why an answer says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// A statement in it is not the arbiter's.
    #[error("the {part} is not acceptable: {error}")]
    Signature {
        /// Which.
        part: &'static str,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// A statement in it is about something else.
    #[error("the {0} is about another contract or request")]
    Foreign(&'static str),
}

impl ArbiterAnswer {
    /// An answer that is one statement.
    pub fn of(statement: Signed) -> Self {
        let promises = Vec::new();
        Self { statement, promises, log: None, closing: None, attestation: None, authorisation: Vec::new() }
    }

    /// Checks the arbiter's statements about a part of a contract, and says what they come to. `asked` is the request that was made.
    ///
    /// # Errors
    /// [`AnswerError`]: the arbiter has not answered.
    pub fn read(
        &self,
        verifier: &dyn Verify,
        arbiter: &KeySet,
        (cid, part): (Cid, Slot),
        asked: StatementId,
    ) -> Result<Decision, AnswerError> {
        let wrong = |part| move |error| AnswerError::Signature { part, error };
        if self.statement.kind() == Kind::Status {
            let status: Verified<ClosedUnused> = verify(verifier, arbiter, &self.statement).map_err(wrong("status"))?;
            let status = status.statement();
            let ours = (status.cid, status.slot, status.request) == (cid, part, asked);
            return if ours { Ok(Decision::Unused) } else { Err(AnswerError::Foreign("status")) };
        }
        let verdict: Verified<Verdict> = verify(verifier, arbiter, &self.statement).map_err(wrong("verdict"))?;
        let id = verdict.id();
        let verdict = verdict.statement();
        if (verdict.cid, verdict.slot) != (cid, part) {
            return Err(AnswerError::Foreign("verdict"));
        }
        if let Some((closing, _)) = &self.closing {
            let closing: Verified<Closing> = verify(verifier, arbiter, closing).map_err(wrong("closing"))?;
            let closing = closing.statement();
            if (closing.cid, closing.slot, closing.verdict) != (cid, part, id) {
                return Err(AnswerError::Foreign("closing"));
            }
            if let ClosingOutcome::Fault(role) = closing.outcome {
                return Ok(Decision::Fault(role));
            }
        }
        Ok(match verdict.outcome {
            Outcome::Aborted => Decision::Aborted,
            Outcome::Resolved => Decision::Resolved { time: verdict.time, basis: verdict.basis.clone() },
            Outcome::Fault(role) => Decision::Fault(role),
            Outcome::Revoked => Decision::Revoked,
        })
    }

    /// What of it proves something later.
    pub fn evidence(&self) -> Vec<Effect> {
        let closing = self.closing.iter().map(|(closing, _)| closing);
        let signed = [&self.statement].into_iter().chain(closing).chain(&self.attestation);
        let logs = self.log.iter().chain(self.closing.iter().map(|(_, receipt)| receipt));
        let logs = logs.map(|log| Effect::Keep { kind: EvidenceKind::LogReceipt, bytes: log.to_bytes() });
        signed.map(Effect::keep).chain(logs).collect()
    }
}

impl Encode for ArbiterAnswer {
    fn to_value(&self) -> Value {
        let closing = self.closing.as_ref();
        record()
            .put(0, 1_u64)
            .put_item(1, &self.statement)
            .put_list(2, &self.promises)
            .put_some(3, self.log.as_ref().map(Encode::to_value))
            .put_some(4, closing.map(|(closing, _)| closing.to_value()))
            .put_some(5, closing.map(|(_, log)| log.to_value()))
            .put_some(6, self.attestation.as_ref().map(Encode::to_value))
            .put_bytes(7, &self.authorisation)
            .build()
    }
}

impl Decode for ArbiterAnswer {
    const BYTES_MAX: usize = 2 * Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (statement, promises) = (fields.item(1, "statement")?, fields.list(2, "promises", 2)?);
        let log = fields.optional_item(3, "log receipt")?;
        let closing: (Option<Signed>, Option<LogReceipt>) =
            (fields.optional_item(4, "closing")?, fields.optional_item(5, "its log receipt")?);
        let attestation = fields.optional_item(6, "attestation")?;
        let authorisation = fields.bytes(7, "authorisation", HANDOVER_MAX)?;
        fields.close()?;
        let closing = match closing {
            (Some(closing), Some(receipt)) => Some((closing, receipt)),
            (None, None) => None,
            _ => return Err(DecodeError::field("closing", Problem::OutOfRange("it comes with its log receipt"))),
        };
        Ok(Self { statement, promises, log, closing, attestation, authorisation })
    }
}
