//! Symbolic money: a mint that knows who has what, and nothing else.
//!
//! A lock is one value. It is absent, locked, or with one of the parties; there is no state in which two have it. A token names its lock,
//! a payout names whose money it will be, an authorisation names who gave it; an adversary is only ever handed what it has seen or may
//! make itself, so nothing needs to be signed here.

use semper_core::amount::Amount;
use semper_core::machine::Fault;
use semper_core::time::Time;
use semper_exchange::goods::preimage_hash;
use semper_transfer::payment::operation::{Failure, Operation, Outcome, Task};
use semper_transfer::payment::statement::Side;

use crate::deal::PREIMAGE;

/// How many locks a party can make for one contract. An honest one makes the first.
pub const LOCKS: usize = 2;

/// Who gave an authorisation: the parties are 0 and 1.
pub const ARBITER: u8 = 2;

/// What became of the locks of both parties.
pub type Locks = [[Lot; LOCKS]; 2];

/// What became of a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lot {
    /// It was never made.
    #[default]
    Absent,
    /// The money is locked.
    Locked,
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
    let done = |handover| Ok(Outcome { moved: nothing, fee: nothing, handover });
    let failed = |reason: &str| Err(Failure::unmoved(Fault::PeerMisbehaved, reason));
    match &operation.task {
        Task::Lock(_) => {
            locks[usize::from(party)][0] = Lot::Locked;
            done(token(party, 0))
        }
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

/// What a party shows to be locked for, or paid.
pub fn details(party: u8) -> Vec<u8> {
    vec![b'd', party]
}
