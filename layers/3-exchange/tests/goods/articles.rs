//! What could go wrong without anybody cheating: an article that depends on how its bytes came in, a download that counts a wrong chunk,
//! a second sale that gives another key.

use proptest::prelude::*;
use semper_core::cbor::Encode;
use semper_crypto::Encapsulator;
use semper_exchange::goods::{
    ArticleKey, CHUNK_LEN, ChunkError, ChunkIndex, Download, DownloadError, Encoder, Index, IndexError, Side, Taken,
    TooLarge,
};
use semper_support::crypto::Encapsulate as _;

use super::world::{SUITES, World, encode, plaintext};

#[test]
fn the_seed_and_the_arbiter_give_the_same_key() {
    for suite in SUITES {
        let world = World::new(suite);
        let sale = world.honest(1, 100);
        assert!(sale.good.can_be_opened(&Encapsulator));
        assert_eq!(sale.good.open(&Encapsulator, &sale.seed).unwrap().as_bytes(), sale.key.as_bytes());
        assert_eq!(sale.good.recover(&world.deposits).unwrap().as_bytes(), sale.key.as_bytes());
        assert_eq!(sale.seed.as_bytes().len(), Encapsulator.seed_len(suite));
    }
}

// Sold twice, an article is the same bytes with the same index; only the deposit is new.
#[test]
fn a_second_sale_costs_a_deposit_only() {
    let world = World::new(SUITES[2]);
    let key = ArticleKey::from_array([9; 32]);
    let encoded = encode(&key, &plaintext(40_000));
    let [first, second] = [1, 2].map(|nonce| world.sell(nonce, &key, encoded.clone()));
    assert_eq!(first.article, second.article);
    assert_ne!(first.good.deposit().wrapped, second.good.deposit().wrapped);
    assert_ne!(first.good.deposit().opens, second.good.deposit().opens);
    for sale in [first, second] {
        assert_eq!(sale.good.open(&Encapsulator, &sale.seed).unwrap().as_bytes(), key.as_bytes());
    }
}

#[test]
fn an_interrupted_download_goes_on_with_what_is_right() {
    let sale = World::new(SUITES[0]).honest(1, 5 * CHUNK_LEN + 1);
    let (chunks, mut download) = (sale.chunks(), sale.download());
    assert_eq!(download.take(ChunkIndex(5), &chunks[5]), Ok(Taken::New));
    assert_eq!(download.take(ChunkIndex(2), &chunks[2]), Ok(Taken::New));
    assert_eq!(download.take(ChunkIndex(2), &chunks[2]), Ok(Taken::Again));
    let wrong = |place: u64, bytes: &[u8], download: &mut Download| {
        let place = ChunkIndex(place);
        assert_eq!(download.take(place, bytes), Err(ChunkError::NotTheChunk(place)));
    };
    wrong(3, &chunks[2], &mut download);
    wrong(5, &[], &mut download);
    wrong(6, &[], &mut download);
    wrong(u64::MAX, &chunks[0], &mut download);
    wrong(0, &chunks[0][1..], &mut download);
    wrong(0, &[chunks[0].as_slice(), &[0]].concat(), &mut download);
    // The program ends; of what it wrote, a chunk was damaged on the disk.
    let mut again = sale.download();
    assert_eq!(again.take(ChunkIndex(5), &chunks[5]), Ok(Taken::New));
    let mut torn = chunks[2].clone();
    torn[4096..].fill(0);
    wrong(2, &torn, &mut again);
    assert_eq!(again.missing().map(|index| index.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for (place, chunk) in (0..).zip(&chunks).take(5) {
        assert!(!again.is_complete());
        again.take(ChunkIndex(place), chunk).unwrap();
    }
    assert!(again.is_complete() && again.missing().next().is_none());
    let mut plain = Vec::new();
    for (place, mut chunk) in (0..).zip(chunks) {
        again.open(&sale.key, ChunkIndex(place), &mut chunk).unwrap();
        plain.extend(chunk);
    }
    assert_eq!(plain, plaintext(5 * CHUNK_LEN + 1));
    assert!(sale.proof().is_none());
}

// Whoever promised to pay for a good whose index it has not checked could not prove that a chunk is bad.
#[test]
fn nothing_is_bought_without_an_index_that_has_both_roots() {
    let sale = World::new(SUITES[0]).honest(1, 3 * CHUNK_LEN);
    let new = |index| Download::new(&Encapsulator, sale.good.clone(), index).map(drop);
    let leaves: Vec<_> = (0..3).map(|i| sale.article.index.leaves(ChunkIndex(i)).unwrap()).collect();
    assert_eq!(new(Index::new(leaves.clone()).unwrap()), Ok(()));
    assert_eq!(new(Index::new(leaves[..2].to_vec()).unwrap()), Err(DownloadError::Chunks { expected: 3, found: 2 }));
    for (side, place) in [(Side::Cipher, 0), (Side::Plain, 2)] {
        let mut changed = leaves.clone();
        let other = changed[1].on(side);
        match side {
            Side::Cipher => changed[place].cipher = other,
            Side::Plain => changed[place].plain = other,
        }
        assert_eq!(new(Index::new(changed).unwrap()), Err(DownloadError::Root(side)));
    }
}

#[test]
fn an_index_is_whole_or_refused() {
    let bytes = World::new(SUITES[0]).honest(1, 2 * CHUNK_LEN).article.index.to_bytes();
    assert_eq!(bytes.len(), 16 + 2 * 64);
    assert_eq!(Index::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    assert_eq!(Index::from_bytes(&bytes[..16]), Err(IndexError::Length));
    assert_eq!(Index::from_bytes(&bytes[..bytes.len() - 1]), Err(IndexError::Length));
    assert_eq!(Index::from_bytes(&bytes[1..]), Err(IndexError::Magic));
    assert_eq!(Index::from_bytes(&[]), Err(IndexError::Magic));
    let mut other = bytes;
    other[13] = b'2';
    assert_eq!(Index::from_bytes(&other), Err(IndexError::Magic));
}

#[test]
fn nothing_is_no_good() {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(ArticleKey::from_array([1; 32]));
    encoder.push(&[], &mut out).unwrap();
    assert_eq!(encoder.finish(&mut out), Err(TooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    // The article must not depend on the pieces in which it came.
    #[test]
    fn pieces_make_no_difference(len in 1..3 * CHUNK_LEN, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let (key, plain) = (ArticleKey::from_array([3; 32]), plaintext(len));
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(len)).chain([0, len]).collect();
        cuts.sort_unstable();
        let (mut encoder, mut ciphertext) = (Encoder::new(key.clone()), Vec::new());
        for pair in cuts.windows(2) {
            encoder.push(&plain[pair[0]..pair[1]], &mut ciphertext).unwrap();
            prop_assert!(pair[1] - ciphertext.len() < CHUNK_LEN);
        }
        let article = encoder.finish(&mut ciphertext).unwrap();
        prop_assert_eq!((ciphertext, article), encode(&key, &plain));
    }
}

// The words of a contract are read by people: a name that could deceive them is none.
#[test]
fn descriptors_keep_the_rules_for_files() {
    use semper_core::cbor::{Decode as _, Map, Value, decode};
    use semper_exchange::goods::Descriptor;
    let sale = World::new(SUITES[0]).honest(1, 10);
    let bytes = sale.good.descriptor().to_bytes();
    assert_eq!(Descriptor::from_bytes(&bytes).as_ref(), Ok(sale.good.descriptor()));
    let with = |change: &dyn Fn(&mut Map)| {
        let Ok(Value::Map(mut map)) = decode(&bytes, bytes.len()) else { panic!("a descriptor is a map") };
        change(&mut map);
        Descriptor::from_bytes(&Value::Map(map).encode())
    };
    assert!(with(&|_| {}).is_ok());
    for (key, value) in [
        (0_u64, Value::from(2_u64)),
        (1, "../a".into()),
        (1, "a\u{202e}b".into()),
        (2, "text".into()),
        (3, 0_u64.into()),
        (3, ((1_u64 << 36) + 1).into()),
        (4, 8192_u64.into()),
        (6, "x".repeat(2049).into()),
        (7, true.into()),
    ] {
        assert!(with(&|map| map.insert(key, value.clone())).is_err(), "{key}: {value:?}");
    }
}
