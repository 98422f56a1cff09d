//! Information goods: what a seller can sell so that the buyer gets the right bytes or its money back.
//!
//! ```text
//! seller   Encoder: plaintext in, ciphertext and an Index out          once per article
//!          Deposit::make: the article's key, readable for the arbiter  once per contract
//! buyer    Good::of: what the contract sells; Download: the ciphertext, checked chunk by chunk before anything is promised
//! seller   Disclosure: the seed of the deposit. Whoever has it computes the deposit again, sees that it is the same, and has the key
//! arbiter  Good::recover: the same key without the seller
//! nobody   without an arbiter the deposit is under the hash that locks the buyer's money: taking the money shows the seed
//! buyer    Download::open: plaintext, or the first chunk that is not what was promised: a Pom, which anybody can check
//! ```
//! The cipher is not authenticated on purpose. Decryption gives some plaintext for every key, and whether it is the right one is
//! decided by two Merkle roots that stand under the contract's identifier: the cipher root says what is downloaded, the plain root
//! what must come out. So there is no message that a seller could blame on a key, and no key that opens one ciphertext in two ways.
//!
//! An article has one key, whoever buys it: a buyer can give away the key as well as the plaintext, and no encryption changes that.
//!
//! Nothing here reads a clock, draws a random number or stores a byte. Secrets come in as arguments: the article's key and the seeds
//! must be random, and a seed is used for one deposit only.
//!
//! Start reading at [`Good`]. Source: `spec/goods.md` (design/exchange.md §8).

mod chunk;
mod descriptor;
mod download;
mod encode;
mod index;
mod pom;
mod release;
mod sealed;

pub use chunk::{ArticleKey, CHUNK_LEN, ChunkIndex, SIZE_MAX, Size, cipher_leaf};
pub use descriptor::{Deposit, DepositKey, Descriptor, Good, GoodError, Opens, plain_roots};
pub use download::{ChunkError, Download, DownloadError, Taken};
pub use encode::{Article, Encoder, TooLarge};
pub use index::{Index, IndexError, Leaves, Side};
pub use pom::{BadChunk, BadShape, Claim, Fault, Judge, KeyEvidence, Pom, Proven, Refused, first_bad_chunk};
pub use release::{Disclosure, KeyAttestation, NotOpened, Seed, Unrecoverable, preimage_hash};
pub use sealed::{SEALED_MAX, Sealed};
