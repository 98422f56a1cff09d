//! After a restore: the log ends where the backup was made, and what these keys have signed since is not in it.
//!
//! Whatever excludes another statement (a final, an abort, an order that locks money, the next round, a word on money) may have been answered the other way
//! since. So for each contract that was approved, asked about or under way at the backup, nothing that excludes anything is signed but what stands in the
//! log already; questions to its arbiter exclude nothing, and are. The user is asked for no promise of such a contract either: the promise may have been
//! given, its contract completed, and what follows could not be signed.
//!
//! Source: `spec/backup.md` §4 (design/exchange.md §12, rule 8).

use std::collections::BTreeSet;

use semper_core::cbor::Encode as _;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, StatementId};
use semper_core::time::Time;
use semper_support::approval::ApprovalError;
use semper_support::archive::{CommitError, Fact, ReadError};

use super::mandate::mandates_of;
use super::{ANSWERS, APPROVED, Judgement, Vault, WAITING_MAX, unavailable};
use crate::decisions::{Decision, Decisions, Event, What};

/// Fact space of the contracts of before a restore: cid → the time of the backup.
const RESTORED: &str = "vault-restored";
/// Facts in one entry of the log.
const FACTS: usize = 1024;

/// What a restore has changed in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// For how many contracts nothing that excludes anything is signed any more.
    pub contracts: usize,
    /// How many questions waited; they are declined, for the answer may have been given since.
    pub declined: usize,
    /// The mandates that were ever granted and may not be over: they are to be revoked, for nobody knows what was counted since.
    pub mandates: Vec<StatementId>,
}

/// Marks a log that comes from a backup of the time `from`, before anything is signed over it. `begun` are the contracts of deals that had not
/// ended, which the log may not know. Marking it again changes nothing.
///
/// # Errors
/// The log cannot be read or written. It is not fit for signing then.
pub async fn mark_restored<D: Decisions + ?Sized>(
    decisions: &D,
    begun: impl IntoIterator<Item = Cid>,
    from: Time,
) -> Result<Restored, CommitError> {
    let failed = |error: ReadError| CommitError::Storage(error.to_string());
    let mut contracts: BTreeSet<Cid> = begun.into_iter().collect();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = decisions.facts(APPROVED, after.as_deref(), FACTS).await.map_err(failed)?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        let cids = page.iter().filter_map(|fact| fact.key.as_slice().try_into().ok());
        contracts.extend(cids.map(|cid| Cid::from_digest(Digest::from_array(cid))));
    }
    let waiting = decisions.all_waiting(WAITING_MAX).await.map_err(failed)?;
    contracts.extend(waiting.iter().filter_map(|approval| approval.approves.as_ref()).map(|approves| approves.cid));
    let mut facts = Vec::new();
    for cid in &contracts {
        let fact = Fact { space: RESTORED.to_owned(), key: cid.as_bytes().to_vec(), value: from.to_bytes() };
        if decisions.fact(&fact.space, &fact.key).await.map_err(failed)?.is_none() {
            facts.push(fact);
        }
    }
    let event = Event::of_vault(What::Restored, format!("from the backup of {from}"));
    for facts in facts.chunks(FACTS) {
        decisions.decide(Decision { event: event.clone(), facts: facts.to_vec(), question: None }).await?;
    }
    if facts.is_empty() {
        decisions.decide(Decision { event, facts, question: None }).await?;
    }
    for approval in &waiting {
        let id = approval.draft.id();
        let declined = Fact { space: ANSWERS.to_owned(), key: id.as_bytes().to_vec(), value: Vec::new() };
        let event = Event::of(What::Declined, &approval.draft);
        decisions.decide(Decision { event, facts: vec![declined], question: None }).await?;
    }
    let mandates = mandates_of(decisions).await.map_err(failed)?;
    Ok(Restored { contracts: contracts.len(), declined: waiting.len(), mandates })
}

/// Why nothing new is signed for a contract of before a restore.
pub(super) fn forbidden() -> ApprovalError {
    ApprovalError::Forbidden(
        "this party comes from a backup, and the contract from before it: something else may have been signed since. No money moved by this; it ends as its arbiter says".into(),
    )
}

impl<D: Decisions + ?Sized> Vault<D> {
    /// That what follows from a contract of before a restore excludes nothing but what the log excludes already.
    pub(super) async fn goes_no_new_way(&self, cid: Cid, facts: &[Fact]) -> Result<(), ApprovalError> {
        if !self.is_from_before(cid).await? {
            return Ok(());
        }
        for fact in facts {
            let stands = self.decisions.fact(&fact.space, &fact.key).await.map_err(unavailable)?;
            if stands.as_ref() != Some(&fact.value) {
                return Err(forbidden());
            }
        }
        Ok(())
    }

    /// Whether a contract was begun, or could have been, before the backup that this vault comes from.
    pub(super) async fn is_from_before(&self, cid: Cid) -> Result<bool, ApprovalError> {
        Ok(self.decisions.fact(RESTORED, cid.as_bytes()).await.map_err(unavailable)?.is_some())
    }

    /// What became of a contract of before a restore may be asked though the log knows of no approval: it may have been given since.
    pub(super) async fn judge_inquiry(&self, cid: Cid) -> Result<Judgement, ApprovalError> {
        if self.is_from_before(cid).await? {
            return Ok(Judgement::Sign(Vec::new()));
        }
        self.follows(cid, Vec::new()).await
    }
}
