//! Merkle trees of RFC 9162 (§2.1): logs that can only grow, and lists whose parts can be shown one by one.
//!
//! The hash of a leaf is `SHA-256(0x00 ‖ data)`, that of a node `SHA-256(0x01 ‖ left ‖ right)`. What the leaves are is said by
//! their data: a caller first hashes what it logs under its own [`Domain`](crate::domain::Domain) and hands that digest to
//! [`leaf_hash`], so that a leaf of one tree is never one of another.
//!
//! [`Frontier`] is all that a growing tree must keep; [`Inclusion`] and [`Consistency`] are the proofs. They are made from the
//! leaf hashes, in time linear in the size of the tree.
//!
//! ```text
//! frontier    = { 0: size, 1: [* bstr] }                          ; roots of the full subtrees, the largest first
//! inclusion   = { 0: index, 1: size, 2: [* bstr] }
//! consistency = { 0: size before, 1: size after, 2: [* bstr] }
//! ```
//! Source: RFC 9162, `spec/encoding.md` §5.

use sha2::{Digest as _, Sha256};

use crate::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use crate::hash::Digest;

/// Most leaves of a tree: 2^63 - 1.
pub const SIZE_MAX: u64 = i64::MAX as u64;
/// Most hashes in a proof.
const PATH_MAX: usize = 64;

/// The hash of a leaf with this data.
pub fn leaf_hash(data: &[u8]) -> Digest {
    Digest::from_array(Sha256::new_with_prefix([0]).chain_update(data).finalize().into())
}

/// The root of the tree with these leaf hashes.
pub fn root(leaves: &[Digest]) -> Digest {
    subtree(0, leaves.len() as u64, &at(leaves))
}

/// What a growing tree keeps: enough to add leaves and to know its root, at most 63 hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

/// A tree cannot have more than [`SIZE_MAX`] leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree is full")]
pub struct Full;

impl Frontier {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a leaf by its hash; gives its index, from 0. Amortised constant time.
    ///
    /// # Errors
    /// [`Full`]; nothing changed.
    pub fn append(&mut self, leaf: Digest) -> Result<u64, Full> {
        if self.size >= SIZE_MAX {
            return Err(Full);
        }
        // Each trailing one of the size is a full subtree that the new leaf completes to one of twice its size.
        let complete = self.peaks.len() - self.size.trailing_ones() as usize;
        let peak = self.peaks.drain(complete..).rev().fold(leaf, |right, left| node_hash(&left, &right));
        self.peaks.push(peak);
        self.size += 1;
        Ok(self.size - 1)
    }

    /// Adds a leaf by its hash, with the proof that it stands last.
    ///
    /// # Errors
    /// [`Full`]; nothing changed.
    pub fn append_proven(&mut self, leaf: Digest) -> Result<Inclusion, Full> {
        // Everything beside the way from the last leaf to the root is to its left: the full subtrees, the smallest first.
        let path = self.peaks.iter().rev().copied().collect();
        let index = self.append(leaf)?;
        Ok(Inclusion { index, size: self.size, path })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root. That of the empty tree is the hash of nothing.
    pub fn root(&self) -> Digest {
        let joined = self.peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(|| Digest::from_array(Sha256::digest([]).into()))
    }
}

/// Proof that a leaf stands in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Inclusion {
    /// The leaf's index, from 0.
    pub index: u64,
    /// The size of the tree.
    pub size: u64,
    /// The hashes beside the way from the leaf to the root.
    pub path: Vec<Digest>,
}

/// Proof that a tree only grew: its first leaves are those of the smaller tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Consistency {
    /// The size of the smaller tree.
    pub before: u64,
    /// The size of the larger tree.
    pub after: u64,
    /// The hashes from which both roots are computed.
    pub path: Vec<Digest>,
}

impl Inclusion {
    /// The proof for leaf `index` of the tree with the first `size` leaves; `leaf` gives a leaf's hash and is asked for each at
    /// most once. `None` if there is no such leaf.
    pub fn prove(index: u64, size: u64, leaf: impl Fn(u64) -> Digest) -> Option<Self> {
        if index >= size || size > SIZE_MAX {
            return None;
        }
        let (mut first, mut end, mut path) = (0, size, Vec::new());
        while end - first > 1 {
            let middle = first + split(end - first);
            if index < middle {
                path.push(subtree(middle, end, &leaf));
                end = middle;
            } else {
                path.push(subtree(first, middle, &leaf));
                first = middle;
            }
        }
        path.reverse();
        Some(Self { index, size, path })
    }

    /// Whether this proves that the leaf with hash `leaf` stands in the tree with root `root` (RFC 9162 §2.1.3.2).
    pub fn holds(&self, leaf: &Digest, root: &Digest) -> bool {
        if self.index >= self.size || self.size > SIZE_MAX {
            return false;
        }
        let mut climb = Climb { at: self.index, last: self.size - 1 };
        let mut hash = *leaf;
        for beside in &self.path {
            hash = match climb.step() {
                None => return false,
                Some(Side::Left) => node_hash(beside, &hash),
                Some(Side::Right) => node_hash(&hash, beside),
            };
        }
        climb.last == 0 && hash == *root
    }
}

impl Consistency {
    /// The proof that the tree with the first `after` leaves grew from that with the first `before`; `leaf` gives a leaf's hash
    /// and is asked for each at most once. `None` if `before` is more than `after`.
    pub fn prove(before: u64, after: u64, leaf: impl Fn(u64) -> Digest) -> Option<Self> {
        if before > after || after > SIZE_MAX {
            return None;
        }
        let mut path = Vec::new();
        if before > 0 && before < after {
            let (mut first, mut end) = (0, after);
            while end != before {
                let middle = first + split(end - first);
                if before <= middle {
                    path.push(subtree(middle, end, &leaf));
                    end = middle;
                } else {
                    path.push(subtree(first, middle, &leaf));
                    first = middle;
                }
            }
            // Where the smaller tree is itself a subtree, its root is known to the verifier.
            if first > 0 {
                path.push(subtree(first, end, &leaf));
            }
            path.reverse();
        }
        Some(Self { before, after, path })
    }

    /// Whether this proves that the tree with root `new` grew from that with root `old` (RFC 9162 §2.1.4.2). From the empty tree
    /// everything grows; a tree grows from itself.
    pub fn holds(&self, old: &Digest, new: &Digest) -> bool {
        if self.before > self.after || self.after > SIZE_MAX {
            return false;
        }
        if self.before == 0 {
            return self.path.is_empty() && *old == Frontier::new().root() && (self.after > 0 || old == new);
        }
        if self.before == self.after {
            return self.path.is_empty() && old == new;
        }
        let (start, rest) = match self.path.split_first() {
            _ if self.before.is_power_of_two() => (old, self.path.as_slice()),
            Some(start) => start,
            None => return false,
        };
        let mut climb = Climb { at: self.before - 1, last: self.after - 1 };
        climb.up(climb.at.trailing_ones());
        let (mut small, mut large) = (*start, *start);
        for beside in rest {
            match climb.step() {
                None => return false,
                Some(Side::Left) => {
                    small = node_hash(beside, &small);
                    large = node_hash(beside, &large);
                }
                Some(Side::Right) => large = node_hash(&large, beside),
            }
        }
        climb.last == 0 && small == *old && large == *new
    }
}

/// The way from a node to the root: its place in its level, and that of the level's last node.
struct Climb {
    at: u64,
    last: u64,
}

/// On which side of the way a hash stands.
enum Side {
    Left,
    Right,
}

impl Climb {
    /// Goes up to the next node that has a neighbour, and one further; `None` at the root.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.at & 1 == 1 || self.at == self.last {
            // The last node of a level without a neighbour is that of the level above.
            self.up(if self.at == 0 { 0 } else { self.at.trailing_zeros() });
            Side::Left
        } else {
            Side::Right
        };
        self.up(1);
        Some(side)
    }

    fn up(&mut self, levels: u32) {
        self.at >>= levels;
        self.last >>= levels;
    }
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    Digest::from_array(Sha256::new_with_prefix([1]).chain_update(left).chain_update(right).finalize().into())
}

/// The root of the leaves from `first` to before `end`.
fn subtree(first: u64, end: u64, leaf: &impl Fn(u64) -> Digest) -> Digest {
    let mut frontier = Frontier::new();
    for index in first..end {
        frontier.append(leaf(index)).expect("a part of a tree is no larger than a tree");
    }
    frontier.root()
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

fn at(leaves: &[Digest]) -> impl Fn(u64) -> Digest + '_ {
    |index| leaves[usize::try_from(index).expect("an index of a slice")]
}

impl Encode for Frontier {
    fn to_value(&self) -> Value {
        record().put(0, self.size).put_list(1, &self.peaks).build()
    }
}

impl Decode for Frontier {
    const BYTES_MAX: usize = 4096;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (size, peaks): (u64, Vec<Digest>) = (fields.uint(0, "size")?, fields.list(1, "peaks", PATH_MAX)?);
        fields.close()?;
        if size > SIZE_MAX {
            return Err(DecodeError::field("size", Problem::OutOfRange("a tree has at most 2^63 - 1 leaves")));
        }
        if size.count_ones() as usize != peaks.len() {
            return Err(DecodeError::field(
                "peaks",
                Problem::OutOfRange("one hash per one in the binary form of the size"),
            ));
        }
        Ok(Self { size, peaks })
    }
}

impl Encode for Inclusion {
    fn to_value(&self) -> Value {
        record().put(0, self.index).put(1, self.size).put_list(2, &self.path).build()
    }
}

impl Decode for Inclusion {
    const BYTES_MAX: usize = 4096;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let proof = Self {
            index: fields.uint(0, "index")?,
            size: fields.uint(1, "size")?,
            path: fields.list(2, "path", PATH_MAX)?,
        };
        fields.close()?;
        Ok(proof)
    }
}

impl Encode for Consistency {
    fn to_value(&self) -> Value {
        record().put(0, self.before).put(1, self.after).put_list(2, &self.path).build()
    }
}

impl Decode for Consistency {
    const BYTES_MAX: usize = 4096;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let proof = Self {
            before: fields.uint(0, "before")?,
            after: fields.uint(1, "after")?,
            path: fields.list(2, "path", PATH_MAX)?,
        };
        fields.close()?;
        Ok(proof)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    fn hash(hex: &str) -> Digest {
        Digest::from_hex(hex).unwrap()
    }

    /// The leaves of the certificate-transparency reference implementation.
    fn reference() -> Vec<Digest> {
        let data = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        data.iter().map(|hex| leaf_hash(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap())).collect()
    }

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    // A tree that other implementations compute differently proves nothing to them.
    #[test]
    fn roots_are_those_of_the_reference() {
        let leaves = reference();
        for (size, root_hex) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
            (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
            (6, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
            (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(root(&leaves[..size]), hash(root_hex), "{size}");
        }
    }

    // The receipt of a log is made while the log grows; it must be the one that is made from all leaves.
    #[test]
    fn the_proof_of_the_last_leaf_needs_the_frontier_only() {
        let leaves = leaves(70);
        let mut frontier = Frontier::new();
        for (size, leaf) in (1..).zip(&leaves) {
            let proof = frontier.append_proven(*leaf).unwrap();
            assert_eq!(Some(&proof), Inclusion::prove(size - 1, size, at(&leaves)).as_ref());
            assert!(proof.holds(leaf, &frontier.root()));
            assert!(!proof.holds(&leaf_hash(b"another"), &frontier.root()));
        }
    }

    #[test]
    fn proofs_are_those_of_the_reference() {
        let leaves = reference();
        let inclusion = Inclusion::prove(0, 8, at(&leaves)).unwrap();
        let beside = [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ];
        assert_eq!(inclusion.path, beside.map(hash));
        let consistency = Consistency::prove(1, 8, at(&leaves)).unwrap();
        assert_eq!(consistency.path, beside.map(hash));
        let consistency = Consistency::prove(6, 8, at(&leaves)).unwrap();
        let path = [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        assert_eq!(consistency.path, path.map(hash));
        let consistency = Consistency::prove(2, 5, at(&leaves)).unwrap();
        let path = [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ];
        assert_eq!(consistency.path, path.map(hash));
    }

    // A proof that also holds for another leaf, place, size or root would let a log say two things.
    #[test]
    fn every_inclusion_up_to_64_holds_and_its_twins_do_not() {
        let leaves = leaves(65);
        let roots: Vec<_> = (0..=65).map(|size| root(&leaves[..size])).collect();
        for size in 1..=64_u64 {
            let root = &roots[size as usize];
            for index in 0..size {
                let leaf = &leaves[index as usize];
                let proof = Inclusion::prove(index, size, at(&leaves)).unwrap();
                assert!(proof.holds(leaf, root), "{index} of {size}");
                assert_eq!(Inclusion::from_bytes(&proof.to_bytes()), Ok(proof.clone()));
                assert!(!proof.holds(&leaves[index as usize + 1], root));
                assert!(!proof.holds(leaf, &roots[size as usize - 1]));
                assert!(!proof.holds(leaf, &roots[size as usize + 1]));
                for other in (0..size).filter(|other| *other != index) {
                    assert!(
                        !Inclusion { index: other, ..proof.clone() }.holds(leaf, root),
                        "{index} as {other} of {size}"
                    );
                }
                let mut longer = proof.clone();
                longer.path.push(*leaf);
                assert!(!longer.holds(leaf, root));
                for i in 0..proof.path.len() {
                    let (mut changed, mut shorter) = (proof.clone(), proof.clone());
                    changed.path[i] = *leaf;
                    shorter.path.remove(i);
                    assert!(!changed.holds(leaf, root) && !shorter.holds(leaf, root));
                }
            }
            assert_eq!(Inclusion::prove(size, size, at(&leaves)), None);
            assert!(!Inclusion { index: size, size, path: Vec::new() }.holds(&leaves[0], root));
        }
    }

    #[test]
    fn every_growth_up_to_64_holds_and_its_twins_do_not() {
        let leaves = leaves(65);
        let roots: Vec<_> = (0..=65).map(|size| root(&leaves[..size])).collect();
        for after in 0..=64_u64 {
            for before in 0..=after {
                let (old, new) = (&roots[before as usize], &roots[after as usize]);
                let proof = Consistency::prove(before, after, at(&leaves)).unwrap();
                assert!(proof.holds(old, new), "{before} to {after}");
                assert_eq!(Consistency::from_bytes(&proof.to_bytes()), Ok(proof.clone()));
                assert!(!proof.holds(&roots[before as usize + 1], new), "{before} to {after}: other old root");
                // Everything grows from the empty tree.
                assert!(
                    before == 0 || !proof.holds(old, &roots[after as usize + 1]),
                    "{before} to {after}: other new root"
                );
                let mut longer = proof.clone();
                longer.path.push(leaves[0]);
                assert!(!longer.holds(old, new));
                for i in 0..proof.path.len() {
                    let (mut changed, mut shorter) = (proof.clone(), proof.clone());
                    changed.path[i] = leaves[64];
                    shorter.path.remove(i);
                    assert!(!changed.holds(old, new) && !shorter.holds(old, new));
                }
            }
            assert_eq!(Consistency::prove(after + 1, after, at(&leaves)), None);
        }
    }

    // A node shown as a leaf would put data into a log that nobody logged.
    #[test]
    fn a_node_is_not_a_leaf() {
        let leaves = leaves(2);
        let node = [leaves[0].as_bytes().as_slice(), leaves[1].as_bytes()].concat();
        assert_ne!(leaf_hash(&node), root(&leaves));
    }

    #[test]
    fn a_stored_frontier_grows_on() {
        let leaves = leaves(64);
        let mut frontier = Frontier::new();
        for (i, leaf) in leaves.iter().enumerate() {
            frontier = Frontier::from_bytes(&frontier.to_bytes()).unwrap();
            assert_eq!(frontier.append(*leaf), Ok(i as u64));
            assert_eq!((frontier.size(), frontier.root()), (i as u64 + 1, root(&leaves[..=i])));
        }
        let full = Frontier { size: SIZE_MAX, peaks: vec![leaves[0]; 63] };
        assert_eq!(full.clone().append(leaves[0]), Err(Full));
        assert_eq!(Frontier::from_bytes(&full.to_bytes()), Ok(full));
        assert!(Frontier::from_bytes(&Frontier { size: 2, peaks: leaves[..2].to_vec() }.to_bytes()).is_err());
        assert!(
            Frontier::from_bytes(&Frontier { size: SIZE_MAX + 1, peaks: leaves[..1].to_vec() }.to_bytes()).is_err()
        );
    }
}
