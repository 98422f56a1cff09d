//! What could go wrong: a cover is relied on that is somebody else's word, for another contract, another party, too little, or over too soon. Each test
//! changes one thing in what is good, and looks for the one refusal that names it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use semper_core::amount::Currency;
use semper_core::contract::{ArbiterRef, Deadlines, Item, ItemKind, PartyRef, Profile, Terms};
use semper_core::ids::Slot;
use semper_core::party::{KeySet, Role};

use super::super::statement::{CoverId, cover_tag};
use super::*;
use crate::arbiter::rules_hash;
use crate::testing::{Tags, key_set, say, text};

const NOW: Time = Time::from_unix(1_000);
const NOT_AFTER: Time = Time::from_unix(10_000);
const CLAIM_BY: Time = Time::from_unix(20_000);
const SIGMA: Seconds = Seconds(60);
const OPENING: [u8; 32] = [6; 32];

fn money(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

fn guarantor() -> KeySet {
    key_set(7)
}

fn core(nonce: u8, parties: u8) -> Core {
    let arbiter = key_set(3).id();
    let roles = (0..parties).map(Role::numbered);
    let party = |role: Role| PartyRef { role, key_set: key_set(role.number() + 1).id() };
    let item = |owner: Role| {
        let (kind, descriptor, slot) = (ItemKind::Signature, Vec::new(), Slot::default());
        Item { kind, owner, recipient: owner.peer(), descriptor, slot }
    };
    let (complaints, refund_after) = (None, None);
    Core {
        terms: Terms {
            profile: Profile::C2,
            parties: roles.map(party).collect(),
            arbiter: Some(ArbiterRef { key_set: arbiter, deposit_key: None, log: arbiter, rules: rules_hash() }),
            items: [Role::ORIGINATOR, Role::RESPONDER].map(item).into(),
            deadlines: Deadlines { not_after: NOT_AFTER, complaints, refund_after, delta: Seconds(300), sigma: SIGMA },
            text: text(),
            links: Vec::new(),
            nonce: [nonce; 32],
        },
        deposits: BTreeMap::new(),
    }
}

fn cover() -> Cover {
    Cover {
        cover: CoverId::from_array([1; 16]),
        address: "https://guarantor.example".to_owned(),
        tag: cover_tag(core(1, 2).cid(), &OPENING),
        amount: money(100),
        subject: key_set(1).id(),
        not_revoked_at: NOW,
        accept_before: NOW.after(Seconds(500)),
        claim_by: CLAIM_BY,
        answer: Seconds(60),
    }
}

fn file(cover: &Cover) -> CoverFile {
    CoverFile { cover: say(&guarantor(), cover), guarantor: guarantor(), opening: OPENING }
}

fn judged(file: &CoverFile, core: &Core, now: Time) -> Result<(), NotCovered> {
    let guarantors = [guarantor().id()];
    let me = key_set(2).id();
    let (amount, fresh) = (money(80), Seconds(3_600));
    check(&Tags, file, &Demand { core, me, guarantors: &guarantors, amount, claim_by: NOW, fresh }, now).map(drop)
}

fn refused(cover: Cover) -> Result<(), NotCovered> {
    judged(&file(&cover), &core(1, 2), NOW)
}

#[test]
fn a_cover_is_good_for_its_contract() {
    assert_eq!(refused(cover()), Ok(()));
}

#[test]
fn it_is_the_word_of_a_guarantor_that_is_accepted() {
    let stranger = key_set(8);
    let foreign = CoverFile { cover: say(&stranger, &cover()), guarantor: stranger.clone(), opening: OPENING };
    assert_eq!(judged(&foreign, &core(1, 2), NOW), Err(NotCovered::Guarantor(stranger.id())));
    let forged = CoverFile { guarantor: guarantor(), ..foreign };
    assert!(matches!(judged(&forged, &core(1, 2), NOW), Err(NotCovered::Signature(_))));
}

#[test]
fn it_is_for_this_contract_and_these_parties() {
    let other = Unopened::OtherContract;
    assert_eq!(judged(&file(&cover()), &core(2, 2), NOW), Err(NotCovered::Contract(other)));
    let unopened = CoverFile { opening: [7; 32], ..file(&cover()) };
    assert_eq!(judged(&unopened, &core(1, 2), NOW), Err(NotCovered::Contract(other)));
    let party = Err(NotCovered::Contract(Unopened::OtherParty));
    assert_eq!(refused(Cover { subject: key_set(9).id(), ..cover() }), party);
    // A cover of myself is of no use to me.
    assert_eq!(refused(Cover { subject: key_set(2).id(), ..cover() }), Err(NotCovered::Beneficiary));
    let many = Cover { tag: cover_tag(core(1, 3).cid(), &OPENING), ..cover() };
    assert_eq!(judged(&file(&many), &core(1, 3), NOW), party);
}

#[test]
fn it_is_for_enough_in_the_same_money() {
    assert_eq!(refused(Cover { amount: money(79), ..cover() }), Err(NotCovered::Amount(money(79))));
    assert_eq!(refused(Cover { amount: money(80), ..cover() }), Ok(()));
    let yen = Amount::new(1_000, Currency::parse("JPY").unwrap()).unwrap();
    assert_eq!(refused(Cover { amount: yen, ..cover() }), Err(NotCovered::Amount(yen)));
}

#[test]
fn it_is_accepted_in_time_by_a_clock_that_may_be_behind() {
    let stale = |before: Time| refused(Cover { accept_before: before, ..cover() });
    assert_eq!(stale(NOW.after(SIGMA)), Ok(()));
    let too_late = NOW.after(SIGMA).before(Seconds(1));
    assert_eq!(stale(too_late), Err(NotCovered::Stale(too_late)));
}

#[test]
fn it_can_be_claimed_after_the_contract_is_decided() {
    let needed = NOT_AFTER.after(Seconds(360));
    let until = needed.before(Seconds(1));
    assert_eq!(refused(Cover { claim_by: until, ..cover() }), Err(NotCovered::TooEarly { until, needed }));
    assert_eq!(refused(Cover { claim_by: needed, ..cover() }), Ok(()));
}

#[test]
fn its_word_on_the_keys_is_fresh() {
    let of = |time: Time| refused(Cover { not_revoked_at: time, ..cover() });
    let future = NOW.after(SIGMA).after(Seconds(1));
    assert_eq!(of(future), Err(NotCovered::NotFresh(future)));
    let later = |now| judged(&file(&Cover { accept_before: CLAIM_BY, ..cover() }), &core(1, 2), now);
    assert_eq!(later(NOW.after(Seconds(3_600))), Ok(()));
    assert_eq!(later(NOW.after(Seconds(3_601))), Err(NotCovered::NotFresh(NOW)));
}
