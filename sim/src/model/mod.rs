//! The model checker's world: the real machines, every order of events.
//!
//! The network is the set of everything that honest parties ever sent; whatever is in it may be delivered at any time, any number
//! of times, to anybody, or never. A malicious party has no state: whatever it can build from its keys and what it saw may be
//! delivered as well. An honest process may crash between any two pieces of [`Turn`]'s work: what is stored stays, the rest is
//! lost. Giving up is possible in every state, which stands for every timer. The clock is three instants: the last step of each
//! party and the arbiter's `not after`, which are passed at any time that the contract's Δ and σ allow.
//!
//! What runs here is [`Gx`], [`decide`] and [`Turn`] as they run in production. What is checked is in `properties.rs`.
//!
//! Source: design/exchange.md §14.

pub mod cn;
pub mod covers;
mod hostile;
pub mod ix;
pub mod letters;
pub mod lx;
mod money;
mod properties;
mod revoke;
pub mod search;
mod show;
mod table;
mod timed;

pub use table::Set;

use std::sync::Arc;

use money::{Asking, Pending};
use semper_core::cbor::{Decode, Encode};
use semper_core::contract::Core;
use semper_core::cose::{Kind, Signed};
use semper_core::ids::StatementId;
use semper_core::machine::{Env, Machine};
use semper_core::party::Role;
use semper_core::time::Time;
use semper_exchange::arbiter::Cell as Decided;
use semper_exchange::arbiter::request::Request;
use semper_exchange::arbiter::service::{Next, VERDICT_SPACE, cell_key, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Closing, Outcome, Verdict};
use semper_exchange::gx::{self, Gx, Message, Question, Show};
use semper_support::archive::Fact;
use semper_support::crypto::Signer;
use semper_support::engine::{Consent, Effect, EvidenceKind, Input};
use semper_support::runner::{Turn, Work, is_outward};
use semper_transfer::credential::{ReservationRequest, Submission};
use stateright::{Model, Property};
use table::{Memo, Table};

use crate::deal::{Deal, Things, receipt};
use crate::issuer::Issued;
use crate::mint::Locks;
use crate::scenario::Cast;

/// Both roles, in the order of their numbers.
pub const ROLES: [Role; 2] = [Role::ORIGINATOR, Role::RESPONDER];
/// Long before any deadline.
const EARLY: Time = Time::from_unix(1000);
/// The timers of the model, by their places in [`Session`].
const TIMERS: [&str; 4] = [gx::PATIENCE, gx::DEADLINE, gx::WINDOW, gx::REFUND];
/// The tick at which nothing fires.
const NEVER: u8 = u8::MAX;
/// The number that stands for nothing.
const NONE: u32 = u32::MAX;

/// What can happen in a configuration of the model.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Who is malicious, if anybody.
    pub malicious: Option<Role>,
    /// How many runs of the one contract each honest party is led into: by role.
    pub sessions: [usize; 2],
    /// How often honest parties crash.
    pub crashes: u8,
    /// How often the arbiter crashes.
    pub arbiter_crashes: u8,
    /// How many requests the arbiter works on at once.
    pub workers: usize,
    /// Whether deadlines are passed, where only signatures are exchanged. Where more is, there is a clock.
    pub deadlines: bool,
    /// What is exchanged.
    pub things: Things,
    /// By how many ticks the clocks of originator, responder and mint are ahead of the arbiter's.
    pub skew: [i8; 3],
    /// From which tick on money can be taken back, if not from the earliest that is allowed.
    pub refund: Option<u8>,
    /// Whether the arbiter never answers.
    pub silent: bool,
    /// States that must be reached: names of `sometimes` properties. A model that does not reach them shows nothing.
    pub reaches: &'static [&'static str],
}

impl Setup {
    /// Two honest parties, of whom nobody crashes, with clocks that agree.
    pub const fn honest(things: Things, reaches: &'static [&'static str]) -> Self {
        Self {
            malicious: None,
            sessions: [1, 1],
            crashes: 0,
            arbiter_crashes: 0,
            workers: 1,
            deadlines: false,
            things,
            skew: [0; 3],
            refund: None,
            silent: false,
            reaches,
        }
    }
}

/// The exchange, its arbiter and its adversary.
pub struct World {
    setup: Setup,
    cast: Cast,
    deal: Deal,
    core: Core,
    machines: Table<Gx>,
    inputs: Table<Input>,
    turns: Table<Turn<u32>>,
    lists: Table<Vec<Effect>>,
    requests: Table<Vec<u8>>,
    rulings: Table<Turn<Written>>,
    kept: Table<(EvidenceKind, Vec<u8>)>,
    facts: Table<(String, Vec<u8>)>,
    steps: Memo<(u32, u32, u8), Option<Planned>>,
    ruled: Memo<Considered, Ruled>,
    derived: Memo<u32, Vec<u32>>,
    proofs: Memo<(u32, Set), bool>,
    sound: Memo<Cell, bool>,
    codecs: Memo<u32, bool>,
    marks: Memo<u32, Mark>,
    pending: Memo<u32, Pending>,
    asking: Memo<u32, Arc<Asking>>,
    papers: Memo<u32, Option<Vec<u8>>>,
    hostile: Vec<u32>,
    alone: Vec<u32>,
    issued: Table<Issued>,
    submitted: Table<Vec<u8>>,
    answers: Memo<(u32, u32, Time), (u32, revoke::Said)>,
    released: Memo<u32, Option<Signed>>,
    unheard: Vec<u32>,
    /// What is asked of the issuer of a right that is shown, if one is.
    wanted: Option<(Show, ReservationRequest)>,
}

/// One state of the world. Numbers refer to the tables of [`World`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Originator and responder.
    pub parties: [Party; 2],
    /// The arbiter.
    pub arbiter: Register,
    /// Messages of honest parties to their peer.
    pub network: Set,
    /// Requests of honest parties to the arbiter.
    pub requests: Set,
    /// What the arbiter answered.
    pub answers: Set,
    /// What it answered to whom, where answers are for one party only.
    pub answered: [Set; 2],
    /// The arbiter's clock, in ticks.
    pub clock: u8,
    /// What became of locked money.
    pub locks: Locks,
    /// What the issuer of a right has stored.
    pub issued: u32,
    /// Crashes of parties that are left.
    pub crashes: u8,
    /// Crashes of the arbiter that are left.
    pub arbiter_crashes: u8,
}

/// A party: one process, one store. A malicious one has no sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Party {
    /// Its runs.
    pub sessions: Vec<Session>,
    /// Facts in its store.
    pub facts: Set,
    /// Whether its clock has passed the last step.
    pub late: bool,
}

/// One run of one party.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Stored: the machine.
    pub machine: u32,
    /// Stored: effects that are not acknowledged.
    pub unacknowledged: u32,
    /// Stored: evidence.
    pub evidence: Set,
    /// Stored: the ends of payment operations and examinations, as inputs.
    pub results: Set,
    /// Stored: the ticks of this party's clock at which its timers fire, or [`NEVER`].
    timers: [u8; TIMERS.len()],
    /// Whether a tick has passed while somebody who answers was waited for.
    slow: bool,
    /// In memory: the work in hand, or [`NONE`].
    turn: u32,
    /// In memory: the input that the work in hand consumes, or [`NONE`].
    input: u32,
    /// In memory: what the key holder was asked.
    asked: u32,
}

/// The arbiter's process and store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Register {
    /// Stored: the contract's cell.
    pub cell: Option<Cell>,
    /// Stored: the last word.
    pub closing: Option<Cell>,
    /// In memory: requests in work.
    workers: Vec<u32>,
    /// Whether its clock has passed `not after`.
    pub closed: bool,
}

/// A decided cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// The answer.
    pub answer: u32,
    /// The request that it decides.
    pub request: u32,
}

/// What the arbiter stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Written {
    Verdict(Cell),
    Closing(Cell),
}

/// What a ruling depends on: the request, what stands, the arbiter's clock, and whether the issuer confirms the asker's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Considered {
    request: u32,
    cell: Option<Cell>,
    closing: Option<Cell>,
    moment: u8,
    confirmed: bool,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Action {
    /// The user begins.
    Begin { party: usize, session: usize },
    /// A message of the network or of the adversary, or an answer of the arbiter, is delivered.
    Deliver { party: usize, session: usize, input: u32 },
    /// The key holder signs.
    Sign { party: usize, session: usize, effect: usize },
    /// The user declines.
    Decline { party: usize, session: usize, effect: usize },
    /// The user, or a timer, gives up.
    GiveUp { party: usize, session: usize },
    /// A party does the next piece of its work.
    Work { party: usize, session: usize },
    /// A party crashes and starts again.
    Crash { party: usize },
    /// A party's clock passes the last step.
    Late { party: usize },
    /// The arbiter takes a request.
    Take { request: u32 },
    /// The arbiter does the next piece of its work.
    Rule { worker: usize },
    /// The arbiter crashes and starts again.
    CrashArbiter,
    /// The arbiter's clock passes `not after`.
    Close,
    /// A payment operation is done, or information is examined.
    Operate { party: usize, session: usize, effect: usize },
    /// Money cannot be locked.
    Fail { party: usize, session: usize, effect: usize },
    /// A timer fires.
    Timer { party: usize, session: usize, timer: usize },
    /// All clocks go on.
    Tick,
    /// The malicious party locks money.
    Lock { number: u8 },
    /// The malicious payee hands in the token of a plain transfer, and takes nothing yet.
    Hold,
    /// The malicious party asks the issuer of the right for something.
    Submit { submission: u32 },
    /// The malicious party takes the money of a lock, with an authorisation that it has seen or because the date has passed.
    Redeem { token: [u8; 3], paper: Option<u32> },
}

/// A step that a machine would take.
#[derive(Clone, Debug)]
struct Planned {
    turn: u32,
    once: Vec<u32>,
}

/// What the arbiter does about a request.
#[derive(Clone, Copy, Debug)]
enum Ruled {
    Refused,
    Answer(u32),
    Work(u32),
}

/// What the properties need to know about a message or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Promise(Role),
    Final(Role),
    Verdict(Outcome),
    Other,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let none = self.lists.number(Vec::new());
        let session = |run| Session {
            machine: self.machines.number(Gx::new(run)),
            unacknowledged: none,
            evidence: Set::default(),
            results: Set::default(),
            timers: [NEVER; TIMERS.len()],
            slow: false,
            turn: NONE,
            input: NONE,
            asked: none,
        };
        let party = |role: Role| {
            let honest = self.setup.malicious != Some(role);
            let count = if honest { self.setup.sessions[usize::from(role.number())] } else { 0 };
            // Whoever is asked to sign what must not be signed does nothing at all.
            let run = self.deal.run(&self.cast, role).ok();
            Party {
                sessions: run.map(session).into_iter().cycle().take(count).collect(),
                facts: Set::default(),
                late: false,
            }
        };
        vec![State {
            parties: ROLES.map(party),
            arbiter: Register { cell: None, closing: None, workers: Vec::new(), closed: false },
            network: Set::default(),
            requests: Set::default(),
            answers: Set::default(),
            answered: [Set::default(); 2],
            clock: 0,
            locks: Locks::default(),
            issued: self.first_issue(),
            crashes: self.setup.crashes,
            arbiter_crashes: self.setup.arbiter_crashes,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if let Some((party, session)) = self.busy(state) {
            self.session_actions(state, (party, session), &state.parties[party].sessions[session], actions);
            if state.crashes > 0 {
                actions.push(Action::Crash { party });
            }
            return;
        }
        for (party, held) in state.parties.iter().enumerate() {
            for (session, run) in held.sessions.iter().enumerate() {
                self.session_actions(state, (party, session), run, actions);
            }
            let volatile = |s: &Session| s.turn != NONE || !self.lists.thing(s.asked).is_empty();
            if state.crashes > 0 && held.sessions.iter().any(volatile) {
                actions.push(Action::Crash { party });
            }
            if self.setup.deadlines && !self.is_timed() && !held.late && !held.sessions.is_empty() {
                actions.push(Action::Late { party });
            }
        }
        if state.arbiter.workers.len() < self.setup.workers {
            actions.extend(self.askable(state).into_iter().map(|request| Action::Take { request }));
        }
        actions.extend((0..state.arbiter.workers.len()).map(|worker| Action::Rule { worker }));
        if state.arbiter_crashes > 0 && !state.arbiter.workers.is_empty() {
            actions.push(Action::CrashArbiter);
        }
        if self.may_close(state) {
            actions.push(Action::Close);
        }
        if self.is_timed() {
            self.hostile_actions(state, actions);
            if self.may_tick(state) {
                actions.push(Action::Tick);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        match action {
            Action::Begin { party, session } => self.take(last, (party, session), Input::Begin),
            Action::Deliver { party, session, input } => self.take_numbered(last, (party, session), input),
            Action::Sign { party, session, effect } => {
                let Effect::Sign { draft, .. } = self.asked(last, (party, session), effect) else { return None };
                let signed = self.cast.parties[party].sign(draft).expect("a party signs its own drafts");
                self.take(last, (party, session), Input::Signed(signed))
            }
            Action::Decline { party, session, effect } => {
                let Effect::Sign { draft, consent: Consent::Ask } = self.asked(last, (party, session), effect) else {
                    return None;
                };
                self.take(last, (party, session), Input::Declined { statement: draft.id() })
            }
            Action::GiveUp { party, session } => self.take(last, (party, session), Input::GiveUp),
            Action::Work { party, session } => {
                let mut state = last.clone();
                self.work(&mut state, (party, session));
                Some(state)
            }
            Action::Crash { party } => {
                let mut state = State { crashes: last.crashes - 1, ..last.clone() };
                self.crash(&mut state, party);
                if self.at_once(&state) {
                    self.finish_party(&mut state, party);
                }
                Some(state)
            }
            Action::Late { party } => {
                let mut state = last.clone();
                state.parties[party].late = true;
                Some(state)
            }
            Action::Take { request } => self.take_request(last, request),
            Action::Rule { worker } => {
                let mut state = last.clone();
                self.rule(&mut state, worker);
                Some(state)
            }
            Action::CrashArbiter => {
                let mut state = State { arbiter_crashes: last.arbiter_crashes - 1, ..last.clone() };
                // Requests are repeated until they are answered, so the arbiter needs no memory of them.
                state.arbiter.workers.clear();
                Some(state)
            }
            Action::Close => {
                let mut state = last.clone();
                state.arbiter.closed = true;
                Some(state)
            }
            Action::Operate { party, session, effect } => self.operate(last, (party, session), effect),
            Action::Fail { party, session, effect } => self.fail(last, (party, session), effect),
            Action::Timer { party, session, timer } => Some(self.fire(last, (party, session), timer)),
            Action::Tick => Some(self.tick(last)),
            Action::Lock { number } => self.hostile_lock(last, number),
            Action::Hold => self.hostile_hold(last),
            Action::Submit { submission } => self.hostile_submit(last, submission),
            Action::Redeem { token, paper } => self.hostile_redeem(last, token, paper),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.setup)
    }

    fn format_action(&self, action: &Action) -> String {
        let who = |party: usize, session: usize| format!("{}{}", ["O", "R"][party], "'".repeat(session));
        match *action {
            Action::Begin { party, session } => format!("{} begins", who(party, session)),
            Action::Deliver { party, session, input } => {
                format!("{} receives {:?}", who(party, session), self.mark(input))
            }
            Action::Sign { party, session, .. } => format!("{}'s key holder signs", who(party, session)),
            Action::Decline { party, session, .. } => format!("{}'s user declines", who(party, session)),
            Action::GiveUp { party, session } => format!("{} gives up", who(party, session)),
            Action::Work { party, session } => format!("{} does the next piece of its work", who(party, session)),
            Action::Crash { party } => format!("{} crashes and restarts", who(party, 0)),
            Action::Late { party } => format!("{}'s clock passes the last step", who(party, 0)),
            Action::Take { request } => {
                let bytes = self.requests.thing(request);
                let request = Request::from_bytes(&bytes).expect("the model makes well-formed requests");
                let by = request.core.role_of(request.question.signer()).map_or("nobody".to_owned(), |r| r.to_string());
                format!("the arbiter takes the {} of the {by}", request.question.kind())
            }
            Action::Rule { worker } => format!("the arbiter does the next piece of work {worker}"),
            Action::CrashArbiter => "the arbiter crashes and restarts".to_owned(),
            Action::Close => "the arbiter's clock passes not-after".to_owned(),
            Action::Operate { party, session, .. } => format!("what {} asked for is done", who(party, session)),
            Action::Fail { party, session, .. } => format!("{} cannot lock or pay money", who(party, session)),
            Action::Timer { party, session, timer } => {
                format!("{}'s {} timer fires", who(party, session), TIMERS[timer])
            }
            Action::Tick => "all clocks go on".to_owned(),
            Action::Lock { number } => format!("the malicious party makes lock {number}"),
            Action::Submit { submission } => {
                let asked = Submission::from_bytes(&self.submitted.thing(submission));
                let kind = asked.map_or("nothing", |asked| asked.statement.kind().name());
                format!("the malicious party sends the issuer a {kind}")
            }
            Action::Hold => "the malicious payee hands the token in and takes nothing".to_owned(),
            Action::Redeem { token, .. } if self.deal.pay_until().is_some() => {
                format!("the malicious party has the money of {token:?}")
            }
            Action::Redeem { token, paper: None } => format!("the malicious party takes {token:?} back after its date"),
            Action::Redeem { token, .. } => {
                format!("the malicious party has an authorisation for {token:?} carried out")
            }
        }
    }
}

impl search::World for World {
    fn describe_state(&self, state: &State) -> String {
        let sessions = state
            .parties
            .iter()
            .zip(["O", "R"])
            .flat_map(|(party, name)| party.sessions.iter().map(move |session| (name, session)));
        let sessions: Vec<_> = sessions
            .map(|(name, session)| {
                let machine = self.machines.thing(session.machine);
                format!("{name}: {} {:?}", machine.state().name(), machine.ending())
            })
            .collect();
        let cell = state.arbiter.cell.map(|cell| self.mark(cell.answer));
        let closing = state.arbiter.closing.map(|closing| self.mark(closing.answer));
        let State { clock, locks, .. } = state;
        format!("{}; cell: {cell:?} {closing:?}; tick {clock}; locks {locks:?}", sessions.join("; "))
    }
}

/// A party and one of its sessions.
type Place = (usize, usize);

impl World {
    /// A world in which one contract is run.
    pub fn new(setup: Setup) -> Self {
        let cast = Cast::default();
        let deal = Deal::new(&cast, setup.things, setup.refund);
        let core = deal.core.clone();
        let wanted = show::show(&deal).and_then(|show| Some((show.clone(), show.request(&core)?)));
        let (inputs, requests, submitted) = (Table::default(), Table::default(), Table::default());
        let unheard = setup.malicious.map(|role| Self::submissions(&cast, &deal, role));
        let unheard = unheard.into_iter().flatten().map(|asked| submitted.number(asked)).collect();
        let hostile = setup.malicious.map(|role| hostile::messages(&cast, &deal, setup.things, role));
        let hostile = hostile.into_iter().flatten().map(|m| inputs.number(Input::Message(m.to_bytes()))).collect();
        let alone = setup.malicious.map(|role| hostile::requests(&cast, &deal, setup.things, role, None));
        let alone = alone.into_iter().flatten().map(|asked| requests.number(asked.to_bytes())).collect();
        Self {
            setup,
            cast,
            deal,
            core,
            machines: Table::default(),
            inputs,
            turns: Table::default(),
            lists: Table::default(),
            requests,
            rulings: Table::default(),
            kept: Table::default(),
            facts: Table::default(),
            steps: Memo::default(),
            ruled: Memo::default(),
            derived: Memo::default(),
            proofs: Memo::default(),
            sound: Memo::default(),
            codecs: Memo::default(),
            marks: Memo::default(),
            pending: Memo::default(),
            asking: Memo::default(),
            papers: Memo::default(),
            hostile,
            alone,
            issued: Table::default(),
            submitted,
            answers: Memo::default(),
            released: Memo::default(),
            unheard,
            wanted,
        }
    }

    fn session_actions(&self, state: &State, place: Place, run: &Session, actions: &mut Vec<Action>) {
        let (party, session) = place;
        if run.turn != NONE {
            actions.push(Action::Work { party, session });
            return;
        }
        let machine = self.machines.thing(run.machine);
        if matches!(machine.state(), gx::State::Ready) && party == 0 {
            actions.push(Action::Begin { party, session });
        }
        let hostile = self.hostile.iter().copied().filter(|message| self.can_say(state, *message));
        let answers = if self.is_timed() { state.answered[party] } else { state.answers };
        let deliverable = state.network.iter().chain(hostile).chain(answers.iter()).chain(run.results.iter());
        actions.extend(deliverable.map(|input| Action::Deliver { party, session, input }));
        for (effect, asked) in self.lists.thing(run.asked).iter().enumerate() {
            actions.push(Action::Sign { party, session, effect });
            if matches!(asked, Effect::Sign { consent: Consent::Ask, .. }) {
                actions.push(Action::Decline { party, session, effect });
            }
        }
        actions.push(Action::GiveUp { party, session });
        if self.is_timed() {
            self.money_actions(state, place, run, actions);
        }
    }

    /// A party takes an input, if its machine accepts it and it changes anything.
    fn take(&self, last: &State, place: Place, input: Input) -> Option<State> {
        self.take_numbered(last, place, self.inputs.number(input))
    }

    fn take_numbered(&self, last: &State, (party, session): Place, input: u32) -> Option<State> {
        let held = &last.parties[party];
        let run = &held.sessions[session];
        if run.turn != NONE {
            return None;
        }
        let key = (run.machine, input, self.moment(last, party));
        let planned = self.steps.get(key, || self.plan(key))?;
        // A driver looks before it leaps; that this alone is not enough is flaw F8.
        if planned.once.iter().any(|fact| held.facts.has(*fact)) {
            return None;
        }
        let mut state = last.clone();
        let run = &mut state.parties[party].sessions[session];
        (run.turn, run.input) = (planned.turn, input);
        if self.at_once(&state) {
            self.finish(&mut state, (party, session));
        }
        Some(state)
    }

    /// The step of a machine; `None` if the input is refused or changes nothing that matters later.
    fn plan(&self, (machine, input, moment): (u32, u32, u8)) -> Option<Planned> {
        let (before, input) = (self.machines.thing(machine), self.inputs.thing(input));
        let env = Env { now: self.time(moment), verify: &self.cast.oracle };
        let step = (*before).clone().handle(&env, (*input).clone()).ok()?;
        let idle = |effect: &Effect| matches!(effect, Effect::Keep { kind: EvidenceKind::Late, .. });
        if step.state == *before && step.effects.iter().all(idle) {
            return None;
        }
        let once = step.effects.iter().filter_map(|effect| match effect {
            Effect::Once(fact) => Some(self.fact(fact)),
            _ => None,
        });
        let once = once.collect();
        let turn = Turn::new(self.machines.number(step.state), step.effects);
        Some(Planned { turn: self.turns.number(turn), once })
    }

    fn fact(&self, fact: &Fact) -> u32 {
        self.facts.number((fact.space.clone(), fact.key.clone()))
    }

    /// Whether work is done in one go. Without crashes ahead the moment between two pieces shows nothing that a late delivery
    /// does not show as well.
    fn at_once(&self, state: &State) -> bool {
        state.crashes == 0
    }

    fn finish(&self, state: &mut State, place: Place) {
        while state.parties[place.0].sessions[place.1].turn != NONE {
            self.work(state, place);
        }
    }

    fn finish_party(&self, state: &mut State, party: usize) {
        for session in 0..state.parties[party].sessions.len() {
            self.finish(state, (party, session));
        }
    }

    /// The next piece of a session's work.
    fn work(&self, state: &mut State, (party, session): Place) {
        let held = &mut state.parties[party];
        let run = &mut held.sessions[session];
        let mut turn = (*self.turns.thing(run.turn)).clone();
        let work = turn.next();
        run.turn = self.park(turn);
        match work {
            None => {}
            Some(Work::Commit { state: machine, effects }) => {
                let once: Vec<_> = effects
                    .iter()
                    .filter_map(|e| if let Effect::Once(f) = e { Some(self.fact(f)) } else { None })
                    .collect();
                if once.iter().any(|fact| held.facts.has(*fact)) {
                    (run.turn, run.input) = (NONE, NONE);
                    return;
                }
                once.into_iter().for_each(|fact| held.facts.add(fact));
                run.slow &= run.machine == machine;
                self.commit(run, machine, &effects);
            }
            Some(Work::Perform(effect)) => match &effect {
                Effect::Send(bytes) => {
                    state.network.add(self.inputs.number(Input::Message(bytes.clone())));
                    run.unacknowledged = self.without(run.unacknowledged, &effect);
                }
                Effect::AskArbiter(bytes) => {
                    state.requests.add(self.requests.number(bytes.clone()));
                    run.unacknowledged = self.without(run.unacknowledged, &effect);
                }
                Effect::Sign { .. } => run.asked = self.with(run.asked, &effect),
                Effect::Once(fact) => held.facts.add(self.fact(fact)),
                _ => {}
            },
        }
    }

    fn commit(&self, run: &mut Session, machine: u32, effects: &[Effect]) {
        run.machine = machine;
        if let Some(answered) = self.answered(run) {
            run.unacknowledged = self.without(run.unacknowledged, &answered);
            run.asked = self.without(run.asked, &answered);
        }
        if self.is_timed() {
            self.set_timers(run, effects);
        }
        run.input = NONE;
        for effect in effects {
            match effect {
                Effect::Keep { kind: EvidenceKind::Late, .. } => {}
                Effect::Keep { kind, bytes } => run.evidence.add(self.kept.number((*kind, bytes.clone()))),
                outward if is_outward(outward) => run.unacknowledged = self.with(run.unacknowledged, outward),
                _ => {}
            }
        }
    }

    /// The request to the key holder that the consumed input answers.
    fn answered(&self, run: &Session) -> Option<Effect> {
        if run.input == NONE {
            return None;
        }
        let statement = match &*self.inputs.thing(run.input) {
            Input::Signed(signed) => signed.id(),
            Input::Declined { statement } => *statement,
            _ => return None,
        };
        let pending = self.lists.thing(run.unacknowledged);
        pending.iter().find(|e| matches!(e, Effect::Sign { draft, .. } if draft.id() == statement)).cloned()
    }

    fn with(&self, list: u32, effect: &Effect) -> u32 {
        let list = self.lists.thing(list);
        let others = list.iter().filter(|other| *other != effect);
        self.lists.number(others.chain([effect]).cloned().collect())
    }

    fn without(&self, list: u32, effect: &Effect) -> u32 {
        let list = self.lists.thing(list);
        self.lists.number(list.iter().filter(|other| *other != effect).cloned().collect())
    }

    fn park(&self, turn: Turn<u32>) -> u32 {
        if turn.clone().next().is_none() { NONE } else { self.turns.number(turn) }
    }

    fn asked(&self, state: &State, (party, session): Place, effect: usize) -> Effect {
        self.lists.thing(state.parties[party].sessions[session].asked)[effect].clone()
    }

    /// Everything in memory is lost; what the store says is not acknowledged is done again.
    fn crash(&self, state: &mut State, party: usize) {
        for run in &mut state.parties[party].sessions {
            let unacknowledged = (*self.lists.thing(run.unacknowledged)).clone();
            run.turn = self.park(Turn::recovered(unacknowledged));
            run.input = NONE;
            run.asked = self.lists.number(Vec::new());
        }
    }

    /// Requests that the arbiter may be handed.
    fn askable(&self, state: &State) -> Vec<u32> {
        if self.setup.silent {
            return Vec::new();
        }
        let mut requests: Vec<_> = state.requests.iter().filter(|request| self.is_open(state, *request)).collect();
        if let Some(role) = self.setup.malicious {
            requests.extend(&self.alone);
            for message in state.network.iter().filter(|m| self.mark(*m) == Mark::Promise(role.peer())) {
                requests.extend(self.derived.get(message, || self.derive(role, message)));
            }
            requests.retain(|request| state.requests.has(*request) || self.can_ask(state, *request));
        }
        requests
    }

    /// What a malicious party can ask once it has seen a promise of its peer.
    fn derive(&self, role: Role, message: u32) -> Vec<u32> {
        let Input::Message(bytes) = &*self.inputs.thing(message) else { return Vec::new() };
        let Ok(Message::Promise(theirs)) = Message::from_bytes(bytes) else { return Vec::new() };
        let asked = hostile::requests(&self.cast, &self.deal, self.setup.things, role, Some(&theirs));
        asked.into_iter().map(|asked| self.requests.number(asked.to_bytes())).collect()
    }

    fn take_request(&self, last: &State, request: u32) -> Option<State> {
        let mut state = last.clone();
        let Register { cell, closing, .. } = last.arbiter;
        let moment = if self.is_timed() { last.clock + 1 } else { u8::from(last.arbiter.closed) };
        let confirmed = self.is_confirmed(last, request);
        let considered = Considered { request, cell, closing, moment, confirmed };
        match self.ruled.get(considered, || self.consider(considered)) {
            Ruled::Refused => return None,
            // What a malicious party is told moves nobody, unless it is paid with it.
            Ruled::Answer(answer) if !last.requests.has(request) && self.is_timed() && self.paper(answer).is_none() => {
                return None;
            }
            Ruled::Answer(answer) => state.answers.add(answer),
            Ruled::Work(work) => {
                state.arbiter.workers.push(work);
                state.arbiter.workers.sort_unstable();
                if state.arbiter_crashes == 0 && self.setup.workers == 1 {
                    self.finish_rulings(&mut state);
                }
            }
        }
        if self.is_timed() {
            let by = self.asking(request).by;
            let new = state.answers.iter().filter(|answer| !last.answers.has(*answer));
            let told = match self.ruled.get(considered, || Ruled::Refused) {
                Ruled::Answer(answer) => vec![answer],
                _ => new.collect(),
            };
            told.into_iter().for_each(|answer| state.answered[by].add(answer));
        }
        (state != *last).then_some(state)
    }

    fn finish_rulings(&self, state: &mut State) {
        while !state.arbiter.workers.is_empty() {
            self.rule(state, 0);
        }
    }

    /// What the arbiter's service does with a request: as `apps/semper` does it, over the same functions.
    fn consider(&self, considered: Considered) -> Ruled {
        let Considered { request, cell, closing, moment, confirmed } = considered;
        let (bytes, arbiter) = (self.requests.thing(request), self.cast.arbiter.key_set());
        let Ok(message) = Request::from_bytes(&bytes) else { return Ruled::Refused };
        let Ok(case) = self.deal.court(&self.cast).check(&message) else { return Ruled::Refused };
        let now = self.time(moment);
        let stands = self.stands(cell, closing);
        let stored = |answer: u32| self.stored(answer).expect("what stands is an answer");
        let sign = |draft| self.cast.arbiter.sign(draft).expect("the arbiter signs its own drafts");
        let number = |answer: &ArbiterAnswer| self.inputs.number(Input::ArbiterSays(answer.to_bytes()));
        let reply = |answer, cell| self.deal.answer(&self.cast, answer, cell, &case, &message);
        let write = |once: bool, written, bytes: Vec<u8>| {
            let fact = Fact { space: VERDICT_SPACE.to_owned(), key: cell_key(&case), value: bytes.clone() };
            // Rules that overwrite a decided cell are a flaw that the checker must see, so the store does not hide it.
            let once = if once { vec![Effect::Once(fact)] } else { Vec::new() };
            let effects = once.into_iter().chain([Effect::Send(bytes)]).collect();
            Ruled::Work(self.rulings.number(Turn::new(written, effects)))
        };
        match decide(stands, &case, arbiter, 0, now) {
            Next::AnswerStored => match closing.or(cell) {
                Some(last) => {
                    let bytes = reply(stored(last.answer), stands.map(|(cell, _)| cell));
                    Ruled::Answer(self.inputs.number(Input::ArbiterSays(bytes)))
                }
                None => Ruled::Refused,
            },
            Next::Refuse => Ruled::Refused,
            Next::SignAndAnswer(draft) => {
                let bytes = reply(ArbiterAnswer::of(sign(draft)), None);
                Ruled::Answer(self.inputs.number(Input::ArbiterSays(bytes)))
            }
            // The issuer does not know the money that the asker says it has locked.
            Next::SignAndStore(_) if !confirmed => Ruled::Refused,
            Next::SignAndStore(draft) => {
                let verdict = Verdict::from_bytes(&draft.payload).expect("the draft is a verdict");
                let resolved = verdict.outcome == Outcome::Resolved;
                let promises = if resolved { message.promises.clone() } else { Vec::new() };
                let answer = ArbiterAnswer { promises, ..ArbiterAnswer::of(sign(draft)) };
                let new = Decided { outcome: verdict.outcome, time: verdict.time, closing: None };
                let written = Written::Verdict(Cell { answer: number(&answer), request });
                write(cell.is_none(), written, reply(answer, Some(new)))
            }
            Next::SignAndClose(draft) => {
                let (Some((decided, _)), Some(cell)) = (stands, cell) else { return Ruled::Refused };
                let outcome = Closing::from_bytes(&draft.payload).expect("the draft is a closing").outcome;
                let signed = sign(draft);
                let receipt = receipt(&self.cast, &signed, now);
                let answer = ArbiterAnswer { closing: Some((signed, receipt)), ..stored(cell.answer) };
                let written = Written::Closing(Cell { answer: number(&answer), request });
                write(closing.is_none(), written, reply(answer, Some(Decided { closing: Some(outcome), ..decided })))
            }
        }
    }

    /// What the register holds, as the rules see it.
    fn stands(&self, cell: Option<Cell>, closing: Option<Cell>) -> Option<(Decided, StatementId)> {
        let (id, Verdict { outcome, time, .. }) = self.verdict(cell?.answer)?;
        let closing = closing.and_then(|closing| self.closing(closing.answer)).map(|(_, closing)| closing.outcome);
        Some((Decided { outcome, time, closing }, id))
    }

    /// The next piece of the arbiter's work.
    fn rule(&self, state: &mut State, worker: usize) {
        let work = state.arbiter.workers.remove(worker);
        let mut turn = (*self.rulings.thing(work)).clone();
        match turn.next() {
            Some(Work::Commit { state: new, effects }) => {
                let once = effects.iter().any(|effect| matches!(effect, Effect::Once(_)));
                let (place, new) = match new {
                    Written::Verdict(new) => (&mut state.arbiter.cell, new),
                    Written::Closing(new) => (&mut state.arbiter.closing, new),
                };
                match place {
                    // Another request was first: this one gets what stands.
                    Some(stands) if once => {
                        state.answers.add(stands.answer);
                        return;
                    }
                    _ => *place = Some(new),
                }
            }
            Some(Work::Perform(Effect::Send(bytes))) => {
                state.answers.add(self.inputs.number(Input::ArbiterSays(bytes)));
            }
            Some(Work::Perform(_)) | None => {}
        }
        if turn.clone().next().is_some() {
            state.arbiter.workers.push(self.rulings.number(turn));
            state.arbiter.workers.sort_unstable();
        }
    }

    /// Whether the arbiter's clock can have passed `not after`. All honest clocks have then passed the last step (σ), and what
    /// honest parties asked by then has arrived (Δ).
    fn may_close(&self, state: &State) -> bool {
        let safe = |run: &Session| {
            let pending = self.lists.thing(run.unacknowledged);
            let asking = pending.iter().any(|effect| matches!(effect, Effect::AskArbiter(_)));
            let machine = self.machines.thing(run.machine);
            let waits = match machine.state() {
                gx::State::AwaitPeerFinal { .. } | gx::State::Asking { question: Question::Resolve { .. }, .. } => true,
                gx::State::AwaitFinalSignature { .. } => machine.run().role() == Role::ORIGINATOR,
                gx::State::AwaitVerdict { promises, .. } => promises.len() == 2 && state.arbiter.cell.is_none(),
                _ => false,
            };
            run.turn == NONE && !asking && !waits
        };
        self.setup.deadlines
            && !self.is_timed()
            && !state.arbiter.closed
            && state.parties.iter().all(|p| (p.late || p.sessions.is_empty()) && p.sessions.iter().all(safe))
            && state.arbiter.workers.is_empty()
    }

    fn stored(&self, answer: u32) -> Option<ArbiterAnswer> {
        let Input::ArbiterSays(bytes) = &*self.inputs.thing(answer) else { return None };
        ArbiterAnswer::from_bytes(bytes).ok()
    }

    /// The verdict of an answer.
    fn verdict(&self, answer: u32) -> Option<(StatementId, Verdict)> {
        let statement = self.stored(answer)?.statement;
        let verdict = Verdict::from_bytes(statement.payload()).ok().filter(|_| statement.kind() == Kind::Verdict)?;
        Some((statement.id(), verdict))
    }

    /// The closing of an answer.
    fn closing(&self, answer: u32) -> Option<(StatementId, Closing)> {
        let (closing, _) = self.stored(answer)?.closing?;
        Some((closing.id(), Closing::from_bytes(closing.payload()).ok()?))
    }

    fn mark(&self, input: u32) -> Mark {
        self.marks.get(input, || {
            let said =
                |signed: &Signed, make: fn(Role) -> Mark| self.core.role_of(signed.signer()).map_or(Mark::Other, make);
            match &*self.inputs.thing(input) {
                Input::Message(bytes) => match Message::from_bytes(bytes) {
                    Ok(Message::Promise(promised)) => said(&promised.promise, Mark::Promise),
                    Ok(Message::Final(completed)) => said(&completed.completion, Mark::Final),
                    _ => Mark::Other,
                },
                Input::ArbiterSays(_) => {
                    self.verdict(input).map_or(Mark::Other, |(_, verdict)| Mark::Verdict(verdict.outcome))
                }
                _ => Mark::Other,
            }
        })
    }

    fn machine(&self, session: &Session) -> Arc<Gx> {
        self.machines.thing(session.machine)
    }
}
