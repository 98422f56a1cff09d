//! Backups and restores, with real processes. What could go wrong: a backup lacks what a party needs, or a damaged one passes; a party that was restored signs what
//! contradicts what it has signed since, counts coins that are spent, uses a mandate twice; a crash leaves something that looks whole.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rand::RngExt as _;
use serde_json::Value;

use crate::browser::Browser;
use crate::mandate::tomorrow;
use crate::market::Market;
use crate::world::{World, deal_in, random, until};

/// Alice's place among the processes of a market, and the arbiter's and Bob's.
const ALICE: usize = 2;
const ARBITER: usize = 1;
const BOB: usize = 3;

impl World {
    fn back_up(&self, party: &str, name: &str) -> String {
        let file = self.path(name).display().to_string();
        let said = self.run(party, &["backup", &file]).good();
        assert!(said.contains("is written and checked"), "{said}");
        file
    }

    /// The party's directory is lost, and made again from a backup. Nothing of it runs.
    fn lose_and_restore(&self, party: &str, file: &str) -> String {
        fs::remove_dir_all(self.path(party)).unwrap();
        let said = self.run(party, &["restore", file]).good();
        assert!(said.contains("Never start the directory"), "{said}");
        // The policy of these tests is no part of a party.
        fs::write(self.path(party).join("policy.toml"), "[[allow]]\nwhat = \"contract\"\n").unwrap();
        said
    }

    fn balance(&self, party: &str, system: &str) -> Value {
        let purses = self.json(party, &["wallet", "balance", "--json"]);
        purses.as_array().unwrap().iter().find(|purse| purse["system"] == system).unwrap().clone()
    }

    /// What a party holds when its mint or bank has said so.
    #[track_caller]
    fn settled(&self, party: &str, system: &str) -> String {
        let seen = until(|| Some(self.balance(party, system)).filter(|purse| purse["unseen"] == false));
        seen.expect("the purse was never looked through")["available"].as_str().unwrap().to_owned()
    }

    fn says(&self, party: &str, deal: &str) -> String {
        self.run(party, &["deals", "show", deal]).good()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Nobody in the folders has contradicted itself, whoever judges.
#[track_caller]
fn nobody_cheated(world: &World, deal: &str) {
    for party in ["alice", "bob"] {
        let report = world.report(&world.export(party, deal));
        assert_eq!(report["sound"], true, "{party}: {report:#}");
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{party}: {report:#}");
    }
}

// Everything that a party needs is in the file, and what was used since does not count twice.
#[test]
fn a_party_comes_back_with_what_it_had() {
    let mut market = Market::new("40.00 EUR");
    market.open_bank();
    let world = &market.world;
    let warned = world.run("alice", &["wallet", "balance"]).good();
    assert!(warned.contains("Not backed up: ") && warned.contains("40.00 EUR"), "{warned}");
    let file = world.file("data.csv", "a,b\n1,2\n");
    let link = market.sell(&file);
    let first = market.buy(&link, world.path("first.csv").to_str().unwrap());
    assert_eq!(world.ending("alice", &first), "success");
    let mandate = grant(world);

    let backup = world.back_up("alice", "alice.backup");
    assert_eq!(mode(Path::new(&backup)), 0o600);
    let found = world.json("nobody", &["backup", "--check", &backup, "--json"]);
    assert_eq!(
        (&found["name"], &found["deals"], &found["purses"]),
        (&"alice".into(), &1.into(), &2.into()),
        "{found:#}"
    );
    assert!(found["log_entries"].as_u64().unwrap() > 0 && found["open_deals"] == 0, "{found:#}");
    assert!(!found["left_out"].as_array().unwrap().is_empty(), "the ciphertext of what she bought: {found:#}");
    assert!(!world.path("nobody").exists(), "a check needs no directory and makes none");
    let calm = world.run("alice", &["wallet", "balance"]).good();
    assert!(!calm.contains("Not backed up"), "{calm}");

    // After the backup: another purchase. Then her machine is lost.
    let second = market.buy(&link, world.path("second.csv").to_str().unwrap());
    assert_eq!(world.ending("alice", &second), "success");
    let warned = world.run("alice", &["wallet", "balance"]).good();
    assert!(warned.contains("Not backed up since") && warned.contains(": 1 deal would be lost"), "{warned}");
    let (coins, account) = (market.coins("alice"), market.account("alice"));
    drop(market.running.remove(ALICE));
    let world = &market.world;
    let said = world.lose_and_restore("alice", &backup);
    assert!(said.contains("Your mandates are revoked"), "{said}");
    for private in ["", "vault", "vault/user", "archive"] {
        assert_eq!(mode(&world.path("alice").join(private)), 0o700, "{private}");
    }
    assert_eq!(mode(&world.path("alice").join("vault/keys")), 0o600);

    market.running.insert(ALICE, market.world.up("alice"));
    let world = &market.world;
    assert_eq!((world.settled("alice", "ecash"), world.settled("alice", "account")), (coins, account));
    let deals = world.json("alice", &["deals", "list", "--json"]);
    assert_eq!(deals.as_array().unwrap().len(), 1, "{deals:#}");
    assert_eq!(world.report(&world.export("alice", &first))["sound"], true);
    assert!(world.run("alice", &["contact", "list"]).good().contains("arbiter"));
    let log = world.run("alice", &["vault", "log"]).good();
    assert!(log.contains("restored from the backup of"), "{log}");
    let mandates = world.json("alice", &["mandate", "list", "--json"]);
    let state =
        mandates.as_array().unwrap().iter().find(|found| found["id"] == mandate.as_str()).map(|found| &found["state"]);
    assert_eq!(state, Some(&"revoked".into()), "{mandates:#}");
    // She goes on: the coins that she has are good, and no counter is used twice.
    let third = market.buy(&link, world.path("third.csv").to_str().unwrap());
    let approval = world.asked("alice");
    world.says_yes("alice", &approval).good();
    assert_eq!(world.ending("alice", &third), "success");
}

/// A mandate of Alice's for the contracts of anybody.
fn grant(world: &World) -> String {
    let until = tomorrow();
    let scope = ["mandate", "add", "--what", "contract", "--arbiter", "arbiter", "--until", &until];
    let said = world.type_in("alice", &scope, "sign\n").good();
    said.lines().find_map(|line| line.strip_prefix("Mandate ")).unwrap().to_owned()
}

/// A purchase that Alice has promised to pay for; Bob is away. What is bought goes to the file.
fn promised(market: &mut Market, file: &str, bytes: &[u8]) -> String {
    let world = &market.world;
    let goods = world.file("data.bin", bytes);
    let pace = ["--valid-for", "3600", "--complaints", "6", "--delta", "1", "--sigma", "1"];
    let args = ["sell", &goods, "--price", "12.00 EUR", "--json", "--no-ask"];
    let sold = world.json("bob", &[args.as_slice(), &pace].concat());
    fs::write(world.path("alice").join("policy.toml"), "").unwrap();
    drop(market.running.remove(ALICE));
    market.running.insert(ALICE, market.world.up("alice"));
    let world = &market.world;
    let args = ["buy", sold["link"].as_str().unwrap(), "--save-as", file, "--no-ask", "--no-wait"];
    let deal = deal_in(&world.run("alice", &args).good());
    let approval = world.asked("alice");
    drop(market.running.remove(BOB));
    let world = &market.world;
    world.says_yes("alice", &approval).good();
    world.wait("alice", &deal, "her promise", |view| view["state"] == "await-peer-final");
    deal
}

// The buyer's machine is lost after the purchase went on, and the backup is from before. The arbiter says what became of it; while it is not there, the
// deal is paused, and its user sees that.
#[test]
fn an_open_purchase_is_restored() {
    let mut market = Market::new("40.00 EUR");
    let bytes = vec![9; 70_000];
    let bought = market.world.path("bought.bin");
    let deal = promised(&mut market, bought.to_str().unwrap(), &bytes);
    let backup = market.world.back_up("alice", "alice.backup");
    // The original goes on and completes, with a seller who needs no arbiter.
    market.running.push(market.world.up("bob"));
    assert_eq!(market.world.ending("alice", &deal), "success");
    assert_eq!(market.world.ending("bob", &deal), "success");
    fs::remove_file(&bought).unwrap();
    drop(market.running.remove(ALICE));
    drop(market.running.remove(ARBITER));
    let said = market.world.lose_and_restore("alice", &backup);
    assert!(said.contains("1 deal had not ended"), "{said}");
    market.running.insert(ARBITER, market.world.up("alice"));
    let world = &market.world;
    assert!(world.says("alice", &deal).contains("paused since the restore"), "{}", world.says("alice", &deal));
    // Her own impatience changes nothing.
    world.run("alice", &["deals", "give-up", &deal, "--no-wait"]).good();
    assert_eq!(world.settled("alice", "ecash"), "28.00 EUR");
    let view = world.deal("alice", &deal);
    assert!(view["ending"].is_null() && view["waits_for"] == "arbiter", "{view:#}");
    market.running.push(market.world.serve("arbiter"));
    let world = &market.world;
    assert_eq!(world.ending("alice", &deal), "success");
    assert_eq!(fs::read(&bought).unwrap(), bytes);
    assert_eq!(market.coins("alice"), "28.00 EUR");
    assert_eq!(market.coins("bob"), "12.00 EUR");
    nobody_cheated(world, &deal);
    let over = until(|| world.json("alice", &["backup", "--status", "--json"])["restored"].is_null().then_some(()));
    assert!(over.is_some(), "the mark never goes");
}

// The originator has signed its final after the backup. An abort now would contradict it; so nothing is signed, whatever its user wants.
#[test]
fn no_abort_after_a_final_that_the_backup_does_not_know() {
    let mut world = World::of_two();
    let (alice, arbiter) = (world.up("alice"), world.serve("arbiter"));
    let deal = world.propose(&["--valid-for", "1"]);
    world.wait("alice", &deal, "a proposal on its way", |view| view["id"].is_string());
    let bob = world.start("bob", &["up"]);
    let approval = world.asked("bob");
    let state = world.wait("alice", &deal, "her promise", |view| view["state"] == "await-peer-promise");
    assert!(state["ending"].is_null());
    let backup = world.back_up("alice", "alice.backup");
    world.says_yes("bob", &approval).good();
    assert_eq!(world.ending("alice", &deal), "success");
    assert_eq!(world.ending("bob", &deal), "success");
    drop(alice);
    world.lose_and_restore("alice", &backup);
    let alice = world.up("alice");
    world.wait("alice", &deal, "her question", |view| view["state"] == "await-verdict");
    world.run("alice", &["deals", "give-up", &deal, "--no-wait"]).good();
    assert!(world.says("alice", &deal).contains("paused since the restore"));
    assert!(world.deal("alice", &deal)["ending"].is_null());
    // The contract's time is over, and nobody has asked the arbiter for anything.
    drop((alice, arbiter));
    world.go_ahead("+2d");
    let (_arbiter, _alice) = (world.serve("arbiter"), world.up("alice"));
    assert_eq!(world.ending("alice", &deal), "lapsed");
    let said = world.says("alice", &deal);
    assert!(said.contains("the other party may hold a complete contract"), "{said}");
    nobody_cheated(&world, &deal);
    let report = world.report(&world.export("bob", &deal));
    assert_eq!(report["contracts"][0]["standing"], "complete", "{report:#}");
    drop(bob);
}

// The same where the original has aborted: the arbiter says so, and the restored one ends alike.
#[test]
fn an_abort_after_the_backup_is_learned() {
    let world = World::of_two();
    let (alice, _arbiter) = (world.up("alice"), world.serve("arbiter"));
    let bob = world.start("bob", &["up"]);
    let deal = world.propose(&[]);
    world.wait("alice", &deal, "her promise", |view| view["state"] == "await-peer-promise");
    let backup = world.back_up("alice", "alice.backup");
    world.run("alice", &["deals", "give-up", &deal]);
    assert_eq!(world.ending("alice", &deal), "aborted");
    drop(alice);
    world.lose_and_restore("alice", &backup);
    let _alice = world.up("alice");
    assert_eq!(world.ending("alice", &deal), "aborted");
    nobody_cheated(&world, &deal);
    drop(bob);
}

// What was cut off, changed, or is something else is refused with words, and leaves nothing.
#[test]
fn what_is_no_good_backup_is_refused() {
    let world = World::of_two();
    let backup = world.back_up("alice", "alice.backup");
    let whole = fs::read(&backup).unwrap();
    world.run("alice", &["backup", &backup]).failed_with(&["there is a file", "nothing was written"]);
    assert_eq!(fs::read(&backup).unwrap(), whole);
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    let cut = &whole[..whole.len() - 1];
    let bad =
        [("cut", cut, "is damaged"), ("changed", &changed, "is damaged"), ("foreign", b"PK\x03\x04", "is no backup")];
    for (name, bytes, why) in bad {
        let file = world.file(name, bytes);
        world.run("nobody", &["backup", "--check", &file]).failed_with(&[why]);
        world.run("nobody", &["restore", &file]).failed_with(&[why]);
    }
    let other = world.file("other-passphrase", "another passphrase\n");
    world.run("nobody", &["restore", &backup, "--file-passphrase", &other]).failed_with(&["wrong passphrase"]);
    world.run("bob", &["restore", &backup]).failed_with(&["is not empty", "Nothing was changed"]);
    assert!(!world.path("nobody").exists() && !world.path("nobody.restoring").exists());
    // An empty directory is as good as none, and whoever has another passphrase for the file uses it.
    let own = world.path("own.backup").display().to_string();
    world.run("alice", &["backup", &own, "--file-passphrase", &other]).good();
    fs::create_dir(world.path("nobody")).unwrap();
    world.run("nobody", &["restore", &own]).failed_with(&["wrong passphrase"]);
    world.run("nobody", &["restore", &own, "--file-passphrase", &other]).good();
    assert!(world.run("nobody", &["contact", "list"]).good().contains("bob"));
    // The first thing that one does with a new party.
    world.init("carol", &[]);
    let fresh = world.back_up("carol", "carol.backup");
    world.lose_and_restore("carol", &fresh);
    assert_eq!(world.json("carol", &["deals", "list", "--json"]).as_array().map(Vec::len), Some(0));
}

// Killed at any moment, a backup is whole or has no name, and so is what is restored; the next attempt goes through.
#[test]
fn a_kill_leaves_no_half_backup_and_no_half_party() {
    let world = World::of_two();
    let mut random = random();
    let good = world.back_up("alice", "good.backup");
    let (mut whole, mut nothing) = (0, 0);
    for round in 0..12 {
        let file = world.path(&format!("{round}.backup"));
        kill(&world, "alice", &["backup", file.to_str().unwrap()], random.random_range(0..700));
        if file.exists() {
            whole += 1;
            world.run("nobody", &["backup", "--check", file.to_str().unwrap()]).good();
        } else {
            nothing += 1;
            world.run("alice", &["backup", file.to_str().unwrap()]).good();
        }
        assert!(!world.path("alice").join("archive/copy").exists() || !file.exists());
        let new = format!("new-{round}");
        kill(&world, &new, &["restore", &good], random.random_range(0..700));
        if !world.path(&new).exists() {
            world.run(&new, &["restore", &good]).good();
        }
        assert!(world.run(&new, &["contact", "list"]).good().contains("bob"), "round {round}");
        assert!(!world.path(&format!("{new}.restoring")).exists());
    }
    println!("{whole} were whole, {nothing} were nothing");
}

// The desk warns as long as something would be lost, says where a restored party stands, and can be read by everybody.
#[test]
fn the_desk_shows_what_is_not_backed_up_and_what_is_paused() {
    let mut market = Market::new("40.00 EUR");
    let bought = market.world.path("bought.bin");
    let deal = promised(&mut market, bought.to_str().unwrap(), &[5; 70_000]);
    let open = |world: &World| world.run("alice", &["desk", "--no-browser"]).good().trim().to_owned();
    let (world, browser) = (&market.world, Browser::new("en"));
    browser.open(&open(world));
    let notice = browser.text("#backup-notice");
    for part in ["Not backed up", "1 deal and 28.00", "would be lost"] {
        assert!(notice.contains(part), "{notice}");
    }
    browser.look("backup-notice");
    browser.follow("What to do");
    browser.wait_for("h1", "Backup");
    assert!(browser.text("main").contains("semper backup FILE") && browser.text("#standing").contains("never"));
    browser.look("backup-never");
    browser.size(390, 844);
    browser.click("footer button[value=de]");
    browser.wait_for("h1", "Sicherung");
    browser.look("backup-never-narrow-de");
    drop(browser);

    let backup = world.back_up("alice", "alice.backup");
    let browser = Browser::new("en");
    browser.open(&open(world));
    assert_eq!(browser.text("#backup-notice").trim(), "");
    browser.follow("Backup");
    browser.wait_for("#standing", "is in the last backup");
    browser.look("backup-made");
    drop(browser);

    drop(market.running.remove(ALICE));
    drop(market.running.remove(ARBITER));
    market.world.lose_and_restore("alice", &backup);
    market.running.push(market.world.up("alice"));
    let (world, browser) = (&market.world, Browser::new("en"));
    world.settled("alice", "ecash");
    world.wait("alice", &deal, "her question", |view| view["state"] == "await-verdict");
    browser.open(&open(world));
    let notice = browser.text("#backup-notice");
    assert!(notice.contains("Restored from the backup of") && notice.contains("1 deal"), "{notice}");
    assert!(browser.text("#deals").contains("Paused since the restore"), "{}", browser.text("#deals"));
    browser.look("restored-deals");
    browser.follow("What to do");
    browser.wait_for("#standing", "nothing new is signed");
    browser.look("restored-backup");
    browser.click("footer button[value=de]");
    browser.wait_for("#standing", "Wiederhergestellt aus der Sicherung");
    browser.look("restored-backup-de");
}

/// A command that is killed after so many milliseconds.
fn kill(world: &World, party: &str, args: &[&str], after: u64) {
    let mut child = world.command(party, args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(after));
    let _ = child.kill();
    child.wait().unwrap();
}
