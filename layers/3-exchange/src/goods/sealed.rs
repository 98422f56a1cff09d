//! Goods that travel in one message: the ciphertext with its index, to be opened later.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::hash::Digest;

use super::chunk::{ArticleKey, CHUNK_LEN, ChunkIndex, cipher_leaf};
use super::descriptor::Descriptor;
use super::encode::{Article, Encoder, TooLarge};
use super::index::{Index, Side};

/// Most bytes of goods that travel in one message.
pub const SEALED_MAX: usize = 15 * 1024 * 1024;

/// Ciphertext and index of an article.
///
/// ```text
/// sealed = { 0: 1, 1: index, 2: ciphertext }
/// ```
/// Without the key it says nothing; with it, anybody sees whether it holds what a contract promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    index: Index,
    ciphertext: Vec<u8>,
}

impl Sealed {
    /// Encodes at most [`SEALED_MAX`] bytes. `key` must be random and of this article only.
    ///
    /// # Errors
    /// [`TooLarge`]: nothing, or more than that.
    pub fn seal(plain: &[u8], key: ArticleKey) -> Result<(Article, Self), TooLarge> {
        if plain.len() > SEALED_MAX {
            return Err(TooLarge);
        }
        let (mut encoder, mut ciphertext) = (Encoder::new(key), Vec::with_capacity(plain.len()));
        encoder.push(plain, &mut ciphertext)?;
        let article = encoder.finish(&mut ciphertext)?;
        let index = article.index.clone();
        Ok((article, Self { index, ciphertext }))
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The chunks of ciphertext, in order.
    pub fn chunks(&self) -> impl Iterator<Item = (ChunkIndex, &[u8])> {
        (0..).map(ChunkIndex).zip(self.ciphertext.chunks(CHUNK_LEN))
    }

    /// The root of its ciphertext.
    pub fn cipher_root(&self) -> Digest {
        self.index.root(Side::Cipher)
    }

    /// Whether this is the ciphertext of what a contract describes, as far as that shows without the key.
    pub fn is_of(&self, goods: &Descriptor, cipher_root: Digest) -> bool {
        let right = |(index, chunk): (ChunkIndex, &[u8])| {
            self.index.leaves(index).is_some_and(|leaves| leaves.cipher == cipher_leaf(index, chunk))
        };
        self.ciphertext.len() as u64 == goods.size().bytes()
            && self.index.chunks() == goods.size().chunks()
            && self.index.root(Side::Plain) == goods.plain_root()
            && self.cipher_root() == cipher_root
            && self.chunks().all(right)
    }

    /// The plaintext, if `key` opens all of it and it is what the index promises.
    pub fn open(&self, key: &ArticleKey) -> Option<Vec<u8>> {
        let mut plain = Vec::with_capacity(self.ciphertext.len());
        for (index, chunk) in self.chunks() {
            let start = plain.len();
            plain.extend_from_slice(chunk);
            key.apply(index, &mut plain[start..]);
            if key.plain_leaf(index, &plain[start..]) != self.index.leaves(index)?.plain {
                return None;
            }
        }
        Some(plain)
    }
}

impl Encode for Sealed {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_bytes(1, self.index.to_bytes()).put_bytes(2, &self.ciphertext).build()
    }
}

impl Decode for Sealed {
    const BYTES_MAX: usize = SEALED_MAX + 128 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let index = fields.bytes(1, "index", Self::BYTES_MAX)?;
        let malformed = |_| DecodeError::field("index", semper_core::cbor::Problem::OutOfRange("not an index"));
        let index = Index::from_bytes(&index).map_err(malformed)?;
        let ciphertext = fields.bytes(2, "ciphertext", SEALED_MAX)?;
        fields.close()?;
        Ok(Self { index, ciphertext })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key(byte: u8) -> ArticleKey {
        ArticleKey::from_array([byte; ArticleKey::LEN])
    }

    // What comes out under another key, or of other ciphertext, would be taken for what was promised.
    #[test]
    fn only_the_right_key_opens_the_right_bytes() {
        let plain: Vec<u8> = (0..40_000_u32).flat_map(u32::to_be_bytes).collect();
        let (article, sealed) = Sealed::seal(&plain, key(1)).unwrap();
        let goods = Descriptor::new("letter", "text/plain", article.size, article.plain_root, "").unwrap();
        assert!(sealed.is_of(&goods, article.cipher_root));
        assert_eq!(sealed.open(&key(1)), Some(plain.clone()));
        assert_eq!(sealed.open(&key(2)), None);
        assert_eq!(Sealed::from_bytes(&sealed.to_bytes()).unwrap(), sealed);
        let mut other = sealed.clone();
        other.ciphertext[20_000] ^= 1;
        assert!(!other.is_of(&goods, article.cipher_root));
        assert_eq!(other.open(&key(1)), None);
        let longer = Sealed { ciphertext: [sealed.ciphertext.as_slice(), &[0]].concat(), ..sealed };
        assert!(!longer.is_of(&goods, article.cipher_root));
        assert!(Sealed::seal(&[], key(1)).is_err());
    }
}
