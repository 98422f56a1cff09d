//! Answers to trades: somebody gives money for a receipt of our user, or for other money.
//!
//! What is chosen is the first of the asker's ways that this party has too, under the first of its arbiters that this party accepts. Our user is
//! asked only when the asker has promised: composing a contract binds nobody. Whether our purses hold enough is not looked at: the answer would
//! tell every contact what we have.
//!
//! To one by plain transfer it answers with a contract that holds its signed payment request. That binds it to nothing but to ask no more. To one through the arbiter's
//! hands likewise, with its requests for the asker's money and for its own back; under an arbiter that says on its card, as it is known here, that it takes such money.
//!
//! To a trade that names no arbiter, this party answers with a contract whose locks one hash opens. Its preimage is drawn for this contract alone
//! and stored with the deal before the contract goes out; it leaves this party only when it takes the asker's money with it.

use semper_commerce::trade::{Choice, Manner, Paid, Pledge, Reply, Trade, request, request_of_arbiter, transferable};
use semper_core::amount::Amount;
use semper_core::cbor::Decode as _;
use semper_core::container::Container;
use semper_core::contract::{Core, Item, ItemKind, Profile};
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId, Slot};
use semper_core::time::Time;
use semper_exchange::goods::preimage_hash;
use semper_exchange::gx::{Decides, LockDeposit, Own, Price};
use semper_transfer::payment::means::{LockKind, Means, PayerAnonymity, System};
use semper_transfer::payment::negotiation::Demand;
use semper_transfer::payment::operation::{PurseId, Task};

use super::shop::{Unsold, arbiter, lockable, referee};
use super::{BookError, Contact, Entry, Node, NodeError, now};

/// A way of the asker's that this party has too.
struct Common {
    place: usize,
    purse: PurseId,
    amount: Amount,
    decides: Decides,
}

/// Who or what opens the locks of a contract, and what only this party knows of it.
enum Judge<'a> {
    Arbiter(&'a Contact),
    Preimage([u8; 32]),
}

impl Judge<'_> {
    /// What decides over a lock of this payment system; `None`: nothing can.
    fn over(&self, system: &System) -> Option<Decides> {
        match self {
            Judge::Arbiter(contact) => arbiter(contact, system).map(|arbiter| Decides::Arbiter(arbiter.lock_key)),
            Judge::Preimage(preimage) => Some(Decides::Hash(preimage_hash(preimage))),
        }
    }
}

impl Node {
    /// The contract that answers a trade, or why there is none.
    pub(super) async fn reply(&self, deal: DealId, asker: KeySetId, trade: &Trade) -> Result<(Container, Own), Unsold> {
        let refused = |reason: &str| Unsold::Refused(reason.to_owned());
        let kind = match (trade.manner, trade.lock_kind()) {
            (Manner::InLine { closes }, _) => return self.reply_in_line(deal, asker, trade, closes).await,
            (_, None) => return self.reply_by_transfer(deal, asker, trade).await,
            (_, Some(kind)) => kind,
        };
        if kind == LockKind::Hash {
            let judge = Judge::Preimage(self.random().map_err(NodeError::Crypto)?);
            return match self.commons(&judge, trade).await? {
                Some(commons) => self.compose_reply(deal, asker, trade, &judge, commons).await,
                None => Err(refused(
                    "there is no e-cash in common that a hash can lock; name an arbiter, or use a mint that both know",
                )),
            };
        }
        let mut accepted = false;
        for named in &trade.arbiters {
            let known = self.book.by_key_set(named.key_set).await.ok().filter(|contact| contact.arbiter);
            let Some(contact) = known else { continue };
            accepted = true;
            let judge = Judge::Arbiter(&contact);
            let Some(commons) = self.commons(&judge, trade).await? else { continue };
            return self.compose_reply(deal, asker, trade, &judge, commons).await;
        }
        Err(refused(if accepted {
            "there is no means of payment in common that can be locked; a receipt can be paid for by plain transfer"
        } else {
            "none of the arbiters is accepted"
        }))
    }

    /// The ways that this party has too: for the asker's money, and for ours if any is wanted. `None`: one is missing.
    async fn commons(&self, judge: &Judge<'_>, trade: &Trade) -> Result<Option<(Common, Option<Common>)>, NodeError> {
        // What is paid by plain transfer has no locks to be decided over.
        let Some(kind) = trade.lock_kind() else { return Ok(None) };
        let Some(pays) = self.common(judge, &trade.pays, lockable(trade.gives, kind)).await? else {
            return Ok(None);
        };
        let Some(wants) = trade.wants else { return Ok(Some((pays, None))) };
        let takes = self.common(judge, &trade.takes, lockable(wants, kind)).await?;
        Ok(takes.map(|takes| (pays, Some(takes))))
    }

    /// The first way that this party has too, and whose locks can be decided so.
    async fn common(&self, judge: &Judge<'_>, pledges: &[Pledge], demand: Demand) -> Result<Option<Common>, NodeError> {
        for (place, Pledge { means, .. }) in
            pledges.iter().enumerate().filter(|(_, p)| demand.misfit(&p.means).is_none())
        {
            if let Some((decides, purse)) = judge.over(&means.system).zip(self.purse_for(means).await?) {
                return Ok(Some(Common { place, purse, amount: demand.amount, decides }));
            }
        }
        Ok(None)
    }

    async fn compose_reply(
        &self,
        deal: DealId,
        asker: KeySetId,
        trade: &Trade,
        judge: &Judge<'_>,
        (pays, takes): (Common, Option<Common>),
    ) -> Result<(Container, Own), Unsold> {
        let refused = |error: &dyn std::fmt::Display| Unsold::Refused(error.to_string());
        let (arbiter, seed) = match judge {
            Judge::Arbiter(contact) => {
                (Some(referee(contact).ok_or_else(|| refused(&"the arbiter is none"))?), Vec::new())
            }
            Judge::Preimage(preimage) => (None, preimage.to_vec()),
        };
        // Our money goes out of the second purse, if any does.
        let own = match &takes {
            Some(takes) => Own { purse: Some((deal, takes.purse)), comes_to: Some(pays.purse), seed, ..Own::default() },
            None => Own { purse: Some((deal, pays.purse)), seed, ..Own::default() },
        };
        let pays = self.choice(deal, Slot(0), pays).await?;
        let takes = match takes {
            Some(takes) => Some(Paid::Locked(self.choice(deal, Slot(1), takes).await?)),
            None => None,
        };
        let random = self.random().map_err(NodeError::Crypto)?;
        let (me, arbiter) = (self.keys.key_set().id(), arbiter.as_ref());
        let pays = Paid::Locked(pays);
        let reply = Reply { trade, asker, me, arbiter, pays, takes, nonce: random, now: now() };
        let proposal = reply.propose(self.random().map_err(NodeError::Crypto)?).map_err(|error| refused(&error))?;
        Ok((proposal.to_container().map_err(|error| refused(&error))?, own))
    }

    /// The contract that answers a trade by plain transfer, with our signed request in it: nothing but the contract makes it worth anything.
    async fn reply_by_transfer(
        &self,
        deal: DealId,
        asker: KeySetId,
        trade: &Trade,
    ) -> Result<(Container, Own), Unsold> {
        let refused = |reason: &str| Unsold::Refused(reason.to_owned());
        let mut arbiter = None;
        for named in &trade.arbiters {
            let known = self.book.by_key_set(named.key_set).await.ok().filter(|contact| contact.arbiter);
            arbiter = arbiter.or(known.as_ref().and_then(referee));
        }
        let arbiter = arbiter.ok_or_else(|| refused("none of the arbiters is accepted"))?;
        let common = self.transferred(&trade.pays, trade.gives, |_| true).await?;
        let (place, purse) = common.ok_or_else(|| refused("there is no bank in common that shows what was paid"))?;
        let details = self.ready(deal, Slot::default(), purse, Task::Expect(trade.gives)).await?;
        let now = now();
        let request = request(trade, deal, place, details, now);
        let request = request.ok_or_else(|| refused("there is no such means of payment"))?;
        let request = self.requested(request).await?;
        let salt = self.random().map_err(NodeError::Crypto)?;
        let pays = Paid::Requested { place, request, salt };
        let nonce = self.random().map_err(NodeError::Crypto)?;
        let reply = Reply {
            trade,
            asker,
            me: self.keys.key_set().id(),
            arbiter: Some(&arbiter),
            pays,
            takes: None,
            nonce,
            now,
        };
        let proposal = reply.propose(self.random().map_err(NodeError::Crypto)?);
        let container = proposal.map_err(|error| refused(&error.to_string()))?.to_container();
        let own = Own { purse: Some((deal, purse)), ..Own::default() };
        Ok((container.map_err(|error| refused(&error.to_string()))?, own))
    }

    /// The first way to pay by plain transfer that this party has too, at an issuer that is `good`.
    async fn transferred(
        &self,
        pledges: &[Pledge],
        amount: Amount,
        good: impl Fn(&str) -> bool,
    ) -> Result<Option<(usize, PurseId)>, NodeError> {
        let demand = Demand { amount, anonymity: PayerAnonymity::None, lock: None };
        let fits = |means: &Means| demand.misfit(means).is_none() && transferable(means) && good(&means.issuer);
        for (place, Pledge { means, .. }) in pledges.iter().enumerate().filter(|(_, pledge)| fits(&pledge.means)) {
            if let Some(purse) = self.purse_for(means).await? {
                return Ok(Some((place, purse)));
            }
        }
        Ok(None)
    }

    /// The contract that answers a trade through the arbiter's hands, with our signed requests in it.
    async fn reply_in_line(
        &self,
        deal: DealId,
        asker: KeySetId,
        trade: &Trade,
        closes: Time,
    ) -> Result<(Container, Own), Unsold> {
        let refused = |reason: &str| Unsold::Refused(reason.to_owned());
        let wants = trade.wants.ok_or_else(|| refused("money goes through the arbiter's hands for other money"))?;
        // An account may have been paid into: ours is looked at before it is to pay. What it holds does not show in the answer.
        self.payments.holding(wants).await.map_err(NodeError::Payment)?;
        let mut why = "none of the arbiters is accepted";
        for named in &trade.arbiters {
            let known = self.book.by_key_set(named.key_set).await.ok().filter(|contact| contact.arbiter);
            let Some((contact, arbiter)) =
                known.and_then(|contact| referee(&contact).map(|arbiter| (contact, arbiter)))
            else {
                continue;
            };
            if !contact.is_in_line() {
                why = "no arbiter that is accepted takes money into its hands, by the card that is known of it";
                continue;
            }
            let good = |issuer: &str| contact.takes_in_line(issuer);
            let pays = self.transferred(&trade.pays, trade.gives, good).await?;
            let takes = self.transferred(&trade.takes, wants, good).await?;
            let Some((pays, takes)) = pays.zip(takes) else {
                why = "there is no bank in common for both amounts that shows what was paid, and where the arbiter takes money";
                continue;
            };
            // Our money goes out of the second purse, and comes back there.
            let own = Own { purse: Some((deal, takes.1)), comes_to: Some(pays.1), ..Own::default() };
            let about = (deal, trade.purpose.as_str(), closes);
            let pays = self.asked_in_line(about, (Slot(0), trade.gives), &trade.pays, pays).await?;
            let takes = Some(self.asked_in_line(about, (Slot(1), wants), &trade.takes, takes).await?);
            let nonce = self.random().map_err(NodeError::Crypto)?;
            let (me, arbiter) = (self.keys.key_set().id(), Some(&arbiter));
            let reply = Reply { trade, asker, me, arbiter, pays, takes, nonce, now: now() };
            let proposal = reply.propose(self.random().map_err(NodeError::Crypto)?);
            let container = proposal.map_err(|error| refused(&error.to_string()))?.to_container();
            return Ok((container.map_err(|error| refused(&error.to_string()))?, own));
        }
        Err(refused(why))
    }

    /// Our request to the arbiter for an amount, by the asker's pledge in this place.
    async fn asked_in_line(
        &self,
        about: (DealId, &str, Time),
        (slot, amount): (Slot, Amount),
        pledges: &[Pledge],
        (place, purse): (usize, PurseId),
    ) -> Result<Paid, NodeError> {
        let details = self.ready(about.0, slot, purse, Task::Expect(amount)).await?;
        let request = self.requested(request_of_arbiter(about, amount, &pledges[place].means, details)).await?;
        Ok(Paid::Requested { place, request, salt: self.random().map_err(NodeError::Crypto)? })
    }

    async fn choice(&self, deal: DealId, slot: Slot, common: Common) -> Result<Choice, NodeError> {
        let Common { place, purse, amount, decides } = common;
        let details = self.ready(deal, slot, purse, Task::Prepare(amount)).await?;
        Ok(Choice { place, details, decides, salt: self.random().map_err(NodeError::Crypto)? })
    }

    /// What the arbiter of a deal's contract is not known to stand for, if there is anything: a key in it that is not on its card, money in its hands, or the card is not here
    /// any more. Whoever holds another key could decide alone, together with one party.
    pub(super) async fn foreign_key(&self, entry: &Entry) -> Result<Option<&'static str>, NodeError> {
        let Some(agreement) = entry.deal.agreement() else { return Ok(None) };
        let Some(arbiter) = agreement.core.arbiter() else { return Ok(None) };
        let contact = match self.book.by_key_set(arbiter).await {
            Err(BookError::Unknown(_)) => return Ok(Some("the contract's arbiter is no contact any more")),
            known => known?,
        };
        if agreement.core.terms.profile == Profile::Ix && !contact.is_in_line() {
            return Ok(Some("the contract's arbiter does not say on its card that it takes money into its hands"));
        }
        let deposit_key = referee(&contact).map(|arbiter| arbiter.deposit_key.id());
        Ok(foreign(&agreement.core, deposit_key, |system| contact.lock_key(system)))
    }
}

/// Which key of the arbiter's in a contract is not its own.
fn foreign(
    core: &Core,
    deposit_key: Option<Digest>,
    lock_key: impl Fn(&System) -> Option<Vec<u8>>,
) -> Option<&'static str> {
    let named = core.terms.arbiter.and_then(|arbiter| arbiter.deposit_key);
    if named.is_some_and(|key| Some(key) != deposit_key) {
        return Some("the contract names another key for deposits than the arbiter's card");
    }
    let own = |item: &Item| {
        if Price::from_bytes(&item.descriptor).is_ok_and(|price| price.lock.is_none()) {
            return Some(true);
        }
        let lock = LockDeposit::from_bytes(core.deposits.get(&item.slot)?).ok()?;
        let price = Price::from_bytes(&item.descriptor).ok()?;
        Some(Decides::Arbiter(lock_key(&price.system)?) == lock.decides)
    };
    let money = core.terms.items.iter().filter(|item| item.kind == ItemKind::Money);
    let foreign = money.map(own).any(|own| own != Some(true));
    foreign.then_some("the contract names another key for locks than the arbiter's card")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_commerce::offer::ArbiterOffer;
    use semper_commerce::terms::Arbiter;
    use semper_commerce::trade::Manner;
    use semper_core::amount::Currency;
    use semper_core::time::Seconds;
    use semper_exchange::goods::DepositKey;
    use semper_support::crypto::KemSuite;
    use semper_transfer::payment::means::{Fees, Limits, Means, ReceiptKind, Reversal};

    use super::*;

    /// A contract under an arbiter's lock key.
    fn contract(lock_key: Vec<u8>) -> Core {
        let key_set = |byte| KeySetId::from_digest(Digest::from_array([byte; 32]));
        let means = Means {
            system: System::parse("ecash").unwrap(),
            issuer: "https://mint.example".to_owned(),
            currency: Currency::parse("EUR").unwrap(),
            anonymity: PayerAnonymity::FromAll,
            reversal: Reversal::Final,
            locks: [LockKind::Arbiter].into(),
            receipt: ReceiptKind::Witness,
            fees: Fees { fixed: 0, per_million: 0 },
            limits: Limits { least: 1, most: 1_000_000 },
            latency: Seconds(1),
        };
        let trade = Trade {
            gives: Amount::parse("10.00 EUR").unwrap(),
            wants: None,
            purpose: String::new(),
            pays: vec![Pledge { means, details: vec![1; 4], request: None }],
            takes: Vec::new(),
            arbiters: vec![ArbiterOffer { name: "Ann".to_owned(), key_set: key_set(3) }],
            valid_for: Seconds(100_000),
            asker: "Alice".to_owned(),
            peer: "Bob".to_owned(),
            locale: "en".to_owned(),
            manner: Manner::Locked,
        };
        let deposit_key = DepositKey { suite: KemSuite::X25519, public_key: vec![1; 32] };
        let arbiter = Arbiter {
            key_set: key_set(3),
            log: key_set(4),
            rules: *key_set(5).digest(),
            deposit_key,
            lock_key: Vec::new(),
        };
        let decides = Decides::Arbiter(lock_key);
        let pays = Choice { place: 0, details: vec![2; 4], decides, salt: [8; 32] };
        let (asker, me, now) = (key_set(1), key_set(2), Time::from_unix(1_000_000));
        let pays = Paid::Locked(pays);
        let reply = Reply { trade: &trade, asker, me, arbiter: Some(&arbiter), pays, takes: None, nonce: [6; 32], now };
        reply.propose([0; 16]).unwrap().into_agreement().core
    }

    // A peer that puts a key of its own in the arbiter's place decides over the lock alone: with the payee's and the arbiter's word the money
    // is its own.
    #[test]
    fn a_key_that_is_not_on_the_arbiters_card_is_found() {
        let card = |system: &System| (system.as_str() == "ecash").then(|| vec![7; 4]);
        assert_eq!(foreign(&contract(vec![7; 4]), None, card), None);
        assert!(foreign(&contract(vec![8; 4]), None, card).unwrap().contains("for locks"));
        assert!(foreign(&contract(vec![7; 4]), None, |_| None).unwrap().contains("for locks"));
        let (own, other) = (Digest::from_array([1; 32]), Digest::from_array([2; 32]));
        let mut deposited = contract(vec![7; 4]);
        deposited.terms.arbiter.as_mut().unwrap().deposit_key = Some(own);
        assert_eq!(foreign(&deposited, Some(own), card), None);
        for wrong in [Some(other), None] {
            assert!(foreign(&deposited, wrong, card).unwrap().contains("for deposits"));
        }
    }
}
