//! Money for a receipt, and money for other money: what one party asks of another, and the contract that answers it.
//!
//! The words are in `services/receipt/` and `services/exchange/`, one file per language. Whoever asks says how it can pay and be paid, with
//! its details for each lock; whoever is asked chooses of that what it has too, adds its own details, and answers with the contract
//! ([`Reply`]). The asker takes only a contract that is what it has asked for ([`answers`]).
//!
//! Money for a receipt can be paid by plain transfer (`services/receipt-transfer/`), where it cannot be locked or is not to be: the payee's signed request
//! then stands in the contract in the place of a lock.
//!
//! Money can also go to the arbiter first, which pays it on or back (`services/exchange-in-line/`): only where both sides say so, and only by means whose issuer
//! shows what was paid. Both sides' signed requests stand in the contract, by which the arbiter pays, so the asker's come with the trade and fix its date.
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
    Decides, HandsDeposit, ItemsError, Leg, LockDeposit, Price, TransferDeposit, originators_refund, paid_out_until,
    pay_until,
};
use semper_exchange::planner::{DatesError, Impossible, check_dates, plan_of};
use semper_transfer::payment::means::{LockKind, Means, ReceiptKind};
use semper_transfer::payment::statement::{DETAILS_MAX, PURPOSE_MAX, PaymentRequest, Side};

use crate::offer::{ARBITERS_MAX, ArbiterOffer, NAME_MAX};
use crate::plan::{EXCHANGE, Plan, RECEIPT};
use crate::proposal::{Agreement, Proposal};
use crate::terms::{
    self, Arbiter, DELTA, SIGMA, all_hold, arbiter, are_as_asked, check_dates_under, deadlines, item, pair, parties,
    priced, refund_date,
};
use crate::words::{self, Fact, LOCALES, text};

pub use texts::{
    EXCHANGE_IN_LINE_TEMPLATE, EXCHANGE_LOCKED_TEMPLATE, EXCHANGE_TEMPLATE, RECEIPT_LOCKED_TEMPLATE, RECEIPT_TEMPLATE,
    RECEIPT_TRANSFER_TEMPLATE, exchange_in_line_template, exchange_locked_template, exchange_template,
    receipt_locked_template, receipt_template, receipt_transfer_template,
};

/// Most ways to pay, and to be paid, that a party names.
pub const PLEDGES_MAX: usize = 8;
/// The longest that an arbiter is to have money in its hands, from the trade until the contract closes: thirty days. It must then be paid out for another
/// thirty, and banks hold money for no longer than ninety.
pub const IN_LINE_MAX: Seconds = Seconds(30 * 24 * 3600);

/// Where the asker's money stands in the contract.
const FIRST: Slot = Slot(0);
/// Where the other's money stands, if there is any.
const SECOND: Slot = Slot(1);

/// "I give you this money, for other money or for a receipt." By the asker; it binds nobody and is not signed.
///
/// ```text
/// trade  = { 0: 1, 1: gives, ? 2: wants, 3: purpose, 4: [1*8 pledge], 5: [*8 pledge], 6: [*8 arbiter], 7: valid for, 8: asker's name,
///            9: peer's name, 10: locale, ? 11: "transfer" / "in-line", ? 12: closes }        ; 12 with "in-line" only
/// pledge = { 0: means, 1: details, ? 2: signed payment request }                             ; 2 with "in-line" only
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
    /// From the answer until the arbiter takes no first request; without an arbiter, until the other party opens nothing any more. Of money that goes through the
    /// arbiter's hands the trade says the date itself ([`Manner::InLine`]).
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
    /// Both amounts go through the hands of the arbiter.
    InLine {
        /// Until when the arbiter takes them. The asker's requests follow from it ([`request_of_arbiter`]).
        closes: Time,
    },
}

/// A way to pay or to be paid, made ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pledge {
    /// The means.
    pub means: Means,
    /// The asker's details for a lock; nothing for a plain transfer.
    pub details: Vec<u8>,
    /// Where money goes through the arbiter's hands: what the asker has signed of [`request_of_arbiter`]. By a pledge to pay it asks for its own money back, by one to be
    /// paid for the other's.
    pub request: Option<Signed>,
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
    pub takes: Option<Paid>,
    /// Random bytes that make the contract unique.
    pub nonce: [u8; 32],
    /// The present time.
    pub now: Time,
}

/// How one of the amounts is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paid {
    /// Under a lock.
    Locked(Choice),
    /// On a request: by plain transfer, or through the hands of the arbiter.
    Requested {
        /// The pledge's place in the trade.
        place: usize,
        /// What whoever answers has signed of [`request`], or of [`request_of_arbiter`]: of what the asker gives it asks to be paid, of its own to be paid back.
        request: Signed,
        /// Random bytes that hide the requests from the issuer.
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
    /// The arbiter would hold money for longer than banks hold its payments.
    #[error("an arbiter takes money into its hands for thirty days at most")]
    TooLong,
}

/// How the money of a contract is put into the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Under locks that this opens.
    Locked(LockKind),
    /// By plain transfer.
    Transferred,
    /// Through the hands of the arbiter.
    InLine,
}

/// What a contract of these templates exchanges.
struct Traded {
    how: How,
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

    /// What it is called on the screen.
    pub fn title(&self) -> String {
        title_of(self.how(), self.gives, self.wants)
    }

    /// What is to open the locks; nothing is locked if money is paid by plain transfer or goes through the arbiter's hands.
    pub fn lock_kind(&self) -> Option<LockKind> {
        self.how().lock()
    }

    fn how(&self) -> How {
        match self.manner {
            Manner::Transferred => How::Transferred,
            Manner::InLine { .. } => How::InLine,
            Manner::Locked if self.arbiters.is_empty() => How::Locked(LockKind::Hash),
            Manner::Locked => How::Locked(LockKind::Arbiter),
        }
    }

    /// When a contract closes that answers it now.
    fn closes(&self, now: Time) -> Time {
        match self.manner {
            Manner::InLine { closes } => closes,
            Manner::Locked | Manner::Transferred => now.after(self.valid_for),
        }
    }
}

impl How {
    fn lock(self) -> Option<LockKind> {
        match self {
            How::Locked(kind) => Some(kind),
            How::Transferred | How::InLine => None,
        }
    }

    /// Whether the dates of a contract leave everybody the time that it needs.
    fn check_dates(self, deadlines: &Deadlines, now: Time) -> Result<(), DatesError> {
        match self {
            How::InLine => check_dates(deadlines, now),
            How::Locked(_) | How::Transferred => check_dates_under(self.lock(), deadlines, now),
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

/// What either side of a trade signs of money that goes through the arbiter's hands, so that the arbiter pays it: an amount that is given by these means, into
/// the purse with these details, for so long that its payee may be away. `closes` and `purpose` are those of the trade.
pub fn request_of_arbiter(
    (deal, purpose, closes): (DealId, &str, Time),
    amount: Amount,
    means: &Means,
    details: Vec<u8>,
) -> PaymentRequest {
    let Means { system, issuer, .. } = means.clone();
    let expires = paid_out_until(&deadlines(closes));
    PaymentRequest { deal, amount, purpose: purpose.to_owned(), system, issuer, details, expires }
}

impl Reply<'_> {
    /// The proposal of the contract. The asker is its originator, or without an arbiter its responder. `nonce` makes its transfer unique.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub fn propose(&self, nonce: [u8; 16]) -> Result<Proposal, ReplyError> {
        let trade = self.trade;
        let how = trade.how();
        let named = self.named()?;
        if !LOCALES.contains(&trade.locale.as_str()) {
            return Err(ReplyError::NoSuchChoice("language"));
        }
        let no_means = ReplyError::NoSuchChoice("means of payment");
        let pays = trade.pays.get(self.pays.place()).ok_or(no_means.clone())?;
        let gives = priced(trade.gives, &pays.means, how.lock());
        let deposit = self.pays.deposit(how, pays, Side::Payer).ok_or(no_means.clone())?;
        let mut deposits = BTreeMap::from([(FIRST, deposit)]);
        let gets = match (trade.wants, &self.takes) {
            (Some(wants), Some(paid)) => {
                let takes = trade.takes.get(paid.place()).ok_or(no_means.clone())?;
                deposits.insert(SECOND, paid.deposit(how, takes, Side::Payee).ok_or(no_means)?);
                Some(priced(wants, &takes.means, how.lock()))
            }
            (None, None) => None,
            _ => return Err(no_means),
        };
        let mut deadlines = deadlines(trade.closes(self.now));
        deadlines.refund_after = how.lock().map(|kind| refund_date(kind, &deadlines));
        how.check_dates(&deadlines, self.now)?;
        if how == How::InLine && deadlines.not_after > self.now.after(IN_LINE_MAX).after(SIGMA) {
            return Err(ReplyError::TooLong);
        }
        let traded = Traded { how, gives, gets };
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

impl Paid {
    fn place(&self) -> usize {
        match self {
            Paid::Locked(Choice { place, .. }) | Paid::Requested { place, .. } => *place,
        }
    }

    /// What stands in the contract of money that is paid so, where the asker is its payer or its payee. `None`: it is not paid as was asked.
    fn deposit(&self, how: How, pledge: &Pledge, asker: Side) -> Option<Vec<u8>> {
        let (theirs, payer) = (pledge.details.as_slice(), asker == Side::Payer);
        match (how, self) {
            (How::Locked(_), Paid::Locked(choice)) if payer => Some(choice.lock(theirs, &choice.details)),
            (How::Locked(_), Paid::Locked(choice)) => Some(choice.lock(&choice.details, theirs)),
            (How::Transferred, Paid::Requested { request, salt, .. }) if payer => {
                Some(TransferDeposit { request: request.clone(), salt: *salt }.to_bytes())
            }
            (How::InLine, Paid::Requested { request: ours, salt, .. }) => {
                let (ours, theirs) = (ours.clone(), pledge.request.clone()?);
                let [onward, back] = if payer { [ours, theirs] } else { [theirs, ours] };
                Some(HandsDeposit { onward, back, salt: *salt }.to_bytes())
            }
            _ => None,
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
        let (how, exchange) = match agreement.template.name() {
            RECEIPT_TEMPLATE => (How::Locked(LockKind::Arbiter), false),
            EXCHANGE_TEMPLATE => (How::Locked(LockKind::Arbiter), true),
            RECEIPT_LOCKED_TEMPLATE => (How::Locked(LockKind::Hash), false),
            EXCHANGE_LOCKED_TEMPLATE => (How::Locked(LockKind::Hash), true),
            RECEIPT_TRANSFER_TEMPLATE => (How::Transferred, false),
            EXCHANGE_IN_LINE_TEMPLATE => (How::InLine, true),
            _ => return None,
        };
        let items = agreement.core.terms.items.as_slice();
        let price = |slot| {
            let item = items.iter().find(|item| item.kind == ItemKind::Money && item.slot == slot)?;
            Price::from_bytes(&item.descriptor).ok()
        };
        let traded = Self { how, gives: price(FIRST)?, gets: price(SECOND) };
        // Which lock a price names is for its template to say.
        if traded.gives.lock != how.lock() {
            return None;
        }
        (traded.gets.is_some() == exchange && traded.items() == items).then_some(traded)
    }

    /// The same two in the order of their roles: whoever knows the preimage is the originator.
    fn in_roles<T>(&self, [asker, other]: [T; 2]) -> [T; 2] {
        if self.how == How::Locked(LockKind::Hash) { [other, asker] } else { [asker, other] }
    }

    fn profile(&self) -> Profile {
        match self.how {
            How::Locked(LockKind::Hash) => Profile::Lx,
            How::InLine => Profile::Ix,
            How::Locked(LockKind::Arbiter) | How::Transferred => Profile::Gx,
        }
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
        if let Some(gets) = &self.gets {
            facts.extend([("other_amount", FieldValue::Amount(gets.amount)), ("other_means", words::means(gets))]);
        }
        let refund_after = deadlines.refund_after.unwrap_or(deadlines.not_after);
        let dates = match self.how {
            How::Transferred => [Some(("pay_until", pay_until(deadlines))), None],
            How::InLine => [Some(("take_by", paid_out_until(deadlines))), None],
            How::Locked(kind) => {
                let other = (kind == LockKind::Hash && self.gets.is_some())
                    .then(|| ("other_refund_after", originators_refund(deadlines, refund_after)));
                [Some(("refund_after", refund_after)), other]
            }
        };
        facts.extend(dates.into_iter().flatten().map(|(name, date)| (name, FieldValue::Time(date))));
        facts
    }

    fn template(&self) -> Template {
        match (self.how, &self.gets) {
            (How::InLine, _) => exchange_in_line_template(),
            (How::Transferred, _) => receipt_transfer_template(),
            (How::Locked(LockKind::Hash), None) => receipt_locked_template(),
            (How::Locked(LockKind::Hash), Some(_)) => exchange_locked_template(),
            (How::Locked(LockKind::Arbiter), None) => receipt_template(),
            (How::Locked(LockKind::Arbiter), Some(_)) => exchange_template(),
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
    let arbiter = match traded.how {
        How::Locked(LockKind::Hash) if core.arbiter().is_some() => return Err("arbiter"),
        How::Locked(LockKind::Hash) => None,
        How::Locked(LockKind::Arbiter) | How::Transferred | How::InLine => Some(arbiter(core)?),
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

/// Whether a plain transfer by a means can be shown to an arbiter, or by one, in time: its issuer says that the whole amount was taken, or gives it back.
pub fn transferable(means: &Means) -> bool {
    means.receipt == ReceiptKind::Issuer
}

/// What such a contract is called on the screen, if it is one.
pub fn title(agreement: &Agreement) -> Option<String> {
    let Traded { how, gives, gets } = Traded::of(agreement)?;
    Some(title_of(how, gives.amount, gets.map(|gets| gets.amount)))
}

fn title_of(how: How, gives: Amount, wants: Option<Amount>) -> String {
    let what = wants.map_or_else(|| "a receipt".to_owned(), |wants| wants.to_string());
    match how {
        How::Locked(_) => format!("{gives} for {what}"),
        How::Transferred => format!("{gives} for {what}, by plain transfer"),
        How::InLine => format!("{gives} for {what}, through the arbiter's hands"),
    }
}

/// Whether a contract is what was asked for, and which pledges it has chosen. `now` is when it came.
///
/// Whether it names the arbiter's own keys for locks is for whoever knows the arbiter's card.
///
/// # Errors
/// What is not as asked.
pub fn answers(agreement: &Agreement, trade: &Trade, now: Time) -> Result<Chosen, &'static str> {
    let core = &agreement.core;
    let Traded { how, gives, gets } = Traded::of(agreement).ok_or("items")?;
    if (gives.amount, gets.as_ref().map(|price| price.amount)) != (trade.gives, trade.wants) {
        return Err("amounts");
    }
    let pledged = |pledges: &[Pledge], slot, price: &Price, asker| {
        let (details, request) = made_ready(core, how, slot, asker).ok_or("money")?;
        let of = |pledge: &Pledge| {
            let means = (&pledge.means.system, &pledge.means.issuer) == (&price.system, &price.issuer);
            means && pledge.details == details && pledge.request == request
        };
        pledges.iter().position(of).ok_or("means")
    };
    let pays = pledged(&trade.pays, FIRST, &gives, Side::Payer)?;
    let takes = gets.as_ref().map(|gets| pledged(&trade.takes, SECOND, gets, Side::Payee)).transpose()?;
    let deadlines = &core.terms.deadlines;
    let arbiter = trade.arbiters.iter().find(|named| Some(named.key_set) == core.arbiter());
    if how != trade.how() || arbiter.is_none() != trade.arbiters.is_empty() {
        return Err("arbiter");
    }
    let said = |name, expected: &str| words::said(&agreement.document, name, expected);
    let in_time = match trade.manner {
        Manner::InLine { closes } => *deadlines == terms::deadlines(closes),
        Manner::Locked | Manner::Transferred => are_as_asked(deadlines, trade.closes(now), [DELTA, SIGMA]),
    };
    let checks = [
        ("names", said("first_name", &trade.asker) && said("second_name", &trade.peer)),
        ("arbiter", said("arbiter_name", arbiter.map_or("", |arbiter| &arbiter.name))),
        ("purpose", said("purpose", &trade.purpose)),
        ("language", agreement.document.locale == trade.locale),
        ("deadlines", in_time),
        ("refund date", deadlines.refund_after == how.lock().map(|kind| refund_date(kind, deadlines))),
        ("dates", how.check_dates(deadlines, now).is_ok()),
    ];
    all_hold(checks).map(|()| Chosen { pays, takes })
}

/// What the asker has made ready of the money in a slot, where it is its payer or its payee: details and request, as in its pledge.
fn made_ready(core: &Core, how: How, slot: Slot, asker: Side) -> Option<(Vec<u8>, Option<Signed>)> {
    let deposit = core.deposits.get(&slot)?;
    let payer = asker == Side::Payer;
    Some(match how {
        How::Locked(_) => {
            let LockDeposit { payer: payers, payee, .. } = LockDeposit::from_bytes(deposit).ok()?;
            (if payer { payers } else { payee }, None)
        }
        How::Transferred => (Vec::new(), None),
        How::InLine => {
            let HandsDeposit { onward, back, .. } = HandsDeposit::from_bytes(deposit).ok()?;
            (Vec::new(), Some(if payer { back } else { onward }))
        }
    })
}

impl Encode for Trade {
    fn to_value(&self) -> Value {
        let (manner, closes) = match self.manner {
            Manner::Locked => (None, None),
            Manner::Transferred => (Some("transfer"), None),
            Manner::InLine { closes } => (Some("in-line"), Some(closes)),
        };
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
            .put_some(11, manner)
            .put_some(12, closes.map(|closes| closes.to_value()))
            .build()
    }
}

impl Decode for Trade {
    const BYTES_MAX: usize = 512 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let closes = fields.optional_item(12, "closes")?;
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
            manner: match (fields.optional_item::<String>(11, "manner")?.as_deref(), closes) {
                (None, None) => Manner::Locked,
                (Some("transfer"), None) => Manner::Transferred,
                (Some("in-line"), Some(closes)) => Manner::InLine { closes },
                (None | Some("transfer" | "in-line"), _) => {
                    let rule = "what goes through the arbiter's hands says until when, and nothing else does";
                    return Err(DecodeError::field("closes", Problem::OutOfRange(rule)));
                }
                (Some(other), _) => {
                    let problem = Problem::Unknown { what: "manner", found: other.to_owned() };
                    return Err(DecodeError::field("manner", problem));
                }
            },
        };
        fields.close()?;
        let in_line = trade.how() == How::InLine;
        if in_line && (trade.wants.is_none() || trade.arbiters.is_empty()) {
            let rule = "money goes through the hands of an arbiter for other money";
            return Err(DecodeError::field("manner", Problem::OutOfRange(rule)));
        }
        if trade.manner == Manner::Transferred && (trade.wants.is_some() || trade.arbiters.is_empty()) {
            let rule = "money by plain transfer is for a receipt, under an arbiter";
            return Err(DecodeError::field("manner", Problem::OutOfRange(rule)));
        }
        let kind = trade.lock_kind();
        let usable = |pledges: &[Pledge], amount: Option<Amount>| {
            let fits = |pledge: &Pledge| {
                let currency = Some(pledge.means.currency) == amount.map(|amount| amount.currency());
                let fits = |kind| pledge.means.locks.contains(&kind);
                let means = kind.map_or_else(|| transferable(&pledge.means), fits);
                currency && means && pledge.request.is_some() == in_line
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
        let request = self.request.as_ref().map(Encode::to_value);
        record().put_item(0, &self.means).put_bytes(1, &self.details).put_some(2, request).build()
    }
}

impl Decode for Pledge {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let pledge = Self {
            means: fields.item(0, "means")?,
            details: fields.bytes(1, "details", DETAILS_MAX)?,
            request: fields.optional_item(2, "request")?,
        };
        fields.close()?;
        Ok(pledge)
    }
}

#[cfg(test)]
mod tests;
