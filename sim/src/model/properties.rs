//! What must hold in every state, and what must be reached (design/exchange.md §14.5).

use semper_core::cbor::{Decode, Encode};
use semper_core::cose::{Kind, Signed};
use semper_core::ids::{DealId, StatementId};
use semper_core::party::Role;
use semper_core::signature::verify;
use semper_exchange::arbiter::request::Request;
use semper_exchange::arbiter::verdict::{Closing, ClosingOutcome, Outcome, Verdict};
use semper_exchange::arbiter::{Cell as Decided, Ruling, rule};
use semper_exchange::evidence::{self, Folder, Item, Standing};
use semper_exchange::gx::{self, Examined, Found, Gx, Promised};
use semper_support::crypto::Signer;
use semper_support::engine::{Ending, EvidenceKind, Input};
use stateright::Property;

use super::{Cell, EARLY, Mark, NONE, Party, ROLES, Register, Session, Setup, State, World};
use crate::deal::{SIGNING, Thing};
use crate::mint::Lot;

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

/// What must hold where more than signatures is exchanged.
const DEALS: [(&str, Check); 12] = [
    ("S1 the register is written once", written_once),
    ("S2 whoever gave has got", whoever_gave_has_got),
    ("S2 whoever has not got has kept", whoever_has_not_got_has_kept),
    ("S3 agreement of honest parties", agree),
    ("S4 one completed run per contract", injective),
    ("S5 no honest money is left behind", no_money_is_left),
    ("S6 nothing is given before the peer's money was seen", nothing_is_given_blindly),
    ("S7 a verdict follows from its basis", follows),
    ("S8 an honest party can always end its run", can_end),
    ("S9 the archive proves the ending", proves),
    ("S10 a crash changes nothing but repetitions", recovers),
    ("S12 nobody who keeps its deadlines loses by them", no_deadline_is_missed),
];

/// What must be reached where more than signatures is exchanged.
const ENDINGS: [(&str, Check); 15] = [
    ("the payee has the money and is silent", |world, state| {
        let has = state.locks[0][0] == Lot::With(1) && resolved(world, state);
        has && all_succeed(world, state) && !state.network.iter().any(|m| world.mark(m) == Mark::Final(ROLES[1]))
    }),
    ("the seller has the money and is silent", |world, state| {
        state.locks[1][0] == Lot::With(0) && resolved(world, state) && all_succeed(world, state)
    }),
    ("a use is taken", |world, state| world.is_spent(state)),
    ("a use that was kept is free", |world, state| {
        some_end(world, state, Ending::Aborted) && world.is_free_again(state)
    }),
    ("ended: recalled", |world, state| some_end(world, state, Ending::Recalled)),
    ("both succeed without the arbiter", |world, state| all_succeed(world, state) && state.arbiter.cell.is_none()),
    ("both succeed with the arbiter", |world, state| all_succeed(world, state) && state.arbiter.cell.is_some()),
    ("ended: success", |world, state| some_end(world, state, Ending::Success)),
    ("ended: aborted", |world, state| some_end(world, state, Ending::Aborted)),
    ("ended: lapsed", |world, state| some_end(world, state, Ending::Lapsed)),
    ("ended: refunded", |world, state| some_end(world, state, Ending::Refunded)),
    ("ended: defective", |world, state| some_end(world, state, Ending::Defective)),
    ("closed: completed", |world, state| closed(world, state) == Some(ClosingOutcome::Completed)),
    ("closed: fault", |world, state| matches!(closed(world, state), Some(ClosingOutcome::Fault(_)))),
    ("unused, and the money is back", |world, state| {
        let back = state.locks.iter().zip(0..).any(|(lots, owner)| lots[0] == Lot::With(owner));
        back && state.arbiter.cell.is_none() && some_end(world, state, Ending::Lapsed)
    }),
];

pub(super) fn all(setup: &Setup) -> Vec<Property<World>> {
    if setup.things != SIGNING {
        let always = DEALS.iter().map(|(name, check)| Property::always(name, *check));
        let reached = ENDINGS.iter().filter(|(name, _)| setup.reaches.contains(name));
        return always.chain(reached.map(|(name, check)| Property::sometimes(name, *check))).collect();
    }
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

fn closed(world: &World, state: &State) -> Option<ClosingOutcome> {
    world.closing(state.arbiter.closing?.answer).map(|(_, closing)| closing.outcome)
}

fn thing(world: &World, role: Role) -> Thing {
    world.setup.things[usize::from(role.number())]
}

fn resolved(world: &World, state: &State) -> bool {
    cell(world, state) == Some(Outcome::Resolved)
}

/// Whether the peer of a party has what that party gives, or can have it as soon as it asks.
fn gave(world: &World, state: &State, role: Role) -> bool {
    let final_is_out = || state.network.iter().any(|message| world.mark(message) == Mark::Final(role));
    match thing(world, role) {
        Thing::Money | Thing::Transfer => {
            state.locks[usize::from(role.number())].contains(&Lot::With(role.peer().number()))
        }
        Thing::Right => world.holds_right(state, role.peer()),
        Thing::Show => final_is_out() || resolved(world, state) || world.is_spent(state),
        _ => final_is_out() || resolved(world, state),
    }
}

/// Whether a party has what it was to get.
fn has(world: &World, state: &State, role: Role, session: &Session) -> bool {
    let peers_final = |kept| {
        let (_, bytes) = &*world.kept.thing(kept);
        let signed = Signed::from_bytes(bytes).ok().filter(|signed| signed.kind() == Kind::Final);
        signed.filter(|signed| world.core.role_of(signed.signer()) == Some(role.peer()))
    };
    let signed_by_peer = |kept| peers_final(kept).is_some();
    let found_good = |result: u32| match &*world.inputs.thing(result) {
        Input::Examined(bytes) => Examined::from_bytes(bytes).is_ok_and(|examined| examined.found == Found::Good),
        _ => false,
    };
    match thing(world, role.peer()) {
        Thing::Signature => resolved(world, state) || session.evidence.iter().any(signed_by_peer),
        Thing::Show => {
            let shown = resolved(world, state) || session.evidence.iter().any(signed_by_peer);
            shown && world.show_counts(state, session.evidence.iter().filter_map(peers_final))
        }
        Thing::Information | Thing::BadInformation => session.results.iter().any(found_good),
        Thing::Money | Thing::Transfer | Thing::Right => gave(world, state, role.peer()),
    }
}

/// Each ending says what a party believes to have; this is what it has.
fn whoever_gave_has_got(world: &World, state: &State) -> bool {
    // Nobody's money is ever gone for goods that are not what they were said to be.
    let robbed = |role: Role| {
        let honest = world.setup.malicious != Some(role) && thing(world, role) == Thing::Money;
        honest && thing(world, role.peer()) == Thing::BadInformation && gave(world, state, role)
    };
    !ROLES.into_iter().any(robbed)
        && sessions(state).all(|(role, session)| match ended(world, session) {
            Some(Ending::Success) => has(world, state, role, session),
            // A proof for goods that were not paid with money: nothing can be taken back.
            Some(Ending::Defective) => thing(world, role) != Thing::Money && !is_good(world, role.peer()),
            _ => true,
        })
}

fn is_good(world: &World, owner: Role) -> bool {
    // A wrong seed, signed, is as good a proof as bad goods.
    thing(world, owner) == Thing::Information && world.setup.malicious != Some(owner)
}

fn whoever_has_not_got_has_kept(world: &World, state: &State) -> bool {
    sessions(state).all(|(role, session)| match ended(world, session) {
        Some(Ending::Aborted | Ending::Lapsed | Ending::Refunded | Ending::Unconfirmed | Ending::Recalled) => {
            // What is refunded after a verdict was information for money: the key is out, and was not worth the money.
            !gave(world, state, role)
        }
        _ => true,
    })
}

/// Whoever ended without its item has its own money back, and between honest parties nothing stays locked.
fn no_money_is_left(world: &World, state: &State) -> bool {
    let own = |role: Role| state.locks[usize::from(role.number())][0];
    let over = sessions(state).all(|(_, session)| ended(world, session).is_some());
    sessions(state).all(|(role, session)| match ended(world, session) {
        Some(Ending::Aborted | Ending::Lapsed | Ending::Refunded) => own(role) != Lot::Locked,
        Some(Ending::Success) => world.setup.malicious.is_some() || !over || own(role) != Lot::Locked,
        _ => true,
    })
}

/// Nothing of an honest party is out before the peer's money is locked.
fn nothing_is_given_blindly(world: &World, state: &State) -> bool {
    sessions(state).all(|(role, session)| {
        let releasing = matches!(
            world.machine(session).state(),
            gx::State::Releasing { .. } | gx::State::AwaitFinalSignature { .. } | gx::State::AwaitPeerFinal { .. }
        );
        let lots = state.locks[usize::from(role.peer().number())];
        if thing(world, role) == Thing::Right {
            return true;
        }
        if thing(world, role.peer()) == Thing::Right {
            return state.locks[usize::from(role.number())][0] == Lot::Absent || world.was_passed_on(state);
        }
        if thing(world, role.peer()) == Thing::Show {
            return !releasing || world.keeps_use(state);
        }
        if thing(world, role.peer()) == Thing::Transfer {
            let signed = state.network.iter().any(|message| world.mark(message) == Mark::Final(role));
            return !signed || gave(world, state, role.peer());
        }
        !releasing || thing(world, role.peer()) != Thing::Money || lots.iter().any(|lot| *lot != Lot::Absent)
    })
}

/// With clocks that differ by no more than the contract says, and an arbiter that answers: nobody is told that it came too late, and
/// nobody is found at fault without one.
fn no_deadline_is_missed(world: &World, state: &State) -> bool {
    sessions(state).all(|(role, session)| {
        let too_late = thing(world, role) == Thing::Money && ended(world, session) == Some(Ending::Defective);
        !too_late && !matches!(ended(world, session), Some(Ending::Unsettled | Ending::Unconfirmed | Ending::Faulted))
    })
}

/// All verdicts that anybody holds are one, and it is the one in the cell.
fn written_once(world: &World, state: &State) -> bool {
    let Register { cell, closing, .. } = state.arbiter;
    let held = |id: fn(&World, u32) -> Option<StatementId>, stands: Option<Cell>| {
        let stands = stands.map(|cell| id(world, cell.answer));
        let mut said = state.answers.iter().filter_map(|answer| id(world, answer));
        let first = said.next();
        said.all(|other| Some(other) == first) && (first.is_none() || stands.is_none_or(|stands| stands == first))
    };
    held(|world, answer| world.verdict(answer).map(|(id, _)| id), cell)
        && held(|world, answer| world.closing(answer).map(|(id, _)| id), closing)
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
            || state.network.iter().any(|message| world.mark(message) == Mark::Promise(peer))
            // A promise that came too late for the peer goes to the arbiter only.
            || world.is_timed() && resolved(world, state);
        completed <= 1 && (completed == 0 || promised)
    })
}

fn follows(world: &World, state: &State) -> bool {
    let Register { cell, closing, .. } = state.arbiter;
    cell.is_none_or(|cell| world.sound.get(cell, || is_sound(world, cell) == Some(true)))
        && closing.is_none_or(|closing| world.sound.get(closing, || is_sound(world, closing) == Some(true)))
}

/// What was written follows from the request that it was written for, by the rules, at the time that it names.
fn is_sound(world: &World, cell: Cell) -> Option<bool> {
    let arbiter = world.cast.arbiter.key_set();
    let request = Request::from_bytes(&world.requests.thing(cell.request)).ok()?;
    let case = world.deal.court(&world.cast).check(&request).ok()?;
    let answer = world.stored(cell.answer)?;
    let verdict = verify::<Verdict>(&world.cast.oracle, arbiter, &answer.statement).ok()?;
    let id = verdict.id();
    let verdict = verdict.statement();
    if let Some((closing, _)) = &answer.closing {
        let closing = verify::<Closing>(&world.cast.oracle, arbiter, closing).ok()?;
        let closing = closing.statement();
        let decided = Decided { outcome: verdict.outcome, time: verdict.time, closing: None };
        let ruled = rule(Some(decided), &case, closing.time) == Ruling::Close(closing.outcome);
        return Some(ruled && (closing.cid, closing.verdict) == (case.cid(), id) && closing.basis == [case.question()]);
    }
    let ids: Vec<_> = answer.promises.iter().map(|Promised { promise, .. }| promise.id()).collect();
    let carried = match verdict.outcome {
        Outcome::Resolved => ids == case.basis()[1..],
        Outcome::Aborted | Outcome::Revoked | Outcome::Fault(_) => ids.is_empty(),
    };
    let ruled = rule(None, &case, verdict.time) == Ruling::Write(verdict.outcome);
    Some(ruled && verdict.cid == case.cid() && verdict.basis == case.basis() && carried)
}

/// If everybody keeps going from here, with the arbiter up and nothing more lost, and the parties give up, all runs end.
fn can_end(world: &World, state: &State) -> bool {
    if world.is_timed() {
        return world.ends(state);
    }
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
        // Complaints and closings are no words of the report yet.
        Ending::Refunded | Ending::Defective | Ending::Faulted | Ending::Unsettled => true,
        Ending::Recalled => matches!(contract.standing, Standing::Revoked { .. }),
        Ending::Unconfirmed => false,
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
