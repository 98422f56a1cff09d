//! Certificates, requests and authorities that `openssl` made, good and bad.

use semper_core::ids::KeySetId;
use semper_core::time::{Seconds, Time};
use semper_trust::armour::{CERTIFICATE, CRL, REQUEST};
use semper_trust::path::{Certified, PathError, StaleCrl, Trust};
use semper_trust::request::{RequestError, VerifiedRequest};
use semper_trust::{KeyType, NameError, key_set_uri};

use crate::support::{DAY, NOW, OpenSsl, Party, authority};

/// An authority kept by `openssl ca` with the policy of its own configuration file; its clock is the system's.
struct Foreign {
    openssl: OpenSsl,
    alice: Party,
    now: Time,
}

const CONFIG: &str = "
[req]
distinguished_name = none
prompt = no
string_mask = utf8only
utf8 = yes
[none]
[ca]
default_ca = main
[main]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
default_days = 30
default_crl_days = 7
crlnumber = crlnumber
policy = any
unique_subject = no
crl_extensions = crl
[any]
commonName = optional
organizationName = optional
countryName = optional
[crl]
authorityKeyIdentifier = keyid
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[root0]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[notca]
basicConstraints = critical,CA:FALSE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[nosign]
basicConstraints = critical,CA:TRUE
keyUsage = critical,digitalSignature
[crlonly]
basicConstraints = critical,CA:TRUE
keyUsage = critical,cRLSign
subjectKeyIdentifier = hash
[certonly]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[holder]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
authorityKeyIdentifier = keyid
subjectAltName = @names
[server]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = @names
[nameless]
basicConstraints = critical,CA:FALSE
subjectAltName = DNS:shop.example
[twice]
basicConstraints = critical,CA:FALSE
subjectAltName = URI:KEYSET,URI:OTHER
[strange]
basicConstraints = critical,CA:FALSE
subjectAltName = @names
1.2.3.4 = critical,ASN1:NULL
[asked]
subjectAltName = URI:KEYSET
[extra]
subjectAltName = URI:KEYSET,DNS:shop.example
[mails]
subjectAltName = URI:KEYSET,email:a@example.org,email:b@example.org
[greedy]
subjectAltName = URI:KEYSET
basicConstraints = critical,CA:TRUE
[names]
URI.1 = KEYSET
URI.2 = https://shop.example
DNS.1 = shop.example
email.1 = alice@example.org
";

impl Foreign {
    /// Makes `root.pem` with the extensions of section `root`.
    fn new(root: &str) -> Self {
        let (alice, openssl) = (Party::new(1), OpenSsl::new());
        let other = key_set_uri(Party::new(2).key_set.id());
        let config = CONFIG.replace("KEYSET", &key_set_uri(alice.key_set.id())).replace("OTHER", &other);
        openssl.write("config", config);
        openssl.write("index.txt", "");
        openssl.write("crlnumber", "01\n");
        openssl.must("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out root.key");
        openssl.must(&format!(
            "req -x509 -config config -new -key root.key -subj /O=Foreign/CN=Root -days 60 -extensions {root} -out root.pem"
        ));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let foreign = Self { openssl, alice, now: Time::from_unix(now + 60) };
        foreign.crl("root");
        foreign
    }

    /// Has `issuer` certify a fresh key under `name` with the extensions of a section: `{file}.pem`, `{file}.key`.
    fn issue(&self, issuer: &str, file: &str, name: &str, section: &str) {
        let openssl = &self.openssl;
        openssl.must(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {file}.key"));
        openssl.must(&format!("req -config config -new -key {file}.key -subj /CN={name} -out {file}.csr"));
        openssl.must(&format!(
            "ca -batch -notext -config config -cert {issuer}.pem -keyfile {issuer}.key -extensions {section} -in {file}.csr \
             -out {file}.pem"
        ));
    }

    fn crl(&self, issuer: &str) {
        self.openssl
            .must(&format!("ca -config config -gencrl -cert {issuer}.pem -keyfile {issuer}.key -out {issuer}.crl"));
    }

    fn verify_at(&self, chain: &[&str], crls: &[&str], now: Time) -> Result<Certified, PathError> {
        let mut trust = Trust::new(StaleCrl::Refuse);
        trust.add_anchor(&self.openssl.read_pem("root.pem", CERTIFICATE)).unwrap();
        for file in crls {
            trust.add_crl(&self.openssl.read_pem(&format!("{file}.crl"), CRL)).unwrap();
        }
        let read = |file: &&str| self.openssl.read_pem(&format!("{file}.pem"), CERTIFICATE);
        trust.verify(&chain.iter().map(read).collect::<Vec<_>>(), self.key_set(), now)
    }

    fn verify(&self, chain: &[&str], crls: &[&str]) -> Result<Certified, PathError> {
        self.verify_at(chain, crls, self.now)
    }

    fn key_set(&self) -> KeySetId {
        self.alice.key_set.id()
    }
}

#[test]
fn a_certificate_by_openssl_is_accepted_and_its_revocation_seen() {
    let foreign = Foreign::new("root");
    foreign.issue("root", "alice", "Alice", "holder");
    let certified = foreign.verify(&["alice"], &["root"]).unwrap();
    assert_eq!(certified.name(), "Alice");
    assert_eq!(certified.emails(), ["alice@example.org"]);
    assert_eq!(certified.issuers(), ["Root"]);

    let late = foreign.now.after(Seconds(6 * DAY));
    foreign.verify_at(&["alice"], &["root"], late).unwrap();
    let stale = foreign.verify_at(&["alice"], &["root"], foreign.now.after(Seconds(8 * DAY)));
    assert!(matches!(stale, Err(PathError::CrlExpired { .. })), "{stale:?}");
    let expired = foreign.verify_at(&["alice"], &["root"], foreign.now.after(Seconds(31 * DAY)));
    assert!(matches!(expired, Err(PathError::Expired { .. })), "{expired:?}");
    let early = foreign.verify_at(&["alice"], &["root"], foreign.now.before(Seconds(DAY)));
    assert!(matches!(early, Err(PathError::NotYetValid { .. })), "{early:?}");

    foreign
        .openssl
        .must("ca -config config -cert root.pem -keyfile root.key -revoke alice.pem -crl_reason keyCompromise");
    foreign.verify(&["alice"], &["root"]).unwrap();
    foreign.crl("root");
    let revoked = foreign.verify(&["alice"], &["root"]);
    let Err(PathError::Revoked(revocation)) = revoked else { panic!("{revoked:?}") };
    assert_eq!(revocation.reason.code(), 1);
    assert!(revocation.since <= foreign.now, "{revocation:?}");
}

#[test]
fn the_issuers_of_a_path_must_be_authorities() {
    let foreign = Foreign::new("root");
    for (name, section, expected) in [
        ("good", "root", None),
        ("plain", "notca", Some(PathError::NotAnAuthority)),
        ("silent", "crlonly", Some(PathError::NotAnAuthority)),
        ("mute", "certonly", Some(PathError::NotAnAuthority)),
    ] {
        foreign.issue("root", name, "Middle", section);
        foreign.issue(name, "alice", "Alice", "holder");
        foreign.crl(name);
        let result = foreign.verify(&["alice", name], &["root", name]);
        match expected {
            None => assert_eq!(result.unwrap().issuers(), ["Middle", "Root"]),
            Some(error) => assert_eq!(result, Err(error)),
        }
        // Without the certificate of the issuer there is no path, without its list no knowledge of revocation.
        assert_eq!(foreign.verify(&["alice"], &["root"]), Err(PathError::UnknownIssuer));
        if name == "good" {
            assert_eq!(foreign.verify(&["alice", name], &["root"]), Err(PathError::CrlMissing));
        }
    }
}

#[test]
fn an_anchor_binds_itself() {
    let foreign = Foreign::new("root0");
    foreign.issue("root", "direct", "Alice", "holder");
    foreign.verify(&["direct"], &["root"]).unwrap();
    foreign.issue("root", "middle", "Middle", "root");
    foreign.issue("middle", "alice", "Alice", "holder");
    foreign.crl("middle");
    assert_eq!(foreign.verify(&["alice", "middle"], &["root", "middle"]), Err(PathError::PathTooLong));

    for section in ["notca", "nosign", "crlonly", "certonly"] {
        let foreign = Foreign::new(section);
        let root = foreign.openssl.read_pem("root.pem", CERTIFICATE);
        assert_eq!(Trust::default().add_anchor(&root), Err(PathError::NotAnAuthority), "{section}");
    }
}

#[test]
fn a_revoked_issuer_takes_its_certificates_along() {
    let foreign = Foreign::new("root");
    foreign.issue("root", "middle", "Middle", "root");
    foreign.issue("middle", "alice", "Alice", "holder -days 40");
    foreign.crl("middle");
    let verify = || foreign.verify(&["alice", "middle"], &["root", "middle"]);
    // The issuer expires in 30 days, before the holder's certificate and the anchor.
    let until = verify().unwrap().valid_until();
    assert!(until < foreign.now.after(Seconds(31 * DAY)), "{until}");
    assert_eq!(foreign.verify(&["alice", "middle"], &["middle"]), Err(PathError::CrlMissing));
    foreign
        .openssl
        .must("ca -config config -cert root.pem -keyfile root.key -revoke middle.pem -crl_reason CACompromise");
    foreign.crl("root");
    let revoked = verify();
    assert!(matches!(revoked, Err(PathError::Revoked(r)) if r.reason.code() == 2), "{revoked:?}");
}

// The library takes an anchor for valid at all times.
#[test]
fn an_anchor_is_not_trusted_outside_of_its_own_validity() {
    let foreign = Foreign::new("root");
    foreign.issue("root", "alice", "Alice", "holder -days 90 -startdate 20200101000000Z");
    let mut trust = Trust::new(StaleCrl::Accept);
    trust.add_anchor(&foreign.openssl.read_pem("root.pem", CERTIFICATE)).unwrap();
    trust.add_crl(&foreign.openssl.read_pem("root.crl", CRL)).unwrap();
    let chain = [foreign.openssl.read_pem("alice.pem", CERTIFICATE)];
    let certified = trust.verify(&chain, foreign.key_set(), foreign.now.after(Seconds(59 * DAY))).unwrap();
    let until = certified.valid_until();
    let late = trust.verify(&chain, foreign.key_set(), until.after(Seconds(1)));
    assert_eq!(late, Err(PathError::Expired { until }));
    let early = trust.verify(&chain, foreign.key_set(), until.before(Seconds(61 * DAY)));
    assert!(matches!(early, Err(PathError::NotYetValid { .. })), "{early:?}");
}

#[test]
fn pathlen_of_an_intermediate_holds() {
    let foreign = Foreign::new("root");
    foreign.issue("root", "upper", "Upper", "root0");
    foreign.issue("upper", "lower", "Lower", "root");
    foreign.issue("lower", "alice", "Alice", "holder");
    foreign.crl("upper");
    foreign.crl("lower");
    let result = foreign.verify(&["alice", "lower", "upper"], &["root", "upper", "lower"]);
    assert_eq!(result, Err(PathError::PathTooLong));
}

#[test]
fn holders_that_say_the_wrong_thing() {
    let foreign = Foreign::new("root");
    for (file, name, section, expected) in [
        ("a", "Alice", "server", PathError::WrongUse),
        ("b", "Alice", "nameless", PathError::Name(NameError::NoKeySet)),
        ("c", "Alice", "twice", PathError::Name(NameError::ManyKeySets)),
        ("d", "Alice", "strange", PathError::Unsupported),
        ("e", "Ali\u{1}ce", "holder", PathError::Name(NameError::NotPlain)),
        ("f", "ecilA\u{202e}", "holder", PathError::Name(NameError::NotPlain)),
        ("g", "Alice/CN=Bob", "holder", PathError::Name(NameError::NotOneName)),
    ] {
        foreign.issue("root", file, name, section);
        assert_eq!(foreign.verify(&[file], &["root"]), Err(expected), "{name:?} {section}");
    }
}

#[test]
fn a_request_by_openssl_is_certified_by_us() {
    let foreign = Foreign::new("root");
    let openssl = &foreign.openssl;
    for (algorithm, file) in [("EC -pkeyopt ec_paramgen_curve:P-256", "p256"), ("ED25519", "ed")] {
        openssl.must(&format!("genpkey -algorithm {algorithm} -out {file}.key"));
        openssl
            .must(&format!("req -config config -new -key {file}.key -subj /CN=Alice -reqexts asked -out {file}.csr"));
        let request = VerifiedRequest::from_der(&openssl.read_pem(&format!("{file}.csr"), REQUEST)).unwrap();
        assert_eq!((request.name(), request.email(), request.key_set()), ("Alice", None, foreign.key_set()));
        let mut authority = authority(KeyType::P256, 1);
        let randomness = crate::support::Counted::new(8);
        let card = foreign.alice.verified_card("Alice");
        let certificate = authority.issue(&request, &card, Seconds(DAY), NOW, &randomness).unwrap();
        openssl.write_pem("ours.pem", CERTIFICATE, &certificate);
        let ours = openssl.must("x509 -in ours.pem -noout -pubkey");
        assert_eq!(ours, openssl.must(&format!("pkey -in {file}.key -pubout")));
    }
}

#[test]
fn requests_by_openssl_that_are_refused() {
    let foreign = Foreign::new("root");
    let openssl = &foreign.openssl;
    openssl.must("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out good.key");
    openssl.must("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.key");
    openssl.must("ec -in good.key -conv_form compressed -out compressed.key");
    openssl.must("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key");
    let password = std::fs::read_to_string(openssl.path("config")).unwrap();
    let password = password.replacen("[req]", "[req]\nattributes = extra_attributes\n", 1);
    let password = password.replacen("[none]", "[none]\nCN = Alice\n", 1);
    openssl.write("password", password + "[extra_attributes]\nchallengePassword = secret\n");
    openssl.must("req -config password -new -key good.key -reqexts asked -out bad.csr");
    assert!(openssl.must("req -in bad.csr -noout -text").contains("challengePassword"));
    let refused = VerifiedRequest::from_der(&openssl.read_pem("bad.csr", REQUEST));
    assert_eq!(refused, Err(RequestError::AsksForMore));

    for (key, subject, options, expected) in [
        ("p384", "/CN=Alice", "-reqexts asked", RequestError::UnsupportedKey),
        ("rsa", "/CN=Alice", "-reqexts asked", RequestError::UnsupportedKey),
        ("good", "/CN=Alice", "-sha384 -reqexts asked", RequestError::UnsupportedKey),
        ("good", "/CN=Alice", "-reqexts extra", RequestError::AsksForMore),
        ("good", "/CN=Alice", "-reqexts mails", RequestError::AsksForMore),
        ("compressed", "/CN=Alice", "-reqexts asked", RequestError::UnsupportedKey),
        ("good", "/CN=Alice", "-reqexts greedy", RequestError::AsksForMore),
        ("good", "/O=Bank/CN=Alice", "-reqexts asked", RequestError::AsksForMore),
        ("good", "/CN=Alice", "-reqexts nameless", RequestError::AsksForMore),
        ("good", "/CN=Alice", "", RequestError::Name(NameError::NoKeySet)),
        ("good", "/CN=Ali\u{1}ce", "-reqexts asked", RequestError::Name(NameError::NotPlain)),
        ("good", "/O=Alice", "-reqexts asked", RequestError::Name(NameError::NotOneName)),
    ] {
        openssl.must(&format!("req -config config -new -key {key}.key -subj {subject} {options} -out bad.csr"));
        openssl.must_verify("req -in bad.csr -verify -noout");
        let refused = VerifiedRequest::from_der(&openssl.read_pem("bad.csr", REQUEST));
        assert_eq!(refused, Err(expected), "{key} {subject:?} {options}");
    }
}
