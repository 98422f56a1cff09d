//! The parties of the demonstration: a directory and a process each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use semper_core::amount::Amount;
use serde_json::Value;

use super::{say, title};

/// How long anything may take before the demonstration gives up on it.
const DEADLINE: Duration = Duration::from_secs(120);

/// What Alice and Bob let their nodes sign without asking, so that the demonstration runs by itself: purchases at `price`, and what the bank is told.
fn policy(price: Amount) -> Result<String> {
    let most =
        price.minor().checked_mul(5).and_then(|cents| cents.checked_add(4_000)).context("the price is too high")?;
    let most = Amount::new(most, price.currency())?;
    let unlimited =
        ["contract", "offer", "mail", "acknowledgement"].map(|what| format!("[[allow]]\nwhat = \"{what}\"\n\n"));
    let payment = Amount::new(2_000, price.currency())?;
    let limited = [("purchase", price), ("payment", payment), ("account", most)]
        .map(|(what, most)| format!("[[allow]]\nwhat = \"{what}\"\nup_to = \"{most}\"\n\n"));
    Ok([unlimited.concat(), limited.concat()].concat())
}

/// The parties and their processes.
pub(super) struct Stage {
    /// Holds a directory for each party, and `folders/`.
    pub dir: PathBuf,
    passphrase: PathBuf,
    running: RefCell<BTreeMap<String, Process>>,
}

/// A running `semper` process. It is killed with SIGKILL if it is dropped.
struct Process {
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stage {
    /// Sets up a certification authority, an arbiter, a bank, a mint, Alice and Bob, who buy at `price`, and starts them all.
    pub fn set(dir: &Path, price: Amount) -> Result<Self> {
        title("Six parties, each a process with a directory of its own");
        let passphrase = dir.join("passphrase.txt");
        std::fs::write(&passphrase, "only for the demonstration\n")?;
        std::fs::create_dir_all(dir.join("folders"))?;
        let stage = Self { dir: dir.to_owned(), passphrase, running: RefCell::default() };
        for (party, name, role) in [
            ("ca", "Demo Certification Authority", "ca"),
            ("arbiter", "Carol", "arbiter"),
            ("bank", "Demo Bank", "bank"),
            ("mint", "Demo Mint", "mint"),
            ("alice", "Alice", "party"),
            ("bob", "Bob", "party"),
        ] {
            stage.good(party, &["init", "--name", name, "--role", role])?;
        }
        stage.serve("ca")?;
        stage.serve("arbiter")?;
        for (party, name) in [("alice", "Alice"), ("bob", "Bob"), ("mint", "Demo Mint")] {
            let code = stage.good("ca", &["ca", "invite", name])?;
            stage.good(party, &["certify", "--ca", &stage.address("ca")?, "--code", code.trim()])?;
        }
        stage.good("ca", &["ca", "fetch", &stage.address("ca")?, "--out", &shown(&dir.join("folders"))])?;
        let file = |name: &str| shown(&dir.join("folders").join(name));
        stage.configure("bank", "bank", &[("authority", file("ca.crt")), ("crl", file("ca.crl"))])?;
        stage.configure("mint", "mint", &[("bank", stage.address("bank")?)])?;
        stage.serve("bank")?;
        stage.serve("mint")?;
        for (party, other) in [("alice", "bob"), ("bob", "alice")] {
            let card = |party: &str| shown(&dir.join(party).join("card.txt"));
            let mut add = vec!["contact".to_owned(), "add".to_owned(), card(other)];
            add.extend(stage.trusted());
            stage.good(party, &add.iter().map(String::as_str).collect::<Vec<_>>())?;
            stage.good(party, &["contact", "add", &card("arbiter"), "--arbiter"])?;
            std::fs::write(dir.join(party).join("policy.toml"), policy(price)?)?;
            stage.up(party)?;
        }
        say("Alice and Bob, who have each other's certified cards; Carol, the arbiter whom both accept;");
        say("a certification authority, a bank, and a mint that keeps the money behind its coins at the bank");
        Ok(stage)
    }

    /// Runs a command of a party.
    pub fn run(&self, party: &str, args: &[&str]) -> Result<Output> {
        Ok(self.command(party, args)?.output()?)
    }

    /// Runs a command of a party that must go well; what it prints.
    pub fn good(&self, party: &str, args: &[&str]) -> Result<String> {
        checked(self.run(party, args)?)
    }

    /// Runs a command of a party that must go well; the JSON that it prints.
    pub fn json(&self, party: &str, args: &[&str]) -> Result<Value> {
        let printed = self.good(party, args)?;
        serde_json::from_str(&printed).with_context(|| format!("{args:?} printed no JSON:\n{printed}"))
    }

    /// Runs a command and types `input` for it.
    pub fn type_in(&self, party: &str, args: &[&str], input: &str) -> Result<String> {
        let mut command = self.command(party, args)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
        checked(child.wait_with_output()?)
    }

    fn command(&self, party: &str, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--dir").arg(self.dir.join(party)).arg("--passphrase-file").arg(&self.passphrase).args(args);
        command.stdin(Stdio::null()).env_remove("SEMPER_DIR").env_remove("SEMPER_PASSPHRASE_FILE");
        Ok(command)
    }

    /// Starts a party's node, which signs what the policy allows.
    pub fn up(&self, party: &str) -> Result<()> {
        let policy = shown(&self.dir.join(party).join("policy.toml"));
        self.start(party, &["up", "--yes", "--policy", &policy])
    }

    /// Starts a party's node, which asks its user for every signature.
    pub fn up_asking(&self, party: &str) -> Result<()> {
        self.start(party, &["up"])
    }

    /// Starts a third party.
    pub fn serve(&self, role: &str) -> Result<()> {
        self.start(role, &["serve", "--role", role])
    }

    /// Kills a party's process with SIGKILL, as a power cut would.
    pub fn kill(&self, party: &str) {
        drop(self.running.borrow_mut().remove(party));
    }

    /// Ends all processes in good order.
    pub fn stop(&self) -> Result<()> {
        let parties: Vec<_> = self.running.borrow().keys().cloned().collect();
        for party in parties {
            self.good(&party, &["stop"])?;
        }
        Ok(())
    }

    /// Starts a process that keeps running, and waits until it answers. One that runs for this party already is killed.
    fn start(&self, party: &str, args: &[&str]) -> Result<()> {
        self.kill(party);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join(party).join("log.txt"))?;
        let mut command = self.command(party, args)?;
        let child = command.env("SEMPER_LOG", "info").stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut process = Process { child };
        let announced = self.dir.join(party).join("run/control.json");
        let begun = Instant::now();
        loop {
            let announced = std::fs::read(&announced).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            if announced.is_some_and(|endpoint: Value| endpoint["pid"] == process.child.id()) {
                self.running.borrow_mut().insert(party.to_owned(), process);
                return Ok(());
            }
            if let Some(status) = process.child.try_wait()? {
                bail!("{party} ended at once ({status}); see {}/{party}/log.txt", self.dir.display());
            }
            ensure!(begun.elapsed() < DEADLINE, "{party} does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
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

    /// The base address of a party.
    pub fn address(&self, party: &str) -> Result<String> {
        let config: toml::Table = toml::from_str(&std::fs::read_to_string(self.dir.join(party).join("semper.toml"))?)?;
        let listen = config.get("listen").and_then(toml::Value::as_str).context("no address")?;
        Ok(format!("http://{listen}"))
    }

    /// Begins a deal by a command of a party; the deal.
    pub fn begin(&self, party: &str, args: &[&str]) -> Result<String> {
        let printed = self.good(party, &[args, &["--no-ask", "--no-wait"]].concat())?;
        let deal = printed.lines().find_map(|line| line.strip_prefix("Deal ")).context("no deal was begun")?;
        Ok(deal.trim().to_owned())
    }

    /// Waits until a party's deal satisfies `good`.
    pub fn until(&self, party: &str, deal: &str, what: &str, good: impl Fn(&Value) -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            let output = self.run(party, &["deals", "show", deal, "--json"])?;
            let view: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if good(&view) {
                return Ok(());
            }
            ensure!(begun.elapsed() < DEADLINE, "{party} never got to: {what}\n{view:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a party's deal has ended, and checks how.
    pub fn ended(&self, party: &str, deal: &str, ending: &str) -> Result<()> {
        self.until(party, deal, ending, |view| view["ending"].is_string())?;
        let view = self.json(party, &["deals", "show", deal, "--json"])?;
        ensure!(view["ending"] == ending, "{party}: the deal ended as {}, not as {ending}", view["ending"]);
        Ok(())
    }

    /// Waits until a party can prove something about a deal, as `semper deals show` says it.
    pub fn can_prove(&self, party: &str, deal: &str, what: &str) -> Result<()> {
        let begun = Instant::now();
        while !self.good(party, &["deals", "show", deal])?.contains(what) {
            ensure!(begun.elapsed() < DEADLINE, "{party} cannot prove: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Writes a deal's folder as `folders/NAME.semper`.
    pub fn export(&self, party: &str, deal: &str, name: &str) -> Result<PathBuf> {
        let out = self.dir.join("folders").join(format!("{name}.semper"));
        self.good(party, &["deals", "export", deal, "--out", &shown(&out)])?;
        Ok(out)
    }

    /// The authority that everybody here believes, as options of a command.
    pub fn trusted(&self) -> Vec<String> {
        let file = |name| shown(&self.dir.join("folders").join(name));
        vec!["--ca".to_owned(), file("ca.crt"), "--crl".to_owned(), file("ca.crl")]
    }
}

/// A random number of milliseconds below 256.
pub(super) fn moment() -> Result<Duration> {
    let mut random = [0_u8; 1];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("no randomness"))?;
    Ok(Duration::from_millis(u64::from(random[0])))
}

pub(super) fn checked(output: Output) -> Result<String> {
    ensure!(output.status.success(), "a command failed ({}):\n{}", output.status, text(&output));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
