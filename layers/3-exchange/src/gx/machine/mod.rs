//! What moves it on: each input in each state.
//!
//! - [`moves`]: what a party does next, from the question to its user to the end.
//! - [`ruling`]: what it asks the arbiter, and how it goes on as the arbiter says.
//! - [`restored`]: what it does when its state comes from a backup.

mod moves;
mod restored;
mod ruling;

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::Signed;
use semper_core::ids::StatementId;
use semper_core::machine::{Env, Machine, Step};
use semper_core::party::Role;
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};
use semper_support::flaws::{self, Flaw};
use semper_transfer::credential::{Bundle, Reply};
use semper_transfer::payment::operation::{self, Failure, Money, Outcome, Task};
use semper_transfer::payment::statement::Side;

use self::moves::{
    agree, await_peer, check_deposit, complete, defective, deposited, ids, leave, one, paid, passed, passed_on,
    patient, peer_final, peer_quittance, promised, prove, proven, quitted, release, take, taken, withdraw,
};
use self::ruling::{arrange, ask, ask_abort, ask_again, ask_arbiter, ask_resolve, draft};
use super::message::Found;
use super::run::place;
use super::{Completed, Due, Examined, Gx, GxError, Leg, Message, Promised, Question, Run, State};

/// Timer: the user's patience with the peer.
pub const PATIENCE: &str = "patience";
/// Timer: the last moment to ask the arbiter.
pub const DEADLINE: &str = "deadline";
/// Timer: the end of the time for complaints; for the payee of a plain transfer, the end of the contract's time.
pub const WINDOW: &str = "window";
/// Timer: from when on our locked money can be taken back without anybody.
pub const REFUND: &str = "refund";
/// Fact space that holds every part of a contract this party has run: the key is the contract's identifier and the part's slot (2 bytes,
/// big-endian).
pub const RUN_SPACE: &str = "run";

// Verbs of the payment operations of a run.
const VERIFY: &str = "verify-lock";
const PAYOUT: &str = "payout";
const LOCK: &str = "lock";
const AUTHORISE: &str = "authorise";
const REDEEM: &str = "redeem";
const RULED_PAYOUT: &str = "ruled-payout";
const RULED_REDEEM: &str = "ruled-redeem";
const RECLAIM: &str = "reclaim";
const PAY: &str = "pay";
const RECEIVE: &str = "receive";
const TAKE_BACK: &str = "take-back";

impl Machine for Gx {
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
                self.operated(env, answer)
            }
            Input::Examined(bytes) => {
                let examined = Examined::from_bytes(&bytes).map_err(GxError::Answer)?;
                Ok(self.examined(examined))
            }
            Input::ArbiterSays(bytes) => self.decided(env, &bytes),
            Input::Said(bytes) => {
                let reply = Reply::from_bytes(&bytes).map_err(GxError::Answer)?;
                Ok(self.said(env, reply))
            }
            Input::Timer(DEADLINE) if self.asks_for_all() => Ok(end(self.run, Ending::Lapsed, Vec::new())),
            Input::Timer(WINDOW) => Ok(self.window_over()),
            Input::Timer(REFUND) => Ok(self.refund_date()),
            Input::Timer(_) | Input::GiveUp => Ok(self.give_up()),
            Input::Restored => Ok(self.restored()),
            // A receipt says that a message arrived, not that it was read: it moves nothing.
            Input::Delivered => Ok(Step::to(self)),
        }
    }
}

impl Gx {
    fn begin(self, env: &Env<'_>) -> Result<Step<Self>, GxError> {
        let Gx { run, state } = self;
        match state {
            State::Ready if run.role() == Role::ORIGINATOR => {
                run.in_time(env)?;
                // A question that nobody answers in time is not asked for ever.
                let deadline = Effect::SetTimer { name: DEADLINE, due: run.question_until() };
                let first = run.once().into_iter().chain(run.requested(env)?).chain([deadline]);
                Ok(agree(run, None, Vec::new()).after(first))
            }
            other => Err(GxError::OutOfPlace { state: other.name(), input: "begin" }),
        }
    }

    fn receive(self, env: &Env<'_>, message: Message, bytes: Vec<u8>) -> Result<Step<Self>, GxError> {
        let Gx { run, state } = self;
        match (state, message) {
            (State::Ready, Message::Promise(theirs)) if run.role() == Role::RESPONDER => {
                run.in_time(env)?;
                run.peer_promise(env, &theirs, None)?;
                let asked = run.requested(env)?;
                let first = run.once().into_iter().chain(asked).chain([Effect::keep(&theirs.promise)]);
                let first: Vec<_> = first.chain(run.shown(env, &theirs)).collect();
                Ok(check_deposit(run, None, theirs).after(first))
            }
            (State::AwaitPeerPromise { ours }, Message::Promise(theirs)) => {
                run.peer_promise(env, &theirs, Some(ours.promise.id()))?;
                let deadline = run.asks_at();
                // From here on the peer can have the contract completed. However long an issuer or our own keys take, we ask in time.
                let timer = Effect::SetTimer { name: DEADLINE, due: deadline };
                let mut first = vec![Effect::keep(&theirs.promise), Effect::CancelTimer(PATIENCE), timer];
                first.extend(run.shown(env, &theirs));
                // Too late to give what might have to be defended before the arbiter; too late for nobody to abort.
                let late = env.now > run.last_step();
                let then = if late { leave(run, ours) } else { check_deposit(run, Some(ours), theirs) };
                Ok(then.after(first))
            }
            // The peer declines: the run is ended as if patience had run out. What it says binds nobody.
            (State::AwaitPeerPromise { ours }, Message::Decline(_)) => Ok(leave(run, ours)),
            // Its right was not passed on, so we do not pay, and nobody is bound.
            (State::AwaitPeerFinal { .. }, Message::Decline(_)) if run.buys_right() => {
                Ok(end(run, Ending::Lapsed, Vec::new()))
            }
            // Its issuer gives the money no more, and to ask it could take the time in which the right can be called back.
            (state @ State::AwaitPeerFinal { .. }, Message::Final(_))
                if run.sells_right() && env.now > run.taken_by() =>
            {
                Ok(to(run, state).with(Effect::Keep { kind: EvidenceKind::Late, bytes }))
            }
            (State::AwaitPeerFinal { promises }, Message::Final(theirs)) => {
                peer_final(env, &run, &theirs.completion, &promises)?;
                if run.buys_right() {
                    return passed_on(env, run, promises, &theirs);
                }
                let disclosed = Signed::from_bytes(&theirs.release).ok();
                let mut first = vec![Effect::keep(&theirs.completion), Effect::CancelTimer(PATIENCE)];
                first.extend(disclosed.as_ref().map(Effect::keep));
                Ok(take(run, promises, theirs).after(first))
            }
            // The receipt comes while we look where the money is: it is what we have paid for.
            (State::Proving { promises }, Message::Final(theirs)) if !run.buys_right() => {
                peer_final(env, &run, &theirs.completion, &promises)?;
                Ok(end(run, Ending::Success, vec![Effect::keep(&theirs.completion)]))
            }
            (State::AwaitVerdict { promises, .. }, Message::Promise(theirs))
                if flaws::active(Flaw::ContinueAfterAbort) && promises.len() == 1 =>
            {
                let [ours] = one(promises);
                run.peer_promise(env, &theirs, Some(ours.promise.id()))?;
                Ok(release(run, [ours, theirs], Vec::new(), &[]))
            }
            // It changes nothing, and is our proof.
            (state, Message::Quittance(quittance)) => {
                peer_quittance(env, &run, &quittance)?;
                Ok(quitted(run, state, &quittance))
            }
            // Doubled or late: nothing changes. What the peer said is kept, for it may contradict what it said elsewhere. The driver
            // takes each distinct message once and bounds how many it takes.
            (state, _) => Ok(to(run, state).with(Effect::Keep { kind: EvidenceKind::Late, bytes })),
        }
    }

    fn signed(self, env: &Env<'_>, signed: Signed) -> Result<Step<Self>, GxError> {
        let Gx { run, state } = self;
        let late = env.now > run.last_step();
        match state {
            State::AwaitPromiseSignature { theirs, payout } => {
                let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
                let promise = run.own(env, run.promise(answers), signed)?;
                if late && run.shares_promise() {
                    // In another part it may have been sent in time.
                    let kept = Effect::keep(&promise);
                    return Ok(ask_abort(run, Promised { promise, token: Vec::new(), payout }).after([kept]));
                }
                if late {
                    // The user took too long. The promise was never sent and never will be.
                    return Ok(end(run, Ending::Lapsed, Vec::new()));
                }
                if let Some(draft) = run.reservation() {
                    let sign = Effect::Sign { draft, consent: Consent::Implied };
                    return Ok(to(run, State::Depositing { promise, theirs, payout }).with(sign));
                }
                let Some(lock) = run.gives().lock() else {
                    let token = run.offered();
                    return Ok(promised(env, run, Promised { promise, token, payout }, theirs));
                };
                let locking = run.operate(LOCK, Task::Lock(lock.clone()));
                Ok(to(run, State::Depositing { promise, theirs, payout }).with_all(locking))
            }
            State::Depositing { .. } => {
                let Some(draft) = run.reservation().filter(|draft| draft.id() == signed.id()) else {
                    return Ok(to(run, state));
                };
                let statement = run.own(env, draft, signed)?;
                let submit = run.submit(statement);
                Ok(to(run, state).with_all(submit))
            }
            State::AwaitFinalSignature { promises, release, payout } => {
                let completion = run.own(env, run.completion(ids(&promises)), signed)?;
                let answers = run.role() == Role::RESPONDER;
                // Who has paid by plain transfer says so however late it is: its payee may still take the money.
                if !answers && late && !run.transfers() && !run.sells_right() {
                    return Ok(ask_resolve(run, promises));
                }
                let keep = Effect::keep(&completion);
                let send = Effect::Send(Message::Final(Completed { completion, release, payout }).to_bytes());
                if answers && run.buys_right() {
                    let timers = patient(env, &run, run.asks_at());
                    return Ok(to(run, State::AwaitQuittance { promises }).with(keep).with(send).with_all(timers));
                }
                if answers {
                    return Ok(end(run, Ending::Success, vec![keep, send]));
                }
                let timers = await_peer(env, &run, true);
                Ok(to(run, State::AwaitPeerFinal { promises }).with(keep).with(send).with_all(timers))
            }
            State::Releasing { promises, payout } if run.sells_right() => {
                let draft = run.passing().ok_or(GxError::WrongSignature)?;
                let statement = run.own(env, draft, signed)?;
                let submit = run.submit(statement);
                Ok(to(run, State::Releasing { promises, payout }).with_all(submit))
            }
            State::Releasing { promises, payout } => {
                let draft = run.disclosure().ok_or(GxError::WrongSignature)?;
                let disclosure = run.own(env, draft, signed)?;
                let release = disclosure.bytes().to_vec();
                Ok(complete(run, promises, release, payout).after([Effect::keep(&disclosure)]))
            }
            State::AwaitQuittanceSignature => {
                let quittance = run.own(env, run.quittance(), signed)?;
                let send = Effect::Send(Message::Quittance(quittance.clone()).to_bytes());
                Ok(end(run, Ending::Success, vec![Effect::keep(&quittance), send]))
            }
            State::Asking { question, promises } => {
                let asked = run.own(env, draft(&run, &question, &promises), signed)?;
                Ok(ask_arbiter(run, question, asked, promises))
            }
            // The answer to a request that was overtaken: it is never sent.
            other => Ok(to(run, other)),
        }
    }

    fn declined(self, statement: StatementId) -> Result<Step<Self>, GxError> {
        let Gx { run, state } = self;
        match state {
            State::AwaitPromiseSignature { theirs, .. } => {
                let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
                if run.promise(answers).id() != statement {
                    return Err(GxError::WrongSignature);
                }
                Ok(withdraw(run, theirs.is_some(), ""))
            }
            // The money is here; only the peer's proof of it is not.
            State::AwaitQuittanceSignature if run.quittance().id() == statement => {
                Ok(end(run, Ending::Success, Vec::new()))
            }
            other => Ok(to(run, other)),
        }
    }

    /// A payment operation has ended.
    fn operated(self, env: &Env<'_>, answer: operation::Answer) -> Result<Step<Self>, GxError> {
        let Gx { run, state } = self;
        let late = env.now > run.last_step();
        let is = |verb| run.operation(verb) == Some(answer.id);
        let (verify, payout) = (is(VERIFY), is(PAYOUT));
        Ok(match (state, answer.result) {
            (State::Checking { ours, theirs }, Ok(_)) if verify => {
                let asked = run.gets().lock().cloned().and_then(|lock| {
                    run.operate(PAYOUT, Task::Payout { lock, token: theirs.token.clone(), to: Side::Payee })
                });
                to(run, State::Checking { ours, theirs }).with_all(asked)
            }
            (State::Checking { ours, theirs }, Ok(Outcome { handover, .. })) if payout => match ours {
                None => agree(run, Some(theirs), handover),
                Some(ours) if late => ask_abort(run, ours),
                Some(ours) => {
                    let wanted = theirs.payout.clone();
                    release(run, [ours, theirs], handover, &wanted)
                }
            },
            (State::Checking { ours: None, .. }, Err(failure)) if verify || payout => {
                withdraw(run, true, &failure.reason)
            }
            (State::Checking { ours: Some(ours), .. }, Err(_)) if verify || payout => ask_abort(run, ours),
            (State::Depositing { promise, theirs, payout }, Ok(Outcome { handover, .. })) if is(LOCK) => {
                deposited(env, run, Promised { promise, token: handover, payout }, theirs, late)
            }
            (State::Depositing { theirs, .. }, Err(Failure { reason, .. })) if is(LOCK) => {
                withdraw(run, theirs.is_some(), &reason)
            }
            (State::Releasing { promises, payout }, Ok(Outcome { handover, .. })) if is(AUTHORISE) => {
                complete(run, promises, handover, payout)
            }
            (State::Releasing { promises, .. }, Err(_)) if is(AUTHORISE) => ask_resolve(run, promises),
            (State::Releasing { promises, payout }, Ok(Outcome { handover, .. })) if is(PAY) => {
                complete(run, promises, handover, payout)
            }
            (State::Releasing { promises, payout }, Err(failure)) if is(PAY) => match failure.money {
                // It may be on its way: our final is signed before its issuer is asked, for it is half of the receipt.
                Money::Unknown => complete(run, promises, Vec::new(), payout),
                // Nothing was paid and never will be: nobody can complete the contract without us.
                Money::NotMoved | Money::Returned => end(run, Ending::Lapsed, Vec::new()),
            },
            (State::Taking { promises, theirs }, Ok(_)) if is(RECEIVE) => taken(run, promises, &theirs),
            // Money that was not taken now is not taken at all. Whether the payer has a proof that it was, the arbiter will know.
            (State::Taking { promises, .. }, Err(_)) if is(RECEIVE) => {
                let window = Effect::SetTimer { name: WINDOW, due: run.closed_at() };
                to(run, State::AwaitWindow { promises: promises.into() }).with(window)
            }
            (State::Proving { promises }, result) if is(TAKE_BACK) => proven(run, promises, result),
            (State::Taking { promises, theirs }, Ok(_)) if is(REDEEM) => taken(run, promises, &theirs),
            (State::Taking { promises, .. }, Err(_)) if is(REDEEM) => ask_resolve(run, promises),
            // The money came after all, while the arbiter was asked for it.
            (
                State::Asking { .. } | State::AwaitVerdict { .. } | State::AwaitWindow { .. } | State::Arranging { .. },
                Ok(_),
            ) if is(REDEEM) && run.role() == Role::ORIGINATOR => paid(run),
            (State::Arranging { due, promises }, Ok(Outcome { handover, .. })) if is(RULED_PAYOUT) => {
                ask(run, Question::Settle { due, payout: handover }, promises)
            }
            (State::Collecting { due: Due::Payment }, Ok(_)) if is(RULED_REDEEM) => paid(run),
            (State::Collecting { due }, Ok(_)) if is(RULED_REDEEM) => end(run, due.ending(), Vec::new()),
            (State::Arranging { .. } | State::Collecting { .. }, Err(_)) if is(RULED_PAYOUT) || is(RULED_REDEEM) => {
                end(run, Ending::Unsettled, Vec::new())
            }
            (State::Reclaiming { .. }, Ok(_)) if is(RECLAIM) => end(run, Ending::Refunded, Vec::new()),
            // The money is gone, or its issuer did not answer. What the arbiter may have said meanwhile it says again.
            (State::Reclaiming { question, promises }, Err(_)) if is(RECLAIM) => ask_again(run, question, promises),
            // What was wanted before something else came: it changes nothing any more.
            (state, _) => to(run, state),
        })
    }

    /// The issuer of a credential has answered.
    fn said(self, env: &Env<'_>, Reply { to: submitted, said }: Reply) -> Step<Self> {
        let Gx { run, state } = self;
        let asked = run.reservation().is_some_and(|draft| draft.id() == submitted);
        match (state, said) {
            (State::Depositing { promise, theirs, payout }, Ok(reservation)) if asked => {
                let late = env.now > run.core().terms.deadlines.last_step();
                let tell = theirs.is_some();
                let token = run.shows().map(|shows| Bundle { reservation, ..shows }.to_bytes()).unwrap_or_default();
                match run.show().map(|show| show.check(env.verify, run.core(), &token)) {
                    // The promise was never sent and never will be; the use is free after its date.
                    _ if late => withdraw(run, tell, ""),
                    Some(Ok(kept)) => {
                        let first = kept.evidence();
                        promised(env, run, Promised { promise, token, payout }, theirs).after(first)
                    }
                    Some(Err(error)) => withdraw(run, tell, &error.to_string()),
                    None => withdraw(run, tell, ""),
                }
            }
            (State::Releasing { promises, payout }, said) if run.passing().is_some_and(|of| of.id() == submitted) => {
                passed(env, run, promises, payout, said)
            }
            (State::Recalling { verdict }, said) if verdict == submitted => match said {
                Ok(Some(back)) => end(run, Ending::Recalled, vec![Effect::keep(&back)]),
                // It was settled before, or it is too late: the verdict is kept.
                Ok(None) | Err(_) => end(run, Ending::Unsettled, Vec::new()),
            },
            (State::Depositing { theirs, .. }, Err(reason)) if asked => withdraw(run, theirs.is_some(), &reason),
            // Heard before: what it says of a right that is sold was kept then.
            (state, _) if run.sells_right() => to(run, state),
            // What it says of a use that was taken is kept. Where it refuses that, the right is the holder's again, and nothing can be done here.
            (state, said) => to(run, state).with_all(said.ok().flatten().as_ref().map(Effect::keep)),
        }
    }

    /// The information has been tried.
    fn examined(self, Examined { release, found, .. }: Examined) -> Step<Self> {
        let Gx { run, state } = self;
        match (state, found) {
            (State::Taking { promises, theirs }, Found::Good) if theirs.release == release => {
                taken(run, promises, &theirs)
            }
            (State::Taking { promises, theirs }, Found::Bad(proof)) if theirs.release == release => {
                defective(run, promises.into(), proof)
            }
            (State::Taking { promises, theirs }, Found::Useless) if theirs.release == release => {
                ask_resolve(run, promises)
            }
            (State::Examining { release: tried, .. }, Found::Good) if tried == release => {
                end(run, Ending::Success, Vec::new())
            }
            (State::Examining { promises, release: tried }, Found::Bad(proof)) if tried == release => {
                defective(run, promises, proof)
            }
            (State::Examining { release: tried, .. }, Found::Useless) if tried == release => {
                end(run, Ending::Defective, Vec::new())
            }
            (state, _) => to(run, state),
        }
    }

    /// Ends the run with what this party can do alone. Safe in every state; a second call changes nothing.
    fn give_up(self) -> Step<Self> {
        let Gx { run, state } = self;
        match state {
            // Whether a promise for all parts is given, the user's answer says, and nothing else: where it is given, this part has to be aborted.
            State::Ready | State::AwaitPromiseSignature { .. } if run.shares_promise() => to(run, state),
            State::Ready => end(run, Ending::Lapsed, Vec::new()),
            State::Checking { ours: None, .. } => {
                let pending = [VERIFY, PAYOUT].map(|verb| run.abandon(verb));
                withdraw(run, true, "").after(pending.into_iter().flatten())
            }
            State::AwaitPromiseSignature { theirs, .. } => withdraw(run, theirs.is_some(), ""),
            // Nothing was sent: the use that was kept is free after its date.
            State::Depositing { theirs, .. } if run.show().is_some() => withdraw(run, theirs.is_some(), ""),
            // Whatever has been locked must go out with the promise: nobody could release it otherwise.
            State::Depositing { .. } => {
                let pending = run.abandon(LOCK);
                to(run, state).with_all(pending)
            }
            State::Checking { ours: Some(ours), .. } | State::AwaitPeerPromise { ours } => leave(run, ours),
            // Whether its right was passed on the issuer says; whether it is paid shows before it can be called back.
            state @ (State::Releasing { .. } | State::Taking { .. }) if run.sells_right() => to(run, state),
            // It has not paid. A right that is passed on to it from now on is called back.
            State::AwaitPeerFinal { .. } if run.buys_right() => end(run, Ending::Lapsed, Vec::new()),
            State::AwaitQuittance { promises } => prove(run, promises),
            // Money on its way decides when it is there.
            State::Releasing { promises, payout } if run.transfers() => {
                let pending = run.abandon(PAY);
                to(run, State::Releasing { promises, payout }).with_all(pending)
            }
            State::AwaitPeerFinal { promises } if flaws::active(Flaw::PayeeAborts) && run.is_transferred() => {
                ask(run, Question::Abort, promises.into())
            }
            // It has paid. Its final is half of the receipt, and is signed before its issuer is asked.
            state @ State::AwaitFinalSignature { .. } if run.transfers() => to(run, state),
            // Money may be on its way to us: whoever is paid by plain transfer ends nothing alone.
            state @ (State::AwaitFinalSignature { .. } | State::AwaitPeerFinal { .. }) if run.is_transferred() => {
                to(run, state)
            }
            State::AwaitPeerFinal { promises }
                if flaws::active(Flaw::AbortAfterFinal) && run.role() == Role::ORIGINATOR =>
            {
                let [ours, _] = promises;
                ask_abort(run, ours)
            }
            State::AwaitPeerFinal { promises }
                if flaws::active(Flaw::PayerAborts)
                    && run.role() == Role::RESPONDER
                    && run.gives().lock().is_some() =>
            {
                ask(run, Question::Abort, promises.into())
            }
            State::Releasing { promises, .. }
            | State::AwaitFinalSignature { promises, .. }
            | State::AwaitPeerFinal { promises } => ask_resolve(run, promises),
            // What can be complained about must be ruled on before the deadline. So must a peer's authorisation that its issuer has not
            // honoured yet, once our own item is out.
            State::Taking { promises, .. }
                if matches!(run.gets(), Leg::Information(_)) || run.role() == Role::ORIGINATOR =>
            {
                ask_resolve(run, promises)
            }
            waiting_for_somebody_who_answers_or_ended => to(run, waiting_for_somebody_who_answers_or_ended),
        }
    }

    /// Whether the user is asked for a promise that is one for several parts.
    fn asks_for_all(&self) -> bool {
        self.run.shares_promise() && matches!(self.state, State::AwaitPromiseSignature { .. })
    }

    fn window_over(self) -> Step<Self> {
        let Gx { run, state } = self;
        match state {
            State::AwaitWindow { promises } if run.sells_right() => ask(run, Question::Revoke, promises),
            State::AwaitPeerFinal { promises } if run.sells_right() => ask(run, Question::Revoke, promises.into()),
            State::AwaitWindow { promises } if run.is_transferred() => ask(run, Question::Inquire, promises),
            State::AwaitPeerFinal { promises } if run.is_transferred() => ask(run, Question::Inquire, promises.into()),
            State::AwaitWindow { promises } => arrange(run, Due::Payment, promises),
            other => to(run, other),
        }
    }

    /// The arbiter has not answered in all that time.
    fn refund_date(self) -> Step<Self> {
        let Gx { run, state } = self;
        let (State::Asking { question, promises } | State::AwaitVerdict { question, promises, .. }) = &state else {
            return to(run, state);
        };
        let token = promises.get(place(run.role())).map(|ours| ours.token.clone()).filter(|token| !token.is_empty());
        let taking = token.zip(run.gives().lock()).and_then(|(token, lock)| {
            let task = Task::Redeem { lock: lock.clone(), token, to: Side::Payer, authorisation: Vec::new() };
            run.operate(RECLAIM, task)
        });
        match taking {
            Some(taking) => {
                let (question, promises) = (question.clone(), promises.clone());
                to(run, State::Reclaiming { question, promises }).with(taking)
            }
            None => to(run, state),
        }
    }
}

fn to(run: Run, state: State) -> Step<Gx> {
    Step::to(Gx { run, state })
}

fn end(run: Run, ending: Ending, mut effects: Vec<Effect>) -> Step<Gx> {
    effects.extend([PATIENCE, DEADLINE].map(Effect::CancelTimer));
    if run.gives() != &Leg::Signature || run.gets() != &Leg::Signature {
        effects.extend([WINDOW, REFUND].map(Effect::CancelTimer));
    }
    effects.push(Effect::Ended(ending));
    Step { state: Gx { run, state: State::Ended { ending } }, effects }
}
