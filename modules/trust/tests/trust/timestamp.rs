//! Time-stamps, held against `openssl ts` in both directions and against those who cheat.
//!
//! What could go wrong: other programs do not take our tokens; we take a token that dates something else, is an old one, was changed, or
//! was signed by a key that is not for time-stamps. Each refusal has its own error, so that a check that is left out is noticed.

use proptest::prelude::*;
use semper_core::imprint::Imprint;
use semper_core::time::{Seconds, Time};
use semper_support::stamp::CertificateId;
use semper_trust::armour::CERTIFICATE;
use semper_trust::authority::Purpose;
use semper_trust::path::PathError;
use semper_trust::request::{self, VerifiedRequest};
use semper_trust::timestamp::{
    Failure, Nonce, ObjectIdentifier, Reply, ReplyError, Request, RequestProblem, Stamper, StamperError, Token,
    TokenError, TokenSerial, own_certificate,
};
use semper_trust::{CertificateKey, KeyType};
use serde_json::{Value, json};

use crate::support::{Counted, DAY, NOW, OpenSsl, Party, authority, key};

const DATA: &[u8] = b"the text of an offer\n";
const ACCURACY: Seconds = Seconds(1);

fn policy() -> ObjectIdentifier {
    ObjectIdentifier::new("1.2.3.4.1").unwrap()
}

/// An authority with its root and its own certificate, for a year from [`NOW`].
struct Scene {
    stamper: Stamper,
    root: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let (root, certificate) = certified(Purpose::TimeStamps);
        let stamper = Stamper::new(stamping_key(), vec![certificate, root.clone()], policy(), ACCURACY).unwrap();
        Self { stamper, root }
    }

    fn reply(&self, request: &Request) -> Vec<u8> {
        self.stamper.answer(request, TokenSerial::new(7, [0x80; 8]), NOW).unwrap()
    }

    fn token(&self) -> Token {
        let request = request(DATA);
        Reply::from_der(&self.reply(&request)).unwrap().token(&request).unwrap()
    }
}

fn stamping_key() -> CertificateKey {
    key(KeyType::P256, 20)
}

/// A certificate for [`stamping_key`] by an authority of ours; the authority's first.
fn certified(purpose: Purpose) -> (Vec<u8>, Vec<u8>) {
    let mut authority = authority(KeyType::P256, 1);
    let party = Party::new(9);
    let request = request::make(&stamping_key(), "Stamps", None, party.key_set.id()).unwrap();
    let (request, card) = (VerifiedRequest::from_der(&request).unwrap(), party.verified_card("Stamps"));
    let certificate = authority.issue_for(purpose, &request, &card, Seconds(365 * DAY), NOW, &Counted::new(3)).unwrap();
    (authority.register().certificate().to_vec(), certificate)
}

fn request(data: &[u8]) -> Request {
    Request::new(Imprint::of(data), &Counted::new(5)).unwrap()
}

/// A token of `openssl ts -reply` for `query`, made with the system's clock.
struct Foreign {
    openssl: OpenSsl,
}

const CONFIG: &str = "
[req]
distinguished_name = none
prompt = no
[none]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[good]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = one
[one]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
other_policies = 1.2.3.4.5
digests = sha256, sha512
accuracy = secs:1, millisecs:500, microsecs:100
clock_precision_digits = 3
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
";

impl Foreign {
    fn new(key: &str) -> Self {
        let openssl = OpenSsl::new();
        openssl.write("config", CONFIG);
        openssl.write("serial", "01\n");
        openssl.write("data", DATA);
        openssl.must("req -x509 -config config -extensions root -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 30 -subj /CN=Root");
        openssl.must(&format!(
            "req -new -config config -newkey {key} -nodes -keyout tsa.key -out tsa.csr -subj /CN=Foreign"
        ));
        openssl.must("x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile config -extensions good -out tsa.pem");
        Self { openssl }
    }

    fn reply(&self, query: &[u8], more: &str) -> Vec<u8> {
        self.openssl.write("query", query);
        self.openssl.must(&format!(
            "ts -reply -config config -queryfile query -signer tsa.pem -inkey tsa.key -out reply {more}"
        ));
        std::fs::read(self.openssl.path("reply")).unwrap()
    }
}

#[test]
fn openssl_takes_our_tokens() {
    let (scene, openssl) = (Scene::new(), OpenSsl::new());
    openssl.write("data", DATA);
    openssl.write_pem("root.pem", CERTIFICATE, &scene.root);
    openssl.write_pem("tsa.pem", CERTIFICATE, &scene.stamper.certificates()[0]);
    for (query, verify) in [
        ("ts -query -data data -sha256 -cert -out query", ""),
        ("ts -query -data data -sha256 -no_nonce -out query", "-untrusted tsa.pem"),
        ("ts -query -data data -sha256 -cert -tspolicy 1.2.3.4.1 -out query", ""),
    ] {
        openssl.must(query);
        let request = Request::from_der(&std::fs::read(openssl.path("query")).unwrap()).unwrap();
        assert_eq!(request.imprint, Imprint::of(DATA));
        openssl.write("reply", scene.reply(&request));
        let at = "-attime 1795246200 -CAfile root.pem";
        openssl.must(&format!("ts -verify {at} {verify} -in reply -queryfile query"));
        openssl.must(&format!("ts -verify {at} {verify} -in reply -data data"));
        let text = openssl.must("ts -reply -in reply -text");
        for expected in ["Granted", "Nov 21 07:30:00 2026 GMT", "Accuracy: 0x01 seconds", "0x078080808080808080"] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
        // Other data, and a token that was changed.
        openssl.write("other", b"another text");
        let text = openssl.must_fail(&format!("ts -verify {at} {verify} -in reply -data other"));
        assert!(text.contains("message imprint mismatch"), "{text}");
        let mut changed = scene.reply(&request);
        let place = changed.windows(15).position(|w| w == b"20261121073000Z").unwrap();
        changed[place + 3] = b'5';
        openssl.write("reply", changed);
        openssl.must_fail(&format!("ts -verify {at} {verify} -in reply -data data"));
    }
}

// Nobody certifies the authority of a private network: its certificate goes from hand to hand, and openssl takes it all the same.
#[test]
fn openssl_takes_the_tokens_of_an_authority_that_certifies_itself() {
    let key = stamping_key();
    let own = own_certificate(&key, "Own Stamps", Seconds(DAY), NOW, &Counted::new(4)).unwrap();
    let stamper = Stamper::new(key, vec![own.clone()], policy(), ACCURACY).unwrap();
    let request = request(DATA);
    let reply = stamper.answer(&request, TokenSerial::new(1, [1; 8]), NOW).unwrap();
    let openssl = OpenSsl::new();
    openssl.write("data", DATA);
    openssl.write("reply", &reply);
    openssl.write_pem("own.pem", CERTIFICATE, &own);
    openssl.must("ts -verify -attime 1795246200 -CAfile own.pem -in reply -data data");
    let token = Reply::from_der(&reply).unwrap().token(&request).unwrap();
    assert_eq!(token.vouchers(&[]), [CertificateId::of(&own)]);
    assert_eq!(token.name(), "Own Stamps");
    // Its time is over a day later; a token that is made then would prove nothing.
    let late = stamper.answer(&request, TokenSerial::new(2, [1; 8]), NOW.after(Seconds(DAY)));
    assert_eq!(late, Err(Failure::TimeNotAvailable));
}

#[test]
fn we_take_the_tokens_of_openssl() {
    for (key, digest) in [
        ("rsa:2048", "-sha256"),
        ("ec -pkeyopt ec_paramgen_curve:prime256v1", "-sha256"),
        ("ec -pkeyopt ec_paramgen_curve:secp384r1", "-sha384"),
    ] {
        let foreign = Foreign::new(key);
        foreign
            .openssl
            .write("config", CONFIG.replace("signer_digest = sha256", &format!("signer_digest = {}", &digest[1..])));
        let request = request(DATA);
        let token = Reply::from_der(&foreign.reply(&request.to_der(), "")).unwrap().token(&request).unwrap();
        assert_eq!(token.imprint(), Imprint::of(DATA));
        assert_eq!(token.policy(), policy());
        assert_eq!(token.name(), "Foreign");
        // One to two seconds of accuracy, and a fraction: at most three seconds from now.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let now = Time::from_unix(now);
        assert!(
            token.before() > now.before(Seconds(60)) && token.before() <= now.after(Seconds(4)),
            "{}",
            token.before()
        );
        let root = foreign.openssl.read_pem("root.pem", CERTIFICATE);
        assert_eq!(token.vouchers(&[]), [CertificateId::of(token.certificate())]);
        assert_eq!(
            token.vouchers(std::slice::from_ref(&root)),
            [CertificateId::of(token.certificate()), CertificateId::of(&root)]
        );
        // The root in the token.
        let token =
            Reply::from_der(&foreign.reply(&request.to_der(), "-chain root.pem")).unwrap().token(&request).unwrap();
        assert!(token.vouchers(&[]).contains(&CertificateId::of(&root)));
        // Another root vouches for nothing.
        let stranger = Scene::new().root;
        assert!(!token.vouchers(std::slice::from_ref(&stranger)).contains(&CertificateId::of(&stranger)));
    }
}

#[test]
fn each_answer_that_does_not_fit_its_request_has_its_own_error() {
    let scene = Scene::new();
    let asked = request(DATA);
    let reply = Reply::from_der(&scene.reply(&asked)).unwrap();
    reply.token(&asked).unwrap();
    let other_data = Request { imprint: Imprint::of(b"other"), ..asked.clone() };
    assert_eq!(reply.token(&other_data), Err(ReplyError::OtherImprint));
    let other_nonce = Request { nonce: Some(Nonce::random(&Counted::new(77)).unwrap()), ..asked.clone() };
    assert_eq!(reply.token(&other_nonce), Err(ReplyError::OtherNonce));
    let other_policy = Request { policy: ObjectIdentifier::new("1.2.3.4.9").ok(), ..asked.clone() };
    assert_eq!(reply.token(&other_policy), Err(ReplyError::OtherPolicy));
    assert_eq!(scene.stamper.answer(&other_policy, TokenSerial::new(1, [0; 8]), NOW), Err(Failure::UnacceptedPolicy));
    let refusal = Reply::from_der(&Reply::refusal(Failure::TimeNotAvailable, "my clock stands\u{7} still")).unwrap();
    let refused = ReplyError::Refused {
        status: 2,
        failure: Some(Failure::TimeNotAvailable),
        text: "my clock stands still".to_owned(),
    };
    assert_eq!(refusal.token(&asked), Err(refused));
    let without = Request { certificates: false, ..asked };
    let reply = Reply::from_der(&scene.reply(&without)).unwrap();
    assert_eq!(reply.token(&without), Err(ReplyError::Token(TokenError::CertificateMissing)));
}

#[test]
fn openssl_reads_our_refusals() {
    let openssl = OpenSsl::new();
    for failure in Failure::ALL {
        openssl.write("reply", Reply::refusal(failure, "not now"));
        let text = openssl.must("ts -reply -in reply -text");
        assert!(text.contains("Rejected") && text.contains("not now"), "{text}");
        let Err(ReplyError::Refused { failure: read, .. }) =
            Reply::from_der(&Reply::refusal(failure, "not now")).unwrap().token(&request(DATA))
        else {
            panic!("a refusal is no token");
        };
        assert_eq!(read, Some(failure));
    }
}

#[test]
fn requests_that_are_not_answered() {
    let good = request(DATA).to_der();
    assert_eq!(Request::from_der(&good).unwrap(), request(DATA));
    assert_eq!(Request::from_der(&[0; 2000]), Err(RequestProblem::Oversized));
    assert_eq!(Request::from_der(&good[..good.len() - 1]), Err(RequestProblem::Malformed));
    assert_eq!(Request::from_der(&[&good[..], &[0]].concat()), Err(RequestProblem::Malformed));
    let openssl = OpenSsl::new();
    openssl.write("data", DATA);
    openssl.must("ts -query -data data -sha512 -cert -out query");
    let asked = Request::from_der(&std::fs::read(openssl.path("query")).unwrap());
    assert_eq!(asked, Err(RequestProblem::Hash));
    assert_eq!(RequestProblem::Hash.failure(), Failure::BadAlgorithm);
    // A nonce of 40 bytes could not be said back.
    let nonce = [&[2_u8, 40, 1][..], &[7; 39]].concat();
    let imprint = Imprint::of(DATA);
    let head = [0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0];
    let imprint = [&[0x30, 49][..], &head, &[4, 32], imprint.as_bytes()].concat();
    let whole = |more: &[u8]| {
        let len = u8::try_from(3 + imprint.len() + more.len()).unwrap();
        [&[0x30, len, 2, 1, 1][..], &imprint, more].concat()
    };
    Request::from_der(&whole(&[])).unwrap();
    assert_eq!(Request::from_der(&whole(&nonce)), Err(RequestProblem::Malformed));
    assert_eq!(Request::from_der(&whole(&[0xa0, 2, 0x30, 0])), Err(RequestProblem::Extension));
}

#[test]
fn certificates_that_are_not_for_time_stamps_make_no_tokens() {
    let refused = |key, certificates| Stamper::new(key, certificates, policy(), ACCURACY).err();
    let (_, documents) = certified(Purpose::Documents);
    let (_, stamps) = certified(Purpose::TimeStamps);
    assert_eq!(refused(stamping_key(), vec![documents]), Some(StamperError::Certificate(TokenError::NotForStamps)));
    assert_eq!(refused(key(KeyType::P256, 99), vec![stamps]), Some(StamperError::OtherKey));
    assert_eq!(refused(stamping_key(), vec![]), Some(StamperError::Certificates));
    let ed25519 = key(KeyType::Ed25519, 21);
    let own = own_certificate(&ed25519, "Own", Seconds(DAY), NOW, &Counted::new(4)).unwrap();
    assert_eq!(refused(ed25519, vec![own]), Some(StamperError::KeyType));
}

// `openssl ts` signs with no such certificate, but `openssl cms` signs with any.
#[test]
fn a_token_by_a_certificate_for_something_else_is_refused() {
    for usage in ["extendedKeyUsage = timeStamping", "extendedKeyUsage = critical,timeStamping,emailProtection", ""] {
        let foreign = Foreign::new("rsa:2048");
        foreign.openssl.write("other", format!("[other]\nbasicConstraints = critical,CA:FALSE\n{usage}\n"));
        // `ts -reply` refuses such a certificate, so the token is made as what it is: a CMS message over a TSTInfo.
        foreign.reply(&request(DATA).to_der(), "-token_out");
        foreign.openssl.must("cms -verify -noverify -inform DER -in reply -out info");
        foreign.openssl.must("x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile other -extensions other -out tsa.pem");
        foreign.openssl.must("cms -sign -cades -nosmimecap -nodetach -binary -md sha256 -in info -econtent_type 1.2.840.113549.1.9.16.1.4 -signer tsa.pem -inkey tsa.key -outform DER -out token");
        let token = Token::from_der(&std::fs::read(foreign.openssl.path("token")).unwrap());
        assert_eq!(token.err(), Some(TokenError::NotForStamps), "{usage:?}");
    }
}

// The twin of the case above: the same way of making it, with a good certificate. Then one that expired before the token's time, one that is
// not yet valid, one that is of another name, and a token without the hash of its certificate.
#[test]
fn a_token_from_outside_its_certificates_time_is_refused() {
    let foreign = Foreign::new("rsa:2048");
    foreign.reply(&request(DATA).to_der(), "-token_out");
    foreign.openssl.must("cms -verify -noverify -inform DER -in reply -out info");
    let info = std::fs::read(foreign.openssl.path("info")).unwrap();
    let made = |sign: &str| {
        foreign.openssl.must(&format!("cms -sign -nosmimecap -nodetach -binary -in info -econtent_type 1.2.840.113549.1.9.16.1.4 -signer tsa.pem -inkey tsa.key -outform DER -out token {sign}"));
        Token::from_der(&std::fs::read(foreign.openssl.path("token")).unwrap())
    };
    made("-cades -md sha256").unwrap();
    let missing = TokenError::Malformed("content type, message digest and certificate hash must be signed, each once");
    assert_eq!(made("-md sha256").err(), Some(missing.clone()));
    // With SHA-1 the hash of the certificate is the one that RFC 5816 replaces.
    assert_eq!(made("-cades -md sha1").err(), Some(missing));
    assert_eq!(made("-cades -md sha224").err(), Some(TokenError::UnsupportedAlgorithm));
    foreign.openssl.must("req -new -config config -key tsa.key -out other.csr -subj /CN=Other");
    foreign.openssl.must("x509 -req -in other.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile config -extensions good -out tsa.pem");
    assert_eq!(made("-cades -md sha256").err(), Some(TokenError::OtherName));
    foreign.openssl.must("x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 20 -extfile config -extensions good -out tsa.pem");
    // The time of the token moves instead of the certificate's.
    let place = info.windows(2).position(|w| w == b"20").unwrap();
    let at = |year: &[u8; 4]| {
        let mut moved = info.clone();
        moved[place..place + 4].copy_from_slice(year);
        foreign.openssl.write("info", moved);
        made("-cades -md sha256").err()
    };
    assert!(matches!(at(b"2097"), Some(TokenError::Path(PathError::Expired { .. }))));
    assert!(matches!(at(b"2017"), Some(TokenError::Path(PathError::NotYetValid { .. }))));
}

#[test]
fn what_was_changed_in_a_token_shows() {
    let token = Scene::new().token();
    let changed = |from: &[u8], to: &[u8]| {
        let mut der = token.der().to_vec();
        let place = der.windows(from.len()).position(|w| w == from).unwrap();
        der[place..place + to.len()].copy_from_slice(to);
        Token::from_der(&der).err()
    };
    let imprint = Imprint::of(DATA);
    assert_eq!(changed(imprint.as_bytes(), Imprint::of(b"other").as_bytes()), Some(TokenError::OtherContent));
    assert_eq!(changed(b"20261121073000Z", b"20201121073000Z"), Some(TokenError::OtherContent));
    let hash = Imprint::of(token.certificate());
    assert_eq!(changed(hash.as_bytes(), &[0; 32]), Some(TokenError::CertificateMissing));
    let mut der = token.der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    assert_eq!(Token::from_der(&der).err(), Some(TokenError::BadSignature));
    assert_eq!(Token::from_der(&[token.der(), &[0; 64 * 1024]].concat()).err(), Some(TokenError::Oversized));
}

#[test]
fn the_root_of_our_own_authority_vouches() {
    let scene = Scene::new();
    let token = scene.token();
    assert_eq!(token.vouchers(&[]), [CertificateId::of(token.certificate()), CertificateId::of(&scene.root)]);
    assert_eq!(token.before(), NOW.after(ACCURACY));
    assert_eq!(token.name(), "Stamps");
}

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/vectors/timestamp.json");

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// A token with what it says.
fn described(by: &str, token: &[u8]) -> Value {
    let read = Token::from_der(token).unwrap();
    json!({
        "by": by,
        "token": hex(token),
        "imprint": read.imprint().to_string(),
        "before": read.before().unix(),
        "serial": hex(read.serial()),
        "policy": read.policy().to_string(),
        "name": read.name(),
        "vouchers": read.vouchers(&[]).iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Signatures are random, so these are other bytes each time; what they mean is not.
fn make_vectors() -> Value {
    let scene = Scene::new();
    let foreign = Foreign::new("rsa:2048");
    let asked = request(DATA);
    let of_openssl = foreign.reply(&asked.to_der(), "-chain root.pem");
    let of_openssl = Reply::from_der(&of_openssl).unwrap().token(&asked).unwrap();
    let token = scene.token();
    let changed = |from: &[u8], to: &[u8]| {
        let mut der = token.der().to_vec();
        let place = der.windows(from.len()).position(|w| w == from).unwrap();
        der[place..place + to.len()].copy_from_slice(to);
        der
    };
    let mut last = token.der().to_vec();
    *last.last_mut().unwrap() ^= 1;
    let bare = Request { certificates: false, ..asked.clone() };
    let bare = scene.reply(&bare);
    let refused = [
        ("another time than the one that was signed", changed(b"20261121073000Z", b"20201121073000Z")),
        ("a wrong signature", last),
        // A reply is two bytes of length more than 255, a status of five bytes, and the token.
        ("no certificate in it", bare[9..].to_vec()),
        ("something behind it", [token.der(), &[0]].concat()),
    ];
    let refused = refused.iter().map(|(why, bytes)| {
        let error = Token::from_der(bytes).unwrap_err().to_string();
        json!({ "why": why, "token": hex(bytes), "error": error })
    });
    json!({
        "about": "Time-stamps: spec/timestamp.md. Bytes in hexadecimal; times in seconds since 1970.",
        "data": hex(DATA),
        "requests": [
            { "request": hex(&asked.to_der()), "imprint": asked.imprint.to_string(), "certificates": true },
            { "request": hex(&Request { nonce: None, certificates: false, ..asked.clone() }.to_der()),
              "imprint": asked.imprint.to_string(), "certificates": false },
        ],
        "tokens": [described("semper", token.der()), described("openssl", of_openssl.der())],
        "refused": refused.collect::<Vec<_>>(),
    })
}

// What a second implementation is held against must be what this one does.
#[test]
fn the_vectors_mean_what_they_say() {
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(VECTORS, format!("{:#}\n", make_vectors())).unwrap();
    }
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(VECTORS).unwrap()).unwrap();
    let bytes = |value: &Value| data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
    let imprint = Imprint::of(&bytes(&vectors["data"])).to_string();
    for expected in vectors["requests"].as_array().unwrap() {
        let request = Request::from_der(&bytes(&expected["request"])).unwrap();
        assert_eq!(request.to_der(), bytes(&expected["request"]));
        assert_eq!((&request.imprint.to_string(), request.certificates), (&imprint, expected["certificates"] == true));
    }
    let tokens = vectors["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 2);
    for expected in tokens {
        assert_eq!(described(expected["by"].as_str().unwrap(), &bytes(&expected["token"])), *expected);
        assert_eq!(expected["imprint"], imprint);
    }
    let refused = vectors["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 4);
    for expected in refused {
        let error = Token::from_der(&bytes(&expected["token"])).unwrap_err().to_string();
        assert_eq!(error, expected["error"].as_str().unwrap(), "{}", expected["why"]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // A byte that is changed anywhere makes a token that is refused, or one that says the same: beside the signature stand a name, a
    // number and further certificates that nothing in it rests on.
    #[test]
    fn no_changed_byte_changes_what_a_token_says(place in 0_usize..4096, bit in 0_u8..8) {
        let token = Scene::new().token();
        let mut der = token.der().to_vec();
        let place = place % der.len();
        der[place] ^= 1 << bit;
        if let Ok(read) = Token::from_der(&der) {
            prop_assert_eq!(read.imprint(), token.imprint());
            prop_assert_eq!(read.before(), token.before());
            prop_assert_eq!(read.certificate(), token.certificate());
            prop_assert_eq!(read.serial(), token.serial());
        }
    }

    // Neither bytes of any kind nor a piece of a good message make a reader stop.
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..2000) {
        let good = Scene::new().token();
        let good = good.der();
        let mixed = [&good[..cut % good.len()], &bytes].concat();
        for bytes in [&bytes, &mixed] {
            let _ = (Token::from_der(bytes), Request::from_der(bytes));
            let _ = Reply::from_der(bytes).map(|reply| reply.token(&request(DATA)));
        }
    }
}
