//! Instants and spans of time: whole UTC seconds, handed in by whoever has a clock. Nothing below `apps/` reads one.

use std::fmt;

use crate::cbor::{Decode, DecodeError, Encode, Problem, Value};

/// A point in time: whole seconds since 1970-01-01T00:00:00Z, at most the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

/// A length of time in whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u64);

impl Time {
    /// 9999-12-31T23:59:59Z, the last instant that can be written with four digits for the year.
    pub const MAX: Self = Self(253_402_300_799);

    /// Seconds since 1970; later than [`Time::MAX`] becomes [`Time::MAX`].
    pub const fn from_unix(seconds: u64) -> Self {
        if seconds > Self::MAX.0 { Self::MAX } else { Self(seconds) }
    }

    /// Seconds since 1970.
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// This time plus a span, at most [`Time::MAX`].
    #[must_use]
    pub const fn after(self, span: Seconds) -> Self {
        Self::from_unix(self.0.saturating_add(span.0))
    }

    /// This time minus a span, at least 1970.
    #[must_use]
    pub const fn before(self, span: Seconds) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Time {
    /// `2026-11-21 07:30:00 UTC`: the one form in texts that are signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, second) = (self.0 / 86_400, self.0 % 86_400);
        let (year, month, day) = civil(day);
        write!(f, "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
    }
}

/// Year, month and day of the `day`-th day after 1970-01-01, in the proleptic Gregorian calendar (H. Hinnant, `civil_from_days`).
fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_month)
}

impl Encode for Time {
    fn to_value(&self) -> Value {
        Value::Uint(self.0)
    }
}

impl Decode for Time {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let seconds = u64::from_value(value)?;
        if seconds > Self::MAX.0 {
            return Err(DecodeError::field("", Problem::OutOfRange("a time is at most 9999-12-31")));
        }
        Ok(Self(seconds))
    }
}

impl Encode for Seconds {
    fn to_value(&self) -> Value {
        Value::Uint(self.0)
    }
}

impl Decode for Seconds {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        u64::from_value(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A date that is printed wrong is signed wrong: leap days and the ends of the range are where calendars go astray.
    #[test]
    fn dates_are_printed_as_the_calendar_says() {
        for (unix, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_246_200, "2026-11-21 07:30:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(Time::from_unix(unix).to_string(), text);
        }
    }
}
