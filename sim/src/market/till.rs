//! The payment operations of a party, or of the arbiter, as `apps/semper/src/node/payments.rs` drives them.

use rand::RngExt as _;
use semper_core::cbor::Encode as _;
use semper_core::time::Seconds;
use semper_support::archive::{Archive as _, Commit, CommitError};
use semper_support::crypto::Signer as _;
use semper_support::engine::{Consent, Input};
use semper_transfer::payment::journal::{Advance, Entry, OPEN_SPACE, Versions, load_entry, load_purse};
use semper_transfer::payment::module::{Context, Event as Happening, IssuerReply, IssuerRequest, Next};
use semper_transfer::payment::operation::{Answer, Operation, OperationId};

use super::node::{ABANDONED, Kept, Taken};
use super::{ARBITER, BUYER, Break, Event, Name, World};
use crate::world::ready;

/// Operations that are read at once.
const PAGE: usize = 64;
/// Steps that one operation takes without a pause.
const STEPS_AT_ONCE: usize = 32;
/// How long an issuer's answer is waited for before the request is repeated.
const PATIENCE: u64 = 60;

/// What a drive of an operation came to.
enum Drive {
    On,
    Rest,
    Ended,
}

impl World<'_> {
    /// Takes every operation that does not rest as far as it goes now.
    pub(super) fn operations(&mut self, who: usize) {
        let open = ready(self.nodes[who].store.records(OPEN_SPACE, None, PAGE)).expect("the archive in memory reads");
        let open: Vec<_> = open
            .into_iter()
            .map(|(key, _)| OperationId::from_array(key.try_into().expect("operations have 32 bytes")))
            .collect();
        self.nodes[who].resting.retain(|id, _| open.contains(id));
        for id in open {
            if !self.is_up(who) {
                return;
            }
            let rests = self.nodes[who].resting.get(&id).is_some_and(|until| *until > self.clock(who));
            if !rests {
                self.drive(who, id);
            }
        }
    }

    /// Begins an operation, unless it was begun before.
    pub(super) fn begin(&mut self, who: usize, operation: Operation) {
        let mut commit = Commit::default();
        Entry::intent(operation, None, self.clock(who)).begin(&mut commit);
        match ready(self.nodes[who].store.commit(commit)) {
            Ok(()) | Err(CommitError::Stale { .. }) => self.rouse(who, 0),
            Err(error) => self.violated(format_args!("an operation cannot be begun: {error}")),
        }
    }

    /// How an operation has ended, if it has.
    pub(super) fn end_of(&self, who: usize, id: OperationId) -> Option<Answer> {
        let (entry, _) = ready(load_entry(&self.nodes[who].store, &id)).expect("the archive in memory reads")?;
        entry.answer()
    }

    pub(super) fn drive(&mut self, who: usize, id: OperationId) {
        self.nodes[who].resting.remove(&id);
        for _ in 0..STEPS_AT_ONCE {
            if self.crashes(who) {
                return;
            }
            match self.drive_once(who, id) {
                Drive::On => {}
                Drive::Ended => {
                    // Whatever waited for it goes on.
                    self.nodes[who].resting.clear();
                    return self.rouse(who, 0);
                }
                Drive::Rest => return,
            }
        }
        self.rest(who, id, 1);
    }

    fn rest(&mut self, who: usize, id: OperationId, span: u64) -> Drive {
        let until = self.clock(who).after(Seconds(span));
        self.nodes[who].resting.insert(id, until);
        self.rouse(who, span);
        Drive::Rest
    }

    fn drive_once(&mut self, who: usize, id: OperationId) -> Drive {
        let loaded = ready(load_entry(&self.nodes[who].store, &id));
        let Ok(Some((entry, _))) = loaded else { return Drive::Ended };
        let abandoned = ready(self.nodes[who].store.record(ABANDONED, id.as_bytes())).ok().flatten().is_some();
        if !entry.has_ended() && abandoned {
            let gone = (ABANDONED.to_owned(), id.as_bytes().to_vec(), None);
            return self.advance(who, id, Happening::GiveUp, Commit { records: vec![gone], ..Commit::default() });
        }
        let happening = match entry.next {
            None => Happening::Begin,
            Some(Next::Done(_) | Next::Failed(_)) => return Drive::Ended,
            Some(Next::Ask(request)) => {
                let now = self.clock(who);
                if let Some((_, until)) = self.nodes[who].asking.get(&id)
                    && *until > now
                {
                    let span = until.unix() - now.unix();
                    return self.rest(who, id, span);
                }
                // For the first time, or because the answer has not come in time.
                self.attempts += 1;
                let attempt = self.attempts;
                self.nodes[who].asking.insert(id, (attempt, now.after(Seconds(PATIENCE))));
                self.call(&Event::Ask { who, operation: id, attempt, request });
                return self.rest(who, id, PATIENCE);
            }
            Some(Next::Sign { draft, consent }) => {
                let asked = consent == Consent::Ask && who == BUYER;
                match self.answer(who, draft.id(), asked, || draft) {
                    Some(signed) => Happening::Signed(signed),
                    None => Happening::Declined,
                }
            }
            Some(Next::Fund(_)) => {
                self.violated("nobody pays in while goods are sold");
                return Drive::Ended;
            }
            Some(Next::Wait(time)) if time > self.clock(who) => {
                let span = time.unix() - self.clock(who).unix();
                return self.rest(who, id, span);
            }
            Some(Next::Wait(_)) => Happening::Due,
            Some(Next::Look(other)) => match ready(load_entry(&self.nodes[who].store, &other)) {
                Ok(Some((other, _))) if !other.has_ended() => return self.rest(who, id, 1),
                Ok(Some((other, _))) => Happening::Stage(other.stage),
                _ => Happening::Stage(Vec::new()),
            },
        };
        self.advance(who, id, happening, Commit::default())
    }

    /// One step: computed, stored, and given to the deal that waits for it if it is the last.
    fn advance(&mut self, who: usize, id: OperationId, happening: Happening, with: Commit) -> Drive {
        let (event, entropy) = (happening.name(), self.rng.random());
        let Some((advance, verb, mut commit)) = self.computed(who, id, happening, &entropy, with) else {
            return Drive::Ended;
        };
        let ended = advance.entry.has_ended();
        self.note(format_args!(
            "{}: {verb} + {event} -> {}",
            Name(who),
            match &advance.entry.next {
                Some(Next::Ask(request)) => format!("ask {}", request.url),
                Some(Next::Failed(failure)) => format!("failed: {failure}"),
                Some(Next::Done(outcome)) => format!("done, {} moved, fee {}", outcome.moved, outcome.fee),
                Some(Next::Sign { draft, .. }) => format!("sign {}", draft.kind),
                Some(Next::Wait(time)) => format!("wait until {time}"),
                _ => "go on".to_owned(),
            }
        ));
        if ended {
            commit.records.retain(|(space, _, _)| space != ABANDONED);
            commit.records.push((ABANDONED.to_owned(), id.as_bytes().to_vec(), None));
        }
        let kept = match advance.entry.answer().zip(advance.entry.operation.deal) {
            Some((answer, _)) if self.broken == Some(Break::SplitEnd) => {
                let kept = self.keep(who, commit);
                if kept == Kept::Stored && !self.crashes(who) {
                    self.step(who, Input::Operated(answer.to_bytes()), Commit::default());
                }
                kept
            }
            Some((answer, _)) => match self.step(who, Input::Operated(answer.to_bytes()), commit.clone()) {
                Taken::Done => Kept::Stored,
                Taken::Lost => Kept::Lost,
                refused => {
                    if !self.cheats(who) {
                        self.violated(format_args!("the deal does not take the end of {verb}: {refused:?}"));
                    }
                    self.keep(who, commit)
                }
            },
            None => self.keep(who, commit),
        };
        match kept {
            Kept::Stored if ended => Drive::Ended,
            Kept::Stored => Drive::On,
            // What is stored decides, once it can be read.
            _ if self.is_up(who) => self.rest(who, id, 5),
            _ => Drive::Rest,
        }
    }

    fn computed(
        &mut self,
        who: usize,
        id: OperationId,
        happening: Happening,
        entropy: &[u8; 32],
        with: Commit,
    ) -> Option<(Advance, &'static str, Commit)> {
        let node = &self.nodes[who];
        let (entry, version) = ready(load_entry(&node.store, &id)).ok()??;
        let (purse, purse_version) = ready(load_purse(&node.store, &entry.operation.purse)).ok()??;
        let verb = entry.operation.task.verb();
        let (now, verify, me) = (self.clock(who), &self.cast.oracle, node.hand.key_set());
        let context = Context { now, verify, entropy, me, certificates: &[] };
        let module = &*self.fair.modules[who];
        let advance = match entry.advance(module, &context, &purse, happening) {
            Ok(advance) => advance,
            Err(error) => {
                self.violated(format_args!("{}: {error}", Name(who)));
                return None;
            }
        };
        let evidence = if advance.entry.operation.deal.is_some() { self.key() } else { Entry::key(&id) };
        let mut commit = with;
        advance.store(&purse, Versions { entry: version, purse: purse_version }, &evidence, &mut commit);
        Some((advance, verb, commit))
    }

    /// One way of a call. Most come back while they are waited for: somebody whose calls never do is cut off for longer than the contract's
    /// dates allow for, and nothing is promised to it.
    fn call(&mut self, event: &Event) {
        let in_time = self.weather.delay.min(PATIENCE / 2);
        let longest = if self.chance(10) { self.weather.delay } else { in_time };
        self.travel_within(event, longest);
    }

    /// A request arrives at the issuer.
    pub(super) fn ask(&mut self, who: usize, operation: OperationId, attempt: u64, request: IssuerRequest) {
        if self.is_out(1) {
            return self.note("the issuer is not reached");
        }
        let fate = self.fate();
        self.fair.issuer.set(self.led(self.issuer_lead), fate);
        let Some(reply) = self.fair.issuer.ask(&request) else {
            return self.note(format_args!("the issuer answers {} that it is to be asked again", Name(who)));
        };
        self.note(format_args!("the issuer answers {}: {} ({fate:?})", Name(who), reply.status));
        self.call(&Event::Reply { who, operation, attempt, reply });
    }

    /// The issuer's answer arrives, on the connection of its request.
    pub(super) fn reply(&mut self, who: usize, operation: OperationId, attempt: u64, reply: IssuerReply) {
        let awaited = self.nodes[who].asking.get(&operation).is_some_and(|(number, _)| *number == attempt);
        if !self.is_up(who) || !awaited {
            return;
        }
        self.nodes[who].asking.remove(&operation);
        if self.crashes(who) {
            return;
        }
        match self.advance(who, operation, Happening::Reply(reply), Commit::default()) {
            Drive::On => self.drive(who, operation),
            Drive::Ended => {
                self.nodes[who].resting.clear();
                self.rouse(who, 0);
            }
            Drive::Rest => {}
        }
    }

    /// Whether somebody has operations that have not ended.
    pub(super) fn open_operations(&self, who: usize) -> Vec<OperationId> {
        let open = ready(self.nodes[who].store.records(OPEN_SPACE, None, PAGE)).expect("the archive in memory reads");
        let ids = open.into_iter().map(|(key, _)| OperationId::from_array(key.try_into().expect("32 bytes")));
        // What the arbiter asks anew after a failure it asks only if somebody wants it.
        ids.filter(|_| who != ARBITER).collect()
    }
}
