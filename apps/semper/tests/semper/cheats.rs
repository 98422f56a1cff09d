//! What others can send to a node or try on it: it says no, and goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use semper_channel::SEALED_TYPE;
use semper_support::channel::MESSAGE_BYTES_MAX;

use crate::world::World;

/// Sends a hand-made HTTP request and gives the status and the answer.
fn raw(address: &str, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(head.replace('\n', "\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

// Bytes from anybody: each is refused with the status that says why, and Bob still signs with Alice afterwards.
#[test]
fn an_inbox_refuses_what_is_no_message() {
    let world = World::of_two();
    let (_alice, _bob) = (world.up("alice"), world.up("bob"));
    let bob = world.listen("bob");
    let post = |content_type: &str, length: usize, body: &[u8]| {
        let head = format!(
            "POST /inbox HTTP/1.1\nHost: {bob}\nConnection: close\nContent-Type: {content_type}\nContent-Length: {length}\n\n"
        );
        raw(&bob, &head, body)
    };
    let garbage: Vec<u8> = (0..1000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for body in [b"".as_slice(), b"garbage", &garbage, &[0x81; 100_000]] {
        let (status, answer) = post(SEALED_TYPE, body.len(), body);
        assert!(status == 400 && answer.contains("malformed"), "{answer}");
    }
    for content_type in ["application/json", "text/plain", "application/octet-stream"] {
        let (status, answer) = post(content_type, 2, b"{}");
        assert!(status == 415 && answer.contains(SEALED_TYPE), "{answer}");
    }
    let (status, answer) = post(SEALED_TYPE, MESSAGE_BYTES_MAX + 1, b"");
    assert!(status == 413 && answer.contains(&MESSAGE_BYTES_MAX.to_string()), "{answer}");
    let (status, answer) = raw(&bob, &format!("GET /inbox HTTP/1.1\nHost: {bob}\nConnection: close\n\n"), b"");
    assert_eq!(status, 405, "{answer}");
    let deal = world.propose(&[]);
    assert_eq!(world.ending("bob", &deal), "success");
    assert_eq!(world.json("bob", &["deals", "list", "--json"]).as_array().unwrap().len(), 1);
}

// Whoever has Bob's card can seal for him. Only those in his contact book open deals, and the stranger is told.
#[test]
fn a_stranger_opens_no_deal() {
    let world = World::of_two();
    world.init("carol", &[]);
    world.run("carol", &["contact", "add", &world.card("bob")]).good();
    world.run("carol", &["contact", "add", &world.card("arbiter"), "--arbiter"]).good();
    let (_carol, _bob, _arbiter) = (world.up("carol"), world.up("bob"), world.serve("arbiter"));
    let file = world.file("offer.txt", "one bicycle");
    let ran = world.run("carol", &["sign", &file, "--with", "bob", "--no-ask"]);
    assert_eq!(ran.code, Some(2), "{}", ran.text);
    assert!(ran.text.contains("the sender is not in this party's contact book"), "{}", ran.text);
    assert_eq!(world.json("bob", &["deals", "list", "--json"]), serde_json::json!([]));
}

// An arbiter that only Alice accepts could be Alice: Bob promises nothing under it.
#[test]
fn an_arbiter_that_was_not_accepted_is_refused() {
    let world = World::of_two();
    world.init("other", &["--role", "arbiter"]);
    world.run("alice", &["contact", "add", &world.card("other"), "--arbiter"]).good();
    let (_alice, _bob) = (world.up("alice"), world.up("bob"));
    let _other = world.start("other", &["serve", "--role", "arbiter"]);
    let deal = world.propose(&["--arbiter", "other"]);
    // Whether Alice had promised already when his refusal came is a matter of time.
    let ending = world.ending("alice", &deal);
    assert!(ending == "lapsed" || ending == "aborted", "{ending}");
    let view = world.deal("alice", &deal);
    let trouble = view["trouble"].as_str().unwrap_or_default();
    assert!(trouble.contains("not among the accepted ones"), "{view:#}");
    let bob = world.deal("bob", &deal);
    assert!(bob.is_null() || bob["ending"] != "success" && bob["ending"].is_string(), "{bob:#}");
    // Twin: under the arbiter that both accept the same contract is signed.
    let deal = world.propose(&["--arbiter", "arbiter"]);
    assert_eq!(world.ending("alice", &deal), "success");
}

/// Somebody on the line to Bob who sends everything five times.
async fn five_times(State(bob): State<String>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut answers = Vec::new();
    for _ in 0..5 {
        let request = http.post(format!("{bob}/inbox")).header(header::CONTENT_TYPE, &headers[header::CONTENT_TYPE]);
        let response = request.body(body.clone()).send().await.unwrap();
        let (status, kind) = (response.status(), response.headers()[header::CONTENT_TYPE].clone());
        answers.push((status, [(header::CONTENT_TYPE, kind)], response.bytes().await.unwrap()));
    }
    // The same bytes bring the same answer.
    if answers.iter().all(|answer| answer.2 == answers[0].2) {
        answers.swap_remove(0).into_response()
    } else {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

// A message that counts each time it comes would open five deals, or ask Bob five times.
#[test]
fn a_message_counts_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = World::new();
    let line = runtime.block_on(tokio::net::TcpListener::bind((world.ip(), 0))).unwrap();
    world.init("arbiter", &["--role", "arbiter"]);
    world.init("alice", &[]);
    world.init("bob", &["--address", &format!("http://{}", line.local_addr().unwrap())]);
    world.acquaint();
    let router = axum::Router::new().fallback(five_times).with_state(world.url("bob"));
    runtime.spawn(async { axum::serve(line, router).await });
    let (_alice, _bob) = (world.up("alice"), world.up("bob"));
    let deal = world.propose(&[]);
    assert_eq!(world.ending("alice", &deal), "success");
    assert_eq!(world.ending("bob", &deal), "success");
    let report = world.report(&world.export("bob", &deal));
    assert!(report["sound"] == true && report["contracts"].as_array().unwrap().len() == 1, "{report:#}");
    assert_eq!(world.json("bob", &["deals", "list", "--json"]).as_array().unwrap().len(), 1);
}

// The control interface signs. Another user of the machine has no token; a web page in the user's browser reaches the port, but
// under a host name of its own.
#[test]
fn the_control_interface_is_for_its_user() {
    let world = World::new();
    world.init("alice", &[]);
    let _alice = world.up("alice");
    let mode = |name: &str| world.path("alice").join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run/control.json"), mode("vault/keys"), mode("run")), (0o600, 0o600, 0o700));
    let endpoint = world.endpoint("alice").unwrap();
    let address = format!("127.0.0.1:{}", endpoint["port"]);
    let token = endpoint["token"].as_str().unwrap();
    let wrong = token.chars().rev().collect::<String>();
    let get = |path: &str, host: &str, authorization: &str| {
        raw(&address, &format!("GET {path} HTTP/1.1\nHost: {host}\nConnection: close\n{authorization}\n"), b"").0
    };
    for path in ["/deals", "/purses", "/contacts", "/alive"] {
        assert_eq!(get(path, &address, &format!("Authorization: Bearer {token}\n")), 200, "{path}");
        assert_eq!(get(path, &address, ""), 401, "{path}");
        assert_eq!(get(path, &address, &format!("Authorization: Bearer {wrong}\n")), 401, "{path}");
        assert_eq!(get(path, &address, &format!("Authorization: Basic {token}\n")), 401, "{path}");
        for host in ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example:80"] {
            assert_eq!(get(path, host, &format!("Authorization: Bearer {token}\n")), 401, "{path} at {host}");
        }
    }
}
