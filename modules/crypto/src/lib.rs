//! Module: the real cryptography behind the ports of [`semper_core::signature`] and [`semper_support::crypto`].
//!
//! - [`Verifier`] checks signatures (aws-lc-rs), strictly: odd points of Ed25519 are refused.
//! - [`SecretKeys`] signs with all algorithms of a suite; one of its keys may be on a security token ([`TokenKey`]).
//! - [`Sealer`] and [`OpenKey`] seal and open messages (HPKE, RFC 9180).
//! - [`Encapsulator`] and [`DecapsulationKey`] encapsulate so that the seed can be shown later (X25519, ML-KEM-768, X-Wing).
//! - [`PassphraseStore`] keeps secrets under a passphrase (Argon2id, AES-256-GCM).
//! - [`SystemRandom`] is the operating system's randomness.
//!
//! ```
//! use semper_core::cose::{Draft, Kind};
//! use semper_core::party::Suite;
//! use semper_core::signature::Verify;
//! use semper_crypto::{SecretKeys, Verifier};
//! use semper_support::crypto::Signer;
//!
//! let keys = SecretKeys::generate(Suite::Hybrid).unwrap();
//! let signer = keys.key_set().id();
//! let draft = Draft { kind: Kind::Receipt, suite: Suite::Hybrid, signer, payload: b"hello".to_vec() };
//! let signed = keys.sign(draft).unwrap();
//! let good = signed.signatures().zip(keys.key_set().keys());
//! assert!(good.into_iter().all(|((algorithm, message, signature), (_, key))| Verifier.verify(algorithm, key, &message, signature)));
//! ```

mod kem;
mod keys;
mod passphrase;
mod random;
mod seal;
mod verify;

pub use kem::{DecapsulationKey, Encapsulator};
pub use keys::{SecretKeys, TokenKey};
pub use passphrase::PassphraseStore;
pub use random::SystemRandom;
pub use seal::{OpenKey, Sealer};
pub use verify::Verifier;
