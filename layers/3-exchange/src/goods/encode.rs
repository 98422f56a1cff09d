//! Encoding an article: once, however often it is sold.

use super::chunk::{ArticleKey, CHUNK_LEN, ChunkIndex, SIZE_MAX, Size, cipher_leaf};
use super::index::{Index, Leaves, Side};
use semper_core::hash::Digest;

/// Takes the plaintext of an article in pieces of any size and gives its ciphertext. Keeps less than a chunk of plaintext, and 64
/// bytes for each chunk that has passed.
#[derive(Debug)]
pub struct Encoder {
    key: ArticleKey,
    size: u64,
    /// Plaintext that does not fill a chunk yet.
    begun: Vec<u8>,
    leaves: Vec<Leaves>,
}

/// An encoded article, without its key. The ciphertext was given out on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Article {
    /// The size of plaintext and ciphertext.
    pub size: Size,
    /// The root over the plaintext: stands in the descriptor.
    pub plain_root: Digest,
    /// The root over the ciphertext: stands in the deposit.
    pub cipher_root: Digest,
    /// Both trees, for whoever downloads.
    pub index: Index,
}

/// A good has 1 to [`SIZE_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a good has 1 to {SIZE_MAX} bytes")]
pub struct TooLarge;

impl Encoder {
    /// Begins an article. `key` must be random and of this article only: two articles under one key can be subtracted from each other.
    pub fn new(key: ArticleKey) -> Self {
        Self { key, size: 0, begun: Vec::new(), leaves: Vec::new() }
    }

    /// Takes the next piece of plaintext, and appends to `ciphertext` what is complete: at most the piece and a chunk.
    ///
    /// # Errors
    /// [`TooLarge`]; nothing was taken.
    pub fn push(&mut self, mut plain: &[u8], ciphertext: &mut Vec<u8>) -> Result<(), TooLarge> {
        let size = self.size.checked_add(plain.len() as u64).filter(|size| *size <= SIZE_MAX).ok_or(TooLarge)?;
        self.size = size;
        if !self.begun.is_empty() {
            let (fill, rest) = plain.split_at(plain.len().min(CHUNK_LEN - self.begun.len()));
            self.begun.extend_from_slice(fill);
            plain = rest;
            if self.begun.len() == CHUNK_LEN {
                self.encode_begun(ciphertext);
            }
        }
        let (chunks, rest) = plain.as_chunks::<CHUNK_LEN>();
        for chunk in chunks {
            self.encode(chunk, ciphertext);
        }
        self.begun.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the article, and appends the rest to `ciphertext`.
    ///
    /// # Errors
    /// [`TooLarge`]: there was no plaintext at all.
    pub fn finish(mut self, ciphertext: &mut Vec<u8>) -> Result<Article, TooLarge> {
        if !self.begun.is_empty() {
            self.encode_begun(ciphertext);
        }
        let size = Size::new(self.size).ok_or(TooLarge)?;
        let index = Index::new(self.leaves).map_err(|_| TooLarge)?;
        Ok(Article { size, plain_root: index.root(Side::Plain), cipher_root: index.root(Side::Cipher), index })
    }

    fn encode_begun(&mut self, ciphertext: &mut Vec<u8>) {
        let mut begun = std::mem::take(&mut self.begun);
        self.encode(&begun, ciphertext);
        begun.clear();
        self.begun = begun;
    }

    fn encode(&mut self, plain: &[u8], ciphertext: &mut Vec<u8>) {
        let index = ChunkIndex(self.leaves.len() as u64);
        let start = ciphertext.len();
        ciphertext.extend_from_slice(plain);
        let chunk = &mut ciphertext[start..];
        self.key.apply(index, chunk);
        self.leaves.push(Leaves { cipher: cipher_leaf(index, chunk), plain: self.key.plain_leaf(index, plain) });
    }
}
