//! The demonstration: four parties as separate processes, a real file, and what goes wrong.
//!
//! Everything is done by the same commands that a user types, run as processes of their own; nothing is shown that a user could
//! not do.

mod money;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

/// See everything at work on this machine, with separate processes.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Keep every party's data and the deal folders in this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Demo {
    pub(super) async fn run(self) -> Result<()> {
        tokio::task::spawn_blocking(move || self.play()).await?
    }

    fn play(self) -> Result<()> {
        let kept = self.dir.is_some();
        let temporary = tempfile::tempdir()?;
        let dir = self.dir.unwrap_or_else(|| temporary.path().to_owned());
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        ensure!(std::fs::read_dir(&dir)?.next().is_none(), "{} is not empty; choose another directory", dir.display());
        let begun = Instant::now();
        let stage = Stage::set(&dir)?;
        let mut folders =
            vec![stage.honest()?, stage.silent()?, stage.change_of_mind()?, stage.killed()?, stage.mail()?];
        folders.extend(stage.money()?);
        stage.curtain(&folders)?;
        say(&format!("Done in {} s.", begun.elapsed().as_secs()));
        if kept {
            say(&format!("Everything is in {}: a directory for each party, the folders in folders/.", dir.display()));
        }
        Ok(())
    }
}

/// The parties and their processes.
struct Stage {
    dir: PathBuf,
    passphrase: PathBuf,
    file: PathBuf,
    #[expect(dead_code, reason = "held so that the processes live as long as the stage")]
    third_parties: Vec<Process>,
    alice: Process,
    bob: std::cell::RefCell<Option<Process>>,
}

/// A running `semper` process. It is killed if it is dropped.
struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn title(text: &str) {
    println!("\n== {text}");
}

fn say(text: &str) {
    println!("   {text}");
}

impl Stage {
    fn set(dir: &Path) -> Result<Self> {
        title("Four parties, each a process with a directory of its own");
        let passphrase = dir.join("passphrase.txt");
        std::fs::write(&passphrase, "only for the demonstration\n")?;
        let file = dir.join("offer.txt");
        std::fs::write(&file, "Alice sells Bob one bicycle, blue, used, for 120.00 EUR.\n")?;
        std::fs::create_dir_all(dir.join("folders"))?;
        let me = Self::unset(dir, &passphrase, &file)?;
        Ok(me)
    }

    fn unset(dir: &Path, passphrase: &Path, file: &Path) -> Result<Self> {
        let run = |party: &str, args: &[&str]| call(dir, passphrase, party, args);
        for (party, name, role) in [
            ("ca", "Demo Certification Authority", "ca"),
            ("arbiter", "Demo Arbiter", "arbiter"),
            ("alice", "Alice", "party"),
            ("bob", "Bob", "party"),
        ] {
            checked(run(party, &["init", "--name", name, "--role", role])?)?;
            say(&format!("{name} has fresh keys in {party}/"));
        }
        let ca = start(dir, passphrase, "ca", &["serve", "--role", "ca"])?;
        let arbiter = start(dir, passphrase, "arbiter", &["serve", "--role", "arbiter"])?;
        for (party, name) in [("alice", "Alice"), ("bob", "Bob")] {
            let code = checked(run("ca", &["ca", "invite", name])?)?;
            let url = address(dir, "ca")?;
            checked(run(party, &["certify", "--ca", &url, "--code", code.trim()])?)?;
            say(&format!("the certification authority has certified that this key belongs to {name}"));
        }
        let folders = dir.join("folders").display().to_string();
        checked(run("ca", &["ca", "fetch", &address(dir, "ca")?, "--out", &folders])?)?;
        for (party, other) in [("alice", "bob"), ("bob", "alice")] {
            let card = |party: &str| dir.join(party).join("card.txt").display().to_string();
            let mut add = vec!["contact".to_owned(), "add".to_owned(), card(other)];
            add.extend(trusted(dir));
            let add: Vec<_> = add.iter().map(String::as_str).collect();
            checked(run(party, &add)?)?;
            checked(run(party, &["contact", "add", &card("arbiter"), "--arbiter"])?)?;
        }
        say("Alice and Bob know each other's cards, and both accept the same arbiter");
        for party in ["alice", "bob"] {
            std::fs::write(dir.join(party).join("policy.toml"), POLICY)?;
        }
        let alice = up(dir, passphrase, "alice")?;
        let bob = up(dir, passphrase, "bob")?;
        say(&format!(
            "running: certification authority, arbiter, Alice (process {}), Bob (process {})",
            alice.child.id(),
            bob.child.id()
        ));
        let third_parties = vec![ca, arbiter];
        let bob = std::cell::RefCell::new(Some(bob));
        Ok(Self {
            dir: dir.to_owned(),
            passphrase: passphrase.to_owned(),
            file: file.to_owned(),
            third_parties,
            alice,
            bob,
        })
    }

    fn run(&self, party: &str, args: &[&str]) -> Result<Output> {
        call(&self.dir, &self.passphrase, party, args)
    }

    /// Sets keys of a section of a party's configuration, which is read when it starts.
    fn configure(&self, party: &str, section: &str, keys: &[(&str, String)]) -> Result<()> {
        let path = self.dir.join(party).join("semper.toml");
        let mut config: toml::Table = toml::from_str(&std::fs::read_to_string(&path)?)?;
        let section = config.entry(section).or_insert_with(|| toml::Table::new().into());
        let section = section.as_table_mut().context("not a section")?;
        section.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into())));
        std::fs::write(&path, toml::to_string(&config)?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Lets Alice propose a contract over the file; gives the deal.
    fn propose(&self, patience: &str) -> Result<String> {
        let file = self.file.display().to_string();
        let args =
            ["sign", &file, "--with", "Bob", "--law", "Swiss law", "--patience", patience, "--no-ask", "--no-wait"];
        let output = checked(self.run("alice", &args)?)?;
        let deal = output.lines().find_map(|line| line.strip_prefix("Deal ")).context("no deal was begun")?;
        Ok(deal.trim().to_owned())
    }

    /// Waits until a party's deal satisfies `good`; the deal as the party sees it.
    fn until(&self, party: &str, deal: &str, what: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let output = self.run(party, &["deals", "show", deal, "--json"])?;
            let view: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if good(&view) {
                return Ok(view);
            }
            ensure!(begun.elapsed() < Duration::from_secs(40), "{party} never got to: {what}\n{view:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn ended(&self, party: &str, deal: &str, ending: &str) -> Result<()> {
        let view = self.until(party, deal, ending, |view| view["ending"].is_string())?;
        ensure!(view["ending"] == ending, "{party}: the deal ended as {}, not as {ending}", view["ending"]);
        Ok(())
    }

    fn export(&self, party: &str, deal: &str, name: &str) -> Result<PathBuf> {
        let out = self.dir.join("folders").join(format!("{name}.semper"));
        checked(self.run(party, &["deals", "export", deal, "--out", &out.display().to_string()])?)?;
        Ok(out)
    }

    fn honest(&self) -> Result<(PathBuf, &'static str)> {
        title("1. Both are honest: Alice and Bob sign a contract over offer.txt");
        let deal = self.propose("20")?;
        say("Alice's text was shown, hashed and promised; her promise is on its way to Bob");
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        say("four messages, both hold the complete contract; the arbiter heard nothing");
        Ok((self.export("alice", &deal, "1-honest")?, "complete"))
    }

    fn silent(&self) -> Result<(PathBuf, &'static str)> {
        title("2. Bob goes silent after his promise: the arbiter completes the contract");
        drop(self.bob.borrow_mut().take());
        let bob = start(&self.dir, &self.passphrase, "bob", &["up"])?;
        let deal = self.propose("8")?;
        self.until("bob", &deal, "a question to Bob", |view| view["state"] == "await-promise-signature")?;
        say("Bob's node runs without a policy now: it asks him");
        drop(bob);
        // He answers by hand while his node is off: the promise goes out, nothing comes in any more.
        let answer = self.type_in("bob", &["approve"], "sign\n")?;
        ensure!(answer.contains("Check words"), "Bob was not shown the contract:\n{answer}");
        say("he reads the contract, types `sign`, his promise goes out, and he goes off-line");
        self.ended("alice", &deal, "success")?;
        let folder = self.export("alice", &deal, "2-silent")?;
        ensure!(standing(&self.dir, &folder)? == "resolved", "the contract was not completed by the arbiter");
        say("after 8 seconds of patience Alice asks the arbiter; it completes the contract from both promises");
        *self.bob.borrow_mut() = Some(up(&self.dir, &self.passphrase, "bob")?);
        self.ended("bob", &deal, "success")?;
        say("Bob comes back and holds the same contract");
        Ok((folder, "resolved"))
    }

    /// Runs a command and types `input` for it.
    fn type_in(&self, party: &str, args: &[&str], input: &str) -> Result<String> {
        let mut command = command(&self.dir, &self.passphrase, party, args)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
        checked(child.wait_with_output()?)
    }

    fn change_of_mind(&self) -> Result<(PathBuf, &'static str)> {
        title("3. Alice changes her mind in time: the arbiter aborts");
        drop(self.bob.borrow_mut().take());
        let deal = self.propose("600")?;
        self.until("alice", &deal, "waiting for Bob", |view| view["state"] == "await-peer-promise")?;
        say("Alice has promised, Bob is not there, Alice does not want to wait");
        let output = self.run("alice", &["deals", "give-up", &deal])?;
        ensure!(output.status.code() == Some(2), "the deal was not aborted:\n{}", text(&output));
        self.ended("alice", &deal, "aborted")?;
        say("aborted: nobody is bound, and Bob can never complete it");
        *self.bob.borrow_mut() = Some(up(&self.dir, &self.passphrase, "bob")?);
        let folder = self.export("alice", &deal, "3-aborted")?;
        Ok((folder, "aborted"))
    }

    fn killed(&self) -> Result<(PathBuf, &'static str)> {
        title("4. A process is killed with SIGKILL at a random moment, and comes back");
        let deal = self.propose("20")?;
        let mut random = [0_u8; 1];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("no randomness"))?;
        let pause = Duration::from_millis(u64::from(random[0]));
        std::thread::sleep(pause);
        let bob = self.bob.borrow_mut().take().context("Bob is gone")?;
        drop(bob);
        say(&format!("Bob's process was killed {} ms after the proposal", pause.as_millis()));
        *self.bob.borrow_mut() = Some(up(&self.dir, &self.passphrase, "bob")?);
        self.ended("alice", &deal, "success")?;
        self.ended("bob", &deal, "success")?;
        say("he came back, went on where he was, and both hold the contract");
        Ok((self.export("bob", &deal, "4-killed")?, "binding"))
    }

    fn mail(&self) -> Result<(PathBuf, &'static str)> {
        title("5. Signed mail with a signed acknowledgement");
        let file = self.file.display().to_string();
        let args =
            ["mail", &file, "--to", "Bob", "-m", "see you on Monday", "--signed", "--ack", "--no-ask", "--no-wait"];
        let output = checked(self.run("alice", &args)?)?;
        let deal =
            output.lines().find_map(|line| line.strip_prefix("Deal ")).context("no deal was begun")?.trim().to_owned();
        self.ended("alice", &deal, "success")?;
        say("Alice can prove that Bob has it, Bob can prove that it is from Alice");
        Ok((self.export("alice", &deal, "5-mail")?, "mail"))
    }

    fn curtain(&self, folders: &[(PathBuf, &'static str)]) -> Result<()> {
        title("7. A stranger checks the folders, without any network");
        for (folder, expected) in folders {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let report = report(&self.dir, folder)?;
            ensure!(report["sound"] == true, "{name} is not sound:\n{report:#}");
            let contract = &report["contracts"][0];
            let good = match *expected {
                "mail" => {
                    report["transfers"][0]["origin"].is_string()
                        && report["transfers"][0]["receipt"]["accepted"] == true
                }
                "payment" => report["payments"][0]["proven"] == true,
                "binding" => contract["binding"] == true,
                standing => contract["standing"] == standing,
            };
            ensure!(good, "{name} does not prove what it should:\n{report:#}");
            let names = report["key_sets"].as_array().into_iter().flatten();
            let names: Vec<_> = names.filter_map(|key_set| key_set["certified_name"].as_str()).collect();
            ensure!(
                names.contains(&"Alice") && names.contains(&"Bob"),
                "{name}: the names are not certified:\n{report:#}"
            );
            let what = match *expected {
                "payment" => format!("{} paid, proven", report["payments"][0]["amount"].as_str().unwrap_or_default()),
                _ => contract["standing"].as_str().unwrap_or("origin and receipt proven").to_owned(),
            };
            say(&format!("{name}: sound, {what}, between {}", names.join(" and ")));
        }
        let (folder, _) = &folders[0];
        let mut bytes = std::fs::read(folder)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let altered = self.dir.join("folders/altered.semper");
        std::fs::write(&altered, bytes)?;
        let output = verify(&self.dir, &altered, &[])?;
        ensure!(output.status.code() == Some(1), "an altered folder was accepted:\n{}", text(&output));
        say(&format!("one byte flipped: {}", text(&output).lines().next().unwrap_or_default()));
        for party in ["alice", "bob", "arbiter", "ca"] {
            checked(self.run(party, &["stop"])?)?;
        }
        let _ = &self.alice;
        Ok(())
    }
}

/// What Alice and Bob let their nodes sign without asking, so that the demonstration runs by itself.
const POLICY: &str = "[[allow]]\nwhat = \"contract\"\n\n[[allow]]\nwhat = \"mail\"\n\n[[allow]]\nwhat = \"acknowledgement\"\n\n\
     [[allow]]\nwhat = \"payment\"\nup_to = \"20.00 EUR\"\n\n[[allow]]\nwhat = \"account\"\n";

fn command(dir: &Path, passphrase: &Path, party: &str, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--dir").arg(dir.join(party)).arg("--passphrase-file").arg(passphrase).args(args);
    command.stdin(Stdio::null()).env_remove("SEMPER_DIR").env_remove("SEMPER_PASSPHRASE_FILE");
    Ok(command)
}

fn call(dir: &Path, passphrase: &Path, party: &str, args: &[&str]) -> Result<Output> {
    Ok(command(dir, passphrase, party, args)?.output()?)
}

fn up(dir: &Path, passphrase: &Path, party: &str) -> Result<Process> {
    let policy = dir.join(party).join("policy.toml").display().to_string();
    start(dir, passphrase, party, &["up", "--yes", "--policy", &policy])
}

/// Starts a process that keeps running, and waits until it answers.
fn start(dir: &Path, passphrase: &Path, party: &str, args: &[&str]) -> Result<Process> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join(party).join("log.txt"))?;
    let mut command = command(dir, passphrase, party, args)?;
    let child = command.env("SEMPER_LOG", "info").stdout(log.try_clone()?).stderr(log).spawn()?;
    let mut process = Process { child };
    let announced = dir.join(party).join("run/control.json");
    let begun = Instant::now();
    loop {
        let announced = std::fs::read(&announced).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        if announced.is_some_and(|endpoint| endpoint["pid"] == process.child.id()) {
            return Ok(process);
        }
        if let Some(status) = process.child.try_wait()? {
            bail!("{party} ended at once ({status}); see {}/{party}/log.txt", dir.display());
        }
        ensure!(begun.elapsed() < Duration::from_secs(20), "{party} does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn address(dir: &Path, party: &str) -> Result<String> {
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(dir.join(party).join("semper.toml"))?)?;
    let listen = config.get("listen").and_then(toml::Value::as_str).context("no address")?;
    Ok(format!("http://{listen}"))
}

fn verify(dir: &Path, folder: &Path, args: &[String]) -> Result<Output> {
    // A stranger: no data directory, no passphrase.
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--dir").arg(dir.join("nobody")).arg("verify").arg(folder).args(args).stdin(Stdio::null());
    Ok(command.output()?)
}

/// The authority that everybody here believes.
fn trusted(dir: &Path) -> Vec<String> {
    let file = |name| dir.join("folders").join(name).display().to_string();
    vec!["--ca".to_owned(), file("ca.crt"), "--crl".to_owned(), file("ca.crl")]
}

fn report(dir: &Path, folder: &Path) -> Result<Value> {
    let mut args = trusted(dir);
    args.push("--json".to_owned());
    serde_json::from_slice(&verify(dir, folder, &args)?.stdout).context("the verifier said nothing readable")
}

fn standing(dir: &Path, folder: &Path) -> Result<String> {
    Ok(report(dir, folder)?["contracts"][0]["standing"].as_str().unwrap_or("unknown").to_owned())
}

fn checked(output: Output) -> Result<String> {
    ensure!(output.status.success(), "a command failed ({}):\n{}", output.status, text(&output));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
