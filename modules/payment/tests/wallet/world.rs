//! Parties with a wallet each, driven step by step, and mints for them to ask.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use bitcoin::hashes::{Hash as _, sha256};
use semper_core::amount::{Amount, Currency};
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId};
use semper_core::party::Suite;
use semper_core::time::{Seconds, Time};
use semper_crypto::{SecretKeys, Verifier};
use semper_payment::admit::{Admit, everybody};
use semper_payment::ecash::mint::backend::Backend;
use semper_payment::ecash::mint::{KeysetAudit, Mint, Settings, TestBackend, routes};
use semper_payment::ecash::wallet::{EcashModule, seed_of_words};
use semper_payment::words;
use semper_store::MemoryArchive;
use semper_support::crypto::Signer;
use semper_support::engine::EvidenceKind;
use semper_transfer::payment::Module;
use semper_transfer::payment::means::LockKind;
use semper_transfer::payment::module::{Context, Event, IssuerReply, IssuerRequest, Next, Purse, Step};
use semper_transfer::payment::operation::{Failure, Lock, Operation, OperationId, Outcome, PurseId, Task};
use semper_transfer::payment::statement::{PaymentRequest, Side, lock_tag};
use tower::ServiceExt;
use zeroize::Zeroizing;

pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "http://mint.test";
/// Steps after which an operation that has not ended never will.
const STEPS_MAX: usize = 400;

/// A clock that tests move.
#[derive(Clone)]
pub(crate) struct Clock(pub(crate) Arc<AtomicU64>);

impl Clock {
    pub(crate) fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_unix(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn pass_until(&self, time: Time) {
        self.0.fetch_max(time.unix(), Ordering::SeqCst);
    }
}

/// Whoever answers a wallet.
#[async_trait]
pub(crate) trait Issuer: Send + Sync {
    async fn ask(&self, request: IssuerRequest) -> IssuerReply;
}

/// Our mint, asked in this process through its HTTP interface.
pub(crate) struct OurMint {
    pub(crate) mint: Arc<Mint>,
    pub(crate) money: Arc<TestBackend>,
    pub(crate) clock: Clock,
    /// Who may ask.
    pub(crate) admit: Admit,
}

impl OurMint {
    pub(crate) async fn open(clock: Clock, input_fee_ppk: u64) -> Self {
        let told: semper_payment::ecash::mint::Clock = {
            let clock = clock.clone();
            Arc::new(move || clock.now())
        };
        let money = Arc::new(TestBackend::worthless(told.clone()));
        let backends: Vec<Arc<dyn Backend>> = vec![money.clone()];
        let settings = Settings { input_fee_ppk, melt_patience: Duration::ZERO, ..Settings::default() };
        let seed = Zeroizing::new(vec![7; 32]);
        let mint = Mint::open(settings, Arc::new(MemoryArchive::new()), told, seed, backends).await.unwrap();
        Self { mint, money, clock, admit: everybody() }
    }

    pub(crate) async fn owed(&self) -> u64 {
        let audit = self.mint.audit().await.unwrap();
        u64::try_from(audit.iter().map(KeysetAudit::outstanding).sum::<i128>()).unwrap()
    }
}

#[async_trait]
impl Issuer for OurMint {
    async fn ask(&self, request: IssuerRequest) -> IssuerReply {
        let path = request.url.strip_prefix(ISSUER).expect("the mint's address").to_owned();
        let http = match request.body {
            Some((media, body)) => Request::post(path).header("content-type", media).body(Body::from(body)),
            None => Request::get(path).body(Body::empty()),
        };
        let response = routes(self.mint.clone(), &self.admit).oneshot(http.unwrap()).await.unwrap();
        let status = response.status().as_u16();
        IssuerReply { status, body: to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec() }
    }
}

/// A party with one purse.
pub(crate) struct Party {
    pub(crate) module: EcashModule,
    pub(crate) purse: Purse,
    pub(crate) keys: SecretKeys,
    pub(crate) issuer: Arc<dyn Issuer>,
    pub(crate) clock: Clock,
    stages: BTreeMap<OperationId, Vec<u8>>,
    pub(crate) evidence: Vec<(EvidenceKind, Vec<u8>)>,
    number: u64,
    name: u8,
}

impl Party {
    pub(crate) fn new(name: u8, currency: &str, issuer: Arc<dyn Issuer>, clock: &Clock) -> Self {
        Self::at(name, currency, ISSUER, issuer, clock)
    }

    pub(crate) fn at(name: u8, currency: &str, address: &str, issuer: Arc<dyn Issuer>, clock: &Clock) -> Self {
        let seed = seed_of_words(&words(&[name; 32])).unwrap();
        let module = EcashModule::new(seed);
        let purse = Purse {
            id: PurseId::from_array([name; 16]),
            system: module.system(),
            issuer: address.to_owned(),
            currency: Currency::parse(currency).unwrap(),
            records: BTreeMap::new(),
        };
        let keys = SecretKeys::generate(Suite::Ed25519).unwrap();
        let (stages, evidence) = (BTreeMap::new(), Vec::new());
        Self { module, purse, keys, issuer, clock: clock.clone(), stages, evidence, number: 0, name }
    }

    pub(crate) fn amount(&self, minor: u64) -> Amount {
        Amount::new(minor, self.purse.currency).unwrap()
    }

    pub(crate) fn available(&self) -> u64 {
        self.module.balance(&self.purse).available.minor()
    }

    pub(crate) fn pending(&self) -> u64 {
        self.module.balance(&self.purse).pending.minor()
    }

    /// The identifier of the next operation.
    pub(crate) fn id(&mut self) -> OperationId {
        self.number += 1;
        let mut random = [self.name; 16];
        random[..8].copy_from_slice(&self.number.to_be_bytes());
        OperationId::of_owner(random)
    }

    pub(crate) async fn run(&mut self, task: Task) -> Result<Outcome, Failure> {
        let id = self.id();
        self.run_as(id, task).await
    }

    pub(crate) async fn done(&mut self, task: Task) -> Outcome {
        let verb = task.verb();
        self.run(task).await.unwrap_or_else(|failure| panic!("{verb}: {failure}"))
    }

    pub(crate) async fn run_as(&mut self, id: OperationId, task: Task) -> Result<Outcome, Failure> {
        let operation = Operation { id, purse: self.purse.id, deal: None, task };
        let mut event = Event::Begin;
        for _ in 0..STEPS_MAX {
            let next = self.step(&operation, event);
            event = match next {
                Next::Done(outcome) => return Ok(outcome),
                Next::Failed(failure) => return Err(failure),
                Next::Ask(request) => Event::Reply(self.issuer.ask(request).await),
                Next::Sign { draft, .. } => Event::Signed(self.keys.sign(draft).unwrap()),
                Next::Fund(funding) => {
                    Event::Funded(Outcome { moved: funding.amount, fee: self.amount(0), handover: Vec::new() })
                }
                Next::Wait(time) => {
                    self.clock.pass_until(time);
                    Event::Due
                }
                Next::Look(other) => Event::Stage(self.stages.get(&other).cloned().unwrap_or_default()),
            };
        }
        panic!("operation {} does not end", operation.task.verb())
    }

    /// One step, stored. A stage from which the same cannot be asked again is a lost operation after a crash.
    pub(crate) fn step(&mut self, operation: &Operation, event: Event) -> Next {
        let stage = self.stages.get(&operation.id).cloned().unwrap_or_default();
        let Step { stage, changes, evidence, next } = self.compute(operation, &stage, event);
        self.purse.apply(&changes);
        self.evidence.extend(evidence);
        if matches!(next, Next::Ask(_) | Next::Wait(_)) {
            let again = self.compute(operation, &stage, Event::GiveUp);
            let stands = if let Task::Redeem { lock, .. } = &operation.task
                && lock.kind == LockKind::Hash
                && !again.next.is_end()
            {
                // A preimage is asked about, not shown, once it is given up.
                self.compute(operation, &again.stage, Event::GiveUp) == again
            } else {
                again.next.is_end() || again == Step::to(stage.clone(), next.clone())
            };
            assert!(stands, "{}", operation.task.verb());
        }
        self.stages.insert(operation.id, stage);
        next
    }

    fn compute(&self, operation: &Operation, stage: &[u8], event: Event) -> Step {
        let context = Context {
            now: self.clock.now(),
            verify: &Verifier,
            entropy: &[0; 32],
            me: self.keys.key_set(),
            certificates: &[],
        };
        self.module.step(&context, &self.purse, operation, stage, event).unwrap()
    }

    /// A purse with the mint's terms and money.
    pub(crate) async fn with(mut self, minor: u64) -> Self {
        self.done(Task::Refresh).await;
        if minor > 0 {
            let task = Task::Deposit { amount: self.amount(minor), method: "bolt11".to_owned() };
            assert_eq!(self.done(task).await.moved.minor(), minor);
        }
        assert_eq!(self.available(), minor);
        self
    }

    /// A signed request to be paid.
    pub(crate) async fn request(&mut self, minor: u64) -> Signed {
        let amount = self.amount(minor);
        let details = self.done(Task::Expect(amount)).await.handover;
        self.request_for(minor, details)
    }

    pub(crate) fn request_for(&mut self, minor: u64, details: Vec<u8>) -> Signed {
        self.number += 1;
        let request = PaymentRequest {
            deal: DealId::from_array([u8::try_from(self.number).unwrap(); 16]),
            amount: self.amount(minor),
            purpose: "a test".to_owned(),
            system: self.module.system(),
            issuer: self.purse.issuer.clone(),
            details,
            expires: self.clock.now().after(Seconds(900)),
        };
        let keys = self.keys.key_set();
        self.keys.sign(request.draft(keys.suite(), keys.id())).unwrap()
    }
}

/// Pays a request; the token.
pub(crate) async fn pay(payer: &mut Party, request: &Signed) -> (OperationId, Outcome) {
    let id = payer.id();
    let paid = payer.run_as(id, Task::Pay { request: request.clone(), salt: [7; 32] }).await;
    (id, paid.unwrap_or_else(|failure| panic!("pay: {failure}")))
}

/// Money under a hash lock that the payee knows: the operation that locked it, the lock, its token.
pub(crate) async fn hash_locked(
    payer: &mut Party,
    payee: &mut Party,
    minor: u64,
    preimage: [u8; 32],
) -> (OperationId, Lock, Vec<u8>) {
    let amount = payer.amount(minor);
    let lock = Lock {
        tag: lock_tag(Cid::from_digest(Digest::from_array([1; 32])), &[3; 32]),
        amount,
        refund_after: payer.clock.now().after(Seconds(7200)),
        kind: LockKind::Hash,
        payer: payer.done(Task::Prepare(amount)).await.handover,
        payee: payee.done(Task::Prepare(amount)).await.handover,
        arbiter: Vec::new(),
        hash: Some(sha256::Hash::hash(&preimage).to_byte_array()),
    };
    let id = payer.id();
    let token = payer.run_as(id, Task::Lock(lock.clone())).await.unwrap().handover;
    (id, lock, token)
}

/// Money under a lock that `arbiter` decides about, one for each amount; the lock and its token.
pub(crate) async fn locked(payer: &mut Party, payee: &mut Party, arbiter: &Party, minor: u64) -> (Lock, Vec<u8>) {
    let amount = payer.amount(minor);
    let lock = Lock {
        tag: lock_tag(Cid::from_digest(Digest::of(domain::PURSE, &minor.to_be_bytes())), &[3; 32]),
        amount,
        refund_after: payer.clock.now().after(Seconds(7200)),
        kind: LockKind::Arbiter,
        payer: payer.done(Task::Prepare(amount)).await.handover,
        payee: payee.done(Task::Prepare(amount)).await.handover,
        arbiter: arbiter.module.arbiter_key(arbiter.keys.key_set()),
        hash: None,
    };
    let token = payer.done(Task::Lock(lock.clone())).await.handover;
    (lock, token)
}

/// Takes the money of a lock.
pub(crate) fn redeem(lock: &Lock, token: &[u8], to: Side, authorisation: &[u8]) -> Task {
    Task::Redeem { lock: lock.clone(), token: token.to_vec(), to, authorisation: authorisation.to_vec() }
}

/// Asks for the preimage of a lock.
pub(crate) fn learn(lock: &Lock, token: &[u8]) -> Task {
    Task::Learn { lock: lock.clone(), token: token.to_vec() }
}
