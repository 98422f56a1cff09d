//! What could go wrong: a statement is read as another one than was signed, or what is shown before it is signed leaves out a limit.
#![allow(clippy::unwrap_used)]

use semper_core::amount::Currency;

use super::*;
use crate::testing::{key_set, say};

fn money(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

const fn at(seconds: u64) -> Time {
    Time::from_unix(seconds)
}

fn agreement() -> Agreement {
    let guarantor = key_set(7).id();
    Agreement { guarantor, limit: money(50_000), per_deal: money(20_000), until: at(9_000), issued: at(1_000) }
}

fn request() -> CoverRequest {
    CoverRequest {
        cover: CoverId::from_array([1; 16]),
        guarantor: key_set(7).id(),
        tag: cover_tag(Cid::from_digest(Digest::from_array([5; 32])), &[6; 32]),
        amount: money(12_000),
        subject: key_set(1).id(),
        accept_before: at(2_000),
        claim_by: at(8_000),
    }
}

fn again<T: Encode + Decode + PartialEq + fmt::Debug>(value: &T) {
    let bytes = value.to_bytes();
    assert_eq!(&T::from_bytes(&bytes).unwrap(), value);
    assert!(T::from_bytes(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn every_statement_is_read_as_it_was_written() {
    again(&agreement());
    again(&request());
    let (cover, cid) = (CoverId::from_array([1; 16]), Cid::from_digest(Digest::from_array([5; 32])));
    again(&CoverRelease { cover, cid });
    again(&CoverClaim { cover, cid, amount: money(1) });
    let CoverRequest { tag, amount, subject, accept_before, claim_by, .. } = request();
    let certified = Cover {
        cover,
        address: "https://guarantor.example".to_owned(),
        tag,
        amount,
        subject,
        not_revoked_at: at(1_500),
        accept_before,
        claim_by,
        answer: Seconds(60),
    };
    again(&certified);
    let to = key_set(2).id();
    for outcome in [
        Outcome::Released,
        Outcome::Rejected,
        Outcome::Claimed { amount, to, answer_by: at(3_000) },
        Outcome::Paid { amount, to },
    ] {
        again(&CoverRuling { cover, outcome, time: at(2_000) });
    }
    let guarantor = key_set(7);
    again(&CoverFile { cover: say(&guarantor, &certified), guarantor, opening: [6; 32] });
    let signer = key_set(1);
    again(&Submission { statement: say(&signer, &request()), signer: signer.clone(), opened: None });
    let opened = Some(([6; 32], b"folder".to_vec()));
    again(&Submission { statement: say(&signer, &CoverRelease { cover, cid }), signer, opened });
}

// A request with a folder beside it, or a claim without one, is no submission.
#[test]
fn what_a_submission_opens_fits_its_statement() {
    let signer = key_set(1);
    let (cover, cid) = (CoverId::from_array([1; 16]), Cid::from_digest(Digest::from_array([5; 32])));
    let more =
        Submission { statement: say(&signer, &request()), signer: signer.clone(), opened: Some(([6; 32], vec![])) };
    assert!(Submission::from_bytes(&more.to_bytes()).is_err());
    let claim = CoverClaim { cover, cid, amount: money(1) };
    let less = Submission { statement: say(&signer, &claim), signer, opened: None };
    assert!(Submission::from_bytes(&less.to_bytes()).is_err());
}

#[test]
fn limits_that_contradict_one_another_are_no_agreement() {
    let good = agreement();
    assert_eq!(good.check(), Ok(()));
    let yen = Amount::new(1, Currency::parse("JPY").unwrap()).unwrap();
    for bad in [
        Agreement { per_deal: money(50_001), ..good },
        Agreement { per_deal: money(0), ..good },
        Agreement { per_deal: yen, ..good },
        Agreement { until: good.issued, ..good },
    ] {
        assert!(bad.check().is_err() && Agreement::from_bytes(&bad.to_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn whoever_signs_reads_every_limit() {
    let (agreement, request) = (agreement(), request());
    let text = agreement.describe();
    for part in ["500.00 EUR", "200.00 EUR", &agreement.guarantor.to_string(), &agreement.until.to_string()] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let text = request.describe();
    for part in ["120.00 EUR", &request.guarantor.to_string(), &request.claim_by.to_string(), &request.tag.to_hex()] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

// Two contracts never have one tag, and a tag tells nothing without its opening.
#[test]
fn a_tag_is_of_one_contract_and_one_opening() {
    let cid = |byte| Cid::from_digest(Digest::from_array([byte; 32]));
    assert_ne!(cover_tag(cid(1), &[6; 32]), cover_tag(cid(2), &[6; 32]));
    assert_ne!(cover_tag(cid(1), &[6; 32]), cover_tag(cid(1), &[7; 32]));
}
