//! Makes the vectors.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use semper_core::amount::Amount;
use semper_core::cbor::{self, Encode, Map, Record, Value, record};
use semper_core::container::{
    Ack, Anonymity, Attributes, Container, ContainerStatement, Disposition, Information, Leaf, Node,
};
use semper_core::container::{AckWanted, Fairness};
use semper_core::contract::{
    ArbiterRef, Core, Deadlines, Final, Item, ItemKind, Link, PartyRef, Profile, Promise, Quittance, Relation, Terms,
    TextRef,
};
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::document::{Document, FieldValue};
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId, KeySetId, Slot, StatementId};
use semper_core::merkle::{Consistency, Frontier, Inclusion, leaf_hash, root};
use semper_core::party::{Algorithm, KeySet, Role, Suite};
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::time::{Seconds, Time};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

/// Every file with its vectors.
pub(crate) fn all() -> [(&'static str, Json); 9] {
    let visible = (0..=u32::from(char::MAX)).filter(|c| char::from_u32(*c).is_some_and(semper_core::text::is_visible));
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for c in visible {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == c => *last = c,
            _ => ranges.push((c, c)),
        }
    }
    [
        ("encoding", Json::Array(encoding())),
        ("core", Json::Array(core())),
        ("documents", Json::Array(documents())),
        ("containers", Json::Array(containers())),
        ("signed", Json::Array(signed())),
        ("exchange", Json::Array(exchange())),
        ("signers", Json::Array(signers())),
        ("visible", json!(ranges)),
        ("registry", registry()),
    ]
}

/// The words that every implementation must have the same.
fn registry() -> Json {
    let domains: Vec<_> = semper_core::domain::ALL.iter().map(|domain| domain.as_str()).collect();
    let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    json!({ "domains": domains, "kinds": kinds })
}

/// The key set of the party whose Ed25519 key is made from 32 equal bytes.
pub(crate) fn key_set(party: u8) -> KeySet {
    KeySet::new(Suite::Ed25519, vec![key(party).verifying_key().to_bytes().to_vec()]).unwrap()
}

/// The bytes of a map after a change to it.
pub(crate) fn edit(bytes: &[u8], change: impl FnOnce(&mut Map)) -> Vec<u8> {
    let Value::Map(mut map) = cbor::decode(bytes, 1 << 20).unwrap() else { panic!("not a map") };
    change(&mut map);
    Value::Map(map).encode()
}

fn key(party: u8) -> SigningKey {
    SigningKey::from_bytes(&[party; 32])
}

fn hybrid_key_set() -> KeySet {
    let ed25519 = key(5).verifying_key().to_bytes().to_vec();
    KeySet::new(Suite::Hybrid, vec![ed25519, vec![0x55; Algorithm::MlDsa65.public_key_len()]]).unwrap()
}

fn good(name: &str, type_name: &str, meaning: &str, bytes: &[u8]) -> Json {
    json!({ "name": name, "type": type_name, "meaning": meaning, "hex": HEXLOWER.encode(bytes) })
}

/// A good vector with further facts that another implementation can check.
fn good_with(name: &str, type_name: &str, meaning: &str, bytes: &[u8], facts: Json) -> Json {
    let mut vector = good(name, type_name, meaning, bytes);
    vector.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    vector
}

fn bad(name: &str, type_name: &str, why: &str, bytes: &[u8]) -> Json {
    let Err(refusal) = super::read(type_name, bytes) else { panic!("{name} is not refused") };
    let hex = HEXLOWER.encode(bytes);
    json!({ "name": name, "type": type_name, "why": why, "hex": hex, "problem": refusal.problem, "error": refusal.error })
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn without(bytes: &[u8], key: u64) -> Vec<u8> {
    edit(bytes, |map| {
        map.remove(key).unwrap();
    })
}

fn with(bytes: &[u8], key: u64, value: impl Into<Value>) -> Vec<u8> {
    edit(bytes, |map| map.insert(key, value))
}

/// The bytes after a change to the map that stands in a field.
fn inside(bytes: &[u8], key: u64, change: impl FnOnce(&mut Map)) -> Vec<u8> {
    edit(bytes, |map| {
        let Some(Value::Map(mut inner)) = map.remove(key) else { panic!("no map in field {key}") };
        change(&mut inner);
        map.insert(key, inner);
    })
}

fn encoding() -> Vec<Json> {
    let accepted = [
        ("00", "0"),
        ("17", "23"),
        ("1818", "24"),
        ("18ff", "255"),
        ("190100", "256"),
        ("19ffff", "65535"),
        ("1a00010000", "65536"),
        ("1b0000000100000000", "4294967296"),
        ("1bffffffffffffffff", "2^64 - 1"),
        ("20", "-1"),
        ("3a00011170", "-70001"),
        ("3bffffffffffffffff", "-2^64"),
        ("40", "empty byte string"),
        ("43010203", "bytes 01 02 03"),
        ("60", "empty text"),
        ("6161", "\"a\""),
        ("62c3a9", "\"é\" in NFC"),
        ("64f09f9880", "U+1F600"),
        ("80", "empty array"),
        ("83010203", "[1, 2, 3]"),
        ("a0", "empty map"),
        ("a201000200", "{1: 0, 2: 0}"),
        ("a3000120026161f5", "{0: 1, -1: 2, \"a\": true}: keys in the order of their encodings"),
        ("a2617a00626161f6", "{\"z\": 0, \"aa\": null}: a shorter key stands first"),
        ("a21878002000", "{120: 0, -1: 0}"),
        ("c100", "tag 1"),
        ("d28440a04040", "tag 18"),
        ("f4", "false"),
        ("f5", "true"),
        ("8181818181818181818181818181818100", "16 levels"),
    ];
    let refused = [
        ("", "nothing at all"),
        ("18", "the argument is missing"),
        ("1901", "half an argument"),
        ("4302", "a byte string is cut off"),
        ("6261", "a text is cut off"),
        ("8201", "an array is cut off"),
        ("a100", "a map is cut off"),
        ("c1", "a tag without an item"),
        ("5b7fffffffffffffff", "a byte string that claims 2^63 - 1 bytes"),
        ("9b7fffffffffffffff", "an array that claims 2^63 - 1 items"),
        ("bb7fffffffffffffff", "a map that claims 2^63 - 1 entries"),
        ("1800", "0 in two bytes"),
        ("1817", "23 in two bytes"),
        ("1900ff", "255 in three bytes"),
        ("1a0000ffff", "65535 in five bytes"),
        ("1b00000000ffffffff", "2^32 - 1 in nine bytes"),
        ("3817", "-24 in two bytes"),
        ("580101", "a length not in its shortest form"),
        ("5f4101ff", "byte string of indefinite length"),
        ("7f6161ff", "text of indefinite length"),
        ("9f00ff", "array of indefinite length"),
        ("bf0000ff", "map of indefinite length"),
        ("f93c00", "half-precision float"),
        ("fa3f800000", "single-precision float"),
        ("fb3ff0000000000000", "double-precision float"),
        ("f7", "undefined"),
        ("e0", "simple value 0"),
        ("f8ff", "simple value 255"),
        ("1c", "reserved additional information"),
        ("a201000100", "the same key twice"),
        ("a202000100", "keys out of order"),
        ("a262616100617a00", "a longer key first"),
        ("61ff", "not UTF-8"),
        ("6365cc81", "\"é\" as e and a combining accent: not NFC"),
        ("0000", "a second item"),
        ("818181818181818181818181818181818100", "17 levels"),
    ];
    let accepted =
        accepted.iter().enumerate().map(|(i, (hex_, meaning))| good(&format!("cbor-{i}"), "cbor", meaning, &hex(hex_)));
    let refused =
        refused.iter().enumerate().map(|(i, (hex_, why))| bad(&format!("not-cbor-{i}"), "cbor", why, &hex(hex_)));
    accepted.chain(refused).collect()
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

fn digest(byte: u8) -> Digest {
    Digest::from_array([byte; 32])
}

fn template() -> Template {
    let label = |def: FieldDef, en: &str, de: &str| def.label("en", en).label("de", de);
    let columns = vec![
        label(FieldDef::required("article", FieldKind::Text), "Article", "Artikel"),
        label(FieldDef::required("quantity", FieldKind::Uint), "Quantity", "Menge"),
        label(FieldDef::required("price", FieldKind::Amount), "Price", "Preis"),
        label(FieldDef::optional("file", FieldKind::Digest), "File", "Datei"),
    ];
    let status = FieldKind::Choice(vec!["consumer".to_owned(), "enterprise".to_owned()]);
    let fields = vec![
        label(FieldDef::required("seller", FieldKind::Party), "Seller", "Verkäufer"),
        label(FieldDef::required("buyer", FieldKind::Party), "Buyer", "Käufer"),
        label(FieldDef::required("status", status), "Buyer is a", "Käufer ist"),
        label(FieldDef::required("items", FieldKind::Table(columns)), "Items", "Posten"),
        label(FieldDef::required("until", FieldKind::Time), "Until", "Bis"),
        label(FieldDef::optional("remarks", FieldKind::LongText), "Remarks", "Bemerkungen"),
        label(FieldDef::optional("token", FieldKind::Bytes), "Token", "Kennung"),
    ];
    let en = "ORDER {{1}\nSeller: {seller}\nBuyer: {buyer} ({status})\n\n{#items}\n{quantity} x {article} at {price}\n{/items}\n\n\
              Valid until {until}.\nRemarks:\n{remarks}\n";
    let de = "BESTELLUNG\nVerkäufer: {seller}\nKäufer: {buyer} ({status})\n\n{#items}\n{quantity} x {article} zu {price}\n{/items}\n\n\
              Gültig bis {until}.\n";
    let texts = BTreeMap::from([("en".to_owned(), en.to_owned()), ("de".to_owned(), de.to_owned())]);
    Template::new("semper.test.order", 1, fields, texts).unwrap()
}

fn document(locale: &str) -> Document {
    let row = |article: &str, file: Option<Digest>| {
        let mut row = BTreeMap::from([
            ("article".to_owned(), FieldValue::Text(article.to_owned())),
            ("quantity".to_owned(), FieldValue::Uint(2)),
            ("price".to_owned(), FieldValue::Amount(amount("12.00 EUR"))),
        ]);
        if let Some(file) = file {
            row.insert("file".to_owned(), FieldValue::Digest(file));
        }
        row
    };
    Document::new(&template(), locale)
        .with("seller", FieldValue::Party(key_set(1).id()))
        .with("buyer", FieldValue::Party(key_set(2).id()))
        .with("status", FieldValue::Choice("consumer".to_owned()))
        .with(
            "items",
            FieldValue::Table(vec![row("Data set", Some(digest(7))), row("Evil\nTotal: 0.00 EUR\u{202e} \\", None)]),
        )
        .with("until", FieldValue::Time(Time::from_unix(1_795_246_200)))
        .with("remarks", FieldValue::LongText("First line\n  second  line\u{200b}\n\n{buyer} | \\none".to_owned()))
        .with("token", FieldValue::Bytes(vec![0xca, 0xfe]))
        .with("unknown-to-template", FieldValue::Text(String::new()))
}

fn contract() -> Core {
    let text = document("en").text_ref(&template()).unwrap();
    let item = |owner, recipient| Item {
        kind: ItemKind::Signature,
        owner,
        recipient,
        descriptor: Vec::new(),
        slot: Slot::default(),
    };
    Core {
        terms: Terms {
            profile: Profile::C2,
            parties: vec![
                PartyRef { role: Role::ORIGINATOR, key_set: key_set(1).id() },
                PartyRef { role: Role::RESPONDER, key_set: key_set(2).id() },
            ],
            arbiter: Some(ArbiterRef {
                key_set: key_set(3).id(),
                deposit_key: None,
                log: key_set(4).id(),
                rules: digest(8),
            }),
            items: vec![item(Role::ORIGINATOR, Role::RESPONDER), item(Role::RESPONDER, Role::ORIGINATOR)],
            deadlines: Deadlines {
                not_after: Time::from_unix(1_795_246_200),
                complaints: None,
                refund_after: None,
                delta: Seconds(600),
                sigma: Seconds(60),
            },
            text,
            links: vec![Link { relation: Relation::Supersedes, to: Cid::from_digest(digest(9)) }],
            nonce: [0x2a; 32],
        },
        deposits: BTreeMap::new(),
    }
}

/// The same contract over a piece of information in slot 1.
fn sale() -> Core {
    let mut core = contract();
    core.terms.arbiter.as_mut().unwrap().deposit_key = Some(digest(10));
    core.terms.items[1].kind = ItemKind::Information;
    core.terms.items[1].descriptor = b"what is sold".to_vec();
    core.terms.items[1].slot = Slot(1);
    Core { deposits: BTreeMap::from([(Slot(1), b"what the arbiter needs".to_vec())]), ..core }
}

/// What opens [`under_hash`].
const PREIMAGE: [u8; 32] = [0x2b; 32];

/// The descriptor of money under a lock.
fn price(lock: &str) -> Vec<u8> {
    let price = record().put(0, 1_u64).put_item(1, &amount("12.00 EUR")).put(2, "ecash");
    price.put(3, "https://mint.example").put(4, lock).build().encode()
}

/// The deposit of money under a lock, without what decides over it.
fn lock_deposit() -> Record {
    record().put(0, 1_u64).put_bytes(1, [0xa1]).put_bytes(2, [0xa2]).put_bytes(4, [0x2d; 32])
}

/// Information in slot 1 for money in slot 2, without an arbiter.
fn under_hash() -> Core {
    let mut core = sale();
    core.terms.profile = Profile::Lx;
    core.terms.arbiter = None;
    core.terms.deadlines.refund_after = Some(core.terms.deadlines.not_after.after(core.terms.deadlines.sigma));
    let [information, money] = core.terms.items.as_mut_slice() else { panic!("there are two items") };
    std::mem::swap(&mut information.kind, &mut money.kind);
    std::mem::swap(&mut information.slot, &mut money.slot);
    let goods = record()
        .put(0, 1_u64)
        .put(1, "a.txt")
        .put(2, "text/plain")
        .put(3, 5_u64)
        .put(4, 16_384_u64)
        .put_item(5, &digest(11))
        .put(6, "what is sold")
        .build();
    information.descriptor = goods.encode();
    (money.kind, money.slot, money.descriptor) = (ItemKind::Money, Slot(2), price("hash"));
    let hash = Sha256::digest(PREIMAGE);
    let goods =
        record().put(0, 1_u64).put_bytes(3, [0x2c; 32]).put_item(4, &digest(12)).put_bytes(5, hash).build().encode();
    let lock = lock_deposit().put_bytes(5, hash).build().encode();
    Core { deposits: BTreeMap::from([(Slot(1), goods), (Slot(2), lock)]), ..core }
}

fn promise(answers: Option<StatementId>) -> Promise {
    let role = if answers.is_none() { Role::ORIGINATOR } else { Role::RESPONDER };
    Promise { cid: contract().cid(), role, answers }
}

fn core() -> Vec<Json> {
    let price = amount("12.00 EUR").to_bytes();
    let core = contract();
    let core_bytes = core.to_bytes();
    let text = core.terms.text.clone();
    let bare =
        Core { terms: Terms { items: Vec::new(), links: Vec::new(), ..core.terms.clone() }, deposits: BTreeMap::new() };
    let sale = sale();
    let sale_bytes = sale.to_bytes();
    let under_hash = under_hash();
    let alice = key_set(1);
    let alice_bytes = alice.to_bytes();
    let first = sign(1, &promise(None)).id();
    let (opening, answer) = (promise(None).to_bytes(), promise(Some(first)).to_bytes());
    let second = sign(2, &promise(Some(first))).id();
    let last =
        Final { cid: core.cid(), role: Role::ORIGINATOR, promises: [first, second], slot: Slot::default() }.to_bytes();
    let quittance = Quittance { cid: core.cid(), role: Role::ORIGINATOR }.to_bytes();
    let leaves: Vec<_> = (0..7_u8).map(|i| leaf_hash(&[i])).collect();
    let leaf = |i: u64| leaves[usize::try_from(i).unwrap()];
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| assert!(frontier.append(*leaf).is_ok()));
    let roots =
        json!({ "leaves": "RFC 9162 leaf hashes of the one-byte strings 00 to 06", "root": root(&leaves).to_hex() });
    let inclusion = Inclusion::prove(4, 7, leaf).unwrap().to_bytes();
    let consistency = Consistency::prove(3, 7, leaf).unwrap().to_bytes();
    let es256 = KeySet::new(Suite::Es256, vec![vec![4; 65]]).unwrap();
    let id = |set: &KeySet| json!({ "id": set.id().to_string() });
    let frontier = frontier.to_bytes();
    let terms = |change: fn(&mut Map)| inside(&core_bytes, 0, change);
    let last_instant = Time::MAX.to_bytes();
    let other_role = Value::Map({
        let mut party = Map::new();
        party.insert(0_u64, 1_u64);
        party.insert(1_u64, Value::bytes([1; 32]));
        party
    });
    vec![
        good("amount-eur", "amount", "12.00 EUR", &price),
        good("amount-zero", "amount", "0 JPY", &amount("0 JPY").to_bytes()),
        good("amount-most", "amount", "2^63 - 1 SAT", &amount("9223372036854775807 SAT").to_bytes()),
        good("time-first", "time", "1970-01-01 00:00:00 UTC", &Time::from_unix(0).to_bytes()),
        good("time-last", "time", "9999-12-31 23:59:59 UTC", &last_instant),
        good_with("key-set-ed25519", "key-set", "Ed25519 key of the seed 32 x 01", &alice_bytes, id(&alice)),
        good_with(
            "key-set-hybrid",
            "key-set",
            "Ed25519 key of the seed 32 x 05; 1952 x 55 in the place of an ML-DSA-65 key",
            &hybrid_key_set().to_bytes(),
            id(&hybrid_key_set()),
        ),
        good_with("key-set-es256", "key-set", "65 x 04 in the place of a P-256 key", &es256.to_bytes(), id(&es256)),
        good_with(
            "core",
            "core",
            "a contract between the keys of the seeds 32 x 01 and 32 x 02",
            &core_bytes,
            json!({ "cid": core.cid().to_string(), "tid": core.tid().to_hex(), "fields": text.fields.to_hex(), "render": text.render.to_hex() }),
        ),
        good_with(
            "core-bare",
            "core",
            "a contract without items and links",
            &bare.to_bytes(),
            json!({ "cid": bare.cid().to_string() }),
        ),
        good_with(
            "core-information",
            "core",
            "a contract over a piece of information in slot 1, with words in the place of descriptor and deposit",
            &sale_bytes,
            json!({ "cid": sale.cid().to_string(), "tid": sale.tid().to_hex() }),
        ),
        good_with(
            "core-under-hash",
            "core",
            "a contract over information for money without an arbiter, which one hash locks",
            &under_hash.to_bytes(),
            json!({ "cid": under_hash.cid().to_string(), "tid": under_hash.tid().to_hex(), "preimage": HEXLOWER.encode(&PREIMAGE) }),
        ),
        good("promise-originator", "promise", "the originator's promise", &opening),
        good("promise-responder", "promise", "the responder's promise, which answers the originator's", &answer),
        good("final", "final", "the originator's final", &last),
        good("quittance", "quittance", "the originator's word that the money has come", &quittance),
        good("final-of-part", "final", "the originator's final of the part 1", &with(&last, 4, 1_u64)),
        good_with("frontier", "frontier", "tree of seven leaves", &frontier, roots.clone()),
        good("frontier-empty", "frontier", "empty tree", &Frontier::new().to_bytes()),
        good_with("inclusion", "inclusion", "leaf 4 of seven", &inclusion, roots.clone()),
        good_with("consistency", "consistency", "from three leaves to seven", &consistency, roots),
        bad("amount-truncated", "amount", "the last byte is missing", &price[..price.len() - 1]),
        bad("amount-trailing", "amount", "a byte follows", &[price.as_slice(), &[0]].concat()),
        bad("amount-oversized", "amount", "longer than any amount", &[price.as_slice(), &[0; 32]].concat()),
        bad("amount-long-form", "amount", "1200 in five bytes", &hex("a2001a000004b00163455552")),
        bad("amount-lower-case", "amount", "currency in small letters", &with(&price, 1, "eur")),
        bad("amount-too-large", "amount", "2^63 minor units", &with(&price, 0, 1_u64 << 63)),
        bad("amount-float", "amount", "the number is a float", &hex("a200f964b00163455552")),
        bad("amount-unknown-field", "amount", "a third field", &with(&price, 2, 0_u64)),
        bad("amount-no-currency", "amount", "no currency", &without(&price, 1)),
        bad("amount-text-number", "amount", "the number is text", &with(&price, 0, "1200")),
        bad("time-too-late", "time", "the year 10000", &Value::Uint(Time::MAX.unix() + 1).encode()),
        bad("key-set-unknown-suite", "key-set", "suite 4", &with(&alice_bytes, 0, 4_u64)),
        bad("key-set-short-key", "key-set", "31 bytes", &with(&alice_bytes, 1, vec![Value::bytes([1; 31])])),
        bad("key-set-stripped", "key-set", "the hybrid suite with one key", &with(&alice_bytes, 0, 2_u64)),
        bad("core-wrong-name", "core", "not a Semper contract", &terms(|terms| terms.insert(0_u64, "other"))),
        bad("core-wrong-version", "core", "version 2", &terms(|terms| terms.insert(1_u64, 2_u64))),
        bad("core-unknown-profile", "core", "profile c9/1", &terms(|terms| terms.insert(2_u64, "c9/1"))),
        bad(
            "core-no-arbiter",
            "core",
            "no arbiter, and a profile that needs one",
            &terms(|terms| _ = terms.remove(4_u64)),
        ),
        bad(
            "core-arbiter",
            "core",
            "an arbiter, and a profile without one",
            &terms(|terms| terms.insert(2_u64, "lx/1")),
        ),
        bad("core-unknown-field", "core", "field 12 of the terms", &terms(|terms| terms.insert(12_u64, true))),
        bad(
            "core-deposits",
            "core",
            "a deposit for something that is not information",
            &inside(&core_bytes, 1, |map| map.insert(0_u64, Value::bytes([1]))),
        ),
        bad("core-no-deposit", "core", "information without a deposit", &with(&sale_bytes, 1, Map::new())),
        bad(
            "core-deposit-elsewhere",
            "core",
            "a deposit under another slot than the information's",
            &inside(&sale_bytes, 1, |map| {
                let deposit = map.remove(1_u64).unwrap();
                map.insert(2_u64, deposit);
            }),
        ),
        bad(
            "core-shared-deposit",
            "core",
            "two pieces of information in one slot",
            &inside(&sale_bytes, 0, |terms| {
                let Some(Value::Array(mut items)) = terms.remove(5_u64) else { panic!("items are a list") };
                items[0] = items[1].clone();
                terms.insert(5_u64, items);
            }),
        ),
        bad(
            "core-long-deposit",
            "core",
            "a deposit of 49153 bytes",
            &inside(&sale_bytes, 1, |map| map.insert(1_u64, Value::bytes(vec![0; 49_153]))),
        ),
        bad(
            "core-one-party",
            "core",
            "only one party",
            &inside(&core_bytes, 0, move |terms| terms.insert(3_u64, vec![other_role])),
        ),
        bad(
            "core-short-nonce",
            "core",
            "a nonce of 31 bytes",
            &terms(|terms| terms.insert(9_u64, Value::bytes([0; 31]))),
        ),
        bad("promise-wrong-version", "promise", "version 2", &with(&opening, 0, 2_u64)),
        bad("final-of-part-0", "final", "the part 0 is named, which is left out", &with(&last, 4, 0_u64)),
        bad("final-one-promise", "final", "one promise in the place of two", &with(&last, 3, vec![first.to_value()])),
        bad(
            "frontier-peaks",
            "frontier",
            "two peaks where the size says three",
            &with(&frontier, 1, vec![first.to_value(); 2]),
        ),
    ]
}

fn documents() -> Vec<Json> {
    let template = template();
    let template_bytes = template.to_bytes();
    let shown = |locale: &str| {
        let document = document(locale);
        let rendered = document.render(&template).unwrap();
        let facts = json!({
            "fields": document.fields_hash().to_hex(), "text": rendered.text, "render": rendered.hash.to_hex(),
        });
        (document.to_bytes(), facts)
    };
    let (english, english_facts) = shown("en");
    let (german, german_facts) = shown("de");
    let empty = Template::new("empty", 0, Vec::new(), BTreeMap::from([("en".to_owned(), String::new())])).unwrap();
    let id = |template: &Template| json!({ "id": template.id().to_string() });
    let text = |text: &str| inside(&template_bytes, 4, |texts| texts.insert("de", text));
    let fields_text = "{seller} {buyer} {status} {until}\n{#items}\n{quantity} {article} {price}\n{/items}\n";
    let value = |name: &str, kind: &str, content: Value| {
        inside(&english, 3, |fields| fields.insert(name, vec![kind.into(), content]))
    };
    let nested = Value::Array(vec![Value::Map({
        let mut row = Map::new();
        row.insert("a", vec!["long-text".into(), Value::text("x")]);
        row
    })]);
    vec![
        good_with("template", "template", "an order, in English and German", &template_bytes, id(&template)),
        good_with("template-empty", "template", "no fields, no words", &empty.to_bytes(), id(&empty)),
        good_with("document-en", "document", "a filled order with values that try to deceive", &english, english_facts),
        good_with("document-de", "document", "the same order in German", &german, german_facts),
        bad("template-wrong-version", "template", "version 2 of the form", &with(&template_bytes, 0, 2_u64)),
        bad("template-unknown-field", "template", "field 9", &with(&template_bytes, 9, true)),
        bad("template-name", "template", "a name in capitals", &with(&template_bytes, 1, "ORDER")),
        bad("template-no-text", "template", "no language at all", &with(&template_bytes, 4, Map::new())),
        bad(
            "template-locale",
            "template",
            "not a language tag",
            &inside(&template_bytes, 4, |texts| texts.insert("d e", "x")),
        ),
        bad("template-hides", "template", "the German text shows no required field", &text("nichts")),
        bad(
            "template-unknown-name",
            "template",
            "a field that is not there",
            &text(&format!("{fields_text}{{other}}")),
        ),
        bad("template-open-brace", "template", "a brace that is not closed", &text(&format!("{fields_text}{{seller"))),
        bad(
            "template-bidi",
            "template",
            "a character that turns the reading direction",
            &text(&format!("{fields_text}\u{202e}x")),
        ),
        bad("template-backslash", "template", "a backslash", &text(&format!("{fields_text}\\none"))),
        bad(
            "template-bar",
            "template",
            "a line that looks like one of a long text",
            &text(&format!("{fields_text}| x")),
        ),
        bad(
            "template-nested",
            "template",
            "a table in a table",
            &text(&format!("{fields_text}{{#items}}\n{{#items}}\n{{/items}}\n")),
        ),
        bad(
            "template-long-text",
            "template",
            "a long text inside a line",
            &text(&format!("{fields_text}x {{remarks}}")),
        ),
        bad(
            "template-neighbours",
            "template",
            "two fields with nothing between",
            &text(&format!("{fields_text}{{seller}}{{buyer}}")),
        ),
        bad("document-wrong-version", "document", "version 2", &with(&english, 0, 2_u64)),
        bad("document-unknown-field", "document", "field 4", &with(&english, 4, 0_u64)),
        bad("document-locale", "document", "not a language tag", &with(&english, 2, "e_n")),
        bad("document-name", "document", "a field with a name in capitals", &value("Name", "uint", Value::Uint(1))),
        bad("document-kind", "document", "a kind of value that there is not", &value("x", "float", Value::Uint(1))),
        bad("document-type", "document", "text where a number must be", &value("x", "uint", Value::text("1"))),
        bad("document-empty-table", "document", "a table without rows", &value("x", "table", Value::Array(Vec::new()))),
        bad("document-cell", "document", "a long text in a cell", &value("x", "table", nested)),
    ]
}

fn containers() -> Vec<Json> {
    let none = Attributes::default;
    let parties = |ns: &[u8]| ns.iter().map(|n| key_set(*n).id()).collect::<BTreeSet<KeySetId>>();
    let message = Container::message([1; 16], "Grüße", none()).unwrap();
    let file = Information::new("data set.csv", "text/csv", b"a,b\n1,2\n".to_vec()).unwrap();
    let file_hash = file.hash();
    let outer = Attributes {
        confidential: true,
        anonymity: Anonymity::Sender,
        fairness: Fairness::Strong,
        third_parties: parties(&[3, 4]),
        ..none()
    };
    let inner = Attributes {
        anonymity: Anonymity::Both,
        origin: true,
        ack: AckWanted::Signed,
        submission: true,
        time_stamp: true,
        third_parties: parties(&[3]),
        ..none()
    };
    let leaves = vec![
        Node::leaf(inner, Leaf::Information(file)),
        Node::leaf(none(), Leaf::Statement(sign(1, &promise(None)))),
        Node::branch(
            none(),
            vec![Node::leaf(none(), Leaf::Credential(vec![0x30, 0])), Node::leaf(none(), Leaf::Money(vec![1, 2]))],
        ),
    ];
    let tree = Container::new([2; 16], Node::branch(outer, leaves)).unwrap();
    let signed = Attributes { origin: true, ack: AckWanted::Signed, ..none() };
    let signed = Container::message([3; 16], "please confirm", signed).unwrap();
    let facts = |container: &Container| json!({ "id": container.id().to_string() });
    let statement = ContainerStatement { container: signed.id() }.to_bytes();
    let taken =
        Ack { container: signed.id(), disposition: Disposition::Accepted, time: Time::from_unix(1_795_246_200) };
    let refused = Ack { disposition: Disposition::Refused("too late".to_owned()), ..taken.clone() }.to_bytes();
    let taken = taken.to_bytes();
    let (message_bytes, signed_bytes) = (message.to_bytes(), signed.to_bytes());
    let leaf = |key: u64, value: Value| {
        inside(&message_bytes, 2, |node| {
            let Some(Value::Map(mut leaf)) = node.remove(2_u64) else { panic!("no leaf") };
            leaf.insert(key, value);
            node.insert(2_u64, leaf);
        })
    };
    let named = |name: &str| leaf(2, Value::text(name));
    let asked = |key: u64, value: Value| {
        inside(&signed_bytes, 2, |node| {
            let Some(Value::Map(mut attributes)) = node.remove(0_u64) else { panic!("no attributes") };
            attributes.insert(key, value);
            node.insert(0_u64, attributes);
        })
    };
    let mut tower = message.root().clone();
    for _ in 0..6 {
        tower = Node::branch(none(), vec![tower]);
    }
    let id = |n: u8| Value::bytes([n; 32]);
    vec![
        good_with(
            "container-message",
            "container",
            "one text message that asks for nothing",
            &message_bytes,
            facts(&message),
        ),
        good_with(
            "container-signed",
            "container",
            "a message that asks for origin and a signed acknowledgement",
            &signed_bytes,
            facts(&signed),
        ),
        good_with(
            "container-tree",
            "container",
            "a tree with every kind of leaf and attribute",
            &tree.to_bytes(),
            json!({ "id": tree.id().to_string(), "information": file_hash.to_hex() }),
        ),
        good("container-statement", "container-statement", "\"I sent this container\"", &statement),
        good("ack-accepted", "ack", "\"I took this container\"", &taken),
        good("ack-refused", "ack", "\"I did not take this container\"", &refused),
        bad("container-wrong-version", "container", "version 2", &with(&message_bytes, 0, 2_u64)),
        bad("container-unknown-field", "container", "field 3", &with(&message_bytes, 3, true)),
        bad("container-nonce", "container", "a nonce of 15 bytes", &with(&message_bytes, 1, Value::bytes([1; 15]))),
        bad("container-path", "container", "a file name that is a path", &named("../x")),
        bad("container-backslash", "container", "a file name that is a path on Windows", &named("..\\x")),
        bad("container-drive", "container", "a file name that names a drive or stream on Windows", &named("c:x")),
        bad("container-dots", "container", "the file name ..", &named("..")),
        bad("container-no-name", "container", "an empty file name", &named("")),
        bad("container-control", "container", "a line break in a file name", &named("a\nb")),
        bad("container-bidi", "container", "a file name that turns the reading direction", &named("txt.\u{202e}exe")),
        bad("container-long-name", "container", "a file name of 256 bytes", &named(&"x".repeat(256))),
        bad("container-media-type", "container", "not a media type", &leaf(3, Value::text("text"))),
        bad("container-leaf-kind", "container", "a kind of leaf that there is not", &leaf(0, Value::text("goods"))),
        bad(
            "container-empty-attributes",
            "container",
            "attributes that ask for nothing are written",
            &inside(&message_bytes, 2, |n| n.insert(0_u64, Map::new())),
        ),
        bad("container-false", "container", "a flag that is false is written", &asked(0, Value::Bool(false))),
        bad("container-ack-0", "container", "a code for the default is written", &asked(3, Value::Uint(0))),
        bad("container-ack-3", "container", "a code that there is not", &asked(3, Value::Uint(3))),
        bad(
            "container-no-parties",
            "container",
            "an empty list of third parties is written",
            &asked(7, Value::Array(Vec::new())),
        ),
        bad(
            "container-party-order",
            "container",
            "third parties out of order",
            &asked(7, Value::Array(vec![id(2), id(1)])),
        ),
        bad(
            "container-empty-branch",
            "container",
            "a branch without nodes",
            &inside(&message_bytes, 2, |node| {
                node.remove(2_u64);
                node.insert(1_u64, Vec::new());
            }),
        ),
        bad(
            "container-branch-and-leaf",
            "container",
            "a node that is branch and leaf",
            &inside(&message_bytes, 2, |node| node.insert(1_u64, Vec::new())),
        ),
        bad("container-deep", "container", "seven levels", &with(&message_bytes, 2, tower.to_value())),
        bad("ack-disposition", "ack", "neither accepted nor refused", &with(&taken, 2, "perhaps")),
        bad("ack-reason", "ack", "accepted, with a reason for refusing", &with(&taken, 3, "but")),
    ]
}

fn sign(party: u8, statement: &impl Statement) -> Signed {
    assemble(party, statement.draft(Suite::Ed25519, key_set(party).id()))
}

fn assemble(party: u8, draft: Draft) -> Signed {
    let signature = key(party).sign(&draft.to_be_signed(Algorithm::Ed25519)).to_bytes().to_vec();
    draft.assemble(vec![signature]).unwrap()
}

fn signed_facts(party: u8, signed: &Signed) -> Json {
    let to_be_signed: Vec<Json> = signed
        .signatures()
        .map(|(algorithm, message, signature)| {
            json!({ "alg": algorithm.cose(), "message": HEXLOWER.encode(&message), "signature": HEXLOWER.encode(signature) })
        })
        .collect();
    json!({
        "seed": HEXLOWER.encode(&[party; 32]),
        "public_key": HEXLOWER.encode(key(party).verifying_key().as_bytes()),
        "kind": signed.kind().name(),
        "signer": signed.signer().to_string(),
        "payload": HEXLOWER.encode(signed.payload()),
        "statement_id": signed.id().to_string(),
        "to_be_signed": to_be_signed,
    })
}

fn signed() -> Vec<Json> {
    let first = sign(1, &promise(None));
    let second = sign(2, &promise(Some(first.id())));
    let last = sign(
        1,
        &Final {
            cid: contract().cid(),
            role: Role::ORIGINATOR,
            promises: [first.id(), second.id()],
            slot: Slot::default(),
        },
    );
    let container = Container::message([3; 16], "please confirm", Attributes::default()).unwrap().id();
    let ack = sign(2, &Ack { container, disposition: Disposition::Accepted, time: Time::from_unix(1_795_246_200) });
    let draft = promise(None).draft(Suite::Hybrid, hybrid_key_set().id());
    let ed25519 = key(5).sign(&draft.to_be_signed(Algorithm::Ed25519)).to_bytes().to_vec();
    let hybrid = draft.assemble(vec![ed25519, vec![0x66; Algorithm::MlDsa65.signature_len()]]).unwrap();
    let es256 =
        promise(None).draft(Suite::Es256, KeySetId::from_digest(digest(6))).assemble(vec![vec![0x77; 64]]).unwrap();
    let mut vectors = vec![
        good_with(
            "signed-promise",
            "signed promise",
            "the originator's promise",
            first.bytes(),
            signed_facts(1, &first),
        ),
        good_with("signed-answer", "signed", "the responder's promise", second.bytes(), signed_facts(2, &second)),
        good_with("signed-final", "signed", "the originator's final", last.bytes(), signed_facts(1, &last)),
        good_with(
            "signed-ack",
            "signed",
            "the receiver's acknowledgement of a container",
            ack.bytes(),
            signed_facts(2, &ack),
        ),
        good_with(
            "signed-hybrid",
            "signed",
            "shape of the hybrid suite: the Ed25519 signature is good, 3309 x 66 stand in the place of an ML-DSA-65 signature",
            hybrid.bytes(),
            signed_facts(5, &hybrid),
        ),
        good(
            "signed-es256",
            "signed",
            "shape of the ES256 suite: 64 x 77 stand in the place of a signature",
            es256.bytes(),
        ),
    ];
    vectors.extend(malformed(&first, &hybrid));
    vectors.extend(unverified(&first, &second, &hybrid));
    vectors
}

/// COSE messages that are not in the one form of their suite.
fn malformed(first: &Signed, hybrid: &Signed) -> Vec<Json> {
    let bytes = first.bytes();
    let parts = |signed: &Signed| {
        let Ok(Value::Tag(tag, inner)) = cbor::decode(signed.bytes(), 1 << 16) else { panic!("not tagged") };
        let Value::Array(parts) = *inner else { panic!("not an array") };
        (tag, parts)
    };
    let tagged = |tag: u64, parts: Vec<Value>| Value::Tag(tag, Box::new(Value::Array(parts))).encode();
    let part = |signed: &Signed, place: usize, value: Value| {
        let (tag, mut parts) = parts(signed);
        parts[place] = value;
        tagged(tag, parts)
    };
    let header = |signed: &Signed, change: &dyn Fn(&mut Map)| {
        let Value::Bytes(protected) = &parts(signed).1[0] else { panic!("no header") };
        part(signed, 0, Value::Bytes(edit(protected, change)))
    };
    let full = |algorithm: i64, signature: usize| {
        let mut protected = Map::new();
        protected.insert(1_u64, algorithm);
        Value::Array(vec![
            Value::Bytes(Value::Map(protected).encode()),
            Value::Map(Map::new()),
            Value::bytes(vec![0x66; signature]),
        ])
    };
    let crit = |labels: &[Value]| {
        let labels = labels.to_vec();
        move |header: &mut Map| header.insert(2_u64, labels.clone())
    };
    let mut kid = Map::new();
    kid.insert(4_u64, Value::bytes([0; 32]));
    let suite = Value::int(-70001);
    vec![
        bad("signed-truncated", "signed", "the last byte is missing", &bytes[..bytes.len() - 1]),
        bad("signed-trailing", "signed", "a byte follows", &[bytes, &[0]].concat()),
        bad("signed-untagged", "signed", "no tag", &bytes[1..]),
        bad("signed-wrong-tag", "signed", "tag 98 on a COSE_Sign1", &tagged(98, parts(first).1)),
        bad("signed-three-parts", "signed", "no signature at all", &tagged(18, parts(first).1[..3].to_vec())),
        bad("signed-detached", "signed", "the payload is null", &part(first, 2, Value::Null)),
        bad("signed-short-signature", "signed", "63 bytes", &part(first, 3, Value::bytes([0; 63]))),
        bad("signed-unprotected", "signed", "something in the unprotected header", &part(first, 1, Value::Map(kid))),
        bad("signed-empty-header", "signed", "an empty protected header", &part(first, 0, Value::bytes(Vec::new()))),
        bad(
            "signed-header-order",
            "signed",
            "the protected header is not in order",
            &part(first, 0, Value::bytes(hex("a202000100"))),
        ),
        bad(
            "signed-wrong-alg",
            "signed",
            "ES256 in the header of the Ed25519 suite",
            &header(first, &|h| h.insert(1_u64, -9_i64)),
        ),
        bad("signed-eddsa", "signed", "the old number of EdDSA", &header(first, &|h| h.insert(1_u64, -8_i64))),
        bad("signed-no-alg", "signed", "no algorithm", &header(first, &|h| drop(h.remove(1_u64)))),
        bad("signed-no-crit", "signed", "nothing is critical", &header(first, &|h| drop(h.remove(2_u64)))),
        bad("signed-empty-crit", "signed", "an empty list of critical headers", &header(first, &crit(&[]))),
        bad(
            "signed-unknown-crit",
            "signed",
            "an unknown critical header",
            &header(first, &crit(&[suite.clone(), Value::int(-70002)])),
        ),
        bad("signed-suite-4", "signed", "an unknown suite", &header(first, &|h| h.insert(Value::int(-70001), 4_u64))),
        bad(
            "signed-suite-2",
            "signed",
            "one signature under the hybrid suite",
            &header(first, &|h| h.insert(Value::int(-70001), 2_u64)),
        ),
        bad(
            "signed-short-kid",
            "signed",
            "a signer of 31 bytes",
            &header(first, &|h| h.insert(4_u64, Value::bytes([0; 31]))),
        ),
        bad(
            "signed-unknown-typ",
            "signed",
            "a kind that there is not",
            &header(first, &|h| h.insert(16_u64, "application/semper.wish+cbor;v=1")),
        ),
        bad(
            "signed-typ-version",
            "signed",
            "version 2 of a kind",
            &header(first, &|h| h.insert(16_u64, "application/semper.promise+cbor;v=2")),
        ),
        bad(
            "signed-more-header",
            "signed",
            "a header that the suite does not have",
            &header(first, &|h| h.insert(99_u64, 0_u64)),
        ),
        bad(
            "hybrid-stripped",
            "signed",
            "the ML-DSA-65 signature is missing",
            &part(hybrid, 3, Value::Array(vec![full(-19, 64)])),
        ),
        bad(
            "hybrid-doubled",
            "signed",
            "two Ed25519 signatures",
            &part(hybrid, 3, Value::Array(vec![full(-19, 64), full(-19, 64)])),
        ),
        bad(
            "hybrid-swapped",
            "signed",
            "the signatures in the other order",
            &part(hybrid, 3, Value::Array(vec![full(-49, 3309), full(-19, 64)])),
        ),
    ]
}

/// COSE messages of the right form that are not a promise signed by the key of the seed 32 x 01.
fn unverified(first: &Signed, second: &Signed, hybrid: &Signed) -> Vec<Json> {
    let mut forged = first.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let other =
        Draft { kind: Kind::Final, suite: Suite::Ed25519, signer: key_set(1).id(), payload: promise(None).to_bytes() };
    let empty = Draft { kind: Kind::Promise, payload: Value::Map(Map::new()).encode(), ..other.clone() };
    assert_eq!(hybrid.kind(), Kind::Promise);
    vec![
        bad("signed-forged", "signed promise", "a bit of the signature is changed", &forged),
        bad("signed-wrong-kind", "signed promise", "the same payload, signed as a final", assemble(1, other).bytes()),
        bad("signed-wrong-signer", "signed promise", "a good promise of another party", second.bytes()),
        bad(
            "signed-malformed",
            "signed promise",
            "the signature is good, the payload is no promise",
            assemble(1, empty).bytes(),
        ),
    ]
}

/// Messages of the layers above, as their encoders write them.
fn exchange() -> Vec<Json> {
    let core = contract();
    let (cid, slot) = (core.cid(), Slot::default());
    let first = sign(1, &promise(None));
    let second = sign(2, &promise(Some(first.id())));
    let promises = [first.id(), second.id()];
    let container =
        Container::message([3; 16], "please confirm", Attributes { origin: true, ..Attributes::default() }).unwrap();
    let origin = sign(1, &ContainerStatement { container: container.id() });
    let ack = sign(
        2,
        &Ack { container: container.id(), disposition: Disposition::Accepted, time: Time::from_unix(1_795_246_200) },
    );
    let start = || record().put(0, 1_u64);
    let with = |signed: &Signed, handed: &[u8], payout: &[u8]| {
        record().put_item(0, signed).put_bytes(1, handed).put_bytes(2, payout).build()
    };
    let promised = || vec![with(&first, &[], &[]), with(&second, &[], &[])];
    let about = || start().put_item(1, &cid).put_item(2, &slot);
    let time = Time::from_unix(1_795_240_000);
    let abort = about().put_item(3, &first.id()).build().encode();
    let resolve = about().put_list(3, &promises).put_item(4, &Role::RESPONDER).build().encode();
    let raw = |party: u8, kind: Kind, payload: &[u8]| {
        assemble(party, Draft { kind, suite: Suite::Ed25519, signer: key_set(party).id(), payload: payload.to_vec() })
    };
    let question = raw(2, Kind::Resolve, &resolve);
    let verdict = about()
        .put(3, "resolved")
        .put_list(4, &[question.id(), first.id(), second.id()])
        .put(5, Vec::new())
        .put_item(6, &time)
        .put(7, 0_u64)
        .build()
        .encode();
    let closed = about().put(3, "closed-unused").put_item(4, &question.id()).put_item(6, &time).build().encode();
    let request = start()
        .put_item(1, &core)
        .put_list(2, &[key_set(1), key_set(2)])
        .put(3, promised())
        .put_item(4, &question)
        .put_bytes(5, [])
        .put_bytes(6, [])
        .build()
        .encode();
    let said = raw(3, Kind::Verdict, &verdict);
    let answer = |said: &Signed, promises: Vec<Value>| start().put_item(1, said).put(2, promises);
    let resolved = answer(&said, promised()).put_bytes(7, []).build().encode();
    let silent = answer(&raw(3, Kind::Status, &closed), Vec::new()).put_bytes(7, []).build().encode();
    let authorised = answer(&said, promised()).put_bytes(7, [0xa0]).build().encode();
    let complaint = about().put_item(3, &Role::RESPONDER).put_item(4, &Digest::from_array([5; 32])).build().encode();
    let settlement = about()
        .put_item(3, &Role::ORIGINATOR)
        .put(4, "payee")
        .put_item(5, &Digest::from_array([6; 32]))
        .build()
        .encode();
    let closing = about()
        .put(3, "fault")
        .put_list(4, &[question.id()])
        .put_item(5, &said.id())
        .put_item(6, &time)
        .put(7, 1_u64)
        .put_item(8, &Role::ORIGINATOR)
        .build()
        .encode();
    let fault = about()
        .put(3, "fault")
        .put_list(4, &[question.id(), first.id(), second.id()])
        .put(5, Vec::new())
        .put_item(6, &time)
        .put(7, 0_u64)
        .put_item(8, &Role::ORIGINATOR)
        .build()
        .encode();
    let piece = record().put(0, "core").put_bytes(1, core.to_bytes()).put_item(2, &time).build();
    let contents = || {
        record()
            .put(0, "semper-folder")
            .put(1, 1_u64)
            .put_item(2, &DealId::from_array([1; 16]))
            .put(3, vec![piece.clone()])
    };
    let hash = Digest::of(semper_core::domain::FOLDER, &contents().build().encode());
    let folder = contents().put_item(4, &hash).build().encode();
    let last = sign(1, &Final { cid, role: Role::ORIGINATOR, promises, slot: Slot::default() });
    let quittance = sign(1, &Quittance { cid, role: Role::ORIGINATOR });
    let gx = |kind: &str, what: Value| start().put(1, kind).put(2, what).build().encode();
    vec![
        good(
            "tx-container",
            "tx-message",
            "a container with the sender's statement",
            &start().put(1, "container").put_bytes(2, container.to_bytes()).put_item(3, &origin).build().encode(),
        ),
        good("tx-ack", "tx-message", "its acknowledgement", &start().put(1, "ack").put_item(3, &ack).build().encode()),
        good(
            "gx-promise",
            "gx-message",
            "message 1 where signatures are exchanged",
            &gx("promise", with(&first, &[], &[])),
        ),
        good(
            "gx-promise-money",
            "gx-message",
            "message 2 with a token",
            &gx("promise", with(&second, &[0xa1, 0xa2], &[])),
        ),
        good("gx-final", "gx-message", "message 3 where signatures are exchanged", &gx("final", with(&last, &[], &[]))),
        good(
            "gx-final-item",
            "gx-message",
            "message 3 with an item",
            &gx("final", with(&last, &[0xa1, 0xa2], &[0xa3])),
        ),
        good(
            "gx-quittance",
            "gx-message",
            "the originator has the money",
            &start().put(1, "quittance").put_item(4, &quittance).build().encode(),
        ),
        good(
            "gx-decline",
            "gx-message",
            "a refusal to sign",
            &start().put(1, "decline").put(3, "too expensive").build().encode(),
        ),
        good(
            "lx-promise",
            "lx-message",
            "a promise where one hash locks what is exchanged",
            &gx("promise", with(&first, &[0xa1, 0xa2], &[])),
        ),
        good(
            "lx-preimage",
            "lx-message",
            "message 3: the preimage",
            &start().put(1, "preimage").put_bytes(4, PREIMAGE).build().encode(),
        ),
        good(
            "lx-decline",
            "lx-message",
            "a refusal to go on",
            &start().put(1, "decline").put(3, "too expensive").build().encode(),
        ),
        good("price-arbiter", "price", "money that an arbiter decides over", &price("arbiter")),
        good("price-hash", "price", "money that a hash decides over", &price("hash")),
        good(
            "price-transfer",
            "price",
            "money that is paid by plain transfer",
            &record()
                .put(0, 1_u64)
                .put_item(1, &amount("12.00 EUR"))
                .put(2, "account")
                .put(3, "https://bank.example")
                .build()
                .encode(),
        ),
        good(
            "transfer-deposit",
            "transfer-deposit",
            "its deposit, with a request that nobody can read",
            &start().put_item(1, &raw(2, Kind::PaymentRequest, &[0xa0])).put_bytes(2, [0x2e; 32]).build().encode(),
        ),
        good(
            "lock-deposit-arbiter",
            "lock-deposit",
            "its deposit, with the arbiter's key",
            &lock_deposit().put_bytes(3, [0xa3]).build().encode(),
        ),
        good(
            "lock-deposit-hash",
            "lock-deposit",
            "its deposit, with the hash of 32 bytes 2b",
            &lock_deposit().put_bytes(5, Sha256::digest(PREIMAGE)).build().encode(),
        ),
        good("arbiter-abort", "abort", "the payload of a request to abort", &abort),
        good("arbiter-resolve", "resolve", "the payload of a request to resolve", &resolve),
        good(
            "arbiter-resolve-paid",
            "resolve",
            "the same by who has paid by plain transfer",
            &about()
                .put_list(3, &[first.id(), second.id()])
                .put_item(4, &Role::ORIGINATOR)
                .put_item(5, &Digest::from_array([7; 32]))
                .build()
                .encode(),
        ),
        good(
            "arbiter-inquiry",
            "inquiry",
            "the payload of a question what became of a contract",
            &about().put_item(3, &Role::RESPONDER).build().encode(),
        ),
        good("arbiter-complaint", "complaint", "the payload of a complaint", &complaint),
        good("arbiter-settlement", "settlement", "the payload of a request to let go of money", &settlement),
        good("arbiter-request", "request", "a whole request to resolve", &request),
        good("arbiter-verdict", "verdict", "the payload of the verdict", &verdict),
        good("arbiter-verdict-fault", "verdict", "the payload of a verdict about somebody's fault", &fault),
        good("arbiter-closing", "closing", "the payload of a closing", &closing),
        good(
            "arbiter-closed-unused",
            "closed-unused",
            "the payload of the answer to a first request after the end",
            &closed,
        ),
        good("arbiter-answer-verdict", "arbiter-answer", "the signed verdict with both promises", &resolved),
        good("arbiter-answer-money", "arbiter-answer", "the verdict with an authorisation", &authorised),
        good("arbiter-answer-status", "arbiter-answer", "the signed status", &silent),
        good("folder", "folder", "a deal folder that holds a contract", &folder),
    ]
}

#[test]
fn references_hold() {
    let document = document("en");
    let reference: TextRef = contract().terms.text;
    assert!(document.check_text_ref(&template(), &reference).is_ok());
}

/// What three who sign one contract say, and what their arbiter answers. The second was refused in round 1, the third has the contract
/// completed in round 3.
fn signers() -> Vec<Json> {
    const SIGNERS: [u8; 3] = [1, 2, 5];
    let mut core = contract();
    core.terms.profile = Profile::Cn;
    core.terms.items.clear();
    core.terms.parties = (0..)
        .zip(SIGNERS)
        .map(|(number, key)| PartyRef { role: Role::numbered(number), key_set: key_set(key).id() })
        .collect();
    let (cid, time) = (core.cid(), Time::from_unix(1_795_240_000));
    let start = || record().put(0, 1_u64);
    let payload = |place: u8, round: u64| {
        start().put_item(1, &cid).put_item(2, &Role::numbered(place)).put(3, round).build().encode()
    };
    let raw = |party: u8, kind: Kind, payload: &[u8]| {
        assemble(party, Draft { kind, suite: Suite::Ed25519, signer: key_set(party).id(), payload: payload.to_vec() })
    };
    let said = |kind, place: u8, round| raw(SIGNERS[usize::from(place)], kind, &payload(place, round));
    let sheet: Vec<_> = (0..3).map(|place| said(Kind::Round, place, 2)).collect();
    let (refused, question) = (said(Kind::Ask, 1, 1), said(Kind::Ask, 2, 3));
    let request = start()
        .put_item(1, &core)
        .put_list(2, &SIGNERS.map(key_set))
        .put_list(3, &sheet)
        .put_item(4, &question)
        .build()
        .encode();
    let basis: Vec<_> = [&question].into_iter().chain(&sheet).map(Signed::id).collect();
    let asker = Value::Array(vec![Role::RESPONDER.to_value(), 1_u64.into()]);
    let verdict = start()
        .put_item(1, &cid)
        .put_item(2, &Slot(2))
        .put(3, "resolved")
        .put_list(4, &basis)
        .put(5, vec![asker])
        .put_item(6, &time)
        .put(7, 1_u64)
        .build()
        .encode();
    let answer = start()
        .put_item(1, &raw(3, Kind::Verdict, &verdict))
        .put_list(2, &sheet)
        .put_list(3, &[refused])
        .build()
        .encode();
    let message = |kind: &str| start().put(1, kind);
    vec![
        good("signers-round", "round", "the payload of a signature on a round", &payload(0, 1)),
        good(
            "signers-message",
            "cn-message",
            "a signature on a round, as it is sent",
            &message("round").put_item(2, &sheet[0]).build().encode(),
        ),
        good(
            "signers-decline",
            "cn-message",
            "a refusal to sign",
            &message("decline").put(3, "too expensive").build().encode(),
        ),
        good("signers-ask", "ask", "the payload of a question to the arbiter", &payload(2, 3)),
        good("signers-request", "cn-request", "a whole request, with all signatures on round 2", &request),
        good("signers-verdict", "verdict", "the payload of a verdict that overturns a refusal", &verdict),
        good("signers-answer", "cn-answer", "the signed verdict, and what it rests on", &answer),
    ]
}
