//! Account numbers, and the address that money is sent to.
//!
//! ```text
//! number  = 16 digits: 14 of the bank, 2 check digits (ISO 7064 MOD 97-10: the whole number is 1 modulo 97); shown in groups of four
//! address = "account:" number "@" address of the bank [ "?" part *( "&" part ) ]
//! part    = "reference=" text / "amount=" amount ("12.00 EUR")                     ; percent-encoded, in this order, each at most once
//! ```
//! A wrong digit and two swapped neighbours are always noticed.

use std::fmt;

use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode, Problem, Value};
use semper_transfer::payment::means::ISSUER_MAX;

/// Longest reference of a transfer, in bytes of UTF-8.
pub const REFERENCE_MAX: usize = 140;

/// An account at a bank.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountNumber(u64);

/// Where to send money: an account, its bank, and what the payee wants to recognise the money by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The account.
    pub number: AccountNumber,
    /// The bank's address.
    pub issuer: String,
    /// The payee's reference; empty: none.
    pub reference: String,
    /// How much the payee wants.
    pub amount: Option<Amount>,
}

impl AccountNumber {
    /// The number with the given 14 digits; larger ones are taken modulo 10^14.
    pub const fn from_body(body: u64) -> Self {
        let shifted = body % 100_000_000_000_000 * 100;
        Self(shifted + 98 - shifted % 97)
    }

    /// Reads 16 digits, with or without spaces; `None` if the check digits are wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != ' ').collect();
        let good = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_digit());
        let number: u64 = good.then(|| digits.parse().ok())??;
        (Self::from_body(number / 100) == Self(number)).then_some(Self(number))
    }

    /// The 16 digits.
    pub fn digits(&self) -> String {
        format!("{:016}", self.0)
    }
}

impl fmt::Display for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        write!(f, "{} {} {} {}", &digits[..4], &digits[4..8], &digits[8..12], &digits[12..])
    }
}

impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits())
    }
}

impl Encode for AccountNumber {
    fn to_value(&self) -> Value {
        self.digits().into()
    }
}

impl Decode for AccountNumber {
    const BYTES_MAX: usize = 32;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let text = String::from_value(value)?;
        let number = Self::parse(&text).filter(|number| number.digits() == text);
        number.ok_or(DecodeError::field("", Problem::OutOfRange("not an account number of 16 digits")))
    }
}

impl Address {
    /// Reads the form that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, rest) = text.strip_prefix("account:")?.split_once('@')?;
        let (issuer, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut parts = query.split('&').filter(|part| !part.is_empty()).peekable();
        let mut take = |name: &str| parts.next_if(|part| part.starts_with(name)).map(|part| &part[name.len()..]);
        let reference = decode_percent(take("reference=").unwrap_or(""))?;
        let amount = match take("amount=") {
            Some(text) => Some(Amount::parse(&decode_percent(text)?).ok()?),
            None => None,
        };
        let whole = parts.next().is_none();
        let good = whole && !issuer.is_empty() && issuer.len() <= ISSUER_MAX && is_reference(&reference);
        good.then_some(Self { number: AccountNumber::parse(number)?, issuer: issuer.to_owned(), reference, amount })
    }
}

/// Whether a text can be a reference: one short line of characters that are printed, or nothing.
pub fn is_reference(text: &str) -> bool {
    text.len() <= REFERENCE_MAX && (text.is_empty() || semper_core::text::is_plain_line(text))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account:{}@{}", self.number.digits(), self.issuer)?;
        let mut mark = '?';
        if !self.reference.is_empty() {
            write!(f, "{mark}reference=")?;
            write_percent(f, &self.reference)?;
            mark = '&';
        }
        match self.amount {
            Some(amount) => {
                write!(f, "{mark}amount=")?;
                write_percent(f, &amount.to_string())
            }
            None => Ok(()),
        }
    }
}

fn write_percent(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.bytes().try_for_each(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => write!(f, "{}", char::from(byte)),
        other => write!(f, "%{other:02X}"),
    })
}

fn decode_percent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                *data_encoding::HEXLOWER_PERMISSIVE.decode(&digits).ok()?.first()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Money that is sent to a mistyped number goes to somebody else.
    #[test]
    fn every_wrong_digit_and_every_swap_is_noticed() {
        for body in [0, 1, 12_345_678_901_234, 99_999_999_999_999] {
            let digits = AccountNumber::from_body(body).digits();
            assert_eq!(AccountNumber::parse(&digits).unwrap().digits(), digits);
            for at in 0..16 {
                for digit in b'0'..=b'9' {
                    let mut wrong = digits.clone().into_bytes();
                    wrong[at] = digit;
                    let wrong = String::from_utf8(wrong).unwrap();
                    assert_eq!(AccountNumber::parse(&wrong).is_some(), wrong == digits, "{wrong}");
                }
            }
            for at in 0..15 {
                let mut wrong = digits.clone().into_bytes();
                wrong.swap(at, at + 1);
                let wrong = String::from_utf8(wrong).unwrap();
                assert_eq!(AccountNumber::parse(&wrong).is_some(), wrong == digits, "{wrong}");
            }
        }
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let number = AccountNumber::from_body(4711);
        for reference in ["", "quote 17/b", "Überweisung & Co?=%"] {
            for amount in [None, Some(Amount::parse("12.00 EUR").unwrap())] {
                let (issuer, reference) = ("http://bank.example:8080/b".to_owned(), reference.to_owned());
                let address = Address { number, issuer, reference, amount };
                assert_eq!(Address::parse(&address.to_string()), Some(address));
            }
        }
        for text in ["", "account:1@b", "account:0000000000000000@b", "account:@", "x:0000000000471132@b"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
        for query in [
            "reference=%0a",
            "amount=12",
            "amount=1.00%20EUR&reference=a",
            "reference=a&reference=b",
            "x=1",
            "reference=%",
        ] {
            assert_eq!(Address::parse(&format!("account:{}@b?{query}", number.digits())), None, "{query}");
        }
    }
}
