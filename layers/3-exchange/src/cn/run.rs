//! What a party knows before the first message.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::Core;
use semper_core::cose::{Draft, Statement};
use semper_core::ids::Cid;
use semper_core::party::{KeySet, Role};
use semper_core::time::{Seconds, Time};

use super::circle::{Circle, CircleError, Round, SIGNERS_MAX};
use crate::arbiter::rules_hash;

/// One party's side of one contract: who signs, its own role and patience, and the arbiter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    circle: Circle,
    role: Role,
    arbiter: KeySet,
    patience: Seconds,
}

/// Why a contract cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// These parties cannot sign it.
    #[error("{0}")]
    Circle(#[from] CircleError),
    /// The contract names another arbiter.
    #[error("the contract names another arbiter than the one that is trusted here")]
    Arbiter,
    /// The contract names rules that this program does not know.
    #[error("the contract names arbiter's rules that this program does not know")]
    Rules,
    /// This party is not named in the contract.
    #[error("this party is not named in the contract")]
    NotMine,
}

impl Run {
    /// Prepares a run of `core` by the party with key set `me`. `key_sets` are those of all parties in the order of their roles.
    ///
    /// `arbiter` is the arbiter's key set, which the caller trusts for this contract; that is a decision of the user, taken before.
    /// `patience` is how long the party waits for each round before it ends the run with the arbiter's help.
    ///
    /// # Errors
    /// [`RunError`]: the contract must not be signed with these keys.
    pub fn new(
        core: Core,
        me: &KeySet,
        key_sets: Vec<KeySet>,
        arbiter: KeySet,
        patience: Seconds,
    ) -> Result<Self, RunError> {
        let named = core.terms.arbiter.filter(|named| named.key_set == arbiter.id()).ok_or(RunError::Arbiter)?;
        if named.rules != rules_hash() {
            return Err(RunError::Rules);
        }
        let circle = Circle::new(core, key_sets)?;
        let role = circle.core().role_of(me.id()).ok_or(RunError::NotMine)?;
        Ok(Self { circle, role, arbiter, patience })
    }

    /// Who signs what.
    pub fn circle(&self) -> &Circle {
        &self.circle
    }

    /// The contract.
    pub fn core(&self) -> &Core {
        self.circle.core()
    }

    /// The contract's identifier.
    pub fn cid(&self) -> Cid {
        self.circle.cid()
    }

    /// This party's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The arbiter's key set.
    pub fn arbiter(&self) -> &KeySet {
        &self.arbiter
    }

    /// How long this party waits for each round.
    pub fn patience(&self) -> Seconds {
        self.patience
    }

    /// This party's key set.
    pub(super) fn me(&self) -> &KeySet {
        self.circle.key_set(self.role).expect("a run's role is one of its circle")
    }

    /// This party's signature on a round.
    pub(super) fn round(&self, round: u8) -> Draft {
        self.draft(&Round { cid: self.cid(), role: self.role, round })
    }

    /// A statement of this party.
    pub(super) fn draft(&self, statement: &impl Statement) -> Draft {
        statement.draft(self.me().suite(), self.me().id())
    }

    /// Whether it is too late to send anything that might have to be defended before the arbiter.
    pub(super) fn is_late(&self, now: Time) -> bool {
        now > self.core().terms.deadlines.last_step()
    }
}

/// ```text
/// run = { 0: core, 1: role, 2: [3*8 key set], 3: arbiter's key set, 4: patience }
/// ```
impl Encode for Run {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, self.core())
            .put_item(1, &self.role)
            .put_list(2, self.circle.key_sets())
            .put_item(3, &self.arbiter)
            .put_item(4, &self.patience)
            .build()
    }
}

impl Decode for Run {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (core, role): (Core, Role) = (fields.item(0, "core")?, fields.item(1, "role")?);
        let key_sets: Vec<KeySet> = fields.list(2, "key sets", SIGNERS_MAX)?;
        let (arbiter, patience) = (fields.item(3, "arbiter")?, fields.item(4, "patience")?);
        fields.close()?;
        let broken = || DecodeError::field("run", Problem::OutOfRange("the stored run contradicts its contract"));
        let me = key_sets.get(usize::from(role.number())).cloned().ok_or_else(broken)?;
        Self::new(core, &me, key_sets, arbiter, patience).map_err(|_| broken())
    }
}
