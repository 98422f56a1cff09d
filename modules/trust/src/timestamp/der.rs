//! The little of DER that time-stamps need, over the reader of the crate `der`: parts of a value one after the other, and values of parts.

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, ErrorKind, Length, Reader, Result, SliceReader, Tag, TagNumber, Tagged};

pub(super) const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
pub(super) const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
pub(super) const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The `n`-th context-specific constructed tag, as a byte.
pub(super) const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// The same as the reader has it.
pub(super) const fn tagged(n: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(n) }
}

/// The same, of a part that is not constructed.
pub(super) const fn tagged_primitive(n: u32) -> Tag {
    Tag::ContextSpecific { constructed: false, number: TagNumber(n) }
}

/// A value: tag, length, and its parts joined.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let length = Length::try_from(len).and_then(|len| len.to_der()).expect("what is made here is far below 256 MiB");
    let mut bytes = vec![tag];
    bytes.extend(length);
    for part in parts {
        bytes.extend(*part);
    }
    bytes
}

/// An object identifier.
pub(super) fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    oid.to_der().expect("an object identifier has an encoding")
}

/// An algorithm without parameters.
pub(super) fn algorithm(id: ObjectIdentifier) -> Vec<u8> {
    value(SEQUENCE, &[&oid(id)])
}

/// Reads the parts of one constructed value, in their order.
pub(super) struct Parts<'a>(SliceReader<'a>);

impl<'a> Parts<'a> {
    /// Opens a value of a given tag.
    pub(super) fn of(part: AnyRef<'a>, tag: Tag) -> Result<Self> {
        part.tag().assert_eq(tag)?;
        Ok(Self(SliceReader::new(part.value())?))
    }

    /// Opens bytes that are one value of a given tag and nothing else.
    pub(super) fn of_bytes(bytes: &'a [u8], tag: Tag) -> Result<Self> {
        Self::of(AnyRef::from_der(bytes)?, tag)
    }

    /// The next part.
    pub(super) fn next(&mut self) -> Result<AnyRef<'a>> {
        AnyRef::decode(&mut self.0)
    }

    /// The next part, opened.
    pub(super) fn open(&mut self, tag: Tag) -> Result<Parts<'a>> {
        Parts::of(self.next()?, tag)
    }

    /// The next part if it has this tag.
    pub(super) fn next_if(&mut self, tag: Tag) -> Result<Option<AnyRef<'a>>> {
        if self.is_empty() || Tag::peek(&self.0)? != tag { Ok(None) } else { self.next().map(Some) }
    }

    /// The whole of the next part, tag and length included, as it was received.
    pub(super) fn next_bytes(&mut self) -> Result<&'a [u8]> {
        self.0.tlv_bytes()
    }

    /// The next part as a small number.
    pub(super) fn number(&mut self) -> Result<u32> {
        self.next()?.decode_as::<u32>()
    }

    /// The next part as an object identifier.
    pub(super) fn oid(&mut self) -> Result<ObjectIdentifier> {
        self.next()?.decode_as::<ObjectIdentifier>()
    }

    /// The next part as an algorithm; its parameters are absent or NULL.
    pub(super) fn algorithm(&mut self) -> Result<ObjectIdentifier> {
        let mut parts = self.open(Tag::Sequence)?;
        let algorithm = parts.oid()?;
        parts.next_if(Tag::Null)?;
        parts.end()?;
        Ok(algorithm)
    }

    /// The next part as the content of a whole number, in the one form that DER allows.
    pub(super) fn integer(part: AnyRef<'a>) -> Result<&'a [u8]> {
        part.tag().assert_eq(Tag::Integer)?;
        match part.value() {
            [] => Err(ErrorKind::Length { tag: Tag::Integer }.into()),
            [0, next, ..] if next & 0x80 == 0 => Err(ErrorKind::Noncanonical { tag: Tag::Integer }.into()),
            [0xff, next, ..] if next & 0x80 != 0 => Err(ErrorKind::Noncanonical { tag: Tag::Integer }.into()),
            bytes => Ok(bytes),
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_finished()
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<()> {
        self.0.finish()
    }
}
