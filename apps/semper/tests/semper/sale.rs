//! Files sold to strangers by real processes. What could go wrong: a seller is asked for each sale, a buyer pays and has nothing, goods
//! are saved that are not what was promised.

use serde_json::Value;

use crate::world::{Process, World, deal_in, until};

const SELLER: &str = "[[allow]]\nwhat = \"offer\"\n";
const BUYER: &str = "[[allow]]\nwhat = \"contract\"\n";

/// Bob sells, Alice buys; they do not know each other. Both accept the arbiter and have a purse at the mint, Alice with 40 euros.
struct Market {
    world: World,
    running: Vec<Process>,
}

impl Market {
    fn new() -> Self {
        let world = World::new();
        world.init("mint", &["--role", "mint"]);
        world.configure("mint", |config| {
            config["mint"].as_table_mut().unwrap().insert("test_money".to_owned(), true.into());
        });
        world.init("arbiter", &["--role", "arbiter"]);
        let mut running = vec![world.serve("mint"), world.serve("arbiter")];
        for (party, policy) in [("alice", BUYER), ("bob", SELLER)] {
            world.init(party, &[]);
            std::fs::write(world.path(party).join("policy.toml"), policy).unwrap();
            world.run(party, &["contact", "add", &world.card("arbiter"), "--arbiter"]).good();
            running.push(world.up(party));
            world.run(party, &["wallet", "add", &world.url("mint"), "--system", "ecash"]).good();
        }
        world.run("alice", &["wallet", "withdraw", "40.00 EUR", "--method", "bolt11"]).good();
        Self { world, running }
    }

    /// A bank at which both have an account, which they like best; Alice has 30 euros in hers.
    fn open_bank(&mut self) {
        let world = &self.world;
        world.init("bank", &["--role", "bank"]);
        world.configure("bank", |config| {
            config["bank"].as_table_mut().unwrap().insert("anyone".to_owned(), true.into());
        });
        self.running.push(world.serve("bank"));
        for party in ["alice", "bob"] {
            world.run(party, &["wallet", "add", &world.url("bank"), "--system", "account"]).good();
            let purse = self.purse(party, "account");
            world.run(party, &["wallet", "prefer", purse["id"].as_str().unwrap()]).good();
        }
        let address = self.purse("alice", "account")["address"].as_str().unwrap().to_owned();
        let number = address.strip_prefix("account:").unwrap().split('@').next().unwrap();
        world.run("bank", &["bank", "credit", number, "30.00 EUR"]).good();
    }

    fn purse(&self, party: &str, system: &str) -> Value {
        let purses = self.world.json(party, &["wallet", "balance", "--refresh", "--json"]);
        purses.as_array().unwrap().iter().find(|purse| purse["system"] == system).unwrap().clone()
    }

    fn coins(&self, party: &str) -> String {
        self.purse(party, "ecash")["available"].as_str().unwrap().to_owned()
    }

    fn account(&self, party: &str) -> String {
        self.purse(party, "account")["available"].as_str().unwrap().to_owned()
    }

    /// Bob offers a file; the link.
    fn sell(&self, file: &str) -> String {
        let args = ["sell", file, "--price", "12.00 EUR", "--text", "all measurements", "--json", "--no-ask"];
        let sold = self.world.json("bob", &args);
        assert!(sold["approval"].is_null(), "{sold}");
        sold["link"].as_str().unwrap().to_owned()
    }

    fn buy(&self, link: &str, save_as: &str) -> String {
        let args = ["buy", link, "--save-as", save_as, "--no-ask", "--no-wait"];
        deal_in(&self.world.run("alice", &args).good())
    }
}

#[test]
fn a_file_is_sold_to_a_stranger() {
    let market = Market::new();
    let world = &market.world;
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = world.file("data.bin", &bytes);
    let bought = world.path("bought.bin");
    let deal = market.buy(&market.sell(&file), &bought.display().to_string());
    let ending = world.ending("alice", &deal);
    for party in ["alice", "bob"] {
        println!("{:#}", world.json(party, &["deals", "show", &deal, "--json"]));
    }
    assert_eq!(ending, "success");
    assert_eq!(std::fs::read(&bought).unwrap(), bytes);
    assert_eq!(world.ending("bob", &deal), "success");
    assert_eq!(market.coins("alice"), "28.00 EUR");
    assert!(until(|| (market.coins("bob") == "12.00 EUR").then_some(())).is_some());
    for party in ["alice", "bob"] {
        let report = world.report(&world.export(party, &deal));
        assert_eq!(report["sound"], true, "{party}: {report:#}");
    }
}

// Money in an account is locked by a hold that the bank keeps for the arbiter's ruling. The buyer approves the contract, nothing more.
#[test]
fn a_file_is_sold_for_money_in_an_account() {
    let mut market = Market::new();
    market.open_bank();
    let world = &market.world;
    let bytes = vec![5; 40_000];
    let file = world.file("data.bin", &bytes);
    let bought = world.path("bought.bin");
    let deal = market.buy(&market.sell(&file), &bought.display().to_string());
    assert_eq!(world.ending("alice", &deal), "success");
    assert_eq!(std::fs::read(&bought).unwrap(), bytes);
    assert_eq!(world.ending("bob", &deal), "success");
    assert_eq!(market.account("alice"), "18.00 EUR");
    assert_eq!(market.account("bob"), "12.00 EUR");
    let report = world.report(&world.export("bob", &deal));
    assert_eq!(
        (&report["sound"], &report["contracts"][0]["standing"]),
        (&true.into(), &"complete".into()),
        "{report:#}"
    );
}

// The seller's machine goes down when it has promised. The buyer gets what it pays for from the arbiter, and the seller its money later.
#[test]
fn a_silent_seller_does_not_keep_the_goods() {
    let mut market = Market::new();
    let world = &market.world;
    let bytes = vec![7; 70_000];
    let file = world.file("data.bin", &bytes);
    let pace = ["--valid-for", "40", "--complaints", "6", "--delta", "1", "--sigma", "1"];
    let args = ["sell", &file, "--price", "12.00 EUR", "--json", "--no-ask"];
    let sold = world.json("bob", &[args.as_slice(), &pace].concat());
    // Alice is asked before anything is paid.
    std::fs::write(world.path("alice").join("policy.toml"), "").unwrap();
    drop(market.running.remove(2));
    market.running.insert(2, market.world.up("alice"));
    let world = &market.world;
    let bought = world.path("bought.bin");
    let to = bought.display().to_string();
    let link = sold["link"].as_str().unwrap();
    let args = ["buy", link, "--save-as", &to, "--no-ask", "--no-wait", "--patience", "3"];
    let deal = deal_in(&world.run("alice", &args).good());
    let approval = until(|| {
        let shown = world.run("alice", &["approvals"]).good();
        shown.lines().find(|line| line.contains("Sign this contract?")).map(|line| line[..12].to_owned())
    });
    let approval = approval.unwrap();
    drop(market.running.pop());
    let world = &market.world;
    world.type_in("alice", &["approve", &approval], "sign\n").good();
    assert_eq!(world.ending("alice", &deal), "success");
    assert_eq!(std::fs::read(&bought).unwrap(), bytes);
    assert_eq!(market.coins("alice"), "28.00 EUR");
    market.running.push(market.world.up("bob"));
    let world = &market.world;
    until(|| {
        let shown = world.run("bob", &["deals", "show", &deal]).good();
        shown.contains("your money comes when the time for complaints is over").then_some(())
    });
    assert_eq!(world.ending("bob", &deal), "success");
    assert_eq!(market.coins("bob"), "12.00 EUR");
    for party in ["alice", "bob"] {
        let report = world.report(&world.export(party, &deal));
        assert_eq!(report["sound"], true, "{party}: {report:#}");
        assert_eq!(report["contracts"][0]["standing"], "resolved", "{party}: {report:#}");
    }
}
