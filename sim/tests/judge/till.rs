//! A payment system that shows what a test wants shown: its proofs are one word, and what it says of a lock is the lock's tag, its payer and a side.

use semper_core::party::KeySet;
use semper_core::signature::Verify;
use semper_transfer::payment::Module;
use semper_transfer::payment::claim::{Claim, Finding, Proof};
use semper_transfer::payment::means::{Means, System};
use semper_transfer::payment::module::{Balance, Context, Event, Purse, Quote, Step, StepError};
use semper_transfer::payment::operation::{Failure, Lock, Operation, Task};
use semper_transfer::payment::statement::Side;

/// The payment systems of these tests.
pub(crate) static SYSTEMS: [&dyn Module; 1] = [&Till];

/// The word that proves a payment.
pub(crate) const PAID: &[u8] = b"paid";

struct Till;

/// What shows that a side has taken the money of a lock: whose lock, and which side.
pub(crate) fn taken(lock: &Lock, by: Side) -> Vec<u8> {
    [lock.tag.as_bytes().as_slice(), &lock.payer, by.name().as_bytes()].concat()
}

impl Module for Till {
    fn system(&self) -> System {
        System::parse("ecash").unwrap()
    }

    fn judge(&self, _verify: &dyn Verify, _claim: &Claim, proof: &Proof) -> Finding {
        match proof.body.as_slice() {
            PAID => Finding::Proven { by: "the till".to_owned() },
            _ => Finding::Undecided { missing: "the word".to_owned() },
        }
    }

    fn judge_lock(&self, _verify: &dyn Verify, lock: &Lock, shown: &[u8]) -> Option<Side> {
        [Side::Payer, Side::Payee].into_iter().find(|side| shown == taken(lock, *side))
    }

    fn means(&self, _purse: &Purse) -> Option<Means> {
        unreachable!("nobody pays here")
    }

    fn balance(&self, _purse: &Purse) -> Balance {
        unreachable!("nobody pays here")
    }

    fn arbiter_key(&self, _me: &KeySet) -> Vec<u8> {
        unreachable!("nobody pays here")
    }

    fn quote(&self, _purse: &Purse, _task: &Task) -> Result<Quote, Failure> {
        unreachable!("nobody pays here")
    }

    fn step(
        &self,
        _context: &Context<'_>,
        _purse: &Purse,
        _operation: &Operation,
        _stage: &[u8],
        _event: Event,
    ) -> Result<Step, StepError> {
        unreachable!("nobody pays here")
    }
}
