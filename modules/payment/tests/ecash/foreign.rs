//! Wallets that others wrote, against our mint over HTTP: if one of them cannot buy, send, receive, lock or pay, we do not speak the protocol.
//!
//! They are installed once into the target directory: nutshell's wallet from PyPI (needs Debian's `python3-venv`), cashu-ts from npm (needs
//! `nodejs` and `npm`).

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::{KeysetAudit, Mint, Settings};
use semper_store::MemoryArchive;
use tokio::process::Command;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::http::Served;
use crate::support::{METHOD, World, quote_request};

/// How long one call of a wallet may take; Python starts for 5 to 8 seconds.
const CALL: Duration = Duration::from_secs(120);
/// How long an installation may take.
const INSTALL: Duration = Duration::from_secs(900);

/// Runs a program to its end: whether it was content, and everything that it said.
async fn run(mut command: Command, patience: Duration) -> (bool, String) {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output =
        timeout(patience, command.output()).await.expect("the program ends in time").expect("the program starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A directory into which something was installed once.
async fn installed(name: &str, commands: impl FnOnce(&Path) -> Vec<Command>) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let done = directory.join("installed");
    if !done.exists() {
        fs::create_dir_all(&directory).unwrap();
        for command in commands(&directory) {
            let (content, said) = run(command, INSTALL).await;
            assert!(content, "{name} cannot be installed: {said}");
        }
        fs::write(done, "").unwrap();
    }
    directory
}

fn command(program: impl AsRef<Path>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(arguments);
    command
}

/// Nutshell's wallet on a mint.
struct Nutshell {
    program: PathBuf,
    home: tempfile::TempDir,
    mint: String,
}

impl Nutshell {
    async fn new(mint: &str) -> Self {
        let directory = installed("nutshell-0.20.2", |directory| {
            let venv = directory.join("venv");
            let pip = venv.join("bin/pip");
            // Later versions of the other two crash it when it starts.
            let packages = ["install", "--quiet", "cashu==0.20.2", "marshmallow<4", "limits<4"];
            vec![command("python3", &["-m", "venv", venv.to_str().unwrap()]), command(pip, &packages)]
        });
        let program = directory.await.join("venv/bin/cashu");
        Self { program, home: tempfile::tempdir().unwrap(), mint: mint.to_owned() }
    }

    async fn call(&self, wallet: &str, arguments: &[&str]) -> (bool, String) {
        // A directory each: named wallets in one directory make themselves a new seed at each call.
        let mut command = command(&self.program, &["-y"]);
        command
            .args(arguments)
            .env("CASHU_DIR", self.home.path().join(wallet))
            .env("MINT_URL", &self.mint)
            .env("TOR", "false");
        run(command, CALL).await
    }

    /// A call that must succeed; what it said.
    async fn must(&self, wallet: &str, arguments: &[&str]) -> String {
        let (content, said) = self.call(wallet, arguments).await;
        assert!(content, "{arguments:?}: {said}");
        said
    }
}

/// The first word that begins with `prefix`.
fn word(said: &str, prefix: &str) -> String {
    said.split_whitespace()
        .find(|word| word.starts_with(prefix))
        .unwrap_or_else(|| panic!("no {prefix}: {said}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nutshell_buys_sends_receives_locks_and_pays() {
    let world = World::today(100).await;
    let served = Served::start(world.mint.clone()).await;
    let wallets = Nutshell::new(&served.url).await;
    assert!(wallets.must("alice", &["invoice", "100"]).await.contains("Balance: 100 sat"));

    let token = word(&wallets.must("alice", &["send", "10", "--include-fees"]).await, "cashu");
    assert!(wallets.must("bob", &["receive", &token]).await.contains("Received 10 sat"));
    let (_, said) = wallets.call("eve", &["receive", &token]).await;
    assert!(said.contains("11001"), "the coin is spent: {said}");

    let lock = word(&wallets.must("bob", &["lock", "p2pk"]).await, "P2PK:");
    let token = word(&wallets.must("alice", &["send", "5", "--include-fees", "--lock", &lock]).await, "cashu");
    let before = world.outstanding().await;
    let (content, said) = wallets.call("eve", &["receive", &token]).await;
    assert!(!content || !said.contains("Received"), "locked to Bob: {said}");
    assert_eq!(world.outstanding().await, before);
    // The sender forgets the fee of a locked coin.
    assert!(wallets.must("bob", &["receive", &token]).await.contains("Received 4 sat"));

    // The invoice of another quote of this mint, which is paid by it.
    world.money.wait_for_payers();
    let quote = world.mint.mint_quote(METHOD, quote_request(20, Unit::Sat)).await.unwrap();
    assert!(wallets.must("alice", &["pay", &quote.request]).await.contains("Invoice paid"));
    assert_eq!(world.mint.mint_quote_state(METHOD, &quote.quote).await.unwrap().state, "PAID");
    assert_eq!(world.money.spent(), 20);
    let held = world.outstanding().await;
    assert!((15..=80).contains(&held), "{held}: 100 bought, 20 paid, the rest less fees is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn cashu_ts_buys_sends_receives_checks_proofs_and_pays() {
    for program in ["node", "npm"] {
        assert!(runs(program).await, "{program} is not there: install Debian's nodejs and npm");
    }
    let directory = installed("cashu-ts-2.5.3", |directory| {
        let mut npm = command("npm", &["install", "--no-audit", "--no-fund", "@cashu/cashu-ts@2.5.3"]);
        fs::write(directory.join("package.json"), "{\"private\":true}").unwrap();
        npm.current_dir(directory);
        vec![npm]
    });
    let directory = directory.await;
    let world = World::today(0).await;
    // This version knows keysets of version 00 only.
    let settings = Settings { legacy_ids: true, input_fee_ppk: 100, ..Settings::default() };
    let now = world.now();
    let archive = Arc::new(MemoryArchive::new());
    let seed = Zeroizing::new(vec![8; 32]);
    let mint = Mint::open(settings, archive, Arc::new(move || now), seed, vec![world.money.clone()]).await.unwrap();
    let served = Served::start(mint.clone()).await;
    fs::write(directory.join("wallet.mjs"), include_str!("foreign/wallet.mjs")).unwrap();
    let mut node = command("node", &["wallet.mjs", &served.url]);
    node.current_dir(&directory);
    let (content, said) = run(node, CALL).await;
    assert!(content, "{said}");
    let expected = [
        "quote PAID",
        "bought 64, proven true",
        "received 10, proven true",
        "refused 11001",
        "states SPENT",
        "locked: refused 10001, received 5",
        "paid PAID",
    ];
    for line in expected {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    let outstanding: i128 = mint.audit().await.unwrap().iter().map(KeysetAudit::outstanding).sum();
    assert!((50..=56).contains(&outstanding), "{outstanding}: 64 bought, 7 paid, fees");
}

async fn runs(program: &str) -> bool {
    let mut command = command(program, &["--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}
