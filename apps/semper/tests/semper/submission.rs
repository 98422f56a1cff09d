//! Proof that something was handed in, between real processes. What could go wrong: the recipient is away and the sender can prove nothing; a killed sender
//! has a receipt that it cannot link to what it sent; a proof is kept that nobody ordered.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use semper_core::cbor::{Decode as _, Encode as _};
use semper_crypto::Verifier;
use semper_exchange::evidence::Folder;
use semper_support::engine::EvidenceKind;
use semper_trust::card::ContactCard;
use serde_json::Value;

use crate::world::{Process, World, deal_in, until};

/// Alice, Bob who has a mailbox at a relay, and a proxy through which everybody reaches that.
struct Town {
    world: World,
    proxy: Proxy,
    _relay: Process,
}

impl Town {
    fn new() -> Self {
        let world = World::new();
        let listener = TcpListener::bind((world.ip(), 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        world.init("relay", &["--role", "relay", "--address", &address]);
        world.init("arbiter", &["--role", "arbiter"]);
        world.init("alice", &[]);
        world.init("bob", &["--relay", &format!("{address}/mail"), "--relay-card", &world.card("relay")]);
        world.acquaint();
        world.configure("alice", |config| {
            config.insert("retry_max".to_owned(), 1.into());
        });
        let relay = world.serve("relay");
        let proxy = Proxy::start(listener, &world.listen("relay"));
        // A relay takes mail for whoever has come to fetch once.
        let (bob, alice) = (world.up("bob"), world.up("alice"));
        let first =
            deal_in(&world.run("alice", &["send", "-m", "hello", "--to", "bob", "--no-ask", "--no-wait"]).good());
        assert_eq!(world.ending("alice", &first), "success");
        drop((bob, alice));
        Self { world, proxy, _relay: relay }
    }

    fn key_of(&self, party: &str, of: impl Fn(&ContactCard) -> String) -> String {
        let text = std::fs::read_to_string(self.world.card(party)).unwrap();
        of(ContactCard::verify_text(&text, &Verifier).unwrap().statement())
    }

    /// Alice's letter to Bob, who is away.
    fn mail(&self, more: &[&str]) -> String {
        let mut args = vec!["mail", "-m", "the lease ends on 31 March", "--to", "bob", "--no-ask", "--no-wait"];
        args.extend(more);
        deal_in(&self.world.run("alice", &args).good())
    }

    /// Alice's folder, as soon as all that she has sent in this deal was handed in.
    fn handed(&self, deal: &str, messages: usize) -> std::path::PathBuf {
        let found = until(|| {
            let folder = self.world.export("alice", deal);
            (receipts(&folder) >= messages).then_some(folder)
        });
        found.unwrap_or_else(|| panic!("the relay never took it: {:#}", self.world.deal("alice", deal)))
    }

    fn judged(&self, folder: &Path, claim: &str) -> Option<i32> {
        self.world.run("nobody", &["judge", &folder.display().to_string(), "--claim", claim]).code
    }
}

fn receipts(folder: &Path) -> usize {
    let folder = Folder::from_bytes(&std::fs::read(folder).unwrap()).unwrap();
    folder.items.iter().filter(|item| item.kind == EvidenceKind::Receipt).count()
}

/// The submission of a statement of a kind, as `semper verify` tells a stranger.
fn submission_of(report: &Value, kind: &str) -> Option<Value> {
    let all = report["submissions"].as_array().unwrap();
    let has = |submission: &&Value| submission["statements"].as_array().unwrap().iter().any(|s| s["kind"] == kind);
    all.iter().find(has).cloned()
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

const LATE: &str = "2099-01-01T00:00:00Z";

// Bob is off-line and stays so: what Alice can prove then is all that she will ever have against him.
#[test]
fn a_sender_proves_the_submission_before_the_recipient_comes() {
    let town = Town::new();
    let world = &town.world;
    let _alice = world.up("alice");
    let begun = unix_now();
    let deal = town.mail(&["--submission"]);
    let folder = town.handed(&deal, 2);
    assert_eq!(world.deal("alice", &deal)["state"], "await-peer-promise");
    let report = world.report(&folder);
    assert_eq!(report["sound"], true, "{report:#}");
    let promise = submission_of(&report, "promise").unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!(promise["recipient"], town.key_of("bob", |card| card.key_set.id().to_string()));
    assert_eq!(promise["agent"], town.key_of("relay", |card| card.transport.id().to_string()));
    let time = promise["time"].as_u64().unwrap();
    assert!((begun..=unix_now()).contains(&time), "{promise:#}");
    let said = world.verify(&folder).good();
    assert!(said.contains("Submission for key") && said.contains("handed in before"), "{said}");
    assert_eq!(town.judged(&folder, &format!("submitted(originator, before {LATE})")), Some(0));
    // Not earlier than it was, not what was not handed in, not by the other one.
    for claim in
        ["submitted(originator, before 2020-01-01T00:00:00Z)", "submitted-final(originator)", "submitted(responder)"]
    {
        assert_eq!(town.judged(&folder, claim), Some(1), "{claim}");
    }
    let shown = world.run("alice", &["deals", "show", &deal]).good();
    assert!(shown.contains("handed in for the other party"), "{shown}");

    // Without an order nothing is kept by which a message could be shown to others.
    let silent = town.mail(&[]);
    let folder = town.handed(&silent, 2);
    let report = world.report(&folder);
    assert_eq!(report["submissions"], Value::Array(Vec::new()), "{report:#}");
    assert_eq!(town.judged(&folder, "submitted(originator)"), Some(1));

    // A message that asks for nothing in return, but is signed.
    let args =
        ["send", "-m", "I terminate the contract", "--to", "bob", "--signed", "--submission", "--no-ask", "--no-wait"];
    let sent = deal_in(&world.run("alice", &args).good());
    assert_eq!(world.ending("alice", &sent), "success");
    let folder = world.export("alice", &sent);
    let report = world.report(&folder);
    assert_eq!(report["submissions"][0]["container"], report["transfers"][0]["container"], "{report:#}");
    assert_eq!(town.judged(&folder, &format!("submitted(sender, before {LATE})")), Some(0));
    assert_eq!(town.judged(&folder, "received(receiver)"), Some(1), "that he has read it, nobody knows");

    // Bob comes, and everything goes on as it would have: the recipient notices nothing.
    let (_bob, _arbiter) = (world.up("bob"), world.serve("arbiter"));
    for deal in [&deal, &silent, &sent] {
        assert_eq!(world.ending("bob", deal), "success");
    }
    assert_eq!(world.ending("alice", &deal), "success");
    let report = world.report(&world.export("alice", &deal));
    assert!(submission_of(&report, "final").is_some(), "{report:#}");
    let bobs = world.report(&world.export("bob", &deal));
    assert_eq!(bobs["submissions"], Value::Array(Vec::new()), "only who has ordered it has it: {bobs:#}");
}

// The proof is in two pieces. If the power fails between them, the receipt must come again for the very bytes that the first piece is about.
#[test]
fn a_sender_killed_before_the_receipt_gets_it_again() {
    let town = Town::new();
    let world = &town.world;
    town.proxy.swallow.store(true, Ordering::SeqCst);
    let alice = world.up("alice");
    let deal = town.mail(&["--submission"]);
    // The relay has taken the first message and said so; Alice has not heard it.
    assert!(until(|| (town.proxy.swallowed.load(Ordering::SeqCst) > 0).then_some(())).is_some());
    drop(alice);
    let killed = unix_now();
    town.proxy.swallow.store(false, Ordering::SeqCst);
    // A receipt with a time of its own would now say a later one.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let _alice = world.up("alice");
    let folder = town.handed(&deal, 2);
    let report = world.report(&folder);
    assert_eq!(report["sound"], true, "{report:#}");
    let times: Vec<_> = report["submissions"].as_array().unwrap().iter().map(|s| s["time"].as_u64().unwrap()).collect();
    assert_eq!(times.len(), 2, "one for each message: {report:#}");
    assert!(times.iter().any(|time| *time <= killed), "the receipt of the first time: {times:?}, killed at {killed}");
    assert_eq!(town.judged(&folder, "submitted(originator)"), Some(0));
}

// A stranger who reads a folder from which somebody has taken or into which somebody has put something.
#[test]
fn altered_folders_prove_no_submission() {
    let town = Town::new();
    let world = &town.world;
    let _alice = world.up("alice");
    let (deal, other) = (town.mail(&["--submission"]), town.mail(&["--submission"]));
    let folders =
        [&deal, &other].map(|deal| Folder::from_bytes(&std::fs::read(town.handed(deal, 2)).unwrap()).unwrap());
    let [folder, foreign] = folders;
    let write = |name: &str, folder: &Folder| {
        let path = world.path(name);
        std::fs::write(&path, folder.to_bytes()).unwrap();
        path
    };
    let claim = "submitted(originator)";
    assert_eq!(town.judged(&write("whole.semper", &folder), claim), Some(0));
    let taken = |kind: EvidenceKind| {
        let mut folder = folder.clone();
        folder.items.retain(|item| item.kind != kind);
        folder
    };
    // Without receipts nothing was handed in; those of another deal are for other bytes.
    let bare = taken(EvidenceKind::Receipt);
    assert_eq!(town.judged(&write("bare.semper", &bare), claim), Some(1));
    assert_eq!(world.report(&write("bare.semper", &bare))["sound"], true);
    let mut lent = bare.clone();
    lent.items.extend(foreign.items.iter().filter(|item| item.kind == EvidenceKind::Receipt).cloned());
    assert_eq!(town.judged(&write("lent.semper", &lent), claim), Some(1));
    assert_eq!(town.judged(&write("without.semper", &taken(EvidenceKind::Submission)), claim), Some(1));
    // The other deal's proof with its receipts: it holds, and not here.
    let mut mixed = taken(EvidenceKind::Submission);
    let theirs =
        |item: &&semper_exchange::evidence::Item| matches!(item.kind, EvidenceKind::Submission | EvidenceKind::Receipt);
    mixed.items.extend(foreign.items.iter().filter(theirs).cloned());
    let path = write("mixed.semper", &mixed);
    assert_eq!(town.judged(&path, claim), Some(1));
    world.verify(&path).failed_with(&["does not show that anything was handed in: the message belongs to the deal"]);
    // Every proof with a bit changed.
    let mut changed = folder.clone();
    for item in changed.items.iter_mut().filter(|item| item.kind == EvidenceKind::Submission) {
        let place = item.bytes.len() - 40;
        item.bytes[place] ^= 1;
    }
    assert_eq!(town.judged(&write("changed.semper", &changed), claim), Some(1));
}

// An order for a proof that cannot be had is refused at once: later would be too late.
#[test]
fn an_order_that_cannot_be_kept_is_refused() {
    let world = World::new();
    world.init("relay", &["--role", "relay"]);
    world.init("arbiter", &["--role", "arbiter"]);
    world.init("alice", &[]);
    world.init("bob", &["--relay", &format!("{}/mail", world.url("relay"))]);
    world.acquaint();
    let _alice = world.up("alice");
    let to_bob = ["--to", "bob", "--no-ask", "--no-wait", "--submission"];
    for command in ["send", "mail"] {
        let args: Vec<&str> = [command, "-m", "x"].into_iter().chain(to_bob).collect();
        world.run("alice", &args).failed_with(&["does not say who takes its messages in", "Nothing was sent"]);
    }
    // An inbox of one's own needs no word about an agent; but a message of a mebibyte is too much for a folder.
    world.init("carol", &[]);
    world.run("alice", &["contact", "add", &world.card("carol")]).good();
    let large = world.file("large.bin", vec![7; 1024 * 1024]);
    let args = ["send", &large, "--to", "carol", "--no-ask", "--no-wait", "--submission"];
    world.run("alice", &args).failed_with(&["too much to prove their submission"]);
    assert_eq!(world.json("alice", &["deals", "list", "--json"]), Value::Array(Vec::new()));
    world.run("carol", &["contact", "add", &world.card("alice")]).good();
    let _carol = world.up("carol");
    let args = ["send", "-m", "x", "--to", "carol", "--signed", "--submission", "--no-ask", "--no-wait"];
    let deal = deal_in(&world.run("alice", &args).good());
    assert_eq!(world.ending("alice", &deal), "success");
    let report = world.report(&world.export("alice", &deal));
    assert!(report["submissions"][0]["time"].is_u64(), "{report:#}");
}

/// Passes bytes on, and swallows the answers while it is told to.
struct Proxy {
    swallow: Arc<AtomicBool>,
    /// How many answers were swallowed.
    swallowed: Arc<AtomicUsize>,
}

impl Proxy {
    /// Ends with the process: its threads wait for connections only.
    fn start(listener: TcpListener, to: &str) -> Self {
        let (swallow, swallowed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (to, proxy) = (to.to_owned(), Self { swallow: swallow.clone(), swallowed: swallowed.clone() });
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else { continue };
                let (from_client, to_client) = (client.try_clone().unwrap(), client);
                let (from_server, to_server) = (server.try_clone().unwrap(), server);
                std::thread::spawn(move || pass(from_client, to_server, || true));
                let (swallow, swallowed) = (swallow.clone(), swallowed.clone());
                std::thread::spawn(move || {
                    pass(from_server, to_client, || {
                        let lets_pass = !swallow.load(Ordering::SeqCst);
                        swallowed.fetch_add(usize::from(!lets_pass), Ordering::SeqCst);
                        lets_pass
                    });
                });
            }
        });
        proxy
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, lets_pass: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        if lets_pass() && to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
