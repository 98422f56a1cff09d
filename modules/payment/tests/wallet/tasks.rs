//! What the kit does not ask for: tokens for anybody, transfers, restoring, rotation, consolidation, hash locks.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use async_trait::async_trait;
use cashu::dhke::{blind_message, unblind_message};
use cashu::nuts::Token;
use cashu::secret::Secret;
use cashu::{BlindedMessage, CurrencyUnit, MintRequest, Proof, PublicKey};
use data_encoding::HEXLOWER;
use semper_core::cbor::Decode as _;
use semper_core::machine::Fault;
use semper_core::time::{Seconds, Time};
use semper_crypto::Verifier;
use semper_payment::ecash::condition::Condition;
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::{Answer, MintQuoteRequest};
use semper_support::crypto::Signer;
use semper_support::engine::EvidenceKind;
use semper_transfer::payment::Module;
use semper_transfer::payment::claim::{self, Claim, Finding};
use semper_transfer::payment::module::{Event, IssuerReply, IssuerRequest, Next};
use semper_transfer::payment::operation::{Lock, Money, Operation, Task};
use semper_transfer::payment::statement::{PaymentRequest, Side};

use super::world::{Clock, ISSUER, Issuer, OurMint, Party, START, hash_locked, learn, locked, pay, redeem};

async fn mint(input_fee_ppk: u64) -> Arc<OurMint> {
    Arc::new(OurMint::open(Clock::at(START), input_fee_ppk).await)
}

fn party(name: u8, mint: &Arc<OurMint>) -> Party {
    Party::new(name, "EUR", mint.clone(), &mint.clock)
}

fn text(handover: Vec<u8>) -> String {
    String::from_utf8(handover).unwrap()
}

// The sums are counted at the mint: what nobody holds is lost, what two hold is made from nothing.
#[tokio::test]
async fn a_token_for_anybody_is_taken_once_and_can_be_taken_back() {
    for fee in [0, 100, 1000] {
        let mint = mint(fee).await;
        let (mut alice, mut bob) = (party(1, &mint).with(1000).await, party(2, &mint).with(0).await);
        let sent = alice.done(Task::Send(alice.amount(77))).await;
        assert_eq!((sent.moved, alice.pending()), (alice.amount(77), mint.owed().await - alice.available()));
        let token = text(sent.handover);
        assert!(token.starts_with("cashuB"));
        let taken = bob.done(Task::Accept(token.clone())).await;
        assert_eq!((taken.moved.minor(), bob.available()), (77, 77), "all of it arrives at a fee of {fee}");
        let again = bob.run(Task::Accept(token.clone())).await.unwrap_err();
        assert_eq!(again.money, Money::NotMoved, "{again}");
        alice.done(Task::Refresh).await;
        assert_eq!((alice.pending(), alice.available() + 77), (0, mint.owed().await));

        let id = alice.id();
        alice.run_as(id, Task::Send(alice.amount(50))).await.unwrap();
        let back = alice.done(Task::Reclaim(id)).await;
        assert!(back.moved.minor() > 0 && alice.pending() == 0);
        assert_eq!(alice.available() + 77, mint.owed().await);
        assert_eq!(alice.done(Task::Reclaim(id)).await.moved.minor(), 0, "it is back already");
    }
}

#[tokio::test]
async fn coins_that_fit_are_sent_as_they_are() {
    let mint = mint(0).await;
    let mut alice = party(1, &mint).with(1000).await;
    let token = text(alice.done(Task::Send(alice.amount(5))).await.handover);
    let issued: u64 = mint.mint.audit().await.unwrap().iter().map(|one| one.issued).sum();
    assert_eq!(issued, 1000, "nothing was exchanged for it");
    assert_eq!(alice.available(), 995);
    let mut bob = party(2, &mint).with(0).await;
    assert_eq!(bob.done(Task::Accept(token)).await.moved.minor(), 5);
}

/// A text token of one coin of 64 that is locked to a key, made by another wallet, without proofs.
async fn locked_token(mint: &OurMint, key: PublicKey) -> String {
    let keysets = mint.mint.keysets();
    let keyset = keysets.active(Unit::Eur).unwrap();
    let secret = Condition::to_key(key, None).secret(&[8; 32]);
    let (blinded, r) = blind_message(secret.as_bytes(), None).unwrap();
    let quote = MintQuoteRequest { amount: 64, unit: "eur".to_owned(), pubkey: None };
    let quote = mint.mint.mint_quote("bolt11", quote).await.unwrap().quote;
    let outputs = vec![BlindedMessage::new(64.into(), keyset.id(), blinded)];
    let signed = mint.mint.mint("bolt11", MintRequest { quote, outputs, signature: None }).await.unwrap().signatures;
    let c = unblind_message(&signed[0].c, &r, &keyset.key(64).unwrap().public()).unwrap();
    let coin = Proof::new(64.into(), keyset.id(), Secret::new(secret), c);
    Token::new(ISSUER.parse().unwrap(), vec![coin], None, CurrencyUnit::Eur).to_string()
}

#[tokio::test]
async fn a_token_that_is_locked_to_our_key_is_opened_and_another_is_not() {
    let mint = mint(0).await;
    let (mut bob, mut eve) = (party(2, &mint).with(0).await, party(3, &mint).with(0).await);
    let token = locked_token(&mint, bob.module.receiving_key()).await;
    assert_eq!(eve.run(Task::Accept(token.clone())).await.unwrap_err().money, Money::NotMoved);
    assert_eq!(bob.done(Task::Accept(token)).await.moved.minor(), 64);
}

#[tokio::test]
async fn money_is_found_again_from_the_words_alone() {
    for fee in [0, 100] {
        let mint = mint(fee).await;
        let mut alice = party(1, &mint).with(1000).await;
        for amount in [1, 20, 300] {
            alice.done(Task::Send(alice.amount(amount))).await;
        }
        mint.mint.rotate(Unit::Eur, fee, None).await.unwrap();
        alice.done(Task::Refresh).await;
        alice.done(Task::Send(alice.amount(7))).await;
        let held = (alice.available(), alice.pending());

        // Tokens that nobody has taken are still the sender's, for the words.
        let mut again = party(1, &mint).with(0).await;
        let found = again.done(Task::Restore).await.moved.minor();
        assert_eq!(found, held.0 + held.1);
        assert_eq!(again.available(), found);
        assert_eq!(again.done(Task::Restore).await.moved.minor(), 0, "nothing is found twice");
        // Counters go on where they were: otherwise the mint had signed the new outputs before.
        let token = text(again.done(Task::Send(again.amount(99))).await.handover);
        let mut bob = party(2, &mint).with(0).await;
        assert_eq!(bob.done(Task::Accept(token)).await.moved.minor(), 99);
    }
}

#[tokio::test]
async fn a_transfer_is_paid_and_its_change_comes_back() {
    let mint = mint(100).await;
    mint.money.wait_for_payers();
    mint.money.answer(Answer::Paid { fee: 3 });
    let mut alice = party(1, &mint);
    alice.done(Task::Refresh).await;
    let task = Task::Deposit { amount: alice.amount(2000), method: "bolt11".to_owned() };
    // Nobody has paid: it is waited for as long as the quote is good, and an hour.
    let failure = alice.run(task.clone()).await.unwrap_err();
    assert_eq!((failure.money, failure.fault), (Money::Unknown, Fault::ThirdParty), "{failure}");
    let mint = self::mint(100).await;
    mint.money.answer(Answer::Paid { fee: 3 });
    let mut alice = party(1, &mint).with(2000).await;

    let invoice = |amount| {
        let request = MintQuoteRequest { amount, unit: "eur".to_owned(), pubkey: None };
        let mint = mint.clone();
        async move { mint.mint.mint_quote("bolt11", request).await.unwrap().request }
    };
    let address = invoice(500).await;
    let wrong = alice.run(Task::Transfer { amount: alice.amount(400), address: address.clone() }).await.unwrap_err();
    assert!(wrong.money == Money::NotMoved && wrong.reason.contains("5.00 EUR"), "{wrong}");
    let paid = alice.done(Task::Transfer { amount: alice.amount(500), address: address.clone() }).await;
    assert_eq!(paid.handover.len(), 64, "the preimage in digits");
    assert!((3..10).contains(&paid.fee.minor()), "3 for the payment, and for coins: {}", paid.fee);
    assert_eq!(alice.available(), 1500 - paid.fee.minor());
    assert_eq!((alice.available(), alice.pending()), (mint.owed().await, 0));

    // A payment that is not decided yet is waited for; one that fails gives the coins back.
    let held = alice.available();
    mint.money.answer(Answer::Failed);
    let task = Task::Transfer { amount: alice.amount(100), address: invoice(100).await };
    let failure = alice.run(task).await.unwrap_err();
    assert_eq!((failure.money, alice.available(), alice.pending()), (Money::NotMoved, held, 0), "{failure}");
    for address in ["", "mailto:bob", "account:1@b"] {
        let task = Task::Transfer { amount: alice.amount(1), address: address.to_owned() };
        assert_eq!(alice.run(task).await.unwrap_err().money, Money::NotMoved);
    }
}

#[tokio::test]
async fn a_keyset_that_is_rotated_between_steps_loses_no_money() {
    let mint = mint(0).await;
    let (mut alice, mut bob) = (party(1, &mint).with(500).await, party(2, &mint).with(0).await);
    mint.mint.rotate(Unit::Eur, 0, None).await.unwrap();
    // The deposit learns the new keyset when the mint refuses the old one.
    alice.done(Task::Deposit { amount: alice.amount(100), method: "bolt11".to_owned() }).await;
    assert_eq!(alice.available(), 600);
    // Coins of a keyset that the receiver does not know are asked about.
    let token = text(alice.done(Task::Send(alice.amount(300))).await.handover);
    assert_eq!(bob.done(Task::Accept(token)).await.moved.minor(), 300);
    assert_eq!(alice.available() + bob.available(), 600);
}

#[tokio::test]
async fn many_small_coins_are_joined() {
    let mint = mint(0).await;
    let mut alice = party(1, &mint).with(0).await;
    for _ in 0..120 {
        alice.done(Task::Deposit { amount: alice.amount(1), method: "bolt11".to_owned() }).await;
    }
    let coins = |party: &Party| party.purse.under(b"coin/").count();
    assert_eq!(coins(&alice), 120);
    alice.done(Task::Refresh).await;
    assert!(coins(&alice) < 20 && alice.available() == 120, "{}", coins(&alice));
}

#[tokio::test]
async fn a_hash_lock_opens_for_its_preimage_and_comes_back_after_its_date() {
    for late in [false, true] {
        let mint = mint(100).await;
        let (mut alice, mut bob) = (party(1, &mint).with(1000).await, party(2, &mint).with(0).await);
        let preimage = [5; 32];
        let (id, lock, token) = hash_locked(&mut alice, &mut bob, 200, preimage).await;
        bob.done(Task::VerifyLock { lock: lock.clone(), token: token.clone() }).await;
        let redeem = |to, authorisation: &[u8]| redeem(&lock, &token, to, authorisation);
        for wrong in [&[6; 32][..], &[5; 31], &[]] {
            assert_eq!(bob.run(redeem(Side::Payee, wrong)).await.unwrap_err().money, Money::NotMoved);
        }
        assert!(alice.run(redeem(Side::Payer, &preimage)).await.is_err(), "the payer knows it too");
        if late {
            let back = alice.done(Task::Reclaim(id)).await;
            assert!(back.moved.minor() == 200 && mint.clock.now() > lock.refund_after);
            assert_eq!(bob.run(redeem(Side::Payee, &preimage)).await.unwrap_err().money, Money::NotMoved);
        } else {
            assert_eq!(bob.done(redeem(Side::Payee, &preimage)).await.moved.minor(), 200);
            assert_eq!(bob.available(), 200);
        }
        alice.done(Task::Refresh).await;
        assert_eq!(alice.available() + bob.available(), mint.owed().await);
        assert_eq!(alice.pending(), 0);
    }
}

// Attack 19: what is handed over as a lock is none, or one that its payer, or nobody, or somebody else opens. Whoever is to be paid gives nothing
// for it, and the arbiter neither.
#[tokio::test]
async fn lock_without_refund_or_with_other_signers() {
    let mint = mint(0).await;
    let (mut alice, mut bob) = (party(1, &mint).with(2000).await, party(2, &mint).with(0).await);
    let mut carol = party(3, &mint).with(0).await;
    let (lock, token) = locked(&mut alice, &mut bob, &carol, 200).await;
    let verify = |lock: &Lock, token: &[u8]| Task::VerifyLock { lock: lock.clone(), token: token.to_vec() };
    for party in [&mut bob, &mut carol] {
        party.done(verify(&lock, &token)).await;
    }
    // Coins of anybody; coins of the payee alone; a lock under another arbiter, for another contract, of less money; one that opens by a hash.
    let anybodys = alice.done(Task::Send(alice.amount(200))).await.handover;
    let request = bob.request(200).await;
    let bobs = pay(&mut alice, &request).await.1.handover;
    let dave = party(4, &mint).with(0).await;
    let (others, under_dave) = locked(&mut alice, &mut bob, &dave, 201).await;
    let (_, small) = locked(&mut alice, &mut bob, &carol, 100).await;
    let (_, _, by_hash) = hash_locked(&mut alice, &mut bob, 200, [5; 32]).await;
    for (name, token) in
        [("bearer", anybodys), ("payee", bobs), ("arbiter", under_dave), ("less", small), ("hash", by_hash)]
    {
        for party in [&mut bob, &mut carol] {
            let refused = party.run(verify(&lock, &token)).await.unwrap_err();
            assert_eq!((refused.fault, refused.money), (Fault::PeerMisbehaved, Money::NotMoved), "{name}: {refused}");
        }
    }
    // The same coins under terms that they do not have.
    let later = Lock { refund_after: lock.refund_after.after(Seconds(1)), ..lock.clone() };
    let soon = Lock { refund_after: alice.clock.now().after(Seconds(60)), ..lock.clone() };
    let swapped = Lock { payer: lock.payee.clone(), payee: lock.payer.clone(), ..lock.clone() };
    for wrong in [later, soon, swapped, Lock { tag: others.tag, amount: alice.amount(201), ..lock.clone() }] {
        assert!(bob.run(verify(&wrong, &token)).await.is_err(), "{wrong:?}");
    }
    // At a mint that does not say that it keeps locks they are anybody's: there is none.
    let silent = Arc::new(Keeps { honest: mint.clone(), without: "11" });
    let mut alice = Party::new(5, "EUR", silent, &mint.clock).with(1000).await;
    let refused = alice.run(Task::Lock(lock)).await.unwrap_err();
    assert_eq!((refused.fault, refused.money), (Fault::ThirdParty, Money::NotMoved), "{refused}");
}

/// A mint that says nothing of one NUT.
struct Keeps {
    honest: Arc<OurMint>,
    without: &'static str,
}

#[async_trait]
impl Issuer for Keeps {
    async fn ask(&self, request: IssuerRequest) -> IssuerReply {
        let mut reply = self.honest.ask(request).await;
        if let Ok(mut info) = serde_json::from_slice::<serde_json::Value>(&reply.body)
            && info["nuts"].as_object_mut().is_some_and(|nuts| nuts.remove(self.without).is_some())
        {
            reply.body = serde_json::to_vec(&info).unwrap();
        }
        reply
    }
}

fn shows(request: &IssuerRequest, preimage: &[u8; 32]) -> bool {
    let body = request.body.as_ref().map(|(_, body)| String::from_utf8_lossy(body).into_owned());
    body.is_some_and(|body| body.contains(&HEXLOWER.encode(preimage)))
}

// The payee gives up before the mint has heard anything. If a later request still showed the preimage, the payer would
// have it for nothing.
#[tokio::test]
async fn a_preimage_that_is_given_up_is_shown_to_nobody() {
    for rotated in [false, true] {
        let mint = mint(100).await;
        let (mut alice, mut bob) = (party(1, &mint).with(1000).await, party(2, &mint).with(0).await);
        if rotated {
            mint.mint.rotate(Unit::Eur, 100, None).await.unwrap();
            alice.done(Task::Refresh).await;
        }
        let preimage = [5; 32];
        let (_, lock, token) = hash_locked(&mut alice, &mut bob, 200, preimage).await;
        let task = redeem(&lock, &token, Side::Payee, &preimage);
        let operation = Operation { id: bob.id(), purse: bob.purse.id, deal: None, task };
        let Next::Ask(lost) = bob.step(&operation, Event::Begin) else { panic!("the mint is asked") };
        // Where the keysets must be learnt first, nothing was shown yet.
        assert_eq!(shows(&lost, &preimage), !rotated);
        let mut next = bob.step(&operation, Event::GiveUp);
        while let Next::Ask(request) = next {
            assert!(!shows(&request, &preimage), "{}", request.url);
            let reply = bob.issuer.ask(request).await;
            next = bob.step(&operation, Event::Reply(reply));
        }
        let Next::Failed(failure) = next else { panic!("it ends, and nothing has moved: {next:?}") };
        let fault = if rotated { Fault::UserDeclined } else { Fault::ThirdParty };
        assert_eq!((failure.money, failure.fault), (Money::NotMoved, fault), "{failure}");
        assert_eq!(alice.run(learn(&lock, &token)).await.unwrap_err().fault, Fault::PeerRefused);
        // Another operation may still take it.
        assert_eq!(bob.done(redeem(&lock, &token, Side::Payee, &preimage)).await.moved.minor(), 200);
    }
}

// A payee may take some of the coins and leave the others: the payer learns the preimage, and has the others back after
// the date.
#[tokio::test]
async fn one_coin_of_a_lock_is_enough_to_learn_the_preimage() {
    let mint = mint(0).await;
    let (mut alice, mut bob) = (party(1, &mint).with(1000).await, party(2, &mint).with(0).await);
    let preimage = [5; 32];
    let (id, lock, token) = hash_locked(&mut alice, &mut bob, 200, preimage).await;
    let task = redeem(&lock, &token, Side::Payee, &preimage);
    let operation = Operation { id: bob.id(), purse: bob.purse.id, deal: None, task };
    let Next::Ask(mut ask) = bob.step(&operation, Event::Begin) else { panic!("the mint is asked") };
    let mut swap: serde_json::Value = serde_json::from_slice(&ask.body.as_ref().unwrap().1).unwrap();
    let inputs = swap["inputs"].as_array_mut().unwrap();
    assert!(inputs.len() > 1);
    inputs.truncate(1);
    let worth = inputs[0]["amount"].clone();
    let outputs = swap["outputs"].as_array_mut().unwrap();
    outputs.retain(|output| output["amount"] == worth);
    outputs.truncate(1);
    ask.body.as_mut().unwrap().1 = serde_json::to_vec(&swap).unwrap();
    assert_eq!(bob.issuer.ask(ask).await.status, 200);

    assert_eq!(alice.done(learn(&lock, &token)).await.handover, preimage);
    alice.clock.pass_until(lock.refund_after.after(Seconds(1)));
    let late = alice.run(redeem(&lock, &token, Side::Payer, &[])).await.unwrap_err();
    assert_eq!((late.money, late.fault), (Money::NotMoved, Fault::PeerRefused), "{late}");
    let back = alice.done(Task::Reclaim(id)).await;
    assert_eq!(back.moved.minor(), 200 - worth.as_u64().unwrap());
}

#[tokio::test]
async fn a_proof_of_payment_proves_that_payment_and_no_other() {
    let mint = mint(100).await;
    let (mut alice, mut bob) = (party(1, &mint).with(1000).await, party(2, &mint).with(0).await);
    let request = bob.request(200).await;
    let (id, paid) = pay(&mut alice, &request).await;
    bob.done(Task::Receive { request: request.clone(), token: paid.handover }).await;
    alice.done(Task::Reclaim(id)).await;
    let kept = alice.evidence.iter().find(|(kind, _)| *kind == EvidenceKind::Payment).unwrap();
    let proof = claim::Proof::from_bytes(&kept.1).unwrap();
    let asked = PaymentRequest::from_bytes(request.payload()).unwrap();
    let claim = Claim { deal: asked.deal, payee: bob.keys.key_set().id(), amount: asked.amount, before: None };
    let judge = |proof: &claim::Proof, claim: &Claim| alice.module.judge(&Verifier, claim, proof);
    assert!(matches!(judge(&proof, &claim), Finding::Proven { .. }), "{:?}", judge(&proof, &claim));
    let dated = Claim { before: Some(Time::from_unix(START)), ..claim.clone() };
    assert!(matches!(judge(&proof, &dated), Finding::Undecided { .. }), "coins tell no time");

    // Another payment's coins, or any changed byte of these.
    let other = bob.request(200).await;
    let swapped = claim::Proof { request: other, ..proof.clone() };
    assert!(!matches!(judge(&swapped, &claim), Finding::Proven { .. }));
    for place in 0..proof.body.len() {
        let mut body = proof.body.clone();
        body[place] ^= 1;
        let changed = claim::Proof { body, ..proof.clone() };
        assert!(!matches!(judge(&changed, &claim), Finding::Proven { .. }), "byte {place}");
    }
}

#[tokio::test]
async fn our_text_tokens_name_their_mint_and_unit() {
    let mint = mint(0).await;
    let mut alice = party(1, &mint).with(10).await;
    let token = text(alice.done(Task::Send(alice.amount(3))).await.handover);
    let token: Token = token.parse().unwrap();
    assert_eq!(token.mint_url().unwrap().to_string(), ISSUER);
    assert_eq!(token.unit().unwrap().to_string(), "eur");
}
