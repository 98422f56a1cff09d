//! What must hold in every state, and what must be reached (design/exchange.md §14.5).

use semper_core::cbor::{Decode, Encode};
use semper_core::ids::DealId;
use semper_core::party::Role;
use semper_core::signature::verify;
use semper_exchange::arbiter::request::{Asked, Request};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Outcome, Verdict};
use semper_exchange::evidence::{self, Folder, Item, Standing};
use semper_exchange::gx::{self, Gx, Promised};
use semper_support::crypto::Signer;
use semper_support::engine::{Ending, EvidenceKind, Input};
use stateright::{Model, Property};

use super::{Cell, EARLY, Mark, NONE, Party, ROLES, Session, Setup, State, World};

type Check = fn(&World, &State) -> bool;

const ALWAYS: [(&str, Check); 8] = [
    ("S1 the register is written once", written_once),
    ("S2 fairness towards an honest party", fair),
    ("S3 agreement of honest parties", agree),
    ("S4 one completed run per contract", injective),
    ("S7 a verdict follows from its basis", follows),
    ("S8 an honest party can always end its run", can_end),
    ("S9 the archive proves the ending", proves),
    ("S10 a crash changes nothing but repetitions", recovers),
];

const SOMETIMES: [(&str, Check); 6] = [
    ("completed without the arbiter", |world, state| all_succeed(world, state) && state.answers.is_empty()),
    ("completed after a crash", |world, state| {
        all_succeed(world, state) && state.answers.is_empty() && state.crashes < world.setup.crashes
    }),
    ("aborted", |world, state| some_end(world, state, Ending::Aborted)),
    ("resolved", |world, state| all_succeed(world, state) && cell(world, state) == Some(Outcome::Resolved)),
    ("unused", |world, state| {
        state.arbiter.closed && some_end(world, state, Ending::Lapsed) && !state.answers.is_empty()
    }),
    ("a second run was refused", |world, state| {
        let refused = |party: &Party| {
            let ready = party.sessions.iter().any(|s| matches!(world.machine(s).state(), gx::State::Ready));
            ready && party.sessions.iter().any(|s| ended(world, s) == Some(Ending::Success))
        };
        state.parties.iter().any(refused)
    }),
];

pub(super) fn all(setup: &Setup) -> Vec<Property<World>> {
    let always = ALWAYS.iter().map(|(name, check)| Property::always(name, *check));
    let reached = SOMETIMES.iter().filter(|(name, _)| setup.reaches.contains(name));
    let sometimes = reached.map(|(name, check)| Property::sometimes(name, *check));
    always.chain(sometimes).collect()
}

fn ended(world: &World, session: &Session) -> Option<Ending> {
    world.machine(session).ending()
}

fn sessions(state: &State) -> impl Iterator<Item = (Role, &Session)> {
    ROLES.into_iter().zip(&state.parties).flat_map(|(role, party)| party.sessions.iter().map(move |s| (role, s)))
}

fn succeeded(world: &World, party: &Party) -> bool {
    party.sessions.iter().any(|session| ended(world, session) == Some(Ending::Success))
}

/// Whether the party has ended all its runs, and none with a contract.
fn left_empty(world: &World, party: &Party) -> bool {
    let without = |session| ended(world, session).is_some_and(|ending| ending != Ending::Success);
    !party.sessions.is_empty() && party.sessions.iter().all(without)
}

fn all_succeed(world: &World, state: &State) -> bool {
    state.parties.iter().filter(|party| !party.sessions.is_empty()).all(|party| succeeded(world, party))
}

fn some_end(world: &World, state: &State, ending: Ending) -> bool {
    sessions(state).any(|(_, session)| ended(world, session) == Some(ending))
}

fn cell(world: &World, state: &State) -> Option<Outcome> {
    match world.mark(state.arbiter.cell?.answer) {
        Mark::Verdict(outcome) => Some(outcome),
        _ => None,
    }
}

/// All verdicts that anybody holds are one, and it is the one in the cell.
fn written_once(world: &World, state: &State) -> bool {
    let verdict = |answer: &u32| matches!(world.mark(*answer), Mark::Verdict(_));
    let mut said = state.answers.iter().filter(verdict);
    match (said.next(), said.next()) {
        (None, _) => true,
        (Some(only), None) => state.arbiter.cell.is_none_or(|cell| cell.answer == only),
        (Some(_), Some(_)) => false,
    }
}

/// If an honest party is left without a contract, its malicious peer has none and cannot get one from what it saw.
fn fair(world: &World, state: &State) -> bool {
    let Some(malicious) = world.setup.malicious else { return true };
    let honest = malicious.peer();
    let victim = &state.parties[usize::from(honest.number())];
    let finished = state.network.iter().any(|message| world.mark(message) == Mark::Final(honest));
    let resolved = |answer| world.mark(answer) == Mark::Verdict(Outcome::Resolved);
    let resolved = cell(world, state) == Some(Outcome::Resolved) || state.answers.iter().any(resolved);
    !left_empty(world, victim) || !(finished || resolved)
}

fn agree(world: &World, state: &State) -> bool {
    let [originator, responder] = &state.parties;
    !(left_empty(world, originator) && succeeded(world, responder)
        || succeeded(world, originator) && left_empty(world, responder))
}

/// No party completes one contract twice; what it completes, an honest peer has promised.
fn injective(world: &World, state: &State) -> bool {
    ROLES.iter().zip(&state.parties).all(|(role, party)| {
        let completed = party.sessions.iter().filter(|s| ended(world, s) == Some(Ending::Success)).count();
        let peer = role.peer();
        let promised = world.setup.malicious == Some(peer)
            || state.network.iter().any(|message| world.mark(message) == Mark::Promise(peer));
        completed <= 1 && (completed == 0 || promised)
    })
}

fn follows(world: &World, state: &State) -> bool {
    state.arbiter.cell.is_none_or(|cell| world.sound.get(cell, || is_sound(world, cell) == Some(true)))
}

fn is_sound(world: &World, cell: Cell) -> Option<bool> {
    let arbiter = world.cast.arbiter.key_set();
    let request = Request::from_bytes(&world.requests.thing(cell.request)).ok()?;
    let case = world.cast.court().check(&request).ok()?;
    let Input::ArbiterSays(bytes) = &*world.inputs.thing(cell.answer) else { return None };
    let answer = ArbiterAnswer::from_bytes(bytes).ok()?;
    let verdict = verify::<Verdict>(&world.cast.oracle, arbiter, &answer.statement).ok()?;
    let verdict = verdict.statement();
    let asked = match case.asked() {
        Asked::Abort => Outcome::Aborted,
        Asked::Resolve { .. } => Outcome::Resolved,
        Asked::Complain { about } => Outcome::Fault(about),
        Asked::Settle { .. } => return None,
    };
    let ids: Vec<_> = answer.promises.iter().map(|Promised { promise, .. }| promise.id()).collect();
    let carried = asked == Outcome::Aborted && ids.is_empty() || ids == case.basis()[1..];
    Some(verdict.cid == case.cid() && verdict.outcome == asked && verdict.basis == case.basis() && carried)
}

/// If everybody keeps going from here, with the arbiter up and nothing more lost, and the parties give up, all runs end.
fn can_end(world: &World, state: &State) -> bool {
    let mut state = state.clone();
    (state.crashes, state.arbiter_crashes) = (0, 0);
    world.finish_rulings(&mut state);
    for place in places(&state) {
        world.finish(&mut state, place);
        state = world.take(&state, place, Input::GiveUp).unwrap_or(state);
    }
    // Sign, ask, hear: three rounds for each of at most two requests to the key holder.
    for _ in 0..6 {
        for place in places(&state) {
            state = answer(world, state, place);
        }
        for request in state.requests.iter() {
            state = world.take_request(&state, request).unwrap_or(state);
            world.finish_rulings(&mut state);
        }
    }
    sessions(&state).all(|(_, session)| ended(world, session).is_some())
}

fn answer(world: &World, mut state: State, place: (usize, usize)) -> State {
    let session = |state: &State| state.parties[place.0].sessions[place.1].clone();
    for effect in world.lists.thing(session(&state).asked).iter() {
        if let semper_support::engine::Effect::Sign { draft, .. } = effect {
            let signed = world.cast.parties[place.0].sign(draft.clone()).expect("a party signs its own drafts");
            state = world.take(&state, place, Input::Signed(signed)).unwrap_or(state);
        }
    }
    for heard in state.answers.iter() {
        state = world.take_numbered(&state, place, heard).unwrap_or(state);
    }
    state
}

fn places(state: &State) -> Vec<(usize, usize)> {
    let of = |party: usize| (0..state.parties[party].sessions.len()).map(move |session| (party, session));
    of(0).chain(of(1)).collect()
}

fn proves(world: &World, state: &State) -> bool {
    sessions(state).all(|(_, session)| match ended(world, session) {
        None => true,
        Some(ending) => world.proofs.get((session.machine, session.evidence), || standing_fits(world, session, ending)),
    })
}

fn standing_fits(world: &World, session: &Session, ending: Ending) -> bool {
    let item = |kind, bytes| Item { kind, time: EARLY, bytes };
    let mut items = vec![item(EvidenceKind::Core, world.core.to_bytes())];
    let [originator, responder] = world.cast.key_sets();
    let key_sets = [&originator, &responder, world.cast.arbiter.key_set()];
    items.extend(key_sets.map(|key_set| item(EvidenceKind::KeySet, key_set.to_bytes())));
    items.extend(session.evidence.iter().map(|kept| {
        let (kind, bytes) = (*world.kept.thing(kept)).clone();
        item(kind, bytes)
    }));
    let folder = Folder { deal: DealId::from_array([0; 16]), items };
    let report = evidence::verify(&world.cast.oracle, &[], &folder);
    let Some(contract) = report.contracts.first() else { return false };
    match ending {
        Ending::Success => matches!(contract.standing, Standing::Complete | Standing::Resolved { .. }),
        Ending::Aborted => matches!(contract.standing, Standing::Aborted { .. }),
        Ending::Lapsed => matches!(contract.standing, Standing::Open { .. }),
        Ending::Unconfirmed | Ending::Refunded | Ending::Defective | Ending::Faulted | Ending::Unsettled => false,
    }
}

/// A crash before the commit leaves the store and the world as they were before the input; a crash after it leads, with what is
/// done again, to where no crash would have led. What is stored is read back as it was.
fn recovers(world: &World, state: &State) -> bool {
    let read_back = |session: &Session| {
        world.codecs.get(session.machine, || {
            let machine = world.machine(session);
            Gx::from_bytes(&machine.to_bytes()).is_ok_and(|read| read == *machine)
        })
    };
    sessions(state).all(|(_, session)| read_back(session))
        && places(state).into_iter().all(|(party, session)| recovers_at(world, state, party, session))
}

fn recovers_at(world: &World, state: &State, party: usize, session: usize) -> bool {
    let run = &state.parties[party].sessions[session];
    if run.turn != NONE && run.input != NONE {
        // Not committed: nothing may have left the process yet.
        return before_commit(world, run);
    }
    let crashed = {
        let mut state = state.clone();
        world.crash(&mut state, party);
        world.finish_party(&mut state, party);
        state
    };
    let finished = {
        let mut state = state.clone();
        world.finish(&mut state, (party, session));
        state
    };
    // Another session that is before its commit would lose its input, not its store; it is compared in its own turn.
    let others =
        |place: usize| state.parties[party].sessions.iter().enumerate().any(|(i, s)| i != place && s.turn != NONE);
    others(session)
        || (crashed.network == finished.network
            && crashed.requests == finished.requests
            && crashed.parties[party].sessions[session] == finished.parties[party].sessions[session]
            && crashed.parties[party].facts == finished.parties[party].facts)
}

/// The work in hand has not left the process yet: it still begins with the commit.
fn before_commit(world: &World, run: &Session) -> bool {
    matches!((*world.turns.thing(run.turn)).clone().next(), Some(semper_support::runner::Work::Commit { .. }))
}

impl World {
    /// The names of all properties of this world.
    pub fn property_names(&self) -> Vec<&'static str> {
        self.properties().iter().map(|property| property.name).collect()
    }
}
