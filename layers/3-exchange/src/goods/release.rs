//! Giving the key of an article away: by its seller, who shows the seed of the deposit, or by the arbiter, who opens the deposit. Without an
//! arbiter the seed is the preimage of a hash, and shows itself where money is taken with it.
//!
//! ```text
//! (kem ciphertext, secret) = Encapsulate(the arbiter's key, seed)             ; without an arbiter: hash = SHA-256(seed), secret = seed
//! wrapped                  = article key xor HKDF-SHA-256(no salt, secret, info = "semper/ck-wrap/1" ‖ tid ‖ slot as 2 bytes)
//! ```
//! The label stops the oldest trick against such deposits: whoever puts the ciphertext of a foreign deposit into a contract of its own
//! and has the arbiter open it gets bytes that have nothing to do with the foreign key. For the same reason the arbiter says the
//! article's key, and never the encapsulated secret.

use std::fmt;

use hkdf::Hkdf;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::{Kind, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, Slot};
use semper_support::crypto::{CryptoError, Decapsulate, Encapsulate};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::chunk::ArticleKey;
use super::descriptor::{Deposit, DepositKey, Good, Opens};

/// Longest seed of a suite, in bytes.
const SEED_MAX: usize = 64;

/// The randomness of a deposit: who shows it, gives the article away. Of the length that its suite has; wiped when dropped.
#[derive(Clone)]
pub struct Seed(Zeroizing<Vec<u8>>);

impl Seed {
    /// Takes random bytes, as many as [`Encapsulate::seed_len`] says, as the seed of one deposit.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl Deposit {
    /// Makes the deposit of an article for one slot of the terms with identifier `tid`. One encapsulation, whatever the article's size.
    ///
    /// # Errors
    /// `Malformed`: the arbiter's key or the seed does not have the form of the suite.
    pub fn make(
        kem: &dyn Encapsulate,
        key: &DepositKey,
        seed: &Seed,
        (tid, slot): (Digest, Slot),
        article: &ArticleKey,
        cipher_root: Digest,
    ) -> Result<Self, CryptoError> {
        let (ciphertext, secret) = kem.encapsulate(key.suite, &key.public_key, seed.as_bytes())?;
        let wrapped = masked(article.as_bytes(), &secret, tid, slot);
        Ok(Self { opens: Opens::Encapsulated { suite: key.suite, ciphertext }, wrapped: *wrapped, cipher_root })
    }

    /// Makes the deposit of an article for a contract without an arbiter: `preimage`, 32 random bytes for this contract only, opens it, and the
    /// locks of the money that is given for it.
    pub fn under_hash(
        preimage: &[u8; 32],
        (tid, slot): (Digest, Slot),
        article: &ArticleKey,
        cipher_root: Digest,
    ) -> Self {
        let wrapped = masked(article.as_bytes(), preimage, tid, slot);
        Self { opens: Opens::Hash(preimage_hash(preimage)), wrapped: *wrapped, cipher_root }
    }
}

/// What a preimage is locked to: its SHA-256, without a label, because payment systems lock money to the same.
pub fn preimage_hash(preimage: &[u8]) -> [u8; 32] {
    Sha256::digest(preimage).into()
}

/// Why a seed gave no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// It is not the seed of this deposit.
    #[error("the seed is not that of the deposit")]
    WrongSeed,
    /// The arbiter's key is not one of its suite: no deposit can be made for it.
    #[error("the arbiter's key for deposits is malformed")]
    MalformedKey,
}

/// Why a deposit gave the arbiter no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrecoverable {
    /// The deposit is for another key than the one it was tried with.
    #[error("the deposit is for another key")]
    OtherKey,
    /// Nobody can open the deposit: it holds a point of low order. Its maker must have done that on purpose.
    #[error("the seller made a deposit that nobody can open")]
    SellersFault,
}

impl Good {
    /// The article's key, if `seed` is that of the deposit: anybody can check a release this way.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub fn open(&self, kem: &dyn Encapsulate, seed: &Seed) -> Result<ArticleKey, NotOpened> {
        let (key, ciphertext) = match (&self.key, &self.deposit.opens) {
            (Some(key), Opens::Encapsulated { ciphertext, .. }) => (key, ciphertext),
            (_, Opens::Hash(hash)) if seed.as_bytes().len() == 32 && preimage_hash(seed.as_bytes()) == *hash => {
                return Ok(self.unwrap_key(seed.as_bytes()));
            }
            _ => return Err(NotOpened::WrongSeed),
        };
        if seed.as_bytes().len() != kem.seed_len(key.suite) {
            return Err(NotOpened::WrongSeed);
        }
        let opened = kem.encapsulate(key.suite, &key.public_key, seed.as_bytes());
        let (found, secret) = opened.map_err(|_| NotOpened::MalformedKey)?;
        if found != *ciphertext {
            return Err(NotOpened::WrongSeed);
        }
        Ok(self.unwrap_key(&secret))
    }

    /// The article's key, by the arbiter. A ciphertext that no seed makes gives a key all the same, with which nothing of the article
    /// comes out right, and that is provable.
    ///
    /// # Errors
    /// [`Unrecoverable`].
    pub fn recover(&self, key: &dyn Decapsulate) -> Result<ArticleKey, Unrecoverable> {
        let ours = |own: &&DepositKey| key.suite() == own.suite && key.public_key() == own.public_key;
        let (Some(_), Opens::Encapsulated { ciphertext, .. }) = (self.key.as_ref().filter(ours), &self.deposit.opens)
        else {
            return Err(Unrecoverable::OtherKey);
        };
        // The length was checked when the deposit was read.
        let secret = key.decapsulate(ciphertext).map_err(|_| Unrecoverable::SellersFault)?;
        Ok(self.unwrap_key(&secret))
    }

    /// Whether the arbiter can open the deposit at all. A buyer checks it before it promises anything. What a preimage opens needs no arbiter.
    pub fn can_be_opened(&self, kem: &dyn Encapsulate) -> bool {
        match &self.deposit.opens {
            Opens::Encapsulated { suite, ciphertext } => kem.can_be_opened(*suite, ciphertext),
            Opens::Hash(_) => true,
        }
    }

    fn unwrap_key(&self, secret: &[u8]) -> ArticleKey {
        ArticleKey::from_array(*masked(&self.deposit.wrapped, secret, self.tid, self.slot))
    }
}

/// Masks or unmasks a key; one undoes the other.
fn masked(key: &[u8; 32], secret: &[u8], tid: Digest, slot: Slot) -> Zeroizing<[u8; 32]> {
    let info = [domain::CONTENT_KEY_WRAP.as_bytes(), tid.as_ref(), &slot.0.to_be_bytes()];
    let mut mask = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, secret).expand_multi_info(&info, &mut *mask).expect("32 bytes are not too many for HKDF");
    for (mask, key) in mask.iter_mut().zip(key) {
        *mask ^= key;
    }
    mask
}

/// "The seed of my deposit is this." By the seller: it gives the article away, and proves a wrong seed to be its own.
///
/// ```text
/// disclosure = { 0: 1, 1: cid, 2: slot, 3: seed }
/// ```
#[derive(Clone, Debug)]
pub struct Disclosure {
    /// The contract.
    pub cid: Cid,
    /// The slot of the good.
    pub slot: Slot,
    /// The seed, at most 64 bytes. Whether it is the right one is not known.
    pub seed: Seed,
}

/// "This deposit holds this key." By the arbiter, where it opened a deposit in its owner's place.
///
/// ```text
/// key-attestation = { 0: 1, 1: cid, 2: slot, 3: article key (32 bytes) }
/// ```
#[derive(Clone, Debug)]
pub struct KeyAttestation {
    /// The contract.
    pub cid: Cid,
    /// The slot of the good.
    pub slot: Slot,
    /// The article's key.
    pub key: ArticleKey,
}

impl Statement for Disclosure {
    const KIND: Kind = Kind::Disclosure;
}

impl Statement for KeyAttestation {
    const KIND: Kind = Kind::KeyAttestation;
}

impl Encode for Seed {
    fn to_value(&self) -> Value {
        Value::bytes(self.as_bytes())
    }
}

/// Takes a seed, at most 64 bytes long.
pub(super) fn seed(fields: &mut Fields, key: u64) -> Result<Seed, DecodeError> {
    fields.bytes(key, "seed", SEED_MAX).map(Seed::new)
}

impl Encode for Disclosure {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.slot).put_item(3, &self.seed).build()
    }
}

impl Decode for Disclosure {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, slot, seed) = (fields.item(1, "cid")?, fields.item(2, "slot")?, seed(&mut fields, 3)?);
        fields.close()?;
        Ok(Self { cid, slot, seed })
    }
}

impl Encode for KeyAttestation {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.slot).put_bytes(3, self.key.as_bytes()).build()
    }
}

impl Decode for KeyAttestation {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, slot) = (fields.item(1, "cid")?, fields.item(2, "slot")?);
        let key = ArticleKey::from_array(fields.exact(3, "key")?);
        fields.close()?;
        Ok(Self { cid, slot, key })
    }
}
