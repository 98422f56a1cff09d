//! Who signs a contract of many parties, and what their signatures are on.

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::contract::{Core, Profile};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::ids::{Cid, StatementId};
use semper_core::party::{KeySet, Role};
use semper_core::signature::{SignatureError, Verified, Verify, verify};
use semper_support::flaws::{self, Flaw};

/// Fewest signers; two sign by [`crate::gx`].
pub const SIGNERS_MIN: usize = 3;
/// Most signers: what they send grows with the cube of their number.
pub const SIGNERS_MAX: usize = ROUNDS_MAX as usize - 1;
/// Most rounds: one more than there can be parties.
pub const ROUNDS_MAX: u8 = 9;

/// How many rounds so many parties sign: one more than there are parties.
pub fn rounds(parties: usize) -> u8 {
    let more = if flaws::active(Flaw::TooFewRounds) { 0 } else { 1 };
    u8::try_from(parties).unwrap_or(u8::MAX).saturating_add(more)
}

/// "I sign this round of the contract." Only all signatures of the last round are a contract.
///
/// ```text
/// round = { 0: 1, 1: cid, 2: role, 3: round (1..9) }
/// ```
/// Nothing else is signed: signatures of one round must agree, whatever their bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Round {
    /// The contract.
    pub cid: Cid,
    /// The signer's role.
    pub role: Role,
    /// The round, from 1.
    pub round: u8,
}

/// The parties of one contract and their keys. Only [`Circle::new`] makes one, so that its parts fit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Circle {
    core: Core,
    cid: Cid,
    key_sets: Vec<KeySet>,
}

/// Why a contract cannot be signed by these parties.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CircleError {
    /// The contract runs under another protocol.
    #[error("the contract is not one that many parties sign")]
    Profile,
    /// Too few parties or too many.
    #[error("a contract of many parties has {SIGNERS_MIN} to {SIGNERS_MAX} of them, not {0}")]
    Parties(usize),
    /// Something else than signatures is to change hands.
    #[error("a contract of many parties exchanges signatures and nothing else")]
    Items,
    /// The key sets are not those of the parties, in the order of their roles.
    #[error("the contract is not between the parties whose keys are given")]
    KeySets,
    /// Two parties hold the same key: somebody plays two roles.
    #[error("two parties hold the same key")]
    SharedKey,
}

/// Why a signature of a round counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RoundError {
    /// It is not validly signed by a party.
    #[error("the signature of the {role} is not acceptable: {error}")]
    Signature {
        /// Whose it should be.
        role: Role,
        /// What is wrong with it.
        error: SignatureError,
    },
    /// It belongs to another contract, party or round.
    #[error("the signature belongs to another contract, party or round")]
    Foreign,
}

impl Circle {
    /// The circle of a contract; `key_sets` are in the order of the roles.
    ///
    /// # Errors
    /// [`CircleError`]: the contract must not be signed.
    pub fn new(core: Core, key_sets: Vec<KeySet>) -> Result<Self, CircleError> {
        if core.terms.profile != Profile::Cn {
            return Err(CircleError::Profile);
        }
        let parties = &core.terms.parties;
        if !(SIGNERS_MIN..=SIGNERS_MAX).contains(&parties.len()) {
            return Err(CircleError::Parties(parties.len()));
        }
        if !core.terms.items.is_empty() || !core.deposits.is_empty() {
            return Err(CircleError::Items);
        }
        let in_order = parties.iter().enumerate().all(|(place, party)| usize::from(party.role.number()) == place);
        let named = parties.iter().map(|party| party.key_set).eq(key_sets.iter().map(KeySet::id));
        if !in_order || !named {
            return Err(CircleError::KeySets);
        }
        let shared =
            |(place, one): (usize, &KeySet)| key_sets[..place].iter().any(|other| other.shares_a_key_with(one));
        if key_sets.iter().enumerate().any(shared) {
            return Err(CircleError::SharedKey);
        }
        let cid = core.cid();
        Ok(Self { core, cid, key_sets })
    }

    /// The contract.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The contract's identifier.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// The key sets, in the order of the roles.
    pub fn key_sets(&self) -> &[KeySet] {
        &self.key_sets
    }

    /// The roles.
    pub fn roles(&self) -> impl Iterator<Item = Role> + use<> {
        (0..u8::try_from(self.key_sets.len()).unwrap_or(u8::MAX)).map(Role::numbered)
    }

    /// How many parties there are.
    pub fn parties(&self) -> usize {
        self.key_sets.len()
    }

    /// How many rounds there are.
    pub fn rounds(&self) -> u8 {
        rounds(self.parties())
    }

    /// The key set of a role, if there is such a role.
    pub fn key_set(&self, role: Role) -> Option<&KeySet> {
        self.key_sets.get(usize::from(role.number()))
    }

    /// Who the signer of a statement is in this contract.
    pub fn signer(&self, signed: &Signed) -> Option<Role> {
        self.core.role_of(signed.signer())
    }

    /// Checks that `signed` is the signature of its signer on some round of this contract; whose, and on which.
    pub(crate) fn check(&self, verifier: &dyn Verify, signed: &Signed) -> Result<(Role, u8), RoundError> {
        let role = self.signer(signed).ok_or(RoundError::Foreign)?;
        let key_set = self.key_set(role).ok_or(RoundError::Foreign)?;
        let wrong = |error| RoundError::Signature { role, error };
        let checked: Verified<Round> = verify(verifier, key_set, signed).map_err(wrong)?;
        let said = checked.statement();
        let known = said.cid == self.cid && said.role == role && (1..=self.rounds()).contains(&said.round);
        if known { Ok((role, said.round)) } else { Err(RoundError::Foreign) }
    }

    /// Checks a sheet: the signatures of all parties on one round, in the order of the roles.
    pub(crate) fn check_sheet(&self, verifier: &dyn Verify, sheet: &[Signed], round: u8) -> Result<(), RoundError> {
        if sheet.len() != self.parties() {
            return Err(RoundError::Foreign);
        }
        self.roles().zip(sheet).try_for_each(|(role, signed)| {
            if self.check(verifier, signed)? == (role, round) { Ok(()) } else { Err(RoundError::Foreign) }
        })
    }

    /// The round that a sheet is of, by what its first signature says.
    pub(crate) fn round_of(sheet: &[Signed]) -> Option<u8> {
        let first = sheet.first().filter(|signed| signed.kind() == Kind::Round)?;
        Round::from_bytes(first.payload()).ok().map(|said| said.round)
    }

    /// The identifiers of all signatures of a round, whether or not anybody has made them.
    pub fn sheet_ids(&self, round: u8) -> Vec<StatementId> {
        let id = |(role, key_set): (Role, &KeySet)| {
            Round { cid: self.cid, role, round }.draft(key_set.suite(), key_set.id()).id()
        };
        self.roles().zip(&self.key_sets).map(id).collect()
    }
}

impl Statement for Round {
    const KIND: Kind = Kind::Round;
}

impl Encode for Round {
    fn to_value(&self) -> Value {
        record().put(0, 1_u64).put_item(1, &self.cid).put_item(2, &self.role).put(3, u64::from(self.round)).build()
    }
}

impl Decode for Round {
    const BYTES_MAX: usize = 128;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let said =
            Self { cid: fields.item(1, "cid")?, role: fields.item(2, "role")?, round: round_field(&mut fields, 3)? };
        fields.close()?;
        Ok(said)
    }
}

/// Reads the number of a round.
pub(crate) fn round_field(fields: &mut Fields, key: u64) -> Result<u8, DecodeError> {
    let round = fields.small(key, "round")?;
    in_range(round)
}

pub(crate) fn in_range(round: u8) -> Result<u8, DecodeError> {
    if (1..=ROUNDS_MAX).contains(&round) {
        return Ok(round);
    }
    Err(DecodeError::field("round", Problem::OutOfRange("rounds are numbered from 1 to 9")))
}
