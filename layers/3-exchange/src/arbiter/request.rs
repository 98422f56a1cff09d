//! What the arbiter is asked, and the checks that make a request valid.
//!
//! A request carries everything that the decision rests on: the core, the key sets, the promises and the signed question. Nothing
//! is looked up elsewhere, so that anybody can check a verdict against its basis.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::contract::{Core, Profile, Promise, promise_pair};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, Slot, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{SignatureError, Verified, Verify, verify};
use semper_core::time::Time;
use semper_support::crypto::Encapsulate;
use semper_support::flaws::{self, Flaw};
use semper_transfer::credential::NotGood;
use semper_transfer::payment::operation::HANDOVER_MAX;
use semper_transfer::payment::statement::Side;
use semper_transfer::payment::{Module, claim};

use super::rules_hash;
use crate::cn::CircleError;
use crate::goods::{DepositKey, Good, GoodError, Judge, Pom};
use crate::gx::{
    ItemsError, Leg, Message, PROOF_MAX, Price, Promised, complaints_until, responder as responder_of, revoke_until,
};

/// "Abort this contract." By the originator only.
///
/// ```text
/// abort = { 0: 1, 1: cid, 2: slot, 3: statement id of the originator's promise }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Abort {
    /// The contract.
    pub cid: Cid,
    /// The part of the contract.
    pub slot: Slot,
    /// The originator's promise.
    pub promise: StatementId,
}

/// "Complete this contract from its promises." By either party.
///
/// ```text
/// resolve = { 0: 1, 1: cid, 2: slot, 3: [promise of the originator, promise of the responder], 4: role of the asker, ? 5: hash of the proof }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resolve {
    /// The contract.
    pub cid: Cid,
    /// The part of the contract.
    pub slot: Slot,
    /// Both promises.
    pub promises: [StatementId; 2],
    /// Who asks.
    pub role: Role,
    /// `H("semper/proof/1" ‖ proof)`, where the asker has paid by plain transfer: of the [`Proof`](claim::Proof) of that.
    pub proof: Option<Digest>,
}

/// "Have my right called back: nothing has come for it." By the originator, which has passed it on.
///
/// ```text
/// revocation = { 0: 1, 1: cid, 2: slot, 3: [promise of the originator, promise of the responder] }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Revocation {
    /// The contract.
    pub cid: Cid,
    /// The part of the contract.
    pub slot: Slot,
    /// Both promises.
    pub promises: [StatementId; 2],
}

/// "What became of this contract?" By either party; it decides nothing.
///
/// ```text
/// inquiry = { 0: 1, 1: cid, 2: slot, 3: role of the asker }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Inquiry {
    /// The contract.
    pub cid: Cid,
    /// The part of the contract.
    pub slot: Slot,
    /// Who asks.
    pub role: Role,
}

/// "The peer's item is not what was promised." By the recipient of information that gives money for it.
///
/// ```text
/// complaint = { 0: 1, 1: cid, 2: slot, 3: role of the asker, 4: hash of the proof }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Complaint {
    /// The contract.
    pub cid: Cid,
    /// The part of the contract.
    pub slot: Slot,
    /// Who asks.
    pub role: Role,
    /// `H("semper/misbehaviour/1" ‖ proof)`.
    pub proof: Digest,
}

/// "Let go of the locked money that is due to me." By either party, after a ruling or after the contract's time.
///
/// ```text
/// settlement = { 0: 1, 1: cid, 2: slot, 3: role of the asker, 4: side ("payer" / "payee"), 5: hash of the payout }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settlement {
    /// The contract.
    pub cid: Cid,
    /// The part of the contract.
    pub slot: Slot,
    /// Who asks.
    pub role: Role,
    /// Its side of the lock: the payer wants its own money back, the payee the peer's.
    pub side: Side,
    /// `H("semper/payout/1" ‖ payout)`.
    pub payout: Digest,
}

impl Statement for Revocation {
    const KIND: Kind = Kind::Revocation;
}

impl Encode for Revocation {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.slot).put_list(3, &self.promises).build()
    }
}

impl Decode for Revocation {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, slot) = (fields.item(1, "cid")?, fields.item(2, "slot")?);
        let promises = promise_pair(&mut fields, 3)?;
        fields.close()?;
        Ok(Self { cid, slot, promises })
    }
}

impl Statement for Inquiry {
    const KIND: Kind = Kind::Inquiry;
}

impl Encode for Inquiry {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.slot).put_item(3, &self.role).build()
    }
}

impl Decode for Inquiry {
    const BYTES_MAX: usize = 128;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let inquiry =
            Self { cid: fields.item(1, "cid")?, slot: fields.item(2, "slot")?, role: fields.item(3, "role")? };
        fields.close()?;
        Ok(inquiry)
    }
}

impl Statement for Complaint {
    const KIND: Kind = Kind::Complaint;
}

impl Statement for Settlement {
    const KIND: Kind = Kind::Settlement;
}

impl Encode for Complaint {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cid)
            .put_item(2, &self.slot)
            .put_item(3, &self.role)
            .put_item(4, &self.proof)
            .build()
    }
}

impl Decode for Complaint {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let complaint = Self {
            cid: fields.item(1, "cid")?,
            slot: fields.item(2, "slot")?,
            role: fields.item(3, "role")?,
            proof: fields.item(4, "proof")?,
        };
        fields.close()?;
        Ok(complaint)
    }
}

impl Encode for Settlement {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cid)
            .put_item(2, &self.slot)
            .put_item(3, &self.role)
            .put_item(4, &self.side)
            .put_item(5, &self.payout)
            .build()
    }
}

impl Decode for Settlement {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let settlement = Self {
            cid: fields.item(1, "cid")?,
            slot: fields.item(2, "slot")?,
            role: fields.item(3, "role")?,
            side: fields.item(4, "side")?,
            payout: fields.item(5, "payout")?,
        };
        fields.close()?;
        Ok(settlement)
    }
}

impl Statement for Abort {
    const KIND: Kind = Kind::Abort;
}

impl Statement for Resolve {
    const KIND: Kind = Kind::Resolve;
}

impl Encode for Abort {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.slot).put_item(3, &self.promise).build()
    }
}

impl Decode for Abort {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let abort =
            Self { cid: fields.item(1, "cid")?, slot: fields.item(2, "slot")?, promise: fields.item(3, "promise")? };
        fields.close()?;
        Ok(abort)
    }
}

impl Encode for Resolve {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.cid)
            .put_item(2, &self.slot)
            .put_list(3, &self.promises)
            .put_item(4, &self.role)
            .put_some(5, self.proof.map(|proof| proof.to_value()))
            .build()
    }
}

impl Decode for Resolve {
    const BYTES_MAX: usize = 256;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (cid, slot) = (fields.item(1, "cid")?, fields.item(2, "slot")?);
        let promises = promise_pair(&mut fields, 3)?;
        let (role, proof) = (fields.item(4, "role")?, fields.optional_item(5, "proof")?);
        fields.close()?;
        Ok(Self { cid, slot, promises, role, proof })
    }
}

/// A request as it is sent.
///
/// ```text
/// request = { 0: 1, 1: core, 2: [2 key sets], 3: [1*2 promised], 4: signed question, 5: proof, 6: payout }        ; 5, 6: empty if not needed
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The contract.
    pub core: Core,
    /// The key sets of originator and responder of the part that the question is about.
    pub key_sets: [KeySet; 2],
    /// The originator's promise and, unless it aborts, the responder's. With them come the tokens of locked money.
    pub promises: Vec<Promised>,
    /// The signed [`Abort`], [`Resolve`], [`Complaint`], [`Settlement`], [`Revocation`] or [`Inquiry`].
    pub question: Signed,
    /// The proof of a complaint, or of a plain transfer.
    pub proof: Vec<u8>,
    /// Where the money of a settlement is to go.
    pub payout: Vec<u8>,
}

impl Encode for Request {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.core)
            .put_list(2, &self.key_sets)
            .put_list(3, &self.promises)
            .put_item(4, &self.question)
            .put_bytes(5, &self.proof)
            .put_bytes(6, &self.payout)
            .build()
    }
}

impl Decode for Request {
    const BYTES_MAX: usize = 2 * Message::BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let core = fields.item(1, "core")?;
        let key_sets: Vec<KeySet> = fields.list(2, "key sets", 2)?;
        let key_sets = key_sets.try_into().map_err(|_| {
            DecodeError::field("key sets", semper_core::cbor::Problem::OutOfRange("two key sets are needed"))
        })?;
        let promises = fields.list(3, "promises", 2)?;
        let question = fields.item(4, "question")?;
        let (proof, payout) = (fields.bytes(5, "proof", PROOF_MAX)?, fields.bytes(6, "payout", HANDOVER_MAX)?);
        fields.close()?;
        Ok(Self { core, key_sets, promises, question, proof, payout })
    }
}

/// What a valid request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// Abort; the asker is the originator.
    Abort,
    /// Resolve.
    Resolve {
        /// Who asks.
        by: Role,
    },
    /// Find that an item is not what was promised. The proof holds.
    Complain {
        /// Whose item it is.
        about: Role,
    },
    /// Let go of locked money.
    Settle {
        /// The asker's side of the lock.
        side: Side,
    },
    /// Have a right called back; the asker is the originator.
    Revoke,
    /// Say what stands.
    Inquire,
}

/// A request whose every part was checked. Only [`Court::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    core: Core,
    cid: Cid,
    slot: Slot,
    asked: Asked,
    basis: Vec<StatementId>,
    legs: [Leg; 2],
    unopenable: Option<Role>,
}

/// With what requests are checked, by the arbiter or by whoever checks the arbiter.
#[derive(Clone, Copy)]
pub struct Court<'a> {
    /// Checks signatures.
    pub verify: &'a dyn Verify,
    /// Makes deposits again.
    pub kem: &'a dyn Encapsulate,
    /// The arbiter's keys.
    pub arbiter: &'a KeySet,
    /// The arbiter's key for deposits of information. `None`: deposits are not looked at, and no complaint is proven.
    pub deposit_key: Option<&'a DepositKey>,
    /// The payment systems whose proofs of plain transfers can be judged.
    pub systems: &'a [&'a dyn Module],
}

/// Why a request is not valid. The cell is not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The contract names another arbiter.
    #[error("the contract names another arbiter")]
    NotMine,
    /// The contract names rules that this arbiter does not follow.
    #[error("the contract names other rules")]
    OtherRules,
    /// The question is about a contract of another profile: what goes through the arbiter's hands is asked about in other words.
    #[error("such a question is not asked about a contract of this profile")]
    OtherProfile,
    /// The items of the contract cannot be exchanged.
    #[error("{0}")]
    Items(ItemsError),
    /// The contract cannot be signed by these parties.
    #[error("{0}")]
    Circle(CircleError),
    /// A key set is not that of the party in its place, or both parties share a key.
    #[error("the key set of the {0} is not the one in the contract")]
    WrongKeySet(Role),
    /// Both parties hold the same key: somebody plays both sides.
    #[error("both parties hold the same key")]
    SelfDeal,
    /// A signed part is not what must stand in its place.
    #[error("the {part} is not acceptable: {error}")]
    Signature {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// A signed part belongs to another contract, role, slot or promise.
    #[error("the {0} does not belong to this contract")]
    Foreign(&'static str),
    /// The number of promises does not fit the question.
    #[error("an abort needs the originator's promise, every other question both")]
    Promises,
    /// Whoever gives money and asks for the peer's item shows no token for its own.
    #[error("the token of the asker's locked money is missing")]
    Token,
    /// What is to be resolved is given for a right that its issuer does not keep for this contract.
    #[error("the right that is to be shown: {0}")]
    Show(NotGood),
    /// What is to be resolved sells information that this arbiter could not give in its owner's place.
    #[error("the information of the contract: {0}")]
    Good(GoodError),
    /// This contract knows no complaints by this party.
    #[error("this contract gives this party nothing to complain about")]
    NoComplaint,
    /// What is to prove the complaint does not.
    #[error("the complaint is not proven: {0}")]
    Unproven(String),
    /// Money by plain transfer: its payee asks, or what is to prove the payment does not.
    #[error("the payment is not proven: {0}")]
    Unpaid(String),
    /// Nobody aborts the sale of a right, and nothing else is revoked.
    #[error("a right that is passed on is revoked, not aborted, and nothing else is revoked")]
    NoRevocation,
    /// The asker has no such side of a lock in this contract.
    #[error("the asker has no such side of a lock in this contract")]
    NoLock,
}

impl Court<'_> {
    /// Whether a contract names this arbiter, and the rules that it decides by.
    pub(super) fn admits(&self, core: &Core) -> Result<(), RequestError> {
        let named = core.terms.arbiter.filter(|named| named.key_set == self.arbiter.id());
        let named = named.ok_or(RequestError::NotMine)?;
        if named.rules != rules_hash() { Err(RequestError::OtherRules) } else { Ok(()) }
    }

    /// Checks a request.
    ///
    /// # Errors
    /// [`RequestError`]: the request is not valid. Nothing may be decided from it.
    pub fn check(&self, request: &Request) -> Result<Case, RequestError> {
        let core = &request.core;
        self.admits(core)?;
        // Nobody completes it from its promises: that the arbiter has both deposits does.
        if core.terms.profile == Profile::Ix {
            return Err(RequestError::OtherProfile);
        }
        let [originator, responder] = &request.key_sets;
        if originator.shares_a_key_with(responder) {
            return Err(RequestError::SelfDeal);
        }
        // Whose promise the second one is says which part of the contract is asked about; the question must say the same.
        let part = core.role_of(responder.id()).and_then(|role| role.number().checked_sub(1));
        let slot = Slot(part.ok_or(RequestError::WrongKeySet(Role::RESPONDER))?.into());
        for (role, key_set) in [(Role::ORIGINATOR, originator), (responder_of(slot), responder)] {
            if core.party(role) != Some(key_set.id()) {
                return Err(RequestError::WrongKeySet(role));
            }
        }
        let case = Case {
            core: core.clone(),
            cid: core.cid(),
            slot,
            asked: Asked::Abort,
            basis: Vec::new(),
            legs: Leg::in_part(core, slot).map_err(RequestError::Items)?,
            unopenable: None,
        };
        let promised =
            |first: &Promised| check_promise(self.verify, originator, &first.promise, case.cid, Role::ORIGINATOR, None);
        let first = request.promises.first().map(promised).transpose()?.map(|promise| promise.id());
        let second = match request.promises.as_slice() {
            [] | [_] => None,
            [_, second] => {
                let (cid, role) = (case.cid, responder_of(slot));
                Some(check_promise(self.verify, responder, &second.promise, cid, role, first)?.id())
            }
            _ => return Err(RequestError::Promises),
        };
        let (asked, question) = match (request.question.kind(), first, second) {
            (Kind::Revocation, Some(first), Some(second)) => self.revocation(request, &case, [first, second])?,
            (Kind::Abort, Some(first), Some(_))
                if flaws::active(Flaw::PayerAborts) || flaws::active(Flaw::PayeeAborts) =>
            {
                self.abort(request, &case, first)?
            }
            (Kind::Abort, Some(first), None) => self.abort(request, &case, first)?,
            (Kind::Resolve, Some(first), Some(second)) => self.resolve(request, &case, [first, second])?,
            (Kind::Complaint, Some(_), Some(_)) => self.complaint(request, &case)?,
            (Kind::Settlement, Some(_), _) => self.settlement(request, &case)?,
            // It decides nothing, and whoever comes from a backup may have no promise left.
            (Kind::Inquiry, _, _) => self.inquiry(request, &case)?,
            _ => return Err(RequestError::Promises),
        };
        let basis = [question].into_iter().chain(first).chain(second).collect();
        let unopenable = if matches!(asked, Asked::Resolve { .. }) { self.unopenable(&case)? } else { None };
        Ok(Case { asked, basis, unopenable, ..case })
    }

    /// A party whose deposit of information nobody can open: the contract itself proves it.
    fn unopenable(&self, case: &Case) -> Result<Option<Role>, RequestError> {
        let Some(key) = self.deposit_key else { return Ok(None) };
        for owner in [Role::ORIGINATOR, Role::RESPONDER] {
            let Leg::Information(slot) = *case.gives(owner) else { continue };
            let good = Good::of(&case.core, slot, Some(key)).map_err(RequestError::Good)?;
            if !good.can_be_opened(self.kem) {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    fn abort(&self, request: &Request, case: &Case, first: StatementId) -> Result<(Asked, StatementId), RequestError> {
        if case.sells_right() {
            return Err(RequestError::NoRevocation);
        }
        let [mut by, responder] = request.key_sets.each_ref();
        if flaws::active(Flaw::PayerAborts) && case.gives(Role::RESPONDER).lock().is_some() {
            by = responder;
        }
        if flaws::active(Flaw::PayeeAborts) && case.gives(Role::ORIGINATOR).transfer().is_some() {
            by = if request.question.signer() == responder.id() { responder } else { by };
        }
        let abort: Verified<Abort> = signed("abort request", verify(self.verify, by, &request.question))?;
        if *abort.statement() != (Abort { cid: case.cid, slot: case.slot, promise: first }) {
            return Err(RequestError::Foreign("abort request"));
        }
        Ok((Asked::Abort, abort.id()))
    }

    fn resolve(
        &self,
        request: &Request,
        case: &Case,
        promises: [StatementId; 2],
    ) -> Result<(Asked, StatementId), RequestError> {
        let (by, asker) = asker(request, "resolve request")?;
        let resolve: Verified<Resolve> = signed("resolve request", verify(self.verify, asker, &request.question))?;
        let proof = (!request.proof.is_empty()).then(|| Digest::of(domain::PROOF, &request.proof));
        let expected = Resolve { cid: case.cid, slot: case.slot, promises, role: case.stated(by), proof };
        if *resolve.statement() != expected {
            return Err(RequestError::Foreign("resolve request"));
        }
        if !flaws::active(Flaw::UnprovenPayment) {
            self.payment(request, case, by)?;
        }
        // Nobody gets the peer's item for money that was never locked. Whether the token is good its issuer says ([`Case::unconfirmed`]).
        if case.gives(by).lock().is_some() && request.promises[place(by)].token.is_empty() {
            return Err(RequestError::Token);
        }
        // Nobody gets anything for the show of a right that its issuer does not keep for this contract.
        if let Leg::Show(show) = case.gives(Role::RESPONDER) {
            show.check(self.verify, &case.core, &request.promises[place(Role::RESPONDER)].token)
                .map_err(RequestError::Show)?;
        }
        Ok((Asked::Resolve { by }, resolve.id()))
    }

    /// Where money is paid by plain transfer: whoever resolves has paid it, and shows that.
    fn payment(&self, request: &Request, case: &Case, by: Role) -> Result<(), RequestError> {
        if case.gives(by.peer()).transfer().is_some() {
            return Err(RequestError::Unpaid("only its payer asks for what it is paid for".to_owned()));
        }
        let Some(transfer) = case.gives(by).transfer() else { return Ok(()) };
        let payee = &request.key_sets[place(by.peer())];
        let proof = claim::Proof::from_bytes(&request.proof).map_err(|e| RequestError::Unpaid(e.to_string()))?;
        transfer.is_proven(self.verify, self.systems, payee, &proof).map(drop).map_err(RequestError::Unpaid)
    }

    fn revocation(
        &self,
        request: &Request,
        case: &Case,
        promises: [StatementId; 2],
    ) -> Result<(Asked, StatementId), RequestError> {
        if !case.sells_right() {
            return Err(RequestError::NoRevocation);
        }
        let owner = &request.key_sets[place(Role::ORIGINATOR)];
        let asked: Verified<Revocation> = signed("revocation", verify(self.verify, owner, &request.question))?;
        if *asked.statement() != (Revocation { cid: case.cid, slot: case.slot, promises }) {
            return Err(RequestError::Foreign("revocation"));
        }
        Ok((Asked::Revoke, asked.id()))
    }

    fn inquiry(&self, request: &Request, case: &Case) -> Result<(Asked, StatementId), RequestError> {
        let (by, asker) = asker(request, "inquiry")?;
        let inquiry: Verified<Inquiry> = signed("inquiry", verify(self.verify, asker, &request.question))?;
        if *inquiry.statement() != (Inquiry { cid: case.cid, slot: case.slot, role: case.stated(by) }) {
            return Err(RequestError::Foreign("inquiry"));
        }
        Ok((Asked::Inquire, inquiry.id()))
    }

    fn complaint(&self, request: &Request, case: &Case) -> Result<(Asked, StatementId), RequestError> {
        let (by, asker) = asker(request, "complaint")?;
        let complaint: Verified<Complaint> = signed("complaint", verify(self.verify, asker, &request.question))?;
        let proof = Digest::of(domain::MISBEHAVIOUR, &request.proof);
        if *complaint.statement() != (Complaint { cid: case.cid, slot: case.slot, role: case.stated(by), proof }) {
            return Err(RequestError::Foreign("complaint"));
        }
        let about = by.peer();
        let Some(slot) = case.covered(about) else { return Err(RequestError::NoComplaint) };
        if flaws::active(Flaw::UnprovenComplaint) {
            return Ok((Asked::Complain { about }, complaint.id()));
        }
        let unproven = |error: &dyn std::fmt::Display| RequestError::Unproven(error.to_string());
        let key = self.deposit_key.ok_or_else(|| unproven(&"this arbiter takes no deposits"))?;
        let good = Good::of(&case.core, slot, Some(key)).map_err(|e| unproven(&e))?;
        let pom = Pom::from_bytes(&request.proof).map_err(|e| unproven(&e))?;
        let owner = &request.key_sets[place(about)];
        let judge = Judge { verify: self.verify, kem: self.kem, owner, arbiter: Some(self.arbiter) };
        judge.check(&good, &pom).map_err(|e| unproven(&e))?;
        Ok((Asked::Complain { about }, complaint.id()))
    }

    fn settlement(&self, request: &Request, case: &Case) -> Result<(Asked, StatementId), RequestError> {
        let (by, asker) = asker(request, "settlement")?;
        let settlement: Verified<Settlement> = signed("settlement", verify(self.verify, asker, &request.question))?;
        let Settlement { cid, slot, role, side, payout } = *settlement.statement();
        let named = Digest::of(domain::PAYOUT, &request.payout);
        if (cid, slot, role, payout) != (case.cid, case.slot, case.stated(by), named) {
            return Err(RequestError::Foreign("settlement"));
        }
        let owner = if side == Side::Payer { by } else { by.peer() };
        let token = request.promises.get(place(owner)).is_some_and(|promised| !promised.token.is_empty());
        if case.gives(owner).lock().is_none() || !token {
            return Err(RequestError::NoLock);
        }
        Ok((Asked::Settle { side }, settlement.id()))
    }
}

/// Who has signed the question: a side of the part that it is about.
fn asker<'a>(request: &'a Request, part: &'static str) -> Result<(Role, &'a KeySet), RequestError> {
    let [originator, responder] = &request.key_sets;
    match request.question.signer() {
        by if by == originator.id() => Ok((Role::ORIGINATOR, originator)),
        by if by == responder.id() => Ok((Role::RESPONDER, responder)),
        _ => Err(RequestError::Foreign(part)),
    }
}

impl Case {
    /// The contract.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The contract's identifier.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// The part of the contract.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// What is asked.
    pub fn asked(&self) -> Asked {
        self.asked
    }

    /// The question and the promises it rests on, in the order in which a verdict lists them.
    pub fn basis(&self) -> &[StatementId] {
        &self.basis
    }

    /// The question.
    pub fn question(&self) -> StatementId {
        self.basis[0]
    }

    /// The role in the contract of a side of its part.
    fn stated(&self, side: Role) -> Role {
        if side == Role::ORIGINATOR { side } else { responder_of(self.slot) }
    }

    /// What a side of the part gives.
    pub fn gives(&self, role: Role) -> &Leg {
        &self.legs[place(role)]
    }

    /// Whether a right is passed on under this contract.
    fn sells_right(&self) -> bool {
        matches!(self.legs[0], Leg::Right(_))
    }

    /// When the cell closes: after it, an empty one stays empty. Where a right is passed on, it may be revoked until then.
    pub fn closes(&self) -> Time {
        let deadlines = &self.core.terms.deadlines;
        if self.sells_right() { revoke_until(deadlines) } else { deadlines.not_after }
    }

    /// What money a party gives, if it gives any.
    pub fn price(&self, owner: Role) -> Option<Price> {
        self.gives(owner).lock()?;
        Price::from_bytes(&self.core.terms.items.get(place(owner))?.descriptor).ok()
    }

    /// Who has locked money and asks for the peer's item: its token must be confirmed by the issuer before the request is ruled on, if
    /// the cell is empty.
    pub fn unconfirmed(&self) -> Option<Role> {
        match self.asked {
            Asked::Resolve { by } if self.gives(by).lock().is_some() => Some(by),
            _ => None,
        }
    }

    /// A party that promised information whose deposit nobody can open.
    pub fn unopenable(&self) -> Option<Role> {
        self.unopenable
    }

    /// The slot of the information that a party gives for money, if the payer may complain about it.
    pub fn covered(&self, owner: Role) -> Option<Slot> {
        let paid = self.core.terms.deadlines.complaints.is_some() && self.gives(owner.peer()).lock().is_some();
        match self.gives(owner) {
            Leg::Information(slot) if paid => Some(*slot),
            _ => None,
        }
    }

    /// Until when the contract can be complained about, if at all.
    pub fn complaints_until(&self) -> Option<Time> {
        complaints_until(&self.core, &self.legs).filter(|_| !flaws::active(Flaw::NoComplaints))
    }
}

/// The place of a role in lists of both.
fn place(role: Role) -> usize {
    usize::from(role.number())
}

/// Checks a promise: signed by its role's key set, for this contract, answering the promise that it must answer.
///
/// # Errors
/// `Signature`, `Foreign`.
pub fn check_promise(
    verifier: &dyn Verify,
    key_set: &KeySet,
    promise: &Signed,
    cid: Cid,
    role: Role,
    answers: Option<StatementId>,
) -> Result<Verified<Promise>, RequestError> {
    let promise: Verified<Promise> = signed("promise", verify(verifier, key_set, promise))?;
    if *promise.statement() != (Promise { cid, role, answers }) {
        return Err(RequestError::Foreign("promise"));
    }
    Ok(promise)
}

fn signed<T>(part: &'static str, result: Result<T, SignatureError>) -> Result<T, RequestError> {
    result.map_err(|error| RequestError::Signature { part, error })
}
