//! Where the keys come from: a [`Keyring`] is opened with a passphrase and gives [`Secrets`], ready to use.
//!
//! [`FileKeyring`] is the encrypted file of a data directory. With [`Pkcs11Keyring`] a security token has one of the two signature keys, and
//! what opens the file. Each passes the kit in `contract` (feature of the same name); [`at`] says which of them a key file is for.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod file;
mod pkcs11;
mod secrets;

use std::fmt;
use std::path::{Path, PathBuf};

use semper_support::crypto::{CryptoError, Open, Signer};
use zeroize::Zeroizing;

pub use file::FileKeyring;
pub use pkcs11::{Pkcs11Keyring, Token};
pub use secrets::Secrets;

/// Largest key file, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// Something that holds a party's keys and opens with a passphrase.
pub trait Keyring: Send + Sync {
    /// The keys. The same passphrase gives the same keys, for ever; what it cost to find out that a passphrase is wrong is the keyring's own
    /// business. Keys that were opened before go on working whatever the passphrase is now.
    ///
    /// # Errors
    /// [`KeyringError`]; no key was opened.
    fn open(&self, passphrase: &[u8]) -> Result<Secrets, KeyringError>;

    /// The contents of the key file that opens with the passphrase and gives `secrets`, whose signature keys are this keyring's.
    ///
    /// # Errors
    /// [`KeyringError`].
    fn protect(&self, secrets: &Secrets, passphrase: &[u8]) -> Result<Vec<u8>, KeyringError>;

    /// Files and directories that a foreign library needs for it, also after the process has given up all others. `None`: there is no such
    /// library.
    fn needs(&self) -> Option<&[PathBuf]> {
        None
    }
}

/// The keyring that a key file is for. A file that is not there, or no key file, is for the one that says so when it is opened.
///
/// # Errors
/// The file names a token whose module cannot be loaded.
pub fn at(path: &Path) -> Result<Box<dyn Keyring>, KeyringError> {
    match read(path).ok().and_then(|bytes| pkcs11::KeyFile::recognise(&bytes)) {
        Some(file) => Ok(Box::new(Pkcs11Keyring::of(path, file)?)),
        None => Ok(Box::new(FileKeyring::new(path.to_owned()))),
    }
}

/// The security token that a key file is for, if it is for one.
pub fn token(path: &Path) -> Option<Token> {
    read(path).ok().and_then(|bytes| pkcs11::KeyFile::recognise(&bytes)).map(pkcs11::KeyFile::token)
}

/// The contents of a key file.
fn read(path: &Path) -> Result<Vec<u8>, KeyringError> {
    let unreadable = |error: std::io::Error| KeyringError::Unreadable(format!("{}: {error}", path.display()));
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_MAX {
        return Err(KeyringError::Unreadable(format!("{} is no key file: it is too long", path.display())));
    }
    std::fs::read(path).map_err(unreadable)
}

/// Why a keyring does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The passphrase is wrong, or the keys were changed.
    #[error("wrong passphrase, or the key file was changed")]
    WrongPassphrase,
    /// The keys cannot be read.
    #[error("the keys cannot be read: {0}")]
    Unreadable(String),
    /// The token is not there, or does not do what is needed.
    #[error("the security token: {0}")]
    Token(String),
}

impl From<CryptoError> for KeyringError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::WrongPassphrase => Self::WrongPassphrase,
            other => Self::Unreadable(other.to_string()),
        }
    }
}

/// The keys of one party, ready to use. Secrets are wiped when this is dropped.
pub struct Keys {
    /// Signs what the party says.
    pub signer: Box<dyn Signer>,
    /// Opens what is sealed for the party.
    pub inbox: Box<dyn Open>,
    /// Signs the inbox's receipts and the requests to the party's mailbox.
    pub transport: Box<dyn Signer>,
    /// What the node gets.
    pub lent: Lent,
    /// The key under which the log is chained.
    pub log: Zeroizing<[u8; 32]>,
}

/// The secrets that a node needs itself. They sign nothing and open nothing that others have sealed.
#[derive(Clone)]
pub struct Lent {
    /// Opens the answers to the party's own messages.
    pub replies: Zeroizing<[u8; 32]>,
    /// Everything that a purse derives its secrets from: e-cash is in the node's archive, and whoever has the coins can spend them.
    pub seed: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({:?})", self.signer.key_set().id())
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent")
    }
}
