//! Unit tests of the deal machine: what it adds to its engines.
#![allow(clippy::unwrap_used)]

use semper_core::container::Information;
use semper_core::cose::Signed;
use semper_core::party::{Algorithm, Suite};
use semper_core::signature::Verify;
use semper_core::time::Time;
use semper_exchange::arbiter::rules_hash;
use semper_exchange::gx::PATIENCE;

use super::*;
use crate::contract_file::Draft as ContractDraft;
use crate::terms::Named;

const NOW: Time = Time::from_unix(1_000_000);
const CLOSES: Time = Time::from_unix(2_000_000);
const PATIENT: Seconds = Seconds(60);

/// Takes a signature that repeats the public key's first byte: enough to tell the parties apart.
struct FirstByte;

impl Verify for FirstByte {
    fn verify(&self, _: Algorithm, public_key: &[u8], _: &[u8], signature: &[u8]) -> bool {
        signature[0] == public_key[0]
    }
}

fn keys(byte: u8) -> KeySet {
    KeySet::new(Suite::Ed25519, vec![vec![byte; 32]]).unwrap()
}

fn sign(draft: Draft, by: u8) -> Signed {
    draft.assemble(vec![vec![by; 64]]).unwrap()
}

fn proposal_of(signers: &[u8], arbiter: u8) -> Proposal {
    let named = |byte| Named { name: format!("Party {byte}"), key_set: keys(byte).id() };
    let draft = ContractDraft {
        signers: signers.iter().map(|byte| named(*byte)).collect(),
        arbiter: named(arbiter),
        log: keys(arbiter).id(),
        rules: rules_hash(),
        closes: CLOSES,
        files: vec![Information::new("offer.txt", "text/plain", b"one bicycle".to_vec()).unwrap()],
        terms: String::new(),
        law: String::new(),
        locale: "en".to_owned(),
        nonce: [5; 32],
    };
    draft.propose([6; 16]).unwrap()
}

fn proposal() -> Proposal {
    proposal_of(&[1, 2], 3)
}

fn proposal_among() -> Proposal {
    proposal_of(&[1, 2, 3], 9)
}

fn originator() -> Deal {
    Deal::sign(DealId::from_array([7; 16]), keys(1), vec![keys(2)], keys(3), PATIENT, &proposal(), &[]).unwrap()
}

fn responder(arbiters: Vec<KeySet>) -> Deal {
    let accepts = Accepts { arbiters, purses: Vec::new(), patience: PATIENT };
    Deal::opened(DealId::from_array([7; 16]), &SIGN, keys(2), keys(1), accepts)
}

/// Takes a step, and checks that the state survives the disk.
fn handle(deal: Deal, input: Input) -> Result<(Deal, Vec<Effect>), DealError> {
    let step = deal.handle(&Env { now: NOW, verify: &FirstByte }, input)?;
    assert_eq!(Deal::from_bytes(&step.state.to_bytes()).as_ref(), Ok(&step.state));
    Ok((step.state, step.effects))
}

fn sent(effects: &[Effect]) -> Vec<Input> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send(bytes) => Some(Input::Message(bytes.clone())),
        _ => None,
    });
    sent.collect()
}

fn asked(effects: &[Effect]) -> Draft {
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Sign { draft, .. } => Some(draft.clone()),
        _ => None,
    });
    asked.unwrap()
}

fn timers(effects: &[Effect]) -> Vec<(&'static str, Time)> {
    let timers = effects.iter().filter_map(|effect| match effect {
        Effect::SetTimer { name, due } => Some((*name, *due)),
        _ => None,
    });
    timers.collect()
}

#[test]
fn a_proposal_and_four_messages_make_a_contract() {
    let (alice, effects) = handle(originator(), Input::Begin).unwrap();
    let offer = sent(&effects);
    let (alice, effects) = handle(alice, Input::Signed(sign(asked(&effects), 1))).unwrap();
    let promise = sent(&effects);
    let (bob, effects) = handle(responder(vec![keys(3)]), offer[0].clone()).unwrap();
    assert!(effects.contains(&Effect::Keep { kind: EvidenceKind::Attachment, bytes: b"one bicycle".to_vec() }));
    assert_eq!(effects.iter().filter(|e| matches!(e, Effect::Keep { kind: EvidenceKind::KeySet, .. })).count(), 3);
    let (bob, effects) = handle(bob, promise[0].clone()).unwrap();
    let draft = asked(&effects);
    assert_eq!(bob.exhibit(&draft), proposal().agreement.exhibit());
    let (bob, effects) = handle(bob, Input::Signed(sign(draft, 2))).unwrap();
    let (alice, effects) = handle(alice, sent(&effects)[0].clone()).unwrap();
    let (alice, effects) = handle(alice, Input::Signed(sign(asked(&effects), 1))).unwrap();
    let (bob, effects) = handle(bob, sent(&effects)[0].clone()).unwrap();
    let (bob, effects) = handle(bob, Input::Signed(sign(asked(&effects), 2))).unwrap();
    let (alice, _) = handle(alice, sent(&effects)[0].clone()).unwrap();
    assert_eq!((alice.ending(), bob.ending()), (Some(Ending::Success), Some(Ending::Success)));
}

// A promise that overtakes its proposal must come again later, not be lost.
#[test]
fn a_message_ahead_of_its_step_is_too_early() {
    let (alice, effects) = handle(originator(), Input::Begin).unwrap();
    let (_, effects) = handle(alice, Input::Signed(sign(asked(&effects), 1))).unwrap();
    let error = handle(responder(vec![keys(3)]), sent(&effects)[0].clone()).unwrap_err();
    assert_eq!(error, DealError::TooEarly { found: 1, now: 0 });
    assert_eq!(error.fault(), Fault::Environment);
}

// Whoever has ended a deal takes what the peer still sends for it; else it would come again for ever. And it says so, or the peer would wait for a
// promise as long as it has patience.
#[test]
fn whoever_has_ended_a_deal_says_so_to_a_peer_that_goes_on() {
    let (alice, effects) = handle(originator(), Input::Begin).unwrap();
    let (alice, effects) = handle(alice, Input::Signed(sign(asked(&effects), 1))).unwrap();
    let (bob, _) = handle(responder(vec![keys(3)]), Input::GiveUp).unwrap();
    assert_eq!(bob.ending(), Some(Ending::Lapsed));
    let (bob, declined) = handle(bob, sent(&effects)[0].clone()).unwrap();
    assert_eq!(bob.ending(), Some(Ending::Lapsed));
    let [decline] = <[Input; 1]>::try_from(sent(&declined)).unwrap();
    // Two that have ended have nothing to say to each other.
    let (_, silent) = handle(bob, decline.clone()).unwrap();
    assert!(silent.is_empty(), "{silent:?}");
    let (alice, _) = handle(alice, decline).unwrap();
    assert_eq!((alice.position(), alice.waits_for()), (("sign", "await-abort-signature"), WaitsFor::Us));
}

// The promise comes when the offer has lapsed for want of it: whoever sent it would wait for the other one as long as it has patience.
#[test]
fn a_promise_for_an_offer_that_has_lapsed_is_declined() {
    let (alice, effects) = handle(originator(), Input::Begin).unwrap();
    let (alice, promised) = handle(alice, Input::Signed(sign(asked(&effects), 1))).unwrap();
    let (bob, _) = handle(responder(vec![keys(3)]), sent(&effects)[0].clone()).unwrap();
    let (bob, silent) = handle(bob, Input::Timer(OFFER)).unwrap();
    assert_eq!((bob.ending(), sent(&silent).len()), (Some(Ending::Lapsed), 0));
    let (_, declined) = handle(bob, sent(&promised)[0].clone()).unwrap();
    let (alice, _) = handle(alice, sent(&declined)[0].clone()).unwrap();
    assert_eq!(alice.position(), ("sign", "await-abort-signature"));
}

// A party that has ended the deal answers a promise of either engine that takes the step "exchange", and need not know which one it would be.
#[test]
fn both_engines_promise_and_decline_in_the_same_bytes() {
    assert_eq!(gx::Message::decline("no").to_bytes(), lx::Message::decline("no").to_bytes());
    let (_, effects) = handle(originator(), Input::Begin).unwrap();
    let promised = gx::Promised::bare(sign(asked(&effects), 1));
    assert_eq!(gx::Message::Promise(promised.clone()).to_bytes(), lx::Message::Promise(promised).to_bytes());
}

// A question that its user never answers would keep the deal open for ever, with its time long over.
#[test]
fn a_question_to_the_originator_lapses_with_the_contract() {
    let (alice, effects) = handle(originator(), Input::Begin).unwrap();
    let last_step = proposal().agreement.core.terms.deadlines.last_step();
    assert!(timers(&effects).contains(&(DEADLINE, last_step)), "{effects:?}");
    let (alice, effects) = handle(alice, Input::Timer(DEADLINE)).unwrap();
    assert_eq!(alice.ending(), Some(Ending::Lapsed));
    assert!(sent(&effects).is_empty(), "nothing was promised: {effects:?}");
}

// An arbiter that the responder has not chosen could be the originator's friend.
#[test]
fn a_proposal_under_another_arbiter_is_refused() {
    let (_, effects) = handle(originator(), Input::Begin).unwrap();
    let error = handle(responder(vec![keys(4)]), sent(&effects)[0].clone()).unwrap_err();
    assert_eq!(error, DealError::UnknownArbiter(keys(3).id()));
}

// An offer that nobody promises, or that nobody answers, must not stay for ever.
#[test]
fn an_offer_lapses_without_a_promise_and_a_question_with_the_deadline() {
    let (alice, effects) = handle(originator(), Input::Begin).unwrap();
    let (_, promised) = handle(alice, Input::Signed(sign(asked(&effects), 1))).unwrap();
    let (offered, timed) = handle(responder(vec![keys(3)]), sent(&effects)[0].clone()).unwrap();
    let last_step = proposal().agreement.core.terms.deadlines.last_step();
    assert_eq!(timers(&timed), [(OFFER, NOW.after(PATIENT)), (DEADLINE, last_step)]);
    let (lapsed, _) = handle(offered.clone(), Input::Timer(OFFER)).unwrap();
    assert_eq!(lapsed.ending(), Some(Ending::Lapsed));

    let (asking, _) = handle(offered, sent(&promised)[0].clone()).unwrap();
    let (asking, effects) = handle(asking, Input::Timer(OFFER)).unwrap();
    assert_eq!((asking.ending(), effects), (None, Vec::new()), "the offer was promised in time");
    let (over, _) = handle(asking, Input::Timer(DEADLINE)).unwrap();
    assert_eq!(over.ending(), Some(Ending::Lapsed));
}

// The key holder signs for the party, under the party's suite, what was asked: anything else is not let out.
#[test]
fn what_the_key_holder_returns_is_checked() {
    let (alice, effects) = handle(originator(), Input::Begin).unwrap();
    let other = Draft { payload: b"something else".to_vec(), ..asked(&effects) };
    for wrong in [sign(asked(&effects), 9), sign(other, 1)] {
        assert!(handle(alice.clone(), Input::Signed(wrong)).is_err());
    }
    let es256 = Draft { suite: Suite::Es256, ..asked(&effects) };
    assert!(handle(alice.clone(), Input::Signed(sign(es256, 1))).is_err());
    let (_, effects) = handle(alice, Input::Signed(sign(asked(&effects), 1))).unwrap();
    assert_eq!(timers(&effects), [(PATIENCE, NOW.after(PATIENT))]);
}

fn opened_among(me: u8, others: &[u8], number: u8) -> Deal {
    let accepts = Accepts { arbiters: vec![keys(9)], purses: Vec::new(), patience: PATIENT };
    let others = others.iter().map(|byte| keys(*byte)).collect();
    Deal::opened_among(DealId::from_array([7; 16]), keys(me), others, Role::numbered(number), accepts).unwrap()
}

fn begun_among() -> Deal {
    let (id, others) = (DealId::from_array([7; 16]), vec![keys(2), keys(3)]);
    Deal::sign(id, keys(1), others, keys(9), PATIENT, &proposal_among(), &[]).unwrap()
}

// Everybody sends to everybody; each user is shown the contract once, and everybody ends with it.
#[test]
fn three_sign_one_contract() {
    let mut deals = [begun_among(), opened_among(2, &[1, 3], 1), opened_among(3, &[1, 2], 2)];
    let mut inputs = std::collections::VecDeque::from([(0, Input::Begin)]);
    let mut shown = 0;
    while let Some((place, input)) = inputs.pop_front() {
        let (deal, effects) = handle(deals[place].clone(), input).unwrap();
        for message in sent(&effects) {
            inputs.extend((0..3).filter(|other| *other != place).map(|other| (other, message.clone())));
        }
        if effects.iter().any(|effect| matches!(effect, Effect::Sign { .. })) {
            let draft = asked(&effects);
            shown += usize::from(deal.exhibit(&draft) == proposal_among().agreement.exhibit());
            inputs.push_back((place, Input::Signed(sign(draft, u8::try_from(place).unwrap() + 1))));
        }
        deals[place] = deal;
    }
    assert!(deals.iter().all(|deal| deal.ending() == Some(Ending::Success) && deal.missing().is_empty()));
    assert_eq!(shown, 3);
}

// A proposal that names other signers than the deal's, or in another order, is not signed; nor the words for three by the plan for two.
#[test]
fn the_deal_is_among_those_who_sign() {
    let (alice, effects) = handle(begun_among(), Input::Begin).unwrap();
    let proposed = sent(&effects)[0].clone();
    assert_eq!(alice.position(), ("sign", "await-consent"));
    for wrong in [opened_among(2, &[1, 4], 1), opened_among(3, &[1, 2], 1), opened_among(2, &[3, 1], 1)] {
        let error = handle(wrong, proposed.clone()).unwrap_err();
        assert!(matches!(error, DealError::Circle(_)), "{error}");
    }
    assert!(handle(responder(vec![keys(9)]), proposed.clone()).is_err());
    let (bob, effects) = handle(opened_among(2, &[1, 3], 1), proposed).unwrap();
    assert!(effects.contains(&Effect::SetTimer { name: OFFER, due: NOW.after(PATIENT) }));
    assert_eq!((bob.waits_for(), bob.missing()), (WaitsFor::Peer, vec![keys(1).id()]));
    let (bob, _) = handle(bob, Input::Timer(OFFER)).unwrap();
    assert_eq!(bob.ending(), Some(Ending::Lapsed));
}
