//! The mint's HTTP interface: the protocol's paths, `/health`, `/metrics`. Described in `spec/openapi/mint.yaml`.

use std::str::FromStr as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use cashu::Id;
use serde::Serialize;

use super::refusal::Refusal;
use super::{Body, Mint};
use crate::admit::{Admit, Cost, admitted};

type Shared = State<Arc<Mint>>;
type Sent = Result<Bytes, BytesRejection>;

/// The mint's routes. Whoever serves them bounds connections and their silence, and says by `admit` who asks too often.
pub fn routes(mint: Arc<Mint>, admit: &Admit) -> Router {
    let limit = DefaultBodyLimit::max(mint.settings.limits.body_bytes_max);
    let at = |operation: &'static str, cost: Cost, handler: MethodRouter<Arc<Mint>>| {
        let mint = mint.clone();
        admitted(handler, admit, cost, move |wait| answer::<()>(&mint, operation, Err(Refusal::TooMany(wait))))
    };
    Router::new()
        .route("/v1/info", at("info", Cost::Read, get(info)))
        .route("/v1/keys", at("keys", Cost::Read, get(keys)))
        .route("/v1/keys/{id}", at("keys", Cost::Read, get(keys_of)))
        .route("/v1/keysets", at("keysets", Cost::Read, get(keysets)))
        .route("/v1/swap", at("swap", Cost::Write, post(swap)))
        .route("/v1/mint/quote/{method}", at("mint-quote", Cost::Offer, post(mint_quote)))
        .route("/v1/mint/quote/{method}/{quote}", at("mint-quote-state", Cost::Write, get(mint_quote_state)))
        .route("/v1/mint/{method}", at("mint", Cost::Write, post(mint_coins)))
        .route("/v1/melt/quote/{method}", at("melt-quote", Cost::Offer, post(melt_quote)))
        .route("/v1/melt/quote/{method}/{quote}", at("melt-quote-state", Cost::Read, get(melt_quote_state)))
        .route("/v1/melt/{method}", at("melt", Cost::Write, post(melt)))
        .route("/v1/checkstate", at("checkstate", Cost::Read, post(check_state)))
        .route("/v1/restore", at("restore", Cost::Read, post(restore)))
        .route("/health", at("health", Cost::Read, get(health)))
        .route("/metrics", at("metrics", Cost::Read, get(metrics)))
        .layer(limit)
        .layer(from_fn(open_to_pages))
        .with_state(mint.clone())
}

/// Lets wallets that are web pages of other origins ask: nothing here depends on who asks.
async fn open_to_pages(request: Request, next: Next) -> Response {
    let asks_first = request.method() == Method::OPTIONS;
    let mut response = if asks_first { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if asks_first {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
    response
}

async fn info(State(mint): Shared) -> Response {
    answer(&mint, "info", Ok(mint.info()))
}

async fn keys(State(mint): Shared) -> Response {
    answer(&mint, "keys", Ok(mint.keysets().keys()))
}

async fn keys_of(State(mint): Shared, Path(id): Path<String>) -> Response {
    let keys = Id::from_str(&id).map_err(|_| Refusal::UnknownKeyset(shortened(&id)));
    answer(&mint, "keys", keys.and_then(|id| mint.keysets().keys_of(&id)))
}

async fn keysets(State(mint): Shared) -> Response {
    answer(&mint, "keysets", Ok(mint.keysets().list()))
}

async fn swap(State(mint): Shared, sent: Sent) -> Response {
    let result = match body(&mint, sent) {
        Ok(body) => mint.swap(body).await,
        Err(refusal) => Err(refusal),
    };
    answer(&mint, "swap", result)
}

async fn mint_quote(State(mint): Shared, Path(method): Path<String>, sent: Sent) -> Response {
    let result = match body(&mint, sent) {
        Ok(body) => mint.mint_quote(&method, body).await,
        Err(refusal) => Err(refusal),
    };
    answer(&mint, "mint-quote", result)
}

async fn mint_quote_state(State(mint): Shared, Path((method, quote)): Path<(String, String)>) -> Response {
    answer(&mint, "mint-quote-state", mint.mint_quote_state(&method, &quote).await)
}

async fn mint_coins(State(mint): Shared, Path(method): Path<String>, sent: Sent) -> Response {
    let result = match body(&mint, sent) {
        Ok(body) => mint.mint(&method, body).await,
        Err(refusal) => Err(refusal),
    };
    answer(&mint, "mint", result)
}

async fn melt_quote(State(mint): Shared, Path(method): Path<String>, sent: Sent) -> Response {
    let result = match body(&mint, sent) {
        Ok(body) => mint.melt_quote(&method, body).await,
        Err(refusal) => Err(refusal),
    };
    answer(&mint, "melt-quote", result)
}

async fn melt_quote_state(State(mint): Shared, Path((method, quote)): Path<(String, String)>) -> Response {
    answer(&mint, "melt-quote-state", mint.melt_quote_state(&method, &quote).await)
}

async fn melt(State(mint): Shared, Path(method): Path<String>, sent: Sent) -> Response {
    // A client that goes away must not stop a payment between its order and its end; the order would only wait for the next round.
    let task = tokio::spawn({
        let mint = mint.clone();
        async move {
            let body = body(&mint, sent)?;
            mint.melt(&method, body).await
        }
    });
    let result = task.await.unwrap_or(Err(Refusal::Unsure));
    answer(&mint, "melt", result)
}

async fn check_state(State(mint): Shared, sent: Sent) -> Response {
    let result = match body(&mint, sent) {
        Ok(body) => mint.check_state(body).await,
        Err(refusal) => Err(refusal),
    };
    answer(&mint, "checkstate", result)
}

async fn restore(State(mint): Shared, sent: Sent) -> Response {
    let result = match body(&mint, sent) {
        Ok(body) => mint.restore(body).await,
        Err(refusal) => Err(refusal),
    };
    answer(&mint, "restore", result)
}

/// Whether the archive answers.
async fn health(State(mint): Shared) -> Response {
    match mint.ledger.fact("ecash-keyset", b"").await {
        Ok(_) => "ok\n".into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn metrics(State(mint): Shared) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], mint.metrics.text()).into_response()
}

fn body(mint: &Mint, sent: Sent) -> Result<Body, Refusal> {
    sent.map(Body).map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge(mint.settings.limits.body_bytes_max),
        _ => Refusal::Malformed(rejection.body_text()),
    })
}

fn answer<T: Serialize>(mint: &Mint, operation: &'static str, result: Result<T, Refusal>) -> Response {
    mint.metrics.request(operation, result.as_ref().map_or_else(Refusal::name, |_| "granted"));
    match result {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(66).collect()
}
