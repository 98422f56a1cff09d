//! Buying coins (NUT-04, NUT-20, NUT-23): a quote says what to pay; once it is paid, coins are signed against it, once.

use cashu::quote_id::QuoteId;
use cashu::{BlindedMessage, MintRequest, PublicKey, SwapResponse};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::hash::Digest;
use semper_core::time::{Seconds, Time};
use semper_support::archive::{Commit, Fact};
use serde::{Deserialize, Serialize};

use super::backend::BackendError;
use super::keysets::unit;
use super::ledger::{Granted, Output, Spender};
use super::quotes::{Found, Shelf};
use super::refusal::Refusal;
use super::{Mint, Sent, request};
use crate::ecash::keyset::Unit;

/// Where the quotes are.
pub(super) const QUOTES: Shelf = Shelf { space: "ecash-mint-quote", due: "ecash-mint-quote-due" };
/// Space of used quotes: the digest of the request that used it.
const ISSUED: &str = "ecash-issued";
/// Longest payment request, in bytes.
pub(super) const REQUEST_BYTES_MAX: usize = 8192;

/// What a wallet asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MintQuoteRequest {
    /// How much, in minor units.
    pub amount: u64,
    /// The unit's name.
    pub unit: String,
    /// The key that must sign the request that uses the quote (NUT-20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pubkey: Option<String>,
}

/// What it gets, and may ask for again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MintQuote {
    /// Names the quote. Who knows it may use it, unless it has a key.
    pub quote: String,
    /// What to pay.
    pub request: String,
    /// How much.
    pub amount: u64,
    /// The unit's name.
    pub unit: String,
    /// `UNPAID`, `PAID` or `ISSUED`.
    pub state: String,
    /// Until when it can be paid, in seconds since 1970.
    pub expiry: u64,
    /// The key that must sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pubkey: Option<String>,
}

impl Mint {
    /// Makes a quote for buying coins with `method`.
    ///
    /// # Errors
    /// [`Refusal`]; nothing changed.
    pub async fn mint_quote(&self, method: &str, request: impl Sent<MintQuoteRequest>) -> Result<MintQuote, Refusal> {
        let backend = self.backend(method)?;
        let request = request.receive()?;
        let unit = Unit::from_name(&request.unit).filter(|unit| backend.units().contains(unit));
        let unit = unit.ok_or(Refusal::UnknownUnit)?;
        let (least, most) = backend.limits();
        if request.amount < least || request.amount > most {
            return Err(Refusal::Amount("the method's limits are in the mint's information"));
        }
        let key = request.pubkey.as_deref().map(PublicKey::from_hex).transpose();
        let key = key.map_err(|_| Refusal::QuoteKey)?;
        let id = QuoteId::new().to_string();
        let invoice = backend.invoice(&id, request.amount, unit).await.map_err(refused)?;
        let quote = Quote {
            method: method.to_owned(),
            unit,
            amount: request.amount,
            request: invoice.request,
            expiry: self.now().after(Seconds(invoice.lifetime)),
            key,
        };
        let due = quote.expiry.after(Seconds(invoice.late));
        self.ledger.put_quote(&QUOTES, &id, &quote, due).await?;
        self.quote_answer(id, quote).await
    }

    /// A quote and its state.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn mint_quote_state(&self, method: &str, id: &str) -> Result<MintQuote, Refusal> {
        let found = self.quote(method, id).await?;
        self.quote_answer(id.to_owned(), found.quote).await
    }

    /// Signs coins against a paid quote. The same request again gets the same answer, for ever.
    ///
    /// # Errors
    /// [`Refusal`]; nothing changed, save after `Unsure`.
    pub async fn mint(&self, method: &str, request: impl Sent<MintRequest<String>>) -> Result<SwapResponse, Refusal> {
        self.backend(method)?;
        let limits = self.settings.limits;
        let request = self.compute(move || {
            let request = request.receive()?;
            request::outputs_shape(&request.outputs, &limits)?;
            Ok(request)
        });
        let request = request.await?;
        let found = self.quote(method, &request.quote).await?;
        if let Some(key) = found.quote.key {
            request.verify_signature(key).map_err(|_| Refusal::QuoteSignature)?;
        }
        let digest = request::digest("mint", &request.quote, &[], &request.outputs);
        match self.ledger.fact(ISSUED, request.quote.as_bytes()).await? {
            Some(by) if by == digest.as_bytes() => {}
            Some(_) => return Err(Refusal::Issued),
            None => self.issue(&found, &request, digest).await?,
        }
        let keysets = self.keysets();
        self.compute(move || Ok(SwapResponse::new(request::sign_outputs(&request.outputs, &keysets)))).await
    }

    async fn issue(&self, found: &Found<Quote>, request: &MintRequest<String>, digest: Digest) -> Result<(), Refusal> {
        let quote = &found.quote;
        let now = self.now();
        let asked = request::outputs_sum(&request.outputs, &self.keysets(), now)?;
        if asked.unit != quote.unit {
            return Err(Refusal::UnitMismatch);
        }
        if asked.amount != quote.amount {
            return Err(Refusal::Unbalanced { inputs: quote.amount, fee: 0, outputs: asked.amount });
        }
        if !self.backend(&quote.method)?.paid(&request.quote, quote.amount).await.map_err(refused)? {
            return Err(if quote.expiry < now { Refusal::QuoteExpired } else { Refusal::Unpaid });
        }
        let key = request.quote.as_bytes().to_vec();
        let used = Fact { space: ISSUED.to_owned(), key, value: digest.as_bytes().to_vec() };
        // The use is named first: it alone says whether this request was granted before.
        let mut with = Commit { facts: vec![used], ..Commit::default() };
        if found.is_open {
            QUOTES.keep(&mut with, &request.quote, quote);
        }
        let outputs: Vec<Output> = request::facts(&request.outputs);
        match self.ledger.grant(&Spender::Request(digest), &[], &outputs, with).await? {
            Granted::Now => {
                self.metrics.issued(request.outputs.iter().map(issued_part));
                Ok(())
            }
            Granted::Before => Ok(()),
            Granted::Conflict => Err(Refusal::Issued),
        }
    }

    async fn quote(&self, method: &str, id: &str) -> Result<Found<Quote>, Refusal> {
        self.backend(method)?;
        let found = if id.len() > 64 { None } else { self.ledger.quote::<Quote>(&QUOTES, id).await? };
        found.filter(|found| found.quote.method == method).ok_or(Refusal::UnknownQuote)
    }

    async fn quote_answer(&self, id: String, quote: Quote) -> Result<MintQuote, Refusal> {
        let state = if self.ledger.fact(ISSUED, id.as_bytes()).await?.is_some() {
            "ISSUED"
        } else if self.backend(&quote.method)?.paid(&id, quote.amount).await.map_err(refused)? {
            "PAID"
        } else {
            "UNPAID"
        };
        Ok(MintQuote {
            quote: id,
            request: quote.request,
            amount: quote.amount,
            unit: quote.unit.name().to_owned(),
            state: state.to_owned(),
            expiry: quote.expiry.unix(),
            pubkey: quote.key.map(|key| key.to_hex()),
        })
    }
}

pub(super) fn issued_part(output: &BlindedMessage) -> (cashu::Id, u64) {
    (output.keyset_id, output.amount.to_u64())
}

/// What a backend's refusal is for the client.
pub(super) fn refused(error: BackendError) -> Refusal {
    match error {
        BackendError::Refused(reason) => Refusal::BadRequest(reason),
        BackendError::Amountless => Refusal::Amountless,
        BackendError::AlreadyPaid => Refusal::AlreadyPaid,
        BackendError::Unavailable(reason) => {
            tracing::warn!(reason, "a payment system does not answer");
            Refusal::Busy("the payment system does not answer")
        }
    }
}

/// A quote as it is stored: `{ 0: 1, 1: method, 2: unit, 3: amount, 4: request, 5: expiry, ? 6: key }`.
pub(super) struct Quote {
    method: String,
    unit: Unit,
    amount: u64,
    request: String,
    expiry: Time,
    key: Option<PublicKey>,
}

impl Quote {
    pub(super) fn method(&self) -> &str {
        &self.method
    }
}

impl Encode for Quote {
    fn to_value(&self) -> Value {
        record()
            .put(0, 1_u64)
            .put(1, self.method.as_str())
            .put(2, self.unit.name())
            .put(3, self.amount)
            .put(4, self.request.as_str())
            .put_item(5, &self.expiry)
            .put_some(6, self.key.map(|key| Value::bytes(key.to_bytes())))
            .build()
    }
}

impl Decode for Quote {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let method = fields.text(1, "method", 64)?;
        let unit = unit(&mut fields, 2)?;
        let amount = fields.uint(3, "amount")?;
        let request = fields.text(4, "request", REQUEST_BYTES_MAX)?;
        let expiry = fields.item(5, "expiry")?;
        let key = match fields.optional(6) {
            None => None,
            Some(value) => Some(point(value, "key")?),
        };
        fields.close()?;
        Ok(Self { method, unit, amount, request, expiry, key })
    }
}

/// Reads a compressed point.
pub(super) fn point(value: Value, name: &str) -> Result<PublicKey, DecodeError> {
    let bytes = Vec::<u8>::from_value(value)?;
    PublicKey::from_slice(&bytes).map_err(|_| DecodeError::field(name, Problem::OutOfRange("not a point of the curve")))
}
