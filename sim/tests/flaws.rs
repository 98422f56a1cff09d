//! Is the model checker blind? Each seeded mistake is switched on, and the checker must find a property that it violates; without a
//! mistake it must find none in the same worlds. A mistake that is not found fails the test: either the model does not reach it or
//! no property minds it.
#![cfg(feature = "flaws")]

use semper_core::party::Role;
use semper_sim::deal::{ACCESS, CHANGE, NOT_AFTER, PURCHASE, SALE, SIGNING, TRANSFER, Thing, Things};
use semper_sim::model::search::violations;
use semper_sim::model::{Setup, World, cn, covers, ix, letters, lx};
use semper_support::flaws::{self, Flaw};

const PLAIN: Setup = Setup::honest(SIGNING, &[]);

/// How many states are generated at most.
const BOUND: usize = 60_000;
const BAD_GOODS: Things = [Thing::BadInformation, Thing::Money];

/// A world of two parties, of many, of a letter to several, of two parties without an arbiter, of an arbiter through whose hands everything goes, or of a guarantor.
#[derive(Clone, Copy)]
enum Lair {
    Two(Setup),
    Many(cn::Setup),
    Letters(letters::Setup),
    Locks(lx::Setup),
    Hands(ix::Setup),
    Covers(covers::Setup),
}

/// Worlds of many signers: the chain of refusals needs a malicious party for each round but one.
fn signers(parties: u8, honest: &'static [u8]) -> cn::Setup {
    cn::Setup { parties, honest, grain: cn::Grain::Coarse, deadlines: false, reaches: &[] }
}

/// The worlds in which a mistake shows, and properties that it violates there.
fn lairs(flaw: Flaw) -> Vec<(Lair, &'static [&'static str])> {
    let many = |parties, honest, properties| (Lair::Many(signers(parties, honest)), properties);
    let locks = |things, malicious| {
        let setup = lx::Setup { things, malicious, reaches: &[] };
        (Lair::Locks(setup), ["S2"].as_slice())
    };
    let hands = |malicious, properties: &'static [&'static str]| {
        (Lair::Hands(ix::Setup { malicious, reaches: &[] }), properties)
    };
    let covers = |behind, property: &'static [&'static str]| {
        vec![(Lair::Covers(covers::Setup { behind, reaches: &[] }), property)]
    };
    match flaw {
        Flaw::UncountedCover => covers(0, &["S1"]),
        Flaw::ClaimedExpires => covers(0, &["S2"]),
        Flaw::NoMargin => covers(1, &["S2"]),
        Flaw::TooFewRounds => {
            vec![many(3, &[0], ["S2", "S13"].as_slice()), many(3, &[1, 2], &["S13"]), many(4, &[0], &["S2", "S13"])]
        }
        Flaw::OverturnOffByOne => vec![many(3, &[0, 1], ["S2", "S3"].as_slice()), many(4, &[1, 2, 3], &["S2", "S3"])],
        Flaw::IgnoreEarlierAsks => vec![many(3, &[0, 1], ["S2", "S3"].as_slice()), many(4, &[0, 1], &["S2", "S3"])],
        Flaw::DoubleAsk => vec![many(3, &[0], ["S1", "S2", "S13"].as_slice()), many(3, &[1, 2], &["S1", "S2"])],
        Flaw::ForgottenPart => {
            vec![(Lair::Letters(letters::Setup { honest_sender: true, reaches: &[] }), ["S2"].as_slice())]
        }
        Flaw::OneDeposit => vec![hands(None, &["S5"]), hands(Some(Role::RESPONDER), &["S2", "S5"])],
        Flaw::PaidBackAnyway => vec![hands(None, &["S1", "S5"])],
        Flaw::LateDeposit => vec![hands(None, &["S12"])],
        Flaw::ForgottenDeposit => vec![hands(None, &["S2"])],
        Flaw::EqualDates => vec![locks(CHANGE, Some(Role::ORIGINATOR))],
        Flaw::LateOpening => vec![locks(PURCHASE, Some(Role::RESPONDER))],
        Flaw::UnaskedPreimage => vec![locks(CHANGE, None), locks(PURCHASE, Some(Role::ORIGINATOR))],
        Flaw::ContinueAfterAbort => {
            let paid = Setup { things: TRANSFER, malicious: Some(Role::RESPONDER), ..PLAIN };
            let (setup, properties) = lair(flaw);
            vec![(Lair::Two(setup), properties), (Lair::Two(paid), &["S2"])]
        }
        flaw => {
            let (setup, properties) = lair(flaw);
            vec![(Lair::Two(setup), properties)]
        }
    }
}

/// The world in which a mistake between two shows, and a property that it violates there.
fn lair(flaw: Flaw) -> (Setup, &'static [&'static str]) {
    let hostile = |malicious| Setup { malicious: Some(malicious), ..PLAIN };
    let second_run = Setup { sessions: [1, 2], ..hostile(Role::ORIGINATOR) };
    match flaw {
        Flaw::ResolveAfterAbort => (PLAIN, &["S1", "S3"]),
        Flaw::ContinueAfterAbort => (hostile(Role::RESPONDER), &["S2"]),
        Flaw::AbortAfterFinal => (PLAIN, &["S3"]),
        Flaw::AnswerBeforeStore => (Setup { arbiter_crashes: 1, ..PLAIN }, &["S1", "S3"]),
        Flaw::SendBeforeStore => (Setup { crashes: 1, ..PLAIN }, &["S3", "S10"]),
        Flaw::NoResend => (Setup { crashes: 1, ..PLAIN }, &["S8", "S10"]),
        Flaw::UnboundFinal | Flaw::NoDedup => (second_run, &["S4"]),
        Flaw::DedupNotAtomic => (Setup { crashes: 1, ..second_run }, &["S4"]),
        Flaw::PayerAborts => (Setup { things: PURCHASE, ..hostile(Role::RESPONDER) }, &["S2"]),
        Flaw::NoComplaints => (Setup { things: BAD_GOODS, ..hostile(Role::ORIGINATOR) }, &["S2"]),
        Flaw::EarlyRefund => {
            (Setup { things: PURCHASE, refund: Some(NOT_AFTER + 2), ..hostile(Role::RESPONDER) }, &["S12"])
        }
        Flaw::UnprovenComplaint => (Setup { things: PURCHASE, ..hostile(Role::RESPONDER) }, &["S12"]),
        Flaw::TooFewRounds | Flaw::OverturnOffByOne | Flaw::IgnoreEarlierAsks | Flaw::DoubleAsk => {
            unreachable!("{flaw:?} needs many signers")
        }
        Flaw::PayeeAborts | Flaw::LatePayment => {
            (Setup { things: TRANSFER, ..hostile(Role::RESPONDER) }, &["S2", "S12"])
        }
        Flaw::UnprovenPayment => (Setup { things: TRANSFER, ..hostile(Role::ORIGINATOR) }, &["S2"]),
        Flaw::EarlyRevocation | Flaw::CalledBackAnyway | Flaw::UnfiledProof => {
            (Setup { things: SALE, ..hostile(Role::ORIGINATOR) }, &["S2"])
        }
        Flaw::ForeignKeeper | Flaw::KeptAgain => (Setup { things: ACCESS, ..hostile(Role::RESPONDER) }, &["S2"]),
        Flaw::ForgottenPart => unreachable!("{flaw:?} needs a letter to several"),
        Flaw::EqualDates | Flaw::LateOpening | Flaw::UnaskedPreimage => unreachable!("{flaw:?} needs one hash"),
        Flaw::OneDeposit | Flaw::PaidBackAnyway | Flaw::LateDeposit | Flaw::ForgottenDeposit => {
            unreachable!("{flaw:?} needs an arbiter's hands")
        }
        Flaw::UncountedCover | Flaw::ClaimedExpires | Flaw::NoMargin => unreachable!("{flaw:?} needs a guarantor"),
    }
}

#[test]
fn every_seeded_mistake_is_found() {
    let only = std::env::var("SEMPER_FLAW").ok();
    for flaw in Flaw::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{flaw:?}")) {
            continue;
        }
        for (lair, expected) in lairs(flaw) {
            let look = |enough: &[&str]| match lair {
                Lair::Two(setup) => violations(World::new(setup), Some(BOUND), enough),
                Lair::Many(setup) => violations(cn::World::new(setup), None, enough),
                Lair::Letters(setup) => violations(letters::World::new(setup), None, enough),
                Lair::Locks(setup) => violations(lx::World::new(setup), None, enough),
                Lair::Hands(setup) => violations(ix::World::new(setup), Some(5 * BOUND), enough),
                Lair::Covers(setup) => violations(covers::World::new(setup), Some(20 * BOUND), enough),
            };
            let clean = flaws::with(None, || look(&[]));
            assert!(clean.is_empty(), "without a mistake: {clean:?}");
            let found = flaws::with(Some(flaw), || look(expected));
            println!("{flaw:?}: {:?}", found.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            for property in expected {
                let hit = found.iter().find(|(name, _)| name.split(' ').next() == Some(*property));
                let Some((name, trace)) = hit else { panic!("{flaw:?} does not violate {property}: {found:?}") };
                println!("  {name}:\n    {trace}");
            }
        }
    }
}
