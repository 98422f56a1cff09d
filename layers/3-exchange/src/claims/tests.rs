//! The language of claims. What could go wrong: two claims have one text or one encoding, a text is read as another claim than it says, a
//! claim is taken for weaker than it is.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use semper_core::amount::{Amount, Currency};
use semper_core::cbor::{Decode, Encode};
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::party::Role;
use semper_core::time::Time;

use super::*;
use crate::evidence::{Dated, Source, Subject};

fn actor() -> impl Strategy<Value = Actor> {
    let named = [Actor::Payer, Actor::Payee, Actor::Sender, Actor::Receiver, Actor::Arbiter, Actor::Guarantor];
    prop_oneof![any::<u8>().prop_map(|n| Actor::Party(Role::numbered(n))), prop::sample::select(named.to_vec())]
}

fn amount() -> impl Strategy<Value = Amount> {
    let currency = prop::sample::select(vec!["EUR", "JPY", "BHD", "SAT"]);
    let amount = |(minor, code)| Amount::new(minor, Currency::parse(code).unwrap()).unwrap();
    (prop_oneof![0..200_u64, 0..=Amount::MINOR_MAX], currency).prop_map(amount)
}

fn interval() -> impl Strategy<Value = Interval> {
    (prop::option::of(amount()), prop::option::of(amount()))
        .prop_filter_map("no interval", |(least, most)| Interval::new(least, most))
}

fn source() -> impl Strategy<Value = Source> {
    prop::sample::select(vec![Source::Claimed, Source::Log, Source::Stamp])
}

fn period() -> impl Strategy<Value = Period> {
    let time = || prop::option::of((0..=253_402_300_799_u64).prop_map(Time::from_unix));
    (time(), time(), source()).prop_filter_map("no period", |(from, to, source)| Period::new(from, to, source))
}

fn object() -> impl Strategy<Value = Subject> {
    let kind = prop::sample::select(vec!["contract", "transfer", "payment"]);
    (kind, any::<[u8; 32]>(), any::<Option<u16>>()).prop_map(|(kind, id, part)| {
        let part = part.filter(|_| kind == "contract").map(Slot);
        Subject::of(kind, Digest::from_array(id), part).unwrap()
    })
}

fn did() -> impl Strategy<Value = Did> {
    let verb = prop::sample::select(Verb::ALL);
    let parts = (actor(), verb, prop::option::of(object()), prop::option::of(interval()), prop::option::of(period()));
    parts.prop_map(|(actor, verb, object, value, when)| {
        let value = value.filter(|_| verb.is_about_money());
        Did { actor, verb, object, value, when }
    })
}

fn claim() -> impl Strategy<Value = Claim> {
    let depth = u32::try_from(NESTING_MAX).unwrap();
    did().prop_map(Claim::Did).prop_recursive(depth, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|claim| Claim::Not(Box::new(claim))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Claim::And),
            prop::collection::vec(inner, 2..4).prop_map(Claim::Or),
        ]
    })
}

proptest! {
    #[test]
    fn text_and_bytes_say_the_same_claim(claim in claim()) {
        prop_assume!(claim.check().is_ok());
        prop_assert_eq!(&claim.to_string().parse::<Claim>().unwrap(), &claim);
        prop_assert_eq!(Claim::from_bytes(&claim.to_bytes()).unwrap(), claim);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(paid|not|and|agreed|\\(|\\)|,|payer| |>=|<=|1|\\.00| EUR|before|after|[0-9:TZ-]{1,20}|é){0,40}") {
        if let Ok(claim) = text.parse::<Claim>() {
            prop_assert_eq!(claim.to_string().parse::<Claim>().unwrap(), claim);
        }
    }

    // What a stronger claim says of amount and time is true wherever the weaker one's is asked.
    #[test]
    fn what_is_implied_holds_wherever_the_stronger_holds(
        strong in interval(), weak in interval(), paid in amount(),
        early in period(), late in period(), seconds in 0..=253_402_300_799_u64, source in source(),
    ) {
        let dated = Dated { time: Time::from_unix(seconds), source };
        let of = |value, when| Did { value: Some(value), when: Some(when), ..Did::new(Actor::Payer, Verb::Paid) };
        let (stronger, weaker) = (of(strong, early), of(weak, late));
        prop_assert!(stronger.implies(&stronger));
        prop_assert!(stronger.implies(&Did::new(Actor::Payer, Verb::Paid)));
        if stronger.implies(&weaker) && strong.holds(paid) && early.holds(dated) {
            prop_assert!(weak.holds(paid) && late.holds(dated));
        }
    }
}

#[test]
fn a_bigger_payment_implies_a_smaller_one() {
    let did = |text: &str| match text.parse().unwrap() {
        Claim::Did(did) => did,
        other => panic!("{other}"),
    };
    let hundred = did("paid(payer, >= 100.00 EUR)");
    for (weaker, implied) in [
        ("paid(payer, >= 80.00 EUR)", true),
        ("paid(payer)", true),
        ("paid(payer, >= 100.00 EUR)", true),
        ("paid(payer, >= 100.01 EUR)", false),
        ("paid(payer, <= 200.00 EUR)", false),
        ("paid(payer, >= 80.00 USD)", false),
        ("paid(payer, >= 80.00 EUR, before 2026-11-21T12:00:00Z)", false),
        ("paid(payee, >= 80.00 EUR)", false),
        ("refunded(payer, >= 80.00 EUR)", false),
    ] {
        assert_eq!(hundred.implies(&did(weaker)), implied, "{weaker}");
    }
    let early = did("paid(payer, before 2026-11-21T12:00:00Z by log)");
    assert!(early.implies(&did("paid(payer, before 2026-11-21T12:00:00Z)")), "the log says more than the signer");
    assert!(!did("paid(payer, before 2026-11-21T12:00:00Z)").implies(&early));
}

#[test]
fn what_is_no_claim_is_refused_where_it_is_wrong() {
    let deep = |levels: usize| format!("{}paid(payer){}", "not(".repeat(levels), ")".repeat(levels));
    let joined = |count: usize| format!("and({})", vec!["paid(payer)"; count].join(","));
    let full = format!("or({})", vec![joined(16); 5].join(","));
    for (text, at, reason) in [
        ("", 1, "expected \"(\""),
        ("paid", 5, "expected \"(\""),
        ("stole(payer)", 7, "is none of"),
        ("paid()", 6, "who?"),
        ("paid(nobody)", 12, "who?"),
        ("paid(payer", 11, "expected \")\""),
        ("paid(payer) paid(payer)", 13, "follows"),
        ("paid(payer, )", 13, "expected contract"),
        ("paid(payer, >= 20)", 18, "not an amount"),
        ("paid(payer, >= 20.001 EUR)", 26, "EUR"),
        ("paid(payer, >= 20.00 EUR <= 10.00 EUR)", 38, "the lower one"),
        ("paid(payer, >= 20.00 EUR <= 30.00 USD)", 38, "one currency"),
        ("paid(payer, before 2026-02-29T12:00:00Z)", 40, "a time is written"),
        ("paid(payer, after 2026-11-22T00:00:00Z before 2026-11-21T00:00:00Z)", 67, "first instant"),
        ("paid(payer, before 2026-11-21T12:00:00Z by me)", 43, "\"log\""),
        ("paid(payer, contract abc)", 25, "64 hexadecimal"),
        ("agreed(originator, >= 1.00 EUR)", 1, "only claims about money"),
        ("and(paid(payer))", 1, "2 to 16"),
        (&joined(17), 197, "2 to 16"),
        (&deep(5), 21, "4 deep"),
        (&full, 1, "64 statements"),
    ] {
        let error = text.parse::<Claim>().unwrap_err();
        assert!(error.reason.contains(reason), "{text}: {error}");
        assert_eq!(error.at, at, "{text}: {error}");
    }
    for text in [deep(4), joined(16), "  paid ( payer ,>=20.00 EUR,before 2026-11-21T12:00:00Z )".to_owned()] {
        text.parse::<Claim>().unwrap();
    }
    assert!("x".repeat(TEXT_MAX + 1).parse::<Claim>().unwrap_err().reason.contains("16384"));
}

#[test]
fn encodings_keep_the_rules_of_the_language() {
    let claim = |text: &str| text.parse::<Claim>().unwrap();
    let nested = (0..5).fold(claim("paid(payer)"), |inner, _| Claim::Not(Box::new(inner)));
    let alone = Claim::Or(vec![claim("paid(payer)")]);
    let Claim::Did(paid) = claim("paid(payer, >= 1.00 EUR)") else { unreachable!() };
    let priced = Claim::Did(Did { verb: Verb::Agreed, ..paid });
    for broken in [nested, alone, priced] {
        assert!(broken.check().is_err());
        assert!(Claim::from_bytes(&broken.to_bytes()).is_err(), "{broken:?}");
    }
}

#[test]
fn times_are_those_of_the_calendar() {
    for (text, unix) in [
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
        ("2026-11-21T12:00:00Z", Some(1_795_262_400)),
        ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
        ("2023-02-29T00:00:00Z", None),
        ("2026-11-31T00:00:00Z", None),
        ("2026-11-21T24:00:00Z", None),
        ("2026-11-21T12:60:00Z", None),
        ("1969-12-31T23:59:59Z", None),
        ("2026-11-21 12:00:00Z", None),
        ("2026-11-21T12:00:00", None),
        ("+026-11-21T12:00:00Z", None),
    ] {
        assert_eq!(time(text), unix.map(Time::from_unix), "{text}");
    }
}
