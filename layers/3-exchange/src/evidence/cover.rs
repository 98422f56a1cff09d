//! Covers that were shown under a contract: whose word they are, for whom, and for how much.

use semper_core::amount::Amount;
use semper_core::cbor::Decode as _;
use semper_core::contract::Core;
use semper_core::cose::Kind;
use semper_core::ids::{KeySetId, StatementId};
use semper_core::party::Role;
use semper_core::time::Time;

use super::verify::Pool;
use crate::cover::{Cover, Opened};

/// A cover that opens to a contract.
pub(super) struct Covered {
    pub statement: StatementId,
    pub guarantor: KeySetId,
    pub subject: Role,
    pub amount: Amount,
    /// By the guarantor's clock.
    pub time: Time,
}

/// The covers of a contract; they are marked as used.
pub(super) fn of(pool: &mut Pool, core: &Core) -> Vec<Covered> {
    let opened = pool.openings.iter().filter_map(|(id, opening)| {
        let signed = pool.statements.get(id).filter(|signed| signed.kind() == Kind::Cover)?;
        let cover = Cover::from_bytes(signed.payload()).ok()?;
        let Opened { subject, .. } = Opened::of(&cover, opening, core).ok()?;
        let (guarantor, amount, time) = (signed.signer(), cover.amount, cover.not_revoked_at);
        Some(Covered { statement: *id, guarantor, subject, amount, time })
    });
    let opened: Vec<_> = opened.collect();
    pool.used.extend(opened.iter().map(|covered| covered.statement));
    opened
}
