//! The arbiter: a write-once register of verdicts, one cell per contract (and slot).
//!
//! A cell is empty, then it holds one verdict for ever; the first valid request decides and every later one gets the same bytes.
//! [`rule`] is the whole decision: pure, public, and named by its hash in every contract, so that a verdict that does not follow
//! from its basis is provably wrong. The arbiter is asked only when something went wrong; on the happy path it hears nothing.
//!
//! A contract that many parties sign has a record instead: [`many`]. One whose money goes through the arbiter's hands has a record beside its cell: [`hands`].
//!
//! Who may ask, and with what: [`request`]. What is answered: [`verdict`]. How a service processes one request (verify, read the
//! cell, rule, sign, store, only then answer) is in [`service`]; how everybody can watch it is in [`log`].
//!
//! Source: `spec/arbiter.md` (design/exchange.md §6).

pub mod hands;
pub mod log;
pub mod many;
pub mod request;
pub mod service;
pub mod verdict;

use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::time::Time;

use crate::gx::revoke_from;
use request::{Asked, Case};
use semper_support::flaws::{self, Flaw};
use semper_transfer::payment::statement::Side;
use verdict::{ClosingOutcome, Outcome};

/// The rules, word for word as they are hashed. Contracts name the hash, so that rules cannot change under a running contract.
pub const RULES: &str = "semper arbiter rules 7\n\
    cell: one per contract and slot; empty, aborted, resolved, revoked or fault; written once\n\
    closing: one per resolved cell of a contract with complaints; empty, completed or fault; written once\n\
    abort: by the originator, with its promise; empty -> aborted\n\
    resolve: by a party, with both promises, and with a good token if it gives money, \
    and with the issuer's reservation for this contract if the responder shows a right; empty -> resolved, \
    or fault of a party whose deposit of information nobody can open\n\
    money by plain transfer: resolve by its payer only, with a proof that its payee was paid all of it for the request in the contract\n\
    right passed on for money by plain transfer: nobody aborts; the cell closes at refund-after less delta and sigma, in the place of not-after\n\
    revocation: by the originator of such a contract, with both promises, after not-after and sigma; empty -> revoked\n\
    complaint: by who gives money for information, with both promises and a proof that holds; \
    empty -> fault; resolved, within the time for complaints -> closing fault\n\
    time for complaints: until not-after and the span of the contract for complaints, whenever it was resolved\n\
    settlement: aborted, fault, or empty after not-after: to the payer; \
    resolved, after the time for complaints -> closing completed: to the payee\n\
    inquiry: by a party, with the promises that it has, or none; decides nothing; empty -> no answer until not-after\n\
    decided cell: every valid request gets what stands, byte for byte\n\
    first request after not-after, where the cell closes: refused, the cell stays empty for ever\n\
    contract of many parties: one cell per party and one record of who has asked in which round and was refused; \
    no abort, resolve, complaint or settlement\n\
    ask: by a party in round 1, or in a later round with all signatures of the round before\n\
    asked before: the same verdict; resolved before: that verdict\n\
    round 2 or later, and everybody who was refused has asked in an earlier round than the one of the signatures: resolved\n\
    otherwise: aborted\n\
    contract through the arbiter's hands: no resolve, complaint, settlement or revocation; \
    the arbiter asks both parties for their deposits, and asks nobody whose contract's time is over\n\
    deposit: by a party, with both promises; its token is taken unless the contract is decided; \
    the second one that is taken, until not-after -> resolved, and both are paid on\n\
    abort or any question after not-after, by a party, with both promises; empty -> aborted, and what was taken, or is taken later, is paid back\n";

/// The hash of [`RULES`].
pub fn rules_hash() -> Digest {
    Digest::of(domain::RULES, RULES.as_bytes())
}

/// What the register holds for a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The decision.
    pub outcome: Outcome,
    /// When it was made.
    pub time: Time,
    /// The last word, if there is one.
    pub closing: Option<ClosingOutcome>,
}

/// What the arbiter does about a valid request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The cell is decided: answer with what stands.
    Stands,
    /// The cell is empty: write this outcome.
    Write(Outcome),
    /// The cell is resolved and not closed: close it.
    Close(ClosingOutcome),
    /// The cell is empty and the contract's time is over: it stays empty.
    TooLate,
    /// The cell is empty, and the request can only follow a decision.
    Early,
}

/// Rules on a verified request. `cell` is what the register holds for the contract, if anything.
pub fn rule(cell: Option<Cell>, case: &Case, now: Time) -> Ruling {
    let early = flaws::active(Flaw::EarlyRevocation);
    match (cell, case.asked()) {
        (Some(Cell { outcome: Outcome::Aborted, .. }), Asked::Resolve { .. })
            if flaws::active(Flaw::ResolveAfterAbort) =>
        {
            Ruling::Write(Outcome::Resolved)
        }
        (Some(Cell { outcome: Outcome::Resolved, closing: None, .. }), asked) => {
            let open = case.complaints_until().map(|until| now <= until);
            match (asked, open) {
                (Asked::Complain { about }, Some(true)) => Ruling::Close(ClosingOutcome::Fault(about)),
                (Asked::Settle { side: Side::Payee }, Some(false)) => Ruling::Close(ClosingOutcome::Completed),
                _ => Ruling::Stands,
            }
        }
        (Some(_), _) => Ruling::Stands,
        (None, _) if now > case.closes() => Ruling::TooLate,
        (None, Asked::Revoke) if now > revoke_from(&case.core().terms.deadlines) || early => {
            Ruling::Write(Outcome::Revoked)
        }
        (None, Asked::Abort) => Ruling::Write(Outcome::Aborted),
        (None, Asked::Resolve { .. }) => Ruling::Write(case.unopenable().map_or(Outcome::Resolved, Outcome::Fault)),
        (None, Asked::Complain { about }) => Ruling::Write(Outcome::Fault(about)),
        (None, Asked::Settle { .. } | Asked::Revoke | Asked::Inquire) => Ruling::Early,
    }
}

/// The side that the locked money of a contract is due to, given what the register holds once the request has been ruled on. `None`: to
/// nobody yet. An empty cell is one whose time is over.
pub fn due(cell: Option<Cell>, case: &Case) -> Option<Side> {
    match cell {
        None => Some(Side::Payer),
        Some(Cell { outcome: Outcome::Aborted | Outcome::Fault(_) | Outcome::Revoked, .. }) => Some(Side::Payer),
        Some(Cell { outcome: Outcome::Resolved, closing, .. }) => match closing {
            Some(ClosingOutcome::Completed) => Some(Side::Payee),
            Some(ClosingOutcome::Fault(_)) => Some(Side::Payer),
            None if case.complaints_until().is_some() => None,
            None => Some(Side::Payee),
        },
    }
}
