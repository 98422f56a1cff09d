//! An issuer of credentials with the real rules, and nothing else: what its service keeps in an archive is one value here.

use std::collections::BTreeMap;

use semper_core::contract::{Final, Quittance};
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::party::Suite;
use semper_core::signature::verify;
use semper_core::time::Time;
use semper_exchange::arbiter::verdict::{Outcome, Verdict};
use semper_support::crypto::Signer;
use semper_transfer::credential::register::{Entry, Word};
use semper_transfer::credential::{Credential, CredentialTransfer, ReservationRequest, Serial, Submission, use_tag};

use crate::scenario::Cast;
use crate::symbolic::Hand;

/// All that an issuer has stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Issued {
    entries: Vec<Entry>,
    said: BTreeMap<Vec<u8>, Signed>,
}

/// The issuer's keys.
pub fn hand(cast: &Cast) -> Hand {
    cast.oracle.hand(Suite::Ed25519, 7)
}

/// The serial number of the credential that is made in the `place`-th place.
pub fn serial(place: usize) -> Serial {
    Serial::from_array([u8::try_from(place + 1).unwrap_or(u8::MAX); 16])
}

impl Issued {
    /// One credential was issued.
    pub fn new(credential: Credential) -> Self {
        Self { entries: vec![Entry::new(credential)], said: BTreeMap::new() }
    }

    /// Everything that was said.
    pub fn said(&self) -> impl Iterator<Item = &Signed> {
        self.said.values()
    }

    /// The credentials that stand.
    pub fn standing(&self) -> impl Iterator<Item = &Credential> {
        self.entries.iter().filter(|entry| entry.successor().is_none()).map(Entry::credential)
    }

    /// How many uses are left of the first credential, if they are counted.
    pub fn left(&self) -> Option<u32> {
        self.entries.first().and_then(Entry::left)
    }

    /// How many uses of it are kept.
    pub fn kept(&self, now: Time) -> usize {
        self.entries.first().map_or(0, |entry| entry.kept(now))
    }

    /// Every credential that was ever made.
    pub fn made(&self) -> impl Iterator<Item = &Credential> {
        self.entries.iter().map(Entry::credential)
    }

    /// Does what is asked for, as the service does it: the same again gets the same answer. What is refused changes nothing.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn submit(&mut self, cast: &Cast, asked: &Submission, now: Time) -> Result<Option<Signed>, String> {
        let Submission { statement, signer, kept } = asked;
        let fresh = serial(self.entries.len());
        let bad = |error: &dyn std::fmt::Display| error.to_string();
        let (of, name, word) = match (statement.kind(), kept) {
            (Kind::CredentialTransfer, None) => {
                let asked =
                    *verify::<CredentialTransfer>(&cast.oracle, signer, statement).map_err(|e| bad(&e))?.statement();
                let name = statement.id().as_bytes().to_vec();
                if let Some(said) = self.said.get(&name) {
                    return Ok(Some(said.clone()));
                }
                let place = self.place(asked.serial)?;
                let (retired, next) =
                    self.entries[place].transfer(signer.id(), &asked, fresh, now).map_err(|e| bad(&e))?;
                self.entries[place] = retired;
                return Ok(Some(self.make(cast, name, next)));
            }
            (Kind::ReservationRequest, None) => {
                let asked =
                    *verify::<ReservationRequest>(&cast.oracle, signer, statement).map_err(|e| bad(&e))?.statement();
                let name = statement.id().as_bytes().to_vec();
                if let Some(said) = self.said.get(&name) {
                    return Ok(Some(said.clone()));
                }
                let place = self.place(asked.serial)?;
                let (next, kept) = self.entries[place].reserve(signer.id(), &asked, now).map_err(|e| bad(&e))?;
                self.entries[place] = next;
                return Ok(Some(self.remember(name, say(cast, &kept))));
            }
            (Kind::Final, Some((serial, salt))) => {
                let cid = verify::<Final>(&cast.oracle, signer, statement).map_err(|e| bad(&e))?.statement().cid;
                (*serial, use_tag(cid, salt), Word::Shown(signer.id()))
            }
            (Kind::Quittance, Some((serial, salt))) => {
                let cid = verify::<Quittance>(&cast.oracle, signer, statement).map_err(|e| bad(&e))?.statement().cid;
                (*serial, use_tag(cid, salt), Word::Paid(signer.id()))
            }
            (Kind::Verdict, Some((serial, salt))) => {
                let verdict = verify::<Verdict>(&cast.oracle, signer, statement).map_err(|e| bad(&e))?;
                let by = signer.id();
                let word = match verdict.statement().outcome {
                    Outcome::Aborted => Word::Aborted(by),
                    Outcome::Resolved => Word::Resolved(by),
                    Outcome::Revoked => Word::Revoked(by),
                    Outcome::Fault(_) => return Err("no word about a right".to_owned()),
                };
                (*serial, use_tag(verdict.statement().cid, salt), word)
            }
            _ => return Err("nothing that an issuer is asked".to_owned()),
        };
        let place = self.place(of)?;
        // What was taken, and what was called back, is said under names of their own; whoever frees something hears nothing that is kept.
        let under: Option<&[u8]> = match word {
            Word::Shown(_) | Word::Resolved(_) => Some(b""),
            Word::Revoked(_) => Some(b"back"),
            Word::Aborted(_) | Word::Paid(_) => None,
        };
        let under = under.map(|under| [of.as_bytes().as_slice(), name.as_bytes(), under].concat());
        if let Some(said) = under.as_ref().and_then(|under| self.said.get(under)) {
            return Ok(Some(said.clone()));
        }
        let settled = self.entries[place].settle(name, word, fresh, now).map_err(|e| bad(&e))?;
        self.entries[place] = settled.entry;
        let under = under.unwrap_or_default();
        if let Some(spend) = settled.spend {
            return Ok(Some(self.remember(under, say(cast, &spend))));
        }
        Ok(settled.back.map(|back| self.make(cast, under, back)))
    }

    fn place(&self, serial: Serial) -> Result<usize, String> {
        let place = self.entries.iter().position(|entry| entry.credential().serial == serial);
        place.ok_or_else(|| "no such credential".to_owned())
    }

    fn make(&mut self, cast: &Cast, name: Vec<u8>, entry: Entry) -> Signed {
        let signed = say(cast, entry.credential());
        self.entries.push(entry);
        self.remember(name, signed)
    }

    fn remember(&mut self, name: Vec<u8>, said: Signed) -> Signed {
        self.said.insert(name, said.clone());
        said
    }
}

/// What the issuer says, signed.
pub fn say(cast: &Cast, statement: &impl Statement) -> Signed {
    let hand = hand(cast);
    let draft: Draft = statement.draft(hand.key_set().suite(), hand.key_set().id());
    hand.sign(draft).expect("the issuer signs its own drafts")
}
