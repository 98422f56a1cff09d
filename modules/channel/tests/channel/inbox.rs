//! The inbox: handled once, receipted once, and a clear no to everything else.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use semper_channel::{
    ANSWER_TYPE, ClientOptions, HttpPost, Limits, Rate, ReplySecret, SEALED_TYPE, Server, ServerOptions, Transport,
};
use semper_core::cose::Signed;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::signature;
use semper_crypto::{SystemRandom, Verifier};
use semper_support::channel::{Delivered, MESSAGE_BYTES_MAX, Post, PostError, Receipt, Refusal};
use semper_support::crypto::{CryptoError, KemSuite, Open, Seal, Signer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::support::{
    Bed, Node, bind, exchange, frame, head, limits, post, post_with, read_response, send, send_sealed, within,
};

// The whole way, with every suite: what comes out of the node's side is what went in, and the receipt proves it.
#[tokio::test]
async fn a_message_arrives_and_its_receipt_is_good() {
    for suite in [KemSuite::X25519, KemSuite::MlKem768, KemSuite::XWing] {
        let node = Node::willing();
        let bed = Bed::with(&node, limits(), suite);
        let (post, frame) = (post(), frame(1, b"container"));
        let sealed = post.seal(&bed.address, &frame).unwrap();
        let posted = post.post(&bed.address.url, &sealed).await.unwrap();

        assert_eq!(node.frames(), [frame]);
        assert_eq!(posted.receipt_signer, bed.signer.key_set().id());
        assert_eq!(posted.reply, None);
        let signed = Signed::from_bytes(&posted.receipt).unwrap();
        let receipt = signature::verify::<Receipt>(&Verifier, bed.signer.key_set(), &signed).unwrap();
        assert_eq!(receipt.statement().sealed, Digest::of(domain::SEALED, &sealed));
        assert_eq!(receipt.statement().inbox, bed.address.url);
        assert_eq!(receipt.statement().time.unix(), 1_795_246_200);
    }
}

// An arbiter answers at once; the answer must be readable by the sender alone, also when it has restarted since it sealed.
#[tokio::test]
async fn a_reply_comes_back_sealed_and_opens_after_a_restart() {
    let node = Node::new(|frame| Ok(Delivered { reply: Some([b"verdict on ", frame.body.as_slice()].concat()) }));
    let bed = Bed::new(&node);
    let sealed = post().seal(&bed.address, &frame(1, b"resolve")).unwrap();
    let restarted = post();
    let posted = restarted.post(&bed.address.url, &sealed).await.unwrap();
    assert_eq!(posted.reply.unwrap(), b"verdict on resolve");

    let raw = send_sealed(bed.socket(), &sealed).await;
    assert_eq!((raw.status, raw.header("content-type")), (200, Some(ANSWER_TYPE)));
    assert!(!raw.body.windows(7).any(|part| part == b"verdict"), "the reply is readable on the wire");
}

// A sender that gets no answer sends again, perhaps from several places: the node must see one message, the sender one receipt.
#[tokio::test]
async fn the_same_envelope_is_handled_once_and_gets_the_same_receipt() {
    let node = Node::willing();
    let bed = Bed::new(&node);
    let post = Arc::new(post());
    let sealed = Arc::new(post.seal(&bed.address, &frame(1, b"once")).unwrap());
    let posts: Vec<_> = (0..5)
        .map(|_| {
            let (post, sealed, url) = (post.clone(), sealed.clone(), bed.address.url.clone());
            tokio::spawn(async move { post.post(&url, &sealed).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for posted in posts {
        answers.push(within(posted).await.unwrap());
    }
    assert_eq!(node.frames().len(), 1);
    assert!(answers.iter().all(|posted| *posted == answers[0]));
}

// The same frame sealed anew is another envelope: it gets its own receipt and an answer under its own key, but is no new message.
#[tokio::test]
async fn the_same_frame_in_a_new_envelope_is_handled_once() {
    let node = Node::new(|_| Ok(Delivered { reply: Some(b"decided".to_vec()) }));
    let bed = Bed::new(&node);
    let post = post();
    let mut receipts = Vec::new();
    for _ in 0..3 {
        let sealed = post.seal(&bed.address, &frame(1, b"once")).unwrap();
        let posted = post.post(&bed.address.url, &sealed).await.unwrap();
        assert_eq!(posted.reply.unwrap(), b"decided");
        receipts.push(posted.receipt);
    }
    assert_eq!(node.frames().len(), 1);
    assert_ne!(receipts[0], receipts[1], "a receipt names the envelope");
    // The twin: another frame is another message.
    let sealed = post.seal(&bed.address, &frame(2, b"once")).unwrap();
    post.post(&bed.address.url, &sealed).await.unwrap();
    assert_eq!(node.frames().len(), 2);
}

// The connection breaks while the node works: the node must finish, and the second try must find what the first one did.
#[tokio::test]
async fn a_lost_reply_and_a_retry() {
    let node = Node::held();
    let bed = Bed::new(&node);
    let post = post();
    let sealed = post.seal(&bed.address, &frame(1, b"once")).unwrap();

    let mut stream = TcpStream::connect(bed.socket()).await.unwrap();
    let length = format!("content-length: {}\r\n", sealed.len());
    stream.write_all(head("/inbox", SEALED_TYPE, &length).as_bytes()).await.unwrap();
    stream.write_all(&sealed).await.unwrap();
    node.called().await;
    drop(stream);
    within(async {
        while bed.server.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    node.go_on.add_permits(1);

    within(post.post(&bed.address.url, &sealed)).await.unwrap();
    assert_eq!(node.frames().len(), 1);
    assert_eq!(node.entered.available_permits(), 0, "the first call was given up and a second one made");
}

// A node that is slower than its sender's patience must not be asked twice.
#[tokio::test]
async fn a_slow_node_is_waited_for_on_the_next_try() {
    let node = Node::held();
    let slow = Limits { handler_patience: Duration::from_millis(50), ..limits() };
    let bed = Bed::with(&node, slow, KemSuite::X25519);
    let post = post();
    let sealed = post.seal(&bed.address, &frame(1, b"slow")).unwrap();
    send_sealed(bed.socket(), &sealed).await.problem(503, "busy", true);
    node.called().await;
    node.go_on.add_permits(1);
    loop {
        match within(post.post(&bed.address.url, &sealed)).await {
            Ok(_) => break,
            Err(PostError::Unreachable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(node.frames().len(), 1);
}

#[tokio::test]
async fn oversized_bodies_are_refused_declared_or_not() {
    let node = Node::willing();
    let bed = Bed::with(&node, Limits { body_bytes_max: 1000, ..limits() }, KemSuite::X25519);
    let declared = head("/inbox", SEALED_TYPE, "content-length: 1001\r\n");
    exchange(bed.socket(), &[declared.as_bytes()]).await.problem(413, "too-large", false);

    let chunked = head("/inbox", SEALED_TYPE, "transfer-encoding: chunked\r\n");
    let body = format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    exchange(bed.socket(), &[chunked.as_bytes(), body.as_bytes()]).await.problem(413, "too-large", false);
    // The twin: at the limit it is read, and refused for what it is.
    let body = format!("3e8\r\n{}\r\n0\r\n\r\n", "x".repeat(1000));
    exchange(bed.socket(), &[chunked.as_bytes(), body.as_bytes()]).await.problem(400, "malformed", false);
    assert!(node.frames().is_empty());
}

/// Seals nothing, quickly: sealing 20 MiB without optimisation takes longer than a node's patience.
struct Clear;

impl Seal for Clear {
    fn seal(&self, _: KemSuite, _: &[u8], context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok([context, plaintext].concat())
    }

    fn seal_seed_len(&self, _: KemSuite) -> usize {
        0
    }

    fn seal_from(
        &self,
        suite: KemSuite,
        key: &[u8],
        context: &[u8],
        plaintext: &[u8],
        _: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.seal(suite, key, context, plaintext)
    }
}

impl Open for Clear {
    fn suite(&self) -> KemSuite {
        KemSuite::X25519
    }

    fn public_key(&self) -> &[u8] {
        &[]
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        sealed.strip_prefix(context).map(|rest| rest.to_vec().into()).ok_or(CryptoError::CannotOpen)
    }
}

// The largest message that the port allows must pass with the limits that a node has by default.
#[tokio::test]
async fn a_message_of_twenty_mebibytes_passes() {
    let node = Node::willing();
    let bed = Bed::opened_by(&node, Limits::default(), Arc::new(Clear), "http", Transport::Plain);
    let replies = ReplySecret::from_array([1; 32]);
    let random = Arc::new(SystemRandom);
    let post = HttpPost::new(Arc::new(Clear), Arc::new(Verifier), random, replies, &ClientOptions::default()).unwrap();
    let around = post.seal(&bed.address, &frame(1, &[0; 70_000])).unwrap().len() - 70_000;
    let largest = frame(1, &vec![5; MESSAGE_BYTES_MAX - around]);
    let sealed = post.seal(&bed.address, &largest).unwrap();
    assert_eq!(sealed.len(), MESSAGE_BYTES_MAX);
    post.post(&bed.address.url, &sealed).await.unwrap();
    assert_eq!(node.frames()[0].body.len(), largest.body.len());
    // The twin: one byte more is refused before anything is sent.
    let larger = frame(1, &vec![5; MESSAGE_BYTES_MAX - around + 1]);
    assert!(matches!(post.seal(&bed.address, &larger), Err(PostError::Unusable(_))));
}

// Connections that say nothing, or too little, would use up all places of a server that waits for them.
#[tokio::test]
async fn slow_clients_are_cut_off() {
    let node = Node::willing();
    let slow = Limits { body_patience: Duration::from_millis(100), ..limits() };
    let bed = Bed::with(&node, slow.clone(), KemSuite::X25519);
    let half = head("/inbox", SEALED_TYPE, "content-length: 100\r\n");
    exchange(bed.socket(), &[half.as_bytes(), b"half"]).await.problem(408, "too-slow", true);

    // Each bound alone, with the other one out of reach.
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(3600));
    for (start, header_patience, idle) in
        [(&b"POST /inbox HTTP/1.1\r\nhost: loc"[..], short, long), (b"", long, short), (b"P", long, short)]
    {
        let impatient = ServerOptions { header_patience, idle, ..ServerOptions::default() };
        let server = Server::start(bind(), axum::Router::new(), Transport::Plain, &impatient).unwrap();
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(start).await.unwrap();
        let mut rest = Vec::new();
        // An orderly end or a reset: either way the server has let go.
        let _ = within(stream.read_to_end(&mut rest)).await;
        assert!(!rest.starts_with(b"HTTP/1.1 2"));
    }
    assert!(node.frames().is_empty());
}

#[tokio::test]
async fn a_message_for_somebody_else_is_refused() {
    let node = Node::willing();
    let (ours, theirs) = (Bed::new(&node), Bed::new(&node));
    let post = post();
    let sealed = post.seal(&theirs.address, &frame(1, b"secret")).unwrap();
    send_sealed(ours.socket(), &sealed).await.problem(422, "cannot-open", false);
    assert!(matches!(post.post(&ours.address.url, &sealed).await, Err(PostError::Refused(_))));
    assert!(node.frames().is_empty());
}

// Every byte of an envelope is either framing or under the seal: no flip may get through to the node.
#[tokio::test]
async fn a_flipped_byte_anywhere_is_refused() {
    let node = Node::willing();
    let bed = Bed::new(&node);
    let sealed = post().seal(&bed.address, &frame(1, b"ten crowns")).unwrap();
    for i in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[i] ^= 1;
        let raw = send_sealed(bed.socket(), &changed).await;
        assert!([400, 422].contains(&raw.status), "byte {i}: {}", raw.status);
    }
    for length in [0, 1, 20, sealed.len() - 1] {
        send_sealed(bed.socket(), &sealed[..length]).await.problem(400, "malformed", false);
    }
    assert!(node.frames().is_empty());
    assert_eq!(send_sealed(bed.socket(), &sealed).await.status, 200);
}

// Sealed for us, but not a letter inside: the refusal says so and the node is not asked.
#[tokio::test]
async fn a_seal_with_garbage_inside_is_refused() {
    use semper_core::cbor::{Encode, record};
    let node = Node::willing();
    let bed = Bed::new(&node);
    let context = [domain::TRANSPORT.as_bytes(), &[3; 16]].concat();
    let envelope = |inside: &[u8]| {
        let sealed = semper_crypto::Sealer.seal(bed.address.suite, &bed.address.public_key, &context, inside).unwrap();
        record().put(0, 1_u64).put_bytes(1, [3; 16]).put_bytes(2, sealed).build().encode()
    };
    for inside in [&b"garbage"[..], &record().put(0, 2_u64).build().encode(), &frame(1, b"no letter").to_bytes()] {
        send_sealed(bed.socket(), &envelope(inside)).await.problem(400, "malformed", false);
    }
    assert!(node.frames().is_empty());
    // The twin: a letter made by hand, as `spec/channel.md` says, is taken.
    let letter = record().put(0, 1_u64).put_item(1, &frame(1, b"by hand")).put_bytes(2, [4; 32]).build().encode();
    assert_eq!(send_sealed(bed.socket(), &envelope(&letter)).await.status, 200);
    assert_eq!(node.frames(), [frame(1, b"by hand")]);
}

#[tokio::test]
async fn wrong_types_methods_and_garbage_are_refused() {
    let node = Node::willing();
    let bed = Bed::new(&node);
    let sealed = post().seal(&bed.address, &frame(1, b"x")).unwrap();
    for wrong in ["application/json", "text/plain", "application/vnd.semper.sealed; charset=utf-8", ""] {
        send(bed.socket(), "/inbox", wrong, &sealed).await.problem(415, "wrong-type", false);
    }
    let zipped =
        head("/inbox", SEALED_TYPE, &format!("content-encoding: gzip\r\ncontent-length: {}\r\n", sealed.len()));
    exchange(bed.socket(), &[zipped.as_bytes(), &sealed]).await.problem(415, "wrong-type", false);
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = format!("{method} /inbox HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let raw = exchange(bed.socket(), &[request.as_bytes()]).await;
        raw.problem(405, "wrong-method", false);
        assert_eq!(raw.header("allow"), Some("POST"));
    }
    for garbage in [&b"garbage"[..], b"\xff\xff\xff\xff", b"\x9f", b"\xa0", &[0xa1; 5000]] {
        send_sealed(bed.socket(), garbage).await.problem(400, "malformed", false);
    }
    assert_eq!(exchange(bed.socket(), &[b"\x16\x03\x01 this is not HTTP\r\n\r\n"]).await.status, 400);
    assert!(node.frames().is_empty());
}

// A flood is slowed down with a time to come back, and who comes back then is let in.
#[tokio::test]
async fn the_rate_limit_says_when_to_come_back_and_recovers() {
    let node = Node::willing();
    let rate = Rate { burst: NonZeroU32::new(2).unwrap(), every: Duration::from_millis(900) };
    let bed = Bed::with(&node, Limits { per_source: rate, ..limits() }, KemSuite::X25519);
    let post = post();
    let sealed: Vec<_> = (0..3).map(|n| post.seal(&bed.address, &frame(n, b"x")).unwrap()).collect();
    assert_eq!(send_sealed(bed.socket(), &sealed[0]).await.status, 200);
    assert_eq!(send_sealed(bed.socket(), &sealed[1]).await.status, 200);
    let refused = send_sealed(bed.socket(), &sealed[2]).await;
    refused.problem(429, "too-many", true);
    assert!(matches!(post.post(&bed.address.url, &sealed[2]).await, Err(PostError::Unreachable(_))));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(seconds, 1);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    post.post(&bed.address.url, &sealed[2]).await.unwrap();
    assert_eq!(node.frames().len(), 3);
}

// With all places taken a sender is told to come back, and nothing waits in a queue.
#[tokio::test]
async fn messages_beyond_the_places_are_told_to_come_back() {
    let node = Node::held();
    let bed = Bed::with(&node, Limits { parallel_max: 1, ..limits() }, KemSuite::X25519);
    let post = Arc::new(post());
    let sealed: Vec<_> = (0..2).map(|n| post.seal(&bed.address, &frame(n, b"x")).unwrap()).collect();
    let (first, url) = (sealed[0].clone(), bed.address.url.clone());
    let poster = post.clone();
    let waiting = tokio::spawn(async move { poster.post(&url, &first).await });
    node.called().await;
    send_sealed(bed.socket(), &sealed[1]).await.problem(503, "busy", true);
    node.go_on.add_permits(2);
    within(waiting).await.unwrap().unwrap();
    post.post(&bed.address.url, &sealed[1]).await.unwrap();
}

// The node's own no reaches the sender with its reason; a temporary one is not remembered.
#[tokio::test]
async fn refusals_of_the_node_are_passed_on() {
    let post = post();
    for (refusal, status, name) in [
        (Refusal::Malformed("no such kind".to_owned()), 400, "malformed"),
        (Refusal::Unwanted("the deal is closed".to_owned()), 403, "unwanted"),
    ] {
        let node = Node::new(move |_| Err(refusal.clone()));
        let bed = Bed::new(&node);
        let sealed = post.seal(&bed.address, &frame(1, b"x")).unwrap();
        let document = send_sealed(bed.socket(), &sealed).await.problem(status, name, false);
        let Err(PostError::Refused(reason)) = post.post(&bed.address.url, &sealed).await else { panic!("not refused") };
        assert!(reason.contains(document["detail"].as_str().unwrap()), "{reason}");
    }

    let busy = AtomicBool::new(true);
    let node = Node::new(move |_| match busy.swap(false, Ordering::SeqCst) {
        true => Err(Refusal::Busy("the disk is full".to_owned())),
        false => Ok(Delivered::default()),
    });
    let bed = Bed::new(&node);
    let sealed = post.seal(&bed.address, &frame(1, b"x")).unwrap();
    assert!(
        matches!(post.post(&bed.address.url, &sealed).await, Err(PostError::Unreachable(reason)) if reason.contains("disk"))
    );
    post.post(&bed.address.url, &sealed).await.unwrap();
    assert_eq!(node.frames().len(), 2);
}

// One connection carries many messages; a refusal does not spoil it for the next.
#[tokio::test]
async fn a_connection_is_used_again_after_a_refusal() {
    let node = Node::willing();
    let bed = Bed::new(&node);
    let sealed = post().seal(&bed.address, &frame(1, b"x")).unwrap();
    let mut stream = TcpStream::connect(bed.socket()).await.unwrap();
    let keep = head("/inbox", "text/plain", &format!("content-length: {}\r\n", sealed.len()));
    stream.write_all(keep.replace("connection: close\r\n", "").as_bytes()).await.unwrap();
    stream.write_all(&sealed).await.unwrap();
    let last = head("/inbox", SEALED_TYPE, &format!("content-length: {}\r\n", sealed.len()));
    stream.write_all(last.as_bytes()).await.unwrap();
    stream.write_all(&sealed).await.unwrap();
    let raw = read_response(&mut stream).await;
    assert_eq!(raw.status, 415);
    assert!(raw.body.windows(12).any(|part| part == b"HTTP/1.1 200"));
    let options = ClientOptions::default();
    post_with(&options).post(&bed.address.url, &sealed).await.unwrap();
    assert_eq!(node.frames().len(), 1);
}
