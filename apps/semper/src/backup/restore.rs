//! From a backup to a new data directory.
//!
//! Everything is made in a directory beside the new one, called `….restoring`, and gets its name when all of it is durable: what bears the name is whole and marked.
//! Whoever was killed begins anew; the piece that is left says what it is by its name and by a file in it, and goes then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use semper_core::time::Time;
use semper_store::SqliteArchive;
use semper_vault::log::Log;
use semper_vault::revocations::Revocations;
use semper_vault::rules::{self, mark_restored};
use semper_vault::wire::USER_DIR;

use super::BackupError;
use super::content::Manifest;
use super::look::{Counts, unpack};
use super::take::{LOG, lock, sync_dir};
use crate::home::{Home, make_private_dir};
use crate::node::restored;
use crate::now;

/// The file that says whose piece a `….restoring` is; locked while it is made.
const MARK: &str = "restoring.lock";

/// A directory that was restored.
pub struct Restored {
    /// What the backup said of itself.
    pub manifest: Manifest,
    /// What its archive held.
    pub counts: Counts,
    /// What was changed in the vault's log.
    pub vault: rules::Restored,
}

/// Makes the data directory `new` from a backup, marked so that neither node nor vault acts on what is old. Goods
/// that are in the backup are written too.
///
/// # Errors
/// [`BackupError`]; there is no directory of this name, or it is as empty as before.
pub async fn restore(
    file: &Path,
    passphrase: &[u8],
    new: &Path,
    tell: &mut dyn FnMut(&str, u64),
) -> Result<Restored, BackupError> {
    if !is_free(new) {
        return Err(BackupError::NotEmpty(new.to_owned()));
    }
    let dir = beside(new);
    let mark = begin(&dir)?;
    let made = make(file, passphrase, &dir, tell).await;
    let named = made.and_then(|restored| {
        sync_tree(&dir).map_err(BackupError::Write)?;
        // Takes the place of an empty directory, and of no other.
        fs::rename(&dir, new).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => BackupError::NotEmpty(new.to_owned()),
            _ => BackupError::Write(error),
        })?;
        // It is whole, and the file means nothing under this name.
        let _ = fs::remove_file(new.join(MARK));
        sync_dir(new).map_err(BackupError::Write)?;
        Ok(restored)
    });
    if named.is_err() {
        let _ = clear(&dir);
    }
    drop(mark);
    named
}

/// Whether nothing is there, or an empty directory.
fn is_free(new: &Path) -> bool {
    match fs::read_dir(new) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn beside(new: &Path) -> PathBuf {
    let mut name = new.as_os_str().to_owned();
    while name.as_encoded_bytes().ends_with(b"/") && name.len() > 1 {
        name = Path::new(&name).components().as_path().as_os_str().to_owned();
    }
    name.push(".restoring");
    name.into()
}

/// Makes the directory anew; removes what another one that was killed has left, and nothing else.
fn begin(dir: &Path) -> Result<File, BackupError> {
    if dir.exists() {
        if !dir.join(MARK).is_file() && !is_free(dir) {
            return Err(BackupError::NotEmpty(dir.to_owned()));
        }
        let left = lock(&dir.join(MARK))?;
        clear(dir).map_err(BackupError::Write)?;
        drop(left);
    }
    make_private_dir(dir).map_err(|error| BackupError::Write(io::Error::other(error)))?;
    lock(&dir.join(MARK))
}

/// Removes a piece, and last what says that it is one: whoever is killed here can be followed by another one.
fn clear(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != MARK {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir_all(dir)
}

async fn make(
    file: &Path,
    passphrase: &[u8],
    dir: &Path,
    tell: &mut dyn FnMut(&str, u64),
) -> Result<Restored, BackupError> {
    let (manifest, counts) = unpack(file, passphrase, dir, |_| true, tell).await?;
    let home = Home::at(Some(dir.to_owned())).map_err(|error| BackupError::Write(io::Error::other(error)))?;
    let vault = mark_vault(&home, &manifest, &counts).await?;
    let archive = SqliteArchive::open(home.archive()).await?;
    let marked = restored::mark(&archive, &manifest, &counts, now()).await;
    archive.close().await?;
    marked?;
    Ok(Restored { manifest, counts, vault })
}

/// Marks the vault's log, and has every mandate revoked before anything is signed: what was counted since nobody knows.
async fn mark_vault(home: &Home, manifest: &Manifest, counts: &Counts) -> Result<rules::Restored, BackupError> {
    let log = Log::open(&home.dir().join(LOG), &manifest.log_key)?;
    let from: Time = manifest.time;
    let marked = mark_restored(&log, counts.running.iter().filter_map(|(_, contract)| *contract), from).await?;
    let user = home.vault().join(USER_DIR);
    make_private_dir(&user).map_err(|error| BackupError::Write(io::Error::other(error)))?;
    let revocations = Revocations::of(&user);
    for mandate in &marked.mandates {
        revocations.keep(*mandate).map_err(BackupError::Write)?;
    }
    Ok(marked)
}

/// Makes everything below a directory durable.
fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { sync_tree(&entry.path())? } else { File::open(entry.path())?.sync_all()? }
    }
    File::open(dir)?.sync_all()
}
