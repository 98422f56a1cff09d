//! Decisions: what a judge found, with what anybody needs to find it again.
//!
//! ```text
//! decision   = { 0: 1, 1: case hash, 2: rules hash, 3: policy, 4: [* ruling], 5: [* misconduct] }
//! ruling     = { 0: claim, 1: "proven" / "refuted" / "undecided", 2: [* ground], ? 3: claim, 4: [* text] }
//! ground     = { 0: rule, 1: [* digest] }
//! misconduct = { 0: "two-verdicts" / "completed-after-abort" / "aborted-after-completion", 1: cid, ? 2: role }
//! ```
//! 3 of a ruling is the strongest part of the claim that is proven; 4 is what is missing.

use std::fmt;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::hash::Digest;
use semper_core::ids::Cid;
use semper_core::party::{KeySet, Role};
use semper_core::signature::{SignatureError, Verified, Verify, verify};

use super::case::{Case, Policy};
use super::claim::Claim;
use super::judge::judge;
use super::rules::rules_hash;
use crate::evidence::{Checks, Finding};

/// Most claims in one decision.
pub const CLAIMS_MAX: usize = 256;
/// Most grounds of one ruling; what is proven by more is proven by these.
pub(super) const GROUNDS_MAX: usize = 64;
/// Most pieces of evidence of one ground, missing pieces, and findings of misconduct.
const LIST_MAX: usize = 4096;
const WORDS_MAX: usize = 1024;

/// What a judge found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The hash of the case.
    pub case: Digest,
    /// The hash of the rules.
    pub rules: Digest,
    /// By which policy.
    pub policy: Policy,
    /// For each claim what was found, in the order of the claims.
    pub rulings: Vec<Ruling>,
    /// Misconduct that the case proves, whatever was claimed.
    pub misconduct: Vec<Misconduct>,
}

/// What was found about one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The claim.
    pub claim: Claim,
    /// What was found.
    pub outcome: Outcome,
    /// Why, if it was decided.
    pub grounds: Vec<Ground>,
    /// The strongest part of the claim that is proven, if the claim is not.
    pub instead: Option<Claim>,
    /// What would prove it, in words, if nothing was decided; any one of them.
    pub missing: Vec<String>,
}

/// What can be found about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The case proves it.
    Proven,
    /// The case proves the opposite.
    Refuted,
    /// The case proves neither.
    Undecided,
}

/// A line of the rules and the evidence that completes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ground {
    /// The name of the line.
    pub rule: String,
    /// Identifiers of contracts, containers and statements; hashes of everything else. In order.
    pub evidence: Vec<Digest>,
}

/// Misconduct that a case proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misconduct {
    /// The arbiter signed two verdicts on one contract, or one beside its word that nobody had asked in time.
    TwoVerdicts(Cid),
    /// A party asked for an abort and completed the contract all the same.
    CompletedAfterAbort(Cid, Role),
    /// A contract was aborted that both had completed: by the arbiter, or by the originator, who alone can have asked for it.
    AbortedAfterCompletion(Cid),
    /// The issuer of the right that is shown gave one use to two contracts, or took two for one.
    UseGivenTwice(Cid),
}

/// Why a decision cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Uncheckable {
    /// The decision is about other evidence.
    #[error("the decision is about another case: other evidence, more of it or less")]
    OtherCase,
    /// The decision was made by other rules.
    #[error("the decision was made by other rules than those of this version")]
    OtherRules,
}

impl Decision {
    /// What the same judge should have found: equal to this decision, if it is right.
    ///
    /// # Errors
    /// [`Uncheckable`].
    pub fn again(&self, checks: &Checks<'_>, case: &Case) -> Result<Self, Uncheckable> {
        if self.rules != rules_hash() {
            return Err(Uncheckable::OtherRules);
        }
        if self.case != case.hash() {
            return Err(Uncheckable::OtherCase);
        }
        let claims: Vec<_> = self.rulings.iter().map(|ruling| ruling.claim.clone()).collect();
        Ok(judge(checks, case, &claims, &self.policy))
    }
}

impl Ruling {
    /// Nothing was decided about the claim, for this reason.
    pub(super) fn undecided(claim: Claim, missing: String) -> Self {
        Self { claim, outcome: Outcome::Undecided, grounds: Vec::new(), instead: None, missing: vec![missing] }
    }

    /// What is proven: the claim, or the part of it that is.
    pub fn proves(&self) -> Option<Claim> {
        if self.outcome == Outcome::Proven { Some(self.claim.clone()) } else { self.instead.clone() }
    }
}

const OUTCOMES: [(Outcome, &str); 3] =
    [(Outcome::Proven, "proven"), (Outcome::Refuted, "refuted"), (Outcome::Undecided, "undecided")];

impl Outcome {
    /// What the opposite claim is.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Outcome::Proven => Outcome::Refuted,
            Outcome::Refuted => Outcome::Proven,
            Outcome::Undecided => Outcome::Undecided,
        }
    }

    /// The word.
    pub fn name(self) -> &'static str {
        OUTCOMES[self as usize].1
    }
}

impl Misconduct {
    /// The misconduct of a finding, if it is one.
    pub fn of(finding: &Finding) -> Option<Self> {
        match finding {
            Finding::ArbiterEquivocated { cid } => Some(Misconduct::TwoVerdicts(*cid)),
            Finding::CompletedAfterAbort { cid, role } => Some(Misconduct::CompletedAfterAbort(*cid, *role)),
            Finding::AbortedAfterCompletion { cid } => Some(Misconduct::AbortedAfterCompletion(*cid)),
            Finding::UseGivenTwice { cid } => Some(Misconduct::UseGivenTwice(*cid)),
            _ => None,
        }
    }

    fn finding(self) -> Finding {
        match self {
            Misconduct::TwoVerdicts(cid) => Finding::ArbiterEquivocated { cid },
            Misconduct::CompletedAfterAbort(cid, role) => Finding::CompletedAfterAbort { cid, role },
            Misconduct::AbortedAfterCompletion(cid) => Finding::AbortedAfterCompletion { cid },
            Misconduct::UseGivenTwice(cid) => Finding::UseGivenTwice { cid },
        }
    }
}

impl fmt::Display for Misconduct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding().fmt(f)
    }
}

impl Statement for Decision {
    const KIND: Kind = Kind::Decision;
}

impl Encode for Decision {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.case)
            .put_item(2, &self.rules)
            .put_item(3, &self.policy)
            .put_list(4, &self.rulings)
            .put_list(5, &self.misconduct)
            .build()
    }
}

impl Decode for Decision {
    const BYTES_MAX: usize = 4 * 1024 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let decision = Self {
            case: fields.item(1, "case")?,
            rules: fields.item(2, "rules")?,
            policy: fields.item(3, "policy")?,
            rulings: fields.list(4, "rulings", CLAIMS_MAX)?,
            misconduct: fields.list(5, "misconduct", LIST_MAX)?,
        };
        fields.close()?;
        Ok(decision)
    }
}

impl Encode for Ruling {
    fn to_value(&self) -> Value {
        let missing: Vec<Value> = self.missing.iter().map(|text| text.as_str().into()).collect();
        record()
            .put_item(0, &self.claim)
            .put(1, self.outcome.name())
            .put_list(2, &self.grounds)
            .put_some(3, self.instead.as_ref().map(Encode::to_value))
            .put(4, missing)
            .build()
    }
}

impl Decode for Ruling {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let claim = fields.item(0, "claim")?;
        let name = fields.text(1, "outcome", 16)?;
        let outcome = OUTCOMES.iter().find(|(_, text)| *text == name).map(|(outcome, _)| *outcome);
        let outcome =
            outcome.ok_or(DecodeError::field("outcome", Problem::Unknown { what: "outcome", found: name }))?;
        let (grounds, instead) = (fields.list(2, "grounds", GROUNDS_MAX)?, fields.optional_item(3, "instead")?);
        let missing: Vec<String> = fields.list(4, "missing", LIST_MAX)?;
        fields.close()?;
        if missing.iter().any(|text| text.len() > WORDS_MAX) {
            return Err(DecodeError::field("missing", Problem::Oversized { limit: WORDS_MAX }));
        }
        Ok(Self { claim, outcome, grounds, instead, missing })
    }
}

impl Encode for Ground {
    fn to_value(&self) -> Value {
        record().put(0, self.rule.as_str()).put_list(1, &self.evidence).build()
    }
}

impl Decode for Ground {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let ground = Self { rule: fields.text(0, "rule", 64)?, evidence: fields.list(1, "evidence", LIST_MAX)? };
        fields.close()?;
        Ok(ground)
    }
}

impl Encode for Misconduct {
    fn to_value(&self) -> Value {
        let (name, cid, role) = match self {
            Misconduct::TwoVerdicts(cid) => ("two-verdicts", cid, None),
            Misconduct::CompletedAfterAbort(cid, role) => ("completed-after-abort", cid, Some(role.to_value())),
            Misconduct::AbortedAfterCompletion(cid) => ("aborted-after-completion", cid, None),
            Misconduct::UseGivenTwice(cid) => ("use-given-twice", cid, None),
        };
        record().put(0, name).put_item(1, cid).put_some(2, role).build()
    }
}

impl Decode for Misconduct {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (name, cid) = (fields.text(0, "kind", 32)?, fields.item(1, "contract")?);
        let misconduct = match name.as_str() {
            "two-verdicts" => Misconduct::TwoVerdicts(cid),
            "completed-after-abort" => Misconduct::CompletedAfterAbort(cid, fields.item(2, "role")?),
            "aborted-after-completion" => Misconduct::AbortedAfterCompletion(cid),
            "use-given-twice" => Misconduct::UseGivenTwice(cid),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "misconduct", found: name })),
        };
        fields.close()?;
        Ok(misconduct)
    }
}

/// A signed decision with the key set of whoever judged: the file that a judge gives out.
///
/// ```text
/// signed-decision = { 0: "semper-decision", 1: 1, 2: signed decision, 3: key set }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDecision {
    /// A signed [`Decision`].
    pub signed: Signed,
    /// The judge's keys.
    pub judge: KeySet,
}

impl SignedDecision {
    /// The decision, if it is signed with these keys.
    ///
    /// # Errors
    /// It is not.
    pub fn read(&self, verifier: &dyn Verify) -> Result<Verified<Decision>, SignatureError> {
        verify(verifier, &self.judge, &self.signed)
    }
}

const MAGIC: &str = "semper-decision";

impl Encode for SignedDecision {
    fn to_value(&self) -> Value {
        record().put(0, MAGIC).put(1, 1_u64).put_item(2, &self.signed).put_item(3, &self.judge).build()
    }
}

impl Decode for SignedDecision {
    const BYTES_MAX: usize = Decision::BYTES_MAX + 64 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        if fields.text(0, "name", 32)? != MAGIC {
            return Err(DecodeError::field("name", Problem::OutOfRange("this is not a decision")));
        }
        fields.version(1, 1)?;
        let decision = Self { signed: fields.item(2, "decision")?, judge: fields.item(3, "judge")? };
        fields.close()?;
        Ok(decision)
    }
}
