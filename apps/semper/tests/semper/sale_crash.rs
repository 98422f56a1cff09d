//! Purchases in which processes are killed with SIGKILL at random moments, and come back at once or late. What could go wrong: money
//! without goods, goods without money, money that nobody has, proof that is lost, a deal that stands still.
//!
//! `SEMPER_KILLS=200 cargo test -p semper --test semper sale_crash` makes 200 of each kind.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use serde_json::Value;

use crate::market::Market;
use crate::world::{World, random, until};

/// How many purchases are disturbed, if nobody says otherwise.
const KILLS: usize = 12;
/// How long the last deal may take to end: an arbiter's ruling, the time for complaints, a busy machine.
const END: Duration = Duration::from_secs(240);
/// The processes by their places in [`Market::running`].
const VICTIMS: [&str; 4] = ["mint", "arbiter", "alice", "bob"];

/// The two kinds of purchases.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    WithArbiter,
    /// One hash locks it. Alice is asked for each, and everybody is back long before the seller may not take the money any more.
    WithoutArbiter,
}

/// A purchase that was begun.
struct Begun {
    kind: Kind,
    command: Child,
    to: std::path::PathBuf,
    story: String,
}

#[test]
fn nobody_loses_by_a_crash() {
    disturb(Kind::WithArbiter);
}

#[test]
fn nobody_loses_by_a_crash_without_an_arbiter() {
    disturb(Kind::WithoutArbiter);
}

fn disturb(kind: Kind) {
    let kills = std::env::var("SEMPER_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut random = random();
    let mut market = Market::new(&format!("{kills}.00 EUR"));
    for party in ["alice", "bob"] {
        market.world.configure(party, |config| {
            config.insert("retry_max".to_owned(), 1.into());
        });
    }
    for place in [2, 3] {
        restart(&mut market, place, Duration::ZERO);
    }
    let bytes: Vec<u8> = (0..30_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = market.world.file("data.bin", &bytes);
    let pace = match kind {
        Kind::WithArbiter => ["--valid-for", "40", "--complaints", "6", "--delta", "1", "--sigma", "1"].as_slice(),
        Kind::WithoutArbiter => &["--no-arbiter", "--valid-for", "1800", "--delta", "1", "--sigma", "1"],
    };
    let sell = ["sell", &file, "--price", "1.00 EUR", "--json", "--no-ask"];
    let sold = market.world.json("bob", &[sell.as_slice(), pace].concat());
    let link = sold["link"].as_str().unwrap().to_owned();

    let mut purchases = Vec::new();
    for round in 0..kills {
        let to = market.world.path(&format!("bought-{round}"));
        // An impatient buyer asks the arbiter if somebody stays away.
        let patience = if random.random_bool(0.5) { "2" } else { "600" };
        let mut command = market.world.command("alice", &["buy", &link, "--no-wait", "--patience", patience]);
        command.arg(if kind == Kind::WithArbiter { "--no-ask" } else { "--no-arbiter" });
        command.arg("--save-as").arg(&to).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = command.spawn().unwrap();
        // The answer to the question, if it is put here.
        command.stdin.take().unwrap().write_all(b"sign\n12.00 EUR\n").unwrap();
        let (moment, away) = (random.random_range(0..1200), [0, 0, 4][random.random_range(0..3_usize)]);
        let victim = random.random_range(0..VICTIMS.len());
        std::thread::sleep(Duration::from_millis(moment));
        restart(&mut market, victim, Duration::from_secs(away));
        let story =
            format!("{round}: {} killed after {moment} ms, away for {away} s, patience {patience} s", VICTIMS[victim]);
        purchases.push(Begun { kind, command, to, story });
    }
    let (mut endings, mut known) = (BTreeMap::new(), BTreeSet::new());
    for purchase in purchases {
        let (deal, ending) = check(&market.world, purchase, &bytes);
        known.extend(deal);
        *endings.entry(ending).or_insert(0_usize) += 1;
    }
    // A node that dies between the commit of a deal and its answer has begun it all the same.
    let all = market.world.json("alice", &["deals", "list", "--json"]);
    let deals = all.as_array().unwrap().iter().map(|deal| deal["id"].as_str().unwrap().to_owned());
    for deal in deals.filter(|deal| !known.contains(deal)) {
        if kind == Kind::WithoutArbiter {
            answer(&market.world, &deal);
        }
        let ending = ending(&market.world, "alice", &deal, "begun without an answer");
        *endings.entry(format!("unsaid {ending}")).or_default() += 1;
    }
    println!("{endings:?}");
    let bought = ["success", "unsaid success"].iter().filter_map(|ending| endings.get(*ending)).sum::<usize>();
    assert!(bought > 0, "nothing was bought: {endings:?}");
    assert_eq!(market.coins("alice"), format!("{}.00 EUR", kills - bought), "{endings:?}");
    assert_eq!(market.coins("bob"), format!("{bought}.00 EUR"), "{endings:?}");
    let audit = market.world.json("mint", &["mint", "audit", "--json"]);
    let outstanding =
        audit.as_array().unwrap().iter().map(|keyset| keyset["outstanding"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(outstanding, 100 * kills as u64, "{audit:#}");
}

/// Kills a process and starts it again after a while.
fn restart(market: &mut Market, place: usize, away: Duration) {
    drop(market.running.remove(place));
    std::thread::sleep(away);
    let name = VICTIMS[place];
    let process = if place < 2 { market.world.serve(name) } else { market.world.up(name) };
    market.running.insert(place, process);
}

/// Both sides of a purchase, and what they can show. Returns the deal, if the command knows it, and how it ended for the buyer.
fn check(world: &World, purchase: Begun, bytes: &[u8]) -> (Option<String>, String) {
    let Begun { kind, command, to, story } = purchase;
    let output = command.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let Some(deal) = text.lines().find_map(|line| line.strip_prefix("Deal ")) else {
        // The node or the seller was not there: the command says so, and as far as it knows nothing was begun.
        assert_eq!(output.status.code(), Some(1), "{story}: {text}");
        println!("{story}: nothing was begun");
        return (None, "nothing".to_owned());
    };
    if kind == Kind::WithoutArbiter {
        answer(world, deal);
    }
    let ending = ending(world, "alice", deal, &story);
    println!("{story}: {ending}");
    let has_goods = std::fs::read(&to).is_ok_and(|bought| bought == bytes);
    assert_eq!(ending == "success", has_goods, "{story}: {ending}, goods: {has_goods}");
    assert!(["success", "aborted", "lapsed", "refunded"].contains(&ending.as_str()), "{story}: {ending}");
    let mut parties = vec!["alice"];
    if !world.deal("bob", deal).is_null() {
        let his = self::ending(world, "bob", deal, &story);
        assert_eq!(his == "success", ending == "success", "{story}: he {his}, she {ending}");
        parties.push("bob");
    }
    for party in parties {
        let report = world.report(&world.export(party, deal));
        assert_eq!(report["sound"], true, "{story}, {party}: {report:#}");
        let contract = &report["contracts"][0];
        let done = match kind {
            Kind::WithArbiter => contract["binding"] == true,
            Kind::WithoutArbiter => contract["standing"] == "opened",
        };
        assert_eq!(done, ending == "success", "{story}, {party}: {report:#}");
    }
    (Some(deal.to_owned()), ending)
}

/// Answers for Alice where her node was killed before she could.
fn answer(world: &World, deal: &str) {
    let mut asked = Vec::new();
    let settled = until(|| {
        let waiting = world.json("alice", &["approvals", "--json"]);
        let questions = waiting.as_array().unwrap().iter().filter(|question| question["deal"] == deal);
        asked = questions.map(|question| question["id"].as_str().unwrap().to_owned()).collect();
        let view = world.deal("alice", deal);
        (!asked.is_empty() || view["ending"].is_string() || view["step"] != "order" && view["waits_for"] != "us")
            .then_some(())
    });
    assert!(settled.is_some(), "{deal} neither asks nor goes on");
    for question in asked {
        world.says_yes("alice", &question).good();
    }
}

fn ending(world: &World, party: &str, deal: &str, story: &str) -> String {
    let begun = Instant::now();
    loop {
        let view: Value = world.deal(party, deal);
        if let Some(ending) = view["ending"].as_str() {
            return ending.to_owned();
        }
        assert!(begun.elapsed() < END, "{story}: {party} never got to an end: {view:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
