//! Downloading and opening: chunks in any order, each checked against the contract before it counts.

use semper_support::crypto::Encapsulate;

use super::chunk::{ArticleKey, ChunkIndex, cipher_leaf};
use super::descriptor::Good;
use super::index::{Index, Side};

/// The ciphertext of a good as it comes in. The bytes are kept by the caller; here is which of them are present and right. To go on
/// after an interruption, make it anew and [`take`](Self::take) what is there.
#[derive(Clone, Debug)]
pub struct Download {
    good: Good,
    index: Index,
    present: Vec<bool>,
    left: u64,
}

/// Why a good must not be bought. Nothing was promised yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The index has another number of chunks than the good.
    #[error("the index has {found} chunks, the good has {expected}")]
    Chunks {
        /// As many as the size of the good says.
        expected: u64,
        /// As many as the index has.
        found: u64,
    },
    /// The index does not have a root of the contract.
    #[error("the index does not have the {0:?} root that the contract names")]
    Root(Side),
    /// Nobody could open the deposit, not even the arbiter.
    #[error("nobody could open the deposit")]
    NoKey,
}

/// A chunk that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// For the first time.
    New,
    /// It was there already.
    Again,
}

/// Why a chunk was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The bytes are not those that the contract names for this place: whoever delivered them is wrong, not the seller. Ask again.
    #[error("the bytes are not those of chunk {}", .0.0)]
    NotTheChunk(ChunkIndex),
    /// The bytes are right, but what comes out is not what was promised: the seller's fault, which can be proven.
    #[error("chunk {} does not hold what the contract promises", .0.0)]
    BadChunk(ChunkIndex),
}

impl Download {
    /// Begins to download a good, after its index. What is checked here must be checked before anything is promised: without an index
    /// that has both roots, there is no proof of a bad chunk.
    ///
    /// # Errors
    /// [`DownloadError`].
    pub fn new(kem: &dyn Encapsulate, good: Good, index: Index) -> Result<Self, DownloadError> {
        let (expected, found) = (good.descriptor.size().chunks(), index.chunks());
        if expected != found {
            return Err(DownloadError::Chunks { expected, found });
        }
        for side in [Side::Cipher, Side::Plain] {
            if index.root(side) != good.root(side) {
                return Err(DownloadError::Root(side));
            }
        }
        if !good.can_be_opened(kem) {
            return Err(DownloadError::NoKey);
        }
        let present = vec![false; usize::try_from(found).expect("the index is in memory")];
        Ok(Self { good, index, present, left: found })
    }

    /// The good.
    pub fn good(&self) -> &Good {
        &self.good
    }

    /// The index, checked.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Takes a chunk of ciphertext.
    ///
    /// # Errors
    /// `NotTheChunk`: nothing changed.
    pub fn take(&mut self, index: ChunkIndex, chunk: &[u8]) -> Result<Taken, ChunkError> {
        self.check(index, chunk)?;
        let place = usize::try_from(index.0).expect("there is such a chunk");
        if std::mem::replace(&mut self.present[place], true) {
            return Ok(Taken::Again);
        }
        self.left -= 1;
        Ok(Taken::New)
    }

    /// The chunks that have not been taken yet, in order.
    pub fn missing(&self) -> impl Iterator<Item = ChunkIndex> {
        (0..).zip(&self.present).filter(|(_, present)| !**present).map(|(index, _)| ChunkIndex(index))
    }

    /// Whether every chunk was taken: the good can be bought.
    pub fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// Decrypts a chunk in place.
    ///
    /// # Errors
    /// `NotTheChunk`: nothing changed. `BadChunk`: `chunk` is the ciphertext still; [`first_bad_chunk`](super::first_bad_chunk) proves it.
    pub fn open(&self, key: &ArticleKey, index: ChunkIndex, chunk: &mut [u8]) -> Result<(), ChunkError> {
        let leaves = self.check(index, chunk)?;
        key.apply(index, chunk);
        if key.plain_leaf(index, chunk) == leaves.plain {
            return Ok(());
        }
        key.apply(index, chunk);
        Err(ChunkError::BadChunk(index))
    }

    fn check(&self, index: ChunkIndex, chunk: &[u8]) -> Result<super::Leaves, ChunkError> {
        let right = self.good.descriptor.size().chunk_len(index) == Some(chunk.len());
        let leaves = self.index.leaves(index).filter(|leaves| right && leaves.cipher == cipher_leaf(index, chunk));
        leaves.ok_or(ChunkError::NotTheChunk(index))
    }
}

impl Good {
    /// The root that the contract names for a side.
    pub(super) fn root(&self, side: Side) -> semper_core::hash::Digest {
        match side {
            Side::Cipher => self.deposit.cipher_root,
            Side::Plain => self.descriptor.plain_root(),
        }
    }
}
