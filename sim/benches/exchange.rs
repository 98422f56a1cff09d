//! What a contract costs: encoding against copying the bytes, a whole contract signing against the bare signatures in it. Prints ratios.
//! `cargo bench -p semper-sim`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use semper_core::cbor::{Decode, Encode};
use semper_core::contract::Core;
use semper_core::cose::Signed;
use semper_core::machine::{Env, Machine};
use semper_core::party::{KeySet, Role, Suite};
use semper_core::signature::Verify;
use semper_core::time::Time;
use semper_crypto::{SecretKeys, Verifier};
use semper_exchange::gx::{Gx, Own, Run};
use semper_sim::scenario::{Cast, PATIENCE};
use semper_support::crypto::Signer;
use semper_support::engine::{Effect, Ending, Input};

const NOW: Time = Time::from_unix(1000);

fn main() {
    let keys: [SecretKeys; 3] = std::array::from_fn(|_| SecretKeys::generate(Suite::Hybrid).unwrap());
    let core = core(&keys);
    let bytes = core.to_bytes();
    let copy = best(10_000, || bytes.clone());
    ratio("encode a contract / copy its bytes", best(10_000, || core.to_bytes()), copy);
    ratio("decode a contract / copy its bytes", best(10_000, || Core::from_bytes(&bytes).unwrap()), copy);

    let signed = run(&core, &keys);
    let (mut sign, mut verify) = (Duration::ZERO, Duration::ZERO);
    for statement in &signed {
        let by = keys.iter().find(|keys| keys.key_set().id() == statement.signer()).unwrap();
        let draft = draft_of(statement);
        sign += best(200, || by.sign(draft.clone()).unwrap());
        verify += best(200, || is_good(by.key_set(), statement));
    }
    let whole = best(50, || run(&core, &keys));
    println!("signatures of a run: {:.0} us to make, {:.0} us to check once", micros(sign), micros(verify));
    // Each statement is checked by its maker's machine, which trusts no key holder, and by the peer's.
    ratio("contract signing, both sides / 4 signatures made and checked twice", whole, sign + 2 * verify);
}

/// A contract between the first two key sets under the third.
fn core(keys: &[SecretKeys; 3]) -> Core {
    let mut core = Cast::new(Suite::Hybrid).core(0);
    let [originator, responder, arbiter] = keys.each_ref().map(|keys| keys.key_set().id());
    core.terms.parties[0].key_set = originator;
    core.terms.parties[1].key_set = responder;
    let named = core.terms.arbiter.as_mut().unwrap();
    (named.key_set, named.log) = (arbiter, arbiter);
    core
}

/// Runs a contract between both machines until both have it; the statements in the order in which they were made.
fn run(core: &Core, keys: &[SecretKeys; 3]) -> Vec<Signed> {
    let sets = [keys[0].key_set().clone(), keys[1].key_set().clone()];
    let side = |role: usize| {
        let run = Run::new(
            core.clone(),
            &sets[role],
            sets.clone(),
            Some(keys[2].key_set().clone()),
            PATIENCE,
            Own::default(),
        );
        Some(Gx::new(run.unwrap()))
    };
    let mut sides = [side(0), side(1)];
    let env = Env { now: NOW, verify: &Verifier };
    let mut inputs = vec![(0, Input::Begin)];
    let mut made = Vec::new();
    while let Some((at, input)) = inputs.pop() {
        let step = sides[at].take().unwrap().handle(&env, input).unwrap();
        sides[at] = Some(step.state);
        for effect in step.effects {
            match effect {
                Effect::Send(bytes) => inputs.push((1 - at, Input::Message(bytes))),
                Effect::Sign { draft, .. } => {
                    let signed = keys[at].sign(draft).unwrap();
                    made.push(signed.clone());
                    inputs.push((at, Input::Signed(signed)));
                }
                _ => {}
            }
        }
    }
    assert!(sides.iter().flatten().all(|side| side.ending() == Some(Ending::Success)));
    assert_eq!(made.len(), 4);
    let roles = [Role::ORIGINATOR, Role::RESPONDER];
    assert!(roles.iter().all(|role| core.party(*role).is_some()));
    made
}

fn draft_of(signed: &Signed) -> semper_core::cose::Draft {
    let (kind, suite, signer) = (signed.kind(), signed.suite(), signed.signer());
    semper_core::cose::Draft { kind, suite, signer, payload: signed.payload().to_vec() }
}

fn is_good(key_set: &KeySet, signed: &Signed) -> bool {
    signed
        .signatures()
        .zip(key_set.keys())
        .all(|((a, message, signature), (_, key))| Verifier.verify(a, key, &message, signature))
}

/// The shortest of several means: what the operation takes when nothing disturbs it.
fn best<T>(times: u32, operation: impl Fn() -> T) -> Duration {
    let mean = || {
        let begun = Instant::now();
        for _ in 0..times {
            black_box(operation());
        }
        begun.elapsed() / times
    };
    (0..7).map(|_| mean()).min().unwrap()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn ratio(what: &str, ours: Duration, raw: Duration) {
    println!("{what}: {:.2} / {:.2} us = {:.2}", micros(ours), micros(raw), ours.as_secs_f64() / raw.as_secs_f64());
}
