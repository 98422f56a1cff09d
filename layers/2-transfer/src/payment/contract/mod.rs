//! The contract kit that every payment module must pass: each promise of the block is one named check, and most are repeated with
//! a fault at every place where one can happen.
//!
//! A module's test implements [`Market`]: parties, an issuer that really runs, a clock. The kit drives operations as a
//! node does, through the journal and an archive, and counts the money of the whole market at the end of each run: what the
//! parties can spend is what the issuer owes.
//!
//! It cannot see what a real network adds (tests of the binary do), nor how an issuer stores (its own tests do).
//!
//! Start reading at [`checks::CHECKS`]. Source: `spec/payment.md` §9.

pub mod checks;
mod player;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use semper_core::amount::Currency;
use semper_core::cose::{Draft, Signed};
use semper_core::party::KeySet;
use semper_core::signature::Verify;
use semper_core::time::Time;
use semper_support::archive::Archive;

use super::module::{Funding, IssuerReply, IssuerRequest, Module};

/// The parties of a market: who pays, who is paid, somebody whom it is none of his business, and who decides over locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// Pays.
    Payer,
    /// Is paid.
    Payee,
    /// Tries to get at the money of others.
    Stranger,
    /// Decides over locks, and has no money.
    Arbiter,
}

/// Makes markets, one for each run.
#[async_trait]
pub trait Factory: Send + Sync {
    /// A new market in which nobody has money yet.
    async fn fresh(&self) -> Arc<dyn Market>;
}

/// One issuer and four parties.
#[async_trait]
pub trait Market: Send + Sync {
    /// The parties' half for one party; each call as after a new start of its program.
    fn module(&self, party: Party) -> Box<dyn Module>;

    /// The archive of a party; the same one at each call.
    fn archive(&self, party: Party) -> Arc<dyn Archive>;

    /// The key set of a party.
    fn keys(&self, party: Party) -> KeySet;

    /// Certificates of a party, where the system needs some.
    fn certificates(&self, party: Party) -> Vec<Vec<u8>>;

    /// The party's signature.
    fn sign(&self, party: Party, draft: Draft) -> Signed;

    /// Checks signatures.
    fn verify(&self) -> &dyn Verify;

    /// The issuer's address.
    fn issuer(&self) -> String;

    /// The currency of all purses.
    fn currency(&self) -> Currency;

    /// The issuer answers; `None` if it does not.
    async fn call(&self, request: IssuerRequest) -> Option<IssuerReply>;

    /// How a purse gets its first money with [`super::operation::Task::Deposit`]; `None` where money comes in at the issuer only
    /// ([`Market::credit`]).
    fn deposit_method(&self) -> Option<String>;

    /// Pays what a deposit asks for, from outside of the market. Paying the same twice pays once.
    async fn fund(&self, funding: &Funding);

    /// Gives a party money at the issuer, where there is no deposit.
    async fn credit(&self, party: Party, purse_address: &[u8], minor: u64);

    /// What the issuer owes to everybody, in minor units.
    async fn owed(&self) -> u64;

    /// The present time.
    fn now(&self) -> Time;

    /// Lets time pass.
    fn pass_until(&self, time: Time);
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The check.
    pub check: &'static str,
    /// The fault under which it broke.
    pub fault: String,
    /// What was expected and what was found.
    pub found: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.check, self.fault, self.found)
    }
}

/// What goes wrong during a run, once, at the `at`-th place where it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPlan {
    /// Nothing.
    None,
    /// The program dies after a step was computed and before it is stored; the step is computed again with other randomness.
    CrashBeforeCommit {
        /// The step, from 0.
        at: usize,
    },
    /// A request does not reach the issuer.
    RequestLost {
        /// The request, from 0.
        at: usize,
    },
    /// The issuer has done what it was asked, and its answer is lost.
    AnswerLost {
        /// The request, from 0.
        at: usize,
    },
    /// A request arrives twice; the second answer is the one that counts.
    RequestDoubled {
        /// The request, from 0.
        at: usize,
    },
}

impl FaultPlan {
    /// Every kind of fault, at one place.
    fn kinds(at: usize) -> [FaultPlan; 4] {
        [
            FaultPlan::CrashBeforeCommit { at },
            FaultPlan::RequestLost { at },
            FaultPlan::AnswerLost { at },
            FaultPlan::RequestDoubled { at },
        ]
    }
}

/// Runs every check, without faults and with each fault at each place.
///
/// # Errors
/// The broken promises, in the order of [`checks::CHECKS`].
pub async fn all(factory: &dyn Factory) -> Result<(), Vec<Broken>> {
    let mut broken = Vec::new();
    for check in checks::CHECKS {
        let places = match check.run(factory, FaultPlan::None).await {
            Ok(places) => places,
            Err(failure) => {
                broken.push(failure);
                continue;
            }
        };
        for at in 0..places {
            for fault in FaultPlan::kinds(at) {
                broken.extend(check.run(factory, fault).await.err());
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken) }
}
