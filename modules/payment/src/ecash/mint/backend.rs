//! Port: where the money behind the coins comes from and goes to. One backend for each payment method of the mint.
//!
//! The mint asks; it believes the answers. A backend must remember what it answered over a restart: [`Backend::paid`] and [`Backend::pay`] are
//! asked again with the same identifiers after a crash, and must never let one order be paid twice.

use async_trait::async_trait;

use crate::ecash::keyset::Unit;

/// A payment system that a mint is funded by and pays through.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The method's name in paths and settings: letters, digits, `_` and `-` in lower case, `bolt11` or `account`.
    fn method(&self) -> &str;

    /// Units in which it takes and pays.
    fn units(&self) -> &[Unit];

    /// The smallest and the largest amount of one payment, in minor units.
    fn limits(&self) -> (u64, u64);

    /// A warning that everybody must see in the mint's description and message of the day; `None` for real money.
    fn warning(&self) -> Option<&'static str> {
        None
    }

    /// Asks for `amount` to be paid in. The same `quote` gives the same request again.
    ///
    /// # Errors
    /// [`BackendError`]; nothing is asked for.
    async fn invoice(&self, quote: &str, amount: u64, unit: Unit) -> Result<Invoice, BackendError>;

    /// Whether the request of `quote` for `amount` was paid, in full and finally.
    ///
    /// # Errors
    /// [`BackendError`]: not known now.
    async fn paid(&self, quote: &str, amount: u64) -> Result<bool, BackendError>;

    /// Ends the request of `quote`, whose time is over, unless something was paid for it: of a payment that arrives and this call one is first.
    /// The mint forgets a quote only after [`Closing::Closed`]. Asked again, also by another server of the mint, it may answer so again.
    ///
    /// # Errors
    /// [`BackendError`]: not known now; the mint keeps the quote and asks again a day later.
    async fn close(&self, quote: &str) -> Result<Closing, BackendError>;

    /// What paying `request` would take.
    ///
    /// # Errors
    /// [`BackendError`]: the request is not acceptable, or not known now.
    async fn quote_payment(&self, request: &str, unit: Unit) -> Result<Estimate, BackendError>;

    /// Pays, once for each [`Order::id`]: asked again with the same identifier, it answers what became of the first.
    ///
    /// # Errors
    /// [`BackendError`]: it is not known what became of the order; the mint asks again.
    async fn pay(&self, order: &Order) -> Result<Outcome, BackendError>;
}

/// A request to pay in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// What the payer needs, as text: a Lightning invoice, a payment reference.
    pub request: String,
    /// How long the payer has, in seconds from now.
    pub lifetime: u64,
    /// How long after that money may still come, in seconds; the mint asks [`Backend::close`] when that is over too.
    pub late: u64,
}

/// What became of a request that was to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Nothing was paid for it, and whoever tries to pay it now is refused, as far as the system can refuse.
    Closed,
    /// Something was paid for it, enough or not: it stands.
    Paid,
}

/// What a payment would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// What arrives, in minor units.
    pub amount: u64,
    /// Most that it may cost on top; what is not needed is given back as change.
    pub fee_reserve: u64,
}

/// An order to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Names the order, for ever: the quote, and the number of the attempt if an earlier one definitely failed.
    pub id: String,
    /// What to pay.
    pub request: String,
    /// The unit.
    pub unit: Unit,
    /// What must arrive, in minor units.
    pub amount: u64,
    /// Most that it may cost on top.
    pub fee_max: u64,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Paid, finally.
    Paid {
        /// What it took altogether, fees included, in minor units: at most amount and highest fee.
        spent: u64,
        /// Proof for the payer: a preimage, a receipt.
        proof: Option<String>,
    },
    /// Not decided yet.
    Pending,
    /// Definitely not paid, and never will be under this identifier.
    Failed {
        /// Why, for the payer.
        reason: String,
    },
}

/// Why a backend did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The request is not one of this system, or not acceptable; the text is for the payer.
    #[error("{0}")]
    Refused(String),
    /// The request names no amount.
    #[error("the request names no amount")]
    Amountless,
    /// The request was paid already.
    #[error("the request was paid already")]
    AlreadyPaid,
    /// The system does not answer; for the log.
    #[error("the payment system does not answer: {0}")]
    Unavailable(String),
}
