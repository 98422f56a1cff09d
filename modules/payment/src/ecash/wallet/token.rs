//! Coins on their way from one party to another.
//!
//! As text for anybody: the tokens of NUT-00, `cashuB…` written, `cashuA…` too read. Between parties of a payment: bytes,
//! ```text
//! coins = { 0: 1, 1: mint's address, 2: unit, 3: [* coin] }
//! coin  = { 0: keyset id, 1: amount, 2: secret, 3: C, ? 4: e, ? 5: s, ? 6: r, ? 7: witness }
//! ```
//! with whole keyset identifiers, so that they can be judged without the mint, and with the mint's proof that it signed (NUT-12).

use std::str::FromStr as _;

use bitcoin::base64::Engine as _;
use bitcoin::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cashu::nuts::ProofDleq;
use cashu::secret::Secret;
use cashu::{Id, Proof, PublicKey, SecretKey, Witness};
use data_encoding::HEXLOWER_PERMISSIVE;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_transfer::payment::means::ISSUER_MAX;
use semper_transfer::payment::operation::HANDOVER_MAX;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::money::{COINS_MAX, Keysets};
use crate::ecash::condition::SECRET_BYTES_MAX;

/// Longest witness, in bytes.
const WITNESS_MAX: usize = 4096;

/// Coins of one mint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coins {
    pub(super) issuer: String,
    pub(super) unit: String,
    pub(super) coins: Vec<Proof>,
}

/// Why a token's text is not readable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("this is no e-cash token")]
    Malformed,
    #[error("the token is of the mint {0}")]
    OtherMint(String),
    #[error("the token is in {0}")]
    OtherUnit(String),
    #[error("the token holds coins of a keyset that is not known here; refresh the purse first")]
    UnknownKeyset,
    #[error("the keyset of the token's coins is ambiguous")]
    Ambiguous,
    #[error("the token holds no coins, or too many")]
    Count,
}

/// A V4 token. `cashu`'s own type refuses whole keyset identifiers, and writes texts where the protocol has bytes.
#[derive(Serialize, Deserialize)]
struct V4 {
    #[serde(rename = "m")]
    mint: String,
    #[serde(rename = "u")]
    unit: String,
    #[serde(rename = "t")]
    groups: Vec<V4Group>,
}

#[derive(Serialize, Deserialize)]
struct V4Group {
    #[serde(rename = "i")]
    id: Blob,
    #[serde(rename = "p")]
    proofs: Vec<V4Proof>,
}

#[derive(Serialize, Deserialize)]
struct V4Proof {
    #[serde(rename = "a")]
    amount: u64,
    #[serde(rename = "s")]
    secret: String,
    #[serde(rename = "c")]
    c: Blob,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    dleq: Option<V4Dleq>,
    #[serde(rename = "w", alias = "witness", default, skip_serializing_if = "Option::is_none")]
    witness: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct V4Dleq {
    e: Blob,
    s: Blob,
    r: Blob,
}

/// A CBOR byte string; hexadecimal digits, which some wallets write instead, are read too.
#[derive(PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match ciborium::Value::deserialize(deserializer)? {
            ciborium::Value::Bytes(bytes) => Ok(Self(bytes)),
            ciborium::Value::Text(text) => {
                HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map(Self).map_err(D::Error::custom)
            }
            _ => Err(D::Error::custom("not bytes")),
        }
    }
}

impl V4Proof {
    fn of(coin: &Proof) -> Self {
        let scalar = |key: &SecretKey| Blob(key.to_secret_bytes().to_vec());
        let dleq = |dleq: &ProofDleq| V4Dleq { e: scalar(&dleq.e), s: scalar(&dleq.s), r: scalar(&dleq.r) };
        Self {
            amount: coin.amount.to_u64(),
            secret: coin.secret.to_string(),
            c: Blob(coin.c.to_bytes().to_vec()),
            dleq: coin.dleq.as_ref().map(dleq),
            witness: coin.witness.as_ref().map(ToString::to_string),
        }
    }

    fn coin(self, id: Id) -> Option<Proof> {
        let scalar = |bytes: Blob| SecretKey::from_slice(&bytes.0).ok();
        let dleq = match self.dleq {
            None => None,
            Some(V4Dleq { e, s, r }) => Some(ProofDleq::new(scalar(e)?, scalar(s)?, scalar(r)?)),
        };
        let witness = match self.witness {
            None => None,
            Some(text) => Some(read_witness(&text)?),
        };
        let c = PublicKey::from_slice(&self.c.0).ok()?;
        Some(Proof { witness, dleq, ..Proof::new(self.amount.into(), id, Secret::new(self.secret), c) })
    }
}

#[derive(Deserialize)]
struct V3 {
    token: Vec<V3Mint>,
    unit: Option<String>,
}

#[derive(Deserialize)]
struct V3Mint {
    mint: String,
    proofs: Vec<V3Proof>,
}

#[derive(Deserialize)]
struct V3Proof {
    id: Blob,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

impl V3Proof {
    /// The coin, with an identifier that stands for none: the token may have a short one.
    fn coin(self) -> Result<Proof, TokenError> {
        let mut object = self.rest;
        object.insert("id".to_owned(), "0000000000000000".into());
        serde_json::from_value(object.into()).map_err(|_| TokenError::Malformed)
    }
}

impl Coins {
    /// The token as text, `cashuB…`, in the order of the coins' keysets.
    pub(super) fn to_text(&self) -> String {
        let mut groups: Vec<V4Group> = Vec::new();
        for coin in &self.coins {
            let short = Blob(coin.keyset_id.to_bytes()[..8].to_vec());
            match groups.iter_mut().find(|group| group.id == short) {
                Some(group) => group.proofs.push(V4Proof::of(coin)),
                None => groups.push(V4Group { id: short, proofs: vec![V4Proof::of(coin)] }),
            }
        }
        let token = V4 { mint: self.issuer.clone(), unit: self.unit.clone(), groups };
        let mut bytes = Vec::new();
        ciborium::into_writer(&token, &mut bytes).expect("a token is written into memory");
        format!("cashuB{}", base64().encode(bytes))
    }

    /// Reads a token's text for the purse of `issuer` in `unit`.
    pub(super) fn from_text(text: &str, issuer: &str, unit: &str, keysets: &Keysets) -> Result<Self, TokenError> {
        let text = text.trim();
        let text = text.strip_prefix("cashu:").unwrap_or(text);
        let text = text.strip_prefix("//").unwrap_or(text);
        if text.len() > HANDOVER_MAX {
            return Err(TokenError::Count);
        }
        let decode = |rest: &str| base64().decode(rest).map_err(|_| TokenError::Malformed);
        let coins: Vec<Proof> = if let Some(rest) = text.strip_prefix("cashuB") {
            let token: V4 = ciborium::from_reader(decode(rest)?.as_slice()).map_err(|_| TokenError::Malformed)?;
            check_origin(std::slice::from_ref(&token.mint), Some(&token.unit), issuer, unit)?;
            let mut coins = Vec::new();
            for group in token.groups {
                let id = whole(&group.id.0, keysets)?;
                for proof in group.proofs {
                    coins.push(proof.coin(id).ok_or(TokenError::Malformed)?);
                }
            }
            coins
        } else if let Some(rest) = text.strip_prefix("cashuA") {
            let token: V3 = serde_json::from_slice(&decode(rest)?).map_err(|_| TokenError::Malformed)?;
            let mints: Vec<String> = token.token.iter().map(|part| part.mint.clone()).collect();
            check_origin(&mints, token.unit.as_deref(), issuer, unit)?;
            let proofs = token.token.into_iter().flat_map(|part| part.proofs);
            let coin = |proof: V3Proof| Ok(Proof { keyset_id: whole(&proof.id.0, keysets)?, ..proof.coin()? });
            proofs.map(coin).collect::<Result<_, TokenError>>()?
        } else {
            return Err(TokenError::Malformed);
        };
        if coins.is_empty() || coins.len() > COINS_MAX {
            return Err(TokenError::Count);
        }
        Ok(Self { issuer: issuer.to_owned(), unit: unit.to_owned(), coins })
    }
}

/// Whether two addresses are one mint's.
pub(super) fn same_issuer(one: &str, other: &str) -> bool {
    let canonical = |text: &str| cashu::mint_url::MintUrl::from_str(text).ok();
    one == other || matches!((canonical(one), canonical(other)), (Some(one), Some(other)) if one == other)
}

fn base64() -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_encode_padding(false);
    let config = config.with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&bitcoin::base64::alphabet::URL_SAFE, config.with_decode_allow_trailing_bits(true))
}

fn check_origin(mints: &[String], token_unit: Option<&str>, issuer: &str, unit: &str) -> Result<(), TokenError> {
    if let Some(other) = mints.iter().find(|mint| !same_issuer(mint, issuer)) {
        return Err(TokenError::OtherMint(other.chars().take(ISSUER_MAX).collect()));
    }
    match token_unit.filter(|other| !other.eq_ignore_ascii_case(unit)) {
        Some(other) => Err(TokenError::OtherUnit(other.chars().take(16).collect())),
        None => Ok(()),
    }
}

/// The keyset that a whole or short identifier names.
fn whole(id: &[u8], keysets: &Keysets) -> Result<Id, TokenError> {
    if id.len() < 8 {
        return Err(TokenError::Malformed);
    }
    let mut found = keysets.keys().filter(|known| known.to_bytes().starts_with(id));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(TokenError::Ambiguous),
        (Some(id), None) => Ok(*id),
        (None, _) => Err(TokenError::UnknownKeyset),
    }
}

impl Encode for Coins {
    fn to_value(&self) -> Value {
        let coins: Vec<Value> = self.coins.iter().map(coin_value).collect();
        record().put(0, 1_u64).put(1, self.issuer.as_str()).put(2, self.unit.as_str()).put(3, coins).build()
    }
}

impl Decode for Coins {
    const BYTES_MAX: usize = HANDOVER_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let issuer = fields.text(1, "issuer", ISSUER_MAX)?;
        let unit = fields.text(2, "unit", 16)?;
        let coins = fields.array(3, "coins", COINS_MAX)?;
        fields.close()?;
        if coins.is_empty() {
            return Err(DecodeError::field("coins", Problem::OutOfRange("there are none")));
        }
        let coins = coins.into_iter().map(|coin| read_coin(coin).map_err(|e| e.within("coins")));
        Ok(Self { issuer, unit, coins: coins.collect::<Result<_, _>>()? })
    }
}

fn coin_value(coin: &Proof) -> Value {
    let dleq = coin.dleq.as_ref();
    let scalar = |key: &SecretKey| Value::bytes(key.to_secret_bytes());
    record()
        .put_bytes(0, coin.keyset_id.to_bytes())
        .put(1, coin.amount.to_u64())
        .put(2, coin.secret.to_string())
        .put_bytes(3, coin.c.to_bytes())
        .put_some(4, dleq.map(|dleq| scalar(&dleq.e)))
        .put_some(5, dleq.map(|dleq| scalar(&dleq.s)))
        .put_some(6, dleq.map(|dleq| scalar(&dleq.r)))
        .put_some(7, coin.witness.as_ref().map(ToString::to_string))
        .build()
}

fn read_coin(value: Value) -> Result<Proof, DecodeError> {
    let wrong = |name: &str, what| DecodeError::field(name, Problem::OutOfRange(what));
    let mut fields = Fields::open(value)?;
    let id = fields.bytes(0, "keyset", 33)?;
    let id = Id::from_bytes(&id).map_err(|_| wrong("keyset", "not an identifier of a keyset"))?;
    let amount = fields.uint(1, "amount")?;
    let secret = Secret::new(fields.text(2, "secret", SECRET_BYTES_MAX)?);
    let c = fields.bytes(3, "signature", 33)?;
    let c = PublicKey::from_slice(&c).map_err(|_| wrong("signature", "not a point of the curve"))?;
    let mut scalar = |key, name: &str| {
        let bytes = fields.optional_item::<semper_core::hash::Digest>(key, name)?;
        let read = |bytes: semper_core::hash::Digest| SecretKey::from_slice(bytes.as_bytes());
        bytes.map(read).transpose().map_err(|_| wrong(name, "not a scalar"))
    };
    let dleq = (scalar(4, "e")?, scalar(5, "s")?, scalar(6, "r")?);
    let dleq = match dleq {
        (Some(e), Some(s), Some(r)) => Some(ProofDleq::new(e, s, r)),
        (None, None, None) => None,
        _ => return Err(wrong("proof", "a part of the proof is missing")),
    };
    let witness = match fields.optional(7) {
        None => None,
        Some(Value::Text(text)) if text.len() <= WITNESS_MAX => {
            Some(read_witness(&text).ok_or_else(|| wrong("witness", "not a witness"))?)
        }
        Some(_) => return Err(wrong("witness", "not a text, or too long")),
    };
    fields.close()?;
    Ok(Proof { witness, dleq, ..Proof::new(amount.into(), id, secret, c) })
}

/// A witness in its form on the wire: JSON in a JSON string, or the object itself.
pub(super) fn read_witness(text: &str) -> Option<Witness> {
    let nested = serde_json::Value::String(text.to_owned());
    serde_json::from_str(text).ok().or_else(|| serde_json::from_value(nested).ok())
}
