//! Why a commit is refused: promise 3 of `spec/archive.md`.

use semper_core::hash::Digest;
use semper_support::archive::{Commit, CommitError, Consumed, Fact, PutState};

/// Refusal of a message whose identifier belongs to a message that still waits.
pub(crate) const MESSAGE_TAKEN: CommitError = CommitError::Malformed("a message with this identifier waits already");

/// What stands in an archive, as far as it can refuse a commit.
pub(crate) trait Standing {
    /// Whether the input was consumed.
    fn is_consumed(&self, consumed: &Consumed) -> bool;
    /// The version of a machine's state; 0 if it has none.
    fn version(&self, key: &[u8]) -> u64;
    /// The value of a fact.
    fn value(&self, fact: &Fact) -> Option<&[u8]>;
    /// Whether a message with this identifier waits.
    fn waits(&self, id: &Digest) -> bool;
}

/// Whether a commit must be refused, and by what: the first that is named in promise 3.
pub(crate) fn refuse(commit: &Commit, standing: &impl Standing) -> Result<(), CommitError> {
    if let Some(consumed) = commit.consumed.iter().find(|consumed| standing.is_consumed(consumed)) {
        return Err(doubled(consumed));
    }
    if let Some(state) = commit.states.iter().find(|state| standing.version(&state.key) != state.replaces) {
        return Err(stale(state));
    }
    for fact in &commit.facts {
        if let Some(value) = standing.value(fact) {
            return Err(taken(fact, value));
        }
    }
    let waits = |id| standing.waits(id) && !commit.sent.contains(id);
    if commit.outbox.iter().any(|message| waits(&message.id)) { Err(MESSAGE_TAKEN) } else { Ok(()) }
}

pub(crate) fn doubled(consumed: &Consumed) -> CommitError {
    CommitError::Doubled { input: consumed.input }
}

pub(crate) fn stale(state: &PutState) -> CommitError {
    CommitError::Stale { key: state.key.clone() }
}

/// `fact` is what was offered, `value` what stands.
pub(crate) fn taken(fact: &Fact, value: &[u8]) -> CommitError {
    CommitError::Taken { stands: Fact { space: fact.space.clone(), key: fact.key.clone(), value: value.to_vec() } }
}
