//! Each class of bad request: its code, and that nothing changed, which the audit before and after would show, and the good request that is
//! granted afterwards with the same coins.

#![allow(clippy::unwrap_used)]

use cashu::{Amount, BlindedMessage, Id, MintRequest, Proof, RestoreRequest, SwapRequest};
use semper_core::time::Time;
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::Body;

use crate::support::{
    METHOD, START, Wanted, World, by_keyset, code, plain, quote_request, secret_key, state_of, swap_all, total,
};

type Spoil = fn(&mut Vec<Proof>, &mut Vec<BlindedMessage>);

/// What is done to a good swap of the coins 8 and 2, and the code that it must get.
const SPOILT: &[(&str, u32, Spoil)] = &[
    ("an amount that the coin does not have", 10001, |inputs, _| {
        inputs.swap(0, 1);
        let (a, b) = (inputs[0].amount, inputs[1].amount);
        (inputs[0].amount, inputs[1].amount) = (b, a);
    }),
    ("a signature of another coin", 10001, |inputs, _| inputs[0].c = inputs[1].c),
    ("another secret", 10001, |inputs, _| inputs[0].secret = cashu::secret::Secret::new(plain())),
    ("a condition that is none", 10001, |inputs, _| {
        inputs[0].secret = cashu::secret::Secret::new("[\"P2PK\"]".to_owned());
    }),
    ("no inputs", 0, |inputs, _| inputs.clear()),
    ("no outputs", 0, |_, outputs| outputs.clear()),
    ("too much taken", 11005, |_, outputs| outputs[0].amount = 16.into()),
    ("too little taken", 11005, |_, outputs| outputs.truncate(1)),
    ("an amount of zero", 11006, |_, outputs| outputs[0].amount = Amount::ZERO),
    ("an amount that is no power of two", 11006, |_, outputs| outputs[0].amount = 3.into()),
    ("an amount beyond the keyset", 11006, |_, outputs| outputs[0].amount = (1 << 41).into()),
    ("an overflowing amount", 11006, |inputs, _| inputs[0].amount = u64::MAX.into()),
    ("the same coin twice", 11007, |inputs, _| inputs[1] = inputs[0].clone()),
    ("the same coin twice with another amount", 11007, |inputs, _| {
        let amount = inputs[1].amount;
        inputs[1] = Proof { amount, ..inputs[0].clone() };
    }),
    ("the same output twice", 11008, |_, outputs| {
        outputs[1] = BlindedMessage { amount: outputs[1].amount, ..outputs[0].clone() }
    }),
    ("too many inputs", 11014, |inputs, _| *inputs = vec![inputs[0].clone(); 1001]),
    ("too many outputs", 11015, |_, outputs| *outputs = vec![outputs[0].clone(); 1001]),
    ("a coin of an unknown keyset", 12001, |inputs, _| inputs[0].keyset_id = foreign()),
    ("an output of an unknown keyset", 12001, |_, outputs| outputs[1].keyset_id = foreign()),
];

fn foreign() -> Id {
    Id::from_bytes(&[0, 1, 2, 3, 4, 5, 6, 7]).unwrap()
}

#[tokio::test]
async fn a_spoilt_swap_changes_nothing() {
    let world = World::new().await;
    let coins = world.coins(Unit::Eur, &[8, 2]).await;
    let (good, wanted) = swap_all(world.active(Unit::Eur), &coins, 0);
    let before = world.audit().await;
    for (what, expected, spoil) in SPOILT {
        let (mut inputs, mut outputs) = (good.inputs().clone(), good.outputs().clone());
        spoil(&mut inputs, &mut outputs);
        let result = world.mint.swap(SwapRequest::new(inputs, outputs)).await;
        assert_eq!(code(result), *expected, "{what}");
        assert_eq!(world.audit().await, before, "{what}");
    }
    let fresh = wanted.coins(world.mint.swap(good).await.unwrap().signatures);
    assert_eq!(total(&fresh), 10);
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused() {
    let world = World::new().await;
    let before = world.audit().await;
    let bodies = [
        "",
        "[]",
        "{}",
        "{\"inputs\":[],\"outputs\":null}",
        "{\"inputs\":[{\"amount\":-1}],\"outputs\":[]}",
        "{\"inputs\":[{\"amount\":1.5}],\"outputs\":[]}",
        "{\"inputs\":[{\"amount\":18446744073709551616,\"id\":\"00\",\"secret\":\"\",\"C\":\"\"}],\"outputs\":[]}",
    ];
    for body in bodies {
        let refusal = world.mint.swap(Body(body.into())).await.unwrap_err();
        assert_eq!((refusal.code(), refusal.name()), (0, "malformed"), "{body}");
    }
    assert_eq!(world.audit().await, before);
}

#[tokio::test]
async fn units_do_not_mix() {
    let world = World::new().await;
    let (euros, dollars) = (world.coins(Unit::Eur, &[4]).await, world.coins(Unit::Usd, &[4]).await);
    let before = world.audit().await;
    let both = [euros.clone(), dollars.clone()].concat();
    let (mixed_in, _) = swap_all(world.active(Unit::Eur), &both, 0);
    assert_eq!(code(world.mint.swap(mixed_in).await), 11009);
    let (other_out, _) = swap_all(world.active(Unit::Usd), &euros, 0);
    assert_eq!(code(world.mint.swap(other_out).await), 11010);
    let out =
        [Wanted::new(world.active(Unit::Eur), &[2]).outputs(), Wanted::new(world.active(Unit::Usd), &[2]).outputs()];
    assert_eq!(code(world.mint.swap(SwapRequest::new(euros, out.concat())).await), 11009);
    assert_eq!(world.audit().await, before);
}

#[tokio::test]
async fn a_coin_is_spent_once_and_the_same_request_is_answered_alike() {
    let world = World::new().await;
    let coins = world.coins(Unit::Sat, &[8, 2]).await;
    let (first, wanted) = swap_all(world.active(Unit::Sat), &coins, 0);
    let (second, _) = swap_all(world.active(Unit::Sat), &coins, 0);
    let answer = world.mint.swap(first.clone()).await.unwrap();
    let after = world.audit().await;
    assert_eq!(code(world.mint.swap(second).await), 11001);
    let (part, _) = swap_all(world.active(Unit::Sat), &coins[..1], 0);
    assert_eq!(code(world.mint.swap(part).await), 11001, "a part of what was spent");
    let other = world.coins(Unit::Sat, &[8, 2]).await;
    let stolen = SwapRequest::new(other, first.outputs().clone());
    let before = world.audit().await;
    assert_eq!(code(world.mint.swap(stolen).await), 11003);
    assert_eq!(world.audit().await, before);

    // Also after a crash, and byte for byte.
    let again = world.restarted().await.swap(first).await.unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&answer).unwrap());
    assert_eq!(after.iter().map(|one| one.redeemed).sum::<u64>(), 10);
    assert_eq!(total(&wanted.coins(again.signatures)), 10);
    assert_eq!(state_of(&world.mint, &coins[0]).await, "SPENT");
}

#[tokio::test]
async fn a_quote_is_used_once_when_it_is_paid_and_by_its_key() {
    let world = World::new().await;
    world.money.wait_for_payers();
    let key = secret_key(9);
    let asked = semper_payment::ecash::mint::MintQuoteRequest {
        pubkey: Some(key.public_key().to_hex()),
        ..quote_request(10, Unit::Eur)
    };
    let quote = world.mint.mint_quote(METHOD, asked).await.unwrap();
    assert_eq!((quote.state.as_str(), quote.amount), ("UNPAID", 10));
    let wanted = Wanted::new(world.active(Unit::Eur), &[8, 2]);
    let mut request = MintRequest { quote: quote.quote.clone(), outputs: wanted.outputs(), signature: None };
    let before = world.audit().await;
    assert_eq!(code(world.mint.mint(METHOD, request.clone()).await), 20008);
    request.sign(&secret_key(8)).unwrap();
    assert_eq!(code(world.mint.mint(METHOD, request.clone()).await), 20008, "another key");
    request.sign(&key).unwrap();
    assert_eq!(code(world.mint.mint(METHOD, request.clone()).await), 20001);
    world.money.settle(&quote.quote);
    assert_eq!(world.mint.mint_quote_state(METHOD, &quote.quote).await.unwrap().state, "PAID");

    let signed = |outputs: Vec<BlindedMessage>| {
        let mut request = MintRequest { quote: quote.quote.clone(), outputs, signature: None };
        request.sign(&key).unwrap();
        request
    };
    let more = Wanted::new(world.active(Unit::Eur), &[16]).outputs();
    assert_eq!(code(world.mint.mint(METHOD, signed(more)).await), 11005);
    let other_unit = Wanted::new(world.active(Unit::Usd), &[8, 2]).outputs();
    assert_eq!(code(world.mint.mint(METHOD, signed(other_unit)).await), 11010);
    assert_eq!(world.audit().await, before);

    let answer = world.mint.mint(METHOD, request.clone()).await.unwrap();
    let again = world.mint.mint(METHOD, request).await.unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&answer).unwrap());
    let second = Wanted::new(world.active(Unit::Eur), &[8, 2]).outputs();
    assert_eq!(code(world.mint.mint(METHOD, signed(second)).await), 20002);
    assert_eq!(world.mint.mint_quote_state(METHOD, &quote.quote).await.unwrap().state, "ISSUED");
    assert_eq!(world.outstanding().await, 10);
}

#[tokio::test]
async fn quotes_have_limits_and_an_end() {
    let world = World::new().await;
    world.money.wait_for_payers();
    let mint = &world.mint;
    for amount in [0, 1_000_000_001, u64::MAX] {
        assert_eq!(code(mint.mint_quote(METHOD, quote_request(amount, Unit::Eur)).await), 11006);
    }
    let unit = semper_payment::ecash::mint::MintQuoteRequest { unit: "gbp".to_owned(), ..quote_request(1, Unit::Eur) };
    assert_eq!(code(mint.mint_quote(METHOD, unit).await), 11013);
    let key =
        semper_payment::ecash::mint::MintQuoteRequest { pubkey: Some("02".to_owned()), ..quote_request(1, Unit::Eur) };
    assert_eq!(code(mint.mint_quote(METHOD, key).await), 20009);
    assert_eq!(mint.mint_quote("gold", quote_request(1, Unit::Eur)).await.unwrap_err().name(), "unknown-method");
    assert_eq!(mint.mint_quote_state(METHOD, "no such quote").await.unwrap_err().name(), "unknown-quote");

    let quote = mint.mint_quote(METHOD, quote_request(1, Unit::Eur)).await.unwrap();
    world.later(quote.expiry - START + 1);
    let wanted = Wanted::new(world.active(Unit::Eur), &[1]);
    let request = MintRequest { quote: quote.quote.clone(), outputs: wanted.outputs(), signature: None };
    assert_eq!(code(mint.mint(METHOD, request.clone()).await), 20007);
    // Who paid in time has a right to the coins, however late they are fetched.
    world.money.settle(&quote.quote);
    mint.mint(METHOD, request).await.unwrap();
}

// A wallet that repeats a request over a rotation must get its answer, and nobody else anything from the old keys.
#[tokio::test]
async fn a_rotated_keyset_takes_back_with_its_fee_and_signs_no_more() {
    let world = World::new().await;
    let old = world.active(Unit::Eur);
    let coins = world.coins(Unit::Eur, &[8, 8, 4]).await;
    let (first, wanted) = swap_all(old.clone(), &coins[..1], 0);
    let answer = world.mint.swap(first.clone()).await.unwrap();
    let expiry = Time::from_unix(START + 1000);
    let id = world.mint.rotate(Unit::Eur, 600, Some(expiry)).await.unwrap();
    let new = world.active(Unit::Eur);
    assert_eq!((new.id, new.input_fee_ppk, new.final_expiry), (id, 600, Some(START + 1000)));
    new.verify_id().unwrap();
    let list = world.mint.keysets().list();
    let active: Vec<Id> =
        list.keysets.iter().filter(|one| one.active && one.unit == new.unit).map(|one| one.id).collect();
    assert_eq!(active, [id]);

    assert_eq!(world.mint.swap(first.clone()).await.unwrap(), answer, "the repetition");
    let (to_old, _) = swap_all(old.clone(), &coins[1..], 0);
    assert_eq!(code(world.mint.swap(to_old).await), 12002);
    let (to_new, fresh) = swap_all(new.clone(), &coins[1..], 0);
    let fresh = fresh.coins(world.mint.swap(to_new).await.unwrap().signatures);
    assert_eq!(total(&fresh), 12);

    // Two coins of the new keyset cost 1.2 minor units, that is 2; one of each keyset costs 1.
    let (unpaid, _) = swap_all(new.clone(), &fresh, 1);
    assert_eq!(code(world.mint.swap(unpaid).await), 11005);
    let old_coin = wanted.coins(answer.signatures);
    let both = [old_coin, fresh[..1].to_vec()].concat();
    let (mixed, kept) = swap_all(new.clone(), &both, 1);
    let kept = kept.coins(world.mint.swap(mixed.clone()).await.unwrap().signatures);

    let restarted = world.restarted().await;
    assert_eq!(restarted.keysets().active(Unit::Eur).unwrap().id(), id, "a rotation survives a restart");
    world.later(1000);
    let (late, _) = swap_all(new.clone(), &kept, 1);
    assert_eq!(code(world.mint.swap(late).await), 12003);
    assert!(world.mint.swap(mixed).await.is_ok(), "what was granted in time is answered for ever");
    let audit = world.audit().await;
    let (of_old, of_new) = (by_keyset(&audit)[&old.id].clone(), by_keyset(&audit)[&new.id].clone());
    assert_eq!((of_old.issued, of_old.redeemed), (28, 28));
    assert_eq!((of_new.issued, of_new.redeemed), (12 + total(&kept), total(&fresh[..1])));
}

#[tokio::test]
async fn signatures_are_restored_and_nothing_else() {
    let world = World::new().await;
    let keyset = world.active(Unit::Eur);
    let coins = world.coins(Unit::Eur, &[8]).await;
    let wanted = Wanted::new(keyset.clone(), &[4, 4]);
    let answer = world.mint.swap(SwapRequest::new(coins, wanted.outputs())).await.unwrap();
    let never = Wanted::new(keyset.clone(), &[1]).outputs();
    // A wallet that restores does not know the amounts.
    let mut outputs = [never, wanted.outputs()].concat();
    outputs.iter_mut().for_each(|output| output.amount = Amount::ZERO);
    let restored = world.mint.restore(RestoreRequest { outputs: outputs.clone() }).await.unwrap();
    assert_eq!(restored.signatures, answer.signatures);
    assert_eq!(restored.outputs, outputs[1..]);
    let foreign = outputs.into_iter().map(|output| BlindedMessage { keyset_id: foreign(), ..output }).collect();
    assert!(world.mint.restore(RestoreRequest { outputs: foreign }).await.unwrap().signatures.is_empty());
}
