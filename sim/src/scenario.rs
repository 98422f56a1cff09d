//! Two parties, an arbiter and a contract between them: what every check begins with.

use std::collections::BTreeMap;

use semper_core::cbor::Encode as _;
use semper_core::contract::{
    ArbiterRef, Core, Deadlines, Final, Item, ItemKind, PartyRef, Profile, Promise, Terms, TextRef,
};
use semper_core::cose::{Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Slot, StatementId, TemplateId};
use semper_core::party::{KeySet, Role, Suite};
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::request::{Abort, Court, Request, Resolve};
use semper_exchange::arbiter::rules_hash;
use semper_exchange::goods::{Article, ArticleKey, Deposit, DepositKey, Descriptor, Encoder, Good, Judge, Seed};
use semper_exchange::gx::{Own, Promised, Run};
use semper_support::crypto::{Decapsulate as _, Encapsulate as _, KemSuite, Signer};

use crate::symbolic::{DepositHand, Hand, Oracle};

/// After this the arbiter refuses a first request.
pub const NOT_AFTER: Time = Time::from_unix(100_000);
/// The longest that a message to the arbiter takes.
pub const DELTA: Seconds = Seconds(300);
/// The most by which two honest clocks differ.
pub const SIGMA: Seconds = Seconds(60);
/// How long an honest party waits for each message.
pub const PATIENCE: Seconds = Seconds(30);

/// The keys of everybody.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Who recognises signatures.
    pub oracle: Oracle,
    /// Originator and responder.
    pub parties: [Hand; 2],
    /// The arbiter.
    pub arbiter: Hand,
    /// The arbiter's key for deposits.
    pub deposits: DepositHand,
}

/// A contract over a good, with everything that only its seller knows.
#[derive(Clone, Debug)]
pub struct Sale {
    /// The contract.
    pub core: Core,
    /// What it sells.
    pub good: Good,
    /// The seed of the deposit.
    pub seed: Seed,
    /// The article's key.
    pub key: ArticleKey,
    /// The article.
    pub article: Article,
    /// Its ciphertext.
    pub ciphertext: Vec<u8>,
}

impl Default for Cast {
    fn default() -> Self {
        Self::new(Suite::Ed25519)
    }
}

impl Cast {
    /// Everybody with keys of one suite.
    pub fn new(suite: Suite) -> Self {
        let oracle = Oracle::new(*b"known to the verifier alone ever");
        let parties = [oracle.hand(suite, 1), oracle.hand(suite, 2)];
        Self { oracle, parties, arbiter: oracle.hand(suite, 3), deposits: oracle.deposit_hand(KemSuite::XWing, 3) }
    }

    /// Who signs for a role.
    pub fn hand(&self, role: Role) -> &Hand {
        &self.parties[usize::from(role.number())]
    }

    /// The key sets of originator and responder.
    pub fn key_sets(&self) -> [KeySet; 2] {
        self.parties.each_ref().map(|hand| hand.key_set().clone())
    }

    /// A contract between the two; contracts with different nonces are different contracts.
    pub fn core(&self, nonce: u8) -> Core {
        let [originator, responder] = self.parties.each_ref().map(|hand| hand.key_set().id());
        let sealed = |owner: Role| Item {
            kind: ItemKind::Signature,
            owner,
            recipient: owner.peer(),
            descriptor: Vec::new(),
            slot: Slot::default(),
        };
        let arbiter = self.arbiter.key_set().id();
        Core {
            terms: Terms {
                profile: Profile::C2,
                parties: vec![
                    PartyRef { role: Role::ORIGINATOR, key_set: originator },
                    PartyRef { role: Role::RESPONDER, key_set: responder },
                ],
                arbiter: Some(ArbiterRef { key_set: arbiter, deposit_key: None, log: arbiter, rules: rules_hash() }),
                items: vec![sealed(Role::ORIGINATOR), sealed(Role::RESPONDER)],
                deadlines: Deadlines {
                    not_after: NOT_AFTER,
                    complaints: None,
                    refund_after: None,
                    delta: DELTA,
                    sigma: SIGMA,
                },
                text: text(),
                links: Vec::new(),
                nonce: [nonce; 32],
            },
            deposits: BTreeMap::new(),
        }
    }

    /// The responder sells `plain` to the originator, under a key and a seed that are told by the nonce.
    pub fn sale(&self, nonce: u8, plain: &[u8]) -> Sale {
        const HONEST: &str = "an honest seller's own values fit";
        let (key, slot) = (ArticleKey::from_array([nonce; 32]), Slot(1));
        let (mut encoder, mut ciphertext) = (Encoder::new(key.clone()), Vec::new());
        encoder.push(plain, &mut ciphertext).expect(HONEST);
        let article = encoder.finish(&mut ciphertext).expect(HONEST);
        let deposit_key = DepositKey { suite: self.deposits.suite(), public_key: self.deposits.public_key().to_vec() };
        let descriptor =
            Descriptor::new("a.txt", "text/plain", article.size, article.plain_root, "a text").expect(HONEST);
        let mut core = self.core(nonce);
        core.terms.arbiter =
            core.terms.arbiter.map(|arbiter| ArbiterRef { deposit_key: Some(deposit_key.id()), ..arbiter });
        let item = &mut core.terms.items[1];
        (item.kind, item.slot, item.descriptor) = (ItemKind::Information, slot, descriptor.to_bytes());
        let seed = Seed::new(vec![nonce; self.oracle.seed_len(self.deposits.suite())]);
        let label = (core.tid(), slot);
        let deposit = Deposit::make(&self.oracle, &deposit_key, &seed, label, &key, article.cipher_root).expect(HONEST);
        core.deposits.insert(slot, deposit.to_bytes());
        let good = Good::of(&core, slot, Some(&deposit_key)).expect(HONEST);
        Sale { core, good, seed, key, article, ciphertext }
    }

    /// Who judges proofs against the responder's goods.
    pub fn judge(&self) -> Judge<'_> {
        let (owner, arbiter) = (self.hand(Role::RESPONDER).key_set(), self.arbiter.key_set());
        let arbiter = Some(arbiter);
        Judge { verify: &self.oracle, kem: &self.oracle, owner, arbiter }
    }

    /// A party's side of a contract.
    pub fn run(&self, core: &Core, role: Role) -> Run {
        let me = self.hand(role).key_set();
        Run::new(core.clone(), me, self.key_sets(), Some(self.arbiter.key_set().clone()), PATIENCE, Own::default())
            .expect("the contract is between these parties")
    }

    /// Has a party of the contract sign a statement, in one of the valid forms.
    pub fn say(&self, role: Role, statement: &impl Statement, variant: u8) -> Signed {
        let hand = self.hand(role);
        let draft = statement.draft(hand.key_set().suite(), hand.key_set().id());
        hand.sign_again(draft, variant).expect("the draft names this signer")
    }

    /// The originator's promise, or the responder's answer to it.
    pub fn promise(&self, core: &Core, role: Role, variant: u8) -> Signed {
        let answers = (role == Role::RESPONDER).then(|| self.promise(core, Role::ORIGINATOR, 0).id());
        self.say(role, &Promise { cid: core.cid(), role, answers }, variant)
    }

    /// Both promises of a contract that exchanges signatures.
    pub fn promised(&self, core: &Core) -> [Promised; 2] {
        [Role::ORIGINATOR, Role::RESPONDER].map(|role| Promised::bare(self.promise(core, role, 0)))
    }

    /// The identifiers of both promises, whether or not anybody has made them.
    pub fn promise_ids(&self, core: &Core) -> [StatementId; 2] {
        [Role::ORIGINATOR, Role::RESPONDER].map(|role| self.promise(core, role, 0).id())
    }

    /// A party's final.
    pub fn completion(&self, core: &Core, role: Role) -> Signed {
        self.say(role, &Final { cid: core.cid(), role, promises: self.promise_ids(core), slot: Slot::default() }, 0)
    }

    /// The originator's request to abort.
    pub fn abort(&self, core: &Core) -> Request {
        let promise = self.promise(core, Role::ORIGINATOR, 0);
        let abort = Abort { cid: core.cid(), slot: Slot::default(), promise: promise.id() };
        self.request(core, vec![Promised::bare(promise)], self.say(Role::ORIGINATOR, &abort, 0))
    }

    /// A request to resolve from the promises that the asker holds.
    pub fn resolve(&self, core: &Core, by: Role, promises: [Promised; 2]) -> Request {
        let ids = promises.each_ref().map(|promised| promised.promise.id());
        let resolve = Resolve { cid: core.cid(), slot: Slot::default(), promises: ids, role: by, proof: None };
        self.request(core, promises.into(), self.say(by, &resolve, 0))
    }

    /// With what the arbiter checks requests.
    pub fn court(&self) -> Court<'_> {
        Court {
            verify: &self.oracle,
            kem: &self.oracle,
            arbiter: self.arbiter.key_set(),
            deposit_key: None,
            systems: &[],
        }
    }

    fn request(&self, core: &Core, promises: Vec<Promised>, question: Signed) -> Request {
        let (proof, payout) = (Vec::new(), Vec::new());
        Request { core: core.clone(), key_sets: self.key_sets(), promises, question, proof, payout }
    }
}

/// A text that nobody has written: these checks are about who is bound, not to what.
pub fn text() -> TextRef {
    TextRef {
        template: TemplateId::from_digest(Digest::of(domain::TEMPLATE, b"")),
        fields: Digest::of(domain::FIELDS, b""),
        locale: "en".to_owned(),
        render: Digest::of(domain::RENDER, b""),
    }
}
