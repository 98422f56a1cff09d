//! What could go wrong: information is promised for a right that is somebody else's, expired, or given by the wrong issuer; or the contract that comes is
//! about another credential than was ordered with.
#![allow(clippy::unwrap_used)]

use semper_core::cose::Signed;
use semper_core::ids::StatementId;
use semper_core::party::{Algorithm, KeySet, Suite};
use semper_exchange::goods::Size;
use semper_transfer::credential::{Serial, Uses};

use super::*;
use crate::fixtures::{NOW, Open, ann, arbiter};

/// Takes a signature that repeats the public key's first byte: enough to tell the parties apart.
struct FirstByte;

impl Verify for FirstByte {
    fn verify(&self, _: Algorithm, public_key: &[u8], _: &[u8], signature: &[u8]) -> bool {
        signature[0] == public_key[0]
    }
}

const ISSUER: u8 = 11;
const HOLDER: u8 = 12;
const SELLER: u8 = 13;

fn keys(byte: u8) -> KeySet {
    KeySet::new(Suite::Ed25519, vec![vec![byte; 32]]).unwrap()
}

fn say(by: u8, statement: &impl Statement) -> Signed {
    statement.draft(Suite::Ed25519, keys(by).id()).assemble(vec![vec![by; 64]]).unwrap()
}

fn offer() -> AccessOffer {
    let root = Digest::from_array([4; 32]);
    AccessOffer {
        goods: Descriptor::new("map.txt", "text/plain", Size::new(10).unwrap(), root, "where it is").unwrap(),
        cipher_root: root,
        right: "one look at the map".to_owned(),
        issuer: keys(ISSUER).id(),
        issuer_name: "the club".to_owned(),
        arbiters: vec![ann()],
        owner: "Sal".to_owned(),
        pace: Pace { complaints: Seconds(0), ..Pace::default() },
        until: NOW.after(Seconds(1000)),
    }
}

fn credential() -> Credential {
    Credential {
        serial: Serial::from_array([1; 16]),
        issuer: "https://club.example".to_owned(),
        holder: keys(HOLDER).id(),
        right: offer().right,
        audience: vec![keys(SELLER).id()],
        uses: Uses::Counted(1),
        transferable: false,
        from: NOW,
        until: NOW.after(Seconds(1000)),
        condition: None,
    }
}

fn order_with(credential: &Credential, by: u8) -> Order {
    let bundle = Bundle { issuer: keys(by), credential: say(by, credential), reservation: None };
    Order {
        offer: StatementId::from_digest(Digest::from_array([8; 32])),
        means: 0,
        arbiter: 0,
        payer: bundle.to_bytes(),
        buyer: "Hal".to_owned(),
        locale: "en".to_owned(),
        card: String::new(),
    }
}

fn judge(credential: &Credential, by: u8) -> Result<Verified<Credential>, NotGood> {
    let sides = [keys(SELLER).id(), keys(HOLDER).id()];
    judged(&FirstByte, &offer(), &order_with(credential, by), sides, NOW)
}

fn written() -> Agreement {
    let credential = judge(&credential(), ISSUER).unwrap();
    let giving = Giving {
        offer: &offer(),
        order: &order_with(credential.statement(), ISSUER),
        seller: keys(SELLER).id(),
        credential: &credential,
        arbiter: arbiter(),
        article: &ArticleKey::from_array([4; ArticleKey::LEN]),
        seed: &Seed::new(vec![6; 32]),
        salt: [7; 32],
        nonce: [8; 32],
        now: NOW,
    };
    giving.propose(&Open, [9; 16]).unwrap().agreement
}

#[test]
fn a_contract_says_what_was_offered_and_ordered() {
    let agreement = written();
    assert_eq!(check(&agreement), Ok(()));
    let order = order_with(&credential(), ISSUER);
    assert_eq!(answers(&agreement, &offer(), &order, NOW), Ok(()));
    assert_eq!(follows(&FirstByte, &agreement, &offer(), &order, NOW), Ok(()));
    let shown = agreement.text().unwrap();
    assert!(shown.contains("one look at the map") && shown.contains("issued by the club"), "{shown}");
    assert!(matches!(Leg::of(&agreement.core), Ok([Leg::Information(_), Leg::Show(_)])));
}

#[test]
fn a_contract_about_something_else_is_refused() {
    let order = order_with(&credential(), ISSUER);
    let other = order_with(&Credential { until: NOW.after(Seconds(9)), ..credential() }, ISSUER);
    assert_eq!(answers(&written(), &offer(), &other, NOW), Err("credential"));
    let another = AccessOffer { right: "two looks".to_owned(), ..offer() };
    assert_eq!(answers(&written(), &another, &order, NOW), Err("right"));
    let mut foul = written();
    foul.core.terms.deadlines.complaints = Some(Seconds(90_000));
    assert_eq!(check(&foul), Err("kept"));
    let mut foul = written();
    foul.document = foul.document.with("right", text("everything"));
    assert_eq!(check(&foul), Err("right"));
}

#[test]
fn a_credential_that_is_not_good_gets_no_contract() {
    assert!(judge(&credential(), ISSUER).is_ok());
    assert!(matches!(judge(&credential(), SELLER), Err(NotGood::Right)));
    for (wrong, refusal) in [
        (Credential { holder: keys(SELLER).id(), ..credential() }, NotGood::Holder),
        (Credential { audience: vec![keys(HOLDER).id()], ..credential() }, NotGood::Audience),
        (Credential { right: "another look".to_owned(), ..credential() }, NotGood::Right),
        (Credential { until: NOW.before(Seconds(1)), ..credential() }, NotGood::Expired(NOW.before(Seconds(1)))),
    ] {
        assert_eq!(judge(&wrong, ISSUER).map(drop), Err(refusal));
    }
}

#[test]
fn an_offer_is_read_as_it_was_written() {
    assert_eq!(AccessOffer::from_bytes(&offer().to_bytes()).unwrap(), offer());
    for wrong in [
        AccessOffer { arbiters: Vec::new(), ..offer() },
        AccessOffer { pace: Pace::default(), ..offer() },
        AccessOffer { right: "a\nb".to_owned(), ..offer() },
    ] {
        assert!(AccessOffer::from_bytes(&wrong.to_bytes()).is_err());
    }
}
