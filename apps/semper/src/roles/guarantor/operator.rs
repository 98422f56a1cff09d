//! What the guarantor's operator does: agreements, revocations, and what was booked by hand.

use semper_core::cbor::{Decode as _, Encode as _};
use semper_core::cose::Kind;
use semper_core::ids::KeySetId;
use semper_core::signature::verify;
use semper_exchange::cover::register::{Booking, Step};
use semper_exchange::cover::{Account, Agreement, CoverId, Refusal, Submission};
use semper_support::archive::{Commit, CommitError, PutState};

use super::{ACCOUNTS, AccountView, CoverView, Decided, Guarantor, GuarantorError, TRIES, account_key, damaged};

/// Accounts that are read at once.
const PAGE: usize = 200;

impl Guarantor {
    /// Takes the agreement of a customer, as its file holds it. The same one again changes nothing.
    ///
    /// # Errors
    /// It is not signed by the keys in it, or for another guarantor; a later one stands. Storage.
    pub async fn accept(&self, bytes: &[u8]) -> Result<AccountView, GuarantorError> {
        let Submission { statement, signer, .. } = Submission::from_bytes(bytes).map_err(GuarantorError::Malformed)?;
        if statement.kind() != Kind::LiabilityAgreement {
            return Err(GuarantorError::WrongKind(statement.kind()));
        }
        let agreement = *verify::<Agreement>(&*self.verify, &signer, &statement)?.statement();
        if agreement.guarantor != self.keys.key_set().id() {
            return Err(GuarantorError::OtherGuarantor);
        }
        for _ in 0..TRIES {
            let stands = self.account(signer.id()).await?;
            let version = stands.as_ref().map_or(0, |(_, version)| *version);
            let account = match stands {
                None => Account::new(signer.id(), agreement),
                Some((account, _)) => account.agree(agreement)?,
            };
            if self.put(&account, version).await? {
                return Ok(AccountView::of(&account, (self.clock)()));
            }
        }
        Err(GuarantorError::Busy)
    }

    /// Gives a customer no new cover from now on: it has reported its keys as lost.
    ///
    /// # Errors
    /// `NoAgreement`, storage.
    pub async fn revoke(&self, customer: KeySetId) -> Result<AccountView, GuarantorError> {
        for _ in 0..TRIES {
            let (account, version) = self.account(customer).await?.ok_or(GuarantorError::NoAgreement)?;
            let revoked = account.revoke((self.clock)());
            if self.put(&revoked, version).await? {
                return Ok(AccountView::of(&revoked, (self.clock)()));
            }
        }
        Err(GuarantorError::Busy)
    }

    /// Books that a claimant has its money, or that a customer has repaid. Twice is once.
    ///
    /// # Errors
    /// `Unknown`, `NotPaid`, `Ended`, storage.
    pub async fn book(&self, id: CoverId, booking: Booking) -> Result<CoverView, GuarantorError> {
        let customer = self.customer_of(id).await?;
        for _ in 0..TRIES {
            let (account, version) = self.account(customer).await?.ok_or(GuarantorError::NoAgreement)?;
            if let Some(closed) = self.closed(id).await? {
                let view = CoverView::of_closed(&closed);
                return if view.repaid { Ok(view) } else { Err(Refusal::Ended.into()) };
            }
            let step: Step = account.book(id, booking, (self.clock)())?;
            let view = step.account.cover(id).map(CoverView::of);
            let over = step.closed.iter().find(|closed| closed.cover.cover == id).map(CoverView::of_closed);
            if self.store(Decided { step, says: None, facts: Vec::new() }, version).await?.is_some() {
                return view.or(over).ok_or(GuarantorError::Unknown);
            }
        }
        Err(GuarantorError::Busy)
    }

    /// What has become of a cover.
    ///
    /// # Errors
    /// `Unknown`, storage.
    pub async fn standing(&self, id: CoverId) -> Result<CoverView, GuarantorError> {
        let customer = self.customer_of(id).await?;
        if let Some(closed) = self.closed(id).await? {
            return Ok(CoverView::of_closed(&closed));
        }
        let (account, _) = self.account(customer).await?.ok_or(GuarantorError::Unknown)?;
        let Step { account, closed } = account.at((self.clock)());
        let over = closed.iter().find(|closed| closed.cover.cover == id).map(CoverView::of_closed);
        over.or_else(|| account.cover(id).map(CoverView::of)).ok_or(GuarantorError::Busy)
    }

    /// The accounts, at most `PAGE` after the customer `after`.
    ///
    /// # Errors
    /// Storage.
    pub async fn accounts(&self, after: Option<KeySetId>) -> Result<Vec<AccountView>, GuarantorError> {
        let after = after.map(account_key);
        let stored = self.archive.states(ACCOUNTS, after.as_deref(), PAGE).await?;
        let read = |bytes: &[u8]| Account::from_bytes(bytes).map_err(|error| damaged(&error));
        stored.iter().map(|stored| Ok(AccountView::of(&read(&stored.bytes)?, (self.clock)()))).collect()
    }

    /// Stores an account in the place of a version. `false`: somebody was faster.
    async fn put(&self, account: &Account, version: u64) -> Result<bool, GuarantorError> {
        let put = PutState { key: account_key(account.customer()), replaces: version, bytes: account.to_bytes() };
        match self.archive.commit(Commit { states: vec![put], ..Commit::default() }).await {
            Ok(()) => Ok(true),
            Err(CommitError::Stale { .. }) => Ok(false),
            Err(error) => Err(GuarantorError::Commit(error)),
        }
    }
}
