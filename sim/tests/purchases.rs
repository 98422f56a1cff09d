//! Random purchases, with money and goods. What could go wrong: loss, doubling, crashes, commits that fail, third parties out of reach,
//! skewed clocks and cheating combine so that somebody honest pays for nothing, gives its goods for nothing, waits for ever or cannot
//! prove what happened, or that money appears or vanishes. Each seed is one purchase; `SEMPER_PURCHASES=n` runs more of them,
//! `SEMPER_PURCHASE=k` repeats one and prints its events (with a mistake if `SEMPER_MISTAKE` names one). A few of the seeds run once more without
//! an arbiter, under a hash lock. Not seen here: more than one deal at a time, real signatures, real disks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::Instant;

use semper_sim::market::{Break, Outcomes, Trial, simulate, trace};
use semper_transfer::payment::means::LockKind;

/// Seeds of a normal test run.
const SEEDS: u64 = 10_000;
/// Seeds of a normal test run without an arbiter. All of them are paid with coins, which cost most of the time here.
const SEEDS_WITHOUT: u64 = 1000;
/// Seeds in which every mistake must show.
const SEARCH: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs seeds on all processors until one fails, and says which violation has the smallest seed of those found.
fn all(lock: LockKind, seeds: u64, broken: Option<Break>, each: impl Fn(Outcomes) + Sync) -> Result<(), (u64, String)> {
    let (next, failed) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while failed.lock().unwrap().is_empty() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            match simulate(Trial { lock, seed, broken }) {
                Ok(outcomes) => each(outcomes),
                Err(violation) => drop(failed.lock().unwrap().insert(seed, violation)),
            }
        }
    };
    scope(|threads| {
        for _ in 0..available_parallelism().unwrap().get() {
            threads.spawn(work);
        }
    });
    failed.into_inner().unwrap().pop_first().map_or(Ok(()), Err)
}

/// Runs many seeds, or the one that the environment names.
fn run(lock: LockKind, usual: u64, interesting: &[&str]) {
    let mistake = std::env::var("SEMPER_MISTAKE").ok();
    let mistake = mistake.map(|name| Break::ALL.into_iter().find(|known| format!("{known:?}") == name).unwrap());
    if let Some(seed) = number("SEMPER_PURCHASE") {
        let trial = Trial { lock, seed, broken: mistake };
        println!("{}", trace(trial));
        simulate(trial).unwrap_or_else(|violation| panic!("{violation}"));
        return;
    }
    let (seeds, begun) = (number("SEMPER_PURCHASES").unwrap_or(usual), Instant::now());
    let reached = Mutex::new(BTreeMap::<String, u64>::new());
    let run = all(lock, seeds, mistake, |outcomes| {
        let Outcomes { means, plot, endings, verdict, delivered, crashes, .. } = outcomes;
        let mut reached = reached.lock().unwrap();
        let mut count = |what: String| *reached.entry(what).or_default() += 1;
        let crashed = if crashes > 0 { " after crashes" } else { "" };
        count(format!("{means:?} {endings:?} {verdict:?}{crashed}"));
        count(format!("{plot:?} delivered: {delivered}"));
    });
    let reached = reached.into_inner().unwrap();
    println!("{reached:#?}\n{seeds} seeds in {:?}", begun.elapsed());
    run.unwrap_or_else(|(_, violation)| panic!("{violation}"));
    for interesting in if seeds < usual { &[] } else { interesting } {
        assert!(reached.contains_key(*interesting), "no seed comes to {interesting}");
    }
}

#[test]
fn every_purchase_is_fair_and_the_books_balance() {
    run(LockKind::Arbiter, SEEDS, INTERESTING);
}

// What the arbiter does for both is then done by dates, by the issuer that shows the preimage, and by whoever asks it in time.
#[test]
fn purchases_without_an_arbiter_are_fair_too() {
    run(LockKind::Hash, SEEDS_WITHOUT, INTERESTING_WITHOUT);
}

/// A simulator that does not come to these sees nothing. Of the two deals the seller's is the first.
const INTERESTING: &[&str] = &[
    "Ecash [Some(Success), Some(Success)] None",
    "Ecash [Some(Success), Some(Success)] None after crashes",
    "Ecash [Some(Success), Some(Success)] Some((Resolved, Some(Completed))) after crashes",
    "Ecash [Some(Aborted), Some(Aborted)] Some((Aborted, None)) after crashes",
    "Ecash [Some(Faulted), Some(Refunded)] Some((Fault(Role(0)), None)) after crashes",
    "Account [Some(Success), Some(Success)] None",
    "Account [Some(Success), Some(Success)] None after crashes",
    "Account [Some(Success), Some(Success)] Some((Resolved, Some(Completed))) after crashes",
    "Account [Some(Success), Some(Success)] Some((Resolved, None)) after crashes",
    "Account [Some(Aborted), Some(Aborted)] Some((Aborted, None)) after crashes",
    "Account [Some(Faulted), Some(Refunded)] Some((Fault(Role(0)), None)) after crashes",
    "Account [Some(Faulted), Some(Refunded)] Some((Resolved, Some(Fault(Role(0))))) after crashes",
    "Account [None, Some(Lapsed)] None after crashes",
    "SilentSeller(2) delivered: true",
    "SilentBuyer(2) delivered: true",
    "GarbageGoods delivered: false",
    "WrongKey delivered: false",
    "MischievousSeller delivered: true",
    "MischievousBuyer delivered: true",
];

/// The same without an arbiter.
const INTERESTING_WITHOUT: &[&str] = &[
    "Ecash [Some(Success), Some(Success)] None",
    "Ecash [Some(Success), Some(Success)] None after crashes",
    "Ecash [Some(Success), Some(Defective)] None after crashes",
    "Ecash [Some(Lapsed), Some(Lapsed)] None after crashes",
    "Ecash [Some(Lapsed), Some(Refunded)] None after crashes",
    "SilentSeller(2) delivered: true",
    "WrongSeed delivered: true",
    "MischievousSeller delivered: true",
    "MischievousBuyer delivered: true",
];

#[test]
fn one_seed_is_one_run() {
    for lock in [LockKind::Arbiter, LockKind::Hash] {
        for seed in 0..20 {
            let trial = Trial { lock, seed, broken: None };
            assert_eq!(simulate(trial), simulate(trial));
        }
    }
}

// Is the simulator blind? Each mistake in what drives the machines must be found, and by the property that it hurts.
#[test]
fn every_mistake_in_a_driver_is_found() {
    use LockKind::{Arbiter, Hash};
    for (lock, broken, properties) in [
        (Arbiter, Break::PretendedCommit, &["S5"] as &[&str]),
        (Arbiter, Break::UnconfirmedToken, &["S2", "S5"]),
        (Arbiter, Break::EarlySettlement, &["S2"]),
        (Arbiter, Break::ForgetfulOutbox, &["S8"]),
        (Arbiter, Break::SplitEnd, &["S8"]),
        (Arbiter, Break::UnexaminedGoods, &["S2"]),
        (Hash, Break::PretendedCommit, &["S5"]),
        (Hash, Break::SplitEnd, &["S8"]),
        (Hash, Break::UnexaminedGoods, &["S2"]),
    ] {
        let found = all(lock, SEARCH, Some(broken), drop);
        let (seed, violation) = found.expect_err(&format!("{broken:?} is not found"));
        let named = violation.lines().find(|line| line.contains(&format!("seed {seed}: "))).unwrap_or_default();
        println!("{broken:?}: {}", violation.lines().next().unwrap_or_default());
        assert!(
            properties.iter().any(|property| named.contains(property)),
            "{broken:?} hurts another property: {violation}"
        );
    }
}

// A seed that once showed a mistake stays here: one number a line, the reason behind a `#`.
#[test]
fn purchases_that_once_failed() {
    let seeds = include_str!("../purchase-seeds.txt");
    let seeds: Vec<_> = seeds.lines().filter_map(|line| line.split('#').next()?.trim().parse().ok()).collect();
    assert!(!seeds.is_empty(), "the list of seeds is empty");
    for seed in seeds {
        let trial = Trial { lock: LockKind::Arbiter, seed, broken: None };
        simulate(trial).unwrap_or_else(|violation| panic!("{violation}"));
    }
}
