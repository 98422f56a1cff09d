//! Money between real processes: a bank, a mint, payers and payees, some of which are killed on the way. What could go wrong: money
//! is lost or doubled by a crash, a payment ends differently on its two sides, a user pays without being asked.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::world::{Process, World, deal_in, until};

const POLICY: &str = "[[allow]]\nwhat = \"payment\"\nup_to = \"50.00 EUR\"\n\n[[allow]]\nwhat = \"account\"\n";

/// Alice and Bob, who know each other, and a bank where both have an account; Alice has 100 euros.
struct Town {
    world: World,
    bank: Option<Process>,
    alice: Option<Process>,
    bob: Option<Process>,
}

impl Town {
    fn new() -> Self {
        let world = World::new();
        world.init("bank", &["--role", "bank"]);
        world.configure("bank", |config| {
            config["bank"].as_table_mut().unwrap().insert("anyone".to_owned(), true.into());
        });
        for party in ["alice", "bob"] {
            world.init(party, &[]);
            std::fs::write(world.path(party).join("policy.toml"), POLICY).unwrap();
            world.configure(party, |config| {
                config.insert("retry_max".to_owned(), 1.into());
            });
        }
        world.run("alice", &["contact", "add", &world.card("bob")]).good();
        world.run("bob", &["contact", "add", &world.card("alice")]).good();
        let bank = Some(world.serve("bank"));
        let (alice, bob) = (Some(world.up("alice")), Some(world.up("bob")));
        let town = Self { world, bank, alice, bob };
        for party in ["alice", "bob"] {
            town.world.run(party, &["wallet", "add", &town.world.url("bank"), "--system", "account"]).good();
        }
        town.world.run("bank", &["bank", "credit", &town.account("alice"), "100.00 EUR", "--note", "pay day"]).good();
        assert_eq!(town.has("alice"), "100.00 EUR");
        town
    }

    fn purses(&self, party: &str) -> Value {
        self.world.json(party, &["wallet", "balance", "--refresh", "--json"])
    }

    fn account(&self, party: &str) -> String {
        let purses = self.world.json(party, &["wallet", "balance", "--json"]);
        let address = purses[0]["address"].as_str().unwrap();
        address.strip_prefix("account:").unwrap().split('@').next().unwrap().to_owned()
    }

    fn has(&self, party: &str) -> String {
        self.purses(party)[0]["available"].as_str().unwrap().to_owned()
    }

    fn pay(&self, amount: &str) -> String {
        let args = ["pay", "bob", amount, "--for", "a book", "--no-ask", "--no-wait"];
        deal_in(&self.world.run("alice", &args).good())
    }

    /// The bank's books balance, and what it owes is what was paid in.
    #[track_caller]
    fn audit(&self) {
        let audit = self.world.json("bank", &["bank", "audit", "--json"]);
        assert_eq!(audit["faults"].as_array().unwrap().len(), 0, "{audit:#}");
        assert_eq!(audit["owed"], serde_json::json!([["EUR", 10_000]]), "{audit:#}");
    }

    fn crash(&mut self, party: &str) {
        let Self { world, bank, alice, bob } = self;
        let place = match party {
            "alice" => alice,
            "bob" => bob,
            _ => bank,
        };
        drop(place.take());
        *place = Some(if party == "bank" { world.serve(party) } else { world.up(party) });
    }
}

#[test]
fn a_payment_by_account_is_proven_to_a_stranger() {
    let town = Town::new();
    let deal = town.pay("12.50 EUR");
    for party in ["alice", "bob"] {
        assert_eq!(town.world.ending(party, &deal), "success");
    }
    assert_eq!((town.has("alice").as_str(), town.has("bob").as_str()), ("87.50 EUR", "12.50 EUR"));
    town.audit();
    for party in ["alice", "bob"] {
        let report = town.world.report(&town.world.export(party, &deal));
        assert_eq!(report["sound"], true, "{report:#}");
        let payment = &report["payments"][0];
        assert_eq!((&payment["amount"], &payment["proven"]), (&"12.50 EUR".into(), &true.into()), "{report:#}");
        assert!(payment["receipt"].is_u64(), "{report:#}");
    }
    // The payee holds the bank's own confirmation.
    let report = town.world.report(&town.world.export("bob", &deal));
    assert!(report["payments"][0]["proof"].is_string(), "{report:#}");
}

#[test]
fn a_payment_waits_for_its_payer() {
    let mut town = Town::new();
    drop(town.alice.take());
    let running = town.world.start("alice", &["up"]);
    let shown = town.world.type_in("alice", &["pay", "bob", "5.00 EUR", "--for", "tea"], "sign\n").good();
    for part in ["Pay this?", "5.00 EUR", "tea", "Check words", "paid, with a receipt"] {
        assert!(shown.contains(part), "{part:?} is not in: {shown}");
    }
    let declined = town.world.type_in("alice", &["pay", "bob", "6.00 EUR"], "no\n");
    declined.failed_with(&["no money moved"]);
    assert_eq!((town.has("alice").as_str(), town.has("bob").as_str()), ("95.00 EUR", "5.00 EUR"));
    drop(running);
}

#[test]
fn what_cannot_be_paid_says_why_and_moves_nothing() {
    let town = Town::new();
    let world = &town.world;
    for (args, parts) in [
        (&["pay", "bob", "12"][..], &["not an amount"][..]),
        (&["pay", "bob", "0.00 EUR"], &["above zero"]),
        (&["pay", "carol", "1.00 EUR"], &["carol"]),
        (&["pay", "bob", "1.00 USD"], &["no purse of yours fits"]),
        (&["pay", "bob", "1.00 EUR", "--anonymous"], &["no purse of yours fits"]),
        (&["pay", "bob", "101.00 EUR", "--no-ask"], &["no money moved"]),
        (&["wallet", "send", "1.00 EUR"], &["no e-cash purse in EUR"]),
        (&["wallet", "add", "ftp://nowhere", "--system", "account"], &["address", "no money moved"]),
        (&["wallet", "add", "http://bank.example", "--system", "account"], &["plain http"]),
        (&["wallet", "transfer", "1.00 EUR", "account:123@http://127.0.0.1:1"], &["no money moved"]),
    ] {
        world.run("alice", args).failed_with(parts);
    }
    assert_eq!((town.has("alice").as_str(), town.has("bob").as_str()), ("100.00 EUR", "0.00 EUR"));
    town.audit();
}

// A crash between the hold and its booking, or between the booking and the receipt, must neither lose the money nor pay it twice.
#[test]
fn payments_survive_crashes_of_everybody() {
    let seed = std::env::var("SEMPER_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("SEMPER_TEST_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut town = Town::new();
    for round in 1..=9_u64 {
        let victim = ["alice", "bob", "bank"][usize::try_from(round % 3).unwrap()];
        let deal = town.pay("1.00 EUR");
        let moment = Duration::from_millis(random.random_range(0..=500));
        std::thread::sleep(moment);
        town.crash(victim);
        println!("round {round}: {victim} was killed after {} ms", moment.as_millis());
        for party in ["alice", "bob"] {
            assert_eq!(town.world.ending(party, &deal), "success", "{party} in round {round}");
        }
        let bob = format!("{round}.00 EUR");
        assert_eq!(town.has("bob"), bob, "round {round}");
        assert_eq!(town.has("alice"), format!("{}.00 EUR", 100 - round), "round {round}");
    }
    town.audit();
}

// A payee that takes no money does not keep it either.
#[test]
fn a_payee_that_never_answers_is_not_paid() {
    let mut town = Town::new();
    drop(town.bob.take());
    let args = ["pay", "bob", "3.00 EUR", "--patience", "2", "--no-ask", "--no-wait"];
    let deal = deal_in(&town.world.run("alice", &args).good());
    assert_eq!(town.world.ending("alice", &deal), "lapsed");
    town.bob = Some(town.world.up("bob"));
    let settled = until(|| (town.has("alice") == "100.00 EUR").then_some(()));
    assert!(settled.is_some() && town.has("bob") == "0.00 EUR");
}
