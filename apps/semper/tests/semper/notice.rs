//! Withdrawing from a contract, disputes and their answers, with real processes. What could go wrong: a declaration is lost or said twice, one of
//! somebody else counts, the receipt says what nobody signed, or a deal without a contract takes one.

use data_encoding::BASE64;
use semper_core::cbor::Encode as _;
use semper_core::ids::{Cid, DealId, KeySetId, Slot};
use semper_core::time::Time;
use semper_exchange::notice::{MEDIA_TYPE, Notice, Saying};
use serde_json::{Value, json};
use thirtyfour::Key;
use tokio::runtime::Runtime;

use crate::browser::Browser;
use crate::desk::{fetch, link, origin};
use crate::market::Market;
use crate::window;
use crate::world::{Process, Ran, World, deal_in, until};

/// Alice and Bob, who have signed a contract; its deal.
fn signed() -> (World, [Process; 2], String) {
    let world = World::of_two();
    let running = [world.up("alice"), world.up("bob")];
    let deal = world.propose(&[]);
    for party in ["alice", "bob"] {
        assert_eq!(world.ending(party, &deal), "success");
    }
    (world, running, deal)
}

/// A party says something about a deal, and signs that.
fn says(world: &World, party: &str, what: &str, deal: &str, more: &[&str]) -> Ran {
    let args: Vec<&str> = ["deals", what, deal].iter().chain(more).copied().collect();
    world.type_in(party, &args, "sign\n")
}

fn notices(world: &World, party: &str, deal: &str) -> Vec<Value> {
    world.deal(party, deal)["notices"].as_array().cloned().unwrap_or_default()
}

/// Waits until the only notice about a deal is as a party wants it.
#[track_caller]
fn stands(world: &World, party: &str, deal: &str, state: &str) -> Value {
    let view = world.wait(party, deal, state, |view| view["notices"][0]["state"] == state);
    assert_eq!(view["notices"].as_array().unwrap().len(), 1, "{view:#}");
    view["notices"][0].clone()
}

#[test]
fn a_withdrawal_is_received_with_date_and_time() {
    let (world, _running, deal) = signed();
    let said = says(&world, "alice", "withdraw", &deal, &["--words", "I have changed my mind", "--channel", "by post"]);
    let said = said.good();
    for part in [
        "I withdraw from the contract: offer.txt",
        "you have signed this contract",
        "Whether it ends the contract, the law says",
        "You withdrew from the contract, on 2",
        "bob's inbox confirms the receipt on 2",
        "semper deals export",
    ] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    // Bob's policy acknowledges what comes.
    let ours = stands(&world, "alice", &deal, "acknowledged");
    let theirs = stands(&world, "bob", &deal, "acknowledged");
    assert_eq!((&ours["ours"], &theirs["ours"]), (&json!(true), &json!(false)));
    assert!(ours["delivered"].is_u64() && theirs["delivered"].is_null(), "{ours:#} {theirs:#}");
    for notice in [&ours, &theirs] {
        assert_eq!((&notice["words"], &notice["name"]), (&json!("I have changed my mind"), &json!("alice")));
        assert_eq!((&notice["saying"], &notice["channel"]), (&json!("withdrawal"), &json!("by post")));
    }
    // Both sides say so, on the list and with the deal; and the deal by which it went says what it is.
    let list = world.run("bob", &["deals", "list"]).good();
    for part in ["alice has withdrawn, on 2", "withdrawal from offer.txt"] {
        assert!(list.contains(part), "{part:?} is not in: {list}");
    }
    assert!(world.run("alice", &["deals", "list"]).good().contains("you have withdrawn, received on 2"));
    let shown = world.run("bob", &["deals", "show", &deal]).good();
    assert!(shown.contains("alice withdrew from the contract, on 2"), "{shown}");
    assert!(shown.contains("words: I have changed my mind"), "{shown}");
    // The contract stands as it stood; said twice is not said again.
    assert_eq!(world.ending("alice", &deal), "success");
    says(&world, "alice", "withdraw", &deal, &[]).failed_with(&["withdrawn from this contract already, on 2"]);
    assert_eq!(notices(&world, "bob", &deal).len(), 1);
}

#[test]
fn what_is_no_contract_takes_no_notice() {
    let (world, _running, deal) = signed();
    let args = ["send", "-m", "hello", "--to", "bob", "--signed", "--no-ask", "--no-wait"];
    let mail = deal_in(&world.run("alice", &args).good());
    for what in ["withdraw", "dispute"] {
        says(&world, "alice", what, &mail, &["--words", "x"])
            .failed_with(&["no contract", "nothing was signed or sent"]);
    }
    says(&world, "alice", "withdraw", "ffff", &[]).failed_with(&["no deal that begins with"]);
    says(&world, "alice", "answer", &deal, &["--deny"]).failed_with(&["no dispute with you", "nothing was"]);
    says(&world, "alice", "answer", &deal, &[]).failed_with(&["--acknowledge, --deny or --no-contest"]);
    for (more, part) in [
        (&["--claim", "stole(originator)"][..], "is no claim"),
        (&["--words", "x", "--amount", "much"], "is no amount"),
        (&["--words", "x", "--answer-by", "2020-01-01"], "which is over"),
        (&["--words", "x", "--answer-by", "tomorrow"], "is no date"),
        (&[], "what is claimed, what is wanted, or why"),
    ] {
        says(&world, "alice", "dispute", &deal, more).failed_with(&[part]);
    }
    // Bob is asked about a contract and has not signed it.
    drop(_running);
    let (_alice, _bob) = (world.up("alice"), world.start("bob", &["up"]));
    let open = world.propose(&["--patience", "3600"]);
    world.asked("bob");
    says(&world, "bob", "withdraw", &open, &[]).failed_with(&["you have not signed this contract"]);
    // Alice has, and it may bind her yet; but once nobody is bound, there is nothing to withdraw from.
    world.run("alice", &["deals", "withdraw", &open, "--no-ask", "--no-wait"]).good();
    let asked = stands(&world, "alice", &open, "asks");
    assert!(notices(&world, "bob", &open).is_empty(), "it went out unsigned");
    // A question that its user refuses leaves nothing behind.
    world.type_in("alice", &["approve", &approval(&world, "alice", &asked)], "no\n");
    world.wait("alice", &open, "no notice", |view| view["notices"] == json!([]));
    assert!(notices(&world, "alice", &deal).is_empty());
}

/// The question about a notice.
fn approval(world: &World, party: &str, notice: &Value) -> String {
    let found = until(|| {
        let waiting = world.json(party, &["approvals", "--json"]);
        waiting.as_array().unwrap().iter().find(|approval| approval["deal"] == notice["carrier"]).cloned()
    });
    found.unwrap_or_else(|| panic!("{party} is not asked"))["id"].as_str().unwrap().to_owned()
}

// The other side is away, and both processes are killed at the worst moments: signed and not sent, received and not acknowledged.
#[test]
fn a_withdrawal_survives_the_death_of_both_nodes() {
    let (world, [alice, bob], deal) = signed();
    drop(bob);
    let said = says(&world, "alice", "withdraw", &deal, &[]);
    assert_eq!(said.code, Some(2), "{}", said.text);
    for part in ["bob's inbox has not taken it yet", "sends it again until it does"] {
        assert!(said.text.contains(part), "{part:?} is not in: {}", said.text);
    }
    drop(alice);
    // Bob takes it and is killed before his user has acknowledged it: he is asked by hand now.
    let alice = world.up("alice");
    stands(&world, "alice", &deal, "on-its-way");
    says(&world, "alice", "withdraw", &deal, &[]).failed_with(&["withdrawn from this contract already"]);
    let bob = world.start("bob", &["up"]);
    stands(&world, "alice", &deal, "delivered");
    let came = stands(&world, "bob", &deal, "asks");
    drop((alice, bob));
    let _running = (world.up("alice"), world.up("bob"));
    let (ours, theirs) = (stands(&world, "alice", &deal, "acknowledged"), stands(&world, "bob", &deal, "acknowledged"));
    assert_eq!((&theirs["carrier"], &ours["carrier"]), (&came["carrier"], &came["carrier"]));
    // One withdrawal each, by one deal.
    for party in ["alice", "bob"] {
        let deals = world.json(party, &["deals", "list", "--json"]);
        let carriers = deals.as_array().unwrap().iter().filter(|deal| deal["told"].is_object()).count();
        assert_eq!(carriers, 1, "{party}: {deals:#}");
    }
}

// Somebody who has no part in a contract, or writes about another one, says that it withdraws or disputes.
#[test]
fn a_notice_of_somebody_else_is_mail() {
    let (world, _running, deal) = signed();
    world.init("carol", &[]);
    world.run("carol", &["contact", "add", &world.card("bob")]).good();
    world.run("bob", &["contact", "add", &world.card("carol")]).good();
    let _carol = world.up("carol");
    let view = world.deal("alice", &deal);
    let cid = Cid::parse(view["cid"].as_str().unwrap()).unwrap();
    let key = |party: &str| {
        let contacts = world.json("alice", &["contact", "list", "--json"]);
        let found = contacts.as_array().unwrap().iter().find(|contact| contact["name"] == party).cloned();
        KeySetId::parse(found.unwrap()["key_set"].as_str().unwrap()).unwrap()
    };
    let good = Notice {
        deal: DealId::parse(&deal).unwrap(),
        cid,
        part: Slot(0),
        to: key("bob"),
        title: "offer.txt".to_owned(),
        time: Time::from_unix(1_800_000_000),
        saying: Saying::Withdrawal { name: "alice".to_owned(), channel: String::new() },
        words: String::new(),
    };
    let other_cid = Notice { cid: Cid::from_digest(semper_core::hash::Digest::from_array([1; 32])), ..good.clone() };
    let other_deal = Notice { deal: DealId::from_array([1; 16]), ..good.clone() };
    let other_to = Notice { to: key("arbiter"), ..good.clone() };
    for (why, from, bytes, signed) in [
        ("a stranger to the contract", "carol", good.to_bytes(), true),
        ("another contract", "alice", other_cid.to_bytes(), true),
        ("no deal of ours", "alice", other_deal.to_bytes(), true),
        ("for somebody else", "alice", other_to.to_bytes(), true),
        ("not signed", "alice", good.to_bytes(), false),
    ] {
        let order = json!({
            "to": "bob", "signed": signed, "acknowledged": false, "submission": false,
            "files": [{ "name": "notice.cbor", "media_type": MEDIA_TYPE, "base64": BASE64.encode(&bytes) }],
        });
        let carrier = post(&world, from, "/send", &order)["deal"].as_str().unwrap().to_owned();
        if signed {
            let asked = approval(&world, from, &json!({ "carrier": carrier }));
            world.says_yes(from, &asked).good();
        }
        let came = world.wait("bob", &carrier, why, |view| view["told"].is_object());
        assert_eq!(came["told"], json!({ "saying": "withdrawal", "about": null }), "{why}");
        assert!(notices(&world, "bob", &deal).is_empty(), "{why}: it counts");
        let list = world.run("bob", &["deals", "list"]).good();
        assert!(list.contains("is mail like any other"), "{why}: {list}");
    }
    // What is not a notice at all is signed by nobody as one.
    let order = json!({
        "to": "bob", "signed": true, "acknowledged": false, "submission": false,
        "files": [{ "name": "notice.cbor", "media_type": MEDIA_TYPE, "base64": BASE64.encode(b"garbage") }],
    });
    let carrier = post(&world, "alice", "/send", &order)["deal"].as_str().unwrap().to_owned();
    let refused =
        world.wait("alice", &carrier, "a refusal", |view| view["trouble"].is_string() || view["ending"].is_string());
    assert_ne!(refused["ending"], "success", "{refused:#}");
    // The same, said by Alice in the way that there is, counts.
    says(&world, "alice", "withdraw", &deal, &[]).good();
    stands(&world, "bob", &deal, "acknowledged");
}

/// Asks a party's node by its control interface, as a program of its user may.
fn post(world: &World, party: &str, path: &str, body: &Value) -> Value {
    let endpoint = world.endpoint(party).unwrap();
    let url = format!("http://127.0.0.1:{}{path}", endpoint["port"]);
    let asked = reqwest::Client::new().post(url).bearer_auth(endpoint["token"].as_str().unwrap()).json(body).send();
    Runtime::new().unwrap().block_on(async { asked.await.unwrap().error_for_status().unwrap().json().await.unwrap() })
}

/// Answers the question of a notice in a party's window: with a click, after the pause.
fn approve_in_window(browser: &Browser, world: &World, party: &str, asks: &str, does: &str, picture: &str) {
    window::enter(browser, world, party);
    browser.wait_for("#waiting h2", asks);
    browser.follow(asks);
    assert_eq!(browser.text("button[value=approve]"), does);
    browser.look(picture);
    window::wait_for_the_pause(browser);
    browser.click("button[value=approve]");
    browser.wait_for("[role=status]", "Signed.");
}

// What a person does: two clicks from the deal to the form, a look at what will be sent, the signature in the window, the receipt.
#[test]
fn a_withdrawal_in_the_browser() {
    let (world, _running, deal) = signed();
    let (desk, approvals) = (Browser::new("en"), Browser::new("en"));
    desk.open(&link(&world, "alice"));
    desk.wait_for("h1", "Deals");
    desk.open(&format!("{}deals/{deal}", origin(&desk)));
    desk.look("notice-deal");
    desk.follow("Withdraw from the contract here");
    desk.wait_for("h1", "Withdraw from the contract");
    desk.look("withdraw-form");
    desk.fill("#channel", "alice@example.org");
    desk.fill("#words", "I have changed my mind.\nGreetings <b>Alice</b>");
    desk.click("form button:not([name=language])");
    desk.wait_for("h1", "This will be sent");
    assert!(notices(&world, "alice", &deal).is_empty(), "something was sent by the first form");
    for part in ["offer.txt", "bob", "alice@example.org", "Greetings <b>Alice</b>", "the law says"] {
        assert!(desk.text("main").contains(part), "{part}: {}", desk.text("main"));
    }
    desk.look("withdraw-check");
    assert_eq!(desk.text("button[name=step]"), "Confirm withdrawal");
    desk.click("button[name=step]");
    desk.wait_for("#standing", "Your withdrawal waits for your signature");
    desk.wait_for("#notices h3", "which you have not signed yet");
    desk.look("withdraw-asks");
    let (asks, does) = ("Withdraw from this contract?", "Withdraw from the contract");
    approve_in_window(&approvals, &world, "alice", asks, does, "withdraw-window");
    // The open page follows.
    desk.wait_for("#notices", "inbox confirms the receipt, signed, on");
    desk.wait_for("#notices", "signed for it on");
    desk.wait_for("#timeline", "You withdrew from the contract");
    desk.wait_for("#timeline", "inbox confirmed the receipt");
    assert_eq!(desk.count("a[href$='/withdraw']"), 0, "it offers to withdraw again");
    desk.look("withdraw-received");
    let saved = world.path("receipt.semper");
    std::fs::write(&saved, fetch(&desk, &format!("/deals/{deal}/folder"))).unwrap();
    let report = world.report(&saved);
    assert_eq!((&report["sound"], &report["notices"][0]["saying"]), (&json!(true), &json!("withdrawal")));
    assert!(report["notices"][0]["received"].is_u64(), "{report:#}");
    desk.size(390, 844);
    desk.click("footer button[value=de]");
    desk.wait_for("#notices h2", "Was zum Vertrag gesagt wurde");
    desk.look("withdraw-received-narrow-de");
    desk.open(&format!("{}deals/{deal}/dispute", origin(&desk)));
    desk.look("dispute-form-narrow-de");
    // The other side, and its list.
    let bob = Browser::dark("en");
    bob.open(&link(&world, "bob"));
    bob.wait_for("#deals", "has withdrawn, on");
    bob.wait_for("#deals h2", "Withdrawal from");
    bob.look("withdrawn-list");
    bob.open(&format!("{}deals/{deal}", origin(&bob)));
    bob.look("withdrawn-by-peer");
}

/// A purchase that went through, and its buyer, who holds that the goods are no good; the deal.
fn bought() -> (Market, String) {
    let market = Market::new("30.00 EUR");
    let file = market.world.file("measurements.csv", "nothing was measured\n");
    let link = market.sell(&file);
    let deal = market.buy(&link, market.world.path("bought.csv").to_str().unwrap());
    for party in ["alice", "bob"] {
        assert_eq!(market.world.ending(party, &deal), "success");
    }
    (market, deal)
}

// Alice uses no mouse; Bob answers on his terminal, and they know each other from nothing but the purchase.
#[test]
fn a_dispute_with_the_keyboard_alone_to_its_decision() {
    let (market, deal) = bought();
    let (world, desk, approvals) = (&market.world, Browser::new("en"), Browser::new("en"));
    desk.open(&link(world, "alice"));
    desk.wait_for("h1", "Deals");
    desk.tab_to(&format!("a[href='/deals/{deal}']"));
    desk.press(Key::Enter);
    desk.wait_for("h1", "measurements.csv");
    desk.tab_to("a[href$='/dispute']");
    desk.press(Key::Enter);
    desk.wait_for("h1", "Open a dispute");
    desk.tab_to("#usual");
    desk.write("what I got");
    desk.tab_to("#relief");
    desk.write("my money back");
    desk.tab_to("#amount");
    desk.write("12.00 EUR");
    desk.tab_to("#words");
    desk.write("There are no measurements in it.");
    desk.tab_to("#evidence");
    assert_eq!(desk.run("return document.activeElement.checked"), true);
    desk.look("dispute-form");
    desk.tab_to("form[method=post] p.actions button");
    desk.press(Key::Enter);
    desk.wait_for("h1", "This will be sent");
    assert!(desk.text("main").contains("faulted(originator)"), "{}", desk.text("main"));
    desk.look("dispute-check");
    desk.tab_to("button[name=step]");
    desk.press(Key::Enter);
    desk.wait_for("#standing", "Your dispute waits for your signature");

    window::enter_by_keys(&approvals, world, "alice");
    approvals.wait_for("#waiting h2", "Open this dispute?");
    approvals.tab_to("#waiting a");
    approvals.press(Key::Enter);
    approvals.wait_for("#text pre", "I open a dispute about the contract");
    approvals.look("dispute-window");
    approvals.tab_to("button[value=approve]");
    assert_eq!(approvals.text("button:focus"), "Open the dispute");
    approvals.wait_gone("#answer button[aria-disabled]");
    approvals.press(Key::Enter);
    approvals.wait_for("[role=status]", "Signed.");
    desk.wait_for("#notices", "inbox confirms the receipt");
    desk.wait_for("#standing", "Disputed by you; ");
    desk.look("dispute-sent");

    // Bob sees what is claimed, what is wanted and until when, and is asked to sign for it.
    let bob = Browser::new("en");
    bob.open(&link(world, "bob"));
    bob.wait_for("#deals", "your answer is due by");
    bob.click("#show option[value=disputed]");
    bob.click("form[role=search] button");
    bob.wait_for("#deals", "One deal");
    bob.look("disputed-list");
    bob.open(&format!("{}deals/{deal}", origin(&bob)));
    for part in [
        "faulted(originator, contract",
        "my money back",
        "12.00\u{a0}EUR",
        "There are no measurements in it.",
        "evidence-dispute.semper",
    ] {
        assert!(bob.text("#notices").contains(part), "{part}: {}", bob.text("#notices"));
    }
    bob.look("disputed-by-peer");
    bob.follow("Deny: it is not so");
    bob.wait_for("h1", "Answer the dispute");
    assert_eq!(
        bob.run("return [document.getElementById('deny').checked, document.getElementById('evidence').checked]"),
        json!([true, true])
    );
    bob.look("answer-form");
    says(world, "bob", "answer", &deal, &["--deny", "--words", "it is what I had"]).good();
    bob.open(&format!("{}deals/{deal}", origin(&bob)));
    bob.wait_for("#standing", "you have denied what is claimed");
    bob.look("answered");
    says(world, "bob", "answer", &deal, &["--deny"]).failed_with(&["no dispute with you"]);
    desk.wait_for("#standing", "has denied what you claim");
    desk.wait_for("#timeline", "denied what is claimed");
    desk.look("answered-by-peer");

    // Both folders hold what both have said and shown; a judge decides from them.
    let [alice, bob] = ["alice", "bob"].map(|party| world.export(party, &deal));
    for folder in [&alice, &bob] {
        let report = world.report(folder);
        let said: Vec<_> =
            report["notices"].as_array().unwrap().iter().map(|told| told["saying"].as_str().unwrap()).collect();
        assert_eq!((&report["sound"], said), (&json!(true), vec!["dispute", "answer"]), "{report:#}");
        let told = world.verify(folder).good();
        for part in [
            "disputes: proven by its signature",
            "denies what is claimed",
            "was handed it before",
            "I want      | my money back",
        ] {
            assert!(
                told.contains(part) || folder == &bob && part == "was handed it before",
                "{part:?} is not in: {told}"
            );
        }
        let files = world.path("evidence");
        std::fs::create_dir_all(&files).unwrap();
        world.run("alice", &["deals", "files", &deal, "--out", files.to_str().unwrap()]).good();
        assert_eq!(world.report(&files.join("evidence-answer.semper"))["deal"], json!(deal));
    }
    let decision = world.path("decision").display().to_string();
    let folders = [alice.display().to_string(), bob.display().to_string()];
    let claims = ["disputed(responder)", "answered(originator)", "conceded(originator)", "faulted(originator)"];
    let mut args = vec!["judge", &folders[0], &folders[1], "--sign", &decision, "--json"];
    args.extend(claims.iter().flat_map(|claim| ["--claim", claim]));
    let judged = world.json("arbiter", &args);
    let outcomes: Vec<_> = judged["answers"].as_array().unwrap().iter().map(|answer| &answer["outcome"]).collect();
    assert_eq!(outcomes, ["proven", "proven", "undecided", "refuted"], "{judged:#}");
    let checked = world.run("nobody", &["judge", &folders[0], &folders[1], "--check", &decision]).good();
    assert!(checked.contains("RIGHT  the decision of key"), "{checked}");
    // What nobody has taken is judged as it stands: of Bob's folder alone the same.
    let usual = world.answers(&[&bob]);
    assert!(
        usual.iter().any(|(question, outcome)| question.contains("answered the dispute") && outcome == "proven"),
        "{usual:?}"
    );
}
