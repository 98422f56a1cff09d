//! The model checker's world for contracts that many parties sign: the real machines and the real rules, every order of events.
//!
//! The network is the set of everything that honest parties ever sent; whatever is in it may be delivered at any time, any number of
//! times, or never. The malicious parties are one coalition without a state: each of their signatures on each round may be delivered at any
//! time, and each of them asks the arbiter in every round for which the honest signatures of the round before are out. Giving up is
//! possible in every state, which stands for every timer. The clock is two instants: the last step of each party and the arbiter's
//! `not after`, which are passed at any time that the contract's Δ and σ allow.
//!
//! With [`Grain::Fine`] each message, each signature and each answer is an event of its own. With [`Grain::Coarse`] a party takes all
//! signatures of its round at once, when they are all there, and its key holder and the arbiter answer at once. That leaves out nothing that
//! others can see: a party shows what it does by the signatures that it sends and by what it asks, and both depend on whole rounds only.
//!
//! Not seen here: crashes (that a step is stored before it acts is checked for all engines in the world of two parties) and two contracts.
//!
//! Source: design/exchange.md §§3.3, 14.

use std::collections::BTreeMap;
use std::sync::Arc;

use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{ArbiterRef, Core, Deadlines, PartyRef, Profile, Terms};
use semper_core::cose::{Draft, Signed, Statement};
use semper_core::machine::{Env, Machine};
use semper_core::party::{KeySet, Role, Suite};
use semper_core::time::Time;
use semper_exchange::arbiter::many::{Answer, Ask, Case, Next, Record, Request, Ruling, decide, follows, rule};
use semper_exchange::arbiter::request::Court;
use semper_exchange::arbiter::rules_hash;
use semper_exchange::arbiter::verdict::{Outcome, Verdict};
use semper_exchange::cn::{Cn, Message, Round, Run, State as Place, rounds};
use semper_support::crypto::Signer;
use semper_support::engine::{Consent, Effect, Ending, Input};
use stateright::{Model, Property};

use super::table::{Memo, Table};
use crate::scenario::{DELTA, NOT_AFTER, PATIENCE, SIGMA, text};
use crate::symbolic::{Hand, Oracle};

const EARLY: Time = Time::from_unix(1000);
/// The number that stands for nothing.
const NONE: u32 = u32::MAX;
/// Most parties in a model.
const PARTIES_MAX: usize = 6;

/// What can happen in a configuration of the model.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// How many sign.
    pub parties: u8,
    /// Who of them is honest, by the numbers of their roles.
    pub honest: &'static [u8],
    /// How finely events are told apart.
    pub grain: Grain,
    /// Whether deadlines are passed.
    pub deadlines: bool,
    /// States that must be reached: names of `sometimes` properties. A model that does not reach them shows nothing.
    pub reaches: &'static [&'static str],
}

/// How finely events are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Each message is an event.
    Fine,
    /// Each round of a party is an event.
    Coarse,
}

/// The signers, their arbiter and their adversary.
pub struct World {
    setup: Setup,
    oracle: Oracle,
    hands: Vec<Hand>,
    arbiter: Hand,
    core: Core,
    machines: Table<Cn>,
    inputs: Table<Input>,
    drafts: Table<Draft>,
    requests: Table<Request>,
    records: Table<Record>,
    answers: Table<Answer>,
    steps: Memo<(u32, u32, bool), Option<Planned>>,
    ruled: Memo<(u32, u32, [u32; PARTIES_MAX], bool), Option<Ruled>>,
    cases: Memo<u32, Option<Arc<Case>>>,
    lies: Memo<(usize, u8), u32>,
    sound: Memo<u32, bool>,
    heard: Memo<(u32, u32), bool>,
    /// The input that is a party's signature on a round: by party, then by round from 1.
    signatures: Vec<Vec<u32>>,
}

/// One state of the world. Numbers refer to the tables of [`World`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The machines of the honest parties.
    machines: [u32; PARTIES_MAX],
    /// What the key holder was asked.
    drafts: [u32; PARTIES_MAX],
    /// The highest round that each honest party has sent; all before it were sent as well.
    sent: [u8; PARTIES_MAX],
    /// What honest parties have asked the arbiter.
    requests: [u32; PARTIES_MAX],
    /// What honest parties were answered: in their hands as soon as it is delivered.
    replies: [u32; PARTIES_MAX],
    /// The arbiter's record.
    record: u32,
    /// The arbiter's answers, by cell.
    cells: [u32; PARTIES_MAX],
    /// Whether a cell was written again.
    rewritten: bool,
    /// Whose clocks have passed the last step.
    late: [bool; PARTIES_MAX],
    /// Whether the arbiter's clock has passed `not after`.
    closed: bool,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Action {
    /// The originator's user begins.
    Begin,
    /// A party receives somebody's signature on a round.
    Deliver { party: usize, from: usize, round: u8 },
    /// A party receives all signatures of its round that it lacks.
    Fill { party: usize },
    /// A party's key holder signs.
    Sign { party: usize },
    /// A party's user declines.
    Decline { party: usize },
    /// A party hears that somebody declines.
    Declined { party: usize },
    /// A party gives up.
    GiveUp { party: usize },
    /// The arbiter takes the request of an honest party.
    Take { party: usize },
    /// The arbiter takes the request that a malicious party makes in a round.
    Lie { party: usize, round: u8 },
    /// An honest party hears the arbiter's answer.
    Hear { party: usize },
    /// A party's clock passes the last step.
    Late { party: usize },
    /// The arbiter's clock passes `not after`.
    Close,
}

/// A step that a machine would take.
#[derive(Clone, Copy, Debug)]
struct Planned {
    machine: u32,
    draft: Option<(u32, Consent)>,
    sent: u8,
    request: u32,
}

/// What the arbiter does about a request that changes anything or answers anybody.
#[derive(Clone, Copy, Debug)]
struct Ruled {
    answer: u32,
    /// The cell that is written and the new record, if one is.
    written: Option<(usize, u32)>,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut machines = [NONE; PARTIES_MAX];
        for &party in self.setup.honest {
            machines[usize::from(party)] = self.machines.number(Cn::new(self.run(party)));
        }
        let nothing = [NONE; PARTIES_MAX];
        vec![State {
            machines,
            drafts: nothing,
            sent: [0; PARTIES_MAX],
            requests: nothing,
            replies: nothing,
            record: self.records.number(Record::default()),
            cells: nothing,
            rewritten: false,
            late: [false; PARTIES_MAX],
            closed: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for party in self.honest() {
            self.party_actions(state, party, actions);
        }
        for party in self.malicious() {
            let shown = self.honest().map(|honest| state.sent[honest]).min().unwrap_or(u8::MAX);
            let rounds = (1..=self.rounds()).filter(|round| *round - 1 <= shown);
            actions.extend(rounds.map(|round| Action::Lie { party, round }));
        }
        if self.may_close(state) {
            actions.push(Action::Close);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin => self.take(&mut state, 0, Input::Begin)?,
            Action::Deliver { party, from, round } => {
                self.take_numbered(&mut state, party, self.signature(from, round))?;
            }
            Action::Fill { party } => {
                let Place::AwaitRound { round, .. } = *self.machine(last, party).state() else { return None };
                for role in self.machine(last, party).missing() {
                    self.take_numbered(&mut state, party, self.signature(usize::from(role.number()), round))?;
                }
            }
            Action::Sign { party } => {
                let draft = self.drafts.thing(last.drafts[party]);
                let signed = self.hands[party].sign((*draft).clone()).expect("a party signs its own drafts");
                state.drafts[party] = NONE;
                self.take(&mut state, party, Input::Signed(signed))?;
            }
            Action::Decline { party } => {
                let statement = self.drafts.thing(last.drafts[party]).id();
                state.drafts[party] = NONE;
                self.take(&mut state, party, Input::Declined { statement })?;
            }
            Action::Declined { party } => {
                self.take(&mut state, party, Input::Message(Message::Decline(String::new()).to_bytes()))?;
            }
            Action::GiveUp { party } => self.take(&mut state, party, Input::GiveUp)?,
            Action::Take { party } => {
                let answer = self.rule(&mut state, last.requests[party])?;
                state.replies[party] = answer;
                if self.setup.grain == Grain::Coarse {
                    self.hear(&mut state, party)?;
                }
            }
            Action::Lie { party, round } => {
                self.rule(&mut state, self.lie(party, round))?;
            }
            Action::Hear { party } => self.hear(&mut state, party)?,
            Action::Late { party } => state.late[party] = true,
            Action::Close => state.closed = true,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = vec![
            Property::always("S1 a cell is written once and says what the record says", write_once),
            Property::always("S2 nobody holds a contract that an honest party was let off", nobody_is_cheated),
            Property::always("S3 honest parties agree", agreement),
            Property::always("S4 a contract has every honest party's first signature", everybody_agreed),
            Property::always("S7 every verdict follows from what it rests on", verdicts_follow),
            Property::always("S8 whoever waits for the arbiter has asked, and everybody can end", nobody_is_stuck),
            Property::always("S13 whoever was refused has not signed the last round", refused_in_time),
        ];
        for name in self.setup.reaches {
            all.push(Property::sometimes(
                name,
                *SOMETIMES.iter().find(|(n, _)| n == name).map(|(_, f)| f).expect(name),
            ));
        }
        all
    }

    fn format_action(&self, action: &Action) -> String {
        match *action {
            Action::Begin => "P0 begins".to_owned(),
            Action::Deliver { party, from, round } => format!("P{party} receives m[{round},{from}]"),
            Action::Fill { party } => format!("P{party} receives the rest of its round"),
            Action::Sign { party } => format!("P{party}'s key holder signs"),
            Action::Decline { party } => format!("P{party}'s user declines"),
            Action::Declined { party } => format!("P{party} hears that somebody declines"),
            Action::GiveUp { party } => format!("P{party} gives up"),
            Action::Take { party } => format!("the arbiter takes the request of P{party}"),
            Action::Lie { party, round } => {
                format!("the arbiter takes a request of malicious P{party} in round {round}")
            }
            Action::Hear { party } => format!("P{party} hears the arbiter"),
            Action::Late { party } => format!("P{party}'s clock passes the last step"),
            Action::Close => "the arbiter's clock passes not-after".to_owned(),
        }
    }
}

impl super::search::World for World {
    fn describe_state(&self, state: &State) -> String {
        let party = |party| {
            let machine = self.machine(state, party);
            format!("P{party}: {} {:?}, sent {}", machine.state().name(), machine.ending(), state.sent[party])
        };
        let parties: Vec<_> = self.honest().map(party).collect();
        format!("{}; record: {:?}", parties.join("; "), self.records.thing(state.record))
    }
}

type Check = fn(&World, &State) -> bool;

/// States that a model may be required to reach.
const SOMETIMES: [(&str, Check); 5] = [
    ("all succeed without the arbiter", |world, state| {
        world.records.thing(state.record).resolved.is_none()
            && world.honest().all(|party| world.ending(state, party) == Some(Ending::Success))
    }),
    ("resolved", |world, state| {
        world.honest().any(|party| state.replies[party] != NONE && world.ending(state, party) == Some(Ending::Success))
    }),
    ("aborted", |world, state| world.honest().any(|party| world.ending(state, party) == Some(Ending::Aborted))),
    ("overturned", |world, state| {
        let record = world.records.thing(state.record);
        record.resolved.is_some() && !record.refused.is_empty()
    }),
    ("unused", |world, state| {
        state.closed && world.honest().any(|party| world.ending(state, party) == Some(Ending::Lapsed))
    }),
];

impl World {
    /// A world in which one contract is signed.
    pub fn new(setup: Setup) -> Self {
        assert!(usize::from(setup.parties) <= PARTIES_MAX, "a model has at most {PARTIES_MAX} parties");
        let oracle = Oracle::new(*b"known to the verifier alone ever");
        let hands: Vec<_> = (0..setup.parties).map(|number| oracle.hand(Suite::Ed25519, number + 1)).collect();
        let arbiter = oracle.hand(Suite::Ed25519, 100);
        let key_sets: Vec<_> = hands.iter().map(|hand| hand.key_set().clone()).collect();
        let core = contract(&key_sets, arbiter.key_set());
        let mut world = Self {
            setup,
            oracle,
            hands,
            arbiter,
            core,
            machines: Table::default(),
            inputs: Table::default(),
            drafts: Table::default(),
            requests: Table::default(),
            records: Table::default(),
            answers: Table::default(),
            steps: Memo::default(),
            ruled: Memo::default(),
            cases: Memo::default(),
            lies: Memo::default(),
            heard: Memo::default(),
            sound: Memo::default(),
            signatures: Vec::new(),
        };
        let input = |party: usize, round| world.inputs.number(Input::Message(world.signed(party, round).to_bytes()));
        let signatures = |party| (1..=world.rounds()).map(|round| input(party, round)).collect();
        let signatures = (0..world.hands.len()).map(signatures).collect();
        world.signatures = signatures;
        world
    }

    fn honest(&self) -> impl Iterator<Item = usize> + use<> {
        self.setup.honest.iter().map(|party| usize::from(*party))
    }

    fn malicious(&self) -> impl Iterator<Item = usize> + use<> {
        let Setup { parties, honest, .. } = self.setup;
        (0..parties).filter(|party| !honest.contains(party)).map(usize::from)
    }

    fn rounds(&self) -> u8 {
        rounds(self.hands.len())
    }

    fn run(&self, party: u8) -> Run {
        let me = self.hands[usize::from(party)].key_set();
        Run::new(self.core.clone(), me, self.key_sets(), self.arbiter.key_set().clone(), PATIENCE)
            .expect("the contract is between these parties")
    }

    fn key_sets(&self) -> Vec<KeySet> {
        self.hands.iter().map(|hand| hand.key_set().clone()).collect()
    }

    fn say(&self, party: usize, statement: &impl Statement) -> Signed {
        let hand = &self.hands[party];
        let draft = statement.draft(hand.key_set().suite(), hand.key_set().id());
        hand.sign(draft).expect("the draft names this signer")
    }

    fn role(party: usize) -> Role {
        Role::numbered(u8::try_from(party).expect("a model has few parties"))
    }

    fn signed(&self, party: usize, round: u8) -> Message {
        Message::Round(self.say(party, &Round { cid: self.core.cid(), role: Self::role(party), round }))
    }

    fn signature(&self, party: usize, round: u8) -> u32 {
        self.signatures[party][usize::from(round) - 1]
    }

    /// Whether somebody's signature on a round can be delivered.
    fn is_out(&self, state: &State, from: usize, round: u8) -> bool {
        state.machines[from] == NONE || state.sent[from] >= round
    }

    fn machine(&self, state: &State, party: usize) -> Arc<Cn> {
        self.machines.thing(state.machines[party])
    }

    /// How the run of an honest party has ended, if it has.
    pub fn ending(&self, state: &State, party: usize) -> Option<Ending> {
        self.machine(state, party).ending()
    }

    fn party_actions(&self, state: &State, party: usize, actions: &mut Vec<Action>) {
        let machine = self.machine(state, party);
        if self.setup.deadlines && !state.late[party] {
            actions.push(Action::Late { party });
        }
        if state.replies[party] != NONE && matches!(machine.state(), Place::AwaitVerdict { .. }) {
            actions.push(Action::Hear { party });
        }
        if matches!(machine.state(), Place::AwaitVerdict { .. }) && state.replies[party] == NONE {
            actions.push(Action::Take { party });
        }
        if machine.ending().is_some() {
            return;
        }
        actions.push(Action::GiveUp { party });
        if state.drafts[party] != NONE {
            actions.push(Action::Sign { party });
            if matches!(machine.state(), Place::AwaitConsent { .. }) {
                actions.push(Action::Decline { party });
            }
        }
        let others = (0..self.hands.len()).filter(|from| *from != party);
        match (self.setup.grain, machine.state()) {
            (_, Place::Ready { .. }) if party == 0 => actions.push(Action::Begin),
            (Grain::Fine, _) => {
                actions.push(Action::Declined { party });
                let all = others.flat_map(|from| (1..=self.rounds()).map(move |round| (from, round)));
                let out = all.filter(|(from, round)| self.is_out(state, *from, *round));
                actions.extend(out.map(|(from, round)| Action::Deliver { party, from, round }));
            }
            (Grain::Coarse, Place::Ready { .. }) if self.is_out(state, 0, 1) => {
                actions.push(Action::Deliver { party, from: 0, round: 1 });
            }
            (Grain::Coarse, Place::AwaitRound { round, .. })
                if others.clone().all(|from| self.is_out(state, from, *round)) =>
            {
                actions.push(Action::Fill { party });
            }
            _ => {}
        }
    }

    fn take(&self, state: &mut State, party: usize, input: Input) -> Option<()> {
        self.take_numbered(state, party, self.inputs.number(input))
    }

    /// A party takes an input, if its machine accepts it.
    fn take_numbered(&self, state: &mut State, party: usize, input: u32) -> Option<()> {
        let key = (state.machines[party], input, state.late[party]);
        let planned = self.steps.get(key, || self.plan(key))?;
        let Planned { machine, draft, sent, request } = planned;
        state.machines[party] = machine;
        state.sent[party] = state.sent[party].max(sent);
        if request != NONE {
            state.requests[party] = request;
        }
        let Some((draft, consent)) = draft else { return Some(()) };
        if self.setup.grain == Grain::Coarse && consent == Consent::Implied {
            state.drafts[party] = NONE;
            let draft = (*self.drafts.thing(draft)).clone();
            let signed = self.hands[party].sign(draft).expect("a party signs its own drafts");
            return self.take(state, party, Input::Signed(signed));
        }
        state.drafts[party] = draft;
        Some(())
    }

    fn plan(&self, (machine, input, late): (u32, u32, bool)) -> Option<Planned> {
        let machine = (*self.machines.thing(machine)).clone();
        let input = (*self.inputs.thing(input)).clone();
        let now = if late { NOT_AFTER } else { EARLY };
        let step = machine.handle(&Env { now, verify: &self.oracle }, input).ok()?;
        let mut planned = Planned { machine: NONE, draft: None, sent: 0, request: NONE };
        for effect in step.effects {
            match effect {
                Effect::Sign { draft, consent } => planned.draft = Some((self.drafts.number(draft), consent)),
                Effect::Send(bytes) => {
                    if let Ok(Message::Round(signed)) = Message::from_bytes(&bytes) {
                        planned.sent = Round::from_bytes(signed.payload()).expect("a machine signs rounds").round;
                    }
                }
                Effect::AskArbiter(bytes) => {
                    let request = Request::from_bytes(&bytes).expect("a machine makes well-formed requests");
                    planned.request = self.requests.number(request);
                }
                _ => {}
            }
        }
        planned.machine = self.machines.number(step.state);
        Some(planned)
    }

    fn hear(&self, state: &mut State, party: usize) -> Option<()> {
        let answer = self.answers.thing(state.replies[party]);
        self.take(state, party, Input::ArbiterSays(answer.to_bytes()))
    }

    /// The request that a malicious party makes in a round. The honest signatures of the round before are out.
    fn lie(&self, party: usize, round: u8) -> u32 {
        self.lies.get((party, round), || {
            let question = self.say(party, &Ask { cid: self.core.cid(), role: Self::role(party), round });
            self.requests.number(self.request(question, round))
        })
    }

    /// A request as the arbiter has checked it, if it is valid.
    fn case(&self, request: u32) -> Option<Arc<Case>> {
        self.cases.get(request, || self.court().check_many(&self.requests.thing(request)).ok().map(Arc::new))
    }

    fn request(&self, question: Signed, round: u8) -> Request {
        let signature = |party| match self.signed(party, round - 1) {
            Message::Round(signed) => Some(signed),
            Message::Decline(_) => None,
        };
        let sheet = if round == 1 { Vec::new() } else { (0..self.hands.len()).filter_map(signature).collect() };
        Request { core: self.core.clone(), key_sets: self.key_sets(), sheet, question }
    }

    /// The arbiter decides a request and stores what it decides; the number of its answer.
    fn rule(&self, state: &mut State, request: u32) -> Option<u32> {
        let key = (request, state.record, state.cells, state.closed);
        let Ruled { answer, written } = self.ruled.get(key, || self.consider(key))?;
        if let Some((cell, record)) = written {
            state.rewritten |= state.cells[cell] != NONE;
            state.cells[cell] = answer;
            state.record = record;
        }
        Some(answer)
    }

    fn consider(&self, (request, record, cells, closed): (u32, u32, [u32; PARTIES_MAX], bool)) -> Option<Ruled> {
        let (case, record) = (self.case(request)?, self.records.thing(record));
        let (me, request) = (self.arbiter.key_set(), self.requests.thing(request));
        let now = if closed { NOT_AFTER.after(SIGMA) } else { EARLY };
        let sign = |draft| self.arbiter.sign(draft).expect("the arbiter signs its own drafts");
        // The place in the log grows with the record; which it is matters to nobody here.
        let place = u64::try_from(record.refused.len()).unwrap_or(u64::MAX);
        Some(match decide(&record, &case, me, place, now) {
            Next::AnswerStored(role) => Ruled { answer: cells[usize::from(role.number())], written: None },
            Next::SignAndAnswer(draft) => {
                let answer = Answer { statement: sign(draft), sheet: Vec::new(), asks: Vec::new(), log: None };
                Ruled { answer: self.answers.number(answer), written: None }
            }
            Next::SignAndStore(draft, after) => {
                let resolved = after.resolved.is_some();
                let sheet = if resolved { request.sheet.clone() } else { Vec::new() };
                let asks = record.askers().map(|asker| {
                    let ask = Ask { cid: self.core.cid(), role: asker.role, round: asker.round };
                    self.say(usize::from(asker.role.number()), &ask)
                });
                let answer = Answer { statement: sign(draft), sheet, asks: asks.collect(), log: None };
                let cell = usize::from(case.by().number());
                Ruled { answer: self.answers.number(answer), written: Some((cell, self.records.number(after))) }
            }
        })
    }

    fn court(&self) -> Court<'_> {
        Court {
            verify: &self.oracle,
            kem: &self.oracle,
            arbiter: self.arbiter.key_set(),
            deposit_key: None,
            systems: &[],
        }
    }

    /// Whether the arbiter's clock can have passed `not after`. All honest clocks have then passed the last step (σ), at which whoever still
    /// waits asks, and what honest parties asked by then has arrived (Δ).
    fn may_close(&self, state: &State) -> bool {
        let safe = |party: usize| match self.machine(state, party).state() {
            Place::Ready { .. } | Place::AwaitConsent { .. } | Place::Ended { .. } => true,
            Place::AwaitSignature { .. } | Place::AwaitRound { .. } | Place::Asking { .. } => false,
            Place::AwaitVerdict { .. } => state.replies[party] != NONE,
        };
        self.setup.deadlines && !state.closed && self.honest().all(|party| state.late[party] && safe(party))
    }

    fn verdict(&self, answer: u32) -> Option<Verdict> {
        Verdict::from_bytes(self.answers.thing(answer).statement.payload()).ok()
    }
}

fn write_once(world: &World, state: &State) -> bool {
    let record = world.records.thing(state.record);
    let says = |role: Role| {
        let cell = state.cells[usize::from(role.number())];
        (cell != NONE).then(|| world.verdict(cell)).flatten().map(|verdict| verdict.outcome)
    };
    let cells = state.cells.iter().filter(|cell| **cell != NONE).count();
    !state.rewritten
        && cells == record.refused.len() + usize::from(record.resolved.is_some())
        && record.refused.keys().all(|role| says(*role) == Some(Outcome::Aborted))
        && record.resolved.is_none_or(|role| says(role) == Some(Outcome::Resolved))
}

/// Whether the coalition of everybody else can hold a contract: all signatures of the last round, or the arbiter's verdict.
fn is_contract(world: &World, state: &State) -> bool {
    world.records.thing(state.record).resolved.is_some()
        || world.honest().all(|party| state.sent[party] == world.rounds())
}

fn nobody_is_cheated(world: &World, state: &State) -> bool {
    let let_off = |party| matches!(world.ending(state, party), Some(Ending::Aborted | Ending::Lapsed));
    !world.honest().any(let_off) || !is_contract(world, state)
}

fn agreement(world: &World, state: &State) -> bool {
    let endings: Vec<_> = world.honest().filter_map(|party| world.ending(state, party)).collect();
    !endings.contains(&Ending::Success) || endings.iter().all(|ending| *ending == Ending::Success)
}

fn everybody_agreed(world: &World, state: &State) -> bool {
    let succeeded = world.honest().any(|party| world.ending(state, party) == Some(Ending::Success));
    !(succeeded || is_contract(world, state)) || world.honest().all(|party| state.sent[party] >= 1)
}

fn verdicts_follow(world: &World, state: &State) -> bool {
    state.cells.iter().filter(|cell| **cell != NONE).all(|cell| {
        world.sound.get(*cell, || {
            let Some(verdict) = world.verdict(*cell) else { return false };
            let shown = verdict.basis.len() - 1;
            let role = Role::numbered(u8::try_from(verdict.slot.0).unwrap_or(u8::MAX));
            let hand = &world.hands[usize::from(role.number())];
            let asked = |round: &u8| {
                let ask = Ask { cid: world.core.cid(), role, round: *round };
                ask.draft(hand.key_set().suite(), hand.key_set().id()).id() == verdict.basis[0]
            };
            let Some(round) = (1..=world.rounds()).find(asked) else { return false };
            (shown == 0) == (round == 1)
                && verdict.outcome == follows(verdict.prior.iter().map(|asker| asker.round), round)
        })
    })
}

fn nobody_is_stuck(world: &World, state: &State) -> bool {
    world.honest().all(|party| {
        let machine = world.machine(state, party);
        match machine.state() {
            Place::Ended { .. } => true,
            Place::AwaitVerdict { .. } => {
                let request = state.requests[party];
                request != NONE && world.heard.get((request, state.record), || world.is_heard(request, state.record))
            }
            Place::Asking { .. } => state.drafts[party] != NONE,
            _ => {
                let mut after = state.clone();
                let moved = world.take(&mut after, party, Input::GiveUp).is_some();
                moved && after.machines[party] != state.machines[party]
            }
        }
    })
}

impl World {
    /// Whether the arbiter has an answer to a request.
    fn is_heard(&self, request: u32, record: u32) -> bool {
        let record = self.records.thing(record);
        self.case(request).is_some_and(|case| match rule(&record, &case, EARLY) {
            Ruling::Stands(role) => record.refused.contains_key(&role) || record.resolved == Some(role),
            Ruling::Write(_) | Ruling::TooLate => true,
        })
    }
}

fn refused_in_time(world: &World, state: &State) -> bool {
    let aborted = |party: &usize| world.ending(state, *party) == Some(Ending::Aborted);
    world.honest().filter(aborted).all(|party| state.sent[party] < world.rounds())
}

/// A contract between these parties, in the order of their roles.
pub fn contract(key_sets: &[KeySet], arbiter: &KeySet) -> Core {
    let parties = key_sets.iter().enumerate();
    let parties = parties.map(|(number, key_set)| PartyRef { role: World::role(number), key_set: key_set.id() });
    Core {
        terms: Terms {
            profile: Profile::Cn,
            parties: parties.collect(),
            arbiter: Some(ArbiterRef {
                key_set: arbiter.id(),
                deposit_key: None,
                log: arbiter.id(),
                rules: rules_hash(),
            }),
            items: Vec::new(),
            deadlines: Deadlines {
                not_after: NOT_AFTER,
                complaints: None,
                refund_after: None,
                delta: DELTA,
                sigma: SIGMA,
            },
            text: text(),
            links: Vec::new(),
            nonce: [1; 32],
        },
        deposits: BTreeMap::new(),
    }
}
