//! Every order of events where information is given for the show of a right. What could go wrong: the holder has the information and its use was freed, or is kept for
//! something else, so that the giver has a show worth nothing; a use is taken and nothing came for it; the giver goes on before anything is kept; somebody waits for
//! ever. A configuration that never reaches its interesting states fails as well. Not seen here: issuers that lie, or do not answer in time.

use semper_core::party::Role;
use semper_sim::deal::ACCESS;
use semper_sim::model::{Setup, World, search};

const HONEST: Setup = Setup::honest(
    ACCESS,
    &[
        "both succeed without the arbiter",
        "both succeed with the arbiter",
        "ended: aborted",
        "ended: lapsed",
        "a use is taken",
        "a use that was kept is free",
    ],
);

fn check(setup: Setup, most: usize) {
    println!("{setup:?}");
    search::check(World::new(setup), Some(search::bound(most)));
}

#[test]
fn two_honest_parties() {
    check(HONEST, 400_000);
}

#[test]
fn two_honest_parties_and_a_crash() {
    check(Setup { crashes: 1, reaches: &["both succeed without the arbiter", "ended: aborted"], ..HONEST }, 60_000);
}

#[test]
fn either_is_malicious_and_the_other_crashes() {
    for malicious in [Role::ORIGINATOR, Role::RESPONDER] {
        let reaches = &["ended: success", "a use is taken"];
        check(Setup { malicious: Some(malicious), crashes: 1, reaches, ..HONEST }, 100_000);
    }
}

// It gives nothing, or rubbish, has the arbiter abort when it likes, and tells the issuer whatever it has seen.
#[test]
fn a_malicious_giver() {
    let reaches = &["ended: success", "ended: lapsed", "a use is taken"];
    check(Setup { malicious: Some(Role::ORIGINATOR), reaches, ..HONEST }, 400_000);
}

// It has its only use kept for something else, or under an arbiter of its own, frees it, passes the credential on, and has the contract completed.
#[test]
fn a_malicious_holder() {
    let reaches = &["ended: success", "ended: aborted", "a use is taken"];
    check(Setup { malicious: Some(Role::RESPONDER), reaches, ..HONEST }, 400_000);
}

// Each clock alone ahead of all others, or behind them, by as much as the contract allows.
#[test]
fn either_is_malicious_and_clocks_differ() {
    for place in 0..3 {
        for by in [-1, 1] {
            let mut skew = [0; 3];
            skew[place] = by;
            for malicious in [Role::ORIGINATOR, Role::RESPONDER] {
                let reaches = &["ended: success", "a use is taken"];
                check(Setup { skew, malicious: Some(malicious), reaches, ..HONEST }, 200_000);
            }
        }
    }
}
