//! The vault at work: two sockets, one for the node and one for the user's side.
//!
//! Both are in directories that nobody but their owner can enter, and each caller must run under the same user. That keeps other users out,
//! not the node. What keeps the node from answering its own questions is the token of the user's side: it is in a directory that the node,
//! once it has given up what it does not need ([`crate::confine`]), cannot read.
//!
//! Keys are in memory from the time when the passphrase is given until the vault is locked or stopped. A user who does not answer for
//! [`Settings::idle`] is taken for gone: from then on no answer is taken without the passphrase. What follows from what was approved before
//! is signed all the same, and so is what mandates and the policy cover, because contracts have dates, and a vault that stops at night would lose
//! its user's money.
//!
//! Each connection has a thread; there are at most 64 to a socket. Nothing here waits for anything but its caller.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use semper_commerce::mandate::Mandate;
use semper_core::cbor::{Decode as _, DecodeError, Encode as _};
use semper_core::cose::{Draft, Kind};
use semper_core::hash::Digest;
use semper_core::ids::StatementId;
use semper_core::party::KeySet;
use semper_crypto::SystemRandom;
use semper_support::approval::{Answer, KeyHolder as _};
use semper_support::crypto::{CryptoError, Open, Randomness as _, Signer};
use zeroize::Zeroizing;

use crate::decisions::{Decision, Decisions as _, Event, What};
use crate::keys::{Keyring, KeyringError, Keys, Lent};
use crate::log::Log;
use crate::policy::Policy;
use crate::revocations::Revocations;
use crate::rules::{Purpose, Systems, UserAnswer, Vault, VaultError};
use crate::wire::{
    Answered, Asked, Code, Condition, FRAME_MAX, Hello, List, NODE_DIR, Page, Pending, Problem, Question, State, TOKEN,
    TOKEN_LEN, USER_DIR, read_frame, socket_path, split, write_frame,
};

/// The log's name in the vault's directory.
const LOG: &str = "log";
/// The file that is locked while a vault is served from a directory.
const LOCK: &str = "lock";
/// Most connections to one socket at once.
const CONNECTIONS_MAX: usize = 64;
/// How long a caller may take over one frame, to send or to take it.
const FRAME_TIME: Duration = Duration::from_secs(10);
/// How long a connection of the user's side may be silent. The node's stay.
const USER_SILENCE: Duration = Duration::from_secs(60);
/// How long a question for news waits at most.
const NEWS_TIME: Duration = Duration::from_secs(20);
/// Wrong passphrases that are taken without a pause; each one after them doubles the pause.
const FREE_TRIES: u32 = 3;
/// The longest pause after a wrong passphrase.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Most bytes of a policy.
const RULES_MAX: usize = crate::decisions::TEXT_MAX;
/// Most entries of the log in one answer.
const PAGE_MAX: u64 = 64;

/// How a vault behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long after the passphrase or the last answer the next answer is taken without the passphrase. Zero: every answer needs it.
    pub idle: Duration,
    /// Whether it ends with the process that has started it.
    pub span: Span,
    /// The process that it is for, by number: what to tell somebody who finds it in use.
    pub owner: u32,
}

/// How long a vault is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// As long as the process that has started it: a node, or a command.
    OneProcess,
    /// Until it is stopped by itself: nodes come and go.
    Lasting,
}

impl Default for Settings {
    /// A quarter of an hour, for one process.
    fn default() -> Self {
        Self { idle: Duration::from_secs(15 * 60), span: Span::OneProcess, owner: std::process::id() }
    }
}

/// A vault whose sockets are bound, and which nobody is served by yet.
pub struct Bound {
    shared: Arc<Shared>,
    node: UnixListener,
    user: UnixListener,
}

/// A vault at work. It stops when this is dropped.
pub struct Serving {
    shared: Arc<Shared>,
    dir: PathBuf,
    threads: Vec<JoinHandle<()>>,
}

/// Why a vault cannot be served from a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another process serves it.
    #[error("the vault in {0} is served by another process")]
    InUse(PathBuf),
    /// The keys are on a security token that cannot be asked.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The directory or the sockets cannot be made.
    #[error("the vault in {dir} cannot be served: {error}")]
    Io {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl Bound {
    /// Takes the vault's directory `dir` for this process, and binds the sockets in it. The keys stay locked.
    ///
    /// # Errors
    /// [`ServeError`]; nobody is served.
    pub fn at(dir: &Path, keyring: Box<dyn Keyring>, systems: Systems, settings: Settings) -> Result<Self, ServeError> {
        let failed = |error: io::Error| ServeError::Io { dir: dir.to_owned(), error };
        private_dir(dir).map_err(failed)?;
        let mut options = fs::OpenOptions::new();
        let lock = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(dir.join(LOCK));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(ServeError::InUse(dir.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let bind = || -> io::Result<_> {
            let (node_dir, user_dir) = (dir.join(NODE_DIR), dir.join(USER_DIR));
            private_dir(&node_dir)?;
            private_dir(&user_dir)?;
            let mut token = Zeroizing::new([0; TOKEN_LEN]);
            SystemRandom.fill(&mut *token).map_err(io::Error::other)?;
            let node = listen(&node_dir)?;
            write_token(&user_dir.join(TOKEN), &*token)?;
            Ok((node, listen(&user_dir)?, token))
        };
        let (node, user, token) = bind().map_err(failed)?;
        let state = Mutex::new(Inner { opened: None, log: OpenLog::default(), heard: Instant::now() });
        let shared = Shared {
            dir: dir.to_owned(),
            keyring,
            systems,
            settings,
            token,
            state,
            tries: Mutex::new(Tries { wrong: 0, again: Instant::now() }),
            news: Mutex::new(News { answers: 0, changes: 0, stopped: false }),
            told: Condvar::new(),
            streams: Mutex::new(Vec::new()),
            _lock: lock,
        };
        Ok(Self { shared: Arc::new(shared), node, user })
    }

    /// What a foreign library needs for the keys, as by [`Keyring::needs`].
    pub fn needs(&self) -> Option<&[PathBuf]> {
        self.shared.keyring.needs()
    }

    /// Serves, on threads of this process.
    pub fn serve(self) -> Serving {
        let Self { shared, node, user } = self;
        let dir = shared.dir.clone();
        let accept = |listener, side| {
            let shared = shared.clone();
            std::thread::spawn(move || accept(&shared, &listener, side))
        };
        let threads = vec![accept(node, Side::Node), accept(user, Side::User)];
        Serving { shared, dir, threads }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shared.news().stopped = true;
        self.shared.told.notify_all();
        for (_, stream) in self.shared.streams().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        for (side, thread) in [NODE_DIR, USER_DIR].into_iter().zip(self.threads.drain(..)) {
            // Wakes it from its wait for callers. If the directory is gone, nobody calls any more, and it may wait.
            let woken = socket_path(&self.dir.join(side)).and_then(|(path, _dir)| UnixStream::connect(path));
            if woken.is_ok() {
                let _ = thread.join();
            }
        }
    }
}

/// Which socket a caller came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Node,
    User,
}

struct Shared {
    dir: PathBuf,
    keyring: Box<dyn Keyring>,
    systems: Systems,
    settings: Settings,
    token: Zeroizing<[u8; TOKEN_LEN]>,
    state: Mutex<Inner>,
    tries: Mutex<Tries>,
    news: Mutex<News>,
    told: Condvar,
    /// The connections that are open, by number, so that they can be ended.
    streams: Mutex<Vec<(u64, UnixStream)>>,
    /// Held as long as the directory is ours.
    _lock: fs::File,
}

struct Inner {
    opened: Option<Arc<Opened>>,
    log: OpenLog,
    /// When the user was last heard.
    heard: Instant,
}

/// Passphrases that were tried. Locked while one is looked at: who tries many gets no more of them by trying at once.
struct Tries {
    /// Wrong ones since the last right one.
    wrong: u32,
    /// When the next one is looked at.
    again: Instant,
}

/// The log that was opened last, as long as anybody works with it.
#[derive(Default)]
struct OpenLog {
    log: Weak<Log>,
    key_set: Option<KeySet>,
}

impl OpenLog {
    fn upgrade(&self) -> Option<(Arc<Log>, KeySet)> {
        Some((self.log.upgrade()?, self.key_set.clone()?))
    }
}

struct News {
    /// How many answers the user has given since the start.
    answers: u64,
    /// How often something else may look different to the user since the start: what waits, whether the keys are locked.
    changes: u64,
    stopped: bool,
}

/// The vault with its keys in memory.
struct Opened {
    vault: Vault<Log>,
    log: Arc<Log>,
    inbox: Box<dyn Open>,
    transport: Box<dyn Signer>,
    lent: Lent,
    hello: Hello,
}

type Outcome = Result<Zeroizing<Vec<u8>>, Problem>;

impl Shared {
    fn state(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn streams(&self) -> MutexGuard<'_, Vec<(u64, UnixStream)>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> Result<Arc<Opened>, Problem> {
        let locked = || Problem::new(Code::Locked, "the keys are locked; open them with `semper vault unlock`");
        self.state().opened.clone().ok_or_else(locked)
    }

    /// What a caller is told.
    fn answer(&self, side: Side, question: Option<Question>, body: &[u8]) -> Outcome {
        match (side, question) {
            (Side::Node, Some(Question::Hello)) => Ok(Zeroizing::new(self.opened()?.hello.to_bytes())),
            (Side::Node, Some(Question::Sign)) => self.sign(body),
            (Side::Node, Some(Question::Withdraw)) => self.withdraw(body),
            (Side::Node, Some(Question::Open)) => self.open(body),
            (Side::Node, Some(Question::SignTransport)) => self.sign_transport(body),
            (Side::Node, Some(Question::Pending)) => self.pending(),
            (Side::Node, Some(Question::Lent)) => {
                let Lent { replies, seed } = &self.opened()?.lent;
                Ok(Zeroizing::new([replies.as_slice(), seed.as_slice()].concat()))
            }
            (Side::Node, Some(Question::News)) => self.wait_for(body, |news| news.answers),
            (Side::User, Some(Question::Unlock)) => self.unlock(body),
            (Side::User, Some(Question::Lock)) => {
                self.state().opened = None;
                self.changed();
                Ok(Zeroizing::default())
            }
            (Side::User, Some(Question::Waiting)) => {
                let waiting = ready(self.opened()?.vault.waiting())?;
                Ok(Zeroizing::new(List(within_a_frame(waiting)).to_bytes()))
            }
            (Side::User, Some(Question::Answer)) => self.take_answer(body),
            (Side::User, Some(Question::Log)) => self.history(body),
            (Side::User, Some(Question::Mandates)) => {
                let mandates = ready(self.opened()?.vault.mandates())?;
                Ok(Zeroizing::new(List(within_a_frame(mandates)).to_bytes()))
            }
            (Side::User, Some(Question::Propose)) => {
                let mandate = Mandate::from_bytes(body).map_err(unreadable)?;
                let asked = ready(self.opened()?.vault.propose(mandate))?;
                self.changed();
                Ok(Zeroizing::new(asked.as_bytes().to_vec()))
            }
            (Side::User, Some(Question::Revoke)) => self.revoke(statement(body)?),
            (Side::User, Some(Question::Mandate)) => {
                let signed = ready(self.opened()?.vault.mandate(statement(body)?))?;
                Ok(Zeroizing::new(signed.bytes().to_vec()))
            }
            (Side::User, Some(Question::State)) => Ok(Zeroizing::new(self.condition().to_bytes())),
            (Side::User, Some(Question::Watch)) => self.wait_for(body, |news| news.answers + news.changes),
            _ => Err(Problem::new(Code::NotAsked, "this is not asked here")),
        }
    }

    /// Tells whoever watches for the user that something looks different.
    fn changed(&self) {
        self.news().changes += 1;
        self.told.notify_all();
    }

    fn sign(&self, body: &[u8]) -> Outcome {
        let Asked(request) = Asked::from_bytes(body).map_err(unreadable)?;
        let told = match ready(self.opened()?.vault.request(request))? {
            Answer::Signed(signed) => signed.bytes().to_vec(),
            Answer::Declined => Vec::new(),
            Answer::Waiting => vec![0],
        };
        // It waits now, or the log has grown by what a rule or a mandate has signed.
        self.changed();
        Ok(Zeroizing::new(told))
    }

    fn withdraw(&self, body: &[u8]) -> Outcome {
        ready(self.opened()?.vault.withdraw(statement(body)?))?;
        self.changed();
        Ok(Zeroizing::default())
    }

    /// Revokes a mandate. While the keys are locked nothing is signed and the log is closed: then it is kept until they are opened.
    fn revoke(&self, id: StatementId) -> Outcome {
        let state = self.state();
        match state.opened.clone() {
            Some(opened) => {
                drop(state);
                ready(opened.vault.revoke(id))?;
                self.changed();
                Ok(Zeroizing::default())
            }
            None => {
                let kept = Revocations::of(&self.dir.join(USER_DIR)).keep(id);
                kept.map_err(|error| Problem::new(Code::Unavailable, format!("the revocation is not kept: {error}")))?;
                Ok(Zeroizing::new(vec![0]))
            }
        }
    }

    /// Carries out what was revoked while the keys were locked. What was never granted is no matter.
    fn revoke_waiting(&self, vault: &Vault<Log>) -> Result<(), Problem> {
        let failed = |error: io::Error| Problem::new(Code::Unavailable, format!("the revocations that wait: {error}"));
        let revocations = Revocations::of(&self.dir.join(USER_DIR));
        for id in revocations.waiting().map_err(failed)? {
            match ready(vault.revoke(id)) {
                Ok(()) | Err(VaultError::NoMandate(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        revocations.carried_out().map_err(failed)
    }

    fn open(&self, body: &[u8]) -> Outcome {
        let (context, sealed) = split(body).ok_or_else(|| Problem::new(Code::NotAsked, "no context"))?;
        self.opened()?.inbox.open(context, sealed).map_err(|error| Problem::new(Code::CannotOpen, error))
    }

    /// The keys of the transport say that a message came, and fetch mail. They say nothing in their party's name.
    fn sign_transport(&self, body: &[u8]) -> Outcome {
        let draft = Draft::from_bytes(body).map_err(unreadable)?;
        if !matches!(draft.kind, Kind::Receipt | Kind::MailboxRequest) {
            let words = "the keys of the inbox sign receipts and requests to a mailbox and nothing else";
            return Err(Problem::new(Code::Forbidden, words));
        }
        let signed = self.opened()?.transport.sign(draft).map_err(|error| match error {
            CryptoError::WrongSigner => Problem::new(Code::WrongSigner, ""),
            error => Problem::new(Code::Unavailable, error),
        })?;
        Ok(Zeroizing::new(signed.bytes().to_vec()))
    }

    fn pending(&self) -> Outcome {
        let waiting = ready(self.opened()?.vault.waiting())?;
        // Whether mandates wait is the user's matter.
        let waiting = waiting.iter().filter(|waits| waits.draft.kind != Kind::Mandate);
        let pending = waiting.map(|waits| Pending { statement: waits.draft.id(), deal: waits.deal });
        Ok(Zeroizing::new(List(pending.collect()).to_bytes()))
    }

    /// Answers when a number is another one than the caller knows, at the latest after the time that the caller gives, and after [`NEWS_TIME`].
    fn wait_for(&self, body: &[u8], number: fn(&News) -> u64) -> Outcome {
        let bad = || Problem::new(Code::NotAsked, "two numbers have 8 bytes and 1");
        let (known, seconds) = body.split_first_chunk().ok_or_else(bad)?;
        let (known, [seconds]) = (u64::from_be_bytes(*known), seconds) else { return Err(bad()) };
        let most = NEWS_TIME.min(Duration::from_secs(u64::from(*seconds)));
        let same = |news: &mut News| number(news) == known && !news.stopped;
        let waited = self.told.wait_timeout_while(self.news(), most, same);
        let (news, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Ok(Zeroizing::new(number(&news).to_be_bytes().to_vec()))
    }

    /// Takes a passphrase: opens the keys, or hears the user again.
    fn unlock(&self, body: &[u8]) -> Outcome {
        let (rules, passphrase) = split(body).ok_or_else(|| Problem::new(Code::NotAsked, "no rules"))?;
        let rules = rules.strip_prefix(&[1]).map(std::str::from_utf8).transpose().ok();
        let rules = rules.filter(|rules| rules.is_none_or(|rules| rules.len() <= RULES_MAX));
        let rules = rules.ok_or_else(|| Problem::new(Code::NotAsked, "the policy is too long, or no text"))?;
        let policy = rules.map(Policy::parse).transpose();
        let policy = policy.map_err(|error| Problem::new(Code::NotAsked, format!("{error:#}")))?;
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = tries.again.saturating_duration_since(Instant::now());
        if !pause.is_zero() {
            let words = format!("too many wrong passphrases; try again in {} seconds", pause.as_secs() + 1);
            return Err(Problem::new(Code::TooOften, words));
        }
        let keys: Keys = self.keyring.open(passphrase).map(Keys::from).map_err(|error| match error {
            KeyringError::WrongPassphrase => {
                tries.wrong = tries.wrong.saturating_add(1);
                let doublings = tries.wrong.saturating_sub(FREE_TRIES + 1).min(16);
                if tries.wrong > FREE_TRIES {
                    tries.again = Instant::now() + Duration::from_secs(1 << doublings).min(PAUSE_MAX);
                }
                Problem::new(Code::WrongPassphrase, error)
            }
            error => Problem::new(Code::Unavailable, error),
        })?;
        tries.wrong = 0;
        let mut state = self.state();
        // A question that was put before the keys were locked may still be at work on the log, which has one writer.
        let log = match state.log.upgrade() {
            Some((log, key_set)) if key_set == *keys.signer.key_set() => log,
            Some(_) => return Err(Problem::new(Code::Unavailable, "the vault still works with other keys; try again")),
            None => {
                let log = Log::open(&self.dir.join(LOG), &keys.log);
                Arc::new(log.map_err(|error| Problem::new(Code::Unavailable, error))?)
            }
        };
        let event = Event::of_vault(What::Unlocked, rules.unwrap_or_default().to_owned());
        let unlocked = ready(log.decide(Decision { event, facts: Vec::new(), question: None }));
        unlocked.map_err(|error| Problem::new(Code::Unavailable, error))?;
        state.heard = Instant::now();
        if state.opened.is_none() || rules.is_some() {
            state.log = OpenLog { log: Arc::downgrade(&log), key_set: Some(keys.signer.key_set().clone()) };
            let opened = self.with_keys(keys, log, policy);
            self.revoke_waiting(&opened.vault)?;
            state.opened = Some(Arc::new(opened));
        }
        drop(state);
        self.changed();
        Ok(Zeroizing::default())
    }

    fn with_keys(&self, keys: Keys, log: Arc<Log>, policy: Option<Policy>) -> Opened {
        let Keys { signer, inbox, transport, lent, log: _ } = keys;
        let hello = Hello {
            key_set: signer.key_set().clone(),
            inbox_suite: inbox.suite(),
            inbox_key: inbox.public_key().to_vec(),
            transport: transport.key_set().clone(),
        };
        let vault = Vault::new(signer, log.clone(), Purpose::Party, policy, self.systems.clone());
        Opened { vault, log, inbox, transport, lent, hello }
    }

    /// Takes the user's answer to a question.
    fn take_answer(&self, body: &[u8]) -> Outcome {
        let Answered { statement, seen } = Answered::from_bytes(body).map_err(unreadable)?;
        let opened = self.opened()?;
        if self.is_idle() {
            return Err(Problem::new(Code::Idle, "you were away for long; the passphrase is needed before an answer"));
        }
        let answer = seen.map_or(UserAnswer::Decline, |seen| UserAnswer::Approve { seen });
        ready(opened.vault.answer(statement, answer))?;
        self.state().heard = Instant::now();
        self.news().answers += 1;
        self.told.notify_all();
        Ok(Zeroizing::default())
    }

    fn history(&self, body: &[u8]) -> Outcome {
        let Page { skip, limit } = Page::from_bytes(body).map_err(unreadable)?;
        let limit = usize::try_from(limit.min(PAGE_MAX)).unwrap_or(0);
        let entries = self.opened()?.log.history(skip, limit);
        let entries = entries.map_err(|error| Problem::new(Code::Unavailable, error))?;
        Ok(Zeroizing::new(List(within_a_frame(entries)).to_bytes()))
    }

    fn is_idle(&self) -> bool {
        self.state().heard.elapsed() >= self.settings.idle
    }

    fn condition(&self) -> State {
        let opened = self.state().opened.clone();
        let (idle, span) = (self.is_idle(), self.settings.span);
        let (pid, owner) = (std::process::id(), self.settings.owner);
        match opened {
            None => State { condition: Condition::Locked, key_set: None, entries: 0, span, pid, owner },
            Some(opened) => State {
                span,
                pid,
                owner,
                condition: if idle { Condition::Idle } else { Condition::Open },
                key_set: Some(opened.hello.key_set.clone()),
                entries: opened.log.len(),
            },
        }
    }
}

/// As many of the first items as go into one frame, at least one.
fn within_a_frame<T: semper_core::cbor::Encode>(items: Vec<T>) -> Vec<T> {
    let mut left = FRAME_MAX - 1024;
    let fits = |item: &T| {
        left = left.saturating_sub(item.to_bytes().len());
        left > 0
    };
    items.into_iter().take_while(fits).collect()
}

/// The statement that a question names.
fn statement(body: &[u8]) -> Result<StatementId, Problem> {
    let id = body.try_into().map_err(|_| Problem::new(Code::NotAsked, "a statement's name has 32 bytes"))?;
    Ok(StatementId::from_digest(Digest::from_array(id)))
}

fn unreadable(error: DecodeError) -> Problem {
    Problem::new(Code::NotAsked, format!("the question is not readable: {error}"))
}

/// What a future says that has nothing to wait for.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(said) => said,
        Poll::Pending => unreachable!("rules compute, and a log answers at once"),
    }
}

fn accept(shared: &Arc<Shared>, listener: &UnixListener, side: Side) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    let mut number = match side {
        Side::Node => 0,
        Side::User => 1,
    };
    loop {
        let accepted = listener.accept();
        if shared.news().stopped {
            break;
        }
        let Ok((stream, _)) = accepted else {
            // No descriptors left, or something like that.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        threads.retain(|thread| !thread.is_finished());
        // Whoever takes all the places of the node's socket is the node, and waits for itself.
        if threads.len() >= CONNECTIONS_MAX || !is_same_user(&stream) {
            continue;
        }
        number += 2;
        let Ok(end) = stream.try_clone() else { continue };
        shared.streams().push((number, end));
        if shared.news().stopped {
            break;
        }
        let (shared, number) = (shared.clone(), number);
        threads.push(std::thread::spawn(move || {
            // Whatever ends a connection, the caller sees it.
            let _ = converse(&shared, stream, side);
            shared.streams().retain(|(other, _)| *other != number);
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Answers one caller until it leaves.
fn converse(shared: &Shared, mut stream: UnixStream, side: Side) -> io::Result<()> {
    stream.set_write_timeout(Some(FRAME_TIME))?;
    if side == Side::User {
        stream.set_read_timeout(Some(FRAME_TIME))?;
        let (code, token) = read_frame(&mut stream)?;
        let known = verify_slices_are_equal(&token, &*shared.token).is_ok();
        if Question::from_code(code) != Some(Question::User) || !known {
            let refused = Problem::new(Code::NotAsked, "this socket is for the user's side alone");
            return reply(&mut stream, Err(refused));
        }
        reply(&mut stream, Ok(Zeroizing::default()))?;
    }
    loop {
        // The first byte may take its time, the rest of the frame may not.
        stream.set_read_timeout((side == Side::User).then_some(USER_SILENCE))?;
        let mut first = First::wait(&stream)?;
        stream.set_read_timeout(Some(FRAME_TIME))?;
        let (code, body) = read_frame(&mut first)?;
        if shared.news().stopped {
            return Ok(());
        }
        reply(&mut stream, shared.answer(side, Question::from_code(code), &body))?;
    }
}

fn reply(stream: &mut UnixStream, outcome: Outcome) -> io::Result<()> {
    match outcome {
        Ok(body) => write_frame(stream, 0, &[&body]),
        Err(problem) => write_frame(stream, 1, &[&problem.to_bytes()]),
    }?;
    stream.flush()
}

/// A stream of which the first byte was read already.
struct First<'a> {
    byte: Option<u8>,
    stream: &'a UnixStream,
}

impl<'a> First<'a> {
    fn wait(stream: &'a UnixStream) -> io::Result<Self> {
        let mut byte = [0];
        io::Read::read_exact(&mut &*stream, &mut byte)?;
        Ok(Self { byte: Some(byte[0]), stream })
    }
}

impl io::Read for First<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match (self.byte, out.first_mut()) {
            (Some(byte), Some(first)) => {
                *first = byte;
                self.byte = None;
                Ok(1)
            }
            _ => (&mut &*self.stream).read(out),
        }
    }
}

/// Whether the caller runs under our own user.
pub fn is_same_user(stream: &UnixStream) -> bool {
    #[cfg(target_os = "linux")]
    {
        let peer = rustix::net::sockopt::socket_peercred(stream);
        peer.is_ok_and(|peer| peer.uid == rustix::process::geteuid())
    }
    // Elsewhere the directory alone keeps others out.
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        true
    }
}

/// Listens on the socket in `dir`, which is ours alone.
///
/// # Errors
/// The directory cannot be written.
pub fn listen(dir: &Path) -> io::Result<UnixListener> {
    let (path, _dir) = socket_path(dir)?;
    // What a killed process has left; the directory is ours.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Makes a directory that nobody but its owner enters.
///
/// # Errors
/// It cannot be made.
pub fn private_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

fn write_token(path: &Path, token: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(token)?;
    fs::rename(new, path)
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bound({})", self.shared.dir.display())
    }
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Serving({})", self.dir.display())
    }
}
