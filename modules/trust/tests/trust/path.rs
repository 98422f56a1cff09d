//! Path validation, and for each thing that it checks a path that must fail on it.

use semper_core::time::{Seconds, Time};
use semper_trust::KeyType;
use semper_trust::path::{PathError, StaleCrl, Trust};
use semper_trust::register::{Reason, Revocation};

use crate::support::{DAY, NOW, Party, Scene, authority, trust};

fn later(days: u64) -> Time {
    NOW.after(Seconds(days * DAY))
}

#[test]
fn a_good_certificate_says_who_it_is() {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let scene = Scene::new(key_type);
        let alice = scene.alice.key_set.id();
        let certified = scene.trust().verify(std::slice::from_ref(&scene.certificate), alice, NOW).unwrap();
        assert_eq!(certified.name(), "Alice");
        assert_eq!(certified.emails(), ["alice@example.org"]);
        assert_eq!(certified.key_set(), alice);
        assert_eq!(certified.issuers(), ["Example Authority"]);
        assert_eq!(certified.valid_until(), later(365));
    }
}

#[test]
fn what_is_refused_and_why() {
    let mut scene = Scene::new(KeyType::P256);
    let alice = scene.alice.key_set.id();
    let bob = Party::new(2).key_set.id();
    let chain = [scene.certificate.clone()];
    let root = scene.authority.register().certificate().to_vec();
    let good = scene.trust();
    let fresh = scene.authority.crl(later(366)).unwrap();

    assert_eq!(good.verify(&[], alice, NOW), Err(PathError::ChainLength(0)));
    assert_eq!(good.verify(&vec![chain[0].clone(); 6], alice, NOW), Err(PathError::ChainLength(6)));
    assert_eq!(good.verify(&chain, bob, NOW), Err(PathError::WrongKeySet { expected: bob, found: alice }));
    let until = later(365);
    assert_eq!(trust(&root, &[&fresh]).verify(&chain, alice, later(366)), Err(PathError::Expired { until }));
    let from = NOW.before(Seconds(300));
    assert_eq!(good.verify(&chain, alice, from.before(Seconds(1))), Err(PathError::NotYetValid { from }));
    good.verify(&chain, alice, from).unwrap();
    let stranger = authority(KeyType::P256, 50);
    // The other authority has the same name, so only the signature tells them apart.
    let other = trust(stranger.register().certificate(), &[&scene.crl]);
    assert_eq!(other.verify(&chain, alice, NOW), Err(PathError::BadSignature));
    assert_eq!(Trust::default().verify(&chain, alice, NOW), Err(PathError::UnknownIssuer));
    assert_eq!(good.verify(std::slice::from_ref(&root), alice, NOW), Err(PathError::NotAnAuthority));
    assert_eq!(Trust::default().add_anchor(&scene.certificate), Err(PathError::NotAnAuthority));
    assert_eq!(good.verify(&[vec![0x30; 9000]], alice, NOW), Err(PathError::Malformed("certificate")));
}

#[test]
fn revocation_is_seen_with_its_time_and_reason() {
    let mut scene = Scene::new(KeyType::P256);
    let alice = scene.alice.key_set.id();
    let chain = [scene.certificate.clone()];
    let revoked = scene.authority.revoke(scene.serial(), Reason::Superseded, later(1)).unwrap();
    let again = scene.authority.revoke(scene.serial(), Reason::KeyCompromise, later(2)).unwrap();
    let root = scene.authority.register().certificate();
    let expected = Err(PathError::Revoked(Revocation { since: later(1), reason: Reason::Superseded }));
    assert_eq!(trust(root, &[&revoked]).verify(&chain, alice, later(2)), expected);
    assert_eq!(trust(root, &[&again]).verify(&chain, alice, later(2)), expected);
    // An older list, wherever it stands, does not make the certificate good again.
    assert_eq!(trust(root, &[&scene.crl, &revoked]).verify(&chain, alice, later(2)), expected);
    assert_eq!(trust(root, &[&revoked, &scene.crl]).verify(&chain, alice, later(2)), expected);
}

#[test]
fn a_missing_or_old_revocation_list_is_not_silence() {
    let scene = Scene::new(KeyType::P256);
    let alice = scene.alice.key_set.id();
    let chain = [scene.certificate.clone()];
    let root = scene.authority.register().certificate();
    assert_eq!(trust(root, &[]).verify(&chain, alice, NOW), Err(PathError::CrlMissing));
    let since = later(7);
    let strict = trust(root, &[&scene.crl]);
    strict.verify(&chain, alice, since.before(Seconds(1))).unwrap();
    assert_eq!(strict.verify(&chain, alice, later(8)), Err(PathError::CrlExpired { since }));
    let mut lenient = Trust::new(StaleCrl::Accept);
    lenient.add_anchor(root).unwrap();
    assert_eq!(lenient.verify(&chain, alice, later(8)), Err(PathError::CrlMissing));
    lenient.add_crl(&scene.crl).unwrap();
    lenient.verify(&chain, alice, later(8)).unwrap();
}
