//! TX: one party sends a container to another.
//!
//! ```text
//! 1 A→B  container, signed by A if it asks for non-repudiation of origin
//! 2 B→A  acknowledgement, signed by B if the container asks for one
//! ```
//! The acknowledgement is not fair: a receiver can keep the container and say nothing. Who must have a receipt uses certified mail
//! (exchange layer). The same bytes are sent until they are taken; the receiver takes a container once.
//!
//! Source: `spec/tx.md` (design/exchange.md §3.1).

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::container::{Ack, AckWanted, Container, ContainerStatement, Disposition};
use semper_core::cose::{Draft, Signed, Statement};
use semper_core::machine::{Blame, Env, Fault, Machine, Step};
use semper_core::party::KeySet;
use semper_core::signature::{SignatureError, Verified, answers, verify};
use semper_core::time::Time;
use semper_support::archive::Fact;
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};

#[cfg(test)]
mod tests;

/// Fact space that holds every container this party has taken: the key is the container's identifier.
pub const TAKEN_SPACE: &str = "container";

/// A message of TX.
///
/// ```text
/// message = { 0: 1, 1: "container", 2: container, ? 3: signed container statement } / { 0: 1, 1: "ack", 3: signed ack }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Message 1.
    Container {
        /// The encoded container.
        container: Vec<u8>,
        /// The sender's signature.
        origin: Option<Signed>,
    },
    /// Message 2.
    Ack(Signed),
}

impl Encode for Message {
    fn to_value(&self) -> Value {
        match self {
            Message::Container { container, origin } => record()
                .put(0, 1_u64)
                .put(1, "container")
                .put_bytes(2, container)
                .put_some(3, origin.as_ref().map(Encode::to_value)),
            Message::Ack(ack) => record().put(0, 1_u64).put(1, "ack").put_item(3, ack),
        }
        .build()
    }
}

impl Decode for Message {
    const BYTES_MAX: usize = Signed::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let kind = fields.text(1, "kind", 16)?;
        let message = match kind.as_str() {
            "container" => Message::Container {
                container: fields.bytes(2, "container", Self::BYTES_MAX)?,
                origin: fields.optional_item(3, "origin")?,
            },
            "ack" => Message::Ack(fields.item(3, "ack")?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "kind of message", found: kind })),
        };
        fields.close()?;
        Ok(message)
    }
}

/// Why an input was not accepted. The stored state stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TxError {
    /// The peer's message is malformed.
    #[error("the message is malformed: {0}")]
    Malformed(DecodeError),
    /// A statement of the peer is not validly signed.
    #[error("the peer's {what} is not acceptable: {error}")]
    PeerSignature {
        /// Which statement.
        what: &'static str,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// The container asks for a signed origin, and has none; or a statement is about another container.
    #[error("the {0} does not belong to this container, or is missing")]
    PeerMismatch(&'static str),
    /// The key holder returned something that was not asked for.
    #[error("the key holder returned a statement that was not asked for")]
    WrongSignature,
    /// The input cannot occur in this state: a bug of the driver.
    #[error("{input} cannot occur while the transfer is in the state {state}")]
    OutOfPlace {
        /// The state.
        state: &'static str,
        /// The input.
        input: &'static str,
    },
}

impl Blame for TxError {
    fn fault(&self) -> Fault {
        match self {
            TxError::Malformed(_) | TxError::PeerSignature { .. } | TxError::PeerMismatch(_) => Fault::PeerMisbehaved,
            TxError::WrongSignature | TxError::OutOfPlace { .. } => Fault::Misuse,
        }
    }
}

/// The sides of a transfer: both key sets, and which one is ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sides {
    /// The sender's key set.
    pub sender: KeySet,
    /// The receiver's key set.
    pub receiver: KeySet,
}

/// One party's side of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tx {
    /// Sender: the container is ready to go.
    ToSend {
        /// Both sides.
        sides: Sides,
        /// The container.
        container: Container,
    },
    /// Sender: the statement of origin is to be signed, if the user agrees.
    AwaitOriginSignature {
        /// Both sides.
        sides: Sides,
        /// The container.
        container: Container,
    },
    /// Sender: the acknowledgement is awaited.
    AwaitAck {
        /// Both sides.
        sides: Sides,
        /// The container.
        container: Container,
    },
    /// Receiver: the container is awaited.
    AwaitContainer {
        /// Both sides.
        sides: Sides,
    },
    /// Receiver: the acknowledgement is to be signed, if the user agrees.
    AwaitAckSignature {
        /// Both sides.
        sides: Sides,
        /// The container that was taken.
        container: Container,
        /// What is to be signed.
        ack: Ack,
    },
    /// The transfer has ended.
    Ended {
        /// Both sides.
        sides: Sides,
        /// How.
        ending: Ending,
    },
}

impl Machine for Tx {
    type Input = Input;
    type Effect = Effect;
    type Error = TxError;

    fn handle(self, env: &Env<'_>, input: Input) -> Result<Step<Self>, TxError> {
        match (self, input) {
            (Tx::ToSend { sides, container }, Input::Begin) => Ok(send(sides, container)),
            (Tx::AwaitOriginSignature { sides, container }, Input::Signed(signed)) => {
                let origin = own(env, &sides.sender, &origin_draft(&sides, &container), signed)?;
                Ok(dispatch(sides, container, Some(origin)))
            }
            (Tx::AwaitOriginSignature { sides, .. }, Input::Declined { .. } | Input::GiveUp | Input::Timer(_)) => {
                Ok(end(sides, Ending::Lapsed))
            }
            (Tx::ToSend { sides, .. } | Tx::AwaitContainer { sides }, Input::GiveUp | Input::Timer(_)) => {
                Ok(end(sides, Ending::Lapsed))
            }
            (Tx::AwaitAck { sides, container }, Input::Message(bytes)) => acknowledged(env, sides, container, &bytes),
            (Tx::AwaitAck { sides, container }, Input::Delivered)
                if container.asks_for_ack() == AckWanted::Transport =>
            {
                Ok(end(sides, Ending::Success))
            }
            (Tx::AwaitAck { sides, .. }, Input::GiveUp | Input::Timer(_)) => Ok(end(sides, Ending::Unconfirmed)),
            (Tx::AwaitContainer { sides }, Input::Message(bytes)) => take(env, sides, &bytes),
            (Tx::AwaitAckSignature { sides, ack, .. }, Input::Signed(signed)) => {
                let draft = ack.draft(sides.receiver.suite(), sides.receiver.id());
                let ack = own(env, &sides.receiver, &draft, signed)?;
                let kept = Effect::keep(&ack);
                let step = end(sides, Ending::Success).with(kept);
                Ok(step.with(Effect::Send(Message::Ack(ack).to_bytes())))
            }
            // The container was taken; whoever gives no receipt still has it.
            (Tx::AwaitAckSignature { sides, .. }, Input::Declined { .. } | Input::GiveUp | Input::Timer(_)) => {
                Ok(end(sides, Ending::Success))
            }
            (state, Input::Begin) => Err(TxError::OutOfPlace { state: state.state_name(), input: "begin" }),
            (state, Input::ArbiterSays(_)) => {
                Err(TxError::OutOfPlace { state: state.state_name(), input: "arbiter says" })
            }
            // Doubled, late, or overtaken.
            (state, _) => Ok(Step::to(state)),
        }
    }
}

impl Tx {
    /// A transfer of `container` that has not begun.
    pub fn sender(sides: Sides, container: Container) -> Self {
        Tx::ToSend { sides, container }
    }

    /// The receiving side of a transfer.
    pub fn receiver(sides: Sides) -> Self {
        Tx::AwaitContainer { sides }
    }

    /// How the transfer ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        match self {
            Tx::Ended { ending, .. } => Some(*ending),
            _ => None,
        }
    }

    /// The state's name, as it is stored and shown.
    pub fn state_name(&self) -> &'static str {
        match self {
            Tx::ToSend { .. } => "to-send",
            Tx::AwaitOriginSignature { .. } => "await-origin-signature",
            Tx::AwaitAck { .. } => "await-ack",
            Tx::AwaitContainer { .. } => "await-container",
            Tx::AwaitAckSignature { .. } => "await-ack-signature",
            Tx::Ended { .. } => "ended",
        }
    }

    /// The container, as long as the transfer needs it.
    pub fn container(&self) -> Option<&Container> {
        match self {
            Tx::ToSend { container, .. }
            | Tx::AwaitOriginSignature { container, .. }
            | Tx::AwaitAck { container, .. }
            | Tx::AwaitAckSignature { container, .. } => Some(container),
            Tx::AwaitContainer { .. } | Tx::Ended { .. } => None,
        }
    }

    fn sides(&self) -> &Sides {
        match self {
            Tx::ToSend { sides, .. }
            | Tx::AwaitOriginSignature { sides, .. }
            | Tx::AwaitAck { sides, .. }
            | Tx::AwaitContainer { sides }
            | Tx::AwaitAckSignature { sides, .. }
            | Tx::Ended { sides, .. } => sides,
        }
    }
}

fn send(sides: Sides, container: Container) -> Step<Tx> {
    if !container.asks_for_origin() {
        return dispatch(sides, container, None);
    }
    let draft = origin_draft(&sides, &container);
    Step::to(Tx::AwaitOriginSignature { sides, container }).with(Effect::Sign { draft, consent: Consent::Ask })
}

fn dispatch(sides: Sides, container: Container, origin: Option<Signed>) -> Step<Tx> {
    let bytes = container.to_bytes();
    let mut effects = vec![Effect::Keep { kind: EvidenceKind::Container, bytes: bytes.clone() }];
    effects.extend(origin.as_ref().map(Effect::keep));
    effects.push(Effect::Send(Message::Container { container: bytes, origin }.to_bytes()));
    if container.asks_for_ack() == AckWanted::None {
        let last = end(sides, Ending::Success);
        effects.extend(last.effects);
        return Step { state: last.state, effects };
    }
    Step { state: Tx::AwaitAck { sides, container }, effects }
}

fn acknowledged(env: &Env<'_>, sides: Sides, container: Container, bytes: &[u8]) -> Result<Step<Tx>, TxError> {
    let Message::Ack(signed) = Message::from_bytes(bytes).map_err(TxError::Malformed)? else {
        return Ok(Step::to(Tx::AwaitAck { sides, container }));
    };
    let ack: Verified<Ack> = verify(env.verify, &sides.receiver, &signed)
        .map_err(|error| TxError::PeerSignature { what: "acknowledgement", error })?;
    if ack.statement().container != container.id() {
        return Err(TxError::PeerMismatch("acknowledgement"));
    }
    Ok(end(sides, Ending::Success).with(Effect::keep(&signed)))
}

fn take(env: &Env<'_>, sides: Sides, bytes: &[u8]) -> Result<Step<Tx>, TxError> {
    let Message::Container { container: bytes, origin } = Message::from_bytes(bytes).map_err(TxError::Malformed)?
    else {
        return Err(TxError::PeerMismatch("container"));
    };
    let container = Container::from_bytes(&bytes).map_err(TxError::Malformed)?;
    let id = container.id();
    let mut effects = vec![
        Effect::Once(Fact { space: TAKEN_SPACE.to_owned(), key: id.as_bytes().to_vec(), value: Vec::new() }),
        Effect::Keep { kind: EvidenceKind::Container, bytes },
    ];
    match origin {
        Some(origin) => {
            let said: Verified<ContainerStatement> = verify(env.verify, &sides.sender, &origin)
                .map_err(|error| TxError::PeerSignature { what: "statement of origin", error })?;
            if said.statement().container != id {
                return Err(TxError::PeerMismatch("statement of origin"));
            }
            effects.push(Effect::keep(&origin));
        }
        None if container.asks_for_origin() => return Err(TxError::PeerMismatch("statement of origin")),
        None => {}
    }
    if container.asks_for_ack() != AckWanted::Signed {
        let last = end(sides, Ending::Success);
        effects.extend(last.effects);
        return Ok(Step { state: last.state, effects });
    }
    let ack = accept(&container, env.now);
    let draft = ack.draft(sides.receiver.suite(), sides.receiver.id());
    effects.push(Effect::Sign { draft, consent: Consent::Ask });
    Ok(Step { state: Tx::AwaitAckSignature { sides, container, ack }, effects })
}

fn accept(container: &Container, now: Time) -> Ack {
    Ack { container: container.id(), disposition: Disposition::Accepted, time: now }
}

fn origin_draft(sides: &Sides, container: &Container) -> Draft {
    ContainerStatement { container: container.id() }.draft(sides.sender.suite(), sides.sender.id())
}

fn own(env: &Env<'_>, mine: &KeySet, draft: &Draft, signed: Signed) -> Result<Signed, TxError> {
    if answers(env.verify, mine, draft, &signed) { Ok(signed) } else { Err(TxError::WrongSignature) }
}

fn end(sides: Sides, ending: Ending) -> Step<Tx> {
    Step::to(Tx::Ended { sides, ending }).with(Effect::Ended(ending))
}

/// ```text
/// tx = { 0: 1, 1: state name, 2: sender's key set, 3: receiver's key set, ? 4: container, ? 5: ack, ? 6: ending }
/// ```
impl Encode for Tx {
    fn to_value(&self) -> Value {
        let sides = self.sides();
        let stored =
            record().put(0, 1_u64).put(1, self.state_name()).put_item(2, &sides.sender).put_item(3, &sides.receiver);
        let stored = stored.put_some(4, self.container().map(|container| Value::Bytes(container.to_bytes())));
        match self {
            Tx::AwaitAckSignature { ack, .. } => stored.put_item(5, ack),
            Tx::Ended { ending, .. } => stored.put_item(6, ending),
            _ => stored,
        }
        .build()
    }
}

impl Decode for Tx {
    const BYTES_MAX: usize = Signed::BYTES_MAX + 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let name = fields.text(1, "state", 32)?;
        let sides = Sides { sender: fields.item(2, "sender")?, receiver: fields.item(3, "receiver")? };
        let container = |fields: &mut Fields| -> Result<Container, DecodeError> {
            Container::from_bytes(&fields.bytes(4, "container", Signed::BYTES_MAX)?).map_err(|e| e.within("container"))
        };
        let state = match name.as_str() {
            "to-send" => Tx::ToSend { sides, container: container(&mut fields)? },
            "await-origin-signature" => Tx::AwaitOriginSignature { sides, container: container(&mut fields)? },
            "await-ack" => Tx::AwaitAck { sides, container: container(&mut fields)? },
            "await-container" => Tx::AwaitContainer { sides },
            "await-ack-signature" => {
                Tx::AwaitAckSignature { sides, container: container(&mut fields)?, ack: fields.item(5, "ack")? }
            }
            "ended" => Tx::Ended { sides, ending: fields.item(6, "ending")? },
            _ => return Err(DecodeError::field("state", Problem::Unknown { what: "state", found: name })),
        };
        fields.close()?;
        Ok(state)
    }
}
