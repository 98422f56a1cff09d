//! Money: orders to pay and to lock, releases, and what an arbiter pays that has gone through its hands.

use std::fmt;

use semper_commerce::mandate::{Act, Matter};
use semper_core::cbor::Decode as _;
use semper_core::cose::{Draft, Kind, Signed};
use semper_core::hash::Digest;
use semper_core::ids::{Cid, Slot};
use semper_core::text::escape;
use semper_support::approval::{ApprovalError, Exhibit, SignRequest};
use semper_support::archive::Fact;
use semper_transfer::payment::module::Wording;
use semper_transfer::payment::statement::{PaymentOrder, PaymentRequest, Release, order_hash};

use super::{DUE_SPACE, Judgement, LOCKED, RELEASES, Vault, part_way, read, unavailable};
use crate::decisions::Decisions;

impl<D: Decisions + ?Sized> Vault<D> {
    /// A release of locked money: exactly what an approved contract promises, and no abort any more after it.
    pub(super) async fn judge_release(&self, draft: &Draft) -> Result<Judgement, ApprovalError> {
        let release: Release = read(draft)?;
        match self.promised(release.tag).await?.filter(|(_, promised)| *promised == release) {
            // Contracts with money are between two: their only part is the first.
            Some((cid, _)) => self.follows(cid, vec![part_way(cid, Slot::default(), b"final")]).await,
            None => Err(ApprovalError::Forbidden("it releases other money than an approved contract promises".into())),
        }
    }

    /// An order that pays. One that an approved contract promises follows from it, once, and no abort of that contract any more, unless the arbiter is paid, which an abort
    /// has pay back; every other is asked.
    pub(super) async fn judge_pay(
        &self,
        draft: &Draft,
        request: &[u8],
        salt: &[u8; 32],
    ) -> Result<Judgement, ApprovalError> {
        let order: PaymentOrder = read(draft)?;
        let Some((cid, _)) = self.promised(order.order).await? else {
            let deposit = self.judge_deposit(draft, request, salt).await?;
            return deposit.map_or_else(|| judge_payment(draft, request, salt), Ok);
        };
        match self.judge_lock(draft).await? {
            Judgement::Sign(mut facts) => {
                facts.push(part_way(cid, Slot::default(), b"final"));
                Ok(Judgement::Sign(facts))
            }
            asked => Ok(asked),
        }
    }

    /// An order that locks money: exactly what an approved contract promises, and once.
    pub(super) async fn judge_lock(&self, draft: &Draft) -> Result<Judgement, ApprovalError> {
        let order: PaymentOrder = read(draft)?;
        let expected = |release: &Release| {
            (release.tag, release.amount, &release.issuer) == (order.order, order.amount, &order.issuer)
        };
        match self.promised(order.order).await?.filter(|(_, release)| expected(release)) {
            Some((cid, _)) => {
                let (space, key) = (LOCKED.to_owned(), order.order.as_bytes().to_vec());
                self.follows(cid, vec![Fact { space, key, value: draft.id().as_bytes().to_vec() }]).await
            }
            None => Err(ApprovalError::Forbidden("it locks other money than an approved contract promises".into())),
        }
    }

    /// The approved contract that promises the money of a lock, and the release that it promises.
    async fn promised(&self, tag: Digest) -> Result<Option<(Cid, Release)>, ApprovalError> {
        let promised = self.decisions.fact(RELEASES, tag.as_bytes()).await.map_err(unavailable)?;
        Ok(promised.as_deref().and_then(|promised| {
            let (cid, release) = promised.split_first_chunk::<32>()?;
            Some((Cid::from_digest(Digest::from_array(*cid)), Release::from_bytes(release).ok()?))
        }))
    }

    /// An arbiter's order to pay what has gone through its hands: exactly what a verdict of its own has made due.
    pub(super) async fn judge_due(&self, request: &SignRequest) -> Result<Judgement, ApprovalError> {
        let Exhibit::Payment { request: asked, salt } = &request.exhibit else {
            return Err(ApprovalError::Forbidden("an arbiter pays for what was asked of it and nothing else".into()));
        };
        let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
        let asked = Signed::from_bytes(asked).map_err(|e| mismatch(&e))?;
        let (order, hash): (PaymentOrder, _) = (read(&request.draft)?, order_hash(asked.id(), salt));
        let wanted = PaymentRequest::from_bytes(asked.payload()).map_err(|e| mismatch(&e))?;
        let fits = (order.order, order.amount, &order.issuer) == (hash, wanted.amount, &wanted.issuer);
        let due = self.decisions.fact(DUE_SPACE, hash.as_bytes()).await.map_err(unavailable)?;
        if fits && due.as_deref() == Some(asked.id().as_bytes().as_slice()) {
            return Ok(Judgement::Sign(Vec::new()));
        }
        Err(ApprovalError::Forbidden("no verdict has made this payment due".into()))
    }

    /// What the first payment system that knows the statement says of it.
    pub(super) fn wording(&self, draft: &Draft) -> Wording {
        let mut wordings = self.systems.iter().map(|system| system.wording(draft));
        wordings.find(|wording| *wording != Wording::Foreign).unwrap_or(Wording::Foreign)
    }
}

/// A payment: the order must be for the request that is shown.
fn judge_payment(draft: &Draft, request: &[u8], salt: &[u8; 32]) -> Result<Judgement, ApprovalError> {
    let mismatch = |e: &dyn fmt::Display| ApprovalError::Mismatch(e.to_string());
    let signed = Signed::from_bytes(request).map_err(|e| mismatch(&e))?;
    let asked = PaymentRequest::from_bytes(signed.payload()).map_err(|e| mismatch(&e))?;
    let order: PaymentOrder = read(draft)?;
    let same = (order.amount, &order.system, &order.issuer) == (asked.amount, &asked.system, &asked.issuer);
    if !same || signed.kind() != Kind::PaymentRequest || order.order != order_hash(signed.id(), salt) {
        return Err(mismatch(&"the order is for another payment than the request"));
    }
    let text = format!(
        "Pay to {payee}\n\n  amount   {amount}\n  for      {purpose}\n  by       {system} at {issuer}\n  until    {until}\n\n\
         A payment by {system} cannot be taken back once the payee has it, unless the payee gives it back.\n",
        payee = signed.signer(),
        amount = asked.amount,
        purpose = escape(&asked.purpose, 11),
        system = asked.system,
        issuer = escape(&asked.issuer, 11),
        until = asked.expires,
    );
    let act = Act { peer: Some(signed.signer()), amount: Some(asked.amount), ..Act::of(Matter::Payment) };
    Ok(Judgement::Ask { act: Ok(act), text, contract: None })
}
