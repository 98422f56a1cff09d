//! Money by plain transfer in the model: a token that its payee takes until a date, that its payer has taken back, or has the proof of.
//!
//! A malicious payee may hand the token in and neither take the money nor let go of it: its issuer then tells the payer nothing before the date. A
//! malicious payer makes a token and has it taken back whenever it likes. Who takes the money or has it back is the issuer's decision, by its own clock;
//! it answers within a tick, and its proof is in nobody's hands before the payee has the money.

use semper_core::cbor::Encode as _;
use semper_core::time::Time;
use semper_support::engine::Effect;
use semper_transfer::payment::operation::{Failure, Operation, Outcome, Task};

use super::money::operation;
use super::{Action, Mark, ROLES, State, World};
use crate::mint::{self, Lot};

impl World {
    /// Whether an operation waits for the date until which the payee holds what is asked for.
    pub(super) fn is_held(&self, state: &State, party: usize, wanted: &Effect) -> bool {
        let Some(until) = self.deal.pay_until() else { return false };
        let Effect::Operate(bytes) = wanted else { return false };
        let held = state.locks[party][0] == Lot::Held && self.mints_time(state) < until;
        held && matches!(operation(bytes).task, Task::Reclaim(_))
    }

    /// What came of an operation, with the whole proof where the issuer shows that a payment was taken.
    pub(super) fn shown(&self, operation: &Operation, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        let taken = |outcome: &Outcome| matches!(operation.task, Task::Reclaim(_)) && !outcome.handover.is_empty();
        result.map(
            |outcome| {
                if taken(&outcome) { Outcome { handover: self.deal.payment(), ..outcome } } else { outcome }
            },
        )
    }

    /// What a malicious payee can do with a token that it has seen.
    pub(super) fn payee_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let seen = state.network.iter().any(|message| self.mark(message) == Mark::Final(ROLES[self.deal.payer()]));
        let payer = self.deal.payer();
        let (role, lot) = (ROLES[payer], state.locks[payer][0]);
        if seen && lot == Lot::Locked {
            actions.push(Action::Hold);
        }
        if seen && matches!(lot, Lot::Locked | Lot::Held) {
            actions.push(Action::Redeem { token: [b't', role.number(), 0], paper: None });
        }
    }

    /// A malicious payee hands the token in and takes nothing yet.
    pub(super) fn hostile_hold(&self, last: &State) -> Option<State> {
        let until = self.deal.pay_until()?;
        let mut state = last.clone();
        state.locks[self.deal.payer()][0] = Lot::Held;
        (self.mints_time(last) < until).then_some(state)
    }

    /// A malicious payee takes the money, or a malicious payer has its token taken back.
    pub(super) fn hostile_transfer(&self, last: &State, me: u8, until: Time) -> Option<State> {
        let payer = self.deal.payer();
        let may = match (usize::from(me) == payer, last.locks[payer][0]) {
            (true, Lot::Locked) => true,
            (false, Lot::Locked | Lot::Held) => self.mints_time(last) < until,
            _ => false,
        };
        let mut state = last.clone();
        state.locks[payer][0] = Lot::With(me);
        may.then_some(state)
    }

    /// Whether a malicious party can have what it would send to the arbiter: the proof of a payment only if its payee has the money.
    pub(super) fn can_ask(&self, state: &State, request: u32) -> bool {
        let payer = self.deal.payer();
        let taken = Lot::With(ROLES[1 - payer].number());
        let pays = self.deal.pay_until().is_none() || !self.asking(request).shows || state.locks[payer][0] == taken;
        pays && self.can_show(state, request)
    }
}

/// What a party that has paid by plain transfer, or says so, can show for it.
pub(super) fn proofs(deal: &crate::deal::Deal) -> Vec<Vec<u8>> {
    let good = deal.payment();
    if good.is_empty() {
        return vec![Vec::new()];
    }
    // Of another payment of the same amount for the same deal.
    let other = mint::other_proof(deal).to_bytes();
    vec![Vec::new(), b"nothing".to_vec(), other, good]
}
