//! A seller, a buyer, a mint and an arbiter, all running.

use serde_json::Value;

use crate::world::{Process, World, deal_in};

const SELLER: &str = "[[allow]]\nwhat = \"offer\"\n";
const BUYER: &str = "[[allow]]\nwhat = \"contract\"\n\n[[allow]]\nwhat = \"purchase\"\nup_to = \"50.00 EUR\"\n";

/// Bob sells, Alice buys; they do not know each other. Both accept the arbiter and have a purse at the mint, Alice with money in hers.
pub struct Market {
    pub world: World,
    /// The mint, the arbiter, Alice and Bob, in this order.
    pub running: Vec<Process>,
}

impl Market {
    pub fn new(funds: &str) -> Self {
        Self::under([("alice", BUYER), ("bob", SELLER)], funds)
    }

    /// The same with a buyer who is asked about everything.
    pub fn with_careful_buyer(funds: &str) -> Self {
        Self::under([("alice", ""), ("bob", SELLER)], funds)
    }

    /// The same with users who are asked about everything.
    pub fn asking(funds: &str) -> Self {
        Self::under([("alice", ""), ("bob", "")], funds)
    }

    fn under(policies: [(&str, &str); 2], funds: &str) -> Self {
        let world = World::new();
        world.init("mint", &["--role", "mint"]);
        world.configure("mint", |config| {
            config["mint"].as_table_mut().unwrap().insert("test_money".to_owned(), true.into());
        });
        world.init("arbiter", &["--role", "arbiter"]);
        let mut running = vec![world.serve("mint"), world.serve("arbiter")];
        for (party, policy) in policies {
            world.init(party, &[]);
            std::fs::write(world.path(party).join("policy.toml"), policy).unwrap();
            world.run(party, &["contact", "add", &world.card("arbiter"), "--arbiter"]).good();
            running.push(world.up(party));
            world.run(party, &["wallet", "add", &world.url("mint"), "--system", "ecash"]).good();
        }
        world.run("alice", &["wallet", "withdraw", funds, "--method", "bolt11"]).good();
        Self { world, running }
    }

    /// A bank at which both have an account, which they like best; Alice has 30 euros in hers.
    pub fn open_bank(&mut self) {
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

    pub fn purse(&self, party: &str, system: &str) -> Value {
        let purses = self.world.json(party, &["wallet", "balance", "--refresh", "--json"]);
        purses.as_array().unwrap().iter().find(|purse| purse["system"] == system).unwrap().clone()
    }

    pub fn coins(&self, party: &str) -> String {
        self.purse(party, "ecash")["available"].as_str().unwrap().to_owned()
    }

    pub fn account(&self, party: &str) -> String {
        self.purse(party, "account")["available"].as_str().unwrap().to_owned()
    }

    /// Bob offers a file; the link.
    pub fn sell(&self, file: &str) -> String {
        let args = ["sell", file, "--price", "12.00 EUR", "--text", "all measurements", "--json", "--no-ask"];
        let sold = self.world.json("bob", &args);
        assert!(sold["approval"].is_null(), "{sold}");
        sold["link"].as_str().unwrap().to_owned()
    }

    pub fn buy(&self, link: &str, save_as: &str) -> String {
        let args = ["buy", link, "--save-as", save_as, "--no-ask", "--no-wait"];
        deal_in(&self.world.run("alice", &args).good())
    }
}
