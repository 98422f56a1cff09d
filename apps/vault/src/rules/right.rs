//! Rights: a use of one that is kept for a contract, one that is passed on, one that is called back.

use std::fmt;

use semper_core::cbor::Decode as _;
use semper_core::cose::Draft;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, Slot};
use semper_core::signature::{Verified, verify};
use semper_core::text::escape;
use semper_crypto::Verifier;
use semper_support::approval::ApprovalError;
use semper_transfer::credential::{Bundle, Credential, CredentialTransfer, ReservationRequest};

use super::{Judgement, MONEY, PASSED, PASSES, SHOWS, Vault, fact, part_way, read, unavailable};
use crate::decisions::Decisions;

impl<D: Decisions + ?Sized> Vault<D> {
    /// A use of a right: exactly for an approved contract that shows it.
    pub(super) async fn judge_reservation(&self, draft: &Draft) -> Result<Judgement, ApprovalError> {
        let request: ReservationRequest = read(draft)?;
        let promised = self.decisions.fact(SHOWS, request.tag.as_bytes()).await.map_err(unavailable)?;
        match promised {
            Some(promised) if promised == draft.payload => Ok(Judgement::Sign(Vec::new())),
            _ => Err(ApprovalError::Forbidden(
                "it keeps another right, or otherwise, than an approved contract shows".into(),
            )),
        }
    }

    /// A right that is passed on under a contract: exactly as an approved contract passes it on, and no abort of that contract any more.
    pub(super) async fn judge_passing(&self, draft: &Draft) -> Result<Judgement, ApprovalError> {
        let transfer: CredentialTransfer = read(draft)?;
        let wrong =
            ApprovalError::Forbidden("it passes on another right, or otherwise, than an approved contract does".into());
        let Some(condition) = transfer.condition else { return Err(wrong) };
        let promised = self.decisions.fact(PASSES, condition.tag.as_bytes()).await.map_err(unavailable)?;
        match promised.as_deref().and_then(<[u8]>::split_first_chunk::<32>) {
            Some((cid, promised)) if promised == draft.payload => {
                let cid = Cid::from_digest(Digest::from_array(*cid));
                let passed = fact(PASSED, cid, draft.id().as_bytes());
                self.follows(cid, vec![part_way(cid, Slot::default(), b"final"), passed]).await
            }
            _ => Err(wrong),
        }
    }

    /// That a right is to be called back: one that was passed on under an approved contract, and of whose money nobody has said that it came.
    pub(super) async fn judge_revocation(&self, cid: Cid) -> Result<Judgement, ApprovalError> {
        match self.decisions.fact(PASSED, cid.as_bytes()).await.map_err(unavailable)? {
            Some(_) => self.follows(cid, vec![fact(MONEY, cid, b"did not come")]).await,
            None => Err(ApprovalError::Forbidden("no right was passed on under this contract".into())),
        }
    }
}

/// A credential that is passed on: the one that is shown. No mandate covers it.
pub(super) fn judge_transfer(draft: &Draft, bundle: &[u8]) -> Result<Judgement, ApprovalError> {
    let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
    let bundle = Bundle::from_bytes(bundle).map_err(|e| mismatch(&e))?;
    let checked: Verified<Credential> =
        verify(&Verifier, &bundle.issuer, &bundle.credential).map_err(|e| mismatch(&e))?;
    let (credential, transfer): (&Credential, CredentialTransfer) = (checked.statement(), read(draft)?);
    if transfer.serial != credential.serial || credential.holder != draft.signer {
        return Err(mismatch(&"it is another credential, or somebody else's"));
    }
    // What can be called back is a sale, and is shown as one.
    if transfer.condition.is_some() {
        return Err(mismatch(&"it is passed on under a contract"));
    }
    let text = format!(
        "Pass on to {to}\n\n  right          {right}\n  issued by      {issuer}\n  at             {at}\n  can be used    {uses}\n  \
         valid until    {until}\n  serial number  {serial}\n\n\
         It is worth nothing to you any more. Its issuer makes a new one for them, with the uses that are left.\n",
        to = transfer.to,
        right = escape(&credential.right, 0),
        issuer = bundle.issuer.id(),
        at = escape(&credential.issuer, 0),
        uses = credential.uses,
        until = credential.until,
        serial = credential.serial,
    );
    Ok(Judgement::Ask { act: Err("a right is given away"), text, contract: None })
}
