//! The block of issued statements: a [`Credential`] gives its holder a right, by the word of its issuer. A ticket, a subscription, a membership.
//!
//! [`statement`] is what issuer and holder say to each other, signed. [`register`] holds the rules by which an issuer keeps its word: one
//! entry per serial number, so that nothing is passed on or used twice. Neither does I/O: an issuer's service stores what the rules give it, in
//! one commit, before it answers.
//!
//! A right is *shown* by a signature of its holder under a contract. If the credential has a number of uses, the issuer keeps one of them for
//! that contract first; the seller and the arbiter see that it does. Whoever has the show or the arbiter's verdict has it taken back.
//!
//! A right is *passed on* for ever, or under a contract whose arbiter may have it called back until a date ([`Condition`]).
//!
//! Source: `spec/credential.md` (design/exchange.md §5.2, §5.8).

pub mod register;
pub mod statement;

pub use statement::{
    Bundle, Condition, Credential, CredentialTransfer, Errand, FILE_MAX, NotGood, Reply, Reservation,
    ReservationRequest, Serial, Spend, Submission, Uses, Wanted, check_credential, check_reservation, use_tag,
};
