//! What a party asks the arbiter, and how it goes on as the arbiter says.

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Draft, Signed};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::machine::{Env, Step};
use semper_core::party::{KeySet, Role};
use semper_support::engine::{Consent, Effect, Ending};
use semper_transfer::payment::operation::{Lock, Task};
use semper_transfer::payment::statement::Side;

use super::super::run::place;
use super::super::{Due, Examination, Gx, GxError, Leg, Promised, Question, Run, State};
use super::moves::{ids, prove};
use super::{DEADLINE, PATIENCE, RULED_PAYOUT, RULED_REDEEM, WINDOW, end, to};
use crate::arbiter::request::{Abort, Complaint, Inquiry, Request, Resolve, Revocation, Settlement, check_promise};
use crate::arbiter::verdict::{ArbiterAnswer, Decision};

impl Gx {
    /// The arbiter has answered.
    pub(super) fn decided(self, env: &Env<'_>, bytes: &[u8]) -> Result<Step<Self>, GxError> {
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
            // Who asks what became of it may have had it revoked before its state was lost.
            Question::Revoke | Question::Inquire if decision == Decision::Revoked => {
                Some(call_back(run.clone(), &promises, &answer.statement, arbiter))
            }
            Question::Settle { due, .. } => settled(run, due, promises, &decision, answer.authorisation),
            _ => ruled(run, &question, promises, decision, answer.attestation),
        };
        then.map(|step| step.after(kept)).ok_or_else(|| bad(&"it does not follow from the contract"))
    }
}

impl Due {
    pub(super) fn ending(self) -> Ending {
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
            // Another machine runs such a contract, and the arbiter has heard no such question about it.
            Leg::Handed(_) => None,
            // It was too late to complain; the proof is kept.
            Leg::Information(_) if matches!(question, Question::Complain { .. }) => {
                Some(end(run, Ending::Defective, Vec::new()))
            }
            // The key comes with the answer to this question, which is one more about what stands.
            Leg::Information(_) if *question == Question::Inquire => Some(ask_resolve(run, promises.try_into().ok()?)),
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

pub(super) fn arrange(run: Run, due: Due, promises: Vec<Promised>) -> Step<Gx> {
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

/// The arbiter has ruled that the right is ours again: its issuer is told.
fn call_back(run: Run, promises: &[Promised], verdict: &Signed, arbiter: &KeySet) -> Step<Gx> {
    let token = promises.first().map(|given| given.token.as_slice()).unwrap_or_default();
    match run.right().and_then(|right| right.tell(token, verdict, arbiter)) {
        Some(tell) => to(run, State::Recalling { verdict: verdict.id() }).with(tell),
        None => end(run, Ending::Unsettled, Vec::new()),
    }
}

pub(super) fn ask_abort(run: Run, ours: Promised) -> Step<Gx> {
    ask(run, Question::Abort, vec![ours])
}

/// Has the arbiter complete the contract; who has paid by plain transfer shows it that.
pub(super) fn ask_resolve(run: Run, promises: [Promised; 2]) -> Step<Gx> {
    if run.transfers() {
        return prove(run, promises);
    }
    ask(run, Question::Resolve { proof: Vec::new() }, promises.into())
}

pub(super) fn ask(run: Run, question: Question, promises: Vec<Promised>) -> Step<Gx> {
    // The timer may have fired where it could do nothing.
    let refund = run.refund_timer();
    let step = ask_again(run, question, promises);
    step.with_all(refund)
}

/// Asks without another attempt to take money back.
pub(super) fn ask_again(run: Run, question: Question, promises: Vec<Promised>) -> Step<Gx> {
    let sign = Effect::Sign { draft: draft(&run, &question, &promises), consent: Consent::Implied };
    to(run, State::Asking { question, promises })
        .with(Effect::CancelTimer(PATIENCE))
        .with(Effect::CancelTimer(DEADLINE))
        .with(sign)
}

pub(super) fn draft(run: &Run, question: &Question, promises: &[Promised]) -> Draft {
    let (cid, slot, role) = (run.cid(), run.part(), run.stated(run.role()));
    let id = |place: usize| promises.get(place).map(|promised| promised.promise.id());
    let promised =
        |place| id(place).expect("whoever aborts has promised, and whoever resolves or revokes holds both promises");
    match question {
        Question::Abort => run.draft(&Abort { cid, slot, promise: promised(0) }),
        Question::Resolve { proof } => {
            let proof = (!proof.is_empty()).then(|| Digest::of(domain::PROOF, proof));
            run.draft(&Resolve { cid, slot, promises: [promised(0), promised(1)], role, proof })
        }
        Question::Revoke => run.draft(&Revocation { cid, slot, promises: [promised(0), promised(1)] }),
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

pub(super) fn ask_arbiter(run: Run, question: Question, asked: Signed, promises: Vec<Promised>) -> Step<Gx> {
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
