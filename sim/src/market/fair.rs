//! Where every run begins: a mint or a bank that really runs, and three parties who have purses there, one of them with money.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Encode as _;
use semper_core::time::Time;
use semper_payment::account::bank::operator::Direction;
use semper_payment::account::bank::{Bank, LocalKeys, Opening, Parts, Rules};
use semper_payment::account::module::AccountModule;
use semper_payment::account::payment::Level;
use semper_payment::admit::everybody;
use semper_payment::ecash::mint::backend::Backend;
use semper_payment::ecash::mint::{KeysetAudit, Mint, Settings, TestBackend, routes};
use semper_payment::ecash::wallet::{EcashModule, seed_of_words};
use semper_payment::words;
use semper_store::MemoryArchive;
use semper_support::archive::intercept::{Intercept, Intercepted};
use semper_support::archive::{Archive, Commit, CommitError, PutState};
use semper_support::crypto::KemSuite;
use semper_support::crypto::Signer as _;
use semper_transfer::payment::Module;
use semper_transfer::payment::journal::{Entry, Versions, load_entry, load_purse, purse_key};
use semper_transfer::payment::means::Fees;
use semper_transfer::payment::module::{Context, Event, IssuerReply, IssuerRequest, Next, Purse};
use semper_transfer::payment::operation::{Operation, OperationId, Outcome, PurseId, Task};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;
use zeroize::Zeroizing;

use super::{ARBITER, BUYER, SELLER};
use crate::scenario::Cast;
use crate::symbolic::Hand;
use crate::world::ready;

/// What the buyer has at the beginning, in minor units: few coins, for each of them is computed with.
pub(super) const FUNDS: u64 = 40;
/// What the goods cost, in minor units.
pub(super) const PRICE: u64 = 5;
/// When the parties have opened their purses.
pub(super) const OPENED: Time = Time::from_unix(1_000_000_000);

const ISSUER: &str = "https://issuer.example";
/// Steps after which an operation in calm weather is stuck.
const STEPS_MAX: usize = 200;

/// How the price is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// With coins of a mint.
    Ecash,
    /// From an account at a bank.
    Account,
}

/// What becomes of the next commit of an issuer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is stored.
    #[default]
    Stored,
    /// It is not, and the issuer knows.
    Refused,
    /// The power fails before it, and the issuer cannot tell.
    Lost,
    /// The power fails after it, and the issuer cannot tell.
    Unheard,
    /// A broken disk: it says that it has stored what it has not.
    Pretended,
}

/// The disk of an issuer.
pub(super) struct Disk {
    memory: MemoryArchive,
    fate: Mutex<Fate>,
}

#[async_trait]
impl Intercept for Disk {
    fn archive(&self) -> &dyn Archive {
        &self.memory
    }

    async fn commit(&self, commit: Commit) -> Result<(), CommitError> {
        let fate = std::mem::take(&mut *self.fate.lock().unwrap_or_else(PoisonError::into_inner));
        match fate {
            Fate::Stored => self.memory.commit(commit).await,
            Fate::Refused => Err(CommitError::Storage("the disk is full".to_owned())),
            Fate::Lost => Err(CommitError::Unknown("the power failed".to_owned())),
            Fate::Unheard => {
                self.memory.commit(commit).await?;
                Err(CommitError::Unknown("the power failed".to_owned()))
            }
            Fate::Pretended => Ok(()),
        }
    }
}

enum Service {
    Mint(Arc<Mint>, Router),
    Bank(Arc<Bank>),
}

/// A mint or a bank.
pub(super) struct Issuer {
    service: Service,
    disk: Arc<Intercepted<Disk>>,
    clock: Arc<AtomicU64>,
    runtime: Runtime,
}

impl Issuer {
    fn open(means: Means, cast: &Cast) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime without sockets");
        let clock = Arc::new(AtomicU64::new(OPENED.unix()));
        let told = clock.clone();
        let told: Arc<dyn Fn() -> Time + Send + Sync> = Arc::new(move || Time::from_unix(told.load(Ordering::SeqCst)));
        let disk = Arc::new(Intercepted(Disk { memory: MemoryArchive::new(), fate: Mutex::default() }));
        let service = match means {
            Means::Ecash => {
                let backends: Vec<Arc<dyn Backend>> = vec![Arc::new(TestBackend::worthless(told.clone()))];
                let settings = Settings { input_fee_ppk: 100, melt_patience: Duration::ZERO, ..Settings::default() };
                let open = Mint::open(settings, disk.clone(), told, Zeroizing::new(vec![7; 32]), backends);
                let mint = runtime.block_on(open).expect("an empty archive has room for a mint");
                Service::Mint(mint.clone(), routes(mint, &everybody()))
            }
            Means::Account => {
                let rules = Rules::new(ISSUER.to_owned(), "Bank".to_owned(), BTreeSet::from([currency()]));
                let rules = Rules { fees: Fees { fixed: 1, per_million: 0 }, ..rules };
                let hand = cast.oracle.hand(semper_core::party::Suite::Ed25519, 9);
                let parts = Parts {
                    archive: disk.clone(),
                    keys: Arc::new(LocalKeys(Arc::new(hand))),
                    open: Arc::new(cast.oracle.seal_hand(KemSuite::X25519, 9)),
                    verify: Arc::new(cast.oracle),
                    clock: told,
                    opening: Opening::Anyone(None),
                    admit: None,
                };
                Service::Bank(ready(Bank::new(parts, rules)).expect("the bank's keys sign"))
            }
        };
        Self { service, disk, clock, runtime }
    }

    /// Says what time it is here, and what becomes of the next commit.
    pub(super) fn set(&self, now: Time, fate: Fate) {
        self.clock.store(now.unix(), Ordering::SeqCst);
        *self.disk.fate.lock().unwrap_or_else(PoisonError::into_inner) = fate;
    }

    /// Answers a request; nothing where its asker is to come again.
    pub(super) fn ask(&self, request: &IssuerRequest) -> Option<IssuerReply> {
        let reply = match &self.service {
            Service::Mint(_, router) => self.runtime.block_on(over_http(router.clone(), request)),
            Service::Bank(bank) => match &request.body {
                Some((_, body)) => match ready(bank.request(body)) {
                    Ok(body) => IssuerReply { status: 200, body },
                    Err(refusal) => IssuerReply { status: refusal.kind.status(), body: refusal.to_json().into_bytes() },
                },
                None => {
                    let signed = data_encoding::BASE64.encode(bank.terms().bytes());
                    IssuerReply { status: 200, body: format!("{{\"signed\":\"{signed}\"}}").into_bytes() }
                }
            },
        };
        (reply.status != 429 && reply.status < 500).then_some(reply)
    }

    /// What the books say that is owed to customers, in minor units, and what does not add up in them. Holds whose time is over are closed first.
    pub(super) fn audit(&self) -> Result<(u64, Vec<String>), String> {
        let (owed, faults) = match &self.service {
            Service::Mint(mint, _) => {
                let audit = ready(mint.audit()).map_err(|e| e.to_string())?;
                (audit.iter().map(KeysetAudit::outstanding).sum::<i128>(), Vec::new())
            }
            Service::Bank(bank) => {
                ready(bank.close_due()).map_err(|e| e.to_string())?;
                let audit = ready(bank.audit()).map_err(|e| e.to_string())?;
                (audit.owed.values().sum(), audit.faults)
            }
        };
        Ok((u64::try_from(owed).map_err(|_| format!("the issuer owes {owed}"))?, faults))
    }

    fn credit(&self, minor: u64) {
        let Service::Bank(bank) = &self.service else { return };
        let accounts = ready(bank.accounts(None, 10)).expect("the books are readable");
        // The buyer's is the only one whose owner is the buyer.
        for account in accounts.iter().filter(|account| account.owner == buyer().key_set().id()) {
            ready(bank.by_hand([1; 16], Direction::In, account.number, amount(minor), ""))
                .expect("the account is there");
        }
    }
}

fn buyer() -> Hand {
    hand(&Cast::default(), BUYER)
}

async fn over_http(router: Router, request: &IssuerRequest) -> IssuerReply {
    let path = request.url.strip_prefix(ISSUER).unwrap_or(&request.url);
    let http = match &request.body {
        Some((media, body)) => Request::post(path).header("content-type", media).body(Body::from(body.clone())),
        None => Request::get(path).body(Body::empty()),
    };
    let http = http.expect("a module makes addresses of its issuer");
    let Ok(response) = router.oneshot(http).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.map(|bytes| bytes.to_vec());
    IssuerReply { status, body: body.unwrap_or_default() }
}

/// An issuer, and everybody's archives as they are before anything is sold.
pub(super) struct Fair {
    pub(super) issuer: Issuer,
    pub(super) modules: [Rc<dyn Module>; 3],
    books: MemoryArchive,
    stores: [MemoryArchive; 3],
}

impl Fair {
    /// Opens an issuer and three purses, and fills the buyer's.
    pub(super) fn open(means: Means) -> Self {
        let cast = Cast::default();
        let issuer = Issuer::open(means, &cast);
        let modules = [SELLER, BUYER, ARBITER].map(|who| module(means, who, &cast));
        let stores = [SELLER, BUYER, ARBITER].map(|_| MemoryArchive::new());
        for who in [SELLER, BUYER, ARBITER] {
            let module = &*modules[who];
            let customer = Customer { hand: hand(&cast, who), store: &stores[who], module, purse: purse(who) };
            let blank = Purse {
                id: purse(who),
                system: module.system(),
                issuer: ISSUER.to_owned(),
                currency: currency(),
                records: BTreeMap::new(),
            };
            let state = PutState { key: purse_key(&purse(who)), replaces: 0, bytes: blank.to_bytes() };
            ready(customer.store.commit(Commit { states: vec![state], ..Commit::default() }))
                .expect("an empty archive");
            customer.calm(&cast, &issuer, OPENED, first_terms(who), Task::Refresh).expect("the issuer answers");
            if who == BUYER && means == Means::Ecash {
                let task = Task::Deposit { amount: amount(FUNDS), method: "bolt11".to_owned() };
                customer
                    .calm(&cast, &issuer, OPENED, OperationId::of_owner([1; 16]), task)
                    .expect("test money is there");
            } else if who == BUYER {
                issuer.credit(FUNDS);
                customer
                    .calm(&cast, &issuer, OPENED, OperationId::of_owner([1; 16]), Task::Refresh)
                    .expect("as before");
            }
        }
        let books = MemoryArchive::new();
        books.copy_from(&issuer.disk.memory);
        Self { issuer, modules, books, stores }
    }

    /// Somebody's archive as it is before anything is sold.
    pub(super) fn store(&self, who: usize) -> &MemoryArchive {
        &self.stores[who]
    }

    /// The parties' archives for another run; the issuer begins again too.
    pub(super) fn begin(&self) -> [MemoryArchive; 3] {
        self.issuer.disk.memory.copy_from(&self.books);
        self.stores.each_ref().map(|store| {
            let copy = MemoryArchive::new();
            copy.copy_from(store);
            copy
        })
    }
}

/// Somebody with a purse, in calm weather.
pub(super) struct Customer<'a> {
    pub(super) hand: Hand,
    pub(super) store: &'a MemoryArchive,
    pub(super) module: &'a dyn Module,
    pub(super) purse: PurseId,
}

impl Customer<'_> {
    /// Does a task while nothing goes wrong.
    pub(super) fn calm(
        &self,
        cast: &Cast,
        issuer: &Issuer,
        now: Time,
        id: OperationId,
        task: Task,
    ) -> Result<Outcome, String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let mut commit = Commit::default();
        Entry::intent(Operation { id, purse: self.purse, deal: None, task }, None, now).begin(&mut commit);
        ready(self.store.commit(commit)).map_err(|e| text(&e))?;
        for number in 0..STEPS_MAX {
            let (entry, version) =
                ready(load_entry(self.store, &id)).map_err(|e| text(&e))?.ok_or("it is not stored")?;
            let event = match &entry.next {
                None => Event::Begin,
                Some(Next::Done(outcome)) => return Ok(outcome.clone()),
                Some(Next::Failed(failure)) => return Err(text(failure)),
                Some(Next::Ask(request)) => {
                    issuer.set(now, Fate::Stored);
                    Event::Reply(issuer.ask(request).ok_or("the issuer does not answer")?)
                }
                Some(Next::Sign { draft, .. }) => Event::Signed(self.hand.sign(draft.clone()).map_err(|e| text(&e))?),
                Some(Next::Fund(funding)) => {
                    Event::Funded(Outcome { moved: funding.amount, fee: amount(0), handover: Vec::new() })
                }
                Some(Next::Wait(_)) => Event::Due,
                Some(Next::Look(other)) => {
                    let other = ready(load_entry(self.store, other)).map_err(|e| text(&e))?;
                    Event::Stage(other.map(|(entry, _)| entry.stage).unwrap_or_default())
                }
            };
            let (purse, purse_version) = self.stored()?;
            let mut entropy = *id.as_bytes();
            entropy[31] ^= u8::try_from(number).unwrap_or_default();
            let (me, verify) = (self.hand.key_set(), &cast.oracle);
            let context = Context { now, verify, entropy: &entropy, me, certificates: &[] };
            let advance = entry.advance(self.module, &context, &purse, event).map_err(|e| text(&e))?;
            let mut commit = Commit::default();
            advance.store(&purse, Versions { entry: version, purse: purse_version }, &Entry::key(&id), &mut commit);
            ready(self.store.commit(commit)).map_err(|e| text(&e))?;
        }
        Err("it does not end".to_owned())
    }

    /// The purse as it is stored, and its version.
    pub(super) fn stored(&self) -> Result<(Purse, u64), String> {
        ready(load_purse(self.store, &self.purse)).map_err(|e| e.to_string())?.ok_or("the purse is gone".to_owned())
    }
}

fn module(means: Means, who: usize, cast: &Cast) -> Rc<dyn Module> {
    let number = u8::try_from(who).expect("there are three") + 1;
    match means {
        Means::Ecash => Rc::new(EcashModule::new(seed_of_words(&words(&[number; 32])).expect("words just made"))),
        Means::Account => Rc::new(AccountModule::new([number; 32], Arc::new(cast.oracle), Level::Two)),
    }
}

/// Who signs for a party or for the arbiter.
pub(super) fn hand(cast: &Cast, who: usize) -> Hand {
    if who == ARBITER { cast.arbiter.clone() } else { cast.parties[who].clone() }
}

/// Everybody's purse.
pub(super) fn purse(who: usize) -> PurseId {
    PurseId::from_array([u8::try_from(who).expect("there are three") + 1; 16])
}

/// The operation that asks for an issuer's terms when a purse is new.
pub(super) fn first_terms(who: usize) -> OperationId {
    OperationId::of_owner(*purse(who).as_bytes())
}

fn currency() -> Currency {
    Currency::parse("EUR").expect("a currency")
}

/// So much money.
pub(super) fn amount(minor: u64) -> Amount {
    Amount::new(minor, currency()).expect("a small amount")
}
