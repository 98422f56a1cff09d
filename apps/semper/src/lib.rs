//! Semper: fair deals between parties who do not trust each other, with proof that a stranger can check.

#![expect(unreachable_pub, reason = "`pub` marks what other rooms of the house use")]

pub mod control;
pub mod home;
mod node;
mod orders;
pub mod party;
pub mod policy;
pub mod roles;
pub mod sale;
pub mod secrets;
mod shop;
mod vault;
mod wallet;

pub use node::now;

// The seeded mistakes of the model checks must never be in a binary.
const _: () = assert!(!semper_support::flaws::COMPILED_IN, "build semper without the feature `flaws`");
