//! Liability covers: a guarantor certifies for one contract that it stands for a party, up to an amount and until a date.
//!
//! The customer of a guarantor agrees to limits once and asks for a cover per contract; whoever makes the contract with it checks the cover by itself
//! ([`check()`]) and needs to know nothing of the customer but the keys that sign the contract. The guarantor sees a hash of the contract, no more, unless
//! somebody claims or releases. What it has certified it pays, whatever becomes of the customer's keys.
//!
//! It never promises more for a customer than the limit that the customer has signed, and it never takes back what somebody may rely on: only whom the
//! cover is for gives it up, or what shows that nothing is owed, or its date.
//!
//! Start reading at [`statement`], then [`register`]. Source: `spec/cover.md` (design/exchange.md §10).

pub mod check;
pub mod debt;
pub mod register;
pub mod statement;

pub use check::{Demand, NotCovered, check};
pub use debt::{Debt, Opened, Unopened};
pub use register::{Account, Closed, Refusal, Standing};
pub use statement::{
    Agreement, Cover, CoverClaim, CoverFile, CoverId, CoverRelease, CoverRequest, CoverRuling, Outcome, Submission,
    cover_tag,
};
