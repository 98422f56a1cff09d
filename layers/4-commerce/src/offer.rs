//! Offers: what a seller is ready to sell to anybody, signed; and the order by which a buyer takes one up.
//!
//! ```text
//! offer   = { 0: 1, 1: descriptor of the goods, 2: cipher root, 3: price, 4: [1*32 means], 5: [*8 arbiter], 6: seller's name, 7: pace,
//!             8: until, ? 9: terms, ? 10: law }
//! arbiter = { 0: name, 1: key set id }
//! pace    = { 0: valid for, 1: complaints, 2: delta, 3: sigma }                        ; seconds
//! order   = { 0: 1, 1: statement id of the offer, 2: place of the means, 3: place of the arbiter, 4: payer's details, 5: buyer's name,
//!             6: locale, 7: buyer's contact card (text) }
//! ```
//! An offer binds nobody: each sale is a contract of its own, with its own keys. The signature says whose offer it is, and lets the seller's
//! key holder sign the contracts that follow from it.
//!
//! Source: `spec/purchase.md`.

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::DESCRIPTOR_MAX;
use semper_core::cose::{Kind, Statement};
use semper_core::hash::Digest;
use semper_core::ids::{KeySetId, StatementId};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_exchange::goods::Descriptor;
use semper_transfer::payment::means::{LockKind, Means};
use semper_transfer::payment::negotiation::MEANS_MAX;
use semper_transfer::payment::statement::DETAILS_MAX;

/// Most arbiters that an offer names.
pub const ARBITERS_MAX: usize = 8;
/// Longest name, in bytes of UTF-8.
pub const NAME_MAX: usize = 256;
/// Longest terms, in bytes of UTF-8.
pub const TERMS_MAX: usize = 16 * 1024;
/// Longest contact card, in bytes of text.
pub const CARD_MAX: usize = 160 * 1024;
/// Longest name of a law, in bytes of UTF-8.
pub const LAW_MAX: usize = 256;

/// "I sell this to anybody, at these terms." By the seller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    /// What is sold.
    pub goods: Descriptor,
    /// The root over its ciphertext, which can be had before anything is agreed.
    pub cipher_root: Digest,
    /// What it costs.
    pub price: Amount,
    /// How it can be paid, the way that the seller likes best first. Each can be locked as [`Offer::lock`] says.
    pub means: Vec<Means>,
    /// The arbiters that the seller accepts, the one that it likes best first. None: the purchase has no arbiter, and a hash locks it
    /// ([`semper_exchange::lx`]).
    pub arbiters: Vec<ArbiterOffer>,
    /// What the seller calls itself.
    pub seller: String,
    /// How long everything may take.
    pub pace: Pace,
    /// How long the offer stands.
    pub until: Time,
    /// Terms in words; none if empty.
    pub terms: String,
    /// The law that applies, in words; none if empty.
    pub law: String,
}

/// An arbiter that a seller accepts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArbiterOffer {
    /// What the seller calls it.
    pub name: String,
    /// Its key set.
    pub key_set: KeySetId,
}

/// How long the parts of a purchase may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    /// From the order until the arbiter takes no first request; without an arbiter, until the seller does not take the money any more.
    pub valid_for: Seconds,
    /// For complaints, after the arbiter takes no first request any more; none without an arbiter.
    pub complaints: Seconds,
    /// For a message to the arbiter or to an issuer.
    pub delta: Seconds,
    /// By which two clocks may differ.
    pub sigma: Seconds,
}

impl Pace {
    /// Two hours for the seller to take the money, ten minutes for a message, two minutes between clocks: whoever buys without an arbiter cannot
    /// use the money for so long if the seller is silent.
    pub const WITHOUT_ARBITER: Self =
        Self { valid_for: Seconds(7200), complaints: Seconds(0), delta: Seconds(600), sigma: Seconds(120) };
}

impl Default for Pace {
    /// Two weeks to ask the arbiter, three days to complain, an hour for a message, two minutes between clocks.
    fn default() -> Self {
        let day = 24 * 3600;
        Self { valid_for: Seconds(14 * day), complaints: Seconds(3 * day), delta: Seconds(3600), sigma: Seconds(120) }
    }
}

/// "I want this." By the buyer; it binds nobody and is not signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// The signed offer.
    pub offer: StatementId,
    /// The means of payment: its place in the offer.
    pub means: u16,
    /// The arbiter: its place in the offer; 0 if there is none.
    pub arbiter: u16,
    /// The payer's details for the lock.
    pub payer: Vec<u8>,
    /// What the buyer calls itself.
    pub buyer: String,
    /// The language of the contract, one of [`crate::words::LOCALES`].
    pub locale: String,
    /// The buyer's contact card in its text form: the seller need not know the buyer. Not checked here.
    pub card: String,
}

impl Offer {
    /// Under which kind of lock the price is put.
    pub fn lock(&self) -> LockKind {
        if self.arbiters.is_empty() { LockKind::Hash } else { LockKind::Arbiter }
    }

    /// The offer in plain words, as its seller approves it.
    pub fn describe(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!(
            "OFFER\n\n{} sells to anybody, until {}, for {}:\n  {}, {}, {} bytes\n  hash {}\n",
            escape(&self.seller, 0),
            self.until,
            self.price,
            escape(self.goods.name(), 0),
            escape(self.goods.media_type(), 0),
            self.goods.size().bytes(),
            self.goods.plain_root(),
        );
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                let _ = writeln!(text, "{name}: {}", escape(value, 0));
            }
        };
        line("Description", self.goods.text());
        line("Terms", &self.terms);
        line("Law", &self.law);
        for means in &self.means {
            line("Paid by", &format!("{} at {}", means.system, means.issuer));
        }
        for arbiter in &self.arbiters {
            line("Arbiter", &format!("{} (key {})", arbiter.name, arbiter.key_set));
        }
        text.push_str(
            "\nEvery order of it that comes until then is answered with a signed promise, without asking again. ",
        );
        let (valid_for, complaints) = (in_words(self.pace.valid_for), in_words(self.pace.complaints));
        let _ = match self.lock() {
            LockKind::Arbiter => write!(
                text,
                "The arbiter can be asked\nfor {valid_for} after an order, and complaints are possible for {complaints} longer.\n"
            ),
            LockKind::Hash => write!(
                text,
                "There is no arbiter: you\ntake the money within {valid_for} after an order or not at all, and nobody decides about complaints.\n"
            ),
        };
        text
    }
}

pub(crate) fn in_words(span: Seconds) -> String {
    match span.0 {
        seconds if seconds >= 172_800 && seconds % 86_400 == 0 => format!("{} days", seconds / 86_400),
        seconds if seconds >= 7_200 && seconds % 3_600 == 0 => format!("{} hours", seconds / 3_600),
        seconds => format!("{seconds} seconds"),
    }
}

impl Statement for Offer {
    const KIND: Kind = Kind::Offer;
}

impl Encode for Offer {
    fn to_value(&self) -> Value {
        let some = |text: &String| (!text.is_empty()).then(|| Value::text(text));
        record()
            .put(0, 1_u64)
            .put_bytes(1, self.goods.to_bytes())
            .put_item(2, &self.cipher_root)
            .put_item(3, &self.price)
            .put_list(4, &self.means)
            .put_list(5, &self.arbiters)
            .put(6, self.seller.as_str())
            .put_item(7, &self.pace)
            .put_item(8, &self.until)
            .put_some(9, some(&self.terms))
            .put_some(10, some(&self.law))
            .build()
    }
}

impl Decode for Offer {
    const BYTES_MAX: usize = 64 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let goods = Descriptor::from_bytes(&fields.bytes(1, "goods", DESCRIPTOR_MAX)?)?;
        let offer = Self {
            goods,
            cipher_root: fields.item(2, "cipher root")?,
            price: fields.item(3, "price")?,
            means: fields.list(4, "means", MEANS_MAX)?,
            arbiters: fields.list(5, "arbiters", ARBITERS_MAX)?,
            seller: fields.text(6, "seller", NAME_MAX)?,
            pace: fields.item(7, "pace")?,
            until: fields.item(8, "until")?,
            terms: some_text(&mut fields, 9, "terms", TERMS_MAX)?,
            law: some_text(&mut fields, 10, "law", LAW_MAX)?,
        };
        fields.close()?;
        let usable = |means: &Means| means.currency == offer.price.currency() && means.locks.contains(&offer.lock());
        if offer.means.is_empty() || !offer.means.iter().all(usable) {
            let rule = "means of payment in the currency of the price, which can be locked";
            return Err(DecodeError::field("means", Problem::OutOfRange(rule)));
        }
        if offer.arbiters.is_empty() && offer.pace.complaints != Seconds(0) {
            let rule = "without an arbiter nobody decides about complaints";
            return Err(DecodeError::field("complaints", Problem::OutOfRange(rule)));
        }
        Ok(offer)
    }
}

/// A text that is left out if it is empty.
pub(crate) fn some_text(fields: &mut Fields, key: u64, name: &'static str, max: usize) -> Result<String, DecodeError> {
    match fields.optional_item::<String>(key, name)? {
        None => Ok(String::new()),
        Some(text) if text.is_empty() || text.len() > max => {
            Err(DecodeError::field(name, Problem::OutOfRange("left out if empty, and not longer than its limit")))
        }
        Some(text) => Ok(text),
    }
}

impl Encode for ArbiterOffer {
    fn to_value(&self) -> Value {
        record().put(0, self.name.as_str()).put_item(1, &self.key_set).build()
    }
}

impl Decode for ArbiterOffer {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let arbiter = Self { name: fields.text(0, "name", NAME_MAX)?, key_set: fields.item(1, "key set")? };
        fields.close()?;
        Ok(arbiter)
    }
}

impl Encode for Pace {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.valid_for)
            .put_item(1, &self.complaints)
            .put_item(2, &self.delta)
            .put_item(3, &self.sigma)
            .build()
    }
}

impl Decode for Pace {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let pace = Self {
            valid_for: fields.item(0, "valid for")?,
            complaints: fields.item(1, "complaints")?,
            delta: fields.item(2, "delta")?,
            sigma: fields.item(3, "sigma")?,
        };
        fields.close()?;
        Ok(pace)
    }
}

impl Encode for Order {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.offer)
            .put(2, u64::from(self.means))
            .put(3, u64::from(self.arbiter))
            .put_bytes(4, &self.payer)
            .put(5, self.buyer.as_str())
            .put(6, self.locale.as_str())
            .put(7, self.card.as_str())
            .build()
    }
}

impl Decode for Order {
    const BYTES_MAX: usize = DETAILS_MAX + CARD_MAX + 2048;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let order = Self {
            offer: fields.item(1, "offer")?,
            means: fields.small(2, "means")?,
            arbiter: fields.small(3, "arbiter")?,
            payer: fields.bytes(4, "payer's details", DETAILS_MAX)?,
            buyer: fields.text(5, "buyer", NAME_MAX)?,
            locale: fields.text(6, "locale", 35)?,
            card: fields.text(7, "card", CARD_MAX)?,
        };
        fields.close()?;
        Ok(order)
    }
}
