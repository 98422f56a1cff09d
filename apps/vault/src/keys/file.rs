//! The keyring that is an encrypted file.

use std::path::PathBuf;

use super::{Keyring, KeyringError, Secrets, read};

/// A file with [`Secrets`] under a passphrase (Argon2id, AES-256-GCM). It is read anew each time it is opened.
#[derive(Clone, Debug)]
pub struct FileKeyring(PathBuf);

impl FileKeyring {
    /// The keyring in a file.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Keyring for FileKeyring {
    fn open(&self, passphrase: &[u8]) -> Result<Secrets, KeyringError> {
        Ok(Secrets::reveal(passphrase, &read(&self.0)?)?)
    }

    fn protect(&self, secrets: &Secrets, passphrase: &[u8]) -> Result<Vec<u8>, KeyringError> {
        Ok(secrets.protect(passphrase)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use zeroize::Zeroizing;

    use super::super::{FILE_MAX, contract};
    use super::*;

    #[test]
    fn a_key_file_is_a_keyring() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let secrets = Secrets::generate(Zeroizing::new(vec![1; 32])).unwrap();
        std::fs::write(&path, secrets.protect(b"correct horse").unwrap()).unwrap();
        contract::keeps_the_contract(&FileKeyring::new(path), b"correct horse");
    }

    // A key file that is not one must end in words, not in the memory that it claims to need.
    #[test]
    fn what_is_no_key_file_opens_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let keyring = FileKeyring::new(path.clone());
        let unreadable = || matches!(keyring.open(b"correct horse"), Err(KeyringError::Unreadable(_)));
        assert!(unreadable(), "there is none");
        std::fs::write(&path, b"keys").unwrap();
        assert!(unreadable(), "no such format");
        std::fs::File::create(&path).unwrap().set_len(FILE_MAX + 1).unwrap();
        assert!(unreadable(), "too long");
    }
}
