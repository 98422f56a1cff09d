//! The clock, payment operations and examinations of the model.

use std::sync::Arc;

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Kind, Signed};
use semper_core::ids::StatementId;
use semper_core::machine::Fault;
use semper_core::party::Role;
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::request::Request;
use semper_exchange::arbiter::verdict::ArbiterAnswer;
use semper_exchange::gx::{self, Examination, Leg};
use semper_support::crypto::Signer;
use semper_support::engine::{Consent, Effect, Input};
use semper_support::runner::Work;
use semper_transfer::payment::operation::{Answer, Failure, Operation, Task};
use semper_transfer::payment::statement::Side;

use super::hostile;
use super::{Action, EARLY, NEVER, NONE, Place, Session, State, TIMERS, World, show};
use crate::deal::{SIGNING, TICK, moment, tick};
use crate::mint::{self, Lot};
use crate::scenario::NOT_AFTER;

/// The last tick: long after every date.
pub(super) const LAST: u8 = 18;

impl World {
    /// Whether there is a clock.
    pub(super) fn is_timed(&self) -> bool {
        self.setup.things != SIGNING
    }

    /// What a party's clock shows, from 0.
    pub(super) fn moment(&self, state: &State, party: usize) -> u8 {
        if !self.is_timed() {
            return u8::from(state.parties[party].late);
        }
        (state.clock + 1).saturating_add_signed(self.setup.skew[party])
    }

    /// The time of a moment.
    pub(super) fn time(&self, shown: u8) -> Time {
        match shown {
            _ if self.is_timed() => moment(shown).before(TICK),
            0 => EARLY,
            _ => NOT_AFTER.after(Seconds(1)),
        }
    }

    /// What a party's own clock shows, in ticks.
    fn ticks(&self, state: &State, party: usize) -> u8 {
        self.moment(state, party).saturating_sub(1)
    }

    pub(super) fn money_actions(&self, state: &State, place: Place, run: &Session, actions: &mut Vec<Action>) {
        let (party, session) = place;
        for (effect, wanted) in self.lists.thing(run.unacknowledged).iter().enumerate() {
            match wanted {
                Effect::Operate(bytes) => {
                    if !self.is_held(state, party, wanted) {
                        actions.push(Action::Operate { party, session, effect });
                    }
                    if matches!(operation(bytes).task, Task::Lock(_) | Task::Pay { .. }) {
                        actions.push(Action::Fail { party, session, effect });
                    }
                }
                Effect::Examine(_) | Effect::Submit(_) => actions.push(Action::Operate { party, session, effect }),
                _ => {}
            }
        }
        let due = |timer: &usize| run.timers[*timer] <= self.ticks(state, party);
        let due = (0..TIMERS.len()).filter(due);
        actions.extend(due.map(|timer| Action::Timer { party, session, timer }));
    }

    /// The payment block or the driver does what was asked for. The result is stored at once and told for ever.
    pub(super) fn operate(&self, last: &State, (party, session): Place, effect: usize) -> Option<State> {
        let mut state = last.clone();
        let wanted = self.lists.thing(last.parties[party].sessions[session].unacknowledged)[effect].clone();
        let input = match &wanted {
            Effect::Operate(bytes) => {
                let operation = operation(bytes);
                let by = u8::try_from(party).expect("two parties");
                if self.is_held(last, party, &wanted) {
                    return None;
                }
                let result = mint::operate(&mut state.locks, by, &operation, self.mints_time(last));
                let result = self.shown(&operation, result);
                Input::Operated(Answer { id: operation.id, result }.to_bytes())
            }
            Effect::Examine(bytes) => {
                let examination = Examination::from_bytes(bytes).expect("a machine writes what it reads");
                Input::Examined(self.deal.examine(&self.cast, &examination).to_bytes())
            }
            Effect::Submit(errand) => self.submitted(&mut state, errand),
            _ => return None,
        };
        Some(self.told(state, (party, session), &wanted, input))
    }

    pub(super) fn fail(&self, last: &State, (party, session): Place, effect: usize) -> Option<State> {
        let wanted = self.lists.thing(last.parties[party].sessions[session].unacknowledged)[effect].clone();
        let Effect::Operate(bytes) = &wanted else { return None };
        let failure = Failure::unmoved(Fault::Environment, "not enough money");
        let input = Input::Operated(Answer { id: operation(bytes).id, result: Err(failure) }.to_bytes());
        Some(self.told(last.clone(), (party, session), &wanted, input))
    }

    fn told(&self, mut state: State, (party, session): Place, wanted: &Effect, input: Input) -> State {
        let run = &mut state.parties[party].sessions[session];
        run.unacknowledged = self.without(run.unacknowledged, wanted);
        run.results.add(self.inputs.number(input));
        state
    }

    pub(super) fn mints_time(&self, state: &State) -> Time {
        self.time((state.clock + 1).saturating_add_signed(self.setup.skew[2]))
    }

    /// A timer fires once, whether or not that moves anything.
    pub(super) fn fire(&self, last: &State, place: Place, timer: usize) -> State {
        self.take(last, place, Input::Timer(TIMERS[timer])).unwrap_or_else(|| {
            let mut state = last.clone();
            state.parties[place.0].sessions[place.1].timers[timer] = NEVER;
            state
        })
    }

    pub(super) fn set_timers(&self, run: &mut Session, effects: &[Effect]) {
        let place = |name: &str| TIMERS.iter().position(|timer| *timer == name);
        if run.input != NONE
            && let Input::Timer(name) = &*self.inputs.thing(run.input)
            && let Some(fired) = place(name)
        {
            run.timers[fired] = NEVER;
        }
        for effect in effects {
            match effect {
                Effect::SetTimer { name, due } => {
                    if let Some(timer) = place(name) {
                        run.timers[timer] = tick(*due);
                    }
                }
                Effect::CancelTimer(name) => {
                    if let Some(timer) = place(name) {
                        run.timers[timer] = NEVER;
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether time may go on: nothing is left to do that is done at once, no timer is due, and what takes a message to the arbiter or to
    /// the issuer has not taken a tick already.
    pub(super) fn may_tick(&self, state: &State) -> bool {
        let mut open =
            state.parties.iter().flat_map(|party| &party.sessions).any(|run| self.machine(run).ending().is_none());
        open |= state.locks.as_flattened().contains(&Lot::Locked);
        let parties = state.parties.iter().enumerate();
        let mut sessions = parties.flat_map(|(party, held)| held.sessions.iter().map(move |run| (party, run)));
        open && state.clock < LAST
            && state.arbiter.workers.is_empty()
            && sessions.all(|(party, run)| self.lets_tick(state, party, run))
    }

    fn lets_tick(&self, state: &State, party: usize, run: &Session) -> bool {
        let ticks = self.ticks(state, party);
        !self.is_busy(state, party, run)
            && run.timers.iter().all(|due| *due > ticks)
            && !(run.slow && self.is_waiting(state, party, run))
    }

    /// Whether a run has something to do or to hear that takes no time and that nobody else sees: what others do meanwhile comes to the
    /// same before it or after it.
    pub(super) fn is_busy(&self, state: &State, party: usize, run: &Session) -> bool {
        let moment = self.moment(state, party);
        let unheard = |input| self.steps.get((run.machine, input, moment), || self.plan((run.machine, input, moment)));
        run.turn != NONE
            || self.pending(run.unacknowledged).at_once
            || run
                .results
                .iter()
                .any(|input| unheard(input).is_some_and(|planned| !self.is_repeated(run, planned.turn)))
    }

    /// Whether work leaves a run as it is, and keeps nothing that is not kept already: what was said is said again.
    fn is_repeated(&self, run: &Session, turn: u32) -> bool {
        let kept = |effect: &Effect| match effect {
            Effect::Keep { kind, bytes } => run.evidence.has(self.kept.number((*kind, bytes.clone()))),
            _ => false,
        };
        (*self.turns.thing(turn)).clone().all(|work| match work {
            Work::Commit { state, effects } => state == run.machine && effects.iter().all(kept),
            Work::Perform(_) => false,
        })
    }

    /// The first run that is busy.
    pub(super) fn busy(&self, state: &State) -> Option<Place> {
        let mut places = places(state).into_iter().filter(|_| self.is_timed());
        places.find(|(party, session)| self.is_busy(state, *party, &state.parties[*party].sessions[*session]))
    }

    fn pending(&self, list: u32) -> Pending {
        self.pending.get(list, || {
            let list = self.lists.thing(list);
            let at_once = |effect: &Effect| match effect {
                Effect::Sign { consent, .. } => *consent == Consent::Implied,
                Effect::Operate(bytes) => matches!(operation(bytes).task, Task::Payout { .. } | Task::Authorise { .. }),
                Effect::Examine(_) => true,
                _ => false,
            };
            let operates = list.iter().any(|effect| matches!(effect, Effect::Operate(_) | Effect::Submit(_)));
            Pending { at_once: list.iter().any(at_once), operates }
        })
    }

    /// Whether the arbiter or an issuer is waited for, who answer within a tick.
    fn is_waiting(&self, state: &State, party: usize, run: &Session) -> bool {
        let list = self.lists.thing(run.unacknowledged);
        let held = || list.iter().any(|wanted| self.is_held(state, party, wanted));
        self.pending(run.unacknowledged).operates && !held()
            || !self.setup.silent && matches!(self.machine(run).state(), gx::State::AwaitVerdict { .. })
    }

    pub(super) fn tick(&self, last: &State) -> State {
        let mut state = State { clock: last.clock + 1, ..last.clone() };
        for (party, session) in places(last) {
            let run = &last.parties[party].sessions[session];
            state.parties[party].sessions[session].slow = self.is_waiting(last, party, run);
        }
        state
    }

    /// If everybody keeps going from here, nothing more is lost and the parties give up, all runs end. Malicious parties do nothing more.
    pub(super) fn ends(&self, state: &State) -> bool {
        if self.busy(state).is_some() {
            // Where this leads is looked at there.
            return true;
        }
        let mut state = State { crashes: 0, arbiter_crashes: 0, ..state.clone() };
        self.finish_rulings(&mut state);
        let places: Vec<_> = places(&state);
        // Each round does whatever can be done at once; there are a few of them at each tick.
        for _ in 0..256 {
            let before = state.clone();
            for place in &places {
                state = self.go_on(state, *place);
            }
            for request in state.requests.iter() {
                if !self.setup.silent && self.is_open(&state, request) {
                    state = self.take_request(&state, request).unwrap_or(state);
                }
            }
            if state != before {
                continue;
            }
            if places.iter().all(|(party, run)| self.machine(&state.parties[*party].sessions[*run]).ending().is_some())
            {
                return true;
            }
            for place in &places {
                state = self.take(&state, *place, Input::GiveUp).unwrap_or(state);
            }
            if state == before {
                if state.clock == LAST {
                    return false;
                }
                state = self.tick(&state);
            }
        }
        false
    }

    /// What one run has to do and to hear now.
    fn go_on(&self, mut state: State, place: Place) -> State {
        self.finish(&mut state, place);
        let run = |state: &State| state.parties[place.0].sessions[place.1].clone();
        for effect in self.lists.thing(run(&state).unacknowledged).iter() {
            if matches!(effect, Effect::Operate(_) | Effect::Examine(_) | Effect::Submit(_)) {
                // Places shift as effects are done.
                let list = self.lists.thing(run(&state).unacknowledged);
                if let Some(at) = list.iter().position(|other| other == effect) {
                    state = self.operate(&state, place, at).unwrap_or(state);
                }
            }
            if let Effect::Sign { draft, .. } = effect {
                let signed = self.cast.parties[place.0].sign(draft.clone()).expect("a party signs its own drafts");
                state = self.take(&state, place, Input::Signed(signed)).unwrap_or(state);
            }
        }
        // The last answer first: an older one says less.
        let answers: Vec<_> = state.answered[place.0].iter().collect();
        for heard in run(&state).results.iter().chain(answers.into_iter().rev()) {
            state = self.take_numbered(&state, place, heard).unwrap_or(state);
        }
        let ticks = self.ticks(&state, place.0);
        for timer in 0..TIMERS.len() {
            if run(&state).timers[timer] <= ticks {
                state = self.fire(&state, place, timer);
            }
        }
        state
    }

    /// Whether an honest party still waits for the answer to its request.
    pub(super) fn is_open(&self, state: &State, request: u32) -> bool {
        if !self.is_timed() {
            return true;
        }
        let id = self.asking(request).id;
        let waits = |run: &Session| match self.machine(run).state() {
            gx::State::AwaitVerdict { asked, .. } => *asked == id,
            _ => false,
        };
        state.parties.iter().flat_map(|party| &party.sessions).any(waits)
    }

    /// Whether the issuer confirms the money that the asker of a request has locked, if it has to have any.
    pub(super) fn is_confirmed(&self, state: &State, request: u32) -> bool {
        if !self.is_timed() {
            return true;
        }
        self.asking(request).token.as_ref().is_none_or(|token| mint::confirms(&state.locks, token))
    }

    pub(super) fn asking(&self, request: u32) -> Arc<Asking> {
        self.asking.get(request, || {
            let bytes = self.requests.thing(request);
            let request = Request::from_bytes(&bytes).expect("the model makes well-formed requests");
            let by = self.core.role_of(request.question.signer()).unwrap_or(Role::ORIGINATOR);
            let place = usize::from(by.number());
            let resolves = request.question.kind() == Kind::Resolve;
            let pays = Leg::of(&self.core).is_ok_and(|legs| legs[place].lock().is_some());
            let shows = !request.proof.is_empty() && request.proof == self.deal.payment();
            let token = request.promises.get(place).map(|mine| mine.token.clone()).filter(|_| resolves && pays);
            let kept = request.promises.iter().filter_map(|promised| show::reservation(&promised.token)).collect();
            Arc::new(Asking { id: request.question.id(), by: place, token, shows, kept })
        })
    }

    /// The authorisation in an answer of the arbiter or in a message.
    pub(super) fn paper(&self, input: u32) -> Option<Vec<u8>> {
        let read = || match &*self.inputs.thing(input) {
            Input::ArbiterSays(bytes) => ArbiterAnswer::from_bytes(bytes).ok().map(|answer| answer.authorisation),
            Input::Message(bytes) => match gx::Message::from_bytes(bytes) {
                Ok(gx::Message::Final(last)) => Some(last.release),
                _ => None,
            },
            _ => None,
        };
        self.papers.get(input, || read().filter(|paper| paper.first() == Some(&b'a')))
    }

    pub(super) fn hostile_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let Some(role) = self.setup.malicious else { return };
        let me = role.number();
        if self.deal.pay_until().is_some() && usize::from(me) != self.deal.payer() {
            self.payee_actions(state, actions);
        }
        self.submission_actions(state, actions);
        for number in (0..).take(hostile::LOCKS) {
            let Lot::Locked = state.locks[usize::from(me)][usize::from(number)] else {
                actions.push(Action::Lock { number });
                continue;
            };
            actions.push(Action::Redeem { token: [b't', me, number], paper: None });
        }
        // What the arbiter tells the peer is told to the peer alone.
        for number in state.network.iter().chain(state.answered[usize::from(me)].iter()) {
            if let Some(&[_, _, kind, owner, lock, ..]) = self.paper(number).as_deref() {
                actions.push(Action::Redeem { token: [kind, owner, lock], paper: Some(number) });
            }
        }
    }

    pub(super) fn hostile_lock(&self, last: &State, number: u8) -> Option<State> {
        let role = self.setup.malicious?;
        let place = usize::from(role.number());
        let pays = Leg::of(&self.core).is_ok_and(|legs| legs[place].is_money());
        let lot = last.locks[place][usize::from(number)];
        let mut state = last.clone();
        state.locks[place][usize::from(number)] = Lot::Locked;
        (pays && lot == Lot::Absent).then_some(state)
    }

    pub(super) fn hostile_redeem(&self, last: &State, token: [u8; 3], paper: Option<u32>) -> Option<State> {
        let me = self.setup.malicious?.number();
        if let Some(until) = self.deal.pay_until() {
            return self.hostile_transfer(last, me, until);
        }
        let paper = paper.and_then(|number| self.paper(number)).unwrap_or_default();
        let side = if token[1] == me { Side::Payer } else { Side::Payee };
        let refund = self.core.terms.deadlines.refund_after?;
        let mut state = last.clone();
        mint::redeem(&mut state.locks, me, &token, side, &paper, self.mints_time(last) >= refund).then_some(state)
    }
}

/// What a list of effects comes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// Something in it is done at once, and nobody else sees it.
    at_once: bool,
    /// A payment operation is in it, or a request to the issuer of a right.
    operates: bool,
}

/// What the model needs to know about a request.
#[derive(Debug)]
pub(super) struct Asking {
    id: StatementId,
    /// The asker's place.
    pub(super) by: usize,
    /// The asker's token, where it has to have one.
    token: Option<Vec<u8>>,
    /// Whether the proof of a plain transfer comes with it.
    pub(super) shows: bool,
    /// What the issuer of a right keeps, as the tokens in it say.
    pub(super) kept: Vec<Signed>,
}

fn places(state: &State) -> Vec<Place> {
    let of = |party: usize| (0..state.parties[party].sessions.len()).map(move |session| (party, session));
    of(0).chain(of(1)).collect()
}

pub(super) fn operation(bytes: &[u8]) -> Operation {
    Operation::from_bytes(bytes).expect("a machine writes what it reads")
}
