//! Payments for receipts, exchanges of money and certified mail in which processes are killed with SIGKILL at random moments, and come back at once or
//! late. What could go wrong: a receipt without money, one amount without the other, a letter that is read without a receipt, a deal that stands still.
//!
//! `SEMPER_KILLS=200 cargo test -p semper --test semper trade_crash` makes 200 of them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt as _;

use crate::trade::{Market, PAYEE};
use crate::world::random;

/// How many deals are disturbed, if nobody says otherwise.
const KILLS: usize = 12;
/// How long the last deal may take to end.
const END: Duration = Duration::from_secs(240);
const VICTIMS: [&str; 5] = ["alice", "bob", "arbiter", "euros", "dollars"];
const LETTER: &str = "notice.txt";

/// What Alice begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Receipt,
    Exchange,
    Mail,
}

struct Begun {
    kind: Kind,
    command: Child,
    story: String,
}

#[test]
fn nobody_loses_by_a_crash() {
    let kills = std::env::var("SEMPER_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut random = random();
    let mut market = Market::new(PAYEE);
    let letter = market.world.file(LETTER, "the lease ends");
    let mut deals = Vec::new();
    for round in 0..kills {
        let kind = [Kind::Receipt, Kind::Exchange, Kind::Mail][round % 3];
        // An impatient one asks the arbiter if somebody stays away; the other one when its peer has long given up.
        let patience = if random.random_bool(0.5) { "2" } else { "60" };
        let what: &[&str] = match kind {
            Kind::Receipt => &["pay", "bob", "1.00 EUR", "--receipt"],
            Kind::Exchange => &["exchange", "1.00 EUR", "--for", "1.00 USD", "--with", "bob"],
            Kind::Mail => &["mail", &letter, "--to", "bob"],
        };
        let more = ["--no-ask", "--no-wait", "--patience", patience];
        let mut command = market.world.command("alice", &[what, &more].concat());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (moment, away) = (random.random_range(0..1200), [0, 0, 4][random.random_range(0..3_usize)]);
        let victim = VICTIMS[random.random_range(0..VICTIMS.len())];
        std::thread::sleep(Duration::from_millis(moment));
        market.down(victim);
        std::thread::sleep(Duration::from_secs(away));
        market.up(victim);
        let story =
            format!("{round}: {kind:?}, {victim} killed after {moment} ms, away for {away} s, patience {patience} s");
        deals.push(Begun { kind, command, story });
        market.signs_everything();
    }
    let (mut endings, mut known) = (BTreeMap::new(), BTreeSet::new());
    for begun in deals {
        let (kind, story) = (begun.kind, begun.story.clone());
        let (deal, ending) = check(&market, begun);
        known.extend(deal);
        println!("{story}: {ending}");
        *endings.entry((kind, ending)).or_insert(0_usize) += 1;
    }
    // A node that dies between the commit of a deal and its answer has begun it all the same.
    let all = market.world.json("alice", &["deals", "list", "--json"]);
    for view in all.as_array().unwrap().iter().filter(|view| !known.contains(view["id"].as_str().unwrap())) {
        let kind = match view["plan"].as_str().unwrap() {
            "receipt/1" => Kind::Receipt,
            "exchange/1" => Kind::Exchange,
            _ => Kind::Mail,
        };
        let ending = ending(&market, "alice", view["id"].as_str().unwrap(), "begun without an answer");
        *endings.entry((kind, ending.unwrap())).or_default() += 1;
    }
    println!("{endings:?}");
    let done = |kind| endings.get(&(kind, "success".to_owned())).copied().unwrap_or_default();
    let (paid, exchanged) = (done(Kind::Receipt), done(Kind::Exchange));
    assert!(paid + exchanged + done(Kind::Mail) > 0, "nothing went through: {endings:?}");
    let amount = |whole: usize| format!("{whole}.00");
    let alices = [amount(40 - paid - exchanged) + " EUR", amount(exchanged) + " USD"];
    let bobs = [amount(paid + exchanged) + " EUR", amount(40 - exchanged) + " USD"];
    market.ends_with("alice", alices.each_ref().map(String::as_str));
    market.ends_with("bob", bobs.each_ref().map(String::as_str));
}

/// Both sides of a deal, and what they can show. Returns the deal, if the command knows it, and how it ended for Alice.
fn check(market: &Market, begun: Begun) -> (Option<String>, String) {
    let Begun { kind, command, story } = begun;
    let world = &market.world;
    let output = command.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let Some(deal) = text.lines().find_map(|line| line.strip_prefix("Deal ")) else {
        // The node was not there: the command says so, and as far as it knows nothing was begun.
        assert_eq!(output.status.code(), Some(1), "{story}: {text}");
        return (None, "nothing".to_owned());
    };
    let ending = |party: &str| ending(market, party, deal, &story);
    let hers = ending("alice").unwrap_or_default();
    assert!(["success", "aborted", "lapsed", "refunded"].contains(&hers.as_str()), "{story}: {hers}");
    let his = ending("bob");
    assert_eq!(his.as_deref() == Some("success"), hers == "success", "{story}: he {his:?}, she {hers}");
    if kind == Kind::Mail {
        let files = world.deal("bob", deal)["files"].as_array().cloned().unwrap_or_default();
        assert_eq!(files.iter().any(|file| file["name"] == LETTER), hers == "success", "{story}: {files:?}");
    }
    for party in ["alice", "bob"].into_iter().take(if his.is_some() { 2 } else { 1 }) {
        let report = world.report(&world.export(party, deal));
        assert_eq!(report["sound"], true, "{story}, {party}: {report:#}");
        let binding = report["contracts"][0]["binding"] == true;
        assert_eq!(binding, hers == "success", "{story}, {party}: {report:#}");
    }
    (Some(deal.to_owned()), hers)
}

/// How a deal ends for a party; `None` if Bob has never heard of it.
fn ending(market: &Market, party: &str, deal: &str, story: &str) -> Option<String> {
    let until = Instant::now() + END;
    loop {
        let view = market.world.deal(party, deal);
        if let Some(ending) = view["ending"].as_str() {
            return Some(ending.to_owned());
        }
        if view.is_null() && party == "bob" {
            return None;
        }
        assert!(Instant::now() < until, "{story}: {party} does not end: {view:#}");
        market.signs_everything();
        std::thread::sleep(Duration::from_millis(200));
    }
}
