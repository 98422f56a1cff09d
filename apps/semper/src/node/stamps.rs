//! Time-stamps of deals: every signature that the archive holds of a deal can be dated, now or as soon as the deal has ended.
//!
//! A token is evidence like any other; nothing waits for it. What is to be dated by itself is noted in the commit that ends the deal, and is
//! tried with growing pauses until it is done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use semper_channel::ServiceClient;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::Signed;
use semper_core::ids::DealId;
use semper_core::imprint::Imprint;
use semper_core::time::{Seconds, Time};
use semper_support::archive::{Commit, NewEvidence};
use semper_support::engine::EvidenceKind;
use semper_trust::timestamp::Token;
use tokio::sync::watch;

use super::many::Record;
use super::{Entry, LOOK_AGAIN, Node, NodeError, now};
use crate::stamp::{self, StampError};

/// Record space of the deals that are to be dated: the deal's key → [`Due`].
const DUE: &str = "stamp-due";
/// Deals that are looked at in one go.
const PAGE: usize = 64;
/// After how many tries without success the user is told.
const TELL_AFTER: u32 = 3;

/// The way to time-stamp authorities.
pub struct Stamping {
    /// The way.
    pub services: Arc<ServiceClient>,
    /// Who dates every deal that ends, as `semper.toml` says: the address of its service, or a contact's name.
    pub tsa: Option<String>,
}

/// What came of dating a deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Signatures that were dated now.
    pub now: usize,
    /// Signatures that had been dated before, and were left alone.
    pub before: usize,
}

/// When a deal is to be dated.
///
/// ```text
/// due = { 0: attempts, 1: due }
/// ```
struct Due {
    attempts: u32,
    due: Time,
}

impl Encode for Due {
    fn to_value(&self) -> Value {
        record().put(0, u64::from(self.attempts)).put_item(1, &self.due).build()
    }
}

impl Decode for Due {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let attempts = fields.uint(0, "attempts")?;
        let due = Self { attempts: u32::try_from(attempts).unwrap_or(u32::MAX), due: fields.item(1, "due")? };
        fields.close()?;
        Ok(due)
    }
}

impl Node {
    /// Has the signature of every statement dated that is among the evidence of a deal, each in a commit of its own: whatever fails, what was
    /// dated stays. Statements that were dated before are left alone, unless `again`: by another authority, or because the first one's
    /// certificate comes to its end.
    ///
    /// # Errors
    /// `NoSuchDeal`, `Stamp`, `Book`, storage.
    pub async fn stamp_deal(&self, deal: DealId, tsa: Option<&str>, again: bool) -> Result<Dated, NodeError> {
        let url = self.tsa_url(tsa).await?;
        self.entry(deal).await?;
        let key = Entry::key(&deal);
        let (mut dated, mut wanted) = (BTreeSet::new(), Vec::new());
        for evidence in self.archive.evidence(&key).await? {
            match EvidenceKind::from_name(&evidence.item.kind) {
                Some(EvidenceKind::TimeStamp) => {
                    dated.extend(Token::from_der(&evidence.item.bytes).map(|token| token.imprint()));
                }
                Some(EvidenceKind::Statement) => {
                    let imprint = Signed::from_bytes(&evidence.item.bytes).map(|signed| signed.imprint());
                    wanted.extend(imprint.ok().filter(|imprint| !wanted.contains(imprint)));
                }
                _ => {}
            }
        }
        let (before, now): (Vec<_>, Vec<Imprint>) = wanted.into_iter().partition(|i| !again && dated.contains(i));
        for imprint in &now {
            let (_, token) = stamp::ask(&self.stamping.services, &url, *imprint, &*self.random).await?;
            let item = NewEvidence {
                key: key.clone(),
                kind: EvidenceKind::TimeStamp.name().to_owned(),
                bytes: token.der().to_vec(),
                time: super::now(),
            };
            let commit = Commit { evidence: vec![item], ..Commit::default() };
            self.archive.commit(commit).await.map_err(NodeError::Commit)?;
        }
        Ok(Dated { now: now.len(), before: before.len() })
    }

    async fn tsa_url(&self, tsa: Option<&str>) -> Result<String, NodeError> {
        let preferred = self.dated_by().await?.value;
        let tsa = tsa.or(preferred.as_deref()).ok_or(StampError::NoAuthority)?;
        if stamp::is_url(tsa) {
            return Ok(tsa.to_owned());
        }
        Ok(self.book.by_name(tsa).await?.time_stamps()?.to_owned())
    }

    /// What belongs to the commit that ends a deal, so that it is dated.
    ///
    /// # Errors
    /// Storage.
    pub(super) async fn stamp_when_ended(&self, deal: &DealId, now: Time) -> Result<Option<Record>, NodeError> {
        let due = || (DUE.to_owned(), Entry::key(deal), Some(Due { attempts: 0, due: now }.to_bytes()));
        Ok(self.dated_by().await?.value.is_some().then(due))
    }

    pub(super) async fn stamps_loop(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changes = self.changed.subscribe();
        loop {
            let span = tokio::select! {
                done = self.stamp_what_is_due() => done.unwrap_or_else(|error| {
                    tracing::error!(%error, "deals that are to be dated cannot be read or written");
                    LOOK_AGAIN
                }),
                _ = stop.changed() => return,
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(span) => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Dates what is due; how long to rest then.
    async fn stamp_what_is_due(&self) -> Result<Duration, NodeError> {
        let (mut after, mut next) = (None, now().after(Seconds(LOOK_AGAIN.as_secs())));
        loop {
            let page = self.archive.records(DUE, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok(Duration::from_secs(next.unix().saturating_sub(now().unix()).max(1)));
            };
            after = Some(last.clone());
            for (key, due) in page {
                let due = Due::from_bytes(&due).unwrap_or(Due { attempts: 0, due: now() });
                let later = if due.due <= now() { self.stamp_one(&key, &due).await? } else { Some(due.due) };
                next = next.min(later.unwrap_or(next));
            }
        }
    }

    /// Dates one deal; if that does not succeed, when it is tried again.
    async fn stamp_one(&self, key: &[u8], due: &Due) -> Result<Option<Time>, NodeError> {
        let done = match Entry::deal_of(key) {
            Some(deal) => self.stamp_deal(deal, None, false).await.map(drop),
            None => Ok(()),
        };
        let next = match done {
            // Without an authority nothing is to be dated any more.
            Ok(()) | Err(NodeError::NoSuchDeal(_) | NodeError::Stamp(StampError::NoAuthority)) => None,
            Err(error) => {
                tracing::warn!(%error, attempts = due.attempts, "a deal could not be dated; it is tried again");
                if let Some(deal) = Entry::deal_of(key).filter(|_| due.attempts == TELL_AFTER) {
                    self.note_trouble(deal, error.to_string()).await?;
                }
                let pause = semper_channel::backoff::pause(&*self.random, due.attempts, self.settings.retry_max);
                let at = now().after(Seconds(pause.as_secs().max(1)));
                Some(Due { attempts: due.attempts.saturating_add(1), due: at })
            }
        };
        let records = vec![(DUE.to_owned(), key.to_vec(), next.as_ref().map(Encode::to_bytes))];
        self.archive.commit(Commit { records, ..Commit::default() }).await.map_err(NodeError::Commit)?;
        Ok(next.map(|next| next.due))
    }
}
