//! The key of a certificate. It signs requests, certificates and revocation lists, never statements: those are signed by the key
//! set that the certificate names.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SignatureAlgorithm};
use rustls_pki_types::PrivatePkcs8KeyDer;
use semper_support::crypto::{CryptoError, Randomness};
use zeroize::Zeroizing;

/// Everything of a PKCS#8 Ed25519 key (RFC 8410) before its 32-byte seed.
const ED25519_PKCS8: &[u8] = &[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// Everything of a PKCS#8 P-256 key (RFC 5915, without the public key) before its 32-byte scalar.
const P256_PKCS8: &[u8] = &[
    0x30, 0x41, 2, 1, 0, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3,
    1, 7, 4, 0x27, 0x30, 0x25, 2, 1, 1, 4, 0x20,
];
/// A random scalar is out of range with probability 2^-32; so many in a row mean that the random numbers are broken.
const DRAWS_MAX: usize = 4;

/// The algorithm of a certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// ECDSA on P-256 with SHA-256: understood by everybody. The default.
    P256,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

impl KeyType {
    pub(crate) fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            KeyType::P256 => &PKCS_ECDSA_P256_SHA256,
            KeyType::Ed25519 => &PKCS_ED25519,
        }
    }
}

/// Why a certificate key could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a PKCS#8 private key of P-256 or Ed25519.
    #[error("not a pkcs#8 private key for p-256 or ed25519")]
    Malformed,
    /// The random numbers failed.
    #[error(transparent)]
    Randomness(#[from] CryptoError),
}

/// A private key for certificates; wiped when dropped. It has no `Debug`.
pub struct CertificateKey {
    pair: Zeroizing<KeyPair>,
}

impl CertificateKey {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// `Randomness`.
    pub fn generate(key_type: KeyType, randomness: &dyn Randomness) -> Result<Self, KeyError> {
        let prefix = match key_type {
            KeyType::P256 => P256_PKCS8,
            KeyType::Ed25519 => ED25519_PKCS8,
        };
        for _ in 0..DRAWS_MAX {
            let mut pkcs8 = Zeroizing::new(vec![0; prefix.len() + 32]);
            pkcs8[..prefix.len()].copy_from_slice(prefix);
            randomness.fill(&mut pkcs8[prefix.len()..])?;
            if let Ok(key) = Self::from_pkcs8(&pkcs8) {
                return Ok(key);
            }
        }
        Err(KeyError::Randomness(CryptoError::NoRandomness))
    }

    /// Reads a private key, as [`CertificateKey::to_pkcs8`] or another program wrote it.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from(pkcs8);
        [KeyType::P256, KeyType::Ed25519]
            .into_iter()
            .find_map(|key_type| KeyPair::from_pkcs8_der_and_sign_algo(&der, key_type.algorithm()).ok())
            .map(|pair| Self { pair: Zeroizing::new(pair) })
            .ok_or(KeyError::Malformed)
    }

    /// The private key as PKCS#8, to be stored under a passphrase.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.pair.serialize_der())
    }

    /// The public key as a DER `SubjectPublicKeyInfo`.
    pub fn public_key_info(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// Its algorithm.
    pub fn key_type(&self) -> KeyType {
        if self.pair.is_compatible(KeyType::P256.algorithm()) { KeyType::P256 } else { KeyType::Ed25519 }
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.pair
    }
}
