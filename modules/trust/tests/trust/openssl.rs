//! What we make is accepted by the `openssl` command, and what is damaged is refused by it and by us alike.

use semper_core::time::Seconds;
use semper_trust::KeyType;
use semper_trust::armour::{CERTIFICATE, CRL, REQUEST};
use semper_trust::key_set_uri;
use semper_trust::path::PathError;
use semper_trust::register::Reason;
use semper_trust::request::{RequestError, VerifiedRequest};

use crate::support::{DAY, NOW, OpenSsl, Scene, trust};

const KEY_TYPES: [KeyType; 2] = [KeyType::P256, KeyType::Ed25519];

/// `openssl verify` at [`NOW`], with revocation.
const VERIFY: &str = "verify -x509_strict -check_ss_sig -crl_check -attime 1795246200 -CAfile ca.pem -CRLfile list.pem";

fn laid_out(scene: &Scene) -> OpenSsl {
    let openssl = OpenSsl::new();
    openssl.write_pem("ca.pem", CERTIFICATE, scene.authority.register().certificate());
    openssl.write_pem("alice.pem", CERTIFICATE, &scene.certificate);
    openssl.write_pem("alice.csr", REQUEST, &scene.request);
    openssl.write_pem("list.pem", CRL, &scene.crl);
    openssl
}

#[test]
fn openssl_reads_what_we_make_as_we_meant_it() {
    for key_type in KEY_TYPES {
        let scene = Scene::new(key_type);
        let openssl = laid_out(&scene);
        openssl.must_verify("req -in alice.csr -verify -noout");
        let alice = openssl.must("x509 -in alice.pem -noout -text");
        for expected in [
            "Subject: CN = Alice",
            "Issuer: CN = Example Authority",
            &format!("URI:{}", key_set_uri(scene.alice.key_set.id())),
            "email:alice@example.org",
            "X509v3 Key Usage: critical\n                Digital Signature\n",
            "1.3.6.1.5.5.7.3.36",
            "CA:FALSE",
            "URI:http://ca.example/list.crl",
            "Subject Key Identifier",
            "Authority Key Identifier",
            "Not After : Nov 21 07:30:00 2027 GMT",
        ] {
            assert!(alice.contains(expected), "{expected:?} is not in\n{alice}");
        }
        let serial = openssl.must("x509 -in alice.pem -noout -serial").to_lowercase();
        assert_eq!(serial.trim(), format!("serial={}", scene.serial()));
        let root = openssl.must("x509 -in ca.pem -noout -text");
        for expected in ["CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "Basic Constraints: critical"] {
            assert!(root.contains(expected), "{expected:?} is not in\n{root}");
        }
        openssl.must(&format!("{VERIFY} alice.pem"));
        openssl.must_verify("crl -in list.pem -CAfile ca.pem -verify -noout");
        let list = openssl.must("crl -in list.pem -noout -text");
        assert!(list.contains("X509v3 CRL Number: \n                1\n"), "{list}");
        assert!(list.contains("Next Update: Nov 28 07:30:00 2026 GMT"), "{list}");
    }
}

#[test]
fn openssl_sees_a_revocation() {
    let mut scene = Scene::new(KeyType::P256);
    scene.crl = scene.authority.revoke(scene.serial(), Reason::KeyCompromise, NOW.after(Seconds(DAY))).unwrap();
    let openssl = laid_out(&scene);
    let later = VERIFY.replace("1795246200", "1795346200");
    let text = openssl.must_fail(&format!("{later} alice.pem"));
    assert!(text.contains("certificate revoked"), "{text}");
    openssl.must_verify("crl -in list.pem -CAfile ca.pem -verify -noout");
    let list = openssl.must("crl -in list.pem -noout -text");
    for expected in ["Key Compromise", "Revocation Date: Nov 22 07:30:00 2026 GMT", "CRL Number: \n                2\n"]
    {
        assert!(list.contains(expected), "{expected:?} is not in\n{list}");
    }
}

// A signature that is not checked, or checked over other bytes than those that are read, would let anybody change a name.
#[test]
fn a_changed_name_is_refused_by_openssl_and_by_us() {
    for key_type in KEY_TYPES {
        let scene = Scene::new(key_type);
        let openssl = laid_out(&scene);
        openssl.write_pem("bad.csr", REQUEST, &renamed(&scene.request));
        openssl.must_not_verify("req -in bad.csr -verify -noout");
        assert_eq!(VerifiedRequest::from_der(&renamed(&scene.request)), Err(RequestError::BadSignature));

        openssl.write_pem("bad.pem", CERTIFICATE, &renamed(&scene.certificate));
        let text = openssl.must_fail(&format!("{VERIFY} bad.pem"));
        assert!(text.contains("signature failure"), "{text}");
        let ours = scene.trust().verify(&[renamed(&scene.certificate)], scene.alice.key_set.id(), NOW);
        assert_eq!(ours, Err(PathError::BadSignature));
    }
}

#[test]
fn a_signature_from_elsewhere_is_refused_by_openssl_and_by_us() {
    let mut scene = Scene::new(KeyType::Ed25519);
    let second = scene.authority.crl(NOW).unwrap();
    // Ed25519 signatures are the last 64 bytes of a certificate, request or list.
    let swap = |der: &[u8], from: &[u8]| [&der[..der.len() - 64], &from[from.len() - 64..]].concat();
    let openssl = laid_out(&scene);

    let request = swap(&scene.request, &scene.certificate);
    openssl.write_pem("bad.csr", REQUEST, &request);
    openssl.must_not_verify("req -in bad.csr -verify -noout");
    assert_eq!(VerifiedRequest::from_der(&request), Err(RequestError::BadSignature));

    let certificate = swap(&scene.certificate, scene.authority.register().certificate());
    openssl.write_pem("bad.pem", CERTIFICATE, &certificate);
    openssl.must_fail(&format!("{VERIFY} bad.pem"));
    let ours = scene.trust().verify(&[certificate], scene.alice.key_set.id(), NOW);
    assert_eq!(ours, Err(PathError::BadSignature));

    let list = swap(&scene.crl, &second);
    openssl.write_pem("bad-list.pem", CRL, &list);
    openssl.must_not_verify("crl -in bad-list.pem -CAfile ca.pem -verify -noout");
    openssl.must_fail(&format!("{} alice.pem", VERIFY.replace("list.pem", "bad-list.pem")));
    let trust = trust(scene.authority.register().certificate(), &[&list]);
    let ours = trust.verify(std::slice::from_ref(&scene.certificate), scene.alice.key_set.id(), NOW);
    assert_eq!(ours, Err(PathError::BadSignature));
}

/// The same bytes with `Alice` turned into `Alico` in the signed part.
fn renamed(der: &[u8]) -> Vec<u8> {
    let place = der.windows(5).position(|w| w == b"Alice").expect("the name stands in the signed part");
    let mut der = der.to_vec();
    der[place + 4] = b'o';
    der
}
