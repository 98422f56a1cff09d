//! Money for a receipt, and money for other money, between real processes. What could go wrong: the payer has paid and has no receipt, the payee has
//! signed and has no money, one side has both amounts; or a user's money goes out without a question.

use serde_json::Value;

use crate::world::{Process, World, deal_in, until};

const PAYER: &str = "[[allow]]\nwhat = \"payment\"\nup_to = \"50.00 EUR\"\n\n[[allow]]\nwhat = \"contract\"\n";
pub const PAYEE: &str = "[[allow]]\nwhat = \"contract\"\n";

/// Alice and Bob, who know each other, accept one arbiter and have purses at two mints. Alice has 40 euros, Bob 40 dollars.
pub struct Market {
    pub world: World,
    running: Vec<(&'static str, Process)>,
}

impl Market {
    /// `payee`: what Bob signs without asking.
    pub fn new(payee: &str) -> Self {
        Self::with(payee, 3)
    }

    /// The same. `patience`: how long each waits for a message in what somebody else begins, in seconds.
    fn with(payee: &str, patience: i64) -> Self {
        let world = World::new();
        world.init("arbiter", &["--role", "arbiter"]);
        let mut running = vec![("arbiter", world.serve("arbiter"))];
        for (mint, currency) in [("euros", "EUR"), ("dollars", "USD")] {
            world.init(mint, &["--role", "mint"]);
            world.configure(mint, |config| {
                let mint = config["mint"].as_table_mut().unwrap();
                mint.insert("test_money".to_owned(), true.into());
                mint.insert("currency".to_owned(), currency.into());
            });
            running.push((mint, world.start(mint, &["serve", "--role", "mint"])));
        }
        for (party, policy) in [("alice", PAYER), ("bob", payee)] {
            world.init(party, &[]);
            world.configure(party, |config| {
                config.insert("patience".to_owned(), patience.into());
                config.insert("retry_max".to_owned(), 1.into());
            });
            std::fs::write(world.path(party).join("policy.toml"), policy).unwrap();
        }
        world.acquaint();
        for party in ["alice", "bob"] {
            running.push((party, world.up(party)));
            for (mint, currency) in [("euros", "EUR"), ("dollars", "USD")] {
                let args = ["wallet", "add", &world.url(mint), "--system", "ecash", "--currency", currency];
                world.run(party, &args).good();
            }
        }
        world.run("alice", &["wallet", "withdraw", "40.00 EUR", "--method", "bolt11"]).good();
        world.run("bob", &["wallet", "withdraw", "40.00 USD", "--method", "bolt11"]).good();
        Self { world, running }
    }

    /// A bank at which both have an account in euros, which they like best; Alice has 30 euros in hers.
    fn open_bank(&mut self) {
        let world = &self.world;
        world.init("bank", &["--role", "bank"]);
        world.configure("bank", |config| {
            config["bank"].as_table_mut().unwrap().insert("anyone".to_owned(), true.into());
        });
        self.running.push(("bank", world.serve("bank")));
        let account = |party: &str| {
            let purses = world.json(party, &["wallet", "balance", "--json"]);
            purses.as_array().unwrap().iter().find(|purse| purse["system"] == "account").unwrap().clone()
        };
        for party in ["alice", "bob"] {
            world.run(party, &["wallet", "add", &world.url("bank"), "--system", "account"]).good();
            world.run(party, &["wallet", "prefer", account(party)["id"].as_str().unwrap()]).good();
        }
        let address = account("alice")["address"].as_str().unwrap().to_owned();
        let number = address.strip_prefix("account:").unwrap().split('@').next().unwrap();
        world.run("bank", &["bank", "credit", number, "30.00 EUR"]).good();
    }

    pub fn down(&mut self, party: &str) {
        self.running.retain(|(name, _)| *name != party);
    }

    pub fn up(&mut self, party: &'static str) {
        let process = match party {
            "arbiter" | "bank" => self.world.serve(party),
            "euros" | "dollars" => self.world.start(party, &["serve", "--role", "mint"]),
            party => self.world.up(party),
        };
        self.running.push((party, process));
    }

    /// What a party has, in euros and dollars.
    fn has(&self, party: &str) -> [String; 2] {
        let purses: Value = self.world.json(party, &["wallet", "balance", "--refresh", "--json"]);
        ["EUR", "USD"].map(|currency| {
            let purse = purses.as_array().unwrap().iter().find(|purse| purse["currency"] == currency).unwrap();
            purse["available"].as_str().unwrap().to_owned()
        })
    }

    #[track_caller]
    pub fn ends_with(&self, party: &str, money: [&str; 2]) {
        let mut last = Default::default();
        let found = until(|| {
            last = self.has(party);
            (last == money).then_some(())
        });
        assert!(found.is_some(), "{party} has {last:?}");
    }

    fn begin(&self, args: &[&str]) -> String {
        deal_in(&self.world.run("alice", &[args, &["--no-ask", "--no-wait"]].concat()).good())
    }

    /// Bob signs what he is asked; what he was shown.
    fn signs(&self, approval: &str) -> String {
        self.sign("bob", approval)
    }

    /// A party signs what it is asked; what it was shown.
    fn sign(&self, party: &str, approval: &str) -> String {
        self.world.says_yes(party, approval).good()
    }

    /// Both are asked, whatever their rules say: a contract without an arbiter no rule allows. They sign; what they were shown.
    fn both_sign(&self) -> [String; 2] {
        ["bob", "alice"].map(|party| self.sign(party, &self.world.asked(party)))
    }

    /// Bob signs whatever he is asked now.
    pub fn signs_everything(&self) {
        let asked = self.world.run("bob", &["approvals"]).text;
        for line in asked.lines().filter(|line| line.contains("Sign this contract?")) {
            // It may have been answered, or taken back, meanwhile.
            self.world.says_yes("bob", &line[..12]);
        }
    }

    /// What a stranger finds in both folders.
    fn proven(&self, deal: &str, standing: &str, word: &str) {
        self.proven_by(&["alice", "bob"], deal, standing, word);
    }

    fn proven_by(&self, parties: &[&str], deal: &str, standing: &str, word: &str) {
        for party in parties {
            let report = self.world.report(&self.world.export(party, deal));
            assert_eq!(report["sound"], true, "{party}: {report:#}");
            let contract = &report["contracts"][0];
            assert_eq!(contract["standing"], standing, "{party}: {report:#}");
            assert!(contract["text"].as_str().unwrap().contains(word), "{party}: {report:#}");
        }
    }

    /// Each folder proves it to a stranger.
    fn judged(&self, deal: &str, question: &str) {
        for party in ["alice", "bob"] {
            let answers = self.world.answers(&[&self.world.export(party, deal)]);
            let proven = (question.to_owned(), "proven".to_owned());
            assert!(answers.contains(&proven), "{party}: {answers:?}");
        }
    }
}

#[test]
fn money_for_a_receipt() {
    let market = Market::new(PAYEE);
    let deal = market.begin(&["pay", "bob", "12.00 EUR", "--receipt", "--for", "rent for May"]);
    for party in ["alice", "bob"] {
        assert_eq!(market.world.ending(party, &deal), "success");
        assert_eq!(market.world.deal(party, &deal)["title"], "12.00 EUR for a receipt");
    }
    market.ends_with("alice", ["28.00 EUR", "0.00 USD"]);
    market.ends_with("bob", ["12.00 EUR", "40.00 USD"]);
    market.proven(&deal, "complete", "rent for May");
}

// The payer's machine goes down before the payee signs. The arbiter gives the payee the money and the payer the receipt.
#[test]
fn a_silent_payer_has_paid_and_has_the_receipt() {
    let mut market = Market::new("");
    let deal = market.begin(&["pay", "bob", "12.00 EUR", "--receipt", "--patience", "10"]);
    let question = market.world.asked("bob");
    market.down("alice");
    let shown = market.signs(&question);
    assert!(shown.contains("The payer pays 12.00 EUR by ecash"), "{shown}");
    assert_eq!(market.world.ending("bob", &deal), "success");
    market.ends_with("bob", ["12.00 EUR", "40.00 USD"]);
    market.up("alice");
    assert_eq!(market.world.ending("alice", &deal), "success");
    market.ends_with("alice", ["28.00 EUR", "0.00 USD"]);
    market.proven(&deal, "resolved", "PAYMENT WITH RECEIPT");
}

// The payee answers too late. The arbiter lets the payer have its locked money back, and nobody has a receipt.
#[test]
fn a_silent_payee_gets_nothing() {
    let mut market = Market::new("");
    let deal = market.begin(&["pay", "bob", "12.00 EUR", "--receipt", "--patience", "4"]);
    let question = market.world.asked("bob");
    market.down("bob");
    assert_eq!(market.world.ending("alice", &deal), "aborted");
    market.ends_with("alice", ["40.00 EUR", "0.00 USD"]);
    market.up("bob");
    market.signs(&question);
    assert_eq!(market.world.ending("bob", &deal), "aborted");
    market.ends_with("bob", ["0.00 EUR", "40.00 USD"]);
    market.proven(&deal, "aborted", "PAYMENT WITH RECEIPT");
}

// Bob is asked, whatever his rules say about contracts: how good a rate is no rule can say.
#[test]
fn euros_for_dollars() {
    let market = Market::new(PAYEE);
    let deal = market.begin(&["exchange", "10.00 EUR", "--for", "11.00 USD", "--with", "bob", "--patience", "30"]);
    let shown = market.signs(&market.world.asked("bob"));
    assert!(shown.contains("alice gives 10.00 EUR") && shown.contains("bob gives 11.00 USD"), "{shown}");
    for party in ["alice", "bob"] {
        assert_eq!(market.world.ending(party, &deal), "success");
    }
    market.ends_with("alice", ["30.00 EUR", "11.00 USD"]);
    market.ends_with("bob", ["10.00 EUR", "29.00 USD"]);
    market.proven(&deal, "complete", "EXCHANGE OF MONEY");
}

// A hold at a bank is exchanged like coins at a mint, and paid for a receipt.
#[test]
fn money_in_an_account_for_coins_and_for_a_receipt() {
    let mut market = Market::new(PAYEE);
    market.open_bank();
    assert_eq!(market.has("alice"), ["30.00 EUR", "0.00 USD"]);
    let deal = market.begin(&["exchange", "10.00 EUR", "--for", "11.00 USD", "--with", "bob", "--patience", "30"]);
    let shown = market.signs(&market.world.asked("bob"));
    assert!(shown.contains("alice gives 10.00 EUR by account") && shown.contains("11.00 USD by ecash"), "{shown}");
    for party in ["alice", "bob"] {
        assert_eq!(market.world.ending(party, &deal), "success");
    }
    market.proven(&deal, "complete", "EXCHANGE OF MONEY");
    let deal = market.begin(&["pay", "bob", "5.00 EUR", "--receipt"]);
    for party in ["alice", "bob"] {
        assert_eq!(market.world.ending(party, &deal), "success");
    }
    market.proven(&deal, "complete", "by account");
    market.ends_with("alice", ["15.00 EUR", "11.00 USD"]);
    market.ends_with("bob", ["15.00 EUR", "29.00 USD"]);
}

/// Alice begins to pay for a receipt by plain transfer, and signs, whatever her rules say.
fn transfers(market: &Market, patience: &str) -> (String, String) {
    let args = ["pay", "bob", "5.00 EUR", "--receipt", "--by-transfer", "--patience", patience];
    let deal = market.begin(&args);
    let shown = market.sign("alice", &market.world.asked("alice"));
    (deal, shown)
}

// Nothing is locked: Bob takes the money from his bank as in any payment, and signs that he has it. No rule of Alice's signs that unasked.
#[test]
fn money_for_a_receipt_by_plain_transfer() {
    let mut market = Market::with(PAYEE, 30);
    market.open_bank();
    let (deal, shown) = transfers(&market, "30");
    for part in ["The payer pays 5.00 EUR by account", "not locked first", "it has paid, and has that proof and no"] {
        assert!(shown.contains(part), "{part:?} is not in: {shown}");
    }
    for party in ["alice", "bob"] {
        assert_eq!(market.world.ending(party, &deal), "success");
        assert_eq!(market.world.deal(party, &deal)["title"], "5.00 EUR for a receipt, by plain transfer");
    }
    market.ends_with("alice", ["25.00 EUR", "0.00 USD"]);
    market.ends_with("bob", ["5.00 EUR", "40.00 USD"]);
    market.proven(&deal, "complete", "BY PLAIN TRANSFER");
    market.judged(&deal, "did the payer pay 5.00 EUR?");
    let world = &market.world;
    let by_transfer = |amount| ["pay", "bob", amount, "--receipt", "--by-transfer"];
    world.run("alice", &by_transfer("1.00 USD")).failed_with(&["whose issuer shows what was paid"]);
    world.run("alice", &by_transfer("30.00 EUR")).failed_with(&["no purse for this that holds 30.00 EUR"]);
}

// Bob has taken the money, and Alice, who was killed, never gets his signature. She comes back, asks the bank, and the arbiter completes the receipt on its proof.
#[test]
fn a_payee_that_is_silent_after_a_plain_transfer() {
    let mut market = Market::with("", 30);
    market.open_bank();
    let (deal, _) = transfers(&market, "8");
    let question = market.world.asked("bob");
    market.down("bank");
    market.signs(&question);
    // Her order is out, and his node waits for the bank.
    market.world.wait("bob", &deal, "a payment", |view| view["state"] == "taking");
    market.down("alice");
    market.up("bank");
    assert_eq!(market.world.ending("bob", &deal), "success");
    market.down("bob");
    market.up("alice");
    assert_eq!(market.world.ending("alice", &deal), "success");
    market.ends_with("alice", ["25.00 EUR", "0.00 USD"]);
    market.proven_by(&["alice"], &deal, "resolved", "BY PLAIN TRANSFER");
    let answers = market.world.answers(&[&market.world.export("alice", &deal)]);
    assert!(answers.contains(&("did the payer pay 5.00 EUR?".to_owned(), "proven".to_owned())), "{answers:?}");
    market.up("bob");
    market.ends_with("bob", ["5.00 EUR", "40.00 USD"]);
}

// Bob goes away before he has taken the money: it is back, and nobody needs the arbiter. Bob waits until the arbiter can say what became of it.
#[test]
fn a_payee_that_does_not_take_a_plain_transfer() {
    let mut market = Market::with("", 30);
    market.open_bank();
    let (deal, _) = transfers(&market, "8");
    let question = market.world.asked("bob");
    market.down("bank");
    market.signs(&question);
    market.world.wait("bob", &deal, "a payment", |view| view["state"] == "taking");
    market.down("bob");
    market.up("bank");
    market.down("arbiter");
    assert_eq!(market.world.ending("alice", &deal), "refunded");
    market.ends_with("alice", ["30.00 EUR", "0.00 USD"]);
    market.up("bob");
    market.world.wait("bob", &deal, "the end of the contract's time", |view| view["until"].is_number());
    market.ends_with("bob", ["0.00 EUR", "40.00 USD"]);
    market.proven_by(&["alice", "bob"], &deal, "open", "BY PLAIN TRANSFER");
}

// Alice's machine goes down when her money is locked. The arbiter gives each the other's money.
#[test]
fn an_exchange_that_the_arbiter_completes() {
    let mut market = Market::new("");
    let deal = market.begin(&["exchange", "10.00 EUR", "--for", "11.00 USD", "--with", "bob", "--patience", "10"]);
    let question = market.world.asked("bob");
    market.down("alice");
    market.signs(&question);
    assert_eq!(market.world.ending("bob", &deal), "success");
    market.ends_with("bob", ["10.00 EUR", "29.00 USD"]);
    market.up("alice");
    assert_eq!(market.world.ending("alice", &deal), "success");
    market.ends_with("alice", ["30.00 EUR", "11.00 USD"]);
    market.proven(&deal, "resolved", "EXCHANGE OF MONEY");
}

// Nobody decides: Bob opens Alice's euros with the preimage, which opens his dollars for her. That she has paid is proven; that she has taken the dollars,
// which she could from then on, nobody can show.
#[test]
fn euros_for_dollars_without_an_arbiter() {
    let mut market = Market::with(PAYEE, 30);
    // It is not needed for anything.
    market.down("arbiter");
    let args = ["exchange", "10.00 EUR", "--for", "11.00 USD", "--with", "bob", "--no-arbiter", "--patience", "30"];
    let deal = market.begin(&args);
    for shown in market.both_sign() {
        for part in ["alice gives 10.00 EUR", "bob gives 11.00 USD", "Nobody decides", "only bob knows"] {
            assert!(shown.contains(part), "{part:?} is not in: {shown}");
        }
    }
    for party in ["alice", "bob"] {
        assert_eq!(market.world.ending(party, &deal), "success");
        assert_eq!(market.world.deal(party, &deal)["title"], "10.00 EUR for 11.00 USD");
    }
    market.ends_with("alice", ["30.00 EUR", "11.00 USD"]);
    market.ends_with("bob", ["10.00 EUR", "29.00 USD"]);
    market.proven(&deal, "opened", "EXCHANGE OF MONEY WITHOUT AN ARBITER");
    market.judged(&deal, "did the responder pay 10.00 EUR?");
}

// The receipt is both promises and the preimage, which the payee has shown to take the money.
#[test]
fn money_for_a_receipt_without_an_arbiter() {
    let mut market = Market::with(PAYEE, 30);
    market.down("arbiter");
    let deal = market.begin(&["pay", "bob", "12.00 EUR", "--receipt", "--no-arbiter", "--for", "rent for May"]);
    market.both_sign();
    for party in ["alice", "bob"] {
        assert_eq!(market.world.ending(party, &deal), "success");
        assert_eq!(market.world.deal(party, &deal)["title"], "12.00 EUR for a receipt");
    }
    market.ends_with("alice", ["28.00 EUR", "0.00 USD"]);
    market.ends_with("bob", ["12.00 EUR", "40.00 USD"]);
    market.proven(&deal, "opened", "rent for May");
    market.judged(&deal, "did the payer pay 12.00 EUR?");
}

// The payee's machine goes down when the payer is about to lock its money. Nobody can send that back; the payer is told until when it waits. When the
// payee comes back in time, both have what they wanted. That the money is back after its date takes hours here: the simulation plays it
// (`sim/tests/locks.rs`).
#[test]
fn a_silent_payee_without_an_arbiter_comes_back_in_time() {
    let mut market = Market::with(PAYEE, 30);
    let deal = market.begin(&["pay", "bob", "12.00 EUR", "--receipt", "--no-arbiter", "--patience", "30"]);
    market.signs(&market.world.asked("bob"));
    let question = market.world.asked("alice");
    market.down("bob");
    let shown = market.sign("alice", &question);
    assert!(shown.contains("The payer pays 12.00 EUR by ecash") && shown.contains("Nobody decides"), "{shown}");
    market.world.wait("alice", &deal, "a lock", |view| view["until"].is_number());
    market.ends_with("alice", ["28.00 EUR", "0.00 USD"]);
    let listed = market.world.run("alice", &["deals", "list"]).good();
    assert!(listed.contains("your money comes back after"), "{listed}");
    market.proven_by(&["alice"], &deal, "open", "Nobody decides");
    market.up("bob");
    for party in ["alice", "bob"] {
        assert_eq!(market.world.ending(party, &deal), "success");
    }
    market.ends_with("bob", ["12.00 EUR", "40.00 USD"]);
    market.proven(&deal, "opened", "PAYMENT WITH RECEIPT, WITHOUT AN ARBITER");
}

// Alice stays away when Bob's dollars are locked: he gives up and tells her, and must wait for his date. She, who comes back, locks nothing.
#[test]
fn a_silent_asker_without_an_arbiter_gets_nothing() {
    let mut market = Market::new(PAYEE);
    let args = ["exchange", "10.00 EUR", "--for", "11.00 USD", "--with", "bob", "--no-arbiter", "--patience", "30"];
    let deal = market.begin(&args);
    let question = market.world.asked("bob");
    market.down("alice");
    market.signs(&question);
    market.world.wait("bob", &deal, "a wait for the date", |view| view["state"] == "await-refund");
    market.ends_with("bob", ["0.00 EUR", "29.00 USD"]);
    let listed = market.world.run("bob", &["deals", "list"]).good();
    assert!(listed.contains("not done; your money comes back after"), "{listed}");
    market.up("alice");
    assert_eq!(market.world.ending("alice", &deal), "lapsed");
    market.ends_with("alice", ["40.00 EUR", "0.00 USD"]);
    market.proven(&deal, "open", "Nobody decides");
}

// A bank decides by its arbiter and cannot lock money to a hash. Who wants no arbiter cannot name one, and pays with a receipt or not at all.
#[test]
fn what_no_hash_can_lock_is_refused() {
    let mut market = Market::with(PAYEE, 30);
    market.open_bank();
    let world = &market.world;
    let without = |amount| ["pay", "bob", amount, "--receipt", "--no-arbiter"];
    world.run("alice", &without("1.00 CHF")).failed_with(&["only e-cash has", "take an arbiter"]);
    world.run("alice", &without("40.01 EUR")).failed_with(&["no purse for this that holds 40.01 EUR"]);
    world.run("alice", &["pay", "bob", "1.00 EUR", "--no-arbiter"]).failed_with(&["--receipt"]);
    let both = [&without("1.00 EUR")[..], &["--arbiter", "arbiter"]].concat();
    world.run("alice", &both).failed_with(&["cannot be used with"]);
    // Her account, which she likes best, is passed over.
    let deal = market.begin(&without("1.00 EUR"));
    market.both_sign();
    for party in ["alice", "bob"] {
        assert_eq!(world.ending(party, &deal), "success");
    }
    market.proven(&deal, "opened", "by ecash");
}

// What cannot be exchanged is refused with its reason, before any money is locked.
#[test]
fn what_the_other_party_cannot_take_is_refused() {
    let market = Market::new(PAYEE);
    let world = &market.world;
    world.run("alice", &["pay", "bob", "0.00 EUR", "--receipt"]).failed_with(&["amounts are above zero"]);
    world.run("alice", &["pay", "bob", "1.00 CHF", "--receipt"]).failed_with(&["there is no purse in CHF"]);
    world
        .run("alice", &["pay", "bob", "40.01 EUR", "--receipt"])
        .failed_with(&["no purse for this that holds 40.01 EUR"]);
    world.run("bob", &["contact", "remove", "arbiter"]).good();
    let deal = market.begin(&["pay", "bob", "12.00 EUR", "--receipt"]);
    assert_eq!(world.ending("alice", &deal), "lapsed");
    let said = world.deal("alice", &deal)["remark"].as_str().unwrap().to_owned();
    assert!(said.contains("none of the arbiters is accepted"), "{said}");
    market.ends_with("alice", ["40.00 EUR", "0.00 USD"]);
}
