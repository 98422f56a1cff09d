//! Keys on a security token: SoftHSM, a token in software, by the interface that all have (PKCS #11).

use std::fs;

use crate::world::{World, until};

/// Where Debian has its module.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

// A vault that cannot reach its token once it has given up everything else, or that keeps the key after all, would be noticed here.
#[test]
fn who_has_no_token_signs_nothing() {
    let mut world = World::new();
    world.token("pocket");
    let tokens = world.path("tokens").display().to_string();
    world.init("arbiter", &["--role", "arbiter"]);
    world.init("bob", &[]);
    let on_token = ["--token", MODULE, "--token-label", "pocket", "--token-needs", &tokens];
    world.init("alice", &on_token);
    world.acquaint();
    {
        let (_alice, _bob) = (world.up("alice"), world.up("bob"));
        let deal = world.propose(&[]);
        assert_eq!(world.ending("alice", &deal), "success");
        assert_eq!(world.ending("bob", &deal), "success");
        let verified = world.verify(&world.export("bob", &deal)).good();
        assert!(verified.starts_with("SOUND"), "{verified}");
        let log = fs::read_to_string(world.path("alice").join("log.txt")).unwrap();
        assert!(!log.contains("not given up"), "the vault keeps what it should give up: {log}");

        // Locked, and opened again by the PIN alone.
        world.run("alice", &["vault", "lock"]).good();
        let wrong = world.file("wrong", "another PIN\n");
        world.run("alice", &["--passphrase-file", &wrong, "vault", "unlock"]).failed_with(&["wrong passphrase"]);
        world.run("alice", &["vault", "unlock"]).good();
        let again = world.propose(&[]);
        // What was allowed went with the keys.
        let question = world.asked("alice");
        world.says_yes("alice", &question).good();
        assert_eq!(world.ending("alice", &again), "success");
    }
    // A command that has a vault of its own.
    let alone = world.propose(&[]);
    assert!(until(|| world.deal("alice", &alone).is_object().then_some(())).is_some());

    // The token is taken out.
    fs::rename(world.path("tokens"), world.path("elsewhere")).unwrap();
    fs::create_dir(world.path("tokens")).unwrap();
    world.run("alice", &["sign", &world.file("x.txt", "x"), "--with", "bob"]).failed_with(&["pocket", "put it in"]);
    fs::remove_dir(world.path("tokens")).unwrap();
    fs::rename(world.path("elsewhere"), world.path("tokens")).unwrap();
    let _alice = world.up("alice");
}

// A directory that could not be made must not be left half made, and a token is for parties.
#[test]
fn what_cannot_be_made_on_a_token_is_not_made() {
    let mut world = World::new();
    world.token("pocket");
    let listen = format!("{}:0", world.ip());
    let init = |more: &[&str]| {
        let mut args = vec!["init", "--name", "alice", "--listen", &listen];
        args.extend(more);
        world.run("alice", &args)
    };
    init(&["--token", MODULE, "--token-label", "purse"]).failed_with(&["\"purse\" is not there"]);
    init(&["--token", "/nowhere.so", "--token-label", "pocket"]).failed_with(&["/nowhere.so"]);
    init(&["--token", MODULE, "--token-label", "pocket", "--role", "mint"]).failed_with(&["only the keys of a party"]);
    assert!(!world.path("alice").exists());
    init(&["--token", MODULE, "--token-label", "pocket"]).good();
    init(&["--token", MODULE, "--token-label", "pocket"]).failed_with(&["in use already"]);
}
