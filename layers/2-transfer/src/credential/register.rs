//! The rules by which an issuer keeps its word: what may be done with one credential, from what was done before.
//!
//! An [`Entry`] is all that an issuer remembers of one serial number. Each rule takes the entry, a request that was found to be signed as it says,
//! and the time; it gives the entry that follows and what the issuer is to say. Whoever serves requests stores the entry, in the place of exactly the
//! one that it was computed from, together with what is said, and only then says it. So of two requests for the last use one finds another entry
//! and is decided again.
//!
//! ```text
//! entry = { 0: 1, 1: credential, ? 2: serial of the credential in its place, 3: [* use], ? 4: nobody calls it back any more, since }
//! use   = { 0: number, 1: tag, 2: arbiter (key set id), 3: until, ? 4: spent since }        ; in the order of the numbers
//! ```
//! A use is kept until its date, and after it for as long as nobody else wants it: whoever comes late with a proof of completion loses nothing by it
//! alone.
//!
//! A credential that was passed on under a [`Condition`] is its new holder's at once, who cannot pass it on before the condition has ended: by the word of
//! its giver that it was paid, by the arbiter's verdict, or by its date. Until then the arbiter's verdict calls it back. What is counted can be used after
//! that only: a use that was taken cannot be called back.
//!
//! Source: `spec/credential.md` §3.

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::time::{Seconds, Time};
use semper_support::flaws::{self, Flaw};

use super::statement::{
    Condition, Credential, CredentialTransfer, Reservation, ReservationRequest, Serial, Spend, USES_MAX, Uses,
};

/// The longest that a use is kept for one contract, and that a credential which was passed on can be called back.
pub const KEPT_MAX: Seconds = Seconds(400 * 24 * 3600);

/// What an issuer remembers of one credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    credential: Credential,
    successor: Option<Serial>,
    /// By their numbers, from 1.
    uses: BTreeMap<u32, Use>,
    /// When the condition ended under which it was passed on, if it did before its date.
    settled: Option<Time>,
}

/// A use that is kept or was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Use {
    tag: Digest,
    arbiter: KeySetId,
    until: Time,
    spent: Option<Time>,
}

/// Who says how a contract ended that a use is kept for, or that a credential was passed on under. That the statement is signed so, and is of the contract with that tag, was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// The holder's final: it has shown its right.
    Shown(KeySetId),
    /// An arbiter's verdict that the contract is complete.
    Resolved(KeySetId),
    /// An arbiter's verdict that nobody is bound.
    Aborted(KeySetId),
    /// Whoever has passed the credential on says that the money for it has come.
    Paid(KeySetId),
    /// An arbiter's verdict that a right is to be called back.
    Revoked(KeySetId),
}

impl Refusal {
    /// Whether the same request could be granted later. Where it is one to pass a credential on under a contract, whoever has asked ends its run on the refusal: so it
    /// has to be refused for ever, or somebody who has kept it would have the right passed on after all.
    pub const fn may_pass(self) -> bool {
        matches!(self, Refusal::NotYet | Refusal::Kept | Refusal::Pending | Refusal::Date)
    }
}

/// What follows from the end of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The entry from now on.
    pub entry: Entry,
    /// The entry of the credential in its place, if it was called back.
    pub back: Option<Entry>,
    /// The use that was taken, if one was.
    pub spend: Option<Spend>,
}

/// Why an issuer does not do what it is asked to. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The asker does not hold the credential.
    #[error("the credential belongs to somebody else")]
    NotHolder,
    /// It was passed on.
    #[error("the credential was passed on, and is worth nothing any more")]
    Retired,
    /// It may not be passed on.
    #[error("the credential may not be passed on")]
    NotTransferable,
    /// It is not valid yet.
    #[error("the credential is not valid yet")]
    NotYet,
    /// It is not valid any more.
    #[error("the credential is not valid any more")]
    Expired,
    /// All uses were taken.
    #[error("every use of the credential was taken")]
    UsedUp,
    /// A use is kept for a contract.
    #[error("a use of the credential is kept for a contract that has not ended; come again after that")]
    Kept,
    /// A use for this contract was asked for under another arbiter, or was taken.
    #[error("a use is kept for this contract under another arbiter, or was taken for it")]
    Conflict,
    /// The date is over, or too far away.
    #[error("a use is kept for at most {} days", KEPT_MAX.0 / 86400)]
    Date,
    /// Nothing is kept for this contract, any more.
    #[error("no use of the credential is kept for this contract")]
    NotKept,
    /// It was passed on under a contract that has not ended.
    #[error("the credential was passed on to its holder under a contract that has not ended; come again after that")]
    Pending,
    /// It was passed on under a contract that has ended.
    #[error("nobody calls this credential back any more")]
    Settled,
    /// It was asked for before under a contract, and refused.
    #[error("this was asked for before and refused, and is refused for ever")]
    Before,
    /// Whoever has said how the contract ended has no say in it.
    #[error("the statement is of nobody who decides over this")]
    NoSay,
}

impl Entry {
    /// A credential that was just issued.
    pub fn new(credential: Credential) -> Self {
        Self { credential, successor: None, uses: BTreeMap::new(), settled: None }
    }

    /// What was issued.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The serial number of the credential that was issued in the place of this one.
    pub fn successor(&self) -> Option<Serial> {
        self.successor
    }

    /// How many uses are left that nobody has taken; what is kept for contracts is left too. `None`: it may be used freely.
    pub fn left(&self) -> Option<u32> {
        match self.credential.uses {
            Uses::Unlimited => None,
            Uses::Counted(uses) => Some(uses.saturating_sub(self.spent())),
        }
    }

    /// How many uses are kept for contracts at `now`.
    pub fn kept(&self, now: Time) -> usize {
        self.uses.values().filter(|taken| taken.spent.is_none() && taken.stands(now)).count()
    }

    /// Until when the credential can be called back; `None`: it cannot.
    pub fn callable_until(&self, now: Time) -> Option<Time> {
        self.pending(now).map(|condition| condition.until)
    }

    /// The condition that has not ended.
    fn pending(&self, now: Time) -> Option<Condition> {
        let open = self.settled.is_none() && self.successor.is_none();
        self.credential.condition.filter(|condition| open && now <= condition.until)
    }

    fn spent(&self) -> u32 {
        u32::try_from(self.uses.values().filter(|taken| taken.spent.is_some()).count()).unwrap_or(USES_MAX)
    }

    /// Passes the credential on, for ever or under a condition: this entry from now on, and that of the credential in its place, which `serial` names.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn transfer(
        &self,
        by: KeySetId,
        asked: &CredentialTransfer,
        serial: Serial,
        now: Time,
    ) -> Result<(Self, Self), Refusal> {
        self.usable(by, now)?;
        if !self.credential.transferable {
            return Err(Refusal::NotTransferable);
        }
        if self.pending(now).is_some() {
            return Err(Refusal::Pending);
        }
        if let Some(Condition { until, giver, .. }) = asked.condition {
            if giver != by {
                return Err(Refusal::NotHolder);
            }
            if until < now || until > now.after(KEPT_MAX) {
                return Err(Refusal::Date);
            }
        }
        if self.kept(now) > 0 {
            return Err(Refusal::Kept);
        }
        let uses = match self.left() {
            None => Uses::Unlimited,
            Some(0) => return Err(Refusal::UsedUp),
            Some(left) => Uses::Counted(left),
        };
        let (holder, condition) = (asked.to, asked.condition);
        let next = Credential { serial, holder, uses, condition, ..self.credential.clone() };
        Ok((Self { successor: Some(serial), ..self.clone() }, Self::new(next)))
    }

    /// Keeps a use for a contract. Asked again for the same contract, it is the same use, kept for as long as was asked for at most.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn reserve(&self, by: KeySetId, asked: &ReservationRequest, now: Time) -> Result<(Self, Reservation), Refusal> {
        self.usable(by, now)?;
        if asked.until < now || asked.until > now.after(KEPT_MAX) {
            return Err(Refusal::Date);
        }
        let ReservationRequest { serial, tag, arbiter, until } = *asked;
        let reservation = Reservation { serial, tag, arbiter, until, number: None };
        let Uses::Counted(uses) = self.credential.uses else { return Ok((self.clone(), reservation)) };
        if self.pending(now).is_some() {
            return Err(Refusal::Pending);
        }
        let before = self.of(tag).filter(|(_, kept)| kept.stands(now));
        // Whoever could name another arbiter later could have that one free what the first one relies on.
        let again = flaws::active(Flaw::KeptAgain);
        if before.is_some_and(|(_, kept)| kept.spent.is_some() || kept.arbiter != arbiter && !again) {
            return Err(Refusal::Conflict);
        }
        let until = before.map_or(until, |(_, kept)| until.max(kept.until));
        let free = |number: &u32| self.uses.get(number).is_none_or(|kept| !kept.stands(now));
        // A use that nobody ever wanted comes first: the others may still be asked for by somebody who is late.
        let number = self.of(tag).map(|(number, _)| number);
        let number = number.or_else(|| (1..=uses).find(|number| !self.uses.contains_key(number)));
        let number = number.or_else(|| (1..=uses).find(free));
        let number = number.ok_or(if self.left() == Some(0) { Refusal::UsedUp } else { Refusal::Kept })?;
        let mut next = self.clone();
        next.uses.insert(number, Use { tag, arbiter, until, spent: None });
        Ok((next, Reservation { until, number: Some(number), ..reservation }))
    }

    /// Ends what is kept for a contract, or the condition under which the credential was passed on. The same word again changes nothing; what was
    /// called back or taken the issuer says again by itself. `serial` names the credential that is issued if this one is called back.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn settle(&self, tag: Digest, word: Word, serial: Serial, now: Time) -> Result<Settled, Refusal> {
        match self.credential.condition.filter(|condition| condition.tag == tag) {
            Some(condition) if calls_back(word) => self.call_back(&condition, word, serial, now),
            Some(condition) => Ok(Settled { entry: self.keep(&condition, word, now)?, back: None, spend: None }),
            None => self.end_use(tag, word, now).map(|(entry, spend)| Settled { entry, back: None, spend }),
        }
    }

    /// The holder keeps what was passed on to it.
    fn keep(&self, condition: &Condition, word: Word, now: Time) -> Result<Self, Refusal> {
        let says = match word {
            Word::Paid(by) => by == condition.giver,
            Word::Resolved(by) => by == condition.arbiter,
            Word::Shown(_) | Word::Aborted(_) | Word::Revoked(_) => false,
        };
        match () {
            () if !says => Err(Refusal::NoSay),
            // It was called back before; or it was passed on after the condition had ended, which changes nothing.
            () if self.successor.is_some() && self.settled.is_none() => Err(Refusal::Retired),
            () => Ok(Self { settled: self.settled.or(Some(now)), ..self.clone() }),
        }
    }

    /// Retires the credential, and issues one to whoever has passed it on.
    fn call_back(&self, condition: &Condition, word: Word, serial: Serial, now: Time) -> Result<Settled, Refusal> {
        let anyway = flaws::active(Flaw::CalledBackAnyway);
        match word {
            Word::Revoked(by) | Word::Resolved(by) if by == condition.arbiter => {}
            _ => return Err(Refusal::NoSay),
        }
        match () {
            () if self.successor.is_some() => return Err(Refusal::Retired),
            () if anyway => {}
            () if self.settled.is_some() => return Err(Refusal::Settled),
            () if now > condition.until => return Err(Refusal::Date),
            () => {}
        }
        // Nothing was used: what is counted cannot be, before the condition has ended.
        let (holder, uses) = (condition.giver, self.left().map_or(Uses::Unlimited, Uses::Counted));
        let back = Credential { serial, holder, uses, condition: None, ..self.credential.clone() };
        let entry = Self { successor: Some(serial), ..self.clone() };
        Ok(Settled { entry, back: Some(Self::new(back)), spend: None })
    }

    /// Takes the use that is kept for a contract if it is complete, frees it if nobody is bound. `None` for a use that is free.
    fn end_use(&self, tag: Digest, word: Word, now: Time) -> Result<(Self, Option<Spend>), Refusal> {
        let Some((number, kept)) = self.of(tag) else {
            // Freed before, or by its date.
            return if matches!(word, Word::Aborted(_)) { Ok((self.clone(), None)) } else { Err(Refusal::NotKept) };
        };
        let says = match word {
            Word::Shown(by) => by == self.credential.holder,
            Word::Resolved(by) | Word::Aborted(by) => by == kept.arbiter,
            Word::Paid(_) | Word::Revoked(_) => false,
        };
        if !says {
            return Err(Refusal::NoSay);
        }
        let mut next = self.clone();
        if matches!(word, Word::Aborted(_)) {
            if kept.spent.is_some() {
                return Err(Refusal::Conflict);
            }
            next.uses.remove(&number);
            return Ok((next, None));
        }
        if kept.spent.is_none() && self.successor.is_some() {
            return Err(Refusal::Retired);
        }
        let time = kept.spent.unwrap_or(now);
        next.uses.insert(number, Use { spent: Some(time), ..kept });
        Ok((next, Some(Spend { serial: self.credential.serial, tag, number, time })))
    }

    fn of(&self, tag: Digest) -> Option<(u32, Use)> {
        self.uses.iter().find(|(_, kept)| kept.tag == tag).map(|(number, kept)| (*number, *kept))
    }

    fn usable(&self, by: KeySetId, now: Time) -> Result<(), Refusal> {
        match () {
            () if by != self.credential.holder => Err(Refusal::NotHolder),
            () if self.successor.is_some() => Err(Refusal::Retired),
            () if now < self.credential.from => Err(Refusal::NotYet),
            () if now > self.credential.until => Err(Refusal::Expired),
            () => Ok(()),
        }
    }
}

/// Whether a word has a credential called back.
fn calls_back(word: Word) -> bool {
    let anyway = flaws::active(Flaw::CalledBackAnyway);
    matches!(word, Word::Revoked(_)) || (anyway && matches!(word, Word::Resolved(_)))
}

impl Use {
    /// Whether nobody else can have it.
    fn stands(&self, now: Time) -> bool {
        self.spent.is_some() || now <= self.until
    }
}

impl Encode for Entry {
    fn to_value(&self) -> Value {
        let used = |(number, kept): (&u32, &Use)| {
            record()
                .put(0, u64::from(*number))
                .put_item(1, &kept.tag)
                .put_item(2, &kept.arbiter)
                .put_item(3, &kept.until)
                .put_some(4, kept.spent.map(|time| time.to_value()))
                .build()
        };
        record()
            .put(0, 1_u64)
            .put_item(1, &self.credential)
            .put_some(2, self.successor.map(|serial| serial.to_value()))
            .put(3, self.uses.iter().map(used).collect::<Vec<_>>())
            .put_some(4, self.settled.map(|time| time.to_value()))
            .build()
    }
}

impl Decode for Entry {
    const BYTES_MAX: usize = 256 * 1024;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        fields.version(0, 1)?;
        let (credential, successor) = (fields.item(1, "credential")?, fields.optional_item(2, "successor")?);
        let mut uses = BTreeMap::new();
        for value in fields.array(3, "uses", USES_MAX as usize)? {
            let mut used = Fields::open(value)?;
            let number: u32 = used.small(0, "number")?;
            let kept = Use {
                tag: used.item(1, "tag")?,
                arbiter: used.item(2, "arbiter")?,
                until: used.item(3, "until")?,
                spent: used.optional_item(4, "spent")?,
            };
            used.close()?;
            if uses.last_key_value().is_some_and(|(last, _)| *last >= number) {
                return Err(DecodeError::field("uses", Problem::OutOfRange("the numbers of uses must rise")));
            }
            uses.insert(number, kept);
        }
        let settled = fields.optional_item(4, "settled")?;
        fields.close()?;
        Ok(Self { credential, successor, uses, settled })
    }
}

#[cfg(test)]
mod tests;
