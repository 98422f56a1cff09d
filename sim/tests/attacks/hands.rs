//! Attacks on an exchange through the hands of the arbiter.

use semper_core::cose::Statement;
use semper_core::ids::Slot;
use semper_core::party::Role;
use semper_exchange::arbiter::hands;
use semper_exchange::arbiter::request::{Inquiry, Request, RequestError};
use semper_exchange::gx::Leg;
use semper_sim::deal::{CHANGE, Deal};
use semper_sim::scenario::Cast;

use crate::{O, R};

/// A question about an exchange through the hands of the arbiter.
fn of_hands(cast: &Cast, deal: &Deal, by: Role, question: &impl Statement, token: &[u8]) -> Request {
    let mut promises = cast.promised(&deal.core).to_vec();
    promises[usize::from(by.number())].token = token.to_vec();
    let question = cast.say(by, question, 0);
    let (core, key_sets) = (deal.core.clone(), cast.key_sets());
    Request { core, key_sets, promises, question, proof: Vec::new(), payout: Vec::new() }
}

// Both promises of an exchange through the arbiter's hands are shown in the way that completes every other contract: its party would get the verdict "resolved", and with it the
// proof that it has paid, for nothing.
#[test]
fn promises_without_deposits() {
    let cast = Cast::default();
    let deal = Deal::through_hands(&cast);
    let resolve = cast.resolve(&deal.core, R, cast.promised(&deal.core));
    assert_eq!(deal.court(&cast).check(&resolve), Err(RequestError::OtherProfile));
    assert_eq!(deal.court(&cast).check_hands(&resolve), Err(RequestError::OtherProfile));
    assert_eq!(deal.court(&cast).check(&cast.abort(&deal.core)), Err(RequestError::OtherProfile));
    let token = b"token";
    let good = hands::Deposit { cid: deal.core.cid(), role: R, token: hands::token_hash(token) };
    let case = deal.court(&cast).check_hands(&of_hands(&cast, &deal, R, &good, token)).unwrap();
    assert_eq!((case.by(), case.asked()), (R, &hands::Asked::Deposit(token.to_vec())));
    // Nor is an exchange by other means led through the arbiter's hands.
    let locked = Deal::new(&cast, CHANGE, None);
    let inquiry = Inquiry { cid: locked.core.cid(), slot: Slot::default(), role: R };
    let request = of_hands(&cast, &locked, R, &inquiry, b"");
    assert_eq!(locked.court(&cast).check_hands(&request), Err(RequestError::OtherProfile));
}

// A party hands in what its peer has paid, or what was paid under another contract: as its own deposit, in its own name.
#[test]
fn deposit_under_another_contract() {
    let cast = Cast::default();
    let deal = Deal::through_hands(&cast);
    let cid = deal.core.cid();
    let checked = |by, question: hands::Deposit| {
        deal.court(&cast).check_hands(&of_hands(&cast, &deal, by, &question, b"token")).map(drop)
    };
    let token = hands::token_hash(b"token");
    let other = Deal::new(&cast, CHANGE, None).core.cid();
    let foreign = Err(RequestError::Foreign("question"));
    assert_eq!(checked(O, hands::Deposit { cid: other, role: O, token }), foreign);
    assert_eq!(checked(O, hands::Deposit { cid, role: R, token }), foreign);
    assert_eq!(checked(O, hands::Deposit { cid, role: O, token: hands::token_hash(b"other") }), foreign);
    assert_eq!(checked(O, hands::Deposit { cid, role: O, token }), Ok(()));
    // What the arbiter asks for names the contract and the party, so that a payment for one is none for another.
    let legs = Leg::of(&deal.core).unwrap();
    let asked = [O, R].map(|owner| {
        let handed = legs[usize::from(owner.number())].handed().unwrap();
        hands::deposit_request(&deal.core, owner, handed, vec![1])
    });
    assert_ne!(asked[0], asked[1]);
    let mut twin = deal.core.clone();
    twin.terms.nonce = [2; 32];
    assert_ne!(hands::deposit_request(&twin, O, legs[0].handed().unwrap(), vec![1]), asked[0]);
}
