//! Certificates, requests, revocation lists and contact cards, held against the `openssl` command and against those who cheat.

#![allow(clippy::unwrap_used, missing_docs)]

mod card;
mod foreign;
mod mutation;
mod openssl;
mod path;
mod register;
mod support;
mod timestamp;
