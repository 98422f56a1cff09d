//! Preferences: what the user sets of how the node goes about things, while it runs. What is not set is as `semper.toml` says.
//!
//! ```text
//! space "preference":  "patience" → seconds (8, big-endian)      "dated-by" → a contact or an address, or nothing: nobody
//! ```
//! A preference holds from the next deal, or the next end of a deal, on; what has begun goes on as it was begun.

use semper_core::time::Seconds;
use semper_support::archive::{Commit, ReadError};

use super::{Node, NodeError};
use crate::stamp;

/// Record space of the preferences.
const PREFERENCES: &str = "preference";
const PATIENCE: &[u8] = b"patience";
const DATED_BY: &[u8] = b"dated-by";
/// The shortest and the longest patience.
const PATIENCE_RANGE: [Seconds; 2] = [Seconds(1), Seconds(90 * 24 * 3600)];
/// Longest name or address of who dates deals, in bytes.
const DATED_BY_MAX: usize = 1024;

/// What a preference is, and where that comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference<T> {
    /// What holds.
    pub value: T,
    /// Whether the user has set it here; else it is as `semper.toml` says, or by default.
    pub is_set: bool,
}

/// Why a preference was not set. What was set before holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreferenceError {
    /// Too short or too long a patience.
    #[error("a patience is from {} second to {} days", PATIENCE_RANGE[0].0, PATIENCE_RANGE[1].0 / 86_400)]
    Patience,
    /// No name, no address.
    #[error("who dates deals is called by at most {DATED_BY_MAX} bytes")]
    LongName,
    /// The contact book has nobody of this name who dates things; or storage failed.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl Node {
    /// How long a message of the other party is waited for in what somebody else begins.
    ///
    /// # Errors
    /// Storage.
    pub async fn patience(&self) -> Result<Preference<Seconds>, ReadError> {
        let set = self.archive.record(PREFERENCES, PATIENCE).await?;
        let set = set.and_then(|bytes| Some(Seconds(u64::from_be_bytes(bytes.try_into().ok()?))));
        Ok(Preference { value: set.unwrap_or(self.settings.patience), is_set: set.is_some() })
    }

    /// Who dates every deal that ends: a contact, or the address of a time-stamp authority's service. `None`: nobody does.
    ///
    /// # Errors
    /// Storage.
    pub async fn dated_by(&self) -> Result<Preference<Option<String>>, ReadError> {
        let set = self.archive.record(PREFERENCES, DATED_BY).await?.and_then(|bytes| String::from_utf8(bytes).ok());
        let is_set = set.is_some();
        let value = set.or_else(|| self.stamping.tsa.clone()).filter(|tsa| !tsa.is_empty());
        Ok(Preference { value, is_set })
    }

    /// Sets the patience; `None`: as `semper.toml` says.
    ///
    /// # Errors
    /// `Patience`, storage.
    pub async fn set_patience(&self, patience: Option<Seconds>) -> Result<(), PreferenceError> {
        let [shortest, longest] = PATIENCE_RANGE;
        if patience.is_some_and(|patience| patience < shortest || patience > longest) {
            return Err(PreferenceError::Patience);
        }
        self.prefer(PATIENCE, patience.map(|patience| patience.0.to_be_bytes().to_vec())).await
    }

    /// Sets who dates deals; empty: nobody; `None`: as `semper.toml` says.
    ///
    /// # Errors
    /// `LongName`; `Node` if it is neither an address nor a contact who dates things; storage.
    pub async fn set_dated_by(&self, by: Option<&str>) -> Result<(), PreferenceError> {
        if let Some(by) = by.filter(|by| !by.is_empty()) {
            if by.len() > DATED_BY_MAX {
                return Err(PreferenceError::LongName);
            }
            if !stamp::is_url(by) {
                self.book
                    .by_name(by)
                    .await
                    .and_then(|contact| contact.time_stamps().map(drop))
                    .map_err(NodeError::Book)?;
            }
        }
        self.prefer(DATED_BY, by.map(|by| by.as_bytes().to_vec())).await
    }

    async fn prefer(&self, key: &[u8], value: Option<Vec<u8>>) -> Result<(), PreferenceError> {
        let commit = Commit { records: vec![(PREFERENCES.to_owned(), key.to_vec(), value)], ..Commit::default() };
        self.archive.commit(commit).await.map_err(NodeError::Commit)?;
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }
}
