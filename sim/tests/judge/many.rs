//! Contracts that many sign. What could go wrong: one signature too few binds all, or the arbiter's word for one party is taken for
//! another's.

use semper_core::cose::Signed;
use semper_exchange::arbiter::verdict::Outcome::{Aborted, Resolved};
use semper_exchange::claims::questions;
use semper_exchange::evidence::Folder;
use semper_sim::scenario::Cast;
use semper_sim::signers::Three;

use super::{Outcome, expect, report, ruling};
use Outcome::{Proven, Refuted, Undecided};

/// Folders in which every line about many signers is at work.
pub(super) fn folders() -> Vec<(Cast, Folder)> {
    type Said = fn(&Three) -> Vec<Signed>;
    let said: [Said; 4] = [signed, resolved, let_off, unused];
    said.map(|said| {
        let three = Three::default();
        let folder = three.folder(said(&three));
        (three.cast, folder)
    })
    .into()
}

/// All four rounds of three signers.
fn signed(three: &Three) -> Vec<Signed> {
    (1..=4).flat_map(|round| three.sheet(round)).collect()
}

/// The second signer asks in round 3 and shows the sheet of round 2.
fn resolved(three: &Three) -> Vec<Signed> {
    let rounds = (1..=2).flat_map(|round| three.sheet(round));
    rounds.chain([three.ask(1, 3), three.verdict((1, 3), Resolved, &[], 0)]).collect()
}

/// The second one has signed the first round, and asks in it.
fn let_off(three: &Three) -> Vec<Signed> {
    vec![three.round(1, 1), three.ask(1, 1), three.verdict((1, 1), Aborted, &[], 0)]
}

fn unused(three: &Three) -> Vec<Signed> {
    vec![three.round(0, 1), three.ask(0, 1), three.unused((0, 1))]
}

/// A folder without one of its statements.
fn lacking(three: &Three, mut said: Vec<Signed>, lost: &Signed) -> Folder {
    let before = said.len();
    said.retain(|signed| signed.id() != lost.id());
    assert!(said.len() < before);
    three.folder(said)
}

#[test]
fn all_have_signed_or_nobody_is_bound() {
    let three = Three::default();
    let all = ["agreed(originator)", "agreed(responder)", "agreed(signer-3)"];
    let bound = |name: &str, folder: Folder, outcome| {
        expect(name, &three.cast, &[folder], &all.map(|text| (text, outcome)));
    };
    bound("signed", three.folder(signed(&three)), Proven);
    for party in 0..3 {
        bound("a signature is missing", lacking(&three, signed(&three), &three.round(party, 4)), Undecided);
    }
    bound("resolved", three.folder(resolved(&three)), Proven);
    bound("resolved, a signature is missing", lacking(&three, resolved(&three), &three.round(2, 2)), Undecided);
    bound("unused", three.folder(unused(&three)), Refuted);
}

#[test]
fn who_was_let_off_is_not_bound_and_says_nothing_of_the_others() {
    let three = Three::default();
    let folder = three.folder(let_off(&three));
    expect(
        "let off",
        &three.cast,
        &[folder],
        &[("promised(responder)", Proven), ("agreed(responder)", Refuted), ("agreed(signer-3)", Undecided)],
    );
    // Whoever was let off after it had signed on has lied: the contract is complete all the same.
    let both = signed(&three).into_iter().chain(let_off(&three));
    expect("let off and signed", &three.cast, &[three.folder(both)], &[("agreed(responder)", Proven)]);
}

#[test]
fn the_question_is_whether_all_are_bound() {
    let three = Three::default();
    let folder = three.folder(signed(&three));
    let asked = questions(&report(&three.cast, std::slice::from_ref(&folder)));
    assert_eq!(
        asked.iter().map(|question| question.words.as_str()).collect::<Vec<_>>(),
        ["does the contract bind all?"]
    );
    let claim = asked[0].claim.to_string();
    assert_eq!(ruling(&three.cast, std::slice::from_ref(&folder), &claim).outcome, Proven, "{claim}");
}
