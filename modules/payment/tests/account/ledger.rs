//! Accounts, transfers, statements: what they do, what is refused, and that everything is done once.

use semper_core::amount::{Amount, Currency};
use semper_core::cbor::Encode;
use semper_core::cose::{Draft, Kind};
use semper_core::party::Suite;
use semper_core::time::Seconds;
use semper_crypto::{Sealer, SecretKeys};
use semper_payment::account::answer::{AccountStatement, What};
use semper_payment::account::bank::Opening;
use semper_payment::account::bank::operator::{Access, Direction};
use semper_payment::account::module::AccountModule;
use semper_payment::account::number::AccountNumber;
use semper_payment::account::payment::Level;
use semper_payment::account::problem::ProblemKind;
use semper_payment::account::request::{AccountRequest, Action, LINES_MAX};
use semper_support::crypto::Signer;
use semper_transfer::payment::Module as _;
use semper_transfer::payment::module::Wording;
use std::sync::Arc;

use super::world::{Customer, ISSUER, OneCertificate, World, digest, eur, sign};

fn transfer(to: AccountNumber, minor: u64, reference: &str) -> Action {
    Action::Transfer { amount: eur(minor), to, reference: reference.to_owned(), fee_most: eur(1_000_000) }
}

#[tokio::test]
async fn money_goes_from_account_to_account_and_both_see_it() {
    let world = World::with_fees().await;
    let (alice, bob) = (world.customer(10_000).await, world.customer(0).await);
    let booking = world.booked(&alice, transfer(bob.number, 1000, "invoice 17")).await;
    assert_eq!((booking.what, booking.amount, booking.account), (What::Transfer, eur(1000), Some(bob.number)));
    assert_eq!((booking.payee, booking.reference.as_deref()), (bob.keys.key_set().id(), Some("invoice 17")));
    // The fee of 2 and one per cent comes on top.
    assert_eq!(world.money(&alice).await, (10_000 - 1000 - 12, 0));
    let statement = world.statement(&bob, 0, LINES_MAX).await;
    assert_eq!((statement.opening, statement.closing, statement.total, statement.next), (0, 1000, 1, None));
    assert_eq!(statement.lines[0].reference.as_deref(), Some("invoice 17"));
    assert_eq!(statement.lines[0].entry, booking.entry);
    let audit = world.audit().await;
    assert_eq!(audit.owed.values().sum::<i128>(), 10_000 - 12);
    // Cash in, transfer out and fee; transfer in; and the bank's own: outside and fees.
    assert_eq!((audit.accounts, audit.lines), (4, 6));
}

// Paging must neither lose a line nor show one twice, and each page's balances must join.
#[tokio::test]
async fn a_statement_is_read_page_by_page() {
    let world = World::new().await;
    let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
    for n in 0..7 {
        world.booked(&alice, transfer(bob.number, n + 1, "")).await;
    }
    let (mut from, mut seen, mut balance) = (0, Vec::new(), 0);
    loop {
        let page = world.statement(&alice, from, 3).await;
        assert_eq!((page.opening, page.total), (balance, 8));
        balance = page.closing;
        seen.extend(page.lines.iter().map(|line| line.number));
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(seen, (0..8).collect::<Vec<_>>());
    assert_eq!(balance, 1000 - 28);
    let beyond = world.statement(&alice, u64::MAX, 1).await;
    assert_eq!((beyond.lines.len(), beyond.closing, beyond.next), (0, 972, None));
}

#[tokio::test]
async fn money_is_found_by_its_reference() {
    let world = World::new().await;
    let (alice, mint) = (world.customer(1000).await, world.customer(0).await);
    for (minor, reference) in [(1, "a"), (2, "b"), (3, "a"), (4, "ab"), (5, "a"), (6, "")] {
        world.booked(&alice, transfer(mint.number, minor, reference)).await;
    }
    let find = |from, most| Action::Find { reference: "a".to_owned(), from, most };
    let amounts = |statement: &AccountStatement| statement.lines.iter().map(|line| line.change).collect::<Vec<_>>();
    let first: AccountStatement = world.read(&world.ask(&mint, find(0, 2)).await.unwrap());
    assert_eq!(amounts(&first), [1, 3]);
    let rest: AccountStatement = world.read(&world.ask(&mint, find(first.next.unwrap(), 2)).await.unwrap());
    assert_eq!((amounts(&rest), rest.next), (vec![5], None));
}

#[tokio::test]
async fn a_transfer_that_cannot_be_done_changes_nothing() {
    let world = World::with_fees().await;
    let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
    let dollars = world.customer_in("USD", 100, Vec::new()).await;
    let nobody = AccountNumber::from_body(1);
    for (action, kind) in [
        (transfer(bob.number, 0, ""), ProblemKind::Limits),
        (transfer(bob.number, 2_000_000_000_000, ""), ProblemKind::Limits),
        (transfer(nobody, 1, ""), ProblemKind::UnknownPayee),
        (transfer(alice.number, 1, ""), ProblemKind::UnknownPayee),
        (transfer(dollars.number, 1, ""), ProblemKind::WrongCurrency),
        // 989 and the fee of 2 and 10 are 1001.
        (transfer(bob.number, 989, ""), ProblemKind::Insufficient),
        (
            Action::Transfer { amount: eur(100), to: bob.number, reference: String::new(), fee_most: eur(2) },
            ProblemKind::Fee,
        ),
    ] {
        world.refused(&alice, action, kind).await;
    }
    let dollar = Amount::new(1, Currency::parse("USD").unwrap()).unwrap();
    let other = Action::Transfer { amount: dollar, to: bob.number, reference: String::new(), fee_most: dollar };
    world.refused(&alice, other, ProblemKind::WrongCurrency).await;
    world.booked(&alice, transfer(bob.number, 988, "")).await;
}

#[tokio::test]
async fn nothing_leaves_a_frozen_account_and_what_comes_is_kept() {
    let world = World::new().await;
    let (alice, bob) = (world.customer(1000).await, world.customer(1000).await);
    world.bank.set_access(alice.number, Access::Frozen).await.unwrap();
    world.refused(&alice, transfer(bob.number, 1, ""), ProblemKind::Frozen).await;
    world.booked(&bob, transfer(alice.number, 5, "")).await;
    assert_eq!(world.money(&alice).await, (1005, 0));
    let views = world.bank.accounts(None, 10).await.unwrap();
    assert!(views.iter().any(|view| view.number == alice.number && view.access == Access::Frozen));
    assert_eq!(views.len(), 2, "the bank's own accounts are not customers");
    world.bank.set_access(alice.number, Access::Open).await.unwrap();
    world.booked(&alice, transfer(bob.number, 1, "")).await;
}

// Whoever lost an answer asks again; a bank that carries a request out twice takes the money twice.
#[tokio::test]
async fn the_same_request_gets_the_same_bytes_for_ever() {
    let mut world = World::new().await;
    let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
    let request = world.request(&alice.keys, Some(alice.number), transfer(bob.number, 100, "x"));
    let first = world.bank.request(request.bytes()).await.unwrap();
    let before = world.audit().await;
    for restart in [false, true] {
        if restart {
            world.restart().await;
            // Long after it has expired: what was done stays done.
            world.set_time(world.now().after(Seconds(1_000_000)));
        }
        assert_eq!(world.bank.request(request.bytes()).await.unwrap(), first);
        assert_eq!(world.audit().await, before);
    }
    // A new request about the same id gives the same, too.
    let id = decode(&request).id;
    assert_eq!(world.ask(&alice, Action::Status { request: id }).await.unwrap(), first);
    let unknown = world.ask(&alice, Action::Status { request: [1; 16] }).await.unwrap_err();
    assert_eq!(unknown.kind, ProblemKind::UnknownRequest);
    // An id is its signer's own: Bob's request of the same id is another one.
    let stranger = world.ask(&bob, Action::Status { request: id }).await.unwrap_err();
    assert_eq!(stranger.kind, ProblemKind::UnknownRequest);
}

fn decode(request: &semper_core::cose::Signed) -> AccountRequest {
    use semper_core::cbor::Decode;
    AccountRequest::from_bytes(request.payload()).unwrap()
}

// A refusal that was decided stands: else a transfer that its owner has long given up is carried out when money comes.
#[tokio::test]
async fn a_decided_refusal_is_not_undone_by_later_money() {
    let world = World::new().await;
    let (alice, bob) = (world.customer(0).await, world.customer(0).await);
    let request = world.request(&alice.keys, Some(alice.number), transfer(bob.number, 100, ""));
    let refusal = world.bank.request(request.bytes()).await.unwrap_err();
    world.bank.by_hand([1; 16], Direction::In, alice.number, eur(500), "").await.unwrap();
    assert_eq!(world.bank.request(request.bytes()).await.unwrap_err(), refusal);
    assert_eq!(world.money(&alice).await, (500, 0));
}

#[tokio::test]
async fn an_id_names_one_request() {
    let world = World::new().await;
    let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
    let request = world.request(&alice.keys, Some(alice.number), transfer(bob.number, 100, ""));
    let first = world.bank.request(request.bytes()).await.unwrap();
    let mut other = decode(&request);
    other.action = transfer(bob.number, 101, "");
    let refusal = world.bank.request(sign(&alice.keys, &other).bytes()).await.unwrap_err();
    assert_eq!(refusal.kind, ProblemKind::Conflict);
    // The same thing with a later date is the same request.
    let mut later = decode(&request);
    later.expires = later.expires.after(Seconds(60));
    assert_eq!(world.bank.request(sign(&alice.keys, &later).bytes()).await.unwrap(), first);
    assert_eq!(world.money(&bob).await, (100, 0));
}

#[tokio::test]
async fn what_is_not_the_owners_request_for_this_bank_is_not_heard() {
    let world = World::new().await;
    let (alice, bob) = (world.customer(1000).await, world.customer(0).await);
    let good = decode(&world.request(&alice.keys, Some(alice.number), transfer(bob.number, 1, "")));
    let before = world.audit().await;
    let cases = [
        (sign(&bob.keys, &good), ProblemKind::NotOwner, "signed by somebody else"),
        (
            sign(&alice.keys, &AccountRequest { account: Some(AccountNumber::from_body(5)), ..good.clone() }),
            ProblemKind::NotOwner,
            "no such account",
        ),
        (
            sign(&alice.keys, &AccountRequest { issuer: "https://other.example".to_owned(), ..good.clone() }),
            ProblemKind::WrongBank,
            "another address",
        ),
        (
            sign(&alice.keys, &AccountRequest { bank: bob.keys.key_set().id(), ..good.clone() }),
            ProblemKind::WrongBank,
            "other keys",
        ),
        (
            sign(&alice.keys, &AccountRequest { expires: world.now(), ..good.clone() }),
            ProblemKind::Expired,
            "at its last second",
        ),
    ];
    for (request, kind, what) in cases {
        assert_eq!(world.bank.request(request.bytes()).await.unwrap_err().kind, kind, "{what}");
    }
    let signed = sign(&alice.keys, &good);
    for len in [0, 1, 40, signed.bytes().len() - 1] {
        let refusal = world.bank.request(&signed.bytes()[..len]).await.unwrap_err();
        assert_eq!(refusal.kind, ProblemKind::Malformed);
    }
    for at in 0..signed.bytes().len() {
        let mut bytes = signed.bytes().to_vec();
        bytes[at] ^= 1;
        assert!(world.bank.request(&bytes).await.is_err(), "byte {at}");
    }
    // A statement of another kind with the same payload is no request.
    let keys = alice.keys.key_set();
    let draft = Draft { kind: Kind::Release, suite: keys.suite(), signer: keys.id(), payload: good.to_bytes() };
    let other = alice.keys.sign(draft).unwrap();
    assert_eq!(world.bank.request(other.bytes()).await.unwrap_err().kind, ProblemKind::NotOwner);
    assert_eq!(world.audit().await, before);
    world.bank.request(signed.bytes()).await.unwrap();
}

#[tokio::test]
async fn accounts_are_opened_by_certificate() {
    let mut world = World::new().await;
    world.parts.opening = Opening::Certified(Arc::new(OneCertificate));
    world.restart().await;
    let keys = SecretKeys::generate(Suite::Hybrid).unwrap();
    for chain in [Vec::new(), vec![b"forged".to_vec()]] {
        let request = world.open_request(&keys, "EUR", chain, [1; 32]);
        assert_eq!(world.bank.request(request.bytes()).await.unwrap_err().kind, ProblemKind::NotCertified);
    }
    assert_eq!(world.audit().await.accounts, 0);
    let request = world.open_request(&keys, "EUR", vec![b"certificate".to_vec()], [1; 32]);
    let first = world.bank.request(request.bytes()).await.unwrap();
    let number = world.read::<AccountStatement>(&first).account;
    assert_eq!(world.bank.accounts(None, 10).await.unwrap()[0].name.as_deref(), Some("Alice Example"));
    // Whoever has lost everything but the seed asks under the same id, sealed anew, and finds the account.
    let mut again = decode(&world.open_request(&keys, "EUR", vec![b"certificate".to_vec()], [1; 32]));
    again.id = decode(&request).id;
    let found = world.bank.request(sign(&keys, &again).bytes()).await.unwrap();
    assert_eq!(found, first);
    // Another id is another account.
    let second = world.open_request(&keys, "EUR", vec![b"certificate".to_vec()], [1; 32]);
    let second = world.bank.request(second.bytes()).await.unwrap();
    assert_ne!(world.read::<AccountStatement>(&second).account, number);
}

#[tokio::test]
async fn an_opening_that_is_not_good_opens_nothing() {
    let world = World::new().await;
    let keys = SecretKeys::generate(Suite::Ed25519).unwrap();
    let before = world.audit().await;
    let good = decode(&world.open_request(&keys, "EUR", Vec::new(), [1; 32]));
    let Action::Open { certificates, key_set, currency, .. } = good.action.clone() else { unreachable!() };
    let context = Action::verifier_context(world.terms().key_set.id());
    let open = |currency, verifier| {
        let (certificates, key_set) = (certificates.clone(), key_set.clone());
        Action::Open { certificates, key_set, currency, verifier }
    };
    let cases = [
        (open(Currency::parse("JPY").unwrap(), world.seal(&context, &[1; 32])), ProblemKind::WrongCurrency),
        (open(currency, world.seal(&context, &[1; 31])), ProblemKind::BadToken),
        (open(currency, world.seal(b"another context", &[1; 32])), ProblemKind::BadToken),
    ];
    for (action, kind) in cases {
        let request = AccountRequest { action, id: good.id, ..good.clone() };
        assert_eq!(world.bank.request(sign(&keys, &request).bytes()).await.unwrap_err().kind, kind);
    }
    // Whoever is no customer leaves nothing behind, however often it asks.
    assert_eq!(world.parts.archive.facts("bank-answer", None, 10).await.unwrap(), []);
    // Nobody opens an account for the keys of somebody else.
    let thief = SecretKeys::generate(Suite::Ed25519).unwrap();
    assert_eq!(world.bank.request(sign(&thief, &good).bytes()).await.unwrap_err().kind, ProblemKind::NotOwner);
    assert_eq!(world.audit().await, before);
}

#[tokio::test]
async fn the_operator_books_once_and_within_what_there_is() {
    let world = World::new().await;
    let alice = world.customer(0).await;
    for _ in 0..2 {
        world.bank.by_hand([1; 16], Direction::In, alice.number, eur(500), "cash").await.unwrap();
    }
    assert_eq!(world.money(&alice).await, (500, 0));
    let again = world.bank.by_hand([1; 16], Direction::Out, alice.number, eur(500), "cash").await.unwrap_err();
    assert_eq!(again.kind, ProblemKind::Conflict);
    let more = world.bank.by_hand([2; 16], Direction::Out, alice.number, eur(501), "").await.unwrap_err();
    assert_eq!(more.kind, ProblemKind::Insufficient);
    world.bank.by_hand([3; 16], Direction::Out, alice.number, eur(500), "").await.unwrap();
    let audit = world.audit().await;
    assert_eq!(audit.owed.values().sum::<i128>(), 0);
    let nobody = world.bank.by_hand([4; 16], Direction::In, AccountNumber::from_body(3), eur(1), "").await;
    assert_eq!(nobody.unwrap_err().kind, ProblemKind::UnknownPayee);
}

// The audit must be able to fail: a balance that somebody has changed in the store is noticed.
#[tokio::test]
async fn the_audit_notices_a_changed_balance() {
    use semper_support::archive::{Commit, PutState};
    let world = World::new().await;
    let alice: Customer = world.customer(500).await;
    let key = [b"account/".as_slice(), alice.number.digits().as_bytes()].concat();
    let stored = world.archive.state(&key).await.unwrap().unwrap();
    let mut bytes = stored.bytes.clone();
    // The balance of 500 stands as 0x1901f4 after its key.
    let at = bytes.windows(4).position(|window| window == [2, 0x19, 0x01, 0xf4]).unwrap();
    bytes[at + 3] = 0xf5;
    let states = vec![PutState { key, replaces: stored.version, bytes }];
    world.archive.commit(Commit { states, ..Commit::default() }).await.unwrap();
    let audit = world.bank.audit().await.unwrap();
    assert_eq!(audit.faults.len(), 2, "{:?}", audit.faults);
}

#[tokio::test]
async fn whoever_asks_too_often_waits() {
    let mut world = World::new().await;
    let alice = world.customer(500).await;
    world.parts.admit = Some(Arc::new(|_| Some(Seconds(7))));
    world.restart().await;
    let refusal = world.ask(&alice, Action::Statement { from: 0, most: 1 }).await.unwrap_err();
    assert_eq!(refusal.kind, ProblemKind::TooMany);
}

#[tokio::test]
async fn a_request_says_what_it_does_in_plain_words() {
    let world = World::new().await;
    let alice = world.customer(0).await;
    let request = world.request(&alice.keys, Some(alice.number), transfer(AccountNumber::from_body(17), 1250, "rent"));
    let text = decode(&request).describe();
    for part in [ISSUER, "12.50 EUR", "0000 0000 0000 17", "\"rent\"", "at most"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    // The holder of the keys asks its user about what gives up money, and about nothing else; what it cannot read it does not sign.
    let module = AccountModule::new([1; 32], Arc::new(Sealer), Level::Two);
    let wording = |action| {
        let request = world.request(&alice.keys, Some(alice.number), action);
        let (kind, suite, signer) = (request.kind(), request.suite(), request.signer());
        module.wording(&Draft { kind, suite, signer, payload: request.payload().to_vec() })
    };
    let binding = wording(transfer(AccountNumber::from_body(17), 1250, "rent"));
    assert!(matches!(binding, Wording::Binding { text, most: Some(_) } if text.contains("12.50 EUR")));
    assert!(matches!(wording(Action::Void { hold: digest(1) }), Wording::Binding { most: None, .. }));
    assert_eq!(wording(Action::Statement { from: 0, most: 1 }), Wording::Harmless);
    let garbage =
        Draft { kind: Kind::AccountRequest, payload: vec![0xff], suite: request.suite(), signer: request.signer() };
    assert_eq!(module.wording(&garbage), Wording::Foreign);
    // Text that turns itself around is no reference at all.
    let turned = world.request(&alice.keys, Some(alice.number), transfer(alice.number, 1250, "rent\u{202e}"));
    assert_eq!(world.bank.request(turned.bytes()).await.unwrap_err().kind, ProblemKind::Malformed);
}
