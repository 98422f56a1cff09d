//! A party that nobody can reach has a mailbox at a relay.

use std::fs;

use semper_core::cbor::Decode as _;
use semper_exchange::evidence::Folder;
use semper_support::engine::EvidenceKind;

use crate::world::{Process, World, deal_in, until};

fn world() -> World {
    let world = World::new();
    world.init("relay", &["--role", "relay"]);
    world.init("arbiter", &["--role", "arbiter"]);
    world.init("alice", &[]);
    world.init("bob", &["--relay", &format!("{}/mail", world.url("relay"))]);
    world.acquaint();
    world
}

/// Starts Bob for the first time. A relay takes mail for whoever has come to fetch once: that is so when it takes a first letter.
fn first_start(world: &World) -> Process {
    let bob = world.up("bob");
    let opened = until(|| (world.ending("alice", &send(world, "hello")) == "success").then_some(()));
    assert!(opened.is_some(), "Bob's mailbox was never opened");
    bob
}

fn send(world: &World, message: &str) -> String {
    let file = world.file("note.txt", message);
    deal_in(&world.run("alice", &["send", &file, "--to", "bob", "--no-ask", "--no-wait"]).good())
}

fn signed_by_both(world: &World, deal: &str) {
    for party in ["alice", "bob"] {
        assert_eq!(world.ending(party, deal), "success", "{party}");
        assert_eq!(world.report(&world.export(party, deal))["contracts"][0]["binding"], true);
    }
}

// What lies in the mailbox is what Bob gets, also if he comes much later and Alice is gone by then.
#[test]
fn a_party_without_an_address_signs_and_gets_mail() {
    let world = world();
    let _relay = world.serve("relay");
    let alice = world.up("alice");
    let contacts = world.json("alice", &["contact", "list", "--json"]);
    let bob = contacts.as_array().unwrap().iter().find(|contact| contact["name"] == "bob").unwrap();
    assert!(bob["inbox"].as_str().unwrap().starts_with(&world.url("relay")), "{bob:#}");

    let bob = first_start(&world);
    signed_by_both(&world, &world.propose(&[]));

    // Bob is off-line while Alice sends.
    drop(bob);
    let deal = world.propose(&[]);
    assert!(until(|| receipted(&world, &deal).then_some(())).is_some(), "the relay never took the message");
    assert_eq!(world.deal("alice", &deal)["state"], "await-peer-promise");
    let bob = world.up("bob");
    signed_by_both(&world, &deal);

    drop(bob);
    let mail = send(&world, "from Alice");
    assert_eq!(world.ending("alice", &mail), "success", "the mailbox has it");
    drop(alice);
    let _bob = world.up("bob");
    assert_eq!(world.ending("bob", &mail), "success");
    let out = world.path("out");
    world.run("bob", &["deals", "files", &mail, "--out", &out.display().to_string()]).good();
    assert_eq!(fs::read_to_string(out.join("note.txt")).unwrap(), "from Alice");
}

/// Whether Alice holds a receipt for what she has sent.
fn receipted(world: &World, deal: &str) -> bool {
    let folder = Folder::from_bytes(&fs::read(world.export("alice", deal)).unwrap()).unwrap();
    folder.items.iter().any(|item| item.kind == EvidenceKind::Receipt)
}
