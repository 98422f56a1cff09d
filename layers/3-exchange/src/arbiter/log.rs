//! The arbiter's log: a Merkle tree (RFC 9162) over its verdicts in the order in which they were given. It only grows.
//!
//! With a verdict comes a receipt: the signed head of the log just after the verdict was added, and the proof that it stands there. An
//! arbiter that shows different logs to different parties has signed two heads that do not fit together.
//!
//! ```text
//! log-head    = { 0: 1, 1: size, 2: root, 3: time }
//! log-receipt = { 0: 1, 1: signed log head, 2: inclusion }
//! leaf        = SHA-256(0x00 ‖ SHA-256("semper/log-leaf/1" ‖ signed verdict))
//! ```
//! Source: `spec/arbiter.md` §4.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::merkle::{Frontier, Full, Inclusion, leaf_hash};
use semper_core::party::KeySet;
use semper_core::signature::{SignatureError, Verified, Verify, verify};
use semper_core::time::Time;

/// The head of the log at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogHead {
    /// How many verdicts there are.
    pub size: u64,
    /// The root over all of them.
    pub root: Digest,
    /// When, by the arbiter's clock.
    pub time: Time,
}

/// Proof that a verdict stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogReceipt {
    /// A signed [`LogHead`].
    pub head: Signed,
    /// The way from the verdict to its root.
    pub inclusion: Inclusion,
}

/// Why a receipt proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The head is not validly signed.
    #[error("the head of the log is not acceptable: {0}")]
    Head(SignatureError),
    /// The verdict does not stand under this head.
    #[error("the verdict does not stand in the log under this head")]
    NotThere,
}

/// The leaf of a verdict.
pub fn leaf(verdict: &Signed) -> Digest {
    leaf_hash(Digest::of(domain::LOG_LEAF, verdict.bytes()).as_bytes())
}

/// Adds a verdict at the end; the head, to be signed, and the way to it.
///
/// # Errors
/// [`Full`]; nothing changed.
pub fn add(log: &mut Frontier, verdict: &Signed, now: Time) -> Result<(LogHead, Inclusion), Full> {
    let inclusion = log.append_proven(leaf(verdict))?;
    Ok((LogHead { size: log.size(), root: log.root(), time: now }, inclusion))
}

impl LogReceipt {
    /// Checks that `verdict` stands in the log that `log` signs; the head under which it does.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn check(&self, verifier: &dyn Verify, log: &KeySet, verdict: &Signed) -> Result<LogHead, LogError> {
        let head: Verified<LogHead> = verify(verifier, log, &self.head).map_err(LogError::Head)?;
        let head = *head.statement();
        if head.size != self.inclusion.size || !self.inclusion.holds(&leaf(verdict), &head.root) {
            return Err(LogError::NotThere);
        }
        Ok(head)
    }
}

impl Statement for LogHead {
    const KIND: Kind = Kind::LogHead;
}

impl Encode for LogHead {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put(1, self.size).put_item(2, &self.root).put_item(3, &self.time).build()
    }
}

impl Decode for LogHead {
    const BYTES_MAX: usize = 128;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let head = Self { size: fields.uint(1, "size")?, root: fields.item(2, "root")?, time: fields.item(3, "time")? };
        fields.close()?;
        Ok(head)
    }
}

impl Encode for LogReceipt {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.head).put_item(2, &self.inclusion).build()
    }
}

impl Decode for LogReceipt {
    const BYTES_MAX: usize = 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let receipt = Self { head: fields.item(1, "head")?, inclusion: fields.item(2, "inclusion")? };
        fields.close()?;
        Ok(receipt)
    }
}
