//! Deal folders: everything a party can prove with, from the archive into one file.

use std::collections::BTreeSet;

use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::contract::Core;
use semper_core::ids::DealId;
use semper_exchange::evidence::{Folder, Item};
use semper_exchange::goods::DepositKey;
use semper_support::archive::{Evidence, ReadError};
use semper_support::engine::EvidenceKind;

use super::{Entry, Node, NodeError};

impl Node {
    /// The folder of a deal, as it stands now, with the notices about it.
    ///
    /// # Errors
    /// `NoSuchDeal`, `Read`.
    pub async fn folder(&self, deal: DealId) -> Result<Folder, NodeError> {
        let mut folder = self.folder_without_notices(deal).await?;
        // Key sets come with each of them.
        let is_key_set = |item: &Item| item.kind == EvidenceKind::KeySet;
        let mut known: BTreeSet<_> =
            folder.items.iter().filter(|item| is_key_set(item)).map(|item| item.bytes.clone()).collect();
        for given in self.notices(deal).await? {
            let kept = self.kept(given.carrier).await?;
            folder.items.extend(kept.into_iter().filter(|item| !is_key_set(item) || known.insert(item.bytes.clone())));
        }
        Ok(folder)
    }

    /// What this party can prove of a deal, for its other party to see: without notices, which both have, and without what opens something that
    /// the other party may not be able to read yet.
    ///
    /// # Errors
    /// `NoSuchDeal`, `Read`.
    pub(super) async fn folder_for_peer(&self, deal: DealId) -> Result<Folder, NodeError> {
        let mut folder = self.folder_without_notices(deal).await?;
        let opens = |item: &Item| matches!(item.kind, EvidenceKind::Key | EvidenceKind::Preimage);
        folder.items.retain(|item| !opens(item));
        Ok(folder)
    }

    /// What was kept in a deal.
    async fn kept(&self, deal: DealId) -> Result<Vec<Item>, NodeError> {
        let unreadable = |kind: &str| NodeError::Read(ReadError(format!("stored evidence of an unknown kind: {kind}")));
        let read = |evidence: Evidence| {
            let item = evidence.item;
            let kind = EvidenceKind::from_name(&item.kind).ok_or_else(|| unreadable(&item.kind))?;
            Ok(Item { kind, bytes: item.bytes, time: item.time })
        };
        self.archive.evidence(&Entry::key(&deal)).await?.into_iter().map(read).collect()
    }

    async fn folder_without_notices(&self, deal: DealId) -> Result<Folder, NodeError> {
        let entry = self.entry(deal).await?;
        let mut items = self.kept(deal).await?;
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
