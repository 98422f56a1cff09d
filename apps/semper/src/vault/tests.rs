//! Releases of locked money. What could go wrong: keys that sign by rule let money go that nobody promised, or let it go twice.
#![allow(clippy::unwrap_used)]

use semper_core::amount::Amount;
use semper_core::cose::Statement;
use semper_core::ids::Slot;
use semper_core::party::Suite;
use semper_crypto::SecretKeys;
use semper_exchange::arbiter::verdict::{ClosedUnused, Closing, ClosingOutcome};
use semper_store::MemoryArchive;

use super::*;

fn vault(purpose: Purpose) -> (Vault, Arc<MemoryArchive>) {
    let (keys, archive) = (SecretKeys::generate(Suite::Ed25519).unwrap(), Arc::new(MemoryArchive::new()));
    let systems: Systems = Arc::from([]);
    (Vault::new(Box::new(keys), archive.clone(), purpose, None, systems), archive)
}

fn digest(byte: u8) -> Digest {
    Digest::from_array([byte; 32])
}

fn cid() -> Cid {
    Cid::from_digest(digest(1))
}

fn release(tag: u8, to: Side, amount: &str) -> Release {
    let issuer = "https://bank.example".to_owned();
    Release { tag: digest(tag), issuer, to, amount: Amount::parse(amount).unwrap() }
}

async fn signs(vault: &Vault, statement: &impl Statement) -> bool {
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
        cid: Some(cid()),
        release: Some(promised.clone()),
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
        system: semper_transfer::payment::means::System::parse("account").unwrap(),
        issuer: issuer.to_owned(),
        instruction: digest(9),
        time: Time::from_unix(time),
    };
    let right = order(7, "3.00 EUR", "https://bank.example", 1);
    assert!(!signs(&vault, &right).await, "nothing was approved");
    archive.commit(Commit { facts: approved(cid(), Some(&promised)), ..Commit::default() }).await.unwrap();
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
