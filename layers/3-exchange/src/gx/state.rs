//! Where one party's side stands, and how it is stored.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::Profile;
use semper_core::cose::Signed;
use semper_core::ids::StatementId;
use semper_core::machine::{Blame, Fault};
use semper_core::signature::SignatureError;
use semper_core::time::Time;
use semper_support::engine::Ending;
use semper_transfer::credential::NotGood;
use semper_transfer::payment::operation::HANDOVER_MAX;

use super::message::{Message, PROOF_MAX, Promised};
use super::{Completed, Run};

/// One party's side of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gx {
    pub(super) run: Run,
    pub(super) state: State,
}

/// Where it stands. Each state holds just what is known in it; `promises` are the originator's and the responder's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing has happened: the originator waits for its user to begin, the responder for message 1.
    Ready,
    /// The money that the peer has locked is being checked, and it is found out where ours is to go. The responder has not promised yet.
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
        /// Where money is to go that the peer has locked.
        payout: Vec<u8>,
    },
    /// Our money is being locked. The promise is signed and goes out with the token.
    Depositing {
        /// Our promise.
        promise: Signed,
        /// The originator's promise, which a responder holds already.
        theirs: Option<Promised>,
        /// Where money is to go that the peer has locked.
        payout: Vec<u8>,
    },
    /// The originator's promise is out; the responder's is awaited.
    AwaitPeerPromise {
        /// Our promise.
        ours: Promised,
    },
    /// Our item is being prepared. From here on the originator never aborts.
    Releasing {
        /// Both promises.
        promises: [Promised; 2],
        /// Where money is to go that the peer has locked.
        payout: Vec<u8>,
    },
    /// Our final is to be signed. The originator never aborts.
    AwaitFinalSignature {
        /// Both promises.
        promises: [Promised; 2],
        /// Our item.
        release: Vec<u8>,
        /// Where money is to go that the peer has locked.
        payout: Vec<u8>,
    },
    /// The peer's final is awaited.
    AwaitPeerFinal {
        /// Both promises.
        promises: [Promised; 2],
    },
    /// The peer's item is here, and is being examined or taken.
    Taking {
        /// Both promises.
        promises: [Promised; 2],
        /// The peer's final, with its item.
        theirs: Completed,
    },
    /// We have paid for a right that was passed on to us. That the money has come is to be said by the peer.
    AwaitQuittance {
        /// Both promises; the token of the originator's is the credential that was made for us.
        promises: [Promised; 2],
    },
    /// The peer's money is here. That we say so is to be signed.
    AwaitQuittanceSignature,
    /// A question to the arbiter is to be signed.
    Asking {
        /// The question.
        question: Question,
        /// The originator's promise and, unless it aborts, the responder's.
        promises: Vec<Promised>,
    },
    /// The arbiter was asked. Only its answer ends this state; or the date after which our money comes back without it.
    AwaitVerdict {
        /// The question.
        question: Question,
        /// The signed question.
        asked: StatementId,
        /// As above.
        promises: Vec<Promised>,
    },
    /// The arbiter has completed the contract and opened the information; it is being examined.
    Examining {
        /// Both promises.
        promises: Vec<Promised>,
        /// The arbiter's attestation of the key.
        release: Vec<u8>,
    },
    /// The money that was sent by plain transfer is asked for at its issuer: it comes back, or the issuer shows that the payee has it.
    Proving {
        /// Both promises.
        promises: [Promised; 2],
    },
    /// The arbiter has completed the contract; our money comes when the time for complaints is over. Or money by plain transfer could not be taken: the
    /// arbiter says what became of the contract when its time is over.
    AwaitWindow {
        /// Both promises.
        promises: Vec<Promised>,
    },
    /// Where money is to go that the arbiter shall let go of is being found out.
    Arranging {
        /// Which money.
        due: Due,
        /// As above.
        promises: Vec<Promised>,
    },
    /// The money is being taken, as the arbiter has ruled.
    Collecting {
        /// Which money.
        due: Due,
    },
    /// Our locked money is being taken back after its date, because the arbiter has not answered.
    Reclaiming {
        /// The question that is open.
        question: Question,
        /// As above.
        promises: Vec<Promised>,
    },
    /// The arbiter has ruled that the right which we have passed on is to be called back; its issuer is asked.
    Recalling {
        /// The verdict.
        verdict: StatementId,
    },
    /// The run has ended.
    Ended {
        /// How.
        ending: Ending,
    },
}

/// What the arbiter is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// To abort; by the originator.
    Abort,
    /// To complete the contract from its promises.
    Resolve {
        /// The proof of the payment, if this party has paid by plain transfer; else empty.
        proof: Vec<u8>,
    },
    /// To have the right called back that was passed on and not paid; by the originator.
    Revoke,
    /// What became of the contract; by the payee of a plain transfer, when the contract's time is over.
    Inquire,
    /// To find that the peer's item is not what was promised.
    Complain {
        /// What proves it.
        proof: Vec<u8>,
    },
    /// To let go of locked money, as it has ruled.
    Settle {
        /// Which money.
        due: Due,
        /// Where it is to go.
        payout: Vec<u8>,
    },
}

/// Money that is due to this party after a ruling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Due {
    /// The peer's, for our item.
    Payment,
    /// Our own; the run ends in this way when it is back.
    Refund(Ending),
}

/// Why an input was not accepted. The stored state stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GxError {
    /// The peer's message is not one of this protocol.
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
    /// A validly signed statement of the peer belongs to another contract, role or promise: a replay, or an attempt to have two
    /// versions of one contract.
    #[error("the peer's {0} belongs to another contract or another promise")]
    PeerMismatch(&'static str),
    /// The right that the peer is to show is not kept for this contract, or what it is to pass on is not what the contract says.
    #[error("the right that the other party is to give: {0}")]
    NotShown(NotGood),
    /// The contract's time is over, or so nearly that the arbiter might not be reached in time.
    #[error("the contract can no longer be signed safely before its deadline")]
    TooLate,
    /// The arbiter's answer is malformed, not signed by it, or does not follow from the contract. Kept as evidence by the driver.
    #[error("the arbiter's answer is not acceptable: {0}")]
    BadVerdict(String),
    /// The key holder returned something that was not asked for.
    #[error("the key holder returned a statement that was not asked for")]
    WrongSignature,
    /// A driver's answer is malformed: a bug of the driver.
    #[error("the driver's answer is malformed: {0}")]
    Answer(DecodeError),
    /// The input cannot occur in this state: a bug of the driver.
    #[error("{input} cannot occur while the run is in the state {state}")]
    OutOfPlace {
        /// The state.
        state: &'static str,
        /// The input.
        input: &'static str,
    },
}

impl Blame for GxError {
    fn fault(&self) -> Fault {
        match self {
            GxError::Malformed(_) | GxError::PeerSignature { .. } | GxError::PeerMismatch(_) | GxError::NotShown(_) => {
                Fault::PeerMisbehaved
            }
            GxError::TooLate => Fault::Environment,
            GxError::BadVerdict(_) => Fault::ThirdParty,
            GxError::WrongSignature | GxError::Answer(_) | GxError::OutOfPlace { .. } => Fault::Misuse,
        }
    }
}

impl Gx {
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

    /// The date on which this party asks for money that the arbiter has found to be due to it, while it waits for that date: the end of
    /// the time for complaints, and twice the tolerance of clocks. Of the payee of a plain transfer that has not come: when it asks the arbiter what
    /// became of the contract.
    pub fn waits_until(&self) -> Option<Time> {
        match self.state {
            State::AwaitWindow { .. } | State::AwaitPeerFinal { .. } if self.run.is_transferred() => {
                Some(self.run.closed_at())
            }
            State::AwaitWindow { .. } => self.run.complaints_end(),
            _ => None,
        }
    }

    /// Whether what it prepares or takes now is the peer's money, or its own by plain transfer.
    pub fn moves_money(&self) -> bool {
        self.run.gets().is_money() || self.run.gives().transfer().is_some()
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
            State::Depositing { .. } => "depositing",
            State::AwaitPeerPromise { .. } => "await-peer-promise",
            State::Releasing { .. } => "releasing",
            State::AwaitFinalSignature { .. } => "await-final-signature",
            State::AwaitPeerFinal { .. } => "await-peer-final",
            State::Taking { .. } => "taking",
            State::AwaitQuittance { .. } => "await-quittance",
            State::AwaitQuittanceSignature => "await-quittance-signature",
            State::Asking { question, .. } => match question {
                Question::Abort => "await-abort-signature",
                Question::Resolve { .. } => "await-resolve-signature",
                Question::Revoke => "await-revocation-signature",
                Question::Inquire => "await-inquiry-signature",
                Question::Complain { .. } => "await-complaint-signature",
                Question::Settle { .. } => "await-settlement-signature",
            },
            State::AwaitVerdict { .. } => "await-verdict",
            State::Examining { .. } => "examining",
            State::Proving { .. } => "proving",
            State::AwaitWindow { .. } => "await-window",
            State::Arranging { .. } => "arranging",
            State::Collecting { .. } => "collecting",
            State::Reclaiming { .. } => "reclaiming",
            State::Recalling { .. } => "recalling",
            State::Ended { .. } => "ended",
        }
    }
}

/// ```text
/// gx = { 0: 1, 1: state name, 2: run, ? 3: [* promised], ? 4: completed, ? 5: question, ? 6: asked, ? 7: signed promise, ? 8: payout,
///        ? 9: release, ? 10: due, ? 11: ending }
/// question = { 0: "abort" / "inquire" / "revoke" } / { 0: "resolve", ? 1: proof } / { 0: "complain", 1: proof } / { 0: "settle", 1: payout, 2: due }
/// due      = { 0: "payment" } / { 0: "refund", 1: ending }
/// ```
/// 3 holds the promises that the state has, in the order of the roles; where a state may have one or none, that is told by its length.
impl Encode for Gx {
    fn to_value(&self) -> Value {
        let stored = record().put(0, 1_u64).put(1, self.state.name()).put_item(2, &self.run);
        match &self.state {
            State::Ready | State::AwaitQuittanceSignature => stored,
            State::Checking { ours, theirs } => {
                stored.put_list(3, std::slice::from_ref(theirs)).put_some(4, ours.as_ref().map(Encode::to_value))
            }
            State::AwaitPromiseSignature { theirs, payout } => {
                stored.put_list(3, theirs.as_slice()).put_bytes(8, payout)
            }
            State::Depositing { promise, theirs, payout } => {
                stored.put_list(3, theirs.as_slice()).put_item(7, promise).put_bytes(8, payout)
            }
            State::AwaitPeerPromise { ours } => stored.put_list(3, std::slice::from_ref(ours)),
            State::Releasing { promises, payout } => stored.put_list(3, promises).put_bytes(8, payout),
            State::AwaitFinalSignature { promises, release, payout } => {
                stored.put_list(3, promises).put_bytes(8, payout).put_bytes(9, release)
            }
            State::AwaitPeerFinal { promises } | State::AwaitQuittance { promises } | State::Proving { promises } => {
                stored.put_list(3, promises)
            }
            State::Taking { promises, theirs } => stored.put_list(3, promises).put_item(4, theirs),
            State::Asking { question, promises } | State::Reclaiming { question, promises } => {
                stored.put_list(3, promises).put_item(5, question)
            }
            State::AwaitVerdict { question, asked, promises } => {
                stored.put_list(3, promises).put_item(5, question).put_item(6, asked)
            }
            State::Examining { promises, release } => stored.put_list(3, promises).put_bytes(9, release),
            State::AwaitWindow { promises } => stored.put_list(3, promises),
            State::Arranging { due, promises } => stored.put_list(3, promises).put_item(10, due),
            State::Collecting { due } => stored.put_item(10, due),
            State::Recalling { verdict } => stored.put_item(6, verdict),
            State::Ended { ending } => stored.put_item(11, ending),
        }
        .build()
    }
}

impl Decode for Gx {
    const BYTES_MAX: usize = 4 * Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let name = fields.text(1, "state", 32)?;
        let run: Run = fields.item(2, "run")?;
        if matches!(run.core().terms.profile, Profile::Lx | Profile::Ix) {
            return Err(DecodeError::field(
                "run",
                Problem::OutOfRange("a contract without an arbiter, or through its hands, is run by another machine"),
            ));
        }
        let state = Reader(&mut fields).state(&name)?;
        fields.close()?;
        Ok(Self { run, state })
    }
}

struct Reader<'a>(&'a mut Fields);

impl Reader<'_> {
    fn state(&mut self, name: &str) -> Result<State, DecodeError> {
        Ok(match name {
            "ready" => State::Ready,
            "checking" => State::Checking { theirs: self.one()?, ours: self.0.optional_item(4, "promise")? },
            "await-promise-signature" => {
                State::AwaitPromiseSignature { theirs: self.promises()?.pop(), payout: self.payout()? }
            }
            "depositing" => {
                let theirs = self.promises()?.pop();
                State::Depositing { promise: self.0.item(7, "promise")?, theirs, payout: self.payout()? }
            }
            "await-peer-promise" => State::AwaitPeerPromise { ours: self.one()? },
            "releasing" => State::Releasing { promises: self.exactly()?, payout: self.payout()? },
            "await-final-signature" => {
                let (promises, release) = (self.exactly()?, self.release()?);
                State::AwaitFinalSignature { promises, release, payout: self.payout()? }
            }
            "proving" => State::Proving { promises: self.exactly()? },
            "await-peer-final" => State::AwaitPeerFinal { promises: self.exactly()? },
            "await-quittance" => State::AwaitQuittance { promises: self.exactly()? },
            "recalling" => State::Recalling { verdict: self.0.item(6, "verdict")? },
            "await-quittance-signature" => State::AwaitQuittanceSignature,
            "taking" => State::Taking { promises: self.exactly()?, theirs: self.0.item(4, "final")? },
            "await-abort-signature"
            | "await-resolve-signature"
            | "await-revocation-signature"
            | "await-inquiry-signature"
            | "await-complaint-signature"
            | "await-settlement-signature" => State::Asking { question: self.question()?, promises: self.promises()? },
            "await-verdict" => {
                let (question, promises) = (self.question()?, self.promises()?);
                State::AwaitVerdict { question, asked: self.0.item(6, "asked")?, promises }
            }
            "reclaiming" => State::Reclaiming { question: self.question()?, promises: self.promises()? },
            "examining" => State::Examining { promises: self.promises()?, release: self.release()? },
            "await-window" => State::AwaitWindow { promises: self.promises()? },
            "arranging" => State::Arranging { promises: self.promises()?, due: self.0.item(10, "due")? },
            "collecting" => State::Collecting { due: self.0.item(10, "due")? },
            "ended" => State::Ended { ending: self.0.item(11, "ending")? },
            _ => {
                let problem = Problem::Unknown { what: "state", found: name.to_owned() };
                return Err(DecodeError::field("state", problem));
            }
        })
    }

    fn promises(&mut self) -> Result<Vec<Promised>, DecodeError> {
        self.0.list(3, "promises", 2)
    }

    fn one(&mut self) -> Result<Promised, DecodeError> {
        self.exactly().map(|[promise]| promise)
    }

    fn exactly<const N: usize>(&mut self) -> Result<[Promised; N], DecodeError> {
        let wrong = |_| DecodeError::field("promises", Problem::OutOfRange("the state has another number of promises"));
        self.promises()?.try_into().map_err(wrong)
    }

    fn payout(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.0.bytes(8, "payout", HANDOVER_MAX)
    }

    fn release(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.0.bytes(9, "release", HANDOVER_MAX)
    }

    fn question(&mut self) -> Result<Question, DecodeError> {
        self.0.item(5, "question")
    }
}

impl Encode for Question {
    fn to_value(&self) -> Value {
        match self {
            Question::Abort => record().put(0, "abort"),
            Question::Resolve { proof } => {
                record().put(0, "resolve").put_some(1, (!proof.is_empty()).then(|| Value::bytes(proof.as_slice())))
            }
            Question::Revoke => record().put(0, "revoke"),
            Question::Inquire => record().put(0, "inquire"),
            Question::Complain { proof } => record().put(0, "complain").put_bytes(1, proof),
            Question::Settle { due, payout } => record().put(0, "settle").put_bytes(1, payout).put_item(2, due),
        }
        .build()
    }
}

impl Decode for Question {
    const BYTES_MAX: usize = 2 * HANDOVER_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let name = fields.text(0, "question", 16)?;
        let question = match name.as_str() {
            "abort" => Question::Abort,
            "resolve" => match fields.optional(1) {
                None => Question::Resolve { proof: Vec::new() },
                Some(value) => Question::Resolve { proof: proof(value)? },
            },
            "revoke" => Question::Revoke,
            "inquire" => Question::Inquire,
            "complain" => Question::Complain { proof: fields.bytes(1, "proof", PROOF_MAX)? },
            "settle" => {
                Question::Settle { payout: fields.bytes(1, "payout", HANDOVER_MAX)?, due: fields.item(2, "due")? }
            }
            _ => return Err(DecodeError::field("question", Problem::Unknown { what: "question", found: name })),
        };
        fields.close()?;
        Ok(question)
    }
}

/// A proof of payment, which is there: an empty one is left out.
fn proof(value: Value) -> Result<Vec<u8>, DecodeError> {
    let proof = Fields::open(record().put(0, value).build())?.bytes(0, "proof", PROOF_MAX)?;
    let empty = || DecodeError::field("proof", Problem::OutOfRange("it is not empty, or not there"));
    if proof.is_empty() { Err(empty()) } else { Ok(proof) }
}

impl Encode for Due {
    fn to_value(&self) -> Value {
        match self {
            Due::Payment => record().put(0, "payment"),
            Due::Refund(ending) => record().put(0, "refund").put_item(1, ending),
        }
        .build()
    }
}

impl Decode for Due {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let name = fields.text(0, "due", 16)?;
        let due = match name.as_str() {
            "payment" => Due::Payment,
            "refund" => Due::Refund(fields.item(1, "ending")?),
            _ => return Err(DecodeError::field("due", Problem::Unknown { what: "money", found: name })),
        };
        fields.close()?;
        Ok(due)
    }
}
