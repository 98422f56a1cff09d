//! Payments: authorise, capture, void, refund, expiry; and tokens that are not what they should be.

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Encode;
use semper_core::time::{Seconds, Time};
use semper_payment::account::answer::{Authorisation, Booking, HoldState, What};
use semper_payment::account::bank::operator::Access;
use semper_payment::account::payment::{Capture, Instruction, Level, Token};
use semper_payment::account::problem::ProblemKind;
use semper_payment::account::request::{Action, Rest};
use semper_support::crypto::Signer;
use semper_transfer::payment::statement::instruction_hash;

use super::world::{Customer, World, digest, eur, takes};

fn authorise(token: Token) -> Action {
    Action::Authorise { token, capture: None }
}

async fn pair(world: &World) -> (Customer, Customer) {
    (world.customer(1000).await, world.customer(0).await)
}

#[tokio::test]
async fn a_plain_payment_is_one_request() {
    for level in [Level::One, Level::Two, Level::Three] {
        let world = World::with_fees().await;
        let (alice, bob) = pair(&world).await;
        let said = world.said(&alice, &bob, 300, level);
        let token = world.token(&alice, &said);
        let request = world.request(&bob.keys, Some(bob.number), takes(token.clone(), 300));
        let bytes = world.bank.request(request.bytes()).await.unwrap();
        let booking: Booking = world.read(&bytes);
        assert_eq!((booking.what, booking.amount, booking.order), (What::Payment, eur(300), Some(said.order)));
        assert_eq!((booking.payee, booking.hold), (bob.keys.key_set().id(), Some(token.hold())));
        assert_eq!(world.bank.request(request.bytes()).await.unwrap(), bytes);
        // 300, and a fee of 2 and 3.
        assert_eq!((world.money(&alice).await, world.money(&bob).await), ((695, 0), (300, 0)));
        // The payer finds the same booking.
        let found = world.ask(&alice, Action::Booking { hold: token.hold(), number: 0 }).await.unwrap();
        assert_eq!(found, bytes);
        world.audit().await;
    }
}

// A payee that took all but a cent of what it was paid would owe no receipt for the whole.
#[tokio::test]
async fn a_payment_for_a_request_is_taken_whole_or_not_at_all() {
    let world = World::with_fees().await;
    let (alice, bob) = pair(&world).await;
    let mut said = world.said(&alice, &bob, 500, Level::Two);
    said.instruction.capture = Capture::Whole;
    let token = world.token(&alice, &said);
    let hold = token.hold();
    world.authorised(&bob, authorise(token)).await;
    let capture = |minor| Action::Capture { hold, amount: eur(minor), rest: Rest::Release };
    world.refused(&bob, capture(499), ProblemKind::Limits).await;
    assert_eq!(world.booked(&bob, capture(500)).await.amount, eur(500));
    let mut other = world.said(&alice, &bob, 100, Level::Two);
    other.instruction.capture = Capture::Whole;
    let part = Action::Authorise { token: world.token(&alice, &other), capture: Some(eur(99)) };
    world.refused(&bob, part, ProblemKind::Limits).await;
    world.audit().await;
}

#[tokio::test]
async fn money_is_held_then_taken_in_parts_and_the_rest_let_go() {
    let world = World::with_fees().await;
    let (alice, bob) = pair(&world).await;
    let token = world.pays(&alice, &bob, 500);
    let hold = token.hold();
    let held = world.authorised(&bob, authorise(token.clone())).await;
    assert_eq!((held.state, held.amount, held.payee), (HoldState::Held, eur(500), bob.keys.key_set().id()));
    assert_eq!(held.order, token.order.order);
    // Held: 500, and the most that the fee can become, 2 and 5.
    assert_eq!(world.money(&alice).await, (1000, 507));
    // The same token again is the same hold.
    assert_eq!(world.authorised(&bob, authorise(token)).await, held);
    let capture = |minor, rest| Action::Capture { hold, amount: eur(minor), rest };
    let first = world.booked(&bob, capture(100, Rest::Keep)).await;
    assert_eq!(first.amount, eur(100));
    assert_eq!(world.money(&alice).await, (1000 - 103, 507 - 103));
    world.refused(&bob, capture(401, Rest::Keep), ProblemKind::TooMuch).await;
    world.booked(&bob, capture(150, Rest::Release)).await;
    // 250 in all; the fee for 250 is 2 and 3 (rounded up), not two fees.
    assert_eq!((world.money(&alice).await, world.money(&bob).await), ((745, 0), (250, 0)));
    world.refused(&bob, capture(1, Rest::Keep), ProblemKind::NotHeld).await;
    world.refused(&bob, Action::Void { hold }, ProblemKind::NotHeld).await;
    let ended = world.authorised(&alice, Action::Hold { hold }).await;
    assert_eq!((ended.state, ended.captured, ended.bookings), (HoldState::Captured, 250, 2));
    world.audit().await;
}

#[tokio::test]
async fn a_payee_lets_money_go() {
    let world = World::new().await;
    let (alice, bob) = pair(&world).await;
    let token = world.pays(&alice, &bob, 400);
    let hold = token.hold();
    world.authorised(&bob, authorise(token.clone())).await;
    let voided = world.authorised(&bob, Action::Void { hold }).await;
    assert_eq!(voided.state, HoldState::Void);
    assert_eq!(world.money(&alice).await, (1000, 0));
    world.refused(&bob, takes(token.clone(), 400), ProblemKind::TokenUsed).await;
    world.refused(&bob, authorise(token), ProblemKind::TokenUsed).await;
}

// "Until" means: not any more in that second. A bank that is a second off either takes a payer's money or a payee's.
#[tokio::test]
async fn a_hold_ends_at_the_exact_second() {
    for early in [1, 0] {
        let world = World::new().await;
        let (alice, bob) = pair(&world).await;
        let token = world.pays(&alice, &bob, 400);
        let hold = token.hold();
        let held = world.authorised(&bob, authorise(token)).await;
        world.set_time(held.expires.before(Seconds(early)));
        let capture = Action::Capture { hold, amount: eur(400), rest: Rest::Release };
        if early == 1 {
            world.bank.close_due().await.unwrap();
            world.booked(&bob, capture).await;
        } else {
            world.refused(&bob, capture, ProblemKind::NotHeld).await;
        }
    }
}

#[tokio::test]
async fn a_timer_lets_held_money_go() {
    let world = World::new().await;
    let (alice, bob) = pair(&world).await;
    let token = world.pays(&alice, &bob, 400);
    let hold = token.hold();
    let held = world.authorised(&bob, authorise(token)).await;
    assert_eq!(world.bank.next_due().await.unwrap(), Some(held.expires));
    world.set_time(held.expires.before(Seconds(1)));
    assert_eq!(world.bank.close_due().await.unwrap(), 0);
    assert_eq!(world.money(&alice).await, (1000, 400));
    world.set_time(held.expires);
    assert_eq!(world.bank.close_due().await.unwrap(), 1);
    assert_eq!(world.bank.close_due().await.unwrap(), 0);
    assert_eq!(world.money(&alice).await, (1000, 0));
    assert_eq!(world.authorised(&alice, Action::Hold { hold }).await.state, HoldState::Expired);
    // A hold from which something was taken ends as captured.
    let token = world.pays(&alice, &bob, 400);
    let hold = token.hold();
    let held = world.authorised(&bob, authorise(token)).await;
    world.booked(&bob, Action::Capture { hold, amount: eur(1), rest: Rest::Keep }).await;
    world.set_time(held.expires);
    world.bank.close_due().await.unwrap();
    let ended = world.authorised(&bob, Action::Hold { hold }).await;
    assert_eq!((ended.state, ended.captured), (HoldState::Captured, 1));
    assert_eq!(world.money(&alice).await, (999, 0));
    world.audit().await;
}

#[tokio::test]
async fn a_payee_gives_money_back_within_the_window() {
    let world = World::new().await;
    let (alice, bob) = pair(&world).await;
    let token = world.pays(&alice, &bob, 400);
    let hold = token.hold();
    world.booked(&bob, takes(token, 400)).await;
    let refund = |minor| Action::Refund { hold, amount: eur(minor) };
    world.refused(&alice, refund(1), ProblemKind::UnknownHold).await;
    world.refused(&bob, refund(401), ProblemKind::TooMuch).await;
    let booking = world.booked(&bob, refund(150)).await;
    assert_eq!((booking.what, booking.amount), (What::Refund, eur(150)));
    world.refused(&bob, refund(251), ProblemKind::TooMuch).await;
    let window = world.rules.refund_window;
    world.set_time(world.now().after(window));
    world.booked(&bob, refund(50)).await;
    world.set_time(world.now().after(Seconds(1)));
    world.refused(&bob, refund(1), ProblemKind::RefundOver).await;
    assert_eq!((world.money(&alice).await, world.money(&bob).await), ((800, 0), (200, 0)));
    world.audit().await;
}

#[tokio::test]
async fn a_payer_takes_back_what_was_not_handed_in() {
    let world = World::new().await;
    let (alice, bob) = pair(&world).await;
    let token = world.pays(&alice, &bob, 400);
    let hold = token.hold();
    let revoked = world.authorised(&alice, Action::Revoke { hold }).await;
    assert_eq!(revoked.state, HoldState::Revoked);
    assert_eq!(world.authorised(&alice, Action::Revoke { hold }).await.state, HoldState::Revoked);
    world.refused(&bob, takes(token, 400), ProblemKind::TokenUsed).await;
    // Once it is handed in, the payer waits for its end.
    let token = world.pays(&alice, &bob, 400);
    let hold = token.hold();
    let held = world.authorised(&bob, authorise(token)).await;
    world.refused(&alice, Action::Revoke { hold }, ProblemKind::StillHeld).await;
    world.set_time(held.expires);
    assert_eq!(world.authorised(&alice, Action::Revoke { hold }).await.state, HoldState::Expired);
    assert_eq!(world.money(&alice).await, (1000, 0));
    // What the payee has taken stays taken.
    let token = world.pays(&alice, &bob, 400);
    let hold = token.hold();
    world.booked(&bob, takes(token, 400)).await;
    let gone: Authorisation = world.authorised(&alice, Action::Revoke { hold }).await;
    assert_eq!((gone.state, gone.captured), (HoldState::Captured, 400));
    assert_eq!(world.money(&alice).await, (600, 0));
}

// The dual signature's two halves, taken apart and joined otherwise: whoever changes anything gets nothing.
#[tokio::test]
async fn a_token_that_was_tampered_with_moves_nothing() {
    let world = World::new().await;
    let (alice, bob, eve) = (world.customer(1000).await, world.customer(0).await, world.customer(1000).await);
    let until = world.now().after(Seconds(3600));
    let context = Instruction::context(world.terms().key_set.id());
    for level in [Level::One, Level::Two, Level::Three] {
        let said = || world.said(&alice, &bob, 400, level);
        // The payee asks for more than was ordered, and names another order: the sealed half does not fit.
        let mut more = said();
        let sealed = world.token(&alice, &more).sealed;
        more.amount = eur(500);
        world.refused(&bob, takes(world.token_of(&alice, &more, sealed.clone()), 500), ProblemKind::BadToken).await;
        let mut other = said();
        other.order = digest(77);
        world.refused(&bob, takes(world.token_of(&alice, &other, sealed), 400), ProblemKind::BadToken).await;
        // The payer of another payment: Eve's order with Alice's instruction.
        let token = world.token(&alice, &said());
        let mut sealed = token.sealed.clone();
        *sealed.last_mut().unwrap() ^= 1;
        let mut broken = token.clone();
        broken.order.instruction = instruction_hash(&sealed);
        (broken.sealed, broken.signature) = (sealed, None);
        world.refused(&bob, takes(broken, 400), ProblemKind::BadToken).await;
        // Another payee takes it: the label was swapped.
        world.refused(&eve, takes(token.clone(), 400), ProblemKind::BadToken).await;
        // Another bank.
        let mut elsewhere = token.clone();
        elsewhere.order.issuer = "https://other.example".to_owned();
        elsewhere.signature = None;
        world.refused(&bob, takes(elsewhere, 400), ProblemKind::BadToken).await;
        // Eve orders that Alice pays: she has neither Alice's key nor Alice's secret.
        let forged = world.token(&eve, &said());
        world.refused(&bob, takes(forged, 400), ProblemKind::BadToken).await;
        let mut unsigned = world.token(&alice, &said());
        unsigned.signature = match unsigned.signature {
            Some(_) => None,
            None => Some(super::world::sign(&alice.keys, &unsigned.order)),
        };
        world.refused(&bob, takes(unsigned, 400), ProblemKind::BadToken).await;
        // Too late, too long, nothing, or in a foreign currency.
        let mut late = said();
        late.instruction.authorise_before = world.now();
        world.refused(&bob, takes(world.token(&alice, &late), 400), ProblemKind::TokenExpired).await;
        for held_until in [world.now(), world.now().after(world.rules.hold_longest).after(Seconds(1))] {
            let mut long = said();
            long.instruction.held_until = held_until;
            world.refused(&bob, takes(world.token(&alice, &long), 400), ProblemKind::BadToken).await;
        }
        let mut none = said();
        (none.amount, none.instruction.amount) = (eur(0), eur(0));
        world.refused(&bob, takes(world.token(&alice, &none), 0), ProblemKind::Limits).await;
        let mut dollars = said();
        let dollar = Amount::new(400, Currency::parse("USD").unwrap()).unwrap();
        (dollars.amount, dollars.instruction.amount) = (dollar, dollar);
        world.refused(&bob, authorise(world.token(&alice, &dollars)), ProblemKind::WrongCurrency).await;
        assert!(until > world.now() && !context.is_empty());
        // The good one is still good.
        world.booked(&bob, takes(token, 400)).await;
        world
            .bank
            .by_hand(world.id(), semper_payment::account::bank::operator::Direction::In, alice.number, eur(400), "")
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_token_is_used_once_under_whatever_seal() {
    let world = World::new().await;
    let (alice, bob) = pair(&world).await;
    let said = world.said(&alice, &bob, 300, Level::Two);
    let token = world.token(&alice, &said);
    world.booked(&bob, takes(token.clone(), 300)).await;
    world.refused(&bob, takes(token, 300), ProblemKind::TokenUsed).await;
    // The same instruction, sealed again: only the payer could do it, and it pays once all the same.
    let resealed = world.token(&alice, &said);
    world.refused(&bob, takes(resealed, 300), ProblemKind::TokenUsed).await;
    assert_eq!(world.money(&alice).await, (700, 0));
}

#[tokio::test]
async fn a_level_demands_its_certificates() {
    let world = World::new().await;
    let (alice, bob) = pair(&world).await;
    let plain = world.customer_in("EUR", 1000, Vec::new()).await;
    for (payer, payee, level, good) in [
        (&alice, &plain, Level::One, true),
        (&alice, &plain, Level::Two, false),
        (&plain, &bob, Level::Two, true),
        (&plain, &bob, Level::Three, false),
        (&alice, &bob, Level::Three, true),
    ] {
        let token = world.token(payer, &world.said(payer, payee, 10, level));
        if good {
            world.booked(payee, takes(token, 10)).await;
        } else {
            world.refused(payee, takes(token, 10), ProblemKind::LevelRefused).await;
        }
    }
}

// The payee is told that the payer's bank declines, never why: how much somebody has is none of its business.
#[tokio::test]
async fn what_is_wrong_with_the_payers_account_is_not_told() {
    let world = World::with_fees().await;
    let (alice, bob) = pair(&world).await;
    // 990 and the fee of 2 and 10 are 1002.
    world.refused(&bob, takes(world.pays(&alice, &bob, 990), 990), ProblemKind::Declined).await;
    let mut dear = world.said(&alice, &bob, 100, Level::Two);
    dear.instruction.fee_most = eur(2);
    world.refused(&bob, takes(world.token(&alice, &dear), 100), ProblemKind::Declined).await;
    world.bank.set_access(alice.number, Access::Frozen).await.unwrap();
    let refusal = world.ask(&bob, takes(world.pays(&alice, &bob, 1), 1)).await.unwrap_err();
    assert_eq!(refusal.kind, ProblemKind::Declined);
    assert!(!refusal.to_json().contains("frozen"));
    world.bank.set_access(alice.number, Access::Open).await.unwrap();
    world.booked(&bob, takes(world.pays(&alice, &bob, 988), 988)).await;
    assert_eq!(world.money(&alice).await, (0, 0));
}

#[tokio::test]
async fn a_hold_is_nobody_elses_business() {
    let world = World::new().await;
    let (alice, bob, eve) = (world.customer(1000).await, world.customer(0).await, world.customer(0).await);
    let token = world.pays(&alice, &bob, 400);
    let hold = token.hold();
    world.authorised(&bob, authorise(token.clone())).await;
    for action in [
        Action::Hold { hold },
        Action::Booking { hold, number: 0 },
        Action::Void { hold },
        Action::Revoke { hold },
        Action::Refund { hold, amount: eur(1) },
        Action::Capture { hold, amount: eur(1), rest: Rest::Keep },
    ] {
        world.refused(&eve, action, ProblemKind::UnknownHold).await;
    }
    world.refused(&eve, authorise(token), ProblemKind::TokenUsed).await;
    // The payer cannot take from its own hold either.
    world.refused(&alice, Action::Capture { hold, amount: eur(1), rest: Rest::Keep }, ProblemKind::UnknownHold).await;
    world.refused(&alice, Action::Void { hold }, ProblemKind::UnknownHold).await;
    world.refused(&bob, Action::Booking { hold, number: 0 }, ProblemKind::UnknownHold).await;
}

#[test]
fn bytes_that_do_not_belong_together_are_no_token() {
    use semper_core::cbor::Decode;
    let order = semper_transfer::payment::statement::PaymentOrder {
        order: digest(1),
        amount: eur(1),
        system: semper_transfer::payment::means::System::parse("account").unwrap(),
        issuer: "b".to_owned(),
        instruction: instruction_hash(b"one"),
        time: Time::from_unix(1),
    };
    let good = Token { sealed: b"one".to_vec(), order: order.clone(), signature: None };
    assert_eq!(Token::from_bytes(&good.to_bytes()).unwrap(), good);
    let bad = Token { sealed: b"two".to_vec(), order, signature: None };
    assert!(Token::from_bytes(&bad.to_bytes()).is_err());
}
