//! What must hold at the end of every run.

use semper_commerce::deal::Deal;
use semper_core::party::Role;
use semper_core::time::Seconds;
use semper_exchange::arbiter::verdict::{ClosingOutcome, Outcome};
use semper_exchange::claims::{self, Actor, Case, Claim, Did, Policy, Verb};
use semper_exchange::evidence::{self, Checks, Finding, Folder, Standing};
use semper_support::archive::Archive as _;
use semper_support::crypto::Encapsulate;
use semper_support::engine::Ending;
use semper_transfer::payment::Module;
use semper_transfer::payment::journal::{Entry, HISTORY_SPACE, load_entry};
use semper_transfer::payment::means::LockKind;
use semper_transfer::payment::module::{Balance, Next};
use semper_transfer::payment::operation::{OperationId, Task};
use semper_transfer::payment::statement::Side;

use super::fair::{self, Customer, FUNDS, PRICE};
use super::{ARBITER, BUYER, Means, Name, OVER, Outcomes, Plot, SELLER, World, node};
use crate::world::ready;

/// What somebody has in the end.
struct Purse {
    balance: Balance,
    /// What has gone out and what has come in, fees included, by what the operations on it have said.
    moved: i64,
}

impl Purse {
    fn has(&self) -> u64 {
        self.balance.available.minor() + self.balance.pending.minor()
    }
}

/// Most that the fees of one purchase come to, in minor units; less than the price.
const FEES_MAX: u64 = 4;

/// The role that a party has in the contract.
fn role(who: usize) -> Role {
    if who == SELLER { Role::ORIGINATOR } else { Role::RESPONDER }
}

impl World<'_> {
    /// Counts the money, and looks at what everybody has, was promised and can prove.
    pub(super) fn judge(&mut self) -> Result<Outcomes, String> {
        self.now = self.begun.after(OVER).after(Seconds(7 * 86_400));
        let register = self.register()?;
        let mut endings = [None, None];
        for who in [SELLER, BUYER] {
            let deal = self.stored(who).map(|stored| stored.deal);
            endings[who] = deal.as_ref().and_then(Deal::ending);
            if let Some(deal) = deal.filter(|_| !self.cheats(who)) {
                let stuck = || format!("S8: {} is stuck in {:?}", Name(who), deal.position());
                endings[who].ok_or_else(stuck)?;
                self.has_nothing_left_to_do(who)?;
            }
        }
        let purses = [SELLER, BUYER, ARBITER].map(|who| self.purse(who));
        let [seller, buyer, arbiter] = purses;
        let (seller, buyer, arbiter) = (seller?, buyer?, arbiter?);
        self.books([&seller, &buyer, &arbiter])?;
        let paid = self.seller_is_paid(&seller)?;
        let has_paid = self.buyer_has_paid(&buyer)?;
        self.fairness(endings, paid, has_paid)?;
        for who in [SELLER, BUYER] {
            if let Some(ending) = endings[who].filter(|_| !self.cheats(who)) {
                self.proves(who, ending, register)?;
            }
        }
        Ok(Outcomes {
            means: self.means,
            plot: self.plot,
            endings,
            verdict: register,
            delivered: self.opened,
            paid: seller.balance.available.minor(),
            crashes: self.crashes,
            events: self.happened,
        })
    }

    fn has_nothing_left_to_do(&self, who: usize) -> Result<(), String> {
        let store = &self.nodes[who].store;
        let outbox = ready(store.outbox_of(&self.key())).map_err(|e| e.to_string())?;
        // A cheating peer may refuse what it is sent for ever.
        let asked = outbox.iter().filter(|waiting| waiting.message.destination != node::PEER).count();
        if asked > 0 || (!outbox.is_empty() && self.plot.cheat().is_none()) {
            return Err(format!("S8: {} still sends {} messages", Name(who), outbox.len()));
        }
        for space in [node::ASKS, node::EXAMINATIONS] {
            if !ready(store.records(space, None, 1)).map_err(|e| e.to_string())?.is_empty() {
                return Err(format!("S8: {} still has an entry under {space}", Name(who)));
            }
        }
        match self.open_operations(who).as_slice() {
            [] => Ok(()),
            open => Err(format!("S8: {} has {} open operations", Name(who), open.len())),
        }
    }

    /// Somebody's purse, once the issuer was asked about everything in it.
    fn purse(&self, who: usize) -> Result<Purse, String> {
        let node = &self.nodes[who];
        let module = &*self.fair.modules[who];
        let customer = Customer { hand: node.hand.clone(), store: &node.store, module, purse: fair::purse(who) };
        let moved = self.moved(who)?;
        let done =
            customer.calm(&self.cast, &self.fair.issuer, self.now, OperationId::of_owner([0xee; 16]), Task::Refresh);
        done.map_err(|error| format!("{} cannot count its money: {error}", Name(who)))?;
        let (purse, _) = customer.stored()?;
        Ok(Purse { balance: module.balance(&purse), moved })
    }

    /// By how much the operations of this run have changed somebody's purse, as they have said.
    fn moved(&self, who: usize) -> Result<i64, String> {
        let store = &self.nodes[who].store;
        let (mut moved, mut returned, mut fees) = (0, false, 0);
        for (place, _) in ready(store.records(HISTORY_SPACE, None, 1000)).map_err(|e| e.to_string())? {
            let id = place.get(8..).and_then(|id| id.try_into().ok()).map(OperationId::from_array);
            let loaded = id.map(|id| ready(load_entry(store, &id))).transpose().map_err(|e| e.to_string())?;
            let Some(Some((Entry { operation, next: Some(Next::Done(outcome)), begun, .. }, _))) = loaded else {
                continue;
            };
            if begun <= fair::OPENED {
                continue;
            }
            let [amount, fee] = [outcome.moved, outcome.fee].map(|amount| amount.minor().cast_signed());
            match operation.task {
                Task::Lock(_) => {
                    moved -= amount + fee;
                    fees += fee;
                }
                // The fee for what comes in was taken from it on its way.
                Task::Redeem { to, .. } => {
                    moved += amount;
                    returned |= to == Side::Payer;
                }
                _ if amount + fee == 0 || self.cheats(who) => {}
                task => return Err(format!("S5: {} of {} has moved {}", task.verb(), Name(who), outcome.moved)),
            }
        }
        // A bank takes its fee with the money that it pays out: what comes back comes back with the fee.
        Ok(if returned && self.means == Means::Account { moved + fees } else { moved })
    }

    /// S5: what everybody holds is what the issuer owes.
    fn books(&self, purses: [&Purse; 3]) -> Result<(), String> {
        let (owed, faults) = self.fair.issuer.audit()?;
        if let Some(fault) = faults.first() {
            return Err(format!("S5: the books do not add up: {fault}"));
        }
        let held: u64 = purses.iter().map(|purse| purse.has()).sum();
        if held == owed { Ok(()) } else { Err(format!("S5: the issuer owes {owed}, the parties hold {held}")) }
    }

    /// Whether the seller has the price, to the last unit.
    fn seller_is_paid(&self, purse: &Purse) -> Result<bool, String> {
        let has = purse.has();
        self.adds_up(SELLER, purse, 0)?;
        match has {
            0 => Ok(false),
            PRICE => Ok(true),
            _ => Err(format!("S5: the seller has {has}")),
        }
    }

    /// Whether the price has left the buyer. The rest of what it lacks are fees that its operations have said.
    fn buyer_has_paid(&self, purse: &Purse) -> Result<bool, String> {
        self.adds_up(BUYER, purse, FUNDS)?;
        let pending = purse.balance.pending.minor();
        if pending > 0 && !self.cheats(BUYER) {
            return Err(format!("S5: {pending} of the buyer's money are locked for ever"));
        }
        let lacks = FUNDS - purse.has().min(FUNDS);
        if lacks > PRICE + FEES_MAX || purse.has() > FUNDS {
            return Err(format!("S5: the buyer had {FUNDS} and lacks {lacks}"));
        }
        Ok(lacks >= PRICE)
    }

    fn adds_up(&self, who: usize, purse: &Purse, began: u64) -> Result<(), String> {
        let expected = began.cast_signed() + purse.moved;
        if self.cheats(who) || purse.has().cast_signed() == expected {
            return Ok(());
        }
        Err(format!("S5: {} has {}, by its operations it has {expected}", Name(who), purse.has()))
    }

    /// S2 and S3: nobody honest loses anything for nothing, and endings say what happened.
    fn fairness(&self, endings: [Option<Ending>; 2], paid: bool, has_paid: bool) -> Result<(), String> {
        // Without an arbiter nobody rules on goods that are not what was promised.
        let may_be_defective = self.lock == LockKind::Hash && matches!(self.plot, Plot::GarbageGoods | Plot::WrongKey);
        if !self.cheats(BUYER) && has_paid && !self.opened && !may_be_defective {
            return Err(format!("S2: the buyer has paid and has nothing: {endings:?}"));
        }
        if !self.cheats(SELLER) && self.told && !paid {
            return Err(format!("S2: the buyer has the goods, the seller no money: {endings:?}"));
        }
        if self.plot.cheat().is_none() && (paid, has_paid) != (self.opened, self.opened) {
            return Err(format!("S3: paid {has_paid}, got {paid}, opened {}: {endings:?}", self.opened));
        }
        for (who, gains) in [(SELLER, paid), (BUYER, self.opened)] {
            let Some(ending) = endings[who].filter(|_| !self.cheats(who)) else { continue };
            let fits = match ending {
                Ending::Success => gains,
                Ending::Aborted | Ending::Lapsed => !gains,
                Ending::Refunded => who == BUYER && !has_paid,
                Ending::Defective => who == BUYER && has_paid && may_be_defective,
                Ending::Unconfirmed | Ending::Faulted | Ending::Unsettled | Ending::Recalled => false,
            };
            if !fits {
                let what = format!("paid {has_paid}, got {paid}, opened {}", self.opened);
                return Err(format!("S3: {} believes {ending:?}, but {what}", Name(who)));
            }
        }
        Ok(())
    }

    /// S9: a stranger concludes from a party's own archive what has happened, and what the party believes.
    fn proves(
        &self,
        who: usize,
        ending: Ending,
        register: Option<(Outcome, Option<ClosingOutcome>)>,
    ) -> Result<(), String> {
        let folder = Folder { deal: self.deal, items: node::evidence(self, who)? };
        if folder.items.is_empty() {
            // Nothing was agreed on, not even what to talk about.
            return if ending == Ending::Lapsed { Ok(()) } else { Err(format!("S9: {ending:?} without evidence")) };
        }
        let module: &dyn Module = &*self.fair.modules[who];
        let (oracle, systems) = (&self.cast.oracle, [module]);
        let kem: Option<&dyn Encapsulate> = Some(oracle);
        let checks = Checks { verify: oracle, kem, systems: &systems, stamps: None, submissions: None };
        let report = evidence::examine(&checks, folder.deal, &folder.items);
        let me = role(who);
        let bad = |finding: &&Finding| match finding {
            Finding::CompletedAfterAbort { role, .. } => *role == me || self.plot.cheat().is_none(),
            other => other.is_fault() || matches!(other, Finding::ArbiterEquivocated { .. }),
        };
        if let Some(finding) = report.findings.iter().find(bad) {
            return Err(format!("S9: the folder of {} has a fault: {finding}", Name(who)));
        }
        let standing = report.contracts.first().map(|contract| contract.standing);
        let seller_fault = matches!(
            register,
            Some((Outcome::Fault(Role::ORIGINATOR), _)) | Some((_, Some(ClosingOutcome::Fault(Role::ORIGINATOR))))
        );
        let resolved = matches!(register, Some((Outcome::Resolved, _)));
        let decided = |claim| -> Result<claims::Outcome, String> {
            let case = Case::of(std::slice::from_ref(&folder)).map_err(|error| error.to_string())?;
            let decision = claims::decide(&report, &case, &[claim], &Policy::at(self.now));
            decision.rulings.first().map(|ruling| ruling.outcome).ok_or("a claim without a ruling".to_owned())
        };
        if self.plot.cheat().is_none() && who == BUYER && ending == Ending::Success {
            let paid = Claim::Did(Did::new(Actor::Payer, Verb::Paid).at_least(fair::amount(PRICE)));
            if decided(paid)? != claims::Outcome::Proven {
                return Err("S9: the buyer cannot prove that it has paid".to_owned());
            }
        }
        if ending == Ending::Defective {
            let faulted = Claim::Did(Did::new(Actor::Party(Role::ORIGINATOR), Verb::Faulted));
            if decided(faulted)? != claims::Outcome::Proven {
                return Err("S9: the buyer cannot prove that the goods are not what was promised".to_owned());
            }
        }
        let fits = match (ending, standing) {
            (Ending::Success | Ending::Defective, Some(Standing::Complete)) => true,
            (Ending::Success | Ending::Defective, Some(Standing::Opened)) => true,
            (Ending::Lapsed | Ending::Refunded, Some(Standing::Unopened { .. })) => true,
            (Ending::Success, Some(Standing::Resolved { .. })) => resolved && !seller_fault,
            (Ending::Aborted, Some(Standing::Aborted { .. })) => matches!(register, Some((Outcome::Aborted, _))),
            (Ending::Lapsed, Some(Standing::Open { .. })) => register.is_none() || who == BUYER,
            (Ending::Lapsed, None) => true,
            (Ending::Refunded, Some(Standing::Fault { role: Role::ORIGINATOR, .. })) => seller_fault,
            // By the date, alone: the arbiter was not reached, or what it had said could not be used any more.
            (Ending::Refunded, Some(_)) => !resolved || seller_fault,
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(format!("S9: {} ended {ending:?}, its folder shows {standing:?}, the register {register:?}", Name(who)))
        }
    }
}
