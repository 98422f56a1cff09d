//! Accounts: a bank that keeps them, payers who authorise, payees who capture.
//!
//! | file | what |
//! |---|---|
//! | [`number`] | account numbers, and the address that money is sent to |
//! | [`payment`] | a payment with hidden data: details, instruction, token |
//! | [`request`] | what account holders ask |
//! | [`answer`] | what the bank says, signed |
//! | [`problem`] | how the bank refuses |
//! | [`module`] | payer and payee: the parties' half |
//! | [`proof`] | what proves a payment to a stranger |
//! | [`funding`] | an account as a mint's till |
//! | [`bank`] | the bank: decisions over an archive, and its HTTP |
//!
//! Start reading at [`payment`]. Source: `spec/account.md`; DESIGN §7; iKP (Bellare and others, 1995) and SET for the dual signature.

pub mod answer;
#[cfg(feature = "services")]
pub mod bank;
mod client;
#[cfg(feature = "services")]
pub mod funding;
pub mod module;
pub mod number;
pub mod payment;
pub mod problem;
pub mod proof;
pub mod request;
mod taken;

/// The name of this payment system.
pub const SYSTEM: &str = "account";
