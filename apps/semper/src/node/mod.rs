//! The node: one party's deals, driven.
//!
//! Every event becomes one step of one deal's machine: the step is committed (state, consumed input, outbox, timers, evidence,
//! facts), then its effects are performed by four loops, again and again until they are acknowledged: the outbox, the timers, the
//! signatures that are asked for, the payment operations. The node holds no key of its party: it asks the [`KeyHolder`].
//!
//! Read [`deals`] for the step, then [`outbox`], [`asks`], [`payments`] and [`inbox`].

mod asks;
pub(crate) mod backup;
mod book;
mod deals;
mod entry;
mod errands;
mod examine;
mod folder;
pub mod goods;
mod inbox;
mod issuer;
mod many;
mod notices;
pub mod offers;
mod outbox;
mod payments;
mod preferences;
pub(crate) mod restored;
mod right;
pub mod shop;
mod stamps;
mod swap;
mod trade;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use semper_commerce::deal::DealError;
use semper_core::ids::{DealId, KeySetId, StatementId};
use semper_core::signature::Verify;
use semper_core::time::Seconds;
use semper_support::approval::{ApprovalError, KeyHolder};
use semper_support::archive::{Archive, CommitError, ReadError};
use semper_support::channel::{Post, PostError};
use semper_support::crypto::{CryptoError, Randomness};
use semper_transfer::payment::module::{IssuerReply, IssuerRequest};
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinSet;

use crate::stamp::StampError;

pub use backup::{AtRisk, Backed};
pub use book::{Book, BookError, Contact};
pub use deals::{Beginning, FRAME_ARBITER, FRAME_DEAL, title};
use entry::Entries;
pub use entry::{Entry, Handing};
pub use issuer::Issuers;
pub(crate) use notices::plain;
pub use notices::{Given, NoticeError, Side};
pub use payments::{OperationView, PaymentError, PaymentParts, Payments};
pub use preferences::PreferenceError;
pub use semper_vault::now;
pub use semper_vault::rules::Systems;
pub use stamps::Stamping;

/// One party's node. Cheap to share: everything in it is shared.
pub struct Node {
    certificates: Vec<Vec<u8>>,
    name: String,
    archive: Arc<dyn Archive>,
    keys: Arc<dyn KeyHolder>,
    verify: Arc<dyn Verify>,
    post: Arc<dyn Post>,
    random: Arc<dyn Randomness>,
    book: Book,
    entries: Entries,
    payments: Arc<Payments>,
    /// The way to services that answer everybody.
    issuers: Arc<dyn Issuers>,
    /// The goods that are sold and bought.
    goods: Arc<goods::GoodsStore>,
    /// The party's contact card, in its text form.
    card: String,
    stamping: Stamping,
    settings: Settings,
    /// One step of a deal at a time; deals share a lock by their identifier, so that there are not as many locks as deals.
    locks: Vec<Mutex<()>>,
    /// Held while a peer opens a deal.
    opening: Mutex<()>,
    outbox: Notify,
    asks: Notify,
    timers: Notify,
    examinations: Notify,
    errands: Notify,
    /// What would be lost with this machine, as it was counted last, and after how many steps.
    at_risk: Mutex<Option<(u64, AtRisk)>>,
    /// Counts steps, so that whoever waits for a deal looks again.
    changed: watch::Sender<u64>,
}

/// What a node is made of.
pub struct Parts {
    /// The party's own certificates, DER, for its deal folders.
    pub certificates: Vec<Vec<u8>>,
    /// What the party calls itself.
    pub name: String,
    /// The archive.
    pub archive: Arc<dyn Archive>,
    /// The holder of the party's keys.
    pub keys: Arc<dyn KeyHolder>,
    /// Signature verification.
    pub verify: Arc<dyn Verify>,
    /// The sending side of the channel.
    pub post: Arc<dyn Post>,
    /// Randomness for identifiers and back-off.
    pub random: Arc<dyn Randomness>,
    /// The means of payment.
    pub payments: Arc<Payments>,
    /// The way to services that answer everybody.
    pub issuers: Arc<dyn Issuers>,
    /// The goods that are sold and bought.
    pub goods: Arc<goods::GoodsStore>,
    /// The party's contact card, in its text form.
    pub card: String,
    /// The way to time-stamp authorities.
    pub stamping: Stamping,
}

/// What `semper.toml` says about deals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a message of the peer is waited for before the deal is ended with the arbiter's help, unless the user has set that ([`Node::patience`]).
    pub patience: Seconds,
    /// How often an unreachable inbox is tried at most.
    pub retry_max: Duration,
}

const LOCKS: usize = 64;
/// The longest that a loop sleeps without looking: a clock that jumps is noticed after this.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Why the node did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// There is no such deal.
    #[error("there is no deal {0}")]
    NoSuchDeal(DealId),
    /// There is no such offer.
    #[error("there is no offer {0}")]
    NoSuchOffer(StatementId),
    /// The deal's machine does not accept the input. Its state stands.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// The deal takes no more messages.
    #[error("the deal has taken as many messages as it may")]
    TooManyMessages,
    /// Too many deals were opened in this party's name without a signature.
    #[error("too many deals were opened in this name, and none of them was signed")]
    TooManyUnproven,
    /// A deal of many is opened by somebody who is not the first to sign, or without this party.
    #[error("the proposed contract does not begin with its sender, or not hold this party")]
    NotAmongThem,
    /// A deal of many brings no contact card of somebody who is not known here.
    #[error("the proposal brings no contact card of its signer {0}, who is not known here")]
    NoCard(KeySetId),
    /// This contract or container was run or taken before, in another deal.
    #[error("this was run or taken before: one contract is run once, one container is taken once")]
    RunBefore,
    /// A deal asks for a payment operation that cannot be read: a bug.
    #[error("a payment operation of the deal is not readable")]
    BadOperation,
    /// A deal asks for an examination that cannot be read: a bug.
    #[error("an examination of the deal is not readable")]
    BadExamination,
    /// A deal asks for an errand to an issuer that cannot be read: a bug.
    #[error("an errand of the deal is not readable")]
    BadErrand,
    /// Goods could not be read, written or fetched.
    #[error(transparent)]
    Goods(#[from] goods::GoodsError),
    /// A payment operation cannot be begun.
    #[error(transparent)]
    Payment(PaymentError),
    /// A purse does not get ready for a purchase. No money moved.
    #[error("{0}")]
    NotReady(String),
    /// The holder of the keys does not sign, or not now.
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    /// Storage failed. Nothing was done.
    #[error(transparent)]
    Commit(CommitError),
    /// Storage failed. Nothing was done.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The contact book has no usable address.
    #[error(transparent)]
    Book(#[from] BookError),
    /// Something could not be dated. What was dated before stays.
    #[error(transparent)]
    Stamp(#[from] StampError),
    /// A message cannot be sealed for its receiver.
    #[error(transparent)]
    Post(#[from] PostError),
    /// No randomness.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl Node {
    /// A node over its parts. Nothing runs until [`Node::run`].
    pub fn new(parts: Parts, settings: Settings) -> Arc<Self> {
        let Parts { certificates, name, archive, keys, verify, post, random, payments, issuers, goods, card, stamping } =
            parts;
        let book = Book::new(archive.clone(), verify.clone());
        let changed = payments.changed.clone();
        Arc::new(Self {
            certificates,
            name,
            archive,
            keys,
            verify,
            post,
            random,
            book,
            entries: Entries::default(),
            payments,
            issuers,
            goods,
            card,
            stamping,
            settings,
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            opening: Mutex::new(()),
            outbox: Notify::new(),
            asks: Notify::new(),
            timers: Notify::new(),
            examinations: Notify::new(),
            errands: Notify::new(),
            at_risk: Mutex::new(None),
            changed,
        })
    }

    /// Drives the node until `stop` becomes true. What was asked for before a crash is done first.
    pub async fn run(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let mut loops = JoinSet::new();
        loops.spawn(self.clone().outbox_loop(stop.clone()));
        loops.spawn(self.clone().asks_loop(stop.clone()));
        loops.spawn(self.clone().examine_loop(stop.clone()));
        loops.spawn(self.clone().stamps_loop(stop.clone()));
        loops.spawn(self.clone().errands_loop(stop.clone()));
        loops.spawn(self.clone().restored_loop(stop.clone()));
        loops.spawn(self.payments.clone().run(Some(self.clone()), stop.clone()));
        loops.spawn(self.clone().timers_loop(stop));
        while loops.join_next().await.is_some() {}
    }

    /// The payment manager.
    pub fn payments(&self) -> &Payments {
        &self.payments
    }

    /// What the party calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Random bytes for an identifier or nonce.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], CryptoError> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// As many random bytes.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn random_bytes(&self, len: usize) -> Result<Vec<u8>, CryptoError> {
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether a message could be sent now.
    ///
    /// # Errors
    /// Storage.
    pub async fn has_mail_due(&self) -> Result<bool, ReadError> {
        Ok(!self.archive.outbox_due(now(), 1).await?.is_empty())
    }

    /// How many signatures are waited for.
    ///
    /// # Errors
    /// Storage.
    pub async fn questions(&self) -> Result<usize, ReadError> {
        Ok(self.archive.records(entry::ASK_SPACE, None, 1000).await?.len())
    }

    /// The archive.
    pub fn archive(&self) -> &dyn Archive {
        &*self.archive
    }

    /// Asks a service that answers everybody once: `POST` with a media type and a body, `GET` without.
    ///
    /// # Errors
    /// No answer, and why, in words. It may have been done.
    pub async fn ask_service(&self, url: &str, body: Option<(&str, Vec<u8>)>) -> Result<IssuerReply, String> {
        let body = body.map(|(media_type, body)| (media_type.to_owned(), body));
        self.issuers.ask(&IssuerRequest { url: url.to_owned(), body }).await
    }

    /// The party's contact card, in its text form.
    pub fn card(&self) -> &str {
        &self.card
    }

    /// The contact book.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The holder of the party's keys.
    pub fn keys(&self) -> &Arc<dyn KeyHolder> {
        &self.keys
    }

    /// Tells whoever listens that something has changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The user has answered: look at the open questions again.
    pub fn look_at_asks(&self) {
        self.asks.notify_one();
        self.payments.rouse();
    }

    fn lock_of(&self, deal: &DealId) -> &Mutex<()> {
        &self.locks[usize::from(deal.as_bytes()[0]) % LOCKS]
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({:?})", self.settings)
    }
}

/// Waits until `notify` is notified, `span` is over, or `stop` becomes true; returns whether to go on.
async fn rest(notify: &Notify, span: Duration, stop: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = notify.notified() => {}
        () = tokio::time::sleep(span.min(LOOK_AGAIN)) => {}
        _ = stop.changed() => {}
    }
    !*stop.borrow()
}
