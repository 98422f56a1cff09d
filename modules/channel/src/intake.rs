//! What every body from the network passes before anybody looks into it: rate limits, content type, size, time, concurrency.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, header};
use semper_support::channel::MESSAGE_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Problem, ProblemKind};
use crate::rate::{Rate, Rates, Throttle, TooMany};

/// What an inbox or a relay takes from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// How long a body may take to arrive.
    pub body_patience: Duration,
    /// How long a sender waits for the node; afterwards it is told to come back, and the node goes on.
    pub handler_patience: Duration,
    /// Most messages that are received or handled at once. Each may hold `body_bytes_max` of memory.
    pub parallel_max: usize,
    /// Rate of one source: an IPv4 address, or the /64 of an IPv6 address. Behind a reverse proxy or an onion service everybody has
    /// one address: set this to the rate of `total`.
    pub per_source: Rate,
    /// Rate of all sources together.
    pub total: Rate,
    /// Most sources that are told apart; the rest share one bucket.
    pub sources_max: usize,
    /// How long an answer is remembered for senders that did not get it.
    pub remembered_for: Duration,
    /// Most bytes of remembered answers.
    pub remembered_bytes_max: u64,
}

impl Default for Limits {
    /// 20 MiB a body, one minute to send it, 30 s to handle it, 32 at once; ten messages a second of one source and a thousand of
    /// all; answers are remembered for ten minutes in at most 64 MiB.
    fn default() -> Self {
        Self {
            body_bytes_max: MESSAGE_BYTES_MAX,
            body_patience: Duration::from_secs(60),
            handler_patience: Duration::from_secs(30),
            parallel_max: 32,
            per_source: Rate { burst: NonZeroU32::new(100).expect("not zero"), every: Duration::from_millis(100) },
            total: Rate { burst: NonZeroU32::new(1000).expect("not zero"), every: Duration::from_millis(1) },
            sources_max: 10_000,
            remembered_for: Duration::from_secs(600),
            remembered_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// The gate of one router.
pub(crate) struct Gate {
    pub(crate) limits: Limits,
    throttle: Throttle,
    places: Arc<Semaphore>,
}

/// A body that passed the gate. Its place is free again when this is dropped.
pub(crate) struct Taken {
    pub(crate) body: Bytes,
    pub(crate) place: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            throttle: Throttle::new(limits.rates()),
            places: Arc::new(Semaphore::new(limits.parallel_max.min(Semaphore::MAX_PERMITS))),
            limits,
        }
    }

    /// Takes in the body of a request, cheapest check first.
    pub(crate) async fn take(&self, request: Request, content_type: &str) -> Result<Taken, Problem> {
        let source = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        self.throttle.admit(source, NonZeroU32::MIN)?;
        check_type(request.headers(), content_type)?;
        check_declared_length(request.headers(), self.limits.body_bytes_max)?;
        let place = self.places.clone().try_acquire_owned().map_err(|_| Problem::busy("all places are taken"))?;
        let body = self.read(request.into_body()).await?;
        Ok(Taken { body, place })
    }

    async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let max = self.limits.body_bytes_max;
        match tokio::time::timeout(self.limits.body_patience, axum::body::to_bytes(body, max)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) if is_length_limit(&error) => Err(too_large(max)),
            Ok(Err(_)) => Err(Problem::new(ProblemKind::Malformed, "the body ended early")),
            Err(_) => {
                Err(Problem::new(ProblemKind::TooSlow, format!("waited {} s", self.limits.body_patience.as_secs())))
            }
        }
    }
}

impl Limits {
    fn rates(&self) -> Rates {
        Rates { per_source: self.per_source, total: self.total, sources_max: self.sources_max }
    }
}

impl From<TooMany> for Problem {
    fn from(too_many: TooMany) -> Self {
        Problem::new(ProblemKind::TooMany, format!("too many messages {}", too_many.scope)).retry_after(too_many.wait)
    }
}

fn check_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let wrong = || Problem::new(ProblemKind::WrongType, format!("expected {expected} without a content encoding"));
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
    let plain = !headers.contains_key(header::CONTENT_ENCODING);
    if plain && found.trim().eq_ignore_ascii_case(expected) { Ok(()) } else { Err(wrong()) }
}

fn check_declared_length(headers: &HeaderMap, max: usize) -> Result<(), Problem> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > max as u64) { Err(too_large(max)) } else { Ok(()) }
}

fn too_large(max: usize) -> Problem {
    Problem::new(ProblemKind::TooLarge, format!("at most {max} bytes are taken"))
}

/// `to_bytes` wraps the error of its limit; a sender that hung up gives another.
fn is_length_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = inner.source();
    }
    false
}
