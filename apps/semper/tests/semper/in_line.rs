//! Money through the hands of an arbiter, between real processes and two banks. What could go wrong: one side has both amounts; the arbiter keeps what is due, or pays it
//! twice; a user is asked for more than the contract, or pays without having been told whom it trusts; money is lost when a process is killed.

use std::time::Duration;

use rand::RngExt as _;
use serde_json::Value;

use crate::world::{Process, Ran, World, deal_in, random, until};

/// The banks and their currencies.
const BANKS: [(&str, &str); 2] = [("euros", "EUR"), ("dollars", "USD")];

/// Alice and Bob, who know each other, accept one arbiter and have accounts at two banks. Alice has 40 euros, Bob 40 dollars. No rule signs anything for them: whatever they are asked
/// beyond the contract stops the deal.
struct Hall {
    world: World,
    running: Vec<(&'static str, Process)>,
}

impl Hall {
    /// `in_line`: whether the arbiter takes money into its hands.
    fn new(in_line: bool) -> Self {
        let world = World::new();
        world.init("arbiter", &["--role", "arbiter"]);
        world.configure("arbiter", |config| {
            let mut arbiter = toml::Table::new();
            arbiter.insert("in_line".to_owned(), in_line.into());
            config.insert("arbiter".to_owned(), arbiter.into());
        });
        let mut running = vec![("arbiter", world.serve("arbiter"))];
        for (bank, currency) in BANKS {
            world.init(bank, &["--role", "bank"]);
            world.configure(bank, |config| {
                let bank = config["bank"].as_table_mut().unwrap();
                bank.insert("anyone".to_owned(), true.into());
                bank.insert("currencies".to_owned(), vec![currency].into());
            });
            running.push((bank, world.start(bank, &["serve", "--role", "bank"])));
        }
        for party in ["alice", "bob"] {
            world.init(party, &[]);
            world.configure(party, |config| {
                config.insert("patience".to_owned(), 600.into());
                config.insert("retry_max".to_owned(), 1.into());
            });
            std::fs::write(world.path(party).join("policy.toml"), "").unwrap();
        }
        world.acquaint();
        for party in ["alice", "bob"] {
            running.push((party, world.up(party)));
            for (bank, currency) in BANKS {
                let args = ["wallet", "add", &world.url(bank), "--system", "account", "--currency", currency];
                world.run(party, &args).good();
            }
        }
        let hall = Self { world, running };
        hall.credit("alice", "euros", "40.00 EUR");
        hall.credit("bob", "dollars", "40.00 USD");
        for (bank, currency) in BANKS {
            hall.world.run("arbiter", &["arbiter", "open", &hall.world.url(bank), "--currency", currency]).good();
        }
        // What has come is known to both: their banks may be away when they pay.
        hall.ends_with("alice", ["40.00 EUR", "0.00 USD"]);
        hall.ends_with("bob", ["0.00 EUR", "40.00 USD"]);
        hall
    }

    fn credit(&self, party: &str, bank: &str, amount: &str) {
        let purses = self.world.json(party, &["wallet", "balance", "--json"]);
        let at = self.world.url(bank);
        let purse = purses.as_array().unwrap().iter().find(|purse| purse["issuer"] == at.as_str()).unwrap();
        let address = purse["address"].as_str().unwrap();
        let number = address.strip_prefix("account:").unwrap().split('@').next().unwrap();
        self.world.run(bank, &["bank", "credit", number, amount]).good();
    }

    fn down(&mut self, name: &str) {
        self.running.retain(|(other, _)| *other != name);
    }

    fn up(&mut self, name: &'static str) {
        let process = match name {
            "arbiter" => self.world.serve(name),
            "euros" | "dollars" => self.world.start(name, &["serve", "--role", "bank"]),
            party => self.world.up(party),
        };
        self.running.push((name, process));
    }

    fn ask(&self, more: &[&str]) -> Ran {
        let args =
            ["exchange", "10.00 EUR", "--for", "11.00 USD", "--with", "bob", "--in-line", "--no-ask", "--no-wait"];
        self.world.run("alice", &[&args, more].concat())
    }

    /// Alice asks for it and both sign; the deal, and what each was shown.
    fn agree(&self, more: &[&str]) -> (String, [String; 2]) {
        let deal = deal_in(&self.ask(more).good());
        let shown = ["alice", "bob"].map(|party| {
            let question = self.world.asked(party);
            self.world.says_yes(party, &question).good()
        });
        (deal, shown)
    }

    /// What a party has, in euros and dollars.
    fn has(&self, party: &str) -> [String; 2] {
        let purses: Value = self.world.json(party, &["wallet", "balance", "--refresh", "--json"]);
        BANKS.map(|(_, currency)| {
            let purse = purses.as_array().unwrap().iter().find(|purse| purse["currency"] == currency).unwrap();
            purse["available"].as_str().unwrap().to_owned()
        })
    }

    #[track_caller]
    fn ends_with(&self, party: &str, money: [&str; 2]) {
        let mut last = Default::default();
        let found = until(|| {
            last = self.has(party);
            (last == money).then_some(())
        });
        assert!(found.is_some(), "{party} has {last:?}");
    }

    /// Each has the other's money, every book balances, and the arbiter has and owes nothing.
    fn exchanged(&self, times: u64) {
        let euros = |whole: u64| format!("{whole}.00 EUR");
        let dollars = |whole: u64| format!("{whole}.00 USD");
        self.ends_with("alice", [&euros(40 - 10 * times), &dollars(11 * times)]);
        self.ends_with("bob", [&euros(10 * times), &dollars(40 - 11 * times)]);
        self.balanced();
    }

    fn unchanged(&self) {
        self.ends_with("alice", ["40.00 EUR", "0.00 USD"]);
        self.ends_with("bob", ["0.00 EUR", "40.00 USD"]);
        self.balanced();
    }

    /// The banks owe their customers what was paid in, and the arbiter nothing to anybody.
    fn balanced(&self) {
        for (bank, currency) in BANKS {
            let audit = self.world.json(bank, &["bank", "audit", "--json"]);
            assert_eq!(audit["faults"].as_array().unwrap().len(), 0, "{audit:#}");
            assert_eq!(audit["owed"], serde_json::json!([[currency, 4000]]), "{audit:#}");
        }
        let owes = self.world.run("arbiter", &["arbiter", "owes"]).good();
        assert!(owes.contains("owes nothing"), "{owes}");
    }

    /// What a stranger finds in a party's folder: how the contract stands, and what is proven.
    #[track_caller]
    fn proven(&self, party: &str, deal: &str, standing: &str, questions: &[&str]) {
        let folder = self.world.export(party, deal);
        let report = self.world.report(&folder);
        assert_eq!(report["sound"], true, "{party}: {report:#}");
        let contract = &report["contracts"][0];
        assert_eq!(contract["standing"], standing, "{party}: {report:#}");
        assert!(contract["text"].as_str().unwrap().contains("THROUGH THE HANDS OF THE ARBITER"), "{report:#}");
        let answers = self.world.answers(&[&folder]);
        for question in questions {
            let proven = ((*question).to_owned(), "proven".to_owned());
            assert!(answers.contains(&proven), "{party}, {question:?}: {answers:?}");
        }
    }

    /// Waits until the arbiter has Alice's money, says so, and lists it.
    #[track_caller]
    fn handed_in(&self, deal: &str) {
        self.world.wait("alice", deal, "money in the arbiter's hands", |view| view["in_hand"] == "10.00 EUR");
        self.owes(&["undecided", "has from the originator: 10.00 EUR"]);
        let shown = self.world.run("alice", &["deals", "show", deal]).good();
        assert!(shown.contains("in hand   10.00 EUR, which the arbiter has of yours"), "{shown}");
    }

    /// Waits until the arbiter's list holds all of these words.
    #[track_caller]
    fn owes(&self, words: &[&str]) {
        let mut last = String::new();
        let found = until(|| {
            last = self.world.run("arbiter", &["arbiter", "owes"]).good();
            words.iter().all(|word| last.contains(word)).then_some(())
        });
        assert!(found.is_some(), "{words:?} are not in: {last}");
    }
}

// Each signs once, for the contract, and is told whom it trusts with the money; everything else follows.
#[test]
fn both_pay_the_arbiter_and_both_are_paid() {
    let hall = Hall::new(true);
    let (deal, shown) = hall.agree(&["--arbiter", "arbiter"]);
    for shown in shown {
        for part in [
            "alice gives 10.00 EUR by account",
            "Both amounts go to the arbiter first",
            "it could keep them",
            "takes no fee",
        ] {
            assert!(shown.contains(part), "{part:?} is not in: {shown}");
        }
    }
    for party in ["alice", "bob"] {
        assert_eq!(hall.world.ending(party, &deal), "success");
        assert_eq!(hall.world.deal(party, &deal)["title"], "10.00 EUR for 11.00 USD, through the arbiter's hands");
        let asked = hall.world.run(party, &["approvals"]).good();
        assert!(!asked.contains("Pay this?"), "{asked}");
    }
    hall.exchanged(1);
    let both =
        ["does the contract bind both?", "did the originator pay 10.00 EUR?", "did the responder pay 11.00 USD?"];
    let hers = ["did the originator hand 10.00 EUR to the arbiter?", "has the arbiter paid the originator 11.00 USD?"];
    let his = ["did the responder hand 11.00 USD to the arbiter?", "has the arbiter paid the responder 10.00 EUR?"];
    hall.proven("alice", &deal, "resolved", &[both.as_slice(), &hers].concat());
    hall.proven("bob", &deal, "resolved", &[both.as_slice(), &his].concat());
}

// Bob's bank is away, so the arbiter cannot take his money, and Alice waits in vain. She is paid back; what the arbiter gets of Bob when his bank is there again is too late, and goes back to him.
#[test]
fn whoever_paid_in_vain_is_paid_back() {
    let mut hall = Hall::new(true);
    hall.down("dollars");
    let (deal, _) = hall.agree(&["--patience", "25"]);
    hall.handed_in(&deal);
    hall.owes(&["has from the responder: 11.00 USD", "being taken"]);
    let listed = hall.world.run("alice", &["deals", "list"]).good();
    assert!(listed.contains("the arbiter has your money, 10.00 EUR"), "{listed}");
    assert_eq!(hall.world.ending("alice", &deal), "aborted");
    hall.up("dollars");
    assert_eq!(hall.world.ending("bob", &deal), "aborted");
    hall.unchanged();
    hall.proven("alice", &deal, "aborted", &["has the arbiter paid the originator 10.00 EUR back?"]);
    hall.proven("bob", &deal, "aborted", &["has the arbiter paid the responder 11.00 USD back?"]);
}

// Alice has paid, and calls it off before Bob could pay. Nobody asks why.
#[test]
fn whoever_has_paid_can_call_it_off() {
    let mut hall = Hall::new(true);
    hall.down("dollars");
    let (deal, _) = hall.agree(&["--patience", "600"]);
    hall.handed_in(&deal);
    hall.down("bob");
    hall.up("dollars");
    hall.world.run("alice", &["deals", "give-up", &deal, "--no-wait"]).good();
    assert_eq!(hall.world.ending("alice", &deal), "aborted");
    hall.ends_with("alice", ["40.00 EUR", "0.00 USD"]);
    hall.proven("alice", &deal, "aborted", &["did the originator hand 10.00 EUR to the arbiter?"]);
}

// Bob is killed when he has paid, and the arbiter as soon as it has decided, before it could pay him. They come back one after the other, and he is paid.
#[test]
fn an_arbiter_that_is_killed_pays_what_it_has_decided() {
    let mut hall = Hall::new(true);
    hall.down("dollars");
    let (deal, _) = hall.agree(&["--patience", "600"]);
    hall.handed_in(&deal);
    hall.owes(&["has from the responder: 11.00 USD", "being taken"]);
    hall.down("bob");
    hall.up("dollars");
    hall.down("arbiter");
    hall.up("arbiter");
    assert_eq!(hall.world.ending("alice", &deal), "success");
    hall.down("arbiter");
    hall.down("euros");
    hall.up("bob");
    hall.up("arbiter");
    hall.up("euros");
    assert_eq!(hall.world.ending("bob", &deal), "success");
    hall.exchanged(1);
    hall.proven("bob", &deal, "resolved", &["has the arbiter paid the responder 10.00 EUR?"]);
}

// Everybody is killed again and again, and comes back at once. With so much patience, all that was agreed is done, once.
#[test]
fn nobody_loses_what_was_in_the_arbiters_hands_by_a_crash() {
    let mut random = random();
    let mut hall = Hall::new(true);
    for round in 1..=3 {
        let (deal, _) = hall.agree(&["--patience", "600"]);
        for _ in 0..3 {
            let victim = ["arbiter", "alice", "bob", "euros", "dollars"][random.random_range(0..5_usize)];
            std::thread::sleep(Duration::from_millis(random.random_range(0..700)));
            println!("round {round}: {victim} is killed");
            hall.down(victim);
            hall.up(victim);
        }
        for party in ["alice", "bob"] {
            assert_eq!(hall.world.ending(party, &deal), "success", "round {round}, {party}");
        }
        hall.exchanged(round);
    }
}

// What cannot be done is said before anybody is asked for a signature, and before any money moves.
#[test]
fn what_no_arbiter_takes_into_its_hands_is_refused() {
    let mut hall = Hall::new(false);
    hall.ask(&[]).failed_with(&["no arbiter that you accept takes money into its hands", "semper contact add"]);
    hall.down("arbiter");
    hall.world.configure("arbiter", |config| {
        config["arbiter"].as_table_mut().unwrap().insert("in_line".to_owned(), true.into());
    });
    hall.up("arbiter");
    // Its card says so now. Bob does not have it yet.
    hall.world.run("alice", &["contact", "add", &hall.world.card("arbiter"), "--arbiter"]).good();
    hall.ask(&["--valid-for", "31"]).failed_with(&["for thirty days at most"]);
    hall.ask(&["--no-arbiter"]).failed_with(&["cannot be used with"]);
    let other = ["exchange", "10.00 CHF", "--for", "11.00 USD", "--with", "bob", "--in-line"];
    hall.world.run("alice", &other).failed_with(&["no purse in CHF whose issuer shows what was paid"]);
    let more = ["exchange", "40.01 EUR", "--for", "11.00 USD", "--with", "bob", "--in-line"];
    hall.world.run("alice", &more).failed_with(&["no purse for this that holds 40.01 EUR"]);
    let deal = deal_in(&hall.ask(&[]).good());
    assert_eq!(hall.world.ending("alice", &deal), "lapsed");
    let said = hall.world.deal("alice", &deal)["remark"].as_str().unwrap().to_owned();
    assert!(said.contains("takes money into its hands, by the card that is known of it"), "{said}");
    hall.unchanged();
}
