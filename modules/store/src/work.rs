//! What a writer does for one caller, and whether it must be refused.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use semper_core::hash::Digest;
use semper_core::time::Time;
use semper_support::archive::{Commit, Consumed, Fact, OutgoingId};

use crate::queue::Job;
use crate::refusal::{Standing, refuse};
use crate::rows::{Column, Row, Step, postponed, rows};

/// Work that waits for a writer.
#[derive(Debug)]
pub(crate) struct Work {
    what: What,
    /// Hashes of the keys of its rows. Two works with one hash in common never get into one group, so that none decides about another.
    pub(crate) touches: Vec<u64>,
    /// About how many bytes it writes.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
enum What {
    Commit(Commit),
    Postpone(OutgoingId, Time),
}

impl Work {
    /// A commit whose bounds were checked.
    pub(crate) fn commit(commit: Commit) -> Self {
        Self::new(What::Commit(commit))
    }

    /// The note that sending a message failed.
    pub(crate) fn postpone(id: OutgoingId, due: Time) -> Self {
        Self::new(What::Postpone(id, due))
    }

    fn new(what: What) -> Self {
        // Which keys collide must not be known outside.
        static HASH: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let rows = what.rows();
        let bytes = rows.iter().flat_map(|row| &row.columns).map(Column::len).sum();
        let keys = rows.iter().filter(|row| row.step != Step::AppendEvidence).map(Row::key);
        let touches = keys.map(|key| HASH.hash_one(key)).collect();
        Self { what, touches, bytes }
    }

    /// What it writes.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        self.what.rows()
    }

    /// The commit, if it is one.
    pub(crate) fn as_commit(&self) -> Option<&Commit> {
        match &self.what {
            What::Commit(commit) => Some(commit),
            What::Postpone(..) => None,
        }
    }
}

impl What {
    fn rows(&self) -> Vec<Row<'_>> {
        match self {
            Self::Commit(commit) => rows(commit),
            Self::Postpone(id, due) => vec![postponed(id, *due)],
        }
    }
}

/// What stands in a database of everything that a group of commits touches, at one moment.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    pub(crate) consumed: BTreeSet<(Vec<u8>, Vec<u8>)>,
    pub(crate) versions: BTreeMap<Vec<u8>, i64>,
    /// By the name of the space and the key.
    pub(crate) facts: BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>>,
    pub(crate) waiting: BTreeSet<Vec<u8>>,
}

impl Standing for Standings {
    fn is_consumed(&self, consumed: &Consumed) -> bool {
        self.consumed.contains(&(consumed.key.clone(), consumed.input.as_bytes().to_vec()))
    }

    fn version(&self, key: &[u8]) -> u64 {
        self.versions.get(key).map_or(0, |version| u64::try_from(*version).unwrap_or(0))
    }

    fn value(&self, fact: &Fact) -> Option<&[u8]> {
        self.facts.get(&(fact.space.clone().into_bytes(), fact.key.clone())).map(Vec::as_slice)
    }

    fn waits(&self, id: &Digest) -> bool {
        self.waiting.contains(id.as_bytes().as_slice())
    }
}

/// Answers those that must be refused; the others stay.
pub(crate) fn answer_refused(jobs: &mut Vec<Job>, standings: &Standings) {
    for job in std::mem::take(jobs) {
        match job.work.as_commit().map_or(Ok(()), |commit| refuse(commit, standings)) {
            Ok(()) => jobs.push(job),
            refused => job.answer(refused),
        }
    }
}
