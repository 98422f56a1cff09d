//! Whether a cover is good for whoever is shown it: looked at without asking anybody, before the contract is signed.
//!
//! Source: `spec/cover.md` §5.

use semper_core::amount::Amount;
use semper_core::contract::Core;
use semper_core::ids::KeySetId;
use semper_core::signature::{SignatureError, Verified, Verify, verify};
use semper_core::time::{Seconds, Time};

use super::debt::{Opened, Unopened};
use super::statement::{Cover, CoverFile};

/// What a cover must be good for.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The contract.
    pub core: &'a Core,
    /// Who relies on it: the other party of the contract.
    pub me: KeySetId,
    /// Whose word is good enough.
    pub guarantors: &'a [KeySetId],
    /// How much it must be good for.
    pub amount: Amount,
    /// The least time until which it can be claimed; the contract's own time counts anyway.
    pub claim_by: Time,
    /// How old the word may be that the keys were not revoked.
    pub fresh: Seconds,
}

/// Why a cover is not relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCovered {
    /// Another guarantor.
    #[error("it is the word of {0}, who is no guarantor that you accept")]
    Guarantor(KeySetId),
    /// Not signed by that guarantor.
    #[error("it is not signed by its guarantor: {0}")]
    Signature(#[from] SignatureError),
    /// Another contract, or one that nobody stands for.
    #[error(transparent)]
    Contract(#[from] Unopened),
    /// Another party.
    #[error("it is for somebody else than you")]
    Beneficiary,
    /// Less than what is asked.
    #[error("it is for {0} only")]
    Amount(Amount),
    /// Nobody accepts it any more.
    #[error("it was to be accepted before {0}")]
    Stale(Time),
    /// It ends before the contract is decided, or earlier than is asked.
    #[error("it can be claimed until {until} only, and {needed} is needed")]
    TooEarly {
        /// What it says.
        until: Time,
        /// What is needed.
        needed: Time,
    },
    /// The word on the keys is too old, or from the future.
    #[error("its word that the keys are not revoked is of {0}")]
    NotFresh(Time),
}

/// Whether `file` is as good as it must be, at `now`.
///
/// # Errors
/// [`NotCovered`]: the first thing that is not.
pub fn check(
    verifier: &dyn Verify,
    file: &CoverFile,
    demand: &Demand<'_>,
    now: Time,
) -> Result<Verified<Cover>, NotCovered> {
    let guarantor = file.guarantor.id();
    if !demand.guarantors.contains(&guarantor) {
        return Err(NotCovered::Guarantor(guarantor));
    }
    let checked: Verified<Cover> = verify(verifier, &file.guarantor, &file.cover)?;
    let (cover, deadlines) = (checked.statement(), demand.core.terms.deadlines);
    let opened = Opened::of(cover, &file.opening, demand.core)?;
    let sigma = deadlines.sigma;
    // By then it is decided whether the contract binds, and whoever relies on the cover has the proof of it.
    let complaints = deadlines.complaints.unwrap_or(Seconds(0));
    let decided = deadlines.not_after.after(complaints).after(deadlines.delta).after(sigma);
    let needed = demand.claim_by.max(decided);
    let same = cover.amount.currency() == demand.amount.currency();
    match () {
        () if opened.beneficiary != demand.me => Err(NotCovered::Beneficiary),
        () if !same || cover.amount.minor() < demand.amount.minor() => Err(NotCovered::Amount(cover.amount)),
        // Our clock may be behind by so much.
        () if now.after(sigma) > cover.accept_before => Err(NotCovered::Stale(cover.accept_before)),
        () if cover.claim_by < needed => Err(NotCovered::TooEarly { until: cover.claim_by, needed }),
        () if cover.not_revoked_at > now.after(sigma) || cover.not_revoked_at.after(demand.fresh) < now => {
            Err(NotCovered::NotFresh(cover.not_revoked_at))
        }
        () => Ok(checked),
    }
}

#[cfg(test)]
mod tests;
