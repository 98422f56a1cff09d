//! How much memory a purchase takes, from the seller's file to the buyer's: the nodes of both and the commands (their vaults see no goods). Prints the largest
//! resident sizes (`VmHWM`) of a purchase of 1 MiB and of one of 1 GiB, and their ratio: the larger file must not need more memory than the smaller one.
//! Needs 4 GiB of disk, and Linux. `cargo bench -p semper --bench memory`.
#![allow(
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "the helpers are those of the tests, which use all of them"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[path = "../tests/semper/market.rs"]
mod market;
#[path = "../tests/semper/world.rs"]
mod world;

use market::Market;
use world::World;

const MIB: u64 = 1 << 20;

fn main() {
    let small = measure(MIB);
    let large = measure(1024 * MIB);
    for (who, large) in &large {
        let small = small[who];
        #[expect(clippy::cast_precision_loss, reason = "sizes of processes are far below 2^52")]
        let ratio = *large as f64 / small as f64;
        println!("{who}: 1 MiB {:.1} MiB, 1 GiB {:.1} MiB; ratio {ratio:.2}", mib(small), mib(*large));
    }
}

/// The largest resident sizes during a purchase of so many bytes, in bytes.
fn measure(bytes: u64) -> BTreeMap<&'static str, u64> {
    let market = Market::new("30.00 EUR");
    let (world, file) = (&market.world, market.world.path("sold.bin"));
    write(&file, bytes);
    let file = file.to_str().unwrap();
    let begun = Instant::now();
    let (sell, said) = peak_of(world, "bob", &["sell", file, "--price", "12.00 EUR", "--json", "--no-ask"]);
    let link = serde_json::from_str::<serde_json::Value>(&said).unwrap()["link"].as_str().unwrap().to_owned();
    let sold = begun.elapsed();
    let bought = world.path("bought.bin");
    let (buy, _) = peak_of(world, "alice", &["buy", &link, "--save-as", bought.to_str().unwrap(), "--no-ask"]);
    println!(
        "{} MiB: {:.1} s to offer, {:.1} s to buy",
        bytes / MIB,
        sold.as_secs_f64(),
        (begun.elapsed() - sold).as_secs_f64()
    );
    assert_eq!(bought.metadata().unwrap().len(), bytes, "the goods did not come");
    let node = |place: usize| peak(market.running[place].id()).unwrap();
    BTreeMap::from([
        ("seller's command", sell),
        ("seller's node", node(3)),
        ("buyer's command", buy),
        ("buyer's node", node(2)),
    ])
}

/// A file that is nowhere like itself.
fn write(path: &Path, bytes: u64) {
    let mut file = File::create(path).unwrap();
    for block in 0..bytes / MIB {
        let words =
            (0..MIB / 8).flat_map(|word| (block * MIB + word).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        file.write_all(&words.collect::<Vec<_>>()).unwrap();
    }
}

/// Runs a command that must go well; the largest resident size that was seen, and what it printed.
fn peak_of(world: &World, party: &str, args: &[&str]) -> (u64, String) {
    let mut child = world.command(party, args).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let (id, mut most) = (child.id(), 0);
    while child.try_wait().unwrap().is_none() {
        most = most.max(peak(id).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", output.status);
    (most, String::from_utf8(output.stdout).unwrap())
}

/// The largest resident size of a process so far, in bytes; `None` if it has ended.
fn peak(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}

fn mib(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes of processes are far below 2^52")]
    let bytes = bytes as f64;
    bytes / 1024.0 / 1024.0
}
