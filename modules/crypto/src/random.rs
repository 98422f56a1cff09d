//! Randomness of the operating system.

use semper_support::crypto::{CryptoError, Randomness};

/// The operating system's random number generator, by way of aws-lc.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Randomness for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        aws_lc_rs::rand::fill(out).map_err(|_| CryptoError::NoRandomness)
    }
}
