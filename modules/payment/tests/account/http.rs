//! The bank over HTTP on loopback, and its description in OpenAPI.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::HeaderValue;
use semper_core::cbor::Decode;
use semper_core::cose::Signed;
use semper_core::signature::verify;
use semper_crypto::Verifier;
use semper_payment::account::answer::{BankTerms, Booking};
use semper_payment::account::bank::http::{PATHS, routes};
use semper_payment::account::problem::{Fate, ProblemKind, Refusal};
use semper_payment::account::request::{Action, REQUEST_MAX};
use semper_payment::admit::{Admit, Cost, everybody};

use super::world::{World, eur, takes};

/// The bank's address on loopback.
pub(crate) async fn serve(world: &World) -> String {
    serve_those(world, &everybody()).await
}

/// The bank, for those who are let in.
async fn serve_those(world: &World, admit: &Admit) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = routes(world.bank.clone(), admit);
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn post(base: &str, media_type: &str, body: Vec<u8>) -> (u16, String, Vec<u8>) {
    let request = client().post(format!("{base}/v1/requests")).header("content-type", media_type).body(body);
    let response = request.send().await.unwrap();
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    (response.status().as_u16(), media_type, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn a_payment_over_http() {
    let world = World::new().await;
    let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
    let base = serve(&world).await;
    let terms = client().get(format!("{base}/v1/bank")).send().await.unwrap();
    let document: serde_json::Value = serde_json::from_slice(&terms.bytes().await.unwrap()).unwrap();
    let signed = data_encoding::BASE64.decode(document["signed"].as_str().unwrap().as_bytes()).unwrap();
    let signed = Signed::from_bytes(&signed).unwrap();
    let terms = BankTerms::from_bytes(signed.payload()).unwrap();
    verify::<BankTerms>(&Verifier, &terms.key_set, &signed).unwrap();
    assert_eq!(document["key_set"], terms.key_set.id().to_string());

    let request = world.request(&bob.keys, Some(bob.number), takes(world.pays(&alice, &bob, 300), 300));
    let (status, media_type, body) = post(&base, "application/cose", request.bytes().to_vec()).await;
    assert_eq!((status, media_type.as_str()), (200, "application/cose"));
    assert_eq!(world.read::<Booking>(&body).amount, eur(300));
    assert_eq!(post(&base, "application/cose", request.bytes().to_vec()).await.2, body);

    let health = client().get(format!("{base}/health")).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let metrics = client().get(format!("{base}/metrics")).send().await.unwrap().bytes().await.unwrap();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    assert!(metrics.contains("semper_bank_requests_total{verb=\"authorise\",outcome=\"done\"} 2"), "{metrics}");
}

#[tokio::test]
async fn refusals_are_problem_documents() {
    let world = World::new().await;
    let (alice, bob) = (world.customer(10).await, world.customer(0).await);
    let base = serve(&world).await;
    let poor = Action::Transfer { amount: eur(11), to: bob.number, reference: String::new(), fee_most: eur(0) };
    let poor = world.request(&alice.keys, Some(alice.number), poor).bytes().to_vec();
    for (media_type, body, kind) in [
        ("application/cose", poor, ProblemKind::Insufficient),
        ("application/cose", b"not cbor".to_vec(), ProblemKind::Malformed),
        ("application/json", b"{}".to_vec(), ProblemKind::WrongType),
        ("application/cose", vec![0; REQUEST_MAX + 1], ProblemKind::TooLarge),
    ] {
        let (status, found, body) = post(&base, media_type, body).await;
        assert_eq!((status, found.as_str()), (kind.status(), "application/problem+json"), "{kind:?}");
        assert_eq!(Refusal::from_json(&body).unwrap().kind, kind);
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        for member in ["type", "title", "status", "detail", "money", "advice", "retry"] {
            assert!(!document[member].is_null(), "{kind:?} has no {member}");
        }
    }
    let nowhere = client().get(format!("{base}/v2/bank")).send().await.unwrap();
    assert_eq!(nowhere.status(), 404);
    let method = client().get(format!("{base}/v1/requests")).send().await.unwrap();
    assert_eq!(method.status(), 405);
}

// A stranger who asks too often is stopped before the bank reads what it sent, and knows when to come again; the request is not decided.
#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again() {
    let world = World::new().await;
    let (alice, bob) = (world.customer(10).await, world.customer(0).await);
    let closed = Arc::new(AtomicBool::new(true));
    let gate = closed.clone();
    let admit: Admit = Arc::new(move |_, cost| match cost {
        Cost::Write if gate.load(Ordering::SeqCst) => Err(Duration::from_millis(6500)),
        _ => Ok(()),
    });
    let base = serve_those(&world, &admit).await;
    let action = Action::Transfer { amount: eur(7), to: bob.number, reference: String::new(), fee_most: eur(0) };
    let request = world.request(&alice.keys, Some(alice.number), action).bytes().to_vec();
    let sent = client().post(format!("{base}/v1/requests")).header("content-type", "application/cose");
    let response = sent.body(request.clone()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &HeaderValue::from(7)));
    let refusal = Refusal::from_json(&response.bytes().await.unwrap()).unwrap();
    assert_eq!((refusal.kind, refusal.kind.fate()), (ProblemKind::TooMany, Fate::Again));
    assert_eq!(world.money(&alice).await, (10, 0));
    let metrics = client().get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("semper_bank_requests_total{verb=\"unread\",outcome=\"too-many\"} 1"), "{metrics}");
    closed.store(false, Ordering::SeqCst);
    assert_eq!(post(&base, "application/cose", request).await.0, 200);
    assert_eq!(world.money(&alice).await, (3, 0));
}

fn described() -> serde_json::Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/openapi/bank.yaml");
    serde_norway::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

// A description that lacks a route, or has one that is not there, misleads whoever writes a client from it.
#[tokio::test]
async fn every_route_is_described_and_every_described_route_is_there() {
    let document = described();
    let mut found = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            found.insert((method.clone(), path.clone()));
        }
    }
    let expected: BTreeSet<_> = PATHS.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(found, expected);
    let world = World::new().await;
    let base = serve(&world).await;
    for (method, path) in PATHS {
        let request = match *method {
            "get" => client().get(format!("{base}{path}")),
            _ => client().post(format!("{base}{path}")),
        };
        let status = request.send().await.unwrap().status().as_u16();
        assert!(![404, 405].contains(&status), "{method} {path}: {status}");
    }
}

// Every kind of problem is in the description, and what the bank sends has the shape that it describes.
#[tokio::test]
async fn what_is_sent_is_as_described() {
    let document = described();
    let schema = |name: &str| {
        let mut schema = document["components"]["schemas"][name].clone();
        schema["components"] = document["components"].clone();
        jsonschema::validator_for(&schema).unwrap()
    };
    let problem = schema("Problem");
    for kind in ProblemKind::ALL {
        let sent: serde_json::Value = serde_json::from_str(&kind.because("x").to_json()).unwrap();
        let errors: Vec<String> = problem.iter_errors(&sent).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{kind:?}");
    }
    assert!(!problem.is_valid(&serde_json::json!({ "type": "about:blank" })));
    let world = World::new().await;
    let base = serve(&world).await;
    let body = client().get(format!("{base}/v1/bank")).send().await.unwrap().bytes().await.unwrap();
    let terms: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let errors: Vec<String> = schema("Bank").iter_errors(&terms).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}
