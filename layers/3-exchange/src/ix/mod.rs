//! IX: money for money through the hands of the arbiter, where nobody can lock, produce or call back either of them.
//!
//! ```text
//! 1 O→R  promise of O
//! 2 R→O  promise of R                       (both promises bind the same core; names the promise of O)
//! 3 X→T  how does it stand?                 each for itself, with both promises
//!   T→X  T's requests for both deposits     (its promise to take part: before it, nobody pays)
//!   X    pays T, as T has asked, with its own purse
//! 4 X→T  deposit: the token                 T takes it at its issuer
//!   T→X  T's receipt
//! 5 X→T  how does it stand?                 T answers when it has decided
//!   T→X  the verdict, and T's payment: the peer's money if T has had both deposits in time, its own if not
//! ```
//! This exchange is not optimistic: the arbiter takes both items, so both parties trust it with their money and not only with its word. It is done only
//! where both agree to that, by the profile of their contract. Nothing depends on a clock: whoever pays late is paid back, either party may abort until the arbiter has
//! both deposits, and the arbiter's first decision stands.
//!
//! Three hard rules: nobody pays before the arbiter has asked it to; whoever has paid believes that it is off only by the arbiter's verdict, or by its own money in
//! its purse; it takes its payment back at its issuer only where the arbiter has said that it has not taken it, or has said nothing in the contract's time.
//!
//! [`Ix`] is the machine of both roles. Messages between the parties are those of GX ([`Message`](crate::gx::Message)), of which two are used: promises and
//! declines. The arbiter's side is [`crate::arbiter::hands`]. What both know before message 1 is a [`Run`](crate::gx::Run).
//!
//! Source: `spec/ix.md` (design/exchange.md §3.4.4), after the in-line third parties of Bürk and Pfitzmann 1990.

mod machine;
mod state;
#[cfg(test)]
mod tests;

pub use state::{Ix, Question, Stake, State};
