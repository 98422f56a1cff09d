//! Symbolic money: a mint that knows who has what, and nothing else.
//!
//! A lock is one value. It is absent, locked, or with one of the parties; there is no state in which two have it. A token names its lock,
//! a payout names whose money it will be, an authorisation names who gave it; an adversary is only ever handed what it has seen or may
//! make itself, so nothing needs to be signed here.

use semper_core::amount::Amount;
use semper_core::cbor::Decode as _;
use semper_core::cose::Signed;
use semper_core::machine::Fault;
use semper_core::party::KeySet;
use semper_core::signature::Verify;
use semper_core::time::Time;
use semper_exchange::goods::preimage_hash;
use semper_transfer::payment::Module;
use semper_transfer::payment::claim::{Claim, Finding, Proof};
use semper_transfer::payment::means::{Means, System};
use semper_transfer::payment::module::{Balance, Context, Event, Purse, Quote, Step, StepError};
use semper_transfer::payment::operation::{Failure, Operation, Outcome, Task};
use semper_transfer::payment::statement::{PaymentRequest, Side};

use crate::deal::{Deal, PREIMAGE};

/// How many locks a party can make for one contract. An honest one makes the first.
pub const LOCKS: usize = 2;

/// Who gave an authorisation: the parties are 0 and 1.
pub const ARBITER: u8 = 2;

/// The name of this payment system.
pub const SYSTEM: &str = "ecash";
/// Who judges its proofs.
pub const SYSTEMS: &[&dyn Module] = &[&Books];

/// What became of the locks of both parties. A plain transfer is one as well: its token is out, then somebody has the money.
pub type Locks = [[Lot; LOCKS]; 2];

/// What became of a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lot {
    /// It was never made.
    #[default]
    Absent,
    /// The money is locked, or the token of a plain transfer is out.
    Locked,
    /// A payee has handed in the token of a plain transfer and lets its payer wait.
    Held,
    /// A party has it.
    With(u8),
}

/// The token of a lock.
pub fn token(owner: u8, number: u8) -> Vec<u8> {
    vec![b't', owner, number]
}

/// Where a party wants money to go.
pub fn payout(to: u8) -> Vec<u8> {
    vec![b'p', to]
}

/// "The money of this lock goes there."
pub fn authorisation(by: u8, token: &[u8], payout: &[u8]) -> Vec<u8> {
    [&[b'a', by], token, payout].concat()
}

/// The state of the lock that a token names, if it names one.
pub fn lot<'a>(locks: &'a mut Locks, token: &[u8]) -> Option<&'a mut Lot> {
    let [b't', owner, number] = token else { return None };
    locks.get_mut(usize::from(*owner))?.get_mut(usize::from(*number))
}

/// Whether an issuer tells the arbiter that a token is good: the money is locked, or its payee has it. What its payer has back buys nothing.
pub fn confirms(locks: &Locks, token: &[u8]) -> bool {
    let mut locks = *locks;
    let [b't', owner, _] = token else { return false };
    match lot(&mut locks, token) {
        Some(Lot::Locked) => true,
        Some(Lot::With(who)) => *who != *owner,
        _ => false,
    }
}

/// Does what a party's payment block was asked for. `now` is by the mint's clock.
///
/// # Errors
/// The mint refuses, and says why; nothing was changed.
pub fn operate(locks: &mut Locks, party: u8, operation: &Operation, now: Time) -> Result<Outcome, Failure> {
    let nothing = Amount::parse("0.00 EUR").expect("an amount");
    let back = Amount::parse("1.00 EUR").expect("an amount");
    let done = |handover| Ok(Outcome { moved: nothing, fee: nothing, handover });
    let failed = |reason: &str| Err(Failure::unmoved(Fault::PeerMisbehaved, reason));
    match &operation.task {
        Task::Lock(_) => {
            locks[usize::from(party)][0] = Lot::Locked;
            done(token(party, 0))
        }
        Task::Pay { .. } => {
            locks[usize::from(party)][0] = Lot::Locked;
            done(token(party, 0))
        }
        Task::Receive { request, token } => {
            let asked = PaymentRequest::from_bytes(request.payload());
            let good = |lot: &&mut Lot| **lot == Lot::Locked && asked.is_ok_and(|asked| now < asked.expires);
            match lot(locks, token).filter(good) {
                Some(lot) => {
                    *lot = Lot::With(party);
                    done(Vec::new())
                }
                None => failed("there is no such payment any more"),
            }
        }
        Task::Reclaim(_) => match &mut locks[usize::from(party)][0] {
            Lot::Absent => failed("nothing was paid"),
            // What shows it stands for the whole proof, which whoever drives the operation knows.
            Lot::With(who) if *who != party => done(PAID.to_vec()),
            lot => {
                *lot = Lot::With(party);
                Ok(Outcome { moved: back, fee: nothing, handover: Vec::new() })
            }
        },
        Task::VerifyLock { lock, token } => match lot(locks, token) {
            Some(Lot::Locked) if token[1] != party && lock.payer == details(token[1]) => done(Vec::new()),
            _ => failed("there is no such lock"),
        },
        Task::Payout { .. } => done(payout(party)),
        Task::Authorise { token, payout, .. } if matches!(payout.as_slice(), [b'p', _]) => {
            done(authorisation(party, token, payout))
        }
        Task::Redeem { lock, token, to: Side::Payee, authorisation } if lock.hash.is_some() => {
            let opens = lock.hash == Some(preimage_hash(authorisation));
            match lot(locks, token).filter(|lot| **lot == Lot::Locked && opens) {
                Some(lot) => {
                    *lot = Lot::With(party);
                    done(Vec::new())
                }
                None => failed("refused"),
            }
        }
        Task::Learn { token, .. } => match lot(locks, token) {
            Some(Lot::With(who)) if *who != party => done(PREIMAGE.to_vec()),
            _ => failed("nobody has shown the preimage"),
        },
        Task::Redeem { lock, token, to, authorisation } => {
            let due = now >= lock.refund_after;
            if redeem(locks, party, token, *to, authorisation, due) { done(Vec::new()) } else { failed("refused") }
        }
        _ => failed("this mint does no such thing"),
    }
}

/// Takes the money of a lock; whether that worked. `due`: its date has passed.
pub fn redeem(locks: &mut Locks, party: u8, token: &[u8], to: Side, authorisation: &[u8], due: bool) -> bool {
    let Some(lot) = lot(locks, token).filter(|lot| **lot == Lot::Locked) else { return false };
    let payer = token[1];
    let goes = match authorisation.split_at_checked(2) {
        _ if authorisation.is_empty() => (to == Side::Payer && party == payer && due).then_some(payer),
        Some(([b'a', by], rest)) => {
            // Payer and payee authorise each other; the arbiter authorises both.
            let other = if to == Side::Payer { 1 - payer } else { payer };
            let named = rest.strip_prefix(token).filter(|_| *by == other || *by == ARBITER);
            named.and_then(|payout| if let [b'p', to] = payout { Some(*to) } else { None })
        }
        _ => None,
    };
    if let Some(who) = goes {
        *lot = Lot::With(who);
    }
    goes.is_some()
}

/// What the issuer shows for a payment that was taken.
const PAID: &[u8] = b"paid";

/// The proof that a request was paid.
pub fn proof(request: Signed) -> Proof {
    let asked = PaymentRequest::from_bytes(request.payload()).expect("a request");
    Proof { system: asked.system, issuer: asked.issuer, request, body: PAID.to_vec() }
}

/// A proof that holds, of another payment of the same deal to the same payee.
pub fn other_proof(deal: &Deal) -> Proof {
    proof(deal.other_request.clone().expect("something is paid by plain transfer"))
}

/// The books of the issuer, for whoever judges what it shows. Nobody's operations are done by it: [`operate`] does them.
#[derive(Clone, Copy, Debug)]
pub struct Books;

impl Module for Books {
    fn system(&self) -> System {
        System::parse(SYSTEM).expect("a name")
    }

    fn means(&self, _: &Purse) -> Option<Means> {
        None
    }

    fn balance(&self, purse: &Purse) -> Balance {
        let nothing = Amount::new(0, purse.currency).expect("zero is small enough");
        Balance { available: nothing, pending: nothing }
    }

    fn arbiter_key(&self, _: &KeySet) -> Vec<u8> {
        vec![ARBITER]
    }

    fn quote(&self, _: &Purse, _: &Task) -> Result<Quote, Failure> {
        Err(Failure::unmoved(Fault::Misuse, "these books only judge"))
    }

    fn step(
        &self,
        _: &Context<'_>,
        _: &Purse,
        operation: &Operation,
        _: &[u8],
        event: Event,
    ) -> Result<Step, StepError> {
        Err(StepError { event: event.name(), verb: operation.task.verb() })
    }

    fn judge(&self, _: &dyn Verify, claim: &Claim, proof: &Proof) -> Finding {
        let asked = PaymentRequest::from_bytes(proof.request.payload());
        let fits = asked.is_ok_and(|asked| asked.deal == claim.deal && asked.amount.minor() >= claim.amount.minor());
        if fits && proof.body == PAID && proof.request.signer() == claim.payee {
            return Finding::Proven { by: "the books".to_owned() };
        }
        Finding::Undecided { missing: "the books' word".to_owned() }
    }
}

/// What a party shows to be locked for, or paid.
pub fn details(party: u8) -> Vec<u8> {
    vec![b'd', party]
}
