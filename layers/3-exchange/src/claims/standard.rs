//! The questions that everybody has about a deal, and what each party can prove now.

use semper_core::amount::Amount;
use semper_core::contract::Profile;
use semper_core::ids::KeySetId;
use semper_core::party::Role;

use super::case::Policy;
use super::claim::{Actor, Claim, Did, Verb};
use super::decision::Outcome;
use super::judge::{Bench, price};
use super::rules::chapter;
use crate::evidence::{Contract, Report, Subject, Told, Transfer, What};
use crate::gx::Leg;
use crate::notice::Saying;

/// A question, and the claim that answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The question, in words.
    pub words: String,
    /// "Yes" is this claim.
    pub claim: Claim,
    /// For whom "yes" speaks, against the other party; `None`: for each against the other.
    pub speaks_for: Option<String>,
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

impl Question {
    /// A claim that somebody made, as a question.
    pub fn about(report: &Report, claim: Claim) -> Self {
        let named = |did: &Did| {
            let [actor, peer] = called_in(report, did);
            speaks_for_actor(did.verb)
                .filter(|_| did.verb != Verb::Agreed)
                .map(|for_actor| if for_actor { actor } else { peer })
        };
        let speaks_for = match &claim {
            Claim::Did(did) => named(did),
            _ => None,
        };
        Self { words: claim.to_string(), claim, speaks_for }
    }
}

/// What a side of a contract is called by people: between two, and in a part, after what it gives; among more by its number.
pub fn called(contract: &Contract, role: Role) -> String {
    let parties = contract.core.terms.parties.len();
    match contract.core.terms.profile {
        Profile::Cn => role.among(parties),
        _ => called_of_two(contract, role).to_owned(),
    }
}

fn called_of_two(contract: &Contract, role: Role) -> &'static str {
    use Leg::{Handed, Information, Money, Right, Show, Signature, Transfer};
    let [first, second] = match Leg::in_part(&contract.core, contract.part) {
        Ok([Information(_), Money(_)]) => ["seller", "buyer"],
        Ok([Money(_), Information(_)]) => ["buyer", "seller"],
        Ok([Information(_), Signature]) => ["sender", "receiver"],
        Ok([Signature, Information(_)]) => ["receiver", "sender"],
        Ok([Right(_), _]) => ["seller", "buyer"],
        Ok([_, Show(_)]) => ["seller", "holder"],
        Ok([Show(_), _]) => ["holder", "seller"],
        Ok([Money(_) | Transfer(_), Signature]) => ["payer", "payee"],
        Ok([Signature, Money(_) | Transfer(_)]) => ["payee", "payer"],
        Ok([Signature, Signature] | [Information(_), Information(_)] | [Money(_), Money(_)] | [Handed(_), Handed(_)])
        // No such exchange is made.
        | Ok([Transfer(_) | Handed(_), _] | [_, Transfer(_) | Right(_) | Handed(_)])
        | Err(_) => ["originator", "responder"],
    };
    if role == Role::ORIGINATOR { first } else { second }
}

/// What the actor of a statement and the other party are called.
pub fn called_in(report: &Report, did: &Did) -> [String; 2] {
    let contract = report.contracts.iter().find(|contract| did.object == Some(contract.subject()));
    let peer = match did.actor {
        Actor::Party(role) => Actor::Party(role.peer()),
        Actor::Payer => Actor::Payee,
        Actor::Payee => Actor::Payer,
        Actor::Sender => Actor::Receiver,
        Actor::Receiver => Actor::Sender,
        Actor::Arbiter | Actor::Guarantor => did.actor,
    };
    [did.actor, peer].map(|actor| match (actor, contract) {
        (Actor::Party(role), Some(contract)) => called(contract, role),
        _ => actor.name(),
    })
}

/// What everybody wants to know about each contract, payment and transfer of a case.
pub fn questions(report: &Report) -> Vec<Question> {
    let contracts = report.contracts.iter().flat_map(|contract| match contract.core.terms.profile {
        Profile::Cn => vec![about_many(contract)],
        Profile::C2 | Profile::Gx | Profile::Lx | Profile::Ix => about_contract(report, contract),
    });
    let payments = report.payments.iter().map(|payment| {
        let paid = Did::new(Actor::Payer, Verb::Paid).about(Subject::Payment(payment.id));
        Question {
            words: format!("was {} paid?", payment.request.amount),
            claim: Claim::Did(paid.at_least(payment.request.amount)),
            speaks_for: Some(Actor::Payer.name()),
        }
    });
    let told = report.notices.iter().map(about_notice);
    let transfers = mail(report).map(|transfer| {
        let got = Did::new(Actor::Receiver, Verb::Received).about(Subject::Transfer(transfer.container));
        let words = "did the receiver get what was sent?".to_owned();
        Question { words, claim: Claim::Did(got), speaks_for: Some(Actor::Sender.name()) }
    });
    contracts.chain(told.flatten()).chain(payments).chain(transfers).collect()
}

/// The transfers that carry no notice: what is told by one is asked about as that.
fn mail(report: &Report) -> impl Iterator<Item = &Transfer> {
    let tells = |transfer: &&Transfer| report.notices.iter().any(|told| told.container == transfer.container);
    report.transfers.iter().filter(move |transfer| !tells(transfer))
}

/// What a notice says that happened; an answer belongs to the dispute.
fn about_notice(told: &Told) -> Option<Question> {
    let said = |role, verb| Claim::Did(Did::new(Actor::Party(role), verb).about(told.about));
    let (words, claim, role) = match told.notice.saying {
        Saying::Withdrawal { .. } => {
            (format!("did the {} withdraw?", told.role), said(told.role, Verb::Withdrew), told.role)
        }
        Saying::Dispute { .. } => {
            let peer = told.role.peer();
            (format!("has the {peer} answered the dispute?"), said(peer, Verb::Answered), peer)
        }
        Saying::Answer { .. } => return None,
    };
    Some(Question { words, claim, speaks_for: Some(role.to_string()) })
}

fn about_many(contract: &Contract) -> Question {
    let object = contract.subject();
    let bound = contract.sides().map(|(role, _)| Claim::Did(Did::new(Actor::Party(role), Verb::Agreed).about(object)));
    Question { words: "does the contract bind all?".to_owned(), claim: Claim::And(bound.collect()), speaks_for: None }
}

fn about_contract(report: &Report, contract: &Contract) -> Vec<Question> {
    let object = contract.subject();
    let said = |role, verb| Did::new(Actor::Party(role), verb).about(object);
    let name = |role| called_of_two(contract, role);
    let yes =
        |words: String, did, role| Question { words, claim: Claim::Did(did), speaks_for: Some(name(role).to_owned()) };
    let mut questions = vec![Question {
        // Without an arbiter the preimage binds whoever let go of it. That its peer is bound, its own money shows.
        words: match contract.core.arbiter() {
            Some(_) => "does the contract bind both?".to_owned(),
            None => format!("does the contract bind the {}?", name(Role::ORIGINATOR)),
        },
        claim: Claim::Did(said(Role::ORIGINATOR, Verb::Agreed)),
        speaks_for: None,
    }];
    let Ok(legs) = Leg::in_part(&contract.core, contract.part) else { return questions };
    for (leg, owner) in legs.iter().zip([Role::ORIGINATOR, Role::RESPONDER]) {
        let peer = owner.peer();
        match (leg, price(&contract.core, owner)) {
            (Leg::Money(_) | Leg::Transfer(_) | Leg::Handed(_), Some(amount)) => {
                let words = format!("did the {} pay {amount}?", name(owner));
                questions.push(yes(words, said(owner, Verb::Paid).at_least(amount), owner));
                if leg.handed().is_some() {
                    questions.extend(about_hands(report, contract, owner, amount));
                }
                if leg.lock().is_some() && goes_back(report, object, owner) {
                    let words = format!("is the {}'s money back?", name(owner));
                    questions.push(yes(words, said(owner, Verb::Refunded).at_least(amount), peer));
                }
            }
            (Leg::Information(_), _) => {
                let faulted = Claim::Not(Box::new(Claim::Did(said(owner, Verb::Faulted))));
                let words = [format!("did the {} deliver?", name(owner)), format!("did the {} get it?", name(peer))];
                let [delivered, received] = words;
                questions.push(yes(delivered, said(owner, Verb::Delivered), owner));
                questions.push(yes(received, said(peer, Verb::Received), owner));
                let words = "was it what was promised?".to_owned();
                questions.push(Question { words, claim: faulted, speaks_for: Some(name(owner).to_owned()) });
            }
            _ => {}
        }
    }
    questions
}

/// Where a party's money goes through the arbiter's hands: what it has given the arbiter, and what the arbiter has made of it. That it has paid is for
/// the arbiter to prove.
fn about_hands(report: &Report, contract: &Contract, owner: Role, amount: Amount) -> Vec<Question> {
    let object = contract.subject();
    let (payer, payee) = (called_of_two(contract, owner), called_of_two(contract, owner.peer()));
    let of = |words, role, verb, speaks_for: &str| {
        let claim = Claim::Did(Did::new(Actor::Party(role), verb).about(object).at_least(amount));
        Question { words, claim, speaks_for: Some(speaks_for.to_owned()) }
    };
    let decided = |what| report.facts.iter().any(|fact| (fact.about, fact.what) == (object, what));
    let handed = of(format!("did the {payer} hand {amount} to the arbiter?"), owner, Verb::Deposited, payer);
    let arbiter = Actor::Arbiter.name();
    let paid_on = decided(What::Resolved).then(|| {
        let words = format!("has the arbiter paid the {payee} {amount}?");
        of(words, owner.peer(), Verb::ReceivedMoney, &arbiter)
    });
    let paid_back = decided(What::Aborted).then(|| {
        let words = format!("has the arbiter paid the {payer} {amount} back?");
        of(words, owner, Verb::Refunded, &arbiter)
    });
    [handed].into_iter().chain(paid_on).chain(paid_back).collect()
}

/// Whether money that a party has locked was to come back to it.
fn goes_back(report: &Report, object: Subject, owner: Role) -> bool {
    use semper_transfer::payment::statement::Side::Payer;
    let back = |what| match what {
        What::Aborted | What::Unused => true,
        What::Faulted(role) => role == owner.peer(),
        What::Took(role, side) | What::AskedMoney(role, side) => (role, side) == (owner, Payer),
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
        let position = Position { claim: did, words: sentence(report, &did, mine) };
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
        let object = contract.subject();
        for (role, party) in contract.sides() {
            let mine = party == me;
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
    for transfer in mail(report) {
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
        Verb::Paid
        | Verb::Delivered
        | Verb::Asked
        | Verb::Submitted
        | Verb::SubmittedFinal
        | Verb::Deposited
        | Verb::Withdrew
        | Verb::Disputed
        | Verb::Answered => Some(true),
        Verb::Offered
        | Verb::Promised
        | Verb::Agreed
        | Verb::ReceivedMoney
        | Verb::Received
        | Verb::Refused
        | Verb::Faulted
        | Verb::Refunded
        | Verb::UsedRight
        | Verb::Covered
        | Verb::Conceded => Some(false),
        Verb::Aborted | Verb::Resolved | Verb::Stamped => None,
    }
}

fn sentence(report: &Report, did: &Did, mine: Option<bool>) -> String {
    let [actor, _] = called_in(report, did);
    let you = if mine == Some(true) { " (you)" } else { "" };
    let meaning = chapter(did.verb).meaning.split(';').next().unwrap_or_default();
    let amount = did.value.and_then(|value| value.least()).map(|least| format!(", {least}")).unwrap_or_default();
    let article = if actor.starts_with("signer ") { "" } else { "the " };
    format!("{article}{actor}{you} {meaning}{amount}")
}
