//! Which means of payment? From what both sides have and prefer, and from what the payment demands.
//!
//! Each side lists its means, the one it likes best first. Left are those that both list and that fit the demand on both lists; best
//! is the one with the lowest sum of places, the payer's place deciding between equals. A pure function of public data, so that
//! both sides compute the same, and whoever is asked why gets a reason for every means that was left out.
//!
//! Source: `spec/payment.md` §7; the payment manager of SEMPER.

use std::fmt;

use semper_core::amount::Amount;

use super::means::{LockKind, Means, PayerAnonymity};

/// Most means that one side lists.
pub const MEANS_MAX: usize = 32;

/// What a payment demands of its means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// How much is paid.
    pub amount: Amount,
    /// What must stay unknown about the payer, at least.
    pub anonymity: PayerAnonymity,
    /// How the money must be lockable, if it must.
    pub lock: Option<LockKind>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The means that fit, as the payer lists them, the best first.
    pub fitting: Vec<Means>,
    /// Every other means that anybody listed, with the reason.
    pub left_out: Vec<LeftOut>,
}

/// A means that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The means.
    pub means: Means,
    /// Why.
    pub reason: Reason,
}

/// Why a means was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Only the payer has it.
    PayerOnly,
    /// Only the payee has it.
    PayeeOnly,
    /// It counts in another currency.
    Currency,
    /// The amount is below its least.
    TooLittle,
    /// The amount is above its most.
    TooMuch,
    /// The payer would be known.
    NotAnonymous,
    /// Its money cannot be locked in the way that is needed.
    NoLock,
}

/// Ranks the means of both sides for a payment.
pub fn negotiate(demand: &Demand, payer: &[Means], payee: &[Means]) -> Negotiated {
    let mut fitting = Vec::new();
    let mut left_out = Vec::new();
    for (place, means) in payer.iter().enumerate() {
        let theirs = payee.iter().enumerate().find(|(_, theirs)| is_same(means, theirs));
        let misfit = demand.misfit(means).or(match theirs {
            None => Some(Reason::PayerOnly),
            Some((_, theirs)) => demand.misfit(theirs),
        });
        match (misfit, theirs) {
            (None, Some((their_place, _))) => fitting.push((place + their_place, place, means.clone())),
            (reason, _) => {
                left_out.push(LeftOut { means: means.clone(), reason: reason.unwrap_or(Reason::PayerOnly) });
            }
        }
    }
    let only_theirs = payee.iter().filter(|theirs| !payer.iter().any(|means| is_same(means, theirs)));
    left_out.extend(
        only_theirs
            .map(|means| LeftOut { means: means.clone(), reason: demand.misfit(means).unwrap_or(Reason::PayeeOnly) }),
    );
    fitting.sort_by_key(|(sum, place, _)| (*sum, *place));
    Negotiated { fitting: fitting.into_iter().map(|(_, _, means)| means).collect(), left_out }
}

fn is_same(one: &Means, other: &Means) -> bool {
    (&one.system, &one.issuer, one.currency) == (&other.system, &other.issuer, other.currency)
}

impl Demand {
    /// Why a means does not fit, if it does not.
    pub fn misfit(&self, means: &Means) -> Option<Reason> {
        let locks = |kind| means.locks.contains(&kind);
        match self {
            _ if means.currency != self.amount.currency() => Some(Reason::Currency),
            _ if self.amount.minor() < means.limits.least => Some(Reason::TooLittle),
            _ if self.amount.minor() > means.limits.most => Some(Reason::TooMuch),
            _ if means.anonymity < self.anonymity => Some(Reason::NotAnonymous),
            Self { lock: Some(kind), .. } if !locks(*kind) => Some(Reason::NoLock),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::PayerOnly => "the payee does not take it",
            Reason::PayeeOnly => "the payer does not have it",
            Reason::Currency => "it counts in another currency",
            Reason::TooLittle => "the amount is below its least",
            Reason::TooMuch => "the amount is above its most",
            Reason::NotAnonymous => "it would show who pays",
            Reason::NoLock => "its money cannot be locked as this exchange needs",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use semper_core::amount::Currency;
    use semper_core::time::Seconds;

    use super::super::means::{Fees, Limits, ReceiptKind, Reversal, System};
    use super::*;

    fn means(system: &str, issuer: &str) -> Means {
        Means {
            system: System::parse(system).unwrap(),
            issuer: issuer.to_owned(),
            currency: Currency::parse("EUR").unwrap(),
            anonymity: PayerAnonymity::FromPayee,
            reversal: Reversal::Final,
            locks: BTreeSet::from([LockKind::Arbiter]),
            receipt: ReceiptKind::Payee,
            fees: Fees::default(),
            limits: Limits { least: 1, most: 1000 },
            latency: Seconds(1),
        }
    }

    fn demand(text: &str) -> Demand {
        Demand { amount: Amount::parse(text).unwrap(), anonymity: PayerAnonymity::None, lock: None }
    }

    fn names(negotiated: &Negotiated) -> Vec<&str> {
        negotiated.fitting.iter().map(|means| means.issuer.as_str()).collect()
    }

    // One side's favourite must not win against a means that both like: the sum of places decides, then the payer.
    #[test]
    fn the_means_that_both_like_best_comes_first() {
        let [a, b, c] = ["a", "b", "c"].map(|issuer| means("ecash", issuer));
        let payer = [a.clone(), b.clone(), c.clone()];
        assert_eq!(names(&negotiate(&demand("5.00 EUR"), &payer, &[c.clone(), b.clone(), a.clone()])), ["a", "b", "c"]);
        assert_eq!(names(&negotiate(&demand("5.00 EUR"), &payer, &[b.clone(), c.clone(), a.clone()])), ["b", "a", "c"]);
        assert_eq!(names(&negotiate(&demand("5.00 EUR"), &payer, &[c, b, a])), ["a", "b", "c"]);
    }

    #[test]
    fn every_means_left_out_has_its_reason() {
        let anonymous = Demand { anonymity: PayerAnonymity::FromAll, ..demand("5.00 EUR") };
        let lock = Demand { lock: Some(LockKind::Hash), ..demand("5.00 EUR") };
        let one = [means("ecash", "a")];
        for (demand, payee, reason) in [
            (demand("5.00 USD"), &one[..], Reason::Currency),
            (demand("0.00 EUR"), &one[..], Reason::TooLittle),
            (demand("10.01 EUR"), &one[..], Reason::TooMuch),
            (anonymous, &one[..], Reason::NotAnonymous),
            (lock, &one[..], Reason::NoLock),
            (demand("5.00 EUR"), &[], Reason::PayerOnly),
        ] {
            let negotiated = negotiate(&demand, &one, payee);
            let left_out = [LeftOut { means: one[0].clone(), reason }];
            assert_eq!((negotiated.fitting.as_slice(), negotiated.left_out.as_slice()), (&[][..], &left_out[..]));
        }
        let negotiated = negotiate(&demand("5.00 EUR"), &[], &one);
        assert_eq!(negotiated.left_out[0].reason, Reason::PayeeOnly);
    }

    // The same name at another mint, or in another currency, is another means.
    #[test]
    fn a_means_is_system_issuer_and_currency() {
        let mut dollars = means("ecash", "a");
        dollars.currency = Currency::parse("USD").unwrap();
        for other in [means("account", "a"), means("ecash", "b"), dollars] {
            assert_eq!(negotiate(&demand("5.00 EUR"), &[means("ecash", "a")], &[other]).fitting, []);
        }
    }

    // Limits that only the other side knows about count as well.
    #[test]
    fn a_means_must_fit_on_both_lists() {
        let mut small = means("ecash", "a");
        small.limits.most = 100;
        let negotiated = negotiate(&demand("5.00 EUR"), &[means("ecash", "a")], &[small]);
        assert_eq!(negotiated.left_out[0].reason, Reason::TooMuch);
    }
}
