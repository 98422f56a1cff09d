//! The guarantor's service: it stands for its customers, one contract at a time. The rules are [`semper_exchange::cover::register`].
//!
//! ```text
//! POST /v1/requests      application/cbor: a submission → application/cose: a cover or a ruling
//! GET  /v1/covers/ID     what has become of a cover, JSON
//! GET  /health           200 if storage answers
//! GET  /metrics          Prometheus text
//!
//! state  "guarantor-account" ‖ customer  → account: all that is not over, by versions
//! fact   "guarantor-cover"     cover     → customer's key set id
//! fact   "guarantor-tag"       tag       → cover
//! fact   "guarantor-said"      name      → what was said, signed; named by the request for a cover, else by the cover and its outcome
//! fact   "guarantor-closed"    cover     → closed: how it ended
//! fact   "guarantor-evidence"  cover     → the folder with which it was claimed
//! ```
//! A decision is one commit: the account in the place of the version that it was computed from, what is over by it, and what is said about it. If the power fails
//! before, nothing was decided; after, the same request finds what was said. A request that meets another one is decided again, so several servers on one store never
//! stand for more than the limit.

mod http;
mod operator;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use semper_channel::Clock;
use semper_core::amount::Amount;
use semper_core::cbor::{Decode, DecodeError, Encode};
use semper_core::contract::Core;
use semper_core::cose::{Draft, Kind, Signed, Statement};
use semper_core::hash::Digest;
use semper_core::ids::{Cid, KeySetId};
use semper_core::signature::{SignatureError, Verify, verify};
use semper_core::time::Seconds;
use semper_exchange::cover::register::{Closed, Step, Word};
use semper_exchange::cover::{
    Account, Cover, CoverClaim, CoverId, CoverRelease, CoverRequest, Debt, Opened, Refusal, Submission, Unopened,
};
use semper_exchange::evidence::{Checks, Folder};
use semper_support::archive::{Archive, Commit, CommitError, Fact, PutState, ReadError};
use semper_support::crypto::{CryptoError, Signer};
use semper_support::engine::EvidenceKind;

pub use http::PATHS;
pub use view::{AccountView, BookingOrder, CoverView};

use crate::roles::admit::Usual;

/// How often clients may ask.
pub const USUAL: Usual = Usual { client: (200, 10), all: (2000, 200) };
/// State key prefix of the accounts.
const ACCOUNTS: &[u8] = b"guarantor-account";
/// Fact space of whose a cover is.
const COVERS: &str = "guarantor-cover";
/// Fact space of the contracts that have a cover.
const TAGS: &str = "guarantor-tag";
/// Fact space of what was said.
const SAID: &str = "guarantor-said";
/// Fact space of what is over.
const CLOSED: &str = "guarantor-closed";
/// Fact space of the folders of claims.
const EVIDENCE: &str = "guarantor-evidence";
/// How often a request that meets others is decided again before its asker is told to come later.
const TRIES: usize = 64;

/// A guarantor.
pub struct Guarantor {
    archive: Arc<dyn Archive>,
    keys: Arc<dyn Signer>,
    verify: Arc<dyn Verify>,
    clock: Clock,
    address: String,
    answer: Seconds,
    /// Requests by what they asked for and how they ended.
    counters: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

/// What a guarantor is made of.
pub struct GuarantorParts {
    /// The archive.
    pub archive: Arc<dyn Archive>,
    /// The guarantor's keys.
    pub keys: Arc<dyn Signer>,
    /// Checks signatures.
    pub verify: Arc<dyn Verify>,
    /// The clock.
    pub clock: Clock,
    /// Where it answers; stands in every cover.
    pub address: String,
    /// How long a customer has to answer a claim; stands in every cover.
    pub answer: Seconds,
}

/// Why a guarantor does not do what it is asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuarantorError {
    /// Not a submission, or not of what a guarantor is asked.
    #[error("the request is malformed: {0}")]
    Malformed(DecodeError),
    /// It is of another kind than a guarantor is asked for.
    #[error("a guarantor is not asked with a signed {0}")]
    WrongKind(Kind),
    /// Not signed as it says.
    #[error("the request is not signed by the keys that come with it: {0}")]
    Signature(#[from] SignatureError),
    /// It is for somebody else.
    #[error("this is for another guarantor")]
    OtherGuarantor,
    /// The signer has agreed to nothing here.
    #[error("no liability agreement with these keys was accepted here")]
    NoAgreement,
    /// No such cover was given here.
    #[error("no cover with this name was given here")]
    Unknown,
    /// The signer has no say about the cover.
    #[error("the statement is of nobody who has a say about this cover")]
    NoSay,
    /// The folder holds no core of this contract.
    #[error("the folder does not hold the contract that the statement names")]
    NoContract,
    /// The cover is for another contract.
    #[error(transparent)]
    Unopened(#[from] Unopened),
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It meets others all the time.
    #[error("too much is asked about this account at once")]
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

/// A decision: what is stored of the account, and what is said under which name.
struct Decided {
    step: Step,
    says: Option<(Vec<u8>, Draft)>,
    /// What is stored with it.
    facts: Vec<Fact>,
}

/// What is asked about a cover that was given.
struct Asked {
    id: CoverId,
    cid: Cid,
    by: KeySetId,
    opening: [u8; 32],
    folder: Folder,
    what: What,
}

/// What a statement about a cover wants.
#[derive(Clone, Copy)]
enum What {
    Release,
    Claim(Amount),
}

impl Guarantor {
    /// A guarantor over its parts.
    pub fn new(parts: GuarantorParts) -> Arc<Self> {
        let GuarantorParts { archive, keys, verify, clock, address, answer } = parts;
        Arc::new(Self { archive, keys, verify, clock, address, answer, counters: Mutex::default() })
    }

    /// Does what a submission asks for. The same one again gets the same answer, until its cover goes on.
    ///
    /// # Errors
    /// [`GuarantorError`]; nothing has changed, unless `Commit` says that it is not known.
    pub async fn submit(&self, bytes: &[u8]) -> Result<Signed, GuarantorError> {
        let submission = Submission::from_bytes(bytes).map_err(GuarantorError::Malformed)?;
        let kind = submission.statement.kind();
        let said = match kind {
            Kind::CoverRequest => self.request(&submission).await,
            Kind::CoverRelease | Kind::CoverClaim => self.about(&submission).await,
            _ => Err(GuarantorError::WrongKind(kind)),
        };
        self.count(kind.name(), said.as_ref().map_or_else(GuarantorError::name, |_| "done"));
        said
    }

    async fn request(&self, submission: &Submission) -> Result<Signed, GuarantorError> {
        let Submission { statement, signer, .. } = submission;
        let asked: CoverRequest = *verify(&*self.verify, signer, statement)?.statement();
        if asked.guarantor != self.keys.key_set().id() {
            return Err(GuarantorError::OtherGuarantor);
        }
        let name = statement.id().as_bytes().to_vec();
        for _ in 0..TRIES {
            if let Some(said) = self.said(&name).await? {
                return Ok(said);
            }
            let (account, version) = self.account(signer.id()).await?.ok_or(GuarantorError::NoAgreement)?;
            // Names and contracts are remembered for ever, also what is over.
            if self.archive.fact(COVERS, asked.cover.as_bytes()).await?.is_some() {
                return Err(Refusal::Conflict.into());
            }
            if self.archive.fact(TAGS, asked.tag.as_bytes()).await?.is_some() {
                return Err(Refusal::Taken.into());
            }
            let (step, cover) = account.reserve(&asked, &self.address, self.answer, (self.clock)())?;
            let facts = vec![
                fact(COVERS, asked.cover.as_bytes(), signer.id().as_bytes().to_vec()),
                fact(TAGS, asked.tag.as_bytes(), asked.cover.as_bytes().to_vec()),
            ];
            let decided = Decided { step, says: Some((name.clone(), self.draft(&cover))), facts };
            if let Some(said) = self.store(decided, version).await? {
                return said.ok_or(GuarantorError::Busy);
            }
        }
        Err(GuarantorError::Busy)
    }

    /// A release or a claim.
    async fn about(&self, submission: &Submission) -> Result<Signed, GuarantorError> {
        let asked = self.read(submission)?;
        let customer = self.customer_of(asked.id).await?;
        for _ in 0..TRIES {
            let (account, version) = self.account(customer).await?.ok_or(GuarantorError::NoAgreement)?;
            let closed = match account.cover(asked.id) {
                Some(_) => None,
                None => Some(self.closed(asked.id).await?.ok_or(GuarantorError::Busy)?),
            };
            let cover = closed.as_ref().map(|closed| &closed.cover);
            let cover = cover.or_else(|| account.cover(asked.id).map(|open| &open.cover));
            let cover = cover.ok_or(GuarantorError::Unknown)?;
            let opened = self.opened(&asked, cover)?;
            if asked.by != opened.beneficiary && asked.by != customer {
                return Err(GuarantorError::NoSay);
            }
            if let Some(closed) = closed {
                return self.said_of(&closed).await;
            }
            let decided = self.decide(&account, &asked, &opened, customer).await?;
            // What was decided before is said again.
            let unchanged = decided.step.account == account && decided.step.closed.is_empty();
            if unchanged
                && let Some((name, _)) = &decided.says
                && let Some(said) = self.said(name).await?
            {
                return Ok(said);
            }
            if let Some(said) = self.store(decided, version).await? {
                return said.ok_or(GuarantorError::Busy);
            }
        }
        Err(GuarantorError::Busy)
    }

    fn read(&self, submission: &Submission) -> Result<Asked, GuarantorError> {
        let Submission { statement, signer, opened } = submission;
        let (id, cid, what) = match statement.kind() {
            Kind::CoverClaim => {
                let claim = *verify::<CoverClaim>(&*self.verify, signer, statement)?.statement();
                (claim.cover, claim.cid, What::Claim(claim.amount))
            }
            _ => {
                let release = *verify::<CoverRelease>(&*self.verify, signer, statement)?.statement();
                (release.cover, release.cid, What::Release)
            }
        };
        let (opening, folder) = opened.as_ref().ok_or(GuarantorError::NoContract)?;
        let folder = Folder::from_bytes(folder).map_err(GuarantorError::Malformed)?;
        Ok(Asked { id, cid, by: signer.id(), opening: *opening, folder, what })
    }

    fn opened(&self, asked: &Asked, cover: &Cover) -> Result<Opened, GuarantorError> {
        let cores = asked.folder.items.iter().filter(|item| item.kind == EvidenceKind::Core);
        let core = cores.filter_map(|item| Core::from_bytes(&item.bytes).ok()).find(|core| core.cid() == asked.cid);
        Ok(Opened::of(cover, &asked.opening, &core.ok_or(GuarantorError::NoContract)?)?)
    }

    async fn decide(
        &self,
        account: &Account,
        asked: &Asked,
        opened: &Opened,
        customer: KeySetId,
    ) -> Result<Decided, GuarantorError> {
        let (id, now) = (asked.id, (self.clock)());
        let mut facts = Vec::new();
        let step = match asked.what {
            // Whom the cover is for may give it up without a reason.
            What::Release if asked.by == opened.beneficiary => account.release(id, Word::Beneficiary, now)?,
            What::Release => {
                let claimed = self.archive.fact(EVIDENCE, id.as_bytes()).await?;
                let claimed = claimed.map(|bytes| Folder::from_bytes(&bytes)).transpose();
                let claimed = claimed.map_err(|error| damaged(&error))?;
                let folders: Vec<Folder> = [asked.folder.clone()].into_iter().chain(claimed).collect();
                account.release(id, Word::Customer(self.debt(opened, &folders)), now)?
            }
            What::Claim(_) if asked.by == customer => return Err(GuarantorError::NoSay),
            What::Claim(amount) => {
                let debt = self.debt(opened, std::slice::from_ref(&asked.folder));
                let step = account.claim(id, amount, asked.by, debt, now)?;
                if self.archive.fact(EVIDENCE, id.as_bytes()).await?.is_none() {
                    facts.push(fact(EVIDENCE, id.as_bytes(), asked.folder.to_bytes()));
                }
                step
            }
        };
        let over = step.closed.iter().find(|closed| closed.cover.cover == id).and_then(Closed::ruling);
        let ruling = over.or_else(|| step.account.cover(id)?.ruling());
        let says =
            ruling.map(|ruling| ([id.as_bytes(), ruling.outcome.name().as_bytes()].concat(), self.draft(&ruling)));
        Ok(Decided { step, says, facts })
    }

    fn debt(&self, opened: &Opened, folders: &[Folder]) -> Debt {
        let checks = Checks { verify: &*self.verify, kem: None, systems: &[], stamps: None, submissions: None };
        opened.debt(&checks, folders, (self.clock)())
    }

    /// Stores a decision in the place of the account's version; then it is said. `None`: somebody was faster.
    async fn store(&self, decided: Decided, version: u64) -> Result<Option<Option<Signed>>, GuarantorError> {
        let Decided { step: Step { account, closed }, says, mut facts } = decided;
        facts.extend(closed.iter().map(|closed| fact(CLOSED, closed.cover.cover.as_bytes(), closed.to_bytes())));
        let mut said = None;
        if let Some((name, draft)) = says {
            said = match self.said(&name).await? {
                Some(said) => Some(said),
                None => {
                    let signed = self.keys.sign(draft)?;
                    facts.push(fact(SAID, &name, signed.bytes().to_vec()));
                    Some(signed)
                }
            };
        }
        let put = PutState { key: account_key(account.customer()), replaces: version, bytes: account.to_bytes() };
        match self.archive.commit(Commit { states: vec![put], facts, ..Commit::default() }).await {
            Ok(()) => Ok(Some(said)),
            Err(CommitError::Stale { .. } | CommitError::Taken { .. }) => Ok(None),
            Err(error) => Err(GuarantorError::Commit(error)),
        }
    }

    /// What is said of a cover that is over.
    async fn said_of(&self, closed: &Closed) -> Result<Signed, GuarantorError> {
        let ruling = closed.ruling().ok_or(Refusal::Ended)?;
        let name = [closed.cover.cover.as_bytes(), ruling.outcome.name().as_bytes()].concat();
        match self.said(&name).await? {
            Some(said) => Ok(said),
            // It fell due while nobody asked, and was repaid before anybody did.
            None => Ok(self.keys.sign(self.draft(&ruling))?),
        }
    }

    async fn said(&self, name: &[u8]) -> Result<Option<Signed>, GuarantorError> {
        let said = self.archive.fact(SAID, name).await?;
        said.map(|bytes| Signed::from_bytes(&bytes)).transpose().map_err(|error| damaged(&error))
    }

    async fn account(&self, customer: KeySetId) -> Result<Option<(Account, u64)>, GuarantorError> {
        let Some(stored) = self.archive.state(&account_key(customer)).await? else { return Ok(None) };
        let account = Account::from_bytes(&stored.bytes).map_err(|error| damaged(&error))?;
        Ok(Some((account, stored.version)))
    }

    async fn customer_of(&self, id: CoverId) -> Result<KeySetId, GuarantorError> {
        let customer = self.archive.fact(COVERS, id.as_bytes()).await?.ok_or(GuarantorError::Unknown)?;
        let digest: [u8; 32] = customer
            .try_into()
            .map_err(|_| GuarantorError::Read(ReadError("a stored customer is no key set id".to_owned())))?;
        Ok(KeySetId::from_digest(Digest::from_array(digest)))
    }

    async fn closed(&self, id: CoverId) -> Result<Option<Closed>, GuarantorError> {
        let closed = self.archive.fact(CLOSED, id.as_bytes()).await?;
        closed.map(|bytes| Closed::from_bytes(&bytes)).transpose().map_err(|error| damaged(&error))
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

impl GuarantorError {
    /// The name in problem documents and counters.
    fn name(&self) -> &'static str {
        match self {
            GuarantorError::Malformed(_) => "malformed",
            GuarantorError::WrongKind(_) => "wrong-kind",
            GuarantorError::Signature(_) => "signature",
            GuarantorError::OtherGuarantor => "other-guarantor",
            GuarantorError::NoAgreement => "no-agreement",
            GuarantorError::Unknown => "unknown",
            GuarantorError::NoSay => "no-say",
            GuarantorError::NoContract | GuarantorError::Unopened(_) => "other-contract",
            GuarantorError::Refused(refusal) => refused(*refusal),
            GuarantorError::Busy | GuarantorError::Read(_) | GuarantorError::Commit(_) | GuarantorError::Crypto(_) => {
                "busy"
            }
        }
    }
}

fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Superseded => "superseded",
        Refusal::Over(_) => "agreement-over",
        Refusal::Revoked(_) => "revoked",
        Refusal::Currency(_) => "currency",
        Refusal::PerDeal(_) => "per-deal",
        Refusal::Limit { .. } => "limit",
        Refusal::Dates => "dates",
        Refusal::Conflict => "conflict",
        Refusal::Taken => "contract-has-cover",
        Refusal::TooMany => "too-many-covers",
        Refusal::Ended => "ended",
        Refusal::TooMuch(_) => "too-much",
        Refusal::NotBound => "not-bound",
        Refusal::NothingOwed => "nothing-owed",
        Refusal::Owed => "owed",
        Refusal::Claimed => "claimed",
        Refusal::Paid => "paid",
        _ => "refused",
    }
}

fn fact(space: &str, key: &[u8], value: Vec<u8>) -> Fact {
    Fact { space: space.to_owned(), key: key.to_vec(), value }
}

fn account_key(customer: KeySetId) -> Vec<u8> {
    [ACCOUNTS, customer.as_bytes()].concat()
}

fn damaged(error: &DecodeError) -> GuarantorError {
    GuarantorError::Read(ReadError(format!("what is stored of an account is not readable: {error}")))
}
