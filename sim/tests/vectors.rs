//! The vectors of `spec/vectors/exchange.json` that are messages of the layers above the core: read and written the same, refused when damaged.
//!
//! What could go wrong: a message changes its form while the specification keeps the old one. The vectors are made without the
//! encoders of these layers, by `semper-core`'s test `vectors`, which also checks them against `spec/semper.cddl`.

#![allow(clippy::unwrap_used)]

use semper_core::cbor::{Decode, Encode};
use semper_exchange::arbiter::request::{Abort, Request, Resolve};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, ClosedUnused, Verdict};
use semper_exchange::c2;
use semper_exchange::evidence::Folder;
use semper_transfer::tx;

/// Whether the bytes are read as a `T` and written again as they stand.
fn same<T: Decode + Encode>(bytes: &[u8]) -> Option<bool> {
    Some(T::from_bytes(bytes).is_ok_and(|value| value.to_bytes() == bytes))
}

/// `None` for the types of the core.
fn read(type_name: &str, bytes: &[u8]) -> Option<bool> {
    match type_name {
        "c2-message" => same::<c2::Message>(bytes),
        "abort" => same::<Abort>(bytes),
        "resolve" => same::<Resolve>(bytes),
        "request" => same::<Request>(bytes),
        "verdict" => same::<Verdict>(bytes),
        "closed-unused" => same::<ClosedUnused>(bytes),
        "arbiter-answer" => same::<ArbiterAnswer>(bytes),
        "folder" => same::<Folder>(bytes),
        "tx-message" => same::<tx::Message>(bytes),
        _ => None,
    }
}

#[test]
fn messages_are_those_of_the_specification() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/vectors/exchange.json");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut seen = 0;
    for vector in &vectors {
        let (name, type_name) = (&vector["name"], vector["type"].as_str().unwrap());
        let bytes = data_encoding::HEXLOWER.decode(vector["hex"].as_str().unwrap().as_bytes()).unwrap();
        let Some(read_the_same) = read(type_name, &bytes) else { continue };
        assert!(read_the_same, "{name}");
        assert_eq!(read(type_name, &bytes[1..]), Some(false), "{name} without its first byte");
        assert_eq!(read(type_name, &[bytes.as_slice(), &[0]].concat()), Some(false), "{name} with a byte more");
        seen += 1;
    }
    assert_eq!(seen, 13);
}
