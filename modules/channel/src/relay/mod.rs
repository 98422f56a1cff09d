//! The relay: mailboxes for parties that have no address. It sees sealed envelopes, their sizes and times, and nothing else.
//!
//! Anyone may deposit an envelope in an open mailbox and gets a signed receipt, exactly as from an inbox. A mailbox is named after
//! the key set of its owner, so that the relay can check who may fetch without knowing anybody; the owner's first request opens it.
//! What was fetched stays until the owner says that it has stored it.
//!
//! Requests of owners are numbered: each number is used once, in rising order, and the last one is stored with the mailbox, so a
//! request that was overheard is worthless, also after a restart and without a clock.
//!
//! ```text
//! POST /MAILBOX         sealed envelope        →  answer with a receipt of the relay
//! POST /MAILBOX/fetch   signed mailbox request →  mail; a long poll while there is none
//! ```
//! Start reading at [`Relay`], then `mailbox.rs` (what is stored), `request.rs` (what an owner signs), `fetch.rs` (the owner).

mod fetch;
mod mailbox;
mod request;
mod router;

pub use fetch::{Polled, RelayInbox};
pub use request::{MAIL_TYPE, MAILBOX_REQUEST_TYPE, MailboxRequest, SignedRequest};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use semper_core::cbor::Decode;
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::signature::{self, Verify};
use semper_core::time::{Seconds, Time};
use semper_support::archive::{Archive, CommitError, ReadError};
use semper_support::channel::Receipt;
use semper_support::crypto::Signer;
use tokio::sync::Notify;

use crate::Clock;
use crate::envelope::{Answer, Envelope};
use crate::inbox::cannot_sign;
use crate::problem::{Problem, ProblemKind};
use mailbox::{Item, Mailbox, Stored};
use request::{Letter, Mail};

/// How often a step is taken again when somebody else changed the mailbox meanwhile.
const TRIES_MAX: usize = 16;
/// Senders and owners meet at one of so many bells; a bell that rings for another mailbox costs its listeners one look.
const BELLS: usize = 256;

/// The address of a mailbox at the relay with the address `base`; this is what stands in a contact card.
pub fn mailbox_url(base: &str, mailbox: &KeySetId) -> String {
    format!("{}/{mailbox}", base.trim_end_matches('/'))
}

/// For whom a relay keeps mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// For anyone who asks, while there is room.
    Anyone,
    /// For these key sets.
    Listed(BTreeSet<KeySetId>),
}

/// What a relay stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Who may have a mailbox.
    pub admission: Admission,
    /// Most open mailboxes.
    pub mailboxes_max: u64,
    /// Most messages in one mailbox; more than 65,536 count as that.
    pub items_max: usize,
    /// Most bytes in one mailbox.
    pub bytes_max: u64,
    /// Most bytes in all mailboxes together. Counted by this process, and anew in each [`Relay::sweep`]: several processes on one
    /// archive may exceed it together until then.
    pub total_bytes_max: u64,
    /// How long a message is kept.
    pub age_max: Seconds,
    /// How long a mailbox stays open without a request of its owner.
    pub idle_max: Seconds,
    /// The longest wait of a request for messages.
    pub wait_max: Seconds,
    /// Most requests that wait at once.
    pub waiting_max: usize,
}

impl Default for Quota {
    /// For anyone, 10,000 mailboxes; each 256 messages or 64 MiB; 10 GiB in all; 30 days a message, 90 days an idle mailbox; waits
    /// of up to 25 s, 1000 at once.
    fn default() -> Self {
        Self {
            admission: Admission::Anyone,
            mailboxes_max: 10_000,
            items_max: 256,
            bytes_max: 64 * 1024 * 1024,
            total_bytes_max: 10 * 1024 * 1024 * 1024,
            age_max: Seconds(30 * 86_400),
            idle_max: Seconds(90 * 86_400),
            wait_max: Seconds(25),
            waiting_max: 1000,
        }
    }
}

/// A relay on an archive. Everything that it promises is in the archive: it may be stopped at any moment.
pub struct Relay {
    archive: Arc<dyn Archive>,
    signer: Arc<dyn Signer>,
    verify: Arc<dyn Verify>,
    url: String,
    clock: Clock,
    quota: Quota,
    open: AtomicU64,
    bytes: AtomicU64,
    bells: Vec<Notify>,
}

impl Relay {
    /// Opens a relay with the address `url` on an archive of its own, and counts what is there.
    ///
    /// # Errors
    /// [`ReadError`]: the archive cannot be read.
    pub async fn open(
        archive: Arc<dyn Archive>,
        signer: Arc<dyn Signer>,
        verify: Arc<dyn Verify>,
        url: String,
        clock: Clock,
        quota: Quota,
    ) -> Result<Arc<Self>, ReadError> {
        let bells = (0..BELLS).map(|_| Notify::new()).collect();
        let (open, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let relay = Self { archive, signer, verify, url, clock, quota, open, bytes, bells };
        let mut after = None;
        while let Some((id, stored)) = mailbox::next(&*relay.archive, after.as_ref()).await? {
            relay.open.fetch_add(u64::from(stored.mailbox.is_open()), Ordering::Relaxed);
            relay.bytes.fetch_add(stored.mailbox.bytes(), Ordering::Relaxed);
            after = Some(id);
        }
        Ok(Arc::new(relay))
    }

    /// Removes messages that are too old, and closes mailboxes whose owners have not come for too long, and counts what is left. To be called now and then
    /// (every hour); between calls only the mailboxes that somebody uses are cleaned.
    ///
    /// # Errors
    /// [`ReadError`]: the archive cannot be read or written; what was removed before stays removed.
    pub async fn sweep(&self) -> Result<(), ReadError> {
        let (mut after, mut open, mut bytes) = (None, 0, 0);
        while let Some((id, _)) = mailbox::next(&*self.archive, after.as_ref()).await? {
            let left = self.change(&id, |mailbox, _| Ok(((mailbox.is_open(), mailbox.bytes()), Vec::new()))).await;
            let left = left.map_err(|problem| ReadError(problem.detail))?;
            open += u64::from(left.0);
            bytes += left.1;
            after = Some(id);
        }
        // Other processes on this archive, and commits with an unknown outcome, have made the counts of this one drift.
        self.open.store(open, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Stores an envelope in a mailbox. The same envelope again changes nothing and gives a receipt with the first time.
    async fn deposit(&self, id: &KeySetId, envelope: &[u8]) -> Result<Answer, Problem> {
        Envelope::from_bytes(envelope).map_err(|error| Problem::new(ProblemKind::Malformed, error.to_string()))?;
        let sealed = Envelope::digest(envelope);
        let size = envelope.len() as u64;
        let time = self
            .change(id, |mailbox, now| {
                if !mailbox.is_open() {
                    return Err(Problem::new(ProblemKind::NoMailbox, "nobody has opened this mailbox here"));
                }
                if let Some(item) = mailbox.find(&sealed) {
                    return Ok((item.time, Vec::new()));
                }
                self.check_room(mailbox, size)?;
                mailbox.items.push(Item { sealed, size, time: now });
                Ok((now, vec![(sealed, Some(envelope.to_vec()))]))
            })
            .await?;
        self.bell(id).notify_waiters();
        let receipt = Receipt { sealed, time, inbox: mailbox_url(&self.url, id) };
        Answer::sign(&*self.signer, &receipt, None).map_err(cannot_sign)
    }

    fn check_room(&self, mailbox: &Mailbox, size: u64) -> Result<(), Problem> {
        let full = |what: &str| Problem::new(ProblemKind::MailboxFull, what).retry_after(Duration::from_secs(600));
        if mailbox.items.len() >= self.quota.items_max.min(mailbox::ITEMS_BOUND) {
            return Err(full("too many messages wait in this mailbox"));
        }
        if mailbox.bytes().saturating_add(size) > self.quota.bytes_max {
            return Err(full("too many bytes wait in this mailbox"));
        }
        if self.bytes.load(Ordering::Relaxed).saturating_add(size) > self.quota.total_bytes_max {
            return Err(full("the relay is full"));
        }
        Ok(())
    }

    /// Takes a request of an owner: opens the mailbox if need be, removes what the owner has, and gives what it has not.
    async fn fetch(&self, id: &KeySetId, request: &[u8]) -> Result<Mail, Problem> {
        let request = self.check_request(id, request)?;
        self.change(id, |mailbox, now| {
            if !mailbox.is_open() {
                self.check_admission(id)?;
            }
            if mailbox.last >= request.number {
                return Err(Problem::stale(mailbox.last));
            }
            mailbox.last = request.number;
            mailbox.seen = Some(now);
            let gone = mailbox.remove(|item| request.stored.contains(&item.sealed));
            Ok(((), gone.into_iter().map(|sealed| (sealed, None)).collect()))
        })
        .await?;
        let wait = Seconds(request.wait.0.min(self.quota.wait_max.0));
        if request.items_max > 0 {
            self.wait_for_mail(id, Duration::from_secs(wait.0)).await?;
        }
        self.collect(id, request.items_max).await
    }

    fn check_request(&self, id: &KeySetId, bytes: &[u8]) -> Result<MailboxRequest, Problem> {
        let refuse = |detail: String| Problem::new(ProblemKind::NotOwner, detail);
        let SignedRequest { signed, keys } = SignedRequest::from_bytes(bytes)
            .map_err(|error| Problem::new(ProblemKind::Malformed, error.to_string()))?;
        if keys.id() != *id {
            return Err(refuse("the mailbox is named after another key set".to_owned()));
        }
        let request = signature::verify::<MailboxRequest>(&*self.verify, &keys, &signed);
        let request = request.map_err(|error| refuse(error.to_string()))?.statement().clone();
        if request.mailbox != mailbox_url(&self.url, id) {
            return Err(refuse("the request is for a mailbox at another relay".to_owned()));
        }
        Ok(request)
    }

    fn check_admission(&self, id: &KeySetId) -> Result<(), Problem> {
        if let Admission::Listed(listed) = &self.quota.admission
            && !listed.contains(id)
        {
            return Err(Problem::new(ProblemKind::Unwanted, "this relay keeps mailboxes for others only"));
        }
        if self.open.load(Ordering::Relaxed) >= self.quota.mailboxes_max {
            return Err(Problem::busy("all mailboxes of this relay are taken"));
        }
        Ok(())
    }

    async fn wait_for_mail(&self, id: &KeySetId, patience: Duration) -> Result<(), Problem> {
        let look = async {
            loop {
                // Listening begins before the look, or a deposit in between would be slept through.
                let rung = self.bell(id).notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                if !self.read(id).await?.mailbox.items.is_empty() {
                    return Ok(());
                }
                rung.await;
            }
        };
        tokio::time::timeout(patience, look).await.unwrap_or(Ok(()))
    }

    /// The oldest messages: at most `items_max`, and as many bytes as one answer holds.
    async fn collect(&self, id: &KeySetId, items_max: usize) -> Result<Mail, Problem> {
        let mailbox = self.read(id).await?.mailbox;
        let mut room = request::MAIL_BYTES_MAX;
        let mut mail = Mail { letters: Vec::new(), left: mailbox.items.len() as u64 };
        for item in mailbox.items.iter().take(items_max) {
            if item.size > room {
                break;
            }
            // Gone since the look above: another request of the owner has removed it.
            let Some(sealed) = mailbox::body(&*self.archive, id, &item.sealed).await.map_err(unreadable)? else {
                continue;
            };
            room -= item.size;
            mail.letters.push(Letter { sealed, time: item.time });
        }
        mail.left -= mail.letters.len() as u64;
        Ok(mail)
    }

    async fn read(&self, id: &KeySetId) -> Result<Stored, Problem> {
        mailbox::read(&*self.archive, id).await.map_err(unreadable)
    }

    fn bell(&self, id: &KeySetId) -> &Notify {
        &self.bells[usize::from(id.as_bytes()[0]) % BELLS]
    }

    /// Takes one step on a mailbox, with what it adds and removes in the same commit; taken again if somebody else was faster.
    /// What is too old goes first.
    async fn change<T>(
        &self,
        id: &KeySetId,
        step: impl Fn(&mut Mailbox, Time) -> Result<(T, Bodies), Problem>,
    ) -> Result<T, Problem> {
        for _ in 0..TRIES_MAX {
            let stored = self.read(id).await?;
            let now = (self.clock)();
            let mut mailbox = stored.mailbox.clone();
            let mut gone = mailbox.expire(now, &self.quota);
            let (result, bodies) = step(&mut mailbox, now)?;
            if mailbox == stored.mailbox {
                return Ok(result);
            }
            // An envelope that was too old and is deposited again in the same step is there, not gone.
            gone.retain(|sealed| bodies.iter().all(|(kept, _)| kept != sealed));
            let bodies = bodies.into_iter().chain(gone.into_iter().map(|sealed| (sealed, None)));
            match self.archive.commit(mailbox::commit(id, &stored, &mailbox, bodies)).await {
                Ok(()) => {
                    self.count(&stored.mailbox, &mailbox);
                    return Ok(result);
                }
                Err(CommitError::Stale { .. }) => {}
                Err(error) => {
                    tracing::error!(%error, "a mailbox cannot be written");
                    return Err(Problem::busy("the storage of the relay failed"));
                }
            }
        }
        Err(Problem::busy("too many changes of this mailbox at once"))
    }

    fn count(&self, before: &Mailbox, after: &Mailbox) {
        shift(&self.bytes, before.bytes(), after.bytes());
        shift(&self.open, before.is_open().into(), after.is_open().into());
    }
}

/// Envelopes that a step adds (with their bytes) or removes.
type Bodies = Vec<(Digest, Option<Vec<u8>>)>;

/// Never below zero: what another process has counted in may be counted out here.
fn shift(counter: &AtomicU64, before: u64, after: u64) {
    let shifted = |count: u64| Some(count.saturating_add(after).saturating_sub(before));
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shifted).expect("the closure always gives a value");
}

fn unreadable(error: ReadError) -> Problem {
    tracing::error!(%error, "a mailbox cannot be read");
    Problem::busy("the storage of the relay failed")
}
