//! The contract of a purchase: information for locked money, with an arbiter who gives the one and sends back the other.
//!
//! The words are in `services/buy/`, one file per language. [`Sale`] writes the contract from an offer and an order; [`check`] says
//! whether text and contract agree, [`answers`] whether the contract is what the buyer has ordered.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use semper_core::cbor::{Decode, DecodeError, Encode};
use semper_core::contract::{Core, Deadlines, ItemKind, Profile, Terms};
use semper_core::document::{Document, DocumentError, FieldValue};
use semper_core::ids::{KeySetId, Slot};
use semper_core::party::Role;
use semper_core::template::{FieldKind, Template};
use semper_core::time::Time;
use semper_exchange::goods::{ArticleKey, Deposit, Descriptor, Seed};
use semper_exchange::gx::{Decides, LockDeposit, Price, earliest_refund};
use semper_exchange::planner::{DatesError, check_dates, plan_of};
use semper_support::crypto::{CryptoError, Encapsulate};

use crate::offer::{Offer, Order};
use crate::proposal::{Agreement, Proposal};
use crate::terms::{Arbiter, all_hold, arbiter, are_as_asked, item, locked, pair, parties};
use crate::words::{self, Fact, LOCALES, required, text, texts};

/// The name of the template.
pub const TEMPLATE: &str = "buy";

/// Where the goods stand in the contract.
pub const GOODS: Slot = Slot(0);
/// Where the money stands in the contract.
pub const MONEY: Slot = Slot(1);

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
        let price = locked(offer.price, means);
        let lock = LockDeposit {
            payer: order.payer.clone(),
            payee: self.payee.clone(),
            decides: Decides::Arbiter(arbiter.lock_key.clone()),
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
        let document = self.document(&template, &named.name, &deadlines, &price);
        let terms = Terms {
            profile: Profile::Gx,
            parties: parties([self.seller, self.buyer]),
            arbiter: Some(arbiter.reference()),
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

    fn document(&self, template: &Template, arbiter: &str, deadlines: &Deadlines, price: &Price) -> Document {
        let Self { offer, order, .. } = self;
        let names =
            [("seller_name", text(&offer.seller)), ("buyer_name", text(&order.buyer)), ("arbiter_name", text(arbiter))];
        let facts = facts([self.seller, self.buyer], &offer.goods, price, self.arbiter.key_set, deadlines);
        let facts = names.into_iter().chain(facts).chain(words::terms_facts(&offer.terms, &offer.law));
        words::fill(template, &order.locale, facts)
    }
}

/// What the text says that the contract says too.
fn facts(
    [seller, buyer]: [KeySetId; 2],
    goods: &Descriptor,
    price: &Price,
    arbiter: KeySetId,
    deadlines: &Deadlines,
) -> Vec<Fact> {
    let complaints = deadlines.not_after.after(deadlines.complaints.unwrap_or_default());
    let mut facts = vec![
        ("seller", FieldValue::Party(seller)),
        ("buyer", FieldValue::Party(buyer)),
        ("means", words::means(price)),
        ("description", FieldValue::LongText(goods.text().to_owned())),
    ];
    facts.extend(words::goods_facts(goods));
    facts.push(("price", FieldValue::Amount(price.amount)));
    facts.extend(words::arbiter_facts(arbiter, deadlines.not_after));
    facts.push(("complaints", FieldValue::Time(complaints)));
    facts.push(("refund_after", FieldValue::Time(deadlines.refund_after.unwrap_or(deadlines.not_after))));
    facts
}

/// The template of a purchase.
pub fn template() -> Template {
    // Checking its texts takes longer than everything else about a proposal.
    static WRITTEN: LazyLock<Template> = LazyLock::new(written);
    WRITTEN.clone()
}

fn written() -> Template {
    let mut fields = vec![
        required("seller_name", FieldKind::Text, "seller", "Verkäufer"),
        required("seller", FieldKind::Party, "seller's key", "Schlüssel des Verkäufers"),
        required("buyer_name", FieldKind::Text, "buyer", "Käufer"),
        required("buyer", FieldKind::Party, "buyer's key", "Schlüssel des Käufers"),
    ];
    fields.extend(words::file_fields("goods", "goods", "Ware"));
    fields.push(required("description", FieldKind::LongText, "description", "Beschreibung"));
    fields.push(required("price", FieldKind::Amount, "price", "Preis"));
    fields.push(required("means", FieldKind::Text, "means of payment", "Zahlungsmittel"));
    fields.extend(words::arbiter_fields());
    fields.push(required("complaints", FieldKind::Time, "complaints until", "Beschwerden bis"));
    fields.push(words::refund_field());
    fields.extend(words::terms_fields());
    words::template(TEMPLATE, fields, texts!("buy"))
}

/// What the text of a purchase says must be what its core says.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let core = &agreement.core;
    let (goods, price) = sold(core).map_err(|_| "goods")?;
    let facts = facts(pair(core)?, &goods, &price, arbiter(core)?, &core.terms.deadlines);
    words::agree(&agreement.document, facts)?;
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
    let asked = now.after(offer.pace.valid_for);
    let deposit = |slot: Slot| core.deposits.get(&slot).map(Vec::as_slice).unwrap_or_default();
    let deposited = Deposit::from_bytes(deposit(GOODS)).map_err(|_| "goods")?;
    let lock = LockDeposit::from_bytes(deposit(MONEY)).map_err(|_| "money")?;
    let said = |name, expected: &str| words::said(&agreement.document, name, expected);
    let checks = [
        ("goods", goods == offer.goods && deposited.cipher_root == offer.cipher_root),
        ("price", found == locked(offer.price, means)),
        ("money", lock.payer == order.payer),
        ("arbiter", core.arbiter() == Some(arbiter.key_set) && said("arbiter_name", &arbiter.name)),
        ("complaints", deadlines.complaints == Some(offer.pace.complaints)),
        ("deadlines", are_as_asked(deadlines, asked, [offer.pace.delta, offer.pace.sigma])),
        ("refund date", deadlines.refund_after == Some(earliest_refund(deadlines))),
        ("dates", check_dates(deadlines, now).is_ok()),
        ("names", said("seller_name", &offer.seller) && said("buyer_name", &order.buyer)),
        ("terms", said("terms", &offer.terms) && said("law", &offer.law)),
    ];
    all_hold(checks)
}
