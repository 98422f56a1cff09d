//! The arbiter at work, as `apps/semper/src/roles/arbiter` is: the layers' rules, a register of facts, and purses of its own.

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Signed, Statement as _};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::StatementId;
use semper_core::machine::Fault;
use semper_core::merkle::Frontier;
use semper_core::party::Role;
use semper_exchange::arbiter::log::{self, LogReceipt};
use semper_exchange::arbiter::request::{Asked, Case, Court, Request};
use semper_exchange::arbiter::service::{CLOSING_SPACE, Next, VERDICT_SPACE, cell_key, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Closing, ClosingOutcome, Outcome, Verdict};
use semper_exchange::arbiter::{Cell, due};
use semper_exchange::goods::{Good, KeyAttestation};
use semper_exchange::gx::Leg;
use semper_support::archive::{Archive as _, Commit, Fact, OutgoingId, PutState};
use semper_support::crypto::Signer as _;
use semper_transfer::payment::operation::{Lock, Operation, OperationId, Outcome as Paid, Task};
use semper_transfer::payment::statement::Side;

use super::fair;
use super::node::Kept;
use super::{ARBITER, Break, Event, Name, World};
use crate::world::ready;

const LOG: &[u8] = b"log";
const LEAF_SPACE: &str = "log-leaf";
const SETTLED_SPACE: &str = "settled";
/// How often an issuer is asked anew about the same thing after it has failed.
const ATTEMPTS: u8 = 8;
/// How often a decision is tried again when another one was stored meanwhile.
const TRIES: usize = 64;

/// Why a request gets no answer.
enum No {
    /// It never will.
    Invalid(String),
    /// The same request may be answered later.
    Later(&'static str),
}

/// What stands in a cell.
struct Standing {
    verdict: Option<(ArbiterAnswer, Verdict)>,
    closing: Option<(ArbiterAnswer, Closing)>,
}

impl Standing {
    fn cell(&self) -> Option<(Cell, StatementId)> {
        let (answer, Verdict { outcome, time, .. }) = self.verdict.as_ref()?;
        let closing = self.closing.as_ref().map(|(_, closing)| closing.outcome);
        Some((Cell { outcome: *outcome, time: *time, closing }, answer.statement.id()))
    }

    fn is_resolved(&self) -> bool {
        let resolved = |cell: Cell| cell.outcome == Outcome::Resolved;
        self.cell().is_some_and(|(cell, _)| resolved(cell) && !matches!(cell.closing, Some(ClosingOutcome::Fault(_))))
    }

    fn answer(&self) -> Option<ArbiterAnswer> {
        let (answer, _) = self.verdict.as_ref()?;
        let closing = self.closing.as_ref();
        let closing = closing.and_then(|(closing, _)| Some((closing.statement.clone(), closing.log.clone()?)));
        Some(ArbiterAnswer { closing, ..answer.clone() })
    }
}

impl World<'_> {
    /// A request arrives; its answer goes back on the same connection.
    pub(super) fn request(&mut self, from: usize, id: OutgoingId, bytes: &[u8]) {
        if self.is_out(0) || !self.is_up(ARBITER) {
            return self.note("the arbiter is not reached");
        }
        let event = match self.decided(bytes) {
            Ok(answer) => {
                self.note(format_args!("the arbiter answers {}: {}", Name(from), said(&answer)));
                Event::Answer { to: from, id, bytes: answer.to_bytes() }
            }
            Err(No::Invalid(why)) => {
                self.note(format_args!("the arbiter refuses {}: {why}", Name(from)));
                Event::Rejected { to: from, id }
            }
            Err(No::Later(why)) => return self.note(format_args!("the arbiter does not answer {}: {why}", Name(from))),
        };
        if self.is_up(ARBITER) {
            self.travel(&event);
        }
    }

    fn decided(&mut self, bytes: &[u8]) -> Result<ArbiterAnswer, No> {
        let invalid = |error: &dyn std::fmt::Display| No::Invalid(error.to_string());
        let request = Request::from_bytes(bytes).map_err(|e| invalid(&e))?;
        let me = self.key_set(ARBITER);
        let deposit_key = self.deposit_key();
        let oracle = self.cast.oracle;
        let court =
            Court { verify: &oracle, kem: &oracle, arbiter: &me, deposit_key: Some(&deposit_key), systems: &[] };
        let case = court.check(&request).map_err(|e| invalid(&e))?;
        let cell = cell_key(&case);
        let mut confirmed = case.unconfirmed().is_none() || self.broken == Some(Break::UnconfirmedToken);
        for _ in 0..TRIES {
            let standing = self.standing(&cell)?;
            let (mut log, version) = self.log()?;
            let (space, draft) = match decide(standing.cell(), &case, &me, log.size(), self.clock(ARBITER)) {
                Next::AnswerStored => return self.stands(&case, &request, &standing),
                Next::SignAndAnswer(draft) => {
                    let answer = ArbiterAnswer::of(self.signed(draft));
                    return self.settled(&case, &request, &standing, answer);
                }
                Next::Refuse => return Err(No::Later("nothing has been decided that could be settled")),
                Next::SignAndStore(_) if !confirmed => {
                    self.confirm(&case, &request)?;
                    confirmed = true;
                    continue;
                }
                Next::SignAndStore(draft) => (VERDICT_SPACE, draft),
                Next::SignAndClose(draft) => (CLOSING_SPACE, draft),
            };
            let statement = self.signed(draft);
            let (head, inclusion) =
                log::add(&mut log, &statement, self.clock(ARBITER)).map_err(|_| No::Later("the log is full"))?;
            let head = self.signed(head.draft(me.suite(), me.id()));
            let resolves = Verdict::from_bytes(statement.payload()).is_ok_and(|v| v.outcome == Outcome::Resolved);
            let promises = if resolves { request.promises.clone() } else { Vec::new() };
            let receipt = Some(LogReceipt { head, inclusion });
            let stored = ArbiterAnswer { promises, log: receipt, ..ArbiterAnswer::of(statement) };
            self.note(format_args!("the arbiter decides: {}", said(&stored)));
            self.write(space, &cell, (&log, version), bytes, &stored)?;
        }
        Err(No::Later("too many requests at once"))
    }

    fn standing(&self, cell: &[u8]) -> Result<Standing, No> {
        let stored = |space| -> Option<ArbiterAnswer> {
            let bytes = ready(self.nodes[ARBITER].store.fact(space, cell)).ok()??;
            ArbiterAnswer::from_bytes(&bytes).ok()
        };
        let unreadable = |_| No::Later("the register is not readable");
        let read = stored(VERDICT_SPACE).map(|a| Verdict::from_bytes(a.statement.payload()).map(|v| (a, v)));
        let closing = stored(CLOSING_SPACE).map(|a| Closing::from_bytes(a.statement.payload()).map(|c| (a, c)));
        let verdict = read.transpose().map_err(unreadable)?;
        Ok(Standing { verdict, closing: closing.transpose().map_err(unreadable)? })
    }

    fn log(&self) -> Result<(Frontier, u64), No> {
        let unreadable = || No::Later("the log is not readable");
        match ready(self.nodes[ARBITER].store.state(LOG)).map_err(|_| unreadable())? {
            Some(stored) => Ok((Frontier::from_bytes(&stored.bytes).map_err(|_| unreadable())?, stored.version)),
            None => Ok((Frontier::default(), 0)),
        }
    }

    /// Stores everything that one decision changes, in one commit.
    fn write(
        &mut self,
        space: &str,
        cell: &[u8],
        (log, replaces): (&Frontier, u64),
        request: &[u8],
        answer: &ArbiterAnswer,
    ) -> Result<(), No> {
        if self.crashes(ARBITER) {
            return Err(No::Later("it has crashed"));
        }
        let fact = |space: &str, key: &[u8], value| Fact { space: space.to_owned(), key: key.to_vec(), value };
        let leaf = log::leaf(&answer.statement).as_bytes().to_vec();
        let commit = Commit {
            states: vec![PutState { key: LOG.to_vec(), replaces, bytes: log.to_bytes() }],
            facts: vec![
                fact(space, cell, answer.to_bytes()),
                fact(&format!("{space}-basis"), cell, request.to_vec()),
                fact(LEAF_SPACE, &(log.size() - 1).to_be_bytes(), leaf),
            ],
            ..Commit::default()
        };
        match self.keep(ARBITER, commit) {
            Kept::Stored | Kept::Taken => {}
            Kept::Doubled | Kept::Lost => return Err(No::Later("its storage failed")),
        }
        if self.crashes(ARBITER) { Err(No::Later("it has crashed")) } else { Ok(()) }
    }

    fn signed(&self, draft: semper_core::cose::Draft) -> Signed {
        self.cast.arbiter.sign(draft).expect("the arbiter signs its own drafts")
    }

    /// What stands, and what is made for the asker.
    fn stands(&mut self, case: &Case, request: &Request, standing: &Standing) -> Result<ArbiterAnswer, No> {
        let mut answer = standing.answer().ok_or(No::Later("nothing stands"))?;
        let asker = match case.asked() {
            Asked::Abort => Some(Role::ORIGINATOR),
            Asked::Resolve { by } => Some(by),
            Asked::Complain { .. } | Asked::Settle { .. } | Asked::Revoke | Asked::Inquire => None,
        };
        if let Some(asker) = asker.filter(|_| standing.is_resolved()) {
            answer.attestation = self.attested(case, asker);
        }
        self.settled(case, request, standing, answer)
    }

    fn attested(&self, case: &Case, to: Role) -> Option<Signed> {
        let Leg::Information(slot) = *case.gives(to.peer()) else { return None };
        let good = Good::of(case.core(), slot, Some(&self.deposit_key())).ok()?;
        let key = good.recover(&self.cast.deposits).ok()?;
        let me = self.key_set(ARBITER);
        Some(self.signed(KeyAttestation { cid: case.cid(), slot, key }.draft(me.suite(), me.id())))
    }

    /// Lets go of locked money if that was asked for and it is due to the asker.
    fn settled(
        &mut self,
        case: &Case,
        request: &Request,
        standing: &Standing,
        mut answer: ArbiterAnswer,
    ) -> Result<ArbiterAnswer, No> {
        let Asked::Settle { side } = case.asked() else { return Ok(answer) };
        let asker = case.core().role_of(request.question.signer()).ok_or(No::Later("a stranger asks"))?;
        let payer = if side == Side::Payer { asker } else { asker.peer() };
        let is_due = due(standing.cell().map(|(cell, _)| cell), case) == Some(side);
        if is_due || self.broken == Some(Break::EarlySettlement) {
            let token = token(request, payer).to_vec();
            let lock = locked(case, payer)?;
            if self.broken != Some(Break::EarlySettlement) {
                self.only(case, side)?;
            }
            let about = [token.clone(), request.payout.clone(), side.name().as_bytes().to_vec()];
            let task = Task::Authorise { lock, token, payout: request.payout.clone(), to: side };
            answer.authorisation = self.performed(case, &about, &task)?.handover;
        }
        Ok(answer)
    }

    /// Has the issuer confirm that a payer's token is the lock of the contract.
    fn confirm(&mut self, case: &Case, request: &Request) -> Result<(), No> {
        let Some(payer) = case.unconfirmed() else { return Ok(()) };
        let token = token(request, payer).to_vec();
        let task = Task::VerifyLock { lock: locked(case, payer)?, token: token.clone() };
        self.performed(case, &[token], &task).map(drop)
    }

    /// Stores the side that the money goes to: one side, for ever.
    fn only(&mut self, case: &Case, to: Side) -> Result<(), No> {
        let (cell, value) = (cell_key(case), to.name().as_bytes().to_vec());
        if ready(self.nodes[ARBITER].store.fact(SETTLED_SPACE, &cell)).ok().flatten().is_none() {
            let fact = Fact { space: SETTLED_SPACE.to_owned(), key: cell.clone(), value: value.clone() };
            if self.keep(ARBITER, Commit { facts: vec![fact], ..Commit::default() }) == Kept::Lost {
                return Err(No::Later("its storage failed"));
            }
        }
        let stands = ready(self.nodes[ARBITER].store.fact(SETTLED_SPACE, &cell)).ok().flatten();
        if stands == Some(value) { Ok(()) } else { Err(No::Later("the money was let go to the other side")) }
    }

    /// Does a task with the arbiter's purse, once for what it is about. Each attempt that fails for a reason that may pass is followed by
    /// another when the request comes again.
    fn performed(&mut self, case: &Case, about: &[Vec<u8>], task: &Task) -> Result<Paid, No> {
        let about: Vec<&[u8]> = about.iter().map(Vec::as_slice).collect();
        let about = Digest::of_parts(domain::INPUT, &about);
        'attempts: for attempt in 0..ATTEMPTS {
            let id = |verb| OperationId::of_case(case.cid(), verb, about.as_bytes(), attempt);
            let terms = if attempt == 0 { fair::first_terms(ARBITER) } else { id("refresh") };
            let mut outcome = None;
            for (id, task) in [(terms, Task::Refresh), (id(task.verb()), task.clone())] {
                let Some(answer) = self.end_of(ARBITER, id) else {
                    self.begin(ARBITER, Operation { id, purse: fair::purse(ARBITER), deal: None, task });
                    return Err(No::Later("the issuer of the locked money is awaited"));
                };
                match answer.result {
                    Ok(done) => outcome = Some(done),
                    Err(failure)
                        if matches!(failure.fault, Fault::PeerMisbehaved | Fault::PeerRefused | Fault::Misuse) =>
                    {
                        return Err(No::Invalid(failure.reason));
                    }
                    Err(_) => continue 'attempts,
                }
            }
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
        Err(No::Invalid("the issuer of the locked money has failed to confirm it".to_owned()))
    }

    /// What the register holds, if the contract was ruled on.
    pub(super) fn register(&self) -> Result<Option<(Outcome, Option<ClosingOutcome>)>, String> {
        let facts = |space| ready(self.nodes[ARBITER].store.facts(space, None, 4)).map_err(|e| e.to_string());
        let (verdicts, closings) = (facts(VERDICT_SPACE)?, facts(CLOSING_SPACE)?);
        if verdicts.len() > 1 || closings.len() > verdicts.len() {
            return Err("S1: the register holds more than one decision".to_owned());
        }
        let said = |fact: &Fact| ArbiterAnswer::from_bytes(&fact.value).map_err(|e| e.to_string());
        let closing = closings.first().map(said).transpose()?;
        let closing = closing.map(|closing| Closing::from_bytes(closing.statement.payload()));
        let closing = closing.transpose().map_err(|e| e.to_string())?.map(|closing| closing.outcome);
        let verdict = verdicts.first().map(said).transpose()?;
        let verdict = verdict.map(|verdict| Verdict::from_bytes(verdict.statement.payload()));
        Ok(verdict.transpose().map_err(|e| e.to_string())?.map(|verdict| (verdict.outcome, closing)))
    }
}

fn token(request: &Request, owner: Role) -> &[u8] {
    request.promises.get(usize::from(owner.number())).map_or(&[], |promised| &promised.token)
}

fn locked(case: &Case, payer: Role) -> Result<Lock, No> {
    let lock = case.gives(payer).lock().cloned();
    lock.ok_or_else(|| No::Invalid("no money is locked in this contract".to_owned()))
}

fn said(answer: &ArbiterAnswer) -> String {
    let verdict = Verdict::from_bytes(answer.statement.payload()).map(|verdict| verdict.outcome);
    let closing = answer.closing.as_ref().map(|(closing, _)| Closing::from_bytes(closing.payload()));
    let closing = closing.and_then(Result::ok).map(|closing| closing.outcome);
    let (key, money) = (answer.attestation.is_some(), !answer.authorisation.is_empty());
    format!("{} {verdict:?}, {closing:?}, key: {key}, money: {money}", answer.statement.kind())
}
