//! Money for a receipt, and money for other money: what one party asks of another, and the contract that answers it.
//!
//! The words are in `services/receipt/` and `services/exchange/`, one file per language. Whoever asks says how it can pay and be paid, with
//! its details for each lock; whoever is asked chooses of that what it has too, adds its own details, and answers with the contract
//! ([`Reply`]). The asker takes only a contract that is what it has asked for ([`answers`]).
//!
//! Money for a receipt can be paid by plain transfer (`services/receipt-transfer/`), where it cannot be locked or is not to be: the payee's signed request
//! then stands in the contract in the place of a lock.
//!
//! A trade that names no arbiter asks for an exchange in which one hash locks what both give (`services/receipt-locked/`,
//! `services/exchange-locked/`). Whoever answers draws the preimage and is the originator of that contract: it gives first, and takes first.
//!
//! Source: `spec/trade.md`.

use std::collections::BTreeMap;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, Profile, Terms};
use semper_core::cose::Signed;
use semper_core::document::{DocumentError, FieldValue};
use semper_core::ids::{DealId, KeySetId, Slot};
use semper_core::party::Role;
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::{Seconds, Time};
use semper_exchange::gx::{
    Decides, ItemsError, Leg, LockDeposit, Price, TransferDeposit, originators_refund, pay_until,
};
use semper_exchange::planner::{DatesError, Impossible, plan_of};
use semper_transfer::payment::means::{LockKind, Means, ReceiptKind};
use semper_transfer::payment::statement::{DETAILS_MAX, PURPOSE_MAX, PaymentRequest};

use crate::offer::{ARBITERS_MAX, ArbiterOffer, NAME_MAX};
use crate::plan::{EXCHANGE, Plan, RECEIPT};
use crate::proposal::{Agreement, Proposal};
use crate::terms::{
    Arbiter, DELTA, SIGMA, all_hold, arbiter, are_as_asked, check_dates_under, deadlines, item, pair, parties, priced,
    refund_date,
};
use crate::words::{self, Fact, LOCALES, optional, required, text, texts};

/// The name of the template of a payment with receipt.
pub const RECEIPT_TEMPLATE: &str = "receipt";
/// The name of the template of an exchange of money.
pub const EXCHANGE_TEMPLATE: &str = "exchange";
/// The name of the template of a payment with receipt without an arbiter.
pub const RECEIPT_LOCKED_TEMPLATE: &str = "receipt-locked";
/// The name of the template of an exchange of money without an arbiter.
pub const EXCHANGE_LOCKED_TEMPLATE: &str = "exchange-locked";
/// The name of the template of a payment with receipt by plain transfer.
pub const RECEIPT_TRANSFER_TEMPLATE: &str = "receipt-transfer";
/// Most ways to pay, and to be paid, that a party names.
pub const PLEDGES_MAX: usize = 8;

/// Where the asker's money stands in the contract.
const FIRST: Slot = Slot(0);
/// Where the other's money stands, if there is any.
const SECOND: Slot = Slot(1);

/// "I give you this money, for other money or for a receipt." By the asker; it binds nobody and is not signed.
///
/// ```text
/// trade  = { 0: 1, 1: gives, ? 2: wants, 3: purpose, 4: [1*8 pledge], 5: [*8 pledge], 6: [*8 arbiter], 7: valid for, 8: asker's name,
///            9: peer's name, 10: locale, ? 11: "transfer" }
/// pledge = { 0: means, 1: details }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trade {
    /// What the asker gives.
    pub gives: Amount,
    /// What it wants for that; a receipt if it is no money.
    pub wants: Option<Amount>,
    /// What it is for, in one line; not said if empty.
    pub purpose: String,
    /// How the asker can pay, the way that it likes best first.
    pub pays: Vec<Pledge>,
    /// How it can be paid. Nothing if it wants a receipt.
    pub takes: Vec<Pledge>,
    /// The arbiters that it accepts, the one that it likes best first, and what it calls them. None: one hash is to lock what both give, and
    /// every pledge is of a means that has such locks.
    pub arbiters: Vec<ArbiterOffer>,
    /// From the answer until the arbiter takes no first request; without an arbiter, until the other party opens nothing any more.
    pub valid_for: Seconds,
    /// What the asker calls itself.
    pub asker: String,
    /// What it calls the other party.
    pub peer: String,
    /// The language of the contract, one of [`LOCALES`].
    pub locale: String,
    /// How money is put into the exchange.
    pub manner: Manner,
}

/// How money is put into an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Manner {
    /// It is locked first.
    Locked,
    /// It is paid by plain transfer, for a receipt and under an arbiter.
    Transferred,
}

/// A way to pay or to be paid, made ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pledge {
    /// The means.
    pub means: Means,
    /// The asker's details for a lock; nothing for a plain transfer.
    pub details: Vec<u8>,
}

/// The answer to a trade, as the party that was asked writes it down.
pub struct Reply<'a> {
    /// What was asked.
    pub trade: &'a Trade,
    /// Who asked.
    pub asker: KeySetId,
    /// Who answers.
    pub me: KeySetId,
    /// The arbiter, one of those that were named; none if none was named. Its key for locks is in the choices.
    pub arbiter: Option<&'a Arbiter>,
    /// How the asker pays.
    pub pays: Paid,
    /// How it is paid, if it wants money.
    pub takes: Option<Choice>,
    /// Random bytes that make the contract unique.
    pub nonce: [u8; 32],
    /// The present time.
    pub now: Time,
}

/// How an asker pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paid {
    /// Under a lock.
    Locked(Choice),
    /// By plain transfer.
    Transferred {
        /// The pledge's place in the trade.
        place: usize,
        /// What whoever answers has signed of [`request`].
        request: Signed,
        /// Random bytes that hide the request from the issuer.
        salt: [u8; 32],
    },
}

/// A pledge that was chosen, with what belongs to its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its place in the trade.
    pub place: usize,
    /// The details of whoever answers.
    pub details: Vec<u8>,
    /// What opens the lock: the arbiter, by its key for locks of this payment system, or the preimage of one hash for all locks.
    pub decides: Decides,
    /// Random bytes that hide the contract from the issuer.
    pub salt: [u8; 32],
}

/// Which pledges a contract has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// By which the asker pays.
    pub pays: usize,
    /// By which it is paid, if it wants money.
    pub takes: Option<usize>,
}

/// Why a trade cannot be answered with a contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// There is no such means, arbiter or language in the trade.
    #[error("what was asked has no such {0}")]
    NoSuchChoice(&'static str),
    /// A field does not fit the template.
    #[error("the contract cannot be written: {0}")]
    Document(#[from] DocumentError),
    /// There is too little time.
    #[error("the contract's dates cannot be kept: {0}")]
    Dates(#[from] DatesError),
    /// The exchange would not be fair.
    #[error("this cannot be exchanged fairly: {0}")]
    Unfair(#[from] Impossible),
    /// The locks are not what such a contract needs.
    #[error("this cannot be exchanged: {0}")]
    Items(#[from] ItemsError),
}

/// What a contract of these templates exchanges.
struct Traded {
    /// What opens its locks; nothing is locked where money is paid by plain transfer.
    kind: Option<LockKind>,
    /// The asker's money.
    gives: Price,
    /// The other's money, if it gives any.
    gets: Option<Price>,
}

impl Trade {
    /// The plan of its deal.
    pub fn plan(&self) -> &'static Plan {
        if self.wants.is_some() { &EXCHANGE } else { &RECEIPT }
    }

    /// What is to open the locks; nothing is locked if money is paid by plain transfer.
    pub fn lock_kind(&self) -> Option<LockKind> {
        match self.manner {
            Manner::Transferred => None,
            Manner::Locked if self.arbiters.is_empty() => Some(LockKind::Hash),
            Manner::Locked => Some(LockKind::Arbiter),
        }
    }
}

/// What whoever answers a trade by plain transfer signs, if that pays it: a request with these details, which is honoured so long that its payer
/// can still show the arbiter what it has paid. `deal` is that of the trade, `now` the time of the reply.
pub fn request(trade: &Trade, deal: DealId, place: usize, details: Vec<u8>, now: Time) -> Option<PaymentRequest> {
    let Means { system, issuer, .. } = trade.pays.get(place)?.means.clone();
    let expires = pay_until(&deadlines(now.after(trade.valid_for)));
    Some(PaymentRequest { deal, amount: trade.gives, purpose: trade.purpose.clone(), system, issuer, details, expires })
}

impl Reply<'_> {
    /// The proposal of the contract. The asker is its originator, or without an arbiter its responder. `nonce` makes its transfer unique.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn propose(&self, nonce: [u8; 16]) -> Result<Proposal, ReplyError> {
        let trade = self.trade;
        let kind = trade.lock_kind();
        let named = self.named()?;
        if !LOCALES.contains(&trade.locale.as_str()) {
            return Err(ReplyError::NoSuchChoice("language"));
        }
        let no_means = ReplyError::NoSuchChoice("means of payment");
        let (place, manner) = match &self.pays {
            Paid::Locked(choice) => (choice.place, Manner::Locked),
            Paid::Transferred { place, .. } => (*place, Manner::Transferred),
        };
        let pays = trade.pays.get(place).filter(|_| manner == trade.manner).ok_or(no_means.clone())?;
        let gives = priced(trade.gives, &pays.means, kind);
        let deposit = match &self.pays {
            Paid::Locked(choice) => choice.lock(&pays.details, &choice.details),
            Paid::Transferred { request, salt, .. } => {
                TransferDeposit { request: request.clone(), salt: *salt }.to_bytes()
            }
        };
        let mut deposits = BTreeMap::from([(FIRST, deposit)]);
        let gets = match (trade.wants, &self.takes) {
            (Some(wants), Some(choice)) => {
                let takes = trade.takes.get(choice.place).ok_or(no_means)?;
                deposits.insert(SECOND, choice.lock(&choice.details, &takes.details));
                Some(priced(wants, &takes.means, kind))
            }
            (None, None) => None,
            _ => return Err(no_means),
        };
        let mut deadlines = deadlines(self.now.after(trade.valid_for));
        deadlines.refund_after = kind.map(|kind| refund_date(kind, &deadlines));
        check_dates_under(kind, &deadlines, self.now)?;
        let traded = Traded { kind, gives, gets };
        let template = traded.template();
        let facts = traded.facts([self.asker, self.me], self.arbiter.map(|arbiter| arbiter.key_set), &deadlines);
        let names = [("first_name", text(&trade.asker)), ("second_name", text(&trade.peer))];
        let facts = names.into_iter().chain(named.map(|named| ("arbiter_name", text(&named.name)))).chain(facts);
        let facts = facts.chain(words::unless_empty("purpose", &trade.purpose, FieldValue::Text));
        let document = words::fill(&template, &trade.locale, facts);
        let terms = Terms {
            profile: traded.profile(),
            parties: parties(traded.in_roles([self.asker, self.me])),
            arbiter: self.arbiter.map(|arbiter| ArbiterRef { deposit_key: None, ..arbiter.reference() }),
            items: traded.items(),
            deadlines,
            text: document.text_ref(&template)?,
            links: Vec::new(),
            nonce: self.nonce,
        };
        let core = Core { terms, deposits };
        plan_of(&core)?;
        Leg::of(&core)?;
        Ok(Proposal { agreement: Agreement { core, document, template }, files: Vec::new(), nonce })
    }

    /// The arbiter as the trade names it; none in a trade that names none.
    fn named(&self) -> Result<Option<&ArbiterOffer>, ReplyError> {
        let wrong = ReplyError::NoSuchChoice("arbiter");
        match self.arbiter {
            None if self.trade.arbiters.is_empty() => Ok(None),
            None => Err(wrong),
            Some(arbiter) => {
                let named = self.trade.arbiters.iter().find(|named| named.key_set == arbiter.key_set);
                named.ok_or(wrong).map(Some)
            }
        }
    }
}

impl Choice {
    fn lock(&self, payer: &[u8], payee: &[u8]) -> Vec<u8> {
        let (payer, payee) = (payer.to_vec(), payee.to_vec());
        LockDeposit { payer, payee, decides: self.decides.clone(), salt: self.salt }.to_bytes()
    }
}

impl Traded {
    /// What a contract exchanges, if it is one of these templates.
    fn of(agreement: &Agreement) -> Option<Self> {
        let (kind, exchange) = match agreement.template.name() {
            RECEIPT_TEMPLATE => (Some(LockKind::Arbiter), false),
            EXCHANGE_TEMPLATE => (Some(LockKind::Arbiter), true),
            RECEIPT_LOCKED_TEMPLATE => (Some(LockKind::Hash), false),
            EXCHANGE_LOCKED_TEMPLATE => (Some(LockKind::Hash), true),
            RECEIPT_TRANSFER_TEMPLATE => (None, false),
            _ => return None,
        };
        let items = agreement.core.terms.items.as_slice();
        let price = |slot| {
            let item = items.iter().find(|item| item.kind == ItemKind::Money && item.slot == slot)?;
            Price::from_bytes(&item.descriptor).ok()
        };
        let traded = Self { kind, gives: price(FIRST)?, gets: price(SECOND) };
        // Which lock a price names is for its template to say.
        if traded.gives.lock != kind {
            return None;
        }
        (traded.gets.is_some() == exchange && traded.items() == items).then_some(traded)
    }

    /// The same two in the order of their roles: whoever knows the preimage is the originator.
    fn in_roles<T>(&self, [asker, other]: [T; 2]) -> [T; 2] {
        if self.kind == Some(LockKind::Hash) { [other, asker] } else { [asker, other] }
    }

    fn profile(&self) -> Profile {
        if self.kind == Some(LockKind::Hash) { Profile::Lx } else { Profile::Gx }
    }

    /// The asker's money, and the other's money or signature.
    fn items(&self) -> Vec<Item> {
        let money = |owner, price: &Price, slot| item(ItemKind::Money, owner, price.to_bytes(), slot);
        let [asker, other] = self.in_roles([Role::ORIGINATOR, Role::RESPONDER]);
        let answer = match &self.gets {
            Some(gets) => money(other, gets, SECOND),
            None => item(ItemKind::Signature, other, Vec::new(), Slot::default()),
        };
        self.in_roles([money(asker, &self.gives, FIRST), answer]).into()
    }

    /// What the text says that the contract says too. The asker is the first party.
    fn facts(&self, [first, second]: [KeySetId; 2], arbiter: Option<KeySetId>, deadlines: &Deadlines) -> Vec<Fact> {
        let mut facts = vec![
            ("first", FieldValue::Party(first)),
            ("second", FieldValue::Party(second)),
            ("amount", FieldValue::Amount(self.gives.amount)),
            ("means", words::means(&self.gives)),
        ];
        facts.extend(arbiter.map(|arbiter| ("arbiter", FieldValue::Party(arbiter))));
        facts.push(("closes", FieldValue::Time(deadlines.not_after)));
        let Some(kind) = self.kind else {
            facts.push(("pay_until", FieldValue::Time(pay_until(deadlines))));
            return facts;
        };
        let refund_after = deadlines.refund_after.unwrap_or(deadlines.not_after);
        facts.push(("refund_after", FieldValue::Time(refund_after)));
        if let Some(gets) = &self.gets {
            facts.extend([("other_amount", FieldValue::Amount(gets.amount)), ("other_means", words::means(gets))]);
            let other = (kind == LockKind::Hash).then(|| originators_refund(deadlines, refund_after));
            facts.extend(other.map(|date| ("other_refund_after", FieldValue::Time(date))));
        }
        facts
    }

    fn template(&self) -> Template {
        match (self.kind, &self.gets) {
            (None, _) => receipt_transfer_template(),
            (Some(LockKind::Hash), None) => receipt_locked_template(),
            (Some(LockKind::Hash), Some(_)) => exchange_locked_template(),
            (_, None) => receipt_template(),
            (_, Some(_)) => exchange_template(),
        }
    }
}

/// The template of a payment with receipt.
pub fn receipt_template() -> Template {
    words::template(RECEIPT_TEMPLATE, arbitrated(PAYMENT), texts!("receipt"))
}

/// The template of an exchange of money.
pub fn exchange_template() -> Template {
    let mut fields = arbitrated(PARTIES);
    fields.extend(other_money());
    words::template(EXCHANGE_TEMPLATE, fields, texts!("exchange"))
}

/// The template of a payment with receipt by plain transfer.
pub fn receipt_transfer_template() -> Template {
    let mut all = fields(PAYMENT);
    all.extend(words::arbiter_fields());
    let (en, de) = ("the payee can take the money until", "der Empfänger kann das Geld nehmen bis");
    all.push(required("pay_until", FieldKind::Time, en, de));
    words::template(RECEIPT_TRANSFER_TEMPLATE, all, texts!("receipt-transfer"))
}

/// The template of a payment with receipt without an arbiter.
pub fn receipt_locked_template() -> Template {
    words::template(RECEIPT_LOCKED_TEMPLATE, locked_fields(PAYMENT), texts!("receipt-locked"))
}

/// The template of an exchange of money without an arbiter.
pub fn exchange_locked_template() -> Template {
    let mut fields = locked_fields(PARTIES);
    fields.extend(other_money());
    let (en, de) = ("the second party's money is locked until", "das Geld der zweiten Partei ist gesperrt bis");
    fields.push(required("other_refund_after", FieldKind::Time, en, de));
    words::template(EXCHANGE_LOCKED_TEMPLATE, fields, texts!("exchange-locked"))
}

/// What the two are called, in the order of [`LOCALES`].
const PAYMENT: [&str; 4] = ["payer", "payee", "Zahler", "Empfänger"];
const PARTIES: [&str; 4] = ["first party", "second party", "erste Partei", "zweite Partei"];

fn arbitrated(called: [&str; 4]) -> Vec<FieldDef> {
    let mut fields = fields(called);
    fields.extend(words::arbiter_fields());
    fields.push(words::refund_field());
    fields
}

fn locked_fields(called: [&str; 4]) -> Vec<FieldDef> {
    let mut fields = fields(called);
    let (en, de) = ("the money can be taken until", "das Geld kann genommen werden bis");
    fields.push(required("closes", FieldKind::Time, en, de));
    fields.push(words::refund_field());
    fields
}

fn other_money() -> [FieldDef; 2] {
    let (en, de) = ("the second party's means of payment", "Zahlungsmittel der zweiten Partei");
    [
        required("other_amount", FieldKind::Amount, "the second party's amount", "Betrag der zweiten Partei"),
        required("other_means", FieldKind::Text, en, de),
    ]
}

fn fields([first_en, second_en, first_de, second_de]: [&str; 4]) -> Vec<FieldDef> {
    let (key_of, schlüssel) = ("key of the ", "Schlüssel: ");
    vec![
        required("first_name", FieldKind::Text, first_en, first_de),
        required("first", FieldKind::Party, &format!("{key_of}{first_en}"), &format!("{schlüssel}{first_de}")),
        required("second_name", FieldKind::Text, second_en, second_de),
        required("second", FieldKind::Party, &format!("{key_of}{second_en}"), &format!("{schlüssel}{second_de}")),
        required("amount", FieldKind::Amount, "amount", "Betrag"),
        required("means", FieldKind::Text, "means of payment", "Zahlungsmittel"),
        optional("purpose", FieldKind::Text, "For", "Wofür"),
    ]
}

/// What the text of a payment with receipt, or of an exchange of money, says must be what its core says.
///
/// # Errors
/// The field that differs.
pub fn check(agreement: &Agreement) -> Result<(), &'static str> {
    let core = &agreement.core;
    let traded = Traded::of(agreement).ok_or("items")?;
    let parties = traded.in_roles(pair(core)?);
    let deadlines = &core.terms.deadlines;
    if core.terms.parties.len() != 2 || core.terms.profile != traded.profile() || deadlines.complaints.is_some() {
        return Err("items");
    }
    let arbiter = match traded.kind {
        Some(LockKind::Hash) if core.arbiter().is_some() => return Err("arbiter"),
        Some(LockKind::Hash) => None,
        _ => Some(arbiter(core)?),
    };
    words::agree(&agreement.document, traded.facts(parties, arbiter, deadlines))?;
    plan_of(core).map_err(|_| "plan")?;
    // Whether one hash locks everything, and until when, shows in the deposits; so does until when a payee can take the money.
    let legs = Leg::of(core).map_err(|_| "locks")?;
    let transfer = legs[0].transfer();
    if transfer.is_none_or(|transfer| transfer.asked.expires == pay_until(deadlines)) {
        Ok(())
    } else {
        Err("pay_until")
    }
}

/// Whether a plain transfer by a means can be shown to an arbiter in time: its issuer says that the whole amount was taken, or gives it back.
pub fn transferable(means: &Means) -> bool {
    means.receipt == ReceiptKind::Issuer
}

/// What such a contract is called on the screen, if it is one.
pub fn title(agreement: &Agreement) -> Option<String> {
    let Traded { kind, gives, gets } = Traded::of(agreement)?;
    Some(match gets {
        Some(gets) => format!("{} for {}", gives.amount, gets.amount),
        None if kind.is_none() => format!("{} for a receipt, by plain transfer", gives.amount),
        None => format!("{} for a receipt", gives.amount),
    })
}

/// Whether a contract is what was asked for, and which pledges it has chosen. `now` is when it came.
///
/// Whether it names the arbiter's own keys for locks is for whoever knows the arbiter's card.
///
/// # Errors
/// What is not as asked.
pub fn answers(agreement: &Agreement, trade: &Trade, now: Time) -> Result<Chosen, &'static str> {
    let core = &agreement.core;
    let Traded { kind, gives, gets } = Traded::of(agreement).ok_or("items")?;
    let lock = |slot: Slot| LockDeposit::from_bytes(core.deposits.get(&slot)?).ok();
    let pledged = |pledges: &[Pledge], details: &[u8], price: &Price| {
        let of = |pledge: &Pledge| {
            pledge.details == details && (&pledge.means.system, &pledge.means.issuer) == (&price.system, &price.issuer)
        };
        pledges.iter().position(of)
    };
    if (gives.amount, gets.as_ref().map(|price| price.amount)) != (trade.gives, trade.wants) {
        return Err("amounts");
    }
    let details = match gives.lock {
        Some(_) => lock(FIRST).ok_or("money")?.payer,
        None => Vec::new(),
    };
    let pays = pledged(&trade.pays, &details, &gives).ok_or("means")?;
    let takes = match &gets {
        Some(gets) => Some(pledged(&trade.takes, &lock(SECOND).ok_or("money")?.payee, gets).ok_or("means")?),
        None => None,
    };
    let deadlines = &core.terms.deadlines;
    let arbiter = trade.arbiters.iter().find(|named| Some(named.key_set) == core.arbiter());
    if kind != trade.lock_kind() || arbiter.is_none() != trade.arbiters.is_empty() {
        return Err("arbiter");
    }
    let said = |name, expected: &str| words::said(&agreement.document, name, expected);
    let asked = now.after(trade.valid_for);
    let checks = [
        ("names", said("first_name", &trade.asker) && said("second_name", &trade.peer)),
        ("arbiter", said("arbiter_name", arbiter.map_or("", |arbiter| &arbiter.name))),
        ("purpose", said("purpose", &trade.purpose)),
        ("language", agreement.document.locale == trade.locale),
        ("deadlines", are_as_asked(deadlines, asked, [DELTA, SIGMA])),
        ("refund date", deadlines.refund_after == kind.map(|kind| refund_date(kind, deadlines))),
        ("dates", check_dates_under(kind, deadlines, now).is_ok()),
    ];
    all_hold(checks).map(|()| Chosen { pays, takes })
}

impl Encode for Trade {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.gives)
            .put_some(2, self.wants.map(|wants| wants.to_value()))
            .put(3, self.purpose.as_str())
            .put_list(4, &self.pays)
            .put_list(5, &self.takes)
            .put_list(6, &self.arbiters)
            .put_item(7, &self.valid_for)
            .put(8, self.asker.as_str())
            .put(9, self.peer.as_str())
            .put(10, self.locale.as_str())
            .put_some(11, (self.manner == Manner::Transferred).then_some("transfer"))
            .build()
    }
}

impl Decode for Trade {
    const BYTES_MAX: usize = 512 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let trade = Self {
            gives: fields.item(1, "gives")?,
            wants: fields.optional_item(2, "wants")?,
            purpose: fields.text(3, "purpose", PURPOSE_MAX)?,
            pays: fields.list(4, "pays", PLEDGES_MAX)?,
            takes: fields.list(5, "takes", PLEDGES_MAX)?,
            arbiters: fields.list(6, "arbiters", ARBITERS_MAX)?,
            valid_for: fields.item(7, "valid for")?,
            asker: fields.text(8, "asker", NAME_MAX)?,
            peer: fields.text(9, "peer", NAME_MAX)?,
            locale: fields.text(10, "locale", 35)?,
            manner: match fields.optional_item::<String>(11, "manner")?.as_deref() {
                None => Manner::Locked,
                Some("transfer") => Manner::Transferred,
                Some(other) => {
                    let problem = Problem::Unknown { what: "manner", found: other.to_owned() };
                    return Err(DecodeError::field("manner", problem));
                }
            },
        };
        fields.close()?;
        if trade.manner == Manner::Transferred && (trade.wants.is_some() || trade.arbiters.is_empty()) {
            let rule = "money by plain transfer is for a receipt, under an arbiter";
            return Err(DecodeError::field("manner", Problem::OutOfRange(rule)));
        }
        let kind = trade.lock_kind();
        let usable = |pledges: &[Pledge], amount: Option<Amount>| {
            let fits = |pledge: &Pledge| {
                let currency = Some(pledge.means.currency) == amount.map(|amount| amount.currency());
                let fits = |kind| pledge.means.locks.contains(&kind);
                currency && kind.map_or_else(|| transferable(&pledge.means), fits)
            };
            pledges.is_empty() == amount.is_none() && pledges.iter().all(fits)
        };
        if !usable(&trade.pays, Some(trade.gives)) || !usable(&trade.takes, trade.wants) {
            let rule = "means of payment in the currencies of the amounts, which can be locked, or shown to be paid, as is asked";
            return Err(DecodeError::field("pledges", Problem::OutOfRange(rule)));
        }
        Ok(trade)
    }
}

impl Encode for Pledge {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.means).put_bytes(1, &self.details).build()
    }
}

impl Decode for Pledge {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let pledge = Self { means: fields.item(0, "means")?, details: fields.bytes(1, "details", DETAILS_MAX)? };
        fields.close()?;
        Ok(pledge)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_core::amount::Currency;
    use semper_core::cose::{Draft, Kind};
    use semper_core::party::Suite;
    use semper_transfer::payment::means::{Fees, Limits, PayerAnonymity, ReceiptKind, Reversal, System};

    use super::*;
    use crate::fixtures::{NOW, ann, arbiter, key_set};

    fn pledge(issuer: &str, currency: &str, details: u8) -> Pledge {
        let means = Means {
            system: System::parse("ecash").unwrap(),
            issuer: issuer.to_owned(),
            currency: Currency::parse(currency).unwrap(),
            anonymity: PayerAnonymity::FromAll,
            reversal: Reversal::Final,
            locks: [LockKind::Arbiter, LockKind::Hash].into(),
            receipt: ReceiptKind::Witness,
            fees: Fees { fixed: 0, per_million: 0 },
            limits: Limits { least: 1, most: 1_000_000 },
            latency: Seconds(1),
        };
        Pledge { means, details: vec![details; 4] }
    }

    fn trade(wants: Option<&str>) -> Trade {
        Trade {
            gives: Amount::parse("10.00 EUR").unwrap(),
            wants: wants.map(|text| Amount::parse(text).unwrap()),
            purpose: "holidays".to_owned(),
            pays: vec![pledge("https://a.example", "EUR", 1), pledge("https://b.example", "EUR", 2)],
            takes: wants.iter().map(|_| pledge("https://c.example", "USD", 3)).collect(),
            arbiters: vec![ann()],
            valid_for: Seconds(100_000),
            asker: "Alice".to_owned(),
            peer: "Bob".to_owned(),
            locale: "en".to_owned(),
            manner: Manner::Locked,
        }
    }

    /// The same without an arbiter.
    fn locked_trade(wants: Option<&str>) -> Trade {
        Trade { arbiters: Vec::new(), ..trade(wants) }
    }

    fn proposal(trade: &Trade) -> Proposal {
        let decides = match trade.lock_kind() {
            Some(LockKind::Hash) => Decides::Hash([4; 32]),
            _ => Decides::Arbiter(vec![7; 4]),
        };
        propose(trade, [decides.clone(), decides]).unwrap()
    }

    /// The answer whose locks are decided so, if there is one.
    fn propose(trade: &Trade, [first, second]: [Decides; 2]) -> Result<Proposal, ReplyError> {
        let choice = |place, decides| Choice { place, details: vec![9; 4], decides, salt: [8; 32] };
        let takes = trade.wants.map(|_| choice(0, second));
        let (asker, me, nonce) = (key_set(1), key_set(2), [6; 32]);
        let arbiter = Some(arbiter()).filter(|_| !trade.arbiters.is_empty());
        let arbiter = arbiter.as_ref();
        Reply { trade, asker, me, arbiter, pays: Paid::Locked(choice(1, first)), takes, nonce, now: NOW }
            .propose([0; 16])
    }

    fn agreement(trade: &Trade) -> Agreement {
        proposal(trade).into_agreement()
    }

    #[test]
    fn a_reply_is_what_was_asked() {
        for (wants, chosen, title_of) in [
            (None, Chosen { pays: 1, takes: None }, "10.00 EUR for a receipt"),
            (Some("11.00 USD"), Chosen { pays: 1, takes: Some(0) }, "10.00 EUR for 11.00 USD"),
        ] {
            for asked in [trade(wants), locked_trade(wants)] {
                assert_eq!(Trade::from_bytes(&asked.to_bytes()), Ok(asked.clone()));
                let proposal = proposal(&asked);
                let read = Proposal::from_container(&proposal.to_container().unwrap()).unwrap();
                assert_eq!(read, proposal);
                assert_eq!(answers(&read.agreement, &asked, NOW), Ok(chosen));
                assert_eq!(title(&read.agreement).as_deref(), Some(title_of));
                for locale in LOCALES {
                    let other = Trade { locale: locale.to_owned(), ..asked.clone() };
                    assert!(agreement(&other).text().is_ok());
                }
            }
        }
    }

    /// A receipt that is paid for by plain transfer, and the answer to it with a request that expires so much later than it should.
    fn transferred(late: u64) -> (Trade, Result<Proposal, ReplyError>) {
        let mut asked = Trade { manner: Manner::Transferred, ..trade(None) };
        for pledge in &mut asked.pays {
            (pledge.means.receipt, pledge.details) = (ReceiptKind::Issuer, Vec::new());
        }
        let deal = DealId::from_array([9; 16]);
        let mut wanted = request(&asked, deal, 1, vec![9; 4], NOW).unwrap();
        wanted.expires = Time::from_unix(wanted.expires.unix().wrapping_add(late));
        let signer = key_set(2);
        let draft = Draft { kind: Kind::PaymentRequest, suite: Suite::Ed25519, signer, payload: wanted.to_bytes() };
        let pays = Paid::Transferred { place: 1, request: draft.assemble(vec![vec![1; 64]]).unwrap(), salt: [8; 32] };
        let arbiter = arbiter();
        let (asker, me, arbiter) = (key_set(1), signer, Some(&arbiter));
        let reply = Reply { trade: &asked, asker, me, arbiter, pays, takes: None, nonce: [6; 32], now: NOW };
        let proposal = reply.propose([0; 16]);
        (asked, proposal)
    }

    // The payer must be able to run after its receipt: the dates leave it that, and the text says so. A payee's request that is honoured longer, or shorter than
    // the text says, is refused.
    #[test]
    fn a_receipt_is_paid_for_by_plain_transfer() {
        let (asked, proposal) = transferred(0);
        assert_eq!(Trade::from_bytes(&asked.to_bytes()), Ok(asked.clone()));
        let good = proposal.unwrap().into_agreement();
        assert_eq!(answers(&good, &asked, NOW), Ok(Chosen { pays: 1, takes: None }));
        assert_eq!(check(&good), Ok(()));
        assert_eq!(title(&good).as_deref(), Some("10.00 EUR for a receipt, by plain transfer"));
        assert!(good.core.terms.deadlines.refund_after.is_none() && good.text().is_ok());
        for field in ["first", "second", "amount", "means", "arbiter", "closes", "pay_until"] {
            let mut other = good.clone();
            other.document.fields.remove(field).unwrap();
            assert_eq!(check(&other), Err(field));
        }
        assert_eq!(transferred(1).1, Err(ReplyError::Items(ItemsError::Request("dates"))));
        let (_, early) = transferred(u64::MAX);
        assert_eq!(check(&early.unwrap().into_agreement()), Err("pay_until"));
        // Neither side turns one way of paying into the other.
        assert_eq!(answers(&good, &trade(None), NOW), Err("means"));
        assert_eq!(answers(&agreement(&trade(None)), &asked, NOW), Err("means"));
        for wrong in [
            Trade { arbiters: Vec::new(), ..asked.clone() },
            Trade { pays: trade(None).pays, ..asked.clone() },
            Trade { manner: Manner::Transferred, ..trade(Some("11.00 USD")) },
        ] {
            assert!(Trade::from_bytes(&wrong.to_bytes()).is_err());
        }
    }

    // Without an arbiter whoever answers knows the preimage: it gives first, and the asker's money goes back before its own.
    #[test]
    fn without_an_arbiter_the_answerer_is_the_originator() {
        for wants in [None, Some("11.00 USD")] {
            let agreement = agreement(&locked_trade(wants));
            let core = &agreement.core;
            assert_eq!((core.terms.profile, core.arbiter()), (Profile::Lx, None));
            assert_eq!(pair(core), Ok([key_set(2), key_set(1)]));
            let [first, second] = Leg::of(core).unwrap();
            let second = second.lock().unwrap();
            assert_eq!((second.amount.to_string(), second.hash), ("10.00 EUR".to_owned(), Some([4; 32])));
            assert_eq!(Some(second.refund_after), core.terms.deadlines.refund_after);
            assert_eq!(first.lock().map(|lock| lock.amount), wants.map(|text| Amount::parse(text).unwrap()));
            let later = first.lock().map(|lock| FieldValue::Time(lock.refund_after));
            assert_eq!(agreement.document.fields.get("other_refund_after"), later.as_ref());
            assert!(first.lock().is_none_or(|lock| lock.refund_after > second.refund_after));
        }
    }

    // Two hashes, or an arbiter's key in the place of one: one amount could be had without the other.
    #[test]
    fn without_an_arbiter_one_hash_locks_both() {
        let asked = locked_trade(Some("11.00 USD"));
        let (one, other) = (Decides::Hash([4; 32]), Decides::Hash([5; 32]));
        assert_eq!(propose(&asked, [one.clone(), other]), Err(ReplyError::Items(ItemsError::OneHash)));
        let key = Decides::Arbiter(vec![7; 4]);
        assert_eq!(propose(&asked, [one.clone(), key.clone()]), Err(ReplyError::Items(ItemsError::LockKind)));
        assert_eq!(propose(&trade(None), [one, key]), Err(ReplyError::Items(ItemsError::LockKind)));
        let mut two = agreement(&asked);
        let lock = LockDeposit::from_bytes(&two.core.deposits[&SECOND]).unwrap();
        let lock = LockDeposit { decides: Decides::Hash([5; 32]), ..lock };
        two.core.deposits.insert(SECOND, lock.to_bytes());
        assert_eq!(check(&two), Err("locks"));
    }

    // Who decides is the asker's choice: an answer under an arbiter that was not asked for, or under none, is refused. So is money that no hash locks.
    #[test]
    fn nobody_adds_or_drops_the_arbiter() {
        for wants in [None, Some("11.00 USD")] {
            let (with, without) = (trade(wants), locked_trade(wants));
            assert_eq!(answers(&agreement(&with), &without, NOW), Err("arbiter"));
            assert_eq!(answers(&agreement(&without), &with, NOW), Err("arbiter"));
            let mut account = without.clone();
            account.pays[0].means.locks = [LockKind::Arbiter].into();
            assert!(Trade::from_bytes(&account.to_bytes()).is_err());
        }
        let mut late = agreement(&locked_trade(None));
        late.core.terms.deadlines.refund_after = Some(NOW.after(Seconds(1_000_000)));
        assert_eq!(answers(&late, &locked_trade(None), NOW), Err("refund date"));
        assert_eq!(check(&late), Err("refund_after"));
    }

    // Whoever answers would like another amount, a lock of its own on both sides, more time, or other words.
    #[test]
    fn a_reply_that_is_something_else_is_refused() {
        let asked = trade(Some("11.00 USD"));
        let refused = |change: &dyn Fn(&mut Trade), why| {
            let mut other = asked.clone();
            change(&mut other);
            assert_eq!(answers(&agreement(&other), &asked, NOW), Err(why), "{why}");
        };
        refused(&|trade| trade.gives = Amount::parse("10.01 EUR").unwrap(), "amounts");
        refused(&|trade| trade.wants = Some(Amount::parse("10.99 USD").unwrap()), "amounts");
        refused(&|trade| trade.pays[1].details[0] ^= 1, "means");
        refused(&|trade| trade.pays[1].means.issuer.push('x'), "means");
        refused(&|trade| trade.takes[0].details[0] ^= 1, "means");
        refused(&|trade| trade.asker.push('x'), "names");
        refused(&|trade| trade.arbiters[0].name.push('x'), "arbiter");
        refused(&|trade| trade.purpose.push('x'), "purpose");
        refused(&|trade| trade.locale = "de".to_owned(), "language");
        refused(&|trade| trade.valid_for.0 += 10_000, "deadlines");
        assert_eq!(answers(&agreement(&trade(None)), &asked, NOW), Err("amounts"));
        assert_eq!(answers(&agreement(&asked), &asked, NOW.after(Seconds(10_000))), Err("deadlines"));
        let mut late = agreement(&asked);
        late.core.terms.deadlines.refund_after = Some(late.core.terms.deadlines.not_after);
        assert_eq!(answers(&late, &asked, NOW), Err("refund date"));
    }

    // What a user reads and what the arbiter decides by must not differ.
    #[test]
    fn the_text_says_what_the_contract_does() {
        let good = agreement(&trade(Some("11.00 USD")));
        assert_eq!(check(&good), Ok(()));
        for field in
            ["first", "second", "amount", "means", "arbiter", "closes", "refund_after", "other_amount", "other_means"]
        {
            let mut other = good.clone();
            other.document.fields.remove(field).unwrap();
            assert_eq!(check(&other), Err(field));
        }
        let locked = agreement(&locked_trade(Some("11.00 USD")));
        assert_eq!(check(&locked), Ok(()));
        for field in [
            "first",
            "second",
            "amount",
            "means",
            "closes",
            "refund_after",
            "other_amount",
            "other_means",
            "other_refund_after",
        ] {
            let mut other = locked.clone();
            other.document.fields.remove(field).unwrap();
            assert_eq!(check(&other), Err(field));
        }
        let mut swapped = good.clone();
        swapped.core.terms.items.swap(0, 1);
        assert_eq!(check(&swapped), Err("items"));
        let mut windowed = good;
        windowed.core.terms.deadlines.complaints = Some(Seconds(10_000));
        assert_eq!(check(&windowed), Err("items"));
    }
}
