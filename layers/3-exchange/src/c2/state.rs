//! The machine of both roles.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::Final;
use semper_core::cose::{Draft, Signed};
use semper_core::ids::{Slot, StatementId};
use semper_core::machine::{Blame, Env, Fault, Machine, Step};
use semper_core::party::Role;
use semper_core::signature::{SignatureError, Verified, answers, verify};
use semper_support::archive::Fact;
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};
use semper_support::flaws::{self, Flaw};

use super::{Message, Run};
use crate::arbiter::request::{Abort, Request, RequestError, Resolve, check_promise};
use crate::arbiter::verdict::{ArbiterAnswer, ClosedUnused, Outcome, Verdict};

/// Timer: the user's patience with the peer.
pub const PATIENCE: &str = "patience";
/// Timer: the last moment to ask the arbiter.
pub const DEADLINE: &str = "deadline";
/// Fact space that holds every contract this party has run: the key is the contract's identifier.
pub const RUN_SPACE: &str = "run";

/// One party's side of a C2 run. Each state holds just what is known in it; `promises` are the originator's and the responder's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum C2 {
    /// Nothing has happened: the originator waits for its user to begin, the responder for message 1.
    Ready {
        /// The run.
        run: Run,
    },
    /// Our promise is to be signed, if the user agrees.
    AwaitPromiseSignature {
        /// The run.
        run: Run,
        /// The originator's promise, which a responder holds already.
        theirs: Option<Signed>,
    },
    /// The originator's promise is out; the responder's is awaited.
    AwaitPeerPromise {
        /// The run.
        run: Run,
        /// Our promise.
        ours: Signed,
    },
    /// Our final is to be signed. From here on the originator never aborts.
    AwaitFinalSignature {
        /// The run.
        run: Run,
        /// Both promises.
        promises: [Signed; 2],
        /// The originator's final, which a responder holds already.
        theirs: Option<Signed>,
    },
    /// The peer's final is awaited.
    AwaitPeerFinal {
        /// The run.
        run: Run,
        /// Both promises.
        promises: [Signed; 2],
    },
    /// The originator's request to abort is to be signed.
    AwaitAbortSignature {
        /// The run.
        run: Run,
        /// Our promise.
        ours: Signed,
    },
    /// Our request to resolve is to be signed.
    AwaitResolveSignature {
        /// The run.
        run: Run,
        /// Both promises.
        promises: [Signed; 2],
    },
    /// The arbiter was asked. Only its verdict ends this state.
    AwaitVerdict {
        /// The run.
        run: Run,
        /// What the arbiter was asked.
        question: StatementId,
        /// The originator's promise and, when resolving, the responder's.
        promises: Vec<Signed>,
    },
    /// The run has ended.
    Ended {
        /// The run.
        run: Run,
        /// How.
        ending: Ending,
    },
}

/// Why an input was not accepted. The stored state stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum C2Error {
    /// The peer's message is not a C2 message.
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
    /// The contract's time is over, or so nearly that the arbiter might not be reached in time.
    #[error("the contract can no longer be signed safely before its deadline")]
    TooLate,
    /// The arbiter's answer is malformed, not signed by it, or does not follow from the contract. Kept as evidence by the driver.
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

impl Blame for C2Error {
    fn fault(&self) -> Fault {
        match self {
            C2Error::Malformed(_) | C2Error::PeerSignature { .. } | C2Error::PeerMismatch(_) => Fault::PeerMisbehaved,
            C2Error::TooLate => Fault::Environment,
            C2Error::BadVerdict(_) => Fault::ThirdParty,
            C2Error::WrongSignature | C2Error::OutOfPlace { .. } => Fault::Misuse,
        }
    }
}

impl Machine for C2 {
    type Input = Input;
    type Effect = Effect;
    type Error = C2Error;

    fn handle(self, env: &Env<'_>, input: Input) -> Result<Step<Self>, C2Error> {
        match input {
            Input::Begin => self.begin(env),
            Input::Message(bytes) => {
                let message = Message::from_bytes(&bytes).map_err(C2Error::Malformed)?;
                self.receive(env, message, bytes)
            }
            Input::Signed(signed) => self.signed(env, signed),
            Input::Declined { statement } => self.declined(statement),
            Input::ArbiterSays(bytes) => self.decided(env, &bytes),
            Input::Timer(_) | Input::GiveUp => Ok(self.give_up()),
            // A receipt says that a message arrived, not that it was read: it moves nothing.
            Input::Delivered => Ok(Step::to(self)),
            // A signed contract moves no money.
            Input::Operated(_) => Err(C2Error::OutOfPlace { state: self.state_name(), input: "operated" }),
        }
    }
}

impl C2 {
    /// A run that has not begun. The originator begins it with [`Input::Begin`]; a responder begins with message 1.
    pub fn new(run: Run) -> Self {
        C2::Ready { run }
    }

    /// The run.
    pub fn run(&self) -> &Run {
        match self {
            C2::Ready { run }
            | C2::AwaitPromiseSignature { run, .. }
            | C2::AwaitPeerPromise { run, .. }
            | C2::AwaitFinalSignature { run, .. }
            | C2::AwaitPeerFinal { run, .. }
            | C2::AwaitAbortSignature { run, .. }
            | C2::AwaitResolveSignature { run, .. }
            | C2::AwaitVerdict { run, .. }
            | C2::Ended { run, .. } => run,
        }
    }

    /// How the run ended, if it has.
    pub fn ending(&self) -> Option<Ending> {
        match self {
            C2::Ended { ending, .. } => Some(*ending),
            _ => None,
        }
    }

    /// The state's name, as it is stored and shown.
    pub fn state_name(&self) -> &'static str {
        match self {
            C2::Ready { .. } => "ready",
            C2::AwaitPromiseSignature { .. } => "await-promise-signature",
            C2::AwaitPeerPromise { .. } => "await-peer-promise",
            C2::AwaitFinalSignature { .. } => "await-final-signature",
            C2::AwaitPeerFinal { .. } => "await-peer-final",
            C2::AwaitAbortSignature { .. } => "await-abort-signature",
            C2::AwaitResolveSignature { .. } => "await-resolve-signature",
            C2::AwaitVerdict { .. } => "await-verdict",
            C2::Ended { .. } => "ended",
        }
    }

    fn begin(self, env: &Env<'_>) -> Result<Step<Self>, C2Error> {
        match self {
            C2::Ready { run } if run.role() == Role::ORIGINATOR => {
                in_time(env, &run)?;
                let ask = Effect::Sign { draft: run.promise(None), consent: Consent::Ask };
                let once = once(&run);
                Ok(Step {
                    state: C2::AwaitPromiseSignature { run, theirs: None },
                    effects: once.into_iter().chain([ask]).collect(),
                })
            }
            other => Err(other.out_of_place("begin")),
        }
    }

    fn receive(self, env: &Env<'_>, message: Message, bytes: Vec<u8>) -> Result<Step<Self>, C2Error> {
        match (self, message) {
            (C2::Ready { run }, Message::Promise(theirs)) if run.role() == Role::RESPONDER => {
                in_time(env, &run)?;
                let theirs = peer_promise(env, &run, &theirs, None)?;
                let ask = Effect::Sign { draft: run.promise(Some(theirs.id())), consent: Consent::Ask };
                let effects = once(&run).into_iter().chain([Effect::keep(&theirs), ask]).collect();
                Ok(Step { state: C2::AwaitPromiseSignature { run, theirs: Some(theirs) }, effects })
            }
            (C2::AwaitPeerPromise { run, ours }, Message::Promise(theirs)) => {
                let theirs = peer_promise(env, &run, &theirs, Some(ours.id()))?;
                let kept = Effect::keep(&theirs);
                if env.now > run.core().terms.deadlines.last_step() {
                    // Too late to send a final that might have to be defended before the arbiter; too late for nobody to abort.
                    return Ok(ask_abort(run, ours).with(kept));
                }
                let promises = [ours, theirs];
                let sign = Effect::Sign { draft: run.completion(ids(&promises)), consent: Consent::Implied };
                Ok(Step::to(C2::AwaitFinalSignature { run, promises, theirs: None })
                    .with(kept)
                    .with(Effect::CancelTimer(PATIENCE))
                    .with(sign))
            }
            // The peer declines: the run is ended as if patience had run out. What it says binds nobody.
            (C2::AwaitPeerPromise { run, ours }, Message::Decline(_)) => Ok(ask_abort(run, ours)),
            (C2::AwaitPeerFinal { run, promises }, Message::Final(theirs)) => {
                let theirs = peer_final(env, &run, &theirs, &promises)?;
                let kept = Effect::keep(&theirs);
                if run.role() == Role::ORIGINATOR {
                    return Ok(end(run, Ending::Success, vec![kept]));
                }
                let sign = Effect::Sign { draft: run.completion(ids(&promises)), consent: Consent::Implied };
                Ok(Step::to(C2::AwaitFinalSignature { run, promises, theirs: Some(theirs) })
                    .with(kept)
                    .with(Effect::CancelTimer(PATIENCE))
                    .with(sign))
            }
            (C2::AwaitVerdict { run, promises, .. }, Message::Promise(theirs))
                if flaws::active(Flaw::ContinueAfterAbort) && promises.len() == 1 =>
            {
                let theirs = peer_promise(env, &run, &theirs, Some(promises[0].id()))?;
                let promises = [promises[0].clone(), theirs];
                let sign = Effect::Sign { draft: run.completion(ids(&promises)), consent: Consent::Implied };
                Ok(Step::to(C2::AwaitFinalSignature { run, promises, theirs: None }).with(sign))
            }
            // Doubled or late: nothing changes. What the peer said is kept, for it may contradict what it said elsewhere. The driver
            // takes each distinct message once and bounds how many it takes.
            (state, _) => Ok(Step::to(state).with(Effect::Keep { kind: EvidenceKind::Late, bytes })),
        }
    }

    fn signed(self, env: &Env<'_>, signed: Signed) -> Result<Step<Self>, C2Error> {
        match self {
            C2::AwaitPromiseSignature { run, theirs } => {
                let answers = theirs.as_ref().map(Signed::id);
                let ours = own(env, &run, run.promise(answers), signed)?;
                if env.now > run.core().terms.deadlines.last_step() {
                    // The user took too long. The promise was never sent and never will be.
                    return Ok(end(run, Ending::Lapsed, Vec::new()));
                }
                let due = env.now.after(run.patience());
                let deadline = run.core().terms.deadlines.last_step();
                let mut effects = vec![
                    Effect::keep(&ours),
                    Effect::Send(Message::Promise(ours.clone()).to_bytes()),
                    Effect::SetTimer { name: PATIENCE, due: due.min(deadline) },
                ];
                let Some(theirs) = theirs else {
                    return Ok(Step { state: C2::AwaitPeerPromise { run, ours }, effects });
                };
                effects.push(Effect::SetTimer { name: DEADLINE, due: deadline });
                Ok(Step { state: C2::AwaitPeerFinal { run, promises: [theirs, ours] }, effects })
            }
            C2::AwaitFinalSignature { run, promises, theirs } => {
                let ours = own(env, &run, run.completion(ids(&promises)), signed)?;
                if theirs.is_none() && env.now > run.core().terms.deadlines.last_step() {
                    return Ok(ask_resolve(run, promises));
                }
                let sent = vec![Effect::keep(&ours), Effect::Send(Message::Final(ours).to_bytes())];
                if theirs.is_some() {
                    return Ok(end(run, Ending::Success, sent));
                }
                let deadline = run.core().terms.deadlines.last_step();
                let due = env.now.after(run.patience()).min(deadline);
                let mut step = Step { state: C2::AwaitPeerFinal { run, promises }, effects: sent };
                step.effects.push(Effect::SetTimer { name: PATIENCE, due });
                step.effects.push(Effect::SetTimer { name: DEADLINE, due: deadline });
                Ok(step)
            }
            C2::AwaitAbortSignature { run, ours } => {
                let abort = Abort { cid: run.cid(), slot: Slot::default(), promise: ours.id() };
                let question = own(env, &run, run.draft(&abort), signed)?;
                Ok(ask_arbiter(run, question, vec![ours]))
            }
            C2::AwaitResolveSignature { run, promises } => {
                let question = own(env, &run, resolve_draft(&run, &promises), signed)?;
                Ok(ask_arbiter(run, question, promises.into()))
            }
            // The answer to a request that was overtaken: it is never sent.
            other => Ok(Step::to(other)),
        }
    }

    fn declined(self, statement: StatementId) -> Result<Step<Self>, C2Error> {
        match self {
            C2::AwaitPromiseSignature { run, theirs } => {
                if run.promise(theirs.as_ref().map(Signed::id)).id() != statement {
                    return Err(C2Error::WrongSignature);
                }
                Ok(withdraw(run, theirs.is_some()))
            }
            other => Ok(Step::to(other)),
        }
    }

    /// Ends the run with what this party can do alone. Safe in every state; a second call changes nothing.
    fn give_up(self) -> Step<Self> {
        match self {
            C2::Ready { run } => end(run, Ending::Lapsed, Vec::new()),
            C2::AwaitPromiseSignature { run, theirs } => withdraw(run, theirs.is_some()),
            C2::AwaitPeerPromise { run, ours } => ask_abort(run, ours),
            C2::AwaitPeerFinal { run, promises }
                if flaws::active(Flaw::AbortAfterFinal) && run.role() == Role::ORIGINATOR =>
            {
                let [ours, _] = promises;
                ask_abort(run, ours)
            }
            C2::AwaitFinalSignature { run, promises, .. } | C2::AwaitPeerFinal { run, promises } => {
                ask_resolve(run, promises)
            }
            waiting_for_the_arbiter_or_ended => Step::to(waiting_for_the_arbiter_or_ended),
        }
    }

    fn decided(self, env: &Env<'_>, bytes: &[u8]) -> Result<Step<Self>, C2Error> {
        let C2::AwaitVerdict { run, question, promises } = self else {
            // The arbiter's answer came twice.
            return Ok(Step::to(self));
        };
        let bad = |reason: &dyn std::fmt::Display| C2Error::BadVerdict(reason.to_string());
        let answer = ArbiterAnswer::from_bytes(bytes).map_err(|e| bad(&e))?;
        let log = answer.log.iter().map(|receipt| (EvidenceKind::LogReceipt, receipt.to_bytes()));
        let kept = [(EvidenceKind::Statement, answer.statement.bytes().to_vec())].into_iter().chain(log);
        let kept: Vec<_> = kept.map(|(kind, bytes)| Effect::Keep { kind, bytes }).collect();
        if let Ok(status) = verify::<ClosedUnused>(env.verify, run.arbiter(), &answer.statement) {
            let status = status.statement();
            if status.cid != run.cid() || status.slot != Slot::default() || status.request != question {
                return Err(bad(&"the status answers another request"));
            }
            return Ok(end(run, Ending::Lapsed, kept));
        }
        let verdict: Verified<Verdict> = verify(env.verify, run.arbiter(), &answer.statement).map_err(|e| bad(&e))?;
        let verdict = verdict.statement();
        if verdict.cid != run.cid() || verdict.slot != Slot::default() {
            return Err(bad(&"the verdict is about another contract"));
        }
        match verdict.outcome {
            Outcome::Aborted => Ok(end(run, Ending::Aborted, kept)),
            Outcome::Resolved => {
                // With the verdict come the promises it completes: whoever asked for an abort may lack the responder's.
                let [first, second] = answer.promises.as_slice() else {
                    return Err(bad(&"the promises that the verdict rests on are missing"));
                };
                let [originator, responder] = run.key_sets();
                let check = |signer, promise, role, answers| {
                    check_promise(env.verify, signer, promise, run.cid(), role, answers)
                        .map_err(|e: RequestError| bad(&e))
                };
                let first = check(originator, first, Role::ORIGINATOR, None)?;
                let second = check(responder, second, Role::RESPONDER, Some(first.id()))?;
                if verdict.basis.get(1..) != Some(&[first.id(), second.id()]) {
                    return Err(bad(&"the verdict rests on other promises"));
                }
                let new = [first, second].into_iter().filter(|p| promises.iter().all(|have| have.id() != p.id()));
                let effects = new.map(|promise| Effect::keep(promise.signed())).chain(kept).collect();
                Ok(end(run, Ending::Success, effects))
            }
        }
    }

    fn out_of_place(&self, input: &'static str) -> C2Error {
        C2Error::OutOfPlace { state: self.state_name(), input }
    }
}

/// Refuses to begin a run that could not be defended before the arbiter any more.
fn in_time(env: &Env<'_>, run: &Run) -> Result<(), C2Error> {
    if env.now > run.core().terms.deadlines.last_step() { Err(C2Error::TooLate) } else { Ok(()) }
}

/// One contract is run once, ever: the fact and the first state are one commit.
fn once(run: &Run) -> Option<Effect> {
    if flaws::active(Flaw::NoDedup) || flaws::active(Flaw::UnboundFinal) {
        return None;
    }
    let key = run.cid().as_bytes().to_vec();
    Some(Effect::Once(Fact { space: RUN_SPACE.to_owned(), key, value: Vec::new() }))
}

fn peer_promise(env: &Env<'_>, run: &Run, promise: &Signed, answers: Option<StatementId>) -> Result<Signed, C2Error> {
    let role = run.role().peer();
    match check_promise(env.verify, run.key_set(role), promise, run.cid(), role, answers) {
        Ok(promise) => Ok(promise.signed().clone()),
        Err(RequestError::Signature { error, .. }) => Err(C2Error::PeerSignature { what: "promise", error }),
        Err(_) => Err(C2Error::PeerMismatch("promise")),
    }
}

fn peer_final(env: &Env<'_>, run: &Run, signed: &Signed, promises: &[Signed; 2]) -> Result<Signed, C2Error> {
    let role = run.role().peer();
    let checked: Verified<Final> = verify(env.verify, run.key_set(role), signed)
        .map_err(|error| C2Error::PeerSignature { what: "final", error })?;
    let expected = Final { cid: run.cid(), role, promises: ids(promises) };
    let said = checked.statement();
    let bound = said.promises == expected.promises || flaws::active(Flaw::UnboundFinal);
    if said.cid != expected.cid || said.role != role || !bound {
        return Err(C2Error::PeerMismatch("final"));
    }
    Ok(checked.signed().clone())
}

/// Checks what the key holder returned: just the statement that was asked for, validly signed.
fn own(env: &Env<'_>, run: &Run, draft: Draft, signed: Signed) -> Result<Signed, C2Error> {
    let mine = run.key_set(run.role());
    if answers(env.verify, mine, &draft, &signed) { Ok(signed) } else { Err(C2Error::WrongSignature) }
}

fn ids(promises: &[Signed; 2]) -> [StatementId; 2] {
    [promises[0].id(), promises[1].id()]
}

/// Ends a run in which this party has said nothing yet. A responder tells the originator, as a courtesy.
fn withdraw(run: Run, tell: bool) -> Step<C2> {
    let told = tell.then(|| Effect::Send(Message::Decline(String::new()).to_bytes()));
    end(run, Ending::Lapsed, told.into_iter().collect())
}

fn ask_abort(run: Run, ours: Signed) -> Step<C2> {
    let abort = Abort { cid: run.cid(), slot: Slot::default(), promise: ours.id() };
    let sign = Effect::Sign { draft: run.draft(&abort), consent: Consent::Implied };
    Step::to(C2::AwaitAbortSignature { run, ours }).with(Effect::CancelTimer(PATIENCE)).with(sign)
}

fn ask_resolve(run: Run, promises: [Signed; 2]) -> Step<C2> {
    let sign = Effect::Sign { draft: resolve_draft(&run, &promises), consent: Consent::Implied };
    Step::to(C2::AwaitResolveSignature { run, promises })
        .with(Effect::CancelTimer(PATIENCE))
        .with(Effect::CancelTimer(DEADLINE))
        .with(sign)
}

fn resolve_draft(run: &Run, promises: &[Signed; 2]) -> Draft {
    run.draft(&Resolve { cid: run.cid(), slot: Slot::default(), promises: ids(promises), role: run.role() })
}

fn ask_arbiter(run: Run, question: Signed, promises: Vec<Signed>) -> Step<C2> {
    let request = Request {
        core: run.core().clone(),
        key_sets: run.key_sets().clone(),
        promises: promises.clone(),
        question: question.clone(),
    };
    let asked = question.id();
    Step::to(C2::AwaitVerdict { run, question: asked, promises })
        .with(Effect::keep(&question))
        .with(Effect::AskArbiter(request.to_bytes()))
}

fn end(run: Run, ending: Ending, mut effects: Vec<Effect>) -> Step<C2> {
    effects.extend([Effect::CancelTimer(PATIENCE), Effect::CancelTimer(DEADLINE), Effect::Ended(ending)]);
    Step { state: C2::Ended { run, ending }, effects }
}

/// ```text
/// c2 = { 0: 1, 1: state name, 2: run, ? 3: [* signed promise], ? 4: signed final, ? 5: question, ? 6: ending }
/// ```
/// 3 holds the promises that the state has, in the order of the roles.
impl Encode for C2 {
    fn to_value(&self) -> Value {
        let stored = record().put(0, 1_u64).put(1, self.state_name()).put_item(2, self.run());
        match self {
            C2::Ready { .. } => stored,
            C2::AwaitPromiseSignature { theirs, .. } => stored.put_list(3, theirs.as_slice()),
            C2::AwaitPeerPromise { ours, .. } | C2::AwaitAbortSignature { ours, .. } => {
                stored.put_list(3, std::slice::from_ref(ours))
            }
            C2::AwaitFinalSignature { promises, theirs, .. } => {
                stored.put_list(3, promises).put_some(4, theirs.as_ref().map(Encode::to_value))
            }
            C2::AwaitPeerFinal { promises, .. } | C2::AwaitResolveSignature { promises, .. } => {
                stored.put_list(3, promises)
            }
            C2::AwaitVerdict { question, promises, .. } => stored.put_list(3, promises).put_item(5, question),
            C2::Ended { ending, .. } => stored.put_item(6, ending),
        }
        .build()
    }
}

impl Decode for C2 {
    const BYTES_MAX: usize = 256 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let name = fields.text(1, "state", 32)?;
        let run: Run = fields.item(2, "run")?;
        let promises = |fields: &mut Fields| fields.list::<Signed>(3, "promises", 2);
        let state = match name.as_str() {
            "ready" => C2::Ready { run },
            "await-promise-signature" => C2::AwaitPromiseSignature { run, theirs: promises(&mut fields)?.pop() },
            "await-peer-promise" => C2::AwaitPeerPromise { run, ours: one(promises(&mut fields)?)? },
            "await-abort-signature" => C2::AwaitAbortSignature { run, ours: one(promises(&mut fields)?)? },
            "await-final-signature" => {
                let promises = exactly(promises(&mut fields)?)?;
                C2::AwaitFinalSignature { run, promises, theirs: fields.optional_item(4, "final")? }
            }
            "await-peer-final" => C2::AwaitPeerFinal { run, promises: exactly(promises(&mut fields)?)? },
            "await-resolve-signature" => C2::AwaitResolveSignature { run, promises: exactly(promises(&mut fields)?)? },
            "await-verdict" => {
                let promises = promises(&mut fields)?;
                C2::AwaitVerdict { run, question: fields.item(5, "question")?, promises }
            }
            "ended" => C2::Ended { run, ending: fields.item(6, "ending")? },
            _ => return Err(DecodeError::field("state", Problem::Unknown { what: "state", found: name })),
        };
        fields.close()?;
        Ok(state)
    }
}

fn one(promises: Vec<Signed>) -> Result<Signed, DecodeError> {
    exactly(promises).map(|[promise]| promise)
}

fn exactly<const N: usize>(promises: Vec<Signed>) -> Result<[Signed; N], DecodeError> {
    let wrong = |_| DecodeError::field("promises", Problem::OutOfRange("the state has another number of promises"));
    promises.try_into().map_err(wrong)
}
