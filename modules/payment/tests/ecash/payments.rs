//! Payments with coins: taken once, given back if the payment failed, with change, and never lost or doubled between.

#![allow(clippy::unwrap_used)]

use cashu::Proof;
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::{Answer, MeltQuoteAnswer, MeltQuoteRequest, Refusal};

use crate::support::{
    METHOD, START, Wanted, World, code, melt_request, quote_request, secret_key, state_of, swap_all, total,
};

/// Somebody else's invoice over an amount: one of a mint in another world.
pub(crate) async fn invoice(amount: u64) -> String {
    let other = World::new().await;
    other.mint.mint_quote(METHOD, quote_request(amount, Unit::Eur)).await.unwrap().request
}

pub(crate) async fn quote(world: &World, request: String) -> MeltQuoteAnswer {
    let asked = MeltQuoteRequest { request, unit: "eur".to_owned() };
    world.mint.melt_quote(METHOD, asked).await.unwrap()
}

fn blanks(world: &World, count: usize) -> Wanted {
    Wanted::new(world.active(Unit::Eur), &vec![1; count])
}

#[tokio::test]
async fn a_payment_takes_the_coins_and_gives_change() {
    let world = World::new().await;
    let coins = world.coins(Unit::Eur, &[64, 32, 16]).await;
    let quote = quote(&world, invoice(100).await).await;
    assert_eq!((quote.amount, quote.fee_reserve, quote.state.as_str()), (100, 1, "UNPAID"));
    let blanks = blanks(&world, 8);
    let request = melt_request(&quote.quote, &coins, Some(&blanks));
    let answer = world.mint.melt(METHOD, request.clone()).await.unwrap();
    assert_eq!(answer.state, "PAID");
    let change = blanks.coins(answer.change.clone().unwrap());
    assert_eq!(change.iter().map(|coin| coin.amount.to_u64()).collect::<Vec<_>>(), [4, 8], "112 - 100");
    assert_eq!((world.money.spent(), world.outstanding().await), (100, 12));

    // The same request gets the same bytes, after a crash too; another one for the same quote does not.
    let again = world.restarted().await.melt(METHOD, request).await.unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&answer).unwrap());
    assert_eq!(world.mint.melt_quote_state(METHOD, &quote.quote).await.unwrap(), answer);
    let more = world.coins(Unit::Eur, &[128]).await;
    assert_eq!(code(world.mint.melt(METHOD, melt_request(&quote.quote, &more, None)).await), 20006);
    assert_eq!(world.money.spent(), 100);
    // The change is money, and its blank outputs were signed.
    let (swap, _) = swap_all(world.active(Unit::Eur), &change, 0);
    world.mint.swap(swap).await.unwrap();
    let restored = world.mint.restore(cashu::RestoreRequest { outputs: blanks.outputs() }).await.unwrap();
    assert_eq!(restored.signatures, answer.change.unwrap(), "blanks without a value are not restored");
    let reused = cashu::SwapRequest::new(
        more,
        vec![{
            let mut output = blanks.outputs()[7].clone();
            output.amount = 128.into();
            output
        }],
    );
    assert_eq!(code(world.mint.swap(reused).await), 11003);
}

#[tokio::test]
async fn what_is_not_enough_or_not_right_is_refused() {
    let world = World::new().await;
    let coins = world.coins(Unit::Eur, &[64, 32, 4]).await;
    let dollars = world.coins(Unit::Usd, &[128]).await;
    let quoted = quote(&world, invoice(100).await).await;
    let before = world.audit().await;
    let try_with = async |coins: &[Proof], blanks: Option<&Wanted>| {
        let result = world.mint.melt(METHOD, melt_request(&quoted.quote, coins, blanks)).await;
        assert_eq!(world.audit().await, before);
        code(result)
    };
    assert_eq!(try_with(&coins, None).await, 11005, "no room for the fee reserve");
    assert_eq!(try_with(&dollars, None).await, 11010);
    assert_eq!(try_with(&[], None).await, 0);
    assert_eq!(try_with(&[coins[0].clone(), coins[0].clone()], None).await, 11007);
    let mut false_coins = coins.clone();
    false_coins[0].amount = 128.into();
    assert_eq!(try_with(&false_coins, None).await, 10001);
    let in_dollars = Wanted::new(world.active(Unit::Usd), &[1]);
    let enough = world.coins(Unit::Eur, &[128]).await;
    let before = world.audit().await;
    let result = world.mint.melt(METHOD, melt_request(&quoted.quote, &enough, Some(&in_dollars))).await;
    assert_eq!((code(result), world.audit().await), (11010, before.clone()));
    let result = world.mint.melt(METHOD, melt_request(&quoted.quote, &enough, Some(&blanks(&world, 65)))).await;
    assert_eq!((code(result), world.audit().await), (11015, before.clone()));
    world.later(quoted.expiry - START + 1);
    let result = world.mint.melt(METHOD, melt_request(&quoted.quote, &enough, None)).await;
    assert_eq!((code(result), world.audit().await), (20007, before));

    let asked = |request: &str| MeltQuoteRequest { request: request.to_owned(), unit: "eur".to_owned() };
    assert_eq!(world.mint.melt_quote(METHOD, asked("no invoice")).await.unwrap_err().name(), "bad-request");
    let gbp = MeltQuoteRequest { unit: "gbp".to_owned(), ..asked("x") };
    assert_eq!(code(world.mint.melt_quote(METHOD, gbp).await), 11013);
    assert_eq!(world.money.spent(), 0);
}

#[tokio::test]
async fn coins_are_pending_until_the_payment_ends() {
    let world = World::new().await;
    world.money.answer(Answer::Pending);
    let coins = world.coins(Unit::Eur, &[64, 64]).await;
    let quoted = quote(&world, invoice(100).await).await;
    let blanks = blanks(&world, 8);
    let request = melt_request(&quoted.quote, &coins, Some(&blanks));
    let answer = world.mint.melt(METHOD, request.clone()).await.unwrap();
    assert_eq!((answer.state.as_str(), state_of(&world.mint, &coins[0]).await.as_str()), ("PENDING", "PENDING"));
    let (swap, _) = swap_all(world.active(Unit::Eur), &coins, 0);
    assert_eq!(code(world.mint.swap(swap.clone()).await), 11002);
    let other_coins = world.coins(Unit::Eur, &[128]).await;
    assert_eq!(code(world.mint.melt(METHOD, melt_request(&quoted.quote, &other_coins, None)).await), 20005);
    let promised = cashu::SwapRequest::new(
        other_coins,
        vec![{
            let mut output = blanks.outputs()[0].clone();
            output.amount = 128.into();
            output
        }],
    );
    assert_eq!(code(world.mint.swap(promised).await), 11004);
    assert_eq!(world.mint.melt(METHOD, request.clone()).await.unwrap(), answer, "still pending");

    // The mint crashes; the payment ends; the loop of the new process finds out.
    let mint = world.restarted().await;
    mint.poll().await;
    assert_eq!(mint.melt_quote_state(METHOD, &quoted.quote).await.unwrap().state, "PENDING");
    world.money.answer(Answer::Paid { fee: 1 });
    mint.poll().await;
    assert_eq!(state_of(&mint, &coins[0]).await, "PENDING", "it is asked after only when it is due again");
    world.later(60);
    mint.poll().await;
    let paid = mint.melt_quote_state(METHOD, &quoted.quote).await.unwrap();
    assert_eq!((paid.state.as_str(), state_of(&mint, &coins[0]).await.as_str()), ("PAID", "SPENT"));
    assert_eq!(total(&blanks.coins(paid.change.unwrap())), 27);
    assert_eq!(code(mint.swap(swap).await), 11001);
    assert_eq!((world.money.spent(), world.outstanding().await), (101, 27 + 128));
    assert!(
        world.archive.timers_due(semper_core::time::Time::MAX, 10).await.unwrap().is_empty(),
        "nothing is asked after any more"
    );
}

#[tokio::test]
async fn a_failed_payment_sets_the_coins_free_and_may_be_tried_again() {
    let world = World::new().await;
    world.money.answer(Answer::Failed);
    let coins = world.coins(Unit::Eur, &[128]).await;
    let quoted = quote(&world, invoice(100).await).await;
    let blanks = blanks(&world, 7);
    let request = melt_request(&quoted.quote, &coins, Some(&blanks));
    for _ in 0..2 {
        let refusal = world.mint.melt(METHOD, request.clone()).await.unwrap_err();
        assert_eq!((refusal.code(), refusal.to_string().contains("no route")), (20004, true));
        assert_eq!(state_of(&world.mint, &coins[0]).await, "UNSPENT");
        assert_eq!(world.outstanding().await, 128);
    }
    assert_eq!(world.mint.melt_quote_state(METHOD, &quoted.quote).await.unwrap().state, "UNPAID");
    world.money.answer(Answer::Paid { fee: 0 });
    let paid = world.mint.melt(METHOD, request).await.unwrap();
    assert_eq!((paid.state.as_str(), total(&blanks.coins(paid.change.unwrap()))), ("PAID", 28));
    assert_eq!(state_of(&world.mint, &coins[0]).await, "SPENT");
    let (swap, _) = swap_all(world.active(Unit::Eur), &coins, 0);
    assert_eq!(code(world.mint.swap(swap).await), 11001);
    assert_eq!((world.money.spent(), world.outstanding().await), (100, 28));
}

// After a failed payment the coins go elsewhere; the old quote must not find them again.
#[tokio::test]
async fn coins_that_came_back_are_spent_once() {
    let world = World::new().await;
    world.money.answer(Answer::Failed);
    let coins = world.coins(Unit::Eur, &[128]).await;
    let quoted = quote(&world, invoice(100).await).await;
    let request = melt_request(&quoted.quote, &coins, None);
    assert_eq!(code(world.mint.melt(METHOD, request.clone()).await), 20004);
    let (swap, wanted) = swap_all(world.active(Unit::Eur), &coins, 0);
    let answer = world.mint.swap(swap.clone()).await.unwrap();
    assert_eq!(world.mint.swap(swap).await.unwrap(), answer, "the repetition");
    world.money.answer(Answer::Paid { fee: 0 });
    assert_eq!(code(world.mint.melt(METHOD, request).await), 11001);
    assert_eq!(state_of(&world.mint, &coins[0]).await, "SPENT");
    assert_eq!((world.money.spent(), world.outstanding().await), (0, 128));
    // The quote is still good with other coins.
    let fresh = wanted.coins(answer.signatures);
    assert_eq!(world.mint.melt(METHOD, melt_request(&quoted.quote, &fresh, None)).await.unwrap().state, "PAID");
}

// Looking a coin up is bounded; a coin that came back too often must still be money.
#[tokio::test]
async fn coins_that_came_back_too_often_can_be_swapped() {
    let world = World::new().await;
    world.money.answer(Answer::Failed);
    let coins = world.coins(Unit::Eur, &[128]).await;
    let (first, second) = (quote(&world, invoice(100).await).await, quote(&world, invoice(99).await).await);
    let mut codes = Vec::new();
    for quote in [&first, &second] {
        for _ in 0..20 {
            codes.push(world.mint.melt(METHOD, melt_request(&quote.quote, &coins, None)).await.unwrap_err().name());
        }
    }
    assert_eq!(codes.iter().filter(|name| **name == "payment-failed").count(), 32, "{codes:?}");
    assert_eq!(codes.last(), Some(&"too-many-returns"));
    assert_eq!((state_of(&world.mint, &coins[0]).await.as_str(), world.outstanding().await), ("UNSPENT", 128));
    let (swap, _) = swap_all(world.active(Unit::Eur), &coins, 0);
    world.mint.swap(swap.clone()).await.unwrap();
    world.mint.swap(swap).await.unwrap();
    let (other, _) = swap_all(world.active(Unit::Eur), &coins, 0);
    assert_eq!(code(world.mint.swap(other).await), 11001);
}

// A payment whose end nobody knows is neither free nor lost: it waits.
#[tokio::test]
async fn silence_is_not_an_answer() {
    let world = World::new().await;
    world.money.answer(Answer::Silent);
    let coins = world.coins(Unit::Eur, &[128]).await;
    let quoted = quote(&world, invoice(100).await).await;
    let request = melt_request(&quoted.quote, &coins, None);
    assert_eq!(world.mint.melt(METHOD, request.clone()).await.unwrap().state, "PENDING");
    world.money.answer(Answer::Paid { fee: 0 });
    assert_eq!(world.mint.melt(METHOD, request).await.unwrap().state, "PAID");
    assert_eq!((world.money.spent(), state_of(&world.mint, &coins[0]).await.as_str()), (100, "SPENT"));
}

#[tokio::test]
async fn two_quotes_for_one_invoice_pay_it_once() {
    let world = World::new().await;
    let request = invoice(100).await;
    let (first, second) = (quote(&world, request.clone()).await, quote(&world, request.clone()).await);
    let (a, b) = (world.coins(Unit::Eur, &[128]).await, world.coins(Unit::Eur, &[128]).await);
    assert_eq!(world.mint.melt(METHOD, melt_request(&first.quote, &a, None)).await.unwrap().state, "PAID");
    assert_eq!(code(world.mint.melt(METHOD, melt_request(&second.quote, &b, None)).await), 20004);
    assert_eq!(state_of(&world.mint, &b[0]).await, "UNSPENT");
    let asked = MeltQuoteRequest { request, unit: "eur".to_owned() };
    assert_eq!(code(world.mint.melt_quote(METHOD, asked).await), 20006);
    assert_eq!(world.money.spent(), 100);
}

// A signature for a whole request names the quote that is paid and the blank outputs that take the change.
#[tokio::test]
async fn a_lock_on_the_request_binds_a_payment() {
    use cashu::nut10::SpendingConditionVerification as _;
    use semper_core::time::Time;
    use semper_payment::ecash::condition::{Condition, add_signatures};

    let world = World::new().await;
    let keys = [1, 2, 3].map(secret_key);
    let [a, b, c] = [0, 1, 2].map(|at: usize| keys[at].public_key());
    let lock = Condition::two_of_three(a, b, c, Time::from_unix(START + 9)).unwrap();
    let coins = world.locked(Unit::Eur, vec![(128, lock.secret(&[1; 32]))]).await;
    let (first, second) = (quote(&world, invoice(100).await).await, quote(&world, invoice(99).await).await);
    let mut request = melt_request(&first.quote, &coins, Some(&blanks(&world, 5)));
    let signatures: Vec<String> =
        keys[..2].iter().map(|key| key.sign(request.sig_all_msg_to_sign().as_bytes()).unwrap().to_string()).collect();
    add_signatures(&mut request.inputs_mut()[0], signatures);
    let outputs = request.outputs().clone();
    let other = cashu::MeltRequest::new(second.quote, request.inputs().clone(), outputs);
    let refusal = world.mint.melt(METHOD, other).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Condition(_)), "{refusal}");
    assert_eq!(world.mint.melt(METHOD, request).await.unwrap().state, "PAID");
}

#[tokio::test]
async fn a_request_that_prefers_not_to_wait_is_finished_by_the_loop() {
    let world = World::new().await;
    let coins = world.coins(Unit::Eur, &[128]).await;
    let quoted = quote(&world, invoice(100).await).await;
    let request = melt_request(&quoted.quote, &coins, None).prefer_async(true);
    assert_eq!(world.mint.melt(METHOD, request).await.unwrap().state, "PENDING");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mint = world.mint.clone();
    let running = tokio::spawn(async move { mint.run(async { drop(stopped.await) }).await });
    while world.mint.melt_quote_state(METHOD, &quoted.quote).await.unwrap().state != "PAID" {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    running.await.unwrap();
    assert_eq!(world.money.spent(), 100);
}
