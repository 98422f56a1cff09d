//! Stands between an archive and its server, and cuts connections at the worst moment.

use std::io;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// What is done with the next COMMIT, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtCommit {
    /// It never reaches the server; both ends are cut.
    CutBefore,
    /// The server has answered it; the answer does not come through, and the client's end is cut.
    CutAfter,
    /// The client's end is cut; the server gets it when it is released.
    Hold,
}

/// Listens on a port of 127.0.0.1 as long as the test runs.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// 0: nobody is let through.
    target: AtomicU16,
    at_commit: Mutex<Option<AtCommit>>,
    cuts: AtomicUsize,
    release: Notify,
    /// Connections end when this changes.
    generation: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) async fn start(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            target: target.into(),
            at_commit: Mutex::default(),
            cuts: AtomicUsize::new(0),
            release: Notify::new(),
            generation: watch::Sender::new(0),
        });
        tokio::spawn({
            let shared = shared.clone();
            async move {
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    let shared = shared.clone();
                    // An error is an end that is gone: then the other one goes too.
                    tokio::spawn(async move { shared.connect(client).await });
                }
            }
        });
        Self { port, shared }
    }

    pub(crate) fn at_next_commit(&self, what: AtCommit) {
        *self.shared.at_commit.lock().unwrap() = Some(what);
    }

    /// How many connections were cut at a COMMIT.
    pub(crate) fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Lets a COMMIT through that is held.
    pub(crate) fn release(&self) {
        self.shared.release.notify_one();
    }

    /// Cuts all connections; new ones lead to another server.
    pub(crate) fn lead_to(&self, port: u16) {
        self.shared.target.store(port, Ordering::SeqCst);
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    /// Cuts all connections; new ones are cut at once.
    pub(crate) fn refuse_all(&self) {
        self.lead_to(0);
    }
}

impl Shared {
    async fn connect(&self, mut client: TcpStream) -> io::Result<()> {
        let target = self.target.load(Ordering::SeqCst);
        if target == 0 {
            return Ok(());
        }
        let mut generation = self.generation.subscribe();
        let mut server = TcpStream::connect(("127.0.0.1", target)).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut up, mut down) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
        loop {
            tokio::select! {
                count = client.read(&mut up) => {
                    let said = &up[..count?];
                    // It is a message of its own, because its answer is waited for before anything else is sent.
                    let at_commit = if said == COMMIT { self.at_commit.lock().unwrap().take() } else { None };
                    if let Some(at_commit) = at_commit {
                        drop(client);
                        self.cuts.fetch_add(1, Ordering::SeqCst);
                        return self.after_cut(server, at_commit).await;
                    }
                    if said.is_empty() {
                        return Ok(());
                    }
                    server.write_all(said).await?;
                }
                count = server.read(&mut down) => {
                    let count = count?;
                    if count == 0 {
                        return Ok(());
                    }
                    client.write_all(&down[..count]).await?;
                }
                _ = generation.changed() => return Ok(()),
            }
        }
    }

    async fn after_cut(&self, mut server: TcpStream, at_commit: AtCommit) -> io::Result<()> {
        match at_commit {
            AtCommit::CutBefore => return Ok(()),
            AtCommit::CutAfter => {}
            AtCommit::Hold => self.release.notified().await,
        }
        server.write_all(COMMIT).await?;
        server.read(&mut [0; 64]).await.map(drop)
    }
}

/// A COMMIT as the client sends it: `Q`, the length, the text.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
