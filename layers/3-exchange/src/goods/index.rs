//! The index of an article: the leaves of both trees, so that proofs can be made and each chunk checked on its own.
//!
//! ```text
//! index = [magic: 16 bytes "semper-index/1" 00 00] [leaves: 64 bytes]*
//! leaves = [cipher leaf: 32 bytes] [plain leaf: 32 bytes]                      ; one for each chunk, in order
//! ```
//! 64 bytes for 16 KiB: 4 MiB for 1 GiB. The index is not secret and not signed; it is right if both roots computed from it are those of
//! the contract.

use semper_core::hash::Digest;
use semper_core::merkle::{Frontier, Inclusion};

use super::chunk::{CHUNK_LEN, ChunkIndex, SIZE_MAX, Size};

const MAGIC: &[u8; 16] = b"semper-index/1\0\0";
/// Bytes of both leaves of a chunk.
const ENTRY_LEN: usize = 2 * Digest::LEN;
const CHUNKS_MAX: u64 = SIZE_MAX / CHUNK_LEN as u64;

/// The leaves of both trees of an article, at least one of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    leaves: Vec<Leaves>,
}

/// The leaves of one chunk, as they stand in the trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// Of the ciphertext.
    pub cipher: Digest,
    /// Of the plaintext.
    pub plain: Digest,
}

/// One of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Over the ciphertext.
    Cipher,
    /// Over the plaintext.
    Plain,
}

/// Bytes that are not an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The magic is missing.
    #[error("the index does not begin with its name and version")]
    Magic,
    /// Not a whole number of entries, none, or more than the largest good has.
    #[error("the index does not hold 64 bytes for each of 1 to {CHUNKS_MAX} chunks")]
    Length,
}

impl Leaves {
    /// The leaf of a side.
    pub fn on(&self, side: Side) -> Digest {
        match side {
            Side::Cipher => self.cipher,
            Side::Plain => self.plain,
        }
    }
}

impl Index {
    /// The index with these leaves.
    ///
    /// # Errors
    /// `Length`.
    pub fn new(leaves: Vec<Leaves>) -> Result<Self, IndexError> {
        if leaves.is_empty() || leaves.len() as u64 > CHUNKS_MAX {
            Err(IndexError::Length)
        } else {
            Ok(Self { leaves })
        }
    }

    /// How many bytes the index of a good of this size has.
    pub fn bytes_of(size: Size) -> usize {
        usize::try_from(size.chunks()).map_or(usize::MAX, |chunks| MAGIC.len() + chunks.saturating_mul(ENTRY_LEN))
    }

    /// Reads an index.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IndexError> {
        let (entries, rest) = bytes.strip_prefix(MAGIC).ok_or(IndexError::Magic)?.as_chunks::<ENTRY_LEN>();
        if !rest.is_empty() || entries.len() as u64 > CHUNKS_MAX {
            return Err(IndexError::Length);
        }
        let digest = |half: &[u8]| Digest::from_array(half.try_into().expect("half of an entry is a digest"));
        let leaves = |entry: &[u8; ENTRY_LEN]| {
            let (cipher, plain) = entry.split_at(Digest::LEN);
            Leaves { cipher: digest(cipher), plain: digest(plain) }
        };
        Self::new(entries.iter().map(leaves).collect())
    }

    /// Writes the index.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAGIC.len() + self.leaves.len() * ENTRY_LEN);
        bytes.extend_from_slice(MAGIC);
        for leaves in &self.leaves {
            bytes.extend_from_slice(leaves.cipher.as_ref());
            bytes.extend_from_slice(leaves.plain.as_ref());
        }
        bytes
    }

    /// The number of chunks, at least one.
    pub fn chunks(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The leaves of a chunk.
    pub fn leaves(&self, index: ChunkIndex) -> Option<Leaves> {
        self.leaves.get(usize::try_from(index.0).ok()?).copied()
    }

    /// The root of a side.
    pub fn root(&self, side: Side) -> Digest {
        let mut tree = Frontier::new();
        for leaves in &self.leaves {
            tree.append(leaves.on(side)).expect("an index is far smaller than the largest tree");
        }
        tree.root()
    }

    /// The proof that a chunk's leaf stands in the tree of a side; `None` if there is no such chunk. Linear in the size of the index.
    pub fn prove(&self, side: Side, index: ChunkIndex) -> Option<Inclusion> {
        let leaf = |i| self.leaves(ChunkIndex(i)).expect("a proof asks for leaves of the tree only").on(side);
        Inclusion::prove(index.0, self.chunks(), leaf)
    }
}
