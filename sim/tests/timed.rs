//! Every order of events where money is paid by plain transfer for a receipt. What could go wrong: the payee has the money and the payer no receipt,
//! because it came too late to the arbiter, the payee aborted, or a proof did not come; the payer has a receipt and the payee no money, or the payer has
//! its money back as well; dates that are too near for a slow network or for clocks that differ. A configuration that never reaches its interesting states
//! fails as well. Not seen here: issuers that lie, or do not answer in time.

use semper_core::party::Role;
use semper_sim::deal::TRANSFER;
use semper_sim::model::{Setup, World, search};

const HONEST: Setup = Setup::honest(
    TRANSFER,
    &["both succeed without the arbiter", "ended: aborted", "ended: lapsed", "ended: refunded"],
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
fn a_malicious_payer() {
    check(
        Setup { malicious: Some(Role::ORIGINATOR), reaches: &["ended: success", "ended: lapsed"], ..HONEST },
        400_000,
    );
}

// It takes the money as late as it can, and says nothing.
#[test]
fn a_malicious_payee() {
    let reaches = &["the payee has the money and is silent", "ended: success", "ended: aborted", "ended: refunded"];
    check(Setup { malicious: Some(Role::RESPONDER), reaches, ..HONEST }, 400_000);
}

// Each clock alone ahead of all others, or behind them, by as much as the contract allows.
#[test]
fn a_malicious_payee_and_clocks_that_differ() {
    for place in 0..3 {
        for by in [-1, 1] {
            let mut skew = [0; 3];
            skew[place] = by;
            let reaches = &["the payee has the money and is silent"];
            check(Setup { skew, malicious: Some(Role::RESPONDER), reaches, ..HONEST }, 400_000);
        }
    }
}
