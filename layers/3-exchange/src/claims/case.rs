//! What is judged: the folders of one deal, whoever has kept them, as one heap of evidence without order and without doubles.

use std::collections::BTreeMap;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Problem, Value, record};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{DealId, KeySetId};
use semper_core::party::{Algorithm, Suite};
use semper_core::time::{Seconds, Time};
use semper_support::stamp::CertificateId;

use crate::evidence::{Checks, Folder, Item, Report, Stamped, examine};

/// Most folders in one case.
pub const FOLDERS_MAX: usize = 32;
/// Most arbiters, signers, certificates and algorithms in a policy.
const KNOWN_MAX: usize = 64;

/// The evidence of one deal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    deal: DealId,
    items: BTreeMap<Digest, Item>,
}

/// Why folders are no case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// There is no folder.
    #[error("a case needs a folder")]
    Empty,
    /// There are too many folders.
    #[error("a case has at most 32 folders")]
    TooMany,
    /// The folders belong to different deals.
    #[error("the folders belong to different deals: {0} and {1}")]
    OtherDeal(DealId, DealId),
}

impl Case {
    /// The case that folders of one deal make together.
    ///
    /// # Errors
    /// [`CaseError`].
    pub fn of(folders: &[Folder]) -> Result<Self, CaseError> {
        let first = folders.first().ok_or(CaseError::Empty)?;
        if folders.len() > FOLDERS_MAX {
            return Err(CaseError::TooMany);
        }
        if let Some(other) = folders.iter().find(|folder| folder.deal != first.deal) {
            return Err(CaseError::OtherDeal(first.deal, other.deal));
        }
        let named = |item: &Item| (Digest::of_parts(domain::CASE_ITEM, &[&head(item), &item.bytes]), item.clone());
        Ok(Self { deal: first.deal, items: folders.iter().flat_map(|folder| &folder.items).map(named).collect() })
    }

    /// The deal.
    pub fn deal(&self) -> DealId {
        self.deal
    }

    /// `H("semper/case/1" ‖ deal ‖ the items' hashes in order)`: the same for the same evidence, however it is spread over folders.
    pub fn hash(&self) -> Digest {
        let mut parts: Vec<&[u8]> = vec![self.deal.as_bytes()];
        parts.extend(self.items.keys().map(|digest| digest.as_bytes().as_slice()));
        Digest::of_parts(domain::CASE, &parts)
    }

    /// What the evidence proves, by the verifier of folders.
    pub fn examine(&self, checks: &Checks<'_>) -> Report {
        examine(checks, self.deal, self.items.values())
    }
}

/// The name of the kind, and a zero that ends it. The time of an item proves nothing and is left out.
fn head(item: &Item) -> Vec<u8> {
    [item.kind.name().as_bytes(), &[0]].concat()
}

/// Whose word counts for whoever judges, and when it is judged.
///
/// ```text
/// policy = { 0: at, 1: skew, ? 2: [* key set id], ? 3: [* key set id], ? 4: [+ certificate id], ? 5: [+ sunset],
///            ? 6: [+ revocation] }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The instant of the judgement: what says of itself that it is younger does not count.
    pub at: Time,
    /// By how much clocks of honest people are ahead at most.
    pub skew: Seconds,
    /// The arbiters whose word counts. `None`: whichever the parties have agreed on.
    pub arbiters: Option<Vec<KeySetId>>,
    /// Whose signatures count for transfers and payments, where no contract says who the parties are. `None`: everybody's; the grounds name
    /// the signers, and who judges must know whose keys those are.
    pub signers: Option<Vec<KeySetId>>,
    /// The certificates whose word on times counts: of time-stamp authorities, or of who certified them. None: nobody's.
    pub stampers: Vec<CertificateId>,
    /// The algorithms whose signatures prove nothing any more unless a time-stamp shows that they are older.
    pub sunsets: Vec<Sunset>,
    /// The keys whose signatures prove nothing any more unless a time-stamp shows that they are older.
    pub revoked: Vec<Revocation>,
}

/// From when on signatures of a key set prove nothing, because somebody else may have made them: it was stolen, and its owner has said so. What a
/// trusted time-stamp dates before counts on.
///
/// ```text
/// revocation = [key set id, time]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose keys.
    pub key_set: KeySetId,
    /// The instant.
    pub from: Time,
}

/// From when on signatures of an algorithm prove nothing, because they can be forged. What a trusted time-stamp dates before counts on.
///
/// ```text
/// sunset = [COSE number, time]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sunset {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The instant.
    pub from: Time,
}

impl Policy {
    /// The parties' own arbiter counts, and every signer; clocks may be ten minutes ahead.
    pub fn at(at: Time) -> Self {
        let (stampers, sunsets, revoked) = (Vec::new(), Vec::new(), Vec::new());
        Self { at, skew: Seconds(600), arbiters: None, signers: None, stampers, sunsets, revoked }
    }

    /// Whether an arbiter's word counts.
    pub fn trusts(&self, arbiter: KeySetId) -> bool {
        self.arbiters.as_ref().is_none_or(|trusted| trusted.contains(&arbiter))
    }

    /// Whether somebody who vouches for a time-stamp is trusted, and it does not date itself later than the judgement.
    pub fn believes(&self, stamp: &Stamped) -> bool {
        let known = stamp.vouchers.iter().any(|voucher| self.stampers.contains(voucher));
        known && stamp.before <= self.at.after(self.skew)
    }

    /// From when on what a key set has signed proves nothing, at the instant of the judgement: it was revoked, or its algorithms fell.
    pub fn ends(&self, suite: Suite, signer: KeySetId) -> Option<Time> {
        let revoked = self.revoked.iter().filter(|revoked| revoked.key_set == signer).map(|revoked| revoked.from);
        revoked.filter(|from| *from <= self.at).chain(self.sunset(suite)).min()
    }

    /// From when on statements of a suite prove nothing: every algorithm of it has to be past its time, because one that stands is enough.
    fn sunset(&self, suite: Suite) -> Option<Time> {
        let of = |algorithm: &Algorithm| {
            self.sunsets.iter().filter(|sunset| sunset.algorithm == *algorithm).map(|sunset| sunset.from).min()
        };
        let times: Option<Vec<Time>> = suite.algorithms().iter().map(of).collect();
        times.and_then(|times| times.into_iter().max()).filter(|from| *from <= self.at)
    }

    /// Whether a signer's word about a transfer or a payment counts.
    pub fn knows(&self, signer: KeySetId) -> bool {
        self.signers.as_ref().is_none_or(|known| known.contains(&signer))
    }
}

impl Encode for Policy {
    fn to_value(&self) -> Value {
        let ids =
            |ids: &Option<Vec<KeySetId>>| ids.as_ref().map(|ids| ids.iter().map(Encode::to_value).collect::<Vec<_>>());
        let policy = record().put_item(0, &self.at).put_item(1, &self.skew);
        let stampers: Vec<Value> = self.stampers.iter().map(Encode::to_value).collect();
        let sunsets: Vec<Value> = self.sunsets.iter().map(Encode::to_value).collect();
        let some = |list: Vec<Value>| (!list.is_empty()).then_some(list);
        let policy = policy.put_some(2, ids(&self.arbiters)).put_some(3, ids(&self.signers));
        let revoked: Vec<Value> = self.revoked.iter().map(Encode::to_value).collect();
        policy.put_some(4, some(stampers)).put_some(5, some(sunsets)).put_some(6, some(revoked)).build()
    }
}

impl Decode for Policy {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let (at, skew) = (fields.item(0, "at")?, fields.item(1, "skew")?);
        let (arbiters, signers) = (ids(&mut fields, 2, "arbiters")?, ids(&mut fields, 3, "signers")?);
        let (stampers, sunsets) = (some(&mut fields, 4, "stampers")?, some(&mut fields, 5, "sunsets")?);
        let revoked = some(&mut fields, 6, "revoked keys")?;
        fields.close()?;
        Ok(Self { at, skew, arbiters, signers, stampers, sunsets, revoked })
    }
}

impl Encode for Sunset {
    fn to_value(&self) -> Value {
        Value::Array(vec![Value::int(self.algorithm.cose()), self.from.to_value()])
    }
}

impl Decode for Sunset {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let wrong = || DecodeError::field("sunset", Problem::OutOfRange("an algorithm and a time"));
        let Value::Array(pair) = value else { return Err(wrong()) };
        let [number, from]: [Value; 2] = pair.try_into().map_err(|_| wrong())?;
        let known = [Algorithm::Ed25519, Algorithm::Es256, Algorithm::MlDsa65];
        let algorithm = known.into_iter().find(|algorithm| Value::int(algorithm.cose()) == number);
        Ok(Self { algorithm: algorithm.ok_or_else(wrong)?, from: Time::from_value(from)? })
    }
}

impl Encode for Revocation {
    fn to_value(&self) -> Value {
        Value::Array(vec![self.key_set.to_value(), self.from.to_value()])
    }
}

impl Decode for Revocation {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let wrong = || DecodeError::field("revoked keys", Problem::OutOfRange("a key set and a time"));
        let Value::Array(pair) = value else { return Err(wrong()) };
        let [key_set, from]: [Value; 2] = pair.try_into().map_err(|_| wrong())?;
        Ok(Self { key_set: KeySetId::from_value(key_set)?, from: Time::from_value(from)? })
    }
}

/// A list that is left out when it is empty.
fn some<T: Decode>(fields: &mut Fields, key: u64, name: &str) -> Result<Vec<T>, DecodeError> {
    let Some(value) = fields.optional(key) else { return Ok(Vec::new()) };
    let list: Vec<T> = Fields::open(record().put(0, value).build())?.list(0, name, KNOWN_MAX)?;
    let empty = DecodeError::field(name, Problem::OutOfRange("a list of none is left out"));
    if list.is_empty() { Err(empty) } else { Ok(list) }
}

fn ids(fields: &mut Fields, key: u64, name: &str) -> Result<Option<Vec<KeySetId>>, DecodeError> {
    let Some(value) = fields.optional(key) else { return Ok(None) };
    // A list is read as a field: what is optional here is the field as a whole.
    Fields::open(record().put(0, value).build())?.list(0, name, KNOWN_MAX).map(Some)
}
