//! What moves it on.

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::ids::{Slot, StatementId};
use semper_core::machine::{Env, Machine, Step};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verified, verify};
use semper_core::time::Seconds;
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};
use semper_support::flaws::{self, Flaw};
use semper_transfer::payment::operation::{self, Failure, Outcome as Moved, Task};
use semper_transfer::payment::statement::{PaymentReceipt, PaymentRequest};

use super::{Ix, Question, Stake, State};
use crate::arbiter::hands::{Answer, Deposit, deposit_request, token_hash};
use crate::arbiter::request::{Abort, Inquiry, Request};
use crate::arbiter::verdict::{ClosedUnused, Outcome, Verdict};
use crate::gx::{DEADLINE, GxError, Handed, Message, PATIENCE, Promised, REFUND, Run, place};

/// The verb of our payment to the arbiter.
const PAY: &str = "pay";

/// How often an issuer may refuse what we want of it, before a person must look.
pub(super) const TRIES_MAX: u8 = 8;

impl Machine for Ix {
    type Input = Input;
    type Effect = Effect;
    type Error = GxError;

    fn handle(self, env: &Env<'_>, input: Input) -> Result<Step<Self>, GxError> {
        match input {
            Input::Begin => self.begin(env),
            Input::Message(bytes) => {
                let message = Message::from_bytes(&bytes).map_err(GxError::Malformed)?;
                self.receive(env, message, bytes)
            }
            Input::Signed(signed) => self.signed(env, signed),
            Input::Declined { statement } => self.declined(statement),
            Input::Operated(bytes) => {
                let answer = operation::Answer::from_bytes(&bytes).map_err(GxError::Answer)?;
                Ok(self.operated(env, answer))
            }
            Input::ArbiterSays(bytes) => self.answered(env, &bytes),
            Input::Timer(REFUND) => Ok(self.unanswered()),
            Input::Timer(_) | Input::GiveUp => Ok(self.give_up()),
            // Nobody shows a right here or gives information. And a receipt says that a message arrived, not that it was read.
            Input::Examined(_) | Input::Said(_) | Input::Delivered | Input::Restored => Ok(Step::to(self)),
        }
    }
}

impl Ix {
    fn begin(self, env: &Env<'_>) -> Result<Step<Self>, GxError> {
        let Ix { run, state } = self;
        match state {
            State::Ready if run.role() == Role::ORIGINATOR => {
                run.in_time(env)?;
                // A question that nobody answers in time is not asked for ever.
                let deadline = Effect::SetTimer { name: DEADLINE, due: run.last_step() };
                let first = run.once().into_iter().chain(run.asked_of_arbiter(env)?).chain([deadline]);
                Ok(agree(run, None).after(first))
            }
            other => Err(GxError::OutOfPlace { state: other.name(), input: "begin" }),
        }
    }

    fn receive(self, env: &Env<'_>, message: Message, bytes: Vec<u8>) -> Result<Step<Self>, GxError> {
        let Ix { run, state } = self;
        match (state, message) {
            (State::Ready, Message::Promise(theirs)) if run.role() == Role::RESPONDER => {
                run.in_time(env)?;
                run.peer_promise(env, &theirs, None)?;
                let asked = run.asked_of_arbiter(env)?;
                let first = run.once().into_iter().chain(asked).chain([Effect::keep(&theirs.promise)]);
                Ok(agree(run, Some(theirs)).after(first))
            }
            (State::AwaitPeerPromise { ours }, Message::Promise(theirs)) => {
                run.peer_promise(env, &theirs, Some(ours.promise.id()))?;
                let first = [Effect::keep(&theirs.promise), Effect::CancelTimer(PATIENCE)];
                Ok(ask(run, Question::Inquire, Stake::new([ours, theirs])).after(first))
            }
            // The peer will not go on. Where we have paid nothing, we are bound to nothing.
            (State::Ready, Message::Decline(_)) if run.role() == Role::RESPONDER => {
                Ok(end(run, Ending::Lapsed, Vec::new()))
            }
            (State::AwaitPromiseSignature { .. } | State::AwaitPeerPromise { .. }, Message::Decline(_)) => {
                Ok(end(run, Ending::Lapsed, Vec::new()))
            }
            (
                state @ (State::Asking { .. } | State::AwaitAnswer { .. } | State::Paying { .. }),
                Message::Decline(_),
            ) => Ok(Ix { run, state }.leave(false)),
            // Doubled or late: nothing changes. What the peer said is kept. The driver takes each distinct message once and bounds how many it takes.
            (state, _) => Ok(to(run, state).with(Effect::Keep { kind: EvidenceKind::Late, bytes })),
        }
    }

    fn signed(self, env: &Env<'_>, signed: Signed) -> Result<Step<Self>, GxError> {
        let Ix { run, state } = self;
        match state {
            State::AwaitPromiseSignature { theirs } => {
                let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
                let promise = run.own(env, run.promise(answers), signed)?;
                if env.now > run.last_step() {
                    // The user took too long. The promise was never sent and never will be.
                    return Ok(withdraw(run));
                }
                Ok(promised(env, run, Promised::bare(promise), theirs))
            }
            State::Asking { question, stake } => {
                let asked = run.own(env, draft(&run, question, &stake), signed)?;
                Ok(ask_arbiter(env, run, question, &asked, stake))
            }
            // The answer to a request that was overtaken: it is never sent.
            other => Ok(to(run, other)),
        }
    }

    fn declined(self, statement: StatementId) -> Result<Step<Self>, GxError> {
        let Ix { run, state } = self;
        match state {
            State::AwaitPromiseSignature { theirs } => {
                let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
                if run.promise(answers).id() != statement {
                    return Err(GxError::WrongSignature);
                }
                Ok(withdraw(run))
            }
            other => Ok(to(run, other)),
        }
    }

    /// A payment operation has ended.
    fn operated(self, env: &Env<'_>, answer: operation::Answer) -> Step<Self> {
        let Ix { run, state } = self;
        let is = |verb: &str| run.operation(verb) == Some(answer.id);
        match (state, answer.result) {
            (State::Paying { mut stake }, Ok(Moved { handover, .. })) if is(PAY) => {
                stake.promises[place(run.role())].token = handover;
                // From here on it is the arbiter that ends the run, or our issuer.
                let timers = [Effect::CancelTimer(DEADLINE), Effect::SetTimer { name: REFUND, due: run.closed_at() }];
                ask(run, Question::Deposit, stake).after(timers)
            }
            (State::Paying { .. }, Err(failure)) if is(PAY) => not_paid(run, &failure),
            (State::Receiving { stake, .. }, Err(_)) if is(&numbered("receive", &stake)) => later(env, run, stake),
            (State::Receiving { stake, ending }, Ok(_)) if is(&numbered("receive", &stake)) => {
                end(run, ending, Vec::new())
            }
            (State::Reclaiming { stake }, Ok(Moved { moved, .. })) if is(&numbered("reclaim", &stake)) => {
                // The payment is ours again, so nobody can pay it on; or the arbiter has taken it all the same, and owes it.
                if moved.minor() > 0 { end(run, Ending::Aborted, Vec::new()) } else { later(env, run, stake) }
            }
            (State::Reclaiming { stake }, Err(_)) if is(&numbered("reclaim", &stake)) => later(env, run, stake),
            // What was wanted before something else came: it changes nothing any more.
            (state, _) => to(run, state),
        }
    }

    /// The arbiter has answered.
    fn answered(self, env: &Env<'_>, bytes: &[u8]) -> Result<Step<Self>, GxError> {
        let Ix { run, state } = self;
        let State::AwaitAnswer { question, asked, stake } = state else {
            // It came twice, or after something else was begun that ends first.
            return Ok(to(run, state));
        };
        let answer = Answer::from_bytes(bytes).map_err(|e| bad(&e))?;
        let said = Said::read(env, &run, &stake, &answer)?;
        let Said { decision, request, taken, evidence } = said;
        let paid = stake.is_paid(&run);
        let stake = Stake { taken: stake.taken || taken, ..stake };
        let then = match (decision, request) {
            (Some(Decision::Unused), _) if paid => return Err(bad(&"it has asked for our money before")),
            (Some(Decision::Unused), _) => end(run, Ending::Lapsed, Vec::new()),
            (Some(Decision::Aborted), _) if !paid => end(run, Ending::Aborted, Vec::new()),
            (Some(Decision::Resolved), _) if !paid => return Err(bad(&"we have given nothing")),
            (Some(Decision::Resolved), _) => take(run, stake, answer.token, Ending::Success)?,
            (Some(Decision::Aborted), _) if flaws::active(Flaw::ForgottenDeposit) => {
                end(run, Ending::Aborted, Vec::new())
            }
            (Some(Decision::Aborted), _) if !stake.taken => reclaim(run, stake),
            (Some(Decision::Aborted), _) => take(run, stake, answer.token, Ending::Aborted)?,
            // The answer to an earlier question, once more.
            (None, _) if answer.question != asked => to(run, State::AwaitAnswer { question, asked, stake }),
            (None, Some(request)) if !paid => pay(env, run, stake, request),
            (None, None) if !paid => return Err(bad(&"it does not ask for our deposit")),
            // It has the money: now the peer's is awaited.
            (None, _) if question == Question::Deposit && taken => ask(run, Question::Inquire, stake),
            // Our token was not good, its issuer says.
            (None, _) if question == Question::Deposit => ask(run, Question::Abort, stake),
            (None, _) => to(run, State::AwaitAnswer { question, asked, stake }),
        };
        Ok(then.after(evidence))
    }

    /// Ends the run with what this party can do alone. Safe in every state; a second call changes nothing.
    fn give_up(self) -> Step<Self> {
        match self.state {
            State::Ready => end(self.run, Ending::Lapsed, Vec::new()),
            State::AwaitPromiseSignature { .. } => withdraw(self.run),
            State::Resting { stake } => ask(self.run, Question::Inquire, stake),
            _ => self.leave(true),
        }
    }

    /// Leaves a run in which both may have promised: alone if we have paid nothing, else with the arbiter. `tell`: the peer does not know it.
    fn leave(self, tell: bool) -> Step<Self> {
        let Ix { run, state } = self;
        let told = tell.then(|| Effect::Send(Message::decline("").to_bytes()));
        match state {
            State::AwaitPeerPromise { .. } => end(run, Ending::Lapsed, told.into_iter().collect()),
            State::Asking { stake, .. } | State::AwaitAnswer { stake, .. } if !stake.is_paid(&run) => {
                end(run, Ending::Lapsed, told.into_iter().collect())
            }
            State::AwaitAnswer { question: Question::Deposit | Question::Inquire, stake, .. } => {
                ask(run, Question::Abort, stake)
            }
            state @ State::Paying { .. } => {
                let pending = run.abandon(PAY);
                to(run, state).with_all(pending)
            }
            waiting_for_somebody_who_answers_or_ended => to(run, waiting_for_somebody_who_answers_or_ended),
        }
    }

    /// The contract's time is long over, and the arbiter has not said that it has our deposit. What it has not taken comes back without it.
    fn unanswered(self) -> Step<Self> {
        let Ix { run, state } = self;
        match state {
            State::Asking { stake, .. } | State::AwaitAnswer { stake, .. } if !stake.taken && stake.is_paid(&run) => {
                reclaim(run, stake)
            }
            other => to(run, other),
        }
    }
}

/// What an answer of the arbiter's says, checked.
struct Said {
    decision: Option<Decision>,
    /// Its request for our deposit.
    request: Option<Signed>,
    /// Whether it has our deposit.
    taken: bool,
    evidence: Vec<Effect>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Unused,
    Aborted,
    Resolved,
}

impl Said {
    fn read(env: &Env<'_>, run: &Run, stake: &Stake, answer: &Answer) -> Result<Self, GxError> {
        let arbiter = run.arbiter().ok_or_else(|| bad(&"the contract names no arbiter"))?;
        let decision = match &answer.statement {
            None => None,
            Some(status) if status.kind() == Kind::Status => {
                let status: Verified<ClosedUnused> = verify(env.verify, arbiter, status).map_err(|e| bad(&e))?;
                let ours = (status.statement().cid, status.statement().slot) == (run.cid(), Slot::default());
                Some(if ours { Decision::Unused } else { return Err(bad(&"the status is about another contract")) })
            }
            Some(verdict) => Some(decision(env, run, stake, arbiter, verdict)?),
        };
        let requested = [Role::ORIGINATOR, Role::RESPONDER].map(|owner| requested(env, run, arbiter, answer, owner));
        let [first, second] = requested;
        let requests = [first?, second?];
        let mut evidence: Vec<_> = requests.iter().flatten().chain(&answer.statement).map(Effect::keep).collect();
        let log = answer.log.iter().map(|log| Effect::Keep { kind: EvidenceKind::LogReceipt, bytes: log.to_bytes() });
        evidence.extend(log);
        let mut taken = [false; 2];
        for receipt in &answer.receipts {
            let said: Verified<PaymentReceipt> = verify(env.verify, arbiter, receipt).map_err(|e| bad(&e))?;
            let of = requests
                .iter()
                .position(|request| request.as_ref().is_some_and(|request| request.id() == said.statement().request));
            taken[of.ok_or_else(|| bad(&"the receipt is for something else"))?] = true;
            evidence.push(Effect::keep(receipt));
        }
        let ours = place(run.role());
        let request = requests[ours].clone();
        if stake.request.is_some() && request.as_ref().map(Signed::id) != stake.request.as_ref().map(Signed::id) {
            return Err(bad(&"it has asked for our deposit in other words before"));
        }
        Ok(Self { decision, request, taken: taken[ours], evidence })
    }
}

fn decision(env: &Env<'_>, run: &Run, stake: &Stake, arbiter: &KeySet, verdict: &Signed) -> Result<Decision, GxError> {
    let verdict: Verified<Verdict> = verify(env.verify, arbiter, verdict).map_err(|e| bad(&e))?;
    let verdict = verdict.statement();
    let promises = stake.promises.each_ref().map(|promised| promised.promise.id());
    if (verdict.cid, verdict.slot) != (run.cid(), Slot::default()) || verdict.basis.get(1..) != Some(&promises) {
        return Err(bad(&"the verdict is about another contract, or rests on other promises"));
    }
    match verdict.outcome {
        Outcome::Aborted => Ok(Decision::Aborted),
        Outcome::Resolved => Ok(Decision::Resolved),
        Outcome::Fault(_) | Outcome::Revoked => Err(bad(&"it does not follow from the contract")),
    }
}

/// The arbiter's request for a party's deposit: what the contract says, and where to pay.
fn requested(
    env: &Env<'_>,
    run: &Run,
    arbiter: &KeySet,
    answer: &Answer,
    owner: Role,
) -> Result<Option<Signed>, GxError> {
    let Some(request) = answer.requests.get(place(owner)) else { return Ok(None) };
    let asked: Verified<PaymentRequest> = verify(env.verify, arbiter, request).map_err(|e| bad(&e))?;
    let asked = asked.statement();
    let leg = if owner == run.role() { run.gives() } else { run.gets() };
    let fits =
        leg.handed().is_some_and(|handed| *asked == deposit_request(run.core(), owner, handed, asked.details.clone()));
    if fits { Ok(Some(request.clone())) } else { Err(bad(&"it asks for another payment than the contract's")) }
}

fn bad(reason: &dyn std::fmt::Display) -> GxError {
    GxError::BadVerdict(reason.to_string())
}

/// Asks the user.
fn agree(run: Run, theirs: Option<Promised>) -> Step<Ix> {
    let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
    let ask = Effect::Sign { draft: run.promise(answers), consent: Consent::Ask };
    to(run, State::AwaitPromiseSignature { theirs }).with(ask)
}

/// Our promise goes out. The responder, which holds both, asks the arbiter.
fn promised(env: &Env<'_>, run: Run, ours: Promised, theirs: Option<Promised>) -> Step<Ix> {
    let last_step = run.last_step();
    let out = [Effect::keep(&ours.promise), Effect::Send(Message::Promise(ours.clone()).to_bytes())];
    match theirs {
        None => {
            let patience = env.now.after(run.patience()).min(last_step);
            let timers = [(PATIENCE, patience), (DEADLINE, last_step)];
            let timers = timers.map(|(name, due)| Effect::SetTimer { name, due });
            to(run, State::AwaitPeerPromise { ours }).with_all(out).with_all(timers)
        }
        Some(theirs) => {
            let deadline = Effect::SetTimer { name: DEADLINE, due: last_step };
            ask(run, Question::Inquire, Stake::new([theirs, ours])).after(out.into_iter().chain([deadline]))
        }
    }
}

/// Pays the arbiter, if there is time for it to take the money.
fn pay(env: &Env<'_>, run: Run, stake: Stake, request: Signed) -> Step<Ix> {
    let salt = run.gives().handed().filter(|_| env.now <= run.last_step()).map(|Handed { salt, .. }| *salt);
    let paying = salt.and_then(|salt| run.operate(PAY, Task::Pay { request: request.clone(), salt }));
    match paying {
        Some(paying) => to(run, State::Paying { stake: Stake { request: Some(request), ..stake } }).with(paying),
        None => end(run, Ending::Lapsed, vec![Effect::Send(Message::decline("").to_bytes())]),
    }
}

/// Nothing was paid, so nothing binds us. What nobody can find needs a person.
fn not_paid(run: Run, failure: &Failure) -> Step<Ix> {
    let ending = match failure.money {
        operation::Money::NotMoved | operation::Money::Returned => Ending::Lapsed,
        operation::Money::Unknown => Ending::Unsettled,
    };
    end(run, ending, vec![Effect::Send(Message::decline(&failure.reason).to_bytes())])
}

/// The arbiter has paid us.
fn take(run: Run, stake: Stake, token: Vec<u8>, ending: Ending) -> Result<Step<Ix>, GxError> {
    if token.is_empty() {
        return Err(bad(&"it pays nothing"));
    }
    let request = if ending == Ending::Success {
        run.gets().handed().map(|handed| handed.onward.clone())
    } else {
        run.gives().handed().map(|handed| handed.back.clone())
    };
    let verb = numbered("receive", &stake);
    let receive = request.and_then(|request| run.operate(&verb, Task::Receive { request, token }));
    let timers = [PATIENCE, DEADLINE, REFUND].map(Effect::CancelTimer);
    Ok(to(run, State::Receiving { stake, ending }).with_all(timers).with_all(receive))
}

/// Takes our payment back, which the arbiter has not taken.
fn reclaim(run: Run, stake: Stake) -> Step<Ix> {
    let verb = numbered("reclaim", &stake);
    let reclaim = run.operation(PAY).and_then(|paid| run.operate(&verb, Task::Reclaim(paid)));
    let timers = [PATIENCE, DEADLINE, REFUND].map(Effect::CancelTimer);
    to(run, State::Reclaiming { stake }).with_all(timers).with_all(reclaim)
}

/// An issuer has refused. The arbiter says how it stands, less and less often.
fn later(env: &Env<'_>, run: Run, stake: Stake) -> Step<Ix> {
    let tries = stake.tries.saturating_add(1);
    if tries >= TRIES_MAX {
        return end(run, Ending::Unsettled, Vec::new());
    }
    let patience = Seconds(run.patience().0.saturating_mul(1 << tries.min(16)));
    let timer = Effect::SetTimer { name: PATIENCE, due: env.now.after(patience) };
    to(run, State::Resting { stake: Stake { tries, ..stake } }).with(timer)
}

/// The verb of an operation that may be done again.
fn numbered(verb: &str, stake: &Stake) -> String {
    format!("{verb}-{}", stake.tries)
}

/// Has a question to the arbiter signed.
fn ask(run: Run, question: Question, stake: Stake) -> Step<Ix> {
    let sign = Effect::Sign { draft: draft(&run, question, &stake), consent: Consent::Implied };
    to(run, State::Asking { question, stake }).with(Effect::CancelTimer(PATIENCE)).with(sign)
}

fn draft(run: &Run, question: Question, stake: &Stake) -> Draft {
    let (cid, slot, role) = (run.cid(), Slot::default(), run.role());
    match question {
        Question::Inquire => run.draft(&Inquiry { cid, slot, role }),
        Question::Deposit => run.draft(&Deposit { cid, role, token: token_hash(stake.token(run)) }),
        Question::Abort => run.draft(&Abort { cid, slot, promise: stake.promises[place(role)].promise.id() }),
    }
}

fn ask_arbiter(env: &Env<'_>, run: Run, question: Question, asked: &Signed, stake: Stake) -> Step<Ix> {
    let request = Request {
        core: run.core().clone(),
        key_sets: run.key_sets().clone(),
        promises: stake.promises.to_vec(),
        question: asked.clone(),
        proof: Vec::new(),
        payout: Vec::new(),
    };
    // Whoever has paid waits as long as its user does, then has everybody let off.
    let waits = stake.is_paid(&run) && question != Question::Abort;
    let patience = waits.then(|| Effect::SetTimer { name: PATIENCE, due: env.now.after(run.patience()) });
    to(run, State::AwaitAnswer { question, asked: asked.id(), stake })
        .with(Effect::keep(asked))
        .with(Effect::AskArbiter(request.to_bytes()))
        .with_all(patience)
}

/// Ends a run in which we have promised nothing. Whoever may wait for us is told.
fn withdraw(run: Run) -> Step<Ix> {
    let told = (run.role() == Role::RESPONDER).then(|| Effect::Send(Message::decline("").to_bytes()));
    end(run, Ending::Lapsed, told.into_iter().collect())
}

fn to(run: Run, state: State) -> Step<Ix> {
    Step::to(Ix { run, state })
}

fn end(run: Run, ending: Ending, mut effects: Vec<Effect>) -> Step<Ix> {
    effects.extend([PATIENCE, DEADLINE, REFUND].map(Effect::CancelTimer));
    effects.push(Effect::Ended(ending));
    Step { state: Ix { run, state: State::Ended { ending } }, effects }
}
