//! Contact cards: what a party says about itself, signed by the key set that it is about.
//!
//! A card proves that its key set speaks for itself and nothing more. Whether the name on it is true is known from a certificate
//! ([`ContactCard::certified`]) or from a person who reads the [`Fingerprint`] out over the telephone.
//!
//! ```text
//! contact-card = { 0: 1, 1: name, 2: key-set, 3: kem suite, 4: kem public key, 5: [* inbox], 6: key-set (transport),
//!                  7: [* certificate (DER)], 8: [* service], 9: time, ? 10: id of the card that this one replaces }
//! service = { 0: "arbiter", 1: key-set (log), 2: rules hash, ? 3: [+ [payment system, key for locks]] } / { 0: "time-stamps", 1: url }
//!         / { 0: "in-line", 1: [* issuer] }
//! ```
//! Source: `spec/certificates.md` §5.

use std::fmt;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::cose::{Kind, Signed, Statement};
use semper_core::hash::Digest;
use semper_core::ids::{KeySetId, StatementId};
use semper_core::party::KeySet;
use semper_core::signature::{self, SignatureError, Verified, Verify};
use semper_core::time::Time;
use semper_support::channel::InboxAddress;
use semper_support::crypto::KemSuite;

use crate::armour::{self, ArmourError};
use crate::name::{self, NAME_CHARS_MAX, NameError};
use crate::path::{CERTIFICATE_BYTES_MAX, CHAIN_MAX, Certified, PathError, Trust};

/// Largest signed card, in bytes.
pub const CARD_BYTES_MAX: usize = 96 * 1024;
/// Largest armoured card, in bytes of text.
pub const CARD_TEXT_MAX: usize = 3 * CARD_BYTES_MAX / 2;
/// Most inboxes on a card.
pub const INBOXES_MAX: usize = 8;
/// Most services on a card.
pub const SERVICES_MAX: usize = 8;
/// Most keys for locks of one arbiter.
pub const LOCK_KEYS_MAX: usize = 8;
/// Most issuers at which an arbiter takes money into its hands, if it names them.
pub const ISSUERS_MAX: usize = 32;
/// Longest name of a payment system, in bytes.
const SYSTEM_MAX: usize = 16;
/// Longest address of an issuer, in bytes.
const ISSUER_MAX: usize = 256;
/// Longest key for locks, in bytes.
const LOCK_KEY_MAX: usize = 8 * 1024;

/// A public key that documents and deposits are sealed for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SealingKey {
    /// How to seal.
    pub suite: KemSuite,
    /// The public key, in the suite's form.
    pub public_key: Vec<u8>,
}

/// What a party offers to others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// It decides disputes as an arbiter. Deposits of information are made for the card's [`ContactCard::sealing_key`].
    Arbiter {
        /// Who signs its log.
        log: KeySet,
        /// Hash of the rules that it follows.
        rules: Digest,
        /// Its keys for locks of money, one for each payment system that it knows, in the order of their names; at most
        /// [`LOCK_KEYS_MAX`].
        lock_keys: Vec<LockKey>,
    },
    /// It takes money into its hands, as the arbiter of parties that agree to that, and pays it on or back (`spec/ix.md`).
    InLine {
        /// The mints and banks at which it does, at most [`ISSUERS_MAX`]; any if none is named.
        issuers: Vec<String>,
    },
    /// It stands for its customers (`spec/cover.md`).
    Guarantor {
        /// Where it answers: an `http` or `https` URL.
        url: String,
    },
    /// It dates things, by RFC 3161.
    TimeStamps {
        /// Where requests go: an `http` or `https` URL.
        url: String,
    },
}

/// An arbiter's key for the locks of a payment system.
///
/// ```text
/// lock-key = [payment system, key]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockKey {
    /// The name of the payment system: at most 16 bytes.
    pub system: String,
    /// The key, in the system's form: 1 byte to 8 KiB.
    pub key: Vec<u8>,
}

/// What a party says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContactCard {
    /// What it calls itself: one line of at most [`NAME_CHARS_MAX`] characters that are shown as they are.
    pub name: String,
    /// Its key set, which signs the card.
    pub key_set: KeySet,
    /// The key that documents for it are sealed for.
    pub sealing_key: SealingKey,
    /// Where it takes messages, best first; at most [`INBOXES_MAX`].
    pub inboxes: Vec<InboxAddress>,
    /// The key set that signs its inboxes' receipts.
    pub transport: KeySet,
    /// A certificate of its name and key set and those of the issuers, DER; may be empty.
    pub certificates: Vec<Vec<u8>>,
    /// What it offers; at most [`SERVICES_MAX`].
    pub services: Vec<Service>,
    /// When the card was made.
    pub time: Time,
    /// The card that this one replaces.
    pub replaces: Option<StatementId>,
}

/// Why a contact card was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The file is not an armoured contact card.
    #[error(transparent)]
    Armour(#[from] ArmourError),
    /// Not a contact card, or one that breaks a rule of its form.
    #[error("contact card: {0}")]
    Malformed(#[from] DecodeError),
    /// It is not signed by the key set on it.
    #[error("contact card: {0}")]
    Signature(#[from] SignatureError),
}

/// Why no authority vouches for the name on a card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotCertified {
    /// The card has no certificate.
    #[error("the contact card has no certificate")]
    NoCertificate,
    /// The certificate proves nothing.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The certificate is good but is about another name.
    #[error("the certificate says {certified}, the contact card says {claimed}")]
    OtherName {
        /// The name in the certificate.
        certified: String,
        /// The name on the card.
        claimed: String,
    },
}

impl ContactCard {
    /// Reads a signed card in its binary form and checks that the key set on it signed it.
    ///
    /// # Errors
    /// `Malformed`, `Signature`.
    pub fn verify(bytes: &[u8], verify: &dyn Verify) -> Result<Verified<Self>, CardError> {
        if bytes.len() > CARD_BYTES_MAX {
            return Err(DecodeError::field("", Problem::Oversized { limit: CARD_BYTES_MAX }).into());
        }
        let signed = Signed::from_bytes(bytes)?;
        let claimed = <Self as Decode>::from_bytes(signed.payload())?;
        Ok(signature::verify(verify, &claimed.key_set, &signed)?)
    }

    /// Reads a signed card from its text form, `-----BEGIN SEMPER CONTACT-----`.
    ///
    /// # Errors
    /// `Armour`, `Malformed`, `Signature`.
    pub fn verify_text(text: &str, verify: &dyn Verify) -> Result<Verified<Self>, CardError> {
        Self::verify(&armour::decode(armour::CONTACT, text, CARD_TEXT_MAX)?, verify)
    }

    /// The text form of a signed card.
    pub fn to_text(signed: &Signed) -> String {
        armour::encode(armour::CONTACT, signed.bytes())
    }

    /// Checks the rules of a card's form; the card of a `Verified` has passed. To be called before a card is signed.
    ///
    /// # Errors
    /// [`DecodeError`] names the field.
    pub fn check(&self) -> Result<(), DecodeError> {
        name::check_name(&self.name)
            .map_err(|_| rule("name", "a name is one line of at most 64 characters shown as they are"))?;
        check_kem_key("sealing key", self.sealing_key.suite, &self.sealing_key.public_key)?;
        check_count("inboxes", self.inboxes.len(), INBOXES_MAX)?;
        for inbox in &self.inboxes {
            name::check_url(&inbox.url)
                .map_err(|_: NameError| rule("inbox url", "an inbox is at an http or https url"))?;
            check_kem_key("inbox key", inbox.suite, &inbox.public_key)?;
        }
        check_count("certificates", self.certificates.len(), CHAIN_MAX)?;
        if let Some(long) = self.certificates.iter().find(|der| der.len() > CERTIFICATE_BYTES_MAX) {
            return Err(DecodeError::field(
                "certificate",
                Problem::WrongLength { expected: CERTIFICATE_BYTES_MAX, found: long.len() },
            ));
        }
        check_count("services", self.services.len(), SERVICES_MAX)?;
        self.services.iter().try_for_each(Service::check)
    }

    /// What a trusted authority says about this party at `now`: that the name on the card is the name of its key set.
    ///
    /// # Errors
    /// [`NotCertified`]; then the name is only what the party calls itself.
    pub fn certified(&self, trust: &Trust, now: Time) -> Result<Certified, NotCertified> {
        if self.certificates.is_empty() {
            return Err(NotCertified::NoCertificate);
        }
        let certified = trust.verify(&self.certificates, self.key_set.id(), now)?;
        if certified.name() != self.name {
            let claimed = self.name.clone();
            return Err(NotCertified::OtherName { certified: certified.name().to_owned(), claimed });
        }
        Ok(certified)
    }

    /// The numbers to compare over the telephone.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.key_set.id())
    }
}

/// Whether `new` may stand in the place of `old` without asking: the same key set made it, it names `old`, and it is younger.
pub fn replaces(new: &Verified<ContactCard>, old: &Verified<ContactCard>) -> bool {
    new.signer() == old.signer()
        && new.statement().replaces == Some(old.id())
        && new.statement().time > old.statement().time
}

/// A key set as numbers to be read out aloud: ten groups of five digits.
///
/// Group `i` is bytes `3i` to `3i + 2` of the key set's identifier, as a number, modulo 100000. To find another key set with the
/// same numbers takes about 2^166 attempts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u32; 10]);

impl Fingerprint {
    /// The fingerprint of a key set.
    pub fn of(key_set: KeySetId) -> Self {
        let mut groups = [0; 10];
        for (group, bytes) in groups.iter_mut().zip(key_set.as_bytes().chunks_exact(3)) {
            *group = bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)) % 100_000;
        }
        Self(groups)
    }

    /// Whether `typed` has the same 50 digits; white space and hyphens between them do not matter.
    pub fn matches(&self, typed: &str) -> bool {
        let digits: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        digits == self.to_string().replace(' ', "")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{group:05}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Statement for ContactCard {
    const KIND: Kind = Kind::ContactCard;
}

impl Encode for ContactCard {
    fn to_value(&self) -> Value {
        let certificates: Vec<Value> = self.certificates.iter().map(|der| Value::bytes(der.as_slice())).collect();
        record()
            .put(0, 1_u64)
            .put(1, self.name.as_str())
            .put_item(2, &self.key_set)
            .put(3, self.sealing_key.suite.code())
            .put_bytes(4, &self.sealing_key.public_key)
            .put_list(5, &self.inboxes)
            .put_item(6, &self.transport)
            .put(7, certificates)
            .put_list(8, &self.services)
            .put_item(9, &self.time)
            .put_some(10, self.replaces.map(|id| id.to_value()))
            .build()
    }
}

impl Decode for ContactCard {
    const BYTES_MAX: usize = CARD_BYTES_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let name = fields.text(1, "name", 4 * NAME_CHARS_MAX)?;
        let key_set = fields.item(2, "key set")?;
        let suite = kem_suite(fields.uint(3, "sealing suite")?)?;
        let public_key = fields.bytes(4, "sealing key", 4096)?;
        let inboxes = fields.list(5, "inboxes", INBOXES_MAX)?;
        let transport = fields.item(6, "transport")?;
        let certificates = fields.list(7, "certificates", CHAIN_MAX)?;
        let services = fields.list(8, "services", SERVICES_MAX)?;
        let time = fields.item(9, "time")?;
        let replaces = fields.optional_item(10, "replaces")?;
        fields.close()?;
        let sealing_key = SealingKey { suite, public_key };
        let card = Self { name, key_set, sealing_key, inboxes, transport, certificates, services, time, replaces };
        card.check()?;
        Ok(card)
    }
}

impl Encode for Service {
    fn to_value(&self) -> Value {
        match self {
            Service::Arbiter { log, rules, lock_keys } => {
                let keys =
                    (!lock_keys.is_empty()).then(|| Value::Array(lock_keys.iter().map(Encode::to_value).collect()));
                record().put(0, "arbiter").put_item(1, log).put_item(2, rules).put_some(3, keys).build()
            }
            Service::Guarantor { url } => record().put(0, "guarantor").put(1, url.as_str()).build(),
            Service::TimeStamps { url } => record().put(0, "time-stamps").put(1, url.as_str()).build(),
            Service::InLine { issuers } => record().put(0, "in-line").put_list(1, issuers).build(),
        }
    }
}

impl Decode for Service {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let kind = fields.text(0, "kind", 32)?;
        if kind == "time-stamps" {
            let url = fields.text(1, "url", 2048)?;
            fields.close()?;
            return Ok(Service::TimeStamps { url });
        }
        if kind == "guarantor" {
            let url = fields.text(1, "url", ISSUER_MAX)?;
            fields.close()?;
            return Ok(Service::Guarantor { url });
        }
        if kind == "in-line" {
            let issuers = fields.list(1, "issuers", ISSUERS_MAX)?;
            fields.close()?;
            return Ok(Service::InLine { issuers });
        }
        if kind != "arbiter" {
            return Err(DecodeError::field("kind", Problem::Unknown { what: "service", found: format!("{kind:?}") }));
        }
        let log = fields.item(1, "log")?;
        let rules = fields.item(2, "rules")?;
        // None are left out: there is one encoding of nothing.
        let lock_keys = match fields.optional(3) {
            None => Vec::new(),
            Some(Value::Array(keys)) if !keys.is_empty() && keys.len() <= LOCK_KEYS_MAX => keys
                .into_iter()
                .map(LockKey::from_value)
                .collect::<Result<_, _>>()
                .map_err(|e| e.within("lock keys"))?,
            Some(_) => return Err(rule("lock keys", "a list of 1 to 8 keys, or none")),
        };
        fields.close()?;
        Ok(Service::Arbiter { log, rules, lock_keys })
    }
}

impl Service {
    fn check(&self) -> Result<(), DecodeError> {
        let lock_keys = match self {
            Service::Arbiter { lock_keys, .. } => lock_keys,
            Service::Guarantor { url } => {
                let good = url.len() <= ISSUER_MAX && name::check_url(url).is_ok();
                return if good { Ok(()) } else { Err(rule("url", "an http or https url")) };
            }
            Service::TimeStamps { url } => {
                return name::check_url(url).map(drop).map_err(|_| rule("url", "an http or https url"));
            }
            Service::InLine { issuers } => {
                check_count("issuers", issuers.len(), ISSUERS_MAX)?;
                let good = |issuer: &String| issuer.len() <= ISSUER_MAX && name::check_url(issuer).is_ok();
                let good = issuers.iter().all(good);
                return if good { Ok(()) } else { Err(rule("issuers", "http or https urls")) };
            }
        };
        check_count("lock keys", lock_keys.len(), LOCK_KEYS_MAX)?;
        let in_order = lock_keys.is_sorted_by(|a, b| a.system < b.system);
        let fits =
            |key: &LockKey| (1..=SYSTEM_MAX).contains(&key.system.len()) && (1..=LOCK_KEY_MAX).contains(&key.key.len());
        if in_order && lock_keys.iter().all(fits) {
            return Ok(());
        }
        Err(rule("lock keys", "one key for each system, in the order of their names"))
    }
}

impl Encode for LockKey {
    fn to_value(&self) -> Value {
        Value::Array(vec![self.system.as_str().into(), Value::bytes(self.key.as_slice())])
    }
}

impl Decode for LockKey {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        match value {
            Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
                Ok([system, key]) => Ok(Self { system: String::from_value(system)?, key: Vec::from_value(key)? }),
                Err(_) => Err(rule("", "a system and a key")),
            },
            _ => Err(rule("", "a system and a key")),
        }
    }
}

fn kem_suite(code: u64) -> Result<KemSuite, DecodeError> {
    KemSuite::from_code(code)
        .ok_or_else(|| DecodeError::field("sealing suite", Problem::Unknown { what: "suite", found: code.to_string() }))
}

fn check_kem_key(field: &str, suite: KemSuite, key: &[u8]) -> Result<(), DecodeError> {
    let expected = match suite {
        KemSuite::X25519 => 32,
        KemSuite::MlKem768 => 1184,
        KemSuite::XWing => 1216,
    };
    if key.len() == expected {
        return Ok(());
    }
    Err(DecodeError::field(field, Problem::WrongLength { expected, found: key.len() }))
}

fn check_count(field: &str, count: usize, limit: usize) -> Result<(), DecodeError> {
    if count <= limit { Ok(()) } else { Err(DecodeError::field(field, Problem::Oversized { limit })) }
}

fn rule(field: &str, rule: &'static str) -> DecodeError {
    DecodeError::field(field, Problem::OutOfRange(rule))
}
