//! Every order of events where many sign one contract. What could go wrong: an honest party is refused by the arbiter, or forgets the
//! contract, and the others hold it all the same. A configuration that never reaches its interesting states fails as well.
//! Parties other than the originator are alike, so one choice of honest ones stands for all of the same size. Not seen here: see
//! `src/model/cn.rs`.

use semper_sim::model::cn::{Grain, Setup, World};
use semper_sim::model::search;

const FEW: &[&str] = &["all succeed without the arbiter", "aborted", "resolved"];
const ALL: &[&str] = &["all succeed without the arbiter", "aborted", "resolved", "overturned"];

fn check(setup: Setup) {
    println!("{setup:?}");
    search::check(World::new(setup), None);
}

fn coarse(parties: u8, honest: &'static [u8]) -> Setup {
    // With one malicious party at most, nobody lies about having asked and overturns it.
    let reaches = if honest.len() == usize::from(parties) { FEW } else { ALL };
    Setup { parties, honest, grain: Grain::Coarse, deadlines: false, reaches }
}

#[test]
fn three_signers() {
    for honest in [[0].as_slice(), &[1], &[0, 1], &[1, 2], &[0, 1, 2]] {
        check(coarse(3, honest));
    }
}

#[test]
fn three_signers_message_by_message() {
    for honest in [[0].as_slice(), &[1], &[0, 1], &[1, 2], &[0, 1, 2]] {
        check(Setup { grain: Grain::Fine, ..coarse(3, honest) });
    }
}

#[test]
fn three_signers_and_deadlines() {
    for honest in [[0].as_slice(), &[0, 1], &[1, 2], &[0, 1, 2]] {
        check(Setup { deadlines: true, ..coarse(3, honest) });
    }
}

#[test]
fn four_signers() {
    for honest in [[0].as_slice(), &[1], &[0, 1], &[1, 2], &[0, 1, 2], &[1, 2, 3], &[0, 1, 2, 3]] {
        check(coarse(4, honest));
    }
}

#[test]
fn four_signers_and_deadlines() {
    for honest in [[0].as_slice(), &[0, 1], &[1, 2], &[0, 1, 2]] {
        check(Setup { deadlines: true, ..coarse(4, honest) });
    }
}

#[test]
fn one_honest_signer_of_four_message_by_message() {
    check(Setup { grain: Grain::Fine, ..coarse(4, &[0]) });
    check(Setup { grain: Grain::Fine, ..coarse(4, &[1]) });
}

// A minute and more, for those who change the machine or the rules: `SEMPER_SIGNERS=5`.
#[test]
fn five_signers() {
    if std::env::var("SEMPER_SIGNERS").is_err() {
        return;
    }
    for honest in [[0].as_slice(), &[1], &[0, 1], &[1, 2], &[0, 1, 2], &[1, 2, 3], &[0, 1, 2, 3], &[1, 2, 3, 4]] {
        check(coarse(5, honest));
    }
    check(coarse(5, &[0, 1, 2, 3, 4]));
}
