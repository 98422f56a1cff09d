//! What moves it on.

use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{Final, Quittance};
use semper_core::cose::{Draft, Signed};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::StatementId;
use semper_core::machine::{Env, Machine, Step};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verified, verify};
use semper_core::time::Time;
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};
use semper_support::flaws::{self, Flaw};
use semper_transfer::credential::{Bundle, Reply};
use semper_transfer::payment::operation::{self, Failure, Lock, Money, Outcome, Task};
use semper_transfer::payment::statement::Side;

use super::message::{Found, PROOF_MAX};
use super::right;
use super::run::place;
use super::{
    Completed, Due, Examination, Examined, Gx, GxError, Leg, Message, Promised, Question, Run, Show, State, Transfer,
};
use crate::arbiter::request::{Abort, Complaint, Inquiry, Request, Resolve, Revocation, Settlement, check_promise};
use crate::arbiter::verdict::{ArbiterAnswer, Decision};

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

    /// The arbiter has answered.
    fn decided(self, env: &Env<'_>, bytes: &[u8]) -> Result<Step<Self>, GxError> {
        let Gx { run, state } = self;
        let State::AwaitVerdict { question, asked, promises } = state else {
            // The arbiter's answer came twice; or while our money is being taken back, which it can no longer order: that ends first.
            return Ok(to(run, state));
        };
        let bad = |reason: &dyn std::fmt::Display| GxError::BadVerdict(reason.to_string());
        let answer = ArbiterAnswer::from_bytes(bytes).map_err(|e| bad(&e))?;
        let arbiter = run.arbiter().ok_or_else(|| bad(&"the contract names no arbiter"))?;
        let decision = answer.read(env.verify, arbiter, (run.cid(), run.part()), asked).map_err(|e| bad(&e))?;
        let mut promises = promises;
        let mut kept = Vec::new();
        if let Decision::Resolved { basis, .. } = &decision {
            let found = both_promises(env, &run, &answer.promises)?;
            if basis.get(1..) != Some(&ids(&found)) {
                return Err(bad(&"the verdict rests on other promises"));
            }
            // Only what we lack is taken over. Whoever asked first has named the tokens, and a peer may have named another one for our money.
            let missing = found.into_iter().skip(promises.len());
            let shown = |promised: &Promised| run.shown(env, promised);
            promises.extend(missing.inspect(|promised| {
                kept.push(Effect::keep(&promised.promise));
                kept.extend(shown(promised));
            }));
        }
        if let (Question::Complain { .. }, Decision::Resolved { .. }, None) = (&question, &decision, &answer.closing)
            && run.complaints_end().is_some_and(|end| env.now <= end)
        {
            // The answer to an earlier question, once more: nobody has ruled on the complaint.
            return Err(bad(&"it says nothing about the complaint"));
        }
        kept.extend(answer.evidence());
        if matches!(decision, Decision::Resolved { .. } | Decision::Aborted)
            && let (Some(show), Some(shown)) = (run.show(), promises.get(1))
        {
            kept.extend(show.tell(&shown.token, &answer.statement, arbiter));
        }
        if let (Decision::Resolved { .. }, Some(right), Some(given)) = (&decision, run.right(), promises.first()) {
            kept.extend(right.tell(&given.token, &answer.statement, arbiter));
        }
        let then = match question {
            Question::Revoke if decision == Decision::Revoked => {
                Some(call_back(run.clone(), &promises, &answer.statement, arbiter))
            }
            Question::Settle { due, .. } => settled(run, due, promises, &decision, answer.authorisation),
            _ => ruled(run, &question, promises, decision, answer.attestation),
        };
        then.map(|step| step.after(kept)).ok_or_else(|| bad(&"it does not follow from the contract"))
    }
}

impl Due {
    fn ending(self) -> Ending {
        match self {
            Due::Payment => Ending::Success,
            Due::Refund(ending) => ending,
        }
    }
}

/// Goes on as the arbiter has ruled; `None` if it cannot have ruled so.
fn ruled(
    run: Run,
    question: &Question,
    promises: Vec<Promised>,
    decision: Decision,
    attestation: Option<Signed>,
) -> Option<Step<Gx>> {
    // Paid by plain transfer, and the arbiter was reached too late: what is left is the proof of the payment.
    let paid = run.transfers() && matches!(question, Question::Resolve { .. });
    match decision {
        Decision::Unused | Decision::Aborted | Decision::Revoked if paid => {
            Some(end(run, Ending::Unconfirmed, Vec::new()))
        }
        // Too late: nobody has shown a payment, and nobody calls the right back.
        Decision::Unused if *question == Question::Revoke => Some(end(run, Ending::Unsettled, Vec::new())),
        Decision::Unused => Some(back(run, Ending::Lapsed, promises)),
        Decision::Aborted if run.right().is_some() => None,
        Decision::Aborted => Some(back(run, Ending::Aborted, promises)),
        Decision::Fault(role) if role == run.stated(run.role()) => Some(end(run, Ending::Faulted, Vec::new())),
        Decision::Fault(_) if run.gives().lock().is_some() => Some(back(run, Ending::Refunded, promises)),
        Decision::Fault(_) => Some(end(run, Ending::Defective, Vec::new())),
        Decision::Revoked => None,
        Decision::Resolved { .. } => match run.gets() {
            // Of a plain transfer the arbiter has seen the proof: the money is here.
            Leg::Signature | Leg::Show(_) | Leg::Transfer(_) | Leg::Right(_) => {
                Some(end(run, Ending::Success, Vec::new()))
            }
            // It was too late to complain; the proof is kept.
            Leg::Information(_) if matches!(question, Question::Complain { .. }) => {
                Some(end(run, Ending::Defective, Vec::new()))
            }
            Leg::Information(slot) => {
                let release = attestation?.bytes().to_vec();
                let examination = Examination { core: run.core().clone(), slot: *slot, release: release.clone() };
                let examine = Effect::Examine(examination.to_bytes());
                Some(to(run, State::Examining { promises, release }).with(examine))
            }
            Leg::Money(_) => match run.complaints_end().filter(|_| matches!(run.gives(), Leg::Information(_))) {
                Some(due) => {
                    let timer = Effect::SetTimer { name: WINDOW, due };
                    Some(to(run, State::AwaitWindow { promises }).with(timer))
                }
                None => Some(arrange(run, Due::Payment, promises)),
            },
        },
    }
}

/// Goes on after a question about money; `None` if the arbiter cannot have answered so. Without an authorisation it is the answer to an
/// earlier question, or the arbiter's clock is behind: the driver asks until there is one.
fn settled(
    run: Run,
    due: Due,
    promises: Vec<Promised>,
    decision: &Decision,
    authorisation: Vec<u8>,
) -> Option<Step<Gx>> {
    match (due, decision) {
        (Due::Payment, Decision::Fault(role)) if *role == run.role() => Some(end(run, Ending::Faulted, Vec::new())),
        (Due::Payment, Decision::Resolved { .. })
        | (Due::Refund(_), Decision::Unused | Decision::Aborted | Decision::Fault(_))
            if !authorisation.is_empty() =>
        {
            let (lock, token, to_side) = money(&run, due, &promises)?;
            let task = Task::Redeem { lock, token, to: to_side, authorisation };
            let redeem = run.operate(RULED_REDEEM, task);
            Some(to(run, State::Collecting { due }).with_all(redeem))
        }
        _ => None,
    }
}

/// Ends a run that gives this party nothing, after its own money is back.
fn back(run: Run, ending: Ending, promises: Vec<Promised>) -> Step<Gx> {
    if money(&run, Due::Refund(ending), &promises).is_some() {
        return arrange(run, Due::Refund(ending), promises);
    }
    end(run, ending, Vec::new())
}

fn arrange(run: Run, due: Due, promises: Vec<Promised>) -> Step<Gx> {
    let Some((lock, token, side)) = money(&run, due, &promises) else { return end(run, due.ending(), Vec::new()) };
    let ask = run.operate(RULED_PAYOUT, Task::Payout { lock, token, to: side });
    to(run, State::Arranging { due, promises }).with_all(ask)
}

/// The lock and the token that money is due from, and the side of this party.
fn money(run: &Run, due: Due, promises: &[Promised]) -> Option<(Lock, Vec<u8>, Side)> {
    let (leg, owner, side) = match due {
        Due::Payment => (run.gets(), run.role().peer(), Side::Payee),
        Due::Refund(_) => (run.gives(), run.role(), Side::Payer),
    };
    let token = &promises.get(place(owner))?.token;
    let lock = leg.lock().filter(|_| !token.is_empty())?;
    Some((lock.clone(), token.clone(), side))
}

/// The peer's item is here.
fn taken(run: Run, mut promises: [Promised; 2], theirs: &Completed) -> Step<Gx> {
    if run.role() == Role::ORIGINATOR {
        if run.gets().lock().is_some() || run.sells_right() {
            return paid(run);
        }
        let shown = |show: &Show| show.tell(&promises[1].token, &theirs.completion, run.key_set(Role::RESPONDER));
        let tell: Vec<_> = run.show().and_then(shown).into_iter().collect();
        return end(run, Ending::Success, tell);
    }
    // Money that is here is not asked for again, should the arbiter be needed for the rest.
    promises[place(run.role().peer())].token.clear();
    release(run, promises, Vec::new(), &theirs.payout)
}

/// The issuer has said whether our right was passed on.
fn passed(
    env: &Env<'_>,
    run: Run,
    mut promises: [Promised; 2],
    payout: Vec<u8>,
    said: Result<Option<Signed>, String>,
) -> Step<Gx> {
    let said = match said {
        // The same request gets the same answer for ever: it was not passed on and never will be.
        Err(reason) => return withdraw(run, true, &reason),
        Ok(said) => said,
    };
    let token = &promises[0].token;
    let good = said.as_ref().zip(run.right()).map(|(said, right)| {
        let checked = right.check_passed(env.verify, run.core(), token, said);
        checked.map(|bundle| (said.bytes().to_vec(), bundle))
    });
    match good {
        Some(Ok((release, bundle))) => {
            promises[0].token = bundle.to_bytes();
            complete(run, promises, release, payout).after(right::evidence(&bundle))
        }
        // It was passed on in another way than we have asked for. Nobody pays for that.
        _ => {
            let kept: Vec<_> = said.iter().map(Effect::keep).collect();
            if let (Some(said), Ok(bundle)) = (said, Bundle::from_bytes(&promises[0].token)) {
                promises[0].token = Bundle { credential: said, ..bundle }.to_bytes();
            }
            let window = Effect::SetTimer { name: WINDOW, due: run.closed_at() };
            to(run, State::AwaitWindow { promises: promises.into() }).with_all(kept).with(window)
        }
    }
}

/// The right was passed on to us: we pay, if it is the one that we have promised to pay for, and if the money can still be taken and proven in time.
fn passed_on(env: &Env<'_>, run: Run, mut promises: [Promised; 2], theirs: &Completed) -> Result<Step<Gx>, GxError> {
    let Some(right) = run.right() else { return Err(GxError::PeerMismatch("right")) };
    let passed = Signed::from_bytes(&theirs.release).map_err(GxError::Malformed)?;
    let checked = right.check_passed(env.verify, run.core(), &promises[0].token, &passed);
    let bundle = checked.map_err(GxError::NotShown)?;
    let mut first =
        vec![Effect::keep(&theirs.completion), Effect::CancelTimer(PATIENCE), Effect::CancelTimer(DEADLINE)];
    first.extend(right::evidence(&bundle));
    promises[0].token = bundle.to_bytes();
    let then = if env.now > run.last_step() {
        end(run, Ending::Lapsed, Vec::new())
    } else {
        release(run, promises, Vec::new(), &[])
    };
    Ok(then.after(first))
}

/// The peer says that our money has come: what was passed on to us nobody calls back any more.
fn quitted(run: Run, state: State, quittance: &Signed) -> Step<Gx> {
    let first = [Effect::keep(quittance)];
    match state {
        State::AwaitQuittance { promises } | State::Proving { promises } if run.buys_right() => {
            let peer = run.key_set(run.role().peer());
            let tell = run.right().and_then(|right| right.tell(&promises[0].token, quittance, peer));
            end(run, Ending::Success, tell.into_iter().collect()).after(first)
        }
        state => to(run, state).after(first),
    }
}

/// The arbiter has ruled that the right is ours again: its issuer is told.
fn call_back(run: Run, promises: &[Promised], verdict: &Signed, arbiter: &KeySet) -> Step<Gx> {
    let token = promises.first().map(|given| given.token.as_slice()).unwrap_or_default();
    match run.right().and_then(|right| right.tell(token, verdict, arbiter)) {
        Some(tell) => to(run, State::Recalling { verdict: verdict.id() }).with(tell),
        None => end(run, Ending::Unsettled, Vec::new()),
    }
}

/// The peer's money is here. That it let it go, or the arbiter did, proves to nobody that it was taken: whoever has it says so.
fn paid(run: Run) -> Step<Gx> {
    let sign = Effect::Sign { draft: run.quittance(), consent: Consent::Implied };
    to(run, State::AwaitQuittanceSignature)
        .with(Effect::CancelTimer(PATIENCE))
        .with(Effect::CancelTimer(DEADLINE))
        .with(sign)
}

/// Asks the issuer for money that was sent by plain transfer.
fn prove(run: Run, promises: [Promised; 2]) -> Step<Gx> {
    let paid = run.operation(PAY);
    let ask = paid.and_then(|paid| run.operate(TAKE_BACK, Task::Reclaim(paid)));
    let timers = [PATIENCE, DEADLINE].map(Effect::CancelTimer);
    to(run, State::Proving { promises }).with_all(timers).with_all(ask)
}

/// The issuer has said where the money is.
fn proven(run: Run, promises: [Promised; 2], result: Result<Outcome, Failure>) -> Step<Gx> {
    match result {
        Ok(Outcome { handover, moved, .. }) if handover.is_empty() && moved.minor() > 0 => {
            end(run, Ending::Refunded, Vec::new())
        }
        _ if run.buys_right() && flaws::active(Flaw::UnfiledProof) => end(run, Ending::Unconfirmed, Vec::new()),
        Ok(Outcome { handover, moved, .. }) if (1..=PROOF_MAX).contains(&handover.len()) && moved.minor() == 0 => {
            ask(run, Question::Resolve { proof: handover }, promises.into())
        }
        // Not even its issuer says where it is, or that all of it was taken.
        Ok(_) | Err(_) => end(run, Ending::Unconfirmed, Vec::new()),
    }
}

/// The peer's information is provably not what was promised.
fn defective(run: Run, promises: Vec<Promised>, proof: Vec<u8>) -> Step<Gx> {
    let kept = Effect::Keep { kind: EvidenceKind::Misbehaviour, bytes: proof.clone() };
    if run.may_complain() {
        return ask(run, Question::Complain { proof }, promises).after([kept]);
    }
    end(run, Ending::Defective, vec![kept])
}

/// Looks at what the peer has put down before anything of ours follows. Money is checked at its issuer; a wrapped key stands in the contract.
fn check_deposit(run: Run, ours: Option<Promised>, theirs: Promised) -> Step<Gx> {
    let verify = run
        .gets()
        .lock()
        .and_then(|lock| run.operate(VERIFY, Task::VerifyLock { lock: lock.clone(), token: theirs.token.clone() }));
    match (verify, ours) {
        (Some(verify), ours) => to(run, State::Checking { ours, theirs }).with(verify),
        (None, None) => agree(run, Some(theirs), Vec::new()),
        (None, Some(ours)) => {
            let wanted = theirs.payout.clone();
            release(run, [ours, theirs], Vec::new(), &wanted)
        }
    }
}

/// Asks the user.
fn agree(run: Run, theirs: Option<Promised>, payout: Vec<u8>) -> Step<Gx> {
    let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
    let ask = Effect::Sign { draft: run.promise(answers), consent: Consent::Ask };
    to(run, State::AwaitPromiseSignature { theirs, payout }).with(ask)
}

/// Our money is locked.
fn deposited(env: &Env<'_>, run: Run, ours: Promised, theirs: Option<Promised>, late: bool) -> Step<Gx> {
    let first = run.refund_timer();
    let kept = Effect::keep(&ours.promise);
    match theirs {
        // Too late for the peer, not for the arbiter: it lets go of the money.
        None if late => ask_abort(run, ours).with(kept).after(first),
        Some(theirs) if late => ask_resolve(run, [theirs, ours]).with(kept).after(first),
        theirs => promised(env, run, ours, theirs).after(first),
    }
}

/// Our promise goes out.
fn promised(env: &Env<'_>, run: Run, ours: Promised, theirs: Option<Promised>) -> Step<Gx> {
    let mut out = vec![Effect::keep(&ours.promise), Effect::Send(Message::Promise(ours.clone()).to_bytes())];
    if let Some(passed) = run.shows().filter(|_| run.sells_right()) {
        out.extend(right::evidence(&passed));
    }
    let timers = await_peer(env, &run, theirs.is_some());
    let state = match theirs {
        None => State::AwaitPeerPromise { ours },
        Some(theirs) => State::AwaitPeerFinal { promises: [theirs, ours] },
    };
    to(run, state).with_all(out).with_all(timers)
}

/// Timers while the peer is waited for. `bound`: both have promised, so the arbiter must be asked before the deadline.
fn await_peer(env: &Env<'_>, run: &Run, bound: bool) -> Vec<Effect> {
    if bound && run.is_transferred() {
        return vec![Effect::SetTimer { name: WINDOW, due: run.closed_at() }];
    }
    // Who is to pay for a right and has not got it leaves when it is too late to pay.
    let deadline = if run.buys_right() { run.last_step() } else { run.asks_at() };
    let [patience, last] = patient(env, run, deadline);
    [patience].into_iter().chain(bound.then_some(last)).collect()
}

/// The user's patience, and the last moment.
fn patient(env: &Env<'_>, run: &Run, deadline: Time) -> [Effect; 2] {
    let patience = Effect::SetTimer { name: PATIENCE, due: env.now.after(run.patience()).min(deadline) };
    [patience, Effect::SetTimer { name: DEADLINE, due: deadline }]
}

/// Prepares our item. `wanted` is where the peer wants its money.
fn release(run: Run, promises: [Promised; 2], payout: Vec<u8>, wanted: &[u8]) -> Step<Gx> {
    match run.gives() {
        Leg::Signature | Leg::Show(_) => complete(run, promises, Vec::new(), payout),
        Leg::Information(_) => {
            let sign = run.disclosure().map(|draft| Effect::Sign { draft, consent: Consent::Implied });
            to(run, State::Releasing { promises, payout }).with_all(sign)
        }
        Leg::Right(_) => {
            let sign = run.passing().map(|draft| Effect::Sign { draft, consent: Consent::Implied });
            to(run, State::Releasing { promises, payout }).with_all(sign)
        }
        Leg::Transfer(transfer) => {
            let Transfer { request, salt, .. } = (**transfer).clone();
            let pay = run.operate(PAY, Task::Pay { request, salt });
            to(run, State::Releasing { promises, payout }).with_all(pay)
        }
        Leg::Money(lock) => {
            let token = promises[place(run.role())].token.clone();
            let task = Task::Authorise { lock: (**lock).clone(), token, payout: wanted.to_vec(), to: Side::Payee };
            let authorise = run.operate(AUTHORISE, task);
            to(run, State::Releasing { promises, payout }).with_all(authorise)
        }
    }
}

/// Has our final signed.
fn complete(run: Run, promises: [Promised; 2], release: Vec<u8>, payout: Vec<u8>) -> Step<Gx> {
    let sign = Effect::Sign { draft: run.completion(ids(&promises)), consent: Consent::Implied };
    to(run, State::AwaitFinalSignature { promises, release, payout }).with(sign)
}

/// The peer's final is here: its item is looked at.
fn take(run: Run, promises: [Promised; 2], theirs: Completed) -> Step<Gx> {
    let look = match run.gets() {
        // A right was looked at when it came.
        Leg::Signature | Leg::Show(_) | Leg::Right(_) => return taken(run, promises, &theirs),
        Leg::Information(slot) => {
            let (core, release) = (run.core().clone(), theirs.release.clone());
            Some(Effect::Examine(Examination { core, slot: *slot, release }.to_bytes()))
        }
        Leg::Transfer(transfer) => {
            let (request, token) = (transfer.request.clone(), theirs.release.clone());
            run.operate(RECEIVE, Task::Receive { request, token })
        }
        Leg::Money(lock) => {
            let token = promises[place(run.role().peer())].token.clone();
            let authorisation = theirs.release.clone();
            run.operate(REDEEM, Task::Redeem { lock: (**lock).clone(), token, to: Side::Payee, authorisation })
        }
    };
    to(run, State::Taking { promises, theirs }).with_all(look)
}

fn to(run: Run, state: State) -> Step<Gx> {
    Step::to(Gx { run, state })
}

fn peer_final(env: &Env<'_>, run: &Run, signed: &Signed, promises: &[Promised; 2]) -> Result<(), GxError> {
    let role = run.role().peer();
    let checked: Verified<Final> = verify(env.verify, run.key_set(role), signed)
        .map_err(|error| GxError::PeerSignature { what: "final", error })?;
    let expected = Final { cid: run.cid(), role: run.stated(role), promises: ids(promises), slot: run.part() };
    let said = checked.statement();
    let bound = said.promises == expected.promises || flaws::active(Flaw::UnboundFinal);
    if (said.cid, said.role, said.slot) != (expected.cid, expected.role, expected.slot) || !bound {
        return Err(GxError::PeerMismatch("final"));
    }
    Ok(())
}

fn peer_quittance(env: &Env<'_>, run: &Run, signed: &Signed) -> Result<(), GxError> {
    let role = run.role().peer();
    let checked: Verified<Quittance> = verify(env.verify, run.key_set(role), signed)
        .map_err(|error| GxError::PeerSignature { what: "quittance", error })?;
    let is_ours = *checked.statement() == Quittance { cid: run.cid(), role }
        && (run.gives().lock().is_some() || run.buys_right());
    if is_ours { Ok(()) } else { Err(GxError::PeerMismatch("quittance")) }
}

/// The promises that the arbiter has completed the contract from: whoever asked for an abort may lack the responder's.
fn both_promises(env: &Env<'_>, run: &Run, found: &[Promised]) -> Result<[Promised; 2], GxError> {
    let bad = |reason: &dyn std::fmt::Display| GxError::BadVerdict(reason.to_string());
    let [first, second] = found else {
        return Err(bad(&"the promises that the verdict rests on are missing"));
    };
    let [originator, responder] = run.key_sets();
    let check = |signer, promise, role, answers| {
        check_promise(env.verify, signer, promise, run.cid(), role, answers).map_err(|e| bad(&e))
    };
    let answered = check(originator, &first.promise, Role::ORIGINATOR, None)?.id();
    check(responder, &second.promise, run.stated(Role::RESPONDER), Some(answered))?;
    Ok([first.clone(), second.clone()])
}

fn ids(promises: &[Promised; 2]) -> [StatementId; 2] {
    [promises[0].promise.id(), promises[1].promise.id()]
}

fn one(promises: Vec<Promised>) -> [Promised; 1] {
    promises.try_into().expect("the caller has counted")
}

/// Ends a run in which this party has said nothing yet. A responder tells the originator, as a courtesy.
fn withdraw(run: Run, tell: bool, reason: &str) -> Step<Gx> {
    let told = tell.then(|| Effect::Send(Message::decline(reason).to_bytes()));
    end(run, Ending::Lapsed, told.into_iter().collect())
}

/// Ends a run in which nothing was given and the peer may hold our promise. Where a right is sold nobody needs the arbiter for that: the promises bind
/// nobody before it is passed on.
fn leave(run: Run, ours: Promised) -> Step<Gx> {
    if run.sells_right() { end(run, Ending::Lapsed, Vec::new()) } else { ask_abort(run, ours) }
}

fn ask_abort(run: Run, ours: Promised) -> Step<Gx> {
    ask(run, Question::Abort, vec![ours])
}

/// Has the arbiter complete the contract; who has paid by plain transfer shows it that.
fn ask_resolve(run: Run, promises: [Promised; 2]) -> Step<Gx> {
    if run.transfers() {
        return prove(run, promises);
    }
    ask(run, Question::Resolve { proof: Vec::new() }, promises.into())
}

fn ask(run: Run, question: Question, promises: Vec<Promised>) -> Step<Gx> {
    // The timer may have fired where it could do nothing.
    let refund = run.refund_timer();
    let step = ask_again(run, question, promises);
    step.with_all(refund)
}

/// Asks without another attempt to take money back.
fn ask_again(run: Run, question: Question, promises: Vec<Promised>) -> Step<Gx> {
    let sign = Effect::Sign { draft: draft(&run, &question, &promises), consent: Consent::Implied };
    to(run, State::Asking { question, promises })
        .with(Effect::CancelTimer(PATIENCE))
        .with(Effect::CancelTimer(DEADLINE))
        .with(sign)
}

fn draft(run: &Run, question: &Question, promises: &[Promised]) -> Draft {
    let (cid, slot, role) = (run.cid(), run.part(), run.stated(run.role()));
    let id = |place: usize| promises.get(place).map(|promised| promised.promise.id());
    let first = id(0).expect("whoever asks the arbiter has promised or was promised");
    match question {
        Question::Abort => run.draft(&Abort { cid, slot, promise: first }),
        Question::Resolve { proof } => {
            let second = id(1).expect("whoever resolves holds both promises");
            let proof = (!proof.is_empty()).then(|| Digest::of(domain::PROOF, proof));
            run.draft(&Resolve { cid, slot, promises: [first, second], role, proof })
        }
        Question::Revoke => {
            let second = id(1).expect("whoever has passed a right on holds both promises");
            run.draft(&Revocation { cid, slot, promises: [first, second] })
        }
        Question::Inquire => run.draft(&Inquiry { cid, slot, role }),
        Question::Complain { proof } => {
            run.draft(&Complaint { cid, slot, role, proof: Digest::of(domain::MISBEHAVIOUR, proof) })
        }
        Question::Settle { payout, due } => {
            let side = if *due == Due::Payment { Side::Payee } else { Side::Payer };
            run.draft(&Settlement { cid, slot, role, side, payout: Digest::of(domain::PAYOUT, payout) })
        }
    }
}

fn ask_arbiter(run: Run, question: Question, asked: Signed, promises: Vec<Promised>) -> Step<Gx> {
    let (proof, payout) = match &question {
        Question::Complain { proof } | Question::Resolve { proof } => (proof.clone(), Vec::new()),
        Question::Settle { payout, .. } => (Vec::new(), payout.clone()),
        Question::Abort | Question::Revoke | Question::Inquire => (Vec::new(), Vec::new()),
    };
    let request = Request {
        core: run.core().clone(),
        key_sets: run.key_sets().clone(),
        promises: promises.clone(),
        question: asked.clone(),
        proof,
        payout,
    };
    to(run, State::AwaitVerdict { question, asked: asked.id(), promises })
        .with(Effect::keep(&asked))
        .with(Effect::AskArbiter(request.to_bytes()))
}

fn end(run: Run, ending: Ending, mut effects: Vec<Effect>) -> Step<Gx> {
    effects.extend([PATIENCE, DEADLINE].map(Effect::CancelTimer));
    if run.gives() != &Leg::Signature || run.gets() != &Leg::Signature {
        effects.extend([WINDOW, REFUND].map(Effect::CancelTimer));
    }
    effects.push(Effect::Ended(ending));
    Step { state: Gx { run, state: State::Ended { ending } }, effects }
}
