//! Semper: fair deals between parties who do not trust each other, with proof that a stranger can check.
//!
//! One binary: a party's node ([`node`]) with its command line ([`commands`]), and every third party as a role ([`roles`]).
//! [`party`] puts a party together from the layers and modules below. The keys stay behind [`vault`]; the command line talks to a
//! node through [`control`].

#![expect(unreachable_pub, reason = "a binary has no outside: `pub` marks what other rooms of it use")]

mod commands;
mod control;
mod home;
mod node;
mod orders;
mod party;
mod policy;
mod roles;
mod secrets;
mod shop;
mod vault;
mod wallet;

use std::process::ExitCode;

// The seeded mistakes of the model checks must never be in a binary.
const _: () = assert!(!semper_support::flaws::COMPILED_IN, "build semper without the feature `flaws`");

fn main() -> ExitCode {
    commands::main()
}
