#![allow(clippy::unwrap_used)]
//! What could go wrong: two tokens get one serial number, after a crash or from two processes; the clock is set back and the past is dated
//! again; the description misleads. Whether tokens are good is tested in `modules/trust`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::to_bytes;
use semper_core::imprint::Imprint;
use semper_crypto::SystemRandom;
use semper_store::MemoryArchive;
use semper_trust::KeyType;
use semper_trust::timestamp::ReplyError;
use tower::ServiceExt as _;

use super::*;

/// A clock that a test moves.
#[derive(Clone)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(now().unix())))
    }

    fn turn(&self, by: i64) {
        self.0.store(self.0.load(Ordering::SeqCst).checked_add_signed(by).unwrap(), Ordering::SeqCst);
    }
}

async fn service_on(archive: &Arc<MemoryArchive>, hand: &Hand) -> Arc<TsaService> {
    // The same key in every process: the certificate is made by the first.
    let random: Arc<dyn Randomness> = Arc::new(SystemRandom);
    let pkcs8 = match archive.record("test", b"key").await.unwrap() {
        Some(pkcs8) => pkcs8,
        None => {
            let pkcs8 = CertificateKey::generate(KeyType::P256, &SystemRandom).unwrap().to_pkcs8().to_vec();
            let records = vec![("test".to_owned(), b"key".to_vec(), Some(pkcs8.clone()))];
            archive.commit(Commit { records, ..Commit::default() }).await.unwrap();
            pkcs8
        }
    };
    let (key, hand) = (CertificateKey::from_pkcs8(&pkcs8).unwrap(), hand.0.clone());
    let clock: Clock = Arc::new(move || Time::from_unix(hand.load(Ordering::SeqCst)));
    let parts =
        TsaParts { archive: archive.clone(), key, certificates: Vec::new(), name: "Stamps".to_owned(), random, clock };
    TsaService::open(parts, &TsaConfig::default()).await.unwrap()
}

async fn stamped(service: &TsaService) -> Result<Vec<u8>, ReplyError> {
    let request = Request::new(Imprint::of(b"text"), &SystemRandom).unwrap();
    let reply = Reply::from_der(&service.answer(&request.to_der()).await).unwrap();
    reply.token(&request).map(|token| token.serial().to_vec())
}

// Several processes, each of which is started again and again: as after a crash, what was left of their blocks is gone.
#[tokio::test]
async fn no_serial_number_is_given_twice() {
    let (archive, hand) = (Arc::new(MemoryArchive::new()), Hand::new());
    let mut given = BTreeSet::new();
    let mut counted = 0;
    for _ in 0..3 {
        let services = [service_on(&archive, &hand).await, service_on(&archive, &hand).await];
        assert_eq!(services[0].certificates(), services[1].certificates());
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8 {
            let service = services[n % 2].clone();
            tasks.spawn(async move {
                let mut numbers = Vec::new();
                // More than a block in all.
                for _ in 0..400 {
                    // Without its random half: the count alone must be unique.
                    let (serial, _) = service.serial().await.unwrap();
                    numbers.push(format!("{serial:?}")[12..28].to_owned());
                }
                numbers
            });
        }
        while let Some(numbers) = tasks.join_next().await {
            let numbers = numbers.unwrap();
            counted += numbers.len();
            given.extend(numbers);
        }
    }
    assert_eq!((given.len(), counted), (9600, 9600));
    let service = service_on(&archive, &hand).await;
    assert_ne!(stamped(&service).await.unwrap(), stamped(&service).await.unwrap());
}

#[tokio::test]
async fn what_was_dated_is_not_dated_again_with_the_clock_set_back() {
    let (archive, hand) = (Arc::new(MemoryArchive::new()), Hand::new());
    let service = service_on(&archive, &hand).await;
    stamped(&service).await.unwrap();
    hand.turn(-5);
    stamped(&service).await.unwrap();
    hand.turn(-1);
    let refused = |answer: Result<Vec<u8>, ReplyError>| match answer {
        Err(ReplyError::Refused { failure, .. }) => failure,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refused(stamped(&service).await), Some(Failure::TimeNotAvailable));
    // A process that starts with a clock of last year.
    hand.turn(-365 * 24 * 3600);
    let late = service_on(&archive, &hand).await;
    assert_eq!(refused(stamped(&late).await), Some(Failure::TimeNotAvailable));
    hand.turn(366 * 24 * 3600);
    stamped(&late).await.unwrap();
}

fn described() -> serde_json::Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/openapi/tsa.yaml");
    serde_norway::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

async fn ask(service: &Arc<TsaService>, method: &str, path: &str, kind: &str, body: Vec<u8>) -> (u16, String, Vec<u8>) {
    let request = HttpRequest::builder().method(method.to_uppercase().as_str()).uri(path).header("content-type", kind);
    let routes = service.routes(&TsaConfig::default()).unwrap();
    let response = routes.oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    (response.status().as_u16(), media_type, to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
}

// A description that lacks a route, an answer or a media type, or has one that is not there, misleads whoever writes a client from it.
#[tokio::test]
async fn the_description_says_what_is_served() {
    let document = described();
    let mut found = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            found.insert((method.clone(), path.clone()));
        }
    }
    let expected: BTreeSet<_> = PATHS.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(found, expected);
    let service = service_on(&Arc::new(MemoryArchive::new()), &Hand::new()).await;
    let query = Request::new(Imprint::of(b"text"), &SystemRandom).unwrap().to_der();
    for (method, path, kind, body, status) in [
        ("post", "/tsa", QUERY, query.clone(), 200),
        ("post", "/tsa", QUERY, b"no request".to_vec(), 200),
        ("post", "/tsa", "text/plain", query, 415),
        ("post", "/tsa", QUERY, vec![0; REQUEST_BYTES_MAX + 1], 413),
        ("get", "/tsa/certificates", "", Vec::new(), 200),
        ("get", "/health", "", Vec::new(), 200),
        ("get", "/metrics", "", Vec::new(), 200),
    ] {
        let (found, media_type, _) = ask(&service, method, path, kind, body).await;
        assert_eq!(found, status, "{method} {path}");
        let answer = &document["paths"][path][method]["responses"][status.to_string()];
        let kind = media_type.split(';').next().unwrap();
        assert!(answer["content"][kind].is_object(), "{method} {path} {status}: {kind} is not in {answer:#}");
    }
    assert_eq!(ask(&service, "get", "/tsa", "", Vec::new()).await.0, 405);
    assert_eq!(ask(&service, "get", "/other", "", Vec::new()).await.0, 404);
    let (_, _, text) = ask(&service, "get", "/metrics", "", Vec::new()).await;
    let text = String::from_utf8(text).unwrap();
    for line in ["{outcome=\"granted\"} 1", "{outcome=\"badDataFormat\"} 1"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again() {
    let service = service_on(&Arc::new(MemoryArchive::new()), &Hand::new()).await;
    let rates = toml::from_str("burst = 20\nper_second = 1\n").unwrap();
    let routes = service.routes(&TsaConfig { rates, ..TsaConfig::default() }).unwrap();
    let query = Request::new(Imprint::of(b"text"), &SystemRandom).unwrap().to_der();
    let asked = || HttpRequest::post("/tsa").header("content-type", QUERY).body(Body::from(query.clone())).unwrap();
    for _ in 0..10 {
        assert_eq!(routes.clone().oneshot(asked()).await.unwrap().status(), 200);
    }
    let refused = routes.clone().oneshot(asked()).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn an_authority_with_a_certificate_for_documents_does_not_open() {
    let key = CertificateKey::generate(KeyType::P256, &SystemRandom).unwrap();
    let other = CertificateKey::generate(KeyType::P256, &SystemRandom).unwrap();
    let foreign = own_certificate(&other, "Other", LIFETIME, now(), &SystemRandom).unwrap();
    let parts = TsaParts {
        archive: Arc::new(MemoryArchive::new()),
        key,
        certificates: vec![foreign],
        name: "Stamps".to_owned(),
        random: Arc::new(SystemRandom),
        clock: Arc::new(now),
    };
    let error = TsaService::open(parts, &TsaConfig::default()).await.err().unwrap();
    assert!(format!("{error:#}").contains("of another key"), "{error:#}");
}
