//! Liability covers: what its user owes a guarantor, and what it says to one. Each is shown and asked for, whatever mandates there are.

use semper_core::cose::{Draft, Kind};
use semper_exchange::cover::{Agreement, CoverClaim, CoverRelease, CoverRequest};
use semper_support::approval::ApprovalError;

use super::{Judgement, read};

/// What is said to a guarantor, or agreed with it, in words. No mandate covers it.
pub(super) fn judge_cover(draft: &Draft) -> Result<Judgement, ApprovalError> {
    let text = match draft.kind {
        Kind::LiabilityAgreement => read::<Agreement>(draft)?.describe(),
        Kind::CoverRequest => read::<CoverRequest>(draft)?.describe(),
        Kind::CoverRelease => read::<CoverRelease>(draft)?.describe(),
        _ => read::<CoverClaim>(draft)?.describe(),
    };
    Ok(Judgement::Ask { act: Err("a word to a guarantor is put to you each time"), text, contract: None })
}
