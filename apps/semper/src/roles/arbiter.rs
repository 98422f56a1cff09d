//! The arbiter's service: requests in, verdicts out, a register that is written once, a log that only grows.
//!
//! The decision itself is [`semper_exchange::arbiter`]; here it is stored and answered. Cell, request, verdict and log leaf are one
//! commit; only then does the answer leave. Two requests at once: the second finds the cell taken and gets what stands.

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Draft, Signed, Statement as _};
use semper_core::ids::DealId;
use semper_core::merkle::Frontier;
use semper_core::signature::Verify;
use semper_exchange::arbiter::log::{self, LogReceipt};
use semper_exchange::arbiter::request::{Asked, Case, Request, RequestError};
use semper_exchange::arbiter::service::{Next, VERDICT_SPACE, cell_key, decide};
use semper_exchange::arbiter::verdict::ArbiterAnswer;
use semper_support::approval::{Answer, ApprovalError, Exhibit, KeyHolder, SignRequest};
use semper_support::archive::{Archive, Commit, CommitError, Fact, PutState, ReadError};
use semper_support::channel::{Delivered, Frame, Inbox, Refusal};
use serde::{Deserialize, Serialize};

use crate::node::{FRAME_ARBITER, now};

/// The log's state.
const LOG: &[u8] = b"log";
/// Fact space of the log's leaves: index (8 bytes, big-endian) → leaf.
const LEAF_SPACE: &str = "log-leaf";
/// Fact space of the requests that verdicts rest on: cell → request.
const BASIS_SPACE: &str = "verdict-basis";
/// How often a decision is tried again when another one was stored meanwhile.
const TRIES: usize = 64;

/// An arbiter.
pub struct Arbiter {
    archive: Arc<dyn Archive>,
    keys: Arc<dyn KeyHolder>,
    verify: Arc<dyn Verify>,
}

/// Why a request was not decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum DecideError {
    #[error("the request is malformed: {0}")]
    Malformed(#[from] semper_core::cbor::DecodeError),
    #[error("the request is not valid: {0}")]
    Invalid(#[from] RequestError),
    #[error("the arbiter's keys are not available: {0}")]
    Keys(#[from] ApprovalError),
    #[error("the arbiter's storage failed: {0}")]
    Read(#[from] ReadError),
    #[error("the arbiter's storage failed: {0}")]
    Commit(CommitError),
    #[error("too many requests at once")]
    Busy,
    #[error("the log is full")]
    LogFull,
}

impl Arbiter {
    /// An arbiter over its register and keys.
    pub fn new(archive: Arc<dyn Archive>, keys: Arc<dyn KeyHolder>, verify: Arc<dyn Verify>) -> Self {
        Self { archive, keys, verify }
    }

    /// Decides a request, or finds what was decided. The answer is the same bytes for ever.
    async fn decide(&self, deal: DealId, bytes: &[u8]) -> Result<Vec<u8>, DecideError> {
        let request = Request::from_bytes(bytes)?;
        let me = self.keys.key_set();
        let case = Case::check(&*self.verify, me.id(), &request)?;
        let cell = cell_key(&case);
        for _ in 0..TRIES {
            if let Some(stands) = self.archive.fact(VERDICT_SPACE, &cell).await? {
                return Ok(stands);
            }
            let (mut log, version) = self.log().await?;
            let draft = match decide(None, &case, &me, log.size(), now()) {
                // The cell was empty a moment ago: read it again.
                Next::AnswerStored => continue,
                Next::SignAndAnswer(draft) => {
                    let statement = self.sign(deal, draft).await?;
                    return Ok(ArbiterAnswer { statement, promises: Vec::new(), log: None }.to_bytes());
                }
                Next::SignAndStore(draft) => draft,
            };
            let statement = self.sign(deal, draft).await?;
            let (head, inclusion) = log::add(&mut log, &statement, now()).map_err(|_| DecideError::LogFull)?;
            let head = self.sign(deal, head.draft(me.suite(), me.id())).await?;
            let receipt = LogReceipt { head, inclusion };
            let resolved = matches!(case.asked(), Asked::Resolve { .. });
            let promises = if resolved { request.promises.clone() } else { Vec::new() };
            let answer = ArbiterAnswer { statement, promises, log: Some(receipt) };
            let commit = record(&cell, &log, version, bytes, &answer);
            match self.archive.commit(commit).await {
                Ok(()) => tracing::info!(cid = %case.cid(), asked = ?case.asked(), "decided"),
                // Another request was first, for this cell or for the next place in the log.
                Err(CommitError::Taken { .. } | CommitError::Stale { .. }) => {}
                Err(error) => return Err(DecideError::Commit(error)),
            }
        }
        Err(DecideError::Busy)
    }

    async fn log(&self) -> Result<(Frontier, u64), DecideError> {
        match self.archive.state(LOG).await? {
            Some(stored) => Ok((Frontier::from_bytes(&stored.bytes)?, stored.version)),
            None => Ok((Frontier::default(), 0)),
        }
    }

    async fn sign(&self, deal: DealId, draft: Draft) -> Result<Signed, DecideError> {
        match self.keys.request(SignRequest { deal, draft, exhibit: Exhibit::Consequence }).await? {
            Answer::Signed(signed) => Ok(signed),
            Answer::Declined | Answer::Waiting => {
                Err(ApprovalError::Unavailable("an arbiter's keys sign by rule".to_owned()).into())
            }
        }
    }

    /// The routes by which anybody can watch the log grow.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new().route("/log", get(log_page)).with_state(self.clone())
    }
}

/// Everything that one decision changes.
fn record(cell: &[u8], log: &Frontier, version: u64, request: &[u8], answer: &ArbiterAnswer) -> Commit {
    let index = log.size() - 1;
    let leaf = log::leaf(&answer.statement);
    let fact = |space: &str, key: &[u8], value: Vec<u8>| Fact { space: space.to_owned(), key: key.to_vec(), value };
    Commit {
        states: vec![PutState { key: LOG.to_vec(), replaces: version, bytes: log.to_bytes() }],
        facts: vec![
            fact(VERDICT_SPACE, cell, answer.to_bytes()),
            fact(BASIS_SPACE, cell, request.to_vec()),
            fact(LEAF_SPACE, &index.to_be_bytes(), leaf.as_bytes().to_vec()),
        ],
        ..Commit::default()
    }
}

#[async_trait]
impl Inbox for Arbiter {
    async fn deliver(&self, frame: Frame) -> Result<Delivered, Refusal> {
        if frame.kind != FRAME_ARBITER {
            return Err(Refusal::Unwanted(format!("an arbiter takes no messages of kind {:?}", frame.kind)));
        }
        match self.decide(frame.deal, &frame.body).await {
            Ok(answer) => Ok(Delivered { reply: Some(answer) }),
            Err(error @ (DecideError::Malformed(_) | DecideError::Invalid(_))) => {
                tracing::info!(%error, "a request was not valid");
                Err(Refusal::Malformed(error.to_string()))
            }
            Err(error) => {
                tracing::error!(%error, "a request could not be decided now");
                Err(Refusal::Busy("the arbiter cannot decide now".to_owned()))
            }
        }
    }
}

/// Leaves that are listed at once.
const PAGE: usize = 1000;

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

/// The log, as far as one page shows it.
#[derive(Serialize)]
struct LogPage {
    /// How many leaves there are.
    size: u64,
    /// The root over all of them.
    root: String,
    /// Leaves from the asked place on.
    leaves: Vec<String>,
}

async fn log_page(
    State(arbiter): State<Arc<Arbiter>>,
    Query(From { from }): Query<From>,
) -> Result<Json<LogPage>, StatusCode> {
    let unavailable = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "the log cannot be read");
        StatusCode::SERVICE_UNAVAILABLE
    };
    let (log, _) = arbiter.log().await.map_err(|e| unavailable(&e))?;
    let after = from.checked_sub(1).map(u64::to_be_bytes);
    let after = after.as_ref().map(<[u8; 8]>::as_slice);
    let leaves = arbiter.archive.facts(LEAF_SPACE, after, PAGE).await.map_err(|e| unavailable(&e))?;
    let leaves = leaves.iter().map(|leaf| data_encoding::HEXLOWER.encode(&leaf.value)).collect();
    Ok(Json(LogPage { size: log.size(), root: log.root().to_hex(), leaves }))
}
