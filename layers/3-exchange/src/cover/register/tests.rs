//! What could go wrong: the guarantor stands for more than its customer has agreed to; what somebody relies on is freed before it is paid or given up; a
//! claim is paid twice, or not at all. Each rule alone; every order of requests is tried in `sim/tests/covers.rs`, storage in the guarantor's service.
#![allow(clippy::unwrap_used)]

use semper_core::amount::Currency;
use semper_core::hash::Digest;

use super::*;

const NOW: Time = Time::from_unix(10_000);
const CLAIM_BY: Time = Time::from_unix(20_000);
const FREE: Time = CLAIM_BY.after(CLOCKS).after(Seconds(1));
const ANSWER: Seconds = Seconds(100);

fn money(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

const fn key(byte: u8) -> KeySetId {
    KeySetId::from_digest(Digest::from_array([byte; 32]))
}

fn agreement() -> Agreement {
    Agreement {
        guarantor: key(7),
        limit: money(100),
        per_deal: money(60),
        until: Time::from_unix(1_000_000),
        issued: Time::from_unix(1),
    }
}

fn account() -> Account {
    Account::new(key(1), agreement())
}

fn asked(number: u8, minor: u64) -> CoverRequest {
    CoverRequest {
        cover: id(number),
        guarantor: key(7),
        tag: Digest::from_array([number; 32]),
        amount: money(minor),
        subject: key(1),
        accept_before: NOW.after(Seconds(50)),
        claim_by: CLAIM_BY,
    }
}

fn id(number: u8) -> CoverId {
    CoverId::from_array([number; 16])
}

fn reserve(account: &Account, number: u8, minor: u64, now: Time) -> Result<Account, Refusal> {
    let asked = CoverRequest { accept_before: now.max(NOW), ..asked(number, minor) };
    account.reserve(&asked, "https://guarantor.example", ANSWER, now).map(|(step, _)| step.account)
}

fn claim(account: &Account, now: Time) -> Result<Account, Refusal> {
    account.claim(id(1), money(40), key(2), Debt::Owed, now).map(|step| step.account)
}

#[test]
fn a_cover_says_what_was_asked_and_counts() {
    let (Step { account, closed }, cover) = account().reserve(&asked(1, 60), "there", ANSWER, NOW).unwrap();
    assert_eq!((cover.amount, cover.subject, cover.not_revoked_at, cover.answer), (money(60), key(1), NOW, ANSWER));
    assert_eq!((account.totals().reserved, account.left()), (60, money(40)));
    assert!(closed.is_empty());
    assert_eq!(Account::from_bytes(&account.to_bytes()).unwrap(), account);
}

#[test]
fn the_limits_hold() {
    let one = reserve(&account(), 1, 60, NOW).unwrap();
    assert_eq!(reserve(&one, 2, 41, NOW), Err(Refusal::Limit { limit: money(100), left: money(40) }));
    let full = reserve(&one, 2, 40, NOW).unwrap();
    assert_eq!(reserve(&full, 3, 1, NOW), Err(Refusal::Limit { limit: money(100), left: money(0) }));
    assert_eq!(reserve(&account(), 1, 61, NOW), Err(Refusal::PerDeal(money(60))));
    assert_eq!(reserve(&account(), 1, 0, NOW), Err(Refusal::Currency(money(100))));
    let yen = CoverRequest { amount: Amount::new(1, Currency::parse("JPY").unwrap()).unwrap(), ..asked(1, 1) };
    assert_eq!(account().reserve(&yen, "", ANSWER, NOW).map(drop), Err(Refusal::Currency(money(100))));
}

#[test]
fn one_name_and_one_contract_have_one_cover() {
    let one = reserve(&account(), 1, 10, NOW).unwrap();
    assert_eq!(reserve(&one, 1, 10, NOW), Err(Refusal::Conflict));
    let same_contract = CoverRequest { cover: id(2), ..asked(1, 10) };
    assert_eq!(one.reserve(&same_contract, "", ANSWER, NOW).map(drop), Err(Refusal::Taken));
}

#[test]
fn dates_are_in_order_and_not_over() {
    let refused = |request: CoverRequest| account().reserve(&request, "", ANSWER, NOW).map(drop);
    assert_eq!(refused(CoverRequest { accept_before: NOW.before(Seconds(1)), ..asked(1, 1) }), Err(Refusal::Dates));
    assert_eq!(refused(CoverRequest { accept_before: CLAIM_BY.after(Seconds(1)), ..asked(1, 1) }), Err(Refusal::Dates));
    let far = NOW.after(SPAN_MAX).after(Seconds(1));
    assert_eq!(refused(CoverRequest { claim_by: far, ..asked(1, 1) }), Err(Refusal::Dates));
    assert_eq!(refused(asked(1, 1)), Ok(()));
    let over = Account::new(key(1), Agreement { until: NOW.before(Seconds(1)), ..agreement() });
    assert!(matches!(over.reserve(&asked(1, 1), "", ANSWER, NOW), Err(Refusal::Over(_))));
}

// A lost key: nothing new is promised, and what was promised is paid.
#[test]
fn after_a_revocation_what_was_certified_stays() {
    let revoked = reserve(&account(), 1, 40, NOW).unwrap().revoke(NOW);
    assert_eq!(reserve(&revoked, 2, 1, NOW), Err(Refusal::Revoked(NOW)));
    assert_eq!(revoked.revoke(CLAIM_BY).revoked(), Some(NOW), "the first word counts");
    let claimed = claim(&revoked, NOW).unwrap();
    let paid = claimed.at(NOW.after(ANSWER).after(Seconds(1))).account;
    assert!(matches!(paid.cover(id(1)).unwrap().standing, Standing::Paid { .. }));
}

#[test]
fn what_nobody_claims_is_freed_after_its_date_and_no_second_earlier() {
    let one = reserve(&account(), 1, 60, NOW).unwrap();
    let late = FREE.before(Seconds(1));
    assert_eq!(one.at(late).account, one);
    assert!(claim(&one, late).is_ok(), "a clock that is behind does not lose its owner's claim");
    let Step { account, closed } = one.at(FREE);
    assert_eq!((account.left(), closed[0].end), (money(100), End::Expired));
    assert_eq!(Closed::from_bytes(&closed[0].to_bytes()).unwrap(), closed[0]);
    assert_eq!(claim(&one, FREE), Err(Refusal::Ended));
    // What is freed by its date can be promised to somebody else in the same decision.
    assert_eq!(reserve(&one, 2, 50, FREE), Err(Refusal::Dates), "the twin: its own dates are over");
    let other = CoverRequest { accept_before: FREE, claim_by: FREE.after(ANSWER), ..asked(2, 60) };
    assert_eq!(one.reserve(&other, "", ANSWER, FREE).unwrap().0.account.totals().reserved, 60);
}

#[test]
fn what_was_claimed_does_not_expire_and_is_paid_once() {
    let claimed = claim(&reserve(&account(), 1, 60, NOW).unwrap(), NOW).unwrap();
    assert_eq!((claimed.totals().claimed, claimed.left()), (60, money(40)));
    assert_eq!(claim(&claimed, NOW).unwrap(), claimed, "the same claim again changes nothing");
    let other = claimed.claim(id(1), money(41), key(2), Debt::Owed, NOW).map(drop);
    assert_eq!(other, Err(Refusal::Claimed));
    let due = NOW.after(ANSWER).after(Seconds(1));
    assert_eq!(claimed.at(NOW.after(ANSWER)).account, claimed);
    let paid = claimed.at(due).account;
    assert_eq!((paid.totals().paid, paid.left()), (40, money(60)));
    assert_eq!(paid.at(FREE).account, paid);
    assert_eq!(claim(&paid, FREE).unwrap(), paid);
    let outcome = paid.cover(id(1)).unwrap().ruling().unwrap().outcome;
    assert_eq!(outcome, Outcome::Paid { amount: money(40), to: key(2) });
    assert_eq!(Account::from_bytes(&paid.to_bytes()).unwrap(), paid);
}

#[test]
fn a_claim_needs_a_debt_and_no_more_than_was_certified() {
    let one = reserve(&account(), 1, 40, NOW).unwrap();
    let claim = |amount, debt| one.claim(id(1), amount, key(2), debt, NOW).map(drop);
    assert_eq!(claim(money(40), Debt::NotShown), Err(Refusal::NotBound));
    assert_eq!(claim(money(40), Debt::Nothing), Err(Refusal::NothingOwed));
    assert_eq!(claim(money(41), Debt::Owed), Err(Refusal::TooMuch(money(40))));
    assert_eq!(claim(money(0), Debt::Owed), Err(Refusal::TooMuch(money(40))));
    assert_eq!(claim(money(40), Debt::Owed), Ok(()));
}

#[test]
fn a_cover_is_given_up_by_whom_it_is_for_or_by_what_shows_that_nothing_is_owed() {
    let one = reserve(&account(), 1, 40, NOW).unwrap();
    for nothing in [Debt::Owed, Debt::NotShown] {
        assert_eq!(one.release(id(1), Word::Customer(nothing), NOW), Err(Refusal::Owed));
    }
    for word in [Word::Beneficiary, Word::Customer(Debt::Nothing)] {
        let Step { account, closed } = one.release(id(1), word, NOW).unwrap();
        assert_eq!((account.left(), closed[0].end), (money(100), End::Released));
        assert_eq!(account.release(id(1), word, NOW), Err(Refusal::Ended));
        assert_eq!(claim(&account, NOW), Err(Refusal::Ended), "what was given up cannot be claimed");
    }
}

#[test]
fn a_claim_is_rejected_by_an_answer_in_time_and_by_no_later_one() {
    let claimed = claim(&reserve(&account(), 1, 40, NOW).unwrap(), NOW).unwrap();
    assert_eq!(claimed.release(id(1), Word::Customer(Debt::Owed), NOW), Err(Refusal::Owed));
    let answered = |now| claimed.release(id(1), Word::Customer(Debt::Nothing), now).map(|step| step.closed[0].end);
    assert_eq!(answered(NOW.after(ANSWER)), Ok(End::Rejected));
    assert_eq!(answered(NOW.after(ANSWER).after(Seconds(1))), Err(Refusal::Paid));
    let given_up = claimed.release(id(1), Word::Beneficiary, NOW).unwrap();
    assert_eq!(given_up.closed[0].end, End::Released);
}

#[test]
fn what_was_paid_counts_until_it_is_repaid_and_is_kept_until_it_is_paid_out() {
    let due = NOW.after(ANSWER).after(Seconds(1));
    let claimed = claim(&reserve(&account(), 1, 40, NOW).unwrap(), NOW).unwrap();
    assert_eq!(claimed.book(id(1), Booking::PaidOut, NOW), Err(Refusal::NotPaid));
    let out = claimed.book(id(1), Booking::PaidOut, due).unwrap();
    assert_eq!((out.account.left(), out.closed.len()), (money(60), 0));
    assert_eq!(out.account.book(id(1), Booking::PaidOut, due).unwrap(), out, "twice is once");
    let Step { account, closed } = out.account.book(id(1), Booking::Repaid, due).unwrap();
    assert_eq!((account.left(), closed.len()), (money(100), 1));
    assert!(matches!(closed[0].ruling().unwrap().outcome, Outcome::Paid { .. }));
    assert_eq!(Closed::from_bytes(&closed[0].to_bytes()).unwrap(), closed[0]);
    // Repaid first: the limit is free, and the claimant still has its money to come.
    let back = claimed.book(id(1), Booking::Repaid, due).unwrap().account;
    assert_eq!((back.left(), back.cover(id(1)).is_some()), (money(100), true));
}

#[test]
fn a_later_agreement_takes_the_place_of_an_earlier_one() {
    let one = reserve(&account(), 1, 60, NOW).unwrap();
    let lower = Agreement { limit: money(60), issued: NOW, ..agreement() };
    let lowered = one.agree(lower).unwrap();
    assert_eq!((lowered.left(), lowered.totals().reserved), (money(0), 60), "what was certified stays");
    assert_eq!(lowered.agree(agreement()), Err(Refusal::Superseded), "nobody shows the old one again");
    assert_eq!(lowered.agree(lower).unwrap(), lowered);
}
