//! Signed statements.

use super::*;

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

pub(super) fn signed() -> Vec<Json> {
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
