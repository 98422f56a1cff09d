//! What exchanges without an arbiter leave behind: two real machines, a mint, and a clock that goes on when nobody has anything to do.
//!
//! What could go wrong: the originator, who has known the preimage all along, proves with it what only the responder's money can show;
//! the responder cannot prove that it paid; a preimage of something else counts.

use std::collections::{BTreeMap, VecDeque};

use semper_core::cbor::{Decode, Encode};
use semper_core::machine::{Env, Machine};
use semper_exchange::arbiter::request::{Complaint, Resolve, Settlement};
use semper_exchange::claims::positions;
use semper_exchange::evidence::{Finding, Standing};
use semper_exchange::goods::{Disclosure, Seed};
use semper_exchange::gx::Examination;
use semper_exchange::lx::{Lx, Message};
use semper_sim::deal::{CHANGE, PREIMAGE, moment};
use semper_sim::mint::{self, Locks};
use semper_support::engine::{Effect, Input};
use semper_transfer::payment::operation::{Answer, Operation, Task};

use super::parties::DEAL;
use super::*;

const SLIP: Things = [Thing::Signature, Thing::Money];
/// More than any of these exchanges takes.
const STEPS_MAX: usize = 200;

/// An exchange under one hash that has come to its end.
struct Locked {
    cast: Cast,
    deal: semper_sim::deal::Deal,
    folders: [Folder; 2],
    endings: [Option<Ending>; 2],
}

/// What the parties do not hear, or do not keep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    /// The responder's promise: nothing is opened.
    Promise,
    /// The preimage: the responder asks the issuer.
    Preimage,
}

struct Party {
    machine: Lx,
    items: Vec<Item>,
    timers: BTreeMap<&'static str, Time>,
    ending: Option<Ending>,
}

/// Runs an exchange to its end.
fn locked(things: Things, lost: Lost) -> Locked {
    let cast = Cast::default();
    let deal = semper_sim::deal::Deal::under_hash(&cast, things);
    let shared = || {
        let keys = cast.key_sets().map(|keys| item(EvidenceKind::KeySet, keys.to_bytes()));
        [item(EvidenceKind::Core, deal.core.to_bytes())].into_iter().chain(keys).collect()
    };
    let mut parties = [O, R].map(|role| {
        let machine = Lx::new(deal.run(&cast, role).unwrap());
        Party { machine, items: shared(), timers: BTreeMap::new(), ending: None }
    });
    let (mut now, mut locks) = (moment(0), Locks::default());
    let mut inputs = VecDeque::from([(0, Input::Begin)]);
    for _ in 0..STEPS_MAX {
        let Some((who, input)) = inputs.pop_front() else {
            let due = parties.iter().enumerate().flat_map(|(who, party)| {
                party.timers.iter().filter(|_| party.ending.is_none()).map(move |(name, due)| (*due, who, *name))
            });
            let Some((due, who, name)) = due.min() else { break };
            parties[who].timers.remove(name);
            now = now.max(due);
            inputs.push_back((who, Input::Timer(name)));
            continue;
        };
        let env = Env { now, verify: &cast.oracle };
        let step = parties[who].machine.clone().handle(&env, input).unwrap();
        let party = &mut parties[who];
        party.machine = step.state;
        for effect in step.effects {
            match effect {
                Effect::Keep { kind, bytes } => party.items.push(item(kind, bytes)),
                Effect::SetTimer { name, due } => _ = party.timers.insert(name, due),
                Effect::CancelTimer(name) => _ = party.timers.remove(name),
                Effect::Ended(ending) => party.ending = Some(ending),
                Effect::Send(bytes) => {
                    let hidden = match Message::from_bytes(&bytes).unwrap() {
                        Message::Promise(_) => who == 1 && lost == Lost::Promise,
                        Message::Preimage(_) => lost == Lost::Preimage,
                        Message::Decline(_) => false,
                    };
                    inputs.extend((!hidden).then_some((1 - who, Input::Message(bytes))));
                }
                Effect::Sign { draft, .. } => {
                    inputs.push_back((who, Input::Signed(cast.parties[who].sign(draft).unwrap())));
                }
                Effect::Operate(bytes) => {
                    let operation = Operation::from_bytes(&bytes).unwrap();
                    let result = mint::operate(&mut locks, who.try_into().unwrap(), &operation, now);
                    // What a purse keeps when it has taken money.
                    if let (Task::Redeem { lock, to, .. }, Ok(_)) = (&operation.task, &result) {
                        party.items.push(item(EvidenceKind::Redemption, taken(lock, *to)));
                    }
                    inputs.push_back((who, Input::Operated(Answer { id: operation.id, result }.to_bytes())));
                }
                Effect::Examine(bytes) => {
                    let examined = deal.examine(&cast, &Examination::from_bytes(&bytes).unwrap());
                    inputs.push_back((who, Input::Examined(examined.to_bytes())));
                }
                Effect::Once(_) | Effect::Abandon(_) => {}
                Effect::AskArbiter(_) | Effect::Submit(_) => panic!("there is no arbiter, and nobody shows a right"),
            }
        }
    }
    let endings = parties.each_ref().map(|party| party.ending);
    let folders = parties.map(|party| Folder { deal: DEAL, items: party.items });
    Locked { cast, deal, folders, endings }
}

/// The folders of both sides of exchanges of every kind.
pub(crate) fn folders() -> Vec<(Cast, Folder)> {
    let made = [PURCHASE, GARBAGE, CHANGE, SLIP].map(|things| locked(things, Lost::Nothing));
    made.into_iter().flat_map(|made| made.folders.map(|folder| (Cast::default(), folder))).collect()
}

impl Locked {
    fn folder(&self, role: Role) -> Folder {
        self.folders[usize::from(role.number())].clone()
    }

    /// What is wrong with a folder, but for the text of the contract, which none of these has.
    fn strays(&self, folder: &Folder) -> Vec<Finding> {
        let mut findings = report(&self.cast, std::slice::from_ref(folder)).findings;
        findings.retain(|finding| !matches!(finding, Finding::Text { .. }));
        findings
    }

    fn standing(&self, folder: &Folder) -> Standing {
        report(&self.cast, std::slice::from_ref(folder)).contracts[0].standing
    }

    /// What a folder proves for its keeper.
    fn ours(&self, role: Role, folder: &Folder) -> Vec<Did> {
        let report = report(&self.cast, std::slice::from_ref(folder));
        positions(&report, &late(), id(&self.cast, role)).ours.into_iter().map(|position| position.claim).collect()
    }

    /// Everything about this contract that a party can sign alone, true or not.
    fn lies(&self, role: Role) -> Vec<Item> {
        let (cid, slot) = (self.deal.core.cid(), Slot::default());
        let promises = self.cast.promise_ids(&self.deal.core);
        let mut all: Vec<_> = [O, R]
            .into_iter()
            .flat_map(|said| {
                let [first, second] = [Slot(0), Slot(1)].map(|slot| {
                    let seed = Seed::new(PREIMAGE.to_vec());
                    self.cast.say(role, &Disclosure { cid, slot, seed }, 0)
                });
                [
                    self.cast.say(role, &Final { cid, role: said, promises, slot }, 0),
                    self.cast.say(role, &Abort { cid, slot, promise: promises[0] }, 0),
                    self.cast.say(role, &Resolve { cid, slot, role: said, promises, proof: None }, 0),
                    self.cast.say(role, &Complaint { cid, slot, role: said, proof: *cid.digest() }, 0),
                    self.cast.say(
                        role,
                        &Settlement { cid, slot, role: said, side: Side::Payer, payout: *cid.digest() },
                        0,
                    ),
                    first,
                    second,
                ]
            })
            .map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec()))
            .collect();
        all.push(item(EvidenceKind::Preimage, PREIMAGE.to_vec()));
        all
    }
}

fn of_kind(kind: EvidenceKind) -> impl Fn(&Item) -> bool {
    move |item| item.kind == kind
}

/// The folder without what it has of a kind.
fn bare(mut folder: Folder, kind: EvidenceKind) -> Folder {
    let before = folder.items.len();
    folder.items.retain(|item| !of_kind(kind)(item));
    assert!(folder.items.len() < before, "the folder holds nothing of the kind {}", kind.name());
    folder
}

fn names(dids: &[Did]) -> Vec<(Verb, Actor)> {
    dids.iter().map(|did| (did.verb, did.actor)).collect()
}

// Both promises and the preimage: the originator is bound, and the responder has paid.
#[test]
fn the_responder_proves_that_it_paid() {
    for things in [PURCHASE, CHANGE, SLIP] {
        for lost in [Lost::Nothing, Lost::Preimage] {
            let made = locked(things, lost);
            assert_eq!(made.endings, [Some(Ending::Success); 2], "{things:?}");
            let mut folder = made.folder(R);
            folder.items.retain(|item| !of_kind(EvidenceKind::Redemption)(item));
            assert_eq!(made.standing(&folder), Standing::Opened);
            let table = [
                ("agreed(originator)", Proven),
                ("paid(responder, >= 1.00 EUR)", Proven),
                ("paid(responder, >= 1.01 EUR)", Undecided),
                ("received-money(originator, >= 1.00 EUR)", Proven),
                ("agreed(responder)", Undecided),
                ("paid(originator)", Undecided),
                ("received-money(responder)", Undecided),
                ("delivered(originator)", Undecided),
                ("received(responder)", Undecided),
                ("refunded(responder)", Undecided),
            ];
            expect("the responder's folder", &made.cast, std::slice::from_ref(&folder), &table);
            assert_eq!(made.strays(&folder), []);
            // Each decisive piece, left out.
            let closed = bare(folder.clone(), EvidenceKind::Preimage);
            assert_eq!(made.standing(&closed), Standing::Unopened { promised: true });
            let unpromised = without(&folder, Kind::Promise, Some(id(&made.cast, O)));
            assert_eq!(made.standing(&unpromised), Standing::Unopened { promised: false });
            for less in [closed, unpromised] {
                for text in ["agreed(originator)", "paid(responder)", "received-money(originator)"] {
                    let found = ruling(&made.cast, std::slice::from_ref(&less), text);
                    assert_eq!(found.outcome, Undecided, "{text}");
                }
            }
        }
    }
}

// Its own taking of the money, in which its issuer believed it, is what the originator proves everything with.
#[test]
fn the_originator_proves_with_the_money_that_it_took() {
    for things in [PURCHASE, CHANGE, SLIP] {
        let made = locked(things, Lost::Nothing);
        let folder = made.folder(O);
        assert_eq!(made.standing(&folder), Standing::Complete);
        let table = [("agreed(originator)", Proven), ("agreed(responder)", Proven), ("paid(responder)", Proven)];
        expect("the originator's folder", &made.cast, std::slice::from_ref(&folder), &table);
        let goods = if things == PURCHASE { Proven } else { Undecided };
        let table = [("delivered(originator)", goods), ("received(responder)", goods)];
        expect("the originator's folder", &made.cast, std::slice::from_ref(&folder), &table);
        assert_eq!(made.strays(&folder), []);
    }
    // Money for money: the responder has taken the originator's, and both show it.
    let made = locked(CHANGE, Lost::Nothing);
    let table = [("paid(originator)", Proven), ("received-money(responder)", Proven), ("paid(responder)", Proven)];
    expect("both folders", &made.cast, &made.folders, &table);
}

// The originator knows the preimage anyway. Without its taking of the money, whatever it signs and shows beside it proves nothing against the
// responder but its promise, which binds nobody.
#[test]
fn the_originator_alone_proves_nothing_against_the_responder() {
    for things in [PURCHASE, GARBAGE, CHANGE, SLIP] {
        for lost in [Lost::Nothing, Lost::Promise] {
            let made = locked(things, lost);
            let mut folder = made.folder(O);
            folder.items.retain(|item| !of_kind(EvidenceKind::Redemption)(item));
            folder.items.extend(made.lies(O));
            // The responder's promise never came, but it might have.
            let promise = made.cast.promise(&made.deal.core, R, 0);
            folder.items.push(item(EvidenceKind::Statement, promise.bytes().to_vec()));
            assert_eq!(made.standing(&folder), Standing::Opened);
            let ours = made.ours(O, &folder);
            assert_eq!(names(&ours), [(Verb::Promised, Actor::Party(R))], "{things:?}");
            let table = [
                ("agreed(responder)", Undecided),
                ("delivered(originator)", Undecided),
                ("received(responder)", Undecided),
                ("paid(originator)", Undecided),
                ("received-money(responder)", Undecided),
                ("refunded(responder)", Undecided),
                // Its own words count against itself.
                ("agreed(originator)", Proven),
            ];
            expect("the originator alone", &made.cast, &[folder], &table);
        }
    }
}

// A responder that has both promises and not the preimage proves nothing, whatever it signs.
#[test]
fn a_promise_without_the_preimage_is_not_opened() {
    for things in [PURCHASE, CHANGE, SLIP] {
        let made = locked(things, Lost::Promise);
        let [o, r] = made.endings;
        assert_eq!(r, Some(Ending::Refunded), "{things:?}");
        assert_eq!(o, Some(if things == CHANGE { Ending::Refunded } else { Ending::Lapsed }), "{things:?}");
        let mut folder = made.folder(R);
        assert_eq!(made.standing(&folder), Standing::Unopened { promised: true });
        let table =
            [("refunded(responder)", Proven), ("paid(responder)", Undecided), ("agreed(originator)", Undecided)];
        expect("the responder's folder", &made.cast, std::slice::from_ref(&folder), &table);
        folder.items.extend(made.lies(R).into_iter().filter(|item| !of_kind(EvidenceKind::Preimage)(item)));
        let ours = names(&made.ours(R, &folder));
        assert_eq!(ours, [(Verb::Offered, Actor::Party(O)), (Verb::Promised, Actor::Party(O))], "{things:?}");
        // One promise alone, from either side.
        let alone = without(&made.folder(R), Kind::Promise, Some(id(&made.cast, R)));
        assert_eq!(made.standing(&alone), Standing::Unopened { promised: false });
        assert_eq!(made.standing(&made.folder(O)), Standing::Unopened { promised: false });
    }
}

// Money and bytes changed hands; the bytes are not what was promised. The key in the proof is the preimage itself: nobody's word is needed.
#[test]
fn bad_goods_are_proven_with_the_preimage() {
    let made = locked(GARBAGE, Lost::Nothing);
    assert_eq!(made.endings, [Some(Ending::Success), Some(Ending::Defective)]);
    assert_eq!(made.folder(R).items.iter().filter(|item| of_kind(EvidenceKind::Misbehaviour)(item)).count(), 1);
    let table = [("faulted(originator)", Proven), ("delivered(originator)", Refuted), ("paid(responder)", Proven)];
    expect("the responder's folder", &made.cast, &[made.folder(R)], &table);
    // The seller's own folder says that it delivered, until the buyer shows the proof.
    expect("the seller's folder", &made.cast, &[made.folder(O)], &[("delivered(originator)", Proven)]);
    expect("both folders", &made.cast, &made.folders, &table);
    // Nobody gives the money back.
    for (folders, back) in [(vec![made.folder(R)], Undecided), (made.folders.to_vec(), Refuted)] {
        expect("bad goods", &made.cast, &folders, &[("refunded(responder)", back)]);
    }
    // A proof from another exchange, and one against an honest seller.
    let honest = locked(PURCHASE, Lost::Nothing);
    let mut folder = honest.folder(R);
    folder.items.extend(made.folder(R).items.into_iter().filter(of_kind(EvidenceKind::Misbehaviour)));
    let table = [("faulted(originator)", Undecided)];
    expect("an honest seller", &honest.cast, &[folder], &table);
    // The proof without the arbiter that there is not: trust in arbiters changes nothing.
    let case = Case::of(&[made.folder(R)]).unwrap();
    let claim = bind(&case.examine(&checks(&made.cast)), &"faulted(originator)".parse().unwrap());
    let policy = Policy { arbiters: Some(Vec::new()), ..late() };
    assert_eq!(judge(&checks(&made.cast), &case, &[claim], &policy).rulings[0].outcome, Proven);
}

// Money for money, and nobody opened it: each took its own back. That is not the taking of what the peer had locked.
#[test]
fn money_that_is_taken_back_is_not_money_that_was_taken() {
    let made = locked(CHANGE, Lost::Promise);
    assert_eq!(made.endings, [Some(Ending::Refunded); 2]);
    for role in [O, R] {
        let mut folder = made.folder(role);
        assert_eq!(folder.items.iter().filter(|item| of_kind(EvidenceKind::Redemption)(item)).count(), 1);
        let promise = made.cast.promise(&made.deal.core, R, 0);
        folder.items.push(item(EvidenceKind::Statement, promise.bytes().to_vec()));
        if role == O {
            folder.items.extend(made.lies(O));
            assert_eq!(made.standing(&folder), Standing::Opened);
            assert_eq!(names(&made.ours(O, &folder)), [(Verb::Promised, Actor::Party(R))]);
        }
        let peer = if role == O {
            ["agreed(responder)", "paid(originator)"]
        } else {
            ["agreed(originator)", "paid(responder)"]
        };
        let wrong = if role == O { "refunded(responder)" } else { "refunded(originator)" };
        let table = peer.into_iter().chain([wrong, "received-money(responder)"]).map(|text| (text, Undecided));
        expect("own money", &made.cast, std::slice::from_ref(&folder), &table.collect::<Vec<_>>());
        let right = if role == O { "refunded(originator)" } else { "refunded(responder)" };
        expect("own money", &made.cast, &[folder], &[(right, Proven)]);
    }
    // Each took the peer's: nobody has its own back.
    let made = locked(CHANGE, Lost::Nothing);
    let table = [("refunded(originator)", Refuted), ("refunded(responder)", Refuted)];
    expect("the peer's money", &made.cast, &made.folders, &table);
}

#[test]
fn the_preimage_of_something_else_is_a_stray() {
    let made = locked(SLIP, Lost::Promise);
    let mut folder = made.folder(R);
    assert_eq!(made.strays(&folder), []);
    folder.items.push(item(EvidenceKind::Preimage, [8; 32].to_vec()));
    assert_eq!(made.standing(&folder), Standing::Unopened { promised: true });
    let [stray] = made.strays(&folder).try_into().unwrap();
    assert!(matches!(stray, Finding::StrayPreimage { .. }) && stray.is_fault(), "{stray:?}");
    // One that is not 32 bytes long is none.
    folder.items.push(item(EvidenceKind::Preimage, [8; 31].to_vec()));
    assert!(matches!(made.strays(&folder)[0], Finding::Unreadable { kind: EvidenceKind::Preimage, .. }));
    // What a peer said out of place makes no folder unsound; if it opens the contract after all, it counts.
    let mut folder = made.folder(R);
    folder.items.push(item(EvidenceKind::Late, Message::Preimage([8; 32]).to_bytes()));
    assert_eq!(made.strays(&folder), []);
    folder.items.push(item(EvidenceKind::Late, Message::Preimage(PREIMAGE).to_bytes()));
    assert_eq!(made.standing(&folder), Standing::Opened);
}
