//! Money that a user gives into the hands of an arbiter, by a contract that it has approved.
//!
//! What the arbiter will ask for is known when the contract is shown, but for where it is to be paid to. That the arbiter says later, by its signature under a request that
//! agrees with the contract in everything else. So the user is asked once, for the contract; the payment follows from it, to this arbiter, once.

use semper_commerce::proposal::Agreement;
use semper_core::cbor::{Decode, DecodeError, Encode, Fields, Value, record};
use semper_core::contract::Profile;
use semper_core::cose::{Draft, Signed};
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::{Cid, Slot};
use semper_core::party::{KeySet, Role};
use semper_core::signature::verify;
use semper_crypto::Verifier;
use semper_exchange::arbiter::hands::deposit_request;
use semper_exchange::gx::Leg;
use semper_support::approval::ApprovalError;
use semper_support::archive::Fact;
use semper_transfer::payment::statement::{PaymentOrder, PaymentRequest, order_hash};

use super::{Judgement, LOCKED, Vault, part_way, read, unavailable};
use crate::decisions::Decisions;

/// Fact space of the deposits that approved contracts promise: what is asked for → cid, then the arbiter's key set.
const DEPOSITS: &str = "vault-deposit";

/// What a user pays the arbiter of a contract.
///
/// ```text
/// deposit = { 0: what is asked for, 1: arbiter's key set }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// What is asked for: everything in the arbiter's request but the details, and the salt of the order.
    asked: Digest,
    arbiter: KeySet,
}

/// The deposit that a party promises by a contract, if its money goes through the arbiter's hands. `arbiter` is the arbiter's encoded key set.
///
/// # Errors
/// The keys are missing or another's; or there are some where nothing goes through the arbiter's hands.
pub(super) fn promised(
    agreement: &Agreement,
    role: Role,
    arbiter: Option<&[u8]>,
) -> Result<Option<Deposit>, ApprovalError> {
    let core = &agreement.core;
    let mismatch = |why: &str| ApprovalError::Mismatch(why.to_owned());
    let arbiter = match (core.terms.profile, arbiter) {
        (Profile::Ix, Some(arbiter)) => KeySet::from_bytes(arbiter).map_err(|e| mismatch(&e.to_string()))?,
        (Profile::Ix, None) => return Err(mismatch("the keys of the arbiter that is to take the money are missing")),
        (_, Some(_)) => return Err(mismatch("no money goes through the hands of this contract's arbiter")),
        (_, None) => return Ok(None),
    };
    if core.arbiter() != Some(arbiter.id()) {
        return Err(mismatch("the keys are not those of the contract's arbiter"));
    }
    let legs = Leg::of(core).map_err(|e| mismatch(&e.to_string()))?;
    let ours = &legs[usize::from(role == Role::RESPONDER)];
    let handed = ours.handed().ok_or_else(|| mismatch("no money goes through the arbiter's hands"))?;
    let asked = what_is_asked(&deposit_request(core, role, handed, Vec::new()), &handed.salt);
    Ok(Some(Deposit { asked, arbiter }))
}

/// What a request for a deposit asks for, wherever it is to be paid to.
fn what_is_asked(request: &PaymentRequest, salt: &[u8; 32]) -> Digest {
    let request = PaymentRequest { details: Vec::new(), ..request.clone() };
    Digest::of_parts(domain::INPUT, &[DEPOSITS.as_bytes(), &request.to_bytes(), salt])
}

impl Deposit {
    /// What is stored when the contract is approved.
    pub(super) fn fact(&self, cid: Cid) -> Fact {
        let value = [cid.as_bytes().as_slice(), &self.arbiter.to_bytes()].concat();
        Fact { space: DEPOSITS.to_owned(), key: self.asked.as_bytes().to_vec(), value }
    }
}

impl<D: Decisions + ?Sized> Vault<D> {
    /// An order that pays the arbiter what an approved contract gives into its hands: on the arbiter's own request, once, and not after an abort was signed. `None`: no
    /// approved contract promises what the request asks for.
    pub(super) async fn judge_deposit(
        &self,
        draft: &Draft,
        request: &[u8],
        salt: &[u8; 32],
    ) -> Result<Option<Judgement>, ApprovalError> {
        let mismatch = |e: DecodeError| ApprovalError::Mismatch(e.to_string());
        let signed = Signed::from_bytes(request).map_err(mismatch)?;
        let asked = what_is_asked(&PaymentRequest::from_bytes(signed.payload()).map_err(mismatch)?, salt);
        let promised = self.decisions.fact(DEPOSITS, asked.as_bytes()).await.map_err(unavailable)?;
        let Some((cid, arbiter)) = promised.as_deref().and_then(<[u8]>::split_first_chunk::<32>) else {
            return Ok(None);
        };
        let cid = Cid::from_digest(Digest::from_array(*cid));
        let arbiter = KeySet::from_bytes(arbiter).map_err(mismatch)?;
        let forbidden = |why: &'static str| Err(ApprovalError::Forbidden(why.into()));
        let Ok(request) = verify::<PaymentRequest>(&Verifier, &arbiter, &signed) else {
            return forbidden("the contract's arbiter has not asked for this payment");
        };
        let (order, asked_for): (PaymentOrder, _) = (read(draft)?, request.statement());
        let fits = (order.order, order.amount, &order.system, &order.issuer)
            == (order_hash(signed.id(), salt), asked_for.amount, &asked_for.system, &asked_for.issuer);
        if !fits {
            return forbidden("the order pays something else than the contract's arbiter has asked for");
        }
        let Fact { space, key, value } = part_way(cid, Slot::default(), b"abort");
        if self.decisions.fact(&space, &key).await.map_err(unavailable)? == Some(value) {
            return forbidden("the contract was to be aborted");
        }
        let once =
            Fact { space: LOCKED.to_owned(), key: asked.as_bytes().to_vec(), value: draft.id().as_bytes().to_vec() };
        self.follows(cid, vec![once]).await.map(Some)
    }
}

impl Encode for Deposit {
    fn to_value(&self) -> Value {
        record().put_item(0, &self.asked).put_item(1, &self.arbiter).build()
    }
}

impl Decode for Deposit {
    fn from_value(value: Value) -> Result<Self, DecodeError> {
        let mut fields = Fields::open(value)?;
        let deposit = Self { asked: fields.item(0, "what is asked for")?, arbiter: fields.item(1, "arbiter")? };
        fields.close()?;
        Ok(deposit)
    }
}
