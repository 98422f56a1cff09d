//! Backups of a party: everything that its data directory holds, in one file under a passphrase.
//!
//! A backup holds what a party needs to go on elsewhere: its keys, its archive, its vault's log, its card and its configuration. It is made while the node
//! runs ([`take()`]), checked without touching anything ([`check`]), and becomes a new directory ([`restore`]), never one that is in use.
//!
//! **The order of the copies.** First the archive, then the vault's log. The vault writes its log before it answers, and the archive keeps what was answered
//! after that; so whatever the archive holds as signed is in the log, which was copied later. What the vault has signed between the two copies is in the
//! log alone: the node asks for it again and gets the same answer. The other way round, the archive could hold a signature that the log does not know,
//! and the vault could sign what excludes it.
//!
//! **What comes after.** A backup is old from the moment it is made, and whoever acts on an old state contradicts itself. So a restored directory is
//! marked before it can be used: in the vault's log ([`mark_restored`](semper_vault::rules::mark_restored)) and in the archive, for the node
//! (`node/restored.rs`). It must never overwrite a file or a directory that holds anything.
//!
//! Source: `spec/backup.md` (DESIGN §11, design/exchange.md §12).

mod content;
mod look;
mod restore;
mod seal;
mod take;

use std::io;
use std::path::PathBuf;

use semper_store::OpenError;
use semper_support::archive::ReadError;
use semper_support::crypto::CryptoError;
use semper_vault::log::LogError;

pub use self::content::{Left, Manifest, Part};
pub use self::look::{Counts, Found, check};
pub use self::restore::{Restored, restore};
pub use self::take::{Goods, Taking, Turn, copy_archive, note, take};

/// Most deals that are counted of those that are in no backup: beyond it, it is as many or more.
pub const COUNTED_MAX: usize = 1000;
/// How often long work says how far it is, in bytes.
const TELL_EVERY: u64 = 16 * 1024 * 1024;

/// Why a backup was not made, is not good, or was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is a file of this name.
    #[error("there is a file {0} already; nothing was written. Give another name")]
    Exists(PathBuf),
    /// The directory holds something.
    #[error("{0} is not empty; a backup is restored into a new directory only. Nothing was changed")]
    NotEmpty(PathBuf),
    /// Another backup or restore works with the same files.
    #[error("another backup or restore is at work on {0}; nothing was changed")]
    Busy(PathBuf),
    /// The file is something else.
    #[error("this file is no backup of a Semper party")]
    Foreign,
    /// The passphrase does not open it.
    #[error("wrong passphrase, or the beginning of the file was changed")]
    WrongPassphrase,
    /// The file is not as it was written.
    #[error("the backup is damaged: {0}. Use another one; nothing was changed")]
    Damaged(&'static str),
    /// The archive in it is damaged.
    #[error("the archive in the backup is damaged: {0}. Use another one; nothing was changed")]
    Archive(String),
    /// It was made by a version that this program does not know.
    #[error(
        "the backup holds {0:?}, which this program does not know: use the version that has made it, or a newer one"
    )]
    Newer(String),
    /// A file of the party cannot be read.
    #[error("{0}: {1}")]
    Source(PathBuf, #[source] io::Error),
    /// The file cannot be written.
    #[error("the backup cannot be written: {0}")]
    Write(#[source] io::Error),
    /// The file cannot be read.
    #[error("the backup cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The archive cannot be copied or opened.
    #[error("the archive: {0}")]
    Open(#[from] OpenError),
    /// The archive cannot be copied or read.
    #[error("the archive: {0}")]
    Store(#[from] ReadError),
    /// The archive or the log of the new directory cannot be marked.
    #[error("the restored party cannot be marked: {0}")]
    Mark(#[from] semper_support::archive::CommitError),
    /// The vault's log is not good.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The keys are no keys.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The contact card is damaged.
    #[error("the party's contact card is not readable")]
    Card,
}
