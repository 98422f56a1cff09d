//! The deal: one machine that takes the steps of a [`Plan`] one after the other, each with an engine of a lower layer.
//!
//! To its driver it is an engine like any other: the same inputs and effects. What it adds is the order of the steps, what each
//! step hands to the next, and what the user is shown for a signature.

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::container::Container;
use semper_core::contract::{Core, Profile};
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::ids::{DealId, KeySetId};
use semper_core::machine::{Blame, Env, Fault, Machine, Step};
use semper_core::party::{KeySet, Role};
use semper_core::time::{Seconds, Time};
use semper_exchange::cn::{self, Cn, CnError, SIGNERS_MAX};
use semper_exchange::gx::{self, DEADLINE, Gx, GxError, Leg, Own, Run, RunError, State};
use semper_exchange::ix::{self, Ix};
use semper_exchange::lx::{self, Lx};
use semper_support::approval::Exhibit;
use semper_support::channel::MESSAGE_BYTES_MAX;
use semper_support::engine::{Effect, Ending, EvidenceKind, Input};
use semper_transfer::payment::means::PayerAnonymity;
use semper_transfer::payment::operation::PurseId;
use semper_transfer::payment::pay::{self, Offered, Pay, PayError, Setting};
use semper_transfer::tx::{Sides, Tx, TxError};

use crate::access::AccessOffer;
use crate::offer::{Offer, Order};
use crate::order::{self, Asked, OrderError, Ordering, Wanted};
use crate::plan::{Action, BUY, MAIL, PAY, Plan, SEND, SIGN, SIGN_MANY, SWAP};
use crate::proposal::{Agreement, Proposal, ProposalError};
use crate::right::RightOffer;
use crate::swap::{FileOffer, Swap};
use crate::trade::Trade;

/// Timer: how long a proposal waits for its originator's promise.
pub const OFFER: &str = "offer";

/// Every timer that a deal sets.
pub const TIMERS: [&str; 7] = [gx::PATIENCE, DEADLINE, gx::WINDOW, gx::REFUND, OFFER, pay::PATIENCE, order::PATIENCE];

/// What travels between the parties of a deal.
///
/// ```text
/// message = { 0: 1, 1: step, 2: body, ? 3: opening }        ; opening in the messages of step 0 that open a deal
/// opening = { 0: plan, 1: sender's key set id }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The step of the plan, from 0.
    pub step: u64,
    /// The engine's message.
    pub body: Vec<u8>,
    /// What a party that does not know the deal yet has to know. Who sent it is a claim until a signature proves it.
    pub opening: Option<Opening>,
}

/// The beginning of a deal, as its originator announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The plan.
    pub plan: &'static Plan,
    /// Who says that it sends this.
    pub from: KeySetId,
}

/// One party's side of a deal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    id: DealId,
    plan: &'static Plan,
    sides: Between,
    /// Arbiters that this party accepts.
    arbiters: Vec<KeySet>,
    patience: Seconds,
    agreement: Option<Agreement>,
    /// What only this party knows of the exchange.
    own: Own,
    /// The engines of the steps begun, the last one running.
    engines: Vec<Engine>,
    ending: Option<Ending>,
}

/// Who makes the deal, seen from one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Between {
    /// This party.
    pub me: KeySet,
    /// The other one; of many, the originator, or for the originator the first of the others.
    pub peer: KeySet,
    /// Of many: the others beside that one, in the order of their roles.
    pub more: Vec<KeySet>,
    /// This party's role.
    pub role: Role,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Engine {
    Tx(Box<Tx>),
    Gx(Box<Gx>),
    Pay(Box<Pay>),
    Order(Box<Ordering>),
    Cn(Box<Cn>),
    Lx(Box<Lx>),
    Ix(Box<Ix>),
}

/// What this party accepts in a deal that somebody else opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepts {
    /// The arbiters; at most [`ARBITERS_MAX`].
    pub arbiters: Vec<KeySet>,
    /// The purses in which it takes money, the one it likes best first; at most 32.
    pub purses: Vec<Offered>,
    /// How long it waits for each message of the peer.
    pub patience: Seconds,
}

/// A payment, as its payer wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentTerms {
    /// How much.
    pub amount: Amount,
    /// What for, in one line.
    pub purpose: String,
    /// What must stay unknown about the payer.
    pub anonymity: PayerAnonymity,
    /// The payer's purses, the one it likes best first; at most 32.
    pub purses: Vec<Offered>,
    /// How long the payer waits for each message.
    pub patience: Seconds,
    /// 32 random bytes.
    pub salt: [u8; 32],
}

/// The answer to an order or trade, composed before the side of the deal that gives it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What was asked.
    pub asked: Asked,
    /// The contract, as a proposal in its container, and what only this party knows of it; or why there is none, in words.
    pub composed: Result<(Container, Own), String>,
}

/// What a deal waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its own user, to begin or to sign.
    Us,
    /// The other party.
    Peer,
    /// The arbiter.
    Arbiter,
    /// A means of payment: its issuer, or its user's approval.
    Payment,
    /// The issuer of a right that is passed on, or called back.
    Issuer,
    /// Nothing: it has ended.
    Nothing,
}

/// Why an input was not accepted. The stored state stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DealError {
    /// The message is not a deal message.
    #[error("the message is malformed: {0}")]
    Malformed(DecodeError),
    /// The message belongs to a step that has not begun here: an earlier message is still on its way.
    #[error("the message is ahead of the deal: step {found}, now at step {now}")]
    TooEarly {
        /// The message's step.
        found: u64,
        /// The deal's step.
        now: usize,
    },
    /// The proposal contradicts itself or its files.
    #[error("the proposal is not acceptable: {0}")]
    Proposal(ProposalError),
    /// The contract cannot be run between these parties or under this arbiter.
    #[error("the proposed contract cannot be signed: {0}")]
    Run(RunError),
    /// The contract names an arbiter that this party has not accepted.
    #[error("the contract names the arbiter {0}, which is not among the accepted ones")]
    UnknownArbiter(KeySetId),
    /// The contract of many parties cannot be run among these or under this arbiter.
    #[error("the proposed contract cannot be signed: {0}")]
    Circle(cn::RunError),
    /// The exchange engine refuses.
    #[error("{0}")]
    Exchange(GxError),
    /// The engine for many signers refuses.
    #[error("{0}")]
    Signing(CnError),
    /// The transfer engine refuses.
    #[error("{0}")]
    Transfer(TxError),
    /// The payment engine refuses.
    #[error("{0}")]
    Pay(PayError),
    /// The order, or its answer, is refused.
    #[error("{0}")]
    Order(OrderError),
    /// The input cannot occur in this state: a bug of the driver.
    #[error("{0} cannot occur now")]
    OutOfPlace(&'static str),
}

impl Blame for DealError {
    fn fault(&self) -> Fault {
        match self {
            DealError::Malformed(_) | DealError::Proposal(_) | DealError::Run(_) | DealError::Circle(_) => {
                Fault::PeerMisbehaved
            }
            DealError::UnknownArbiter(_) => Fault::PeerRefused,
            DealError::TooEarly { .. } => Fault::Environment,
            DealError::Exchange(error) => error.fault(),
            DealError::Signing(error) => error.fault(),
            DealError::Transfer(error) => error.fault(),
            DealError::Pay(error) => error.fault(),
            DealError::Order(error) => error.fault(),
            DealError::OutOfPlace(_) => Fault::Misuse,
        }
    }
}

impl Machine for Deal {
    type Input = Input;
    type Effect = Effect;
    type Error = DealError;

    fn handle(mut self, env: &Env<'_>, input: Input) -> Result<Step<Self>, DealError> {
        let running = self.engines.len() - 1;
        let input = match input {
            Input::Timer(OFFER) if !self.is_offer() => return Ok(Step::to(self)),
            Input::Timer(OFFER) => Input::GiveUp,
            Input::Restored => match self.engines.last() {
                Some(Engine::Gx(_)) => Input::Restored,
                // What it led to since is another deal's money or contract now: it is not taken up again.
                Some(Engine::Order(_)) => Input::GiveUp,
                Some(Engine::Pay(pay)) if pay.awaits_request() => Input::GiveUp,
                // What else was under way is stored as bytes, and goes out as it is.
                _ => return Ok(Step::to(self)),
            },
            other => other,
        };
        let mut told = None;
        let (index, input) = match input {
            Input::Message(bytes) => {
                let message = Message::from_bytes(&bytes).map_err(DealError::Malformed)?;
                told = self.declined(&message);
                if self.ending.is_some() && message.step > running as u64 {
                    // The peer has gone on where this party has ended. Its message need not come again, and proves nothing: what it is about
                    // was never taken in here.
                    return Ok(Step::to(self).with_all(told));
                }
                let too_early = DealError::TooEarly { found: message.step, now: running };
                let index = usize::try_from(message.step).ok().filter(|i| *i <= running).ok_or(too_early)?;
                (index, Input::Message(message.body))
            }
            Input::Begin if self.sides.role != Role::ORIGINATOR || running != 0 => {
                return Err(DealError::OutOfPlace("begin"));
            }
            other => (running, other),
        };
        let mut effects = Vec::new();
        self.drive(env, index, input, &mut effects)?;
        effects.extend(told);
        Ok(Step { state: self, effects })
    }
}

impl Deal {
    /// The originator's side of a deal in which all sign the contract of `proposal`. Begins with [`Input::Begin`].
    ///
    /// `others` are the other signers in the order of their roles. `cards` are the contact cards of three or more, each of whom must be able
    /// to reach every other. `patience` is how long the party waits for each message before it ends the run with the arbiter's help.
    ///
    /// # Errors
    /// `Proposal`: the proposal contradicts itself. `OutOfPlace`: there are no others.
    pub fn sign(
        id: DealId,
        me: KeySet,
        others: Vec<KeySet>,
        arbiter: KeySet,
        patience: Seconds,
        proposal: &Proposal,
        cards: &[String],
    ) -> Result<Self, DealError> {
        let container = proposal.to_container_with(cards).map_err(DealError::Proposal)?;
        let sides = Between::many(me, others, Role::ORIGINATOR)?;
        let plan = if sides.more.is_empty() { &SIGN } else { &SIGN_MANY };
        Ok(Self { arbiters: vec![arbiter], patience, ..Self::sending(id, plan, sides, container) })
    }

    /// The side of a signer, with `role`, in a deal of many that somebody opens who says to be the first of `others`.
    ///
    /// # Errors
    /// `OutOfPlace`: there are no others.
    pub fn opened_among(
        id: DealId,
        me: KeySet,
        others: Vec<KeySet>,
        role: Role,
        accepts: Accepts,
    ) -> Result<Self, DealError> {
        Ok(Self::accepting(id, &SIGN_MANY, Between::many(me, others, role)?, accepts))
    }

    /// The originator's side of a deal that delivers `container`. Begins with [`Input::Begin`].
    pub fn send(id: DealId, me: KeySet, peer: KeySet, container: Container) -> Self {
        Self::sending(id, &SEND, Between::two(me, peer, Role::ORIGINATOR), container)
    }

    /// The sender's side of a deal that delivers a letter to one of its recipients, for a receipt. Begins with [`Input::Begin`].
    ///
    /// `container` holds the proposal, which is the same for all recipients, and `own` the seed of this recipient's deposit.
    pub fn mail(
        id: DealId,
        me: KeySet,
        recipient: KeySet,
        arbiter: KeySet,
        patience: Seconds,
        container: Container,
        own: Own,
    ) -> Self {
        let sides = Between::two(me, recipient, Role::ORIGINATOR);
        Self { arbiters: vec![arbiter], patience, own, ..Self::sending(id, &MAIL, sides, container) }
    }

    /// The originator's side of a deal that pays `peer`. Begins with [`Input::Begin`].
    pub fn pay(id: DealId, me: KeySet, peer: KeySet, terms: PaymentTerms) -> Self {
        let PaymentTerms { amount, purpose, anonymity, purses, patience, salt } = terms;
        let setting = Setting { deal: id, payer: me.clone(), payee: peer.clone(), purses, patience };
        let engine = Engine::Pay(Box::new(Pay::payer(setting, amount, purpose, anonymity, salt)));
        Self { patience, ..Self::new(id, &PAY, Between::two(me, peer, Role::ORIGINATOR), engine) }
    }

    /// The originator's side of a deal that buys what `seller` offers, with money of `purse`. Begins with [`Input::Begin`].
    ///
    /// `arbiters` are those that this party accepts; the order has chosen one of them.
    #[expect(clippy::too_many_arguments, reason = "a purchase has so many parts")]
    pub fn buy(
        id: DealId,
        me: KeySet,
        seller: KeySet,
        arbiters: Vec<KeySet>,
        patience: Seconds,
        offer: Offer,
        order: Order,
        purse: PurseId,
    ) -> Self {
        let wanted = Wanted::Goods { offer: Box::new(offer), order: Box::new(order) };
        let own = Own { purse: Some((id, purse)), ..Own::default() };
        Self { arbiters, own, ..Self::ordering(id, &BUY, Between::two(me, seller, Role::ORIGINATOR), wanted, patience) }
    }

    /// The originator's side of a deal that takes up what `owner` gives for the show of a right; the order brings the credential. Begins with [`Input::Begin`].
    pub fn access(
        id: DealId,
        me: KeySet,
        owner: KeySet,
        arbiter: KeySet,
        patience: Seconds,
        offer: AccessOffer,
        order: Order,
    ) -> Self {
        let own = Own { shows: order.payer.clone(), ..Own::default() };
        let wanted = Wanted::Access { offer: Box::new(offer), order: Box::new(order) };
        let sides = Between::two(me, owner, Role::ORIGINATOR);
        Self { arbiters: vec![arbiter], own, ..Self::ordering(id, &BUY, sides, wanted, patience) }
    }

    /// The originator's side of a deal that buys the right which `seller` offers, with money of `purse`. Begins with [`Input::Begin`].
    #[expect(clippy::too_many_arguments, reason = "a purchase has so many parts")]
    pub fn buy_right(
        id: DealId,
        me: KeySet,
        seller: KeySet,
        arbiter: KeySet,
        patience: Seconds,
        offer: RightOffer,
        order: Order,
        purse: PurseId,
    ) -> Self {
        let own = Own { purse: Some((id, purse)), ..Own::default() };
        let wanted = Wanted::Right { offer: Box::new(offer), order: Box::new(order) };
        let sides = Between::two(me, seller, Role::ORIGINATOR);
        Self { arbiters: vec![arbiter], own, ..Self::ordering(id, &BUY, sides, wanted, patience) }
    }

    /// The originator's side of a deal that gives `peer` money for a receipt or for other money. Begins with [`Input::Begin`].
    ///
    /// `purses` are those of the trade's pledges: first those that it pays from, then those that it is paid into.
    pub fn trade(
        id: DealId,
        me: KeySet,
        peer: KeySet,
        arbiters: Vec<KeySet>,
        patience: Seconds,
        trade: Trade,
        purses: Vec<PurseId>,
    ) -> Self {
        let plan = trade.plan();
        let wanted = Wanted::Trade { trade: Box::new(trade), purses };
        Self { arbiters, ..Self::ordering(id, plan, Between::two(me, peer, Role::ORIGINATOR), wanted, patience) }
    }

    /// The originator's side of a deal that gives a file for one that `owner` offers. Begins with [`Input::Begin`].
    #[expect(clippy::too_many_arguments, reason = "a swap has so many parts")]
    pub fn swap(
        id: DealId,
        me: KeySet,
        owner: KeySet,
        arbiter: KeySet,
        patience: Seconds,
        offer: FileOffer,
        swap: Swap,
        own: Own,
    ) -> Self {
        let wanted = Wanted::Swap { offer: Box::new(offer), swap: Box::new(swap) };
        let sides = Between::two(me, owner, Role::ORIGINATOR);
        Self { arbiters: vec![arbiter], own, ..Self::ordering(id, &SWAP, sides, wanted, patience) }
    }

    /// The answering side of a deal by which somebody, who says to be `peer`, takes up an offer or asks for a trade. It goes on with the order as
    /// its first message.
    pub fn asked(
        id: DealId,
        me: KeySet,
        peer: KeySet,
        arbiters: Vec<KeySet>,
        patience: Seconds,
        answer: Answer,
    ) -> Self {
        let Answer { asked, composed } = answer;
        let plan = asked.plan();
        let (answer, own) = match composed {
            Ok((container, own)) => (Ok(container.to_bytes()), own),
            Err(reason) => (Err(reason), Own::default()),
        };
        let engine = Engine::Order(Box::new(Ordering::ToAnswer { asked, answer }));
        Self { arbiters, patience, own, ..Self::new(id, plan, Between::two(me, peer, Role::RESPONDER), engine) }
    }

    /// The responder's side of a deal that somebody opens, who says to be `peer`.
    pub fn opened(id: DealId, plan: &'static Plan, me: KeySet, peer: KeySet, accepts: Accepts) -> Self {
        Self::accepting(id, plan, Between::two(me, peer, Role::RESPONDER), accepts)
    }

    fn accepting(id: DealId, plan: &'static Plan, sides: Between, accepts: Accepts) -> Self {
        let Accepts { arbiters, purses, patience } = accepts;
        let engine = match plan.steps[0].action {
            Action::Pay => {
                let (payer, payee) = (sides.peer.clone(), sides.me.clone());
                Engine::Pay(Box::new(Pay::payee(Setting { deal: id, payer, payee, purses, patience })))
            }
            Action::Propose | Action::Sign | Action::SignAll | Action::Deliver | Action::Exchange | Action::Order => {
                Engine::Tx(Box::new(Tx::receiver(sides.transfer())))
            }
        };
        Self { arbiters, patience, ..Self::new(id, plan, sides, engine) }
    }

    fn sending(id: DealId, plan: &'static Plan, sides: Between, container: Container) -> Self {
        let engine = Engine::Tx(Box::new(Tx::sender(sides.transfer(), container)));
        Self::new(id, plan, sides, engine)
    }

    fn ordering(id: DealId, plan: &'static Plan, sides: Between, wanted: Wanted, patience: Seconds) -> Self {
        let engine = Engine::Order(Box::new(Ordering::ToOrder { wanted, patience }));
        Self { patience, ..Self::new(id, plan, sides, engine) }
    }

    /// A deal at its beginning, in which nothing is accepted yet.
    fn new(id: DealId, plan: &'static Plan, sides: Between, engine: Engine) -> Self {
        let (arbiters, patience, own) = (Vec::new(), Seconds::default(), Own::default());
        Self { id, plan, sides, arbiters, patience, agreement: None, own, engines: vec![engine], ending: None }
    }

    /// The deal's identifier.
    pub fn id(&self) -> DealId {
        self.id
    }

    /// The deal's plan.
    pub fn plan(&self) -> &'static Plan {
        self.plan
    }

    /// Who makes the deal.
    pub fn sides(&self) -> &Between {
        &self.sides
    }

    /// How the deal ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// What both are to sign, once it is known here.
    pub fn agreement(&self) -> Option<&Agreement> {
        self.agreement.as_ref()
    }

    /// The step that the deal is at, as it is called on the screen, and the state within it.
    pub fn position(&self) -> (&'static str, &'static str) {
        let step = self.plan.steps[self.engines.len() - 1].name;
        let state = match self.running() {
            Engine::Tx(tx) => tx.state_name(),
            Engine::Gx(gx) => gx.state().name(),
            Engine::Pay(pay) => pay.state_name(),
            Engine::Order(order) => order.state_name(),
            Engine::Cn(cn) => cn.state().name(),
            Engine::Lx(lx) => lx.state().name(),
            Engine::Ix(ix) => ix.state().name(),
        };
        (step, state)
    }

    /// What is paid and what for, if this is a payment and it is known here.
    pub fn payment(&self) -> Option<(Amount, String)> {
        match self.running() {
            Engine::Pay(pay) => pay.about(),
            Engine::Tx(_) | Engine::Gx(_) | Engine::Order(_) | Engine::Cn(_) | Engine::Lx(_) | Engine::Ix(_) => None,
        }
    }

    /// How a payment ended, in words, if this is one and it has.
    pub fn remark(&self) -> Option<&str> {
        match self.running() {
            Engine::Pay(pay) => pay.ending().map(|(_, why)| why),
            Engine::Order(order) => Some(order.why()).filter(|why| !why.is_empty()),
            Engine::Tx(_) | Engine::Gx(_) | Engine::Cn(_) | Engine::Lx(_) | Engine::Ix(_) => None,
        }
    }

    /// Whose signature is awaited, among many: key sets in the order of their roles.
    pub fn missing(&self) -> Vec<KeySetId> {
        match self.running() {
            Engine::Cn(cn) if self.ending.is_none() => {
                cn.missing().into_iter().filter_map(|role| cn.run().core().party(role)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What the deal waits for.
    pub fn waits_for(&self) -> WaitsFor {
        if self.ending.is_some() {
            return WaitsFor::Nothing;
        }
        match self.running() {
            Engine::Tx(tx) => match **tx {
                Tx::ToSend { .. } | Tx::AwaitOriginSignature { .. } | Tx::AwaitAckSignature { .. } => WaitsFor::Us,
                Tx::AwaitAck { .. } | Tx::AwaitContainer { .. } | Tx::Ended { .. } => WaitsFor::Peer,
            },
            Engine::Gx(gx) => match gx.state() {
                State::Ready if self.sides.role == Role::RESPONDER => WaitsFor::Peer,
                State::Ready
                | State::AwaitPromiseSignature { .. }
                | State::AwaitFinalSignature { .. }
                | State::AwaitQuittanceSignature
                | State::Asking { .. } => WaitsFor::Us,
                State::AwaitPeerPromise { .. } | State::AwaitPeerFinal { .. } | State::AwaitQuittance { .. } => {
                    WaitsFor::Peer
                }
                State::AwaitVerdict { .. } | State::AwaitWindow { .. } | State::Ended { .. } => WaitsFor::Arbiter,
                State::Recalling { .. } => WaitsFor::Issuer,
                State::Releasing { .. } if matches!(gx.run().gives(), Leg::Right(_)) => WaitsFor::Issuer,
                State::Taking { .. } | State::Releasing { .. } if !gx.moves_money() => WaitsFor::Us,
                State::Examining { .. } => WaitsFor::Us,
                State::Checking { .. }
                | State::Depositing { .. }
                | State::Releasing { .. }
                | State::Taking { .. }
                | State::Proving { .. }
                | State::Arranging { .. }
                | State::Collecting { .. }
                | State::Reclaiming { .. } => WaitsFor::Payment,
            },
            Engine::Pay(pay) if pay.waits_for_peer() => WaitsFor::Peer,
            Engine::Pay(_) => WaitsFor::Payment,
            Engine::Order(order) => match **order {
                Ordering::ToOrder { .. } => WaitsFor::Us,
                Ordering::AwaitContract { .. } | Ordering::ToAnswer { .. } | Ordering::Ended { .. } => WaitsFor::Peer,
            },
            Engine::Cn(cn) => match cn.state() {
                cn::State::Ready { .. } if self.sides.role != Role::ORIGINATOR => WaitsFor::Peer,
                cn::State::Ready { .. }
                | cn::State::AwaitConsent { .. }
                | cn::State::AwaitSignature { .. }
                | cn::State::Asking { .. } => WaitsFor::Us,
                cn::State::AwaitRound { .. } => WaitsFor::Peer,
                cn::State::AwaitVerdict { .. } | cn::State::Ended { .. } => WaitsFor::Arbiter,
            },
            Engine::Lx(lx) => match lx.state() {
                lx::State::Ready if self.sides.role == Role::RESPONDER => WaitsFor::Peer,
                lx::State::Ready | lx::State::AwaitPromiseSignature { .. } => WaitsFor::Us,
                lx::State::AwaitPeerPromise { .. } | lx::State::AwaitPreimage { .. } => WaitsFor::Peer,
                lx::State::Taking { .. } if lx.run().gets().lock().is_none() => WaitsFor::Us,
                lx::State::Checking { .. }
                | lx::State::Locking { .. }
                | lx::State::Opening { .. }
                | lx::State::AwaitRefund { .. }
                | lx::State::Learning { .. }
                | lx::State::Reclaiming { .. }
                | lx::State::Taking { .. }
                | lx::State::Ended { .. } => WaitsFor::Payment,
            },
            Engine::Ix(ix) => match ix.state() {
                ix::State::Ready if self.sides.role == Role::RESPONDER => WaitsFor::Peer,
                ix::State::Ready | ix::State::AwaitPromiseSignature { .. } | ix::State::Asking { .. } => WaitsFor::Us,
                ix::State::AwaitPeerPromise { .. } => WaitsFor::Peer,
                ix::State::AwaitAnswer { .. } | ix::State::Resting { .. } | ix::State::Ended { .. } => {
                    WaitsFor::Arbiter
                }
                ix::State::Paying { .. } | ix::State::Receiving { .. } | ix::State::Reclaiming { .. } => {
                    WaitsFor::Payment
                }
            },
        }
    }

    /// The date on which this party's money comes: if the arbiter has decided for it and only the time for complaints must pass; or, without an
    /// arbiter, if nobody opens its lock until then.
    pub fn waits_until(&self) -> Option<Time> {
        match self.running() {
            Engine::Gx(gx) => gx.waits_until(),
            Engine::Lx(lx) => lx.waits_until(),
            Engine::Tx(_) | Engine::Pay(_) | Engine::Order(_) | Engine::Cn(_) | Engine::Ix(_) => None,
        }
    }

    /// What the arbiter has of this party's money, through whose hands it goes, until it has paid.
    pub fn in_hand(&self) -> Option<Amount> {
        let Engine::Ix(ix) = self.running() else { return None };
        let gives = ix.run().gives().handed().filter(|_| ix.stake().is_some_and(|stake| stake.taken));
        gives.map(|handed| handed.asked.amount)
    }

    /// What the user is shown for a statement that the deal wants signed.
    pub fn exhibit(&self, draft: &Draft) -> Exhibit {
        match (draft.kind, &self.agreement, self.running()) {
            (Kind::Promise, Some(agreement), engine) => match (self.order_sold(), engine) {
                (Some(order), _) => agreement.sale(order),
                (None, Engine::Ix(ix)) => {
                    ix.run().arbiter().map_or_else(|| agreement.exhibit(), |arbiter| agreement.in_line(arbiter))
                }
                (None, _) => agreement.exhibit(),
            },
            // The user is shown the contract once; the later rounds follow from the first.
            (Kind::Round, Some(agreement), Engine::Cn(cn)) if matches!(cn.state(), cn::State::AwaitConsent { .. }) => {
                agreement.exhibit()
            }
            (Kind::Container | Kind::Ack, _, Engine::Tx(tx)) => match tx.container() {
                Some(container) => Exhibit::Container { container: container.to_bytes() },
                None => Exhibit::Consequence,
            },
            _ => Exhibit::Consequence,
        }
    }

    /// The order that this party has answered with a contract, if this is a sale.
    fn order_sold(&self) -> Option<&Order> {
        match self.engines.first() {
            Some(Engine::Order(order)) => order.sold(),
            _ => None,
        }
    }

    /// Whether the peer has proposed something and not promised it yet.
    fn is_offer(&self) -> bool {
        match self.running() {
            Engine::Gx(gx) => *gx.state() == State::Ready,
            Engine::Cn(cn) => matches!(cn.state(), cn::State::Ready { .. }),
            Engine::Lx(lx) => *lx.state() == lx::State::Ready,
            Engine::Ix(ix) => *ix.state() == ix::State::Ready,
            Engine::Tx(_) | Engine::Pay(_) | Engine::Order(_) => false,
        }
    }

    fn running(&self) -> &Engine {
        self.engines.last().expect("a deal has at least the engine of its first step")
    }

    /// What a peer is told, as a courtesy, that has promised and waits for a promise which never comes: this party has ended the deal without one.
    fn declined(&self, message: &Message) -> Option<Effect> {
        let step = usize::try_from(message.step).ok().and_then(|index| self.plan.steps.get(index))?;
        let takes_promises = matches!(step.action, Action::Sign | Action::Exchange);
        if self.ending != Some(Ending::Lapsed) || !takes_promises {
            return None;
        }
        // The engines that take such a step promise and decline in the same bytes.
        let decline = Message { step: message.step, body: gx::Message::decline("").to_bytes(), opening: None };
        let promised = matches!(gx::Message::from_bytes(&message.body), Ok(gx::Message::Promise(_)));
        promised.then(|| Effect::Send(decline.to_bytes()))
    }

    /// Gives an input to the engine of a step, and goes on to the next step if that ends this one.
    fn drive(&mut self, env: &Env<'_>, index: usize, input: Input, out: &mut Vec<Effect>) -> Result<(), DealError> {
        let (engine, effects) = self.engines[index].clone().handle(env, input)?;
        let was_running = index + 1 == self.engines.len() && self.ending.is_none();
        self.engines[index] = engine;
        let mut ended = None;
        for effect in effects {
            match effect {
                Effect::Send(body) => out.push(Effect::Send(self.message(index, body).to_bytes())),
                Effect::Keep { kind: EvidenceKind::Container, bytes } => {
                    match self.plan.steps[index].action {
                        Action::Propose | Action::Order => self.propose(&bytes, out)?,
                        Action::Deliver | Action::Sign | Action::SignAll | Action::Pay | Action::Exchange => {
                            out.push(Effect::Keep { kind: EvidenceKind::Container, bytes });
                        }
                    }
                    out.extend(self.identities());
                }
                Effect::Keep { kind: EvidenceKind::Statement, bytes } if is_request(&bytes) => {
                    out.push(Effect::Keep { kind: EvidenceKind::Statement, bytes });
                    out.extend(self.identities());
                }
                Effect::Ended(ending) if was_running => ended = Some(ending),
                Effect::Ended(_) => {}
                other => out.push(other),
            }
        }
        if let Engine::Order(order) = &self.engines[index]
            && let Some(order::Purses { pays, takes }) = order.purses()
        {
            self.own = Own { purse: Some((self.id, pays)), comes_to: takes, ..Own::default() };
        }
        match ended {
            Some(Ending::Success) if index + 1 < self.plan.steps.len() => self.begin_step(env, index + 1, out),
            Some(ending) => {
                self.ending = Some(ending);
                out.push(Effect::Ended(ending));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes in what the step "propose" has transferred.
    fn propose(&mut self, container: &[u8], out: &mut Vec<Effect>) -> Result<(), DealError> {
        let container = Container::from_bytes(container).map_err(DealError::Malformed)?;
        let proposal = Proposal::from_container(&container).map_err(DealError::Proposal)?;
        out.extend(proposal.evidence());
        self.agreement = Some(proposal.into_agreement());
        Ok(())
    }

    fn begin_step(&mut self, env: &Env<'_>, index: usize, out: &mut Vec<Effect>) -> Result<(), DealError> {
        let agreement = self.agreement.as_ref().ok_or(DealError::OutOfPlace("signing before a proposal"))?;
        let last_step = agreement.core.terms.deadlines.last_step();
        let (engine, role) = match self.plan.steps[index].action {
            Action::Sign | Action::Exchange => {
                let run = self.run(&agreement.core)?;
                let role = run.role();
                let engine = match run.core().terms.profile {
                    Profile::Lx => Engine::Lx(Box::new(Lx::new(run))),
                    Profile::Ix => Engine::Ix(Box::new(Ix::new(run))),
                    Profile::C2 | Profile::Gx | Profile::Cn => Engine::Gx(Box::new(Gx::new(run))),
                };
                (engine, role)
            }
            Action::SignAll => {
                let run = self.run_among(&agreement.core)?;
                let role = run.role();
                (Engine::Cn(Box::new(Cn::new(run))), role)
            }
            Action::Propose | Action::Deliver | Action::Pay | Action::Order => {
                return Err(DealError::OutOfPlace("a second transfer"));
            }
        };
        self.engines.push(engine);
        // Who begins the deal need not be who begins the contract: a buyer orders, the seller promises first.
        if role == Role::ORIGINATOR {
            return self.drive(env, index, Input::Begin, out);
        }
        // A proposal whose originator does not sign it lapses; so does one that our user does not answer in time.
        out.push(Effect::SetTimer { name: OFFER, due: env.now.after(self.patience).min(last_step) });
        out.push(Effect::SetTimer { name: DEADLINE, due: last_step });
        Ok(())
    }

    fn arbiter(&self, core: &Core) -> Result<&KeySet, DealError> {
        let named = core.arbiter().ok_or(DealError::Run(RunError::Arbiter))?;
        self.arbiters.iter().find(|arbiter| arbiter.id() == named).ok_or(DealError::UnknownArbiter(named))
    }

    fn run_among(&self, core: &Core) -> Result<cn::Run, DealError> {
        let (arbiter, all) = (self.arbiter(core)?.clone(), self.sides.everybody());
        let run = cn::Run::new(core.clone(), &self.sides.me, all, arbiter, self.patience).map_err(DealError::Circle)?;
        // Somebody else's place in the contract would give the key sets another order, which the circle has refused.
        if run.role() == self.sides.role { Ok(run) } else { Err(DealError::Circle(cn::RunError::NotMine)) }
    }

    fn run(&self, core: &Core) -> Result<Run, DealError> {
        let arbiter = core.arbiter().map(|_| self.arbiter(core).cloned()).transpose()?;
        let Between { me, peer, .. } = &self.sides;
        let first = core.role_of(me.id()) == Some(Role::ORIGINATOR);
        let key_sets = if first { [me.clone(), peer.clone()] } else { [peer.clone(), me.clone()] };
        Run::new(core.clone(), me, key_sets, arbiter, self.patience, self.own.clone()).map_err(DealError::Run)
    }

    /// The key sets under which a stranger checks the evidence.
    fn identities(&self) -> impl Iterator<Item = Effect> + '_ {
        let named = self.agreement.as_ref().and_then(|agreement| agreement.core.arbiter());
        let arbiter = self.arbiters.iter().find(|arbiter| Some(arbiter.id()) == named);
        let parties = [&self.sides.me].into_iter().chain(self.sides.others()).chain(arbiter);
        parties.map(|key_set| Effect::Keep { kind: EvidenceKind::KeySet, bytes: key_set.to_bytes() })
    }

    fn message(&self, index: usize, body: Vec<u8>) -> Message {
        let opens = index == 0 && self.sides.role == Role::ORIGINATOR;
        let opening = opens.then(|| Opening { plan: self.plan, from: self.sides.me.id() });
        Message { step: index as u64, body, opening }
    }
}

/// Whether a statement is what a payment's evidence begins with.
fn is_request(statement: &[u8]) -> bool {
    Signed::from_bytes(statement).is_ok_and(|signed| signed.kind() == Kind::PaymentRequest)
}

impl Between {
    /// A deal between two.
    pub fn two(me: KeySet, peer: KeySet, role: Role) -> Self {
        Self { me, peer, more: Vec::new(), role }
    }

    /// A deal among many, of whom this party has `role`. `others` are in the order of their roles.
    fn many(me: KeySet, others: Vec<KeySet>, role: Role) -> Result<Self, DealError> {
        let mut others = others.into_iter();
        let peer = others.next().ok_or(DealError::OutOfPlace("a deal with nobody"))?;
        Ok(Self { me, peer, more: others.collect(), role })
    }

    /// The other parties, in the order of their roles.
    pub fn others(&self) -> impl Iterator<Item = &KeySet> {
        [&self.peer].into_iter().chain(&self.more)
    }

    /// Everybody, in the order of their roles.
    fn everybody(&self) -> Vec<KeySet> {
        let mut all: Vec<_> = self.others().cloned().collect();
        all.insert(usize::from(self.role.number()).min(all.len()), self.me.clone());
        all
    }

    fn transfer(&self) -> Sides {
        let (me, peer) = (self.me.clone(), self.peer.clone());
        if self.role == Role::ORIGINATOR {
            Sides { sender: me, receiver: peer }
        } else {
            Sides { sender: peer, receiver: me }
        }
    }
}

impl Engine {
    fn handle(self, env: &Env<'_>, input: Input) -> Result<(Self, Vec<Effect>), DealError> {
        match self {
            Engine::Tx(tx) => tx
                .handle(env, input)
                .map(|step| (Engine::Tx(Box::new(step.state)), step.effects))
                .map_err(DealError::Transfer),
            Engine::Gx(gx) => gx
                .handle(env, input)
                .map(|step| (Engine::Gx(Box::new(step.state)), step.effects))
                .map_err(DealError::Exchange),
            Engine::Pay(pay) => pay
                .handle(env, input)
                .map(|step| (Engine::Pay(Box::new(step.state)), step.effects))
                .map_err(DealError::Pay),
            Engine::Order(order) => order
                .handle(env, input)
                .map(|step| (Engine::Order(Box::new(step.state)), step.effects))
                .map_err(DealError::Order),
            Engine::Cn(cn) => cn
                .handle(env, input)
                .map(|step| (Engine::Cn(Box::new(step.state)), step.effects))
                .map_err(DealError::Signing),
            Engine::Lx(lx) => lx
                .handle(env, input)
                .map(|step| (Engine::Lx(Box::new(step.state)), step.effects))
                .map_err(DealError::Exchange),
            Engine::Ix(ix) => ix
                .handle(env, input)
                .map(|step| (Engine::Ix(Box::new(step.state)), step.effects))
                .map_err(DealError::Exchange),
        }
    }
}

impl Encode for Message {
    fn to_value(&self) -> Value {
        let opening = self.opening.map(|o| record().put_item(0, &o.plan).put_item(1, &o.from).build());
        record().put(0, 1_u64).put(1, self.step).put_bytes(2, &self.body).put_some(3, opening).build()
    }
}

impl Decode for Message {
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (step, body) = (fields.uint(1, "step")?, fields.bytes(2, "body", MESSAGE_BYTES_MAX)?);
        let opening = fields.optional_item(3, "opening")?;
        fields.close()?;
        Ok(Self { step, body, opening })
    }
}

impl Decode for Opening {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let opening = Self { plan: fields.item(0, "plan")?, from: fields.item(1, "from")? };
        fields.close()?;
        Ok(opening)
    }
}

/// ```text
/// deal = { 0: 1, 1: id, 2: plan, 3: role, 4: our key set, 5: the peer's, 6: [* arbiter's key set], 7: patience, ? 8: agreement,
///          9: [+ engine], ? 10: ending, 11: own, 12: [* key set] }
/// engine = { 0: tx } / { 1: gx } / { 2: pay } / { 3: ordering } / { 4: cn } / { 5: lx } / { 6: ix }
/// ```
impl Encode for Deal {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.id)
            .put_item(2, &self.plan)
            .put_item(3, &self.sides.role)
            .put_item(4, &self.sides.me)
            .put_item(5, &self.sides.peer)
            .put_list(6, &self.arbiters)
            .put_item(7, &self.patience)
            .put_some(8, self.agreement.as_ref().map(Encode::to_value))
            .put_list(9, &self.engines)
            .put_some(10, self.ending.as_ref().map(Encode::to_value))
            .put_item(11, &self.own)
            .put_list(12, &self.sides.more)
            .build()
    }
}

impl Decode for Deal {
    const BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let deal = Self {
            id: fields.item(1, "id")?,
            plan: fields.item(2, "plan")?,
            sides: Between {
                role: fields.item(3, "role")?,
                me: fields.item(4, "me")?,
                peer: fields.item(5, "peer")?,
                more: fields.list(12, "more", SIGNERS_MAX)?,
            },
            arbiters: fields.list(6, "arbiters", ARBITERS_MAX)?,
            patience: fields.item(7, "patience")?,
            agreement: fields.optional_item(8, "agreement")?,
            engines: fields.list(9, "engines", 16)?,
            ending: fields.optional_item(10, "ending")?,
            own: fields.item(11, "own")?,
        };
        fields.close()?;
        if deal.engines.is_empty() || deal.engines.len() > deal.plan.steps.len() {
            return Err(DecodeError::field("engines", Problem::OutOfRange("the steps do not fit the plan")));
        }
        Ok(deal)
    }
}

/// Most arbiters that a party accepts for one deal.
pub const ARBITERS_MAX: usize = 64;

impl Encode for Engine {
    fn to_value(&self) -> Value {
        match self {
            Engine::Tx(tx) => record().put_item(0, &**tx),
            Engine::Gx(gx) => record().put_item(1, &**gx),
            Engine::Pay(pay) => record().put_item(2, &**pay),
            Engine::Order(order) => record().put_item(3, &**order),
            Engine::Cn(cn) => record().put_item(4, &**cn),
            Engine::Lx(lx) => record().put_item(5, &**lx),
            Engine::Ix(ix) => record().put_item(6, &**ix),
        }
        .build()
    }
}

impl Decode for Engine {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (tx, gx) = (fields.optional_item(0, "tx")?, fields.optional_item(1, "gx")?);
        let (pay, order) = (fields.optional_item(2, "pay")?, fields.optional_item(3, "order")?);
        let (cn, lx) = (fields.optional_item(4, "cn")?, fields.optional_item(5, "lx")?);
        let ix = fields.optional_item(6, "ix")?;
        fields.close()?;
        match (tx, gx, pay, order, cn, lx, ix) {
            (Some(tx), None, None, None, None, None, None) => Ok(Engine::Tx(Box::new(tx))),
            (None, Some(gx), None, None, None, None, None) => Ok(Engine::Gx(Box::new(gx))),
            (None, None, Some(pay), None, None, None, None) => Ok(Engine::Pay(Box::new(pay))),
            (None, None, None, Some(order), None, None, None) => Ok(Engine::Order(Box::new(order))),
            (None, None, None, None, Some(cn), None, None) => Ok(Engine::Cn(Box::new(cn))),
            (None, None, None, None, None, Some(lx), None) => Ok(Engine::Lx(Box::new(lx))),
            (None, None, None, None, None, None, Some(ix)) => Ok(Engine::Ix(Box::new(ix))),
            _ => Err(DecodeError::field("engine", Problem::Missing)),
        }
    }
}

#[cfg(test)]
mod tests;
