//! A party's vault, as seen from its node: where it runs, and how it is asked.
//!
//! `semper up` gives the vault a process of its own, and its window one beside it. A command that runs a node for itself, and a program over this
//! library, have the vault in their own process and no window; it is asked over the same sockets.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use semper_core::ids::StatementId;
use semper_core::party::KeySet;
use semper_store::SqliteArchive;
use semper_support::approval::{Answer, ApprovalError, KeyHolder, SignRequest};
use semper_support::archive::Archive;
use semper_vault::client::{CallError, NodeSide, UserSide};
use semper_vault::decisions::{Decision, Decisions as _, Event, What};
use semper_vault::keys::Secrets;
use semper_vault::log::Log;
use semper_vault::policy::Policy;
use semper_vault::process;
use semper_vault::serve::{ServeError, Serving, Settings, Span};
use semper_vault::wire::{Pending, State};
use tokio::sync::{Notify, watch};

use crate::home::{Home, make_private_dir, write_private};
use crate::node::Node;

/// The name of the vault's own program, beside this one.
pub const PROGRAM: &str = "semper-vault";
/// The command of this program that does the same, where that one is not installed.
pub const COMMAND: &str = "vault-process";
/// How often a vault that is about to end, or to begin, is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a vault's process may take to begin or to end.
const PROCESS_TIME: Duration = Duration::from_secs(10);
/// How long a vault's process may be silent before it counts as gone.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// How long a question for news waits. A node that stops waits for it.
const NEWS_SECONDS: u8 = 1;

/// A vault that is unlocked, for as long as this is kept.
#[derive(Debug)]
pub struct Held {
    keys: Arc<Keys>,
    _at: Place,
}

/// Where a vault runs.
#[derive(Debug)]
enum Place {
    /// In this process.
    Here { _serving: Serving },
    /// In a process that ends with this one.
    Process { _process: Process },
    /// In a process that somebody else has started to stay.
    Lasting,
}

/// A process of the vault's or its window's. It ends when its standard input is closed, however this process ends.
#[derive(Debug)]
struct Process(Child);

/// An approval window's process, for as long as this is kept.
#[derive(Debug)]
pub struct Window(Process);

impl Held {
    /// Serves the party's vault in this process, or uses the one that was started to stay. Waits up to `patience` for another process of the
    /// same user that has it.
    ///
    /// # Errors
    /// The passphrase is wrong, the log was changed, or another process has the vault.
    pub fn here(home: &Home, passphrase: &[u8], policy: Option<&Policy>, patience: Duration) -> Result<Self> {
        let dir = home.vault();
        let begin = || match process::bind(&dir, Settings::default()) {
            Ok(bound) => Ok(Some(Place::Here { _serving: bound.serve() })),
            Err(ServeError::InUse(_)) => Ok(None),
            Err(error) => Err(error.into()),
        };
        Self::begun(&dir, passphrase, policy, patience, begin)
    }

    /// Gives the party's vault a process of its own, or uses the one that was started to stay. As [`Held::here`] else.
    ///
    /// # Errors
    /// As [`Held::here`], and if the process cannot be started.
    pub fn in_process(home: &Home, passphrase: &[u8], policy: Option<&Policy>, patience: Duration) -> Result<Self> {
        let dir = home.vault();
        let begin = || Ok(Process::begin(&dir)?.map(|process| Place::Process { _process: process }));
        Self::begun(&dir, passphrase, policy, patience, begin)
    }

    fn begun(
        dir: &Path,
        passphrase: &[u8],
        policy: Option<&Policy>,
        patience: Duration,
        begin: impl Fn() -> Result<Option<Place>>,
    ) -> Result<Self> {
        let until = Instant::now() + patience;
        let (place, user) = loop {
            if let Some(place) = begin()? {
                break (place, UserSide::connect(dir)?);
            }
            match UserSide::connect(dir).and_then(|user| Ok((user.state()?, user))) {
                Ok((State { span: Span::Lasting, .. }, user)) => break (Place::Lasting, user),
                _ if Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
                Ok((State { owner, .. }, _)) => bail!("{} is in use by process {owner}", dir.display()),
                Err(_) => bail!("{} is in use by another process", dir.display()),
            }
        };
        // Without rules of its own a node that begins has none, whatever the one before it had.
        user.unlock(passphrase, Some(policy.map_or("", Policy::text)))?;
        let keys = Arc::new(Keys(Arc::new(NodeSide::connect(dir)?)));
        Ok(Self { keys, _at: place })
    }

    /// The node's way to it.
    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Whether nobody but this process would start it again.
    pub(crate) fn is_ours(&self) -> bool {
        !matches!(self._at, Place::Lasting)
    }
}

impl Window {
    /// Starts the window of a party's vault. It need not come to run: another one may run over this vault, which [`Window::has_ended`] shows.
    ///
    /// # Errors
    /// No process can be started.
    pub fn begin(home: &Home) -> Result<Self> {
        let own = std::env::current_exe().context("this program does not know where it is")?;
        let mut command = Command::new(own);
        command.arg(semper_window::process::COMMAND).arg(home.vault()).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Self(Process(command.spawn().context("the approval window's process cannot be started")?)))
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.0.try_wait(), Ok(None))
    }
}

impl Process {
    /// Starts the vault's program; nothing if another process has the vault.
    fn begin(dir: &Path) -> Result<Option<Self>> {
        let own = std::env::current_exe().context("this program does not know where it is")?;
        let beside = own.with_file_name(PROGRAM);
        let (program, hidden) = if is_same_build(&beside) { (beside, None) } else { (own, Some(COMMAND)) };
        let mut command = Command::new(program);
        command.args(hidden).args(["--for-one-process", "--vault"]).arg(dir);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut started = Self(command.spawn().context("the vault's process cannot be started")?);
        let until = Instant::now() + PROCESS_TIME;
        loop {
            if let Some(status) = started.0.try_wait()? {
                // The code that says that another process has the vault.
                ensure!(status.code() == Some(i32::from(process::IN_USE)), "the vault's process has ended ({status})");
                return Ok(None);
            }
            // Another vault may answer until it sees that its own process is gone: ask for the process that answers.
            let state = UserSide::connect(dir).and_then(|user| user.state());
            if state.is_ok_and(|state| state.pid == started.0.id()) {
                return Ok(Some(started));
            }
            ensure!(Instant::now() < until, "the vault's process does not answer");
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Whether a program is the vault's, and signs by the rules that this one knows. One that was left from before would sign by others.
fn is_same_build(program: &Path) -> bool {
    let asked = Command::new(program).arg(process::BUILD_ARGUMENT).stdin(Stdio::null()).stderr(Stdio::null()).output();
    asked.is_ok_and(|said| said.stdout.trim_ascii() == process::BUILD.as_bytes())
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let until = Instant::now() + PROCESS_TIME;
        while matches!(self.0.try_wait(), Ok(None)) {
            if Instant::now() >= until {
                // A confined node may not kill it; it has no keys to lose that it does not lose with its input.
                let _ = self.0.kill();
                return;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Fact spaces of the archive in which a node kept what its keys had signed and approved, before the vault had a log.
const FORMER_SPACES: [&str; 10] = [
    "vault-answer",
    "vault-way",
    "vault-approved",
    "vault-release",
    "vault-locked",
    "vault-shows",
    "vault-passes",
    "vault-passed",
    "vault-money",
    "vault-requested",
];
/// Facts that are brought over at once.
const PAGE: usize = 64;

/// Gives a party's directory that was made before there were vaults its vault: the keys, and what they have signed and approved. What waited
/// is asked again. A directory that has a vault is left alone.
///
/// The vault is made whole under another name and gets its own in one step; the former key file goes after that. So whenever the power fails,
/// either nothing has happened, or all but the removal.
///
/// # Errors
/// The passphrase is wrong, another process has the archive, or the disk is full: the directory is as it was.
pub fn bring_over(home: &Home, passphrase: &[u8]) -> Result<()> {
    let (vault, new) = (home.vault(), home.dir().join("vault.new"));
    let former = home.dir().join("keys");
    if !vault.exists() {
        let secrets = Secrets::reveal(passphrase, &home.keys()?)?;
        if new.exists() {
            std::fs::remove_dir_all(&new).with_context(|| format!("cannot remove {}", new.display()))?;
        }
        make_private_dir(&new)?;
        write_private(&new.join("keys"), &home.keys()?)?;
        let log = Log::open(&new.join("log"), &secrets.log_key())?;
        // A runtime of its own: what becomes the node has none yet.
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(copy(home, &log))?;
        std::fs::rename(&new, &vault).with_context(|| format!("cannot make {}", vault.display()))?;
        std::fs::File::open(home.dir())?.sync_all()?;
    }
    match std::fs::remove_file(&former) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}, whose keys are in the vault now", former.display()))
        }
        _ => Ok(()),
    }
}

/// Copies the facts of the former vault from the archive into the log.
async fn copy(home: &Home, log: &Log) -> Result<()> {
    let archive = SqliteArchive::open(home.archive()).await?;
    for space in FORMER_SPACES {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let facts = Archive::facts(&archive, space, after.as_deref(), PAGE).await?;
            let Some(last) = facts.last() else { break };
            after = Some(last.key.clone());
            let event = Event::of_vault(What::BroughtOver, String::new());
            log.decide(Decision { event, facts, question: None }).await?;
        }
    }
    Ok(archive.close().await?)
}

/// That a node's vault has ended before it.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    told: AtomicBool,
    notify: Notify,
}

impl Gone {
    fn tell(&self) {
        self.told.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    /// Returns when it has.
    pub(crate) async fn wait(&self) {
        while !self.told.load(Ordering::Acquire) {
            self.notify.notified().await;
        }
    }
}

/// The node's way to its vault.
#[derive(Debug)]
pub(crate) struct Keys(Arc<NodeSide>);

impl Keys {
    /// For what opens messages and signs receipts.
    pub(crate) fn side(&self) -> Arc<NodeSide> {
        self.0.clone()
    }

    /// What waits for the user.
    ///
    /// # Errors
    /// The vault is locked, or does not answer.
    pub(crate) async fn pending(&self) -> Result<Vec<Pending>, CallError> {
        self.ask(NodeSide::pending).await
    }

    /// Has the node look at its questions whenever the user has answered one, until `stop` becomes true. Tells `gone`, if there is one, when
    /// the vault does not answer any more: without the passphrase, which the node has forgotten, nobody can start it again.
    pub(crate) async fn watch(
        self: Arc<Self>,
        node: Arc<Node>,
        gone: Option<Arc<Gone>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let (mut known, mut heard) = (0, Instant::now());
        loop {
            let news = tokio::select! {
                news = self.ask(move |side| side.news(known, NEWS_SECONDS)) => news,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            // A vault that refuses, or is slow, is there.
            let slow = |error: &io::Error| matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
            if !matches!(&news, Err(CallError::Silent(error)) if !slow(error)) {
                heard = Instant::now();
            }
            match news {
                Ok(news) if news == known => {}
                Ok(news) => {
                    known = news;
                    node.look_at_asks();
                }
                Err(_) if heard.elapsed() >= GONE_AFTER && gone.is_some() => {
                    gone.inspect(|gone| gone.tell());
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the vault does not answer");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Asks on a thread that may wait.
    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&NodeSide) -> T + Send + 'static) -> T {
        let side = self.0.clone();
        match tokio::task::spawn_blocking(move || question(&side)).await {
            Ok(answer) => answer,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[async_trait]
impl KeyHolder for Keys {
    fn key_set(&self) -> KeySet {
        NodeSide::key_set(&self.0).clone()
    }

    async fn request(&self, request: SignRequest) -> Result<Answer, ApprovalError> {
        self.ask(move |side| side.request(request)).await
    }

    async fn withdraw(&self, request: StatementId) -> Result<(), ApprovalError> {
        self.ask(move |side| side.withdraw(request)).await
    }
}

#[cfg(test)]
mod tests;
