//! Files sold to strangers by real processes. What could go wrong: a seller is asked for each sale, a buyer pays and has nothing, goods
//! are saved that are not what was promised.

use std::io::ErrorKind;
use std::net::TcpListener;

use crate::market::Market;
use crate::world::{World, deal_in, until};

#[test]
fn a_file_is_sold_to_a_stranger() {
    let market = Market::new("40.00 EUR");
    let world = &market.world;
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let file = world.file("data.bin", &bytes);
    let bought = world.path("bought.bin");
    let deal = market.buy(&market.sell(&file), &bought.display().to_string());
    let ending = world.ending("alice", &deal);
    assert_eq!(ending, "success");
    assert_eq!(std::fs::read(&bought).unwrap(), bytes);
    assert_eq!(world.ending("bob", &deal), "success");
    assert_eq!(market.coins("alice"), "28.00 EUR");
    assert!(until(|| (market.coins("bob") == "12.00 EUR").then_some(())).is_some());
    for party in ["alice", "bob"] {
        assert!(has_paid(world, party, &deal), "{party}");
        let report = world.report(&world.export(party, &deal));
        assert_eq!(report["sound"], true, "{party}: {report:#}");
        // Whoever sells to strangers does not fill its contact book with them.
        let contacts = world.run(party, &["contact", "list"]).good();
        assert!(contacts.contains("arbiter") && !contacts.contains("alice") && !contacts.contains("bob"), "{contacts}");
    }
}

// An arbiter that honest people never meet costs nothing and learns nothing. Who listens in its place hears no connection.
#[test]
fn an_arbiter_hears_nothing_of_an_honest_purchase() {
    let mut market = Market::new("40.00 EUR");
    drop(market.running.remove(1));
    let place = TcpListener::bind(market.world.listen("arbiter")).unwrap();
    place.set_nonblocking(true).unwrap();
    let file = market.world.file("data.bin", vec![3; 20_000]);
    let link = market.sell(&file);
    for round in ["once", "twice"] {
        let deal = market.buy(&link, &market.world.path(round).display().to_string());
        for party in ["alice", "bob"] {
            assert_eq!(market.world.ending(party, &deal), "success");
        }
    }
    let heard = place.accept().map(|(_, from)| from);
    assert_eq!(heard.unwrap_err().kind(), ErrorKind::WouldBlock, "somebody has connected to the arbiter");
}

// Money in an account is locked by a hold that the bank keeps for the arbiter's ruling. The buyer approves the contract, nothing more.
#[test]
fn a_file_is_sold_for_money_in_an_account() {
    let mut market = Market::new("40.00 EUR");
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
    // The bank's word, which the seller keeps, proves that the buyer has paid; what the buyer has is the seller's.
    for party in ["alice", "bob"] {
        assert!(has_paid(world, party, &deal), "{party}");
    }
}

/// Whether a party's folder proves that the buyer has paid. The seller's quittance comes when the purchase has ended for the buyer.
fn has_paid(world: &World, party: &str, deal: &str) -> bool {
    let proven =
        |(question, outcome): &(String, String)| question == "did the buyer pay 12.00 EUR?" && outcome == "proven";
    until(|| world.answers(&[&world.export(party, deal)]).iter().any(proven).then_some(())).is_some()
}

// The seller's machine goes down when it has promised. The buyer gets what it pays for from the arbiter, and the seller its money later.
#[test]
fn a_silent_seller_does_not_keep_the_goods() {
    let mut market = Market::new("40.00 EUR");
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
    let approval = world.asked("alice");
    drop(market.running.pop());
    let world = &market.world;
    world.says_yes("alice", &approval).good();
    assert_eq!(world.ending("alice", &deal), "success");
    assert_eq!(std::fs::read(&bought).unwrap(), bytes);
    assert_eq!(market.coins("alice"), "28.00 EUR");
    market.running.push(market.world.up("bob"));
    let world = &market.world;
    let told = until(|| {
        let shown = world.run("bob", &["deals", "show", &deal]).good();
        shown.contains("your money comes when the time for complaints is over").then_some(())
    });
    assert!(told.is_some(), "the seller was never told when its money comes");
    assert_eq!(world.ending("bob", &deal), "success");
    assert_eq!(market.coins("bob"), "12.00 EUR");
    for party in ["alice", "bob"] {
        let report = world.report(&world.export(party, &deal));
        assert_eq!(report["sound"], true, "{party}: {report:#}");
        assert_eq!(report["contracts"][0]["standing"], "resolved", "{party}: {report:#}");
    }
}

// A link is all that a stranger needs, so it must be possible to take it back; and whoever sells wants to see what happens.
#[test]
fn an_offer_is_withdrawn_and_renewed() {
    let market = Market::new("40.00 EUR");
    let world = &market.world;
    let file = world.file("data.bin", b"what was measured");
    let link = market.sell(&file);
    let id = link.rsplit('/').next().unwrap();
    let listed = world.run("bob", &["offers", "list"]).good();
    assert!(listed.contains(&link) && listed.contains("12.00 EUR") && listed.contains("data.bin"), "{listed}");
    world.run("bob", &["offers", "withdraw", &id[..8]]).good();
    let to = world.path("bought.bin").display().to_string();
    world.run("alice", &["buy", &link, "--save-as", &to, "--no-ask"]).failed_with(&["there is no such offer"]);
    assert_eq!(world.json("bob", &["offers", "list", "--json"])[0]["stands"], false);
    world.run("bob", &["offers", "withdraw", "ffff"]).failed_with(&["there is no offer that begins with \"ffff\""]);
    world.run("bob", &["offers", "renew", &id[..8]]).good();
    let shown = world.run("bob", &["offers", "show", &id[..8]]).good();
    assert!(shown.contains(&link) && shown.contains('█'), "{shown}");
    let mut watching = world.watch("bob");
    let deal = market.buy(&link, &to);
    let line = watching.line_with("waits for");
    assert!(line.contains(&deal[..12]), "{line}");
    let line = watching.line_with("done");
    assert!(line.contains(&deal[..12]), "{line}");
    assert_eq!(world.ending("alice", &deal), "success");
}

/// Sells without an arbiter, and has Alice ask for it; the deal, and the question whether she signs.
fn ordered_without_arbiter(market: &Market, file: &str, to: &str) -> (String, String) {
    let world = &market.world;
    let pace = ["--no-arbiter", "--valid-for", "900", "--delta", "1", "--sigma", "1"];
    let sold =
        world.json("bob", &[["sell", file, "--price", "12.00 EUR", "--json", "--no-ask"].as_slice(), &pace].concat());
    let link = sold["link"].as_str().unwrap();
    world.run("alice", &["buy", link, "--save-as", to, "--no-ask"]).failed_with(&["has no arbiter", "--no-arbiter"]);
    let args = ["buy", link, "--save-as", to, "--no-arbiter", "--no-ask", "--no-wait", "--patience", "5"];
    let deal = deal_in(&world.run("alice", &args).good());
    (deal, world.asked("alice"))
}

// Nobody but the mint is asked. What both then hold decides who is bound to what.
#[test]
fn a_file_is_sold_without_an_arbiter() {
    let market = Market::new("40.00 EUR");
    let world = &market.world;
    let bytes: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    let (file, bought) = (world.file("data.bin", &bytes), world.path("bought.bin"));
    // A policy allows Alice to sign contracts unasked. One that nobody decides about is put to her all the same.
    let (deal, approval) = ordered_without_arbiter(&market, &file, &bought.display().to_string());
    let text = world.run("alice", &["approvals", "--json"]).good();
    assert!(text.contains("PURCHASE WITHOUT AN ARBITER"), "{text}");
    world.says_yes("alice", &approval).good();
    for party in ["alice", "bob"] {
        assert_eq!(world.ending(party, &deal), "success");
    }
    assert_eq!(std::fs::read(&bought).unwrap(), bytes);
    assert_eq!((market.coins("alice"), market.coins("bob")), ("28.00 EUR".to_owned(), "12.00 EUR".to_owned()));
    let [alice, bob] = ["alice", "bob"].map(|party| world.export(party, &deal));
    for folder in [&alice, &bob] {
        let report = world.report(folder);
        let contract = &report["contracts"][0];
        assert_eq!((&report["sound"], &contract["standing"]), (&true.into(), &"opened".into()), "{report:#}");
        assert_eq!(contract["arbiter"], serde_json::Value::Null);
    }
    // The preimage speaks against the seller, who alone knew it, and never for it: of coins nobody can show who has taken them.
    let answers = world.answers(&[&alice, &bob]);
    let expected = [
        ("does the contract bind the seller?", "proven"),
        ("did the seller deliver?", "undecided"),
        ("did the buyer get it?", "undecided"),
        ("was it what was promised?", "undecided"),
        ("did the buyer pay 12.00 EUR?", "proven"),
    ];
    assert_eq!(answers, expected.map(|(question, outcome)| (question.to_owned(), outcome.to_owned())));
}

// The seller's machine is down when the buyer's money is locked. The buyer asks the mint whether the seller has taken it, in vain, and waits; the
// seller comes back and takes it.
#[test]
fn a_seller_who_was_away_takes_the_money_in_time() {
    let mut market = Market::new("40.00 EUR");
    let (file, bought) = (market.world.file("data.bin", b"what was measured"), market.world.path("bought.bin"));
    let (deal, approval) = ordered_without_arbiter(&market, &file, &bought.display().to_string());
    drop(market.running.pop());
    let world = &market.world;
    world.says_yes("alice", &approval).good();
    let asked_the_mint = until(|| {
        let history = world.json("alice", &["wallet", "history", "--json"]);
        let asked = |done: &serde_json::Value| done["verb"] == "learn" && done["ended"] == true;
        history.as_array().unwrap().iter().any(asked).then_some(())
    });
    assert!(asked_the_mint.is_some());
    world.wait("alice", &deal, "goes on waiting", |view| view["state"] == "await-preimage");
    let shown = world.run("alice", &["deals", "show", &deal]).good();
    assert!(shown.contains("your money comes back after"), "{shown}");
    assert!(!bought.exists());
    market.running.push(market.world.up("bob"));
    let world = &market.world;
    for party in ["alice", "bob"] {
        assert_eq!(world.ending(party, &deal), "success");
    }
    assert_eq!(std::fs::read(&bought).unwrap(), b"what was measured");
    assert_eq!((market.coins("alice"), market.coins("bob")), ("28.00 EUR".to_owned(), "12.00 EUR".to_owned()));
}

// The seller's machine does not come back in time. Nobody decides anything: after its date the money is the buyer's again, also if her node was killed meanwhile, and the seller
// that comes too late takes nothing.
#[test]
fn a_seller_who_comes_too_late_without_an_arbiter_has_sold_nothing() {
    let mut market = Market::new("40.00 EUR");
    let (file, bought) = (market.world.file("data.bin", b"what was measured"), market.world.path("bought.bin"));
    let (deal, approval) = ordered_without_arbiter(&market, &file, &bought.display().to_string());
    drop(market.running.pop());
    market.world.says_yes("alice", &approval).good();
    market.world.wait("alice", &deal, "waits for the preimage", |view| view["state"] == "await-preimage");
    drop((market.running.pop(), market.running.remove(0)));
    // The date has passed when the others come back.
    market.world.go_ahead("+3h");
    market.running.insert(0, market.world.serve("mint"));
    market.running.push(market.world.up("alice"));
    let world = &market.world;
    assert_eq!(world.ending("alice", &deal), "refunded");
    assert_eq!(market.coins("alice"), "40.00 EUR");
    assert!(!bought.exists());
    market.running.push(market.world.up("bob"));
    let world = &market.world;
    assert_eq!(world.ending("bob", &deal), "lapsed");
    assert_eq!((market.coins("alice"), market.coins("bob")), ("40.00 EUR".to_owned(), "0.00 EUR".to_owned()));
    let folder = world.export("alice", &deal);
    let report = world.report(&folder);
    assert_eq!((&report["sound"], &report["contracts"][0]["standing"]), (&true.into(), &"open".into()), "{report:#}");
    assert!(
        world.answers(&[&folder]).contains(&("does the contract bind the seller?".to_owned(), "undecided".to_owned()))
    );
}
