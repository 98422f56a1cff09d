//! Random purchases, with money and goods. What could go wrong: loss, doubling, crashes, commits that fail, third parties out of reach,
//! skewed clocks and cheating combine so that somebody honest pays for nothing, gives its goods for nothing, waits for ever or cannot
//! prove what happened, or that money appears or vanishes. Each seed is one purchase; `SEMPER_PURCHASES=n` runs more of them,
//! `SEMPER_PURCHASE=k` repeats one and prints its events. Not seen here: more than one deal at a time, real signatures, real disks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};

use semper_sim::market::{Outcomes, Plot, simulate, trace};

/// Seeds of a normal test run.
const SEEDS: u64 = 10_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs seeds on all processors, until one fails.
fn all(seeds: u64, each: impl Fn(u64, Outcomes) + Sync) -> Result<(), String> {
    let (next, failed) = (AtomicU64::new(0), Mutex::new(None));
    let work = || {
        while failed.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            match simulate(seed) {
                Ok(outcomes) => each(seed, outcomes),
                Err(violation) => *failed.lock().unwrap() = Some(violation),
            }
        }
    };
    scope(|threads| {
        for _ in 0..available_parallelism().unwrap().get() {
            threads.spawn(work);
        }
    });
    failed.into_inner().unwrap().map_or(Ok(()), Err)
}

#[test]
fn every_purchase_is_fair_and_the_books_balance() {
    if let Some(seed) = number("SEMPER_PURCHASE") {
        println!("{}", trace(seed));
        simulate(seed).unwrap_or_else(|violation| panic!("{violation}"));
        return;
    }
    let reached = Mutex::new(BTreeMap::<String, u32>::new());
    let run = all(number("SEMPER_PURCHASES").unwrap_or(SEEDS), |_, outcomes| {
        let Outcomes { means, plot, endings, verdict, delivered, .. } = outcomes;
        let what = format!("{means:?} {plot:?} {endings:?} {verdict:?} delivered: {delivered}");
        *reached.lock().unwrap().entry(what).or_default() += 1;
    });
    println!("{:#?}", reached.lock().unwrap());
    run.unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..20 {
        assert_eq!(simulate(seed), simulate(seed));
        let _ = Plot::Honest;
    }
}
