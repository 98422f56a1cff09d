//! The secret keys of one data directory, together under the passphrase.
//!
//! ```text
//! secrets = { 0: 1, 1: signature keys, 2: inbox key, 3: transport keys, 4: certificate key (PKCS#8),
//!             5: secret of the answers (32 bytes), 6: seed of the money (32 bytes: 24 words) }
//! ```

use std::fmt;
use std::sync::Arc;

use semper_core::cbor::{Decode, DecodeError, Fields, Value, record};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::party::{KeySet, Suite};
use semper_crypto::{OpenKey, PassphraseStore, SecretKeys, SystemRandom, TokenKey};
use semper_support::crypto::{CryptoError, KemSuite, KeyStore as _, Randomness as _, Signer as _};
use zeroize::Zeroizing;

use super::{Keys, Lent};

/// All secret keys of one party or third party.
pub struct Secrets {
    /// Signs what the party says.
    pub signer: SecretKeys,
    /// Opens what is sealed for the party.
    pub inbox: OpenKey,
    /// Signs the inbox's receipts.
    pub transport: SecretKeys,
    /// The key that certificates are about, in PKCS#8.
    pub certificate: Zeroizing<Vec<u8>>,
    /// Opens the answers to the party's own messages.
    pub replies: Zeroizing<[u8; 32]>,
    /// Everything that a purse, a mint or a bank derives its secrets from.
    pub seed: Zeroizing<[u8; 32]>,
}

impl Secrets {
    /// Fresh keys: hybrid signatures, X-Wing for the inbox, Ed25519 for receipts; `certificate` is the one that certificates are to be about.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn generate(certificate: Zeroizing<Vec<u8>>) -> Result<Self, CryptoError> {
        Self::with_signer(SecretKeys::generate(Suite::Hybrid)?, certificate)
    }

    /// Fresh keys as by [`Secrets::generate`], beside signature keys that are there.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn with_signer(signer: SecretKeys, certificate: Zeroizing<Vec<u8>>) -> Result<Self, CryptoError> {
        let (mut replies, mut seed) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
        SystemRandom.fill(&mut *replies)?;
        SystemRandom.fill(&mut *seed)?;
        Ok(Self {
            replies,
            seed,
            signer,
            inbox: OpenKey::generate(KemSuite::XWing)?,
            transport: SecretKeys::generate(Suite::Ed25519)?,
            certificate,
        })
    }

    /// The keys under a passphrase, as the file of a data directory keeps them.
    ///
    /// # Errors
    /// `NoRandomness`.
    pub fn protect(&self, passphrase: &[u8]) -> Result<Vec<u8>, CryptoError> {
        PassphraseStore::default().protect(passphrase, &label(), &self.to_bytes())
    }

    /// The keys from the form in which they are under a passphrase.
    ///
    /// # Errors
    /// `WrongPassphrase`; `Malformed`: these are no keys of this version.
    pub fn reveal(passphrase: &[u8], blob: &[u8]) -> Result<Self, CryptoError> {
        Self::read(&PassphraseStore::default().reveal(passphrase, &label(), blob)?, None)
    }

    /// The keys as bytes, without what is on a token.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(
            record()
                .put(0, 1_u64)
                .put_bytes(1, &*self.signer.export())
                .put_bytes(2, &*self.inbox.export())
                .put_bytes(3, &*self.transport.export())
                .put_bytes(4, &*self.certificate)
                .put_bytes(5, *self.replies)
                .put_bytes(6, *self.seed)
                .build()
                .encode(),
        )
    }

    /// The keys from their bytes, and the one that is on a token.
    ///
    /// # Errors
    /// `Malformed`.
    pub(super) fn read(bytes: &[u8], token: Option<Arc<dyn TokenKey>>) -> Result<Self, CryptoError> {
        let stored = Stored::from_bytes(bytes).map_err(|_| CryptoError::Malformed("key file"))?;
        Ok(Self {
            signer: match token {
                None => SecretKeys::import(&stored.signer)?,
                Some(token) => SecretKeys::import_with_token(&stored.signer, token)?,
            },
            inbox: OpenKey::import(&stored.inbox)?,
            transport: SecretKeys::import(&stored.transport)?,
            certificate: stored.certificate,
            replies: stored.replies,
            seed: stored.seed,
        })
    }

    /// The public side of the signature keys.
    pub fn key_set(&self) -> &KeySet {
        self.signer.key_set()
    }

    /// The key of the log: whoever cannot sign cannot write a log that opens.
    pub fn log_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*Digest::of(domain::VAULT_LOG_KEY, &self.signer.export()).as_bytes())
    }
}

impl From<Secrets> for Keys {
    fn from(secrets: Secrets) -> Self {
        let log = secrets.log_key();
        let Secrets { signer, inbox, transport, replies, seed, .. } = secrets;
        let (signer, inbox, transport) = (Box::new(signer), Box::new(inbox), Box::new(transport));
        Self { signer, inbox, transport, lent: Lent { replies, seed }, log }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({:?})", self.key_set().id())
    }
}

fn label() -> Digest {
    Digest::of(domain::KEY_STORE, b"semper data directory")
}

struct Stored {
    signer: Zeroizing<Vec<u8>>,
    inbox: Zeroizing<Vec<u8>>,
    transport: Zeroizing<Vec<u8>>,
    certificate: Zeroizing<Vec<u8>>,
    replies: Zeroizing<[u8; 32]>,
    seed: Zeroizing<[u8; 32]>,
}

impl Decode for Stored {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let replies = Zeroizing::new(fields.exact(5, "answers")?);
        let seed = Zeroizing::new(fields.exact(6, "seed")?);
        let mut key = |place, name| fields.bytes(place, name, 8192).map(Zeroizing::new);
        let stored = Self {
            replies,
            seed,
            signer: key(1, "signature keys")?,
            inbox: key(2, "inbox key")?,
            transport: key(3, "transport keys")?,
            certificate: key(4, "certificate key")?,
        };
        fields.close()?;
        Ok(stored)
    }
}
