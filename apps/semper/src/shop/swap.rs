//! From a file that the user gives for another one to an offer and to a deal.

use semper_commerce::deal::Deal;
use semper_commerce::swap::{Bid, FileOffer, WantedFile};
use semper_commerce::terms::Named;
use semper_core::container::{Attributes, Container, Information, Leaf, Node as Part};
use semper_core::hash::Digest;
use semper_core::ids::DealId;
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_crypto::Encapsulator;
use semper_exchange::goods::{ArticleKey, Seed};
use semper_exchange::gx::Own;
use semper_support::crypto::Encapsulate as _;
use semper_support::engine::EvidenceKind;

use super::{ShopError, arbiters, article, choose_arbiter, decoded, read, state};
use crate::control::{OfferOrder, OfferView, SwapOrder, WantedOrder};
use crate::node::offers::Stated;
use crate::node::shop::referee;
use crate::node::{Beginning, Handing, Node, NodeError, now};

/// Writes an offer whose price is a file, and asks for the user's signature on it.
///
/// # Errors
/// [`ShopError`]; nothing was offered.
pub(super) async fn offer(node: &Node, order: &OfferOrder, wanted: &WantedOrder) -> Result<OfferView, ShopError> {
    let (article, cipher_root) = article(order)?;
    let hash = Digest::from_hex(&wanted.hash).ok_or(ShopError::Malformed("hash of the file"))?;
    let offer = FileOffer {
        goods: article.goods.clone(),
        cipher_root,
        wants: WantedFile { hash, name: wanted.name.clone(), size: wanted.size },
        arbiters: arbiters(node, &order.arbiters, |contact| referee(contact).is_some()).await?,
        owner: node.name().to_owned(),
        valid_for: Seconds(order.valid_for),
        until: Time::from_unix(order.until),
    };
    state(node, Some(article), Stated::Swap(offer)).await
}

/// A deal that gives a file for one that is offered.
///
/// # Errors
/// [`ShopError`].
pub async fn swap(node: &Node, order: SwapOrder) -> Result<Beginning, ShopError> {
    let (signed, owner, card) = read::<FileOffer>(&decoded(&order.page, "offer")?)?;
    let (id, offer) = (signed.id(), signed.statement().clone());
    if offer.until < now() {
        return Err(ShopError::Ended);
    }
    let file = Information::new(&order.file.name, &order.file.media_type, decoded(&order.file.base64, "file")?)?;
    if file.hash() != offer.wants.hash {
        return Err(ShopError::OtherFile { wanted: offer.wants.hash, found: file.hash() });
    }
    let (_, accepted, referee) = choose_arbiter(node, &offer.arbiters, &order.arbiter, referee).await?;
    let random = || node.random().map_err(NodeError::Crypto);
    let contents = Part::leaf(Attributes::default(), Leaf::Information(file));
    let contents =
        Container::new(node.random().map_err(NodeError::Crypto)?, Part::branch(Attributes::default(), vec![contents]))?;
    let key = ArticleKey::from_array(random()?);
    let seed = node.random_bytes(Encapsulator.seed_len(referee.deposit_key.suite)).map_err(NodeError::Crypto)?;
    let (me, seed) = (node.keys().key_set(), Seed::new(seed));
    let bid = Bid {
        offer: &offer,
        id,
        owner: owner.id(),
        bidder: Named { name: node.name().to_owned(), key_set: me.id() },
        arbiter: &referee,
        contents: &contents,
        key: &key,
        seed: &seed,
        locale: order.locale,
        card: node.card().to_owned(),
        nonce: random()?,
        now: now(),
    };
    let asked = bid.ask(&Encapsulator)?;
    let deal = DealId::from_array(node.random().map_err(NodeError::Crypto)?);
    let (contact, card) = node.met(&deal, owner.id(), &card).await?;
    let title = format!("{} for another file", escape(offer.goods.name(), 0));
    let evidence = vec![(EvidenceKind::Key, key.as_bytes().to_vec())];
    let own = Own { seed: seed.as_bytes().to_vec(), ..Own::default() };
    let (by, patience) = (accepted.key_set().clone(), Seconds(order.patience));
    let deal = Deal::swap(deal, me, owner, by, patience, offer, asked, own);
    Ok(Beginning {
        evidence,
        records: card.into_iter().collect(),
        ..Beginning::new(deal, title, contact.name, Handing::Unproven)
    })
}
