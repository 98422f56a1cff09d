//! Attacks on an exchange under one hash lock: who is late, and whose date is wrong.

use semper_core::contract::Deadlines;
use semper_core::party::Role;
use semper_core::time::{Seconds, Time};
use semper_exchange::gx::{ItemsError, Leg, RunError};
use semper_exchange::planner::{DatesError, check_lock_dates};
use semper_sim::deal::{CHANGE, Deal, NOT_AFTER as NOT_AFTER_TICK, PURCHASE, TICK, Thing, Things, tick};
use semper_sim::mint;
use semper_sim::model::lx;
use semper_sim::model::search::World as _;
use semper_sim::scenario::Cast;
use semper_support::engine::Ending;
use stateright::{Expectation, Model};

use crate::{NOW, O, R};

/// Plays a run under one hash to its end: everybody does what there is to do, the malicious party whatever of its possibilities `wants` says, at
/// the ticks at which it says so, before or after the honest one. Every property must hold after every event. No message but a promise arrives.
fn race(
    world: &lx::World,
    from: &lx::State,
    villain_first: bool,
    wants: impl Fn(u8, &lx::Action) -> bool,
) -> lx::State {
    use lx::Action::{Back, Decline, Deliver, Drop, Fire, GiveUp, Hear, Lock, Take, Tick};
    let good = [0, 1].map(|owner| format!("hears a promise with {:?}", mint::token(owner, 0)));
    let place = |action: &lx::Action, now: u8| match action {
        Lock => Some(1),
        Take | Back => Some(if villain_first { 1 } else { 4 }).filter(|_| wants(now, action)),
        Deliver { .. } => {
            let said = world.format_action(action);
            let promise = said.ends_with("hears a promise with []") || good.iter().any(|good| said.ends_with(good));
            Some(2).filter(|_| promise && wants(now, action))
        }
        // What may not wait any longer is heard all the same.
        Hear { .. } => Some(if wants(now, action) { 2 } else { 7 }),
        GiveUp { .. } | Decline { .. } => None,
        Fire { .. } => Some(3),
        Drop { .. } => Some(5),
        Tick => Some(6),
        _ => Some(2),
    };
    let mut state = from.clone();
    loop {
        let (now, mut actions) = (lx::World::tick(&state), Vec::new());
        world.actions(&state, &mut actions);
        let mut placed: Vec<_> = actions.iter().filter_map(|action| Some((place(action, now)?, action))).collect();
        placed.sort_by_key(|(place, _)| *place);
        let next = placed.iter().find_map(|(_, action)| Some((action, world.next_state(&state, **action)?)));
        let Some((action, next)) = next else { return state };
        for property in world.properties() {
            let holds = property.expectation != Expectation::Always || (property.condition)(world, &next);
            let words = world.describe_state(&next);
            assert!(holds, "{} after: {}: {words}", property.name, world.format_action(action));
        }
        state = next;
    }
}

fn under_hash(things: Things, malicious: Role) -> lx::World {
    lx::World::new(lx::Setup { things, malicious: Some(malicious), reaches: &[] })
}

// 20. Whoever knows the preimage claims the money when its date has passed, while its payer takes it back. Under a hash lock the issuer gives it to
// the one or the other; a payer that comes second has the preimage for it. An honest originator does not come so late: it asks for the
// money by its last step or not at all, however long its issuer takes, and shows nobody what it knows.
#[test]
fn late_claim_after_locktime_racing_refund() {
    use lx::Action::{Deliver, Hear, Take};
    let receipt = [Thing::Signature, Thing::Money];
    for things in [PURCHASE, receipt] {
        let world = under_hash(things, O);
        let date =
            tick(Leg::of(&Deal::under_hash(&Cast::default(), things).core).unwrap()[1].lock().unwrap().refund_after);
        let mut ends = Vec::new();
        for from in world.init_states() {
            for (at, villain_first) in (0..date + 4).flat_map(|at| [(at, true), (at, false)]) {
                let end = race(&world, &from, villain_first, |now, action| !matches!(action, Take) || now == at);
                ends.push((at, world.ending(&end, 1).unwrap()));
            }
        }
        let either = [Ending::Success, Ending::Refunded];
        let races = (date..date + 4).filter(|at| either.iter().all(|ending| ends.contains(&(*at, *ending))));
        assert!(races.count() > 0, "there is a race, and either may win: {ends:?}");
        assert!(ends.iter().all(|(_, ending)| matches!(ending, Ending::Success | Ending::Refunded)));
    }
    for things in [PURCHASE, CHANGE, receipt] {
        let world = under_hash(things, R);
        let mut ends = Vec::new();
        for from in world.init_states() {
            // The promise comes late, or the issuer hears late what is asked; and the responder takes its money back as soon as it can.
            for (slow, at) in [true, false].into_iter().flat_map(|slow| (0..8).map(move |at| (slow, at))) {
                let end = race(&world, &from, true, |now, action| match action {
                    Deliver { .. } => slow || now >= at,
                    Hear { .. } => !slow || now >= at,
                    _ => true,
                });
                ends.push((at, world.ending(&end, 0)));
            }
        }
        assert!(ends.contains(&(0, Some(Ending::Success))), "who is in time has the money: {ends:?}");
        let late: Vec<_> =
            ends.iter().filter(|(at, _)| *at > NOT_AFTER_TICK).map(|(_, ending)| ending.unwrap()).collect();
        assert!(late.iter().all(|ending| matches!(ending, Ending::Lapsed | Ending::Refunded)), "{late:?}");
        assert_eq!(late.contains(&Ending::Refunded), things == CHANGE, "who has locked money has it back");
    }
}

// 21. Dates under one hash the wrong way round, or so near that the responder could not learn the preimage and use it. The contract states one date only,
// the responder's, and it is not before what is locked must be opened; the originator's follows from it.
#[test]
fn hash_lock_deadline_inversion() {
    use lx::Action::Take;
    let cast = Cast::default();
    for things in [CHANGE, PURCHASE] {
        let Deadlines { not_after, delta, sigma, .. } = Deal::under_hash(&cast, things).core.terms.deadlines;
        let dated = |date: Option<Time>| {
            let mut deal = Deal::under_hash(&cast, things);
            deal.core.terms.deadlines.refund_after = date;
            deal
        };
        let early = [not_after.before(delta), not_after, not_after.after(Seconds(sigma.0 - 1))];
        for date in early.into_iter().map(Some).chain([None]) {
            let deal = dated(date);
            assert_eq!(Leg::of(&deal.core), Err(ItemsError::RefundDate), "{date:?}");
            assert_eq!(check_lock_dates(&deal.core.terms.deadlines, NOW), Err(DatesError::Refund), "{date:?}");
            for role in [O, R] {
                assert_eq!(deal.run(&cast, role).unwrap_err(), RunError::Items(ItemsError::RefundDate), "{date:?}");
            }
        }
        for later in [0, 1, 1000 * TICK.0] {
            let deal = dated(Some(not_after.after(Seconds(sigma.0 + later))));
            let [first, second] = Leg::of(&deal.core).unwrap().map(|leg| leg.lock().map(|lock| lock.refund_after));
            let margin = Seconds(6 * delta.0 + 3 * sigma.0);
            assert!(first.is_none_or(|first| second.is_some_and(|second| first >= second.after(margin))));
            assert_eq!(check_lock_dates(&deal.core.terms.deadlines, NOW), Ok(()));
            assert!([O, R].into_iter().all(|role| deal.run(&cast, role).is_ok()));
        }
    }
    // An originator that takes the money at any tick, however late, and its own back as soon as it can: the responder has the one or the other.
    let world = under_hash(CHANGE, O);
    let date = tick(Leg::of(&Deal::under_hash(&cast, CHANGE).core).unwrap()[1].lock().unwrap().refund_after);
    let mut taken_late = 0;
    for from in world.init_states() {
        for (at, villain_first) in (0..date + 6).flat_map(|at| [(at, true), (at, false)]) {
            let end = race(&world, &from, villain_first, |now, action| !matches!(action, Take) || now == at);
            let ending = world.ending(&end, 1).unwrap();
            assert!(matches!(ending, Ending::Success | Ending::Refunded), "{ending:?}");
            taken_late += u32::from(ending == Ending::Success && at >= date);
        }
    }
    assert!(taken_late > 0, "somebody comes late and is paid for it");
}
