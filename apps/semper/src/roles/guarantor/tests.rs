//! What could go wrong: several servers together certify more than the limit; a request that is sent again after a lost answer makes a second cover, a claim a
//! second debt; the power fails between deciding and answering; a stranger's word releases a cover. Here the service runs on the archive that it has in production,
//! with two servers and requests from many tasks, and is opened again on what it has stored.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};

use semper_channel::{Server, ServerOptions, Transport};
use semper_core::amount::{Amount, Currency};
use semper_core::contract::{
    ArbiterRef, Deadlines, Final, Item as Given, ItemKind, PartyRef, Profile, Promise, Quittance, Terms, TextRef,
};
use semper_core::domain;
use semper_core::ids::{DealId, Slot, StatementId, TemplateId};
use semper_core::party::{Role, Suite};
use semper_core::time::Time;
use semper_crypto::{SecretKeys, Verifier};
use semper_exchange::arbiter::rules_hash;
use semper_exchange::cover::register::Booking;
use semper_exchange::cover::{Agreement, CoverRuling, Outcome, cover_tag};
use semper_exchange::evidence::Item;
use semper_payment::admit::everybody;
use semper_store::SqliteArchive;
use tempfile::TempDir;

use super::*;

const NOW: u64 = 1_800_000_000;
const ANSWER: Seconds = Seconds(100);
const OPENING: [u8; 32] = [5; 32];

struct World {
    dir: TempDir,
    archive: Arc<SqliteArchive>,
    servers: [Arc<Guarantor>; 2],
    keys: Arc<SecretKeys>,
    customer: SecretKeys,
    seller: SecretKeys,
    arbiter: SecretKeys,
    clock: Arc<AtomicU64>,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = Arc::new(SqliteArchive::open(dir.path()).await.unwrap());
        let [keys, customer, seller, arbiter] = [(); 4].map(|()| SecretKeys::generate(Suite::Ed25519).unwrap());
        let (keys, clock) = (Arc::new(keys), Arc::new(AtomicU64::new(NOW)));
        let servers = [(); 2].map(|()| over(&archive, &keys, &clock));
        let world = Self { dir, archive, servers, keys, customer, seller, arbiter, clock };
        world.servers[0].accept(&world.agreement(100, 60)).await.unwrap();
        world
    }

    /// After a power failure: what is not on disk is gone.
    async fn again(&mut self) {
        self.archive.close().await.unwrap();
        self.archive = Arc::new(SqliteArchive::open(self.dir.path()).await.unwrap());
        self.servers = [(); 2].map(|()| over(&self.archive, &self.keys, &self.clock));
    }

    fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    fn agreement(&self, limit: u64, per_deal: u64) -> Vec<u8> {
        let guarantor = self.keys.key_set().id();
        let (until, issued) = (at(1_000_000), at(0));
        let agreement = Agreement { guarantor, limit: money(limit), per_deal: money(per_deal), until, issued };
        asked(&self.customer, &agreement, None)
    }

    /// A request for a cover under the contract of a number.
    fn request(&self, of: u8, minor: u64) -> Vec<u8> {
        let request = CoverRequest {
            cover: id(of),
            guarantor: self.keys.key_set().id(),
            tag: cover_tag(self.core(of).cid(), &OPENING),
            amount: money(minor),
            subject: self.customer.key_set().id(),
            accept_before: at(1_000),
            claim_by: at(10_000),
        };
        asked(&self.customer, &request, None)
    }

    fn core(&self, of: u8) -> Core {
        let [o, r, arbiter] = [&self.customer, &self.seller, &self.arbiter].map(|keys| keys.key_set().id());
        let party = |role, key_set| PartyRef { role, key_set };
        let item = |owner: Role| {
            let (kind, descriptor, slot) = (ItemKind::Signature, Vec::new(), Slot::default());
            Given { kind, owner, recipient: owner.peer(), descriptor, slot }
        };
        let (delta, sigma) = (Seconds(300), Seconds(60));
        let (complaints, refund_after) = (None, None);
        let terms = Terms {
            profile: Profile::C2,
            parties: vec![party(Role::ORIGINATOR, o), party(Role::RESPONDER, r)],
            arbiter: Some(ArbiterRef { key_set: arbiter, deposit_key: None, log: arbiter, rules: rules_hash() }),
            items: [Role::ORIGINATOR, Role::RESPONDER].map(item).into(),
            deadlines: Deadlines { not_after: at(5_000), complaints, refund_after, delta, sigma },
            text: TextRef {
                template: TemplateId::from_digest(Digest::of(domain::TEMPLATE, b"")),
                fields: Digest::of(domain::FIELDS, b""),
                locale: "en".to_owned(),
                render: Digest::of(domain::RENDER, b""),
            },
            links: Vec::new(),
            nonce: [of; 32],
        };
        Core { terms, deposits: BTreeMap::new() }
    }

    /// The folder of a contract that binds both, with whatever else.
    fn folder(&self, of: u8, more: &[Signed]) -> Vec<u8> {
        let core = self.core(of);
        let (cid, slot) = (core.cid(), Slot::default());
        let promise = |role, answers| Promise { cid, role, answers };
        let first = say(&self.customer, &promise(Role::ORIGINATOR, None));
        let second = say(&self.seller, &promise(Role::RESPONDER, Some(first.id())));
        let promises: [StatementId; 2] = [first.id(), second.id()];
        let completed = |by: &SecretKeys, role| say(by, &Final { cid, role, promises, slot });
        let finals = [completed(&self.customer, Role::ORIGINATOR), completed(&self.seller, Role::RESPONDER)];
        let item = |kind, bytes| Item { kind, bytes, time: at(0) };
        let keys = [&self.customer, &self.seller, &self.arbiter];
        let keys = keys.map(|keys| item(EvidenceKind::KeySet, keys.key_set().to_bytes()));
        let said = [first, second].into_iter().chain(finals).chain(more.iter().cloned());
        let said = said.map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec()));
        let items = [item(EvidenceKind::Core, core.to_bytes())].into_iter().chain(keys).chain(said).collect();
        Folder { deal: DealId::from_array([of; 16]), items }.to_bytes()
    }

    /// A claim whose folder names another deal.
    fn claim_elsewhere(&self, of: u8, minor: u64) -> Vec<u8> {
        let claim = CoverClaim { cover: id(of), cid: self.core(of).cid(), amount: money(minor) };
        let folder =
            Folder { deal: DealId::from_array([99; 16]), ..Folder::from_bytes(&self.folder(of, &[])).unwrap() };
        asked(&self.seller, &claim, Some((OPENING, folder.to_bytes())))
    }

    fn claim(&self, by: &SecretKeys, of: u8, minor: u64) -> Vec<u8> {
        let claim = CoverClaim { cover: id(of), cid: self.core(of).cid(), amount: money(minor) };
        asked(by, &claim, Some((OPENING, self.folder(of, &[]))))
    }

    fn release(&self, by: &SecretKeys, of: u8, more: &[Signed]) -> Vec<u8> {
        let release = CoverRelease { cover: id(of), cid: self.core(of).cid() };
        asked(by, &release, Some((OPENING, self.folder(of, more))))
    }

    fn quittance(&self, of: u8) -> Signed {
        say(&self.seller, &Quittance { cid: self.core(of).cid(), role: Role::RESPONDER })
    }

    async fn account(&self) -> AccountView {
        self.servers[0].accounts(None).await.unwrap().remove(0)
    }
}

fn over(archive: &Arc<SqliteArchive>, keys: &Arc<SecretKeys>, clock: &Arc<AtomicU64>) -> Arc<Guarantor> {
    let now = clock.clone();
    Guarantor::new(GuarantorParts {
        archive: archive.clone(),
        keys: keys.clone(),
        verify: Arc::new(Verifier),
        clock: Arc::new(move || Time::from_unix(now.load(Ordering::SeqCst))),
        address: "https://guarantor.example".to_owned(),
        answer: ANSWER,
    })
}

const fn at(seconds: u64) -> Time {
    Time::from_unix(NOW + seconds)
}

fn money(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

fn id(of: u8) -> CoverId {
    CoverId::from_array([of; 16])
}

fn say(by: &SecretKeys, statement: &impl Statement) -> Signed {
    by.sign(statement.draft(Suite::Ed25519, by.key_set().id())).unwrap()
}

fn asked(by: &SecretKeys, statement: &impl Statement, opened: Option<([u8; 32], Vec<u8>)>) -> Vec<u8> {
    Submission { statement: say(by, statement), signer: by.key_set().clone(), opened }.to_bytes()
}

fn refusal(said: Result<Signed, GuarantorError>) -> &'static str {
    said.expect_err("it was not refused").name()
}

fn outcome(said: &Signed) -> Outcome {
    CoverRuling::from_bytes(said.payload()).unwrap().outcome
}

// The answer is lost, the power fails, and the customer asks again: it is one cover, and it is counted once.
#[tokio::test]
async fn the_same_request_gets_the_same_cover() {
    let mut world = World::new().await;
    let request = world.request(1, 60);
    let given = world.servers[0].submit(&request).await.unwrap();
    assert_eq!(Cover::from_bytes(given.payload()).unwrap().amount, money(60));
    world.again().await;
    world.pass(50);
    assert_eq!(world.servers[1].submit(&request).await.unwrap(), given);
    assert_eq!(world.account().await.reserved, "0.60 EUR");
    // Another request under its name, or for its contract, is refused; also when it is over.
    let renamed = CoverRequest { cover: id(2), ..CoverRequest::from_bytes(&payload(&request)).unwrap() };
    let dearer = CoverRequest { amount: money(10), ..CoverRequest::from_bytes(&payload(&request)).unwrap() };
    world.servers[0].submit(&world.release(&world.seller, 1, &[])).await.unwrap();
    assert_eq!(refusal(world.servers[0].submit(&asked(&world.customer, &dearer, None)).await), "conflict");
    assert_eq!(refusal(world.servers[0].submit(&asked(&world.customer, &renamed, None)).await), "contract-has-cover");
    assert_eq!(world.servers[0].submit(&request).await.unwrap(), given);
    assert_eq!(world.account().await.reserved, "0.00 EUR");
}

fn payload(submission: &[u8]) -> Vec<u8> {
    Submission::from_bytes(submission).unwrap().statement.payload().to_vec()
}

// Forty contracts want the last of the limit, at two servers on one store, all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_together_stay_within_the_limit() {
    let world = World::new().await;
    let tasks = (1..=40_u8).map(|of| {
        let (server, request) = (world.servers[usize::from(of % 2)].clone(), world.request(of, 30));
        tokio::spawn(async move { server.submit(&request).await })
    });
    let (mut given, mut refused) = (0, 0);
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            Ok(_) => given += 1,
            Err(GuarantorError::Refused(Refusal::Limit { .. })) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((given, refused), (3, 37));
    let account = world.account().await;
    assert_eq!((account.reserved.as_str(), account.left.as_str()), ("0.90 EUR", "0.10 EUR"));
    assert!(world.servers[1].submit(&world.request(50, 10)).await.is_ok(), "the twin: what fits is given");
}

// A claim twice, with a power failure in between, is one claim, and it is paid once.
#[tokio::test]
async fn a_claim_is_answered_or_paid() {
    let mut world = World::new().await;
    for of in [1, 2] {
        world.servers[0].submit(&world.request(of, 50)).await.unwrap();
    }
    let claims = [world.claim(&world.seller, 1, 40), world.claim(&world.seller, 2, 50)];
    let said = world.servers[0].submit(&claims[0]).await.unwrap();
    let to = world.seller.key_set().id();
    assert_eq!(outcome(&said), Outcome::Claimed { amount: money(40), to, answer_by: at(100) });
    world.again().await;
    world.pass(30);
    assert_eq!(world.servers[1].submit(&claims[0]).await.unwrap(), said);
    // The customer answers one of them with the seller's own word, the other one not at all.
    world.servers[0].submit(&claims[1]).await.unwrap();
    assert_eq!(refusal(world.servers[0].submit(&world.release(&world.customer, 2, &[])).await), "owed");
    let answer = world.release(&world.customer, 2, &[world.quittance(2)]);
    assert_eq!(outcome(&world.servers[0].submit(&answer).await.unwrap()), Outcome::Rejected);
    assert_eq!(outcome(&world.servers[1].submit(&claims[1]).await.unwrap()), Outcome::Rejected);
    world.pass(71);
    for server in &world.servers {
        let paid = server.submit(&claims[0]).await.unwrap();
        assert_eq!(outcome(&paid), Outcome::Paid { amount: money(40), to });
    }
    let late = world.release(&world.customer, 1, &[world.quittance(1)]);
    assert_eq!(refusal(world.servers[0].submit(&late).await), "paid");
    let account = world.account().await;
    assert_eq!((account.paid.as_str(), account.left.as_str()), ("0.40 EUR", "0.60 EUR"));
    world.servers[0].book(id(1), Booking::PaidOut).await.unwrap();
    assert_eq!(world.servers[0].book(id(1), Booking::Repaid).await.unwrap().state, "repaid");
    assert_eq!(world.servers[1].book(id(1), Booking::Repaid).await.unwrap().state, "repaid");
    assert_eq!(world.account().await.left, "1.00 EUR");
}

// A claimant that names another deal would have it that nothing counts which its customer shows.
#[tokio::test]
async fn a_claim_is_answered_whatever_deal_it_names() {
    let world = World::new().await;
    let server = &world.servers[0];
    server.submit(&world.request(1, 50)).await.unwrap();
    let claimed = server.submit(&world.claim_elsewhere(1, 50)).await.unwrap();
    assert!(matches!(outcome(&claimed), Outcome::Claimed { .. }));
    assert_eq!(refusal(server.submit(&world.release(&world.customer, 1, &[])).await), "owed");
    let answer = world.release(&world.customer, 1, &[world.quittance(1)]);
    assert_eq!(outcome(&server.submit(&answer).await.unwrap()), Outcome::Rejected);
}

// A stranger, the customer, or the seller with another contract.
#[tokio::test]
async fn nobody_else_has_a_say() {
    let world = World::new().await;
    let server = &world.servers[0];
    server.submit(&world.request(1, 60)).await.unwrap();
    let stranger = SecretKeys::generate(Suite::Ed25519).unwrap();
    assert_eq!(refusal(server.submit(&world.claim(&stranger, 1, 60)).await), "no-say");
    assert_eq!(refusal(server.submit(&world.claim(&world.customer, 1, 60)).await), "no-say");
    assert_eq!(refusal(server.submit(&world.release(&stranger, 1, &[])).await), "no-say");
    let other = CoverClaim { cover: id(1), cid: world.core(2).cid(), amount: money(60) };
    let other = asked(&world.seller, &other, Some((OPENING, world.folder(2, &[]))));
    assert_eq!(refusal(server.submit(&other).await), "other-contract");
    let unopened = CoverClaim { cover: id(1), cid: world.core(1).cid(), amount: money(60) };
    let unopened = asked(&world.seller, &unopened, Some(([6; 32], world.folder(1, &[]))));
    assert_eq!(refusal(server.submit(&unopened).await), "other-contract");
    assert_eq!(refusal(server.submit(&world.claim(&world.seller, 9, 60)).await), "unknown");
    assert_eq!(refusal(server.submit(&world.agreement(100, 60)).await), "wrong-kind");
    assert_eq!(refusal(server.submit(b"what?").await), "malformed");
    let request = Submission::from_bytes(&world.request(3, 10)).unwrap();
    let foreign = Submission { signer: stranger.key_set().clone(), ..request };
    assert_eq!(refusal(server.submit(&foreign.to_bytes()).await), "signature");
    let elsewhere =
        CoverRequest { guarantor: to(&stranger), ..CoverRequest::from_bytes(&payload(&world.request(3, 10))).unwrap() };
    assert_eq!(refusal(server.submit(&asked(&world.customer, &elsewhere, None)).await), "other-guarantor");
    let uninvited = CoverRequest::from_bytes(&payload(&world.request(3, 10))).unwrap();
    assert_eq!(refusal(server.submit(&asked(&stranger, &uninvited, None)).await), "no-agreement");
    assert!(server.submit(&world.claim(&world.seller, 1, 60)).await.is_ok(), "the twin: the seller has a say");
}

fn to(keys: &SecretKeys) -> KeySetId {
    keys.key_set().id()
}

#[tokio::test]
async fn after_a_revocation_nothing_is_given_and_what_was_given_stays() {
    let world = World::new().await;
    let server = &world.servers[0];
    server.submit(&world.request(1, 60)).await.unwrap();
    let revoked = server.revoke(world.customer.key_set().id()).await.unwrap();
    assert_eq!(revoked.revoked, Some(NOW));
    assert_eq!(refusal(world.servers[1].submit(&world.request(2, 10)).await), "revoked");
    assert!(server.submit(&world.claim(&world.seller, 1, 60)).await.is_ok());
    // What nobody has claimed by its date is free, and its name is remembered.
    let world = World::new().await;
    let server = &world.servers[0];
    server.submit(&world.request(1, 60)).await.unwrap();
    world.pass(10_121);
    assert_eq!(server.standing(id(1)).await.unwrap().state, "expired");
    assert_eq!(world.account().await.left, "1.00 EUR");
    assert_eq!(refusal(server.submit(&world.claim(&world.seller, 1, 60)).await), "ended");
}

async fn serve(guarantor: &Arc<Guarantor>) -> (Server, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let routes = guarantor.routes(&everybody());
    (Server::start(listener, routes, Transport::Plain, &ServerOptions::default()).unwrap(), base)
}

// A description that lacks a route, or has one that is not there, misleads whoever writes a client from it.
#[tokio::test]
async fn the_interface_is_as_described() {
    let text = include_str!("../../../../../spec/openapi/guarantor.yaml");
    let described: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("  /")?.strip_suffix(':')).collect();
    let there: BTreeSet<_> = PATHS.iter().map(|(_, path)| path.trim_start_matches('/')).collect();
    assert_eq!(described, there);
    let world = World::new().await;
    let (_server, base) = serve(&world.servers[0]).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |media_type: &str, body: Vec<u8>| {
        http.post(format!("{base}/v1/requests")).header("content-type", media_type).body(body).send()
    };
    let given = post("application/cbor", world.request(1, 60)).await.unwrap();
    assert_eq!(
        (given.status().as_u16(), &given.headers()["content-type"]),
        (200, &"application/cose".parse().unwrap())
    );
    assert_eq!(Signed::from_bytes(&given.bytes().await.unwrap()).unwrap().kind(), Kind::Cover);
    for (media_type, body, status, name) in [
        ("application/json", world.request(2, 1), 415, "wrong-type"),
        ("application/cbor", vec![0; Submission::BYTES_MAX + 1], 413, "too-large"),
        ("application/cbor", vec![0; 10], 400, "malformed"),
        ("application/cbor", world.request(2, 41), 409, "limit"),
        ("application/cbor", world.claim(&world.customer, 1, 1), 403, "no-say"),
        ("application/cbor", world.claim(&world.seller, 9, 1), 404, "unknown"),
    ] {
        let refused = post(media_type, body).await.unwrap();
        assert_eq!(refused.status().as_u16(), status, "{name}");
        let problem: serde_json::Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], format!("urn:semper:problem:guarantor:{name}"));
        assert!(text.contains(&format!("- urn:semper:problem:guarantor:{name}\n")), "{name} is not described");
    }
    let left: serde_json::Value =
        http.get(format!("{base}/v1/covers/{}", id(1))).send().await.unwrap().json().await.unwrap();
    assert_eq!((&left["state"], &left["amount"]), (&"reserved".into(), &"0.60 EUR".into()));
    assert_eq!(http.get(format!("{base}/health")).send().await.unwrap().status(), 200);
    let metrics = http.get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("{verb=\"cover-request\",outcome=\"done\"} 1"), "{metrics}");
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_again() {
    let world = World::new().await;
    let admit: semper_payment::admit::Admit = Arc::new(|_, _| Err(std::time::Duration::from_millis(6500)));
    let request = axum::http::Request::get("/health").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(world.servers[0].routes(&admit), request).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (429, &"7".parse().unwrap()));
}
