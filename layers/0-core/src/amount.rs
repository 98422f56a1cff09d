//! Amounts of money: integer minor units with a currency. Never a float, and no arithmetic that can wrap.

use std::fmt;

use crate::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};

/// A currency or another unit in which a payment system counts: an ISO 4217 code, or a mint's own unit in capitals (`SAT`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// An amount of money in minor units of its currency (cents for EUR, yen for JPY).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Amount {
    minor: u64,
    currency: Currency,
}

/// Why an amount could not be computed or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmountError {
    /// The two amounts are in different currencies; nothing is converted silently.
    #[error("amounts in {0} and {1} cannot be combined")]
    CurrencyMismatch(Currency, Currency),
    /// The result does not fit into 2^63 - 1 minor units.
    #[error("the amount is too large")]
    Overflow,
    /// The result would be below zero.
    #[error("the amount would be negative")]
    Negative,
    /// The text is not an amount; examples of good ones are `12.00 EUR` and `500 JPY`.
    #[error("not an amount; write for example \"12.00 EUR\" or \"500 JPY\"")]
    Syntax,
    /// More digits after the point than the currency has.
    #[error("{0} has {1} digits after the point")]
    Precision(Currency, u32),
}

impl Currency {
    /// Three capital letters.
    pub fn parse(code: &str) -> Option<Self> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency holds ASCII capitals only")
    }

    /// Digits after the point: 0 to 4, as ISO 4217 lists them (2026); 2 for codes it does not list, 0 for `SAT`.
    pub fn exponent(&self) -> u32 {
        match self.code() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
            | "VUV" | "XAF" | "XOF" | "XPF" | "SAT" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            "CLF" | "UYW" => 4,
            _ => 2,
        }
    }
}

impl Amount {
    /// Largest number of minor units: fits into the signed integers of every database.
    pub const MINOR_MAX: u64 = i64::MAX as u64;

    /// An amount of `minor` minor units.
    ///
    /// # Errors
    /// `Overflow`: more than [`Amount::MINOR_MAX`].
    pub fn new(minor: u64, currency: Currency) -> Result<Self, AmountError> {
        if minor > Self::MINOR_MAX { Err(AmountError::Overflow) } else { Ok(Self { minor, currency }) }
    }

    /// Minor units.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    /// The currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The sum.
    ///
    /// # Errors
    /// `CurrencyMismatch`, `Overflow`.
    pub fn plus(self, other: Self) -> Result<Self, AmountError> {
        self.same_currency(other)?;
        Self::new(self.minor.checked_add(other.minor).ok_or(AmountError::Overflow)?, self.currency)
    }

    /// The difference.
    ///
    /// # Errors
    /// `CurrencyMismatch`, `Negative`.
    pub fn minus(self, other: Self) -> Result<Self, AmountError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(AmountError::Negative)?;
        Ok(Self { minor, currency: self.currency })
    }

    /// Reads `12.00 EUR`: digits, at most as many after the point as the currency has, one space, the code.
    ///
    /// # Errors
    /// `Syntax`, `Precision`, `Overflow`.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let (number, code) = text.trim().split_once(' ').ok_or(AmountError::Syntax)?;
        let currency = Currency::parse(code.trim()).ok_or(AmountError::Syntax)?;
        let exponent = currency.exponent();
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return Err(AmountError::Syntax),
            Some((whole, fraction)) => (whole, fraction),
            None => (number, ""),
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(AmountError::Syntax);
        }
        let missing =
            (exponent as usize).checked_sub(fraction.len()).ok_or(AmountError::Precision(currency, exponent))?;
        let minor = format!("{whole}{fraction}{}", "0".repeat(missing)).parse().map_err(|_| AmountError::Overflow)?;
        Self::new(minor, currency)
    }

    fn same_currency(self, other: Self) -> Result<(), AmountError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(AmountError::CurrencyMismatch(self.currency, other.currency))
    }
}

impl fmt::Display for Amount {
    /// `12.00 EUR`: the one form in texts that are signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.currency.exponent() {
            0 => write!(f, "{} {}", self.minor, self.currency),
            exponent => {
                let unit = 10_u64.pow(exponent);
                let width = exponent as usize;
                write!(f, "{}.{:0width$} {}", self.minor / unit, self.minor % unit, self.currency)
            }
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Encode for Amount {
    fn to_value(&self) -> Value {
        record().put(0, self.minor).put(1, self.currency.code()).build()
    }
}

impl Decode for Amount {
    const BYTES_MAX: usize = 32;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let minor = fields.uint(0, "minor")?;
        let code = fields.text(1, "currency", 3)?;
        fields.close()?;
        let currency = Currency::parse(&code).ok_or_else(|| {
            DecodeError::field("currency", Problem::OutOfRange("a currency is three capital letters"))
        })?;
        Self::new(minor, currency)
            .map_err(|_| DecodeError::field("minor", Problem::OutOfRange("the amount is too large")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // An amount that is shown differently from how it is counted cheats the user: text and minor units must agree both ways.
    #[test]
    fn text_and_minor_units_agree() {
        for (text, minor) in [("12.00 EUR", 1200), ("0.05 EUR", 5), ("500 JPY", 500), ("1.234 KWD", 1234), ("7 SAT", 7)]
        {
            let amount = Amount::parse(text).unwrap();
            assert_eq!((amount.minor(), amount.to_string().as_str()), (minor, text));
        }
        assert_eq!(Amount::parse("12 EUR").unwrap().minor(), 1200);
        assert_eq!(Amount::parse("12.5 EUR").unwrap().minor(), 1250);
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        use AmountError::{Overflow, Precision, Syntax};
        let eur = Currency::parse("EUR").unwrap();
        for (text, error) in [
            ("", Syntax),
            ("12", Syntax),
            ("EUR 12", Syntax),
            ("-1.00 EUR", Syntax),
            ("1,00 EUR", Syntax),
            ("1. EUR", Syntax),
            (".5 EUR", Syntax),
            ("1e3 EUR", Syntax),
            ("1.00 eur", Syntax),
            ("1.001 EUR", Precision(eur, 2)),
            ("99999999999999999999 EUR", Overflow),
        ] {
            assert_eq!(Amount::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn money_never_wraps() {
        let eur = Currency::parse("EUR").unwrap();
        let (most, one) = (Amount::new(Amount::MINOR_MAX, eur).unwrap(), Amount::new(1, eur).unwrap());
        assert_eq!(most.plus(one), Err(AmountError::Overflow));
        assert_eq!(one.minus(most), Err(AmountError::Negative));
    }
}
