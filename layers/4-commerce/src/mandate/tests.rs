//! What could go wrong: a limit is read more widely than it is written, or the limits of each deal hold and their sum does not.
#![allow(clippy::unwrap_used)]

use semper_core::amount::Currency;
use semper_core::hash::Digest;

use super::*;

fn key_set(byte: u8) -> KeySetId {
    KeySetId::from_digest(Digest::from_array([byte; 32]))
}

fn euros(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

const fn at(second: u64) -> Time {
    Time::from_unix(second)
}

/// Purchases from one party under one arbiter, 2 euros each, 4 together, three times.
fn mandate() -> Mandate {
    let scope = Scope {
        matter: Matter::Purchase,
        peer: Some(key_set(1)),
        arbiter: Some(key_set(2)),
        process: Some("buy/1".to_owned()),
        per_deal: Some(euros("2.00 EUR")),
    };
    Mandate { scope, total: Some(euros("4.00 EUR")), uses: Some(3), from: at(100), until: at(200), issued: at(50) }
}

fn act(amount: &str) -> Act {
    Act {
        matter: Matter::Purchase,
        peer: Some(key_set(1)),
        arbiter: Some(key_set(2)),
        process: Some("buy/1".to_owned()),
        amount: Some(euros(amount)),
    }
}

fn counted(uses: u64, spent: &str) -> Counted {
    Counted { uses, spent: Some(euros(spent)) }
}

#[test]
fn a_mandate_covers_just_what_it_says() {
    let (mandate, none) = (mandate(), Counted::default());
    mandate.check().unwrap();
    assert_eq!(mandate.admit(&act("2.00 EUR"), none, at(100)).unwrap(), counted(1, "2.00 EUR"));
    let (limit, amount) = (euros("2.00 EUR"), euros("2.01 EUR"));
    let refused = [
        (Act { matter: Matter::Payment, ..act("1.00 EUR") }, Uncovered::Matter(Matter::Purchase)),
        (Act { peer: Some(key_set(9)), ..act("1.00 EUR") }, Uncovered::Peer(key_set(1))),
        (Act { peer: None, ..act("1.00 EUR") }, Uncovered::Peer(key_set(1))),
        (Act { arbiter: Some(key_set(1)), ..act("1.00 EUR") }, Uncovered::Arbiter(key_set(2))),
        (Act { arbiter: None, ..act("1.00 EUR") }, Uncovered::Arbiter(key_set(2))),
        (Act { process: Some("buy/2".to_owned()), ..act("1.00 EUR") }, Uncovered::Process("buy/1".to_owned())),
        (Act { process: None, ..act("1.00 EUR") }, Uncovered::Process("buy/1".to_owned())),
        (Act { amount: None, ..act("1.00 EUR") }, Uncovered::Unknown),
        (act("2.01 EUR"), Uncovered::PerDeal { limit, amount }),
        (act("1.00 USD"), Uncovered::Currency { limit, amount: euros("1.00 USD") }),
    ];
    for (act, why) in refused {
        assert_eq!(mandate.admit(&act, none, at(150)).unwrap_err(), why);
    }
}

#[test]
fn dates_uses_and_the_total_are_limits() {
    let (mandate, little) = (mandate(), act("0.01 EUR"));
    let admit = |act: &Act, before, now| mandate.admit(act, before, at(now));
    assert_eq!(admit(&little, Counted::default(), 99).unwrap_err(), Uncovered::NotYet(at(100)));
    assert!(admit(&little, Counted::default(), 199).is_ok());
    assert_eq!(admit(&little, Counted::default(), 200).unwrap_err(), Uncovered::Over(at(200)));
    assert!(admit(&little, counted(2, "0.02 EUR"), 150).is_ok());
    assert_eq!(admit(&little, counted(3, "0.03 EUR"), 150).unwrap_err(), Uncovered::Uses(3));
    assert_eq!(admit(&act("2.00 EUR"), counted(1, "2.00 EUR"), 150).unwrap(), counted(2, "4.00 EUR"));
    let (total, left, amount) = (euros("4.00 EUR"), euros("1.99 EUR"), euros("2.00 EUR"));
    let why = Uncovered::Total { total, left, amount };
    assert_eq!(admit(&act("2.00 EUR"), counted(1, "2.01 EUR"), 150).unwrap_err(), why);
    // Nothing is an amount: it is counted as a use.
    assert_eq!(admit(&act("0.00 EUR"), counted(1, "4.00 EUR"), 150).unwrap(), counted(2, "4.00 EUR"));
}

// Every sequence of five acts of up to 3 cents each, under every total up to 6 and every number of uses up to 4: what is admitted keeps within the
// limits, and what is refused would not have.
#[test]
fn no_sequence_of_acts_exceeds_a_limit() {
    let cents = |minor| Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap();
    let mut refused = 0;
    for (total, uses) in (2..=6).flat_map(|total| (1..=4).map(move |uses| (total, uses))) {
        let scope = Scope::of(Matter::Payment, Some(cents(2)));
        let mandate = Mandate { scope, total: Some(cents(total)), uses: Some(uses), ..mandate() };
        for number in 0..4_u64.pow(5) {
            let (mut counted, mut sum) = (Counted::default(), 0);
            for place in 0..5 {
                let minor = number / 4_u64.pow(place) % 4;
                let act = Act { amount: Some(cents(minor)), ..Act::of(Matter::Payment) };
                let fits = minor <= 2 && sum + minor <= total && counted.uses < uses;
                match mandate.admit(&act, counted, at(150)) {
                    Ok(after) => {
                        sum += minor;
                        assert!(fits && after == Counted { uses: counted.uses + 1, spent: Some(cents(sum)) });
                        counted = after;
                    }
                    Err(_) => {
                        assert!(!fits);
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 1000);
}

#[test]
fn what_contradicts_itself_is_no_mandate() {
    let good = mandate();
    let scope = |scope| Mandate { scope, ..good.clone() };
    let bad = [
        scope(Scope { per_deal: None, ..good.scope.clone() }),
        scope(Scope { per_deal: Some(euros("0.00 EUR")), ..good.scope.clone() }),
        scope(Scope { per_deal: Some(euros("1.00 USD")), ..good.scope.clone() }),
        scope(Scope { per_deal: Some(euros("4.01 EUR")), ..good.scope.clone() }),
        scope(Scope { matter: Matter::Contract, ..good.scope.clone() }),
        scope(Scope { matter: Matter::Account, ..good.scope.clone() }),
        Mandate { total: None, ..good.clone() },
        Mandate { uses: Some(0), ..good.clone() },
        Mandate { until: good.from, ..good.clone() },
        Mandate { from: at(10), until: at(50), ..good.clone() },
        Mandate { until: good.issued.after(Seconds(SPAN_MAX.0 + 1)), ..good.clone() },
    ];
    for mandate in bad {
        assert!(mandate.check().is_err(), "{mandate:?}");
        assert!(Mandate::from_bytes(&mandate.to_bytes()).is_err(), "{mandate:?}");
    }
    let mail = Mandate { scope: Scope::of(Matter::Mail, None), total: None, uses: None, ..good.clone() };
    for mandate in [good, mail] {
        assert_eq!(Mandate::from_bytes(&mandate.to_bytes()).unwrap(), mandate);
    }
}

// What is signed is what was read: a limit that the text leaves out would be one that nobody has approved.
#[test]
fn every_limit_is_in_the_words() {
    let text = mandate().describe();
    let Scope { peer, arbiter, .. } = mandate().scope;
    let (peer, arbiter) = (peer.unwrap().to_string(), arbiter.unwrap().to_string());
    let limits =
        ["2.00 EUR", "4.00 EUR", "3 times", "buy/1", "1970-01-01 00:01:40", "1970-01-01 00:03:20", "purchases"];
    for limit in limits.into_iter().chain([peer.as_str(), arbiter.as_str()]) {
        assert!(text.contains(limit), "{limit}: {text}");
    }
    let wide = Mandate { scope: Scope::of(Matter::Contract, None), total: None, uses: None, ..mandate() }.describe();
    for any in ["anybody", "any arbiter", "any number of times", "no money"] {
        assert!(wide.contains(any), "{any}: {wide}");
    }
}
