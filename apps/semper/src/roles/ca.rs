//! The certification authority's service, its operator's side, and how a party enrols.
//!
//! ```text
//! POST /certificates   { code, request (PKCS#10, base64), card } → { certificate, authority } (DER, base64)
//! GET  /ca             the authority's certificate, DER
//! GET  /crl            the revocation list, DER
//! ```
//! A code is given to one person whose name the operator has checked; it serves one key set, which may ask again if the answer was
//! lost. The register is stored before a certificate leaves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::BASE64;
use semper_core::cbor::{Decode, Encode};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::signature::Verify;
use semper_core::time::{Seconds, Time};
use semper_support::archive::{Archive, Commit, CommitError, Fact, PutState, ReadError};
use semper_support::crypto::{CryptoError, Randomness};
use semper_trust::authority::{Authority, AuthorityError, Purpose};
use semper_trust::card::{CardError, ContactCard};
use semper_trust::register::{Reason, Register, Rules, Serial};
use semper_trust::request::{self, RequestError, VerifiedRequest};
use semper_trust::{CertificateKey, KeyError};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::control::Problem;
use crate::node::now;
use crate::secrets::{self, Secrets};

/// The register's key in the archive.
const REGISTER: &[u8] = b"ca";
/// Record space of the codes: hash of the code → name.
const INVITES: &str = "ca-invite";
/// Record space of the codes for certificates that sign time-stamps: hash of the code → name.
const STAMP_INVITES: &str = "ca-invite-stamps";
/// Fact space of the used codes: hash of the code → key set id ‖ certificate.
const USED: &str = "ca-used";
/// How long a certificate is valid.
const LIFETIME: Seconds = Seconds(365 * 24 * 3600);
/// How long the authority itself is valid.
const AUTHORITY_LIFETIME: Seconds = Seconds(10 * 365 * 24 * 3600);
/// How long a revocation list may be used.
const CRL_LIFETIME: Seconds = Seconds(7 * 24 * 3600);
/// A revocation list older than this is made anew when somebody asks for it.
const CRL_FRESH: Seconds = Seconds(24 * 3600);

/// A certification authority's service.
pub struct CaService {
    archive: Arc<dyn Archive>,
    verify: Arc<dyn Verify>,
    random: Arc<dyn Randomness>,
    state: Mutex<Kept>,
}

struct Kept {
    authority: Authority,
    version: u64,
    crl: Vec<u8>,
    crl_made: Time,
}

/// Why the authority did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// The code is unknown, was used by another key set, or is for another name.
    #[error("the code is unknown, was used by somebody else, or is for another name; ask the authority for a new one")]
    Code,
    /// Not base64.
    #[error("the request is not base64")]
    Base64,
    /// The request is not acceptable.
    #[error("the certification request is not acceptable: {0}")]
    Request(#[from] RequestError),
    /// The card is not acceptable.
    #[error("the contact card is not acceptable: {0}")]
    Card(#[from] CardError),
    /// The authority refuses.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The key is not usable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No serial number.
    #[error("a serial number has 32 hexadecimal digits")]
    Serial,
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Storage failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The stored register is damaged.
    #[error("the stored register is not readable: {0}")]
    Stored(#[from] semper_core::cbor::DecodeError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] CryptoError),
}

/// What a party sends to be certified.
#[derive(Serialize, Deserialize)]
struct Enrolment {
    code: String,
    request: String,
    card: String,
}

/// What it gets.
#[derive(Serialize, Deserialize)]
struct Enrolled {
    certificate: String,
    authority: String,
}

/// Whom the operator invites.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InviteOrder {
    /// The name that will stand in the certificate.
    pub name: String,
    /// Whether the certificate is for signing time-stamps, and for nothing else.
    #[serde(default)]
    pub time_stamps: bool,
}

/// A certificate, for the operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssuedView {
    /// Its serial number.
    pub serial: String,
    /// The certified name.
    pub name: String,
    /// The key set.
    pub key_set: String,
    /// Whether it was revoked.
    pub revoked: bool,
}

impl CaService {
    /// Opens the stored authority, or founds one.
    ///
    /// # Errors
    /// [`CaError`].
    pub async fn open(
        archive: Arc<dyn Archive>,
        verify: Arc<dyn Verify>,
        random: Arc<dyn Randomness>,
        key: CertificateKey,
        name: &str,
        base_url: &str,
    ) -> Result<Arc<Self>, CaError> {
        let stored = archive.state(REGISTER).await?;
        let (authority, version) = match stored {
            Some(stored) => (Authority::open(key, Register::from_bytes(&stored.bytes)?)?, stored.version),
            None => {
                let rules =
                    Rules { crl_url: format!("{base_url}/crl"), lifetime_max: LIFETIME, crl_lifetime: CRL_LIFETIME };
                (Authority::create(key, name, rules, AUTHORITY_LIFETIME, now(), &*random)?, 0)
            }
        };
        let mut kept = Kept { authority, version, crl: Vec::new(), crl_made: Time::from_unix(0) };
        kept.crl = kept.authority.crl(now())?;
        kept.crl_made = now();
        let service = Arc::new(Self { archive, verify, random, state: Mutex::new(kept) });
        let mut kept = service.state.lock().await;
        service.store(&mut kept, Commit::default()).await?;
        drop(kept);
        Ok(service)
    }

    /// Stores the register; whoever calls this gives nothing out before it has returned.
    async fn store(&self, kept: &mut Kept, mut with: Commit) -> Result<(), CaError> {
        let bytes = kept.authority.register().to_bytes();
        with.states.push(PutState { key: REGISTER.to_vec(), replaces: kept.version, bytes });
        self.archive.commit(with).await?;
        kept.version += 1;
        Ok(())
    }

    async fn invite(&self, order: &InviteOrder) -> Result<String, CaError> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes)?;
        let code = data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        let space = if order.time_stamps { STAMP_INVITES } else { INVITES };
        let records = vec![(space.to_owned(), code_hash(&code), Some(order.name.as_bytes().to_vec()))];
        self.archive.commit(Commit { records, ..Commit::default() }).await?;
        Ok(code)
    }

    async fn enrol(&self, enrolment: &Enrolment) -> Result<Enrolled, CaError> {
        let key = code_hash(&enrolment.code);
        let der = BASE64.decode(enrolment.request.as_bytes()).map_err(|_| CaError::Base64)?;
        let request = VerifiedRequest::from_der(&der)?;
        // The answer may have been lost: the same code gives the same key set its certificate again.
        if let Some(issued) = self.archive.fact(USED, &key).await? {
            let certificate = issued.strip_prefix(request.key_set().as_bytes().as_slice()).ok_or(CaError::Code)?;
            return Ok(self.enrolled(certificate).await);
        }
        let (space, purpose) = match self.archive.record(STAMP_INVITES, &key).await? {
            Some(_) => (STAMP_INVITES, Purpose::TimeStamps),
            None => (INVITES, Purpose::Documents),
        };
        let invited = self.archive.record(space, &key).await?;
        if invited.as_deref() != Some(request.name().as_bytes()) {
            return Err(CaError::Code);
        }
        let holder = ContactCard::verify_text(&enrolment.card, &*self.verify)?;
        let mut kept = self.state.lock().await;
        // The authority is changed in memory only after the disk: it is opened anew from what is stored if that fails.
        let before = kept.authority.register().to_bytes();
        let certificate = kept.authority.issue_for(purpose, &request, &holder, LIFETIME, now(), &*self.random)?;
        let value = [request.key_set().as_bytes().as_slice(), &certificate].concat();
        let used = Fact { space: USED.to_owned(), key: key.clone(), value };
        let with = Commit { facts: vec![used], records: vec![(space.to_owned(), key, None)], ..Commit::default() };
        if let Err(error) = self.store(&mut kept, with).await {
            let key = CertificateKey::from_pkcs8(&kept.authority.key().to_pkcs8())?;
            kept.authority = Authority::open(key, Register::from_bytes(&before)?)?;
            return Err(match error {
                CaError::Commit(CommitError::Taken { .. }) => CaError::Code,
                other => other,
            });
        }
        tracing::info!(name = request.name(), "certified");
        drop(kept);
        Ok(self.enrolled(&certificate).await)
    }

    async fn enrolled(&self, certificate: &[u8]) -> Enrolled {
        let authority = BASE64.encode(self.state.lock().await.authority.register().certificate());
        Enrolled { certificate: BASE64.encode(certificate), authority }
    }

    async fn revoke(&self, serial: &str) -> Result<(), CaError> {
        let serial = Serial::parse(serial).ok_or(CaError::Serial)?;
        let mut kept = self.state.lock().await;
        kept.crl = kept.authority.revoke(serial, Reason::Unspecified, now())?;
        kept.crl_made = now();
        self.store(&mut kept, Commit::default()).await
    }

    async fn crl(&self) -> Result<Vec<u8>, CaError> {
        let mut kept = self.state.lock().await;
        if kept.crl_made.after(CRL_FRESH) < now() {
            kept.crl = kept.authority.crl(now())?;
            kept.crl_made = now();
            self.store(&mut kept, Commit::default()).await?;
        }
        Ok(kept.crl.clone())
    }

    /// The routes for everybody.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/certificates", post(enrol_route))
            .route("/ca", get(ca_route))
            .route("/crl", get(crl_route))
            .layer(DefaultBodyLimit::max(64 * 1024))
            .with_state(self.clone())
    }

    /// The routes for the operator; to be mounted behind the control token.
    pub fn operator_routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/ca/invitations", post(invite_route))
            .route("/ca/revocations", post(revoke_route))
            .route("/ca/certificates", get(list_route))
            .with_state(self.clone())
    }
}

fn code_hash(code: &str) -> Vec<u8> {
    Digest::of(domain::INFORMATION, code.as_bytes()).as_bytes().to_vec()
}

impl IntoResponse for CaError {
    fn into_response(self) -> Response {
        let (status, title) = match &self {
            CaError::Read(_) | CaError::Commit(_) | CaError::Stored(_) | CaError::Randomness(_) | CaError::Key(_) => {
                tracing::error!(error = %self, "the authority failed");
                (StatusCode::SERVICE_UNAVAILABLE, "the authority cannot answer now; nothing was issued")
            }
            CaError::Code => (StatusCode::FORBIDDEN, "not certified"),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "not certified"),
        };
        let problem = Problem { title: title.to_owned(), status: status.as_u16(), detail: self.to_string() };
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
    }
}

async fn enrol_route(
    State(ca): State<Arc<CaService>>,
    Json(enrolment): Json<Enrolment>,
) -> Result<Json<Enrolled>, CaError> {
    ca.enrol(&enrolment).await.map(Json)
}

async fn ca_route(State(ca): State<Arc<CaService>>) -> Response {
    let certificate = ca.state.lock().await.authority.register().certificate().to_vec();
    ([(header::CONTENT_TYPE, "application/pkix-cert")], certificate).into_response()
}

async fn crl_route(State(ca): State<Arc<CaService>>) -> Result<Response, CaError> {
    Ok(([(header::CONTENT_TYPE, "application/pkix-crl")], ca.crl().await?).into_response())
}

async fn invite_route(
    State(ca): State<Arc<CaService>>,
    Json(order): Json<InviteOrder>,
) -> Result<Json<String>, CaError> {
    ca.invite(&order).await.map(Json)
}

async fn revoke_route(State(ca): State<Arc<CaService>>, Json(serial): Json<String>) -> Result<Json<()>, CaError> {
    ca.revoke(&serial).await.map(Json)
}

async fn list_route(State(ca): State<Arc<CaService>>) -> Json<Vec<IssuedView>> {
    let kept = ca.state.lock().await;
    let issued = kept.authority.register().issued().map(|issued| IssuedView {
        serial: issued.serial.to_string(),
        name: issued.name.clone(),
        key_set: issued.key_set.to_string(),
        revoked: issued.revoked.is_some(),
    });
    Json(issued.collect())
}

async fn answered(request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
    let response = request.send().await.context("the certification authority does not answer")?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    match response.json::<Problem>().await {
        Ok(problem) => bail!("{}: {}", problem.title, problem.detail),
        Err(_) => bail!("the certification authority answered {status}"),
    }
}

/// An authority's certificate and revocation list, DER. Neither is checked: whether it is the right authority is for the user to say.
///
/// # Errors
/// The authority does not answer.
pub async fn fetch(ca: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let base = ca.trim_end_matches('/');
    let certificate = answered(http.get(format!("{base}/ca"))).await?.bytes().await?.to_vec();
    let crl = answered(http.get(format!("{base}/crl"))).await?.bytes().await?.to_vec();
    Ok((certificate, crl))
}

/// Has a name certified for the keys of `secrets`; the chain, the certificate first.
///
/// # Errors
/// The authority does not answer, or refuses.
pub async fn enrol(ca: &str, code: &str, name: &str, secrets: &Secrets) -> Result<Vec<Vec<u8>>> {
    let request = request::make(&secrets::certificate_key(secrets)?, name, None, secrets.key_set().id())?;
    let card = secrets::bare_card(secrets, name)?;
    let enrolment = Enrolment { code: code.to_owned(), request: BASE64.encode(&request), card };
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
    let url = format!("{}/certificates", ca.trim_end_matches('/'));
    let enrolled: Enrolled = answered(http.post(url).json(&enrolment)).await?.json().await?;
    let der = |base64: &str| BASE64.decode(base64.as_bytes()).context("the authority's answer is not base64");
    Ok(vec![der(&enrolled.certificate)?, der(&enrolled.authority)?])
}
