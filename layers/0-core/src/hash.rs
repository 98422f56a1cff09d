//! SHA-256, always under a [`Domain`], and the 32-byte digests it makes.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::cbor::{Decode, DecodeError, Encode, Problem, Value};
use crate::domain::Domain;

/// A SHA-256 digest. Identifiers of one kind of thing have types of their own: see [`crate::ids`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Takes 32 bytes as a digest.
    pub const fn from_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// `SHA-256(domain ‖ data)`.
    pub fn of(domain: Domain, data: &[u8]) -> Self {
        Self::of_parts(domain, &[data])
    }

    /// `SHA-256(domain ‖ parts…)`. The parts are joined with nothing between them: at most one may have a length that its
    /// content does not tell.
    pub fn of_parts(domain: Domain, parts: &[&[u8]]) -> Self {
        let mut hasher = Hasher::new(domain);
        for part in parts {
            hasher.update(part);
        }
        hasher.finish()
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Lower-case hexadecimal, 64 characters.
    pub fn to_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// Reads 64 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// A digest over data that comes in pieces (a file that does not fit into memory).
#[derive(Clone, Debug)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts a digest under `domain`.
    pub fn new(domain: Domain) -> Self {
        Self(Sha256::new_with_prefix(domain.as_bytes()))
    }

    /// Takes the next piece.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The digest of everything taken.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", &self.to_hex()[..16])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Encode for Digest {
    fn to_value(&self) -> Value {
        Value::bytes(self.0)
    }
}

impl Decode for Digest {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let bytes = Vec::<u8>::from_value(value)?;
        let found = bytes.len();
        bytes.try_into().map(Self).map_err(|_| DecodeError::field("", Problem::WrongLength { expected: 32, found }))
    }
}
