//! What is in the arbiter's hands, and what it owes, for its operator; and its purses.
//!
//! Nothing is kept for this but which contracts are open: what came and what was paid is read from the record of the contract and from the payment operations that it names.
//! A contract is looked at for the last time when everything that is due was paid, or when its time is over and nothing has come.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use semper_core::cbor::Decode as _;
use semper_core::ids::Cid;
use semper_core::party::Role;
use semper_exchange::arbiter::hands::{Hands, Holding};
use semper_exchange::arbiter::verdict::Outcome;
use semper_transfer::payment::operation::{self, OperationId, Task};
use semper_transfer::payment::statement::PaymentRequest;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::money::MoneyError;
use super::{Arbiter, DecideError};
use crate::control::{PurseOrder, PurseView};
use crate::wallet;

/// Contracts that are listed at once.
const PAGE: usize = 100;
/// How long issuers may take while the operator waits for a look at the purses.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Most pages that are counted for the metrics.
const PAGES_MAX: usize = 10;
/// How long a count is given out.
const COUNTED_FOR: Duration = Duration::from_secs(15);
const ROLES: [Role; 2] = [Role::ORIGINATOR, Role::RESPONDER];

/// Contracts with money in the arbiter's hands, or due from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandsPage {
    /// The contracts.
    pub contracts: Vec<HandsView>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// A contract with money in the arbiter's hands, or due from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandsView {
    /// The contract.
    pub cid: String,
    /// Until when deposits are taken, in seconds since 1970.
    pub closes: u64,
    /// `undecided`, `resolved` or `aborted`.
    pub outcome: String,
    /// What concerns the originator and the responder, where there is anything.
    pub parties: Vec<PartyView>,
}

/// What the arbiter has from a party, or owes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartyView {
    /// `the originator` or `the responder`.
    pub role: String,
    /// What it has handed in, and where; until the contract is decided.
    pub holds: Option<MoneyView>,
    /// What it is to be paid and is not yet.
    pub owes: Option<MoneyView>,
    /// How the payment stands, in words; empty if none is due.
    pub payment: String,
    /// Whether its operator has to look: nobody can tell where the money of the payment is.
    pub stuck: bool,
}

/// An amount at an issuer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MoneyView {
    /// The amount.
    pub amount: String,
    /// The mint or bank.
    pub issuer: String,
}

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<String>,
}

/// One page of what the arbiter holds and owes.
pub(super) async fn page(
    State(arbiter): State<Arc<Arbiter>>,
    Query(After { after }): Query<After>,
) -> Result<Json<HandsPage>, StatusCode> {
    let after = after.map(|cid| Cid::parse(&cid).ok_or(StatusCode::BAD_REQUEST)).transpose()?;
    arbiter.in_hand(after).await.map(Json).map_err(|error| {
        tracing::error!(%error, "what is in the arbiter's hands cannot be read");
        StatusCode::SERVICE_UNAVAILABLE
    })
}

/// The purses, after a look at each issuer that answers in time.
pub(super) async fn purses(State(arbiter): State<Arc<Arbiter>>) -> Result<Json<Vec<PurseView>>, Failure> {
    let payments = &arbiter.parts.payments;
    let mut looks = Vec::new();
    for purse in payments.purses().await.map_err(failed)? {
        looks.push(payments.begin_operation(purse.id, Task::Refresh).await.map_err(failed)?);
    }
    let until = Instant::now() + LOOK_MAX;
    for look in looks {
        payments.end_of(look, until.saturating_duration_since(Instant::now())).await.map_err(failed)?;
    }
    wallet::purses(payments).await.map(Json).map_err(failed)
}

/// Opens a purse before parties need it.
pub(super) async fn open_purse(
    State(arbiter): State<Arc<Arbiter>>,
    Json(order): Json<PurseOrder>,
) -> Result<Json<()>, Failure> {
    let currency = wallet::currency_of(&order).map_err(failed)?;
    arbiter.money.open(&order.system, &order.issuer, currency).await.map(Json).map_err(failed)
}

type Failure = (StatusCode, String);

fn failed(error: impl std::fmt::Display) -> Failure {
    (StatusCode::CONFLICT, error.to_string())
}

impl Arbiter {
    /// Contracts after one of them.
    pub(super) async fn in_hand(&self, after: Option<Cid>) -> Result<HandsPage, DecideError> {
        let open = self.register.open(after, PAGE).await?;
        let next = open.last().filter(|_| open.len() == PAGE).map(|(cid, _)| cid.to_string());
        let now = (self.parts.clock)();
        let mut contracts = Vec::new();
        for (cid, not_after) in open {
            let Some((hands, _)) = self.register.hands(cid).await? else { continue };
            let mut parties = Vec::new();
            for role in ROLES {
                parties.extend(self.of_party(cid, &hands, role).await?);
            }
            if parties.is_empty() && hands.is_over(not_after, now) {
                self.register.close(cid).await.map_err(DecideError::Commit)?;
            }
            if !parties.is_empty() {
                let outcome = match hands.outcome {
                    None => "undecided",
                    Some(Outcome::Resolved) => "resolved",
                    Some(_) => "aborted",
                };
                let (cid, closes, outcome) = (cid.to_string(), not_after.unix(), outcome.to_owned());
                contracts.push(HandsView { cid, closes, outcome, parties });
            }
        }
        Ok(HandsPage { contracts, next })
    }

    /// What the arbiter has from a party or owes it; nothing if it is paid, or nothing came.
    async fn of_party(&self, cid: Cid, hands: &Hands, role: Role) -> Result<Option<PartyView>, DecideError> {
        let view = PartyView { role: role.among(2), holds: None, owes: None, payment: String::new(), stuck: false };
        if let Some(paying) = hands.paying(cid, role).filter(|_| hands.is_due(role)) {
            let (payment, stuck) = match self.end(paying).await? {
                Some(Ok(_)) => return Ok(None),
                Some(Err(failure)) if failure.money == operation::Money::Unknown => {
                    (format!("nobody can tell whether the money has left: {}", failure.reason), true)
                }
                Some(Err(failure)) => (format!("refused, and tried again when it asks: {}", failure.reason), false),
                None => {
                    let trouble = self.parts.payments.operation(paying).await.map_err(MoneyError::from)?.trouble;
                    (trouble.map_or_else(|| "on its way".to_owned(), |why| format!("tried again: {why}")), false)
                }
            };
            let owes = self.money_of(paying).await?;
            return Ok(Some(PartyView { owes, payment, stuck, ..view }));
        }
        if !matches!(hands.holding(role), Holding::Taken(_) | Holding::Taking(..)) {
            return Ok(None);
        }
        let taking = matches!(hands.holding(role), Holding::Taking(..));
        for taken in Hands::takings(cid, role) {
            let end = self.end(taken).await?;
            if matches!(end, Some(Ok(_))) || taking && hands.taking(cid, role) == Some(taken) {
                let payment = if taking { "being taken".to_owned() } else { String::new() };
                return Ok(Some(PartyView { holds: self.money_of(taken).await?, payment, ..view }));
            }
        }
        Ok(None)
    }

    async fn end(
        &self,
        id: OperationId,
    ) -> Result<Option<Result<operation::Outcome, operation::Failure>>, DecideError> {
        let end = self.parts.payments.end_of(id, Duration::ZERO).await.map_err(MoneyError::from)?;
        Ok(end.map(|answer| answer.result))
    }

    /// What an operation of this contract moves.
    async fn money_of(&self, id: OperationId) -> Result<Option<MoneyView>, DecideError> {
        let entry = self.parts.payments.operation(id).await.map_err(MoneyError::from)?.entry;
        let (Task::Pay { request, .. } | Task::Receive { request, .. }) = &entry.operation.task else {
            return Ok(None);
        };
        let asked = PaymentRequest::from_bytes(request.payload()).ok();
        Ok(asked.map(|asked| MoneyView { amount: asked.amount.to_string(), issuer: asked.issuer }))
    }

    /// How many deposits are in its hands and how many payments it owes, in the text format of Prometheus: how much it is, is the operator's to know. Anybody may ask for it, so it is
    /// counted now and then only.
    pub(super) async fn gauges(&self) -> String {
        if !self.parts.in_line {
            return String::new();
        }
        let mut counted = self.counted.lock().await;
        match &*counted {
            Some((when, text)) if when.elapsed() < COUNTED_FOR => text.clone(),
            _ => {
                let text = self.count_in_hand().await.unwrap_or_else(|error| {
                    tracing::error!(%error, "what is in the arbiter's hands cannot be counted");
                    String::new()
                });
                *counted = Some((Instant::now(), text.clone()));
                text
            }
        }
    }

    async fn count_in_hand(&self) -> Result<String, DecideError> {
        let (mut held, mut owed, mut stuck) = (0_u64, 0_u64, 0_u64);
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = self.in_hand(after).await?;
            for party in page.contracts.into_iter().flat_map(|contract| contract.parties) {
                held += u64::from(party.holds.is_some());
                owed += u64::from(party.owes.is_some());
                stuck += u64::from(party.stuck);
            }
            after = page.next.and_then(|next| Cid::parse(&next));
            if after.is_none() {
                break;
            }
        }
        let mut text = String::new();
        for (name, help, count) in [
            ("semper_arbiter_held", "Deposits in the arbiter's hands whose contract is not decided.", held),
            ("semper_arbiter_owed", "Payments that verdicts have made due and that are not made.", owed),
            ("semper_arbiter_stuck", "Those of them of which nobody can tell where the money is.", stuck),
        ] {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {count}");
        }
        Ok(text)
    }
}
