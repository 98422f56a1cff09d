//! Money in the hands of an arbiter. What could go wrong: the keys pay somebody else than the contract's arbiter, or more, or twice, or what no user has approved; or a rule of
//! the user's approves it.

use semper_commerce::trade::request_of_arbiter;
use semper_exchange::arbiter::hands::deposit_request;

use super::*;

const RULES: &str = "[[allow]]\nwhat = \"contract\"\n[[allow]]\nwhat = \"payment\"\nup_to = \"50.00 EUR\"\n";

/// Three euros of `me` for three of somebody else, through the hands of `arbiter`.
fn exchange(me: KeySetId, arbiter: KeySetId) -> Agreement {
    let (other, deal) = (KeySetId::from_digest(digest(6)), DealId::from_array([1; 16]));
    let amount = Amount::parse("3.00 EUR").unwrap();
    let means = Means { receipt: ReceiptKind::Issuer, ..offer().means.remove(0) };
    let closes = now().after(Seconds(100_000));
    // Whether it is signed well is for the engine to check.
    let requested = |by: KeySetId| {
        let asked = request_of_arbiter((deal, "", closes), amount, &means, by.as_bytes().to_vec());
        asked.draft(Suite::Ed25519, by).assemble(vec![vec![0; 64]]).unwrap()
    };
    let pledge = |request| Pledge { means: means.clone(), details: Vec::new(), request: Some(request) };
    let trade = Trade {
        gives: amount,
        wants: Some(amount),
        purpose: String::new(),
        pays: vec![pledge(requested(me))],
        takes: vec![pledge(requested(me))],
        arbiters: vec![ArbiterOffer { name: "Carol".to_owned(), key_set: arbiter }],
        valid_for: Seconds(100_000),
        asker: "Alice".to_owned(),
        peer: "Bob".to_owned(),
        locale: "en".to_owned(),
        manner: Manner::InLine { closes },
    };
    let deposit_key = DepositKey { suite: KemSuite::XWing, public_key: Vec::new() };
    let arbiter = Arbiter { key_set: arbiter, log: arbiter, rules: digest(8), deposit_key, lock_key: Vec::new() };
    let paid = |salt| Paid::Requested { place: 0, request: requested(other), salt: [salt; 32] };
    let (pays, takes, arbiter) = (paid(4), Some(paid(5)), Some(&arbiter));
    let reply = Reply { trade: &trade, asker: me, me: other, arbiter, pays, takes, nonce: [6; 32], now: now() };
    reply.propose([0; 16]).unwrap().into_agreement()
}

/// Alice, who gives.
struct Scene {
    vault: Vault<MemoryArchive>,
    carol: SecretKeys,
    agreement: Agreement,
}

impl Scene {
    /// Under rules that allow all that rules can.
    fn new() -> Self {
        Self::with(Some(Policy::parse(RULES).unwrap()))
    }

    fn with(policy: Option<Policy>) -> Self {
        let (vault, _) = vault_with(Purpose::Party, policy);
        let carol = SecretKeys::generate(Suite::Ed25519).unwrap();
        let agreement = exchange(vault.key_set().id(), carol.key_set().id());
        Self { vault, carol, agreement }
    }

    fn promise(&self, exhibit: Exhibit) -> SignRequest {
        let keys = self.vault.key_set();
        let promise = Promise { cid: self.agreement.core.cid(), role: Role::ORIGINATOR, answers: None };
        SignRequest { deal: DealId::from_array([1; 16]), draft: promise.draft(keys.suite(), keys.id()), exhibit }
    }

    /// The user reads the contract and signs; what was shown.
    async fn approve(&self) -> String {
        let request = self.promise(self.agreement.in_line(self.carol.key_set()));
        assert_eq!(self.vault.request(request.clone()).await.unwrap(), Answer::Waiting);
        let [asked] = self.vault.waiting().await.unwrap().try_into().unwrap();
        self.vault.answer(request.id(), UserAnswer::Approve { seen: asked.text_hash() }).await.unwrap();
        asked.text
    }

    /// What the arbiter asks for, by a change of it.
    fn asked(&self, change: impl FnOnce(&mut PaymentRequest)) -> PaymentRequest {
        let [leg, _] = Leg::of(&self.agreement.core).unwrap();
        let details = b"the arbiter's account".to_vec();
        let mut asked = deposit_request(&self.agreement.core, Role::ORIGINATOR, leg.handed().unwrap(), details);
        change(&mut asked);
        asked
    }

    /// Whether an order is signed that pays a request of `payee`'s, by a change of the order.
    async fn pays(&self, payee: &SecretKeys, asked: &PaymentRequest, change: impl FnOnce(&mut PaymentOrder)) -> bool {
        let me = payee.key_set();
        let request = payee.sign(asked.draft(me.suite(), me.id())).unwrap();
        self.pays_for(&request, asked, change).await
    }

    async fn pays_for(&self, request: &Signed, asked: &PaymentRequest, change: impl FnOnce(&mut PaymentOrder)) -> bool {
        let salt = [4; 32];
        let PaymentRequest { amount, system, issuer, .. } = asked.clone();
        let (instruction, time) = (digest(9), Time::from_unix(1));
        let order = order_hash(request.id(), &salt);
        let mut order = PaymentOrder { order, amount, system, issuer, instruction, time };
        change(&mut order);
        let keys = self.vault.key_set();
        let draft = order.draft(keys.suite(), keys.id());
        let exhibit = Exhibit::Payment { request: request.bytes().to_vec(), salt };
        let asked = SignRequest { deal: DealId::from_array([1; 16]), draft, exhibit };
        matches!(self.vault.request(asked).await, Ok(Answer::Signed(_)))
    }
}

fn unchanged<T>(_: &mut T) {}

// One question, whatever the rules say, and in words that nobody can misread; the payment follows from the answer.
#[tokio::test]
async fn one_answer_is_for_the_contract_and_its_deposit() {
    let scene = Scene::new();
    let asked = scene.asked(unchanged);
    let shown = scene.approve().await;
    for part in
        ["Both amounts go to the arbiter first", "it could keep them", "Each of the two can call the exchange off"]
    {
        assert!(shown.contains(part), "{part:?} is not in: {shown}");
    }
    assert!(scene.pays(&scene.carol, &asked, unchanged).await);
    assert!(scene.pays(&scene.carol, &asked, unchanged).await, "the same again is the same");
    assert!(!scene.pays(&scene.carol, &asked, |order| order.time = Time::from_unix(2)).await, "a second order");
    let elsewhere = scene.asked(|asked| asked.details.push(b'x'));
    assert!(!scene.pays(&scene.carol, &elsewhere, unchanged).await, "twice, to another account of the arbiter's");
    assert!(scene.vault.waiting().await.unwrap().is_empty(), "nothing else is asked");
}

#[tokio::test]
async fn nothing_but_the_arbiters_own_request_is_paid() {
    let scene = Scene::new();
    scene.approve().await;
    let asked = scene.asked(unchanged);
    let mallory = SecretKeys::generate(Suite::Ed25519).unwrap();
    assert!(!scene.pays(&mallory, &asked, unchanged).await, "another payee");
    // The request says that the arbiter has signed it, and it has not.
    let me = scene.carol.key_set();
    let forged = asked.draft(me.suite(), me.id());
    let signature = mallory.sign(asked.draft(me.suite(), mallory.key_set().id())).unwrap();
    let signature = signature.signatures().map(|(_, _, bytes)| bytes.to_vec()).collect();
    assert!(!scene.pays_for(&forged.assemble(signature).unwrap(), &asked, unchanged).await, "forged");
    assert!(!scene.pays(&scene.carol, &asked, |order| order.amount = Amount::parse("2.99 EUR").unwrap()).await);
    assert!(!scene.pays(&scene.carol, &asked, |order| order.issuer.push('x')).await);
    assert!(!scene.pays(&scene.carol, &asked, |order| order.order = digest(1)).await);
    assert!(scene.pays(&scene.carol, &asked, unchanged).await, "what was refused is no obstacle");
}

// What the contract does not say is a payment like any other, which is shown.
#[tokio::test]
async fn another_request_of_the_arbiters_is_asked_about() {
    for change in [
        |asked: &mut PaymentRequest| asked.amount = Amount::parse("60.00 EUR").unwrap(),
        |asked: &mut PaymentRequest| asked.purpose = asked.purpose.replace("originator", "responder"),
        |asked: &mut PaymentRequest| asked.deal = DealId::from_array([2; 16]),
        |asked: &mut PaymentRequest| asked.expires = asked.expires.after(Seconds(1)),
    ] {
        let scene = Scene::with(None);
        scene.approve().await;
        assert!(!scene.pays(&scene.carol, &scene.asked(change), unchanged).await);
        assert_eq!(scene.vault.waiting().await.unwrap().len(), 1);
    }
}

// A contract that was not approved, one that is another's, and one whose arbiter's keys are missing or another's.
#[tokio::test]
async fn nothing_follows_from_what_was_not_approved() {
    let scene = Scene::with(None);
    let asked = scene.asked(unchanged);
    assert!(!scene.pays(&scene.carol, &asked, unchanged).await);
    let mallory = SecretKeys::generate(Suite::Ed25519).unwrap();
    for exhibit in [scene.agreement.exhibit(), scene.agreement.in_line(mallory.key_set())] {
        let refused = scene.vault.request(scene.promise(exhibit)).await;
        assert!(matches!(refused, Err(ApprovalError::Mismatch(_))), "{refused:?}");
    }
    let other = exchange(KeySetId::from_digest(digest(6)), scene.carol.key_set().id());
    let foreign = scene.vault.request(scene.promise(other.in_line(scene.carol.key_set()))).await;
    assert!(matches!(foreign, Err(ApprovalError::Mismatch(_))), "{foreign:?}");
}

#[tokio::test]
async fn nothing_is_paid_after_an_abort() {
    let scene = Scene::new();
    scene.approve().await;
    let (cid, promise) = (scene.agreement.core.cid(), StatementId::from_digest(digest(2)));
    assert!(signs(&scene.vault, &Abort { cid, slot: Slot::default(), promise }).await);
    assert!(!scene.pays(&scene.carol, &scene.asked(unchanged), unchanged).await);
}

// Whoever has paid can still call it off: the arbiter then pays back.
#[tokio::test]
async fn an_abort_is_signed_after_the_deposit() {
    let scene = Scene::new();
    scene.approve().await;
    assert!(scene.pays(&scene.carol, &scene.asked(unchanged), unchanged).await);
    let (cid, promise) = (scene.agreement.core.cid(), StatementId::from_digest(digest(2)));
    assert!(signs(&scene.vault, &Abort { cid, slot: Slot::default(), promise }).await);
}
