//! What each party sees: the payee nothing of the payer's account or keys, the bank nothing of the deal.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use semper_core::cose::{Draft, Signed, Statement};
use semper_core::party::Suite;
use semper_core::time::Seconds;
use semper_crypto::{Sealer, SecretKeys, Verifier};
use semper_payment::account::bank::operator::Direction;
use semper_payment::account::module::AccountModule;
use semper_payment::account::payment::Level;
use semper_store::MemoryArchive;
use semper_support::archive::intercept::{Intercept, Intercepted};
use semper_support::archive::{Archive, Commit, CommitError};
use semper_support::crypto::Signer;
use semper_transfer::payment::module::{Context, Event, Module, Next, Purse};
use semper_transfer::payment::operation::{Operation, OperationId, Outcome, PurseId, Task};
use semper_transfer::payment::statement::PaymentRequest;

use super::kit::call;
use super::world::{ISSUER, World, deal, eur, rules};

/// An archive that remembers every byte that was written to it.
struct Recording {
    inner: MemoryArchive,
    written: Mutex<Vec<u8>>,
}

#[async_trait]
impl Intercept for Recording {
    fn archive(&self) -> &dyn Archive {
        &self.inner
    }

    async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        let states = commit.states.iter().flat_map(|state| [&state.key, &state.bytes]);
        let facts = commit.facts.iter().flat_map(|fact| [&fact.key, &fact.value]);
        self.written.lock().unwrap().extend(states.chain(facts).flatten());
        self.inner.commit(commit).await
    }
}

/// One party with its module, driven without faults. It notes every byte that goes to the bank and comes back.
struct Client {
    keys: SecretKeys,
    module: AccountModule,
    purse: Purse,
    entropy: u8,
    sent: Vec<u8>,
    got: Vec<u8>,
}

impl Client {
    fn new(n: u8, level: Level) -> Self {
        let keys = SecretKeys::generate(Suite::Hybrid).unwrap();
        let module = AccountModule::new([n; 32], Arc::new(Sealer), level);
        let purse = Purse {
            id: PurseId::from_array([n; 16]),
            system: module.system(),
            issuer: ISSUER.to_owned(),
            currency: eur(1).currency(),
            records: Default::default(),
        };
        Self { keys, module, purse, entropy: n, sent: Vec::new(), got: Vec::new() }
    }

    async fn run(&mut self, world: &World, task: Task) -> Outcome {
        let id = OperationId::of_owner([self.entropy; 16]);
        self.entropy = self.entropy.wrapping_add(16);
        let operation = Operation { id, purse: self.purse.id, deal: None, task };
        let (mut stage, mut event) = (Vec::new(), Event::Begin);
        let entropy = [self.entropy; 32];
        loop {
            let certificates = [b"certificate".to_vec()];
            let me = self.keys.key_set().clone();
            let context = Context {
                now: world.now(),
                verify: &Verifier,
                entropy: &entropy,
                me: &me,
                certificates: &certificates,
            };
            let step = self.module.step(&context, &self.purse, &operation, &stage, event).unwrap();
            self.purse.apply(&step.changes);
            stage = step.stage;
            event = match step.next {
                Next::Done(outcome) => return outcome,
                Next::Sign { draft, .. } => Event::Signed(self.sign(draft)),
                Next::Ask(request) => {
                    if let Some((_, body)) = &request.body {
                        self.sent.extend_from_slice(body);
                    }
                    let reply = call(world, request).await;
                    self.got.extend_from_slice(&reply.body);
                    Event::Reply(reply)
                }
                other => panic!("{other:?}"),
            };
        }
    }

    fn sign(&self, draft: Draft) -> Signed {
        self.keys.sign(draft).unwrap()
    }

    fn account(&self) -> Vec<u8> {
        let record = &self.purse.records[b"account".as_slice()];
        let at = record.windows(2).position(|window| window == [0, 0x70]).unwrap() + 2;
        record[at..at + 16].to_vec()
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    assert!(part.len() >= 10, "a short part is found by chance");
    bytes.windows(part.len()).any(|window| window == part)
}

struct Seen {
    /// The bytes that the payee got from the payer and from the bank.
    payee: Vec<u8>,
    /// The bytes that the bank got, and what it wrote.
    bank: Vec<u8>,
    payer_account: Vec<u8>,
    payer_keys: Vec<Vec<u8>>,
    payer_id: Vec<u8>,
    deal: Vec<u8>,
    purpose: Vec<u8>,
    request: Vec<u8>,
    request_id: Vec<u8>,
    salt: Vec<u8>,
}

async fn payment(level: Level) -> Seen {
    let archive = Arc::new(Intercepted(Recording { inner: MemoryArchive::new(), written: Mutex::default() }));
    let world = World::with(archive.clone(), rules()).await;
    let (mut payer, mut payee) = (Client::new(1, level), Client::new(2, level));
    payer.run(&world, Task::Refresh).await;
    payee.run(&world, Task::Refresh).await;
    for account in world.bank.accounts(None, 10).await.unwrap() {
        world.bank.by_hand(world.id(), Direction::In, account.number, eur(1000), "").await.unwrap();
    }
    payer.run(&world, Task::Refresh).await;
    let details = payee.run(&world, Task::Expect(eur(300))).await.handover;
    let asked = PaymentRequest {
        deal: deal(0xab),
        amount: eur(300),
        purpose: "a very private purpose".to_owned(),
        system: payee.module.system(),
        issuer: ISSUER.to_owned(),
        details,
        expires: world.now().after(Seconds(900)),
    };
    let keys = payee.keys.key_set().clone();
    let request = payee.sign(asked.draft(keys.suite(), keys.id()));
    let salt = [0xd7; 32];
    (payee.got, payer.sent) = (Vec::new(), payer.sent);
    let token = payer.run(&world, Task::Pay { request: request.clone(), salt }).await.handover;
    let received = payee.run(&world, Task::Receive { request: request.clone(), token: token.clone() }).await;
    assert_eq!(received.moved, eur(300));
    payer.run(&world, Task::Refresh).await;
    assert_eq!(payer.module.balance(&payer.purse).available, eur(700));
    let written = archive.written.lock().unwrap().clone();
    Seen {
        payee: [token, payee.got].concat(),
        bank: [payer.sent.clone(), payee.sent.clone(), written].concat(),
        payer_account: payer.account(),
        payer_keys: payer.keys.key_set().keys().map(|(_, key)| key.to_vec()).collect(),
        payer_id: payer.keys.key_set().id().as_bytes().to_vec(),
        deal: deal(0xab).as_bytes().to_vec(),
        purpose: asked.purpose.into_bytes(),
        request: request.bytes().to_vec(),
        request_id: request.id().as_bytes().to_vec(),
        salt: salt.to_vec(),
    }
}

// iKP and SET promise it to the payer: the shop learns no account, the bank no purchase. Levels 1 and 2 promise no key either.
#[tokio::test]
async fn the_payee_does_not_learn_who_pays() {
    for level in [Level::One, Level::Two] {
        let seen = payment(level).await;
        assert!(!contains(&seen.payee, &seen.payer_account), "{level:?}: the payer's account number");
        assert!(!contains(&seen.payee, &seen.payer_id), "{level:?}: the payer's key set id");
        for key in &seen.payer_keys {
            assert!(!contains(&seen.payee, key), "{level:?}: a key of the payer");
        }
        // The test can see what it looks for: the bank has all of it.
        assert!(contains(&seen.bank, &seen.payer_account) && contains(&seen.bank, &seen.payer_id));
        assert!(contains(&seen.bank, &seen.payer_keys[0]));
    }
}

#[tokio::test]
async fn at_level_three_the_payee_learns_the_key_and_still_no_account() {
    let seen = payment(Level::Three).await;
    assert!(contains(&seen.payee, &seen.payer_id));
    assert!(!contains(&seen.payee, &seen.payer_account));
}

#[tokio::test]
async fn the_bank_does_not_learn_what_for() {
    for level in [Level::One, Level::Two, Level::Three] {
        let seen = payment(level).await;
        for (what, part) in [
            ("the deal", &seen.deal),
            ("the purpose", &seen.purpose),
            ("the request", &seen.request),
            ("the request's id", &seen.request_id),
            ("the salt", &seen.salt),
        ] {
            assert!(!contains(&seen.bank, part), "{level:?}: the bank has seen {what}");
        }
        // The payee knows the salt: it came with the token.
        assert!(contains(&seen.payee, &seen.salt));
    }
}

// Two payments of the same payer have nothing in common that the payee could see.
#[tokio::test]
async fn two_tokens_of_one_payer_share_nothing() {
    let world = World::new().await;
    let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
    let (one, two) = (world.pays(&alice, &bob, 10), world.pays(&alice, &bob, 10));
    let longest = (0..one.sealed.len() - 8).filter(|at| contains_8(&two.sealed, &one.sealed[*at..*at + 8])).count();
    assert_eq!(longest, 0);
    assert_ne!(one.hold(), two.hold());
}

fn contains_8(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(8).any(|window| window == part)
}
