//! Covers. What could go wrong: a cover proves something under another contract than its own, for the other party, for more than it says, or by nobody's word.

use semper_core::contract::Core;
use semper_core::cose::Statement as _;
use semper_core::hash::Digest;
use semper_core::party::KeySet;
use semper_exchange::cover::{Cover, CoverFile, CoverId, cover_tag};
use semper_sim::symbolic::Hand;

use super::*;

const OPENING: [u8; 32] = [6; 32];

fn guarantor(cast: &Cast) -> Hand {
    cast.oracle.hand(cast.arbiter.key_set().suite(), 7)
}

/// A cover of 2.00 EUR for the originator, under the contract with this tag.
fn cover(cast: &Cast, tag: Digest) -> CoverFile {
    let hand = guarantor(cast);
    let said = Cover {
        cover: CoverId::from_array([1; 16]),
        address: "https://guarantor.example".to_owned(),
        tag,
        amount: Amount::parse("2.00 EUR").unwrap(),
        subject: id(cast, O),
        not_revoked_at: Time::from_unix(1_000),
        accept_before: Time::from_unix(2_000),
        claim_by: Time::from_unix(3_000_000),
        answer: Seconds(60),
    };
    let keys = hand.key_set().clone();
    let signed = hand.sign(said.draft(keys.suite(), keys.id())).unwrap();
    CoverFile { guarantor: keys, cover: signed, opening: OPENING }
}

/// The folder of a signed contract, and a cover for the contract that `of` makes of its core.
fn folder_with(of: impl Fn(&Core) -> Digest, forge: impl Fn(&mut CoverFile)) -> (Cast, Folder) {
    let Exchange { cast, folders, .. } = exchange(SIGNING, None);
    let mut folder = folders[1].clone();
    let core = folder.items.iter().find(|item| item.kind == EvidenceKind::Core).unwrap();
    let mut file = cover(&cast, of(&Core::from_bytes(&core.bytes).unwrap()));
    forge(&mut file);
    folder.items.push(item(EvidenceKind::Cover, file.to_bytes()));
    (cast, folder)
}

pub(super) fn folder() -> (Cast, Folder) {
    folder_with(|core| cover_tag(core.cid(), &OPENING), |_| {})
}

#[test]
fn a_cover_proves_who_stands_for_whom_and_for_how_much() {
    let (cast, folder) = folder();
    let folders = [folder];
    let outcome = |text: &str| ruling(&cast, &folders, text).outcome;
    for proven in
        ["covered(originator, >= 2.00 EUR)", "covered(guarantor, >= 2.00 EUR)", "covered(originator, <= 2.00 EUR)"]
    {
        assert_eq!(outcome(proven), Proven, "{proven}");
    }
    for open in ["covered(responder)", "covered(originator, >= 2.01 EUR)", "covered(originator, >= 1.00 USD)"] {
        assert_eq!(outcome(open), Undecided, "{open}");
    }
    let grounds = ruling(&cast, &folders, "covered(originator)").grounds;
    let named = guarantor(&cast).key_set().id();
    assert!(grounds.iter().all(|ground| ground.evidence.contains(named.digest())), "the guarantor is named");
    assert_eq!(report(&cast, &folders).findings.len(), before());
}

#[test]
fn a_cover_for_another_contract_or_by_nobody_proves_nothing() {
    let good = |core: &Core| cover_tag(core.cid(), &OPENING);
    let other = folder_with(|core| cover_tag(core.cid(), &[7; 32]), |_| {});
    let unopened = folder_with(good, |file| file.opening = [9; 32]);
    let foreign = folder_with(good, |file| file.guarantor = stranger());
    for (cast, folder) in [other, unopened, foreign] {
        let folders = [folder];
        assert_eq!(ruling(&cast, &folders, "covered(originator)").outcome, Undecided);
        assert_eq!(report(&cast, &folders).findings.len(), before() + 1, "what belongs to nothing is reported");
    }
}

/// What is found in the folder without a cover: nobody has written its text.
fn before() -> usize {
    let Exchange { cast, folders, .. } = exchange(SIGNING, None);
    report(&cast, &folders[1..]).findings.len()
}

/// Keys that have not signed it.
fn stranger() -> KeySet {
    let cast = Cast::default();
    cast.oracle.hand(cast.arbiter.key_set().suite(), 8).key_set().clone()
}
