//! ORDER: a buyer takes up an offer, and the seller answers with the contract. Nothing in it binds anybody.
//!
//! ```text
//! 1 B→S  order
//! 2 S→B  the contract, as a proposal; or a refusal
//! ```
//! The seller's answer is composed before its side begins, by whoever has the article's key and the purse: see [`crate::purchase::Sale`].
//! The buyer takes only a contract that is what it has ordered.
//!
//! Source: `spec/purchase.md` §3.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::container::Container;
use semper_core::machine::{Blame, Env, Fault, Machine, Step};
use semper_core::text::escape;
use semper_core::time::Seconds;
use semper_support::engine::{Effect, Ending, EvidenceKind, Input};

use crate::offer::{Offer, Order};
use crate::proposal::{Proposal, ProposalError};
use crate::purchase;

/// Timer: how long the buyer waits for the contract.
pub const PATIENCE: &str = "order-patience";
/// Longest reason of a refusal, in bytes of UTF-8.
const REFUSAL_MAX: usize = 1024;

/// What travels.
///
/// ```text
/// message = { 0: 1, 1: "order", 2: order } / { 0: 1, 1: "contract", 3: container } / { 0: 1, 1: "refusal", 4: reason }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Message 1.
    Order(Box<Order>),
    /// Message 2: a [`Proposal`] in its container.
    Contract(Vec<u8>),
    /// In its place: "I do not sell this."
    Refusal(String),
}

/// One party's side of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Buyer: the order is ready to go.
    ToOrder {
        /// The offer.
        offer: Box<Offer>,
        /// The order.
        order: Box<Order>,
        /// How long the answer is waited for.
        patience: Seconds,
    },
    /// Buyer: the contract is awaited.
    AwaitContract {
        /// The offer.
        offer: Box<Offer>,
        /// The order.
        order: Box<Order>,
    },
    /// Seller: the answer to this order is ready.
    ToAnswer {
        /// The order.
        order: Box<Order>,
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
    },
}

/// Why an input was not accepted. The stored state stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The message is malformed.
    #[error("the message is malformed: {0}")]
    Malformed(DecodeError),
    /// The contract contradicts itself.
    #[error("the contract is not acceptable: {0}")]
    Proposal(ProposalError),
    /// The contract is another one than was ordered.
    #[error("the contract is not what was ordered: the {0} differ")]
    NotAsOrdered(&'static str),
    /// The input cannot occur in this state: a bug of the driver.
    #[error("{input} cannot occur while the order is in the state {state}")]
    OutOfPlace {
        /// The state.
        state: &'static str,
        /// The input.
        input: &'static str,
    },
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
            (Ordering::ToOrder { offer, order, patience }, Input::Begin) => {
                let send = Effect::Send(Message::Order(order.clone()).to_bytes());
                let timer = Effect::SetTimer { name: PATIENCE, due: env.now.after(patience) };
                Ok(Step::to(Ordering::AwaitContract { offer, order }).with(send).with(timer))
            }
            (Ordering::AwaitContract { offer, order }, Input::Message(bytes)) => {
                match Message::from_bytes(&bytes).map_err(OrderError::Malformed)? {
                    Message::Contract(container) => contract(env, &offer, &order, container),
                    Message::Refusal(reason) => Ok(end(Ending::Lapsed, escape(&reason, 0), Vec::new())),
                    Message::Order(_) => Ok(Step::to(Ordering::AwaitContract { offer, order })),
                }
            }
            (Ordering::ToAnswer { order, answer }, Input::Message(bytes)) => {
                let message = Message::from_bytes(&bytes).map_err(OrderError::Malformed)?;
                if message != Message::Order(order.clone()) {
                    // Its answer has been composed for another order.
                    return Ok(Step::to(Ordering::ToAnswer { order, answer }));
                }
                Ok(match answer {
                    Ok(container) => {
                        let send = Effect::Send(Message::Contract(container.clone()).to_bytes());
                        let step = end(Ending::Success, String::new(), vec![send, keep(container)]);
                        Step {
                            state: Ordering::Ended { ending: Ending::Success, why: String::new(), sold: Some(order) },
                            ..step
                        }
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
                Ok(end(Ending::Lapsed, "the seller has not answered".to_owned(), Vec::new()))
            }
            (state, _) => Ok(Step::to(state)),
        }
    }
}

/// The buyer looks at the contract.
fn contract(env: &Env<'_>, offer: &Offer, order: &Order, container: Vec<u8>) -> Result<Step<Ordering>, OrderError> {
    let read = Container::from_bytes(&container).map_err(OrderError::Malformed)?;
    let proposal = Proposal::from_container(&read).map_err(OrderError::Proposal)?;
    purchase::answers(&proposal.agreement, offer, order, env.now).map_err(OrderError::NotAsOrdered)?;
    Ok(end(Ending::Success, String::new(), vec![keep(container)]))
}

fn keep(container: Vec<u8>) -> Effect {
    Effect::Keep { kind: EvidenceKind::Container, bytes: container }
}

fn end(ending: Ending, why: String, mut effects: Vec<Effect>) -> Step<Ordering> {
    effects.extend([Effect::CancelTimer(PATIENCE), Effect::Ended(ending)]);
    Step { state: Ordering::Ended { ending, why, sold: None }, effects }
}

impl Encode for Message {
    fn to_value(&self) -> Value {
        let message = record().put(0, 1_u64);
        match self {
            Message::Order(order) => message.put(1, "order").put_item(2, &**order),
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
            "contract" => Message::Contract(fields.bytes(3, "contract", Container::BYTES_MAX)?),
            "refusal" => Message::Refusal(fields.text(4, "reason", REFUSAL_MAX)?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of message", found: kind })),
        };
        fields.close()?;
        Ok(message)
    }
}

/// ```text
/// ordering = { 0: 1, 1: state, ? 2: offer, ? 3: order, ? 4: patience, ? 5: container, ? 6: ending, ? 7: why }
/// ```
impl Encode for Ordering {
    fn to_value(&self) -> Value {
        let stored = record().put(0, 1_u64).put(1, self.state_name());
        match self {
            Ordering::ToOrder { offer, order, patience } => {
                stored.put_item(2, &**offer).put_item(3, &**order).put_item(4, patience)
            }
            Ordering::AwaitContract { offer, order } => stored.put_item(2, &**offer).put_item(3, &**order),
            Ordering::ToAnswer { order, answer } => {
                let stored = stored.put_item(3, &**order);
                match answer {
                    Ok(container) => stored.put_bytes(5, container),
                    Err(why) => stored.put(7, why.as_str()),
                }
            }
            Ordering::Ended { ending, why, sold } => {
                let stored = stored.put_item(6, ending).put(7, why.as_str());
                stored.put_some(3, sold.as_ref().map(|order| order.to_value()))
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
        let offer = |fields: &mut Fields| fields.item(2, "offer").map(Box::new);
        let order = |fields: &mut Fields| fields.item(3, "order").map(Box::new);
        let state = match name.as_str() {
            "to-order" => Ordering::ToOrder {
                offer: offer(&mut fields)?,
                order: order(&mut fields)?,
                patience: fields.item(4, "patience")?,
            },
            "await-contract" => Ordering::AwaitContract { offer: offer(&mut fields)?, order: order(&mut fields)? },
            "to-answer" => {
                let order = order(&mut fields)?;
                let answer = match fields.optional_item::<String>(7, "reason")? {
                    Some(why) => Err(why),
                    None => Ok(fields.bytes(5, "contract", Container::BYTES_MAX)?),
                };
                Ordering::ToAnswer { order, answer }
            }
            "ended" => Ordering::Ended {
                ending: fields.item(6, "ending")?,
                why: fields.text(7, "why", 2 * REFUSAL_MAX)?,
                sold: fields.optional_item(3, "order")?.map(Box::new),
            },
            _ => return Err(DecodeError::field("state", Problem::Unknown { what: "state", found: name })),
        };
        fields.close()?;
        Ok(state)
    }
}
