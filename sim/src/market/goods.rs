//! What is sold: two chunks, right or not, encoded once for all runs.

use std::sync::OnceLock;

use semper_exchange::goods::{
    ArticleKey, CHUNK_LEN, ChunkIndex, Descriptor, Encoder, Index, Leaves, Side, Size, cipher_leaf,
};

/// An article, as its seller has it.
pub(super) struct Ware {
    pub(super) key: ArticleKey,
    pub(super) descriptor: Descriptor,
    pub(super) index: Index,
    /// The ciphertext.
    pub(super) chunks: Vec<Vec<u8>>,
}

/// What of an article a buyer has fetched.
#[derive(Default)]
pub(super) struct Fetched {
    pub(super) index: Option<Index>,
    pub(super) chunks: Vec<Option<Vec<u8>>>,
}

/// What is promised in the place of a chunk.
fn promised() -> [Vec<u8>; 2] {
    [vec![b'a'; CHUNK_LEN], b"the end".to_vec()]
}

fn key() -> ArticleKey {
    ArticleKey::from_array([4; 32])
}

/// An article that is what it is said to be.
pub(super) fn good() -> &'static Ware {
    static GOOD: OnceLock<Ware> = OnceLock::new();
    GOOD.get_or_init(|| ware(promised()))
}

/// An article whose second chunk is something else.
pub(super) fn garbage() -> &'static Ware {
    static GARBAGE: OnceLock<Ware> = OnceLock::new();
    GARBAGE.get_or_init(|| {
        let [first, _] = promised();
        ware([first, b"rubbish".to_vec()])
    })
}

/// Ciphertext of `given` under an index that promises something else, if it is.
fn ware(given: [Vec<u8>; 2]) -> Ware {
    const FITS: &str = "two chunks fit";
    let leaves = |chunks: &[Vec<u8>; 2]| {
        let (mut encoder, mut ciphertext) = (Encoder::new(key()), Vec::new());
        chunks.iter().for_each(|chunk| encoder.push(chunk, &mut ciphertext).expect(FITS));
        let index = encoder.finish(&mut ciphertext).expect(FITS).index;
        ([0, 1].map(|place| index.leaves(ChunkIndex(place)).expect(FITS)), ciphertext)
    };
    let ((said, _), (gives, ciphertext)) = (leaves(&promised()), leaves(&given));
    let leaf = |place: usize| Leaves { plain: said[place].plain, cipher: gives[place].cipher };
    let index = Index::new(vec![leaf(0), leaf(1)]).expect(FITS);
    let size = Size::new(ciphertext.len() as u64).expect(FITS);
    let root = index.root(Side::Plain);
    let descriptor = Descriptor::new("a.txt", "text/plain", size, root, "a text").expect("a description");
    let chunks = ciphertext.chunks(CHUNK_LEN).map(<[u8]>::to_vec).collect();
    Ware { key: key(), descriptor, index, chunks }
}

impl Fetched {
    /// The next part that is missing: the index (`None`), then the chunks; nothing if everything is here.
    pub(super) fn missing(&self) -> Option<Option<usize>> {
        match self.index {
            None => Some(None),
            Some(_) => self.chunks.iter().position(Option::is_none).map(Some),
        }
    }

    /// Takes a part if it is the one of the offer; everything else is asked for again.
    pub(super) fn take(&mut self, offered: &Ware, part: Option<usize>, bytes: &[u8]) {
        match (part, &self.index) {
            (None, _) => {
                let fits = |index: &Index| {
                    [Side::Plain, Side::Cipher].iter().all(|side| index.root(*side) == offered.index.root(*side))
                };
                self.index = Index::from_bytes(bytes).ok().filter(fits);
                let chunks = self.index.as_ref().map_or(0, Index::chunks);
                self.chunks.resize(usize::try_from(chunks).unwrap_or(0), None);
            }
            (Some(place), Some(index)) => {
                let chunk = ChunkIndex(place as u64);
                let right = index.leaves(chunk).is_some_and(|leaves| leaves.cipher == cipher_leaf(chunk, bytes));
                if right {
                    self.chunks[place] = Some(bytes.to_vec());
                }
            }
            (Some(_), None) => {}
        }
    }

    /// The power fails while something is written: the last part is not whole, and is not counted.
    pub(super) fn tear(&mut self) {
        match self.chunks.iter_mut().rev().find(|chunk| chunk.is_some()) {
            Some(last) => *last = None,
            None => self.index = None,
        }
    }
}
