//! From what the user wants to give for a receipt or for other money to a deal.

use semper_commerce::deal::Deal;
use semper_commerce::offer::ARBITERS_MAX;
use semper_commerce::trade::{Manner, PLEDGES_MAX, Pledge, Trade, transferable};
use semper_core::amount::{Amount, Currency};
use semper_core::ids::{DealId, Slot};
use semper_core::time::Seconds;
use semper_transfer::payment::means::{LockKind, PayerAnonymity};
use semper_transfer::payment::negotiation::Demand;
use semper_transfer::payment::operation::{PurseId, Task};
use semper_transfer::payment::pay::Offered;
use semper_transfer::payment::statement::PURPOSE_MAX;

use crate::control::TradeOrder;
use crate::node::shop::{arbiter, lockable, referee};
use crate::node::{BookError, Contact, Node, NodeError};
use crate::wallet::{WalletError, positive};

/// Why a trade cannot be asked for. No money moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TradeError {
    /// An amount or the purpose.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// There is no purse whose money can be locked.
    #[error("there is no purse in {0} whose money can be locked for an exchange; add one with `semper wallet add`")]
    NoPurse(Currency),
    /// There is no purse whose issuer shows what was paid.
    #[error(
        "there is no purse in {0} whose issuer shows what was paid, which a bank account has; add one with `semper wallet add URL --system account`"
    )]
    NoAccount(Currency),
    /// There is no purse whose money a hash can lock.
    #[error(
        "there is no purse in {0} whose money a hash can lock, which only e-cash has; add one with `semper wallet add URL --system ecash`, or \
         take an arbiter"
    )]
    NoCash(Currency),
    /// No purse holds the amount.
    #[error("you have no purse for this that holds {0}; `semper wallet balance` shows what you have")]
    TooLittle(Amount),
    /// Money is exchanged for money under locks only.
    #[error(
        "money that is exchanged for other money is locked first; only a receipt can be paid for by plain transfer"
    )]
    OnlyReceipt,
    /// There is no arbiter that can be named.
    #[error("there is no arbiter that knows these means of payment; add one with `semper contact add --arbiter`")]
    NoArbiter,
    /// The contact book.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// A deal that gives money for a receipt or for other money. Returns the deal, its title, and the peer's name.
///
/// # Errors
/// [`TradeError`].
pub async fn trade(node: &Node, order: TradeOrder) -> Result<(Deal, String, String), TradeError> {
    let peer = node.book().by_name(&order.with).await?;
    let gives = positive(&order.gives)?;
    let wants = order.wants.as_deref().map(positive).transpose()?;
    if order.purpose.len() > PURPOSE_MAX {
        return Err(WalletError::LongPurpose.into());
    }
    let deal = DealId::from_array(node.random().map_err(NodeError::Crypto)?);
    let offered = node.payments().offered().await.map_err(NodeError::Read)?;
    let held = node.payments().holding(gives).await.map_err(NodeError::Payment)?;
    let funded: Vec<_> = offered.iter().filter(|offered| held.contains(&offered.means)).cloned().collect();
    let kind = if order.no_arbiter { LockKind::Hash } else { LockKind::Arbiter };
    let demand = lockable(gives, kind);
    // Where none of our money can be locked, a receipt can still be paid for; the contract says so, and the user is asked.
    let cannot = wants.is_none() && !order.no_arbiter && !offered.iter().any(|o| demand.misfit(&o.means).is_none());
    let transfers = order.by_transfer || cannot && offered.iter().any(|offered| transferable(&offered.means));
    if transfers && wants.is_some() {
        return Err(TradeError::OnlyReceipt);
    }
    let manner = if transfers { Manner::Transferred } else { Manner::Locked };
    let locked =
        if transfers { plain(gives, &offered, &funded) } else { pledges(node, deal, 0, &demand, &funded).await };
    let (pays, mut purses) = match locked {
        Err(TradeError::NoPurse(_) | TradeError::NoCash(_))
            if offered.iter().any(|offered| demand.misfit(&offered.means).is_none()) =>
        {
            return Err(TradeError::TooLittle(gives));
        }
        found => found?,
    };
    let (takes, more) = match wants {
        Some(wants) => pledges(node, deal, pays.len(), &lockable(wants, kind), &offered).await?,
        None => (Vec::new(), Vec::new()),
    };
    purses.extend(more);
    let knows = |pledges: &[Pledge], contact: &_| {
        pledges.is_empty() || pledges.iter().any(|pledge| arbiter(contact, &pledge.means.system).is_some())
    };
    let mut usable = Vec::new();
    if !order.no_arbiter {
        let names: Vec<_> = Some(order.arbiter).filter(|name| !name.is_empty()).into_iter().collect();
        usable = node.book().arbiters_named(&names).await?;
        usable.retain(|contact| match manner {
            Manner::Locked => knows(&pays, contact) && knows(&takes, contact),
            Manner::Transferred => referee(contact).is_some(),
        });
        usable.truncate(ARBITERS_MAX);
        // A trade that names nobody asks for locks that nobody decides over: that is the user's choice alone.
        if usable.is_empty() {
            return Err(TradeError::NoArbiter);
        }
    }
    let trade = Trade {
        gives,
        wants,
        purpose: order.purpose,
        pays,
        takes,
        arbiters: usable.iter().map(Contact::offered).collect(),
        valid_for: Seconds(order.valid_for),
        asker: node.name().to_owned(),
        peer: peer.name.clone(),
        locale: order.locale,
        manner,
    };
    let title = match wants {
        Some(wants) => format!("{gives} for {wants}"),
        None if transfers => format!("{gives} for a receipt, by plain transfer"),
        None => format!("{gives} for a receipt"),
    };
    let accepted = usable.iter().map(|contact| contact.key_set().clone()).collect();
    let (me, to) = (node.keys().key_set(), peer.key_set().clone());
    Ok((Deal::trade(deal, me, to, accepted, Seconds(order.patience), trade, purses), title, peer.name))
}

/// The purses that hold an amount and whose issuers show what was paid.
fn plain(amount: Amount, offered: &[Offered], funded: &[Offered]) -> Result<(Vec<Pledge>, Vec<PurseId>), TradeError> {
    let demand = Demand { amount, anonymity: PayerAnonymity::None, lock: None };
    let fits = |offered: &&Offered| demand.misfit(&offered.means).is_none() && transferable(&offered.means);
    if !offered.iter().any(|offered| fits(&offered)) {
        return Err(TradeError::NoAccount(amount.currency()));
    }
    let pledge = |offered: &Offered| (Pledge { means: offered.means.clone(), details: Vec::new() }, offered.purse);
    let found: (Vec<_>, Vec<_>) = funded.iter().filter(fits).take(PLEDGES_MAX).map(pledge).unzip();
    if found.0.is_empty() { Err(TradeError::TooLittle(amount)) } else { Ok(found) }
}

/// The purses of these whose money can be locked, made ready, the one that is liked best first. `slot` is that of the first.
async fn pledges(
    node: &Node,
    deal: DealId,
    slot: usize,
    demand: &Demand,
    offered: &[Offered],
) -> Result<(Vec<Pledge>, Vec<PurseId>), TradeError> {
    let amount = demand.amount;
    let fitting = offered.iter().filter(|offered| demand.misfit(&offered.means).is_none()).take(PLEDGES_MAX);
    let (mut pledges, mut purses) = (Vec::new(), Vec::new());
    for (offered, slot) in fitting.zip(slot..) {
        let slot = Slot(u16::try_from(slot).expect("there are a few pledges only"));
        let details = node.ready(deal, slot, offered.purse, Task::Prepare(amount)).await?;
        pledges.push(Pledge { means: offered.means.clone(), details });
        purses.push(offered.purse);
    }
    match (pledges.is_empty(), demand.lock) {
        (false, _) => Ok((pledges, purses)),
        (true, Some(LockKind::Hash)) => Err(TradeError::NoCash(amount.currency())),
        (true, _) => Err(TradeError::NoPurse(amount.currency())),
    }
}
