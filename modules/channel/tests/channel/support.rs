//! Parties, a node that remembers what it was given, and raw connections.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use semper_channel::{
    ClientOptions, Clock, HttpPost, InboxIdentity, Limits, Rate, ReplySecret, SEALED_TYPE, Server, ServerOptions,
    Transport, inbox,
};
use semper_core::ids::{DealId, Slot};
use semper_core::party::Suite;
use semper_core::time::Time;
use semper_crypto::{OpenKey, Sealer, SecretKeys, SystemRandom, Verifier};
use semper_support::channel::{Delivered, Frame, Inbox, InboxAddress, Refusal};
use semper_support::crypto::{KemSuite, Open};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// No test waits longer than this for something that should happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What a node does with a frame.
type Behaviour = Box<dyn Fn(&Frame) -> Result<Delivered, Refusal> + Send + Sync>;

/// A node: remembers every call, and may be held inside one.
pub(crate) struct Node {
    frames: Mutex<Vec<Frame>>,
    behaviour: Behaviour,
    /// One permit per call that has begun.
    pub(crate) entered: Semaphore,
    /// A call goes on when it gets a permit; unlimited unless the test holds the node.
    pub(crate) go_on: Semaphore,
}

impl Node {
    pub(crate) fn new(behaviour: impl Fn(&Frame) -> Result<Delivered, Refusal> + Send + Sync + 'static) -> Arc<Self> {
        Self::with_permits(behaviour, Semaphore::MAX_PERMITS)
    }

    /// A node that takes everything.
    pub(crate) fn willing() -> Arc<Self> {
        Self::new(|_| Ok(Delivered::default()))
    }

    /// A node that stops in every call until the test adds a permit to `go_on`.
    pub(crate) fn held() -> Arc<Self> {
        Self::with_permits(|_| Ok(Delivered::default()), 0)
    }

    fn with_permits(
        behaviour: impl Fn(&Frame) -> Result<Delivered, Refusal> + Send + Sync + 'static,
        permits: usize,
    ) -> Arc<Self> {
        let (entered, go_on) = (Semaphore::new(0), Semaphore::new(permits));
        Arc::new(Self { frames: Mutex::default(), behaviour: Box::new(behaviour), entered, go_on })
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.frames.lock().unwrap().clone()
    }

    /// Waits until a call has begun.
    pub(crate) async fn called(&self) {
        within(self.entered.acquire()).await.unwrap().forget();
    }
}

#[async_trait]
impl Inbox for Node {
    async fn deliver(&self, frame: Frame) -> Result<Delivered, Refusal> {
        self.entered.add_permits(1);
        self.go_on.acquire().await.unwrap().forget();
        let result = (self.behaviour)(&frame);
        self.frames.lock().unwrap().push(frame);
        result
    }
}

/// A clock that stands until it is moved.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<AtomicU64>);

impl HandClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_795_246_200)))
    }

    pub(crate) fn forward(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let seconds = self.0.clone();
        Arc::new(move || Time::from_unix(seconds.load(Ordering::SeqCst)))
    }
}

/// Fails the test if `work` takes for ever.
pub(crate) async fn within<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(SOON, work).await.expect("this should have happened by now")
}

pub(crate) fn keys() -> Arc<SecretKeys> {
    Arc::new(SecretKeys::generate(Suite::Ed25519).unwrap())
}

/// No rate limit that a test could meet by accident.
pub(crate) fn limits() -> Limits {
    let rate = Rate { burst: NonZeroU32::new(100_000).unwrap(), every: Duration::from_nanos(1) };
    Limits { per_source: rate, total: rate, ..Limits::default() }
}

pub(crate) fn frame(seq: u64, body: &[u8]) -> Frame {
    Frame { kind: "tx".to_owned(), deal: DealId::from_array([7; 16]), slot: Slot(0), seq, body: body.to_vec() }
}

pub(crate) fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

pub(crate) fn serve(listener: TcpListener, router: Router, transport: Transport) -> Server {
    Server::start(listener, router, transport, &ServerOptions::default()).unwrap()
}

/// Serves a router on a fresh port and gives the base of its addresses.
pub(crate) fn plain(router: Router) -> (Server, String) {
    let server = serve(bind(), router, Transport::Plain);
    let base = format!("http://{}", server.address());
    (server, base)
}

/// An inbox on a socket, and what its contact card would say.
pub(crate) struct Bed {
    pub(crate) server: Server,
    pub(crate) address: InboxAddress,
    pub(crate) signer: Arc<SecretKeys>,
}

impl Bed {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        Self::with(node, limits(), KemSuite::X25519)
    }

    pub(crate) fn with(node: &Arc<Node>, limits: Limits, suite: KemSuite) -> Self {
        Self::on(node, limits, suite, "http", Transport::Plain)
    }

    pub(crate) fn on(node: &Arc<Node>, limits: Limits, suite: KemSuite, scheme: &str, transport: Transport) -> Self {
        let open = Arc::new(OpenKey::generate(suite).unwrap());
        Self::opened_by(node, limits, open, scheme, transport)
    }

    pub(crate) fn opened_by(
        node: &Arc<Node>,
        limits: Limits,
        open: Arc<dyn Open>,
        scheme: &str,
        transport: Transport,
    ) -> Self {
        let listener = bind();
        let url = format!("{scheme}://{}/inbox", listener.local_addr().unwrap());
        let signer = keys();
        let address =
            InboxAddress { url: url.clone(), suite: open.suite(), public_key: open.public_key().to_vec(), agent: None };
        let identity = InboxIdentity { url, open, signer: signer.clone(), clock: HandClock::new().clock() };
        let router = Router::new().nest("/inbox", inbox(node.clone(), identity, limits));
        Self { server: serve(listener, router, transport), address, signer }
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        self.server.address()
    }
}

pub(crate) fn post() -> HttpPost {
    post_with(&ClientOptions::default())
}

pub(crate) fn post_with(options: &ClientOptions) -> HttpPost {
    let replies = ReplySecret::from_array([9; 32]);
    HttpPost::new(Arc::new(Sealer), Arc::new(Verifier), Arc::new(SystemRandom), replies, options).unwrap()
}

/// A response as it came over the wire.
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The problem document, checked for everything that a sender needs.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, name: &str, retry: bool) -> serde_json::Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let document: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(document["type"], format!("urn:semper:problem:{name}"));
        assert_eq!(document["status"], status);
        assert_eq!(document["retry"], retry);
        for member in ["title", "detail", "advice"] {
            assert!(document[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}");
        }
        document
    }
}

/// The head of a post, for a body of any length.
pub(crate) fn head(path: &str, content_type: &str, rest: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {content_type}\r\n{rest}\r\n"
    )
}

/// Sends bytes as they are and reads until the server closes.
pub(crate) async fn exchange(socket: SocketAddr, parts: &[&[u8]]) -> Raw {
    let mut stream = TcpStream::connect(socket).await.unwrap();
    for part in parts {
        stream.write_all(part).await.unwrap();
    }
    read_response(&mut stream).await
}

pub(crate) async fn read_response(stream: &mut TcpStream) -> Raw {
    let mut all = Vec::new();
    within(stream.read_to_end(&mut all)).await.unwrap();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Raw { status, head, body: all[end + 4..].to_vec() }
}

/// Posts a body to the inbox.
pub(crate) async fn send(socket: SocketAddr, path: &str, content_type: &str, body: &[u8]) -> Raw {
    let length = format!("content-length: {}\r\n", body.len());
    exchange(socket, &[head(path, content_type, &length).as_bytes(), body]).await
}

pub(crate) async fn send_sealed(socket: SocketAddr, sealed: &[u8]) -> Raw {
    send(socket, "/inbox", SEALED_TYPE, sealed).await
}
