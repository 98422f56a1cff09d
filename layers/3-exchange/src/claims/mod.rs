//! Claims and their judgement: what can be said about a deal, and whether the evidence proves it.
//!
//! A [`Claim`] is a statement that knows nothing of protocols: "the buyer paid at least 20.00 EUR before that day". The [`rules`] say which
//! pieces of evidence prove or refute it, in words that are hashed. [`judge`] applies them to a [`Case`]: the folders of one deal,
//! whoever has kept them. It is a pure function, so whoever doubts a [`Decision`] runs it again: another result proves the decision wrong.
//!
//! The evidence itself is checked in one place, [`evidence::examine`](crate::evidence::examine); nothing here looks at a signature of it.
//!
//! Source: `spec/claims.md` (design/exchange.md §11).

mod case;
mod claim;
mod decision;
mod judge;
pub mod rules;
mod standard;
#[cfg(test)]
mod tests;
mod text;

pub use case::{Case, CaseError, FOLDERS_MAX, Policy, Revocation, Sunset};
pub use claim::{Actor, Claim, Did, Interval, JOINED_MAX, NESTING_MAX, Period, STATEMENTS_MAX, Verb};
pub use decision::{CLAIMS_MAX, Decision, Ground, Misconduct, Outcome, Ruling, SignedDecision, Uncheckable};
pub use judge::{bind, decide, judge};
pub use rules::rules_hash;
pub use standard::{Position, Positions, Question, called, called_in, positions, questions};
pub use text::{TEXT_MAX, TextError, time};
