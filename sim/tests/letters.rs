//! Certified mail to two recipients in every order of events. What could go wrong: what was said about one recipient serves against the other,
//! or for it. A configuration that never reaches its interesting states fails as well. Not seen here: see `src/model/letters.rs`.

use semper_sim::model::letters::{Setup, World};
use semper_sim::model::search;

fn check(setup: Setup) {
    search::check(World::new(setup), None);
}

#[test]
fn a_malicious_recipient_beside_an_honest_one() {
    let reaches = &[
        "both have signed without the arbiter",
        "B's part is resolved, C's aborted",
        "B's part is aborted, C's resolved",
        "B has refused, C reads",
        "B has its receipt proven",
    ];
    check(Setup { honest_sender: true, reaches });
}

#[test]
fn a_malicious_sender_with_a_malicious_recipient() {
    let reaches =
        &["B's part is resolved, C's aborted", "B's part is aborted, C's resolved", "B has its receipt proven"];
    check(Setup { honest_sender: false, reaches });
}
