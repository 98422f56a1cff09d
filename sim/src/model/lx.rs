//! The model checker's world for exchanges without an arbiter: the real machines, two issuers with clocks of their own, every order of events.
//!
//! Time is discrete: one tick is the longest that a question to an issuer or its answer takes (Δ), and the most by which two clocks differ
//! (σ). Before a tick passes, every honest party has taken its timers that are due, every issuer has heard what was asked a tick ago, and whoever
//! asked has the answer that was given a tick ago: exchanges without an arbiter rely on that. They do not rely on messages between the parties, which arrive when they like, any
//! number of times, or never; nor on users, who answer when they like or not at all; nor on what is asked to open the locks, which may hang for
//! as long as the originator wants it.
//!
//! A malicious party locks its money or does not, sends its promise with a token that is good or bad, takes any money that it may take at any
//! time, and tells the preimage whenever it knows it. A malicious responder knows the preimage as soon as its issuer was shown it, even if the
//! issuer refused. Each user may give up once, in any state, which stands for every patience and for hearing that the peer declines.
//!
//! Not seen here: issuers that lie, and crashes. Whatever a step wants is in its commit, and nothing of it is in a hurry that a tick does not cover: a
//! crash is a delay, and delays are seen here. What a driver makes of it is seen in the simulator of purchases, where processes crash everywhere.
//!
//! Source: design/exchange.md §§5.4, 5.6, 14.

use std::sync::Arc;

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::Draft;
use semper_core::machine::{Env, Fault, Machine};
use semper_core::party::Role;
use semper_exchange::gx::{Examination, Leg, Promised, RUN_SPACE};
use semper_exchange::lx::{Lx, Message};
use semper_support::crypto::Signer;
use semper_support::engine::{Effect, Ending, Input};
use semper_transfer::payment::operation::{Answer, Failure, Operation, Task};
use semper_transfer::payment::statement::Side;
use stateright::{Model, Property};

use super::table::{Memo, Set, Table};
use crate::deal::{Deal, PREIMAGE, Thing, Things, moment, tick};
use crate::mint::{self, Locks, Lot};
use crate::scenario::Cast;

const ROLES: [Role; 2] = [Role::ORIGINATOR, Role::RESPONDER];
/// The number that stands for nothing.
const NONE: u32 = u32::MAX;
/// How often each user gives up.
const IMPATIENCE: u8 = 1;
/// The timers of a run.
const TIMERS: [&str; 3] = ["patience", "deadline", "refund"];

/// What can happen in a configuration of the model.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// What originator and responder give.
    pub things: Things,
    /// Who is not honest.
    pub malicious: Option<Role>,
    /// States that must be reached: names of `sometimes` properties. A model that does not reach them shows nothing.
    pub reaches: &'static [&'static str],
}

/// Two parties and the issuers of their money.
pub struct World {
    setup: Setup,
    cast: Cast,
    deal: Deal,
    /// The tick after which nothing is looked at any more: everything should be over.
    last: u8,
    machines: Table<Lx>,
    inputs: Table<Input>,
    drafts: Table<Draft>,
    operations: Table<Operation>,
    answers: Table<Answer>,
    steps: Memo<(u32, u32, u8), Option<Arc<Stepped>>>,
}

/// What a machine does in one step.
struct Stepped {
    machine: u32,
    effects: Vec<Effect>,
}

/// One state of the world. Numbers refer to the tables of [`World`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    tick: u8,
    /// By how many ticks the clocks of originator, responder and issuers are ahead.
    skew: [u8; 3],
    machines: [u32; 2],
    drafts: [u32; 2],
    timers: [[Option<u8>; 3]; 2],
    asked: [Vec<Asked>; 2],
    /// The inputs that are messages of each party, as the other one takes them.
    sent: [Set; 2],
    taken: [Set; 2],
    gave_up: [u8; 2],
    locks: Locks,
    /// Whether an issuer was shown the preimage.
    shown: bool,
}

/// A question to an issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    operation: u32,
    /// When it was asked, no longer wanted, or heard: the last of these.
    since: u8,
    wanted: bool,
    answer: u32,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Action {
    /// The originator's user begins.
    Begin,
    /// A tick passes.
    Tick,
    /// A timer fires.
    Fire { party: usize, timer: usize },
    /// A party's key holder signs.
    Sign { party: usize },
    /// A party's user declines.
    Decline { party: usize },
    /// A party's user gives up.
    GiveUp { party: usize },
    /// A message arrives.
    Deliver { to: usize, message: u32 },
    /// An issuer hears what a party asked.
    Hear { party: usize, place: usize },
    /// A party has the answer.
    Answer { party: usize, place: usize },
    /// A party's payment block ends what is not wanted any more, unheard.
    Drop { party: usize, place: usize },
    /// A malicious party locks its money.
    Lock,
    /// A malicious party takes money with the preimage.
    Take,
    /// A malicious party takes its own money back.
    Back,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        // If all are ahead, none is.
        let skews = (0..7_u8).map(|bits| [bits & 1, bits >> 1 & 1, bits >> 2 & 1]);
        skews.map(|skew| self.beginning(skew)).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for party in self.honest() {
            self.party_actions(state, party, actions);
        }
        if let Some(role) = self.setup.malicious {
            let (own, theirs) = (usize::from(role.number()), usize::from(role.peer().number()));
            let locked = |owner: usize| state.locks[owner][0] == Lot::Locked;
            if self.gives_money(own) && state.locks[own][0] == Lot::Absent {
                actions.push(Action::Lock);
            }
            if locked(theirs) && (role == Role::ORIGINATOR || state.shown) {
                actions.push(Action::Take);
            }
            if locked(own) && moment(state.tick + state.skew[2]) >= self.refund_after(own) {
                actions.push(Action::Back);
            }
        }
        if state.tick < self.last && !self.is_urgent(state) {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin => self.take(&mut state, 0, Input::Begin)?,
            Action::Tick => state.tick += 1,
            Action::Fire { party, timer } => {
                state.timers[party][timer] = None;
                self.take(&mut state, party, Input::Timer(TIMERS[timer]))?;
            }
            Action::Sign { party } => {
                let draft = self.drafts.thing(last.drafts[party]);
                let signed = self.cast.hand(ROLES[party]).sign((*draft).clone()).expect("a party signs its own drafts");
                state.drafts[party] = NONE;
                self.take(&mut state, party, Input::Signed(signed))?;
            }
            Action::Decline { party } => {
                let statement = self.drafts.thing(last.drafts[party]).id();
                state.drafts[party] = NONE;
                self.take(&mut state, party, Input::Declined { statement })?;
            }
            Action::GiveUp { party } => {
                state.gave_up[party] += 1;
                self.take(&mut state, party, Input::GiveUp)?;
            }
            Action::Deliver { to, message } => {
                self.take_numbered(&mut state, to, message)?;
                // What moves nothing may as well come later or never.
                if state.machines == last.machines {
                    return None;
                }
                state.taken[to].add(message);
            }
            Action::Answer { party, place } => {
                let answer = self.answers.thing(state.asked[party].remove(place).answer);
                self.take(&mut state, party, Input::Operated(answer.to_bytes()))?;
            }
            Action::Hear { party, place } => {
                let operation = self.operations.thing(last.asked[party][place].operation);
                let now = moment(state.tick + state.skew[2]);
                let number = u8::try_from(party).expect("there are two parties");
                state.shown |= matches!(operation.task, Task::Redeem { to: Side::Payee, .. });
                let result = mint::operate(&mut state.locks, number, &operation, now);
                let asked = &mut state.asked[party][place];
                (asked.since, asked.answer) = (last.tick, self.answers.number(Answer { id: operation.id, result }));
            }
            Action::Drop { party, place } => {
                let id = self.operations.thing(state.asked[party].remove(place).operation).id;
                let failure = Failure::unmoved(Fault::Environment, "the issuer was not reached");
                self.take(&mut state, party, Input::Operated(Answer { id, result: Err(failure) }.to_bytes()))?;
            }
            Action::Lock => state.locks[self.villain()?][0] = Lot::Locked,
            Action::Take => {
                let villain = self.villain()?;
                state.locks[1 - villain][0] = Lot::With(u8::try_from(villain).ok()?);
                state.shown = true;
            }
            Action::Back => {
                let villain = self.villain()?;
                state.locks[villain][0] = Lot::With(u8::try_from(villain).ok()?);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always("S2 whoever has lost its money has what it was for", nobody_is_cheated),
            Property::always("S3 honest parties agree", agreement),
            Property::always("S5 an ending says what is true", endings_are_true),
            Property::always("S6 what is stored is what was", what_is_stored),
            Property::always("S8 everything is over in the end", nobody_is_stuck),
        ];
        for name in self.setup.reaches {
            let (name, check) = SOMETIMES.iter().find(|(known, _)| known == name).expect(name);
            all.push(Property::sometimes(name, *check));
        }
        all
    }

    fn format_action(&self, action: &Action) -> String {
        let who = |party: usize| ["O", "R"][party];
        match *action {
            Action::Begin => "O begins".to_owned(),
            Action::Tick => "a tick passes".to_owned(),
            Action::Fire { party, timer } => format!("{}'s timer {} fires", who(party), TIMERS[timer]),
            Action::Sign { party } => format!("{}'s key holder signs", who(party)),
            Action::Decline { party } => format!("{}'s user declines", who(party)),
            Action::GiveUp { party } => format!("{} gives up", who(party)),
            Action::Deliver { to, message } => match &*self.inputs.thing(message) {
                Input::Message(bytes) => match Message::from_bytes(bytes) {
                    Ok(Message::Promise(promised)) => format!("{} hears a promise with {:?}", who(to), promised.token),
                    Ok(Message::Preimage(_)) => format!("{} hears the preimage", who(to)),
                    Ok(Message::Decline(_)) => format!("{} hears that the other declines", who(to)),
                    Err(_) => format!("{} hears noise", who(to)),
                },
                other => format!("{} hears {other:?}", who(to)),
            },
            Action::Hear { party, place } => format!("an issuer hears question {place} of {}", who(party)),
            Action::Answer { party, place } => format!("{} has the answer to question {place}", who(party)),
            Action::Drop { party, place } => format!("question {place} of {} is dropped", who(party)),
            Action::Lock => "the malicious party locks its money".to_owned(),
            Action::Take => "the malicious party takes the other's money".to_owned(),
            Action::Back => "the malicious party takes its money back".to_owned(),
        }
    }
}

impl super::search::World for World {
    fn describe_state(&self, state: &State) -> String {
        let party = |party: usize| {
            let machine = self.machine(state, party);
            let asked = state.asked[party].iter().map(|asked| self.operations.thing(asked.operation).task.verb());
            format!(
                "{}: {} {:?} {:?}",
                ["O", "R"][party],
                machine.state().name(),
                machine.ending(),
                asked.collect::<Vec<_>>()
            )
        };
        let parties: Vec<_> = self.honest().map(party).collect();
        format!("tick {}, skew {:?}; {}; locks {:?}", state.tick, state.skew, parties.join("; "), state.locks)
    }
}

type Check = fn(&World, &State) -> bool;

/// States that a model may be required to reach.
const SOMETIMES: [(&str, Check); 5] = [
    ("both succeed", |world, state| world.honest().all(|party| world.ending(state, party) == Some(Ending::Success))),
    ("learned from the issuer", |world, state| {
        world.ending(state, 1) == Some(Ending::Success)
            && !state.taken[1].iter().any(|message| world.is_preimage(message))
    }),
    ("the money comes back", |world, state| {
        world.honest().all(|party| world.ending(state, party) == Some(Ending::Refunded))
    }),
    ("bad goods", |world, state| world.ending(state, 1) == Some(Ending::Defective)),
    ("opened too late to ask before the date", |world, state| {
        world.ending(state, 1) == Some(Ending::Success) && moment(state.tick) > world.refund_after(1)
    }),
];

impl World {
    /// A world in which one contract is run.
    pub fn new(setup: Setup) -> Self {
        let cast = Cast::default();
        let deal = Deal::under_hash(&cast, setup.things);
        let legs = Leg::of(&deal.core).expect("the contract is well-formed");
        let dates = legs.iter().filter_map(|leg| leg.lock().map(|lock| tick(lock.refund_after)));
        // Its date, clocks, a question about it, one more question and its answer.
        let last = dates.max().unwrap_or_default() + 10;
        let (machines, inputs, drafts) = (Table::default(), Table::default(), Table::default());
        let (operations, answers, steps) = (Table::default(), Table::default(), Memo::default());
        Self { setup, cast, deal, last, machines, inputs, drafts, operations, answers, steps }
    }

    fn honest(&self) -> impl Iterator<Item = usize> + use<> {
        let villain = self.villain();
        (0..2).filter(move |party| Some(*party) != villain)
    }

    fn villain(&self) -> Option<usize> {
        self.setup.malicious.map(|role| usize::from(role.number()))
    }

    fn gives_money(&self, party: usize) -> bool {
        self.setup.things[party] == Thing::Money
    }

    fn refund_after(&self, party: usize) -> semper_core::time::Time {
        let legs = Leg::of(&self.deal.core).expect("the contract is well-formed");
        legs[party].lock().expect("this party gives money").refund_after
    }

    fn beginning(&self, skew: [u8; 3]) -> State {
        let mut machines = [NONE; 2];
        let mut timers = [[None; 3]; 2];
        for party in self.honest() {
            let run = self.deal.run(&self.cast, ROLES[party]).expect("the contract is between these parties");
            machines[party] = self.machines.number(Lx::new(run));
        }
        // The deal lets a proposal lapse whose originator does not promise.
        timers[1][1] = Some(tick(self.deal.core.terms.deadlines.last_step()));
        let mut sent = [Set::default(); 2];
        if let Some(villain) = self.villain() {
            for message in self.lies(villain) {
                sent[villain].add(self.inputs.number(Input::Message(message.to_bytes())));
            }
        }
        State {
            tick: 0,
            skew,
            machines,
            drafts: [NONE; 2],
            timers,
            asked: [Vec::new(), Vec::new()],
            sent,
            taken: [Set::default(); 2],
            gave_up: [0; 2],
            locks: Locks::default(),
            shown: false,
        }
    }

    /// What a malicious party can send.
    fn lies(&self, villain: usize) -> Vec<Message> {
        let (core, role) = (&self.deal.core, ROLES[villain]);
        let promise = self.cast.promise(core, role, 0);
        let number = role.number();
        let tokens = if self.gives_money(villain) {
            vec![mint::token(number, 0), mint::token(number, 1)]
        } else {
            vec![Vec::new()]
        };
        let with = |token| Message::Promise(Promised { token, ..Promised::bare(promise.clone()) });
        let mut all: Vec<_> = tokens.into_iter().map(with).collect();
        if role == Role::ORIGINATOR {
            all.push(Message::Preimage(PREIMAGE));
        }
        all
    }

    fn is_preimage(&self, message: u32) -> bool {
        matches!(&*self.inputs.thing(message), Input::Message(bytes) if matches!(Message::from_bytes(bytes), Ok(Message::Preimage(_))))
    }

    fn machine(&self, state: &State, party: usize) -> Arc<Lx> {
        self.machines.thing(state.machines[party])
    }

    /// How the run of an honest party has ended, if it has.
    pub fn ending(&self, state: &State, party: usize) -> Option<Ending> {
        if state.machines[party] == NONE { None } else { self.machine(state, party).ending() }
    }

    /// The tick of a state, by a clock that is ahead of nobody's.
    pub fn tick(state: &State) -> u8 {
        state.tick
    }

    /// The tick of a party's own clock.
    fn clock(state: &State, party: usize) -> u8 {
        state.tick + state.skew[party]
    }

    fn party_actions(&self, state: &State, party: usize, actions: &mut Vec<Action>) {
        let machine = self.machine(state, party);
        if machine.state().name() == "ready" && party == 0 {
            actions.push(Action::Begin);
        }
        if state.drafts[party] != NONE {
            actions.extend([Action::Sign { party }, Action::Decline { party }]);
        }
        if state.gave_up[party] < IMPATIENCE && machine.ending().is_none() {
            actions.push(Action::GiveUp { party });
        }
        for (timer, due) in state.timers[party].iter().enumerate() {
            if due.is_some_and(|due| Self::clock(state, party) >= due) {
                actions.push(Action::Fire { party, timer });
            }
        }
        for message in state.sent[1 - party].iter().filter(|message| !state.taken[party].has(*message)) {
            actions.push(Action::Deliver { to: party, message });
        }
        for (place, asked) in state.asked[party].iter().enumerate() {
            if asked.answer != NONE {
                actions.push(Action::Answer { party, place });
                continue;
            }
            if self.can_be_heard(state, asked) {
                actions.push(Action::Hear { party, place });
            }
            if !asked.wanted {
                actions.push(Action::Drop { party, place });
            }
        }
    }

    /// A payer's own wallet waits until its issuer's clock has reached the date.
    fn can_be_heard(&self, state: &State, asked: &Asked) -> bool {
        match &self.operations.thing(asked.operation).task {
            Task::Redeem { lock, to: Side::Payer, .. } => moment(state.tick + state.skew[2]) >= lock.refund_after,
            _ => true,
        }
    }

    /// Whether something must happen before a tick passes.
    fn is_urgent(&self, state: &State) -> bool {
        self.honest().any(|party| {
            let due = state.timers[party].iter().flatten().any(|due| Self::clock(state, party) >= *due);
            let waits = |asked: &Asked| {
                let opens = matches!(self.operations.thing(asked.operation).task, Task::Redeem { to: Side::Payee, .. });
                let heard = asked.answer != NONE;
                let may_hang = opens && party == 0 && asked.wanted || !self.can_be_heard(state, asked);
                asked.since < state.tick && (heard || !may_hang)
            };
            due || state.asked[party].iter().any(waits)
        })
    }

    fn take(&self, state: &mut State, party: usize, input: Input) -> Option<()> {
        let input = self.inputs.number(input);
        self.take_numbered(state, party, input)
    }

    /// Has a machine take an input, and does what it wants done; `None` if it refuses.
    fn take_numbered(&self, state: &mut State, party: usize, input: u32) -> Option<()> {
        let clock = Self::clock(state, party);
        let stepped = self.steps.get((state.machines[party], input, clock), || {
            let env = Env { now: moment(clock), verify: &self.cast.oracle };
            let machine = (*self.machines.thing(state.machines[party])).clone();
            let step = machine.handle(&env, (*self.inputs.thing(input)).clone()).ok()?;
            Some(Arc::new(Stepped { machine: self.machines.number(step.state), effects: step.effects }))
        })?;
        state.machines[party] = stepped.machine;
        for effect in &stepped.effects {
            self.perform(state, party, effect)?;
        }
        Some(())
    }

    fn perform(&self, state: &mut State, party: usize, effect: &Effect) -> Option<()> {
        let timer = |name: &str| TIMERS.iter().position(|known| *known == name).expect("a timer of the run");
        match effect {
            Effect::Send(bytes) => {
                let message = self.inputs.number(Input::Message(bytes.clone()));
                state.sent[party].add(message);
            }
            Effect::Sign { draft, .. } => state.drafts[party] = self.drafts.number(draft.clone()),
            Effect::Operate(bytes) => {
                let operation = Operation::from_bytes(bytes).expect("an operation");
                let operation = self.operations.number(operation);
                state.asked[party].push(Asked { operation, since: state.tick, wanted: true, answer: NONE });
            }
            Effect::Abandon(id) => {
                let tick = state.tick;
                let named = |asked: &&mut Asked| self.operations.thing(asked.operation).id.as_bytes() == id;
                for asked in
                    state.asked[party].iter_mut().filter(named).filter(|asked| asked.wanted && asked.answer == NONE)
                {
                    (asked.wanted, asked.since) = (false, tick);
                }
            }
            // Later than anything that is looked at: it stands for a user's patience, which may end at any time anyway.
            Effect::SetTimer { name, due } => {
                let due = Some(tick(*due)).filter(|due| *due <= self.last + 1);
                state.timers[party][timer(name)] = due;
            }
            Effect::CancelTimer(name) => state.timers[party][timer(name)] = None,
            Effect::Examine(bytes) => {
                let examination = Examination::from_bytes(bytes).expect("an examination");
                let examined = self.deal.examine(&self.cast, &examination);
                self.take(state, party, Input::Examined(examined.to_bytes()))?;
            }
            Effect::Once(fact) => assert_eq!(fact.space, RUN_SPACE),
            Effect::Ended(_) => state.drafts[party] = NONE,
            Effect::Submit(_) => panic!("nobody shows a right here"),
            Effect::Keep { .. } | Effect::AskArbiter(_) => {}
        }
        Some(())
    }
}

/// Whether the money of a party is with the other one.
fn is_gone(state: &State, party: usize) -> bool {
    matches!(state.locks[party][0], Lot::With(who) if usize::from(who) != party)
}

/// For an honest originator: as soon as the responder can have what it gives. For an honest responder: when it has ended.
fn nobody_is_cheated(world: &World, state: &State) -> bool {
    world.honest().all(|party| {
        if party == 0 {
            let told = state.sent[0].iter().any(|message| world.is_preimage(message));
            let given = if world.gives_money(0) { is_gone(state, 0) } else { state.shown || told };
            return !given || is_gone(state, 1);
        }
        match world.ending(state, 1) {
            Some(Ending::Success) => !world.gives_money(0) || is_gone(state, 0),
            Some(Ending::Defective) => world.setup.things[0] == Thing::BadInformation,
            Some(_) => !is_gone(state, 1),
            None => true,
        }
    })
}

/// Where both are honest neither succeeds alone.
fn agreement(world: &World, state: &State) -> bool {
    if world.villain().is_some() {
        return true;
    }
    let got = |party| matches!(world.ending(state, party), Some(Ending::Success | Ending::Defective));
    let lost = |party| world.ending(state, party).is_some() && !got(party);
    !(got(0) && lost(1) || lost(0) && got(1))
}

/// Money that is said to be back is back; what lapsed has cost nothing; nothing is ever owed and not paid.
fn endings_are_true(world: &World, state: &State) -> bool {
    world.honest().all(|party| {
        let own = state.locks[party][0];
        match world.ending(state, party) {
            Some(Ending::Success) if party == 0 => is_gone(state, 1),
            Some(Ending::Refunded) => own == Lot::With(u8::try_from(party).unwrap_or_default()),
            Some(Ending::Lapsed) => own == Lot::Absent,
            Some(Ending::Success | Ending::Defective) | None => true,
            Some(_) => false,
        }
    })
}

fn what_is_stored(world: &World, state: &State) -> bool {
    world.honest().all(|party| {
        let machine = world.machine(state, party);
        Lx::from_bytes(&machine.to_bytes()).as_ref() == Ok(&*machine)
    })
}

/// When all dates are long past, whoever has locked money has ended.
fn nobody_is_stuck(world: &World, state: &State) -> bool {
    state.tick < world.last
        || world.is_urgent(state)
        || world.honest().all(|party| world.ending(state, party).is_some() || state.locks[party][0] == Lot::Absent)
}
