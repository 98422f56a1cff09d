//! LX: an item for money, both or neither, without an arbiter. One hash locks what both give.
//!
//! ```text
//! 1 O→R  promise of O; O's money under the hash, if O gives money
//! 2 R→O  promise of R; R's money under the hash                          (both promises bind the same core)
//!   O    takes R's money with the preimage, at its issuer
//! 3 O→R  the preimage: R takes O's money with it, or opens the information
//! ```
//! Only the originator knows the preimage, and it shows the preimage only to take the responder's money. Once it has, the responder cannot be
//! kept from it: the issuer, which was shown the preimage, tells it to the payer. If the originator does not take the money by `not_after`, the
//! responder has it back after `refund_after`; the originator's own money waits long enough after that for the responder to have asked
//! ([`crate::gx::originators_refund`]). No message needs to arrive between the parties, but both must reach the issuers in time: that is the
//! price of doing without an arbiter. A responder that sleeps between the two dates can lose.
//!
//! Three hard rules: the originator shows the preimage to nobody before the responder's money lies under the lock, and not after its last
//! step; it never says it to the responder before the money is taken; the responder asks the issuer before it believes that it got nothing.
//!
//! Information is delivered, and money paid, for certain; whether the information is what was promised nobody rules on. The responder that
//! got something else has proof of it, and no money back: where that is too little, the parties take an arbiter ([`crate::gx`]).
//!
//! [`Lx`] is the machine of both roles, [`Message`] what travels. What both know before message 1 is a [`Run`](crate::gx::Run).
//!
//! Source: `spec/lx.md` (design/exchange.md §§3.5, 5.4, 5.6), after Herlihy 2018 and the hash locks of NUT-14.

mod machine;
mod message;
mod state;
#[cfg(test)]
mod tests;

pub use message::Message;
pub use state::{Lx, State};
