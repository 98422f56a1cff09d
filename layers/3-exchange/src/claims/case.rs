//! What is judged: the folders of one deal, whoever has kept them, as one heap of evidence without order and without doubles.

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId};
use semper_core::time::{Seconds, Time};

use crate::evidence::{Checks, Folder, Item, Report, examine};

/// Most folders in one case.
pub const FOLDERS_MAX: usize = 32;
/// Most arbiters, and most signers, in a policy.
const KNOWN_MAX: usize = 64;

/// The evidence of one deal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    deal: DealId,
    items: BTreeMap<Digest, Item>,
}

/// Why folders are no case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// There is no folder.
    #[error("a case needs a folder")]
    Empty,
    /// There are too many folders.
    #[error("a case has at most 32 folders")]
    TooMany,
    /// The folders belong to different deals.
    #[error("the folders belong to different deals: {0} and {1}")]
    OtherDeal(DealId, DealId),
}

impl Case {
    /// The case that folders of one deal make together.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn of(folders: &[Folder]) -> Result<Self, CaseError> {
        let first = folders.first().ok_or(CaseError::Empty)?;
        if folders.len() > FOLDERS_MAX {
            return Err(CaseError::TooMany);
        }
        if let Some(other) = folders.iter().find(|folder| folder.deal != first.deal) {
            return Err(CaseError::OtherDeal(first.deal, other.deal));
        }
        let named = |item: &Item| (Digest::of_parts(domain::CASE_ITEM, &[&head(item), &item.bytes]), item.clone());
        Ok(Self { deal: first.deal, items: folders.iter().flat_map(|folder| &folder.items).map(named).collect() })
    }

    /// The deal.
    pub fn deal(&self) -> DealId {
        self.deal
    }

    /// `H("semper/case/1" ‖ deal ‖ the items' hashes in order)`: the same for the same evidence, however it is spread over folders.
    pub fn hash(&self) -> Digest {
        let mut parts: Vec<&[u8]> = vec![self.deal.as_bytes()];
        parts.extend(self.items.keys().map(|digest| digest.as_bytes().as_slice()));
        Digest::of_parts(domain::CASE, &parts)
    }

    /// What the evidence proves, by the verifier of folders.
    pub fn examine(&self, checks: &Checks<'_>) -> Report {
        examine(checks, self.deal, self.items.values())
    }
}

/// The name of the kind, and a zero that ends it. The time of an item proves nothing and is left out.
fn head(item: &Item) -> Vec<u8> {
    [item.kind.name().as_bytes(), &[0]].concat()
}

/// Whose word counts for whoever judges, and when it is judged.
///
/// ```text
/// policy = { 0: at, 1: skew, ? 2: [* key set id], ? 3: [* key set id] }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The instant of the judgement: what says of itself that it is younger does not count.
    pub at: Time,
    /// By how much clocks of honest people are ahead at most.
    pub skew: Seconds,
    /// The arbiters whose word counts. `None`: whichever the parties have agreed on.
    pub arbiters: Option<Vec<KeySetId>>,
    /// Whose signatures count for transfers and payments, where no contract says who the parties are. `None`: everybody's; the grounds name
    /// the signers, and who judges must know whose keys those are.
    pub signers: Option<Vec<KeySetId>>,
}

impl Policy {
    /// The parties' own arbiter counts, and every signer; clocks may be ten minutes ahead.
    pub fn at(at: Time) -> Self {
        Self { at, skew: Seconds(600), arbiters: None, signers: None }
    }

    /// Whether an arbiter's word counts.
    pub fn trusts(&self, arbiter: KeySetId) -> bool {
        self.arbiters.as_ref().is_none_or(|trusted| trusted.contains(&arbiter))
    }

    /// Whether a signer's word about a transfer or a payment counts.
    pub fn knows(&self, signer: KeySetId) -> bool {
        self.signers.as_ref().is_none_or(|known| known.contains(&signer))
    }
}

impl Encode for Policy {
    fn to_value(&self) -> Value {
        let ids =
            |ids: &Option<Vec<KeySetId>>| ids.as_ref().map(|ids| ids.iter().map(Encode::to_value).collect::<Vec<_>>());
        let policy = record().put_item(0, &self.at).put_item(1, &self.skew);
        policy.put_some(2, ids(&self.arbiters)).put_some(3, ids(&self.signers)).build()
    }
}

impl Decode for Policy {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (at, skew) = (fields.item(0, "at")?, fields.item(1, "skew")?);
        let (arbiters, signers) = (ids(&mut fields, 2, "arbiters")?, ids(&mut fields, 3, "signers")?);
        fields.close()?;
        Ok(Self { at, skew, arbiters, signers })
    }
}

fn ids(fields: &mut Fields, key: u64, name: &str) -> Result<Option<Vec<KeySetId>>, DecodeError> {
    let Some(value) = fields.optional(key) else { return Ok(None) };
    // A list is read as a field: what is optional here is the field as a whole.
    Fields::open(record().put(0, value).build())?.list(0, name, KNOWN_MAX).map(Some)
}
