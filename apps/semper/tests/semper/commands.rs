//! What a user does wrong, and what a user decides: each time one sentence that helps, and nothing signed by accident.

use std::fs;
use std::process::Command;

use crate::world::{World, deal_in, until};

// A mistake that ends in a panic, in success, or in a sentence that does not name it, leaves the user alone.
#[test]
fn mistakes_of_one_party_are_named() {
    let world = World::new();
    world.run("alice", &["deals", "list"]).failed_with(&["holds no Semper data", "semper init"]);
    world.init("alice", &[]);
    world.run("alice", &["init", "--name", "again"]).failed_with(&["is in use already"]);
    let wrong = world.file("wrong", "not the passphrase\n");
    world.run("alice", &["--passphrase-file", &wrong, "up"]).failed_with(&["wrong passphrase"]);
    let short = world.file("short", "1234567\n");
    world.run("carol", &["--passphrase-file", &short, "init", "--name", "c"]).failed_with(&["at least 8 bytes"]);
    assert!(!world.path("carol").exists());
    world.run("alice", &["serve", "--role", "arbiter"]).failed_with(&["role party, not arbiter"]);
    world.run("alice", &["approve"]).failed_with(&["nothing like that waits"]);
    world.run("alice", &["up", "--yes"]).failed_with(&["--policy"]);
    let policy = world.file("odd.toml", "[[allow]]\nwhat = \"contract\"\npeers = \"x\"\n");
    world.run("alice", &["up", "--yes", "--policy", &policy]).failed_with(&["odd.toml", "peers"]);
    let file = world.file("a.txt", "a");
    world.run("alice", &["sign", &file, "--with", "Nobody"]).failed_with(&["there is no contact \"Nobody\""]);
    world.run("alice", &["sign", &world.path("none").display().to_string(), "--with", "x"]).failed_with(&["none"]);
    let large = world.path("large.bin");
    fs::File::create(&large).unwrap().set_len(17 * 1024 * 1024).unwrap();
    world
        .run("alice", &["sign", &large.display().to_string(), "--with", "x"])
        .failed_with(&["large.bin", "at most 16777216"]);
    world.run("alice", &["send", "--to", "x"]).failed_with(&["there is nothing to send"]);
}

// A card that is taken although a byte of it was changed, or under the name of somebody else, sends a contract to the wrong party.
#[test]
fn contact_cards_are_checked_and_names_are_unique() {
    let world = World::new();
    for party in ["alice", "bob", "carol"] {
        world.init(party, &[]);
    }
    let card = fs::read(world.card("bob")).unwrap();
    for place in [card.len() / 3, card.len() / 2, card.len() - 20] {
        let mut changed = card.clone();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = world.file("changed.txt", changed);
        world.run("alice", &["contact", "add", &changed]).failed_with(&["card"]);
    }
    assert_eq!(world.json("alice", &["contact", "list", "--json"]), serde_json::json!([]));
    world.run("alice", &["contact", "add", &world.card("bob")]).good();
    world
        .run("alice", &["contact", "add", &world.card("carol"), "--name", "bob"])
        .failed_with(&["the name \"bob\" is taken"]);
    world.run("alice", &["contact", "add", &world.card("bob"), "--arbiter"]).failed_with(&["does not offer to be"]);
    let long = "x".repeat(1025);
    world.run("alice", &["contact", "add", &world.card("bob"), "--name", &long]).failed_with(&["at most 256 bytes"]);
    assert_eq!(world.json("alice", &["contact", "list", "--json"]).as_array().map(Vec::len), Some(1));
    let file = world.file("a.txt", "a");
    world.run("alice", &["sign", &file, "--with", "bob"]).failed_with(&["--arbiter", "none"]);
}

// A name that is cut on its way removes somebody else.
#[test]
fn a_contact_is_removed_by_its_whole_name() {
    let world = World::new();
    for party in ["alice", "bob", "carol"] {
        world.init(party, &[]);
    }
    world.run("alice", &["contact", "add", &world.card("carol")]).good();
    for name in ["carol#2", "carol?", "carol/..", "carol%", "c\u{e4}rol"] {
        world.run("alice", &["contact", "add", &world.card("bob"), "--name", name]).good();
        world.run("alice", &["contact", "remove", name]).good();
        let left = world.json("alice", &["contact", "list", "--json"]);
        let left: Vec<_> = left.as_array().unwrap().iter().map(|contact| &contact["name"]).collect();
        assert_eq!(left, ["carol"], "{name} was removed");
    }
}

// Two nodes that write one archive would sign twice what may be signed once.
#[test]
fn a_directory_has_one_node() {
    let world = World::new();
    world.init("alice", &[]);
    let first = world.up("alice");
    world.run("alice", &["up"]).failed_with(&["in use", &first.id().to_string()]);
    assert_eq!(world.endpoint("alice").unwrap()["pid"], first.id(), "the second one took the first one's announcement");
    world.run("alice", &["stop"]).good();
}

// A proposal waits for the user's word: whatever is typed that is not `sign` must not sign, whatever ends must not decide.
#[test]
fn only_the_word_signs() {
    let world = World::of_two();
    let _alice = world.start("alice", &["up"]);
    let file = world.file("offer.txt", "one bicycle");
    let sign = ["sign", &file, "--with", "bob", "--no-wait"];
    let ended = world.type_in("alice", &sign, "");
    let deal = deal_in(&ended.text);
    ended.failed_with(&["no answer was given; nothing was signed"]);
    let garbage = world.type_in("alice", &["approve"], "yes\ny\nSIGN!\n sign it\n\n");
    garbage.failed_with(&["no answer was given", "Check words"]);
    assert!(world.run("alice", &["approvals"]).good().contains(&deal[..12]), "it no longer waits");
    assert_eq!(world.deal("alice", &deal)["waits_for"], "us");
    let signed = world.type_in("alice", &["approve"], "perhaps\nsign\n").good();
    assert!(signed.contains("Signed."), "{signed}");
    world.wait("alice", &deal, "a promise that is sent", |view| view["state"] == "await-peer-promise");
    world.run("alice", &["approve"]).failed_with(&["nothing like that waits"]);
}

// Who says no has signed nothing, and the deal is over for both.
#[test]
fn no_means_no_on_both_sides() {
    let world = World::of_two();
    let _alice = world.start("alice", &["up"]);
    let file = world.file("offer.txt", "one bicycle");
    let own = world.type_in("alice", &["sign", &file, "--with", "bob"], "no\n");
    assert_eq!(own.code, Some(2), "{}", own.text);
    assert!(own.text.contains("Nothing was signed"), "{}", own.text);
    let deal = deal_in(&own.text);
    assert_eq!(world.ending("alice", &deal), "lapsed");
    assert_standing(&world, "alice", &deal, "open: nobody has promised anything");

    let _arbiter = world.serve("arbiter");
    let _bob = world.start("bob", &["up"]);
    let begun = world.type_in("alice", &["sign", &file, "--with", "bob", "--no-wait"], "sign\n").good();
    let deal = deal_in(&begun);
    world.type_in("bob", &["approve", &world.asked("bob")], "no\n").good();
    assert_eq!(world.ending("bob", &deal), "lapsed");
    assert_standing(&world, "bob", &deal, "open: only one party has promised; nobody is bound");
    // Alice has promised: only the arbiter's word makes sure that her promise completes nothing.
    assert_eq!(world.ending("alice", &deal), "aborted");
    assert_standing(&world, "alice", &deal, "aborted by the arbiter");
}

/// The one contract in the deal's folder stands as `standing` says, and binds nobody.
fn assert_standing(world: &World, party: &str, deal: &str, standing: &str) {
    let folder = world.export(party, deal);
    let text = world.verify(&folder).good();
    assert!(text.contains(standing), "{text}");
    let report = world.report(&folder);
    assert_eq!(report["contracts"].as_array().unwrap().len(), 1);
    assert_eq!(report["contracts"][0]["binding"], false);
}

// An arbiter is removed while a contract under it waits for its user's word. A question that cannot be used stays for ever, or is signed although
// nothing here says any more which keys are the arbiter's.
#[test]
fn nothing_is_signed_under_an_arbiter_that_was_removed() {
    let world = World::of_two();
    let _alice = world.start("alice", &["up"]);
    let deal = world.propose(&[]);
    let asked = until(|| world.run("alice", &["approvals"]).good().contains(&deal[..12]).then_some(()));
    assert!(asked.is_some(), "the question was never put");
    world.run("alice", &["contact", "remove", "arbiter"]).good();
    assert_eq!(world.ending("alice", &deal), "lapsed");
    let trouble = world.deal("alice", &deal)["trouble"].to_string();
    assert!(trouble.contains("arbiter is no contact any more"), "{trouble}");
    assert!(world.run("alice", &["approvals"]).good().contains("Nothing waits"), "the question still waits");
}

// A user who gives up is told how it ended; with the arbiter's help nobody is bound.
#[test]
fn giving_up_ends_the_deal() {
    let world = World::of_two();
    let _arbiter = world.serve("arbiter");
    let _alice = world.up("alice");
    let deal = world.propose(&[]);
    world.wait("alice", &deal, "waiting for Bob", |view| view["state"] == "await-peer-promise");
    let ran = world.run("alice", &["deals", "give-up", &deal[..8]]);
    assert_eq!(ran.code, Some(2), "{}", ran.text);
    assert!(ran.text.contains("nobody is bound"), "{}", ran.text);
    assert_eq!(world.ending("alice", &deal), "aborted");
    world.run("alice", &["deals", "show", "ffffffff"]).failed_with(&["there is no deal that begins with"]);
}

// A file's name comes from the other party. Written as it is, it could leave the directory or replace what is there.
#[test]
fn files_stay_in_their_directory() {
    let world = World::of_two();
    let (_alice, _bob) = (world.up("alice"), world.up("bob"));
    let names = ["..", "../escaped.txt", "/tmp/escaped.txt", "a/b.txt", "..\\x", "con\u{0}.txt", ""];
    for name in names {
        let body = serde_json::json!({ "to": "bob", "signed": false, "acknowledged": false,
            "files": [{ "name": name, "media_type": "text/plain", "base64": "YQ==" }] });
        let endpoint = world.endpoint("alice").unwrap();
        let url = format!("http://127.0.0.1:{}/mail", endpoint["port"]);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let status = runtime.block_on(async {
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = http.post(&url).bearer_auth(endpoint["token"].as_str().unwrap()).json(&body);
            request.send().await.unwrap().status()
        });
        assert!(status.is_client_error(), "a file called {name:?} was taken: {status}");
    }
    let file = world.file("note.txt", "from Alice");
    let args = ["send", &file, "--to", "bob", "--no-ask", "--signed", "--ack"];
    let deal = deal_in(&world.run("alice", &args).good());
    assert_eq!(world.ending("bob", &deal), "success");
    let out = world.path("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("note.txt"), "Bob's own").unwrap();
    world.run("bob", &["deals", "files", &deal, "--out", &out.display().to_string()]).good();
    assert_eq!(fs::read_to_string(out.join("note.txt")).unwrap(), "Bob's own");
    assert_eq!(fs::read_to_string(out.join("2-note.txt")).unwrap(), "from Alice");
}

// A code that works twice, or for a name that the operator has not checked, certifies a stranger. What the authority gives out has
// to be what other programs understand.
#[test]
fn the_authority_certifies_whom_it_invited_once() {
    let world = World::new();
    world.init("ca", &["--role", "ca"]);
    world.init("alice", &[]);
    world.init("bob", &[]);
    world.run("ca", &["ca", "invite", "alice"]).failed_with(&["does not run"]);
    let _ca = world.serve("ca");
    let url = world.url("ca");
    let code = world.run("ca", &["ca", "invite", "alice"]).good().trim().to_owned();
    let certify = |party: &str, code: &str| world.run(party, &["certify", "--ca", &url, "--code", code]);
    certify("bob", &code).failed_with(&["for another name"]);
    certify("alice", "not-a-code").failed_with(&["the code is unknown"]);
    certify("alice", &code).good();
    // Whoever lost the answer gets the same certificate again; nobody else gets one for this code.
    certify("alice", &code).good();
    certify("bob", &code).failed_with(&["was used by somebody else"]);
    let list = world.run("ca", &["ca", "list"]).good();
    assert!(list.lines().count() == 1 && list.contains("valid") && list.contains("alice"), "{list}");

    let out = world.path("fetched").display().to_string();
    world.run("bob", &["ca", "fetch", &url, "--out", &out]).good();
    openssl(&["x509", "-inform", "DER", "-noout", "-subject", "-in", &format!("{out}/ca.crt")]);
    let trusted = ["--ca", &format!("{out}/ca.crt"), "--crl", &format!("{out}/ca.crl")];
    let add = |card: &str| {
        let mut args = vec!["contact", "add", card];
        args.extend(trusted);
        world.run("bob", &args)
    };
    assert!(add(&world.card("alice")).good().contains("certifies that this key belongs to alice"));

    let serial = list.split_whitespace().next().unwrap();
    world.run("ca", &["ca", "revoke", "12"]).failed_with(&["a serial number has 32"]);
    world.run("ca", &["ca", "revoke", serial]).good();
    assert!(world.run("ca", &["ca", "list"]).good().contains("revoked"));
    world.run("bob", &["ca", "fetch", &url, "--out", &out]).good();
    let crl = openssl(&["crl", "-inform", "DER", "-noout", "-text", "-in", &format!("{out}/ca.crl")]);
    assert!(crl.to_lowercase().contains(&serial.to_lowercase()), "{serial} is not in {crl}");
    add(&world.card("alice")).failed_with(&["not certified"]);
}

fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

// A question about a deal that has ended would have the user sign what nobody needs.
#[test]
fn a_question_goes_with_its_deal() {
    let world = World::of_two();
    let _alice = world.start("alice", &["up"]);
    let deal = world.propose(&[]);
    world.wait("alice", &deal, "a question", |view| view["state"] == "await-promise-signature");
    let asked = until(|| {
        let text = world.run("alice", &["approvals"]).good();
        text.contains("Sign this contract?").then_some(text)
    });
    assert!(asked.is_some(), "Alice was not asked");
    assert_eq!(world.run("alice", &["deals", "give-up", &deal]).code, Some(2));
    let gone = until(|| world.run("alice", &["approvals"]).good().contains("Nothing waits").then_some(()));
    assert!(gone.is_some(), "the question outlived its deal");
    world.run("alice", &["approve"]).failed_with(&["nothing like that waits"]);
}

// A node that was stopped leaves no announcement behind; commands then start one of their own.
#[test]
fn a_stopped_node_is_gone() {
    let world = World::new();
    world.init("alice", &[]);
    let _process = world.up("alice");
    world.run("alice", &["stop"]).good();
    assert!(until(|| world.endpoint("alice").is_none().then_some(())).is_some());
    assert!(world.run("alice", &["stop"]).good().contains("No node runs"));
    assert!(world.run("alice", &["deals", "list"]).good().contains("No deals yet"));
}
