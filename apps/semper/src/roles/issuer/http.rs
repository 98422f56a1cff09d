//! The issuer's routes, for everybody and for its operator. Described in `spec/openapi/issuer.yaml`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use semper_core::cbor::{Decode as _, Encode as _};
use semper_payment::admit::{Admit, Cost};
use semper_transfer::credential::{Serial, Submission};
use semper_trust::armour;
use serde::Deserialize;
use serde_json::json;

use super::{Issuer, IssuerError, StandingView};

/// Media type of submissions.
const CBOR: &str = "application/cbor";
/// Every path, with its method; the description in `spec/openapi/issuer.yaml` has the same.
pub const PATHS: &[(&str, &str)] =
    &[("post", "/v1/requests"), ("get", "/v1/credentials/{serial}"), ("get", "/health"), ("get", "/metrics")];
/// How long whoever can come again should wait, in seconds.
const WAIT: u64 = 2;

impl Issuer {
    /// The routes for everybody. `admit` says which addresses ask too often.
    pub fn routes(self: &Arc<Self>, admit: &Admit) -> Router {
        Router::new()
            .route("/v1/requests", self.admitted(admit, Cost::Write, post(submit)))
            .route("/v1/credentials/{serial}", self.admitted(admit, Cost::Read, get(standing)))
            .route("/health", self.admitted(admit, Cost::Read, get(health)))
            .route("/metrics", self.admitted(admit, Cost::Read, get(metrics)))
            .layer(DefaultBodyLimit::max(Submission::BYTES_MAX))
            .with_state(self.clone())
    }

    /// The routes for the operator; to be mounted behind the control token.
    pub fn operator_routes(self: &Arc<Self>) -> Router {
        Router::new().route("/issuer/credentials", get(issued).post(issue)).with_state(self.clone())
    }

    fn admitted(
        self: &Arc<Self>,
        admit: &Admit,
        cost: Cost,
        handler: MethodRouter<Arc<Self>>,
    ) -> MethodRouter<Arc<Self>> {
        let (issuer, admit) = (self.clone(), admit.clone());
        handler.layer(from_fn(move |request: Request, next: Next| {
            let source: Option<IpAddr> = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
            let refused = admit(source, cost).err().map(|wait| wait.as_secs().saturating_add(1));
            if refused.is_some() {
                issuer.count("unread", "too-many");
            }
            async move {
                match refused {
                    None => next.run(request).await,
                    Some(wait) => problem(
                        "too-many",
                        StatusCode::TOO_MANY_REQUESTS,
                        format!("come again in {wait} s"),
                        Some(wait),
                    ),
                }
            }
        }))
    }
}

fn problem(name: &str, status: StatusCode, detail: String, wait: Option<u64>) -> Response {
    let title = match status {
        StatusCode::TOO_MANY_REQUESTS => "you ask too often; nothing was done",
        StatusCode::SERVICE_UNAVAILABLE => "the issuer cannot answer now; send the same again",
        _ => "the issuer refuses; nothing has changed",
    };
    let body = json!({
        "type": format!("urn:semper:problem:issuer:{name}"),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    let mut response = typed("application/problem+json", body.to_string().into_bytes());
    *response.status_mut() = status;
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, wait.into());
    }
    response
}

impl IntoResponse for IssuerError {
    fn into_response(self) -> Response {
        let status = match &self {
            IssuerError::Malformed(_) | IssuerError::WrongKind(_) => StatusCode::BAD_REQUEST,
            IssuerError::Signature(_) => StatusCode::FORBIDDEN,
            IssuerError::Unknown => StatusCode::NOT_FOUND,
            IssuerError::Refused(_) => StatusCode::CONFLICT,
            IssuerError::Order(_) => StatusCode::UNPROCESSABLE_ENTITY,
            IssuerError::Busy | IssuerError::Read(_) | IssuerError::Commit(_) | IssuerError::Crypto(_) => {
                tracing::error!(error = %self, "the issuer failed");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        let wait = Some(WAIT).filter(|_| status == StatusCode::SERVICE_UNAVAILABLE);
        problem(self.name(), status, self.to_string(), wait)
    }
}

async fn submit(State(issuer): State<Arc<Issuer>>, request: Request) -> Result<Response, Response> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.is_none_or(|media_type| media_type.split(';').next() != Some(CBOR)) {
        return Err(problem("wrong-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("send {CBOR}"), None));
    }
    let body = Bytes::from_request(request, &()).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let most = format!("at most {} bytes", Submission::BYTES_MAX);
            problem("too-large", StatusCode::PAYLOAD_TOO_LARGE, most, None)
        }
        _ => problem("malformed", StatusCode::BAD_REQUEST, "the body did not arrive whole".to_owned(), None),
    })?;
    match issuer.submit(&body).await.map_err(IntoResponse::into_response)? {
        Some(said) => Ok(typed("application/cose", said.bytes().to_vec())),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

async fn standing(
    State(issuer): State<Arc<Issuer>>,
    Path(serial): Path<String>,
) -> Result<Json<StandingView>, IssuerError> {
    let serial = Serial::parse(&serial).ok_or(IssuerError::Unknown)?;
    issuer.standing(serial).await.map(Json)
}

async fn health(State(issuer): State<Arc<Issuer>>) -> Result<&'static str, IssuerError> {
    match issuer.standing(Serial::from_array([0; 16])).await {
        Ok(_) | Err(IssuerError::Unknown) => Ok("ok\n"),
        Err(error) => Err(error),
    }
}

async fn metrics(State(issuer): State<Arc<Issuer>>) -> Response {
    let mut text = "# HELP semper_issuer_requests_total Requests by what they asked for and how they ended.\n\
                    # TYPE semper_issuer_requests_total counter\n"
        .to_owned();
    let counters = issuer.counters.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for ((verb, outcome), count) in counters {
        let _ = writeln!(text, "semper_issuer_requests_total{{verb=\"{verb}\",outcome=\"{outcome}\"}} {count}");
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

/// What [`issued`] is asked.
#[derive(Deserialize)]
struct After {
    after: Option<String>,
}

async fn issued(
    State(issuer): State<Arc<Issuer>>,
    Query(After { after }): Query<After>,
) -> Result<Json<Vec<StandingView>>, IssuerError> {
    let after = after.map(|text| Serial::parse(&text).ok_or(IssuerError::Unknown)).transpose()?;
    issuer.issued(after).await.map(Json)
}

async fn issue(
    State(issuer): State<Arc<Issuer>>,
    Json(order): Json<super::IssueOrder>,
) -> Result<Json<String>, IssuerError> {
    let bundle = issuer.issue(&order).await?;
    Ok(Json(armour::encode(armour::CREDENTIAL, &bundle.to_bytes())))
}
