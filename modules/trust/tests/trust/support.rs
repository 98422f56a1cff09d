//! An authority, a holder, and the `openssl` command.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::party::{Algorithm, KeySet, Suite};
use semper_core::signature::{Verified, Verify};
use semper_core::time::{Seconds, Time};
use semper_support::channel::InboxAddress;
use semper_support::crypto::{CryptoError, KemSuite, Randomness};
use semper_trust::armour;
use semper_trust::authority::Authority;
use semper_trust::card::{ContactCard, SealingKey};
use semper_trust::path::{StaleCrl, Trust};
use semper_trust::register::{Rules, Serial};
use semper_trust::request::{self, VerifiedRequest};
use semper_trust::{CertificateKey, KeyType};
use tempfile::TempDir;

pub(crate) const DAY: u64 = 86_400;
/// 2026-11-21 07:30:00 UTC.
pub(crate) const NOW: Time = Time::from_unix(1_795_246_200);

/// The same "random" bytes in every run: a counter, hashed.
pub(crate) struct Counted(Mutex<u64>);

impl Counted {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed << 32))
    }
}

impl Randomness for Counted {
    fn fill(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        let mut counter = self.0.lock().unwrap();
        for chunk in out.chunks_mut(32) {
            *counter += 1;
            chunk.copy_from_slice(&Digest::of(domain::INPUT, &counter.to_be_bytes()).as_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

pub(crate) struct Ed25519Only;

impl Verify for Ed25519Only {
    fn verify(&self, algorithm: Algorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        algorithm == Algorithm::Ed25519
            && UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok()
    }
}

/// A party with an Ed25519 key set.
pub(crate) struct Party {
    pair: Ed25519KeyPair,
    pub(crate) key_set: KeySet,
}

impl Party {
    pub(crate) fn new(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key_set = KeySet::new(Suite::Ed25519, vec![pair.public_key().as_ref().to_vec()]).unwrap();
        Self { pair, key_set }
    }

    pub(crate) fn card(&self, name: &str) -> ContactCard {
        ContactCard {
            name: name.to_owned(),
            key_set: self.key_set.clone(),
            sealing_key: SealingKey { suite: KemSuite::X25519, public_key: vec![5; 32] },
            inboxes: vec![InboxAddress {
                url: "https://shop.example/inbox".to_owned(),
                suite: KemSuite::XWing,
                public_key: vec![6; 1216],
                agent: None,
            }],
            transport: Party::new(200).key_set,
            certificates: Vec::new(),
            services: Vec::new(),
            time: NOW,
            replaces: None,
        }
    }

    pub(crate) fn sign(&self, card: &ContactCard) -> Signed {
        let draft = card.draft(Suite::Ed25519, self.key_set.id());
        let signature = self.pair.sign(&draft.to_be_signed(Algorithm::Ed25519)).as_ref().to_vec();
        draft.assemble(vec![signature]).unwrap()
    }

    pub(crate) fn verified_card(&self, name: &str) -> Verified<ContactCard> {
        ContactCard::verify(self.sign(&self.card(name)).bytes(), &Ed25519Only).unwrap()
    }
}

pub(crate) fn key(key_type: KeyType, seed: u64) -> CertificateKey {
    CertificateKey::generate(key_type, &Counted::new(seed)).unwrap()
}

pub(crate) fn authority(key_type: KeyType, seed: u64) -> Authority {
    let rules = Rules {
        crl_url: "http://ca.example/list.crl".to_owned(),
        lifetime_max: Seconds(400 * DAY),
        crl_lifetime: Seconds(7 * DAY),
    };
    let randomness = Counted::new(seed + 1000);
    Authority::create(key(key_type, seed), "Example Authority", rules, Seconds(3650 * DAY), NOW, &randomness).unwrap()
}

/// An authority that has certified `Alice` for 365 days, and everything that belongs to it.
pub(crate) struct Scene {
    pub(crate) authority: Authority,
    pub(crate) alice: Party,
    pub(crate) request: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) crl: Vec<u8>,
}

impl Scene {
    pub(crate) fn new(key_type: KeyType) -> Self {
        let mut authority = authority(key_type, 1);
        let alice = Party::new(1);
        let email = Some("alice@example.org");
        let request = request::make(&key(key_type, 2), "Alice", email, alice.key_set.id()).unwrap();
        let verified = VerifiedRequest::from_der(&request).unwrap();
        let card = alice.verified_card("Alice");
        let certificate = authority.issue(&verified, &card, Seconds(365 * DAY), NOW, &Counted::new(3)).unwrap();
        let crl = authority.crl(NOW).unwrap();
        Self { authority, alice, request, certificate, crl }
    }

    pub(crate) fn serial(&self) -> Serial {
        self.authority.register().issued().next().unwrap().serial
    }

    pub(crate) fn trust(&self) -> Trust {
        trust(self.authority.register().certificate(), &[&self.crl])
    }
}

pub(crate) fn trust(anchor: &[u8], crls: &[&[u8]]) -> Trust {
    let mut trust = Trust::new(StaleCrl::Refuse);
    trust.add_anchor(anchor).unwrap();
    for crl in crls {
        trust.add_crl(crl).unwrap();
    }
    trust
}

/// A directory in which the `openssl` command works.
pub(crate) struct OpenSsl {
    dir: TempDir,
}

/// How a run of `openssl` ended.
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) text: String,
}

impl OpenSsl {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn write_pem(&self, name: &str, label: &str, der: &[u8]) {
        self.write(name, armour::encode(label, der));
    }

    pub(crate) fn read_pem(&self, name: &str, label: &'static str) -> Vec<u8> {
        armour::decode(label, &std::fs::read_to_string(self.path(name)).unwrap(), 1 << 20).unwrap()
    }

    /// Runs `openssl` in the directory; output and errors are joined.
    pub(crate) fn run(&self, command: &str) -> Ran {
        let output = Command::new("openssl")
            .args(command.split_whitespace())
            .current_dir(self.dir.path())
            .output()
            .expect("these tests need the openssl command (Debian package openssl); it could not be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Ran { ok: output.status.success(), text }
    }

    pub(crate) fn must(&self, command: &str) -> String {
        let ran = self.run(command);
        assert!(ran.ok, "openssl {command}: {}", ran.text);
        ran.text
    }

    pub(crate) fn must_fail(&self, command: &str) -> String {
        let ran = self.run(command);
        assert!(!ran.ok, "openssl {command} should have failed: {}", ran.text);
        ran.text
    }

    /// For `req -verify` and `crl -verify`: OpenSSL 3.0 exits with success even if the signature is wrong, so its words decide.
    pub(crate) fn must_verify(&self, command: &str) {
        let text = self.must(command);
        assert!(text.contains("verify OK") && !text.contains("failure"), "openssl {command}: {text}");
    }

    pub(crate) fn must_not_verify(&self, command: &str) {
        let text = self.run(command).text;
        assert!(text.contains("verify failure") && !text.contains("verify OK"), "openssl {command}: {text}");
    }
}
