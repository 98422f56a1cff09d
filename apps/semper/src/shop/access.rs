//! From information that the user gives for the show of a right, and from a right that the user shows, to an offer and to a deal.

use semper_commerce::access::AccessOffer;
use semper_commerce::deal::Deal;
use semper_commerce::offer::{Order, Pace};
use semper_core::cbor::Encode as _;
use semper_core::ids::DealId;
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_crypto::Verifier;
use semper_transfer::credential::{Uses, check_credential};

use super::{ShopError, arbiters, article, choose_arbiter, decoded, read, state};
use crate::control::{BuyOrder, OfferOrder, OfferView, RightOrder};
use crate::credentials::{self, Held};
use crate::node::offers::Stated;
use crate::node::shop::referee;
use crate::node::{Beginning, Handing, Node, NodeError, now};

/// Writes an offer whose price is the show of a right, and asks for the user's signature on it.
///
/// # Errors
/// [`ShopError`]; nothing was offered.
pub(super) async fn offer(node: &Node, order: &OfferOrder, right: &RightOrder) -> Result<OfferView, ShopError> {
    let (article, cipher_root) = article(order)?;
    let issuer = node.book().by_name(&right.issuer).await?;
    let offer = AccessOffer {
        goods: article.goods.clone(),
        cipher_root,
        right: right.right.clone(),
        issuer: issuer.key_set().id(),
        issuer_name: issuer.name,
        arbiters: arbiters(node, &order.arbiters, |contact| referee(contact).is_some()).await?,
        owner: node.name().to_owned(),
        pace: Pace {
            valid_for: Seconds(order.valid_for),
            complaints: Seconds(0),
            delta: Seconds(order.delta),
            sigma: Seconds(order.sigma),
        },
        until: Time::from_unix(order.until),
    };
    state(node, Some(article), Stated::Access(offer)).await
}

/// A deal that shows a right for what is offered.
///
/// # Errors
/// [`ShopError`].
pub(super) async fn take_up(node: &Node, order: BuyOrder) -> Result<Beginning, ShopError> {
    let (signed, owner, card) = read::<AccessOffer>(&decoded(&order.page, "offer")?)?;
    let (id, offer) = (signed.id(), signed.statement().clone());
    if offer.until < now() {
        return Err(ShopError::Ended);
    }
    let (place, accepted, _) = choose_arbiter(node, &offer.arbiters, &order.arbiter, referee).await?;
    let held = fitting(node, &offer, owner.id(), &order.credential).await?;
    let deal = DealId::from_array(node.random().map_err(NodeError::Crypto)?);
    let (contact, card) = node.met(&deal, owner.id(), &card).await?;
    let title = escape(offer.goods.name(), 0);
    let taken = Order {
        offer: id,
        means: 0,
        arbiter: place,
        payer: held.bundle.to_bytes(),
        buyer: node.name().to_owned(),
        locale: order.locale,
        card: node.card().to_owned(),
    };
    let (me, by, patience) = (node.keys().key_set(), accepted.key_set().clone(), Seconds(order.patience));
    let deal = Deal::access(deal, me, owner, by, patience, offer, taken);
    Ok(Beginning {
        records: card.into_iter().collect(),
        ..Beginning::new(deal, title, contact.name, Handing::Unproven)
    })
}

/// The credential that gives the right of an offer: the one whose serial number begins so, or the one that ends first.
async fn fitting(
    node: &Node,
    offer: &AccessOffer,
    owner: semper_core::ids::KeySetId,
    start: &str,
) -> Result<Held, ShopError> {
    let me = node.keys().key_set().id();
    let good = |held: &Held| {
        let named = held.credential.serial.to_string().starts_with(start);
        let issued = held.bundle.issuer.id() == offer.issuer && held.is_ours() && named;
        let (keys, signed) = (&held.bundle.issuer, &held.bundle.credential);
        issued && check_credential(&Verifier, keys, signed, (me, owner, &offer.right), now()).is_ok()
    };
    let all = credentials::all(node).await?;
    // What is counted its issuer keeps for nobody as long as it can be called back.
    let pending = |held: &Held| held.is_callable(now()) && held.credential.uses != Uses::Unlimited;
    let fitting = all.into_iter().filter(good).min_by_key(|held| (pending(held), held.credential.until));
    match fitting {
        Some(held) if pending(&held) => Err(ShopError::Callable(escape(&offer.right, 0))),
        Some(held) => Ok(held),
        None => Err(ShopError::NoRight(escape(&offer.right, 0), escape(&offer.issuer_name, 0))),
    }
}
