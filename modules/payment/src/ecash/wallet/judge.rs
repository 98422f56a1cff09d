//! What a proof of payment proves to a stranger, offline.
//!
//! ```text
//! body    = { 0: 1, 1: coins (with witnesses), 2: [* keyset] }
//! keyset  = { 0: id, 1: unit, 2: fee in thousandths, ? 3: final expiry, 4: [* amount, key] }
//! ```
//! The payee's signed request names a key that was made for it alone. A signature with that key over the secret of a coin is given only to the
//! mint, to take the coin, and only by a wallet that has checked all coins of the payment. So the signatures say: I took these. What the
//! coins were worth is said by the mint's proofs (NUT-12) under keys whose identifier is computed again. That the identifier is one of the mint's
//! is for whoever doubts it to ask the mint.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use bitcoin::secp256k1::schnorr::Signature;
use cashu::nuts::{CurrencyUnit, KeySet, Keys};
use cashu::{Id, Proof as Coin, PublicKey, Witness};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::Signed;
use semper_core::signature::{Verify, verify};
use semper_transfer::payment::claim::{Claim, Finding, Proof};
use semper_transfer::payment::operation::HANDOVER_MAX;
use semper_transfer::payment::statement::PaymentRequest;

use super::SYSTEM;
use super::details::Details;
use super::money::{self, Keysets};
use super::stage::Run;
use super::token::{Coins, same_issuer};
use crate::ecash::condition::{Condition, Quorum, SIGNATURES_MAX, Scope};

/// Most keysets in a proof.
const KEYSETS_MAX: usize = 16;
/// Most amounts of a keyset.
const AMOUNTS_MAX: usize = 64;

struct Body {
    coins: Coins,
    keysets: Keysets,
}

/// The proof that coins with the payee's witnesses fulfil a request.
pub(super) fn proof(run: &Run<'_>, request: &Signed, coins: &[Coin]) -> Vec<u8> {
    let used: BTreeSet<Id> = coins.iter().map(|coin| coin.keyset_id).collect();
    let keysets = run.held.keysets.iter().filter(|(id, _)| used.contains(id));
    let keysets = keysets.map(|(id, keyset)| (*id, keyset.clone())).collect();
    let coins = Coins { issuer: run.issuer().to_owned(), unit: run.unit(), coins: coins.to_vec() };
    let body = Body { coins, keysets };
    let proof = Proof {
        system: run.purse.system.clone(),
        issuer: run.issuer().to_owned(),
        request: request.clone(),
        body: body.to_bytes(),
    };
    proof.to_bytes()
}

/// Whether `proof` proves `claim`.
pub(super) fn judge(verifier: &dyn Verify, claim: &Claim, proof: &Proof) -> Finding {
    match proven(verifier, claim, proof) {
        Ok(by) => Finding::Proven { by },
        Err(missing) => Finding::Undecided { missing },
    }
}

/// By what the claim is proven; `Err`: what is missing.
fn proven(verifier: &dyn Verify, claim: &Claim, proof: &Proof) -> Result<String, String> {
    if proof.system.as_str() != SYSTEM {
        return Err(format!("a proof of e-cash, not of {}", proof.system));
    }
    let asked = PaymentRequest::from_bytes(proof.request.payload()).map_err(|e| format!("a payment request: {e}"))?;
    let details = Details::from_bytes(&asked.details).map_err(|e| format!("the payee's key: {e}"))?;
    if details.party.id() != claim.payee {
        return Err("a payment request of this payee".to_owned());
    }
    verify::<PaymentRequest>(verifier, &details.party, &proof.request).map_err(|e| format!("a valid request: {e}"))?;
    if asked.deal != claim.deal {
        return Err("a payment request of this deal".to_owned());
    }
    if asked.amount.currency() != claim.amount.currency() || asked.amount.minor() < claim.amount.minor() {
        return Err("a payment request of this amount".to_owned());
    }
    if !same_issuer(&asked.issuer, &proof.issuer) || asked.system != proof.system {
        return Err("coins of the mint that the request names".to_owned());
    }
    if claim.before.is_some() {
        return Err("the time of the payment: coins do not tell it".to_owned());
    }
    let body = Body::from_bytes(&proof.body).map_err(|e| format!("coins: {e}"))?;
    let unit = asked.amount.currency().code().to_ascii_lowercase();
    if body.coins.issuer != proof.issuer || body.coins.unit != unit {
        return Err("coins of the request's mint in its currency".to_owned());
    }
    body.check(&unit, &details.key)?;
    match money::worth(&body.coins.coins, &body.keysets) {
        Some(worth) if worth >= asked.amount.minor() => {
            Ok(format!("the payee's key has taken coins worth {} at {}", asked.amount, asked.issuer))
        }
        _ => Err("enough coins".to_owned()),
    }
}

impl Body {
    fn check(&self, unit: &str, payee: &PublicKey) -> Result<(), String> {
        for keyset in self.keysets.values() {
            keyset.verify_id().map_err(|_| "keys that are those of their keyset".to_owned())?;
            if keyset.unit.to_string() != unit {
                return Err("coins in the currency of the request".to_owned());
            }
        }
        let mut secrets = BTreeSet::new();
        for coin in &self.coins.coins {
            let keyset = self.keysets.get(&coin.keyset_id).ok_or("the keys of a coin")?;
            let key = keyset.keys.amount_key(coin.amount).ok_or("a key for a coin's amount")?;
            coin.verify_dleq(key).map_err(|_| "the mint's signature on a coin")?;
            if !secrets.insert(coin.secret.to_string()) {
                return Err("different coins".to_owned());
            }
            let Ok(Condition::Keys { signers, scope: Scope::Coin, .. }) = Condition::read(&coin.secret.to_string())
            else {
                return Err("coins that are locked to the payee".to_owned());
            };
            if signers != Quorum::one(*payee) {
                return Err("coins that are locked to the payee's key".to_owned());
            }
            // Not the payer's, which may be there when it took its coins back.
            if !signed_by(coin, payee) {
                return Err("the payee's signature on a coin".to_owned());
            }
        }
        Ok(())
    }
}

fn signed_by(coin: &Coin, key: &PublicKey) -> bool {
    let signatures = coin.witness.as_ref().and_then(Witness::signatures).unwrap_or_default();
    let by_key = |text: &String| {
        let signature = Signature::from_str(text);
        signature.is_ok_and(|signature| key.verify(coin.secret.as_bytes(), &signature).is_ok())
    };
    signatures.iter().take(SIGNATURES_MAX).any(by_key)
}

impl Encode for Body {
    fn to_value(&self) -> Value {
        let keysets: Vec<Value> = self.keysets.values().map(keyset_value).collect();
        record().put(0, 1_u64).put_item(1, &self.coins).put(2, keysets).build()
    }
}

impl Decode for Body {
    const BYTES_MAX: usize = HANDOVER_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let coins = fields.item(1, "coins")?;
        let keysets = fields.array(2, "keysets", KEYSETS_MAX)?;
        fields.close()?;
        let keysets = keysets.into_iter().map(|value| read_keyset(value).map_err(|e| e.within("keysets")));
        let keysets = keysets.map(|keyset| keyset.map(|keyset| (keyset.id, keyset)));
        Ok(Self { coins, keysets: keysets.collect::<Result<_, _>>()? })
    }
}

fn keyset_value(keyset: &KeySet) -> Value {
    let keys: Vec<Value> = keyset
        .keys
        .keys()
        .iter()
        .flat_map(|(amount, key)| [Value::Uint(amount.to_u64()), Value::bytes(key.to_bytes())])
        .collect();
    record()
        .put_bytes(0, keyset.id.to_bytes())
        .put(1, keyset.unit.to_string())
        .put(2, keyset.input_fee_ppk)
        .put_some(3, keyset.final_expiry)
        .put(4, keys)
        .build()
}

fn read_keyset(value: Value) -> Result<KeySet, DecodeError> {
    let wrong = |name: &str, what| DecodeError::field(name, Problem::OutOfRange(what));
    let mut fields = Fields::open(value)?;
    let id = fields.bytes(0, "id", 33)?;
    let id = Id::from_bytes(&id).map_err(|_| wrong("id", "not an identifier of a keyset"))?;
    let unit = CurrencyUnit::from_str(&fields.text(1, "unit", 16)?).map_err(|_| wrong("unit", "not a unit"))?;
    let input_fee_ppk = fields.uint(2, "fee")?;
    let final_expiry = fields.optional_item(3, "expiry")?;
    let parts = fields.array(4, "keys", 2 * AMOUNTS_MAX)?;
    fields.close()?;
    let mut keys = BTreeMap::new();
    for pair in parts.chunks(2) {
        let [Value::Uint(amount), Value::Bytes(key)] = pair else {
            return Err(wrong("keys", "not pairs of amount and key"));
        };
        let key = PublicKey::from_slice(key).map_err(|_| wrong("keys", "not a point of the curve"))?;
        keys.insert((*amount).into(), key);
    }
    Ok(KeySet { id, unit, active: None, keys: Keys::new(keys), input_fee_ppk, final_expiry })
}
