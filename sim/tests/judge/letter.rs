//! A letter to two recipients. What could go wrong: what one of them has said, or what was ruled about it, proves something about the other.

use semper_core::cbor::Encode;
use semper_core::contract::{Core, Final, Promise};
use semper_core::cose::{Signed, Statement};
use semper_core::ids::{Slot, StatementId};
use semper_core::time::Time;
use semper_exchange::arbiter::verdict::{self, Verdict};
use semper_exchange::claims::{Claim, questions};
use semper_exchange::evidence::Folder;
use semper_exchange::gx::responder;
use semper_sim::deal::letter;
use semper_sim::scenario::Cast;
use semper_support::crypto::Signer;
use semper_support::engine::EvidenceKind;

use super::{DEAL, O, Outcome, R, expect, item, report, ruling};
use Outcome::{Proven, Refuted, Undecided};

const BOB: Slot = Slot(0);
const CAROL: Slot = Slot(1);

/// What was said about one part.
struct Part<'a> {
    cast: &'a Cast,
    core: &'a Core,
    slot: Slot,
    promises: [Signed; 2],
}

impl<'a> Part<'a> {
    fn new(cast: &'a Cast, core: &'a Core, slot: Slot) -> Self {
        let first = cast.promise(core, O, 0);
        let answer = Promise { cid: core.cid(), role: responder(slot), answers: Some(first.id()) };
        let promises = [first, cast.say(R, &answer, 0)];
        Self { cast, core, slot, promises }
    }

    fn ids(&self) -> [StatementId; 2] {
        self.promises.each_ref().map(Signed::id)
    }

    /// Both finals.
    fn finals(&self) -> Vec<Signed> {
        let of = |side, role| {
            let completion = Final { cid: self.core.cid(), role, promises: self.ids(), slot: self.slot };
            self.cast.say(side, &completion, 0)
        };
        vec![of(O, O), of(R, responder(self.slot))]
    }

    fn verdict(&self, outcome: verdict::Outcome) -> Signed {
        let [first, second] = self.ids();
        let (cid, basis) = (self.core.cid(), vec![first, first, second]);
        let time = Time::from_unix(1000);
        let verdict = Verdict { cid, slot: self.slot, outcome, basis, prior: Vec::new(), time, log_index: 0 };
        let arbiter = self.cast.arbiter.key_set();
        self.cast.arbiter.sign(verdict.draft(arbiter.suite(), arbiter.id())).unwrap()
    }
}

fn folder(casts: &[Cast; 2], core: &Core, said: impl IntoIterator<Item = Signed>) -> Folder {
    let [bob, carol] = casts;
    let mut items = vec![item(EvidenceKind::Core, core.to_bytes())];
    for key_set in [bob.hand(O), bob.hand(R), carol.hand(R), &bob.arbiter].map(Signer::key_set) {
        items.push(item(EvidenceKind::KeySet, key_set.to_bytes()));
    }
    items.extend(said.into_iter().map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())));
    Folder { deal: DEAL, items }
}

/// A claim about the part of the first or second recipient.
fn about(core: &Core, claim: &str, recipient: u8) -> String {
    let (verb, actor) = claim.split_once('(').unwrap();
    format!("{verb}({}, contract {} recipient {recipient})", actor.trim_end_matches(')'), core.cid())
}

#[test]
fn each_recipient_is_judged_for_itself() {
    let (casts, core) = letter();
    let bob = Part::new(&casts[0], &core, BOB);
    let carol = Part::new(&casts[1], &core, CAROL);
    let of_bob = [bob.promises.to_vec(), bob.finals()].concat();
    let of_carol = [carol.promises.to_vec(), vec![carol.verdict(verdict::Outcome::Aborted)]].concat();
    let folder = folder(&casts, &core, [of_bob, of_carol].concat());
    let table = [
        ("received(receiver)", Proven, Refuted),
        ("received(responder)", Proven, Refuted),
        ("delivered(sender)", Proven, Refuted),
        ("agreed(originator)", Proven, Refuted),
        ("agreed(responder)", Proven, Refuted),
        ("promised(responder)", Proven, Proven),
        ("aborted(arbiter)", Undecided, Proven),
        // In a part there are two.
        ("promised(signer-3)", Undecided, Undecided),
    ];
    for (claim, bobs, carols) in table {
        for (recipient, outcome) in [(1, bobs), (2, carols)] {
            let folders = std::slice::from_ref(&folder);
            expect("a letter", &casts[0], folders, &[(&about(&core, claim, recipient), outcome)]);
        }
    }
    // Nobody has a third part, and the whole is no contract between two.
    let none = [about(&core, "received(receiver)", 3), format!("received(receiver, contract {})", core.cid())];
    for text in none {
        assert_eq!(ruling(&casts[0], std::slice::from_ref(&folder), &text).outcome, Undecided, "{text}");
    }
    let asked = questions(&report(&casts[0], std::slice::from_ref(&folder)));
    let parts = asked.iter().filter(|question| question.words == "did the receiver get it?");
    let texts: Vec<_> = parts.map(|question| question.claim.to_string()).collect();
    assert_eq!(texts, [1, 2].map(|recipient| about(&core, "received(responder)", recipient)));
    assert!(asked.iter().all(|question| question.claim.to_string().parse() == Ok::<Claim, _>(question.claim.clone())));
}

// The twin: with a verdict or finals of its own part each of these would be proven.
#[test]
fn what_is_said_about_one_recipient_proves_nothing_about_another() {
    let (casts, core) = letter();
    let bob = Part::new(&casts[0], &core, BOB);
    let carol = Part::new(&casts[1], &core, CAROL);
    let resolved = |part: &Part<'_>| part.verdict(verdict::Outcome::Resolved);
    let told = |said: Vec<Signed>| {
        let folder = folder(&casts, &core, [bob.promises.to_vec(), carol.promises.to_vec(), said].concat());
        [1, 2].map(|n| ruling(&casts[0], std::slice::from_ref(&folder), &about(&core, "received(receiver)", n)).outcome)
    };
    assert_eq!(told(vec![resolved(&bob)]), [Proven, Undecided]);
    assert_eq!(told(vec![resolved(&carol)]), [Undecided, Proven]);
    assert_eq!(told(bob.finals()), [Proven, Undecided]);
    assert_eq!(told(carol.finals()), [Undecided, Proven]);
    // Bob's verdict on Carol's promises.
    let wrong = Part { promises: carol.promises.clone(), ..Part::new(&casts[0], &core, BOB) };
    assert_eq!(told(vec![resolved(&wrong)]), [Undecided, Undecided]);
}
