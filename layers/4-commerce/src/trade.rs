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

mod texts;

use std::collections::BTreeMap;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, Profile, Terms};
use semper_core::cose::Signed;
use semper_core::document::{DocumentError, FieldValue};
use semper_core::ids::{DealId, KeySetId, Slot};
use semper_core::party::Role;
use semper_core::template::Template;
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
use crate::words::{self, Fact, LOCALES, text};

pub use texts::{
    EXCHANGE_LOCKED_TEMPLATE, EXCHANGE_TEMPLATE, RECEIPT_LOCKED_TEMPLATE, RECEIPT_TEMPLATE, RECEIPT_TRANSFER_TEMPLATE,
    exchange_locked_template, exchange_template, receipt_locked_template, receipt_template, receipt_transfer_template,
};

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
mod tests;
