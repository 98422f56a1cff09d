//! A seller, a buyer and an arbiter, and contracts between them; honest unless a test changes something.

use std::collections::BTreeMap;

use semper_core::cbor::Encode;
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, PartyRef, Profile, Terms, TextRef};
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Slot, TemplateId};
use semper_core::party::{Role, Suite};
use semper_core::time::{Seconds, Time};
use semper_crypto::{DecapsulationKey, Encapsulator, SecretKeys, Verifier};
use semper_exchange::arbiter::rules_hash;
use semper_exchange::goods::{
    Article, ArticleKey, CHUNK_LEN, ChunkIndex, Deposit, DepositKey, Descriptor, Disclosure, Download, Encoder, Good,
    Index, Judge, KeyAttestation, Opens, Pom, Proven, Refused, Seed, first_bad_chunk,
};
use semper_exchange::goods::{KeyEvidence, Leaves};
use semper_support::crypto::{Decapsulate, Encapsulate, KemSuite, Signer};

pub(crate) const SUITES: [KemSuite; 3] = [KemSuite::X25519, KemSuite::MlKem768, KemSuite::XWing];
/// The slot of every sale here.
pub(crate) const SLOT: Slot = Slot(1);

/// What opens the sales without an arbiter.
pub(crate) const PREIMAGE: [u8; 32] = [0x2b; 32];

pub(crate) struct World {
    pub(crate) seller: SecretKeys,
    pub(crate) buyer: SecretKeys,
    pub(crate) arbiter: SecretKeys,
    pub(crate) deposits: DecapsulationKey,
}

/// One contract over an article, with everything that only the seller knows.
#[derive(Clone)]
pub(crate) struct Sale {
    pub(crate) core: Core,
    pub(crate) good: Good,
    pub(crate) seed: Seed,
    pub(crate) key: ArticleKey,
    pub(crate) article: Article,
    pub(crate) ciphertext: Vec<u8>,
}

/// Bytes that do not repeat soon.
pub(crate) fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * i / 7 + i) % 251).unwrap()).collect()
}

pub(crate) fn encode(key: &ArticleKey, plain: &[u8]) -> (Vec<u8>, Article) {
    let (mut encoder, mut ciphertext) = (Encoder::new(key.clone()), Vec::new());
    encoder.push(plain, &mut ciphertext).unwrap();
    let article = encoder.finish(&mut ciphertext).unwrap();
    (ciphertext, article)
}

impl World {
    pub(crate) fn new(kem: KemSuite) -> Self {
        let keys =
            |suite, byte: u8| SecretKeys::from_seeds(suite, &vec![[byte; 32]; suite.algorithms().len()]).unwrap();
        let mut secret = vec![u8::try_from(kem.code()).unwrap()];
        secret.extend([7; 64].iter().take(if kem == KemSuite::MlKem768 { 64 } else { 32 }));
        Self {
            seller: keys(Suite::Ed25519, 1),
            buyer: keys(Suite::Ed25519, 2),
            arbiter: keys(Suite::Ed25519, 3),
            deposits: DecapsulationKey::import(&secret).unwrap(),
        }
    }

    pub(crate) fn deposit_key(&self) -> DepositKey {
        DepositKey { suite: self.deposits.suite(), public_key: self.deposits.public_key().to_vec() }
    }

    pub(crate) fn terms(&self, nonce: u8, descriptor: &Descriptor) -> Terms {
        let party = |role, keys: &SecretKeys| PartyRef { role, key_set: keys.key_set().id() };
        let arbiter = self.arbiter.key_set().id();
        Terms {
            profile: Profile::C2,
            parties: vec![party(Role::ORIGINATOR, &self.buyer), party(Role::RESPONDER, &self.seller)],
            arbiter: Some(ArbiterRef {
                key_set: arbiter,
                deposit_key: Some(self.deposit_key().id()),
                log: arbiter,
                rules: rules_hash(),
            }),
            items: vec![Item {
                kind: ItemKind::Information,
                owner: Role::RESPONDER,
                recipient: Role::ORIGINATOR,
                descriptor: descriptor.to_bytes(),
                slot: SLOT,
            }],
            deadlines: Deadlines {
                not_after: Time::from_unix(1000),
                complaints: None,
                refund_after: None,
                delta: Seconds(10),
                sigma: Seconds(1),
            },
            text: TextRef {
                template: TemplateId::from_digest(Digest::of(domain::TEMPLATE, b"")),
                fields: Digest::of(domain::FIELDS, b""),
                locale: "en".to_owned(),
                render: Digest::of(domain::RENDER, b""),
            },
            links: Vec::new(),
            nonce: [nonce; 32],
        }
    }

    /// Sells an article whatever it is; the seed is told by the nonce.
    pub(crate) fn sell(&self, nonce: u8, key: &ArticleKey, (ciphertext, article): (Vec<u8>, Article)) -> Sale {
        let descriptor =
            Descriptor::new("a.bin", "application/octet-stream", article.size, article.plain_root, "bytes");
        let descriptor = descriptor.unwrap();
        let terms = self.terms(nonce, &descriptor);
        let tid = Core { terms: terms.clone(), deposits: BTreeMap::new() }.tid();
        let seed = Seed::new(vec![nonce; Encapsulator.seed_len(self.deposits.suite())]);
        let deposit =
            Deposit::make(&Encapsulator, &self.deposit_key(), &seed, (tid, SLOT), key, article.cipher_root).unwrap();
        let core = Core { terms, deposits: BTreeMap::from([(SLOT, deposit.to_bytes())]) };
        let good = Good::of(&core, SLOT, Some(&self.deposit_key())).unwrap();
        Sale { core, good, seed, key: key.clone(), article, ciphertext }
    }

    /// An honest sale of `len` bytes.
    pub(crate) fn honest(&self, nonce: u8, len: usize) -> Sale {
        let key = ArticleKey::from_array([nonce ^ 0x55; 32]);
        self.sell(nonce, &key, encode(&key, &plaintext(len)))
    }

    /// A sale whose chunk `bad` does not hold what the plain root promises.
    pub(crate) fn cheating(&self, nonce: u8, len: usize, bad: usize) -> Sale {
        let key = ArticleKey::from_array([nonce ^ 0x55; 32]);
        let mut junk = plaintext(len);
        junk[bad * CHUNK_LEN] ^= 1;
        let ((_, promised), (ciphertext, delivered)) = (encode(&key, &plaintext(len)), encode(&key, &junk));
        let leaves = |place| Leaves {
            plain: promised.index.leaves(place).unwrap().plain,
            cipher: delivered.index.leaves(place).unwrap().cipher,
        };
        let index = Index::new((0..promised.size.chunks()).map(|i| leaves(ChunkIndex(i))).collect()).unwrap();
        let article = Article { cipher_root: delivered.cipher_root, index, ..promised };
        self.sell(nonce, &key, (ciphertext, article))
    }

    /// The same sale without an arbiter: the hash of [`PREIMAGE`] locks it.
    pub(crate) fn under_hash(&self, sale: &Sale) -> Sale {
        let terms = Terms { profile: Profile::Lx, arbiter: None, ..sale.core.terms.clone() };
        let tid = Core { terms: terms.clone(), deposits: BTreeMap::new() }.tid();
        let deposit = Deposit::under_hash(&PREIMAGE, (tid, SLOT), &sale.key, sale.article.cipher_root);
        let core = Core { terms, deposits: BTreeMap::from([(SLOT, deposit.to_bytes())]) };
        let good = Good::of(&core, SLOT, None).unwrap();
        Sale { core, good, seed: Seed::new(PREIMAGE.to_vec()), ..sale.clone() }
    }

    /// The same contract with another deposit.
    pub(crate) fn with_deposit(&self, sale: &Sale, change: impl FnOnce(&mut Deposit)) -> Sale {
        let mut deposit = sale.good.deposit().clone();
        change(&mut deposit);
        let core = Core { deposits: BTreeMap::from([(SLOT, deposit.to_bytes())]), ..sale.core.clone() };
        let good = Good::of(&core, SLOT, Some(&self.deposit_key())).unwrap();
        Sale { core, good, ..sale.clone() }
    }

    pub(crate) fn judge(&self, good: &Good, pom: &Pom) -> Result<Proven, Refused> {
        let (owner, arbiter) = (self.seller.key_set(), self.arbiter.key_set());
        let arbiter = Some(arbiter).filter(|_| matches!(good.deposit().opens, Opens::Encapsulated { .. }));
        Judge { verify: &Verifier, kem: &Encapsulator, owner, arbiter }.check(good, pom)
    }

    pub(crate) fn disclosure(&self, sale: &Sale, seed: Seed) -> Signed {
        sign(&self.seller, &Disclosure { cid: sale.good.cid(), slot: SLOT, seed })
    }

    pub(crate) fn attestation(&self, sale: &Sale, key: ArticleKey) -> Signed {
        sign(&self.arbiter, &KeyAttestation { cid: sale.good.cid(), slot: SLOT, key })
    }
}

impl Sale {
    pub(crate) fn download(&self) -> Download {
        Download::new(&Encapsulator, self.good.clone(), self.article.index.clone()).unwrap()
    }

    pub(crate) fn chunks(&self) -> Vec<Vec<u8>> {
        self.ciphertext.chunks(CHUNK_LEN).map(<[u8]>::to_vec).collect()
    }

    /// What a buyer proves with the seed.
    pub(crate) fn proof(&self) -> Option<Pom> {
        self.proof_by(&self.key, KeyEvidence::Seed(self.seed.clone()))
    }

    pub(crate) fn proof_by(&self, key: &ArticleKey, evidence: KeyEvidence) -> Option<Pom> {
        first_bad_chunk(&self.download(), key, &evidence, self.chunks())
    }
}

pub(crate) fn sign(keys: &SecretKeys, statement: &impl Statement) -> Signed {
    keys.sign(statement.draft(keys.key_set().suite(), keys.key_set().id())).unwrap()
}

/// The encapsulated secret of a deposit for an arbiter.
pub(crate) fn kem_ciphertext(deposit: &mut Deposit) -> &mut Vec<u8> {
    match &mut deposit.opens {
        Opens::Encapsulated { ciphertext, .. } => ciphertext,
        Opens::Hash(_) => panic!("a deposit for an arbiter"),
    }
}
