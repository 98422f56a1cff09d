//! Makes the vectors: each file of them in a module, from the samples here.

mod containers;
mod core;
mod covers;
mod credentials;
mod documents;
mod encoding;
mod exchange;
mod mandates;
mod notices;
mod signed;
mod signers;

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use semper_core::amount::{Amount, Currency};
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
pub(crate) fn all() -> [(&'static str, Json); 13] {
    let visible = (0..=u32::from(char::MAX)).filter(|c| char::from_u32(*c).is_some_and(semper_core::text::is_visible));
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for c in visible {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == c => *last = c,
            _ => ranges.push((c, c)),
        }
    }
    [
        ("encoding", Json::Array(encoding::encoding())),
        ("core", Json::Array(core::core())),
        ("documents", Json::Array(documents::documents())),
        ("containers", Json::Array(containers::containers())),
        ("signed", Json::Array(signed::signed())),
        ("exchange", Json::Array(exchange::exchange())),
        ("signers", Json::Array(signers::signers())),
        ("credentials", Json::Array(credentials::credentials())),
        ("mandates", Json::Array(mandates::mandates())),
        ("covers", Json::Array(covers::covers())),
        ("notices", Json::Array(notices::notices())),
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

fn sign(party: u8, statement: &impl Statement) -> Signed {
    assemble(party, statement.draft(Suite::Ed25519, key_set(party).id()))
}

fn assemble(party: u8, draft: Draft) -> Signed {
    let signature = key(party).sign(&draft.to_be_signed(Algorithm::Ed25519)).to_bytes().to_vec();
    draft.assemble(vec![signature]).unwrap()
}

#[test]
fn references_hold() {
    let document = document("en");
    let reference: TextRef = contract().terms.text;
    assert!(document.check_text_ref(&template(), &reference).is_ok());
}
