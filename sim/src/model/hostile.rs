//! What a malicious party can say from its keys and what it has seen.
//!
//! Identifiers are hashes of what anybody can write, so it need not have seen what it answers; only signatures and tokens are somebody's.

use semper_core::cbor::Encode;
use semper_core::contract::{Final, Promise};
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::party::Role;
use semper_exchange::arbiter::request::{Abort, Complaint, Request, Resolve, Revocation, Settlement};
use semper_exchange::goods::{Claim, Pom};
use semper_exchange::gx::{Completed, Message, Promised};
use semper_transfer::payment::statement::Side;

use super::{revoke, show, timed};
use crate::deal::{Deal, SALE, SIGNING, Thing, Things};
use crate::mint;
use crate::scenario::Cast;

/// How many locks a malicious party makes for one contract.
pub(super) const LOCKS: usize = 1;

/// Messages to the peer.
pub(super) fn messages(cast: &Cast, deal: &Deal, things: Things, role: Role) -> Vec<Message> {
    let core = &deal.core;
    let [first, second] = cast.promise_ids(core);
    let cid = core.cid();
    let last = |completion, release| Message::Final(Completed { completion, release, payout: payout(things, role) });
    let mut all: Vec<_> = promises(cast, deal, things, role).into_iter().map(Message::Promise).collect();
    all.extend(releases(cast, deal, things, role).into_iter().map(|item| last(cast.completion(core, role), item)));
    all.push(Message::Decline(String::new()));
    if things == SIGNING {
        let promise = |promise| Message::Promise(Promised::bare(promise));
        let unasked = cast.say(role, &Promise { cid, role, answers: Some(second) }, 0);
        let crossed = cast.say(role, &Final { cid, role, promises: [second, first], slot: Slot::default() }, 0);
        all.extend([promise(cast.promise(core, role, 1)), promise(unasked), last(crossed, Vec::new())]);
    } else {
        // Nowhere to send money to.
        let plain = promises(cast, deal, things, role).swap_remove(0);
        all.push(Message::Promise(Promised { payout: Vec::new(), ..plain }));
    }
    all
}

/// Promises with every token that the party can have.
fn promises(cast: &Cast, deal: &Deal, things: Things, role: Role) -> Vec<Promised> {
    let promise = cast.promise(&deal.core, role, 0);
    let promised = |token| Promised { promise: promise.clone(), token, payout: payout(things, role) };
    tokens(cast, deal, things, role).into_iter().map(promised).collect()
}

fn gives(things: Things, role: Role) -> Thing {
    things[usize::from(role.number())]
}

fn payout(things: Things, role: Role) -> Vec<u8> {
    let paid = gives(things, role.peer()) == Thing::Money;
    if paid { mint::payout(role.number()) } else { Vec::new() }
}

/// Tokens for what a party gives: of its locks, and of none.
fn tokens(cast: &Cast, deal: &Deal, things: Things, owner: Role) -> Vec<Vec<u8>> {
    match gives(things, owner) {
        Thing::Right => revoke::tokens(cast, deal),
        Thing::Show => show::tokens(cast, deal),
        Thing::Money => {
            let locks = (0..).take(LOCKS).map(|number| mint::token(owner.number(), number));
            locks.chain([b"none".to_vec()]).collect()
        }
        _ => vec![Vec::new()],
    }
}

/// What it can give, or pretend to give.
fn releases(cast: &Cast, deal: &Deal, things: Things, role: Role) -> Vec<Vec<u8>> {
    match gives(things, role) {
        Thing::Signature | Thing::Show => vec![Vec::new()],
        Thing::Information | Thing::BadInformation => {
            let signed = [true, false].map(|right| deal.disclosure(cast, role, right));
            let signed = signed.into_iter().flatten().map(|signed| signed.bytes().to_vec());
            signed.chain([b"nothing".to_vec()]).collect()
        }
        Thing::Right => revoke::releases(cast, deal),
        Thing::Transfer => vec![mint::token(role.number(), 0), b"nothing".to_vec()],
        Thing::Money => {
            let (token, to) = (mint::token(role.number(), 0), mint::payout(role.peer().number()));
            vec![mint::authorisation(role.number(), &token, &to), b"nothing".to_vec()]
        }
    }
}

/// Requests to the arbiter; `theirs` is the peer's promise, if it was seen.
pub(super) fn requests(
    cast: &Cast,
    deal: &Deal,
    things: Things,
    role: Role,
    theirs: Option<&Promised>,
) -> Vec<Request> {
    let mut all = Vec::new();
    let mine = if things == SIGNING {
        [0, 1].map(|variant| Promised::bare(cast.promise(&deal.core, role, variant))).to_vec()
    } else {
        promises(cast, deal, things, role)
    };
    let ask = Asking { cast, deal, role };
    let Some(theirs) = theirs else {
        if role == Role::ORIGINATOR {
            all.push(ask.abort(vec![mine[0].clone()]));
            all.extend(mine.iter().flat_map(|mine| ask.settle(things, vec![mine.clone()])));
        }
        return all;
    };
    // The peer's signature stands on its promise, not on what came with it.
    let others = tokens(cast, deal, things, role.peer()).into_iter().chain([theirs.token.clone()]);
    let others: Vec<_> = others.map(|token| Promised { token, ..theirs.clone() }).collect();
    for mine in &mine {
        for theirs in &others {
            let both = if role == Role::ORIGINATOR { [mine, theirs] } else { [theirs, mine] };
            let both: Vec<_> = both.into_iter().cloned().collect();
            all.extend(timed::proofs(deal).into_iter().map(|proof| ask.resolve(both.clone(), proof)));
            if things == SALE {
                all.push(ask.revoke(both.clone()));
            }
            if things != SIGNING {
                all.push(ask.complain(both.clone()));
                all.extend(ask.settle(things, both.clone()));
                all.push(ask.abort(both));
            }
        }
    }
    all.dedup();
    all
}

struct Asking<'a> {
    cast: &'a Cast,
    deal: &'a Deal,
    role: Role,
}

impl Asking<'_> {
    fn ask(&self, promises: Vec<Promised>, question: &impl Statement, proof: Vec<u8>, payout: Vec<u8>) -> Request {
        let question: Signed = self.cast.say(self.role, question, 0);
        Request { core: self.deal.core.clone(), key_sets: self.cast.key_sets(), promises, question, proof, payout }
    }

    fn abort(&self, promises: Vec<Promised>) -> Request {
        let promise = promises[0].promise.id();
        let abort = Abort { cid: self.deal.core.cid(), slot: Slot::default(), promise };
        self.ask(promises, &abort, Vec::new(), Vec::new())
    }

    fn resolve(&self, promises: Vec<Promised>, proof: Vec<u8>) -> Request {
        let ids = [promises[0].promise.id(), promises[1].promise.id()];
        let named = (!proof.is_empty()).then(|| Digest::of(domain::PROOF, &proof));
        let cid = self.deal.core.cid();
        let resolve = Resolve { cid, slot: Slot::default(), promises: ids, role: self.role, proof: named };
        self.ask(promises, &resolve, proof, Vec::new())
    }

    fn revoke(&self, promises: Vec<Promised>) -> Request {
        let ids = [promises[0].promise.id(), promises[1].promise.id()];
        let revocation = Revocation { cid: self.deal.core.cid(), slot: Slot::default(), promises: ids };
        self.ask(promises, &revocation, Vec::new(), Vec::new())
    }

    /// A complaint about the peer's goods that is not true.
    fn complain(&self, promises: Vec<Promised>) -> Request {
        let slot = Slot(u16::from(self.role.peer().number()) + 1);
        let proof = Pom { cid: self.deal.core.cid(), slot, claim: Claim::NoKey }.to_bytes();
        let digest = Digest::of(domain::MISBEHAVIOUR, &proof);
        let (cid, role) = (self.deal.core.cid(), self.role);
        self.ask(promises, &Complaint { cid, slot: Slot::default(), role, proof: digest }, proof, Vec::new())
    }

    /// Requests for money, to itself.
    fn settle(&self, things: Things, promises: Vec<Promised>) -> Vec<Request> {
        let sides = [(Side::Payer, self.role), (Side::Payee, self.role.peer())];
        let sides = sides.into_iter().filter(|(_, owner)| gives(things, *owner) == Thing::Money);
        let settle = |(side, _)| {
            let payout = mint::payout(self.role.number());
            let digest = Digest::of(domain::PAYOUT, &payout);
            let (cid, role) = (self.deal.core.cid(), self.role);
            let settlement = Settlement { cid, slot: Slot::default(), role, side, payout: digest };
            self.ask(promises.clone(), &settlement, Vec::new(), payout)
        };
        sides.map(settle).collect()
    }
}
