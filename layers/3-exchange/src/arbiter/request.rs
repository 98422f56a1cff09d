//! What the arbiter is asked, and the checks that make a request valid.
//!
//! A request carries everything that the decision rests on: the core, the key sets, the promises and the signed question. Nothing
//! is looked up elsewhere, so that anybody can check a verdict against its basis.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::contract::{Core, Promise, promise_pair};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::ids::{Cid, KeySetId, Slot, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{SignatureError, Verified, Verify, verify};

use super::rules_hash;

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
/// resolve = { 0: 1, 1: cid, 2: slot, 3: [promise of the originator, promise of the responder], 4: role of the asker }
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
        let role = fields.item(4, "role")?;
        fields.close()?;
        Ok(Self { cid, slot, promises, role })
    }
}

/// A request as it is sent.
///
/// ```text
/// request = { 0: 1, 1: core, 2: [2 key sets], 3: [1*2 signed promise], 4: signed abort or resolve }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The contract.
    pub core: Core,
    /// The key sets of originator and responder.
    pub key_sets: [KeySet; 2],
    /// The originator's promise and, to resolve, the responder's.
    pub promises: Vec<Signed>,
    /// The signed question.
    pub question: Signed,
}

impl Encode for Request {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.core)
            .put_list(2, &self.key_sets)
            .put_list(3, &self.promises)
            .put_item(4, &self.question)
            .build()
    }
}

impl Decode for Request {
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
        fields.close()?;
        Ok(Self { core, key_sets, promises, question })
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
}

/// A request whose every part was checked. Only [`Case::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    core: Core,
    cid: Cid,
    slot: Slot,
    asked: Asked,
    basis: Vec<StatementId>,
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
    #[error("an abort needs the originator's promise, a resolve needs both")]
    Promises,
}

impl Case {
    /// Checks a request to the arbiter that signs with `arbiter`.
    ///
    /// # Errors
    /// [`RequestError`]: the request is not valid. Nothing may be decided from it.
    pub fn check(verifier: &dyn Verify, arbiter: KeySetId, request: &Request) -> Result<Self, RequestError> {
        let core = &request.core;
        if core.terms.arbiter.key_set != arbiter {
            return Err(RequestError::NotMine);
        }
        if core.terms.arbiter.rules != rules_hash() {
            return Err(RequestError::OtherRules);
        }
        let [originator, responder] = &request.key_sets;
        for (role, key_set) in [(Role::ORIGINATOR, originator), (Role::RESPONDER, responder)] {
            if core.party(role) != Some(key_set.id()) {
                return Err(RequestError::WrongKeySet(role));
            }
        }
        if originator.shares_a_key_with(responder) {
            return Err(RequestError::SelfDeal);
        }
        let cid = core.cid();
        let (first, second) = match (request.question.kind(), request.promises.as_slice()) {
            (Kind::Abort, [first]) => (first, None),
            (Kind::Resolve, [first, second]) => (first, Some(second)),
            _ => return Err(RequestError::Promises),
        };
        let first = check_promise(verifier, originator, first, cid, Role::ORIGINATOR, None)?;
        let Some(second) = second else {
            let abort: Verified<Abort> = signed("abort request", verify(verifier, originator, &request.question))?;
            let Abort { cid: named, slot, promise } = *abort.statement();
            if named != cid || slot != Slot::default() || promise != first.id() {
                return Err(RequestError::Foreign("abort request"));
            }
            let basis = vec![abort.id(), first.id()];
            return Ok(Self { core: core.clone(), cid, slot, asked: Asked::Abort, basis });
        };
        let second = check_promise(verifier, responder, second, cid, Role::RESPONDER, Some(first.id()))?;
        let by = core.role_of(request.question.signer()).ok_or(RequestError::Foreign("resolve request"))?;
        let asker = if by == Role::ORIGINATOR { originator } else { responder };
        let resolve: Verified<Resolve> = signed("resolve request", verify(verifier, asker, &request.question))?;
        let Resolve { cid: named, slot, promises, role } = *resolve.statement();
        if named != cid || slot != Slot::default() || promises != [first.id(), second.id()] || role != by {
            return Err(RequestError::Foreign("resolve request"));
        }
        let basis = vec![resolve.id(), first.id(), second.id()];
        Ok(Self { core: core.clone(), cid, slot, asked: Asked::Resolve { by }, basis })
    }

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
