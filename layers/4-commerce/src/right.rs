//! The sale of a right: an offer of a credential for money, and the contract of whoever takes it up.
//!
//! The words are in `services/right-transfer/`, one file per language. It goes as a purchase does, and the order is the same, but that nothing is locked:
//! the right is passed on at its issuer first, and called back by the arbiter's verdict if the money, by plain transfer, does not come. The offer holds the
//! credential itself. Whoever wants to buy judges it ([`judged`]) and asks its issuer what is left of it before it orders; the seller judges it again when it
//! writes the contract ([`Sale`]).
//!
//! Source: `spec/right.md`, `spec/gx.md` §6.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::{ArbiterRef, Core, Deadlines, ItemKind, Profile, Terms};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::document::{Document, FieldValue};
use semper_core::ids::{DealId, KeySetId, Slot};
use semper_core::party::Role;
use semper_core::signature::{Verified, Verify, verify};
use semper_core::template::{FieldKind, Template};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_exchange::gx::{Leg, Price, Right, TransferDeposit, earliest_recall, pay_until};
use semper_exchange::planner::{check_right_dates, plan_of};
use semper_transfer::credential::{Bundle, Credential, NotGood, Uses};
use semper_transfer::payment::means::Means;
use semper_transfer::payment::negotiation::MEANS_MAX;
use semper_transfer::payment::statement::PaymentRequest;

use crate::offer::{ARBITERS_MAX, ArbiterOffer, LAW_MAX, NAME_MAX, Order, Pace, TERMS_MAX, in_words, some_text};
use crate::proposal::{Agreement, Proposal};
use crate::purchase::SaleError;
use crate::terms::{Arbiter, all_hold, arbiter, are_as_asked, item, pair, parties, priced};
use crate::trade::transferable;
use crate::words::{self, Fact, LOCALES, required, text, texts};

/// The name of the template.
pub const TEMPLATE: &str = "right-transfer";
/// Where the right stands in the contract.
const RIGHT: Slot = Slot(0);
/// Where the money stands in the contract.
const MONEY: Slot = Slot(1);

/// "I sell this right to anybody, at these terms." By its holder; it binds nobody.
///
/// ```text
/// right-offer = { 0: 4, 1: credential bundle, ? 2: uses, 3: price, 4: [1*32 means], 5: [1*8 arbiter], 6: seller's name, 7: pace, 8: until,
///                 9: issuer's name, ? 10: terms, ? 11: law }        ; no reservation in 1, no time for complaints in 7; no 2: it may be used freely
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RightOffer {
    /// The seller's credential, and its issuer's keys.
    pub bundle: Bundle,
    /// How often it can still be used, at least.
    pub uses: Uses,
    /// What it costs.
    pub price: Amount,
    /// How it can be paid, the way that the seller likes best first: by plain transfer, at issuers that show what was paid.
    pub means: Vec<Means>,
    /// The arbiters that the seller accepts, the one that it likes best first.
    pub arbiters: Vec<ArbiterOffer>,
    /// What the seller calls itself.
    pub seller: String,
    /// How long everything may take; nobody complains.
    pub pace: Pace,
    /// How long the offer stands.
    pub until: Time,
    /// What the seller calls the issuer.
    pub issuer_name: String,
    /// Terms in words; none if empty.
    pub terms: String,
    /// The law that applies, in words; none if empty.
    pub law: String,
}

/// The sale of a right, as the seller writes it down.
pub struct Sale<'a> {
    /// The offer.
    pub offer: &'a RightOffer,
    /// The order.
    pub order: &'a Order,
    /// Its credential, as it was [`judged`].
    pub credential: &'a Verified<Credential>,
    /// The buyer.
    pub buyer: KeySetId,
    /// The arbiter that the order has chosen.
    pub arbiter: Arbiter,
    /// What the seller has signed of [`request`].
    pub request: Signed,
    /// Random bytes that hide the contract from the issuer of the right.
    pub right_salt: [u8; 32],
    /// Random bytes that hide the contract from the issuer of the money.
    pub money_salt: [u8; 32],
    /// Random bytes that make the contract unique.
    pub nonce: [u8; 32],
    /// The present time.
    pub now: Time,
}

/// The credential of an offer, if `seller` holds it now by the word of the issuer whose keys come with it, and can pass it on with the uses that are
/// offered. Whose keys these are, and what the issuer says of it, is for whoever asks to find out.
///
/// # Errors
/// [`NotGood`].
pub fn judged(
    verifier: &dyn Verify,
    offer: &RightOffer,
    seller: KeySetId,
    now: Time,
) -> Result<Verified<Credential>, NotGood> {
    let checked: Verified<Credential> = verify(verifier, &offer.bundle.issuer, &offer.bundle.credential)?;
    let credential = checked.statement();
    match () {
        () if credential.holder != seller => Err(NotGood::Holder),
        () if !credential.transferable => Err(NotGood::Fixed),
        () if !credential.uses.covers(offer.uses) => Err(NotGood::Number),
        () if now < credential.from => Err(NotGood::NotYet(credential.from)),
        () if now > credential.until => Err(NotGood::Expired(credential.until)),
        () => Ok(checked),
    }
}

/// What the seller signs for an order: a request for the price with these details, which is honoured so long that its payer can still show the arbiter what
/// it has paid. `deal` is that of the order, `now` the time of the contract. `None`: the order chooses a means that the offer does not have.
pub fn request(offer: &RightOffer, order: &Order, deal: DealId, details: Vec<u8>, now: Time) -> Option<PaymentRequest> {
    let Means { system, issuer, .. } = offer.means.get(usize::from(order.means))?.clone();
    let expires = pay_until(&offer.deadlines(now.after(offer.pace.valid_for)));
    let purpose = offer.credential().ok()?.right;
    Some(PaymentRequest { deal, amount: offer.price, purpose, system, issuer, details, expires })
}

impl RightOffer {
    /// A day to pay in, an hour for a message, two minutes between clocks: a buyer that does not pay keeps the right from its seller for so long.
    pub const PACE: Pace =
        Pace { valid_for: Seconds(86_400), complaints: Seconds(0), delta: Seconds(3600), sigma: Seconds(120) };

    /// What the credential says. Whether its issuer has said so: [`judged`].
    ///
    /// # Errors
    /// It is malformed, which it is not in an offer that was read.
    pub fn credential(&self) -> Result<Credential, DecodeError> {
        Credential::from_bytes(self.bundle.credential.payload())
    }

    /// The offer in plain words, as its seller approves it.
    pub fn describe(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!(
            "OFFER\n\n{} sells to anybody, until {}, for {}:\n",
            escape(&self.seller, 0),
            self.until,
            self.price
        );
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(text, "{name}: {}", escape(value, 0));
            }
        };
        if let Ok(credential) = self.credential() {
            line("The right", &credential.right);
            line("Can be used", &format!("{}, until {}", self.uses, credential.until));
            line("Credential", &format!("{}, held by {}", credential.serial, credential.holder));
        }
        line("Issued by", &format!("{} (key {})", self.issuer_name, self.bundle.issuer.id()));
        line("Terms", &self.terms);
        line("Law", &self.law);
        for means in &self.means {
            line("Paid by", &format!("{} at {}, by plain transfer", means.system, means.issuer));
        }
        for arbiter in &self.arbiters {
            line("Arbiter", &format!("{} (key {})", arbiter.name, arbiter.key_set));
        }
        let _ = write!(
            text,
            "\nEvery order of it that comes until then is answered with a signed promise, without asking again. Whoever has promised to pay gets the right\n\
             first. If the money does not come within {} after the order, the arbiter has the right called back, and your node asks it to: it must be on\n\
             line then, or the right stays with the buyer. Until then you cannot use it or sell it to somebody else.\n",
            in_words(self.pace.valid_for)
        );
        text
    }

    /// The deadlines of a contract that follows from the offer.
    fn deadlines(&self, not_after: Time) -> Deadlines {
        let Pace { delta, sigma, .. } = self.pace;
        let deadlines = Deadlines { not_after, complaints: None, refund_after: None, delta, sigma };
        Deadlines { refund_after: Some(earliest_recall(&deadlines)), ..deadlines }
    }
}

impl Sale<'_> {
    /// The proposal of the contract. `nonce` makes its transfer unique.
    ///
    /// # Errors
    /// [`SaleError`].
    pub fn propose(&self, nonce: [u8; 16]) -> Result<Proposal, SaleError> {
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
        let deadlines = offer.deadlines(self.now.after(offer.pace.valid_for));
        check_right_dates(&deadlines, self.now)?;
        let credential = self.credential.statement();
        let right = Right {
            serial: credential.serial,
            issuer: offer.bundle.issuer.id(),
            right: credential.right.clone(),
            credential: self.credential.id(),
            uses: offer.uses,
            salt: self.right_salt,
        };
        let price = priced(offer.price, means, None);
        let (seller, template) = (credential.holder, template());
        let names = [
            ("seller_name", text(&offer.seller)),
            ("buyer_name", text(&order.buyer)),
            ("issuer_name", text(&offer.issuer_name)),
            ("arbiter_name", text(&named.name)),
        ];
        let facts = facts(&order.locale, [seller, self.buyer], &right, &price, arbiter.key_set, &deadlines);
        let facts = names.into_iter().chain(facts).chain(described(&order.locale, credential));
        let document: Document =
            words::fill(&template, &order.locale, facts.chain(words::terms_facts(&offer.terms, &offer.law)));
        let terms = Terms {
            profile: Profile::Gx,
            parties: parties([seller, self.buyer]),
            arbiter: Some(ArbiterRef { deposit_key: None, ..arbiter.reference() }),
            items: vec![
                item(ItemKind::Right, Role::ORIGINATOR, right.to_bytes(), RIGHT),
                item(ItemKind::Money, Role::RESPONDER, price.to_bytes(), MONEY),
            ],
            deadlines,
            text: document.text_ref(&template)?,
            links: Vec::new(),
            nonce: self.nonce,
        };
        let deposit = TransferDeposit { request: self.request.clone(), salt: self.money_salt };
        let core = Core { terms, deposits: BTreeMap::from([(MONEY, deposit.to_bytes())]) };
        Ok(Proposal { agreement: Agreement { core, document, template }, files: Vec::new(), nonce })
    }
}

/// What the text says that the contract says too.
fn facts(
    locale: &str,
    [seller, buyer]: [KeySetId; 2],
    right: &Right,
    price: &Price,
    arbiter: KeySetId,
    deadlines: &Deadlines,
) -> Vec<Fact> {
    let mut facts = vec![
        ("seller", FieldValue::Party(seller)),
        ("buyer", FieldValue::Party(buyer)),
        ("right", text(&right.right)),
        ("uses", uses(locale, right.uses)),
        ("serial", text(&right.serial.to_string())),
        ("issuer", FieldValue::Party(right.issuer)),
        ("price", FieldValue::Amount(price.amount)),
        ("means", words::means(price)),
        ("pay_until", FieldValue::Time(pay_until(deadlines))),
        ("callable_until", FieldValue::Time(deadlines.refund_after.unwrap_or(deadlines.not_after))),
    ];
    facts.extend(words::arbiter_facts(arbiter, deadlines.not_after));
    facts
}

/// What the text says that the credential says, which the contract names.
fn described(locale: &str, credential: &Credential) -> [Fact; 2] {
    let anybody = if locale == "de" { "jedem" } else { "anybody" };
    let key = if locale == "de" { "Schlüssel" } else { "key" };
    let keys: Vec<_> = credential.audience.iter().map(|honours| format!("{key} {honours}")).collect();
    let audience = if keys.is_empty() { anybody.to_owned() } else { keys.join("\n") };
    [("valid_until", FieldValue::Time(credential.until)), ("audience", FieldValue::LongText(audience))]
}

/// How often a right can be used, in words.
fn uses(locale: &str, uses: Uses) -> FieldValue {
    text(&match (locale, uses) {
        ("de", Uses::Unlimited) => "beliebig oft".to_owned(),
        ("de", Uses::Counted(uses)) => format!("mindestens {uses}-mal"),
        (_, Uses::Unlimited) => "freely".to_owned(),
        (_, Uses::Counted(1)) => "at least once".to_owned(),
        (_, Uses::Counted(uses)) => format!("at least {uses} times"),
    })
}

/// The template of the sale of a right.
pub fn template() -> Template {
    // Checking its texts takes longer than everything else about a proposal.
    static WRITTEN: LazyLock<Template> = LazyLock::new(|| {
        let mut fields = vec![
            required("seller_name", FieldKind::Text, "seller", "Verkäufer"),
            required("seller", FieldKind::Party, "seller's key", "Schlüssel des Verkäufers"),
            required("buyer_name", FieldKind::Text, "buyer", "Käufer"),
            required("buyer", FieldKind::Party, "buyer's key", "Schlüssel des Käufers"),
            required("right", FieldKind::Text, "right", "Recht"),
            required("uses", FieldKind::Text, "can be used", "kann genutzt werden"),
            required("valid_until", FieldKind::Time, "valid until", "gültig bis"),
            required("serial", FieldKind::Text, "serial number", "Seriennummer"),
            required("issuer_name", FieldKind::Text, "issuer", "Aussteller"),
            required("issuer", FieldKind::Party, "issuer's key", "Schlüssel des Ausstellers"),
            required("audience", FieldKind::LongText, "honoured by", "anerkannt von"),
            required("price", FieldKind::Amount, "price", "Preis"),
            required("means", FieldKind::Text, "means of payment", "Zahlungsmittel"),
        ];
        fields.extend(words::arbiter_fields());
        let (en, de) = ("the seller can take the money until", "der Verkäufer kann das Geld nehmen bis");
        fields.push(required("pay_until", FieldKind::Time, en, de));
        let (en, de) = ("the right can be called back until", "das Recht kann zurückgerufen werden bis");
        fields.push(required("callable_until", FieldKind::Time, en, de));
        fields.extend(words::terms_fields());
        words::template(TEMPLATE, fields, texts!("right-transfer"))
    });
    WRITTEN.clone()
}

/// What a contract passes on, and for how much.
///
/// # Errors
/// It is no such contract.
pub fn sold(core: &Core) -> Result<(Right, Price), DecodeError> {
    match core.terms.items.as_slice() {
        [right, money] if (right.kind, money.kind) == (ItemKind::Right, ItemKind::Money) => {
            Ok((Right::from_bytes(&right.descriptor)?, Price::from_bytes(&money.descriptor)?))
        }
        _ => Err(DecodeError::field("items", Problem::OutOfRange("a right for money"))),
    }
}

/// What the text says must be what its core says.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let core = &agreement.core;
    let (right, price) = sold(core).map_err(|_| "right")?;
    if core.terms.profile != Profile::Gx || core.terms.parties.len() != 2 {
        return Err("profile");
    }
    let deadlines = &core.terms.deadlines;
    let locale = &agreement.document.locale;
    words::agree(&agreement.document, facts(locale, pair(core)?, &right, &price, arbiter(core)?, deadlines))?;
    plan_of(core).map_err(|_| "plan")?;
    let [_, money] = Leg::of(core).map_err(|_| "items")?;
    // The request can be honoured no longer; that it is not honoured for less is what the payer reads.
    let expires = money.transfer().map(|transfer| transfer.asked.expires);
    if expires == Some(pay_until(deadlines)) { Ok(()) } else { Err("pay_until") }
}

/// What such a contract is called on the screen, if it is one.
pub fn title(agreement: &Agreement) -> Option<String> {
    sold(&agreement.core).ok().map(|(right, _)| escape(&right.right, 0))
}

/// Whether a contract is what an offer promises to whoever orders so, and its credential was good at the moment when the contract was made: its
/// seller may come to sign it later.
///
/// # Errors
/// What is not as offered.
pub fn follows(
    verifier: &dyn Verify,
    agreement: &Agreement,
    offer: &RightOffer,
    order: &Order,
    now: Time,
) -> Result<(), &'static str> {
    let made = agreement.core.terms.deadlines.not_after.before(offer.pace.valid_for).min(now);
    answers(agreement, offer, order, made)?;
    let [seller, _] = pair(&agreement.core)?;
    judged(verifier, offer, seller, made).map(drop).map_err(|_| "credential")
}

/// Whether a contract is what was ordered. `now` is when it came.
///
/// # Errors
/// What is not as ordered.
pub fn answers(agreement: &Agreement, offer: &RightOffer, order: &Order, now: Time) -> Result<(), &'static str> {
    let core = &agreement.core;
    let (right, price) = sold(core).map_err(|_| "right")?;
    let credential = offer.credential().map_err(|_| "credential")?;
    let means = offer.means.get(usize::from(order.means)).ok_or("means")?;
    let named = offer.arbiters.get(usize::from(order.arbiter)).ok_or("arbiter")?;
    let deadlines = &core.terms.deadlines;
    let asked = now.after(offer.pace.valid_for);
    let said = |name, expected: &str| words::said(&agreement.document, name, expected);
    let (issuer, id) = (offer.bundle.issuer.id(), offer.bundle.credential.id());
    words::agree(&agreement.document, described(&order.locale, &credential))?;
    let checks = [
        ("credential", (right.credential, right.serial, right.issuer) == (id, credential.serial, issuer)),
        ("right", (&right.right, right.uses) == (&credential.right, offer.uses)),
        ("seller", pair(core)?[0] == credential.holder),
        ("price", price == priced(offer.price, means, None)),
        ("arbiter", core.arbiter() == Some(named.key_set) && said("arbiter_name", &named.name)),
        ("language", agreement.document.locale == order.locale),
        ("deadlines", are_as_asked(deadlines, asked, [offer.pace.delta, offer.pace.sigma])),
        ("date until which the right can be called back", *deadlines == offer.deadlines(deadlines.not_after)),
        ("dates", check_right_dates(deadlines, now).is_ok()),
        ("names", said("seller_name", &offer.seller) && said("buyer_name", &order.buyer)),
        ("issuer", said("issuer_name", &offer.issuer_name)),
        ("terms", said("terms", &offer.terms) && said("law", &offer.law)),
    ];
    all_hold(checks)
}

impl Statement for RightOffer {
    const KIND: Kind = Kind::Offer;
}

impl Encode for RightOffer {
    fn to_value(&self) -> Value {
        let some = |text: &String| (!text.is_empty()).then(|| Value::text(text));
        record()
            .put(0, 4_u64)
            .put_item(1, &self.bundle)
            .put_some(2, self.uses.counted())
            .put_item(3, &self.price)
            .put_list(4, &self.means)
            .put_list(5, &self.arbiters)
            .put(6, self.seller.as_str())
            .put_item(7, &self.pace)
            .put_item(8, &self.until)
            .put(9, self.issuer_name.as_str())
            .put_some(10, some(&self.terms))
            .put_some(11, some(&self.law))
            .build()
    }
}

impl Decode for RightOffer {
    const BYTES_MAX: usize = 64 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let wrong = |field, rule| DecodeError::field(field, Problem::OutOfRange(rule));
        let mut fields = Fields::open(value)?;
        fields.version(0, 4)?;
        let bundle = fields.item(1, "credential")?;
        let offer = Self {
            bundle,
            uses: Uses::read(&mut fields, 2)?,
            price: fields.item(3, "price")?,
            means: fields.list(4, "means", MEANS_MAX)?,
            arbiters: fields.list(5, "arbiters", ARBITERS_MAX)?,
            seller: fields.text(6, "seller", NAME_MAX)?,
            pace: fields.item(7, "pace")?,
            until: fields.item(8, "until")?,
            issuer_name: fields.text(9, "issuer's name", NAME_MAX)?,
            terms: some_text(&mut fields, 10, "terms", TERMS_MAX)?,
            law: some_text(&mut fields, 11, "law", LAW_MAX)?,
        };
        fields.close()?;
        offer.credential()?;
        if offer.bundle.reservation.is_some() {
            return Err(wrong("credential", "a credential without a reservation"));
        }
        let usable = |means: &Means| means.currency == offer.price.currency() && transferable(means);
        if offer.means.is_empty() || !offer.means.iter().all(usable) {
            return Err(wrong(
                "means",
                "means of payment in the currency of the price, whose issuers show what was paid",
            ));
        }
        if offer.arbiters.is_empty() || offer.pace.complaints != Seconds(0) {
            return Err(wrong("arbiters", "an arbiter, and no time for complaints"));
        }
        Ok(offer)
    }
}

#[cfg(test)]
mod tests;
