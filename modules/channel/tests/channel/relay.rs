//! The mailbox: nothing is lost, nobody but the owner fetches, nothing grows without bound.

use std::collections::BTreeSet;
use std::sync::Arc;

use semper_channel::{
    Admission, ClientOptions, MAILBOX_REQUEST_TYPE, MailboxRequest, Polled, Quota, Relay, RelayInbox, SEALED_TYPE,
    SignedRequest, Transport, mailbox_url,
};
use semper_core::cbor::Encode;
use semper_core::cose::{Signed, Statement};
use semper_core::hash::Digest;
use semper_core::party::Suite;
use semper_core::signature;
use semper_core::time::Seconds;
use semper_core::{cbor, domain};
use semper_crypto::{OpenKey, SecretKeys, SystemRandom, Verifier};
use semper_store::{MemoryArchive, SqliteArchive};
use semper_support::archive::Archive;
use semper_support::channel::{Delivered, InboxAddress, Post, PostError, Receipt, Refusal};
use semper_support::crypto::{KemSuite, Open, Signer};
use tokio::sync::watch;

use crate::support::{HandClock, Node, Raw, bind, frame, keys, limits, post, send, serve, within};

/// A relay on a socket; its port and archive outlive it, so that it can be started again.
struct Desk {
    archive: Arc<dyn Archive>,
    signer: Arc<SecretKeys>,
    clock: HandClock,
    quota: Quota,
    server: Option<semper_channel::Server>,
    relay: Arc<Relay>,
    port: u16,
}

impl Desk {
    async fn new(quota: Quota) -> Self {
        Self::on(Arc::new(MemoryArchive::new()), quota).await
    }

    async fn on(archive: Arc<dyn Archive>, quota: Quota) -> Self {
        let (signer, clock) = (keys(), HandClock::new());
        let listener = bind();
        let port = listener.local_addr().unwrap().port();
        let relay = open(&archive, &signer, &clock, &quota, port).await;
        let server = Some(serve(listener, router(&relay), Transport::Plain));
        Self { archive, signer, clock, quota, server, relay, port }
    }

    /// Stops the relay and starts another one on the same archive.
    async fn restart(mut self, archive: Arc<dyn Archive>) -> Self {
        self.server.take().unwrap().stop(std::time::Duration::ZERO).await.unwrap();
        self.archive = archive;
        self.relay = open(&self.archive, &self.signer, &self.clock, &self.quota, self.port).await;
        let listener = within(async {
            loop {
                match std::net::TcpListener::bind(("127.0.0.1", self.port)) {
                    Ok(listener) => break listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
        self.server = Some(serve(listener.await, router(&self.relay), Transport::Plain));
        self
    }

    fn url(&self, owner: &SecretKeys) -> String {
        mailbox_url(&format!("http://127.0.0.1:{}/mailbox/", self.port), &owner.key_set().id())
    }

    fn owner(&self, node: &Arc<Node>) -> Owner {
        self.owner_with(node, keys())
    }

    fn owner_with(&self, node: &Arc<Node>, signer: Arc<SecretKeys>) -> Owner {
        let open = Arc::new(OpenKey::generate(KemSuite::X25519).unwrap());
        let url = self.url(&signer);
        let address = InboxAddress {
            url: url.clone(),
            suite: KemSuite::X25519,
            public_key: open.public_key().to_vec(),
            agent: None,
        };
        let inbox = RelayInbox::new(
            url,
            signer.clone(),
            open,
            node.clone(),
            Arc::new(SystemRandom),
            self.clock.clock(),
            &ClientOptions::default(),
        );
        Owner { signer, address, inbox: inbox.unwrap() }
    }

    /// Sends a request as it is.
    async fn request(&self, owner: &SecretKeys, body: &[u8]) -> Raw {
        let path = format!("/mailbox/{}/fetch", owner.key_set().id());
        send(([127, 0, 0, 1], self.port).into(), &path, MAILBOX_REQUEST_TYPE, body).await
    }

    async fn deposit(&self, owner: &Owner, seq: u64, body: &[u8]) -> Result<Vec<u8>, PostError> {
        let sealed = post().seal(&owner.address, &frame(seq, body)).unwrap();
        post().post(&owner.address.url, &sealed).await.map(|_| sealed)
    }
}

async fn open(
    archive: &Arc<dyn Archive>,
    signer: &Arc<SecretKeys>,
    clock: &HandClock,
    quota: &Quota,
    port: u16,
) -> Arc<Relay> {
    let base = format!("http://127.0.0.1:{port}/mailbox");
    let relay = Relay::open(archive.clone(), signer.clone(), Arc::new(Verifier), base, clock.clock(), quota.clone());
    relay.await.unwrap()
}

fn router(relay: &Arc<Relay>) -> axum::Router {
    axum::Router::new().nest("/mailbox", relay.router(limits()))
}

struct Owner {
    signer: Arc<SecretKeys>,
    address: InboxAddress,
    inbox: RelayInbox,
}

const NOW: Seconds = Seconds(0);

fn taken(taken: usize) -> Polled {
    Polled { taken, ..Polled::default() }
}

fn ask(url: &str, number: u64) -> MailboxRequest {
    MailboxRequest { mailbox: url.to_owned(), number, stored: Vec::new(), wait: NOW, items_max: 10 }
}

fn signed(request: &MailboxRequest, keys: &SecretKeys) -> Vec<u8> {
    let signed = keys.sign(request.draft(keys.key_set().suite(), keys.key_set().id())).unwrap();
    SignedRequest { signed, keys: keys.key_set().clone() }.to_bytes()
}

#[tokio::test]
async fn a_message_waits_for_its_owner() {
    let (desk, node) = (Desk::new(Quota::default()).await, Node::willing());
    let mut owner = desk.owner(&node);
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(0));
    let post = post();
    let sealed = post.seal(&owner.address, &frame(1, b"for later")).unwrap();
    let posted = post.post(&owner.address.url, &sealed).await.unwrap();
    let receipt =
        signature::verify::<Receipt>(&Verifier, desk.signer.key_set(), &Signed::from_bytes(&posted.receipt).unwrap());
    assert_eq!(receipt.unwrap().statement().sealed, Digest::of(domain::SEALED, &sealed));

    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(1));
    assert_eq!(node.frames(), [frame(1, b"for later")]);
    // The next request tells the relay; the mailbox is empty then.
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(0));
    assert_eq!(node.frames().len(), 1);
}

// What the owner has not confirmed stays: a crash between fetching and storing must lose nothing.
#[tokio::test]
async fn messages_stay_until_they_are_acknowledged() {
    let (desk, node) = (Desk::new(Quota::default()).await, Node::willing());
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    let sealed = desk.deposit(&owner, 1, b"x").await.unwrap();
    let asks = |number, stored: Vec<Digest>| {
        signed(&MailboxRequest { stored, ..ask(&owner.address.url, number) }, &owner.signer)
    };
    let high = u64::MAX / 2;
    let holds = |raw: &Raw| raw.body.windows(sealed.len()).any(|part| part == sealed);
    for n in 0..3 {
        assert!(holds(&desk.request(&owner.signer, &asks(high + n, Vec::new())).await));
    }
    // Acknowledged twice, and together with an envelope that was never there.
    let gone = vec![Digest::of(domain::SEALED, &sealed), Digest::of(domain::SEALED, b"never there")];
    for n in 10..12 {
        let raw = desk.request(&owner.signer, &asks(high + n, gone.clone())).await;
        assert_eq!((raw.status, holds(&raw)), (200, false));
    }
    let records = desk.archive.records("relay.mail", None, 10).await.unwrap();
    assert!(records.is_empty(), "the envelope itself is removed");
}

// A doubled deposit is one message with one receipt, and a receipt is not given for what is not stored.
#[tokio::test]
async fn a_doubled_deposit_is_one_message() {
    let (desk, node) = (Desk::new(Quota::default()).await, Node::willing());
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    let post = post();
    let sealed = post.seal(&owner.address, &frame(1, b"x")).unwrap();
    let first = post.post(&owner.address.url, &sealed).await.unwrap();
    desk.clock.forward(100);
    for _ in 0..4 {
        assert_eq!(post.post(&owner.address.url, &sealed).await.unwrap(), first);
    }
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(1));
}

#[tokio::test]
async fn strangers_cannot_fetch() {
    let (desk, node) = (Desk::new(Quota::default()).await, Node::willing());
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    desk.deposit(&owner, 1, b"x").await.unwrap();
    let stranger = keys();
    let url = &owner.address.url;
    let high = u64::MAX / 2;
    // Signed by a stranger under its own name, under the owner's, and with the owner's signature on another request.
    let own = signed(&ask(url, high), &stranger);
    desk.request(&owner.signer, &own).await.problem(403, "not-owner", false);
    let claimed = stranger.sign(ask(url, high).draft(Suite::Ed25519, stranger.key_set().id())).unwrap();
    let draft = ask(url, high).draft(Suite::Ed25519, owner.signer.key_set().id());
    let forged = draft.assemble(claimed.signatures().map(|(_, _, s)| s.to_vec()).collect()).unwrap();
    let forged = SignedRequest { signed: forged, keys: owner.signer.key_set().clone() }.to_bytes();
    desk.request(&owner.signer, &forged).await.problem(403, "not-owner", false);
    let elsewhere = signed(&ask("https://relay.example/mailbox/x", high), &owner.signer);
    desk.request(&owner.signer, &elsewhere).await.problem(403, "not-owner", false);
    for garbage in [&b""[..], b"garbage", &cbor::record().put(0, 1_u64).build().encode()] {
        desk.request(&owner.signer, garbage).await.problem(400, "malformed", false);
    }
    // None of it has used up a number or a message.
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(1));
}

// Whoever overhears a request must gain nothing by sending it again, not even after the relay has forgotten everything in memory.
#[tokio::test]
async fn a_request_works_once_also_across_a_restart() {
    let (desk, node) = (Desk::new(Quota::default()).await, Node::willing());
    let owner = desk.owner(&node);
    let (url, signer) = (owner.address.url.clone(), owner.signer.clone());
    let request = signed(&ask(&url, 5), &signer);
    assert_eq!(desk.request(&signer, &request).await.status, 200);
    let document = desk.request(&signer, &request).await.problem(409, "stale", false);
    assert_eq!(document["last"], 5);
    desk.request(&signer, &signed(&ask(&url, 4), &signer)).await.problem(409, "stale", false);
    let archive = desk.archive.clone();
    let desk = desk.restart(archive).await;
    desk.request(&signer, &request).await.problem(409, "stale", false);
    assert_eq!(desk.request(&signer, &signed(&ask(&url, 6), &signer)).await.status, 200);
}

// An owner whose clock is behind, or who has a second device, must not be locked out by its own earlier numbers.
#[tokio::test]
async fn an_owner_catches_up_with_the_last_number() {
    let (desk, node) = (Desk::new(Quota::default()).await, Node::willing());
    let mut owner = desk.owner(&node);
    let far = signed(&ask(&owner.address.url, u64::MAX / 2), &owner.signer);
    assert_eq!(desk.request(&owner.signer, &far).await.status, 200);
    desk.deposit(&owner, 1, b"x").await.unwrap();
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(1));
}

// The relay loses power between deposit and fetch: the receipt was a promise.
#[tokio::test]
async fn deposits_survive_a_restart_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let first = SqliteArchive::open(dir.path()).await.unwrap();
    let desk = Desk::on(Arc::new(first), Quota::default()).await;
    let node = Node::willing();
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    desk.deposit(&owner, 1, b"kept").await.unwrap();

    let Desk { archive, signer, clock, quota, server, relay, port } = desk;
    server.unwrap().stop(std::time::Duration::ZERO).await.unwrap();
    drop((archive, relay));
    let again = within(async {
        loop {
            match SqliteArchive::open(dir.path()).await {
                Ok(archive) => break Arc::new(archive) as Arc<dyn Archive>,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    let relay = open(&again, &signer, &clock, &quota, port).await;
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let _server = serve(listener, router(&relay), Transport::Plain);
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(1));
    assert_eq!(node.frames(), [frame(1, b"kept")]);
}

#[tokio::test]
async fn quotas_hold_and_room_comes_back() {
    let quota = Quota { items_max: 2, ..Quota::default() };
    let (desk, node) = (Desk::new(quota).await, Node::willing());
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    for n in 0..2 {
        desk.deposit(&owner, n, b"x").await.unwrap();
    }
    let full = desk.deposit(&owner, 2, b"x").await;
    assert!(matches!(&full, Err(PostError::Unreachable(reason)) if reason.contains("too many messages")), "{full:?}");
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(2));
    owner.inbox.acknowledge().await.unwrap();
    desk.deposit(&owner, 2, b"x").await.unwrap();
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(1));
}

#[tokio::test]
async fn bytes_are_bounded_in_a_mailbox_and_in_all() {
    for (quota, reason) in [
        (Quota { bytes_max: 2000, ..Quota::default() }, "too many bytes"),
        (Quota { total_bytes_max: 2000, ..Quota::default() }, "the relay is full"),
    ] {
        let (desk, node) = (Desk::new(quota).await, Node::willing());
        let mut owner = desk.owner(&node);
        owner.inbox.poll(NOW).await.unwrap();
        desk.deposit(&owner, 1, &[0; 1500]).await.unwrap();
        let full = desk.deposit(&owner, 2, &[0; 1500]).await;
        assert!(matches!(&full, Err(PostError::Unreachable(why)) if why.contains(reason)), "{full:?}");
        // The count is right after a restart as well.
        let archive = desk.archive.clone();
        let desk = desk.restart(archive).await;
        assert!(desk.deposit(&owner, 3, &[0; 1500]).await.is_err());
        assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(1));
        owner.inbox.acknowledge().await.unwrap();
        desk.deposit(&owner, 3, &[0; 1500]).await.unwrap();
    }
}

// Two processes on one archive each count for themselves: a count must neither fall below nothing nor stay wrong for ever.
#[tokio::test]
async fn two_processes_serve_one_archive() {
    let (desk, node) = (Desk::new(Quota { total_bytes_max: 2000, ..Quota::default() }).await, Node::willing());
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    let second = open(&desk.archive, &desk.signer, &desk.clock, &desk.quota, desk.port).await;
    let (server, _) = crate::support::plain(router(&second));
    let sealed = desk.deposit(&owner, 1, &[0; 1500]).await.unwrap();

    let path = format!("/mailbox/{}", owner.signer.key_set().id());
    let stored = vec![Digest::of(domain::SEALED, &sealed)];
    let request = MailboxRequest { stored, ..ask(&owner.address.url, u64::MAX / 2) };
    let fetch = format!("{path}/fetch");
    let raw = send(server.address(), &fetch, MAILBOX_REQUEST_TYPE, &signed(&request, &owner.signer)).await;
    assert_eq!(raw.status, 200);
    let next = post().seal(&owner.address, &frame(2, &[0; 1500])).unwrap();
    assert!(post().post(&owner.address.url, &next).await.is_err(), "the first still counts what the second removed");
    desk.relay.sweep().await.unwrap();
    post().post(&owner.address.url, &next).await.unwrap();
    // The second has counted out what it never counted in; it must not take itself for full.
    owner.inbox.poll(NOW).await.unwrap();
    owner.inbox.acknowledge().await.unwrap();
    let last = post().seal(&owner.address, &frame(3, &[0; 1500])).unwrap();
    assert_eq!(send(server.address(), &path, SEALED_TYPE, &last).await.status, 200);
}

// Mailboxes nobody opened take nothing: strangers cannot fill the relay with names of their own making.
#[tokio::test]
async fn only_opened_mailboxes_take_messages() {
    let listed = keys();
    let admission = Admission::Listed(BTreeSet::from([listed.key_set().id()]));
    let (desk, node) = (Desk::new(Quota { admission, ..Quota::default() }).await, Node::willing());
    let mut stranger = desk.owner(&node);
    assert!(matches!(desk.deposit(&stranger, 1, b"x").await, Err(PostError::Unreachable(_))));
    assert!(matches!(stranger.inbox.poll(NOW).await, Err(PostError::Refused(_))));
    let mut owner = desk.owner_with(&node, listed);
    assert!(matches!(desk.deposit(&owner, 1, b"x").await, Err(PostError::Unreachable(_))));
    owner.inbox.poll(NOW).await.unwrap();
    desk.deposit(&owner, 1, b"x").await.unwrap();

    let desk = Desk::new(Quota { mailboxes_max: 1, ..Quota::default() }).await;
    desk.owner(&node).inbox.poll(NOW).await.unwrap();
    assert!(matches!(desk.owner(&node).inbox.poll(NOW).await, Err(PostError::Unreachable(_))));
}

#[tokio::test]
async fn old_messages_and_abandoned_mailboxes_are_removed() {
    let (desk, node) = (Desk::new(Quota::default()).await, Node::willing());
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    desk.deposit(&owner, 1, b"old").await.unwrap();
    desk.clock.forward(20 * 86_400);
    desk.deposit(&owner, 2, b"young").await.unwrap();
    desk.clock.forward(11 * 86_400);
    desk.relay.sweep().await.unwrap();
    assert_eq!(desk.archive.records("relay.mail", None, 10).await.unwrap().len(), 1);
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(1));
    assert_eq!(node.frames(), [frame(2, b"young")]);

    desk.clock.forward(91 * 86_400);
    desk.relay.sweep().await.unwrap();
    assert!(matches!(desk.deposit(&owner, 3, b"x").await, Err(PostError::Unreachable(_))));
    assert!(desk.archive.records("relay.mail", None, 10).await.unwrap().is_empty());
    // The owner comes back and opens it again.
    owner.inbox.poll(NOW).await.unwrap();
    desk.deposit(&owner, 3, b"x").await.unwrap();
}

// An owner that waits gets a message when it comes, not at the end of its wait.
#[tokio::test]
async fn a_long_poll_ends_with_the_deposit() {
    let (desk, node) = (Desk::new(Quota { wait_max: Seconds(600), ..Quota::default() }).await, Node::willing());
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    let address = owner.address.clone();
    let waiting = tokio::spawn(async move { owner.inbox.poll(Seconds(600)).await });
    let post = post();
    let sealed = post.seal(&address, &frame(1, b"now")).unwrap();
    post.post(&address.url, &sealed).await.unwrap();
    assert_eq!(within(waiting).await.unwrap().unwrap(), taken(1));
}

// What the node cannot take now stays, what it will never take goes, and spam that nobody can open does not block the rest.
#[tokio::test]
async fn each_message_is_kept_or_dropped_by_what_the_node_says() {
    let desk = Desk::new(Quota::default()).await;
    let node = Node::new(|frame| match frame.body.as_slice() {
        b"busy" => Err(Refusal::Busy("later".to_owned())),
        b"bad" => Err(Refusal::Malformed("bad".to_owned())),
        _ => Ok(Delivered::default()),
    });
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    for (n, body) in [(1, &b"bad"[..]), (2, b"busy"), (3, b"good")] {
        desk.deposit(&owner, n, body).await.unwrap();
    }
    let elsewhere = desk.owner(&node);
    let spam = post().seal(&elsewhere.address, &frame(4, b"spam")).unwrap();
    post().post(&owner.address.url, &spam).await.unwrap();

    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), Polled { taken: 1, dropped: 2, postponed: 1 });
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), Polled { taken: 0, dropped: 0, postponed: 1 });
}

#[tokio::test]
async fn the_loop_delivers_and_stops_with_everything_acknowledged() {
    let (desk, node) = (Desk::new(Quota::default()).await, Node::willing());
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    let address = owner.address.clone();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(owner.inbox.run(stopped));
    let post = post();
    for n in 0..3 {
        let sealed = post.seal(&address, &frame(n, b"x")).unwrap();
        post.post(&address.url, &sealed).await.unwrap();
        node.called().await;
    }
    stop.send(true).unwrap();
    within(running).await.unwrap();
    assert_eq!(node.frames().len(), 3);
    assert!(desk.archive.records("relay.mail", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn malformed_deposits_are_refused() {
    let (desk, node) = (Desk::new(Quota::default()).await, Node::willing());
    let mut owner = desk.owner(&node);
    owner.inbox.poll(NOW).await.unwrap();
    let socket = ([127, 0, 0, 1], desk.port).into();
    let path = format!("/mailbox/{}", owner.signer.key_set().id());
    send(socket, &path, SEALED_TYPE, b"garbage").await.problem(400, "malformed", false);
    send(socket, &path, "text/plain", b"garbage").await.problem(415, "wrong-type", false);
    for name in ["x", "0000", &path[9..].to_uppercase()] {
        send(socket, &format!("/mailbox/{name}"), SEALED_TYPE, b"x").await.problem(400, "malformed", false);
    }
    assert_eq!(owner.inbox.poll(NOW).await.unwrap(), taken(0));
}
