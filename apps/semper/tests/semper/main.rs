//! The binary from outside: real processes with data directories of their own, driven by the commands that a user types.
//!
//! Start reading at `world.rs`, which holds the parties and their processes.

#![allow(clippy::unwrap_used)]
#![expect(unreachable_pub, reason = "a test binary has no outside: `pub` marks what other modules use")]

mod access;
mod backup;
mod browser;
mod cheats;
mod commands;
mod cover;
mod crash;
mod credential;
mod demo;
mod desk;
mod examples;
mod in_line;
mod judge;
mod load;
mod mail;
mod mandate;
mod market;
mod money;
mod notice;
mod relay;
mod right;
mod sale;
mod sale_crash;
mod signers;
mod stamp;
mod submission;
mod swap;
mod tls;
mod token;
mod trade;
mod trade_crash;
mod tutorial;
mod verify;
mod window;
mod world;
