//! Liability covers, with a guarantor as a process of its own. Alice, who is covered, is to pay Bob later; nothing of that is in the exchange.
//!
//! What could go wrong: a cover is good for more than its contract, or the limit is exceeded; a lost answer or a crash doubles or loses a cover; a claim is paid
//! twice, or not at all; a revoked key takes from Bob what he has accepted.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::browser::Browser;
use crate::window::{enter, origin};
use crate::world::{Process, World, until};

/// How long a customer has to answer a claim, in seconds.
const ANSWER: i64 = 8;

/// Alice, Bob and a guarantor that both know; Bob's node signs nothing unasked.
fn with_guarantor() -> World {
    let world = World::of_two();
    world.init("guarantor", &["--role", "guarantor"]);
    world.configure("guarantor", |config| {
        config.insert("guarantor".to_owned(), toml::toml! { answer = 8 }.into());
    });
    for party in ["alice", "bob"] {
        world.run(party, &["contact", "add", &world.card("guarantor")]).good();
    }
    world
}

/// Has Alice agree, and the guarantor accept it.
fn agree(world: &World, limit: &str, per_deal: &str) {
    let out = world.path("agreement").display().to_string();
    let args = |limit| ["cover", "agree", "--guarantor", "guarantor", "--until", "2099-12-31", "--limit", limit];
    world.type_in("alice", &args("9999.00 EUR"), "no\n").failed_with(&["declined"]);
    let later = [&args(limit)[..], &["--per-deal", per_deal, "--out", &out]].concat();
    let later = world.type_in("alice", &later, &format!("{limit}\n")).good();
    for part in ["Agree to be covered", limit, "guarantor: key", "you owe to the guarantor"] {
        assert!(later.contains(part), "{part} is not in {later}");
    }
    let wrong = "0".repeat(64);
    world.run("guarantor", &["guarantor", "accept", &out, "--key", &wrong]).failed_with(&["nothing was taken"]);
    assert!(world.run("guarantor", &["guarantor", "accept", &out]).good().contains(limit));
}

fn request<'a>(deal: &'a str, amount: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["cover", "request", "--deal", deal, "--amount", amount, "--guarantor", "guarantor", "--out", out]
}

/// Alice's cover for a deal; its file.
#[track_caller]
fn covered(world: &World, deal: &str, amount: &str) -> String {
    let out = world.path(&format!("{deal}.semper-cover")).display().to_string();
    let said = world.type_in("alice", &request(deal, amount, &out), &format!("{amount}\n")).good();
    assert!(said.contains("Have a guarantor stand for you"), "{said}");
    out
}

/// Bob signs what he is asked to; both have the contract.
fn bob_signs(world: &World, deal: &str) {
    let asked = || {
        let waits = world.json("bob", &["approvals", "--json"]);
        let mut waits = waits.as_array().unwrap().iter().filter(|approval| approval["deal"] == deal);
        waits.next().map(|approval| approval["id"].as_str().unwrap().to_owned())
    };
    let question = until(asked).expect("bob was never asked");
    world.says_yes("bob", &question).good();
    for party in ["alice", "bob"] {
        assert_eq!(world.ending(party, deal), "success");
    }
}

/// The only account.
fn account(world: &World) -> Value {
    world.json("guarantor", &["guarantor", "accounts", "--json"])[0].clone()
}

fn claim(world: &World, file: &str) -> Value {
    let args = ["cover", "claim", file, "--json"];
    let said = world.type_in("bob", &args, "sign\n").good();
    serde_json::from_str(&said[said.find("\n{").map_or(0, |place| place + 1)..]).unwrap_or_else(|_| panic!("{said}"))
}

// On the screen the limit stands in the button, and who the guarantor is above it.
#[test]
fn the_window_says_how_much_is_agreed() {
    let world = with_guarantor();
    let _alice = world.start("alice", &["up", "--no-browser"]);
    let args = ["cover", "agree", "--guarantor", "guarantor", "--limit", "500.00 EUR", "--until", "2099-12-31"];
    world.type_in("alice", &args, "").failed_with(&["the question still waits"]);
    let asked = world.json("alice", &["approvals", "--json"])[0]["id"].as_str().unwrap().to_owned();
    let alice = Browser::new("de");
    enter(&alice, &world, "alice");
    alice.open(&format!("{}/approvals/{asked}", origin(&alice)));
    alice.wait_for("h1", "Der Bürgschaft zustimmen?");
    let facts = alice.text("#facts");
    assert!(facts.contains("Bürge") && facts.contains("Höchstens insgesamt"), "{facts}");
    assert!(alice.text("button[value=approve]").contains("zustimmen"));
    alice.look("window-liability-agreement");
}

#[test]
fn a_guarantor_stands_for_alice_up_to_her_limit() {
    let world = with_guarantor();
    let guarantor: Process = world.serve("guarantor");
    let (_alice, _bob) = (world.up("alice"), world.start("bob", &["up", "--no-browser"]));
    let first = world.propose(&[]);
    world.asked("bob");
    let out = world.path("nothing").display().to_string();
    world.type_in("alice", &request(&first, "10.00 EUR", &out), "10.00 EUR\n").failed_with(&["no liability agreement"]);
    agree(&world, "150.00 EUR", "100.00 EUR");
    world.type_in("alice", &request(&first, "101.00 EUR", &out), "101.00 EUR\n").failed_with(&["allows 100.00 EUR"]);
    // The power fails at the guarantor before it hears the request: it is not known whether it did, and the same order finds out.
    drop(guarantor);
    let silent = world.type_in("alice", &request(&first, "100.00 EUR", &out), "100.00 EUR\n");
    silent.failed_with(&["does not answer", "give the same order again"]);
    let _guarantor = world.serve("guarantor");
    world.run("alice", &request(&first, "90.00 EUR", &out)).failed_with(&["semper cover get"]);
    let cover = world.json("alice", &["cover", "list", "--json"])[0]["cover"].as_str().unwrap().to_owned();
    let file = world.path("first.semper-cover").display().to_string();
    world.run("alice", &["cover", "get", &cover, "--out", &file]).good();
    assert_eq!(account(&world)["reserved"], "100.00 EUR");

    // Bob looks at it before he signs: for this contract it is good, for another one it is not.
    let second = world.propose(&[]);
    world.wait("bob", &second, "a proposal", |deal| deal["cid"].is_string());
    let check = |more: &[&str]| world.run("bob", &[&["cover", "check", &file][..], more].concat());
    check(&["--deal", &second]).failed_with(&["do not rely on this cover", "for another contract"]);
    check(&["--deal", &first, "--amount", "101.00 EUR"]).failed_with(&["it is for 100.00 EUR only"]);
    check(&["--deal", &first, "--guarantor", "alice"]).failed_with(&["no guarantor that you accept"]);
    check(&["--deal", &first, "--claim-by", "2098-01-01"]).failed_with(&["can be claimed until"]);
    assert!(check(&["--deal", &first]).good().contains("up to 100.00 EUR"));
    assert!(check(&["--deal", &first]).good().contains("Good"), "looked at twice it is as good");

    // More than is left is refused with the reason, and given once Bob has released the first one.
    let refused = world.type_in("alice", &request(&second, "60.00 EUR", &out), "60.00 EUR\n");
    refused.failed_with(&["the limit is 150.00 EUR, and 50.00 EUR are left of it"]);
    bob_signs(&world, &first);
    let owed = world.type_in("alice", &["cover", "release", &file], "sign\n");
    owed.failed_with(&["does not show that nothing is owed"]);
    let released = world.type_in("bob", &["cover", "release", &file], "sign\n").good();
    assert!(released.contains("nothing is owed any more"), "{released}");
    assert_eq!(account(&world)["left"], "150.00 EUR");
    world.type_in("bob", &["cover", "claim", &file, "--json"], "sign\n").good();
    assert_eq!(account(&world)["left"], "150.00 EUR", "what was released is not claimed any more");
    covered(&world, &second, "60.00 EUR");
    assert_eq!(account(&world)["left"], "90.00 EUR");

    // What was shown is evidence like everything else of the deal.
    let folder = world.export("bob", &first).display().to_string();
    let judged = |claim: &str| world.run("nobody", &["judge", &folder, "--claim", claim]);
    for claim in ["covered(originator, >= 100.00 EUR)", "covered(guarantor, >= 100.00 EUR)"] {
        let proven = judged(claim).good();
        assert!(proven.contains("cover by a guarantor"), "{proven}");
    }
    for claim in ["covered(originator, >= 100.01 EUR)", "covered(responder, >= 1.00 EUR)"] {
        let more = judged(claim).text;
        assert!(!more.contains("Yes:"), "{more}");
    }
    assert!(world.verify(Path::new(&folder)).good().contains("complete"));
}

#[test]
fn a_claim_is_paid_once_and_a_revoked_key_takes_nothing_back() {
    let world = with_guarantor();
    let guarantor = world.serve("guarantor");
    let (_alice, _bob) = (world.up("alice"), world.start("bob", &["up", "--no-browser"]));
    agree(&world, "150.00 EUR", "100.00 EUR");
    let deal = world.propose(&[]);
    world.asked("bob");
    let file = covered(&world, &deal, "100.00 EUR");
    world.run("bob", &["cover", "check", &file, "--deal", &deal]).good();
    // A contract that does not bind is no debt.
    let early = world.type_in("bob", &["cover", "claim", &file], "sign\n");
    early.failed_with(&["does not show a contract that binds both"]);
    bob_signs(&world, &deal);
    let claimed = claim(&world, &file);
    assert_eq!((&claimed["ruling"], &claimed["amount"]), (&"claimed".into(), &"100.00 EUR".into()));
    // Alice sees it where she looks at her covers.
    let hers = world.json("alice", &["cover", "list", "--json"]);
    assert_eq!((&hers[0]["state"], &hers[0]["answer_by"]), (&"claimed".into(), &claimed["answer_by"]));
    let waits = world.json("guarantor", &["guarantor", "claims", "--json"]);
    assert_eq!((waits.as_array().unwrap().len(), &waits[0]["state"]), (1, &"claimed".into()));
    // The power fails after the answer: the same claim again is the same claim.
    drop(guarantor);
    let _guarantor = world.serve("guarantor");
    assert_eq!(claim(&world, &file), claimed);
    sleep(Duration::from_secs(ANSWER.unsigned_abs() + 1));
    for _ in 0..2 {
        let paid = claim(&world, &file);
        assert_eq!((&paid["ruling"], &paid["amount"]), (&"paid".into(), &"100.00 EUR".into()));
    }
    world.type_in("alice", &["cover", "release", &file], "sign\n").failed_with(&["the guarantor refuses"]);
    let owes = world.json("guarantor", &["guarantor", "owes", "--json"]);
    assert_eq!((owes.as_array().unwrap().len(), &owes[0]["claimed"]), (1, &"100.00 EUR".into()));
    let cover = owes[0]["cover"].as_str().unwrap();
    assert_eq!(account(&world)["left"], "50.00 EUR", "what was paid for her counts until she repays it");

    // She loses her key, and the guarantor hears of it: nothing new, and what Bob has accepted stays good.
    let later = world.propose(&[]);
    world.asked("bob");
    let kept = covered(&world, &later, "40.00 EUR");
    world.run("bob", &["cover", "check", &kept, "--deal", &later]).good();
    let customer = account(&world)["customer"].as_str().unwrap().to_owned();
    world.run("guarantor", &["guarantor", "revoke", &customer]).good();
    bob_signs(&world, &later);
    let third = world.propose(&[]);
    world.asked("bob");
    let out = world.path("third").display().to_string();
    world.type_in("alice", &request(&third, "1.00 EUR", &out), "1.00 EUR\n").failed_with(&["no new cover"]);
    assert_eq!(claim(&world, &kept)["ruling"], "claimed");

    for (booking, left) in [("paid", "10.00 EUR"), ("repaid", "110.00 EUR")] {
        world.run("guarantor", &["guarantor", booking, cover]).good();
        assert_eq!(account(&world)["left"], left);
    }
    assert_eq!(claim(&world, &file)["ruling"], "paid", "what is over is said again");
}
