//! Claims as people read and write them.
//!
//! ```text
//! claim  = verb "(" actor *("," part) ")" / "not" "(" claim ")" / ("and" / "or") "(" claim 1*("," claim) ")"
//! part   = ("contract" / "transfer" / "payment") identifier        ; in this order, each at most once
//!        / "contract" identifier "recipient" digits                ; of a contract with several recipients, from 1
//!        / ">=" amount / "<=" amount / ">=" amount "<=" amount
//!        / "after" time / "before" time / "after" time "before" time, each with "by log" behind it if the arbiter's log has to say so
//!        / "before" time "by stamp"
//! amount = digits ["." digits] currency                             ; 20.00 EUR
//! time   = 2026-11-21T12:00:00Z
//! ```
//! Spaces between words do not count. What is written by [`fmt::Display`] is read as the same claim.

use std::fmt;
use std::str::FromStr;

use semper_core::amount::Amount;
use semper_core::hash::Digest;
use semper_core::ids::Slot;
use semper_core::time::Time;

use super::claim::{Actor, Claim, Did, Interval, JOINED_MAX, NESTING_MAX, Period, Verb};
use crate::evidence::{Source, Subject};

/// Longest text of a claim, in bytes.
pub const TEXT_MAX: usize = 16 * 1024;

/// Why a text is no claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a claim, at character {at}: {reason}")]
pub struct TextError {
    /// Where, in characters from 1.
    pub at: usize,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, word: &str, claims: &[Claim]| {
            write!(f, "{word}(")?;
            for (place, claim) in claims.iter().enumerate() {
                write!(f, "{}{claim}", if place == 0 { "" } else { ", " })?;
            }
            write!(f, ")")
        };
        match self {
            Claim::Did(did) => did.fmt(f),
            Claim::Not(claim) => write!(f, "not({claim})"),
            Claim::And(claims) => join(f, "and", claims),
            Claim::Or(claims) => join(f, "or", claims),
        }
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Did { actor, verb, object, value, when } = self;
        write!(f, "{}({}", verb.name(), actor.name())?;
        if let Some(object) = object {
            write!(f, ", {object}")?;
        }
        if let Some(value) = value {
            let bounds =
                [value.least().map(|least| format!(">= {least}")), value.most().map(|most| format!("<= {most}"))];
            write!(f, ", {}", bounds.into_iter().flatten().collect::<Vec<_>>().join(" "))?;
        }
        if let Some(when) = when {
            let bounds = [
                when.not_before().map(|time| format!("after {}", Written(time))),
                when.not_after().map(|time| format!("before {}", Written(time))),
                when.source().name().map(|source| format!("by {source}")),
            ];
            write!(f, ", {}", bounds.into_iter().flatten().collect::<Vec<_>>().join(" "))?;
        }
        write!(f, ")")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.digest())?;
        match self {
            Subject::Part(_, part) => write!(f, " recipient {}", u32::from(part.0) + 1),
            Subject::Contract(_) | Subject::Transfer(_) | Subject::Payment(_) => Ok(()),
        }
    }
}

/// A time as it stands in claims.
struct Written(Time);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let (day, second) = text.trim_end_matches(" UTC").split_once(' ').expect("a time is a day and a time of day");
        write!(f, "{day}T{second}Z")
    }
}

impl FromStr for Claim {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let mut reader = Reader { text, at: 0 };
        if text.len() > TEXT_MAX {
            return Err(reader.wrong("a claim has at most 16384 bytes"));
        }
        let claim = reader.claim(0)?;
        if !reader.rest().is_empty() {
            return Err(reader.wrong("something follows the end of the claim"));
        }
        claim.check().map_err(|rule| TextError { at: 1, reason: rule.to_owned() })?;
        Ok(claim)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn wrong(&self, reason: impl Into<String>) -> TextError {
        TextError { at: self.text[..self.at].chars().count() + 1, reason: reason.into() }
    }

    fn takes(&mut self, mark: &str) -> bool {
        let found = self.rest().starts_with(mark);
        if found {
            self.at += mark.len();
        }
        found
    }

    fn expect(&mut self, mark: &str) -> Result<(), TextError> {
        if self.takes(mark) { Ok(()) } else { Err(self.wrong(format!("expected \"{mark}\""))) }
    }

    /// Letters, digits, and what stands inside words, numbers and times.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
        let end = rest.find(|c| !inside(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Takes the word if it is this one.
    fn takes_word(&mut self, word: &str) -> bool {
        let before = self.at;
        let found = self.word() == word;
        if !found {
            self.at = before;
        }
        found
    }

    fn claim(&mut self, depth: usize) -> Result<Claim, TextError> {
        if depth > NESTING_MAX {
            return Err(self.wrong("a claim is nested at most 4 deep"));
        }
        let name = self.word();
        self.expect("(")?;
        let claim = match name {
            "not" => Claim::Not(Box::new(self.claim(depth + 1)?)),
            "and" | "or" => {
                let mut claims = vec![self.claim(depth + 1)?];
                while self.takes(",") {
                    if claims.len() == JOINED_MAX {
                        return Err(self.wrong("\"and\" and \"or\" join 2 to 16 claims"));
                    }
                    claims.push(self.claim(depth + 1)?);
                }
                if name == "and" { Claim::And(claims) } else { Claim::Or(claims) }
            }
            name => {
                let words = Verb::ALL.iter().map(|verb| verb.name()).collect::<Vec<_>>().join(", ");
                let verb = Verb::from_name(name);
                let verb = verb.ok_or_else(|| self.wrong(format!("{name:?} is none of: {words}, not, and, or")))?;
                Claim::Did(self.did(verb)?)
            }
        };
        self.expect(")")?;
        Ok(claim)
    }

    fn did(&mut self, verb: Verb) -> Result<Did, TextError> {
        let name = self.word();
        let actor = Actor::from_name(name)
            .ok_or_else(|| self.wrong("who? originator, responder, payer, payee, sender, receiver or arbiter"))?;
        let mut did = Did::new(actor, verb);
        let mut more = self.takes(",");
        if more {
            did.object = self.object()?;
            more = did.object.is_none() || self.takes(",");
        }
        if more {
            did.value = self.value()?;
            more = did.value.is_none() || self.takes(",");
        }
        if more {
            did.when = Some(self.when()?);
        }
        Ok(did)
    }

    fn object(&mut self) -> Result<Option<Subject>, TextError> {
        for kind in ["contract", "transfer", "payment"] {
            if self.takes_word(kind) {
                let digest = Digest::from_hex(self.word());
                let digest = digest.ok_or_else(|| self.wrong("an identifier has 64 hexadecimal digits"))?;
                let part = if self.takes_word("recipient") { Some(self.recipient()?) } else { None };
                let object = Subject::of(kind, digest, part);
                return object.map(Some).ok_or_else(|| self.wrong("only contracts have several recipients"));
            }
        }
        Ok(None)
    }

    /// The part of a recipient, who is counted from 1.
    fn recipient(&mut self) -> Result<Slot, TextError> {
        let word = self.word();
        let number = word.parse::<u32>().ok().filter(|number| number.to_string() == word);
        let part = number.and_then(|number| u16::try_from(number.checked_sub(1)?).ok());
        part.map(Slot).ok_or_else(|| self.wrong("recipients are counted from 1"))
    }

    fn value(&mut self) -> Result<Option<Interval>, TextError> {
        let least = if self.takes(">=") { Some(self.amount()?) } else { None };
        let most = if self.takes("<=") { Some(self.amount()?) } else { None };
        if least.is_none() && most.is_none() {
            return Ok(None);
        }
        let wrong = "both bounds are in one currency, and the lower one is not above the upper one";
        Interval::new(least, most).map(Some).ok_or_else(|| self.wrong(wrong))
    }

    fn amount(&mut self) -> Result<Amount, TextError> {
        let (number, currency) = (self.word(), self.word());
        Amount::parse(&format!("{number} {currency}")).map_err(|error| self.wrong(error.to_string()))
    }

    fn when(&mut self) -> Result<Period, TextError> {
        let from = if self.takes_word("after") { Some(self.time()?) } else { None };
        let to = if self.takes_word("before") { Some(self.time()?) } else { None };
        if from.is_none() && to.is_none() {
            return Err(self.wrong("expected contract, transfer or payment, an amount after >= or <=, after or before"));
        }
        let mut source = Source::Claimed;
        if self.takes_word("by") {
            let said =
                [Source::Log, Source::Stamp].into_iter().find(|s| s.name().is_some_and(|name| self.takes_word(name)));
            source = said.ok_or_else(|| self.wrong("expected \"log\" or \"stamp\""))?;
        }
        let wrong = match (source, from) {
            (Source::Stamp, Some(_)) => "a time-stamp says \"before\" and never \"after\"",
            _ => "the first instant is not after the last",
        };
        Period::new(from, to, source).ok_or_else(|| self.wrong(wrong))
    }

    fn time(&mut self) -> Result<Time, TextError> {
        let word = self.word();
        time(word).ok_or_else(|| self.wrong("a time is written like 2026-11-21T12:00:00Z"))
    }
}

/// Reads `2026-11-21T12:00:00Z`; a day that the calendar does not have is none.
pub fn time(text: &str) -> Option<Time> {
    let shape = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(byte, want): (&u8, &u8)| if *want == b'd' { byte.is_ascii_digit() } else { byte == want };
    if text.len() != shape.len() || !text.as_bytes().iter().zip(shape).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let second = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The years begin in March, so that the leap day is the last one (H. Hinnant, `days_from_civil`).
    let shifted = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    let time = Time::from_unix(days * 86_400 + second);
    (Written(time).to_string() == text).then_some(time)
}
