//! What could go wrong: the contract that comes is another one than was asked for, its text says something else than it does, or one party could have both amounts.
#![allow(clippy::unwrap_used)]

use semper_core::amount::Currency;
use semper_core::cose::{Draft, Kind};
use semper_core::party::Suite;
use semper_transfer::payment::means::{Fees, Limits, PayerAnonymity, ReceiptKind, Reversal, System};

use super::*;
use crate::fixtures::{NOW, ann, arbiter, key_set};

fn pledge(issuer: &str, currency: &str, details: u8) -> Pledge {
    let means = Means {
        system: System::parse("ecash").unwrap(),
        issuer: issuer.to_owned(),
        currency: Currency::parse(currency).unwrap(),
        anonymity: PayerAnonymity::FromAll,
        reversal: Reversal::Final,
        locks: [LockKind::Arbiter, LockKind::Hash].into(),
        receipt: ReceiptKind::Witness,
        fees: Fees { fixed: 0, per_million: 0 },
        limits: Limits { least: 1, most: 1_000_000 },
        latency: Seconds(1),
    };
    Pledge { means, details: vec![details; 4], request: None }
}

fn trade(wants: Option<&str>) -> Trade {
    Trade {
        gives: Amount::parse("10.00 EUR").unwrap(),
        wants: wants.map(|text| Amount::parse(text).unwrap()),
        purpose: "holidays".to_owned(),
        pays: vec![pledge("https://a.example", "EUR", 1), pledge("https://b.example", "EUR", 2)],
        takes: wants.iter().map(|_| pledge("https://c.example", "USD", 3)).collect(),
        arbiters: vec![ann()],
        valid_for: Seconds(100_000),
        asker: "Alice".to_owned(),
        peer: "Bob".to_owned(),
        locale: "en".to_owned(),
        manner: Manner::Locked,
    }
}

/// The same without an arbiter.
fn locked_trade(wants: Option<&str>) -> Trade {
    Trade { arbiters: Vec::new(), ..trade(wants) }
}

fn proposal(trade: &Trade) -> Proposal {
    let decides = match trade.lock_kind() {
        Some(LockKind::Hash) => Decides::Hash([4; 32]),
        _ => Decides::Arbiter(vec![7; 4]),
    };
    propose(trade, [decides.clone(), decides]).unwrap()
}

/// The answer whose locks are decided so, if there is one.
fn propose(trade: &Trade, [first, second]: [Decides; 2]) -> Result<Proposal, ReplyError> {
    let choice = |place, decides| Choice { place, details: vec![9; 4], decides, salt: [8; 32] };
    let takes = trade.wants.map(|_| Paid::Locked(choice(0, second)));
    let (asker, me, nonce) = (key_set(1), key_set(2), [6; 32]);
    let arbiter = Some(arbiter()).filter(|_| !trade.arbiters.is_empty());
    let arbiter = arbiter.as_ref();
    Reply { trade, asker, me, arbiter, pays: Paid::Locked(choice(1, first)), takes, nonce, now: NOW }.propose([0; 16])
}

fn agreement(trade: &Trade) -> Agreement {
    proposal(trade).into_agreement()
}

#[test]
fn a_reply_is_what_was_asked() {
    for (wants, chosen, title_of) in [
        (None, Chosen { pays: 1, takes: None }, "10.00 EUR for a receipt"),
        (Some("11.00 USD"), Chosen { pays: 1, takes: Some(0) }, "10.00 EUR for 11.00 USD"),
    ] {
        for asked in [trade(wants), locked_trade(wants)] {
            assert_eq!(Trade::from_bytes(&asked.to_bytes()), Ok(asked.clone()));
            let proposal = proposal(&asked);
            let read = Proposal::from_container(&proposal.to_container().unwrap()).unwrap();
            assert_eq!(read, proposal);
            assert_eq!(answers(&read.agreement, &asked, NOW), Ok(chosen));
            assert_eq!(title(&read.agreement).as_deref(), Some(title_of));
            for locale in LOCALES {
                let other = Trade { locale: locale.to_owned(), ..asked.clone() };
                assert!(agreement(&other).text().is_ok());
            }
        }
    }
}

/// A receipt that is paid for by plain transfer, and the answer to it with a request that expires so much later than it should.
fn transferred(late: u64) -> (Trade, Result<Proposal, ReplyError>) {
    let mut asked = Trade { manner: Manner::Transferred, ..trade(None) };
    for pledge in &mut asked.pays {
        (pledge.means.receipt, pledge.details) = (ReceiptKind::Issuer, Vec::new());
    }
    let deal = DealId::from_array([9; 16]);
    let mut wanted = request(&asked, deal, 1, vec![9; 4], NOW).unwrap();
    wanted.expires = Time::from_unix(wanted.expires.unix().wrapping_add(late));
    let signer = key_set(2);
    let draft = Draft { kind: Kind::PaymentRequest, suite: Suite::Ed25519, signer, payload: wanted.to_bytes() };
    let pays = Paid::Requested { place: 1, request: draft.assemble(vec![vec![1; 64]]).unwrap(), salt: [8; 32] };
    let arbiter = arbiter();
    let (asker, me, arbiter) = (key_set(1), signer, Some(&arbiter));
    let reply = Reply { trade: &asked, asker, me, arbiter, pays, takes: None, nonce: [6; 32], now: NOW };
    let proposal = reply.propose([0; 16]);
    (asked, proposal)
}

// The payer must be able to run after its receipt: the dates leave it that, and the text says so. A payee's request that is honoured longer, or shorter than
// the text says, is refused.
#[test]
fn a_receipt_is_paid_for_by_plain_transfer() {
    let (asked, proposal) = transferred(0);
    assert_eq!(Trade::from_bytes(&asked.to_bytes()), Ok(asked.clone()));
    let good = proposal.unwrap().into_agreement();
    assert_eq!(answers(&good, &asked, NOW), Ok(Chosen { pays: 1, takes: None }));
    assert_eq!(check(&good), Ok(()));
    assert_eq!(title(&good).as_deref(), Some("10.00 EUR for a receipt, by plain transfer"));
    assert!(good.core.terms.deadlines.refund_after.is_none() && good.text().is_ok());
    for field in ["first", "second", "amount", "means", "arbiter", "closes", "pay_until"] {
        let mut other = good.clone();
        other.document.fields.remove(field).unwrap();
        assert_eq!(check(&other), Err(field));
    }
    assert_eq!(transferred(1).1, Err(ReplyError::Items(ItemsError::Request("dates"))));
    let (_, early) = transferred(u64::MAX);
    assert_eq!(check(&early.unwrap().into_agreement()), Err("pay_until"));
    // Neither side turns one way of paying into the other.
    assert_eq!(answers(&good, &trade(None), NOW), Err("means"));
    assert_eq!(answers(&agreement(&trade(None)), &asked, NOW), Err("means"));
    for wrong in [
        Trade { arbiters: Vec::new(), ..asked.clone() },
        Trade { pays: trade(None).pays, ..asked.clone() },
        Trade { manner: Manner::Transferred, ..trade(Some("11.00 USD")) },
    ] {
        assert!(Trade::from_bytes(&wrong.to_bytes()).is_err());
    }
}

const CLOSES: Time = Time::from_unix(NOW.unix() + 100_000);

/// A trade through the arbiter's hands, by a change of what the asker signs.
fn in_line_trade(change: impl Fn(&mut PaymentRequest)) -> Trade {
    let asked = Trade { manner: Manner::InLine { closes: CLOSES }, ..trade(Some("11.00 USD")) };
    let ready = |pledge: &Pledge, amount: Amount| {
        let means = Means { receipt: ReceiptKind::Issuer, ..pledge.means.clone() };
        let request = Some(signed(1, amount, &means, pledge.details.clone(), &change));
        Pledge { means, details: Vec::new(), request }
    };
    let pays = asked.pays.iter().map(|pledge| ready(pledge, asked.gives)).collect();
    let takes = asked.takes.iter().map(|pledge| ready(pledge, asked.wants.unwrap())).collect();
    Trade { pays, takes, ..asked }
}

fn signed(by: u8, amount: Amount, means: &Means, details: Vec<u8>, change: &impl Fn(&mut PaymentRequest)) -> Signed {
    let mut request = request_of_arbiter((DealId::from_array([9; 16]), "holidays", CLOSES), amount, means, details);
    change(&mut request);
    let (kind, suite, payload) = (Kind::PaymentRequest, Suite::Ed25519, request.to_bytes());
    Draft { kind, suite, signer: key_set(by), payload }.assemble(vec![vec![1; 64]]).unwrap()
}

/// The answer to it, by a change of what whoever answers signs.
fn in_line(asked: &Trade, change: impl Fn(&mut PaymentRequest)) -> Result<Proposal, ReplyError> {
    let paid = |place: usize, pledges: &[Pledge], amount| {
        let request = signed(2, amount, &pledges[place].means, vec![9; 4], &change);
        Paid::Requested { place, request, salt: [8; 32] }
    };
    let (pays, takes) = (paid(1, &asked.pays, asked.gives), Some(paid(0, &asked.takes, asked.wants.unwrap())));
    let arbiter = arbiter();
    let (asker, me, arbiter) = (key_set(1), key_set(2), Some(&arbiter));
    Reply { trade: asked, asker, me, arbiter, pays, takes, nonce: [6; 32], now: NOW }.propose([0; 16])
}

fn as_it_is(_: &mut PaymentRequest) {}

// Each side's requests stand in the contract where the arbiter looks for them: on to the recipient, back to the owner.
#[test]
fn money_goes_through_the_hands_of_the_arbiter() {
    let asked = in_line_trade(as_it_is);
    assert_eq!(Trade::from_bytes(&asked.to_bytes()), Ok(asked.clone()));
    let good = in_line(&asked, as_it_is).unwrap().into_agreement();
    assert_eq!(answers(&good, &asked, NOW), Ok(Chosen { pays: 1, takes: Some(0) }));
    assert_eq!((check(&good), good.core.terms.profile), (Ok(()), Profile::Ix));
    assert_eq!(title(&good).as_deref(), Some("10.00 EUR for 11.00 USD, through the arbiter's hands"));
    assert_eq!(pair(&good.core), Ok([key_set(1), key_set(2)]));
    let [first, second] = Leg::of(&good.core).unwrap();
    let signers = [&first, &second].map(|leg| leg.handed().map(|h| (h.onward.signer(), h.back.signer())));
    assert_eq!(signers, [Some((key_set(2), key_set(1))), Some((key_set(1), key_set(2)))]);
    assert_eq!(first.handed().map(|handed| handed.back.clone()), asked.pays[1].request);
    for locale in LOCALES {
        let other = Trade { locale: locale.to_owned(), ..asked.clone() };
        assert!(in_line(&other, as_it_is).unwrap().into_agreement().text().is_ok());
    }
    for field in ["first", "second", "amount", "means", "arbiter", "closes", "take_by", "other_amount", "other_means"] {
        let mut other = good.clone();
        other.document.fields.remove(field).unwrap();
        assert_eq!(check(&other), Err(field));
    }
}

// Whoever answers would like the asker's money to come back elsewhere, to be paid more, or for longer; or to have no arbiter's hands in it, or the arbiter's hands in
// what was to be locked.
#[test]
fn what_goes_through_the_arbiters_hands_is_what_was_asked() {
    let asked = in_line_trade(as_it_is);
    for change in [
        |request: &mut PaymentRequest| request.amount = Amount::parse("10.01 EUR").unwrap(),
        |request: &mut PaymentRequest| request.purpose.push('x'),
        |request: &mut PaymentRequest| request.expires = request.expires.after(Seconds(1)),
        |request: &mut PaymentRequest| request.deal = DealId::from_array([8; 16]),
    ] {
        assert!(matches!(in_line(&asked, change), Err(ReplyError::Items(ItemsError::Request(_)))));
        assert!(matches!(in_line(&in_line_trade(change), as_it_is), Err(ReplyError::Items(ItemsError::Request(_)))));
    }
    let good = in_line(&asked, as_it_is).unwrap().into_agreement();
    let elsewhere = in_line_trade(|request| request.details.push(1));
    assert_eq!(answers(&good, &elsewhere, NOW), Err("means"));
    assert_eq!(answers(&good, &trade(Some("11.00 USD")), NOW), Err("means"));
    assert_eq!(answers(&agreement(&trade(Some("11.00 USD"))), &asked, NOW), Err("means"));
    let later = Trade { manner: Manner::InLine { closes: CLOSES.after(Seconds(1)) }, ..asked.clone() };
    assert_eq!(answers(&good, &later, NOW), Err("deadlines"));
    assert_eq!(answers(&good, &asked, CLOSES), Err("dates"));
    // An arbiter would hold it for too long; a mint proves no payment; and somebody must take it.
    for (late, wrong) in [(SIGMA, false), (Seconds(SIGMA.0 + 1), true)] {
        let closes = NOW.after(IN_LINE_MAX).after(late);
        let expires = |request: &mut PaymentRequest| request.expires = paid_out_until(&deadlines(closes));
        let long = Trade { manner: Manner::InLine { closes }, ..in_line_trade(expires) };
        assert_eq!(in_line(&long, expires).err(), wrong.then_some(ReplyError::TooLong));
    }
    let mut mint = asked.clone();
    mint.pays[0].means.receipt = ReceiptKind::Witness;
    let mut bare = asked.clone();
    bare.takes[0].request = None;
    let nobody = Trade { arbiters: Vec::new(), ..asked.clone() };
    let receipt = Trade { wants: None, takes: Vec::new(), ..asked.clone() };
    let locked = Trade { manner: Manner::Locked, ..asked };
    for wrong in [mint, bare, nobody, receipt, locked] {
        assert!(Trade::from_bytes(&wrong.to_bytes()).is_err());
    }
}

// Without an arbiter whoever answers knows the preimage: it gives first, and the asker's money goes back before its own.
#[test]
fn without_an_arbiter_the_answerer_is_the_originator() {
    for wants in [None, Some("11.00 USD")] {
        let agreement = agreement(&locked_trade(wants));
        let core = &agreement.core;
        assert_eq!((core.terms.profile, core.arbiter()), (Profile::Lx, None));
        assert_eq!(pair(core), Ok([key_set(2), key_set(1)]));
        let [first, second] = Leg::of(core).unwrap();
        let second = second.lock().unwrap();
        assert_eq!((second.amount.to_string(), second.hash), ("10.00 EUR".to_owned(), Some([4; 32])));
        assert_eq!(Some(second.refund_after), core.terms.deadlines.refund_after);
        assert_eq!(first.lock().map(|lock| lock.amount), wants.map(|text| Amount::parse(text).unwrap()));
        let later = first.lock().map(|lock| FieldValue::Time(lock.refund_after));
        assert_eq!(agreement.document.fields.get("other_refund_after"), later.as_ref());
        assert!(first.lock().is_none_or(|lock| lock.refund_after > second.refund_after));
    }
}

// Two hashes, or an arbiter's key in the place of one: one amount could be had without the other.
#[test]
fn without_an_arbiter_one_hash_locks_both() {
    let asked = locked_trade(Some("11.00 USD"));
    let (one, other) = (Decides::Hash([4; 32]), Decides::Hash([5; 32]));
    assert_eq!(propose(&asked, [one.clone(), other]), Err(ReplyError::Items(ItemsError::OneHash)));
    let key = Decides::Arbiter(vec![7; 4]);
    assert_eq!(propose(&asked, [one.clone(), key.clone()]), Err(ReplyError::Items(ItemsError::LockKind)));
    assert_eq!(propose(&trade(None), [one, key]), Err(ReplyError::Items(ItemsError::LockKind)));
    let mut two = agreement(&asked);
    let lock = LockDeposit::from_bytes(&two.core.deposits[&SECOND]).unwrap();
    let lock = LockDeposit { decides: Decides::Hash([5; 32]), ..lock };
    two.core.deposits.insert(SECOND, lock.to_bytes());
    assert_eq!(check(&two), Err("locks"));
}

// Who decides is the asker's choice: an answer under an arbiter that was not asked for, or under none, is refused. So is money that no hash locks.
#[test]
fn nobody_adds_or_drops_the_arbiter() {
    for wants in [None, Some("11.00 USD")] {
        let (with, without) = (trade(wants), locked_trade(wants));
        assert_eq!(answers(&agreement(&with), &without, NOW), Err("arbiter"));
        assert_eq!(answers(&agreement(&without), &with, NOW), Err("arbiter"));
        let mut account = without.clone();
        account.pays[0].means.locks = [LockKind::Arbiter].into();
        assert!(Trade::from_bytes(&account.to_bytes()).is_err());
    }
    let mut late = agreement(&locked_trade(None));
    late.core.terms.deadlines.refund_after = Some(NOW.after(Seconds(1_000_000)));
    assert_eq!(answers(&late, &locked_trade(None), NOW), Err("refund date"));
    assert_eq!(check(&late), Err("refund_after"));
}

// Whoever answers would like another amount, a lock of its own on both sides, more time, or other words.
#[test]
fn a_reply_that_is_something_else_is_refused() {
    let asked = trade(Some("11.00 USD"));
    let refused = |change: &dyn Fn(&mut Trade), why| {
        let mut other = asked.clone();
        change(&mut other);
        assert_eq!(answers(&agreement(&other), &asked, NOW), Err(why), "{why}");
    };
    refused(&|trade| trade.gives = Amount::parse("10.01 EUR").unwrap(), "amounts");
    refused(&|trade| trade.wants = Some(Amount::parse("10.99 USD").unwrap()), "amounts");
    refused(&|trade| trade.pays[1].details[0] ^= 1, "means");
    refused(&|trade| trade.pays[1].means.issuer.push('x'), "means");
    refused(&|trade| trade.takes[0].details[0] ^= 1, "means");
    refused(&|trade| trade.asker.push('x'), "names");
    refused(&|trade| trade.arbiters[0].name.push('x'), "arbiter");
    refused(&|trade| trade.purpose.push('x'), "purpose");
    refused(&|trade| trade.locale = "de".to_owned(), "language");
    refused(&|trade| trade.valid_for.0 += 10_000, "deadlines");
    assert_eq!(answers(&agreement(&trade(None)), &asked, NOW), Err("amounts"));
    assert_eq!(answers(&agreement(&asked), &asked, NOW.after(Seconds(10_000))), Err("deadlines"));
    let mut late = agreement(&asked);
    late.core.terms.deadlines.refund_after = Some(late.core.terms.deadlines.not_after);
    assert_eq!(answers(&late, &asked, NOW), Err("refund date"));
}

// What a user reads and what the arbiter decides by must not differ.
#[test]
fn the_text_says_what_the_contract_does() {
    let good = agreement(&trade(Some("11.00 USD")));
    assert_eq!(check(&good), Ok(()));
    for field in
        ["first", "second", "amount", "means", "arbiter", "closes", "refund_after", "other_amount", "other_means"]
    {
        let mut other = good.clone();
        other.document.fields.remove(field).unwrap();
        assert_eq!(check(&other), Err(field));
    }
    let locked = agreement(&locked_trade(Some("11.00 USD")));
    assert_eq!(check(&locked), Ok(()));
    for field in [
        "first",
        "second",
        "amount",
        "means",
        "closes",
        "refund_after",
        "other_amount",
        "other_means",
        "other_refund_after",
    ] {
        let mut other = locked.clone();
        other.document.fields.remove(field).unwrap();
        assert_eq!(check(&other), Err(field));
    }
    let mut swapped = good.clone();
    swapped.core.terms.items.swap(0, 1);
    assert_eq!(check(&swapped), Err("items"));
    let mut windowed = good;
    windowed.core.terms.deadlines.complaints = Some(Seconds(10_000));
    assert_eq!(check(&windowed), Err("items"));
}
