//! How parties cheat. A cheating party runs the real process with one deviation, and beside it says and asks, at any time, what it can
//! build from its keys and from what it has heard.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use semper_commerce::deal::{self, Deal};
use semper_commerce::order;
use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::contract::Core;
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::party::Role;
use semper_core::time::Seconds;
use semper_exchange::arbiter::request::{Abort, Complaint, Request, Resolve, Settlement};
use semper_exchange::goods::{Claim, Disclosure, Pom, Seed};
use semper_exchange::gx::{self, Leg, Own, Promised, Run};
use semper_exchange::lx;
use semper_support::crypto::Encapsulate as _;
use semper_transfer::payment::means::LockKind;
use semper_transfer::payment::operation::{Lock, Operation, OperationId, Task};
use semper_transfer::payment::statement::Side;

use super::node::Said;
use super::{ARBITER, BUYER, Event, SELLER, World, fair};

/// Who cheats, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plot {
    /// Nobody.
    Honest,
    /// The seller sends nothing more from a message on: 0 the contract, 1 its promise, 2 its final.
    SilentSeller(u8),
    /// The goods are not what they are said to be.
    GarbageGoods,
    /// What opens the deposit does not open the goods.
    WrongKey,
    /// The seller's final, or the preimage that it says, opens nothing.
    WrongSeed,
    /// The seller's final comes without anything.
    BareFinal,
    /// The seller does whatever it can think of.
    MischievousSeller,
    /// The buyer sends nothing more from a message on: 1 its promise, 2 its final.
    SilentBuyer(u8),
    /// The buyer's token is no money.
    BadToken,
    /// The buyer locks money otherwise than agreed: it could take it back at once.
    EarlyLock,
    /// The buyer locks less than agreed.
    SmallLock,
    /// The buyer's final releases no money.
    BadAuthorisation,
    /// The buyer does whatever it can think of.
    MischievousBuyer,
}

impl Plot {
    pub(super) fn of(rng: &mut ChaCha8Rng, lock: LockKind) -> Self {
        let plot = Self::any(rng);
        match plot {
            // The buyer says nothing after its promise, and the seller's final is what it takes the money with.
            Self::BareFinal | Self::BadAuthorisation | Self::SilentBuyer(2) if lock == LockKind::Hash => Self::Honest,
            plot => plot,
        }
    }

    fn any(rng: &mut ChaCha8Rng) -> Self {
        match rng.random_range(0..26) {
            0..9 => Self::Honest,
            9..12 => Self::SilentSeller(rng.random_range(0..3)),
            12 | 13 => Self::GarbageGoods,
            14 => Self::WrongKey,
            15 => Self::WrongSeed,
            16 => Self::BareFinal,
            17 | 18 => Self::MischievousSeller,
            19 => Self::SilentBuyer(1),
            20 => Self::SilentBuyer(2),
            21 => Self::BadToken,
            22 => Self::EarlyLock,
            23 => Self::BadAuthorisation,
            24 => [Self::SmallLock, Self::MischievousBuyer][rng.random_range(0..2_usize)],
            _ => Self::MischievousBuyer,
        }
    }

    /// Who cheats.
    pub(super) fn cheat(self) -> Option<usize> {
        use Plot::{
            BadAuthorisation, BadToken, BareFinal, EarlyLock, GarbageGoods, Honest, MischievousBuyer,
            MischievousSeller, SilentBuyer, SilentSeller, SmallLock, WrongKey, WrongSeed,
        };
        match self {
            Honest => None,
            SilentSeller(_) | GarbageGoods | WrongKey | WrongSeed | BareFinal | MischievousSeller => Some(SELLER),
            SilentBuyer(_) | BadToken | EarlyLock | SmallLock | BadAuthorisation | MischievousBuyer => Some(BUYER),
        }
    }

    /// How often the cheating party does something beside its process.
    pub(super) fn pranks(self) -> u32 {
        match self {
            Plot::MischievousSeller | Plot::MischievousBuyer | Plot::SilentBuyer(2) | Plot::GarbageGoods => 40,
            Plot::BadToken | Plot::EarlyLock => 12,
            _ => 3,
        }
    }
}

fn role(who: usize) -> Role {
    if who == SELLER { Role::ORIGINATOR } else { Role::RESPONDER }
}

impl World<'_> {
    /// What a party really sends; nothing if it is silent.
    pub(super) fn tampered(&self, who: usize, deal: &Deal, body: Vec<u8>) -> Option<Vec<u8>> {
        if !self.cheats(who) {
            return Some(body);
        }
        let message = deal::Message::from_bytes(&body).ok()?;
        let said = if message.step == 1 { Said::read(self.lock, &message.body) } else { None };
        let is_contract = matches!(order::Message::from_bytes(&message.body), Ok(order::Message::Contract(_)));
        let place = match &said {
            Some(Said::Gx(gx::Message::Promise(_)) | Said::Lx(lx::Message::Promise(_))) => 1,
            Some(Said::Gx(gx::Message::Final(_)) | Said::Lx(lx::Message::Preimage(_))) => 2,
            Some(_) => 3,
            None => u8::from(!is_contract) * u8::MAX,
        };
        let changed = match (self.plot, said) {
            (Plot::SilentSeller(from) | Plot::SilentBuyer(from), _) if place != u8::MAX && place >= from => {
                return None;
            }
            (Plot::BadToken, Some(Said::Gx(gx::Message::Promise(said)))) => {
                Said::Gx(gx::Message::Promise(Promised { token: b"no money".to_vec(), ..said }))
            }
            (Plot::BadToken, Some(Said::Lx(lx::Message::Promise(said)))) => {
                Said::Lx(lx::Message::Promise(Promised { token: b"no money".to_vec(), ..said }))
            }
            (Plot::BadAuthorisation, Some(Said::Gx(gx::Message::Final(mut said)))) => {
                said.release.reverse();
                Said::Gx(gx::Message::Final(said))
            }
            (Plot::BareFinal, Some(Said::Gx(gx::Message::Final(mut said)))) => {
                said.release.clear();
                Said::Gx(gx::Message::Final(said))
            }
            (Plot::WrongSeed, Some(Said::Lx(lx::Message::Preimage(mut preimage)))) => {
                preimage.reverse();
                Said::Lx(lx::Message::Preimage(preimage))
            }
            (Plot::WrongSeed, Some(Said::Gx(gx::Message::Final(mut said)))) => {
                let cid = deal.agreement()?.core.cid();
                let seed = Seed::new(vec![0xee; self.cast.oracle.seed_len(self.deposit_key().suite)]);
                let wrong = Disclosure { cid, slot: Slot(0), seed };
                said.release = self.cast.say(Role::ORIGINATOR, &wrong, 0).bytes().to_vec();
                Said::Gx(gx::Message::Final(said))
            }
            _ => return Some(body),
        };
        Some(deal::Message { body: changed.to_bytes(), ..message }.to_bytes())
    }

    /// The payment operation that a party really begins.
    pub(super) fn plotted(&self, who: usize, operation: Operation) -> Operation {
        let task = match (self.plot, &operation.task) {
            (Plot::EarlyLock, Task::Lock(lock)) if self.cheats(who) => {
                Task::Lock(Lock { refund_after: self.now.after(Seconds(3600)), ..lock.clone() })
            }
            (Plot::SmallLock, Task::Lock(lock)) if self.cheats(who) => {
                Task::Lock(Lock { amount: fair::amount(1), ..lock.clone() })
            }
            _ => return operation,
        };
        Operation { task, ..operation }
    }

    /// A cheating party does something that its program would not.
    pub(super) fn mischief(&mut self) {
        let Some(who) = self.plot.cheat() else { return };
        let Some(stored) = self.stored(who) else { return };
        let Some(core) = stored.deal.agreement().map(|agreement| agreement.core.clone()) else { return };
        let me = role(who);
        let prank = self.rng.random_range(0..9);
        self.note(format_args!("mischief {prank}"));
        match prank {
            0 => {
                let promise = self.promised(&core, me);
                let abort = Abort { cid: core.cid(), slot: Slot::default(), promise: promise.promise.id() };
                self.bother(who, &core, vec![promise], &abort);
            }
            1 | 2 => {
                let promises = [Role::ORIGINATOR, Role::RESPONDER].map(|role| self.promised(&core, role));
                let ids = promises.each_ref().map(|promised| promised.promise.id());
                let resolve = Resolve { cid: core.cid(), slot: Slot::default(), promises: ids, role: me, proof: None };
                self.bother(who, &core, promises.into(), &resolve);
            }
            3 => self.complain(who, &core),
            4 => self.demand(who, &core),
            5 => self.repeat(who),
            6 => self.payout(who, &core),
            _ => self.grab(who, &core),
        }
    }

    /// A party's promise: as it was said, or as the cheating party says it now.
    fn promised(&self, core: &Core, of: Role) -> Promised {
        let theirs = |said: &&Promised| core.role_of(said.promise.signer()) == Some(of);
        let said = self.heard.iter().rev().find_map(|said| said.promise().filter(theirs)).cloned();
        let mine = self.plot.cheat().map(role) == Some(of);
        // What nobody has said yet cannot be signed by anybody else: the request is then invalid.
        let signer = if mine { of } else { of.peer() };
        let forged = || match of {
            Role::ORIGINATOR => self.cast.promise(core, signer, 0),
            _ => self.cast.say(
                signer,
                &semper_core::contract::Promise {
                    cid: core.cid(),
                    role: of,
                    answers: Some(self.cast.promise(core, Role::ORIGINATOR, 0).id()),
                },
                0,
            ),
        };
        let token = if of == Role::RESPONDER { b"no money".to_vec() } else { Vec::new() };
        said.unwrap_or_else(|| Promised { promise: forged(), token, payout: Vec::new() })
    }

    fn bother(&mut self, who: usize, core: &Core, promises: Vec<Promised>, question: &impl Statement) {
        self.bother_with(who, core, promises, question, Vec::new(), Vec::new());
    }

    fn bother_with(
        &mut self,
        who: usize,
        core: &Core,
        promises: Vec<Promised>,
        question: &impl Statement,
        proof: Vec<u8>,
        payout: Vec<u8>,
    ) {
        let question = self.cast.say(role(who), question, 0);
        let key_sets = self.cast.key_sets();
        let request = Request { core: core.clone(), key_sets, promises, question, proof, payout };
        let id = Digest::of_parts(domain::INPUT, &[b"prank", &self.count.to_be_bytes()]);
        self.at(1, Event::Request { from: who, id, bytes: request.to_bytes() });
    }

    fn both(&self, core: &Core) -> Vec<Promised> {
        [Role::ORIGINATOR, Role::RESPONDER].map(|role| self.promised(core, role)).into()
    }

    /// A complaint about goods that are as promised.
    fn complain(&mut self, who: usize, core: &Core) {
        let disclosed = self.heard.iter().find_map(|said| Signed::from_bytes(&said.release()?).ok());
        let claim = match disclosed {
            Some(disclosure) if self.chance(50) => Claim::BadSeed(disclosure),
            _ => Claim::NoKey,
        };
        let proof = Pom { cid: core.cid(), slot: Slot(0), claim }.to_bytes();
        let hash = Digest::of(domain::MISBEHAVIOUR, &proof);
        let complaint = Complaint { cid: core.cid(), slot: Slot::default(), role: role(who), proof: hash };
        let promises = self.both(core);
        self.bother_with(who, core, promises, &complaint, proof, Vec::new());
    }

    /// A demand for the money.
    fn demand(&mut self, who: usize, core: &Core) {
        let side = if who == BUYER { Side::Payer } else { Side::Payee };
        let payout = self.spoils(who).pop().unwrap_or_else(|| b"nowhere".to_vec());
        let hash = Digest::of(domain::PAYOUT, &payout);
        let settle = Settlement { cid: core.cid(), slot: Slot::default(), role: role(who), side, payout: hash };
        let promises = self.both(core);
        self.bother_with(who, core, promises, &settle, Vec::new(), payout);
    }

    /// Says again what somebody has said.
    fn repeat(&mut self, who: usize) {
        if self.heard.is_empty() {
            return;
        }
        let place = self.rng.random_range(0..self.heard.len());
        let body = self.heard[place].to_bytes();
        let bytes = deal::Message { step: 1, body, opening: None }.to_bytes();
        let id = Digest::of_parts(domain::INPUT, &[b"prank", &self.count.to_be_bytes()]);
        self.at(1, Event::Deliver { to: 1 - who, id, bytes });
    }

    /// The lock of the contract, as it was agreed.
    fn lock(&self, core: &Core) -> Option<Lock> {
        let (me, arbiter) = (self.key_set(BUYER), self.key_set(ARBITER));
        let own = Own { purse: Some((self.deal, fair::purse(BUYER))), ..Own::default() };
        let arbiter = core.arbiter().map(|_| arbiter);
        let run = Run::new(core.clone(), &me, self.cast.key_sets(), arbiter, Seconds(1), own).ok()?;
        match run.gives() {
            Leg::Money(lock) => Some((**lock).clone()),
            _ => None,
        }
    }

    fn prank(&mut self, who: usize, task: Task) {
        let id = OperationId::of_owner(self.rng.random());
        self.pranks.insert(id);
        self.begin(who, Operation { id, purse: fair::purse(who), deal: None, task });
    }

    /// What the cheating party's own operations have given it.
    fn spoils(&self, who: usize) -> Vec<Vec<u8>> {
        let done = self.pranks.iter().filter_map(|id| self.end_of(who, *id)?.result.ok());
        done.map(|outcome| outcome.handover).filter(|handover| !handover.is_empty()).collect()
    }

    fn token(&self, core: &Core) -> Vec<u8> {
        self.promised(core, Role::RESPONDER).token
    }

    /// Makes ready to be paid.
    fn payout(&mut self, who: usize, core: &Core) {
        let Some(lock) = self.lock(core) else { return };
        let to = if who == BUYER { Side::Payer } else { Side::Payee };
        let token = self.token(core);
        self.prank(who, Task::Payout { lock, token, to });
    }

    /// Tries to take the money, with whatever there is for an authorisation.
    fn grab(&mut self, who: usize, core: &Core) {
        let Some(lock) = self.lock(core) else { return };
        let lock = if self.plot == Plot::EarlyLock && self.chance(50) {
            Lock { refund_after: self.now, ..lock }
        } else {
            lock
        };
        let to = if self.chance(85) == (who == BUYER) { Side::Payer } else { Side::Payee };
        let token = self.token(core);
        let mut found = self.loot.clone();
        found.extend(self.heard.iter().filter_map(Said::release));
        if who == SELLER && self.lock == LockKind::Hash {
            found.extend(self.seeds.iter().cloned());
        }
        found.push(Vec::new());
        found.extend(self.spoils(who));
        let authorisation = found.swap_remove(self.rng.random_range(0..found.len()));
        let task = match self.rng.random_range(0..4) {
            0 => Task::Reclaim(OperationId::of(self.deal, Slot::default(), "lock")),
            1 => {
                let payout = self.spoils(who).pop().unwrap_or_default();
                Task::Authorise { lock, token, payout, to }
            }
            _ => Task::Redeem { lock, token, to, authorisation },
        };
        self.prank(who, task);
    }
}
