//! A vault from outside: over its sockets, with a node that does what it likes, and as a process that is killed.

#![allow(clippy::unwrap_used)]
#![expect(unreachable_pub, reason = "a test binary has no outside: `pub` marks what other modules use")]

mod mandate;
mod node;
mod process;
mod user;
mod world;
