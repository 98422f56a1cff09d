//! The mint: it signs coins blindly against money, takes each back once, and answers the same request twice alike.
//!
//! Start at [`Mint`]. Every decision is one commit of write-once facts, which name the request that they belong to; what a mint forgets when it
//! crashes, it computes again from them. It keeps no list of who has which coin: it cannot.
//!
//! | file | what |
//! |---|---|
//! | `request` | what is checked of every request, and in which order |
//! | `swap`, `issue`, `melt` | the three ways of coins: changed, bought, sold |
//! | `ledger` | what is stored, and how two requests for one coin are told apart |
//! | `keysets` | which keys sign, which only take back |
//! | [`backend`] | where money comes from and goes to; `test_backend`: from nowhere, to nowhere |
//! | `http`, `info`, `refusal`, `metrics` | what the world sees |
//! | `quotes` | quotes, and how those go that nobody used |
//! | `audit`, `query` | what is outstanding; what a coin's state is |
//!
//! Source: NUT-00 to 12, 14, 19, 20, 23; `spec/ecash.md`, `spec/openapi/mint.yaml`.

pub mod backend;

mod audit;
mod http;
mod info;
mod issue;
mod keysets;
mod ledger;
mod melt;
mod metrics;
mod query;
mod quotes;
mod refusal;
mod request;
mod swap;
mod test_backend;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::available_parallelism;
use std::time::Duration;

use axum::body::Bytes;
use cashu::Id;
use semper_core::time::Time;
use semper_support::archive::{Archive, CommitError, ReadError};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

pub use self::audit::KeysetAudit;
pub use self::http::routes;
pub use self::issue::{MintQuote, MintQuoteRequest};
pub use self::keysets::{KEYSETS_MAX, Keysets};
pub use self::melt::{MeltQuoteAnswer, MeltQuoteRequest};
pub use self::query::{CoinState, CoinStates};
pub use self::quotes::SWEEP_MAX;
pub use self::refusal::{PROBLEM_TYPE, Refusal};
pub use self::request::Limits;
pub use self::test_backend::{Answer, TestBackend};

use self::backend::Backend;
use self::ledger::Ledger;
use self::metrics::Metrics;
use crate::ecash::keyset::{KeysetError, KeysetTerms, Unit};

/// Shortest seed, in bytes.
pub const SEED_BYTES_MIN: usize = 32;
/// Most requests that are being computed or wait for it; more are turned away.
const WAITING_MAX: usize = 4096;
/// Bodies of up to this many bytes are short: no more than ten coins to sign, or a hundred signatures to try.
const SHORT_BYTES_MAX: usize = 2048;
/// How often another server's new keysets are looked for.
const RELOAD: Duration = Duration::from_secs(60);
/// How often quotes are looked for whose time is over.
const SWEEP: Duration = Duration::from_secs(10);

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// How a mint presents itself and what it takes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, for people.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// Where it is reached.
    pub urls: Vec<String>,
    /// The bounds of requests.
    pub limits: Limits,
    /// What spending a coin of the first keysets costs, in thousandths of a minor unit.
    pub input_fee_ppk: u64,
    /// Whether new keysets get identifiers of version 00, for wallets that understand no others (2025 and before).
    pub legacy_ids: bool,
    /// How long a request to pay out waits for its payment before it is answered `PENDING`.
    pub melt_patience: Duration,
    /// How often unfinished payments are asked after.
    pub poll: Duration,
}

impl Default for Settings {
    /// No fee; payments are waited for 30 s and asked after every 5 s.
    fn default() -> Self {
        Self {
            name: "Semper mint".to_owned(),
            description: String::new(),
            urls: Vec::new(),
            limits: Limits::default(),
            input_fee_ppk: 0,
            legacy_ids: false,
            melt_patience: Duration::from_secs(30),
            poll: Duration::from_secs(5),
        }
    }
}

/// Why a mint does not open or does not rotate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// The seed is shorter than [`SEED_BYTES_MIN`].
    #[error("a mint's seed has at least 32 bytes")]
    ShortSeed,
    /// The seed is not the one that the stored keysets were made with.
    #[error("this seed does not give the stored keyset {keyset}: it is another mint's")]
    WrongSeed {
        /// The keyset.
        keyset: String,
    },
    /// Two backends have one method, or a method's name is not usable in a path.
    #[error("the payment method {0:?} is there twice, or is no name of small letters, digits, _ and -")]
    Method(String),
    /// There are as many keysets as there may be, or two would share the beginning of their identifiers.
    #[error("there is no room for another keyset")]
    TooManyKeysets,
    /// The keyset's terms are out of range.
    #[error(transparent)]
    Keyset(#[from] KeysetError),
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Storage failed, or another server was faster.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A stored keyset is not readable.
    #[error("a stored keyset is not readable: {0}")]
    Stored(#[from] semper_core::cbor::DecodeError),
}

/// A mint.
pub struct Mint {
    settings: Settings,
    ledger: Ledger,
    clock: Clock,
    seed: Zeroizing<Vec<u8>>,
    keysets: RwLock<Arc<Keysets>>,
    backends: Vec<Arc<dyn Backend>>,
    cores: Arc<Semaphore>,
    places: Semaphore,
    unfinished: Notify,
    metrics: Metrics,
}

impl Mint {
    /// Opens a mint on an archive of its own. Units of the backends that have no keyset yet get their first.
    ///
    /// # Errors
    /// [`MintError`].
    pub async fn open(
        settings: Settings,
        archive: Arc<dyn Archive>,
        clock: Clock,
        seed: Zeroizing<Vec<u8>>,
        backends: Vec<Arc<dyn Backend>>,
    ) -> Result<Arc<Self>, MintError> {
        if seed.len() < SEED_BYTES_MIN {
            return Err(MintError::ShortSeed);
        }
        check_methods(&backends)?;
        let mut keysets = Keysets::load(&*archive, &seed, &Keysets::default()).await?;
        let units: BTreeSet<Unit> = backends.iter().flat_map(|backend| backend.units()).copied().collect();
        for unit in units {
            if keysets.active(unit).is_none() {
                keysets.rotate(&*archive, &seed, first_terms(unit, &settings)).await?;
            }
        }
        let cores = available_parallelism().map_or(1, NonZero::get);
        Ok(Arc::new(Self {
            settings,
            ledger: Ledger { archive },
            clock,
            seed,
            keysets: RwLock::new(Arc::new(keysets)),
            backends,
            cores: Arc::new(Semaphore::new(cores)),
            places: Semaphore::new(WAITING_MAX),
            unfinished: Notify::new(),
            metrics: Metrics::default(),
        }))
    }

    /// The keysets as they are now.
    pub fn keysets(&self) -> Arc<Keysets> {
        self.keysets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a new keyset of a unit the active one; the one before takes coins back only. Other servers of this mint see it within a
    /// minute, and sign with the one before until then.
    ///
    /// # Errors
    /// [`MintError`]; `Commit(Taken)`: another server rotated at this moment.
    pub async fn rotate(&self, unit: Unit, input_fee_ppk: u64, final_expiry: Option<Time>) -> Result<Id, MintError> {
        let terms = KeysetTerms {
            input_fee_ppk,
            final_expiry: final_expiry.map(Time::unix),
            ..first_terms(unit, &self.settings)
        };
        let mut keysets = Keysets::load(&*self.ledger.archive, &self.seed, &self.keysets()).await?;
        let id = keysets.rotate(&*self.ledger.archive, &self.seed, terms).await?;
        self.replace_keysets(keysets);
        Ok(id)
    }

    /// Finishes unfinished payments, follows other servers' keysets and removes quotes that nobody used, until `stop` is ready.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = stop => {}
            () = self.watch() => {}
            // Beside the payments: those must not wait while banks are asked about quotes.
            () = self.sweep_on() => {}
        }
    }

    async fn sweep_on(&self) {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            sweep.tick().await;
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "quotes that nobody used could not be removed");
            }
        }
    }

    async fn watch(&self) {
        let mut poll = interval(self.settings.poll);
        let mut reload = interval(RELOAD);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        reload.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.unfinished.notified() => self.poll().await,
                _ = poll.tick() => self.poll().await,
                _ = reload.tick() => self.reload().await,
            }
        }
    }

    async fn reload(&self) {
        match Keysets::load(&*self.ledger.archive, &self.seed, &self.keysets()).await {
            Ok(keysets) => self.replace_keysets(keysets),
            Err(error) => tracing::error!(%error, "the keysets cannot be read again"),
        }
    }

    fn replace_keysets(&self, keysets: Keysets) {
        *self.keysets.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keysets);
    }

    fn now(&self) -> Time {
        (self.clock)()
    }

    fn backend(&self, method: &str) -> Result<&Arc<dyn Backend>, Refusal> {
        self.backends.iter().find(|backend| backend.method() == method).ok_or(Refusal::UnknownMethod)
    }

    /// Computes what a request asks for: a short one where it is, for a change of threads costs as much as signing a coin; others away from the
    /// threads that wait for the network.
    async fn compute_request<R, S: Sent<R>, T: Send + 'static>(
        &self,
        request: S,
        work: impl FnOnce(S) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        if request.is_short() { work(request) } else { self.compute(move || work(request)).await }
    }

    /// Computes away from the threads that wait for the network, on as many threads at once as there are processors.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _place = self.places.try_acquire().map_err(|_| Refusal::Busy("too many requests at once"))?;
        let core = self.cores.clone().acquire_owned().await.map_err(|_| Refusal::Busy("the mint stops"))?;
        let computed = tokio::task::spawn_blocking(move || {
            let _core = core;
            work()
        });
        computed.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a computation failed");
            Err(Refusal::Busy("a computation failed"))
        })
    }
}

/// A request: as a value, or as the bytes of its JSON, which are read where there is time for it.
pub trait Sent<T>: Send + 'static {
    /// The request.
    ///
    /// # Errors
    /// `Malformed`: the bytes are no such request.
    fn receive(self) -> Result<T, Refusal>;

    /// Whether it is so short that it takes at most a few milliseconds to compute, whatever is in it.
    fn is_short(&self) -> bool {
        false
    }
}

impl<T: Send + 'static> Sent<T> for T {
    fn receive(self) -> Result<T, Refusal> {
        Ok(self)
    }
}

/// The body of an HTTP request.
pub struct Body(pub Bytes);

impl<T: DeserializeOwned> Sent<T> for Body {
    fn receive(self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.0).map_err(|error| {
            let mut text = error.to_string();
            text.truncate(text.floor_char_boundary(200));
            Refusal::Malformed(text)
        })
    }

    fn is_short(&self) -> bool {
        self.0.len() <= SHORT_BYTES_MAX
    }
}

fn first_terms(unit: Unit, settings: &Settings) -> KeysetTerms {
    let (input_fee_ppk, legacy_id) = (settings.input_fee_ppk, settings.legacy_ids);
    KeysetTerms { unit, index: 0, input_fee_ppk, final_expiry: None, legacy_id }
}

fn check_methods(backends: &[Arc<dyn Backend>]) -> Result<(), MintError> {
    let mut seen = BTreeSet::new();
    let name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    for backend in backends {
        let method = backend.method();
        // `quote` would stand where the paths have the word.
        if method.is_empty() || method == "quote" || !method.bytes().all(name) || !seen.insert(method) {
            return Err(MintError::Method(method.to_owned()));
        }
    }
    Ok(())
}
