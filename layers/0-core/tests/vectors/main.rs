//! The vectors under `spec/vectors/`: what every implementation of Semper must read, write and refuse.
//!
//! What could go wrong: the encoding drifts, and yesterday's contract has another identifier today; or a reader becomes lenient, and
//! two forms of one document circulate. The committed files are compared with what [`make`] makes now, and each vector is read from
//! its bytes alone. After an intended change: `UPDATE_VECTORS=1 cargo test -p semper-core --test vectors`, then review the diff.
//!
//! What this test cannot see: whether the values mean what the texts in `spec/` say.

#![allow(clippy::unwrap_used)]

mod make;

use std::path::PathBuf;
use std::sync::LazyLock;

use ed25519_dalek::{Signature, VerifyingKey};
use semper_core::amount::Amount;
use semper_core::cbor::{self, Decode, DecodeError, Encode};
use semper_core::container::{Ack, Container, ContainerStatement};
use semper_core::contract::{Core, Final, Promise, Quittance};
use semper_core::cose::Signed;
use semper_core::document::Document;
use semper_core::merkle::{Consistency, Frontier, Inclusion};
use semper_core::party::{Algorithm, KeySet};
use semper_core::signature::{SignatureError, Verify, verify};
use semper_core::template::Template;
use semper_core::time::Time;
use serde_json::Value as Json;

/// File, good vectors, refusals. A vector that is lost by mistake shows here.
const COUNTS: [(&str, usize, usize); 11] = [
    ("encoding", 30, 36),
    ("core", 21, 31),
    ("documents", 4, 22),
    ("containers", 6, 24),
    ("signed", 6, 29),
    ("exchange", 40, 0),
    ("signers", 7, 0),
    ("credentials", 11, 0),
    ("mandates", 3, 0),
    ("covers", 10, 0),
    ("notices", 3, 0),
];

/// What is wrong with refused bytes: the name of the problem, and the whole message.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    problem: String,
    error: String,
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self { problem: variant(error.problem()), error: error.to_string() }
    }
}

impl From<SignatureError> for Refusal {
    fn from(error: SignatureError) -> Self {
        Self { problem: variant(&error), error: error.to_string() }
    }
}

fn variant(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// Reads bytes as a type and writes the value again.
fn read(type_name: &str, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    fn typed<T: Decode + Encode>(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        Ok(T::from_bytes(bytes)?.to_bytes())
    }
    match type_name {
        "cbor" => Ok(cbor::decode(bytes, 1 << 16)?.encode()),
        "amount" => typed::<Amount>(bytes),
        "time" => typed::<Time>(bytes),
        "key-set" => typed::<KeySet>(bytes),
        "core" => typed::<Core>(bytes),
        "promise" => typed::<Promise>(bytes),
        "final" => typed::<Final>(bytes),
        "quittance" => typed::<Quittance>(bytes),
        "frontier" => typed::<Frontier>(bytes),
        "inclusion" => typed::<Inclusion>(bytes),
        "consistency" => typed::<Consistency>(bytes),
        "template" => typed::<Template>(bytes),
        "document" => typed::<Document>(bytes),
        "container" => typed::<Container>(bytes),
        "container-statement" => typed::<ContainerStatement>(bytes),
        "ack" => typed::<Ack>(bytes),
        "signed" => Ok(Signed::from_bytes(bytes)?.bytes().to_vec()),
        // A promise of the party whose key is made from 32 bytes 0x01, signatures included.
        "signed promise" => {
            let signed = Signed::from_bytes(bytes)?;
            let promise = verify::<Promise>(&Dalek, &make::key_set(1), &signed)?;
            Ok(promise.signed().bytes().to_vec())
        }
        // Types of higher layers: their crates read them; here they are data in the one encoding, and fit the CDDL.
        _ => Ok(cbor::decode(bytes, 1 << 16)?.encode()),
    }
}

struct Dalek;

impl Verify for Dalek {
    fn verify(&self, algorithm: Algorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let (Algorithm::Ed25519, Ok(key), Ok(signature)) =
            (algorithm, public_key.try_into(), Signature::from_slice(signature))
        else {
            return false;
        };
        VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec").join(file)
}

/// Writes the vectors anew, once and before any test reads them, if that is asked for.
static UPDATED: LazyLock<()> = LazyLock::new(|| {
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        for (file, made) in make::all() {
            let text = serde_json::to_string_pretty(&made).unwrap() + "\n";
            std::fs::write(path(&format!("vectors/{file}.json")), text).unwrap();
        }
    }
});

fn committed(file: &str) -> Json {
    LazyLock::force(&UPDATED);
    let text = std::fs::read_to_string(path(&format!("vectors/{file}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn text<'a>(vector: &'a Json, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {vector}"))
}

fn bytes(vector: &Json) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text(vector, "hex").as_bytes()).unwrap()
}

fn is_refusal(vector: &Json) -> bool {
    vector.get("problem").is_some()
}

fn vectors() -> impl Iterator<Item = Json> {
    COUNTS.into_iter().flat_map(|(file, ..)| committed(file).as_array().unwrap().clone())
}

#[test]
fn the_committed_vectors_are_what_the_code_makes() {
    for (file, made) in make::all() {
        assert!(committed(file) == made, "spec/vectors/{file}.json differs from what the code makes");
    }
}

#[test]
fn there_are_as_many_vectors_as_there_should_be() {
    let counted = COUNTS.map(|(file, ..)| {
        let vectors = committed(file);
        let refused = vectors.as_array().unwrap().iter().filter(|vector| is_refusal(vector)).count();
        (file, vectors.as_array().unwrap().len() - refused, refused)
    });
    assert_eq!(counted, COUNTS);
    let mut names: Vec<_> = vectors().map(|vector| text(&vector, "name").to_owned()).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all, "two vectors have one name");
}

#[test]
fn good_vectors_are_read_and_written_the_same() {
    for vector in vectors().filter(|vector| !is_refusal(vector)) {
        let bytes = bytes(&vector);
        assert_eq!(read(text(&vector, "type"), &bytes), Ok(bytes), "{}", text(&vector, "name"));
    }
}

#[test]
fn bad_vectors_are_refused_for_the_reason_they_name() {
    for vector in vectors().filter(is_refusal) {
        let expected =
            Refusal { problem: text(&vector, "problem").to_owned(), error: text(&vector, "error").to_owned() };
        assert_eq!(read(text(&vector, "type"), &bytes(&vector)), Err(expected), "{}", text(&vector, "name"));
    }
}

// A change of one byte must be seen: either it is refused, or it is another value, which has exactly these bytes.
#[test]
fn no_change_of_a_byte_goes_unseen() {
    let mut seen = 0;
    for vector in vectors().filter(|vector| !is_refusal(vector)) {
        let (type_name, bytes) = (text(&vector, "type"), bytes(&vector));
        for place in 0..bytes.len() {
            for flip in [0x01, 0x20, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[place] ^= flip;
                let result = read(type_name, &changed);
                let name = text(&vector, "name");
                assert!(result.is_err() || result == Ok(changed), "{name}: byte {place} ^ {flip:#x}");
                assert!(
                    type_name != "signed promise" || result.is_err(),
                    "{name}: byte {place} ^ {flip:#x} still verifies"
                );
                seen += 1;
            }
        }
        for end in 0..bytes.len() {
            assert!(read(type_name, &bytes[..end]).is_err(), "{}: cut to {end} bytes", text(&vector, "name"));
        }
    }
    assert!(seen > 10_000, "{seen}");
}

// The CDDL is what other implementers read; it must describe what we write, and not just anything.
#[test]
fn good_vectors_fit_the_cddl() {
    let rules = std::fs::read_to_string(path("semper.cddl")).unwrap();
    let fits =
        |rule: &str, bytes: &[u8]| cddl::validate_cbor_from_slice(&format!("root = {rule}\n{rules}"), bytes, None);
    let mut checked = 0;
    for vector in vectors().filter(|vector| !is_refusal(vector) && text(vector, "type") != "cbor") {
        let (name, rule, bytes) = (text(&vector, "name"), text(&vector, "type"), bytes(&vector));
        let rule = if rule == "signed promise" { "signed" } else { rule };
        if let Err(error) = fits(rule, &bytes) {
            panic!("{name} does not fit {rule}: {error}");
        }
        if !matches!(rule, "time" | "signed") {
            let with_more = make::edit(&bytes, |map| map.insert(99_u64, true));
            assert!(fits(rule, &with_more).is_err(), "{name} fits {rule} with a field that there is not");
        }
        checked += 1;
    }
    assert_eq!(checked, 111);
}

#[test]
fn the_visible_ranges_are_those_of_the_code() {
    let ranges: Vec<(u32, u32)> = serde_json::from_value(committed("visible")).unwrap();
    let mut next = ranges.iter().peekable();
    for c in '\0'..=char::MAX {
        let code = u32::from(c);
        if next.peek().is_some_and(|(_, last)| *last < code) {
            next.next();
        }
        let listed = next.peek().is_some_and(|(first, _)| *first <= code);
        assert_eq!(semper_core::text::is_visible(c), listed, "U+{code:04X}");
    }
}
