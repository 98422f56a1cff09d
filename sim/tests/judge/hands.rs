//! What an exchange through the hands of the arbiter leaves behind. What could go wrong: an arbiter that has both deposits and pays nobody cannot be told from one that has paid; one that contradicts its
//! own receipts is not found out, or an honest one is; a payment of somebody else's counts for the arbiter's misconduct.

use semper_core::cose::Statement;
use semper_exchange::arbiter::hands::{Case as Asked, Hands, Holding};
use semper_exchange::arbiter::request::{Inquiry, Request};
use semper_exchange::evidence::{Finding, Standing};
use semper_exchange::gx::Handed;
use semper_sim::deal::Deal;
use semper_sim::mint;

use super::parties::DEAL;
use super::*;

const ROLES: [Role; 2] = [O, R];

/// One exchange, and whoever can sign for it.
struct Scene {
    cast: Cast,
    deal: Deal,
    asked: Asked,
}

/// What a folder holds beside the promises and the arbiter's requests.
#[derive(Clone, Copy, Default)]
struct Left {
    /// Seconds before the end of the contract's time at which the arbiter wrote down the deposits that it gave receipts for.
    receipts: [Option<i64>; 2],
    /// The verdict, and how many seconds before that time it was made.
    verdict: Option<(verdict::Outcome, i64)>,
    /// Proofs that the arbiter's requests were paid.
    deposits: [bool; 2],
    /// Proofs of what the parties were paid: the peer's money.
    onward: [bool; 2],
    /// Their own money back.
    back: [bool; 2],
    /// Whether the arbiter has said that nobody had asked in time.
    unused: bool,
}

impl Scene {
    fn new() -> Self {
        let cast = Cast::default();
        let deal = Deal::through_hands(&cast);
        let core = &deal.core;
        let (cid, slot) = (core.cid(), Slot::default());
        let question = cast.say(R, &Inquiry { cid, slot, role: R }, 0);
        let (promises, key_sets) = (cast.promised(core).to_vec(), cast.key_sets());
        let (proof, payout) = (Vec::new(), Vec::new());
        let request = Request { core: core.clone(), key_sets, promises, question, proof, payout };
        let asked = deal.court(&cast).check_hands(&request).unwrap();
        Self { cast, deal, asked }
    }

    fn before(&self, seconds: i64) -> Time {
        let not_after = i64::try_from(self.deal.core.terms.deadlines.not_after.unix()).unwrap();
        Time::from_unix(u64::try_from(not_after - seconds).unwrap())
    }

    fn arbiter_says(&self, statement: &impl Statement) -> Signed {
        let arbiter = self.cast.arbiter.key_set();
        self.cast.arbiter.sign(statement.draft(arbiter.suite(), arbiter.id())).unwrap()
    }

    fn folder(&self, left: Left) -> Folder {
        let (core, arbiter) = (&self.deal.core, self.cast.arbiter.key_set());
        let sign = |draft| self.cast.arbiter.sign(draft).unwrap();
        let holding = |at: Option<i64>| at.map_or(Holding::Nothing, |at| Holding::Taken(self.before(at)));
        let open = Hands::new([vec![1], vec![2]], self.before(0));
        let hands = Hands { holdings: left.receipts.map(holding), ..open };
        let requests = ROLES.map(|owner| sign(self.asked.request(&hands, owner, arbiter)));
        let mut said: Vec<_> = ROLES.map(|role| self.cast.promise(core, role, 0)).into();
        said.extend(requests.clone());
        said.extend(ROLES.iter().filter_map(|owner| Some(sign(self.asked.receipt(&hands, *owner, arbiter)?))));
        let (cid, slot, [first, second]) = (core.cid(), Slot::default(), self.cast.promise_ids(core));
        let verdict = left.verdict.map(|(outcome, at)| Verdict {
            cid,
            slot,
            outcome,
            basis: vec![self.asked.question(), first, second],
            prior: Vec::new(),
            time: self.before(at),
            log_index: 0,
        });
        said.extend(verdict.map(|verdict| self.arbiter_says(&verdict)));
        let status = ClosedUnused { cid, slot, request: self.asked.question(), time: self.before(-1) };
        said.extend(left.unused.then(|| self.arbiter_says(&status)));
        let mut proofs = Vec::new();
        for (place, role) in ROLES.into_iter().enumerate() {
            let Handed { back, .. } = self.asked.gives(role).clone();
            let onward = self.asked.gives(role.peer()).onward.clone();
            said.extend([onward.clone(), back.clone()]);
            let shown = [(left.deposits, requests[place].clone()), (left.onward, onward), (left.back, back)];
            proofs.extend(shown.into_iter().filter(|(which, _)| which[place]).map(|(_, request)| mint::proof(request)));
        }
        let [o, r] = self.cast.key_sets();
        let mut items = vec![item(EvidenceKind::Core, core.to_bytes())];
        items.extend([&o, &r, arbiter].map(|keys| item(EvidenceKind::KeySet, keys.to_bytes())));
        items.extend(said.iter().map(|signed| item(EvidenceKind::Statement, signed.bytes().to_vec())));
        items.extend(proofs.iter().map(|proof| item(EvidenceKind::Payment, proof.to_bytes())));
        Folder { deal: DEAL, items }
    }

    fn expect(&self, name: &str, left: Left, table: &[(&str, Outcome)]) {
        expect(name, &self.cast, &[self.folder(left)], table);
    }

    /// Whether the arbiter is found to have misbehaved, and where the contract stands.
    fn found(&self, left: Left) -> (bool, Standing) {
        let report = report(&self.cast, &[self.folder(left)]);
        let is_its =
            |finding: &Finding| matches!(finding, Finding::WrongVerdict { .. } | Finding::ArbiterEquivocated { .. });
        (report.findings.iter().any(is_its), report.contracts[0].standing)
    }
}

const RESOLVED: Option<(verdict::Outcome, i64)> = Some((verdict::Outcome::Resolved, 10));
const ABORTED: Option<(verdict::Outcome, i64)> = Some((verdict::Outcome::Aborted, 10));
const BOTH: [bool; 2] = [true, true];

/// One of each kind.
pub(super) fn folders() -> [(Cast, Folder); 2] {
    let done = Left { receipts: [Some(30), Some(10)], verdict: RESOLVED, onward: BOTH, ..Left::default() };
    let one = [true, false];
    let back = Left { receipts: [Some(30), None], verdict: ABORTED, deposits: one, back: one, ..Left::default() };
    [done, back].map(|left| {
        let scene = Scene::new();
        let folder = scene.folder(left);
        (scene.cast, folder)
    })
}

#[test]
fn what_was_paid_on_and_what_the_arbiter_owes() {
    let scene = Scene::new();
    let bound = [("agreed(originator)", Proven), ("agreed(responder)", Proven), ("resolved(arbiter)", Proven)];
    let resolved = Left { receipts: [Some(30), Some(10)], verdict: RESOLVED, ..Left::default() };
    scene.expect("resolved", resolved, &bound);
    let owing = [
        ("deposited(originator, >= 1.00 EUR)", Proven),
        ("deposited(responder)", Proven),
        ("paid(originator, >= 1.00 EUR)", Proven),
        // For the arbiter to prove.
        ("received-money(originator)", Undecided),
        ("received-money(responder)", Undecided),
        ("refunded(originator)", Refuted),
    ];
    scene.expect("not paid on", resolved, &owing);
    let one = Left { onward: [true, false], ..resolved };
    scene.expect(
        "paid on to one",
        one,
        &[("received-money(originator)", Proven), ("received-money(responder)", Undecided)],
    );
    assert_eq!(scene.found(resolved), (false, Standing::Resolved { time: scene.before(10) }));
}

#[test]
fn what_was_handed_in_is_shown_by_the_arbiter_or_by_its_issuer() {
    let scene = Scene::new();
    let nothing = [("deposited(originator)", Undecided), ("agreed(originator)", Undecided)];
    scene.expect("nothing came", Left::default(), &nothing);
    let told = Left { receipts: [Some(30), None], ..Left::default() };
    let alone =
        [("deposited(originator)", Proven), ("deposited(responder)", Undecided), ("paid(originator)", Undecided)];
    scene.expect("a receipt", told, &alone);
    scene.expect("a receipt, dated", told, &[("deposited(originator, before 1971-01-01T00:00:00Z)", Proven)]);
    let silent = Left { deposits: [true, false], ..Left::default() };
    scene.expect("the issuer's word", silent, &alone);
    // Who trusts no arbiter takes its issuer's word, not the arbiter's receipt.
    let distrustful = Policy { arbiters: Some([].into()), ..late() };
    for (left, outcome) in [(told, Undecided), (silent, Proven)] {
        let folder = scene.folder(left);
        let claim: Claim = "deposited(originator)".parse().unwrap();
        let case = Case::of(&[folder]).unwrap();
        let claim = bind(&case.examine(&checks(&scene.cast)), &claim);
        let decision = judge(&checks(&scene.cast), &case, &[claim], &distrustful);
        assert_eq!(decision.rulings[0].outcome, outcome);
    }
}

#[test]
fn what_was_paid_back() {
    let scene = Scene::new();
    let aborted = Left { receipts: [Some(30), None], verdict: ABORTED, ..Left::default() };
    let owing = [
        ("agreed(originator)", Refuted),
        ("paid(originator)", Refuted),
        ("received-money(responder)", Refuted),
        ("deposited(originator)", Proven),
        ("refunded(originator)", Undecided),
    ];
    scene.expect("not paid back", aborted, &owing);
    let back = Left { back: [true, false], ..aborted };
    scene.expect(
        "paid back",
        back,
        &[("refunded(originator, >= 1.00 EUR)", Proven), ("refunded(responder)", Undecided)],
    );
    assert_eq!(scene.found(back), (false, Standing::Aborted { time: scene.before(10) }));
}

#[test]
fn an_arbiter_that_contradicts_itself() {
    let scene = Scene::new();
    let with = |receipts, verdict| Left { receipts, verdict, ..Left::default() };
    let wrong = [
        ("aborted, with both", with([Some(30), Some(20)], ABORTED)),
        ("resolved, too late", with([Some(30), Some(-1)], Some((verdict::Outcome::Resolved, -1)))),
        ("nobody had asked, and it had", Left { unused: true, ..Left::default() }),
    ];
    for (name, left) in wrong {
        assert!(scene.found(left).0, "{name}");
    }
    let right = [
        ("aborted, with one", with([Some(30), None], ABORTED)),
        ("aborted first", with([Some(30), Some(5)], ABORTED)),
        ("in the same second", with([Some(30), Some(10)], ABORTED)),
        ("the second one too late", with([Some(30), Some(-1)], Some((verdict::Outcome::Aborted, -2)))),
        ("resolved at the last moment", with([Some(30), Some(0)], Some((verdict::Outcome::Resolved, 0)))),
        // Whoever paid it, it was not the arbiter.
        ("paid by somebody", Left { onward: BOTH, ..with([Some(30), None], ABORTED) }),
    ];
    for (name, left) in right {
        assert!(!scene.found(left).0, "{name}");
    }
}
