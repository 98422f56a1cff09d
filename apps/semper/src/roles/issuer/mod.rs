//! The issuer's service: credentials are issued, passed on, kept for contracts and used up here. The rules are
//! [`semper_transfer::credential::register`].
//!
//! ```text
//! POST /v1/requests            application/cbor: a submission → application/cose: the issuer's statement; 204 when a use was freed
//! GET  /v1/credentials/SERIAL  what is left of a credential, JSON
//! GET  /health                 200 if storage answers
//! GET  /metrics                Prometheus text
//!
//! state  "credential" ‖ serial         → entry: all that is known of one credential, by versions
//! fact   "issuer-said"  name           → what was said, signed; named by the serial of a new credential, by the request, by serial and tag of a
//!                               spend, and of what was called back; empty if a request is refused for ever
//! ```
//! A decision is one commit: the entry in the place of the version that it was computed from, and what is said about it. If the power fails
//! before, nothing was decided; after, the same request finds what was said. A request that meets another one is decided again.

mod http;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use semper_channel::Clock;
use semper_core::cbor::{Decode, DecodeError, Encode};
use semper_core::contract::{Final, Quittance};
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::ids::KeySetId;
use semper_core::signature::{SignatureError, Verify, verify};
use semper_core::time::Time;
use semper_exchange::arbiter::verdict::{Outcome, Verdict};
use semper_support::archive::{Archive, Commit, CommitError, Fact, PutState, ReadError};
use semper_support::crypto::{CryptoError, Randomness, Signer};
use semper_transfer::credential::register::{Entry, Refusal, Settled, Word};
use semper_transfer::credential::{
    Bundle, Credential, CredentialTransfer, ReservationRequest, Serial, Submission, Uses, use_tag,
};
use serde::{Deserialize, Serialize};

pub use http::PATHS;

use crate::roles::admit::Usual;

/// How often clients may ask.
pub const USUAL: Usual = Usual { client: (200, 10), all: (2000, 200) };
/// State key prefix of the entries.
const ENTRIES: &[u8] = b"credential";
/// Fact space of what was said.
const SAID: &str = "issuer-said";
/// How often a request that meets others is decided again before its asker is told to come later.
const TRIES: usize = 64;
/// Entries that are read at once.
const PAGE: usize = 500;

/// An issuer of credentials.
pub struct Issuer {
    archive: Arc<dyn Archive>,
    keys: Arc<dyn Signer>,
    verify: Arc<dyn Verify>,
    random: Arc<dyn Randomness>,
    clock: Clock,
    address: String,
    /// Requests by what they asked for and how they ended.
    counters: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

/// What an issuer is made of.
pub struct IssuerParts {
    /// The archive.
    pub archive: Arc<dyn Archive>,
    /// The issuer's keys.
    pub keys: Arc<dyn Signer>,
    /// Checks signatures.
    pub verify: Arc<dyn Verify>,
    /// Makes serial numbers.
    pub random: Arc<dyn Randomness>,
    /// The clock.
    pub clock: Clock,
    /// Where it answers; stands in every credential.
    pub address: String,
}

/// A credential that the operator wants to have issued.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueOrder {
    /// Its serial number: 32 hexadecimal digits. The same again is issued once.
    pub serial: String,
    /// The key set that it is for.
    pub holder: String,
    /// The right.
    pub right: String,
    /// The key sets that honour it; anybody if empty.
    pub audience: Vec<String>,
    /// How often it can be used; as often as the holder likes if there is none.
    pub uses: Option<u32>,
    /// Whether it may be passed on.
    pub transferable: bool,
    /// From when on it is valid, in seconds since 1970.
    pub from: u64,
    /// The last second in which it is valid.
    pub until: u64,
}

/// A credential, for the operator and for whoever knows its serial number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingView {
    /// Its serial number.
    pub serial: String,
    /// Its holder's key set.
    pub holder: String,
    /// The right.
    pub right: String,
    /// `valid`, `not-yet`, `expired`, `passed-on` or `used-up`.
    pub state: String,
    /// Uses that nobody has taken; none if it may be used freely.
    pub left: Option<u32>,
    /// How many of them are kept for contracts.
    pub kept: usize,
    /// The last second in which it is valid, in seconds since 1970.
    pub until: u64,
    /// The last second in which it can be called back, in seconds since 1970; none if it cannot.
    pub callable_until: Option<u64>,
}

/// Why an issuer does not do what it is asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// Not a submission, or not of what an issuer is asked.
    #[error("the request is malformed: {0}")]
    Malformed(DecodeError),
    /// It is of another kind than an issuer is asked for.
    #[error("an issuer is not asked with a signed {0}, or not with this about it")]
    WrongKind(Kind),
    /// Not signed as it says.
    #[error("the request is not signed by the keys that come with it: {0}")]
    Signature(#[from] SignatureError),
    /// No such credential was issued here.
    #[error("no credential with this serial number was issued here")]
    Unknown,
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The operator's order is not usable.
    #[error("no credential can be issued so: {0}")]
    Order(&'static str),
    /// It meets others all the time.
    #[error("too much is asked about this credential at once")]
    Busy,
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Storage failed, or it is not known whether.
    #[error(transparent)]
    Commit(CommitError),
    /// Signing failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// What the rules give for a request: what is stored, and what is said under a name.
struct Decided {
    entries: Vec<Entry>,
    says: Option<Draft>,
}

/// What was said: a statement; `None` for a use that is free.
type Said = Option<Signed>;

impl Issuer {
    /// An issuer over its parts.
    pub fn new(parts: IssuerParts) -> Arc<Self> {
        let IssuerParts { archive, keys, verify, random, clock, address } = parts;
        Arc::new(Self { archive, keys, verify, random, clock, address, counters: Mutex::default() })
    }

    /// Issues a credential. The same order again gives the same one.
    ///
    /// # Errors
    /// `Order`: the order cannot be followed, or another credential has this serial number. Storage, signing.
    pub async fn issue(&self, order: &IssueOrder) -> Result<Bundle, IssuerError> {
        let key_set =
            |text: &String| KeySetId::parse(text).ok_or(IssuerError::Order("a key has 64 hexadecimal digits"));
        let serial = Serial::parse(&order.serial);
        let credential = Credential {
            serial: serial.ok_or(IssuerError::Order("a serial number has 32 hexadecimal digits"))?,
            issuer: self.address.clone(),
            holder: key_set(&order.holder)?,
            right: order.right.clone(),
            audience: order.audience.iter().map(key_set).collect::<Result<_, _>>()?,
            uses: order.uses.map_or(Uses::Unlimited, Uses::Counted),
            transferable: order.transferable,
            from: Time::from_unix(order.from),
            until: Time::from_unix(order.until),
            condition: None,
        };
        if credential.until < credential.from || credential.until < (self.clock)() {
            return Err(IssuerError::Order("it would not be valid any more"));
        }
        // What nobody can read nobody honours.
        Credential::from_bytes(&credential.to_bytes()).map_err(|_| {
            IssuerError::Order("a right is one plain line of at most 256 bytes, with 1 to 1000 uses and at most 16 keys that honour it")
        })?;
        let name = credential.serial.as_bytes().to_vec();
        let draft = self.draft(&credential);
        let entry = Entry::new(credential.clone());
        let decide = |stands: Option<&Entry>| match stands {
            None => Ok(Decided { entries: vec![entry.clone()], says: Some(draft.clone()) }),
            Some(_) => Err(IssuerError::Order("another credential has this serial number")),
        };
        let said = self.settle(credential.serial, Some(name), decide).await?;
        let signed = said.filter(|said| said.id() == draft.id());
        let signed = signed.ok_or(IssuerError::Order("another credential has this serial number"))?;
        Ok(Bundle { issuer: self.keys.key_set().clone(), credential: signed, reservation: None })
    }

    /// Does what a submission asks for. The same one again gets the same answer, for ever.
    ///
    /// # Errors
    /// [`IssuerError`]; nothing has changed, unless `Commit` says that it is not known.
    pub async fn submit(&self, bytes: &[u8]) -> Result<Said, IssuerError> {
        let submission = Submission::from_bytes(bytes).map_err(IssuerError::Malformed)?;
        let (kind, kept) = (submission.statement.kind(), submission.kept);
        let said = match (kind, kept) {
            (Kind::CredentialTransfer, None) => self.transfer(&submission).await,
            (Kind::ReservationRequest, None) => self.reserve(&submission).await,
            (Kind::Final | Kind::Quittance | Kind::Verdict, Some((serial, salt))) => {
                self.ended(&submission, serial, &salt).await
            }
            _ => Err(IssuerError::WrongKind(kind)),
        };
        self.count(kind.name(), said.as_ref().map_or_else(IssuerError::name, |_| "done"));
        said
    }

    async fn transfer(&self, submission: &Submission) -> Result<Said, IssuerError> {
        let Submission { statement, signer, .. } = submission;
        let asked: CredentialTransfer = *verify(&*self.verify, signer, statement)?.statement();
        let (serial, now) = (self.fresh()?, (self.clock)());
        let decide = |entry: Option<&Entry>| {
            let entry = entry.ok_or(IssuerError::Unknown)?;
            let (retired, next) = entry.transfer(signer.id(), &asked, serial, now)?;
            let says = self.draft(next.credential());
            Ok(Decided { entries: vec![retired, next], says: Some(says) })
        };
        let name = statement.id().as_bytes().to_vec();
        let said = self.settle(asked.serial, Some(name.clone()), decide).await;
        match said {
            Err(IssuerError::Refused(refusal)) if asked.condition.is_some() && refusal.may_pass() => {
                self.refuse_for_ever(name, refusal).await
            }
            said => said,
        }
    }

    /// Stores that a request is refused, before that is said. If it was granted meanwhile, that is said.
    async fn refuse_for_ever(&self, name: Vec<u8>, refusal: Refusal) -> Result<Said, IssuerError> {
        let fact = Fact { space: SAID.to_owned(), key: name, value: Vec::new() };
        match self.archive.commit(Commit { facts: vec![fact], ..Commit::default() }).await {
            Ok(()) => Err(refusal.into()),
            Err(CommitError::Taken { stands }) => said_before(&stands.value),
            Err(error) => Err(IssuerError::Commit(error)),
        }
    }

    async fn reserve(&self, submission: &Submission) -> Result<Said, IssuerError> {
        let Submission { statement, signer, .. } = submission;
        let asked: ReservationRequest = *verify(&*self.verify, signer, statement)?.statement();
        let now = (self.clock)();
        let decide = |entry: Option<&Entry>| {
            let (next, reservation) = entry.ok_or(IssuerError::Unknown)?.reserve(signer.id(), &asked, now)?;
            Ok(Decided { entries: vec![next], says: Some(self.draft(&reservation)) })
        };
        self.settle(asked.serial, Some(statement.id().as_bytes().to_vec()), decide).await
    }

    /// The contract that a use is kept for, or that a credential was passed on under, has ended.
    async fn ended(&self, submission: &Submission, serial: Serial, salt: &[u8; 32]) -> Result<Said, IssuerError> {
        let Submission { statement, signer, .. } = submission;
        let (cid, word) = match statement.kind() {
            Kind::Final => {
                let shown = verify::<Final>(&*self.verify, signer, statement)?;
                (shown.statement().cid, Word::Shown(signer.id()))
            }
            Kind::Quittance => {
                let paid = verify::<Quittance>(&*self.verify, signer, statement)?;
                (paid.statement().cid, Word::Paid(signer.id()))
            }
            kind => {
                let verdict = verify::<Verdict>(&*self.verify, signer, statement)?;
                let word = match verdict.statement().outcome {
                    Outcome::Resolved => Word::Resolved(signer.id()),
                    Outcome::Aborted => Word::Aborted(signer.id()),
                    Outcome::Revoked => Word::Revoked(signer.id()),
                    Outcome::Fault(_) => return Err(IssuerError::WrongKind(kind)),
                };
                (verdict.statement().cid, word)
            }
        };
        let (tag, fresh, now) = (use_tag(cid, salt), self.fresh()?, (self.clock)());
        let decide = |entry: Option<&Entry>| {
            let Settled { entry, back, spend } = entry.ok_or(IssuerError::Unknown)?.settle(tag, word, fresh, now)?;
            let says = spend.map(|spend| self.draft(&spend));
            let says = says.or_else(|| back.as_ref().map(|back| self.draft(back.credential())));
            Ok(Decided { entries: [entry].into_iter().chain(back).collect(), says })
        };
        // Whoever frees a use, or ends a condition, hears nothing that must be kept, and must not hear of a spend instead.
        let of: Option<&[u8]> = match word {
            Word::Shown(_) | Word::Resolved(_) => Some(b""),
            Word::Revoked(_) => Some(b"back"),
            Word::Aborted(_) | Word::Paid(_) => None,
        };
        let name = of.map(|of| [serial.as_bytes().as_slice(), tag.as_bytes(), of].concat());
        self.settle(serial, name, decide).await
    }

    /// Decides by the rules on what is stored, stores what follows, and only then says it. What was said under `name` is said again.
    async fn settle(
        &self,
        serial: Serial,
        name: Option<Vec<u8>>,
        decide: impl Fn(Option<&Entry>) -> Result<Decided, IssuerError>,
    ) -> Result<Said, IssuerError> {
        for _ in 0..TRIES {
            if let Some(name) = &name
                && let Some(said) = self.archive.fact(SAID, name).await?
            {
                return said_before(&said);
            }
            let stored = self.archive.state(&entry_key(serial)).await?;
            let entry = stored.as_ref().map(|stored| Entry::from_bytes(&stored.bytes)).transpose();
            let entry = entry.map_err(|error| damaged(&error))?;
            let Decided { entries, says } = decide(entry.as_ref())?;
            if says.is_none() && entries.first() == entry.as_ref() {
                return Ok(None);
            }
            let said = says.map(|draft| self.keys.sign(draft)).transpose()?;
            let put = |(place, entry): (usize, &Entry)| {
                // The first is the one that was decided about; one in its place is new.
                let replaces = stored.as_ref().filter(|_| place == 0).map_or(0, |stored| stored.version);
                PutState { key: entry_key(entry.credential().serial), replaces, bytes: entry.to_bytes() }
            };
            let fact = |(key, said): (&Vec<u8>, &Signed)| Fact {
                space: SAID.to_owned(),
                key: key.clone(),
                value: said.bytes().to_vec(),
            };
            // A credential that may be used freely has nothing to remember: what is said of it is no promise about what is left.
            let remembered = entries.first() != entry.as_ref();
            let commit = Commit {
                states: entries.iter().enumerate().map(put).collect(),
                facts: name.as_ref().zip(said.as_ref()).filter(|_| remembered).map(fact).into_iter().collect(),
                ..Commit::default()
            };
            match self.archive.commit(commit).await {
                Ok(()) => return Ok(said),
                Err(CommitError::Stale { .. } | CommitError::Taken { .. }) => {}
                Err(error) => return Err(IssuerError::Commit(error)),
            }
        }
        Err(IssuerError::Busy)
    }

    /// What is left of a credential.
    ///
    /// # Errors
    /// `Unknown`, storage.
    pub async fn standing(&self, serial: Serial) -> Result<StandingView, IssuerError> {
        let stored = self.archive.state(&entry_key(serial)).await?.ok_or(IssuerError::Unknown)?;
        Ok(self.view(&Entry::from_bytes(&stored.bytes).map_err(|error| damaged(&error))?))
    }

    /// Every credential that was issued here, at most `PAGE` after the serial number `after`.
    ///
    /// # Errors
    /// Storage.
    pub async fn issued(&self, after: Option<Serial>) -> Result<Vec<StandingView>, IssuerError> {
        let after = after.map(entry_key);
        let stored = self.archive.states(ENTRIES, after.as_deref(), PAGE).await?;
        let read = |bytes: &[u8]| Entry::from_bytes(bytes).map_err(|error| damaged(&error));
        stored.iter().map(|stored| Ok(self.view(&read(&stored.bytes)?))).collect()
    }

    fn view(&self, entry: &Entry) -> StandingView {
        let (now, credential) = ((self.clock)(), entry.credential());
        let state = match entry.left() {
            _ if entry.successor().is_some() => "passed-on",
            _ if now > credential.until => "expired",
            Some(0) => "used-up",
            _ if now < credential.from => "not-yet",
            _ => "valid",
        };
        StandingView {
            serial: credential.serial.to_string(),
            holder: credential.holder.to_string(),
            right: credential.right.clone(),
            state: state.to_owned(),
            left: entry.left(),
            kept: entry.kept(now),
            until: credential.until.unix(),
            callable_until: entry.callable_until(now).map(Time::unix),
        }
    }

    /// A serial number that nothing has.
    fn fresh(&self) -> Result<Serial, CryptoError> {
        let mut serial = [0; 16];
        self.random.fill(&mut serial)?;
        Ok(Serial::from_array(serial))
    }

    fn draft(&self, statement: &impl Statement) -> Draft {
        let mine = self.keys.key_set();
        statement.draft(mine.suite(), mine.id())
    }

    fn count(&self, verb: &'static str, outcome: &'static str) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.entry((verb, outcome)).or_default() += 1;
    }
}

impl IssuerError {
    /// The name in problem documents and counters.
    fn name(&self) -> &'static str {
        match self {
            IssuerError::Malformed(_) => "malformed",
            IssuerError::WrongKind(_) => "wrong-kind",
            IssuerError::Signature(_) => "signature",
            IssuerError::Unknown => "unknown",
            IssuerError::Refused(refusal) => match refusal {
                Refusal::NotHolder => "not-holder",
                Refusal::Retired => "passed-on",
                Refusal::NotTransferable => "not-transferable",
                Refusal::NotYet => "not-yet",
                Refusal::Expired => "expired",
                Refusal::UsedUp => "used-up",
                Refusal::Kept => "kept",
                Refusal::Conflict => "conflict",
                Refusal::Date => "date",
                Refusal::NotKept => "not-kept",
                Refusal::NoSay => "no-say",
                Refusal::Pending => "pending",
                Refusal::Before => "refused-before",
                Refusal::Settled => "settled",
                _ => "refused",
            },
            IssuerError::Order(_) => "order",
            IssuerError::Busy | IssuerError::Read(_) | IssuerError::Commit(_) | IssuerError::Crypto(_) => "busy",
        }
    }
}

/// What was said under a name.
fn said_before(said: &[u8]) -> Result<Said, IssuerError> {
    if said.is_empty() {
        return Err(Refusal::Before.into());
    }
    Signed::from_bytes(said).map(Some).map_err(|error| damaged(&error))
}

fn entry_key(serial: Serial) -> Vec<u8> {
    [ENTRIES, serial.as_bytes()].concat()
}

fn damaged(error: &DecodeError) -> IssuerError {
    IssuerError::Read(ReadError(format!("a stored credential is not readable: {error}")))
}
