//! Port: time-stamps, as evidence is read that carries them.
//!
//! A time-stamp says that something existed before a time, by the word of an authority that sees its hash. The module that knows the format
//! (`modules/trust`) checks everything that can be checked without trusting anybody, and says who vouches for it; whether that is enough is
//! for whoever judges.
//!
//! Source: `spec/timestamp.md`.

use std::fmt;

use semper_core::cbor::{Decode, DecodeError, Encode, Problem, Value};
use semper_core::imprint::Imprint;
use semper_core::time::Time;

/// Names a certificate: SHA-256 of its DER, as other programs show it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId([u8; 32]);

impl CertificateId {
    /// The name of a certificate, given as DER.
    pub fn of(der: &[u8]) -> Self {
        Self(*Imprint::of(der).as_bytes())
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Imprint::from_array(self.0).fmt(f)
    }
}

impl fmt::Debug for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateId({self})")
    }
}

impl Encode for CertificateId {
    fn to_value(&self) -> Value {
        Value::bytes(self.0)
    }
}

impl Decode for CertificateId {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let bytes = Vec::<u8>::from_value(value)?;
        let found = bytes.len();
        let wrong = |_| DecodeError::field("", Problem::WrongLength { expected: Imprint::LEN, found });
        bytes.try_into().map_err(wrong).map(Self)
    }
}

/// What a time-stamp says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// What it dates.
    pub imprint: Imprint,
    /// The instant before which that existed, if the authority is right; the error of its clock is in it.
    pub before: Time,
    /// What the authority calls itself, for people. Nobody may have checked that.
    pub name: String,
    /// Each certificate of which it is enough to trust one: the authority's own first, then those of issuers from which a path leads to it.
    pub vouchers: Vec<CertificateId>,
}

/// Reads time-stamps.
pub trait ReadStamps: Send + Sync {
    /// Reads a token and checks its form, its signature, and that its certificate was one for time-stamps at that time. `certificates` (DER)
    /// may hold those of issuers that are not in the token.
    ///
    /// # Errors
    /// In words why it proves nothing.
    fn read(&self, token: &[u8], certificates: &[Vec<u8>]) -> Result<Stamp, String>;
}
