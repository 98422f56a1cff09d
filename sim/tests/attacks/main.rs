//! The named attacks on the exchange, its formats and the arbiter (design/exchange.md §14.6), one test each. Every test ends with a twin: the
//! same thing honestly done is accepted, so that a check which refuses everything fails too.
#![allow(clippy::unwrap_used)]

mod contracts;
mod covers;
mod goods;
mod hands;
mod letters;
mod locks;
mod signers;
mod transfer;

use semper_core::cbor::Encode;
use semper_core::contract::Core;
use semper_core::cose::Signed;
use semper_core::ids::DealId;
use semper_core::machine::{Env, Machine, Step};
use semper_core::party::Role;
use semper_core::time::Time;
use semper_exchange::arbiter::Cell;
use semper_exchange::arbiter::request::{Case, Request, RequestError};
use semper_exchange::arbiter::service::{Next, decide};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Outcome};
use semper_exchange::evidence::{self, Folder, Item};
use semper_exchange::gx::{Completed, Gx, GxError, Message, Promised};
use semper_sim::deal::{Deal, Thing, Things, moment};
use semper_sim::mint;
use semper_sim::scenario::Cast;
use semper_support::crypto::Signer;
use semper_support::engine::{EvidenceKind, Input};

const O: Role = Role::ORIGINATOR;
const R: Role = Role::RESPONDER;
const NOW: Time = Time::from_unix(1000);

fn handle(cast: &Cast, state: &Gx, input: Input) -> Result<Step<Gx>, GxError> {
    state.clone().handle(&Env { now: NOW, verify: &cast.oracle }, input)
}

fn receive(cast: &Cast, state: &Gx, message: &Message) -> Result<Step<Gx>, GxError> {
    handle(cast, state, Input::Message(message.to_bytes()))
}

fn case(cast: &Cast, request: &Request) -> Result<Case, RequestError> {
    cast.court().check(request)
}

fn promises(cast: &Cast, core: &Core) -> [Signed; 2] {
    [O, R].map(|role| cast.promise(core, role, 0))
}

fn last(completion: Signed) -> Message {
    Message::Final(Completed { completion, release: Vec::new(), payout: Vec::new() })
}

fn stands(outcome: Outcome) -> Option<Cell> {
    Some(Cell { outcome, time: NOW, closing: None })
}

fn rule_on(cast: &Cast, request: &Request) -> ArbiterAnswer {
    let case = case(cast, request).unwrap();
    let Next::SignAndStore(draft) = decide(None, &case, cast.arbiter.key_set(), 0, NOW) else { panic!("not ruled") };
    let promises = if request.promises.len() == 2 { request.promises.clone() } else { Vec::new() };
    ArbiterAnswer { promises, ..ArbiterAnswer::of(cast.arbiter.sign(draft).unwrap()) }
}

fn report(cast: &Cast, core: &Core, statements: &[&Signed]) -> evidence::Report {
    let item = |kind, bytes| Item { kind, time: NOW, bytes };
    let [o, r] = cast.key_sets();
    let mut items = vec![item(EvidenceKind::Core, core.to_bytes())];
    items.extend([&o, &r, cast.arbiter.key_set()].map(|keys| item(EvidenceKind::KeySet, keys.to_bytes())));
    items.extend(statements.iter().map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())));
    evidence::verify(&cast.oracle, &[], &Folder { deal: DealId::from_array([0; 16]), items })
}

/// A contract of more than signatures, and both promises with whatever tokens.
fn deal(things: Things) -> (Cast, Deal, [Promised; 2]) {
    let cast = Cast::default();
    let deal = Deal::new(&cast, things, None);
    let promised = |role: Role| {
        let pays = things[usize::from(role.number())] == Thing::Money;
        let token = if pays { mint::token(role.number(), 0) } else { Vec::new() };
        Promised { token, ..Promised::bare(cast.promise(&deal.core, role, 0)) }
    };
    let promises = [promised(O), promised(R)];
    (cast, deal, promises)
}

fn decided(outcome: Outcome) -> Option<Cell> {
    Some(Cell { outcome, time: moment(0), closing: None })
}
