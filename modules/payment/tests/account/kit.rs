//! The contract kit of the payment block, over a real bank.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use semper_core::amount::Currency;
use semper_core::cbor::Decode;
use semper_core::cose::{Draft, Signed};
use semper_core::party::{KeySet, Suite};
use semper_core::signature::Verify;
use semper_core::time::Time;
use semper_crypto::{Sealer, SecretKeys, Verifier};
use semper_payment::account::bank::Rules;
use semper_payment::account::bank::operator::Direction;
use semper_payment::account::module::AccountModule;
use semper_payment::account::payment::{Details, Level};
use semper_store::MemoryArchive;
use semper_support::archive::Archive;
use semper_support::crypto::Signer;
use semper_transfer::payment::contract::{Broken, Factory, Market, Party, all};
use semper_transfer::payment::means::Fees;
use semper_transfer::payment::module::{Funding, IssuerReply, IssuerRequest, Module};

use super::world::{ISSUER, START, World, eur, parts, rules};

struct Bazaar {
    world: World,
    level: Level,
    certificates: Vec<Vec<u8>>,
    keys: [SecretKeys; 4],
    archives: [Arc<dyn Archive>; 4],
    credits: Mutex<u8>,
}

struct Bazaars {
    level: Level,
    fees: Fees,
    certificates: Vec<Vec<u8>>,
}

fn archive() -> Arc<dyn Archive> {
    Arc::new(MemoryArchive::new())
}

#[async_trait]
impl Factory for Bazaars {
    async fn fresh(&self) -> Arc<dyn Market> {
        let clock = Arc::new(AtomicU64::new(START));
        let parts = parts(archive(), &clock, Suite::Ed25519);
        let world = World::of(parts, Rules { fees: self.fees, ..rules() }, clock).await;
        let keys = || SecretKeys::generate(Suite::Ed25519).unwrap();
        Arc::new(Bazaar {
            world,
            level: self.level,
            certificates: self.certificates.clone(),
            keys: [keys(), keys(), keys(), keys()],
            archives: [archive(), archive(), archive(), archive()],
            credits: Mutex::new(0),
        })
    }
}

#[async_trait]
impl Market for Bazaar {
    fn module(&self, party: Party) -> Box<dyn Module> {
        Box::new(AccountModule::new([party as u8; 32], Arc::new(Sealer), self.level))
    }

    fn archive(&self, party: Party) -> Arc<dyn Archive> {
        self.archives[party as usize].clone()
    }

    fn keys(&self, party: Party) -> KeySet {
        self.keys[party as usize].key_set().clone()
    }

    fn certificates(&self, _: Party) -> Vec<Vec<u8>> {
        self.certificates.clone()
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
        Some(call(&self.world, request).await)
    }

    fn deposit_method(&self) -> Option<String> {
        None
    }

    async fn fund(&self, _: &Funding) {
        unreachable!("an account asks for no money")
    }

    async fn credit(&self, _: Party, details: &[u8], minor: u64) {
        let owner = Details::from_bytes(details).unwrap().owner.id();
        let accounts = self.world.bank.accounts(None, 10).await.unwrap();
        let account = accounts.iter().find(|account| account.owner == owner).unwrap();
        let n = {
            let mut credits = self.credits.lock().unwrap();
            *credits += 1;
            *credits
        };
        self.world.bank.by_hand([n; 16], Direction::In, account.number, eur(minor), "").await.unwrap();
    }

    async fn owed(&self) -> u64 {
        let audit = self.world.audit().await;
        u64::try_from(audit.owed.values().sum::<i128>()).unwrap()
    }

    fn now(&self) -> Time {
        self.world.now()
    }

    fn pass_until(&self, time: Time) {
        self.world.set_time(time.max(self.world.now()));
    }
}

/// The bank as its HTTP answers.
pub(crate) async fn call(world: &World, request: IssuerRequest) -> IssuerReply {
    match request.body {
        Some((media_type, body)) => {
            assert_eq!((media_type.as_str(), request.url), ("application/cose", format!("{ISSUER}/v1/requests")));
            match world.bank.request(&body).await {
                Ok(body) => IssuerReply { status: 200, body },
                Err(refusal) => IssuerReply { status: refusal.kind.status(), body: refusal.to_json().into_bytes() },
            }
        }
        None => {
            assert_eq!(request.url, format!("{ISSUER}/v1/bank"));
            let signed = data_encoding::BASE64.encode(world.bank.terms().bytes());
            let body = format!("{{\"signed\":\"{signed}\"}}").into_bytes();
            IssuerReply { status: 200, body }
        }
    }
}

async fn passes(level: Level, fees: Fees, certificates: Vec<Vec<u8>>) {
    let broken: Vec<Broken> = all(&Bazaars { level, fees, certificates }).await.err().unwrap_or_default();
    assert!(broken.is_empty(), "{} broken promises, the first: {:#?}", broken.len(), &broken[..broken.len().min(3)]);
}

// What the block promises to applications and engines, with a fault at each place where one can happen.
#[tokio::test]
async fn the_kit_passes_when_nobody_is_certified() {
    passes(Level::Two, Fees::default(), Vec::new()).await;
}

#[tokio::test]
async fn the_kit_passes_when_the_payer_signs_and_pays_fees() {
    passes(Level::Three, Fees { fixed: 3, per_million: 5000 }, vec![b"certificate".to_vec()]).await;
}
