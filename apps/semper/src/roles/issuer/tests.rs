//! What could go wrong: two requests that come at once both get the last use of a credential, or both pass it on; a request that is sent again after a
//! lost answer does something else; the power fails between deciding and answering; a stranger's word takes or frees a use. Here the service runs on the
//! archive that it has in production, with requests from many tasks, and is opened again on what it has stored.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::TcpListener;

use semper_channel::{Server, ServerOptions, Transport};
use semper_core::contract::Promise;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, Slot, StatementId};
use semper_core::party::{Role, Suite};
use semper_core::time::Seconds;
use semper_crypto::{SecretKeys, SystemRandom, Verifier};
use semper_payment::admit::everybody;
use semper_store::SqliteArchive;
use semper_transfer::credential::{Condition, Reservation, Spend, Wanted, check_credential, check_reservation};
use tempfile::TempDir;

use super::*;

const NOW: Time = Time::from_unix(1_800_000_000);

struct World {
    dir: TempDir,
    archive: Arc<SqliteArchive>,
    issuer: Arc<Issuer>,
    keys: Arc<SecretKeys>,
    holder: SecretKeys,
    next: SecretKeys,
    arbiter: SecretKeys,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = Arc::new(SqliteArchive::open(dir.path()).await.unwrap());
        let [issuer, holder, next, arbiter] = [(); 4].map(|()| SecretKeys::generate(Suite::Ed25519).unwrap());
        let keys = Arc::new(issuer);
        let issuer = over(archive.clone(), keys.clone());
        Self { dir, archive, issuer, keys, holder, next, arbiter }
    }

    /// After a power failure: what is not on disk is gone.
    async fn again(&mut self) {
        self.archive.close().await.unwrap();
        self.archive = Arc::new(SqliteArchive::open(self.dir.path()).await.unwrap());
        self.issuer = over(self.archive.clone(), self.keys.clone());
    }

    fn order(&self, uses: Option<u32>) -> IssueOrder {
        IssueOrder {
            serial: "0102030405060708090a0b0c0d0e0f10".to_owned(),
            holder: self.holder.key_set().id().to_string(),
            right: "one visit".to_owned(),
            audience: Vec::new(),
            uses,
            transferable: true,
            from: NOW.unix(),
            until: NOW.unix() + 1000,
        }
    }

    async fn issued(&self, uses: Option<u32>) -> (Signed, Credential) {
        let signed = self.issuer.issue(&self.order(uses)).await.unwrap().credential;
        let credential = Credential::from_bytes(signed.payload()).unwrap();
        (signed, credential)
    }

    fn reservation(&self, serial: Serial, of: u8) -> Vec<u8> {
        let until = NOW.after(Seconds(100));
        let arbiter = self.arbiter.key_set().id();
        asked(&self.holder, &ReservationRequest { serial, tag: tag(of), arbiter, until }, None)
    }

    fn transfer(&self, serial: Serial) -> Vec<u8> {
        asked(&self.holder, &CredentialTransfer { serial, to: self.next.key_set().id(), condition: None }, None)
    }

    /// Passes it on under a contract.
    fn sale(&self, serial: Serial, of: u8) -> Vec<u8> {
        let (arbiter, giver) = (self.arbiter.key_set().id(), self.holder.key_set().id());
        let condition = Some(Condition { tag: tag(of), arbiter, until: NOW.after(Seconds(100)), giver });
        asked(&self.holder, &CredentialTransfer { serial, to: self.next.key_set().id(), condition }, None)
    }

    fn quittance(&self, by: &SecretKeys, serial: Serial, of: u8) -> Vec<u8> {
        asked(by, &Quittance { cid: cid(of), role: Role::ORIGINATOR }, Some((serial, SALT)))
    }

    fn shown(&self, by: &SecretKeys, serial: Serial, of: u8) -> Vec<u8> {
        let promises = [StatementId::from_digest(tag(0)); 2];
        let shown = Final { cid: cid(of), role: Role::RESPONDER, promises, slot: Slot::default() };
        asked(by, &shown, Some((serial, SALT)))
    }

    fn verdict(&self, by: &SecretKeys, serial: Serial, of: u8, outcome: Outcome) -> Vec<u8> {
        let cid = cid(of);
        let (basis, prior) = (vec![StatementId::from_digest(tag(0))], Vec::new());
        let verdict = Verdict { cid, slot: Slot::default(), outcome, basis, prior, time: NOW, log_index: 0 };
        asked(by, &verdict, Some((serial, SALT)))
    }
}

const SALT: [u8; 32] = [5; 32];

fn over(archive: Arc<SqliteArchive>, keys: Arc<SecretKeys>) -> Arc<Issuer> {
    let (verify, random) = (Arc::new(Verifier), Arc::new(SystemRandom));
    let (clock, address): (Clock, _) = (Arc::new(|| NOW), "https://issuer.example".to_owned());
    Issuer::new(IssuerParts { archive, keys, verify, random, clock, address })
}

fn cid(of: u8) -> Cid {
    Cid::from_digest(Digest::from_array([of; 32]))
}

fn tag(of: u8) -> Digest {
    use_tag(cid(of), &SALT)
}

fn asked(by: &SecretKeys, statement: &impl Statement, kept: Option<(Serial, [u8; 32])>) -> Vec<u8> {
    let draft = statement.draft(by.key_set().suite(), by.key_set().id());
    Submission { statement: by.sign(draft).unwrap(), signer: by.key_set().clone(), kept }.to_bytes()
}

fn refusal(answer: Result<Said, IssuerError>) -> &'static str {
    answer.map(drop).unwrap_err().name()
}

#[tokio::test]
async fn a_credential_is_issued_once_and_passed_on_once() {
    let mut world = World::new().await;
    let (signed, credential) = world.issued(Some(2)).await;
    let who = (world.holder.key_set().id(), world.arbiter.key_set().id(), "one visit");
    check_credential(&Verifier, world.keys.key_set(), &signed, who, NOW).unwrap();
    assert_eq!(world.issued(Some(2)).await.0, signed);
    let other = world.issuer.issue(&world.order(Some(3))).await;
    assert!(matches!(other, Err(IssuerError::Order(_))));
    let passed = world.issuer.submit(&world.transfer(credential.serial)).await.unwrap().unwrap();
    let next = Credential::from_bytes(passed.payload()).unwrap();
    assert_eq!((next.holder, next.uses), (world.next.key_set().id(), Uses::Counted(2)));
    assert_ne!(next.serial, credential.serial);
    // The answer was lost, and the power failed: the same request gets the same bytes.
    world.again().await;
    assert_eq!(world.issuer.submit(&world.transfer(credential.serial)).await.unwrap().unwrap(), passed);
    assert_eq!(refusal(world.issuer.submit(&world.reservation(credential.serial, 1)).await), "passed-on");
    assert_eq!(world.issuer.standing(credential.serial).await.unwrap().state, "passed-on");
    assert_eq!(world.issuer.standing(next.serial).await.unwrap().left, Some(2));
    assert_eq!(world.issuer.issued(None).await.unwrap().len(), 2);
}

// A right that nobody pays comes back, once, with the same bytes for ever; one that was paid does not, whatever is said later and whatever fails.
#[tokio::test]
async fn what_is_not_paid_is_called_back_once_and_what_is_paid_never() {
    let mut world = World::new().await;
    let serial = world.issued(Some(2)).await.1.serial;
    let passed = world.issuer.submit(&world.sale(serial, 1)).await.unwrap().unwrap();
    world.again().await;
    assert_eq!(world.issuer.submit(&world.sale(serial, 1)).await.unwrap().unwrap(), passed);
    let passed = Credential::from_bytes(passed.payload()).unwrap().serial;
    let standing = world.issuer.standing(passed).await.unwrap();
    assert_eq!((standing.state.as_str(), standing.callable_until), ("valid", Some(NOW.unix() + 100)));
    let arbiter = tag(1);
    let uses = ReservationRequest { serial: passed, tag: arbiter, arbiter: world.arbiter.key_set().id(), until: NOW };
    assert_eq!(refusal(world.issuer.submit(&asked(&world.next, &uses, None)).await), "pending");
    let gift = CredentialTransfer { serial: passed, to: world.arbiter.key_set().id(), condition: None };
    assert_eq!(refusal(world.issuer.submit(&asked(&world.next, &gift, None)).await), "pending");
    for (by, of, name) in [(&world.next, 1, "no-say"), (&world.arbiter, 2, "not-kept")] {
        assert_eq!(refusal(world.issuer.submit(&world.verdict(by, passed, of, Outcome::Revoked)).await), name);
    }
    let revoked = world.verdict(&world.arbiter, passed, 1, Outcome::Revoked);
    let back = world.issuer.submit(&revoked).await.unwrap().unwrap();
    let credential = Credential::from_bytes(back.payload()).unwrap();
    let holder = world.holder.key_set().id();
    assert_eq!((credential.holder, credential.uses, credential.condition), (holder, Uses::Counted(2), None));
    world.again().await;
    let revoked = world.verdict(&world.arbiter, passed, 1, Outcome::Revoked);
    assert_eq!(world.issuer.submit(&revoked).await.unwrap().unwrap(), back);
    assert_eq!(refusal(world.issuer.submit(&world.quittance(&world.holder, passed, 1)).await), "passed-on");
    // Sold again, and paid.
    let again = Credential::from_bytes(
        world.issuer.submit(&world.sale(credential.serial, 2)).await.unwrap().unwrap().payload(),
    );
    let again = again.unwrap().serial;
    assert_eq!(refusal(world.issuer.submit(&world.quittance(&world.next, again, 2)).await), "no-say");
    for _ in 0..2 {
        assert_eq!(world.issuer.submit(&world.quittance(&world.holder, again, 2)).await.unwrap(), None);
        world.again().await;
    }
    let resolved = world.verdict(&world.arbiter, again, 2, Outcome::Resolved);
    assert_eq!(world.issuer.submit(&resolved).await.unwrap(), None);
    let revoked = world.verdict(&world.arbiter, again, 2, Outcome::Revoked);
    assert_eq!(refusal(world.issuer.submit(&revoked).await), "settled");
    let uses = ReservationRequest { serial: again, ..uses };
    assert!(world.issuer.submit(&asked(&world.next, &uses, None)).await.is_ok());
}

// A seller whose right cannot be passed on now ends its run on that word. Whoever has kept its request, a buyer with a friend on the network, has it passed on later and pays nothing.
#[tokio::test]
async fn a_sale_that_was_refused_is_refused_for_ever() {
    let mut world = World::new().await;
    let serial = world.issued(Some(1)).await.1.serial;
    world.issuer.submit(&world.reservation(serial, 9)).await.unwrap();
    assert_eq!(refusal(world.issuer.submit(&world.sale(serial, 1)).await), "kept");
    world.issuer.submit(&world.verdict(&world.arbiter, serial, 9, Outcome::Aborted)).await.unwrap();
    world.again().await;
    assert_eq!(refusal(world.issuer.submit(&world.sale(serial, 1)).await), "refused-before");
    // What anybody else asks is not remembered, and another sale is another request.
    let foreign =
        Condition { tag: tag(2), arbiter: world.arbiter.key_set().id(), until: NOW, giver: world.next.key_set().id() };
    let foreign = CredentialTransfer { serial, to: world.next.key_set().id(), condition: Some(foreign) };
    for _ in 0..2 {
        assert_eq!(refusal(world.issuer.submit(&asked(&world.next, &foreign, None)).await), "not-holder");
    }
    assert!(world.issuer.submit(&world.sale(serial, 2)).await.is_ok());
}

#[tokio::test]
async fn a_use_is_kept_taken_and_said_to_be_taken_with_the_same_bytes() {
    let mut world = World::new().await;
    let (_, credential) = world.issued(Some(1)).await;
    let serial = credential.serial;
    let kept = world.issuer.submit(&world.reservation(serial, 1)).await.unwrap().unwrap();
    let wanted = Wanted { tag: tag(1), arbiter: world.arbiter.key_set().id(), until: NOW.after(Seconds(100)) };
    check_reservation(&Verifier, world.keys.key_set(), &kept, &credential, &wanted).unwrap();
    world.again().await;
    assert_eq!(world.issuer.submit(&world.reservation(serial, 1)).await.unwrap().unwrap(), kept);
    assert_eq!(refusal(world.issuer.submit(&world.reservation(serial, 2)).await), "kept");
    assert_eq!(refusal(world.issuer.submit(&world.transfer(serial)).await), "kept");
    // A stranger's word counts nothing, nor a word about another contract.
    assert_eq!(refusal(world.issuer.submit(&world.shown(&world.next, serial, 1)).await), "no-say");
    for outcome in [Outcome::Aborted, Outcome::Resolved] {
        assert_eq!(refusal(world.issuer.submit(&world.verdict(&world.next, serial, 1, outcome)).await), "no-say");
    }
    assert_eq!(refusal(world.issuer.submit(&world.shown(&world.holder, serial, 2)).await), "not-kept");
    let spent = world.issuer.submit(&world.shown(&world.holder, serial, 1)).await.unwrap().unwrap();
    assert_eq!(Spend::from_bytes(spent.payload()).unwrap().tag, tag(1));
    world.again().await;
    let resolved = world.verdict(&world.arbiter, serial, 1, Outcome::Resolved);
    assert_eq!(world.issuer.submit(&resolved).await.unwrap().unwrap(), spent);
    assert_eq!(refusal(world.issuer.submit(&world.reservation(serial, 2)).await), "used-up");
    let aborted = world.verdict(&world.arbiter, serial, 1, Outcome::Aborted);
    assert_eq!(refusal(world.issuer.submit(&aborted).await), "conflict");
}

#[tokio::test]
async fn an_abort_frees_a_use() {
    let world = World::new().await;
    let serial = world.issued(Some(1)).await.1.serial;
    world.issuer.submit(&world.reservation(serial, 1)).await.unwrap();
    let aborted = world.verdict(&world.arbiter, serial, 1, Outcome::Aborted);
    for _ in 0..2 {
        assert_eq!(world.issuer.submit(&aborted).await.unwrap(), None);
    }
    assert!(world.issuer.submit(&world.reservation(serial, 2)).await.is_ok());
}

// What is asked with a signed statement of another kind, with a wrong signature, or of nobody, changes nothing.
#[tokio::test]
async fn what_an_issuer_is_not_asked_with_is_refused() {
    let world = World::new().await;
    let serial = world.issued(None).await.1.serial;
    let promise = Promise { cid: cid(1), role: Role::RESPONDER, answers: None };
    assert_eq!(refusal(world.issuer.submit(&asked(&world.holder, &promise, None)).await), "wrong-kind");
    let request = Submission::from_bytes(&world.reservation(serial, 1)).unwrap();
    let foreign = Submission { signer: world.next.key_set().clone(), ..request };
    assert_eq!(refusal(world.issuer.submit(&foreign.to_bytes()).await), "signature");
    assert_eq!(refusal(world.issuer.submit(b"what?").await), "malformed");
    let unknown = world.reservation(Serial::from_array([0; 16]), 1);
    assert_eq!(refusal(world.issuer.submit(&unknown).await), "unknown");
    // One that may be used freely is good for every contract, and keeps nothing.
    for of in 1..4 {
        let kept = world.issuer.submit(&world.reservation(serial, of)).await.unwrap().unwrap();
        assert_eq!(Reservation::from_bytes(kept.payload()).unwrap().number, None);
    }
    assert_eq!(world.issuer.standing(serial).await.unwrap().kept, 0);
}

// Forty contracts want the last three uses, and somebody passes the credential on, all at once: three get one, or it was passed on before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_all_who_come_at_once_as_many_get_a_use_as_there_are() {
    let world = World::new().await;
    let serial = world.issued(Some(3)).await.1.serial;
    let requests: Vec<_> = (1..=40).map(|of| world.reservation(serial, of)).chain([world.transfer(serial)]).collect();
    let tasks = requests.into_iter().map(|request| {
        let issuer = world.issuer.clone();
        tokio::spawn(async move { issuer.submit(&request).await })
    });
    let (mut numbers, mut passed, mut refused) = (Vec::new(), 0, 0);
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(said) => match said.unwrap() {
                said if said.kind() == Kind::Reservation => {
                    numbers.extend(Reservation::from_bytes(said.payload()).unwrap().number);
                }
                _ => passed += 1,
            },
            Err(IssuerError::Refused(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let distinct: BTreeSet<_> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "one use was kept for two contracts: {numbers:?}");
    assert_eq!(numbers.len() + passed + refused, 41);
    assert!(if passed == 0 { numbers.len() == 3 } else { numbers.is_empty() }, "{numbers:?} and {passed} passed on");
}

async fn serve(issuer: &Arc<Issuer>) -> (Server, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let routes = issuer.routes(&everybody());
    (Server::start(listener, routes, Transport::Plain, &ServerOptions::default()).unwrap(), base)
}

// A description that lacks a route, or has one that is not there, misleads whoever writes a client from it.
#[tokio::test]
async fn the_interface_is_as_described() {
    let text = include_str!("../../../../../spec/openapi/issuer.yaml");
    let described: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':')).collect();
    let there: BTreeSet<_> = PATHS.iter().map(|(_, path)| path.trim_start_matches('/')).collect();
    assert_eq!(described, there);
    let world = World::new().await;
    let serial = world.issued(Some(1)).await.1.serial;
    let (_server, base) = serve(&world.issuer).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |media_type: &str, body: Vec<u8>| {
        http.post(format!("{base}/v1/requests")).header("content-type", media_type).body(body).send()
    };
    let kept = post("application/cbor", world.reservation(serial, 1)).await.unwrap();
    assert_eq!((kept.status().as_u16(), &kept.headers()["content-type"]), (200, &"application/cose".parse().unwrap()));
    assert!(Signed::from_bytes(&kept.bytes().await.unwrap()).is_ok());
    let verdict = world.verdict(&world.arbiter, serial, 1, Outcome::Aborted);
    assert_eq!(post("application/cbor", verdict).await.unwrap().status(), 204);
    for (media_type, body, status, name) in [
        ("application/json", world.reservation(serial, 1), 415, "wrong-type"),
        ("application/cbor", vec![0; Submission::BYTES_MAX + 1], 413, "too-large"),
        ("application/cbor", vec![0; 10], 400, "malformed"),
        ("application/cbor", world.shown(&world.holder, serial, 9), 409, "not-kept"),
    ] {
        let refused = post(media_type, body).await.unwrap();
        assert_eq!(refused.status().as_u16(), status, "{name}");
        let problem: serde_json::Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], format!("urn:semper:problem:issuer:{name}"));
        assert!(text.contains(&format!("- urn:semper:problem:issuer:{name}\n")), "{name} is not described");
    }
    let left: serde_json::Value =
        http.get(format!("{base}/v1/credentials/{serial}")).send().await.unwrap().json().await.unwrap();
    assert_eq!((&left["state"], &left["left"]), (&"valid".into(), &1.into()));
    assert_eq!(http.get(format!("{base}/health")).send().await.unwrap().status(), 200);
    let metrics = http.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("{verb=\"reservation-request\",outcome=\"done\"} 1"), "{metrics}");
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again() {
    let world = World::new().await;
    let admit: semper_payment::admit::Admit = Arc::new(|_, _| Err(std::time::Duration::from_millis(6500)));
    let request = axum::http::Request::get("/health").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(world.issuer.routes(&admit), request).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"7".parse().unwrap()));
}
