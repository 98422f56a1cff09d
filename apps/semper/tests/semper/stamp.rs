//! Time-stamps from end to end: a deal is dated by an authority of its own process, and a stranger reads from the folder what existed before
//! when, and by whose word.
//!
//! What could go wrong: a token is lost on its way into the folder; a stranger is told that a date is proven by an authority that it never
//! trusted; a token of another statement, or a changed one, passes; a silent authority holds up the deal; a crash gives a serial number twice.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::cose::{Kind, Signed};
use semper_core::imprint::Imprint;
use semper_crypto::SystemRandom;
use semper_exchange::evidence::{Folder, Item};
use semper_support::engine::EvidenceKind;
use semper_trust::timestamp::{QUERY, Reply, Request};
use serde_json::Value;

use crate::world::{World, until};

fn folder(path: &Path) -> Folder {
    Folder::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

fn of_kind(folder: &Folder, kind: EvidenceKind) -> Vec<Item> {
    folder.items.iter().filter(|item| item.kind == kind).cloned().collect()
}

fn signed(folder: &Folder) -> Vec<Signed> {
    of_kind(folder, EvidenceKind::Statement).iter().map(|item| Signed::from_bytes(&item.bytes).unwrap()).collect()
}

fn openssl(args: &str) -> (bool, String) {
    let output = Command::new("openssl").args(args.split_whitespace()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// A deal that both have completed; its name.
fn complete(world: &World) -> String {
    let deal = world.propose(&[]);
    assert_eq!(world.ending("alice", &deal), "success");
    assert_eq!(world.ending("bob", &deal), "success");
    deal
}

/// A time-stamp authority that a certification authority has certified; nobody runs afterwards but the certifier. Its root as DER and PEM.
fn certified(world: &World) -> (String, String) {
    world.init("ca", &["--role", "ca"]);
    world.init("tsa", &["--role", "tsa"]);
    let _ca = world.serve("ca");
    let code = world.run("ca", &["ca", "invite", "tsa", "--time-stamps"]).good();
    world.run("tsa", &["certify", "--ca", &world.url("ca"), "--code", code.trim()]).good();
    let out = world.path("trusted").display().to_string();
    world.run("nobody", &["ca", "fetch", &world.url("ca"), "--out", &out]).good();
    let (der, pem) = (format!("{out}/ca.crt"), format!("{out}/ca.pem"));
    assert!(openssl(&format!("x509 -inform DER -in {der} -out {pem}")).0);
    (der, pem)
}

fn stamps(world: &World, folder: &Path, more: &[&str]) -> Value {
    let folder = folder.display().to_string();
    let mut args = vec!["verify", &folder, "--json"];
    args.extend(more);
    let report = world.json("nobody", &args);
    assert_eq!(report["sound"], true, "{report:#}");
    report["time_stamps"].clone()
}

#[test]
fn a_finished_deal_is_dated_and_a_stranger_reads_by_whose_word() {
    let world = World::of_two();
    let (root, pem) = certified(&world);
    let _tsa = world.serve("tsa");
    world.run("alice", &["contact", "add", &world.card("tsa")]).good();
    let (_alice, bob) = (world.up("alice"), world.up("bob"));
    let deal = complete(&world);
    let before = world.export("alice", &deal);
    assert_eq!(stamps(&world, &before, &[]).as_array().unwrap().len(), 0);

    let said = world.run("alice", &["stamp", "--deal", &deal, "--tsa", "tsa"]).good();
    let count = signed(&folder(&before)).len();
    assert!(count >= 4 && said.contains(&format!("Dated {count} signatures")), "{said}");
    let again = world.run("alice", &["stamp", "--deal", &deal, "--tsa", &format!("{}/tsa", world.url("tsa"))]).good();
    assert!(again.contains("Dated 0 signatures") && again.contains(&format!("{count} had been")), "{again}");

    let exported = world.export("alice", &deal);
    let of_alice = folder(&exported);
    // Other programs say the same about each token.
    let tokens = of_kind(&of_alice, EvidenceKind::TimeStamp);
    assert_eq!(tokens.len(), count);
    for (token, statement) in tokens.iter().zip(signed(&of_alice)) {
        let path = world.file("token", &token.bytes);
        let verify =
            |digest: Imprint| openssl(&format!("ts -verify -digest {digest} -in {path} -token_in -CAfile {pem}"));
        assert!(verify(statement.imprint()).0);
        assert!(verify(Imprint::of(b"other")).1.contains("message imprint mismatch"));
    }
    // The word of an authority that nobody has said to trust is told as that, and no more.
    let shown = world.verify(&exported).good();
    assert!(shown.starts_with("SOUND") && shown.contains("Time-stamp of promise"), "{shown}");
    assert!(shown.contains("that you have not said to trust"), "{shown}");
    let all = |stamps: &Value, trusted: bool| {
        let stamps = stamps.as_array().unwrap();
        assert_eq!(stamps.len(), count);
        assert!(stamps.iter().all(|stamp| stamp["trusted"] == trusted && stamp["authority"] == "tsa"), "{stamps:#?}");
    };
    all(&stamps(&world, &exported, &[]), false);
    all(&stamps(&world, &exported, &["--trust", &root]), true);
    all(&stamps(&world, &exported, &["--trust", &pem]), true);
    // The authority of another network says nothing about this one.
    let other = World::new();
    let (stranger, _) = certified(&other);
    all(&stamps(&world, &exported, &["--trust", &stranger]), false);
    let shown = world.run("nobody", &["verify", &exported.display().to_string(), "--trust", &root]).good();
    assert!(!shown.contains("not said to trust"), "{shown}");

    // A judge takes the date from the authority that it trusts, and from no other; and past the time of both algorithms only what is dated counts.
    let judged = |claim: &str, more: &[&str]| {
        let folder = exported.display().to_string();
        let mut args = vec!["judge", &folder, "--claim", claim];
        args.extend(more);
        world.run("nobody", &args).code
    };
    let soon = "stamped(responder, before 2199-01-01T00:00:00Z by stamp)";
    assert_eq!(judged(soon, &["--trust", &root, "--at", "2199-01-01T00:00:00Z"]), Some(0));
    assert_eq!(judged(soon, &["--at", "2199-01-01T00:00:00Z"]), Some(1));
    assert_eq!(judged(soon, &["--trust", &stranger]), Some(1));
    assert_eq!(judged("agreed(originator, before 2020-01-01T00:00:00Z by stamp)", &["--trust", &root]), Some(1));
    let sunset = ["--sunset", "Ed25519=2100-01-01T00:00:00Z", "--sunset", "ML-DSA-65=2150-01-01T00:00:00Z"];
    let later = [sunset.as_slice(), &["--at", "2199-01-01T00:00:00Z"]].concat();
    assert_eq!(judged("agreed(originator)", &later), Some(1));
    assert_eq!(judged("agreed(originator)", &[later.as_slice(), &["--trust", &root]].concat()), Some(0));
    assert_eq!(judged("agreed(originator)", &sunset), Some(0));

    // Twins: a token that was changed, one of another deal's statement, one whose statement was taken out.
    let faulty = |items: Vec<Item>, sentence: &str| {
        let path = world.path("faulty.semper");
        std::fs::write(&path, Folder { items, ..of_alice.clone() }.to_bytes()).unwrap();
        let ran = world.verify(&path);
        let said = ran.text.lines().any(|line| line.starts_with("FAULT") && line.contains(sentence));
        assert!(ran.code == Some(1) && said, "no fault with {sentence:?}: {}", ran.text);
    };
    let mut changed = of_alice.items.clone();
    let token = changed.iter_mut().find(|item| item.kind == EvidenceKind::TimeStamp).unwrap();
    *token.bytes.last_mut().unwrap() ^= 1;
    faulty(changed, "the signature of the token is wrong");
    let second = complete(&world);
    world.run("alice", &["stamp", "--deal", &second, "--tsa", "tsa"]).good();
    let foreign = of_kind(&folder(&world.export("alice", &second)), EvidenceKind::TimeStamp);
    faulty([of_alice.items.clone(), foreign].concat(), "it dates the signature of no statement in this folder");

    // What Alice had dated speaks in Bob's folder as well: it is about the statement, not about who keeps it.
    drop(bob);
    let _bob = world.up("bob");
    let of_bob = folder(&world.export("bob", &deal));
    let finals: Vec<_> = signed(&of_bob).into_iter().filter(|s| s.kind() == Kind::Final).collect();
    assert_eq!(finals.len(), 2);
    let joined = Folder { items: [of_bob.items.clone(), tokens].concat(), ..of_bob };
    let path = world.path("joined.semper");
    std::fs::write(&path, joined.to_bytes()).unwrap();
    let found = stamps(&world, &path, &["--trust", &root]);
    let dated = |id: &str| found.as_array().unwrap().iter().any(|stamp| stamp["statement"] == id);
    assert!(finals.iter().all(|signed| dated(&signed.id().to_string())), "{found:#}");
}

#[test]
fn a_file_is_dated_and_openssl_agrees() {
    let world = World::new();
    world.init("tsa", &["--role", "tsa"]);
    let file = world.file("thesis.txt", "all swans are white\n");
    let url = format!("{}/tsa", world.url("tsa"));
    // Nobody is there, and nothing is written.
    world.run("nobody", &["stamp", &file, "--tsa", &url]).failed_with(&["does not answer", "nothing was dated"]);
    assert!(!world.path("thesis.txt.tsr").exists());
    world.run("nobody", &["stamp", &file]).failed_with(&["--tsa"]);
    let _tsa = world.serve("tsa");
    let said = world.run("nobody", &["stamp", &file, "--tsa", &url]).good();
    assert!(said.contains("existed before") && said.contains("says tsa"), "{said}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pem = runtime.block_on(async {
        reqwest::get(format!("{}/tsa/certificates", world.url("tsa"))).await.unwrap().text().await.unwrap()
    });
    let pem = world.file("tsa.pem", pem);
    let verify = |data: &str| openssl(&format!("ts -verify -data {data} -in {file}.tsr -CAfile {pem}"));
    assert!(verify(&file).0, "{}", verify(&file).1);
    assert!(!verify(&world.file("other.txt", "all swans are black\n")).0);
}

// The deal is complete while the authority is away; the tokens come when it is back, without anybody asking.
#[test]
fn finished_deals_are_dated_by_themselves_as_soon_as_the_authority_answers() {
    let world = World::of_two();
    world.init("tsa", &["--role", "tsa"]);
    let url = format!("{}/tsa", world.url("tsa"));
    world.configure("alice", |config| {
        config.insert(
            "stamp".to_owned(),
            toml::Value::Table([("tsa".to_owned(), url.clone().into())].into_iter().collect()),
        );
        config.insert("retry_max".to_owned(), 2.into());
    });
    let (alice, _bob) = (world.up("alice"), world.up("bob"));
    let deal = complete(&world);
    let tokens = || of_kind(&folder(&world.export("alice", &deal)), EvidenceKind::TimeStamp).len();
    assert_eq!(tokens(), 0);
    // Neither a crash of the node nor the silence makes it forget.
    drop(alice);
    let _alice = world.up("alice");
    let _tsa = world.serve("tsa");
    let count = signed(&folder(&world.export("alice", &deal))).len();
    assert!(until(|| (tokens() == count).then_some(())).is_some(), "{} of {count}", tokens());
    world.verify(&world.export("alice", &deal)).good();

    // What the user sets while the node runs counts more than the file.
    world.run("alice", &["settings", "dated-by", "--nobody"]).good();
    let undated = complete(&world);
    world.run("alice", &["settings", "dated-by", &url]).good();
    let dated = complete(&world);
    let tokens = |deal: &str| of_kind(&folder(&world.export("alice", deal)), EvidenceKind::TimeStamp).len();
    assert!(until(|| (tokens(&dated) > 0).then_some(())).is_some());
    assert_eq!(tokens(&undated), 0);
}

// The authority is killed while it is asked from all sides, and started again. A number that is given twice makes two tokens one.
#[test]
fn a_killed_authority_gives_no_serial_number_twice() {
    let world = World::new();
    world.init("tsa", &["--role", "tsa"]);
    world.configure("tsa", |config| {
        let rates =
            toml::Table::from_iter([("burst".to_owned(), 100_000.into()), ("burst_of_all".to_owned(), 100_000.into())]);
        let tsa = config["tsa"].as_table_mut().unwrap();
        tsa.insert("rates".to_owned(), rates.into());
    });
    let url = format!("{}/tsa", world.url("tsa"));
    let mut serials = Vec::new();
    for _ in 0..3 {
        let tsa = world.serve("tsa");
        let stop = Arc::new(AtomicBool::new(false));
        let ask = || {
            let (url, stop) = (url.clone(), stop.clone());
            std::thread::spawn(move || asked_until(&url, &stop))
        };
        let clients = [ask(), ask(), ask()];
        std::thread::sleep(std::time::Duration::from_millis(400));
        drop(tsa);
        stop.store(true, Ordering::SeqCst);
        let given: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        assert!(given.len() > 10, "it was hardly asked before it was killed: {}", given.len());
        serials.extend(given);
    }
    // Only the count: the random half differs in each process and would hide a number that is given twice.
    let counts: BTreeSet<_> = serials.iter().map(|serial| serial[..serial.len() - 8].to_vec()).collect();
    assert_eq!(counts.len(), serials.len());
}

fn asked_until(url: &str, stop: &AtomicBool) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut serials = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let request = Request::new(Imprint::of(b"text"), &SystemRandom).unwrap();
            let sent = client.post(url).header("content-type", QUERY).body(request.to_der()).send().await;
            let Ok(sent) = sent else { continue };
            let Ok(body) = sent.bytes().await else { continue };
            serials.push(Reply::from_der(&body).unwrap().token(&request).unwrap().serial().to_vec());
        }
        serials
    })
}
