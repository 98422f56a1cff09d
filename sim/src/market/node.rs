//! A party's process. What it stores with what, and when it acts, is what `apps/semper/src/node` does.
//!
//! ```text
//! state "deal/" ‖ deal      messages taken (8 bytes, big-endian) ‖ deal
//! record "ask"              statement → draft, until the key holder has answered
//! record "examine"          slot (2) ‖ hash of the key → examination, until the deal has heard what was found
//! record "abandoned"        operation → nothing, until it has heard that it is no longer wanted
//! ```

use rand::RngExt;
use semper_commerce::deal::{self, Answer as Composed, Deal, DealError, TIMERS};
use semper_commerce::offer::{ArbiterOffer, Offer, Order, Pace};
use semper_commerce::order;
use semper_commerce::plan::BUY;
use semper_commerce::purchase::Sale;
use semper_commerce::terms::Arbiter;
use semper_core::cbor::{Decode, Encode};
use semper_core::container::Container;
use semper_core::cose::{Kind, Signed, Statement as _};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Slot, StatementId};
use semper_core::machine::{Blame as _, Env, Fault, Machine as _};
use semper_core::signature::verify;
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::rules_hash;
use semper_exchange::arbiter::verdict::ArbiterAnswer;
use semper_exchange::goods::{
    DepositKey, Disclosure, Download, Good, KeyAttestation, KeyEvidence, Seed, Side, first_bad_chunk,
};
use semper_exchange::gx::{self, Examination, Examined, Found, Own, Promised};
use semper_exchange::lx;
use semper_support::archive::{Archive, Commit, CommitError, Consumed, NewOutgoing, OutgoingId, PutState, SetTimer};
use semper_support::crypto::{Decapsulate as _, Encapsulate as _, Signer as _};
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};
use semper_support::runner::{Turn, Work, store};
use semper_transfer::payment::journal::{Entry, load_entry, load_purse};
use semper_transfer::payment::means::LockKind;
use semper_transfer::payment::module::Next;
use semper_transfer::payment::operation::{Operation, OperationId, Task};

use super::fair::{self, Fair};
use super::goods::{self, Ware};
use super::{ARBITER, BUYER, Break, COMPLAINTS, DELTA, Event, Name, OVER, Plot, SELLER, SIGMA, VALID_FOR, World};
use crate::scenario::Cast;
use crate::world::{effect as effect_of, outgoing, ready};

pub(super) const ASKS: &str = "ask";
pub(super) const EXAMINATIONS: &str = "examine";
pub(super) const ABANDONED: &str = "abandoned";
/// Destinations in the outbox.
pub(super) const PEER: &[u8] = b"peer";
const ARBITERS: &[u8] = b"arbiter";

/// How long it waits before it sends something again: longer each time.
const PAUSE: (u64, u32) = (20, 5);
/// How long a request that the arbiter refuses waits before it is tried again.
const AFTER_REFUSAL: Seconds = Seconds(600);
/// Most messages that a deal takes from its peer.
const MESSAGES_MAX: u64 = 64;
const PAGE: usize = 64;

/// What is sold, as its seller offers it.
pub(super) struct Offered {
    pub(super) ware: &'static Ware,
    pub(super) offer: Offer,
    pub(super) signed: Signed,
}

/// A deal as it is stored, with its version.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) deal: Deal,
    pub(super) version: u64,
    messages: u64,
}

/// What became of a step.
#[derive(Debug)]
pub(super) enum Taken {
    /// It was stored.
    Done,
    /// The deal does not accept it.
    Refused(DealError),
    /// There is no such deal here.
    NoDeal,
    /// This contract was run before, or the deal has taken as many messages as it may.
    Unwanted,
    /// The process has stopped, or the archive does not store now.
    Lost,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Stored,
    Doubled,
    Taken,
    /// It is not known to be stored.
    Lost,
}

impl Offered {
    pub(super) fn new(cast: &Cast, fair: &Fair, lock: LockKind, plot: Plot, now: Time) -> Self {
        let ware = if plot == Plot::GarbageGoods { goods::garbage() } else { goods::good() };
        let (purse, _) =
            ready(load_purse(fair.store(SELLER), &fair::purse(SELLER))).ok().flatten().expect("the purse is open");
        let means = fair.modules[SELLER].means(&purse).expect("the issuer's terms are known");
        let seller = &cast.parties[SELLER];
        let arbiter = ArbiterOffer { name: "Arbiter".to_owned(), key_set: cast.arbiter.key_set().id() };
        let with_arbiter = lock == LockKind::Arbiter;
        let complaints = if with_arbiter { COMPLAINTS } else { Seconds(0) };
        let offer = Offer {
            goods: ware.descriptor.clone(),
            cipher_root: ware.index.root(Side::Cipher),
            price: fair::amount(fair::PRICE),
            means: vec![means],
            arbiters: with_arbiter.then_some(arbiter).into_iter().collect(),
            seller: "Sally".to_owned(),
            pace: Pace { valid_for: VALID_FOR, complaints, delta: DELTA, sigma: SIGMA },
            until: now.after(OVER),
            terms: String::new(),
            law: String::new(),
        };
        let signed = seller.sign(offer.draft(seller.key_set().suite(), seller.key_set().id()));
        Self { ware, offer, signed: signed.expect("the seller signs its own draft") }
    }
}

impl World<'_> {
    /// The archive's key of the deal.
    pub(super) fn key(&self) -> Vec<u8> {
        [b"deal/".as_slice(), self.deal.as_bytes()].concat()
    }

    /// The deal as a party has it.
    pub(super) fn stored(&mut self, who: usize) -> Option<Stored> {
        if self.nodes[who].deal.is_none() {
            let stored = ready(self.nodes[who].store.state(&self.key())).expect("the archive in memory reads")?;
            let (messages, deal) = stored.bytes.split_first_chunk::<8>().expect("it was stored here");
            let deal = match Deal::from_bytes(deal) {
                Ok(deal) => deal,
                Err(error) => {
                    self.violated(format_args!("a stored deal is not readable: {error}"));
                    return None;
                }
            };
            let stored = Stored { deal, version: stored.version, messages: u64::from_be_bytes(*messages) };
            self.nodes[who].deal = Some(stored);
        }
        self.nodes[who].deal.clone()
    }

    /// Stores a commit, if the power lasts and the disk has room.
    pub(super) fn keep(&mut self, who: usize, commit: Commit) -> Kept {
        let trouble = self.weather.trouble;
        let fate = if trouble == 0 { 1000 } else { self.rng.random_range(0..1000) };
        if fate < trouble {
            self.crash(who);
            return Kept::Lost;
        }
        if fate < 2 * trouble {
            // The disk is full, or the connection to the database broke before the commit.
            self.note(format_args!("{} cannot store", Name(who)));
            self.rouse(who, 30);
            return Kept::Lost;
        }
        let stored = ready(self.nodes[who].store.commit(commit));
        if fate < 3 * trouble {
            self.crash(who);
            return Kept::Lost;
        }
        if fate < 4 * trouble {
            // The connection broke after it: what was read before is not what stands.
            self.note(format_args!("{} does not know whether it has stored", Name(who)));
            self.nodes[who].deal = None;
            self.rouse(who, 30);
            return Kept::Lost;
        }
        match stored {
            Ok(()) => Kept::Stored,
            Err(CommitError::Doubled { .. }) => Kept::Doubled,
            Err(CommitError::Taken { .. }) => Kept::Taken,
            Err(error) => {
                self.violated(format_args!("{}: {error}", Name(who)));
                Kept::Lost
            }
        }
    }

    /// Gives something that happened to the deal, and stores with it what belongs to the same commit.
    pub(super) fn step(&mut self, who: usize, input: Input, with: Commit) -> Taken {
        match self.stored(who) {
            Some(stored) => self.take(who, stored, input, with),
            None => Taken::NoDeal,
        }
    }

    fn take(&mut self, who: usize, stored: Stored, input: Input, with: Commit) -> Taken {
        let Stored { deal, version, messages } = stored;
        let oracle = self.cast.oracle;
        let env = Env { now: self.clock(who), verify: &oracle };
        let (before, label) = (deal.position(), label(self.lock, &input));
        let step = match deal.handle(&env, input) {
            Ok(step) => step,
            Err(error) => {
                self.note(format_args!("{} in {before:?} refuses {label}: {error}", Name(who)));
                if error.fault() == Fault::Misuse && !self.cheats(who) {
                    self.violated(format_args!("S8: {} in {before:?}: {error}", Name(who)));
                }
                return Taken::Refused(error);
            }
        };
        self.note(format_args!("{}: {before:?} + {label} -> {:?}", Name(who), step.state.position()));
        let mut with = Some(with);
        for work in Turn::new(step.state, step.effects) {
            if self.crashes(who) {
                return Taken::Lost;
            }
            match work {
                Work::Commit { state, effects } => {
                    let commit =
                        self.commit(who, &state, (version, messages), effects, with.take().unwrap_or_default());
                    match self.keep(who, commit) {
                        Kept::Stored => {
                            let version = version + 1;
                            self.nodes[who].deal = Some(Stored { deal: state, version, messages });
                        }
                        Kept::Doubled => return Taken::Done,
                        Kept::Taken => return Taken::Unwanted,
                        Kept::Lost => return Taken::Lost,
                    }
                }
                Work::Perform(_) => self.rouse(who, 0),
            }
        }
        self.rouse(who, 0);
        Taken::Done
    }

    fn commit(
        &mut self,
        who: usize,
        deal: &Deal,
        (version, messages): (u64, u64),
        effects: Vec<Effect>,
        with: Commit,
    ) -> Commit {
        let (key, now) = (self.key(), self.clock(who));
        let mut commit = with;
        for (index, effect) in effects.into_iter().enumerate() {
            match effect {
                Effect::Operate(operation) => match Operation::from_bytes(&operation) {
                    Ok(operation) => {
                        let operation = self.plotted(who, operation);
                        Entry::intent(operation, None, now).begin(&mut commit);
                    }
                    Err(error) => self.violated(format_args!("an operation is not readable: {error}")),
                },
                Effect::Abandon(operation) => {
                    commit.records.push((ABANDONED.to_owned(), operation.to_vec(), Some(Vec::new())));
                }
                Effect::Send(body) => {
                    if let Some(body) = self.tampered(who, deal, body) {
                        commit.outbox.push(self.letter(who, (version, index), PEER, body));
                    }
                }
                Effect::AskArbiter(body) => commit.outbox.push(self.letter(who, (version, index), ARBITERS, body)),
                Effect::Sign { .. } => {
                    let (id, _, bytes) = outgoing(&effect);
                    commit.records.push((ASKS.to_owned(), id.as_bytes().to_vec(), Some(bytes)));
                }
                inward @ (Effect::SetTimer { .. } | Effect::CancelTimer(_) | Effect::Keep { .. } | Effect::Once(_)) => {
                    store(&mut commit, &key, inward, now);
                }
                Effect::Examine(bytes) => match Examination::from_bytes(&bytes) {
                    Ok(wanted) => {
                        let release = Digest::of(domain::INPUT, &wanted.release);
                        let place = [&wanted.slot.0.to_be_bytes(), release.as_bytes().as_slice()].concat();
                        commit.records.push((EXAMINATIONS.to_owned(), place, Some(bytes)));
                    }
                    Err(error) => self.violated(format_args!("an examination is not readable: {error}")),
                },
                Effect::Submit(_) => self.violated(format_args!("a purchase for money shows no right")),
                Effect::Ended(Ending::Success) => {}
                // Nobody is bound: what was not delivered yet has no purpose any more.
                Effect::Ended(_) => {
                    let waiting = ready(self.nodes[who].store.outbox_of(&key)).expect("the archive in memory reads");
                    let to_peer = waiting.into_iter().filter(|waiting| waiting.message.destination == PEER);
                    let gone: Vec<_> =
                        to_peer.map(|waiting| waiting.message.id).filter(|id| !commit.sent.contains(id)).collect();
                    commit.sent.extend(gone);
                }
            }
        }
        let bytes = [messages.to_be_bytes().as_slice(), &deal.to_bytes()].concat();
        commit.states.push(PutState { key, replaces: version, bytes });
        commit
    }

    fn letter(&self, who: usize, place: (u64, usize), destination: &[u8], bytes: Vec<u8>) -> NewOutgoing {
        let (version, index) = (place.0.to_be_bytes(), (place.1 as u64).to_be_bytes());
        let id = Digest::of_parts(domain::INPUT, &[&[u8::from(who == BUYER)], &version, &index]);
        let (key, destination, due) = (self.key(), destination.to_vec(), self.clock(who));
        NewOutgoing { id, key, destination, bytes, due }
    }
}

/// What a process does whenever it looks at its archive.
impl World<'_> {
    pub(super) fn wake(&mut self, who: usize) {
        if self.nodes[who].wake.is_none_or(|wake| wake > self.now) || !self.is_up(who) {
            return;
        }
        self.nodes[who].wake = None;
        if who != ARBITER {
            self.timers(who);
            self.asks(who);
            self.examinations(who);
            self.outbox(who);
        }
        self.operations(who);
        if self.is_up(who) {
            self.sleep(who);
        }
    }

    /// Sleeps until something is due.
    fn sleep(&mut self, who: usize) {
        let node = &self.nodes[who];
        let due = ready(node.store.next_due()).expect("the archive in memory reads");
        let Some(due) = due.into_iter().chain(node.resting.values().copied()).min() else { return };
        let pause = due.unix().saturating_sub(self.clock(who).unix()).max(1);
        self.rouse(who, pause);
    }

    fn timers(&mut self, who: usize) {
        let due = ready(self.nodes[who].store.timers_due(self.clock(who), PAGE)).expect("the archive in memory reads");
        for SetTimer { key, name, .. } in due {
            if !self.is_up(who) {
                return;
            }
            let Some(timer) = TIMERS.into_iter().find(|timer| *timer == name) else {
                return self.violated(format_args!("a timer {name} that no machine knows"));
            };
            let with = Commit { timers_done: vec![(key, name)], ..Commit::default() };
            self.step(who, Input::Timer(timer), with);
        }
    }

    fn asks(&mut self, who: usize) {
        let open = ready(self.nodes[who].store.records(ASKS, None, PAGE)).expect("the archive in memory reads");
        for (key, bytes) in open {
            if !self.is_up(who) || self.crashes(who) {
                return;
            }
            let Ok(Effect::Sign { draft, consent }) = effect_of(b"sign", bytes) else {
                return self.violated("a stored question is not readable");
            };
            let with = Commit { records: vec![(ASKS.to_owned(), key, None)], ..Commit::default() };
            let Some(stored) = self.stored(who) else { return };
            if stored.deal.ending().is_some() {
                // Nobody needs the signature any more.
                self.keep(who, with);
                continue;
            }
            let statement = draft.id();
            let asked = consent == Consent::Ask && who == BUYER;
            let input = match self.answer(who, statement, asked, || draft) {
                Some(signed) => Input::Signed(signed),
                None => Input::Declined { statement },
            };
            self.step(who, input, with);
        }
    }

    /// The key holder's answer, the same for ever. The seller's has approved the offer, and signs what follows from it.
    pub(super) fn answer(
        &mut self,
        who: usize,
        statement: StatementId,
        asked: bool,
        draft: impl FnOnce() -> semper_core::cose::Draft,
    ) -> Option<Signed> {
        if let Some(said) = self.nodes[who].said.get(&statement) {
            return said.clone();
        }
        let declines = asked && self.chance(self.weather.decline);
        let said = (!declines).then(|| self.nodes[who].hand.sign(draft()).expect("the draft names this party"));
        self.nodes[who].said.insert(statement, said.clone());
        said
    }

    fn examinations(&mut self, who: usize) {
        let open = ready(self.nodes[who].store.records(EXAMINATIONS, None, PAGE)).expect("the archive in memory reads");
        for (key, bytes) in open {
            if !self.is_up(who) || self.crashes(who) {
                return;
            }
            let Ok(examination) = Examination::from_bytes(&bytes) else {
                return self.violated("a stored examination is not readable");
            };
            let with = Commit { records: vec![(EXAMINATIONS.to_owned(), key, None)], ..Commit::default() };
            let Some(stored) = self.stored(who) else { return };
            if stored.deal.ending().is_some() {
                self.keep(who, with);
                continue;
            }
            // A part was lost when the power failed: it is fetched again first.
            if self.fetched.missing().is_some() {
                self.at(5, Event::Fetch);
                self.rouse(who, 30);
                return;
            }
            let found = self.try_release(&examination);
            self.note(format_args!("{} has tried a key: {found:.40?}", Name(who)));
            let examined = Examined { slot: examination.slot, release: examination.release, found };
            self.step(who, Input::Examined(examined.to_bytes()), with);
        }
    }

    fn try_release(&mut self, examination: &Examination) -> Found {
        let Examination { core, slot, release } = examination;
        let deposits = self.deposit_key();
        let under = (self.lock == LockKind::Arbiter).then_some(&deposits);
        let Ok(good) = Good::of(core, *slot, under) else { return Found::Useless };
        let Some((key, evidence)) = self.opener(&good, release) else { return Found::Useless };
        self.told = true;
        if self.broken == Some(Break::UnexaminedGoods) {
            return Found::Good;
        }
        let index = self.fetched.index.clone().expect("nothing is missing");
        let Ok(download) = Download::new(&self.cast.oracle, good, index) else { return Found::Useless };
        let chunks = self.fetched.chunks.iter().flatten().cloned();
        match first_bad_chunk(&download, &key, &evidence, chunks) {
            Some(pom) => Found::Bad(pom.to_bytes()),
            None => {
                self.opened = true;
                Found::Good
            }
        }
    }

    fn opener(&self, good: &Good, release: &[u8]) -> Option<(semper_exchange::goods::ArticleKey, KeyEvidence)> {
        let oracle = &self.cast.oracle;
        if self.lock == LockKind::Hash {
            let preimage = Seed::new(release.to_vec());
            return good.open(oracle, &preimage).ok().map(|key| (key, KeyEvidence::Seed(preimage)));
        }
        let signed = Signed::from_bytes(release).ok()?;
        if signed.kind() == Kind::KeyAttestation {
            let said = verify::<KeyAttestation>(oracle, self.cast.arbiter.key_set(), &signed).ok()?;
            let KeyAttestation { cid, slot, key } = said.statement();
            let ours = (*cid, *slot) == (good.cid(), good.slot());
            return ours.then(|| (key.clone(), KeyEvidence::Attested(signed.clone())));
        }
        let said = verify::<Disclosure>(oracle, self.cast.parties[SELLER].key_set(), &signed).ok()?;
        let Disclosure { cid, slot, seed } = said.statement();
        let key = good.open(oracle, seed).ok().filter(|_| (*cid, *slot) == (good.cid(), good.slot()))?;
        Some((key, KeyEvidence::Seed(seed.clone())))
    }

    pub(super) fn deposit_key(&self) -> DepositKey {
        let deposits = &self.cast.deposits;
        DepositKey { suite: deposits.suite(), public_key: deposits.public_key().to_vec() }
    }

    fn outbox(&mut self, who: usize) {
        let now = self.clock(who);
        let due = ready(self.nodes[who].store.outbox_due(now, PAGE)).expect("the archive in memory reads");
        for waiting in due {
            if !self.is_up(who) || self.crashes(who) {
                return;
            }
            let (id, bytes) = (waiting.message.id, waiting.message.bytes);
            let event = if waiting.message.destination == PEER {
                Event::Deliver { to: 1 - who, id, bytes }
            } else {
                Event::Request { from: who, id, bytes }
            };
            self.travel(&event);
            let pause = PAUSE.0 << waiting.attempts.min(PAUSE.1);
            let pause = self.rng.random_range(pause / 2..=pause);
            self.postpone(who, &id, Seconds(pause));
        }
    }

    fn postpone(&self, who: usize, id: &OutgoingId, pause: Seconds) {
        let due = self.clock(who).after(pause);
        ready(self.nodes[who].store.outbox_postpone(id, due)).expect("the archive in memory writes");
    }

    /// See [`Break::ForgetfulOutbox`].
    pub(super) fn forget_outbox(&mut self, who: usize) {
        let waiting = ready(self.nodes[who].store.outbox_of(&self.key())).unwrap_or_default();
        let sent = waiting.into_iter().map(|waiting| waiting.message.id).collect();
        ready(self.nodes[who].store.commit(Commit { sent, ..Commit::default() })).expect("they are waiting");
    }
}

/// What comes from outside.
impl World<'_> {
    /// A message of the peer. Its inbox answers on the same connection.
    pub(super) fn deliver(&mut self, to: usize, id: OutgoingId, bytes: Vec<u8>) {
        if !self.is_up(to) {
            return;
        }
        if to == BUYER && self.discloses(&bytes) {
            self.told = true;
        }
        self.overhear(&bytes);
        let answer = match self.message(to, bytes) {
            Taken::Done => Event::Receipt { to: 1 - to, id },
            Taken::Refused(error) if error.fault() != Fault::Environment => Event::Refusal { to: 1 - to, id },
            Taken::Unwanted => Event::Refusal { to: 1 - to, id },
            Taken::Refused(_) | Taken::NoDeal | Taken::Lost => return,
        };
        if self.is_up(to) {
            self.travel(&answer);
        }
    }

    fn message(&mut self, who: usize, bytes: Vec<u8>) -> Taken {
        let (key, input) = (self.key(), Digest::of(domain::INPUT, &bytes));
        let mut stored = match self.stored(who) {
            Some(stored) => stored,
            None if who == SELLER => match self.ordered(&bytes) {
                Some(deal) => Stored { deal, version: 0, messages: 0 },
                None => return Taken::NoDeal,
            },
            None => return Taken::NoDeal,
        };
        if ready(self.nodes[who].store.is_consumed(&key, &input)).expect("the archive in memory reads") {
            return Taken::Done;
        }
        if stored.messages >= MESSAGES_MAX {
            return Taken::Unwanted;
        }
        stored.messages += 1;
        let with = Commit { consumed: vec![Consumed { key, input }], ..Commit::default() };
        self.take(who, stored, Input::Message(bytes), with)
    }

    pub(super) fn receipt(&mut self, to: usize, id: OutgoingId) {
        let waits = self.waits(to, &id);
        if self.is_up(to) && waits && !self.crashes(to) {
            self.step(to, Input::Delivered, Commit { sent: vec![id], ..Commit::default() });
        }
    }

    pub(super) fn refused(&mut self, to: usize, id: OutgoingId) {
        let waits = self.waits(to, &id);
        if self.is_up(to) && waits && !self.crashes(to) {
            self.step(to, Input::GiveUp, Commit { sent: vec![id], ..Commit::default() });
        }
    }

    /// The arbiter's answer is taken in first: if the power fails in between, the same request brings the same answer.
    pub(super) fn answered(&mut self, to: usize, id: OutgoingId, bytes: Vec<u8>) {
        if let Ok(answer) = ArbiterAnswer::from_bytes(&bytes) {
            self.told |= to == BUYER && answer.attestation.is_some();
            if self.cheats(to) && !answer.authorisation.is_empty() {
                self.loot.push(answer.authorisation);
            }
        }
        if !self.is_up(to) || !self.waits(to, &id) || self.crashes(to) {
            return;
        }
        match self.step(to, Input::ArbiterSays(bytes), Commit::default()) {
            Taken::Done => {}
            Taken::Refused(_) => return self.postpone(to, &id, AFTER_REFUSAL),
            _ => return,
        }
        if !self.crashes(to) {
            self.keep(to, Commit { sent: vec![id], ..Commit::default() });
        }
    }

    pub(super) fn rejected(&mut self, to: usize, id: OutgoingId) {
        if self.is_up(to) && self.waits(to, &id) {
            self.postpone(to, &id, AFTER_REFUSAL);
        }
    }

    fn waits(&self, who: usize, id: &OutgoingId) -> bool {
        let waiting = ready(self.nodes[who].store.outbox_of(&self.key())).expect("the archive in memory reads");
        waiting.iter().any(|waiting| waiting.message.id == *id)
    }

    pub(super) fn give_up(&mut self, who: usize) {
        let lost = !self.is_up(who) || matches!(self.step(who, Input::GiveUp, Commit::default()), Taken::Lost);
        if lost {
            // The user sees that nothing has happened, and asks again.
            self.at(300, Event::GiveUp { who });
        }
    }
}

/// Before the contract.
impl World<'_> {
    pub(super) fn fetch(&mut self) {
        let ware = self.offer.ware;
        let Some(part) = self.fetched.missing() else { return self.order() };
        let mut bytes = match part {
            None => ware.index.to_bytes(),
            Some(place) => ware.chunks[place].clone(),
        };
        if self.chance(5) {
            bytes[0] ^= 1;
        }
        self.travel(&Event::Part { part, bytes });
        self.at(40, Event::Fetch);
    }

    pub(super) fn part(&mut self, part: Option<usize>, bytes: &[u8]) {
        if self.is_up(BUYER) {
            self.fetched.take(self.offer.ware, part, bytes);
        }
    }

    /// The buyer's user orders, once everything is here.
    fn order(&mut self) {
        if self.stored(BUYER).is_some() {
            return;
        }
        if !self.is_up(BUYER) {
            return self.at(40, Event::Fetch);
        }
        let Some(payer) = self.ready(BUYER) else { return self.at(40, Event::Fetch) };
        let order = Order {
            offer: self.offer.signed.id(),
            means: 0,
            arbiter: 0,
            payer,
            buyer: "Bob".to_owned(),
            locale: "en".to_owned(),
            card: "a card".to_owned(),
        };
        let (me, seller, arbiter) = (self.key_set(BUYER), self.key_set(SELLER), self.key_set(ARBITER));
        let (offer, purse) = (self.offer.offer.clone(), fair::purse(BUYER));
        let arbiters = if self.lock == LockKind::Arbiter { vec![arbiter] } else { Vec::new() };
        let deal = Deal::buy(self.deal, me, seller, arbiters, self.patience, offer, order, purse);
        let stored = Stored { deal, version: 0, messages: 0 };
        if matches!(self.take(BUYER, stored, Input::Begin, Commit::default()), Taken::Lost) {
            self.at(40, Event::Fetch);
        }
    }

    /// A deal by which somebody takes up the offer.
    fn ordered(&mut self, bytes: &[u8]) -> Option<Deal> {
        let message = deal::Message::from_bytes(bytes).ok()?;
        let opening = message.opening.filter(|opening| *opening.plan == BUY)?;
        let order::Message::Order(order) = order::Message::from_bytes(&message.body).ok()? else { return None };
        let buyer = Some(self.key_set(BUYER)).filter(|buyer| buyer.id() == opening.from)?;
        let composed = self.compose(&order)?.map_err(|error| error.to_string());
        let (me, arbiter) = (self.key_set(SELLER), self.key_set(ARBITER));
        let arbiters = if self.lock == LockKind::Arbiter { vec![arbiter] } else { Vec::new() };
        let answer = Composed { asked: order::Asked::Order(order), composed };
        Some(Deal::asked(self.deal, me, buyer, arbiters, self.patience, answer))
    }

    /// The contract for an order; nothing if the seller's process stops over it.
    fn compose(&mut self, order: &Order) -> Option<Result<(Container, Own), String>> {
        let payee = self.ready(SELLER)?;
        let with_arbiter = self.lock == LockKind::Arbiter;
        let length = if with_arbiter { self.cast.oracle.seed_len(self.cast.deposits.suite()) } else { 32 };
        let seed = Seed::new((0..length).map(|_| self.rng.random()).collect());
        let wrong = semper_exchange::goods::ArticleKey::from_array([5; 32]);
        let arbiter = self.key_set(ARBITER);
        let sale = Sale {
            offer: &self.offer.offer,
            order,
            seller: self.key_set(SELLER).id(),
            buyer: self.key_set(BUYER).id(),
            arbiter: with_arbiter.then(|| Arbiter {
                key_set: arbiter.id(),
                log: arbiter.id(),
                rules: rules_hash(),
                deposit_key: self.deposit_key(),
                lock_key: self.fair.modules[ARBITER].arbiter_key(&arbiter),
            }),
            payee,
            article: if self.plot == Plot::WrongKey { &wrong } else { &self.offer.ware.key },
            seed: &seed,
            salt: self.rng.random(),
            nonce: self.rng.random(),
            now: self.clock(SELLER),
        };
        let nonce = self.rng.random();
        let proposal = sale.propose(&self.cast.oracle, nonce).map_err(|error| error.to_string());
        let container = proposal.and_then(|proposal| proposal.to_container().map_err(|error| error.to_string()));
        let own =
            Own { purse: Some((self.deal, fair::purse(SELLER))), seed: seed.as_bytes().to_vec(), ..Own::default() };
        self.seeds.push(seed.as_bytes().to_vec());
        Some(container.map(|container| (container, own)))
    }

    /// A purse's details for a lock of the deal, which need not ask anybody. Asked again, they are the same.
    fn ready(&mut self, who: usize) -> Option<Vec<u8>> {
        let task = Task::Prepare(fair::amount(fair::PRICE));
        let id = OperationId::of(self.deal, Slot::default(), task.verb());
        self.begin(who, Operation { id, purse: fair::purse(who), deal: None, task });
        self.drive(who, id);
        match ready(load_entry(&self.nodes[who].store, &id)).expect("the archive in memory reads")?.0.next? {
            Next::Done(outcome) => Some(outcome.handover),
            Next::Failed(failure) => {
                self.violated(format_args!("a purse does not get ready: {failure}"));
                None
            }
            _ => None,
        }
    }
}

/// What one party says to the other once there is a contract.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// With an arbiter.
    Gx(gx::Message),
    /// Under one hash.
    Lx(lx::Message),
}

impl Said {
    /// The body of a message of the contract's engine.
    pub(super) fn read(lock: LockKind, body: &[u8]) -> Option<Self> {
        match lock {
            LockKind::Arbiter => gx::Message::from_bytes(body).ok().map(Self::Gx),
            LockKind::Hash => lx::Message::from_bytes(body).ok().map(Self::Lx),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Gx(message) => message.to_bytes(),
            Self::Lx(message) => message.to_bytes(),
        }
    }

    /// A promise, if it is one.
    pub(super) fn promise(&self) -> Option<&Promised> {
        match self {
            Self::Gx(gx::Message::Promise(said)) | Self::Lx(lx::Message::Promise(said)) => Some(said),
            _ => None,
        }
    }

    /// What gives the item of whoever says it, if it does.
    pub(super) fn release(&self) -> Option<Vec<u8>> {
        match self {
            Self::Gx(gx::Message::Final(said)) => Some(said.release.clone()),
            Self::Lx(lx::Message::Preimage(preimage)) => Some(preimage.to_vec()),
            _ => None,
        }
    }
}

impl World<'_> {
    fn said(&self, bytes: &[u8]) -> Option<Said> {
        let message = deal::Message::from_bytes(bytes).ok().filter(|message| message.step == 1)?;
        Said::read(self.lock, &message.body)
    }

    /// Whether a message tells what opens the goods.
    fn discloses(&self, bytes: &[u8]) -> bool {
        match self.said(bytes) {
            Some(Said::Gx(gx::Message::Final(said))) => {
                Signed::from_bytes(&said.release).is_ok_and(|signed| signed.kind() == Kind::Disclosure)
            }
            Some(Said::Lx(lx::Message::Preimage(preimage))) => self.seeds.iter().any(|seed| *seed == preimage),
            _ => false,
        }
    }

    fn overhear(&mut self, bytes: &[u8]) {
        if self.plot.cheat().is_some()
            && let Some(said) = self.said(bytes)
        {
            self.heard.push(said);
        }
    }
}

fn label(lock: LockKind, input: &Input) -> String {
    match input {
        Input::Message(bytes) => {
            let message = deal::Message::from_bytes(bytes).ok().filter(|message| message.step == 1);
            match message.and_then(|message| Said::read(lock, &message.body)) {
                Some(Said::Gx(gx::Message::Promise(_)) | Said::Lx(lx::Message::Promise(_))) => "promise".to_owned(),
                Some(Said::Gx(gx::Message::Final(_))) => "final".to_owned(),
                Some(Said::Gx(gx::Message::Quittance(_))) => "quittance".to_owned(),
                Some(Said::Lx(lx::Message::Preimage(_))) => "preimage".to_owned(),
                Some(Said::Gx(gx::Message::Decline(reason)) | Said::Lx(lx::Message::Decline(reason))) => {
                    format!("decline {reason:?}")
                }
                None => "order or contract".to_owned(),
            }
        }
        Input::Signed(signed) => format!("signed {}", signed.kind()),
        Input::Operated(bytes) => match semper_transfer::payment::operation::Answer::from_bytes(bytes) {
            Ok(answer) => match answer.result {
                Ok(_) => "done".to_owned(),
                Err(failure) => format!("failed: {failure}"),
            },
            Err(error) => error.to_string(),
        },
        Input::ArbiterSays(_) => "the arbiter's answer".to_owned(),
        Input::Timer(name) => format!("timer {name}"),
        Input::Begin => "begin".to_owned(),
        Input::Declined { .. } => "declined by the user".to_owned(),
        Input::Delivered => "delivered".to_owned(),
        Input::Examined(_) => "examined".to_owned(),
        Input::Said(_) => "an issuer's answer".to_owned(),
        Input::GiveUp => "give up".to_owned(),
        Input::Restored => "restored".to_owned(),
    }
}

/// What is kept of a deal, in the order in which it came.
pub(super) fn evidence(world: &World<'_>, who: usize) -> Result<Vec<semper_exchange::evidence::Item>, String> {
    let kept = ready(world.nodes[who].store.evidence(&world.key())).map_err(|e| e.to_string())?;
    let items = kept.into_iter().map(|kept| {
        let kind = EvidenceKind::from_name(&kept.item.kind).ok_or("an unknown kind of evidence")?;
        Ok(semper_exchange::evidence::Item { kind, time: kept.item.time, bytes: kept.item.bytes })
    });
    items.collect()
}
