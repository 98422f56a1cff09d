//! Information for the show of a right, between real processes: a giver, a holder, an issuer and an arbiter.
//!
//! What could go wrong: a right is used more often than it was granted; a use is taken and nothing came for it, or something came and no use was taken; a crash
//! of the holder, the giver or the issuer in the middle loses one side's due.

use crate::credential::{issue, standing};
use crate::world::{Process, World, deal_in, until};

const RIGHT: &str = "one look at the map";
const MAP: &str = "the treasure is under the third tree\n";

/// Bob gives a map to whoever shows a right by the issuer's word; Alice and Bob do not know each other.
struct Access {
    world: World,
    running: Vec<(&'static str, Process)>,
}

impl Access {
    fn new() -> Self {
        let world = World::new();
        world.init("issuer", &["--role", "issuer"]);
        world.init("arbiter", &["--role", "arbiter"]);
        let mut access = Self { world, running: Vec::new() };
        access.start("issuer");
        access.start("arbiter");
        for party in ["alice", "bob"] {
            let world = &access.world;
            world.init(party, &[]);
            world.configure(party, |config| {
                config.insert("patience".to_owned(), 30.into());
                config.insert("retry_max".to_owned(), 1.into());
            });
            std::fs::write(world.path(party).join("policy.toml"), "[[allow]]\nwhat = \"offer\"\n").unwrap();
            world.run(party, &["contact", "add", &world.card("arbiter"), "--arbiter"]).good();
            world.run(party, &["contact", "add", &world.card("issuer")]).good();
            access.start(party);
        }
        access
    }

    fn start(&mut self, who: &'static str) {
        let process = if ["issuer", "arbiter"].contains(&who) { self.world.serve(who) } else { self.world.up(who) };
        self.running.push((who, process));
    }

    /// As by kill -9.
    fn kill(&mut self, who: &str) {
        self.running.retain(|(name, _)| *name != who);
    }

    /// Gives Alice a credential; its serial number.
    fn grant(&self, more: &[&str]) -> String {
        let file = issue(&self.world, "alice", RIGHT, more);
        let added = self.world.run("alice", &["credential", "add", &file]).good();
        let serial = added.lines().find_map(|line| line.trim().strip_prefix("serial number  ")).unwrap().to_owned();
        std::fs::remove_file(file).unwrap();
        serial
    }

    fn offer(&self) -> String {
        let file = self.world.file("map.txt", MAP);
        let args = ["sell", &file, "--for-credential", RIGHT, "--issuer", "issuer", "--json", "--no-ask"];
        let offered = self.world.json("bob", &args);
        assert!(offered["approval"].is_null(), "{offered}");
        offered["link"].as_str().unwrap().to_owned()
    }

    /// Alice takes up the offer and is asked; the deal.
    fn order(&self, link: &str, save_as: &str, more: &[&str]) -> String {
        let args = ["buy", link, "--save-as", save_as, "--no-ask", "--no-wait"];
        deal_in(&self.world.run("alice", &[args.as_slice(), more].concat()).good())
    }

    fn approve(&self) -> String {
        let approval = self.world.asked("alice");
        self.world.says_yes("alice", &approval).good()
    }

    fn has(&self, name: &str) -> bool {
        std::fs::read_to_string(self.world.path(name)).is_ok_and(|got| got == MAP)
    }

    fn left(&self, serial: &str) -> (u64, u64) {
        let standing = standing(&self.world, serial);
        (standing["left"].as_u64().unwrap(), standing["kept"].as_u64().unwrap())
    }

    #[track_caller]
    fn ends(&self, deal: &str, ending: &str) {
        for party in ["alice", "bob"] {
            assert_eq!(self.world.ending(party, deal), ending, "{party}");
        }
    }

    /// The issuer keeps nothing for Alice, so she promises nothing, and Bob has the arbiter take his own promise back.
    #[track_caller]
    fn declined(&self, deal: &str) {
        assert_eq!([self.world.ending("alice", deal), self.world.ending("bob", deal)], ["lapsed", "aborted"]);
    }

    /// Waits until the issuer has taken all uses but so many.
    #[track_caller]
    fn settles(&self, serial: &str, left: u64) {
        let settled = until(|| (self.left(serial) == (left, 0)).then_some(()));
        assert!(settled.is_some(), "the issuer says (left, kept) = {:?}", self.left(serial));
    }

    /// What a stranger reads in a party's folder about the right; waits for the issuer's word that a use was taken, if `taken`.
    #[track_caller]
    fn proven(&self, party: &str, deal: &str, standing: &str, taken: bool) -> serde_json::Value {
        let mut last = serde_json::Value::Null;
        let found = until(|| {
            let out = self.world.export(party, deal);
            last = self.world.report(&out);
            std::fs::remove_file(out).unwrap();
            let right = last["contracts"][0]["right"].clone();
            (right["spent"].is_u64() == taken).then_some(right)
        });
        let right = found.unwrap_or_else(|| panic!("{party}: {last:#}"));
        assert_eq!(last["sound"], true, "{party}: {last:#}");
        assert_eq!(last["contracts"][0]["standing"], standing, "{party}: {last:#}");
        assert_eq!((&right["right"], &right["credential"]), (&RIGHT.into(), &true.into()), "{party}: {last:#}");
        right
    }
}

#[test]
fn a_right_is_used_as_often_as_it_was_granted() {
    let access = Access::new();
    let serial = access.grant(&["--uses", "1"]);
    let link = access.offer();
    let listed = access.world.run("bob", &["offers", "list"]).good();
    assert!(listed.contains("a right (one look at the map)"), "{listed}");
    let deal = access.order(&link, "first.txt", &[]);
    let shown = access.approve();
    assert!(shown.contains("INFORMATION FOR A RIGHT") && shown.contains(&serial), "{shown}");
    access.ends(&deal, "success");
    assert!(access.has("first.txt"));
    access.settles(&serial, 0);
    assert_eq!(standing(&access.world, &serial)["state"], "used-up");
    let right = access.proven("bob", &deal, "complete", true);
    assert_eq!(right["use"], 1);
    access.proven("alice", &deal, "complete", false);
    let out = access.world.export("bob", &deal);
    let told = access.world.verify(&out).good();
    assert!(told.contains("its issuer took that use on"), "{told}");
    let judged =
        |claim: &str| access.world.run("nobody", &["judge", &out.display().to_string(), "--claim", claim]).code;
    assert_eq!(judged("used-right(responder, before 2099-01-01T00:00:00Z)"), Some(0), "with the issuer's date");
    assert_eq!(judged("used-right(responder, before 2020-01-01T00:00:00Z)"), Some(1));
    assert_eq!(judged("used-right(originator)"), Some(1));
    // The use is gone: the same credential shows nothing any more, and nobody is bound.
    let second = access.order(&link, "second.txt", &[]);
    access.approve();
    access.declined(&second);
    assert!(!access.has("second.txt"));
    // Whoever has no such right is told at once.
    access
        .world
        .run("bob", &["buy", &link, "--save-as", "x.txt", "--no-ask"])
        .failed_with(&["you have no valid credential"]);
}

#[test]
fn a_right_without_a_number_is_used_freely() {
    let access = Access::new();
    let serial = access.grant(&[]);
    let link = access.offer();
    for name in ["first.txt", "second.txt"] {
        let deal = access.order(&link, name, &["--credential", &serial[..8]]);
        access.approve();
        access.ends(&deal, "success");
        assert!(access.has(name));
        let right = access.proven("bob", &deal, "complete", false);
        assert!(right["use"].is_null() && right["kept_until"].is_u64(), "{right}");
    }
    assert!(standing(&access.world, &serial)["left"].is_null());
    let refused = ["buy", &link, "--credential", "ffff", "--save-as", "x.txt", "--no-ask"];
    access.world.run("alice", &refused).failed_with(&["you have no valid credential"]);
}

// Bob's machine goes down after his promise. The arbiter gives Alice the key, and the use is taken all the same.
#[test]
fn a_silent_giver_keeps_nothing_back_and_the_use_is_taken() {
    let mut access = Access::new();
    let serial = access.grant(&["--uses", "2"]);
    let deal = access.order(&access.offer(), "map.txt.got", &["--patience", "10"]);
    access.world.asked("alice");
    access.kill("bob");
    access.approve();
    assert_eq!(access.world.ending("alice", &deal), "success");
    assert!(access.has("map.txt.got"));
    access.settles(&serial, 1);
    access.proven("alice", &deal, "resolved", true);
    access.start("bob");
    assert_eq!(access.world.ending("bob", &deal), "success");
    access.proven("bob", &deal, "resolved", true);
    access.settles(&serial, 1);
}

// The holder and the issuer are killed between the promise and the end. Both go on, and one use is taken, once.
#[test]
fn crashes_of_holder_and_issuer_lose_nothing() {
    let mut access = Access::new();
    let serial = access.grant(&["--uses", "3"]);
    let link = access.offer();
    let deal = access.order(&link, "map.txt.got", &["--patience", "60"]);
    access.world.asked("alice");
    // Alice's promise waits for the issuer, which does not answer; then Alice's machine goes down, too.
    access.kill("issuer");
    access.approve();
    access.world.wait("alice", &deal, "the issuer", |view| view["state"] == "depositing");
    access.kill("alice");
    access.start("issuer");
    assert_eq!(access.left(&serial), (3, 0));
    access.start("alice");
    access.ends(&deal, "success");
    assert!(access.has("map.txt.got"));
    access.settles(&serial, 2);
    // The issuer is away when the use is to be taken: Bob tells it when it is back, even after a crash of his own.
    let deal = access.order(&link, "again.txt", &["--patience", "60"]);
    access.world.asked("alice");
    access.kill("bob");
    access.approve();
    access.world.wait("alice", &deal, "a use that is kept", |view| view["state"] == "await-peer-final");
    access.kill("issuer");
    access.start("bob");
    access.ends(&deal, "success");
    assert!(access.has("again.txt"));
    access.kill("bob");
    access.start("issuer");
    assert_eq!(access.left(&serial), (2, 1));
    access.start("bob");
    access.settles(&serial, 1);
    access.proven("bob", &deal, "complete", true);
}

// A credential that was passed on after it was shown to nobody: its old holder gets nothing for it.
#[test]
fn a_right_that_was_passed_on_shows_nothing() {
    let access = Access::new();
    let serial = access.grant(&["--uses", "2"]);
    let link = access.offer();
    let world = &access.world;
    world.run("alice", &["contact", "add", &world.card("bob")]).good();
    let deal = access.order(&link, "map.txt.got", &[]);
    let approval = world.asked("alice");
    let pass = ["credential", "transfer", &serial, "--to", "bob", "--out", "passed.semper-credential"];
    world.type_in("alice", &pass, "sign\n").good();
    world.says_yes("alice", &approval).good();
    access.declined(&deal);
    assert!(!access.has("map.txt.got"));
    world.run("alice", &["buy", &link, "--save-as", "x.txt", "--no-ask"]).failed_with(&["no valid credential"]);
}
