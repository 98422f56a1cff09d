//! Errands to the issuers of credentials: sent until they are answered, whatever has become of the deal.
//!
//! ```text
//! record "errand"   deal ‖ statement id of what is submitted → errand          until the deal has heard the answer
//! ```
//! A right that was shown is taken back at its issuer, and one that was kept for a contract that was aborted is freed, even if the power fails here or
//! there: the same bytes go out again, and the issuer answers the same.

use std::sync::Arc;
use std::time::Duration;

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::Signed;
use semper_core::ids::DealId;
use semper_support::archive::Commit;
use semper_support::engine::Input;
use semper_transfer::credential::{Errand, Reply};
use tokio::sync::watch;

use super::deals::Event;
use super::{Node, NodeError, rest};
use crate::credentials::{self, CredentialError};

const ERRAND_SPACE: &str = "errand";
/// Errands that are read at once.
const PAGE: usize = 16;
/// How long an issuer that did not answer is left alone, at first; each time in vain twice as long.
const AGAIN: Duration = Duration::from_secs(5);
/// The longest that it is left alone.
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// The record that asks for an errand.
pub(super) fn wanted(deal: &DealId, errand: &Errand) -> (String, Vec<u8>, Option<Vec<u8>>) {
    let id = errand.submission.statement.id();
    let key = [deal.as_bytes().as_slice(), id.as_bytes()].concat();
    (ERRAND_SPACE.to_owned(), key, Some(errand.to_bytes()))
}

impl Node {
    pub(super) async fn errands_loop(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut pause = AGAIN;
        loop {
            if let Err(error) = self.run_errands().await {
                tracing::error!(%error, "errands to issuers cannot be read");
            }
            let is_in_vain = self.has_errands().await.unwrap_or(true);
            // A new errand does not wait for that.
            if !rest(&self.errands, pause, &mut stop).await {
                break;
            }
            pause = if is_in_vain { (2 * pause).min(AGAIN_MAX) } else { AGAIN };
        }
    }

    /// Whether an issuer of credentials has not answered yet.
    ///
    /// # Errors
    /// Storage.
    pub async fn has_errands(&self) -> Result<bool, NodeError> {
        Ok(!self.archive.records(ERRAND_SPACE, None, 1).await?.is_empty())
    }

    async fn run_errands(&self) -> Result<(), NodeError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.archive.records(ERRAND_SPACE, after.as_deref(), PAGE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, bytes) in page {
                // What stops one deal leaves the others alone.
                let deal = key.first_chunk().map(|id| DealId::from_array(*id));
                let (Some(deal), Ok(errand)) = (deal, Errand::from_bytes(&bytes)) else {
                    tracing::error!("a stored errand is not readable");
                    continue;
                };
                if let Err(error) = self.errand(deal, key, &errand).await {
                    tracing::warn!(%deal, %error, "the issuer's answer could not be taken in; it is asked again");
                    self.try_to_note(deal, &error).await;
                }
            }
        }
    }

    async fn errand(&self, deal: DealId, key: Vec<u8>, errand: &Errand) -> Result<(), NodeError> {
        if errand.submission.kept.is_none() && self.entry(deal).await?.deal.ending().is_some() {
            // Nobody needs a use to be kept any more.
            let records = vec![(ERRAND_SPACE.to_owned(), key, None)];
            return self.archive.commit(Commit { records, ..Commit::default() }).await.map_err(NodeError::Commit);
        }
        let said: Result<Option<Signed>, String> =
            match credentials::submit(self, &errand.issuer, &errand.submission).await {
                Ok(said) => Ok(said),
                Err(CredentialError::Refused(reason)) => Err(reason),
                Err(error) => return self.note_trouble(deal, error.to_string()).await,
            };
        let with = Commit { records: vec![(ERRAND_SPACE.to_owned(), key, None)], ..Commit::default() };
        let reply = Reply { to: errand.submission.statement.id(), said };
        self.step(deal, Event { input: Input::Said(reply.to_bytes()), with }).await
    }
}
