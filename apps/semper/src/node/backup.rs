//! When the last backup was made, and what would be lost with this machine now.

use std::collections::BTreeMap;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::time::Time;
use semper_support::archive::{Commit, ReadError};
use semper_transfer::payment::operation::PurseId;

use super::many::Record;
use super::{Entry, Node, NodeError, Payments};
use crate::backup::COUNTED_MAX;

/// Record space of the last backup: [`KEY`] → [`Backed`].
const SPACE: &str = "backup";
const KEY: &[u8] = b"last";
/// Deals that are read at once.
const PAGE: usize = 64;
/// Most purses.
const PURSES_MAX: usize = 64;

/// The last backup that was made and checked.
///
/// ```text
/// backed = { 0: 1, 1: time, 2: [* purse], 3: number of deals }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backed {
    /// When.
    pub time: Time,
    /// The purses in it: what is in them can be found again.
    pub purses: Vec<PurseId>,
    /// How many deals are in it. Deals are never removed: those beyond that number are not.
    pub deals: u64,
}

/// What would be lost with this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtRisk {
    /// When the last backup was made, if there is one.
    pub last: Option<Time>,
    /// Deals that are not in it; at most [`COUNTED_MAX`].
    pub deals: usize,
    /// Money in purses that are not in it: one amount for each currency.
    pub money: Vec<Amount>,
}

/// The record by which a backup is noted as the last one.
pub(crate) fn noted(backed: &Backed) -> Record {
    (SPACE.to_owned(), KEY.to_vec(), Some(backed.to_bytes()))
}

impl Node {
    /// Notes that a backup was made and checked.
    ///
    /// # Errors
    /// Storage.
    pub async fn note_backup(&self, backed: &Backed) -> Result<(), NodeError> {
        let commit = Commit { records: vec![noted(backed)], ..Commit::default() };
        self.archive.commit(commit).await.map_err(NodeError::Commit)?;
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    /// What would be lost with this machine now.
    ///
    /// # Errors
    /// Storage.
    pub async fn at_risk(&self) -> Result<AtRisk, ReadError> {
        let unreadable = |error| ReadError(format!("the note of the last backup is not readable: {error}"));
        let stored = self.archive.record(SPACE, KEY).await?;
        let backed = stored.map(|bytes| Backed::from_bytes(&bytes).map_err(unreadable)).transpose()?;
        // Cheap where nothing has changed: whoever asks for every page asks often.
        let counted = *self.changed.borrow();
        let mut remembered = self.at_risk.lock().await;
        if let Some((then, at_risk)) = &*remembered
            && *then == counted
            && at_risk.last == backed.as_ref().map(|backed| backed.time)
        {
            return Ok(at_risk.clone());
        }
        let money = self.payments.not_in(backed.as_ref()).await?;
        let held = backed.as_ref().map_or(0, |backed| usize::try_from(backed.deals).unwrap_or(usize::MAX));
        let last = backed.map(|backed| backed.time);
        let at_risk = AtRisk { last, deals: self.deals_beyond(held).await?, money };
        *remembered = Some((counted, at_risk.clone()));
        Ok(at_risk)
    }

    /// How many deals there are beyond a number. By their times they could not be told from those of a backup that was made in the same second.
    async fn deals_beyond(&self, held: usize) -> Result<usize, ReadError> {
        let (mut count, mut after) = (0_usize, None::<Vec<u8>>);
        while count < held.saturating_add(COUNTED_MAX) {
            let page = self.archive.states(Entry::prefix(), after.as_deref(), PAGE).await?;
            let Some(end) = page.last() else { break };
            after = Some(end.key.clone());
            count += page.len();
        }
        Ok(count.saturating_sub(held).min(COUNTED_MAX))
    }
}

impl Payments {
    /// The money in the purses that are not in a backup.
    async fn not_in(&self, backed: Option<&Backed>) -> Result<Vec<Amount>, ReadError> {
        let held = |id: &PurseId| backed.is_some_and(|backed| backed.purses.contains(id));
        let mut sums = BTreeMap::new();
        for purse in self.purses().await?.into_iter().filter(|purse| !held(&purse.id)) {
            let Some(module) = self.module(&purse.system) else { continue };
            let available = module.balance(&purse).available;
            let sum: &mut u64 = sums.entry(available.currency()).or_default();
            *sum = sum.saturating_add(available.minor()).min(Amount::MINOR_MAX);
        }
        let above_zero = sums.into_iter().filter(|(_, minor)| *minor > 0);
        Ok(above_zero.filter_map(|(currency, minor)| Amount::new(minor, currency).ok()).collect())
    }
}

impl Encode for Backed {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.time).put_list(2, &self.purses).put(3, self.deals).build()
    }
}

impl Decode for Backed {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (time, purses) = (fields.item(1, "time")?, fields.list(2, "purses", PURSES_MAX)?);
        let backed = Self { time, purses, deals: fields.uint(3, "deals")? };
        fields.close()?;
        Ok(backed)
    }
}
