//! How the vault is asked: frames over two Unix sockets, one for the node and one for the user's side.
//!
//! ```text
//! question = length of the rest (4, big-endian) ‖ what is asked (1) ‖ body
//! answer   = length of the rest (4, big-endian) ‖ outcome (1) ‖ body                  ; outcome 0: done, 1: a problem
//! problem  = { 0: code, 1: words }
//!
//! to `node/socket`                         body                                answer
//!   1 hello                                –                                   hello
//!   2 sign                                 sign-request                        ? signed statement; nothing: declined; 1 byte: waiting
//!   3 withdraw                             statement (32)                      –
//!   4 open                                 length (4) ‖ context ‖ sealed       what was sealed
//!   5 sign for the transport               draft                               signed statement
//!   6 what waits                           –                                   [* { 0: statement, 1: deal }]
//!   7 what is lent                         –                                   secret of the answers (32) ‖ seed of the money (32)
//!   8 wait for answers                     answers known (8) ‖ seconds (1)     number of answers (8), after these seconds at the latest
//! to `user/socket`
//!  16 this is the user                     token (32)                          –                   ; first on every connection
//!  17 unlock                               length (4) ‖ rules ‖ passphrase     –                   ; rules: 0 (as they are), or 1 ‖ a policy file
//!  18 lock                                 –                                   –
//!  19 what waits                           –                                   [* approval]
//!  20 answer                               { 0: statement, ? 1: hash seen }    –                   ; no hash: declined
//!  21 log                                  { 0: skip, 1: limit }               [* log entry]
//!  22 state                                –                                   { 0: name, ? 1: key set, 2: entries, 3: lasting, 4: process, 5: owner }
//!  30 wait for changes                     changes known (8) ‖ seconds (1)     number of changes (8), after these seconds at the latest
//!  40 mandates                             –                                   [* granted]
//!  41 ask for a mandate                    mandate                             statement (32): the question that waits then
//!  42 revoke a mandate                     statement (32)                      nothing: revoked; 1 byte: kept until the keys are opened
//!  43 a mandate                            statement (32)                      signed statement
//!
//! sign-request = { 0: deal, 1: draft, 2: exhibit }
//! exhibit      = { 0: name, ? 1: core or other bytes, ? 2: document, ? 3: template, ? 4: order or salt }
//! hello        = { 0: 1, 1: key set, 2: inbox suite, 3: inbox key, 4: transport key set }
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem as CborProblem, Value, record};
use semper_core::hash::Digest;
use semper_core::ids::{DealId, StatementId};
use semper_core::party::KeySet;
use semper_support::approval::{ApprovalError, Exhibit, SignRequest};
use semper_support::crypto::KemSuite;
use zeroize::Zeroizing;

use crate::rules::VaultError;
use crate::serve::Span;

/// Largest frame, in bytes: a container of the largest size with its frame around it.
pub(crate) const FRAME_MAX: usize = 40 * 1024 * 1024;
/// Bytes that are read at once: whoever says that much is coming has to send it before it is given the memory.
const PIECE: usize = 64 * 1024;

/// The directory of the node's socket, in the vault's.
pub const NODE_DIR: &str = "node";
/// The directory of the user's socket and token, in the vault's.
pub const USER_DIR: &str = "user";
/// A socket's name in its directory.
pub(crate) const SOCKET: &str = "socket";
/// The file with the token of the user's side, in [`USER_DIR`].
pub(crate) const TOKEN: &str = "token";
/// Length of the token, in bytes.
pub const TOKEN_LEN: usize = 32;

macro_rules! questions {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        /// What is asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Question { $($(#[$doc])* $name = $code,)* }

        impl Question {
            pub(crate) fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

questions! {
    Hello = 1;
    Sign = 2;
    Withdraw = 3;
    Open = 4;
    SignTransport = 5;
    Pending = 6;
    Lent = 7;
    News = 8;
    User = 16;
    Unlock = 17;
    Lock = 18;
    Waiting = 19;
    Answer = 20;
    Log = 21;
    State = 22;
    Watch = 30;
    Mandates = 40;
    Propose = 41;
    Revoke = 42;
    Mandate = 43;
}

/// Why a question got no answer, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Problem {
    /// What kind of problem.
    pub code: Code,
    /// What happened, and what to do.
    pub words: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        /// What kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name = $code,)* }

        impl Code {
            fn from_number(number: u64) -> Option<Self> {
                match number { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// [`ApprovalError::WrongSigner`].
    WrongSigner = 0;
    /// [`ApprovalError::Mismatch`].
    Mismatch = 1;
    /// [`ApprovalError::Forbidden`].
    Forbidden = 2;
    /// [`ApprovalError::TooMany`].
    TooMany = 3;
    /// Storage failed, or something like that.
    Unavailable = 4;
    /// The keys are locked: the passphrase opens them.
    Locked = 5;
    /// The user was silent for too long to be taken for the one who gave the passphrase: it has to be given again.
    Idle = 6;
    /// The passphrase is wrong.
    WrongPassphrase = 7;
    /// Too many passphrases were wrong: the next one is looked at later.
    TooOften = 8;
    /// Nothing of this name waits.
    NotWaiting = 9;
    /// The user has seen another text.
    NotSeen = 10;
    /// The question is not one, or not one for this socket.
    NotAsked = 11;
    /// A sealed message does not open with the party's key.
    CannotOpen = 12;
    /// No mandate of this name was granted.
    NoMandate = 40;
    /// What is to be granted is no mandate.
    BadMandate = 41;
}

impl Problem {
    pub(crate) fn new(code: Code, words: impl ToString) -> Self {
        Self { code, words: words.to_string() }
    }
}

impl From<ApprovalError> for Problem {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::WrongSigner => Self::new(Code::WrongSigner, ""),
            ApprovalError::Mismatch(words) => Self::new(Code::Mismatch, words),
            ApprovalError::Forbidden(words) => Self::new(Code::Forbidden, words),
            ApprovalError::TooMany => Self::new(Code::TooMany, ""),
            ApprovalError::Unavailable(words) => Self::new(Code::Unavailable, words),
            other => Self::new(Code::Unavailable, other),
        }
    }
}

impl From<Problem> for ApprovalError {
    fn from(Problem { code, words }: Problem) -> Self {
        match code {
            Code::WrongSigner => Self::WrongSigner,
            Code::Mismatch => Self::Mismatch(words),
            Code::Forbidden => Self::Forbidden(words.into()),
            Code::TooMany => Self::TooMany,
            _ => Self::Unavailable(words),
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let code = match &error {
            VaultError::NotWaiting(_) => Code::NotWaiting,
            VaultError::NotSeen => Code::NotSeen,
            VaultError::NoMandate(_) => Code::NoMandate,
            VaultError::BadMandate(_) => Code::BadMandate,
            _ => Code::Unavailable,
        };
        match error {
            VaultError::Approval(error) => error.into(),
            error => Self::new(code, error),
        }
    }
}

impl Encode for Problem {
    fn to_value(&self) -> Value {
        record().put(0, self.code as u64).put(1, self.words.as_str()).build()
    }
}

impl Decode for Problem {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let number = fields.uint(0, "code")?;
        let problem = Self {
            code: Code::from_number(number).unwrap_or(Code::Unavailable),
            words: fields.text(1, "words", 32 * 1024)?,
        };
        fields.close()?;
        Ok(problem)
    }
}

/// The public side of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) key_set: KeySet,
    pub(crate) inbox_suite: KemSuite,
    pub(crate) inbox_key: Vec<u8>,
    pub(crate) transport: KeySet,
}

impl Encode for Hello {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.key_set)
            .put(2, self.inbox_suite.code())
            .put_bytes(3, &self.inbox_key)
            .put_item(4, &self.transport)
            .build()
    }
}

impl Decode for Hello {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let key_set = fields.item(1, "key set")?;
        let suite = fields.uint(2, "inbox suite")?;
        let unknown = || CborProblem::Unknown { what: "suite", found: suite.to_string() };
        let hello = Self {
            key_set,
            inbox_suite: KemSuite::from_code(suite).ok_or_else(|| DecodeError::field("inbox suite", unknown()))?,
            inbox_key: fields.bytes(3, "inbox key", 4096)?,
            transport: fields.item(4, "transport key set")?,
        };
        fields.close()?;
        Ok(hello)
    }
}

/// Something that waits, as the node hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The statement.
    pub statement: StatementId,
    /// The deal that it belongs to.
    pub deal: DealId,
}

impl Encode for Pending {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.statement).put_item(1, &self.deal).build()
    }
}

impl Decode for Pending {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let pending = Self { statement: fields.item(0, "statement")?, deal: fields.item(1, "deal")? };
        fields.close()?;
        Ok(pending)
    }
}

/// A user's answer to one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) statement: StatementId,
    pub(crate) seen: Option<Digest>,
}

impl Encode for Answered {
    fn to_value(&self) -> Value {
        let seen = self.seen.as_ref().map(Encode::to_value);
        record().put_item(0, &self.statement).put_some(1, seen).build()
    }
}

impl Decode for Answered {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let answered = Self { statement: fields.item(0, "statement")?, seen: fields.optional_item(1, "hash")? };
        fields.close()?;
        Ok(answered)
    }
}

/// Which entries of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) skip: u64,
    pub(crate) limit: u64,
}

impl Encode for Page {
    fn to_value(&self) -> Value {
        record().put(0, self.skip).put(1, self.limit).build()
    }
}

impl Decode for Page {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let page = Self { skip: fields.uint(0, "skip")?, limit: fields.uint(1, "limit")? };
        fields.close()?;
        Ok(page)
    }
}

/// Whether the vault signs and takes answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The keys are encrypted on the disk and nowhere else: nothing is signed, nothing opened.
    Locked,
    /// What follows from what was approved is signed; an answer needs the passphrase first, because the user was silent for long.
    Idle,
    /// Answers are taken.
    Open,
}

impl Condition {
    /// The name on the wire and on the screen.
    pub const fn name(self) -> &'static str {
        match self {
            Condition::Locked => "locked",
            Condition::Idle => "idle",
            Condition::Open => "open",
        }
    }
}

/// How the vault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether it signs and takes answers.
    pub condition: Condition,
    /// The public side of its keys, unless it is locked.
    pub key_set: Option<KeySet>,
    /// How many entries its log has, unless it is locked.
    pub entries: u64,
    /// How long it is there.
    pub span: Span,
    /// Its process.
    pub pid: u32,
    /// The process that it is for: its own, or the one that has started it.
    pub owner: u32,
}

impl Encode for State {
    fn to_value(&self) -> Value {
        let key_set = self.key_set.as_ref().map(Encode::to_value);
        record()
            .put(0, self.condition.name())
            .put_some(1, key_set)
            .put(2, self.entries)
            .put(3, self.span == Span::Lasting)
            .put(4, u64::from(self.pid))
            .put(5, u64::from(self.owner))
            .build()
    }
}

impl Decode for State {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let name = fields.text(0, "condition", 16)?;
        let known =
            [Condition::Locked, Condition::Idle, Condition::Open].into_iter().find(|known| known.name() == name);
        let unknown = CborProblem::Unknown { what: "condition", found: name };
        let state = Self {
            condition: known.ok_or(DecodeError::field("condition", unknown))?,
            key_set: fields.optional_item(1, "key set")?,
            entries: fields.uint(2, "entries")?,
            span: if fields.bool(3, "span")? { Span::Lasting } else { Span::OneProcess },
            pid: fields.small(4, "process")?,
            owner: fields.small(5, "owner")?,
        };
        fields.close()?;
        Ok(state)
    }
}

/// A request for a signature, as it travels.
pub(crate) struct Asked(pub(crate) SignRequest);

impl Encode for Asked {
    fn to_value(&self) -> Value {
        let SignRequest { deal, draft, exhibit } = &self.0;
        let (name, parts): (&str, [Option<&[u8]>; 4]) = match exhibit {
            Exhibit::Contract { core, document, template } => {
                ("contract", [Some(core), Some(document), Some(template), None])
            }
            Exhibit::Sale { core, document, template, order } => {
                ("sale", [Some(core), Some(document), Some(template), Some(order)])
            }
            Exhibit::InLine { core, document, template, arbiter } => {
                ("in-line", [Some(core), Some(document), Some(template), Some(arbiter)])
            }
            Exhibit::Container { container } => ("container", [Some(container), None, None, None]),
            Exhibit::Payment { request, salt } => ("payment", [Some(request), None, None, Some(salt)]),
            Exhibit::Credential { bundle } => ("credential", [Some(bundle), None, None, None]),
            Exhibit::Statement => ("statement", [None; 4]),
            Exhibit::Consequence => ("consequence", [None; 4]),
        };
        let parts = (1..)
            .zip(parts)
            .fold(record().put(0, name), |record, (place, part)| record.put_some(place, part.map(Value::bytes)));
        record().put_item(0, deal).put_item(1, draft).put(2, parts.build()).build()
    }
}

impl Decode for Asked {
    const BYTES_MAX: usize = FRAME_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (deal, draft) = (fields.item(0, "deal")?, fields.item(1, "draft")?);
        let mut parts = Fields::open(fields.value(2, "exhibit")?)?;
        let name = parts.text(0, "exhibit", 32)?;
        let mut part = |place, name| parts.bytes(place, name, FRAME_MAX);
        let exhibit = match name.as_str() {
            "contract" => {
                let (core, document) = (part(1, "core")?, part(2, "document")?);
                Exhibit::Contract { core, document, template: part(3, "template")? }
            }
            "sale" => {
                let (core, document) = (part(1, "core")?, part(2, "document")?);
                Exhibit::Sale { core, document, template: part(3, "template")?, order: part(4, "order")? }
            }
            "in-line" => {
                let (core, document) = (part(1, "core")?, part(2, "document")?);
                Exhibit::InLine { core, document, template: part(3, "template")?, arbiter: part(4, "arbiter")? }
            }
            "container" => Exhibit::Container { container: part(1, "container")? },
            "payment" => Exhibit::Payment { request: part(1, "request")?, salt: parts.exact(4, "salt")? },
            "credential" => Exhibit::Credential { bundle: part(1, "bundle")? },
            "statement" => Exhibit::Statement,
            "consequence" => Exhibit::Consequence,
            _ => return Err(DecodeError::field("exhibit", CborProblem::Unknown { what: "exhibit", found: name })),
        };
        parts.close()?;
        fields.close()?;
        Ok(Self(SignRequest { deal, draft, exhibit }))
    }
}

/// A list of things of one kind.
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: Encode> Encode for List<T> {
    fn to_value(&self) -> Value {
        self.0.iter().map(Encode::to_value).collect::<Vec<_>>().into()
    }
}

impl<T: Decode> Decode for List<T> {
    const BYTES_MAX: usize = FRAME_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        match value {
            Value::Array(items) => Ok(Self(items.into_iter().map(T::from_value).collect::<Result<_, _>>()?)),
            _ => Err(DecodeError::field("list", CborProblem::OutOfRange("an array"))),
        }
    }
}

/// Writes a frame: a byte and what belongs to it.
pub(crate) fn write_frame(stream: &mut impl Write, code: u8, parts: &[&[u8]]) -> io::Result<()> {
    let len = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let len = u32::try_from(len).ok().filter(|len| *len as usize <= FRAME_MAX);
    let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "too long for the vault"))?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(5 + len as usize));
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.push(code);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    stream.write_all(&bytes)
}

/// Reads a frame. What it holds may be secret.
///
/// # Errors
/// `UnexpectedEof`: the stream ended; `InvalidData`: the frame is longer than [`FRAME_MAX`], or empty.
pub(crate) fn read_frame(stream: &mut impl Read) -> io::Result<(u8, Zeroizing<Vec<u8>>)> {
    let (mut len, mut code) = ([0; 4], [0; 1]);
    stream.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if len == 0 || len > FRAME_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no frame of the vault"));
    }
    stream.read_exact(&mut code)?;
    let mut body = Zeroizing::new(Vec::new());
    while body.len() < len - 1 {
        let have = body.len();
        // Grows by copying to a new place, so that what the old one held can be wiped.
        let piece = PIECE.max(have).min(len - 1 - have);
        let mut longer = Zeroizing::new(Vec::with_capacity(have + piece));
        longer.extend_from_slice(&body);
        longer.resize(have + piece, 0);
        stream.read_exact(&mut longer[have..])?;
        body = longer;
    }
    Ok((code[0], body))
}

/// Splits `length (4) ‖ first ‖ rest`.
pub(crate) fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = body.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*len) as usize)
}

/// The length that [`split`] reads.
pub(crate) fn length(first: &[u8]) -> [u8; 4] {
    u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// Longest path of a socket, in bytes.
const PATH_MAX: usize = 100;

/// A path by which the socket in `dir` can be named, however long `dir` is; good as long as what comes with it is kept.
///
/// # Errors
/// The directory cannot be opened, or its path is too long for this system.
pub fn socket_path(dir: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = dir.join(SOCKET);
    if path.as_os_str().len() <= PATH_MAX {
        return Ok((path, None));
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd as _;
        let open = File::open(dir)?;
        Ok((format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd()).into(), Some(open)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let words = format!("{} is too long for a socket: use a data directory with a shorter path", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidInput, words))
    }
}
