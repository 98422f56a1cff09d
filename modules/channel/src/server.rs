//! A router on a socket: plain on loopback, TLS 1.3 elsewhere, HTTP/1.1 and HTTP/2, with an end to every wait.
//!
//! A peer that connects and says nothing, or one byte a minute, is cut off: after the handshake time in TLS, after `idle` without a
//! byte, after `header_patience` inside a head. Bodies have a time of their own in [`crate::Limits`].

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

/// How a server talks.
pub enum Transport {
    /// Plain HTTP; only on a loopback address (behind an onion service or a reverse proxy on the same machine).
    Plain,
    /// TLS 1.3.
    Tls {
        /// The server's certificate and the chain up to, but without, the trust anchor.
        chain: Vec<CertificateDer<'static>>,
        /// Its private key.
        key: PrivateKeyDer<'static>,
    },
}

impl Transport {
    /// TLS with a certificate chain and a private key in PEM.
    ///
    /// # Errors
    /// `Pem`: one of the texts holds no such thing.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, ServeError> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| ServeError::Pem(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| ServeError::Pem(error.to_string()))?;
        if chain.is_empty() {
            return Err(ServeError::Pem("no certificate".to_owned()));
        }
        Ok(Transport::Tls { chain, key })
    }
}

/// The bounds of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Most connections at once; more are closed as soon as they are made.
    pub connections_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_patience: Duration,
    /// How long the head of a request may take to arrive.
    pub header_patience: Duration,
    /// How long a connection may be silent. Must be longer than the longest wait for an answer, because a peer is silent then.
    pub idle: Duration,
}

impl Default for ServerOptions {
    /// 1024 connections; 10 s for a handshake and for a head; 90 s of silence.
    fn default() -> Self {
        Self {
            connections_max: 1024,
            handshake_patience: Duration::from_secs(10),
            header_patience: Duration::from_secs(10),
            idle: Duration::from_secs(90),
        }
    }
}

/// Why a server does not start or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The PEM text is not usable.
    #[error("certificate or key: {0}")]
    Pem(String),
    /// The certificate and the key do not belong together, or are of a kind that TLS does not know.
    #[error("certificate or key: {0}")]
    Tls(#[from] rustls::Error),
    /// Plain HTTP on an address that others can reach.
    #[error("plain http is served on loopback addresses only, not on {0}")]
    PlainOffLoopback(SocketAddr),
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    /// The server's task failed.
    #[error("the server failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// A running server. Dropping it closes its socket and its connections at once; [`Server::stop`] lets answers be finished.
pub struct Server {
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    task: Option<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Serves `router` on a bound socket; handlers see the address of their peer. Called inside a tokio runtime.
    ///
    /// # Errors
    /// [`ServeError`]; nothing is served.
    pub fn start(
        listener: TcpListener,
        router: Router,
        transport: Transport,
        options: &ServerOptions,
    ) -> Result<Self, ServeError> {
        let address = listener.local_addr()?;
        if matches!(transport, Transport::Plain) && !address.ip().is_loopback() {
            return Err(ServeError::PlainOffLoopback(address));
        }
        listener.set_nonblocking(true)?;
        let handle = Handle::new();
        let mut server = axum_server::from_tcp(listener)?.handle(handle.clone());
        bound_requests(&mut server, options);
        let guard = Guard {
            places: Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS))),
            idle: options.idle,
        };
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let task = match transport {
            Transport::Plain => tokio::spawn(server.acceptor(guard).serve(service)),
            Transport::Tls { chain, key } => {
                let config = RustlsConfig::from_config(Arc::new(tls(chain, key)?));
                let acceptor =
                    RustlsAcceptor::new(config).handshake_timeout(options.handshake_patience).acceptor(guard);
                tokio::spawn(server.acceptor(acceptor).serve(service))
            }
        };
        Ok(Self { address, handle, task: Some(task) })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.handle.connection_count()
    }

    /// Takes no more connections, lets requests that are being answered finish, and ends at the latest after `patience`.
    ///
    /// # Errors
    /// `Socket`, `Task`: the server had failed before.
    pub async fn stop(mut self, patience: Duration) -> Result<(), ServeError> {
        self.handle.graceful_shutdown(Some(patience));
        match self.task.take() {
            Some(task) => Ok(task.await??),
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn bound_requests<A>(server: &mut axum_server::Server<SocketAddr, A>, options: &ServerOptions) {
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(options.header_patience);
    builder.http2().max_concurrent_streams(32).max_header_list_size(16 * 1024);
}

fn tls(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Bounds the number of connections and the silence on each.
#[derive(Clone)]
struct Guard {
    places: Arc<Semaphore>,
    idle: Duration,
}

impl<S> Accept<TcpStream, S> for Guard {
    type Stream = Guarded;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Guarded, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let place = self.places.clone().try_acquire_owned();
        let guarded = place.map_err(|_| io::Error::other("too many connections")).and_then(|place| {
            stream.set_nodelay(true)?;
            Ok(Guarded { stream, idle: self.idle, silence: Box::pin(tokio::time::sleep(self.idle)), _place: place })
        });
        std::future::ready(guarded.map(|stream| (stream, service)))
    }
}

/// A connection that ends with an error when nothing was read from it, or written to it, for too long.
struct Guarded {
    stream: TcpStream,
    idle: Duration,
    silence: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Guarded {
    /// Passes on what the socket says, and counts the time in which it says nothing.
    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.silence.as_mut().reset(Instant::now() + self.idle);
            return poll;
        }
        self.silence.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch(cx, poll)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, data);
        self.watch(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, data);
        self.watch(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
