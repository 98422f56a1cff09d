//! What could go wrong: information is given for a use that its issuer keeps for another contract, not for long enough, or not at all; the holder promises
//! though nothing is kept; a use that was shown is never taken, or one of an aborted contract never freed. Every refusal has its good twin beside it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use semper_core::contract::{ArbiterRef, Deadlines, Final, Item, ItemKind, PartyRef, Profile, Promise, Terms};
use semper_core::cose::Kind;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, Slot};
use semper_core::machine::{Env, Machine};
use semper_core::time::{Seconds, Time};
use semper_support::crypto::{CryptoError, Encapsulate, KemSuite, Secret};
use semper_support::engine::{Ending, Input};
use semper_transfer::credential::{Reply, Uses};

use super::*;
use crate::arbiter::request::{Court, Request, RequestError, Resolve};
use crate::arbiter::rules_hash;
use crate::arbiter::verdict::{ArbiterAnswer, Outcome, Verdict};
use crate::gx::{Completed, Gx, GxError, ItemsError, Leg, Message, Own, Promised, Run, State};
use crate::testing::{Tags, key_set, say, sign, text};

const NOW: Time = Time::from_unix(1000);
const NOT_AFTER: Time = Time::from_unix(10_000);
const DEADLINES: Deadlines =
    Deadlines { not_after: NOT_AFTER, complaints: None, refund_after: None, delta: Seconds(300), sigma: Seconds(60) };

fn seller() -> KeySet {
    key_set(1)
}

fn holder() -> KeySet {
    key_set(2)
}

fn arbiter() -> KeySet {
    key_set(3)
}

fn issuer() -> KeySet {
    key_set(4)
}

fn credential(uses: Uses) -> Credential {
    Credential {
        serial: Serial::from_array([7; 16]),
        issuer: "https://issuer.example".to_owned(),
        holder: holder().id(),
        right: "one look".to_owned(),
        audience: vec![seller().id()],
        uses,
        transferable: true,
        from: NOW,
        until: NOW.after(Seconds(10)),
        condition: None,
    }
}

fn bundle(uses: Uses, reservation: Option<Signed>) -> Bundle {
    Bundle { issuer: issuer(), credential: say(&issuer(), &credential(uses)), reservation }
}

fn show(uses: Uses) -> Show {
    Show {
        serial: credential(uses).serial,
        issuer: issuer().id(),
        right: "one look".to_owned(),
        credential: bundle(uses, None).credential.id(),
        salt: [8; 32],
    }
}

fn core(uses: Uses) -> Core {
    let item = |kind, owner: Role, descriptor, slot| Item { kind, owner, recipient: owner.peer(), descriptor, slot };
    let deposit_key = Some(Digest::from_array([1; 32]));
    Core {
        terms: Terms {
            profile: Profile::Gx,
            parties: vec![
                PartyRef { role: Role::ORIGINATOR, key_set: seller().id() },
                PartyRef { role: Role::RESPONDER, key_set: holder().id() },
            ],
            arbiter: Some(ArbiterRef {
                key_set: arbiter().id(),
                deposit_key,
                log: arbiter().id(),
                rules: rules_hash(),
            }),
            items: vec![
                item(ItemKind::Information, Role::ORIGINATOR, Vec::new(), Slot(0)),
                item(ItemKind::Signature, Role::RESPONDER, show(uses).to_bytes(), Slot(1)),
            ],
            deadlines: DEADLINES,
            text: text(),
            links: Vec::new(),
            nonce: [5; 32],
        },
        deposits: BTreeMap::from([(Slot(0), vec![1])]),
    }
}

fn reservation(uses: Uses) -> Reservation {
    let ReservationRequest { serial, tag, arbiter, until } = show(uses).request(&core(uses)).unwrap();
    let number = matches!(uses, Uses::Counted(_)).then_some(1);
    Reservation { serial, tag, arbiter, until, number }
}

fn token(uses: Uses, kept: &Reservation) -> Vec<u8> {
    bundle(uses, Some(say(&issuer(), kept))).to_bytes()
}

fn good(uses: Uses) -> Vec<u8> {
    token(uses, &reservation(uses))
}

fn run(role: Role, uses: Uses) -> Run {
    let me = if role == Role::ORIGINATOR { seller() } else { holder() };
    let own = Own { seed: vec![6; 32], shows: bundle(uses, None).to_bytes(), ..Own::default() };
    Run::new(core(uses), &me, [seller(), holder()], Some(arbiter()), Seconds(30), own).unwrap()
}

fn promise(role: Role, uses: Uses) -> Signed {
    let cid = core(uses).cid();
    match role {
        Role::ORIGINATOR => say(&seller(), &Promise { cid, role, answers: None }),
        _ => say(&holder(), &Promise { cid, role, answers: Some(promise(Role::ORIGINATOR, uses).id()) }),
    }
}

fn promises(uses: Uses, token: Vec<u8>) -> [Promised; 2] {
    let second = Promised { token, ..Promised::bare(promise(Role::RESPONDER, uses)) };
    [Promised::bare(promise(Role::ORIGINATOR, uses)), second]
}

fn handle(gx: Gx, input: Input) -> Result<(Gx, Vec<Effect>), GxError> {
    gx.handle(&Env { now: NOW, verify: &Tags }, input).map(|step| (step.state, step.effects))
}

fn ending(effects: &[Effect]) -> Option<Ending> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ended(ending) => Some(*ending),
        _ => None,
    })
}

fn sent(effects: &[Effect]) -> Vec<Message> {
    let send = effects.iter().filter_map(|effect| match effect {
        Effect::Send(bytes) => Some(Message::from_bytes(bytes).unwrap()),
        _ => None,
    });
    send.collect()
}

fn errand(effects: &[Effect]) -> Option<Errand> {
    effects.iter().find_map(|effect| match effect {
        Effect::Submit(bytes) => Some(Errand::from_bytes(bytes).unwrap()),
        _ => None,
    })
}

const TWO: Uses = Uses::Counted(2);

/// The holder has agreed, and has asked its issuer; what it has asked.
fn asked() -> (Gx, Errand) {
    let gx = Gx::new(run(Role::RESPONDER, TWO));
    let first = Message::Promise(Promised::bare(promise(Role::ORIGINATOR, TWO)));
    let (gx, _) = handle(gx, Input::Message(first.to_bytes())).unwrap();
    let (gx, effects) = handle(gx, Input::Signed(promise(Role::RESPONDER, TWO))).unwrap();
    assert!(sent(&effects).is_empty(), "nothing goes out before a use is kept");
    let draft = effects.iter().find_map(|effect| match effect {
        Effect::Sign { draft, .. } => Some(draft.clone()),
        _ => None,
    });
    let draft = draft.unwrap();
    assert_eq!(draft.kind, Kind::ReservationRequest);
    let (gx, effects) = handle(gx, Input::Signed(sign(&holder(), draft))).unwrap();
    (gx, errand(&effects).unwrap())
}

fn reply(errand: &Errand, said: Result<Option<Signed>, String>) -> Input {
    Input::Said(Reply { to: errand.submission.statement.id(), said }.to_bytes())
}

#[test]
fn a_holder_promises_only_when_a_use_is_kept() {
    let (gx, errand) = asked();
    assert_eq!(errand.issuer, "https://issuer.example");
    let kept = say(&issuer(), &reservation(TWO));
    let (gx, effects) = handle(gx, reply(&errand, Ok(Some(kept)))).unwrap();
    assert!(matches!(gx.state(), State::AwaitPeerFinal { .. }));
    let sent_now = sent(&effects);
    let [Message::Promise(promised)] = sent_now.as_slice() else { panic!("{sent_now:?}") };
    assert_eq!(promised.token, good(TWO));
    for said in [
        Err("every use of the credential was taken".to_owned()),
        Ok(None),
        Ok(Some(say(&issuer(), &Reservation { tag: Digest::from_array([1; 32]), ..reservation(TWO) }))),
        Ok(Some(say(&seller(), &reservation(TWO)))),
    ] {
        let (gx, errand) = asked();
        let (_, effects) = handle(gx, reply(&errand, said.clone())).unwrap();
        assert_eq!(ending(&effects), Some(Ending::Lapsed), "{said:?}");
        assert!(matches!(sent(&effects).as_slice(), [Message::Decline(_)]), "{said:?}");
    }
    // Whoever gives up while the issuer is silent has promised nothing.
    let (_, effects) = handle(asked().0, Input::GiveUp).unwrap();
    assert_eq!(ending(&effects), Some(Ending::Lapsed));
    // An answer to something else moves nothing.
    let (gx, _) = asked();
    let other = Input::Said(Reply { to: promise(Role::RESPONDER, TWO).id(), said: Err("no".to_owned()) }.to_bytes());
    assert!(matches!(handle(gx, other).unwrap().0.state(), State::Depositing { .. }));
}

/// The seller looks at the holder's promise.
fn looked(uses: Uses, token: Vec<u8>) -> Result<(Gx, Vec<Effect>), GxError> {
    let ours = Promised::bare(promise(Role::ORIGINATOR, uses));
    let gx = Gx::at(run(Role::ORIGINATOR, uses), State::AwaitPeerPromise { ours });
    let [_, second] = promises(uses, token);
    handle(gx, Input::Message(Message::Promise(second).to_bytes()))
}

#[test]
fn a_seller_goes_on_only_if_a_use_is_kept_for_this_contract() {
    let (gx, effects) = looked(TWO, good(TWO)).unwrap();
    assert!(matches!(gx.state(), State::Releasing { .. }));
    let kept = effects.iter().filter(|effect| matches!(effect, Effect::Keep { .. })).count();
    assert_eq!(kept, 4, "the promise, the issuer's keys, the credential and the reservation are kept");
    let refused = |token: Vec<u8>| match looked(TWO, token) {
        Err(GxError::NotShown(error)) => error,
        other => panic!("{other:?}"),
    };
    let of = reservation(TWO);
    let other_cid = Cid::from_digest(Digest::from_array([9; 32]));
    let early = of.until.before(Seconds(1));
    for (kept, error) in [
        (Reservation { tag: use_tag(other_cid, &[8; 32]), ..of }, NotGood::Contract),
        (Reservation { arbiter: seller().id(), ..of }, NotGood::Arbiter),
        (Reservation { until: early, ..of }, NotGood::TooEarly(early)),
        (Reservation { serial: Serial::from_array([1; 16]), ..of }, NotGood::Serial),
        (Reservation { number: Some(3), ..of }, NotGood::Number),
        (Reservation { number: None, ..of }, NotGood::Number),
    ] {
        assert_eq!(refused(token(TWO, &kept)), error);
    }
    assert_eq!(refused(Vec::new()), NotGood::Missing);
    assert_eq!(refused(bundle(TWO, None).to_bytes()), NotGood::Missing);
    // Another credential of the same holder, or the same right by another issuer.
    assert_eq!(refused(token(Uses::Counted(5), &of)), NotGood::Serial);
    let forged = Bundle { issuer: seller(), ..bundle(TWO, Some(say(&issuer(), &of))) };
    assert!(matches!(refused(forged.to_bytes()), NotGood::Issuer(_)));
    assert!(looked(Uses::Unlimited, good(Uses::Unlimited)).is_ok());
}

#[test]
fn the_issuer_hears_of_a_show_and_of_a_verdict() {
    let shown = |uses| {
        let promises = promises(uses, good(uses));
        let ids = [promises[0].promise.id(), promises[1].promise.id()];
        let cid = core(uses).cid();
        let completion = say(&holder(), &Final { cid, role: Role::RESPONDER, promises: ids, slot: Slot(0) });
        let gx = Gx::at(run(Role::ORIGINATOR, uses), State::AwaitPeerFinal { promises });
        let last =
            Message::Final(Completed { completion: completion.clone(), release: Vec::new(), payout: Vec::new() });
        let (_, effects) = handle(gx, Input::Message(last.to_bytes())).unwrap();
        assert_eq!(ending(&effects), Some(Ending::Success));
        (errand(&effects), completion)
    };
    let (told, completion) = shown(TWO);
    let told = told.unwrap().submission;
    assert_eq!((told.statement, told.signer), (completion, holder()));
    assert_eq!(told.kept, Some((reservation(TWO).serial, [8; 32])));
    assert!(shown(Uses::Unlimited).0.is_none(), "nothing is taken of what may be used freely");
    for (outcome, role) in [(Outcome::Resolved, Role::ORIGINATOR), (Outcome::Aborted, Role::RESPONDER)] {
        let promises = promises(TWO, good(TWO));
        let ids = [promises[0].promise.id(), promises[1].promise.id()];
        let cid = core(TWO).cid();
        let who = if role == Role::ORIGINATOR { seller() } else { holder() };
        let asked = say(&who, &Resolve { cid, slot: Slot(0), promises: ids, role, proof: None }).id();
        let basis = if outcome == Outcome::Resolved { vec![asked, ids[0], ids[1]] } else { vec![asked, ids[0]] };
        let verdict = Verdict { cid, slot: Slot(0), outcome, basis, prior: Vec::new(), time: NOW, log_index: 0 };
        let verdict = say(&arbiter(), &verdict);
        let found = if outcome == Outcome::Resolved { promises.clone().into() } else { Vec::new() };
        let answer = ArbiterAnswer { promises: found, ..ArbiterAnswer::of(verdict.clone()) };
        let question = crate::gx::Question::Resolve { proof: Vec::new() };
        let state = State::AwaitVerdict { question, asked, promises: promises.into() };
        let (_, effects) = handle(Gx::at(run(role, TWO), state), Input::ArbiterSays(answer.to_bytes())).unwrap();
        let told = errand(&effects).unwrap().submission;
        assert_eq!((told.statement, told.signer), (verdict, arbiter()), "{outcome:?}");
    }
}

struct NoKem;

impl Encapsulate for NoKem {
    fn seed_len(&self, _: KemSuite) -> usize {
        32
    }

    fn encapsulate(&self, _: KemSuite, _: &[u8], _: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        Err(CryptoError::CannotOpen)
    }

    fn can_be_opened(&self, _: KemSuite, _: &[u8]) -> bool {
        true
    }
}

// A holder whose use is not kept would get the information from the arbiter for nothing.
#[test]
fn the_arbiter_completes_nothing_for_a_use_that_is_not_kept() {
    let keys = arbiter();
    let court = Court { verify: &Tags, kem: &NoKem, arbiter: &keys, deposit_key: None, systems: &[] };
    let resolve = |token: Vec<u8>| {
        let promises = promises(TWO, token);
        let ids = [promises[0].promise.id(), promises[1].promise.id()];
        let question =
            Resolve { cid: core(TWO).cid(), slot: Slot(0), promises: ids, role: Role::RESPONDER, proof: None };
        let request = Request {
            core: core(TWO),
            key_sets: [seller(), holder()],
            promises: promises.into(),
            question: say(&holder(), &question),
            proof: Vec::new(),
            payout: Vec::new(),
        };
        court.check(&request).map(drop)
    };
    assert_eq!(resolve(good(TWO)), Ok(()));
    assert_eq!(resolve(Vec::new()), Err(RequestError::Show(NotGood::Missing)));
    let foreign = Reservation { tag: Digest::from_array([1; 32]), ..reservation(TWO) };
    assert_eq!(resolve(token(TWO, &foreign)), Err(RequestError::Show(NotGood::Contract)));
}

#[test]
fn a_right_is_shown_for_information_and_nothing_else() {
    assert!(matches!(Leg::of(&core(TWO)), Ok([Leg::Information(_), Leg::Show(_)])));
    let mut complaints = core(TWO);
    complaints.terms.deadlines.complaints = Some(Seconds(9999));
    assert_eq!(Leg::of(&complaints), Err(ItemsError::Show));
    let mut signature = core(TWO);
    signature.terms.items[0].kind = ItemKind::Signature;
    assert_eq!(Leg::of(&signature), Err(ItemsError::Show));
    let mut garbled = core(TWO);
    garbled.terms.items[1].descriptor = vec![1, 2, 3];
    assert!(matches!(Leg::of(&garbled), Err(ItemsError::Malformed { .. })));
    assert_eq!(Show::from_bytes(&show(TWO).to_bytes()).unwrap(), show(TWO));
}
