//! TLS, HTTP/2 and the end of a server.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::CertificateDer;
use semper_channel::{ClientOptions, ServeError, Server, ServerOptions, Transport};
use semper_support::channel::{Post, PostError};
use semper_support::crypto::KemSuite;

use crate::support::{Bed, Node, bind, frame, limits, plain, post, post_with, within};

/// A certification authority and a server certificate for 127.0.0.1.
struct Authority {
    anchor: CertificateDer<'static>,
    chain_pem: String,
    key_pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        Self { anchor: ca.der().clone(), chain_pem: leaf.pem(), key_pem: key.serialize_pem() }
    }

    fn transport(&self) -> Transport {
        Transport::from_pem(self.chain_pem.as_bytes(), self.key_pem.as_bytes()).unwrap()
    }

    fn options(&self) -> ClientOptions {
        ClientOptions { anchors: vec![self.anchor.clone()], ..ClientOptions::default() }
    }
}

#[tokio::test]
async fn a_message_arrives_over_tls_only_under_a_trusted_authority() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let node = Node::willing();
    let bed = Bed::on(&node, limits(), KemSuite::XWing, "https", ours.transport());
    let sealed = post().seal(&bed.address, &frame(1, b"x")).unwrap();
    for stranger in [theirs.options(), ClientOptions::default()] {
        let error = post_with(&stranger).post(&bed.address.url, &sealed).await.unwrap_err();
        assert!(matches!(&error, PostError::Unreachable(why) if why.contains("certificate")), "{error}");
    }
    assert!(node.frames().is_empty());
    post_with(&ours.options()).post(&bed.address.url, &sealed).await.unwrap();
    assert_eq!(node.frames().len(), 1);
}

#[tokio::test]
async fn tls_speaks_http_2_and_http_1() {
    let authority = Authority::new("ours");
    let listener = bind();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/", axum::routing::get(|| async { "here" }));
    let _server = crate::support::serve(listener, router, authority.transport());
    let anchor = reqwest::Certificate::from_der(&authority.anchor).unwrap();
    let client = || reqwest::Client::builder().no_proxy().tls_certs_only([anchor.clone()]);
    let two = client().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(two.version(), reqwest::Version::HTTP_2);
    let one = client().http1_only().build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(one.version(), reqwest::Version::HTTP_11);
}

#[tokio::test]
async fn plain_http_is_not_served_to_others() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let result = Server::start(listener, axum::Router::new(), Transport::Plain, &ServerOptions::default());
    assert!(matches!(result.err(), Some(ServeError::PlainOffLoopback(_))));
}

#[tokio::test]
async fn unusable_certificates_are_refused() {
    let (one, two) = (Authority::new("one"), Authority::new("two"));
    for (chain, key) in [("", one.key_pem.as_str()), ("garbage", "garbage"), (one.chain_pem.as_str(), "")] {
        assert!(matches!(Transport::from_pem(chain.as_bytes(), key.as_bytes()), Err(ServeError::Pem(_))));
    }
    let mixed = Transport::from_pem(one.chain_pem.as_bytes(), two.key_pem.as_bytes()).unwrap();
    let result = Server::start(bind(), axum::Router::new(), mixed, &ServerOptions::default());
    assert!(matches!(result.err(), Some(ServeError::Tls(_))));
}

// A node that is stopped must finish what it has begun to answer, or senders keep messages that were stored.
#[tokio::test]
async fn stopping_lets_an_answer_be_finished() {
    let node = Node::held();
    let bed = Bed::new(&node);
    let post = post();
    let sealed = post.seal(&bed.address, &frame(1, b"x")).unwrap();
    let url = bed.address.url.clone();
    let posted = tokio::spawn(async move { (post.post(&url, &sealed).await, post) });
    node.called().await;
    let stopped = tokio::spawn(bed.server.stop(Duration::from_secs(15)));
    node.go_on.add_permits(1);
    let (posted, post) = within(posted).await.unwrap();
    posted.unwrap();
    within(stopped).await.unwrap().unwrap();
    let later = post.seal(&bed.address, &frame(2, b"x")).unwrap();
    assert!(matches!(post.post(&bed.address.url, &later).await, Err(PostError::Unreachable(_))));
}

// A node that hangs must not keep the server from ending.
#[tokio::test]
async fn stopping_ends_at_its_deadline() {
    let node = Node::held();
    let bed = Bed::new(&node);
    let post = Arc::new(post());
    let sealed = post.seal(&bed.address, &frame(1, b"x")).unwrap();
    let url = bed.address.url.clone();
    let posted = tokio::spawn(async move { post.post(&url, &sealed).await });
    node.called().await;
    within(bed.server.stop(Duration::from_millis(50))).await.unwrap();
    assert!(matches!(within(posted).await.unwrap(), Err(PostError::Unreachable(_))));
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed() {
    use tokio::io::AsyncReadExt;
    let options = ServerOptions { connections_max: 1, ..ServerOptions::default() };
    let server = Server::start(bind(), axum::Router::new(), Transport::Plain, &options).unwrap();
    let mut first = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let mut second = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let mut byte = [0];
    // Accepted in order: the second finds no place and ends; the first is still open.
    assert!(matches!(within(second.read(&mut byte)).await, Ok(0) | Err(_)));
    assert!(tokio::time::timeout(Duration::from_millis(50), first.read(&mut byte)).await.is_err());
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let (server, _) = plain(axum::Router::new());
    let address = server.address();
    drop(server);
    within(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
