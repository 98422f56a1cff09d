//! Attacks on contract signing among many.

use semper_core::cose::Signed;
use semper_exchange::arbiter::verdict::Outcome;
use semper_exchange::evidence::{self, Finding, Standing};
use semper_sim::model::cn;
use semper_sim::model::search::World as _;
use semper_sim::signers::Three;
use semper_support::engine::Ending;
use stateright::{Expectation, Model};

use crate::{O, R};

/// A world in which some of many signers are honest.
fn signing(parties: u8, honest: &'static [u8]) -> cn::World {
    cn::World::new(cn::Setup { parties, honest, grain: cn::Grain::Coarse, deadlines: false, reaches: &[] })
}

/// What comes of these events, after each of which every property must hold.
fn play(world: &cn::World, events: impl IntoIterator<Item = cn::Action>) -> cn::State {
    events.into_iter().fold(world.init_states().remove(0), |state, event| {
        let next = world.next_state(&state, event);
        let next = next.unwrap_or_else(|| panic!("{} cannot happen", world.format_action(&event)));
        for property in world.properties() {
            if property.expectation == Expectation::Always {
                let words = world.describe_state(&next);
                assert!(
                    (property.condition)(world, &next),
                    "{} after: {}: {words}",
                    property.name,
                    world.format_action(&event)
                );
            }
        }
        next
    })
}

/// One honest signer is in round N when it gives up. `liars` have asked the arbiter before, each in the next round.
fn chain_of_refusals(parties: u8, liars: u8) -> Option<Ending> {
    let world = signing(parties, &[0]);
    let begin = [cn::Action::Begin, cn::Action::Sign { party: 0 }];
    let rounds = (1..parties).map(|_| cn::Action::Fill { party: 0 });
    let lies = (1..=liars).map(|round| cn::Action::Lie { party: usize::from(parties - round), round });
    let asks = [cn::Action::GiveUp { party: 0 }, cn::Action::Take { party: 0 }];
    let end = play(&world, begin.into_iter().chain(rounds).chain(lies).chain(asks));
    world.ending(&end, 0)
}

// 7. Each malicious signer has itself refused in the next round, so that the honest one is refused too. It has not signed the last round, so
// nobody holds the contract. With a liar less the chain is broken, and the contract complete.
#[test]
fn abort_chaining_n3() {
    assert_eq!(chain_of_refusals(3, 2), Some(Ending::Aborted));
    assert_eq!(chain_of_refusals(3, 1), Some(Ending::Success));
}

#[test]
fn abort_chaining_n4() {
    assert_eq!(chain_of_refusals(4, 3), Some(Ending::Aborted));
    assert_eq!(chain_of_refusals(4, 2), Some(Ending::Success));
}

#[test]
fn abort_chaining_n5() {
    assert_eq!(chain_of_refusals(5, 4), Some(Ending::Aborted));
    assert_eq!(chain_of_refusals(5, 3), Some(Ending::Success));
}

/// What a stranger finds in what three signers and their arbiter have said.
fn seen(three: &Three, statements: impl IntoIterator<Item = Signed>) -> evidence::Report {
    evidence::verify(&three.cast.oracle, &[], &three.folder(statements))
}

fn misconduct(three: &Three, statements: impl IntoIterator<Item = Signed>) -> Vec<Finding> {
    seen(three, statements).findings.into_iter().filter(|finding| !finding.is_fault()).collect()
}

// 8. With as many rounds as parties an honest one could be refused and the others hold the contract: N rounds are no contract, N + 1 are.
#[test]
fn mpcs_round_too_few() {
    let three = Three::default();
    let standing = |round| seen(&three, (1..=round).flat_map(|round| three.sheet(round))).contracts[0].standing;
    assert_eq!(standing(3), Standing::Rounds { complete: 3, of: 4 });
    assert_eq!(standing(4), Standing::Signed { parties: 3 });
    assert_eq!(seen(&three, three.sheet(4)).contracts[0].standing, Standing::Signed { parties: 3 });
    let short = three.sheet(4).into_iter().skip(1);
    assert_eq!(seen(&three, short).contracts[0].standing, Standing::Rounds { complete: 0, of: 4 });
}

// 9. A refusal in round 1 is not overturned by the signatures of round 1: whoever was refused there has sent them honestly. An arbiter
// that does so shows it by its own verdict.
#[test]
fn mpcs_overturn_off_by_one() {
    use cn::Action::{Begin, Deliver, Fill, GiveUp, Lie, Sign, Take};
    let world = signing(3, &[0, 1]);
    let first = Deliver { party: 1, from: 0, round: 1 };
    let begun = [Begin, Sign { party: 0 }, first, Sign { party: 1 }, Fill { party: 0 }, GiveUp { party: 0 }];
    let refused = [GiveUp { party: 1 }, Lie { party: 2, round: 1 }, Take { party: 1 }, Take { party: 0 }];
    let end = play(&world, begun.into_iter().chain(refused));
    assert_eq!([0, 1].map(|party| world.ending(&end, party)), [Some(Ending::Aborted); 2]);

    let three = Three::default();
    let because = |outcome| {
        let said = [three.ask(1, 1), three.ask(0, 2), three.verdict((0, 2), outcome, &[(1, 1)], 1)];
        misconduct(&three, said.into_iter().chain(three.sheet(1)))
    };
    let (cid, role) = (three.core.cid(), Some(O));
    assert_eq!(because(Outcome::Resolved), [Finding::WrongVerdict { cid, role }]);
    assert_eq!(because(Outcome::Aborted), []);
    // One that leaves out a refusal that stands before it in the log shows it as well, by both verdicts.
    let earlier = three.verdict((1, 1), Outcome::Aborted, &[], 0);
    let overturns = |refused: &[(u8, u8)], outcome| {
        let said = [three.ask(1, 1), three.ask(0, 2), earlier.clone(), three.verdict((0, 2), outcome, refused, 1)];
        misconduct(&three, said.into_iter().chain(three.sheet(1)))
    };
    assert_eq!(overturns(&[], Outcome::Resolved), [Finding::WrongVerdict { cid, role }]);
    assert_eq!(overturns(&[(1, 1)], Outcome::Aborted), []);
}

// 10. Who was refused asks again in a later round, to be refused there again or to have the contract completed after it was let off.
#[test]
fn mpcs_double_ask() {
    use cn::Action::{Begin, Fill, GiveUp, Lie, Sign, Take};
    let world = signing(3, &[0]);
    let begun = [Begin, Sign { party: 0 }, Fill { party: 0 }, Fill { party: 0 }, Lie { party: 1, round: 1 }];
    let state = play(&world, begun);
    assert_eq!(world.next_state(&state, Lie { party: 1, round: 3 }), None, "the arbiter gives its first answer again");
    assert!(world.next_state(&state, Lie { party: 2, round: 3 }).is_some());
    let asks = [Lie { party: 2, round: 3 }, GiveUp { party: 0 }, Take { party: 0 }];
    let end = play(&world, begun.into_iter().chain(asks));
    assert_eq!(world.ending(&end, 0), Some(Ending::Success));

    let three = Three::default();
    let (cid, role) = (three.core.cid(), R);
    let twice = [three.ask(1, 1), three.ask(1, 3)].into_iter().chain((1..=2).flat_map(|round| three.sheet(round)));
    let twice = misconduct(&three, twice);
    assert_eq!(twice, [Finding::SignedAfterAsking { cid, role }, Finding::AskedTwice { cid, role }]);
    assert_eq!(misconduct(&three, [three.ask(1, 2)].into_iter().chain(three.sheet(2))), []);
    let verdicts = [Outcome::Aborted, Outcome::Resolved].map(|outcome| three.verdict((1, 3), outcome, &[], 0));
    let both = misconduct(&three, verdicts.into_iter().chain([three.ask(1, 3)]).chain(three.sheet(2)));
    assert!(both.contains(&Finding::ArbiterEquivocated { cid }), "{both:?}");
}
