//! The bank's routes.
//!
//! ```text
//! POST /v1/requests   application/cose: a signed account request → application/cose: the signed answer
//! GET  /v1/bank       the terms: JSON for people, and the same signed, base64
//! GET  /health        200 if storage answers
//! GET  /metrics       Prometheus text
//! ```
//! Errors are problem documents ([`crate::account::problem`]). Every unsafe request carries its own idempotency key: the id inside.

use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use data_encoding::BASE64;
use semper_core::amount::Currency;
use semper_core::cbor::Decode;
use semper_core::time::Seconds;
use serde_json::json;

use super::Bank;
use crate::account::answer::BankTerms;
use crate::account::problem::{PROBLEM_TYPE, ProblemKind, Refusal};
use crate::account::request::REQUEST_MAX;
use crate::admit::{Admit, Cost, admitted};

/// Media type of requests and answers.
pub const COSE: &str = "application/cose";
/// Every path, with its method; the description in `spec/openapi/bank.yaml` has the same.
pub const PATHS: &[(&str, &str)] =
    &[("post", "/v1/requests"), ("get", "/v1/bank"), ("get", "/health"), ("get", "/metrics")];

/// How long a refused sender should wait.
const WAIT: Seconds = Seconds(2);

/// The routes of a bank. Whoever serves them says by `admit` which addresses ask too often.
pub fn routes(bank: Arc<Bank>, admit: &Admit) -> Router {
    let at = |verb: &'static str, cost: Cost, handler: MethodRouter<Arc<Bank>>| {
        let bank = bank.clone();
        admitted(handler, admit, cost, move |wait| {
            bank.count(verb, ProblemKind::TooMany.name());
            too_many(wait)
        })
    };
    Router::new()
        .route("/v1/requests", at("unread", Cost::Write, post(request)))
        .route("/v1/bank", at("terms", Cost::Read, get(terms)))
        .route("/health", at("health", Cost::Read, get(health)))
        .route("/metrics", at("metrics", Cost::Read, get(metrics)))
        .fallback(|| async { ProblemKind::NotFound.because("no such path") })
        .method_not_allowed_fallback(|| async { ProblemKind::WrongMethod.because("another method") })
        .layer(DefaultBodyLimit::max(REQUEST_MAX))
        .with_state(bank.clone())
}

/// The refusal of an address that asks too often.
fn too_many(wait: u64) -> Response {
    let mut response = ProblemKind::TooMany.because(format!("come again in {wait} s")).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, wait.into());
    response
}

async fn request(State(bank): State<Arc<Bank>>, request: Request) -> Result<Response, Refusal> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.is_none_or(|media_type| media_type.split(';').next() != Some(COSE)) {
        return Err(ProblemKind::WrongType.because(format!("send {COSE}")));
    }
    let body = Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ProblemKind::TooLarge.because(format!("at most {REQUEST_MAX} bytes")),
        _ => ProblemKind::Malformed.because("the body did not arrive whole"),
    })?;
    Ok(typed(COSE, bank.request(&body).await?))
}

async fn terms(State(bank): State<Arc<Bank>>) -> Result<Response, Refusal> {
    let signed = bank.terms();
    let terms = BankTerms::from_bytes(signed.payload()).map_err(|e| ProblemKind::Busy.because(e))?;
    let body = json!({
        "name": terms.name,
        "issuer": terms.issuer,
        "key_set": terms.key_set.id().to_string(),
        "currencies": terms.currencies.iter().map(Currency::code).collect::<Vec<_>>(),
        "fees": { "fixed": terms.fees.fixed, "per_million": terms.fees.per_million },
        "limits": { "least": terms.limits.least, "most": terms.limits.most },
        "levels": terms.levels.iter().map(|level| level.number()).collect::<Vec<_>>(),
        "hold_longest": terms.hold_longest.0,
        "refund_window": terms.refund_window.0,
        "certified_only": terms.certified_only,
        "signed": BASE64.encode(signed.bytes()),
    });
    Ok(typed("application/json", body.to_string().into_bytes()))
}

async fn health(State(bank): State<Arc<Bank>>) -> Result<&'static str, Refusal> {
    bank.next_due().await.map(|_| "ok\n")
}

async fn metrics(State(bank): State<Arc<Bank>>) -> Response {
    let mut text = "# HELP semper_bank_requests_total Requests by what they asked for and how they ended.\n\
                    # TYPE semper_bank_requests_total counter\n"
        .to_owned();
    let counters = bank.counters.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for ((verb, outcome), count) in counters {
        let _ = writeln!(text, "semper_bank_requests_total{{verb=\"{verb}\",outcome=\"{outcome}\"}} {count}");
    }
    typed("text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
}

fn typed(media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = typed(PROBLEM_TYPE, self.to_json().into_bytes());
        *response.status_mut() = StatusCode::from_u16(self.kind.status()).expect("the statuses are those of HTTP");
        if self.kind.fate() == crate::account::problem::Fate::Again {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(WAIT.0));
        }
        response
    }
}
