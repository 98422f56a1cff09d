//! Where the keys come from: a [`Keyring`] is opened with a passphrase and gives [`Keys`], ready to use.
//!
//! [`FileKeyring`] is the encrypted file of a data directory. A token with a chip (PKCS#11) would be another keyring: it gives handles that
//! sign and open, and no bytes. Each passes the kit in `contract` (feature of the same name).

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod file;
mod secrets;

use std::fmt;

use semper_support::crypto::{CryptoError, Open, Signer};
use zeroize::Zeroizing;

pub use file::FileKeyring;
pub use secrets::Secrets;

/// Something that holds a party's keys and opens with a passphrase.
pub trait Keyring: Send + Sync {
    /// The keys. The same passphrase gives the same keys, for ever; what it cost to find out that a passphrase is wrong is the keyring's own
    /// business.
    ///
    /// # Errors
    /// [`KeyringError`]; no key was opened.
    fn open(&self, passphrase: &[u8]) -> Result<Keys, KeyringError>;
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
