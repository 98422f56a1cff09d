//! What the two parties of an exchange give each other, read from their contract.
//!
//! ```text
//! price        = { 0: 1, 1: amount, 2: system, 3: issuer, ? 4: lock kind }      ; descriptor of an item "money"; no 4: by plain transfer
//! lock-deposit = { 0: 1, 1: payer's details, 2: payee's details, 3: arbiter's key, 4: salt (32 bytes) }     ; its deposit
//!              / { 0: 1, 1: payer's details, 2: payee's details, 4: salt (32 bytes), 5: hash (32 bytes) }   ; without an arbiter
//! transfer-deposit = { 0: 1, 1: signed payment request, 2: salt (32 bytes) }    ; in its place for money by plain transfer
//! hands-deposit    = { 0: 1, 1: signed payment request (recipient's), 2: signed payment request (owner's), 3: salt (32 bytes) }
//!                                                                               ; through the hands of the arbiter
//! ```
//! Source: `spec/gx.md` §§1 and 5, `spec/lx.md` §2, `spec/ix.md` §1.

use std::collections::BTreeSet;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::contract::{Core, DEPOSIT_MAX, DESCRIPTOR_MAX, Deadlines, Item, ItemKind, Profile};
use semper_core::cose::{Signed, Statement as _};
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verify, verify};
use semper_core::time::{Seconds, Time};
use semper_support::flaws::{self, Flaw};
use semper_transfer::payment::Module;
use semper_transfer::payment::claim::{Claim, Finding, Proof};
use semper_transfer::payment::means::{ISSUER_MAX, LockKind, System};
use semper_transfer::payment::operation::Lock;
use semper_transfer::payment::statement::{DETAILS_MAX, PaymentRequest, lock_tag};

use super::right::Right;
use super::show::Show;
use crate::goods::{Deposit, Opens};

/// How long an arbiter may take to answer, beyond the travel of messages.
const WORK: Seconds = Seconds(3600);
/// How long whoever gets money from the hands of the arbiter can take it, from the end of the contract's time: thirty days. Banks hold money that long.
const PAID_OUT: Seconds = Seconds(30 * 24 * 3600);

/// What one party gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// Its signature on the contract.
    Signature,
    /// Information; its slot in the contract.
    Information(Slot),
    /// Money under a lock.
    Money(Box<Lock>),
    /// A right: its signature on the contract, by which it shows a credential.
    Show(Box<Show>),
    /// Money by plain transfer: nobody but its payer can give it.
    Transfer(Box<Transfer>),
    /// A right that is passed on at its issuer, and called back if it is not paid.
    Right(Box<Right>),
    /// Money through the hands of the arbiter.
    Handed(Box<Handed>),
}

/// Money that goes through the hands of the arbiter: its owner pays the arbiter, which pays it on or back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handed {
    /// The recipient's signed [`PaymentRequest`]: so the arbiter pays it on. That the signatures are good is checked by whoever signs or rules.
    pub onward: Signed,
    /// The owner's: so it pays it back.
    pub back: Signed,
    /// What both ask for, but for where to pay it to.
    pub asked: PaymentRequest,
    /// Makes the hashes under which the issuer books the payments.
    pub salt: [u8; 32],
}

/// Money that is paid by plain transfer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// The payee's signed [`PaymentRequest`]. That its signature is good is checked by whoever signs or rules.
    pub request: Signed,
    /// What it asks for.
    pub asked: PaymentRequest,
    /// Makes the hash under which the issuer books the payment.
    pub salt: [u8; 32],
}

/// Money that is exchanged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Price {
    /// How much.
    pub amount: Amount,
    /// By which payment system.
    pub system: System,
    /// At which mint or bank: its address.
    pub issuer: String,
    /// Who decides over it; nobody where it is paid by plain transfer.
    pub lock: Option<LockKind>,
}

/// What is needed to pay an item by plain transfer, and to rule on whether it was paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransferDeposit {
    /// The payee's signed [`PaymentRequest`].
    pub request: Signed,
    /// 32 random bytes: see [`Transfer::salt`].
    pub salt: [u8; 32],
}

/// What is needed to pay an item on, or back, that goes through the hands of the arbiter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HandsDeposit {
    /// See [`Handed::onward`].
    pub onward: Signed,
    /// See [`Handed::back`].
    pub back: Signed,
    /// 32 random bytes: see [`Handed::salt`].
    pub salt: [u8; 32],
}

/// What is needed to lock the money of an item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockDeposit {
    /// The payer's details.
    pub payer: Vec<u8>,
    /// The payee's details.
    pub payee: Vec<u8>,
    /// Who or what decides.
    pub decides: Decides,
    /// Hides the contract from the issuer.
    pub salt: [u8; 32],
}

/// What lets the payee take locked money.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Decides {
    /// The payer or an arbiter; the arbiter's key for locks of this payment system.
    Arbiter(Vec<u8>),
    /// Whoever shows the preimage of this SHA-256 ([`crate::goods::preimage_hash`]).
    Hash([u8; 32]),
}

/// Why the items of a contract cannot be exchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemsError {
    /// Many parties sign the contract: it is no exchange of two items.
    #[error("a contract that many parties sign is no exchange between two")]
    Many,
    /// Not one item from each party to the other.
    #[error("an exchange is of one item for one item")]
    Pair,
    /// Several recipients do not all get the same, or the part does not exist.
    #[error(
        "a contract with several recipients gives each the same information for a signature, in a part of its own, and nothing else"
    )]
    Parts,
    /// Contract signing exchanges signatures only.
    #[error("a contract of this profile exchanges signatures only")]
    OnlySignatures,
    /// A descriptor or deposit is malformed.
    #[error("the {part} of the item in slot {slot} is malformed: {error}")]
    Malformed {
        /// The item's slot.
        slot: u16,
        /// Which part of it.
        part: &'static str,
        /// What is wrong.
        error: DecodeError,
    },
    /// The key that deposits are made for is not named.
    #[error("the contract does not name the arbiter's key for deposits")]
    DepositKey,
    /// Money is exchanged, or a right is passed on, and the date is missing from which on its owner can take it back; or that date is too near to rule before.
    #[error("what is given first could be taken back before the arbiter has ruled, or could not be called back after")]
    RefundDate,
    /// Information is sold without time for complaints, or with less than it takes to hear of a ruling and to complain.
    #[error("there is no time for complaints, or too little to complain in")]
    Complaints,
    /// Money would be let go of before anybody has seen the information that it is for.
    #[error("information that is paid for is given before the money, so that it can be looked at")]
    Blind,
    /// A right is shown for something else than information, first, or with time for complaints.
    #[error("a right is shown for information, which comes first and has no time for complaints")]
    Show,
    /// Money is exchanged under a lock that an exchange with an arbiter cannot use; or, without an arbiter, one that needs one.
    #[error("the money is not under a lock that the arbiter can decide, or that one hash decides where there is none")]
    LockKind,
    /// Money is paid by plain transfer for something else than the payee's signature or a right, or not in its place.
    #[error(
        "money by plain transfer is given first and for a signature, or second and for a right: nobody but its payer can give it"
    )]
    TransferOrder,
    /// Through the hands of the arbiter goes something else than money for money, each without a lock; or there is a date for a lock.
    #[error("only money for money goes through the hands of the arbiter, without locks and their dates")]
    Hands,
    /// A right is passed on for something else than money by plain transfer.
    #[error("a right is passed on first, and for money by plain transfer")]
    RightOrder,
    /// The payee's request is for another payment than the contract's, or can be honoured so late that its payer might not reach the arbiter
    /// with the proof of it.
    #[error("the payment request in the contract does not fit it: the {0} differ")]
    Request(&'static str),
    /// Without an arbiter: the responder does not give money, or not everything that the parties give is locked to one hash.
    #[error("without an arbiter the second item is money, and one hash locks everything that is exchanged")]
    OneHash,
}

impl Leg {
    /// What the originator and the responder of a contract between two give.
    ///
    /// # Errors
    /// [`ItemsError`]: the contract must not be signed.
    pub fn of(core: &Core) -> Result<[Self; 2], ItemsError> {
        Self::in_part(core, Slot::default())
    }

    /// What the originator and the responder of a part of a contract give. A contract between two is one part, in slot 0, wherever its items
    /// stand; a contract with several recipients has a part for each, whose responder is [`responder`].
    ///
    /// # Errors
    /// [`ItemsError`]: the contract must not be signed.
    pub fn in_part(core: &Core, part: Slot) -> Result<[Self; 2], ItemsError> {
        if core.terms.profile == Profile::Cn {
            return Err(ItemsError::Many);
        }
        if core.terms.parties.len() > 2 && core.terms.profile != Profile::Lx {
            return several(core, part);
        }
        if part != Slot::default() || core.terms.parties.len() > 2 {
            return Err(ItemsError::Parts);
        }
        let items = core.terms.items.as_slice();
        if core.terms.profile == Profile::C2 {
            let only = core.deposits.is_empty() && items.iter().all(|item| item.kind == ItemKind::Signature);
            return if only { Ok([Leg::Signature, Leg::Signature]) } else { Err(ItemsError::OnlySignatures) };
        }
        let [first, second] = items else { return Err(ItemsError::Pair) };
        let goes = |item: &Item, owner: Role| item.owner == owner && item.recipient == owner.peer();
        if !goes(first, Role::ORIGINATOR) || !goes(second, Role::RESPONDER) {
            return Err(ItemsError::Pair);
        }
        let legs = [Self::one(core, first)?, Self::one(core, second)?];
        if core.terms.profile == Profile::Lx {
            return under_one_hash(core, legs);
        }
        if core.terms.profile == Profile::Ix {
            return through_hands(core, legs);
        }
        let by_transfer = |leg: &Leg| leg.transfer().is_some();
        if legs.iter().any(by_transfer) {
            return by_plain_transfer(core, legs);
        }
        let deadlines = &core.terms.deadlines;
        let least = deadlines.delta.0.saturating_add(deadlines.sigma.0).saturating_mul(2);
        match &legs {
            [Leg::Money(_), Leg::Information(_)] => Err(ItemsError::Blind),
            [Leg::Information(_), Leg::Show(_)] if deadlines.complaints.is_none() => Ok(legs),
            [Leg::Show(_), _] | [_, Leg::Show(_)] => Err(ItemsError::Show),
            [Leg::Right(_), _] | [_, Leg::Right(_)] => Err(ItemsError::RightOrder),
            [Leg::Information(_), Leg::Money(_)] if deadlines.complaints.is_none_or(|span| span.0 < least) => {
                Err(ItemsError::Complaints)
            }
            _ => Ok(legs),
        }
    }

    fn one(core: &Core, item: &Item) -> Result<Self, ItemsError> {
        match item.kind {
            ItemKind::Signature if item.descriptor.is_empty() => Ok(Leg::Signature),
            ItemKind::Signature => {
                let malformed = |error| ItemsError::Malformed { slot: item.slot.0, part: "descriptor", error };
                Show::from_bytes(&item.descriptor).map(|show| Leg::Show(Box::new(show))).map_err(malformed)
            }
            ItemKind::Information if core.terms.arbiter.is_some_and(|arbiter| arbiter.deposit_key.is_none()) => {
                Err(ItemsError::DepositKey)
            }
            ItemKind::Information => Ok(Leg::Information(item.slot)),
            ItemKind::Money => money(core, item),
            ItemKind::Right => {
                let malformed = |error| ItemsError::Malformed { slot: item.slot.0, part: "descriptor", error };
                Right::from_bytes(&item.descriptor).map(|right| Leg::Right(Box::new(right))).map_err(malformed)
            }
        }
    }

    /// Whether this is money.
    pub fn is_money(&self) -> bool {
        matches!(self, Leg::Money(_) | Leg::Transfer(_) | Leg::Handed(_))
    }

    /// What goes through the hands of the arbiter, if this does.
    pub fn handed(&self) -> Option<&Handed> {
        match self {
            Leg::Handed(handed) => Some(handed),
            _ => None,
        }
    }

    /// What is paid by plain transfer, if this is.
    pub fn transfer(&self) -> Option<&Transfer> {
        match self {
            Leg::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    /// The lock, if this is money.
    pub fn lock(&self) -> Option<&Lock> {
        match self {
            Leg::Money(lock) => Some(lock),
            _ => None,
        }
    }
}

/// How many parts a contract has, each of which is run for itself: one for each of several recipients, else one.
pub fn parts(core: &Core) -> u16 {
    let parties = core.terms.parties.len();
    if core.terms.profile == Profile::Cn || parties <= 2 {
        return 1;
    }
    u16::try_from(parties - 1).unwrap_or(u16::MAX)
}

impl Transfer {
    /// Whether a proof of payment proves that the payee, with this key set, was paid all of it, for this request and no other: by what, in words.
    ///
    /// # Errors
    /// What is missing.
    pub fn is_proven(
        &self,
        verifier: &dyn Verify,
        systems: &[&dyn Module],
        payee: &KeySet,
        proof: &Proof,
    ) -> Result<String, String> {
        is_paid(verifier, systems, payee, &self.request, proof)
    }
}

/// Whether a proof of payment proves that the payee, with this key set, was paid all that its request asks for, for this request and no other: by what, in
/// words.
///
/// # Errors
/// What is missing.
pub(crate) fn is_paid(
    verifier: &dyn Verify,
    systems: &[&dyn Module],
    payee: &KeySet,
    request: &Signed,
    proof: &Proof,
) -> Result<String, String> {
    let asked = verify::<PaymentRequest>(verifier, payee, request).map_err(|e| format!("the payee's request: {e}"))?;
    if proof.request.id() != request.id() {
        return Err("it is a proof of another payment".to_owned());
    }
    let PaymentRequest { deal, amount, system, .. } = asked.statement();
    let judge = systems.iter().find(|known| known.system() == *system);
    let judge = judge.ok_or_else(|| format!("the payment system {system} is not known here"))?;
    match judge.judge(verifier, &Claim { deal: *deal, payee: payee.id(), amount: *amount, before: None }, proof) {
        Finding::Proven { by } => Ok(by),
        Finding::Refuted { by } => Err(by),
        Finding::Undecided { missing } => Err(missing),
    }
}

/// The role of the responder of a part: the first recipient has the part 0.
pub fn responder(part: Slot) -> Role {
    Role::numbered(u8::try_from(part.0).map_or(u8::MAX, |part| part.saturating_add(1)))
}

/// A part of a contract with several recipients. All parts are looked at: whoever signs one of them signs the whole contract.
fn several(core: &Core, part: Slot) -> Result<[Leg; 2], ItemsError> {
    let terms = &core.terms;
    let recipients = u16::try_from(terms.parties.len() - 1).map_err(|_| ItemsError::Parts)?;
    let distinct: BTreeSet<_> = terms.parties.iter().map(|party| party.key_set).collect();
    let [Item { descriptor, .. }, ..] = terms.items.as_slice() else { return Err(ItemsError::Parts) };
    let given = (0..recipients).map(Slot).flat_map(|slot| {
        let (owner, recipient) = (Role::ORIGINATOR, responder(slot));
        let information = Item { kind: ItemKind::Information, owner, recipient, descriptor: descriptor.clone(), slot };
        let receipt =
            Item { kind: ItemKind::Signature, owner: recipient, recipient: owner, descriptor: Vec::new(), slot };
        [information, receipt]
    });
    let whole =
        terms.profile == Profile::Gx && distinct.len() == terms.parties.len() && given.eq(terms.items.iter().cloned());
    if !whole || part.0 >= recipients || terms.deadlines.complaints.is_some() {
        return Err(ItemsError::Parts);
    }
    if terms.arbiter.is_none_or(|arbiter| arbiter.deposit_key.is_none()) {
        return Err(ItemsError::DepositKey);
    }
    Ok([Leg::Information(part), Leg::Signature])
}

fn money(core: &Core, item: &Item) -> Result<Leg, ItemsError> {
    let malformed = |part| move |error| ItemsError::Malformed { slot: item.slot.0, part, error };
    let price = Price::from_bytes(&item.descriptor).map_err(malformed("descriptor"))?;
    // A contract that has been read has a deposit for each item that needs one.
    let deposit = core.deposits.get(&item.slot).map(Vec::as_slice).unwrap_or_default();
    if core.terms.profile == Profile::Ix {
        let deposit = HandsDeposit::from_bytes(deposit).map_err(malformed("deposit"))?;
        return handed(core, item, &price, deposit).map(|handed| Leg::Handed(Box::new(handed)));
    }
    let Some(kind) = price.lock else {
        let deposit = TransferDeposit::from_bytes(deposit).map_err(malformed("deposit"))?;
        return transfer(core, item, &price, deposit).map(|transfer| Leg::Transfer(Box::new(transfer)));
    };
    let deposit = LockDeposit::from_bytes(deposit).map_err(malformed("deposit"))?;
    lock(core, item, (price.amount, kind), deposit).map(|lock| Leg::Money(Box::new(lock)))
}

/// A payment that its payee has asked for in the contract itself: this payee, this price, and not taken later than its payer can show.
fn transfer(core: &Core, item: &Item, price: &Price, deposit: TransferDeposit) -> Result<Transfer, ItemsError> {
    let TransferDeposit { request, salt } = deposit;
    let malformed = |error| ItemsError::Malformed { slot: item.slot.0, part: "deposit", error };
    let asked = PaymentRequest::from_bytes(request.payload()).map_err(malformed)?;
    let until = pay_until(&core.terms.deadlines);
    let fits = [
        ("kinds", request.kind() == PaymentRequest::KIND),
        ("payees", Some(request.signer()) == core.party(item.recipient)),
        ("amounts", asked.amount == price.amount),
        ("means", (&asked.system, &asked.issuer) == (&price.system, &price.issuer)),
        ("dates", asked.expires <= until || flaws::active(Flaw::LatePayment)),
    ];
    match fits.iter().find(|(_, fits)| !fits) {
        Some((what, _)) => Err(ItemsError::Request(what)),
        None => Ok(Transfer { request, asked, salt }),
    }
}

/// Money that its recipient and its owner have asked for in the contract itself: this price, for as long as the arbiter may take to pay it.
fn handed(core: &Core, item: &Item, price: &Price, deposit: HandsDeposit) -> Result<Handed, ItemsError> {
    let HandsDeposit { onward, back, salt } = deposit;
    let malformed = |error| ItemsError::Malformed { slot: item.slot.0, part: "deposit", error };
    let read = |request: &Signed| PaymentRequest::from_bytes(request.payload()).map_err(malformed);
    let [asked, asked_back] = [read(&onward)?, read(&back)?];
    let kinds = [&onward, &back].iter().all(|request| request.kind() == PaymentRequest::KIND);
    let payees = [(&onward, item.recipient), (&back, item.owner)];
    let fits = [
        ("kinds", kinds),
        ("payees", payees.iter().all(|(request, payee)| Some(request.signer()) == core.party(*payee))),
        ("amounts", asked.amount == price.amount),
        ("means", (&asked.system, &asked.issuer) == (&price.system, &price.issuer)),
        ("dates", asked.expires == paid_out_until(&core.terms.deadlines)),
        ("two requests", PaymentRequest { details: asked.details.clone(), ..asked_back } == asked),
    ];
    match fits.iter().find(|(_, fits)| !fits) {
        Some((what, _)) => Err(ItemsError::Request(what)),
        None => Ok(Handed { onward, back, asked, salt }),
    }
}

/// Nothing is locked, so nothing goes back on a date; and money is nothing to complain about. Both are asked for in one deal.
fn through_hands(core: &Core, legs: [Leg; 2]) -> Result<[Leg; 2], ItemsError> {
    let deadlines = &core.terms.deadlines;
    let deals = legs.each_ref().map(|leg| leg.handed().map(|handed| handed.asked.deal));
    let unlocked =
        core.terms.items.iter().all(|item| Price::from_bytes(&item.descriptor).is_ok_and(|price| price.lock.is_none()));
    let one_deal = deals[0].is_some() && deals[0] == deals[1];
    if unlocked && one_deal && deadlines.refund_after.is_none() && deadlines.complaints.is_none() {
        Ok(legs)
    } else {
        Err(ItemsError::Hands)
    }
}

/// Until when the arbiter's payments of what went through its hands can be taken: their payees may be away for long, and an issuer may be.
pub fn paid_out_until(deadlines: &Deadlines) -> Time {
    deadlines.not_after.after(PAID_OUT)
}

/// For a signature the payer gives first: nothing is locked, so nothing goes back on a date. A right comes before the money, and is called back until a
/// date if the money does not come. Neither is anything to complain about.
fn by_plain_transfer(core: &Core, legs: [Leg; 2]) -> Result<[Leg; 2], ItemsError> {
    let deadlines = &core.terms.deadlines;
    let dated = match &legs {
        [Leg::Transfer(_), Leg::Signature] => deadlines.refund_after.is_none(),
        [Leg::Right(_), Leg::Transfer(_)] => {
            deadlines.refund_after.is_some_and(|date| date >= earliest_recall(deadlines))
        }
        _ => return Err(ItemsError::TransferOrder),
    };
    match deadlines.complaints {
        _ if !dated => Err(ItemsError::RefundDate),
        None => Ok(legs),
        Some(_) => Err(ItemsError::Complaints),
    }
}

/// The first date until which a right that was passed on can be called back: its seller asks the arbiter two sigma after `not after`, by its own clock, which
/// may be behind by a sigma; the arbiter and the issuer are reached in a delta each, and the issuer's clock may be ahead by another sigma.
pub fn earliest_recall(deadlines: &Deadlines) -> Time {
    let Deadlines { not_after, delta, sigma, .. } = deadlines;
    let margin = delta.0.saturating_mul(2).saturating_add(sigma.0.saturating_mul(4)).saturating_add(WORK.0);
    not_after.after(Seconds(margin))
}

/// From when on the arbiter has a right called back that was passed on and not paid: nobody shows it the proof of a payment any more.
pub fn revoke_from(deadlines: &Deadlines) -> Time {
    deadlines.not_after.after(deadlines.sigma)
}

/// Until when it does: the issuer of the right can be reached with the verdict before the date after which it calls nothing back.
pub fn revoke_until(deadlines: &Deadlines) -> Time {
    let margin = Seconds(deadlines.delta.0.saturating_add(deadlines.sigma.0));
    deadlines.refund_after.map_or(deadlines.not_after, |date| date.before(margin))
}

/// The latest date until which a payee may take money by plain transfer.
///
/// From then on and a sigma, by its own clock, its payer asks the issuer for the proof of the payment, which takes a delta; with it, it must reach the
/// arbiter, whose clock is ahead by another sigma at most, in another delta.
pub fn pay_until(deadlines: &Deadlines) -> Time {
    deadlines.not_after.before(both_ways(deadlines))
}

/// Until when both promise, and money by plain transfer is begun to be paid: its payee has a delta to take it by an issuer whose clock differs.
pub fn last_payment(deadlines: &Deadlines) -> Time {
    let Deadlines { delta, sigma, .. } = deadlines;
    pay_until(deadlines).before(Seconds(delta.0.saturating_add(sigma.0)))
}

fn both_ways(deadlines: &Deadlines) -> Seconds {
    Seconds(deadlines.delta.0.saturating_add(deadlines.sigma.0).saturating_mul(2))
}

/// The lock under which an item's money must be put.
fn lock(
    core: &Core,
    item: &Item,
    (amount, kind): (Amount, LockKind),
    deposit: LockDeposit,
) -> Result<Lock, ItemsError> {
    let deadlines = &core.terms.deadlines;
    let early = flaws::active(Flaw::EarlyRefund);
    let (least, arbiter, hash) = match (kind, core.terms.profile, deposit.decides) {
        (LockKind::Hash, Profile::Lx, Decides::Hash(hash)) => (responders_refund(deadlines), Vec::new(), Some(hash)),
        (LockKind::Arbiter, Profile::Gx, Decides::Arbiter(key)) => (earliest_refund(deadlines), key, None),
        _ => return Err(ItemsError::LockKind),
    };
    let refund_after = deadlines.refund_after.filter(|date| early || *date >= least);
    let responders = refund_after.ok_or(ItemsError::RefundDate)?;
    let first = core.terms.profile == Profile::Lx && item.owner == Role::ORIGINATOR;
    Ok(Lock {
        tag: lock_tag(core.cid(), &deposit.salt),
        amount,
        refund_after: if first { originators_refund(deadlines, responders) } else { responders },
        kind,
        payer: deposit.payer,
        payee: deposit.payee,
        arbiter,
        hash,
    })
}

/// Without an arbiter: whoever knows the preimage gives first, and for money; one hash locks it all.
fn under_one_hash(core: &Core, legs: [Leg; 2]) -> Result<[Leg; 2], ItemsError> {
    let [first, Leg::Money(second)] = &legs else { return Err(ItemsError::OneHash) };
    let one = match first {
        Leg::Signature => true,
        Leg::Show(_) | Leg::Right(_) | Leg::Handed(_) => false,
        Leg::Money(lock) => lock.hash == second.hash,
        Leg::Transfer(_) => false,
        Leg::Information(slot) => {
            let deposit = core.deposits.get(slot).map(Vec::as_slice).unwrap_or_default();
            let malformed = |error| ItemsError::Malformed { slot: slot.0, part: "deposit", error };
            let deposit = Deposit::from_bytes(deposit).map_err(malformed)?;
            second.hash.is_some_and(|hash| deposit.opens == Opens::Hash(hash))
        }
    };
    if !one {
        return Err(ItemsError::OneHash);
    }
    if core.terms.deadlines.complaints.is_some() {
        return Err(ItemsError::Complaints);
    }
    Ok(legs)
}

/// Without an arbiter: the first date on which the responder's money may be taken back. What the originator has sent to open it, at its last step
/// and by its own clock, has arrived before.
pub fn responders_refund(deadlines: &Deadlines) -> Time {
    deadlines.not_after.after(deadlines.sigma)
}

/// Without an arbiter: from when on the originator's money can be taken back, if the responder's can be from `responders` on.
///
/// At its date the responder tries to take its own money back. If that is gone, it asks the issuer for the preimage and takes the originator's
/// money with it. Three questions to issuers, and clocks that differ: the originator's money must wait so long.
pub fn originators_refund(deadlines: &Deadlines, responders: Time) -> Time {
    let margin = deadlines.delta.0.saturating_mul(6).saturating_add(deadlines.sigma.0.saturating_mul(3));
    let margin = if flaws::active(Flaw::EqualDates) { 0 } else { margin.saturating_add(WORK.0) };
    responders.after(Seconds(margin))
}

/// Until when one party may complain about the information that it pays for, if this contract lets it.
///
/// This is a date of the contract, not a span that begins with a ruling: a seller that has the contract completed early and in silence
/// would else have it run out before the buyer has heard of it.
pub(crate) fn complaints_until(core: &Core, legs: &[Leg; 2]) -> Option<Time> {
    let covered = matches!(legs, [Leg::Information(_), Leg::Money(_)]);
    let deadlines = &core.terms.deadlines;
    deadlines.complaints.filter(|_| covered).map(|span| deadlines.not_after.after(span))
}

/// The first date on which locked money may be taken back: the last ruling, the complaints about it and the payment after them come before.
///
/// A payee asks for its money at the end of the complaints and two sigma, by its own clock. Its issuer's clock is ahead of it by another
/// sigma at most, and the arbiter and the issuer are reached in a delta each.
pub fn earliest_refund(deadlines: &Deadlines) -> Time {
    let Deadlines { not_after, complaints, delta, sigma, .. } = deadlines;
    let margin = delta.0.saturating_mul(2).saturating_add(sigma.0.saturating_mul(3)).saturating_add(WORK.0);
    not_after.after(Seconds(complaints.unwrap_or_default().0.saturating_add(margin)))
}

impl Encode for Price {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.amount)
            .put_item(2, &self.system)
            .put(3, self.issuer.as_str())
            .put_some(4, self.lock.map(|lock| lock.to_value()))
            .build()
    }
}

impl Decode for Price {
    const BYTES_MAX: usize = DESCRIPTOR_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let price = Self {
            amount: fields.item(1, "amount")?,
            system: fields.item(2, "system")?,
            issuer: fields.text(3, "issuer", ISSUER_MAX)?,
            lock: fields.optional_item(4, "lock")?,
        };
        fields.close()?;
        Ok(price)
    }
}

impl Encode for TransferDeposit {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.request).put_bytes(2, self.salt).build()
    }
}

impl Decode for TransferDeposit {
    const BYTES_MAX: usize = DEPOSIT_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let deposit = Self { request: fields.item(1, "request")?, salt: fields.exact(2, "salt")? };
        fields.close()?;
        Ok(deposit)
    }
}

impl Encode for HandsDeposit {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.onward).put_item(2, &self.back).put_bytes(3, self.salt).build()
    }
}

impl Decode for HandsDeposit {
    const BYTES_MAX: usize = DEPOSIT_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let deposit = Self {
            onward: fields.item(1, "request")?,
            back: fields.item(2, "request")?,
            salt: fields.exact(3, "salt")?,
        };
        fields.close()?;
        Ok(deposit)
    }
}

impl Encode for LockDeposit {
    fn to_value(&self) -> Value {
        let (arbiter, hash) = match &self.decides {
            Decides::Arbiter(key) => (Some(key.as_slice()), None),
            Decides::Hash(hash) => (None, Some(*hash)),
        };
        record()
            .put(0, 1_u64)
            .put_bytes(1, &self.payer)
            .put_bytes(2, &self.payee)
            .put_some(3, arbiter.map(Value::bytes))
            .put_bytes(4, self.salt)
            .put_some(5, hash.map(Value::bytes))
            .build()
    }
}

impl Decode for LockDeposit {
    const BYTES_MAX: usize = DEPOSIT_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let decides = match fields.optional_item::<Digest>(5, "hash")? {
            Some(hash) => Decides::Hash(*hash.as_bytes()),
            None => Decides::Arbiter(fields.bytes(3, "arbiter", DETAILS_MAX)?),
        };
        let deposit = Self {
            payer: fields.bytes(1, "payer", DETAILS_MAX)?,
            payee: fields.bytes(2, "payee", DETAILS_MAX)?,
            decides,
            salt: fields.exact(4, "salt")?,
        };
        fields.close()?;
        Ok(deposit)
    }
}
