//! The right that is shown under a contract: what its issuer says of it, and whether it has said two things that exclude each other.

use semper_core::cbor::Encode;
use semper_core::contract::Core;
use semper_core::cose::Signed;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, StatementId};
use semper_core::party::Role;
use semper_core::signature::Verify;
use semper_transfer::credential::{Bundle, Credential, Reservation, Spend, use_tag};

use super::report;
use super::verify::Pool;
use crate::gx::{Leg, Show};

/// What is said of a right. Reading it marks the statements as belonging to the contract.
pub(super) struct Said {
    show: Show,
    tag: Digest,
    /// The holder's credentials of this serial number.
    credentials: Vec<StatementId>,
    kept: Vec<(StatementId, Reservation)>,
    /// Every use of it that was taken for this contract, and whatever else excludes one of these.
    spent: Vec<(StatementId, Spend)>,
}

impl Said {
    /// `None` if nobody shows a right under this contract.
    pub(super) fn of(pool: &mut Pool, core: &Core, cid: Cid) -> Option<Self> {
        let Ok([_, Leg::Show(show)]) = Leg::of(core) else { return None };
        let tag = use_tag(cid, &show.salt);
        let credentials = pool.said(show.issuer, |credential: &Credential| {
            credential.serial == show.serial && Some(credential.holder) == core.party(Role::RESPONDER)
        });
        let kept = pool.said(show.issuer, |kept: &Reservation| {
            (kept.serial, kept.tag, Some(kept.arbiter)) == (show.serial, tag, core.arbiter())
        });
        let number = number(&kept);
        let spent = pool.said(show.issuer, |spend: &Spend| {
            spend.serial == show.serial && (spend.tag == tag || Some(spend.number) == number)
        });
        let credentials = credentials.into_iter().map(|(id, _)| id).collect();
        Some(Self { show: *show, tag, credentials, kept, spent })
    }

    /// As `semper verify` shows it.
    pub(super) fn shown(&self) -> report::Shown {
        let last = self.kept.iter().map(|(_, kept)| kept).max_by_key(|kept| kept.until);
        report::Shown {
            right: self.show.right.clone(),
            issuer: self.show.issuer,
            credential: self.credentials.contains(&self.show.credential),
            kept: last.map(|kept| kept.until),
            number: number(&self.kept),
            spent: self.taken().map(|(_, spend)| spend.time).min(),
        }
    }

    /// What shows that the issuer keeps a use for this contract, or calls a right good for it that may be used freely: all that the seller and the
    /// arbiter look at.
    pub(super) fn kept(&self, verifier: &dyn Verify, pool: &Pool, core: &Core) -> Vec<[Digest; 2]> {
        let credential = pool.statements.get(&self.show.credential);
        let (Some(issuer), Some(credential)) = (pool.key_sets.get(&self.show.issuer), credential) else {
            return Vec::new();
        };
        let holds = |reservation: &Signed| {
            let (issuer, credential) = (issuer.clone(), credential.clone());
            let bundle = Bundle { issuer, credential, reservation: Some(reservation.clone()) };
            self.show.check(verifier, core, &bundle.to_bytes()).is_ok()
        };
        let good = self.kept.iter().filter(|(id, _)| pool.statements.get(id).is_some_and(holds));
        good.map(|(id, _)| [*self.show.credential.digest(), *id.digest()]).collect()
    }

    /// The issuer's words that the use was taken for this contract.
    pub(super) fn taken(&self) -> impl Iterator<Item = &(StatementId, Spend)> {
        let number = number(&self.kept);
        self.spent
            .iter()
            .filter(move |(_, spend)| spend.tag == self.tag && number.is_none_or(|number| spend.number == number))
    }

    /// Whether the issuer has said two things that exclude each other: that it took one use for two contracts, or two uses for one.
    ///
    /// That it kept a use for two contracts, or took for another one what it kept for this, says nothing: an abort may have freed it in between, of which this
    /// folder need not know.
    pub(super) fn excludes_itself(&self) -> bool {
        let spends = || self.spent.iter().map(|(_, spend)| spend);
        spends().any(|one| spends().any(|other| (other.tag == one.tag) != (other.number == one.number)))
    }
}

/// Which use is kept, by the reservation that lasts longest.
fn number(kept: &[(StatementId, Reservation)]) -> Option<u32> {
    kept.iter().max_by_key(|(_, kept)| kept.until).and_then(|(_, kept)| kept.number)
}
