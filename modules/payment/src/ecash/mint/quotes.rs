//! Quotes: rows that anybody can have made, so they go when their time is over and nothing stands on them.
//!
//! ```text
//! record SPACE      quote           → what it says           while nobody has used it
//! record SPACE-due  time (8) ‖ quote → nothing               when the record is to be looked at
//! fact   SPACE      quote           → what it says           from the commit that uses it, for ever
//! ```
//! A quote is used by one commit, which writes the fact with the decision itself (coins signed, coins taken). The sweep removes records and
//! nothing else, so it takes nothing from a request that has read the record already: that request brings the quote along. For this reason any
//! number of servers may sweep at the same time, and none asks whether another does.
//!
//! A quote to buy coins is removed only when its backend has closed it: money that came is never forgotten.

use semper_core::cbor::{Decode, Encode};
use semper_core::time::{Seconds, Time};
use semper_support::archive::{Commit, Fact};

use super::backend::Closing;
use super::ledger::{Ledger, reading, storage, undecodable};
use super::refusal::Refusal;
use super::{Mint, issue, melt};

/// Most quotes of a kind that one round looks at.
pub const SWEEP_MAX: usize = 500;
/// When a quote that cannot go yet is looked at again. Every server counts from the same time, so they make one row of it together.
const AGAIN: Seconds = Seconds(86_400);

/// A kind of quotes.
#[derive(Clone, Copy)]
pub(super) struct Shelf {
    /// The space of its records and facts.
    pub(super) space: &'static str,
    /// The space of the times at which they are looked at.
    pub(super) due: &'static str,
}

/// A quote as it is found.
pub(super) struct Found<T> {
    pub(super) quote: T,
    /// Whether no request has used it yet.
    pub(super) is_open: bool,
}

impl Shelf {
    /// Adds to a commit that uses an open quote what makes it stay for ever.
    pub(super) fn keep(&self, commit: &mut Commit, id: &str, quote: &impl Encode) {
        commit.facts.push(Fact { space: self.space.to_owned(), key: id.as_bytes().to_vec(), value: quote.to_bytes() });
        commit.records.push((self.space.to_owned(), id.as_bytes().to_vec(), None));
    }

    fn due(&self, time: Time, id: &str, value: Option<Vec<u8>>) -> (String, Vec<u8>, Option<Vec<u8>>) {
        (self.due.to_owned(), [&time.unix().to_be_bytes(), id.as_bytes()].concat(), value)
    }
}

impl Ledger {
    /// Stores a new quote, to be looked at when `due` is over.
    pub(super) async fn put_quote(
        &self,
        shelf: &Shelf,
        id: &str,
        quote: &impl Encode,
        due: Time,
    ) -> Result<(), Refusal> {
        let record = (shelf.space.to_owned(), id.as_bytes().to_vec(), Some(quote.to_bytes()));
        self.put_records(vec![record, shelf.due(due, id, Some(Vec::new()))]).await
    }

    /// A quote, used or not. The record is read first: whoever uses it moves it to the facts.
    pub(super) async fn quote<T: Decode>(&self, shelf: &Shelf, id: &str) -> Result<Option<Found<T>>, Refusal> {
        let record = self.archive.record(shelf.space, id.as_bytes()).await.map_err(|error| reading(&error))?;
        let is_open = record.is_some();
        let bytes = if is_open { record } else { self.fact(shelf.space, id.as_bytes()).await? };
        let Some(bytes) = bytes else { return Ok(None) };
        let quote = T::from_bytes(&bytes).map_err(|error| undecodable(shelf.space, &error))?;
        Ok(Some(Found { quote, is_open }))
    }

    async fn put_records(&self, records: Vec<(String, Vec<u8>, Option<Vec<u8>>)>) -> Result<(), Refusal> {
        let commit = Commit { records, ..Commit::default() };
        self.archive.commit(commit).await.map_err(|error| storage(&error))
    }
}

impl Mint {
    /// Looks at quotes whose time is over, at most [`SWEEP_MAX`] of each kind, and removes those that nobody used and, if they were to
    /// buy coins, nobody paid; how many it looked at.
    ///
    /// # Errors
    /// `Busy`: storage failed; what was not looked at is still due.
    pub async fn sweep(&self) -> Result<usize, Refusal> {
        let now = self.now();
        let mut seen = 0;
        for shelf in [issue::QUOTES, melt::QUOTES] {
            let due = self.ledger.archive.records(shelf.due, None, SWEEP_MAX).await.map_err(|error| reading(&error))?;
            for (key, _) in due {
                let Some((time, id)) = read_due(&key).filter(|(time, _)| *time < now) else { break };
                self.sweep_one(&shelf, time, id).await?;
                seen += 1;
            }
        }
        Ok(seen)
    }

    /// Removes one quote, or puts off looking at it; one commit.
    async fn sweep_one(&self, shelf: &Shelf, time: Time, id: &str) -> Result<(), Refusal> {
        let mut records = vec![shelf.due(time, id, None)];
        if self.may_go(shelf, id).await? {
            records.push((shelf.space.to_owned(), id.as_bytes().to_vec(), None));
        } else {
            records.push(shelf.due(time.after(AGAIN), id, Some(Vec::new())));
        }
        self.ledger.put_records(records).await
    }

    async fn may_go(&self, shelf: &Shelf, id: &str) -> Result<bool, Refusal> {
        if shelf.space != issue::QUOTES.space {
            return Ok(true);
        }
        let found = self.ledger.quote::<issue::Quote>(shelf, id).await?;
        let Some(Found { quote, is_open: true }) = found else { return Ok(true) };
        // A method that is not configured any more may be again.
        let Ok(backend) = self.backend(quote.method()) else { return Ok(false) };
        Ok(match backend.close(id).await {
            Ok(closing) => closing == Closing::Closed,
            Err(error) => {
                tracing::warn!(quote = id, %error, "it is not known whether a quote was paid");
                false
            }
        })
    }
}

fn read_due(key: &[u8]) -> Option<(Time, &str)> {
    let (time, id) = key.split_first_chunk()?;
    Some((Time::from_unix(u64::from_be_bytes(*time)), std::str::from_utf8(id).ok()?))
}
