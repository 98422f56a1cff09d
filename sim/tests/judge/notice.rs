//! Claims about withdrawals, disputes and answers. What could go wrong: a stranger withdraws for a party, a notice about one contract counts for
//! another, somebody dates its own withdrawal back, or answers what nobody asked.

use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::container::{
    Ack, AckWanted, Attributes, Container, ContainerStatement, Disposition, Information, Leaf, Node,
};
use semper_core::cose::Signed;
use semper_core::ids::{ContainerId, DealId, Slot};
use semper_core::party::Role;
use semper_core::time::Time;
use semper_exchange::claims::questions;
use semper_exchange::evidence::{Folder, Item};
use semper_exchange::notice::{How, MEDIA_TYPE, Notice, Saying};
use semper_sim::scenario::Cast;
use semper_support::crypto::Signer as _;
use semper_support::engine::EvidenceKind;
use semper_transfer::tx;

use super::submission::{AGENT, BEFORE, TIME, TOO_EARLY, faults, proof, receipt, signed_contract, with};
use super::{DEAL, O, Outcome, R, expect, id, item, report};
use Outcome::{Proven, Undecided};

/// When the notices say that they were written: long before anybody has seen them.
const WRITTEN: u64 = 1;

fn withdrawal() -> Saying {
    Saying::Withdrawal { name: "the responder".to_owned(), channel: String::new() }
}

fn dispute() -> Saying {
    let claims = vec!["not(agreed(originator))".parse().unwrap()];
    Saying::Dispute { claims, relief: String::new(), amount: None, answer_by: Time::from_unix(TIME) }
}

/// A notice from one party to the other about the contract of a folder.
fn notice(cast: &Cast, folder: &Folder, from: Role, saying: Saying) -> Notice {
    let core = folder.items.iter().find(|item| item.kind == EvidenceKind::Core).unwrap();
    let cid = semper_core::contract::Core::from_bytes(&core.bytes).unwrap().cid();
    let (to, time) = (id(cast, from.peer()), Time::from_unix(WRITTEN));
    let (title, words) = ("a contract".to_owned(), "so I say".to_owned());
    Notice { deal: DEAL, cid, part: Slot(0), to, title, time, saying, words }
}

/// A notice as it goes out.
struct Sent {
    container: Container,
    origin: Signed,
}

fn sent(cast: &Cast, by: Role, notice: &Notice) -> Sent {
    let file = Information::new("notice.cbor", MEDIA_TYPE, notice.to_bytes()).unwrap();
    let attributes = Attributes { origin: true, ack: AckWanted::Signed, ..Attributes::default() };
    let container = Container::new([7; 16], Node::leaf(attributes, Leaf::Information(file))).unwrap();
    let origin = cast.say(by, &ContainerStatement { container: container.id() }, 0);
    Sent { container, origin }
}

impl Sent {
    fn items(&self) -> Vec<Item> {
        vec![item(EvidenceKind::Container, self.container.to_bytes()), statement(&self.origin)]
    }

    fn id(&self) -> ContainerId {
        self.container.id()
    }

    /// The message by which it travels.
    fn message(&self) -> Vec<u8> {
        let container = self.container.to_bytes();
        tx::Message::Container { container, origin: Some(self.origin.clone()) }.to_bytes()
    }
}

fn statement(signed: &Signed) -> Item {
    item(EvidenceKind::Statement, signed.bytes().to_vec())
}

fn ack(cast: &Cast, by: Role, of: ContainerId, time: u64) -> Item {
    let disposition = Disposition::Accepted;
    statement(&cast.say(by, &Ack { container: of, disposition, time: Time::from_unix(time) }, 0))
}

/// The deal by which a notice travels.
fn carrier() -> DealId {
    DealId::from_array([8; 16])
}

/// A withdrawal, a dispute and an answer that does not deny, each handed in and acknowledged.
pub(crate) fn everything(cast: &Cast, folder: &Folder) -> Folder {
    let asked = sent(cast, R, &notice(cast, folder, R, dispute()));
    let saying = Saying::Answer { to: asked.id(), how: How::NoContest };
    let answered = sent(cast, O, &notice(cast, folder, O, saying));
    let withdrawn = sent(cast, R, &notice(cast, folder, R, withdrawal()));
    let all = [(R, withdrawn), (R, asked), (O, answered)].into_iter().flat_map(|(by, said)| {
        let came = proof(id(cast, by.peer()), 1, carrier(), &said.message());
        said.items().into_iter().chain([came, ack(cast, by.peer(), said.id(), TIME)])
    });
    with(folder, all.chain([receipt(1, AGENT, TIME)]))
}

// The responder withdraws. That it did its signature shows; when, only what somebody else says.
#[test]
fn a_withdrawal_is_dated_by_who_has_taken_it() {
    let (cast, folder) = signed_contract();
    let bare = folder.clone();
    let said = sent(&cast, R, &notice(&cast, &folder, R, withdrawal()));
    let handed_in = || vec![proof(id(&cast, O), 1, carrier(), &said.message()), receipt(1, AGENT, TIME)];
    for (name, more, dated) in [
        ("said", vec![], Undecided),
        ("taken by the inbox", handed_in(), Proven),
        ("acknowledged", vec![ack(&cast, O, said.id(), TIME)], Proven),
        ("acknowledged by itself", vec![ack(&cast, R, said.id(), TIME)], Undecided),
        ("a receipt for something else", vec![receipt(1, AGENT, TIME)], Undecided),
    ] {
        let folder = [with(&folder, said.items().into_iter().chain(more))];
        expect(
            name,
            &cast,
            &folder,
            &[
                ("withdrew(responder)", Proven),
                (&format!("withdrew(responder, {BEFORE})"), dated),
                (&format!("withdrew(responder, {TOO_EARLY})"), Undecided),
                ("withdrew(originator)", Undecided),
                ("disputed(responder)", Undecided),
                ("answered(responder)", Undecided),
                // It undoes nothing of what is proven.
                ("agreed(responder)", Proven),
            ],
        );
        assert_eq!(faults(&cast, &folder), 0, "{name}");
        let (before, report) = (report(&cast, std::slice::from_ref(&bare)), report(&cast, &folder));
        assert_eq!(report.findings, before.findings, "{name}");
        assert!(questions(&report).iter().any(|question| question.words.contains("withdraw")), "{name}");
    }
}

// Each of these says "I withdraw" in the right words, and none of them is the responder's withdrawal from this contract.
#[test]
fn what_another_says_or_about_another_contract_proves_nothing() {
    let (cast, folder) = signed_contract();
    let good = notice(&cast, &folder, R, withdrawal());
    let arbiter = cast.arbiter.key_set().id();
    let by_arbiter = |notice: &Notice| {
        let container = sent(&cast, R, notice).container;
        let draft = ContainerStatement { container: container.id() };
        let keys = cast.arbiter.key_set();
        let draft = semper_core::cose::Statement::draft(&draft, keys.suite(), keys.id());
        let origin = cast.arbiter.sign(draft).unwrap();
        Sent { container, origin }.items()
    };
    let altered = |change: &dyn Fn(&mut Notice)| {
        let mut notice = good.clone();
        change(&mut notice);
        sent(&cast, R, &notice).items()
    };
    let mut torn = sent(&cast, R, &good).items();
    *torn[1].bytes.last_mut().unwrap() ^= 1;
    let mut swapped = sent(&cast, R, &good).items();
    swapped[0] = sent(&cast, R, &Notice { words: "other words".to_owned(), ..good.clone() }).items().remove(0);
    let unsigned = sent(&cast, R, &good).items()[..1].to_vec();
    for (why, items) in [
        ("a stranger to the contract", by_arbiter(&good)),
        ("another contract", altered(&|notice| notice.cid = cast.core(77).cid())),
        ("another deal", altered(&|notice| notice.deal = carrier())),
        ("a part that there is not", altered(&|notice| notice.part = Slot(1))),
        ("for itself", altered(&|notice| notice.to = id(&cast, R))),
        ("for the arbiter", altered(&|notice| notice.to = arbiter)),
        ("a signature that does not hold", torn),
        ("another container than was signed", swapped),
        ("nobody's signature", unsigned),
    ] {
        let folder = [with(&folder, items)];
        expect(why, &cast, &folder, &[("withdrew(responder)", Undecided), ("withdrew(originator)", Undecided)]);
        assert!(report(&cast, &folder).notices.is_empty(), "{why}");
    }
    let twin = [with(&folder, sent(&cast, R, &good).items())];
    expect("the twin", &cast, &twin, &[("withdrew(responder)", Proven), ("withdrew(originator)", Undecided)]);
}

#[test]
fn an_answer_counts_with_the_dispute_that_it_answers() {
    let (cast, folder) = signed_contract();
    let asked = sent(&cast, R, &notice(&cast, &folder, R, dispute()));
    let answer = |how, by: Role| {
        let saying = Saying::Answer { to: asked.id(), how };
        sent(&cast, by, &notice(&cast, &folder, by, saying))
    };
    for how in How::ALL {
        let conceded = if how == How::Deny { Undecided } else { Proven };
        let answered = answer(how, O);
        let dated = [ack(&cast, R, answered.id(), TIME)];
        let both = [with(&folder, asked.items().into_iter().chain(answered.items()).chain(dated))];
        expect(
            how.name(),
            &cast,
            &both,
            &[
                ("disputed(responder)", Proven),
                ("disputed(originator)", Undecided),
                ("answered(originator)", Proven),
                (&format!("answered(originator, {BEFORE})"), Proven),
                ("answered(responder)", Undecided),
                ("conceded(originator)", conceded),
                ("conceded(responder)", Undecided),
            ],
        );
        let alone = [with(&folder, answered.items())];
        let nothing = [("answered(originator)", Undecided), ("conceded(originator)", Undecided)];
        expect("an answer to nothing", &cast, &alone, &nothing);
        // Whoever disputes does not answer itself.
        let own = [with(&folder, asked.items().into_iter().chain(answer(how, R).items()))];
        expect(
            "an answer to itself",
            &cast,
            &own,
            &[("answered(responder)", Undecided), ("conceded(responder)", Undecided)],
        );
    }
}

// Only what tells of this deal is excused from belonging to another one.
#[test]
fn a_submission_of_another_deal_is_none() {
    let (cast, folder) = signed_contract();
    let said = sent(&cast, R, &notice(&cast, &folder, R, withdrawal()));
    let shown = proof(id(&cast, O), 1, carrier(), &said.message());
    let without_notice = [with(&folder, [shown.clone()])];
    assert_eq!(faults(&cast, &without_notice), 1);
    let with_notice = [with(&folder, said.items().into_iter().chain([shown]))];
    assert_eq!(faults(&cast, &with_notice), 0);
}
