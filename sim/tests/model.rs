//! Every order of events in small worlds. What could go wrong: some interleaving of messages, crashes, deadlines and lies leaves an
//! honest party without its contract while the other side has one. A configuration that never reaches its interesting states
//! fails as well. Not seen here: two contracts at once, more than the configured crashes, weaknesses of real signatures.

use semper_core::party::Role;
use semper_sim::deal::{BARTER, CHANGE, MAIL, PURCHASE, RECEIPT, SIGNING, Thing, Things};
use semper_sim::model::{Setup, World, search};

const HONEST: Setup = Setup::honest(SIGNING, &["completed without the arbiter", "aborted", "resolved"]);
const AFTER_CRASH: &[&str] = &["completed without the arbiter", "completed after a crash", "aborted", "resolved"];

const HOSTILE: Setup = Setup { crashes: 1, arbiter_crashes: 1, workers: 2, reaches: AFTER_CRASH, ..HONEST };
const SECOND_RUN: &[&str] = &["completed without the arbiter", "a second run was refused", "aborted", "resolved"];

/// How many states of an exchange with a clock are generated at most; most of these worlds are smaller than that.
const BOUND: usize = 30_000;

/// Searches the whole world, or its beginning if there is a clock.
fn check(setup: Setup) {
    println!("{setup:?}");
    search::check(World::new(setup), (setup.things != SIGNING).then(|| search::bound(BOUND)));
}

#[test]
fn honest_parties() {
    check(HONEST);
}

#[test]
fn honest_parties_and_crashes() {
    check(Setup { crashes: 2, arbiter_crashes: 1, reaches: AFTER_CRASH, ..HONEST });
}

#[test]
fn honest_parties_and_a_crashing_arbiter_with_two_workers() {
    check(Setup { crashes: 1, arbiter_crashes: 2, workers: 2, reaches: AFTER_CRASH, ..HONEST });
}

#[test]
fn honest_parties_and_deadlines() {
    let reaches = &["completed without the arbiter", "completed after a crash", "aborted", "resolved", "unused"];
    check(Setup { deadlines: true, crashes: 1, arbiter_crashes: 1, reaches, ..HONEST });
}

#[test]
fn malicious_originator() {
    check(Setup { malicious: Some(Role::ORIGINATOR), crashes: 2, ..HOSTILE });
}

#[test]
fn malicious_responder() {
    check(Setup { malicious: Some(Role::RESPONDER), crashes: 2, ..HOSTILE });
}

#[test]
fn malicious_originator_and_deadlines() {
    check(Setup { malicious: Some(Role::ORIGINATOR), deadlines: true, ..HOSTILE });
}

#[test]
fn malicious_responder_and_deadlines() {
    check(Setup { malicious: Some(Role::RESPONDER), deadlines: true, ..HOSTILE });
}

#[test]
fn malicious_originator_and_a_second_run() {
    check(Setup { malicious: Some(Role::ORIGINATOR), sessions: [1, 2], reaches: SECOND_RUN, ..HOSTILE });
}

#[test]
fn malicious_responder_and_a_second_run() {
    check(Setup { malicious: Some(Role::RESPONDER), sessions: [2, 1], reaches: SECOND_RUN, ..HOSTILE });
}

#[test]
fn honest_parties_and_a_second_run() {
    check(Setup { sessions: [2, 2], crashes: 1, reaches: SECOND_RUN, ..HONEST });
}

/// An exchange of other things.
const DEAL: Setup =
    Setup { things: PURCHASE, reaches: &["both succeed without the arbiter", "ended: lapsed"], ..HONEST };

/// An exchange of good things between honest parties, then with either one malicious.
fn check_all(things: Things, honest: &'static [&'static str], alone: [&'static [&'static str]; 2]) {
    check(Setup { things, reaches: honest, ..DEAL });
    for (role, reaches) in [Role::ORIGINATOR, Role::RESPONDER].into_iter().zip(alone) {
        check(Setup { things, malicious: Some(role), reaches, ..DEAL });
    }
}

const SETTLED: &[&str] =
    &["both succeed without the arbiter", "both succeed with the arbiter", "ended: aborted", "ended: lapsed"];
const MET: &[&str] = &["ended: success", "ended: aborted", "ended: lapsed"];
const ANSWERED: &[&str] = &["ended: success", "ended: lapsed"];

#[test]
fn purchase() {
    let honest =
        &["both succeed without the arbiter", "both succeed with the arbiter", "ended: aborted", "closed: completed"];
    check(Setup { reaches: honest, ..DEAL });
}

#[test]
fn purchase_and_a_crash() {
    check(Setup { crashes: 1, reaches: SETTLED, ..DEAL });
}

#[test]
fn purchase_by_a_malicious_buyer() {
    let reaches = &["ended: success", "ended: aborted", "ended: lapsed", "closed: completed"];
    check(Setup { malicious: Some(Role::RESPONDER), reaches, ..DEAL });
}

#[test]
fn purchase_of_bad_goods() {
    let things = [Thing::BadInformation, Thing::Money];
    let reaches = &["ended: refunded", "ended: aborted", "ended: lapsed", "closed: fault"];
    check(Setup { things, malicious: Some(Role::ORIGINATOR), reaches, ..DEAL });
}

#[test]
fn purchase_of_good_goods_from_a_malicious_seller() {
    let reaches = &["ended: success", "ended: refunded", "ended: aborted", "ended: lapsed"];
    check(Setup { malicious: Some(Role::ORIGINATOR), reaches, ..DEAL });
}

#[test]
fn purchase_without_an_arbiter() {
    let things = [Thing::BadInformation, Thing::Money];
    check(Setup { things, malicious: Some(Role::ORIGINATOR), silent: true, reaches: &["ended: refunded"], ..DEAL });
}

// Each clock alone ahead of all others, or behind them, by as much as the contract allows.
#[test]
fn purchase_and_clocks_that_differ() {
    for place in 0..3 {
        for by in [-1, 1] {
            let mut skew = [0; 3];
            skew[place] = by;
            check(Setup { skew, reaches: &["both succeed with the arbiter"], ..DEAL });
            check(Setup { skew, malicious: Some(Role::RESPONDER), reaches: &["closed: completed"], ..DEAL });
        }
    }
}

#[test]
fn payment_with_receipt() {
    check_all(RECEIPT, SETTLED, [ANSWERED, MET]);
}

#[test]
fn certified_mail() {
    check_all(MAIL, SETTLED, [ANSWERED, MET]);
}

#[test]
fn information_for_information() {
    check_all(BARTER, SETTLED, [ANSWERED, MET]);
}

#[test]
fn money_for_money() {
    check_all(CHANGE, &["ended: aborted", "ended: lapsed"], [&["ended: lapsed"], &["ended: aborted", "ended: lapsed"]]);
}
