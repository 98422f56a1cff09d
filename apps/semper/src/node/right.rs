//! Rights that are sold: the answer to an order of one, and what a sale changes among our credentials.
//!
//! ```text
//! record "credential-of"   deal → serial of the credential that came to us in it
//! ```
//! A credential comes and goes in the commit of the step by which its deal has heard of it: there is no moment at which it is in no hands, or in two.

use semper_commerce::deal::Deal;
use semper_commerce::offer::Order;
use semper_commerce::right::{self, RightOffer, Sale};
use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::container::Container;
use semper_core::cose::{Kind, Signed};
use semper_core::ids::{DealId, KeySetId, Slot};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{Verified, verify};
use semper_exchange::gx::{Own, Right};
use semper_support::archive::ReadError;
use semper_support::engine::{Effect, Ending, EvidenceKind};
use semper_transfer::credential::{Bundle, Credential, Serial};
use semper_transfer::payment::operation::Task;

use super::many::Record;
use super::shop::{Unsold, referee};
use super::{Node, NodeError, now};
use crate::credentials::{self, Fate, Held};

/// Record space of what came in a deal: deal → serial.
const CAME: &str = "credential-of";

impl Node {
    /// The contract for somebody who buys a right of ours.
    pub(super) async fn sell_right(
        &self,
        deal: DealId,
        buyer: KeySetId,
        offer: &RightOffer,
        order: &Order,
    ) -> Result<(Container, Own), Unsold> {
        let refused = |reason: &str| Unsold::Refused(reason.to_owned());
        let serial = offer.credential().map_err(|error| Unsold::Refused(error.to_string()))?.serial;
        if !self.has(serial).await? {
            return Err(refused("the right was sold or passed on"));
        }
        let (now, me) = (now(), self.keys.key_set().id());
        let credential = right::judged(&*self.verify, offer, me, now);
        let credential = credential.map_err(|error| Unsold::Refused(error.to_string()))?;
        let named =
            offer.arbiters.get(usize::from(order.arbiter)).ok_or_else(|| refused("there is no such arbiter"))?;
        let contact = self.book.by_key_set(named.key_set).await.map_err(NodeError::Book)?;
        let arbiter = referee(&contact).ok_or_else(|| refused("the arbiter is none any more"))?;
        let means = offer.means.get(usize::from(order.means)).ok_or_else(|| refused("there is no such means"))?;
        let purse = self.purse_for(means).await?.ok_or_else(|| refused("there is no purse for this means any more"))?;
        let details = self.ready(deal, Slot::default(), purse, Task::Expect(offer.price)).await?;
        let request = right::request(offer, order, deal, details, now);
        let request = self.requested(request.ok_or_else(|| refused("there is no such means"))?).await?;
        let random = || self.random::<32>().map_err(NodeError::Crypto);
        let (right_salt, money_salt, nonce) = (random()?, random()?, random()?);
        let sale =
            Sale { offer, order, credential: &credential, buyer, arbiter, request, right_salt, money_salt, nonce, now };
        let proposal = sale.propose(self.random().map_err(NodeError::Crypto)?);
        let container = proposal.map_err(|error| Unsold::Refused(error.to_string()))?.to_container();
        let own = Own { purse: Some((deal, purse)), shows: offer.bundle.to_bytes(), ..Own::default() };
        Ok((container.map_err(|error| Unsold::Refused(error.to_string()))?, own))
    }

    /// Whether we hold a credential and have not passed it on.
    pub(super) async fn has(&self, serial: Serial) -> Result<bool, NodeError> {
        Ok(self.held(serial).await?.is_some_and(|held| held.is_ours()))
    }

    async fn held(&self, serial: Serial) -> Result<Option<Held>, NodeError> {
        credentials::held(self, serial).await.map_err(|error| NodeError::Read(ReadError(error.to_string())))
    }

    /// What a step of a deal in which a right is sold changes among our credentials: the buyer gets the one that was made for it, and learns with the
    /// deal's end whether it stays; the seller's is passed on, and comes back as a new one if it is called back.
    pub(super) async fn held_after(&self, deal: &Deal, effects: &[Effect]) -> Result<Vec<Record>, NodeError> {
        let core = deal.agreement().map(|agreement| &agreement.core);
        let Some((sold, _)) = core.and_then(|core| right::sold(core).ok()) else { return Ok(Vec::new()) };
        match core.and_then(|core| core.role_of(deal.sides().me.id())) {
            Some(Role::ORIGINATOR) => self.given(&sold, effects).await,
            _ => self.got(deal, &sold, effects).await,
        }
    }

    async fn given(&self, sold: &Right, effects: &[Effect]) -> Result<Vec<Record>, NodeError> {
        let Some(ours) = self.held(sold.serial).await? else { return Ok(Vec::new()) };
        let me = self.keys.key_set().id();
        let changed = self.made(&ours.bundle.issuer, sold, effects).into_iter().map(|(signed, credential)| {
            let changed = if credential.holder == me {
                let bundle = Bundle { credential: signed, ..ours.bundle.clone() };
                Held { bundle, credential, passed: None, fate: None }
            } else {
                Held { passed: Some(signed), ..ours.clone() }
            };
            changed.record()
        });
        Ok(changed.collect())
    }

    async fn got(&self, deal: &Deal, sold: &Right, effects: &[Effect]) -> Result<Vec<Record>, NodeError> {
        let (me, id) = (deal.sides().me.id(), deal.id());
        let fate = effects.iter().find_map(|effect| match effect {
            Effect::Ended(ending) => fate(*ending),
            _ => None,
        });
        let issuer = effects.iter().find_map(|effect| keys(effect).filter(|keys| keys.id() == sold.issuer));
        let made = issuer.as_ref().map(|issuer| self.made(issuer, sold, effects)).unwrap_or_default();
        if let Some((issuer, (signed, credential))) = issuer.zip(made.into_iter().find(|(_, made)| made.holder == me)) {
            let came = (CAME.to_owned(), id.as_bytes().to_vec(), Some(credential.serial.as_bytes().to_vec()));
            let bundle = Bundle { issuer, credential: signed, reservation: None };
            return Ok(vec![came, Held { bundle, credential, passed: None, fate }.record()]);
        }
        let Some(fate) = fate else { return Ok(Vec::new()) };
        let came = self.archive.record(CAME, id.as_bytes()).await?;
        let Some(serial) = came.as_deref().and_then(<[u8]>::first_chunk) else { return Ok(Vec::new()) };
        let held = self.held(Serial::from_array(*serial)).await?;
        Ok(held.map(|held| Held { fate: Some(fate), ..held }.record()).into_iter().collect())
    }

    /// The credentials among what a step keeps that the issuer has made in the place of the one that is sold. What an issuer answers to a verdict nobody
    /// has checked before.
    fn made(&self, issuer: &KeySet, sold: &Right, effects: &[Effect]) -> Vec<(Signed, Credential)> {
        let kept = effects.iter().filter_map(|effect| match effect {
            Effect::Keep { kind: EvidenceKind::Statement, bytes } => Signed::from_bytes(bytes).ok(),
            _ => None,
        });
        let credentials = kept.filter(|signed| signed.kind() == Kind::Credential).filter_map(|signed| {
            let checked: Verified<Credential> = verify(&*self.verify, issuer, &signed).ok()?;
            Some((signed, checked.statement().clone()))
        });
        credentials.filter(|(_, made)| made.serial != sold.serial && made.right == sold.right).collect()
    }
}

/// What the end of a deal says about the right that came in it; nothing where its buyer has paid and nobody has confirmed that.
fn fate(ending: Ending) -> Option<Fate> {
    match ending {
        Ending::Success => Some(Fate::Kept),
        Ending::Unconfirmed | Ending::Unsettled => None,
        _ => Some(Fate::CalledBack),
    }
}

fn keys(effect: &Effect) -> Option<KeySet> {
    match effect {
        Effect::Keep { kind: EvidenceKind::KeySet, bytes } => KeySet::from_bytes(bytes).ok(),
        _ => None,
    }
}
