//! The protocol's published vectors, through our own functions. If one fails, foreign wallets and mints do not understand ours.

#![allow(clippy::unwrap_used)]

use bitcoin::hashes::{Hash as _, sha256};
use cashu::nut10::SpendingConditionVerification as _;
use cashu::{
    BlindSignature, CurrencyUnit, Id, KeySet, Keys, MeltRequest, MintRequest, Proof, PublicKey, SecretKey, SwapRequest,
};
use data_encoding::HEXLOWER;
use semper_core::time::Time;
use semper_payment::ecash::condition::check_inputs;
use semper_payment::ecash::crypto::{AmountKey, hash_to_curve};
use serde_json::Value;

const VECTORS: &str = include_str!("vectors/nuts.json");
/// When the vectors' locks of the past have expired and those of the future have not.
const NOW: u64 = 1_800_000_000;

fn vectors(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(VECTORS).unwrap();
    let found = all[name].as_array().unwrap().clone();
    assert!(!found.is_empty(), "{name}");
    found
}

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn point(value: &Value) -> PublicKey {
    PublicKey::from_hex(value.as_str().unwrap()).unwrap()
}

#[test]
fn secrets_become_points() {
    for vector in vectors("hash_to_curve") {
        assert_eq!(hash_to_curve(&hex(&vector["message"])), point(&vector["point"]));
    }
    for vector in vectors("blinded_messages") {
        let r = SecretKey::from_hex(vector["r"].as_str().unwrap()).unwrap();
        let blinded = hash_to_curve(&hex(&vector["x"])).combine(&r.public_key()).unwrap();
        assert_eq!(PublicKey::from(blinded), point(&vector["B_"]));
    }
}

#[test]
fn messages_are_signed_and_equality_is_proven() {
    for vector in vectors("blinded_signatures") {
        let key = AmountKey::new(SecretKey::from_hex(vector["k"].as_str().unwrap()).unwrap());
        assert_eq!(key.sign(&point(&vector["B_"])).0, point(&vector["C_"]));
    }
    // tests/12-tests.md, "Deterministic nonce derivation": reproduced exactly.
    let two = "0000000000000000000000000000000000000000000000000000000000000002";
    let key = AmountKey::new(SecretKey::from_hex(two).unwrap());
    let blinded = PublicKey::from_hex("02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2").unwrap();
    let (signature, dleq) = key.sign(&blinded);
    assert_eq!(signature.to_hex(), "0244eccfc7a348274458bb38044c7f3c389b3c2086c7ec18b5812d2877ab937787");
    assert_eq!(dleq.e.to_secret_hex(), "2a16ffee280aff3c429045607f9b8e0bf8b35910c44c1b20b9dfaf01b263d7b3");
    assert_eq!(dleq.s.to_secret_hex(), "9df27731238334718d120d4f74611a7c668233f988e687ac3fb188f0a34a2dab");
    // Ours must convince a wallet; one changed bit must not.
    let id = Id::from_bytes(&[0; 8]).unwrap();
    let promise = BlindSignature { amount: 1.into(), keyset_id: id, c: signature, dleq: Some(dleq.clone()) };
    promise.verify_dleq(key.public(), blinded).unwrap();
    let swapped = cashu::BlindSignatureDleq { e: dleq.s, s: dleq.e };
    assert!(BlindSignature { dleq: Some(swapped), ..promise }.verify_dleq(key.public(), blinded).is_err());
}

#[test]
fn keysets_have_the_published_identifiers() {
    for vector in vectors("keysets") {
        let keys: Keys = serde_json::from_value(vector["keys"].clone()).unwrap();
        let (id, text) = (vector["id"].as_str().unwrap(), vector["text"].as_str().unwrap());
        let id: Id = id.parse().unwrap();
        let input_fee_ppk = if text.contains("Input fee ppk: `100`") { 100 } else { 0 };
        let final_expiry = text.contains("Final expiry: `2059210353`").then_some(2_059_210_353);
        let keyset = KeySet { id, unit: CurrencyUnit::Sat, active: None, keys, input_fee_ppk, final_expiry };
        keyset.verify_id().unwrap();
    }
}

/// Which of the vectors must be refused, by what their text says.
fn must_fail(text: &str) -> bool {
    ["invalid", "failing", "**not** spendable"].iter().any(|word| text.contains(word))
}

#[test]
fn conditions_are_met_and_not_met_as_published() {
    let now = Time::from_unix(NOW);
    let mut seen = (0, 0);
    for vector in vectors("conditions") {
        let (text, request) = (vector["text"].as_str().unwrap(), vector["request"].clone());
        let result = match vector["kind"].as_str().unwrap() {
            "proof" => {
                let proof: Proof = serde_json::from_value(request).unwrap();
                // The first of the file shows a secret without a witness; after its locktime it asks for a signature all the same.
                let unsigned = proof.witness.is_none();
                let result = check_inputs(&[proof], now, String::new);
                if unsigned {
                    result.err().map(drop).ok_or(()).map_err(|()| unreachable!("spent unsigned"))
                } else {
                    result
                }
            }
            "swap" => {
                let swap: SwapRequest = serde_json::from_value(request).unwrap();
                check_inputs(swap.inputs(), now, || swap.sig_all_msg_to_sign())
            }
            _ => {
                let melt: MeltRequest<String> = serde_json::from_value(request).unwrap();
                check_inputs(melt.inputs(), now, || melt.sig_all_msg_to_sign())
            }
        };
        assert_eq!(result.is_err(), must_fail(text), "{text}: {result:?}");
        if result.is_ok() { seen.0 += 1 } else { seen.1 += 1 }
    }
    assert!(seen.0 >= 12 && seen.1 >= 5, "{seen:?}");
}

#[test]
fn messages_of_whole_requests_are_as_published() {
    let with_messages =
        vectors("conditions").into_iter().filter(|vector| vector["text"].as_str().unwrap().starts_with("Example"));
    let messages = vectors("messages");
    let mut seen = 0;
    for (vector, expected) in with_messages.zip(&messages) {
        let request = vector["request"].clone();
        let message = match vector["kind"].as_str().unwrap() {
            "swap" => serde_json::from_value::<SwapRequest>(request).unwrap().sig_all_msg_to_sign(),
            _ => serde_json::from_value::<MeltRequest<String>>(request).unwrap().sig_all_msg_to_sign(),
        };
        assert_eq!(message, expected["message"].as_str().unwrap());
        assert_eq!(sha256::Hash::hash(message.as_bytes()).to_string(), expected["sha256"].as_str().unwrap());
        seen += 1;
    }
    assert_eq!(seen, messages.len());
}

#[test]
fn signatures_on_quotes_are_as_published() {
    let key = PublicKey::from_hex("03d56ce4e446a85bbdaa547b4ec2b073d40ff802831352b8272b7dd7a4de5a7cac").unwrap();
    let results: Vec<bool> = vectors("mint_requests")
        .into_iter()
        .map(|vector| serde_json::from_value::<MintRequest<String>>(vector).unwrap().verify_signature(key).is_ok())
        .collect();
    assert_eq!(results, [true, false]);
}
