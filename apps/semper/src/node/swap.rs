//! Answers to swaps: somebody gives a file for one that this party offers.

use semper_commerce::swap::{self, Swap};
use semper_core::container::Container;
use semper_crypto::Encapsulator;
use semper_exchange::goods::Seed;
use semper_exchange::gx::Own;
use semper_support::crypto::Encapsulate as _;

use super::offers::Stated;
use super::shop::{Unsold, referee};
use super::{Node, NodeError, now};

impl Node {
    /// The contract that answers a swap, or why there is none. Our user is asked when the other one has promised.
    pub(super) async fn answer_swap(&self, asked: &Swap) -> Result<(Container, Own), Unsold> {
        let refused = |error: &dyn std::fmt::Display| Unsold::Refused(error.to_string());
        let offer = match self.offer(asked.offer).await?.filter(|own| own.stands).map(|own| own.offer) {
            Some(Stated::Swap(offer)) if offer.until >= now() => offer,
            Some(Stated::Swap(_)) => return Err(refused(&"the offer has ended")),
            _ => return Err(refused(&"there is no such offer")),
        };
        let article = self.article(&offer.cipher_root).await?.ok_or_else(|| refused(&"the file is given no more"))?;
        let named = asked.terms.arbiter.ok_or_else(|| refused(&"a swap needs an arbiter"))?;
        let contact = self.book.by_key_set(named.key_set).await.map_err(NodeError::Book)?;
        let arbiter = referee(&contact).ok_or_else(|| refused(&"the arbiter takes no deposits"))?;
        let seed = self.random_bytes(Encapsulator.seed_len(arbiter.deposit_key.suite)).map_err(NodeError::Crypto)?;
        let seed = Seed::new(seed);
        let nonce = self.random().map_err(NodeError::Crypto)?;
        let proposal = swap::reply(asked, &offer, &arbiter, (&article.key, &seed), &Encapsulator, (now(), nonce))
            .map_err(|error| refused(&error))?;
        let container = proposal.to_container().map_err(|error| refused(&error))?;
        Ok((container, Own { seed: seed.as_bytes().to_vec(), ..Own::default() }))
    }
}
