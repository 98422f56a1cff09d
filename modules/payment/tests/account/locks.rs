//! Conditional holds: money that only a signed release of the other side or of the arbiter moves, and its date.

use std::sync::Arc;

use semper_core::party::Suite;
use semper_core::time::Seconds;
use semper_crypto::SecretKeys;
use semper_payment::account::answer::HoldState;
use semper_payment::account::payment::Level;
use semper_payment::account::problem::ProblemKind;
use semper_payment::account::request::{Action, Rest};
use semper_transfer::payment::statement::{Release, Side};

use super::world::{Customer, World, digest, eur, release, sign, takes};

struct Scene {
    world: World,
    payer: Customer,
    payee: Customer,
    arbiter: SecretKeys,
    hold: semper_core::hash::Digest,
    tag: semper_core::hash::Digest,
}

/// 400 of the payer's 1000 are held on the condition.
async fn scene() -> Scene {
    let world = World::new().await;
    let (payer, payee) = (world.customer(1000).await, world.customer(0).await);
    let arbiter = SecretKeys::generate(Suite::Ed25519).unwrap();
    let token = world.locks(&payer, &payee, &arbiter, 400);
    let (hold, tag) = (token.hold(), token.order.order);
    let held = world.authorised(&payee, Action::Authorise { token, capture: None }).await;
    assert!(held.condition.is_some());
    Scene { world, payer, payee, arbiter, hold, tag }
}

impl Scene {
    fn settle(&self, by: &SecretKeys, to: Side, minor: u64) -> Action {
        Action::Settle { hold: self.hold, release: release(by, self.tag, to, minor) }
    }

    async fn money(&self) -> ((i64, u64), i64) {
        (self.world.money(&self.payer).await, self.world.money(&self.payee).await.0)
    }
}

#[tokio::test]
async fn neither_side_moves_it_alone() {
    let scene = scene().await;
    let (world, hold) = (&scene.world, scene.hold);
    let capture = Action::Capture { hold, amount: eur(400), rest: Rest::Release };
    world.refused(&scene.payee, capture, ProblemKind::Conditional).await;
    world.refused(&scene.payee, Action::Void { hold }, ProblemKind::Conditional).await;
    world.refused(&scene.payer, Action::Revoke { hold }, ProblemKind::StillHeld).await;
    // Each side's own word in its own favour, and a stranger's, are worth nothing.
    let stranger = SecretKeys::generate(Suite::Ed25519).unwrap();
    for (keys, to) in [
        (&scene.payee.keys, Side::Payee),
        (&scene.payer.keys, Side::Payer),
        (&stranger, Side::Payee),
        (&stranger, Side::Payer),
    ] {
        world.refused(&scene.payee, scene.settle(keys, to, 400), ProblemKind::BadRelease).await;
        world.refused(&scene.payer, scene.settle(keys, to, 400), ProblemKind::BadRelease).await;
    }
    // Nor is a good one for another lock, another bank or more money.
    let other_tag = Action::Settle { hold, release: release(&scene.arbiter, digest(5), Side::Payee, 400) };
    world.refused(&scene.payee, other_tag, ProblemKind::BadRelease).await;
    world.refused(&scene.payee, scene.settle(&scene.arbiter, Side::Payee, 401), ProblemKind::BadRelease).await;
    let elsewhere =
        Release { tag: scene.tag, issuer: "https://other.example".to_owned(), to: Side::Payee, amount: eur(400) };
    let elsewhere = Action::Settle { hold, release: sign(&scene.arbiter, &elsewhere) };
    world.refused(&scene.payee, elsewhere, ProblemKind::BadRelease).await;
    // A capture in the same request as the authorisation is refused as a whole.
    let token = world.locks(&scene.payer, &scene.payee, &scene.arbiter, 10);
    world.refused(&scene.payee, takes(token, 10), ProblemKind::Conditional).await;
    assert_eq!(scene.money().await, ((1000, 400), 0));
}

#[tokio::test]
async fn whoever_may_decide_decides_it_all_or_in_parts() {
    for (by_arbiter, to, minor, payee_gets) in [
        (false, Side::Payee, 400, 400),
        (true, Side::Payee, 400, 400),
        (false, Side::Payer, 400, 0),
        (true, Side::Payer, 400, 0),
        (true, Side::Payee, 150, 150),
        (true, Side::Payer, 150, 250),
        (false, Side::Payee, 1, 1),
    ] {
        for presented_by_payer in [false, true] {
            let scene = scene().await;
            let other = if to == Side::Payee { &scene.payer.keys } else { &scene.payee.keys };
            let keys = if by_arbiter { &scene.arbiter } else { other };
            let presents = if presented_by_payer { &scene.payer } else { &scene.payee };
            let request = scene.settle(keys, to, minor);
            let signed = scene.world.request(&presents.keys, Some(presents.number), request);
            let first = scene.world.bank.request(signed.bytes()).await.unwrap();
            assert_eq!(scene.world.bank.request(signed.bytes()).await.unwrap(), first);
            let left = 1000 - payee_gets;
            assert_eq!(scene.money().await, ((left, 0), payee_gets), "{to:?} {minor}");
            let state = if payee_gets == 0 { HoldState::Void } else { HoldState::Captured };
            let ended = scene.world.authorised(&scene.payer, Action::Hold { hold: scene.hold }).await;
            assert_eq!(ended.state, state);
            // Once: nothing moves it again, not even the other verdict.
            let back = if to == Side::Payee { Side::Payer } else { Side::Payee };
            scene.world.refused(&scene.payee, scene.settle(&scene.arbiter, back, 400), ProblemKind::NotHeld).await;
            scene.world.audit().await;
        }
    }
}

#[tokio::test]
async fn a_stranger_cannot_have_a_release_carried_out() {
    let scene = scene().await;
    let eve = scene.world.customer(0).await;
    scene.world.refused(&eve, scene.settle(&scene.arbiter, Side::Payee, 400), ProblemKind::UnknownHold).await;
}

#[tokio::test]
async fn the_date_gives_it_back_at_the_exact_second() {
    for early in [1, 0] {
        let scene = scene().await;
        let world = &scene.world;
        let expires = world.authorised(&scene.payer, Action::Hold { hold: scene.hold }).await.expires;
        world.set_time(expires.before(Seconds(early)));
        if early == 1 {
            world.refused(&scene.payer, Action::Revoke { hold: scene.hold }, ProblemKind::StillHeld).await;
            world.booked(&scene.payee, scene.settle(&scene.arbiter, Side::Payee, 400)).await;
            assert_eq!(scene.money().await, ((600, 0), 400));
        } else {
            world.refused(&scene.payee, scene.settle(&scene.arbiter, Side::Payee, 400), ProblemKind::NotHeld).await;
            world.authorised(&scene.payer, Action::Revoke { hold: scene.hold }).await;
            assert_eq!(scene.money().await, ((1000, 0), 0));
        }
    }
}

// The payer and the payee both hold a good release, and ask at the same moment: one wins, and it wins everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_releases_that_contradict_each_other_the_first_counts() {
    let mut paid = 0;
    for _ in 0..20 {
        let scene = Arc::new(scene().await);
        let to_payee = scene.settle(&scene.payer.keys, Side::Payee, 400);
        let to_payer = scene.settle(&scene.payee.keys, Side::Payer, 400);
        let (one, two) = (scene.clone(), scene.clone());
        let one = tokio::spawn(async move { one.world.ask(&one.payee, to_payee).await.is_ok() });
        let two = tokio::spawn(async move { two.world.ask(&two.payer, to_payer).await.is_ok() });
        let (payee_won, payer_won) = (one.await.unwrap(), two.await.unwrap());
        assert!(payee_won != payer_won, "both won, or none");
        let money = if payee_won { ((600, 0), 400) } else { ((1000, 0), 0) };
        assert_eq!(scene.money().await, money);
        scene.world.audit().await;
        paid += u32::from(payee_won);
    }
    println!("the payee won {paid} of 20 races");
}

// The condition is part of what the payer's MAC covers, and must be about this payment and payee.
#[tokio::test]
async fn a_condition_for_another_lock_or_payee_is_refused() {
    let scene = scene().await;
    let world = &scene.world;
    let mut other_tag = world.said(&scene.payer, &scene.payee, 10, Level::Two);
    let condition = semper_payment::account::payment::Condition {
        tag: digest(99),
        payer: semper_support::crypto::Signer::key_set(&scene.payer.keys).clone(),
        payee: semper_support::crypto::Signer::key_set(&scene.payee.keys).clone(),
        arbiter: semper_support::crypto::Signer::key_set(&scene.arbiter).clone(),
    };
    other_tag.instruction.condition = Some(condition.clone());
    let token = world.token(&scene.payer, &other_tag);
    world.refused(&scene.payee, Action::Authorise { token, capture: None }, ProblemKind::BadToken).await;
    let mut other_payee = world.said(&scene.payer, &scene.payee, 10, Level::Two);
    let payee = condition.arbiter.clone();
    other_payee.instruction.condition =
        Some(semper_payment::account::payment::Condition { tag: other_payee.order, payee, ..condition });
    let token = world.token(&scene.payer, &other_payee);
    world.refused(&scene.payee, Action::Authorise { token, capture: None }, ProblemKind::BadToken).await;
}
