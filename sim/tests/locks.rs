//! Every order of events where one hash locks what two parties exchange, and there is no arbiter. What could go wrong: the preimage is out
//! and the money is not there, or the money is gone and nobody knows the preimage; dates that are too near for a slow network or for clocks
//! that differ. A configuration that never reaches its interesting states fails as well. Not seen here: see `src/model/lx.rs`.

use semper_core::party::Role;
use semper_sim::deal::{CHANGE, PURCHASE, Thing, Things};
use semper_sim::model::lx::{Setup, World};
use semper_sim::model::search;

const RECEIPT: Things = [Thing::Signature, Thing::Money];
const BAD_GOODS: Things = [Thing::BadInformation, Thing::Money];

fn check(things: Things, malicious: Option<Role>, reaches: &'static [&'static str]) {
    let setup = Setup { things, malicious, reaches };
    println!("{setup:?}");
    search::check(World::new(setup), None);
}

#[test]
fn two_honest_parties() {
    for things in [CHANGE, PURCHASE, RECEIPT] {
        let reaches = &["both succeed", "learned from the issuer", "opened too late to ask before the date"];
        check(things, None, reaches);
    }
    check(CHANGE, None, &["the money comes back"]);
    check(BAD_GOODS, None, &["bad goods"]);
}

#[test]
fn a_malicious_originator() {
    for things in [CHANGE, PURCHASE, RECEIPT] {
        check(things, Some(Role::ORIGINATOR), &["learned from the issuer", "the money comes back"]);
    }
    check(BAD_GOODS, Some(Role::ORIGINATOR), &["bad goods", "the money comes back"]);
}

#[test]
fn a_malicious_responder() {
    check(CHANGE, Some(Role::RESPONDER), &["both succeed", "the money comes back"]);
    for things in [PURCHASE, RECEIPT] {
        check(things, Some(Role::RESPONDER), &["both succeed"]);
    }
}
