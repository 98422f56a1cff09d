//! The register and the log, as they are stored.
//!
//! ```text
//! fact verdict          cell → answer with the verdict, its promises and its place in the log
//! fact verdict-basis    cell → the request that it rests on
//! fact closing          cell → answer with the closing and its place in the log
//! fact closing-basis    cell → the request that it rests on
//! fact log-leaf         index (8 bytes, big-endian) → leaf
//! state `log`           frontier
//! state `hands/` cid    what is kept of a contract that goes through the arbiter's hands
//! record hands-open     cid → until when its deposits are taken (8 bytes, big-endian); until nothing of it is in the arbiter's hands, or due from it
//! state `many/` cid     who was refused in a contract that many sign, and by whose request it was resolved
//! ```

use std::sync::Arc;

use semper_core::cbor::{Decode, DecodeError, Encode};
use semper_core::cose::Signed;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, StatementId};
use semper_core::merkle::Frontier;
use semper_core::time::Time;
use semper_exchange::arbiter::Cell;
use semper_exchange::arbiter::hands::{self, Hands};
use semper_exchange::arbiter::log;
use semper_exchange::arbiter::many::{self, Record};
use semper_exchange::arbiter::service::{CLOSING_SPACE, VERDICT_SPACE};
use semper_exchange::arbiter::verdict::{ArbiterAnswer, Closing, ClosingOutcome, Outcome, Verdict};
use semper_support::archive::{Archive, Commit, CommitError, Fact, PutState, ReadError};
use semper_transfer::payment::journal::Entry as Intent;

/// The log's state.
const LOG: &[u8] = b"log";
/// The prefix of the states of contracts that many sign.
const MANY: &[u8] = b"many/";
/// The prefix of the states of contracts that go through the arbiter's hands.
const HANDS: &[u8] = b"hands/";
/// Record space of the contracts of which the arbiter may have money in its hands, or owe some.
const OPEN_SPACE: &str = "hands-open";
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

/// A verdict on a contract that goes through the arbiter's hands: the log with it, the question that it follows, and what is stored.
pub(super) struct Decided<'a> {
    /// The log with the verdict, and the version that it replaces.
    pub(super) log: (&'a Frontier, u64),
    /// The question that it follows.
    pub(super) request: &'a [u8],
    /// The verdict and its place in the log.
    pub(super) answer: &'a ArbiterAnswer,
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
        self.commit(spaces, cell, log, request, (&answer.statement, answer.to_bytes()), Commit::default()).await
    }

    /// What is kept of a contract that goes through the arbiter's hands, and the version of that state.
    pub(super) async fn hands(&self, cid: Cid) -> Result<Option<(Hands, u64)>, ReadError> {
        let Some(stored) = self.archive.state(&hands_key(cid)).await? else { return Ok(None) };
        Ok(Some((Hands::from_bytes(&stored.bytes).map_err(damaged)?, stored.version)))
    }

    /// The verdict on such a contract, with its place in the log.
    pub(super) async fn verdict_of_hands(&self, cid: Cid) -> Result<Option<ArbiterAnswer>, ReadError> {
        self.stored(VERDICT_SPACE, &hands::cell_key(cid)).await
    }

    /// Stores that the arbiter takes part, unless it does.
    pub(super) async fn open_hands(&self, cid: Cid, hands: &Hands, not_after: Time) -> Result<(), CommitError> {
        let state = PutState { key: hands_key(cid), replaces: 0, bytes: hands.to_bytes() };
        let until = Some(not_after.unix().to_be_bytes().to_vec());
        let records = vec![(OPEN_SPACE.to_owned(), cid.as_bytes().to_vec(), until)];
        match self.archive.commit(Commit { states: vec![state], records, ..Commit::default() }).await {
            Ok(()) | Err(CommitError::Stale { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Contracts of which the arbiter may have money in its hands, or owe some, after one of them, and until when their deposits are taken.
    pub(super) async fn open(&self, after: Option<Cid>, most: usize) -> Result<Vec<(Cid, Time)>, ReadError> {
        let after = after.map(|cid| cid.as_bytes().to_vec());
        let open = self.archive.records(OPEN_SPACE, after.as_deref(), most).await?;
        let read = |(cid, until): (Vec<u8>, Vec<u8>)| {
            let cid = Cid::from_digest(Digest::from_array(cid.try_into().ok()?));
            Some((cid, Time::from_unix(u64::from_be_bytes(until.try_into().ok()?))))
        };
        let damaged = || ReadError("the register: a contract in the arbiter's hands".to_owned());
        open.into_iter().map(|record| read(record).ok_or_else(damaged)).collect()
    }

    /// Nothing of a contract is in the arbiter's hands or due from it any more, and never will be.
    pub(super) async fn close(&self, cid: Cid) -> Result<(), CommitError> {
        let records = vec![(OPEN_SPACE.to_owned(), cid.as_bytes().to_vec(), None)];
        self.archive.commit(Commit { records, ..Commit::default() }).await
    }

    /// Stores what a ruling changes in one commit: the record with the version that it replaces, the verdict if there is one, the payment operations that begin
    /// with it, and what makes them due.
    pub(super) async fn write_hands(
        &self,
        cid: Cid,
        (hands, replaces): (&Hands, u64),
        decided: Option<Decided<'_>>,
        intents: &[Intent],
        due: Vec<Fact>,
    ) -> Result<Written, CommitError> {
        let state = PutState { key: hands_key(cid), replaces, bytes: hands.to_bytes() };
        let mut with = Commit { states: vec![state], ..Commit::default() };
        for fact in due {
            // A payment that is begun again is due already.
            let stands = self.archive.fact(&fact.space, &fact.key).await.map_err(|e| CommitError::Unknown(e.0))?;
            with.facts.extend(stands.is_none().then_some(fact));
        }
        intents.iter().for_each(|intent| intent.begin(&mut with));
        let Some(Decided { log, request, answer }) = decided else { return self.store(with).await };
        let spaces = (VERDICT_SPACE, VERDICT_BASIS_SPACE);
        let stated = (&answer.statement, answer.to_bytes());
        self.commit(spaces, &hands::cell_key(cid), log, request, stated, with).await
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
        let with = Commit { states: vec![record], ..Commit::default() };
        self.commit(spaces, cell, log, request, (&answer.statement, answer.to_bytes()), with).await
    }

    async fn commit(
        &self,
        (space, basis): (&str, &str),
        cell: &[u8],
        (log, replaces): (&Frontier, u64),
        request: &[u8],
        (statement, answer): (&Signed, Vec<u8>),
        mut with: Commit,
    ) -> Result<Written, CommitError> {
        let index = log.size() - 1;
        let leaf = log::leaf(statement);
        let fact = |space: &str, key: &[u8], value: Vec<u8>| Fact { space: space.to_owned(), key: key.to_vec(), value };
        with.states.push(PutState { key: LOG.to_vec(), replaces, bytes: log.to_bytes() });
        with.facts.extend([
            fact(space, cell, answer),
            fact(basis, cell, request.to_vec()),
            fact(LEAF_SPACE, &index.to_be_bytes(), leaf.as_bytes().to_vec()),
        ]);
        self.store(with).await
    }

    async fn store(&self, commit: Commit) -> Result<Written, CommitError> {
        match self.archive.commit(commit).await {
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

fn hands_key(cid: Cid) -> Vec<u8> {
    [HANDS, cid.as_bytes()].concat()
}

fn record_key(cid: Cid) -> Vec<u8> {
    [MANY, cid.as_bytes()].concat()
}

fn damaged(error: DecodeError) -> ReadError {
    ReadError(format!("the register: {error}"))
}
