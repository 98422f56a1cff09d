//! What a contract says about a good: the descriptor in its terms, the deposit beside them, and the arbiter's key for deposits.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::container::{Information, NAME_MAX};
use semper_core::contract::{Core, DESCRIPTOR_MAX, ItemKind};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, KeySetId, Slot};
use semper_support::crypto::KemSuite;

use super::chunk::{CHUNK_LEN, Size};

/// Longest media type of a descriptor, in bytes.
const MEDIA_TYPE_MAX: usize = 127;
/// Longest text of a descriptor, in bytes.
const TEXT_MAX: usize = 2048;

/// What is sold. Stands in the item's `descriptor`, hence in the terms.
///
/// ```text
/// descriptor = { 0: 1, 1: name, 2: media type, 3: size, 4: chunk length (16384), 5: plain root, 6: text }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor {
    name: String,
    media_type: String,
    size: Size,
    plain_root: Digest,
    text: String,
}

/// What the arbiter needs to give the good in its seller's place; in a contract without an arbiter, what the preimage of its locks opens.
/// Stands beside the terms, whose identifier labels `wrapped`.
///
/// ```text
/// deposit = { 0: 1, 1: KEM suite, 2: KEM ciphertext, 3: wrapped article key (32 bytes), 4: cipher root }
///         / { 0: 1, 3: wrapped article key (32 bytes), 4: cipher root, 5: hash (32 bytes) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deposit {
    /// What opens it.
    pub opens: Opens,
    /// The article's key, masked with what is derived from the secret for this contract and slot.
    pub wrapped: [u8; 32],
    /// The root over the ciphertext.
    pub cipher_root: Digest,
}

/// What opens a deposit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Opens {
    /// A secret that is encapsulated to the arbiter's key.
    Encapsulated {
        /// How.
        suite: KemSuite,
        /// The encapsulated secret, of the length that the suite has.
        ciphertext: Vec<u8>,
    },
    /// The preimage of this SHA-256, 32 bytes long.
    Hash([u8; 32]),
}

/// The arbiter's public key for deposits. Contracts name its hash.
///
/// ```text
/// deposit-key = { 0: KEM suite, 1: public key }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DepositKey {
    /// The suite.
    pub suite: KemSuite,
    /// The key, of the length that the suite has.
    pub public_key: Vec<u8>,
}

/// A good as a contract sells it. [`Good::of`] has checked that its parts belong together; whether the seller told the truth about it
/// is not known yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Good {
    pub(super) cid: Cid,
    pub(super) tid: Digest,
    pub(super) slot: Slot,
    pub(super) owner: KeySetId,
    /// None in a contract without one.
    pub(super) arbiter: Option<KeySetId>,
    pub(super) descriptor: Descriptor,
    pub(super) deposit: Deposit,
    /// The arbiter's key; none in a contract without one.
    pub(super) key: Option<DepositKey>,
}

/// Why a contract sells no good in a slot. Nobody should sign such a contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GoodError {
    /// No information stands in this slot, or its owner is not a party.
    #[error("the contract sells no information in this slot")]
    NoSuchItem,
    /// The descriptor cannot be read.
    #[error("the descriptor of the good: {0}")]
    Descriptor(DecodeError),
    /// The deposit cannot be read.
    #[error("the deposit of the good: {0}")]
    Deposit(DecodeError),
    /// The arbiter of the contract has another key for deposits, or none; or the contract has no arbiter, and the deposit is for one.
    #[error("the deposit is not for the key of the contract's arbiter")]
    OtherKey,
}

impl Good {
    /// The good in a slot of a contract. `key` is the key whose hash the contract names; a contract without an arbiter needs none.
    ///
    /// # Errors
    /// [`GoodError`].
    pub fn of(core: &Core, slot: Slot, key: Option<&DepositKey>) -> Result<Self, GoodError> {
        let sold = |item: &&_| is_information_in(item, slot);
        let item = core.terms.items.iter().find(sold).ok_or(GoodError::NoSuchItem)?;
        let owner = core.party(item.owner).ok_or(GoodError::NoSuchItem)?;
        let deposit = core.deposits.get(&slot).ok_or(GoodError::NoSuchItem)?;
        let descriptor = Descriptor::from_bytes(&item.descriptor).map_err(GoodError::Descriptor)?;
        let deposit = Deposit::from_bytes(deposit).map_err(GoodError::Deposit)?;
        let key = match (core.terms.arbiter, &deposit.opens, key) {
            (Some(arbiter), Opens::Encapsulated { suite, .. }, Some(key))
                if arbiter.deposit_key == Some(key.id()) && *suite == key.suite =>
            {
                Some(key.clone())
            }
            (None, Opens::Hash(_), _) => None,
            _ => return Err(GoodError::OtherKey),
        };
        let (cid, tid, arbiter) = (core.cid(), core.tid(), core.arbiter());
        Ok(Self { cid, tid, slot, owner, arbiter, descriptor, deposit, key })
    }

    /// The contract.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// The slot of the contract.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The seller.
    pub fn owner(&self) -> KeySetId {
        self.owner
    }

    /// What is sold.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// What opens it in the seller's place.
    pub fn deposit(&self) -> &Deposit {
        &self.deposit
    }
}

/// The plain roots of everything that a contract sells: hashes in its text that name no file beside it.
pub fn plain_roots(core: &Core) -> Vec<Digest> {
    let sold = core.terms.items.iter().filter(|item| item.kind == ItemKind::Information);
    sold.filter_map(|item| Some(Descriptor::from_bytes(&item.descriptor).ok()?.plain_root())).collect()
}

fn is_information_in(item: &semper_core::contract::Item, slot: Slot) -> bool {
    item.kind == ItemKind::Information && item.slot == slot
}

impl Descriptor {
    /// Describes an article. `name` is a file name and `media_type` like `text/plain`, by the rules for files in containers; `text`
    /// says in at most 2048 bytes what a machine cannot check.
    ///
    /// # Errors
    /// The field that breaks its rule.
    pub fn new(name: &str, media_type: &str, size: Size, plain_root: Digest, text: &str) -> Result<Self, DecodeError> {
        let file = Information::new(name, media_type, Vec::new())?;
        let Value::Text(text) = Value::text(text) else { unreachable!("a text is a text") };
        if text.len() > TEXT_MAX {
            return Err(DecodeError::field("text", Problem::Oversized { limit: TEXT_MAX }));
        }
        Ok(Self { name: file.name().to_owned(), media_type: file.media_type().to_owned(), size, plain_root, text })
    }

    /// The file name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The media type.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The size of plaintext and ciphertext.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The root over the plaintext.
    pub fn plain_root(&self) -> Digest {
        self.plain_root
    }

    /// What a machine cannot check.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl DepositKey {
    /// The hash that contracts name: `H("semper/deposit-key/1" ‖ deposit-key)`.
    pub fn id(&self) -> Digest {
        Digest::of(domain::DEPOSIT_KEY, &self.to_bytes())
    }
}

impl Encode for Descriptor {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.name.as_str())
            .put(2, self.media_type.as_str())
            .put(3, self.size.bytes())
            .put(4, CHUNK_LEN as u64)
            .put_item(5, &self.plain_root)
            .put(6, self.text.as_str())
            .build()
    }
}

impl Decode for Descriptor {
    const BYTES_MAX: usize = DESCRIPTOR_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (name, media_type) = (fields.text(1, "name", NAME_MAX)?, fields.text(2, "media type", MEDIA_TYPE_MAX)?);
        let size = Size::new(fields.uint(3, "size")?)
            .ok_or(DecodeError::field("size", Problem::OutOfRange("a good has 1 byte to 64 GiB")))?;
        if fields.uint(4, "chunk length")? != CHUNK_LEN as u64 {
            return Err(DecodeError::field("chunk length", Problem::OutOfRange("a chunk has 16384 bytes")));
        }
        let (plain_root, text) = (fields.item(5, "plain root")?, fields.text(6, "text", TEXT_MAX)?);
        fields.close()?;
        Self::new(&name, &media_type, size, plain_root, &text)
    }
}

impl Encode for Deposit {
    fn to_value(&self) -> Value {
        let deposit = record().put(0, 1_u64);
        let deposit = match &self.opens {
            Opens::Encapsulated { suite, ciphertext } => deposit.put(1, suite.code()).put_bytes(2, ciphertext),
            Opens::Hash(hash) => deposit.put_bytes(5, hash),
        };
        deposit.put_bytes(3, self.wrapped).put_item(4, &self.cipher_root).build()
    }
}

impl Decode for Deposit {
    const BYTES_MAX: usize = DESCRIPTOR_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let opens = match fields.optional_item::<Digest>(5, "hash")? {
            Some(hash) => Opens::Hash(*hash.as_bytes()),
            None => {
                let suite = kem_suite(&mut fields, 1)?;
                let ciphertext = of_length(&mut fields, 2, "kem ciphertext", suite.ciphertext_len())?;
                Opens::Encapsulated { suite, ciphertext }
            }
        };
        let deposit =
            Self { opens, wrapped: fields.exact(3, "wrapped key")?, cipher_root: fields.item(4, "cipher root")? };
        fields.close()?;
        Ok(deposit)
    }
}

impl Encode for DepositKey {
    fn to_value(&self) -> Value {
        record().put(0, self.suite.code()).put_bytes(1, &self.public_key).build()
    }
}

impl Decode for DepositKey {
    const BYTES_MAX: usize = 2048;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let suite = kem_suite(&mut fields, 0)?;
        let public_key = of_length(&mut fields, 1, "public key", suite.public_key_len())?;
        fields.close()?;
        Ok(Self { suite, public_key })
    }
}

fn kem_suite(fields: &mut Fields, key: u64) -> Result<KemSuite, DecodeError> {
    let code = fields.uint(key, "suite")?;
    let unknown = || DecodeError::field("suite", Problem::Unknown { what: "KEM suite", found: code.to_string() });
    KemSuite::from_code(code).ok_or_else(unknown)
}

fn of_length(fields: &mut Fields, key: u64, name: &str, expected: usize) -> Result<Vec<u8>, DecodeError> {
    let bytes = fields.bytes(key, name, DESCRIPTOR_MAX)?;
    let found = bytes.len();
    if found == expected { Ok(bytes) } else { Err(DecodeError::field(name, Problem::WrongLength { expected, found })) }
}
