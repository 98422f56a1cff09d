//! What a coin demands of whoever spends it (NUT-10, NUT-11, NUT-14 as of July 2026): read, checked, made.
//!
//! Start at [`Condition::read`] and [`check_inputs`]. What must never happen here: a coin that somebody locked is given to one who knows
//! only its secret. So, where the texts leave room:
//! - a secret that begins with `[` is a condition or is refused; it is never taken for a plain secret because something in it is wrong or
//!   of a kind that we do not know;
//! - a known tag that is doubled, has a value of the wrong form, or asks for more keys than there are, makes the coin unspendable, as the
//!   text demands. The exception is in the text too: a `locktime` that is no time is a lock without end. Unknown tags are ignored;
//! - before and at the locktime a lock is active, after it has passed it is expired;
//! - a key counts once, whatever the number of its signatures; a signature that is not well-formed is as good as none.
//!
//! Beyond the texts there are bounds: [`KEYS_MAX`], [`SIGNATURES_MAX`], [`SECRET_BYTES_MAX`], [`CHECKS_MAX`].

use std::collections::BTreeSet;
use std::str::FromStr as _;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::Message;
use bitcoin::secp256k1::schnorr::Signature;
use cashu::nut10::SpendingConditionVerification as _;
use cashu::{P2PKWitness, Proof, PublicKey, SECP256K1, SecretKey, SwapRequest, Witness};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use semper_core::time::Time;
use serde::Deserialize;
use serde_json::json;

/// Most keys on one path of a condition.
pub const KEYS_MAX: usize = 20;
/// Most signatures in one witness.
pub const SIGNATURES_MAX: usize = 20;
/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 4096;
/// Most signatures that are tried for one request, each with one key: a fifth of a second.
pub const CHECKS_MAX: usize = 5000;

/// What a coin demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: whoever knows the secret has the coin.
    Bearer,
    /// Signatures (NUT-11).
    Keys {
        /// Who must sign.
        signers: Quorum,
        /// What changes with time.
        later: Later,
        /// What they sign.
        scope: Scope,
    },
    /// The 32 bytes behind a SHA-256 hash, and signatures (NUT-14).
    Hash {
        /// The hash.
        hash: [u8; 32],
        /// Who must sign; `None`: nobody.
        signers: Option<Quorum>,
        /// What changes with time.
        later: Later,
        /// What they sign.
        scope: Scope,
    },
}

/// Some of several keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// The keys: 1 to [`KEYS_MAX`], no two with one x coordinate.
    keys: Vec<PublicKey>,
    /// How many must sign: 1 to the number of keys.
    needed: usize,
}

/// What changes when a time has passed. What was allowed before stays allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Later {
    /// Nothing.
    Never,
    /// These may spend as well, without any hash.
    Refund {
        /// The last second in which they may not.
        after: Time,
        /// Who must sign.
        to: Quorum,
    },
    /// Everybody who knows the secret may spend. Never made here, but the text allows it.
    Anybody {
        /// The last second in which they may not.
        after: Time,
    },
}

/// What a signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The coin alone: who has the signature may send the money anywhere (`SIG_INPUTS`).
    Coin,
    /// All coins and all outputs of the request: the signature names the payout (`SIG_ALL`).
    Request,
}

/// Why a condition is not readable or not met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionError {
    /// The secret looks like a condition, and is not one. Its coin cannot be spent.
    #[error("the secret is a malformed condition: {0}")]
    Malformed(&'static str),
    /// The secret is a condition of a kind that is not supported. Its coin cannot be spent here.
    #[error("the secret is a condition of an unknown kind")]
    UnknownKind,
    /// Signatures that were needed are missing or false.
    #[error("valid signatures are missing")]
    Unsigned,
    /// The preimage is missing or is not that of the hash.
    #[error("the preimage is missing or wrong")]
    Preimage,
    /// Some input is signed for the whole request, and another input has another condition.
    #[error("one input is locked with SIG_ALL, and not all inputs have the same condition")]
    Mixed,
    /// A bound is exceeded.
    #[error("too much to check: {0}")]
    TooMuch(&'static str),
    /// Asked to sign for a coin that needs no signature of this key, or whose signature would be good for any payout.
    #[error("the request is not locked to this key with SIG_ALL")]
    NotOurs,
}

/// Checks that every input of a request may be spent at `now`.
///
/// `message` is what signatures of [`Scope::Request`] are over: `sig_all_msg_to_sign` of the request.
///
/// # Errors
/// [`ConditionError`]: the first input that is wrong decides.
pub fn check_inputs(inputs: &[Proof], now: Time, message: impl FnOnce() -> String) -> Result<(), ConditionError> {
    let texts = inputs.iter().map(|input| Text::read(input.secret.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let conditions = texts.iter().map(Condition::of).collect::<Result<Vec<_>, _>>()?;
    let mut checks = CHECKS_MAX;
    if conditions.iter().all(|condition| condition.scope() == Scope::Coin) {
        let inputs = inputs.iter().zip(&conditions);
        return inputs.into_iter().try_for_each(|(input, condition)| {
            condition.check(now, input.witness.as_ref(), input.secret.as_bytes(), &mut checks)
        });
    }
    if texts.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(ConditionError::Mixed);
    }
    let witness = inputs.first().and_then(|first| first.witness.as_ref());
    conditions.first().map_or(Ok(()), |first| first.check(now, witness, message().as_bytes(), &mut checks))
}

/// The signature of one of the signers of a lock on a named payout: for the coins and outputs of `request`, and no others.
///
/// Gives 128 hexadecimal digits for [`add_signatures`].
///
/// # Errors
/// `NotOurs`: an input is not locked with [`Scope::Request`], or `key` is not among its signers; a signature would be useless, or a blank
/// cheque. `Mixed`, `Malformed`, `UnknownKind`: such a request is never granted.
pub fn cosign(request: &SwapRequest, key: &SecretKey) -> Result<String, ConditionError> {
    let texts =
        request.inputs().iter().map(|input| Text::read(input.secret.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    if texts.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(ConditionError::Mixed);
    }
    let condition = texts.first().map_or(Ok(Condition::Bearer), Condition::of)?;
    if condition.scope() != Scope::Request || !condition.may_sign(&key.public_key()) {
        return Err(ConditionError::NotOurs);
    }
    let signature = key.sign(request.sig_all_msg_to_sign().as_bytes()).map_err(|_| ConditionError::NotOurs)?;
    Ok(signature.to_string())
}

/// Adds signatures to the witness of an input.
pub fn add_signatures(input: &mut Proof, signatures: Vec<String>) {
    let empty = || Witness::P2PKWitness(P2PKWitness { signatures: Vec::new() });
    input.witness.get_or_insert_with(empty).add_signatures(signatures);
}

impl Condition {
    /// The condition in a coin's secret.
    ///
    /// # Errors
    /// `Malformed`, `UnknownKind`, `TooMuch`: the coin cannot be spent.
    pub fn read(secret: &str) -> Result<Self, ConditionError> {
        Self::of(&Text::read(secret.as_bytes())?)
    }

    /// Locked to one key; with a refund, the payer may take it back after a date.
    pub fn to_key(key: PublicKey, refund: Option<(PublicKey, Time)>) -> Self {
        Self::Keys { signers: Quorum::one(key), later: Later::refund(refund), scope: Scope::Coin }
    }

    /// Two of payer, payee and arbiter must sign the whole request, so that a signature names the payout; after a date the payer alone
    /// may take the coin back.
    ///
    /// # Errors
    /// `Malformed`: two of the keys are one.
    pub fn two_of_three(
        payer: PublicKey,
        payee: PublicKey,
        arbiter: PublicKey,
        refund_after: Time,
    ) -> Result<Self, ConditionError> {
        let signers = Quorum::new(vec![payee, payer, arbiter], 2)?;
        Ok(Self::Keys { signers, later: Later::refund(Some((payer, refund_after))), scope: Scope::Request })
    }

    /// Whoever shows the 32 bytes behind `hash` and signs as `payee` may spend; after a date the payer alone may take it back.
    pub fn to_hash(hash: [u8; 32], payee: PublicKey, refund: Option<(PublicKey, Time)>) -> Self {
        Self::Hash { hash, signers: Some(Quorum::one(payee)), later: Later::refund(refund), scope: Scope::Coin }
    }

    /// The secret of a coin with this condition; for [`Condition::Bearer`] the nonce in hexadecimal digits.
    ///
    /// `nonce` must be random, and used once: it alone keeps the mint from knowing the coin when it signs it.
    pub fn secret(&self, nonce: &[u8; 32]) -> String {
        let nonce = HEXLOWER.encode(nonce);
        let (kind, data, others, signers, later, scope) = match self {
            Self::Bearer => return nonce,
            Self::Keys { signers, later, scope } => {
                ("P2PK", signers.keys[0].to_hex(), &signers.keys[1..], Some(signers), later, *scope)
            }
            Self::Hash { hash, signers, later, scope } => {
                let keys = signers.as_ref().map_or(&[][..], |signers| &signers.keys);
                ("HTLC", HEXLOWER.encode(hash), keys, signers.as_ref(), later, *scope)
            }
        };
        let mut tags = Vec::new();
        if !others.is_empty() {
            tags.push(tag("pubkeys", others));
        }
        if let Some(signers) = signers.filter(|signers| signers.needed > 1) {
            tags.push(vec!["n_sigs".to_owned(), signers.needed.to_string()]);
        }
        later.add_tags(&mut tags);
        let scope = if scope == Scope::Request { "SIG_ALL" } else { "SIG_INPUTS" };
        tags.push(vec!["sigflag".to_owned(), scope.to_owned()]);
        json!([kind, { "nonce": nonce, "data": data, "tags": tags }]).to_string()
    }

    /// What its signatures cover.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Bearer => Scope::Coin,
            Self::Keys { scope, .. } | Self::Hash { scope, .. } => *scope,
        }
    }

    /// Checks a witness at `now`; `checks` is how many signatures may still be tried.
    fn check(
        &self,
        now: Time,
        witness: Option<&Witness>,
        message: &[u8],
        checks: &mut usize,
    ) -> Result<(), ConditionError> {
        let (later, hash, signers) = match self {
            Self::Bearer => return Ok(()),
            Self::Keys { signers, later, .. } => (later, None, Some(signers)),
            Self::Hash { hash, signers, later, .. } => (later, Some(hash), signers.as_ref()),
        };
        if matches!(later, Later::Anybody { after } if *after < now) {
            return Ok(());
        }
        let opened = hash.is_none_or(|hash| opens(witness, hash));
        let mut signed = Signed::new(witness, message, checks)?;
        if opened && signers.map_or(Ok(true), |signers| signed.by(signers))? {
            return Ok(());
        }
        match later {
            Later::Refund { after, to } if *after < now && signed.by(to)? => Ok(()),
            _ if opened => Err(ConditionError::Unsigned),
            _ => Err(ConditionError::Preimage),
        }
    }

    fn may_sign(&self, key: &PublicKey) -> bool {
        let (signers, later) = match self {
            Self::Bearer => return false,
            Self::Keys { signers, later, .. } => (Some(signers), later),
            Self::Hash { signers, later, .. } => (signers.as_ref(), later),
        };
        let refund = if let Later::Refund { to, .. } = later { Some(to) } else { None };
        let mut keys = signers.into_iter().chain(refund).flat_map(|quorum| &quorum.keys);
        keys.any(|signer| signer.x_only_public_key() == key.x_only_public_key())
    }

    fn of(text: &Text) -> Result<Self, ConditionError> {
        let Text::Condition { kind, data, tags } = text else { return Ok(Self::Bearer) };
        let tags = Tags { tags };
        let scope = tags.scope()?;
        let later = tags.later()?;
        match kind.as_str() {
            "P2PK" => {
                let mut keys = vec![key(data)?];
                keys.extend(tags.keys("pubkeys")?.unwrap_or_default());
                Ok(Self::Keys { signers: Quorum::new(keys, tags.count("n_sigs")?)?, later, scope })
            }
            "HTLC" => {
                let hash = bytes32(data).ok_or(ConditionError::Malformed("a hash has 64 hexadecimal digits"))?;
                let signers = match tags.keys("pubkeys")? {
                    Some(keys) => Some(Quorum::new(keys, tags.count("n_sigs")?)?),
                    None if tags.values("n_sigs")?.is_some() => {
                        return Err(ConditionError::Malformed("n_sigs without pubkeys"));
                    }
                    None => None,
                };
                Ok(Self::Hash { hash, signers, later, scope })
            }
            _ => Err(ConditionError::UnknownKind),
        }
    }
}

impl Quorum {
    /// `needed` of `keys`.
    ///
    /// # Errors
    /// `Malformed`: no key, two with one x coordinate, none needed, or more needed than there are. `TooMuch`: too many keys.
    pub fn new(keys: Vec<PublicKey>, needed: usize) -> Result<Self, ConditionError> {
        if keys.len() > KEYS_MAX {
            return Err(ConditionError::TooMuch("keys of a condition"));
        }
        let distinct: BTreeSet<_> = keys.iter().map(|key| key.x_only_public_key().serialize()).collect();
        if distinct.len() != keys.len() {
            return Err(ConditionError::Malformed("a key stands twice"));
        }
        if needed == 0 || needed > keys.len() {
            return Err(ConditionError::Malformed("the number of signatures is not that of some of the keys"));
        }
        Ok(Self { keys, needed })
    }

    /// One key.
    pub fn one(key: PublicKey) -> Self {
        Self { keys: vec![key], needed: 1 }
    }

    /// The keys.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// How many of them must sign.
    pub fn needed(&self) -> usize {
        self.needed
    }
}

impl Later {
    fn refund(refund: Option<(PublicKey, Time)>) -> Self {
        refund.map_or(Self::Never, |(key, after)| Self::Refund { after, to: Quorum::one(key) })
    }

    fn add_tags(&self, tags: &mut Vec<Vec<String>>) {
        if let Self::Refund { after, .. } | Self::Anybody { after } = self {
            tags.push(vec!["locktime".to_owned(), after.unix().to_string()]);
        }
        if let Self::Refund { to, .. } = self {
            tags.push(tag("refund", &to.keys));
            if to.needed > 1 {
                tags.push(vec!["n_sigs_refund".to_owned(), to.needed.to_string()]);
            }
        }
    }
}

/// A secret as it is written; two are equal if they differ at most in their nonces.
#[derive(PartialEq)]
enum Text {
    Plain,
    Condition { kind: String, data: String, tags: Vec<Vec<String>> },
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "nonce")]
    _nonce: String,
    data: String,
    tags: Option<Vec<Vec<String>>>,
}

impl Text {
    fn read(secret: &[u8]) -> Result<Self, ConditionError> {
        if secret.len() > SECRET_BYTES_MAX {
            return Err(ConditionError::TooMuch("length of a secret"));
        }
        if !secret.trim_ascii_start().starts_with(b"[") {
            return Ok(Self::Plain);
        }
        let (kind, body): (String, Body) = serde_json::from_slice(secret)
            .map_err(|_| ConditionError::Malformed("not of the form [kind, {nonce, data, tags}]"))?;
        let tags = body.tags.unwrap_or_default();
        if tags.iter().any(|tag| tag.is_empty() || tag.iter().any(String::is_empty)) {
            return Err(ConditionError::Malformed("a tag is empty or has an empty part"));
        }
        Ok(Self::Condition { kind, data: body.data, tags })
    }
}

/// The tags of a condition.
struct Tags<'a> {
    tags: &'a [Vec<String>],
}

impl Tags<'_> {
    /// The values of a tag that may stand once.
    fn values(&self, name: &str) -> Result<Option<&[String]>, ConditionError> {
        let mut found = self.tags.iter().filter(|tag| tag[0] == name);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(ConditionError::Malformed("a tag stands twice")),
            (tag, _) => Ok(tag.map(|tag| &tag[1..])),
        }
    }

    fn keys(&self, name: &str) -> Result<Option<Vec<PublicKey>>, ConditionError> {
        let Some(values) = self.values(name)? else { return Ok(None) };
        if values.len() > KEYS_MAX {
            return Err(ConditionError::TooMuch("keys of a condition"));
        }
        values.iter().map(|value| key(value)).collect::<Result<_, _>>().map(Some)
    }

    /// A positive number; 1 if there is no such tag.
    fn count(&self, name: &str) -> Result<usize, ConditionError> {
        match self.values(name)? {
            None => Ok(1),
            Some([value]) => decimal(value)
                .and_then(|count| usize::try_from(count).ok())
                .filter(|count| *count > 0)
                .ok_or(ConditionError::Malformed("a number of signatures is not positive")),
            Some(_) => Err(ConditionError::Malformed("a number of signatures is not one value")),
        }
    }

    fn scope(&self) -> Result<Scope, ConditionError> {
        match self.values("sigflag")? {
            None => Ok(Scope::Coin),
            Some([flag]) if flag == "SIG_INPUTS" => Ok(Scope::Coin),
            Some([flag]) if flag == "SIG_ALL" => Ok(Scope::Request),
            Some(_) => Err(ConditionError::Malformed("an unknown signature flag")),
        }
    }

    fn later(&self) -> Result<Later, ConditionError> {
        let refund = match self.keys("refund")? {
            Some(keys) => Some(Quorum::new(keys, self.count("n_sigs_refund")?)?),
            None if self.values("n_sigs_refund")?.is_some() => {
                return Err(ConditionError::Malformed("n_sigs_refund without refund"));
            }
            None => None,
        };
        let after = match self.values("locktime")? {
            Some([value]) => decimal(value).map(Time::from_unix),
            _ => None,
        };
        Ok(match (after, refund) {
            (None, _) => Later::Never,
            (Some(after), Some(to)) => Later::Refund { after, to },
            (Some(after), None) => Later::Anybody { after },
        })
    }
}

/// The signatures of a witness, and the message that they must be over.
struct Signed<'a> {
    signatures: Vec<Signature>,
    message: Message,
    checks: &'a mut usize,
}

impl<'a> Signed<'a> {
    fn new(witness: Option<&Witness>, message: &[u8], checks: &'a mut usize) -> Result<Self, ConditionError> {
        let signatures = witness.and_then(Witness::signatures).unwrap_or_default();
        if signatures.len() > SIGNATURES_MAX {
            return Err(ConditionError::TooMuch("signatures of a witness"));
        }
        let signatures = signatures.iter().filter_map(|text| Signature::from_str(text).ok()).collect();
        let message = Message::from_digest(sha256::Hash::hash(message).to_byte_array());
        Ok(Self { signatures, message, checks })
    }

    /// Whether enough of the keys signed. No two keys have one x coordinate, so no signature counts twice.
    fn by(&mut self, quorum: &Quorum) -> Result<bool, ConditionError> {
        let mut found = 0;
        for key in &quorum.keys {
            found += usize::from(self.by_key(key)?);
            if found == quorum.needed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn by_key(&mut self, key: &PublicKey) -> Result<bool, ConditionError> {
        let key = key.x_only_public_key();
        for signature in &self.signatures {
            *self.checks = self.checks.checked_sub(1).ok_or(ConditionError::TooMuch("signatures of a request"))?;
            if SECP256K1.verify_schnorr(signature, &self.message, &key).is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn opens(witness: Option<&Witness>, hash: &[u8; 32]) -> bool {
    let preimage = witness.and_then(Witness::preimage).and_then(|preimage| bytes32(&preimage));
    preimage.is_some_and(|preimage| sha256::Hash::hash(&preimage).as_byte_array() == hash)
}

fn bytes32(hex: &str) -> Option<[u8; 32]> {
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok()
}

fn key(hex: &str) -> Result<PublicKey, ConditionError> {
    PublicKey::from_hex(hex).map_err(|_| ConditionError::Malformed("a key is not a compressed point"))
}

/// A number in decimal digits and nothing else.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn tag(name: &str, keys: &[PublicKey]) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(keys.iter().map(PublicKey::to_hex)).collect()
}
