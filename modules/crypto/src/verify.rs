//! Checking signatures.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ML_DSA_65, UnparsedPublicKey, VerificationAlgorithm};
use semper_core::party::Algorithm;
use semper_core::signature::Verify;

/// Signature verification by aws-lc-rs.
///
/// Many signatures are checked one by one. The batch equation of ed25519-dalek is twice as fast, but it accepts some signatures
/// with a component of small order that the single equation refuses; a signer could then make a signature that counts for one
/// verifier and not for another. Refusing such points first costs what the batch saves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verifier;

impl Verify for Verifier {
    fn verify(&self, algorithm: Algorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        // aws-lc would read a compressed P-256 point as well: a key set has keys of one form only.
        if public_key.len() != algorithm.public_key_len() {
            return false;
        }
        let by: &dyn VerificationAlgorithm = match algorithm {
            Algorithm::Ed25519 => &ED25519,
            Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::MlDsa65 => &ML_DSA_65,
        };
        UnparsedPublicKey::new(by, public_key).verify(message, signature).is_ok()
    }
}
