//! The vectors of `spec/vectors/exchange.json`, `signers.json`, `credentials.json`, `mandates.json`, `covers.json` and `notices.json` that are messages of the layers above the core: read and written the same, refused when damaged.
//!
//! What could go wrong: a message changes its form while the specification keeps the old one. The vectors are made without the
//! encoders of these layers, by `semper-core`'s test `vectors`, which also checks them against `spec/semper.cddl`.

#![allow(clippy::unwrap_used)]

use semper_commerce::mandate::Mandate;
use semper_core::cbor::{self, Decode, Encode, Value};
use semper_core::contract::Core;
use semper_core::hash::Digest;
use semper_core::ids::Cid;
use semper_exchange::arbiter::request::{Abort, Complaint, Inquiry, Request, Resolve, Revocation, Settlement};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, ClosedUnused, Closing, Verdict};
use semper_exchange::arbiter::{hands, many};
use semper_exchange::cn;
use semper_exchange::cover;
use semper_exchange::evidence::Folder;
use semper_exchange::goods::{Good, Opens, preimage_hash};
use semper_exchange::gx;
use semper_exchange::lx;
use semper_exchange::notice::Notice;
use semper_transfer::credential::{
    Bundle, Credential, CredentialTransfer, Reservation, ReservationRequest, Spend, Submission, use_tag,
};
use semper_transfer::tx;

/// Whether the bytes are read as a `T` and written again as they stand.
fn same<T: Decode + Encode>(bytes: &[u8]) -> Option<bool> {
    Some(T::from_bytes(bytes).is_ok_and(|value| value.to_bytes() == bytes))
}

/// `None` for the types of the core.
fn read(type_name: &str, bytes: &[u8]) -> Option<bool> {
    match type_name {
        "gx-message" => same::<gx::Message>(bytes),
        "lx-message" => same::<lx::Message>(bytes),
        "price" => same::<gx::Price>(bytes),
        "lock-deposit" => same::<gx::LockDeposit>(bytes),
        "transfer-deposit" => same::<gx::TransferDeposit>(bytes),
        "hands-deposit" => same::<gx::HandsDeposit>(bytes),
        "money-deposit" => same::<hands::Deposit>(bytes),
        "hands-answer" => same::<hands::Answer>(bytes),
        "inquiry" => same::<Inquiry>(bytes),
        "revocation" => same::<Revocation>(bytes),
        "right" => same::<gx::Right>(bytes),
        "credential" => same::<Credential>(bytes),
        "credential-transfer" => same::<CredentialTransfer>(bytes),
        "abort" => same::<Abort>(bytes),
        "resolve" => same::<Resolve>(bytes),
        "complaint" => same::<Complaint>(bytes),
        "settlement" => same::<Settlement>(bytes),
        "closing" => same::<Closing>(bytes),
        "request" => same::<Request>(bytes),
        "verdict" => same::<Verdict>(bytes),
        "closed-unused" => same::<ClosedUnused>(bytes),
        "arbiter-answer" => same::<ArbiterAnswer>(bytes),
        "folder" => same::<Folder>(bytes),
        "tx-message" => same::<tx::Message>(bytes),
        "round" => same::<cn::Round>(bytes),
        "cn-message" => same::<cn::Message>(bytes),
        "ask" => same::<many::Ask>(bytes),
        "cn-request" => same::<many::Request>(bytes),
        "cn-answer" => same::<many::Answer>(bytes),
        "reservation-request" => same::<ReservationRequest>(bytes),
        "reservation" => same::<Reservation>(bytes),
        "spend" => same::<Spend>(bytes),
        "credential-bundle" => same::<Bundle>(bytes),
        "submission" => same::<Submission>(bytes),
        "mandate" => same::<Mandate>(bytes),
        "liability-agreement" => same::<cover::Agreement>(bytes),
        "cover-request" => same::<cover::CoverRequest>(bytes),
        "cover" => same::<cover::Cover>(bytes),
        "cover-release" => same::<cover::CoverRelease>(bytes),
        "cover-claim" => same::<cover::CoverClaim>(bytes),
        "cover-ruling" => same::<cover::CoverRuling>(bytes),
        "cover-file" => same::<cover::CoverFile>(bytes),
        "cover-submission" => same::<cover::Submission>(bytes),
        "notice" => same::<Notice>(bytes),
        _ => None,
    }
}

#[test]
fn messages_are_those_of_the_specification() {
    let files = ["exchange", "signers", "credentials", "mandates", "covers", "notices"];
    assert_eq!(files.map(checked), [40, 7, 11, 2, 10, 3]);
}

/// Checks the messages of a file of vectors, and counts them.
fn checked(file: &str) -> usize {
    let path = format!("{}/../spec/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
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
    seen
}

// Who finds a use by another tag than its issuer finds none.
#[test]
fn the_tag_of_the_vectors_names_their_contract() {
    let path = format!("{}/../spec/vectors/credentials.json", env!("CARGO_MANIFEST_DIR"));
    let vectors: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vector = vectors.iter().find(|vector| vector["name"] == "reservation-counted").unwrap();
    let bytes = |field: &str| data_encoding::HEXLOWER.decode(vector[field].as_str().unwrap().as_bytes()).unwrap();
    let cid = Cid::from_digest(Digest::from_array(bytes("cid").try_into().unwrap()));
    let salt = bytes("salt").try_into().unwrap();
    let kept = Reservation::from_bytes(&bytes("hex")).unwrap();
    assert_eq!((kept.tag, kept.number), (use_tag(cid, &salt), Some(2)));
    assert_eq!(kept.tag.to_string(), vector["tag"].as_str().unwrap());
}

// Who opens a cover by another tag than its guarantor opens none.
#[test]
fn the_tag_of_a_cover_names_its_contract() {
    let path = format!("{}/../spec/vectors/covers.json", env!("CARGO_MANIFEST_DIR"));
    let vectors: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vector = vectors.iter().find(|vector| vector["name"] == "cover").unwrap();
    let bytes = |field: &str| data_encoding::HEXLOWER.decode(vector[field].as_str().unwrap().as_bytes()).unwrap();
    let cid = Cid::from_digest(Digest::from_array(bytes("cid").try_into().unwrap()));
    let opening = bytes("opening").try_into().unwrap();
    assert_eq!(cover::Cover::from_bytes(&bytes("hex")).unwrap().tag, cover::cover_tag(cid, &opening));
}

// The contract under a hash of the core's vectors is one that can be run, and its preimage opens what both give.
#[test]
fn one_hash_locks_the_contract_of_the_vectors() {
    let path = format!("{}/../spec/vectors/core.json", env!("CARGO_MANIFEST_DIR"));
    let vectors: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vector = vectors.iter().find(|vector| vector["name"] == "core-under-hash").unwrap();
    let bytes = |field: &str| data_encoding::HEXLOWER.decode(vector[field].as_str().unwrap().as_bytes()).unwrap();
    let core = Core::from_bytes(&bytes("hex")).unwrap();
    let [gx::Leg::Information(slot), gx::Leg::Money(lock)] = gx::Leg::of(&core).unwrap() else { panic!("{core:?}") };
    let hash = preimage_hash(&bytes("preimage"));
    assert_eq!((lock.hash, lock.refund_after), (Some(hash), gx::responders_refund(&core.terms.deadlines)));
    assert_eq!(Good::of(&core, slot, None).unwrap().deposit().opens, Opens::Hash(hash));
}

// There are no vectors of payments made without our encoders yet: what is checked is that the specification describes what we write.
#[test]
fn payments_fit_the_cddl() {
    let folder = |path: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let rules = std::fs::read_to_string(folder("../spec/semper.cddl")).unwrap();
    let mut checked = 0;
    for (target, rule) in [("pay_message", "pay-message"), ("operation", "operation")] {
        let fits = |bytes: &[u8]| cddl::validate_cbor_from_slice(&format!("root = {rule}\n{rules}"), bytes, None);
        for file in std::fs::read_dir(folder(&format!("fuzz/corpus/{target}"))).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            if semper_sim::fuzz::run(target, &bytes) {
                fits(&bytes).unwrap_or_else(|error| panic!("{} does not fit {rule}: {error}", path.display()));
                let Ok(Value::Map(mut map)) = cbor::decode(&bytes, bytes.len()) else { panic!("{rule} is a map") };
                map.insert(99_u64, true);
                assert!(fits(&Value::Map(map).encode()).is_err(), "{} with a field that there is not", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked}");
}
