//! The vectors of `spec/vectors/goods.json`. What could go wrong: an article is encoded in another way than yesterday, so that what was sold
//! cannot be opened or a proof no longer holds. The committed file is compared with what is made here, and each vector is checked from
//! what stands in it alone. After an intended change: `UPDATE_VECTORS=1 cargo test -p semper-exchange --test goods`, then review the diff.

use std::path::PathBuf;
use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use semper_core::cbor::{self, Decode, DecodeError, Encode, Map, Value};
use semper_core::contract::Core;
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::party::KeySet;
use semper_crypto::{DecapsulationKey, Encapsulator, Verifier};
use semper_exchange::goods::{
    ArticleKey, CHUNK_LEN, ChunkIndex, Claim, Deposit, DepositKey, Descriptor, Disclosure, Good, Index, Judge,
    KeyAttestation, KeyEvidence, Pom, Seed, Side,
};
use semper_support::crypto::{KemSuite, Signer as _};
use serde_json::{Value as Json, json};

use super::world::{PREIMAGE, SLOT, SUITES, Sale, World, encode, kem_ciphertext, plaintext, sign};

const RULE: &str = "byte i is (i * i / 7 + i) mod 251, with whole division";

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn bytes(vector: &Json, key: &str) -> Vec<u8> {
    HEXLOWER.decode(text(vector, key).as_bytes()).unwrap()
}

fn text<'a>(vector: &'a Json, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {}", vector["name"]))
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec").join(file)
}

/// The committed vectors; written anew first if that is asked for.
static VECTORS: LazyLock<Vec<Json>> = LazyLock::new(|| {
    let file = path("vectors/goods.json");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&file, serde_json::to_string_pretty(&make()).unwrap() + "\n").unwrap();
    }
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
});

fn of_type(type_name: &str) -> impl Iterator<Item = &Json> {
    VECTORS.iter().filter(move |vector| vector["type"] == type_name)
}

fn good(name: &str, type_name: &str, meaning: &str, hex_of: &[u8], facts: Json) -> Json {
    let mut vector = json!({ "name": name, "type": type_name, "meaning": meaning, "hex": hex(hex_of) });
    vector.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    vector
}

fn bad(name: &str, type_name: &str, why: &str, hex_of: &[u8]) -> Json {
    let error = read(type_name, hex_of).expect_err(name);
    json!({ "name": name, "type": type_name, "why": why, "hex": hex(hex_of), "error": error.to_string() })
}

fn changed(bytes: &[u8], change: impl FnOnce(&mut Map)) -> Vec<u8> {
    let Ok(Value::Map(mut map)) = cbor::decode(bytes, bytes.len()) else { panic!("a record is a map") };
    change(&mut map);
    Value::Map(map).encode()
}

fn read(type_name: &str, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    fn typed<T: Decode + Encode>(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
        Ok(T::from_bytes(bytes)?.to_bytes())
    }
    match type_name {
        "descriptor" => typed::<Descriptor>(bytes),
        "deposit" => typed::<Deposit>(bytes),
        "deposit-key" => typed::<DepositKey>(bytes),
        "disclosure" => typed::<Disclosure>(bytes),
        "key-attestation" => typed::<KeyAttestation>(bytes),
        "pom" => typed::<Pom>(bytes),
        _ => panic!("no vectors of {type_name}"),
    }
}

fn make() -> Vec<Json> {
    let worlds = SUITES.map(World::new);
    let sale = worlds[2].honest(1, 100);
    let (descriptor, deposit) = (sale.good.descriptor().to_bytes(), sale.good.deposit().to_bytes());
    let statement = Disclosure { cid: sale.good.cid(), slot: SLOT, seed: sale.seed.clone() };
    let attestation = KeyAttestation { cid: sale.good.cid(), slot: SLOT, key: sale.key.clone() };
    let seed_too_long = changed(&statement.to_bytes(), |map| map.insert(3_u64, Value::bytes([0; 65])));
    let no_key = Pom { cid: sale.good.cid(), slot: SLOT, claim: Claim::NoKey }.to_bytes();
    let mut all = vec![
        article("article-small", 100, &ArticleKey::from_array([0x54; 32])),
        article("article-two-chunks", 2 * CHUNK_LEN, &ArticleKey::from_array([0x55; 32])),
        article("article-three-chunks", 2 * CHUNK_LEN + 1, &ArticleKey::from_array([0x56; 32])),
        good("descriptor", "descriptor", "100 bytes called a.bin", &descriptor, json!({})),
        good("disclosure", "disclosure", "the seed of the deposit deposit-3", &statement.to_bytes(), json!({})),
        good("key-attestation", "key-attestation", "the key of the same", &attestation.to_bytes(), json!({})),
        bad("descriptor-empty", "descriptor", "no bytes", &changed(&descriptor, |map| map.insert(3_u64, 0_u64))),
        bad("descriptor-chunk", "descriptor", "short chunks", &changed(&descriptor, |map| map.insert(4_u64, 1024_u64))),
        bad("descriptor-path", "descriptor", "a path", &changed(&descriptor, |map| map.insert(1_u64, "../a"))),
        bad("deposit-suite", "deposit", "no such suite", &changed(&deposit, |map| map.insert(1_u64, 4_u64))),
        bad(
            "deposit-other-suite",
            "deposit",
            "a length of another suite",
            &changed(&deposit, |map| map.insert(1_u64, 2_u64)),
        ),
        bad("disclosure-long", "disclosure", "a seed of 65 bytes", &seed_too_long),
        bad("pom-kind", "pom", "an unknown kind of claim", &changed(&no_key, |map| map.insert(1_u64, 3_u64))),
        bad("pom-field", "pom", "a field of another kind", &changed(&no_key, |map| map.insert(4_u64, 0_u64))),
    ];
    for world in &worlds {
        all.extend(deposits(world));
    }
    all.extend(proofs(&worlds[0]));
    all.extend(under_hash(&worlds[0]));
    all
}

fn article(name: &str, len: usize, key: &ArticleKey) -> Json {
    let (ciphertext, article) = encode(key, &plaintext(len));
    json!({
        "name": name, "type": "article", "meaning": "an encoded article", "plaintext": RULE, "size": len, "key": hex(key.as_bytes()),
        "chunks_begin": ciphertext.chunks(CHUNK_LEN).map(|chunk| hex(&chunk[..chunk.len().min(32)])).collect::<Vec<_>>(),
        "plain_root": article.plain_root.to_hex(), "cipher_root": article.cipher_root.to_hex(),
        "index": hex(article.index.to_bytes()),
    })
}

fn deposits(world: &World) -> [Json; 2] {
    let (sale, key) = (world.honest(1, 100), world.deposit_key());
    let (number, id) = (key.suite.code(), key.id().to_hex());
    let facts = json!({
        "deposit_key": hex(key.to_bytes()), "secret_key": hex(&world.deposits.export()[1..]), "seed": hex(sale.seed.as_bytes()),
        "tid": sale.core.tid().to_hex(), "slot": SLOT.0, "article_key": hex(sale.key.as_bytes()),
    });
    let meaning = "the secret key is as modules/crypto keeps it: scalar, d and z, or seed of X-Wing";
    [
        good(
            &format!("deposit-key-{number}"),
            "deposit-key",
            "key of an arbiter",
            &key.to_bytes(),
            json!({ "id": id }),
        ),
        good(&format!("deposit-{number}"), "deposit", meaning, &sale.good.deposit().to_bytes(), facts),
    ]
}

/// Goods in contracts without an arbiter.
fn under_hash(world: &World) -> Vec<Json> {
    let [honest, bad] = [world.honest(1, 100), world.cheating(1, 100, 0)].map(|sale| world.under_hash(&sale));
    let deposit = honest.good.deposit().to_bytes();
    let facts = json!({
        "preimage": hex(PREIMAGE), "tid": honest.core.tid().to_hex(), "slot": SLOT.0, "article_key": hex(honest.key.as_bytes()),
    });
    let by_preimage = bad.proof().unwrap();
    let other = bad.proof_by(&bad.key, KeyEvidence::Seed(Seed::new(vec![0x2c; 32]))).unwrap();
    let attested = KeyEvidence::Attested(world.attestation(&bad, bad.key.clone()));
    let attested = bad.proof_by(&bad.key, attested).unwrap();
    vec![
        good("deposit-hash", "deposit", "what a preimage opens", &deposit, facts),
        bad_deposit("deposit-hash-short", "a hash of 31 bytes", &deposit, |map| {
            map.insert(5_u64, Value::bytes([1; 31]));
        }),
        bad_deposit("deposit-hash-suite", "a hash and a suite", &deposit, |map| map.insert(1_u64, 1_u64)),
        bad_deposit("deposit-nothing", "neither hash nor suite", &deposit, |map| _ = map.remove(5_u64)),
        proof(world, "pom-bad-chunk-preimage", "a bad chunk, with the preimage", &bad, &by_preimage),
        proof(world, "pom-other-preimage", "the preimage of another hash", &bad, &other),
        proof(world, "pom-attested-preimage", "an arbiter's word in a contract without one", &bad, &attested),
    ]
}

fn bad_deposit(name: &str, why: &str, deposit: &[u8], change: impl FnOnce(&mut Map)) -> Json {
    bad(name, "deposit", why, &changed(deposit, change))
}

fn proof(world: &World, name: &str, meaning: &str, sale: &Sale, pom: &Pom) -> Json {
    let verdict = match world.judge(&sale.good, pom) {
        Ok(proven) => json!({ "proven": format!("{:?}", proven.fault()) }),
        Err(refused) => json!({ "refused": refused.to_string() }),
    };
    let mut vector = good(name, "pom", meaning, &pom.to_bytes(), verdict);
    let mut facts = json!({ "core": hex(sale.core.to_bytes()), "owner": hex(world.seller.key_set().to_bytes()) });
    if sale.core.terms.arbiter.is_some() {
        facts["deposit_key"] = hex(world.deposit_key().to_bytes()).into();
        facts["arbiter"] = hex(world.arbiter.key_set().to_bytes()).into();
    }
    vector.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    vector
}

/// Proofs that hold and proofs that do not, each with all that is needed to judge it.
fn proofs(world: &World) -> Vec<Json> {
    let (bad, honest) = (world.cheating(1, 100, 0), world.honest(2, 100));
    let by_seed = bad.proof().unwrap();
    let attested = KeyEvidence::Attested(world.attestation(&bad, bad.key.clone()));
    let by_arbiter = bad.proof_by(&bad.key, attested).unwrap();
    let of = |sale: &Sale, claim| Pom { cid: sale.good.cid(), slot: SLOT, claim };
    let wrong_seed = of(&honest, Claim::BadSeed(world.disclosure(&honest, bad.seed.clone())));
    let right_seed = of(&honest, Claim::BadSeed(world.disclosure(&honest, honest.seed.clone())));
    let by_buyer = Disclosure { cid: honest.good.cid(), slot: SLOT, seed: bad.seed.clone() };
    let forged = of(&honest, Claim::BadSeed(sign(&world.buyer, &by_buyer)));
    let low = world.with_deposit(&honest, |deposit| kem_ciphertext(deposit).fill(0));
    let mut elsewhere = by_seed.clone();
    elsewhere.cid = honest.good.cid();
    let proof = |name, meaning, sale: &Sale, pom: &Pom| proof(world, name, meaning, sale, pom);
    vec![
        proof("pom-bad-chunk", "a bad chunk, with the seed", &bad, &by_seed),
        proof("pom-bad-chunk-attested", "a bad chunk, with the arbiter's attestation", &bad, &by_arbiter),
        proof("pom-bad-seed", "the seed of another deposit", &honest, &wrong_seed),
        proof("pom-no-key", "a point of low order", &low, &of(&low, Claim::NoKey)),
        proof("pom-other-contract", "a proof about another contract", &honest, &by_seed),
        proof("pom-renamed", "the same under this contract's name", &honest, &elsewhere),
        proof("pom-right-seed", "the seed of the deposit", &honest, &right_seed),
        proof("pom-forged-seed", "a seed that the buyer signed", &honest, &forged),
        proof("pom-good-key", "a deposit that can be opened", &honest, &of(&honest, Claim::NoKey)),
    ]
}

#[test]
fn the_committed_vectors_are_what_the_code_makes() {
    assert!(*VECTORS == make(), "spec/vectors/goods.json differs from what the code makes");
    let count = |type_name| of_type(type_name).count();
    let types = ["article", "descriptor", "deposit", "deposit-key", "disclosure", "key-attestation", "pom"];
    assert_eq!(types.map(count), [3, 4, 9, 3, 2, 1, 14]);
}

#[test]
fn articles_are_encoded_as_they_were() {
    for vector in of_type("article") {
        assert_eq!(text(vector, "plaintext"), RULE);
        let len = usize::try_from(vector["size"].as_u64().unwrap()).unwrap();
        let key = ArticleKey::from_array(bytes(vector, "key").try_into().unwrap());
        let index = Index::from_bytes(&bytes(vector, "index")).unwrap();
        let root = |side| index.root(side).to_hex();
        assert_eq!(
            (root(Side::Plain).as_str(), root(Side::Cipher).as_str()),
            (text(vector, "plain_root"), text(vector, "cipher_root"))
        );
        let (ciphertext, article) = encode(&key, &plaintext(len));
        assert_eq!(article.index, index);
        let begins = ciphertext.chunks(CHUNK_LEN).map(|chunk| Json::String(hex(&chunk[..chunk.len().min(32)])));
        assert_eq!(vector["chunks_begin"], Json::Array(begins.collect()));
        assert!((0..).map(ChunkIndex).zip(plaintext(len).chunks(CHUNK_LEN)).all(|(place, chunk)| {
            index.leaves(place).is_some_and(|leaves| leaves.plain == key.plain_leaf(place, chunk))
        }));
    }
}

#[test]
fn records_are_read_and_written_the_same_and_fit_the_cddl() {
    let rules = std::fs::read_to_string(path("semper.cddl")).unwrap();
    let fits =
        |rule: &str, bytes: &[u8]| cddl::validate_cbor_from_slice(&format!("root = {rule}\n{rules}"), bytes, None);
    let mut seen = 0;
    for vector in VECTORS.iter().filter(|vector| vector["type"] != "article") {
        let (name, rule, bytes) = (text(vector, "name"), text(vector, "type"), bytes(vector, "hex"));
        if let Some(error) = vector.get("error") {
            assert_eq!(read(rule, &bytes).unwrap_err().to_string(), error.as_str().unwrap(), "{name}");
            continue;
        }
        assert_eq!(read(rule, &bytes), Ok(bytes.clone()), "{name}");
        fits(rule, &bytes).unwrap_or_else(|error| panic!("{name} does not fit {rule}: {error}"));
        let with_more = changed(&bytes, |map| map.insert(99_u64, true));
        assert!(
            fits(rule, &with_more).is_err() && read(rule, &with_more).is_err(),
            "{name} with a field that there is not"
        );
        for cut in 0..bytes.len() {
            assert!(read(rule, &bytes[..cut]).is_err(), "{name} cut to {cut} bytes");
        }
        seen += 1;
    }
    assert_eq!(seen, 22);
}

fn label(vector: &Json) -> (Digest, Slot) {
    let slot = Slot(u16::try_from(vector["slot"].as_u64().unwrap()).unwrap());
    (Digest::from_hex(text(vector, "tid")).unwrap(), slot)
}

#[test]
fn deposits_are_made_and_opened_as_they_were() {
    let good = || of_type("deposit").filter(|vector| vector.get("error").is_none());
    for vector in good().filter(|vector| vector.get("preimage").is_none()) {
        let key = DepositKey::from_bytes(&bytes(vector, "deposit_key")).unwrap();
        let article = ArticleKey::from_array(bytes(vector, "article_key").try_into().unwrap());
        let label = label(vector);
        let stands = Deposit::from_bytes(&bytes(vector, "hex")).unwrap();
        let seed = Seed::new(bytes(vector, "seed"));
        let made = Deposit::make(&Encapsulator, &key, &seed, label, &article, stands.cipher_root).unwrap();
        assert_eq!(made, stands);
        let secret = [vec![u8::try_from(key.suite.code()).unwrap()], bytes(vector, "secret_key")].concat();
        let secret = DecapsulationKey::import(&secret).unwrap();
        let sale = World::new(key.suite).honest(1, 100);
        assert_eq!(sale.good.recover(&secret).unwrap().as_bytes(), article.as_bytes());
    }
    for vector in good().filter(|vector| vector.get("preimage").is_some()) {
        let article = ArticleKey::from_array(bytes(vector, "article_key").try_into().unwrap());
        let preimage: [u8; 32] = bytes(vector, "preimage").try_into().unwrap();
        let stands = Deposit::from_bytes(&bytes(vector, "hex")).unwrap();
        assert_eq!(Deposit::under_hash(&preimage, label(vector), &article, stands.cipher_root), stands);
    }
    for vector in of_type("deposit-key") {
        assert_eq!(DepositKey::from_bytes(&bytes(vector, "hex")).unwrap().id().to_hex(), text(vector, "id"));
    }
    assert_eq!(KemSuite::XWing.code(), 3);
}

#[test]
fn proofs_are_judged_as_they_were() {
    let mut counts = [0, 0];
    for vector in of_type("pom").filter(|vector| vector.get("error").is_none()) {
        let core = Core::from_bytes(&bytes(vector, "core")).unwrap();
        let arbitrated = core.terms.arbiter.is_some();
        let key = arbitrated.then(|| DepositKey::from_bytes(&bytes(vector, "deposit_key")).unwrap());
        let owner = KeySet::from_bytes(&bytes(vector, "owner")).unwrap();
        let arbiter = arbitrated.then(|| KeySet::from_bytes(&bytes(vector, "arbiter")).unwrap());
        let good = Good::of(&core, SLOT, key.as_ref()).unwrap();
        let pom = Pom::from_bytes(&bytes(vector, "hex")).unwrap();
        let judge = Judge { verify: &Verifier, kem: &Encapsulator, owner: &owner, arbiter: arbiter.as_ref() };
        match judge.check(&good, &pom) {
            Ok(proven) => {
                assert_eq!(format!("{:?}", proven.fault()), text(vector, "proven"));
                counts[0] += 1;
            }
            Err(refused) => {
                assert_eq!(refused.to_string(), text(vector, "refused"));
                counts[1] += 1;
            }
        }
    }
    assert_eq!(counts, [5, 7]);
}
