//! What moves it on.

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Draft, Signed};
use semper_core::ids::StatementId;
use semper_core::machine::{Env, Machine, Step};
use semper_core::party::Role;
use semper_core::signature::answers;
use semper_support::archive::Fact;
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};

use super::{Cn, CnError, Message, Run, State};
use crate::arbiter::many::{Answer, Ask, Decision, Request};
use crate::gx::RUN_SPACE;

/// Timer: the user's patience with the others.
pub const PATIENCE: &str = crate::gx::PATIENCE;
/// Timer: the last moment to ask the arbiter.
pub const DEADLINE: &str = crate::gx::DEADLINE;

impl Machine for Cn {
    type Input = Input;
    type Effect = Effect;
    type Error = CnError;

    fn handle(self, env: &Env<'_>, input: Input) -> Result<Step<Self>, CnError> {
        match input {
            Input::Begin => self.begin(env),
            Input::Message(bytes) => match Message::from_bytes(&bytes).map_err(CnError::Malformed)? {
                Message::Round(signed) => self.heard(env, signed, bytes),
                Message::Decline(_) => Ok(self.declined_by_other(bytes)),
            },
            Input::Signed(signed) => self.signed(env, signed),
            Input::Declined { statement } => self.declined(statement),
            Input::ArbiterSays(bytes) => self.decided(env, &bytes),
            Input::Timer(_) | Input::GiveUp => Ok(self.give_up()),
            Input::Operated(_) => Err(self.out_of_place("a payment")),
            Input::Examined(_) => Err(self.out_of_place("an examination")),
            Input::Said(_) => Err(self.out_of_place("an issuer's answer")),
            // A receipt says that a message arrived, not that it was read: it moves nothing. And the arbiter of many hears no question that decides
            // nothing: whoever has lost its rounds waits, and its keys sign no other.
            Input::Delivered | Input::Restored => Ok(Step::to(self)),
        }
    }
}

impl Cn {
    fn begin(self, env: &Env<'_>) -> Result<Step<Self>, CnError> {
        let Cn { run, state } = self;
        match state {
            State::Ready { heard } if run.role() == Role::ORIGINATOR => {
                // A question that nobody answers in time is not asked for ever.
                let due = run.core().terms.deadlines.last_step();
                Ok(agree(env, run, heard)?.after([Effect::SetTimer { name: DEADLINE, due }]))
            }
            other => Err(Cn { run, state: other }.out_of_place("begin")),
        }
    }

    /// Somebody's signature on a round.
    fn heard(self, env: &Env<'_>, signed: Signed, bytes: Vec<u8>) -> Result<Step<Self>, CnError> {
        let Cn { run, state } = self;
        let (role, of) = run.circle().check(env.verify, &signed)?;
        let first = vec![Effect::keep(&signed)];
        let then = match state {
            // Our own, sent back to us.
            state if role == run.role() => return Ok(to(run, state)),
            State::Ready { heard } if of == 1 && !has(&run, &heard, role) => {
                let heard = with(&run, heard, role, signed);
                if role == Role::ORIGINATOR { agree(env, run, heard)? } else { to(run, State::Ready { heard }) }
            }
            State::AwaitConsent { heard } if of == 1 && !has(&run, &heard, role) => {
                let heard = with(&run, heard, role, signed);
                to(run, State::AwaitConsent { heard })
            }
            State::AwaitSignature { round, last, heard } if of == round && !has(&run, &heard, role) => {
                let heard = with(&run, heard, role, signed);
                to(run, State::AwaitSignature { round, last, heard })
            }
            State::AwaitRound { round, last, heard, ahead } if of == round && !has(&run, &heard, role) => {
                let heard = with(&run, heard, role, signed);
                go_on(env, run, round, last, heard, ahead)
            }
            State::AwaitRound { round, last, heard, ahead } if of == round + 1 && !has(&run, &ahead, role) => {
                let ahead = with(&run, ahead, role, signed);
                to(run, State::AwaitRound { round, last, heard, ahead })
            }
            // Doubled, late, or further ahead than an honest party gets: nothing changes. It is kept, for it may show that its signer has
            // gone on after it had asked the arbiter. The driver takes each distinct message once and bounds how many it takes.
            state => return Ok(to(run, state).with(Effect::Keep { kind: EvidenceKind::Late, bytes })),
        };
        Ok(then.after(first))
    }

    /// Somebody declines: as if patience had run out in the first round. What it says binds nobody, and after the first round it is late.
    fn declined_by_other(self, bytes: Vec<u8>) -> Step<Self> {
        let Cn { run, state } = self;
        match state {
            State::Ready { .. } | State::AwaitConsent { .. } => end(run, Ending::Lapsed, Vec::new()),
            State::AwaitRound { round: 1, last, .. } => ask(run, 1, last),
            state => to(run, state).with(Effect::Keep { kind: EvidenceKind::Late, bytes }),
        }
    }

    fn signed(self, env: &Env<'_>, signed: Signed) -> Result<Step<Self>, CnError> {
        let Cn { run, state } = self;
        let late = run.is_late(env.now);
        match state {
            State::AwaitConsent { heard } => {
                let ours = own(env, &run, run.round(1), signed)?;
                if late {
                    // The user took too long. The signature was never sent and never will be.
                    return Ok(end(run, Ending::Lapsed, Vec::new()));
                }
                Ok(send(env, run, 1, Vec::new(), heard, ours))
            }
            State::AwaitSignature { round, last, heard } => {
                let ours = own(env, &run, run.round(round), signed)?;
                Ok(if late { ask(run, round, last) } else { send(env, run, round, last, heard, ours) })
            }
            State::Asking { round, last } => {
                let question = own(env, &run, asks(&run, round), signed)?;
                let (core, key_sets) = (run.core().clone(), run.circle().key_sets().to_vec());
                let asked = question.id();
                let kept = Effect::keep(&question);
                let request = Request { core, key_sets, sheet: last, question };
                Ok(to(run, State::AwaitVerdict { round, asked })
                    .with(kept)
                    .with(Effect::AskArbiter(request.to_bytes())))
            }
            // The answer to a request that was overtaken: it is never sent.
            other => Ok(to(run, other)),
        }
    }

    fn declined(self, statement: StatementId) -> Result<Step<Self>, CnError> {
        let Cn { run, state } = self;
        match state {
            State::AwaitConsent { .. } if run.round(1).id() == statement => Ok(withdraw(run)),
            State::AwaitConsent { .. } => Err(CnError::WrongSignature),
            other => Ok(to(run, other)),
        }
    }

    /// Patience has run out, the deadline is near, or the user wants to end it.
    fn give_up(self) -> Step<Self> {
        let Cn { run, state } = self;
        match state {
            State::Ready { .. } => end(run, Ending::Lapsed, Vec::new()),
            State::AwaitConsent { .. } => withdraw(run),
            State::AwaitSignature { round, last, .. } | State::AwaitRound { round, last, .. } => ask(run, round, last),
            asked_or_ended => to(run, asked_or_ended),
        }
    }

    /// The arbiter has answered.
    fn decided(self, env: &Env<'_>, bytes: &[u8]) -> Result<Step<Self>, CnError> {
        let Cn { run, state } = self;
        let State::AwaitVerdict { asked, .. } = state else {
            // The arbiter's answer came twice.
            return Ok(to(run, state));
        };
        let bad = |reason: &dyn std::fmt::Display| CnError::BadVerdict(reason.to_string());
        let answer = Answer::from_bytes(bytes).map_err(|e| bad(&e))?;
        let decision = answer.read(env.verify, run.arbiter(), run.circle(), run.role(), asked).map_err(|e| bad(&e))?;
        let ending = match decision {
            Decision::Unused => Ending::Lapsed,
            Decision::Aborted => Ending::Aborted,
            Decision::Resolved => Ending::Success,
        };
        Ok(end(run, ending, answer.evidence()))
    }

    fn out_of_place(&self, input: &'static str) -> CnError {
        CnError::OutOfPlace { state: self.state.name(), input }
    }
}

/// Asks the user. One contract is run once, ever: the fact and the state are one commit.
fn agree(env: &Env<'_>, run: Run, heard: Vec<Signed>) -> Result<Step<Cn>, CnError> {
    if run.is_late(env.now) {
        return Err(CnError::TooLate);
    }
    let key = run.cid().as_bytes().to_vec();
    let once = Effect::Once(Fact { space: RUN_SPACE.to_owned(), key, value: Vec::new() });
    let sign = Effect::Sign { draft: run.round(1), consent: Consent::Ask };
    Ok(to(run, State::AwaitConsent { heard }).with(once).with(sign))
}

/// Our signature goes out.
fn send(env: &Env<'_>, run: Run, round: u8, last: Vec<Signed>, heard: Vec<Signed>, ours: Signed) -> Step<Cn> {
    let deadline = run.core().terms.deadlines.last_step();
    let first = vec![
        Effect::keep(&ours),
        Effect::Send(Message::Round(ours.clone()).to_bytes()),
        Effect::SetTimer { name: PATIENCE, due: env.now.after(run.patience()).min(deadline) },
        Effect::SetTimer { name: DEADLINE, due: deadline },
    ];
    let role = run.role();
    let heard = with(&run, heard, role, ours);
    go_on(env, run, round, last, heard, Vec::new()).after(first)
}

/// Goes on to the next round if this one is complete.
fn go_on(env: &Env<'_>, run: Run, round: u8, last: Vec<Signed>, heard: Vec<Signed>, ahead: Vec<Signed>) -> Step<Cn> {
    if heard.len() < run.circle().parties() {
        return to(run, State::AwaitRound { round, last, heard, ahead });
    }
    if round == run.circle().rounds() {
        return end(run, Ending::Success, Vec::new());
    }
    let next = round + 1;
    // Too late to send a signature that might have to be defended before the arbiter.
    if run.is_late(env.now) {
        return ask(run, next, heard);
    }
    let sign = Effect::Sign { draft: run.round(next), consent: Consent::Implied };
    to(run, State::AwaitSignature { round: next, last: heard, heard: ahead }).with(sign)
}

/// Whether the signature of a role is among these.
fn has(run: &Run, signatures: &[Signed], role: Role) -> bool {
    signatures.iter().any(|signed| run.circle().signer(signed) == Some(role))
}

/// Adds a role's signature in its place.
fn with(run: &Run, mut signatures: Vec<Signed>, role: Role, signed: Signed) -> Vec<Signed> {
    let place = signatures.partition_point(|other| run.circle().signer(other) < Some(role));
    signatures.insert(place, signed);
    signatures
}

/// Ends a run in which this party has said nothing yet, and tells the others, as a courtesy.
fn withdraw(run: Run) -> Step<Cn> {
    end(run, Ending::Lapsed, vec![Effect::Send(Message::Decline(String::new()).to_bytes())])
}

fn asks(run: &Run, round: u8) -> Draft {
    run.draft(&Ask { cid: run.cid(), role: run.role(), round })
}

/// Asks the arbiter. No state leads back from here: a party asks once and signs no round after it.
fn ask(run: Run, round: u8, last: Vec<Signed>) -> Step<Cn> {
    let sign = Effect::Sign { draft: asks(&run, round), consent: Consent::Implied };
    to(run, State::Asking { round, last })
        .with(Effect::CancelTimer(PATIENCE))
        .with(Effect::CancelTimer(DEADLINE))
        .with(sign)
}

/// Checks what the key holder returned: just the statement that was asked for, validly signed.
fn own(env: &Env<'_>, run: &Run, draft: Draft, signed: Signed) -> Result<Signed, CnError> {
    if answers(env.verify, run.me(), &draft, &signed) { Ok(signed) } else { Err(CnError::WrongSignature) }
}

fn to(run: Run, state: State) -> Step<Cn> {
    Step::to(Cn { run, state })
}

fn end(run: Run, ending: Ending, mut effects: Vec<Effect>) -> Step<Cn> {
    effects.extend([PATIENCE, DEADLINE].map(Effect::CancelTimer));
    effects.push(Effect::Ended(ending));
    Step { state: Cn { run, state: State::Ended { ending } }, effects }
}
