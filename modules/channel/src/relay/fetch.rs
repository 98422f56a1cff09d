//! The owner's side of a mailbox: fetches, opens, hands over, and only then lets the relay forget.

use std::sync::Arc;
use std::time::Duration;

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::Statement;
use semper_core::hash::Digest;
use semper_core::time::Seconds;
use semper_support::channel::{Inbox, PostError, Refusal};
use semper_support::crypto::{CryptoError, Open, Randomness, Signer};
use tokio::sync::watch;

use super::request::{ITEMS_MAX, Letter, MAIL_TYPE, MAILBOX_REQUEST_TYPE, Mail, MailboxRequest, SignedRequest};
use crate::Clock;
use crate::backoff;
use crate::client::{Client, ClientOptions, Failed, misbehaved, unusable};
use crate::envelope::{Envelope, Letter as Opened, Unopened};

/// How long a request asks the relay to wait for messages.
const WAIT: Seconds = Seconds(25);
/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Fetches from a mailbox and feeds a node's [`Inbox`], as if the messages had been posted to it.
///
/// A reply of the node to a message has no way back through a mailbox and is dropped: who answers requests (an arbiter) needs an
/// inbox with an address.
pub struct RelayInbox {
    client: Client,
    url: String,
    signer: Arc<dyn Signer>,
    open: Arc<dyn Open>,
    handler: Arc<dyn Inbox>,
    random: Arc<dyn Randomness>,
    clock: Clock,
    last: u64,
    stored: Vec<Digest>,
}

/// What one poll brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polled {
    /// Messages that the node has taken.
    pub taken: usize,
    /// Messages that nobody can read or the node refuses for good; the relay will forget them.
    pub dropped: usize,
    /// Messages that the node could not take now; they stay in the mailbox.
    pub postponed: usize,
}

impl RelayInbox {
    /// An owner of the mailbox with the address `url` ([`super::mailbox_url`] of the signer's key set). The key of `signer` is for
    /// the mailbox alone: it need not be, and better is not, one that signs deals.
    ///
    /// # Errors
    /// `Unusable`: `options` are malformed, or the mailbox is not named after the signer's key set.
    pub fn new(
        url: String,
        signer: Arc<dyn Signer>,
        open: Arc<dyn Open>,
        handler: Arc<dyn Inbox>,
        random: Arc<dyn Randomness>,
        clock: Clock,
        options: &ClientOptions,
    ) -> Result<Self, PostError> {
        if !url.ends_with(&format!("/{}", signer.key_set().id())) {
            return Err(unusable("the mailbox is not named after its owner's key set"));
        }
        Ok(Self {
            client: Client::new(options)?,
            url,
            signer,
            open,
            handler,
            random,
            clock,
            last: 0,
            stored: Vec::new(),
        })
    }

    /// Fetches until `stop` becomes true or its sender is gone, then tells the relay what was stored. Failures are logged and
    /// tried again with growing pauses.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut failures: u32 = 0;
        while !*stop.borrow() {
            // Only the wait is cut short: a message that the node is working on is finished and acknowledged.
            let mail = tokio::select! {
                mail = self.request(WAIT, ITEMS_MAX) => mail,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            failures = match mail {
                Ok(mail) => match self.hand_over(mail).await.postponed {
                    0 => 0,
                    _ => failures.saturating_add(1),
                },
                Err(error) => {
                    tracing::warn!(%error, mailbox = self.url, "the mailbox cannot be fetched from");
                    failures.saturating_add(1)
                }
            };
            if failures > 0 {
                let pause = backoff::pause(&*self.random, failures, PAUSE_MAX);
                let _ = tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await;
            }
        }
        if let Err(error) = self.acknowledge().await {
            tracing::info!(%error, "the relay was not told what was stored; the messages will come again");
        }
    }

    /// Asks once, waiting at most `wait` on an empty mailbox, and hands over what comes. The relay learns with the next request
    /// what was stored.
    ///
    /// # Errors
    /// As for [`semper_support::channel::Post::post`]; nothing is lost, messages may come again.
    pub async fn poll(&mut self, wait: Seconds) -> Result<Polled, PostError> {
        let mail = self.request(wait, ITEMS_MAX).await?;
        Ok(self.hand_over(mail).await)
    }

    /// Tells the relay what was stored, and fetches nothing.
    ///
    /// # Errors
    /// As for [`RelayInbox::poll`].
    pub async fn acknowledge(&mut self) -> Result<(), PostError> {
        if self.stored.is_empty() { Ok(()) } else { self.request(Seconds(0), 0).await.map(drop) }
    }

    async fn hand_over(&mut self, mail: Mail) -> Polled {
        let mut polled = Polled::default();
        for letter in mail.letters {
            self.hand_over_one(&letter, &mut polled).await;
        }
        polled
    }

    async fn hand_over_one(&mut self, letter: &Letter, polled: &mut Polled) {
        let sealed = Envelope::digest(&letter.sealed);
        let taken = match Opened::open(&*self.open, &letter.sealed) {
            Ok(opened) => self.handler.deliver(opened.frame).await.map(drop),
            Err(Unopened::Sealed(error @ CryptoError::Unavailable)) => Err(Refusal::Busy(error.to_string())),
            Err(_) => Err(Refusal::Malformed("the message cannot be opened".to_owned())),
        };
        match taken {
            Ok(()) => polled.taken += 1,
            Err(refusal @ (Refusal::Malformed(_) | Refusal::Unwanted(_))) => {
                tracing::warn!(%refusal, %sealed, deposited = %letter.time, "a message from the mailbox is dropped");
                polled.dropped += 1;
            }
            Err(refusal) => {
                tracing::info!(%refusal, %sealed, "a message stays in the mailbox");
                polled.postponed += 1;
                return;
            }
        }
        self.stored.push(sealed);
    }

    /// One request, with a second try if the relay has seen a higher number (from another copy of this party, or a faster clock).
    async fn request(&mut self, wait: Seconds, items_max: usize) -> Result<Mail, PostError> {
        let failed = match self.send(wait, items_max).await {
            Ok(mail) => return Ok(mail),
            Err(failed) => failed,
        };
        match failed.stale() {
            Some(last) if last >= self.last && last < u64::MAX => {
                self.last = last;
                self.send(wait, items_max).await.map_err(|failed| failed.error)
            }
            _ => Err(failed.error),
        }
    }

    async fn send(&mut self, wait: Seconds, items_max: usize) -> Result<Mail, Failed> {
        // The time in the upper bits makes the first number after a restart higher than those before.
        self.last = self.last.saturating_add(1).max((self.clock)().unix() << 20);
        let stored: Vec<_> = self.stored.iter().take(ITEMS_MAX).copied().collect();
        let told = stored.len();
        let request = MailboxRequest { mailbox: self.url.clone(), number: self.last, stored, wait, items_max };
        let keys = self.signer.key_set().clone();
        let signed = self.signer.sign(request.draft(keys.suite(), keys.id())).map_err(|e| unusable(e.to_string()))?;
        let body = SignedRequest { signed, keys }.to_bytes();
        let url = format!("{}/fetch", self.url);
        let longer = Duration::from_secs(wait.0);
        let mail = self.client.post(&url, MAILBOX_REQUEST_TYPE, body, MAIL_TYPE, longer).await?;
        let mail = Mail::from_bytes(&mail).map_err(|error| misbehaved(format!("the mail is malformed: {error}")))?;
        self.stored.drain(..told);
        Ok(mail)
    }
}
