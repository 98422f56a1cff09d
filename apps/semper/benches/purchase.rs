//! What a fair purchase of 1 MiB costs: seller, buyer, mint and arbiter in this process, everything durable, over loopback. Prints ratios against
//! the bare work in it: the goods tried and checked once, every signed statement of the folders made once and checked by both sides. The mint's and the wallets'
//! cryptography is not in the bare work (`cargo bench -p semper-payment` measures it). On Linux. `cargo bench -p semper --bench purchase`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use semper::control::client::Client;
use semper::control::{ContactOrder, OfferOrder, PurseOrder, TaskOrder};
use semper::home::{Config, Home, Role};
use semper::party::{self, Running};
use semper::policy::Policy;
use semper::sale::{self, Found};
use semper_core::cbor::Decode as _;
use semper_core::cose::{Kind, Signed, Statement as _};
use semper_core::party::Suite;
use semper_crypto::{SecretKeys, Verifier};
use semper_exchange::evidence::Folder;
use semper_exchange::goods::{ArticleKey, ChunkIndex, Disclosure, Encoder, Seed};
use semper_support::crypto::Signer as _;
use semper_support::engine::EvidenceKind;

const PASSPHRASE: &[u8] = b"only for a measurement";
const MIB: u32 = 1 << 20;
const PURCHASES: u32 = 30;
const PRICE: &str = "1.00 EUR";

/// What Bob signs without being asked, and what Alice does.
const OFFER: &str = "what = \"offer\"";
const PURCHASE: &str = "what = \"purchase\"\nup_to = \"50.00 EUR\"";

struct Party {
    home: Home,
    running: Running,
}

impl Party {
    async fn start(dir: &Path, name: &str, role: Role, allowed: &str) -> Self {
        let home = Home::at(Some(dir.join(name))).unwrap();
        let mut config = Config::new(name.to_owned(), role, "127.0.0.1:0".parse().unwrap(), None, None);
        if let Some(mint) = &mut config.mint {
            mint.test_money = true;
        }
        party::create(&home, config, PASSPHRASE).unwrap();
        let policy = Policy::parse(&format!("[[allow]]\n{allowed}")).unwrap();
        let running = Running::start(&home, PASSPHRASE, Some(policy), true).await.unwrap();
        Self { home, running }
    }

    fn client(&self) -> Client {
        self.running.client().unwrap()
    }
}

/// Wall-clock and processor time of this process.
#[derive(Clone, Copy)]
struct Spent {
    wall: Duration,
    cpu: Duration,
}

struct Watch(Instant, Duration);

impl Watch {
    fn start() -> Self {
        Self(Instant::now(), cpu())
    }

    fn stop(&self) -> Spent {
        Spent { wall: self.0.elapsed(), cpu: cpu() - self.1 }
    }
}

/// What this process has used of the processors, in steps of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks: Vec<u64> = after_name.split_whitespace().skip(11).take(2).map(|n| n.parse().unwrap()).collect();
    Duration::from_millis(10 * (ticks[0] + ticks[1]))
}

fn main() {
    tokio::runtime::Runtime::new().unwrap().block_on(measure());
}

async fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let arbiter = Party::start(dir.path(), "Carol", Role::Arbiter, OFFER).await;
    let mint = Party::start(dir.path(), "Mint", Role::Mint, OFFER).await;
    let bob = Party::start(dir.path(), "Bob", Role::Party, OFFER).await;
    let alice = Party::start(dir.path(), "Alice", Role::Party, PURCHASE).await;
    let issuer = mint.home.config().unwrap().base_url();
    for party in [&alice, &bob] {
        let card = ContactOrder { card: arbiter.home.card().unwrap(), name: String::new(), arbiter: true };
        party.client().add_contact(&card).await.unwrap();
        let (system, issuer, currency) = ("ecash".to_owned(), issuer.clone(), "EUR".to_owned());
        party.client().open_purse(&PurseOrder { system, issuer, currency }).await.unwrap();
    }
    let withdraw = TaskOrder::Withdraw {
        amount: format!("{}.00 EUR", PURCHASES + 1),
        purse: String::new(),
        method: "bolt11".to_owned(),
    };
    let withdrawn = alice.client().begin(&withdraw).await.unwrap();
    alice.client().operation_ended(&withdrawn.operation).await.unwrap();

    let file = dir.path().join("data.bin");
    std::fs::write(&file, (0..MIB / 4).flat_map(u32::to_le_bytes).collect::<Vec<_>>()).unwrap();
    let first = Watch::start();
    let goods = sale::prepare(&bob.home, &file, "data.bin", "", |_| {}).await.unwrap();
    let offer = bob.client().sell(&OfferOrder { price: PRICE.to_owned(), ..goods }).await.unwrap();
    let found = Found::at(&alice.home, &sale::link(&bob.home.config().unwrap().base_url(), &offer.id)).await.unwrap();
    found.fetch(|_| {}).await.unwrap();
    let mut deal = buy(&alice, &bob, &found, &dir.path().join("first")).await;
    let first = first.stop();

    let (all, mut walls) = (Watch::start(), Vec::new());
    for n in 0..PURCHASES {
        let one = Instant::now();
        deal = buy(&alice, &bob, &found, &dir.path().join(n.to_string())).await;
        walls.push(one.elapsed());
    }
    let all = all.stop();
    walls.sort_unstable();
    let each = all.cpu / PURCHASES;

    let statements = statements(&[&alice, &bob], &deal).await;
    let bare = bare_goods() + bare_signatures(&statements);
    println!(
        "a purchase, until both have ended: p50 {:.1} ms, p90 {:.1} ms",
        ms(walls[walls.len() / 2]),
        ms(walls[walls.len() * 9 / 10])
    );
    println!("wall-clock of {PURCHASES} purchases one after the other: {:.1} ms each", ms(all.wall / PURCHASES));
    println!("{} signed statements in both folders", statements.len());
    println!(
        "processor of a purchase, all parties / bare goods and signatures: {:.2} / {:.2} ms = {:.1}",
        ms(each),
        ms(bare),
        each.as_secs_f64() / bare.as_secs_f64()
    );
    println!(
        "a further purchase of the article / the first, with encoding, offer and download: {:.2}",
        each.as_secs_f64() / first.cpu.as_secs_f64()
    );
    for party in [alice, bob, arbiter, mint] {
        party.running.stop().await;
    }
}

async fn buy(alice: &Party, bob: &Party, found: &Found, to: &Path) -> String {
    let deal = alice.client().buy(&found.order(to).unwrap()).await.unwrap().deal;
    for party in [alice, bob] {
        let ended = party.client().ended(&deal).await.unwrap();
        assert_eq!(ended.ending.as_deref(), Some("success"), "{ended:?}");
    }
    deal
}

/// Every signed statement that both can show.
async fn statements(parties: &[&Party], deal: &str) -> Vec<Signed> {
    let mut found = BTreeMap::new();
    for party in parties {
        let folder = Folder::from_bytes(&party.client().folder(deal).await.unwrap()).unwrap();
        let signed = folder.items.iter().filter(|item| item.kind == EvidenceKind::Statement);
        found.extend(signed.map(|item| Signed::from_bytes(&item.bytes).unwrap()).map(|signed| (signed.id(), signed)));
    }
    found.into_values().collect()
}

/// The time to sign so many statements once, and to check each of them twice.
fn bare_signatures(statements: &[Signed]) -> Duration {
    let keys = SecretKeys::generate(Suite::Hybrid).unwrap();
    let disclosure = Disclosure {
        cid: semper_core::ids::Cid::from_digest(semper_core::hash::Digest::from_array([1; 32])),
        slot: semper_core::ids::Slot(0),
        seed: Seed::new(vec![1; 32]),
    };
    assert_eq!(disclosure.draft(Suite::Hybrid, keys.key_set().id()).kind, Kind::Disclosure);
    let begun = Instant::now();
    for _ in statements {
        let signed = keys.sign(disclosure.draft(Suite::Hybrid, keys.key_set().id())).unwrap();
        for _ in 0..2 {
            black_box(semper_core::signature::verify::<Disclosure>(&Verifier, keys.key_set(), &signed).unwrap());
        }
    }
    begun.elapsed()
}

/// The time to take 1 MiB of ciphertext apart and to check every chunk of it.
fn bare_goods() -> Duration {
    let (key, mut ciphertext) = (ArticleKey::from_array([1; 32]), Vec::new());
    let mut encoder = Encoder::new(key.clone());
    encoder.push(&vec![7; MIB as usize], &mut ciphertext).unwrap();
    let article = encoder.finish(&mut ciphertext).unwrap();
    let begun = Instant::now();
    for (index, chunk) in (0..).map(ChunkIndex).zip(ciphertext.chunks_mut(semper_exchange::goods::CHUNK_LEN)) {
        key.apply(index, chunk);
        assert_eq!(article.index.leaves(index).unwrap().plain, key.plain_leaf(index, chunk));
    }
    begun.elapsed()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
