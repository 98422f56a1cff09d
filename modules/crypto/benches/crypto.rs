//! What an operation costs, and how much of it is ours: after the measurements a table shows our interface next to the call of the
//! library that it rests on. `cargo bench -p semper-crypto`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom as AwsRandom;
use aws_lc_rs::signature as aws;
use aws_lc_rs::signature::KeyPair as _;
use criterion::{Criterion, criterion_group, criterion_main};
use curve25519_dalek::edwards::CompressedEdwardsY;
use hpke::{Deserializable as _, OpModeS};
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::party::{Algorithm, Suite};
use semper_core::signature::{Check, Verify as _};
use semper_crypto::{DecapsulationKey, Encapsulator, OpenKey, PassphraseStore, Sealer, SecretKeys, Verifier};
use semper_support::crypto::{
    Decapsulate as _, Encapsulate as _, KemSuite, KeyStore as _, Open as _, Seal as _, Signer as _,
};

const SUITES: [Suite; 3] = [Suite::Ed25519, Suite::Hybrid, Suite::Es256];
const KEMS: [KemSuite; 3] = [KemSuite::X25519, KemSuite::MlKem768, KemSuite::XWing];

fn draft(keys: &SecretKeys, payload: &[u8]) -> Draft {
    Draft { kind: Kind::Receipt, suite: keys.key_set().suite(), signer: keys.key_set().id(), payload: payload.to_vec() }
}

fn verify(keys: &SecretKeys, signed: &Signed) -> bool {
    let mut parts = signed.signatures().zip(keys.key_set().keys());
    parts.all(|((algorithm, message, signature), (_, key))| Verifier.verify(algorithm, key, &message, signature))
}

fn checks<'a>(keys: &'a SecretKeys, signed: &'a [Signed]) -> Vec<Check<'a>> {
    let of_one = |signed: &'a Signed| {
        let parts = signed.signatures().zip(keys.key_set().keys());
        parts.map(|((algorithm, message, signature), (_, public_key))| Check {
            algorithm,
            public_key,
            message,
            signature,
        })
    };
    signed.iter().flat_map(of_one).collect()
}

fn operations(c: &mut Criterion) {
    let payload = [7; 512];
    for suite in SUITES {
        let keys = SecretKeys::generate(suite).unwrap();
        let signed: Vec<_> = (0..64_u8).map(|i| keys.sign(draft(&keys, &[i; 512])).unwrap()).collect();
        let checks = checks(&keys, &signed);
        c.bench_function(&format!("sign, {suite}"), |b| b.iter(|| keys.sign(draft(&keys, &payload)).unwrap()));
        c.bench_function(&format!("verify, {suite}"), |b| b.iter(|| verify(&keys, &signed[0])));
        c.bench_function(&format!("verify 64, {suite}"), |b| b.iter(|| Verifier.verify_batch(&checks).unwrap()));
    }
    for suite in KEMS {
        let key = OpenKey::generate(suite).unwrap();
        let sealed = Sealer.seal(suite, key.public_key(), b"context", &[7; 4096]).unwrap();
        c.bench_function(&format!("seal 4 KiB, {suite:?}"), |b| {
            b.iter(|| Sealer.seal(suite, key.public_key(), b"context", &[7; 4096]).unwrap());
        });
        c.bench_function(&format!("open 4 KiB, {suite:?}"), |b| b.iter(|| key.open(b"context", &sealed).unwrap()));
        let key = DecapsulationKey::generate(suite).unwrap();
        let seed = vec![1; Encapsulator.seed_len(suite)];
        let (ciphertext, _) = Encapsulator.encapsulate(suite, key.public_key(), &seed).unwrap();
        c.bench_function(&format!("encapsulate, {suite:?}"), |b| {
            b.iter(|| Encapsulator.encapsulate(suite, key.public_key(), &seed).unwrap());
        });
        c.bench_function(&format!("decapsulate, {suite:?}"), |b| b.iter(|| key.decapsulate(&ciphertext).unwrap()));
    }
    let label = Digest::of(domain::KEY_STORE, b"bench");
    let mut slow = c.benchmark_group("passphrase");
    slow.sample_size(10);
    slow.bench_function("protect", |b| {
        b.iter(|| PassphraseStore::default().protect(b"correct horse", &label, &[1; 64]).unwrap());
    });
    slow.finish();
}

/// Our interface against the library below it, measured by turns so that a busy machine slows both.
fn ratios(_: &mut Criterion) {
    println!("\n{:<44}{:>12}{:>12}{:>8}", "operation", "ours", "library", "ratio");
    signing_ratios();
    batch_ratios();
    sealing_ratio();
}

fn signing_ratios() {
    let rng = AwsRandom::new();
    let ed25519 = aws::Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let ml_dsa = aws::PqdsaKeyPair::from_seed(&aws::ML_DSA_65_SIGNING, &[2; 32]).unwrap();
    let pkcs8 = aws::EcdsaKeyPair::generate_pkcs8(&aws::ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let p256 = aws::EcdsaKeyPair::from_pkcs8(&aws::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    for suite in SUITES {
        let keys = SecretKeys::generate(suite).unwrap();
        let message = draft(&keys, &[7; 512]).to_be_signed(suite.algorithms()[0]);
        let raw_sign = || {
            for algorithm in suite.algorithms() {
                match algorithm {
                    Algorithm::Ed25519 => drop(black_box(ed25519.sign(&message))),
                    Algorithm::Es256 => drop(black_box(p256.sign(&rng, &message).unwrap())),
                    Algorithm::MlDsa65 => drop(black_box(ml_dsa.sign(&message, &mut vec![0; 3309]).unwrap())),
                }
            }
        };
        compare(
            &format!("sign a statement of 512 bytes, {suite}"),
            200,
            || drop(keys.sign(draft(&keys, &[7; 512]))),
            raw_sign,
        );
        let signed = keys.sign(draft(&keys, &[7; 512])).unwrap();
        let parts = checks(&keys, std::slice::from_ref(&signed));
        let raw_verify = || {
            for part in &parts {
                let by: &dyn aws::VerificationAlgorithm = match part.algorithm {
                    Algorithm::Ed25519 => &aws::ED25519,
                    Algorithm::Es256 => &aws::ECDSA_P256_SHA256_FIXED,
                    Algorithm::MlDsa65 => &aws::ML_DSA_65,
                };
                aws::UnparsedPublicKey::new(by, part.public_key).verify(&part.message, part.signature).unwrap();
            }
        };
        compare(&format!("verify it, {suite}"), 200, || assert!(verify(&keys, &signed)), raw_verify);
    }
    black_box((ed25519.public_key(), ml_dsa.public_key(), p256.public_key()));
}

/// Why there is no batch equation: see `Verifier`.
fn batch_ratios() {
    let all: Vec<_> = (0..64).map(|_| SecretKeys::generate(Suite::Ed25519).unwrap()).collect();
    let signed: Vec<_> = all.iter().map(|keys| keys.sign(draft(keys, &[7; 512])).unwrap()).collect();
    let checks: Vec<_> = all.iter().zip(&signed).flat_map(|(keys, s)| checks(keys, std::slice::from_ref(s))).collect();
    let dalek = || {
        let messages: Vec<&[u8]> = checks.iter().map(|c| c.message.as_slice()).collect();
        let keys =
            checks.iter().map(|c| ed25519_dalek::VerifyingKey::from_bytes(c.public_key.try_into().unwrap()).unwrap());
        let signatures = checks.iter().map(|c| ed25519_dalek::Signature::from_slice(c.signature).unwrap());
        ed25519_dalek::verify_batch(&messages, &signatures.collect::<Vec<_>>(), &keys.collect::<Vec<_>>()).unwrap();
    };
    let is_torsion_free =
        |point: &[u8]| CompressedEdwardsY::from_slice(point).unwrap().decompress().unwrap().is_torsion_free();
    let ours = || Verifier.verify_batch(&checks).unwrap();
    compare("verify 64 / batch equation (unsound)", 50, ours, dalek);
    let sound = || {
        assert!(checks.iter().all(|c| is_torsion_free(&c.signature[..32]) && is_torsion_free(c.public_key)));
        dalek();
    };
    compare("verify 64 / batch with points checked", 50, ours, sound);
    let known_keys = || {
        assert!(checks.iter().all(|c| is_torsion_free(&c.signature[..32])));
        dalek();
    };
    compare("verify 64 / batch with R checked, keys known", 50, ours, known_keys);
}

fn sealing_ratio() {
    type Kem = hpke::kem::XWing;
    let key = OpenKey::generate(KemSuite::XWing).unwrap();
    let public = <Kem as hpke::Kem>::PublicKey::from_bytes(key.public_key()).unwrap();
    let raw = || {
        let sealed = hpke::single_shot_seal::<hpke::aead::ChaCha20Poly1305, hpke::kdf::HkdfSha256, Kem>(
            &OpModeS::Base,
            &public,
            b"context",
            &[7; 4096],
            &[],
        );
        drop(black_box(sealed.unwrap()));
    };
    let ours = || drop(black_box(Sealer.seal(KemSuite::XWing, key.public_key(), b"context", &[7; 4096]).unwrap()));
    compare("seal 4 KiB, X-Wing (library: key read before)", 200, ours, raw);
}

/// The best of many runs each: what is added by other processes is not the operation's.
fn compare(what: &str, runs: u32, mut ours: impl FnMut(), mut library: impl FnMut()) {
    let (mut best_ours, mut best_library) = (Duration::MAX, Duration::MAX);
    for _ in 0..runs {
        best_ours = best_ours.min(time(&mut ours));
        best_library = best_library.min(time(&mut library));
    }
    let ratio = best_ours.as_secs_f64() / best_library.as_secs_f64();
    println!("{what:<44}{:>9.1} µs{:>9.1} µs{ratio:>8.2}", micros(best_ours), micros(best_library));
}

fn time(operation: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    operation();
    start.elapsed()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

criterion_group!(benches, operations, ratios);
criterion_main!(benches);
