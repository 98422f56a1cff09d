//! Checking signatures: the one thing that protocol machines and verifiers ask of cryptography.
//!
//! [`Verify`] is implemented by `modules/crypto` and, for the model checker, by a symbolic algebra in `sim/`. A statement whose
//! signatures were checked is a [`Verified`], which nothing but [`verify`] can make; later states ask for that type.

use crate::cbor::{Decode, DecodeError};
use crate::cose::{Draft, Kind, Signed, Statement};
use crate::ids::{KeySetId, StatementId};
use crate::party::{Algorithm, KeySet, Suite};

/// Public-key signature verification.
pub trait Verify: Send + Sync {
    /// Whether `signature` is a signature over `message` by the owner of `public_key`. Malformed keys and signatures are `false`.
    fn verify(&self, algorithm: Algorithm, public_key: &[u8], message: &[u8], signature: &[u8]) -> bool;

    /// Checks many signatures at once, which may be faster; `Err` holds the index of a bad one.
    ///
    /// # Errors
    /// The index of a signature that [`Verify::verify`] refuses. Accepts exactly what one-by-one checking accepts.
    fn verify_batch(&self, checks: &[Check<'_>]) -> Result<(), usize> {
        match checks.iter().position(|c| !self.verify(c.algorithm, c.public_key, &c.message, c.signature)) {
            None => Ok(()),
            Some(bad) => Err(bad),
        }
    }
}

/// One signature to check.
#[derive(Clone, Debug)]
pub struct Check<'a> {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The public key, in the form of [`Algorithm`].
    pub public_key: &'a [u8],
    /// The signed bytes.
    pub message: Vec<u8>,
    /// The signature, in the form of [`Algorithm`].
    pub signature: &'a [u8],
}

/// A statement whose signatures were checked under the signer's key set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verified<T> {
    statement: T,
    signed: Signed,
}

impl<T> Verified<T> {
    /// What was said.
    pub fn statement(&self) -> &T {
        &self.statement
    }

    /// Who said it.
    pub fn signer(&self) -> KeySetId {
        self.signed.signer()
    }

    /// The identifier of the statement.
    pub fn id(&self) -> StatementId {
        self.signed.id()
    }

    /// The statement as it was received, signatures included.
    pub fn signed(&self) -> &Signed {
        &self.signed
    }
}

/// Why a signed statement was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Another kind of statement stands here.
    #[error("expected a statement of kind {expected}, found {found}")]
    WrongKind {
        /// The kind that is needed.
        expected: Kind,
        /// The kind that was found.
        found: Kind,
    },
    /// Signed by another key set than the one that was expected.
    #[error("signed by {found}, expected {expected}")]
    WrongSigner {
        /// The key set that should have signed.
        expected: KeySetId,
        /// The one that claims to have.
        found: KeySetId,
    },
    /// Signed under another suite than the signer's.
    #[error("signed under suite {found}, but the signer's suite is {expected}")]
    WrongSuite {
        /// The suite of the key set.
        expected: Suite,
        /// The suite of the statement.
        found: Suite,
    },
    /// A signature does not verify.
    #[error("the {0:?} signature is wrong")]
    BadSignature(Algorithm),
    /// The payload is not a statement of its kind.
    #[error("the signed {kind} is malformed: {error}")]
    Malformed {
        /// The kind that it claims to be.
        kind: Kind,
        /// What is wrong with it.
        error: DecodeError,
    },
}

/// Checks that `signed` is a `T` signed by `signer`, under exactly the suite of that key set.
///
/// # Errors
/// [`SignatureError`]; nothing about the statement may be believed.
pub fn verify<T: Statement>(
    verify: &dyn Verify,
    signer: &KeySet,
    signed: &Signed,
) -> Result<Verified<T>, SignatureError> {
    let statement = precheck(signer, signed)?;
    for ((algorithm, public_key), (_, message, signature)) in signer.keys().zip(signed.signatures()) {
        if !verify.verify(algorithm, public_key, &message, signature) {
            return Err(SignatureError::BadSignature(algorithm));
        }
    }
    Ok(Verified { statement, signed: signed.clone() })
}

/// Whether `signed` is what was asked for with `draft`: the same statement, with good signatures by `signer`. For a machine that
/// checks what its own key holder returns.
pub fn answers(verify: &dyn Verify, signer: &KeySet, draft: &Draft, signed: &Signed) -> bool {
    if signed.id() != draft.id() || signed.suite() != signer.suite() {
        return false;
    }
    signed
        .signatures()
        .zip(signer.keys())
        .all(|((algorithm, message, signature), (_, key))| verify.verify(algorithm, key, &message, signature))
}

/// Checks many statements of one kind; much faster than one by one where the algorithm has a batch verification.
///
/// # Errors
/// The index of a statement that [`verify`] refuses, with its reason.
pub fn verify_all<T: Statement>(
    verify: &dyn Verify,
    statements: &[(&KeySet, &Signed)],
) -> Result<Vec<Verified<T>>, (usize, SignatureError)> {
    let mut accepted = Vec::with_capacity(statements.len());
    let mut checks = Vec::new();
    let mut owners = Vec::new();
    for (i, (signer, signed)) in statements.iter().enumerate() {
        let statement = precheck(signer, signed).map_err(|e| (i, e))?;
        accepted.push(Verified { statement, signed: (*signed).clone() });
        for ((algorithm, public_key), (_, message, signature)) in signer.keys().zip(signed.signatures()) {
            checks.push(Check { algorithm, public_key, message, signature });
            owners.push(i);
        }
    }
    verify.verify_batch(&checks).map_err(|bad| (owners[bad], SignatureError::BadSignature(checks[bad].algorithm)))?;
    Ok(accepted)
}

/// Everything about a statement except its signatures.
fn precheck<T: Statement>(signer: &KeySet, signed: &Signed) -> Result<T, SignatureError> {
    if signed.kind() != T::KIND {
        return Err(SignatureError::WrongKind { expected: T::KIND, found: signed.kind() });
    }
    if signed.signer() != signer.id() {
        return Err(SignatureError::WrongSigner { expected: signer.id(), found: signed.signer() });
    }
    if signed.suite() != signer.suite() {
        return Err(SignatureError::WrongSuite { expected: signer.suite(), found: signed.suite() });
    }
    <T as Decode>::from_bytes(signed.payload()).map_err(|error| SignatureError::Malformed { kind: T::KIND, error })
}
