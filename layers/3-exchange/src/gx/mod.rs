//! GX: two parties exchange two items, both or neither. Where both items are signatures it is C2, contract signing.
//!
//! ```text
//! 1 O→R  promise of O, deposit of O          both promises bind the same core
//! 2 R→O  promise of R, deposit of R          (names the promise of O)
//! 3 O→R  final of O, item of O               (names both promises)
//! 4 R→O  final of R, item of R
//! ```
//! An item is a signature, information, money, a right that is shown by a signature, or one that is passed on ([`Leg`]). A deposit is what makes the arbiter able to give the item in the place of
//! its owner, or to send it back: nothing for a signature, which the arbiter's verdict replaces; a wrapped key for information, which stands
//! in the contract itself; a token under a lock for money, which travels with the promise; for a right what its issuer keeps for this contract, which does too. Each side checks the other's deposit before it
//! gives anything: to whom and how is the business of the payment block and of [`crate::goods`], asked for by effects.
//!
//! Either party may give up at any moment and end the run alone, with the arbiter: the originator *aborts* as long as its item has
//! not been prepared, both *resolve* once they hold both promises, the recipient of bad information *complains*. Whoever has locked money
//! *settles*: the arbiter, which has ruled, signs where it goes. Four hard rules: the originator never sends its final after asking
//! for an abort; it never asks for an abort after its item or final was asked for; once the arbiter was asked, only its verdict moves
//! the state, and a late message is kept but not acted on; one contract is run once, ever.
//!
//! Money may also be paid by plain transfer, for the responder's signature: nobody but its payer can give it, so it goes in message 3, its payer resolves with
//! the issuer's proof of the payment, in time, and its payee neither aborts nor resolves.
//!
//! A right is passed on at its issuer, in message 3, for money by plain transfer in message 4. Nobody aborts: nothing binds before the right is passed on. Whoever
//! has paid and gets no quittance shows the arbiter the proof, in time; whoever is not paid has the right called back, after that time.
//!
//! A contract with several recipients is a run of its own for each of them, in a part of the contract that its slot names: the originator's promise
//! is one statement for all, everything else is of one part. So its run is begun for all parts at once, and only its user's refusal ends it before it
//! has promised.
//!
//! [`Gx`] is the machine of both roles, [`Message`] what travels, [`Run`] what both know before message 1.
//!
//! Source: `spec/gx.md`, `spec/c2.md` (design/exchange.md §§3.2, 3.4, 5.5), after Asokan, Schunter and Waidner 1997 and Asokan, Shoup and Waidner
//! 1998 with the corrections of §0.8.

mod items;
mod machine;
mod message;
mod right;
mod run;
mod show;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transfer_tests;

pub use items::{
    Decides, Handed, HandsDeposit, ItemsError, Leg, LockDeposit, Price, Transfer, TransferDeposit, earliest_recall,
    earliest_refund, last_payment, originators_refund, paid_out_until, parts, pay_until, responder, responders_refund,
    revoke_from, revoke_until,
};
pub(crate) use items::{complaints_until, is_paid};
pub use machine::{DEADLINE, PATIENCE, REFUND, RUN_SPACE, WINDOW};
pub use message::{Completed, Examination, Examined, Found, Message, PROOF_MAX, Promised};
pub(crate) use message::{REASON_MAX, cut};
pub use right::Right;
pub(crate) use run::place;
pub use run::{Own, Run, RunError};
pub use show::{Kept, Show};
pub use state::{Due, Gx, GxError, Question, State};
