//! What proves a payment to a stranger, and what does not.

use semper_core::amount::Amount;
use semper_core::cbor::Encode;
use semper_core::cose::{Signed, Statement};
use semper_core::hash::Digest;
use semper_core::party::Suite;
use semper_core::time::{Seconds, Time};
use semper_crypto::{SecretKeys, Verifier};
use semper_payment::account::answer::{Booking, What};
use semper_payment::account::payment::{Details, Level};
use semper_payment::account::proof::{Shown, judge, proof};
use semper_support::crypto::Signer;
use semper_transfer::payment::claim::{Claim, Finding};
use semper_transfer::payment::means::System;
use semper_transfer::payment::statement::{PaymentReceipt, PaymentRequest, order_hash};

use super::world::{ISSUER, START, deal, eur, sign};

const SALT: [u8; 32] = [4; 32];

struct Scene {
    bank: SecretKeys,
    payee: SecretKeys,
    request: Signed,
}

fn scene() -> Scene {
    let keys = || SecretKeys::generate(Suite::Ed25519).unwrap();
    let (bank, payee) = (keys(), keys());
    let details = Details { bank: bank.key_set().id(), owner: payee.key_set().clone(), level: Level::Three };
    let request = PaymentRequest {
        deal: deal(1),
        amount: eur(300),
        purpose: "a course".to_owned(),
        system: System::parse("account").unwrap(),
        issuer: ISSUER.to_owned(),
        details: details.to_bytes(),
        expires: Time::from_unix(START + 900),
    };
    let request = sign(&payee, &request);
    Scene { bank, payee, request }
}

impl Scene {
    fn booking(&self) -> Booking {
        Booking {
            issuer: ISSUER.to_owned(),
            what: What::Payment,
            entry: Digest::from_array([1; 32]),
            amount: eur(300),
            payee: self.payee.key_set().id(),
            time: Time::from_unix(START),
            reference: None,
            order: Some(order_hash(self.request.id(), &SALT)),
            hold: Some(Digest::from_array([2; 32])),
            account: None,
        }
    }

    fn claim(&self) -> Claim {
        Claim { deal: deal(1), payee: self.payee.key_set().id(), amount: eur(300), before: None }
    }

    fn proves(&self, claim: &Claim, shown: Shown) -> bool {
        let proof = proof(ISSUER, self.request.clone(), self.payee.key_set().clone(), shown);
        matches!(judge(&Verifier, claim, &proof), Finding::Proven { .. })
    }

    fn shows(&self, by: &SecretKeys, booking: &Booking, salt: [u8; 32]) -> Shown {
        Shown::Booking { bank: by.key_set().clone(), booking: sign(by, booking), salt }
    }
}

#[test]
fn a_booking_with_request_and_salt_proves_a_payment() {
    let scene = scene();
    let shown = || scene.shows(&scene.bank, &scene.booking(), SALT);
    assert!(scene.proves(&scene.claim(), shown()));
    assert!(scene.proves(&Claim { amount: eur(299), ..scene.claim() }, shown()));
    assert!(scene.proves(&Claim { before: Some(Time::from_unix(START)), ..scene.claim() }, shown()));
    let claims = [
        Claim { amount: eur(301), ..scene.claim() },
        Claim { amount: Amount::parse("3.00 USD").unwrap(), ..scene.claim() },
        Claim { deal: deal(2), ..scene.claim() },
        Claim { payee: scene.bank.key_set().id(), ..scene.claim() },
        Claim { before: Some(Time::from_unix(START).before(Seconds(1))), ..scene.claim() },
    ];
    for claim in claims {
        assert!(!scene.proves(&claim, shown()), "{claim:?}");
    }
}

// Each of these is a true statement of somebody, and none says that this payee was paid for this deal.
#[test]
fn a_booking_of_something_else_proves_nothing() {
    let scene = scene();
    let good = scene.booking();
    let stranger = SecretKeys::generate(Suite::Ed25519).unwrap();
    let others = [
        ("a refund", Booking { what: What::Refund, ..good.clone() }),
        ("a transfer", Booking { what: What::Transfer, ..good.clone() }),
        ("another payee", Booking { payee: stranger.key_set().id(), ..good.clone() }),
        ("another order", Booking { order: Some(Digest::from_array([9; 32])), ..good.clone() }),
        ("no order", Booking { order: None, ..good.clone() }),
        ("another bank's address", Booking { issuer: "https://other.example".to_owned(), ..good.clone() }),
        ("too little", Booking { amount: eur(299), ..good.clone() }),
    ];
    for (what, booking) in others {
        assert!(!scene.proves(&scene.claim(), scene.shows(&scene.bank, &booking, SALT)), "{what}");
    }
    assert!(!scene.proves(&scene.claim(), scene.shows(&scene.bank, &good, [5; 32])), "another salt");
    // A "bank" that the payee did not name, and a booking that another key signed.
    assert!(!scene.proves(&scene.claim(), scene.shows(&stranger, &good, SALT)), "a stranger's bank");
    let forged = Shown::Booking { bank: scene.bank.key_set().clone(), booking: sign(&stranger, &good), salt: SALT };
    assert!(!scene.proves(&scene.claim(), forged), "a forged booking");
    assert!(scene.proves(&scene.claim(), scene.shows(&scene.bank, &good, SALT)));
}

#[test]
fn the_payees_receipt_proves_it_too() {
    let scene = scene();
    let (request, time) = (scene.request.id(), Time::from_unix(START));
    let receipt = PaymentReceipt { deal: deal(1), request, amount: eur(300), time };
    assert!(scene.proves(&scene.claim(), Shown::Receipt(sign(&scene.payee, &receipt))));
    assert!(!scene.proves(&scene.claim(), Shown::Receipt(sign(&scene.bank, &receipt))));
    let keys = scene.payee.key_set();
    let other = receipt.draft(keys.suite(), keys.id()).id();
    for receipt in [
        PaymentReceipt { amount: eur(299), ..receipt.clone() },
        PaymentReceipt { deal: deal(2), ..receipt.clone() },
        PaymentReceipt { request: other, ..receipt },
    ] {
        assert!(!scene.proves(&scene.claim(), Shown::Receipt(sign(&scene.payee, &receipt))));
    }
}
