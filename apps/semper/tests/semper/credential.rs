//! Credentials, with an issuer as a process of its own.
//!
//! What could go wrong: a credential that was passed on is still good for its old holder; a lost answer or a crash loses the right, or doubles it.

use crate::world::{Process, World, until};

/// Alice, Bob, an arbiter and an issuer that both know.
pub fn with_issuer() -> World {
    let world = World::of_two();
    world.init("issuer", &["--role", "issuer"]);
    for party in ["alice", "bob"] {
        world.run(party, &["contact", "add", &world.card("issuer")]).good();
    }
    world
}

/// Issues a credential; its file.
pub fn issue(world: &World, to: &str, right: &str, more: &[&str]) -> String {
    let out = world.path(&format!("{to}-{}.semper-credential", more.len())).display().to_string();
    let card = world.card(to);
    let mut args = vec!["issuer", "issue", "--to", &card, "--right", right, "--until", "2099-12-31", "--out", &out];
    args.extend(more);
    world.run("issuer", &args).good();
    out
}

/// The serial number of the only credential of a party.
pub fn serial(world: &World, party: &str) -> String {
    world.json(party, &["credential", "list", "--json"])[0]["serial"].as_str().unwrap().to_owned()
}

/// What the issuer says about a credential.
pub fn standing(world: &World, serial: &str) -> serde_json::Value {
    let all = world.json("issuer", &["issuer", "list", "--json"]);
    all.as_array().unwrap().iter().find(|standing| standing["serial"] == serial).unwrap().clone()
}

#[test]
fn a_credential_is_issued_kept_and_passed_on_once() {
    let world = with_issuer();
    let issuer: Process = world.serve("issuer");
    let file = issue(&world, "alice", "one visit to the archive", &["--uses", "3"]);
    world.run("bob", &["credential", "add", &file]).failed_with(&["belongs to another key"]);
    let shown = world.run("alice", &["credential", "add", &file]).good();
    assert!(shown.contains("one visit to the archive") && shown.contains("issued by      issuer"), "{shown}");
    let old = serial(&world, "alice");
    // The user says no: nothing is signed, and it stays.
    let out = world.path("passed.semper-credential").display().to_string();
    let pass = ["credential", "transfer", &old, "--to", "bob", "--out", &out];
    assert!(world.run("alice", &["credential", "transfer", &old, "--to", "bob", "--no-ask"]).good().contains("waits"));
    // The power fails at the issuer after the user has agreed: it is not known whether it was passed on, and the same order finds out.
    drop(issuer);
    world.type_in("alice", &pass, "sign\n").failed_with(&["does not answer", "give the same order again"]);
    let _issuer = world.serve("issuer");
    let said = world.run("alice", &pass).good();
    assert!(said.contains("Passed on to bob"), "{said}");
    assert_eq!(standing(&world, &old)["state"], "passed-on");
    world.run("alice", &["credential", "add", &out]).failed_with(&["belongs to another key"]);
    world.run("bob", &["credential", "add", &out]).good();
    let new = serial(&world, "bob");
    assert_ne!(new, old);
    assert_eq!((&standing(&world, &new)["state"], &standing(&world, &new)["left"]), (&"valid".into(), &3.into()));
    // The same order again gives the same file, and no other order gives the right to somebody else.
    let again = world.path("again.semper-credential").display().to_string();
    world.run("alice", &["credential", "transfer", &old, "--to", "bob", "--out", &again]).good();
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&again).unwrap());
    let foul = ["credential", "transfer", &old, "--to", "issuer", "--out", "foul.semper-credential"];
    world.type_in("alice", &foul, "sign\n").failed_with(&["passed on"]);
    assert!(until(|| world.endpoint("issuer")).is_some());
}

#[test]
fn what_may_not_be_passed_on_is_not() {
    let world = with_issuer();
    let _issuer = world.serve("issuer");
    let file = issue(&world, "alice", "member of the club", &["--not-transferable"]);
    world.run("alice", &["credential", "add", &file]).good();
    let pass = ["credential", "transfer", &serial(&world, "alice"), "--to", "bob"];
    world.type_in("alice", &pass, "no\n").failed_with(&["declined"]);
    let world = with_issuer();
    let _issuer = world.serve("issuer");
    let file = issue(&world, "alice", "member of the club", &["--not-transferable"]);
    world.run("alice", &["credential", "add", &file]).good();
    let pass = ["credential", "transfer", &serial(&world, "alice"), "--to", "bob"];
    world.type_in("alice", &pass, "sign\n").failed_with(&["may not be passed on"]);
}
