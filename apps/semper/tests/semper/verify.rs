//! `semper verify` on folders that are damaged, altered or something else: exit code 1 and a sentence that says what and where.

use std::path::PathBuf;
use std::sync::OnceLock;

use semper_core::cbor::{Decode as _, Encode as _, Value, decode};
use semper_core::cose::{Kind, Signed};
use semper_core::document::Document;
use semper_core::document::FieldValue;
use semper_exchange::evidence::{Folder, Item};
use semper_support::engine::EvidenceKind;

use crate::world::World;

/// Two folders of complete contracts between the same parties.
fn signed() -> &'static [Vec<u8>; 2] {
    static SIGNED: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let world = World::of_two();
        let (_alice, _bob) = (world.up("alice"), world.up("bob"));
        [(); 2].map(|()| {
            let deal = world.propose(&[]);
            assert_eq!(world.ending("alice", &deal), "success");
            assert_eq!(world.ending("bob", &deal), "success");
            std::fs::read(world.export("alice", &deal)).unwrap()
        })
    })
}

fn folder() -> Folder {
    Folder::from_bytes(&signed()[0]).unwrap()
}

fn write(world: &World, bytes: impl AsRef<[u8]>) -> PathBuf {
    PathBuf::from(world.file("folder.semper", bytes))
}

/// The folder is refused before anything in it is looked at, with `sentence`, in both forms.
#[track_caller]
fn refused(world: &World, bytes: &[u8], sentence: &str) {
    let path = write(world, bytes);
    let ran = world.verify(&path);
    assert_eq!(ran.code, Some(1), "{}", ran.text);
    assert!(ran.text.starts_with("REFUSED") && ran.text.contains(sentence), "{sentence:?} is not in: {}", ran.text);
    let report = world.report(&path);
    assert_eq!(report["sound"], false);
    assert!(report["error"].as_str().unwrap().contains(sentence), "{report:#}");
}

/// The folder is well made but not sound: a fault with `sentence`.
#[track_caller]
fn faulty(world: &World, folder: &Folder, sentence: &str) {
    let path = write(world, folder.to_bytes());
    let ran = world.verify(&path);
    assert_eq!(ran.code, Some(1), "{}", ran.text);
    let said = ran.text.lines().any(|line| line.starts_with("FAULT") && line.contains(sentence));
    assert!(ran.text.starts_with("NOT SOUND") && said, "no fault with {sentence:?}: {}", ran.text);
}

fn statements(folder: &Folder, kind: Kind) -> Vec<usize> {
    let is = |item: &Item| {
        item.kind == EvidenceKind::Statement
            && Signed::from_bytes(&item.bytes).is_ok_and(|signed| signed.kind() == kind)
    };
    let places: Vec<_> = (0..folder.items.len()).filter(|place| is(&folder.items[*place])).collect();
    assert!(!places.is_empty(), "the folder holds no {kind}");
    places
}

// Twin of all others: if a good folder did not pass, their refusals would mean nothing.
#[test]
fn a_good_folder_passes() {
    let world = World::new();
    for bytes in signed() {
        let path = write(&world, bytes);
        let text = world.verify(&path).good();
        assert!(text.starts_with("SOUND") && text.contains("complete: signed by both parties"), "{text}");
        let report = world.report(&path);
        assert_eq!((&report["sound"], &report["contracts"][0]["standing"]), (&true.into(), &"complete".into()));
    }
}

// Damage on the way: any single byte, and an end that comes too early.
#[test]
fn a_damaged_folder_is_refused() {
    let world = World::new();
    let good = &signed()[0];
    for round in 0..50 {
        let place = round * (good.len() - 1) / 49;
        let mut bytes = good.clone();
        bytes[place] ^= 1 << (round % 8);
        let ran = world.verify(&write(&world, &bytes));
        assert_eq!(ran.code, Some(1), "byte {place}: {}", ran.text);
        assert!(ran.text.starts_with("REFUSED"), "byte {place}: {}", ran.text);
    }
    for length in [20, good.len() / 2, good.len() - 1] {
        refused(&world, &good[..length], "byte");
    }
    refused(&world, &[good.as_slice(), b"\0"].concat(), "byte");
}

// A user who gives the wrong file is told so, and not that evidence was forged.
#[test]
fn another_file_is_no_deal_folder() {
    let world = World::new();
    for bytes in [b"".as_slice(), b"\x89PNG\r\n\x1a\n0000", b"hello", &[0x81; 100_000]] {
        refused(&world, bytes, "not a deal folder");
    }
    world.verify(&world.path("missing.semper")).failed_with(&["missing.semper"]);
}

// A folder of a later version, one that is nested to exhaust the stack, one whose bytes could be written otherwise.
#[test]
fn hostile_encodings_are_refused() {
    let world = World::new();
    let good = &signed()[0];
    let head = b"\xa5\x00\x6dsemper-folder";
    assert_eq!(good[head.len()..head.len() + 2], [1, 1], "key 1, version 1");
    let mut later = good.clone();
    later[head.len() + 1] = 2;
    refused(&world, &later, "version");
    let deep = [head.as_slice(), b"\x01\x01\x02", &[0x81; 1_000_000]].concat();
    refused(&world, &deep, "deep");
    // The version 1, written in two bytes.
    let long = [&good[..=head.len()], b"\x18\x01", &good[head.len() + 2..]].concat();
    refused(&world, &long, "byte");
}

// Who alters a folder on purpose makes the hash fit again. Then the signatures have to tell.
#[test]
fn an_altered_statement_is_found() {
    let world = World::new();
    let good = folder();
    let promise = statements(&good, Kind::Promise)[0];

    let mut stripped = good.clone();
    stripped.items[promise].bytes = one_signature(&good.items[promise].bytes);
    faulty(&world, &stripped, &format!("item {promise} (statement)"));

    let mut forged = good.clone();
    *forged.items[promise].bytes.last_mut().unwrap() ^= 1;
    faulty(&world, &forged, &format!("item {promise}"));

    let foreign = Folder::from_bytes(&signed()[1]).unwrap();
    let mut added = good.clone();
    added.items.push(foreign.items[statements(&foreign, Kind::Promise)[0]].clone());
    faulty(&world, &added, "belongs to nothing in this folder");
}

/// A statement with the first of its signatures only.
fn one_signature(bytes: &[u8]) -> Vec<u8> {
    let Value::Tag(98, inner) = decode(bytes, bytes.len()).unwrap() else { panic!("not a COSE_Sign") };
    let Value::Array(mut parts) = *inner else { panic!("not an array") };
    let Some(Value::Array(signatures)) = parts.last_mut() else { panic!("no signatures") };
    assert_eq!(signatures.len(), 2);
    signatures.truncate(1);
    Value::Tag(98, Box::new(Value::Array(parts))).encode()
}

// Leaving something out cannot be found by signatures. It must not leave more proven than there is.
#[test]
fn a_removed_statement_proves_less() {
    let world = World::new();
    let good = folder();
    let mut without = good.clone();
    without.items.remove(statements(&good, Kind::Final)[0]);
    let report = world.report(&write(&world, without.to_bytes()));
    assert_eq!(
        (&report["contracts"][0]["standing"], &report["contracts"][0]["binding"]),
        (&"open".into(), &false.into())
    );

    let finals = statements(&good, Kind::Final);
    let keys = good.items.iter().position(|item| item.kind == EvidenceKind::KeySet).unwrap();
    let mut unsigned = good.clone();
    unsigned.items.remove(keys);
    let report = world.report(&write(&world, unsigned.to_bytes()));
    assert_ne!(report["contracts"][0]["standing"], "complete", "{finals:?} {report:#}");
}

// The file is what the contract is about: another one must not stand under it, and a missing one must be named.
#[test]
fn files_and_text_belong_to_the_contract() {
    let world = World::new();
    let good = folder();
    let file = good.items.iter().position(|item| item.kind == EvidenceKind::Attachment).expect("a signed file");
    let mut altered = good.clone();
    altered.items[file].bytes[0] ^= 1;
    faulty(&world, &altered, "is named by no contract or transfer in this folder");
    let mut removed = good.clone();
    removed.items.remove(file);
    // What was signed stays proven without the file, but whoever reads the folder cannot see what it was.
    faulty(&world, &removed, "which contract");
    let path = write(&world, removed.to_bytes());
    assert!(world.report(&path)["contracts"][0]["files"][0]["bytes"].is_null());

    let place = good.items.iter().position(|item| item.kind == EvidenceKind::Document).unwrap();
    let mut other = good.clone();
    let mut document = Document::from_bytes(&good.items[place].bytes).unwrap();
    document.fields.insert("law".to_owned(), FieldValue::Text("another law".to_owned()));
    other.items[place].bytes = document.to_bytes();
    faulty(&world, &other, "the text of contract");
}
