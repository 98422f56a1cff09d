//! What a party does next, as long as nobody has to decide.

use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{Final, Quittance};
use semper_core::cose::Signed;
use semper_core::ids::StatementId;
use semper_core::machine::{Env, Step};
use semper_core::party::Role;
use semper_core::signature::{Verified, verify};
use semper_core::time::Time;
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind};
use semper_support::flaws::{self, Flaw};
use semper_transfer::credential::Bundle;
use semper_transfer::payment::operation::{Failure, Outcome, Task};
use semper_transfer::payment::statement::Side;

use super::super::message::PROOF_MAX;
use super::super::right;
use super::super::run::place;
use super::super::{Completed, Examination, Gx, GxError, Leg, Message, Promised, Question, Run, Show, State, Transfer};
use super::ruling::{ask, ask_abort, ask_resolve};
use super::{AUTHORISE, DEADLINE, PATIENCE, PAY, RECEIVE, REDEEM, TAKE_BACK, VERIFY, WINDOW, end, to};

/// The peer's item is here.
pub(super) fn taken(run: Run, mut promises: [Promised; 2], theirs: &Completed) -> Step<Gx> {
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
pub(super) fn passed(
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
pub(super) fn passed_on(
    env: &Env<'_>,
    run: Run,
    mut promises: [Promised; 2],
    theirs: &Completed,
) -> Result<Step<Gx>, GxError> {
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
pub(super) fn quitted(run: Run, state: State, quittance: &Signed) -> Step<Gx> {
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

/// The peer's money is here. That it let it go, or the arbiter did, proves to nobody that it was taken: whoever has it says so.
pub(super) fn paid(run: Run) -> Step<Gx> {
    let sign = Effect::Sign { draft: run.quittance(), consent: Consent::Implied };
    to(run, State::AwaitQuittanceSignature)
        .with(Effect::CancelTimer(PATIENCE))
        .with(Effect::CancelTimer(DEADLINE))
        .with(sign)
}

/// Asks the issuer for money that was sent by plain transfer.
pub(super) fn prove(run: Run, promises: [Promised; 2]) -> Step<Gx> {
    let paid = run.operation(PAY);
    let ask = paid.and_then(|paid| run.operate(TAKE_BACK, Task::Reclaim(paid)));
    let timers = [PATIENCE, DEADLINE].map(Effect::CancelTimer);
    to(run, State::Proving { promises }).with_all(timers).with_all(ask)
}

/// The issuer has said where the money is.
pub(super) fn proven(run: Run, promises: [Promised; 2], result: Result<Outcome, Failure>) -> Step<Gx> {
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
pub(super) fn defective(run: Run, promises: Vec<Promised>, proof: Vec<u8>) -> Step<Gx> {
    let kept = Effect::Keep { kind: EvidenceKind::Misbehaviour, bytes: proof.clone() };
    if run.may_complain() {
        return ask(run, Question::Complain { proof }, promises).after([kept]);
    }
    end(run, Ending::Defective, vec![kept])
}

/// Looks at what the peer has put down before anything of ours follows. Money is checked at its issuer; a wrapped key stands in the contract.
pub(super) fn check_deposit(run: Run, ours: Option<Promised>, theirs: Promised) -> Step<Gx> {
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
pub(super) fn agree(run: Run, theirs: Option<Promised>, payout: Vec<u8>) -> Step<Gx> {
    let answers = theirs.as_ref().map(|theirs| theirs.promise.id());
    let ask = Effect::Sign { draft: run.promise(answers), consent: Consent::Ask };
    to(run, State::AwaitPromiseSignature { theirs, payout }).with(ask)
}

/// Our money is locked.
pub(super) fn deposited(env: &Env<'_>, run: Run, ours: Promised, theirs: Option<Promised>, late: bool) -> Step<Gx> {
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
pub(super) fn promised(env: &Env<'_>, run: Run, ours: Promised, theirs: Option<Promised>) -> Step<Gx> {
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
pub(super) fn await_peer(env: &Env<'_>, run: &Run, bound: bool) -> Vec<Effect> {
    if bound && run.is_transferred() {
        return vec![Effect::SetTimer { name: WINDOW, due: run.closed_at() }];
    }
    // Who is to pay for a right and has not got it leaves when it is too late to pay.
    let deadline = if run.buys_right() { run.last_step() } else { run.asks_at() };
    let [patience, last] = patient(env, run, deadline);
    [patience].into_iter().chain(bound.then_some(last)).collect()
}

/// The user's patience, and the last moment.
pub(super) fn patient(env: &Env<'_>, run: &Run, deadline: Time) -> [Effect; 2] {
    let patience = Effect::SetTimer { name: PATIENCE, due: env.now.after(run.patience()).min(deadline) };
    [patience, Effect::SetTimer { name: DEADLINE, due: deadline }]
}

/// Prepares our item. `wanted` is where the peer wants its money.
pub(super) fn release(run: Run, promises: [Promised; 2], payout: Vec<u8>, wanted: &[u8]) -> Step<Gx> {
    match run.gives() {
        // What goes through the arbiter's hands another machine gives.
        Leg::Signature | Leg::Show(_) | Leg::Handed(_) => complete(run, promises, Vec::new(), payout),
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
pub(super) fn complete(run: Run, promises: [Promised; 2], release: Vec<u8>, payout: Vec<u8>) -> Step<Gx> {
    let sign = Effect::Sign { draft: run.completion(ids(&promises)), consent: Consent::Implied };
    to(run, State::AwaitFinalSignature { promises, release, payout }).with(sign)
}

/// The peer's final is here: its item is looked at.
pub(super) fn take(run: Run, promises: [Promised; 2], theirs: Completed) -> Step<Gx> {
    let look = match run.gets() {
        // A right was looked at when it came. What goes through the arbiter's hands another machine takes.
        Leg::Signature | Leg::Show(_) | Leg::Right(_) | Leg::Handed(_) => return taken(run, promises, &theirs),
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

pub(super) fn peer_final(env: &Env<'_>, run: &Run, signed: &Signed, promises: &[Promised; 2]) -> Result<(), GxError> {
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

pub(super) fn peer_quittance(env: &Env<'_>, run: &Run, signed: &Signed) -> Result<(), GxError> {
    let role = run.role().peer();
    let checked: Verified<Quittance> = verify(env.verify, run.key_set(role), signed)
        .map_err(|error| GxError::PeerSignature { what: "quittance", error })?;
    let is_ours = *checked.statement() == Quittance { cid: run.cid(), role }
        && (run.gives().lock().is_some() || run.buys_right());
    if is_ours { Ok(()) } else { Err(GxError::PeerMismatch("quittance")) }
}

pub(super) fn ids(promises: &[Promised; 2]) -> [StatementId; 2] {
    [promises[0].promise.id(), promises[1].promise.id()]
}

pub(super) fn one(promises: Vec<Promised>) -> [Promised; 1] {
    promises.try_into().expect("the caller has counted")
}

/// Ends a run in which this party has said nothing yet. A responder tells the originator, as a courtesy.
pub(super) fn withdraw(run: Run, tell: bool, reason: &str) -> Step<Gx> {
    let told = tell.then(|| Effect::Send(Message::decline(reason).to_bytes()));
    end(run, Ending::Lapsed, told.into_iter().collect())
}

/// Ends a run in which nothing was given and the peer may hold our promise. Where a right is sold nobody needs the arbiter for that: the promises bind
/// nobody before it is passed on.
pub(super) fn leave(run: Run, ours: Promised) -> Step<Gx> {
    if run.sells_right() { end(run, Ending::Lapsed, Vec::new()) } else { ask_abort(run, ours) }
}
