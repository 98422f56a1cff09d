//! What every body from the network passes before anybody looks into it: rate limits, content type, size, time, concurrency.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, header};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use semper_support::channel::MESSAGE_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Problem, ProblemKind};

/// How often something may happen: `burst` times at once, and once more with every `every` that passes (a token bucket).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The size of the bucket.
    pub burst: NonZeroU32,
    /// The time in which one token comes back; zero counts as a nanosecond.
    pub every: Duration,
}

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
    per_source: DefaultKeyedRateLimiter<IpAddr>,
    total: DefaultDirectRateLimiter,
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
            per_source: RateLimiter::keyed(limits.per_source.quota()),
            total: RateLimiter::direct(limits.total.quota()),
            places: Arc::new(Semaphore::new(limits.parallel_max.min(Semaphore::MAX_PERMITS))),
            limits,
        }
    }

    /// Takes in the body of a request, cheapest check first.
    pub(crate) async fn take(&self, request: Request, content_type: &str) -> Result<Taken, Problem> {
        self.admit(source(&request))?;
        check_type(request.headers(), content_type)?;
        check_declared_length(request.headers(), self.limits.body_bytes_max)?;
        let place = self.places.clone().try_acquire_owned().map_err(|_| Problem::busy("all places are taken"))?;
        let body = self.read(request.into_body()).await?;
        Ok(Taken { body, place })
    }

    fn admit(&self, source: IpAddr) -> Result<(), Problem> {
        let source = self.bucket(source);
        self.per_source.check_key(&source).map_err(|until| too_many("from your address", &until))?;
        // One loud source is stopped above and does not use up what all others share.
        self.total.check().map_err(|until| too_many("from all senders together", &until))
    }

    /// The bucket of a source; sources beyond the bound share one, so that the table cannot be made to grow.
    fn bucket(&self, source: IpAddr) -> IpAddr {
        if self.per_source.len() >= self.limits.sources_max {
            self.per_source.retain_recent();
            if self.per_source.len() >= self.limits.sources_max {
                return Ipv4Addr::UNSPECIFIED.into();
            }
        }
        source
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

impl Rate {
    fn quota(self) -> Quota {
        let every = self.every.max(Duration::from_nanos(1));
        Quota::with_period(every).expect("the period is not zero").allow_burst(self.burst)
    }
}

/// Where a request comes from. A router that is served without addresses treats everybody as one.
fn source(request: &Request) -> IpAddr {
    match request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical()) {
        // Whoever has one IPv6 address has the other 2^64 of its network as well.
        Some(IpAddr::V6(ip)) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        Some(ip) => ip,
        None => Ipv4Addr::UNSPECIFIED.into(),
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

fn too_many(who: &str, until: &NotUntil<<DefaultClock as governor::clock::Clock>::Instant>) -> Problem {
    let wait = until.wait_time_from(DefaultClock::default().now());
    Problem::new(ProblemKind::TooMany, format!("too many messages {who}")).retry_after(wait)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn gate(burst: u32, sources_max: usize) -> Gate {
        let burst = NonZeroU32::new(burst).unwrap();
        let rate = Rate { burst, every: Duration::from_secs(3600) };
        let total = Rate { burst: NonZeroU32::new(1000).unwrap(), every: Duration::from_secs(3600) };
        Gate::new(Limits { per_source: rate, total, sources_max, ..Limits::default() })
    }

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    // One loud sender must not silence the others.
    #[test]
    fn each_source_has_its_own_bucket() {
        let gate = gate(2, 100);
        for n in [1, 2] {
            assert!(gate.admit(address(n)).is_ok());
            assert!(gate.admit(address(n)).is_ok());
            assert_eq!(gate.admit(address(n)).unwrap_err().kind, ProblemKind::TooMany);
        }
    }

    // A sender with many addresses must not make the table grow: beyond the bound the newcomers share one bucket.
    #[test]
    fn the_table_of_sources_is_bounded() {
        let gate = gate(2, 3);
        let admitted = (1..=200).filter(|n| gate.admit(address(*n)).is_ok()).count();
        assert_eq!(admitted, 3 + 2);
        assert_eq!(gate.per_source.len(), 4);
    }

    #[test]
    fn all_sources_together_have_a_bound() {
        let gate = gate(1000, 10_000);
        let admitted =
            (0..1100_u32).filter(|n| gate.admit(IpAddr::from((0x0a00_0000 + n).to_be_bytes())).is_ok()).count();
        assert_eq!(admitted, 1000);
    }
}
