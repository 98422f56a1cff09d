//! Our signed statements against `coset`, an implementation of RFC 9052 that others wrote.
//!
//! What could go wrong: we and our tests agree on a `Sig_structure` that nobody else computes. Here the other implementation parses
//! our bytes and says which bytes each signature covers.

#![allow(clippy::unwrap_used)]

use coset::{CborSerializable as _, CoseSign, CoseSign1, TaggedCborSerializable as _};
use proptest::prelude::*;
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::party::Suite;

fn drafts() -> impl Strategy<Value = Draft> {
    let suite = prop::sample::select(vec![Suite::Ed25519, Suite::Hybrid, Suite::Es256]);
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    (prop::sample::select(Kind::ALL), suite, any::<[u8; 32]>(), payload).prop_map(|(kind, suite, signer, payload)| {
        Draft { kind, suite, signer: KeySetId::from_digest(Digest::from_array(signer)), payload }
    })
}

fn assemble(draft: Draft, fill: u8) -> Signed {
    let signatures = draft.suite.algorithms().iter().map(|algorithm| vec![fill; algorithm.signature_len()]).collect();
    draft.assemble(signatures).unwrap()
}

proptest! {
    #[test]
    fn coset_reads_the_same_and_signs_the_same_bytes(draft in drafts(), fill in any::<u8>()) {
        let signed = assemble(draft.clone(), fill);
        let ours: Vec<(Vec<u8>, Vec<u8>)> =
            signed.signatures().map(|(_, message, signature)| (signature.to_vec(), message)).collect();
        let aad = domain::SIGNATURE.as_bytes();
        if draft.suite == Suite::Hybrid {
            let theirs = CoseSign::from_tagged_slice(signed.bytes()).unwrap();
            prop_assert_eq!(theirs.payload.as_deref(), Some(draft.payload.as_slice()));
            prop_assert_eq!(&theirs.protected.header.key_id, draft.signer.as_bytes());
            prop_assert_eq!(theirs.signatures.len(), ours.len());
            for (which, (our_signature, our_message)) in ours.iter().enumerate() {
                theirs.verify_signature(which, aad, |signature, message| {
                    prop_assert_eq!(signature, our_signature);
                    prop_assert_eq!(message, our_message);
                    Ok(())
                })?;
            }
            prop_assert_eq!(theirs.to_tagged_vec().unwrap(), signed.bytes());
            // Without the tag it is the same message to them; we insist on the tag.
            prop_assert!(CoseSign::from_slice(&signed.bytes()[2..]).is_ok());
            prop_assert!(Signed::from_bytes(&signed.bytes()[2..]).is_err());
        } else {
            let theirs = CoseSign1::from_tagged_slice(signed.bytes()).unwrap();
            prop_assert_eq!(theirs.payload.as_deref(), Some(draft.payload.as_slice()));
            prop_assert_eq!(&theirs.protected.header.key_id, draft.signer.as_bytes());
            theirs.verify_signature(aad, |signature, message| {
                prop_assert_eq!((signature.to_vec(), message.to_vec()), ours[0].clone());
                Ok(())
            })?;
            prop_assert_eq!(theirs.to_tagged_vec().unwrap(), signed.bytes());
        }
    }
}
