//! How often clients may ask a mint, a bank or a time-stamp authority: the throttle of the channel, with the costs that mint and bank name.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use semper_channel::{Rate, Rates, Throttle};
use semper_payment::admit::{Admit, Cost};

use crate::home::RatesConfig;

/// What a role allows unless its operator says otherwise, in tokens.
pub struct Usual {
    /// What one client can spend at once, and gets back in a second.
    pub client: (u32, u32),
    /// The same for all clients together.
    pub all: (u32, u32),
}

/// Most clients that are told apart.
const CLIENTS_MAX: usize = 10_000;

/// The throttle of a mint or bank.
///
/// # Errors
/// A bucket is too small for the dearest request.
pub fn throttle(config: &RatesConfig, usual: &Usual) -> Result<Admit> {
    let per_source = rate(config.burst, config.per_second, usual.client);
    let total = rate(config.burst_of_all, config.per_second_of_all, usual.all);
    if per_source.burst.min(total.burst) < Cost::MAX {
        bail!("burst and burst_of_all in semper.toml must be at least {}: a new quote costs so much", Cost::MAX);
    }
    let sources_max = config.clients_max.unwrap_or(CLIENTS_MAX);
    let throttle = Throttle::new(Rates { per_source, total, sources_max });
    Ok(Arc::new(move |source, cost| throttle.admit(source, cost.tokens()).map_err(|too_many| too_many.wait)))
}

fn rate(burst: Option<NonZeroU32>, per_second: Option<NonZeroU32>, usual: (u32, u32)) -> Rate {
    let or = |given: Option<NonZeroU32>, usual| given.or(NonZeroU32::new(usual)).unwrap_or(NonZeroU32::MIN);
    Rate { burst: or(burst, usual.0), every: Duration::from_secs(1) / or(per_second, usual.1).get() }
}
