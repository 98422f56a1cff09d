//! The contract kit of the payment block, over our own mint: every promise, with a fault at every place.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use semper_core::amount::Currency;
use semper_core::cose::{Draft, Signed};
use semper_core::party::{KeySet, Suite};
use semper_core::signature::Verify;
use semper_core::time::Time;
use semper_crypto::{SecretKeys, Verifier};
use semper_payment::ecash::wallet::{EcashModule, seed_of_words};
use semper_payment::words;
use semper_store::MemoryArchive;
use semper_support::archive::Archive;
use semper_support::crypto::Signer;
use semper_transfer::payment::Module;
use semper_transfer::payment::contract::checks::CHECKS;
use semper_transfer::payment::contract::{Broken, Factory, FaultPlan, Market, Party, all};
use semper_transfer::payment::module::{Funding, IssuerReply, IssuerRequest};
use zeroize::Zeroizing;

use super::world::{Clock, ISSUER, Issuer, OurMint, START};

struct Fair {
    input_fee_ppk: u64,
    /// Requests that the mint turned away because they came too often; every second one, if it does so at all.
    turned_away: Option<Arc<AtomicUsize>>,
}

struct Stall {
    mint: OurMint,
    keys: [SecretKeys; 4],
    archives: [Arc<dyn Archive>; 4],
}

/// The seeds of the parties' purses. Words become a seed slowly, as they should, and a module is made for every step.
static SEEDS: LazyLock<[Zeroizing<[u8; 64]>; 4]> =
    LazyLock::new(|| [1, 2, 3, 4].map(|party| seed_of_words(&words(&[party; 32])).unwrap()));

#[async_trait]
impl Factory for Fair {
    async fn fresh(&self) -> Arc<dyn Market> {
        let keys = || SecretKeys::generate(Suite::Ed25519).unwrap();
        let archive = || -> Arc<dyn Archive> { Arc::new(MemoryArchive::new()) };
        let mut mint = OurMint::open(Clock::at(START), self.input_fee_ppk).await;
        if let Some(turned_away) = self.turned_away.clone() {
            let asked = AtomicUsize::new(0);
            mint.admit = Arc::new(move |_, _| {
                if asked.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
                    return Ok(());
                }
                turned_away.fetch_add(1, Ordering::Relaxed);
                Err(Duration::from_secs(1))
            });
        }
        Arc::new(Stall {
            mint,
            keys: [keys(), keys(), keys(), keys()],
            archives: [archive(), archive(), archive(), archive()],
        })
    }
}

#[async_trait]
impl Market for Stall {
    fn module(&self, party: Party) -> Box<dyn Module> {
        Box::new(EcashModule::new(SEEDS[party as usize].clone()))
    }

    fn archive(&self, party: Party) -> Arc<dyn Archive> {
        self.archives[party as usize].clone()
    }

    fn keys(&self, party: Party) -> KeySet {
        self.keys[party as usize].key_set().clone()
    }

    fn certificates(&self, _: Party) -> Vec<Vec<u8>> {
        Vec::new()
    }

    fn sign(&self, party: Party, draft: Draft) -> Signed {
        self.keys[party as usize].sign(draft).unwrap()
    }

    fn verify(&self) -> &dyn Verify {
        &Verifier
    }

    fn issuer(&self) -> String {
        ISSUER.to_owned()
    }

    fn currency(&self) -> Currency {
        Currency::parse("EUR").unwrap()
    }

    async fn call(&self, request: IssuerRequest) -> Option<IssuerReply> {
        // What the node's client does with answers that say to come again.
        Some(self.mint.ask(request).await).filter(|reply| reply.status != 429)
    }

    fn deposit_method(&self) -> Option<String> {
        Some("bolt11".to_owned())
    }

    // Test money: every invoice counts as paid.
    async fn fund(&self, _: &Funding) {}

    async fn credit(&self, _: Party, _: &[u8], _: u64) {
        unreachable!("a mint takes deposits")
    }

    async fn owed(&self) -> u64 {
        self.mint.owed().await
    }

    fn now(&self) -> Time {
        self.mint.clock.now()
    }

    fn pass_until(&self, time: Time) {
        self.mint.clock.pass_until(time);
    }
}

fn none_broken(broken: &[Broken]) {
    let lines: Vec<String> = broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{} promises are broken:\n{}", broken.len(), lines.join("\n"));
}

// A wallet that takes "too often" for a refusal gives up money that it still has, or believes coins spent that are not.
#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_at_a_mint_that_turns_every_second_request_away() {
    let turned_away = Arc::new(AtomicUsize::new(0));
    let mut broken = Vec::new();
    for check in CHECKS {
        let fair = Fair { input_fee_ppk: 100, turned_away: Some(turned_away.clone()) };
        broken.extend(check.run(&fair, FaultPlan::None).await.err());
    }
    none_broken(&broken);
    assert!(turned_away.load(Ordering::Relaxed) > 50);
}

// Faults are tried where coins cost something: there are fewer coins, and more that can be wrong.
#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_without_fees() {
    let mut broken = Vec::new();
    for check in CHECKS {
        broken.extend(check.run(&Fair { input_fee_ppk: 0, turned_away: None }, FaultPlan::None).await.err());
    }
    none_broken(&broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_with_fees_and_faults() {
    none_broken(&all(&Fair { input_fee_ppk: 100, turned_away: None }).await.err().unwrap_or_default());
}
