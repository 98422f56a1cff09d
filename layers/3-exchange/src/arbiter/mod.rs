//! The arbiter: a write-once register of verdicts, one cell per contract (and slot).
//!
//! A cell is empty, then it holds one verdict for ever; the first valid request decides and every later one gets the same bytes.
//! [`rule`] is the whole decision: pure, public, and named by its hash in every contract, so that a verdict that does not follow
//! from its basis is provably wrong. The arbiter is asked only when something went wrong; on the happy path it hears nothing.
//!
//! Who may ask, and with what: [`request`]. What is answered: [`verdict`]. How a service processes one request (verify, read the
//! cell, rule, sign, store, only then answer) is in [`service`]; how everybody can watch it is in [`log`].
//!
//! Source: `spec/arbiter.md` (design/exchange.md §6).

pub mod log;
pub mod request;
pub mod service;
pub mod verdict;

use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::time::Time;

use request::{Asked, Case};
use semper_support::flaws::{self, Flaw};
use verdict::Outcome;

/// The rules, word for word as they are hashed. Contracts name the hash, so that rules cannot change under a running contract.
pub const RULES: &str = "semper arbiter rules 1\n\
    cell: one per contract and slot; empty, aborted or resolved; written once\n\
    abort: by the originator, with its promise; empty -> aborted\n\
    resolve: by a party, with both promises; empty -> resolved\n\
    decided cell: every valid request gets the verdict that stands, byte for byte\n\
    first request after not-after: refused, the cell stays empty for ever\n";

/// The hash of [`RULES`].
pub fn rules_hash() -> Digest {
    Digest::of(domain::RULES, RULES.as_bytes())
}

/// What the arbiter does about a valid request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The cell is decided: answer with the verdict that stands.
    Stands,
    /// The cell is empty: write this outcome.
    Write(Outcome),
    /// The cell is empty and the contract's time is over: it stays empty.
    TooLate,
}

/// Rules on a verified request. `cell` is the outcome that the register holds for the contract, if any.
pub fn rule(cell: Option<Outcome>, case: &Case, now: Time) -> Ruling {
    match (cell, case.asked()) {
        (Some(Outcome::Aborted), Asked::Resolve { .. }) if flaws::active(Flaw::ResolveAfterAbort) => {
            Ruling::Write(Outcome::Resolved)
        }
        (Some(_), _) => Ruling::Stands,
        (None, _) if now > case.core().terms.deadlines.not_after => Ruling::TooLate,
        (None, Asked::Abort) => Ruling::Write(Outcome::Aborted),
        (None, Asked::Resolve { .. }) => Ruling::Write(Outcome::Resolved),
    }
}
