//! Changed bytes: whatever is changed in a good certificate, request or list, nothing panics and nobody becomes somebody else.

use std::sync::LazyLock;

use proptest::prelude::*;
use semper_core::cbor::{Decode, Encode};
use semper_core::time::Seconds;
use semper_trust::KeyType;
use semper_trust::path::{Certified, StaleCrl, Trust};
use semper_trust::register::{Reason, Register};
use semper_trust::request::VerifiedRequest;

use crate::support::{DAY, NOW, Scene};

static SCENE: LazyLock<Scene> = LazyLock::new(|| Scene::new(KeyType::P256));
static GOOD: LazyLock<Certified> = LazyLock::new(|| {
    SCENE.trust().verify(std::slice::from_ref(&SCENE.certificate), SCENE.alice.key_set.id(), NOW).unwrap()
});
static REVOKED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut scene = Scene::new(KeyType::P256);
    scene.authority.revoke(scene.serial(), Reason::KeyCompromise, NOW).unwrap()
});

/// One to three edits: a bit turned, a byte set, a piece cut out or doubled.
#[derive(Clone, Debug)]
enum Edit {
    Turn(prop::sample::Index, u8),
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index, usize),
    Double(prop::sample::Index, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let place = any::<prop::sample::Index>;
    let edit = prop_oneof![
        (place(), 0_u8..8).prop_map(|(i, bit)| Edit::Turn(i, bit)),
        (place(), any::<u8>()).prop_map(|(i, byte)| Edit::Set(i, byte)),
        (place(), 1_usize..20).prop_map(|(i, n)| Edit::Cut(i, n)),
        (place(), 1_usize..20).prop_map(|(i, n)| Edit::Double(i, n)),
    ];
    prop::collection::vec(edit, 1..4)
}

fn edited(good: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for edit in edits {
        let at = |i: &prop::sample::Index| i.index(bytes.len());
        match edit {
            Edit::Turn(i, bit) => {
                let i = at(i);
                bytes[i] ^= 1 << bit;
            }
            Edit::Set(i, byte) => {
                let i = at(i);
                bytes[i] = *byte;
            }
            Edit::Cut(i, n) => {
                let i = at(i);
                let end = (i + n).min(bytes.len());
                bytes.drain(i..end);
            }
            Edit::Double(i, n) => {
                let i = at(i);
                let piece = bytes[i..(i + n).min(bytes.len())].to_vec();
                bytes.splice(i..i, piece);
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_changed_certificate_names_nobody_else(edits in edits()) {
        let certificate = edited(&SCENE.certificate, &edits);
        let result = SCENE.trust().verify(&[certificate], SCENE.alice.key_set.id(), NOW);
        // Bytes outside the signed part (the encoding of the signature) may change without changing what was signed.
        if let Ok(certified) = result {
            prop_assert_eq!(&certified, &*GOOD);
        }
    }

    #[test]
    fn a_changed_request_asks_for_nobody_else(edits in edits()) {
        if let Ok(request) = VerifiedRequest::from_der(&edited(&SCENE.request, &edits)) {
            prop_assert_eq!(request, VerifiedRequest::from_der(&SCENE.request).unwrap());
        }
    }

    // The list says that the certificate is revoked; no change of it may make the certificate good.
    #[test]
    fn a_changed_list_never_clears_a_certificate(edits in edits()) {
        let mut trust = Trust::new(StaleCrl::Refuse);
        trust.add_anchor(SCENE.authority.register().certificate()).unwrap();
        if trust.add_crl(&edited(&REVOKED, &edits)).is_ok() {
            let later = NOW.after(Seconds(DAY));
            let result = trust.verify(std::slice::from_ref(&SCENE.certificate), SCENE.alice.key_set.id(), later);
            prop_assert!(result.is_err());
        }
    }

    #[test]
    fn a_changed_anchor_or_register_does_not_panic(edits in edits()) {
        let _ = Trust::default().add_anchor(&edited(SCENE.authority.register().certificate(), &edits));
        let bytes = edited(&SCENE.authority.register().to_bytes(), &edits);
        if let Ok(register) = Register::from_bytes(&bytes) {
            prop_assert_eq!(register.to_bytes(), bytes);
        }
    }
}
