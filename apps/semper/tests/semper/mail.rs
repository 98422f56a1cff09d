//! Certified mail between real processes. What could go wrong: a letter is read and nobody has signed for it, a receipt is had for a letter that
//! nobody can read, or what one recipient does decides about another.

use serde_json::Value;

use crate::world::{Process, World};

const WORDS: &str = "the lease ends on 31 March";

/// Alice writes to Bob and Carol. Everybody knows everybody, and accepts the same arbiter.
struct Town {
    world: World,
    running: Vec<(&'static str, Process)>,
}

impl Town {
    /// `asked`: who approves by hand.
    fn new(asked: &[&str]) -> Self {
        let world = World::new();
        world.init("arbiter", &["--role", "arbiter"]);
        let parties = ["alice", "bob", "carol"];
        for party in parties {
            world.init(party, &[]);
            world.configure(party, |config| {
                config.insert("patience".to_owned(), 3.into());
            });
        }
        for party in asked {
            std::fs::write(world.path(party).join("policy.toml"), "").unwrap();
        }
        let mut running = vec![("arbiter", world.serve("arbiter"))];
        for party in parties {
            for other in parties.into_iter().filter(|other| *other != party) {
                world.run(party, &["contact", "add", &world.card(other)]).good();
            }
            world.run(party, &["contact", "add", &world.card("arbiter"), "--arbiter"]).good();
            running.push((party, world.up(party)));
        }
        Self { world, running }
    }

    fn down(&mut self, party: &str) {
        self.running.retain(|(name, _)| *name != party);
    }

    fn up(&mut self, party: &'static str) {
        let process = self.world.up(party);
        self.running.push((party, process));
    }

    /// Alice's letter; the deals, one for each recipient.
    fn write(&self, to: &[&str], more: &[&str]) -> Vec<String> {
        let file = self.world.file("notice.txt", WORDS);
        let mut args = vec!["mail", &file, "--no-ask", "--no-wait"];
        args.extend(to.iter().flat_map(|name| ["--to", name]));
        args.extend(more);
        let said = self.world.run("alice", &args).good();
        let deals: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("Deal ")).map(str::to_owned).collect();
        assert_eq!(deals.len(), to.len(), "{said}");
        deals
    }

    /// What a party sees of the letter's words.
    fn reads(&self, party: &str, deal: &str) -> bool {
        let files = self.world.deal(party, deal)["files"].as_array().cloned().unwrap_or_default();
        files.iter().any(|file| file["name"] == "notice.txt" && file["size"] == WORDS.len())
    }

    /// Waits until a party is asked about something, and answers.
    fn answers(&self, party: &str, word: &str) {
        let approval = self.world.asked(party);
        let ran = self.world.type_in(party, &["approve", &approval], word);
        assert!(ran.text.contains("CERTIFIED MAIL"), "{}", ran.text);
        assert!(!ran.text.contains(WORDS) && !ran.text.contains("notice"), "{}", ran.text);
    }

    /// What a stranger finds in a party's folder, in the only contract that it shows anything of.
    fn proven(&self, party: &str, deal: &str) -> Value {
        let report = self.world.report(&self.world.export(party, deal));
        assert_eq!(report["sound"], true, "{party}: {report:#}");
        assert_eq!(report["contracts"].as_array().map(Vec::len), Some(1), "{party}: {report:#}");
        report["contracts"][0].clone()
    }

    /// What a stranger says about the recipient of a deal.
    fn judged(&self, party: &str, deal: &str, outcome: &str) {
        let answers = self.world.answers(&[&self.world.export(party, deal)]);
        let said = answers.iter().find(|(question, _)| question == "did the receiver get it?");
        assert_eq!(said.map(|(_, outcome)| outcome.as_str()), Some(outcome), "{party}: {answers:?}");
    }
}

// Nobody reads before they have signed; whoever signs reads; the sender has a receipt from both.
#[test]
fn two_recipients_sign_and_read() {
    let town = Town::new(&["bob"]);
    let deals = town.write(&["bob", "carol"], &[]);
    let waiting = |view: &Value| view["waits_for"] == "us";
    town.world.wait("bob", &deals[0], "the question", waiting);
    assert!(!town.reads("bob", &deals[0]));
    let folder = town.world.export("bob", &deals[0]);
    assert!(!std::fs::read(folder).unwrap().windows(WORDS.len()).any(|bytes| bytes == WORDS.as_bytes()));
    town.answers("bob", "sign\n");
    for (place, (deal, recipient)) in deals.iter().zip(["bob", "carol"]).enumerate() {
        for party in ["alice", recipient] {
            assert_eq!(town.world.ending(party, deal), "success");
            let contract = town.proven(party, deal);
            assert_eq!(contract["standing"], "complete", "{party}: {contract:#}");
            assert_eq!(contract["part"], place, "{party}: {contract:#}");
            assert_eq!(contract["contents"][0]["name"], "notice.txt", "{party}: {contract:#}");
            town.judged(party, deal, "proven");
        }
        assert!(town.reads(recipient, deal));
        let out = town.world.path(&format!("out-{recipient}"));
        town.world.run(recipient, &["deals", "files", deal, "--out", &out.display().to_string()]).good();
        assert_eq!(std::fs::read_to_string(out.join("notice.txt")).unwrap(), WORDS);
    }
    let shown = town.world.verify(&town.world.export("alice", &deals[1])).good();
    for part in ["about the recipient 2 of 2", "in the letter, which opens to what the contract says: notice.txt"] {
        assert!(shown.contains(part), "{shown}");
    }
    let cids = deals.iter().map(|deal| town.world.deal("alice", deal)["cid"].clone()).collect::<Vec<_>>();
    assert_eq!(cids[0], cids[1]);
    assert_eq!(town.world.deal("alice", &deals[0])["title"], "notice.txt");
    assert_eq!(town.world.deal("carol", &deals[1])["title"], "a sealed letter");
}

// The sender's machine goes down before Bob signs. Bob reads with the arbiter's key and the sender has its receipt; Carol, who refuses, reads
// nothing, and Bob's verdict does nothing to her.
#[test]
fn a_silent_sender_and_a_recipient_that_refuses() {
    let mut town = Town::new(&["bob", "carol"]);
    let deals = town.write(&["bob", "carol"], &["--subject", "your lease", "--patience", "8"]);
    for (party, deal) in [("bob", &deals[0]), ("carol", &deals[1])] {
        let view = town.world.wait(party, deal, "the question", |view| view["waits_for"] == "us");
        assert_eq!(view["title"], "your lease");
    }
    town.down("alice");
    town.answers("bob", "sign\n");
    town.answers("carol", "no\n");
    assert_eq!(town.world.ending("bob", &deals[0]), "success");
    assert!(town.reads("bob", &deals[0]));
    assert_eq!(town.world.ending("carol", &deals[1]), "lapsed");
    assert!(!town.reads("carol", &deals[1]));
    town.up("alice");
    assert_eq!(town.world.ending("alice", &deals[0]), "success");
    assert_eq!(town.world.ending("alice", &deals[1]), "aborted");
    for party in ["alice", "bob"] {
        let contract = town.proven(party, &deals[0]);
        assert_eq!(contract["standing"], "resolved", "{party}: {contract:#}");
        assert_eq!(contract["part"], 0, "{party}: {contract:#}");
    }
    let refused = town.proven("alice", &deals[1]);
    assert_eq!((&refused["standing"], &refused["part"]), (&Value::from("aborted"), &Value::from(1)), "{refused:#}");
    town.judged("alice", &deals[0], "proven");
    town.judged("alice", &deals[1], "refuted");
}
