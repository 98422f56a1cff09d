//! What could go wrong: a right is honoured for somebody else, elsewhere, at another time, by the word of somebody else; or a use is relied on that is
//! kept for another contract, or not for long enough. Each test changes one thing in what is good, and looks for the one refusal that names it.
#![allow(clippy::unwrap_used)]

use semper_core::party::{Algorithm, Suite};
use semper_core::time::Seconds;

use super::*;

const NOW: Time = Time::from_unix(10_000);
const RIGHT: &str = "one visit to the archive";

/// Takes a signature that repeats the public key's first byte: enough to tell the parties apart.
struct FirstByte;

impl Verify for FirstByte {
    fn verify(&self, _: Algorithm, public_key: &[u8], _: &[u8], signature: &[u8]) -> bool {
        signature[0] == public_key[0]
    }
}

const ISSUER: u8 = 1;
const HOLDER: u8 = 2;
const SELLER: u8 = 3;
const ARBITER: u8 = 4;
const OTHER: u8 = 9;

fn keys(byte: u8) -> KeySet {
    KeySet::new(Suite::Ed25519, vec![vec![byte; 32]]).unwrap()
}

fn say(by: u8, statement: &impl Statement) -> Signed {
    statement.draft(Suite::Ed25519, keys(by).id()).assemble(vec![vec![by; 64]]).unwrap()
}

fn credential() -> Credential {
    Credential {
        serial: Serial::from_array([7; 16]),
        issuer: "https://issuer.example".to_owned(),
        holder: keys(HOLDER).id(),
        right: RIGHT.to_owned(),
        audience: vec![keys(SELLER).id()],
        uses: Uses::Counted(3),
        transferable: true,
        from: NOW,
        until: NOW.after(Seconds(100)),
        condition: None,
    }
}

fn checked(credential: &Credential, by: u8) -> Result<(), NotGood> {
    let who = (keys(HOLDER).id(), keys(SELLER).id(), RIGHT);
    check_credential(&FirstByte, &keys(ISSUER), &say(by, credential), who, NOW.after(Seconds(50))).map(drop)
}

#[test]
fn a_credential_is_good_for_its_holder_where_it_is_honoured_while_it_is_valid() {
    assert_eq!(checked(&credential(), ISSUER), Ok(()));
    assert_eq!(checked(&Credential { audience: Vec::new(), ..credential() }, ISSUER), Ok(()));
    assert!(matches!(checked(&credential(), OTHER), Err(NotGood::Issuer(SignatureError::WrongSigner { .. }))));
    let forged = credential().draft(Suite::Ed25519, keys(ISSUER).id()).assemble(vec![vec![OTHER; 64]]).unwrap();
    let who = (keys(HOLDER).id(), keys(SELLER).id(), RIGHT);
    let read = check_credential(&FirstByte, &keys(ISSUER), &forged, who, NOW);
    assert!(matches!(read, Err(NotGood::Issuer(SignatureError::BadSignature(_)))));
    let (early, late) = (NOW.after(Seconds(51)), NOW.after(Seconds(49)));
    for (wrong, refusal) in [
        (Credential { holder: keys(OTHER).id(), ..credential() }, NotGood::Holder),
        (Credential { audience: vec![keys(OTHER).id()], ..credential() }, NotGood::Audience),
        (Credential { right: "two visits".to_owned(), ..credential() }, NotGood::Right),
        (Credential { from: early, ..credential() }, NotGood::NotYet(early)),
        (Credential { until: late, ..credential() }, NotGood::Expired(late)),
    ] {
        assert_eq!(checked(&wrong, ISSUER), Err(refusal));
    }
}

#[test]
fn a_reservation_is_good_for_its_contract_until_its_date() {
    let tag = use_tag(Cid::from_digest(Digest::from_array([5; 32])), &[6; 32]);
    let foreign = use_tag(Cid::from_digest(Digest::from_array([6; 32])), &[6; 32]);
    let good = Reservation {
        serial: credential().serial,
        tag,
        arbiter: keys(ARBITER).id(),
        until: NOW.after(Seconds(10)),
        number: Some(3),
    };
    let wanted = Wanted { tag, arbiter: keys(ARBITER).id(), until: NOW.after(Seconds(10)) };
    let check = |by: u8, kept: &Reservation, credential: &Credential| {
        check_reservation(&FirstByte, &keys(ISSUER), &say(by, kept), credential, &wanted).map(drop)
    };
    assert_eq!(check(ISSUER, &good, &credential()), Ok(()));
    assert!(matches!(check(OTHER, &good, &credential()), Err(NotGood::Issuer(_))));
    let early = NOW.after(Seconds(9));
    for (wrong, refusal) in [
        (Reservation { serial: Serial::from_array([8; 16]), ..good }, NotGood::Serial),
        (Reservation { tag: foreign, ..good }, NotGood::Contract),
        (Reservation { arbiter: keys(OTHER).id(), ..good }, NotGood::Arbiter),
        (Reservation { until: early, ..good }, NotGood::TooEarly(early)),
        (Reservation { number: Some(4), ..good }, NotGood::Number),
        (Reservation { number: None, ..good }, NotGood::Number),
    ] {
        assert_eq!(check(ISSUER, &wrong, &credential()), Err(refusal));
    }
    let free = Credential { uses: Uses::Unlimited, ..credential() };
    assert_eq!(check(ISSUER, &good, &free), Err(NotGood::Number));
    assert_eq!(check(ISSUER, &Reservation { number: None, ..good }, &free), Ok(()));
}

// Two encodings of one statement, or one that is read as less than it says, would let two readers see different rights.
#[test]
fn statements_have_one_encoding() {
    let free = Credential { uses: Uses::Unlimited, audience: Vec::new(), ..credential() };
    for credential in [credential(), free] {
        assert_eq!(Credential::from_bytes(&credential.to_bytes()).unwrap(), credential);
    }
    let bundle = Bundle { issuer: keys(ISSUER), credential: say(ISSUER, &credential()), reservation: None };
    assert_eq!(Bundle::from_bytes(&bundle.to_bytes()).unwrap(), bundle);
    for kept in [None, Some((credential().serial, [6; 32]))] {
        let submission = Submission { statement: say(HOLDER, &credential()), signer: keys(HOLDER), kept };
        assert_eq!(Submission::from_bytes(&submission.to_bytes()).unwrap(), submission);
    }
    for wrong in [
        Credential { right: String::new(), ..credential() },
        Credential { right: "a\nb".to_owned(), ..credential() },
        Credential { uses: Uses::Counted(0), ..credential() },
        Credential { uses: Uses::Counted(USES_MAX + 1), ..credential() },
    ] {
        assert!(Credential::from_bytes(&wrong.to_bytes()).is_err(), "{wrong:?}");
    }
}
