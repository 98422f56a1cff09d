//! What the terms of all contracts share: who takes part, who decides, and by when.

use semper_core::amount::Amount;
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, PartyRef};
use semper_core::hash::Digest;
use semper_core::ids::{KeySetId, Slot};
use semper_core::party::Role;
use semper_core::time::{Seconds, Time};
use semper_exchange::goods::DepositKey;
use semper_exchange::gx::{Price, earliest_refund, responders_refund};
use semper_exchange::planner::{DatesError, check_dates, check_lock_dates, check_transfer_dates};
use semper_transfer::payment::means::{LockKind, Means};

/// The longest that a message to the arbiter takes, for parties that want to keep their rights near the deadline.
pub const DELTA: Seconds = Seconds(3600);
/// The most by which two honest clocks differ.
pub const SIGMA: Seconds = Seconds(120);

/// Somebody, and what the originator calls them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The key set.
    pub key_set: KeySetId,
}

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

impl Arbiter {
    /// The arbiter in a contract with deposits of information.
    pub(crate) fn reference(&self) -> ArbiterRef {
        let Self { key_set, log, rules, .. } = *self;
        ArbiterRef { key_set, deposit_key: Some(self.deposit_key.id()), log, rules }
    }
}

/// The parties in the order of their roles.
pub(crate) fn parties(key_sets: impl IntoIterator<Item = KeySetId>) -> Vec<PartyRef> {
    let numbered = (0..).map(Role::numbered).zip(key_sets);
    numbered.map(|(role, key_set)| PartyRef { role, key_set }).collect()
}

/// The parties of a contract of two, the originator first.
///
/// # Errors
/// One of them is missing.
pub(crate) fn pair(core: &Core) -> Result<[KeySetId; 2], &'static str> {
    let pair = core.party(Role::ORIGINATOR).zip(core.party(Role::RESPONDER));
    pair.map(Into::into).ok_or("parties")
}

/// What its owner gives to the other side of a contract of two.
pub(crate) fn item(kind: ItemKind, owner: Role, descriptor: Vec<u8>, slot: Slot) -> Item {
    Item { kind, owner, recipient: owner.peer(), descriptor, slot }
}

/// The arbiter of a contract that must have one.
///
/// # Errors
/// It has none.
pub(crate) fn arbiter(core: &Core) -> Result<KeySetId, &'static str> {
    core.arbiter().ok_or("arbiter")
}

/// Money under a lock, or by plain transfer if there is none.
pub(crate) fn priced(amount: Amount, means: &Means, lock: impl Into<Option<LockKind>>) -> Price {
    Price { amount, system: means.system.clone(), issuer: means.issuer.clone(), lock: lock.into() }
}

/// The deadlines of a contract under which nobody complains and no money is locked yet.
pub(crate) fn deadlines(not_after: Time) -> Deadlines {
    Deadlines { not_after, complaints: None, refund_after: None, delta: DELTA, sigma: SIGMA }
}

/// The first date on which the responder's money may be taken back, or everybody's where an arbiter decides.
pub(crate) fn refund_date(lock: LockKind, deadlines: &Deadlines) -> Time {
    match lock {
        LockKind::Hash => responders_refund(deadlines),
        LockKind::Arbiter => earliest_refund(deadlines),
    }
}

/// Whether the dates leave everybody enough time under such locks, or for a plain transfer if there are none.
///
/// # Errors
/// They do not.
pub(crate) fn check_dates_under(
    lock: impl Into<Option<LockKind>>,
    deadlines: &Deadlines,
    now: Time,
) -> Result<(), DatesError> {
    match lock.into() {
        Some(LockKind::Hash) => check_lock_dates(deadlines, now),
        Some(LockKind::Arbiter) => check_dates(deadlines, now),
        None => check_transfer_dates(deadlines, now),
    }
}

/// Whether a contract was asked for that closes at `asked`: clocks differ, and the answer took its time.
pub(crate) fn are_as_asked(deadlines: &Deadlines, asked: Time, [delta, sigma]: [Seconds; 2]) -> bool {
    let slack = Seconds(sigma.0.saturating_mul(2).saturating_add(delta.0));
    let near = deadlines.not_after <= asked.after(slack) && asked <= deadlines.not_after.after(slack);
    near && (deadlines.delta, deadlines.sigma) == (delta, sigma)
}

/// Everything must be as it was asked. The error is the first that is not.
pub(crate) fn all_hold(checks: impl IntoIterator<Item = (&'static str, bool)>) -> Result<(), &'static str> {
    checks.into_iter().find(|(_, holds)| !holds).map_or(Ok(()), |(name, _)| Err(name))
}
