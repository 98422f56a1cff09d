//! Money through the arbiter's hands, with a real mint and a real bank. What could go wrong: the arbiter pays out what it has not got, or twice, or keeps what nobody asks for any more; a power failure
//! between verdict and payment loses the payment; the arbiter's keys pay what no verdict has made due.

use semper_core::cbor::Decode as _;
use semper_core::contract::{DEPOSIT_MAX, DESCRIPTOR_MAX};
use semper_exchange::arbiter::hands::{Answer as Said, Deposit, token_hash};
use semper_exchange::arbiter::request::Inquiry;
use semper_exchange::arbiter::verdict::{Outcome, Verdict};
use semper_exchange::gx::{HandsDeposit, paid_out_until};
use semper_support::approval::Exhibit;
use semper_transfer::payment::statement::{PaymentOrder, PaymentReceipt, PaymentRequest, order_hash};

use super::*;

const O: Role = Role::ORIGINATOR;
const R: Role = Role::RESPONDER;
const ROLES: [Role; 2] = [O, R];
/// What each party gives.
const GIVES: [u64; 2] = [365, 120];

fn gives(role: Role) -> Amount {
    eur(GIVES[usize::from(role.number())])
}

/// A contract of both, promised.
struct Change {
    core: Core,
    promises: Vec<Promised>,
    deposits: [HandsDeposit; 2],
}

impl World {
    /// Money for money at one issuer, of which both have enough.
    async fn change(&self) -> Change {
        let system = System::parse(self.system).unwrap();
        let now = now().after(Seconds(self.later.load(Ordering::SeqCst)));
        let (delta, sigma) = (Seconds(10), Seconds(1));
        let deadlines = Deadlines { not_after: now.after(OPEN), complaints: None, refund_after: None, delta, sigma };
        let mut nonce = [0; 32];
        semper_support::crypto::Randomness::fill(&SystemRandom, &mut nonce).unwrap();
        let mut deposits = Vec::new();
        for owner in ROLES {
            let mut signed = Vec::new();
            for payee in [owner.peer(), owner] {
                let request = PaymentRequest {
                    deal: DEAL,
                    amount: gives(owner),
                    purpose: String::new(),
                    system: system.clone(),
                    issuer: ISSUER.to_owned(),
                    details: self.party(payee).done(Task::Expect(gives(owner))).await,
                    expires: paid_out_until(&deadlines),
                };
                signed.push(self.party(payee).sign(&request));
            }
            let [onward, back] = signed.try_into().unwrap();
            deposits.push(HandsDeposit { onward, back, salt: nonce });
        }
        let deposits: [HandsDeposit; 2] = deposits.try_into().unwrap();
        let item = |owner: Role| Item {
            kind: ItemKind::Money,
            owner,
            recipient: owner.peer(),
            descriptor: Price { amount: gives(owner), system: system.clone(), issuer: ISSUER.to_owned(), lock: None }
                .to_bytes(),
            slot: Slot(owner.number().into()),
        };
        let arbiter = self.arbiter_keys.id();
        let terms = Terms {
            profile: Profile::Ix,
            parties: ROLES.map(|role| PartyRef { role, key_set: self.party(role).keys.key_set().id() }).to_vec(),
            arbiter: Some(ArbiterRef { key_set: arbiter, deposit_key: None, log: arbiter, rules: rules_hash() }),
            items: ROLES.map(item).to_vec(),
            deadlines,
            text: nobodys_text(),
            links: Vec::new(),
            nonce,
        };
        let places = ROLES.map(|role| Slot(role.number().into()));
        let core =
            Core { terms, deposits: places.into_iter().zip(deposits.each_ref().map(Encode::to_bytes)).collect() };
        assert!(core.deposits.values().all(|deposit| deposit.len() <= DEPOSIT_MAX), "they fit a contract");
        assert!(core.terms.items.iter().all(|item| item.descriptor.len() <= DESCRIPTOR_MAX));
        let cid = core.cid();
        let first = self.party(O).sign(&Promise { cid, role: O, answers: None });
        let second = self.party(R).sign(&Promise { cid, role: R, answers: Some(first.id()) });
        Change { core, promises: [first, second].map(Promised::bare).to_vec(), deposits }
    }

    fn question(&self, change: &Change, by: Role, question: &impl Statement, token: &[u8]) -> Request {
        let mut promises = change.promises.clone();
        promises[usize::from(by.number())].token = token.to_vec();
        let key_sets = ROLES.map(|role| self.party(role).keys.key_set().clone());
        let question = self.party(by).sign(question);
        let core = change.core.clone();
        Request { core, key_sets, promises, question, proof: Vec::new(), payout: Vec::new() }
    }

    async fn once(&self, request: &Request) -> Result<Said, DecideError> {
        self.arbiter.decide_hands(DEAL, request, &request.to_bytes()).await
    }

    /// Asks until it is answered.
    async fn told(&self, request: &Request) -> Said {
        let until = tokio::time::Instant::now() + LONG;
        loop {
            match self.once(request).await {
                Ok(said) => return said,
                Err(DecideError::Money(MoneyError::Awaited)) if tokio::time::Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn inquiry(&self, change: &Change, by: Role) -> Request {
        self.question(change, by, &Inquiry { cid: change.core.cid(), slot: Slot::default(), role: by }, b"")
    }

    /// Pays as the arbiter asks, and hands the token in.
    async fn deposit(&self, change: &Change, by: Role) -> Request {
        let asked = self.told(&self.inquiry(change, by).await).await;
        let place = usize::from(by.number());
        let (request, salt) = (asked.requests[place].clone(), change.deposits[place].salt);
        let token = self.party(by).done(Task::Pay { request, salt }).await;
        let deposit = Deposit { cid: change.core.cid(), role: by, token: token_hash(&token) };
        self.question(change, by, &deposit, &token)
    }

    /// Whom the arbiter owes how much.
    async fn owed(&self) -> Vec<(String, String)> {
        let contracts = self.arbiter.in_hand(None).await.unwrap().contracts;
        let parties = contracts.into_iter().flat_map(|contract| contract.parties);
        parties.filter_map(|party| Some((party.role, party.owes?.amount))).collect()
    }

    /// Takes what the arbiter pays.
    async fn collect(&self, by: Role, request: &Signed, said: &Said) {
        let task = Task::Receive { request: request.clone(), token: said.token.clone() };
        self.party(by).done(task).await;
    }

    async fn balances(&self) -> [u64; 2] {
        for role in ROLES {
            self.party(role).done(Task::Refresh).await;
        }
        [self.party(O).available().await, self.party(R).available().await]
    }
}

fn owed((role, minor): (&str, u64)) -> (String, String) {
    (role.to_owned(), eur(minor).to_string())
}

fn outcome(said: &Said) -> Option<Outcome> {
    said.statement.as_ref().map(|verdict| Verdict::from_bytes(verdict.payload()).unwrap().outcome)
}

fn nobodys_text() -> TextRef {
    TextRef {
        template: TemplateId::from_digest(Digest::of(domain::TEMPLATE, b"")),
        fields: Digest::of(domain::FIELDS, b""),
        locale: "en".to_owned(),
        render: Digest::of(domain::RENDER, b""),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_both_hand_in_both_get() {
    for system in SYSTEMS {
        let world = World::rich(system).await;
        let before = world.balances().await;
        let change = world.change().await;
        let first = world.deposit(&change, O).await;
        let taken = world.told(&first).await;
        assert_eq!((outcome(&taken), taken.receipts.len()), (None, 1), "{system}: it has one deposit");
        let receipt = PaymentReceipt::from_bytes(taken.receipts[0].payload()).unwrap();
        assert_eq!((receipt.request, receipt.amount), (taken.requests[0].id(), gives(O)));
        let waiting = world.inquiry(&change, O).await;
        assert!(matches!(world.once(&waiting).await, Err(DecideError::Money(MoneyError::Awaited))));
        let second = world.deposit(&change, R).await;
        let paid = world.told(&second).await;
        assert_eq!((outcome(&paid), paid.receipts.len()), (Some(Outcome::Resolved), 2));
        let again = world.told(&second).await;
        assert_eq!((&again.statement, &again.log, &again.token), (&paid.statement, &paid.log, &paid.token), "for ever");
        let log = paid.log.as_ref().unwrap();
        log.check(&Verifier, &world.arbiter_keys, paid.statement.as_ref().unwrap()).unwrap();
        world.collect(R, &change.deposits[0].onward, &paid).await;
        world.collect(O, &change.deposits[1].onward, &world.told(&waiting).await).await;
        let [o, r] = before;
        assert_eq!(world.balances().await, [o - GIVES[0] + GIVES[1], r - GIVES[1] + GIVES[0]], "{system}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_hands_in_comes_back() {
    for system in SYSTEMS {
        let world = World::rich(system).await;
        let before = world.balances().await;
        let change = world.change().await;
        world.told(&world.deposit(&change, O).await).await;
        let late = world.deposit(&change, R).await;
        let abort = Abort { cid: change.core.cid(), slot: Slot::default(), promise: change.promises[0].promise.id() };
        let aborted = world.told(&world.question(&change, O, &abort, b"")).await;
        assert_eq!(outcome(&aborted), Some(Outcome::Aborted));
        world.collect(O, &change.deposits[0].back, &aborted).await;
        // What comes now is not taken: its payer has it back from its issuer, when its date has come.
        let refused = world.told(&late).await;
        assert_eq!((outcome(&refused), refused.token.len()), (Some(Outcome::Aborted), 0));
        assert_eq!(refused.receipts.len(), 1, "of the other one");
        assert_eq!(world.balances().await[0], before[0], "{system}");
        // A contract whose time is over before anybody asks is none of the arbiter's.
        let other = world.change().await;
        world.pass(Seconds(OPEN.0 + 1));
        let unused = world.told(&world.inquiry(&other, R).await).await;
        assert!(unused.requests.is_empty() && unused.statement.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_between_verdict_and_payment() {
    let mut world = World::rich("ecash").await;
    let before = world.balances().await;
    let change = world.change().await;
    world.told(&world.deposit(&change, O).await).await;
    let second = world.deposit(&change, R).await;
    // The mint takes the token to the arbiter's purse, and says nothing more.
    *world.cut_after.lock().unwrap() = Some("/v1/swap");
    assert!(matches!(world.once(&second).await, Err(DecideError::Money(MoneyError::Awaited))));
    assert!(world.silent.load(Ordering::SeqCst), "the line was cut");
    let stands = world.arbiter.register.verdict_of_hands(change.core.cid()).await.unwrap();
    let verdict = Verdict::from_bytes(stands.unwrap().statement.payload()).unwrap();
    assert_eq!(verdict.outcome, Outcome::Resolved, "the verdict is stored, and nobody is paid");
    assert_eq!(
        world.owed().await,
        [("the originator", GIVES[1]), ("the responder", GIVES[0])].map(owed),
        "it owes both"
    );
    // The power fails; nothing is left but what is stored.
    world.restart();
    world.silent.store(false, Ordering::SeqCst);
    let paid = world.told(&second).await;
    assert_eq!(outcome(&paid), Some(Outcome::Resolved));
    world.collect(R, &change.deposits[0].onward, &paid).await;
    let told = world.told(&world.inquiry(&change, O).await).await;
    world.collect(O, &change.deposits[1].onward, &told).await;
    let [o, r] = before;
    assert_eq!(world.balances().await, [o - GIVES[0] + GIVES[1], r - GIVES[1] + GIVES[0]]);
    assert_eq!(world.owed().await, [], "what is paid is not owed");
    assert!(world.arbiter.register.open(None, 10).await.unwrap().is_empty(), "and not looked at again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_arbiters_keys_pay_what_a_verdict_has_made_due() {
    let world = World::rich("ecash").await;
    let change = world.change().await;
    let asked = change.deposits[0].onward.clone();
    let salt = change.deposits[0].salt;
    let order = PaymentOrder {
        order: order_hash(asked.id(), &salt),
        amount: gives(O),
        system: System::parse("ecash").unwrap(),
        issuer: ISSUER.to_owned(),
        instruction: Digest::from_array([1; 32]),
        time: now(),
    };
    let signs = |order: &PaymentOrder| {
        let draft = order.draft(world.arbiter_keys.suite(), world.arbiter_keys.id());
        let exhibit = Exhibit::Payment { request: asked.bytes().to_vec(), salt };
        world.arbiter.parts.keys.request(SignRequest { deal: DEAL, draft, exhibit })
    };
    assert!(matches!(signs(&order).await, Err(ApprovalError::Forbidden(_))), "nothing is due");
    for role in ROLES {
        world.told(&world.deposit(&change, role).await).await;
    }
    assert!(matches!(signs(&order).await, Ok(Answer::Signed(_))), "it is due");
    let dearer = PaymentOrder { amount: eur(GIVES[0] + 1), ..order };
    assert!(signs(&dearer).await.is_err(), "and no more");
}
