//! Contracts over more than signatures: what is exchanged, with everything that its owners know, and an arbiter that gives it.

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, PartyRef, Profile};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::ids::{DealId, Slot};
use semper_core::merkle::Frontier;
use semper_core::party::{Role, Suite};
use semper_core::time::{Seconds, Time};
use semper_exchange::arbiter::log::{self, LogReceipt};
use semper_exchange::arbiter::request::{Asked, Case, Court, Request};
use semper_exchange::arbiter::verdict::ArbiterAnswer;
use semper_exchange::arbiter::{Cell, due};
use semper_exchange::goods::{
    ArticleKey, ChunkIndex, Claim, Deposit, DepositKey, Descriptor, Disclosure, Download, Encoder, Good, Index,
    KeyAttestation, KeyEvidence, Leaves, Opens, Pom, Seed, first_bad_chunk, preimage_hash,
};
use semper_exchange::gx::{
    Decides, Examination, Examined, Found, HandsDeposit, Leg, LockDeposit, Own, Price, Right, Run, RunError, Show,
    TransferDeposit, earliest_recall, earliest_refund, paid_out_until, pay_until, responder,
};
use semper_support::crypto::{Decapsulate, KemSuite, Signer};
use semper_support::flaws::{self, Flaw};
use semper_transfer::credential::{Bundle, Credential, Uses};
use semper_transfer::payment::claim::Proof;
use semper_transfer::payment::means::{LockKind, System};
use semper_transfer::payment::operation::PurseId;
use semper_transfer::payment::statement::{PaymentRequest, Side};

use crate::issuer;
use crate::mint;
use crate::scenario::Cast;
use crate::symbolic::DepositHand;

/// One step of the discrete clock: the longest that a message to the arbiter takes, and the most by which two honest clocks differ.
pub const TICK: Seconds = Seconds(3600);
/// The tick of `not after`.
pub const NOT_AFTER: u8 = 3;
/// The tick of `not after` where money goes through the hands of the arbiter: nobody promises later than at the first.
pub const HANDS_NOT_AFTER: u8 = 2;
/// The tick of `not after` where money is paid by plain transfer.
pub const TIMED_NOT_AFTER: u8 = 7;
/// How many ticks there are for complaints.
pub const COMPLAINTS: u8 = 4;

/// How long a party waits for its peer: until the last step, unless its user gives up.
const PATIENCE: Seconds = Seconds(100 * TICK.0);

/// What opens a contract without an arbiter.
pub const PREIMAGE: [u8; 32] = [0x17; 32];

/// What a party gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Thing {
    /// Its signature.
    Signature,
    /// Information that is what it is said to be.
    Information,
    /// Information that is something else.
    BadInformation,
    /// Money under a lock.
    Money,
    /// Money by plain transfer.
    Transfer,
    /// A right that is passed on.
    Right,
    /// Its signature, by which it shows a right that can be used once.
    Show,
}

/// What originator and responder give.
pub type Things = [Thing; 2];

/// Contract signing.
pub const SIGNING: Things = [Thing::Signature, Thing::Signature];
/// Information for money: the seller is the originator.
pub const PURCHASE: Things = [Thing::Information, Thing::Money];
/// Money for a receipt.
pub const RECEIPT: Things = [Thing::Money, Thing::Signature];
/// The same by plain transfer.
pub const TRANSFER: Things = [Thing::Transfer, Thing::Signature];
/// A right for money by plain transfer.
pub const SALE: Things = [Thing::Right, Thing::Transfer];
/// Information for the show of a right.
pub const ACCESS: Things = [Thing::Information, Thing::Show];
/// A letter for a receipt.
pub const MAIL: Things = [Thing::Information, Thing::Signature];
/// Information for information.
pub const BARTER: Things = [Thing::Information, Thing::Information];
/// Money for money.
pub const CHANGE: Things = [Thing::Money, Thing::Money];

/// A contract, with all that everybody knows of it.
#[derive(Clone, Debug)]
pub struct Deal {
    /// The contract.
    pub core: Core,
    /// The goods of originator and responder.
    pub goods: [Option<Ware>; 2],
    owns: [Own; 2],
    vault: DepositHand,
    deposit_key: DepositKey,
    /// What proves to anybody that the payee of a plain transfer was paid. Nobody has it before that.
    payment: Option<Proof>,
    /// What the payee of a plain transfer has asked for in the same deal besides, for as much.
    pub other_request: Option<Signed>,
    /// The credential of a right that is passed on or shown.
    pub credential: Option<Credential>,
}

/// Information, as its owner and whoever has downloaded it know it.
#[derive(Clone, Debug)]
pub struct Ware {
    /// The seed of the deposit.
    pub seed: Seed,
    /// The downloaded ciphertext.
    pub download: Download,
    chunk: Vec<u8>,
}

/// The moment of a tick.
pub fn moment(tick: u8) -> Time {
    Time::from_unix(1_000_000 + u64::from(tick) * TICK.0)
}

/// The first tick at which `time` is not in the future.
pub fn tick(time: Time) -> u8 {
    let ticks = time.unix().saturating_sub(moment(0).unix()).div_ceil(TICK.0);
    u8::try_from(ticks).unwrap_or(u8::MAX)
}

fn place(role: Role) -> usize {
    usize::from(role.number())
}

fn slot(owner: Role) -> Slot {
    Slot(u16::from(owner.number()) + 1)
}

impl Deal {
    /// A contract over `things`. Money can be taken back as early as is allowed, or at the tick `refund`.
    ///
    /// # Panics
    /// Never: these contracts are well-formed.
    pub fn new(cast: &Cast, things: Things, refund: Option<u8>) -> Self {
        Self::made(cast, things, refund, LockKind::Arbiter)
    }

    /// A contract over `things` without an arbiter: [`PREIMAGE`] opens everything, and the responder gives money.
    ///
    /// # Panics
    /// Never: these contracts are well-formed.
    pub fn under_hash(cast: &Cast, things: Things) -> Self {
        Self::made(cast, things, Some(NOT_AFTER + 1), LockKind::Hash)
    }

    /// Money for money through the hands of the arbiter.
    ///
    /// # Panics
    /// Never: this contract is well-formed.
    pub fn through_hands(cast: &Cast) -> Self {
        let mut deal = Self::new(cast, SIGNING, None);
        let terms = &mut deal.core.terms;
        terms.profile = Profile::Ix;
        let not_after = moment(HANDS_NOT_AFTER);
        terms.deadlines = Deadlines { not_after, complaints: None, refund_after: None, delta: TICK, sigma: TICK };
        let roles = [Role::ORIGINATOR, Role::RESPONDER];
        terms.items = roles.map(|role| item(Thing::Transfer, role, None, LockKind::Arbiter)).to_vec();
        let expires = paid_out_until(&terms.deadlines);
        for owner in roles {
            let asked = |payee: Role| {
                let details = vec![b'd', payee.number(), owner.number()];
                cast.say(payee, &PaymentRequest { details, expires, ..wanted(payee, "") }, 0)
            };
            let deposit = HandsDeposit { onward: asked(owner.peer()), back: asked(owner), salt: [5; 32] };
            deal.core.deposits.insert(slot(owner), deposit.to_bytes());
            let purse = |number| PurseId::from_array([number; 16]);
            let own = &mut deal.owns[place(owner)];
            own.purse = Some((DealId::from_array([9; 16]), purse(owner.number())));
            own.comes_to = Some(purse(10 + owner.number()));
        }
        deal
    }

    fn made(cast: &Cast, things: Things, refund: Option<u8>, lock: LockKind) -> Self {
        let hashed = lock == LockKind::Hash;
        let roles = [Role::ORIGINATOR, Role::RESPONDER];
        let vault = cast.oracle.deposit_hand(KemSuite::X25519, 3);
        let deposit_key = DepositKey { suite: vault.suite(), public_key: vault.public_key().to_vec() };
        let mut core = cast.core(1);
        let purse = |role: Role| {
            let pays = [Thing::Money, Thing::Transfer].iter().any(|money| things.contains(money));
            pays.then(|| (DealId::from_array([9; 16]), PurseId::from_array([role.number(); 16])))
        };
        let mut owns = roles.map(|role| Own { purse: purse(role), ..Own::default() });
        let mut goods = [None, None];
        if things == SIGNING {
            return Self {
                core,
                goods,
                owns,
                vault,
                deposit_key,
                payment: None,
                other_request: None,
                credential: None,
            };
        }
        let covered = things.contains(&Thing::Money);
        core.terms.profile = if hashed { Profile::Lx } else { Profile::Gx };
        let named = core.terms.arbiter.filter(|_| !hashed);
        core.terms.arbiter = named.map(|arbiter| ArbiterRef { deposit_key: Some(deposit_key.id()), ..arbiter });
        core.terms.deadlines = Deadlines {
            not_after: moment(if things.contains(&Thing::Transfer) { TIMED_NOT_AFTER } else { NOT_AFTER }),
            complaints: (covered && !hashed).then_some(Seconds(u64::from(COMPLAINTS) * TICK.0)),
            refund_after: None,
            delta: TICK,
            sigma: TICK,
        };
        if covered {
            core.terms.deadlines.refund_after = Some(refund.map_or(earliest_refund(&core.terms.deadlines), moment));
        }
        let credential = match things {
            [Thing::Right, _] => Some(credential(cast, Role::ORIGINATOR, 2)),
            [_, Thing::Show] => Some(credential(cast, Role::RESPONDER, 1)),
            _ => None,
        };
        if things[0] == Thing::Right {
            core.terms.deadlines.refund_after = Some(earliest_recall(&core.terms.deadlines));
        }
        let articles = roles.map(|role| article(things[place(role)], role));
        core.terms.items =
            roles.map(|role| item(things[place(role)], role, articles[place(role)].as_ref(), lock)).to_vec();
        if let Some(credential) = &credential {
            let issued = issuer::say(cast, credential);
            let (keys, salt) = (issuer::hand(cast).key_set().clone(), [6; 32]);
            let Credential { serial, uses, right, .. } = credential.clone();
            let (issuer, credential) = (keys.id(), issued.id());
            let owner = if things[0] == Thing::Right {
                let right = Right { serial, issuer, right, credential, uses, salt };
                (core.terms.items[0].kind, core.terms.items[0].descriptor) = (ItemKind::Right, right.to_bytes());
                Role::ORIGINATOR
            } else {
                core.terms.items[1].descriptor = Show { serial, issuer, right, credential, salt }.to_bytes();
                Role::RESPONDER
            };
            owns[place(owner)].shows = Bundle { issuer: keys, credential: issued, reservation: None }.to_bytes();
        }
        let tid = core.tid();
        let (mut payment, mut other_request) = (None, None);
        for role in roles {
            if let Some((key, index, _)) = &articles[place(role)] {
                let root = index.root(semper_exchange::goods::Side::Cipher);
                let (seed, label) = (Seed::new(vec![role.number() + 1; 32]), (tid, slot(role)));
                let deposit = if hashed {
                    Deposit::under_hash(&PREIMAGE, label, key, root)
                } else {
                    Deposit::make(&cast.oracle, &deposit_key, &seed, label, key, root)
                        .expect("the key and the seed have the right lengths")
                };
                owns[place(role)].seed = seed.as_bytes().to_vec();
                core.deposits.insert(slot(role), deposit.to_bytes());
            } else if things[place(role)] == Thing::Money {
                let (payer, payee) = (mint::details(role.number()), mint::details(role.peer().number()));
                let by_hash = Decides::Hash(preimage_hash(&PREIMAGE));
                let decides = if hashed { by_hash } else { Decides::Arbiter(vec![mint::ARBITER]) };
                let deposit = LockDeposit { payer, payee, decides, salt: [5; 32] };
                core.deposits.insert(slot(role), deposit.to_bytes());
            } else if things[place(role)] == Thing::Transfer {
                let [request, other] = ["", "tea"].map(|what| request(cast, role, &core.terms.deadlines, what));
                other_request = Some(other);
                let deposit = TransferDeposit { request: request.clone(), salt: [5; 32] };
                core.deposits.insert(slot(role), deposit.to_bytes());
                payment = Some(mint::proof(request));
            }
        }
        if hashed {
            owns[0].seed = PREIMAGE.to_vec();
        }
        for (role, article) in roles.into_iter().zip(articles) {
            let Some((_, index, chunk)) = article else { continue };
            let good = Good::of(&core, slot(role), Some(&deposit_key)).expect("the contract sells it");
            let download = Download::new(&cast.oracle, good, index).expect("the index is that of the contract");
            let seed = Seed::new(owns[place(role)].seed.clone());
            goods[place(role)] = Some(Ware { seed, download, chunk });
        }
        Self { core, goods, owns, vault, deposit_key, payment, other_request, credential }
    }

    /// A party's side.
    ///
    /// # Errors
    /// The contract must not be run.
    pub fn run(&self, cast: &Cast, role: Role) -> Result<Run, RunError> {
        let me = cast.hand(role).key_set();
        let arbiter = self.core.arbiter().map(|_| cast.arbiter.key_set().clone());
        Run::new(self.core.clone(), me, cast.key_sets(), arbiter, PATIENCE, self.owns[place(role)].clone())
    }

    /// With what the arbiter checks requests.
    pub fn court<'a>(&'a self, cast: &'a Cast) -> Court<'a> {
        let deposit_key = Some(&self.deposit_key);
        let systems = mint::SYSTEMS;
        Court { verify: &cast.oracle, kem: &cast.oracle, arbiter: cast.arbiter.key_set(), deposit_key, systems }
    }

    /// What proves that the payee of a plain transfer was paid; empty if nothing is paid so.
    pub fn payment(&self) -> Vec<u8> {
        self.payment.as_ref().map(Encode::to_bytes).unwrap_or_default()
    }

    /// Until when a plain transfer can be taken, by the issuer's clock.
    pub fn pay_until(&self) -> Option<Time> {
        let [first, second] = Leg::of(&self.core).ok()?;
        first.transfer().or(second.transfer()).map(|transfer| transfer.asked.expires)
    }

    /// The place of whoever pays by plain transfer.
    pub fn payer(&self) -> usize {
        usize::from(self.core.terms.items.first().is_some_and(|item| item.kind == ItemKind::Right))
    }

    /// What a party says to give its information away; with a wrong seed if it cheats.
    pub fn disclosure(&self, cast: &Cast, owner: Role, right: bool) -> Option<Signed> {
        let mut seed = self.goods[place(owner)].as_ref()?.seed.clone();
        if !right {
            seed = Seed::new(vec![0xee; seed.as_bytes().len()]);
        }
        Some(cast.say(owner, &Disclosure { cid: self.core.cid(), slot: slot(owner), seed }, 0))
    }

    /// What a driver finds when it tries a release.
    pub fn examine(&self, cast: &Cast, examination: &Examination) -> Examined {
        let Examination { slot, release, .. } = examination;
        let found = self.found(cast, *slot, release).unwrap_or(Found::Useless);
        Examined { slot: *slot, release: release.clone(), found }
    }

    fn found(&self, cast: &Cast, slot: Slot, release: &[u8]) -> Option<Found> {
        let ware = self.goods.get(usize::from(slot.0) - 1)?.as_ref()?;
        let good = ware.download.good();
        if let Opens::Hash(_) = good.deposit().opens {
            let seed = Seed::new(release.to_vec());
            let key = good.open(&cast.oracle, &seed).ok()?;
            let bad = first_bad_chunk(&ware.download, &key, &KeyEvidence::Seed(seed), [ware.chunk.clone()]);
            return Some(bad.map_or(Found::Good, |pom| Found::Bad(pom.to_bytes())));
        }
        let signed = Signed::from_bytes(release).ok()?;
        let (key, evidence) = match signed.kind() {
            Kind::Disclosure => {
                let Disclosure { cid, slot, seed } = Disclosure::from_bytes(signed.payload()).ok()?;
                let by_owner = signed.signer() == good.owner() && (cid, slot) == (good.cid(), good.slot());
                match good.open(&cast.oracle, &seed) {
                    Ok(key) => (key, KeyEvidence::Seed(seed)),
                    Err(_) if by_owner => {
                        let pom = Pom { cid, slot, claim: Claim::BadSeed(signed) };
                        return Some(Found::Bad(pom.to_bytes()));
                    }
                    Err(_) => return None,
                }
            }
            Kind::KeyAttestation => {
                (KeyAttestation::from_bytes(signed.payload()).ok()?.key, KeyEvidence::Attested(signed))
            }
            _ => return None,
        };
        let bad = first_bad_chunk(&ware.download, &key, &evidence, [ware.chunk.clone()]);
        Some(bad.map_or(Found::Good, |pom| Found::Bad(pom.to_bytes())))
    }

    /// What the arbiter answers with what stands, or will: with the key for who gets information, and with an authorisation for who is due money.
    pub fn answer(
        &self,
        cast: &Cast,
        stands: ArbiterAnswer,
        cell: Option<Cell>,
        case: &Case,
        asked: &Request,
    ) -> Vec<u8> {
        let by = self.core.role_of(asked.question.signer()).expect("a valid request is by a party");
        let resolved = matches!(cell, Some(Cell { outcome: semper_exchange::arbiter::verdict::Outcome::Resolved, .. }));
        let attestation = resolved.then(|| self.attestation(cast, by.peer())).flatten();
        let authorisation = match case.asked() {
            Asked::Settle { side } if due(cell, case) == Some(side) => {
                let owner = if side == Side::Payer { by } else { by.peer() };
                let token = asked.promises.get(place(owner)).map(|promised| promised.token.as_slice());
                mint::authorisation(mint::ARBITER, token.unwrap_or_default(), &asked.payout)
            }
            _ => Vec::new(),
        };
        ArbiterAnswer { attestation, authorisation, ..stands }.to_bytes()
    }

    /// The arbiter's word on the key to a party's information.
    pub fn attestation(&self, cast: &Cast, owner: Role) -> Option<Signed> {
        let good = self.goods[place(owner)].as_ref()?.download.good();
        let key = good.recover(&self.vault).expect("the deposit is well-formed");
        let said = KeyAttestation { cid: good.cid(), slot: good.slot(), key };
        let arbiter = cast.arbiter.key_set();
        Some(cast.arbiter.sign(said.draft(arbiter.suite(), arbiter.id())).expect("the arbiter signs its own drafts"))
    }
}

/// A letter from the originator to two recipients: the parties of each part.
pub fn letter() -> ([Cast; 2], Core) {
    let first = Cast::default();
    let deal = Deal::new(&first, MAIL, None);
    let third = first.oracle.hand(Suite::Ed25519, 4);
    let second = Cast { parties: [first.parties[0].clone(), third], ..first.clone() };
    let mut core = deal.core;
    let deposit = core.deposits.values().next().expect("a letter has a deposit").clone();
    core.deposits = [Slot(0), Slot(1)].map(|slot| (slot, deposit.clone())).into();
    core.terms
        .parties
        .push(PartyRef { role: responder(Slot(1)), key_set: second.hand(Role::RESPONDER).key_set().id() });
    let pair = core.terms.items.clone();
    let of_part = |part: Slot| {
        let mut pair = pair.clone();
        (pair[0].slot, pair[0].recipient) = (part, responder(part));
        (pair[1].slot, pair[1].owner) = (part, responder(part));
        pair
    };
    core.terms.items = [Slot(0), Slot(1)].into_iter().flat_map(of_part).collect();
    ([first, second], core)
}

/// The receipt of a log that holds nothing else.
pub fn receipt(cast: &Cast, statement: &Signed, now: Time) -> LogReceipt {
    let (head, inclusion) = log::add(&mut Frontier::new(), statement, now).expect("the log is empty");
    let arbiter = cast.arbiter.key_set();
    let head = cast.arbiter.sign(head.draft(arbiter.suite(), arbiter.id())).expect("the arbiter signs its own drafts");
    LogReceipt { head, inclusion }
}

/// The key, the index and the only chunk of what a party gives.
fn article(thing: Thing, owner: Role) -> Option<(ArticleKey, Index, Vec<u8>)> {
    let key = ArticleKey::from_array([owner.number() + 1; 32]);
    let encode = |plain: &[u8]| {
        let (mut encoder, mut chunk) = (Encoder::new(key.clone()), Vec::new());
        encoder.push(plain, &mut chunk).expect("a few bytes are not too many");
        (encoder.finish(&mut chunk).expect("there are some bytes").index, chunk)
    };
    let (promised, chunk) = encode(b"text");
    match thing {
        Thing::Information => Some((key, promised, chunk)),
        Thing::BadInformation => {
            let (given, chunk) = encode(b"junk");
            let leaf = |index: &Index| index.leaves(ChunkIndex(0)).expect("there is one chunk");
            let leaves = Leaves { plain: leaf(&promised).plain, cipher: leaf(&given).cipher };
            Some((key, Index::new(vec![leaves]).expect("one chunk is enough"), chunk))
        }
        Thing::Signature | Thing::Money | Thing::Transfer | Thing::Right | Thing::Show => None,
    }
}

/// A right that is sold or shown.
fn credential(cast: &Cast, holder: Role, uses: u32) -> Credential {
    Credential {
        serial: issuer::serial(0),
        issuer: "https://issuer.example".to_owned(),
        holder: cast.hand(holder).key_set().id(),
        right: "one visit".to_owned(),
        audience: Vec::new(),
        uses: Uses::Counted(uses),
        transferable: true,
        from: moment(0).before(TICK),
        until: moment(u8::MAX),
        condition: None,
    }
}

/// What the payee asks for money by plain transfer with; what it asks for too late, if that is the mistake that is looked for.
fn request(cast: &Cast, payer: Role, deadlines: &Deadlines, purpose: &str) -> Signed {
    let late = flaws::active(Flaw::LatePayment);
    let expires = if late { deadlines.not_after } else { pay_until(deadlines) };
    cast.say(payer.peer(), &PaymentRequest { expires, ..wanted(payer.peer(), purpose) }, 0)
}

/// What a party asks to be paid.
fn wanted(payee: Role, purpose: &str) -> PaymentRequest {
    PaymentRequest {
        deal: DealId::from_array([9; 16]),
        amount: Amount::parse("1.00 EUR").expect("an amount"),
        purpose: purpose.to_owned(),
        system: System::parse(mint::SYSTEM).expect("a name"),
        issuer: "https://mint.example".to_owned(),
        details: mint::details(payee.number()),
        expires: moment(0),
    }
}

fn item(thing: Thing, owner: Role, article: Option<&(ArticleKey, Index, Vec<u8>)>, lock: LockKind) -> Item {
    let (kind, descriptor) = match (thing, article) {
        (Thing::Money | Thing::Transfer, _) => {
            let price = Price {
                amount: Amount::parse("1.00 EUR").expect("an amount"),
                system: System::parse(mint::SYSTEM).expect("a name"),
                issuer: "https://mint.example".to_owned(),
                lock: (thing == Thing::Money).then_some(lock),
            };
            (ItemKind::Money, price.to_bytes())
        }
        (_, Some((_, index, chunk))) => {
            let size = semper_exchange::goods::Size::new(chunk.len() as u64).expect("a few bytes");
            let root = index.root(semper_exchange::goods::Side::Plain);
            let descriptor = Descriptor::new("a.txt", "text/plain", size, root, "a text").expect("a description");
            (ItemKind::Information, descriptor.to_bytes())
        }
        _ => (ItemKind::Signature, Vec::new()),
    };
    Item {
        kind,
        owner,
        recipient: owner.peer(),
        descriptor,
        slot: if kind == ItemKind::Signature { Slot::default() } else { slot(owner) },
    }
}
