//! Deal folders: everything a party can prove with, from the archive into one file.

use semper_core::ids::DealId;
use semper_exchange::evidence::{Folder, Item};
use semper_support::archive::ReadError;
use semper_support::engine::EvidenceKind;

use super::{Entry, Node, NodeError};

impl Node {
    /// The folder of a deal, as it stands now.
    ///
    /// # Errors
    /// `NoSuchDeal`, `Read`.
    pub async fn folder(&self, deal: DealId) -> Result<Folder, NodeError> {
        let entry = self.entry(deal).await?;
        let unreadable = |kind: &str| NodeError::Read(ReadError(format!("stored evidence of an unknown kind: {kind}")));
        let mut items = Vec::new();
        for evidence in self.archive.evidence(&Entry::key(&deal)).await? {
            let item = evidence.item;
            let kind = EvidenceKind::from_name(&item.kind).ok_or_else(|| unreadable(&item.kind))?;
            items.push(Item { kind, bytes: item.bytes, time: item.time });
        }
        let mut certificates = self.certificates.clone();
        for other in entry.deal.sides().others() {
            let other = self.party(&deal, other.id()).await;
            certificates.extend(other.map(|other| other.card().certificates.clone()).unwrap_or_default());
        }
        certificates.sort_unstable();
        certificates.dedup();
        let now = super::now();
        items.extend(certificates.into_iter().map(|bytes| Item { kind: EvidenceKind::Certificate, bytes, time: now }));
        Ok(Folder { deal, items })
    }
}
