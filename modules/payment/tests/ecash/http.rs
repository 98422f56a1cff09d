//! The mint's HTTP interface against its description: every route is described, and every answer is as described.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use cashu::{MintRequest, RestoreRequest};
use semper_payment::admit::{Admit, Cost, everybody};
use semper_payment::ecash::crypto::hash_to_curve;
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::{Mint, routes};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::payments::invoice;
use crate::support::{METHOD, Wanted, World, melt_request, swap_all};

const DESCRIPTION: &str = include_str!("../../../../spec/openapi/mint.yaml");

/// A mint on a port of its own.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) url: String,
    client: reqwest::Client,
}

impl Served {
    pub(crate) async fn start(mint: Arc<Mint>) -> Self {
        Self::start_for(mint, everybody()).await
    }

    /// A mint for those who are let in.
    async fn start_for(mint: Arc<Mint>, admit: Admit) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        tokio::spawn(async move { axum::serve(listener, routes(mint, &admit)).await.unwrap() });
        Self { url, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) async fn post(&self, path: &str, body: String) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        Self::answer(request.body(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        Self::answer(self.client.get(format!("{}{path}", self.url))).await
    }

    async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        (status, serde_json::from_slice(&bytes).unwrap_or_else(|_| text()))
    }
}

/// The description, and which of its operations were asked.
struct Described {
    document: Value,
    asked: Vec<(String, String)>,
}

impl Described {
    fn new() -> Self {
        Self { document: serde_norway::from_str(DESCRIPTION).unwrap(), asked: Vec::new() }
    }

    /// Checks an answer to `method path` (as it stands in the description) against its schema.
    fn check(&mut self, method: &str, path: &str, status: u16, answer: &Value) {
        let operation = &self.document["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} is not described");
        let mut response = operation["responses"][status.to_string()].clone();
        assert!(response.is_object(), "{method} {path} {status} is not described: {answer}");
        if let Some(reference) = response["$ref"].as_str() {
            response = self.document.pointer(reference.trim_start_matches('#')).unwrap().clone();
        }
        let content = response["content"].as_object().unwrap().values().next().unwrap();
        let mut schema = content["schema"].clone();
        schema["components"] = self.document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{method} {path} {status}: {errors:?} in {answer}");
        self.asked.push((method.to_owned(), path.to_owned()));
    }
}

#[tokio::test]
async fn every_route_is_described_and_answers_as_described() {
    let world = World::new().await;
    let served = Served::start(world.mint.clone()).await;
    let mut described = Described::new();
    let keyset = world.active(Unit::Eur);

    for path in ["/v1/info", "/v1/keys", "/v1/keysets", "/health", "/metrics"] {
        let (status, answer) = served.get(path).await;
        described.check("get", path, status, &answer);
        assert_eq!(status, 200, "{path}");
    }
    let (status, answer) = served.get(&format!("/v1/keys/{}", keyset.id)).await;
    described.check("get", "/v1/keys/{id}", status, &answer);
    let (status, answer) = served.get("/v1/keys/0011").await;
    described.check("get", "/v1/keys/{id}", status, &answer);
    assert_eq!((status, &answer["code"]), (400, &json!(12001)));

    let bought = served.post("/v1/mint/quote/bolt11", json!({"amount": 128, "unit": "eur"}).to_string()).await;
    described.check("post", "/v1/mint/quote/{method}", bought.0, &bought.1);
    let id = bought.1["quote"].as_str().unwrap().to_owned();
    let (status, answer) = served.get(&format!("/v1/mint/quote/bolt11/{id}")).await;
    described.check("get", "/v1/mint/quote/{method}/{quote}", status, &answer);
    let wanted = Wanted::new(keyset.clone(), &[128]);
    let request = MintRequest { quote: id, outputs: wanted.outputs(), signature: None };
    let (status, answer) = served.post("/v1/mint/bolt11", serde_json::to_string(&request).unwrap()).await;
    described.check("post", "/v1/mint/{method}", status, &answer);
    let coins = wanted.coins(serde_json::from_value(answer["signatures"].clone()).unwrap());

    let (swap, swapped) = swap_all(keyset.clone(), &coins, 0);
    let body = serde_json::to_string(&swap).unwrap();
    let (status, answer) = served.post("/v1/swap", body.clone()).await;
    described.check("post", "/v1/swap", status, &answer);
    let coins = swapped.coins(serde_json::from_value(answer["signatures"].clone()).unwrap());
    let (again, repeated) = served.post("/v1/swap", body).await;
    assert_eq!((again, repeated), (status, answer));
    let (status, answer) = served.post("/v1/swap", "{}".to_owned()).await;
    described.check("post", "/v1/swap", status, &answer);
    assert_eq!(status, 400);
    let (status, answer) = served.post("/v1/swap", " ".repeat(3 * 1024 * 1024)).await;
    described.check("post", "/v1/swap", status, &answer);
    assert_eq!(status, 413);

    let asked = json!({"request": invoice(100).await, "unit": "eur"});
    let (status, answer) = served.post("/v1/melt/quote/bolt11", asked.to_string()).await;
    described.check("post", "/v1/melt/quote/{method}", status, &answer);
    let quote = answer["quote"].as_str().unwrap().to_owned();
    let blanks = Wanted::new(keyset, &[1; 8]);
    let request = melt_request(&quote, &coins, Some(&blanks));
    let (status, answer) = served.post("/v1/melt/bolt11", serde_json::to_string(&request).unwrap()).await;
    described.check("post", "/v1/melt/{method}", status, &answer);
    assert_eq!(answer["state"], "PAID");
    let (status, answer) = served.get(&format!("/v1/melt/quote/bolt11/{quote}")).await;
    described.check("get", "/v1/melt/quote/{method}/{quote}", status, &answer);
    let (status, answer) = served.post("/v1/melt/quote/gold", "{}".to_owned()).await;
    described.check("post", "/v1/melt/quote/{method}", status, &answer);
    assert_eq!(status, 404);

    let ys = json!({"Ys": [hash_to_curve(coins[0].secret.as_bytes()).to_hex()]});
    let (status, answer) = served.post("/v1/checkstate", ys.to_string()).await;
    described.check("post", "/v1/checkstate", status, &answer);
    assert_eq!(answer["states"][0]["state"], "SPENT");
    let outputs = RestoreRequest { outputs: swapped.outputs() };
    let (status, answer) = served.post("/v1/restore", serde_json::to_string(&outputs).unwrap()).await;
    described.check("post", "/v1/restore", status, &answer);
    assert_eq!(answer["signatures"].as_array().unwrap().len(), swapped.outputs().len());

    let paths = described.document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
    });
    for operation in all {
        assert!(described.asked.contains(&operation), "{operation:?} is described and was not asked");
    }
}

// A stranger who asks too often is stopped before anything is stored, in words that wallets of this protocol read, and knows when to come again.
#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again() {
    let world = World::new().await;
    let admit: Admit = Arc::new(|_, cost| if cost == Cost::Offer { Err(Duration::from_millis(6500)) } else { Ok(()) });
    let served = Served::start_for(world.mint.clone(), admit).await;
    let asked = json!({"amount": 8, "unit": "eur"}).to_string();
    let sent = served.client.post(format!("{}/v1/mint/quote/bolt11", served.url)).body(asked);
    let response = sent.send().await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let headers = (header("retry-after"), header("content-type"), header("access-control-allow-origin"));
    assert_eq!(headers, ("7".to_owned(), "application/problem+json".to_owned(), "*".to_owned()));
    let status = response.status().as_u16();
    let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    Described::new().check("post", "/v1/mint/quote/{method}", status, &answer);
    assert_eq!(
        (status, &answer["code"], &answer["type"]),
        (429, &json!(0), &json!("urn:semper:problem:mint:too-many"))
    );
    assert!(world.archive.records("ecash-mint-quote", None, 1).await.unwrap().is_empty());
    let Value::String(text) = served.get("/metrics").await.1 else { panic!() };
    let line = "semper_mint_requests_total{operation=\"mint-quote\",outcome=\"too-many\"} 1";
    assert!(text.lines().any(|found| found == line), "{text}");
    assert_eq!(served.get("/v1/keys").await.0, 200);
}

// Test money must be seen for what it is by everybody who looks.
#[tokio::test]
async fn test_money_says_so() {
    let world = World::new().await;
    let served = Served::start(world.mint.clone()).await;
    let (_, info) = served.get("/v1/info").await;
    for field in ["name", "description", "motd"] {
        assert!(info[field].as_str().unwrap().contains("TEST MONEY"), "{field}");
    }
    assert_eq!(
        info["nuts"]["4"]["methods"][0],
        json!({"method": METHOD, "unit": "eur", "min_amount": 1, "max_amount": 1_000_000_000})
    );
}

#[tokio::test]
async fn counters_count() {
    let world = World::new().await;
    let served = Served::start(world.mint.clone()).await;
    let coins = world.coins(Unit::Eur, &[8]).await;
    let (swap, _) = swap_all(world.active(Unit::Eur), &coins, 0);
    let body = serde_json::to_string(&swap).unwrap();
    for _ in 0..2 {
        served.post("/v1/swap", body.clone()).await;
    }
    served.post("/v1/swap", "{}".to_owned()).await;
    let Value::String(text) = served.get("/metrics").await.1 else { panic!() };
    let id = world.active(Unit::Eur).id;
    for line in [
        "semper_mint_requests_total{operation=\"swap\",outcome=\"granted\"} 2".to_owned(),
        "semper_mint_requests_total{operation=\"swap\",outcome=\"malformed\"} 1".to_owned(),
        // Bought and swapped once; the repetition is no money.
        format!("semper_mint_issued_minor_total{{keyset=\"{id}\"}} 16"),
        format!("semper_mint_redeemed_minor_total{{keyset=\"{id}\"}} 8"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
