//! The outbox: messages go out until they are acknowledged, with growing pauses, one at a time for each deal and receiver, so that of many
//! one that is silent does not delay the others.
//!
//! They are tried for as long as they have a purpose: until they are taken, refused for good, or the deal ends without binding anybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use semper_core::cbor::{Decode, DecodeError, Fields, Problem, Value, record};
use semper_core::ids::{DealId, KeySetId};
use semper_core::time::Seconds;
use semper_support::archive::{Commit, NewEvidence, Outgoing, SetTimer};
use semper_support::channel::{PostError, Posted};
use semper_support::engine::{EvidenceKind, Input};
use tokio::sync::watch;
use tokio::task::{self, JoinSet};

use super::deals::Event;
use super::{Entry, LOOK_AGAIN, Node, NodeError, now, rest};

/// Most messages on their way at once.
const PARALLEL: usize = 16;
/// How long a request that the arbiter refuses waits before it is tried again: only an operator can mend that.
const AFTER_REFUSAL: Seconds = Seconds(600);

/// How long a deal's messages rest when what came of one could not be stored.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Who a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// Another party of the deal.
    Peer(KeySetId),
    /// The arbiter of its contract.
    Arbiter,
}

/// ```text
/// address = { 0: "peer", 1: url, 2: key set } / { 0: "arbiter", 1: url }
/// ```
struct Address {
    to: Destination,
    url: String,
}

impl Destination {
    /// The address as it is stored with the message.
    pub(super) fn address(self, url: &str) -> Vec<u8> {
        match self {
            Destination::Peer(key_set) => record().put(0, "peer").put(1, url).put_item(2, &key_set),
            Destination::Arbiter => record().put(0, "arbiter").put(1, url),
        }
        .build()
        .encode()
    }
}

/// Whether a stored address is that of another party.
pub(super) fn is_to_peer(address: &[u8]) -> bool {
    Address::from_bytes(address).is_ok_and(|address| matches!(address.to, Destination::Peer(_)))
}

/// Which task has finished, well or by a panic.
pub(super) fn task_of(finished: &Result<(task::Id, ()), task::JoinError>) -> task::Id {
    match finished {
        Ok((id, ())) => *id,
        Err(error) => error.id(),
    }
}

impl Decode for Address {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let name = fields.text(0, "to", 16)?;
        let to = match name.as_str() {
            "peer" => Destination::Peer(fields.item(2, "key set")?),
            "arbiter" => Destination::Arbiter,
            _ => return Err(DecodeError::field("to", Problem::Unknown { what: "destination", found: name })),
        };
        let url = fields.text(1, "url", 2048)?;
        fields.close()?;
        Ok(Self { to, url })
    }
}

impl Node {
    pub(super) async fn outbox_loop(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        // The deals and receivers whose messages are on their way.
        let mut busy: HashMap<task::Id, (Vec<u8>, Vec<u8>)> = HashMap::new();
        let mut posts: JoinSet<()> = JoinSet::new();
        loop {
            while let Some(finished) = posts.try_join_next_with_id() {
                busy.remove(&task_of(&finished));
            }
            match self.archive.outbox_due(now(), 4 * PARALLEL).await {
                Ok(due) => {
                    for message in due {
                        let key = (message.message.key.clone(), message.message.destination.clone());
                        if posts.len() < PARALLEL && !busy.values().any(|other| *other == key) {
                            let task = posts.spawn(self.clone().deliver(message));
                            busy.insert(task.id(), key);
                        }
                    }
                }
                Err(error) => tracing::error!(%error, "the outbox cannot be read"),
            }
            let span = self.until_next_message().await;
            tokio::select! {
                Some(finished) = posts.join_next_with_id(), if !posts.is_empty() => {
                    busy.remove(&task_of(&finished));
                    if *stop.borrow() {
                        break;
                    }
                }
                go_on = rest(&self.outbox, span, &mut stop) => if !go_on { break },
            }
        }
        // What is on its way may finish; what does not is sent again after the next start.
        let finish = async { while posts.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), finish).await;
    }

    async fn until_next_message(&self) -> Duration {
        match self.archive.next_due().await {
            // A message that is due now and was not taken is busy or waits for a free place.
            Ok(Some(due)) => Duration::from_secs(due.unix().saturating_sub(now().unix()).max(1)),
            Ok(None) | Err(_) => LOOK_AGAIN,
        }
    }

    /// Posts one message and stores what came of it.
    async fn deliver(self: Arc<Self>, message: Outgoing) {
        if let Err(error) = self.try_deliver(&message).await {
            tracing::warn!(%error, "what came of a message cannot be stored; it is sent again");
            self.postpone(&message).await;
            // If that cannot be stored either, the message stays due: a full disk must not make us post without a pause.
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }

    async fn try_deliver(&self, outgoing: &Outgoing) -> Result<(), NodeError> {
        let message = &outgoing.message;
        let unusable = || NodeError::Post(PostError::Unusable("the stored address is not readable".to_owned()));
        let address = Address::from_bytes(&message.destination).map_err(|_| unusable())?;
        let deal = Entry::deal_of(&message.key).ok_or_else(unusable)?;
        match self.post.post(&address.url, &message.bytes).await {
            Ok(posted) => self.posted(deal, outgoing, address.to, posted).await,
            Err(error @ PostError::Unreachable(_)) => {
                tracing::info!(%deal, %error, attempts = outgoing.attempts, "will try again");
                self.postpone(outgoing).await;
                if outgoing.attempts >= 3 {
                    self.note_trouble(deal, format!("{}: {error}", address.url)).await?;
                }
                Ok(())
            }
            Err(error) => {
                if let (PostError::Refused(reason), Destination::Peer(peer)) = (&error, address.to) {
                    return self.refused(deal, outgoing, peer, reason).await;
                }
                tracing::warn!(%deal, %error, url = address.url, "a message was not taken");
                self.archive.outbox_postpone(&message.id, now().after(AFTER_REFUSAL)).await?;
                self.note_trouble(deal, format!("{}: {error}", address.url)).await
            }
        }
    }

    /// The message has arrived. An answer is taken in first: if the power fails in between, the same message brings the same answer.
    async fn posted(
        &self,
        deal: DealId,
        outgoing: &Outgoing,
        to: Destination,
        posted: Posted,
    ) -> Result<(), NodeError> {
        if let Destination::Peer(peer) = to
            && !self.is_expected_receipt(deal, peer, &posted).await?
        {
            self.postpone(outgoing).await;
            return self.note_trouble(deal, "the receipt is not signed by the other party's inbox".to_owned()).await;
        }
        if to == Destination::Arbiter {
            let Some(answer) = posted.reply else {
                self.postpone(outgoing).await;
                return self.note_trouble(deal, "the arbiter took the request but did not answer".to_owned()).await;
            };
            match self.step(deal, Input::ArbiterSays(answer).into()).await {
                Ok(()) => {}
                Err(NodeError::Deal(error)) => {
                    self.archive.outbox_postpone(&outgoing.message.id, now().after(AFTER_REFUSAL)).await?;
                    return self.note_trouble(deal, format!("the arbiter's answer is not acceptable: {error}")).await;
                }
                Err(error) => return Err(error),
            }
        }
        let key = outgoing.message.key.clone();
        let receipt =
            NewEvidence { key, kind: EvidenceKind::Receipt.name().to_owned(), bytes: posted.receipt, time: now() };
        let with = Commit { sent: vec![outgoing.message.id], evidence: vec![receipt], ..Commit::default() };
        match to {
            Destination::Peer(_) => self.step(deal, Event { input: Input::Delivered, with }).await,
            Destination::Arbiter => self.archive.commit(with).await.map_err(NodeError::Commit),
        }
    }

    /// Whether the receipt is by whom the peer's card names. Where it names nobody for a mailbox, any relay's will do.
    async fn is_expected_receipt(&self, deal: DealId, peer: KeySetId, posted: &Posted) -> Result<bool, NodeError> {
        let agent = self.party(&deal, peer, &[]).await?.agent()?;
        Ok(agent.is_none_or(|agent| agent == posted.receipt_signer))
    }

    /// The peer does not take the message and never will: the deal is ended with what this party can do alone.
    async fn refused(&self, deal: DealId, outgoing: &Outgoing, peer: KeySetId, reason: &str) -> Result<(), NodeError> {
        let entry = self.entry(deal).await?;
        let who = entry.called(peer).unwrap_or("the other party");
        self.note_trouble(deal, format!("{who} refused the message: {reason}")).await?;
        let with = Commit { sent: vec![outgoing.message.id], ..Commit::default() };
        self.step(deal, Event { input: Input::GiveUp, with }).await
    }

    async fn postpone(&self, outgoing: &Outgoing) {
        let pause = semper_channel::backoff::pause(&*self.random, outgoing.attempts, self.settings.retry_max);
        let due = now().after(Seconds(pause.as_secs().max(1)));
        if let Err(error) = self.archive.outbox_postpone(&outgoing.message.id, due).await {
            tracing::error!(%error, "the outbox cannot be written");
        }
    }

    pub(super) async fn timers_loop(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            match self.archive.timers_due(now(), 64).await {
                Ok(due) => {
                    for timer in due {
                        self.fire(timer).await;
                    }
                }
                Err(error) => tracing::error!(%error, "the timers cannot be read"),
            }
            let span = self.until_next_message().await;
            if !rest(&self.timers, span, &mut stop).await {
                break;
            }
        }
    }

    /// A timer that has fired is removed by the commit of the step that it causes.
    async fn fire(&self, timer: SetTimer) {
        let Some(deal) = Entry::deal_of(&timer.key) else {
            return;
        };
        let name = semper_commerce::deal::TIMERS.into_iter().find(|name| *name == timer.name);
        let with = Commit { timers_done: vec![(timer.key, timer.name)], ..Commit::default() };
        let result = match name {
            Some(name) => self.step(deal, Event { input: Input::Timer(name), with }).await,
            None => self.archive.commit(with).await.map_err(NodeError::Commit),
        };
        if let Err(error) = result {
            tracing::error!(%deal, %error, "a timer could not be handled");
        }
    }
}
