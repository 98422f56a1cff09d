//! Identifiers: 32-byte digests (or 16 random bytes), each kind of thing with its own type so that they cannot be mixed up.

use std::fmt;

use crate::cbor::{Decode, DecodeError, Encode, Problem, Value};
use crate::hash::Digest;

macro_rules! digest_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Digest);

        impl $name {
            /// Takes a digest as this identifier; the caller knows that it was made for it.
            pub const fn from_digest(digest: Digest) -> Self {
                Self(digest)
            }

            /// The digest behind the identifier.
            pub const fn digest(&self) -> &Digest {
                &self.0
            }

            /// The 32 bytes of the identifier.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }

            /// Reads the form that `Display` writes: 64 hexadecimal digits.
            pub fn parse(text: &str) -> Option<Self> {
                Digest::from_hex(text).map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl Encode for $name {
            fn to_value(&self) -> Value {
                self.0.to_value()
            }
        }

        impl Decode for $name {
            fn from_value(value: Value) -> Result<Self, DecodeError> {
                Digest::from_value(value).map(Self)
            }
        }
    )*};
}

digest_id! {
    /// A contract: `H("semper/cid/1" ‖ core)`. One run per identifier, ever; verifiers count contracts by it.
    Cid;
    /// A statement: who said what, whatever the signature bytes (see [`crate::cose`]).
    StatementId;
    /// A key set's thumbprint: the name of a party inside documents.
    KeySetId;
    /// A template, by the hash of its definition.
    TemplateId;
    /// A container, by the hash of its encoding.
    ContainerId;
}

/// One deal: 16 random bytes that the initiator chose. Both parties use the same one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DealId([u8; 16]);

impl DealId {
    /// Takes 16 random bytes as a deal's identifier.
    pub const fn from_array(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the form that `Display` writes: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for DealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DealId({self})")
    }
}

impl fmt::Display for DealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl Encode for DealId {
    fn to_value(&self) -> Value {
        Value::bytes(self.0)
    }
}

impl Decode for DealId {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let bytes = Vec::<u8>::from_value(value)?;
        let found = bytes.len();
        bytes.try_into().map(Self).map_err(|_| DecodeError::field("", Problem::WrongLength { expected: 16, found }))
    }
}

/// Part of a contract: recipient, item or party number; 0 where a contract has only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl Encode for Slot {
    fn to_value(&self) -> Value {
        Value::Uint(self.0.into())
    }
}

impl Decode for Slot {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let n = u64::from_value(value)?;
        u16::try_from(n).map(Self).map_err(|_| DecodeError::field("", Problem::OutOfRange("a slot is at most 65535")))
    }
}
