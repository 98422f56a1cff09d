//! Locks: coins that two of payer, payee and arbiter release to a named payout, or that a preimage opens; after a date the payer has them back.
//!
//! ```text
//! payout        = { 0: 1, 1: [* { 0: keyset id, 1: amount, 2: B_ }] }
//! authorisation = { 0: 1, 1: signature (64 bytes) }          ; of a hash lock: the 32 bytes of the preimage, and nothing else
//! ```
//! All three keys are made for one lock: the parties' by [`super::details`], the arbiter's from its long-term key and the lock's tag. A signature
//! is over all coins and all outputs (`SIG_ALL`), so whoever authorises a payout authorises that payout. The side that is paid chooses its
//! outputs first and stores them, so that the same coins come out however often it redeems.

use std::str::FromStr as _;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::schnorr::Signature;
use cashu::nuts::{HTLCWitness, State};
use cashu::{BlindedMessage, Id, Proof, PublicKey, SecretKey, SwapRequest, Witness};
use data_encoding::HEXLOWER;
use semper_core::cbor::{self, Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::time::{Seconds, Time};
use semper_transfer::payment::means::LockKind;
use semper_transfer::payment::module::{IssuerReply, IssuerRequest, Step};
use semper_transfer::payment::operation::{HANDOVER_MAX, Lock};
use semper_transfer::payment::statement::Side;
use serde::{Deserialize, Serialize};

use super::details::Details;
use super::exchange::{self, Exchange};
use super::hand::Back;
use super::money::{self, COINS_MAX};
use super::records::Changes as _;
use super::seed::{KeyUse, Output};
use super::stage::{Run, Stage, Stop};
use super::take::{Take, message, open, witness};
use crate::ecash::condition::{self, Condition, ConditionError};
use crate::ecash::crypto::{lock_key, lock_secret};

/// How long a lock must hold still when it is made or verified.
const MARGIN: Seconds = Seconds(600);

fn sign(coins: Vec<Proof>, payout: Payout, key: &SecretKey) -> Result<Vec<u8>, ConditionError> {
    let signature = condition::cosign(&SwapRequest::new(coins, payout.0), key)?;
    let signature = Signature::from_str(&signature).map_err(|_| ConditionError::NotOurs)?;
    Ok(record().put(0, 1_u64).put_bytes(1, signature.serialize()).build().encode())
}

/// The terms of a lock, read.
pub(super) struct Terms {
    pub(super) payer: Details,
    payee: Details,
    arbiter: Option<PublicKey>,
    condition: Condition,
}

/// Where money is to go.
struct Payout(Vec<BlindedMessage>);

impl Terms {
    pub(super) fn of(lock: &Lock) -> Result<Self, &'static str> {
        let payer = Details::from_bytes(&lock.payer).map_err(|_| "the payer's details are malformed")?;
        let payee = Details::from_bytes(&lock.payee).map_err(|_| "the payee's details are malformed")?;
        let (arbiter, condition) = match (lock.kind, lock.hash) {
            (LockKind::Arbiter, _) => {
                let long_term = PublicKey::from_slice(&lock.arbiter).map_err(|_| "the arbiter's key is malformed")?;
                let arbiter = lock_key(&long_term, &lock.tag);
                let condition = Condition::two_of_three(payer.key, payee.key, arbiter, lock.refund_after);
                (Some(arbiter), condition.map_err(|_| "two of the keys are one")?)
            }
            (LockKind::Hash, Some(hash)) => {
                (None, Condition::to_hash(hash, payee.key, Some((payer.key, lock.refund_after))))
            }
            (LockKind::Hash, None) => return Err("the hash is missing"),
        };
        Ok(Self { payer, payee, arbiter, condition })
    }

    fn side(&self, side: Side) -> &Details {
        match side {
            Side::Payer => &self.payer,
            Side::Payee => &self.payee,
        }
    }

    /// Every coin must have exactly the condition that was agreed.
    pub(super) fn check(&self, coins: &[Proof]) -> Result<(), &'static str> {
        let same = |coin: &Proof| Condition::read(&coin.secret.to_string()).as_ref() == Ok(&self.condition);
        if coins.iter().all(same) { Ok(()) } else { Err("a coin is not locked as agreed") }
    }
}

impl Run<'_> {
    /// Payer: locks money.
    pub(super) fn lock(&self, lock: &Lock) -> Result<Step, Stop> {
        let terms = self.terms(lock)?;
        if self.secret(&terms.payer).is_none() {
            return Err(Stop::misuse("the lock is not of this purse's payer"));
        }
        if self.held.away.contains_key(lock.tag.as_bytes().as_slice()) {
            return Err(Stop::misuse("there is a lock of this name already"));
        }
        let minor = self.minor(lock.amount)?;
        let back = Back { after: lock.refund_after.unix(), name: terms.payer.name, what: KeyUse::Lock, request: None };
        self.hand_locked(minor, &terms.condition, *lock.tag.as_bytes(), back)
    }

    /// Payee or arbiter: checks a lock; the payee at last with the mint.
    pub(super) fn verify_lock(&self, lock: &Lock, token: &[u8]) -> Result<Step, Stop> {
        let terms = self.terms(lock)?;
        let is_payee = self.secret(&terms.payee).is_some();
        if !is_payee && self.arbiter_secret(lock).is_none() {
            return Err(Stop::misuse("the lock is neither for this purse's payee nor under its arbiter"));
        }
        let coins = self.locked(&terms, token)?;
        let worth = money::worth(&coins, &self.held.keysets).unwrap_or(0);
        if worth < self.minor(lock.amount)? {
            return Err(Stop::peer(format!("the lock holds {}, not {}", self.amount(worth), lock.amount)));
        }
        let lasts = |coin: &Proof| {
            let keyset = self.held.keysets.get(&coin.keyset_id);
            keyset.is_some_and(|keyset| !super::stage::expired(keyset, lock.refund_after))
        };
        if !coins.iter().all(lasts) {
            return Err(Stop::peer("a coin expires before the lock ends"));
        }
        if !is_payee {
            // The coins carry the mint's proofs, and before the date nobody spends them but payer and payee together: if they are spent,
            // the payee has what it let go of.
            return Ok(Step::to(Vec::new(), self.outcome(0, 0, Vec::new())));
        }
        Ok(self.to(Stage::Verify(Verifying { coins })))
    }

    /// The arbiter's secret key for a lock, if this purse's owner is its arbiter.
    fn arbiter_secret(&self, lock: &Lock) -> Option<SecretKey> {
        let long_term = self.seed.arbiter();
        let ours = long_term.public_key().to_bytes().as_slice() == lock.arbiter;
        ours.then(|| lock_secret(&long_term, &lock.tag))
    }

    /// The terms of a lock that this mint can keep, and that is not about to end.
    fn terms(&self, lock: &Lock) -> Result<Terms, Stop> {
        let terms = Terms::of(lock).map_err(Stop::peer)?;
        let needed: &[u16] = if lock.kind == LockKind::Hash { &[7, 10, 14] } else { &[7, 10, 11] };
        let info = self.held.info.as_ref();
        // To a mint that does not know a condition, its coins are anybody's.
        if !info.is_some_and(|info| needed.iter().all(|nut| info.nuts.contains(nut))) {
            return Err(Stop::issuer("the mint does not say that it keeps such locks"));
        }
        if lock.refund_after < self.now().after(MARGIN) {
            return Err(Stop::peer("the lock ends too soon"));
        }
        Ok(terms)
    }

    fn locked(&self, terms: &Terms, token: &[u8]) -> Result<Vec<Proof>, Stop> {
        let coins = self.coins(token)?;
        terms.check(&coins).map_err(Stop::peer)?;
        Ok(coins)
    }

    /// Says where this side's money is to go: the same each time.
    pub(super) fn payout(&self, lock: &Lock, token: &[u8], to: Side) -> Result<Step, Stop> {
        let terms = Terms::of(lock).map_err(Stop::peer)?;
        if self.secret(terms.side(to)).is_none() {
            return Err(Stop::misuse("that side of the lock is not this purse's"));
        }
        let coins = self.locked(&terms, token)?;
        let key = payout_key(lock, to);
        if let Some(outputs) = self.held.payouts.get(&key) {
            return Ok(Step::to(Vec::new(), self.outcome(0, 0, Payout::of(outputs).to_bytes())));
        }
        let worth = money::worth(&coins, &self.held.keysets).filter(|worth| *worth > 0);
        let worth = worth.ok_or_else(|| Stop::peer("the lock is worth no more than the fee for it"))?;
        let (outputs, counter) = self.fresh(worth)?;
        let step = Step::to(Vec::new(), self.outcome(0, 0, Payout::of(&outputs).to_bytes()));
        Ok(step.put_counter(&outputs[0].message.keyset_id, counter).put_payout(&key, &outputs))
    }

    /// Authorises that all money goes to a side: as the other side, or as the arbiter.
    pub(super) fn authorise(&self, lock: &Lock, token: &[u8], payout: &[u8], to: Side) -> Result<Step, Stop> {
        let terms = Terms::of(lock).map_err(Stop::peer)?;
        let secret = self.secret(terms.side(other(to))).or_else(|| self.arbiter_secret(lock));
        let secret = secret.ok_or_else(|| Stop::misuse("this purse's owner does not decide this way over the lock"))?;
        let coins = self.locked(&terms, token)?;
        let payout = Payout::from_bytes(payout).map_err(|e| Stop::peer(format!("the payout is malformed: {e}")))?;
        let unit = self.unit();
        for output in &payout.0 {
            let keyset = self.held.keysets.get(&output.keyset_id).ok_or(Stop::Unknown)?;
            if keyset.unit.to_string() != unit {
                return Err(Stop::peer("the payout is in another unit"));
            }
        }
        if payout.sum() != money::worth(&coins, &self.held.keysets) {
            return Err(Stop::peer("the payout is not of all the lock's money"));
        }
        let authorisation = sign(coins, payout, &secret)
            .map_err(|error| Stop::misuse(&format!("the lock cannot be opened by authorisation: {error}")))?;
        Ok(Step::to(Vec::new(), self.outcome(0, 0, authorisation)))
    }

    /// Takes the money of a lock.
    pub(super) fn redeem(&self, lock: &Lock, token: &[u8], to: Side, authorisation: &[u8]) -> Result<Step, Stop> {
        let terms = Terms::of(lock).map_err(Stop::peer)?;
        let secret = self.secret(terms.side(to));
        let secret = secret.ok_or_else(|| Stop::misuse("that side of the lock is not this purse's"))?;
        let coins = self.locked(&terms, token)?;
        let fee = money::fee(&coins, &self.held.keysets).ok_or(Stop::Unknown)?;
        let worth = money::worth(&coins, &self.held.keysets).filter(|worth| *worth > 0);
        let worth = worth.ok_or_else(|| Stop::peer("the lock is worth no more than the fee for it"))?;
        let named = self.held.payouts.get(&payout_key(lock, to)).filter(|_| !authorisation.is_empty());
        let (outputs, counter) = match named {
            Some(outputs) => (outputs.clone(), None),
            None => self.fresh(worth).map(|(outputs, counter)| (outputs, Some(counter)))?,
        };
        let inputs = match (authorisation, lock.kind, to) {
            ([], _, Side::Payer) if self.now() > lock.refund_after => open(coins, &outputs, &[secret], self.now())?,
            ([], _, Side::Payer) => {
                let reason = format!("the lock holds until {}", lock.refund_after);
                return Err(Stop::misuse(&reason));
            }
            ([], _, Side::Payee) => return Err(Stop::misuse("the payee needs an authorisation")),
            (_, LockKind::Arbiter, _) if counter.is_some() => {
                return Err(Stop::misuse("no payout of this lock was made here that could be authorised"));
            }
            (_, LockKind::Arbiter, _) => co_signed(&terms, to, coins, &outputs, &secret, authorisation, self.now())?,
            (_, LockKind::Hash, Side::Payee) => opened(coins, lock, &secret, authorisation, self.now())?,
            (_, LockKind::Hash, Side::Payer) => return Err(Stop::misuse("a preimage is for the payee")),
        };
        let take = Take::new(Exchange::swap(inputs, outputs.clone()), worth, fee);
        let take = take.settling(*lock.tag.as_bytes()).once(payout_key(lock, to));
        let step = self.to(Stage::Take(take));
        Ok(match counter {
            Some(counter) => step.put_counter(&outputs[0].message.keyset_id, counter),
            None => step,
        })
    }
}

fn other(side: Side) -> Side {
    if side == Side::Payer { Side::Payee } else { Side::Payer }
}

/// The coins with two of the three signatures on this payout.
fn co_signed(
    terms: &Terms,
    to: Side,
    mut coins: Vec<Proof>,
    outputs: &[Output],
    secret: &SecretKey,
    authorisation: &[u8],
    now: Time,
) -> Result<Vec<Proof>, Stop> {
    let theirs = read_authorisation(authorisation)
        .map_err(|error| Stop::peer(format!("the authorisation is malformed: {error}")))?;
    coins.iter_mut().for_each(|coin| coin.witness = None);
    let message = message(&coins, outputs);
    let signers = [Some(terms.side(other(to)).key), terms.arbiter];
    let theirs_holds = signers.iter().flatten().any(|key| key.verify(message.as_bytes(), &theirs).is_ok());
    let ours = secret.sign(message.as_bytes()).ok().filter(|_| theirs_holds);
    let ours = ours.ok_or_else(|| Stop::peer("the authorisation is not one of this payout"))?;
    if let Some(first) = coins.first_mut() {
        first.witness = Some(witness(vec![ours.to_string(), theirs.to_string()]));
    }
    condition::check_inputs(&coins, now, || message)
        .map_err(|error| Stop::peer(format!("the lock does not open: {error}")))?;
    Ok(coins)
}

/// The coins of a hash lock with the preimage.
fn opened(
    mut coins: Vec<Proof>,
    lock: &Lock,
    secret: &SecretKey,
    preimage: &[u8],
    now: Time,
) -> Result<Vec<Proof>, Stop> {
    if preimage.len() != 32 || lock.hash != Some(sha256::Hash::hash(preimage).to_byte_array()) {
        return Err(Stop::peer("this is not the preimage of the lock's hash"));
    }
    for coin in &mut coins {
        let signature = secret.sign(coin.secret.as_bytes()).map_err(|_| Stop::misuse("a signature failed"))?;
        let signatures = Some(vec![signature.to_string()]);
        coin.witness = Some(Witness::HTLCWitness(HTLCWitness { preimage: HEXLOWER.encode(preimage), signatures }));
    }
    condition::check_inputs(&coins, now, String::new)
        .map_err(|error| Stop::peer(format!("the lock does not open: {error}")))?;
    Ok(coins)
}

fn read_authorisation(bytes: &[u8]) -> Result<Signature, DecodeError> {
    let mut fields = Fields::open(cbor::decode(bytes, 128)?)?;
    fields.version(0, 1)?;
    let signature = fields.bytes(1, "signature", 64)?;
    fields.close()?;
    Signature::from_slice(&signature)
        .map_err(|_| DecodeError::field("signature", Problem::OutOfRange("not a signature of 64 bytes")))
}

fn payout_key(lock: &Lock, side: Side) -> Vec<u8> {
    [lock.tag.as_bytes().as_slice(), side.name().as_bytes()].concat()
}

/// A lock that is being verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verifying {
    coins: Vec<Proof>,
}

impl Verifying {
    pub(super) fn request(&self, issuer: &str) -> IssuerRequest {
        exchange::check_states(issuer, &self.coins)
    }

    pub(super) fn on(self, run: &Run<'_>, reply: &IssuerReply) -> Step {
        let stop = match exchange::states_of(&self.coins, reply) {
            Ok(states) if states.iter().all(|state| state.state == State::Unspent) => {
                return Step::to(Vec::new(), run.outcome(0, 0, Vec::new()));
            }
            Ok(_) => Stop::peer("coins of the lock are spent"),
            Err(why) => Stop::issuer(format!("the mint does not say how the lock stands: {}", why.words())),
        };
        match stop {
            Stop::Failed(failure) => Step::failed(failure),
            Stop::Unknown => run.begin(false),
        }
    }
}

impl Payout {
    fn of(outputs: &[Output]) -> Self {
        Self(outputs.iter().map(|output| output.message.clone()).collect())
    }

    fn sum(&self) -> Option<u64> {
        self.0.iter().try_fold(0_u64, |sum, output| sum.checked_add(output.amount.to_u64()))
    }
}

impl Encode for Payout {
    fn to_value(&self) -> Value {
        let output = |output: &BlindedMessage| {
            record()
                .put_bytes(0, output.keyset_id.to_bytes())
                .put(1, output.amount.to_u64())
                .put_bytes(2, output.blinded_secret.to_bytes())
                .build()
        };
        record().put(0, 1_u64).put(1, self.0.iter().map(output).collect::<Vec<_>>()).build()
    }
}

impl Decode for Payout {
    const BYTES_MAX: usize = HANDOVER_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let wrong = |name: &str, what| DecodeError::field(name, Problem::OutOfRange(what));
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let outputs = fields.array(1, "outputs", COINS_MAX)?;
        fields.close()?;
        let output = |value| {
            let mut fields = Fields::open(value)?;
            let id = fields.bytes(0, "keyset", 33)?;
            let id = Id::from_bytes(&id).map_err(|_| wrong("keyset", "not an identifier of a keyset"))?;
            let amount = fields.uint(1, "amount")?;
            let blinded = fields.bytes(2, "message", 33)?;
            let blinded = PublicKey::from_slice(&blinded).map_err(|_| wrong("message", "not a point of the curve"))?;
            fields.close()?;
            Ok(BlindedMessage::new(amount.into(), id, blinded))
        };
        Ok(Self(outputs.into_iter().map(output).collect::<Result<_, DecodeError>>()?))
    }
}
