//! The wallet: the parties' half of e-cash, for every mint of the Cashu protocol.
//!
//! Start at [`EcashModule`]; how an operation goes is in `stage`, one file for each family of tasks.
//!
//! | file | what |
//! |---|---|
//! | `seed` | words, and all that is derived from them |
//! | `records` | what a purse remembers |
//! | `money` | how amounts are split, which coins are chosen, what it costs |
//! | `token`, `details` | what one party hands to the other |
//! | `exchange` | a request for coins, until it is known what became of it |
//! | `learn`, `refresh`, `restore` | what the mint says of itself and of our coins |
//! | `deposit`, `transfer` | into the mint's world and out of it |
//! | `hand`, `take` | coins to another party, and from it |
//! | `pay`, `lock` | requests, payments, locks |
//! | `preimage` | with what a hash lock was opened |
//! | `judge` | what a proof of payment proves |
//!
//! It must never lose a coin: a coin leaves the purse's records in the commit that stores the request that spends it, every request can
//! be made again from the stored stage, and no refusal is believed before the mint was asked what became of the request. It must never
//! take a coin for one: each comes with the mint's proof that it was signed with the published keys (NUT-12).
//!
//! Source: `spec/ecash-wallet.md`; NUT-00 to 14, 20.

mod deposit;
mod details;
mod exchange;
mod hand;
mod judge;
mod learn;
mod lock;
mod money;
mod pay;
mod preimage;
mod records;
mod refresh;
mod restore;
mod seed;
mod stage;
mod take;
mod token;
mod transfer;

use std::collections::BTreeSet;

use cashu::PublicKey;
use semper_core::amount::Amount;
use semper_core::party::KeySet;
use semper_core::signature::Verify;
use semper_core::time::Seconds;
use semper_transfer::payment::Module;
use semper_transfer::payment::claim::{Claim, Finding, Proof};
use semper_transfer::payment::means::{Fees, Limits, LockKind, Means, PayerAnonymity, ReceiptKind, Reversal, System};
use semper_transfer::payment::module::{Balance, Context, Event, Purse, Quote, Step, StepError};
use semper_transfer::payment::operation::{Failure, Operation, Task};
use zeroize::Zeroizing;

pub use self::seed::seed_of_words;

use self::records::Held;
use self::seed::Seed;
use self::stage::Run;

/// The name of the payment system.
pub(crate) const SYSTEM: &str = "ecash";

/// The parties' half of e-cash.
pub struct EcashModule {
    seed: Seed,
}

impl EcashModule {
    /// The wallet of a seed ([`seed_of_words`]).
    ///
    /// One seed may have purses at many mints and in many units, but only one for each mint and unit: two would derive the same coins.
    pub fn new(seed: Zeroizing<[u8; 64]>) -> Self {
        Self { seed: Seed(seed) }
    }

    /// The key that others may lock text tokens to, for [`Task::Accept`]. It is one for all, so it links what is locked to it; payments between
    /// parties have a key each.
    pub fn receiving_key(&self) -> PublicKey {
        self.seed.receiving().public_key()
    }
}

impl Module for EcashModule {
    fn system(&self) -> System {
        System::parse(SYSTEM).expect("a constant name")
    }

    fn means(&self, purse: &Purse) -> Option<Means> {
        let held = Held::read(purse);
        let info = held.info.as_ref()?;
        let keyset =
            held.keysets.values().filter(|keyset| keyset.active == Some(true)).min_by_key(|k| k.input_fee_ppk)?;
        let can = |nuts: &[u16]| nuts.iter().all(|nut| info.nuts.contains(nut));
        let mut locks = BTreeSet::new();
        locks.extend(can(&[7, 10, 11]).then_some(LockKind::Arbiter));
        locks.extend(can(&[7, 10, 14]).then_some(LockKind::Hash));
        // Both sides spend coins for a payment, each a handful.
        let fixed = keyset.input_fee_ppk.saturating_mul(TYPICAL_COINS).div_ceil(1000);
        Some(Means {
            system: self.system(),
            issuer: purse.issuer.clone(),
            currency: purse.currency,
            anonymity: PayerAnonymity::FromAll,
            reversal: Reversal::Final,
            locks,
            receipt: if can(&[7, 11]) { ReceiptKind::Witness } else { ReceiptKind::Payee },
            fees: Fees { fixed, per_million: 0 },
            limits: Limits { least: 1, most: PAYMENT_MAX },
            latency: Seconds(5),
        })
    }

    fn arbiter_key(&self, _: &KeySet) -> Vec<u8> {
        self.seed.arbiter().public_key().to_bytes().to_vec()
    }

    fn balance(&self, purse: &Purse) -> Balance {
        let (available, pending) = Held::read(purse).sums();
        let amount = |minor: u64| {
            Amount::new(minor.min(Amount::MINOR_MAX), purse.currency).expect("an amount is cut to what fits")
        };
        Balance { available: amount(available), pending: amount(pending) }
    }

    fn quote(&self, purse: &Purse, task: &Task) -> Result<Quote, Failure> {
        stage::quote(&Held::read(purse), purse, task)
    }

    fn step(
        &self,
        context: &Context<'_>,
        purse: &Purse,
        operation: &Operation,
        stage: &[u8],
        event: Event,
    ) -> Result<Step, StepError> {
        let held = Held::read(purse);
        Run { seed: &self.seed, context, purse, operation, held }.step(stage, event)
    }

    fn judge(&self, verify: &dyn Verify, claim: &Claim, proof: &Proof) -> Finding {
        judge::judge(verify, claim, proof)
    }
}

/// Coins that are spent for a typical payment, on both sides together.
const TYPICAL_COINS: u64 = 12;
/// The largest payment: more would need coins that mints do not have.
const PAYMENT_MAX: u64 = 1 << 40;

/// The unit in which a mint counts a currency.
fn unit(purse: &Purse) -> String {
    purse.currency.code().to_ascii_lowercase()
}
