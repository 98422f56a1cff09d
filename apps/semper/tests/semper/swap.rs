//! Files given for files between real processes. What could go wrong: one side has both files, a file is given for another one than was wanted, or is
//! read before anything is promised.

use serde_json::Value;

use crate::world::{Process, World, deal_in};

const MINE: &str = "what Alice has measured";
const THEIRS: &str = "what Bob has measured";
const ASKED: &str = "[[allow]]\nwhat = \"offer\"\n";
const SIGNS: &str = "[[allow]]\nwhat = \"offer\"\n\n[[allow]]\nwhat = \"contract\"\n";

/// Alice and Bob, who do not know each other; both accept the arbiter.
struct Pair {
    world: World,
    running: Vec<(&'static str, Process)>,
}

impl Pair {
    /// `policy`: what Bob signs without asking.
    fn new(policy: &str) -> Self {
        let world = World::new();
        world.init("arbiter", &["--role", "arbiter"]);
        let mut running = vec![("arbiter", world.serve("arbiter"))];
        for (party, policy) in [("alice", SIGNS), ("bob", policy)] {
            world.init(party, &[]);
            world.configure(party, |config| {
                config.insert("patience".to_owned(), 3.into());
                config.insert("retry_max".to_owned(), 1.into());
            });
            std::fs::write(world.path(party).join("policy.toml"), policy).unwrap();
            world.run(party, &["contact", "add", &world.card("arbiter"), "--arbiter"]).good();
            running.push((party, world.up(party)));
        }
        Self { world, running }
    }

    /// Bob offers his file for Alice's, whose hash he knows; the link.
    fn offer(&self, hash: &str) -> String {
        let file = self.world.file("theirs.csv", THEIRS);
        let args = ["sell", &file, "--for-file-hash", hash, "--for-file-name", "mine.csv", "--json", "--no-ask"];
        let offered = self.world.json("bob", &args);
        assert!(offered["approval"].is_null(), "{offered}");
        offered["link"].as_str().unwrap().to_owned()
    }

    fn swap(&self, link: &str, more: &[&str]) -> String {
        let file = self.world.file("mine.csv", MINE);
        let to = self.world.path("got.csv").display().to_string();
        let args = ["swap", &file, "--for", link, "--save-as", &to, "--no-ask", "--no-wait"];
        deal_in(&self.world.run("alice", &[args.as_slice(), more].concat()).good())
    }

    fn alice_has(&self) -> bool {
        std::fs::read_to_string(self.world.path("got.csv")).is_ok_and(|got| got == THEIRS)
    }

    fn bob_has(&self, deal: &str) -> bool {
        let out = self.world.path("out");
        self.world.run("bob", &["deals", "files", deal, "--out", &out.display().to_string()]);
        std::fs::read_to_string(out.join("mine.csv")).is_ok_and(|got| got == MINE)
    }

    fn proven(&self, deal: &str, standing: &str) {
        for party in ["alice", "bob"] {
            let report = self.world.report(&self.world.export(party, deal));
            assert_eq!(report["sound"], true, "{party}: {report:#}");
            let contract = &report["contracts"][0];
            assert_eq!(contract["standing"], standing, "{party}: {report:#}");
            assert_eq!(contract["contents"][0]["hash"], hash(), "{party}: {report:#}");
        }
    }
}

/// The hash of Alice's file, as contracts and folders name files.
fn hash() -> Value {
    semper_core::container::information_hash(MINE.as_bytes()).to_string().into()
}

#[test]
fn a_file_for_a_file() {
    let pair = Pair::new(SIGNS);
    let hash = hash();
    let link = pair.offer(hash.as_str().unwrap());
    let listed = pair.world.run("bob", &["offers", "list"]).good();
    assert!(listed.contains("theirs.csv") && listed.contains("the file"), "{listed}");
    let deal = pair.swap(&link, &[]);
    for party in ["alice", "bob"] {
        assert_eq!(pair.world.ending(party, &deal), "success");
    }
    assert!(pair.alice_has() && pair.bob_has(&deal));
    pair.proven(&deal, "complete");
    // Another file is not given for it, and money is none.
    let other = pair.world.file("other.csv", "something else");
    let args = ["swap", &other, "--for", &link, "--save-as", "x.csv", "--no-ask"];
    pair.world.run("alice", &args).failed_with(&["the offer wants the file with hash"]);
    pair.world.run("alice", &["buy", &link, "--save-as", "x.csv", "--no-ask"]).failed_with(&["offer is malformed"]);
    pair.world.run("bob", &["offers", "withdraw", link.rsplit('/').next().unwrap()]).good();
    pair.world.run("alice", &["swap", &other, "--for", &link, "--no-ask"]).failed_with(&["there is no such offer"]);
}

// Alice's machine goes down before Bob signs. The arbiter gives each the key to the other's file.
#[test]
fn a_silent_party_keeps_neither_file() {
    let mut pair = Pair::new(ASKED);
    let hash = hash();
    let deal = pair.swap(&pair.offer(hash.as_str().unwrap()), &["--patience", "10"]);
    let approval = pair.world.asked("bob");
    assert!(!pair.bob_has(&deal));
    pair.running.retain(|(name, _)| *name != "alice");
    let shown = pair.world.says_yes("bob", &approval).good();
    assert!(shown.contains("SWAP OF FILES") && shown.contains(hash.as_str().unwrap()), "{shown}");
    assert_eq!(pair.world.ending("bob", &deal), "success");
    assert!(pair.bob_has(&deal));
    let alice = pair.world.up("alice");
    pair.running.push(("alice", alice));
    assert_eq!(pair.world.ending("alice", &deal), "success");
    assert!(pair.alice_has());
    pair.proven(&deal, "resolved");
}
