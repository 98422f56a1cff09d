//! The sender: believes no receipt that does not hold, and knows when to try again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use semper_channel::{ANSWER_TYPE, ClientOptions, HttpPost, Server};
use semper_core::cbor::record;
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::party::{KeySet, Suite};
use semper_core::time::Time;
use semper_crypto::{OpenKey, SecretKeys};
use semper_support::channel::{InboxAddress, Post, PostError, Posted, Receipt};
use semper_support::crypto::{KemSuite, Open, Signer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{bind, frame, keys, plain, post, post_with, within};

/// An inbox that answers as the test wants. The closure gets the posted bytes and the address they were posted to.
fn liar(answer: impl Fn(&[u8], &str) -> Response + Clone + Send + Sync + 'static) -> (Server, String) {
    let listener = bind();
    let url = format!("http://{}/inbox", listener.local_addr().unwrap());
    let named = url.clone();
    let handler = move |body: Bytes| {
        let (answer, named) = (answer.clone(), named.clone());
        async move { answer(&body, &named) }
    };
    let router = Router::new().route("/inbox", any(handler));
    (crate::support::serve(listener, router, semper_channel::Transport::Plain), url)
}

/// An answer by hand, as `spec/channel.md` says.
fn answer(receipt: &[u8], keys: &KeySet, reply: Option<&[u8]>) -> Response {
    let answer = record().put(0, 1_u64).put_bytes(1, receipt).put_item(2, keys);
    let answer = answer.put_some(3, reply.map(semper_core::cbor::Value::bytes)).build().encode();
    ([(header::CONTENT_TYPE, ANSWER_TYPE)], answer).into_response()
}

fn receipt(sealed: &[u8], url: &str) -> Receipt {
    let sealed = Digest::of(domain::SEALED, sealed);
    Receipt { sealed, time: Time::from_unix(1_795_246_200), inbox: url.to_owned() }
}

fn sign(keys: &SecretKeys, receipt: &Receipt) -> Signed {
    keys.sign(receipt.draft(keys.key_set().suite(), keys.key_set().id())).unwrap()
}

async fn try_post(post: &HttpPost, url: &str) -> Result<Posted, PostError> {
    let open = OpenKey::generate(KemSuite::X25519).unwrap();
    let to = InboxAddress {
        url: url.to_owned(),
        suite: KemSuite::X25519,
        public_key: open.public_key().to_vec(),
        agent: None,
    };
    let sealed = post.seal(&to, &frame(1, b"x")).unwrap();
    within(post.post(url, &sealed)).await
}

#[track_caller]
fn misbehaved(result: Result<Posted, PostError>, why: &str) {
    match result {
        Err(PostError::Misbehaved(reason)) => assert!(reason.contains(why), "{reason}"),
        other => panic!("expected misbehaviour ({why}), got {other:?}"),
    }
}

// The twin of all forgeries below: the same hand-made answer, honest, is taken.
#[tokio::test]
async fn an_honest_answer_is_taken() {
    let keys = keys();
    let id = keys.key_set().id();
    let (_server, url) = liar(move |body, url| answer(sign(&keys, &receipt(body, url)).bytes(), keys.key_set(), None));
    assert_eq!(try_post(&post(), &url).await.unwrap().receipt_signer, id);
}

// A receipt is evidence of submission: one that does not hold later must not be taken now.
#[tokio::test]
async fn forged_receipts_are_refused() {
    let (keys, others) = (keys(), keys());
    let hybrid = Arc::new(SecretKeys::generate(Suite::Hybrid).unwrap());

    let k = keys.clone();
    let (_server, url) = liar(move |body, url| {
        let mut bytes = sign(&k, &receipt(body, url)).bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        answer(&bytes, k.key_set(), None)
    });
    misbehaved(try_post(&post(), &url).await, "signature is wrong");

    let (k, o) = (keys.clone(), others.clone());
    let (_server, url) = liar(move |body, url| answer(sign(&k, &receipt(body, url)).bytes(), o.key_set(), None));
    misbehaved(try_post(&post(), &url).await, "signed by");

    // Claims to be signed by `others`, but by a key of its own.
    let (k, o) = (keys.clone(), others.clone());
    let (_server, url) = liar(move |body, url| {
        let draft = receipt(body, url).draft(Suite::Ed25519, o.key_set().id());
        let own = sign(&k, &receipt(body, url));
        let signatures = own.signatures().map(|(_, _, signature)| signature.to_vec()).collect();
        answer(draft.assemble(signatures).unwrap().bytes(), o.key_set(), None)
    });
    misbehaved(try_post(&post(), &url).await, "signature is wrong");

    let k = keys.clone();
    let (_server, url) = liar(move |body, url| {
        let draft = Draft { kind: Kind::Ack, ..receipt(body, url).draft(Suite::Ed25519, k.key_set().id()) };
        answer(k.sign(draft).unwrap().bytes(), k.key_set(), None)
    });
    misbehaved(try_post(&post(), &url).await, "expected a statement of kind receipt");

    // The twin: the hybrid suite is as good.
    let (_server, url) =
        liar(move |body, url| answer(sign(&hybrid, &receipt(body, url)).bytes(), hybrid.key_set(), None));
    try_post(&post(), &url).await.unwrap();
}

#[tokio::test]
async fn a_receipt_for_another_message_or_inbox_is_refused() {
    let keys = keys();
    let k = keys.clone();
    let (_server, url) = liar(move |_, url| answer(sign(&k, &receipt(b"another", url)).bytes(), k.key_set(), None));
    misbehaved(try_post(&post(), &url).await, "another message");
    let (_server, url) = liar(move |body, _| {
        answer(sign(&keys, &receipt(body, "https://bob.example/inbox")).bytes(), keys.key_set(), None)
    });
    misbehaved(try_post(&post(), &url).await, "another inbox");
}

// Without the one-time key nobody can make a reply; a relay or proxy that tries is found out.
#[tokio::test]
async fn a_forged_reply_is_refused() {
    for forged in [&b""[..], b"short", &[0; 100]] {
        let keys = keys();
        let forged = forged.to_vec();
        let (_server, url) =
            liar(move |body, url| answer(sign(&keys, &receipt(body, url)).bytes(), keys.key_set(), Some(&forged)));
        misbehaved(try_post(&post(), &url).await, "the reply");
    }
}

#[tokio::test]
async fn answers_that_are_no_answers_are_refused() {
    let (_server, url) = liar(|_, _| ([(header::CONTENT_TYPE, ANSWER_TYPE)], "garbage").into_response());
    misbehaved(try_post(&post(), &url).await, "malformed");
    let (_server, url) = liar(|_, _| "hello".into_response());
    misbehaved(try_post(&post(), &url).await, "content type");
    let (_server, url) = liar(|_, _| StatusCode::NO_CONTENT.into_response());
    misbehaved(try_post(&post(), &url).await, "204");
    let (_server, url) = liar(|_, _| StatusCode::NOT_FOUND.into_response());
    misbehaved(try_post(&post(), &url).await, "404");
}

// A redirect would send a message, and tell who sends it, to an address that no contact card names.
#[tokio::test]
async fn redirects_are_not_followed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let trap = any(move || async move { counter.fetch_add(1, Ordering::SeqCst).to_string() });
    let (_trap, base) = plain(Router::new().route("/", trap));
    for redirect in [Redirect::temporary, Redirect::permanent, Redirect::to] {
        let target = base.clone();
        let (_server, url) = liar(move |_, _| redirect(&target).into_response());
        misbehaved(try_post(&post(), &url).await, "redirect");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

// An endless answer must not fill the memory, whether its length is declared or not.
#[tokio::test]
async fn huge_answers_are_cut_off() {
    let options = ClientOptions { answer_bytes_max: 10_000, ..ClientOptions::default() };
    let (_server, url) = liar(|_, _| ([(header::CONTENT_TYPE, ANSWER_TYPE)], vec![0; 10_001]).into_response());
    misbehaved(try_post(&post_with(&options), &url).await, "larger");

    let socket = tokio::net::TcpListener::from_std({
        let listener = bind();
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let socket = socket.unwrap();
    let url = format!("http://{}/inbox", socket.local_addr().unwrap());
    let endless = tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        let mut request = [0; 65536];
        let _ = stream.read(&mut request).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {ANSWER_TYPE}\r\ntransfer-encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // Ends when the sender has had enough and hangs up.
        while stream.write_all(format!("1000\r\n{}\r\n", "x".repeat(0x1000)).as_bytes()).await.is_ok() {}
    });
    misbehaved(try_post(&post_with(&options), &url).await, "larger");
    within(endless).await.unwrap();
}

// Whatever may be better later must be told apart from what never will be: the first is tried again, the second ends a deal.
#[tokio::test]
async fn trouble_on_the_way_is_temporary() {
    let (server, base) = plain(Router::new());
    drop(server);
    let result = try_post(&post(), &format!("{base}/inbox")).await;
    assert!(matches!(result, Err(PostError::Unreachable(_) | PostError::Misbehaved(_))), "{result:?}");

    // A port that nobody listens on.
    let listener = bind();
    let url = format!("http://{}/inbox", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(try_post(&post(), &url).await, Err(PostError::Unreachable(_))));

    for status in [408, 425, 429, 500, 502, 503, 504] {
        let (_server, url) = liar(move |_, _| StatusCode::from_u16(status).unwrap().into_response());
        assert!(matches!(try_post(&post(), &url).await, Err(PostError::Unreachable(_))), "{status}");
    }
    // A server that takes the message and never answers.
    let (_server, url) = liar(|_, _| Response::new(Body::from_stream(Never)));
    let hurried = ClientOptions { patience: Duration::from_millis(100), ..ClientOptions::default() };
    let (_silent, silent) = {
        let listener = bind();
        let url = format!("http://{}/inbox", listener.local_addr().unwrap());
        (listener, url)
    };
    assert!(matches!(try_post(&post_with(&hurried), &silent).await, Err(PostError::Unreachable(_))));
    misbehaved(try_post(&post_with(&hurried), &url).await, "content type");
}

/// A body that never comes.
struct Never;

impl futures_util::Stream for Never {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn unusable_addresses_and_bytes_are_our_own_mistake() {
    let post = post();
    for url in ["http://bob.example/inbox", "gopher://127.0.0.1", "not a url"] {
        assert!(matches!(try_post(&post, url).await, Err(PostError::Unusable(_))), "{url}");
    }
    let result = post.post("http://127.0.0.1:1/inbox", b"not sealed").await;
    assert!(matches!(result, Err(PostError::Unusable(_))));
    let short = InboxAddress { url: String::new(), suite: KemSuite::XWing, public_key: vec![1; 5], agent: None };
    assert!(matches!(post.seal(&short, &frame(1, b"x")), Err(PostError::Unusable(_))));
    let proxy = ClientOptions { proxy: Some("::".to_owned()), ..ClientOptions::default() };
    let made = HttpPost::new(
        Arc::new(semper_crypto::Sealer),
        Arc::new(semper_crypto::Verifier),
        Arc::new(semper_crypto::SystemRandom),
        semper_channel::ReplySecret::from_array([0; 32]),
        &proxy,
    );
    assert!(matches!(made.err(), Some(PostError::Unusable(_))));
}

// An onion address must reach the proxy as a name, and must not be looked up when there is no proxy.
#[tokio::test]
async fn onion_addresses_go_through_the_proxy_only() {
    const NAME: &str = "expyuzz4wqqyqhjnexample.onion";
    let keys = keys();
    let url = format!("http://{NAME}/inbox");
    let named = url.clone();
    let (server, _) = liar(move |body, _| answer(sign(&keys, &receipt(body, &named)).bytes(), keys.key_set(), None));
    assert!(matches!(try_post(&post(), &url).await, Err(PostError::Unusable(_))));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Some(format!("socks5h://{}", listener.local_addr().unwrap()));
    let inbox = server.address();
    let (told, name) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        // SOCKS 5 (RFC 1928): greeting, then a request to connect to a name.
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 2];
        stream.read_exact(&mut greeting).await.unwrap();
        let mut methods = vec![0; greeting[1].into()];
        stream.read_exact(&mut methods).await.unwrap();
        stream.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 5];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(request[..4], [5, 1, 0, 3], "a name, not an address");
        let mut name = vec![0; request[4].into()];
        stream.read_exact(&mut name).await.unwrap();
        assert_eq!(stream.read_u16().await.unwrap(), 80);
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        told.send(String::from_utf8(name).unwrap()).unwrap();
        let mut onward = tokio::net::TcpStream::connect(inbox).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
    });
    let through = ClientOptions { proxy, ..ClientOptions::default() };
    try_post(&post_with(&through), &url).await.unwrap();
    assert_eq!(within(name).await.unwrap(), NAME);
    // Loopback is not the proxy's business: nobody accepts there any more, and the message arrives all the same.
    let (_server, url) = {
        let keys = crate::support::keys();
        liar(move |body, url| answer(sign(&keys, &receipt(body, url)).bytes(), keys.key_set(), None))
    };
    try_post(&post_with(&through), &url).await.unwrap();
}

// Two messages of one sender to one inbox must not be linkable by what is outside the seal.
#[test]
fn envelopes_of_one_sender_have_nothing_in_common() {
    let open = OpenKey::generate(KemSuite::X25519).unwrap();
    let to = InboxAddress {
        url: String::new(),
        suite: KemSuite::X25519,
        public_key: open.public_key().to_vec(),
        agent: None,
    };
    let post = post();
    let envelopes: Vec<_> = (0..2).map(|_| post.seal(&to, &frame(1, b"x")).unwrap()).collect();
    // { 0: 1, 1: 16 bytes, 2: .. }: past the framing, everything differs.
    assert_eq!(envelopes[0][..5], envelopes[1][..5]);
    let same =
        envelopes[0].windows(8).skip(5).filter(|part| envelopes[1].windows(8).any(|other| other == *part)).count();
    assert_eq!(same, 0);
}
