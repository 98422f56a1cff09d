//! Judging: from a case, claims and a policy to a decision. A pure function: no clock, no network, and the same on every machine.

use std::collections::{BTreeMap, BTreeSet};

use semper_core::amount::Amount;
use semper_core::cbor::Decode;
use semper_core::contract::{Core, Profile};
use semper_core::hash::Digest;
use semper_core::ids::StatementId;
use semper_core::party::Role;
use semper_core::time::Time;
use semper_transfer::payment::statement::Side;

use super::case::{Case, Policy};
use super::claim::{Actor, Claim, Did, Interval, Period, Verb};
use super::decision::{Decision, GROUNDS_MAX, Ground, Misconduct, Outcome, Ruling};
use super::rules::{Condition, Effect, Evidence, Needs, Piece, Rule, Who, chapter, rules_hash};
use crate::evidence::{Checks, Contract, Dated, Fact, Report, Source, Subject, What};
use crate::gx::{Leg, Price};

/// Decides about claims. Claims that break the bounds of the language are undecided.
pub fn judge(checks: &Checks<'_>, case: &Case, claims: &[Claim], policy: &Policy) -> Decision {
    decide(&case.examine(checks), case, claims, policy)
}

/// The same over what [`Case::examine`] has found.
pub fn decide(report: &Report, case: &Case, claims: &[Claim], policy: &Policy) -> Decision {
    let bench = Bench::new(report, policy);
    Decision {
        case: case.hash(),
        rules: rules_hash(),
        policy: policy.clone(),
        rulings: claims.iter().map(|claim| bench.ruling(claim)).collect(),
        misconduct: report.findings.iter().filter_map(Misconduct::of).collect(),
    }
}

/// The claim with an object in each statement that can only mean one thing of the case: a claim about "the contract" is about that one.
pub fn bind(report: &Report, claim: &Claim) -> Claim {
    let policy = Policy::at(Time::MAX);
    let bench = Bench::new(report, &policy);
    claim.map(&|did| match (did.object, bench.objects(did).as_slice()) {
        (None, [only]) => Did { object: Some(only.subject()), ..*did },
        _ => *did,
    })
}

/// Facts that count, and what they are about.
pub(super) struct Bench<'a> {
    objects: Vec<Object<'a>>,
    facts: Vec<&'a Fact>,
    stamps: Stamps,
    policy: &'a Policy,
}

/// The time-stamps that count: of each statement the earliest, and its token.
struct Stamps(BTreeMap<Digest, (Time, Digest)>);

/// When a line of the rules was complete, and the tokens that say so if its own last piece does not.
struct When {
    dated: Dated,
    tokens: Vec<Digest>,
}

/// Something that claims can be about.
#[derive(Clone)]
enum Object<'a> {
    Contract { contract: &'a Contract, legs: Option<[Leg; 2]> },
    Transfer(Subject),
    Payment(Subject, Amount),
}

/// Who the actor is in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Party(Role),
    Arbiter,
    Sender,
    Receiver,
    Payer,
    Payee,
    Guarantor,
}

/// A complete line of the rules.
struct Support {
    rule: &'static Rule,
    evidence: Vec<Digest>,
    amount: Option<Amount>,
    dates: Vec<When>,
}

/// The complete lines about a statement, and what is missing of those that would prove it.
#[derive(Default)]
struct Tally {
    proofs: Vec<Support>,
    refutations: Vec<Support>,
    missing: Vec<String>,
}

/// What a line of the rules comes to.
enum Tried<'a> {
    /// It is about something else.
    NotThis,
    /// These pieces are missing.
    Missing(Vec<&'static str>),
    /// All pieces are there: `with` are all but the last, which is any of these.
    Complete { with: Vec<&'a Fact>, last: Vec<&'a Fact> },
}

impl<'a> Bench<'a> {
    pub(super) fn new(report: &'a Report, policy: &'a Policy) -> Self {
        let contracts = report.contracts.iter().map(|contract| {
            let legs = Leg::in_part(&contract.core, contract.part).ok();
            Object::Contract { contract, legs }
        });
        let transfers = report.transfers.iter().map(|t| Object::Transfer(Subject::Transfer(t.container)));
        let payments =
            report.payments.iter().map(|payment| Object::Payment(Subject::Payment(payment.id), payment.request.amount));
        let objects = contracts.chain(transfers).chain(payments).collect();
        let latest = policy.at.after(policy.skew);
        let in_time = |fact: &&Fact| fact.dated.is_none_or(|dated| dated.time <= latest);
        let known = |fact: &&Fact| fact.what.signer().is_none_or(|signer| policy.knows(signer));
        let stamps = Stamps::of(report, policy);
        let stands = |fact: &&Fact| stamps.stands(fact, report, policy);
        let facts = report.facts.iter().filter(in_time).filter(known).filter(stands).collect();
        Self { objects, facts, stamps, policy }
    }

    /// What the case says about a claim.
    pub(super) fn ruling(&self, claim: &Claim) -> Ruling {
        if let Err(rule) = claim.check() {
            return Ruling::undecided(claim.clone(), rule.to_owned());
        }
        match claim {
            Claim::Did(did) => self.statement(did),
            Claim::Not(inner) => {
                let Ruling { outcome, grounds, missing, .. } = self.ruling(inner);
                Ruling { claim: claim.clone(), outcome: outcome.opposite(), grounds, instead: None, missing }
            }
            Claim::And(claims) => self.joined(claim, claims, Outcome::Proven),
            Claim::Or(claims) => self.joined(claim, claims, Outcome::Refuted),
        }
    }

    /// `all`: what the whole is if all parts are that; one part that is the opposite decides the whole.
    fn joined(&self, claim: &Claim, claims: &[Claim], all: Outcome) -> Ruling {
        let rulings: Vec<_> = claims.iter().map(|claim| self.ruling(claim)).collect();
        let is = |wanted: Outcome| move |ruling: &&Ruling| ruling.outcome == wanted;
        let outcome = if rulings.iter().any(|ruling| ruling.outcome == all.opposite()) {
            all.opposite()
        } else if rulings.iter().all(|ruling| ruling.outcome == all) {
            all
        } else {
            Outcome::Undecided
        };
        let instead = (all == Outcome::Proven && outcome != Outcome::Proven).then(|| {
            let parts: Vec<_> = rulings.iter().filter_map(Ruling::proves).collect();
            match parts.as_slice() {
                [] => None,
                [one] => Some(one.clone()),
                _ => Some(Claim::And(parts)),
            }
        });
        let deciding = rulings.iter().filter(is(outcome)).flat_map(|ruling| ruling.grounds.clone());
        let missing = rulings.iter().filter(is(Outcome::Undecided)).flat_map(|ruling| ruling.missing.clone());
        let mut missing: Vec<_> = missing.filter(|_| outcome == Outcome::Undecided).collect();
        let mut seen = BTreeSet::new();
        missing.retain(|words| seen.insert(words.clone()));
        Ruling {
            claim: claim.clone(),
            outcome,
            grounds: if outcome == Outcome::Undecided { Vec::new() } else { in_order(deciding.collect()) },
            instead: instead.flatten(),
            missing,
        }
    }

    fn statement(&self, did: &Did) -> Ruling {
        let Tally { proofs, refutations, mut missing } = self.tally(did);
        let fitting: Vec<_> = proofs.iter().filter(|support| support.fits(did)).collect();
        let decided =
            |outcome, grounds| Ruling { claim: Claim::Did(*did), outcome, grounds, instead: None, missing: Vec::new() };
        if !fitting.is_empty() {
            return decided(
                Outcome::Proven,
                in_order(fitting.iter().map(|support| support.ground(Some(did))).collect()),
            );
        }
        if !refutations.is_empty() {
            return decided(
                Outcome::Refuted,
                in_order(refutations.iter().map(|support| support.ground(None)).collect()),
            );
        }
        let instead = proofs.iter().flat_map(|support| weaker(did, support)).max_by_key(strength).map(Claim::Did);
        if !proofs.is_empty() {
            missing = vec!["proof of the amount or of the time that the claim names".to_owned()];
        } else if missing.is_empty() {
            missing.push("anything that such a claim could be about".to_owned());
        }
        Ruling { instead, missing, ..decided(Outcome::Undecided, Vec::new()) }
    }

    /// What the lines of the rules about a statement come to.
    fn tally(&self, did: &Did) -> Tally {
        let mut tally = Tally::default();
        for object in self.objects(did) {
            for position in object.positions(did.actor) {
                let mut found = self.tally_of(did.verb, object, position);
                let overturned = found.refutations.iter().any(|support| support.rule.effect == Effect::Overturned);
                let proofs = if overturned { std::mem::take(&mut found.proofs) } else { Vec::new() };
                // What is said about anything is refuted by nothing but the fall of its proofs: something else may prove it.
                if did.object.is_some() || !proofs.is_empty() {
                    tally.refutations.append(&mut found.refutations);
                }
                tally.proofs.append(&mut found.proofs);
                found.missing.retain(|pieces| !tally.missing.contains(pieces));
                tally.missing.append(&mut found.missing);
            }
        }
        tally
    }

    fn tally_of(&self, verb: Verb, object: &Object<'_>, position: Position) -> Tally {
        let mut tally = Tally::default();
        for rule in &chapter(verb).rules {
            match (self.try_rule(rule, object, position), rule.effect) {
                (Tried::Missing(pieces), Effect::Proven) => tally.missing.push(pieces.join(" and ")),
                (Tried::NotThis | Tried::Missing(_), _) => {}
                (Tried::Complete { with, last }, effect) => {
                    let supports =
                        last.into_iter().map(|last| object.support(rule, position, &with, last, &self.stamps));
                    let side = if effect == Effect::Proven { &mut tally.proofs } else { &mut tally.refutations };
                    side.extend(supports);
                }
            }
        }
        tally
    }

    /// What a statement can be about.
    fn objects(&self, did: &Did) -> Vec<&Object<'a>> {
        let meant = |object: &&Object<'_>| did.object.is_none_or(|named| named == object.subject());
        let speaks = |object: &&Object<'_>| {
            let positions = object.positions(did.actor);
            let rules = &chapter(did.verb).rules;
            positions.iter().any(|position| rules.iter().any(|rule| object.is_what(rule, *position)))
        };
        self.objects.iter().filter(meant).filter(speaks).collect()
    }

    fn try_rule(&self, rule: &Rule, object: &Object<'_>, position: Position) -> Tried<'a> {
        if !object.is_what(rule, position) {
            return Tried::NotThis;
        }
        let trusted = match object {
            Object::Contract { contract, .. } => {
                contract.core.arbiter().is_none_or(|arbiter| self.policy.trusts(arbiter))
            }
            _ => true,
        };
        let (mut missing, mut found) = (Vec::new(), Vec::new());
        for piece in &rule.pieces {
            let (evidence, stamped) = match piece.needs {
                Needs::If(_) => continue,
                Needs::Shown(evidence) => (evidence, false),
                Needs::Stamped(evidence) => (evidence, true),
            };
            let shows = |fact: &&&Fact| {
                fact.about == object.subject()
                    && (trusted || !fact.what.is_by_arbiter())
                    && evidence.is_shown_by(fact.what, position)
                    && (!stamped || self.stamps.before(fact).is_some())
            };
            let facts: Vec<&Fact> = self.facts.iter().filter(shows).copied().collect();
            if facts.is_empty() { missing.push(piece.words) } else { found.push(facts) }
        }
        if !missing.is_empty() {
            return Tried::Missing(missing);
        }
        let Some(last) = found.pop() else { return Tried::NotThis };
        // Of several that would do, the one that is known to be the oldest.
        let oldest = |facts: &Vec<&'a Fact>| match facts.as_slice() {
            [one] => Some(*one),
            facts => facts
                .iter()
                .copied()
                .min_by_key(|fact| self.stamps.before(fact).map_or(Time::MAX, |when| when.dated.time)),
        };
        let with = found.iter().filter_map(oldest).collect();
        Tried::Complete { with, last }
    }
}

impl Object<'_> {
    fn subject(&self) -> Subject {
        match self {
            Object::Contract { contract, .. } => contract.subject(),
            Object::Transfer(subject) | Object::Payment(subject, _) => *subject,
        }
    }

    /// Whom a claim means by its actor.
    fn positions(&self, actor: Actor) -> Vec<Position> {
        let Object::Contract { contract, legs } = self else {
            return match (self, actor) {
                (Object::Transfer(_), Actor::Sender) => vec![Position::Sender],
                (Object::Transfer(_), Actor::Receiver) => vec![Position::Receiver],
                (Object::Payment(..), Actor::Payer) => vec![Position::Payer],
                (Object::Payment(..), Actor::Payee) => vec![Position::Payee],
                _ => Vec::new(),
            };
        };
        let gives = |wanted: fn(&Leg) -> bool| {
            let legs = legs.iter().flatten().zip([Role::ORIGINATOR, Role::RESPONDER]);
            legs.filter(move |(leg, _)| wanted(leg)).map(|(_, role)| role).collect::<Vec<_>>()
        };
        let money = Leg::is_money;
        let information = |leg: &Leg| matches!(leg, Leg::Information(_));
        let roles = match actor {
            Actor::Arbiter => return vec![Position::Arbiter],
            Actor::Guarantor => return vec![Position::Guarantor],
            Actor::Party(role) => contract.sides().map(|(side, _)| side).filter(|side| *side == role).collect(),
            Actor::Payer => gives(money),
            Actor::Payee => gives(money).into_iter().map(Role::peer).collect(),
            Actor::Sender => gives(information),
            Actor::Receiver => gives(information).into_iter().map(Role::peer).collect(),
        };
        roles.into_iter().map(Position::Party).collect()
    }

    /// Whether a line of the rules is about this object and this actor.
    fn is_what(&self, rule: &Rule, position: Position) -> bool {
        rule.pieces.iter().all(|piece| match piece.needs {
            Needs::If(condition) => self.meets(condition, position),
            Needs::Shown(_) | Needs::Stamped(_) => true,
        })
    }

    fn meets(&self, condition: Condition, position: Position) -> bool {
        use Condition as C;
        let gives = |who: Who| match (self, position) {
            (Object::Contract { legs: Some(legs), .. }, Position::Party(role)) => {
                let role = if who == Who::Actor { role } else { role.peer() };
                legs.get(usize::from(role.number()))
            }
            _ => None,
        };
        let money = |who| gives(who).is_some_and(Leg::is_money);
        let information = |who| gives(who).is_some_and(|leg| matches!(leg, Leg::Information(_)));
        let signature = |who| gives(who) == Some(&Leg::Signature);
        match condition {
            C::IsParty => matches!(position, Position::Party(_)) && !self.is_of_many(),
            C::HasArbiter => matches!(self, Object::Contract { contract, .. } if contract.core.arbiter().is_some()),
            C::HasNoArbiter => matches!(self, Object::Contract { contract, .. } if contract.core.arbiter().is_none()),
            C::IsOneOfMany => matches!(position, Position::Party(_)) && self.is_of_many(),
            C::IsOriginator | C::PeerIsResponder => position == Position::Party(Role::ORIGINATOR),
            C::IsResponder => position == Position::Party(Role::RESPONDER),
            C::IsArbiter => position == Position::Arbiter,
            C::IsGuarantor => position == Position::Guarantor,
            C::IsSender => position == Position::Sender,
            C::IsReceiver => position == Position::Receiver,
            C::IsPayer => position == Position::Payer,
            C::IsPayee => position == Position::Payee,
            C::GivesMoney => money(Who::Actor),
            C::GetsMoney => money(Who::Peer),
            C::GivesInformation => information(Who::Actor),
            C::GetsInformation => information(Who::Peer),
            C::GivesSignature => signature(Who::Actor),
            C::PeerGivesSignature => signature(Who::Peer),
            C::IsOfRight => matches!(self, Object::Contract { legs: Some([Leg::Right(_), _]), .. }),
            C::ThroughHands => matches!(self, Object::Contract { legs: Some([Leg::Handed(_), _]), .. }),
            C::ShowsRight => matches!(gives(Who::Actor), Some(Leg::Show(_))),
        }
    }

    fn is_of_many(&self) -> bool {
        matches!(self, Object::Contract { contract, .. } if contract.core.terms.profile == Profile::Cn)
    }

    fn support(
        &self,
        rule: &'static Rule,
        position: Position,
        with: &[&Fact],
        last: &Fact,
        stamps: &Stamps,
    ) -> Support {
        let mut evidence = vec![*self.subject().digest()];
        evidence.extend(with.iter().flat_map(|fact| &fact.evidence));
        evidence.extend(&last.evidence);
        evidence.sort_unstable();
        evidence.dedup();
        let amount = match (self, position) {
            // A guarantor says itself with how much it stands for somebody.
            _ if let What::Covered(_, _, currency, minor) = last.what => Amount::new(minor, currency).ok(),
            (Object::Payment(_, amount), _) => Some(*amount),
            // Two amounts that go both ways are told apart by the rule: what the actor gives, or what it gets.
            (Object::Contract { contract, .. }, Position::Party(role)) => {
                let gets = rule.pieces.iter().any(|piece| piece.needs == Needs::If(Condition::GetsMoney));
                price(&contract.core, if gets { role.peer() } else { role })
            }
            _ => None,
        };
        let is_stamped = |piece: &Piece| matches!(piece.needs, Needs::Stamped(_));
        let own = last.dated.filter(|_| !rule.pieces.iter().any(is_stamped));
        let stamped = stamps.before_all(with.iter().copied().chain([last]));
        let own = own.map(|dated| When { dated, tokens: Vec::new() });
        Support { rule, evidence, amount, dates: own.into_iter().chain(stamped).collect() }
    }
}

impl Support {
    /// Whether it proves as much money and such a time as a statement claims.
    fn fits(&self, did: &Did) -> bool {
        did.value.is_none_or(|value| self.amount.is_some_and(|amount| value.holds(amount)))
            && did.when.is_none_or(|when| self.dates.iter().any(|date| when.holds(date.dated)))
    }

    /// The line with its evidence; with the tokens, where only they show the time that a statement claims, or where the line is about them.
    fn ground(&self, did: Option<&Did>) -> Ground {
        let mut evidence = self.evidence.clone();
        let about_stamps = self.rule.pieces.iter().any(|piece| matches!(piece.needs, Needs::Stamped(_)));
        let when = did.and_then(|did| did.when);
        let mut shows = self.dates.iter().filter(|date| when.map_or(about_stamps, |when| when.holds(date.dated)));
        evidence.extend(shows.next().iter().flat_map(|date| &date.tokens));
        evidence.sort_unstable();
        evidence.dedup();
        Ground { rule: self.rule.id.to_owned(), evidence }
    }
}

impl Stamps {
    fn of(report: &Report, policy: &Policy) -> Self {
        let mut stamps = BTreeMap::new();
        for stamp in report.stamps.iter().filter(|stamp| policy.believes(stamp)) {
            let found = (stamp.before, stamp.token);
            let earliest = stamps.entry(*stamp.statement.digest()).or_insert(found);
            *earliest = found.min(*earliest);
        }
        Self(stamps)
    }

    /// Before when everything existed that shows a fact, if that is known of all of it. Keys, which name signers, are no evidence of their own.
    fn before(&self, fact: &Fact) -> Option<When> {
        if self.0.is_empty() {
            return None;
        }
        let signer = fact.what.signer();
        let pieces = fact.evidence.iter().filter(|digest| signer.is_none_or(|signer| signer.digest() != *digest));
        let stamps: Vec<_> = pieces.map(|digest| self.0.get(digest)).collect::<Option<_>>()?;
        let time = stamps.iter().map(|(time, _)| *time).max()?;
        let tokens = stamps.iter().map(|(_, token)| *token).collect();
        Some(When { dated: Dated { time, source: Source::Stamp }, tokens })
    }

    /// The same for several facts together.
    fn before_all<'f>(&self, facts: impl Iterator<Item = &'f Fact>) -> Option<When> {
        let all: Vec<When> = facts.map(|fact| self.before(fact)).collect::<Option<_>>()?;
        let dated = all.iter().map(|when| when.dated).max()?;
        Some(When { dated, tokens: all.into_iter().flat_map(|when| when.tokens).collect() })
    }

    /// Whether the signatures behind a fact count: their algorithms and keys stand, or a time-stamp shows that they are older.
    fn stands(&self, fact: &Fact, report: &Report, policy: &Policy) -> bool {
        fact.evidence.iter().all(|digest| {
            let signed = report.signed.get(&StatementId::from_digest(*digest));
            let ends = signed.and_then(|(suite, signer)| policy.ends(*suite, *signer));
            ends.is_none_or(|from| self.0.get(digest).is_some_and(|(before, _)| *before <= from))
        })
    }
}

impl Evidence {
    fn is_shown_by(self, what: What, position: Position) -> bool {
        use Evidence as E;
        let role = |who: Who| match position {
            Position::Party(role) if who == Who::Actor => Some(role),
            Position::Party(role) => Some(role.peer()),
            _ => None,
        };
        match (self, what) {
            (E::Promise(who), What::Promised(by))
            | (E::Final(who), What::Completed(by))
            | (E::Quittance(who), What::Quitted(by))
            | (E::Fault(who), What::Faulted(by))
            | (E::Opened(who), What::Opened(by))
            | (E::Attested(who), What::Attested(by))
            | (E::Misbehaved(who), What::Misbehaved(by) | What::MisbehavedAttested(by))
            | (E::Taken(who), What::Took(by, Side::Payee)) => role(who) == Some(by),
            (E::LetOff(who), What::LetOff(by)) => role(who) == Some(by),
            (E::Told(told), What::Told(sort, by))
            | (E::ToldHandedIn(told), What::ToldHandedIn(sort, by))
            | (E::ToldTaken(told), What::ToldTaken(sort, by)) => told.holds(sort) && role(Who::Actor) == Some(by),
            (E::Asked, What::AskedAbort(by) | What::AskedResolve(by) | What::Complained(by))
            | (E::PromiseHandedIn, What::SubmittedPromise(by))
            | (E::FinalHandedIn, What::SubmittedFinal(by))
            | (E::RightKept, What::RightKept(by))
            | (E::RightTaken, What::RightTaken(by))
            | (E::Deposited, What::Deposited(by))
            | (E::DepositShown, What::DepositShown(by))
            | (E::PaidOn, What::PaidOn(by))
            | (E::PaidBack, What::PaidBack(by)) => role(Who::Actor) == Some(by),
            (E::Covered, What::Covered(by, ..)) => position == Position::Guarantor || role(Who::Actor) == Some(by),
            (E::AskedBack, What::AskedMoney(by, Side::Payer)) | (E::TakenBack, What::Took(by, Side::Payer)) => {
                role(Who::Actor) == Some(by)
            }
            (E::Aborted, What::Aborted)
            | (E::Revoked, What::Revoked)
            | (E::Resolved, What::Resolved)
            | (E::SignedByAll, What::SignedByAll)
            | (E::Preimage, What::Preimage)
            | (E::Transferred, What::Transferred)
            | (E::Closed, What::Closed)
            | (E::Unused, What::Unused)
            | (E::Signature, What::Sent(_))
            | (E::Acceptance, What::Accepted(_))
            | (E::Refusal, What::Refused(_))
            | (E::Request, What::Requested(_))
            | (E::Receipt, What::Receipted(_))
            | (E::SystemProof, What::Shown(_))
            | (E::ContainerHandedIn, What::SubmittedContainer(_)) => true,
            _ => false,
        }
    }
}

/// The money that a party of a contract gives.
pub(super) fn price(core: &Core, owner: Role) -> Option<Amount> {
    let item = core.terms.items.iter().find(|item| item.owner == owner)?;
    Price::from_bytes(&item.descriptor).ok().map(|price| price.amount)
}

/// The strongest claims of this form that the support proves although it does not prove `did`: one by each date that it has.
fn weaker(did: &Did, support: &Support) -> Vec<Did> {
    let dates = support.dates.iter().map(|when| Some(when.dated)).chain([None]);
    dates.filter_map(|dated| weaker_at(did, support, dated)).collect()
}

fn weaker_at(did: &Did, support: &Support, dated: Option<Dated>) -> Option<Did> {
    let value = match (did.value, support.amount) {
        (None, _) | (_, None) => None,
        (Some(value), Some(amount)) if value.holds(amount) => Some(value),
        // Less than was claimed is still a part of it; more than was claimed is at least the lower bound.
        (Some(value), Some(amount)) => {
            let enough = value.least().is_some_and(|least| least.minor() <= amount.minor());
            let least = if enough { value.least() } else { Some(amount) };
            let same = least
                .is_some_and(|least| value.least().or(value.most()).map(|b| b.currency()) == Some(least.currency()));
            let least = least.filter(|_| same && value.least().is_some());
            Interval::new(least, None)
        }
    };
    let when = match (did.when, dated) {
        (None, _) | (_, None) => None,
        (Some(when), Some(dated)) if when.holds(dated) => Some(when),
        (Some(when), Some(dated)) => {
            let from = when.not_before().filter(|from| dated.source != Source::Stamp && dated.time >= *from);
            let to = when.not_after().filter(|to| dated.time <= *to);
            Period::new(from, to, dated.source.min(when.source()))
        }
    };
    let weaker = Did { value, when, ..*did };
    (weaker != *did && did.implies(&weaker)).then_some(weaker)
}

/// More money first, then more about the time.
fn strength(did: &Did) -> (Option<u64>, usize, Option<Source>) {
    let least = did.value.and_then(|value| value.least()).map(|least| least.minor());
    let bounds = did.when.map_or(0, |when| [when.not_before(), when.not_after()].iter().flatten().count());
    (least, bounds, did.when.map(|when| when.source()))
}

fn in_order(mut grounds: Vec<Ground>) -> Vec<Ground> {
    grounds.sort_unstable();
    grounds.dedup();
    grounds.truncate(GROUNDS_MAX);
    grounds
}
