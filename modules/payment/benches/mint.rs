//! What a swap costs at the mint: two coins in, two out, over HTTP on loopback, every swap durable in SQLite, eight clients.
//!
//! `cargo bench -p semper-payment --bench mint`. The mint runs in a process of its own, so that CPU time and bytes written are its alone; the
//! clients only send what was made before. Measured at 10^4 and 10^6 stored secrets (a spent coin and a signed message each). Printed:
//! - swaps a second, and the time of one at the median and at the 99th percentile;
//! - CPU time of the mint's process per swap, over that of its raw cryptography: two coins verified, two messages signed and proven, one after
//!   the other in one thread, by our functions and by those of the crate `cashu`;
//! - bytes written per swap (`write_bytes` of /proc/PID/io, which counts pages of 4 KiB; 0 means that the directory is in memory), and how many
//!   more when the log is written back at the end. Before the first swap it is empty.
//!
//! The archive is made in TMPDIR. Needs Linux. `STORED=10000` measures one size only, `SWAPS=100000` more swaps: then the log is written back
//! at 10^6 as often as in use.
#![allow(missing_docs, reason = "a program, not a library")]
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::serve::ListenerExt as _;
use cashu::{BlindedMessage, KeySet, MintRequest, Proof, PublicKey, SecretKey, SwapRequest, SwapResponse};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_payment::admit::everybody;
use semper_payment::ecash::crypto::AmountKey;
use semper_payment::ecash::mint::{Clock, Mint, Settings, TestBackend, routes};
use semper_store::SqliteArchive;
use semper_support::archive::{Archive, Commit, Fact};
use serde_json::{Value, json};
use zeroize::Zeroizing;

const CLIENTS: usize = 8;
const WARM_UP: usize = 400;
/// Tells a process that it is the mint: how many secrets it stores first.
const ROLE: &str = "MINT_BENCH_STORED";

fn main() {
    if let Ok(stored) = std::env::var(ROLE) {
        return serve(stored.parse().unwrap());
    }
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let raw = raw_cryptography();
    println!("raw cryptography of a swap: {:.0} µs, with the functions of the crate cashu {:.0} µs", raw.0, raw.1);
    let sizes = std::env::var("STORED").map_or(vec![10_000, 1_000_000], |size| vec![size.parse().unwrap()]);
    let rates: Vec<f64> = sizes.into_iter().map(|stored| measure(stored, raw)).collect();
    if let [small, large] = rates[..] {
        println!("swaps a second at 10^6 over 10^4 stored: {:.2}", large / small);
    }
}

/// The mint's process: serves until its input ends.
fn serve(stored: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let (archive, mint) = open(directory.path()).await;
        fill(&*archive, &mint, stored).await;
        archive.close().await.unwrap();
        let (archive, mint) = open(directory.path()).await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let server =
            axum::serve(listener, routes(mint, &everybody())).with_graceful_shutdown(async { drop(end.await) });
        server.await.unwrap();
        archive.close().await.unwrap();
        println!("{}", written(std::process::id()));
    });
}

async fn open(directory: &Path) -> (Arc<SqliteArchive>, Arc<Mint>) {
    let archive = Arc::new(SqliteArchive::open(directory).await.unwrap());
    let clock: Clock = Arc::new(|| Time::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()));
    let money = Arc::new(TestBackend::worthless(clock.clone()));
    let seed = Zeroizing::new(vec![7; 32]);
    let mint = Mint::open(Settings::default(), archive.clone(), clock, seed, vec![money]).await.unwrap();
    (archive, mint)
}

/// Stores coins and messages of the keyset that is measured, with keys that look like points.
async fn fill(archive: &dyn Archive, mint: &Mint, stored: usize) {
    let keyset = mint.keysets().active(semper_payment::ecash::keyset::Unit::Eur).unwrap().id().to_string();
    let fact = |space: &str, number: usize, value: Vec<u8>| {
        let hash = Digest::of_parts(domain::INPUT, &[space.as_bytes(), &number.to_be_bytes()]);
        Fact { space: format!("{space}{}", &keyset[..16]), key: [&[2], hash.as_bytes().as_slice()].concat(), value }
    };
    for start in (0..stored).step_by(1000) {
        let numbers = start..(start + 1000).min(stored);
        let spent = numbers.clone().map(|number| fact("ecash-spent/", number, [vec![1, 0], vec![0; 32]].concat()));
        let signed = numbers.map(|number| fact("ecash-signed/", number, vec![1, 0]));
        let facts = spent.chain(signed).collect();
        archive.commit(Commit { facts, ..Commit::default() }).await.unwrap();
    }
}

fn measure(stored: usize, raw: (f64, f64)) -> f64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(ROLE, stored.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut address).unwrap();
    let address = address.trim().to_owned();
    let swaps = std::env::var("SWAPS").map_or(8000, |swaps| swaps.parse().unwrap());
    let mut bodies = prepare(&address, swaps + WARM_UP);
    post_all(&address, bodies.split_off(swaps));

    let (cpu, before) = (cpu_time(&child), written(child.id()));
    let start = Instant::now();
    let mut times = post_all(&address, bodies);
    let took = start.elapsed();
    let (cpu_after, after) = (cpu_time(&child), written(child.id()));
    drop(child.stdin.take());
    let mut closed = String::new();
    lines.read_line(&mut closed).unwrap();
    child.wait().unwrap();

    times.sort_unstable();
    let rate = swaps as f64 / took.as_secs_f64();
    let cpu = (cpu_after - cpu).as_secs_f64() * 1e6 / swaps as f64;
    let kb = |bytes: u64| bytes as f64 / 1e3 / swaps as f64;
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{stored} stored: {rate:.0} swaps/s, p50 {:.2} ms, p99 {:.2} ms, CPU {cpu:.0} µs ({:.2} × raw, {:.2} × raw of cashu), {:.1} KB written + {:.1} at the end",
        at(0.5),
        at(0.99),
        cpu / raw.0,
        cpu / raw.1,
        kb(after - before),
        kb(closed.trim().parse::<u64>().unwrap() - after),
    );
    rate
}

/// CPU time of a process so far.
fn cpu_time(child: &Child) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    // After the name in parentheses: user and system time are fields 14 and 15 of the whole, in hundredths of a second.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Bytes that a process had written so far.
fn written(process: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

/// Bodies of swaps of two bought coins for two others.
fn prepare(address: &str, count: usize) -> Vec<String> {
    let mut connection = Connection::open(address);
    let keys = connection.get("/v1/keys");
    let keysets: Vec<KeySet> = serde_json::from_value(keys["keysets"].clone()).unwrap();
    let keyset = keysets.into_iter().find(|keyset| keyset.unit.to_string() == "eur").unwrap();
    let mut coins = Vec::with_capacity(2 * count);
    while coins.len() < 2 * count {
        coins.extend(buy(&mut connection, &keyset, 1000));
    }
    let swap = |pair: &[Proof]| {
        let outputs = (0..2).map(|_| blank(&keyset).0).collect();
        serde_json::to_string(&SwapRequest::new(pair.to_vec(), outputs)).unwrap()
    };
    coins.chunks_exact(2).take(count).map(swap).collect()
}

fn buy(connection: &mut Connection, keyset: &KeySet, count: usize) -> Vec<Proof> {
    let asked = json!({ "amount": count * 4, "unit": "eur" });
    let quote = connection.post("/v1/mint/quote/bolt11", &asked.to_string());
    let blanks: Vec<_> = (0..count).map(|_| blank(keyset)).collect();
    let outputs = blanks.iter().map(|blank| blank.0.clone()).collect();
    let request = MintRequest { quote: quote["quote"].as_str().unwrap().to_owned(), outputs, signature: None };
    let answer = connection.post("/v1/mint/bolt11", &serde_json::to_string(&request).unwrap());
    let signatures = serde_json::from_value::<SwapResponse>(answer).unwrap().signatures;
    let (rs, secrets) = blanks.into_iter().map(|(_, r, secret)| (r, secret)).unzip();
    let coins = cashu::dhke::construct_proofs(signatures, rs, secrets, &keyset.keys).unwrap();
    coins.into_iter().map(|coin| Proof { dleq: None, ..coin }).collect()
}

fn blank(keyset: &KeySet) -> (BlindedMessage, SecretKey, cashu::secret::Secret) {
    let secret = cashu::secret::Secret::generate();
    let (blinded, r) = cashu::dhke::blind_message(secret.as_bytes(), None).unwrap();
    (BlindedMessage::new(4.into(), keyset.id, blinded), r, secret)
}

/// Posts swaps from all clients at once; how long each took.
fn post_all(address: &str, bodies: Vec<String>) -> Vec<Duration> {
    let mut shares: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (number, body) in bodies.into_iter().enumerate() {
        shares.entry(number % CLIENTS).or_default().push(body);
    }
    let post_share = |bodies: Vec<String>| {
        let mut connection = Connection::open(address);
        let post = |body: &String| {
            let start = Instant::now();
            let answer = connection.post("/v1/swap", body);
            assert!(answer["signatures"].is_array(), "{answer}");
            start.elapsed()
        };
        bodies.iter().map(post).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let clients: Vec<_> = shares.into_values().map(|share| scope.spawn(|| post_share(share))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// A connection that knows as much of HTTP as our server needs: a client that does more would be measured too.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn get(&mut self, path: &str) -> Value {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: mint\r\n\r\n"))
    }

    fn post(&mut self, path: &str, body: &str) -> Value {
        self.ask(&format!("POST {path} HTTP/1.1\r\nhost: mint\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    }

    fn ask(&mut self, request: &str) -> Value {
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

/// Microseconds for the cryptography of a swap: by our functions, and by those of the crate.
fn raw_cryptography() -> (f64, f64) {
    const ROUNDS: u32 = 1000;
    let secret = SecretKey::from_slice(&[9; 32]).unwrap();
    let key = AmountKey::new(secret.clone());
    let y = cashu::dhke::hash_to_curve(b"a coin's secret").unwrap();
    let coin = key.sign(&y).0;
    let ours = || {
        assert!(key.verify(b"a coin's secret", &coin));
        std::hint::black_box(key.sign(&y));
    };
    let id = cashu::Id::from_bytes(&[0; 8]).unwrap();
    let theirs = || {
        cashu::dhke::verify_message(&secret, coin, b"a coin's secret").unwrap();
        let signature: PublicKey = cashu::dhke::sign_message(&secret, &y).unwrap();
        std::hint::black_box(cashu::BlindSignature::new(4.into(), signature, id, &y, &secret).unwrap());
    };
    let time = |work: &dyn Fn()| {
        let start = thread_time();
        (0..2 * ROUNDS).for_each(|_| work());
        (thread_time() - start).as_secs_f64() * 1e6 / f64::from(ROUNDS)
    };
    let _warm = (time(&ours), time(&theirs));
    (time(&ours), time(&theirs))
}

/// CPU time of this thread so far: a busy machine must not make the raw cryptography look dear.
fn thread_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
