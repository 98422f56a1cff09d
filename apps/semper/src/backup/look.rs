//! Opening a backup to see what is in it, and whether all of it is good. Nothing is changed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use semper_core::cbor::Decode as _;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId};
use semper_core::party::Role;
use semper_crypto::Verifier;
use semper_exchange::goods::Deposit;
use semper_exchange::gx::Leg;
use semper_store::SqliteArchive;
use semper_support::archive::{Archive, ReadError};
use semper_transfer::payment::journal::purse_prefix;
use semper_transfer::payment::operation::PurseId;
use semper_trust::card::ContactCard;
use semper_vault::log::Log;

use super::BackupError;
use super::content::{Manifest, read_content};
use super::seal::Opening;
use super::take::{ARCHIVE, LOG};
use crate::home::make_private_dir;
use crate::node::Entry;

/// States that are read at once.
const PAGE: usize = 64;
/// Most purses.
const PURSES_MAX: usize = 64;

/// A backup that is good.
pub struct Found {
    /// What it says of itself; every part is as it was written.
    pub manifest: Manifest,
    /// What its archive holds.
    pub counts: Counts,
}

/// What an archive holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deals.
    pub deals: u64,
    /// Those that had not ended.
    pub open: u64,
    /// Purses.
    pub purses: u64,
    /// Which.
    pub purse_ids: Vec<PurseId>,
    /// The deals that had not ended, and their contracts where there are any.
    pub running: Vec<(DealId, Option<Cid>)>,
    /// The ciphertext of what this party gets in them, by its root: what opens it may still come.
    pub awaited: Vec<Digest>,
}

impl Counts {
    pub(super) async fn of(archive: &SqliteArchive) -> Result<Self, ReadError> {
        let mut counts = Self::default();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = archive.states(Entry::prefix(), after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for stored in &page {
                let entry = Entry::read(stored)?;
                counts.deals += 1;
                if entry.deal.ending().is_none() {
                    counts.open += 1;
                    let contract = entry.deal.agreement().map(|agreement| agreement.core.cid());
                    counts.running.push((entry.deal.id(), contract));
                    counts.awaited.extend(awaited(&entry));
                }
            }
        }
        for stored in archive.states(purse_prefix(), None, PURSES_MAX).await? {
            counts.purses += 1;
            let id = stored.key.strip_prefix(purse_prefix()).and_then(|id| id.try_into().ok());
            counts.purse_ids.extend(id.map(PurseId::from_array));
        }
        Ok(counts)
    }
}

/// The ciphertext that is to be opened for this party in a deal.
fn awaited(entry: &Entry) -> Option<Digest> {
    let core = &entry.deal.agreement()?.core;
    let role = core.role_of(entry.deal.sides().me.id())?;
    let legs = Leg::of(core).ok()?;
    let Leg::Information(slot) = legs[usize::from(role == Role::ORIGINATOR)] else { return None };
    Some(Deposit::from_bytes(core.deposits.get(&slot)?).ok()?.cipher_root)
}

/// Opens a backup, checks every part of it by its hash, and opens its archive and its vault's log in a private directory that goes again. Goods are
/// checked and not written. `tell` hears which part is at work, and how far.
///
/// # Errors
/// [`BackupError`]: what is wrong with it.
pub async fn check(file: &Path, passphrase: &[u8], tell: &mut dyn FnMut(&str, u64)) -> Result<Found, BackupError> {
    let dir = tempfile::tempdir().map_err(BackupError::Write)?;
    let (manifest, counts) = unpack(file, passphrase, dir.path(), |name| !name.starts_with("goods/"), tell).await?;
    Ok(Found { manifest, counts })
}

/// Writes the parts that are `wanted` into `dir`, and checks that they are a party's.
pub(super) async fn unpack(
    file: &Path,
    passphrase: &[u8],
    dir: &Path,
    wanted: fn(&str) -> bool,
    tell: &mut dyn FnMut(&str, u64),
) -> Result<(Manifest, Counts), BackupError> {
    let opened = File::open(file).map_err(|error| BackupError::Source(file.to_owned(), error))?;
    let mut content = Opening::begin(BufReader::new(opened), passphrase)?;
    let mut written = Vec::new();
    let manifest = read_content(&mut content, &mut |bytes| tell("", bytes), |name| {
        if !wanted(name) {
            return Ok(Box::new(io::sink()));
        }
        let (path, file) = make(dir, name)?;
        written.push(path);
        Ok(Box::new(BufWriter::new(file)))
    })?;
    for path in written {
        File::open(&path).and_then(|file| file.sync_all()).map_err(BackupError::Write)?;
    }
    let archive_dir = dir.join(ARCHIVE).parent().unwrap_or(dir).to_owned();
    let archive = SqliteArchive::open(&archive_dir).await?;
    let looked = look_into(&archive).await;
    archive.close().await?;
    let counts = looked?;
    let log = Log::open(&dir.join(LOG), &manifest.log_key)?;
    if log.len() != manifest.entries {
        return Err(BackupError::Damaged("the vault's log is not the one of its list"));
    }
    let card = fs::read_to_string(dir.join("card.txt")).map_err(|_| BackupError::Card)?;
    let card = ContactCard::verify_text(&card, &Verifier).map_err(|_| BackupError::Card)?;
    if card.statement().key_set.id() != manifest.key_set || !dir.join("vault/keys").is_file() {
        return Err(BackupError::Damaged("its keys are not those of its list"));
    }
    Ok((manifest, counts))
}

async fn look_into(archive: &SqliteArchive) -> Result<Counts, BackupError> {
    if let Some(problem) = archive.integrity_check().await?.into_iter().next() {
        return Err(BackupError::Archive(problem));
    }
    Ok(Counts::of(archive).await?)
}

/// Makes a file for a part, in directories that only their owner enters.
fn make(dir: &Path, name: &str) -> Result<(PathBuf, impl Write + use<>), BackupError> {
    let path = dir.join(name);
    let parent = path.parent().unwrap_or(dir);
    make_private_dir(parent).map_err(|error| BackupError::Write(io::Error::other(error)))?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(BackupError::Write)?;
    Ok((path, file))
}
