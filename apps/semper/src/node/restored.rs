//! After a restore: the archive ends where the backup was made, and what this party has done since is not in it.
//!
//! The mark is made before the directory has its name ([`mark`]), so there is no start without it. While it is there, each deal that had not ended is told that its
//! state is old, again and again until it has ended: an exchange asks its arbiter, an order that had not led to a contract is given up, and what was stored
//! to be sent is sent. The purses are looked through at their mints and banks, and nothing else is done with them before: coins may have been spent
//! since. When nothing is left, the mark goes. What cannot be asked stays paused, and is shown so.
//!
//! It must never let a deal go on from the old state by itself. Even if it did, the keys would not follow: the vault has a mark of its own.
//!
//! Source: `spec/backup.md` §4 and §5.

use std::sync::Arc;
use std::time::Duration;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::ids::DealId;
use semper_core::time::{Seconds, Time};
use semper_store::SqliteArchive;
use semper_support::archive::{Archive, Commit, CommitError, PutState, ReadError};
use semper_support::engine::Input;
use semper_transfer::payment::journal::{Entry as PaymentEntry, load_entry, load_purse};
use semper_transfer::payment::module::Next;
use semper_transfer::payment::operation::{Operation, OperationId, PurseId, Task};
use tokio::sync::watch;

use super::backup::{self, Backed};
use super::deals::Event;
use super::{Entry, LOOK_AGAIN, Node, NodeError, PaymentError, Payments, now};
use crate::backup::{BackupError, Counts, Manifest};

/// Record space of the mark: [`KEY`] → [`Mark`].
const SPACE: &str = "restored";
const KEY: &[u8] = b"mark";
/// Record space of the deals that had not ended: deal → nothing.
const DEALS: &str = "restored-deal";
/// Record space of the purses that were not looked through yet: purse → the operation that does it, or nothing before it has begun.
const PURSES: &str = "restored-purse";
/// Records in one commit.
const PAGE: usize = 256;
/// Most purses.
const PURSES_MAX: usize = 64;
/// How long it rests at least between two looks at all that is not settled.
const SETTLE_PAUSE: Duration = Duration::from_millis(500);
/// How long after an issuer has refused it is asked anew.
const AFTER_REFUSAL: Seconds = Seconds(600);

/// That a party comes from a backup.
///
/// ```text
/// mark = { 0: 1, 1: time of the backup, 2: time of the restore }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When the backup was made.
    pub from: Time,
    /// When it was restored.
    pub at: Time,
}

/// What is not settled yet after a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// The mark.
    pub mark: Mark,
    /// Deals that are paused.
    pub deals: usize,
    /// Purses that were not looked through yet.
    pub purses: usize,
}

/// Marks the archive of a directory that is being restored, and notes the backup as its last.
///
/// # Errors
/// The archive cannot be read or written. The directory is not fit for use then.
pub(crate) async fn mark(
    archive: &SqliteArchive,
    manifest: &Manifest,
    counts: &Counts,
    at: Time,
) -> Result<(), BackupError> {
    let from = manifest.time;
    for deals in counts.running.chunks(PAGE) {
        let mut commit = Commit::default();
        for (deal, _) in deals {
            let key = Entry::key(deal);
            let stored = archive.state(&key).await?.ok_or_else(|| ReadError(format!("deal {deal} is gone")))?;
            let entry = Entry { restored: Some(from), ..Entry::read(&stored)? };
            commit.states.push(PutState { key, replaces: stored.version, bytes: entry.to_bytes() });
            commit.records.push((DEALS.to_owned(), deal.as_bytes().to_vec(), Some(Vec::new())));
        }
        archive.commit(commit).await?;
    }
    let mut commit = Commit::default();
    let unseen = |purse: &PurseId| (PURSES.to_owned(), purse.as_bytes().to_vec(), Some(Vec::new()));
    commit.records.extend(counts.purse_ids.iter().map(unseen));
    commit.records.push((SPACE.to_owned(), KEY.to_vec(), Some(Mark { from, at }.to_bytes())));
    commit.records.push(backup::noted(&Backed { time: from, purses: counts.purse_ids.clone(), deals: counts.deals }));
    Ok(archive.commit(commit).await?)
}

impl Node {
    /// What is not settled yet after a restore; nothing if there was none, or everything is.
    ///
    /// # Errors
    /// Storage.
    pub async fn unsettled(&self) -> Result<Option<Unsettled>, ReadError> {
        let Some(mark) = self.mark().await? else { return Ok(None) };
        let deals = self.archive.records(DEALS, None, PAGE).await?.len();
        let purses = self.archive.records(PURSES, None, PURSES_MAX).await?.len();
        Ok(Some(Unsettled { mark, deals, purses }))
    }

    async fn mark(&self) -> Result<Option<Mark>, ReadError> {
        let unreadable = |error| ReadError(format!("the mark of the restore is not readable: {error}"));
        let stored = self.archive.record(SPACE, KEY).await?;
        stored.map(|bytes| Mark::from_bytes(&bytes).map_err(unreadable)).transpose()
    }

    pub(super) async fn restored_loop(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut changes = self.changed.subscribe();
        loop {
            match self.settle().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "what was restored cannot be read or written"),
            }
            tokio::select! {
                // Much may change at once.
                _ = changes.changed() => tokio::time::sleep(SETTLE_PAUSE).await,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Asks what can be asked; whether everything is settled.
    async fn settle(&self) -> Result<bool, NodeError> {
        if self.mark().await?.is_none() {
            return Ok(true);
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.archive.records(DEALS, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, _) in page {
                let Ok(deal) = key.as_slice().try_into().map(DealId::from_array) else { continue };
                // What stops one deal leaves the others alone.
                if let Err(error) = self.settle_deal(deal).await {
                    tracing::warn!(%deal, %error, "a deal from the backup cannot be settled now");
                    self.try_to_note(deal, &error).await;
                }
            }
        }
        self.payments.look_through().await.map_err(NodeError::Payment)?;
        let Some(Unsettled { deals: 0, purses: 0, .. }) = self.unsettled().await? else { return Ok(false) };
        let gone = (SPACE.to_owned(), KEY.to_vec(), None);
        let commit = Commit { records: vec![gone], ..Commit::default() };
        self.archive.commit(commit).await.map_err(NodeError::Commit)?;
        Ok(true)
    }

    async fn settle_deal(&self, deal: DealId) -> Result<(), NodeError> {
        let record = (DEALS.to_owned(), deal.as_bytes().to_vec(), None);
        let settled = Commit { records: vec![record], ..Commit::default() };
        if self.entry(deal).await?.deal.ending().is_some() {
            return self.archive.commit(settled).await.map_err(NodeError::Commit);
        }
        self.step(deal, Event::from(Input::Restored)).await
    }
}

impl Payments {
    /// Whether a purse comes from a backup, and its issuer has not said yet what is in it.
    ///
    /// # Errors
    /// Storage.
    pub async fn is_unseen(&self, purse: &PurseId) -> Result<bool, ReadError> {
        Ok(self.parts.archive.record(PURSES, purse.as_bytes()).await?.is_some())
    }

    /// Whether an operation waits until its purse was looked through; the one that does this does not.
    pub(super) async fn waits_for_look(&self, operation: &Operation) -> Result<bool, ReadError> {
        let looking = self.parts.archive.record(PURSES, operation.purse.as_bytes()).await?;
        Ok(looking.is_some_and(|looking| looking != operation.id.as_bytes()))
    }

    /// Has the purses of a backup looked through at their issuers, and lets go of those that were.
    async fn look_through(&self) -> Result<(), PaymentError> {
        for (key, looking) in self.parts.archive.records(PURSES, None, PURSES_MAX).await? {
            let Ok(purse) = key.as_slice().try_into().map(PurseId::from_array) else { continue };
            let looking = looking.as_slice().try_into().map(OperationId::from_array).ok();
            let ended = match looking {
                Some(id) => load_entry(&*self.parts.archive, &id).await?.map(|(entry, _)| entry),
                None => None,
            };
            match ended {
                Some(PaymentEntry { next: Some(Next::Done(_)), .. }) => {
                    let records = vec![(PURSES.to_owned(), key, None)];
                    self.parts.archive.commit(Commit { records, ..Commit::default() }).await?;
                    self.rouse();
                }
                Some(entry) if !entry.has_ended() || entry.touched.after(AFTER_REFUSAL) > now() => {}
                _ => self.look_into(purse).await?,
            }
        }
        Ok(())
    }

    /// Begins to look through a purse: e-cash is found again from the seed, and every coin that is here is asked about; an account is its bank's word.
    async fn look_into(&self, purse: PurseId) -> Result<(), PaymentError> {
        let Some((found, _)) = load_purse(&*self.parts.archive, &purse).await? else {
            return Err(PaymentError::NoPurse(purse.to_string()));
        };
        let task = if found.system.as_str() == "ecash" { Task::Restore } else { Task::Refresh };
        let id = OperationId::of_owner(self.fresh()?);
        let looking = (PURSES.to_owned(), purse.as_bytes().to_vec(), Some(id.as_bytes().to_vec()));
        let mut commit = Commit { records: vec![looking], ..Commit::default() };
        PaymentEntry::intent(Operation { id, purse, deal: None, task }, None, now()).begin(&mut commit);
        match self.parts.archive.commit(commit).await {
            Ok(()) | Err(CommitError::Stale { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.wake.notify_one();
        Ok(())
    }
}

impl Encode for Mark {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.from).put_item(2, &self.at).build()
    }
}

impl Decode for Mark {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let mark = Self { from: fields.item(1, "backup")?, at: fields.item(2, "restore")? };
        fields.close()?;
        Ok(mark)
    }
}
