//! A buyer who has signed limits, with real processes. What could go wrong: within them she is asked, or beyond them she is not; a node that is killed
//! forgets what was spent; a revocation comes too late.

use semper_core::time::{Seconds, Time};
use serde_json::Value;

use crate::market::Market;
use crate::world::{World, deal_in, until};

/// A day from now, as the command line takes it.
pub fn tomorrow() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    Time::from_unix(now).after(Seconds(86_400)).to_string().replacen(' ', "T", 1).replace(" UTC", "Z")
}

/// Alice's mandate for purchases from Bob at up to 2 euros each.
fn grant(world: &World, total: &str) -> String {
    let bob = world.json("bob", &["vault", "state", "--json"])["key"].as_str().unwrap().to_owned();
    let tomorrow = tomorrow();
    let scope = ["--what", "purchase", "--with", &bob, "--arbiter", "arbiter", "--process", "buy/1"];
    let limits = ["--per-deal", "2.00 EUR", "--total", total, "--until", &tomorrow];
    let args = [["mandate", "add"].as_slice(), &scope, &limits];
    let said = world.type_in("alice", &args.concat(), &format!("{total}\n")).good();
    for part in
        ["Grant this mandate?", "purchases under an arbiter", &bob, "at most 2.00 EUR", total, "buy/1", "Signed."]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    said.lines().find_map(|line| line.strip_prefix("Mandate ")).unwrap().to_owned()
}

/// Bob's offer of a file at a price, and Alice's order without a word to her.
fn buy(market: &Market, name: &str, price: &str) -> String {
    let file = market.world.file(name, format!("what was measured: {name}"));
    let args = ["sell", &file, "--price", price, "--json", "--no-ask"];
    let link = market.world.json("bob", &args)["link"].as_str().unwrap().to_owned();
    let to = market.world.path(&format!("bought-{name}")).display().to_string();
    let args = ["buy", &link, "--save-as", &to, "--no-ask", "--no-wait"];
    deal_in(&market.world.run("alice", &args).good())
}

fn approvals(world: &World) -> Vec<Value> {
    world.json("alice", &["approvals", "--json"]).as_array().unwrap().clone()
}

/// Why Alice is asked about a deal.
#[track_caller]
fn asked_because(world: &World, deal: &str) -> String {
    let asked = until(|| approvals(world).into_iter().find(|approval| approval["deal"] == deal));
    asked.expect("she is never asked")["uncovered"].as_str().unwrap().to_owned()
}

fn mandate(world: &World, id: &str) -> Value {
    let all = world.json("alice", &["mandate", "list", "--json"]);
    all.as_array().unwrap().iter().find(|mandate| mandate["id"] == id).unwrap().clone()
}

#[test]
fn a_mandate_is_used_exhausted_and_revoked() {
    let mut market = Market::with_careful_buyer("40.00 EUR");
    let first = grant(&market.world, "4.00 EUR");
    // Two purchases, and between them Alice's node and vault are killed.
    let deal = buy(&market, "one", "2.00 EUR");
    assert_eq!(market.world.ending("alice", &deal), "success");
    drop(market.running.remove(2));
    market.running.insert(2, market.world.up("alice"));
    let deal = buy(&market, "two", "2.00 EUR");
    assert_eq!(market.world.ending("alice", &deal), "success");
    let world = &market.world;
    assert!(approvals(world).is_empty(), "she was asked");
    let used = mandate(world, &first);
    assert_eq!((&used["state"], &used["used"], &used["spent"]), (&"used up".into(), &2.into(), &"4.00 EUR".into()));
    // The third one waits, and says why.
    let third = buy(&market, "three", "2.00 EUR");
    let why = asked_because(world, &third);
    assert!(why.contains("0.00 EUR left of 4.00 EUR") && why.contains(&first[..12]), "{why}");
    assert_eq!(market.coins("alice"), "36.00 EUR");
    // Another mandate covers it, and nothing that costs more.
    let second = grant(world, "20.00 EUR");
    assert_eq!(world.ending("alice", &third), "success");
    let dear = buy(&market, "dear", "2.01 EUR");
    let why = asked_because(world, &dear);
    assert!(why.contains("allows 2.00 EUR at once, and this is 2.01 EUR"), "{why}");
    world.run("alice", &["mandate", "revoke", &second[..12]]).good();
    let fourth = buy(&market, "four", "1.00 EUR");
    let why = asked_because(world, &fourth);
    assert!(why.contains(&format!("{} was revoked", &second[..12])), "{why}");
    // What no mandate covers is hers to answer, and what she answers is not counted.
    let approval = approvals(world).into_iter().find(|approval| approval["deal"] == fourth.as_str()).unwrap();
    let said = world.says_yes("alice", approval["id"].as_str().unwrap()).good();
    assert!(said.contains("You are asked because") && said.contains("was revoked"), "{said}");
    assert_eq!(world.ending("alice", &fourth), "success");
    assert_eq!(market.coins("alice"), "33.00 EUR");
    assert_eq!((&mandate(world, &second)["state"], &mandate(world, &second)["used"]), (&"revoked".into(), &1.into()));
    the_log_says_so(world, [&first, &first, &second]);
    // The signed limits, for whoever asks what she had allowed.
    let out = world.path("mandate.cose").display().to_string();
    let shown = world.run("alice", &["mandate", "show", &first, "--out", &out]).good();
    assert!(shown.contains("at most 2.00 EUR") && std::fs::read(&out).unwrap().len() > 64, "{shown}");
}

/// Each use with its mandate and the limits in force.
fn the_log_says_so(world: &World, mandates: [&str; 3]) {
    let log = world.run("alice", &["vault", "log", "--json"]).good();
    let entries = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let uses: Vec<_> =
        entries.filter(|entry| entry["what"] == "by-mandate").map(|entry| entry["mandate"].clone()).collect();
    let left: Vec<_> = uses.iter().map(|used| used["left"].as_str().unwrap()).collect();
    assert_eq!(left, ["2.00 EUR", "0.00 EUR", "18.00 EUR"], "{log}");
    for (used, mandate) in uses.iter().zip(mandates) {
        assert_eq!((&used["id"], &used["per_deal"]), (&mandate.into(), &"2.00 EUR".into()));
    }
    let said = world.run("alice", &["vault", "log"]).good();
    for part in ["a mandate of yours covers, signed promise", "4.00 EUR of 4.00 EUR are counted", "you revoked mandate"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

// The vault alone lists and revokes: no node is needed, and a locked one revokes too.
#[test]
fn a_mandate_is_kept_and_revoked_without_a_node() {
    let world = World::of_two();
    let tomorrow = tomorrow();
    let add = ["mandate", "add", "--what", "acknowledgement", "--uses", "1", "--until", &tomorrow];
    let said = world.type_in("alice", &add, "no\n").good();
    assert!(said.contains("Declined") && !said.contains("Mandate "), "{said}");
    assert!(world.run("alice", &["mandate", "list"]).good().contains("No mandates"));
    let said = world.type_in("alice", &add, "sign\n").good();
    let id = said.lines().find_map(|line| line.strip_prefix("Mandate ")).unwrap().to_owned();
    let _alice = world.start("alice", &["up"]);
    world.run("alice", &["vault", "lock"]).good();
    world.run("alice", &["mandate", "revoke", &id[..12]]).failed_with(&["locked", "64 digits"]);
    assert!(world.run("alice", &["mandate", "revoke", &id]).good().contains("locked"));
    world.run("alice", &["vault", "unlock"]).good();
    assert!(world.run("alice", &["mandate", "list"]).good().contains("revoked"));
    let wrong: [(&[&str], &[&str]); 6] = [
        (&["--what", "purchase"], &["most amount"]),
        (&["--what", "mail", "--per-deal", "1.00 EUR"], &["most amount"]),
        (&["--what", "mail", "--with", "bob"], &["can be named"]),
        (&["--what", "contract", "--with", "carol"], &["carol"]),
        (&["--what", "contract", "--process", "sign/9"], &["sign/9", "sign/1"]),
        (&["--what", "right"], &["right", "purchase"]),
    ];
    for (args, parts) in wrong {
        let args = [["mandate", "add", "--until", &tomorrow].as_slice(), args].concat();
        world.run("alice", &args).failed_with(parts);
    }
    assert!(world.run("alice", &["approvals"]).good().contains("Nothing waits"));
}
