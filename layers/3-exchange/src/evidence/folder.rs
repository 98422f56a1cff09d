//! The deal folder: everything a party can prove with, in one file (`*.semper`).
//!
//! ```text
//! folder = { 0: "semper-folder", 1: 1, 2: deal, 3: [* item], 4: H("semper/folder/1" ‖ folder without 4) }
//! item   = { 0: kind, 1: bytes, 2: time }
//! ```
//! The hash finds damage, not malice: whoever forges a folder can make a new one. What a folder proves rests on the signatures
//! inside, see [`verify`](super::verify).

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Record, Value, decode, record};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::DealId;
use semper_core::time::Time;
use semper_support::engine::EvidenceKind;

const MAGIC: &str = "semper-folder";
/// Most items in one folder.
pub const ITEMS_MAX: usize = 4096;

/// A deal folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The deal.
    pub deal: DealId,
    /// What the party has kept, in the order in which it came.
    pub items: Vec<Item>,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: EvidenceKind,
    /// The bytes as they were received or made.
    pub bytes: Vec<u8>,
    /// When it came, by the clock of the party that exported the folder; proves nothing.
    pub time: Time,
}

impl Folder {
    fn contents(&self) -> Record {
        record().put(0, MAGIC).put(1, 1_u64).put_item(2, &self.deal).put_list(3, &self.items)
    }

    fn digest(&self) -> Digest {
        Digest::of(domain::FOLDER, &self.contents().build().encode())
    }
}

impl Encode for Folder {
    fn to_value(&self) -> Value {
        self.contents().put_item(4, &self.digest()).build()
    }
}

impl Decode for Folder {
    const BYTES_MAX: usize = 256 * 1024 * 1024;

    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        // A map of five fields, the first of which is the name: whatever begins otherwise is something else, not a damaged folder.
        if !bytes.starts_with(b"\xa5\x00\x6dsemper-folder") {
            return Err(DecodeError::field("", Problem::OutOfRange("this is not a deal folder")));
        }
        Self::from_value(decode(bytes, Self::BYTES_MAX)?)
    }

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        if fields.text(0, "name", 32)? != MAGIC {
            return Err(DecodeError::field("name", Problem::OutOfRange("this is not a deal folder")));
        }
        fields.version(1, 1)?;
        let folder = Self { deal: fields.item(2, "deal")?, items: fields.list(3, "items", ITEMS_MAX)? };
        let digest: Digest = fields.item(4, "hash")?;
        fields.close()?;
        if digest != folder.digest() {
            return Err(DecodeError::field(
                "hash",
                Problem::OutOfRange("the folder was damaged or changed: its hash does not fit"),
            ));
        }
        Ok(folder)
    }
}

impl Encode for Item {
    fn to_value(&self) -> Value {
        record().put(0, self.kind.name()).put_bytes(1, &self.bytes).put_item(2, &self.time).build()
    }
}

impl Decode for Item {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let name = fields.text(0, "kind", 64)?;
        let kind = EvidenceKind::from_name(&name)
            .ok_or(DecodeError::field("kind", Problem::Unknown { what: "kind of evidence", found: name }))?;
        let item = Self { kind, bytes: fields.bytes(1, "bytes", Folder::BYTES_MAX)?, time: fields.item(2, "time")? };
        fields.close()?;
        Ok(item)
    }
}
