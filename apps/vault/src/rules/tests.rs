//! Keys that sign by rule. What could go wrong: they let money go that nobody promised, or let it go twice, or sign on after they asked the
//! arbiter.
#![allow(clippy::unwrap_used)]

mod cover;
mod deposit;
mod notice;

use semper_commerce::offer::{ArbiterOffer, Order, Pace};
use semper_commerce::proposal::Agreement;
use semper_commerce::purchase::Sale;
use semper_commerce::right;
use semper_commerce::terms::Arbiter;
use semper_commerce::trade::{Choice, Manner, Paid, Pledge, Reply, Trade};
use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Encode as _;
use semper_core::container::{Attributes, Container, ContainerStatement, Information, Leaf, Node as Part};
use semper_core::contract::Promise;
use semper_core::cose::Statement;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId, Slot};
use semper_core::party::{Role, Suite};
use semper_core::time::{Seconds, Time};
use semper_crypto::{DecapsulationKey, Encapsulator, SecretKeys, Verifier};
use semper_exchange::arbiter::verdict::{ClosedUnused, Closing, ClosingOutcome};
use semper_exchange::goods::{ArticleKey, DepositKey, Descriptor, Seed, Size};
use semper_exchange::gx::{Decides, Leg};
use semper_store::MemoryArchive;
use semper_support::archive::{Archive as _, Commit};
use semper_support::crypto::{Decapsulate as _, Encapsulate as _, KemSuite};
use semper_transfer::credential::{
    Bundle, Condition, Credential, CredentialTransfer, ReservationRequest, Serial, Uses,
};
use semper_transfer::payment::means::{Fees, Limits, LockKind, Means, PayerAnonymity, ReceiptKind, Reversal, System};
use semper_transfer::payment::statement::{PaymentOrder, Side, order_hash};

use super::container::MESSAGE_NAME;
use super::*;

fn vault(purpose: Purpose) -> (Vault<MemoryArchive>, Arc<MemoryArchive>) {
    vault_with(purpose, None)
}

fn vault_with(purpose: Purpose, policy: Option<Policy>) -> (Vault<MemoryArchive>, Arc<MemoryArchive>) {
    let (keys, archive) = (SecretKeys::generate(Suite::Ed25519).unwrap(), Arc::new(MemoryArchive::new()));
    let systems: Systems = Arc::from([]);
    (Vault::new(Box::new(keys), archive.clone(), purpose, policy, systems), archive)
}

fn digest(byte: u8) -> Digest {
    Digest::from_array([byte; 32])
}

fn cid() -> Cid {
    Cid::from_digest(digest(1))
}

/// The contract is approved, and nothing else follows from it.
fn approves() -> Approves {
    Approves { cid: cid(), release: None, shows: None, passes: None, deposit: None }
}

/// A sheet that says as little as one can.
fn sheet() -> Sheet {
    let signer = KeySetId::from_digest(digest(1));
    Sheet::of_draft(&Draft { kind: Kind::Promise, suite: Suite::Ed25519, signer, payload: Vec::new() })
}

fn release(tag: u8, to: Side, amount: &str) -> Release {
    let issuer = "https://bank.example".to_owned();
    Release { tag: digest(tag), issuer, to, amount: Amount::parse(amount).unwrap() }
}

async fn signs(vault: &Vault<MemoryArchive>, statement: &impl Statement) -> bool {
    let keys = vault.key_set();
    let draft = statement.draft(keys.suite(), keys.id());
    let request = SignRequest { deal: DealId::from_array([1; 16]), draft, exhibit: Exhibit::Consequence };
    match vault.request(request).await {
        Ok(Answer::Signed(_)) => true,
        Err(ApprovalError::Forbidden(_)) => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_arbiter_lets_the_money_of_a_lock_go_to_one_side_only() {
    let (vault, _) = vault(Purpose::Arbiter);
    for _ in 0..2 {
        assert!(signs(&vault, &release(7, Side::Payee, "3.00 EUR")).await);
        assert!(!signs(&vault, &release(7, Side::Payer, "3.00 EUR")).await);
    }
    assert!(signs(&vault, &release(8, Side::Payer, "3.00 EUR")).await, "another lock is another matter");
}

#[tokio::test]
async fn an_arbiter_signs_what_it_rules_and_nothing_else() {
    let (vault, _) = vault(Purpose::Arbiter);
    let (slot, time) = (Slot::default(), Time::from_unix(1));
    let statement = StatementId::from_digest(digest(2));
    let outcome = ClosingOutcome::Completed;
    let closing = Closing { cid: cid(), slot, outcome, basis: vec![statement], verdict: statement, time, log_index: 1 };
    assert!(signs(&vault, &closing).await);
    assert!(signs(&vault, &ClosedUnused { cid: cid(), slot, request: statement, time }).await);
    assert!(!signs(&vault, &Promise { cid: cid(), role: Role::ORIGINATOR, answers: None }).await);
    assert!(!signs(&vault, &Abort { cid: cid(), slot, promise: statement }).await);
}

// What follows from a promise is what it promises: this lock, all of its money, to the other side; and then no abort any more.
#[tokio::test]
async fn a_party_releases_what_an_approved_contract_promises() {
    let promised = release(7, Side::Payee, "3.00 EUR");
    let (vault, archive) = vault(Purpose::Party);
    assert!(!signs(&vault, &promised).await, "nothing was approved");
    let approval = Approval {
        deal: DealId::from_array([1; 16]),
        draft: Promise { cid: cid(), role: Role::ORIGINATOR, answers: None }
            .draft(Suite::Ed25519, vault.key_set().id()),
        title: String::new(),
        text: String::new(),
        since: Time::from_unix(1),
        approves: Some(Approves { release: Some(promised.clone()), ..approves() }),
        uncovered: String::new(),
        sheet: sheet(),
    };
    let stored = Approval::from_bytes(&approval.to_bytes()).unwrap();
    archive.commit(Commit { facts: stored.facts(), ..Commit::default() }).await.unwrap();
    for other in [
        release(8, Side::Payee, "3.00 EUR"),
        release(7, Side::Payer, "3.00 EUR"),
        release(7, Side::Payee, "2.99 EUR"),
        Release { issuer: "https://other.example".to_owned(), ..promised.clone() },
    ] {
        assert!(!signs(&vault, &other).await, "{other:?}");
    }
    assert!(signs(&vault, &promised).await);
    let abort = Abort { cid: cid(), slot: Slot::default(), promise: StatementId::from_digest(digest(2)) };
    assert!(!signs(&vault, &abort).await);
}

// Money is locked for an approved contract only: its lock, its amount, its bank, and once.
#[tokio::test]
async fn a_party_locks_what_an_approved_contract_promises() {
    let promised = release(7, Side::Payee, "3.00 EUR");
    let (vault, archive) = vault(Purpose::Party);
    let order = |tag: u8, amount: &str, issuer: &str, time| PaymentOrder {
        order: digest(tag),
        amount: Amount::parse(amount).unwrap(),
        system: System::parse("account").unwrap(),
        issuer: issuer.to_owned(),
        instruction: digest(9),
        time: Time::from_unix(time),
    };
    let right = order(7, "3.00 EUR", "https://bank.example", 1);
    assert!(!signs(&vault, &right).await, "nothing was approved");
    let approves = Approves { release: Some(promised), ..approves() };
    archive.commit(Commit { facts: approves.facts(), ..Commit::default() }).await.unwrap();
    for other in [
        order(8, "3.00 EUR", "https://bank.example", 1),
        order(7, "3.01 EUR", "https://bank.example", 1),
        order(7, "3.00 EUR", "https://other.example", 1),
    ] {
        assert!(!signs(&vault, &other).await, "{other:?}");
    }
    assert!(signs(&vault, &right).await);
    assert!(signs(&vault, &right).await);
    assert!(!signs(&vault, &order(7, "3.00 EUR", "https://bank.example", 2)).await, "a second lock of the same money");
}

// A use of a right is kept for an approved contract only: this right, under its arbiter, until its date. And nobody passes on a right unasked.
#[tokio::test]
async fn a_party_has_a_use_kept_for_an_approved_contract_only() {
    let (vault, archive) = vault(Purpose::Party);
    let key = |byte: u8| KeySetId::from_digest(digest(byte));
    let (serial, until) = (Serial::from_array([1; 16]), Time::from_unix(9));
    let right = ReservationRequest { serial, tag: digest(7), arbiter: key(3), until };
    assert!(!signs(&vault, &right).await, "nothing was approved");
    let approval = Approval {
        deal: DealId::from_array([1; 16]),
        draft: Promise { cid: cid(), role: Role::RESPONDER, answers: None }.draft(Suite::Ed25519, vault.key_set().id()),
        title: String::new(),
        text: String::new(),
        since: Time::from_unix(1),
        approves: Some(Approves { shows: Some(right), ..approves() }),
        uncovered: String::new(),
        sheet: sheet(),
    };
    let stored = Approval::from_bytes(&approval.to_bytes()).unwrap();
    archive.commit(Commit { facts: stored.facts(), ..Commit::default() }).await.unwrap();
    for other in [
        ReservationRequest { serial: Serial::from_array([2; 16]), ..right },
        ReservationRequest { tag: digest(8), ..right },
        ReservationRequest { arbiter: key(4), ..right },
        ReservationRequest { until: Time::from_unix(10), ..right },
    ] {
        assert!(!signs(&vault, &other).await, "{other:?}");
    }
    assert!(signs(&vault, &right).await);
    assert!(!signs(&vault, &CredentialTransfer { serial, to: key(4), condition: None }).await);
}

// A right is passed on for an approved contract only: this right, to this buyer, under its arbiter, until its date; and then no abort any more.
#[tokio::test]
async fn a_party_passes_a_right_on_for_an_approved_contract_only() {
    let (vault, archive) = vault(Purpose::Party);
    let key = |byte: u8| KeySetId::from_digest(digest(byte));
    let me = vault.key_set().id();
    let under = Condition { tag: digest(7), arbiter: key(3), until: Time::from_unix(9), giver: me };
    let right = CredentialTransfer { serial: Serial::from_array([1; 16]), to: key(4), condition: Some(under) };
    assert!(!signs(&vault, &right).await, "nothing was approved");
    let approval = Approval {
        deal: DealId::from_array([1; 16]),
        draft: Promise { cid: cid(), role: Role::ORIGINATOR, answers: None }.draft(Suite::Ed25519, me),
        title: String::new(),
        text: String::new(),
        since: Time::from_unix(1),
        approves: Some(Approves { passes: Some(right), ..approves() }),
        uncovered: String::new(),
        sheet: sheet(),
    };
    let stored = Approval::from_bytes(&approval.to_bytes()).unwrap();
    archive.commit(Commit { facts: stored.facts(), ..Commit::default() }).await.unwrap();
    let but = |condition| CredentialTransfer { condition: Some(condition), ..right };
    for other in [
        CredentialTransfer { serial: Serial::from_array([2; 16]), ..right },
        CredentialTransfer { to: key(5), ..right },
        CredentialTransfer { condition: None, ..right },
        but(Condition { tag: digest(8), ..under }),
        but(Condition { arbiter: key(4), ..under }),
        but(Condition { until: Time::from_unix(10), ..under }),
        but(Condition { until: Time::from_unix(8), ..under }),
        but(Condition { giver: key(4), ..under }),
    ] {
        assert!(!signs(&vault, &other).await, "{other:?}");
    }
    let (slot, statement) = (Slot::default(), StatementId::from_digest(digest(2)));
    let revocation = Revocation { cid: cid(), slot, promises: [statement, statement] };
    assert!(!signs(&vault, &revocation).await, "nothing was passed on yet");
    assert!(signs(&vault, &right).await && signs(&vault, &right).await);
    assert!(!signs(&vault, &Abort { cid: cid(), slot, promise: statement }).await);
    let other = Cid::from_digest(digest(9));
    assert!(!signs(&vault, &Revocation { cid: other, ..revocation }).await, "another contract");
    assert!(signs(&vault, &revocation).await && signs(&vault, &revocation).await);
}

// Whoever has said that the money came has no right called back, and the other way round: either word would make the other a lie that the arbiter believes.
#[tokio::test]
async fn a_party_says_that_the_money_came_or_that_it_did_not() {
    let (slot, statement) = (Slot::default(), StatementId::from_digest(digest(2)));
    let revocation = Revocation { cid: cid(), slot, promises: [statement, statement] };
    let quittance = Quittance { cid: cid(), role: Role::ORIGINATOR };
    for came in [true, false] {
        let (vault, archive) = vault(Purpose::Party);
        assert!(!signs(&vault, &quittance).await && !signs(&vault, &revocation).await, "nothing was approved");
        let facts = vec![fact(APPROVED, cid(), b""), fact(PASSED, cid(), statement.as_bytes())];
        archive.commit(Commit { facts, ..Commit::default() }).await.unwrap();
        for _ in 0..2 {
            if came {
                assert!(signs(&vault, &quittance).await && !signs(&vault, &revocation).await);
            } else {
                assert!(signs(&vault, &revocation).await && !signs(&vault, &quittance).await);
            }
        }
    }
}

/// The sale of a right of `seller` to `buyer`, by an offer of the seller's.
fn right_sale(issuer: &SecretKeys, seller: KeySetId, buyer: KeySetId, offer: &RightOffer) -> Agreement {
    let order = right_order(offer.draft(Suite::Ed25519, seller).id());
    let (deal, now) = (DealId::from_array([1; 16]), now());
    let asked = right::request(offer, &order, deal, vec![1], now).unwrap();
    // Whether it is signed well is for the engine to check; that it is the seller's, for the contract.
    let request = asked.draft(Suite::Ed25519, seller).assemble(vec![vec![0; 64]]).unwrap();
    let arbiter = Arbiter {
        key_set: offer.arbiters[0].key_set,
        log: KeySetId::from_digest(digest(7)),
        rules: digest(8),
        deposit_key: DepositKey { suite: KemSuite::XWing, public_key: Vec::new() },
        lock_key: Vec::new(),
    };
    let credential = right::judged(&Verifier, offer, seller, now).unwrap();
    assert_eq!(offer.bundle.issuer, *issuer.key_set());
    let (right_salt, money_salt, nonce) = ([4; 32], [5; 32], [6; 32]);
    let sale = right::Sale {
        offer,
        order: &order,
        credential: &credential,
        buyer,
        arbiter,
        request,
        right_salt,
        money_salt,
        nonce,
        now,
    };
    sale.propose([0; 16]).unwrap().into_agreement()
}

fn right_order(offer: StatementId) -> Order {
    let (buyer, locale) = ("Alice".to_owned(), "en".to_owned());
    Order { offer, means: 0, arbiter: 0, payer: Vec::new(), buyer, locale, card: String::new() }
}

fn right_offer(issuer: &SecretKeys, holder: KeySetId) -> RightOffer {
    let credential = Credential {
        serial: Serial::from_array([1; 16]),
        issuer: "https://issuer.example".to_owned(),
        holder,
        right: "one visit".to_owned(),
        audience: Vec::new(),
        uses: Uses::Counted(2),
        transferable: true,
        from: Time::from_unix(1),
        until: now().after(Seconds(1_000_000)),
        condition: None,
    };
    let credential = issuer.sign(credential.draft(Suite::Ed25519, issuer.key_set().id())).unwrap();
    let Offer { price, means, arbiters, seller, until, terms, law, .. } = offer();
    let means = means.into_iter().map(|means| Means { receipt: ReceiptKind::Issuer, ..means }).collect();
    RightOffer {
        bundle: Bundle { issuer: issuer.key_set().clone(), credential, reservation: None },
        uses: Uses::Counted(2),
        price,
        means,
        arbiters,
        seller,
        pace: RightOffer::PACE,
        until,
        issuer_name: "the archive".to_owned(),
        terms,
        law,
    }
}

// The offer is what the seller's user approves: the contract that follows from it, and the right to this buyer under it. A buyer is asked, whatever its rules say.
#[tokio::test]
async fn the_sale_of_a_right_follows_from_its_offer() {
    let issuer = SecretKeys::generate(Suite::Ed25519).unwrap();
    let rules = "[[allow]]\nwhat = \"payment\"\nup_to = \"50.00 EUR\"\n[[allow]]\nwhat = \"contract\"\n";
    let deal = DealId::from_array([1; 16]);
    let (vault, _) = vault_with(Purpose::Party, Some(Policy::parse(rules).unwrap()));
    let (me, buyer) = (vault.key_set(), KeySetId::from_digest(digest(6)));
    let offer = right_offer(&issuer, me.id());
    let draft = offer.draft(me.suite(), me.id());
    let asked = SignRequest { deal, draft: draft.clone(), exhibit: Exhibit::Statement };
    assert_eq!(vault.request(asked).await.unwrap(), Answer::Waiting);
    let agreement = right_sale(&issuer, me.id(), buyer, &offer);
    let promise = |agreement: &Agreement, role| {
        let draft = Promise { cid: agreement.core.cid(), role, answers: None }.draft(me.suite(), me.id());
        SignRequest { deal, draft, exhibit: agreement.sale(&right_order(offer.draft(me.suite(), me.id()).id())) }
    };
    let Leg::Right(right) = &Leg::of(&agreement.core).unwrap()[0] else { panic!("a right is sold") };
    let passing = right.request(&agreement.core).unwrap();
    // Before the offer is approved, the contract is asked about, and nothing is passed on.
    assert_eq!(vault.request(promise(&agreement, Role::ORIGINATOR)).await.unwrap(), Answer::Waiting);
    assert!(!signs(&vault, &passing).await);
    let seen = Digest::of(domain::RENDER, offer.describe().as_bytes());
    vault.answer(draft.id(), UserAnswer::Approve { seen }).await.unwrap();
    assert!(matches!(vault.request(promise(&agreement, Role::ORIGINATOR)).await.unwrap(), Answer::Signed(_)));
    assert!(signs(&vault, &passing).await);
    // For another price than was offered, or with the buyer's part of the contract, the user is asked.
    let cheaper = RightOffer { price: Amount::parse("1.00 EUR").unwrap(), ..offer.clone() };
    let other = right_sale(&issuer, me.id(), buyer, &cheaper);
    assert_eq!(vault.request(promise(&other, Role::ORIGINATOR)).await.unwrap(), Answer::Waiting);
    let theirs = right_offer(&issuer, buyer);
    let bought = right_sale(&issuer, buyer, me.id(), &theirs);
    let draft = Promise { cid: bought.core.cid(), role: Role::RESPONDER, answers: None }.draft(me.suite(), me.id());
    let asked = SignRequest { deal, draft, exhibit: bought.exhibit() };
    assert_eq!(vault.request(asked).await.unwrap(), Answer::Waiting);
}

// What is shown for a transfer is the credential that is passed on; another one, or somebody else's, is not asked about at all.
#[tokio::test]
async fn a_right_that_is_passed_on_is_shown_first() {
    let (vault, _) = vault(Purpose::Party);
    let issuer = SecretKeys::generate(Suite::Ed25519).unwrap();
    let credential = |holder| Credential {
        serial: Serial::from_array([1; 16]),
        issuer: "https://issuer.example".to_owned(),
        holder,
        right: "one visit".to_owned(),
        audience: Vec::new(),
        uses: Uses::Counted(2),
        transferable: true,
        from: Time::from_unix(1),
        until: Time::from_unix(9),
        condition: None,
    };
    let ask_under = async |holder: KeySetId, serial: u8, condition: Option<Condition>| {
        let draft = credential(holder).draft(Suite::Ed25519, issuer.key_set().id());
        let signed = issuer.sign(draft).unwrap();
        let bundle = Bundle { issuer: issuer.key_set().clone(), credential: signed, reservation: None };
        let to = KeySetId::from_digest(digest(6));
        let transfer = CredentialTransfer { serial: Serial::from_array([serial; 16]), to, condition };
        let draft = transfer.draft(Suite::Ed25519, vault.key_set().id());
        let exhibit = Exhibit::Credential { bundle: bundle.to_bytes() };
        vault.request(SignRequest { deal: DealId::from_array([1; 16]), draft, exhibit }).await
    };
    let me = vault.key_set().id();
    let ask = async |holder, serial| ask_under(holder, serial, None).await;
    assert!(matches!(ask(me, 2).await, Err(ApprovalError::Mismatch(_))));
    assert!(matches!(ask(KeySetId::from_digest(digest(6)), 1).await, Err(ApprovalError::Mismatch(_))));
    // What can be called back is sold, and never asked about as a gift.
    let condition = Condition { tag: digest(1), arbiter: me, until: Time::from_unix(9), giver: me };
    assert!(matches!(ask_under(me, 1, Some(condition)).await, Err(ApprovalError::Mismatch(_))));
    assert_eq!(ask(me, 1).await.unwrap(), Answer::Waiting);
    let [asked] = vault.waiting().await.unwrap().try_into().unwrap();
    assert!(asked.text.contains("one visit") && asked.text.contains("2 times"), "{}", asked.text);
}

/// Money for a receipt without an arbiter, that `payer` pays and `payee` answers.
fn locked_receipt(payer: KeySetId, payee: KeySetId) -> Agreement {
    let means = Means { locks: [LockKind::Hash].into(), ..offer().means.remove(0) };
    let trade = Trade {
        gives: Amount::parse("3.00 EUR").unwrap(),
        wants: None,
        purpose: String::new(),
        pays: vec![Pledge { means, details: vec![1], request: None }],
        takes: Vec::new(),
        arbiters: Vec::new(),
        valid_for: Seconds(100_000),
        asker: "Alice".to_owned(),
        peer: "Bob".to_owned(),
        locale: "en".to_owned(),
        manner: Manner::Locked,
    };
    let pays = Choice { place: 0, details: vec![2], decides: Decides::Hash([4; 32]), salt: [8; 32] };
    let (asker, me, pays) = (payer, payee, Paid::Locked(pays));
    let reply = Reply { trade: &trade, asker, me, arbiter: None, pays, takes: None, nonce: [6; 32], now: now() };
    reply.propose([0; 16]).unwrap().into_agreement()
}

// Without an arbiter a mistake cannot be undone by anybody: payer and payee are asked, whatever their rules say. What they approve is a lock
// that a preimage opens; no release of theirs follows from it.
#[tokio::test]
async fn no_rule_allows_what_nobody_decides_about() {
    let rules = "[[allow]]\nwhat = \"payment\"\nup_to = \"50.00 EUR\"\n[[allow]]\nwhat = \"contract\"\n";
    for role in [Role::ORIGINATOR, Role::RESPONDER] {
        let (vault, _) = vault_with(Purpose::Party, Some(Policy::parse(rules).unwrap()));
        let (keys, other) = (vault.key_set(), KeySetId::from_digest(digest(6)));
        let (payer, payee) = if role == Role::RESPONDER { (keys.id(), other) } else { (other, keys.id()) };
        let agreement = locked_receipt(payer, payee);
        let draft = Promise { cid: agreement.core.cid(), role, answers: None }.draft(keys.suite(), keys.id());
        let request = SignRequest { deal: DealId::from_array([1; 16]), draft, exhibit: agreement.exhibit() };
        assert_eq!(vault.request(request.clone()).await.unwrap(), Answer::Waiting);
        let [asked] = vault.waiting().await.unwrap().try_into().unwrap();
        assert!(asked.text.contains("PAYMENT WITH RECEIPT, WITHOUT AN ARBITER"), "{}", asked.text);
        let seen = asked.text_hash();
        vault.answer(request.id(), UserAnswer::Approve { seen }).await.unwrap();
        let [_, money] = Leg::of(&agreement.core).unwrap();
        let tag = money.lock().unwrap().tag;
        let issuer = offer().means[0].issuer.clone();
        let release = Release { tag, issuer, to: Side::Payee, amount: Amount::parse("3.00 EUR").unwrap() };
        assert!(!signs(&vault, &release).await, "no release follows from a hash lock");
    }
}

fn offer() -> Offer {
    let means = Means {
        system: System::parse("ecash").unwrap(),
        issuer: "https://mint.example".to_owned(),
        currency: Currency::parse("EUR").unwrap(),
        anonymity: PayerAnonymity::None,
        reversal: Reversal::Final,
        locks: [LockKind::Arbiter].into(),
        receipt: ReceiptKind::Payee,
        fees: Fees { fixed: 0, per_million: 0 },
        limits: Limits { least: 1, most: 1_000_000 },
        latency: Seconds(1),
    };
    Offer {
        goods: Descriptor::new("data.csv", "text/csv", Size::new(1000).unwrap(), digest(3), "measurements").unwrap(),
        cipher_root: digest(4),
        price: Amount::parse("12.00 EUR").unwrap(),
        means: vec![means],
        arbiters: vec![ArbiterOffer { name: "Carol".to_owned(), key_set: KeySetId::from_digest(digest(5)) }],
        seller: "Bob".to_owned(),
        pace: Pace::default(),
        until: now().after(Seconds(86_400)),
        terms: String::new(),
        law: String::new(),
    }
}

// A seller signs what its offer promises without being asked, also when its process was away since the contract was made; but not what
// it never offered, and not for longer than it offered.
#[tokio::test]
async fn a_seller_signs_what_follows_from_its_offer() {
    let (vault, _) = vault(Purpose::Party);
    let me = vault.key_set().clone();
    let deal = DealId::from_array([1; 16]);
    let offer = offer();
    let draft = offer.draft(me.suite(), me.id());
    let request = SignRequest { deal, draft: draft.clone(), exhibit: Exhibit::Statement };
    assert!(matches!(vault.request(request).await.unwrap(), Answer::Waiting));
    let seen = Digest::of(domain::RENDER, offer.describe().as_bytes());
    vault.answer(draft.id(), UserAnswer::Approve { seen }).await.unwrap();
    let order = Order {
        offer: draft.id(),
        means: 0,
        arbiter: 0,
        payer: vec![1],
        buyer: "Alice".to_owned(),
        locale: "en".to_owned(),
        card: String::new(),
    };
    let deposits = DecapsulationKey::generate(KemSuite::XWing).unwrap();
    let sale = |offer: &Offer, made: Time| {
        let seed = Seed::new(vec![7; Encapsulator.seed_len(KemSuite::XWing)]);
        let sale = Sale {
            offer,
            order: &order,
            seller: me.id(),
            buyer: KeySetId::from_digest(digest(6)),
            arbiter: Some(Arbiter {
                key_set: KeySetId::from_digest(digest(5)),
                log: KeySetId::from_digest(digest(5)),
                rules: digest(8),
                deposit_key: DepositKey { suite: KemSuite::XWing, public_key: deposits.public_key().to_vec() },
                lock_key: vec![2],
            }),
            payee: vec![3],
            article: &ArticleKey::from_array([9; 32]),
            seed: &seed,
            salt: [1; 32],
            nonce: [2; 32],
            now: made,
        };
        let agreement = sale.propose(&Encapsulator, [0; 16]).unwrap().agreement;
        let promise = Promise { cid: agreement.core.cid(), role: Role::ORIGINATOR, answers: None };
        SignRequest { deal, draft: promise.draft(me.suite(), me.id()), exhibit: agreement.sale(&order) }
    };
    let signs = async |request| matches!(vault.request(request).await.unwrap(), Answer::Signed(_));
    assert!(signs(sale(&offer, now())).await);
    assert!(signs(sale(&offer, now().before(Seconds(3600)))).await, "made before a crash");
    let slack = offer.pace.delta.0 + 2 * offer.pace.sigma.0;
    assert!(!signs(sale(&offer, now().after(Seconds(slack + 60)))).await, "bound for longer than it offered");
    let cheaper = Offer { price: Amount::parse("11.99 EUR").unwrap(), ..offer.clone() };
    assert!(!signs(sale(&cheaper, now())).await);
}

#[tokio::test]
async fn a_party_that_has_aborted_releases_nothing() {
    let promised = release(7, Side::Payee, "3.00 EUR");
    let (vault, archive) = vault(Purpose::Party);
    let value = [cid().as_bytes().as_slice(), &promised.to_bytes()].concat();
    let released = Fact { space: RELEASES.to_owned(), key: promised.tag.as_bytes().to_vec(), value };
    let facts = vec![fact(APPROVED, cid(), b""), released];
    archive.commit(Commit { facts, ..Commit::default() }).await.unwrap();
    let abort = Abort { cid: cid(), slot: Slot::default(), promise: StatementId::from_digest(digest(2)) };
    assert!(signs(&vault, &abort).await);
    assert!(!signs(&vault, &promised).await);
}

// The log ends where the backup was made. What excludes something may have been signed the other way since; what asks the arbiter excludes nothing.
#[tokio::test]
async fn after_a_restore_nothing_new_excludes_anything() {
    let (vault, archive) = vault(Purpose::Party);
    let (old, unknown, new) = (cid(), Cid::from_digest(digest(3)), Cid::from_digest(digest(4)));
    let promise = StatementId::from_digest(digest(2));
    let fin = |cid| Final { cid, slot: Slot::default(), role: Role::ORIGINATOR, promises: [promise, promise] };
    let abort = |cid| Abort { cid, slot: Slot::default(), promise };
    let inquiry = |cid| Inquiry { cid, slot: Slot::default(), role: Role::ORIGINATOR };
    let resolve =
        |cid| Resolve { cid, slot: Slot::default(), promises: [promise, promise], role: Role::ORIGINATOR, proof: None };
    let done = Cid::from_digest(digest(5));
    let facts = [old, done].map(|cid| fact(APPROVED, cid, b"")).to_vec();
    archive.commit(Commit { facts, ..Commit::default() }).await.unwrap();
    assert!(signs(&vault, &fin(done)).await);
    let marked = mark_restored(&*archive, [unknown], Time::from_unix(9)).await.unwrap();
    assert_eq!((marked.contracts, marked.declined), (3, 0));
    assert_eq!(
        mark_restored(&*archive, [unknown], Time::from_unix(9)).await.unwrap().contracts,
        3,
        "it can be said again"
    );
    for cid in [old, unknown] {
        assert!(!signs(&vault, &fin(cid)).await && !signs(&vault, &abort(cid)).await);
        assert!(signs(&vault, &inquiry(cid)).await);
    }
    assert!(signs(&vault, &resolve(old)).await);
    // What stands in the log is signed again, and what excludes it is not.
    let other = StatementId::from_digest(digest(6));
    assert!(
        signs(&vault, &Final { promises: [other, other], ..fin(done) }).await && !signs(&vault, &abort(done)).await
    );
    // A contract of after the restore is like any other.
    archive.commit(Commit { facts: vec![fact(APPROVED, new, b"")], ..Commit::default() }).await.unwrap();
    assert!(signs(&vault, &abort(new)).await);
    assert!(!signs(&vault, &inquiry(Cid::from_digest(digest(7)))).await, "nobody has heard of it");
}

// A question that waited at the backup may have been answered since: it is not put again, and not signed.
#[tokio::test]
async fn a_question_of_before_a_restore_is_declined() {
    let (vault, archive) = vault(Purpose::Party);
    let me = vault.key_set();
    let message = Information::new(MESSAGE_NAME, "text/plain", b"come".to_vec()).unwrap();
    let container = Container::new([1; 16], Part::leaf(Attributes::default(), Leaf::Information(message))).unwrap();
    let request = || {
        let draft = ContainerStatement { container: container.id() }.draft(me.suite(), me.id());
        let exhibit = Exhibit::Container { container: container.to_bytes() };
        SignRequest { deal: DealId::from_array([1; 16]), draft, exhibit }
    };
    assert!(matches!(vault.request(request()).await.unwrap(), Answer::Waiting));
    assert_eq!(mark_restored(&*archive, [], Time::from_unix(9)).await.unwrap().declined, 1);
    assert!(vault.waiting().await.unwrap().is_empty());
    assert!(matches!(vault.request(request()).await.unwrap(), Answer::Declined));
}

// Among many signers: the first round is shown, the later ones follow one after the other, and the question to the arbiter is the last word.
#[tokio::test]
async fn rounds_are_signed_one_after_the_other_until_the_arbiter_is_asked() {
    let round = |round| Round { cid: cid(), role: Role::RESPONDER, round };
    let ask = |round| Ask { cid: cid(), role: Role::RESPONDER, round };
    let (vault, archive) = vault(Purpose::Party);
    assert!(!signs(&vault, &round(2)).await && !signs(&vault, &ask(1)).await, "nothing was approved");
    archive.commit(Commit { facts: vec![fact(APPROVED, cid(), b"")], ..Commit::default() }).await.unwrap();
    assert!(!signs(&vault, &round(1)).await, "the first round is not a consequence");
    assert!(!signs(&vault, &round(3)).await && !signs(&vault, &ask(3)).await, "round 2 is not signed yet");
    assert!(signs(&vault, &round(2)).await && signs(&vault, &round(3)).await);
    assert!(!signs(&vault, &ask(1)).await && !signs(&vault, &ask(2)).await, "it went on from there");
    assert!(signs(&vault, &ask(3)).await && signs(&vault, &ask(3)).await);
    assert!(!signs(&vault, &round(4)).await && !signs(&vault, &ask(4)).await && !signs(&vault, &round(5)).await);
}

// A round that is complete too late to sign the next one is taken to the arbiter in the next one.
#[tokio::test]
async fn the_arbiter_is_asked_in_a_round_that_was_not_signed() {
    let round = |round| Round { cid: cid(), role: Role::RESPONDER, round };
    let ask = |round| Ask { cid: cid(), role: Role::RESPONDER, round };
    let (vault, archive) = vault(Purpose::Party);
    archive.commit(Commit { facts: vec![fact(APPROVED, cid(), b"")], ..Commit::default() }).await.unwrap();
    assert!(signs(&vault, &round(2)).await);
    assert!(signs(&vault, &ask(3)).await && !signs(&vault, &ask(2)).await);
    assert!(!signs(&vault, &round(4)).await, "it has asked in round 3");
}

// Somebody sends a message that is too long to be shown. If the question about it were stored, it could not be read again, and no other one would be
// shown any more.
#[tokio::test]
async fn a_message_that_is_too_long_hides_no_other_question() {
    let (vault, _) = vault(Purpose::Party);
    let me = vault.key_set();
    let asked = |words: &str, deal| {
        let message = Information::new(MESSAGE_NAME, "text/plain", words.as_bytes().to_vec()).unwrap();
        let container = Part::leaf(Attributes::default(), Leaf::Information(message));
        let container = Container::new([deal; 16], container).unwrap();
        let draft = ContainerStatement { container: container.id() }.draft(me.suite(), me.id());
        let exhibit = Exhibit::Container { container: container.to_bytes() };
        vault.request(SignRequest { deal: DealId::from_array([deal; 16]), draft, exhibit })
    };
    let line = "x".repeat(80) + "\n";
    assert!(matches!(asked(&line.repeat(RENDERED_MAX / 80), 1).await, Err(ApprovalError::Forbidden(_))));
    assert!(matches!(asked(&line.repeat(RENDERED_MAX / 100), 2).await.unwrap(), Answer::Waiting));
    assert_eq!(vault.waiting().await.unwrap().len(), 1);
}
