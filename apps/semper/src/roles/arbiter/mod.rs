//! The arbiter's service: requests in, verdicts out, a register that is written once, a log that only grows.
//!
//! The decision itself is [`semper_exchange::arbiter`]; here it is stored and answered. Cell or closing, request, statement and log leaf
//! are one commit (`register.rs`); only then does the answer leave. Two requests at once: the second finds the cell taken and gets
//! what stands. Where money is locked, its issuer is asked before a ruling, and its payout is authorised after one (`money.rs`).
//! Money that nobody can lock goes through its hands (`hands.rs`), if its operator has agreed to that, who sees what is there and what is due (`owes.rs`).

pub(crate) mod hands;
mod many;
mod metrics;
mod money;
pub mod owes;
mod register;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use semper_channel::Clock;
use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Draft, Signed, Statement as _};
use semper_core::ids::DealId;
use semper_core::party::{KeySet, Role};
use semper_core::signature::Verify;
use semper_exchange::arbiter::due;
use semper_exchange::arbiter::hands::is_meant as is_of_hands;
use semper_exchange::arbiter::log::{self, LogReceipt};
use semper_exchange::arbiter::many::Request as ManyRequest;
use semper_exchange::arbiter::request::{Asked, Case, Court, Request, RequestError};
use semper_exchange::arbiter::service::{Next, cell_key, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Outcome, Verdict};
use semper_exchange::goods::{DepositKey, Good, KeyAttestation};
use semper_exchange::gx::Leg;
use semper_support::approval::{Answer, ApprovalError, Exhibit, KeyHolder, SignRequest};
use semper_support::archive::{Archive, CommitError, ReadError};
use semper_support::channel::{Delivered, Frame, Inbox, Refusal};
use semper_support::crypto::{Decapsulate, Encapsulate};
use semper_transfer::payment::Module;
use semper_transfer::payment::statement::Side;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::metrics::Metrics;
use self::money::{Money, MoneyError};
use self::register::{Entry, Register, Standing, Written};
use crate::node::{FRAME_ARBITER, Payments};

/// How often a decision is tried again when another one was stored meanwhile.
const TRIES: usize = 64;

/// What an arbiter is made of.
pub struct ArbiterParts {
    /// The register.
    pub archive: Arc<dyn Archive>,
    /// The keys, which sign by rule.
    pub keys: Arc<dyn KeyHolder>,
    /// Signature verification.
    pub verify: Arc<dyn Verify>,
    /// Makes deposits again.
    pub kem: Arc<dyn Encapsulate>,
    /// Opens deposits of information.
    pub deposits: Arc<dyn Decapsulate>,
    /// The arbiter's own purses. They hold money only while it goes through the arbiter's hands, and what its owner has put there for issuers' fees.
    pub payments: Arc<Payments>,
    /// The issuers whose locks are decided over, and whose money goes through its hands; any if none is named.
    pub issuers: Vec<String>,
    /// Whether money may go through its hands.
    pub in_line: bool,
    /// The time by which is ruled.
    pub clock: Clock,
}

/// An arbiter.
pub struct Arbiter {
    parts: ArbiterParts,
    deposit_key: DepositKey,
    register: Register,
    money: Money,
    metrics: Metrics,
    /// How much was in its hands when it was counted last, for the metrics.
    counted: tokio::sync::Mutex<Option<(Instant, String)>>,
}

/// Why a request was not decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
enum DecideError {
    #[error("the request is malformed: {0}")]
    Malformed(#[from] semper_core::cbor::DecodeError),
    #[error("the request is not valid: {0}")]
    Invalid(#[from] RequestError),
    #[error("the request is not valid: {0}")]
    Money(#[from] MoneyError),
    #[error("nothing has been decided that could be settled")]
    Early,
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
    /// An arbiter over its register, keys and purses.
    pub fn new(parts: ArbiterParts) -> Self {
        let (suite, public_key) = (parts.deposits.suite(), parts.deposits.public_key().to_vec());
        Self {
            deposit_key: DepositKey { suite, public_key },
            register: Register::new(parts.archive.clone()),
            money: Money::new(parts.archive.clone(), parts.payments.clone(), parts.issuers.clone()),
            metrics: Metrics::default(),
            counted: tokio::sync::Mutex::default(),
            parts,
        }
    }

    /// Decides a request, or finds what was decided: the same bytes for ever, with what is made for the asker beside them.
    async fn decide(&self, deal: DealId, request: &Request, bytes: &[u8]) -> Result<ArbiterAnswer, DecideError> {
        let me = self.parts.keys.key_set();
        let systems: Vec<_> = self.parts.payments.systems().collect();
        let case = self.court(&me, &systems).check(request)?;
        let cell = cell_key(&case);
        let mut confirmed = case.unconfirmed().is_none();
        for _ in 0..TRIES {
            let standing = self.register.read(&cell).await?;
            let (mut log, version) = self.register.log().await?;
            let (entry, draft) = match decide(standing.cell(), &case, &me, log.size(), (self.parts.clock)()) {
                Next::AnswerStored => return self.answer(deal, &case, request, &standing).await,
                Next::SignAndAnswer(draft) => {
                    let answer = ArbiterAnswer::of(self.sign(deal, draft).await?);
                    return self.settled(&case, request, &standing, answer).await;
                }
                Next::Refuse => return Err(DecideError::Early),
                // The issuer takes its time: whatever else happened meanwhile counts.
                Next::SignAndStore(_) if !confirmed => {
                    self.confirm(&case, request).await?;
                    confirmed = true;
                    continue;
                }
                Next::SignAndStore(draft) => (Entry::Verdict, draft),
                Next::SignAndClose(draft) => (Entry::Closing, draft),
            };
            let statement = self.sign(deal, draft).await?;
            let (head, inclusion) =
                log::add(&mut log, &statement, (self.parts.clock)()).map_err(|_| DecideError::LogFull)?;
            let head = self.sign(deal, head.draft(me.suite(), me.id())).await?;
            let promises = if resolves(&statement) { request.promises.clone() } else { Vec::new() };
            let log_receipt = Some(LogReceipt { head, inclusion });
            let stored = ArbiterAnswer { promises, log: log_receipt, ..ArbiterAnswer::of(statement) };
            match self.register.write(entry, &cell, (&log, version), bytes, &stored).await {
                Ok(Written::Stored) => tracing::info!(cid = %case.cid(), asked = ?case.asked(), "decided"),
                // Another request was first, for this cell or for the next place in the log.
                Ok(Written::Overtaken) => {}
                Err(error) => return Err(DecideError::Commit(error)),
            }
        }
        Err(DecideError::Busy)
    }

    fn court<'a>(&'a self, me: &'a KeySet, systems: &'a [&'a dyn Module]) -> Court<'a> {
        let (verify, kem) = (&*self.parts.verify, &*self.parts.kem);
        Court { verify, kem, arbiter: me, deposit_key: Some(&self.deposit_key), systems }
    }

    /// Has the token of whoever resolves and gives money confirmed by its issuer.
    async fn confirm(&self, case: &Case, request: &Request) -> Result<(), DecideError> {
        match case.unconfirmed() {
            Some(payer) => Ok(self.money.confirm(case, payer, token(request, payer)).await?),
            None => Ok(()),
        }
    }

    /// What stands, and what is made for the asker.
    async fn answer(
        &self,
        deal: DealId,
        case: &Case,
        request: &Request,
        standing: &Standing,
    ) -> Result<ArbiterAnswer, DecideError> {
        let mut answer = standing.answer().ok_or(DecideError::Busy)?;
        let asker = match case.asked() {
            Asked::Abort => Some(Role::ORIGINATOR),
            Asked::Resolve { by } => Some(by),
            Asked::Complain { .. } | Asked::Settle { .. } | Asked::Revoke | Asked::Inquire => None,
        };
        if let Some(asker) = asker.filter(|_| standing.is_resolved()) {
            answer.attestation = self.attest(deal, case, asker).await?;
        }
        self.settled(case, request, standing, answer).await
    }

    /// The key of the information that a party is to get, in the place of its owner. Nothing where it gets no information.
    async fn attest(&self, deal: DealId, case: &Case, to: Role) -> Result<Option<Signed>, DecideError> {
        let Leg::Information(slot) = *case.gives(to.peer()) else { return Ok(None) };
        // A contract with a deposit that cannot be opened here was not resolved.
        let good = Good::of(case.core(), slot, Some(&self.deposit_key)).ok();
        let Some(key) = good.and_then(|good| good.recover(&*self.parts.deposits).ok()) else { return Ok(None) };
        let me = self.parts.keys.key_set();
        let said = KeyAttestation { cid: case.cid(), slot, key };
        self.sign(deal, said.draft(me.suite(), me.id())).await.map(Some)
    }

    /// Lets go of locked money if that was asked for and it is due to the asker.
    async fn settled(
        &self,
        case: &Case,
        request: &Request,
        standing: &Standing,
        mut answer: ArbiterAnswer,
    ) -> Result<ArbiterAnswer, DecideError> {
        let Asked::Settle { side } = case.asked() else { return Ok(answer) };
        let asker = case.core().role_of(request.question.signer()).ok_or(DecideError::Early)?;
        let payer = if side == Side::Payer { asker } else { asker.peer() };
        if due(standing.cell().map(|(cell, _)| cell), case) == Some(side) {
            let token = token(request, payer);
            answer.authorisation = self.money.authorise(case, payer, token, &request.payout, side).await?;
        }
        Ok(answer)
    }

    async fn sign(&self, deal: DealId, draft: Draft) -> Result<Signed, DecideError> {
        match self.parts.keys.request(SignRequest { deal, draft, exhibit: Exhibit::Consequence }).await? {
            Answer::Signed(signed) => Ok(signed),
            Answer::Declined | Answer::Waiting => {
                Err(ApprovalError::Unavailable("an arbiter's keys sign by rule".to_owned()).into())
            }
        }
    }

    /// The routes for its operator; to be mounted behind the control token.
    pub fn operator_routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/arbiter/hands", get(owes::page))
            .route("/arbiter/purses", get(owes::purses).post(owes::open_purse))
            .with_state(self.clone())
    }

    /// The routes by which anybody can watch the log grow, and the operator how the arbiter fares.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new().route("/log", get(log_page)).route("/metrics", get(metrics_page)).with_state(self.clone())
    }
}

/// The token that came with a party's promise; empty if none did.
fn token(request: &Request, owner: Role) -> &[u8] {
    request.promises.get(usize::from(owner.number())).map_or(&[], |promised| &promised.token)
}

/// Whether a statement is the verdict `resolved`, which goes out with the promises.
fn resolves(statement: &Signed) -> bool {
    Verdict::from_bytes(statement.payload()).is_ok_and(|verdict| verdict.outcome == Outcome::Resolved)
}

#[async_trait]
impl Inbox for Arbiter {
    async fn deliver(&self, frame: Frame) -> Result<Delivered, Refusal> {
        if frame.kind != FRAME_ARBITER {
            return Err(Refusal::Unwanted(format!("an arbiter takes no messages of kind {:?}", frame.kind)));
        }
        let decided = if ManyRequest::is_meant(&frame.body) {
            let decided = self.decide_many(frame.deal, &frame.body).await;
            decided.map(|answer| (answer.to_bytes(), Some(answer.statement), false))
        } else {
            match Request::from_bytes(&frame.body) {
                Err(error) => Err(error.into()),
                Ok(request) if is_of_hands(&request) => {
                    let decided = self.decide_hands(frame.deal, &request, &frame.body).await;
                    decided.map(|answer| (answer.to_bytes(), answer.statement, !answer.token.is_empty()))
                }
                Ok(request) => {
                    let decided = self.decide(frame.deal, &request, &frame.body).await;
                    decided.map(|answer| (answer.to_bytes(), Some(answer.statement), !answer.authorisation.is_empty()))
                }
            }
        };
        let answered = decided.as_ref().map(|(_, statement, paid)| (statement.as_ref(), *paid));
        self.metrics.count(&frame.body, answered.map_err(DecideError::name));
        match decided {
            Ok((answer, ..)) => Ok(Delivered { reply: Some(answer) }),
            Err(error) if error.is_final() => {
                tracing::info!(%error, "a request was not valid");
                Err(Refusal::Malformed(error.to_string()))
            }
            Err(error @ (DecideError::Early | DecideError::Money(_))) => {
                tracing::info!(%error, "a request must be made again");
                Err(Refusal::Busy("the arbiter cannot decide this yet".to_owned()))
            }
            Err(error) => {
                tracing::error!(%error, "a request could not be decided now");
                Err(Refusal::Busy("the arbiter cannot decide now".to_owned()))
            }
        }
    }
}

impl DecideError {
    /// Whether the same request will never be decided.
    fn is_final(&self) -> bool {
        matches!(self, Self::Malformed(_) | Self::Invalid(_) | Self::Money(MoneyError::Refused(_)))
    }

    /// The outcome as it is counted.
    fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Invalid(_) => "invalid",
            Self::Money(MoneyError::Refused(_)) => "bad-token",
            Self::Money(_) => "issuer-awaited",
            Self::Early => "early",
            _ => "failed",
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
    let unavailable = |error: ReadError| {
        tracing::error!(%error, "the log cannot be read");
        StatusCode::SERVICE_UNAVAILABLE
    };
    let (log, _) = arbiter.register.log().await.map_err(unavailable)?;
    let leaves = arbiter.register.leaves(from, PAGE).await.map_err(unavailable)?;
    let leaves = leaves.iter().map(|leaf| data_encoding::HEXLOWER.encode(leaf)).collect();
    Ok(Json(LogPage { size: log.size(), root: log.root().to_hex(), leaves }))
}

async fn metrics_page(State(arbiter): State<Arc<Arbiter>>) -> impl IntoResponse {
    let counted = arbiter.metrics.text() + arbiter.gauges().await.as_str();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], counted)
}
