//! Semper's vault: holds the keys of a party, shows what is to be signed, asks, signs, keeps a log.
//!
//! Whoever drives deals (the node) asks here for signatures and gets no key. What is asked of the user is rendered here, from the document
//! that is signed; what follows from an approved contract is decided here, from what the vault itself has seen.
//!
//! Start reading at [`rules`].

pub mod client;
pub mod confine;
pub mod decisions;
pub mod keys;
pub mod log;
pub mod policy;
pub mod process;
pub mod revocations;
pub mod rules;
pub mod serve;
pub mod sheet;
pub mod wire;

use semper_core::time::Time;

/// The present time. The one place of the vault that reads a clock.
pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_unix(since.as_secs())
}
