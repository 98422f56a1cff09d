//! What encoding costs: an article of 64 MiB against the bare work in it (a copy, the cipher, two hashes, by the crates themselves), and
//! the memory for 1 GiB that comes in pieces; on Linux. `cargo bench -p semper-exchange --bench goods`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use semper_crypto::{DecapsulationKey, Encapsulator};
use semper_exchange::goods::{Article, ArticleKey, CHUNK_LEN, Deposit, DepositKey, Encoder, Seed};
use semper_support::crypto::{Decapsulate as _, KemSuite};
use sha2::{Digest as _, Sha256};

const MIB: usize = 1 << 20;
const SALES: u32 = 1000;
const PEAK_MAX_KIB: u64 = 64 * 1024;

fn main() {
    // First, because the peak of a process never falls.
    stream_a_gibibyte();
    let plain = vec![7; 64 * MIB];
    let (mut bare, mut ours) = (Duration::MAX, Duration::MAX);
    // In turns, so that a slow minute of the machine is in both.
    for _ in 0..10 {
        bare = bare.min(timed(|| bare_work(&plain)));
        ours = ours.min(timed(|| encode(&plain)));
    }
    let rate = |time: Duration| 64.0 / time.as_secs_f64();
    println!("bare work: {:.0} MiB/s; encoding: {:.0} MiB/s", rate(bare), rate(ours));
    println!("encode 64 MiB / copy, cipher and two hashes: {:.3}", ours.as_secs_f64() / bare.as_secs_f64());
    let sell = sell_again();
    let sales = timed(|| (0..SALES).for_each(|_| drop(black_box(sell()))));
    println!("a further sale of the same article: {:.0} us", sales.as_secs_f64() * 1e6 / f64::from(SALES));
}

fn stream_a_gibibyte() {
    let mut encoder = Encoder::new(ArticleKey::from_array([1; 32]));
    let (piece, mut ciphertext) = (vec![9; MIB], Vec::new());
    for _ in 0..1024 {
        encoder.push(&piece, &mut ciphertext).unwrap();
        black_box(&ciphertext);
        ciphertext.clear();
    }
    let article = encoder.finish(&mut ciphertext).unwrap();
    let index = article.index.to_bytes();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!(
        "1 GiB in pieces of 1 MiB: peak {:.1} MiB, index {:.1} MiB",
        peak_kib as f64 / 1024.0,
        index.len() as f64 / MIB as f64
    );
    assert!(peak_kib < PEAK_MAX_KIB, "{peak_kib} KiB");
}

fn encode(plain: &[u8]) -> (Vec<u8>, Article) {
    let (mut encoder, mut ciphertext) =
        (Encoder::new(ArticleKey::from_array([1; 32])), Vec::with_capacity(plain.len()));
    encoder.push(plain, &mut ciphertext).unwrap();
    let article = encoder.finish(&mut ciphertext).unwrap();
    (ciphertext, article)
}

/// The same bytes through the same primitives, with nothing around them.
fn bare_work(plain: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let mut ciphertext = Vec::with_capacity(plain.len());
    let mut last = [0; 32];
    for (j, chunk) in (0_u64..).zip(plain.chunks(CHUNK_LEN)) {
        let start = ciphertext.len();
        ciphertext.extend_from_slice(chunk);
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&j.to_be_bytes());
        ChaCha20::new(&[1; 32].into(), &nonce.into()).apply_keystream(&mut ciphertext[start..]);
        black_box(Sha256::digest(chunk));
        last = Sha256::digest(&ciphertext[start..]).into();
    }
    (ciphertext, last)
}

fn sell_again() -> impl Fn() -> Deposit {
    let arbiter = DecapsulationKey::generate(KemSuite::XWing).unwrap();
    let key = DepositKey { suite: KemSuite::XWing, public_key: arbiter.public_key().to_vec() };
    let (seed, article) = (Seed::new(vec![3; 64]), ArticleKey::from_array([1; 32]));
    let root = semper_core::hash::Digest::from_array([2; 32]);
    move || Deposit::make(&Encapsulator, &key, &seed, (root, semper_core::ids::Slot(0)), &article, root).unwrap()
}

/// What the work costs this thread, so that others on the machine do not count.
fn timed<T>(work: impl Fn() -> T) -> Duration {
    let begin = on_cpu();
    black_box(work());
    on_cpu() - begin
}

fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
