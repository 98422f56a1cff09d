//! From a credential that the user sells, and from one that the user buys, to an offer and to a deal.

use semper_commerce::deal::Deal;
use semper_commerce::offer::{Order, Pace};
use semper_commerce::right::{self, RightOffer};
use semper_commerce::trade::transferable;
use semper_core::amount::Amount;
use semper_core::ids::{DealId, KeySetId};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_crypto::Verifier;
use semper_transfer::credential::Serial;
use semper_transfer::payment::means::PayerAnonymity;
use semper_transfer::payment::negotiation::Demand;

use super::{ShopError, arbiters, choose_arbiter, choose_means, decoded, read, state};
use crate::control::{BuyOrder, OfferView, RightOfferOrder};
use crate::credentials::{self, CredentialError};
use crate::node::offers::Stated;
use crate::node::shop::referee;
use crate::node::{Beginning, BookError, Handing, Node, NodeError, now};

/// Writes an offer of a credential, and asks for the user's signature on it. Its issuer is asked first what is left of it. Asked again with the same order,
/// it gives what has become of it.
///
/// # Errors
/// [`ShopError`]; nothing was offered.
pub async fn offer(node: &Node, serial: &str, order: RightOfferOrder) -> Result<OfferView, ShopError> {
    let unknown = || CredentialError::Unknown(serial.to_owned());
    let held = credentials::held(node, Serial::parse(serial).ok_or_else(unknown)?).await?.ok_or_else(unknown)?;
    if !held.is_ours() {
        return Err(CredentialError::NotNow("it was passed on, or called back".to_owned()).into());
    }
    let price = Amount::parse(&order.price).map_err(|error| ShopError::Amount { text: order.price.clone(), error })?;
    let demand = plain(price);
    let offered = node.payments().offered().await.map_err(NodeError::Read)?.into_iter().map(|offered| offered.means);
    let means: Vec<_> = offered.filter(|means| demand.misfit(means).is_none() && transferable(means)).collect();
    if means.is_empty() {
        return Err(ShopError::NoAccount(price.currency().to_string()));
    }
    let offer = RightOffer {
        uses: credentials::left(node, &held.credential).await?,
        issuer_name: issuer(node, held.bundle.issuer.id()).await?,
        bundle: held.bundle,
        price,
        means,
        arbiters: arbiters(node, &order.arbiters, |contact| referee(contact).is_some()).await?,
        seller: node.name().to_owned(),
        pace: Pace {
            valid_for: Seconds(order.valid_for),
            complaints: Seconds(0),
            delta: Seconds(order.delta),
            sigma: Seconds(order.sigma),
        },
        until: Time::from_unix(order.until),
        terms: order.terms,
        law: order.law,
    };
    right::judged(&Verifier, &offer, node.keys().key_set().id(), now())?;
    state(node, None, Stated::Right(offer)).await
}

/// A deal that buys a right. Before anything is ordered, the credential is judged, and its issuer, whom the user must know, is asked what is left of it.
///
/// # Errors
/// [`ShopError`].
pub(super) async fn take_up(node: &Node, order: BuyOrder) -> Result<Beginning, ShopError> {
    let (signed, seller, card) = read::<RightOffer>(&decoded(&order.page, "offer")?)?;
    let (id, offer) = (signed.id(), signed.statement().clone());
    if offer.until < now() {
        return Err(ShopError::Ended);
    }
    if order.no_arbiter {
        return Err(ShopError::WithArbiter);
    }
    let ours = issuer(node, offer.bundle.issuer.id()).await?;
    let theirs = if order.issuer.is_empty() { &offer.issuer_name } else { &order.issuer };
    if *theirs != ours {
        return Err(ShopError::OtherIssuer { theirs: escape(theirs, 0), ours });
    }
    let credential = right::judged(&Verifier, &offer, seller.id(), now())?.statement().clone();
    credentials::has_room(node).await?;
    let left = credentials::left(node, &credential).await?;
    if !left.covers(offer.uses) {
        return Err(CredentialError::NotNow(format!("it can be used {left}, and {} is offered", offer.uses)).into());
    }
    let (place, means) = choose_means(node, &plain(offer.price), &offer.means).await?;
    let (arbiter, accepted, _) = choose_arbiter(node, &offer.arbiters, &order.arbiter, referee).await?;
    let purse = node.purse_for(&means).await?.ok_or_else(|| ShopError::NoAccount(means.currency.to_string()))?;
    let deal = DealId::from_array(node.random().map_err(NodeError::Crypto)?);
    let (contact, card) = node.met(&deal, seller.id(), &card).await?;
    let title = escape(&credential.right, 0);
    let taken = Order {
        offer: id,
        means: place,
        arbiter,
        payer: Vec::new(),
        buyer: node.name().to_owned(),
        locale: order.locale,
        card: node.card().to_owned(),
    };
    let (me, by, patience) = (node.keys().key_set(), accepted.key_set().clone(), Seconds(order.patience));
    let deal = Deal::buy_right(deal, me, seller, by, patience, offer, taken, purse);
    Ok(Beginning {
        records: card.into_iter().collect(),
        ..Beginning::new(deal, title, contact.name, Handing::Unproven)
    })
}

/// What the contact book calls an issuer. What the word of one is worth that the user does not know, nobody can say.
async fn issuer(node: &Node, key_set: KeySetId) -> Result<String, ShopError> {
    match node.book().by_key_set(key_set).await {
        Ok(contact) => Ok(contact.name),
        Err(BookError::Unknown(_)) => Err(ShopError::NoIssuer(key_set)),
        Err(error) => Err(error.into()),
    }
}

/// What the sale of a right demands of a means of payment: nothing is locked.
fn plain(amount: Amount) -> Demand {
    Demand { amount, anonymity: PayerAnonymity::None, lock: None }
}
