//! The questions to the holder of the keys: asked until they are answered.

use std::sync::Arc;

use semper_core::cbor::Decode;
use semper_core::cose::Kind;
use semper_core::ids::DealId;
use semper_support::approval::{Answer, ApprovalError, SignRequest};
use semper_support::archive::Commit;
use semper_support::engine::Input;
use tokio::sync::watch;

use super::deals::Event;
use super::entry::{ASK_SPACE, Ask};
use super::{LOOK_AGAIN, Node, NodeError, rest};

/// Questions that are read at once.
const PAGE: usize = 64;

impl Node {
    pub(super) async fn asks_loop(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            if let Err(error) = self.ask_all().await {
                tracing::error!(%error, "the open questions cannot be read");
            }
            if let Err(error) = self.ask_offers().await {
                tracing::error!(%error, "the offers that wait for a signature cannot be read or stored");
            }
            if !rest(&self.asks, LOOK_AGAIN, &mut stop).await {
                break;
            }
        }
    }

    async fn ask_all(&self) -> Result<(), NodeError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.archive.records(ASK_SPACE, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (key, bytes) in page {
                // What stops one deal leaves the others alone.
                let (Some(deal), Ok(ask)) = (Ask::deal_of(&key), Ask::from_bytes(&bytes)) else {
                    tracing::error!("a stored question is not readable");
                    continue;
                };
                if let Err(error) = self.ask(deal, key, ask).await {
                    tracing::error!(%deal, %error, "a question could not be put or its answer not be used");
                    self.try_to_note(deal, &error).await;
                }
            }
        }
    }

    async fn ask(&self, deal: DealId, key: Vec<u8>, ask: Ask) -> Result<(), NodeError> {
        let statement = ask.draft.id();
        let entry = self.entry(deal).await?;
        let ended = entry.deal.ending().is_some();
        let foreign = match ask.draft.kind {
            Kind::Promise if !ended => self.foreign_key(&entry).await?,
            _ => None,
        };
        if ended || foreign.is_some() {
            // Nobody needs the signature any more: the user is not to be asked for it, nor a statement to exist that is not used.
            if let Err(error) = self.keys.withdraw(statement).await {
                return self.note_trouble(deal, error.to_string()).await;
            }
        }
        if ended {
            return self.forget_ask(key).await;
        }
        let with = Commit { records: vec![(ASK_SPACE.to_owned(), key.clone(), None)], ..Commit::default() };
        if let Some(foreign) = foreign {
            self.note_trouble(deal, foreign.to_owned()).await?;
            return self.step(deal, Event { input: Input::Declined { statement }, with }).await;
        }
        let exhibit = entry.deal.exhibit(&ask.draft);
        let input = match self.keys.request(SignRequest { deal, draft: ask.draft, exhibit }).await {
            Ok(Answer::Waiting) => {
                self.changed.send_modify(|count| *count += 1);
                return Ok(());
            }
            Ok(Answer::Signed(signed)) => Input::Signed(signed),
            Ok(Answer::Declined) => Input::Declined { statement },
            // The keys are locked or their storage is full: ask again later.
            Err(error @ (ApprovalError::Unavailable(_) | ApprovalError::TooMany)) => {
                return self.note_trouble(deal, error.to_string()).await;
            }
            // Never to be signed. The deal stays where it is; its timers and its user can still end it.
            Err(error) => {
                self.forget_ask(key).await?;
                return self.note_trouble(deal, error.to_string()).await;
            }
        };
        self.step(deal, Event { input, with }).await
    }

    async fn forget_ask(&self, key: Vec<u8>) -> Result<(), NodeError> {
        let commit = Commit { records: vec![(ASK_SPACE.to_owned(), key, None)], ..Commit::default() };
        self.archive.commit(commit).await.map_err(NodeError::Commit)
    }
}
