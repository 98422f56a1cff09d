//! What a relay stores: one state per mailbox, and one record per envelope, changed in one commit.
//!
//! ```text
//! state  "mailbox/" ‖ id          { 0: 1, 1: last number, ? 2: last request of the owner, 3: [* { 0: H(envelope), 1: size, 2: time }] }
//! record "relay.mail", id ‖ H     envelope
//! ```
//! The version of the state orders all changes of a mailbox, so several processes may serve one archive. A closed mailbox keeps its
//! last number, or old requests could be used again when it is opened again.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::time::Time;
use semper_support::archive::{Archive, Commit, MachineKey, PutState, ReadError};

use super::Quota;

const PREFIX: &[u8] = b"mailbox/";
const BODIES: &str = "relay.mail";
/// Most envelopes in a mailbox, whatever the quota says: more could not be read again.
pub(super) const ITEMS_BOUND: usize = 1 << 16;

/// A mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// The highest number of a request that was taken.
    pub(super) last: u64,
    /// When the owner last came; `None` while the mailbox is closed.
    pub(super) seen: Option<Time>,
    /// The envelopes, oldest first.
    pub(super) items: Vec<Item>,
}

/// One envelope in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) sealed: Digest,
    pub(super) size: u64,
    pub(super) time: Time,
}

/// A mailbox as it was read, and the version of its state.
pub(super) struct Stored {
    pub(super) mailbox: Mailbox,
    version: u64,
}

impl Mailbox {
    pub(super) fn is_open(&self) -> bool {
        self.seen.is_some()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.size).sum()
    }

    pub(super) fn find(&self, sealed: &Digest) -> Option<&Item> {
        self.items.iter().find(|item| item.sealed == *sealed)
    }

    /// Removes items and gives their names.
    pub(super) fn remove(&mut self, gone: impl Fn(&Item) -> bool) -> Vec<Digest> {
        self.items.extract_if(.., |item| gone(item)).map(|item| item.sealed).collect()
    }

    /// Removes what is too old; an abandoned mailbox is closed.
    pub(super) fn expire(&mut self, now: Time, quota: &Quota) -> Vec<Digest> {
        if self.seen.is_some_and(|seen| seen.after(quota.idle_max) < now) {
            self.seen = None;
            return self.remove(|_| true);
        }
        self.remove(|item| item.time.after(quota.age_max) < now)
    }
}

/// The mailbox; one that nobody has opened is closed and empty.
pub(super) async fn read(archive: &dyn Archive, id: &KeySetId) -> Result<Stored, ReadError> {
    match archive.state(&state_key(id)).await? {
        None => Ok(Stored { mailbox: Mailbox::default(), version: 0 }),
        Some(state) => Ok(Stored { mailbox: decode(&state.bytes)?, version: state.version }),
    }
}

/// The first mailbox after `after`, in the order of their names.
pub(super) async fn next(
    archive: &dyn Archive,
    after: Option<&KeySetId>,
) -> Result<Option<(KeySetId, Stored)>, ReadError> {
    let after = after.map(state_key);
    let Some(state) = archive.states(PREFIX, after.as_deref(), 1).await?.pop() else { return Ok(None) };
    let id = <[u8; 32]>::try_from(&state.key[PREFIX.len()..]);
    let id = id.map_err(|_| ReadError("a mailbox has a malformed name".to_owned()))?;
    let stored = Stored { mailbox: decode(&state.bytes)?, version: state.version };
    Ok(Some((KeySetId::from_digest(Digest::from_array(id)), stored)))
}

/// The envelope with a hash.
pub(super) async fn body(archive: &dyn Archive, id: &KeySetId, sealed: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
    archive.record(BODIES, &body_key(id, sealed)).await
}

/// The commit that replaces a mailbox and adds or removes envelopes.
pub(super) fn commit(
    id: &KeySetId,
    before: &Stored,
    after: &Mailbox,
    bodies: impl Iterator<Item = (Digest, Option<Vec<u8>>)>,
) -> Commit {
    let state = PutState { key: state_key(id), replaces: before.version, bytes: after.to_bytes() };
    let records = bodies.map(|(sealed, body)| (BODIES.to_owned(), body_key(id, &sealed), body)).collect();
    Commit { states: vec![state], records, ..Commit::default() }
}

fn state_key(id: &KeySetId) -> MachineKey {
    [PREFIX, id.as_bytes()].concat()
}

fn body_key(id: &KeySetId, sealed: &Digest) -> Vec<u8> {
    [id.as_bytes(), sealed.as_bytes().as_slice()].concat()
}

fn decode(bytes: &[u8]) -> Result<Mailbox, ReadError> {
    Mailbox::from_bytes(bytes).map_err(|error| ReadError(format!("a stored mailbox is malformed: {error}")))
}

impl Encode for Mailbox {
    fn to_value(&self) -> Value {
        let seen = self.seen.map(|seen| seen.to_value());
        record().put(0, 1_u64).put(1, self.last).put_some(2, seen).put_list(3, &self.items).build()
    }
}

impl Decode for Mailbox {
    const BYTES_MAX: usize = 8 * 1024 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let last = fields.uint(1, "last")?;
        let seen = fields.optional_item(2, "seen")?;
        let items = fields.list(3, "items", ITEMS_BOUND)?;
        fields.close()?;
        Ok(Self { last, seen, items })
    }
}

impl Encode for Item {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.sealed).put(1, self.size).put_item(2, &self.time).build()
    }
}

impl Decode for Item {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let sealed = fields.item(0, "sealed")?;
        let size = fields.uint(1, "size")?;
        let time = fields.item(2, "time")?;
        fields.close()?;
        Ok(Self { sealed, size, time })
    }
}
