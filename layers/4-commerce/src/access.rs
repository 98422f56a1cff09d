//! Information for the show of a right: an offer whose price is a credential, and the contract of whoever takes it up.
//!
//! The words are in `services/access/`, one file per language. It goes as a purchase does, and the order is the same: in the place of the payer's
//! details it brings the credential. Whoever gives the information judges the credential before it promises ([`judged`]); that its issuer keeps a use
//! for this contract is seen from the holder's promise ([`semper_exchange::gx::Show`]). No money moves, and nobody complains about the content to
//! anybody but people.
//!
//! Source: `spec/access.md`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::{Core, DESCRIPTOR_MAX, Deadlines, ItemKind, Profile, Terms};
use semper_core::cose::{Kind, Statement};
use semper_core::document::{Document, FieldValue};
use semper_core::hash::Digest;
use semper_core::ids::{KeySetId, Slot};
use semper_core::party::Role;
use semper_core::signature::{Verified, Verify};
use semper_core::template::{FieldKind, Template};
use semper_core::text::{escape, is_plain_line};
use semper_core::time::{Seconds, Time};
use semper_exchange::goods::{ArticleKey, Deposit, Descriptor, Seed};
use semper_exchange::gx::{Leg, Show, earliest_refund};
use semper_exchange::planner::{check_dates, plan_of};
use semper_support::crypto::Encapsulate;
use semper_transfer::credential::statement::RIGHT_MAX;
use semper_transfer::credential::{Bundle, Credential, NotGood, check_credential};

use crate::offer::{ARBITERS_MAX, ArbiterOffer, NAME_MAX, Order, Pace, in_words};
use crate::proposal::{Agreement, Proposal};
use crate::purchase::{GOODS, SaleError};
use crate::terms::{Arbiter, all_hold, arbiter, are_as_asked, item, pair, parties};
use crate::words::{self, Fact, LOCALES, required, text, texts};

/// The name of the template.
pub const TEMPLATE: &str = "access";
/// Where the show stands in the contract.
const SHOW: Slot = Slot(1);

/// "Whoever shows this right gets this." By whoever gives it; it binds nobody.
///
/// ```text
/// access-offer = { 0: 3, 1: descriptor of the goods, 2: cipher root, 3: right, 4: issuer (key set id), 5: [1*8 arbiter], 6: owner's name, 7: pace,
///                  8: until, 9: issuer's name }        ; no time for complaints in 7
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessOffer {
    /// What is given.
    pub goods: Descriptor,
    /// The root over its ciphertext, which can be had before anything is agreed.
    pub cipher_root: Digest,
    /// The right that is to be shown.
    pub right: String,
    /// Whose word it must be.
    pub issuer: KeySetId,
    /// What the owner calls the issuer.
    pub issuer_name: String,
    /// The arbiters that the owner accepts, the one that it likes best first.
    pub arbiters: Vec<ArbiterOffer>,
    /// What the owner calls itself.
    pub owner: String,
    /// How long everything may take; nobody complains.
    pub pace: Pace,
    /// How long the offer stands.
    pub until: Time,
}

/// What is given to somebody who shows a right, as its owner writes it down.
pub struct Giving<'a> {
    /// The offer.
    pub offer: &'a AccessOffer,
    /// The order.
    pub order: &'a Order,
    /// Who gives it.
    pub seller: KeySetId,
    /// The credential, as it was [`judged`].
    pub credential: &'a Verified<Credential>,
    /// The arbiter that the order has chosen.
    pub arbiter: Arbiter,
    /// The key of the article.
    pub article: &'a ArticleKey,
    /// The seed of the deposit: random, for this contract only.
    pub seed: &'a Seed,
    /// Random bytes that hide the contract from the issuer.
    pub salt: [u8; 32],
    /// Random bytes that make the contract unique.
    pub nonce: [u8; 32],
    /// The present time.
    pub now: Time,
}

/// The credential that an order brings, if it gives `holder` the right of the offer now, by the word of the offer's issuer, at `seller`.
///
/// # Errors
/// [`NotGood`].
pub fn judged(
    verifier: &dyn Verify,
    offer: &AccessOffer,
    order: &Order,
    [seller, holder]: [KeySetId; 2],
    now: Time,
) -> Result<Verified<Credential>, NotGood> {
    let bundle = Bundle::from_bytes(&order.payer).map_err(|_| NotGood::Missing)?;
    if bundle.issuer.id() != offer.issuer {
        return Err(NotGood::Right);
    }
    check_credential(verifier, &bundle.issuer, &bundle.credential, (holder, seller, &offer.right), now)
}

impl AccessOffer {
    /// The offer in plain words, as its owner approves it.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "OFFER\n\n{} gives to anybody who shows a right, until {}:\n  {}, {}, {} bytes\n  hash {}\nThe right: {}\n  issued by {} (key {})\n",
            escape(&self.owner, 0),
            self.until,
            escape(self.goods.name(), 0),
            escape(self.goods.media_type(), 0),
            self.goods.size().bytes(),
            self.goods.plain_root(),
            escape(&self.right, 0),
            escape(&self.issuer_name, 0),
            self.issuer,
        );
        if !self.goods.text().is_empty() {
            text.push_str(&format!("Description: {}\n", escape(self.goods.text(), 0)));
        }
        for arbiter in &self.arbiters {
            text.push_str(&format!("Arbiter: {} (key {})\n", escape(&arbiter.name, 0), arbiter.key_set));
        }
        text.push_str(&format!(
            "\nEvery order of it that comes until then, with such a right, is answered with a signed promise, without asking again. The arbiter can be asked\n\
             for {} after an order.\n",
            in_words(self.pace.valid_for)
        ));
        text
    }

    fn deadlines(&self, not_after: Time) -> Deadlines {
        let Pace { delta, sigma, .. } = self.pace;
        Deadlines { not_after, complaints: None, refund_after: None, delta, sigma }
    }
}

impl Giving<'_> {
    /// The proposal of the contract. `nonce` makes its transfer unique.
    ///
    /// # Errors
    /// [`SaleError`].
    pub fn propose(&self, kem: &dyn Encapsulate, nonce: [u8; 16]) -> Result<Proposal, SaleError> {
        let Self { offer, order, arbiter, credential, .. } = self;
        if self.now > offer.until {
            return Err(SaleError::Ended);
        }
        let named = offer.arbiters.get(usize::from(order.arbiter)).ok_or(SaleError::NoSuchChoice("arbiter"))?;
        if named.key_set != arbiter.key_set {
            return Err(SaleError::Arbiter);
        }
        if !LOCALES.contains(&order.locale.as_str()) {
            return Err(SaleError::NoSuchChoice("language"));
        }
        let deadlines = offer.deadlines(self.now.after(offer.pace.valid_for));
        check_dates(&deadlines, self.now)?;
        let holder = credential.statement().holder;
        let show = Show {
            serial: credential.statement().serial,
            issuer: offer.issuer,
            right: offer.right.clone(),
            credential: credential.id(),
            salt: self.salt,
        };
        let template = template();
        let names = [
            ("seller_name", text(&offer.owner)),
            ("holder_name", text(&order.buyer)),
            ("issuer_name", text(&offer.issuer_name)),
            ("arbiter_name", text(&named.name)),
        ];
        let facts = facts([self.seller, holder], &offer.goods, &show, arbiter.key_set, &deadlines);
        let document: Document = words::fill(&template, &order.locale, names.into_iter().chain(facts));
        let terms = Terms {
            profile: Profile::Gx,
            parties: parties([self.seller, holder]),
            arbiter: Some(arbiter.reference()),
            items: vec![
                item(ItemKind::Information, Role::ORIGINATOR, offer.goods.to_bytes(), GOODS),
                item(ItemKind::Signature, Role::RESPONDER, show.to_bytes(), SHOW),
            ],
            deadlines,
            text: document.text_ref(&template)?,
            links: Vec::new(),
            nonce: self.nonce,
        };
        let mut core = Core { terms, deposits: BTreeMap::new() };
        let label = (core.tid(), GOODS);
        let deposit = Deposit::make(kem, &arbiter.deposit_key, self.seed, label, self.article, offer.cipher_root)?;
        core.deposits.insert(GOODS, deposit.to_bytes());
        Ok(Proposal { agreement: Agreement { core, document, template }, files: Vec::new(), nonce })
    }
}

/// What the text says that the contract says too.
fn facts(
    [seller, holder]: [KeySetId; 2],
    goods: &Descriptor,
    show: &Show,
    arbiter: KeySetId,
    deadlines: &Deadlines,
) -> Vec<Fact> {
    let mut facts = vec![
        ("seller", FieldValue::Party(seller)),
        ("holder", FieldValue::Party(holder)),
        ("description", FieldValue::LongText(goods.text().to_owned())),
        ("right", text(&show.right)),
        ("serial", text(&show.serial.to_string())),
        ("issuer", FieldValue::Party(show.issuer)),
        ("kept", FieldValue::Time(earliest_refund(deadlines))),
    ];
    facts.extend(words::goods_facts(goods));
    facts.extend(words::arbiter_facts(arbiter, deadlines.not_after));
    facts
}

/// The template of information for a right.
pub fn template() -> Template {
    // Checking its texts takes longer than everything else about a proposal.
    static WRITTEN: LazyLock<Template> = LazyLock::new(|| {
        let mut fields = vec![
            required("seller_name", FieldKind::Text, "given by", "gegeben von"),
            required("seller", FieldKind::Party, "giver's key", "Schlüssel des Gebers"),
            required("holder_name", FieldKind::Text, "holder", "Inhaber"),
            required("holder", FieldKind::Party, "holder's key", "Schlüssel des Inhabers"),
        ];
        fields.extend(words::file_fields("goods", "goods", "Ware"));
        fields.push(required("description", FieldKind::LongText, "description", "Beschreibung"));
        fields.push(required("right", FieldKind::Text, "right", "Recht"));
        fields.push(required("serial", FieldKind::Text, "serial number", "Seriennummer"));
        fields.push(required("issuer_name", FieldKind::Text, "issuer", "Aussteller"));
        fields.push(required("issuer", FieldKind::Party, "issuer's key", "Schlüssel des Ausstellers"));
        fields.push(required("kept", FieldKind::Time, "a use is kept until", "eine Nutzung ist bereitgehalten bis"));
        fields.extend(words::arbiter_fields());
        words::template(TEMPLATE, fields, texts!("access"))
    });
    WRITTEN.clone()
}

/// What a contract gives, and for the show of what.
///
/// # Errors
/// It is no such contract.
pub fn given(core: &Core) -> Result<(Descriptor, Show), DecodeError> {
    match core.terms.items.as_slice() {
        [goods, show]
            if (goods.kind, show.kind) == (ItemKind::Information, ItemKind::Signature)
                && !show.descriptor.is_empty() =>
        {
            Ok((Descriptor::from_bytes(&goods.descriptor)?, Show::from_bytes(&show.descriptor)?))
        }
        _ => Err(DecodeError::field("items", Problem::OutOfRange("information for the show of a right"))),
    }
}

/// What the text says must be what its core says.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let core = &agreement.core;
    let (goods, show) = given(core).map_err(|_| "goods")?;
    if core.terms.profile != Profile::Gx || core.terms.parties.len() != 2 {
        return Err("profile");
    }
    words::agree(&agreement.document, facts(pair(core)?, &goods, &show, arbiter(core)?, &core.terms.deadlines))?;
    Leg::of(core).map_err(|_| "items")?;
    plan_of(core).map(drop).map_err(|_| "plan")
}

/// Whether a contract is what an offer promises to whoever orders so, and its credential was good at the moment when the contract was made: its
/// owner may come to sign it later.
///
/// # Errors
/// What is not as offered.
pub fn follows(
    verifier: &dyn Verify,
    agreement: &Agreement,
    offer: &AccessOffer,
    order: &Order,
    now: Time,
) -> Result<(), &'static str> {
    let made = agreement.core.terms.deadlines.not_after.before(offer.pace.valid_for).min(now);
    answers(agreement, offer, order, made)?;
    judged(verifier, offer, order, pair(&agreement.core)?, made).map(drop).map_err(|_| "credential")
}

/// Whether a contract is what was ordered. `now` is when it came.
///
/// # Errors
/// What is not as ordered.
pub fn answers(agreement: &Agreement, offer: &AccessOffer, order: &Order, now: Time) -> Result<(), &'static str> {
    let core = &agreement.core;
    let (goods, show) = given(core).map_err(|_| "goods")?;
    let named = offer.arbiters.get(usize::from(order.arbiter)).ok_or("arbiter")?;
    let bundle = Bundle::from_bytes(&order.payer).map_err(|_| "credential")?;
    let deposit = core.deposits.get(&GOODS).map(Vec::as_slice).unwrap_or_default();
    let deposited = Deposit::from_bytes(deposit).map_err(|_| "goods")?;
    let deadlines = &core.terms.deadlines;
    let asked = now.after(offer.pace.valid_for);
    let said = |name, expected: &str| words::said(&agreement.document, name, expected);
    let checks = [
        ("goods", goods == offer.goods && deposited.cipher_root == offer.cipher_root),
        ("right", show.right == offer.right && show.issuer == offer.issuer),
        ("credential", show.credential == bundle.credential.id()),
        ("arbiter", core.arbiter() == Some(named.key_set) && said("arbiter_name", &named.name)),
        ("language", agreement.document.locale == order.locale),
        ("deadlines", are_as_asked(deadlines, asked, [offer.pace.delta, offer.pace.sigma])),
        ("complaints", *deadlines == offer.deadlines(deadlines.not_after)),
        ("dates", check_dates(deadlines, now).is_ok()),
        ("names", said("seller_name", &offer.owner) && said("holder_name", &order.buyer)),
        ("issuer", said("issuer_name", &offer.issuer_name)),
    ];
    all_hold(checks)
}

impl Statement for AccessOffer {
    const KIND: Kind = Kind::Offer;
}

impl Encode for AccessOffer {
    fn to_value(&self) -> Value {
        record()
            .put(0, 3_u64)
            .put_bytes(1, self.goods.to_bytes())
            .put_item(2, &self.cipher_root)
            .put(3, self.right.as_str())
            .put_item(4, &self.issuer)
            .put_list(5, &self.arbiters)
            .put(6, self.owner.as_str())
            .put_item(7, &self.pace)
            .put_item(8, &self.until)
            .put(9, self.issuer_name.as_str())
            .build()
    }
}

impl Decode for AccessOffer {
    const BYTES_MAX: usize = 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 3)?;
        let goods = Descriptor::from_bytes(&fields.bytes(1, "goods", DESCRIPTOR_MAX)?)?;
        let offer = Self {
            goods,
            cipher_root: fields.item(2, "cipher root")?,
            right: fields.text(3, "right", RIGHT_MAX)?,
            issuer: fields.item(4, "issuer")?,
            arbiters: fields.list(5, "arbiters", ARBITERS_MAX)?,
            owner: fields.text(6, "owner", NAME_MAX)?,
            pace: fields.item(7, "pace")?,
            until: fields.item(8, "until")?,
            issuer_name: fields.text(9, "issuer's name", NAME_MAX)?,
        };
        fields.close()?;
        if !is_plain_line(&offer.right) {
            return Err(DecodeError::field("right", Problem::OutOfRange("one line that can be shown as it is")));
        }
        if offer.arbiters.is_empty() || offer.pace.complaints != Seconds(0) {
            let rule = "an arbiter, and no time for complaints";
            return Err(DecodeError::field("arbiters", Problem::OutOfRange(rule)));
        }
        Ok(offer)
    }
}

#[cfg(test)]
mod tests;
