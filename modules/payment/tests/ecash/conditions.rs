//! Locks: what must open them does, and nothing else, checked on coins that the mint really signed.

#![allow(clippy::unwrap_used)]

use bitcoin::hashes::{Hash as _, sha256};
use cashu::{HTLCWitness, Proof, SecretKey, SwapRequest, Witness};
use data_encoding::HEXLOWER;
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_payment::ecash::condition::{Condition, ConditionError, Scope, add_signatures, check_inputs, cosign};
use semper_payment::ecash::crypto::{lock_key, lock_secret};
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::Refusal;

use crate::support::{START, World, secret_key, state_of, swap_all};

const PAYER: u8 = 1;
const PAYEE: u8 = 2;
const ARBITER: u8 = 3;
const REFUND_AFTER: u64 = START + 100;

fn refund() -> Option<(cashu::PublicKey, Time)> {
    Some((secret_key(PAYER).public_key(), Time::from_unix(REFUND_AFTER)))
}

async fn locked(world: &World, condition: &Condition) -> Vec<Proof> {
    let secrets = [4_u64, 1].iter().zip([11, 22]).map(|(amount, nonce)| (*amount, condition.secret(&[nonce; 32])));
    world.locked(Unit::Eur, secrets.collect()).await
}

fn sign_coins(request: &mut SwapRequest, key: &SecretKey) {
    for input in request.inputs_mut() {
        input.sign_p2pk(key.clone()).unwrap();
    }
}

/// Tries a swap of coins with a condition, signed somehow; nothing may change if it is refused.
async fn refused(world: &World, request: SwapRequest) -> ConditionError {
    let before = world.audit().await;
    let refusal = world.mint.swap(request).await.unwrap_err();
    assert_eq!(refusal.code(), 10001);
    assert_eq!(world.audit().await, before);
    let Refusal::Condition(error) = refusal else { panic!("{refusal}") };
    error
}

#[test]
fn what_is_made_is_read_as_it_was_meant() {
    let [payer, payee, arbiter] = [PAYER, PAYEE, ARBITER].map(|byte| secret_key(byte).public_key());
    let made = [
        Condition::Bearer,
        Condition::to_key(payee, None),
        Condition::to_key(payee, refund()),
        Condition::two_of_three(payer, payee, arbiter, Time::from_unix(REFUND_AFTER)).unwrap(),
        Condition::to_hash([5; 32], payee, refund()),
    ];
    for condition in made {
        assert_eq!(Condition::read(&condition.secret(&[1; 32])).unwrap(), condition);
    }
    assert!(Condition::two_of_three(payer, payer, arbiter, Time::from_unix(1)).is_err());
    let Condition::Keys { signers, scope, .. } =
        Condition::two_of_three(payer, payee, arbiter, Time::from_unix(1)).unwrap()
    else {
        panic!()
    };
    assert_eq!((signers.needed(), signers.keys().len(), scope), (2, 3, Scope::Request));
}

// A secret in which something is wrong must not become a coin for everybody.
#[test]
fn what_looks_like_a_condition_and_is_none_is_refused() {
    let key = secret_key(PAYEE).public_key().to_hex();
    let same_x = format!("{}{}", if key.starts_with("02") { "03" } else { "02" }, &key[2..]);
    let other = secret_key(PAYER).public_key().to_hex();
    let lock = |tags: &str| format!(r#"["P2PK",{{"nonce":"n","data":"{key}","tags":[{tags}]}}]"#);
    let hash = |tags: &str| format!(r#"["HTLC",{{"nonce":"n","data":"{}","tags":[{tags}]}}]"#, "ab".repeat(32));
    let malformed = [
        "[".to_owned(),
        " [\"P2PK\"]".to_owned(),
        r#"["P2PK",{"nonce":"n"}]"#.to_owned(),
        r#"["P2PK",{"nonce":"n","data":"02","tags":[]}]"#.to_owned(),
        format!(r#"["P2PK",{{"nonce":"n","data":"{key}","data":"{other}"}}]"#),
        format!(r#"["P2PK",{{"nonce":"n","data":"{key}"}},1]"#),
        r#"["HTLC",{"nonce":"n","data":"ab","tags":[]}]"#.to_owned(),
        lock("[]"),
        lock(r#"["locktime",1]"#),
        lock(r#"["x",""]"#),
        lock(r#"["sigflag","SIG_SOME"]"#),
        lock(r#"["sigflag"]"#),
        lock(r#"["sigflag","SIG_ALL"],["sigflag","SIG_INPUTS"]"#),
        lock(r#"["n_sigs","0"]"#),
        lock(r#"["n_sigs","-1"]"#),
        lock(r#"["n_sigs","+1"]"#),
        lock(r#"["n_sigs","1.0"]"#),
        lock(r#"["n_sigs","2"]"#),
        lock(r#"["n_sigs_refund","1"]"#),
        lock(r#"["refund"]"#),
        lock(&format!(r#"["refund","{other}"],["n_sigs_refund","2"]"#)),
        lock(&format!(r#"["refund","{other}","{other}"]"#)),
        lock(&format!(r#"["pubkeys","{same_x}"]"#)),
        lock(&format!(r#"["pubkeys","{other}","{}"]"#, other.to_uppercase())),
        lock(r#"["pubkeys","04"]"#),
        lock(r#"["locktime","1"],["locktime","2"]"#),
        hash(r#"["n_sigs","1"]"#),
        hash(r#"["pubkeys"]"#),
    ];
    for secret in malformed {
        assert!(matches!(Condition::read(&secret), Err(ConditionError::Malformed(_))), "{secret}");
    }
    assert_eq!(Condition::read(r#"["P2SH",{"nonce":"n","data":"d"}]"#), Err(ConditionError::UnknownKind));
    let many: Vec<String> = (1..=20_u8).map(|byte| format!("\"{}\"", secret_key(byte + 50).public_key())).collect();
    assert!(matches!(
        Condition::read(&lock(&format!(r#"["pubkeys",{}]"#, many.join(",")))),
        Err(ConditionError::TooMuch(_))
    ));
    assert!(matches!(Condition::read(&"a".repeat(5000)), Err(ConditionError::TooMuch(_))));

    // The twins that are good.
    assert_eq!(Condition::read("a plain secret").unwrap(), Condition::Bearer);
    for good in [lock(""), lock(r#"["unknown","x"],["unknown","x"]"#), lock(r#"["n_sigs","1"]"#)] {
        assert_eq!(Condition::read(&good).unwrap(), Condition::to_key(secret_key(PAYEE).public_key(), None), "{good}");
    }
    for endless in ["later", "-1", "1.5", "99999999999999999999999"] {
        let lock = lock(&format!(r#"["locktime","{endless}"]"#));
        assert_eq!(
            Condition::read(&lock).unwrap(),
            Condition::to_key(secret_key(PAYEE).public_key(), None),
            "{endless}"
        );
    }
}

#[tokio::test]
async fn a_lock_to_a_key_opens_to_its_signature_and_later_to_the_refund() {
    let world = World::new().await;
    let condition = Condition::to_key(secret_key(PAYEE).public_key(), refund());
    let coins = locked(&world, &condition).await;
    let (request, _) = swap_all(world.active(Unit::Eur), &coins, 0);
    assert_eq!(refused(&world, request.clone()).await, ConditionError::Unsigned);
    let signed_by = |key: u8| {
        let mut signed = request.clone();
        sign_coins(&mut signed, &secret_key(key));
        signed
    };
    assert_eq!(refused(&world, signed_by(PAYER)).await, ConditionError::Unsigned);
    let mut half = signed_by(PAYEE);
    half.inputs_mut()[1].witness = None;
    assert_eq!(refused(&world, half).await, ConditionError::Unsigned, "each coin has its own signature");
    let mut moved = signed_by(PAYEE);
    let witness = moved.inputs()[0].witness.clone();
    moved.inputs_mut()[1].witness = witness;
    assert_eq!(refused(&world, moved).await, ConditionError::Unsigned, "a signature of another coin");
    world.later(REFUND_AFTER - START);
    assert_eq!(refused(&world, signed_by(PAYER)).await, ConditionError::Unsigned, "in the last second of the lock");
    world.later(1);
    assert_eq!(refused(&world, request.clone()).await, ConditionError::Unsigned, "a refund is signed too");
    world.mint.swap(signed_by(PAYER)).await.unwrap();
    assert_eq!(state_of(&world.mint, &coins[0]).await, "SPENT");
}

// Attack 22. The payout must be what two of the three signed, whichever two: no other outputs, no other coins, no single signer, until the date.
#[tokio::test]
async fn payout_substitution_when_the_arbiter_co_signs() {
    let world = World::new().await;
    let tag = Digest::from_array([9; 32]);
    let arbiter = lock_key(&secret_key(ARBITER).public_key(), &tag);
    let keys = [secret_key(PAYER), secret_key(PAYEE), lock_secret(&secret_key(ARBITER), &tag)];
    let date = Time::from_unix(REFUND_AFTER);
    let condition = Condition::two_of_three(keys[0].public_key(), keys[1].public_key(), arbiter, date).unwrap();
    for (first, second) in [(0, 1), (1, 2), (0, 2)] {
        let coins = locked_anew(&world, &condition).await;
        let (mut request, _) = swap_all(world.active(Unit::Eur), &coins, 0);
        let (other, _) = swap_all(world.active(Unit::Eur), &coins, 0);
        let signatures = [first, second].map(|signer| cosign(&request, &keys[signer]).unwrap());
        let with = |request: &SwapRequest, signatures: &[String]| {
            let mut request = request.clone();
            add_signatures(&mut request.inputs_mut()[0], signatures.to_vec());
            request
        };
        assert_eq!(refused(&world, with(&request, &signatures[..1])).await, ConditionError::Unsigned);
        let doubled = [signatures[0].clone(), cosign(&request, &keys[first]).unwrap()];
        assert_eq!(refused(&world, with(&request, &doubled)).await, ConditionError::Unsigned, "one key counts once");
        assert_eq!(refused(&world, with(&other, &signatures)).await, ConditionError::Unsigned, "another payout");
        let garbage = [vec!["no signature".to_owned()], signatures.to_vec()].concat();
        request = with(&request, &garbage);
        world.mint.swap(request).await.unwrap();
    }
    let coins = locked_anew(&world, &condition).await;
    let (mut request, _) = swap_all(world.active(Unit::Eur), &coins, 0);
    let alone = cosign(&request, &keys[0]).unwrap();
    add_signatures(&mut request.inputs_mut()[0], vec![alone]);
    assert_eq!(refused(&world, request.clone()).await, ConditionError::Unsigned);
    world.later(REFUND_AFTER - START + 1);
    world.mint.swap(request).await.unwrap();
}

async fn locked_anew(world: &World, condition: &Condition) -> Vec<Proof> {
    let nonce = |byte: u8| {
        *Digest::of_parts(semper_core::domain::PURSE, &[crate::support::plain().as_bytes(), &[byte]]).as_bytes()
    };
    world.locked(Unit::Eur, vec![(4, condition.secret(&nonce(1))), (1, condition.secret(&nonce(2)))]).await
}

// A signature for a coin alone is good for any payout: the arbiter must not be made to give one.
#[tokio::test]
async fn nobody_cosigns_what_is_not_locked_so() {
    let world = World::new().await;
    let single = locked(&world, &Condition::to_key(secret_key(PAYEE).public_key(), None)).await;
    let (request, _) = swap_all(world.active(Unit::Eur), &single, 0);
    assert_eq!(cosign(&request, &secret_key(PAYEE)), Err(ConditionError::NotOurs));
    let [payer, payee, arbiter] = [PAYER, PAYEE, ARBITER].map(|byte| secret_key(byte).public_key());
    let condition = Condition::two_of_three(payer, payee, arbiter, Time::from_unix(REFUND_AFTER)).unwrap();
    let coins = locked_anew(&world, &condition).await;
    let (request, _) = swap_all(world.active(Unit::Eur), &coins, 0);
    assert_eq!(cosign(&request, &secret_key(99)), Err(ConditionError::NotOurs));
    let mixed = [coins.clone(), single.clone()].concat();
    let (request, _) = swap_all(world.active(Unit::Eur), &mixed, 0);
    assert_eq!(cosign(&request, &secret_key(ARBITER)), Err(ConditionError::Mixed));
    assert_eq!(refused(&world, request).await, ConditionError::Mixed);
    let bearer = world.coins(Unit::Eur, &[1]).await;
    let mixed = [bearer, coins].concat();
    let (request, _) = swap_all(world.active(Unit::Eur), &mixed, 0);
    assert_eq!(refused(&world, request).await, ConditionError::Mixed);
}

#[tokio::test]
async fn a_hash_lock_opens_to_preimage_and_signature_and_shows_the_preimage() {
    let world = World::new().await;
    let preimage = [0xa5; 32];
    let hash = sha256::Hash::hash(&preimage).to_byte_array();
    let condition = Condition::to_hash(hash, secret_key(PAYEE).public_key(), refund());
    let coins = locked(&world, &condition).await;
    let (request, _) = swap_all(world.active(Unit::Eur), &coins, 0);
    let opened = |preimage: &[u8], key: u8| {
        let mut request = request.clone();
        for input in request.inputs_mut() {
            let preimage = HEXLOWER.encode(preimage);
            input.witness = Some(Witness::HTLCWitness(HTLCWitness { preimage, signatures: None }));
        }
        sign_coins(&mut request, &secret_key(key));
        request
    };
    assert_eq!(refused(&world, request.clone()).await, ConditionError::Preimage);
    assert_eq!(refused(&world, opened(&[0; 32], PAYEE)).await, ConditionError::Preimage);
    assert_eq!(refused(&world, opened(&preimage[..31], PAYEE)).await, ConditionError::Preimage);
    assert_eq!(refused(&world, opened(&preimage, PAYER)).await, ConditionError::Unsigned);
    // A late preimage is still good: showing it is what was asked for. After the date it races with the refund.
    world.later(REFUND_AFTER - START + 1);
    let mut refund = request.clone();
    sign_coins(&mut refund, &secret_key(PAYER));
    check_inputs(refund.inputs(), world.now(), String::new).unwrap();
    world.mint.swap(opened(&preimage, PAYEE)).await.unwrap();
    let before = world.audit().await;
    assert_eq!(
        world
            .mint
            .swap(SwapRequest::new(
                refund.inputs().clone(),
                swap_all(world.active(Unit::Eur), &coins, 0).0.outputs().clone()
            ))
            .await
            .unwrap_err()
            .code(),
        11001
    );
    assert_eq!(world.audit().await, before);

    // The mint has to remember what it was shown: the payer may ask after it was started again, and turned to other
    // keys.
    let restarted = world.restarted().await;
    restarted.rotate(Unit::Eur, 0, None).await.unwrap();
    for mint in [&world.mint, &restarted] {
        let ys = coins.iter().map(|coin| semper_payment::ecash::crypto::hash_to_curve(coin.secret.as_bytes()));
        let states = mint.check_state(cashu::CheckStateRequest { ys: ys.collect() }).await.unwrap().states;
        assert_eq!(states.len(), coins.len());
        for state in states {
            assert_eq!(state.state, "SPENT");
            assert!(state.witness.unwrap().contains(&HEXLOWER.encode(&preimage)), "the payer learns the preimage");
        }
    }
}
