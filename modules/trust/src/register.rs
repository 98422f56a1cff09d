//! What a certification authority must remember: its own certificate, what it issued, what it revoked. Public data; the private
//! key is kept elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::ids::KeySetId;
use semper_core::time::{Seconds, Time};

use crate::name;
use crate::path::CERTIFICATE_BYTES_MAX;

/// Most certificates that one authority issues. A larger one opens a second authority.
pub const ISSUED_MAX: usize = 100_000;

/// A certificate's serial number: 16 random bytes, the first between 0x40 and 0x7f, so that it is positive and of fixed length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; 16]);

impl Serial {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// Makes a serial number of 16 random bytes; 126 bits of them stay.
    pub fn from_random(mut bytes: [u8; Self::LEN]) -> Self {
        bytes[0] = bytes[0] & 0x3f | 0x40;
        Self(bytes)
    }

    /// The bytes, as they stand in the certificate.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Reads the form that `Display` writes: 32 hexadecimal digits of either case, as `openssl x509 -serial` shows them.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        Self::from_array(bytes.try_into().ok()?)
    }

    fn from_array(bytes: [u8; Self::LEN]) -> Option<Self> {
        (Self::from_random(bytes).0 == bytes).then_some(Self(bytes))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl Encode for Serial {
    fn to_value(&self) -> Value {
        Value::bytes(self.0)
    }
}

impl Decode for Serial {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let bytes = Vec::<u8>::from_value(value)?;
        let found = bytes.len();
        let bytes = bytes
            .try_into()
            .map_err(|_| DecodeError::field("", Problem::WrongLength { expected: Self::LEN, found }))?;
        Self::from_array(bytes).ok_or_else(|| DecodeError::field("", Problem::OutOfRange("not a serial number")))
    }
}

/// Why a certificate was revoked, by the code of RFC 5280 §5.3.1. A certificate is never put on hold: what is revoked stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No reason given.
    Unspecified,
    /// The holder's key became known to others.
    KeyCompromise,
    /// The authority's key became known to others.
    AuthorityCompromise,
    /// The holder's name or organisation changed.
    AffiliationChanged,
    /// Replaced by another certificate.
    Superseded,
    /// No longer needed.
    Ceased,
    /// The holder may no longer have it.
    PrivilegeWithdrawn,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Self] = &[
        Reason::Unspecified,
        Reason::KeyCompromise,
        Reason::AuthorityCompromise,
        Reason::AffiliationChanged,
        Reason::Superseded,
        Reason::Ceased,
        Reason::PrivilegeWithdrawn,
    ];

    /// The code in a revocation list.
    pub const fn code(self) -> u64 {
        match self {
            Reason::Unspecified => 0,
            Reason::KeyCompromise => 1,
            Reason::AuthorityCompromise => 2,
            Reason::AffiliationChanged => 3,
            Reason::Superseded => 4,
            Reason::Ceased => 5,
            Reason::PrivilegeWithdrawn => 9,
        }
    }

    /// The reason with a code.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Unspecified => "no reason given",
            Reason::KeyCompromise => "the holder's key became known to others",
            Reason::AuthorityCompromise => "the authority's key became known to others",
            Reason::AffiliationChanged => "the holder's name or organisation changed",
            Reason::Superseded => "replaced by another certificate",
            Reason::Ceased => "no longer needed",
            Reason::PrivilegeWithdrawn => "the holder may no longer have it",
        })
    }
}

/// When and why a certificate was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When the authority revoked it.
    pub since: Time,
    /// Why.
    pub reason: Reason,
}

/// A certificate that was issued.
///
/// ```text
/// issued = { 0: serial, 1: name, ? 2: email, 3: key set id, 4: valid until, ? 5: revoked since, ? 6: reason }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Its serial number.
    pub serial: Serial,
    /// The certified name.
    pub name: String,
    /// The certified e-mail address.
    pub email: Option<String>,
    /// The key set that the name is linked to.
    pub key_set: KeySetId,
    /// The last second in which it is valid.
    pub valid_until: Time,
    /// Set once it is revoked, for ever.
    pub revoked: Option<Revocation>,
}

impl Encode for Issued {
    fn to_value(&self) -> Value {
        record()
            .put_item(0, &self.serial)
            .put(1, self.name.as_str())
            .put_some(2, self.email.as_deref())
            .put_item(3, &self.key_set)
            .put_item(4, &self.valid_until)
            .put_some(5, self.revoked.map(|r| r.since.to_value()))
            .put_some(6, self.revoked.map(|r| r.reason.code()))
            .build()
    }
}

impl Decode for Issued {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let serial = fields.item(0, "serial")?;
        let name = fields.text(1, "name", 4 * name::NAME_CHARS_MAX)?;
        let email = fields.optional_item(2, "email")?;
        let key_set = fields.item(3, "key set")?;
        let valid_until = fields.item(4, "valid until")?;
        let since = fields.optional_item(5, "revoked since")?;
        let code: Option<u64> = fields.optional_item(6, "reason")?;
        fields.close()?;
        let revoked = match (since, code) {
            (None, None) => None,
            (Some(since), Some(code)) => {
                let reason = Reason::from_code(code).ok_or_else(|| {
                    DecodeError::field("reason", Problem::Unknown { what: "reason", found: code.to_string() })
                })?;
                Some(Revocation { since, reason })
            }
            _ => return Err(DecodeError::field("revoked", Problem::OutOfRange("time and reason stand together"))),
        };
        Ok(Self { serial, name, email, key_set, valid_until, revoked })
    }
}

/// The rules of an authority.
///
/// ```text
/// rules = { 0: crl url, 1: longest lifetime (s), 2: lifetime of a revocation list (s) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Where revocation lists can be fetched, an `http` or `https` URL; it stands in every certificate.
    pub crl_url: String,
    /// The longest lifetime of a certificate.
    pub lifetime_max: Seconds,
    /// How long a revocation list may be used; the authority makes a new one earlier than that.
    pub crl_lifetime: Seconds,
}

impl Encode for Rules {
    fn to_value(&self) -> Value {
        record().put(0, self.crl_url.as_str()).put_item(1, &self.lifetime_max).put_item(2, &self.crl_lifetime).build()
    }
}

impl Decode for Rules {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let crl_url = fields.text(0, "crl url", 2048)?;
        let lifetime_max = fields.item(1, "longest lifetime")?;
        let crl_lifetime = fields.item(2, "crl lifetime")?;
        fields.close()?;
        Ok(Self { crl_url, lifetime_max, crl_lifetime })
    }
}

/// The whole state of an authority except its private key.
///
/// ```text
/// register = { 0: 1, 1: root certificate (DER), 2: rules, 3: next crl number, 4: [* issued] }   ; 4 in the order of the serials
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    pub(crate) certificate: Vec<u8>,
    pub(crate) rules: Rules,
    pub(crate) next_crl: u64,
    pub(crate) issued: BTreeMap<Serial, Issued>,
}

impl Register {
    /// The authority's own certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What was issued, in the order of the serial numbers.
    pub fn issued(&self) -> impl ExactSizeIterator<Item = &Issued> {
        self.issued.values()
    }
}

impl Encode for Register {
    fn to_value(&self) -> Value {
        let issued: Vec<Value> = self.issued.values().map(Encode::to_value).collect();
        record()
            .put(0, 1_u64)
            .put_bytes(1, &self.certificate)
            .put_item(2, &self.rules)
            .put(3, self.next_crl)
            .put(4, issued)
            .build()
    }
}

impl Decode for Register {
    const BYTES_MAX: usize = 64 * 1024 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let certificate = fields.bytes(1, "certificate", CERTIFICATE_BYTES_MAX)?;
        let rules = fields.item(2, "rules")?;
        let next_crl = fields.uint(3, "next crl number")?;
        let list: Vec<Issued> = fields.list(4, "issued", ISSUED_MAX)?;
        fields.close()?;
        if !list.windows(2).all(|pair| pair[0].serial < pair[1].serial) {
            return Err(DecodeError::field("issued", Problem::OutOfRange("serial numbers must rise")));
        }
        let issued = list.into_iter().map(|issued| (issued.serial, issued)).collect();
        Ok(Self { certificate, rules, next_crl, issued })
    }
}
