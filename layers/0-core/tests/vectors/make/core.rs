//! Contracts and what is said about them.

use super::*;

pub(super) fn core() -> Vec<Json> {
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
