//! Information for information: an offer whose price is a file, and the swap that takes it up.
//!
//! The words are in `services/swap/`, one file per language. The offered goods are fetched before, as in a purchase; the file that is given for
//! them travels sealed with the order, as a letter does. Whoever takes up the offer writes the terms and puts down its own key ([`Bid`]); whoever
//! made it looks at them and puts down its own ([`reply`]). So both deposits stand under one contract after one message each way.
//!
//! Source: `spec/swap.md`.

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::container::{Container, NAME_MAX as FILE_NAME_MAX};
use semper_core::contract::{Core, DEPOSIT_MAX, DESCRIPTOR_MAX, Item, ItemKind, Profile, Terms};
use semper_core::cose::{Kind, Statement};
use semper_core::document::{Document, DocumentError, FieldValue};
use semper_core::hash::Digest;
use semper_core::ids::{KeySetId, Slot, StatementId};
use semper_core::party::Role;
use semper_core::template::{FieldKind, Template};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_exchange::goods::{ArticleKey, Deposit, Descriptor, Sealed, Seed, TooLarge};
use semper_exchange::planner::{DatesError, Impossible, check_dates, plan_of};
use semper_support::crypto::{CryptoError, Encapsulate};

use crate::letter;
use crate::offer::{ARBITERS_MAX, ArbiterOffer, CARD_MAX, NAME_MAX};
use crate::proposal::{Agreement, Proposal};
use crate::terms::{Arbiter, DELTA, Named, SIGMA, all_hold, arbiter, are_as_asked, deadlines, item, pair, parties};
use crate::words::{self, Fact, LOCALES, required, text, texts};

/// The name of the template.
pub const TEMPLATE: &str = "swap";
/// Most bytes of the letter with the file that is given for the goods.
pub const SWAP_MAX: usize = 4 * 1024 * 1024;

/// Where the letter stands in the contract.
const FIRST: Slot = Slot(0);
/// Where the goods stand in the contract.
const SECOND: Slot = Slot(1);

/// "I give this to anybody who gives me that file." By the owner of the goods; it binds nobody.
///
/// ```text
/// file-offer = { 0: 2, 1: descriptor of the goods, 2: cipher root, 3: wanted, 5: [1*8 arbiter], 6: owner's name, 7: valid for, 8: until }
/// wanted     = { 0: hash, 1: name, ? 2: size }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileOffer {
    /// What is given.
    pub goods: Descriptor,
    /// The root over its ciphertext, which can be had before anything is agreed.
    pub cipher_root: Digest,
    /// The file that is wanted for it.
    pub wants: WantedFile,
    /// The arbiters that the owner accepts, the one that it likes best first.
    pub arbiters: Vec<ArbiterOffer>,
    /// What the owner calls itself.
    pub owner: String,
    /// How long the arbiter can be asked.
    pub valid_for: Seconds,
    /// How long the offer stands.
    pub until: Time,
}

/// A file that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WantedFile {
    /// Its hash, as contracts and folders name files.
    pub hash: Digest,
    /// What it is called; not said if empty.
    pub name: String,
    /// Its size in bytes, if that is known.
    pub size: Option<u64>,
}

/// "I want this, and give that." By whoever takes up an offer; it binds nobody and is not signed.
///
/// ```text
/// swap = { 0: 1, 1: statement id of the offer, 2: terms, 3: document, 4: deposit, 5: sealed letter, 6: contact card (text) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The signed offer.
    pub offer: StatementId,
    /// The terms of the contract.
    pub terms: Terms,
    /// Its text.
    pub document: Document,
    /// The deposit of the letter.
    pub deposit: Vec<u8>,
    /// The letter.
    pub sealed: Vec<u8>,
    /// The contact card of whoever asks, in its text form. Not checked here.
    pub card: String,
}

/// What somebody gives for an offer.
pub struct Bid<'a> {
    /// The offer.
    pub offer: &'a FileOffer,
    /// Its identifier.
    pub id: StatementId,
    /// Whose offer it is.
    pub owner: KeySetId,
    /// Who takes it up.
    pub bidder: Named,
    /// The arbiter, one of those that the offer names.
    pub arbiter: &'a Arbiter,
    /// The file, alone.
    pub contents: &'a Container,
    /// A random key, for this letter only.
    pub key: &'a ArticleKey,
    /// The seed of its deposit: random, for this swap only.
    pub seed: &'a Seed,
    /// The language in which the contract is shown, one of [`LOCALES`].
    pub locale: String,
    /// The bidder's contact card in its text form.
    pub card: String,
    /// Random bytes that make the contract unique.
    pub nonce: [u8; 32],
    /// The present time.
    pub now: Time,
}

/// Why a swap cannot be asked for, or not be answered with a contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The offer has no such arbiter or language.
    #[error("the offer has no such {0}")]
    NoSuchChoice(&'static str),
    /// The letter is too large.
    #[error("a file that is swapped has at most {SWAP_MAX} bytes")]
    Size,
    /// What is asked for is not what was offered.
    #[error("this was not offered so: the {0} differ")]
    NotOffered(&'static str),
    /// A field does not fit the template.
    #[error("the contract cannot be written: {0}")]
    Document(#[from] DocumentError),
    /// A part of the contract breaks its rule.
    #[error("the contract cannot be written: {0}")]
    Malformed(#[from] DecodeError),
    /// There is too little time.
    #[error("the contract's dates cannot be kept: {0}")]
    Dates(#[from] DatesError),
    /// The exchange would not be fair.
    #[error("this cannot be exchanged fairly: {0}")]
    Unfair(#[from] Impossible),
    /// The arbiter's key or a seed is malformed.
    #[error("the key cannot be deposited: {0}")]
    Deposit(#[from] CryptoError),
}

impl From<TooLarge> for SwapError {
    fn from(_: TooLarge) -> Self {
        SwapError::Size
    }
}

impl FileOffer {
    /// The offer in plain words, as its owner approves it.
    pub fn describe(&self) -> String {
        let WantedFile { hash, name, size } = &self.wants;
        let mut text = format!(
            "OFFER\n\n{} gives to anybody, until {}:\n  {}, {}, {} bytes\n  hash {}\nfor the file with hash {hash}\n",
            escape(&self.owner, 0),
            self.until,
            escape(self.goods.name(), 0),
            escape(self.goods.media_type(), 0),
            self.goods.size().bytes(),
            self.goods.plain_root(),
        );
        if !name.is_empty() {
            text.push_str(&format!("  called {}\n", escape(name, 0)));
        }
        if let Some(size) = size {
            text.push_str(&format!("  of {size} bytes\n"));
        }
        if !self.goods.text().is_empty() {
            text.push_str(&format!("Description: {}\n", escape(self.goods.text(), 0)));
        }
        for arbiter in &self.arbiters {
            text.push_str(&format!("Arbiter: {} (key {})\n", escape(&arbiter.name, 0), arbiter.key_set));
        }
        text.push_str(&format!(
            "\nEvery order of it is shown as a contract before anything is signed. The arbiter can be asked for {} hours after it.\n",
            self.valid_for.0 / 3600
        ));
        text
    }
}

impl Bid<'_> {
    /// The order, with the terms of the contract.
    ///
    /// # Errors
    /// [`SwapError`].
    pub fn ask(self, kem: &dyn Encapsulate) -> Result<Swap, SwapError> {
        let Self { offer, arbiter, contents, .. } = &self;
        let named = offer.arbiters.iter().find(|named| named.key_set == arbiter.key_set);
        let named = named.ok_or(SwapError::NoSuchChoice("arbiter"))?;
        if !LOCALES.contains(&self.locale.as_str()) {
            return Err(SwapError::NoSuchChoice("language"));
        }
        let contents = contents.to_bytes();
        if contents.len() > SWAP_MAX {
            return Err(SwapError::Size);
        }
        let (article, sealed) = Sealed::seal(&contents, self.key.clone())?;
        let letter = letter::describe(&article, "")?;
        let deadlines = deadlines(self.now.after(offer.valid_for));
        check_dates(&deadlines, self.now)?;
        let template = template();
        let parts = [&letter, &offer.goods];
        let names = [
            ("first_name", text(&self.bidder.name)),
            ("second_name", text(&offer.owner)),
            ("file_hash", text(&offer.wants.hash.to_hex())),
            ("arbiter_name", text(&named.name)),
        ];
        let facts = facts([self.bidder.key_set, self.owner], parts, arbiter.key_set, deadlines.not_after);
        let document = words::fill(&template, &self.locale, names.into_iter().chain(facts));
        let terms = Terms {
            profile: Profile::Gx,
            parties: parties([self.bidder.key_set, self.owner]),
            arbiter: Some(arbiter.reference()),
            items: items(parts),
            deadlines,
            text: document.text_ref(&template)?,
            links: Vec::new(),
            nonce: self.nonce,
        };
        let core = Core { terms, deposits: BTreeMap::new() };
        plan_of(&core)?;
        let label = (core.tid(), FIRST);
        let deposit =
            Deposit::make(kem, &arbiter.deposit_key, self.seed, label, self.key, article.cipher_root)?.to_bytes();
        let (sealed, terms) = (sealed.to_bytes(), core.terms);
        Ok(Swap { offer: self.id, terms, document, deposit, sealed, card: self.card })
    }
}

/// The contract that answers an order, as the owner of the goods completes it. `now` is when the order came; `nonce` makes the transfer unique.
///
/// # Errors
/// [`SwapError`].
pub fn reply(
    swap: &Swap,
    offer: &FileOffer,
    arbiter: &Arbiter,
    (article, seed): (&ArticleKey, &Seed),
    kem: &dyn Encapsulate,
    (now, nonce): (Time, [u8; 16]),
) -> Result<Proposal, SwapError> {
    let mut core = Core { terms: swap.terms.clone(), deposits: BTreeMap::from([(FIRST, swap.deposit.clone())]) };
    let label = (core.tid(), SECOND);
    let deposit = Deposit::make(kem, &arbiter.deposit_key, seed, label, article, offer.cipher_root)?;
    core.deposits.insert(SECOND, deposit.to_bytes());
    let agreement = Agreement { core, document: swap.document.clone(), template: template() };
    check(&agreement).map_err(SwapError::NotOffered)?;
    agreement.text().map_err(|_| SwapError::NotOffered("text"))?;
    offered(&agreement, offer, now).map_err(SwapError::NotOffered)?;
    if swap.sealed.len() > SWAP_MAX + SWAP_MAX / 128 || !is_enclosed(&agreement.core, &swap.sealed) {
        return Err(SwapError::NotOffered("letter"));
    }
    let files = vec![letter::enclosure(swap.sealed.clone())?];
    Ok(Proposal { agreement, files, nonce })
}

/// Whether a contract is one over what was offered.
fn offered(agreement: &Agreement, offer: &FileOffer, now: Time) -> Result<(), &'static str> {
    let (core, terms) = (&agreement.core, &agreement.core.terms);
    let deadlines = &terms.deadlines;
    let arbiter = offer.arbiters.iter().find(|named| Some(named.key_set) == core.arbiter()).ok_or("arbiter")?;
    let said = |name, expected: &str| words::said(&agreement.document, name, expected);
    let asked = now.after(offer.valid_for);
    let checks = [
        ("goods", terms.items.get(1).is_some_and(|item| item.descriptor == offer.goods.to_bytes())),
        ("file", said("file_hash", &offer.wants.hash.to_hex())),
        ("names", said("second_name", &offer.owner) && said("arbiter_name", &arbiter.name)),
        ("deadlines", are_as_asked(deadlines, asked, [DELTA, SIGMA])),
        ("dates", check_dates(deadlines, now).is_ok()),
    ];
    all_hold(checks)
}

/// Whether a contract is the one that was asked for, over the goods that were offered and fetched.
///
/// # Errors
/// What is not as asked.
pub fn answers(agreement: &Agreement, swap: &Swap, offer: &FileOffer) -> Result<(), &'static str> {
    let deposit = |slot: Slot| agreement.core.deposits.get(&slot).map(Vec::as_slice).unwrap_or_default();
    let goods = Deposit::from_bytes(deposit(SECOND)).map_err(|_| "goods")?;
    let checks = [
        ("terms", agreement.core.terms == swap.terms && agreement.document == swap.document),
        ("letter", deposit(FIRST) == swap.deposit),
        ("goods", goods.cipher_root == offer.cipher_root),
    ];
    all_hold(checks)
}

/// The letter of the originator, the goods of the responder.
fn items([letter, goods]: [&Descriptor; 2]) -> Vec<Item> {
    let item = |owner, file: &Descriptor, slot| item(ItemKind::Information, owner, file.to_bytes(), slot);
    vec![item(Role::ORIGINATOR, letter, FIRST), item(Role::RESPONDER, goods, SECOND)]
}

/// What the text says that the contract says too.
fn facts(
    [first, second]: [KeySetId; 2],
    [letter, goods]: [&Descriptor; 2],
    arbiter: KeySetId,
    closes: Time,
) -> impl Iterator<Item = Fact> {
    let [(_, sealed_size), (_, sealed_hash)] = words::bytes_facts(letter);
    let facts = [
        ("first", FieldValue::Party(first)),
        ("second", FieldValue::Party(second)),
        ("sealed_size", sealed_size),
        ("sealed_hash", sealed_hash),
    ];
    let facts = facts.into_iter().chain(words::goods_facts(goods));
    let facts = facts.chain([("description", FieldValue::LongText(goods.text().to_owned()))]);
    facts.chain(words::arbiter_facts(arbiter, closes))
}

/// The template of a swap.
pub fn template() -> Template {
    let mut fields = vec![
        required("first_name", FieldKind::Text, "first party", "erste Partei"),
        required("first", FieldKind::Party, "key of the first party", "Schlüssel der ersten Partei"),
        required("second_name", FieldKind::Text, "second party", "zweite Partei"),
        required("second", FieldKind::Party, "key of the second party", "Schlüssel der zweiten Partei"),
        required("file_hash", FieldKind::Text, "hash of the file", "Hash der Datei"),
        required("sealed_size", FieldKind::Uint, "size of the letter in bytes", "Größe des Briefs in Bytes"),
        required("sealed_hash", FieldKind::Digest, "hash of the letter", "Hash des Briefs"),
    ];
    fields.extend(words::file_fields("goods", "file of the second party", "Datei der zweiten Partei"));
    fields.push(required("description", FieldKind::LongText, "description", "Beschreibung"));
    fields.extend(words::arbiter_fields());
    words::template(TEMPLATE, fields, texts!("swap"))
}

/// What the text of a swap says must be what its core says.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let core = &agreement.core;
    let [letter, goods] = swapped(core).ok_or("items")?;
    let (parties, terms) = (pair(core)?, &core.terms);
    if terms.parties.len() != 2 || terms.profile != Profile::Gx || terms.deadlines.complaints.is_some() {
        return Err("items");
    }
    let facts = facts(parties, [&letter, &goods], arbiter(core)?, terms.deadlines.not_after);
    words::agree(&agreement.document, facts)?;
    match agreement.document.fields.get("file_hash") {
        Some(FieldValue::Text(hash)) if Digest::from_hex(hash).is_some_and(|read| read.to_hex() == *hash) => {}
        _ => return Err("file_hash"),
    }
    plan_of(core).map(drop).map_err(|_| "plan")
}

/// The letter and the goods that a contract swaps.
fn swapped(core: &Core) -> Option<[Descriptor; 2]> {
    let [first, second] = core.terms.items.as_slice() else { return None };
    let (letter, goods) =
        (Descriptor::from_bytes(&first.descriptor).ok()?, Descriptor::from_bytes(&second.descriptor).ok()?);
    let as_asked = letter::is_letter(&letter) && letter.text().is_empty();
    (as_asked && items([&letter, &goods]) == core.terms.items).then_some([letter, goods])
}

/// Whether what travels with a contract is the letter that it describes.
pub(crate) fn is_enclosed(core: &Core, sealed: &[u8]) -> bool {
    let root = core.deposits.get(&FIRST).and_then(|deposit| Deposit::from_bytes(deposit).ok());
    letter::is_of(sealed, swapped(core).zip(root).map(|([letter, _], deposit)| (letter, deposit.cipher_root)))
}

/// What a swap is called on the screen, if the contract is one.
pub fn title(agreement: &Agreement) -> Option<String> {
    let [_, goods] = swapped(&agreement.core).filter(|_| agreement.template.name() == TEMPLATE)?;
    Some(format!("{} for another file", escape(goods.name(), 0)))
}

impl Statement for FileOffer {
    const KIND: Kind = Kind::Offer;
}

impl Encode for FileOffer {
    fn to_value(&self) -> Value {
        record()
            .put(0, 2_u64)
            .put_bytes(1, self.goods.to_bytes())
            .put_item(2, &self.cipher_root)
            .put_item(3, &self.wants)
            .put_list(5, &self.arbiters)
            .put(6, self.owner.as_str())
            .put_item(7, &self.valid_for)
            .put_item(8, &self.until)
            .build()
    }
}

impl Decode for FileOffer {
    const BYTES_MAX: usize = 64 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 2)?;
        let offer = Self {
            goods: Descriptor::from_bytes(&fields.bytes(1, "goods", DESCRIPTOR_MAX)?)?,
            cipher_root: fields.item(2, "cipher root")?,
            wants: fields.item(3, "wanted")?,
            arbiters: fields.list(5, "arbiters", ARBITERS_MAX)?,
            owner: fields.text(6, "owner", NAME_MAX)?,
            valid_for: fields.item(7, "valid for")?,
            until: fields.item(8, "until")?,
        };
        fields.close()?;
        if offer.arbiters.is_empty() {
            return Err(DecodeError::field("arbiters", Problem::OutOfRange("at least one is needed")));
        }
        Ok(offer)
    }
}

impl Encode for WantedFile {
    fn to_value(&self) -> Value {
        let size = self.size.map(Value::from);
        record().put_item(0, &self.hash).put(1, self.name.as_str()).put_some(2, size).build()
    }
}

impl Decode for WantedFile {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let wanted = Self {
            hash: fields.item(0, "hash")?,
            name: fields.text(1, "name", FILE_NAME_MAX)?,
            size: fields.optional_item(2, "size")?,
        };
        fields.close()?;
        Ok(wanted)
    }
}

impl Encode for Swap {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.offer)
            .put_item(2, &self.terms)
            .put_bytes(3, self.document.to_bytes())
            .put_bytes(4, &self.deposit)
            .put_bytes(5, &self.sealed)
            .put(6, self.card.as_str())
            .build()
    }
}

impl Decode for Swap {
    const BYTES_MAX: usize = SWAP_MAX + 1024 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let swap = Self {
            offer: fields.item(1, "offer")?,
            terms: fields.item(2, "terms")?,
            document: Document::from_bytes(&fields.bytes(3, "document", Document::BYTES_MAX)?)?,
            deposit: fields.bytes(4, "deposit", DEPOSIT_MAX)?,
            sealed: fields.bytes(5, "letter", Self::BYTES_MAX)?,
            card: fields.text(6, "card", CARD_MAX)?,
        };
        fields.close()?;
        Ok(swap)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_core::container::{Attributes, Information, Leaf, Node};

    use super::*;
    use crate::fixtures::{NOW, Open, ann, arbiter, key_set, named};

    fn goods_key() -> ArticleKey {
        ArticleKey::from_array([8; ArticleKey::LEN])
    }

    fn offer() -> FileOffer {
        let (article, sealed) = Sealed::seal(b"theirs", goods_key()).unwrap();
        let goods = Descriptor::new("theirs.csv", "text/csv", article.size, article.plain_root, "numbers").unwrap();
        FileOffer {
            goods,
            cipher_root: sealed.cipher_root(),
            wants: WantedFile { hash: file().hash(), name: "mine.csv".to_owned(), size: Some(4) },
            arbiters: vec![ann()],
            owner: "Bob".to_owned(),
            valid_for: Seconds(100_000),
            until: NOW.after(Seconds(1_000_000)),
        }
    }

    fn file() -> Information {
        Information::new("mine.csv", "text/csv", b"mine".to_vec()).unwrap()
    }

    fn asked(offer: &FileOffer) -> Swap {
        let leaf = Node::leaf(Attributes::default(), Leaf::Information(file()));
        let contents = Container::new([2; 16], Node::branch(Attributes::default(), vec![leaf])).unwrap();
        let bid = Bid {
            offer,
            id: StatementId::from_digest(Digest::from_array([9; 32])),
            owner: key_set(2),
            bidder: named("Alice", 1),
            arbiter: &arbiter(),
            contents: &contents,
            key: &ArticleKey::from_array([7; ArticleKey::LEN]),
            seed: &Seed::new(vec![6; 32]),
            locale: "en".to_owned(),
            card: "card".to_owned(),
            nonce: [1; 32],
            now: NOW,
        };
        bid.ask(&Open).unwrap()
    }

    fn answer(swap: &Swap, offer: &FileOffer) -> Result<Proposal, SwapError> {
        reply(swap, offer, &arbiter(), (&goods_key(), &Seed::new(vec![5; 32])), &Open, (NOW, [3; 16]))
    }

    #[test]
    fn an_offer_an_order_and_a_contract_fit_together() {
        let offer = offer();
        assert_eq!(FileOffer::from_bytes(&offer.to_bytes()), Ok(offer.clone()));
        let swap = asked(&offer);
        assert_eq!(Swap::from_bytes(&swap.to_bytes()), Ok(swap.clone()));
        let proposal = answer(&swap, &offer).unwrap();
        let read = Proposal::from_container(&proposal.to_container().unwrap()).unwrap();
        assert_eq!(read, proposal);
        assert_eq!(answers(&read.agreement, &swap, &offer), Ok(()));
        assert_eq!(title(&read.agreement).as_deref(), Some("theirs.csv for another file"));
        assert!(crate::offer::Offer::from_bytes(&offer.to_bytes()).is_err());
    }

    // Whoever asks would like another file of the owner's, another arbiter, more time, or to give nothing that it has described.
    #[test]
    fn an_order_for_something_else_is_refused() {
        let offer = offer();
        let refused = |change: &dyn Fn(&mut FileOffer), why| {
            let mut other = offer.clone();
            change(&mut other);
            assert_eq!(answer(&asked(&other), &offer).map(drop), Err(SwapError::NotOffered(why)), "{why}");
        };
        let dearer =
            || Descriptor::new("all.csv", "text/csv", offer.goods.size(), offer.goods.plain_root(), "").unwrap();
        refused(&|other| other.goods = dearer(), "goods");
        refused(&|other| other.wants.hash = Digest::from_array([0; 32]), "file");
        refused(&|other| other.owner.push('x'), "names");
        refused(&|other| other.arbiters[0].name.push('x'), "names");
        refused(&|other| other.valid_for.0 += 10_000, "deadlines");
        let mut swap = asked(&offer);
        let (_, foreign) = Sealed::seal(b"junk", goods_key()).unwrap();
        swap.sealed = foreign.to_bytes();
        assert_eq!(answer(&swap, &offer).map(drop), Err(SwapError::NotOffered("letter")));
        let mut swap = asked(&offer);
        swap.document.fields.remove("sealed_hash").unwrap();
        assert_eq!(answer(&swap, &offer).map(drop), Err(SwapError::NotOffered("sealed_hash")));
    }

    // Whoever answers would like to put down another key, or other terms.
    #[test]
    fn a_contract_that_was_not_asked_for_is_refused() {
        let offer = offer();
        let swap = asked(&offer);
        let good = answer(&swap, &offer).unwrap().into_agreement();
        let mut terms = good.clone();
        terms.core.terms.nonce = [0; 32];
        assert_eq!(answers(&terms, &swap, &offer), Err("terms"));
        let mut letter = good.clone();
        letter.core.deposits.insert(FIRST, good.core.deposits[&SECOND].clone());
        assert_eq!(answers(&letter, &swap, &offer), Err("letter"));
        let mut goods = good;
        goods.core.deposits.insert(SECOND, swap.deposit.clone());
        assert_eq!(answers(&goods, &swap, &offer), Err("goods"));
    }
}
