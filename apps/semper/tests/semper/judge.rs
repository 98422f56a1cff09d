//! `semper judge` over folders of real processes: the answers, their exit codes, a signed decision and its check. What could go wrong: an
//! answer says more than is proven, a wrong decision passes, what is no case is judged.

use std::path::Path;

use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::cose::Statement as _;
use semper_core::party::Suite;
use semper_crypto::{SecretKeys, Verifier};
use semper_exchange::claims::{Outcome, SignedDecision};
use semper_support::crypto::Signer as _;
use serde_json::Value;

use crate::world::{Ran, World};

impl World {
    /// Judges folders as a stranger, who has no data directory.
    fn judge(&self, folders: &[&Path], more: &[&str]) -> Ran {
        self.run("nobody", &arguments(folders, more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The outcomes of what is usually asked about a deal, by question.
    pub fn answers(&self, folders: &[&Path]) -> Vec<(String, String)> {
        let args = arguments(folders, &["--json"]);
        let judged = self.json("nobody", &args.iter().map(String::as_str).collect::<Vec<_>>());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let answers = judged["answers"].as_array().unwrap();
        answers.iter().map(|answer| (text(&answer["question"]), text(&answer["outcome"]))).collect()
    }
}

fn arguments(folders: &[&Path], more: &[&str]) -> Vec<String> {
    let folders = folders.iter().map(|folder| folder.display().to_string());
    ["judge".to_owned()].into_iter().chain(folders).chain(more.iter().map(|&text| text.to_owned())).collect()
}

/// It answered, with this exit code and these parts.
#[track_caller]
fn said(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}", ran.text);
    for part in parts {
        assert!(ran.text.contains(part), "{part:?} is not in: {}", ran.text);
    }
}

#[test]
fn a_contract_is_judged() {
    let world = World::of_two();
    let (_alice, _bob) = (world.up("alice"), world.up("bob"));
    let deals = [world.propose(&[]), world.propose(&[])];
    for deal in &deals {
        for party in ["alice", "bob"] {
            assert_eq!(world.ending(party, deal), "success");
        }
    }
    let [alice, bob] = ["alice", "bob"].map(|party| world.export(party, &deals[0]));
    let other = world.export("alice", &deals[1]);

    let agreed = "does the contract bind both? Yes: final by the originator, final by the responder";
    for folders in [&[alice.as_path()][..], &[&bob], &[&alice, &bob]] {
        said(&world.judge(folders, &[]), 0, &[agreed, "speaks for both", "arbiter     key"]);
    }
    said(&world.judge(&[&bob], &["--claim", "agreed(originator)"]), 0, &["agreed(originator) Yes"]);
    // The files of the contract came in a container that Alice signed and Bob acknowledged; nobody was paid.
    for claim in ["paid(payer)", "aborted(arbiter)", "agreed(responder, before 2000-01-01T00:00:00Z)"] {
        said(&world.judge(&[&bob], &["--claim", claim]), 1, &["Not proven"]);
    }
    said(&world.judge(&[&bob], &["--claim", "and(agreed(originator), agreed(responder))"]), 0, &["Yes"]);
    let shown = world.run("bob", &["deals", "show", &deals[0]]).good();
    for part in ["you can prove now:", "the originator is bound by the contract", "the responder (you) is bound"] {
        assert!(shown.contains(part), "{part:?} is not in: {shown}");
    }

    // What is no case, no claim, or no policy.
    let missing = world.path("missing.semper");
    let text = world.file("text.semper", "hello");
    for (folders, more, part) in [
        (&[alice.as_path(), &other][..], &[][..], "different deals"),
        (&[&missing], &[], "missing.semper"),
        (&[Path::new(&text)], &[], "not a deal folder"),
        (&[&alice], &["--claim", "paid(everybody)"], "at character 15"),
        (&[&alice], &["--at", "yesterday"], "is no time"),
        (&[&alice], &["--arbiter", "bob"], "is no identifier of a key"),
        (&[&alice], &["--check", &text], "text.semper"),
    ] {
        said(&world.judge(folders, more), 2, &[part]);
    }
    said(&world.judge(&[], &[]), 2, &["required"]);
}

#[test]
fn a_decision_is_signed_and_judged_again() {
    let world = World::of_two();
    let _running = (world.up("alice"), world.up("bob"));
    let deal = world.propose(&[]);
    for party in ["alice", "bob"] {
        assert_eq!(world.ending(party, &deal), "success");
    }
    let [alice, bob] = ["alice", "bob"].map(|party| world.export(party, &deal));
    let path = world.path("decision.semper-decision");
    let sign = path.display().to_string();
    // The arbiter of the deal has a data directory, too; anybody who has one can judge.
    let args = arguments(&[&alice, &bob], &["--sign", &sign]);
    said(&world.run("arbiter", &args.iter().map(String::as_str).collect::<Vec<_>>()), 0, &["signed"]);
    said(&world.judge(&[&bob, &alice], &["--check", &sign]), 0, &["RIGHT  the decision of key"]);
    said(&world.judge(&[&bob], &["--check", &sign]), 2, &["another case"]);

    let file = SignedDecision::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
    let mut decision = file.read(&Verifier).unwrap().statement().clone();
    assert_eq!(decision.rulings[0].outcome, Outcome::Proven);
    decision.rulings[0].outcome = Outcome::Refuted;
    let keys = SecretKeys::generate(Suite::Ed25519).unwrap();
    let signed = keys.sign(decision.draft(keys.key_set().suite(), keys.key_set().id())).unwrap();
    let wrong = SignedDecision { signed, judge: keys.key_set().clone() };
    let wrong_path = world.file("wrong", wrong.to_bytes());
    let parts = ["WRONG  the decision of key", "it says refuted, the evidence says proven"];
    said(&world.judge(&[&alice, &bob], &["--check", &wrong_path]), 1, &parts);
    let checked = world.judge(&[&alice, &bob], &["--check", &wrong_path, "--json"]);
    said(&checked, 1, &["\"right\": false", "\"outcome\": \"refuted\""]);
    // Under another's name.
    let forged = SignedDecision { judge: keys.key_set().clone(), ..file };
    let forged = world.file("forged", forged.to_bytes());
    said(&world.judge(&[&alice, &bob], &["--check", &forged]), 2, &["not validly signed"]);
}

#[test]
fn a_contract_that_was_ended_binds_nobody() {
    let world = World::of_two();
    let (_arbiter, _alice) = (world.serve("arbiter"), world.up("alice"));
    // Bob does not run.
    let deal = world.propose(&["--patience", "1"]);
    assert_eq!(world.ending("alice", &deal), "aborted");
    let folder = world.export("alice", &deal);
    let parts = ["does the contract bind both? No: verdict \"aborted\"", "Not proven"];
    said(&world.judge(&[&folder], &[]), 1, &parts[..1]);
    said(&world.judge(&[&folder], &["--claim", "not(agreed(responder))"]), 0, &["Yes: verdict \"aborted\""]);
    said(&world.judge(&[&folder], &["--claim", "aborted(arbiter, after 2020-01-01T00:00:00Z by log)"]), 0, &["Yes"]);
    // To whom this arbiter's word is nothing, nothing is proven.
    let arguments = ["--claim", "not(agreed(responder))", "--arbiter", &"0".repeat(64)];
    said(&world.judge(&[&folder], &arguments), 1, &parts[1..]);
    // Before it happened, it had not happened.
    let arguments = ["--claim", "aborted(arbiter)", "--at", "2020-01-01T00:00:00Z"];
    said(&world.judge(&[&folder], &arguments), 1, &parts[1..]);
}
