//! What could go wrong: more is signed than a mandate allows, because two ask at once, a process starts again, a clock is set back or a mandate was
//! revoked; or what was signed is not in the log with the limits that were in force.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use semper_commerce::mandate::{Matter, Scope};
use semper_core::amount::Currency;
use semper_core::ids::KeySetId;
use semper_core::party::Suite;
use semper_crypto::SecretKeys;
use semper_support::approval::{Exhibit, KeyHolder as _, SignRequest};
use semper_transfer::payment::means::System;
use semper_transfer::payment::statement::{PaymentOrder, PaymentRequest, order_hash};
use tempfile::TempDir;

use super::*;
use crate::log::Log;
use crate::rules::{Purpose, UserAnswer};

const ISSUER: &str = "https://bank.example";

fn key_set(byte: u8) -> KeySetId {
    KeySetId::from_digest(Digest::from_array([byte; 32]))
}

fn cents(minor: u64) -> Amount {
    Amount::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

/// A party's keys, and where its log is.
struct Party {
    dir: TempDir,
    keys: Vec<u8>,
}

impl Party {
    fn new() -> Self {
        let keys = SecretKeys::generate(Suite::Ed25519).unwrap().export().to_vec();
        Self { dir: tempfile::tempdir().unwrap(), keys }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A vault as it is after a start.
    fn vault(&self) -> (Arc<Vault<Log>>, Arc<Log>) {
        let log = Arc::new(Log::open(&self.path().join("log"), &[7; 32]).unwrap());
        let keys = SecretKeys::import(&self.keys).unwrap();
        (Arc::new(Vault::new(Box::new(keys), log.clone(), Purpose::Party, None, Arc::from([]))), log)
    }
}

/// Payments to one party for a day, up to 2 euros each and 4 in total.
fn payments(now: Time) -> Mandate {
    let scope = Scope { peer: Some(key_set(1)), ..Scope::of(Matter::Payment, Some(cents(200))) };
    Mandate { scope, total: Some(cents(400)), uses: None, from: now, until: now.after(Seconds(86_400)), issued: now }
}

/// A payment of some cents to a party; every number is another one.
fn payment(vault: &Vault<Log>, number: u64, payee: u8, amount: Amount) -> SignRequest {
    let deal = DealId::from_array(u128::from(number).to_be_bytes());
    let (system, issuer) = (System::parse("account").unwrap(), ISSUER.to_owned());
    let until = Time::from_unix(1_900_000_000);
    let purpose = format!("payment {number}");
    let asked =
        PaymentRequest { deal, amount, purpose, system: system.clone(), issuer, details: Vec::new(), expires: until };
    let asked = asked.draft(Suite::Ed25519, key_set(payee)).assemble(vec![vec![0; 64]]).unwrap();
    let (salt, issuer) = ([1; 32], ISSUER.to_owned());
    let (order, instruction) = (order_hash(asked.id(), &salt), Digest::from_array([2; 32]));
    let order = PaymentOrder { order, amount, system, issuer, instruction, time: Time::from_unix(1) };
    let keys = vault.key_set();
    let exhibit = Exhibit::Payment { request: asked.bytes().to_vec(), salt };
    SignRequest { deal, draft: order.draft(keys.suite(), keys.id()), exhibit }
}

async fn grant(vault: &Vault<Log>, mandate: Mandate) -> StatementId {
    let id = vault.propose(mandate).await.unwrap();
    let waiting = vault.waiting().await.unwrap();
    let asked = waiting.iter().find(|asked| asked.draft.id() == id).unwrap();
    vault.answer(id, UserAnswer::Approve { seen: asked.text_hash() }).await.unwrap();
    id
}

/// Whether it was signed; else why not.
async fn pays(vault: &Vault<Log>, request: &SignRequest) -> Result<(), String> {
    match vault.request(request.clone()).await.unwrap() {
        Answer::Signed(_) => Ok(()),
        Answer::Waiting => {
            let waiting = vault.waiting().await.unwrap();
            Err(waiting.into_iter().find(|asked| asked.draft == request.draft).unwrap().uncovered)
        }
        Answer::Declined => panic!("nobody has declined it"),
    }
}

fn uses(log: &Log) -> Vec<MandateUse> {
    let entries = log.history(0, usize::MAX).unwrap();
    let of_mandates = entries.into_iter().filter(|entry| entry.decision.event.what == What::ByMandate);
    of_mandates.map(|entry| entry.decision.facts.iter().find_map(MandateUse::read).unwrap()).collect()
}

#[tokio::test]
async fn a_mandate_is_used_up_and_the_next_question_waits() {
    let party = Party::new();
    let (vault, log) = party.vault();
    let first = payment(&vault, 1, 1, cents(200));
    assert_eq!(pays(&vault, &first).await, Err(String::new()), "nothing is said of mandates where there are none");
    let id = vault.propose(payments(log.now())).await.unwrap();
    let asked = vault.waiting().await.unwrap().into_iter().find(|asked| asked.draft.id() == id).unwrap();
    assert_eq!(asked.title, "Grant this mandate?");
    assert!(asked.text.contains("2.00 EUR") && asked.text.contains("4.00 EUR"), "{}", asked.text);
    assert!(pays(&vault, &first).await.is_err(), "it is not granted yet");
    assert!(vault.withdraw(id).await.is_err(), "the node takes back a question of the user's");
    vault.answer(id, UserAnswer::Approve { seen: asked.text_hash() }).await.unwrap();
    // What waited is covered now.
    for _ in 0..3 {
        assert_eq!(pays(&vault, &first).await, Ok(()), "the same again is no second use");
    }
    assert!(vault.waiting().await.unwrap().is_empty());
    for (payee, amount, why) in [
        (2, cents(1), "is for deals with"),
        (1, cents(201), "allows 2.00 EUR at once, and this is 2.01 EUR"),
        (1, Amount::parse("1.00 USD").unwrap(), "allows amounts in EUR and none in USD"),
    ] {
        let said = pays(&vault, &payment(&vault, 90 + amount.minor(), payee, amount)).await.unwrap_err();
        assert!(said.contains(why) && said.contains(&id.to_string()[..12]), "{said}");
    }
    drop((vault, log));
    // Another process, the same sum.
    let (vault, log) = party.vault();
    assert_eq!(pays(&vault, &payment(&vault, 2, 1, cents(150))).await, Ok(()));
    let said = pays(&vault, &payment(&vault, 3, 1, cents(51))).await.unwrap_err();
    assert!(said.contains("has 0.50 EUR left of 4.00 EUR, and this is 0.51 EUR"), "{said}");
    assert_eq!(pays(&vault, &payment(&vault, 4, 1, cents(50))).await, Ok(()));
    let used = uses(&log);
    let counted: Vec<_> = used.iter().map(|used| (used.number, used.amount.unwrap(), used.left().unwrap())).collect();
    assert_eq!(counted, [(1, cents(200), cents(200)), (2, cents(150), cents(50)), (3, cents(50), cents(0))]);
    let in_force =
        |used: &MandateUse| (used.mandate, used.per_deal, used.total) == (id, Some(cents(200)), Some(cents(400)));
    assert!(used.iter().all(in_force) && used[0].signed == first.draft.id());
    let [granted] = vault.mandates().await.unwrap().try_into().unwrap();
    assert_eq!((granted.standing(), granted.counted.uses), ("used up", 3));
    assert_eq!(Mandate::from_bytes(vault.mandate(id).await.unwrap().payload()).unwrap(), granted.mandate);
}

#[tokio::test]
async fn a_revoked_mandate_covers_nothing() {
    let party = Party::new();
    let (vault, log) = party.vault();
    let id = grant(&vault, payments(log.now())).await;
    assert_eq!(pays(&vault, &payment(&vault, 1, 1, cents(1))).await, Ok(()));
    for _ in 0..2 {
        vault.revoke(id).await.unwrap();
    }
    let said = pays(&vault, &payment(&vault, 2, 1, cents(1))).await.unwrap_err();
    assert!(said.contains("was revoked"), "{said}");
    assert_eq!(pays(&vault, &payment(&vault, 1, 1, cents(1))).await, Ok(()), "what was signed stays signed");
    drop((vault, log));
    let (vault, log) = party.vault();
    assert!(pays(&vault, &payment(&vault, 3, 1, cents(1))).await.is_err());
    let [granted] = vault.mandates().await.unwrap().try_into().unwrap();
    assert_eq!((granted.standing(), granted.counted.uses), ("revoked", 1));
    let entries = log.history(0, usize::MAX).unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.decision.event.what == What::Revoked).count(), 1);
    // A name that was never granted, and the name of something else.
    for other in [StatementId::from_digest(Digest::from_array([9; 32])), uses(&log)[0].signed] {
        assert!(matches!(vault.revoke(other).await, Err(VaultError::NoMandate(_))));
    }
}

#[tokio::test]
async fn a_mandate_that_was_seen_to_be_over_stays_over() {
    let party = Party::new();
    let (vault, log) = party.vault();
    let now = log.now();
    let later = Mandate { from: now.after(Seconds(3600)), ..payments(now) };
    let later = grant(&vault, later).await;
    let said = pays(&vault, &payment(&vault, 1, 1, cents(1))).await.unwrap_err();
    assert!(said.contains("begins at"), "{said}");
    grant(&vault, payments(now)).await;
    assert_eq!(pays(&vault, &payment(&vault, 2, 1, cents(1))).await, Ok(()));
    // Something happens two days later, then the clock is set back.
    let mark = Decision { event: Event::of_vault(What::Unlocked, String::new()), facts: Vec::new(), question: None };
    log.write(mark, now.after(Seconds(2 * 86_400))).unwrap();
    let said = pays(&vault, &payment(&vault, 3, 1, cents(1))).await.unwrap_err();
    assert_eq!(said.matches("was over at").count(), 2, "{said}");
    drop((vault, log));
    let (vault, _) = party.vault();
    assert!(pays(&vault, &payment(&vault, 4, 1, cents(1))).await.is_err());
    assert!(vault.mandates().await.unwrap().iter().all(|granted| granted.standing() == "over"));
    // Long after its end it is no more than a line of the log, and still there for whoever asks what was allowed.
    assert!(vault.mandate(later).await.is_ok());
}

#[tokio::test]
async fn what_is_no_mandate_is_not_asked_about() {
    let party = Party::new();
    let (vault, log) = party.vault();
    let good = payments(log.now());
    let process = Some("buy/9".to_owned());
    let bad = [
        Mandate { total: None, ..good.clone() },
        Mandate { scope: Scope { per_deal: None, ..good.scope.clone() }, ..good.clone() },
        Mandate { scope: Scope { process, ..good.scope.clone() }, ..good.clone() },
        Mandate { until: Time::from_unix(5), from: Time::from_unix(1), ..good.clone() },
        Mandate { until: log.now().after(Seconds(500 * 86_400)), ..good.clone() },
    ];
    for mandate in bad {
        assert!(matches!(vault.propose(mandate).await, Err(VaultError::BadMandate(_))));
    }
    assert!(vault.waiting().await.unwrap().is_empty());
    // When it was written is not for whoever asks to say.
    let old = Mandate { issued: Time::from_unix(1), until: log.now().after(Seconds(300 * 86_400)), ..good };
    let id = grant(&vault, old).await;
    let [granted] = vault.mandates().await.unwrap().try_into().unwrap();
    assert!(granted.id == id && granted.mandate.issued.unix() > 1_000_000_000);
}

// The node's draft of a mandate is signed by no rule, whatever is shown with it.
#[tokio::test]
async fn no_mandate_grants_a_mandate() {
    let party = Party::new();
    let (vault, log) = party.vault();
    grant(&vault, Mandate { scope: Scope::of(Matter::Contract, None), total: None, ..payments(log.now()) }).await;
    let keys = vault.key_set();
    for exhibit in [Exhibit::Statement, Exhibit::Consequence] {
        let draft = payments(log.now()).draft(keys.suite(), keys.id());
        let request = SignRequest { deal: DealId::from_array([1; 16]), draft, exhibit };
        assert!(matches!(vault.request(request).await, Err(ApprovalError::Forbidden(_))));
    }
}

// Eight threads ask as fast as they can, and one revokes somewhere in between. Whoever goes first, no more is signed than is counted, and the sum is
// within the limit; without the revocation it is the limit.
#[test]
fn those_who_ask_at_once_share_one_total() {
    let ready = |future: std::pin::Pin<Box<dyn Future<Output = bool> + Send>>| {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    };
    let mut revoked_in_the_middle = 0;
    for round in 0..6_u64 {
        let party = Party::new();
        let (vault, log) = party.vault();
        let mandate = Mandate { total: Some(cents(300)), ..payments(log.now()) };
        let id = {
            let vault = vault.clone();
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
                .block_on(async move { grant(&vault, mandate).await })
        };
        let signed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (vault, signed) = (vault.clone(), &signed);
                scope.spawn(move || {
                    for number in 0..9 {
                        let request = payment(&vault, thread * 100 + number, 1, cents(5 + thread % 2));
                        let vault = vault.clone();
                        if ready(Box::pin(async move { pays(&vault, &request).await.is_ok() })) {
                            signed.fetch_add(5 + thread % 2, Ordering::Relaxed);
                        }
                    }
                });
            }
            if round % 2 == 1 {
                let (vault, signed) = (vault.clone(), &signed);
                scope.spawn(move || {
                    while signed.load(Ordering::Relaxed) < 40 * round {
                        std::thread::yield_now();
                    }
                    assert!(ready(Box::pin(async move { vault.revoke(id).await.is_ok() })));
                });
            }
        });
        let used = uses(&log);
        let sum: u64 = used.iter().map(|used| used.amount.unwrap().minor()).sum();
        assert_eq!(sum, signed.load(Ordering::Relaxed), "what is counted is what was signed");
        assert!(used.iter().enumerate().all(|(place, used)| used.number == place as u64 + 1), "a number is missing");
        assert!(used.iter().all(|used| used.spent.unwrap().minor() <= 300));
        match round % 2 {
            0 => assert!((295..=300).contains(&sum), "{sum}"),
            _ => revoked_in_the_middle += usize::from(sum < 295),
        }
    }
    assert!(revoked_in_the_middle > 0, "the revocation always came too late to be seen");
}
