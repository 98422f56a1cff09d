//! What moves it on.

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::Signed;
use semper_core::ids::StatementId;
use semper_core::machine::{Env, Machine, Step};
use semper_core::party::Role;
use semper_core::time::Seconds;
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};
use semper_support::flaws::{self, Flaw};
use semper_transfer::payment::operation::{self, Failure, Money, Outcome, Task};
use semper_transfer::payment::statement::Side;

use super::{Lx, Message, State};
use crate::goods::preimage_hash;
use crate::gx::{DEADLINE, Examination, Examined, Found, GxError, Leg, PATIENCE, Promised, REFUND, Run, place};

// Verbs of the payment operations of a run.
const VERIFY: &str = "verify-lock";
const LOCK: &str = "lock";
const REDEEM: &str = "redeem";
const RECLAIM: &str = "reclaim";

/// How often the issuer is asked for the preimage before our money's date. One more question is kept for when that money is gone: a question that was
/// asked before would be answered as it was then.
const ASKED_MAX: u8 = u8::MAX - 1;

impl Machine for Lx {
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
            Input::Examined(bytes) => {
                let examined = Examined::from_bytes(&bytes).map_err(GxError::Answer)?;
                Ok(self.examined(examined))
            }
            Input::Timer(REFUND) => Ok(self.refund_date()),
            Input::Timer(_) | Input::GiveUp => Ok(self.give_up()),
            // There is no arbiter here, and nobody shows a right. And a receipt says that a message arrived, not that it was read.
            Input::ArbiterSays(_) | Input::Said(_) | Input::Delivered | Input::Restored => Ok(Step::to(self)),
        }
    }
}

impl Lx {
    fn begin(self, env: &Env<'_>) -> Result<Step<Self>, GxError> {
        let Lx { run, state } = self;
        match state {
            State::Ready if run.role() == Role::ORIGINATOR => {
                run.in_time(env)?;
                // A question that nobody answers in time is not asked for ever.
                let deadline = Effect::SetTimer { name: DEADLINE, due: run.core().terms.deadlines.last_step() };
                let first = run.once().into_iter().chain([deadline]);
                Ok(agree(run, None).after(first))
            }
            other => Err(GxError::OutOfPlace { state: other.name(), input: "begin" }),
        }
    }

    fn receive(self, env: &Env<'_>, message: Message, bytes: Vec<u8>) -> Result<Step<Self>, GxError> {
        let Lx { run, state } = self;
        match (state, message) {
            (State::Ready, Message::Promise(theirs)) if run.role() == Role::RESPONDER => {
                run.in_time(env)?;
                run.peer_promise(env, &theirs, None)?;
                let first = run.once().into_iter().chain([Effect::keep(&theirs.promise)]);
                Ok(check_lock(run, None, theirs).after(first))
            }
            (State::AwaitPeerPromise { ours }, Message::Promise(theirs)) => {
                run.peer_promise(env, &theirs, Some(ours.promise.id()))?;
                let first = vec![Effect::keep(&theirs.promise), Effect::CancelTimer(PATIENCE)];
                Ok(check_lock(run, Some(ours), theirs).after(first))
            }
            // The peer will not go on. Before our money is locked, neither do we.
            (State::AwaitPeerPromise { ours }, Message::Decline(_)) => Ok(leave(run, ours)),
            (State::Checking { ours: None, .. } | State::AwaitPromiseSignature { .. }, Message::Decline(_)) => {
                Ok(end(run, Ending::Lapsed, Vec::new()))
            }
            // It has overtaken the promise. Whoever promised after that would lock money that nobody takes, until its date.
            (State::Ready, Message::Decline(_)) if run.role() == Role::RESPONDER => {
                Ok(end(run, Ending::Lapsed, Vec::new()))
            }
            (state @ State::Locking { .. }, Message::Decline(_)) => {
                let pending = run.abandon(LOCK);
                Ok(to(run, state).with_all(pending))
            }
            (state, Message::Preimage(preimage)) if run.hash() == Some(preimage_hash(&preimage)) => match state {
                State::AwaitPreimage { promises, .. } | State::Learning { promises, .. } => {
                    Ok(accept(run, promises, preimage))
                }
                // Our own money may come back all the same; that ends first.
                State::Reclaiming { promises, asked, .. } if run.role() == Role::RESPONDER => {
                    let kept = Effect::Keep { kind: EvidenceKind::Preimage, bytes: preimage.to_vec() };
                    Ok(to(run, State::Reclaiming { promises, asked, preimage: Some(preimage) }).with(kept))
                }
                state => Ok(to(run, state).with(Effect::Keep { kind: EvidenceKind::Late, bytes })),
            },
            // Doubled, late or wrong: nothing changes. What the peer said is kept. The driver takes each distinct message once and bounds how
            // many it takes.
            (state, _) => Ok(to(run, state).with(Effect::Keep { kind: EvidenceKind::Late, bytes })),
        }
    }

    fn signed(self, env: &Env<'_>, signed: Signed) -> Result<Step<Self>, GxError> {
        let Lx { run, state } = self;
        let State::AwaitPromiseSignature { theirs } = state else {
            // The answer to a request that was overtaken: it is never sent.
            return Ok(to(run, state));
        };
        let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
        let promise = run.own(env, run.promise(answers), signed)?;
        if is_late(env, &run) {
            // The user took too long. The promise was never sent and never will be.
            return Ok(withdraw(run, ""));
        }
        let Some(lock) = run.gives().lock() else { return Ok(promised(env, run, Promised::bare(promise), theirs)) };
        let locking = run.operate(LOCK, Task::Lock(lock.clone()));
        Ok(to(run, State::Locking { promise, theirs }).with_all(locking))
    }

    fn declined(self, statement: StatementId) -> Result<Step<Self>, GxError> {
        let Lx { run, state } = self;
        match state {
            State::AwaitPromiseSignature { theirs } => {
                let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
                if run.promise(answers).id() != statement {
                    return Err(GxError::WrongSignature);
                }
                Ok(withdraw(run, ""))
            }
            other => Ok(to(run, other)),
        }
    }

    /// A payment operation has ended.
    fn operated(self, env: &Env<'_>, answer: operation::Answer) -> Step<Self> {
        let Lx { run, state } = self;
        let is = |verb: &str| run.operation(verb) == Some(answer.id);
        match (state, answer.result) {
            (State::Checking { ours: None, theirs }, Ok(_)) if is(VERIFY) => agree(run, Some(theirs)),
            (State::Checking { ours: Some(ours), theirs }, Ok(_)) if is(VERIFY) => open(env, run, ours, theirs),
            (State::Checking { ours: None, .. }, Err(failure)) if is(VERIFY) => withdraw(run, &failure.reason),
            (State::Checking { ours: Some(ours), .. }, Err(_)) if is(VERIFY) => leave(run, ours),
            (State::Locking { promise, theirs }, Ok(Outcome { handover, .. })) if is(LOCK) => {
                let ours = Promised { token: handover, ..Promised::bare(promise) };
                promised(env, run, ours, theirs)
            }
            (State::Locking { .. }, Err(Failure { reason, .. })) if is(LOCK) => withdraw(run, &reason),
            // The money is here: now, and not before, the peer may know.
            (State::Opening { .. }, Ok(_)) if is(REDEEM) => {
                let preimage = run.preimage().map(Message::Preimage);
                let said = preimage.map(|message| Effect::Send(message.to_bytes())).into_iter().collect();
                let shown = shown(&run);
                end(run, Ending::Success, said).after(shown)
            }
            (State::Opening { promises: [ours, _] }, Err(failure)) if is(REDEEM) => not_opened(run, ours, &failure),
            (State::Learning { promises, asked, gone }, result) if is(&learn(asked)) => {
                match result.ok().and_then(|outcome| fits(&run, &outcome.handover)) {
                    Some(preimage) => accept(run, promises, preimage),
                    None if gone => end(run, Ending::Unsettled, Vec::new()),
                    None => {
                        let patience = Seconds(run.patience().0.saturating_mul(1 << asked.min(16)));
                        let timer = Effect::SetTimer { name: PATIENCE, due: env.now.after(patience) };
                        to(run, State::AwaitPreimage { promises, asked }).with(timer)
                    }
                }
            }
            (State::Reclaiming { promises, asked, preimage }, Ok(Outcome { handover, .. })) if is(&learn(asked)) => {
                let preimage = preimage.or_else(|| fits(&run, &handover));
                to(run, State::Reclaiming { promises, asked, preimage })
            }
            (State::Reclaiming { .. }, Ok(_)) if is(RECLAIM) => end(run, Ending::Refunded, Vec::new()),
            (State::Reclaiming { promises, asked, preimage }, Err(_)) if is(RECLAIM) => {
                taken(run, promises, asked, preimage)
            }
            (State::Taking { .. }, Ok(_)) if is(REDEEM) => end(run, Ending::Success, Vec::new()),
            (State::Taking { .. }, Err(_)) if is(REDEEM) => end(run, Ending::Unsettled, Vec::new()),
            // What was wanted before something else came: it changes nothing any more.
            (state, _) => to(run, state),
        }
    }

    /// The information has been tried.
    fn examined(self, Examined { release, found, .. }: Examined) -> Step<Self> {
        let Lx { run, state } = self;
        match state {
            State::Taking { preimage } if release == preimage => match found {
                Found::Good => end(run, Ending::Success, Vec::new()),
                Found::Bad(proof) => {
                    let kept = Effect::Keep { kind: EvidenceKind::Misbehaviour, bytes: proof };
                    end(run, Ending::Defective, vec![kept])
                }
                Found::Useless => end(run, Ending::Defective, Vec::new()),
            },
            state => to(run, state),
        }
    }

    /// Ends the run with what this party can do alone. Safe in every state; a second call changes nothing.
    fn give_up(self) -> Step<Self> {
        let Lx { run, state } = self;
        match state {
            State::Ready => end(run, Ending::Lapsed, Vec::new()),
            State::Checking { ours: None, .. } => {
                let pending = run.abandon(VERIFY);
                withdraw(run, "").after(pending)
            }
            State::AwaitPromiseSignature { .. } => withdraw(run, ""),
            // What has been locked already waits for its date; the promise goes out with it or not at all.
            State::Locking { .. } => {
                let pending = run.abandon(LOCK);
                to(run, state).with_all(pending)
            }
            State::Checking { ours: Some(ours), .. } | State::AwaitPeerPromise { ours } => leave(run, ours),
            // What is on its way to the issuer may still arrive, in time; nothing more is sent.
            State::Opening { .. } => {
                let pending = run.abandon(REDEEM).filter(|_| !flaws::active(Flaw::LateOpening));
                to(run, state).with_all(pending)
            }
            State::AwaitPreimage { promises, asked } if asked < ASKED_MAX => ask(run, promises, asked, false),
            waiting_for_an_issuer_or_ended => to(run, waiting_for_an_issuer_or_ended),
        }
    }

    /// From now on our own money can be taken back.
    fn refund_date(self) -> Step<Self> {
        let Lx { run, state } = self;
        let (promises, asked) = match state {
            State::AwaitRefund { ours } => (vec![ours], 0),
            State::AwaitPreimage { promises, asked } | State::Learning { promises, asked, gone: false } => {
                (promises.into(), asked)
            }
            other => return to(run, other),
        };
        let token = own_token(&run, &promises);
        let taking = run.gives().lock().and_then(|lock| {
            let task = Task::Redeem { lock: lock.clone(), token, to: Side::Payer, authorisation: Vec::new() };
            run.operate(RECLAIM, task)
        });
        to(run, State::Reclaiming { promises, asked, preimage: None }).with_all(taking)
    }
}

/// Looks at the money that the peer has locked before anything of ours follows. What else it gives stands in the contract.
fn check_lock(run: Run, ours: Option<Promised>, theirs: Promised) -> Step<Lx> {
    let verify = run
        .gets()
        .lock()
        .and_then(|lock| run.operate(VERIFY, Task::VerifyLock { lock: lock.clone(), token: theirs.token.clone() }));
    match verify {
        Some(verify) => to(run, State::Checking { ours, theirs }).with(verify),
        None => agree(run, Some(theirs)),
    }
}

/// Asks the user.
fn agree(run: Run, theirs: Option<Promised>) -> Step<Lx> {
    let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
    let ask = Effect::Sign { draft: run.promise(answers), consent: Consent::Ask };
    to(run, State::AwaitPromiseSignature { theirs }).with(ask)
}

/// Our promise goes out, and our money is locked if we give money.
fn promised(env: &Env<'_>, run: Run, ours: Promised, theirs: Option<Promised>) -> Step<Lx> {
    let refund = run.refund_timer();
    let first = [Effect::keep(&ours.promise)].into_iter().chain(refund);
    let (late, last_step) = (is_late(env, &run), run.core().terms.deadlines.last_step());
    let patience = env.now.after(run.patience());
    let send = Effect::Send(Message::Promise(ours.clone()).to_bytes());
    let then = match theirs {
        None if late => leave(run, ours),
        None => {
            // The deadline may have come and gone while the money was being locked.
            let timers = [(PATIENCE, patience.min(last_step)), (DEADLINE, last_step)];
            let timers = timers.map(|(name, due)| Effect::SetTimer { name, due });
            to(run, State::AwaitPeerPromise { ours }).with(send).with_all(timers)
        }
        Some(theirs) => {
            // Too late for the originator to open it: it need not know that the money lies there.
            let send = if late { Effect::Send(Message::decline("").to_bytes()) } else { send };
            let timers = [Effect::CancelTimer(DEADLINE), Effect::SetTimer { name: PATIENCE, due: patience }];
            to(run, State::AwaitPreimage { promises: [theirs, ours], asked: 0 }).with(send).with_all(timers)
        }
    };
    then.after(first)
}

/// The responder's money lies under the lock. If there is time, the originator takes it.
fn open(env: &Env<'_>, run: Run, ours: Promised, theirs: Promised) -> Step<Lx> {
    let late = is_late(env, &run) && !flaws::active(Flaw::LateOpening);
    let task = run.gets().lock().zip(run.preimage()).filter(|_| !late).map(|(lock, preimage)| Task::Redeem {
        lock: lock.clone(),
        token: theirs.token.clone(),
        to: Side::Payee,
        authorisation: preimage.to_vec(),
    });
    match task.and_then(|task| run.operate(REDEEM, task)) {
        Some(redeem) => to(run, State::Opening { promises: [ours, theirs] }).with(redeem),
        None => leave(run, ours),
    }
}

/// The originator will not open anything any more.
fn leave(run: Run, ours: Promised) -> Step<Lx> {
    let decline = Effect::Send(Message::decline("").to_bytes());
    if ours.token.is_empty() {
        return end(run, Ending::Lapsed, vec![decline]);
    }
    let refund = run.refund_timer();
    let timers = [PATIENCE, DEADLINE].map(Effect::CancelTimer);
    to(run, State::AwaitRefund { ours }).with(decline).with_all(timers).with_all(refund)
}

/// The responder's money could not be taken. If nobody knows the preimage, nobody has lost anything.
fn not_opened(run: Run, ours: Promised, failure: &Failure) -> Step<Lx> {
    if ours.token.is_empty() && failure.money != Money::NotMoved {
        let shown = shown(&run);
        return end(run, Ending::Unsettled, Vec::new()).after(shown);
    }
    leave(run, ours)
}

/// The responder asks the issuer of its money for the preimage.
fn ask(run: Run, promises: [Promised; 2], asked: u8, gone: bool) -> Step<Lx> {
    let (asked, token) = (asked.saturating_add(1), own_token(&run, &promises));
    let question = run.gives().lock().and_then(|lock| {
        let task = Task::Learn { lock: lock.clone(), token };
        run.operate(&learn(asked), task)
    });
    to(run, State::Learning { promises, asked, gone }).with_all(question)
}

/// Our money is gone after its date: whoever has it has shown the preimage to its issuer.
fn taken(run: Run, promises: Vec<Promised>, asked: u8, preimage: Option<[u8; 32]>) -> Step<Lx> {
    match (<[Promised; 2]>::try_from(promises), preimage) {
        (Ok(promises), Some(preimage)) => accept(run, promises, preimage),
        (Ok(promises), None) if run.role() == Role::RESPONDER && !flaws::active(Flaw::UnaskedPreimage) => {
            ask(run, promises, asked, true)
        }
        _ => end(run, Ending::Unsettled, Vec::new()),
    }
}

/// The responder knows the preimage: what the peer gives is its own.
fn accept(run: Run, promises: [Promised; 2], preimage: [u8; 32]) -> Step<Lx> {
    let kept = Effect::Keep { kind: EvidenceKind::Preimage, bytes: preimage.to_vec() };
    let first = [kept].into_iter().chain([PATIENCE, DEADLINE, REFUND].map(Effect::CancelTimer));
    let take = match run.gets() {
        // No contract without an arbiter has money by plain transfer, or through an arbiter's hands.
        Leg::Signature | Leg::Show(_) | Leg::Transfer(_) | Leg::Right(_) | Leg::Handed(_) => {
            return end(run, Ending::Success, Vec::new()).after(first);
        }
        Leg::Information(slot) => {
            let (core, release) = (run.core().clone(), preimage.to_vec());
            Some(Effect::Examine(Examination { core, slot: *slot, release }.to_bytes()))
        }
        Leg::Money(lock) => {
            let [theirs, _] = promises;
            let (lock, authorisation) = ((**lock).clone(), preimage.to_vec());
            run.operate(REDEEM, Task::Redeem { lock, token: theirs.token, to: Side::Payee, authorisation })
        }
    };
    to(run, State::Taking { preimage }).with_all(take).after(first)
}

/// Ends a run in which we have given nothing. Whoever may wait for us is told.
fn withdraw(run: Run, reason: &str) -> Step<Lx> {
    let said = run.role() == Role::RESPONDER;
    let decline = said.then(|| Effect::Send(Message::decline(reason).to_bytes()));
    end(run, Ending::Lapsed, decline.into_iter().collect())
}

/// The originator's own evidence of the preimage that it has shown.
fn shown(run: &Run) -> Vec<Effect> {
    let keep = |preimage: [u8; 32]| Effect::Keep { kind: EvidenceKind::Preimage, bytes: preimage.to_vec() };
    run.preimage().map(keep).into_iter().collect()
}

/// What an issuer says is the preimage, if it is.
fn fits(run: &Run, said: &[u8]) -> Option<[u8; 32]> {
    said.try_into().ok().filter(|_| run.hash() == Some(preimage_hash(said)))
}

/// The verb of a question for the preimage.
fn learn(asked: u8) -> String {
    format!("learn-{asked}")
}

fn own_token(run: &Run, promises: &[Promised]) -> Vec<u8> {
    promises.get(place(run.role())).map(|ours| ours.token.clone()).unwrap_or_default()
}

/// Whether it is too late for steps that the locks must bear out.
fn is_late(env: &Env<'_>, run: &Run) -> bool {
    env.now > run.core().terms.deadlines.last_step()
}

fn to(run: Run, state: State) -> Step<Lx> {
    Step::to(Lx { run, state })
}

fn end(run: Run, ending: Ending, mut effects: Vec<Effect>) -> Step<Lx> {
    effects.extend([PATIENCE, DEADLINE, REFUND].map(Effect::CancelTimer));
    effects.push(Effect::Ended(ending));
    Step { state: Lx { run, state: State::Ended { ending } }, effects }
}
