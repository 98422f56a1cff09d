//! The pause before an answer: what comes up under a pointer or a finger that is on its way must not take it for an answer.
//!
//! Each page with a question carries a ticket, which says when it was served, about which question and which text; it is sealed under a key of this
//! process. An answer with a ticket that is younger than a second is refused and the page is shown again. The script of the page shows the
//! pause, and begins it anew whenever the page comes into view; the window does not rely on it.
//!
//! ```text
//! ticket = hexadecimal of: milliseconds since the start (8, big-endian) ‖ HMAC-SHA256(key, milliseconds ‖ statement ‖ hash of the text)
//! ```

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use semper_core::hash::Digest;
use semper_core::ids::StatementId;
use semper_support::crypto::{CryptoError, Randomness};

/// How long a page is there before an answer from it counts.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes and checks tickets.
pub(crate) struct Arming {
    key: hmac::Key,
    begun: Instant,
}

/// What a ticket is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// The page was there for long enough.
    Good,
    /// It was not yet.
    TooEarly,
    /// It is for another question or text, or none of ours.
    Foreign,
}

impl Arming {
    pub(crate) fn new(random: &dyn Randomness) -> Result<Self, CryptoError> {
        let mut key = [0; 32];
        random.fill(&mut key)?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), begun: Instant::now() })
    }

    /// The ticket of a page that is served now.
    pub(crate) fn ticket(&self, statement: StatementId, seen: &Digest) -> String {
        self.ticket_at(self.begun.elapsed(), statement, seen)
    }

    /// What a ticket is worth now.
    pub(crate) fn check(&self, ticket: &str, statement: StatementId, seen: &Digest) -> Ticket {
        self.check_at(self.begun.elapsed(), ticket, statement, seen)
    }

    fn ticket_at(&self, now: Duration, statement: StatementId, seen: &Digest) -> String {
        let served = millis(now).to_be_bytes();
        let tag = hmac::sign(&self.key, &said(served, statement, seen));
        HEXLOWER.encode(&[served.as_slice(), tag.as_ref()].concat())
    }

    fn check_at(&self, now: Duration, ticket: &str, statement: StatementId, seen: &Digest) -> Ticket {
        let Ok(bytes) = HEXLOWER.decode(ticket.as_bytes()) else { return Ticket::Foreign };
        let Some((served, tag)) = bytes.split_first_chunk::<8>() else { return Ticket::Foreign };
        if hmac::verify(&self.key, &said(*served, statement, seen), tag).is_err() {
            return Ticket::Foreign;
        }
        let age = millis(now).saturating_sub(u64::from_be_bytes(*served));
        if age < millis(PAUSE) { Ticket::TooEarly } else { Ticket::Good }
    }
}

fn said(served: [u8; 8], statement: StatementId, seen: &Digest) -> Vec<u8> {
    [served.as_slice(), statement.as_bytes(), seen.as_bytes()].concat()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use semper_crypto::SystemRandom;

    use super::*;

    // A ticket that is good too early, or for another question, lets a page be answered that nobody has seen.
    #[test]
    fn a_ticket_is_good_after_a_second_and_for_its_question_only() {
        let arming = Arming::new(&SystemRandom).unwrap();
        let digest = |byte| Digest::from_array([byte; 32]);
        let (statement, seen) = (StatementId::from_digest(digest(1)), digest(2));
        let ticket = arming.ticket_at(Duration::from_secs(5), statement, &seen);
        let at = |millis| arming.check_at(Duration::from_millis(millis), &ticket, statement, &seen);
        assert_eq!([at(5000), at(5999), at(6000), at(900_000)].map(|t| t == Ticket::Good), [false, false, true, true]);
        assert_eq!(at(0), Ticket::TooEarly, "a clock that runs backwards arms nothing");
        let later = Duration::from_secs(60);
        assert_eq!(arming.check_at(later, &ticket, StatementId::from_digest(digest(3)), &seen), Ticket::Foreign);
        assert_eq!(arming.check_at(later, &ticket, statement, &digest(3)), Ticket::Foreign);
        let other = Arming::new(&SystemRandom).unwrap();
        assert_eq!(other.check_at(later, &ticket, statement, &seen), Ticket::Foreign);
        // The time in it cannot be set back by whoever has it.
        let forged = format!("{:016x}{}", 0, &ticket[16..]);
        for bad in [forged.as_str(), "", "00", "xyz", &ticket[1..]] {
            assert_eq!(arming.check_at(later, bad, statement, &seen), Ticket::Foreign, "{bad}");
        }
    }
}
