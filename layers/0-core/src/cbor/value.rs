//! CBOR data in memory, and its one encoding.

use std::cmp::Ordering;

/// One CBOR data item. Floats, `undefined` and other simple values do not exist here, so they can never be encoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Major type 0.
    Uint(u64),
    /// Major type 1; the number is `-1 - n`, as on the wire.
    Nint(u64),
    /// Major type 2.
    Bytes(Vec<u8>),
    /// Major type 3. Must be NFC: [`Value::text`] makes it so.
    Text(String),
    /// Major type 4.
    Array(Vec<Value>),
    /// Major type 5.
    Map(Map),
    /// Major type 6.
    Tag(u64, Box<Value>),
    /// The simple values true and false.
    Bool(bool),
    /// The simple value null.
    Null,
}

/// A CBOR map whose entries are unique and in the order of their encoded keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Map {
    entries: Vec<(Value, Value)>,
}

impl Map {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `value` under `key`, in place of an earlier value.
    pub fn insert(&mut self, key: impl Into<Value>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.entries.binary_search_by(|(k, _)| key_order(k, &key)) {
            Ok(i) => self.entries[i].1 = value,
            Err(i) => self.entries.insert(i, (key, value)),
        }
    }

    /// The value under `key`.
    pub fn get(&self, key: impl Into<Value>) -> Option<&Value> {
        let key = key.into();
        self.entries.binary_search_by(|(k, _)| key_order(k, &key)).ok().map(|i| &self.entries[i].1)
    }

    /// Takes the value under `key` out of the map.
    pub fn remove(&mut self, key: impl Into<Value>) -> Option<Value> {
        let key = key.into();
        self.entries.binary_search_by(|(k, _)| key_order(k, &key)).ok().map(|i| self.entries.remove(i).1)
    }

    /// The entries, in the order of their encoded keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Value, Value)> {
        self.entries.iter()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the map has no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry at the end; `Err` gives the order of the last key against this one when it does not come after it.
    pub(super) fn push_in_order(&mut self, key: Value, value: Value) -> Result<(), Ordering> {
        if let Some((last, _)) = self.entries.last() {
            match key_order(last, &key) {
                Ordering::Less => {}
                other => return Err(other),
            }
        }
        self.entries.push((key, value));
        Ok(())
    }
}

impl IntoIterator for Map {
    type Item = (Value, Value);
    type IntoIter = std::vec::IntoIter<(Value, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// Bytewise order of the encodings (RFC 8949 §4.2.1). Integers and texts, which are nearly all keys, are compared in place.
fn key_order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Uint(a), Value::Uint(b)) | (Value::Nint(a), Value::Nint(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes())),
        _ => a.encode().cmp(&b.encode()),
    }
}

impl Value {
    /// Text, brought into Unicode form NFC.
    pub fn text(text: &str) -> Self {
        use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};
        if text.is_ascii() {
            return Value::Text(text.to_owned());
        }
        match is_nfc_quick(text.chars()) {
            IsNormalized::Yes => Value::Text(text.to_owned()),
            _ => Value::Text(text.nfc().collect()),
        }
    }

    /// A signed integer.
    pub fn int(n: i64) -> Self {
        if n >= 0 { Value::Uint(n.unsigned_abs()) } else { Value::Nint((-1 - n).unsigned_abs()) }
    }

    /// A byte string.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Value::Bytes(bytes.into())
    }

    /// The deterministic encoding of this value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Appends the deterministic encoding of this value to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Value::Uint(n) => head(out, 0, *n),
            Value::Nint(n) => head(out, 1, *n),
            Value::Bytes(bytes) => {
                head(out, 2, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            Value::Text(text) => {
                head(out, 3, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
            Value::Array(items) => {
                head(out, 4, items.len() as u64);
                for item in items {
                    item.encode_into(out);
                }
            }
            Value::Map(map) => {
                head(out, 5, map.len() as u64);
                for (key, value) in map.iter() {
                    key.encode_into(out);
                    value.encode_into(out);
                }
            }
            Value::Tag(tag, inner) => {
                head(out, 6, *tag);
                inner.encode_into(out);
            }
            Value::Bool(false) => out.push(0xf4),
            Value::Bool(true) => out.push(0xf5),
            Value::Null => out.push(0xf6),
        }
    }

    /// The name of this item's type, for error messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Uint(_) => "an unsigned integer",
            Value::Nint(_) => "a negative integer",
            Value::Bytes(_) => "a byte string",
            Value::Text(_) => "text",
            Value::Array(_) => "an array",
            Value::Map(_) => "a map",
            Value::Tag(..) => "a tagged item",
            Value::Bool(_) => "a boolean",
            Value::Null => "null",
        }
    }
}

/// Writes a major type and its argument in the shortest form.
fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend_from_slice(&[major | 24, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&bytes);
        }
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Value::Uint(n)
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Value::Uint(n.into())
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::int(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::text(&text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Value::Array(items)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Value::Map(map)
    }
}
