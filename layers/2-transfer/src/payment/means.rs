//! Means of payment, as data: what each can promise, for the negotiation, the planner and the user.
//!
//! ```text
//! means    = { 0: 1, 1: system, 2: issuer, 3: currency, 4: anonymity, 5: reversal, 6: [* lock], 7: receipt, 8: fees, 9: limits,
//!              10: seconds }
//! reversal = { 0: kind, ? 1: seconds }    fees = { 0: fixed, 1: per million }    limits = { 0: least, 1: most }
//! ```
//! Nobody is promised more than the module can keep: a means says what its *issuer* does, not what a friendly one might do.
//!
//! Source: `spec/payment.md` §1; DESIGN §7.

use std::collections::BTreeSet;
use std::fmt;

use semper_core::amount::{Amount, AmountError, Currency};
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::time::Seconds;

/// Longest name of a payment system, in bytes.
pub const SYSTEM_MAX: usize = 16;
/// Longest address of an issuer, in bytes.
pub const ISSUER_MAX: usize = 256;

/// A payment system by its name: that of its folder in `modules/payment` (`ecash`, `account`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct System(String);

/// One means of payment: a payment system at one issuer in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Means {
    /// The payment system.
    pub system: System,
    /// The mint or bank: its address.
    pub issuer: String,
    /// The currency.
    pub currency: Currency,
    /// What stays unknown about the payer.
    pub anonymity: PayerAnonymity,
    /// Until when a payment can be taken back.
    pub reversal: Reversal,
    /// How money can be locked for an exchange; empty: it cannot.
    pub locks: BTreeSet<LockKind>,
    /// What proves a payment.
    pub receipt: ReceiptKind,
    /// What a payment costs its payer.
    pub fees: Fees,
    /// Least and most minor units of one payment.
    pub limits: Limits,
    /// How long a payment takes when everybody answers.
    pub latency: Seconds,
}

/// To whom the payer stays unknown; the later ones hide more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayerAnonymity {
    /// To nobody.
    None,
    /// The payee learns no account, the issuer learns both.
    FromPayee,
    /// Neither the payee nor the issuer learns who pays.
    FromAll,
}

/// Until when a payment can be taken back, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reversal {
    /// Never, once the payee has taken it.
    Final,
    /// The payee can give it back for this long.
    ByPayee(Seconds),
    /// The payer can demand it back for this long.
    ByPayer(Seconds),
}

/// How money can be locked for an exchange (`spec/payment.md` §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKind {
    /// Two of payer, payee and arbiter decide; after a date it goes back to the payer.
    Arbiter,
    /// Whoever shows the preimage of a hash gets it; after a date it goes back to the payer.
    Hash,
}

/// What proves a payment to a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptKind {
    /// The payee's word only.
    Payee,
    /// The payee's key has taken the money under a lock that names it.
    Witness,
    /// The issuer's signed confirmation.
    Issuer,
}

/// What a payment costs its payer: a fixed part in minor units, and a part per million of the amount, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fees {
    /// Minor units of each payment.
    pub fixed: u64,
    /// Millionths of the amount.
    pub per_million: u32,
}

/// Least and most minor units of one payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Least.
    pub least: u64,
    /// Most.
    pub most: u64,
}

impl System {
    /// A system's name: 1 to 16 small letters, digits or hyphens, a letter first.
    pub fn parse(name: &str) -> Option<Self> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let first = name.bytes().next()?.is_ascii_lowercase();
        (first && name.len() <= SYSTEM_MAX && name.bytes().all(good)).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Fees {
    /// The fee for paying `amount`.
    ///
    /// # Errors
    /// `Overflow`.
    pub fn of(self, amount: Amount) -> Result<Amount, AmountError> {
        let part = u128::from(amount.minor()) * u128::from(self.per_million);
        let part = u64::try_from(part.div_ceil(1_000_000)).map_err(|_| AmountError::Overflow)?;
        Amount::new(self.fixed.checked_add(part).ok_or(AmountError::Overflow)?, amount.currency())
    }
}

macro_rules! named {
    ($type:ident, $what:literal, $($variant:ident = $name:literal),* $(,)?) => {
        impl $type {
            /// The name in encodings.
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }
        }

        impl Encode for $type {
            fn to_value(&self) -> Value {
                self.name().into()
            }
        }

        impl Decode for $type {
            const BYTES_MAX: usize = 32;

            fn from_value(value: Value) -> Result<Self, DecodeError> {
                match String::from_value(value)?.as_str() {
                    $($name => Ok($type::$variant),)*
                    other => Err(DecodeError::field("", Problem::Unknown { what: $what, found: other.to_owned() })),
                }
            }
        }
    };
}

named!(PayerAnonymity, "anonymity", None = "none", FromPayee = "from-payee", FromAll = "from-all");
named!(LockKind, "kind of lock", Arbiter = "arbiter", Hash = "hash");
named!(ReceiptKind, "kind of receipt", Payee = "payee", Witness = "witness", Issuer = "issuer");

impl Encode for System {
    fn to_value(&self) -> Value {
        self.0.as_str().into()
    }
}

impl Decode for System {
    const BYTES_MAX: usize = 32;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let name = String::from_value(value)?;
        Self::parse(&name).ok_or(DecodeError::field("", Problem::OutOfRange("not the name of a payment system")))
    }
}

impl Encode for Reversal {
    fn to_value(&self) -> Value {
        match self {
            Reversal::Final => record().put(0, "final"),
            Reversal::ByPayee(time) => record().put(0, "by-payee").put_item(1, time),
            Reversal::ByPayer(time) => record().put(0, "by-payer").put_item(1, time),
        }
        .build()
    }
}

impl Decode for Reversal {
    const BYTES_MAX: usize = 64;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let kind = fields.text(0, "kind", 16)?;
        let reversal = match kind.as_str() {
            "final" => Reversal::Final,
            "by-payee" => Reversal::ByPayee(fields.item(1, "time")?),
            "by-payer" => Reversal::ByPayer(fields.item(1, "time")?),
            _ => return Err(DecodeError::field("kind", Problem::Unknown { what: "reversal", found: kind })),
        };
        fields.close()?;
        Ok(reversal)
    }
}

impl Encode for Means {
    fn to_value(&self) -> Value {
        let fees = record().put(0, self.fees.fixed).put(1, u64::from(self.fees.per_million)).build();
        let limits = record().put(0, self.limits.least).put(1, self.limits.most).build();
        let locks: Vec<LockKind> = self.locks.iter().copied().collect();
        record()
            .put(0, 1_u64)
            .put_item(1, &self.system)
            .put(2, self.issuer.as_str())
            .put(3, self.currency.code())
            .put_item(4, &self.anonymity)
            .put_item(5, &self.reversal)
            .put_list(6, &locks)
            .put_item(7, &self.receipt)
            .put(8, fees)
            .put(9, limits)
            .put_item(10, &self.latency)
            .build()
    }
}

impl Decode for Means {
    const BYTES_MAX: usize = 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let means = Self {
            system: fields.item(1, "system")?,
            issuer: fields.text(2, "issuer", ISSUER_MAX)?,
            currency: currency(&fields.text(3, "currency", 3)?)?,
            anonymity: fields.item(4, "anonymity")?,
            reversal: fields.item(5, "reversal")?,
            locks: locks(fields.list(6, "locks", 2)?)?,
            receipt: fields.item(7, "receipt")?,
            fees: fees(fields.value(8, "fees")?).map_err(|e| e.within("fees"))?,
            limits: limits(fields.value(9, "limits")?).map_err(|e| e.within("limits"))?,
            latency: fields.item(10, "latency")?,
        };
        fields.close()?;
        Ok(means)
    }
}

fn currency(code: &str) -> Result<Currency, DecodeError> {
    let capitals = Problem::OutOfRange("a currency is three capital letters");
    Currency::parse(code).ok_or_else(|| DecodeError::field("currency", capitals))
}

/// Strictly ascending: there is one encoding of a set.
fn locks(list: Vec<LockKind>) -> Result<BTreeSet<LockKind>, DecodeError> {
    if list.is_sorted_by(|a, b| a < b) {
        return Ok(list.into_iter().collect());
    }
    Err(DecodeError::field("locks", Problem::OutOfRange("kinds of locks are listed in order, each once")))
}

fn fees(value: Value) -> Result<Fees, DecodeError> {
    let mut fields = Fields::open(value)?;
    let fees = Fees { fixed: fields.uint(0, "fixed")?, per_million: fields.small(1, "per million")? };
    fields.close()?;
    Ok(fees)
}

fn limits(value: Value) -> Result<Limits, DecodeError> {
    let mut fields = Fields::open(value)?;
    let limits = Limits { least: fields.uint(0, "least")?, most: fields.uint(1, "most")? };
    fields.close()?;
    Ok(limits)
}
