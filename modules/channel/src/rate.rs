//! How often one address, and all together, may ask: token buckets in a bounded table. Inboxes and relays pass every message through one;
//! whoever serves other routers can do the same with theirs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, InsufficientCapacity, NotUntil, Quota, RateLimiter};

/// How often something may happen: `burst` times at once, and once more with every `every` that passes (a token bucket).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The size of the bucket.
    pub burst: NonZeroU32,
    /// The time in which one token comes back; zero counts as a nanosecond.
    pub every: Duration,
}

/// The bounds of a [`Throttle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Rate of one source: an IPv4 address, or the /64 of an IPv6 address. Behind a reverse proxy or an onion service everybody has
    /// one address: set this to the rate of `total`.
    pub per_source: Rate,
    /// Rate of all sources together.
    pub total: Rate,
    /// Most sources that are told apart; the rest share one bucket.
    pub sources_max: usize,
}

/// Says of each request whether it comes too soon.
pub struct Throttle {
    rates: Rates,
    per_source: DefaultKeyedRateLimiter<IpAddr>,
    total: DefaultDirectRateLimiter,
}

/// Whose bucket is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// That of the source.
    Source,
    /// That of all sources together.
    Everybody,
}

/// A request comes too soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests {scope}")]
pub struct TooMany {
    /// Whose bucket is empty.
    pub scope: Scope,
    /// When there are tokens enough again, if nobody else takes them.
    pub wait: Duration,
}

impl Throttle {
    /// A throttle with full buckets.
    pub fn new(rates: Rates) -> Self {
        let per_source = RateLimiter::keyed(rates.per_source.quota());
        Self { rates, per_source, total: RateLimiter::direct(rates.total.quota()) }
    }

    /// Takes `cost` tokens for a request; of a bucket that can never hold so many, all it can hold. Whoever serves without addresses treats
    /// everybody as one source: `None`.
    ///
    /// # Errors
    /// [`TooMany`]: the request is to be refused before anything is done for it.
    pub fn admit(&self, source: Option<IpAddr>, cost: NonZeroU32) -> Result<(), TooMany> {
        let source = self.bucket(network(source));
        let taken = self.per_source.check_key_n(&source, cost.min(self.rates.per_source.burst));
        judged(taken, Scope::Source)?;
        // One loud source is stopped above and does not use up what all others share.
        judged(self.total.check_n(cost.min(self.rates.total.burst)), Scope::Everybody)
    }

    /// The bucket of a source; sources beyond the bound share one, so that the table cannot be made to grow.
    fn bucket(&self, source: IpAddr) -> IpAddr {
        if self.per_source.len() >= self.rates.sources_max {
            self.per_source.retain_recent();
            if self.per_source.len() >= self.rates.sources_max {
                return Ipv4Addr::UNSPECIFIED.into();
            }
        }
        source
    }
}

type Checked = Result<Result<(), NotUntil<<DefaultClock as governor::clock::Clock>::Instant>>, InsufficientCapacity>;

fn judged(checked: Checked, scope: Scope) -> Result<(), TooMany> {
    let checked = checked.expect("the cost is at most the burst");
    checked.map_err(|until| TooMany { scope, wait: until.wait_time_from(DefaultClock::default().now()) })
}

/// Whoever has one IPv6 address has the other 2^64 of its network as well.
fn network(source: Option<IpAddr>) -> IpAddr {
    match source.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V6(ip)) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        Some(ip) => ip,
        None => Ipv4Addr::UNSPECIFIED.into(),
    }
}

impl Rate {
    fn quota(self) -> Quota {
        let every = self.every.max(Duration::from_nanos(1));
        Quota::with_period(every).expect("the period is not zero").allow_burst(self.burst)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Source => "from your address",
            Scope::Everybody => "from all senders together",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn throttle(burst: u32, sources_max: usize) -> Throttle {
        let rate = |burst| Rate { burst: NonZeroU32::new(burst).unwrap(), every: Duration::from_secs(3600) };
        Throttle::new(Rates { per_source: rate(burst), total: rate(1000), sources_max })
    }

    fn address(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, n]))
    }

    // One loud sender must not silence the others.
    #[test]
    fn each_source_has_its_own_bucket() {
        let throttle = throttle(2, 100);
        for n in [1, 2] {
            assert!(throttle.admit(address(n), ONE).is_ok());
            assert!(throttle.admit(address(n), ONE).is_ok());
            assert_eq!(throttle.admit(address(n), ONE).unwrap_err().scope, Scope::Source);
        }
    }

    // A request that costs more must leave less for others of its source, and be told to wait longer.
    #[test]
    fn a_request_takes_what_it_costs() {
        let (throttle, dear) = (throttle(10, 100), NonZeroU32::new(6).unwrap());
        assert!(throttle.admit(address(1), dear).is_ok());
        let wait = throttle.admit(address(1), dear).unwrap_err().wait;
        assert!(wait > Duration::from_secs(3600) && wait <= Duration::from_secs(2 * 3600), "{wait:?}");
        assert_eq!((0..10).filter(|_| throttle.admit(address(1), ONE).is_ok()).count(), 4);
        // Dearer than any bucket: it takes full ones, or nobody could ever ask.
        let full = self::throttle(10, 100);
        assert!(full.admit(address(2), NonZeroU32::MAX).is_ok());
        assert!(full.admit(address(2), ONE).is_err());
    }

    // Whoever has a network of IPv6 addresses is one source; a mapped IPv4 address is that address.
    #[test]
    fn a_source_is_an_address_or_its_network() {
        let source = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    // A sender with many addresses must not make the table grow: beyond the bound the newcomers share one bucket.
    #[test]
    fn the_table_of_sources_is_bounded() {
        let throttle = throttle(2, 3);
        let admitted = (1..=200).filter(|n| throttle.admit(address(*n), ONE).is_ok()).count();
        assert_eq!(admitted, 3 + 2);
        assert_eq!(throttle.per_source.len(), 4);
    }

    #[test]
    fn all_sources_together_have_a_bound() {
        let throttle = throttle(1000, 10_000);
        let source = |n: u32| Some(IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
        assert_eq!((0..1100).filter(|n| throttle.admit(source(*n), ONE).is_ok()).count(), 1000);
    }
}
