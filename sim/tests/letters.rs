//! Certified mail to two recipients in every order of events. What could go wrong: what was said about one recipient serves against the other,
//! or for it. A configuration that never reaches its interesting states fails as well. Not seen here: see `src/model/letters.rs`.

use std::time::Instant;

use semper_sim::model::letters::{Setup, World};
use stateright::{Checker, Model};

/// Searches the whole world; panics with the trace of a violated property or the name of a state that is never reached.
fn check(setup: Setup) {
    let begin = Instant::now();
    let checker = World::new(setup).checker().threads(2).spawn_bfs().join();
    let (states, all, elapsed) = (checker.unique_state_count(), checker.state_count(), begin.elapsed());
    println!("{setup:?}\n  {states} states, {all} generated, {elapsed:?}");
    let discoveries = checker.discoveries();
    for name in checker.model().property_names() {
        match discoveries.get(name) {
            Some(path) if name.starts_with('S') => panic!("{name} is violated: {:?}", path.clone().into_actions()),
            None if !name.starts_with('S') => panic!("never reached: {name}"),
            _ => {}
        }
    }
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
