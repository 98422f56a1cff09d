//! Where one party's side stands, and how it is stored.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::Profile;
use semper_core::cose::Signed;
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_support::engine::Ending;

use super::Message;
use crate::gx::{Promised, Run};

/// One party's side of an exchange without an arbiter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lx {
    pub(super) run: Run,
    pub(super) state: State,
}

/// Where it stands. `promises` are the originator's and the responder's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing has happened: the originator waits for its user to begin, the responder for message 1.
    Ready,
    /// The money that the peer has locked is being checked. The responder has not promised yet.
    Checking {
        /// Our promise, which the originator has sent.
        ours: Option<Promised>,
        /// The peer's.
        theirs: Promised,
    },
    /// Our promise is to be signed, if the user agrees.
    AwaitPromiseSignature {
        /// The originator's promise, which a responder holds already.
        theirs: Option<Promised>,
    },
    /// Our money is being locked. The promise is signed and goes out with the token.
    Locking {
        /// Our promise.
        promise: Signed,
        /// The originator's promise, which a responder holds already.
        theirs: Option<Promised>,
    },
    /// The originator's promise is out; the responder's is awaited.
    AwaitPeerPromise {
        /// Our promise.
        ours: Promised,
    },
    /// The originator takes the responder's money with the preimage.
    Opening {
        /// Both promises.
        promises: [Promised; 2],
    },
    /// The originator will not show the preimage any more. Its own money lies under the lock until its date.
    AwaitRefund {
        /// Our promise.
        ours: Promised,
    },
    /// The responder's money lies under the lock; the preimage is awaited.
    AwaitPreimage {
        /// Both promises.
        promises: [Promised; 2],
        /// How often the issuer was asked for it.
        asked: u8,
    },
    /// The responder asks the issuer whether its money was taken, and with which preimage.
    Learning {
        /// Both promises.
        promises: [Promised; 2],
        /// How often, with this time.
        asked: u8,
        /// Our money could not be taken back after its date: whoever has it has shown the preimage.
        gone: bool,
    },
    /// Our money is being taken back after its date.
    Reclaiming {
        /// Both promises; the originator may lack the responder's.
        promises: Vec<Promised>,
        /// How often the issuer was asked for the preimage.
        asked: u8,
        /// The preimage, if the peer has said it meanwhile.
        preimage: Option<[u8; 32]>,
    },
    /// The responder takes what it exchanges its money for: other money with the preimage, or information that it opens.
    Taking {
        /// The preimage.
        preimage: [u8; 32],
    },
    /// The run has ended.
    Ended {
        /// How.
        ending: Ending,
    },
}

impl Lx {
    /// A run that has not begun. The originator begins it with `Input::Begin`; a responder begins with message 1.
    pub fn new(run: Run) -> Self {
        Self { run, state: State::Ready }
    }

    /// A run that stands there.
    pub fn at(run: Run, state: State) -> Self {
        Self { run, state }
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// From when on this party's locked money can be taken back, while it lies under the lock and it is open who gets it.
    pub fn waits_until(&self) -> Option<Time> {
        let waits = matches!(
            self.state,
            State::AwaitRefund { .. } | State::AwaitPreimage { .. } | State::Learning { .. } | State::Reclaiming { .. }
        );
        self.run.gives().lock().filter(|_| waits).map(|lock| lock.refund_after)
    }

    /// How the run ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        match self.state {
            State::Ended { ending } => Some(ending),
            _ => None,
        }
    }
}

impl State {
    /// The state's name, as it is stored and shown.
    pub fn name(&self) -> &'static str {
        match self {
            State::Ready => "ready",
            State::Checking { .. } => "checking",
            State::AwaitPromiseSignature { .. } => "await-promise-signature",
            State::Locking { .. } => "locking",
            State::AwaitPeerPromise { .. } => "await-peer-promise",
            State::Opening { .. } => "opening",
            State::AwaitRefund { .. } => "await-refund",
            State::AwaitPreimage { .. } => "await-preimage",
            State::Learning { .. } => "learning",
            State::Reclaiming { .. } => "reclaiming",
            State::Taking { .. } => "taking",
            State::Ended { .. } => "ended",
        }
    }
}

/// ```text
/// lx = { 0: 1, 1: state name, 2: run, ? 3: [* promised], ? 4: promised (ours), ? 5: asked, ? 6: gone, ? 7: signed promise, ? 8: preimage,
///        ? 11: ending }
/// ```
/// 3 holds the promises that the state has, in the order of the roles; where a state may have one or none, that is told by its length.
impl Encode for Lx {
    fn to_value(&self) -> Value {
        let stored = record().put(0, 1_u64).put(1, self.state.name()).put_item(2, &self.run);
        match &self.state {
            State::Ready => stored,
            State::Checking { ours, theirs } => {
                stored.put_list(3, std::slice::from_ref(theirs)).put_some(4, ours.as_ref().map(Encode::to_value))
            }
            State::AwaitPromiseSignature { theirs } => stored.put_list(3, theirs.as_slice()),
            State::Locking { promise, theirs } => stored.put_list(3, theirs.as_slice()).put_item(7, promise),
            State::AwaitPeerPromise { ours } | State::AwaitRefund { ours } => {
                stored.put_list(3, std::slice::from_ref(ours))
            }
            State::Opening { promises } => stored.put_list(3, promises),
            State::AwaitPreimage { promises, asked } => stored.put_list(3, promises).put(5, u64::from(*asked)),
            State::Learning { promises, asked, gone } => {
                stored.put_list(3, promises).put(5, u64::from(*asked)).put(6, *gone)
            }
            State::Reclaiming { promises, asked, preimage } => {
                stored.put_list(3, promises).put(5, u64::from(*asked)).put_some(8, preimage.map(Value::bytes))
            }
            State::Taking { preimage } => stored.put_bytes(8, preimage),
            State::Ended { ending } => stored.put_item(11, ending),
        }
        .build()
    }
}

impl Decode for Lx {
    const BYTES_MAX: usize = 4 * Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let name = fields.text(1, "state", 32)?;
        let run: Run = fields.item(2, "run")?;
        if run.core().terms.profile != Profile::Lx {
            return Err(DecodeError::field(
                "run",
                Problem::OutOfRange("this machine runs contracts without an arbiter"),
            ));
        }
        let state = read(&mut fields, &name)?;
        fields.close()?;
        Ok(Self { run, state })
    }
}

fn read(fields: &mut Fields, name: &str) -> Result<State, DecodeError> {
    Ok(match name {
        "ready" => State::Ready,
        "checking" => State::Checking { theirs: one(fields)?, ours: fields.optional_item(4, "promise")? },
        "await-promise-signature" => State::AwaitPromiseSignature { theirs: none_or_one(fields)? },
        "locking" => State::Locking { promise: fields.item(7, "promise")?, theirs: none_or_one(fields)? },
        "await-peer-promise" => State::AwaitPeerPromise { ours: one(fields)? },
        "opening" => State::Opening { promises: both(fields)? },
        "await-refund" => State::AwaitRefund { ours: one(fields)? },
        "await-preimage" => State::AwaitPreimage { promises: both(fields)?, asked: fields.small(5, "asked")? },
        "learning" => {
            let (promises, asked) = (both(fields)?, fields.small(5, "asked")?);
            State::Learning { promises, asked, gone: fields.bool(6, "gone")? }
        }
        "reclaiming" => {
            let preimage = fields.optional_item::<Digest>(8, "preimage")?.map(|preimage| *preimage.as_bytes());
            State::Reclaiming { promises: promises(fields)?, asked: fields.small(5, "asked")?, preimage }
        }
        "taking" => State::Taking { preimage: fields.exact(8, "preimage")? },
        "ended" => State::Ended { ending: fields.item(11, "ending")? },
        _ => return Err(DecodeError::field("state", Problem::Unknown { what: "state", found: name.to_owned() })),
    })
}

fn promises(fields: &mut Fields) -> Result<Vec<Promised>, DecodeError> {
    fields.list(3, "promises", 2)
}

fn both(fields: &mut Fields) -> Result<[Promised; 2], DecodeError> {
    let wrong = |_| DecodeError::field("promises", Problem::OutOfRange("two promises are needed"));
    promises(fields)?.try_into().map_err(wrong)
}

fn none_or_one(fields: &mut Fields) -> Result<Option<Promised>, DecodeError> {
    fields.list(3, "promises", 1).map(|mut promises| promises.pop())
}

fn one(fields: &mut Fields) -> Result<Promised, DecodeError> {
    let wrong = |_| DecodeError::field("promises", Problem::OutOfRange("one promise is needed"));
    let [promise] = promises(fields)?.try_into().map_err(wrong)?;
    Ok(promise)
}
