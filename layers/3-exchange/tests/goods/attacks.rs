//! The attacks by name. What could go wrong: a buyer proves something against an honest seller, or a dishonest one goes unpunished; the
//! arbiter opens a deposit for whom it is not meant.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::contract::Core;
use semper_core::hash::Digest;
use semper_core::merkle::{Inclusion, leaf_hash};
use semper_core::party::Suite;
use semper_crypto::{Encapsulator, SecretKeys};
use semper_exchange::goods::{
    Article, ArticleKey, BadChunk, BadShape, CHUNK_LEN, ChunkError, ChunkIndex, Claim, Deposit, Download,
    DownloadError, Fault, Good, Index, KeyAttestation, KeyEvidence, Leaves, NotOpened, Pom, Refused, Seed, Side, Size,
    Unrecoverable, cipher_leaf,
};
use semper_support::crypto::{Decapsulate as _, KemSuite};

use super::world::{SLOT, SUITES, Sale, World, encode, kem_ciphertext, plaintext, sign};

fn pom(sale: &Sale, claim: Claim) -> Pom {
    Pom { cid: sale.good.cid(), slot: SLOT, claim }
}

/// What a buyer would show about a chunk, whether it is bad or not.
fn shown(sale: &Sale, place: u64) -> BadChunk {
    let index = ChunkIndex(place);
    let path = |side| sale.article.index.prove(side, index).unwrap().path;
    BadChunk {
        index,
        chunk: sale.chunks()[usize::try_from(place).unwrap()].clone(),
        cipher_path: path(Side::Cipher),
        key: KeyEvidence::Seed(sale.seed.clone()),
        plain_leaf: sale.article.index.leaves(index).unwrap().plain,
        plain_path: path(Side::Plain),
    }
}

#[test]
fn a_cheated_buyer_proves_it() {
    for suite in SUITES {
        let world = World::new(suite);
        for (len, bad) in [(1, 0), (CHUNK_LEN + 1, 1), (5 * CHUNK_LEN, 3)] {
            let sale = world.cheating(1, len, bad);
            let by_seed = sale.proof().unwrap();
            let recovered = sale.good.recover(&world.deposits).unwrap();
            let attested = KeyEvidence::Attested(world.attestation(&sale, recovered.clone()));
            let by_arbiter = sale.proof_by(&recovered, attested).unwrap();
            for pom in [by_seed, by_arbiter] {
                let proven = world.judge(&sale.good, &pom).unwrap();
                assert_eq!(proven.fault(), Fault::BadChunk(ChunkIndex(bad as u64)));
                assert_eq!((proven.cid(), proven.slot(), proven.guilty()), (sale.core.cid(), SLOT, sale.good.owner()));
                // What travels is what was checked.
                let again = Pom::from_bytes(&pom.to_bytes()).unwrap();
                assert_eq!(again.to_bytes(), pom.to_bytes());
                assert_eq!(world.judge(&sale.good, &again), Ok(proven));
            }
        }
    }
}

// 1 GiB, of which one chunk is looked at: the other leaves are only digests here.
#[test]
fn a_proof_about_a_gibibyte_is_small() {
    let world = World::new(KemSuite::XWing);
    let key = ArticleKey::from_array([1; 32]);
    let (size, bad) = (Size::new(1 << 30).unwrap(), ChunkIndex(54_321));
    let mut chunk = plaintext(CHUNK_LEN);
    let plain = key.plain_leaf(bad, &vec![0; CHUNK_LEN]);
    key.apply(bad, &mut chunk);
    let leaves = |i: u64| match i {
        54_321 => Leaves { cipher: cipher_leaf(bad, &chunk), plain },
        _ => Leaves { cipher: leaf_hash(&i.to_be_bytes()), plain: leaf_hash(&(i ^ 1).to_be_bytes()) },
    };
    let index = Index::new((0..size.chunks()).map(leaves).collect()).unwrap();
    assert_eq!(index.to_bytes().len(), 16 + (4 << 20));
    let article = Article { size, plain_root: index.root(Side::Plain), cipher_root: index.root(Side::Cipher), index };
    let sale = world.sell(1, &key, (Vec::new(), article));
    let path = |side| sale.article.index.prove(side, bad).unwrap().path;
    let claim = |evidence| {
        let (cipher_path, plain_path) = (path(Side::Cipher), path(Side::Plain));
        let chunk = chunk.clone();
        pom(
            &sale,
            Claim::BadChunk(BadChunk { index: bad, chunk, cipher_path, key: evidence, plain_leaf: plain, plain_path }),
        )
    };
    let by_seed = claim(KeyEvidence::Seed(sale.seed.clone()));
    assert_eq!(world.judge(&sale.good, &by_seed).unwrap().fault(), Fault::BadChunk(bad));
    let hybrid = SecretKeys::generate(Suite::Hybrid).unwrap();
    let statement = KeyAttestation { cid: sale.good.cid(), slot: SLOT, key };
    let by_arbiter = claim(KeyEvidence::Attested(sign(&hybrid, &statement)));
    let sizes = [by_seed, by_arbiter].map(|pom| pom.to_bytes().len());
    println!(
        "proof of misbehaviour for 1 GiB: {} bytes with the seed, {} with a hybrid attestation",
        sizes[0], sizes[1]
    );
    assert!(sizes[0] <= 18 * 1024 && sizes[1] <= 22 * 1024, "{sizes:?}");
}

// Attack 12. Mallory puts a foreign deposit into a contract of her own and has the arbiter open it.
#[test]
fn label_swap() {
    for suite in SUITES {
        let world = World::new(suite);
        let sale = world.honest(1, 100);
        let mallory = world.sell(2, &ArticleKey::from_array([0; 32]), encode(&sale.key, &plaintext(100)));
        let foreign = sale.good.deposit().clone();
        let with_key = |wrapped: [u8; 32]| {
            let swapped = world.with_deposit(&mallory, |deposit| {
                deposit.opens.clone_from(&foreign.opens);
                deposit.wrapped = wrapped;
            });
            *swapped.good.recover(&world.deposits).unwrap().as_bytes()
        };
        assert_ne!(with_key(foreign.wrapped), *sale.key.as_bytes());
        // What she learns is the mask of her own label; with it the foreign key stays masked.
        let mask = with_key([0; 32]);
        let guessed: Vec<_> = mask.iter().zip(foreign.wrapped).map(|(a, b)| a ^ b).collect();
        assert_ne!(guessed, sale.key.as_bytes());
        // Another slot is another label.
        let mut elsewhere = sale.core.clone();
        elsewhere.terms.items[0].slot.0 += 1;
        let deposit = elsewhere.deposits.remove(&SLOT).unwrap();
        let slot = elsewhere.terms.items[0].slot;
        elsewhere.deposits.insert(slot, deposit);
        let elsewhere = Good::of(&elsewhere, slot, Some(&world.deposit_key())).unwrap();
        assert_ne!(elsewhere.recover(&world.deposits).unwrap().as_bytes(), sale.key.as_bytes());
    }
}

// Attack 13. Whatever the seller deposits, the buyer gets the good or a proof, and the arbiter never stands there without an answer.
#[test]
fn kem_ct_malformed() {
    for suite in SUITES {
        let world = World::new(suite);
        let sale = world.honest(1, 100);
        let junk = world.with_deposit(&sale, |deposit| kem_ciphertext(deposit).fill(9));
        let recovered = junk.good.recover(&world.deposits).unwrap();
        assert_ne!(recovered.as_bytes(), sale.key.as_bytes());
        let evidence = KeyEvidence::Attested(world.attestation(&junk, recovered.clone()));
        let proof = junk.proof_by(&recovered, evidence).unwrap();
        assert_eq!(world.judge(&junk.good, &proof).unwrap().fault(), Fault::BadChunk(ChunkIndex(0)));
        // A wrong length is no deposit at all.
        let mut deposit = sale.good.deposit().clone();
        kem_ciphertext(&mut deposit).push(0);
        assert!(Deposit::from_bytes(&deposit.to_bytes()).is_err());
        let core = Core { deposits: BTreeMap::from([(SLOT, deposit.to_bytes())]), ..sale.core };
        assert!(Good::of(&core, SLOT, Some(&world.deposit_key())).is_err());
    }
}

#[test]
fn kem_ct_low_order() {
    for suite in [KemSuite::X25519, KemSuite::XWing] {
        let world = World::new(suite);
        let sale = world.honest(1, 100);
        let low = world.with_deposit(&sale, |deposit| {
            let ciphertext = kem_ciphertext(deposit);
            let point = ciphertext.len() - 32;
            ciphertext[point..].fill(0);
        });
        assert_eq!(low.good.recover(&world.deposits).map(drop), Err(Unrecoverable::SellersFault));
        let download = Download::new(&Encapsulator, low.good.clone(), low.article.index.clone());
        assert_eq!(download.map(drop), Err(DownloadError::NoKey));
        assert_eq!(world.judge(&low.good, &pom(&low, Claim::NoKey)).unwrap().fault(), Fault::NoKey);
        assert_eq!(world.judge(&sale.good, &pom(&sale, Claim::NoKey)), Err(Refused::DepositIsRight));
        // That the arbiter tried the wrong key is not the seller's fault.
        let other = World::new(KemSuite::MlKem768).deposits;
        assert_eq!(low.good.recover(&other).map(drop), Err(Unrecoverable::OtherKey));
    }
}

#[test]
fn kem_ct_implicit_reject() {
    for suite in [KemSuite::MlKem768, KemSuite::XWing] {
        let world = World::new(suite);
        let sale = world.honest(1, 3 * CHUNK_LEN);
        let changed = world.with_deposit(&sale, |deposit| kem_ciphertext(deposit)[0] ^= 1);
        // The seed is not that of this deposit, so the seller cannot even say that it released the key.
        assert_eq!(changed.good.open(&Encapsulator, &sale.seed).map(drop), Err(NotOpened::WrongSeed));
        let said = Claim::BadSeed(world.disclosure(&changed, sale.seed.clone()));
        assert_eq!(world.judge(&changed.good, &pom(&changed, said)).unwrap().fault(), Fault::BadSeed);
        let key = changed.good.recover(&world.deposits).unwrap();
        let evidence = KeyEvidence::Attested(world.attestation(&changed, key.clone()));
        let proof = changed.proof_by(&key, evidence).unwrap();
        assert_eq!(world.judge(&changed.good, &proof).unwrap().fault(), Fault::BadChunk(ChunkIndex(0)));
    }
}

// Attack 14.
#[test]
fn seed_for_other_contract() {
    for suite in SUITES {
        let world = World::new(suite);
        let (sale, other) = (world.honest(1, 100), world.honest(2, 100));
        assert_eq!(sale.good.open(&Encapsulator, &other.seed).map(drop), Err(NotOpened::WrongSeed));
        assert_eq!(sale.good.open(&Encapsulator, &Seed::new(Vec::new())).map(drop), Err(NotOpened::WrongSeed));
        let judge = |signed| world.judge(&sale.good, &pom(&sale, Claim::BadSeed(signed)));
        // Signed for this contract it is the seller's fault; what was signed for the other one proves nothing here.
        assert_eq!(judge(world.disclosure(&sale, other.seed.clone())).unwrap().fault(), Fault::BadSeed);
        assert_eq!(judge(world.disclosure(&sale, Seed::new(vec![1]))).unwrap().fault(), Fault::BadSeed);
        assert_eq!(judge(world.disclosure(&sale, sale.seed.clone())), Err(Refused::SeedIsRight));
        assert_eq!(judge(world.disclosure(&other, other.seed.clone())), Err(Refused::SignedForOther));
        // Nor does what the buyer signed.
        let own = sign(
            &world.buyer,
            &semper_exchange::goods::Disclosure { cid: sale.good.cid(), slot: SLOT, seed: other.seed },
        );
        assert!(matches!(judge(own), Err(Refused::Signature(_))));
    }
}

// Attack 17, first part. The article is the same in both contracts, the proof is not.
#[test]
fn pom_replay_other_cid() {
    let world = World::new(KemSuite::XWing);
    let sale = world.cheating(1, 2 * CHUNK_LEN, 1);
    let honest = world.honest(2, 2 * CHUNK_LEN);
    let attested = KeyEvidence::Attested(world.attestation(&sale, sale.key.clone()));
    for proof in [sale.proof().unwrap(), sale.proof_by(&sale.key, attested).unwrap()] {
        assert!(world.judge(&sale.good, &proof).is_ok());
        assert_eq!(world.judge(&honest.good, &proof), Err(Refused::OtherContract));
        let renamed = Pom { cid: honest.good.cid(), ..proof.clone() };
        assert!(world.judge(&honest.good, &renamed).is_err());
        // Even for the same wrong article in another contract, the key evidence is of this one.
        let twin = world.sell(3, &sale.key, (sale.ciphertext.clone(), sale.article.clone()));
        let renamed = Pom { cid: twin.good.cid(), ..proof };
        let refused = world.judge(&twin.good, &renamed).unwrap_err();
        assert!(matches!(refused, Refused::Seed(NotOpened::WrongSeed) | Refused::SignedForOther), "{refused}");
    }
}

#[test]
fn pom_wrong_index() {
    let world = World::new(KemSuite::X25519);
    let sale = world.honest(1, 4 * CHUNK_LEN);
    for place in 0..4 {
        for other in (0..6).chain([u64::MAX]).filter(|other| *other != place) {
            let claim = BadChunk { index: ChunkIndex(other), ..shown(&sale, place) };
            let refused = world.judge(&sale.good, &pom(&sale, Claim::BadChunk(claim))).unwrap_err();
            let expected = match other {
                0..4 => Refused::NotInTree(Side::Cipher),
                _ => Refused::NoSuchChunk(ChunkIndex(other)),
            };
            assert_eq!(refused, expected);
            // The right chunk with the promise of another place.
            if let Some(leaves) = sale.article.index.leaves(ChunkIndex(other)) {
                let plain_path = sale.article.index.prove(Side::Plain, ChunkIndex(other)).unwrap().path;
                let claim = BadChunk { plain_leaf: leaves.plain, plain_path, ..shown(&sale, place) };
                let refused = world.judge(&sale.good, &pom(&sale, Claim::BadChunk(claim))).unwrap_err();
                assert_eq!(refused, Refused::NotInTree(Side::Plain));
            }
        }
    }
}

#[test]
fn pom_wrong_length() {
    let world = World::new(KemSuite::X25519);
    let sale = world.honest(1, CHUNK_LEN + 100);
    for (place, expected, found) in [(0, CHUNK_LEN, CHUNK_LEN - 1), (1, 100, 99), (1, 100, 101), (1, 100, 0)] {
        let mut claim = shown(&sale, place);
        claim.chunk.resize(found, 0);
        let refused = world.judge(&sale.good, &pom(&sale, Claim::BadChunk(claim))).unwrap_err();
        assert_eq!(refused, Refused::WrongLength { expected, found });
    }
    // On the wire a chunk is never longer than a chunk.
    let mut claim = shown(&sale, 0);
    claim.chunk.push(0);
    assert!(Pom::from_bytes(&pom(&sale, Claim::BadChunk(claim)).to_bytes()).is_err());
}

// Attack 24: a buyer that has the key wants its money back too, and complains with a chunk that it has made, or a leaf, or a key.
#[test]
fn refund_and_key_by_a_fabricated_chunk() {
    let world = World::new(KemSuite::XWing);
    let sale = world.honest(1, 2 * CHUNK_LEN + 100);
    let refused = |claim| world.judge(&sale.good, &pom(&sale, Claim::BadChunk(claim))).unwrap_err();
    for place in 0..3 {
        let true_claim = shown(&sale, place);
        assert_eq!(refused(true_claim.clone()), Refused::ChunkIsRight, "chunk {place} is as it should be");
        for at in [0, true_claim.chunk.len() / 2, true_claim.chunk.len() - 1] {
            let mut claim = true_claim.clone();
            claim.chunk[at] ^= 1;
            assert_eq!(refused(claim), Refused::NotInTree(Side::Cipher), "chunk {place}, byte {at}");
        }
        let mut claim = true_claim;
        claim.plain_leaf = Digest::from_array([7; 32]);
        assert_eq!(refused(claim), Refused::NotInTree(Side::Plain));
    }
    let other = ArticleKey::from_array([9; 32]);
    let said = KeyAttestation { cid: sale.good.cid(), slot: SLOT, key: other };
    let claim = BadChunk { key: KeyEvidence::Attested(sign(&world.buyer, &said)), ..shown(&sale, 0) };
    assert!(matches!(refused(claim), Refused::Signature(_)), "a key that the buyer says");
    let bad = world.cheating(2, 2 * CHUNK_LEN, 1);
    assert!(world.judge(&bad.good, &bad.proof().unwrap()).is_ok());
}

#[test]
fn pom_second_preimage_leaf_node() {
    let world = World::new(KemSuite::X25519);
    let sale = world.honest(1, 4 * CHUNK_LEN);
    let index = &sale.article.index;
    // The node over chunks 2 and 3 stands in the path of chunk 0; shown as the leaf of chunk 1 of a tree of two, it would "differ".
    let path = |side| index.prove(side, ChunkIndex(0)).unwrap().path;
    let node = path(Side::Plain)[1];
    let left = index.prove(Side::Plain, ChunkIndex(2)).unwrap().path[1];
    let two = Inclusion { index: 1, size: 2, path: vec![left] };
    assert!(two.holds(&node, &sale.good.descriptor().plain_root()), "the node does stand there");
    for place in 0..4 {
        let claim = BadChunk { plain_leaf: node, plain_path: vec![left], ..shown(&sale, place) };
        assert_eq!(world.judge(&sale.good, &pom(&sale, Claim::BadChunk(claim))), Err(Refused::NotInTree(Side::Plain)));
    }
    // What a node hashes is not what a leaf hashes: no chunk makes the leaf that the node is.
    let [a, b] = [2, 3].map(|i| index.leaves(ChunkIndex(i)).unwrap().cipher);
    let chunk = [a.as_ref(), b.as_ref()].concat();
    let left = index.prove(Side::Cipher, ChunkIndex(2)).unwrap().path[1];
    let inclusion = Inclusion { index: 1, size: 2, path: vec![left] };
    let claim = BadShape { index: ChunkIndex(1), chunk, key: None, inclusion };
    assert_eq!(world.judge(&sale.good, &pom(&sale, Claim::BadShape(claim))), Err(Refused::NotInTree(Side::Cipher)));
}

// A seller whose descriptor says less than its trees hold, or whose leaves say another place or length than theirs.
#[test]
fn pom_shape() {
    let world = World::new(KemSuite::X25519);
    let key = ArticleKey::from_array([1; 32]);
    let (ciphertext, article) = encode(&key, &plaintext(4 * CHUNK_LEN));
    let whole = CHUNK_LEN as u64;
    // The last has as many chunks, but a shorter last one.
    for bytes in [whole, 2 * whole, 3 * whole, 5 * whole, 9 * whole, 4 * whole - 1] {
        let size = Size::new(bytes).unwrap();
        let lying = world.sell(1, &key, (ciphertext.clone(), Article { size, ..article.clone() }));
        let (place, last) = (ChunkIndex(3), 3 * CHUNK_LEN);
        let download = Download::new(&Encapsulator, lying.good.clone(), article.index.clone());
        if size.chunks() == 4 {
            // Nobody has a chunk that is right and fits, so the good is never complete, and not bought.
            let taken = download.unwrap().take(place, &ciphertext[last..]);
            assert_eq!(taken, Err(ChunkError::NotTheChunk(place)));
        } else {
            assert_eq!(download.map(drop), Err(DownloadError::Chunks { expected: size.chunks(), found: 4 }));
        }
        let shown = [
            (Side::Cipher, ciphertext[last..].to_vec(), None),
            (Side::Plain, plaintext(4 * CHUNK_LEN)[last..].to_vec(), Some(KeyEvidence::Seed(lying.seed.clone()))),
        ];
        for (side, chunk, key) in shown {
            let inclusion = article.index.prove(side, place).unwrap();
            let claim = Claim::BadShape(BadShape { index: place, chunk, key, inclusion });
            assert_eq!(world.judge(&lying.good, &pom(&lying, claim)).unwrap().fault(), Fault::BadShape(side));
        }
    }
    // Leaves in the wrong order: each says a place where it does not stand.
    let swapped: Vec<_> = [1, 0, 2, 3].map(|i| article.index.leaves(ChunkIndex(i)).unwrap()).to_vec();
    let index = Index::new(swapped).unwrap();
    let article =
        Article { plain_root: index.root(Side::Plain), cipher_root: index.root(Side::Cipher), index, ..article };
    let lying = world.sell(2, &key, (ciphertext.clone(), article.clone()));
    let chunk = ciphertext[CHUNK_LEN..2 * CHUNK_LEN].to_vec();
    let inclusion = article.index.prove(Side::Cipher, ChunkIndex(0)).unwrap();
    let claim = Claim::BadShape(BadShape { index: ChunkIndex(1), chunk, key: None, inclusion });
    assert_eq!(world.judge(&lying.good, &pom(&lying, claim)).unwrap().fault(), Fault::BadShape(Side::Cipher));
}

// A path may fit trees of several sizes. Whatever tree it is said to be in, an honest leaf stands where it must.
#[test]
fn no_shape_is_held_against_an_honest_seller() {
    let world = World::new(KemSuite::X25519);
    let mut held = 0;
    for chunks in 1..=9_u64 {
        let sale = world.honest(1, usize::try_from(chunks).unwrap() * CHUNK_LEN - 7);
        let plain = plaintext(usize::try_from(chunks).unwrap() * CHUNK_LEN - 7);
        for place in 0..chunks {
            let (index, bytes) = (ChunkIndex(place), usize::try_from(place).unwrap() * CHUNK_LEN);
            let end = plain.len().min(bytes + CHUNK_LEN);
            for (side, text, key) in [
                (Side::Cipher, &sale.ciphertext, None),
                (Side::Plain, &plain, Some(KeyEvidence::Seed(sale.seed.clone()))),
            ] {
                let path = sale.article.index.prove(side, index).unwrap().path;
                for size in 1..=18 {
                    for stands in 0..size {
                        let inclusion = Inclusion { index: stands, size, path: path.clone() };
                        let chunk = text[bytes..end].to_vec();
                        let claim = BadShape { index, chunk, key: key.clone(), inclusion };
                        match world.judge(&sale.good, &pom(&sale, Claim::BadShape(claim))) {
                            Err(Refused::ShapeIsRight) => held += usize::from(size != chunks),
                            other => assert_eq!(other, Err(Refused::NotInTree(side))),
                        }
                    }
                }
            }
        }
    }
    assert!(held > 100, "paths that fit other trees as well: {held}");
}

#[test]
fn keys_are_said_by_the_arbiter_or_the_seed_only() {
    let world = World::new(KemSuite::X25519);
    let sale = world.honest(1, 100);
    let judge = |key| world.judge(&sale.good, &pom(&sale, Claim::BadChunk(BadChunk { key, ..shown(&sale, 0) })));
    let wrong = KeyAttestation { cid: sale.good.cid(), slot: SLOT, key: ArticleKey::from_array([0; 32]) };
    for liar in [&world.buyer, &world.seller] {
        assert!(matches!(judge(KeyEvidence::Attested(sign(liar, &wrong))), Err(Refused::Signature(_))));
    }
    let disclosed = KeyEvidence::Attested(world.disclosure(&sale, sale.seed.clone()));
    assert!(matches!(judge(disclosed), Err(Refused::Signature(_))));
    let right = KeyEvidence::Attested(world.attestation(&sale, sale.key.clone()));
    assert_eq!(judge(right), Err(Refused::ChunkIsRight));
    assert_eq!(judge(KeyEvidence::Seed(sale.seed.clone())), Err(Refused::ChunkIsRight));
    // This is what an arbiter could do to a seller; the seed shows that it lied.
    assert!(judge(KeyEvidence::Attested(sign(&world.arbiter, &wrong))).is_ok());
    assert_ne!(sale.good.open(&Encapsulator, &sale.seed).unwrap().as_bytes(), wrong.key.as_bytes());
}

#[test]
fn a_contract_for_another_deposit_key_sells_nothing() {
    let world = World::new(KemSuite::X25519);
    let sale = world.honest(1, 100);
    let other = World::new(KemSuite::XWing).deposit_key();
    assert!(Good::of(&sale.core, SLOT, Some(&other)).is_err());
    assert!(Good::of(&sale.core, semper_core::ids::Slot(0), Some(&world.deposit_key())).is_err());
    let mut none = sale.core.clone();
    none.terms.arbiter.as_mut().unwrap().deposit_key = None;
    assert!(Good::of(&none, SLOT, Some(&world.deposit_key())).is_err());
    assert!(world.deposits.public_key() == world.deposit_key().public_key);
}

static HONEST: LazyLock<(World, Sale, Sale)> = LazyLock::new(|| {
    let world = World::new(KemSuite::X25519);
    let (sale, other) = (world.honest(1, 4 * CHUNK_LEN + 5), world.honest(2, 3 * CHUNK_LEN));
    (world, sale, other)
});

fn changed_path(path: &mut Vec<Digest>, how: u8, at: prop::sample::Index, hash: Digest) {
    match how % 5 {
        0 if !path.is_empty() => {
            let at = at.index(path.len());
            path[at] = hash;
        }
        1 if !path.is_empty() => drop(path.remove(at.index(path.len()))),
        2 => path.insert(at.index(path.len() + 1), hash),
        3 => path.reverse(),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    // Attack 24 as far as it is of goods: whatever a buyer makes of an honest good, its index and its key, it proves nothing.
    #[test]
    fn no_fabricated_pom_against_a_good_good(
        (place, said) in (0..5_u64, 0..6_u64),
        (chunk_how, at, byte) in (0..4_u8, any::<prop::sample::Index>(), any::<u8>()),
        (cipher_how, plain_how, leaf_how, key_how) in (0..10_u8, 0..10_u8, 0..6_u8, 0..6_u8),
        hash_at in any::<prop::sample::Index>(),
        size in 1..12_u64,
    ) {
        let (world, sale, other) = &*HONEST;
        let index = &sale.article.index;
        let hashes: Vec<_> = (0..5)
            .flat_map(|i| [Side::Cipher, Side::Plain].map(|side| index.prove(side, ChunkIndex(i)).unwrap().path))
            .flatten()
            .chain((0..5).flat_map(|i| index.leaves(ChunkIndex(i)).map(|leaves| [leaves.cipher, leaves.plain]).unwrap()))
            .chain([index.root(Side::Plain), Digest::from_array([byte; 32])])
            .collect();
        let hash = hashes[hash_at.index(hashes.len())];
        let mut claim = shown(sale, place);
        if byte & 1 == 0 {
            claim.index = ChunkIndex(said);
        }
        match chunk_how {
            0 => {
                let at = at.index(claim.chunk.len());
                claim.chunk[at] ^= byte | 1;
            }
            1 => claim.chunk.truncate(at.index(claim.chunk.len())),
            2 => claim.chunk = sale.chunks()[at.index(5)].clone(),
            _ => {}
        }
        changed_path(&mut claim.cipher_path, cipher_how, at, hash);
        changed_path(&mut claim.plain_path, plain_how, at, hash);
        match leaf_how {
            0 => claim.plain_leaf = hash,
            1 => claim.plain_leaf = index.leaves(ChunkIndex(said.min(4))).unwrap().plain,
            2 => std::mem::swap(&mut claim.cipher_path, &mut claim.plain_path),
            _ => {}
        }
        let key = match key_how {
            0 => KeyEvidence::Seed(other.seed.clone()),
            1 => KeyEvidence::Seed(Seed::new(vec![byte; 32])),
            2 => KeyEvidence::Attested(world.attestation(other, other.key.clone())),
            3 => KeyEvidence::Attested(world.attestation(sale, sale.key.clone())),
            4 => KeyEvidence::Attested(sign(&world.buyer, &KeyAttestation { cid: sale.good.cid(), slot: SLOT, key: other.key.clone() })),
            _ => KeyEvidence::Seed(sale.seed.clone()),
        };
        let inclusion = Inclusion { index: said, size, path: claim.cipher_path.clone() };
        let shape = BadShape {
            index: claim.index,
            chunk: claim.chunk.clone(),
            key: (leaf_how == 5).then(|| key.clone()),
            inclusion,
        };
        claim.key = key;
        for claim in [Claim::BadChunk(claim), Claim::BadShape(shape)] {
            let pom = pom(sale, claim);
            prop_assert!(world.judge(&sale.good, &pom).is_err());
            let replayed = Pom { cid: other.good.cid(), ..pom };
            prop_assert!(world.judge(&other.good, &replayed).is_err());
        }
    }
}
