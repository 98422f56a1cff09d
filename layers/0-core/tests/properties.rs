//! What must hold for every value and every input, not only for the ones that somebody thought of.
//!
//! What could go wrong: a value that is written but not read back, two encodings of one value, a decoder that panics or accepts
//! what it would not write, a shown text that depends on how the document came.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use proptest::prelude::*;
use semper_core::amount::{Amount, Currency};
use semper_core::cbor::{self, Decode, Encode, Map, Value};
use semper_core::container::{
    Ack, AckWanted, Anonymity, Attributes, Container, ContainerStatement, Disposition, Fairness, Information, Leaf,
    Node,
};
use semper_core::contract::{
    ArbiterRef, Core, Deadlines, Final, Item, ItemKind, Link, PartyRef, Profile, Promise, Relation, Terms, TextRef,
};
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::document::{Document, FieldValue, Row};
use semper_core::hash::Digest;
use semper_core::ids::{Cid, ContainerId, DealId, KeySetId, Slot, StatementId, TemplateId};
use semper_core::merkle::{Consistency, Frontier, Inclusion};
use semper_core::party::{Algorithm, KeySet, Role, Suite};
use semper_core::template::{FieldDef, FieldKind, Template};
use semper_core::text;
use semper_core::time::{Seconds, Time};
use unicode_normalization::UnicodeNormalization;

/// Text as the encoding keeps it.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,20}", any::<String>(), "[ab \\\\{}|\\n\u{202e}\u{200b}\u{301}]{0,20}"]
        .prop_map(|text| text.nfc().collect())
}

fn words() -> impl Strategy<Value = String> {
    "[A-Za-z0-9äöü.,]{1,12}( [A-Za-z0-9]{1,8})?"
}

fn names() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{0,10}"
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..80)
}

fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_array)
}

fn amounts() -> impl Strategy<Value = Amount> {
    (0..=Amount::MINOR_MAX, "[A-Z]{3}")
        .prop_map(|(minor, code)| Amount::new(minor, Currency::parse(&code).unwrap()).unwrap())
}

fn times() -> impl Strategy<Value = Time> {
    any::<u64>().prop_map(|seconds| Time::from_unix(seconds % (Time::MAX.unix() + 1)))
}

fn suites() -> impl Strategy<Value = Suite> {
    prop::sample::select(vec![Suite::Ed25519, Suite::Hybrid, Suite::Es256])
}

fn key_sets() -> impl Strategy<Value = KeySet> {
    (suites(), any::<u8>()).prop_map(|(suite, fill)| {
        KeySet::new(suite, suite.algorithms().iter().map(|a: &Algorithm| vec![fill; a.public_key_len()]).collect())
            .unwrap()
    })
}

fn ids<T>(make: fn(Digest) -> T) -> impl Strategy<Value = T>
where
    T: Debug,
{
    digests().prop_map(make)
}

fn signed() -> impl Strategy<Value = Signed> {
    (prop::sample::select(Kind::ALL), suites(), ids(KeySetId::from_digest), some_bytes(), any::<u8>()).prop_map(
        |(kind, suite, signer, payload, fill)| {
            let signatures = suite.algorithms().iter().map(|a| vec![fill; a.signature_len()]).collect();
            Draft { kind, suite, signer, payload }.assemble(signatures).unwrap()
        },
    )
}

fn item(slot: Slot, (sold, owner, recipient, descriptor): (bool, u8, u8, Vec<u8>)) -> Item {
    let kind = if sold { ItemKind::Information } else { ItemKind::Signature };
    Item { kind, owner: Role::numbered(owner), recipient: Role::numbered(recipient), descriptor, slot }
}

fn cores() -> impl Strategy<Value = Core> {
    let relations =
        vec![Relation::Supersedes, Relation::Fulfils, Relation::Amends, Relation::PartOf, Relation::Answers];
    let links =
        (prop::sample::select(relations), ids(Cid::from_digest)).prop_map(|(relation, to)| Link { relation, to });
    let items = (any::<bool>(), any::<u8>(), any::<u8>(), some_bytes());
    let text = (ids(TemplateId::from_digest), digests(), "[a-z]{2}(-[A-Z]{2})?", digests())
        .prop_map(|(template, fields, locale, render)| TextRef { template, fields, locale, render });
    let arbiter = (ids(KeySetId::from_digest), prop::option::of(digests()), ids(KeySetId::from_digest), digests())
        .prop_map(|(key_set, deposit_key, log, rules)| ArbiterRef { key_set, deposit_key, log, rules });
    let spans = (any::<u64>(), any::<u64>(), prop::option::of(any::<u64>()), prop::option::of(times()));
    let deadlines = (times(), spans).prop_map(|(not_after, (delta, sigma, complaints, refund_after))| Deadlines {
        not_after,
        complaints: complaints.map(Seconds),
        refund_after,
        delta: Seconds(delta),
        sigma: Seconds(sigma),
    });
    let lists = (
        prop::collection::vec(ids(KeySetId::from_digest), 2..=16),
        prop::collection::vec(items, 0..4),
        prop::collection::vec(links, 0..4),
    );
    (lists, arbiter, deadlines, text, any::<[u8; 32]>()).prop_map(
        |((key_sets, items, links), arbiter, deadlines, text, nonce)| {
            let parties =
                (0_u8..).zip(key_sets).map(|(n, key_set)| PartyRef { role: Role::numbered(n), key_set }).collect();
            let items: Vec<_> = (0_u16..).step_by(77).zip(items).map(|(slot, parts)| item(Slot(slot), parts)).collect();
            let information = items.iter().filter(|item| item.kind == ItemKind::Information);
            let deposits = information.map(|item| (item.slot, item.descriptor.clone())).collect();
            let terms =
                Terms { profile: Profile::C2, parties, arbiter: Some(arbiter), items, deadlines, text, links, nonce };
            Core { terms, deposits }
        },
    )
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let anonymity =
        prop::sample::select(vec![Anonymity::None, Anonymity::Sender, Anonymity::Receiver, Anonymity::Both]);
    let ack = prop::sample::select(vec![AckWanted::None, AckWanted::Transport, AckWanted::Signed]);
    let fairness = prop::sample::select(vec![Fairness::None, Fairness::Weak, Fairness::Strong]);
    (any::<[bool; 4]>(), anonymity, ack, fairness).prop_map(
        |([confidential, origin, submission, time_stamp], anonymity, ack, fairness)| Attributes {
            confidential,
            anonymity,
            origin,
            ack,
            submission,
            time_stamp,
            fairness,
            third_parties: BTreeSet::new(),
        },
    )
}

fn nodes() -> impl Strategy<Value = Node> {
    let information = (words(), some_bytes()).prop_map(|(name, bytes)| {
        Leaf::Information(Information::new(&format!("a{name}"), "text/plain", bytes).unwrap())
    });
    let leaf = prop_oneof![
        information,
        signed().prop_map(Leaf::Statement),
        some_bytes().prop_map(Leaf::Credential),
        some_bytes().prop_map(Leaf::Money),
    ];
    let leaf = (attributes(), leaf).prop_map(|(attributes, leaf)| Node::leaf(attributes, leaf));
    leaf.prop_recursive(4, 12, 3, |inner| {
        (attributes(), prop::collection::vec(inner, 1..3))
            .prop_map(|(attributes, nodes)| Node::branch(attributes, nodes))
    })
}

fn containers() -> impl Strategy<Value = Container> {
    let parties = prop::collection::btree_set(ids(KeySetId::from_digest), 0..8);
    (any::<[u8; 16]>(), nodes(), parties).prop_map(|(nonce, mut root, third_parties)| {
        root.attributes.third_parties = third_parties;
        Container::new(nonce, root).unwrap()
    })
}

fn acks() -> impl Strategy<Value = Ack> {
    let disposition = prop_oneof![Just(Disposition::Accepted), texts().prop_map(Disposition::Refused)];
    (ids(ContainerId::from_digest), disposition, times()).prop_map(|(container, disposition, time)| Ack {
        container,
        disposition,
        time,
    })
}

fn cells() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        texts().prop_map(FieldValue::Text),
        any::<u64>().prop_map(FieldValue::Uint),
        amounts().prop_map(FieldValue::Amount),
        times().prop_map(FieldValue::Time),
        digests().prop_map(FieldValue::Digest),
        ids(KeySetId::from_digest).prop_map(FieldValue::Party),
        some_bytes().prop_map(FieldValue::Bytes),
        texts().prop_map(FieldValue::Choice),
    ]
}

fn values() -> impl Strategy<Value = FieldValue> {
    let row = prop::collection::btree_map(names(), cells(), 1..4);
    prop_oneof![
        4 => cells(),
        1 => texts().prop_map(FieldValue::LongText),
        1 => prop::collection::vec(row, 1..4).prop_map(|rows: Vec<Row>| FieldValue::Table(rows)),
    ]
}

fn documents() -> impl Strategy<Value = Document> {
    (ids(TemplateId::from_digest), prop::collection::btree_map(names(), values(), 0..6))
        .prop_map(|(template, fields)| Document { template, locale: "en".to_owned(), fields })
}

fn templates() -> impl Strategy<Value = Template> {
    let options = prop::collection::btree_set(words(), 1..4);
    let line_kind = prop_oneof![
        prop::sample::select(vec![
            FieldKind::Text,
            FieldKind::Uint,
            FieldKind::Amount,
            FieldKind::Time,
            FieldKind::Bytes
        ]),
        options.prop_map(|options| FieldKind::Choice(options.into_iter().collect())),
    ];
    let labelled = |(name, kind, label, required): (String, FieldKind, String, bool)| {
        let def = if required { FieldDef::required(name, kind) } else { FieldDef::optional(name, kind) };
        def.label("en", label)
    };
    let unique = |defs: Vec<FieldDef>| {
        defs.into_iter().map(|def| (def.name.clone(), def)).collect::<BTreeMap<_, _>>().into_values().collect()
    };
    let line = (names(), line_kind, words(), any::<bool>()).prop_map(labelled).boxed();
    let columns = prop::collection::vec(line.clone(), 1..4).prop_map(unique);
    let table = (names(), columns, words(), any::<bool>())
        .prop_map(move |(name, columns, label, required)| labelled((name, FieldKind::Table(columns), label, required)));
    let long = (names(), words(), any::<bool>())
        .prop_map(move |(name, label, required)| labelled((name, FieldKind::LongText, label, required)));
    let def = prop_oneof![3 => line, 1 => table, 1 => long];
    (names(), any::<u64>(), prop::collection::vec(def, 0..6), words()).prop_map(
        move |(name, version, defs, heading)| {
            let defs: Vec<FieldDef> = unique(defs);
            let text = defs.iter().fold(heading + "\n", |text, def| text + &shown(def));
            Template::new(name, version, defs, BTreeMap::from([("en".to_owned(), text)])).unwrap()
        },
    )
}

/// Lines that show a field.
fn shown(def: &FieldDef) -> String {
    let name = &def.name;
    match &def.kind {
        FieldKind::LongText => format!("Text:\n{{{name}}}\n"),
        FieldKind::Table(columns) => {
            let cells: String = columns.iter().map(|column| format!(" {{{}}};", column.name)).collect();
            format!("{{#{name}}}\n-{cells}\n{{/{name}}}\n")
        }
        _ => format!("{{{{{name}: {{{name}}}\n"),
    }
}

/// A document that fits a template, and holds fields that it does not know.
fn filled() -> impl Strategy<Value = (Template, Document)> {
    (templates(), prop::collection::btree_map("x-[a-z]{1,4}", values(), 0..3), texts(), any::<u64>()).prop_map(
        |(template, further, text, number)| {
            let mut document = Document::new(&template, "en");
            for def in template.fields() {
                document.fields.insert(def.name.clone(), value_for(&def.kind, &text, number));
            }
            document.fields.extend(further.into_iter().filter(|(name, _)| template.field(name).is_none()));
            (template, document)
        },
    )
}

fn value_for(kind: &FieldKind, text: &str, number: u64) -> FieldValue {
    match kind {
        FieldKind::Text => FieldValue::Text(text.to_owned()),
        FieldKind::LongText => FieldValue::LongText(text.to_owned()),
        FieldKind::Amount => FieldValue::Amount(Amount::new(number >> 1, Currency::parse("EUR").unwrap()).unwrap()),
        FieldKind::Time => FieldValue::Time(Time::from_unix(number)),
        FieldKind::Bytes => FieldValue::Bytes(number.to_be_bytes().to_vec()),
        FieldKind::Choice(options) => FieldValue::Choice(options[0].clone()),
        FieldKind::Table(columns) => {
            let row: Row =
                columns.iter().map(|column| (column.name.clone(), value_for(&column.kind, text, number))).collect();
            FieldValue::Table(vec![row.clone(), row])
        }
        _ => FieldValue::Uint(number),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::Uint),
        any::<u64>().prop_map(Value::Nint),
        some_bytes().prop_map(Value::Bytes),
        texts().prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(5, 32, 4, |inner| {
        let map = prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(|entries| {
            let mut map = Map::new();
            entries.into_iter().for_each(|(key, value)| map.insert(key, value));
            Value::Map(map)
        });
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            map,
            (any::<u64>(), inner).prop_map(|(tag, value)| Value::Tag(tag, Box::new(value))),
        ]
    })
}

/// Written and read back it is the same; with one byte changed it is refused or another value; cut short it is refused.
fn check<T: Encode + Decode + PartialEq + Debug>(value: &T, (place, flip): (usize, u8)) -> Result<(), TestCaseError> {
    let bytes = value.to_bytes();
    prop_assert!(bytes.len() <= T::BYTES_MAX);
    let read = T::from_bytes(&bytes);
    prop_assert_eq!(read.as_ref(), Ok(value));
    let mut changed = bytes.clone();
    let place = place % bytes.len();
    changed[place] ^= flip;
    if let Ok(other) = T::from_bytes(&changed) {
        prop_assert_ne!(&other, value);
        prop_assert_eq!(other.to_bytes(), changed);
    }
    prop_assert!(T::from_bytes(&bytes[..place]).is_err());
    Ok(())
}

fn flips() -> impl Strategy<Value = (usize, u8)> {
    (any::<usize>(), 1..=u8::MAX)
}

macro_rules! every {
    ($($name:ident: $values:expr;)*) => {
        proptest! {$(
            #[test]
            fn $name(value in $values, flip in flips()) {
                check(&value, flip)?;
            }
        )*}
    };
}

every! {
    amounts_hold: amounts();
    times_hold: times();
    key_sets_hold: key_sets();
    digests_hold: digests();
    deals_hold: any::<[u8; 16]>().prop_map(DealId::from_array);
    cores_hold: cores();
    promises_hold: (ids(Cid::from_digest), any::<u8>(), prop::option::of(ids(StatementId::from_digest)))
        .prop_map(|(cid, role, answers)| Promise { cid, role: Role::numbered(role), answers });
    finals_hold: (ids(Cid::from_digest), any::<u8>(), [ids(StatementId::from_digest), ids(StatementId::from_digest)], any::<u16>())
        .prop_map(|(cid, role, promises, slot)| Final { cid, role: Role::numbered(role), promises, slot: Slot(slot) });
    templates_hold: templates();
    documents_hold: documents();
    values_hold: values();
    containers_hold: containers();
    container_statements_hold: ids(ContainerId::from_digest).prop_map(|container| ContainerStatement { container });
    acks_hold: acks();
    signed_statements_hold: signed();
    inclusions_hold: (any::<u64>(), any::<u64>(), prop::collection::vec(digests(), 0..64))
        .prop_map(|(index, size, path)| Inclusion { index, size, path });
    consistencies_hold: (any::<u64>(), any::<u64>(), prop::collection::vec(digests(), 0..64))
        .prop_map(|(before, after, path)| Consistency { before, after, path });
    frontiers_hold: prop::collection::vec(digests(), 0..80).prop_map(|leaves| {
        let mut frontier = Frontier::new();
        leaves.into_iter().for_each(|leaf| assert!(frontier.append(leaf).is_ok()));
        frontier
    });
}

fn no_decoder_panics(bytes: &[u8]) {
    fn try_it<T: Decode + Encode>(bytes: &[u8]) {
        if let Ok(value) = T::from_bytes(bytes) {
            assert_eq!(value.to_bytes(), bytes, "accepted, but written differently");
        }
    }
    try_it::<Amount>(bytes);
    try_it::<Time>(bytes);
    try_it::<KeySet>(bytes);
    try_it::<Core>(bytes);
    try_it::<Promise>(bytes);
    try_it::<Final>(bytes);
    try_it::<Template>(bytes);
    try_it::<Document>(bytes);
    try_it::<FieldValue>(bytes);
    try_it::<Container>(bytes);
    try_it::<ContainerStatement>(bytes);
    try_it::<Ack>(bytes);
    try_it::<Frontier>(bytes);
    try_it::<Inclusion>(bytes);
    try_it::<Consistency>(bytes);
    if let Ok(signed) = Signed::from_bytes(bytes) {
        assert_eq!(signed.bytes(), bytes);
    }
}

proptest! {
    #[test]
    fn any_data_encodes_in_one_way(value in any_value()) {
        let bytes = value.encode();
        prop_assert_eq!(cbor::decode(&bytes, bytes.len()), Ok(value));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(value) = cbor::decode(&bytes, 400) {
            prop_assert_eq!(value.encode(), bytes.clone());
        }
        no_decoder_panics(&bytes);
    }

    // Random bytes are hardly ever CBOR; random CBOR gets further into the decoders.
    #[test]
    fn arbitrary_data_does_no_harm(value in any_value()) {
        no_decoder_panics(&value.encode());
    }

    #[test]
    fn damaged_containers_and_documents_do_no_harm(
        container in containers(), document in documents(), template in templates(), flips in prop::collection::vec(flips(), 1..6),
    ) {
        for mut bytes in [container.to_bytes(), document.to_bytes(), template.to_bytes()] {
            for (place, flip) in &flips {
                let place = place % bytes.len();
                bytes[place] ^= flip;
            }
            no_decoder_panics(&bytes);
        }
    }

    // Whoever compares two shown values character by character sees every difference.
    #[test]
    fn escaping_loses_nothing_and_hides_nothing(line in texts(), indent in 0_usize..4) {
        let shown = text::escape(&line, indent);
        prop_assert_eq!(unescape(&shown), line);
        prop_assert!(shown.chars().all(|c| c == ' ' || c == '\\' || text::is_visible(c)));
        prop_assert!(!shown.ends_with(' '));
    }

    // The text is the same however the document came, and every line of a value is marked as one or stands inside a line.
    #[test]
    fn a_document_is_shown_the_same_after_its_journey((template, document) in filled()) {
        let rendered = document.render(&template).unwrap();
        let (sent_template, sent) =
            (Template::from_bytes(&template.to_bytes()).unwrap(), Document::from_bytes(&document.to_bytes()).unwrap());
        prop_assert_eq!(&sent.render(&sent_template).unwrap(), &rendered);
        prop_assert!(rendered.text.ends_with('\n'));
        prop_assert!(rendered.text.chars().all(|c| matches!(c, ' ' | '\\' | '\n') || text::is_visible(c)));
        let signed = document.text_ref(&template).unwrap();
        prop_assert!(sent.check_text_ref(&sent_template, &signed).is_ok());
        for name in document.fields.keys().filter(|name| template.field(name).is_none()) {
            prop_assert!(rendered.text.contains(&format!("\n- {name}")), "{} is not shown", name);
        }
    }

    // What is signed is seen: a document with another value in any field has another text.
    #[test]
    fn another_value_is_another_text((template, document) in filled(), other in texts(), which in any::<prop::sample::Index>()) {
        prop_assume!(!document.fields.is_empty());
        let name = which.get(&document.fields.keys().collect::<Vec<_>>()).to_string();
        let mut changed = document.clone();
        let value = changed.fields.get_mut(&name).unwrap();
        match value {
            FieldValue::Text(text) | FieldValue::LongText(text) if *text != other => *text = other,
            FieldValue::Uint(n) => *n ^= 1,
            FieldValue::Bytes(bytes) => bytes.push(1),
            FieldValue::Digest(digest) => *digest = Digest::of(semper_core::domain::FIELDS, digest.as_ref()),
            _ => return Ok(()),
        }
        prop_assert_ne!(changed.render(&template).unwrap().text, document.render(&template).unwrap().text);
    }
}

/// The way back from a shown line: an independent reading of the rule.
fn unescape(shown: &str) -> String {
    let mut out = String::new();
    let mut rest = shown;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = if let Some(code) = rest[at..].strip_prefix("\\u{") {
            let (digits, after) = code.split_once('}').unwrap();
            out.push(char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap());
            after
        } else {
            out.push('\\');
            rest[at..].strip_prefix("\\\\").unwrap()
        };
    }
    out + rest
}
