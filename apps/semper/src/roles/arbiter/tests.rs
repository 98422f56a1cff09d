//! The arbiter with a real mint and a real bank, in one process. What could go wrong: somebody gets information for money that was never locked, locked
//! money goes both ways or to nobody, a decision changes, an authorisation opens nothing. Whole exchanges with loss and crashes are
//! checked in `sim/`.
#![allow(clippy::unwrap_used)]

mod hands;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use semper_commerce::contract_file::Draft;
use semper_commerce::terms::Named;
use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Encode;
use semper_core::container::Information;
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, PartyRef, Profile, Promise, Terms, TextRef};
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, Slot, StatementId, TemplateId};
use semper_core::party::{KeySet, Role, Suite};
use semper_core::time::Seconds;
use semper_crypto::{DecapsulationKey, Encapsulator, OpenKey, Sealer, SecretKeys, SystemRandom, Verifier};
use semper_exchange::arbiter::many;
use semper_exchange::arbiter::request::{Abort, Complaint, Request, Resolve, Settlement};
use semper_exchange::arbiter::rules_hash;
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Decision};
use semper_exchange::cn::Round;
use semper_exchange::evidence::{self, Finding, Folder};
use semper_exchange::goods::{
    Article, ArticleKey, CHUNK_LEN, Deposit, DepositKey, Descriptor, Download, Encoder, Good, Index, KeyAttestation,
    KeyEvidence, Leaves, Opens, Pom, Seed, first_bad_chunk,
};
use semper_exchange::gx::{Decides, Leg, LockDeposit, Price, Promised};
use semper_payment::account::bank::operator::Direction;
use semper_payment::account::bank::{self, Bank, LocalKeys, Opening, Rules};
use semper_payment::account::payment::Level;
use semper_payment::admit::everybody;
use semper_payment::ecash::mint::backend::Backend;
use semper_payment::ecash::mint::{self, Mint, TestBackend};
use semper_store::MemoryArchive;
use semper_support::approval::{Answer, ApprovalError, KeyHolder, SignRequest};
use semper_support::archive::Archive;
use semper_support::crypto::{Decapsulate, Encapsulate, KemSuite, Signer};
use semper_support::engine::EvidenceKind;
use semper_transfer::payment::means::{LockKind, System};
use semper_transfer::payment::module::{IssuerReply, IssuerRequest};
use semper_transfer::payment::operation::{Failure, Lock, Operation, OperationId, Outcome, PurseId, Task};
use semper_transfer::payment::statement::Side;
use semper_vault::rules::{Purpose, Vault};
use tokio::sync::watch;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

use super::money::{Money, MoneyError};
use super::{Arbiter, ArbiterParts, DecideError};
use crate::node::{Issuers, PaymentParts, Payments, Systems, now};

const ISSUER: &str = "https://issuer.test";
const SYSTEMS: [&str; 2] = ["ecash", "account"];
const FUNDS: u64 = 1000;
const PRICE: u64 = 365;
/// The buyer gives money in this slot, the seller information in the other.
const MONEY: Slot = Slot(1);
const GOODS: Slot = Slot(2);
const SELLER: Role = Role::ORIGINATOR;
const BUYER: Role = Role::RESPONDER;
const KEM: KemSuite = KemSuite::X25519;
const DEAL: DealId = DealId::from_array([1; 16]);
const OPEN: Seconds = Seconds(3600);
const WINDOW: Seconds = Seconds(600);
/// From a sale until its time for complaints is over.
const OVER: Seconds = Seconds(OPEN.0 + WINDOW.0 + 60);
/// Longest wait for an operation on a slow machine.
const LONG: Duration = Duration::from_secs(120);

/// The issuer, asked in this process, as long as it answers.
#[derive(Clone)]
struct Line {
    issuer: Router,
    silent: Arc<AtomicBool>,
    /// It is silent after it has answered a request to this path.
    cut_after: Arc<Mutex<Option<&'static str>>>,
}

impl Line {
    /// A request was answered: the line may be cut after it.
    fn cut(&self, path: &str) {
        if self.cut_after.lock().unwrap().take_if(|last| *last == path).is_some() {
            self.silent.store(true, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Issuers for Line {
    async fn ask(&self, request: &IssuerRequest) -> Result<IssuerReply, String> {
        if self.silent.load(Ordering::SeqCst) {
            return Err("the line is cut".to_owned());
        }
        let path = request.url.strip_prefix(ISSUER).ok_or("no such issuer")?;
        let http = match &request.body {
            Some((media, body)) => {
                axum::http::Request::post(path).header("content-type", media).body(Body::from(body.clone()))
            }
            None => axum::http::Request::get(path).body(Body::empty()),
        };
        let response = self.issuer.clone().oneshot(http.unwrap()).await.unwrap();
        self.cut(path);
        let status = response.status().as_u16();
        Ok(IssuerReply { status, body: to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec() })
    }
}

/// A user that agrees to everything.
struct Agrees(Arc<SecretKeys>);

#[async_trait]
impl KeyHolder for Agrees {
    fn key_set(&self) -> KeySet {
        self.0.key_set().clone()
    }

    async fn request(&self, request: SignRequest) -> Result<Answer, ApprovalError> {
        Ok(Answer::Signed(self.0.sign(request.draft).unwrap()))
    }

    async fn withdraw(&self, _: StatementId) -> Result<(), ApprovalError> {
        Ok(())
    }
}

/// A party with a purse at the issuer.
struct Party {
    keys: Arc<SecretKeys>,
    payments: Arc<Payments>,
    purse: PurseId,
}

impl Party {
    async fn end(&self, task: Task) -> Result<Outcome, Failure> {
        let mut random = [0; 16];
        semper_support::crypto::Randomness::fill(&SystemRandom, &mut random).unwrap();
        let id = OperationId::of_owner(random);
        self.payments.begin(Operation { id, purse: self.purse, deal: None, task }).await.unwrap();
        self.payments.end_of(id, LONG).await.unwrap().unwrap().result
    }

    async fn done(&self, task: Task) -> Vec<u8> {
        let verb = task.verb();
        self.end(task).await.unwrap_or_else(|failure| panic!("{verb}: {failure}")).handover
    }

    async fn available(&self) -> u64 {
        let purse = self.payments.purses().await.unwrap().remove(0);
        self.payments.module(&purse.system).unwrap().balance(&purse).available.minor()
    }

    fn sign(&self, statement: &impl Statement) -> Signed {
        let keys = self.keys.key_set();
        self.keys.sign(statement.draft(keys.suite(), keys.id())).unwrap()
    }
}

struct World {
    system: &'static str,
    arbiter: Arbiter,
    arbiter_keys: KeySet,
    lock_key: Vec<u8>,
    deposit_key: DepositKey,
    parties: [Party; 2],
    silent: Arc<AtomicBool>,
    cut_after: Arc<Mutex<Option<&'static str>>>,
    /// What is added to the time by which the arbiter rules.
    later: Arc<AtomicU64>,
    seat: Seat,
    bank: Arc<Bank>,
    _running: watch::Sender<bool>,
    working: watch::Sender<bool>,
}

/// What an arbiter has when its process begins: what is stored, its keys, and a line to the issuer.
struct Seat {
    line: Line,
    archive: Arc<dyn Archive>,
    vault: Arc<dyn KeyHolder>,
    deposits: Arc<DecapsulationKey>,
    later: Arc<AtomicU64>,
}

impl Seat {
    /// An arbiter, and what stops its work.
    fn taken(&self) -> (Arbiter, watch::Sender<bool>) {
        let (working, stopped) = watch::channel(false);
        let payments = payments(9, &self.line, self.archive.clone(), self.vault.clone(), stopped);
        let added = self.later.clone();
        let arbiter = Arbiter::new(ArbiterParts {
            payments,
            archive: self.archive.clone(),
            keys: self.vault.clone(),
            verify: Arc::new(Verifier),
            kem: Arc::new(Encapsulator),
            deposits: self.deposits.clone(),
            issuers: Vec::new(),
            in_line: true,
            clock: Arc::new(move || now().after(Seconds(added.load(Ordering::SeqCst)))),
        });
        (arbiter, working)
    }
}

fn payments(
    name: u8,
    line: &Line,
    archive: Arc<dyn Archive>,
    keys: Arc<dyn KeyHolder>,
    stopped: watch::Receiver<bool>,
) -> Arc<Payments> {
    let payments = Payments::new(PaymentParts {
        systems: systems(name),
        issuers: Arc::new(line.clone()),
        archive,
        keys,
        verify: Arc::new(Verifier),
        random: Arc::new(SystemRandom),
        certificates: Vec::new(),
    });
    tokio::spawn(payments.clone().run(None, stopped));
    payments
}

fn systems(name: u8) -> Systems {
    semper_payment::all(&[name; 32], Arc::new(Sealer), Level::Two).into()
}

/// Gives a party money; each gift has its number.
async fn fund(system: &str, bank: &Bank, party: &Party, number: u8) {
    if system == "ecash" {
        party.done(Task::Deposit { amount: eur(FUNDS), method: "bolt11".to_owned() }).await;
        return;
    }
    let owner = party.keys.key_set().id();
    let accounts = bank.accounts(None, 10).await.unwrap();
    let account = accounts.iter().find(|account| account.owner == owner).unwrap();
    bank.by_hand([number; 16], Direction::In, account.number, eur(FUNDS), "cash").await.unwrap();
    party.done(Task::Refresh).await;
}

async fn mint() -> Router {
    let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(TestBackend::worthless(Arc::new(now)))];
    let seed = Zeroizing::new(vec![7; 32]);
    let mint = Mint::open(mint::Settings::default(), Arc::new(MemoryArchive::new()), Arc::new(now), seed, backends);
    mint::routes(mint.await.unwrap(), &everybody())
}

async fn bank() -> Arc<Bank> {
    let parts = bank::Parts {
        archive: Arc::new(MemoryArchive::new()),
        keys: Arc::new(LocalKeys(Arc::new(SecretKeys::generate(Suite::Ed25519).unwrap()))),
        open: Arc::new(OpenKey::generate(KemSuite::X25519).unwrap()),
        verify: Arc::new(Verifier),
        clock: Arc::new(now),
        opening: Opening::Anyone(None),
        admit: None,
    };
    let rules = Rules::new(ISSUER.to_owned(), "Bank".to_owned(), BTreeSet::from([eur(0).currency()]));
    Bank::new(parts, rules).await.unwrap()
}

impl World {
    async fn new(system: &'static str) -> Self {
        let (running, stopped) = watch::channel(false);
        let (silent, cut_after) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let bank = bank().await;
        let issuer = if system == "ecash" { mint().await } else { bank::http::routes(bank.clone(), &everybody()) };
        let line = Line { issuer, silent: silent.clone(), cut_after: Arc::clone(&cut_after) };
        let mut parties = Vec::new();
        for name in [1, 2] {
            let keys = Arc::new(SecretKeys::generate(Suite::Ed25519).unwrap());
            let archive = Arc::new(MemoryArchive::new());
            let payments = payments(name, &line, archive, Arc::new(Agrees(keys.clone())), stopped.clone());
            let purse = payments.purse_at(system, ISSUER, eur(0).currency()).await.unwrap();
            let party = Party { keys, payments, purse };
            party.done(Task::Refresh).await;
            parties.push(party);
        }
        fund(system, &bank, &parties[1], 1).await;

        let signer = SecretKeys::generate(Suite::Ed25519).unwrap();
        let arbiter_keys = signer.key_set().clone();
        let archive: Arc<dyn Archive> = Arc::new(MemoryArchive::new());
        let vault = Vault::new(Box::new(signer), archive.clone(), Purpose::Arbiter, None, systems(9));
        let vault: Arc<dyn KeyHolder> = Arc::new(vault);
        let deposits = Arc::new(DecapsulationKey::generate(KEM).unwrap());
        let later = Arc::new(AtomicU64::new(0));
        let deposit_key = DepositKey { suite: deposits.suite(), public_key: deposits.public_key().to_vec() };
        let seat = Seat { line, archive, vault, deposits, later: later.clone() };
        let (arbiter, working) = seat.taken();
        let systems = systems(9);
        let module = systems.iter().find(|module| module.system().as_str() == system).unwrap();
        Self {
            system,
            lock_key: module.arbiter_key(&arbiter_keys),
            deposit_key,
            arbiter,
            arbiter_keys,
            parties: parties.try_into().ok().unwrap(),
            silent,
            cut_after,
            later,
            seat,
            bank,
            _running: running,
            working,
        }
    }

    /// Both parties have money.
    async fn rich(system: &'static str) -> Self {
        let world = Self::new(system).await;
        fund(system, &world.bank, &world.parties[0], 2).await;
        world
    }

    /// The arbiter's process ends and begins anew.
    fn restart(&mut self) {
        self.working.send_replace(true);
        (self.arbiter, self.working) = self.seat.taken();
    }

    fn pass(&self, span: Seconds) {
        self.later.fetch_add(span.0, Ordering::SeqCst);
    }

    fn party(&self, role: Role) -> &Party {
        &self.parties[usize::from(role.number())]
    }

    async fn sale(&self, goods: Goods) -> Sale {
        let key = article_key();
        let article = article(&key, goods == Goods::Bad);
        let descriptor =
            Descriptor::new("a.bin", "application/octet-stream", article.0.size, article.0.plain_root, "bytes");
        let now = now().after(Seconds(self.later.load(Ordering::SeqCst)));
        let deadlines = Deadlines {
            not_after: now.after(OPEN),
            complaints: Some(WINDOW),
            refund_after: Some(now.after(Seconds(10_000))),
            delta: Seconds(10),
            sigma: Seconds(1),
        };
        let price = Price {
            amount: eur(PRICE),
            system: System::parse(self.system).unwrap(),
            issuer: ISSUER.to_owned(),
            lock: Some(LockKind::Arbiter),
        };
        let item =
            |kind, owner: Role, slot, descriptor| Item { kind, owner, recipient: owner.peer(), descriptor, slot };
        let party = |role| PartyRef { role, key_set: self.party(role).keys.key_set().id() };
        let mut nonce = [0; 32];
        semper_support::crypto::Randomness::fill(&SystemRandom, &mut nonce).unwrap();
        let terms = Terms {
            profile: Profile::Gx,
            parties: [SELLER, BUYER].map(party).to_vec(),
            arbiter: Some(ArbiterRef {
                key_set: self.arbiter_keys.id(),
                deposit_key: Some(self.deposit_key.id()),
                log: self.arbiter_keys.id(),
                rules: rules_hash(),
            }),
            items: vec![
                item(ItemKind::Information, SELLER, GOODS, descriptor.unwrap().to_bytes()),
                item(ItemKind::Money, BUYER, MONEY, price.to_bytes()),
            ],
            deadlines,
            text: TextRef {
                template: TemplateId::from_digest(Digest::of(domain::TEMPLATE, b"")),
                fields: Digest::of(domain::FIELDS, b""),
                locale: "en".to_owned(),
                render: Digest::of(domain::RENDER, b""),
            },
            links: Vec::new(),
            nonce,
        };
        let tid = Core { terms: terms.clone(), deposits: BTreeMap::new() }.tid();
        let (tid, root) = ((tid, GOODS), article.0.cipher_root);
        let mut deposit = Deposit::make(&Encapsulator, &self.deposit_key, &seed(), tid, &key, root).unwrap();
        if goods == Goods::Sealed {
            // A point of low order: every secret key gives the same secret, which nobody accepts.
            deposit.opens = Opens::Encapsulated { suite: self.deposit_key.suite, ciphertext: vec![0; 32] };
        }
        let lock_deposit = LockDeposit {
            payer: self.party(BUYER).done(Task::Prepare(eur(PRICE))).await,
            payee: self.party(SELLER).done(Task::Prepare(eur(PRICE))).await,
            decides: Decides::Arbiter(self.lock_key.clone()),
            salt: nonce,
        };
        let deposits = BTreeMap::from([(MONEY, lock_deposit.to_bytes()), (GOODS, deposit.to_bytes())]);
        let core = Core { terms, deposits };
        let lock = Leg::of(&core).unwrap()[1].lock().unwrap().clone();
        let token = self.party(BUYER).done(Task::Lock(lock.clone())).await;
        let first = self.party(SELLER).sign(&Promise { cid: core.cid(), role: SELLER, answers: None });
        let second = Promise { cid: core.cid(), role: BUYER, answers: Some(first.id()) };
        let second = Promised { token, ..Promised::bare(self.party(BUYER).sign(&second)) };
        let promises = [Promised::bare(first), second];
        Sale { core, lock, promises, article: article.0, ciphertext: article.1 }
    }

    /// A sale whose lock the seller has seen, as before it promises anything.
    async fn seen(&self, goods: Goods) -> Sale {
        let sale = self.sale(goods).await;
        self.party(SELLER).done(Task::VerifyLock { lock: sale.lock.clone(), token: sale.token() }).await;
        sale
    }

    async fn ask(&self, request: &Request) -> Result<ArbiterAnswer, DecideError> {
        self.arbiter.decide(DEAL, request, &request.to_bytes()).await
    }

    fn read(&self, request: &Request, answer: &ArbiterAnswer) -> Decision {
        answer
            .read(&Verifier, &self.arbiter_keys, (request.core.cid(), Slot::default()), request.question.id())
            .unwrap()
    }

    /// Asks, and says what was decided.
    async fn decided(&self, request: &Request) -> (ArbiterAnswer, Decision) {
        let answer = self.ask(request).await.unwrap();
        let decision = self.read(request, &answer);
        (answer, decision)
    }

    fn request(&self, sale: &Sale, promises: &[Promised], question: Signed) -> Request {
        Request {
            core: sale.core.clone(),
            key_sets: [SELLER, BUYER].map(|role| self.party(role).keys.key_set().clone()),
            promises: promises.to_vec(),
            question,
            proof: Vec::new(),
            payout: Vec::new(),
        }
    }

    fn abort(&self, sale: &Sale) -> Request {
        let abort = Abort { cid: sale.core.cid(), slot: Slot::default(), promise: sale.promises[0].promise.id() };
        self.request(sale, &sale.promises[..1], self.party(SELLER).sign(&abort))
    }

    fn resolve(&self, sale: &Sale, role: Role) -> Request {
        let promises = [0, 1].map(|place: usize| sale.promises[place].promise.id());
        let resolve = Resolve { cid: sale.core.cid(), slot: Slot::default(), promises, role, proof: None };
        self.request(sale, &sale.promises, self.party(role).sign(&resolve))
    }

    fn complain(&self, sale: &Sale, pom: &Pom) -> Request {
        let proof = pom.to_bytes();
        let named = Digest::of(domain::MISBEHAVIOUR, &proof);
        let complaint = Complaint { cid: sale.core.cid(), slot: Slot::default(), role: BUYER, proof: named };
        Request { proof, ..self.request(sale, &sale.promises, self.party(BUYER).sign(&complaint)) }
    }

    async fn settle(&self, sale: &Sale, role: Role, promises: &[Promised]) -> Request {
        let (lock, token, side) = (sale.lock.clone(), sale.token(), side(role));
        let payout = self.party(role).done(Task::Payout { lock, token, to: side }).await;
        let named = Digest::of(domain::PAYOUT, &payout);
        let settlement = Settlement { cid: sale.core.cid(), slot: Slot::default(), role, side, payout: named };
        Request { payout, ..self.request(sale, promises, self.party(role).sign(&settlement)) }
    }

    /// Takes the money of a sale with an authorisation.
    async fn redeem(&self, sale: &Sale, role: Role, authorisation: &[u8]) -> Result<Outcome, Failure> {
        let (lock, token, authorisation) = (sale.lock.clone(), sale.token(), authorisation.to_vec());
        self.party(role).end(Task::Redeem { lock, token, to: side(role), authorisation }).await
    }

    /// A role settles, is refused if `paid` is false, and takes the money if it is true.
    async fn settles(&self, sale: &Sale, role: Role, promises: &[Promised], paid: bool) {
        let request = self.settle(sale, role, promises).await;
        let (answer, _) = self.decided(&request).await;
        assert_eq!(!answer.authorisation.is_empty(), paid, "{role}");
        if paid {
            assert_eq!(self.ask(&request).await.unwrap(), answer, "the same request, the same answer");
            assert_eq!(self.redeem(sale, role, &answer.authorisation).await.unwrap().moved.minor(), PRICE);
        }
    }

    /// The key that the arbiter attests.
    fn key(&self, answer: &ArbiterAnswer) -> ArticleKey {
        let signed = answer.attestation.as_ref().unwrap();
        let said = semper_core::signature::verify::<KeyAttestation>(&Verifier, &self.arbiter_keys, signed).unwrap();
        said.statement().key.clone()
    }
}

fn article_key() -> ArticleKey {
    ArticleKey::from_array([5; 32])
}

/// The seed of the seller's deposits.
fn seed() -> Seed {
    Seed::new(vec![3; Encapsulator.seed_len(KEM)])
}

fn side(role: Role) -> Side {
    if role == BUYER { Side::Payer } else { Side::Payee }
}

fn eur(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

/// What the seller sells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goods {
    Good,
    /// A chunk is not what was promised.
    Bad,
    /// Nobody can open the deposit.
    Sealed,
}

struct Sale {
    core: Core,
    lock: Lock,
    promises: [Promised; 2],
    article: Article,
    ciphertext: Vec<u8>,
}

impl Sale {
    fn token(&self) -> Vec<u8> {
        self.promises[1].token.clone()
    }

    fn with_token(&self, token: Vec<u8>) -> Self {
        let [seller, buyer] = self.promises.clone();
        let promises = [seller, Promised { token, ..buyer }];
        Self {
            core: self.core.clone(),
            lock: self.lock.clone(),
            promises,
            article: self.article.clone(),
            ciphertext: self.ciphertext.clone(),
        }
    }

    /// What the buyer proves.
    fn proof(&self, world: &World, evidence: KeyEvidence) -> Option<Pom> {
        let good = Good::of(&self.core, GOODS, Some(&world.deposit_key)).unwrap();
        let download = Download::new(&Encapsulator, good, self.article.index.clone()).unwrap();
        let chunks = self.ciphertext.chunks(CHUNK_LEN).map(<[u8]>::to_vec);
        first_bad_chunk(&download, &article_key(), &evidence, chunks)
    }
}

/// An article of two chunks and its ciphertext; if it is bad, the second chunk is another one than the plain root promises.
fn article(key: &ArticleKey, bad: bool) -> (Article, Vec<u8>) {
    let encode = |plain: &[u8]| {
        let (mut encoder, mut ciphertext) = (Encoder::new(key.clone()), Vec::new());
        encoder.push(plain, &mut ciphertext).unwrap();
        let article = encoder.finish(&mut ciphertext).unwrap();
        (article, ciphertext)
    };
    let plain = vec![1; CHUNK_LEN + 100];
    let (promised, ciphertext) = encode(&plain);
    if !bad {
        return (promised, ciphertext);
    }
    let mut junk = plain;
    junk[CHUNK_LEN] ^= 1;
    let (delivered, ciphertext) = encode(&junk);
    let leaves = |place| Leaves {
        plain: promised.index.leaves(place).unwrap().plain,
        cipher: delivered.index.leaves(place).unwrap().cipher,
    };
    let index = (0..promised.size.chunks()).map(|place| leaves(semper_exchange::goods::ChunkIndex(place))).collect();
    let index = Index::new(index).unwrap();
    (Article { cipher_root: delivered.cipher_root, index, ..promised }, ciphertext)
}

fn is_refused(result: &Result<ArbiterAnswer, DecideError>) -> bool {
    result.as_ref().is_err_and(DecideError::is_final)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_is_answered_only_for_a_token_that_its_issuer_confirms() {
    for system in SYSTEMS {
        let world = World::new(system).await;
        let (sale, other) = (world.sale(Goods::Good).await, world.sale(Goods::Good).await);
        let mut broken = sale.token();
        let middle = broken.len() / 2;
        broken[middle] ^= 1;
        for bad in [Vec::new(), broken, other.token()] {
            let refused = world.ask(&world.resolve(&sale.with_token(bad), BUYER)).await;
            assert!(is_refused(&refused), "{refused:?}");
        }
        // A refused request has decided nothing.
        let (answer, decision) = world.decided(&world.resolve(&sale, BUYER)).await;
        assert!(matches!(decision, Decision::Resolved { .. }));
        assert_eq!(answer.promises, sale.promises);
        assert_eq!(world.key(&answer).as_bytes(), article_key().as_bytes());
        // The seller gets no key of its own goods, and the same answer to whatever it asks.
        let (sellers, _) = world.decided(&world.resolve(&sale, SELLER)).await;
        assert_eq!((&sellers.attestation, &sellers.statement), (&None, &answer.statement));
        assert_eq!(world.decided(&world.abort(&sale)).await.0, sellers);
        assert!(world.arbiter.metrics.text().is_ascii());
    }
}

// The seller takes the money that the buyer let go of, and sends nothing: the spent token must still be good.
#[tokio::test(flavor = "multi_thread")]
async fn a_payer_whose_money_was_taken_gets_what_it_paid_for() {
    for system in SYSTEMS {
        let world = World::new(system).await;
        let sale = world.seen(Goods::Good).await;
        let (lock, token) = (sale.lock.clone(), sale.token());
        let payout = Task::Payout { lock: lock.clone(), token: token.clone(), to: Side::Payee };
        let payout = world.party(SELLER).done(payout).await;
        let authorise = Task::Authorise { lock, token, payout, to: Side::Payee };
        let authorisation = world.party(BUYER).done(authorise).await;
        world.redeem(&sale, SELLER, &authorisation).await.unwrap();
        let (answer, decision) = world.decided(&world.resolve(&sale, BUYER)).await;
        assert!(matches!(decision, Decision::Resolved { .. }));
        assert!(answer.attestation.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_silent_is_waited_for_and_nothing_is_decided() {
    let world = World::new("ecash").await;
    let sale = world.sale(Goods::Good).await;
    world.silent.store(true, Ordering::SeqCst);
    let request = world.resolve(&sale, BUYER);
    let waiting = world.ask(&request).await;
    assert!(matches!(waiting, Err(DecideError::Money(MoneyError::Awaited))), "{waiting:?}");
    // Whoever needs no confirmation is not kept waiting; here that is nobody yet.
    world.silent.store(false, Ordering::SeqCst);
    for _ in 0..20 {
        match world.ask(&request).await {
            Err(DecideError::Money(MoneyError::Awaited)) => {}
            answered => {
                assert!(matches!(world.read(&request, &answered.unwrap()), Decision::Resolved { .. }));
                return;
            }
        }
    }
    panic!("the issuer answers, and the request is not decided");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payee_is_paid_when_the_time_for_complaints_is_over_and_not_before() {
    for system in SYSTEMS {
        let world = World::new(system).await;
        let sale = world.seen(Goods::Good).await;
        let early = world.ask(&world.settle(&sale, SELLER, &sale.promises).await).await;
        assert!(matches!(early, Err(DecideError::Early)), "{early:?}");
        let (first, _) = world.decided(&world.resolve(&sale, SELLER)).await;
        world.settles(&sale, SELLER, &sale.promises, false).await;
        world.settles(&sale, BUYER, &sale.promises, false).await;
        world.pass(OVER);
        world.settles(&sale, BUYER, &sale.promises, false).await;
        world.settles(&sale, SELLER, &sale.promises, true).await;
        world.settles(&sale, BUYER, &sale.promises, false).await;
        assert_eq!(world.party(SELLER).available().await, PRICE);
        // The verdict is the first one, and the closing came to it.
        let (last, _) = world.decided(&world.resolve(&sale, BUYER)).await;
        assert_eq!((&last.statement, &last.log), (&first.statement, &first.log));
        assert!(last.closing.is_some() && first.closing.is_none());
        assert_eq!(world.arbiter.register.log().await.unwrap().0.size(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payer_gets_its_money_back_after_an_abort() {
    for system in SYSTEMS {
        let world = World::new(system).await;
        let sale = world.sale(Goods::Good).await;
        assert_eq!(world.decided(&world.abort(&sale)).await.1, Decision::Aborted);
        assert_eq!(world.decided(&world.resolve(&sale, SELLER)).await.1, Decision::Aborted);
        world.settles(&sale, SELLER, &sale.promises, false).await;
        world.settles(&sale, BUYER, &sale.promises, true).await;
        assert_eq!(world.party(BUYER).available().await, FUNDS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payer_gets_its_money_back_when_nobody_came_in_time() {
    let world = World::new("ecash").await;
    let sale = world.sale(Goods::Good).await;
    world.pass(Seconds(3700));
    let request = world.settle(&sale, BUYER, &sale.promises).await;
    let (answer, decision) = world.decided(&request).await;
    assert_eq!(decision, Decision::Unused);
    // A clock that is set back must not let the money go to the other side as well.
    world.later.store(0, Ordering::SeqCst);
    world.decided(&world.resolve(&sale, SELLER)).await;
    world.pass(OVER);
    let other_side = world.ask(&world.settle(&sale, SELLER, &sale.promises).await).await;
    assert!(matches!(other_side, Err(DecideError::Money(MoneyError::OtherSide))), "{other_side:?}");
    world.redeem(&sale, BUYER, &answer.authorisation).await.unwrap();
    assert_eq!(world.party(BUYER).available().await, FUNDS);
}

// Of a resolved contract, with the key that the arbiter gave; and of one that the seller ended with its own seed.
#[tokio::test(flavor = "multi_thread")]
async fn a_complaint_that_is_proven_gives_the_money_back() {
    let world = World::new("ecash").await;
    for resolved in [true, false] {
        let sale = world.sale(Goods::Bad).await;
        let evidence = if resolved {
            let (answer, _) = world.decided(&world.resolve(&sale, BUYER)).await;
            KeyEvidence::Attested(answer.attestation.unwrap())
        } else {
            KeyEvidence::Seed(seed())
        };
        let complaint = world.complain(&sale, &sale.proof(&world, evidence).unwrap());
        let (answer, decision) = world.decided(&complaint).await;
        assert_eq!((decision, answer.closing.is_some()), (Decision::Fault(SELLER), resolved));
        assert_eq!(world.ask(&complaint).await.unwrap(), answer);
        // The buyer has its money: it gets no key. The seller is not paid, however late it is.
        assert_eq!(world.decided(&world.resolve(&sale, BUYER)).await.0.attestation, None);
        world.pass(OVER);
        world.settles(&sale, SELLER, &sale.promises, false).await;
        world.settles(&sale, BUYER, &sale.promises, true).await;
        assert_eq!(world.party(BUYER).available().await, FUNDS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complaint_that_is_not_proven_or_too_late_changes_nothing() {
    let world = World::new("ecash").await;
    let (good, bad) = (world.seen(Goods::Good).await, world.seen(Goods::Bad).await);
    let (answer, _) = world.decided(&world.resolve(&bad, BUYER)).await;
    let pom = bad.proof(&world, KeyEvidence::Attested(answer.attestation.unwrap())).unwrap();
    assert!(good.proof(&world, KeyEvidence::Seed(seed())).is_none());
    // A proof about another contract, and one that was changed.
    world.decided(&world.resolve(&good, BUYER)).await;
    let foreign = world.ask(&world.complain(&good, &pom)).await;
    assert!(is_refused(&foreign), "{foreign:?}");
    let moved = Pom { cid: good.core.cid(), ..pom.clone() };
    let moved = world.ask(&world.complain(&good, &moved)).await;
    assert!(is_refused(&moved), "{moved:?}");
    world.pass(OVER);
    let (late, decision) = world.decided(&world.complain(&bad, &pom)).await;
    assert!(matches!(decision, Decision::Resolved { .. }) && late.closing.is_none(), "{decision:?}");
    world.settles(&bad, SELLER, &bad.promises, true).await;
}

// Nobody could complete this contract; and nobody needs a chunk to prove it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_nobody_can_open_is_the_sellers_fault() {
    let world = World::new("ecash").await;
    let sale = world.sale(Goods::Sealed).await;
    let (answer, decision) = world.decided(&world.resolve(&sale, SELLER)).await;
    assert_eq!((decision, answer.attestation), (Decision::Fault(SELLER), None));
    world.settles(&sale, SELLER, &sale.promises, false).await;
    world.settles(&sale, BUYER, &sale.promises, true).await;
}

// A stranger's contract must not make an arbiter ask whomever the stranger likes.
#[tokio::test(flavor = "multi_thread")]
async fn an_arbiter_that_names_its_issuers_asks_no_other() {
    let mut world = World::new("ecash").await;
    let sale = world.sale(Goods::Good).await;
    for (issuers, knows) in [(vec!["https://other.test".to_owned()], false), (vec![format!("{ISSUER}/")], true)] {
        let parts = &world.arbiter.parts;
        world.arbiter.money = Money::new(parts.archive.clone(), parts.payments.clone(), issuers);
        assert_eq!(is_refused(&world.ask(&world.resolve(&sale, BUYER)).await), !knows);
        assert_eq!(world.arbiter.parts.payments.purses().await.unwrap().len(), usize::from(knows));
    }
}

// Both ask at once for what excludes each other: one decides, and both hear the same.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_requests_at_once_one_decides() {
    let world = Arc::new(World::new("ecash").await);
    for _ in 0..2 {
        let sale = world.sale(Goods::Good).await;
        let requests = [world.abort(&sale), world.resolve(&sale, SELLER), world.resolve(&sale, BUYER)];
        let asked = requests.clone().map(|request| {
            let world = world.clone();
            tokio::spawn(async move { world.ask(&request).await.unwrap() })
        });
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        for (request, answer) in requests.iter().zip(&answers) {
            assert_eq!((&answer.statement, &answer.log), (&answers[0].statement, &answers[0].log));
            assert_eq!(world.ask(request).await.unwrap(), *answer);
        }
    }
    assert_eq!(world.arbiter.register.log().await.unwrap().0.size(), 2);
}

/// Three who sign a contract under the arbiter of a world, and the contract.
struct Three {
    keys: Vec<SecretKeys>,
    core: Core,
}

impl Three {
    fn new(world: &World, nonce: u8) -> Self {
        let keys: Vec<_> = (0..3).map(|_| SecretKeys::generate(Suite::Ed25519).unwrap()).collect();
        let named = |key_set: &KeySet| Named { name: "Somebody".to_owned(), key_set: key_set.id() };
        let draft = Draft {
            signers: keys.iter().map(|keys| named(keys.key_set())).collect(),
            arbiter: named(&world.arbiter_keys),
            log: world.arbiter_keys.id(),
            rules: rules_hash(),
            closes: now().after(OPEN),
            files: vec![Information::new("a.txt", "text/plain", vec![nonce]).unwrap()],
            terms: String::new(),
            law: String::new(),
            locale: "en".to_owned(),
            nonce: [nonce; 32],
        };
        Self { core: draft.propose([nonce; 16]).unwrap().agreement.core, keys }
    }

    fn say(by: &SecretKeys, statement: &impl Statement) -> Signed {
        by.sign(statement.draft(by.key_set().suite(), by.key_set().id())).unwrap()
    }

    /// The question of a party in a round, with the signatures of all on the round before.
    fn request(&self, party: u8, round: u8) -> many::Request {
        let (cid, role) = (self.core.cid(), Role::numbered(party));
        let signed = |(number, keys)| Self::say(keys, &Round { cid, role: Role::numbered(number), round: round - 1 });
        many::Request {
            core: self.core.clone(),
            key_sets: self.keys.iter().map(|keys| keys.key_set().clone()).collect(),
            sheet: if round == 1 { Vec::new() } else { (0..).zip(&self.keys).map(signed).collect() },
            question: Self::say(&self.keys[usize::from(party)], &many::Ask { cid, role, round }),
        }
    }

    /// What a stranger finds wrong with what the arbiter has answered.
    fn wrong(&self, world: &World, asked: &[many::Request], answers: &[many::Answer]) -> Vec<Finding> {
        let item = |kind, bytes| evidence::Item { kind, time: now(), bytes };
        let keys = self.keys.iter().map(Signer::key_set).chain([&world.arbiter_keys]);
        let said = asked.iter().flat_map(|request| request.sheet.iter().chain([&request.question]));
        let ruled =
            answers.iter().flat_map(|answer| answer.asks.iter().chain(&answer.sheet).chain([&answer.statement]));
        let mut items = vec![item(EvidenceKind::Core, self.core.to_bytes())];
        items.extend(keys.map(|keys| item(EvidenceKind::KeySet, keys.to_bytes())));
        items.extend(said.chain(ruled).map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())));
        let folder = Folder { deal: DEAL, items };
        let by_arbiter =
            |finding: &Finding| matches!(finding, Finding::ArbiterEquivocated { .. } | Finding::WrongVerdict { .. });
        evidence::verify(&Verifier, &[], &folder).findings.into_iter().filter(by_arbiter).collect()
    }
}

// Three ask at once, each in another round. Whichever is first, the verdicts follow from each other, and each party hears the same for ever.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_each_gets_a_verdict_that_follows() {
    let world = Arc::new(World::new("ecash").await);
    let mut written = 0;
    for nonce in 0..4 {
        let three = Three::new(&world, nonce);
        let requests = [three.request(0, 3), three.request(1, 1), three.request(2, 2)];
        let asked = requests.clone().map(|request| {
            let world = world.clone();
            tokio::spawn(async move { world.arbiter.decide_many(DEAL, &request.to_bytes()).await.unwrap() })
        });
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        for (request, answer) in requests.iter().zip(&answers) {
            let again = world.arbiter.decide_many(DEAL, &request.to_bytes()).await.unwrap();
            assert_eq!(again.to_bytes(), answer.to_bytes());
        }
        // Cora asks again, in a later round: she hears what she has heard.
        let later = world.arbiter.decide_many(DEAL, &three.request(2, 4).to_bytes()).await.unwrap();
        assert_eq!(later, answers[2]);
        assert_eq!(three.wrong(&world, &requests, &answers), []);
        written += answers.iter().map(|answer| answer.statement.id()).collect::<BTreeSet<_>>().len() as u64;
    }
    assert_eq!(world.arbiter.register.log().await.unwrap().0.size(), written);
}

// A contract of two is not decided as one of many, nor the reverse: neither has what the other rests on.
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_contract_is_decided_by_its_own_rules() {
    let world = World::new("ecash").await;
    let (three, sale) = (Three::new(&world, 1), world.sale(Goods::Good).await);
    let good = three.request(0, 1);
    let exchange = Request { core: three.core.clone(), ..world.abort(&sale) };
    assert!(is_refused(&world.ask(&exchange).await));
    let signing = many::Request { core: world.abort(&sale).core, ..good.clone() };
    assert!(world.arbiter.decide_many(DEAL, &signing.to_bytes()).await.unwrap_err().is_final());
    assert!(world.arbiter.decide_many(DEAL, &good.to_bytes()).await.is_ok());
}
