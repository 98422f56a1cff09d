//! The simulator: one contract, one seed, everything that can go wrong on the way.
//!
//! Two parties and an arbiter run the real machines over real archives in memory, under a virtual clock. The seed decides which
//! messages are lost, doubled, delayed and reordered, where processes crash, when users decline or give up, who cheats, how clocks
//! differ and when the arbiter is down. The same seed gives the same run, event by event. At the end every honest party must have
//! ended its run, and the parties must agree.
//!
//! Start at [`simulate`]. Source: design/exchange.md §14.7.

mod rollback;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;

use futures_util::FutureExt;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use semper_core::cbor::{Decode, Encode};
use semper_core::contract::Core;
use semper_core::cose::Kind;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::DealId;
use semper_core::machine::{Env, Machine};
use semper_core::party::{KeySet, Role};
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::request::{Asked, Request};
use semper_exchange::arbiter::service::{Next, VERDICT_SPACE, cell_key, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Outcome, Verdict};
use semper_exchange::evidence::{self, Folder, Item, Standing};
use semper_exchange::gx::{self, Completed, Gx, Message, Promised};
use semper_store::MemoryArchive;
use semper_support::archive::{Archive, Commit, CommitError, Consumed, Fact, NewOutgoing, PutState};
use semper_support::crypto::Signer;
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};
use semper_support::runner::{Turn, Work, is_outward, store};

use self::rollback::Rollback;
use crate::scenario::{Cast, DELTA, NOT_AFTER, SIGMA};

/// The key of the one machine that each party runs.
const MACHINE: &[u8] = b"gx";
/// How long a party waits before it sends something again, in seconds.
const RETRY: u64 = 20;
/// Longest delay between the parties in any run, in seconds.
const DELAY_MAX: u64 = 90;
/// Most events of one run. One that has not ended by then never will.
const EVENTS_MAX: usize = 20_000;
/// When every run begins, in seconds before `not after`: near enough that some runs meet their deadline.
const BEGIN_MAX: u64 = 4_000;

/// When a cheating party stops, and when all that it sent has arrived.
const CHEATING: (Time, Time) = (NOT_AFTER.after(Seconds(500)), NOT_AFTER.after(Seconds(1_000)));

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcomes {
    /// How the originator's and the responder's run ended; `None` of a cheating party.
    pub endings: [Option<Ending>; 2],
    /// How the arbiter decided, if it was asked in time.
    pub verdict: Option<Outcome>,
    /// How often a process crashed.
    pub crashes: u32,
    /// Every event, one a line.
    pub trace: String,
}

/// Runs one seed.
///
/// # Errors
/// What was violated, and the trace of events that led there.
pub fn simulate(seed: u64) -> Result<Outcomes, String> {
    let mut world = World::new(seed);
    let result = world.run().and_then(|()| world.judge());
    let World { trace, crashes, .. } = world;
    match result {
        Ok((endings, verdict)) => Ok(Outcomes { endings, verdict, crashes, trace }),
        Err(violation) => Err(format!("seed {seed}: {violation}\n{trace}")),
    }
}

/// Runs one seed in which an honest party is lost at some moment and comes back from a backup of an earlier one.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_restored(seed: u64) -> Result<Outcomes, String> {
    let mut world = World::new(seed);
    world.lose_somebody();
    let result = world.run().and_then(|()| world.judge_restored());
    let World { trace, crashes, .. } = world;
    match result {
        Ok((endings, verdict)) => Ok(Outcomes { endings, verdict, crashes, trace }),
        Err(violation) => Err(format!("seed {seed}: {violation}\n{trace}")),
    }
}

/// What is on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Begin,
    GiveUp { to: usize },
    Peer { to: usize, bytes: Vec<u8> },
    Ask { from: usize, bytes: Vec<u8> },
    Answer { to: usize, bytes: Vec<u8> },
    Signature { to: usize, bytes: Vec<u8> },
    Wake { who: usize },
    BackUp,
    Lose,
}

/// How likely mishaps are in this run, in percent, and how slow everybody is.
struct Weather {
    loss: u32,
    doubling: u32,
    crash: u32,
    decline: u32,
    /// Longest delay between the parties, and of the key holder's answers, in seconds.
    delay: u64,
}

struct World {
    rng: ChaCha8Rng,
    cast: Cast,
    core: Core,
    weather: Weather,
    cheat: Option<usize>,
    parties: [Node; 2],
    register: MemoryArchive,
    down: (Time, Time),
    now: Time,
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    count: u64,
    seen: Vec<Vec<u8>>,
    verdicts: Vec<Vec<u8>>,
    crashes: u32,
    trace: String,
    /// Who is lost and comes back, if anybody is.
    rollback: Option<Rollback>,
}

/// A party: its store, and its clock's lead over the arbiter's in seconds.
struct Node {
    role: Role,
    store: MemoryArchive,
    skew: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let cast = Cast::default();
        let core = cast.core(1);
        let weather = Weather {
            loss: rng.random_range(0..60),
            doubling: rng.random_range(0..30),
            crash: rng.random_range(0..20),
            decline: rng.random_range(0..10),
            delay: [3, 15, DELAY_MAX][rng.random_range(0..3_usize)],
        };
        let cheat = [None, None, Some(0), Some(1)][rng.random_range(0..4_usize)];
        let half = i64::try_from(SIGMA.0 / 2).expect("a small number");
        let mut node = |role| Node { role, store: MemoryArchive::new(), skew: rng.random_range(-half..=half) };
        let parties = [node(Role::ORIGINATOR), node(Role::RESPONDER)];
        let now = NOT_AFTER.before(Seconds(rng.random_range(1..BEGIN_MAX)));
        // An outage shorter than delta: a longer one breaks the assumption that the contract states.
        let outage = now.after(Seconds(rng.random_range(0..600)));
        let down = (outage, outage.after(Seconds(rng.random_range(0..DELTA.0 / 2))));
        Self {
            rng,
            cast,
            core,
            weather,
            cheat,
            parties,
            register: MemoryArchive::new(),
            down,
            now,
            events: BinaryHeap::new(),
            count: 0,
            seen: Vec::new(),
            verdicts: Vec::new(),
            crashes: 0,
            trace: String::new(),
            rollback: None,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.at(0, Event::Begin);
        for who in 0..2 {
            let patience = self.rng.random_range(0..900);
            self.at(patience, Event::GiveUp { to: who });
            // Whatever happened before, a user gives up at last; and a node looks at its store now and then.
            self.at(NOT_AFTER.unix() - self.now.unix() + 100, Event::GiveUp { to: who });
            self.at(RETRY, Event::Wake { who });
        }
        for _ in 0..EVENTS_MAX {
            let Some(Reverse((time, _, event))) = self.events.pop() else { return Ok(()) };
            self.now = time;
            self.happen(event)?;
            if self.over() {
                return Ok(());
            }
        }
        Err("the run does not end".to_owned())
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Begin => self.take(0, Input::Begin),
            Event::GiveUp { to } => {
                let crashes = self.crashes;
                self.take(to, Input::GiveUp)?;
                if self.crashes > crashes {
                    // The user sees that nothing has happened, and asks again.
                    self.at(RETRY, Event::GiveUp { to });
                }
                Ok(())
            }
            Event::Peer { to, bytes } => self.deliver(to, bytes),
            Event::Answer { to, bytes } => self.take(to, Input::ArbiterSays(bytes)),
            Event::Signature { to, bytes } => {
                let signed = semper_core::cose::Signed::from_bytes(&bytes).map_err(|e| e.to_string())?;
                if !self.signs(to, signed.kind(), signed.id()) {
                    // It was made for the state that is lost.
                    return Ok(());
                }
                self.take(to, Input::Signed(signed))
            }
            Event::Ask { from, bytes } => self.ask(from, &bytes),
            Event::Wake { who } => self.wake(who),
            Event::BackUp => self.back_up(),
            Event::Lose => self.lose(),
        }
    }

    /// All honest parties have ended and have nothing more to send.
    fn over(&self) -> bool {
        let quiet = |who: usize| {
            let outbox = ready(self.parties[who].store.outbox_of(MACHINE)).unwrap_or_default();
            self.machine(who).is_some_and(|(machine, _)| machine.ending().is_some()) && outbox.is_empty()
        };
        let cheated_enough = self.cheat.is_none() || self.now > CHEATING.1;
        cheated_enough && (0..2).all(|who| self.cheat == Some(who) || quiet(who))
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now.after(Seconds(delay)), self.count, event)));
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn note(&mut self, line: impl std::fmt::Display) {
        writeln!(self.trace, "{:>6} {line}", self.now.unix()).expect("writing to a string does not fail");
    }

    fn clock(&self, who: usize) -> Time {
        let skew = self.parties[who].skew;
        let lead = Seconds(skew.unsigned_abs());
        if skew < 0 { self.now.before(lead) } else { self.now.after(lead) }
    }

    fn machine(&self, who: usize) -> Option<(Gx, u64)> {
        let stored = ready(self.parties[who].store.state(MACHINE)).ok()??;
        Some((Gx::from_bytes(&stored.bytes).ok()?, stored.version))
    }

    /// A party takes an input. A crash may come before the commit or after any effect.
    fn take(&mut self, who: usize, input: Input) -> Result<(), String> {
        if self.cheat == Some(who) {
            return self.cheat(who, input);
        }
        let role = self.parties[who].role;
        let (machine, version) = self.machine(who).unwrap_or_else(|| (Gx::new(self.cast.run(&self.core, role)), 0));
        let before = machine.state().name();
        let oracle = self.cast.oracle;
        let env = Env { now: self.clock(who), verify: &oracle };
        let label = label(&input);
        let step = match machine.handle(&env, input.clone()) {
            Ok(step) => step,
            Err(error) => {
                self.note(format_args!("{role} in {before} refuses {label}: {error}"));
                return Ok(());
            }
        };
        self.note(format_args!("{role}: {before} + {label} -> {}", step.state.state().name()));
        let turn = Turn::new(step.state, step.effects);
        self.work(who, turn, Some((version, input)))
    }

    fn work(&mut self, who: usize, turn: Turn<Gx>, mut taken: Option<(u64, Input)>) -> Result<(), String> {
        for work in turn {
            if self.chance(self.weather.crash) {
                self.crashes += 1;
                let role = self.parties[who].role;
                self.note(format_args!("{role} crashes"));
                return Ok(());
            }
            match work {
                Work::Commit { state, effects } => {
                    let (version, input) = taken.take().ok_or("a turn commits twice")?;
                    let commit = self.commit(who, &state, version, &input, &effects);
                    match ready(self.parties[who].store.commit(commit)) {
                        Ok(()) => {}
                        // A double: what it led to is stored already.
                        Err(CommitError::Doubled { .. } | CommitError::Taken { .. }) => return Ok(()),
                        Err(error) => return Err(error.to_string()),
                    }
                }
                Work::Perform(effect) => self.perform(who, &effect)?,
            }
        }
        Ok(())
    }

    fn commit(&self, who: usize, state: &Gx, version: u64, input: &Input, effects: &[Effect]) -> Commit {
        let (key, now) = (MACHINE.to_vec(), self.clock(who));
        let mut commit = Commit {
            states: vec![PutState { key: key.clone(), replaces: version, bytes: state.to_bytes() }],
            ..Commit::default()
        };
        // An answer that came to the lost state, or before the state that was restored, is news to another question: a node takes answers by their question.
        let again = self.is_restored(who) && matches!(input, Input::ArbiterSays(_));
        if let Some(input) = identity(input).filter(|_| !again) {
            commit.consumed.push(Consumed { key: key.clone(), input });
        }
        if matches!(input, Input::ArbiterSays(_)) {
            // The answer acknowledges the request.
            let waiting = ready(self.parties[who].store.outbox_of(MACHINE)).unwrap_or_default();
            commit.sent.extend(waiting.iter().filter(|o| o.message.destination == b"ask").map(|o| o.message.id));
        }
        if let Input::Signed(signed) = input {
            commit.sent.push(*signed.id().digest());
        }
        if let Input::Declined { statement } = input {
            commit.sent.push(*statement.digest());
        }
        for effect in effects {
            if is_outward(effect) {
                let (id, destination, bytes) = outgoing(effect);
                commit.outbox.push(NewOutgoing { id, key: key.clone(), destination, bytes, due: now });
            } else {
                store(&mut commit, &key, effect.clone(), now);
            }
        }
        commit
    }

    fn perform(&mut self, who: usize, effect: &Effect) -> Result<(), String> {
        match effect {
            Effect::Send(bytes) => {
                self.seen.push(bytes.clone());
                self.send(1 - who, bytes);
            }
            Effect::AskArbiter(bytes) => {
                let delay = self.rng.random_range(0..30);
                self.at(delay, Event::Ask { from: who, bytes: bytes.clone() });
            }
            Effect::Sign { draft, .. } if !self.signs(who, draft.kind, draft.id()) => {
                self.forget_question(who, draft.id())?;
            }
            Effect::Sign { draft, consent } => {
                if *consent == Consent::Ask && self.chance(self.weather.decline) {
                    return self.take(who, Input::Declined { statement: draft.id() });
                }
                let signed = self.cast.parties[who].sign(draft.clone()).map_err(|e| e.to_string())?;
                self.was_signed(who, signed.id());
                let delay = self.rng.random_range(0..self.weather.delay.min(20));
                self.at(delay, Event::Signature { to: who, bytes: signed.bytes().to_vec() });
            }
            _ => {}
        }
        Ok(())
    }

    /// A message arrives. It is acknowledged once it is stored, unless the acknowledgement is lost; then it comes again.
    fn deliver(&mut self, to: usize, bytes: Vec<u8>) -> Result<(), String> {
        let (from, id) = (1 - to, outgoing(&Effect::Send(bytes.clone())).0);
        let crashes = self.crashes;
        self.take(to, Input::Message(bytes))?;
        if self.crashes == crashes && self.cheat != Some(from) && !self.chance(self.weather.loss) {
            let commit = Commit { sent: vec![id], ..Commit::default() };
            ready(self.parties[from].store.commit(commit)).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn send(&mut self, to: usize, bytes: &[u8]) {
        let copies = if self.chance(self.weather.doubling) { 2 } else { 1 };
        for _ in 0..copies {
            if self.chance(self.weather.loss) {
                self.note("a message is lost");
            } else {
                let delay = self.rng.random_range(0..self.weather.delay);
                self.at(delay, Event::Peer { to, bytes: bytes.to_vec() });
            }
        }
    }

    /// A node starts again, or looks at its store: timers that are due fire, what is not acknowledged is done again.
    fn wake(&mut self, who: usize) -> Result<(), String> {
        if self.cheat == Some(who) {
            let pause = self.rng.random_range(1..2 * DELAY_MAX);
            self.at(pause, Event::Wake { who });
            return self.cheat(who, Input::GiveUp);
        }
        self.at(RETRY, Event::Wake { who });
        if self.is_restored(who) {
            self.take(who, Input::Restored)?;
        }
        let now = self.clock(who);
        let store = &self.parties[who].store;
        let due = ready(store.timers_due(now, 8)).map_err(|e| e.to_string())?;
        for timer in due {
            let name = [gx::PATIENCE, gx::DEADLINE].into_iter().find(|n| *n == timer.name);
            self.take(who, Input::Timer(name.ok_or("a timer that no machine set")?))?;
        }
        let waiting = ready(self.parties[who].store.outbox_of(MACHINE)).map_err(|e| e.to_string())?;
        let effects: Result<Vec<_>, _> =
            waiting.into_iter().map(|o| effect(&o.message.destination, o.message.bytes)).collect();
        self.work(who, Turn::recovered(effects?), None)
    }

    /// A cheating party has no machine: it says what it can build from its keys and from what it has seen, whenever it likes.
    fn cheat(&mut self, who: usize, input: Input) -> Result<(), String> {
        if let Input::Message(bytes) = input {
            self.seen.push(bytes);
        }
        if self.now > CHEATING.0 {
            return Ok(());
        }
        let role = self.parties[who].role;
        let variant = self.rng.random_range(0..2);
        match self.rng.random_range(0..6) {
            0 | 1 => {
                let promise = Message::Promise(Promised::bare(self.cast.promise(&self.core, role, variant)));
                self.send(1 - who, &promise.to_bytes());
            }
            2 => {
                let completion = self.cast.completion(&self.core, role);
                let last = Message::Final(Completed { completion, release: Vec::new(), payout: Vec::new() });
                self.send(1 - who, &last.to_bytes());
            }
            3 if !self.seen.is_empty() => {
                let old = self.seen[self.rng.random_range(0..self.seen.len())].clone();
                self.send(1 - who, &old);
            }
            4 if role == Role::ORIGINATOR => {
                let bytes = self.cast.abort(&self.core).to_bytes();
                self.at(1, Event::Ask { from: who, bytes });
            }
            _ => self.cheat_resolve(who, variant),
        }
        Ok(())
    }

    fn cheat_resolve(&mut self, who: usize, variant: u8) {
        let role = self.parties[who].role;
        let promise = |bytes: &Vec<u8>| match Message::from_bytes(bytes) {
            Ok(Message::Promise(said)) if self.core.role_of(said.promise.signer()) == Some(role.peer()) => Some(said),
            _ => None,
        };
        let Some(theirs) = self.seen.iter().find_map(promise) else { return };
        let mine = Promised::bare(self.cast.promise(&self.core, role, variant));
        let promises = if role == Role::ORIGINATOR { [mine, theirs] } else { [theirs, mine] };
        let bytes = self.cast.resolve(&self.core, role, promises).to_bytes();
        self.at(1, Event::Ask { from: who, bytes });
    }

    /// The arbiter takes a request, as its service does.
    fn ask(&mut self, from: usize, bytes: &[u8]) -> Result<(), String> {
        if self.down.0 <= self.now && self.now < self.down.1 {
            self.note("the arbiter is down");
            return Ok(());
        }
        let arbiter = self.cast.arbiter.key_set().clone();
        let Ok(request) = Request::from_bytes(bytes) else { return Ok(()) };
        let Ok(case) = self.cast.court().check(&request) else { return Ok(()) };
        let cell = cell_key(&case);
        if let Some(stands) = ready(self.register.fact(VERDICT_SPACE, &cell)).map_err(|e| e.to_string())? {
            return self.reply(from, &stands);
        }
        let draft = match decide(None, &case, &arbiter, 0, self.now) {
            Next::AnswerStored | Next::SignAndClose(_) => return Err("the cell is empty, yet stands".to_owned()),
            Next::Refuse => return Ok(()),
            Next::SignAndAnswer(draft) => {
                let statement = self.cast.arbiter.sign(draft).map_err(|e| e.to_string())?;
                let answer = ArbiterAnswer::of(statement).to_bytes();
                return self.reply(from, &answer);
            }
            Next::SignAndStore(draft) => draft,
        };
        if self.chance(self.weather.crash) {
            self.note("the arbiter crashes before it has stored its verdict");
            return Ok(());
        }
        let statement = self.cast.arbiter.sign(draft).map_err(|e| e.to_string())?;
        let resolved = matches!(case.asked(), Asked::Resolve { .. });
        let promises = if resolved { request.promises } else { Vec::new() };
        let answer = ArbiterAnswer { promises, ..ArbiterAnswer::of(statement) };
        let fact = Fact { space: VERDICT_SPACE.to_owned(), key: cell, value: answer.to_bytes() };
        ready(self.register.commit(Commit { facts: vec![fact], ..Commit::default() })).map_err(|e| e.to_string())?;
        if self.chance(self.weather.crash) {
            self.note("the arbiter crashes before it has answered");
            return Ok(());
        }
        self.reply(from, &answer.to_bytes())
    }

    /// The answer goes back on the connection of the request; if it is lost, the request is made again.
    fn reply(&mut self, to: usize, answer: &[u8]) -> Result<(), String> {
        let said = ArbiterAnswer::from_bytes(answer).map_err(|e| e.to_string())?;
        self.note(format_args!("the arbiter answers {}", said.statement.kind()));
        if said.statement.kind() == Kind::Verdict && !self.verdicts.iter().any(|known| known == answer) {
            self.verdicts.push(answer.to_vec());
        }
        if self.chance(self.weather.loss) {
            return Ok(());
        }
        if self.cheat != Some(to) {
            self.at(0, Event::Answer { to, bytes: answer.to_vec() });
        }
        Ok(())
    }

    /// What must hold at the end.
    fn judge(&self) -> Result<([Option<Ending>; 2], Option<Outcome>), String> {
        if self.verdicts.len() > 1 {
            return Err("S1: the arbiter has given two verdicts".to_owned());
        }
        let verdict = self.verdicts.first().map(|bytes| outcome(bytes)).transpose()?;
        let mut endings = [None, None];
        for (who, ending) in endings.iter_mut().enumerate() {
            if self.cheat == Some(who) {
                continue;
            }
            let machine = self.machine(who).map(|(machine, _)| machine);
            let ended = machine.as_ref().and_then(Gx::ending);
            let role = self.parties[who].role;
            let ended = ended.ok_or_else(|| format!("S8: the {role} has not ended: {machine:?}"))?;
            self.proves(who, ended)?;
            *ending = Some(ended);
        }
        let success = |who: usize| endings[who] == Some(Ending::Success);
        match self.cheat {
            None if success(0) != success(1) => Err(format!("S3: the parties disagree: {endings:?}")),
            Some(cheat) if !success(1 - cheat) && self.holds_contract(cheat, verdict) => {
                Err(format!("S2: only the cheating party has the contract: {endings:?}"))
            }
            _ => Ok((endings, verdict)),
        }
    }

    fn holds_contract(&self, cheat: usize, verdict: Option<Outcome>) -> bool {
        let victim = self.parties[1 - cheat].role;
        let finished = self.seen.iter().any(|bytes| match Message::from_bytes(bytes) {
            Ok(Message::Final(said)) => self.core.role_of(said.completion.signer()) == Some(victim),
            _ => false,
        });
        finished || verdict == Some(Outcome::Resolved)
    }

    /// S9: a stranger concludes from the party's own archive what the party believes.
    fn proves(&self, who: usize, ending: Ending) -> Result<(), String> {
        let now = self.now;
        let item = |kind, bytes| Item { kind, time: now, bytes };
        let mut items = vec![item(EvidenceKind::Core, self.core.to_bytes())];
        let [originator, responder] = self.cast.key_sets();
        items.extend(
            [&originator, &responder, self.cast.arbiter.key_set()]
                .map(|k: &KeySet| item(EvidenceKind::KeySet, k.to_bytes())),
        );
        for kept in ready(self.parties[who].store.evidence(MACHINE)).map_err(|e| e.to_string())? {
            let kind = EvidenceKind::from_name(&kept.item.kind).ok_or("an unknown kind of evidence")?;
            items.push(item(kind, kept.item.bytes));
        }
        let report = evidence::verify(&self.cast.oracle, &[], &Folder { deal: DealId::from_array([0; 16]), items });
        let standing = report.contracts.first().map(|contract| &contract.standing);
        let fits = match ending {
            Ending::Success => matches!(standing, Some(Standing::Complete | Standing::Resolved { .. })),
            Ending::Aborted => matches!(standing, Some(Standing::Aborted { .. })),
            Ending::Lapsed => matches!(standing, Some(Standing::Open { .. })),
            Ending::Unconfirmed
            | Ending::Refunded
            | Ending::Defective
            | Ending::Faulted
            | Ending::Unsettled
            | Ending::Recalled => false,
        };
        if fits { Ok(()) } else { Err(format!("S9: {ending:?}, but the archive shows {standing:?}")) }
    }
}

fn outcome(answer: &[u8]) -> Result<Outcome, String> {
    let answer = ArbiterAnswer::from_bytes(answer).map_err(|e| e.to_string())?;
    Verdict::from_bytes(answer.statement.payload()).map(|verdict| verdict.outcome).map_err(|e| e.to_string())
}

/// The memory archive never waits.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the archive in memory answers at once")
}

/// The idempotency key of an input that may come twice.
fn identity(input: &Input) -> Option<Digest> {
    match input {
        Input::Message(bytes) => Some(Digest::of_parts(domain::INPUT, &[b"peer", bytes])),
        Input::ArbiterSays(bytes) => Some(Digest::of_parts(domain::INPUT, &[b"arbiter", bytes])),
        _ => None,
    }
}

/// An outward effect as the outbox holds it.
pub(crate) fn outgoing(effect: &Effect) -> (Digest, Vec<u8>, Vec<u8>) {
    match effect {
        Effect::Send(bytes) => (Digest::of_parts(domain::INPUT, &[b"send", bytes]), b"send".to_vec(), bytes.clone()),
        Effect::AskArbiter(bytes) => {
            (Digest::of_parts(domain::INPUT, &[b"ask", bytes]), b"ask".to_vec(), bytes.clone())
        }
        Effect::Sign { draft, consent } => {
            let kind = Kind::ALL.iter().position(|kind| *kind == draft.kind).and_then(|i| u8::try_from(i).ok());
            let asks = u8::from(*consent == Consent::Ask);
            let head = [kind.unwrap_or(u8::MAX), asks];
            let bytes = [head.as_slice(), draft.signer.as_bytes(), &draft.payload].concat();
            (*draft.id().digest(), b"sign".to_vec(), bytes)
        }
        _ => (Digest::of(domain::INPUT, b""), Vec::new(), Vec::new()),
    }
}

/// The way back from [`outgoing`].
pub(crate) fn effect(destination: &[u8], bytes: Vec<u8>) -> Result<Effect, String> {
    match destination {
        b"send" => Ok(Effect::Send(bytes)),
        b"ask" => Ok(Effect::AskArbiter(bytes)),
        b"sign" => {
            let (head, rest) = bytes.split_at_checked(2).ok_or("a short draft")?;
            let (signer, payload) = rest.split_at_checked(32).ok_or("a short draft")?;
            let kind = *Kind::ALL.get(usize::from(head[0])).ok_or("an unknown kind of statement")?;
            let signer = signer.try_into().map_err(|_| "a short draft")?;
            let signer = semper_core::ids::KeySetId::from_digest(Digest::from_array(signer));
            let suite = semper_core::party::Suite::Ed25519;
            let draft = semper_core::cose::Draft { kind, suite, signer, payload: payload.to_vec() };
            Ok(Effect::Sign { draft, consent: if head[1] == 1 { Consent::Ask } else { Consent::Implied } })
        }
        _ => Err("an unknown destination".to_owned()),
    }
}

fn label(input: &Input) -> String {
    match input {
        Input::Begin => "begin".to_owned(),
        Input::Message(bytes) => match Message::from_bytes(bytes) {
            Ok(Message::Promise(_)) => "promise".to_owned(),
            Ok(Message::Final(_)) => "final".to_owned(),
            Ok(Message::Decline(_)) => "decline".to_owned(),
            Ok(Message::Quittance(_)) => "quittance".to_owned(),
            Err(error) => format!("a malformed message ({error})"),
        },
        Input::Signed(signed) => format!("signed {}", signed.kind()),
        Input::Declined { .. } => "declined by the user".to_owned(),
        Input::ArbiterSays(_) => "the arbiter's answer".to_owned(),
        Input::Timer(name) => format!("timer {name}"),
        Input::GiveUp => "give up".to_owned(),
        Input::Restored => "restored".to_owned(),
        Input::Delivered => "delivered".to_owned(),
        Input::Operated(_) => "operated".to_owned(),
        Input::Examined(_) => "examined".to_owned(),
        Input::Said(_) => "an issuer's answer".to_owned(),
    }
}
