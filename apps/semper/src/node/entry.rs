//! What the node stores about a deal: the machine's state and what only the driver knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use semper_commerce::deal::Deal;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::Draft;
use semper_core::ids::{DealId, KeySetId, StatementId};
use semper_core::party::KeySet;
use semper_core::time::Time;
use semper_exchange::cn::SIGNERS_MAX;
use semper_support::archive::{ReadError, StoredState};
use semper_support::engine::Consent;

/// Record space of the signatures that deals wait for: deal and statement → [`Ask`].
pub const ASK_SPACE: &str = "ask";
const PREFIX: &[u8] = b"deal/";

/// A deal as it is stored.
///
/// ```text
/// entry = { 0: 1, 1: deal, 2: opened, 3: messages taken, 4: title, 5: peer's name, ? 6: trouble, 7: [* name], ? 8: true,     ; 8: handing is provable
///           ? 9: told, ? 10: time }                                                               ; 10: of a backup
/// ```
#[derive(Clone, Debug)]
pub struct Entry {
    /// The machine.
    pub deal: Deal,
    /// When it was opened here.
    pub opened: Time,
    /// How many messages of the peer were taken; bounded by [`MESSAGES_MAX`].
    pub messages: u64,
    /// What it is about, in the user's words (a file's name).
    pub title: String,
    /// What the contact book called the peer when the deal was opened; of many, all of them.
    pub peer: String,
    /// Of many: what the others are called, in the order of their roles. Empty between two.
    pub others: Vec<String>,
    /// The last thing that went wrong, in plain words.
    pub trouble: Option<String>,
    /// Whether what we send is kept so that its submission can be proven.
    pub handing: Handing,
    /// The notice that it carries, if it carries one.
    pub told: Option<Told>,
    /// The time of the backup that it comes from, if it had not ended then: what happened to it since is not known here.
    pub restored: Option<Time>,
}

/// A notice, as the deal knows it that carries it.
///
/// ```text
/// told = { 0: name of what it says, ? 1: deal }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it says: `withdrawal`, `dispute`, `answer`.
    pub saying: String,
    /// The deal that it is about. `None`: it is about no contract of ours with its sender, and is mail like any other.
    pub about: Option<DealId>,
}

/// Whether it can be proven later that a message was handed in for its recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handing {
    /// No: what gives the sealed bytes again is forgotten when they are made.
    #[default]
    Unproven,
    /// Yes: it is kept as evidence, and with it the message.
    Provable,
}

/// Most messages that a deal takes, for each other party. A run of C2 has four, one of CN at most nine of each; the rest is room for
/// contradictions, which are kept.
const MESSAGES_MAX: u64 = 64;
/// Most bytes that are kept of a title, a name, or what went wrong.
const WORDS_MAX: usize = 1024;

impl Entry {
    /// A deal that was opened just now, between two, and of which nothing is to be proven.
    pub fn new(deal: Deal, title: String, peer: String) -> Self {
        let (opened, handing) = (super::now(), Handing::Unproven);
        let (others, trouble, told, restored) = (Vec::new(), None, None, None);
        Self { deal, opened, messages: 0, title, peer, others, trouble, handing, told, restored }
    }

    /// The archive's key of a deal.
    pub fn key(deal: &DealId) -> Vec<u8> {
        [PREFIX, deal.as_bytes()].concat()
    }

    /// The prefix of all deals' keys.
    pub fn prefix() -> &'static [u8] {
        PREFIX
    }

    /// The deal that an archive's key belongs to.
    pub fn deal_of(key: &[u8]) -> Option<DealId> {
        key.strip_prefix(PREFIX)?.try_into().ok().map(DealId::from_array)
    }

    /// What one of many others is called.
    pub fn called(&self, party: KeySetId) -> Option<&str> {
        let mut others = self.deal.sides().others().map(KeySet::id).zip(&self.others);
        others.find(|(key_set, _)| *key_set == party).map(|(_, name)| name.as_str())
    }

    /// Whether the deal has taken as many messages as it may.
    pub fn is_full(&self) -> bool {
        self.messages >= MESSAGES_MAX * self.deal.sides().others().count() as u64
    }

    /// Reads a stored deal.
    ///
    /// # Errors
    /// The stored bytes are not a deal of this version.
    pub fn read(stored: &StoredState) -> Result<Self, ReadError> {
        Self::from_bytes(&stored.bytes).map_err(|error| ReadError(format!("a stored deal is not readable: {error}")))
    }
}

/// Entries as they were read last: between two steps of a deal it is looked at from several sides.
#[derive(Debug, Default)]
pub(super) struct Entries(Mutex<HashMap<Vec<u8>, Read>>);

/// A version of a stored deal.
#[derive(Debug)]
struct Read {
    version: u64,
    entry: Arc<Entry>,
}

/// Most entries that are remembered.
const ENTRIES_MAX: usize = 64;

impl Entries {
    /// Reads a stored deal. One version of a state is one sequence of bytes.
    ///
    /// # Errors
    /// As [`Entry::read`].
    pub(super) fn read(&self, stored: &StoredState) -> Result<Entry, ReadError> {
        let remembered = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = remembered().get(&stored.key).filter(|read| read.version == stored.version) {
            return Ok(Entry::clone(&read.entry));
        }
        let entry = Arc::new(Entry::read(stored)?);
        let mut remembered = remembered();
        if remembered.len() >= ENTRIES_MAX && !remembered.contains_key(&stored.key) {
            remembered.clear();
        }
        remembered.insert(stored.key.clone(), Read { version: stored.version, entry: entry.clone() });
        Ok(Entry::clone(&entry))
    }
}

impl Encode for Entry {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.deal)
            .put_item(2, &self.opened)
            .put(3, self.messages)
            .put(4, words(&self.title))
            .put(5, words(&self.peer))
            .put_some(6, self.trouble.as_deref().map(words))
            .put(7, self.others.iter().map(|name| words(name)).collect::<Vec<_>>())
            .put_some(8, (self.handing == Handing::Provable).then_some(true))
            .put_some(9, self.told.as_ref().map(Encode::to_value))
            .put_some(10, self.restored.as_ref().map(Encode::to_value))
            .build()
    }
}

impl Decode for Entry {
    const BYTES_MAX: usize = Deal::BYTES_MAX + (4 + SIGNERS_MAX) * WORDS_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let entry = Self {
            deal: fields.item(1, "deal")?,
            opened: fields.item(2, "opened")?,
            messages: fields.uint(3, "messages")?,
            title: fields.text(4, "title", WORDS_MAX)?,
            peer: fields.text(5, "peer", WORDS_MAX)?,
            trouble: fields.optional_item(6, "trouble")?,
            others: fields.list(7, "others", SIGNERS_MAX)?,
            handing: match fields.optional(8) {
                None => Handing::Unproven,
                Some(Value::Bool(true)) => Handing::Provable,
                Some(_) => {
                    return Err(DecodeError::field("handing", Problem::OutOfRange("what is not so is left out")));
                }
            },
            told: fields.optional_item(9, "told")?,
            restored: fields.optional_item(10, "restored")?,
        };
        fields.close()?;
        Ok(entry)
    }
}

impl Encode for Told {
    fn to_value(&self) -> Value {
        record().put(0, self.saying.as_str()).put_some(1, self.about.as_ref().map(Encode::to_value)).build()
    }
}

impl Decode for Told {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let told = Self { saying: fields.text(0, "saying", 16)?, about: fields.optional_item(1, "about")? };
        fields.close()?;
        Ok(told)
    }
}

/// Words for the screen, as they are stored: many of them come from others, and a deal must be readable whatever they say.
fn words(text: &str) -> Value {
    match Value::text(text) {
        Value::Text(mut text) => {
            text.truncate(text.floor_char_boundary(WORDS_MAX));
            Value::Text(text)
        }
        other => other,
    }
}

/// A signature that a deal waits for.
///
/// ```text
/// ask = { 0: kind, 1: suite, 2: signer, 3: payload, 4: whether the user is asked }
/// ```
#[derive(Clone, Debug)]
pub struct Ask {
    /// The statement.
    pub draft: Draft,
    /// Whether the user is asked.
    pub consent: Consent,
}

impl Ask {
    /// The record's key.
    pub fn key(deal: &DealId, statement: &StatementId) -> Vec<u8> {
        [deal.as_bytes().as_slice(), statement.as_bytes()].concat()
    }

    /// The deal that a record's key belongs to.
    pub fn deal_of(key: &[u8]) -> Option<DealId> {
        key.get(..16)?.try_into().ok().map(DealId::from_array)
    }
}

impl Encode for Ask {
    fn to_value(&self) -> Value {
        self.draft.fields().put(4, self.consent == Consent::Ask).build()
    }
}

impl Decode for Ask {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let draft = Draft::read(&mut fields)?;
        let consent = if fields.bool(4, "consent")? { Consent::Ask } else { Consent::Implied };
        fields.close()?;
        Ok(Self { draft, consent })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_commerce::deal::Accepts;
    use semper_commerce::plan::PAY;
    use semper_core::party::Suite;
    use semper_core::time::Seconds;
    use semper_crypto::SecretKeys;
    use semper_support::crypto::Signer as _;

    use super::*;

    // A peer says so much about a deal that the record of it cannot be read again: the deal stands still, and no list shows any deal.
    #[test]
    fn a_deal_is_readable_whatever_is_said_about_it() {
        let key_set = || SecretKeys::generate(Suite::Ed25519).unwrap().key_set().clone();
        let accepts = Accepts { arbiters: Vec::new(), purses: Vec::new(), patience: Seconds(1) };
        let deal = Deal::opened(DealId::from_array([1; 16]), &PAY, key_set(), key_set(), accepts);
        // The last one is stored as two characters each.
        for said in ["x".repeat(1025), "\u{e4}".repeat(40_000), "\u{958}".repeat(400)] {
            let entry = Entry {
                deal: deal.clone(),
                opened: Time::from_unix(1),
                messages: 0,
                title: said.clone(),
                peer: said.clone(),
                others: vec![said.clone(); SIGNERS_MAX],
                trouble: Some(said.clone()),
                handing: Handing::Provable,
                told: Some(Told { saying: "dispute".to_owned(), about: Some(DealId::from_array([2; 16])) }),
                restored: None,
            };
            let read = Entry::from_bytes(&entry.to_bytes()).unwrap();
            assert_eq!((read.handing, &read.told), (Handing::Provable, &entry.told));
            assert!((1000..=WORDS_MAX).contains(&read.title.len()), "{}", read.title.len());
        }
    }
}
