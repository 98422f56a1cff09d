//! Rights that are sold for money, between real processes: a seller, a buyer, an issuer, a bank and an arbiter.
//!
//! What could go wrong: the buyer has paid and has no right, or one that can still be called back; the seller has lost its right and has no money; somebody has
//! both, or uses or passes on what it has not paid for; a crash leaves the right in nobody's hands, or in two.

use serde_json::Value;

use crate::credential::{issue, standing};
use crate::world::{Process, World, deal_in, until};

const RIGHT: &str = "one visit to the archive";
/// Unless a test waits for the end of the contract's time: an hour.
const LONG: [&str; 6] = ["--valid-for", "3600", "--delta", "2", "--sigma", "1"];
/// It can be paid for 36 seconds, and the money be taken for 39; after 48 the right is called back.
const SHORT: [&str; 6] = ["--valid-for", "45", "--delta", "2", "--sigma", "1"];

/// Bob sells a right to Alice; they do not know each other. Both know the issuer, accept the arbiter and have an account at the bank. Alice has 30 euros in hers.
struct Sale {
    world: World,
    running: Vec<(&'static str, Process)>,
}

impl Sale {
    fn new() -> Self {
        let world = World::new();
        for role in ["issuer", "arbiter", "bank"] {
            world.init(role, &["--role", role]);
        }
        world.configure("bank", |config| {
            config["bank"].as_table_mut().unwrap().insert("anyone".to_owned(), true.into());
        });
        let mut sale = Self { world, running: Vec::new() };
        for role in ["issuer", "arbiter", "bank"] {
            sale.start(role);
        }
        for party in ["alice", "bob"] {
            let world = &sale.world;
            world.init(party, &[]);
            world.configure(party, |config| {
                config.insert("patience".to_owned(), 30.into());
                config.insert("retry_max".to_owned(), 1.into());
            });
            let rules = "[[allow]]\nwhat = \"offer\"\n\n[[allow]]\nwhat = \"contract\"\n";
            std::fs::write(world.path(party).join("policy.toml"), rules).unwrap();
            world.run(party, &["contact", "add", &world.card("arbiter"), "--arbiter"]).good();
            world.run(party, &["contact", "add", &world.card("issuer")]).good();
            sale.start(party);
            sale.world.run(party, &["wallet", "add", &sale.world.url("bank"), "--system", "account"]).good();
        }
        let address = sale.purse("alice")["address"].as_str().unwrap().to_owned();
        let number = address.strip_prefix("account:").unwrap().split('@').next().unwrap();
        sale.world.run("bank", &["bank", "credit", number, "30.00 EUR"]).good();
        sale
    }

    fn start(&mut self, who: &'static str) {
        let role = ["issuer", "arbiter", "bank"].contains(&who);
        let process = if role { self.world.serve(who) } else { self.world.up(who) };
        self.running.push((who, process));
    }

    /// As by kill -9.
    fn kill(&mut self, who: &str) {
        self.running.retain(|(name, _)| *name != who);
    }

    fn purse(&self, party: &str) -> Value {
        self.world.json(party, &["wallet", "balance", "--refresh", "--json"])[0].clone()
    }

    #[track_caller]
    fn has(&self, party: &str, money: &str) {
        let found = until(|| (self.purse(party)["available"] == money).then_some(()));
        assert!(found.is_some(), "{party} has {}", self.purse(party)["available"]);
    }

    /// Gives Bob a credential; its serial number.
    fn grant(&self, more: &[&str]) -> String {
        let file = issue(&self.world, "bob", RIGHT, more);
        let added = self.world.run("bob", &["credential", "add", &file]).good();
        std::fs::remove_file(file).unwrap();
        added.lines().find_map(|line| line.trim().strip_prefix("serial number  ")).unwrap().to_owned()
    }

    /// A party offers a right; the link.
    fn offer(&self, party: &str, serial: &str, pace: &[&str]) -> String {
        let args = ["credential", "sell", serial, "--price", "12.00 EUR", "--json", "--no-ask"];
        let offered = self.world.json(party, &[args.as_slice(), pace].concat());
        assert!(offered["approval"].is_null(), "{offered}");
        offered["link"].as_str().unwrap().to_owned()
    }

    fn order(&self, party: &str, link: &str, patience: &str) -> String {
        let args = ["buy", link, "--no-ask", "--no-wait", "--patience", patience];
        deal_in(&self.world.run(party, &args).good())
    }

    /// A party signs what it is asked; what it was shown.
    fn signs(&self, party: &str) -> String {
        let approval = self.world.asked(party);
        self.world.says_yes(party, &approval).good()
    }

    fn state(&self, party: &str, deal: &str, state: &str) {
        self.world.wait(party, deal, state, |view| view["state"] == state);
    }

    /// The only credential of a party in this state; waits for it.
    #[track_caller]
    fn holds(&self, party: &str, state: &str) -> Value {
        let mut last = Value::Null;
        let found = until(|| {
            last = self.world.json(party, &["credential", "list", "--json"]);
            let mut fitting = last.as_array().unwrap().iter().filter(|view| view["state"] == state);
            fitting.next().filter(|_| fitting.next().is_none()).cloned()
        });
        found.unwrap_or_else(|| panic!("{party} holds none that is {state}: {last:#}"))
    }

    /// The issuer says so of a credential; waits for it.
    #[track_caller]
    fn stands(&self, serial: &Value, good: impl Fn(&Value) -> bool) {
        let serial = serial.as_str().unwrap();
        let found = until(|| good(&standing(&self.world, serial)).then_some(()));
        assert!(found.is_some(), "the issuer says {:#}", standing(&self.world, serial));
    }

    /// A stranger finds the folder sound, the contract in this standing, and that the right was passed on and, if so, called back.
    #[track_caller]
    fn proven(&self, party: &str, deal: &str, standing: &str, called_back: bool) {
        let out = self.world.export(party, deal);
        let report = self.world.report(&out);
        assert_eq!(report["sound"], true, "{party}: {report:#}");
        let contract = &report["contracts"][0];
        assert_eq!(contract["standing"], standing, "{party}: {report:#}");
        let passed = &contract["passed"];
        assert_eq!((&passed["right"], &passed["credential"]), (&RIGHT.into(), &true.into()), "{party}: {report:#}");
        assert_eq!(
            (&passed["passed"], &passed["called_back"]),
            (&true.into(), &called_back.into()),
            "{party}: {report:#}"
        );
        std::fs::remove_file(out).unwrap();
    }

    #[track_caller]
    fn judged(&self, party: &str, deal: &str, claim: &str, proven: bool) {
        let out = self.world.export(party, deal);
        let judged = self.world.run("nobody", &["judge", &out.display().to_string(), "--claim", claim]);
        assert_eq!(judged.code, Some(i32::from(!proven)), "{party}: {}", judged.text);
        std::fs::remove_file(out).unwrap();
    }

    /// The sale has succeeded for both: Alice has a right that nobody calls back, Bob the money.
    #[track_caller]
    fn is_done(&self, deal: &str) -> Value {
        for party in ["alice", "bob"] {
            assert_eq!(self.world.ending(party, deal), "success", "{party}");
        }
        self.has("alice", "18.00 EUR");
        self.has("bob", "12.00 EUR");
        let held = self.world.json("bob", &["credential", "list", "--json"]);
        assert!(held.as_array().unwrap().iter().all(|held| held["state"] == "passed-on"), "{held:#}");
        let bought = self.holds("alice", "valid");
        assert_eq!(bought["right"], RIGHT);
        self.stands(&bought["serial"], |says| says["state"] == "valid" && says["callable_until"].is_null());
        bought
    }
}

#[test]
fn a_right_is_sold_and_sold_on() {
    let sale = Sale::new();
    let world = &sale.world;
    let serial = sale.grant(&["--uses", "3"]);
    let link = sale.offer("bob", &serial[..8], &LONG);
    let listed = world.run("bob", &["offers", "list"]).good();
    assert!(listed.contains(RIGHT) && listed.contains("12.00 EUR") && listed.contains("a right"), "{listed}");
    let deal = sale.order("alice", &link, "60");
    // Her policy covers contracts, but nothing covers what is paid and can be lost.
    let shown = sale.signs("alice");
    for part in ["SALE OF A RIGHT", RIGHT, "at least 3 times", "12.00 EUR by account", "called back", &serial] {
        assert!(shown.contains(part), "{part:?} is not in: {shown}");
    }
    let bought = sale.is_done(&deal);
    assert_eq!((&bought["uses"], &bought["callable_until"]), (&3.into(), &Value::Null));
    for (party, words) in [("alice", "bought: the right is yours"), ("bob", "sold: you have the money")] {
        let said = world.run(party, &["deals", "show", &deal]).good();
        assert!(said.contains(words) && said.contains(RIGHT), "{said}");
        sale.proven(party, &deal, "complete", false);
        sale.judged(party, &deal, "agreed(originator)", true);
        sale.judged(party, &deal, "paid(responder, >= 12.00 EUR)", true);
        sale.judged(party, &deal, "paid(responder, >= 12.01 EUR)", false);
    }
    // It is sold once.
    world.run("alice", &["buy", &link, "--no-ask"]).failed_with(&["no such offer"]);
    world
        .run("bob", &["credential", "sell", &serial, "--price", "1.00 EUR"])
        .failed_with(&["passed on, or called back"]);
    // What Alice has bought is hers to sell: to Bob, who bought nothing yet.
    let link = sale.offer("alice", bought["serial"].as_str().unwrap(), &LONG);
    let deal = sale.order("bob", &link, "60");
    sale.signs("bob");
    for party in ["alice", "bob"] {
        assert_eq!(world.ending(party, &deal), "success", "{party}");
    }
    sale.has("alice", "30.00 EUR");
    assert_eq!(sale.holds("bob", "valid")["uses"], 3);
    assert_eq!(sale.holds("alice", "passed-on")["serial"], bought["serial"]);
}

// Alice is killed when Bob has the right passed on to her, and pays nothing. The arbiter has it called back, and Bob can use and sell it again.
#[test]
fn a_buyer_that_is_silent_has_no_right() {
    let mut sale = Sale::new();
    let serial = sale.grant(&["--uses", "2"]);
    let deal = sale.order("alice", &sale.offer("bob", &serial, &SHORT), "60");
    sale.world.asked("alice");
    sale.kill("issuer");
    sale.signs("alice");
    // Both have promised, and the issuer does not answer.
    sale.state("bob", &deal, "releasing");
    let waits = sale.world.run("bob", &["deals", "list"]).good();
    assert!(waits.contains("waits for the issuer of the right"), "{waits}");
    sale.kill("alice");
    sale.start("issuer");
    sale.state("bob", &deal, "await-peer-final");
    sale.holds("bob", "passed-on");
    let waits = sale.world.run("bob", &["deals", "list"]).good();
    assert!(waits.contains("if no money comes, the right is called back after"), "{waits}");
    assert_eq!(sale.world.ending("bob", &deal), "recalled");
    let back = sale.holds("bob", "valid");
    assert_ne!(back["serial"], serial.as_str());
    assert_eq!((&back["uses"], &back["callable_until"]), (&2.into(), &Value::Null));
    sale.stands(&back["serial"], |says| says["state"] == "valid" && says["left"] == 2);
    sale.proven("bob", &deal, "revoked", true);
    sale.judged("bob", &deal, "not(agreed(responder))", true);
    sale.judged("bob", &deal, "paid(responder)", false);
    // She comes back. Whether she still hears of the right or not, it is too late to pay for it, and it is not hers.
    sale.start("alice");
    assert_eq!(sale.world.ending("alice", &deal), "lapsed");
    let hers = sale.world.json("alice", &["credential", "list", "--json"]);
    assert!(hers.as_array().unwrap().iter().all(|held| held["state"] == "called-back"), "{hers}");
    sale.has("alice", "30.00 EUR");
    // Bob's right is as good as before.
    let again = sale.order("alice", &sale.offer("bob", back["serial"].as_str().unwrap(), &LONG), "60");
    sale.signs("alice");
    sale.is_done(&again);
}

// The bank is away until it is too late to take the money. Meanwhile Alice has the right and can do nothing with it; in the end her money is hers, and the right is Bob's.
#[test]
fn a_right_that_can_be_called_back_is_not_sold_passed_on_or_shown() {
    let mut sale = Sale::new();
    let serial = sale.grant(&["--uses", "2"]);
    let begun = std::time::Instant::now();
    let deal = sale.order("alice", &sale.offer("bob", &serial, &SHORT), "60");
    sale.world.asked("alice");
    sale.kill("bank");
    sale.signs("alice");
    sale.state("bob", &deal, "taking");
    let hers = sale.holds("alice", "callable");
    assert!(hers["callable_until"].is_u64(), "{hers}");
    let (world, her_serial) = (&sale.world, hers["serial"].as_str().unwrap());
    let shown = world.run("alice", &["credential", "show", her_serial]).good();
    assert!(shown.contains("called back") && shown.contains("cannot be passed on"), "{shown}");
    // A purse of hers must not be what refuses it.
    let sell = ["credential", "sell", her_serial, "--price", "1.00 EUR", "--no-ask"];
    world.run("alice", &sell).failed_with(&["cannot be passed on now", "can be called back"]);
    world.run("alice", &["contact", "add", &world.card("bob")]).good();
    let pass = ["credential", "transfer", her_serial, "--to", "bob"];
    world.type_in("alice", &pass, "sign\n").failed_with(&["come again after that"]);
    let map = world.file("map.txt", "under the third tree");
    let give = ["sell", &map, "--for-credential", RIGHT, "--issuer", "issuer", "--json", "--no-ask"];
    let link = world.json("bob", &give)["link"].as_str().unwrap().to_owned();
    let show = ["buy", &link, "--save-as", "map.got", "--no-ask"];
    world.run("alice", &show).failed_with(&["can still be called back"]);
    sale.kill("alice");
    sale.kill("bob");
    // The money can be taken until 6 seconds before the contract closes.
    std::thread::sleep(std::time::Duration::from_secs(42).saturating_sub(begun.elapsed()));
    sale.start("bank");
    sale.start("bob");
    sale.start("alice");
    assert_eq!(sale.world.ending("bob", &deal), "recalled");
    assert_eq!(sale.world.ending("alice", &deal), "refunded");
    sale.has("alice", "30.00 EUR");
    sale.has("bob", "0.00 EUR");
    assert_eq!(sale.holds("alice", "called-back")["serial"], hers["serial"]);
    assert_eq!(sale.holds("bob", "valid")["uses"], 2);
    sale.proven("bob", &deal, "revoked", true);
    sale.world.type_in("alice", &pass, "sign\n").failed_with(&["was not paid for"]);
}

// Bob has the money and is silent. The bank proves to the arbiter that he was paid, and nobody calls the right back any more.
#[test]
fn a_seller_that_is_silent_has_sold_its_right() {
    let mut sale = Sale::new();
    let serial = sale.grant(&[]);
    let deal = sale.order("alice", &sale.offer("bob", &serial, &LONG), "8");
    sale.world.asked("alice");
    sale.kill("bank");
    sale.signs("alice");
    // Her order to pay is out, and his node waits for the bank.
    sale.state("bob", &deal, "taking");
    sale.kill("alice");
    sale.start("bank");
    assert_eq!(sale.world.ending("bob", &deal), "success");
    sale.kill("bob");
    sale.start("alice");
    assert_eq!(sale.world.ending("alice", &deal), "success");
    let bought = sale.holds("alice", "valid");
    assert!(bought["uses"].is_null(), "{bought}");
    sale.stands(&bought["serial"], |says| says["callable_until"].is_null());
    sale.proven("alice", &deal, "complete", false);
    sale.judged("alice", &deal, "paid(responder, >= 12.00 EUR)", true);
    sale.start("bob");
    sale.is_done(&deal);
}

// Everybody is killed once in the middle, and the issuer is away when the right is to be passed on. Both end with what they wanted.
#[test]
fn crashes_of_everybody_lose_nothing() {
    let mut sale = Sale::new();
    let serial = sale.grant(&["--uses", "1"]);
    let deal = sale.order("alice", &sale.offer("bob", &serial, &LONG), "120");
    sale.world.asked("alice");
    sale.kill("issuer");
    sale.signs("alice");
    // Both have promised. Bob's request to the issuer is stored.
    sale.state("bob", &deal, "releasing");
    sale.kill("bob");
    sale.kill("alice");
    sale.kill("bank");
    sale.start("issuer");
    sale.start("bob");
    sale.state("bob", &deal, "await-peer-final");
    sale.holds("bob", "passed-on");
    sale.kill("issuer");
    sale.start("alice");
    // She has the right and has paid; the bank does not answer him.
    sale.state("bob", &deal, "taking");
    sale.state("alice", &deal, "await-quittance");
    sale.kill("alice");
    sale.kill("bob");
    sale.kill("arbiter");
    sale.start("bank");
    sale.start("bob");
    assert_eq!(sale.world.ending("bob", &deal), "success");
    sale.start("alice");
    assert_eq!(sale.world.ending("alice", &deal), "success");
    // That the sale has ended the issuer hears when it is back, even after another crash of hers.
    sale.kill("alice");
    sale.start("issuer");
    sale.start("alice");
    sale.is_done(&deal);
    sale.start("arbiter");
    for party in ["alice", "bob"] {
        sale.proven(party, &deal, "complete", false);
    }
}

// Bob passes the right on to somebody else when Alice has ordered. He gets no money for it.
#[test]
fn a_right_that_is_gone_is_not_paid() {
    let sale = Sale::new();
    let (world, serial) = (&sale.world, sale.grant(&["--uses", "2"]));
    let link = sale.offer("bob", &serial, &LONG);
    let deal = sale.order("alice", &link, "30");
    let approval = world.asked("alice");
    let pass = ["credential", "transfer", &serial, "--to", "issuer", "--out", "gone.semper-credential"];
    world.type_in("bob", &pass, "sign\n").good();
    world.says_yes("alice", &approval).good();
    for party in ["alice", "bob"] {
        assert_eq!(world.ending(party, &deal), "lapsed", "{party}");
    }
    sale.has("alice", "30.00 EUR");
    assert_eq!(world.json("alice", &["credential", "list", "--json"]).as_array().unwrap().len(), 0);
    // Nobody who looks at the offer now is kept waiting.
    world.run("alice", &["buy", &link, "--no-ask"]).failed_with(&["no such offer"]);
}

// What the issuer does not say is not bought, nor what somebody says whom the buyer does not know.
#[test]
fn a_right_is_judged_before_it_is_ordered() {
    let sale = Sale::new();
    let (world, serial) = (&sale.world, sale.grant(&["--uses", "2", "--not-transferable"]));
    let sell = ["credential", "sell", &serial, "--price", "12.00 EUR", "--no-ask"];
    world.run("bob", &sell).failed_with(&["cannot be passed on"]);
    let serial = sale.grant(&["--uses", "2"]);
    let sell = |price| ["credential", "sell", &serial, "--price", price, "--no-ask"];
    world.run("bob", &sell("12.00 USD")).failed_with(&["no purse for USD", "bank account"]);
    let link = sale.offer("bob", &serial, &LONG);
    world.run("alice", &["buy", &link, "--save-as", "x", "--no-ask"]).failed_with(&["a right is no file"]);
    world.run("alice", &["contact", "remove", "issuer"]).good();
    world.run("alice", &["buy", &link, "--no-ask"]).failed_with(&["is not in your contact book", "no money moved"]);
    // A right of one issuer is not passed off as that of another one.
    world.run("alice", &["contact", "add", &world.card("issuer"), "--name", "tramway"]).good();
    world.run("alice", &["buy", &link, "--no-ask"]).failed_with(&["calls the issuer", "--issuer \"tramway\""]);
    world.run("alice", &["buy", &link, "--issuer", "issuer", "--no-ask"]).failed_with(&["--issuer \"tramway\""]);
    let deal = deal_in(&world.run("alice", &["buy", &link, "--issuer", "tramway", "--no-ask", "--no-wait"]).good());
    sale.signs("alice");
    assert_eq!(world.ending("alice", &deal), "success");
    assert_eq!(sale.holds("alice", "valid")["issuer"], "tramway");
}
