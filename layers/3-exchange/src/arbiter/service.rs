//! How an arbiter processes one request: pure functions in the order in which a service calls them.
//!
//! 1. [`Court::check`](super::request::Court::check) the request.
//!    Whoever gives money and resolves has its token confirmed by the issuer.
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
use semper_core::ids::StatementId;
use semper_core::party::KeySet;
use semper_core::time::Time;

use super::request::Case;
use super::verdict::{ClosedUnused, Closing, Verdict};
use super::{Cell, Ruling, rule};

/// Name of the fact space that holds verdicts, keyed by [`cell_key`].
pub const VERDICT_SPACE: &str = "verdict";
/// Name of the fact space that holds closings, keyed by [`cell_key`].
pub const CLOSING_SPACE: &str = "closing";

/// The register's key of a case: `cid ‖ slot (2 bytes, big-endian)`.
pub fn cell_key(case: &Case) -> Vec<u8> {
    [case.cid().as_bytes().as_slice(), &case.slot().0.to_be_bytes()].concat()
}

/// What the service does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Answer with what stands in the cell, byte for byte.
    AnswerStored,
    /// Sign this verdict, store it, then answer with it.
    SignAndStore(Draft),
    /// Sign this closing, store it under [`CLOSING_SPACE`], then answer with it beside the verdict that stands.
    SignAndClose(Draft),
    /// Sign this status and answer with it; the register is not changed.
    SignAndAnswer(Draft),
    /// Refuse: nothing has been decided that could be settled.
    Refuse,
}

/// Decides what to do about a valid request, given the cell, the verdict that stands in it, and the next free place in the log.
pub fn decide(cell: Option<(Cell, StatementId)>, case: &Case, arbiter: &KeySet, log_index: u64, now: Time) -> Next {
    let (cid, slot) = (case.cid(), case.slot());
    let stands = cell.map(|(_, verdict)| verdict);
    match (rule(cell.map(|(cell, _)| cell), case, now), stands) {
        (Ruling::Write(outcome), _) => {
            let verdict =
                Verdict { cid, slot, outcome, basis: case.basis().to_vec(), prior: Vec::new(), time: now, log_index };
            Next::SignAndStore(verdict.draft(arbiter.suite(), arbiter.id()))
        }
        (Ruling::Close(outcome), Some(verdict)) => {
            let basis = vec![case.question()];
            let closing = Closing { cid, slot, outcome, basis, verdict, time: now, log_index };
            Next::SignAndClose(closing.draft(arbiter.suite(), arbiter.id()))
        }
        (Ruling::TooLate, _) => {
            let status = ClosedUnused { cid, slot, request: case.question(), time: now };
            Next::SignAndAnswer(status.draft(arbiter.suite(), arbiter.id()))
        }
        (Ruling::Early, _) => Next::Refuse,
        (Ruling::Stands | Ruling::Close(_), _) => Next::AnswerStored,
    }
}
