//! The shop: offers are shown to anybody ([`super::offers`]), and orders are answered.
//!
//! ```text
//! record "save-as"   deal → where the goods go that are bought in it
//! ```
//! An order is answered with a contract that is made for it alone: a deposit of the article's key, payee's details, a salt and a nonce of its
//! own. If the power fails in between, the order comes again and gets another contract; nobody has signed the first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use semper_commerce::access::{self, AccessOffer, Giving};
use semper_commerce::deal::Answer;
use semper_commerce::offer::Order;
use semper_commerce::order::Asked;
use semper_commerce::purchase::Sale;
use semper_commerce::terms::Arbiter;
use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Fields, Value, record};
use semper_core::container::Container;
use semper_core::cose::{Signed, Statement as _};
use semper_core::ids::{DealId, KeySetId, Slot, StatementId};
use semper_crypto::Encapsulator;
use semper_exchange::arbiter::rules_hash;
use semper_exchange::goods::{DepositKey, Seed};
use semper_exchange::gx::Own;
use semper_support::approval::{Answer as Signature, Exhibit, SignRequest};
use semper_support::archive::Commit;
use semper_support::crypto::Encapsulate as _;
use semper_transfer::payment::means::{LockKind, Means, PayerAnonymity, System};
use semper_transfer::payment::negotiation::Demand;
use semper_transfer::payment::operation::{Operation, OperationId, PurseId, Task};
use semper_transfer::payment::statement::PaymentRequest;

use super::offers::Stated;
use super::{BookError, Contact, Node, NodeError, PaymentError, now};

/// Record space of where goods go: deal → path.
const SAVE_AS: &str = "save-as";
/// How long a purse may take to make ready to be paid: it need not ask anybody.
const READY_MAX: Duration = Duration::from_secs(20);

impl Node {
    /// The answer to somebody's order or trade: the contract, or why there is none.
    ///
    /// # Errors
    /// Storage or randomness failed: the order is to come again.
    pub(super) async fn answer(&self, deal: DealId, asker: KeySetId, asked: Asked) -> Result<Answer, NodeError> {
        let composed = match &asked {
            Asked::Order(order) => self.compose(deal, asker, order).await,
            Asked::Trade(trade) => self.reply(deal, asker, trade).await,
            Asked::Swap(swap) => self.answer_swap(swap).await,
        };
        let composed = match composed {
            Ok(composed) => Ok(composed),
            Err(Unsold::Refused(reason)) => Err(reason),
            Err(Unsold::Node(error)) => return Err(error),
        };
        Ok(Answer { asked, composed })
    }

    async fn compose(&self, deal: DealId, buyer: KeySetId, order: &Order) -> Result<(Container, Own), Unsold> {
        let refused = |reason: &str| Unsold::Refused(reason.to_owned());
        let own = self.offer(order.offer).await?.filter(|own| own.stands);
        let offer = match own.map(|own| own.offer) {
            Some(Stated::Sale(offer)) => offer,
            Some(Stated::Access(offer)) => return self.give_access(buyer, &offer, order).await,
            Some(Stated::Right(offer)) => return self.sell_right(deal, buyer, &offer, order).await,
            _ => return Err(refused("there is no such offer")),
        };
        let article = self.article(&offer.cipher_root).await?.ok_or_else(|| refused("the goods are sold no more"))?;
        let means = offer.means.get(usize::from(order.means)).ok_or_else(|| refused("there is no such means"))?;
        let arbiter = match offer.lock() {
            LockKind::Hash => None,
            LockKind::Arbiter => {
                let named = offer.arbiters.get(usize::from(order.arbiter));
                let named = named.ok_or_else(|| refused("there is no such arbiter"))?;
                let contact = self.book.by_key_set(named.key_set).await.map_err(NodeError::Book)?;
                Some(arbiter(&contact, &means.system).ok_or_else(|| refused("the arbiter takes no deposits"))?)
            }
        };
        let purse = self.purse_for(means).await?.ok_or_else(|| refused("there is no purse for this means any more"))?;
        let payee = self.ready(deal, Slot::default(), purse, Task::Prepare(offer.price)).await?;
        let length = arbiter.as_ref().map_or(32, |arbiter| Encapsulator.seed_len(arbiter.deposit_key.suite));
        let seed = Seed::new(self.random_bytes(length).map_err(NodeError::Crypto)?);
        let random = || self.random::<32>().map_err(NodeError::Crypto);
        let sale = Sale {
            offer: &offer,
            order,
            seller: self.keys.key_set().id(),
            buyer,
            arbiter,
            payee,
            article: &article.key,
            seed: &seed,
            salt: random()?,
            nonce: random()?,
            now: now(),
        };
        let nonce = self.random().map_err(NodeError::Crypto)?;
        let proposal = sale.propose(&Encapsulator, nonce).map_err(|error| Unsold::Refused(error.to_string()))?;
        let container = proposal.to_container().map_err(|error| Unsold::Refused(error.to_string()))?;
        Ok((container, Own { purse: Some((deal, purse)), seed: seed.as_bytes().to_vec(), ..Own::default() }))
    }

    /// The contract for somebody who shows a right: its credential is judged here, before anything is promised.
    async fn give_access(
        &self,
        holder: KeySetId,
        offer: &AccessOffer,
        order: &Order,
    ) -> Result<(Container, Own), Unsold> {
        let refused = |reason: &str| Unsold::Refused(reason.to_owned());
        let article = self.article(&offer.cipher_root).await?.ok_or_else(|| refused("the goods are given no more"))?;
        let named =
            offer.arbiters.get(usize::from(order.arbiter)).ok_or_else(|| refused("there is no such arbiter"))?;
        let contact = self.book.by_key_set(named.key_set).await.map_err(NodeError::Book)?;
        let arbiter = referee(&contact).ok_or_else(|| refused("the arbiter takes no deposits"))?;
        let (seller, now) = (self.keys.key_set().id(), now());
        let credential = access::judged(&*self.verify, offer, order, [seller, holder], now);
        let credential = credential.map_err(|error| Unsold::Refused(error.to_string()))?;
        let length = Encapsulator.seed_len(arbiter.deposit_key.suite);
        let seed = Seed::new(self.random_bytes(length).map_err(NodeError::Crypto)?);
        let random = || self.random::<32>().map_err(NodeError::Crypto);
        let (credential, article, seed) = (&credential, &article.key, &seed);
        let (salt, nonce) = (random()?, random()?);
        let giving = Giving { offer, order, seller, credential, arbiter, article, seed, salt, nonce, now };
        let nonce = self.random().map_err(NodeError::Crypto)?;
        let proposal = giving.propose(&Encapsulator, nonce).map_err(|error| Unsold::Refused(error.to_string()))?;
        let container = proposal.to_container().map_err(|error| Unsold::Refused(error.to_string()))?;
        Ok((container, Own { seed: seed.as_bytes().to_vec(), ..Own::default() }))
    }

    /// The purse for a means of an offer.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn purse_for(&self, means: &Means) -> Result<Option<PurseId>, NodeError> {
        let same =
            |own: &Means| (&own.system, &own.issuer, own.currency) == (&means.system, &means.issuer, means.currency);
        Ok(self.payments.offered().await?.into_iter().find(|offered| same(&offered.means)).map(|offered| offered.purse))
    }

    /// Makes a purse ready for a lock of a deal that is not stored yet; it need not ask anybody. Asked again for the same slot, it gives the same.
    ///
    /// # Errors
    /// It failed, or its end did not come in time.
    pub async fn ready(&self, deal: DealId, slot: Slot, purse: PurseId, task: Task) -> Result<Vec<u8>, NodeError> {
        let id = OperationId::of(deal, slot, task.verb());
        self.payments.begin(Operation { id, purse, deal: None, task }).await.map_err(NodeError::Payment)?;
        match self.payments.end_of(id, READY_MAX).await.map_err(NodeError::Payment)? {
            Some(answer) => match answer.result {
                Ok(outcome) => Ok(outcome.handover),
                Err(failure) => Err(NodeError::NotReady(failure.to_string())),
            },
            None => Err(NodeError::NotReady("the purse does not get ready".to_owned())),
        }
    }

    /// Our signed request for money. It binds to nothing but to ask no more.
    ///
    /// # Errors
    /// The keys are not available.
    pub async fn requested(&self, request: PaymentRequest) -> Result<Signed, NodeError> {
        let me = self.keys.key_set();
        let draft = request.draft(me.suite(), me.id());
        let asked = SignRequest { deal: request.deal, draft, exhibit: Exhibit::Consequence };
        match self.keys.request(asked).await {
            Ok(Signature::Signed(request)) => Ok(request),
            Ok(Signature::Waiting | Signature::Declined) | Err(_) => {
                Err(NodeError::NotReady("the keys are not available now".to_owned()))
            }
        }
    }

    /// Notes where the user has taken the goods of a deal.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn save_as(&self, deal: DealId, path: &Path) -> Result<(), NodeError> {
        let records = vec![saved_record(deal, path)];
        self.archive.commit(Commit { records, ..Commit::default() }).await.map_err(NodeError::Commit)
    }

    /// Where the goods of a deal are, once it has succeeded.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn saved_as(&self, deal: DealId) -> Result<Option<PathBuf>, NodeError> {
        let record = self.archive.record(SAVE_AS, deal.as_bytes()).await?;
        Ok(record.and_then(|bytes| String::from_utf8(bytes).ok()).map(PathBuf::from))
    }

    /// The routes by which anybody sees what is offered, and who offers it.
    pub fn shop_routes(self: &Arc<Self>) -> Router {
        Router::new().route("/offers/{id}", get(offer_page)).with_state(self.clone())
    }
}

/// What is kept of where the goods of a deal go.
pub(super) fn saved_record(deal: DealId, path: &Path) -> (String, Vec<u8>, Option<Vec<u8>>) {
    (SAVE_AS.to_owned(), deal.as_bytes().to_vec(), Some(path.to_string_lossy().into_owned().into_bytes()))
}

/// Why an order or trade gets no contract.
pub(super) enum Unsold {
    /// The asker is told.
    Refused(String),
    /// Something failed here.
    Node(NodeError),
}

impl From<NodeError> for Unsold {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Book(BookError::Unknown(_)) => {
                Unsold::Refused("the arbiter is not known here any more".to_owned())
            }
            NodeError::NotReady(reason) => Unsold::Refused(reason),
            NodeError::Payment(PaymentError::NoPurse(_)) => Unsold::Refused("the purse is gone".to_owned()),
            error => Unsold::Node(error),
        }
    }
}

/// What an exchange demands of a means of payment: that an arbiter can decide over money that is locked, or a hash where there is none.
pub fn lockable(amount: Amount, lock: LockKind) -> Demand {
    Demand { amount, anonymity: PayerAnonymity::None, lock: Some(lock) }
}

/// The arbiter for an exchange in which money moves, as its card describes it; `None` if it cannot be one for this payment system.
pub fn arbiter(contact: &Contact, system: &System) -> Option<Arbiter> {
    Some(Arbiter { lock_key: contact.lock_key(system)?, ..referee(contact)? })
}

/// The arbiter for an exchange without money; `None` if it is none.
pub fn referee(contact: &Contact) -> Option<Arbiter> {
    let sealing = &contact.card().sealing_key;
    Some(Arbiter {
        key_set: contact.key_set().id(),
        log: contact.log()?.id(),
        rules: rules_hash(),
        deposit_key: DepositKey { suite: sealing.suite, public_key: sealing.public_key.clone() },
        lock_key: Vec::new(),
    })
}

async fn offer_page(State(node): State<Arc<Node>>, UrlPath(id): UrlPath<String>) -> Response {
    let Some(id) = StatementId::parse(&id) else { return StatusCode::NOT_FOUND.into_response() };
    match node.offer(id).await {
        Ok(Some(own)) if own.stands => {
            let page = record().put_item(0, &own.signed).put(1, node.card()).build().encode();
            ([(header::CONTENT_TYPE, "application/vnd.semper.offer")], page).into_response()
        }
        Ok(_) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(%error, "an offer cannot be read");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// An offer and its seller's card, as they are fetched.
///
/// ```text
/// page = { 0: signed offer, 1: contact card (text) }
/// ```
pub struct OfferPage {
    /// The offer, not checked.
    pub offer: Signed,
    /// The card, not checked.
    pub card: String,
}

impl Decode for OfferPage {
    const BYTES_MAX: usize = 512 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let page = Self { offer: fields.item(0, "offer")?, card: fields.text(1, "card", 256 * 1024)? };
        fields.close()?;
        Ok(page)
    }
}
