//! What a party knows before the first message.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::{Core, Final, ItemKind, Promise};
use semper_core::cose::{Draft, Statement};
use semper_core::ids::{Cid, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::time::Seconds;

use crate::arbiter::rules_hash;

/// One party's side of one contract: the contract, the keys, its own role and patience.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    core: Core,
    cid: Cid,
    role: Role,
    key_sets: [KeySet; 2],
    arbiter: KeySet,
    patience: Seconds,
}

/// Why a contract cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The contract is not between these two key sets.
    #[error("the contract is not between the two parties whose keys are given")]
    Parties,
    /// Both parties hold the same key: somebody plays both sides.
    #[error("both parties hold the same key")]
    SelfDeal,
    /// The contract names another arbiter.
    #[error("the contract names another arbiter than the one that is trusted here")]
    Arbiter,
    /// The contract names rules that this program does not know.
    #[error("the contract names arbiter's rules that this program does not know")]
    Rules,
    /// The contract exchanges something that this protocol does not.
    #[error("this protocol exchanges signatures only, the contract names something else")]
    Items,
    /// This party is not named in the contract.
    #[error("this party is not named in the contract")]
    NotMine,
}

impl Run {
    /// Prepares a run of `core` by the party with key set `me`.
    ///
    /// `arbiter` is the arbiter's key set, which the caller trusts for this contract; that is a decision of the user, taken before.
    /// `patience` is how long the party waits for each message before it ends the run with the arbiter's help.
    ///
    /// # Errors
    /// [`RunError`]: the contract must not be signed with these keys.
    pub fn new(
        core: Core,
        me: &KeySet,
        key_sets: [KeySet; 2],
        arbiter: KeySet,
        patience: Seconds,
    ) -> Result<Self, RunError> {
        let [originator, responder] = &key_sets;
        let named = core.terms.parties.len() == 2
            && core.party(Role::ORIGINATOR) == Some(originator.id())
            && core.party(Role::RESPONDER) == Some(responder.id());
        if !named {
            return Err(RunError::Parties);
        }
        if originator.shares_a_key_with(responder) {
            return Err(RunError::SelfDeal);
        }
        if core.terms.arbiter.key_set != arbiter.id() {
            return Err(RunError::Arbiter);
        }
        if core.terms.arbiter.rules != rules_hash() {
            return Err(RunError::Rules);
        }
        if core.terms.items.iter().any(|item| item.kind != ItemKind::Signature) {
            return Err(RunError::Items);
        }
        let role = core.role_of(me.id()).ok_or(RunError::NotMine)?;
        let cid = core.cid();
        Ok(Self { core, cid, role, key_sets, arbiter, patience })
    }

    /// The contract.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The contract's identifier.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// This party's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The key set of a role.
    pub fn key_set(&self, role: Role) -> &KeySet {
        &self.key_sets[usize::from(role == Role::RESPONDER)]
    }

    /// Both key sets.
    pub fn key_sets(&self) -> &[KeySet; 2] {
        &self.key_sets
    }

    /// The arbiter's key set.
    pub fn arbiter(&self) -> &KeySet {
        &self.arbiter
    }

    /// How long this party waits for each message.
    pub fn patience(&self) -> Seconds {
        self.patience
    }

    /// This party's promise; `answers` is the originator's promise, in the responder's.
    pub(super) fn promise(&self, answers: Option<StatementId>) -> Draft {
        self.draft(&Promise { cid: self.cid, role: self.role, answers })
    }

    /// This party's final.
    pub(super) fn completion(&self, promises: [StatementId; 2]) -> Draft {
        self.draft(&Final { cid: self.cid, role: self.role, promises })
    }

    /// A statement of this party.
    pub(super) fn draft(&self, statement: &impl Statement) -> Draft {
        let mine = self.key_set(self.role);
        statement.draft(mine.suite(), mine.id())
    }
}

impl Encode for Run {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.core)
            .put_item(1, &self.role)
            .put_list(2, &self.key_sets)
            .put_item(3, &self.arbiter)
            .put_item(4, &self.patience)
            .build()
    }
}

impl Decode for Run {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (core, role): (Core, Role) = (fields.item(0, "core")?, fields.item(1, "role")?);
        let key_sets: Vec<KeySet> = fields.list(2, "key sets", 2)?;
        let (arbiter, patience) = (fields.item(3, "arbiter")?, fields.item(4, "patience")?);
        fields.close()?;
        let broken = |rule| DecodeError::field("run", Problem::OutOfRange(rule));
        let key_sets: [KeySet; 2] = key_sets.try_into().map_err(|_| broken("two key sets are needed"))?;
        let me = key_sets[usize::from(role == Role::RESPONDER)].clone();
        Self::new(core, &me, key_sets, arbiter, patience).map_err(|_| broken("the stored run contradicts its contract"))
    }
}
