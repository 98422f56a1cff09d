//! The model checker's world for exchanges through the hands of the arbiter: the real machines, the arbiter's rules, every order of events.
//!
//! The arbiter keeps what it keeps in production ([`Hands`]), by the rules that it has in production. It hears each of a party's last two questions at any time and any number of
//! times, and each answer arrives or is lost; so it may crash between any two of its steps. What its operations came to it sees whenever it is asked:
//! its issuers take a token or refuse it at any time, and its payments may fail once. Nothing here relies on messages in time. Keys sign at once what follows from an approved contract. Time is discrete, each clock may be ahead by a tick, and only this is urgent: a timer of an honest party's that is due. Patience, and the rest
//! after a refusal, may end at any time.
//!
//! An issuer is a list of payments. Each is absent, out, with its payee, or back; there is no state in which two have it. A malicious party makes up to two payments to the
//! arbiter, takes them back or not, hands in good tokens and bad ones, asks whatever it can sign, and takes what it is paid, all at any time.
//!
//! Not seen here: that a step is stored before it acts, which is checked for all machines in the world of two parties; and an arbiter or an issuer that lies: whoever agrees to such a
//! contract trusts both with its money.
//!
//! Source: design/exchange.md §§3.4.4, 14.

use std::sync::Arc;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Draft, Signed};
use semper_core::ids::Slot;
use semper_core::machine::{Env, Fault, Machine};
use semper_core::party::Role;
use semper_core::time::Time;
use semper_exchange::arbiter::hands::{
    Answer as Said, Case, Deposit, Duty, Event, Hands, Holding, Ruling, rule, token_hash,
};
use semper_exchange::arbiter::request::{Abort, Inquiry, Request};
use semper_exchange::arbiter::verdict::Outcome;
use semper_exchange::gx::{Handed, Leg, Message, Promised, RUN_SPACE};
use semper_exchange::ix::Ix;
use semper_support::crypto::Signer;
use semper_support::engine::{Consent, Effect, Ending, Input};
use semper_transfer::payment::operation::{Answer, Failure, Operation, Outcome as Moved, Task};
use stateright::{Model, Property};

use super::table::{Memo, Set, Table};
use crate::deal::{Deal, HANDS_NOT_AFTER, moment, tick};
use crate::scenario::Cast;

const ROLES: [Role; 2] = [Role::ORIGINATOR, Role::RESPONDER];
/// The number that stands for nothing.
const NONE: u32 = u32::MAX;
/// How many payments a party can make to the arbiter; an honest one makes the first.
const PAYMENTS: usize = 2;
/// How often the arbiter can pay a party: once after it has failed, and once more where it must not.
const PAYOUTS: usize = 3;
/// How often a payment of the arbiter's fails.
const FAILURES: u8 = 1;
/// The timers of a run.
const TIMERS: [&str; 3] = ["patience", "deadline", "refund"];
/// The place of patience among them: it may end at any time once it has begun.
const PATIENCE: usize = 0;
/// The tick after which nothing is looked at any more: whoever was not answered has asked its issuer before.
const LAST: u8 = HANDS_NOT_AFTER + 3;

/// What can happen in a configuration of the model.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Who is not honest.
    pub malicious: Option<Role>,
    /// States that must be reached: names of `sometimes` properties. A model that does not reach them shows nothing.
    pub reaches: &'static [&'static str],
}

/// Two parties, the arbiter, and the issuers of their money.
pub struct World {
    setup: Setup,
    cast: Cast,
    deal: Deal,
    machines: Table<Ix>,
    inputs: Table<Input>,
    drafts: Table<Draft>,
    operations: Table<Operation>,
    requests: Table<Vec<u8>>,
    hands: Table<Hands>,
    /// What a malicious party can ask.
    lies: Vec<u32>,
    steps: Memo<(u32, u32, u8), Option<Arc<Stepped>>>,
    cases: Memo<u32, Option<Arc<Case>>>,
    answers: Memo<(u32, u32, Vec<u8>), u32>,
    /// Whether a machine, and what the arbiter keeps, are read back as they are.
    read: [Memo<u32, bool>; 2],
}

/// What a machine does in one step.
struct Stepped {
    machine: u32,
    effects: Vec<Effect>,
}

/// What became of a payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lot {
    /// It was not made.
    #[default]
    Absent,
    /// Its token is out.
    Out,
    /// Its payee has the money.
    Taken,
    /// Its payer has the money again.
    Back,
}

/// A payment of the arbiter's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Payout {
    /// It was not begun.
    #[default]
    Absent,
    /// It is being made.
    Begun,
    /// It has failed, and the arbiter has the money.
    Failed,
    /// Its token is out.
    Out,
    /// Its payee has the money.
    Taken,
}

/// One state of the world. Numbers refer to the tables of [`World`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    tick: u8,
    /// By how many ticks the clocks of originator, responder and arbiter are ahead.
    skew: [u8; 3],
    machines: [u32; 2],
    drafts: [u32; 2],
    timers: [[Option<u8>; 3]; 2],
    /// The operation that each party waits for.
    asked: [u32; 2],
    abandoned: [bool; 2],
    /// The inputs that are messages of each party, as the other one takes them.
    sent: [Set; 2],
    taken: [Set; 2],
    /// Whether each user's patience has ended, and whether it may end now.
    gave_up: [bool; 2],
    patient: [bool; 2],
    /// The last two questions of each party.
    requests: [[u32; 2]; 2],
    /// What the arbiter keeps.
    hands: u32,
    /// Whether it has signed that the contract is resolved, or aborted.
    verdicts: [bool; 2],
    /// Whether it completed the contract too late, by its clock.
    late: bool,
    /// Which token of each party it is taking, and whether that was good once its issuer has said.
    taking: [Option<(u8, Option<bool>)>; 2],
    /// The payments of each party to the arbiter, and of the arbiter to each party: with the peer's money, or with its own.
    deposits: [[Lot; PAYMENTS]; 2],
    payouts: [[(Payout, bool); PAYOUTS]; 2],
    failures: u8,
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
    /// A party's user gives up.
    GiveUp { party: usize },
    /// A message arrives.
    Deliver { to: usize, message: u32 },
    /// An operation of a party's ends.
    Operate { party: usize },
    /// What a party wants no more ends unpaid.
    Drop { party: usize },
    /// The arbiter hears a question, and its answer arrives or is lost.
    Hear { party: usize, request: u32, arrives: bool },
    /// An issuer takes a party's token to the arbiter, or refuses it.
    Take { party: usize },
    /// A payment of the arbiter's to a party is made.
    Pay { party: usize, attempt: usize },
    /// It fails.
    Fail { party: usize, attempt: usize },
    /// A malicious party makes a payment to the arbiter.
    Deposit { number: usize },
    /// It takes that back.
    Back { number: usize },
    /// It takes what the arbiter has paid it.
    Collect { attempt: usize },
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let skews = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]];
        let own = |skew: &[u8; 3]| self.villain().is_none_or(|villain| skew[villain] == 0);
        skews.into_iter().filter(own).flat_map(|skew| self.beginnings(skew)).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for party in self.honest() {
            self.party_actions(state, party, actions);
        }
        self.arbiter_actions(state, actions);
        if let Some(villain) = self.villain() {
            self.hostile_actions(state, villain, actions);
        }
        let due = |party: usize, due: &u8| Self::clock(state, party) >= *due;
        let urgent = self.honest().any(|party| state.timers[party].iter().flatten().any(|timer| due(party, timer)));
        if state.tick < LAST && !urgent {
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
                if timer == PATIENCE {
                    (state.patient[party], state.gave_up[party]) = (false, true);
                }
                self.take(&mut state, party, Input::Timer(TIMERS[timer]))?;
            }
            Action::Sign { party } => {
                let draft = self.drafts.thing(last.drafts[party]);
                let signed = self.cast.hand(ROLES[party]).sign((*draft).clone()).expect("a party signs its own drafts");
                state.drafts[party] = NONE;
                self.take(&mut state, party, Input::Signed(signed))?;
            }
            Action::GiveUp { party } => {
                state.gave_up[party] = true;
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
            Action::Operate { party } => self.operate(&mut state, party)?,
            Action::Drop { party } => {
                let failure = Failure::unmoved(Fault::Environment, "the issuer was not reached");
                self.answer_operation(&mut state, party, Err(failure))?;
            }
            Action::Hear { party, request, arrives } => {
                let said = self.hear(&mut state, party, request);
                if arrives {
                    self.take_numbered(&mut state, party, said?)?;
                }
            }
            Action::Take { party } => {
                let (number, _) = last.taking[party]?;
                let lot = state.deposits[party].get_mut(usize::from(number)).filter(|lot| **lot == Lot::Out);
                let good = lot.map(|lot| *lot = Lot::Taken).is_some();
                state.taking[party] = Some((number, Some(good)));
            }
            Action::Pay { party, attempt } => state.payouts[party][attempt].0 = Payout::Out,
            Action::Fail { party, attempt } => {
                state.failures += 1;
                state.payouts[party][attempt].0 = Payout::Failed;
            }
            Action::Deposit { number } => state.deposits[self.villain()?][number] = Lot::Out,
            Action::Back { number } => state.deposits[self.villain()?][number] = Lot::Back,
            Action::Collect { attempt } => state.payouts[self.villain()?][attempt].0 = Payout::Taken,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always("S1 the arbiter decides once", |_, state: &State| state.verdicts != [true, true]),
            Property::always("S2 whoever is honest has its money or the other's", nobody_is_cheated),
            Property::always("S3 honest parties agree", agreement),
            Property::always("S5 the arbiter pays what it was paid", money_is_kept),
            Property::always("S6 what is stored is what was", what_is_stored),
            Property::always("S7 an ending says what is true", endings_are_true),
            Property::always("S8 everything is over in the end", nobody_is_stuck),
            Property::always("S12 nothing is completed after its time", in_time),
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
            Action::GiveUp { party } => format!("{} gives up", who(party)),
            Action::Deliver { to, .. } => format!("{} hears the other one", who(to)),
            Action::Operate { party } => format!("what {} has asked its issuer is done", who(party)),
            Action::Drop { party } => format!("what {} wants no more is dropped", who(party)),
            Action::Hear { party, request, arrives } => {
                let asked = self.case(request).map(|case| case.asked().clone());
                let said = if arrives { ", and is heard" } else { "" };
                format!("the arbiter hears {} {asked:?}{said}", who(party))
            }
            Action::Take { party } => format!("the issuer looks at {}'s token", who(party)),
            Action::Pay { party, attempt } => format!("the arbiter's payment {attempt} to {} is made", who(party)),
            Action::Fail { party, attempt } => format!("the arbiter's payment {attempt} to {} fails", who(party)),
            Action::Deposit { number } => format!("the malicious party makes payment {number}"),
            Action::Back { number } => format!("the malicious party takes payment {number} back"),
            Action::Collect { attempt } => format!("the malicious party takes the arbiter's payment {attempt}"),
        }
    }
}

impl super::search::World for World {
    fn describe_state(&self, state: &State) -> String {
        let party = |party: usize| {
            let machine = self.machine(state, party);
            format!("{}: {} {:?}", ["O", "R"][party], machine.state().name(), machine.ending())
        };
        let parties: Vec<_> = self.honest().map(party).collect();
        let hands = (state.hands != NONE).then(|| self.hands.thing(state.hands));
        let (deposits, payouts) = (&state.deposits, &state.payouts);
        format!("tick {}, {}; {hands:?}; {deposits:?}; {payouts:?}", state.tick, parties.join("; "))
    }
}

type Check = fn(&World, &State) -> bool;

/// States that a model may be required to reach.
const SOMETIMES: [(&str, Check); 7] = [
    ("both succeed", |world, state| world.honest().all(|party| world.ending(state, party) == Some(Ending::Success))),
    ("paid back", |world, state| {
        world.honest().any(|party| {
            let back = state.payouts[party].contains(&(Payout::Taken, true));
            world.ending(state, party) == Some(Ending::Aborted) && back
        })
    }),
    ("taken back", |world, state| {
        world
            .honest()
            .any(|party| world.ending(state, party) == Some(Ending::Aborted) && state.deposits[party][0] == Lot::Back)
    }),
    ("aborted by its date", |world, state| {
        state.verdicts[1]
            && state.gave_up == [false, false]
            && world.honest().any(|party| state.deposits[party][0] == Lot::Taken)
    }),
    ("taken while it was aborted", |world, state| {
        let hands = (state.hands != NONE).then(|| world.hands.thing(state.hands));
        hands.is_some_and(|hands| {
            let both = hands.holdings.iter().all(|holding| matches!(holding, Holding::Taken(_)));
            both && hands.outcome == Some(Outcome::Aborted)
        })
    }),
    ("paid in a second attempt", |_, state| state.payouts.iter().any(|to| to[1].0 == Payout::Taken)),
    ("a second payment", |world, state| {
        world.villain().is_some_and(|villain| state.deposits[villain] == [Lot::Taken; 2])
    }),
];

impl World {
    /// A world in which one contract is run.
    pub fn new(setup: Setup) -> Self {
        let cast = Cast::default();
        let deal = Deal::through_hands(&cast);
        let (machines, inputs, drafts) = (Table::default(), Table::default(), Table::default());
        let (operations, requests, hands) = (Table::default(), Table::default(), Table::default());
        let (steps, cases, answers) = (Memo::default(), Memo::default(), Memo::default());
        let lies = Vec::new();
        let world = Self {
            setup,
            cast,
            deal,
            machines,
            inputs,
            drafts,
            operations,
            requests,
            hands,
            lies,
            steps,
            cases,
            answers,
            read: [Memo::default(), Memo::default()],
        };
        let lies = world.villain().map(|villain| world.questions(ROLES[villain])).unwrap_or_default();
        Self { lies, ..world }
    }

    fn honest(&self) -> impl Iterator<Item = usize> + use<> {
        let villain = self.villain();
        (0..2).filter(move |party| Some(*party) != villain)
    }

    fn villain(&self) -> Option<usize> {
        self.setup.malicious.map(|role| usize::from(role.number()))
    }

    /// Every state up to the one in which both have promised and nobody has given up: a search that begins in each comes further.
    fn beginnings(&self, skew: [u8; 3]) -> Vec<State> {
        let mut all = vec![self.beginning(skew)];
        loop {
            let last = all.last().expect("there is a first one");
            let mut actions = Vec::new();
            self.honest().for_each(|party| self.party_actions(last, party, &mut actions));
            let promises = |action: &Action| match action {
                Action::Begin | Action::Sign { .. } => true,
                Action::Deliver { message, .. } => self.is_promise(*message),
                _ => false,
            };
            let next = actions.into_iter().filter(promises).find_map(|action| self.next_state(last, action));
            match next {
                Some(next) => all.push(next),
                None => return all,
            }
        }
    }

    fn beginning(&self, skew: [u8; 3]) -> State {
        let mut machines = [NONE; 2];
        for party in self.honest() {
            let run = self.deal.run(&self.cast, ROLES[party]).expect("the contract is between these parties");
            machines[party] = self.machines.number(Ix::new(run));
        }
        let mut timers = [[None; 3]; 2];
        // The deal lets a proposal lapse whose originator does not promise.
        timers[1][1] = Some(tick(self.deal.core.terms.deadlines.last_step()));
        let mut sent = [Set::default(); 2];
        if let Some(villain) = self.villain() {
            let promise = Promised::bare(self.cast.promise(&self.deal.core, ROLES[villain], 0));
            for message in [Message::Promise(promise), Message::decline("")] {
                sent[villain].add(self.inputs.number(Input::Message(message.to_bytes())));
            }
        }
        State {
            tick: 0,
            skew,
            machines,
            drafts: [NONE; 2],
            timers,
            asked: [NONE; 2],
            abandoned: [false; 2],
            sent,
            taken: [Set::default(); 2],
            gave_up: [false; 2],
            patient: [false; 2],
            requests: [[NONE; 2]; 2],
            hands: NONE,
            verdicts: [false; 2],
            late: false,
            taking: [None; 2],
            deposits: Default::default(),
            payouts: Default::default(),
            failures: 0,
        }
    }

    /// What a malicious party can ask. Its tokens are good as long as their payments are out.
    fn questions(&self, role: Role) -> Vec<u32> {
        let core = &self.deal.core;
        let (cid, slot) = (core.cid(), Slot::default());
        let promises = self.cast.promised(core);
        let ours = promises[usize::from(role.number())].promise.id();
        let request = |question: Signed, token: &[u8]| {
            let mut promises = promises.to_vec();
            promises[usize::from(role.number())].token = token.to_vec();
            let (proof, payout) = (Vec::new(), Vec::new());
            let key_sets = self.cast.key_sets();
            let request = Request { core: core.clone(), key_sets, promises, question, proof, payout };
            self.requests.number(request.to_bytes())
        };
        let mut all = vec![
            request(self.cast.say(role, &Inquiry { cid, slot, role }, 0), b""),
            request(self.cast.say(role, &Abort { cid, slot, promise: ours }, 0), b""),
        ];
        for number in [0, 1] {
            let token = token(role, number);
            let deposit = Deposit { cid, role, token: token_hash(&token) };
            all.push(request(self.cast.say(role, &deposit, 0), &token));
        }
        all
    }

    fn machine(&self, state: &State, party: usize) -> Arc<Ix> {
        self.machines.thing(state.machines[party])
    }

    /// How the run of an honest party has ended, if it has.
    pub fn ending(&self, state: &State, party: usize) -> Option<Ending> {
        if state.machines[party] == NONE { None } else { self.machine(state, party).ending() }
    }

    /// The tick of a party's own clock.
    fn clock(state: &State, party: usize) -> u8 {
        state.tick + state.skew[party]
    }

    fn arbiters_time(state: &State) -> Time {
        moment(state.tick + state.skew[2])
    }

    fn party_actions(&self, state: &State, party: usize, actions: &mut Vec<Action>) {
        let machine = self.machine(state, party);
        if machine.state().name() == "ready" && party == 0 {
            actions.push(Action::Begin);
        }
        if state.drafts[party] != NONE {
            actions.push(Action::Sign { party });
        }
        // Who has paid gives up by its patience.
        if !state.gave_up[party] && !state.patient[party] && machine.ending().is_none() {
            actions.push(Action::GiveUp { party });
        }
        if state.patient[party] {
            actions.push(Action::Fire { party, timer: PATIENCE });
        }
        for (timer, due) in state.timers[party].iter().enumerate() {
            if due.is_some_and(|due| Self::clock(state, party) >= due) {
                actions.push(Action::Fire { party, timer });
            }
        }
        for message in state.sent[1 - party].iter().filter(|message| !state.taken[party].has(*message)) {
            actions.push(Action::Deliver { to: party, message });
        }
        if state.asked[party] != NONE {
            if self.can_be_heard(state, party) {
                actions.push(Action::Operate { party });
            }
            if state.abandoned[party] {
                actions.push(Action::Drop { party });
            }
        }
    }

    fn arbiter_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for party in 0..2 {
            let asked = state.requests[party].into_iter().filter(|request| *request != NONE);
            let heard = asked.flat_map(|request| [true, false].map(|arrives| Action::Hear { party, request, arrives }));
            actions.extend(heard);
            if matches!(state.taking[party], Some((_, None))) {
                actions.push(Action::Take { party });
            }
            for attempt in (0..PAYOUTS).filter(|attempt| state.payouts[party][*attempt].0 == Payout::Begun) {
                actions.push(Action::Pay { party, attempt });
                if state.failures < FAILURES {
                    actions.push(Action::Fail { party, attempt });
                }
            }
        }
    }

    fn hostile_actions(&self, state: &State, villain: usize, actions: &mut Vec<Action>) {
        for number in 0..PAYMENTS {
            match state.deposits[villain][number] {
                // A second one is made where the first was taken, to have the arbiter take both.
                Lot::Absent if number == 0 || state.deposits[villain][0] == Lot::Taken => {
                    actions.push(Action::Deposit { number });
                }
                Lot::Out => actions.push(Action::Back { number }),
                Lot::Absent | Lot::Taken | Lot::Back => {}
            }
        }
        let out = (0..PAYOUTS).filter(|attempt| state.payouts[villain][*attempt].0 == Payout::Out);
        actions.extend(out.map(|attempt| Action::Collect { attempt }));
        // Its questions name the other one's promise.
        let promised = state.sent[1 - villain].iter().any(|message| self.is_promise(message));
        if promised {
            let heard = |request: &u32| Action::Hear { party: villain, request: *request, arrives: false };
            actions.extend(self.lies.iter().map(heard));
        }
    }

    fn is_promise(&self, message: u32) -> bool {
        matches!(&*self.inputs.thing(message), Input::Message(bytes) if matches!(Message::from_bytes(bytes), Ok(Message::Promise(_))))
    }

    /// A payer's issuer gives nothing back before the date of its payment, and says that it was taken as soon as it was.
    fn can_be_heard(&self, state: &State, party: usize) -> bool {
        match self.operations.thing(state.asked[party]).task {
            Task::Reclaim(_) => state.deposits[party][0] != Lot::Out || state.tick > HANDS_NOT_AFTER,
            _ => true,
        }
    }

    /// Does what a party has asked its issuer.
    fn operate(&self, state: &mut State, party: usize) -> Option<()> {
        let operation = self.operations.thing(state.asked[party]);
        let done = |moved: &str, handover: Vec<u8>| {
            let nothing = Amount::parse("0.00 EUR").expect("an amount");
            Ok(Moved { moved: Amount::parse(moved).expect("an amount"), fee: nothing, handover })
        };
        let refused = Err(Failure::unmoved(Fault::PeerRefused, "refused"));
        let result = match &operation.task {
            Task::Pay { .. } => {
                state.deposits[party][0] = Lot::Out;
                done("1.00 EUR", token(ROLES[party], 0))
            }
            Task::Reclaim(_) => match &mut state.deposits[party][0] {
                Lot::Taken => done("0.00 EUR", b"paid".to_vec()),
                Lot::Absent => refused,
                lot => {
                    *lot = Lot::Back;
                    done("1.00 EUR", Vec::new())
                }
            },
            Task::Receive { request, token } => {
                let back = self.legs()[party].back == *request;
                let attempt = usize::from(*token.last()?);
                match state.payouts[party].get_mut(attempt).filter(|payout| **payout == (Payout::Out, back)) {
                    Some(payout) => {
                        payout.0 = Payout::Taken;
                        done("1.00 EUR", Vec::new())
                    }
                    None => refused,
                }
            }
            other => panic!("nobody asks an issuer here to {}", other.verb()),
        };
        self.answer_operation(state, party, result)
    }

    fn answer_operation(&self, state: &mut State, party: usize, result: Result<Moved, Failure>) -> Option<()> {
        let id = self.operations.thing(state.asked[party]).id;
        (state.asked[party], state.abandoned[party]) = (NONE, false);
        self.take(state, party, Input::Operated(Answer { id, result }.to_bytes()))
    }

    fn legs(&self) -> [Handed; 2] {
        let legs = Leg::of(&self.deal.core).expect("the contract is well-formed");
        legs.map(|leg| leg.handed().expect("both go through the arbiter's hands").clone())
    }

    fn case(&self, request: u32) -> Option<Arc<Case>> {
        self.cases.get(request, || {
            let request = Request::from_bytes(&self.requests.thing(request)).expect("a request");
            self.deal.court(&self.cast).check_hands(&request).ok().map(Arc::new)
        })
    }

    /// The arbiter brings its record up to what its operations came to.
    fn look(&self, state: &mut State) {
        for (party, role) in ROLES.into_iter().enumerate() {
            if let Some((_, Some(good))) = state.taking[party] {
                state.taking[party] = None;
                let event = if good { Event::Taken(role) } else { Event::Refused(role) };
                self.happens(state, event);
            }
            let last = state.payouts[party].iter().rposition(|payout| payout.0 != Payout::Absent);
            if last.is_some_and(|last| state.payouts[party][last].0 == Payout::Failed) {
                self.happens(state, Event::Unpaid(role));
            }
        }
    }

    /// The arbiter hears a question, does what follows from it, and answers unless the answer is to wait.
    fn hear(&self, state: &mut State, party: usize, request: u32) -> Option<u32> {
        let case = self.case(request).expect("whoever asks can sign what it asks");
        let (me, now) = (self.cast.arbiter.key_set(), Self::arbiters_time(state));
        let sign = |draft| self.cast.arbiter.sign(draft).expect("the arbiter signs its own drafts");
        if state.hands == NONE {
            if now > self.deal.core.terms.deadlines.not_after {
                let statement = Some(sign(case.unused(me, moment(0))));
                return Some(self.said(&case, Vec::new(), Vec::new(), statement, Vec::new()));
            }
            state.hands = self.hands.number(Hands::new([vec![b'd', 20], vec![b'd', 21]], now));
        }
        self.look(state);
        self.happens(state, Event::Asked(case.by(), case.asked().clone()));
        let hands = self.hands.thing(state.hands);
        let last = state.payouts[party].iter().rposition(|payout| payout.0 != Payout::Absent);
        let token = match last.filter(|_| hands.is_due(case.by())) {
            // What was paid stays paid.
            Some(attempt) if matches!(state.payouts[party][attempt].0, Payout::Out | Payout::Taken) => {
                vec![b'p', u8::try_from(party).ok()?, u8::try_from(attempt).ok()?]
            }
            Some(_) => return None,
            None => Vec::new(),
        };
        if hands.is_awaited(case.by(), case.asked()) {
            return None;
        }
        let said = self.answers.get((request, state.hands, token.clone()), || {
            let requests = ROLES.map(|owner| sign(case.request(&hands, owner, me))).to_vec();
            let receipts = ROLES.iter().filter_map(|owner| case.receipt(&hands, *owner, me)).map(sign).collect();
            let verdict = hands.outcome.map(|outcome| self.verdict(outcome));
            self.said(&case, requests, receipts, verdict, token)
        });
        Some(said)
    }

    fn said(
        &self,
        case: &Case,
        requests: Vec<Signed>,
        receipts: Vec<Signed>,
        statement: Option<Signed>,
        token: Vec<u8>,
    ) -> u32 {
        let said = Said { requests, receipts, statement, log: None, token, question: case.question() };
        self.inputs.number(Input::ArbiterSays(said.to_bytes()))
    }

    /// The arbiter's verdict, as far as a party looks at it: with one question and one time for all orders of events.
    fn verdict(&self, outcome: Outcome) -> Signed {
        let inquiry = self.questions(Role::ORIGINATOR)[0];
        let case = self.case(inquiry).expect("an honest party asks it");
        let hands = Hands::new([Vec::new(), Vec::new()], moment(0));
        let ruling = Ruling { hands, outcome: Some(outcome), begin: Vec::new() };
        let draft = case.verdict(&ruling, self.cast.arbiter.key_set(), 0).expect("it decides the contract");
        self.cast.arbiter.sign(draft).expect("the arbiter signs its own drafts")
    }

    /// The arbiter rules, and begins what follows.
    fn happens(&self, state: &mut State, event: Event) {
        let now = Self::arbiters_time(state);
        let hands = self.hands.thing(state.hands);
        let ruling = rule(&hands, event, self.deal.core.terms.deadlines.not_after, now);
        // When it was, and how often something was refused, moves nothing by itself.
        let holdings = ruling.hands.holdings.map(|holding| match holding {
            Holding::Taken(_) => Holding::Taken(moment(0)),
            Holding::Refused(token, _) => Holding::Refused(token, 0),
            other => other,
        });
        let kept = Hands { time: moment(0), holdings, ..ruling.hands };
        match ruling.outcome {
            Some(Outcome::Resolved) => {
                (state.verdicts[0], state.late) = (true, state.tick + state.skew[2] > HANDS_NOT_AFTER);
            }
            Some(_) => state.verdicts[1] = true,
            None => {}
        }
        for duty in ruling.begin {
            match duty {
                Duty::Take(by, token) => {
                    let number = token.last().copied().unwrap_or(u8::MAX);
                    state.taking[usize::from(by.number())] = Some((number, None));
                }
                Duty::Pay(to) => {
                    let payouts = &mut state.payouts[usize::from(to.number())];
                    let back = kept.outcome == Some(Outcome::Aborted);
                    if let Some(payout) = payouts.iter_mut().find(|payout| payout.0 == Payout::Absent) {
                        *payout = (Payout::Begun, back);
                    }
                }
            }
        }
        state.hands = self.hands.number(kept);
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
            self.perform(state, party, effect);
        }
        Some(())
    }

    fn perform(&self, state: &mut State, party: usize, effect: &Effect) {
        let timer = |name: &str| TIMERS.iter().position(|known| *known == name).expect("a timer of the run");
        match effect {
            Effect::Send(bytes) => {
                let message = self.inputs.number(Input::Message(bytes.clone()));
                state.sent[party].add(message);
            }
            Effect::Sign { draft, consent: Consent::Ask } => state.drafts[party] = self.drafts.number(draft.clone()),
            Effect::Sign { draft, .. } => {
                let signed = self.cast.hand(ROLES[party]).sign(draft.clone()).expect("a party signs its own drafts");
                self.take(state, party, Input::Signed(signed)).expect("it is what was asked for");
            }
            Effect::Operate(bytes) => {
                assert_eq!(state.asked[party], NONE, "one thing at a time is asked of an issuer");
                let operation = Operation::from_bytes(bytes).expect("an operation");
                state.asked[party] = self.operations.number(operation);
            }
            Effect::Abandon(_) => state.abandoned[party] = state.asked[party] != NONE,
            Effect::AskArbiter(bytes) => {
                let request = self.requests.number(bytes.clone());
                let [last, _] = state.requests[party];
                if last != request {
                    state.requests[party] = [request, last];
                }
            }
            Effect::SetTimer { name, .. } if timer(name) == PATIENCE => state.patient[party] = true,
            Effect::CancelTimer(name) if timer(name) == PATIENCE => state.patient[party] = false,
            Effect::SetTimer { name, due } => {
                let due = Some(tick(*due)).filter(|due| *due <= LAST + 1);
                state.timers[party][timer(name)] = due;
            }
            Effect::CancelTimer(name) => state.timers[party][timer(name)] = None,
            Effect::Once(fact) => assert_eq!(fact.space, RUN_SPACE),
            Effect::Ended(_) => state.drafts[party] = NONE,
            Effect::Examine(_) | Effect::Submit(_) => panic!("there is only money here"),
            Effect::Keep { .. } => {}
        }
    }
}

/// The token of a party's payment to the arbiter; there is none behind a number that is too large.
fn token(role: Role, number: u8) -> Vec<u8> {
    vec![b't', role.number(), number]
}

fn has(state: &State, party: usize, back: bool) -> bool {
    state.payouts[party].contains(&(Payout::Taken, back))
}

/// Whether a party's own money is with it: it never left, came back, or the arbiter has paid it back.
fn keeps_its_own(state: &State, party: usize) -> bool {
    matches!(state.deposits[party][0], Lot::Absent | Lot::Back) || has(state, party, true)
}

/// Its money is with the other one only if the other's is with it, or is the arbiter's to give to nobody else.
fn nobody_is_cheated(world: &World, state: &State) -> bool {
    world.honest().all(|party| {
        let lost = has(state, 1 - party, false);
        let deposited = state.deposits[1 - party].contains(&Lot::Taken);
        let to_come = has(state, party, false) || deposited && state.verdicts == [true, false];
        let ended = match world.ending(state, party) {
            Some(Ending::Success) => has(state, party, false),
            Some(_) => keeps_its_own(state, party),
            None => true,
        };
        (!lost || to_come) && ended
    })
}

/// Where both are honest neither succeeds alone.
fn agreement(world: &World, state: &State) -> bool {
    let [first, second] = [0, 1].map(|party| world.ending(state, party));
    let is = |ending: Option<Ending>| ending == Some(Ending::Success);
    world.villain().is_some()
        || !(is(first) && second.is_some() && !is(second) || is(second) && first.is_some() && !is(first))
}

/// Of each party's money the arbiter has paid out, or begun to, no more than it was paid. It owes nothing when all is over, beyond what somebody has paid it twice.
fn money_is_kept(_: &World, state: &State) -> bool {
    (0..2).all(|owner| {
        let paid_in = state.deposits[owner].iter().filter(|lot| **lot == Lot::Taken).count();
        let lives = |payout: &&(Payout, bool)| !matches!(payout.0, Payout::Absent | Payout::Failed);
        let back = state.payouts[owner].iter().filter(lives).filter(|payout| payout.1).count();
        let onward = state.payouts[1 - owner].iter().filter(lives).filter(|payout| !payout.1).count();
        back + onward <= paid_in
    })
}

/// Success is the other's money; everything else leaves one's own. Nothing is ever owed and not paid.
fn endings_are_true(world: &World, state: &State) -> bool {
    world.honest().all(|party| match world.ending(state, party) {
        Some(Ending::Lapsed) => state.deposits[party][0] == Lot::Absent,
        Some(Ending::Unsettled) => false,
        _ => true,
    })
}

fn what_is_stored(world: &World, state: &State) -> bool {
    let [machines, hands] = &world.read;
    let is_read = |number: u32| {
        machines.get(number, || {
            let machine = world.machines.thing(number);
            Ix::from_bytes(&machine.to_bytes()).as_ref() == Ok(&*machine)
        })
    };
    let is_kept = |number: u32| {
        hands.get(number, || {
            let hands = world.hands.thing(number);
            Hands::from_bytes(&hands.to_bytes()).as_ref() == Ok(&*hands)
        })
    };
    world.honest().all(|party| is_read(state.machines[party])) && (state.hands == NONE || is_kept(state.hands))
}

/// When all dates are long past, whoever has paid has ended, or somebody honest can still do something about it.
fn nobody_is_stuck(world: &World, state: &State) -> bool {
    if state.tick < LAST || world.honest().all(|party| world.ending(state, party).is_some()) {
        return true;
    }
    let mut actions = Vec::new();
    world.honest().for_each(|party| world.party_actions(state, party, &mut actions));
    world.arbiter_actions(state, &mut actions);
    let goes_on = |action: Action| {
        let moves = !matches!(action, Action::GiveUp { .. } | Action::Begin);
        moves && world.next_state(state, action).is_some()
    };
    let unpaid = |party: usize| state.deposits[party][0] == Lot::Absent && state.asked[party] == NONE;
    actions.into_iter().any(goes_on)
        || world.honest().all(|party| world.ending(state, party).is_some() || unpaid(party))
}

fn in_time(_: &World, state: &State) -> bool {
    !state.late
}
