//! C2: two parties sign a contract, both or neither.
//!
//! ```text
//! 1 O→R  promise of O          both promises bind the same core
//! 2 R→O  promise of R          (names the promise of O)
//! 3 O→R  final of O            (names both promises)
//! 4 R→O  final of R
//! ```
//! Either party may give up at any moment and end the run alone, with the arbiter: the originator *aborts* as long as its final has
//! not been prepared, both *resolve* once they hold both promises. Four hard rules: the originator never sends its final after asking
//! for an abort; it never asks for an abort after its final was asked to be signed; once the arbiter was asked, only its verdict moves
//! the state, and a late message is kept but not acted on; one contract is run once, ever.
//!
//! [`C2`] is the machine of both roles, [`Message`] what travels, [`Run`] what both know before message 1.
//!
//! Source: `spec/c2.md` (design/exchange.md §3.2), after Asokan, Shoup and Waidner 1998 with the corrections of §0.8.

mod message;
mod run;
mod state;
#[cfg(test)]
mod tests;

pub use message::Message;
pub use run::{Run, RunError};
pub use state::{C2, C2Error, DEADLINE, PATIENCE, RUN_SPACE};
