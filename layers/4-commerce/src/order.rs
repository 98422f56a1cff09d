//! ORDER: one party asks, by taking up an offer or with a trade of its own, and the other answers with the contract. Nothing in it binds anybody.
//!
//! ```text
//! 1 A→B  order, trade, or swap
//! 2 B→A  the contract, as a proposal; or a refusal
//! ```
//! The answer is composed before its side begins, by whoever has the article's key and the purses: see [`crate::purchase::Sale`], [`crate::right::Sale`],
//! [`crate::trade::Reply`] and [`crate::swap::reply`]. The asker takes only a contract that is what it has asked for.
//!
//! Source: `spec/purchase.md` §3, `spec/trade.md`.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Record, Value, record};
use semper_core::container::Container;
use semper_core::machine::{Blame, Env, Fault, Machine, Step};
use semper_core::text::escape;
use semper_core::time::Seconds;
use semper_support::engine::{Effect, Ending, EvidenceKind, Input};
use semper_transfer::payment::operation::PurseId;

use crate::access::{self, AccessOffer};
use crate::offer::{Offer, Order};
use crate::plan::{BUY, Plan, SWAP};
use crate::proposal::{Proposal, ProposalError};
use crate::purchase;
use crate::right::{self, RightOffer};
use crate::swap::{self, FileOffer, Swap};
use crate::trade::{self, PLEDGES_MAX, Trade};

/// Timer: how long the buyer waits for the contract.
pub const PATIENCE: &str = "order-patience";
/// Longest reason of a refusal, in bytes of UTF-8.
const REFUSAL_MAX: usize = 1024;

/// What travels.
///
/// ```text
/// message = { 0: 1, 1: "order", 2: order } / { 0: 1, 1: "trade", 5: trade }
///         / { 0: 1, 1: "swap", 6: swap }
///         / { 0: 1, 1: "contract", 3: container } / { 0: 1, 1: "refusal", 4: reason }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Message 1: what somebody offers is taken up.
    Order(Box<Order>),
    /// Message 1: money is offered for a receipt or for other money.
    Trade(Box<Trade>),
    /// Message 1: a file is given for one that somebody offers.
    Swap(Box<Swap>),
    /// Message 2: a [`Proposal`] in its container.
    Contract(Vec<u8>),
    /// In its place: "I do not want this."
    Refusal(String),
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// What somebody offers.
    Order(Box<Order>),
    /// An exchange of money.
    Trade(Box<Trade>),
    /// A swap of files.
    Swap(Box<Swap>),
}

/// What a party asks for, with everything that it takes to look at the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// What somebody offers.
    Goods {
        /// The offer.
        offer: Box<Offer>,
        /// The order.
        order: Box<Order>,
    },
    /// Information for the show of a right.
    Access {
        /// The offer.
        offer: Box<AccessOffer>,
        /// The order.
        order: Box<Order>,
    },
    /// A right, for money.
    Right {
        /// The offer.
        offer: Box<RightOffer>,
        /// The order.
        order: Box<Order>,
    },
    /// An exchange of money.
    Trade {
        /// What is asked.
        trade: Box<Trade>,
        /// The purses of its pledges: first those that it pays from, then those that it is paid into, in their order.
        purses: Vec<PurseId>,
    },
    /// A swap of files.
    Swap {
        /// The offer.
        offer: Box<FileOffer>,
        /// What is asked.
        swap: Box<Swap>,
    },
}

/// The purses of this party's side of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purses {
    /// From which it pays.
    pub pays: PurseId,
    /// Into which it is paid, if it gets money.
    pub takes: Option<PurseId>,
}

/// One party's side of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Asker: the order is ready to go.
    ToOrder {
        /// What is asked for.
        wanted: Wanted,
        /// How long the answer is waited for.
        patience: Seconds,
    },
    /// Asker: the contract is awaited.
    AwaitContract {
        /// What was asked for.
        wanted: Wanted,
    },
    /// The other one: the answer is ready.
    ToAnswer {
        /// What was asked.
        asked: Asked,
        /// The contract, or why there is none.
        answer: Result<Vec<u8>, String>,
    },
    /// It has ended.
    Ended {
        /// How.
        ending: Ending,
        /// Why, in words, if there is something to say.
        why: String,
        /// Seller: the order that was answered with a contract.
        sold: Option<Box<Order>>,
        /// Asker: the purses that the contract has chosen of those it named.
        purses: Option<Purses>,
    },
}

/// Why an input was not accepted. The stored state stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The message is malformed.
    #[error("the message is malformed: {0}")]
    Malformed(DecodeError),
    /// The input cannot occur in this state: a bug of the driver.
    #[error("{input} cannot occur while the order is in the state {state}")]
    OutOfPlace {
        /// The state.
        state: &'static str,
        /// The input.
        input: &'static str,
    },
}

/// Why the asker signs no contract like this one.
#[derive(Debug, thiserror::Error)]
enum Unacceptable {
    #[error("the contract is malformed: {0}")]
    Malformed(DecodeError),
    #[error("the contract is not acceptable: {0}")]
    Proposal(ProposalError),
    /// It is another one than was asked for, or it came too late for its dates.
    #[error("the contract is not what was asked for: the {0} differ")]
    NotAsOrdered(&'static str),
}

impl Blame for OrderError {
    fn fault(&self) -> Fault {
        match self {
            OrderError::OutOfPlace { .. } => Fault::Misuse,
            _ => Fault::PeerMisbehaved,
        }
    }
}

impl Ordering {
    /// The state's name, as it is stored and shown.
    pub fn state_name(&self) -> &'static str {
        match self {
            Ordering::ToOrder { .. } => "to-order",
            Ordering::AwaitContract { .. } => "await-contract",
            Ordering::ToAnswer { .. } => "to-answer",
            Ordering::Ended { .. } => "ended",
        }
    }

    /// The order that this party has answered with a contract.
    pub fn sold(&self) -> Option<&Order> {
        match self {
            Ordering::Ended { sold, .. } => sold.as_deref(),
            _ => None,
        }
    }

    /// The purses that the contract has chosen, if this party has asked for an exchange of money.
    pub fn purses(&self) -> Option<Purses> {
        match self {
            Ordering::Ended { purses, .. } => *purses,
            _ => None,
        }
    }

    /// Why it ended, in words; empty if there is nothing to say.
    pub fn why(&self) -> &str {
        match self {
            Ordering::Ended { why, .. } => why,
            _ => "",
        }
    }
}

impl Machine for Ordering {
    type Input = Input;
    type Effect = Effect;
    type Error = OrderError;

    fn handle(self, env: &Env<'_>, input: Input) -> Result<Step<Self>, OrderError> {
        match (self, input) {
            (Ordering::ToOrder { wanted, patience }, Input::Begin) => {
                let send = Effect::Send(wanted.message().to_bytes());
                let timer = Effect::SetTimer { name: PATIENCE, due: env.now.after(patience) };
                Ok(Step::to(Ordering::AwaitContract { wanted }).with(send).with(timer))
            }
            (Ordering::AwaitContract { wanted }, Input::Message(bytes)) => {
                match Message::from_bytes(&bytes).map_err(OrderError::Malformed)? {
                    // A contract that is refused would leave its asker waiting for another one, and none comes.
                    Message::Contract(container) => Ok(contract(env, &wanted, container)
                        .unwrap_or_else(|why| end(Ending::Lapsed, why.to_string(), Vec::new()))),
                    Message::Refusal(reason) => Ok(end(Ending::Lapsed, escape(&reason, 0), Vec::new())),
                    Message::Order(_) | Message::Trade(_) | Message::Swap(_) => {
                        Ok(Step::to(Ordering::AwaitContract { wanted }))
                    }
                }
            }
            (Ordering::ToAnswer { asked, answer }, Input::Message(bytes)) => {
                let message = Message::from_bytes(&bytes).map_err(OrderError::Malformed)?;
                if message != asked.message() {
                    // Its answer has been composed for another order.
                    return Ok(Step::to(Ordering::ToAnswer { asked, answer }));
                }
                Ok(match answer {
                    Ok(container) => {
                        let send = Effect::Send(Message::Contract(container.clone()).to_bytes());
                        let sold = if let Asked::Order(order) = asked { Some(order) } else { None };
                        success(vec![send, keep(container)], sold, None)
                    }
                    Err(reason) => {
                        let send = Effect::Send(Message::Refusal(reason.clone()).to_bytes());
                        end(Ending::Lapsed, reason, vec![send])
                    }
                })
            }
            (state, Input::Begin) => Err(OrderError::OutOfPlace { state: state.state_name(), input: "begin" }),
            (state @ Ordering::Ended { .. }, _) => Ok(Step::to(state)),
            (_, Input::GiveUp) => Ok(end(Ending::Lapsed, String::new(), Vec::new())),
            (_, Input::Timer(PATIENCE)) => {
                Ok(end(Ending::Lapsed, "the other party has not answered".to_owned(), Vec::new()))
            }
            (state, _) => Ok(Step::to(state)),
        }
    }
}

/// The asker looks at the contract.
fn contract(env: &Env<'_>, wanted: &Wanted, container: Vec<u8>) -> Result<Step<Ordering>, Unacceptable> {
    let read = Container::from_bytes(&container).map_err(Unacceptable::Malformed)?;
    let agreement = Proposal::from_container(&read).map_err(Unacceptable::Proposal)?.into_agreement();
    let purses = match wanted {
        Wanted::Goods { offer, order } => {
            purchase::answers(&agreement, offer, order, env.now).map_err(Unacceptable::NotAsOrdered)?;
            None
        }
        Wanted::Access { offer, order } => {
            access::answers(&agreement, offer, order, env.now).map_err(Unacceptable::NotAsOrdered)?;
            None
        }
        Wanted::Right { offer, order } => {
            right::answers(&agreement, offer, order, env.now).map_err(Unacceptable::NotAsOrdered)?;
            None
        }
        Wanted::Trade { trade, purses } => {
            let chosen = trade::answers(&agreement, trade, env.now).map_err(Unacceptable::NotAsOrdered)?;
            let purse = |place: usize| purses.get(place).copied().ok_or(Unacceptable::NotAsOrdered("means"));
            let takes = chosen.takes.map(|place| purse(trade.pays.len() + place)).transpose()?;
            Some(Purses { pays: purse(chosen.pays)?, takes })
        }
        Wanted::Swap { offer, swap } => {
            swap::answers(&agreement, swap, offer).map_err(Unacceptable::NotAsOrdered)?;
            None
        }
    };
    Ok(success(vec![keep(container)], None, purses))
}

fn keep(container: Vec<u8>) -> Effect {
    Effect::Keep { kind: EvidenceKind::Container, bytes: container }
}

fn success(effects: Vec<Effect>, sold: Option<Box<Order>>, purses: Option<Purses>) -> Step<Ordering> {
    let step = end(Ending::Success, String::new(), effects);
    Step { state: Ordering::Ended { ending: Ending::Success, why: String::new(), sold, purses }, ..step }
}

fn end(ending: Ending, why: String, mut effects: Vec<Effect>) -> Step<Ordering> {
    effects.extend([Effect::CancelTimer(PATIENCE), Effect::Ended(ending)]);
    Step { state: Ordering::Ended { ending, why, sold: None, purses: None }, effects }
}

impl Asked {
    /// The plan of a deal that begins so.
    pub fn plan(&self) -> &'static Plan {
        match self {
            Asked::Order(_) => &BUY,
            Asked::Trade(trade) => trade.plan(),
            Asked::Swap(_) => &SWAP,
        }
    }

    fn message(&self) -> Message {
        match self {
            Asked::Order(order) => Message::Order(order.clone()),
            Asked::Trade(trade) => Message::Trade(trade.clone()),
            Asked::Swap(swap) => Message::Swap(swap.clone()),
        }
    }
}

impl Wanted {
    fn message(&self) -> Message {
        match self {
            Wanted::Goods { order, .. } | Wanted::Access { order, .. } | Wanted::Right { order, .. } => {
                Message::Order(order.clone())
            }
            Wanted::Trade { trade, .. } => Message::Trade(trade.clone()),
            Wanted::Swap { swap, .. } => Message::Swap(swap.clone()),
        }
    }
}

impl Encode for Message {
    fn to_value(&self) -> Value {
        let message = record().put(0, 1_u64);
        match self {
            Message::Order(order) => message.put(1, "order").put_item(2, &**order),
            Message::Trade(trade) => message.put(1, "trade").put_item(5, &**trade),
            Message::Swap(swap) => message.put(1, "swap").put_item(6, &**swap),
            Message::Contract(container) => message.put(1, "contract").put_bytes(3, container),
            Message::Refusal(reason) => message.put(1, "refusal").put(4, reason.as_str()),
        }
        .build()
    }
}

impl Decode for Message {
    const BYTES_MAX: usize = Container::BYTES_MAX + 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let kind = fields.text(1, "kind", 16)?;
        let message = match kind.as_str() {
            "order" => Message::Order(Box::new(fields.item(2, "order")?)),
            "trade" => Message::Trade(Box::new(fields.item(5, "trade")?)),
            "swap" => Message::Swap(Box::new(fields.item(6, "swap")?)),
            "contract" => Message::Contract(fields.bytes(3, "contract", Container::BYTES_MAX)?),
            "refusal" => Message::Refusal(fields.text(4, "reason", REFUSAL_MAX)?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of message", found: kind })),
        };
        fields.close()?;
        Ok(message)
    }
}

/// ```text
/// ordering = { 0: 1, 1: state, ? 2: offer, ? 3: order, ? 4: patience, ? 5: container, ? 6: ending, ? 7: why, ? 8: trade, ? 9: [* purse],
///              ? 10: file offer, ? 11: swap, ? 12: access offer, ? 13: right offer }
/// ```
impl Encode for Ordering {
    fn to_value(&self) -> Value {
        let stored = record().put(0, 1_u64).put(1, self.state_name());
        match self {
            Ordering::ToOrder { wanted, patience } => wanted.put(stored).put_item(4, patience),
            Ordering::AwaitContract { wanted } => wanted.put(stored),
            Ordering::ToAnswer { asked, answer } => {
                let stored = match asked {
                    Asked::Order(order) => stored.put_item(3, &**order),
                    Asked::Trade(trade) => stored.put_item(8, &**trade),
                    Asked::Swap(swap) => stored.put_item(11, &**swap),
                };
                match answer {
                    Ok(container) => stored.put_bytes(5, container),
                    Err(why) => stored.put(7, why.as_str()),
                }
            }
            Ordering::Ended { ending, why, sold, purses } => {
                let stored = stored.put_item(6, ending).put(7, why.as_str());
                let purses: Vec<_> =
                    purses.iter().flat_map(|purses| [Some(purses.pays), purses.takes]).flatten().collect();
                stored.put_some(3, sold.as_ref().map(|order| order.to_value())).put_list(9, &purses)
            }
        }
        .build()
    }
}

impl Decode for Ordering {
    const BYTES_MAX: usize = Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let name = fields.text(1, "state", 32)?;
        let state = match name.as_str() {
            "to-order" => {
                Ordering::ToOrder { wanted: Wanted::read(&mut fields)?, patience: fields.item(4, "patience")? }
            }
            "await-contract" => Ordering::AwaitContract { wanted: Wanted::read(&mut fields)? },
            "to-answer" => {
                let (trade, swap) = (fields.optional_item(8, "trade")?, fields.optional_item(11, "swap")?);
                let asked = match (trade, swap) {
                    (Some(trade), _) => Asked::Trade(Box::new(trade)),
                    (None, Some(swap)) => Asked::Swap(Box::new(swap)),
                    (None, None) => Asked::Order(Box::new(fields.item(3, "order")?)),
                };
                let answer = match fields.optional_item::<String>(7, "reason")? {
                    Some(why) => Err(why),
                    None => Ok(fields.bytes(5, "contract", Container::BYTES_MAX)?),
                };
                Ordering::ToAnswer { asked, answer }
            }
            "ended" => {
                let purses: Vec<PurseId> = fields.list(9, "purses", 2)?;
                Ordering::Ended {
                    ending: fields.item(6, "ending")?,
                    why: fields.text(7, "why", 2 * REFUSAL_MAX)?,
                    sold: fields.optional_item(3, "order")?.map(Box::new),
                    purses: purses.first().map(|pays| Purses { pays: *pays, takes: purses.get(1).copied() }),
                }
            }
            _ => return Err(DecodeError::field("state", Problem::Unknown { what: "state", found: name })),
        };
        fields.close()?;
        Ok(state)
    }
}

impl Wanted {
    fn put(&self, stored: Record) -> Record {
        match self {
            Wanted::Goods { offer, order } => stored.put_item(2, &**offer).put_item(3, &**order),
            Wanted::Access { offer, order } => stored.put_item(3, &**order).put_item(12, &**offer),
            Wanted::Right { offer, order } => stored.put_item(3, &**order).put_item(13, &**offer),
            Wanted::Trade { trade, purses } => stored.put_item(8, &**trade).put_list(9, purses),
            Wanted::Swap { offer, swap } => stored.put_item(10, &**offer).put_item(11, &**swap),
        }
    }

    fn read(fields: &mut Fields) -> Result<Self, DecodeError> {
        match (fields.optional_item(8, "trade")?, fields.optional_item(11, "swap")?) {
            (Some(trade), _) => {
                let purses = fields.list(9, "purses", 2 * PLEDGES_MAX)?;
                Ok(Wanted::Trade { trade: Box::new(trade), purses })
            }
            (None, Some(swap)) => Ok(Wanted::Swap { offer: Box::new(fields.item(10, "offer")?), swap: Box::new(swap) }),
            (None, None) => {
                if let Some(offer) = fields.optional_item(12, "access offer")? {
                    let order = Box::new(fields.item(3, "order")?);
                    return Ok(Wanted::Access { offer: Box::new(offer), order });
                }
                if let Some(offer) = fields.optional_item(13, "right offer")? {
                    let order = Box::new(fields.item(3, "order")?);
                    return Ok(Wanted::Right { offer: Box::new(offer), order });
                }
                let (offer, order) = (fields.item(2, "offer")?, fields.item(3, "order")?);
                Ok(Wanted::Goods { offer: Box::new(offer), order: Box::new(order) })
            }
        }
    }
}
