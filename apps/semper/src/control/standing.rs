//! Where a deal stands, as its user understands it: one reading of a [`DealView`] for every surface that puts it into words.

use super::DealView;

/// Where a deal stands. Times are in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// The contract binds both.
    Signed,
    /// The contract binds all.
    SignedByAll,
    /// The letter was delivered: we have the receipt.
    Delivered,
    /// We have got a letter.
    Received,
    /// We have paid and have the receipt.
    Receipted,
    /// We have been paid.
    BeenPaid,
    /// We have the other party's money for ours.
    Exchanged,
    /// We have the other party's file for ours.
    Swapped,
    /// The right that we have bought is ours for good.
    Bought,
    /// We have sold our right, and have the money.
    Sold,
    /// It ended in a way that the deal itself has words for.
    Remark(&'a str),
    /// It ended well.
    Done,
    /// The arbiter has aborted it: nobody is bound.
    Aborted,
    /// We have paid and reached the arbiter too late for the receipt.
    PaidWithoutReceipt,
    /// We have paid for a right, and nobody has confirmed it in time.
    PaidUnconfirmed,
    /// It ended before money moved.
    NothingPaid,
    /// It ended before anything was signed.
    Lapsed,
    /// What we sent was not acknowledged.
    Unacknowledged,
    /// Our money is back.
    Refunded,
    /// Nobody has paid for our right, and it is ours again.
    Recalled,
    /// Nobody has paid for our right, and it could not be called back in time.
    Unrecalled,
    /// The goods are not what was promised.
    Defective,
    /// Our goods are not what we promised, says the arbiter.
    Faulted,
    /// Money is due to us, and its issuer does not give it.
    Unsettled,
    /// It ended in a way that this version does not know.
    Ended(&'a str),
    /// Our own answer is awaited.
    Asks,
    /// The signatures of some of many others are awaited.
    Missing(&'a [String]),
    /// The other party is awaited; if nothing comes, our money comes back after this time.
    PeerOrRefund(u64),
    /// The other party is awaited; if no money comes, our right is called back after this time.
    PeerOrRecall(u64),
    /// The other party is awaited.
    Peer,
    /// Not done; our money comes back, after this time if it is known.
    Refunding(Option<u64>),
    /// Money is on its way.
    Paying,
    /// The issuer of the right is awaited.
    Issuer,
    /// The arbiter has this much of ours in its hands, and is awaited.
    InHand(&'a str),
    /// Not done: the issuer of our money gives it back.
    Untaken,
    /// The arbiter has decided for us; money comes when the time for complaints is over.
    Decided(u64),
    /// The arbiter is awaited.
    Arbiter,
    /// It comes from a backup of this time, and nothing is done for it before its arbiter has said what became of it.
    Paused(u64),
    /// It comes from a backup of this time, and its arbiter has decided nothing: what was signed after the backup is not known here.
    UnknownSince(u64),
}

impl<'a> Standing<'a> {
    /// Where `deal` stands.
    pub fn of(deal: &'a DealView) -> Self {
        let under_contract = deal.restored.filter(|_| deal.cid.is_some());
        match (deal.ending.as_deref(), under_contract) {
            (None, Some(from)) => return Standing::Paused(from),
            (Some("lapsed"), Some(from)) => return Standing::UnknownSince(from),
            _ => {}
        }
        match deal.ending.as_deref() {
            Some("success") => Self::of_success(deal),
            Some(ending) => Self::of_other_end(deal, ending),
            None => Self::of_open(deal),
        }
    }

    fn of_success(deal: &'a DealView) -> Self {
        let began = deal.role == "originator";
        if deal.right.is_some() {
            return if began { Standing::Bought } else { Standing::Sold };
        }
        match (deal.plan.as_str(), began) {
            ("sign/1", _) => Standing::Signed,
            ("sign-many/1", _) => Standing::SignedByAll,
            ("mail/1", true) => Standing::Delivered,
            ("mail/1", false) => Standing::Received,
            ("receipt/1", true) => Standing::Receipted,
            ("receipt/1", false) => Standing::BeenPaid,
            ("exchange/1", _) => Standing::Exchanged,
            ("swap/1", false) => Standing::Swapped,
            _ => deal.remark.as_deref().map_or(Standing::Done, Standing::Remark),
        }
    }

    fn of_other_end(deal: &'a DealView, ending: &'a str) -> Self {
        if let Some(remark) = &deal.remark {
            return Standing::Remark(remark);
        }
        let receipt = deal.plan == "receipt/1";
        match ending {
            "aborted" => Standing::Aborted,
            "unconfirmed" if receipt => Standing::PaidWithoutReceipt,
            "unconfirmed" if deal.right.is_some() => Standing::PaidUnconfirmed,
            "unconfirmed" => Standing::Unacknowledged,
            "lapsed" if receipt || deal.plan == "exchange/1" || deal.right.is_some() => Standing::NothingPaid,
            "lapsed" => Standing::Lapsed,
            "refunded" => Standing::Refunded,
            "recalled" => Standing::Recalled,
            "defective" => Standing::Defective,
            "faulted" => Standing::Faulted,
            "unsettled" if deal.right.is_some() => Standing::Unrecalled,
            "unsettled" => Standing::Unsettled,
            other => Standing::Ended(other),
        }
    }

    fn of_open(deal: &'a DealView) -> Self {
        if let (Some(amount), "arbiter") = (&deal.in_hand, deal.waits_for.as_str()) {
            return Standing::InHand(amount);
        }
        match (deal.waits_for.as_str(), deal.until) {
            ("us", _) => Standing::Asks,
            ("peer", _) if !deal.missing.is_empty() => Standing::Missing(&deal.missing),
            ("peer", Some(date)) if deal.right.is_some() => Standing::PeerOrRecall(date),
            ("peer", Some(date)) => Standing::PeerOrRefund(date),
            ("peer", None) => Standing::Peer,
            ("payment", date) if deal.state == "await-refund" => Standing::Refunding(date),
            ("payment", _) if deal.state == "reclaiming" && deal.plan == "exchange/1" => Standing::Untaken,
            ("payment", _) => Standing::Paying,
            ("issuer", _) => Standing::Issuer,
            (_, Some(date)) if deal.right.is_some() => Standing::PeerOrRecall(date),
            (_, Some(date)) => Standing::Decided(date),
            (_, None) => Standing::Arbiter,
        }
    }
}
