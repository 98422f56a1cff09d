//! The approval window in a real browser, with real questions of real nodes. What could go wrong: somebody else opens it, answers in it or imitates it;
//! an answer is taken that nobody gave; it can be used with a mouse and good eyes only.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::Key;

use crate::browser::{Browser, shop};
use crate::desk::page_opened_by;
use crate::market::Market;
use crate::world::{Process, World, deal_in, until};

/// A link into a party's window.
fn link(world: &World, party: &str) -> String {
    let mut command = world.command(party, &["window", "--no-browser"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Opens a party's window and gets past the first page.
pub fn enter(browser: &Browser, world: &World, party: &str) {
    browser.open(&link(world, party));
    browser.wait_for("h1", "");
    if browser.count("form[action='/us/known']") > 0 {
        browser.click("form[action='/us/known'] button");
    }
    browser.wait_for("nav a[aria-current]", "");
}

/// The same without a mouse.
pub fn enter_by_keys(browser: &Browser, world: &World, party: &str) {
    browser.open(&link(world, party));
    browser.wait_for("h1", "");
    if browser.count("form[action='/us/known']") > 0 {
        browser.tab_to("form[action='/us/known'] button");
        browser.press(Key::Enter);
    }
    browser.wait_for("nav a[aria-current]", "");
}

/// Alice and Bob, who are asked about everything, and their arbiter.
fn asking() -> (World, Vec<Process>) {
    let world = World::of_two();
    let running = vec![world.serve("arbiter"), world.start("alice", &["up"]), world.start("bob", &["up"])];
    (world, running)
}

fn approvals(world: &World, party: &str) -> Vec<Value> {
    world.json(party, &["approvals", "--json"]).as_array().unwrap().clone()
}

/// The only question that a party is asked; waits for it.
fn question(world: &World, party: &str) -> Value {
    let asked = until(|| approvals(world, party).pop());
    asked.unwrap_or_else(|| panic!("{party} is not asked"))
}

fn id(question: &Value) -> String {
    question["id"].as_str().unwrap().to_owned()
}

/// Where the pages of the window are: `http://window-….localhost:PORT`.
pub fn origin(browser: &Browser) -> String {
    let url = browser.url();
    url[..url.match_indices('/').nth(2).unwrap().0].to_owned()
}

/// What an element says, without the marks that keep foreign words apart from their surroundings.
fn said_by(browser: &Browser, css: &str) -> String {
    browser.text(css).replace(['\u{2068}', '\u{2069}'], "")
}

/// Looks at the page until it takes an answer: a click on what has just come up would not be one.
pub fn wait_for_the_pause(browser: &Browser) {
    browser.click("h1");
    browser.wait_gone("#answer button[aria-disabled]");
}

// What a person does who buys: looks at the picture, reads, compares words, answers with the keyboard; and the seller before that.
#[test]
fn a_purchase_is_approved_with_the_keyboard() {
    let market = Market::asking("30.00 EUR");
    let (world, bob, alice) = (&market.world, Browser::new("en"), Browser::new("en"));
    // The first look: nothing is asked before the picture is known.
    bob.open(&link(world, "bob"));
    bob.wait_for("h1", "This is how you know this window");
    bob.look("window-first-run");
    let phrase = bob.text(".mark bdi");
    assert_eq!(phrase.split(' ').count(), 4, "{phrase}");
    bob.click("form[action='/us/known'] button");
    bob.wait_for("#waiting", "Nothing waits");
    bob.look("window-empty");

    // An open page tells at once that something waits, in its title too.
    bob.run("window.sameDocument = true");
    let file = world.file("measurements.csv", "a,b\n1,2\n");
    let sold = world.run("bob", &["sell", &file, "--price", "12.00 EUR", "--no-ask"]);
    bob.wait_for("#waiting h2", "Offer this to anybody?");
    assert_eq!(bob.run("return document.title"), "(1) Approvals – Semper");
    assert_eq!(bob.run("return window.sameDocument"), true, "the page was loaded again");
    bob.look("window-list");
    bob.follow("Offer this to anybody?");
    bob.wait_for("#text pre", "sells to anybody");
    assert_eq!(said_by(&bob, "button[value=approve]"), "Offer for 12.00\u{a0}EUR");
    bob.look("window-offer");
    wait_for_the_pause(&bob);
    bob.click("button[value=approve]");
    bob.wait_for("[role=status]", "Signed.");
    bob.look("window-signed");
    assert_eq!(bob.text(".mark bdi"), phrase, "the phrase is another one");
    sold.good();
    let listed = world.run("bob", &["offers", "list"]).good();
    let offered = listed.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();

    let bought = market.buy(&offered, world.path("bought.csv").to_str().unwrap());
    let asked = question(world, "alice");
    assert_eq!((&asked["verb"], &asked["gives"]), (&json!("contract-and-pay"), &json!("12.00 EUR")));
    enter(&alice, world, "alice");
    alice.open(&format!("{}/approvals/{}", origin(&alice), id(&asked)));
    assert_eq!(alice.text("#check-words"), asked["check_words"].as_str().unwrap(), "window and terminal differ");
    for part in
        ["bob", "so the contract says", "For the first time with this key", "measurements.csv", "12.00\u{a0}EUR"]
    {
        assert!(alice.text("#facts").contains(part), "{part}: {}", alice.text("#facts"));
    }
    // Who, what, how much, until when: in this order on every screen.
    let order = alice.run("return [...document.querySelectorAll('#facts dt')].map(e => e.innerText)");
    assert_eq!(order, json!(["With", "Arbiter", "What", "You pay", "Until", "Check words"]));
    alice.look("window-purchase");
    // With the keyboard alone, from the beginning of the page.
    alice.run("document.activeElement.blur(); document.getElementById('content').focus()");
    for _ in 0..30 {
        if alice.run("return document.activeElement.value") == "approve" {
            break;
        }
        alice.press(Key::Tab);
    }
    assert_eq!(said_by(&alice, "button:focus"), "Sign and pay 12.00\u{a0}EUR");
    alice.wait_gone("#answer button[aria-disabled]");
    alice.press(Key::Enter);
    alice.wait_for("[role=status]", "Signed.");
    let ended = until(|| (world.deal("alice", &bought)["ending"] == "success").then_some(()));
    assert!(ended.is_some(), "{:#}", world.deal("alice", &bought));
    // Afterwards both sides have the same words for it.
    let words = |party: &str, deal: &str| {
        let shown = world.run(party, &["deals", "show", deal]).good();
        let words = shown.lines().find(|line| line.contains("  words "));
        words.unwrap_or_else(|| panic!("{shown}")).to_owned()
    };
    assert!(words("alice", &bought).contains(asked["check_words"].as_str().unwrap()));
    assert_eq!(words("alice", &bought), words("bob", &bought));
    // And the seller is no stranger any more.
    alice.open(&format!("{}/log", origin(&alice)));
    alice.wait_for("#log", "Approved by you and signed");
    alice.look("window-log");
    market.buy(&offered, world.path("again.csv").to_str().unwrap());
    let again = question(world, "alice");
    assert_eq!((&again["who"][0]["part"], &again["who"][0]["met"]), (&json!("peer"), &json!(true)));
}

// An answer that nobody gave: too early, twice, from a page of before, for another question. And a refusal.
#[test]
fn only_a_considered_answer_counts_and_only_once() {
    let (world, _running) = asking();
    let browser = Browser::new("en");
    let deal = world.propose(&[]);
    let asked = id(&question(&world, "alice"));
    enter(&browser, &world, "alice");
    let page = format!("{}/approvals/{asked}", origin(&browser));
    browser.open(&page);
    // Nothing is chosen, and the page is read from its beginning.
    assert_eq!(browser.run("return [document.activeElement.tagName, scrollY]"), json!(["BODY", 0]));
    assert_eq!(browser.count("#answer input:checked"), 0);
    let sizes = browser.run(
        "return ['refuse', 'approve'].map(v => document.querySelector(`button[value=${v}]`).getBoundingClientRect()) \
         .map(r => [r.width, r.height])",
    );
    assert_eq!(sizes[0], sizes[1], "one answer is easier than the other");
    // As a program does it, without the script's pause: the window itself refuses.
    let post = |wait: u64, change: &str| {
        let script = format!(
            "const page = new DOMParser().parseFromString(await (await fetch({page:?})).text(), 'text/html'); \
             const form = new URLSearchParams(new FormData(page.querySelector('#answer form'))); \
             form.set('answer', 'approve'); {change} \
             await new Promise(done => setTimeout(done, {wait})); \
             const answered = await fetch({page:?}, {{ method: 'POST', body: form }}); \
             const said = new DOMParser().parseFromString(await answered.text(), 'text/html'); \
             return [answered.status, said.querySelector('main [role]').textContent];"
        );
        let [status, said] = serde_json::from_value::<[Value; 2]>(browser.run_async(&script)).unwrap();
        (status.as_u64().unwrap(), said.as_str().unwrap().to_owned())
    };
    let (status, said) = post(0, "");
    assert!(status == 422 && said.contains("before anybody can have read this"), "{status} {said}");
    for forged in ["form.set('ticket', '');", "form.set('seen', '00'.repeat(32));", "form.set('answer', '');"] {
        let (status, said) = post(1100, forged);
        assert!(status == 422 && said.contains("does not belong to this question"), "{forged} {status} {said}");
    }
    assert_eq!(approvals(&world, "alice").len(), 1, "something was answered");

    // Two tabs: the second answer says that it comes too late.
    let [second, first] = browser.open_tab(&page);
    wait_for_the_pause(&browser);
    browser.click("button[value=refuse]");
    browser.wait_for("[role=status]", "Refused. Nothing was signed.");
    browser.look("window-refused");
    browser.switch_to(&first);
    browser.wait_for("#still", "Refused by you");
    wait_for_the_pause(&browser);
    browser.click("button[value=approve]");
    browser.wait_for("h1", "This does not wait for an answer");
    browser.look("window-answered-before");
    assert_eq!(world.ending("alice", &deal), "lapsed");
    browser.switch_to(&second);
}

// Keys are locked: nothing is seen but picture and form, and whoever was inside is out.
#[test]
fn a_locked_window_shows_nothing_and_a_wrong_passphrase_opens_nothing() {
    let (world, mut running) = asking();
    let browser = Browser::new("en");
    world.propose(&[]);
    question(&world, "alice");
    enter(&browser, &world, "alice");
    let (home, phrase) = (origin(&browser), browser.text(".mark bdi"));
    let [locking, open] = browser.open_tab(&home);
    browser.click("form[action='/lock'] button");
    browser.wait_for("[role=status]", "Your keys are locked");
    // A page that is open elsewhere does not stay.
    browser.switch_to(&open);
    browser.wait_for("h1", "This approval window is closed");
    browser.switch_to(&locking);
    assert_eq!(world.json("alice", &["vault", "state", "--json"])["state"], "locked");
    let closed = until(|| {
        browser.open(&home);
        (browser.text("h1") == "This approval window is closed").then_some(())
    });
    assert!(closed.is_some() && browser.count(".mark") == 0, "whoever sits down there sees the picture");
    browser.open(&link(&world, "alice"));
    browser.wait_for("h1", "Your keys are locked");
    assert_eq!(browser.text(".mark bdi"), phrase, "the passphrase is asked for without the picture");
    assert_eq!(browser.count("#waiting, #facts"), 0);
    browser.look("window-locked");
    browser.fill("#passphrase", "wrong horse");
    browser.press(Key::Enter);
    browser.wait_for("[role=alert]", "The passphrase is wrong. Nothing was unlocked.");
    browser.look("window-wrong-passphrase");
    // A log that somebody has changed: nothing opens, and it is no success to look at.
    let log = world.path("alice/vault/log");
    let sound = std::fs::read(&log).unwrap();
    let mut changed = sound.clone();
    changed[1100] ^= 1;
    std::fs::write(&log, changed).unwrap();
    browser.fill("#passphrase", "only for tests");
    browser.press(Key::Enter);
    browser.wait_for("main", "was changed or damaged");
    assert_eq!((browser.count(".error[role=alert]"), browser.count(".notice, #waiting")), (1, 0));
    browser.look("window-damaged-log");
    std::fs::write(&log, sound).unwrap();
    browser.open(&origin(&browser));
    browser.fill("#passphrase", "only for tests");
    browser.press(Key::Enter);
    browser.wait_for("#waiting", "Sign this contract?");
    assert_eq!(world.json("alice", &["vault", "state", "--json"])["state"], "open");

    // The node ends, and vault and window with it: the page must not look as if it could still answer.
    drop(running.remove(1));
    browser.wait_for("#connection", "The connection to your approval window is lost.");
    browser.look("window-lost");
}

// Somebody sits down before a machine that its user has left; and a window where only the vault runs.
#[test]
fn after_a_long_silence_the_passphrase_comes_first() {
    let (world, mut running) = asking();
    drop(running.remove(1));
    let idle = Duration::from_secs(4);
    let mut vault = Command::new(env!("CARGO_BIN_EXE_semper"));
    vault.arg("vault-process").arg("--vault").arg(world.path("alice/vault")).args(["--idle", "4"]);
    let started = until(|| {
        // The one before may need a moment to end.
        let mut child = vault.stdin(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        if child.try_wait().unwrap().is_some() { None } else { Some(Process::of(child)) }
    });
    let _vault = started.expect("the vault does not start");
    let node = world.start("alice", &["up"]);
    world.propose(&[]);
    let asked = id(&question(&world, "alice"));
    drop(node);
    // The vault is still there. A window of the command's own begins.
    let mut command = world.command("alice", &["window", "--no-browser"]);
    let window = until(|| {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // The node's own window may still have given a link; it ends with its node.
        std::thread::sleep(Duration::from_millis(300));
        if child.try_wait().unwrap().is_some() { None } else { Some((line, Process::of(child))) }
    });
    let (way_in, _window) = window.expect("no window of its own");
    let browser = Browser::new("de");
    browser.open(way_in.trim());
    browser.wait_for("h1", "Daran erkennen Sie dieses Fenster");
    browser.look("window-first-run-de");
    browser.click("form[action='/us/known'] button");
    browser.wait_for("#waiting h2", "Diesen Vertrag unterschreiben?");
    std::thread::sleep(idle);
    browser.open(&format!("{}/approvals/{asked}", origin(&browser)));
    browser.wait_for("#answer", "Sie waren lange weg");
    assert_eq!(browser.count("#answer button[name=answer]"), 0);
    browser.look("window-idle-de");
    browser.fill("#passphrase", "only for tests");
    browser.press(Key::Enter);
    browser.wait_for("#answer button", "Vertrag unterschreiben");
    // The page was open while the silence began: the answer is not taken, and says why.
    wait_for_the_pause(&browser);
    std::thread::sleep(idle);
    browser.click("button[value=approve]");
    browser.wait_for("[role=alert]", "Nichts wurde unterschrieben oder abgelehnt");
    browser.fill("#passphrase", "only for tests");
    browser.press(Key::Enter);
    browser.wait_for("#answer button", "Vertrag unterschreiben");
    wait_for_the_pause(&browser);
    browser.click("button[value=approve]");
    browser.wait_for("[role=status]", "Unterschrieben.");
}

// A mandate is granted on a screen of its own, which says the most of all together and not that it is paid; what was signed under it is in the log
// with its limits, and what it does not cover says so.
#[test]
fn a_mandate_is_granted_used_and_exhausted() {
    let market = Market::with_careful_buyer("40.00 EUR");
    let (world, alice) = (&market.world, Browser::new("de"));
    let args = ["mandate", "add", "--what", "purchase", "--per-deal", "2.00 EUR", "--total", "2.00 EUR", "--until"];
    let later = semper_core::time::Time::from_unix(world_time() + 86_400).to_string();
    let later = later.replacen(' ', "T", 1).replace(" UTC", "Z");
    world.type_in("alice", &[args.as_slice(), &[&later]].concat(), "").failed_with(&["the question still waits"]);
    let asked = question(world, "alice");
    assert_eq!((&asked["verb"], &asked["gives"]), (&json!("grant"), &json!("2.00 EUR")));
    enter(&alice, world, "alice");
    alice.open(&format!("{}/approvals/{}", origin(&alice), id(&asked)));
    alice.wait_for("h1", "Dieses Mandat erteilen?");
    assert!(alice.text("#facts").contains("Höchstens insgesamt"), "{}", alice.text("#facts"));
    assert_eq!(said_by(&alice, "button[value=approve]"), "Bis 2,00\u{a0}EUR erlauben");
    alice.look("window-mandate");
    wait_for_the_pause(&alice);
    alice.click("button[value=approve]");
    alice.wait_for("[role=status]", "Unterschrieben.");

    let file = world.file("first.csv", "what was measured");
    let sell = ["sell", &file, "--price", "1.50 EUR", "--json", "--no-ask"];
    let offered = world.json("bob", &sell)["link"].as_str().unwrap().to_owned();
    let first = market.buy(&offered, world.path("first-bought.csv").to_str().unwrap());
    assert_eq!(world.ending("alice", &first), "success");
    let second = market.buy(&offered, world.path("second-bought.csv").to_str().unwrap());
    let asked = question(world, "alice");
    assert_eq!(asked["deal"], second.as_str());
    alice.open(&format!("{}/approvals/{}", origin(&alice), id(&asked)));
    alice.wait_for("#uncovered li", "0.50 EUR left of 2.00 EUR");
    // What was signed without her being asked does not make the seller one that she has met.
    assert!(alice.text("#facts").contains("Zum ersten Mal"), "{}", alice.text("#facts"));
    alice.look("window-uncovered");
    alice.open(&format!("{}/log", origin(&alice)));
    alice.wait_for("dl.facts", "1,50\u{a0}EUR");
    alice.look("window-log-mandate");
}

fn world_time() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

// A picture of one's own, and the same pages on a telephone, dark, in German.
#[test]
fn picture_and_phrase_are_the_users_own() {
    let (world, _running) = asking();
    let browser = Browser::dark("de");
    world.propose(&["--terms", &"This is a long contract.\n".repeat(60)]);
    let asked = id(&question(&world, "alice"));
    enter(&browser, &world, "alice");
    let home = origin(&browser);
    let picture = |browser: &Browser| browser.run("return document.querySelector('.mark img').src");
    let drawn = picture(&browser);
    assert!(drawn.as_str().unwrap().starts_with("data:image/svg+xml;base64,"), "{drawn}");
    browser.open(&format!("{home}/us"));
    browser.look("window-us-dark-de");
    let png = world.file("bicycle.png", PNG);
    browser.run("document.getElementById('phrase').value = ''");
    browser.fill("#phrase", "Mein Fahrrad ist blau");
    browser.fill("#alt", "ein blaues Fahrrad");
    browser.fill("#own", &png);
    browser.click("button[value=keep]");
    browser.wait_for(".mark bdi", "Mein Fahrrad ist blau");
    assert!(picture(&browser).as_str().unwrap().starts_with("data:image/png;base64,"));
    assert_eq!(browser.run("return document.querySelector('.mark img').alt"), "ein blaues Fahrrad");
    browser.fill("#own", &world.file("script.svg", "<svg onload='alert(1)'/>"));
    browser.click("button[value=keep]");
    browser.wait_for("[role=alert]", "Nichts wurde geändert");
    browser.look("window-us-refused-dark-de");
    browser.click("button[value=draw]");
    browser.wait_gone("[role=alert]");
    browser.wait_for(".mark bdi", "Mein Fahrrad ist blau");
    let other = picture(&browser);
    assert!(other != drawn && other.as_str().unwrap().starts_with("data:image/svg+xml;base64,"));

    // A long text is read from its beginning; a link leads past it.
    browser.size(390, 844);
    browser.open(&format!("{home}/approvals/{asked}"));
    browser.wait_for("#text pre", "This is a long contract.");
    assert_eq!(browser.run("return document.activeElement.tagName"), "BODY", "the page jumps to its end");
    browser.look("window-contract-narrow-dark-de");
    browser.follow("Überspringen");
    assert_eq!(browser.run("return location.hash"), "#answer");
    browser.click("#bytes summary");
    browser.look("window-bytes-narrow-dark-de");
    let saved = browser.run_async(&format!(
        "return [...new Uint8Array(await (await fetch('{home}/approvals/{asked}/core')).arrayBuffer())].length"
    ));
    assert!(saved.as_u64().unwrap() > 100, "{saved}");
    browser.open(&home);
    browser.look("window-list-narrow-dark-de");
}

/// A picture of one dot.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8,
    6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 13, b'I', b'D', b'A', b'T', 0x78, 0xda, 0x63, 0x64, 0x60, 0xf8, 0x5f,
    0x0f, 0, 0x02, 0x87, 0x01, 0x80, 0xeb, 0x47, 0xba, 0x92, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60,
    0x82,
];

// A shop's page in the browser in which the window is open, with all that it could ever learn: the window's address, the question, even the ticket of the
// page. It gets nothing answered and nothing to show.
//
// What this cannot show: whether a person notices that the fake has no picture. Most do not; so the answer that the fake collects must be worth nothing, and
// it is: only the window's own pages can answer.
#[test]
fn a_hostile_page_answers_nothing_and_cannot_look_like_the_window() {
    let (world, _running) = asking();
    let browser = Browser::new("en");
    world.propose(&[]);
    let asked = id(&question(&world, "alice"));
    enter(&browser, &world, "alice");
    let (home, phrase) = (origin(&browser), browser.text(".mark bdi"));
    let page = format!("{home}/approvals/{asked}");
    browser.open(&page);
    wait_for_the_pause(&browser);
    let form = browser.run("return Object.fromEntries(new FormData(document.querySelector('#answer form')))");
    let (ticket, seen) = (form["ticket"].as_str().unwrap(), form["seen"].as_str().unwrap());
    let port = home.rsplit(':').next().unwrap();

    let shop = shop(format!(
        "<!DOCTYPE html><title>Shop</title><h1>Semper: approve</h1><iframe src='{page}'></iframe>
         <form id=forged method=post action='{page}' target=_blank>
           <input name=answer value=approve><input name=seen value='{seen}'><input name=ticket value='{ticket}'></form>
         <button id=fake>Sign and pay</button>
         <script>
           const loot = [document.cookie, document.referrer];
           async function steal() {{
             for (const mode of ['cors', 'no-cors']) for (const path of ['{home}/', '{page}', '{home}/us', '{home}/log'])
               try {{ loot.push(mode + ' read ' + await (await fetch(path, {{ mode, credentials: 'include' }})).text()); }}
               catch (error) {{ loot.push(mode + ' refused'); }}
             const body = new URLSearchParams({{ answer: 'approve', seen: '{seen}', ticket: '{ticket}' }});
             for (const mode of ['cors', 'no-cors'])
               try {{ await fetch('{page}', {{ method: 'POST', mode, credentials: 'include', body }}); }} catch (error) {{}}
             for (const path of ['{home}/picture', '{home}/'])
               loot.push('image ' + await new Promise(done => {{
                 const image = new Image(); image.onload = () => done('shown'); image.onerror = () => done('refused'); image.src = path;
               }}));
             return loot;
           }}
           document.getElementById('fake').onclick = () => document.documentElement.requestFullscreen();
         </script>"
    ));
    let shop = format!("http://shop.localhost:{shop}/");
    let [evil, own] = browser.open_tab(&shop);
    let loot = browser.run_async("return await steal()");
    let loot: Vec<String> = serde_json::from_value(loot).unwrap();
    assert!(loot.len() == 12 && loot[2..].iter().all(|got| got.ends_with("refused")), "{loot:?}");
    // In a frame.
    let framed = browser.text_in_frame();
    assert!(!framed.contains(&phrase) && !framed.contains("Sign this contract?"), "{framed}");
    // A form, sent with a click, with a ticket that is good.
    browser.run("document.getElementById('forged').submit()");
    let forged = until(|| browser.tabs().into_iter().find(|tab| *tab != evil && *tab != own)).unwrap();
    browser.switch_to(&forged);
    browser.wait_for("body", "another page has sent this");
    assert_eq!(approvals(&world, "alice").len(), 1, "a page of somebody else has answered");
    // A window that the page opens belongs to whoever asked for it: it is not inside.
    browser.switch_to(&evil);
    browser.run(&format!("window.opened = window.open('{page}')"));
    let opened = until(|| browser.tabs().into_iter().find(|tab| ![&evil, &own, &forged].contains(&tab))).unwrap();
    browser.switch_to(&opened);
    browser.wait_for("h1", "This approval window is closed");
    assert_eq!(browser.count(".mark"), 0);
    // Names that are made up, and a name that leads to this machine and this port (DNS rebinding).
    for guess in ["window-0000000000000000", "evil", "window"] {
        browser.open(&format!("http://{guess}.localhost:{port}/"));
        browser.wait_for("body", "This is another address");
    }
    let inside = browser.run_async("return (await fetch('/', { credentials: 'include' })).status");
    assert_eq!(inside, 403, "a name that was bound to this machine reads the window");
    browser.open(&format!("http://127.0.0.1:{port}/"));
    browser.wait_for("body", "This is another address");
    // The whole screen, drawn by somebody else.
    browser.switch_to(&evil);
    browser.click("#fake");
    let all = browser.run("return document.documentElement.outerHTML");
    assert!(!all.as_str().unwrap().contains(&phrase) && browser.count(".mark, img") == 0, "{all}");
    browser.look_only("hostile-full-screen");
    browser.press(Key::Enter);
    assert_eq!(approvals(&world, "alice").len(), 1, "a page of somebody else has answered");

    // The same answer from the window itself is taken: what was refused above was good but for where it came from.
    browser.switch_to(&own);
    wait_for_the_pause(&browser);
    browser.click("button[value=approve]");
    browser.wait_for("[role=status]", "Signed.");
    assert_eq!(approvals(&world, "alice").len(), 0);
}

// What a person does: the command hands the browser a page of the vault's directory, and the window is there.
#[test]
fn the_command_opens_the_window_in_the_browser() {
    let (world, _running) = asking();
    let browser = Browser::new("en");
    let page = page_opened_by(&world, &["window"]);
    assert!(page.starts_with(world.path("alice/vault").to_str().unwrap()), "a confined node can read {page}");
    browser.open(&format!("file://{page}"));
    browser.wait_for("h1", "This is how you know this window");
    assert!(!browser.url().contains("/enter/"), "the link stays where others may see it: {}", browser.url());
}

// Whoever can reach the window's socket and not read the token gets no link; and a second window does not begin.
#[test]
fn links_are_for_the_user_and_there_is_one_window() {
    use std::io::Read as _;
    let (world, _running) = asking();
    let vault = world.path("alice/vault");
    let mut stream = std::os::unix::net::UnixStream::connect(vault.join("window/socket")).unwrap();
    stream.write_all(&[7; 32]).unwrap();
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    assert_eq!(said, "", "a link for whoever asks");
    let mut second = Command::new(env!("CARGO_BIN_EXE_semper"));
    let status = second.arg("window-process").arg(&vault).stdin(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(4));
    assert!(link(&world, "alice").starts_with("http://window-"));
}

// The window needs no other file, no network and no program, and says goodbye to them.
#[test]
#[cfg(target_os = "linux")]
fn the_window_is_confined() {
    let (world, running) = asking();
    link(&world, "alice");
    let children =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let of_alice = |pid: &String| {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let parent = format!("PPid:\t{}\n", running[1].id());
        read("cmdline").contains("window-process") && read("status").contains(&parent)
    };
    let windows: Vec<String> = children.filter(of_alice).collect();
    let [window] = windows.as_slice() else { panic!("{windows:?}") };
    let status = std::fs::read_to_string(format!("/proc/{window}/status")).unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{status}");
    }
}

// A deal whose question waits says where to answer it, and leads nowhere: pages of the desk do not open the window.
#[test]
fn the_desk_says_how_to_open_the_window_and_does_not() {
    let (world, _running) = asking();
    let deal = deal_in(
        &world
            .run("alice", &["send", &world.file("a.txt", "a"), "--to", "bob", "--signed", "--no-ask", "--no-wait"])
            .good(),
    );
    question(&world, "alice");
    let browser = Browser::new("en");
    browser.open(world.run("alice", &["desk", "--no-browser"]).good().trim());
    browser.wait_for("nav .badge", "1");
    browser.open(&format!("{}/deals/{deal}", origin(&browser)));
    assert!(browser.text("#standing").contains("semper window"), "{}", browser.text("#standing"));
    let leads = browser.run("return [...document.querySelectorAll('a, form')].map(e => e.href || e.action)");
    assert!(!leads.to_string().contains("window-"), "{leads}");
    // In the window a question that fits on the screen has the focus where nothing can be lost.
    enter(&browser, &world, "alice");
    browser.follow("Send this, signed by you?");
    browser.wait_for("#text pre", "a.txt");
    assert_eq!(browser.run("return document.activeElement.value"), "refuse");
    browser.look("window-letter");
}
