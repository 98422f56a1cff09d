//! Unit tests of PAY: both machines, with operations that end as the test says. What could go wrong: the payer pays for another
//! request than it offered, or by another means; a receipt for something else ends the payment; an answer of another operation
//! counts; a payee that says nothing keeps the payer waiting for ever.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use semper_core::amount::Currency;
use semper_core::cose::Draft;
use semper_core::party::{Algorithm, Suite};
use semper_core::signature::Verify;

use super::*;
use crate::payment::means::{Fees, Limits, ReceiptKind, Reversal, System};

const NOW: Time = Time::from_unix(1000);
const DEAL: DealId = DealId::from_array([7; 16]);

/// Takes a signature that repeats the public key's first byte: enough to tell the parties apart.
struct FirstByte;

impl Verify for FirstByte {
    fn verify(&self, _: Algorithm, public_key: &[u8], _: &[u8], signature: &[u8]) -> bool {
        signature[0] == public_key[0]
    }
}

fn keys(byte: u8) -> KeySet {
    KeySet::new(Suite::Ed25519, vec![vec![byte; 32]]).unwrap()
}

fn sign(draft: Draft, by: u8) -> Signed {
    draft.assemble(vec![vec![by; 64]]).unwrap()
}

fn eur(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

fn means(system: &str, issuer: &str) -> Means {
    Means {
        system: System::parse(system).unwrap(),
        issuer: issuer.to_owned(),
        currency: Currency::parse("EUR").unwrap(),
        anonymity: PayerAnonymity::FromPayee,
        reversal: Reversal::Final,
        locks: BTreeSet::new(),
        receipt: ReceiptKind::Payee,
        fees: Fees::default(),
        limits: Limits { least: 1, most: 100_000 },
        latency: Seconds(1),
    }
}

fn setting(means: &[Means]) -> Setting {
    let offered = |(i, means): (usize, &Means)| Offered {
        purse: PurseId::from_array([u8::try_from(i).unwrap(); 16]),
        means: means.clone(),
    };
    let purses = means.iter().enumerate().map(offered).collect();
    Setting { deal: DEAL, payer: keys(1), payee: keys(2), purses, patience: Seconds(60) }
}

fn payer(means: &[Means]) -> Pay {
    Pay::payer(setting(means), eur("5.00 EUR"), "a ticket".to_owned(), PayerAnonymity::None, [9; 32])
}

fn handle(pay: Pay, input: Input) -> Result<Step<Pay>, PayError> {
    let step = pay.handle(&Env { now: NOW, verify: &FirstByte }, input)?;
    // A state that does not survive the disk loses a payment.
    assert_eq!(Pay::from_bytes(&step.state.to_bytes()).as_ref(), Ok(&step.state));
    Ok(step)
}

fn sent(step: &Step<Pay>) -> Vec<u8> {
    step.effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Send(bytes) => Some(bytes.clone()),
            _ => None,
        })
        .unwrap()
}

fn operation(step: &Step<Pay>) -> Operation {
    step.effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Operate(bytes) => Some(Operation::from_bytes(bytes).unwrap()),
            _ => None,
        })
        .unwrap()
}

fn draft(step: &Step<Pay>) -> Draft {
    step.effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Sign { draft, consent: Consent::Implied } => Some(draft.clone()),
            _ => None,
        })
        .unwrap()
}

fn done(id: OperationId, moved: &str, handover: &[u8]) -> Input {
    let outcome = Outcome { moved: eur(moved), fee: eur("0.00 EUR"), handover: handover.to_vec() };
    Input::Operated(Answer { id, result: Ok(outcome) }.to_bytes())
}

fn failed(id: OperationId, money: Money) -> Input {
    let failure = Failure { fault: Fault::ThirdParty, money, reason: "the mint says no".to_owned() };
    Input::Operated(Answer { id, result: Err(failure) }.to_bytes())
}

/// Both up to the payee's request.
fn requested(payer_means: &[Means], payee_means: &[Means]) -> (Pay, Pay, Vec<u8>) {
    let offered = handle(payer(payer_means), Input::Begin).unwrap();
    let expecting = handle(Pay::payee(setting(payee_means)), Input::Message(sent(&offered))).unwrap();
    let expect = operation(&expecting);
    assert_eq!(expect.task, Task::Expect(eur("5.00 EUR")));
    let to_sign = handle(expecting.state, done(expect.id, "0.00 EUR", b"lock key")).unwrap();
    let requested = handle(to_sign.state.clone(), Input::Signed(sign(draft(&to_sign), 2))).unwrap();
    let message = sent(&requested);
    (offered.state, requested.state, message)
}

/// Both up to the payer's token.
fn paid() -> (Pay, Pay, Vec<u8>) {
    let (payer, payee, request) = requested(&[means("ecash", "m")], &[means("ecash", "m")]);
    let paying = handle(payer, Input::Message(request)).unwrap();
    let paid = handle(paying.state.clone(), done(operation(&paying).id, "5.00 EUR", b"token")).unwrap();
    let message = sent(&paid);
    (paid.state, payee, message)
}

#[test]
fn a_payment_ends_with_a_receipt_on_both_sides() {
    let (payer, payee, payment) = paid();
    let receiving = handle(payee, Input::Message(payment)).unwrap();
    let receive = operation(&receiving);
    assert!(matches!(&receive.task, Task::Receive { token, .. } if token == b"token"));
    let to_sign = handle(receiving.state, done(receive.id, "5.00 EUR", b"")).unwrap();
    let ended = handle(to_sign.state.clone(), Input::Signed(sign(draft(&to_sign), 2))).unwrap();
    assert_eq!(ended.state.ending().unwrap().0, Ending::Success);
    let ended = handle(payer, Input::Message(sent(&ended))).unwrap();
    assert_eq!(ended.state.ending().unwrap().0, Ending::Success);
}

#[test]
fn the_means_is_the_one_that_both_lists_give() {
    let [mint, bank] = [means("ecash", "mint"), means("account", "bank")];
    let (payer, _, request) = requested(&[mint.clone(), bank.clone()], std::slice::from_ref(&bank));
    let paying = handle(payer.clone(), Input::Message(request.clone())).unwrap();
    assert_eq!(operation(&paying).purse, PurseId::from_array([1; 16]));

    // A payee that names a worse means for the payer than its own list allows is not paid.
    let Message::Request { request, .. } = Message::from_bytes(&request).unwrap() else { panic!() };
    let lying = Message::Request { request: request.clone(), means: vec![mint, bank] };
    assert!(matches!(
        handle(payer.clone(), Input::Message(lying.to_bytes())),
        Err(PayError::PeerMismatch { why: "it names another means than the one that both sides like best", .. })
    ));
    let nothing = Message::Request { request, means: Vec::new() };
    assert!(matches!(handle(payer, Input::Message(nothing.to_bytes())), Err(PayError::PeerMismatch { .. })));
}

#[test]
fn only_what_was_offered_is_paid() {
    let (payer, _, message) = requested(&[means("ecash", "m")], &[means("ecash", "m")]);
    let Message::Request { request, means } = Message::from_bytes(&message).unwrap() else { panic!() };
    let asked = PaymentRequest::from_bytes(request.payload()).unwrap();
    let say = |asked: PaymentRequest, by| {
        let draft = asked.draft(Suite::Ed25519, keys(2).id());
        let request = sign(draft, by);
        Input::Message(Message::Request { request, means: means.clone() }.to_bytes())
    };
    for other in [
        PaymentRequest { amount: eur("5.01 EUR"), ..asked.clone() },
        PaymentRequest { amount: eur("5.00 USD"), ..asked.clone() },
        PaymentRequest { deal: DealId::from_array([8; 16]), ..asked.clone() },
        PaymentRequest { purpose: "a car".to_owned(), ..asked.clone() },
        PaymentRequest { issuer: "other".to_owned(), ..asked.clone() },
    ] {
        assert!(matches!(handle(payer.clone(), say(other, 2)), Err(PayError::PeerMismatch { .. })));
    }
    assert!(matches!(handle(payer.clone(), say(asked.clone(), 3)), Err(PayError::PeerSignature { .. })));
    let late = handle(payer, say(PaymentRequest { expires: Time::from_unix(999), ..asked }, 2)).unwrap();
    assert_eq!(late.state.ending().unwrap().0, Ending::Lapsed);
    assert!(!late.effects.iter().any(|effect| matches!(effect, Effect::Operate(_))));
}

#[test]
fn who_has_no_fitting_means_says_why() {
    let offered = handle(payer(&[means("ecash", "m")]), Input::Begin).unwrap();
    let refused = handle(Pay::payee(setting(&[means("account", "b")])), Input::Message(sent(&offered))).unwrap();
    assert_eq!(refused.state.ending().unwrap().0, Ending::Lapsed);
    let ended = handle(offered.state, Input::Message(sent(&refused))).unwrap();
    let (ending, why) = ended.state.ending().unwrap();
    assert_eq!(ending, Ending::Lapsed);
    assert!(why.contains("ecash at m: the payee does not take it"), "{why}");
    assert!(why.contains("account at b: the payer does not have it"), "{why}");

    let nothing = handle(payer(&[]), Input::Begin).unwrap();
    assert_eq!(nothing.state.ending().unwrap().1, "no purse of yours fits this payment");
}

// Words of a stranger that reach a terminal as they are can rewrite what its user reads; words that grow can make a state unreadable.
#[test]
fn the_reason_of_a_refusal_is_harmless() {
    let offered = handle(payer(&[means("ecash", "m")]), Input::Begin).unwrap();
    let refusal = Message::Refusal("\u{1b}[2J".repeat(REFUSAL_MAX / 4)).to_bytes();
    let ended = handle(offered.state, Input::Message(refusal)).unwrap();
    let (_, why) = ended.state.ending().unwrap();
    assert!(why.starts_with("the payee refuses: \\u{1b}[2J") && !why.contains(char::is_control), "{why}");
}

#[test]
fn a_failed_operation_says_whether_money_moved() {
    let (payer, _, request) = requested(&[means("ecash", "m")], &[means("ecash", "m")]);
    let paying = handle(payer, Input::Message(request)).unwrap();
    let id = operation(&paying).id;
    for (money, ending) in [(Money::NotMoved, Ending::Lapsed), (Money::Unknown, Ending::Unconfirmed)] {
        let ended = handle(paying.state.clone(), failed(id, money)).unwrap();
        assert_eq!(ended.state.ending().unwrap().0, ending);
    }
    // The answer of another operation is not an answer.
    let other = handle(paying.state.clone(), failed(OperationId::of(DEAL, Slot(1), "pay"), Money::Unknown)).unwrap();
    assert_eq!(other, Step::to(paying.state.clone()));
    // Giving up does not forget money on its way: the operation decides.
    let given_up = handle(paying.state.clone(), Input::GiveUp).unwrap();
    assert_eq!((given_up.state, given_up.effects), (paying.state, vec![Effect::Abandon(*id.as_bytes())]));
}

#[test]
fn a_silent_payee_does_not_keep_the_money() {
    let (payer, _, _) = paid();
    let reclaiming = handle(payer, Input::Timer(PATIENCE)).unwrap();
    let reclaim = operation(&reclaiming);
    assert_eq!(reclaim.task, Task::Reclaim(OperationId::of(DEAL, Slot::default(), "pay")));
    for (answer, ending) in [
        (done(reclaim.id, "5.00 EUR", b""), Ending::Aborted),
        (done(reclaim.id, "0.00 EUR", b""), Ending::Success),
        (failed(reclaim.id, Money::Unknown), Ending::Unconfirmed),
    ] {
        let ended = handle(reclaiming.state.clone(), answer).unwrap();
        assert_eq!(ended.state.ending().unwrap().0, ending);
    }
}

// Coins that can be taken back only in hours must not keep a payment open that its payer has given up, nor hide a late receipt.
#[test]
fn taking_back_has_an_exit() {
    let (payer, _, _) = paid();
    let State::AwaitReceipt { request } = &payer.state else { panic!() };
    let receipt = PaymentReceipt { deal: DEAL, request: request.id(), amount: eur("5.00 EUR"), time: NOW };
    let receipt = sign(receipt.draft(Suite::Ed25519, keys(2).id()), 2);
    let reclaiming = handle(payer, Input::Timer(PATIENCE)).unwrap();
    let abandon = Effect::Abandon(*operation(&reclaiming).id.as_bytes());

    let given_up = handle(reclaiming.state.clone(), Input::GiveUp).unwrap();
    assert_eq!((&given_up.state, &given_up.effects), (&reclaiming.state, &vec![abandon.clone()]));

    let late = handle(reclaiming.state, Input::Message(Message::Receipt(receipt.clone()).to_bytes())).unwrap();
    assert_eq!(late.state.ending().unwrap().0, Ending::Success);
    assert!(late.effects.contains(&Effect::keep(&receipt)) && late.effects.contains(&abandon));
}

#[test]
fn a_receipt_is_for_this_request_and_amount() {
    let (payer, _, _) = paid();
    let State::AwaitReceipt { request } = &payer.state else { panic!() };
    let good = PaymentReceipt { deal: DEAL, request: request.id(), amount: eur("5.00 EUR"), time: NOW };
    let say = |receipt: &PaymentReceipt, by| {
        let signed = sign(receipt.draft(Suite::Ed25519, keys(2).id()), by);
        Input::Message(Message::Receipt(signed).to_bytes())
    };
    let less = PaymentReceipt { amount: eur("4.99 EUR"), ..good.clone() };
    let other = PaymentReceipt { deal: DealId::from_array([8; 16]), ..good.clone() };
    for wrong in [less, other] {
        assert!(matches!(handle(payer.clone(), say(&wrong, 2)), Err(PayError::PeerMismatch { .. })));
    }
    assert!(matches!(handle(payer.clone(), say(&good, 3)), Err(PayError::PeerSignature { .. })));
    assert_eq!(handle(payer, say(&good, 2)).unwrap().state.ending().unwrap().0, Ending::Success);
}
