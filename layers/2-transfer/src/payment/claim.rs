//! Claims about payments, and what proves them to a stranger.
//!
//! ```text
//! proof = { 0: 1, 1: system, 2: issuer, 3: signed request, 4: bytes of the system }
//! ```
//! Source: `spec/payment.md` §6; `design/exchange.md` §11.

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::Signed;
use semper_core::ids::{DealId, KeySetId};
use semper_core::time::Time;

use super::means::{ISSUER_MAX, System};
use super::operation::HANDOVER_MAX;

/// "`payee` was paid at least `amount` for `deal`." The payer says it as "I paid", the payee as "I was paid".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The deal.
    pub deal: DealId,
    /// Who was paid.
    pub payee: KeySetId,
    /// At least how much.
    pub amount: Amount,
    /// Not later than this, where that matters.
    pub before: Option<Time>,
}

/// What a payment system can show for a payment, with everything that is needed to check it offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The payment system.
    pub system: System,
    /// The mint or bank.
    pub issuer: String,
    /// The payee's signed request.
    pub request: Signed,
    /// What the system shows, in its own form.
    pub body: Vec<u8>,
}

/// What a judge finds about a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The evidence proves it.
    Proven {
        /// By what, in words.
        by: String,
    },
    /// The evidence proves the opposite.
    Refuted {
        /// By what, in words.
        by: String,
    },
    /// The evidence proves neither.
    Undecided {
        /// What is missing, in words.
        missing: String,
    },
}

impl Encode for Proof {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put_item(1, &self.system)
            .put(2, self.issuer.as_str())
            .put_item(3, &self.request)
            .put_bytes(4, &self.body)
            .build()
    }
}

impl Decode for Proof {
    const BYTES_MAX: usize = 2 * HANDOVER_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let proof = Self {
            system: fields.item(1, "system")?,
            issuer: fields.text(2, "issuer", ISSUER_MAX)?,
            request: fields.item(3, "request")?,
            body: fields.bytes(4, "body", HANDOVER_MAX)?,
        };
        fields.close()?;
        Ok(proof)
    }
}
