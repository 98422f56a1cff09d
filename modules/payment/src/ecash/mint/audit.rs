//! What is outstanding, added up from the facts.

use cashu::Id;
use semper_support::archive::Fact;
use serde::Serialize;

use super::Mint;
use super::ledger::{SignedFor, SpentBy, damaged, reading, signed_space, spent_space};
use super::refusal::Refusal;
use crate::ecash::keyset::Unit;

/// How many facts are read at once.
const PAGE: usize = 1000;

/// The sums of one keyset, in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeysetAudit {
    /// The keyset.
    #[serde(serialize_with = "id_text")]
    pub keyset: Id,
    /// Its unit.
    pub unit: Unit,
    /// Signed, ever.
    pub issued: u64,
    /// Taken back for good, ever.
    pub redeemed: u64,
    /// In payments that are not finished.
    pub pending: u64,
}

impl KeysetAudit {
    /// What people hold, or have in payments that are not finished.
    pub fn outstanding(&self) -> i128 {
        i128::from(self.issued) - i128::from(self.redeemed)
    }
}

impl Mint {
    /// Adds up every keyset. Reads every coin ever spent and every message ever signed, a page at a time; requests go on meanwhile, so
    /// the sums are exact only when none do.
    ///
    /// # Errors
    /// `Busy`: storage failed, or something stored is not readable.
    pub async fn audit(&self) -> Result<Vec<KeysetAudit>, Refusal> {
        let mut audits = Vec::new();
        for keyset in self.keysets().iter() {
            let id = keyset.id();
            let mut audit = KeysetAudit { keyset: id, unit: keyset.terms().unit, issued: 0, redeemed: 0, pending: 0 };
            let mut after = None;
            while let Some(page) = self.page(&signed_space(&id), &mut after).await? {
                for fact in page {
                    self.add_signed(&mut audit, &fact.value).await?;
                }
            }
            let mut after = None;
            while let Some(page) = self.page(&spent_space(&id), &mut after).await? {
                for fact in page {
                    self.add_spent(&mut audit, &fact.value).await?;
                }
            }
            audits.push(audit);
        }
        Ok(audits)
    }

    /// The facts after `after`, which is moved to the last of them; `None` when there are no more.
    async fn page(&self, space: &str, after: &mut Option<Vec<u8>>) -> Result<Option<Vec<Fact>>, Refusal> {
        let page = self.ledger.archive.facts(space, after.as_deref(), PAGE).await.map_err(|error| reading(&error))?;
        let Some(last) = page.last() else { return Ok(None) };
        *after = Some(last.key.clone());
        Ok(Some(page))
    }

    async fn add_signed(&self, audit: &mut KeysetAudit, value: &[u8]) -> Result<(), Refusal> {
        let amount = match SignedFor::read(value).ok_or_else(|| damaged("a signed message"))? {
            SignedFor::Amount(amount) => amount,
            SignedFor::Change { quote, place } => self.ledger.melt(&quote).await?.0.change_at(place).unwrap_or(0),
        };
        audit.issued = audit.issued.saturating_add(amount);
        Ok(())
    }

    async fn add_spent(&self, audit: &mut KeysetAudit, value: &[u8]) -> Result<(), Refusal> {
        let spent = SpentBy::read(value).ok_or_else(|| damaged("a spent coin"))?;
        let sum = match &spent {
            SpentBy::Request { .. } => &mut audit.redeemed,
            SpentBy::Melt { attempt, quote, .. } => match self.ledger.melt(quote).await?.0 {
                state if *attempt < state.failed() => return Ok(()),
                state if state.is_pending() => &mut audit.pending,
                _ => &mut audit.redeemed,
            },
        };
        *sum = sum.saturating_add(spent.amount());
        Ok(())
    }
}

fn id_text<S: serde::Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&id.to_string())
}
