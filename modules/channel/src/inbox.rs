//! The inbox of a node: takes a sealed message, hands what is in it to the node, answers with a signed receipt.
//!
//! The order is the point: gate, open, hand over (the node stores what follows), then sign. A receipt exists only for what is
//! stored. The same bytes, or the same frame in another envelope, are handed over once as long as the answer is remembered; after
//! that, or after a restart, the node sees a message again that it knows already, which the port allows.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use moka::future::Cache;
use semper_core::cbor::Encode;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_support::channel::{Delivered, Frame, Inbox, MESSAGE_BYTES_MAX, Receipt, Refusal};
use semper_support::crypto::{CryptoError, Open, Signer};

use crate::Clock;
use crate::envelope::{ANSWER_TYPE, Answer, Envelope, Letter, SEALED_TYPE, Unopened};
use crate::intake::{Gate, Limits, Taken};
use crate::problem::{Problem, ProblemKind};

/// Who an inbox is.
pub struct InboxIdentity {
    /// The address that senders post to, as it stands in the contact card. Receipts name it.
    pub url: String,
    /// Opens what is sealed for this inbox.
    pub open: Arc<dyn Open>,
    /// Signs receipts.
    pub signer: Arc<dyn Signer>,
    /// The time in receipts.
    pub clock: Clock,
}

/// An inbox as a router with one route, `POST /`; the node mounts it under the path of its address.
///
/// `handler` is called once for a message as long as the answer is remembered, never cancelled once it is called, and may be called
/// again with the same message later. Serve the router with connection addresses ([`crate::Server`] does), or all senders share
/// one rate.
pub fn inbox(handler: Arc<dyn Inbox>, identity: InboxIdentity, limits: Limits) -> Router {
    let desk = Arc::new(Desk {
        answers: remembered(&limits, |answer: &Bytes| answer.len()),
        delivered: remembered(&limits, |delivered: &Delivered| delivered.reply.as_ref().map_or(0, Vec::len)),
        gate: Gate::new(limits),
        handler,
        identity,
    });
    Router::new().route("/", post(take).fallback(wrong_method)).with_state(desk)
}

pub(crate) async fn wrong_method() -> Problem {
    Problem::new(ProblemKind::WrongMethod, "an inbox only takes messages")
}

struct Desk {
    gate: Gate,
    handler: Arc<dyn Inbox>,
    identity: InboxIdentity,
    /// Whole answers by the hash of the envelope: a sender that lost its answer gets the same bytes.
    answers: Cache<Digest, Bytes>,
    /// What the node said by the hash of the frame: the same frame in a new envelope is answered under its new key.
    delivered: Cache<Digest, Delivered>,
}

async fn take(State(desk): State<Arc<Desk>>, request: Request) -> Result<Response, Problem> {
    let taken = desk.gate.take(request, SEALED_TYPE).await?;
    let patience = desk.gate.limits.handler_patience;
    // A task of its own: a sender that hangs up must not stop the node in the middle of a message.
    let answer = finish(patience, async move { desk.answer(taken).await }).await?;
    Ok(([(header::CONTENT_TYPE, ANSWER_TYPE)], answer).into_response())
}

/// Runs work to its end whatever the sender does, and waits for it as long as `patience`.
pub(crate) async fn finish<T: Send + 'static>(
    patience: Duration,
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::time::timeout(patience, tokio::spawn(work)).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => {
            tracing::error!(%error, "handling a message failed");
            Err(Problem::busy("an internal error"))
        }
        Err(_) => Err(Problem::busy("the message is still being handled")),
    }
}

impl Desk {
    async fn answer(&self, taken: Taken) -> Result<Bytes, Problem> {
        let Taken { body, place: _place } = taken;
        let sealed = Envelope::digest(&body);
        // Doubles that come at the same time wait for the first; a refusal is not remembered.
        let answer = self.answers.try_get_with(sealed, self.first_answer(sealed, &body)).await;
        answer.map_err(Arc::unwrap_or_clone)
    }

    async fn first_answer(&self, sealed: Digest, body: &[u8]) -> Result<Bytes, Problem> {
        let letter = Letter::open(&*self.identity.open, body).map_err(Problem::from)?;
        let frame = Digest::of(domain::INPUT, &letter.frame.to_bytes());
        let delivered =
            self.delivered.try_get_with(frame, self.deliver(letter.frame)).await.map_err(Arc::unwrap_or_clone)?;
        let reply =
            delivered.reply.map(|reply| letter.reply_key.seal(&sealed, &reply)).transpose().map_err(cannot_sign)?;
        let receipt = Receipt { sealed, time: (self.identity.clock)(), inbox: self.identity.url.clone() };
        Ok(Answer::sign(&*self.identity.signer, &receipt, reply).map_err(cannot_sign)?.to_bytes().into())
    }

    async fn deliver(&self, frame: Frame) -> Result<Delivered, Problem> {
        let delivered = self.handler.deliver(frame).await?;
        if delivered.reply.as_ref().is_some_and(|reply| reply.len() > MESSAGE_BYTES_MAX) {
            tracing::error!("a reply is larger than a message may be");
            return Err(Problem::busy("an internal error"));
        }
        Ok(delivered)
    }
}

pub(crate) fn cannot_sign(error: CryptoError) -> Problem {
    tracing::error!(%error, "a receipt cannot be made");
    Problem::busy("an internal error")
}

/// A bounded memory of answers. Each entry counts what it holds and a little more, so that empty ones are bounded too.
fn remembered<V: Clone + Send + Sync + 'static>(limits: &Limits, size: fn(&V) -> usize) -> Cache<Digest, V> {
    Cache::builder()
        .max_capacity(limits.remembered_bytes_max)
        .weigher(move |_, value| u32::try_from(size(value)).unwrap_or(u32::MAX).saturating_add(256))
        .time_to_live(limits.remembered_for)
        .build()
}

impl From<Unopened> for Problem {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Malformed(error) => Problem::new(ProblemKind::Malformed, error.to_string()),
            // Its keys are locked: the sender tries again.
            Unopened::Sealed(CryptoError::Unavailable) => Problem::busy("the inbox cannot open messages now"),
            Unopened::Sealed(error) => Problem::new(ProblemKind::CannotOpen, error.to_string()),
            Unopened::BadLetter(error) => Problem::new(ProblemKind::Malformed, format!("inside the seal: {error}")),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(detail) => Problem::new(ProblemKind::Malformed, detail),
            Refusal::Unwanted(detail) => Problem::new(ProblemKind::Unwanted, detail),
            Refusal::Busy(detail) => Problem::busy(detail),
            other => Problem::busy(other.to_string()),
        }
    }
}
