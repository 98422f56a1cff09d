//! Certified mail to two recipients, B and C: every order of events where C is malicious, alone or together with the sender.
//!
//! What is new with several recipients is that runs share a contract, a promise, an arbiter and a letter. So everything that was said about one
//! part may be delivered in the other, and the arbiter be asked about the other with it. Steps are taken whole and nothing crashes: between
//! storing and acting a part is a run like any other, which `mod.rs` checks, as it does deadlines.
//!
//! The network is the set of everything that honest parties ever sent; whatever is in it may be delivered at any time to anybody. What is sealed
//! for B nobody else reads.

use std::fmt;
use std::sync::Arc;

use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{ArbiterRef, Core, Final, Item, ItemKind, PartyRef, Profile, Promise};
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::ids::{DealId, Slot, StatementId};
use semper_core::machine::{Env, Machine};
use semper_core::party::{KeySet, Role, Suite};
use semper_core::signature::verify;
use semper_core::time::Time;
use semper_exchange::arbiter::Cell as Decided;
use semper_exchange::arbiter::request::{Abort, Court, Request, Resolve};
use semper_exchange::arbiter::service::{Next, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Outcome, Verdict};
use semper_exchange::evidence::{self, Folder, Standing};
use semper_exchange::goods::{
    ArticleKey, Deposit, DepositKey, Descriptor, Disclosure, Encoder, Good, KeyAttestation, Seed, Side,
};
use semper_exchange::gx::{self, Completed, Examination, Examined, Found, Gx, Message, Own, Promised, Run, responder};
use semper_support::crypto::{Decapsulate as _, KemSuite, Signer};
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};
use stateright::{Model, Property};

use super::table::{Memo, Set, Table};
use crate::scenario::{Cast, PATIENCE};
use crate::symbolic::{DepositHand, Hand};

const NOW: Time = Time::from_unix(1000);
const PARTS: [Slot; 2] = [Slot(0), Slot(1)];
/// The number that stands for nothing.
const NONE: u32 = u32::MAX;
/// The runs of an honest sender, by part, and that of B after them.
const HONEST: [(Role, Slot); 3] =
    [(Role::ORIGINATOR, PARTS[0]), (Role::ORIGINATOR, PARTS[1]), (Role::RESPONDER, PARTS[0])];

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Whether the sender is honest. C never is.
    pub honest_sender: bool,
    /// States that must be reached.
    pub reaches: &'static [&'static str],
}

/// The letter, its parties and the adversary.
pub struct World {
    setup: Setup,
    /// Sender, B, C.
    hands: [Hand; 3],
    cast: Cast,
    core: Core,
    key: ArticleKey,
    seeds: [Seed; 2],
    deposit_key: DepositKey,
    vault: DepositHand,
    machines: Table<Gx>,
    inputs: Table<Input>,
    drafts: Table<Draft>,
    requests: Table<Vec<u8>>,
    kept: Table<(EvidenceKind, Vec<u8>)>,
    steps: Memo<(u32, u32), Option<Arc<Stepped>>>,
    rulings: Memo<(u32, u32), Option<(u32, u32)>>,
    receipts: Memo<(Set, Set), bool>,
    proofs: Memo<(u32, Set), bool>,
    rested: Memo<(u32, usize), Option<Outcome>>,
    contents: Memo<u32, Arc<(Vec<StatementId>, bool)>>,
    hostile: Vec<u32>,
    asks: Vec<Ask>,
}

/// A request that malicious parties make, once the promises that they need were said.
struct Ask {
    request: u32,
    needs: Vec<StatementId>,
}

/// One state of the world. Numbers refer to the tables of [`World`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    runs: Vec<Session>,
    network: Set,
    requests: Set,
    answers: Set,
    /// What the arbiter has decided about each part.
    cells: [u32; 2],
    /// What the sender's user has answered: one question for both parts.
    answer: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    machine: u32,
    asked: u32,
    kept: Set,
}

/// What a step leaves.
#[derive(Debug)]
struct Stepped {
    machine: u32,
    asked: u32,
    sent: Vec<u32>,
    requested: Vec<u32>,
    kept: Vec<u32>,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Action {
    /// The sender begins, with all recipients.
    Begin,
    /// A message or an answer of the arbiter is delivered.
    Deliver { run: usize, input: u32 },
    /// The user signs.
    Sign { run: usize },
    /// The user declines.
    Decline { run: usize },
    /// The user, or a timer, gives up.
    GiveUp { run: usize },
    /// The arbiter takes a request.
    Take { request: u32 },
}

type Check = fn(&World, &State) -> bool;

const ALWAYS: [(&str, Check); 6] = [
    ("S2 a receipt of B's is for what B can read", |world, state| {
        let refused = world.ending(state, Role::RESPONDER, PARTS[0]).is_some_and(|ending| ending != Ending::Success);
        !refused || !world.is_received(state)
    }),
    ("S2 whoever reads has signed", |world, state| {
        let unpaid = world.ending(state, Role::ORIGINATOR, PARTS[1]).is_some_and(|ending| ending != Ending::Success);
        !unpaid || !world.is_read_by_c(state)
    }),
    ("S3 sender and B agree", |world, state| {
        let ended = [Role::ORIGINATOR, Role::RESPONDER].map(|role| world.ending(state, role, PARTS[0]));
        match ended {
            [Some(first), Some(second)] => (first == Ending::Success) == (second == Ending::Success),
            _ => true,
        }
    }),
    ("S7 a verdict rests on the promises of its part", |world, state| {
        (0..PARTS.len()).all(|part| state.cells[part] == NONE || world.outcome(state, part).is_some())
    }),
    ("S8 an honest party can always end its run", World::can_end),
    ("S9 the archive proves the ending", World::proves),
];

const SOMETIMES: [(&str, Check); 5] = [
    ("both have signed without the arbiter", |world, state| {
        let success = |role, part| world.ending(state, role, part) == Some(Ending::Success);
        PARTS.into_iter().all(|part| success(Role::ORIGINATOR, part)) && state.answers.is_empty()
    }),
    ("B's part is resolved, C's aborted", |world, state| {
        [0, 1].map(|part| world.outcome(state, part)) == [Some(Outcome::Resolved), Some(Outcome::Aborted)]
    }),
    ("B's part is aborted, C's resolved", |world, state| {
        [0, 1].map(|part| world.outcome(state, part)) == [Some(Outcome::Aborted), Some(Outcome::Resolved)]
    }),
    ("B has refused, C reads", |world, state| {
        world.ending(state, Role::RESPONDER, PARTS[0]) == Some(Ending::Lapsed) && world.is_read_by_c(state)
    }),
    ("B has its receipt proven", |world, state| {
        world.ending(state, Role::RESPONDER, PARTS[0]) == Some(Ending::Success) && world.is_received(state)
    }),
];

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let session = |(role, part): &(Role, Slot)| Session {
            machine: self.machines.number(Gx::new(self.run(*role, *part))),
            asked: NONE,
            kept: Set::default(),
        };
        let runs = HONEST.iter().filter(|(role, _)| self.is_honest(*role)).map(session).collect();
        let (network, requests, answers) = (Set::default(), Set::default(), Set::default());
        vec![State { runs, network, requests, answers, cells: [NONE; 2], answer: None }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.runs.iter().any(|session| self.is_of_sender(session) && self.is_ready(session)) {
            actions.push(Action::Begin);
        }
        for (run, session) in state.runs.iter().enumerate() {
            let answer = state.answer.filter(|_| self.is_of_sender(session));
            if session.asked != NONE && answer != Some(false) {
                actions.push(Action::Sign { run });
            }
            if session.asked != NONE && answer != Some(true) {
                actions.push(Action::Decline { run });
            }
            let inputs = state.network.iter().chain(state.answers.iter()).chain(self.hostile.iter().copied());
            actions.extend(inputs.map(|input| Action::Deliver { run, input }));
            actions.push(Action::GiveUp { run });
        }
        actions.extend(state.requests.iter().map(|request| Action::Take { request }));
        let said = self.said(state);
        let able = self.asks.iter().filter(|ask| ask.needs.iter().all(|need| said.contains(need)));
        actions.extend(able.map(|ask| Action::Take { request: ask.request }));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin => {
                let begin = self.inputs.number(Input::Begin);
                let runs = (0..last.runs.len()).filter(|run| self.is_of_sender(&last.runs[*run]));
                runs.into_iter().try_for_each(|run| self.take(&mut state, run, begin))?;
            }
            Action::Deliver { run, input } => self.take(&mut state, run, input)?,
            Action::Sign { run } => {
                state.answer = state.answer.or(self.is_of_sender(&last.runs[run]).then_some(true));
                let draft = (*self.drafts.thing(last.runs[run].asked)).clone();
                let signed = self.sign(draft);
                self.take(&mut state, run, self.inputs.number(Input::Signed(signed)))?;
            }
            Action::Decline { run } => {
                state.answer = state.answer.or(self.is_of_sender(&last.runs[run]).then_some(false));
                let statement = self.drafts.thing(last.runs[run].asked).id();
                self.take(&mut state, run, self.inputs.number(Input::Declined { statement }))?;
            }
            Action::GiveUp { run } => self.take(&mut state, run, self.inputs.number(Input::GiveUp))?,
            Action::Take { request } => self.rule(&mut state, request)?,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = ALWAYS.into_iter().map(|(name, check)| Property::always(name, check));
        let sometimes = SOMETIMES.into_iter().filter(|(name, _)| self.setup.reaches.contains(name));
        always.chain(sometimes.map(|(name, check)| Property::sometimes(name, check))).collect()
    }
}

impl super::search::World for World {}

impl World {
    /// A letter from the sender to B and C.
    ///
    /// # Panics
    /// Never: the letter is well-formed.
    pub fn new(setup: Setup) -> Self {
        let cast = Cast::default();
        let hands = [
            cast.hand(Role::ORIGINATOR).clone(),
            cast.hand(Role::RESPONDER).clone(),
            cast.oracle.hand(Suite::Ed25519, 4),
        ];
        let vault = cast.oracle.deposit_hand(KemSuite::X25519, 3);
        let deposit_key = DepositKey { suite: vault.suite(), public_key: vault.public_key().to_vec() };
        let (key, seeds) = (ArticleKey::from_array([1; 32]), [1, 2].map(|byte| Seed::new(vec![byte; 32])));
        let core = letter(&cast, &hands, &deposit_key, &key, &seeds);
        let mut world = Self {
            setup,
            hands,
            cast,
            core,
            key,
            seeds,
            deposit_key,
            vault,
            machines: Table::default(),
            inputs: Table::default(),
            drafts: Table::default(),
            requests: Table::default(),
            kept: Table::default(),
            steps: Memo::default(),
            rulings: Memo::default(),
            receipts: Memo::default(),
            proofs: Memo::default(),
            rested: Memo::default(),
            contents: Memo::default(),
            hostile: Vec::new(),
            asks: Vec::new(),
        };
        let messages = world.hostile_messages();
        world.hostile = messages.into_iter().map(|m| world.inputs.number(Input::Message(m.to_bytes()))).collect();
        let asks = world.hostile_requests();
        let ask = |(request, needs): (Request, _)| Ask { request: world.requests.number(request.to_bytes()), needs };
        world.asks = asks.into_iter().map(ask).collect();
        world
    }

    fn is_of_sender(&self, session: &Session) -> bool {
        self.machines.thing(session.machine).run().role() == Role::ORIGINATOR
    }

    fn is_ready(&self, session: &Session) -> bool {
        *self.machines.thing(session.machine).state() == gx::State::Ready
    }

    fn is_honest(&self, role: Role) -> bool {
        role == Role::RESPONDER || self.setup.honest_sender
    }

    /// Who signs for a side of a part.
    fn hand(&self, role: Role, part: Slot) -> &Hand {
        if role == Role::ORIGINATOR { &self.hands[0] } else { &self.hands[usize::from(part.0) + 1] }
    }

    fn key_sets(&self, part: Slot) -> [KeySet; 2] {
        [Role::ORIGINATOR, Role::RESPONDER].map(|role| self.hand(role, part).key_set().clone())
    }

    fn run(&self, role: Role, part: Slot) -> Run {
        let (me, arbiter) = (self.hand(role, part).key_set(), self.cast.arbiter.key_set().clone());
        let seed = self.seeds[usize::from(part.0)].as_bytes().to_vec();
        let own = if role == Role::ORIGINATOR { Own { seed, ..Own::default() } } else { Own::default() };
        Run::new(self.core.clone(), me, self.key_sets(part), Some(arbiter), PATIENCE, own)
            .expect("the contract is between these parties")
    }

    fn sign(&self, draft: Draft) -> Signed {
        let all = self.hands.iter().chain([&self.cast.arbiter]);
        let hand = all.into_iter().find(|hand| hand.key_set().id() == draft.signer).expect("everybody is known");
        hand.sign(draft).expect("whoever is asked signs its own drafts")
    }

    fn say(&self, hand: &Hand, statement: &impl Statement) -> Signed {
        self.sign(statement.draft(hand.key_set().suite(), hand.key_set().id()))
    }

    /// Both promises of a part, whether or not anybody has made them.
    fn promises(&self, part: Slot) -> [Signed; 2] {
        let cid = self.core.cid();
        let first = self.say(&self.hands[0], &Promise { cid, role: Role::ORIGINATOR, answers: None });
        let second = Promise { cid, role: responder(part), answers: Some(first.id()) };
        let second = self.say(self.hand(Role::RESPONDER, part), &second);
        [first, second]
    }

    /// Lets a run take an input, with everything that follows at once.
    fn take(&self, state: &mut State, run: usize, input: u32) -> Option<()> {
        let session = &mut state.runs[run];
        let stepped = self.steps.get((session.machine, input), || self.step(session.machine, input).map(Arc::new))?;
        // A step that asks nothing leaves an older question unless it has moved on.
        session.asked = if stepped.machine == session.machine { session.asked } else { stepped.asked };
        session.machine = stepped.machine;
        stepped.kept.iter().for_each(|kept| session.kept.add(*kept));
        stepped.sent.iter().for_each(|sent| state.network.add(*sent));
        stepped.requested.iter().for_each(|request| state.requests.add(*request));
        Some(())
    }

    fn step(&self, machine: u32, input: u32) -> Option<Stepped> {
        let env = Env { now: NOW, verify: &self.cast.oracle };
        let mut machine = (*self.machines.thing(machine)).clone();
        let mut inputs = vec![(*self.inputs.thing(input)).clone()];
        let mut stepped =
            Stepped { machine: NONE, asked: NONE, sent: Vec::new(), requested: Vec::new(), kept: Vec::new() };
        while let Some(input) = inputs.pop() {
            let step = machine.handle(&env, input).ok()?;
            machine = step.state;
            for effect in step.effects {
                match effect {
                    Effect::Send(bytes) => stepped.sent.push(self.inputs.number(Input::Message(bytes))),
                    Effect::AskArbiter(bytes) => stepped.requested.push(self.requests.number(bytes)),
                    Effect::Sign { draft, consent: Consent::Ask } => stepped.asked = self.drafts.number(draft),
                    Effect::Sign { draft, .. } => inputs.push(Input::Signed(self.sign(draft))),
                    Effect::Examine(bytes) => inputs.push(Input::Examined(self.examine(&bytes))),
                    Effect::Keep { kind: EvidenceKind::Late, .. } => {}
                    Effect::Keep { kind, bytes } => stepped.kept.push(self.kept.number((kind, bytes))),
                    _ => {}
                }
            }
        }
        stepped.machine = self.machines.number(machine);
        Some(stepped)
    }

    /// What a driver finds when it tries a release on the letter.
    fn examine(&self, examination: &[u8]) -> Vec<u8> {
        let Examination { slot, release, .. } = Examination::from_bytes(examination).expect("a machine's own request");
        let found = if self.opens(slot, &release) { Found::Good } else { Found::Useless };
        Examined { slot, release, found }.to_bytes()
    }

    fn opens(&self, slot: Slot, release: &[u8]) -> bool {
        let Ok(signed) = Signed::from_bytes(release) else { return false };
        let said = match signed.kind() {
            Kind::Disclosure => {
                let Ok(said) = Disclosure::from_bytes(signed.payload()) else { return false };
                self.good(slot).open(&self.cast.oracle, &said.seed).ok()
            }
            Kind::KeyAttestation => {
                let said = verify::<KeyAttestation>(&self.cast.oracle, self.cast.arbiter.key_set(), &signed);
                let ours = |said: &KeyAttestation| (said.cid, said.slot) == (self.core.cid(), slot);
                said.ok().map(|said| said.statement().clone()).filter(ours).map(|said| said.key)
            }
            _ => None,
        };
        said.is_some_and(|key| key.as_bytes() == self.key.as_bytes())
    }

    fn good(&self, slot: Slot) -> Good {
        Good::of(&self.core, slot, Some(&self.deposit_key)).expect("the contract gives it")
    }

    fn rule(&self, state: &mut State, request: u32) -> Option<()> {
        let bytes = self.requests.thing(request);
        let message = Request::from_bytes(&bytes).expect("requests are well-formed");
        let court = Court {
            verify: &self.cast.oracle,
            kem: &self.cast.oracle,
            arbiter: self.cast.arbiter.key_set(),
            deposit_key: Some(&self.deposit_key),
            systems: &[],
        };
        let case = court.check(&message).ok()?;
        let cell = &mut state.cells[usize::from(case.slot().0)];
        let (answer, reply) = self.rulings.get((request, *cell), || {
            let decided = self.decided(*cell);
            let stands = decided.as_ref().map(|(answer, verdict)| {
                let (outcome, time) = (verdict.outcome, verdict.time);
                (Decided { outcome, time, closing: None }, answer.statement.id())
            });
            let answer = match decide(stands, &case, self.cast.arbiter.key_set(), 0, NOW) {
                Next::AnswerStored => decided?.0,
                Next::SignAndStore(draft) => {
                    let answer = ArbiterAnswer::of(self.sign(draft));
                    let resolved = message.promises.len() == 2;
                    ArbiterAnswer { promises: if resolved { message.promises.clone() } else { Vec::new() }, ..answer }
                }
                _ => return None,
            };
            let verdict = Verdict::from_bytes(answer.statement.payload()).ok()?;
            // The key is for the recipient only.
            let due = verdict.outcome == Outcome::Resolved && message.question.signer() == message.key_sets[1].id();
            let attestation = due.then(|| self.attestation(case.slot()));
            let number = |answer: &ArbiterAnswer| self.inputs.number(Input::ArbiterSays(answer.to_bytes()));
            Some((number(&answer), number(&ArbiterAnswer { attestation, ..answer.clone() })))
        })?;
        *cell = answer;
        state.answers.add(reply);
        Some(())
    }

    fn attestation(&self, slot: Slot) -> Signed {
        let key = self.good(slot).recover(&self.vault).expect("the deposit is well-formed");
        self.say(&self.cast.arbiter, &KeyAttestation { cid: self.core.cid(), slot, key })
    }

    /// An answer of the arbiter's, with its verdict.
    fn decided(&self, answer: u32) -> Option<(ArbiterAnswer, Verdict)> {
        let answer = self.answer(answer)?;
        let verdict = Verdict::from_bytes(answer.statement.payload()).ok()?;
        Some((answer, verdict))
    }

    fn answer(&self, input: u32) -> Option<ArbiterAnswer> {
        if input == NONE {
            return None;
        }
        let Input::ArbiterSays(bytes) = &*self.inputs.thing(input) else { return None };
        ArbiterAnswer::from_bytes(bytes).ok()
    }

    /// The statements in a message.
    fn statements(&self, input: u32) -> Vec<Signed> {
        match &*self.inputs.thing(input) {
            Input::Message(bytes) => match Message::from_bytes(bytes) {
                Ok(Message::Promise(promised)) => vec![promised.promise],
                Ok(Message::Final(completed)) => vec![completed.completion],
                _ => Vec::new(),
            },
            Input::ArbiterSays(_) => {
                let answer = self.answer(input);
                answer
                    .into_iter()
                    .flat_map(|answer| answer.promises.into_iter().map(|p| p.promise).chain([answer.statement]))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// How a part was decided, if the verdict rests on the promises of this part and no other.
    fn outcome(&self, state: &State, part: usize) -> Option<Outcome> {
        self.rested.get((state.cells[part], part), || {
            let (_, verdict) = self.decided(state.cells[part])?;
            let own = self.promises(PARTS[part]).map(|promise| promise.id());
            let promises = if verdict.outcome == Outcome::Resolved { &own[..] } else { &own[..1] };
            let rests = verdict.slot == PARTS[part] && verdict.basis.get(1..) == Some(promises);
            rests.then_some(verdict.outcome)
        })
    }

    /// What honest parties have said so far.
    fn said(&self, state: &State) -> Vec<StatementId> {
        let seen = state.network.iter().chain(state.answers.iter());
        seen.flat_map(|input| self.content(input).0.clone()).collect()
    }

    /// The statements in a message or answer, and whether it opens the letter for C.
    fn content(&self, input: u32) -> Arc<(Vec<StatementId>, bool)> {
        self.contents.get(input, || {
            let statements = self.statements(input).iter().map(Signed::id).collect();
            let opens = |release: &[u8]| self.opens(PARTS[1], release);
            let opening = match &*self.inputs.thing(input) {
                Input::Message(bytes) => {
                    matches!(Message::from_bytes(bytes), Ok(Message::Final(completed)) if opens(&completed.release))
                }
                _ => self.answer(input).and_then(|answer| answer.attestation).is_some_and(|said| opens(said.bytes())),
            };
            Arc::new((statements, opening))
        })
    }

    fn session<'a>(&self, state: &'a State, role: Role, part: Slot) -> Option<&'a Session> {
        let honest = HONEST.iter().filter(|(role, _)| self.is_honest(*role));
        honest.zip(&state.runs).find(|(who, _)| **who == (role, part)).map(|(_, session)| session)
    }

    fn ending(&self, state: &State, role: Role, part: Slot) -> Option<Ending> {
        self.machines.thing(self.session(state, role, part)?.machine).ending()
    }

    /// Whether anybody could prove that B has received the letter, from all that was ever said.
    fn is_received(&self, state: &State) -> bool {
        self.receipts.get((state.network, state.answers), || {
            let seen = state.network.iter().chain(state.answers.iter()).chain(self.hostile.iter().copied());
            let said = seen.flat_map(|input| self.statements(input));
            self.is_proven(said.map(|signed| (EvidenceKind::Statement, signed.bytes().to_vec())).collect(), PARTS[0])
        })
    }

    fn is_proven(&self, evidence: Vec<(EvidenceKind, Vec<u8>)>, part: Slot) -> bool {
        let key_sets = self.hands.iter().chain([&self.cast.arbiter]);
        let key_sets = key_sets.map(|hand| (EvidenceKind::KeySet, hand.key_set().to_bytes()));
        let all = [(EvidenceKind::Core, self.core.to_bytes())].into_iter().chain(key_sets).chain(evidence);
        let items = all.map(|(kind, bytes)| evidence::Item { kind, bytes, time: NOW }).collect();
        let report = evidence::verify(&self.cast.oracle, &[], &Folder { deal: DealId::from_array([0; 16]), items });
        let complete = |standing: &Standing| matches!(standing, Standing::Complete | Standing::Resolved { .. });
        report.contracts.iter().any(|contract| contract.part == part && complete(&contract.standing))
    }

    /// Whether C has got what opens the letter: from the sender, or from the arbiter.
    fn is_read_by_c(&self, state: &State) -> bool {
        state.network.iter().chain(state.answers.iter()).any(|input| self.content(input).1)
    }

    /// Every run that was begun ends when its user answers what is asked, gives up, and the arbiter answers.
    fn can_end(&self, state: &State) -> bool {
        let mut state = state.clone();
        for run in 0..state.runs.len() {
            let refused = if state.answer == Some(true) { Action::Sign { run } } else { Action::Decline { run } };
            if state.runs[run].asked != NONE && self.is_of_sender(&state.runs[run]) {
                state = self.next_state(&state, refused).unwrap_or(state);
            }
        }
        let give_up = self.inputs.number(Input::GiveUp);
        for _ in 0..2 {
            for run in 0..state.runs.len() {
                let _ = self.take(&mut state, run, give_up);
            }
            for request in state.requests.iter() {
                let _ = self.rule(&mut state, request);
            }
            for (run, answer) in (0..state.runs.len())
                .flat_map(|run| state.answers.iter().map(move |answer| (run, answer)))
                .collect::<Vec<_>>()
            {
                let _ = self.take(&mut state, run, answer);
            }
        }
        let ended =
            |session: &Session| self.machines.thing(session.machine).ending().is_some() || self.is_ready(session);
        state.runs.iter().all(ended)
    }

    /// What a party has kept shows a stranger that its part is complete, if it ended so.
    fn proves(&self, state: &State) -> bool {
        state.runs.iter().all(|session| {
            let machine = self.machines.thing(session.machine);
            let success = machine.ending() == Some(Ending::Success);
            !success
                || self.proofs.get((session.machine, session.kept), || {
                    let kept = session.kept.iter().map(|kept| (*self.kept.thing(kept)).clone());
                    self.is_proven(kept.collect(), machine.run().part())
                })
        })
    }

    /// Messages of malicious parties, about both parts, to anybody.
    fn hostile_messages(&self) -> Vec<Message> {
        let cid = self.core.cid();
        let ids = PARTS.map(|part| self.promises(part).map(|promise| promise.id()));
        let last = |completion, release: &Option<Signed>| {
            let release = release.as_ref().map(|signed| signed.bytes().to_vec()).unwrap_or_default();
            Message::Final(Completed { completion, release, payout: Vec::new() })
        };
        let c = &self.hands[2];
        let mut all = vec![Message::Decline(String::new())];
        for role in [responder(PARTS[0]), responder(PARTS[1])] {
            let promise = self.say(c, &Promise { cid, role, answers: Some(ids[0][0]) });
            all.push(Message::Promise(Promised::bare(promise)));
            for (slot, promises) in PARTS.into_iter().flat_map(|slot| ids.map(|promises| (slot, promises))) {
                all.push(last(self.say(c, &Final { cid, role, promises, slot }), &None));
            }
        }
        if !self.setup.honest_sender {
            let (o, [first, _]) = (&self.hands[0], self.promises(PARTS[0]));
            all.push(Message::Promise(Promised::bare(first)));
            let seeds = self.seeds.clone().map(Some).into_iter().chain([None]);
            let releases: Vec<_> =
                seeds.map(|seed| seed.map(|seed| self.say(o, &Disclosure { cid, slot: PARTS[0], seed }))).collect();
            for (slot, promises) in PARTS.into_iter().flat_map(|slot| ids.map(|promises| (slot, promises))) {
                let completion = Final { cid, role: Role::ORIGINATOR, promises, slot };
                all.extend(releases.iter().map(|release| last(self.say(o, &completion), release)));
            }
        }
        all
    }

    /// Requests of malicious parties about both parts, with whatever key sets and promises, and the promises of honest parties that they need.
    fn hostile_requests(&self) -> Vec<(Request, Vec<StatementId>)> {
        let cid = self.core.cid();
        let malicious: Vec<&Hand> =
            if self.setup.honest_sender { vec![&self.hands[2]] } else { vec![&self.hands[0], &self.hands[2]] };
        let mut all = Vec::new();
        for (keys_of, promised_of, slot) in
            PARTS.into_iter().flat_map(|a| PARTS.into_iter().flat_map(move |b| PARTS.map(|c| (a, b, c))))
        {
            let promises = self.promises(promised_of);
            let honest = [self.setup.honest_sender, promised_of == PARTS[0]];
            let needs: Vec<_> =
                promises.iter().zip(honest).filter(|(_, honest)| *honest).map(|(p, _)| p.id()).collect();
            let ids = promises.each_ref().map(Signed::id);
            for hand in &malicious {
                let request = |question, promises: &[Signed]| Request {
                    core: self.core.clone(),
                    key_sets: self.key_sets(keys_of),
                    promises: promises.iter().cloned().map(Promised::bare).collect(),
                    question,
                    proof: Vec::new(),
                    payout: Vec::new(),
                };
                for role in [Role::ORIGINATOR, responder(PARTS[0]), responder(PARTS[1])] {
                    let question = self.say(hand, &Resolve { cid, slot, promises: ids, role, proof: None });
                    all.push((request(question, &promises), needs.clone()));
                }
                let question = self.say(hand, &Abort { cid, slot, promise: ids[0] });
                let needs = needs.iter().copied().filter(|need| *need == ids[0]).collect();
                all.push((request(question, &promises[..1]), needs));
            }
        }
        all
    }
}

/// A contract over one letter for B and C.
fn letter(cast: &Cast, hands: &[Hand; 3], deposit_key: &DepositKey, key: &ArticleKey, seeds: &[Seed; 2]) -> Core {
    const HONEST: &str = "an honest sender's own values fit";
    let (mut encoder, mut ciphertext) = (Encoder::new(key.clone()), Vec::new());
    encoder.push(b"text", &mut ciphertext).expect(HONEST);
    let article = encoder.finish(&mut ciphertext).expect(HONEST);
    let descriptor = Descriptor::new("letter", "text/plain", article.size, article.plain_root, "").expect(HONEST);
    let mut core = cast.core(1);
    core.terms.profile = Profile::Gx;
    core.terms.arbiter =
        core.terms.arbiter.map(|arbiter| ArbiterRef { deposit_key: Some(deposit_key.id()), ..arbiter });
    core.terms.parties.push(PartyRef { role: responder(PARTS[1]), key_set: hands[2].key_set().id() });
    let pair = |slot| {
        let (owner, recipient) = (Role::ORIGINATOR, responder(slot));
        let information =
            Item { kind: ItemKind::Information, owner, recipient, descriptor: descriptor.to_bytes(), slot };
        let receipt =
            Item { kind: ItemKind::Signature, owner: recipient, recipient: owner, descriptor: Vec::new(), slot };
        [information, receipt]
    };
    core.terms.items = PARTS.into_iter().flat_map(pair).collect();
    let tid = core.tid();
    for (slot, seed) in PARTS.into_iter().zip(seeds) {
        let root = article.index.root(Side::Cipher);
        let deposit = Deposit::make(&cast.oracle, deposit_key, seed, (tid, slot), key, root).expect(HONEST);
        core.deposits.insert(slot, deposit.to_bytes());
    }
    core
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({:?})", self.setup)
    }
}
