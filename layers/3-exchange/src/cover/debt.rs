//! Whether something is owed under a contract that a guarantor stands for: what a folder shows of it, judged as any judge would.
//!
//! A debt is shown by a contract that binds both, and nothing else: who says that it was paid has to prove it, as in the rules of evidence. So the
//! guarantor asks its customer before it pays. Only contracts of two are covered by which the subject gives no money in the exchange itself: there the
//! exchange gives both or neither, and nobody has to stand for anybody.
//!
//! Source: `spec/cover.md` §4.

use semper_core::contract::Core;
use semper_core::ids::{Cid, KeySetId};
use semper_core::party::Role;
use semper_core::time::Time;

use super::statement::{Cover, cover_tag};
use crate::claims::{Actor, Case, Claim, Did, Outcome, Policy, Verb, decide};
use crate::evidence::{Checks, Folder, Subject, What};
use crate::gx::Leg;

/// A contract that a cover was opened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The contract.
    pub cid: Cid,
    /// The role of whom the guarantor stands for.
    pub subject: Role,
    /// The other party: whom the cover is for.
    pub beneficiary: KeySetId,
}

/// Why a cover does not open to a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unopened {
    /// It is for another contract.
    #[error("the cover is for another contract")]
    OtherContract,
    /// It is not a contract of two, one of whom is the subject.
    #[error("the cover is for a contract of two parties, one of whom has the keys that it names")]
    OtherParty,
    /// The subject gives money in the exchange itself.
    #[error("under this contract the money changes hands in the exchange itself, for which nobody has to stand")]
    InExchange,
}

/// What a folder shows of a debt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Debt {
    /// The contract binds the subject, and nothing shows that it has paid.
    Owed,
    /// The contract binds nobody, or whom the cover is for has said that the money came.
    Nothing,
    /// Neither.
    NotShown,
}

impl Opened {
    /// Opens a cover to the contract `core`.
    ///
    /// # Errors
    /// [`Unopened`].
    pub fn of(cover: &Cover, opening: &[u8; 32], core: &Core) -> Result<Self, Unopened> {
        let cid = core.cid();
        if cover_tag(cid, opening) != cover.tag {
            return Err(Unopened::OtherContract);
        }
        let subject = core.role_of(cover.subject).filter(|_| core.terms.parties.len() == 2);
        let subject = subject.ok_or(Unopened::OtherParty)?;
        let beneficiary = core.party(subject.peer()).filter(|peer| *peer != cover.subject);
        let beneficiary = beneficiary.ok_or(Unopened::OtherParty)?;
        let legs = Leg::of(core).map_err(|_| Unopened::OtherParty)?;
        let given = legs.get(usize::from(subject.number())).ok_or(Unopened::OtherParty)?;
        if given.is_money() { Err(Unopened::InExchange) } else { Ok(Self { cid, subject, beneficiary }) }
    }

    /// What folders show of the debt, whoever has kept them. They are one heap, whatever deals they name: else a claimant could name another deal, and
    /// nothing that its customer shows would count beside it.
    pub fn debt(&self, checks: &Checks<'_>, folders: &[Folder], now: Time) -> Debt {
        let Some(deal) = folders.first().map(|folder| folder.deal) else { return Debt::NotShown };
        let heap = Folder { deal, items: folders.iter().flat_map(|folder| folder.items.clone()).collect() };
        let Ok(case) = Case::of(&[heap]) else { return Debt::NotShown };
        let report = case.examine(checks);
        let about = Subject::Contract(self.cid);
        let agreed = Claim::Did(Did::new(Actor::Party(self.subject), Verb::Agreed).about(about));
        let decision = decide(&report, &case, &[agreed], &Policy::at(now));
        let quitted = What::Quitted(self.subject.peer());
        let came = report.facts.iter().any(|fact| fact.about == about && fact.what == quitted);
        match decision.rulings.first().map(|ruling| ruling.outcome) {
            Some(Outcome::Refuted) => Debt::Nothing,
            Some(Outcome::Proven) if came => Debt::Nothing,
            Some(Outcome::Proven) => Debt::Owed,
            _ => Debt::NotShown,
        }
    }
}
