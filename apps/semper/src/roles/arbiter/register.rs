//! The register and the log, as they are stored.
//!
//! ```text
//! fact verdict          cell → answer with the verdict, its promises and its place in the log
//! fact verdict-basis    cell → the request that it rests on
//! fact closing          cell → answer with the closing and its place in the log
//! fact closing-basis    cell → the request that it rests on
//! fact log-leaf         index (8 bytes, big-endian) → leaf
//! state `log`           frontier
//! state `many/` cid     who was refused in a contract that many sign, and by whose request it was resolved
//! ```

use std::sync::Arc;

use semper_core::cbor::{Decode, DecodeError, Encode};
use semper_core::cose::Signed;
use semper_core::ids::{Cid, StatementId};
use semper_core::merkle::Frontier;
use semper_exchange::arbiter::Cell;
use semper_exchange::arbiter::log;
use semper_exchange::arbiter::many::{self, Record};
use semper_exchange::arbiter::service::{CLOSING_SPACE, VERDICT_SPACE};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Closing, ClosingOutcome, Outcome, Verdict};
use semper_support::archive::{Archive, Commit, CommitError, Fact, PutState, ReadError};

/// The log's state.
const LOG: &[u8] = b"log";
/// The prefix of the states of contracts that many sign.
const MANY: &[u8] = b"many/";
/// Fact space of the log's leaves.
const LEAF_SPACE: &str = "log-leaf";
/// Fact space of the requests that verdicts rest on.
const VERDICT_BASIS_SPACE: &str = "verdict-basis";
/// Fact space of the requests that closings rest on.
const CLOSING_BASIS_SPACE: &str = "closing-basis";

/// The register over its archive.
pub(super) struct Register {
    archive: Arc<dyn Archive>,
}

/// What stands in one cell.
pub(super) struct Standing {
    verdict: Option<(ArbiterAnswer, Verdict)>,
    closing: Option<(ArbiterAnswer, Closing)>,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Verdict,
    Closing,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Stored,
    /// Something else was stored meanwhile: look again.
    Overtaken,
}

impl Register {
    pub(super) fn new(archive: Arc<dyn Archive>) -> Self {
        Self { archive }
    }

    pub(super) async fn read(&self, cell: &[u8]) -> Result<Standing, ReadError> {
        let (verdict, closing) = (self.stored(VERDICT_SPACE, cell).await?, self.stored(CLOSING_SPACE, cell).await?);
        let verdict = verdict.map(|answer| Ok((answer.clone(), Verdict::from_bytes(answer.statement.payload())?)));
        let closing = closing.map(|answer| Ok((answer.clone(), Closing::from_bytes(answer.statement.payload())?)));
        Ok(Standing { verdict: verdict.transpose().map_err(damaged)?, closing: closing.transpose().map_err(damaged)? })
    }

    async fn stored(&self, space: &str, cell: &[u8]) -> Result<Option<ArbiterAnswer>, ReadError> {
        let bytes = self.archive.fact(space, cell).await?;
        bytes.map(|bytes| ArbiterAnswer::from_bytes(&bytes).map_err(damaged)).transpose()
    }

    /// The log, and the version of its state.
    pub(super) async fn log(&self) -> Result<(Frontier, u64), ReadError> {
        match self.archive.state(LOG).await? {
            Some(stored) => Ok((Frontier::from_bytes(&stored.bytes).map_err(damaged)?, stored.version)),
            None => Ok((Frontier::default(), 0)),
        }
    }

    /// Leaves of the log, from a place on.
    pub(super) async fn leaves(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>, ReadError> {
        let after = from.checked_sub(1).map(u64::to_be_bytes);
        let after = after.as_ref().map(<[u8; 8]>::as_slice);
        let leaves = self.archive.facts(LEAF_SPACE, after, most).await?;
        Ok(leaves.into_iter().map(|leaf| leaf.value).collect())
    }

    /// Stores everything that one decision changes, in one commit. `log` is the log with the statement, and the version that it replaces.
    pub(super) async fn write(
        &self,
        entry: Entry,
        cell: &[u8],
        log: (&Frontier, u64),
        request: &[u8],
        answer: &ArbiterAnswer,
    ) -> Result<Written, CommitError> {
        let spaces = match entry {
            Entry::Verdict => (VERDICT_SPACE, VERDICT_BASIS_SPACE),
            Entry::Closing => (CLOSING_SPACE, CLOSING_BASIS_SPACE),
        };
        self.commit(spaces, cell, log, request, (&answer.statement, answer.to_bytes()), Vec::new()).await
    }

    /// What is kept of a contract that many sign, and the version of that state.
    pub(super) async fn record(&self, cid: Cid) -> Result<(Record, u64), ReadError> {
        match self.archive.state(&record_key(cid)).await? {
            Some(stored) => Ok((Record::from_bytes(&stored.bytes).map_err(damaged)?, stored.version)),
            None => Ok((Record::default(), 0)),
        }
    }

    /// The answer in the cell of one of many parties.
    pub(super) async fn answer_of_many(&self, cell: &[u8]) -> Result<Option<many::Answer>, ReadError> {
        let bytes = self.archive.fact(VERDICT_SPACE, cell).await?;
        bytes.map(|bytes| many::Answer::from_bytes(&bytes).map_err(damaged)).transpose()
    }

    /// The request that the verdict in the cell of one of many parties rests on.
    pub(super) async fn request_of_many(&self, cell: &[u8]) -> Result<Option<many::Request>, ReadError> {
        let bytes = self.archive.fact(VERDICT_BASIS_SPACE, cell).await?;
        bytes.map(|bytes| many::Request::from_bytes(&bytes).map_err(damaged)).transpose()
    }

    /// Stores a verdict on a contract that many sign, and its new record with the version that it replaces, in one commit.
    pub(super) async fn write_many(
        &self,
        (cid, cell): (Cid, &[u8]),
        log: (&Frontier, u64),
        (record, replaces): (&Record, u64),
        request: &[u8],
        answer: &many::Answer,
    ) -> Result<Written, CommitError> {
        let record = PutState { key: record_key(cid), replaces, bytes: record.to_bytes() };
        let spaces = (VERDICT_SPACE, VERDICT_BASIS_SPACE);
        self.commit(spaces, cell, log, request, (&answer.statement, answer.to_bytes()), vec![record]).await
    }

    async fn commit(
        &self,
        (space, basis): (&str, &str),
        cell: &[u8],
        (log, replaces): (&Frontier, u64),
        request: &[u8],
        (statement, answer): (&Signed, Vec<u8>),
        mut states: Vec<PutState>,
    ) -> Result<Written, CommitError> {
        let index = log.size() - 1;
        let leaf = log::leaf(statement);
        let fact = |space: &str, key: &[u8], value: Vec<u8>| Fact { space: space.to_owned(), key: key.to_vec(), value };
        states.push(PutState { key: LOG.to_vec(), replaces, bytes: log.to_bytes() });
        let facts = vec![
            fact(space, cell, answer),
            fact(basis, cell, request.to_vec()),
            fact(LEAF_SPACE, &index.to_be_bytes(), leaf.as_bytes().to_vec()),
        ];
        match self.archive.commit(Commit { states, facts, ..Commit::default() }).await {
            Ok(()) => Ok(Written::Stored),
            Err(CommitError::Taken { .. } | CommitError::Stale { .. }) => Ok(Written::Overtaken),
            Err(error) => Err(error),
        }
    }
}

impl Standing {
    /// What the rules look at, and the verdict's identifier.
    pub(super) fn cell(&self) -> Option<(Cell, StatementId)> {
        let (answer, Verdict { outcome, time, .. }) = self.verdict.as_ref()?;
        let closing = self.closing.as_ref().map(|(_, closing)| closing.outcome);
        Some((Cell { outcome: *outcome, time: *time, closing }, answer.statement.id()))
    }

    /// Whether the contract is complete, and its item not found faulty since.
    pub(super) fn is_resolved(&self) -> bool {
        self.cell().is_some_and(|(cell, _)| {
            cell.outcome == Outcome::Resolved && !matches!(cell.closing, Some(ClosingOutcome::Fault(_)))
        })
    }

    /// The answer that everybody gets; `None` of an empty cell.
    pub(super) fn answer(&self) -> Option<ArbiterAnswer> {
        let (answer, _) = self.verdict.as_ref()?;
        let closing = self.closing.as_ref();
        let closing = closing.and_then(|(closing, _)| Some((closing.statement.clone(), closing.log.clone()?)));
        Some(ArbiterAnswer { closing, ..answer.clone() })
    }
}

fn record_key(cid: Cid) -> Vec<u8> {
    [MANY, cid.as_bytes()].concat()
}

fn damaged(error: DecodeError) -> ReadError {
    ReadError(format!("the register: {error}"))
}
