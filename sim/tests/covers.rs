//! Every order of events where a guarantor stands for a customer. What could go wrong: more is certified than the limit, because two servers decide at once, a request comes
//! again, or a date frees something; what a seller has accepted is lost, because a clock differs, a server crashes, or the customer's keys are revoked. A
//! configuration that never reaches its interesting states fails as well. Not seen here: see `src/model/covers.rs`.

use semper_sim::model::covers::{Setup, World};
use semper_sim::model::search;

/// Twice as many as it takes to reach everything: two threads search, and not always in the same order.
const MOST: usize = 400_000;

const REACHES: &[&str] = &[
    "paid",
    "released",
    "rejected",
    "expired",
    "too much is refused",
    "one server is faster",
    "revoked with a cover that is claimed after it",
];

fn check(behind: i8) {
    let setup = Setup { behind, reaches: REACHES };
    println!("{setup:?}");
    search::check(World::new(setup), Some(search::bound(MOST)));
}

#[test]
fn clocks_agree() {
    check(0);
}

#[test]
fn the_sellers_clock_is_behind() {
    check(1);
}

#[test]
fn the_sellers_clock_is_ahead() {
    check(-1);
}
