//! Modules of the payment block ([`semper_transfer::payment`]): payment systems, a folder each, both halves of each in one folder.
//!
//! | system | parties' half | third party's half |
//! |---|---|---|
//! | [`ecash`] | wallet | mint |
//! | [`account`] | payer and payee | bank |
//!
//! The parties' half is a [`semper_transfer::payment::Module`]: it computes, and touches neither network nor disk. The third
//! party's half decides over an archive and answers HTTP.

pub mod account;
pub mod ecash;
