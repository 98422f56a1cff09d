//! The program `semper`: the command line over the library of the same name.

#![expect(unreachable_pub, reason = "a binary has no outside: `pub` marks what other rooms of it use")]

mod commands;

use std::process::ExitCode;

use semper::{backup, bench, control, home, now, party, policy, roles, sale, secrets, stamp, vault};

fn main() -> ExitCode {
    commands::main()
}
