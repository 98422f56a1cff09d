//! Two parties, an arbiter and a mint in one thread, with the real machines and a clock that goes on when nobody has anything to do. What
//! each party keeps becomes its folder.

use std::collections::{BTreeMap, VecDeque};

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::Signed;
use semper_core::ids::{DealId, StatementId};
use semper_core::machine::{Env, Machine};
use semper_core::party::Role;
use semper_core::time::Time;
use semper_exchange::arbiter::Cell;
use semper_exchange::arbiter::request::Request;
use semper_exchange::arbiter::service::{Next, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Closing, Outcome, Verdict};
use semper_exchange::evidence::{Folder, Item};
use semper_exchange::gx::{Examination, Gx};
use semper_sim::deal::{Deal, Things, moment, receipt};
use semper_sim::mint::{self, Locks};
use semper_sim::scenario::Cast;
use semper_support::crypto::Signer;
use semper_support::engine::{Effect, Ending, EvidenceKind, Input};
use semper_transfer::payment::operation::{Answer, Operation};

pub(crate) const O: Role = Role::ORIGINATOR;
pub(crate) const R: Role = Role::RESPONDER;
pub(crate) const DEAL: DealId = DealId::from_array([4; 16]);
/// More than any of these exchanges takes.
const STEPS_MAX: usize = 500;

/// Who says nothing any more, and after how many of its messages to the peer.
pub(crate) type Silent = Option<(Role, usize)>;

/// An exchange that has come to its end.
pub(crate) struct Exchange {
    pub(crate) cast: Cast,
    pub(crate) deal: Deal,
    pub(crate) folders: [Folder; 2],
    pub(crate) endings: [Option<Ending>; 2],
}

struct Party {
    machine: Gx,
    items: Vec<Item>,
    timers: BTreeMap<&'static str, Time>,
    sent: usize,
    mute_after: Option<usize>,
    ending: Option<Ending>,
}

struct Parties {
    cast: Cast,
    deal: Deal,
    parties: [Party; 2],
    inputs: VecDeque<(usize, Input)>,
    now: Time,
    locks: Locks,
    cell: Option<(Cell, StatementId, ArbiterAnswer)>,
}

/// Runs an exchange to its end.
pub(crate) fn exchange(things: Things, silent: Silent) -> Exchange {
    let cast = Cast::default();
    let deal = Deal::new(&cast, things, None);
    let parties = [O, R].map(|role| Party {
        machine: Gx::new(deal.run(&cast, role).unwrap()),
        items: shared(&cast, &deal),
        timers: BTreeMap::new(),
        sent: 0,
        mute_after: silent.filter(|(who, _)| *who == role).map(|(_, after)| after),
        ending: None,
    });
    // Contracts over signatures alone have the dates of their own.
    let now = if deal.core.deposits.is_empty() { Time::from_unix(1000) } else { moment(0) };
    let inputs = VecDeque::from([(0, Input::Begin)]);
    let mut all = Parties { cast, deal, parties, inputs, now, locks: Locks::default(), cell: None };
    all.run();
    let endings = all.parties.each_ref().map(|party| party.ending);
    let folders = all.parties.map(|party| Folder { deal: DEAL, items: party.items });
    Exchange { cast: all.cast, deal: all.deal, folders, endings }
}

/// What both parties have before they begin.
fn shared(cast: &Cast, deal: &Deal) -> Vec<Item> {
    let [originator, responder] = cast.key_sets();
    let mut items = vec![item(EvidenceKind::Core, deal.core.to_bytes())];
    for key_set in [&originator, &responder, cast.arbiter.key_set()] {
        items.push(item(EvidenceKind::KeySet, key_set.to_bytes()));
    }
    if let Some(key) = deal.court(cast).deposit_key.filter(|_| !deal.core.deposits.is_empty()) {
        items.push(item(EvidenceKind::DepositKey, key.to_bytes()));
    }
    items
}

pub(crate) fn item(kind: EvidenceKind, bytes: Vec<u8>) -> Item {
    Item { kind, bytes, time: Time::from_unix(1) }
}

impl Parties {
    fn run(&mut self) {
        for _ in 0..STEPS_MAX {
            if let Some((who, input)) = self.inputs.pop_front() {
                self.step(who, input);
            } else if !self.fire() {
                return;
            }
        }
        panic!("the exchange does not end");
    }

    /// Lets the clock go on to the next timer.
    fn fire(&mut self) -> bool {
        let timers = self.parties.iter().enumerate().flat_map(|(who, party)| {
            let alive = party.ending.is_none() && !party.is_mute();
            party.timers.iter().filter(move |_| alive).map(move |(name, due)| (*due, who, *name))
        });
        let Some((due, who, name)) = timers.min() else { return false };
        self.parties[who].timers.remove(name);
        self.now = self.now.max(due);
        self.inputs.push_back((who, Input::Timer(name)));
        true
    }

    fn step(&mut self, who: usize, input: Input) {
        if self.parties[who].is_mute() {
            return;
        }
        let env = Env { now: self.now, verify: &self.cast.oracle };
        let Ok(step) = self.parties[who].machine.clone().handle(&env, input) else { return };
        self.parties[who].machine = step.state;
        for effect in step.effects {
            self.perform(who, effect);
        }
    }

    fn perform(&mut self, who: usize, effect: Effect) {
        let answer = match effect {
            Effect::Keep { kind, bytes } => return self.parties[who].items.push(item(kind, bytes)),
            Effect::SetTimer { name, due } => {
                self.parties[who].timers.insert(name, due);
                return;
            }
            Effect::CancelTimer(name) => {
                self.parties[who].timers.remove(name);
                return;
            }
            Effect::Ended(ending) => {
                self.parties[who].ending = Some(ending);
                return;
            }
            Effect::Once(_) | Effect::Abandon(_) | Effect::Submit(_) => return,
            Effect::Send(bytes) => {
                if !self.parties[who].is_mute() {
                    self.inputs.push_back((1 - who, Input::Message(bytes)));
                }
                self.parties[who].sent += 1;
                return;
            }
            Effect::Sign { draft, .. } => Input::Signed(self.cast.parties[who].sign(draft).unwrap()),
            Effect::Operate(bytes) => {
                let operation = Operation::from_bytes(&bytes).unwrap();
                let result = mint::operate(&mut self.locks, who.try_into().unwrap(), &operation, self.now);
                Input::Operated(Answer { id: operation.id, result }.to_bytes())
            }
            Effect::Examine(bytes) => {
                let examination = Examination::from_bytes(&bytes).unwrap();
                Input::Examined(self.deal.examine(&self.cast, &examination).to_bytes())
            }
            Effect::AskArbiter(bytes) => match self.arbiter(&bytes) {
                Some(answer) => Input::ArbiterSays(answer),
                None => return,
            },
        };
        self.inputs.push_back((who, answer));
    }

    fn sign(&self, draft: semper_core::cose::Draft) -> Signed {
        self.cast.arbiter.sign(draft).unwrap()
    }

    fn arbiter(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let request = Request::from_bytes(bytes).unwrap();
        let case = self.deal.court(&self.cast).check(&request).ok()?;
        let stands = self.cell.as_ref().map(|(cell, id, _)| (*cell, *id));
        match decide(stands, &case, self.cast.arbiter.key_set(), 0, self.now) {
            Next::AnswerStored => {}
            Next::Refuse => return None,
            Next::SignAndAnswer(draft) => {
                let answer = ArbiterAnswer::of(self.sign(draft));
                return Some(self.deal.answer(&self.cast, answer, None, &case, &request));
            }
            Next::SignAndStore(draft) => {
                let verdict = Verdict::from_bytes(&draft.payload).unwrap();
                let signed = self.sign(draft);
                let promises = if verdict.outcome == Outcome::Resolved { request.promises.clone() } else { Vec::new() };
                let log = Some(receipt(&self.cast, &signed, self.now));
                let answer = ArbiterAnswer { promises, log, ..ArbiterAnswer::of(signed.clone()) };
                let cell = Cell { outcome: verdict.outcome, time: self.now, closing: None };
                self.cell = Some((cell, signed.id(), answer));
            }
            Next::SignAndClose(draft) => {
                let outcome = Closing::from_bytes(&draft.payload).unwrap().outcome;
                let signed = self.sign(draft);
                let log = receipt(&self.cast, &signed, self.now);
                let (cell, _, answer) = self.cell.as_mut().unwrap();
                cell.closing = Some(outcome);
                answer.closing = Some((signed, log));
            }
        }
        let (cell, _, answer) = self.cell.clone()?;
        Some(self.deal.answer(&self.cast, answer, Some(cell), &case, &request))
    }
}

impl Party {
    fn is_mute(&self) -> bool {
        self.mute_after.is_some_and(|after| self.sent >= after)
    }
}

impl Exchange {
    pub(crate) fn folder(&self, role: Role) -> Folder {
        self.folders[usize::from(role.number())].clone()
    }
}
