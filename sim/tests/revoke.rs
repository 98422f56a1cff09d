//! Every order of events where a right is passed on for money by plain transfer. What could go wrong: the seller has the money and the buyer no right, because the
//! right was called back too early, or under a condition of the seller's own, or because the buyer's proof came too late; the buyer has the right and the
//! seller no money, because the right could not be called back in time; somebody waits for ever. A configuration that never reaches its interesting states fails as well.
//! Not seen here: issuers that lie, or do not answer in time.

use semper_core::party::Role;
use semper_sim::deal::SALE;
use semper_sim::model::{Setup, World, search};

const HONEST: Setup =
    Setup::honest(SALE, &["both succeed without the arbiter", "ended: lapsed", "ended: refunded", "ended: recalled"]);

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
    check(Setup { crashes: 1, reaches: &["both succeed without the arbiter", "ended: lapsed"], ..HONEST }, 60_000);
}

#[test]
fn either_is_malicious_and_the_other_crashes() {
    for (malicious, reaches) in [
        (Role::ORIGINATOR, ["the seller has the money and is silent"].as_slice()),
        (Role::RESPONDER, ["ended: recalled"].as_slice()),
    ] {
        check(Setup { malicious: Some(malicious), crashes: 1, reaches, ..HONEST }, 100_000);
    }
}

// It passes its right on under a condition of its own, takes the money as late as it can, says nothing, and has called back what it can.
#[test]
fn a_malicious_seller() {
    let reaches = &["the seller has the money and is silent", "ended: success", "ended: lapsed", "ended: refunded"];
    check(Setup { malicious: Some(Role::ORIGINATOR), reaches, ..HONEST }, 400_000);
}

// It does not pay, or has its money back.
#[test]
fn a_malicious_buyer() {
    let reaches = &["ended: success", "ended: lapsed", "ended: recalled"];
    check(Setup { malicious: Some(Role::RESPONDER), reaches, ..HONEST }, 400_000);
}

// Each clock alone ahead of all others, or behind them, by as much as the contract allows; the issuers of money and right share the last.
#[test]
fn either_is_malicious_and_clocks_differ() {
    for place in 0..3 {
        for by in [-1, 1] {
            let mut skew = [0; 3];
            skew[place] = by;
            let seller = &["the seller has the money and is silent"];
            check(Setup { skew, malicious: Some(Role::ORIGINATOR), reaches: seller, ..HONEST }, 400_000);
            let buyer = &["ended: recalled"];
            check(Setup { skew, malicious: Some(Role::RESPONDER), reaches: buyer, ..HONEST }, 400_000);
        }
    }
}
