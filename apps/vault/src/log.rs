//! The vault's log: what was asked and answered, in the order in which it happened. Nothing is ever changed in it, and it is the only place
//! where a vault keeps its decisions, so that the log and the signatures cannot disagree.
//!
//! ```text
//! log   = head (512 bytes) head (512 bytes) *entry
//! head  = "semper vault log 1" ‖ number (8) ‖ end (8) ‖ tag (32) ‖ HMAC(key, "semper/vault-log/1" ‖ 0 ‖ number ‖ end ‖ tag) ‖ zeros
//! entry = length of body (4) ‖ body ‖ tag (32)
//! body  = { 0: number, 1: time, 2: what, ? 3: statement, ? 4: kind, ? 5: hash of the text, 6: text, 7: [* fact], ? 8: question }
//! fact  = { 0: space, 1: key, 2: value }
//! tag   = HMAC-SHA256(key, "semper/vault-log/1" ‖ 1 ‖ tag before ‖ body)        ; the tag before the first entry is 32 zeros
//! ```
//! Numbers are big-endian. The key comes from the signature keys ([`crate::keys`]): whoever cannot sign cannot write an entry that is taken
//! for one. An entry is made durable, then a head that says where the log ends; then the answer leaves. So of what lies before the end that
//! the younger good head names, every byte must be as it was written; of what lies behind it nobody has heard, and a piece of an entry there
//! is a power failure. Whoever can write the file can still put the whole of an older copy in its place; that is not seen.

mod copy;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::Kind;
use semper_core::document::RENDERED_MAX;
use semper_core::domain;
use semper_core::ids::StatementId;
use semper_core::time::Time;
use semper_support::archive::{CommitError, Fact, ITEMS_MAX, KEY_MAX, NAME_MAX, ReadError};

use crate::decisions::{Decision, Decisions, Event, What};
use crate::now;
use crate::rules::Approval;

const MAGIC: &[u8; 18] = b"semper vault log 1";
const HEAD_LEN: usize = 512;
const HEAD: u64 = HEAD_LEN as u64;
const FIRST: u64 = 2 * HEAD;
const TAG: usize = 32;
/// Most bytes of the body of an entry: a text, the statement that it is about, what follows from it.
const BODY_MAX: usize = RENDERED_MAX + 1024 * 1024;
/// Values up to this length are kept in memory; of longer ones (signatures) it is remembered in which entry they are.
const INLINE_MAX: usize = 256;

pub use copy::LogCopy;

/// A vault's log, open.
pub struct Log {
    path: PathBuf,
    key: hmac::Key,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    head: Head,
    /// Where each entry begins.
    places: Vec<u64>,
    facts: BTreeMap<(String, Vec<u8>), Kept>,
    waiting: BTreeMap<StatementId, Approval>,
    /// The latest time of an entry, and at which anybody asked for the time since.
    latest: Time,
    /// Nothing more is written after a failure of which it is not known what it left in the file.
    failed: Option<String>,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// How many entries there are.
    number: u64,
    /// Where the next one begins.
    end: u64,
    /// The tag of the last one.
    tag: [u8; TAG],
}

/// The value of a fact.
enum Kept {
    Here(Vec<u8>),
    /// In the entry that begins there.
    InEntry(u64),
}

/// One entry of the log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its place, from 0, without gaps.
    pub number: u64,
    /// When it was written.
    pub time: Time,
    /// What happened, what stands from then on, and what was asked.
    pub decision: Decision,
}

/// Why a log cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The file cannot be read or written.
    #[error("the vault's log {path} cannot be used: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The file is not as this vault has written it.
    #[error(
        "the vault's log {path} was changed or damaged: {what}. Nothing is signed until it is as it was; put back the copy of your last \
         backup only if nothing was signed since"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
}

impl Log {
    /// Opens the log in a file and checks it from the first byte to the last; makes it if there is none. What a power failure left of an entry
    /// that nobody has heard of is removed.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(path: &Path, key: &[u8; 32]) -> Result<Self, LogError> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let failed = |error| LogError::File { path: path.to_owned(), error };
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, &key).map_err(failed)?,
            Err(error) => return Err(failed(error)),
        };
        let inner = Reader { path, key: &key, file: &file }.read()?;
        let log = Self { path: path.to_owned(), key, inner: Mutex::new(Inner { file, ..inner }) };
        Ok(log)
    }

    /// Entries after the first `skip`, in order, at most `limit`.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn history(&self, skip: u64, limit: usize) -> Result<Vec<LogEntry>, ReadError> {
        let inner = self.inner();
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        inner.places.iter().skip(skip).take(limit).map(|place| inner.entry(*place)).collect()
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.inner().head.number
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a decision that was made at `time`.
    pub(crate) fn write(&self, decision: Decision, time: Time) -> Result<(), CommitError> {
        let mut inner = self.inner();
        if let Some(failed) = &inner.failed {
            return Err(CommitError::Storage(failed.clone()));
        }
        for fact in &decision.facts {
            if let Some(value) = inner.fact(&fact.space, &fact.key).map_err(|e| CommitError::Storage(e.0))? {
                return Err(CommitError::Taken { stands: Fact { value, ..fact.clone() } });
            }
        }
        let body = LogEntry { number: inner.head.number, time, decision }.to_bytes();
        // What could not be read again would close the log for ever; and what is remembered is what is written, to the last character.
        let entry = LogEntry::from_bytes(&body).map_err(|_| CommitError::Malformed("no entry for the vault's log"))?;
        let place = inner.head.end;
        let tag = tag(&self.key, &inner.head.tag, &body);
        let len = u32::try_from(body.len()).expect("a body has at most BODY_MAX bytes");
        let bytes = [len.to_be_bytes().as_slice(), &body, &tag].concat();
        let head = Head { number: entry.number + 1, end: place + bytes.len() as u64, tag };
        let written = inner.file.write_all_at(&bytes, place).and_then(|()| inner.file.sync_data());
        if let Err(error) = written {
            // Nobody has heard of it, and it is not there: it was never written whole, or it is cut off here.
            let cut = inner.file.set_len(place).and_then(|()| inner.file.sync_data());
            if cut.is_err() {
                inner.failed = Some(format!("{}: {error}; unlock the vault again", self.path.display()));
            }
            return Err(CommitError::Storage(format!("{}: {error}", self.path.display())));
        }
        if let Err(error) = write_head(&inner.file, &self.key, head) {
            // The entry may be found at the next start, or not.
            inner.failed = Some(format!("{}: {error}; unlock the vault again", self.path.display()));
            return Err(CommitError::Unknown(error.to_string()));
        }
        inner.head = head;
        inner.take(place, entry);
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change is made whole or marked as failed before the lock is let go.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Decisions for Log {
    async fn decide(&self, decision: Decision) -> Result<(), CommitError> {
        self.write(decision, now())
    }

    async fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.inner().fact(space, key)
    }

    async fn facts(&self, space: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Fact>, ReadError> {
        let inner = self.inner();
        let start = (space.to_owned(), after.unwrap_or_default().to_vec());
        let behind = inner.facts.range(start..).map(|((space, key), _)| (space, key));
        let keys = behind.take_while(|(other, _)| *other == space).map(|(_, key)| key);
        let keys = keys.filter(|key| after.is_none_or(|after| key.as_slice() > after)).take(limit);
        let fact = |key: &Vec<u8>| {
            let value = inner.fact(space, key)?.expect("its key is here");
            Ok(Fact { space: space.to_owned(), key: key.clone(), value })
        };
        keys.map(fact).collect()
    }

    fn now(&self) -> Time {
        let mut inner = self.inner();
        inner.latest = inner.latest.max(now());
        inner.latest
    }

    async fn waiting(&self, statement: StatementId) -> Result<Option<Approval>, ReadError> {
        Ok(self.inner().waiting.get(&statement).cloned())
    }

    async fn all_waiting(&self, limit: usize) -> Result<Vec<Approval>, ReadError> {
        Ok(self.inner().waiting.values().take(limit).cloned().collect())
    }
}

impl Inner {
    /// Remembers what the entry at `place` says.
    fn take(&mut self, place: u64, entry: LogEntry) {
        let Decision { event, facts, question } = entry.decision;
        self.latest = self.latest.max(entry.time);
        self.places.push(place);
        for Fact { space, key, value } in facts {
            let kept = if value.len() > INLINE_MAX { Kept::InEntry(place) } else { Kept::Here(value) };
            self.facts.insert((space, key), kept);
        }
        match (event.statement, question) {
            (Some((id, _)), Some(question)) => drop(self.waiting.insert(id, question)),
            (Some((id, _)), None) => drop(self.waiting.remove(&id)),
            (None, _) => {}
        }
    }

    fn fact(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        match self.facts.get(&(space.to_owned(), key.to_vec())) {
            None => Ok(None),
            Some(Kept::Here(value)) => Ok(Some(value.clone())),
            Some(Kept::InEntry(place)) => {
                let facts = self.entry(*place)?.decision.facts;
                let found = facts.into_iter().find(|fact| fact.space == space && fact.key == key);
                found.map(|fact| Some(fact.value)).ok_or_else(|| ReadError("the vault's log has changed".to_owned()))
            }
        }
    }

    /// The entry that begins at `place`, which was checked when the log was opened or is our own.
    fn entry(&self, place: u64) -> Result<LogEntry, ReadError> {
        let failed = |error: io::Error| ReadError(format!("the vault's log: {error}"));
        let mut len = [0; 4];
        self.file.read_exact_at(&mut len, place).map_err(failed)?;
        let len = u32::from_be_bytes(len) as usize;
        if len > BODY_MAX {
            return Err(ReadError("the vault's log has changed".to_owned()));
        }
        let mut body = vec![0; len];
        self.file.read_exact_at(&mut body, place + 4).map_err(failed)?;
        LogEntry::from_bytes(&body).map_err(|error| ReadError(format!("the vault's log has changed: {error}")))
    }
}

/// Reads a log when it is opened.
struct Reader<'a> {
    path: &'a Path,
    key: &'a hmac::Key,
    file: &'a File,
}

impl Reader<'_> {
    fn read(&self) -> Result<Inner, LogError> {
        let len = self.file.metadata().map_err(|error| self.failed(error))?.len();
        let head = self.head()?;
        let file = self.file.try_clone().map_err(|error| self.failed(error))?;
        let start = Head { number: 0, end: FIRST, tag: [0; TAG] };
        let (places, facts, waiting) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let latest = Time::from_unix(0);
        let mut inner = Inner { file, head: start, places, facts, waiting, latest, failed: None };
        while inner.head.end < head.end {
            let number = inner.head.number;
            let Some((next, entry)) = self.entry(inner.head, len)? else {
                return Err(self.damaged(format!("entry {number} is not as it was written")));
            };
            inner.take(inner.head.end, entry);
            inner.head = next;
        }
        if inner.head != head {
            return Err(self.damaged("its entries are not those that its head names".to_owned()));
        }
        // An entry that was written whole before its head was stands: its signature may be in a log that was copied.
        if let Some((next, entry)) = self.entry(inner.head, len)? {
            write_head(self.file, self.key, next).map_err(|error| self.failed(error))?;
            inner.take(inner.head.end, entry);
            inner.head = next;
        }
        if inner.head.end < len {
            let cut = self.file.set_len(inner.head.end).and_then(|()| self.file.sync_data());
            cut.map_err(|error| self.failed(error))?;
        }
        Ok(inner)
    }

    /// The younger of the heads that are good.
    fn head(&self) -> Result<Head, LogError> {
        let mut heads = [0; 2 * HEAD_LEN];
        for (place, bytes) in [0, HEAD].into_iter().zip(heads.chunks_mut(HEAD_LEN)) {
            match self.file.read_exact_at(bytes, place) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.younger(&heads)
    }

    /// The younger of the two heads in `bytes` that are good.
    fn younger(&self, bytes: &[u8]) -> Result<Head, LogError> {
        let good = bytes.chunks(HEAD_LEN).filter_map(|bytes| Head::read(self.key, bytes));
        let youngest = good.max_by_key(|head| head.number);
        youngest.ok_or_else(|| self.damaged("it has no head, or belongs to other keys".to_owned()))
    }

    /// The entry after `before`, if one is there whole and as it was written.
    fn entry(&self, before: Head, file_len: u64) -> Result<Option<(Head, LogEntry)>, LogError> {
        let left = file_len.saturating_sub(before.end);
        if left < 4 {
            return Ok(None);
        }
        let mut len = [0; 4];
        self.file.read_exact_at(&mut len, before.end).map_err(|error| self.failed(error))?;
        let len = u64::from(u32::from_be_bytes(len));
        if len > BODY_MAX as u64 || left < 4 + len + TAG as u64 {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(len).expect("at most BODY_MAX") + TAG];
        self.file.read_exact_at(&mut bytes, before.end + 4).map_err(|error| self.failed(error))?;
        let (body, written) = bytes.split_at(bytes.len() - TAG);
        let tag = tag(self.key, &before.tag, body);
        if tag != written {
            return Ok(None);
        }
        let next = Head { number: before.number + 1, end: before.end + 4 + len + TAG as u64, tag };
        // The tag is ours: what does not read now was written by a later version.
        match LogEntry::from_bytes(body) {
            Ok(entry) if entry.number == before.number => Ok(Some((next, entry))),
            Ok(_) => Ok(None),
            Err(error) => Err(self.damaged(format!("entry {}: {error}", before.number))),
        }
    }

    fn failed(&self, error: io::Error) -> LogError {
        LogError::File { path: self.path.to_owned(), error }
    }

    fn damaged(&self, what: String) -> LogError {
        LogError::Damaged { path: self.path.to_owned(), what }
    }
}

impl Head {
    fn bytes(self, key: &hmac::Key) -> Vec<u8> {
        let Self { number, end, tag } = self;
        let said = [number.to_be_bytes().as_slice(), &end.to_be_bytes(), &tag].concat();
        let sealed = mac(key, 0, &[&said]);
        let mut bytes = [MAGIC.as_slice(), &said, &sealed].concat();
        bytes.resize(HEAD_LEN, 0);
        bytes
    }

    fn read(key: &hmac::Key, bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
        let (end, rest) = rest.split_first_chunk()?;
        let (tag, _) = rest.split_first_chunk()?;
        let head = Self { number: u64::from_be_bytes(*number), end: u64::from_be_bytes(*end), tag: *tag };
        (head.bytes(key) == bytes).then_some(head)
    }
}

/// Makes an empty log: whole, or not at all.
fn create(path: &Path, key: &hmac::Key) -> io::Result<File> {
    let new = path.with_extension("new");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.set_len(FIRST)?;
    write_head(&file, key, Head { number: 0, end: FIRST, tag: [0; TAG] })?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}

/// Writes a head in the place of the one before the last, durably: the last one stays good meanwhile.
fn write_head(file: &File, key: &hmac::Key, head: Head) -> io::Result<()> {
    file.write_all_at(&head.bytes(key), head.number % 2 * HEAD)?;
    file.sync_data()
}

fn tag(key: &hmac::Key, before: &[u8; TAG], body: &[u8]) -> [u8; TAG] {
    mac(key, 1, &[before, body])
}

fn mac(key: &hmac::Key, what: u8, parts: &[&[u8]]) -> [u8; TAG] {
    let mut context = hmac::Context::with_key(key);
    context.update(domain::VAULT_LOG.as_bytes());
    context.update(&[what]);
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")
}

impl Encode for LogEntry {
    fn to_value(&self) -> Value {
        let Decision { event, facts, question } = &self.decision;
        record()
            .put(0, self.number)
            .put_item(1, &self.time)
            .put(2, event.what.name())
            .put_some(3, event.statement.map(|(id, _)| id.to_value()))
            .put_some(4, event.statement.map(|(_, kind)| kind.name()))
            .put_some(5, event.seen.as_ref().map(Encode::to_value))
            .put(6, event.text.as_str())
            .put(7, facts.iter().map(fact).collect::<Vec<_>>())
            .put_some(8, question.as_ref().map(Encode::to_value))
            .build()
    }
}

impl Decode for LogEntry {
    const BYTES_MAX: usize = BODY_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let unknown = |what, found: String| DecodeError::field(what, Problem::Unknown { what, found });
        let mut fields = Fields::open(value)?;
        let (number, time) = (fields.uint(0, "number")?, fields.item(1, "time")?);
        let what = fields.text(2, "what", 64)?;
        let statement = match fields.optional_item(3, "statement")? {
            None => None,
            Some(id) => {
                let kind = fields.text(4, "kind", 64)?;
                let known = Kind::ALL.iter().copied().find(|known| known.name() == kind);
                Some((id, known.ok_or_else(|| unknown("kind", kind))?))
            }
        };
        let event = Event {
            what: What::ALL.into_iter().find(|known| known.name() == what).ok_or_else(|| unknown("what", what))?,
            statement,
            seen: fields.optional_item(5, "seen")?,
            text: fields.text(6, "text", RENDERED_MAX)?,
        };
        let facts = fields.array(7, "facts", ITEMS_MAX)?.into_iter().map(read_fact).collect::<Result<_, _>>()?;
        let question = fields.optional_item(8, "question")?;
        fields.close()?;
        Ok(Self { number, time, decision: Decision { event, facts, question } })
    }
}

fn fact(fact: &Fact) -> Value {
    record().put(0, fact.space.as_str()).put_bytes(1, &fact.key).put_bytes(2, &fact.value).build()
}

fn read_fact(value: Value) -> Result<Fact, DecodeError> {
    let mut fields = Fields::open(value)?;
    let (space, key) = (fields.text(0, "space", NAME_MAX)?, fields.bytes(1, "key", KEY_MAX)?);
    let fact = Fact { space, key, value: fields.bytes(2, "value", BODY_MAX)? };
    fields.close()?;
    Ok(fact)
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.path.display())
    }
}

#[cfg(test)]
mod tests;
