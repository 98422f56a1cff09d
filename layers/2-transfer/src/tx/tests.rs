//! Unit tests of the machine. What could go wrong: a container without its statement of origin, or a second copy of one, is taken;
//! an acknowledgement of something else ends the transfer; a transport's word passes for the receiver's.
#![allow(clippy::unwrap_used)]

use semper_core::container::{Attributes, Information};
use semper_core::machine::Machine;
use semper_core::party::{Algorithm, Suite};
use semper_core::signature::Verify;

use super::*;

const NOW: Time = Time::from_unix(1000);

/// Takes a signature that repeats the public key's first byte: enough to tell the parties apart.
struct FirstByte;

impl Verify for FirstByte {
    fn verify(&self, _: Algorithm, public_key: &[u8], _: &[u8], signature: &[u8]) -> bool {
        signature[0] == public_key[0]
    }
}

fn key_set(byte: u8) -> KeySet {
    KeySet::new(Suite::Ed25519, vec![vec![byte; 32]]).unwrap()
}

fn sides() -> Sides {
    Sides { sender: key_set(1), receiver: key_set(2) }
}

fn say(by: u8, statement: &impl Statement) -> Signed {
    statement.draft(Suite::Ed25519, key_set(by).id()).assemble(vec![vec![by; 64]]).unwrap()
}

fn container(attributes: Attributes) -> Container {
    let file = Information::new("note.txt", "text/plain", b"the parcel is on its way".to_vec()).unwrap();
    Container::file([9; 16], file, attributes).unwrap()
}

fn signed_both_ways() -> Container {
    container(Attributes { origin: true, ack: AckWanted::Signed, ..Attributes::default() })
}

fn handle(tx: Tx, input: Input) -> Result<Step<Tx>, TxError> {
    tx.handle(&Env { now: NOW, verify: &FirstByte }, input)
}

fn arrives(container: &Container, origin: Option<Signed>) -> Result<Step<Tx>, TxError> {
    let message = Message::Container { container: container.to_bytes(), origin };
    handle(Tx::receiver(sides()), Input::Message(message.to_bytes()))
}

fn waiting_for_ack(wanted: AckWanted) -> Tx {
    Tx::AwaitAck { sides: sides(), container: container(Attributes { ack: wanted, ..Attributes::default() }) }
}

fn is_fact(effect: &Effect, container: &Container) -> bool {
    matches!(effect, Effect::Once(fact) if fact.space == TAKEN_SPACE && fact.key == container.id().as_bytes())
}

#[test]
fn nothing_leaves_before_the_origin_is_signed() {
    let container = signed_both_ways();
    let asked = handle(Tx::sender(sides(), container.clone()), Input::Begin).unwrap();
    assert!(matches!(asked.effects.as_slice(), [Effect::Sign { consent: Consent::Ask, .. }]));

    let origin = ContainerStatement { container: container.id() };
    let other = say(1, &ContainerStatement { container: self::container(Attributes::default()).id() });
    assert_eq!(handle(asked.state.clone(), Input::Signed(other)), Err(TxError::WrongSignature));
    assert_eq!(handle(asked.state.clone(), Input::Signed(say(2, &origin))), Err(TxError::WrongSignature));

    let sent = handle(asked.state.clone(), Input::Signed(say(1, &origin))).unwrap();
    let last = sent.effects.last().unwrap();
    let message = Message::Container { container: container.to_bytes(), origin: Some(say(1, &origin)) };
    assert_eq!(*last, Effect::Send(message.to_bytes()));
    assert_eq!(sent.state.ending(), None);

    let given_up = handle(asked.state, Input::GiveUp).unwrap();
    assert_eq!(given_up.effects, [Effect::Ended(Ending::Lapsed)]);
}

#[test]
fn a_container_is_taken_with_the_origin_it_asks_for_and_once() {
    let container = signed_both_ways();
    let origin = ContainerStatement { container: container.id() };
    assert_eq!(arrives(&container, None), Err(TxError::PeerMismatch("statement of origin")));
    assert!(matches!(arrives(&container, Some(say(3, &origin))), Err(TxError::PeerSignature { .. })));
    let foreign = say(1, &ContainerStatement { container: self::container(Attributes::default()).id() });
    assert_eq!(arrives(&container, Some(foreign)), Err(TxError::PeerMismatch("statement of origin")));

    let taken = arrives(&container, Some(say(1, &origin))).unwrap();
    assert!(taken.effects.iter().any(|effect| is_fact(effect, &container)));
    assert!(taken.effects.contains(&Effect::keep(&say(1, &origin))));

    // An origin that nobody asked for is checked all the same.
    let plain = self::container(Attributes::default());
    let wrong = say(3, &ContainerStatement { container: plain.id() });
    assert!(matches!(arrives(&plain, Some(wrong)), Err(TxError::PeerSignature { .. })));
    let taken = arrives(&plain, None).unwrap();
    assert!(taken.effects.iter().any(|effect| is_fact(effect, &plain)));
    assert_eq!(taken.state.ending(), Some(Ending::Success));
}

#[test]
fn only_an_acknowledgement_of_this_container_confirms_it() {
    let waiting = waiting_for_ack(AckWanted::Signed);
    let id = waiting.container().unwrap().id();
    let ack = |by, container| {
        Input::Message(
            Message::Ack(say(by, &Ack { container, disposition: Disposition::Accepted, time: NOW })).to_bytes(),
        )
    };
    let other = signed_both_ways().id();
    assert_eq!(handle(waiting.clone(), ack(2, other)), Err(TxError::PeerMismatch("acknowledgement")));
    assert!(matches!(handle(waiting.clone(), ack(3, id)), Err(TxError::PeerSignature { .. })));
    assert!(matches!(handle(waiting.clone(), Input::Message(vec![0xff])), Err(TxError::Malformed(_))));
    assert_eq!(handle(waiting.clone(), ack(2, id)).unwrap().state.ending(), Some(Ending::Success));
    assert_eq!(handle(waiting, Input::GiveUp).unwrap().state.ending(), Some(Ending::Unconfirmed));
}

#[test]
fn delivery_ends_a_transfer_only_where_it_was_asked_for() {
    let transport = handle(waiting_for_ack(AckWanted::Transport), Input::Delivered).unwrap();
    assert_eq!(transport.state.ending(), Some(Ending::Success));
    let signed = handle(waiting_for_ack(AckWanted::Signed), Input::Delivered).unwrap();
    assert_eq!(signed, Step::to(waiting_for_ack(AckWanted::Signed)));
}

#[test]
fn who_declines_the_receipt_keeps_the_container() {
    let container = signed_both_ways();
    let origin = say(1, &ContainerStatement { container: container.id() });
    let taken = arrives(&container, Some(origin)).unwrap();
    let ended = handle(taken.state.clone(), Input::GiveUp).unwrap();
    assert_eq!(ended.effects, [Effect::Ended(Ending::Success)]);

    let ack = Ack { container: container.id(), disposition: Disposition::Accepted, time: NOW };
    let answered = handle(taken.state, Input::Signed(say(2, &ack))).unwrap();
    assert!(answered.effects.contains(&Effect::Send(Message::Ack(say(2, &ack)).to_bytes())));
    assert!(answered.effects.contains(&Effect::keep(&say(2, &ack))));
}

#[test]
fn every_state_survives_its_encoding() {
    let container = signed_both_ways();
    let origin = ContainerStatement { container: container.id() };
    let asked = handle(Tx::sender(sides(), container.clone()), Input::Begin).unwrap().state;
    let sent = handle(asked.clone(), Input::Signed(say(1, &origin))).unwrap().state;
    let taken = arrives(&container, Some(say(1, &origin))).unwrap().state;
    let ended = handle(taken.clone(), Input::GiveUp).unwrap().state;
    for state in [Tx::sender(sides(), container), asked, sent, Tx::receiver(sides()), taken, ended] {
        assert_eq!(Tx::from_bytes(&state.to_bytes()).as_ref(), Ok(&state), "{}", state.state_name());
    }
}
