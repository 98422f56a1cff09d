//! The contact book: whom this party knows, by which name, and whom it accepts as an arbiter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use semper_commerce::offer::ArbiterOffer;
use semper_core::cbor::{Decode, DecodeError, Fields, Value, record};
use semper_core::cose::Signed;
use semper_core::ids::KeySetId;
use semper_core::party::KeySet;
use semper_core::signature::{Verified, Verify};
use semper_exchange::arbiter::rules_hash;
use semper_support::archive::{Archive, Commit, CommitError, ReadError};
use semper_support::channel::InboxAddress;
use semper_transfer::payment::means::System;
use semper_trust::card::{CardError, ContactCard, Service};

use crate::submission::agent_of;

/// Record space of the contacts: key set → contact.
const CONTACTS: &str = "contact";
/// Most contacts.
const CONTACTS_MAX: usize = 10_000;
/// Longest name of a contact, in bytes.
const NAME_MAX: usize = 256;
const PAGE: usize = 256;

/// Most cards whose signatures are remembered to be good.
const CARDS_MAX: usize = 256;

/// The contact book, in the archive.
pub struct Book {
    archive: Arc<dyn Archive>,
    verify: Arc<dyn Verify>,
    /// Cards that were checked, by their bytes: every step of a deal looks somebody up.
    checked: Mutex<HashMap<Vec<u8>, Arc<Verified<ContactCard>>>>,
}

/// Somebody in the contact book.
#[derive(Clone, Debug)]
pub struct Contact {
    /// What we call them.
    pub name: String,
    /// Whether we accept them as an arbiter.
    pub arbiter: bool,
    card: Arc<Verified<ContactCard>>,
}

/// Why the contact book has no answer, or did not take a card.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// Nobody has this key set.
    #[error("no contact has the key {0}")]
    Unknown(KeySetId),
    /// Nobody has this name.
    #[error("there is no contact {0:?}; see `semper contact list`")]
    NoSuchName(String),
    /// Somebody else has this name already.
    #[error("the name {0:?} is taken by another contact; choose one with --name")]
    NameTaken(String),
    /// The name is too long.
    #[error("the name of a contact has at most {NAME_MAX} bytes")]
    LongName,
    /// The card is not acceptable.
    #[error("the contact card is not acceptable: {0}")]
    Card(#[from] CardError),
    /// A newer card of the same key set is here already.
    #[error("a newer card of {0} is in the contact book already")]
    Older(String),
    /// The card's owner does not offer to be an arbiter under the rules that this program knows.
    #[error("{0} does not offer to be an arbiter under the rules that this program knows")]
    NoArbiter(String),
    /// The contact has no inbox.
    #[error("{0} has no inbox")]
    NoInbox(String),
    /// The contact does not date things.
    #[error("{0} is no time-stamp authority, by its card")]
    NoStamps(String),
    /// The contact stands for nobody.
    #[error("{0} is no guarantor, by its card")]
    NoGuarantor(String),
    /// The book is full.
    #[error("the contact book is full ({CONTACTS_MAX})")]
    Full,
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Storage failed; nothing was changed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Book {
    /// The contact book in an archive.
    pub fn new(archive: Arc<dyn Archive>, verify: Arc<dyn Verify>) -> Self {
        Self { archive, verify, checked: Mutex::default() }
    }

    /// Adds a contact by its card's text, or takes its newer card. `name` is what we call it; empty for what it calls itself.
    ///
    /// # Errors
    /// [`BookError`]; nothing was changed.
    pub async fn add(&self, card: &str, name: &str, arbiter: bool) -> Result<Contact, BookError> {
        if name.len() > NAME_MAX {
            return Err(BookError::LongName);
        }
        let card = Arc::new(ContactCard::verify_text(card, &*self.verify)?);
        let all = self.all().await?;
        let known = all.iter().find(|contact| contact.key_set().id() == card.signer());
        if known.is_some_and(|known| known.card.statement().time > card.statement().time) {
            return Err(BookError::Older(card.statement().name.clone()));
        }
        let own_name = || known.map_or_else(|| card.statement().name.clone(), |known| known.name.clone());
        let name = if name.is_empty() { own_name() } else { name.to_owned() };
        if all.iter().any(|contact| contact.name == name && contact.key_set().id() != card.signer()) {
            return Err(BookError::NameTaken(name));
        }
        if all.len() >= CONTACTS_MAX && known.is_none() {
            return Err(BookError::Full);
        }
        let contact = Contact { name, arbiter: arbiter || known.is_some_and(|known| known.arbiter), card };
        if contact.arbiter && contact.log().is_none() {
            return Err(BookError::NoArbiter(contact.name));
        }
        self.put(contact.key_set().id(), Some(contact.to_bytes())).await?;
        Ok(contact)
    }

    /// Removes a contact.
    ///
    /// # Errors
    /// `NoSuchName`, storage.
    pub async fn remove(&self, name: &str) -> Result<(), BookError> {
        let contact = self.by_name(name).await?;
        self.put(contact.key_set().id(), None).await
    }

    /// Accepts a contact as an arbiter, or does so no longer. Contracts that were signed under it go on.
    ///
    /// # Errors
    /// `NoSuchName`; `NoArbiter` if it does not offer to be one; storage. Nothing was changed.
    pub async fn accept(&self, name: &str, arbiter: bool) -> Result<Contact, BookError> {
        let contact = Contact { arbiter, ..self.by_name(name).await? };
        if contact.arbiter && contact.log().is_none() {
            return Err(BookError::NoArbiter(contact.name));
        }
        self.put(contact.key_set().id(), Some(contact.to_bytes())).await?;
        Ok(contact)
    }

    async fn put(&self, key_set: KeySetId, value: Option<Vec<u8>>) -> Result<(), BookError> {
        let records = vec![(CONTACTS.to_owned(), key_set.as_bytes().to_vec(), value)];
        Ok(self.archive.commit(Commit { records, ..Commit::default() }).await?)
    }

    /// Everybody, in the order of the key sets.
    ///
    /// # Errors
    /// Storage.
    pub async fn all(&self) -> Result<Vec<Contact>, BookError> {
        let mut all = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.archive.records(CONTACTS, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok(all);
            };
            after = Some(last.clone());
            for (_, bytes) in &page {
                all.push(self.read(bytes)?);
            }
        }
    }

    /// The contact with a name.
    ///
    /// # Errors
    /// `NoSuchName`, storage.
    pub async fn by_name(&self, name: &str) -> Result<Contact, BookError> {
        let mut all = self.all().await?;
        let exact = all.iter().position(|contact| contact.name == name);
        let place = exact.or_else(|| all.iter().position(|contact| contact.name.to_lowercase() == name.to_lowercase()));
        place.map(|place| all.swap_remove(place)).ok_or_else(|| BookError::NoSuchName(name.to_owned()))
    }

    /// Somebody by its card alone, under a name that nobody else has. It does not become a contact.
    ///
    /// # Errors
    /// The card is not acceptable, or somebody else's.
    pub fn read_card(&self, key_set: KeySetId, card: &str) -> Result<Contact, BookError> {
        let card = self.checked(card.as_bytes(), || ContactCard::verify_text(card, &*self.verify))?;
        if card.signer() != key_set {
            return Err(BookError::Unknown(key_set));
        }
        let id = key_set.to_string();
        let name = format!("{} ({})", card.statement().name, &id[..12]);
        Ok(Contact { name, arbiter: false, card })
    }

    /// The contact with a key set.
    ///
    /// # Errors
    /// `Unknown`, storage.
    pub async fn by_key_set(&self, key_set: KeySetId) -> Result<Contact, BookError> {
        let bytes = self.archive.record(CONTACTS, key_set.as_bytes()).await?.ok_or(BookError::Unknown(key_set))?;
        self.read(&bytes)
    }

    /// The accepted arbiters with these names; all of them if there is no name.
    ///
    /// # Errors
    /// Storage.
    pub async fn arbiters_named(&self, names: &[String]) -> Result<Vec<Contact>, BookError> {
        let mut accepted = self.all().await?;
        accepted.retain(|contact| contact.arbiter && (names.is_empty() || names.contains(&contact.name)));
        Ok(accepted)
    }

    /// The key sets of the accepted arbiters.
    ///
    /// # Errors
    /// Storage.
    pub async fn arbiters(&self) -> Result<Vec<KeySet>, BookError> {
        let accepted = self.arbiters_named(&[]).await?.into_iter();
        Ok(accepted.map(|contact| contact.key_set().clone()).take(semper_commerce::deal::ARBITERS_MAX).collect())
    }

    fn read(&self, bytes: &[u8]) -> Result<Contact, BookError> {
        let unreadable =
            |error: &dyn std::fmt::Display| BookError::Read(ReadError(format!("a stored contact: {error}")));
        let stored = Stored::from_bytes(bytes).map_err(|e| unreadable(&e))?;
        let card = stored.card.bytes();
        let card = self.checked(card, || ContactCard::verify(card, &*self.verify)).map_err(|e| unreadable(&e))?;
        Ok(Contact { name: stored.name, arbiter: stored.arbiter, card })
    }

    /// A card that was checked before, or is now.
    fn checked(
        &self,
        bytes: &[u8],
        check: impl FnOnce() -> Result<Verified<ContactCard>, CardError>,
    ) -> Result<Arc<Verified<ContactCard>>, CardError> {
        let remembered = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(card) = remembered().get(bytes) {
            return Ok(card.clone());
        }
        let card = Arc::new(check()?);
        let mut remembered = remembered();
        if remembered.len() >= CARDS_MAX {
            remembered.clear();
        }
        remembered.insert(bytes.to_vec(), card.clone());
        Ok(card)
    }
}

impl Contact {
    /// The card.
    pub fn card(&self) -> &ContactCard {
        self.card.statement()
    }

    /// The card in its text form.
    pub fn card_text(&self) -> String {
        ContactCard::to_text(self.card.signed())
    }

    /// The card as it was signed.
    pub fn card_bytes(&self) -> &[u8] {
        self.card.signed().bytes()
    }

    /// Whose receipts are expected, if its card says whose: the agent's that it names, or for an inbox of its own its transport keys'. Of the owner of
    /// a mailbox that names no agent nobody can say whether a receipt is its relay's.
    ///
    /// # Errors
    /// `NoInbox`.
    pub fn agent(&self) -> Result<Option<KeySetId>, BookError> {
        let (card, inbox) = (self.card(), self.inbox()?);
        let is_mailbox = inbox.url.ends_with(&card.transport.id().to_string());
        Ok((inbox.agent.is_some() || !is_mailbox).then(|| agent_of(card, inbox).id()))
    }

    /// The key set.
    pub fn key_set(&self) -> &KeySet {
        &self.card().key_set
    }

    /// As an offer names it among the arbiters.
    pub fn offered(&self) -> ArbiterOffer {
        ArbiterOffer { name: self.name.clone(), key_set: self.key_set().id() }
    }

    /// The best inbox.
    ///
    /// # Errors
    /// `NoInbox`.
    pub fn inbox(&self) -> Result<&InboxAddress, BookError> {
        self.card().inboxes.first().ok_or_else(|| BookError::NoInbox(self.name.clone()))
    }

    /// Where it dates things.
    ///
    /// # Errors
    /// `NoStamps`.
    pub fn time_stamps(&self) -> Result<&str, BookError> {
        let url = self.card().services.iter().find_map(|service| match service {
            Service::TimeStamps { url } => Some(url.as_str()),
            _ => None,
        });
        url.ok_or_else(|| BookError::NoStamps(self.name.clone()))
    }

    /// Where it answers as a guarantor.
    ///
    /// # Errors
    /// `NoGuarantor`.
    pub fn guarantor(&self) -> Result<&str, BookError> {
        let url = self.card().services.iter().find_map(|service| match service {
            Service::Guarantor { url } => Some(url.as_str()),
            _ => None,
        });
        url.ok_or_else(|| BookError::NoGuarantor(self.name.clone()))
    }

    /// The key set of the log, if this is an arbiter under rules that this program knows.
    pub fn log(&self) -> Option<&KeySet> {
        self.card().services.iter().find_map(|service| match service {
            Service::Arbiter { log, rules, .. } if *rules == rules_hash() => Some(log),
            _ => None,
        })
    }

    /// Its key for locks of a payment system, if this is an arbiter that knows it.
    pub fn lock_key(&self, system: &System) -> Option<Vec<u8>> {
        self.card().services.iter().find_map(|service| match service {
            Service::Arbiter { lock_keys, .. } => {
                let found = lock_keys.iter().find(|lock| lock.system == system.as_str());
                found.map(|lock| lock.key.clone())
            }
            _ => None,
        })
    }

    /// Whether it takes money into its hands, by its card.
    pub fn is_in_line(&self) -> bool {
        self.card().services.iter().any(|service| matches!(service, Service::InLine { .. }))
    }

    /// Whether it takes money of an issuer's into its hands, by its card.
    pub fn takes_in_line(&self, issuer: &str) -> bool {
        let same = |named: &String| named.trim_end_matches('/') == issuer.trim_end_matches('/');
        self.card().services.iter().any(|service| match service {
            Service::InLine { issuers } => issuers.is_empty() || issuers.iter().any(same),
            _ => false,
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let stored = record().put(0, self.name.as_str()).put_item(1, self.card.signed()).put(2, self.arbiter);
        stored.build().encode()
    }
}

/// ```text
/// contact = { 0: name, 1: signed contact card, 2: accepted as arbiter }
/// ```
struct Stored {
    name: String,
    card: Signed,
    arbiter: bool,
}

impl Decode for Stored {
    const BYTES_MAX: usize = 256 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let stored = Self {
            name: fields.text(0, "name", 1024)?,
            card: fields.item(1, "card")?,
            arbiter: fields.bool(2, "arbiter")?,
        };
        fields.close()?;
        Ok(stored)
    }
}
