//! A world of parties for one test: a directory each, a loopback address that no other test uses, processes that end with it.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test gives up on it.
const DEADLINE: Duration = Duration::from_secs(60);
/// What lets a node sign everything that these tests ask of it.
const POLICY: &str =
    "[[allow]]\nwhat = \"contract\"\n\n[[allow]]\nwhat = \"mail\"\n\n[[allow]]\nwhat = \"acknowledgement\"\n";

pub struct World {
    dir: TempDir,
    ip: String,
    /// By how much the clocks of processes that start now are ahead, as libfaketime takes it.
    ahead: Option<&'static str>,
    /// Where SoftHSM has its tokens, if there are some.
    tokens: Option<PathBuf>,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub text: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Self { code: output.status.code(), text }
    }

    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self.text
    }

    /// It failed, and what it said holds every one of `parts`.
    #[track_caller]
    pub fn failed_with(self, parts: &[&str]) {
        assert!(self.code != Some(0), "it went through: {}", self.text);
        assert!(!self.text.contains("panicked"), "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "{part:?} is not in: {}", self.text);
        }
    }
}

/// A running node or third party, killed with SIGKILL when it is dropped.
pub struct Process(Child);

impl Process {
    pub fn of(child: Child) -> Self {
        Self(child)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command that prints what happens until it is dropped.
pub struct Watching {
    _process: Process,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Watching {
    /// The next line that holds `part`.
    pub fn line_with(&mut self, part: &str) -> String {
        self.lines.by_ref().map(|line| line.unwrap()).find(|line| line.contains(part)).unwrap()
    }
}

impl World {
    pub fn new() -> Self {
        // Each world listens on an address of its own in 127/8, so that a port that `init` found free stays free until `up`.
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let pid = std::process::id();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let ip = format!("127.{}.{}.{count}", 1 + pid / 250 % 250, 1 + pid % 250);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("passphrase"), "only for tests\n").unwrap();
        Self { dir, ip, ahead: None, tokens: None }
    }

    /// Alice and Bob, who know each other and accept the same arbiter. Nobody runs yet.
    pub fn of_two() -> Self {
        let world = Self::new();
        world.init("arbiter", &["--role", "arbiter"]);
        world.init("alice", &[]);
        world.init("bob", &[]);
        world.acquaint();
        world
    }

    /// Gives Alice and Bob each other's cards and the arbiter's.
    pub fn acquaint(&self) {
        for (party, other) in [("alice", "bob"), ("bob", "alice")] {
            self.run(party, &["contact", "add", &self.card(other)]).good();
            self.run(party, &["contact", "add", &self.card("arbiter"), "--arbiter"]).good();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn ip(&self) -> &str {
        &self.ip
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    pub fn card(&self, party: &str) -> String {
        self.path(party).join("card.txt").display().to_string()
    }

    pub fn init(&self, party: &str, more: &[&str]) {
        let listen = format!("{}:0", self.ip);
        let mut args = vec!["init", "--name", party];
        args.extend(more);
        if !more.contains(&"--listen") {
            args.extend(["--listen", &listen]);
        }
        self.run(party, &args).good();
        fs::write(self.path(party).join("policy.toml"), POLICY).unwrap();
    }

    /// Changes a party's configuration, which is read when it starts.
    pub fn configure(&self, party: &str, change: impl FnOnce(&mut toml::Table)) {
        let mut config = self.config(party);
        change(&mut config);
        fs::write(self.path(party).join("semper.toml"), toml::to_string(&config).unwrap()).unwrap();
    }

    fn config(&self, party: &str) -> toml::Table {
        toml::from_str(&fs::read_to_string(self.path(party).join("semper.toml")).unwrap()).unwrap()
    }

    /// Where a party listens, as its configuration says.
    pub fn listen(&self, party: &str) -> String {
        self.config(party)["listen"].as_str().unwrap().to_owned()
    }

    pub fn url(&self, party: &str) -> String {
        format!("http://{}", self.listen(party))
    }

    /// Every process that starts from now on believes that so much more time has passed: `+3h`. Those that run do not.
    pub fn go_ahead(&mut self, by: &'static str) {
        self.ahead = Some(by);
    }

    /// Makes a security token in software, whose PIN is the passphrase. It is in the directory `tokens`.
    pub fn token(&mut self, label: &str) {
        let tokens = self.path("tokens");
        fs::create_dir(&tokens).unwrap();
        let conf = self.file("softhsm2.conf", format!("directories.tokendir = {}\n", tokens.display()));
        let pin = fs::read_to_string(self.path("passphrase")).unwrap();
        let mut command = Command::new("softhsm2-util");
        command.args(["--init-token", "--free", "--label", label, "--pin", pin.trim(), "--so-pin", "of the officer"]);
        Ran::of(&command.env("SOFTHSM2_CONF", &conf).output().unwrap()).good();
        self.tokens = Some(conf.into());
    }

    pub fn command(&self, party: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_semper"));
        if let Some(tokens) = &self.tokens {
            command.env("SOFTHSM2_CONF", tokens);
        }
        if let Some(by) = self.ahead {
            // Only the time of day is another; timers run as they do.
            command.env("LD_PRELOAD", faketime()).env("FAKETIME", by).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command.arg("--dir").arg(self.path(party)).args(args).stdin(Stdio::null());
        command.env("SEMPER_PASSPHRASE_FILE", self.path("passphrase")).env_remove("SEMPER_DIR");
        command.env_remove("SEMPER_LOG").current_dir(self.dir.path());
        command
    }

    pub fn run(&self, party: &str, args: &[&str]) -> Ran {
        Ran::of(&self.command(party, args).output().unwrap())
    }

    /// Runs a command and types `input` for it.
    pub fn type_in(&self, party: &str, args: &[&str], input: &str) -> Ran {
        let mut command = self.command(party, args);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        // A command that has failed already reads nothing any more.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::of(&child.wait_with_output().unwrap())
    }

    /// A party says yes to a question: whoever gives money types how much.
    pub fn says_yes(&self, party: &str, question: &str) -> Ran {
        let asked = self.json(party, &["approvals", "--json"]);
        let asked = asked.as_array().unwrap().iter().find(|asked| asked["id"].as_str().unwrap().starts_with(question));
        let word = asked.and_then(|asked| asked["gives"].as_str()).unwrap_or("sign");
        self.type_in(party, &["approve", question], &format!("{word}\n"))
    }

    /// A party's node that signs what its policy allows.
    pub fn up(&self, party: &str) -> Process {
        let policy = self.path(party).join("policy.toml").display().to_string();
        self.start(party, &["up", "--yes", "--policy", &policy])
    }

    pub fn serve(&self, role: &str) -> Process {
        self.start(role, &["serve", "--role", role])
    }

    /// Starts a process that keeps running, and waits until it can be found.
    pub fn start(&self, party: &str, args: &[&str]) -> Process {
        let path = self.path(party).join("log.txt");
        let log = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        let mut command = self.command(party, args);
        command.env("SEMPER_LOG", "info").stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = Process(command.spawn().unwrap());
        let ready = until(|| {
            if let Some(status) = process.0.try_wait().unwrap() {
                panic!("{party} ended at once ({status}): {}", fs::read_to_string(&path).unwrap());
            }
            self.endpoint(party).filter(|endpoint| endpoint["pid"] == process.0.id())
        });
        assert!(ready.is_some(), "{party} does not start: {}", fs::read_to_string(&path).unwrap());
        process
    }

    /// Starts to watch a party's deals.
    pub fn watch(&self, party: &str) -> Watching {
        let mut command = self.command(party, &["deals", "watch"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Watching { _process: Process(child), lines }
    }

    /// What `run/control.json` says.
    pub fn endpoint(&self, party: &str) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.path(party).join("run/control.json")).ok()?).ok()
    }

    /// Lets Alice propose a contract over a file to Bob; the deal.
    pub fn propose(&self, more: &[&str]) -> String {
        let file = self.file("offer.txt", "one bicycle, blue, 120.00 EUR\n");
        let mut args = vec!["sign", &file, "--with", "bob", "--no-ask", "--no-wait"];
        args.extend(more);
        deal_in(&self.run("alice", &args).good())
    }

    pub fn json(&self, party: &str, args: &[&str]) -> Value {
        let output = self.command(party, args).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {}", Ran::of(&output).text))
    }

    /// A deal as a party sees it; null if the party does not have it.
    pub fn deal(&self, party: &str, deal: &str) -> Value {
        let output = self.command(party, &["deals", "show", deal, "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until a deal is as `good` wants it.
    #[track_caller]
    pub fn wait(&self, party: &str, deal: &str, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = until(|| {
            last = self.deal(party, deal);
            good(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{party} never got to {what}: {last:#}"))
    }

    /// Waits for a deal's end and says how it ended.
    #[track_caller]
    pub fn ending(&self, party: &str, deal: &str) -> String {
        let view = self.wait(party, deal, "an end", |view| view["ending"].is_string());
        view["ending"].as_str().unwrap().to_owned()
    }

    /// Waits until a party is asked to sign a contract; which question.
    #[track_caller]
    pub fn asked(&self, party: &str) -> String {
        let asked = until(|| {
            let shown = self.run(party, &["approvals"]).good();
            shown.lines().find(|line| line.contains("Sign this contract?")).map(|line| line[..12].to_owned())
        });
        asked.unwrap_or_else(|| panic!("{party} was never asked"))
    }

    /// A deal's folder as a file.
    pub fn export(&self, party: &str, deal: &str) -> PathBuf {
        let out = self.path(&format!("{party}-{deal}.semper"));
        self.run(party, &["deals", "export", deal, "--out", &out.display().to_string()]).good();
        out
    }

    /// Checks a folder as a stranger, who has no data directory.
    pub fn verify(&self, folder: &Path) -> Ran {
        self.run("nobody", &["verify", &folder.display().to_string()])
    }

    pub fn report(&self, folder: &Path) -> Value {
        self.json("nobody", &["verify", &folder.display().to_string(), "--json"])
    }
}

/// The library that has processes believe in another time (Debian's `libfaketime`).
fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).filter(|path| path.exists());
    found.next().expect("libfaketime is not there: install Debian's faketime")
}

/// A source of moments and amounts. Its seed is printed; what is drawn is the same with the same seed, what the processes do at that
/// moment may not be.
pub fn random() -> ChaCha8Rng {
    let seed = std::env::var("SEMPER_TEST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("SEMPER_TEST_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

/// The deal that a command says it has begun.
#[track_caller]
pub fn deal_in(text: &str) -> String {
    let deal = text.lines().find_map(|line| line.strip_prefix("Deal "));
    deal.unwrap_or_else(|| panic!("no deal was begun: {text}")).trim().to_owned()
}

/// Looks again and again until there is something to see, at most until [`DEADLINE`].
pub fn until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}
