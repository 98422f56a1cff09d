//! Port: cryptography with secrets. Checking signatures needs none and is in [`semper_core::signature`].
//!
//! Secret keys never leave the types of a module: this port hands out handles that sign and open, and bytes only in the
//! encrypted form of a [`KeyStore`]. `modules/crypto` implements everything; `sim/` has a symbolic implementation.

use semper_core::cose::{Draft, Signed};
use semper_core::hash::Digest;
use semper_core::party::KeySet;
use zeroize::Zeroizing;

/// Why a cryptographic operation failed. No variant says anything about a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// A ciphertext, seal or wrapped key does not open: it was changed, or made for another key or context.
    #[error("the data cannot be opened: it was changed or is meant for another key")]
    CannotOpen,
    /// A public key or ciphertext does not have the form of its algorithm.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The draft names another key set or suite than the signer's.
    #[error("asked to sign for another key set")]
    WrongSigner,
    /// The operating system gave no random numbers.
    #[error("the system's random number generator failed")]
    NoRandomness,
    /// The passphrase is wrong, or the stored key was changed.
    #[error("wrong passphrase, or the key file was changed")]
    WrongPassphrase,
    /// The holder of the keys is locked or does not answer: ask again later.
    #[error("the keys are locked, or their holder does not answer")]
    Unavailable,
}

/// Secret signature keys of one party, ready to use.
pub trait Signer: Send + Sync {
    /// The public side.
    fn key_set(&self) -> &KeySet;

    /// Signs a draft with every algorithm of its suite.
    ///
    /// Two calls may give different bytes (ML-DSA is randomised): store what goes out, never sign it again.
    ///
    /// # Errors
    /// `WrongSigner`, `NoRandomness`; nothing was signed.
    fn sign(&self, draft: Draft) -> Result<Signed, CryptoError>;
}

/// A key-encapsulation mechanism for sealing and for deposits with the arbiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KemSuite {
    /// X25519. Public key and ciphertext 32 bytes.
    X25519,
    /// ML-KEM-768. Public key 1184 bytes, ciphertext 1088.
    MlKem768,
    /// X-Wing: X25519 and ML-KEM-768. Public key 1216 bytes, ciphertext 1120. The default.
    XWing,
}

impl KemSuite {
    /// The number on the wire.
    pub const fn code(self) -> u64 {
        match self {
            KemSuite::X25519 => 1,
            KemSuite::MlKem768 => 2,
            KemSuite::XWing => 3,
        }
    }

    /// The suite with a number.
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(KemSuite::X25519),
            2 => Some(KemSuite::MlKem768),
            3 => Some(KemSuite::XWing),
            _ => None,
        }
    }

    /// Length of a public key, in bytes.
    pub const fn public_key_len(self) -> usize {
        match self {
            KemSuite::X25519 => 32,
            KemSuite::MlKem768 => 1184,
            KemSuite::XWing => 1216,
        }
    }

    /// Length of a ciphertext, in bytes.
    pub const fn ciphertext_len(self) -> usize {
        match self {
            KemSuite::X25519 => 32,
            KemSuite::MlKem768 => 1088,
            KemSuite::XWing => 1120,
        }
    }
}

/// A shared secret; wiped when dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// Deterministic encapsulation: whoever holds the seed can show what was encapsulated.
///
/// Source: `design/exchange.md` §8 (release and check of information).
pub trait Encapsulate: Send + Sync {
    /// Length of the seed of a suite, in bytes.
    fn seed_len(&self, suite: KemSuite) -> usize;

    /// Encapsulates to `public_key` with the randomness `seed`; the same arguments give the same result, for ever.
    ///
    /// # Errors
    /// `Malformed`: the key or the seed has a wrong length, or the key is not a point of its curve or of low order.
    fn encapsulate(&self, suite: KemSuite, public_key: &[u8], seed: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError>;

    /// Whether [`Decapsulate::decapsulate`] gives a secret for this ciphertext, with whatever key: its length is right, and its X25519
    /// part is not a point of low order, which gives the all-zero secret with every key. Needs no secret.
    fn can_be_opened(&self, suite: KemSuite, ciphertext: &[u8]) -> bool;
}

/// A secret decapsulation key, ready to use.
pub trait Decapsulate: Send + Sync {
    /// The suite.
    fn suite(&self) -> KemSuite;

    /// The public key.
    fn public_key(&self) -> &[u8];

    /// Recovers the shared secret. A ciphertext that nobody made gives some secret that nobody knows, not an error.
    ///
    /// # Errors
    /// `Malformed`: the ciphertext has a wrong length, or its X25519 part gives the all-zero secret.
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret, CryptoError>;
}

/// Sealing for a recipient (HPKE, RFC 9180, base mode): nobody but the recipient reads it, and nobody changes it unnoticed.
/// It does not say who sealed it; that is what signatures are for.
pub trait Seal: Send + Sync {
    /// Seals `plaintext` for `public_key`; `context` must be the same when it is opened.
    ///
    /// The result is `[encapsulated key ‖ ciphertext]`, its lengths given by the recipient's suite.
    ///
    /// # Errors
    /// `Malformed`, `NoRandomness`.
    fn seal(
        &self,
        suite: KemSuite,
        public_key: &[u8],
        context: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError>;

    /// Length of the seed of [`Seal::seal_from`] for a suite, in bytes.
    fn seal_seed_len(&self, suite: KemSuite) -> usize;

    /// Seals with the randomness `seed`: the same arguments give the same bytes, for ever. Whoever knows the seed can show what is under the
    /// seal, and nothing else can be shown for the same bytes. A seed is random, secret, and used once.
    ///
    /// # Errors
    /// `Malformed`: the key or the seed does not have the form of the suite.
    fn seal_from(
        &self,
        suite: KemSuite,
        public_key: &[u8],
        context: &[u8],
        plaintext: &[u8],
        seed: &[u8],
    ) -> Result<Vec<u8>, CryptoError>;
}

/// A secret key that opens what was sealed for it.
pub trait Open: Send + Sync {
    /// The suite.
    fn suite(&self) -> KemSuite;

    /// The public key that others seal for.
    fn public_key(&self) -> &[u8];

    /// Opens what [`Seal::seal`] made.
    ///
    /// # Errors
    /// `CannotOpen`, `Malformed`.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError>;
}

/// Random bytes for nonces and identifiers.
pub trait Randomness: Send + Sync {
    /// Fills `out`.
    ///
    /// # Errors
    /// `NoRandomness`.
    fn fill(&self, out: &mut [u8]) -> Result<(), CryptoError>;
}

/// Secrets at rest: bytes under a passphrase, as one self-describing blob.
pub trait KeyStore: Send + Sync {
    /// Encrypts `secret`. `label` says what it is and is needed again to open it.
    ///
    /// # Errors
    /// `NoRandomness`.
    fn protect(&self, passphrase: &[u8], label: &Digest, secret: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// Decrypts what [`KeyStore::protect`] made.
    ///
    /// # Errors
    /// `WrongPassphrase`, `Malformed`.
    fn reveal(&self, passphrase: &[u8], label: &Digest, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError>;
}
