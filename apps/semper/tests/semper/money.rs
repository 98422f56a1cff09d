//! Money between real processes: a bank, a mint, payers and payees, some of which are killed on the way. What could go wrong: money
//! is lost or doubled by a crash, a payment ends differently on its two sides, a user pays without being asked.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use semper_core::cbor::Decode as _;
use semper_core::cose::{Kind, Signed};
use semper_exchange::evidence::Folder;
use semper_support::engine::EvidenceKind;
use serde_json::Value;

use crate::world::{Process, World, deal_in, random, until};

const POLICY: &str =
    "[[allow]]\nwhat = \"payment\"\nup_to = \"50.00 EUR\"\n\n[[allow]]\nwhat = \"account\"\nup_to = \"100.00 EUR\"\n";

/// Alice and Bob, who know each other, and a bank where both have an account; Alice has 100 euros. Some towns have a mint, too.
struct Town {
    world: World,
    bank: Option<Process>,
    mint: Option<Process>,
    alice: Option<Process>,
    bob: Option<Process>,
}

/// One HTTP request over a socket: the head and the body of the answer.
fn ask(address: &str, path: &str, body: Option<&str>) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    match body {
        None => write!(stream, "GET {path} {head}\r\n").unwrap(),
        Some(body) => write!(stream, "POST {path} {head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap(),
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

impl Town {
    fn new() -> Self {
        Self::over(World::new(), |_, _| {})
    }

    /// A town in a world, where `more` is done for each party before it starts. If that leaves an authority's files, the bank believes it.
    fn over(world: World, more: impl Fn(&World, &str)) -> Self {
        world.init("bank", &["--role", "bank"]);
        for party in ["alice", "bob"] {
            world.init(party, &[]);
            more(&world, party);
            std::fs::write(world.path(party).join("policy.toml"), POLICY).unwrap();
            world.configure(party, |config| {
                config.insert("retry_max".to_owned(), 1.into());
            });
        }
        world.run("alice", &["contact", "add", &world.card("bob")]).good();
        world.run("bob", &["contact", "add", &world.card("alice")]).good();
        world.configure("bank", |config| {
            let bank = config["bank"].as_table_mut().unwrap();
            let authority = world.path("authority");
            if authority.exists() {
                for (key, file) in [("authority", "ca.crt"), ("crl", "ca.crl")] {
                    bank.insert(key.to_owned(), authority.join(file).display().to_string().into());
                }
            } else {
                bank.insert("anyone".to_owned(), true.into());
            }
        });
        let bank = Some(world.serve("bank"));
        let (alice, bob) = (Some(world.up("alice")), Some(world.up("bob")));
        let town = Self { world, bank, mint: None, alice, bob };
        for party in ["alice", "bob"] {
            town.world.run(party, &["wallet", "add", &town.world.url("bank"), "--system", "account"]).good();
        }
        town.world.run("bank", &["bank", "credit", &town.account("alice"), "100.00 EUR", "--note", "pay day"]).good();
        assert_eq!(town.has("alice"), "100.00 EUR");
        town
    }

    /// A town whose bank opens accounts for certified names only, as Alice's and Bob's are.
    fn certified() -> Self {
        let world = World::new();
        world.init("ca", &["--role", "ca"]);
        let ca = world.serve("ca");
        let town = Self::over(world, |world, party| {
            let code = world.run("ca", &["ca", "invite", party]).good();
            world.run(party, &["certify", "--ca", &world.url("ca"), "--code", code.trim()]).good();
            world
                .run("ca", &["ca", "fetch", &world.url("ca"), "--out", &world.path("authority").display().to_string()])
                .good();
        });
        drop(ca);
        town
    }

    /// A town with a mint, where both have an e-cash purse that they like best; Alice has 40 of her 100 euros in it.
    fn with_mint() -> Self {
        let mut town = Self::new();
        let world = &town.world;
        world.init("mint", &["--role", "mint"]);
        world.configure("mint", |config| {
            config["mint"].as_table_mut().unwrap().insert("bank".to_owned(), world.url("bank").into());
        });
        town.mint = Some(world.serve("mint"));
        for party in ["alice", "bob"] {
            world.run(party, &["wallet", "add", &world.url("mint"), "--system", "ecash"]).good();
            world.run(party, &["wallet", "prefer", &town.purse(party, "ecash", "id")]).good();
        }
        world.run("alice", &["wallet", "withdraw", "40.00 EUR"]).good();
        assert_eq!((town.coins("alice").as_str(), town.has("alice").as_str()), ("40.00 EUR", "60.00 EUR"));
        town
    }

    fn purse(&self, party: &str, system: &str, field: &str) -> String {
        let purses = self.purses(party);
        let purse = purses.as_array().unwrap().iter().find(|purse| purse["system"] == system).unwrap();
        purse[field].as_str().unwrap().to_owned()
    }

    fn coins(&self, party: &str) -> String {
        self.purse(party, "ecash", "available")
    }

    /// The bank's and the mint's books balance with what Alice and Bob hold.
    #[track_caller]
    fn audit_all(&self) {
        self.audit();
        let mint = self.world.json("mint", &["mint", "audit", "--json"]);
        let coins: i64 = mint.as_array().unwrap().iter().map(|keyset| keyset["outstanding"].as_i64().unwrap()).sum();
        let held = |read: &dyn Fn(&str) -> String| -> i64 {
            ["alice", "bob"]
                .map(|party| read(party).replace([' ', '.', 'E', 'U', 'R'], "").parse::<i64>().unwrap())
                .iter()
                .sum()
        };
        assert_eq!(held(&|party| self.coins(party)), coins, "{mint:#}");
        assert_eq!(held(&|party| self.has(party)) + coins, 10_000);
    }

    fn purses(&self, party: &str) -> Value {
        self.world.json(party, &["wallet", "balance", "--refresh", "--json"])
    }

    fn account(&self, party: &str) -> String {
        let address = self.purse(party, "account", "address");
        address.strip_prefix("account:").unwrap().split('@').next().unwrap().to_owned()
    }

    fn has(&self, party: &str) -> String {
        self.purse(party, "account", "available")
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
        let Self { world, bank, mint, alice, bob } = self;
        let place = match party {
            "alice" => alice,
            "bob" => bob,
            "mint" => mint,
            _ => bank,
        };
        drop(place.take());
        *place = Some(if ["alice", "bob"].contains(&party) { world.up(party) } else { world.serve(party) });
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

// At level 3 the payee's folder holds the payer's signed order; at level 2 nothing in it is signed by the payer.
#[test]
fn levels_decide_what_the_payee_can_prove_about_the_payer() {
    let mut town = Town::certified();
    for (level, orders) in [(2, 0), (3, 1)] {
        drop(town.alice.take());
        town.world.configure("alice", |config| {
            config.insert("account_level".to_owned(), level.into());
        });
        town.alice = Some(town.world.up("alice"));
        let deal = town.pay("2.00 EUR");
        for party in ["alice", "bob"] {
            assert_eq!(town.world.ending(party, &deal), "success");
        }
        let folder = std::fs::read(town.world.export("bob", &deal)).unwrap();
        let alice = town.world.json("bob", &["contact", "list", "--json"]);
        let alice = alice.as_array().unwrap().iter().find(|contact| contact["name"] == "alice").unwrap();
        let folder = Folder::from_bytes(&folder).unwrap();
        let statements = folder.items.iter().filter(|item| item.kind == EvidenceKind::Statement);
        let signed = statements.map(|item| Signed::from_bytes(&item.bytes).unwrap());
        let by_alice = signed.filter(|signed| Some(signed.signer().to_string().as_str()) == alice["key_set"].as_str());
        assert_eq!(by_alice.filter(|signed| signed.kind() == Kind::PaymentOrder).count(), orders, "level {level}");
    }
    town.audit();
}

#[test]
fn a_payment_waits_for_its_payer() {
    let mut town = Town::new();
    drop(town.alice.take());
    let running = town.world.start("alice", &["up"]);
    // What it costs is typed: a hand that types `sign` by habit pays nothing.
    let pay = ["pay", "bob", "5.00 EUR", "--for", "tea"];
    town.world.type_in("alice", &pay, "sign\n5.00\n").failed_with(&["the question still waits"]);
    town.world.type_in("alice", &["approve"], "no\n").good();
    let shown = town.world.type_in("alice", &pay, "sign\n5.00 EUR\n").good();
    for part in ["Pay this?", "5.00 EUR", "tea", "for the first time", "paid, with a receipt"] {
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
    let mut random = random();
    let mut town = Town::new();
    for round in 1..=9_u64 {
        let victim = ["alice", "bob", "bank"][usize::try_from(round % 3).unwrap()];
        pay_and_crash(&mut town, &mut random, victim);
        assert_eq!(town.has("bob"), format!("{round}.00 EUR"), "round {round}");
        assert_eq!(town.has("alice"), format!("{}.00 EUR", 100 - round), "round {round}");
    }
    town.audit();
}

/// Alice pays Bob one euro, and somebody is killed at a random moment and comes back.
fn pay_and_crash(town: &mut Town, random: &mut ChaCha8Rng, victim: &str) {
    let deal = town.pay("1.00 EUR");
    let moment = Duration::from_millis(random.random_range(0..=500));
    std::thread::sleep(moment);
    town.crash(victim);
    println!("{victim} was killed after {} ms", moment.as_millis());
    for party in ["alice", "bob"] {
        assert_eq!(town.world.ending(party, &deal), "success", "{party}");
    }
}

// Coins are in the payer's purse, in the token, or in the payee's purse: a crash must not leave them in none or in two of these.
#[test]
fn e_cash_survives_crashes_of_everybody() {
    let mut random = random();
    let mut town = Town::with_mint();
    for round in 1..=9_u64 {
        let victim = ["alice", "bob", "mint"][usize::try_from(round % 3).unwrap()];
        pay_and_crash(&mut town, &mut random, victim);
        assert_eq!(town.coins("bob"), format!("{round}.00 EUR"), "round {round}");
        assert_eq!(town.coins("alice"), format!("{}.00 EUR", 40 - round), "round {round}");
    }
    town.audit_all();
}

// Coins that a mint gives for money in an account: what is asked is whether the account pays. Nobody would hear of it from a command that asks only
// for its own.
#[test]
fn a_withdrawal_asks_for_the_transfer_that_pays_for_it() {
    let mut town = Town::with_mint();
    drop(town.alice.take());
    let withdraw = ["wallet", "withdraw", "5.00 EUR"];
    town.world.type_in("alice", &withdraw, "").failed_with(&["the question still waits"]);
    let said = town.world.type_in("alice", &withdraw, "5.00 EUR\n").good();
    assert!(said.contains("Ask your bank for this?") && said.contains("Signed."), "{said}");
    town.alice = Some(town.world.up("alice"));
    let both = until(|| (town.coins("alice") == "50.00 EUR").then_some(()));
    assert!(both.is_some(), "the first one goes on where rules sign it: {}", town.coins("alice"));
    town.audit_all();
}

// A withdrawal and a deposit go through two issuers, either of which can be killed on the way.
#[test]
fn withdrawals_and_deposits_survive_crashes() {
    let mut random = random();
    let mut town = Town::with_mint();
    for victim in ["mint", "bank", "alice", "mint", "bank", "alice"] {
        for way in ["withdraw", "deposit"] {
            let before = town.coins("alice");
            let mut command = town.world.command("alice", &["wallet", way, "5.00 EUR"]);
            let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let moment = Duration::from_millis(random.random_range(0..=400));
            std::thread::sleep(moment);
            if victim == "alice" {
                // A command that finds no node any more runs one of its own, for as long as it lasts.
                drop(town.alice.take());
                let _ = running.wait();
                town.alice = Some(town.world.up("alice"));
            } else {
                town.crash(victim);
                let _ = running.wait();
            }
            println!("{way}: {victim} was killed after {} ms", moment.as_millis());
            let settled = until(|| {
                let operations = town.world.json("alice", &["wallet", "history", "--json"]);
                operations.as_array().unwrap().iter().all(|operation| operation["ended"] == true).then_some(())
            });
            assert!(
                settled.is_some(),
                "{way} never ends: {:#}",
                town.world.json("alice", &["wallet", "history", "--json"])
            );
            // A command that lost its node before it began has done nothing; none does half.
            let after = town.coins("alice");
            println!("{before} -> {after}");
            town.audit_all();
        }
    }
}

#[test]
fn a_token_is_worth_its_money_once() {
    let town = Town::with_mint();
    let world = &town.world;
    let output = world.command("alice", &["wallet", "send", "3.21 EUR"]).output().unwrap();
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert!(token.starts_with("cashuB"), "{token}");
    let purse = town.purse("bob", "ecash", "id");
    world.run("bob", &["wallet", "receive", &token, "--purse", &purse]).good();
    assert_eq!((town.coins("alice").as_str(), town.coins("bob").as_str()), ("36.79 EUR", "3.21 EUR"));
    for party in ["alice", "bob"] {
        let purse = town.purse(party, "ecash", "id");
        let again = world.run(party, &["wallet", "receive", &token, "--purse", &purse]);
        again.failed_with(&["spent", "no money moved"]);
    }
    world.run("bob", &["wallet", "receive", "cashuBgarbage", "--purse", &purse]).failed_with(&["no money moved"]);
    world.run("bob", &["wallet", "deposit", "3.21 EUR"]).good();
    assert_eq!((town.coins("bob").as_str(), town.has("bob").as_str()), ("0.00 EUR", "3.21 EUR"));
    town.audit_all();
}

// Whoever has the words has the coins: that is what they are for.
#[test]
fn coins_come_back_from_a_backup() {
    let mut town = Town::with_mint();
    let backup = town.world.path("backup.toml").display().to_string();
    town.world.run("alice", &["wallet", "backup", &backup]).good();
    town.world.run("alice", &["wallet", "backup", &backup]).failed_with(&["cannot write"]);
    drop(town.alice.take());
    town.world.init("heir", &[]);
    let said = town.world.run("heir", &["wallet", "restore", &backup]).good();
    assert!(said.contains("40.00 EUR"), "{said}");
    // A directory with purses of its own keeps them.
    drop(town.bob.take());
    town.world.run("bob", &["wallet", "restore", &backup]).failed_with(&["Nothing was changed"]);
}

#[test]
fn a_mint_and_a_bank_run_in_one_process() {
    let world = World::new();
    let listen = format!("{}:0", world.ip());
    world.run("town", &["init", "--name", "Town", "--role", "bank,mint", "--listen", &listen]).good();
    world.configure("town/bank", |config| {
        config["bank"].as_table_mut().unwrap().insert("anyone".to_owned(), true.into());
    });
    world.configure("town/mint", |config| {
        config["mint"].as_table_mut().unwrap().insert("bank".to_owned(), world.url("town/bank").into());
    });
    let log = std::fs::File::create(world.path("town/log.txt")).unwrap();
    let mut command = world.command("town", &["serve", "--role", "bank,mint"]);
    let mut process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    for role in ["town/bank", "town/mint"] {
        let ready = until(|| world.endpoint(role).filter(|endpoint| endpoint["pid"] == process.id()));
        assert!(ready.is_some(), "{}", std::fs::read_to_string(world.path("town/log.txt")).unwrap());
    }
    world.init("alice", &[]);
    world.run("alice", &["wallet", "add", &world.url("town/mint"), "--system", "ecash"]).good();
    world.run("town/mint", &["mint", "rotate", "EUR"]).good();
    world.run("town/mint", &["stop"]).good();
    assert!(process.wait().unwrap().success());
}

// The payee asks for money and is gone when it comes: the bank gives it back, and the folder that says so is sound.
#[test]
fn what_a_silent_payee_did_not_take_comes_back() {
    let mut town = Town::new();
    drop(town.alice.take());
    town.alice = Some(town.world.start("alice", &["up"]));
    let args = ["pay", "bob", "3.00 EUR", "--patience", "3", "--no-ask", "--no-wait"];
    let deal = deal_in(&town.world.run("alice", &args).good());
    town.world.wait("alice", &deal, "a question", |view| view["state"] == "paying");
    assert!(until(|| town.world.run("alice", &["approvals"]).text.contains("Pay this?").then_some(())).is_some());
    drop(town.bob.take());
    town.world.type_in("alice", &["approve"], "3.00 EUR\n").good();
    assert_eq!(town.world.ending("alice", &deal), "aborted");
    assert_eq!(town.has("alice"), "100.00 EUR");
    let report = town.world.report(&town.world.export("alice", &deal));
    assert_eq!((&report["sound"], &report["payments"][0]["proven"]), (&true.into(), &false.into()), "{report:#}");
    town.bob = Some(town.world.up("bob"));
    assert_eq!(town.has("bob"), "0.00 EUR");
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

// A mint that allows little: strangers are turned away, and a wallet that is turned away comes again and loses nothing.
#[test]
fn a_mint_that_allows_little_turns_strangers_away_and_wallets_come_again() {
    let mut town = Town::with_mint();
    drop(town.mint.take());
    town.world.configure("mint", |config| {
        let rates = toml::toml! {
            burst = 20
            per_second = 2
        };
        config["mint"].as_table_mut().unwrap().insert("rates".to_owned(), rates.into());
    });
    town.mint = Some(town.world.serve("mint"));
    let mint = town.world.listen("mint");
    let quote = r#"{"amount": 8, "unit": "eur"}"#;
    let answers: Vec<String> = (0..3).map(|_| ask(&mint, "/v1/mint/quote/account", Some(quote))).collect();
    assert!(answers[0].starts_with("HTTP/1.1 200"), "{}", answers[0]);
    for answer in &answers[1..] {
        let head = answer.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 429") && head.contains("\r\nretry-after: "), "{answer}");
        assert!(answer.contains("urn:semper:problem:mint:too-many"), "{answer}");
    }
    // All parties and the stranger have one address. The bucket is empty when the payment begins.
    let deal = town.pay("10.00 EUR");
    assert_eq!(town.world.ending("alice", &deal), "success");
    assert!(until(|| (town.coins("bob") == "10.00 EUR").then_some(())).is_some());
    town.audit_all();
    let counted =
        until(|| Some(ask(&mint, "/metrics", None)).filter(|answer| answer.starts_with("HTTP/1.1 200"))).unwrap();
    assert!(counted.contains("operation=\"mint-quote\",outcome=\"too-many\"} 2"), "{counted}");
    assert!(counted.contains("operation=\"swap\",outcome=\"granted\"}"), "{counted}");
}
