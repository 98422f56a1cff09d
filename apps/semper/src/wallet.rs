//! From what the user asks of the purses to operations, and from purses and operations to what the user sees.

use semper_channel::ServiceClient;
use semper_commerce::deal::{Deal, PaymentTerms};
use semper_core::amount::{Amount, AmountError, Currency};
use semper_core::ids::DealId;
use semper_support::archive::ReadError;
use semper_transfer::payment::means::{LockKind, Means, PayerAnonymity, ReceiptKind, Reversal};
use semper_transfer::payment::module::{Balance, Next, Purse};
use semper_transfer::payment::operation::{OperationId, PurseId, Task};
use semper_transfer::payment::statement::PURPOSE_MAX;

use crate::control::{MeansView, OperationView as View, PayOrder, PurseOrder, PurseView, TaskOrder};
use crate::node::{BookError, Node, OperationView, PaymentError, Payments};

/// Why an order is not usable. No money moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// A contact is not known.
    #[error(transparent)]
    Book(#[from] BookError),
    /// Not an amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// Not a currency.
    #[error("{0:?} is not a currency; write for example EUR")]
    Currency(String),
    /// No purse fits.
    #[error("there is no {0}purse in {1}; see `semper wallet balance` and `semper wallet add`")]
    NoPurse(&'static str, Currency),
    /// More than one purse fits.
    #[error(
        "more than one purse fits; say which with --purse and the beginning of its identifier, as `semper wallet balance` shows it"
    )]
    Ambiguous,
    /// The purse has no address that money can be sent to.
    #[error("money cannot be sent to the purse at {0}")]
    NoAddress(String),
    /// The issuer's address cannot be asked.
    #[error("the address of the mint or bank: {0}")]
    Address(#[from] semper_support::channel::PostError),
    /// The purpose is too long.
    #[error("what a payment is for has at most {PURPOSE_MAX} bytes")]
    LongPurpose,
    /// Nobody but the payee would get it.
    #[error("amounts are above zero")]
    Zero,
    /// The payment manager refuses.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No randomness.
    #[error(transparent)]
    Crypto(#[from] semper_support::crypto::CryptoError),
}

/// A deal that pays somebody. Returns the deal, its title, and the peer's name.
///
/// # Errors
/// [`WalletError`].
pub async fn pay(node: &Node, order: PayOrder) -> Result<(Deal, String, String), WalletError> {
    let peer = node.book().by_name(&order.to).await?;
    let amount = positive(&order.amount)?;
    if order.purpose.len() > PURPOSE_MAX {
        return Err(WalletError::LongPurpose);
    }
    let title = format!("{amount} {}", order.purpose).trim_end().to_owned();
    let terms = PaymentTerms {
        amount,
        purpose: order.purpose,
        anonymity: if order.anonymous { PayerAnonymity::FromAll } else { PayerAnonymity::None },
        purses: node.payments().offered().await?,
        patience: semper_core::time::Seconds(order.patience),
        salt: node.random()?,
    };
    let id = DealId::from_array(node.random()?);
    Ok((Deal::pay(id, node.keys().key_set(), peer.key_set().clone(), terms), title, peer.name))
}

/// Opens a purse.
///
/// # Errors
/// [`WalletError`].
pub async fn open(node: &Node, order: &PurseOrder) -> Result<OperationId, WalletError> {
    Ok(node.payments().open_purse(&order.system, &order.issuer, currency_of(order)?).await?.1)
}

/// The currency of a purse that is to be opened, at an address that can be asked.
///
/// # Errors
/// The address or the currency is none.
pub fn currency_of(order: &PurseOrder) -> Result<Currency, WalletError> {
    ServiceClient::check(&order.issuer)?;
    let code = order.currency.to_ascii_uppercase();
    Currency::parse(&code).ok_or_else(|| WalletError::Currency(order.currency.clone()))
}

/// Begins what the owner wants of a purse.
///
/// # Errors
/// [`WalletError`].
pub async fn begin(node: &Node, order: TaskOrder) -> Result<OperationId, WalletError> {
    let purses = node.payments().purses().await?;
    let (purse, task) = match order {
        TaskOrder::Withdraw { amount, purse, method } => {
            let amount = positive(&amount)?;
            let purse = choose(&purses, &purse, "ecash", amount.currency())?;
            (purse.id, Task::Deposit { amount, method })
        }
        TaskOrder::Deposit { amount, purse } => {
            let amount = positive(&amount)?;
            let purse = choose(&purses, &purse, "ecash", amount.currency())?;
            let account = choose(&purses, "", "account", amount.currency())?;
            let module = node.payments().module(&account.system);
            let address = module.and_then(|module| module.address(account, "deposit", Some(amount)));
            let address = address.ok_or_else(|| WalletError::NoAddress(account.issuer.clone()))?;
            (purse.id, Task::Transfer { amount, address })
        }
        TaskOrder::Transfer { amount, purse, address } => {
            let amount = positive(&amount)?;
            (choose(&purses, &purse, "", amount.currency())?.id, Task::Transfer { amount, address })
        }
        TaskOrder::Send { amount, purse } => {
            let amount = positive(&amount)?;
            (choose(&purses, &purse, "ecash", amount.currency())?.id, Task::Send(amount))
        }
        TaskOrder::Receive { token, purse } => {
            let ecash: Vec<_> = purses.into_iter().filter(|purse| purse.system.as_str() == "ecash").collect();
            (find(&ecash, &purse)?.id, Task::Accept(token))
        }
        TaskOrder::Restore { purse } => (find(&purses, &purse)?.id, Task::Restore),
        TaskOrder::Refresh { purse } => (find(&purses, &purse)?.id, Task::Refresh),
    };
    Ok(node.payments().begin_operation(purse, task).await?)
}

/// An amount above zero.
///
/// # Errors
/// `Amount`, `Zero`.
pub fn positive(text: &str) -> Result<Amount, WalletError> {
    let amount = Amount::parse(text)?;
    if amount.minor() == 0 { Err(WalletError::Zero) } else { Ok(amount) }
}

/// The purse that is named, or the one that is liked best of those that fit.
fn choose<'a>(
    purses: &'a [Purse],
    start: &str,
    system: &'static str,
    currency: Currency,
) -> Result<&'a Purse, WalletError> {
    if !start.is_empty() {
        return find(purses, start);
    }
    let fits = |purse: &&Purse| purse.currency == currency && (system.is_empty() || purse.system.as_str() == system);
    let name = match system {
        "ecash" => "e-cash ",
        "account" => "account ",
        _ => "",
    };
    purses.iter().find(fits).ok_or(WalletError::NoPurse(name, currency))
}

/// The purse whose identifier begins so; any, if there is only one.
///
/// # Errors
/// `NoPurse`, `Ambiguous`.
pub fn find<'a>(purses: &'a [Purse], start: &str) -> Result<&'a Purse, WalletError> {
    let mut fitting = purses.iter().filter(|purse| purse.id.to_string().starts_with(start));
    match (fitting.next(), fitting.next()) {
        (Some(purse), None) => Ok(purse),
        (None, _) => Err(PaymentError::NoPurse(start.to_owned()).into()),
        (Some(_), Some(_)) => Err(WalletError::Ambiguous),
    }
}

/// The purse whose identifier begins so.
///
/// # Errors
/// `NoPurse`, `Ambiguous`, `Read`.
pub async fn purse_id(node: &Node, start: &str) -> Result<PurseId, WalletError> {
    Ok(find(&node.payments().purses().await?, start)?.id)
}

/// The purses, the one that is liked best first.
///
/// # Errors
/// `Read`.
pub async fn purses(payments: &Payments) -> Result<Vec<PurseView>, WalletError> {
    let purses = payments.purses().await?;
    let mut views = Vec::new();
    for purse in &purses {
        let Some(module) = payments.module(&purse.system) else { continue };
        let mut balance = module.balance(purse);
        let unseen = payments.is_unseen(&purse.id).await?;
        if unseen {
            // What it held at the backup may be spent: nothing of it counts before its issuer has said so.
            let all = balance.available.plus(balance.pending).unwrap_or(balance.available);
            let nothing = Amount::new(0, purse.currency)?;
            balance = Balance { available: nothing, pending: all };
        }
        views.push(PurseView {
            unseen,
            id: purse.id.to_string(),
            system: purse.system.to_string(),
            issuer: purse.issuer.clone(),
            currency: purse.currency.to_string(),
            available: balance.available.to_string(),
            pending: balance.pending.to_string(),
            address: module.address(purse, "", None),
            means: module.means(purse).as_ref().map(means),
        });
    }
    Ok(views)
}

/// What a means promises, in words.
fn means(means: &Means) -> MeansView {
    let days = |seconds: u64| format!("{} days", seconds.div_ceil(24 * 3600));
    let locks = means.locks.iter().map(|lock| match lock {
        LockKind::Arbiter => "arbiter",
        LockKind::Hash => "hash",
    });
    MeansView {
        payer_hidden_from: match means.anonymity {
            PayerAnonymity::None => "nobody",
            PayerAnonymity::FromPayee => "the payee",
            PayerAnonymity::FromAll => "everybody",
        }
        .to_owned(),
        can_be_taken_back: match means.reversal {
            Reversal::Final => "no".to_owned(),
            Reversal::ByPayee(time) => format!("by the payee, for {}", days(time.0)),
            Reversal::ByPayer(time) => format!("by the payer, for {}", days(time.0)),
        },
        locks: locks.map(str::to_owned).collect(),
        proof: match means.receipt {
            ReceiptKind::Payee => "the payee's receipt",
            ReceiptKind::Witness => "the payee's key on the coins",
            ReceiptKind::Issuer => "the issuer's confirmation",
        }
        .to_owned(),
        fee_fixed_minor: means.fees.fixed,
        fee_per_million: means.fees.per_million,
        least_minor: means.limits.least,
        most_minor: means.limits.most,
        seconds: means.latency.0,
    }
}

/// An operation, for the screen.
pub fn view(operation: &OperationView) -> View {
    let entry = &operation.entry;
    let (state, moved, fee, reason, money, handover) = match &entry.next {
        Some(Next::Done(outcome)) => {
            let handover = String::from_utf8(outcome.handover.clone()).ok();
            ("done", Some(outcome.moved), Some(outcome.fee), None, None, handover)
        }
        Some(Next::Failed(failure)) => {
            ("failed", None, None, Some(failure.to_string()), Some(failure.money.name().to_owned()), None)
        }
        Some(Next::Ask(_)) => ("asking the issuer", None, None, None, None, None),
        Some(Next::Sign { .. }) => ("waiting for you to approve", None, None, None, None, None),
        Some(Next::Fund(_)) => ("waiting for its money", None, None, None, None, None),
        Some(Next::Wait(_) | Next::Look(_)) => ("waiting", None, None, None, None, None),
        None => ("beginning", None, None, None, None, None),
    };
    View {
        id: entry.operation.id.to_string(),
        verb: match &entry.operation.task {
            // What puts money into an e-cash purse takes it out of an account.
            Task::Deposit { .. } => "withdraw",
            task => task.verb(),
        }
        .to_owned(),
        purse: entry.operation.purse.to_string(),
        deal: entry.operation.deal.map(|deal| deal.to_string()),
        state: state.to_owned(),
        ended: entry.has_ended(),
        moved: moved.map(|amount| amount.to_string()),
        fee: fee.map(|amount| amount.to_string()),
        reason,
        money,
        // What one side hands to the other in a deal is not for the user's eyes.
        handover: handover.filter(|text| entry.operation.deal.is_none() && !text.is_empty()),
        trouble: operation.trouble.clone(),
        address: operation.address.clone(),
        begun: entry.begun.unix(),
    }
}
