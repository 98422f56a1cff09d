//! The specification of claims: its text holds the rules as they are hashed, its vectors are read and written here as they stand.
//!
//! After an intended change: `UPDATE_VECTORS=1 cargo test -p semper-sim --test judge vectors`, then review the diff.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use semper_core::cbor::{Decode, Encode};
use semper_exchange::claims::{Claim, Decision, rules, rules_hash};
use semper_sim::fuzz;
use serde_json::{Value, json};

use super::{GARBAGE, decision};
use crate::parties::exchange;

/// Claims, each with what it says.
const CLAIMS: [(&str, &str); 15] = [
    ("agreed(originator)", "the originator of some contract is bound by it"),
    ("paid(payer, >= 20.00 EUR, before 2026-11-21T12:00:00Z)", "somebody paid 20 euros or more, at noon or before"),
    ("refunded(payer, >= 1.00 EUR <= 2.00 EUR)", "between two amounts, both included"),
    ("aborted(arbiter, after 2026-11-20T00:00:00Z before 2026-11-21T00:00:00Z by log)", "the arbiter's log says when"),
    (
        "received(signer-3, contract 0000000000000000000000000000000000000000000000000000000000000001)",
        "the third signer of this contract got the information",
    ),
    (
        "received(receiver, contract 0000000000000000000000000000000000000000000000000000000000000001 recipient 2)",
        "the second recipient of this letter got it",
    ),
    (
        "stamped(responder, before 2026-11-21T12:00:00Z by stamp)",
        "a time-stamp says that its signature is older than noon",
    ),
    (
        "submitted(originator, before 2026-11-21T12:00:00Z)",
        "the originator's promise was handed in for the responder at noon or before",
    ),
    (
        "asked(originator, before 2026-11-21T12:00:00Z by stamp)",
        "a time-stamp says that the originator's request to the arbiter is older than noon",
    ),
    ("used-right(responder)", "the holder of a right showed it under some contract"),
    ("deposited(originator, >= 1.00 EUR)", "the originator handed its money to the arbiter"),
    ("withdrew(responder, before 2026-12-01T00:00:00Z)", "the responder's withdrawal had come by then"),
    ("and(disputed(originator), not(conceded(responder)))", "a dispute, and what its answer was not"),
    ("submitted-final(responder)", "the responder's final was handed in for the originator"),
    ("and(agreed(originator), or(not(faulted(sender)), refunded(payer)))", "several claims joined"),
];

/// Texts that are no claims, each with the reason.
const REFUSED: [(&str, &str); 11] = [
    ("stole(payer)", "no such verb"),
    ("paid(payer, >= 20)", "an amount has a currency"),
    ("paid(payer, <= 1.00 EUR >= 2.00 EUR)", "the lower bound comes first"),
    ("agreed(originator, >= 1.00 EUR)", "agreements have no amount"),
    ("and(agreed(originator))", "one claim is not joined"),
    ("not(not(not(not(not(paid(payer))))))", "nested too deep"),
    ("agreed(originator, after 2026-11-21T12:00:00Z by stamp)", "a time-stamp says before and never after"),
    ("submitted(sender, >= 1.00 EUR)", "what was handed in is no amount"),
    ("paid(payer, before 2026-02-29T00:00:00Z)", "no such day"),
    (
        "received(receiver, contract 0000000000000000000000000000000000000000000000000000000000000001 recipient 0)",
        "recipients are counted from 1",
    ),
    (
        "paid(payer, payment 0000000000000000000000000000000000000000000000000000000000000001 recipient 1)",
        "only contracts have several recipients",
    ),
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("spec").join(name)
}

fn vectors() -> Value {
    let claim = |(text, meaning): &(&str, &str)| {
        let claim: Claim = text.parse().unwrap();
        json!({ "text": text, "hex": HEXLOWER.encode(&claim.to_bytes()), "meaning": meaning })
    };
    let refused = |(text, reason): &(&str, &str)| json!({ "text": text, "reason": reason });
    let made = exchange(GARBAGE, None);
    let found = decision(&made.cast, &made.folders, "refunded(responder, >= 1.00 EUR)");
    json!({
        "rules": rules_hash().to_string(),
        "claims": CLAIMS.iter().map(claim).collect::<Vec<_>>(),
        "refused": REFUSED.iter().map(refused).collect::<Vec<_>>(),
        "decision": { "hex": HEXLOWER.encode(&found.to_bytes()), "meaning": "a buyer that was sold garbage has its money back" },
    })
}

#[test]
fn vectors_are_those_of_the_specification() {
    let file = path("vectors/claims.json");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&file, format!("{:#}\n", vectors())).unwrap();
    }
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(stored["rules"], rules_hash().to_string());
    let bytes = |value: &Value| HEXLOWER.decode(value["hex"].as_str().unwrap().as_bytes()).unwrap();
    for vector in stored["claims"].as_array().unwrap() {
        let text = vector["text"].as_str().unwrap();
        let claim = Claim::from_bytes(&bytes(vector)).unwrap();
        assert_eq!((claim.to_string().as_str(), text.parse()), (text, Ok(claim)));
    }
    for vector in stored["refused"].as_array().unwrap() {
        let text = vector["text"].as_str().unwrap();
        assert!(text.parse::<Claim>().is_err(), "{text}");
    }
    assert_eq!(stored["claims"].as_array().unwrap().len(), CLAIMS.len());
    let decision = bytes(&stored["decision"]);
    assert_eq!(Decision::from_bytes(&decision).unwrap().to_bytes(), decision);
}

#[test]
fn the_specification_holds_the_rules_word_for_word() {
    let text = std::fs::read_to_string(path("claims.md")).unwrap();
    assert!(text.contains(&format!("```text\n{}```\n", rules::RULES)), "the rules are not those of spec/claims.md");
}

// What is written fits the CDDL, and what has a field more does not.
#[test]
fn claims_decisions_and_proofs_of_submission_fit_the_cddl() {
    let rules = std::fs::read_to_string(path("semper.cddl")).unwrap();
    for target in ["claim", "decision", "submission_proof"] {
        let root = target.replace('_', "-");
        let fits = |bytes: &[u8]| cddl::validate_cbor_from_slice(&format!("root = {root}\n{rules}"), bytes, None);
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let files = std::fs::read_dir(corpus).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        let good: Vec<_> = files.filter(|bytes| fuzz::run(target, bytes)).collect();
        assert!(!good.is_empty());
        for bytes in good {
            fits(&bytes).unwrap_or_else(|error| panic!("{target}: {error}"));
            let Ok(semper_core::cbor::Value::Map(mut map)) = semper_core::cbor::decode(&bytes, bytes.len()) else {
                panic!("{target} is a map")
            };
            map.insert(99_u64, true);
            assert!(fits(&semper_core::cbor::Value::Map(map).encode()).is_err(), "{target} with a field more");
        }
    }
}
