//! Parties and their public keys. A party is known by its key set; a name is only what a certificate or a contact says about it.

use std::fmt;

use crate::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use crate::domain;
use crate::hash::Digest;
use crate::ids::KeySetId;

/// A signature algorithm, by its COSE number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032), COSE -19 (RFC 9864). Key 32 bytes, signature 64.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, COSE -9 (ESP256, RFC 9864). Key 65 bytes (SEC 1, uncompressed), signature 64 (r ‖ s).
    Es256,
    /// ML-DSA-65 (FIPS 204), COSE -49 (RFC 9964). Key 1952 bytes, signature 3309, empty context.
    MlDsa65,
}

impl Algorithm {
    /// The number in the IANA COSE algorithm registry.
    pub const fn cose(self) -> i64 {
        match self {
            Algorithm::Ed25519 => -19,
            Algorithm::Es256 => -9,
            Algorithm::MlDsa65 => -49,
        }
    }

    /// The algorithm with a COSE number.
    pub const fn from_cose(number: i64) -> Option<Self> {
        match number {
            -19 => Some(Algorithm::Ed25519),
            -9 => Some(Algorithm::Es256),
            -49 => Some(Algorithm::MlDsa65),
            _ => None,
        }
    }

    /// Length of a public key in bytes.
    pub const fn public_key_len(self) -> usize {
        match self {
            Algorithm::Ed25519 => 32,
            Algorithm::Es256 => 65,
            Algorithm::MlDsa65 => 1952,
        }
    }

    /// Length of a signature in bytes.
    pub const fn signature_len(self) -> usize {
        match self {
            Algorithm::Ed25519 | Algorithm::Es256 => 64,
            Algorithm::MlDsa65 => 3309,
        }
    }
}

/// Which algorithms sign together. Every algorithm of a suite is mandatory: a verifier accepts all of them or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// Ed25519 alone: receipts of the transport, logs; not for evidence that must last.
    Ed25519,
    /// Ed25519 and ML-DSA-65: the default for evidence.
    Hybrid,
    /// P-256: hardware keys, other people's certificates.
    Es256,
}

impl Suite {
    /// The number on the wire.
    pub const fn code(self) -> u64 {
        match self {
            Suite::Ed25519 => 1,
            Suite::Hybrid => 2,
            Suite::Es256 => 3,
        }
    }

    /// The suite with a number.
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Suite::Ed25519),
            2 => Some(Suite::Hybrid),
            3 => Some(Suite::Es256),
            _ => None,
        }
    }

    /// The algorithms, in the order in which keys and signatures stand.
    pub const fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Suite::Ed25519 => &[Algorithm::Ed25519],
            Suite::Hybrid => &[Algorithm::Ed25519, Algorithm::MlDsa65],
            Suite::Es256 => &[Algorithm::Es256],
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Suite::Ed25519 => "Ed25519",
            Suite::Hybrid => "Ed25519 + ML-DSA-65",
            Suite::Es256 => "ES256",
        })
    }
}

impl Encode for Suite {
    fn to_value(&self) -> Value {
        Value::Uint(self.code())
    }
}

impl Decode for Suite {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let code = u64::from_value(value)?;
        Suite::from_code(code)
            .ok_or_else(|| DecodeError::field("", Problem::Unknown { what: "suite", found: code.to_string() }))
    }
}

/// The public signature keys of a party: one per algorithm of its suite. Its thumbprint names the party in documents.
///
/// ```text
/// key-set = { 0: suite, 1: [+ bstr] }        ; one key per algorithm, in the suite's order
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeySet {
    suite: Suite,
    keys: Vec<Vec<u8>>,
}

impl KeySet {
    /// Joins public keys to a key set. `keys` stand in the order of [`Suite::algorithms`].
    ///
    /// # Errors
    /// `OutOfRange`, `WrongLength`: not one key of the right length per algorithm. Whether a key is a point of its curve is seen
    /// when it verifies.
    pub fn new(suite: Suite, keys: Vec<Vec<u8>>) -> Result<Self, DecodeError> {
        let algorithms = suite.algorithms();
        if keys.len() != algorithms.len() {
            return Err(DecodeError::field(
                "keys",
                Problem::OutOfRange("one public key per algorithm of the suite is needed"),
            ));
        }
        for (i, (key, algorithm)) in keys.iter().zip(algorithms).enumerate() {
            let expected = algorithm.public_key_len();
            if key.len() != expected {
                return Err(DecodeError::field(
                    format!("keys[{i}]"),
                    Problem::WrongLength { expected, found: key.len() },
                ));
            }
        }
        Ok(Self { suite, keys })
    }

    /// The suite.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The public keys with their algorithms.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = (Algorithm, &[u8])> {
        self.suite.algorithms().iter().copied().zip(self.keys.iter().map(Vec::as_slice))
    }

    /// The thumbprint.
    pub fn id(&self) -> KeySetId {
        KeySetId::from_digest(Digest::of(domain::KEY_SET, &self.to_bytes()))
    }

    /// Whether two key sets have a public key in common. One person playing both sides of a contract is refused by this.
    pub fn shares_a_key_with(&self, other: &Self) -> bool {
        self.keys.iter().any(|key| other.keys.contains(key))
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({}, {:?})", self.suite, self.id())
    }
}

impl Encode for KeySet {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.suite).put_list(1, &self.keys).build()
    }
}

impl Decode for KeySet {
    const BYTES_MAX: usize = 4096;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let suite = fields.item(0, "suite")?;
        let keys = fields.list(1, "keys", 4)?;
        fields.close()?;
        Self::new(suite, keys)
    }
}

/// The part that a party plays in one contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(u8);

impl Role {
    /// The party that sends the first message.
    pub const ORIGINATOR: Self = Self(0);
    /// The other party.
    pub const RESPONDER: Self = Self(1);

    /// The role with a number; two-party contracts know 0 and 1, contracts of N parties 0 to N - 1.
    pub const fn numbered(number: u8) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The other side of a two-party contract.
    #[must_use]
    pub const fn peer(self) -> Self {
        if self.0 == 0 { Self::RESPONDER } else { Self::ORIGINATOR }
    }

    /// What the party is called, with its article, in a contract of so many parties: "the originator", or "signer 1" of three.
    pub fn among(self, parties: usize) -> String {
        if parties > 2 { format!("signer {}", u16::from(self.0) + 1) } else { format!("the {self}") }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("originator"),
            1 => f.write_str("responder"),
            n => write!(f, "signer {}", u16::from(n) + 1),
        }
    }
}

impl Encode for Role {
    fn to_value(&self) -> Value {
        Value::Uint(self.0.into())
    }
}

impl Decode for Role {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let number = u64::from_value(value)?;
        u8::try_from(number).map(Self).map_err(|_| DecodeError::field("", Problem::OutOfRange("a role is at most 255")))
    }
}
