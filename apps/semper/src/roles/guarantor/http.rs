//! The guarantor's routes, for everybody and for its operator. Described in `spec/openapi/guarantor.yaml`.

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
use semper_core::cbor::Decode as _;
use semper_core::ids::KeySetId;
use semper_exchange::cover::register::Booking;
use semper_exchange::cover::statement::FILE_MAX;
use semper_exchange::cover::{CoverId, Submission};
use semper_payment::admit::{Admit, Cost};
use semper_trust::armour;
use serde::Deserialize;
use serde_json::json;

use super::{AccountView, BookingOrder, CoverView, Guarantor, GuarantorError};

/// Media type of submissions.
const CBOR: &str = "application/cbor";
/// Every path, with its method; the description in `spec/openapi/guarantor.yaml` has the same.
pub const PATHS: &[(&str, &str)] =
    &[("post", "/v1/requests"), ("get", "/v1/covers/{id}"), ("get", "/health"), ("get", "/metrics")];
/// How long whoever can come again should wait, in seconds.
const WAIT: u64 = 2;

impl Guarantor {
    /// The routes for everybody. `admit` says which addresses ask too often.
    pub fn routes(self: &Arc<Self>, admit: &Admit) -> Router {
        Router::new()
            .route("/v1/requests", self.admitted(admit, Cost::Write, post(submit)))
            .route("/v1/covers/{id}", self.admitted(admit, Cost::Read, get(standing)))
            .route("/health", self.admitted(admit, Cost::Read, get(health)))
            .route("/metrics", self.admitted(admit, Cost::Read, get(metrics)))
            .layer(DefaultBodyLimit::max(Submission::BYTES_MAX))
            .with_state(self.clone())
    }

    /// The routes for the operator; to be mounted behind the control token.
    pub fn operator_routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/guarantor/accounts", get(accounts).post(accept))
            .route("/guarantor/revocations", post(revoke))
            .route("/guarantor/bookings", post(book))
            .with_state(self.clone())
    }

    fn admitted(
        self: &Arc<Self>,
        admit: &Admit,
        cost: Cost,
        handler: MethodRouter<Arc<Self>>,
    ) -> MethodRouter<Arc<Self>> {
        let (guarantor, admit) = (self.clone(), admit.clone());
        handler.layer(from_fn(move |request: Request, next: Next| {
            let source: Option<IpAddr> = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.ip());
            let refused = admit(source, cost).err().map(|wait| wait.as_secs().saturating_add(1));
            if refused.is_some() {
                guarantor.count("unread", "too-many");
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
        StatusCode::SERVICE_UNAVAILABLE => "the guarantor cannot answer now; send the same again",
        _ => "the guarantor refuses; nothing has changed",
    };
    let body = json!({
        "type": format!("urn:semper:problem:guarantor:{name}"),
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

impl IntoResponse for GuarantorError {
    fn into_response(self) -> Response {
        let status = match &self {
            GuarantorError::Malformed(_) | GuarantorError::WrongKind(_) => StatusCode::BAD_REQUEST,
            GuarantorError::Signature(_) | GuarantorError::NoAgreement | GuarantorError::NoSay => StatusCode::FORBIDDEN,
            GuarantorError::Unknown => StatusCode::NOT_FOUND,
            GuarantorError::OtherGuarantor | GuarantorError::NoContract | GuarantorError::Unopened(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            GuarantorError::Refused(_) => StatusCode::CONFLICT,
            GuarantorError::Busy | GuarantorError::Read(_) | GuarantorError::Commit(_) | GuarantorError::Crypto(_) => {
                tracing::error!(error = %self, "the guarantor failed");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        let wait = Some(WAIT).filter(|_| status == StatusCode::SERVICE_UNAVAILABLE);
        problem(self.name(), status, self.to_string(), wait)
    }
}

async fn submit(State(guarantor): State<Arc<Guarantor>>, request: Request) -> Result<Response, Response> {
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
    let said = guarantor.submit(&body).await.map_err(IntoResponse::into_response)?;
    Ok(typed("application/cose", said.bytes().to_vec()))
}

async fn standing(
    State(guarantor): State<Arc<Guarantor>>,
    Path(id): Path<String>,
) -> Result<Json<CoverView>, GuarantorError> {
    let id = CoverId::parse(&id).ok_or(GuarantorError::Unknown)?;
    guarantor.standing(id).await.map(Json)
}

async fn health(State(guarantor): State<Arc<Guarantor>>) -> Result<&'static str, GuarantorError> {
    match guarantor.standing(CoverId::from_array([0; 16])).await {
        Ok(_) | Err(GuarantorError::Unknown) => Ok("ok\n"),
        Err(error) => Err(error),
    }
}

async fn metrics(State(guarantor): State<Arc<Guarantor>>) -> Response {
    let mut text = "# HELP semper_guarantor_requests_total Requests by what they asked for and how they ended.\n\
                    # TYPE semper_guarantor_requests_total counter\n"
        .to_owned();
    let counters = guarantor.counters.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for ((verb, outcome), count) in counters {
        let _ = writeln!(text, "semper_guarantor_requests_total{{verb=\"{verb}\",outcome=\"{outcome}\"}} {count}");
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

/// What [`accounts`] is asked.
#[derive(Deserialize)]
struct After {
    after: Option<String>,
}

async fn accounts(
    State(guarantor): State<Arc<Guarantor>>,
    Query(After { after }): Query<After>,
) -> Result<Json<Vec<AccountView>>, GuarantorError> {
    let after = after.map(|text| KeySetId::parse(&text).ok_or(GuarantorError::NoAgreement)).transpose()?;
    guarantor.accounts(after).await.map(Json)
}

/// The file of an agreement.
async fn accept(
    State(guarantor): State<Arc<Guarantor>>,
    Json(text): Json<String>,
) -> Result<Json<AccountView>, Response> {
    let bytes = armour::decode(armour::LIABILITY_AGREEMENT, &text, FILE_MAX).map_err(|error| {
        let detail = format!("this is not the file of a liability agreement: {error}");
        problem("malformed", StatusCode::BAD_REQUEST, detail, None)
    })?;
    guarantor.accept(&bytes).await.map(Json).map_err(IntoResponse::into_response)
}

async fn revoke(
    State(guarantor): State<Arc<Guarantor>>,
    Json(customer): Json<String>,
) -> Result<Json<AccountView>, GuarantorError> {
    let customer = KeySetId::parse(&customer).ok_or(GuarantorError::NoAgreement)?;
    guarantor.revoke(customer).await.map(Json)
}

async fn book(
    State(guarantor): State<Arc<Guarantor>>,
    Json(BookingOrder { cover, repaid }): Json<BookingOrder>,
) -> Result<Json<CoverView>, GuarantorError> {
    let id = CoverId::parse(&cover).ok_or(GuarantorError::Unknown)?;
    guarantor.book(id, if repaid { Booking::Repaid } else { Booking::PaidOut }).await.map(Json)
}
