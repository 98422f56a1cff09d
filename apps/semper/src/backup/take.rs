//! Making a backup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use semper_core::ids::KeySetId;
use semper_store::SqliteArchive;
use semper_support::archive::{Archive as _, Commit};
use semper_vault::log::{Log, LogCopy};
use zeroize::Zeroizing;

use super::content::{Left, Manifest, Part, put_manifest, put_part};
use super::look::Counts;
use super::seal::Sealing;
use super::{BackupError, Found, check};
use crate::home::{Home, make_private_dir};
use crate::node::Backed;
use crate::node::backup::noted;
use crate::now;

/// The archive, in a data directory.
pub(super) const ARCHIVE: &str = "archive/archive.db";
/// The vault's log.
pub(super) const LOG: &str = "vault/log";
/// What is in a backup where it is there.
pub(super) const FILES: [&str; 6] =
    ["semper.toml", "card.txt", "vault/keys", LOG, "vault/user/revocations", "vault/window/us"];
/// Directories of which every file is in a backup; of goods, only if they are asked for.
pub(super) const TREES: [&str; 2] = ["wanted", GOODS];
const GOODS: &str = "goods";
/// Deepest directory below one of these.
const DEPTH_MAX: usize = 4;

/// Whether the goods that are sold and bought are in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goods {
    /// They are listed, but for those that have been bought and not opened yet: whoever has sold them has the files, and what was bought is where it was saved.
    Left,
    /// They are in it.
    Held,
}

/// What a backup is made of, beside the data directory.
pub struct Taking<'a> {
    /// The file to write. There must be none of this name.
    pub file: &'a Path,
    /// What the file opens with.
    pub passphrase: &'a [u8],
    /// The party's keys.
    pub key_set: KeySetId,
    /// The key of the vault's log.
    pub log_key: Zeroizing<[u8; 32]>,
    /// Whether goods are in it.
    pub goods: Goods,
}

/// Held while a backup of a data directory is made: one at a time.
#[derive(Debug)]
pub struct Turn {
    home: Home,
    _lock: File,
}

impl Turn {
    /// Takes the turn, and removes what a backup that was killed has left.
    ///
    /// # Errors
    /// `Busy`: another backup is being made.
    pub fn take(home: &Home) -> Result<Self, BackupError> {
        let lock = lock(&home.dir().join("backup.lock"))?;
        remove_copy(home)?;
        Ok(Self { home: home.clone(), _lock: lock })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Err(error) = remove_copy(&self.home) {
            tracing::error!(%error, "the copy of the archive could not be removed");
        }
    }
}

/// Writes a backup of the data directory and opens it again to check it: what was found in it. The archive was copied into `Home::archive_copy` before, and the log is copied now:
/// see the order in [`super`].
///
/// # Errors
/// [`BackupError`]; no file of this name was made.
pub async fn take(turn: &Turn, taking: &Taking<'_>, tell: &mut dyn FnMut(&str, u64)) -> Result<Found, BackupError> {
    let Taking { file, passphrase, .. } = taking;
    if file.exists() {
        return Err(BackupError::Exists(file.to_path_buf()));
    }
    let home = &turn.home;
    let archive = SqliteArchive::open(home.archive_copy()).await?;
    let counts = Counts::of(&archive).await?;
    archive.close().await?;
    let part = part_path(file);
    let locked = lock(&part)?;
    let written = write(home, taking, counts, &locked, tell);
    let found = match written {
        Ok(()) => check(&part, passphrase, tell).await,
        Err(error) => Err(error),
    };
    let named = found.and_then(|found| {
        renameat_with(CWD, &part, CWD, *file, RenameFlags::NOREPLACE).map_err(|error| match error {
            rustix::io::Errno::EXIST => BackupError::Exists(file.to_path_buf()),
            error => BackupError::Write(error.into()),
        })?;
        sync_dir(file).map_err(BackupError::Write)?;
        Ok(found)
    });
    if named.is_err() {
        let _ = fs::remove_file(&part);
    }
    named
}

/// The name under which a backup is written before it is whole.
fn part_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn write(
    home: &Home,
    taking: &Taking<'_>,
    counts: Counts,
    file: &File,
    tell: &mut dyn FnMut(&str, u64),
) -> Result<(), BackupError> {
    let config = home.config().map_err(|error| BackupError::Source(home.dir().into(), io::Error::other(error)))?;
    file.set_len(0).map_err(BackupError::Write)?;
    let mut out = Sealing::begin(BufWriter::new(file), taking.passphrase)?;
    let mut held = Vec::new();
    let log = home.dir().join(LOG);
    if !log.exists() {
        // Nobody has unlocked the vault yet: its log is empty.
        Log::open(&log, &taking.log_key)?;
    }
    let copy = home.archive_copy().join("archive.db");
    held.extend(put_file(&mut out, ARCHIVE, &copy, tell)?);
    let log = LogCopy::of(&log, &taking.log_key)?;
    let entries = log.entries();
    held.push(put_part(&mut out, LOG, log.len(), log, &mut |bytes| tell(LOG, bytes))?);
    for name in FILES.into_iter().filter(|name| *name != LOG) {
        held.extend(put_file(&mut out, name, &home.dir().join(name), tell)?);
    }
    let mut left = Vec::new();
    for tree in TREES {
        for name in files_in(home.dir(), tree)? {
            let path = home.dir().join(&name);
            let awaited = counts.awaited.iter().any(|root| name.starts_with(&format!("{GOODS}/{}/", root.to_hex())));
            if tree == GOODS && taking.goods == Goods::Left && !awaited {
                left.extend(fs::metadata(&path).ok().map(|meta| Left { name, len: meta.len() }));
            } else {
                held.extend(put_file(&mut out, &name, &path, tell)?);
            }
        }
    }
    let manifest = Manifest {
        time: now(),
        name: config.name,
        key_set: taking.key_set,
        held,
        left,
        log_key: taking.log_key.clone(),
        entries,
        deals: counts.deals,
        open: counts.open,
        purses: counts.purses,
        token: home.token().map(|token| token.label),
    };
    put_manifest(&mut out, &manifest)?;
    let mut out = out.end().map_err(BackupError::Write)?;
    out.flush().and_then(|()| file.sync_all()).map_err(BackupError::Write)
}

/// Writes a file of the data directory, if it is there.
fn put_file(
    out: &mut impl io::Write,
    name: &str,
    path: &Path,
    tell: &mut dyn FnMut(&str, u64),
) -> Result<Option<Part>, BackupError> {
    let source = |error| BackupError::Source(path.to_owned(), error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(source)?,
    };
    let len = file.metadata().map_err(source)?.len();
    put_part(out, name, len, file, &mut |bytes| tell(name, bytes)).map(Some)
}

/// The regular files below a directory of the data directory, by their names in it.
fn files_in(dir: &Path, tree: &str) -> Result<Vec<String>, BackupError> {
    let (mut files, mut dirs) = (Vec::new(), vec![(PathBuf::from(tree), 0)]);
    while let Some((below, depth)) = dirs.pop() {
        let path = dir.join(&below);
        let source = |error| BackupError::Source(path.clone(), error);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read.map_err(source)?,
        };
        for entry in entries {
            let entry = entry.map_err(source)?;
            let (kind, name) = (entry.file_type().map_err(source)?, below.join(entry.file_name()));
            // A name that is not Unicode is none of ours.
            match name.to_str() {
                Some(name) if kind.is_file() => files.push(name.to_owned()),
                Some(_) if kind.is_dir() && depth < DEPTH_MAX => dirs.push((name, depth + 1)),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Opens a file of ours alone and locks it.
pub(super) fn lock(path: &Path) -> Result<File, BackupError> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(BackupError::Write)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(BackupError::Busy(path.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(BackupError::Write(error)),
    }
}

/// Makes the name of a file durable.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

/// Copies the archive of a directory on which nothing runs.
///
/// # Errors
/// The archive cannot be read, or the copy not be written.
pub async fn copy_archive(archive: &SqliteArchive, home: &Home) -> Result<(), BackupError> {
    remove_copy(home)?;
    let dir = home.archive_copy();
    make_private_dir(&dir).map_err(|error| BackupError::Source(dir.clone(), io::Error::other(error)))?;
    Ok(archive.backup_to(dir.join("archive.db")).await?)
}

/// Notes in the archive of a directory on which nothing runs that its backup was made and checked.
///
/// # Errors
/// `Mark`: the archive cannot be written. The backup is good nevertheless.
pub async fn note(archive: &SqliteArchive, found: &Found) -> Result<(), BackupError> {
    let (time, purses) = (found.manifest.time, found.counts.purse_ids.clone());
    let backed = Backed { time, purses, deals: found.counts.deals };
    Ok(archive.commit(Commit { records: vec![noted(&backed)], ..Commit::default() }).await?)
}

fn remove_copy(home: &Home) -> Result<(), BackupError> {
    match fs::remove_dir_all(home.archive_copy()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::Source(home.archive_copy(), error)),
        _ => Ok(()),
    }
}
