//! The questions that everybody has about a deal, and what each party can prove now.

use std::fmt;

use semper_core::ids::KeySetId;
use semper_core::party::Role;

use super::case::Policy;
use super::claim::{Actor, Claim, Did, Verb};
use super::decision::Outcome;
use super::judge::{Bench, price};
use super::rules::chapter;
use crate::evidence::{Contract, Report, Subject, What};
use crate::gx::Leg;

/// A question, and the claim that answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The question, in words.
    pub words: String,
    /// "Yes" is this claim.
    pub claim: Claim,
    /// For whom "yes" speaks.
    pub speaks: Speaks,
}

/// For whom a proven claim speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// For this one, against the other party.
    For(Actor),
    /// For each party against the other.
    ForBoth,
}

/// What can be proven about a deal, as one of its parties sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// What speaks for this party.
    pub ours: Vec<Position>,
    /// What speaks for the other one.
    pub theirs: Vec<Position>,
}

/// Something that can be proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The claim.
    pub claim: Did,
    /// The same in words.
    pub words: String,
}

impl Speaks {
    /// For whom a statement speaks once it is proven.
    pub fn of(did: &Did) -> Self {
        let peer = |actor| match actor {
            Actor::Party(role) => Actor::Party(role.peer()),
            Actor::Payer => Actor::Payee,
            Actor::Payee => Actor::Payer,
            Actor::Sender => Actor::Receiver,
            Actor::Receiver => Actor::Sender,
            Actor::Arbiter => Actor::Arbiter,
        };
        match (did.verb, speaks_for_actor(did.verb)) {
            (Verb::Agreed, _) | (_, None) => Speaks::ForBoth,
            (_, Some(true)) => Speaks::For(did.actor),
            (_, Some(false)) => Speaks::For(peer(did.actor)),
        }
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Speaks::For(actor) => write!(f, "the {}", actor.name()),
            Speaks::ForBoth => f.write_str("both"),
        }
    }
}

/// What everybody wants to know about each contract, payment and transfer of a case.
pub fn questions(report: &Report) -> Vec<Question> {
    let contracts = report.contracts.iter().flat_map(|contract| about_contract(report, contract));
    let payments = report.payments.iter().map(|payment| {
        let paid = Did::new(Actor::Payer, Verb::Paid).about(Subject::Payment(payment.id));
        Question {
            words: format!("was {} paid?", payment.request.amount),
            claim: Claim::Did(paid.at_least(payment.request.amount)),
            speaks: Speaks::For(Actor::Payer),
        }
    });
    let transfers = report.transfers.iter().map(|transfer| {
        let got = Did::new(Actor::Receiver, Verb::Received).about(Subject::Transfer(transfer.container));
        let words = "did the receiver get what was sent?".to_owned();
        Question { words, claim: Claim::Did(got), speaks: Speaks::For(Actor::Sender) }
    });
    contracts.chain(payments).chain(transfers).collect()
}

fn about_contract(report: &Report, contract: &Contract) -> Vec<Question> {
    let object = Subject::Contract(contract.cid);
    let said = |role, verb| Did::new(Actor::Party(role), verb).about(object);
    let yes =
        |words: String, did, role| Question { words, claim: Claim::Did(did), speaks: Speaks::For(Actor::Party(role)) };
    let mut questions = vec![Question {
        words: "did both agree to the contract?".to_owned(),
        claim: Claim::Did(said(Role::ORIGINATOR, Verb::Agreed)),
        speaks: Speaks::ForBoth,
    }];
    let Ok(legs) = Leg::of(&contract.core) else { return questions };
    for (leg, owner) in legs.iter().zip([Role::ORIGINATOR, Role::RESPONDER]) {
        let peer = owner.peer();
        match (leg, price(&contract.core, owner)) {
            (Leg::Money(_), Some(amount)) => {
                let words = format!("did the {owner} pay {amount}?");
                questions.push(yes(words, said(owner, Verb::Paid).at_least(amount), owner));
                if goes_back(report, object, owner) {
                    let words = format!("does the {owner} have its money back?");
                    questions.push(yes(words, said(owner, Verb::Refunded).at_least(amount), peer));
                }
            }
            (Leg::Information(_), _) => {
                let faulted = Claim::Not(Box::new(Claim::Did(said(owner, Verb::Faulted))));
                questions.push(yes(format!("did the {owner} deliver?"), said(owner, Verb::Delivered), owner));
                questions.push(yes(format!("did the {peer} get it?"), said(peer, Verb::Received), owner));
                let words = "was it what was promised?".to_owned();
                questions.push(Question { words, claim: faulted, speaks: Speaks::For(Actor::Party(owner)) });
            }
            _ => {}
        }
    }
    questions
}

/// Whether money that a party has locked was to come back to it.
fn goes_back(report: &Report, object: Subject, owner: Role) -> bool {
    use semper_transfer::payment::statement::Side::Payer;
    let back = |what| match what {
        What::Aborted | What::Unused => true,
        What::Faulted(role) => role == owner.peer(),
        What::AskedMoney(role, side) => (role, side) == (owner, Payer),
        _ => false,
    };
    report.facts.iter().any(|fact| fact.about == object && back(fact.what))
}

/// What the evidence of a case proves for and against a party. What its peer has besides is not known here.
pub fn positions(report: &Report, policy: &Policy, me: KeySetId) -> Positions {
    let bench = Bench::new(report, policy);
    let mut found = Positions::default();
    for (did, mine) in statements(report, me) {
        if bench.ruling(&Claim::Did(did)).outcome != Outcome::Proven {
            continue;
        }
        let position = Position { claim: did, words: sentence(&did, mine) };
        match (speaks_for_actor(did.verb), mine) {
            (None, _) => {
                found.ours.push(position.clone());
                found.theirs.push(position);
            }
            (Some(actor), Some(mine)) if actor == mine => found.ours.push(position),
            _ => found.theirs.push(position),
        }
    }
    found
}

/// Every statement that could be made, and whether its actor is this party; `None`: the arbiter.
fn statements(report: &Report, me: KeySetId) -> Vec<(Did, Option<bool>)> {
    let mut all = Vec::new();
    let of = |actor, object| Verb::ALL.iter().map(move |verb| Did::new(actor, *verb).about(object));
    for contract in &report.contracts {
        let object = Subject::Contract(contract.cid);
        for party in &contract.core.terms.parties {
            let (role, mine) = (party.role, party.key_set == me);
            let valued = |did: Did| {
                let owner = if did.verb == Verb::ReceivedMoney { role.peer() } else { role };
                let price = price(&contract.core, owner).filter(|_| did.verb.is_about_money());
                price.map_or(did, |amount| did.at_least(amount))
            };
            all.extend(of(Actor::Party(role), object).map(|did| (valued(did), Some(mine))));
        }
        all.extend(of(Actor::Arbiter, object).map(|did| (did, None)));
    }
    for payment in &report.payments {
        let (object, payee) = (Subject::Payment(payment.id), payment.payee == me);
        let amount = payment.request.amount;
        let valued = |did: Did| if did.verb.is_about_money() { did.at_least(amount) } else { did };
        all.extend(of(Actor::Payer, object).map(|did| (valued(did), Some(!payee))));
        all.extend(of(Actor::Payee, object).map(|did| (valued(did), Some(payee))));
    }
    for transfer in &report.transfers {
        let object = Subject::Transfer(transfer.container);
        let taken = transfer.receipt.as_ref().is_some_and(|receipt| receipt.by == me);
        all.extend(of(Actor::Sender, object).map(|did| (did, Some(!taken))));
        all.extend(of(Actor::Receiver, object).map(|did| (did, Some(taken))));
    }
    all
}

/// Whether what was done speaks for whoever did it, or against it. `None`: for both.
fn speaks_for_actor(verb: Verb) -> Option<bool> {
    match verb {
        Verb::Paid | Verb::Delivered => Some(true),
        Verb::Offered
        | Verb::Promised
        | Verb::Agreed
        | Verb::ReceivedMoney
        | Verb::Received
        | Verb::Refused
        | Verb::Faulted
        | Verb::Refunded => Some(false),
        Verb::Aborted | Verb::Resolved => None,
    }
}

fn sentence(did: &Did, mine: Option<bool>) -> String {
    let you = if mine == Some(true) { " (you)" } else { "" };
    let meaning = chapter(did.verb).meaning.split(';').next().unwrap_or_default();
    let amount = did.value.and_then(|value| value.least()).map(|least| format!(", {least}")).unwrap_or_default();
    format!("the {}{you} {meaning}{amount}", did.actor.name())
}
