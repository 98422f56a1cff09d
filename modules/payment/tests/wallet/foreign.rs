//! Nutshell's mint over HTTP: if our wallet cannot buy, pay, receive, send, restore and sell coins there, it is no wallet for this protocol.
//!
//! It is installed once from PyPI into the target directory (needs Debian's `python3-venv`), where the tests of our mint look for it too.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use semper_core::machine::Fault;
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::TestBackend;
use semper_payment::ecash::mint::backend::Backend;
use semper_transfer::payment::module::{IssuerReply, IssuerRequest};
use semper_transfer::payment::operation::{Money, Task};
use semper_transfer::payment::statement::Side;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::world::{Clock, Issuer, Party, hash_locked, learn, pay, redeem};

/// How long an installation may take.
const INSTALL: Duration = Duration::from_secs(900);
/// How long the mint may take to start; Python compiles itself the first time.
const START: Duration = Duration::from_secs(180);
/// How often a request is repeated that the mint is too busy for.
const REPEATS: usize = 20;

struct Nutshell {
    url: String,
    client: reqwest::Client,
    _process: Child,
    _home: tempfile::TempDir,
}

impl Nutshell {
    async fn start() -> Self {
        let program = installed().await.join("venv/bin/mint");
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(home.path().join("log")).unwrap();
        let process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .current_dir(home.path())
            .env("CASHU_DIR", home.path())
            .env("MINT_DATABASE", home.path().join("mint"))
            .env("MINT_PRIVATE_KEY", "a key for a test")
            .env("MINT_BACKEND_BOLT11_SAT", "FakeWallet")
            .env("FAKEWALLET_BRR", "TRUE")
            .env("FAKEWALLET_DELAY_OUTGOING_PAYMENT", "0")
            .env("FAKEWALLET_DELAY_INCOMING_PAYMENT", "0")
            .env("MINT_INPUT_FEE_PPK", "100")
            .env("MINT_RATE_LIMIT", "FALSE")
            .env("TOR", "false")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the mint starts");
        let url = format!("http://127.0.0.1:{port}");
        let mint = Self { url, client: reqwest::Client::new(), _process: process, _home: home };
        let deadline = Instant::now() + START;
        while mint.client.get(format!("{}/v1/info", mint.url)).send().await.is_err() {
            let log = fs::read_to_string(mint._home.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the mint does not start: {log}");
            sleep(Duration::from_millis(200)).await;
        }
        mint
    }
}

#[async_trait]
impl Issuer for Nutshell {
    async fn ask(&self, request: IssuerRequest) -> IssuerReply {
        for _ in 0..REPEATS {
            let http = match &request.body {
                Some((media, body)) => self.client.post(&request.url).header("content-type", media).body(body.clone()),
                None => self.client.get(&request.url),
            };
            let Ok(response) = http.send().await else { continue };
            let status = response.status().as_u16();
            if status == 429 || status >= 500 {
                sleep(Duration::from_millis(500)).await;
                continue;
            }
            return IssuerReply { status, body: response.bytes().await.unwrap().to_vec() };
        }
        panic!("the mint does not answer {}", request.url);
    }
}

async fn installed() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nutshell-0.20.2");
    let done = directory.join("installed");
    if !done.exists() {
        fs::create_dir_all(&directory).unwrap();
        let venv = directory.join("venv");
        // Later versions of the other two crash it when it starts.
        let packages = ["install", "--quiet", "cashu==0.20.2", "marshmallow<4", "limits<4"];
        let mut make = Command::new("python3");
        make.args(["-m", "venv"]).arg(&venv);
        let mut install = Command::new(venv.join("bin/pip"));
        install.args(packages);
        for mut command in [make, install] {
            let output = timeout(INSTALL, command.kill_on_drop(true).output()).await.unwrap().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        fs::write(done, "").unwrap();
    }
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn our_wallet_at_nutshells_mint() {
    let mint = Arc::new(Nutshell::start().await);
    let clock = Clock::at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    let party = |name| Party::at(name, "SAT", &mint.url, mint.clone(), &clock);
    let (mut alice, mut bob) = (party(1).with(1000).await, party(2).with(0).await);

    // A payment, locked to the payee; the mint's word and the payee's signature prove it.
    let request = bob.request(100).await;
    let (id, paid) = pay(&mut alice, &request).await;
    let token = paid.handover.clone();
    bob.done(Task::Receive { request: request.clone(), token: token.clone() }).await;
    assert_eq!(bob.available(), 100);
    let again = bob.run(Task::Receive { request, token }).await.unwrap_err();
    assert_eq!(again.money, Money::NotMoved, "{again}");
    assert_eq!(alice.done(Task::Reclaim(id)).await.moved.minor(), 0);
    assert_eq!((alice.pending(), alice.available()), (0, 900 - paid.fee.minor()));

    // A token for anybody, once.
    let token = String::from_utf8(alice.done(Task::Send(alice.amount(50))).await.handover).unwrap();
    assert_eq!(bob.done(Task::Accept(token.clone())).await.moved.minor(), 50);
    let again = bob.run(Task::Accept(token)).await.unwrap_err();
    assert!(again.money == Money::NotMoved && again.reason.contains("spent"), "{again}");

    // The words alone.
    alice.done(Task::Refresh).await;
    let mut restored = party(1).with(0).await;
    assert_eq!(restored.done(Task::Restore).await.moved, alice.amount(alice.available()));

    // The mint pays an invoice of somebody else.
    let told = clock.clone();
    let somebody = TestBackend::worthless(Arc::new(move || told.now()));
    let address = somebody.invoice("a quote", 30, Unit::Sat).await.unwrap().request;
    let held = restored.available();
    let paid = restored.done(Task::Transfer { amount: restored.amount(30), address }).await;
    assert_eq!(restored.available(), held - 30 - paid.fee.minor());
    assert!(paid.fee.minor() < 5, "{}", paid.fee);

    // A hash lock: the payer learns from the mint how it was opened.
    let preimage = [5; 32];
    let (_, lock, token) = hash_locked(&mut restored, &mut bob, 20, preimage).await;
    bob.done(Task::VerifyLock { lock: lock.clone(), token: token.clone() }).await;
    assert_eq!(restored.run(learn(&lock, &token)).await.unwrap_err().fault, Fault::PeerRefused);
    assert_eq!(bob.done(redeem(&lock, &token, Side::Payee, &preimage)).await.moved.minor(), 20);
    assert_eq!(restored.done(learn(&lock, &token)).await.handover, preimage);
}
