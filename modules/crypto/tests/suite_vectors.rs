//! `spec/vectors/suites.json`: for each suite a key set from known seeds and a statement with real signatures, as any other
//! implementation must accept it, and what it must refuse. ML-DSA and ECDSA signatures are randomised, so the file is not made anew
//! by every run: `UPDATE_VECTORS=1 cargo test -p semper-crypto --test suite_vectors` writes it.
#![allow(clippy::unwrap_used)]

use data_encoding::HEXLOWER;
use semper_core::cbor::{Decode, Encode};
use semper_core::contract::Promise;
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::Cid;
use semper_core::party::{KeySet, Role, Suite};
use semper_core::signature::verify;
use semper_crypto::{SecretKeys, Verifier};
use semper_support::crypto::Signer;
use serde_json::{Value, json};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/suites.json");
const SUITES: [(Suite, &str); 3] = [(Suite::Ed25519, "ed25519"), (Suite::Hybrid, "hybrid"), (Suite::Es256, "es256")];

fn seeds(suite: Suite) -> Vec<[u8; 32]> {
    (1..).map(|n: u8| [n; 32]).take(suite.algorithms().len()).collect()
}

fn promise() -> Promise {
    Promise { cid: Cid::from_digest(Digest::of(domain::CID, b"vector")), role: Role::ORIGINATOR, answers: None }
}

fn write() {
    let vector = |(suite, name): (Suite, &str)| {
        let keys = SecretKeys::from_seeds(suite, &seeds(suite)).unwrap();
        let signed = keys.sign(promise().draft(suite, keys.key_set().id())).unwrap();
        json!({
            "name": name,
            "seeds": seeds(suite).iter().map(|seed| HEXLOWER.encode(seed)).collect::<Vec<_>>(),
            "key_set": HEXLOWER.encode(&keys.key_set().to_bytes()),
            "key_set_id": keys.key_set().id().to_string(),
            "signed": HEXLOWER.encode(signed.bytes()),
            "statement_id": signed.id().to_string(),
        })
    };
    let text = serde_json::to_string_pretty(&SUITES.map(vector)).unwrap();
    std::fs::write(PATH, text + "\n").unwrap();
}

fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    HEXLOWER.decode(vector[field].as_str().unwrap().as_bytes()).unwrap()
}

#[test]
fn every_suite_is_accepted_whole_and_refused_in_part() {
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        write();
    }
    let vectors: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(PATH).unwrap()).unwrap();
    assert_eq!(vectors.len(), SUITES.len());
    for (vector, (suite, name)) in vectors.iter().zip(SUITES) {
        assert_eq!(vector["name"], name);
        let key_set = KeySet::from_bytes(&bytes(vector, "key_set")).unwrap();
        let keys = SecretKeys::from_seeds(suite, &seeds(suite)).unwrap();
        assert_eq!(*keys.key_set(), key_set, "{name}: the seeds make other keys");
        assert_eq!(vector["key_set_id"], key_set.id().to_string());
        let whole = bytes(vector, "signed");
        let signed = Signed::from_bytes(&whole).unwrap();
        assert_eq!(vector["statement_id"], signed.id().to_string());
        assert_eq!(*verify::<Promise>(&Verifier, &key_set, &signed).unwrap().statement(), promise());

        // Each signature alone carries the statement down with it.
        for (_, _, signature) in signed.signatures() {
            let place = whole.windows(signature.len()).position(|window| window == signature).unwrap();
            for at in [0, signature.len() / 2, signature.len() - 1] {
                let mut bad = whole.clone();
                bad[place + at] ^= 1;
                let bad = Signed::from_bytes(&bad).unwrap();
                assert!(verify::<Promise>(&Verifier, &key_set, &bad).is_err(), "{name}: byte {at} of a signature");
            }
        }
        let other = SecretKeys::from_seeds(suite, &vec![[9; 32]; suite.algorithms().len()]).unwrap();
        assert!(verify::<Promise>(&Verifier, other.key_set(), &signed).is_err());
    }
}
