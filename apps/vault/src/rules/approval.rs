//! What waits for the user, and what follows from it once it is approved.

use std::collections::BTreeSet;

use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::cose::{Draft, Kind};
use semper_core::document::RENDERED_MAX;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, DealId};
use semper_core::time::Time;
use semper_support::archive::Fact;
use semper_transfer::credential::{CredentialTransfer, ReservationRequest};
use semper_transfer::payment::statement::Release;

use super::{APPROVED, Deposit, MET, PASSES, RELEASES, SHOWS, fact, mandate};
use crate::sheet::{SHEET_MAX, Sheet, Verb, Who};

/// Something that waits for the user's word.
///
/// ```text
/// approval = { 0: deal, 1: draft, 2: title, 3: text, 4: since, ? 5: cid, ? 6: release, ? 7: reservation request,
///              ? 8: credential transfer, ? 9: deposit, ? 16: sheet, ? 17: uncovered }     ; 16 in all but questions of earlier versions
/// ```
#[derive(Clone, Debug)]
pub struct Approval {
    /// The deal.
    pub deal: DealId,
    /// The statement.
    pub draft: Draft,
    /// What is asked, in one line.
    pub title: String,
    /// What is shown and signed.
    pub text: String,
    /// Since when it waits.
    pub since: Time,
    /// The contract that it approves, if it is a promise, and what follows from that.
    pub approves: Option<Approves>,
    /// Why it was not signed without asking though there are mandates, a line for each; empty if there are none. It is shown, and not signed.
    pub uncovered: String,
    /// What a screen shows beside the text.
    pub sheet: Sheet,
}

/// What the user says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAnswer {
    /// Sign it. The user has seen the text with this hash.
    Approve {
        /// [`Approval::text_hash`] of what was shown: what is approved is what was shown.
        seen: Digest,
    },
    /// Do not sign it, ever.
    Decline,
}

/// A contract that is approved, and what follows from that.
#[derive(Clone, Debug)]
pub struct Approves {
    /// The contract.
    pub cid: Cid,
    /// The release of locked money that it promises, if it promises money. Money by plain transfer goes by the hash of its order.
    pub release: Option<Release>,
    /// What the issuer of a right is asked to keep for it, if it shows one.
    pub shows: Option<ReservationRequest>,
    /// What the issuer of a right is asked to pass on under it, if it passes one on.
    pub passes: Option<CredentialTransfer>,
    /// What is paid to its arbiter, if money goes through the arbiter's hands.
    pub deposit: Option<Deposit>,
}

pub(super) fn title(kind: Kind, verb: Verb) -> String {
    match (kind, verb) {
        (_, Verb::Withdraw) => "Withdraw from this contract?",
        (_, Verb::Dispute) => "Open this dispute?",
        (_, Verb::Answer) => "Answer this dispute so?",
        (Kind::Promise | Kind::Round, _) => "Sign this contract?",
        (Kind::Offer, _) => "Offer this to anybody?",
        (Kind::Container, _) => "Send this, signed by you?",
        (Kind::Ack, _) => "Sign that you have received this?",
        (Kind::PaymentOrder, _) => "Pay this?",
        (Kind::AccountRequest, _) => "Ask your bank for this?",
        (Kind::CredentialTransfer, _) => "Pass this right on?",
        (Kind::Mandate, _) => "Grant this mandate?",
        (Kind::LiabilityAgreement, _) => "Agree to be covered?",
        (Kind::CoverRequest, _) => "Have a guarantor stand for you?",
        (Kind::CoverRelease, _) => "Release this cover?",
        (Kind::CoverClaim, _) => "Ask a guarantor to pay?",
        _ => "Sign this?",
    }
    .to_owned()
}

impl Approves {
    /// What is stored when the contract is approved, for what follows from it.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let Self { cid, release, shows, passes, deposit } = self;
        let of_contract = |space: &str, key: Digest, promised: Vec<u8>| {
            let value = [cid.as_bytes().as_slice(), &promised].concat();
            Fact { space: space.to_owned(), key: key.as_bytes().to_vec(), value }
        };
        let shown = shows.map(|request| {
            let (space, key) = (SHOWS.to_owned(), request.tag.as_bytes().to_vec());
            Fact { space, key, value: request.to_bytes() }
        });
        let released = release.as_ref().map(|release| of_contract(RELEASES, release.tag, release.to_bytes()));
        let passed = passes.and_then(|transfer| {
            transfer.condition.map(|condition| of_contract(PASSES, condition.tag, transfer.to_bytes()))
        });
        let deposited = deposit.as_ref().map(|deposit| deposit.fact(*cid));
        [fact(APPROVED, *cid, b"")].into_iter().chain(released).chain(shown).chain(passed).chain(deposited).collect()
    }
}

impl Approval {
    /// What is stored with the signature, for what follows from it.
    pub(super) fn facts(&self) -> Vec<Fact> {
        self.approves.iter().flat_map(Approves::facts).chain(mandate::granted(&self.draft)).collect()
    }

    /// What is stored when the user has seen it and approved: whom it concerned. What is signed unasked the user has not seen.
    pub(super) fn met(&self) -> impl Iterator<Item = Fact> {
        // Whoever is named twice in one part is met once.
        let who: BTreeSet<Vec<u8>> = self.sheet.who.iter().map(Who::key).collect();
        who.into_iter().map(|key| Fact { space: MET.to_owned(), key, value: Vec::new() })
    }

    /// The hash of the shown text, which an answer must name.
    pub fn text_hash(&self) -> Digest {
        Digest::of(domain::RENDER, self.text.as_bytes())
    }
}

impl Encode for Approval {
    fn to_value(&self) -> Value {
        let approves = self.approves.as_ref();
        record()
            .put_item(0, &self.deal)
            .put_item(1, &self.draft)
            .put(2, self.title.as_str())
            .put(3, self.text.as_str())
            .put_item(4, &self.since)
            .put_some(5, approves.map(|approves| approves.cid.to_value()))
            .put_some(6, approves.and_then(|approves| Some(approves.release.as_ref()?.to_value())))
            .put_some(7, approves.and_then(|approves| Some(approves.shows?.to_value())))
            .put_some(8, approves.and_then(|approves| Some(approves.passes?.to_value())))
            .put_some(9, approves.and_then(|approves| Some(approves.deposit.as_ref()?.to_value())))
            .put_item(16, &self.sheet)
            .put_some(17, (!self.uncovered.is_empty()).then_some(self.uncovered.as_str()))
            .build()
    }
}

impl Decode for Approval {
    // The text, the statement, and the sheet.
    const BYTES_MAX: usize = RENDERED_MAX + 128 * 1024 + SHEET_MAX;

    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let deal = fields.item(0, "deal")?;
        let draft: Draft = fields.item(1, "draft")?;
        let (title, text) = (fields.text(2, "title", 1024)?, fields.text(3, "text", RENDERED_MAX)?);
        let since = fields.item(4, "since")?;
        let (release, shows) = (fields.optional_item(6, "release")?, fields.optional_item(7, "reservation request")?);
        let (passes, deposit) = (fields.optional_item(8, "credential transfer")?, fields.optional_item(9, "deposit")?);
        let cid: Option<Cid> = fields.optional_item(5, "cid")?;
        let sheet = fields.optional_item(16, "sheet")?;
        let uncovered: Option<String> = fields.optional_item(17, "uncovered")?;
        fields.close()?;
        let approves = cid.map(|cid| Approves { cid, release, shows, passes, deposit });
        let sheet = sheet.unwrap_or_else(|| Sheet::of_draft(&draft));
        Ok(Self { deal, draft, title, text, since, approves, uncovered: uncovered.unwrap_or_default(), sheet })
    }
}
