//! The contract of a purchase: information for locked money, with an arbiter who gives the one and sends back the other; or without one, where
//! the seller takes the money by showing what opens the information.
//!
//! The words are in `services/buy/` and `services/buy-locked/`, one file per language. [`Sale`] writes the contract from an offer and an order; [`check`] says
//! whether text and contract agree, [`answers`] whether the contract is what the buyer has ordered.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use semper_core::cbor::{Decode, DecodeError, Encode, Problem};
use semper_core::contract::{Core, Deadlines, ItemKind, Profile, Terms};
use semper_core::document::{Document, DocumentError, FieldValue};
use semper_core::ids::{KeySetId, Slot};
use semper_core::party::Role;
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::Time;
use semper_exchange::goods::{ArticleKey, Deposit, Descriptor, Seed, preimage_hash};
use semper_exchange::gx::{Decides, LockDeposit, Price};
use semper_exchange::planner::{DatesError, plan_of};
use semper_support::crypto::{CryptoError, Encapsulate};
use semper_transfer::payment::means::LockKind;

use crate::offer::{ArbiterOffer, Offer, Order, Pace};
use crate::proposal::{Agreement, Proposal};
use crate::terms::{Arbiter, all_hold, are_as_asked, check_dates_under, item, pair, parties, priced, refund_date};
use crate::words::{self, Fact, LOCALES, required, text, texts};

/// The name of the template of a purchase with an arbiter.
pub const TEMPLATE: &str = "buy";
/// The name of the template of a purchase without one.
pub const LOCKED_TEMPLATE: &str = "buy-locked";

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
    /// The arbiter that the order has chosen; none if the offer has none.
    pub arbiter: Option<Arbiter>,
    /// The payee's details for the lock.
    pub payee: Vec<u8>,
    /// The key of the article.
    pub article: &'a ArticleKey,
    /// The seed of the deposit: random, for this sale only. Without an arbiter it is the preimage, of 32 bytes.
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
        let named = chosen_arbiter(offer, order).ok_or(SaleError::NoSuchChoice("arbiter"))?;
        if named.map(|named| named.key_set) != arbiter.as_ref().map(|arbiter| arbiter.key_set) {
            return Err(SaleError::Arbiter);
        }
        if !LOCALES.contains(&order.locale.as_str()) {
            return Err(SaleError::NoSuchChoice("language"));
        }
        let price = priced(offer.price, means, offer.lock());
        let deadlines = dates(offer, self.now.after(offer.pace.valid_for));
        check_dates_under(offer.lock(), &deadlines, self.now)?;
        let (profile, template) = match arbiter {
            Some(_) => (Profile::Gx, template()),
            None => (Profile::Lx, locked_template()),
        };
        let document = self.document(&template, named, &deadlines, &price);
        let terms = Terms {
            profile,
            parties: parties([self.seller, self.buyer]),
            arbiter: arbiter.as_ref().map(Arbiter::reference),
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
        let (goods, decides) = match arbiter {
            Some(arbiter) => (
                Deposit::make(kem, &arbiter.deposit_key, self.seed, label, self.article, offer.cipher_root)?,
                Decides::Arbiter(arbiter.lock_key.clone()),
            ),
            None => {
                let preimage = self.seed.as_bytes().try_into().map_err(|_| CryptoError::Malformed("preimage"))?;
                let hash = Decides::Hash(preimage_hash(self.seed.as_bytes()));
                (Deposit::under_hash(preimage, label, self.article, offer.cipher_root), hash)
            }
        };
        let lock = LockDeposit { payer: order.payer.clone(), payee: self.payee.clone(), decides, salt: self.salt };
        core.deposits = BTreeMap::from([(GOODS, goods.to_bytes()), (MONEY, lock.to_bytes())]);
        Ok(Proposal { agreement: Agreement { core, document, template }, files: Vec::new(), nonce })
    }

    fn document(
        &self,
        template: &Template,
        arbiter: Option<&ArbiterOffer>,
        deadlines: &Deadlines,
        price: &Price,
    ) -> Document {
        let Self { offer, order, .. } = self;
        let arbiter_name = arbiter.map(|arbiter| ("arbiter_name", text(&arbiter.name)));
        let names = [("seller_name", text(&offer.seller)), ("buyer_name", text(&order.buyer))];
        let key_set = arbiter.map(|arbiter| arbiter.key_set);
        let facts = facts([self.seller, self.buyer], &offer.goods, price, key_set, deadlines);
        let facts =
            names.into_iter().chain(arbiter_name).chain(facts).chain(words::terms_facts(&offer.terms, &offer.law));
        words::fill(template, &order.locale, facts)
    }
}

/// The arbiter that an order has chosen: none if the offer has none, and nothing if there is no such one.
fn chosen_arbiter<'a>(offer: &'a Offer, order: &Order) -> Option<Option<&'a ArbiterOffer>> {
    match offer.lock() {
        LockKind::Hash => Some(None),
        LockKind::Arbiter => offer.arbiters.get(usize::from(order.arbiter)).map(Some),
    }
}

/// The deadlines of a contract that follows from an offer.
fn dates(offer: &Offer, not_after: Time) -> Deadlines {
    let Pace { complaints, delta, sigma, .. } = offer.pace;
    let complaints = Some(complaints).filter(|_| offer.lock() == LockKind::Arbiter);
    let deadlines = Deadlines { not_after, complaints, refund_after: None, delta, sigma };
    Deadlines { refund_after: Some(refund_date(offer.lock(), &deadlines)), ..deadlines }
}

/// What the text says that the contract says too.
fn facts(
    [seller, buyer]: [KeySetId; 2],
    goods: &Descriptor,
    price: &Price,
    arbiter: Option<KeySetId>,
    deadlines: &Deadlines,
) -> Vec<Fact> {
    let mut facts = vec![
        ("seller", FieldValue::Party(seller)),
        ("buyer", FieldValue::Party(buyer)),
        ("means", words::means(price)),
        ("description", FieldValue::LongText(goods.text().to_owned())),
    ];
    facts.extend(words::goods_facts(goods));
    facts.push(("price", FieldValue::Amount(price.amount)));
    match arbiter {
        Some(arbiter) => {
            let complaints = deadlines.not_after.after(deadlines.complaints.unwrap_or_default());
            facts.extend(words::arbiter_facts(arbiter, deadlines.not_after));
            facts.push(("complaints", FieldValue::Time(complaints)));
        }
        None => facts.push(("closes", FieldValue::Time(deadlines.not_after))),
    }
    facts.push(("refund_after", FieldValue::Time(deadlines.refund_after.unwrap_or(deadlines.not_after))));
    facts
}

/// The template of a purchase with an arbiter.
pub fn template() -> Template {
    // Checking its texts takes longer than everything else about a proposal.
    static WRITTEN: LazyLock<Template> = LazyLock::new(|| {
        let mut fields = fields();
        fields.extend(words::arbiter_fields());
        fields.push(required("complaints", FieldKind::Time, "complaints until", "Beschwerden bis"));
        fields.push(words::refund_field());
        fields.extend(words::terms_fields());
        words::template(TEMPLATE, fields, texts!("buy"))
    });
    WRITTEN.clone()
}

/// The template of a purchase without an arbiter.
pub fn locked_template() -> Template {
    static WRITTEN: LazyLock<Template> = LazyLock::new(|| {
        let mut fields = fields();
        let (until, bis) = ("the seller can take the money until", "der Verkäufer kann das Geld nehmen bis");
        fields.push(required("closes", FieldKind::Time, until, bis));
        fields.push(words::refund_field());
        fields.extend(words::terms_fields());
        words::template(LOCKED_TEMPLATE, fields, texts!("buy-locked"))
    });
    WRITTEN.clone()
}

/// The fields of every purchase.
fn fields() -> Vec<FieldDef> {
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
    fields
}

/// What the text of a purchase says must be what its core says.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let core = &agreement.core;
    let (goods, price) = sold(core).map_err(|_| "goods")?;
    let expected = if core.arbiter().is_some() { (Profile::Gx, TEMPLATE) } else { (Profile::Lx, LOCKED_TEMPLATE) };
    if (core.terms.profile, agreement.template.name()) != expected || core.terms.parties.len() != 2 {
        return Err("profile");
    }
    let facts = facts(pair(core)?, &goods, &price, core.arbiter(), &core.terms.deadlines);
    words::agree(&agreement.document, facts)?;
    plan_of(core).map(drop).map_err(|_| "plan")
}

/// What a contract sells, and for how much.
///
/// # Errors
/// It is not a purchase.
pub fn sold(core: &Core) -> Result<(Descriptor, Price), DecodeError> {
    match core.terms.items.as_slice() {
        [goods, money] if (goods.kind, money.kind) == (ItemKind::Information, ItemKind::Money) => {
            Ok((Descriptor::from_bytes(&goods.descriptor)?, Price::from_bytes(&money.descriptor)?))
        }
        _ => Err(DecodeError::field("items", Problem::OutOfRange("information for money"))),
    }
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
    let arbiter = chosen_arbiter(offer, order).ok_or("arbiter")?;
    let arbiter_name = arbiter.map(|arbiter| arbiter.name.as_str()).unwrap_or_default();
    let deadlines = &core.terms.deadlines;
    let asked = now.after(offer.pace.valid_for);
    let deposit = |slot: Slot| core.deposits.get(&slot).map(Vec::as_slice).unwrap_or_default();
    let deposited = Deposit::from_bytes(deposit(GOODS)).map_err(|_| "goods")?;
    let lock = LockDeposit::from_bytes(deposit(MONEY)).map_err(|_| "money")?;
    let said = |name, expected: &str| words::said(&agreement.document, name, expected);
    let checks = [
        ("goods", goods == offer.goods && deposited.cipher_root == offer.cipher_root),
        ("price", found == priced(offer.price, means, offer.lock())),
        ("money", lock.payer == order.payer),
        ("arbiter", core.arbiter() == arbiter.map(|arbiter| arbiter.key_set) && said("arbiter_name", arbiter_name)),
        ("language", agreement.document.locale == order.locale),
        ("complaints", deadlines.complaints == dates(offer, deadlines.not_after).complaints),
        ("deadlines", are_as_asked(deadlines, asked, [offer.pace.delta, offer.pace.sigma])),
        ("refund date", *deadlines == dates(offer, deadlines.not_after)),
        ("dates", check_dates_under(offer.lock(), deadlines, now).is_ok()),
        ("names", said("seller_name", &offer.seller) && said("buyer_name", &order.buyer)),
        ("terms", said("terms", &offer.terms) && said("law", &offer.law)),
    ];
    all_hold(checks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_core::amount::{Amount, Currency};
    use semper_core::contract::Core;
    use semper_core::cose::{Kind, Statement};
    use semper_core::hash::Digest;
    use semper_core::ids::StatementId;
    use semper_core::machine::{Env, Machine as _};
    use semper_core::party::Algorithm;
    use semper_core::signature::Verify;
    use semper_core::time::Seconds;
    use semper_exchange::goods::Size;
    use semper_exchange::gx::Leg;
    use semper_support::engine::{Effect, Ending, Input};
    use semper_transfer::payment::means::{Fees, Limits, Means, PayerAnonymity, ReceiptKind, Reversal, System};

    use super::*;
    use crate::fixtures::{NOW, Open, ann, arbiter, key_set};
    use crate::order::{self, Ordering, Wanted};

    fn offer(lock: LockKind) -> Offer {
        let goods = Size::new(3).unwrap();
        let means = Means {
            system: System::parse("ecash").unwrap(),
            issuer: "https://mint.example".to_owned(),
            currency: Currency::parse("EUR").unwrap(),
            anonymity: PayerAnonymity::FromAll,
            reversal: Reversal::Final,
            locks: [lock].into(),
            receipt: ReceiptKind::Witness,
            fees: Fees { fixed: 0, per_million: 0 },
            limits: Limits { least: 1, most: 1_000_000 },
            latency: Seconds(1),
        };
        let with_arbiter = lock == LockKind::Arbiter;
        Offer {
            goods: Descriptor::new("a.csv", "text/csv", goods, Digest::from_array([1; 32]), "numbers").unwrap(),
            cipher_root: Digest::from_array([2; 32]),
            price: Amount::parse("12.00 EUR").unwrap(),
            means: vec![means],
            arbiters: with_arbiter.then(ann).into_iter().collect(),
            seller: "Bob".to_owned(),
            pace: if with_arbiter { Pace::default() } else { Pace::WITHOUT_ARBITER },
            until: NOW.after(Seconds(1000)),
            terms: "no copies".to_owned(),
            law: String::new(),
        }
    }

    fn order() -> Order {
        Order {
            offer: StatementId::from_digest(Digest::from_array([3; 32])),
            means: 0,
            arbiter: 0,
            payer: vec![4; 4],
            buyer: "Alice".to_owned(),
            locale: "en".to_owned(),
            card: String::new(),
        }
    }

    fn sell(offer: &Offer, order: &Order, arbiter: Option<Arbiter>) -> Result<Agreement, SaleError> {
        let (article, seed) = (ArticleKey::from_array([5; 32]), Seed::new(vec![6; 32]));
        let sale = Sale {
            offer,
            order,
            seller: key_set(1),
            buyer: key_set(2),
            arbiter,
            payee: vec![7; 4],
            article: &article,
            seed: &seed,
            salt: [8; 32],
            nonce: [9; 32],
            now: NOW,
        };
        sale.propose(&Open, [0; 16]).map(Proposal::into_agreement)
    }

    fn sold_under(lock: LockKind) -> Agreement {
        sell(&offer(lock), &order(), (lock == LockKind::Arbiter).then(arbiter)).unwrap()
    }

    #[test]
    fn a_sale_is_what_was_offered_and_ordered() {
        for lock in [LockKind::Arbiter, LockKind::Hash] {
            let (agreement, offer) = (sold_under(lock), offer(lock));
            assert_eq!(check(&agreement), Ok(()));
            assert_eq!(answers(&agreement, &offer, &order(), NOW), Ok(()));
            assert_eq!(follows(&agreement, &offer, &order(), NOW.after(Seconds(500))), Ok(()));
            let [_, money] = Leg::of(&agreement.core).unwrap();
            assert_eq!(money.lock().unwrap().kind, lock);
            assert_eq!(Core::from_bytes(&agreement.core.to_bytes()).unwrap(), agreement.core);
            for locale in LOCALES {
                let text = Agreement {
                    document: Document { locale: locale.to_owned(), ..agreement.document.clone() },
                    ..agreement.clone()
                };
                let shown = text.document.render(&text.template).unwrap().text;
                assert!(shown.contains("12.00 EUR") && shown.contains("a.csv"), "{shown}");
            }
        }
    }

    // A seller that leaves the arbiter out would take the money and give what it likes; one that names an arbiter in a sale that has none would
    // choose it alone.
    #[test]
    fn an_arbiter_comes_and_goes_with_the_offer_only() {
        let [with, without] = [LockKind::Arbiter, LockKind::Hash].map(offer);
        assert_eq!(sell(&with, &order(), None).unwrap_err(), SaleError::Arbiter);
        assert_eq!(sell(&without, &order(), Some(arbiter())).unwrap_err(), SaleError::Arbiter);
        for (offer, lock) in [(&with, LockKind::Hash), (&without, LockKind::Arbiter)] {
            assert!(answers(&sold_under(lock), offer, &order(), NOW).is_err());
        }
        let mut named = sold_under(LockKind::Hash);
        named.core.terms.arbiter = Some(arbiter().reference());
        assert_eq!(answers(&named, &without, &order(), NOW), Err("arbiter"));
        assert_eq!(check(&named), Err("profile"));
        let mut dropped = sold_under(LockKind::Arbiter);
        dropped.core.terms.arbiter = None;
        assert_eq!(answers(&dropped, &with, &order(), NOW), Err("arbiter"));
    }

    #[test]
    fn what_was_not_ordered_is_refused() {
        for lock in [LockKind::Arbiter, LockKind::Hash] {
            let (agreement, offer) = (sold_under(lock), offer(lock));
            let refused = |change: &dyn Fn(&mut Agreement)| {
                let mut changed = agreement.clone();
                change(&mut changed);
                answers(&changed, &offer, &order(), NOW).unwrap_err()
            };
            let later = |time: &mut Time| *time = time.after(Seconds(100_000));
            assert_eq!(refused(&|agreement| later(&mut agreement.core.terms.deadlines.not_after)), "deadlines");
            let refund = |agreement: &mut Agreement| {
                let date = agreement.core.terms.deadlines.refund_after;
                agreement.core.terms.deadlines.refund_after = date.map(|date| date.after(Seconds(1)));
            };
            assert_eq!(refused(&refund), "refund date");
            assert_eq!(refused(&|agreement| agreement.document.locale = "de".to_owned()), "language");
            let other = Order { payer: vec![0; 4], ..order() };
            assert_eq!(answers(&agreement, &offer, &other, NOW), Err("money"));
            let dearer = Offer { price: Amount::parse("13.00 EUR").unwrap(), ..offer.clone() };
            assert_eq!(answers(&agreement, &dearer, &order(), NOW), Err("price"));
        }
    }

    /// Signs nothing, so nothing is to be checked.
    struct Nobody;

    impl Verify for Nobody {
        fn verify(&self, _: Algorithm, _: &[u8], _: &[u8], _: &[u8]) -> bool {
            false
        }
    }

    // A seller that was away answers when the contract's dates do not fit any more. Its message is refused once; a buyer that went on waiting would
    // wait for nothing.
    #[test]
    fn a_contract_that_comes_too_late_ends_the_order() {
        let offer = offer(LockKind::Arbiter);
        let proposal = Proposal { agreement: sold_under(LockKind::Arbiter), files: Vec::new(), nonce: [0; 16] };
        let message = order::Message::Contract(proposal.to_container().unwrap().to_bytes()).to_bytes();
        let wanted = Wanted::Goods { offer: Box::new(offer.clone()), order: Box::new(order()) };
        let late = Seconds(offer.pace.delta.0 + 2 * offer.pace.sigma.0 + 1);
        for (now, ending) in [(NOW, Ending::Success), (NOW.after(late), Ending::Lapsed)] {
            let waiting = Ordering::AwaitContract { wanted: wanted.clone() };
            let step = waiting.handle(&Env { now, verify: &Nobody }, Input::Message(message.clone())).unwrap();
            assert!(step.effects.contains(&Effect::Ended(ending)), "{:?}", step.effects);
            assert_eq!(step.state.why().contains("the deadlines differ"), ending == Ending::Lapsed);
        }
    }

    #[test]
    fn an_offer_without_an_arbiter_is_read_as_it_is_meant() {
        let without = offer(LockKind::Hash);
        assert_eq!(Offer::from_bytes(&without.to_bytes()).unwrap(), without);
        assert!(without.describe().contains("There is no arbiter"));
        assert_eq!(Offer::KIND, Kind::Offer);
        let complaints = Offer { pace: Pace::default(), ..without.clone() };
        assert!(Offer::from_bytes(&complaints.to_bytes()).is_err(), "nobody decides about complaints");
        let unlockable = Offer { means: offer(LockKind::Arbiter).means, ..without };
        assert!(Offer::from_bytes(&unlockable.to_bytes()).is_err(), "an account cannot be locked to a hash");
    }
}
