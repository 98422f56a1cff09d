//! The protocol's published test vectors, through what the wallet asks a mint: what it derives from words, and what it reads of tokens.
//!
//! Source: `tests/00-tests.md` and `tests/13-tests.md` of the NUTs.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use cashu::{Id, RestoreRequest, SecretKey, SwapRequest};
use semper_core::amount::Currency;
use semper_core::party::Suite;
use semper_core::time::Time;
use semper_crypto::{SecretKeys, Verifier};
use semper_payment::ecash::crypto::hash_to_curve;
use semper_payment::ecash::wallet::{EcashModule, seed_of_words};
use semper_payment::words;
use semper_support::crypto::Signer;
use semper_transfer::payment::Module;
use semper_transfer::payment::module::{Context, Event, Next, Purse, Step};
use semper_transfer::payment::operation::{Operation, OperationId, PurseId, Task};
use serde_json::json;

use super::world::{Clock, OurMint, Party, START};

const WORDS: &str = "half depart obvious quality work element tank gorilla view sugar picture humble";

struct Derived {
    keyset: &'static str,
    secrets: [&'static str; 5],
    blindings: [&'static str; 5],
}

const DERIVED: [Derived; 2] = [
    Derived {
        keyset: "009a1f293253e41e",
        secrets: [
            "485875df74771877439ac06339e284c3acfcd9be7abf3bc20b516faeadfe77ae",
            "8f2b39e8e594a4056eb1e6dbb4b0c38ef13b1b2c751f64f810ec04ee35b77270",
            "bc628c79accd2364fd31511216a0fab62afd4a18ff77a20deded7b858c9860c8",
            "59284fd1650ea9fa17db2b3acf59ecd0f2d52ec3261dd4152785813ff27a33bf",
            "576c23393a8b31cc8da6688d9c9a96394ec74b40fdaf1f693a6bb84284334ea0",
        ],
        blindings: [
            "ad00d431add9c673e843d4c2bf9a778a5f402b985b8da2d5550bf39cda41d679",
            "967d5232515e10b81ff226ecf5a9e2e2aff92d66ebc3edf0987eb56357fd6248",
            "b20f47bb6ae083659f3aa986bfa0435c55c6d93f687d51a01f26862d9b9a4899",
            "fb5fca398eb0b1deb955a2988b5ac77d32956155f1c002a373535211a2dfdc29",
            "5f09bfbfe27c439a597719321e061e2e40aad4a36768bb2bcc3de547c9644bf9",
        ],
    },
    Derived {
        keyset: "015ba18a8adcd02e715a58358eb618da4a4b3791151a4bee5e968bb88406ccf76a",
        secrets: [
            "db5561a07a6e6490f8dadeef5be4e92f7cebaecf2f245356b5b2a4ec40687298",
            "b70e7b10683da3bf1cdf0411206f8180c463faa16014663f39f2529b2fda922e",
            "78a7ac32ccecc6b83311c6081b89d84bb4128f5a0d0c5e1af081f301c7a513f5",
            "094a2b6c63bfa7970bc09cda0e1cfc9cd3d7c619b8e98fabcfc60aea9e4963e5",
            "5e89fc5d30d0bf307ddf0a3ac34aa7a8ee3702169dafa3d3fe1d0cae70ecd5ef",
        ],
        blindings: [
            "6d26181a3695e32e9f88b80f039ba1ae2ab5a200ad4ce9dbc72c6d3769f2b035",
            "bde4354cee75545bea1a2eee035a34f2d524cee2bb01613823636e998386952e",
            "f40cc1218f085b395c8e1e5aaa25dccc851be3c6c7526a0f4e57108f12d6dac4",
            "099ed70fc2f7ac769bc20b2a75cb662e80779827b7cc358981318643030577d0",
            "5550337312d223ba62e3f75cfe2ab70477b046d98e3e71804eade3956c7b98cf",
        ],
    },
];

const V3: &str = "cashuAeyJ0b2tlbiI6W3sibWludCI6Imh0dHBzOi8vODMzMy5zcGFjZTozMzM4IiwicHJvb2ZzIjpbeyJhbW91bnQiOjIsImlkIjoiMDA5YTFmMjkzMjUzZTQxZSIsInNlY3JldCI6IjQwNzkxNWJjMjEyYmU2MWE3N2UzZTZkMmFlYjRjNzI3OTgwYmRhNTFjZDA2YTZhZmMyOWUyODYxNzY4YTc4MzciLCJDIjoiMDJiYzkwOTc5OTdkODFhZmIyY2M3MzQ2YjVlNDM0NWE5MzQ2YmQyYTUwNmViNzk1ODU5OGE3MmYwY2Y4NTE2M2VhIn0seyJhbW91bnQiOjgsImlkIjoiMDA5YTFmMjkzMjUzZTQxZSIsInNlY3JldCI6ImZlMTUxMDkzMTRlNjFkNzc1NmIwZjhlZTBmMjNhNjI0YWNhYTNmNGUwNDJmNjE0MzNjNzI4YzcwNTdiOTMxYmUiLCJDIjoiMDI5ZThlNTA1MGI4OTBhN2Q2YzA5NjhkYjE2YmMxZDVkNWZhMDQwZWExZGUyODRmNmVjNjlkNjEyOTlmNjcxMDU5In1dfV0sInVuaXQiOiJzYXQiLCJtZW1vIjoiVGhhbmsgeW91LiJ9";
const V4: &str = "cashuBpGF0gaJhaUgArSaMTR9YJmFwgaNhYQFhc3hAOWE2ZGJiODQ3YmQyMzJiYTc2ZGIwZGYxOTcyMTZiMjlkM2I4Y2MxNDU1M2NkMjc4MjdmYzFjYzk0MmZlZGI0ZWFjWCEDhhhUP_trhpXfStS6vN6So0qWvc2X3O4NfM-Y1HISZ5JhZGlUaGFuayB5b3VhbXVodHRwOi8vbG9jYWxob3N0OjMzMzhhdWNzYXQ=";
const V4_TWO_KEYSETS: &str = "cashuBo2F0gqJhaUgA_9SLj17PgGFwgaNhYQFhc3hAYWNjMTI0MzVlN2I4NDg0YzNjZjE4NTAxNDkyMThhZjkwZjcxNmE1MmJmNGE1ZWQzNDdlNDhlY2MxM2Y3NzM4OGFjWCECRFODGd5IXVW-07KaZCvuWHk3WrnnpiDhHki6SCQh88-iYWlIAK0mjE0fWCZhcIKjYWECYXN4QDEzMjNkM2Q0NzA3YTU4YWQyZTIzYWRhNGU5ZjFmNDlmNWE1YjRhYzdiNzA4ZWIwZDYxZjczOGY0ODMwN2U4ZWVhY1ghAjRWqhENhLSsdHrr2Cw7AFrKUL9Ffr1XN6RBT6w659lNo2FhAWFzeEA1NmJjYmNiYjdjYzY0MDZiM2ZhNWQ1N2QyMTc0ZjRlZmY4YjQ0MDJiMTc2OTI2ZDNhNTdkM2MzZGNiYjU5ZDU3YWNYIQJzEpxXGeWZN5qXSmJjY8MzxWyvwObQGr5G1YCCgHicY2FtdWh0dHA6Ly9sb2NhbGhvc3Q6MzMzOGF1Y3NhdA";

/// A purse that knows keysets with these identifiers. Their keys are any: a vector has none.
fn purse(issuer: &str, keysets: &[&str]) -> Purse {
    let key = hash_to_curve(b"a key").to_hex();
    let keys: BTreeMap<String, String> = (0..8).map(|i| ((1_u64 << i).to_string(), key.clone())).collect();
    let record = |(place, id): (usize, &&str)| {
        let keyset = json!({ "id": id, "unit": "sat", "active": place == 0, "keys": keys, "input_fee_ppk": 0 });
        let key = [b"keyset/".as_slice(), &Id::from_str(id).unwrap().to_bytes()].concat();
        (key, [&[1], serde_json::to_vec(&keyset).unwrap().as_slice()].concat())
    };
    let module = EcashModule::new(seed_of_words(WORDS).unwrap());
    Purse {
        id: PurseId::from_array([1; 16]),
        system: module.system(),
        issuer: issuer.to_owned(),
        currency: Currency::parse("SAT").unwrap(),
        records: keysets.iter().enumerate().map(record).collect(),
    }
}

/// What the wallet of the vectors asks first.
fn first(purse: &Purse, task: Task) -> Next {
    let module = EcashModule::new(seed_of_words(WORDS).unwrap());
    let keys = SecretKeys::generate(Suite::Ed25519).unwrap();
    let context = Context {
        now: Time::from_unix(START),
        verify: &Verifier,
        entropy: &[0; 32],
        me: keys.key_set(),
        certificates: &[],
    };
    let operation = Operation { id: OperationId::of_owner([1; 16]), purse: purse.id, deal: None, task };
    let Step { next, .. } = module.step(&context, purse, &operation, &[], Event::Begin).unwrap();
    next
}

// Other derivations than everybody's: the words would open nothing in another wallet.
#[test]
fn coins_are_derived_from_words_as_everywhere() {
    for vector in DERIVED {
        let Next::Ask(request) = first(&purse("http://mint.test", &[vector.keyset]), Task::Restore) else {
            panic!("the mint is asked");
        };
        let request: RestoreRequest = serde_json::from_slice(&request.body.unwrap().1).unwrap();
        assert_eq!(request.outputs.len(), 100);
        for ((secret, blinding), output) in vector.secrets.iter().zip(vector.blindings).zip(&request.outputs) {
            let y = hash_to_curve(secret.as_bytes());
            let r = SecretKey::from_hex(blinding).unwrap().public_key();
            assert_eq!(output.blinded_secret, y.combine(&r).unwrap().into(), "{}", vector.keyset);
            assert_eq!(output.keyset_id.to_string(), vector.keyset);
        }
    }
}

/// Amount and beginning of the secret of each coin that is taken from a token.
fn taken(purse: &Purse, token: &str) -> Vec<(u64, String)> {
    let Next::Ask(request) = first(purse, Task::Accept(token.to_owned())) else { panic!("the mint is asked") };
    let request: SwapRequest = serde_json::from_slice(&request.body.unwrap().1).unwrap();
    let taken = request.inputs().iter().map(|coin| (coin.amount.to_u64(), coin.secret.to_string()[..8].to_owned()));
    taken.collect()
}

fn expected(coins: &[(u64, &str)]) -> Vec<(u64, String)> {
    coins.iter().map(|(amount, secret)| (*amount, (*secret).to_owned())).collect()
}

#[test]
fn tokens_of_others_are_read() {
    let old = purse("https://8333.space:3338", &["009a1f293253e41e"]);
    assert_eq!(taken(&old, V3), expected(&[(2, "407915bc"), (8, "fe151093")]));
    let padded = format!("cashu:{V3}");
    assert_eq!(taken(&old, &padded).len(), 2);
    let new = purse("http://localhost:3338", &["00ad268c4d1f5826", "00ffd48b8f5ecf80"]);
    assert_eq!(taken(&new, V4), expected(&[(1, "9a6dbb84")]));
    let two = expected(&[(1, "acc12435"), (2, "1323d3d4"), (1, "56bcbcbb")]);
    assert_eq!(taken(&new, V4_TWO_KEYSETS), two);

    // The mint is named to whoever tries to take its coins at another.
    let Next::Failed(failure) = first(&old, Task::Accept(V4.to_owned())) else { panic!("another mint's token") };
    assert!(failure.reason.contains("http://localhost:3338"), "{failure}");
    for garbage in ["", "cashu", "cashuA", "cashuB", "cashuC123", "cashuBo2F0", "cashuAe30", &V4[..V4.len() - 9]] {
        assert!(matches!(first(&new, Task::Accept(garbage.to_owned())), Next::Failed(_)), "{garbage}");
    }
}

#[test]
fn words_make_the_seed_that_they_are_known_by() {
    let written = words(&[7; 32]);
    assert_eq!(written.split(' ').count(), 24);
    assert_eq!(seed_of_words(&written).unwrap(), seed_of_words(&format!("  {} ", written.to_uppercase())).unwrap());
    assert!(seed_of_words("half depart obvious").is_none());
    assert!(seed_of_words(&WORDS.replace("humble", "half")).is_none(), "the check bits are wrong");
}

// Our own text tokens, read by the types of another implementation.
#[tokio::test]
async fn our_tokens_are_read_by_others() {
    let clock = Clock::at(START);
    let mint = Arc::new(OurMint::open(clock.clone(), 0).await);
    let mut alice = Party::new(1, "EUR", mint.clone(), &clock).with(100).await;
    let token = alice.done(Task::Send(alice.amount(37))).await.handover;
    let token = cashu::nuts::Token::from_str(std::str::from_utf8(&token).unwrap()).unwrap();
    assert_eq!(token.value().unwrap().to_u64(), 37);
    let coins = token.proofs(&mint.mint.keysets().list().keysets).unwrap();
    for coin in coins {
        let keyset = mint.mint.keysets();
        let key = keyset.get(&coin.keyset_id).unwrap().key(coin.amount.to_u64()).unwrap().public();
        coin.verify_dleq(key).unwrap();
    }
}
