//! Every order of events where money for money goes through the hands of the arbiter. What could go wrong: one party's money is with the other and nothing has come for it, the
//! arbiter pays more than it was paid, or keeps what nobody asks for any more; a deposit counts that came late. A configuration that never reaches its interesting states
//! fails as well. Not seen here: see `src/model/ix.rs`.

use semper_core::party::Role;
use semper_sim::model::ix::{Setup, World};
use semper_sim::model::search;

/// Twice as many as it takes to reach everything: two threads search, and not always in the same order.
const MOST: usize = 400_000;

fn check(malicious: Option<Role>, reaches: &'static [&'static str]) {
    let setup = Setup { malicious, reaches };
    println!("{setup:?}");
    search::check(World::new(setup), Some(search::bound(MOST)));
}

#[test]
fn two_honest_parties() {
    let reaches = &["both succeed", "paid back", "taken back", "aborted by its date", "paid in a second attempt"];
    check(None, reaches);
}

#[test]
fn a_malicious_originator() {
    check(Some(Role::ORIGINATOR), &["both succeed", "paid back", "taken back"]);
}

#[test]
fn a_malicious_responder() {
    check(Some(Role::RESPONDER), &["both succeed", "paid back", "taken back"]);
}
