//! Imprints: what a time-stamp authority sees of what it dates.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// SHA-256 of some bytes, without a domain: RFC 3161 and the programs that speak it hash the bytes alone.
///
/// What is dated is never text that somebody else chose to mean two things: the bytes of a file, or the signature field of a signed statement
/// ([`Signed::imprint`](crate::cose::Signed::imprint)), which nobody but its signer makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Imprint([u8; 32]);

impl Imprint {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// `SHA-256(bytes)`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes 32 bytes as an imprint.
    pub const fn from_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Imprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Imprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Imprint({self})")
    }
}
