//! Proofs of misbehaviour: what a cheated buyer shows, and anybody can check without being told more than one chunk.
//!
//! ```text
//! pom = { 0: 1, 1: 1, 2: cid, 3: slot, 4: place, 5: ciphertext chunk, 6: [* digest], 7: key evidence, 8: plain leaf, 9: [* digest] }
//!     / { 0: 1, 1: 2, 2: cid, 3: slot, 4: place, 5: chunk, ? 7: key evidence, 10: inclusion }
//!     / { 0: 1, 1: 4, 2: cid, 3: slot, 11: signed disclosure }
//!     / { 0: 1, 1: 6, 2: cid, 3: slot }
//! key evidence = { 0: seed } / { 1: signed key attestation }
//! ```
//! Field 1 is the kind of the claim. 3 (a bad credential) and 5 (a predicate over the content) are kept free; an unknown kind is refused.
//!
//! A proof that holds says that the seller is guilty, whatever the buyer did: for a good that was encoded as it must be, and a seed that
//! was told as it was used, there is none. Where the key comes from the arbiter's attestation, that rests on the arbiter's word, which
//! the seller refutes by showing its seed.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::Signed;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, KeySetId, Slot};
use semper_core::merkle::Inclusion;
use semper_core::party::KeySet;
use semper_core::signature::{SignatureError, Verify, verify};
use semper_support::crypto::Encapsulate;

use super::chunk::{ArticleKey, CHUNK_LEN, ChunkIndex, cipher_leaf};
use super::descriptor::Good;
use super::download::Download;
use super::index::Side;
use super::release::{Disclosure, KeyAttestation, NotOpened, Seed, seed};

/// Most hashes in a path.
const PATH_MAX: usize = 64;

/// A proof of misbehaviour, as it is shown. It holds if [`Judge::check`] says so.
#[derive(Clone, Debug)]
pub struct Pom {
    /// The contract.
    pub cid: Cid,
    /// The slot of the good.
    pub slot: Slot,
    /// What the seller is said to have done.
    pub claim: Claim,
}

/// What a seller is said to have done, with what proves it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Claim {
    /// A chunk does not hold what the plain root promises.
    BadChunk(BadChunk),
    /// A tree has a leaf that a good of this size does not have: the size and the trees do not agree.
    BadShape(BadShape),
    /// The seller signed a seed that is not that of its deposit.
    BadSeed(Signed),
    /// Nobody can open the deposit: the contract itself is the proof.
    NoKey,
}

/// A chunk, its proof in the cipher tree, and the leaf that stands in its place in the plain tree.
#[derive(Clone, Debug)]
pub struct BadChunk {
    /// The place of the chunk.
    pub index: ChunkIndex,
    /// The ciphertext.
    pub chunk: Vec<u8>,
    /// The hashes beside the way to the cipher root.
    pub cipher_path: Vec<Digest>,
    /// What says the key.
    pub key: KeyEvidence,
    /// The promised leaf.
    pub plain_leaf: Digest,
    /// The hashes beside the way to the plain root.
    pub plain_path: Vec<Digest>,
}

/// A chunk that stands in a tree where a good of this size has no such chunk.
#[derive(Clone, Debug)]
pub struct BadShape {
    /// The place that the leaf says.
    pub index: ChunkIndex,
    /// The chunk: plaintext if `key` is there, else ciphertext.
    pub chunk: Vec<u8>,
    /// What says the key; for the plain tree only.
    pub key: Option<KeyEvidence>,
    /// Where the leaf stands.
    pub inclusion: Inclusion,
}

/// What says the key of an article.
#[derive(Clone, Debug)]
pub enum KeyEvidence {
    /// The seed of the deposit, however the buyer came by it: nobody can make another one that fits.
    Seed(Seed),
    /// The arbiter's signed [`KeyAttestation`].
    Attested(Signed),
}

/// Who checks: the real or symbolic cryptography, and the key sets of seller and arbiter.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// Checks signatures.
    pub verify: &'a dyn Verify,
    /// Makes a deposit again.
    pub kem: &'a dyn Encapsulate,
    /// The seller's keys.
    pub owner: &'a KeySet,
    /// The arbiter's keys; none for a contract without one.
    pub arbiter: Option<&'a KeySet>,
}

/// A proof that holds: the seller is guilty. Only [`Judge::check`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    cid: Cid,
    slot: Slot,
    guilty: KeySetId,
    fault: Fault,
}

/// What was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// This chunk does not hold what was promised.
    BadChunk(ChunkIndex),
    /// The size and the tree of this side do not agree.
    BadShape(Side),
    /// The seller signed a wrong seed.
    BadSeed,
    /// Nobody can open the deposit.
    NoKey,
}

/// Why a proof does not hold. It says nothing about the seller, for or against.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is about another contract or slot.
    #[error("the proof is about another contract or slot")]
    OtherContract,
    /// The key sets given are not those of the contract.
    #[error("the key sets are not those of the seller and the arbiter of this contract")]
    OtherKeySets,
    /// What should say the key is not the seed of the deposit.
    #[error("{0}")]
    Seed(NotOpened),
    /// A signed part is not by whom it must be.
    #[error("the signed part is not acceptable: {0}")]
    Signature(SignatureError),
    /// A signed part is about another contract or slot.
    #[error("the signed part is about another contract or slot")]
    SignedForOther,
    /// The good has no such chunk.
    #[error("the good has no chunk {}", .0.0)]
    NoSuchChunk(ChunkIndex),
    /// The chunk does not have the length that it has in its place.
    #[error("the chunk has {found} bytes, in its place stand {expected}")]
    WrongLength {
        /// As in the good.
        expected: usize,
        /// As shown.
        found: usize,
    },
    /// The chunk or leaf does not stand in the tree of a side.
    #[error("what is shown does not stand in the {0:?} tree")]
    NotInTree(Side),
    /// The chunk holds what was promised.
    #[error("the chunk holds what was promised")]
    ChunkIsRight,
    /// A good of this size has this chunk in this place.
    #[error("the leaf stands where a good of this size has it")]
    ShapeIsRight,
    /// The seed is that of the deposit.
    #[error("the seed is that of the deposit")]
    SeedIsRight,
    /// The deposit can be opened.
    #[error("the deposit can be opened")]
    DepositIsRight,
}

impl Pom {
    /// Whether the proof rests on the arbiter's word for the key, and not on a seed that only the seller can have made.
    pub fn is_attested(&self) -> bool {
        let key = match &self.claim {
            Claim::BadChunk(bad) => Some(&bad.key),
            Claim::BadShape(bad) => bad.key.as_ref(),
            Claim::BadSeed(_) | Claim::NoKey => None,
        };
        matches!(key, Some(KeyEvidence::Attested(_)))
    }
}

impl Proven {
    /// The contract.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// The slot of the good.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Whose fault it is.
    pub fn guilty(&self) -> KeySetId {
        self.guilty
    }

    /// What was proven.
    pub fn fault(&self) -> Fault {
        self.fault
    }
}

impl Judge<'_> {
    /// Checks a proof against the good that it is about. The same for everybody, for ever: nothing but the arguments counts.
    ///
    /// # Errors
    /// [`Refused`]: nothing is proven.
    pub fn check(&self, good: &Good, pom: &Pom) -> Result<Proven, Refused> {
        if (pom.cid, pom.slot) != (good.cid, good.slot) {
            return Err(Refused::OtherContract);
        }
        if (self.owner.id(), self.arbiter.map(KeySet::id)) != (good.owner, good.arbiter) {
            return Err(Refused::OtherKeySets);
        }
        let fault = match &pom.claim {
            Claim::BadChunk(claim) => self.bad_chunk(good, claim)?,
            Claim::BadShape(claim) => self.bad_shape(good, claim)?,
            Claim::BadSeed(disclosure) => self.bad_seed(good, disclosure)?,
            Claim::NoKey if good.can_be_opened(self.kem) => return Err(Refused::DepositIsRight),
            Claim::NoKey => Fault::NoKey,
        };
        Ok(Proven { cid: good.cid, slot: good.slot, guilty: good.owner, fault })
    }

    fn bad_chunk(&self, good: &Good, claim: &BadChunk) -> Result<Fault, Refused> {
        let BadChunk { index, chunk, cipher_path, key, plain_leaf, plain_path } = claim;
        let (size, found) = (good.descriptor.size(), chunk.len());
        let expected = size.chunk_len(*index).ok_or(Refused::NoSuchChunk(*index))?;
        if found != expected {
            return Err(Refused::WrongLength { expected, found });
        }
        let stands = |side, leaf: &Digest, path: &Vec<Digest>| {
            let proof = Inclusion { index: index.0, size: size.chunks(), path: path.clone() };
            if proof.holds(leaf, &good.root(side)) { Ok(()) } else { Err(Refused::NotInTree(side)) }
        };
        stands(Side::Cipher, &cipher_leaf(*index, chunk), cipher_path)?;
        stands(Side::Plain, plain_leaf, plain_path)?;
        let key = self.key(good, key)?;
        let mut plain = chunk.clone();
        key.apply(*index, &mut plain);
        if key.plain_leaf(*index, &plain) == *plain_leaf {
            return Err(Refused::ChunkIsRight);
        }
        Ok(Fault::BadChunk(*index))
    }

    /// A leaf says its own place and length. In the tree of an honest seller it stands there, and the path to it is the one that a good of
    /// this size has; so whatever other shape of tree the path may also fit, it fits this one.
    fn bad_shape(&self, good: &Good, claim: &BadShape) -> Result<Fault, Refused> {
        let BadShape { index, chunk, key, inclusion } = claim;
        if chunk.len() > CHUNK_LEN {
            return Err(Refused::WrongLength { expected: CHUNK_LEN, found: chunk.len() });
        }
        let (side, leaf) = match key {
            None => (Side::Cipher, cipher_leaf(*index, chunk)),
            Some(key) => (Side::Plain, self.key(good, key)?.plain_leaf(*index, chunk)),
        };
        let root = good.root(side);
        if !inclusion.holds(&leaf, &root) {
            return Err(Refused::NotInTree(side));
        }
        let size = good.descriptor.size();
        let expected = Inclusion { index: index.0, size: size.chunks(), path: inclusion.path.clone() };
        if size.chunk_len(*index) == Some(chunk.len()) && expected.holds(&leaf, &root) {
            return Err(Refused::ShapeIsRight);
        }
        Ok(Fault::BadShape(side))
    }

    fn bad_seed(&self, good: &Good, disclosure: &Signed) -> Result<Fault, Refused> {
        let disclosure = verify::<Disclosure>(self.verify, self.owner, disclosure).map_err(Refused::Signature)?;
        let Disclosure { cid, slot, seed } = disclosure.statement();
        if (*cid, *slot) != (good.cid, good.slot) {
            return Err(Refused::SignedForOther);
        }
        match good.open(self.kem, seed) {
            Ok(_) => Err(Refused::SeedIsRight),
            Err(NotOpened::WrongSeed) => Ok(Fault::BadSeed),
            Err(error) => Err(Refused::Seed(error)),
        }
    }

    fn key(&self, good: &Good, evidence: &KeyEvidence) -> Result<ArticleKey, Refused> {
        match evidence {
            KeyEvidence::Seed(seed) => good.open(self.kem, seed).map_err(Refused::Seed),
            KeyEvidence::Attested(signed) => {
                let arbiter = self.arbiter.ok_or(Refused::OtherKeySets)?;
                let said = verify::<KeyAttestation>(self.verify, arbiter, signed).map_err(Refused::Signature)?;
                let KeyAttestation { cid, slot, key } = said.statement();
                if (*cid, *slot) != (good.cid, good.slot) {
                    return Err(Refused::SignedForOther);
                }
                Ok(key.clone())
            }
        }
    }
}

/// The proof about the first chunk that does not hold what was promised, if there is one. `chunks` gives the ciphertext from the first
/// chunk on; reading ends at a chunk that is not the one of the contract, which proves nothing against the seller. `key` is what
/// `evidence` says.
pub fn first_bad_chunk(
    download: &Download,
    key: &ArticleKey,
    evidence: &KeyEvidence,
    chunks: impl IntoIterator<Item = Vec<u8>>,
) -> Option<Pom> {
    use super::ChunkError;
    for (index, mut chunk) in (0..).map(ChunkIndex).zip(chunks) {
        match download.open(key, index, &mut chunk) {
            Ok(()) => {}
            Err(ChunkError::NotTheChunk(_)) => return None,
            Err(ChunkError::BadChunk(_)) => return bad_chunk(download, evidence.clone(), index, chunk),
        }
    }
    None
}

fn bad_chunk(download: &Download, key: KeyEvidence, index: ChunkIndex, chunk: Vec<u8>) -> Option<Pom> {
    let (good, all) = (download.good(), download.index());
    let path = |side| Some(all.prove(side, index)?.path);
    let (cipher_path, plain_path) = (path(Side::Cipher)?, path(Side::Plain)?);
    let plain_leaf = all.leaves(index)?.plain;
    let claim = Claim::BadChunk(BadChunk { index, chunk, cipher_path, key, plain_leaf, plain_path });
    Some(Pom { cid: good.cid, slot: good.slot, claim })
}

impl Encode for KeyEvidence {
    fn to_value(&self) -> Value {
        match self {
            KeyEvidence::Seed(seed) => record().put_item(0, seed),
            KeyEvidence::Attested(signed) => record().put_item(1, signed),
        }
        .build()
    }
}

impl Decode for KeyEvidence {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let evidence = match fields.optional_item(1, "attestation")? {
            Some(signed) => Self::Attested(signed),
            None => Self::Seed(seed(&mut fields, 0)?),
        };
        fields.close()?;
        Ok(evidence)
    }
}

impl Encode for Pom {
    fn to_value(&self) -> Value {
        let kind = match &self.claim {
            Claim::BadChunk(_) => 1_u64,
            Claim::BadShape(_) => 2,
            Claim::BadSeed(_) => 4,
            Claim::NoKey => 6,
        };
        let pom = record().put(0, 1_u64).put(1, kind).put_item(2, &self.cid).put_item(3, &self.slot);
        match &self.claim {
            Claim::BadChunk(claim) => pom
                .put(4, claim.index.0)
                .put_bytes(5, &claim.chunk)
                .put_list(6, &claim.cipher_path)
                .put_item(7, &claim.key)
                .put_item(8, &claim.plain_leaf)
                .put_list(9, &claim.plain_path),
            Claim::BadShape(claim) => pom
                .put(4, claim.index.0)
                .put_bytes(5, &claim.chunk)
                .put_some(7, claim.key.as_ref().map(Encode::to_value))
                .put_item(10, &claim.inclusion),
            Claim::BadSeed(disclosure) => pom.put_item(11, disclosure),
            Claim::NoKey => pom,
        }
        .build()
    }
}

impl Decode for Pom {
    const BYTES_MAX: usize = 32 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let kind = fields.uint(1, "kind")?;
        let (cid, slot) = (fields.item(2, "cid")?, fields.item(3, "slot")?);
        let claim = match kind {
            1 => Claim::BadChunk(BadChunk {
                index: ChunkIndex(fields.uint(4, "place")?),
                chunk: fields.bytes(5, "chunk", CHUNK_LEN)?,
                cipher_path: fields.list(6, "cipher path", PATH_MAX)?,
                key: fields.item(7, "key")?,
                plain_leaf: fields.item(8, "plain leaf")?,
                plain_path: fields.list(9, "plain path", PATH_MAX)?,
            }),
            2 => Claim::BadShape(BadShape {
                index: ChunkIndex(fields.uint(4, "place")?),
                chunk: fields.bytes(5, "chunk", CHUNK_LEN)?,
                key: fields.optional_item(7, "key")?,
                inclusion: fields.item(10, "inclusion")?,
            }),
            4 => Claim::BadSeed(fields.item(11, "disclosure")?),
            6 => Claim::NoKey,
            _ => {
                let problem = Problem::Unknown { what: "kind of claim", found: kind.to_string() };
                return Err(DecodeError::field("kind", problem));
            }
        };
        fields.close()?;
        Ok(Self { cid, slot, claim })
    }
}
