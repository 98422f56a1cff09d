//! Contracts among three and five. What could go wrong: somebody holds the contract and somebody else does not, one who stops stops the
//! others, strangers among the signers cannot reach each other, a folder does not convince who was not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use rand::RngExt as _;
use serde_json::Value;

use crate::world::{World, deal_in, random, until};

const FIVE: [&str; 5] = ["anna", "bert", "cora", "dirk", "emma"];

/// Signers of whom Anna knows all and the others know only Anna; all accept one arbiter. `init` makes a signer's directory.
fn world_of(signers: &[&str], init: impl Fn(&World, &str)) -> World {
    let world = World::new();
    world.init("arbiter", &["--role", "arbiter"]);
    for signer in signers {
        init(&world, signer);
    }
    for signer in &signers[1..] {
        world.run("anna", &["contact", "add", &world.card(signer)]).good();
        world.run(signer, &["contact", "add", &world.card("anna")]).good();
    }
    for signer in signers {
        world.run(signer, &["contact", "add", &world.card("arbiter"), "--arbiter"]).good();
    }
    world
}

fn init(world: &World, signer: &str) {
    world.init(signer, &[]);
    world.configure(signer, |config| {
        config.insert("retry_max".to_owned(), 1.into());
    });
}

/// A signer who waits only so many seconds for the others.
fn impatient(world: &World, signer: &str, seconds: i64) {
    world.configure(signer, |config| {
        config.insert("patience".to_owned(), seconds.into());
    });
}

/// Anna proposes a contract to all the others; the deal.
fn propose(world: &World, signers: &[&str], more: &[&str]) -> String {
    let file = world.file("charter.txt", "All of us or none of us.\n");
    let mut args = vec!["sign", &file, "--no-ask", "--no-wait"];
    for signer in &signers[1..] {
        args.extend(["--with", signer]);
    }
    args.extend(more);
    deal_in(&world.run("anna", &args).good())
}

/// A signer's folder, as a stranger reads it.
fn contract(world: &World, signer: &str, deal: &str) -> Value {
    let report = world.report(&world.export(signer, deal));
    assert_eq!(report["sound"], true, "{signer}: {report:#}");
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{signer}: {report:#}");
    report["contracts"][0].clone()
}

// Nobody asks the arbiter, who is not even there. Bert and Cora have never heard of each other before.
#[test]
fn three_sign() {
    let signers = &FIVE[..3];
    let world = world_of(signers, init);
    let _nodes: Vec<_> = signers.iter().map(|signer| world.up(signer)).collect();
    let deal = propose(&world, signers, &["--terms", "For ever."]);
    let mut cids = Vec::new();
    for signer in signers {
        assert_eq!(world.ending(signer, &deal), "success", "{signer}");
        let contract = contract(&world, signer, &deal);
        assert_eq!((&contract["standing"], &contract["binding"]), (&"complete".into(), &true.into()));
        assert_eq!(contract["parties"].as_array().unwrap().len(), 3);
        assert!(contract["text"].as_str().unwrap().contains("For ever."));
        cids.push(contract["cid"].clone());
    }
    assert!(cids.iter().all(|cid| *cid == cids[0]));
    let words = world.verify(&world.export("cora", &deal)).good();
    assert!(words.contains("signed by all three") && words.contains("signer 3"), "{words}");
    let judged = world.run("nobody", &["judge", &world.export("cora", &deal).display().to_string()]).good();
    assert!(judged.contains("does the contract bind all? Yes: signatures of all on the last round"), "{judged}");
    let shown = world.run("bert", &["deals", "show", &deal]).good();
    assert!(shown.contains("the contract binds all") && shown.contains("anna, cora"), "{shown}");
    let contacts = world.run("bert", &["contact", "list"]).good();
    assert!(!contacts.contains("cora"), "who was only introduced is no contact: {contacts}");
    // What somebody has added to a folder or taken out of it is seen by the stranger.
    let folder = world.export("bert", &deal);
    let mut bytes = std::fs::read(&folder).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&folder, bytes).unwrap();
    assert_ne!(world.verify(&folder).code, Some(0));
}

// Each of five sends six rounds to four others, whom it may not know. One is killed with SIGKILL on the way and comes back.
#[test]
fn five_sign_although_one_is_killed() {
    let world = world_of(&FIVE, init);
    let mut nodes: Vec<_> = FIVE.iter().map(|signer| world.up(signer)).collect();
    let mut random = random();
    for round in 0..2 {
        let deal = propose(&world, &FIVE, &[]);
        let victim = random.random_range(1..FIVE.len());
        // The moment of the crash is what is tested: this is no wait for something to happen.
        let moment = Duration::from_millis(random.random_range(0..=1000));
        std::thread::sleep(moment);
        drop(nodes.remove(victim));
        nodes.insert(victim, world.up(FIVE[victim]));
        println!("round {round}: {} was killed after {} ms", FIVE[victim], moment.as_millis());
        for signer in FIVE {
            assert_eq!(world.ending(signer, &deal), "success", "{signer}");
            assert_eq!(contract(&world, signer, &deal)["standing"], "complete", "{signer}");
        }
    }
}

// The last is never there. Whoever loses patience asks the arbiter, who lets off one after the other; nobody is bound.
fn one_is_silent(signers: &[&str]) {
    let (silent, others) = signers.split_last().unwrap();
    let world = world_of(signers, init);
    for signer in others {
        impatient(&world, signer, 6);
    }
    let _nodes: Vec<_> = others.iter().map(|signer| world.up(signer)).collect();
    let _arbiter = world.serve("arbiter");
    let deal = propose(&world, signers, &["--patience", "6"]);
    let waiting = world.wait("anna", &deal, "waiting for others", |view| view["waits_for"] == "peer");
    assert!(waiting["missing"].as_array().unwrap().contains(&(*silent).into()), "{waiting:#}");
    for signer in others {
        assert_eq!(world.ending(signer, &deal), "aborted", "{signer}");
        let contract = contract(&world, signer, &deal);
        assert_eq!((&contract["standing"], &contract["binding"]), (&"let-off".into(), &false.into()), "{contract:#}");
        assert!(contract["verdict_log_place"].is_u64(), "{contract:#}");
    }
    let words = world.run("bert", &["deals", "show", &deal]).good();
    assert!(words.contains("aborted: nobody is bound") && words.contains("we are signer 2"), "{words}");
    // Who comes too late finds nothing: what the others had to say is no use to anybody any more.
    let _late = world.up(silent);
    // Longer than two attempts to send lie apart.
    std::thread::sleep(Duration::from_secs(3));
    assert!(world.deal(silent, &deal).is_null());
}

#[test]
fn one_of_three_is_silent_from_the_start() {
    one_is_silent(&FIVE[..3]);
}

#[test]
fn one_of_five_is_silent_from_the_start() {
    one_is_silent(&FIVE);
}

/// The line to a signer, which breaks after so many messages.
struct Line {
    to: String,
    left: AtomicUsize,
}

async fn carry(State(line): State<Arc<Line>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    if line.left.load(Ordering::SeqCst) == 0 {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}/inbox", line.to)).header(header::CONTENT_TYPE, &headers[header::CONTENT_TYPE]);
    let Ok(response) = request.body(body).send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, kind) = (response.status(), response.headers()[header::CONTENT_TYPE].clone());
    // What was refused because it came too early comes again.
    if status.is_success() {
        let _ = line.left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    }
    (status, [(header::CONTENT_TYPE, kind)], response.bytes().await.unwrap()).into_response()
}

// The last hears nothing more after the second round, and stops. The others hold a round that all have signed: the arbiter completes the
// contract. Who stopped and was killed comes back and is bound like them.
fn one_stops(signers: &[&str]) {
    let (last, others) = signers.split_last().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // An address of its own, before there is a world that has one.
    let socket = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let address = format!("http://{}", socket.local_addr().unwrap());
    let world = world_of(signers, |world, signer| {
        if signer == *last { world.init(signer, &["--address", &address]) } else { init(world, signer) }
    });
    for signer in signers {
        impatient(&world, signer, 10);
    }
    // The proposal, and two rounds of all others.
    let line = Arc::new(Line { to: world.url(last), left: AtomicUsize::new(1 + 2 * others.len()) });
    let router = axum::Router::new().fallback(carry).with_state(line.clone());
    runtime.spawn(async { axum::serve(socket, router).await });
    let _nodes: Vec<_> = others.iter().map(|signer| world.up(signer)).collect();
    let (_arbiter, stopping) = (world.serve("arbiter"), world.up(last));
    let deal = propose(&world, signers, &["--patience", "10"]);
    assert!(until(|| (line.left.load(Ordering::SeqCst) == 0).then_some(())).is_some(), "the line never broke");
    drop(stopping);
    for signer in others {
        assert_eq!(world.ending(signer, &deal), "success", "{signer}");
        let contract = contract(&world, signer, &deal);
        assert_eq!((&contract["standing"], &contract["binding"]), (&"resolved".into(), &true.into()), "{contract:#}");
    }
    let _back = world.up(last);
    assert_eq!(world.ending(last, &deal), "success");
    assert_eq!(contract(&world, last, &deal)["standing"], "resolved");
}

#[test]
fn one_of_three_stops_in_the_last_rounds() {
    one_stops(&FIVE[..3]);
}

#[test]
fn one_of_five_stops_in_the_last_rounds() {
    one_stops(&FIVE);
}

// Cora does not accept the arbiter. She has said nothing, so nobody can be bound, whether or not the others had signed already.
#[test]
fn one_who_refuses_the_proposal() {
    let signers = &FIVE[..3];
    let world = world_of(signers, init);
    world.run("cora", &["contact", "remove", "arbiter"]).good();
    let _nodes: Vec<_> = signers.iter().map(|signer| world.up(signer)).collect();
    let _arbiter = world.serve("arbiter");
    let deal = propose(&world, signers, &[]);
    assert_ne!(world.ending("anna", &deal), "success");
    // If Anna was told before Bert had the proposal, he never gets it.
    let bert_knows = !world.deal("bert", &deal).is_null();
    if bert_knows {
        world.run("bert", &["deals", "give-up", &deal]);
    }
    for signer in &signers[..1 + usize::from(bert_knows)] {
        assert_ne!(world.ending(signer, &deal), "success", "{signer}");
        assert_eq!(contract(&world, signer, &deal)["binding"], false, "{signer}");
    }
    assert!(world.deal("cora", &deal).is_null());
    // Twin: under an arbiter that she accepts she signs with them.
    world.run("cora", &["contact", "add", &world.card("arbiter"), "--arbiter"]).good();
    let deal = propose(&world, signers, &[]);
    for signer in signers {
        assert_eq!(world.ending(signer, &deal), "success", "{signer}");
    }
}

// Nobody signs twice, with itself, or with more than there is room for.
#[test]
fn who_can_sign_together() {
    let signers = &FIVE[..3];
    let world = world_of(signers, init);
    let _anna = world.up("anna");
    let file = world.file("charter.txt", "All of us or none of us.\n");
    let with = |others: &[&str]| {
        let mut args = vec!["sign", &file, "--no-ask", "--no-wait"];
        for other in others {
            args.extend(["--with", other]);
        }
        world.run("anna", &args)
    };
    with(&["bert", "bert"]).failed_with(&["bert is named twice"]);
    with(&["bert", "nobody"]).failed_with(&["there is no contact \"nobody\""]);
    with(&["bert"; 8]).failed_with(&["two to 8 parties"]);
    with(&["bert", "cora"]).good();
}
