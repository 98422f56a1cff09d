//! The contract of a purchase: information for locked money, with an arbiter who gives the one and sends back the other.
//!
//! The words are in `services/buy/`, one file per language. [`Sale`] writes the contract from an offer and an order; [`check`] says
//! whether text and contract agree, [`answers`] whether the contract is what the buyer has ordered.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use semper_core::cbor::{Decode, DecodeError, Encode};
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, PartyRef, Profile, Terms};
use semper_core::document::{Document, DocumentError, FieldValue};
use semper_core::hash::Digest;
use semper_core::ids::{KeySetId, Slot};
use semper_core::party::Role;
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::{Seconds, Time};
use semper_exchange::goods::{ArticleKey, Deposit, DepositKey, Descriptor, Seed};
use semper_exchange::gx::{LockDeposit, Price, earliest_refund};
use semper_exchange::planner::{DatesError, check_dates, plan_of};
use semper_support::crypto::{CryptoError, Encapsulate};
use semper_transfer::payment::means::{LockKind, Means};

use crate::offer::{Offer, Order};
use crate::proposal::{Agreement, Proposal};

/// The languages in which the contract can be shown.
pub const LOCALES: [&str; 2] = ["en", "de"];
/// The name of the template.
pub const TEMPLATE: &str = "buy";

/// Where the goods stand in the contract.
pub const GOODS: Slot = Slot(0);
/// Where the money stands in the contract.
pub const MONEY: Slot = Slot(1);

/// The arbiter of a contract, as its own card describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arbiter {
    /// The key set that signs verdicts.
    pub key_set: KeySetId,
    /// The key set that signs the heads of its log.
    pub log: KeySetId,
    /// Hash of its rules.
    pub rules: Digest,
    /// Its key for deposits of information.
    pub deposit_key: DepositKey,
    /// Its key for locks of the means that is paid with.
    pub lock_key: Vec<u8>,
}

/// A sale, as the seller writes it down.
pub struct Sale<'a> {
    /// The offer.
    pub offer: &'a Offer,
    /// The order.
    pub order: &'a Order,
    /// The seller.
    pub seller: KeySetId,
    /// The buyer.
    pub buyer: KeySetId,
    /// The arbiter that the order has chosen.
    pub arbiter: Arbiter,
    /// The payee's details for the lock.
    pub payee: Vec<u8>,
    /// The key of the article.
    pub article: &'a ArticleKey,
    /// The seed of the deposit: random, for this sale only.
    pub seed: &'a Seed,
    /// Random bytes that hide the contract from the issuer.
    pub salt: [u8; 32],
    /// Random bytes that make the contract unique.
    pub nonce: [u8; 32],
    /// The present time.
    pub now: Time,
}

/// Why a sale cannot be written down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaleError {
    /// The order chooses a means, an arbiter or a language that the offer does not have.
    #[error("the offer has no such {0}")]
    NoSuchChoice(&'static str),
    /// The arbiter is not the one that the order has chosen.
    #[error("the arbiter is not the one that was ordered")]
    Arbiter,
    /// The offer stands no more.
    #[error("the offer has ended")]
    Ended,
    /// A field does not fit the template.
    #[error("the contract cannot be written: {0}")]
    Document(#[from] DocumentError),
    /// The pace of the offer leaves somebody too little time.
    #[error("the contract's dates cannot be kept: {0}")]
    Dates(#[from] DatesError),
    /// The arbiter's key or the seed is malformed.
    #[error("the goods cannot be deposited: {0}")]
    Deposit(#[from] CryptoError),
}

impl Sale<'_> {
    /// The proposal of the contract. `nonce` makes its transfer unique.
    ///
    /// # Errors
    /// [`SaleError`].
    pub fn propose(&self, kem: &dyn Encapsulate, nonce: [u8; 16]) -> Result<Proposal, SaleError> {
        let Self { offer, order, arbiter, .. } = self;
        if self.now > offer.until {
            return Err(SaleError::Ended);
        }
        let means = offer.means.get(usize::from(order.means)).ok_or(SaleError::NoSuchChoice("means of payment"))?;
        let named = offer.arbiters.get(usize::from(order.arbiter)).ok_or(SaleError::NoSuchChoice("arbiter"))?;
        if named.key_set != arbiter.key_set {
            return Err(SaleError::Arbiter);
        }
        if !LOCALES.contains(&order.locale.as_str()) {
            return Err(SaleError::NoSuchChoice("language"));
        }
        let price = price(offer, means);
        let lock = LockDeposit {
            payer: order.payer.clone(),
            payee: self.payee.clone(),
            arbiter: arbiter.lock_key.clone(),
            salt: self.salt,
        };
        let mut deadlines = Deadlines {
            not_after: self.now.after(offer.pace.valid_for),
            complaints: Some(offer.pace.complaints),
            refund_after: None,
            delta: offer.pace.delta,
            sigma: offer.pace.sigma,
        };
        deadlines.refund_after = Some(earliest_refund(&deadlines));
        check_dates(&deadlines, self.now)?;
        let template = template();
        let document = self.document(&template, &named.name, &deadlines, means);
        let party = |role, key_set| PartyRef { role, key_set };
        let item =
            |kind, owner: Role, descriptor, slot| Item { kind, owner, recipient: owner.peer(), descriptor, slot };
        let terms = Terms {
            profile: Profile::Gx,
            parties: vec![party(Role::ORIGINATOR, self.seller), party(Role::RESPONDER, self.buyer)],
            arbiter: ArbiterRef {
                key_set: arbiter.key_set,
                deposit_key: Some(arbiter.deposit_key.id()),
                log: arbiter.log,
                rules: arbiter.rules,
            },
            items: vec![
                item(ItemKind::Information, Role::ORIGINATOR, offer.goods.to_bytes(), GOODS),
                item(ItemKind::Money, Role::RESPONDER, price.to_bytes(), MONEY),
            ],
            deadlines,
            text: document.text_ref(&template)?,
            links: Vec::new(),
            nonce: self.nonce,
        };
        let mut core = Core { terms, deposits: BTreeMap::new() };
        let label = (core.tid(), GOODS);
        let goods = Deposit::make(kem, &arbiter.deposit_key, self.seed, label, self.article, offer.cipher_root)?;
        core.deposits = BTreeMap::from([(GOODS, goods.to_bytes()), (MONEY, lock.to_bytes())]);
        Ok(Proposal { agreement: Agreement { core, document, template }, files: Vec::new(), nonce })
    }

    fn document(&self, template: &Template, arbiter: &str, deadlines: &Deadlines, means: &Means) -> Document {
        let Self { offer, order, .. } = self;
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let mut document = Document::new(template, order.locale.as_str())
            .with("seller_name", text(&offer.seller))
            .with("seller", FieldValue::Party(self.seller))
            .with("buyer_name", text(&order.buyer))
            .with("buyer", FieldValue::Party(self.buyer))
            .with("arbiter_name", text(arbiter))
            .with("description", FieldValue::LongText(offer.goods.text().to_owned()))
            .with("means", text(&means_in_words(means.system.as_str(), &means.issuer)));
        let facts = facts(&offer.goods, deadlines, &price(offer, means), self.arbiter.key_set);
        document = facts.into_iter().fold(document, |document, (name, value)| document.with(name, value));
        if !offer.terms.is_empty() {
            document = document.with("terms", FieldValue::LongText(offer.terms.clone()));
        }
        if !offer.law.is_empty() {
            document = document.with("law", text(&offer.law));
        }
        document
    }
}

fn price(offer: &Offer, means: &Means) -> Price {
    Price { amount: offer.price, system: means.system.clone(), issuer: means.issuer.clone(), lock: LockKind::Arbiter }
}

pub(crate) fn means_in_words(system: &str, issuer: &str) -> String {
    format!("{system} ({issuer})")
}

/// What the text says that the contract says too.
fn facts(
    goods: &Descriptor,
    deadlines: &Deadlines,
    price: &Price,
    arbiter: KeySetId,
) -> [(&'static str, FieldValue); 9] {
    let text = |text: &str| FieldValue::Text(text.to_owned());
    [
        ("goods", text(goods.name())),
        ("media_type", text(goods.media_type())),
        ("size", FieldValue::Uint(goods.size().bytes())),
        ("hash", FieldValue::Digest(goods.plain_root())),
        ("price", FieldValue::Amount(price.amount)),
        ("arbiter", FieldValue::Party(arbiter)),
        ("closes", FieldValue::Time(deadlines.not_after)),
        ("complaints", FieldValue::Time(deadlines.not_after.after(deadlines.complaints.unwrap_or_default()))),
        ("refund_after", FieldValue::Time(deadlines.refund_after.unwrap_or(deadlines.not_after))),
    ]
}

/// The template of a purchase.
pub fn template() -> Template {
    // Checking its texts takes longer than everything else about a proposal.
    static WRITTEN: LazyLock<Template> = LazyLock::new(written);
    WRITTEN.clone()
}

fn written() -> Template {
    let required = |name, kind, en, de| FieldDef::required(name, kind).label("en", en).label("de", de);
    let optional = |name, kind, en, de| FieldDef::optional(name, kind).label("en", en).label("de", de);
    let fields = vec![
        required("seller_name", FieldKind::Text, "seller", "Verkäufer"),
        required("seller", FieldKind::Party, "seller's key", "Schlüssel des Verkäufers"),
        required("buyer_name", FieldKind::Text, "buyer", "Käufer"),
        required("buyer", FieldKind::Party, "buyer's key", "Schlüssel des Käufers"),
        required("goods", FieldKind::Text, "goods", "Ware"),
        required("media_type", FieldKind::Text, "media type", "Medientyp"),
        required("size", FieldKind::Uint, "size in bytes", "Größe in Bytes"),
        required("hash", FieldKind::Digest, "hash", "Hash"),
        required("description", FieldKind::LongText, "description", "Beschreibung"),
        required("price", FieldKind::Amount, "price", "Preis"),
        required("means", FieldKind::Text, "means of payment", "Zahlungsmittel"),
        required("arbiter_name", FieldKind::Text, "arbiter", "Schiedsrichter"),
        required("arbiter", FieldKind::Party, "arbiter's key", "Schlüssel des Schiedsrichters"),
        required(
            "closes",
            FieldKind::Time,
            "the arbiter can be asked until",
            "der Schiedsrichter kann angerufen werden bis",
        ),
        required("complaints", FieldKind::Time, "complaints until", "Beschwerden bis"),
        required("refund_after", FieldKind::Time, "the money is locked until", "das Geld ist gesperrt bis"),
        optional("terms", FieldKind::LongText, "Terms", "Bedingungen"),
        optional("law", FieldKind::Text, "Applicable law", "Anwendbares Recht"),
    ];
    let texts =
        [("en", include_str!("../../../services/buy/en.txt")), ("de", include_str!("../../../services/buy/de.txt"))];
    let texts = texts.map(|(locale, text)| (locale.to_owned(), text.to_owned())).into();
    Template::new(TEMPLATE, 1, fields, texts).expect("the shipped template passes its own test")
}

/// What the text of a purchase says must be what its core says.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let core = &agreement.core;
    let field = |name: &str| agreement.document.fields.get(name);
    let same = |name, expected: Option<FieldValue>| if field(name) == expected.as_ref() { Ok(()) } else { Err(name) };
    let (goods, price) = sold(core).map_err(|_| "goods")?;
    same("seller", core.party(Role::ORIGINATOR).map(FieldValue::Party))?;
    same("buyer", core.party(Role::RESPONDER).map(FieldValue::Party))?;
    same("means", Some(FieldValue::Text(means_in_words(price.system.as_str(), &price.issuer))))?;
    same("description", Some(FieldValue::LongText(goods.text().to_owned())))?;
    let facts = facts(&goods, &core.terms.deadlines, &price, core.terms.arbiter.key_set);
    facts.into_iter().try_for_each(|(name, value)| same(name, Some(value)))?;
    plan_of(core).map(drop).map_err(|_| "plan")
}

/// What a contract sells, and for how much.
///
/// # Errors
/// It is not a purchase.
pub fn sold(core: &Core) -> Result<(Descriptor, Price), DecodeError> {
    let descriptor = |kind| {
        let found = core.terms.items.iter().find(|item| item.kind == kind);
        found.map(|item| item.descriptor.as_slice()).unwrap_or_default()
    };
    Ok((Descriptor::from_bytes(descriptor(ItemKind::Information))?, Price::from_bytes(descriptor(ItemKind::Money))?))
}

/// Whether a contract is what an offer promises to whoever orders so. What [`answers`] looks at, at the moment when the contract was made:
/// its seller may come to sign it later, after a crash or a question.
///
/// # Errors
/// What is not as offered.
pub fn follows(agreement: &Agreement, offer: &Offer, order: &Order, now: Time) -> Result<(), &'static str> {
    let made = agreement.core.terms.deadlines.not_after.before(offer.pace.valid_for);
    answers(agreement, offer, order, made.min(now))
}

/// Whether a contract is what was ordered. `now` is when it came.
///
/// # Errors
/// What is not as ordered.
pub fn answers(agreement: &Agreement, offer: &Offer, order: &Order, now: Time) -> Result<(), &'static str> {
    let core = &agreement.core;
    let (goods, found) = sold(core).map_err(|_| "goods")?;
    let means = offer.means.get(usize::from(order.means)).ok_or("means")?;
    let arbiter = offer.arbiters.get(usize::from(order.arbiter)).ok_or("arbiter")?;
    let deadlines = &core.terms.deadlines;
    let slack = Seconds(deadlines.sigma.0.saturating_mul(2).saturating_add(deadlines.delta.0));
    let ordered = now.after(offer.pace.valid_for);
    let near = deadlines.not_after <= ordered.after(slack) && ordered <= deadlines.not_after.after(slack);
    let deposit = |slot: Slot| core.deposits.get(&slot).map(Vec::as_slice).unwrap_or_default();
    let deposited = Deposit::from_bytes(deposit(GOODS)).map_err(|_| "goods")?;
    let lock = LockDeposit::from_bytes(deposit(MONEY)).map_err(|_| "money")?;
    let text = |name: &str| agreement.document.fields.get(name);
    let said = |name, text_of: &str| match text(name) {
        Some(FieldValue::Text(found) | FieldValue::LongText(found)) => found == text_of,
        Some(_) => false,
        None => text_of.is_empty(),
    };
    let checks = [
        ("goods", goods == offer.goods && deposited.cipher_root == offer.cipher_root),
        ("price", found == price(offer, means)),
        ("money", lock.payer == order.payer),
        ("arbiter", core.terms.arbiter.key_set == arbiter.key_set && said("arbiter_name", &arbiter.name)),
        ("complaints", deadlines.complaints == Some(offer.pace.complaints)),
        ("deadlines", near && (deadlines.delta, deadlines.sigma) == (offer.pace.delta, offer.pace.sigma)),
        ("refund date", deadlines.refund_after == Some(earliest_refund(deadlines))),
        ("dates", check_dates(deadlines, now).is_ok()),
        ("names", said("seller_name", &offer.seller) && said("buyer_name", &order.buyer)),
        ("terms", said("terms", &offer.terms) && said("law", &offer.law)),
    ];
    checks.into_iter().find(|(_, holds)| !holds).map_or(Ok(()), |(name, _)| Err(name))
}
