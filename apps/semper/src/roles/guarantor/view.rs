//! Accounts and covers as the operator, and whoever knows a cover's name, sees them.

use semper_core::amount::Amount;
use semper_core::time::Time;
use semper_exchange::cover::register::{Closed, End, Open, Standing};
use semper_exchange::cover::{Account, Cover};
use serde::{Deserialize, Serialize};

/// A customer's account, for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// The customer's key set.
    pub customer: String,
    /// Most that it is stood for at once.
    pub limit: String,
    /// Most for one contract.
    pub per_deal: String,
    /// Certified, and nobody has asked for it.
    pub reserved: String,
    /// Claimed, and the customer may still answer.
    pub claimed: String,
    /// Paid, and not repaid by the customer.
    pub paid: String,
    /// What is left of the limit.
    pub left: String,
    /// The last second in which a cover can be asked for, in seconds since 1970.
    pub until: u64,
    /// Since when the customer's keys are revoked, in seconds since 1970.
    pub revoked: Option<u64>,
    /// The covers that are not over.
    pub covers: Vec<CoverView>,
}

/// What has become of a cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverView {
    /// Its name.
    pub cover: String,
    /// `reserved`, `claimed`, `paid`, `released`, `rejected`, `expired` or `repaid`.
    pub state: String,
    /// For how much it is at most.
    pub amount: String,
    /// The last second for a claim, in seconds since 1970.
    pub claim_by: u64,
    /// How much was claimed.
    pub claimed: Option<String>,
    /// By whom, a key set.
    pub to: Option<String>,
    /// The last second for an answer of the customer, in seconds since 1970.
    pub answer_by: Option<u64>,
    /// Whether the operator has paid the claimant.
    pub paid_out: bool,
    /// Whether the customer has paid the guarantor.
    pub repaid: bool,
}

/// Something that the operator books by hand of a cover that is paid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BookingOrder {
    /// The cover.
    pub cover: String,
    /// Whether the customer has repaid; else the claimant was paid.
    pub repaid: bool,
}

impl AccountView {
    /// An account at a time.
    pub(super) fn of(account: &Account, now: Time) -> Self {
        let account = account.at(now).account;
        let (agreement, totals) = (account.agreement(), account.totals());
        let currency = agreement.limit.currency();
        let money = |minor: u64| Amount::new(minor, currency).map_or_else(|_| minor.to_string(), |sum| sum.to_string());
        Self {
            customer: account.customer().to_string(),
            limit: agreement.limit.to_string(),
            per_deal: agreement.per_deal.to_string(),
            reserved: money(totals.reserved),
            claimed: money(totals.claimed),
            paid: money(totals.paid),
            left: account.left().to_string(),
            until: agreement.until.unix(),
            revoked: account.revoked().map(Time::unix),
            covers: account.open().map(CoverView::of).collect(),
        }
    }
}

impl CoverView {
    /// A cover that is not over.
    pub(super) fn of(open: &Open) -> Self {
        let named = |state: &str| Self::named(&open.cover, state);
        match open.standing {
            Standing::Reserved => named("reserved"),
            Standing::Claimed(claim) => Self {
                claimed: Some(claim.amount.to_string()),
                to: Some(claim.to.to_string()),
                answer_by: Some(claim.answer_by.unix()),
                ..named("claimed")
            },
            Standing::Paid { claim, paid_out, repaid } => Self {
                claimed: Some(claim.amount.to_string()),
                to: Some(claim.to.to_string()),
                answer_by: Some(claim.answer_by.unix()),
                paid_out,
                repaid,
                ..named("paid")
            },
        }
    }

    /// A cover that is over.
    pub(super) fn of_closed(closed: &Closed) -> Self {
        let named = Self::named(&closed.cover, closed.end.name());
        match closed.end {
            End::Repaid(claim) => Self {
                claimed: Some(claim.amount.to_string()),
                to: Some(claim.to.to_string()),
                answer_by: Some(claim.answer_by.unix()),
                paid_out: true,
                repaid: true,
                ..named
            },
            End::Released | End::Rejected | End::Expired => named,
        }
    }

    fn named(cover: &Cover, state: &str) -> Self {
        Self {
            cover: cover.cover.to_string(),
            state: state.to_owned(),
            amount: cover.amount.to_string(),
            claim_by: cover.claim_by.unix(),
            claimed: None,
            to: None,
            answer_by: None,
            paid_out: false,
            repaid: false,
        }
    }
}
