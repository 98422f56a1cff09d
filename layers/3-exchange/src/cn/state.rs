//! Where one party's side stands, and how it is stored.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::Signed;
use semper_core::ids::StatementId;
use semper_core::machine::{Blame, Fault};
use semper_core::party::Role;
use semper_support::engine::Ending;

use super::Run;
use super::circle::{RoundError, SIGNERS_MAX, round_field};
use super::message::Message;

/// One party's side of a contract that many sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cn {
    pub(super) run: Run,
    pub(super) state: State,
}

/// Where it stands. Each state holds just what is known in it. `last` is the sheet of the round before, empty in round 1; `heard` are
/// the signatures of the present round that are here, in the order of the roles.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing has happened: the originator waits for its user to begin, the others for the originator's first signature.
    Ready {
        /// First signatures of others.
        heard: Vec<Signed>,
    },
    /// The user reads the contract. Nothing was said yet.
    AwaitConsent {
        /// First signatures of others.
        heard: Vec<Signed>,
    },
    /// Our signature on a later round is to be made; it follows from the first.
    AwaitSignature {
        /// The round, from 2.
        round: u8,
        /// The sheet of the round before.
        last: Vec<Signed>,
        /// What is here of this round.
        heard: Vec<Signed>,
    },
    /// Our signature on a round is out; those of others are awaited.
    AwaitRound {
        /// The round.
        round: u8,
        /// The sheet of the round before.
        last: Vec<Signed>,
        /// What is here of this round, ours included.
        heard: Vec<Signed>,
        /// What is here of the next one.
        ahead: Vec<Signed>,
    },
    /// The question to the arbiter is to be signed. Nothing is signed any more but this.
    Asking {
        /// The round in which somebody was waited for in vain.
        round: u8,
        /// The sheet of the round before.
        last: Vec<Signed>,
    },
    /// The arbiter was asked. Only its answer ends this state.
    AwaitVerdict {
        /// As above.
        round: u8,
        /// The signed question.
        asked: StatementId,
    },
    /// The run has ended.
    Ended {
        /// How.
        ending: Ending,
    },
}

/// Why an input was not accepted. The stored state stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CnError {
    /// The message is not one of this protocol.
    #[error("the message is malformed: {0}")]
    Malformed(DecodeError),
    /// A signature is not a party's, or belongs to another contract, party or round.
    #[error("{0}")]
    PeerSignature(String),
    /// The contract's time is over, or so nearly that the arbiter might not be reached in time.
    #[error("the contract can no longer be signed safely before its deadline")]
    TooLate,
    /// The arbiter's answer is malformed, not signed by it, or does not carry what it rests on.
    #[error("the arbiter's answer is not acceptable: {0}")]
    BadVerdict(String),
    /// The key holder returned something that was not asked for.
    #[error("the key holder returned a statement that was not asked for")]
    WrongSignature,
    /// The input cannot occur in this state: a bug of the driver.
    #[error("{input} cannot occur while the run is in the state {state}")]
    OutOfPlace {
        /// The state.
        state: &'static str,
        /// The input.
        input: &'static str,
    },
}

impl From<RoundError> for CnError {
    fn from(error: RoundError) -> Self {
        CnError::PeerSignature(error.to_string())
    }
}

impl Blame for CnError {
    fn fault(&self) -> Fault {
        match self {
            CnError::Malformed(_) | CnError::PeerSignature(_) => Fault::PeerMisbehaved,
            CnError::TooLate => Fault::Environment,
            CnError::BadVerdict(_) => Fault::ThirdParty,
            CnError::WrongSignature | CnError::OutOfPlace { .. } => Fault::Misuse,
        }
    }
}

impl Cn {
    /// A run that has not begun. The originator begins it with `Input::Begin`; the others begin with its first signature.
    pub fn new(run: Run) -> Self {
        Self { run, state: State::Ready { heard: Vec::new() } }
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

    /// How the run ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        match self.state {
            State::Ended { ending } => Some(ending),
            _ => None,
        }
    }

    /// Whose signature of the present round is not here, in the order of the roles. Nobody's, where nobody is waited for.
    pub fn missing(&self) -> Vec<Role> {
        match &self.state {
            State::AwaitRound { heard, .. } => {
                let here = |role: &Role| heard.iter().any(|signed| self.run.circle().signer(signed) == Some(*role));
                self.run.circle().roles().filter(|role| !here(role)).collect()
            }
            State::Ready { .. } if self.run.role() != Role::ORIGINATOR => vec![Role::ORIGINATOR],
            _ => Vec::new(),
        }
    }
}

impl State {
    /// The state's name, as it is stored and shown.
    pub fn name(&self) -> &'static str {
        match self {
            State::Ready { .. } => "ready",
            State::AwaitConsent { .. } => "await-consent",
            State::AwaitSignature { .. } => "await-signature",
            State::AwaitRound { .. } => "await-round",
            State::Asking { .. } => "await-ask-signature",
            State::AwaitVerdict { .. } => "await-verdict",
            State::Ended { .. } => "ended",
        }
    }
}

/// ```text
/// cn = { 0: 1, 1: state name, 2: run, ? 3: round, ? 4: last, ? 5: heard, ? 6: ahead, ? 7: asked, ? 8: ending }
/// ```
impl Encode for Cn {
    fn to_value(&self) -> Value {
        let stored = record().put(0, 1_u64).put(1, self.state.name()).put_item(2, &self.run);
        match &self.state {
            State::Ready { heard } | State::AwaitConsent { heard } => stored.put_list(5, heard),
            State::AwaitSignature { round, last, heard } => {
                stored.put(3, u64::from(*round)).put_list(4, last).put_list(5, heard)
            }
            State::AwaitRound { round, last, heard, ahead } => {
                stored.put(3, u64::from(*round)).put_list(4, last).put_list(5, heard).put_list(6, ahead)
            }
            State::Asking { round, last } => stored.put(3, u64::from(*round)).put_list(4, last),
            State::AwaitVerdict { round, asked } => stored.put(3, u64::from(*round)).put_item(7, asked),
            State::Ended { ending } => stored.put_item(8, ending),
        }
        .build()
    }
}

impl Decode for Cn {
    const BYTES_MAX: usize = 4 * SIGNERS_MAX * Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let name = fields.text(1, "state", 32)?;
        let run: Run = fields.item(2, "run")?;
        let mut list = |key, name| fields.list(key, name, SIGNERS_MAX);
        let state = match name.as_str() {
            "ready" => State::Ready { heard: list(5, "heard")? },
            "await-consent" => State::AwaitConsent { heard: list(5, "heard")? },
            "await-signature" => {
                let (last, heard) = (list(4, "last")?, list(5, "heard")?);
                State::AwaitSignature { round: round_field(&mut fields, 3)?, last, heard }
            }
            "await-round" => {
                let (last, heard, ahead) = (list(4, "last")?, list(5, "heard")?, list(6, "ahead")?);
                State::AwaitRound { round: round_field(&mut fields, 3)?, last, heard, ahead }
            }
            "await-ask-signature" => State::Asking { last: list(4, "last")?, round: round_field(&mut fields, 3)? },
            "await-verdict" => {
                State::AwaitVerdict { round: round_field(&mut fields, 3)?, asked: fields.item(7, "asked")? }
            }
            "ended" => State::Ended { ending: fields.item(8, "ending")? },
            _ => {
                let problem = Problem::Unknown { what: "state", found: name };
                return Err(DecodeError::field("state", problem));
            }
        };
        fields.close()?;
        Ok(Self { run, state })
    }
}
