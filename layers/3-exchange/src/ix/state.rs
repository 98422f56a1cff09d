//! Where one party's side stands, and how it is stored.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::Profile;
use semper_core::cose::Signed;
use semper_core::ids::StatementId;
use semper_support::engine::Ending;

use crate::gx::{Message, Promised, Run, place};

/// One party's side of an exchange through the hands of the arbiter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ix {
    pub(super) run: Run,
    pub(super) state: State,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing has happened: the originator waits for its user to begin, the responder for message 1.
    Ready,
    /// Our promise is to be signed, if the user agrees.
    AwaitPromiseSignature {
        /// The originator's promise, which a responder holds already.
        theirs: Option<Promised>,
    },
    /// The originator's promise is out; the responder's is awaited.
    AwaitPeerPromise {
        /// Our promise.
        ours: Promised,
    },
    /// A question to the arbiter is to be signed.
    Asking {
        /// Which.
        question: Question,
        /// What it is about.
        stake: Stake,
    },
    /// The arbiter is asked.
    AwaitAnswer {
        /// What.
        question: Question,
        /// In these words.
        asked: StatementId,
        /// What it is about.
        stake: Stake,
    },
    /// The arbiter has asked for our deposit: it is being paid.
    Paying {
        /// What it is about.
        stake: Stake,
    },
    /// The arbiter has paid us: the peer's money, or our own back. Its token is being taken.
    Receiving {
        /// What it is about.
        stake: Stake,
        /// How the run ends when the money is here.
        ending: Ending,
    },
    /// Our payment, which the arbiter has not taken, is being taken back.
    Reclaiming {
        /// What it is about.
        stake: Stake,
    },
    /// An issuer has refused: the arbiter is asked again after a while.
    Resting {
        /// What it is about.
        stake: Stake,
    },
    /// The run has ended.
    Ended {
        /// How.
        ending: Ending,
    },
}

/// What the arbiter is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// How it stands.
    Inquire,
    /// To take our deposit.
    Deposit,
    /// To let everybody off, if it has not both deposits.
    Abort,
}

/// What a party has at stake once both have promised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stake {
    /// Both promises; with ours the token of our payment to the arbiter, once there is one.
    pub promises: [Promised; 2],
    /// The arbiter's request for our deposit, once it has sent it.
    pub request: Option<Signed>,
    /// Whether the arbiter has said that it has our deposit.
    pub taken: bool,
    /// How often an issuer has refused what we wanted of it.
    pub tries: u8,
}

impl Stake {
    /// Of a party that has paid nothing.
    pub(super) fn new(promises: [Promised; 2]) -> Self {
        Self { promises, request: None, taken: false, tries: 0 }
    }

    /// The token of our payment; empty before it.
    pub(super) fn token(&self, run: &Run) -> &[u8] {
        &self.promises[place(run.role())].token
    }

    /// Whether we have paid.
    pub(super) fn is_paid(&self, run: &Run) -> bool {
        !self.token(run).is_empty()
    }
}

impl Ix {
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

    /// What this party has at stake, from both promises on and until it has been paid or takes its payment back.
    pub fn stake(&self) -> Option<&Stake> {
        match &self.state {
            State::Asking { stake, .. }
            | State::AwaitAnswer { stake, .. }
            | State::Paying { stake }
            | State::Resting { stake } => Some(stake),
            State::Receiving { .. }
            | State::Reclaiming { .. }
            | State::Ready
            | State::AwaitPromiseSignature { .. }
            | State::AwaitPeerPromise { .. }
            | State::Ended { .. } => None,
        }
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
            State::AwaitPromiseSignature { .. } => "await-promise-signature",
            State::AwaitPeerPromise { .. } => "await-peer-promise",
            State::Asking { question, .. } => match question {
                Question::Inquire => "await-inquiry-signature",
                Question::Deposit => "await-deposit-signature",
                Question::Abort => "await-abort-signature",
            },
            State::AwaitAnswer { question, .. } => match question {
                Question::Inquire => "await-verdict",
                Question::Deposit => "await-receipt",
                Question::Abort => "await-abort",
            },
            State::Paying { .. } => "paying",
            State::Receiving { .. } => "receiving",
            State::Reclaiming { .. } => "reclaiming",
            State::Resting { .. } => "resting",
            State::Ended { .. } => "ended",
        }
    }
}

/// ```text
/// ix    = { 0: 1, 1: state name, 2: run, ? 3: [* promised], ? 4: stake, ? 6: asked, ? 11: ending }
/// stake = { 0: [2 promised], ? 1: signed payment request, 2: taken, 3: tries }
/// ```
/// 3 holds the promises that a state without a stake has; where it may have one or none, that is told by its length.
impl Encode for Ix {
    fn to_value(&self) -> Value {
        let stored = record().put(0, 1_u64).put(1, self.state.name()).put_item(2, &self.run);
        match &self.state {
            State::Ready => stored,
            State::AwaitPromiseSignature { theirs } => stored.put_list(3, theirs.as_slice()),
            State::AwaitPeerPromise { ours } => stored.put_list(3, std::slice::from_ref(ours)),
            State::Asking { stake, .. }
            | State::Paying { stake }
            | State::Reclaiming { stake }
            | State::Resting { stake } => stored.put_item(4, stake),
            State::AwaitAnswer { asked, stake, .. } => stored.put_item(4, stake).put_item(6, asked),
            State::Receiving { stake, ending } => stored.put_item(4, stake).put_item(11, ending),
            State::Ended { ending } => stored.put_item(11, ending),
        }
        .build()
    }
}

impl Decode for Ix {
    const BYTES_MAX: usize = 4 * Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let name = fields.text(1, "state", 32)?;
        let run: Run = fields.item(2, "run")?;
        if run.core().terms.profile != Profile::Ix {
            let rule = "this machine runs contracts that go through the arbiter's hands";
            return Err(DecodeError::field("run", Problem::OutOfRange(rule)));
        }
        let state = read(&mut fields, &name)?;
        fields.close()?;
        Ok(Self { run, state })
    }
}

fn read(fields: &mut Fields, name: &str) -> Result<State, DecodeError> {
    let asking = |fields: &mut Fields, question| Ok(State::Asking { question, stake: stake(fields)? });
    let answer = |fields: &mut Fields, question| {
        Ok(State::AwaitAnswer { question, stake: stake(fields)?, asked: fields.item(6, "asked")? })
    };
    match name {
        "ready" => Ok(State::Ready),
        "await-promise-signature" => Ok(State::AwaitPromiseSignature { theirs: promises(fields, 1)?.pop() }),
        "await-peer-promise" => {
            let one = promises(fields, 1)?.pop();
            let missing = || DecodeError::field("promises", Problem::OutOfRange("one promise is needed"));
            Ok(State::AwaitPeerPromise { ours: one.ok_or_else(missing)? })
        }
        "await-inquiry-signature" => asking(fields, Question::Inquire),
        "await-deposit-signature" => asking(fields, Question::Deposit),
        "await-abort-signature" => asking(fields, Question::Abort),
        "await-verdict" => answer(fields, Question::Inquire),
        "await-receipt" => answer(fields, Question::Deposit),
        "await-abort" => answer(fields, Question::Abort),
        "paying" => Ok(State::Paying { stake: stake(fields)? }),
        "receiving" => Ok(State::Receiving { stake: stake(fields)?, ending: fields.item(11, "ending")? }),
        "reclaiming" => Ok(State::Reclaiming { stake: stake(fields)? }),
        "resting" => Ok(State::Resting { stake: stake(fields)? }),
        "ended" => Ok(State::Ended { ending: fields.item(11, "ending")? }),
        _ => Err(DecodeError::field("state", Problem::Unknown { what: "state", found: name.to_owned() })),
    }
}

fn promises(fields: &mut Fields, most: usize) -> Result<Vec<Promised>, DecodeError> {
    fields.list(3, "promises", most)
}

fn stake(fields: &mut Fields) -> Result<Stake, DecodeError> {
    fields.item(4, "stake")
}

impl Encode for Stake {
    fn to_value(&self) -> Value {
        record()
            .put_list(0, &self.promises)
            .put_some(1, self.request.as_ref().map(Encode::to_value))
            .put(2, self.taken)
            .put(3, u64::from(self.tries))
            .build()
    }
}

impl Decode for Stake {
    const BYTES_MAX: usize = 3 * Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let promises: Vec<Promised> = fields.list(0, "promises", 2)?;
        let wrong = |_| DecodeError::field("promises", Problem::OutOfRange("two promises are needed"));
        let stake = Self {
            promises: promises.try_into().map_err(wrong)?,
            request: fields.optional_item(1, "request")?,
            taken: fields.bool(2, "taken")?,
            tries: fields.small(3, "tries")?,
        };
        fields.close()?;
        Ok(stake)
    }
}
