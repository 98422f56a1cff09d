//! The time-stamp authority's service. The tokens themselves are made in [`semper_trust::timestamp`].
//!
//! ```text
//! POST /tsa               application/timestamp-query → application/timestamp-reply
//! GET  /tsa/certificates  the authority's certificate and those of its issuers, PEM, its own first
//! GET  /health            200 if storage answers
//! GET  /metrics           Prometheus text
//! ```
//! Serial numbers come in blocks: one commit takes a thousand numbers out of the archive, tokens use them up. After a crash what is left of a
//! block is lost, and of several processes on one archive each takes blocks of its own; so no number is given twice. Nothing else of a token
//! is kept: the authority does not know what it has dated.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex as Lock, PoisonError};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Request as HttpRequest, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::time::{Seconds, Time};
use semper_payment::admit::{Admit, Cost, admitted};
use semper_support::archive::{Archive, Commit, CommitError, Fact, PutState, ReadError};
use semper_support::crypto::Randomness;
use semper_support::stamp::CertificateId;
use semper_trust::CertificateKey;
use semper_trust::armour::{CERTIFICATE, encode};
use semper_trust::timestamp::{
    Failure, ObjectIdentifier, QUERY, REPLY, REQUEST_BYTES_MAX, Reply, Request, Stamper, TokenSerial, own_certificate,
};
use tokio::sync::Mutex;

use crate::control::Problem;
use crate::home::TsaConfig;
use crate::node::now;
use crate::roles::admit::{Usual, throttle};

/// Every path, with its method; the description in `spec/openapi/tsa.yaml` has the same.
pub const PATHS: &[(&str, &str)] =
    &[("post", "/tsa"), ("get", "/tsa/certificates"), ("get", "/health"), ("get", "/metrics")];
/// How often clients may ask. A signature costs far less than those of a mint or a bank, and stores nothing.
const USUAL: Usual = Usual { client: (400, 20), all: (4000, 400) };
/// The key of the numbers in the archive.
const NUMBERS: &[u8] = b"tsa";
/// Numbers that one commit takes.
const BLOCK: u64 = 1000;
/// How often a block is tried to be taken when other processes take theirs.
const TRIES: usize = 64;
/// Fact space of self-made certificates: SHA-256 of the public key, in hexadecimal digits → DER.
const CERTIFICATES: &str = "tsa-certificate";
/// How long a self-made certificate is valid.
const LIFETIME: Seconds = Seconds(10 * 365 * 24 * 3600);
/// By how much the clock may be behind what was dated before. More means that it was set back, or that it starts anew in 1970.
const BACKWARDS: Seconds = Seconds(5);

/// A time-stamp authority's service.
pub struct TsaService {
    archive: Arc<dyn Archive>,
    stamper: Stamper,
    random: [u8; 8],
    clock: Clock,
    block: Mutex<Block>,
    counters: Lock<BTreeMap<&'static str, u64>>,
}

/// What the time is.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// What a service is made of.
pub struct TsaParts {
    /// The archive; several processes may share one.
    pub archive: Arc<dyn Archive>,
    /// The key of the certificate.
    pub key: CertificateKey,
    /// The certificate and those of its issuers, DER, its own first; with none, the authority makes one for itself.
    pub certificates: Vec<Vec<u8>>,
    /// What the authority calls itself.
    pub name: String,
    /// Random numbers.
    pub random: Arc<dyn Randomness>,
    /// The clock.
    pub clock: Clock,
}

/// Numbers that are ours: from `next` up to, without, `end`.
struct Block {
    next: u64,
    end: u64,
    /// The highest time that was dated, as far as this process knows.
    latest: Time,
}

/// What is kept of the numbers.
///
/// ```text
/// numbers = { 0: 1, 1: first number that is free, 2: highest time at which some were taken }
/// ```
struct Numbers {
    free: u64,
    latest: Time,
}

impl Encode for Numbers {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put(1, self.free).put_item(2, &self.latest).build()
    }
}

impl Decode for Numbers {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let numbers = Self { free: fields.uint(1, "free")?, latest: fields.item(2, "latest")? };
        fields.close()?;
        Ok(numbers)
    }
}

/// Why no serial number can be had. No token was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SerialError {
    /// The clock is behind what was dated before.
    #[error("the clock is behind {0}, when something was dated before: set it right; no token was made")]
    ClockBehind(Time),
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Storage failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The stored numbers are damaged.
    #[error("the stored numbers are not readable: {0}")]
    Stored(#[from] DecodeError),
    /// Other processes take all blocks first.
    #[error("no block of numbers could be taken")]
    Busy,
}

impl TsaService {
    /// Opens the authority: with the certificate that it was given, else with one that it makes for itself, once.
    ///
    /// # Errors
    /// The configuration or the certificate is not usable, or storage failed.
    pub async fn open(parts: TsaParts, config: &TsaConfig) -> Result<Arc<Self>> {
        let TsaParts { archive, key, mut certificates, name, random, clock } = parts;
        let policy = ObjectIdentifier::new(&config.policy);
        let policy = policy.map_err(|_| anyhow::anyhow!("policy in [tsa] is not an object identifier"))?;
        if config.accuracy == 0 || config.accuracy > 3600 {
            bail!("accuracy in [tsa] is 1 to 3600 seconds");
        }
        if certificates.is_empty() {
            certificates.push(self_made(&*archive, &key, &name, &*random).await?);
        }
        let stamper = Stamper::new(key, certificates, policy, Seconds(config.accuracy)).context(
            "the certificate on the card is not usable; ask the authority for an invitation with --time-stamps",
        )?;
        let mut half = [0; 8];
        random.fill(&mut half)?;
        let (block, counters) = (Mutex::new(Block { next: 0, end: 0, latest: Time::from_unix(0) }), Lock::default());
        Ok(Arc::new(Self { archive, stamper, random: half, clock, block, counters }))
    }

    /// A serial number that was never given and never will be again, and the time that goes with it.
    ///
    /// # Errors
    /// [`SerialError`].
    pub async fn serial(&self) -> Result<(TokenSerial, Time), SerialError> {
        let mut block = self.block.lock().await;
        if block.next == block.end {
            *block = self.take_block(block.latest).await?;
        }
        let now = (self.clock)();
        if now.after(BACKWARDS) < block.latest {
            return Err(SerialError::ClockBehind(block.latest));
        }
        block.latest = block.latest.max(now);
        let number = block.next;
        block.next += 1;
        Ok((TokenSerial::new(number, self.random), now))
    }

    /// Takes numbers out of the archive. They are ours only when the commit is known to stand: if its outcome is unknown, they are nobody's.
    async fn take_block(&self, latest: Time) -> Result<Block, SerialError> {
        for _ in 0..TRIES {
            let stored = self.archive.state(NUMBERS).await?;
            let (numbers, version) = match &stored {
                Some(stored) => (Numbers::from_bytes(&stored.bytes)?, stored.version),
                None => (Numbers { free: 1, latest }, 0),
            };
            let latest = numbers.latest.max(latest);
            let (next, end) = (numbers.free, numbers.free + BLOCK);
            let taken = Numbers { free: end, latest: latest.max((self.clock)()) }.to_bytes();
            let state = PutState { key: NUMBERS.to_vec(), replaces: version, bytes: taken };
            match self.archive.commit(Commit { states: vec![state], ..Commit::default() }).await {
                Ok(()) => return Ok(Block { next, end, latest }),
                Err(CommitError::Stale { .. } | CommitError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SerialError::Busy)
    }

    /// Answers the DER of a request with the DER of a reply.
    pub async fn answer(&self, query: &[u8]) -> Vec<u8> {
        let refused = |failure: Failure, text: &str| {
            self.count(failure.name());
            Reply::refusal(failure, text)
        };
        let request = match Request::from_der(query) {
            Ok(request) => request,
            Err(problem) => return refused(problem.failure(), &problem.to_string()),
        };
        let (serial, now) = match self.serial().await {
            Ok(given) => given,
            Err(error) => {
                tracing::error!(%error, "no token can be made");
                let clock = matches!(error, SerialError::ClockBehind(_));
                let failure = if clock { Failure::TimeNotAvailable } else { Failure::SystemFailure };
                return refused(failure, "the authority cannot date anything now; ask again later");
            }
        };
        match self.stamper.answer(&request, serial, now) {
            Ok(reply) => {
                self.count("granted");
                reply
            }
            Err(failure @ Failure::UnacceptedPolicy) => {
                refused(failure, "tokens are not issued under this policy here")
            }
            Err(failure) => {
                tracing::error!(until = %self.stamper.until(), "no token can be made: is the certificate's time over?");
                refused(failure, "the authority cannot date anything now")
            }
        }
    }

    /// The authority's certificate and those of its issuers, PEM.
    pub fn certificates(&self) -> String {
        self.stamper.certificates().iter().map(|der| encode(CERTIFICATE, der)).collect()
    }

    fn count(&self, outcome: &'static str) {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_default() += 1;
    }

    /// The routes for everybody.
    ///
    /// # Errors
    /// The rates in the configuration are not usable.
    pub fn routes(self: &Arc<Self>, config: &TsaConfig) -> Result<Router> {
        let admit: Admit = throttle(&config.rates, &USUAL)?;
        let at = |cost: Cost, handler: MethodRouter<Arc<Self>>| {
            let tsa = self.clone();
            admitted(handler, &admit, cost, move |wait| {
                tsa.count("too-many");
                let mut response = problem(StatusCode::TOO_MANY_REQUESTS, &format!("come again in {wait} s"));
                response.headers_mut().insert(header::RETRY_AFTER, wait.into());
                response
            })
        };
        Ok(Router::new()
            .route("/tsa", at(Cost::Write, post(stamp)))
            .route("/tsa/certificates", at(Cost::Read, get(certificates)))
            .route("/health", at(Cost::Read, get(health)))
            .route("/metrics", at(Cost::Read, get(metrics)))
            .fallback(async || problem(StatusCode::NOT_FOUND, "no such path"))
            .method_not_allowed_fallback(async || problem(StatusCode::METHOD_NOT_ALLOWED, "another method"))
            .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
            .with_state(self.clone()))
    }
}

/// The certificate that an authority without another one has for its key: made once, and the same for all processes on one archive.
async fn self_made(
    archive: &dyn Archive,
    key: &CertificateKey,
    name: &str,
    random: &dyn Randomness,
) -> Result<Vec<u8>> {
    let of = CertificateId::of(&key.public_key_info()).to_string().into_bytes();
    if let Some(made) = archive.fact(CERTIFICATES, &of).await? {
        return Ok(made);
    }
    let value = own_certificate(key, name, LIFETIME, now(), random)?;
    let fact = Fact { space: CERTIFICATES.to_owned(), key: of, value: value.clone() };
    match archive.commit(Commit { facts: vec![fact], ..Commit::default() }).await {
        Ok(()) => Ok(value),
        Err(CommitError::Taken { stands }) => Ok(stands.value),
        Err(error) => Err(error.into()),
    }
}

async fn stamp(State(tsa): State<Arc<TsaService>>, request: HttpRequest) -> Response {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if media_type.is_none_or(|media_type| media_type.split(';').next() != Some(QUERY)) {
        return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, &format!("send {QUERY}"));
    }
    match Bytes::from_request(request, &()).await {
        Ok(query) => typed(REPLY, tsa.answer(&query).await),
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            problem(StatusCode::PAYLOAD_TOO_LARGE, &format!("at most {REQUEST_BYTES_MAX} bytes"))
        }
        Err(_) => problem(StatusCode::BAD_REQUEST, "the body did not arrive whole"),
    }
}

async fn certificates(State(tsa): State<Arc<TsaService>>) -> Response {
    typed("application/x-pem-file", tsa.certificates().into_bytes())
}

async fn health(State(tsa): State<Arc<TsaService>>) -> Response {
    match tsa.archive.state(NUMBERS).await {
        Ok(_) => typed("text/plain; charset=utf-8", b"ok\n".to_vec()),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "storage does not answer"),
    }
}

async fn metrics(State(tsa): State<Arc<TsaService>>) -> Response {
    let mut text = "# HELP semper_tsa_requests_total Requests by how they ended.\n\
                    # TYPE semper_tsa_requests_total counter\n"
        .to_owned();
    for (outcome, count) in tsa.counters.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = writeln!(text, "semper_tsa_requests_total{{outcome=\"{outcome}\"}} {count}");
    }
    typed("text/plain; version=0.0.4; charset=utf-8", text.into_bytes())
}

fn typed(media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let problem = Problem { title: "nothing was dated".to_owned(), status: status.as_u16(), detail: detail.to_owned() };
    let mut response = typed("application/problem+json", serde_json::to_vec(&problem).unwrap_or_default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
