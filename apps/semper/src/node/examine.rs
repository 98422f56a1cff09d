//! Trying keys on goods: whether what somebody gave away opens what this party has downloaded, and whether it is what was promised.
//!
//! ```text
//! record "examine"   deal ‖ slot (2) ‖ hash of the key → examination          until the deal has heard what was found
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Kind, Signed};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::DealId;
use semper_core::signature::verify;
use semper_crypto::Encapsulator;
use semper_exchange::goods::{
    ArticleKey, DepositKey, Disclosure, Download, DownloadError, Good, KeyAttestation, KeyEvidence, Opens, Sealed,
    Seed, first_bad_chunk,
};
use semper_exchange::gx::{Examination, Examined, Found};
use semper_support::archive::{Commit, NewEvidence};
use semper_support::engine::{EvidenceKind, Input};
use tokio::sync::watch;

use super::deals::Event;
use super::goods::{self, GoodsError, Opened};
use super::shop::saved_record;
use super::{Contact, Entry, LOOK_AGAIN, Node, NodeError, now, rest};

const EXAMINE_SPACE: &str = "examine";
/// Examinations that are read at once.
const PAGE: usize = 16;

/// The record that asks for an examination.
pub(super) fn wanted(deal: &DealId, examination: &Examination) -> (String, Vec<u8>, Option<Vec<u8>>) {
    let release = Digest::of(domain::INPUT, &examination.release);
    let key = [deal.as_bytes().as_slice(), &examination.slot.0.to_be_bytes(), release.as_bytes()].concat();
    (EXAMINE_SPACE.to_owned(), key, Some(examination.to_bytes()))
}

impl Node {
    pub(super) async fn examine_loop(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            if let Err(error) = self.examine_all().await {
                tracing::error!(%error, "goods that came cannot be looked at");
            }
            if !rest(&self.examinations, LOOK_AGAIN, &mut stop).await {
                break;
            }
        }
    }

    async fn examine_all(&self) -> Result<(), NodeError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.archive.records(EXAMINE_SPACE, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, bytes) in page {
                // What stops one deal leaves the others alone.
                let deal = key.first_chunk().map(|id| DealId::from_array(*id));
                let (Some(deal), Ok(examination)) = (deal, Examination::from_bytes(&bytes)) else {
                    tracing::error!("a stored examination is not readable");
                    continue;
                };
                if let Err(error) = self.examine(deal, key, examination).await {
                    tracing::warn!(%deal, %error, "goods could not be looked at; they are tried again");
                    self.try_to_note(deal, &error).await;
                }
            }
        }
    }

    async fn examine(&self, deal: DealId, key: Vec<u8>, examination: Examination) -> Result<(), NodeError> {
        let entry = self.entry(deal).await?;
        let mut with = Commit { records: vec![(EXAMINE_SPACE.to_owned(), key, None)], ..Commit::default() };
        if entry.deal.ending().is_some() {
            return self.archive.commit(with).await.map_err(NodeError::Commit);
        }
        let Tried { found, opener, saved } = self.try_release(&entry, &examination).await?;
        with.records.extend(saved.map(|path| saved_record(deal, &path)));
        with.evidence.extend(opener.map(|key| NewEvidence {
            key: Entry::key(&deal),
            kind: EvidenceKind::Key.name().to_owned(),
            bytes: key.as_bytes().to_vec(),
            time: now(),
        }));
        let examined = Examined { slot: examination.slot, release: examination.release, found };
        self.step(deal, Event { input: Input::Examined(examined.to_bytes()), with }).await
    }

    /// Tries what was released.
    async fn try_release(&self, entry: &Entry, examination: &Examination) -> Result<Tried, NodeError> {
        let Examination { core, slot, .. } = examination;
        let arbiter = match core.arbiter() {
            Some(arbiter) => Some(self.book.by_key_set(arbiter).await?),
            None => None,
        };
        let key = arbiter.as_ref().map(|arbiter| {
            let sealing = &arbiter.card().sealing_key;
            DepositKey { suite: sealing.suite, public_key: sealing.public_key.clone() }
        });
        let Ok(good) = Good::of(core, *slot, key.as_ref()) else { return Ok(Found::Useless.into()) };
        let (peer, arbiter) = (&entry.deal.sides().peer, arbiter.as_ref().map(Contact::key_set));
        let Some((key, evidence)) = self.opener(&good, peer, arbiter, &examination.release) else {
            return Ok(Found::Useless.into());
        };
        if let Some(sealed) = self.letter_of(entry.deal.id(), &good).await? {
            return open_letter(good, &sealed, key, &evidence);
        }
        let out = goods::bought(self.goods.dir(), entry.deal.id()).join(good.descriptor().name());
        let store = self.goods.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let root = good.deposit().cipher_root;
            let Some(index) = store.index(&root)? else { return Ok(Opened::NotHere) };
            match Download::new(&Encapsulator, good, index) {
                Ok(download) => store.open(&download, &key, &evidence, &out),
                // Checked before the contract was signed; a deposit that nobody can open opens nothing.
                Err(DownloadError::NoKey) => Ok(Opened::NotHere),
                Err(error) => Err(GoodsError::Wrong(error.to_string())),
            }
        });
        match opened.await.map_err(|_| NodeError::Goods(GoodsError::Stopped))?? {
            Opened::Good(path) => Ok(Tried { saved: Some(path), ..Found::Good.into() }),
            Opened::Bad(pom) => Ok(Found::Bad(pom.to_bytes()).into()),
            Opened::NotHere => Err(NodeError::Goods(GoodsError::Wrong("the goods are not all here".to_owned()))),
        }
    }

    /// The letter that came with the contract of a deal, if it is about one.
    async fn letter_of(&self, deal: DealId, good: &Good) -> Result<Option<Sealed>, NodeError> {
        let root = good.deposit().cipher_root;
        let evidence = self.archive.evidence(&Entry::key(&deal)).await?;
        let sealed = evidence.iter().filter(|evidence| evidence.item.kind == EvidenceKind::Sealed.name());
        let mut read = sealed.filter_map(|evidence| Sealed::from_bytes(&evidence.item.bytes).ok());
        Ok(read.find(|sealed| sealed.is_of(good.descriptor(), root)))
    }

    /// The key that a release says, with what proves it.
    fn opener(
        &self,
        good: &Good,
        peer: &semper_core::party::KeySet,
        arbiter: Option<&semper_core::party::KeySet>,
        release: &[u8],
    ) -> Option<(ArticleKey, KeyEvidence)> {
        if let Opens::Hash(_) = good.deposit().opens {
            let preimage = Seed::new(release.to_vec());
            let key = good.open(&Encapsulator, &preimage).ok()?;
            return Some((key, KeyEvidence::Seed(preimage)));
        }
        let signed = Signed::from_bytes(release).ok()?;
        if signed.kind() == Kind::KeyAttestation {
            let said = verify::<KeyAttestation>(&*self.verify, arbiter?, &signed).ok()?;
            let KeyAttestation { cid, slot, key } = said.statement();
            let ours = (*cid, *slot) == (good.cid(), good.slot());
            return ours.then(|| (key.clone(), KeyEvidence::Attested(signed.clone())));
        }
        let said = verify::<Disclosure>(&*self.verify, peer, &signed).ok()?;
        let Disclosure { cid, slot, seed } = said.statement();
        let key = good.open(&Encapsulator, seed).ok().filter(|_| (*cid, *slot) == (good.cid(), good.slot()))?;
        Some((key, KeyEvidence::Seed(seed.clone())))
    }
}

/// What came of trying a release.
struct Tried {
    found: Found,
    /// Of a letter that is as promised: the key, which makes its files readable from the deal's evidence.
    opener: Option<ArticleKey>,
    /// Of goods that are as promised: where they are.
    saved: Option<PathBuf>,
}

impl From<Found> for Tried {
    fn from(found: Found) -> Self {
        Self { found, opener: None, saved: None }
    }
}

/// Tries a key on a letter.
fn open_letter(good: Good, sealed: &Sealed, key: ArticleKey, evidence: &KeyEvidence) -> Result<Tried, NodeError> {
    if sealed.open(&key).is_some() {
        return Ok(Tried { opener: Some(key), ..Found::Good.into() });
    }
    let wrong = |error: DownloadError| NodeError::Goods(GoodsError::Wrong(error.to_string()));
    let download = Download::new(&Encapsulator, good, sealed.index().clone()).map_err(wrong)?;
    let chunks = sealed.chunks().map(|(_, chunk)| chunk.to_vec());
    let found = first_bad_chunk(&download, &key, evidence, chunks);
    Ok(found.map_or(Found::Useless, |pom| Found::Bad(pom.to_bytes())).into())
}
