//! The relay's routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use semper_core::cbor::Encode;
use semper_core::ids::KeySetId;

use super::request::{MAIL_TYPE, MAILBOX_REQUEST_TYPE};
use super::{Quota, Relay};
use crate::envelope::{ANSWER_TYPE, SEALED_TYPE};
use crate::inbox::{finish, wrong_method};
use crate::intake::{Gate, Limits, Taken};
use crate::problem::{Problem, ProblemKind};

/// Largest signed mailbox request: 64 hashes, a hybrid signature and a hybrid key set.
const REQUEST_BYTES_MAX: usize = 32 * 1024;

struct Counter {
    relay: Arc<Relay>,
    deposits: Gate,
    /// Requests of owners have a gate of their own: a flood of deposits must not keep owners from emptying their mailboxes.
    requests: Gate,
}

impl Relay {
    /// The relay as a router; the node mounts it under the path of its address. `limits` hold for deposits and, with smaller
    /// bodies and [`Quota::waiting_max`] places, for requests of owners.
    pub fn router(self: &Arc<Self>, limits: Limits) -> Router {
        let Quota { waiting_max, wait_max, .. } = self.quota;
        let waiting = Limits {
            body_bytes_max: REQUEST_BYTES_MAX,
            handler_patience: limits.handler_patience.saturating_add(Duration::from_secs(wait_max.0)),
            parallel_max: waiting_max,
            ..limits.clone()
        };
        let counter = Counter { relay: self.clone(), deposits: Gate::new(limits), requests: Gate::new(waiting) };
        Router::new()
            .route("/{mailbox}", post(deposit).fallback(wrong_method))
            .route("/{mailbox}/fetch", post(fetch).fallback(wrong_method))
            .with_state(Arc::new(counter))
    }
}

async fn deposit(
    State(counter): State<Arc<Counter>>,
    Path(mailbox): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = parse(&mailbox)?;
    let Taken { body, place } = counter.deposits.take(request, SEALED_TYPE).await?;
    let relay = counter.relay.clone();
    let work = async move {
        let _place = place;
        relay.deposit(&id, &body).await
    };
    let answer = finish(counter.deposits.limits.handler_patience, work).await?;
    Ok(([(header::CONTENT_TYPE, ANSWER_TYPE)], answer.to_bytes()).into_response())
}

/// Not a task of its own: an owner that hangs up must not be waited for, and each commit is whole by itself.
async fn fetch(
    State(counter): State<Arc<Counter>>,
    Path(mailbox): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = parse(&mailbox)?;
    let Taken { body, place: _place } = counter.requests.take(request, MAILBOX_REQUEST_TYPE).await?;
    let work = counter.relay.fetch(&id, &body);
    let mail = tokio::time::timeout(counter.requests.limits.handler_patience, work).await;
    let mail = mail.map_err(|_| Problem::busy("the relay is too slow"))??;
    Ok(([(header::CONTENT_TYPE, MAIL_TYPE)], mail.to_bytes()).into_response())
}

fn parse(mailbox: &str) -> Result<KeySetId, Problem> {
    // One spelling only, because receipts name the mailbox by its address.
    let id = KeySetId::parse(mailbox).filter(|id| id.to_string() == mailbox);
    id.ok_or_else(|| Problem::new(ProblemKind::Malformed, "a mailbox is named by 64 lower-case hexadecimal digits"))
}
