//! How a good is cut, encrypted and hashed.
//!
//! ```text
//! c_j         = ChaCha20(key, nonce = 00000000 ‖ j as 8 bytes, counter 0) xor p_j
//! salt_j      = H("semper/chunk-salt/1" ‖ key ‖ j as 8 bytes)
//! cipher leaf = leaf(H("semper/merkle-leaf-c/1" ‖ j as 8 bytes ‖ length as 4 bytes ‖ c_j))
//! plain leaf  = leaf(H("semper/merkle-leaf-p/1" ‖ salt_j ‖ j as 8 bytes ‖ length as 4 bytes ‖ p_j))
//! ```
//! All numbers are big-endian; `leaf` is that of RFC 9162. A leaf says its place and length, so that it can stand in one place only.
//! The salt keeps the plain root from telling who guesses a chunk that he guessed right.

use std::fmt;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::merkle::leaf_hash;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes in every chunk but the last, which may be shorter but is not empty.
pub const CHUNK_LEN: usize = 16 * 1024;
/// Largest good, in bytes: 64 GiB. Its index is 256 MiB long.
pub const SIZE_MAX: u64 = 1 << 36;

/// The place of a chunk in its good, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkIndex(pub u64);

/// The size of a good: 1 to [`SIZE_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

impl Size {
    /// The size in bytes; `None` outside its range.
    pub const fn new(bytes: u64) -> Option<Self> {
        if bytes == 0 || bytes > SIZE_MAX { None } else { Some(Self(bytes)) }
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of chunks, at least one.
    pub const fn chunks(self) -> u64 {
        self.0.div_ceil(CHUNK_LEN as u64)
    }

    /// The length of a chunk in bytes; `None` if there is no such chunk.
    pub fn chunk_len(self, index: ChunkIndex) -> Option<usize> {
        let before = index.0.checked_mul(CHUNK_LEN as u64)?;
        let left = self.0.checked_sub(before).filter(|left| *left > 0)?;
        Some(usize::try_from(left).map_or(CHUNK_LEN, |left| left.min(CHUNK_LEN)))
    }
}

/// The key that an article is encrypted with: 32 random bytes, the same for everyone who buys the article. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ArticleKey([u8; 32]);

impl ArticleKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Takes 32 random bytes as a key.
    pub const fn from_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes. Whoever has them can read the article.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Encrypts or decrypts a chunk in place; one undoes the other.
    pub fn apply(&self, index: ChunkIndex, chunk: &mut [u8]) {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&index.0.to_be_bytes());
        ChaCha20::new(&self.0.into(), &nonce.into()).apply_keystream(chunk);
    }

    /// The leaf of a plaintext chunk, which is at most [`CHUNK_LEN`] bytes long.
    pub fn plain_leaf(&self, index: ChunkIndex, plain: &[u8]) -> Digest {
        let salt = Digest::of_parts(domain::CHUNK_SALT, &[&self.0, &index.0.to_be_bytes()]);
        let parts = [salt.as_ref(), &place_and_len(index, plain), plain];
        leaf_hash(Digest::of_parts(domain::MERKLE_LEAF_PLAIN, &parts).as_ref())
    }
}

impl fmt::Debug for ArticleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArticleKey(..)")
    }
}

/// The leaf of a ciphertext chunk, which is at most [`CHUNK_LEN`] bytes long.
pub fn cipher_leaf(index: ChunkIndex, chunk: &[u8]) -> Digest {
    leaf_hash(Digest::of_parts(domain::MERKLE_LEAF_CIPHER, &[&place_and_len(index, chunk), chunk]).as_ref())
}

/// `[place: 8 bytes] [length: 4 bytes]`
fn place_and_len(index: ChunkIndex, chunk: &[u8]) -> [u8; 12] {
    let len = u32::try_from(chunk.len()).expect("a chunk is at most 16 KiB long");
    let mut both = [0; 12];
    both[..8].copy_from_slice(&index.0.to_be_bytes());
    both[8..].copy_from_slice(&len.to_be_bytes());
    both
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn chunks_cover_the_good() {
        for bytes in [1, 2, 16_383, 16_384, 16_385, 32_768, 1 << 20, SIZE_MAX - 1, SIZE_MAX] {
            let size = Size::new(bytes).unwrap();
            let last = size.chunks() - 1;
            let len = size.chunk_len(ChunkIndex(last)).unwrap();
            assert!((1..=CHUNK_LEN).contains(&len));
            assert_eq!(last * CHUNK_LEN as u64 + len as u64, bytes);
            assert!(last == 0 || size.chunk_len(ChunkIndex(last - 1)) == Some(CHUNK_LEN));
            assert_eq!(size.chunk_len(ChunkIndex(last + 1)), None);
            assert_eq!(size.chunk_len(ChunkIndex(u64::MAX)), None);
        }
        assert_eq!((Size::new(0), Size::new(SIZE_MAX + 1)), (None, None));
    }

    // RFC 8439 §2.4.2 has the nonce 00000000 0000004a 00000000 and counter 1: the same layout as ours for the place 0x4a00000000, of
    // which the vector is the second block.
    #[test]
    fn the_cipher_is_that_of_rfc_8439() {
        let key = ArticleKey::from_array(std::array::from_fn(|i| u8::try_from(i).unwrap()));
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let mut chunk = [[0; 64].as_slice(), text].concat();
        key.apply(ChunkIndex(0x4a_0000_0000), &mut chunk);
        assert_eq!(data_encoding::HEXLOWER.encode(&chunk[64..80]), "6e2e359a2568f98041ba0728dd0d6981");
        assert_eq!(data_encoding::HEXLOWER.encode(&chunk[chunk.len() - 10..]), "b40b8eedf2785e42874d"[..].to_owned());
        key.apply(ChunkIndex(0x4a_0000_0000), &mut chunk);
        assert_eq!(&chunk[64..], text);
    }

    // A leaf that could stand in two places, or with two lengths, would prove two things.
    #[test]
    fn a_leaf_says_side_place_and_length() {
        let key = ArticleKey::from_array([1; 32]);
        let leaves = [
            cipher_leaf(ChunkIndex(0), b"a"),
            cipher_leaf(ChunkIndex(1), b"a"),
            cipher_leaf(ChunkIndex(0), b"a\0"),
            key.plain_leaf(ChunkIndex(0), b"a"),
            key.plain_leaf(ChunkIndex(1), b"a"),
            key.plain_leaf(ChunkIndex(0), b"a\0"),
            ArticleKey::from_array([2; 32]).plain_leaf(ChunkIndex(0), b"a"),
        ];
        assert_eq!(leaves.iter().collect::<std::collections::BTreeSet<_>>().len(), leaves.len());
    }
}
