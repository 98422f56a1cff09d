//! Accounts: a bank and its customers, over an archive in memory, with a clock that the test moves.

#![allow(clippy::unwrap_used, missing_docs)]

mod faults;
mod funding;
mod hidden;
mod holds;
mod http;
mod kit;
mod ledger;
mod locks;
mod proofs;
mod race;
mod sequences;
mod world;
