//! Deterministic CBOR: the one encoding of everything that is signed, hashed, sent or stored.
//!
//! RFC 8949 §4.2.1 (core deterministic encoding), tightened: no floats, no indefinite lengths, no duplicate keys, text in
//! Unicode NFC, nesting at most [`DEPTH_MAX`], sizes bounded by the caller. A byte string is either *the* encoding of a value or
//! it is refused, with the offset of the first byte that is wrong; there is no lenient mode. Two encodings of one meaning would
//! let two parties sign "the same" document and hold different hashes.
//!
//! Start reading at [`decode`]; the typed side (records with integer keys) is [`Fields`] and [`record`].
//!
//! Source: `spec/encoding.md`.

mod decode;
mod fields;
mod value;

pub use decode::decode;
pub use fields::{Fields, Record, record};
pub use value::{Map, Value};

use std::fmt;

/// Deepest nesting of arrays, maps and tags that is accepted. A scalar has depth 0.
pub const DEPTH_MAX: usize = 16;

/// A type with exactly one CBOR form.
pub trait Encode {
    /// The value as CBOR data.
    fn to_value(&self) -> Value;

    /// The deterministic encoding of [`Encode::to_value`].
    fn to_bytes(&self) -> Vec<u8> {
        self.to_value().encode()
    }
}

/// A type that can be read back from its one CBOR form.
pub trait Decode: Sized {
    /// Largest encoding that [`Decode::from_bytes`] accepts, in bytes.
    const BYTES_MAX: usize = 64 * 1024;

    /// Reads the type from CBOR data.
    ///
    /// # Errors
    /// [`DecodeError`] names the field and what is wrong with it.
    fn from_value(value: Value) -> Result<Self, DecodeError>;

    /// Reads the type from its encoding.
    ///
    /// # Errors
    /// [`DecodeError`]: `bytes` is not deterministic CBOR, is longer than [`Decode::BYTES_MAX`], or does not have this type's
    /// shape.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::from_value(decode(bytes, Self::BYTES_MAX)?)
    }
}

/// Why bytes were refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    place: Place,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Offset(usize),
    Field(String),
}

/// What is wrong with refused bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The input ends inside an item.
    Truncated,
    /// The input, or a part of it, is longer than allowed; the limit is in bytes or items.
    Oversized {
        /// The most that is accepted here.
        limit: usize,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// An integer or a length is not in its shortest form.
    NotShortest,
    /// An indefinite length.
    Indefinite,
    /// A float, an undefined, or another kind of item that our documents never hold.
    Unsupported,
    /// A map has the same key twice.
    DuplicateKey,
    /// Map keys are not in the order of their encodings.
    KeyOrder,
    /// Text is not UTF-8.
    NotUtf8,
    /// Text is not in Unicode normalisation form C.
    NotNfc,
    /// Something follows the end of the item.
    Trailing,
    /// An item of another type stands here.
    WrongType {
        /// What should stand here.
        expected: &'static str,
        /// What does.
        found: &'static str,
    },
    /// A byte string of another length.
    WrongLength {
        /// The length that is asked for, in bytes.
        expected: usize,
        /// The length that stands here.
        found: usize,
    },
    /// A field that must be there is not.
    Missing,
    /// A field that this version does not know.
    UnknownField,
    /// A version, kind or code that this program does not know.
    Unknown {
        /// What kind of code it is.
        what: &'static str,
        /// The code that was found.
        found: String,
    },
    /// A value outside its allowed range; the text says which rule it breaks.
    OutOfRange(&'static str),
}

impl DecodeError {
    /// A problem at a byte offset of the input.
    pub fn at(offset: usize, problem: Problem) -> Self {
        Self { place: Place::Offset(offset), problem }
    }

    /// A problem with a named field.
    pub fn field(name: impl Into<String>, problem: Problem) -> Self {
        Self { place: Place::Field(name.into()), problem }
    }

    /// The same problem, seen from the record that holds the field: `nonce` becomes `terms.nonce`.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        let place = match self.place {
            Place::Offset(offset) => Place::Field(format!("{outer} (byte {offset})")),
            Place::Field(inner) if inner.is_empty() => Place::Field(outer.to_owned()),
            Place::Field(inner) => Place::Field(format!("{outer}.{inner}")),
        };
        Self { place, problem: self.problem }
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Offset(offset) => write!(f, "byte {offset}: {}", self.problem),
            Place::Field(name) if name.is_empty() => write!(f, "{}", self.problem),
            Place::Field(name) => write!(f, "{name}: {}", self.problem),
        }
    }
}

impl std::error::Error for DecodeError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Truncated => write!(f, "the data ends in the middle of an item"),
            Problem::Oversized { limit } => write!(f, "larger than the limit of {limit}"),
            Problem::TooDeep => write!(f, "nested deeper than {DEPTH_MAX} levels"),
            Problem::NotShortest => write!(f, "a number is not in its shortest form"),
            Problem::Indefinite => write!(f, "an indefinite length is not allowed"),
            Problem::Unsupported => write!(f, "a kind of item that is not allowed (float, undefined or simple value)"),
            Problem::DuplicateKey => write!(f, "a map key appears twice"),
            Problem::KeyOrder => write!(f, "map keys are not in order"),
            Problem::NotUtf8 => write!(f, "text is not UTF-8"),
            Problem::NotNfc => write!(f, "text is not in Unicode form NFC"),
            Problem::Trailing => write!(f, "extra bytes follow the end of the data"),
            Problem::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            Problem::WrongLength { expected, found } => write!(f, "expected {expected} bytes, found {found}"),
            Problem::Missing => write!(f, "missing"),
            Problem::UnknownField => write!(f, "a field that this version does not know"),
            Problem::Unknown { what, found } => write!(f, "unknown {what} {found}"),
            Problem::OutOfRange(rule) => write!(f, "{rule}"),
        }
    }
}
