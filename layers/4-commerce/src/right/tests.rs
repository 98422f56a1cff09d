//! What could go wrong: a right is offered that is somebody else's, or that cannot be passed on; the contract that comes is about another right than was offered,
//! can be called back for longer, or lets the seller take the money when the buyer can prove nothing any more.
#![allow(clippy::unwrap_used)]

use semper_core::amount::Currency;
use semper_core::ids::StatementId;
use semper_core::party::{Algorithm, KeySet, Suite};
use semper_transfer::credential::Serial;
use semper_transfer::credential::statement::USES_MAX;
use semper_transfer::payment::means::{Fees, Limits, LockKind, PayerAnonymity, ReceiptKind, Reversal, System};

use super::*;
use crate::fixtures::{NOW, ann, arbiter as ann_herself, key_set};

/// Takes a signature that repeats the public key's first byte: enough to tell the parties apart.
struct FirstByte;

impl Verify for FirstByte {
    fn verify(&self, _: Algorithm, public_key: &[u8], _: &[u8], signature: &[u8]) -> bool {
        signature[0] == public_key[0]
    }
}

const ISSUER: u8 = 11;
const SELLER: u8 = 13;
const BUYER: u8 = 12;

fn keys(byte: u8) -> KeySet {
    KeySet::new(Suite::Ed25519, vec![vec![byte; 32]]).unwrap()
}

fn say(by: u8, statement: &impl Statement) -> Signed {
    statement.draft(Suite::Ed25519, keys(by).id()).assemble(vec![vec![by; 64]]).unwrap()
}

fn credential() -> Credential {
    Credential {
        serial: Serial::from_array([1; 16]),
        issuer: "https://club.example".to_owned(),
        holder: keys(SELLER).id(),
        right: "one visit to the archive".to_owned(),
        audience: Vec::new(),
        uses: Uses::Counted(3),
        transferable: true,
        from: NOW,
        until: NOW.after(Seconds(900_000)),
        condition: None,
    }
}

fn means(receipt: ReceiptKind) -> Means {
    Means {
        system: System::parse("account").unwrap(),
        issuer: "https://bank.example".to_owned(),
        currency: Currency::parse("EUR").unwrap(),
        anonymity: PayerAnonymity::None,
        reversal: Reversal::Final,
        locks: [LockKind::Arbiter].into(),
        receipt,
        fees: Fees { fixed: 0, per_million: 0 },
        limits: Limits { least: 1, most: 1_000_000 },
        latency: Seconds(1),
    }
}

fn offer_of(credential: &Credential) -> RightOffer {
    RightOffer {
        bundle: Bundle { issuer: keys(ISSUER), credential: say(ISSUER, credential), reservation: None },
        uses: Uses::Counted(2),
        price: Amount::parse("12.00 EUR").unwrap(),
        means: vec![means(ReceiptKind::Issuer)],
        arbiters: vec![ann()],
        seller: "Sal".to_owned(),
        pace: RightOffer::PACE,
        until: NOW.after(Seconds(1000)),
        issuer_name: "the club".to_owned(),
        terms: String::new(),
        law: "Austria".to_owned(),
    }
}

fn offer() -> RightOffer {
    offer_of(&credential())
}

fn order(locale: &str) -> Order {
    Order {
        offer: StatementId::from_digest(semper_core::hash::Digest::from_array([8; 32])),
        means: 0,
        arbiter: 0,
        payer: Vec::new(),
        buyer: "Bea".to_owned(),
        locale: locale.to_owned(),
        card: String::new(),
    }
}

fn judge(offer: &RightOffer) -> Result<Verified<Credential>, NotGood> {
    judged(&FirstByte, offer, keys(SELLER).id(), NOW)
}

fn sell(offer: &RightOffer, locale: &str) -> Result<Agreement, SaleError> {
    let (order, deal) = (order(locale), DealId::from_array([5; 16]));
    let asked = request(offer, &order, deal, vec![7; 4], NOW).unwrap();
    let sale = Sale {
        offer,
        order: &order,
        credential: &judge(offer).unwrap(),
        buyer: keys(BUYER).id(),
        arbiter: ann_herself(),
        request: say(SELLER, &asked),
        right_salt: [6; 32],
        money_salt: [7; 32],
        nonce: [8; 32],
        now: NOW,
    };
    sale.propose([9; 16]).map(Proposal::into_agreement)
}

fn written() -> Agreement {
    sell(&offer(), "en").unwrap()
}

#[test]
fn a_contract_says_what_was_offered_and_ordered() {
    for (locale, words) in [("en", "at least 2 times"), ("de", "mindestens 2-mal")] {
        let (agreement, order) = (sell(&offer(), locale).unwrap(), order(locale));
        assert_eq!(check(&agreement), Ok(()));
        assert_eq!(answers(&agreement, &offer(), &order, NOW), Ok(()));
        assert_eq!(follows(&FirstByte, &agreement, &offer(), &order, NOW.after(Seconds(700))), Ok(()));
        let shown = agreement.text().unwrap();
        for part in ["one visit to the archive", words, "12.00 EUR", "the club", "Austria"] {
            assert!(shown.contains(part), "{part:?} is not in: {shown}");
        }
        assert_eq!(title(&agreement).as_deref(), Some("one visit to the archive"));
        let [right, money] = Leg::of(&agreement.core).unwrap();
        assert!(matches!(right, Leg::Right(right) if right.request(&agreement.core).unwrap().to == keys(BUYER).id()));
        assert_eq!(money.transfer().unwrap().asked.deal, DealId::from_array([5; 16]));
    }
}

#[test]
fn a_contract_about_something_else_is_refused() {
    let refuses = |offer: &RightOffer| answers(&written(), offer, &order("en"), NOW);
    let other = Credential { serial: Serial::from_array([2; 16]), ..credential() };
    assert_eq!(refuses(&offer_of(&other)), Err("credential"));
    assert_eq!(refuses(&offer_of(&Credential { until: NOW.after(Seconds(9)), ..credential() })), Err("valid_until"));
    assert_eq!(refuses(&offer_of(&Credential { audience: vec![key_set(3)], ..credential() })), Err("audience"));
    assert_eq!(refuses(&RightOffer { uses: Uses::Counted(3), ..offer() }), Err("right"));
    assert_eq!(refuses(&RightOffer { price: Amount::parse("11.00 EUR").unwrap(), ..offer() }), Err("price"));
    assert_eq!(refuses(&RightOffer { law: String::new(), ..offer() }), Err("terms"));
    assert_eq!(answers(&written(), &offer(), &order("de"), NOW), Err("audience"));
    // Whoever answers late could take the money when the buyer can prove nothing any more.
    assert_eq!(answers(&written(), &offer(), &order("en"), NOW.after(Seconds(80_000))), Err("deadlines"));
}

// The text must not hide what the contract does: until when it can be called back, and until when the money can be taken.
#[test]
fn a_text_that_says_something_else_is_refused() {
    for (name, value) in [
        ("right", text("everything")),
        ("uses", text("freely")),
        ("callable_until", FieldValue::Time(NOW)),
        ("pay_until", FieldValue::Time(NOW)),
        ("issuer", FieldValue::Party(key_set(3))),
        ("arbiter", FieldValue::Party(key_set(3))),
    ] {
        let mut foul = written();
        foul.document = foul.document.with(name, value);
        assert_eq!(check(&foul), Err(name));
    }
    // Longer than the offer says, and said so in the text: the offer's dates decide.
    let mut longer = written();
    let date = longer.core.terms.deadlines.refund_after.unwrap().after(Seconds(1));
    longer.core.terms.deadlines.refund_after = Some(date);
    longer.document = longer.document.with("callable_until", FieldValue::Time(date));
    assert_eq!(check(&longer), Ok(()));
    let refused = Err("date until which the right can be called back");
    assert_eq!(answers(&longer, &offer(), &order("en"), NOW), refused);
    // A request that expires early gives the payer less time than the text says.
    let mut early = written();
    let asked = request(&offer(), &order("en"), DealId::from_array([5; 16]), vec![7; 4], NOW).unwrap();
    let asked = PaymentRequest { expires: asked.expires.before(Seconds(1)), ..asked };
    let deposit = TransferDeposit { request: say(SELLER, &asked), salt: [7; 32] };
    early.core.deposits.insert(MONEY, deposit.to_bytes());
    assert_eq!(check(&early), Err("pay_until"));
}

#[test]
fn a_right_that_cannot_be_passed_on_is_not_bought() {
    assert!(judge(&offer()).is_ok());
    let unsigned =
        RightOffer { bundle: Bundle { credential: say(SELLER, &credential()), ..offer().bundle }, ..offer() };
    assert!(matches!(judge(&unsigned), Err(NotGood::Issuer(_))));
    for (wrong, refusal) in [
        (Credential { holder: keys(BUYER).id(), ..credential() }, NotGood::Holder),
        (Credential { transferable: false, ..credential() }, NotGood::Fixed),
        (Credential { uses: Uses::Counted(1), ..credential() }, NotGood::Number),
        (Credential { uses: Uses::Unlimited, ..credential() }, NotGood::Number),
        (Credential { until: NOW.before(Seconds(1)), ..credential() }, NotGood::Expired(NOW.before(Seconds(1)))),
    ] {
        assert_eq!(judge(&offer_of(&wrong)).map(drop), Err(refusal));
    }
}

#[test]
fn an_offer_is_read_as_it_was_written() {
    let freely = RightOffer { uses: Uses::Unlimited, ..offer() };
    for offer in [offer(), freely] {
        assert_eq!(RightOffer::from_bytes(&offer.to_bytes()).unwrap(), offer);
    }
    for wrong in [
        RightOffer { arbiters: Vec::new(), ..offer() },
        RightOffer { pace: Pace::default(), ..offer() },
        RightOffer { means: Vec::new(), ..offer() },
        RightOffer { means: vec![means(ReceiptKind::Witness)], ..offer() },
        RightOffer { price: Amount::parse("12.00 USD").unwrap(), ..offer() },
        RightOffer { uses: Uses::Counted(USES_MAX + 1), ..offer() },
        RightOffer { bundle: Bundle { credential: say(ISSUER, &offer()), ..offer().bundle }, ..offer() },
        RightOffer { bundle: Bundle { reservation: Some(say(ISSUER, &credential())), ..offer().bundle }, ..offer() },
    ] {
        assert!(RightOffer::from_bytes(&wrong.to_bytes()).is_err());
    }
    let shown = offer().describe();
    assert!(shown.contains("one visit to the archive") && shown.contains("12.00 EUR"), "{shown}");
}

// The pace leaves everybody the time that it needs; a shorter one gets no contract.
#[test]
fn a_sale_without_time_for_it_is_refused() {
    let pace = Pace { valid_for: Seconds(7 * (3600 + 120) - 1), ..RightOffer::PACE };
    assert!(matches!(sell(&RightOffer { pace, ..offer() }, "en"), Err(SaleError::Dates(_))));
    let pace = Pace { valid_for: Seconds(7 * (3600 + 120)), ..RightOffer::PACE };
    assert!(sell(&RightOffer { pace, ..offer() }, "en").is_ok());
    assert_eq!(sell(&offer(), "fr").unwrap_err(), SaleError::NoSuchChoice("language"));
    assert_eq!(sell(&RightOffer { until: NOW.before(Seconds(1)), ..offer() }, "en").unwrap_err(), SaleError::Ended);
}
