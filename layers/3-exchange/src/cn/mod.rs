//! CN: three to eight parties sign one contract, all or none.
//!
//! ```text
//! round 1      every party sends its signature on round 1 to all others
//! round r      whoever holds all signatures of round r - 1 sends its own on round r to all others
//! end          all signatures of round K are the contract; K = N + 1
//! ```
//! All signatures of one round are a *sheet*. Who waits in vain in round r asks the arbiter, once, with the sheet of round r - 1 (in round
//! 1 with nothing), and from then on only the arbiter's verdict moves it. The arbiter refuses unless the sheet shows that everybody whom
//! it has refused before has gone on signing, which an honest party does not. Each refusal needs another party and raises the
//! round by one at most, so an honest party is refused in round N at the latest; it has then not signed round N + 1.
//! With N rounds the scheme is unfair (flaw N1).
//!
//! Everybody sends to everybody; `Effect::Send` of this machine means "to every other party of the deal". A relay that passes messages on
//! is only network.
//!
//! A party that is ahead of us has all our signatures up to our last round, so it is one round ahead at most: its signature is kept until
//! our own round is complete. Refusing it, so that its sender tries again, would cost a pause in every round. What is further ahead no honest
//! party signs; it is kept as evidence and not acted on. So two rounds are kept, which bounds a state.
//!
//! Nobody is asked to sign before the originator has: an originator is who it says to be when its signature is there.
//!
//! [`Cn`] is the machine of every role, [`Circle`] who signs what, [`crate::arbiter::many`] the arbiter's side.
//!
//! Source: `spec/cn.md` (design/exchange.md §3.3), after Baum-Waidner and Waidner 2000; the arbiter's rule is checked in `sim/src/model/cn.rs`.

mod circle;
mod machine;
mod message;
mod run;
mod state;
#[cfg(test)]
mod tests;

pub use circle::{Circle, CircleError, ROUNDS_MAX, Round, SIGNERS_MAX, SIGNERS_MIN, rounds};
pub(crate) use circle::{in_range, round_field};
pub use machine::{DEADLINE, PATIENCE};
pub use message::Message;
pub use run::{Run, RunError};
pub use state::{Cn, CnError, State};
