//! What every [`Keyring`] has to keep, as a test that its module runs.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use semper_core::cose::{Draft, Kind};
use semper_core::signature::Verify as _;
use semper_crypto::{Sealer, Verifier};
use semper_support::crypto::{Seal as _, Signer};

use super::{Keyring, KeyringError, Keys};

/// Checks a keyring that holds keys and opens with `passphrase`.
pub fn keeps_the_contract(keyring: &dyn Keyring, passphrase: &[u8]) {
    let keys = Keys::from(keyring.open(passphrase).unwrap());
    // A wrong passphrase opens nothing, and closes nothing for the right one.
    for wrong in [&passphrase[1..], b"", &[passphrase, b" "].concat()] {
        assert!(matches!(keyring.open(wrong), Err(KeyringError::WrongPassphrase)), "{wrong:?}");
    }
    let again = Keys::from(keyring.open(passphrase).unwrap());
    assert_eq!(keys.signer.key_set(), again.signer.key_set());
    assert_eq!(keys.transport.key_set(), again.transport.key_set());
    assert_eq!(keys.log, again.log, "the log could not be read any more");
    assert_eq!((&keys.lent.seed, &keys.lent.replies), (&again.lent.seed, &again.lent.replies));
    // Every secret is for one purpose.
    assert_ne!(keys.signer.key_set().id(), keys.transport.key_set().id());
    assert!(keys.lent.seed != keys.log && keys.lent.replies != keys.log && keys.lent.seed != keys.lent.replies);
    for (kind, signer) in [(Kind::Promise, &*keys.signer), (Kind::Receipt, &*keys.transport)] {
        signs_what_others_can_check(kind, signer);
    }
    let sealed = Sealer.seal(keys.inbox.suite(), keys.inbox.public_key(), b"context", b"for us").unwrap();
    assert_eq!(again.inbox.open(b"context", &sealed).unwrap().as_slice(), b"for us");
    assert!(again.inbox.open(b"another context", &sealed).is_err());
}

fn signs_what_others_can_check(kind: Kind, signer: &dyn Signer) {
    let keys = signer.key_set();
    let draft = Draft { kind, suite: keys.suite(), signer: keys.id(), payload: b"a statement".to_vec() };
    let signed = signer.sign(draft.clone()).unwrap();
    assert_eq!(signed.id(), draft.id());
    let mut checked = 0;
    for ((algorithm, message, signature), (_, key)) in signed.signatures().zip(keys.keys()) {
        assert!(Verifier.verify(algorithm, key, &message, signature));
        checked += 1;
    }
    assert_eq!(checked, keys.suite().algorithms().len());
    let other = semper_core::ids::KeySetId::from_digest(semper_core::hash::Digest::from_array([0; 32]));
    assert!(signer.sign(Draft { signer: other, ..draft }).is_err(), "signed in another's name");
}
