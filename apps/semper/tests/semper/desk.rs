//! The desk in a real browser. What could go wrong: it shows another state than the node's, lets in whoever finds its port, loses what
//! changes while it is open, can be used with a mouse and good eyes only.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use thirtyfour::Key;

use crate::browser::{Browser, shop};
use crate::market::Market;
use crate::window;
use crate::world::{World, deal_in, until};

/// A link into the desk of a running node.
pub fn link(world: &World, party: &str) -> String {
    world.run(party, &["desk", "--no-browser"]).good().trim().to_owned()
}

/// A market in which Alice has bought a file, and waits for her own answer about a letter.
fn busy() -> (Market, String, String) {
    let market = Market::new("30.00 EUR");
    let file = market.world.file("measurements.csv", "a,b\n1,2\n");
    let link = market.sell(&file);
    let bought = market.buy(&link, market.world.path("bought.csv").to_str().unwrap());
    let ended = until(|| (market.world.deal("alice", &bought)["ending"] == "success").then_some(()));
    assert!(ended.is_some(), "{:#}", market.world.deal("alice", &bought));
    market.world.run("alice", &["contact", "add", &market.world.card("bob")]).good();
    market.world.run("bob", &["contact", "add", &market.world.card("alice")]).good();
    let letter = market.world.file("letter.txt", "Dear Bob,\n");
    let args = ["send", &letter, "--to", "bob", "--signed", "--no-ask", "--no-wait"];
    let asks = deal_in(&market.world.run("alice", &args).good());
    (market, bought, asks)
}

#[test]
fn the_desk_shows_where_every_deal_stands() {
    let (market, bought, _asks) = busy();
    let (alice, browser) = (&market.world, Browser::new("en"));
    let way_in = link(alice, "alice");
    browser.open(&way_in);
    assert_eq!(browser.count("#deals .cards > li"), 2, "{}", browser.text("main"));
    browser.wait_for("nav .badge", "1");
    browser.look("deals");

    // Search and filter.
    browser.fill("#q", "measure");
    browser.press(Key::Enter);
    browser.wait_for("#deals", "One deal");
    browser.click("#show option[value=turn]");
    browser.fill("#q", "");
    browser.click("form[role=search] button");
    browser.wait_for("#deals", "Waits for your answer");
    assert_eq!(browser.count("#deals .cards > li"), 1);

    // One deal: what happened, what is proven, and that it can be taken away and checked.
    browser.follow("Deals");
    browser.wait_for("h1", "Deals");
    browser.follow("measurements.csv");
    browser.wait_for("h1", "measurements.csv");
    assert!(browser.url().ends_with(&format!("/deals/{bought}")));
    assert!(browser.text("#standing").contains("Done"), "{}", browser.text("#standing"));
    for event in ["promised to be bound", "completed the contract", "gave away the key of the goods"] {
        assert!(browser.text("#timeline").contains(event), "{event}: {}", browser.text("#timeline"));
    }
    assert!(browser.text("#files").contains("bought.csv"), "{}", browser.text("#files"));
    assert!(browser.text("#proofs").contains("the buyer (you)"), "{}", browser.text("#proofs"));
    assert!(browser.text("#evidence").contains("Everything counts"));
    browser.look("deal-done");
    let saved = fetch(&browser, &format!("/deals/{bought}/folder"));
    let folder = alice.path("from-the-desk.semper");
    std::fs::write(&folder, saved).unwrap();
    let report = alice.report(&folder);
    assert_eq!(report["sound"], true, "{report:#}");

    // The same on a telephone, and in German.
    browser.size(390, 844);
    browser.look("deal-done-narrow");
    browser.click("footer button[value=de]");
    browser.wait_for("#timeline h2", "Was geschehen ist");
    assert_eq!(browser.run("return document.documentElement.lang"), "de");
    browser.look("deal-done-narrow-de");
}

/// What the browser gets for a path of the page that is open, with its own cookie.
pub fn fetch(browser: &Browser, path: &str) -> Vec<u8> {
    let script = format!(
        "const r = new XMLHttpRequest(); r.open('GET', {path:?}, false); r.overrideMimeType('text/plain; charset=x-user-defined'); \
         r.send(); return [...r.responseText].map(c => c.charCodeAt(0) & 255);"
    );
    serde_json::from_value(browser.run(&script)).unwrap()
}

#[test]
fn an_open_page_follows_what_happens() {
    let (market, _, asks) = busy();
    let (world, browser) = (&market.world, Browser::new("en"));
    browser.open(&link(world, "alice"));
    browser.run("window.sameDocument = true");
    // What the reader writes is left alone.
    browser.fill("#q", "half a word");
    world.says_yes("alice", &question(world, "alice")).good();
    browser.wait_gone("nav .badge");
    browser.wait_gone("#deals .turn");
    assert_eq!(browser.run("return document.getElementById('q').value"), "half a word");
    assert_eq!(browser.run("return window.sameDocument"), true, "the page was loaded again");
    browser.open(&format!("{}deals/{asks}", origin(&browser)));
    assert!(browser.text("#timeline").contains("You signed what was sent"), "{}", browser.text("#timeline"));

    // The node is gone: the page must not look as if all were well.
    let Market { world, mut running } = market;
    drop(running.remove(2));
    browser.wait_for("#connection", "connection to your node is lost");
    browser.look("connection-lost");
    drop(world);
}

// A language that is written from right to left would find what was placed by left and right, and words that run into each other. `ar-XB` is English
// turned round: its layout is that of such a language, and what others wrote must stand in it as they wrote it.
#[test]
fn pages_from_right_to_left_are_mirrored() {
    let (market, bought, _asks) = busy();
    let (world, browser) = (&market.world, Browser::new("ar-XB"));
    browser.open(&link(world, "alice"));
    browser.wait_for("#deals .cards", "measurements.csv");
    let home = browser.url();
    let right = |css: &str| {
        let script = format!(
            "const r = document.querySelector({css:?}).getBoundingClientRect(); return innerWidth / 2 < (r.left + r.right) / 2"
        );
        browser.run(&script) == true
    };
    assert_eq!(browser.run("return getComputedStyle(document.body).direction"), "rtl");
    assert!(right(".brand") && !right("footer button"), "the page is not mirrored");
    for [path, name] in [
        ["", "deals"],
        ["wallet", "wallet"],
        ["offers", "offers"],
        ["contacts", "contacts"],
        ["settings", "settings"],
        ["sell", "sell"],
    ] {
        browser.open(&format!("{home}{path}"));
        browser.wait_for("h1", "");
        browser.look(&format!("{name}-mirrored"));
    }
    browser.open(&format!("{home}deals/{bought}"));
    browser.wait_for("h1", "measurements.csv");
    // What is English stays English: proofs, commands, identifiers.
    for css in ["#proofs [lang=en]", "#evidence pre", "#technical .code"] {
        assert_eq!(browser.run(&format!("return getComputedStyle(document.querySelector({css:?})).direction")), "ltr");
    }
    browser.look("deal-done-mirrored");
    browser.size(390, 844);
    browser.look("deal-done-mirrored-narrow");

    window::enter(&browser, world, "alice");
    browser.wait_for("main", "letter.txt");
    assert_eq!(browser.run("return document.documentElement.dir"), "rtl");
    browser.look("window-mirrored-narrow");
    browser.click("main .cards a");
    browser.wait_for("#text pre", "letter.txt");
    assert_eq!(browser.run("return getComputedStyle(document.querySelector('#text pre')).direction"), "ltr");
    browser.look("window-question-mirrored-narrow");
}

// What is set holds from then on, on the desk as on the command line, and after a restart; what cannot be set leaves things as they were.
#[test]
fn settings_are_set_and_arbiters_accepted() {
    let world = World::of_two();
    world.init("tsa", &["--role", "tsa"]);
    world.run("alice", &["contact", "add", &world.card("tsa")]).good();
    let running = [world.serve("arbiter"), world.start("alice", &["up"]), world.start("bob", &["up"])];
    let settings = || world.json("alice", &["settings", "--json"]);
    assert_eq!(settings()["patience_is_set"], false);
    let browser = Browser::new("en");
    browser.open(&link(&world, "alice"));
    browser.wait_for("h1", "Deals");
    let home = browser.url();
    browser.follow("Settings");
    browser.wait_for("h1", "Settings");
    browser.look("settings");

    // Who is no longer accepted decides nothing new: a proposal under it waits, unsigned.
    browser.wait_for("#trust", "Accepted as an arbiter");
    browser.click("#trust button[value=false]");
    browser.wait_for("#trust", "Not accepted");
    browser.look("settings-no-arbiter");
    let contacts = world.json("alice", &["contact", "list", "--json"]);
    assert!(contacts.as_array().unwrap().iter().all(|contact| contact["arbiter"] == false), "{contacts:#}");
    let contract = world.file("contract.txt", "A bicycle, 100 EUR\n");
    world.run("alice", &["sign", &contract, "--with", "bob", "--no-ask", "--no-wait"]).failed_with(&["arbiter"]);
    browser.click("#trust button[value=true]");
    browser.wait_for("#trust", "Accepted as an arbiter");
    world.run("alice", &["contact", "arbiter", "bob"]).failed_with(&["does not offer to be an arbiter"]);

    browser.click("#patience option[value='21600']");
    browser.click("#dated_by option[value='=tsa']");
    browser.click("form[method=post] button:not([name])");
    browser.wait_for("#dated_by option[selected]", "tsa");
    let set = settings();
    assert_eq!((&set["patience"], &set["dated_by"]), (&21_600.into(), &"tsa".into()), "{set:#}");
    browser.fill("#dated_by_address", "https://");
    browser.run("document.querySelector('#dated_by_address').type = 'text'");
    browser.fill("#dated_by_address", "no such contact");
    browser.click("form[method=post] button:not([name])");
    browser.wait_for("[role=alert]", "What was set before holds");
    browser.look("settings-refused");
    assert_eq!(settings(), set);

    drop(running);
    assert_eq!(settings(), set, "a restart forgets what was set");
    world.run("alice", &["settings", "patience", "2 fortnights"]).failed_with(&["30m"]);
    world.run("alice", &["settings", "patience", "100d"]).failed_with(&["90 days"]);
    let said = world.run("alice", &["settings", "patience", "30m"]).good();
    assert!(said.contains("1800 s\n") && said.contains("dated by  tsa"), "{said}");
    let said = world.run("alice", &["settings", "dated-by", "--nobody"]).good();
    assert!(said.contains("dated by  nobody\n"), "{said}");
    world.run("alice", &["settings", "patience"]).good();
    world.run("alice", &["settings", "dated-by"]).good();
    assert_eq!(
        (settings()["patience_is_set"].clone(), settings()["dated_by_is_set"].clone()),
        (false.into(), false.into())
    );
    assert!(home.contains("desk-"), "{home}");
}

// What a person does: the command hands the browser a page of the data directory, and the desk is there. A page in a file is another site to the
// browser, which keeps cookies from what such a page leads to.
#[test]
fn the_command_opens_the_desk_in_the_browser() {
    let (market, ..) = busy();
    let (world, browser) = (&market.world, Browser::new("en"));
    browser.open(&format!("file://{}", page_opened_by(world, &["desk"])));
    browser.wait_for("h1", "Deals");
    assert!(!browser.url().contains("/enter/"), "the link stays where others may see it: {}", browser.url());
}

// A link on somebody's page leads to the desk once its user has agreed to that; and there it is shown, and nothing is fetched, before the user goes
// on. Who has no session sees the link and nothing of the desk's.
#[test]
fn a_link_of_another_page_is_shown_before_it_is_followed() {
    let market = Market::with_careful_buyer("30.00 EUR");
    let (world, browser) = (&market.world, Browser::new("en"));
    let offer = market.sell(&world.file("measurements.csv", "a,b\n1,2\n"));
    browser.open(&link(world, "alice"));
    browser.wait_for("h1", "Deals");
    let home = browser.url();
    browser.open(&format!("{home}offers"));
    browser.accepts_handlers();
    browser.click("#handler");
    browser.wait_for("#handler-said", "asks you now");
    browser.look("offers-handler");

    let shop = shop(format!("<h1>A shop</h1><a href='web+semper:{offer}'>Buy it</a>"));
    browser.open(&format!("http://127.0.0.1:{shop}/"));
    browser.follow("Buy it");
    browser.wait_for("h1", "Open this link?");
    assert!(browser.url().starts_with(&format!("{home}open?link=web%2Bsemper")), "{}", browser.url());
    assert_eq!(browser.text("p.code"), offer);
    browser.look("open");
    browser.follow("Look at the offer");
    browser.wait_for("h1", "measurements.csv");

    for bad in ["javascript:alert(1)", "web%2Bsemper:javascript:alert(1)", "web%2Bsemper:http://127.0.0.1/", &offer] {
        browser.open(&format!("{home}open?link={bad}"));
        browser.wait_for("[role=alert]", "");
        assert_eq!(browser.count("main a"), 0, "{bad}: {}", browser.text("main"));
    }
    let stranger = Browser::new("de");
    stranger.open(&format!("{home}open?link=web%2Bsemper:{offer}"));
    stranger.wait_for("h1", "Diesen Link öffnen?");
    stranger.look("open-de");
    stranger.follow("Angebot ansehen");
    stranger.wait_for("h1", "Dieser Schreibtisch ist zu");
}

// Links that a browser hands over lead nowhere if the desk is somewhere else at every start.
#[test]
fn the_desk_is_where_it_was() {
    let world = World::new();
    world.init("alice", &[]);
    let at = |way_in: &str| way_in.split("/enter/").next().unwrap().to_owned();
    let first = {
        let _alice = world.up("alice");
        at(&link(&world, "alice"))
    };
    let again = {
        let _alice = world.up("alice");
        at(&link(&world, "alice"))
    };
    assert_eq!(first, again);
    // Somebody else has the port: the desk opens all the same, under its own name.
    let (name, port) = first.rsplit_once(':').unwrap();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
    let _alice = world.up("alice");
    let elsewhere = at(&link(&world, "alice"));
    assert!(elsewhere != first && elsewhere.starts_with(name), "{elsewhere}");
}

/// The page that a command of Alice's hands to the browser; nobody else can read it.
pub fn page_opened_by(world: &World, command: &[&str]) -> String {
    let (bin, opened) = (world.path("bin"), world.path("opened"));
    std::fs::create_dir(&bin).unwrap();
    let starter = bin.join("xdg-open");
    std::fs::write(&starter, format!("#!/bin/sh\nprintf %s \"$1\" > {}\n", opened.display())).unwrap();
    std::fs::set_permissions(&starter, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let ran = world.command("alice", command).env("PATH", path).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let page = until(|| std::fs::read_to_string(&opened).ok().filter(|page| !page.is_empty())).unwrap();
    let mode = std::fs::metadata(&page).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others can read the link");
    page
}

/// What a party is asked; waits for it.
fn question(world: &World, party: &str) -> String {
    let asked = until(|| world.json(party, &["approvals", "--json"])[0]["id"].as_str().map(str::to_owned));
    asked.unwrap_or_else(|| panic!("{party} is not asked"))
}

pub fn origin(browser: &Browser) -> String {
    let url = browser.url();
    let path = url.match_indices('/').nth(2).map(|(at, _)| at + 1).unwrap();
    url[..path].to_owned()
}

// Whoever finds the port, or a link that was used, sees nothing; and another page cannot act for the user.
#[test]
fn nobody_else_gets_in() {
    let (market, bought, _) = busy();
    let (world, browser) = (&market.world, Browser::new("en"));
    let way_in = link(world, "alice");
    browser.open(&way_in);
    assert_eq!(browser.text("h1"), "Deals");
    let home = origin(&browser);
    let address = home.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let port = address.rsplit(':').next().unwrap();

    let other = Browser::dark("de");
    for place in [way_in.as_str(), &home, &format!("{home}deals/{bought}"), &format!("{home}deals/{bought}/folder")] {
        other.open(place);
        assert_eq!(other.text("h1"), "Dieser Schreibtisch ist zu", "{place}");
    }
    other.look("closed-de");

    let curl = |args: &[&str]| {
        let output =
            Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let direct = format!("http://127.0.0.1:{port}/");
    assert_eq!(curl(&[&direct]), "403", "another name for the port");
    let host = format!("Host: {address}");
    assert_eq!(curl(&["-H", &host, &direct]), "401", "no session");
    let cookie = browser.run("return document.cookie");
    assert_eq!(cookie, "", "scripts read the session");
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let from = format!("Origin: {origin}");
        let target = format!("{direct}deals/{bought}/give-up");
        assert_eq!(curl(&["-X", "POST", "-H", &host, "-H", &from, &target]), "403", "{origin}");
    }
    assert_eq!(world.deal("alice", &bought)["ending"], "success");
    // A page in a frame is not shown.
    let headers = Command::new("curl").args(["-s", "-I", "-H", &host, &direct]).output().unwrap();
    let headers = String::from_utf8(headers.stdout).unwrap().to_ascii_lowercase();
    for policy in
        ["frame-ancestors 'none'", "default-src 'none'", "nosniff", "referrer-policy: same-origin", "no-store"]
    {
        assert!(headers.contains(policy), "{policy}: {headers}");
    }
}

#[test]
fn money_contacts_and_offers_have_their_pages() {
    let (market, ..) = busy();
    let (world, browser) = (&market.world, Browser::new("en"));
    browser.open(&link(world, "alice"));
    browser.follow("Money");
    browser.wait_for("#balances dd", "18.00\u{a0}EUR");
    browser.look("wallet");
    // A token is made, and taken in again.
    browser.click("#tasks summary");
    browser.fill("input[id^=send-amount]", "5.00 EUR");
    browser.click("input[value=send] ~ button");
    browser.wait_for("#operation", "Whoever has this token has the money");
    browser.look("operation-token");
    let token = browser.text("#operation pre");
    browser.follow("Back to the money");
    browser.wait_for("#balances", "13.00");
    browser.click("#tasks summary");
    browser.fill("input[id^=receive-token]", &token);
    browser.click("input[value=receive] ~ button");
    browser.wait_for("#operation", "Done");
    browser.follow("Back to the money");
    browser.wait_for("#balances", "18.00");
    // More than there is: said, and nothing moved.
    browser.click("#tasks summary");
    browser.fill("input[id^=send-amount]", "500.00 EUR");
    browser.click("input[value=send] ~ button");
    browser.wait_for("main", "No money moved");
    browser.look("operation-failed");
    // No amount at all.
    browser.open(&format!("{}wallet", origin(&browser)));
    browser.click("#tasks summary");
    browser.fill("input[id^=send-amount]", "a lot");
    browser.click("input[value=send] ~ button");
    browser.wait_for("[role=alert]", "This was not begun. No money moved.");
    browser.look("error");

    browser.follow("Back");
    browser.follow("Contacts");
    browser.wait_for("h1", "Contacts");
    browser.look("contacts");
    // With the keyboard alone: the first stop of every page leads past the places.
    browser.run("document.activeElement.blur()");
    browser.press(Key::Tab);
    assert_eq!(browser.run("return document.activeElement.className"), "skip");
    browser.press(Key::Enter);
    assert_eq!(browser.run("return document.activeElement.id"), "content");
    // What is not backed up is said first.
    browser.press(Key::Tab);
    assert!(browser.run("return document.activeElement.textContent").as_str().unwrap().contains("What to do"));
    browser.press(Key::Tab);
    assert!(browser.run("return document.activeElement.textContent").as_str().unwrap().contains("Remove"));
    browser.press(Key::Enter);
    browser.wait_for("h1", "Remove this contact?");
    browser.look("contact-remove");
    browser.follow("Keep the contact");
    browser.wait_for("h1", "Contacts");
    // A card comes in through the form, under a name that imitates another.
    let card = std::fs::read_to_string(world.card("mint")).unwrap();
    browser.run(&format!("document.getElementById('card').value = {}", serde_json::json!(card)));
    browser.fill("#name", "b\u{43e}b");
    browser.click("main form button");
    browser.wait_for("#people", "has a name that looks the same");
    browser.wait_for("#people", "mixes letters of several scripts");
    browser.look("contacts-alike");

    drop(browser);
    let browser = Browser::dark("en");
    browser.open(&link(world, "bob"));
    browser.wait_for("#deals", "measurements.csv");
    browser.look("deals-dark");
    browser.follow("measurements.csv");
    browser.wait_for("#standing", "Done");
    browser.look("deal-dark");
    browser.follow("Offers");
    browser.wait_for("h1", "Offers");
    browser.click("#offers summary");
    assert_eq!(browser.count("#offers svg"), 1);
    browser.look("offers");
    browser.click("#offers form button");
    browser.wait_for("#offers", "Withdrawn: no orders are taken");
    browser.click("#offers form button");
    browser.wait_for("#offers", "Offered until");
}

// A person who never sees a command line but for the answers to the holder of the keys: a file is offered, looked at, ordered, paid and saved.
#[test]
fn a_file_is_sold_and_bought_in_the_browser() {
    let mut market = Market::asking("30.00 EUR");
    let (bob, alice) = (Browser::new("en"), Browser::new("en"));
    let world = &market.world;
    bob.open(&link(world, "bob"));
    bob.follow("Offers");
    bob.wait_for("#offers", "You offer nothing yet");
    bob.look("offers-none");
    bob.follow("Offer a file");
    bob.wait_for("h1", "Offer a file");
    bob.look("sell");
    bob.fill("#price", "12.00 EUR");
    bob.fill("#text", "All of 2025\nin one table");
    bob.fill("#file", &world.file("measurements.csv", "a,b\n1,2\n"));
    bob.click("main form button");
    bob.wait_for("#offers", "Waits for your answer; it is not offered before.");
    bob.look("offers-ask");
    assert_eq!(bob.count("#offers .code"), 0, "a link to what is not offered");
    // The node is killed before its user answers: the offer is not forgotten.
    drop(market.running.pop());
    market.running.push(world.up("bob"));
    world.says_yes("bob", &question(world, "bob")).good();
    bob.open(&link(world, "bob"));
    bob.follow("Offers");
    bob.wait_for("#offers", "Offered until");
    let offered = bob.text("#offers .code");

    // No price, no usable amount: nothing is offered, and it says so.
    bob.follow("Offer a file");
    bob.fill("#price", "a lot");
    bob.fill("#file", &world.file("other.csv", "c\n"));
    bob.click("main form button");
    bob.wait_for("[role=alert]", "Nothing was offered.");
    bob.look("sell-refused");

    alice.open(&link(world, "alice"));
    alice.follow("Offers");
    alice.fill("#link", &format!("{}x", &offered[..offered.len() - 1]));
    alice.click("form[action='/buy'] button");
    alice.wait_for("[role=alert]", "There is no offer to be had at this link.");
    alice.open(&format!("{}offers", origin(&alice)));
    alice.fill("#link", &offered);
    alice.click("form[action='/buy'] button");
    alice.wait_for("h1", "measurements.csv");
    alice.wait_for("#offer", "All of 2025");
    alice.wait_for("#offer", "You do not know this key yet");
    alice.look("buy");
    alice.click("#purchase form button");
    alice.wait_for("#purchase", "The order is on its way.");
    alice.look("buy-ordered");
    alice.follow("To the deal");
    alice.wait_for("#standing", "Waits for your answer");
    world.says_yes("alice", &question(world, "alice")).good();
    alice.wait_for("#standing", "Done");
    let deal = alice.url().rsplit('/').next().unwrap().to_owned();
    assert_eq!(fetch(&alice, &format!("/deals/{deal}/goods")), b"a,b\n1,2\n");
    alice.look("deal-bought");
}
