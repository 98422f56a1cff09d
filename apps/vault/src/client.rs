//! Asking a vault: [`NodeSide`] for the node, [`UserSide`] for whoever sits before the screen.
//!
//! Calls block, for as long as the vault needs: a signature is made and stored within some milliseconds. A call whose connection broke is
//! made again once on a fresh one; every question can be asked twice.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use semper_commerce::mandate::Mandate;
use semper_core::cbor::{Decode, Encode as _};
use semper_core::cose::{Draft, Signed};
use semper_core::hash::Digest;
use semper_core::ids::StatementId;
use semper_core::party::KeySet;
use semper_support::approval::{Answer, ApprovalError, SignRequest};
use semper_support::crypto::{CryptoError, KemSuite, Open, Signer};
use zeroize::Zeroizing;

use crate::keys::Lent;
use crate::log::LogEntry;
use crate::rules::{Approval, Granted, UserAnswer};
use crate::wire::{
    Answered, Asked, Code, Hello, List, NODE_DIR, Page, Pending, Problem, Question, State, TOKEN, TOKEN_LEN, USER_DIR,
    length, read_frame, socket_path, write_frame,
};

/// How long an answer may take. A question for news takes 20 seconds by itself, a passphrase some tenths of one.
const ANSWER_TIME: Duration = Duration::from_secs(40);
/// Most connections that are kept for later.
const SPARE_MAX: usize = 16;

/// Why a vault gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The vault says why not. Nothing was signed.
    #[error("{0}")]
    Refused(#[from] Problem),
    /// The vault does not run, or has ended meanwhile.
    #[error("the vault does not answer ({0}); is `semper up` running?")]
    Silent(#[from] io::Error),
    /// The answer is none: another program, or another version.
    #[error("the vault's answer is not readable")]
    Unreadable,
}

impl CallError {
    /// What kind of problem the vault has, if it is the one that says so.
    pub fn code(&self) -> Option<Code> {
        match self {
            CallError::Refused(problem) => Some(problem.code),
            _ => None,
        }
    }
}

type Result<T> = std::result::Result<T, CallError>;

/// Connections to one of the sockets.
struct Line {
    dir: PathBuf,
    /// Shown first on every connection of the user's side.
    token: Option<Zeroizing<Vec<u8>>>,
    spare: Mutex<Vec<UnixStream>>,
}

impl Line {
    fn new(dir: PathBuf, token: Option<Zeroizing<Vec<u8>>>) -> Self {
        Self { dir, token, spare: Mutex::new(Vec::new()) }
    }

    fn call(&self, question: Question, parts: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(stream) = spare {
            // It may be from a vault that has ended since.
            match self.ask(stream, question, parts) {
                Err(CallError::Silent(_)) => {}
                answered => return answered,
            }
        }
        self.ask(self.connect()?, question, parts)
    }

    /// A number that the vault counts, as soon as it is another one than `known`; after `seconds`, at most 20, in any case.
    fn wait(&self, question: Question, known: u64, seconds: u8) -> Result<u64> {
        let body = self.call(question, &[&known.to_be_bytes(), &[seconds]])?;
        Ok(u64::from_be_bytes(body.as_slice().try_into().map_err(|_| CallError::Unreadable)?))
    }

    fn connect(&self) -> Result<UnixStream> {
        let (path, _dir) = socket_path(&self.dir)?;
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(ANSWER_TIME))?;
        stream.set_write_timeout(Some(ANSWER_TIME))?;
        if let Some(token) = &self.token {
            exchange(&mut stream, Question::User, &[token])?;
        }
        Ok(stream)
    }

    fn ask(&self, mut stream: UnixStream, question: Question, parts: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>> {
        let answered = exchange(&mut stream, question, parts);
        if matches!(answered, Ok(_) | Err(CallError::Refused(_))) {
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < SPARE_MAX {
                spare.push(stream);
            }
        }
        answered
    }
}

fn exchange(stream: &mut UnixStream, question: Question, parts: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>> {
    write_frame(stream, question as u8, parts)?;
    match read_frame(stream)? {
        (0, body) => Ok(body),
        (1, body) => Err(Problem::from_bytes(&body).map_err(|_| CallError::Unreadable)?.into()),
        _ => Err(CallError::Unreadable),
    }
}

fn read<T: Decode>(body: &[u8]) -> Result<T> {
    T::from_bytes(body).map_err(|_| CallError::Unreadable)
}

/// The node's way to the vault.
pub struct NodeSide {
    line: Line,
    hello: Hello,
}

impl NodeSide {
    /// Connects to the vault in the directory `dir`.
    ///
    /// # Errors
    /// It does not run, or is locked.
    pub fn connect(dir: &Path) -> Result<Self> {
        let line = Line::new(dir.join(NODE_DIR), None);
        let hello = read(&line.call(Question::Hello, &[])?)?;
        Ok(Self { line, hello })
    }

    /// The public side of the party's keys.
    pub fn key_set(&self) -> &KeySet {
        &self.hello.key_set
    }

    /// Asks for a signature.
    ///
    /// # Errors
    /// [`ApprovalError`]; nothing was signed. A vault that does not run or is locked is `Unavailable`.
    pub fn request(&self, request: SignRequest) -> std::result::Result<Answer, ApprovalError> {
        let answer = self.line.call(Question::Sign, &[&Asked(request).to_bytes()]).map_err(refused)?;
        match answer.as_slice() {
            [] => Ok(Answer::Declined),
            [0] => Ok(Answer::Waiting),
            signed => Signed::from_bytes(signed).map(Answer::Signed).map_err(|_| refused(CallError::Unreadable)),
        }
    }

    /// Takes back a request.
    ///
    /// # Errors
    /// `Unavailable`: the request still waits.
    pub fn withdraw(&self, request: StatementId) -> std::result::Result<(), ApprovalError> {
        self.line.call(Question::Withdraw, &[request.as_bytes()]).map(drop).map_err(refused)
    }

    /// What waits for the user.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn pending(&self) -> Result<Vec<Pending>> {
        Ok(read::<List<Pending>>(&self.line.call(Question::Pending, &[])?)?.0)
    }

    /// The secrets that the node itself needs.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn lent(&self) -> Result<Lent> {
        let body = self.line.call(Question::Lent, &[])?;
        let (replies, seed) = body.split_first_chunk().ok_or(CallError::Unreadable)?;
        let seed = Zeroizing::new(seed.try_into().map_err(|_| CallError::Unreadable)?);
        Ok(Lent { replies: Zeroizing::new(*replies), seed })
    }

    /// How many answers the user has given, as soon as that is another number than `known`; after `seconds`, at most 20, in any case.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn news(&self, known: u64, seconds: u8) -> Result<u64> {
        self.line.wait(Question::News, known, seconds)
    }
}

impl Open for NodeSide {
    fn suite(&self) -> KemSuite {
        self.hello.inbox_suite
    }

    fn public_key(&self) -> &[u8] {
        &self.hello.inbox_key
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> std::result::Result<Zeroizing<Vec<u8>>, CryptoError> {
        let opened = self.line.call(Question::Open, &[&length(context), context, sealed]);
        opened.map_err(|error| match error.code() {
            Some(Code::CannotOpen) => CryptoError::CannotOpen,
            _ => CryptoError::Unavailable,
        })
    }
}

/// Signs with the keys of the transport.
impl Signer for NodeSide {
    #[expect(clippy::misnamed_getters, reason = "this is the signer of the transport")]
    fn key_set(&self) -> &KeySet {
        &self.hello.transport
    }

    fn sign(&self, draft: Draft) -> std::result::Result<Signed, CryptoError> {
        let signed = self.line.call(Question::SignTransport, &[&draft.to_bytes()]);
        let signed = signed.map_err(|error| match error.code() {
            Some(Code::WrongSigner) => CryptoError::WrongSigner,
            _ => CryptoError::Unavailable,
        })?;
        Signed::from_bytes(&signed).map_err(|_| CryptoError::Unavailable)
    }
}

fn refused(error: CallError) -> ApprovalError {
    match error {
        CallError::Refused(problem) => problem.into(),
        error => ApprovalError::Unavailable(error.to_string()),
    }
}

/// The token of the user's side of the vault in `dir`: who can read it acts for the user.
///
/// # Errors
/// No vault has run there, or this process may not read it.
pub fn token(dir: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let token = Zeroizing::new(fs::read(dir.join(USER_DIR).join(TOKEN))?);
    if token.len() == TOKEN_LEN { Ok(token) } else { Err(CallError::Unreadable) }
}

/// The user's way to the vault.
pub struct UserSide {
    line: Line,
}

impl UserSide {
    /// Connects to the vault in the directory `dir`.
    ///
    /// # Errors
    /// It does not run, or this process may not read its token.
    pub fn connect(dir: &Path) -> Result<Self> {
        let line = Line::new(dir.join(USER_DIR), Some(token(dir)?));
        line.call(Question::State, &[])?;
        Ok(Self { line })
    }

    /// How the vault is.
    ///
    /// # Errors
    /// [`CallError`], as for all that follow.
    pub fn state(&self) -> Result<State> {
        read(&self.line.call(Question::State, &[])?)
    }

    /// Gives the passphrase: opens the keys, or has answers taken again. `rules` are the policy that holds from now on, as its file
    /// has it; without one that which holds stands, and there is none after the keys were locked.
    ///
    /// # Errors
    /// [`Code::WrongPassphrase`], [`Code::TooOften`]; [`Code::Unavailable`] if the log was changed: nothing is open then.
    pub fn unlock(&self, passphrase: &[u8], rules: Option<&str>) -> Result<()> {
        let rules = rules.map_or(vec![0], |rules| [&[1], rules.as_bytes()].concat());
        let rules = rules.as_slice();
        self.line.call(Question::Unlock, &[&length(rules), rules, passphrase]).map(drop)
    }

    /// Forgets the keys: nothing is signed and no message is opened before the passphrase is given again.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn lock(&self) -> Result<()> {
        self.line.call(Question::Lock, &[]).map(drop)
    }

    /// What waits for the user, the oldest first.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn waiting(&self) -> Result<Vec<Approval>> {
        Ok(read::<List<Approval>>(&self.line.call(Question::Waiting, &[])?)?.0)
    }

    /// A number that grows whenever something is asked, answered, taken back, locked or unlocked, as soon as it is another one than `known`; after
    /// `seconds`, at most 20, in any case. It begins anew with the vault. That the vault goes idle it does not tell.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn watch(&self, known: u64, seconds: u8) -> Result<u64> {
        self.line.wait(Question::Watch, known, seconds)
    }

    /// Answers a question. When this returns, the answer and the signature are in the log.
    ///
    /// # Errors
    /// [`Code::NotWaiting`], [`Code::NotSeen`], [`Code::Idle`] (give the passphrase with [`UserSide::unlock`] first); nothing was signed.
    pub fn answer(&self, statement: StatementId, answer: UserAnswer) -> Result<()> {
        let seen = match answer {
            UserAnswer::Approve { seen } => Some(seen),
            UserAnswer::Decline => None,
        };
        self.line.call(Question::Answer, &[&Answered { statement, seen }.to_bytes()]).map(drop)
    }

    /// The mandates that are in force, and those that ended in the last 30 days; what ends first comes first.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn mandates(&self) -> Result<Vec<Granted>> {
        Ok(read::<List<Granted>>(&self.line.call(Question::Mandates, &[])?)?.0)
    }

    /// Has the user asked whether a mandate is to be granted: the question waits then, under the name that is returned. It is issued now,
    /// whatever it says.
    ///
    /// # Errors
    /// [`Code::BadMandate`]: nothing waits.
    pub fn propose(&self, mandate: &Mandate) -> Result<StatementId> {
        let id = self.line.call(Question::Propose, &[&mandate.to_bytes()])?;
        let id = id.as_slice().try_into().map_err(|_| CallError::Unreadable)?;
        Ok(StatementId::from_digest(Digest::from_array(id)))
    }

    /// Revokes a mandate: nothing is covered by it any more when this returns. While the keys are locked it is kept, and carried out before
    /// anything is signed. No passphrase is needed, and no name is checked while they are locked.
    ///
    /// # Errors
    /// [`Code::NoMandate`].
    pub fn revoke(&self, mandate: StatementId) -> Result<Revoked> {
        let told = self.line.call(Question::Revoke, &[mandate.as_bytes()])?;
        Ok(if told.is_empty() { Revoked::InTheLog } else { Revoked::WhenUnlocked })
    }

    /// A mandate as it was signed, whenever that was: what shows others what was allowed.
    ///
    /// # Errors
    /// [`Code::NoMandate`].
    pub fn mandate(&self, mandate: StatementId) -> Result<Signed> {
        let signed = self.line.call(Question::Mandate, &[mandate.as_bytes()])?;
        Signed::from_bytes(&signed).map_err(|_| CallError::Unreadable)
    }

    /// Entries of the log after the first `skip`, at most `limit` and what goes into one answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn history(&self, skip: u64, limit: u64) -> Result<Vec<LogEntry>> {
        Ok(read::<List<LogEntry>>(&self.line.call(Question::Log, &[&Page { skip, limit }.to_bytes()])?)?.0)
    }
}

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It is in the log.
    InTheLog,
    /// The keys are locked: it is kept, and the first thing that is done when they are opened.
    WhenUnlocked,
}

impl fmt::Debug for NodeSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeSide({:?})", self.hello.key_set.id())
    }
}

impl fmt::Debug for UserSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserSide({})", self.line.dir.display())
    }
}
