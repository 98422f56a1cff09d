//! What can be claimed about a deal: a small language, as CBOR and as text.
//!
//! ```text
//! claim  = { 0: "did", 1: actor, 2: verb, ? 3: object, ? 4: value, ? 5: when } / { 0: "not", 1: claim } / { 0: "and" / "or", 1: [2* claim] }
//! object = { 0: "contract" / "transfer" / "payment", 1: digest, ? 2: part }         ; part: of a contract with several recipients
//! value  = { ? 0: least, ? 1: most }                               ; at least one of them, in one currency
//! when   = { ? 0: not before, ? 1: not after, ? 2: "log" }         ; at least one of 0 and 1
//! ```
//! A claim without an object is about anything of the case: something else may prove it, so it is refuted only where its proofs are overturned. Source: `spec/claims.md` §1.

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::hash::Digest;
use semper_core::ids::{Cid, ContainerId, Slot, StatementId};
use semper_core::party::Role;
use semper_core::time::Time;

use crate::evidence::{Dated, Source, Subject};

/// Deepest nesting of `not`, `and` and `or`.
pub const NESTING_MAX: usize = 4;
/// Most statements in one claim.
pub const STATEMENTS_MAX: usize = 64;
/// Most claims that one `and` or `or` joins.
pub const JOINED_MAX: usize = 16;

/// 9999-12-31T23:59:59Z.
const LAST: Time = Time::from_unix(253_402_300_799);

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// Somebody did something.
    Did(Did),
    /// The opposite of a claim.
    Not(Box<Claim>),
    /// All of these; at least two.
    And(Vec<Claim>),
    /// At least one of these; at least two are named.
    Or(Vec<Claim>),
}

/// "This party did this, about that, with so much money, at that time."
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did {
    /// Who.
    pub actor: Actor,
    /// What.
    pub verb: Verb,
    /// About what; `None`: anything of the case.
    pub object: Option<Subject>,
    /// How much money; for verbs about money only.
    pub value: Option<Interval>,
    /// When.
    pub when: Option<Period>,
}

/// Who is said to have done something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// A party of a contract, by its role.
    Party(Role),
    /// Who gives money.
    Payer,
    /// Who gets money.
    Payee,
    /// Who gives information.
    Sender,
    /// Who gets information.
    Receiver,
    /// The arbiter of a contract.
    Arbiter,
    /// Who stands for a party of a contract.
    Guarantor,
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// What somebody is said to have done. What proves it stands in the rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb { $($(#[$doc])* $name,)* }

        impl Verb {
            /// Every verb.
            pub const ALL: &'static [Verb] = &[$(Verb::$name),*];

            /// The word.
            pub const fn name(self) -> &'static str {
                match self { $(Verb::$name => $text,)* }
            }

            /// The verb with a word.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|verb| verb.name() == name)
            }
        }
    };
}

verbs! {
    /// Put something forward under its signature: a contract as its originator, a container as its sender, a request for payment.
    Offered = "offered";
    /// Signed a promise: bound, if the contract is completed.
    Promised = "promised";
    /// Is bound by the contract.
    Agreed = "agreed";
    /// Gave the money.
    Paid = "paid";
    /// Got the money.
    ReceivedMoney = "received-money";
    /// Gave the information.
    Delivered = "delivered";
    /// Got the information.
    Received = "received";
    /// Did not take what came.
    Refused = "refused";
    /// Ended the contract: nobody is bound.
    Aborted = "aborted";
    /// Completed the contract from both promises.
    Resolved = "resolved";
    /// Gave what is not what was promised.
    Faulted = "faulted";
    /// Has its money back, or nobody else can have it.
    Refunded = "refunded";
    /// Signed something that existed before a time, by a time-stamp.
    Stamped = "stamped";
    /// Asked the arbiter to abort or to complete the contract, or complained to it.
    Asked = "asked";
    /// Handed its promise, or what it sent under its signature, in for the other party.
    Submitted = "submitted";
    /// Handed its final in for the other party.
    SubmittedFinal = "submitted-final";
    /// Showed its right for what the contract gives, so that the use is gone.
    UsedRight = "used-right";
    /// Handed its money to the arbiter, through whose hands it goes.
    Deposited = "deposited";
    /// Has a guarantor that stands for it under the contract; or stands for somebody under it.
    Covered = "covered";
    /// Declared to the other party that it withdraws from the contract.
    Withdrew = "withdrew";
    /// Opened a dispute about the contract with the other party.
    Disputed = "disputed";
    /// Answered a dispute of the other party.
    Answered = "answered";
    /// Acknowledged what the other party claims in a dispute, or did not contest it.
    Conceded = "conceded";
}

/// An amount of money between two bounds of one currency, both included. At least one bound is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    currency: Currency,
    least: Option<u64>,
    most: Option<u64>,
}

/// A span of time between two instants, both included. At least one of them is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    not_before: Option<Time>,
    not_after: Option<Time>,
    /// Who has to say so at least.
    source: Source,
}

impl Interval {
    /// The amounts from `least` to `most`. `None` if neither is given, the currencies differ, or no amount lies between.
    pub fn new(least: Option<Amount>, most: Option<Amount>) -> Option<Self> {
        let currency = least.or(most)?.currency();
        let one = [least, most].iter().flatten().all(|amount| amount.currency() == currency);
        let (least, most) = (least.map(|amount| amount.minor()), most.map(|amount| amount.minor()));
        let empty = least.zip(most).is_some_and(|(least, most)| least > most);
        (one && !empty).then_some(Self { currency, least, most })
    }

    /// At least this.
    pub fn at_least(amount: Amount) -> Self {
        Self { currency: amount.currency(), least: Some(amount.minor()), most: None }
    }

    /// The lower bound.
    pub fn least(&self) -> Option<Amount> {
        self.bound(self.least)
    }

    /// The upper bound.
    pub fn most(&self) -> Option<Amount> {
        self.bound(self.most)
    }

    /// Whether `amount` lies between the bounds.
    pub fn holds(&self, amount: Amount) -> bool {
        amount.currency() == self.currency
            && self.least.is_none_or(|least| amount.minor() >= least)
            && self.most.is_none_or(|most| amount.minor() <= most)
    }

    /// Whether every amount of this interval lies in the other.
    pub fn lies_in(&self, other: &Self) -> bool {
        let above = other.least.is_none_or(|bound| self.least.is_some_and(|least| least >= bound));
        let below = other.most.is_none_or(|bound| self.most.is_some_and(|most| most <= bound));
        self.currency == other.currency && above && below
    }

    fn bound(&self, minor: Option<u64>) -> Option<Amount> {
        Some(Amount::new(minor?, self.currency).expect("a bound was an amount"))
    }
}

impl Period {
    /// The time from `not_before` to `not_after`, as `source` says at least. `None` if neither is given, no instant lies between, a time-stamp
    /// is to say "not before", which none does, or a year has five digits, which the text form cannot say.
    pub fn new(not_before: Option<Time>, not_after: Option<Time>, source: Source) -> Option<Self> {
        let some = not_before.is_some() || not_after.is_some();
        let empty = not_before.zip(not_after).is_some_and(|(from, to)| from > to);
        let written = not_before.max(not_after) <= Some(LAST);
        let said = source != Source::Stamp || not_before.is_none();
        (some && !empty && said && written).then_some(Self { not_before, not_after, source })
    }

    /// The first instant.
    pub fn not_before(&self) -> Option<Time> {
        self.not_before
    }

    /// The last instant.
    pub fn not_after(&self) -> Option<Time> {
        self.not_after
    }

    /// Who has to say so at least.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether something with this date happened in this span. What a time-stamp dates happened before, at any time.
    pub fn holds(&self, dated: Dated) -> bool {
        dated.source >= self.source
            && self.not_before.is_none_or(|from| dated.source != Source::Stamp && dated.time >= from)
            && self.not_after.is_none_or(|to| dated.time <= to)
    }

    /// Whether everything that happened in this span happened in the other.
    pub fn lies_in(&self, other: &Self) -> bool {
        let after = other.not_before.is_none_or(|bound| self.not_before.is_some_and(|from| from >= bound));
        let before = other.not_after.is_none_or(|bound| self.not_after.is_some_and(|to| to <= bound));
        self.source >= other.source && after && before
    }
}

impl Verb {
    /// Whether claims with this verb may say how much.
    pub const fn is_about_money(self) -> bool {
        matches!(self, Verb::Paid | Verb::ReceivedMoney | Verb::Refunded | Verb::Deposited | Verb::Covered)
    }
}

impl Did {
    /// "This party did this."
    pub fn new(actor: Actor, verb: Verb) -> Self {
        Self { actor, verb, object: None, value: None, when: None }
    }

    /// The same about one thing.
    #[must_use]
    pub fn about(self, object: Subject) -> Self {
        Self { object: Some(object), ..self }
    }

    /// The same about at least this much money.
    #[must_use]
    pub fn at_least(self, amount: Amount) -> Self {
        Self { value: Some(Interval::at_least(amount)), ..self }
    }

    /// Whether whoever proves this has proven `weaker`.
    pub fn implies(&self, weaker: &Self) -> bool {
        fn within<T>(mine: Option<&T>, other: Option<&T>, lies_in: impl Fn(&T, &T) -> bool) -> bool {
            other.is_none_or(|other| mine.is_some_and(|mine| lies_in(mine, other)))
        }
        (self.actor, self.verb) == (weaker.actor, weaker.verb)
            && within(self.object.as_ref(), weaker.object.as_ref(), PartialEq::eq)
            && within(self.value.as_ref(), weaker.value.as_ref(), Interval::lies_in)
            && within(self.when.as_ref(), weaker.when.as_ref(), Period::lies_in)
    }
}

impl Claim {
    /// Whether the claim keeps the bounds and rules of the language.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(&self) -> Result<(), &'static str> {
        let mut statements = 0;
        self.check_at(0, &mut statements)?;
        if statements > STATEMENTS_MAX { Err("a claim has at most 64 statements") } else { Ok(()) }
    }

    fn check_at(&self, depth: usize, statements: &mut usize) -> Result<(), &'static str> {
        if depth > NESTING_MAX {
            return Err("a claim is nested at most 4 deep");
        }
        match self {
            Claim::Did(did) => {
                *statements += 1;
                if did.value.is_some() && !did.verb.is_about_money() {
                    return Err("only claims about money say how much");
                }
                Ok(())
            }
            Claim::Not(claim) => claim.check_at(depth + 1, statements),
            Claim::And(claims) | Claim::Or(claims) => {
                if !(2..=JOINED_MAX).contains(&claims.len()) {
                    return Err("\"and\" and \"or\" join 2 to 16 claims");
                }
                claims.iter().try_for_each(|claim| claim.check_at(depth + 1, statements))
            }
        }
    }

    /// The statements in it.
    pub fn statements(&self) -> Vec<&Did> {
        match self {
            Claim::Did(did) => vec![did],
            Claim::Not(claim) => claim.statements(),
            Claim::And(claims) | Claim::Or(claims) => claims.iter().flat_map(Claim::statements).collect(),
        }
    }

    /// The same claim with what `change` makes of each statement.
    #[must_use]
    pub fn map(&self, change: &impl Fn(&Did) -> Did) -> Self {
        let all = |claims: &[Claim]| claims.iter().map(|claim| claim.map(change)).collect();
        match self {
            Claim::Did(did) => Claim::Did(change(did)),
            Claim::Not(claim) => Claim::Not(Box::new(claim.map(change))),
            Claim::And(claims) => Claim::And(all(claims)),
            Claim::Or(claims) => Claim::Or(all(claims)),
        }
    }
}

/// The words for the actors that are no roles.
const ACTORS: [(Actor, &str); 6] = [
    (Actor::Payer, "payer"),
    (Actor::Payee, "payee"),
    (Actor::Sender, "sender"),
    (Actor::Receiver, "receiver"),
    (Actor::Arbiter, "arbiter"),
    (Actor::Guarantor, "guarantor"),
];

impl Actor {
    /// The word: that of a role, `payer`, `payee`, `sender`, `receiver`, `arbiter`; roles above the second are `signer-3` and so on.
    pub fn name(self) -> String {
        match (self, ACTORS.iter().find(|(actor, _)| *actor == self)) {
            (_, Some((_, name))) => (*name).to_owned(),
            (Actor::Party(role), None) => role.to_string().replace(' ', "-"),
            (_, None) => unreachable!("every other actor has its word"),
        }
    }

    /// The actor with a word.
    pub fn from_name(name: &str) -> Option<Self> {
        if let Some((actor, _)) = ACTORS.iter().find(|(_, word)| *word == name) {
            return Some(*actor);
        }
        (0..=u8::MAX).map(|number| Actor::Party(Role::numbered(number))).find(|actor| actor.name() == name)
    }
}

impl Encode for Subject {
    fn to_value(&self) -> Value {
        let part = if let Subject::Part(_, part) = self { Some(part.to_value()) } else { None };
        record().put(0, self.kind()).put_item(1, self.digest()).put_some(2, part).build()
    }
}

impl Subject {
    /// The word for what kind of thing it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Subject::Contract(_) | Subject::Part(..) => "contract",
            Subject::Transfer(_) => "transfer",
            Subject::Payment(_) => "payment",
        }
    }

    /// The thing of a kind with an identifier, or a part of it; only contracts have parts.
    pub fn of(kind: &str, digest: Digest, part: Option<Slot>) -> Option<Self> {
        match (kind, part) {
            ("contract", None) => Some(Subject::Contract(Cid::from_digest(digest))),
            ("contract", Some(part)) => Some(Subject::Part(Cid::from_digest(digest), part)),
            ("transfer", None) => Some(Subject::Transfer(ContainerId::from_digest(digest))),
            ("payment", None) => Some(Subject::Payment(StatementId::from_digest(digest))),
            _ => None,
        }
    }
}

impl Decode for Subject {
    const BYTES_MAX: usize = 64;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (kind, digest) = (fields.text(0, "kind", 16)?, fields.item(1, "identifier")?);
        let part = fields.optional_item(2, "part")?;
        fields.close()?;
        Self::of(&kind, digest, part)
            .ok_or_else(|| DecodeError::field("kind", Problem::Unknown { what: "kind of object", found: kind }))
    }
}

impl Encode for Interval {
    fn to_value(&self) -> Value {
        let bound = |amount: Option<Amount>| amount.map(|amount| amount.to_value());
        record().put_some(0, bound(self.least())).put_some(1, bound(self.most())).build()
    }
}

impl Decode for Interval {
    const BYTES_MAX: usize = 64;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (least, most) = (fields.optional_item(0, "least")?, fields.optional_item(1, "most")?);
        fields.close()?;
        let rule = "a value has a bound, in one currency, and the lower one is not above the upper one";
        Self::new(least, most).ok_or(DecodeError::field("", Problem::OutOfRange(rule)))
    }
}

impl Encode for Period {
    fn to_value(&self) -> Value {
        record()
            .put_some(0, self.not_before.map(|time| time.to_value()))
            .put_some(1, self.not_after.map(|time| time.to_value()))
            .put_some(2, self.source.name())
            .build()
    }
}

impl Decode for Period {
    const BYTES_MAX: usize = 64;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (from, to) = (fields.optional_item(0, "not before")?, fields.optional_item(1, "not after")?);
        let source = match fields.optional_item::<String>(2, "source")?.as_deref() {
            None => Source::Claimed,
            Some(name) => Source::from_name(name).ok_or(DecodeError::field(
                "source",
                Problem::OutOfRange("a source is \"log\", \"stamp\" or nothing"),
            ))?,
        };
        fields.close()?;
        let rule = "a time has a bound, the first is not after the last, and no time-stamp says \"after\"";
        Self::new(from, to, source).ok_or(DecodeError::field("", Problem::OutOfRange(rule)))
    }
}

impl Encode for Claim {
    fn to_value(&self) -> Value {
        match self {
            Claim::Did(Did { actor, verb, object, value, when }) => record()
                .put(0, "did")
                .put(1, actor.name())
                .put(2, verb.name())
                .put_some(3, object.map(|object| object.to_value()))
                .put_some(4, value.map(|value| value.to_value()))
                .put_some(5, when.map(|when| when.to_value()))
                .build(),
            Claim::Not(claim) => record().put(0, "not").put_item(1, &**claim).build(),
            Claim::And(claims) => record().put(0, "and").put_list(1, claims).build(),
            Claim::Or(claims) => record().put(0, "or").put_list(1, claims).build(),
        }
    }
}

impl Decode for Claim {
    const BYTES_MAX: usize = 16 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let claim = match fields.text(0, "form", 8)?.as_str() {
            "did" => Claim::Did(did(&mut fields)?),
            "not" => Claim::Not(Box::new(fields.item(1, "claim")?)),
            "and" => Claim::And(fields.list(1, "claims", JOINED_MAX)?),
            "or" => Claim::Or(fields.list(1, "claims", JOINED_MAX)?),
            other => {
                let found = other.to_owned();
                return Err(DecodeError::field("form", Problem::Unknown { what: "form of claim", found }));
            }
        };
        fields.close()?;
        claim.check().map_err(|rule| DecodeError::field("", Problem::OutOfRange(rule)))?;
        Ok(claim)
    }
}

fn did(fields: &mut Fields) -> Result<Did, DecodeError> {
    let unknown = |field: &str, what, found| DecodeError::field(field, Problem::Unknown { what, found });
    let (actor, verb) = (fields.text(1, "actor", 16)?, fields.text(2, "verb", 16)?);
    Ok(Did {
        actor: Actor::from_name(&actor).ok_or_else(|| unknown("actor", "actor", actor))?,
        verb: Verb::from_name(&verb).ok_or_else(|| unknown("verb", "verb", verb))?,
        object: fields.optional_item(3, "object")?,
        value: fields.optional_item(4, "value")?,
        when: fields.optional_item(5, "when")?,
    })
}
