//! Unit tests of the machine and of the arbiter's side. What could go wrong: a message moves a state that it must not move, a party signs
//! after it has asked, a signature that came early is lost, an answer is believed without what it rests on. Every order of events is
//! checked in `sim/`.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};

use semper_core::cbor::{Decode, Encode};
use semper_core::contract::{ArbiterRef, Core, Deadlines, Item, ItemKind, PartyRef, Profile, Terms};
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::ids::Slot;
use semper_core::machine::{Blame, Env, Fault, Machine, Step};
use semper_core::party::{KeySet, Role};
use semper_core::time::{Seconds, Time};
use semper_support::engine::{Consent, Effect, Ending, EvidenceKind, Input};

use super::{Circle, CircleError, Cn, CnError, DEADLINE, Message, PATIENCE, Round, Run, State, rounds};
use crate::arbiter::many::{Answer, Ask, Next, Record, Request, Ruling, decide, rule};
use crate::arbiter::request::{Court, RequestError};
use crate::arbiter::rules_hash;
use crate::arbiter::verdict::{Outcome, Verdict};
use crate::gx::{ItemsError, Leg};
use crate::testing::{Tags, key_set, say, sign, text};

const NOW: Time = Time::from_unix(1000);
const LAST_STEP: Time = Time::from_unix(9_640);
const NOT_AFTER: Time = Time::from_unix(10_000);
const ARBITER: u8 = 200;

fn key_sets(parties: u8) -> Vec<KeySet> {
    (0..parties).map(key_set).collect()
}

fn core(parties: u8) -> Core {
    let arbiter = key_set(ARBITER).id();
    let party = |number: u8| PartyRef { role: Role::numbered(number), key_set: key_set(number).id() };
    Core {
        terms: Terms {
            profile: Profile::Cn,
            parties: (0..parties).map(party).collect(),
            arbiter: Some(ArbiterRef { key_set: arbiter, deposit_key: None, log: arbiter, rules: rules_hash() }),
            items: Vec::new(),
            deadlines: Deadlines {
                not_after: NOT_AFTER,
                complaints: None,
                refund_after: None,
                delta: Seconds(300),
                sigma: Seconds(60),
            },
            text: text(),
            links: Vec::new(),
            nonce: [7; 32],
        },
        deposits: BTreeMap::new(),
    }
}

fn run(parties: u8, number: u8) -> Run {
    Run::new(core(parties), &key_set(number), key_sets(parties), key_set(ARBITER), Seconds(30)).unwrap()
}

fn round_of(parties: u8, number: u8, round: u8) -> Signed {
    say(&key_set(number), &Round { cid: core(parties).cid(), role: Role::numbered(number), round })
}

fn sheet(parties: u8, round: u8) -> Vec<Signed> {
    (0..parties).map(|number| round_of(parties, number, round)).collect()
}

fn handle_at(now: Time, state: Cn, input: Input) -> Result<Step<Cn>, CnError> {
    state.handle(&Env { now, verify: &Tags }, input)
}

fn handle(state: Cn, input: Input) -> Step<Cn> {
    handle_at(NOW, state, input).unwrap()
}

fn receive(state: Cn, signed: Signed) -> Step<Cn> {
    handle(state, Input::Message(Message::Round(signed).to_bytes()))
}

fn sent(effects: &[Effect]) -> Vec<Message> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send(bytes) => Some(Message::from_bytes(bytes).unwrap()),
        _ => None,
    });
    sent.collect()
}

fn drafts(effects: &[Effect]) -> Vec<(Draft, Consent)> {
    let drafts = effects.iter().filter_map(|effect| match effect {
        Effect::Sign { draft, consent } => Some((draft.clone(), *consent)),
        _ => None,
    });
    drafts.collect()
}

/// The third of three parties in a round, with nothing of it but its own signature.
fn waiting(round: u8) -> Cn {
    let last = if round == 1 { Vec::new() } else { sheet(3, round - 1) };
    Cn::at(run(3, 2), State::AwaitRound { round, last, heard: vec![round_of(3, 2, round)], ahead: Vec::new() })
}

fn request(parties: u8, by: u8, round: u8) -> Request {
    let core = core(parties);
    let question = say(&key_set(by), &Ask { cid: core.cid(), role: Role::numbered(by), round });
    let sheet = if round == 1 { Vec::new() } else { sheet(parties, round - 1) };
    Request { core, key_sets: key_sets(parties), sheet, question }
}

struct NoKem;

impl semper_support::crypto::Encapsulate for NoKem {
    fn seed_len(&self, _: semper_support::crypto::KemSuite) -> usize {
        0
    }

    fn encapsulate(
        &self,
        _: semper_support::crypto::KemSuite,
        _: &[u8],
        _: &[u8],
    ) -> Result<(Vec<u8>, semper_support::crypto::Secret), semper_support::crypto::CryptoError> {
        Err(semper_support::crypto::CryptoError::Malformed("no deposits here"))
    }

    fn can_be_opened(&self, _: semper_support::crypto::KemSuite, _: &[u8]) -> bool {
        false
    }
}

fn court(arbiter: &KeySet) -> Court<'_> {
    Court { verify: &Tags, kem: &NoKem, arbiter, deposit_key: None, systems: &[] }
}

/// An arbiter's answer to a request, and its record after it.
fn ruled(record: &Record, request: &Request, asks: Vec<Signed>) -> (Answer, Record) {
    let arbiter = key_set(ARBITER);
    let case = court(&arbiter).check_many(request).unwrap();
    let Next::SignAndStore(draft, record) = decide(record, &case, &arbiter, 0, NOW) else { panic!("not ruled") };
    let statement = sign(&arbiter, draft);
    let resolved = Verdict::from_bytes(statement.payload()).unwrap().outcome == Outcome::Resolved;
    let sheet = if resolved { request.sheet.clone() } else { Vec::new() };
    (Answer { statement, sheet, asks, log: None }, record)
}

// Every number of parties signs: each ends with the contract, each has asked its user once, and no message too many was sent.
#[test]
fn everybody_signs() {
    for parties in 3..=8 {
        let mut machines: Vec<_> = (0..parties).map(|number| Cn::new(run(parties, number))).collect();
        let mut inputs = VecDeque::from([(0, Input::Begin)]);
        let (mut messages, mut asked) = (0, 0);
        while let Some((place, input)) = inputs.pop_front() {
            let step = handle(machines[place].clone(), input);
            machines[place] = step.state;
            for message in sent(&step.effects) {
                let others = (0..machines.len()).filter(|other| *other != place);
                messages += others.clone().count();
                inputs.extend(others.map(|other| (other, Input::Message(message.to_bytes()))));
            }
            for (draft, consent) in drafts(&step.effects) {
                asked += usize::from(consent == Consent::Ask);
                inputs.push_back((place, Input::Signed(sign(&key_set(u8::try_from(place).unwrap()), draft))));
            }
        }
        let n = usize::from(parties);
        assert!(machines.iter().all(|machine| machine.ending() == Some(Ending::Success)));
        assert_eq!((messages, asked), (n * (n - 1) * (n + 1), n));
    }
}

// Nobody is asked before the originator has signed: until then anybody could have sent the proposal in its name.
#[test]
fn the_originator_signs_first() {
    let step = receive(Cn::new(run(3, 1)), round_of(3, 2, 1));
    assert!(
        drafts(&step.effects).is_empty() && matches!(step.state.state(), State::Ready { heard } if heard.len() == 1)
    );
    let step = receive(step.state, round_of(3, 0, 1));
    let asked = drafts(&step.effects);
    assert!(matches!(asked.as_slice(), [(draft, Consent::Ask)] if draft.kind == Kind::Round));
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::Once(_))));
    // The others have signed already, so this signature completes the round.
    let ours = sign(&key_set(1), asked[0].0.clone());
    let step = handle(step.state, Input::Signed(ours));
    assert_eq!(sent(&step.effects), [Message::Round(round_of(3, 1, 1))]);
    assert!(matches!(step.state.state(), State::AwaitSignature { round: 2, last, .. } if last == &sheet(3, 1)));
}

// A signature of the next round that came early is there when that round begins; what is further ahead is evidence and no more.
#[test]
fn early_signatures_are_kept_and_far_ones_are_not_believed() {
    let step = receive(waiting(1), round_of(3, 0, 2));
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::Keep { kind: EvidenceKind::Statement, .. })));
    let far = receive(step.state.clone(), round_of(3, 1, 3));
    assert_eq!(far.state, step.state);
    assert!(matches!(far.effects.as_slice(), [Effect::Keep { kind: EvidenceKind::Late, .. }]));
    let step = receive(receive(step.state, round_of(3, 0, 1)).state, round_of(3, 1, 1));
    let State::AwaitSignature { round: 2, heard, .. } = step.state.state() else { panic!("{:?}", step.state.state()) };
    assert_eq!(heard, &[round_of(3, 0, 2)]);
    // What is doubled, or of a round that is over, changes nothing; nor does what we have signed ourselves.
    for (party, round) in [(0, 2), (0, 1), (2, 1), (2, 2)] {
        assert_eq!(receive(step.state.clone(), round_of(3, party, round)).state, step.state);
    }
}

// Somebody else's words: another contract's, another party's, a stranger's, a round that there is not, a forged one.
#[test]
fn foreign_signatures_are_refused() {
    let (cid, other) = (core(3).cid(), core(4).cid());
    let signer = key_set(0);
    let round = |cid, role, round| say(&signer, &Round { cid, role: Role::numbered(role), round });
    let stranger = say(&key_set(9), &Round { cid, role: Role::numbered(0), round: 1 });
    let ask = say(&signer, &Ask { cid, role: Role::numbered(0), round: 1 });
    let honest = round(cid, 0, 1);
    let draft = Round { cid, role: Role::numbered(0), round: 1 }.draft(signer.suite(), signer.id());
    let forged = draft.assemble(vec![vec![9; 64]]).unwrap();
    for bad in [round(other, 0, 1), round(cid, 1, 1), round(cid, 0, 5), stranger, ask, forged] {
        let error = handle_at(NOW, waiting(1), Input::Message(Message::Round(bad).to_bytes())).unwrap_err();
        assert_eq!(error.fault(), Fault::PeerMisbehaved, "{error}");
    }
    assert_ne!(receive(waiting(1), honest).state, waiting(1));
}

// Each state can be left alone. Whoever has said nothing forgets; whoever has signed asks the arbiter, once, and signs no more rounds.
#[test]
fn giving_up() {
    for state in [State::Ready { heard: Vec::new() }, State::AwaitConsent { heard: vec![round_of(3, 0, 1)] }] {
        let step = handle(Cn::at(run(3, 2), state), Input::GiveUp);
        assert_eq!(step.state.ending(), Some(Ending::Lapsed));
        assert!(drafts(&step.effects).is_empty());
    }
    for timer in [Input::GiveUp, Input::Timer(PATIENCE), Input::Timer(DEADLINE)] {
        for round in 1..=4 {
            let step = handle(waiting(round), timer.clone());
            let asked = drafts(&step.effects);
            let [(question, Consent::Implied)] = asked.as_slice() else { panic!("{asked:?}") };
            assert_eq!(question.kind, Kind::Ask);
            // The rest of the round comes too late, and the signature on the next round never goes out.
            let late = receive(step.state.clone(), round_of(3, 0, round));
            assert_eq!(late.state, step.state);
            let step = handle(step.state, Input::Signed(sign(&key_set(2), question.clone())));
            let asked = step.effects.iter().find_map(|effect| match effect {
                Effect::AskArbiter(bytes) => Some(bytes.clone()),
                _ => None,
            });
            assert!(Request::is_meant(&asked.clone().unwrap()));
            assert_eq!(Request::from_bytes(&asked.unwrap()), Ok(request(3, 2, round)));
            let again = handle(step.state.clone(), timer.clone());
            assert!(again.state == step.state && again.effects.is_empty());
        }
    }
}

// After the last step nothing goes out that may have to be defended: the user was too slow, or the others were.
#[test]
fn nothing_is_signed_after_the_last_step() {
    let late = LAST_STEP.after(Seconds(1));
    let consent = |heard| Cn::at(run(3, 2), State::AwaitConsent { heard });
    for (now, ending) in [(LAST_STEP, None), (late, Some(Ending::Lapsed))] {
        let step = handle_at(now, consent(Vec::new()), Input::Signed(round_of(3, 2, 1))).unwrap();
        assert_eq!(step.state.ending(), ending);
        assert_eq!(sent(&step.effects).is_empty(), ending.is_some());
    }
    let nearly = receive(waiting(2), round_of(3, 0, 2)).state;
    let last = Input::Message(Message::Round(round_of(3, 1, 2)).to_bytes());
    let step = handle_at(late, nearly.clone(), last.clone()).unwrap();
    assert!(matches!(step.state.state(), State::Asking { round: 3, last } if last == &sheet(3, 2)));
    let step = handle_at(LAST_STEP, nearly, last).unwrap();
    assert!(matches!(step.state.state(), State::AwaitSignature { round: 3, .. }));
    let step = handle_at(late, step.state, Input::Signed(round_of(3, 2, 3))).unwrap();
    assert!(sent(&step.effects).is_empty() && matches!(step.state.state(), State::Asking { round: 3, .. }));
    // The last round is the contract, whenever it comes.
    let nearly = receive(waiting(4), round_of(3, 0, 4)).state;
    let step = handle_at(late, nearly, Input::Message(Message::Round(round_of(3, 1, 4)).to_bytes())).unwrap();
    assert_eq!(step.state.ending(), Some(Ending::Success));
    let begin = |now| handle_at(now, Cn::new(run(3, 0)), Input::Begin);
    assert_eq!(begin(late), Err(CnError::TooLate));
    // A question that its user never answers lapses with the contract.
    let asked = begin(LAST_STEP).unwrap();
    assert!(asked.effects.contains(&Effect::SetTimer { name: DEADLINE, due: LAST_STEP }));
    assert_eq!(handle(asked.state, Input::Timer(DEADLINE)).state.ending(), Some(Ending::Lapsed));
}

// A refusal by one is heard in the first round only: later, everybody has signed, and it would be a way to make an honest party ask.
#[test]
fn declining() {
    let decline = Input::Message(Message::Decline("no".to_owned()).to_bytes());
    let step = handle(Cn::new(run(3, 2)), decline.clone());
    assert_eq!(step.state.ending(), Some(Ending::Lapsed));
    assert!(matches!(handle(waiting(1), decline.clone()).state.state(), State::Asking { round: 1, .. }));
    assert_eq!(handle(waiting(2), decline).state, waiting(2));
    let consent = Cn::at(run(3, 2), State::AwaitConsent { heard: Vec::new() });
    let statement = run(3, 2).round(1).id();
    let step = handle(consent, Input::Declined { statement });
    assert_eq!((step.state.ending(), sent(&step.effects).len()), (Some(Ending::Lapsed), 1));
}

// What the arbiter says ends the run only if it says it about this question and shows what it rests on.
#[test]
fn verdicts() {
    let waits = |round| {
        let asked = request(3, 2, round).question.id();
        Cn::at(run(3, 2), State::AwaitVerdict { round, asked })
    };
    let says = |state: &Cn, answer: &Answer| handle_at(NOW, state.clone(), Input::ArbiterSays(answer.to_bytes()));
    let (aborted, record) = ruled(&Record::default(), &request(3, 2, 1), Vec::new());
    assert_eq!(says(&waits(1), &aborted).unwrap().state.ending(), Some(Ending::Aborted));
    assert!(says(&waits(2), &aborted).is_err(), "it answers another question");
    let asks = vec![request(3, 2, 1).question];
    let (resolved, record) = ruled(&record, &request(3, 0, 3), asks.clone());
    assert_eq!(record.resolved, Some(Role::numbered(0)));
    let step = says(&waits(3), &resolved).unwrap();
    assert_eq!(step.state.ending(), Some(Ending::Success));
    let kept = step.effects.iter().filter(|e| matches!(e, Effect::Keep { kind: EvidenceKind::Statement, .. })).count();
    assert_eq!(kept, 1 + 3 + 1);
    for broken in [
        Answer { asks: Vec::new(), ..resolved.clone() },
        Answer { asks: vec![request(3, 2, 2).question], ..resolved.clone() },
        Answer { sheet: sheet(3, 1), ..resolved.clone() },
        Answer { sheet: Vec::new(), ..resolved.clone() },
        Answer { statement: request(3, 2, 1).question, ..resolved.clone() },
    ] {
        assert_eq!(says(&waits(3), &broken).unwrap_err().fault(), Fault::ThirdParty);
    }
    assert_eq!(Answer::from_bytes(&resolved.to_bytes()), Ok(resolved));
    assert_eq!(Record::from_bytes(&record.to_bytes()), Ok(record));
}

// A party hears its own refusal for ever, everybody else what stands; the first question after the deadline finds nothing.
#[test]
fn one_record() {
    let arbiter = key_set(ARBITER);
    let case = |by, round| court(&arbiter).check_many(&request(3, by, round)).unwrap();
    let (_, refused) = ruled(&Record::default(), &request(3, 2, 1), Vec::new());
    assert_eq!(rule(&refused, &case(2, 4), NOW), Ruling::Stands(Role::numbered(2)));
    assert_eq!(rule(&refused, &case(1, 1), NOW), Ruling::Write(Outcome::Aborted));
    assert_eq!(rule(&refused, &case(1, 2), NOW), Ruling::Write(Outcome::Aborted));
    assert_eq!(rule(&refused, &case(1, 3), NOW), Ruling::Write(Outcome::Resolved));
    let after = NOT_AFTER.after(Seconds(1));
    assert_eq!(rule(&refused, &case(1, 3), after), Ruling::TooLate);
    let (_, resolved) = ruled(&refused, &request(3, 1, 3), vec![request(3, 2, 1).question]);
    for now in [NOW, after] {
        assert_eq!(rule(&resolved, &case(2, 1), now), Ruling::Stands(Role::numbered(2)));
        assert_eq!(rule(&resolved, &case(0, 1), now), Ruling::Stands(Role::numbered(1)));
    }
}

// A request without what it rests on, or with what belongs elsewhere, is no request. One kind of contract is not decided as the other.
#[test]
fn requests_that_are_not_valid() {
    let arbiter = key_set(ARBITER);
    let good = request(3, 1, 3);
    let check = |request: &Request| court(&arbiter).check_many(request);
    assert!(check(&good).is_ok());
    let foreign = |part| Err(RequestError::Foreign(part));
    assert_eq!(check(&Request { sheet: sheet(3, 1), ..good.clone() }), foreign("sheet"));
    assert_eq!(check(&Request { sheet: sheet(3, 2)[..2].to_vec(), ..good.clone() }), foreign("sheet"));
    assert_eq!(check(&Request { sheet: vec![round_of(3, 0, 2); 3], ..good.clone() }), foreign("sheet"));
    assert_eq!(check(&Request { sheet: Vec::new(), ..good.clone() }), foreign("sheet"));
    assert_eq!(check(&Request { sheet: sheet(3, 1), ..request(3, 1, 1) }), foreign("sheet"));
    let far = Ask { cid: core(3).cid(), role: Role::numbered(1), round: 5 };
    assert_eq!(check(&Request { question: say(&key_set(1), &far), ..good.clone() }), foreign("question"));
    assert_eq!(check(&Request { question: say(&key_set(9), &far), ..good.clone() }), foreign("question"));
    let mut exchange = good.clone();
    exchange.core.terms.profile = Profile::C2;
    assert_eq!(check(&exchange), Err(RequestError::Circle(CircleError::Profile)));
    assert_eq!(Leg::of(&good.core), Err(ItemsError::Many));
}

// Who may sign together: three to eight different parties, signatures only.
#[test]
fn circles() {
    assert_eq!((rounds(3), rounds(8)), (4, 9));
    for parties in [1, 2, 9] {
        let made = Circle::new(core(parties), key_sets(parties));
        assert_eq!(made, Err(CircleError::Parties(usize::from(parties))));
    }
    assert_eq!(Circle::new(core(3), key_sets(4)), Err(CircleError::KeySets));
    let mut swapped = key_sets(3);
    swapped.swap(0, 1);
    assert_eq!(Circle::new(core(3), swapped), Err(CircleError::KeySets));
    let mut twice = core(3);
    twice.terms.parties[2].key_set = key_set(0).id();
    assert_eq!(Circle::new(twice, vec![key_set(0), key_set(1), key_set(0)]), Err(CircleError::SharedKey));
    let mut sold = core(3);
    let (owner, recipient) = (Role::ORIGINATOR, Role::RESPONDER);
    let (descriptor, slot) = (Vec::new(), Slot::default());
    sold.terms.items.push(Item { kind: ItemKind::Signature, owner, recipient, descriptor, slot });
    assert_eq!(Circle::new(sold, key_sets(3)), Err(CircleError::Items));
}

// A stored state is read back as it was.
#[test]
fn states_survive_storage() {
    let asked = request(3, 2, 2).question.id();
    let states = [
        State::Ready { heard: vec![round_of(3, 1, 1)] },
        State::AwaitConsent { heard: vec![round_of(3, 0, 1), round_of(3, 1, 1)] },
        State::AwaitSignature { round: 2, last: sheet(3, 1), heard: vec![round_of(3, 1, 2)] },
        State::AwaitRound {
            round: 2,
            last: sheet(3, 1),
            heard: vec![round_of(3, 2, 2)],
            ahead: vec![round_of(3, 0, 3)],
        },
        State::Asking { round: 2, last: sheet(3, 1) },
        State::AwaitVerdict { round: 2, asked },
        State::Ended { ending: Ending::Aborted },
    ];
    for state in states {
        let machine = Cn::at(run(3, 2), state);
        assert_eq!(Cn::from_bytes(&machine.to_bytes()), Ok(machine));
    }
}

// The hash of the rules stands in every contract; a text that says something else would be the wrong one to read.
#[test]
fn the_rules_are_published_word_for_word() {
    assert!(include_str!("../../../../spec/arbiter.md").contains(crate::arbiter::RULES));
}
