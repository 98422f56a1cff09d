//! Processes that are killed with SIGKILL at a random moment and come back: both sides end alike, and what they hold stays sound.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::world::{Process, World, deal_in, random, until};

const ROUNDS: usize = 12;

/// The moment of the crash is what is tested: this is no wait for something to happen.
fn a_moment(random: &mut ChaCha8Rng) -> Duration {
    let moment = Duration::from_millis(random.random_range(0..=400));
    std::thread::sleep(moment);
    moment
}

struct Running {
    world: World,
    alice: Option<Process>,
    bob: Option<Process>,
    arbiter: Option<Process>,
}

impl Running {
    fn start() -> Self {
        let world = World::of_two();
        for party in ["alice", "bob"] {
            world.configure(party, |config| {
                config.insert("retry_max".to_owned(), 1.into());
                config.insert("patience".to_owned(), 12.into());
            });
        }
        let (alice, bob, arbiter) = (world.up("alice"), world.up("bob"), world.serve("arbiter"));
        Self { world, alice: Some(alice), bob: Some(bob), arbiter: Some(arbiter) }
    }

    /// Kills a party and starts it again.
    fn crash(&mut self, party: &str) {
        let Self { world, alice, bob, arbiter } = self;
        let place = match party {
            "alice" => alice,
            "bob" => bob,
            _ => arbiter,
        };
        drop(place.take());
        *place = Some(if party == "arbiter" { world.serve(party) } else { world.up(party) });
    }
}

// A state that is stored before or after the message that it belongs to would, after a crash in between, leave one party bound and
// the other not, or two contracts where one was agreed.
#[test]
fn both_sides_end_alike() {
    let mut random = random();
    let mut running = Running::start();
    let mut bound = 0;
    for round in 0..ROUNDS {
        let victim = ["alice", "bob", "arbiter"][round % 3];
        let deal = running.world.propose(&["--patience", "20"]);
        // The arbiter has something to do only if somebody asks it.
        let mut giving_up = (victim == "arbiter").then(|| {
            let mut command = running.world.command("alice", &["deals", "give-up", &deal]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        });
        let moment = a_moment(&mut random);
        running.crash(victim);
        if let Some(command) = &mut giving_up {
            command.wait().unwrap();
        }
        let ending = running.world.ending("alice", &deal);
        println!("round {round}: {victim} was killed after {} ms: {ending}", moment.as_millis());
        assert!(ending == "success" || giving_up.is_some(), "round {round}: nobody gave up, but it ended as {ending}");
        bound += usize::from(ending == "success");
        if ending == "lapsed" {
            check_lapsed(&running.world, &deal);
        } else {
            check(&running.world, &deal, ending == "success");
        }
    }
    assert!(bound >= ROUNDS / 2, "only {bound} of {ROUNDS} came to a contract");
}

/// Alice gave up before she promised anything. Bob may have her offer, which still waits for her promise: he is bound to nothing,
/// and can end it himself.
fn check_lapsed(world: &World, deal: &str) {
    let bob = world.deal("bob", deal);
    if bob.is_null() {
        return;
    }
    if bob["ending"].is_null() {
        assert_eq!(bob["waits_for"], "peer", "{bob:#}");
        assert_eq!(world.run("bob", &["deals", "give-up", deal]).code, Some(2));
    }
    assert_eq!(world.ending("bob", deal), "lapsed");
    let report = world.report(&world.export("bob", deal));
    assert_eq!(report["sound"], true, "{report:#}");
    for contract in report["contracts"].as_array().unwrap() {
        assert_eq!(contract["standing"], "open", "{report:#}");
    }
}

/// Bob's side of a deal that ended as a `success` for Alice or was aborted, and both folders.
fn check(world: &World, deal: &str, success: bool) {
    if !success && world.deal("bob", deal).is_null() {
        // Alice gave up before anything reached him.
        return;
    }
    assert_eq!(world.ending("bob", deal) == "success", success);
    let reports = ["alice", "bob"].map(|party| world.report(&world.export(party, deal)));
    for report in &reports {
        assert_eq!(report["sound"], true, "{report:#}");
        assert_eq!(report["contracts"].as_array().unwrap().len(), 1, "{report:#}");
        assert_eq!(report["contracts"][0]["binding"], success, "{report:#}");
    }
    assert_eq!(reports[0]["contracts"][0]["cid"], reports[1]["contracts"][0]["cid"]);
}

// Signed and acknowledged mail: what was sent once arrives once, and both can prove it, whoever was away in between.
#[test]
fn mail_survives() {
    let mut random = random();
    let mut running = Running::start();
    for victim in ["alice", "bob", "alice", "bob"] {
        let args = ["send", "-m", "see you on Monday", "--to", "bob", "--signed", "--ack", "--no-ask", "--no-wait"];
        let deal = deal_in(&running.world.run("alice", &args).good());
        let moment = a_moment(&mut random);
        running.crash(victim);
        println!("{victim} was killed after {} ms", moment.as_millis());
        for party in ["alice", "bob"] {
            assert_eq!(running.world.ending(party, &deal), "success", "{party}");
            let report = running.world.report(&running.world.export(party, &deal));
            assert_eq!(report["sound"], true, "{report:#}");
            assert_eq!(report["transfers"].as_array().unwrap().len(), 1, "{report:#}");
            assert!(report["transfers"][0]["origin"].is_string(), "{report:#}");
            assert_eq!(report["transfers"][0]["receipt"]["accepted"], true, "{report:#}");
        }
    }
    assert_eq!(running.world.json("bob", &["deals", "list", "--json"]).as_array().unwrap().len(), 4);
}

// A node whose vault was killed can sign nothing and open nothing. It would go on to fail every question, and nobody would know why.
#[test]
fn a_node_ends_when_its_vault_has() {
    let world = World::of_two();
    let node = world.start("alice", &["up"]);
    let vault = world.json("alice", &["vault", "state", "--json"])["process"].as_u64().unwrap();
    assert_ne!(vault, u64::from(node.id()));
    assert!(Command::new("kill").args(["-KILL", &vault.to_string()]).status().unwrap().success());
    assert!(until(|| world.endpoint("alice").is_none().then_some(())).is_some(), "it goes on without its vault");
    let said = until(|| {
        let log = std::fs::read_to_string(world.path("alice").join("log.txt")).unwrap();
        log.contains("the holder of your keys has ended").then_some(())
    });
    assert!(said.is_some(), "it does not say why");
    let _again = world.start("alice", &["up"]);
    assert!(world.run("alice", &["vault", "state"]).good().contains("Open"));
}

// A program that holds keys by the rules of yesterday, left beside the new one, would go on signing by them.
#[test]
fn a_vault_of_another_build_is_left_alone() {
    let world = World::new();
    world.init("alice", &[]);
    let bin = world.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let (program, started) = (bin.join("semper"), world.path("started"));
    std::fs::copy(env!("CARGO_BIN_EXE_semper"), &program).unwrap();
    let other = format!("#!/bin/sh\n[ \"$1\" = --build ] && echo 0.0.1-other && exit\ntouch {}\n", started.display());
    std::fs::write(bin.join("semper-vault"), other).unwrap();
    std::fs::set_permissions(bin.join("semper-vault"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let usual = world.command("alice", &["up"]);
    let mut command = Command::new(&program);
    command.args(usual.get_args()).envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let node = Process::of(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    let up = until(|| world.endpoint("alice").filter(|endpoint| endpoint["pid"] == node.id()));
    assert!(up.is_some() && !started.exists());
    assert!(world.run("alice", &["vault", "state"]).good().starts_with("Open"));
}
