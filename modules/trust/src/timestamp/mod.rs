//! Time-stamps (RFC 3161, RFC 5816): an authority's signed word that something existed before a time.
//!
//! An authority sees SHA-256 of what it dates and nothing else. Its word says nothing about who made it: that is for the signatures
//! inside. [`Stamper`] is the authority, [`Request`] and [`Reply`] are what goes to and fro, [`Token`] is the word itself, checked as
//! far as it can be checked without trusting anybody, and [`Token::vouchers`] says whom one has to trust to believe it.
//!
//! Nothing here reads a clock or decides which serial numbers are free: that is for whoever runs the authority.
//!
//! Source: `spec/timestamp.md`.

mod der;
mod message;
mod stamper;
mod token;

pub use message::{Failure, Nonce, Reply, ReplyError, Request, RequestProblem};
pub use stamper::{Stamper, StamperError, TokenSerial, own_certificate};
pub use token::{Token, TokenError, TokenReader};
pub use x509_cert::der::oid::ObjectIdentifier;

/// Media type of requests.
pub const QUERY: &str = "application/timestamp-query";
/// Media type of replies.
pub const REPLY: &str = "application/timestamp-reply";

/// Largest request that is read, in bytes of DER. One without extensions has less than 100.
pub const REQUEST_BYTES_MAX: usize = 1024;
/// Largest token that is read, in bytes of DER.
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// Largest reply that is read, in bytes of DER.
pub const REPLY_BYTES_MAX: usize = TOKEN_BYTES_MAX + 4 * 1024;
/// Most certificates in one token.
pub const CERTIFICATES_MAX: usize = 8;
