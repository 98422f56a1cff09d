//! Deals among many: who the others are, and how they are reached; and strangers in all deals.
//!
//! The one who opens a deal among many must be a contact. The others may be strangers: their cards come with the proposal and are kept with the
//! deal, as is the card of whoever takes up an offer, or has made it. They do not become contacts by that.
//!
//! ```text
//! record "introduced"   deal (16 bytes) ‖ key set → contact card (text)
//! ```

use semper_commerce::contract_file;
use semper_commerce::deal::{Accepts, Deal, DealError, Message};
use semper_commerce::plan::SIGN_MANY;
use semper_commerce::proposal::Proposal;
use semper_core::cbor::Decode as _;
use semper_core::container::Container;
use semper_core::ids::{DealId, KeySetId};
use semper_core::text::escape;
use semper_support::archive::ReadError;
use semper_transfer::tx;
use semper_trust::card::ContactCard;

use super::{BookError, Contact, Entry, Handing, Node, NodeError};

/// Record space of the cards of strangers.
const INTRODUCED: &str = "introduced";

/// A record to be stored.
pub type Record = (String, Vec<u8>, Option<Vec<u8>>);

impl Node {
    /// A deal that our user starts among many. `others` are what they are called, in the order of their roles.
    ///
    /// # Errors
    /// [`NodeError`]; nothing was stored or sent.
    pub async fn begin_among(
        &self,
        deal: Deal,
        title: String,
        others: Vec<String>,
        handing: Handing,
    ) -> Result<DealId, NodeError> {
        let peer = others.join(", ");
        self.begin_entry(Entry { others, handing, ..Entry::new(deal, title, peer) }).await
    }

    /// A deal that somebody opens among many, and the cards of those whom this party does not know.
    pub(super) async fn opened_among(
        &self,
        id: DealId,
        from: KeySetId,
        message: &Message,
    ) -> Result<(Entry, Vec<Record>), NodeError> {
        let malformed = |error| NodeError::Deal(DealError::Malformed(error));
        let proposal = |error| NodeError::Deal(DealError::Proposal(error));
        let tx::Message::Container { container, .. } = tx::Message::from_bytes(&message.body).map_err(malformed)?
        else {
            return Err(NodeError::NoSuchDeal(id));
        };
        let container = Container::from_bytes(&container).map_err(malformed)?;
        let agreement = Proposal::from_container(&container).map_err(proposal)?.into_agreement();
        let me = self.keys.key_set();
        let role = agreement.core.role_of(me.id()).ok_or(NodeError::NotAmongThem)?;
        let first = agreement.core.terms.parties.first().map(|party| party.key_set);
        if first != Some(from) {
            return Err(NodeError::NotAmongThem);
        }
        // Who opens the deal is known; it answers for bringing the others.
        self.book.by_key_set(from).await?;
        let mut cards = Vec::new();
        for text in Proposal::cards(&container).map_err(proposal)? {
            let card = ContactCard::verify_text(&text, &*self.verify).map_err(BookError::Card)?;
            cards.push((card.statement().key_set.clone(), text));
        }
        let called = contract_file::signer_names(&agreement.document);
        let (mut others, mut names, mut records) = (Vec::new(), Vec::new(), Vec::new());
        for (place, party) in agreement.core.terms.parties.iter().enumerate().filter(|(_, party)| party.role != role) {
            let (key_set, name) = match self.book.by_key_set(party.key_set).await {
                Ok(known) => (known.key_set().clone(), known.name),
                Err(BookError::Unknown(unknown)) => {
                    let found = cards.iter().find(|(key_set, _)| key_set.id() == unknown);
                    let (key_set, card) = found.ok_or(NodeError::NoCard(unknown))?;
                    records.push(introduction(&id, unknown, card));
                    (key_set.clone(), escape(called.get(place).map_or("", String::as_str), 0))
                }
                Err(error) => return Err(error.into()),
            };
            others.push(key_set);
            names.push(name);
        }
        let arbiters = self.book.arbiters().await?;
        let accepts = Accepts { arbiters, purses: Vec::new(), patience: self.patience().await?.value };
        let deal = Deal::opened_among(id, me, others, role, accepts)?;
        let (title, peer) = (SIGN_MANY.name.to_owned(), names.join(", "));
        Ok((Entry { others: names, ..Entry::new(deal, title, peer) }, records))
    }

    /// Somebody whom a deal brings: a contact, or a stranger by its own card, which is then to be stored with the deal.
    ///
    /// # Errors
    /// The card is not acceptable, or somebody else's; storage failed.
    pub async fn met(
        &self,
        deal: &DealId,
        key_set: KeySetId,
        card: &str,
    ) -> Result<(Contact, Option<Record>), BookError> {
        match self.book.by_key_set(key_set).await {
            Ok(known) => Ok((known, None)),
            Err(BookError::Unknown(_)) => {
                Ok((self.book.read_card(key_set, card)?, Some(introduction(deal, key_set, card))))
            }
            Err(error) => Err(error),
        }
    }

    /// Another party of a deal: a contact, or a stranger whose card is stored with it, or is among the records that are about to be.
    ///
    /// # Errors
    /// It is neither, or storage failed.
    pub(super) async fn party(
        &self,
        deal: &DealId,
        key_set: KeySetId,
        records: &[Record],
    ) -> Result<Contact, NodeError> {
        match self.book.by_key_set(key_set).await {
            Err(BookError::Unknown(_)) => {}
            known => return Ok(known?),
        }
        let key = introduced(deal, key_set);
        let card = match records.iter().find(|(space, found, _)| space == INTRODUCED && *found == key) {
            Some((_, _, card)) => card.clone(),
            None => self.archive.record(INTRODUCED, &key).await?,
        };
        let card = card.ok_or(NodeError::Book(BookError::Unknown(key_set)))?;
        let card = String::from_utf8(card).map_err(|_| ReadError("a stored card is not text".to_owned()))?;
        Ok(self.book.read_card(key_set, &card)?)
    }
}

fn introduction(deal: &DealId, key_set: KeySetId, card: &str) -> Record {
    (INTRODUCED.to_owned(), introduced(deal, key_set), Some(card.as_bytes().to_vec()))
}

fn introduced(deal: &DealId, key_set: KeySetId) -> Vec<u8> {
    [deal.as_bytes().as_slice(), key_set.as_bytes()].concat()
}
