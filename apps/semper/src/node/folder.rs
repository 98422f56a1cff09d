//! Deal folders: everything a party can prove with, from the archive into one file.

use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::contract::Core;
use semper_core::ids::DealId;
use semper_exchange::evidence::{Folder, Item};
use semper_exchange::goods::DepositKey;
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
        items.extend(self.deposit_keys(&items).await);
        let mut certificates = self.certificates.clone();
        for other in entry.deal.sides().others() {
            let other = self.party(&deal, other.id(), &[]).await;
            certificates.extend(other.map(|other| other.card().certificates.clone()).unwrap_or_default());
        }
        certificates.sort_unstable();
        certificates.dedup();
        let now = super::now();
        items.extend(certificates.into_iter().map(|bytes| Item { kind: EvidenceKind::Certificate, bytes, time: now }));
        Ok(Folder { deal, items })
    }

    /// The keys of the arbiters to which the information of contracts was deposited. Contracts name their hashes.
    async fn deposit_keys(&self, items: &[Item]) -> Vec<Item> {
        let mut keys = Vec::new();
        for core in items.iter().filter(|item| item.kind == EvidenceKind::Core) {
            let Ok(core) = Core::from_bytes(&core.bytes) else { continue };
            let Some(arbiter) = core.terms.arbiter else { continue };
            let Ok(known) = self.book.by_key_set(arbiter.key_set).await else { continue };
            let sealing = &known.card().sealing_key;
            let key = DepositKey { suite: sealing.suite, public_key: sealing.public_key.clone() };
            if arbiter.deposit_key == Some(key.id()) {
                keys.push(Item { kind: EvidenceKind::DepositKey, bytes: key.to_bytes(), time: super::now() });
            }
        }
        keys
    }
}
