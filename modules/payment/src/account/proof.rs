//! What proves a payment by account to a stranger.
//!
//! ```text
//! body = { 0: 1, 1: payee's key set, 2: bank's key set, 3: signed booking, 4: salt of the order hash }
//!      / { 0: 1, 1: payee's key set, 5: signed payment receipt }
//! ```
//! The payee's own request says which bank, by its key set, and who is paid; the bank's booking says that this payee was paid so much for
//! an order hash; the salt and the request make that hash. So nobody has to be believed about which bank it is.

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::Signed;
use semper_core::hash::Digest;
use semper_core::party::KeySet;
use semper_core::signature::{Verify, verify};
use semper_core::time::Time;
use semper_transfer::payment::claim::{Claim, Finding, Proof};
use semper_transfer::payment::means::System;
use semper_transfer::payment::operation::HANDOVER_MAX;
use semper_transfer::payment::statement::{PaymentReceipt, PaymentRequest, order_hash};

use super::SYSTEM;
use super::answer::{Booking, What};
use super::payment::Details;

/// What is shown for a payment besides the payee's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The bank's word.
    Booking {
        /// The bank.
        bank: KeySet,
        /// A signed [`Booking`].
        booking: Signed,
        /// What opens its order hash.
        salt: [u8; 32],
    },
    /// The payee's word: a signed [`PaymentReceipt`].
    Receipt(Signed),
}

#[derive(Debug)]
struct Body {
    payee: KeySet,
    shown: Shown,
}

/// Puts a proof together.
pub fn proof(issuer: &str, request: Signed, payee: KeySet, shown: Shown) -> Proof {
    let system = System::parse(SYSTEM).expect("the name is one of a system");
    Proof { system, issuer: issuer.to_owned(), request, body: Body { payee, shown }.to_bytes() }
}

/// Whether `proof` proves `claim`; a pure function of its arguments.
pub fn judge(verifier: &dyn Verify, claim: &Claim, proof: &Proof) -> Finding {
    match examine(verifier, claim, proof) {
        Ok(by) => Finding::Proven { by },
        Err(missing) => Finding::Undecided { missing },
    }
}

fn examine(verifier: &dyn Verify, claim: &Claim, proof: &Proof) -> Result<String, String> {
    let body = Body::from_bytes(&proof.body).map_err(|e| format!("a readable proof: {e}"))?;
    let request = verify::<PaymentRequest>(verifier, &body.payee, &proof.request)
        .map_err(|e| format!("the payee's signature of the request: {e}"))?;
    let asked = request.statement();
    let fits = [
        (asked.system.as_str() == SYSTEM && asked.issuer == proof.issuer, "a request for this system and bank"),
        (asked.deal == claim.deal, "a request for this deal"),
        (body.payee.id() == claim.payee, "a request of this payee"),
        (asked.amount.currency() == claim.amount.currency(), "a request in this currency"),
    ];
    if let Some((_, missing)) = fits.iter().find(|(good, _)| !good) {
        return Err((*missing).to_owned());
    }
    let (by, amount, time) = match &body.shown {
        Shown::Receipt(signed) => {
            let receipt = verify::<PaymentReceipt>(verifier, &body.payee, signed)
                .map_err(|e| format!("the payee's signature of the receipt: {e}"))?;
            let receipt = receipt.statement();
            if receipt.request != request.id() || receipt.deal != claim.deal {
                return Err("a receipt for this request".to_owned());
            }
            ("the payee's receipt".to_owned(), receipt.amount, receipt.time)
        }
        Shown::Booking { bank, booking, salt } => {
            let details = Details::from_bytes(&asked.details).map_err(|e| format!("details of the request: {e}"))?;
            if details.bank != bank.id() || details.owner.id() != claim.payee {
                return Err("a booking of the bank that the payee's request names".to_owned());
            }
            let booking =
                verify::<Booking>(verifier, bank, booking).map_err(|e| format!("the bank's signature: {e}"))?;
            let booking = booking.statement();
            let order: Digest = order_hash(request.id(), salt);
            let paid = booking.what == What::Payment && booking.order == Some(order) && booking.payee == claim.payee;
            if !paid || booking.issuer != proof.issuer {
                return Err("a booking of a payment for this request".to_owned());
            }
            (
                format!("the booking of the bank {} with the keys {}", booking.issuer, bank.id()),
                booking.amount,
                booking.time,
            )
        }
    };
    enough(claim, amount, time)?;
    Ok(format!("{by}: {amount} on {time}"))
}

fn enough(claim: &Claim, amount: Amount, time: Time) -> Result<(), String> {
    if amount.currency() != claim.amount.currency() || amount.minor() < claim.amount.minor() {
        return Err(format!("proof of {}: it is about {amount}", claim.amount));
    }
    match claim.before {
        Some(before) if time > before => Err(format!("proof of a payment until {before}: it is from {time}")),
        _ => Ok(()),
    }
}

impl Encode for Body {
    fn to_value(&self) -> Value {
        let body = record().put(0, 1_u64).put_item(1, &self.payee);
        match &self.shown {
            Shown::Booking { bank, booking, salt } => body.put_item(2, bank).put_item(3, booking).put_bytes(4, salt),
            Shown::Receipt(receipt) => body.put_item(5, receipt),
        }
        .build()
    }
}

impl Decode for Body {
    const BYTES_MAX: usize = HANDOVER_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut f = Fields::open(value)?;
        f.version(0, 1)?;
        let payee = f.item(1, "payee")?;
        let shown = match f.optional_item(5, "receipt")? {
            Some(receipt) => Shown::Receipt(receipt),
            None => {
                let (bank, booking) = (f.item(2, "bank")?, f.item(3, "booking")?);
                Shown::Booking { bank, booking, salt: f.exact(4, "salt")? }
            }
        };
        f.close()?;
        Ok(Self { payee, shown })
    }
}
