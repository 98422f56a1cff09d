//! How long to wait before a message is sent again: exponential growth with full jitter.
//!
//! Full jitter (a uniform draw between nothing and the ceiling) spreads senders that failed at the same moment; without it they
//! would all come back together and overload the same inbox again.

use std::time::Duration;

use semper_support::crypto::Randomness;

/// The ceiling of the first pause; it doubles with every attempt.
pub const FIRST: Duration = Duration::from_secs(1);

/// The pause after `attempts` tries without success (0 for the first): uniform in `0 ..= ceiling(attempts, max)`.
///
/// Without randomness the pause is the whole ceiling: slow, but never a busy loop.
pub fn pause(random: &dyn Randomness, attempts: u32, max: Duration) -> Duration {
    let ceiling = ceiling(attempts, max);
    let mut draw = [0; 8];
    if random.fill(&mut draw).is_err() {
        return ceiling;
    }
    let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
    let scaled = (u128::from(u64::from_be_bytes(draw)) * (u128::from(millis) + 1)) >> 64;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(millis))
}

/// The longest pause after `attempts` tries without success: [`FIRST`] doubled `attempts` times, at most `max`.
pub fn ceiling(attempts: u32, max: Duration) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(attempts)).min(max)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_support::crypto::CryptoError;

    use super::*;

    struct Always(u8);

    impl Randomness for Always {
        fn fill(&self, out: &mut [u8]) -> Result<(), CryptoError> {
            out.fill(self.0);
            Ok(())
        }
    }

    struct Broken;

    impl Randomness for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), CryptoError> {
            Err(CryptoError::NoRandomness)
        }
    }

    const MAX: Duration = Duration::from_secs(600);

    // A pause that grows beyond its cap leaves a deal unfinished for ever; an overflow would wrap it to a busy loop.
    #[test]
    fn the_ceiling_doubles_and_is_capped_for_any_number_of_attempts() {
        let seconds: Vec<_> = (0..12).map(|n| ceiling(n, MAX).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_eq!(ceiling(u32::MAX, MAX), MAX);
        assert_eq!(ceiling(u32::MAX, Duration::MAX), FIRST.saturating_mul(u32::MAX));
    }

    // The draw must reach both ends of the range and never leave it.
    #[test]
    fn the_pause_spans_from_nothing_to_the_ceiling() {
        for attempts in [0, 3, 40] {
            assert_eq!(pause(&Always(0), attempts, MAX), Duration::ZERO);
            assert_eq!(pause(&Always(0xff), attempts, MAX), ceiling(attempts, MAX));
            let half = pause(&Always(0x80), attempts, MAX);
            assert!(half > ceiling(attempts, MAX) / 3 && half < ceiling(attempts, MAX));
        }
        assert_eq!(pause(&Always(0xff), 9, Duration::MAX), Duration::from_secs(512));
    }

    #[test]
    fn without_randomness_the_pause_is_the_ceiling() {
        assert_eq!(pause(&Broken, 4, MAX), Duration::from_secs(16));
    }
}
