//! How an arbiter processes one request: pure functions in the order in which a service calls them.
//!
//! 1. [`Case::check`] the request.
//! 2. Read the cell.
//! 3. [`decide`].
//! 4. Have the draft signed.
//! 5. Store cell, request, verdict and log leaf in one commit.
//! 6. Only then answer.
//!
//! If the commit finds the cell taken, another request was first: answer with what stands.
//!
//! Invariant: no answer leaves before the commit that holds it is durable (flaw F4 shows what happens otherwise).

use semper_core::cose::Draft;
use semper_core::cose::Statement;
use semper_core::party::KeySet;
use semper_core::time::Time;

use super::request::Case;
use super::verdict::{ClosedUnused, Outcome, Verdict};
use super::{Ruling, rule};

/// Name of the fact space that holds verdicts, keyed by [`cell_key`].
pub const VERDICT_SPACE: &str = "verdict";

/// The register's key of a case: `cid ‖ slot (2 bytes, big-endian)`.
pub fn cell_key(case: &Case) -> Vec<u8> {
    [case.cid().as_bytes().as_slice(), &case.slot().0.to_be_bytes()].concat()
}

/// What the service does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Answer with the verdict that stands in the cell, byte for byte.
    AnswerStored,
    /// Sign this verdict, store it, then answer with it.
    SignAndStore(Draft),
    /// Sign this status and answer with it; the register is not changed.
    SignAndAnswer(Draft),
}

/// Decides what to do about a valid request, given the cell and the next free place in the log.
pub fn decide(cell: Option<Outcome>, case: &Case, arbiter: &KeySet, log_index: u64, now: Time) -> Next {
    match rule(cell, case, now) {
        Ruling::Stands => Next::AnswerStored,
        Ruling::Write(outcome) => {
            let (cid, slot, basis) = (case.cid(), case.slot(), case.basis().to_vec());
            let verdict = Verdict { cid, slot, outcome, basis, time: now, log_index };
            Next::SignAndStore(verdict.draft(arbiter.suite(), arbiter.id()))
        }
        Ruling::TooLate => {
            let status = ClosedUnused { cid: case.cid(), slot: case.slot(), request: case.question(), time: now };
            Next::SignAndAnswer(status.draft(arbiter.suite(), arbiter.id()))
        }
    }
}
