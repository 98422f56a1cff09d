//! From what the user wants to sell, to buy or to swap to an offer and to a deal. What is sold is goods or a right.

mod access;
mod right;
mod swap;

use data_encoding::BASE64;
use semper_commerce::access::AccessOffer;
use semper_commerce::deal::Deal;
use semper_commerce::offer::{ARBITERS_MAX, ArbiterOffer, Offer, Order, Pace};
use semper_commerce::right::RightOffer;
use semper_commerce::swap::SwapError;
use semper_commerce::terms::Arbiter;
use semper_core::amount::{Amount, AmountError};
use semper_core::cbor::{Decode as _, DecodeError};
use semper_core::cose::Statement;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId, Slot, StatementId};
use semper_core::party::KeySet;
use semper_core::signature::{SignatureError, Verified, verify};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_crypto::Verifier;
use semper_exchange::goods::{ArticleKey, Descriptor};
use semper_transfer::credential::NotGood;
use semper_transfer::payment::means::{LockKind, Means};
use semper_transfer::payment::negotiation::{Demand, negotiate};
use semper_transfer::payment::operation::Task;
use semper_trust::card::{CardError, ContactCard};

use crate::control::{BuyOrder, OfferOrder, OfferView};
use crate::credentials::CredentialError;
use crate::node::offers::{Article, AskedOffer, Offering, OwnOffer, Stated};
use crate::node::shop::{OfferPage, arbiter, lockable};
use crate::node::{Beginning, BookError, Contact, Handing, Node, NodeError, now};

pub use right::offer as sell_right;
pub use swap::swap;

/// Why something cannot be sold or bought. No money moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShopError {
    /// The order's bytes are not what they should be.
    #[error("the {0} is malformed")]
    Malformed(&'static str),
    /// A part of the offer is malformed.
    #[error("the offer is malformed: {0}")]
    Offer(#[from] DecodeError),
    /// An amount.
    #[error("{text:?} is no amount: {error}")]
    Amount {
        /// As it was given.
        text: String,
        /// Why.
        error: AmountError,
    },
    /// There is no purse whose money can be locked.
    #[error("there is no purse for {0} whose money can be locked for an exchange; add one with `semper wallet add`")]
    NoPurse(String),
    /// There is no purse whose money a hash can lock.
    #[error(
        "there is no purse for {0} whose money can be locked without an arbiter: only e-cash can; add a purse at a mint with `semper wallet add`"
    )]
    NoHashLock(String),
    /// The offer has no arbiter, and the user has not said that none is needed.
    #[error(
        "this offer has no arbiter: nobody gives your money back if the goods are not what was promised; if you trust the seller, buy with --no-arbiter"
    )]
    WithoutArbiter,
    /// The offer has an arbiter.
    #[error("this offer has an arbiter, who costs nothing as long as nobody asks; buy without --no-arbiter")]
    WithArbiter,
    /// No purse holds the price.
    #[error(
        "you have no purse that holds {0}; `semper wallet balance` shows what you have, `semper wallet add` adds a purse and `semper wallet withdraw` fetches money into it"
    )]
    TooLittle(Amount),
    /// There is no arbiter that can be named.
    #[error("there is no arbiter that knows these means of payment; add one with `semper contact add --arbiter`")]
    NoArbiter,
    /// The seller's arbiters are not accepted here.
    #[error("the seller names {0}; none of them is an arbiter that you accept (`semper contact add --arbiter`)")]
    OtherArbiters(String),
    /// No means of payment fits.
    #[error("you and the seller have no means of payment in common: {0}")]
    NoMeans(String),
    /// The offer is not signed by the seller that the link names.
    #[error("the offer is not signed by its seller: {0}")]
    Unsigned(#[from] SignatureError),
    /// The seller's card is not usable.
    #[error("the seller's contact card: {0}")]
    Card(#[from] CardError),
    /// The offer has ended.
    #[error("the offer has ended")]
    Ended,
    /// The file is not the one that is wanted.
    #[error("the offer wants the file with hash {wanted}; this one has the hash {found}")]
    OtherFile {
        /// The hash of the file that is wanted.
        wanted: Digest,
        /// That of the file that was given.
        found: Digest,
    },
    /// The swap cannot be asked for.
    #[error(transparent)]
    Swap(#[from] SwapError),
    /// No credential gives the right.
    #[error("you have no valid credential that gives the right {0:?} by the word of {1}; see `semper credential list`")]
    NoRight(String, String),
    /// There is no purse whose issuer shows what was paid.
    #[error(
        "there is no purse for {0} whose issuer shows what was paid, as a right is paid for; a bank account has that: add one with \
         `semper wallet add URL --system account`"
    )]
    NoAccount(String),
    /// The issuer of the right is not known here.
    #[error(
        "the issuer of this right, with the key {0}, is not in your contact book: add it with `semper contact add` if you know whose key that is, for \
         the right is worth what its issuer's word is worth"
    )]
    NoIssuer(KeySetId),
    /// The seller calls the issuer of the right something else than the contact book does: it could be passed off as another one.
    #[error(
        "the seller calls the issuer of this right {theirs:?}, and your contact book calls it {ours:?}: if it is that one's right that you want, buy with \
         `semper buy LINK --issuer {ours:?}`"
    )]
    OtherIssuer {
        /// What the seller calls it.
        theirs: String,
        /// What we call it.
        ours: String,
    },
    /// The credential that is offered is not what its seller says.
    #[error("the right that is offered: {0}")]
    NotGood(#[from] NotGood),
    /// The right that would be shown was bought and not paid for yet.
    #[error(
        "your credential for the right {0:?} can still be called back, and is not honoured until its sale has ended"
    )]
    Callable(String),
    /// Something about a credential.
    #[error(transparent)]
    Credential(Box<CredentialError>),
    /// The user said no.
    #[error("you have declined the offer")]
    Declined,
    /// The contact book.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<CredentialError> for ShopError {
    fn from(error: CredentialError) -> Self {
        ShopError::Credential(Box::new(error))
    }
}

/// The bytes in base64 of a part of an order.
fn decoded(text: &str, what: &'static str) -> Result<Vec<u8>, ShopError> {
    BASE64.decode(text.as_bytes()).map_err(|_| ShopError::Malformed(what))
}

/// What is offered, as an order describes it: the goods with their key, and the root of their ciphertext.
fn article(order: &OfferOrder) -> Result<(Article, Digest), ShopError> {
    let goods = Descriptor::from_bytes(&decoded(&order.goods, "description of the goods")?)?;
    let key = decoded(&order.key, "key")?.try_into().map_err(|_| ShopError::Malformed("key"))?;
    let cipher_root = Digest::from_hex(&order.cipher_root).ok_or(ShopError::Malformed("root of the goods"))?;
    Ok((Article { goods, key: ArticleKey::from_array(key) }, cipher_root))
}

/// Writes an offer, and asks for the user's signature on it. Asked again with the same order, it gives what has become of it.
///
/// # Errors
/// [`ShopError`]; nothing was offered.
pub async fn sell(node: &Node, order: OfferOrder) -> Result<OfferView, ShopError> {
    if let Some(right) = &order.right {
        return access::offer(node, &order, right).await;
    }
    if let Some(wanted) = &order.wants {
        return swap::offer(node, &order, wanted).await;
    }
    let (article, cipher_root) = article(&order)?;
    let price = Amount::parse(&order.price).map_err(|error| ShopError::Amount { text: order.price.clone(), error })?;
    let lock = if order.no_arbiter { LockKind::Hash } else { LockKind::Arbiter };
    let demand = lockable(price, lock);
    let offered = node.payments().offered().await.map_err(NodeError::Read)?.into_iter().map(|offered| offered.means);
    let means: Vec<_> = offered.filter(|means| demand.misfit(means).is_none()).collect();
    if means.is_empty() {
        let currency = price.currency().to_string();
        return Err(if order.no_arbiter { ShopError::NoHashLock(currency) } else { ShopError::NoPurse(currency) });
    }
    let knows = |contact: &Contact| means.iter().any(|means| arbiter(contact, &means.system).is_some());
    let arbiters = if order.no_arbiter { Vec::new() } else { arbiters(node, &order.arbiters, knows).await? };
    let pace = Pace {
        valid_for: Seconds(order.valid_for),
        complaints: Seconds(order.complaints),
        delta: Seconds(order.delta),
        sigma: Seconds(order.sigma),
    };
    let offer = Offer {
        goods: article.goods.clone(),
        cipher_root,
        price,
        means,
        arbiters,
        seller: node.name().to_owned(),
        pace,
        until: Time::from_unix(order.until),
        terms: order.terms,
        law: order.law,
    };
    state(node, Some(article), Stated::Sale(offer)).await
}

/// The arbiters that an offer names: those that the user names, or all accepted ones, as far as they can decide.
async fn arbiters(
    node: &Node,
    names: &[String],
    can_decide: impl Fn(&Contact) -> bool,
) -> Result<Vec<ArbiterOffer>, ShopError> {
    let named = node.book().arbiters_named(names).await?;
    let usable = named.iter().filter(|contact| can_decide(contact)).take(ARBITERS_MAX);
    let arbiters: Vec<_> = usable.map(Contact::offered).collect();
    if arbiters.is_empty() { Err(ShopError::NoArbiter) } else { Ok(arbiters) }
}

/// Asks for the user's signature on an offer, which stands as soon as it is signed.
async fn state(node: &Node, article: Option<Article>, offer: Stated) -> Result<OfferView, ShopError> {
    let me = node.keys().key_set();
    let draft = match &offer {
        Stated::Sale(offer) => offer.draft(me.suite(), me.id()),
        Stated::Swap(offer) => offer.draft(me.suite(), me.id()),
        Stated::Access(offer) => offer.draft(me.suite(), me.id()),
        Stated::Right(offer) => offer.draft(me.suite(), me.id()),
    };
    let id = draft.id();
    match node.offer_when_signed(article, draft).await? {
        Offering::Offered(own) => Ok(OfferView::own(&own)),
        Offering::Waiting => Ok(OfferView::waiting(&offer, id)),
        Offering::Declined => Err(ShopError::Declined),
        Offering::Ended => Err(ShopError::Ended),
    }
}

/// What this party offers, with what waits for its signature.
///
/// # Errors
/// Storage failed.
pub async fn offers(node: &Node) -> Result<Vec<OfferView>, NodeError> {
    let (asked, own) = (node.offers_asked().await?, node.offers().await?);
    Ok(asked.iter().map(OfferView::asked).chain(own.iter().map(OfferView::own)).collect())
}

/// Reads an offer that was fetched, and checks that its seller has signed it.
///
/// # Errors
/// `Offer`, `Card`, `Unsigned`.
pub fn read<T: Statement>(page: &[u8]) -> Result<(Verified<T>, KeySet, String), ShopError> {
    let page = OfferPage::from_bytes(page)?;
    let card = ContactCard::verify_text(&page.card, &Verifier)?;
    let seller = card.statement().key_set.clone();
    Ok((verify(&Verifier, &seller, &page.offer)?, seller, page.card))
}

/// A deal that takes up an offer.
///
/// # Errors
/// [`ShopError`].
pub async fn buy(node: &Node, order: BuyOrder) -> Result<Beginning, ShopError> {
    let page = decoded(&order.page, "offer")?;
    if read::<AccessOffer>(&page).is_ok() {
        return access::take_up(node, order).await;
    }
    if read::<RightOffer>(&page).is_ok() {
        return right::take_up(node, order).await;
    }
    let (signed, seller, card) = read::<Offer>(&page)?;
    let (id, offer): (StatementId, Offer) = (signed.id(), signed.statement().clone());
    if offer.until < now() {
        return Err(ShopError::Ended);
    }
    let (place, means) = choose_means(node, &lockable(offer.price, offer.lock()), &offer.means).await?;
    let (arbiter_place, arbiters) = match offer.lock() {
        LockKind::Hash if !order.no_arbiter => return Err(ShopError::WithoutArbiter),
        LockKind::Arbiter if order.no_arbiter => return Err(ShopError::WithArbiter),
        LockKind::Hash => (0, Vec::new()),
        LockKind::Arbiter => {
            let knows = |contact: &Contact| arbiter(contact, &means.system);
            let (place, accepted, _) = choose_arbiter(node, &offer.arbiters, &order.arbiter, knows).await?;
            (place, vec![accepted.key_set().clone()])
        }
    };
    let purse = node.purse_for(&means).await?.ok_or_else(|| ShopError::NoPurse(means.currency.to_string()))?;
    let deal = DealId::from_array(node.random().map_err(NodeError::Crypto)?);
    let (contact, card) = node.met(&deal, seller.id(), &card).await?;
    let payer = node.ready(deal, Slot::default(), purse, Task::Prepare(offer.price)).await?;
    let title = escape(offer.goods.name(), 0);
    let taken = Order {
        offer: id,
        means: place,
        arbiter: arbiter_place,
        payer,
        buyer: node.name().to_owned(),
        locale: order.locale,
        card: node.card().to_owned(),
    };
    let (me, patience) = (node.keys().key_set(), Seconds(order.patience));
    let deal = Deal::buy(deal, me, seller, arbiters, patience, offer, taken, purse);
    Ok(Beginning {
        records: card.into_iter().collect(),
        ..Beginning::new(deal, title, contact.name, Handing::Unproven)
    })
}

/// The best of the offered means that a purse of ours has too, and holds as much of as is demanded; with its place.
async fn choose_means(node: &Node, demand: &Demand, offered: &[Means]) -> Result<(u16, Means), ShopError> {
    let own = node.payments().holding(demand.amount).await.map_err(NodeError::Payment)?;
    if own.is_empty() {
        return Err(ShopError::TooLittle(demand.amount));
    }
    let found = negotiate(demand, &own, offered);
    let same = |means: &Means, theirs: &Means| {
        (&means.system, &means.issuer, means.currency) == (&theirs.system, &theirs.issuer, theirs.currency)
    };
    let best = found.fitting.first().and_then(|means| {
        let place = offered.iter().position(|theirs| same(means, theirs))?;
        Some((u16::try_from(place).ok()?, offered[place].clone()))
    });
    best.ok_or_else(|| {
        let reasons =
            found.left_out.iter().map(|out| format!("{} at {}: {}", out.means.system, out.means.issuer, out.reason));
        let reasons: Vec<_> = reasons.collect();
        ShopError::NoMeans(reasons.join("; "))
    })
}

/// The first arbiter of an offer, with its place, that is accepted here, wanted, and can decide.
async fn choose_arbiter(
    node: &Node,
    offered: &[ArbiterOffer],
    wanted: &str,
    can_decide: impl Fn(&Contact) -> Option<Arbiter>,
) -> Result<(u16, Contact, Arbiter), ShopError> {
    for (place, named) in (0_u16..).zip(offered) {
        let Ok(contact) = node.book().by_key_set(named.key_set).await else { continue };
        let fits = contact.arbiter && (wanted.is_empty() || wanted == contact.name);
        if let Some(arbiter) = can_decide(&contact).filter(|_| fits) {
            return Ok((place, contact, arbiter));
        }
    }
    let names: Vec<_> = offered.iter().map(|named| escape(&named.name, 0)).collect();
    Err(ShopError::OtherArbiters(names.join(", ")))
}

impl OfferView {
    /// An offer of this party, for the screen.
    pub fn own(own: &OwnOffer) -> Self {
        Self::of(&own.offer, own.signed.id(), own.stands)
    }

    /// An offer that waits for this party's signature, for the screen.
    pub fn asked(asked: &AskedOffer) -> Self {
        Self::waiting(&asked.offer, asked.id())
    }

    fn waiting(offer: &Stated, id: StatementId) -> Self {
        Self { approval: Some(id.to_string()), ..Self::of(offer, id, false) }
    }

    fn of(offer: &Stated, id: StatementId, stands: bool) -> Self {
        let named = |goods: &Descriptor| (goods.name().to_owned(), Some(goods.size().bytes()));
        let ((name, size), price, until) = match offer {
            Stated::Sale(offer) => (named(&offer.goods), offer.price.to_string(), offer.until),
            Stated::Swap(offer) => {
                (named(&offer.goods), format!("the file {}", &offer.wants.hash.to_hex()[..12]), offer.until)
            }
            Stated::Access(offer) => {
                (named(&offer.goods), format!("a right ({})", escape(&offer.right, 0)), offer.until)
            }
            Stated::Right(offer) => {
                let right = offer.credential().map(|credential| credential.right).unwrap_or_default();
                ((right, None), offer.price.to_string(), offer.until)
            }
        };
        Self { id: id.to_string(), name, size, price, until: until.unix(), approval: None, stands }
    }
}
