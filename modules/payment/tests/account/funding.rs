//! An account as a mint's till: money comes under a quote's name, and is paid out once for each order.

use std::sync::Arc;

use semper_core::party::Suite;
use semper_crypto::{Sealer, SecretKeys, Verifier};
use semper_payment::account::bank::operator::Direction;
use semper_payment::account::funding::{Paid, Till, TillError, TillParts};
use semper_payment::account::number::Address;
use semper_payment::account::request::Action;
use semper_payment::ecash::keyset::Unit;
use semper_payment::ecash::mint::backend::{Backend, BackendError, Closing, Order, Outcome};
use semper_transfer::payment::module::IssuerReply;

use super::kit::call;
use super::world::{Customer, ISSUER, World, eur};

/// How the way to the bank is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Good,
    /// The request arrives, the answer does not.
    AnswerLost,
    Busy,
}

fn parts(world: &Arc<World>, keys: &Arc<SecretKeys>, way: Way) -> TillParts {
    let bank = world.clone();
    TillParts {
        issuer: ISSUER.to_owned(),
        currency: eur(1).currency(),
        signer: keys.clone(),
        certificates: Vec::new(),
        seed: [3; 32],
        seal: Arc::new(Sealer),
        verify: Arc::new(Verifier),
        clock: world.parts.clock.clone(),
        call: Arc::new(move |request| {
            let bank = bank.clone();
            Box::pin(async move {
                let posted = request.body.is_some();
                let reply = call(&bank, request).await;
                match way {
                    Way::AnswerLost if posted => Err("the connection was lost".to_owned()),
                    Way::Busy => Ok(IssuerReply { status: 503, body: Vec::new() }),
                    _ => Ok(reply),
                }
            })
        }),
    }
}

struct Scene {
    world: Arc<World>,
    keys: Arc<SecretKeys>,
    till: Till,
    alice: Customer,
}

async fn scene(minor: u64) -> Scene {
    let world = Arc::new(World::with_fees().await);
    let keys = Arc::new(SecretKeys::generate(Suite::Ed25519).unwrap());
    let till = Till::open(parts(&world, &keys, Way::Good)).await.unwrap();
    let alice = world.customer(1000).await;
    if minor > 0 {
        world.bank.by_hand(world.id(), Direction::In, till.number(), eur(minor), "").await.unwrap();
    }
    Scene { world, keys, till, alice }
}

impl Scene {
    async fn sends(&self, address: &str, minor: u64) {
        let Address { number, reference, .. } = Address::parse(address).unwrap();
        let action = Action::Transfer { amount: eur(minor), to: number, reference, fee_most: eur(100) };
        self.world.booked(&self.alice, action).await;
    }

    async fn again(&self, way: Way) -> Result<Till, TillError> {
        Till::open(parts(&self.world, &self.keys, way)).await
    }
}

#[tokio::test]
async fn a_quote_is_paid_when_its_money_has_come() {
    let scene = scene(0).await;
    let till = &scene.till;
    assert_eq!((till.method(), till.units()), ("account", [Unit::Eur].as_slice()));
    let invoice = till.invoice("quote-1", 300, Unit::Eur).await.unwrap();
    assert_eq!(till.invoice("quote-1", 300, Unit::Eur).await.unwrap(), invoice);
    assert!(matches!(till.invoice("quote-2", 300, Unit::Usd).await, Err(BackendError::Refused(_))));
    let other = till.invoice("quote-2", 100, Unit::Eur).await.unwrap();
    assert_eq!(Address::parse(&invoice.request).unwrap().amount, Some(eur(300)));
    assert!(!till.paid("quote-1", 300).await.unwrap());
    // Too little, in parts, then enough; another quote's money does not count.
    scene.sends(&invoice.request, 299).await;
    scene.sends(&other.request, 100).await;
    assert!(!till.paid("quote-1", 300).await.unwrap());
    scene.sends(&invoice.request, 1).await;
    assert!(till.paid("quote-1", 300).await.unwrap());
    assert!(till.paid("quote-2", 100).await.unwrap());
    assert!(!till.paid("quote-3", 1).await.unwrap());
    // Money that has come, enough or not, keeps a quote from being forgotten.
    assert_eq!(till.close("quote-3").await.unwrap(), Closing::Closed);
    assert_eq!(till.close("quote-1").await.unwrap(), Closing::Paid);
    // A mint that starts again finds account and money.
    let again = scene.again(Way::Good).await.unwrap();
    assert_eq!(again.number(), till.number());
    assert!(again.paid("quote-1", 300).await.unwrap());
}

#[tokio::test]
async fn an_order_is_paid_once() {
    let scene = scene(1000).await;
    let till = &scene.till;
    let address = Address {
        number: scene.alice.number,
        issuer: ISSUER.to_owned(),
        reference: "out".to_owned(),
        amount: Some(eur(400)),
    };
    let request = address.to_string();
    let estimate = till.quote_payment(&request, Unit::Eur).await.unwrap();
    assert_eq!((estimate.amount, estimate.fee_reserve), (400, 6));
    let order = |id: &str| Order {
        id: id.to_owned(),
        request: request.clone(),
        unit: Unit::Eur,
        amount: 400,
        fee_max: estimate.fee_reserve,
    };
    assert_eq!(till.status("order-1").await.unwrap(), Paid::Unknown);
    // The answer is lost: asked again, the bank says what it has done.
    let deaf = scene.again(Way::AnswerLost).await;
    assert!(matches!(deaf, Err(TillError::Unavailable(_))));
    let first = Backend::pay(till, &order("order-1")).await.unwrap();
    let Outcome::Paid { spent, proof } = &first else { panic!("{first:?}") };
    assert_eq!(*spent, 406);
    assert!(proof.is_some());
    assert_eq!(Backend::pay(till, &order("order-1")).await.unwrap(), first);
    assert!(matches!(till.status("order-1").await.unwrap(), Paid::Done(_)));
    assert_eq!(scene.world.money(&scene.alice).await.0, 1400);
    // What the account cannot pay fails for ever under this order, and can be tried under another.
    Backend::pay(till, &order("order-2")).await.unwrap();
    let poor = Backend::pay(till, &order("order-3")).await.unwrap();
    assert!(matches!(poor, Outcome::Failed { .. }));
    scene.world.bank.by_hand([1; 16], Direction::In, till.number(), eur(1000), "").await.unwrap();
    assert_eq!(Backend::pay(till, &order("order-3")).await.unwrap(), poor);
    assert!(matches!(Backend::pay(till, &order("order-3/1")).await.unwrap(), Outcome::Paid { .. }));
    scene.world.audit().await;
}

#[tokio::test]
async fn what_is_not_an_address_of_the_bank_is_not_paid() {
    let scene = scene(1000).await;
    let address =
        |number, issuer: &str, amount| Address { number, issuer: issuer.to_owned(), reference: String::new(), amount };
    let alice = scene.alice.number;
    for request in [
        "lnbc1".to_owned(),
        address(alice, "https://other.example", Some(eur(1))).to_string(),
        address(scene.till.number(), ISSUER, Some(eur(1))).to_string(),
    ] {
        let refused = scene.till.quote_payment(&request, Unit::Eur).await;
        assert!(matches!(refused, Err(BackendError::Refused(_))), "{request}: {refused:?}");
    }
    let amountless = scene.till.quote_payment(&address(alice, ISSUER, None).to_string(), Unit::Eur).await;
    assert_eq!(amountless, Err(BackendError::Amountless));
}

#[tokio::test]
async fn a_bank_that_does_not_answer_is_not_a_refusal() {
    let scene = scene(0).await;
    assert!(matches!(scene.again(Way::Busy).await, Err(TillError::Unavailable(_))));
}
