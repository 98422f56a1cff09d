//! The mint's keysets: facts that are only added to, so that every server of one mint sees the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use cashu::{Id, KeySetInfo, KeysResponse, KeysetResponse};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_support::archive::{Archive, Commit, CommitError, Fact};

use super::refusal::Refusal;
use super::{MintError, ledger};
use crate::ecash::keyset::{Keyset, KeysetTerms, Unit};

/// Space of the keysets' terms.
const SPACE: &str = "ecash-keyset";
/// Most keysets of one mint. Each costs a look-up for every coin whose state somebody asks for.
pub const KEYSETS_MAX: usize = 256;

/// Every keyset of a mint, and which are active.
#[derive(Clone, Default)]
pub struct Keysets {
    all: BTreeMap<Id, Arc<Keyset>>,
    active: BTreeMap<Unit, Id>,
}

impl Keysets {
    /// The keyset with an identifier, if its coins still have value at `now`.
    ///
    /// # Errors
    /// `UnknownKeyset`, `ExpiredKeyset`.
    pub fn usable(&self, id: &Id, now: u64) -> Result<&Arc<Keyset>, Refusal> {
        let keyset = self.all.get(id).ok_or_else(|| Refusal::UnknownKeyset(id.to_string()))?;
        if keyset.expired(now) { Err(Refusal::ExpiredKeyset(id.to_string())) } else { Ok(keyset) }
    }

    /// The keyset with an identifier, if it signs at `now`.
    ///
    /// # Errors
    /// `UnknownKeyset`, `InactiveKeyset`, `ExpiredKeyset`.
    pub fn signing(&self, id: &Id, now: u64) -> Result<&Arc<Keyset>, Refusal> {
        let keyset = self.usable(id, now)?;
        if self.is_active(keyset) { Ok(keyset) } else { Err(Refusal::InactiveKeyset(id.to_string())) }
    }

    /// The keyset with an identifier, usable or not.
    pub fn get(&self, id: &Id) -> Option<&Arc<Keyset>> {
        self.all.get(id)
    }

    /// All keysets, in the order of their identifiers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Keyset>> {
        self.all.values()
    }

    /// The active keyset of a unit.
    pub fn active(&self, unit: Unit) -> Option<&Arc<Keyset>> {
        self.active.get(&unit).and_then(|id| self.all.get(id))
    }

    /// The answer of `GET /v1/keys`: the keys of all active keysets.
    pub fn keys(&self) -> KeysResponse {
        KeysResponse { keysets: self.active.values().map(|id| self.all[id].published(true)).collect() }
    }

    /// The answer of `GET /v1/keys/{id}`.
    ///
    /// # Errors
    /// `UnknownKeyset`.
    pub fn keys_of(&self, id: &Id) -> Result<KeysResponse, Refusal> {
        let keyset = self.all.get(id).ok_or_else(|| Refusal::UnknownKeyset(id.to_string()))?;
        Ok(KeysResponse { keysets: vec![keyset.published(self.is_active(keyset))] })
    }

    /// The answer of `GET /v1/keysets`.
    pub fn list(&self) -> KeysetResponse {
        let infos: Vec<KeySetInfo> = self.all.values().map(|keyset| keyset.info(self.is_active(keyset))).collect();
        KeysetResponse { keysets: infos }
    }

    fn is_active(&self, keyset: &Keyset) -> bool {
        self.active.get(&keyset.terms().unit) == Some(&keyset.id())
    }

    /// Reads all keysets; keys that were derived before are taken from `known`.
    pub(super) async fn load(archive: &dyn Archive, seed: &[u8], known: &Self) -> Result<Self, MintError> {
        let mut keysets = Self::default();
        for fact in archive.facts(SPACE, None, KEYSETS_MAX).await? {
            let stored = Stored::from_bytes(&fact.value)?;
            let same = known.all.values().find(|keyset| *keyset.terms() == stored.terms);
            let keyset = match same {
                Some(keyset) => keyset.clone(),
                None => Arc::new(Keyset::derive(seed, stored.terms)?),
            };
            if keyset.id().to_string() != stored.id {
                return Err(MintError::WrongSeed { keyset: stored.id });
            }
            keysets.add(keyset)?;
        }
        Ok(keysets)
    }

    /// Adds a keyset with the next index of its unit; it is the active one from now on.
    ///
    /// # Errors
    /// `Commit(Taken)`: another server added one with this index.
    pub(super) async fn rotate(
        &mut self,
        archive: &dyn Archive,
        seed: &[u8],
        mut terms: KeysetTerms,
    ) -> Result<Id, MintError> {
        terms.index = self.active(terms.unit).map_or(0, |active| active.terms().index + 1);
        let keyset = Arc::new(Keyset::derive(seed, terms.clone())?);
        let id = keyset.id();
        self.add(keyset)?;
        let value = Stored { terms: terms.clone(), id: id.to_string() }.to_bytes();
        let fact = Fact { space: SPACE.to_owned(), key: key(&terms), value: value.clone() };
        match archive.commit(Commit { facts: vec![fact], ..Commit::default() }).await {
            Ok(()) => Ok(id),
            Err(CommitError::Taken { stands }) if stands.value == value => Ok(id),
            Err(error) => Err(error.into()),
        }
    }

    fn add(&mut self, keyset: Arc<Keyset>) -> Result<(), MintError> {
        let (id, terms) = (keyset.id(), keyset.terms());
        // Spaces and tokens name a keyset by the first 8 bytes of its identifier.
        if self.all.len() >= KEYSETS_MAX || self.all.keys().any(|other| ledger::same_space(other, &id)) {
            return Err(MintError::TooManyKeysets);
        }
        if self.active(terms.unit).is_none_or(|active| active.terms().index < terms.index) {
            self.active.insert(terms.unit, id);
        }
        self.all.insert(id, keyset);
        Ok(())
    }
}

fn key(terms: &KeysetTerms) -> Vec<u8> {
    [terms.unit.name().as_bytes(), &terms.index.to_be_bytes()].concat()
}

/// A keyset as it is stored: `{ 0: 1, 1: unit, 2: index, 3: fee, ? 4: final expiry, 5: legacy identifier, 6: identifier }`.
struct Stored {
    terms: KeysetTerms,
    id: String,
}

impl Encode for Stored {
    fn to_value(&self) -> Value {
        let terms = &self.terms;
        record()
            .put(0, 1_u64)
            .put(1, terms.unit.name())
            .put(2, u64::from(terms.index))
            .put(3, terms.input_fee_ppk)
            .put_some(4, terms.final_expiry)
            .put(5, terms.legacy_id)
            .put(6, self.id.as_str())
            .build()
    }
}

impl Decode for Stored {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let unit = unit(&mut fields, 1)?;
        let index = fields.small(2, "index")?;
        let input_fee_ppk = fields.uint(3, "fee")?;
        let final_expiry = optional_uint(&mut fields, 4)?;
        let legacy_id = fields.bool(5, "legacy identifier")?;
        let id = fields.text(6, "identifier", 66)?;
        fields.close()?;
        Ok(Self { terms: KeysetTerms { unit, index, input_fee_ppk, final_expiry, legacy_id }, id })
    }
}

/// Reads a unit by its name.
pub(super) fn unit(fields: &mut Fields, key: u64) -> Result<Unit, DecodeError> {
    let name = fields.text(key, "unit", 8)?;
    Unit::from_name(&name).ok_or_else(|| DecodeError::field("unit", Problem::OutOfRange("an unknown unit")))
}

/// Reads an unsigned integer that may be missing.
pub(super) fn optional_uint(fields: &mut Fields, key: u64) -> Result<Option<u64>, DecodeError> {
    match fields.optional(key) {
        None => Ok(None),
        Some(Value::Uint(number)) => Ok(Some(number)),
        Some(_) => Err(DecodeError::field("number", Problem::OutOfRange("not an unsigned integer"))),
    }
}
