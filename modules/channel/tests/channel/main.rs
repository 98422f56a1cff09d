//! The channel over real sockets: what arrives, what is refused, and what a sender may believe.
//!
//! Every server binds port 0 of the loopback. Nothing waits by sleeping: tests wait for the handler, for the end of a connection, or
//! as long as a server's own `Retry-After` says.

#![allow(clippy::unwrap_used)]

mod inbox;
mod post;
mod relay;
mod server;
mod submission;
mod support;
