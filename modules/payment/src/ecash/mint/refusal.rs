//! Why the mint refuses: the protocol's error codes and RFC 9457 problem documents in one object.
//!
//! ```text
//! { "detail": …, "code": 11001, "type": "urn:semper:problem:mint:spent", "title": …, "status": 400 }
//! ```
//!
//! Wallets of this protocol read `detail` and `code`. Where the protocol has no code for a refusal, `code` is 0. After every refusal nothing
//! has changed, except after [`Refusal::Unsure`], where the answer to the same request, sent again, says what happened.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::ecash::condition::ConditionError;

/// Begins the `type` of every refusal.
const URN: &str = "urn:semper:problem:mint:";
/// Content type of a refusal.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The body is not what the endpoint takes.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// The body is larger than the limit.
    #[error("the request has more than {0} bytes")]
    TooLarge(usize),
    /// A coin is not one of this mint, or not of this amount.
    #[error("input {0} is no coin of this mint")]
    NoCoin(usize),
    /// A coin's condition is not met.
    #[error("{0}")]
    Condition(#[from] ConditionError),
    /// A coin was spent in another request.
    #[error("proofs already spent")]
    Spent,
    /// A coin is in a payment that is not finished.
    #[error("proofs are pending")]
    InputsPending,
    /// An output was signed in another request.
    #[error("outputs already signed")]
    Signed,
    /// An output is promised to a payment that is not finished.
    #[error("outputs are pending")]
    OutputsPending,
    /// Inputs and outputs do not balance.
    #[error("transaction is not balanced: inputs {inputs}, fee {fee}, outputs {outputs}")]
    Unbalanced {
        /// Sum of the inputs.
        inputs: u64,
        /// What spending them costs.
        fee: u64,
        /// Sum of the outputs, or what a payment needs.
        outputs: u64,
    },
    /// An amount is zero, too large, or not one that the keyset has.
    #[error("amount outside of the limits: {0}")]
    Amount(&'static str),
    /// A coin stands twice among the inputs.
    #[error("duplicate inputs")]
    DuplicateInputs,
    /// A blinded message stands twice among the outputs.
    #[error("duplicate outputs")]
    DuplicateOutputs,
    /// Inputs or outputs are of several units.
    #[error("inputs or outputs of multiple units")]
    MixedUnits,
    /// Inputs and outputs, or outputs and quote, are of different units.
    #[error("inputs and outputs not of the same unit")]
    UnitMismatch,
    /// A payment request does not say how much to pay.
    #[error("a payment request without an amount is not supported")]
    Amountless,
    /// The unit is not one of this method.
    #[error("the unit is not supported for this method")]
    UnknownUnit,
    /// Too many inputs.
    #[error("more than {0} inputs")]
    TooManyInputs(usize),
    /// Too many outputs.
    #[error("more than {0} outputs")]
    TooManyOutputs(usize),
    /// No such keyset.
    #[error("keyset {0} is not known")]
    UnknownKeyset(String),
    /// The keyset signs no more.
    #[error("keyset {0} is inactive")]
    InactiveKeyset(String),
    /// The keyset's coins have lost their value.
    #[error("keyset {0} has expired")]
    ExpiredKeyset(String),
    /// The quote was not paid.
    #[error("the quote is not paid")]
    Unpaid,
    /// The quote was used by another request.
    #[error("the quote has already been issued")]
    Issued,
    /// The payment definitely failed; the coins may be spent again.
    #[error("the payment failed, and the inputs are free again: {0}")]
    PaymentFailed(String),
    /// A coin came back from too many failed payments.
    #[error("these coins came back from too many failed payments; swap them first")]
    TooManyReturns,
    /// The quote is in use by another request.
    #[error("the quote is pending")]
    QuotePending,
    /// The quote, or its request, was paid already.
    #[error("already paid")]
    AlreadyPaid,
    /// The quote's time is over.
    #[error("the quote is expired")]
    QuoteExpired,
    /// A quote that is locked to a key was used without its signature.
    #[error("the quote is locked to a key, and the signature is missing or false")]
    QuoteSignature,
    /// The key that a quote is to be locked to is not a compressed point.
    #[error("the key of the quote is not a compressed point")]
    QuoteKey,
    /// No such quote, or not of this method.
    #[error("there is no such quote")]
    UnknownQuote,
    /// No such payment method.
    #[error("there is no such payment method")]
    UnknownMethod,
    /// The payment system refuses the request.
    #[error("the payment request is not acceptable: {0}")]
    BadRequest(String),
    /// The asker's address, or all together, ask too often. Nothing was done.
    #[error("too many requests; come again in {0} s")]
    TooMany(u64),
    /// Too many requests at once, or the payment system or the storage does not answer. Nothing was done.
    #[error("the mint cannot answer now; nothing was done: {0}")]
    Busy(&'static str),
    /// Storage failed in the middle: it may be done or not.
    #[error("the outcome is not known; send the same request again to learn it")]
    Unsure,
}

impl Refusal {
    /// The protocol's code (`error_codes.md` of the NUTs); 0 where it has none.
    pub const fn code(&self) -> u32 {
        self.row().0
    }

    /// The name in `type`.
    pub const fn name(&self) -> &'static str {
        self.row().1
    }

    /// The HTTP status: 400 as the protocol demands, other ones where it says nothing.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownMethod => StatusCode::NOT_FOUND,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy(_) | Self::Unsure => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether the same request may be granted later.
    pub const fn retry(&self) -> bool {
        matches!(
            self,
            Self::TooMany(_)
                | Self::Busy(_)
                | Self::Unsure
                | Self::Unpaid
                | Self::InputsPending
                | Self::OutputsPending
                | Self::QuotePending
                | Self::PaymentFailed(_)
        )
    }

    const fn row(&self) -> (u32, &'static str) {
        match self {
            Self::Malformed(_) => (0, "malformed"),
            Self::TooLarge(_) => (0, "too-large"),
            Self::NoCoin(_) => (10001, "no-coin"),
            Self::Condition(_) => (10001, "condition"),
            Self::Spent => (11001, "spent"),
            Self::InputsPending => (11002, "inputs-pending"),
            Self::Signed => (11003, "signed"),
            Self::OutputsPending => (11004, "outputs-pending"),
            Self::Unbalanced { .. } => (11005, "unbalanced"),
            Self::Amount(_) => (11006, "amount"),
            Self::DuplicateInputs => (11007, "duplicate-inputs"),
            Self::DuplicateOutputs => (11008, "duplicate-outputs"),
            Self::MixedUnits => (11009, "mixed-units"),
            Self::UnitMismatch => (11010, "unit-mismatch"),
            Self::Amountless => (11011, "amountless"),
            Self::UnknownUnit => (11013, "unknown-unit"),
            Self::TooManyInputs(_) => (11014, "too-many-inputs"),
            Self::TooManyOutputs(_) => (11015, "too-many-outputs"),
            Self::UnknownKeyset(_) => (12001, "unknown-keyset"),
            Self::InactiveKeyset(_) => (12002, "inactive-keyset"),
            Self::ExpiredKeyset(_) => (12003, "expired-keyset"),
            Self::Unpaid => (20001, "unpaid"),
            Self::Issued => (20002, "issued"),
            Self::PaymentFailed(_) => (20004, "payment-failed"),
            Self::TooManyReturns => (20004, "too-many-returns"),
            Self::QuotePending => (20005, "quote-pending"),
            Self::AlreadyPaid => (20006, "already-paid"),
            Self::QuoteExpired => (20007, "quote-expired"),
            Self::QuoteSignature => (20008, "quote-signature"),
            Self::QuoteKey => (20009, "quote-key"),
            Self::UnknownQuote => (0, "unknown-quote"),
            Self::UnknownMethod => (0, "unknown-method"),
            Self::BadRequest(_) => (0, "bad-request"),
            Self::TooMany(_) => (0, "too-many"),
            Self::Busy(_) => (0, "busy"),
            Self::Unsure => (0, "unsure"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let title = if self.retry() { "not now" } else { "refused" };
        let problem = json!({
            "detail": self.to_string(),
            "code": self.code(),
            "type": format!("{URN}{}", self.name()),
            "title": title,
            "status": self.status().as_u16(),
        });
        let mut response = (self.status(), [(header::CONTENT_TYPE, PROBLEM_TYPE)], problem.to_string()).into_response();
        let wait = match self {
            Self::TooMany(seconds) => Some(seconds),
            Self::Busy(_) | Self::Unsure => Some(1),
            _ => None,
        };
        if let Some(seconds) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
