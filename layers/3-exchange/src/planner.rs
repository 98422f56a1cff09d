//! The planner: from the properties of two items and what the parties demand to an engine, an order, and who may leave it how.
//!
//! A pure function of public data, so that both sides compute the same before they sign, and an impossible demand is refused with its reason
//! instead of being weakened in silence.
//!
//! | first item | second item | plan |
//! |---|---|---|
//! | generatable | generatable | asynchronous: whoever holds both promises can have the arbiter complete them |
//! | one generatable | one not | timed: the other one goes first, its owner can be made whole until a deadline |
//! | none generatable | one revocable | revocable: that one goes first, and is called back if nothing is proven to have come for it |
//! | both can be locked to one hash | | swap: no arbiter, only deadlines |
//! | anything else | | in-line, through a third party that sees both, if the parties agree to that; else transfers with evidence |
//!
//! Source: `spec/planner.md` (design/exchange.md §4.3), after Asokan 1998.

use std::fmt;

use semper_core::cbor::Decode as _;
use semper_core::contract::{Core, Deadlines, Item, ItemKind, Profile};
use semper_core::time::{Seconds, Time};
use semper_transfer::payment::means::{LockKind, Means, PayerAnonymity, Reversal};

use crate::gx::{Price, earliest_recall, earliest_refund, last_payment, responders_refund};

/// How certainly something can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// Not at all.
    No,
    /// Possibly not; but then it can be proven whose fault that is.
    Weak,
    /// Certainly.
    Strong,
}

/// What a third party can do about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Properties {
    /// Produce it, or what is accepted in its place, without its owner.
    pub generatable: Strength,
    /// Have it undone.
    pub revocable: Strength,
    /// Whether it can be locked to a hash at its issuer.
    pub hash_lockable: bool,
    /// Whether whoever gives it stays unknown.
    pub owner_unknown: bool,
}

/// How fair an exchange is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fairness {
    /// Whoever was cheated can prove it.
    Weak,
    /// Both or neither.
    Strong,
}

/// What may be relied on between the parties and the arbiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// A message that is sent often enough arrives at some time.
    Asynchronous,
    /// It arrives within the time that the contract says.
    Timed,
}

/// What the parties demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    /// How fair it is to be, at least.
    pub fairness: Fairness,
    /// What they rely on.
    pub network: Network,
    /// Whether both agree to a third party through whose hands everything goes.
    pub in_line: bool,
    /// Which of the two is to stay unknown: the owner of the first item, of the second.
    pub unknown: [bool; 2],
}

/// One of the two items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The first.
    First,
    /// The second.
    Second,
}

/// How the items change hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// GX, at any moment completable by the arbiter.
    Asynchronous,
    /// GX with a deadline until which the arbiter must be asked.
    Timed,
    /// GX in which the first item is called back.
    Revocable,
    /// Hash locks on both sides, and no arbiter.
    Swap,
    /// Both items through the hands of the arbiter (IX). Either party may abort until it has both.
    InLine,
    /// A transfer each, with evidence.
    Transfers,
}

/// What was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// How.
    pub engine: Engine,
    /// Whose item goes first; its owner is the originator.
    pub first: Which,
    /// Whether the originator may abort before its item has left. Where that can be called back nobody aborts: before it has left nobody is bound, and
    /// after that the other item may be on its way.
    pub may_abort: bool,
    /// Whether originator and responder can have the arbiter complete the exchange.
    pub may_resolve: [bool; 2],
    /// How fair it is to originator and responder.
    pub fairness: [Fairness; 2],
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Impossible {
    /// The only plan relies on messages that arrive in time, which the parties do not.
    NeedsTime(Engine),
    /// The only plan is less fair than is demanded; both could agree to a third party through whose hands everything goes.
    OnlyWeak,
    /// Whoever gives this item is known by it.
    OwnerKnown(Which),
}

/// Plans an exchange.
///
/// # Errors
/// [`Impossible`]: the demand cannot be met with these items. Whoever asks may demand less; nothing is weakened in silence.
pub fn plan(first: Properties, second: Properties, demand: Demand) -> Result<Plan, Impossible> {
    for (which, (item, unknown)) in
        [Which::First, Which::Second].into_iter().zip([first, second].into_iter().zip(demand.unknown))
    {
        if unknown && !item.owner_unknown {
            return Err(Impossible::OwnerKnown(which));
        }
    }
    let plan = candidate(first, second, demand);
    if plan.engine.needs_time() && demand.network == Network::Asynchronous {
        return Err(Impossible::NeedsTime(plan.engine));
    }
    if plan.fairness.into_iter().any(|fairness| fairness < demand.fairness) {
        return Err(Impossible::OnlyWeak);
    }
    Ok(plan)
}

/// Plans the exchange of a contract's items, pair by pair: both or neither, whenever messages arrive; without an arbiter, if they arrive in
/// time at the issuers; with money by plain transfer, which the contract must name so, if they arrive in time at its issuer and at the arbiter. That
/// everything goes through the hands of the arbiter both parties agree to by a contract of that profile. With several recipients every pair is the same.
///
/// # Errors
/// [`Impossible`]: the contract must not be proposed or signed.
pub fn plan_of(core: &Core) -> Result<Plan, Impossible> {
    let without = core.terms.arbiter.is_none();
    let by_transfer = |item: &Item| item.kind == ItemKind::Money && lock_of(item) == Some(None);
    let in_time = without || core.terms.profile != Profile::Ix && core.terms.items.iter().any(by_transfer);
    let network = if in_time { Network::Timed } else { Network::Asynchronous };
    let in_line = core.terms.profile == Profile::Ix;
    let demand = Demand { fairness: Fairness::Strong, network, in_line, unknown: [false, false] };
    let [first, second, ..] = core.terms.items.as_slice() else { return Err(Impossible::OnlyWeak) };
    let properties = |item| {
        let properties = Properties::of_item(item).ok_or(Impossible::OnlyWeak)?;
        Ok(if without { properties.without_arbiter() } else { properties })
    };
    plan(properties(first)?, properties(second)?, demand)
}

/// Under what the money of an item is locked, if it is; `None`: the descriptor is malformed.
fn lock_of(item: &Item) -> Option<Option<LockKind>> {
    Price::from_bytes(&item.descriptor).ok().map(|price| price.lock)
}

/// The best plan for two items, whether or not it is good enough.
fn candidate(first: Properties, second: Properties, demand: Demand) -> Plan {
    use Strength::{No, Strong};
    let of = |strength| if strength == Strong { Fairness::Strong } else { Fairness::Weak };
    match (first.generatable, second.generatable) {
        (one, other) if one > No && other > No => Plan {
            engine: Engine::Asynchronous,
            first: Which::First,
            may_abort: true,
            may_resolve: [true, true],
            // Each gets the other's item from the arbiter.
            fairness: [of(other), of(one)],
        },
        // What cannot be produced goes first; its owner gets the other item from the arbiter. Its recipient keeps its own until then.
        (No, other) if other > No => timed(Which::First, of(other)),
        (one, No) if one > No => timed(Which::Second, of(one)),
        _ if first.revocable > No || second.revocable > No => {
            let (which, strength) = if first.revocable >= second.revocable {
                (Which::First, first.revocable)
            } else {
                (Which::Second, second.revocable)
            };
            Plan {
                engine: Engine::Revocable,
                first: which,
                may_abort: false,
                // With the proof that its item has gone to the originator.
                may_resolve: [false, true],
                fairness: [of(strength), Fairness::Strong],
            }
        }
        _ if first.hash_lockable && second.hash_lockable => Plan {
            engine: Engine::Swap,
            first: Which::First,
            may_abort: true,
            may_resolve: [false, false],
            fairness: [Fairness::Strong, Fairness::Strong],
        },
        _ if demand.in_line => Plan {
            engine: Engine::InLine,
            first: Which::First,
            may_abort: true,
            may_resolve: [false, false],
            fairness: [Fairness::Strong, Fairness::Strong],
        },
        _ => Plan {
            engine: Engine::Transfers,
            first: Which::First,
            may_abort: true,
            may_resolve: [false, false],
            fairness: [Fairness::Weak, Fairness::Weak],
        },
    }
}

fn timed(first: Which, originator: Fairness) -> Plan {
    Plan {
        engine: Engine::Timed,
        first,
        // Before its item has left; afterwards only the arbiter ends the run.
        may_abort: true,
        may_resolve: [true, false],
        fairness: [originator, Fairness::Strong],
    }
}

impl Engine {
    /// Whether it relies on messages that arrive in time.
    pub const fn needs_time(self) -> bool {
        matches!(self, Engine::Timed | Engine::Revocable | Engine::Swap)
    }
}

impl Properties {
    /// Of the show of a right: the arbiter's verdict stands for it, and its issuer keeps a use for the contract, which an abort frees. The issuer knows
    /// whose it is.
    pub const OF_SHOW: Self =
        Self { generatable: Strength::Strong, revocable: Strength::Strong, hash_lockable: false, owner_unknown: false };

    /// Of a right that is passed on: only its holder can do that, and its issuer calls it back by the arbiter's verdict. The issuer knows whose it is.
    pub const OF_RIGHT: Self =
        Self { generatable: Strength::No, revocable: Strength::Strong, hash_lockable: false, owner_unknown: false };

    /// Of an item that is a signature or information: the arbiter's word stands for the one, its key opens the other.
    pub const fn of_kind(kind: ItemKind) -> Option<Self> {
        match kind {
            ItemKind::Signature | ItemKind::Information => Some(Self {
                generatable: Strength::Strong,
                revocable: Strength::No,
                // A preimage opens the one; whoever has it and a promise that names its hash has the other.
                hash_lockable: true,
                owner_unknown: true,
            }),
            ItemKind::Money => None,
            ItemKind::Right => Some(Self::OF_RIGHT),
        }
    }

    /// Of an item of a contract. Money in a contract is under a lock that its descriptor names; `None`: the descriptor is malformed.
    pub fn of_item(item: &Item) -> Option<Self> {
        if item.kind == ItemKind::Signature && !item.descriptor.is_empty() {
            return Some(Self::OF_SHOW);
        }
        if let Some(properties) = Self::of_kind(item.kind) {
            return Some(properties);
        }
        let lock = lock_of(item)?;
        let strength = if lock == Some(LockKind::Arbiter) { Strength::Strong } else { Strength::No };
        Some(Self {
            generatable: strength,
            revocable: strength,
            hash_lockable: lock == Some(LockKind::Hash),
            owner_unknown: true,
        })
    }

    /// The same item where there is no arbiter: nobody produces it, and nobody has it undone.
    pub const fn without_arbiter(self) -> Self {
        Self { generatable: Strength::No, revocable: Strength::No, ..self }
    }

    /// Of money by a means. `locked`: it is put under a lock first, as the means can.
    pub fn of_money(means: &Means, locked: bool) -> Self {
        let arbitrated = locked && means.locks.contains(&LockKind::Arbiter);
        let strength = |yes| if yes { Strength::Strong } else { Strength::No };
        Self {
            generatable: strength(arbitrated),
            revocable: match means.reversal {
                _ if arbitrated => Strength::Strong,
                Reversal::ByPayer(_) => Strength::Weak,
                Reversal::Final | Reversal::ByPayee(_) => Strength::No,
            },
            hash_lockable: means.locks.contains(&LockKind::Hash),
            owner_unknown: means.anonymity > PayerAnonymity::None,
        }
    }
}

/// Why the dates of a contract contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatesError {
    /// Both could not make their promises before the contract closes.
    #[error("there is too little time: the contract closes on {0}, and two messages have to arrive before")]
    Over(Time),
    /// Whoever must complain has less time than two messages take.
    #[error("the time for complaints is shorter than two messages take")]
    Complaints,
    /// Money could go back before the last ruling has been carried out, or a right not be called back after it; or there is such a date and nothing is
    /// locked or passed on.
    #[error("what is given first could be taken back before the arbiter has ruled, or could not be called back after")]
    Refund,
}

/// Whether the dates of a contract leave everybody the time that it needs, from `now` on.
///
/// # Errors
/// [`DatesError`]: the contract must not be signed.
pub fn check_dates(deadlines: &Deadlines, now: Time) -> Result<(), DatesError> {
    let two_ways = Seconds(2 * (deadlines.delta.0.saturating_add(deadlines.sigma.0)));
    if now.after(two_ways) > deadlines.not_after {
        return Err(DatesError::Over(deadlines.not_after));
    }
    if deadlines.complaints.is_some_and(|span| span < two_ways) {
        return Err(DatesError::Complaints);
    }
    if deadlines.refund_after.is_some_and(|date| date < earliest_refund(deadlines)) {
        return Err(DatesError::Refund);
    }
    Ok(())
}

/// The same for a contract without an arbiter: until `not_after` the originator opens the locks, and not before that date money goes back.
///
/// # Errors
/// [`DatesError`]: the contract must not be signed.
pub fn check_lock_dates(deadlines: &Deadlines, now: Time) -> Result<(), DatesError> {
    let two_ways = Seconds(2 * (deadlines.delta.0.saturating_add(deadlines.sigma.0)));
    if now.after(two_ways) > deadlines.not_after {
        return Err(DatesError::Over(deadlines.not_after));
    }
    if deadlines.refund_after.is_none_or(|date| date < responders_refund(deadlines)) {
        return Err(DatesError::Refund);
    }
    Ok(())
}

/// The same for a contract with money by plain transfer: both must promise before it is too late to pay, and what is paid later cannot be proven in time.
///
/// # Errors
/// [`DatesError`]: the contract must not be signed.
pub fn check_transfer_dates(deadlines: &Deadlines, now: Time) -> Result<(), DatesError> {
    let two_ways = Seconds(2 * (deadlines.delta.0.saturating_add(deadlines.sigma.0)));
    if now.after(two_ways) > last_payment(deadlines) {
        return Err(DatesError::Over(deadlines.not_after));
    }
    if deadlines.refund_after.is_some() { Err(DatesError::Refund) } else { Ok(()) }
}

/// The same for a contract in which a right is passed on for money by plain transfer: there is time for three messages and the issuer before it is too
/// late to pay, and the right can be called back for as long as it takes to have that ruled and done.
///
/// # Errors
/// [`DatesError`]: the contract must not be signed.
pub fn check_right_dates(deadlines: &Deadlines, now: Time) -> Result<(), DatesError> {
    let four_ways = Seconds(deadlines.delta.0.saturating_add(deadlines.sigma.0).saturating_mul(4));
    if now.after(four_ways) > last_payment(deadlines) {
        return Err(DatesError::Over(deadlines.not_after));
    }
    if deadlines.refund_after.is_none_or(|date| date < earliest_recall(deadlines)) {
        return Err(DatesError::Refund);
    }
    Ok(())
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Impossible::NeedsTime(engine) => {
                let name = match engine {
                    Engine::Timed => "one of the items can only be given by its owner",
                    Engine::Revocable => "one of the items can only be called back",
                    _ => "the items can only be locked to one hash",
                };
                write!(f, "{name}, so messages to the arbiter would have to arrive in time")
            }
            Impossible::OnlyWeak => f.write_str(
                "no third party can give or take back these items, so a cheated party would have evidence and nothing else",
            ),
            Impossible::OwnerKnown(which) => {
                let which = if *which == Which::First { "first" } else { "second" };
                write!(f, "whoever gives the {which} item is known by it")
            }
        }
    }
}

impl std::error::Error for Impossible {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ALL: [Strength; 3] = [Strength::No, Strength::Weak, Strength::Strong];

    fn item(generatable: Strength, revocable: Strength, hash_lockable: bool) -> Properties {
        Properties { generatable, revocable, hash_lockable, owner_unknown: true }
    }

    fn demand(fairness: Fairness, network: Network, in_line: bool) -> Demand {
        Demand { fairness, network, in_line, unknown: [false, false] }
    }

    /// Every pair of items.
    fn pairs() -> impl Iterator<Item = (Properties, Properties)> {
        let items = || {
            ALL.into_iter().flat_map(|generatable| {
                ALL.into_iter().flat_map(move |revocable| [false, true].map(|hash| item(generatable, revocable, hash)))
            })
        };
        items().flat_map(move |first| items().map(move |second| (first, second)))
    }

    // The truth table of the design, row by row, for every pair of items: which engine, and who begins.
    #[test]
    fn the_table_decides_the_engine() {
        use Strength::No;
        for (first, second) in pairs() {
            let plan = candidate(first, second, demand(Fairness::Weak, Network::Timed, true));
            let expected = match (first.generatable > No, second.generatable > No) {
                (true, true) => Engine::Asynchronous,
                (true, false) | (false, true) => Engine::Timed,
                (false, false) if first.revocable > No || second.revocable > No => Engine::Revocable,
                (false, false) if first.hash_lockable && second.hash_lockable => Engine::Swap,
                (false, false) => Engine::InLine,
            };
            assert_eq!(plan.engine, expected, "{first:?} {second:?}");
            let begins = if plan.first == Which::First { first } else { second };
            match plan.engine {
                Engine::Timed => assert_eq!(begins.generatable, No, "what nobody else can give goes first"),
                Engine::Revocable => assert!(begins.revocable > No, "what can be called back goes first"),
                _ => {}
            }
        }
    }

    // Whoever plans from the other side must find the same, with the places exchanged.
    #[test]
    fn both_sides_find_the_same_plan() {
        for (first, second) in pairs() {
            for network in [Network::Asynchronous, Network::Timed] {
                for fairness in [Fairness::Weak, Fairness::Strong] {
                    let demand = demand(fairness, network, false);
                    let (here, there) = (plan(first, second, demand), plan(second, first, demand));
                    assert_eq!(here.map(|plan| plan.engine), there.map(|plan| plan.engine), "{first:?} {second:?}");
                }
            }
        }
    }

    // A demand is met or refused; it is never weakened.
    #[test]
    fn a_plan_keeps_what_was_demanded() {
        for (first, second) in pairs() {
            for (network, in_line) in [(Network::Asynchronous, false), (Network::Timed, false), (Network::Timed, true)]
            {
                let strict = demand(Fairness::Strong, network, in_line);
                if let Ok(plan) = plan(first, second, strict) {
                    assert_eq!(plan.fairness, [Fairness::Strong; 2]);
                    assert!(network == Network::Timed || !plan.engine.needs_time());
                    assert!(in_line || plan.engine != Engine::InLine);
                }
            }
        }
        let plain = item(Strength::No, Strength::No, false);
        let strict = demand(Fairness::Strong, Network::Timed, false);
        assert_eq!(plan(plain, plain, strict), Err(Impossible::OnlyWeak));
        let lenient = demand(Fairness::Weak, Network::Asynchronous, false);
        assert_eq!(plan(plain, plain, lenient).map(|plan| plan.engine), Ok(Engine::Transfers));
        let given = item(Strength::Strong, Strength::No, false);
        let impatient = demand(Fairness::Strong, Network::Asynchronous, false);
        assert_eq!(plan(plain, given, impatient), Err(Impossible::NeedsTime(Engine::Timed)));
    }

    // An item that shows its owner cannot be given by somebody who is to stay unknown.
    #[test]
    fn the_unknown_stay_unknown() {
        let shows = Properties { owner_unknown: false, ..item(Strength::Strong, Strength::No, false) };
        let hides = item(Strength::Strong, Strength::No, false);
        let ask = |unknown| Demand { unknown, ..demand(Fairness::Strong, Network::Asynchronous, false) };
        assert_eq!(plan(shows, hides, ask([true, false])), Err(Impossible::OwnerKnown(Which::First)));
        assert_eq!(plan(hides, shows, ask([false, true])), Err(Impossible::OwnerKnown(Which::Second)));
        assert!(plan(shows, hides, ask([false, true])).is_ok());
    }

    // The holder of a right is known by it, and nobody can lock it to a hash: but with an arbiter it is exchanged as fairly as a signature.
    #[test]
    fn a_right_is_exchanged_with_an_arbiter_only() {
        let goods = Properties::of_kind(ItemKind::Information).unwrap();
        let asynchronous = demand(Fairness::Strong, Network::Asynchronous, false);
        let plan_with = plan(goods, Properties::OF_SHOW, asynchronous).unwrap();
        assert_eq!((plan_with.engine, plan_with.may_resolve), (Engine::Asynchronous, [true, true]));
        let hidden = Demand { unknown: [false, true], ..asynchronous };
        assert_eq!(plan(goods, Properties::OF_SHOW, hidden), Err(Impossible::OwnerKnown(Which::Second)));
        let without = Properties::OF_SHOW.without_arbiter();
        let timed = demand(Fairness::Strong, Network::Timed, false);
        assert_eq!(plan(goods.without_arbiter(), without, timed), Err(Impossible::OnlyWeak));
    }

    // A right for money that is simply paid: the right goes first whoever plans, nobody aborts, and whoever does not rely on messages in time is refused it.
    #[test]
    fn a_right_that_is_called_back_goes_first() {
        let paid = item(Strength::No, Strength::No, false);
        let timed = demand(Fairness::Strong, Network::Timed, false);
        for (first, second, which) in
            [(Properties::OF_RIGHT, paid, Which::First), (paid, Properties::OF_RIGHT, Which::Second)]
        {
            let plan = plan(first, second, timed).unwrap();
            assert_eq!((plan.engine, plan.first), (Engine::Revocable, which));
            assert_eq!((plan.may_abort, plan.may_resolve), (false, [false, true]));
        }
        let asynchronous = demand(Fairness::Strong, Network::Asynchronous, false);
        let refused = plan(Properties::OF_RIGHT, paid, asynchronous);
        assert_eq!(refused, Err(Impossible::NeedsTime(Engine::Revocable)));
        let without = Properties::OF_RIGHT.without_arbiter();
        assert_eq!(plan(without, paid, timed), Err(Impossible::OnlyWeak));
        // Money that its payer can perhaps call back is not as certain: the right goes first.
        let perhaps = item(Strength::No, Strength::Weak, false);
        assert_eq!(plan(perhaps, Properties::OF_RIGHT, timed).unwrap().first, Which::Second);
    }

    #[test]
    fn dates_leave_time_to_pay_for_a_right_and_to_call_it_back() {
        let now = Time::from_unix(1_000_000);
        let open = Deadlines {
            not_after: now.after(Seconds(10_000)),
            complaints: None,
            refund_after: None,
            delta: Seconds(600),
            sigma: Seconds(60),
        };
        let good = Deadlines { refund_after: Some(earliest_recall(&open)), ..open };
        assert_eq!(check_right_dates(&good, now), Ok(()));
        let last = last_payment(&good).before(Seconds(4 * 660));
        assert_eq!(check_right_dates(&good, last), Ok(()));
        assert_eq!(check_right_dates(&good, last.after(Seconds(1))), Err(DatesError::Over(good.not_after)));
        let early = Deadlines { refund_after: good.refund_after.map(|date| date.before(Seconds(1))), ..good };
        assert_eq!(check_right_dates(&early, now), Err(DatesError::Refund));
        assert_eq!(check_right_dates(&open, now), Err(DatesError::Refund));
    }

    #[test]
    fn dates_leave_time_for_everybody() {
        let now = Time::from_unix(1_000_000);
        let good = Deadlines {
            not_after: now.after(Seconds(10_000)),
            complaints: Some(Seconds(2_000)),
            refund_after: None,
            delta: Seconds(600),
            sigma: Seconds(60),
        };
        let good = Deadlines { refund_after: Some(earliest_refund(&good)), ..good };
        assert_eq!(check_dates(&good, now), Ok(()));
        let late = now.after(Seconds(9_000));
        assert_eq!(check_dates(&good, late), Err(DatesError::Over(good.not_after)));
        let short = Deadlines { complaints: Some(Seconds(1_319)), ..good };
        assert_eq!(check_dates(&short, now), Err(DatesError::Complaints));
        let early = Deadlines { refund_after: good.refund_after.map(|date| date.before(Seconds(1))), ..good };
        assert_eq!(check_dates(&early, now), Err(DatesError::Refund));
    }
}
