//! Records: CBOR maps with small integer keys, read field by field so that nothing is overlooked.

use super::{Decode, DecodeError, Encode, Map, Problem, Value};

/// Starts a record.
///
/// ```
/// use semper_core::cbor::{self, Fields};
/// let value = cbor::record().put(0, 7_u64).put_some(1, None::<u64>).put(2, "seven").build();
/// let mut fields = Fields::open(value).unwrap();
/// assert_eq!(fields.uint(0, "number").unwrap(), 7);
/// assert_eq!(fields.text(2, "name", 16).unwrap(), "seven");
/// fields.close().unwrap();
/// ```
pub fn record() -> Record {
    Record { map: Map::new() }
}

/// A record being written.
#[derive(Debug)]
pub struct Record {
    map: Map,
}

impl Record {
    /// Adds a field.
    #[must_use]
    pub fn put(mut self, key: u64, value: impl Into<Value>) -> Self {
        debug_assert!(self.map.get(key).is_none(), "field {key} is written twice");
        self.map.insert(key, value);
        self
    }

    /// Adds a field that is a byte string.
    #[must_use]
    pub fn put_bytes(self, key: u64, bytes: impl AsRef<[u8]>) -> Self {
        self.put(key, Value::bytes(bytes.as_ref()))
    }

    /// Adds a field of a type with its own encoding.
    #[must_use]
    pub fn put_item(self, key: u64, item: &impl Encode) -> Self {
        self.put(key, item.to_value())
    }

    /// Adds an array of items of one type.
    #[must_use]
    pub fn put_list<T: Encode>(self, key: u64, items: &[T]) -> Self {
        self.put(key, items.iter().map(Encode::to_value).collect::<Vec<_>>())
    }

    /// Adds a field if there is a value for it.
    #[must_use]
    pub fn put_some(self, key: u64, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    /// The finished record.
    pub fn build(self) -> Value {
        Value::Map(self.map)
    }
}

/// A record being read. Each field is taken out by key; [`Fields::close`] refuses what is left over.
#[derive(Debug)]
pub struct Fields {
    map: Map,
}

impl Fields {
    /// Opens a record.
    ///
    /// # Errors
    /// `WrongType`: `value` is not a map.
    pub fn open(value: Value) -> Result<Self, DecodeError> {
        match value {
            Value::Map(map) => Ok(Self { map }),
            other => Err(wrong_type("a record", &other)),
        }
    }

    /// Takes an optional field.
    pub fn optional(&mut self, key: u64) -> Option<Value> {
        self.map.remove(key)
    }

    /// Takes a field.
    ///
    /// # Errors
    /// `Missing`.
    pub fn value(&mut self, key: u64, name: &str) -> Result<Value, DecodeError> {
        self.map.remove(key).ok_or_else(|| DecodeError::field(name, Problem::Missing))
    }

    /// Takes an unsigned integer.
    ///
    /// # Errors
    /// `Missing`, `WrongType`.
    pub fn uint(&mut self, key: u64, name: &str) -> Result<u64, DecodeError> {
        match self.value(key, name)? {
            Value::Uint(n) => Ok(n),
            other => Err(wrong_type("an unsigned integer", &other).within(name)),
        }
    }

    /// Takes an unsigned integer that fits into a smaller type.
    ///
    /// # Errors
    /// `Missing`, `WrongType`, `OutOfRange`.
    pub fn small<T: TryFrom<u64>>(&mut self, key: u64, name: &str) -> Result<T, DecodeError> {
        let n = self.uint(key, name)?;
        T::try_from(n)
            .map_err(|_| DecodeError::field(name, Problem::OutOfRange("the number is too large for this field")))
    }

    /// Takes a boolean.
    ///
    /// # Errors
    /// `Missing`, `WrongType`.
    pub fn bool(&mut self, key: u64, name: &str) -> Result<bool, DecodeError> {
        match self.value(key, name)? {
            Value::Bool(b) => Ok(b),
            other => Err(wrong_type("a boolean", &other).within(name)),
        }
    }

    /// Takes a text of at most `bytes_max` bytes of UTF-8.
    ///
    /// # Errors
    /// `Missing`, `WrongType`, `Oversized`.
    pub fn text(&mut self, key: u64, name: &str, bytes_max: usize) -> Result<String, DecodeError> {
        match self.value(key, name)? {
            Value::Text(text) if text.len() <= bytes_max => Ok(text),
            Value::Text(_) => Err(DecodeError::field(name, Problem::Oversized { limit: bytes_max })),
            other => Err(wrong_type("text", &other).within(name)),
        }
    }

    /// Takes a byte string of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// `Missing`, `WrongType`, `Oversized`.
    pub fn bytes(&mut self, key: u64, name: &str, bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
        match self.value(key, name)? {
            Value::Bytes(bytes) if bytes.len() <= bytes_max => Ok(bytes),
            Value::Bytes(_) => Err(DecodeError::field(name, Problem::Oversized { limit: bytes_max })),
            other => Err(wrong_type("a byte string", &other).within(name)),
        }
    }

    /// Takes a byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// `Missing`, `WrongType`, `WrongLength`.
    pub fn exact<const N: usize>(&mut self, key: u64, name: &str) -> Result<[u8; N], DecodeError> {
        let bytes = self.bytes(key, name, usize::MAX)?;
        let found = bytes.len();
        bytes.try_into().map_err(|_| DecodeError::field(name, Problem::WrongLength { expected: N, found }))
    }

    /// Takes an array of at most `items_max` items.
    ///
    /// # Errors
    /// `Missing`, `WrongType`, `Oversized`.
    pub fn array(&mut self, key: u64, name: &str, items_max: usize) -> Result<Vec<Value>, DecodeError> {
        match self.value(key, name)? {
            Value::Array(items) if items.len() <= items_max => Ok(items),
            Value::Array(_) => Err(DecodeError::field(name, Problem::Oversized { limit: items_max })),
            other => Err(wrong_type("an array", &other).within(name)),
        }
    }

    /// Takes a field of a type with its own encoding.
    ///
    /// # Errors
    /// `Missing`, or what the type refuses, with this field's name in front.
    pub fn item<T: Decode>(&mut self, key: u64, name: &str) -> Result<T, DecodeError> {
        T::from_value(self.value(key, name)?).map_err(|e| e.within(name))
    }

    /// Takes an optional field of a type with its own encoding.
    ///
    /// # Errors
    /// What the type refuses, with this field's name in front.
    pub fn optional_item<T: Decode>(&mut self, key: u64, name: &str) -> Result<Option<T>, DecodeError> {
        self.optional(key).map(|value| T::from_value(value).map_err(|e| e.within(name))).transpose()
    }

    /// Takes an array of at most `items_max` items of one type.
    ///
    /// # Errors
    /// `Missing`, `WrongType`, `Oversized`, or what the type refuses, with the item's place in front.
    pub fn list<T: Decode>(&mut self, key: u64, name: &str, items_max: usize) -> Result<Vec<T>, DecodeError> {
        let items = self.array(key, name, items_max)?;
        items
            .into_iter()
            .enumerate()
            .map(|(i, item)| T::from_value(item).map_err(|e| e.within(&format!("{name}[{i}]"))))
            .collect()
    }

    /// Takes a version number and refuses any but `expected`.
    ///
    /// # Errors
    /// `Missing`, `WrongType`, `Unknown`.
    pub fn version(&mut self, key: u64, expected: u64) -> Result<(), DecodeError> {
        let found = self.uint(key, "version")?;
        if found == expected {
            return Ok(());
        }
        Err(DecodeError::field("version", Problem::Unknown { what: "version", found: found.to_string() }))
    }

    /// Ends reading.
    ///
    /// # Errors
    /// `UnknownField`: a field was not taken, so this version does not know it.
    pub fn close(self) -> Result<(), DecodeError> {
        match self.map.iter().next() {
            None => Ok(()),
            Some((Value::Uint(key), _)) => Err(DecodeError::field(key.to_string(), Problem::UnknownField)),
            Some((key, _)) => Err(DecodeError::field(format!("{key:?}"), Problem::UnknownField)),
        }
    }
}

/// The error for an item of the wrong type, not yet placed.
fn wrong_type(expected: &'static str, found: &Value) -> DecodeError {
    DecodeError::field("", Problem::WrongType { expected, found: found.type_name() })
}

impl Decode for Vec<u8> {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(wrong_type("a byte string", &other)),
        }
    }
}

impl Encode for Vec<u8> {
    fn to_value(&self) -> Value {
        Value::Bytes(self.clone())
    }
}

impl Decode for String {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        match value {
            Value::Text(text) => Ok(text),
            other => Err(wrong_type("text", &other)),
        }
    }
}

impl Encode for String {
    fn to_value(&self) -> Value {
        Value::text(self)
    }
}

impl Decode for u64 {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        match value {
            Value::Uint(n) => Ok(n),
            other => Err(wrong_type("an unsigned integer", &other)),
        }
    }
}

impl Encode for u64 {
    fn to_value(&self) -> Value {
        Value::Uint(*self)
    }
}
