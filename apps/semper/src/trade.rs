//! From what the user wants to give for a receipt or for other money to a deal.

use semper_commerce::deal::Deal;
use semper_commerce::offer::ARBITERS_MAX;
use semper_commerce::trade::{IN_LINE_MAX, Manner, PLEDGES_MAX, Pledge, Trade, request_of_arbiter, transferable};
use semper_core::amount::{Amount, Currency};
use semper_core::ids::{DealId, Slot};
use semper_core::time::{Seconds, Time};
use semper_transfer::payment::means::{LockKind, PayerAnonymity};
use semper_transfer::payment::negotiation::Demand;
use semper_transfer::payment::operation::{PurseId, Task};
use semper_transfer::payment::pay::Offered;
use semper_transfer::payment::statement::PURPOSE_MAX;

use crate::control::{TradeManner, TradeOrder};
use crate::node::shop::{arbiter, lockable, referee};
use crate::node::{BookError, Contact, Node, NodeError, now};
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
    /// Money is exchanged for money by plain transfer through an arbiter's hands only.
    #[error(
        "money that is exchanged for other money is locked first, or goes through the arbiter's hands (--in-line); only a receipt can be paid for by plain transfer"
    )]
    OnlyReceipt,
    /// Only money goes through an arbiter's hands.
    #[error("only money that is exchanged for other money goes through the arbiter's hands")]
    OnlyMoney,
    /// It would be in the arbiter's hands for too long.
    #[error("an arbiter takes money into its hands for thirty days at most: choose fewer with --valid-for")]
    TooLong,
    /// No arbiter that is accepted takes money into its hands.
    #[error(
        "no arbiter that you accept takes money into its hands, by the card that you have of it; add one that does with `semper contact add --arbiter`, or ask yours for its new card"
    )]
    NotInLine,
    /// The arbiters take money into their hands at other issuers.
    #[error(
        "no arbiter that you accept takes money into its hands at the banks where you pay and are paid, by its card"
    )]
    NotThere,
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
    let funded = offered.iter().filter(|offered| held.contains(&offered.means)).cloned().collect();
    let asking = Asking { node, deal, order: &order, gives, wants, offered, funded };
    let Asked { manner, pays, takes, arbiters } = asking.asked().await?;
    let (pays, mut purses): (Vec<_>, Vec<_>) = pays.into_iter().unzip();
    let (takes, more): (Vec<_>, Vec<_>) = takes.into_iter().unzip();
    purses.extend(more);
    let trade = Trade {
        gives,
        wants,
        purpose: order.purpose,
        pays,
        takes,
        arbiters: arbiters.iter().map(Contact::offered).collect(),
        valid_for: Seconds(order.valid_for),
        asker: node.name().to_owned(),
        peer: peer.name.clone(),
        locale: order.locale,
        manner,
    };
    let title = trade.title();
    let accepted = arbiters.iter().map(|contact| contact.key_set().clone()).collect();
    let (me, to) = (node.keys().key_set(), peer.key_set().clone());
    Ok((Deal::trade(deal, me, to, accepted, Seconds(order.patience), trade, purses), title, peer.name))
}

/// A trade that is being put together.
struct Asking<'a> {
    node: &'a Node,
    deal: DealId,
    order: &'a TradeOrder,
    gives: Amount,
    wants: Option<Amount>,
    /// Every purse of ours, the one that is liked best first.
    offered: Vec<Offered>,
    /// Those that hold what we give.
    funded: Vec<Offered>,
}

/// How a trade is asked for: by which means, each with its purse, and under which arbiters.
struct Asked {
    manner: Manner,
    pays: Vec<(Pledge, PurseId)>,
    takes: Vec<(Pledge, PurseId)>,
    arbiters: Vec<Contact>,
}

impl Asking<'_> {
    async fn asked(&self) -> Result<Asked, TradeError> {
        match self.order.manner {
            TradeManner::InLine => self.in_line().await,
            TradeManner::Transfer => self.by_transfer().await,
            TradeManner::NoArbiter => self.locked(LockKind::Hash).await,
            // Where none of our money can be locked, a receipt can still be paid for; the contract says so, and the user is asked.
            TradeManner::Locked if self.can_only_transfer() => self.by_transfer().await,
            TradeManner::Locked => self.locked(LockKind::Arbiter).await,
        }
    }

    fn can_only_transfer(&self) -> bool {
        let demand = lockable(self.gives, LockKind::Arbiter);
        let can_lock = self.offered.iter().any(|offered| demand.misfit(&offered.means).is_none());
        self.wants.is_none() && !can_lock && self.offered.iter().any(|offered| transferable(&offered.means))
    }

    async fn locked(&self, kind: LockKind) -> Result<Asked, TradeError> {
        let demand = lockable(self.gives, kind);
        let pays = match self.locks(0, &demand, &self.funded).await {
            Err(TradeError::NoPurse(_) | TradeError::NoCash(_))
                if self.offered.iter().any(|offered| demand.misfit(&offered.means).is_none()) =>
            {
                return Err(TradeError::TooLittle(self.gives));
            }
            found => found?,
        };
        let takes = match self.wants {
            Some(wants) => self.locks(pays.len(), &lockable(wants, kind), &self.offered).await?,
            None => Vec::new(),
        };
        let knows = |pledges: &[(Pledge, PurseId)], contact: &_| {
            pledges.is_empty() || pledges.iter().any(|(pledge, _)| arbiter(contact, &pledge.means.system).is_some())
        };
        let arbiters = match kind {
            LockKind::Hash => Vec::new(),
            LockKind::Arbiter => self.arbiters(|contact| knows(&pays, contact) && knows(&takes, contact)).await?,
        };
        Ok(Asked { manner: Manner::Locked, pays, takes, arbiters })
    }

    async fn by_transfer(&self) -> Result<Asked, TradeError> {
        if self.wants.is_some() {
            return Err(TradeError::OnlyReceipt);
        }
        let pays = self.payers()?.into_iter();
        let pays = pays
            .map(|Offered { purse, means }| (Pledge { means, details: Vec::new(), request: None }, purse))
            .collect();
        let arbiters = self.arbiters(|contact| referee(contact).is_some()).await?;
        Ok(Asked { manner: Manner::Transferred, pays, takes: Vec::new(), arbiters })
    }

    /// Nothing goes out that has no arbiter to take it: our requests fix the date, and by whose hands the money comes is the user's choice.
    async fn in_line(&self) -> Result<Asked, TradeError> {
        let wants = self.wants.ok_or(TradeError::OnlyMoney)?;
        if Seconds(self.order.valid_for) > IN_LINE_MAX {
            return Err(TradeError::TooLong);
        }
        let arbiters = self.arbiters(Contact::is_in_line).await.map_err(|error| match error {
            TradeError::NoArbiter => TradeError::NotInLine,
            error => error,
        })?;
        let takers = by_plain_transfer(wants, &self.offered);
        if takers.is_empty() {
            return Err(TradeError::NoAccount(wants.currency()));
        }
        let there = |offered: &Offered| arbiters.iter().any(|contact| contact.takes_in_line(&offered.means.issuer));
        let [payers, takers] =
            [self.payers()?, takers].map(|purses| purses.into_iter().filter(there).collect::<Vec<_>>());
        if payers.is_empty() || takers.is_empty() {
            return Err(TradeError::NotThere);
        }
        let closes = now().after(Seconds(self.order.valid_for));
        let pays = self.requests(0, self.gives, payers, closes).await?;
        let takes = self.requests(pays.len(), wants, takers, closes).await?;
        Ok(Asked { manner: Manner::InLine { closes }, pays, takes, arbiters })
    }

    /// The purses that hold what we give and whose issuers show what was paid.
    fn payers(&self) -> Result<Vec<Offered>, TradeError> {
        if by_plain_transfer(self.gives, &self.offered).is_empty() {
            return Err(TradeError::NoAccount(self.gives.currency()));
        }
        let found = by_plain_transfer(self.gives, &self.funded);
        if found.is_empty() { Err(TradeError::TooLittle(self.gives)) } else { Ok(found) }
    }

    /// The purses of these whose money can be locked, made ready, the one that is liked best first. `slot` is that of the first.
    async fn locks(
        &self,
        slot: usize,
        demand: &Demand,
        offered: &[Offered],
    ) -> Result<Vec<(Pledge, PurseId)>, TradeError> {
        let amount = demand.amount;
        let fitting = offered.iter().filter(|offered| demand.misfit(&offered.means).is_none()).take(PLEDGES_MAX);
        let mut pledges = Vec::new();
        for (Offered { purse, means }, slot) in fitting.cloned().zip(slot..) {
            let details = self.node.ready(self.deal, place(slot), purse, Task::Prepare(amount)).await?;
            pledges.push((Pledge { means, details, request: None }, purse));
        }
        match (pledges.is_empty(), demand.lock) {
            (false, _) => Ok(pledges),
            (true, Some(LockKind::Hash)) => Err(TradeError::NoCash(amount.currency())),
            (true, _) => Err(TradeError::NoPurse(amount.currency())),
        }
    }

    /// These purses, made ready to be paid by the arbiter, with what we ask it for by our signature. `slot` is that of the first.
    async fn requests(
        &self,
        slot: usize,
        amount: Amount,
        purses: Vec<Offered>,
        closes: Time,
    ) -> Result<Vec<(Pledge, PurseId)>, TradeError> {
        let about = (self.deal, self.order.purpose.as_str(), closes);
        let mut pledges = Vec::new();
        for (Offered { purse, means }, slot) in purses.into_iter().zip(slot..) {
            let details = self.node.ready(self.deal, place(slot), purse, Task::Expect(amount)).await?;
            let request = self.node.requested(request_of_arbiter(about, amount, &means, details)).await?;
            pledges.push((Pledge { means, details: Vec::new(), request: Some(request) }, purse));
        }
        Ok(pledges)
    }

    /// The arbiters that the order names, or all that we accept, as far as they are of use.
    async fn arbiters(&self, is_of_use: impl Fn(&Contact) -> bool) -> Result<Vec<Contact>, TradeError> {
        let named = &self.order.arbiter;
        let names: Vec<_> = Some(named.clone()).filter(|name| !name.is_empty()).into_iter().collect();
        let mut usable = self.node.book().arbiters_named(&names).await?;
        usable.retain(is_of_use);
        usable.truncate(ARBITERS_MAX);
        // A trade that names nobody asks for locks that nobody decides over: that is the user's choice alone.
        if usable.is_empty() { Err(TradeError::NoArbiter) } else { Ok(usable) }
    }
}

/// The purses of these that can pay an amount, or be paid it, by plain transfer, and whose issuers show what was paid.
fn by_plain_transfer(amount: Amount, offered: &[Offered]) -> Vec<Offered> {
    let demand = Demand { amount, anonymity: PayerAnonymity::None, lock: None };
    let fits = |offered: &&Offered| demand.misfit(&offered.means).is_none() && transferable(&offered.means);
    offered.iter().filter(fits).take(PLEDGES_MAX).cloned().collect()
}

fn place(slot: usize) -> Slot {
    Slot(u16::try_from(slot).expect("there are a few pledges only"))
}
